/* Private to bench/: records as comma-separated values. One set of columns for all records, so that
 * files can be put one below the other; lists (samples, kernels, roofs) have no place in them.
 * Read next: csv.c. */
#ifndef RB_CSV_H
#define RB_CSV_H

#include "bench.h"

#include <jansson.h>

/* A column: the path of a field ("bytes.weight"), and its name where it is not the field's own with
 * "_" for ".". */
typedef struct rb_csv_column {
    const char *field, *name;
} rb_csv_column;
/* A line of n columns: of a record's values, or of the columns' names (record NULL). */
void rb_csv_line(FILE *out, const rb_csv_column *column, int n, const json_t *record);

/* A line each, ended by \n; the caller flushes. */
void rb_csv_head(FILE *out);
void rb_csv_row(FILE *out, const json_t *record);
/* Whether a column shows this field of a record; fields of objects as "bytes.weight". */
bool rb_csv_shows(const char *field);

#endif
