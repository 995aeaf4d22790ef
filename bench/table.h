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
} rb_table;

typedef char rb_cells[RB_MAX_COLUMN][RB_CELL];

void rb_table_column(rb_table *t, const char *head, bool right, int width);
/* Widens the columns for a row that will come. */
void rb_table_fit(rb_table *t, rb_cells cells);
void rb_table_head(FILE *out, const rb_table *t);
void rb_table_row(FILE *out, const rb_table *t, rb_cells cells);

#endif
