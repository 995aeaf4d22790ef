/* The contract of matmul: operands, dims, FLOPs 2 T M K (+ T M with bias) for each output.
 * Refuses outputs of one launch whose weights differ in dtype.
 * Read next: matmul.c, the kernels. */
#include "matmul.h"

static const char *check(const rb_call *c)
{
    const rb_view *x = &c->t[X];
    if (x->n[2] != 1)
        return "x has heads: reshape them into columns";
    for (int i = 0; i < N_OUT; i++) {
        const rb_view *y = out_y(c, i), *w = out_w(c, i), *b = out_bias(c, i);
        if (!y->buffer != !w->buffer || (b->buffer && !w->buffer))
            return "an output needs y and w, and a bias needs both";
        if (!w->buffer)
            continue;
        if (w->n[0] != 1 || w->n[1] != 1 || w_columns(w) != x->n[3])
            return "w is not one matrix as wide as x";
        if (y->n[0] != x->n[0] || y->n[1] != x->n[1] || y->n[2] != 1 || y->n[3] != w_rows(w))
            return "y does not have x's rows and w's rows as columns";
        if (b->buffer && (b->n[3] != w_rows(w) || rb_view_elements(b) != w_rows(w)))
            return "the bias is not one row as long as w has rows";
        if (w->dtype != c->t[W0].dtype)
            return "outputs of one launch have w of one dtype";
    }
    return NULL;
}

static int64_t n_rows(const rb_call *c)
{
    return c->t[X].n[0] * c->t[X].n[1];
}

static int64_t m_of(const rb_call *c, int i)
{
    return out_w(c, i)->buffer ? w_rows(out_w(c, i)) : 0;
}

static int64_t m0(const rb_call *c)
{
    return m_of(c, 0);
}

static int64_t m1(const rb_call *c)
{
    return m_of(c, 1);
}

static int64_t m2(const rb_call *c)
{
    return m_of(c, 2);
}

/* Blocks of 32 in a row, for rows that work block by block. */
static int64_t n_blocks(const rb_call *c)
{
    return c->t[X].n[3] / 32;
}

static const rb_term flops[] = {
    { 2, { DIM_T, DIM_M0, DIM_K } },
    { 2, { DIM_T, DIM_M1, DIM_K } },
    { 2, { DIM_T, DIM_M2, DIM_K } },
    { 1, { DIM_T, DIM_BIAS0, -1 } },
    { 1, { DIM_T, DIM_BIAS1, -1 } },
    { 1, { DIM_T, DIM_BIAS2, -1 } },
    { 0 },
};
static const rb_term nothing[] = { { 0 } };

#define OUT(y, w, bias, more)                                                                      \
    { y, 'w', RB_ROWS_ALL, -1, RB_IS_ACT, more },                                                  \
        { w, 'r', RB_ROWS_ALL, -1, RB_IS_WEIGHT, (more) | RB_ANY_DTYPE },                          \
    {                                                                                              \
        bias, 'r', RB_ROWS_ALL, -1, RB_IS_WEIGHT, RB_OPTIONAL                                      \
    }

const rb_op rb_matmul_op = {
    .id = RB_OP_MATMUL,
    .name = "matmul",
    .arg = { { "x", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             OUT("y0", "w0", "bias0", 0),
             OUT("y1", "w1", "bias1", RB_OPTIONAL),
             OUT("y2", "w2", "bias2", RB_OPTIONAL) },
    .token_arg = X,
    .key_arg = W0,
    .dim = { { "T", X, 0, n_rows },
             { "K", X, 3, NULL },
             { "M0", W0, 2, m0 },
             { "M1", W1, 2, m1 },
             { "M2", W2, 2, m2 },
             { "bias0", B0, 3, NULL },
             { "bias1", B1, 3, NULL },
             { "bias2", B2, 3, NULL },
             { "blocks", X, 3, n_blocks } },
    .flops = flops,
    .special = nothing,
    .check = check,
};

/* Rows that multiply in integers or bf16 do all products that way. */
const rb_term rb_matmul_macs[] = {
    { 1, { DIM_T, DIM_M0, DIM_K } },
    { 1, { DIM_T, DIM_M1, DIM_K } },
    { 1, { DIM_T, DIM_M2, DIM_K } },
    { 0 },
};
const rb_term rb_w0_elements[] = { { 1, { DIM_M0, DIM_K, -1 } }, { 0 } };
const rb_term rb_w1_elements[] = { { 1, { DIM_M1, DIM_K, -1 } }, { 0 } };
const rb_term rb_w2_elements[] = { { 1, { DIM_M2, DIM_K, -1 } }, { 0 } };
