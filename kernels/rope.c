/* rope: rotates pairs of columns of q and k in place by their token's position; NORM pairs
 * (2j, 2j+1), NEOX pairs (j, j + d/2) (Su et al. 2021, eq. 34). Work unit: one head of one token,
 * q's heads first. The views cover the rotated columns only, so partial rotation needs no code
 * here. Read next: tables.h, where cos and sin come from. */
#include "rows.h"

enum { Q, K, TABLE, POS };
enum { TOKENS, HEADS, D_ROT };

static int64_t n_tokens(const rb_call *c)
{
    return c->t[Q].n[0] * c->t[Q].n[1];
}

static int64_t n_heads(const rb_call *c)
{
    return c->t[Q].n[2] + (c->t[K].buffer ? c->t[K].n[2] : 0);
}

static const char *check(const rb_call *c)
{
    const rb_view *q = &c->t[Q], *k = &c->t[K];
    if (k->buffer && (k->n[0] != q->n[0] || k->n[1] != q->n[1] || k->n[3] != q->n[3]))
        return "q and k differ in tokens or rotated columns";
    if (q->n[3] % 2 != 0 || c->t[TABLE].n[3] != q->n[3])
        return "the table is not as wide as the rotated columns, or these are odd";
    return c->t[POS].n[3] == n_tokens(c) ? NULL : "one position a token is wanted";
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return n_tokens(c) * n_heads(c);
}

static void rotate_norm(f32 *x, const f32 *cs, int64_t half)
{
    for (int64_t j = 0; j < half; j += V_LANES) {
        const int64_t n = lanes_at(j, half);
        const vf co = v_load_n(cs + j, n), si = v_load_n(cs + half + j, n);
        vf a, b;
        v_load2_n(x + 2 * j, n, &a, &b);
        v_store2_n(x + 2 * j, n, v_fnma(b, si, v_mul(a, co)), v_fma(b, co, v_mul(a, si)));
    }
}

static void rotate_neox(f32 *x, const f32 *cs, int64_t half)
{
    for (int64_t j = 0; j < half; j += V_LANES) {
        const int64_t n = lanes_at(j, half);
        const vf co = v_load_n(cs + j, n), si = v_load_n(cs + half + j, n);
        const vf a = v_load_n(x + j, n), b = v_load_n(x + half + j, n);
        v_store_n(x + j, v_fnma(b, si, v_mul(a, co)), n);
        v_store_n(x + half + j, v_fma(b, co, v_mul(a, si)), n);
    }
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared, (void)own;
    const rb_view *q = &c->t[Q];
    const void *pos = rb_at(&c->t[POS], 0, 0, 0);
    const int64_t heads = n_heads(c);
    for (int64_t u = first; u < last; u++) {
        const int64_t token = u / heads, h = u % heads;
        const rb_view *v = h < q->n[2] ? q : &c->t[K];
        f32 *x = (f32 *)rb_at(v, token / q->n[1], token % q->n[1], h < q->n[2] ? h : h - q->n[2]);
        const f32 *cs = (const f32 *)rb_at(&c->t[TABLE], 0, 0, c_load(pos, token));
        (c->p.pairing == RB_ROPE_NORM ? rotate_norm : rotate_neox)(x, cs, q->n[3] / 2);
    }
}

/* The columns of a head, and as many of the table: cosines and sines. */
static rb_issued issued(const rb_call *c)
{
    const int64_t d = c->t[Q].n[3];
    rb_issued sum = { 0 };
    issue(&sum, units(c, 0), f32_bytes(2 * d), f32_bytes(d));
    return sum;
}

static const rb_term flops[] = { { 3, { TOKENS, HEADS, D_ROT } }, { 0 } };
static const rb_term nothing[] = { { 0 } };

static const rb_op op = {
    .id = RB_OP_ROPE,
    .name = "rope",
    .arg = { { "q", 'u', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "k", 'u', RB_ROWS_ALL, -1, RB_IS_ACT, RB_OPTIONAL },
             { "table", 'r', RB_ROWS_GATHERED, POS, RB_IS_ACT, 0 },
             { "pos", 'r', RB_ROWS_ALL, -1, RB_IS_CTRL, 0 } },
    .token_arg = Q,
    .key_arg = Q,
    .dim = { { "tokens", Q, 0, n_tokens }, { "heads", Q, 0, n_heads }, { "d_rot", Q, 3, NULL } },
    .flops = flops,
    .special = nothing,
    .check = check,
};

static const rb_kernel rows[] = { { RB_ROW(RB_F32) } };
RB_EXPORT(rope, rows);
