/* A table of a report: cells of text, each with the record behind it. Private to bench/paper/.
 * Knows neither HTML nor Markdown, and prints no figure that is none: a dash stands for NaN.
 * Read next: page.h, which writes it. */
#ifndef RB_SHEET_H
#define RB_SHEET_H

#include "evidence.h"

enum { RB_SHEET_COLUMNS = 16, RB_SHEET_CELL = 176 };

typedef struct rb_sheet_cell {
    char text[RB_SHEET_CELL];
    int id; /* of the record behind it; 0: of none, or of several */
} rb_sheet_cell;

typedef struct rb_sheet {
    int n_column;
    const char *head[RB_SHEET_COLUMNS];
    bool right[RB_SHEET_COLUMNS];
    rb_sheet_cell *cell; /* row by row */
    int n_cell, room;
    bool failed; /* out of memory: what is missing is said when the page is written */
} rb_sheet;

/* A sheet begins zeroed: columns first (at most RB_SHEET_COLUMNS, head borrowed), then cells.
 * Rows are those that are complete. */
void rb_sheet_free(rb_sheet *g);
int rb_sheet_rows(const rb_sheet *g);
void rb_sheet_column(rb_sheet *g, const char *head, bool right);
/* The next cell, in reading order. Text that is too long ends in an ellipsis. */
void rb_sheet_put(rb_sheet *g, int id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void rb_sheet_number(rb_sheet *g, int id, double x);
void rb_sheet_span(rb_sheet *g, int id, const rb_span *s); /* "12.3 [12.1, 12.6]" */

/* Three to four significant digits, "–" for what is no number. Returns buf. */
char *rb_figure_text(double x, char *buf, size_t size);
char *rb_span_text(const rb_span *s, char *buf, size_t size);

#endif
