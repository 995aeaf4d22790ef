/* Activations of ungated feed-forward networks, element by element: relu2, y = max(x, 0)^2 (So et
 * al. 2021); gelu by tanh, and gelu_erf exactly (Hendrycks & Gimpel 2016). Work unit: a chunk of
 * columns. Refuses heads. Read next: chunks.h; glu.c, for gated ones. */
#include "chunks.h"

enum { Y, X };
enum { TOKENS, F };

static const char *check(const rb_call *c)
{
    if (!rb_view_same_shape(&c->t[Y], &c->t[X]))
        return "y and x differ in shape";
    return check_chunks(&c->t[Y]);
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return n_chunks(&c->t[Y]);
}

RB_INLINE vf relu2(vf x, int64_t n)
{
    const vf r = v_keep_n(v_max_n(v_zero(), x, n), n);
    return v_mul(r, r);
}

/* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
RB_INLINE vf gelu(vf x, int64_t n)
{
    (void)n;
    const vf cube = v_mul(v_mul(x, x), x);
    const vf inner = v_fma(cube, v_set(s_const(0.044715)), x);
    const vf t = v_tanh(v_mul(inner, v_set(s_const(0.7978845608028654))));
    return v_mul(v_mul(x, v_set(s_const(0.5))), v_add(t, v_set(s_const(1.0))));
}

/* x / 2 (1 + erf(x / sqrt(2))) */
RB_INLINE vf gelu_erf(vf x, int64_t n)
{
    (void)n;
    const vf t = v_erf(v_mul(x, v_set(s_const(0.7071067811865476))));
    return v_mul(v_mul(x, v_set(s_const(0.5))), v_add(t, v_set(s_const(1.0))));
}

RB_INLINE void run_as(const rb_call *c, int64_t first, int64_t last, vf (*f)(vf x, int64_t n))
{
    for (int64_t u = first; u < last; u++) {
        const chunk k = chunk_at(&c->t[Y], u);
        f32 *y = (f32 *)rb_at(&c->t[Y], 0, k.token, 0);
        const f32 *x = (const f32 *)rb_at(&c->t[X], 0, k.token, 0);
        int64_t i = k.from;
        for (; i + V_LANES <= k.to; i += V_LANES)
            v_store(y + i, f(v_load(x + i), V_LANES));
        if (i < k.to)
            v_store_n(y + i, f(v_load_n(x + i, k.to - i), k.to - i), k.to - i);
    }
}

static void run_relu2(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                      void *own)
{
    (void)phase, (void)shared, (void)own;
    run_as(c, first, last, relu2);
}

static void run_gelu(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                     void *own)
{
    (void)phase, (void)shared, (void)own;
    run_as(c, first, last, gelu);
}

static void run_gelu_erf(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                         void *own)
{
    (void)phase, (void)shared, (void)own;
    run_as(c, first, last, gelu_erf);
}

static rb_issued issued(const rb_call *c)
{
    return chunks_issued(&c->t[Y], 1);
}

static const rb_term nothing[] = { { 0 } };
static const rb_term one[] = { { 1, { TOKENS, F, -1 } }, { 0 } };
static const rb_term five[] = { { 5, { TOKENS, F, -1 } }, { 0 } };
static const rb_term nine[] = { { 9, { TOKENS, F, -1 } }, { 0 } };

#define OP(op_id, op_name, n_flops, n_special)                                                     \
    {                                                                                              \
        .id = op_id, .name = op_name,                                                              \
        .arg = { { "y", 'w', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },                                      \
                 { "x", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 } },                                    \
        .token_arg = Y, .key_arg = X, .dim = { { "T", Y, 1, NULL }, { "F", Y, 3, NULL } },         \
        .flops = n_flops, .special = n_special, .check = check                                     \
    }
static const rb_op op_relu2 = OP(RB_OP_RELU2, "relu2", one, nothing);
static const rb_op op_gelu = OP(RB_OP_GELU, "gelu", nine, one);
static const rb_op op_gelu_erf = OP(RB_OP_GELU_ERF, "gelu_erf", five, one);

#define ROW(of, run_it)                                                                            \
    {                                                                                              \
        .op = of, .isa = RB_ISA_ID, .dtype = RB_F32, .n_phase = 1, .units = units, .run = run_it,  \
        .issued = issued                                                                           \
    }
static const rb_kernel rows[] = { ROW(&op_relu2, run_relu2), ROW(&op_gelu, run_gelu),
                                  ROW(&op_gelu_erf, run_gelu_erf) };
RB_EXPORT(act, rows);
