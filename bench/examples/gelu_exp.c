/* A kernel from outside: GELU by exp where rbench takes tanh, y = x / (1 + exp(-2 u)), u = sqrt(2 /
 * pi) (x + 0.044715 x^3), which is x / 2 (1 + tanh u). The same operation, hence the same useful
 * FLOPs; what a row does otherwise it says: a FLOP an element less, a special one more.
 * Built once per ISA and three times to be counted (README.md). Read next: beside.c. */
#include <rbench/kernels/chunks.h>

enum { Y, X };      /* operands of gelu */
enum { TOKENS, F }; /* its dims */

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return n_chunks(&c->t[Y]);
}

RB_INLINE vf gelu(vf x)
{
    const vf cube = v_mul(v_mul(x, x), x);
    const vf inner = v_fma(cube, v_set(s_const(0.044715)), x);
    const vf e = v_exp(v_mul(inner, v_set(s_const(-2 * 0.7978845608028654))));
    return v_div(x, v_add(v_set(s_const(1.0)), e));
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared, (void)own;
    for (int64_t u = first; u < last; u++) {
        const chunk k = chunk_at(&c->t[Y], u);
        f32 *y = (f32 *)rb_at(&c->t[Y], 0, k.token, 0);
        const f32 *x = (const f32 *)rb_at(&c->t[X], 0, k.token, 0);
        int64_t i = k.from;
        for (; i + V_LANES <= k.to; i += V_LANES)
            v_store(y + i, gelu(v_load(x + i)));
        if (i < k.to)
            v_store_n(y + i, gelu(v_load_n(x + i, k.to - i)), k.to - i);
    }
}

static rb_issued issued(const rb_call *c)
{
    return chunks_issued(&c->t[Y], 1);
}

static const rb_term one[] = { { 1, { TOKENS, F, -1 } }, { 0 } };
static const rb_kernel rows[] = {
    { RB_ROW_OF("gelu", RB_F32), .variant = "exp", .saved = one, .special_overhead = one },
};
RB_EXPORT(gelu_exp, rows);
