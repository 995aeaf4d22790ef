/* A valid problem of given extents for any op: what kernels are timed on. Values are random and
 * harmless (no NaN, nothing that grows into denormals when a launch is repeated).
 * Refuses, with a line for the user, extents that do not fit together. Read next: shaped.c. */
#ifndef RB_SHAPED_H
#define RB_SHAPED_H

#include "op.h"

enum { RB_MAX_EXTENT = 8, RB_MOST_EXTENT = INT32_MAX };

/* A named extent of the problems of an op. */
typedef struct rb_extent {
    const char *name;        /* "M" */
    const char *what;        /* "rows of w" */
    int64_t least;           /* RB_MOST_EXTENT is the most of all */
    int64_t decode, prefill; /* in llama3.2-1b, or for ops that it lacks in a model that has them */
} rb_extent;

typedef struct rb_sizes {
    int64_t at[RB_MAX_EXTENT];
} rb_sizes;

/* The extents of an op, in the order that a shape has them; ends with a NULL name. NULL: no
 * problems are made for it (roofs). */
const rb_extent *rb_extents(rb_op_id op);
rb_sizes rb_sizes_preset(rb_op_id op, rb_phase phase);
/* "M=8192 K=2048 T=1": extents that are 0 and may be so are left out. Returns buf. */
char *rb_sizes_text(rb_op_id op, const rb_sizes *s, char *buf, size_t size);

/* Operands of one problem, or n_sets of them that differ in where they lie alone: launches that
 * take turns find none in a cache. Operands that are gathered from are one for all sets, which pick
 * other rows of them. Stays where it was made. */
typedef struct rb_shaped {
    rb_call call; /* without memory: for rb_select, rb_cost_of and dry launches */
    const rb_op *op;
    rb_buffer size[RB_MAX_ARG]; /* of each operand, without memory */
    int home[RB_MAX_ARG];       /* the operand in whose buffer it lies: itself, but for parts */
    int64_t past, turn;         /* turn: how far the rows that sets pick are apart */
    int64_t n_sets;
    rb_buffer memory;  /* of all */
    rb_buffer *buffer; /* [n_sets][RB_MAX_ARG] */
} rb_shaped;

/* type: of the weights, of experts of all matrices, of attend and kv_store of everything cached; of
 * other ops RB_NO_DTYPE. Fails with RB_ERR_ARGUMENT: what is wrong, by the names of extents. */
rb_status rb_shaped_make(rb_shaped *p, rb_op_id op, rb_dtype type, const rb_sizes *shape,
                         rb_error *err);
/* What n_sets would take; UINT64_MAX: more than can be addressed. */
uint64_t rb_shaped_bytes(const rb_shaped *p, int64_t n_sets);
/* Memory, untouched: pages come to the thread that fills them. */
rb_status rb_shaped_alloc(rb_shaped *p, int64_t n_sets, rb_error *err);
/* Fills the part-th of n_parts parts of every operand; parts may be filled at the same time. */
void rb_shaped_fill(const rb_shaped *p, int part, int n_parts);
/* Points a copy of p->call at one set. */
void rb_shaped_turn(const rb_shaped *p, int64_t set, rb_call *call);
void rb_shaped_free(rb_shaped *p); /* {0} is fine */

#endif
