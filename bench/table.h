/* Private to bench/: tables that are valid markdown and align on a terminal.
 * They know nothing of benchmarks.
 * Read next: table.c. */
#ifndef RB_TABLE_H
#define RB_TABLE_H

#include <stdbool.h>
#include <stdio.h>

enum { RB_MAX_COLUMN = 24, RB_CELL = 96 };

typedef struct rb_table {
    int n;
    const char *head[RB_MAX_COLUMN];
    bool right[RB_MAX_COLUMN];
    int width[RB_MAX_COLUMN]; /* in characters, grown by rb_table_fit */
    bool hidden[RB_MAX_COLUMN];
} rb_table;

typedef char rb_cells[RB_MAX_COLUMN][RB_CELL];

/* Appends a column, as wide as its head or as width characters. */
void rb_table_column(rb_table *t, const char *head, bool right, int width);
/* Widens the columns for a row that will come. */
void rb_table_fit(rb_table *t, rb_cells cells);
/* Columns of the terminal that out is; 0: it is none, or does not say. */
int rb_terminal_width(FILE *out);
/* Where rows are wider than the terminal that out is, hides one after the other the columns with
 * the heads in spare (up to a NULL) until they fit, and says which. Elsewhere all are shown. */
void rb_table_narrow(rb_table *t, FILE *out, const char *const *spare);
void rb_table_head(FILE *out, const rb_table *t);
void rb_table_row(FILE *out, const rb_table *t, rb_cells cells);

#endif
