/* Private to bench/: the columns of the main table, and of the one of forms before it.
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
    bool rivals; /* tests differ in attention: it is what the tables compare */
    bool judged; /* their distances are known */
} rb_layout;

/* Where a cell stands. */
typedef struct rb_place_in {
    const rb_subject *subject;
    const rb_result *result;
    double first_oi; /* in a sweep: of the same test at the first depth */
} rb_place_in;

/* What the cells of a column depend on. */
typedef enum {
    RB_OF_SETTING, /* the test: said once, above the table, where all tests agree */
    RB_OF_TEST,    /* the test, and rows are told by it */
    RB_OF_RESULT
} rb_column_of;

typedef struct rb_column {
    const char *head; /* NULL: the difference to the first depth, named by the report */
    bool right;
    int width; /* of cells of the result */
    rb_column_of of;
    bool (*wanted)(const rb_layout *l);            /* NULL: always */
    void (*cell)(const rb_place_in *p, char *buf); /* at most RB_CELL bytes */
} rb_column;

extern const rb_column rb_columns[];
extern const int rb_n_columns;
/* What is so of a form of attention in every test: a row a form, where forms are compared. */
extern const rb_column rb_form_columns[];
extern const int rb_n_form_columns;

#endif
