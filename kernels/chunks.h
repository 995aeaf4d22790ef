/* Work units of operations that go element by element: up to CHUNK columns of one row, so that a
 * single token still feeds every thread. Refuses heads and more than one sequence axis: reshape
 * them away. Read next: elt.c, glu.c, act.c. */
#ifndef RB_CHUNKS_H
#define RB_CHUNKS_H

#include "rows.h"

enum { CHUNK = 512 };

/* Columns from .. to - 1 of a token's row. */
typedef struct chunk {
    int64_t token, from, to;
} chunk;

static inline const char *check_chunks(const rb_view *v)
{
    return v->n[0] == 1 && v->n[2] == 1 ? NULL : "one sequence axis, one head are wanted";
}

static inline int64_t chunks_of_row(const rb_view *v)
{
    return (v->n[3] + CHUNK - 1) / CHUNK;
}

static inline int64_t n_chunks(const rb_view *v)
{
    return v->n[1] * chunks_of_row(v);
}

/* Of as many operands of v's shape that are loaded and one that is stored. */
static inline rb_issued chunks_issued(const rb_view *v, int64_t n_loaded)
{
    rb_issued sum = { 0 };
    issue(&sum, rb_view_elements(v), f32_bytes(n_loaded), f32_bytes(1));
    return sum;
}

static inline chunk chunk_at(const rb_view *v, int64_t u)
{
    const int64_t n = chunks_of_row(v), from = u % n * CHUNK;
    return (chunk){ u / n, from, from + CHUNK < v->n[3] ? from + CHUNK : v->n[3] };
}

#endif
