/* What the kernels of matmul share: panels of an output's rows as work units, and the store of a
 * finished sum. Included by matmul's kernel files only; knows nothing of dtypes.
 * Read next: matmul.c, matmul_i8.c. */
#ifndef RB_PANELS_H
#define RB_PANELS_H

#include "matmul.h"
#include "rows.h"

/* Rows of a panel. */
enum { PANEL = RB_PANEL_ROWS };

/* Rows m .. m + n_row - 1 of output out. */
typedef struct panel {
    int out, n_row;
    int64_t m;
} panel;

static inline int64_t n_tokens(const rb_call *c)
{
    return c->t[X].n[0] * c->t[X].n[1];
}

/* Tokens of the tile that starts at token t, of at most so many. */
static inline int tokens_from(const rb_call *c, int64_t t, int most)
{
    const int64_t rest = n_tokens(c) - t;
    return rest < most ? (int)rest : most;
}

static inline int64_t panels_of(const rb_call *c, int i)
{
    return out_w(c, i)->buffer ? (w_rows(out_w(c, i)) + PANEL - 1) / PANEL : 0;
}

static inline int64_t n_panels(const rb_call *c)
{
    return panels_of(c, 0) + panels_of(c, 1) + panels_of(c, 2);
}

/* Panel number u, counted over all outputs. */
static inline panel panel_at(const rb_call *c, int64_t u)
{
    panel p = { 0 };
    while (u >= panels_of(c, p.out))
        u -= panels_of(c, p.out++);
    p.m = u * PANEL;
    const int64_t rest = w_rows(out_w(c, p.out)) - p.m;
    p.n_row = rest < PANEL ? (int)rest : PANEL;
    return p;
}

/* Row of x or y of a token, counted over all sequences; divisions are for several of them. */
static inline f32 *token_row(const rb_view *v, int64_t token)
{
    return (f32 *)(v->n[0] == 1 ? rb_at(v, 0, token, 0)
                                : rb_at(v, token / v->n[1], token % v->n[1], 0));
}

static inline const f32 *x_row(const rb_call *c, int64_t token)
{
    return token_row(&c->t[X], token);
}

static inline f32 *y_row(const rb_call *c, int out, int64_t token)
{
    return token_row(out_y(c, out), token);
}

/* V_LANES outputs from m on at once. */
RB_INLINE void put_lanes(const rb_call *c, int out, int64_t token, int64_t m, vf sum)
{
    const rb_view *bias = out_bias(c, out);
    if (bias->buffer)
        sum = v_add(sum, v_load((const f32 *)rb_at(bias, 0, 0, 0) + m));
    v_store(y_row(c, out, token) + m, sum);
}

/* y[token][m] = sum (+ bias[m]) */
static inline void put(const rb_call *c, int out, int64_t token, int64_t m, sf sum)
{
    const rb_view *bias = out_bias(c, out);
    if (bias->buffer)
        sum = s_add(sum, s_load((const f32 *)rb_at(bias, 0, 0, 0) + m));
    s_store(y_row(c, out, token) + m, sum);
}

/* Issued bytes of output i, finished and stored. */
static inline rb_issued put_issued(const rb_call *c, int i)
{
    const bool biased = out_bias(c, i)->buffer != NULL;
    rb_issued sum = { 0 };
    if (out_w(c, i)->buffer)
        issue(&sum, n_tokens(c) * w_rows(out_w(c, i)), f32_bytes(biased), f32_bytes(1));
    return sum;
}

#endif
