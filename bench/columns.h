/* Private to bench/: the columns of the main table.
 * No figure is computed here, only shown.
 * Read next: columns.c. */
#ifndef RB_COLUMNS_H
#define RB_COLUMNS_H

#include "record.h"
#include "table.h"

/* What decides which columns there are. */
typedef struct rb_layout {
    const rb_plan *plan;
    bool dry, sweep, roofs, peers;
} rb_layout;

/* Where a cell stands. */
typedef struct rb_place_in {
    const rb_subject *subject;
    const rb_result *result;
    double first_oi; /* in a sweep: of the same test at the first depth */
} rb_place_in;

typedef struct rb_column {
    const char *head; /* NULL: the difference to the first depth, named by the report */
    bool right;
    int width;                          /* of measured cells */
    bool measured;                      /* cells depend on the result, not on the test alone */
    bool (*wanted)(const rb_layout *l); /* NULL: always */
    void (*cell)(const rb_place_in *p, char *buf); /* at most RB_CELL bytes */
} rb_column;

extern const rb_column rb_columns[];
extern const int rb_n_columns;

#endif
