/* The operation experts: its operands and extents, which are both the bounds of its loops and the
 * dims of its counts. No data is touched here.
 * Read next: experts_op.c (the terms), experts.c. */
#ifndef RB_EXPERTS_H
#define RB_EXPERTS_H

#include "op.h"

enum { Y, X, GATE, UP, DOWN, ID, SHARE, SHARED_GATE, SHARED_UP, SHARED_DOWN, INP };

static inline int64_t n_tokens(const rb_call *c)
{
    return c->t[X].n[1];
}

/* Of the stacks; 0 without routed experts. */
static inline int64_t n_experts(const rb_call *c)
{
    return c->t[GATE].buffer ? c->t[GATE].n[2] : 0;
}

/* Pairs of a token and an expert that it takes. */
static inline int64_t n_pairs(const rb_call *c)
{
    return c->t[GATE].buffer ? n_tokens(c) * c->t[ID].n[3] : 0;
}

/* Rows of gate and up, of a routed and of the shared expert; 0: there is none. */
static inline int64_t d_expert(const rb_call *c)
{
    return c->t[GATE].buffer ? c->t[GATE].n[3] / c->t[X].n[3] : 0;
}

static inline int64_t d_shared(const rb_call *c)
{
    return c->t[SHARED_GATE].buffer ? c->t[SHARED_GATE].n[2] : 0;
}

extern const rb_op rb_experts_op;
/* Elements that are decoded of each stack, of each matrix of the shared expert. */
extern const rb_term rb_experts_matrix[], rb_experts_shared[];

#endif
