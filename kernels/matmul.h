/* The operation matmul: y_i[t][M_i] = x[t][K] . w_i[M_i][K]^T (+ bias_i), up to three outputs that
 * share x. One contract, included by the files that hold its rows: matmul.c over primitives,
 * matmul_blas.c over sgemm. */
#ifndef RB_MATMUL_H
#define RB_MATMUL_H

#include "op.h"

/* Operands: x, then (y, w, bias) of each output. */
enum { X, Y0, W0, B0, Y1, W1, B1, Y2, W2, B2 };
enum { N_OUT = 3, PER_OUT = 3 };

static inline const rb_view *out_y(const rb_call *c, int i)
{
    return &c->t[Y0 + i * PER_OUT];
}

static inline const rb_view *out_w(const rb_call *c, int i)
{
    return &c->t[W0 + i * PER_OUT];
}

static inline const rb_view *out_bias(const rb_call *c, int i)
{
    return &c->t[B0 + i * PER_OUT];
}

/* Rows of w and elements of one: views of packed layouts have panels for rows. */
static inline int64_t w_rows(const rb_view *w)
{
    return w->n[2] * rb_dtype_get(w->dtype)->panel_rows;
}

static inline int64_t w_columns(const rb_view *w)
{
    return w->n[3] / rb_dtype_get(w->dtype)->panel_rows;
}

extern const rb_op rb_matmul_op;
/* Elements of each w, for rows that decode them one by one. */
extern const rb_term rb_matmul_macs[];
extern const rb_term rb_w0_elements[], rb_w1_elements[], rb_w2_elements[];

/* Before the first BLAS row runs: one thread a call, and the flavour that lives with OpenMP. */
rb_status rb_blas_prepare(rb_error *err);
/* Its dims, in order, for the rows' own terms. */
enum { DIM_T, DIM_K, DIM_M0, DIM_M1, DIM_M2, DIM_BIAS0, DIM_BIAS1, DIM_BIAS2, DIM_BLOCKS };

#endif
