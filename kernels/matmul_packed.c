/* matmul with weights in packed panels of 16 rows: lanes are rows, x is broadcast, and no sum is
 * taken across lanes. Work unit: a panel. One token: weights stream through registers once, which
 * is what reading memory at its speed takes. More: a first phase lays x out tile by tile; then
 * slabs of a group of panels are decoded once into this thread's scratch and multiplied by every
 * tile. Refuses: rows that are no panel (views are never padded). Read next: matmul_packed_i8.c. */
#include "panels.h"

enum { VECS = PANEL / V_LANES };

/* Accumulators of a panel with one token; they hide the latency of a multiply-add. */
enum { CHAINS = V_LANES == 1 ? 1 : 4 };

/* A register tile, and what of the weights is decoded at a time: GROUP x SLAB x PANEL f32 stay in
 * the second-level cache while every token passes. */
enum {
    TILE_PANELS = V_LANES == 16 ? 2 : 1,
    TILE_TOKENS = V_LANES == 16  ? 12
                  : V_LANES == 8 ? 6
                                 : 1,
    GROUP = 8,
    SLAB = 512,
};

/* Up to so many tokens, plain weights are multiplied as they stream by, without scratch. */
enum { FEW = V_LANES == 16 ? 8 : V_LANES == 8 ? 6 : 1 };
_Static_assert((int)FEW <= (int)TILE_TOKENS && (int)FEW <= (int)RB_FEW_TOKENS, "one tile, planned");

static const void *panel_data(const rb_call *c, int i, int64_t m)
{
    return rb_at(out_w(c, i), 0, 0, m / PANEL);
}

/* ---- decoding: the vectors v of 16 rows, for one column or for the 4 of a group ---- */

RB_INLINE vf column(const void *w, int64_t k, int v, rb_dtype base)
{
    return load_plain(w, k * PANEL + v * V_LANES, V_LANES, base);
}

RB_INLINE void four_columns(vf out[4], const u8 *block, int group, int v, vf scale)
{
    const vi w = vi_load4(block + Q8_QUANTS + (group * PANEL + v * V_LANES) * 4);
    UNROLL
    for (int j = 0; j < 4; j++)
        out[j] = dq_mul(dq_cvt(vi_byte(w, j)), scale);
}

RB_INLINE vf scales(const u8 *block, int v)
{
    return v_load_f16((const f16 *)(block + 2 * v * V_LANES));
}

/* Columns [k0, k0 + n) of a panel as f32. */
RB_INLINE void decode_slab(f32 *dst, const void *w, int64_t k0, int64_t n, rb_dtype dtype)
{
    const rb_dtype base = dtype == RB_F16_P16 ? RB_F16 : RB_BF16;
    if (dtype != RB_Q8_0_P16) {
        for (int64_t k = 0; k < n; k++) {
            UNROLL
            for (int v = 0; v < VECS; v++)
                v_store(dst + k * PANEL + v * V_LANES, column(w, k0 + k, v, base));
        }
        dq_event(dtype, n);
        return;
    }
    const u8 *block = (const u8 *)w + k0 / BLOCK * Q8_BYTES;
    for (int64_t b = 0; b < n / BLOCK; b++, block += Q8_BYTES)
        for (int v = 0; v < VECS; v++) {
            const vf scale = scales(block, v);
            for (int g = 0; g < Q8_GROUPS; g++) {
                vf four[4];
                four_columns(four, block, g, v, scale);
                UNROLL
                for (int j = 0; j < 4; j++)
                    v_store(dst + (b * BLOCK + g * 4 + j) * PANEL + v * V_LANES, four[j]);
            }
        }
    dq_event(dtype, n / BLOCK);
}

static void decode(f32 *dst, const void *w, int64_t k0, int64_t n, rb_dtype dtype)
{
    switch (dtype) {
    case RB_F16_P16:
        decode_slab(dst, w, k0, n, RB_F16_P16);
        break;
    case RB_BF16_P16:
        decode_slab(dst, w, k0, n, RB_BF16_P16);
        break;
    default:
        decode_slab(dst, w, k0, n, RB_Q8_0_P16);
        break;
    }
}

/* ---- one token ---- */

RB_INLINE void dot_plain(vf acc[CHAINS][VECS], const void *w, const f32 *x, int64_t n,
                         rb_dtype base)
{
    int64_t k = 0;
    for (; k + CHAINS <= n; k += CHAINS) {
        UNROLL
        for (int a = 0; a < CHAINS; a++) {
            const vf xv = v_bcast(x + k + a);
            UNROLL
            for (int v = 0; v < VECS; v++)
                acc[a][v] = v_fma(column(w, k + a, v, base), xv, acc[a][v]);
        }
    }
    for (; k < n; k++) {
        const vf xv = v_bcast(x + k);
        UNROLL
        for (int v = 0; v < VECS; v++)
            acc[0][v] = v_fma(column(w, k, v, base), xv, acc[0][v]);
    }
}

RB_INLINE void dot_q8_0(vf acc[CHAINS][VECS], const u8 *block, const f32 *x, int64_t n)
{
    for (int64_t k = 0; k < n; k += BLOCK, block += Q8_BYTES) {
        UNROLL
        for (int v = 0; v < VECS; v++) {
            const vf scale = scales(block, v);
            UNROLL
            for (int g = 0; g < Q8_GROUPS; g++) {
                vf w[4];
                four_columns(w, block, g, v, scale);
                UNROLL
                for (int j = 0; j < 4; j++)
                    acc[j % CHAINS][v] =
                        v_fma(w[j], v_bcast(x + k + g * 4 + j), acc[j % CHAINS][v]);
            }
        }
    }
}

RB_INLINE void panel_one(const rb_call *c, int i, int64_t m, rb_dtype dtype)
{
    const int64_t n = c->t[X].n[3];
    const void *w = panel_data(c, i, m);
    vf acc[CHAINS][VECS];
    UNROLL
    for (int a = 0; a < CHAINS; a++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            acc[a][v] = v_zero();
    }
    if (dtype == RB_Q8_0_P16) {
        dot_q8_0(acc, w, x_row(c, 0), n);
        dq_event(dtype, n / BLOCK);
    } else {
        dot_plain(acc, w, x_row(c, 0), n, dtype == RB_F16_P16 ? RB_F16 : RB_BF16);
        dq_event(dtype, n);
    }
    UNROLL
    for (int v = 0; v < VECS; v++) {
        vf sum = acc[0][v];
        UNROLL
        for (int a = 1; a < CHAINS; a++)
            sum = v_join(sum, acc[a][v]);
        put_lanes(c, i, 0, m + v * V_LANES, sum);
    }
}

/* ---- few tokens, plain weights: x is one tile [k][token] ---- */

RB_INLINE void panel_few(const rb_call *c, int i, int64_t m, const f32 *x, rb_dtype base, int n_tok)
{
    const int64_t n = c->t[X].n[3];
    const void *w = panel_data(c, i, m);
    vf acc[FEW][VECS];
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            acc[t][v] = v_zero();
    }
    for (int64_t k = 0; k < n; k++, x += n_tok) {
        vf wv[VECS];
        UNROLL
        for (int v = 0; v < VECS; v++)
            wv[v] = column(w, k, v, base);
        UNROLL
        for (int t = 0; t < n_tok; t++) {
            const vf xv = v_bcast(x + t);
            UNROLL
            for (int v = 0; v < VECS; v++)
                acc[t][v] = v_fma(wv[v], xv, acc[t][v]);
        }
    }
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            put_lanes(c, i, t, m + v * V_LANES, acc[t][v]);
    }
}

RB_INLINE void panel_few_as(const rb_call *c, int i, int64_t m, const f32 *x, rb_dtype base)
{
    switch (n_tokens(c)) {
    case 2:
        panel_few(c, i, m, x, base, FEW < 2 ? FEW : 2);
        break;
    case 3:
        panel_few(c, i, m, x, base, FEW < 3 ? FEW : 3);
        break;
    case 4:
        panel_few(c, i, m, x, base, FEW < 4 ? FEW : 4);
        break;
    case 5:
        panel_few(c, i, m, x, base, FEW < 5 ? FEW : 5);
        break;
    case 6:
        panel_few(c, i, m, x, base, FEW < 6 ? FEW : 6);
        break;
    case 7:
        panel_few(c, i, m, x, base, FEW < 7 ? FEW : 7);
        break;
    default:
        panel_few(c, i, m, x, base, FEW);
        break;
    }
}

static void panel_few_tokens(const rb_call *c, int i, int64_t m, const f32 *x)
{
    if (c->t[W0].dtype == RB_F16_P16)
        panel_few_as(c, i, m, x, RB_F16);
    else
        panel_few_as(c, i, m, x, RB_BF16);
    dq_event(c->t[W0].dtype, c->t[X].n[3]);
}

/* ---- many tokens ---- */

/* Unit u of the first phase lays out columns [u SLAB, (u + 1) SLAB) of x, each tile as [k][token].
 */
static void lay_out(const rb_call *c, int64_t u, f32 *shared)
{
    const int64_t n = c->t[X].n[3], end = (u + 1) * SLAB < n ? (u + 1) * SLAB : n;
    for (int64_t t = 0; t < n_tokens(c); t += TILE_TOKENS) {
        const int n_tok = tokens_from(c, t, TILE_TOKENS);
        const f32 *x[TILE_TOKENS];
        f32 *to = shared + t * n;
        for (int j = 0; j < n_tok; j++)
            x[j] = x_row(c, t + j);
        for (int64_t k = u * SLAB; k < end; k++)
            for (int j = 0; j < n_tok; j++)
                s_store(to + k * n_tok + j, s_load(x[j] + k));
    }
}

/* Columns [k0, k0 + n) of some panels of one output, which stand decoded as [panel][SLAB][PANEL].
 */
typedef struct slab {
    const rb_call *c;
    int out;
    int64_t k0, n;
} slab;

/* A register tile: rows m .. of n_panel panels at w, n_tok tokens at x[k][step]. */
RB_INLINE void tile(const slab *s, int64_t m, const f32 *w, int64_t token, const f32 *x,
                    int64_t step, int n_panel, int n_tok)
{
    vf acc[TILE_TOKENS][TILE_PANELS * VECS];
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        const f32 *y = y_row(s->c, s->out, token + t) + m;
        UNROLL
        for (int i = 0; i < n_panel * VECS; i++)
            acc[t][i] = s->k0 == 0 ? v_zero() : v_load(y + i * V_LANES);
    }
    for (int64_t k = 0; k < s->n; k++) {
        vf wv[TILE_PANELS * VECS];
        UNROLL
        for (int i = 0; i < n_panel * VECS; i++)
            wv[i] = v_load(w + i / VECS * SLAB * PANEL + k * PANEL + i % VECS * V_LANES);
        UNROLL
        for (int t = 0; t < n_tok; t++) {
            const vf xv = v_bcast(x + k * step + t);
            UNROLL
            for (int i = 0; i < n_panel * VECS; i++)
                acc[t][i] = v_fma(wv[i], xv, acc[t][i]);
        }
    }
    const bool last = s->k0 + s->n == s->c->t[X].n[3];
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        f32 *y = y_row(s->c, s->out, token + t) + m;
        UNROLL
        for (int i = 0; i < n_panel * VECS; i++) {
            if (last)
                put_lanes(s->c, s->out, token + t, m + i * V_LANES, acc[t][i]);
            else
                v_store(y + i * V_LANES, acc[t][i]);
        }
    }
}

static NOINLINE void tile_full(const slab *s, int64_t m, const f32 *w, int64_t token, const f32 *x)
{
    tile(s, m, w, token, x, TILE_TOKENS, TILE_PANELS, TILE_TOKENS);
}

static NOINLINE void tile_four(const slab *s, int64_t m, const f32 *w, int64_t token, const f32 *x,
                               int64_t step)
{
    tile(s, m, w, token, x, step, TILE_PANELS, TILE_TOKENS < 4 ? TILE_TOKENS : 4);
}

static NOINLINE void tile_two(const slab *s, int64_t m, const f32 *w, int64_t token, const f32 *x,
                              int64_t step)
{
    tile(s, m, w, token, x, step, TILE_PANELS, TILE_TOKENS < 2 ? TILE_TOKENS : 2);
}

static NOINLINE void tile_one(const slab *s, int64_t m, const f32 *w, int64_t token, const f32 *x,
                              int64_t step)
{
    tile(s, m, w, token, x, step, TILE_PANELS, 1);
}

static NOINLINE void panel_four(const slab *s, int64_t m, const f32 *w, int64_t token, const f32 *x,
                                int64_t step)
{
    tile(s, m, w, token, x, step, 1, TILE_TOKENS < 4 ? TILE_TOKENS : 4);
}

static NOINLINE void panel_token(const slab *s, int64_t m, const f32 *w, int64_t token,
                                 const f32 *x, int64_t step)
{
    tile(s, m, w, token, x, step, 1, 1);
}

/* TILE_PANELS panels against a tile of n_tok tokens. */
static void tile_any(const slab *s, int64_t m, const f32 *w, int64_t token, const f32 *x, int n_tok)
{
    int t = 0;
    if (n_tok == TILE_TOKENS) {
        tile_full(s, m, w, token, x);
        return;
    }
    for (; t + 4 <= n_tok; t += 4)
        tile_four(s, m, w, token + t, x + t, n_tok);
    for (; t + 2 <= n_tok; t += 2)
        tile_two(s, m, w, token + t, x + t, n_tok);
    if (t < n_tok)
        tile_one(s, m, w, token + t, x + t, n_tok);
}

/* One panel, where TILE_PANELS do not divide the group. */
static void panel_any(const slab *s, int64_t m, const f32 *w, int64_t token, const f32 *x,
                      int n_tok)
{
    int t = 0;
    for (; t + 4 <= n_tok; t += 4)
        panel_four(s, m, w, token + t, x + t, n_tok);
    for (; t < n_tok; t++)
        panel_token(s, m, w, token + t, x + t, n_tok);
}

/* n_panel panels from row m of output i against every token: the slab stays, the tiles pass. */
static void group_many(const rb_call *c, int i, int64_t m, int n_panel, const f32 *shared, f32 *own)
{
    const int64_t n = c->t[X].n[3], n_tok = n_tokens(c);
    for (int64_t k0 = 0; k0 < n; k0 += SLAB) {
        const slab s = { c, i, k0, n - k0 < SLAB ? n - k0 : SLAB };
        for (int p = 0; p < n_panel; p++)
            decode(own + p * SLAB * PANEL, panel_data(c, i, m + p * PANEL), k0, s.n,
                   c->t[W0].dtype);
        for (int64_t t = 0; t < n_tok; t += TILE_TOKENS) {
            const int tokens = tokens_from(c, t, TILE_TOKENS);
            const f32 *x = shared + t * n + k0 * tokens;
            int p = 0;
            for (; p + TILE_PANELS <= n_panel; p += TILE_PANELS)
                tile_any(&s, m + p * PANEL, own + p * SLAB * PANEL, t, x, tokens);
            for (; p < n_panel; p++)
                panel_any(&s, m + p * PANEL, own + p * SLAB * PANEL, t, x, tokens);
        }
    }
}

/* ---- the rows ---- */

/* Whether weights are decoded into scratch. */
static bool decodes(const rb_call *c)
{
    return n_tokens(c) > (c->t[W0].dtype == RB_Q8_0_P16 ? 1 : FEW);
}

static int64_t units(const rb_call *c, int phase)
{
    if (phase == 1)
        return n_panels(c);
    return n_tokens(c) > 1 ? (c->t[X].n[3] + SLAB - 1) / SLAB : 0;
}

static int64_t shared_bytes(const rb_call *c)
{
    return n_tokens(c) > 1 ? n_tokens(c) * c->t[X].n[3] * (int64_t)sizeof(f32) : 0;
}

static int64_t own_bytes(const rb_call *c)
{
    return decodes(c) ? GROUP * SLAB * PANEL * (int64_t)sizeof(f32) : 0;
}

static void panel_one_token(const rb_call *c, int i, int64_t m)
{
    switch (c->t[W0].dtype) {
    case RB_F16_P16:
        panel_one(c, i, m, RB_F16_P16);
        break;
    case RB_BF16_P16:
        panel_one(c, i, m, RB_BF16_P16);
        break;
    default:
        panel_one(c, i, m, RB_Q8_0_P16);
        break;
    }
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    if (phase == 0) {
        for (int64_t u = first; u < last; u++)
            lay_out(c, u, shared);
        return;
    }
    for (int64_t u = first, n = 1; u < last; u += n) {
        const panel p = panel_at(c, u);
        if (decodes(c)) {
            /* panels of this range and this output; how they are grouped changes no sum */
            n = panels_of(c, p.out) - p.m / PANEL;
            n = n < last - u ? n : last - u;
            n = n < GROUP ? n : GROUP;
            group_many(c, p.out, p.m, (int)n, shared, own);
        } else if (n_tokens(c) > 1) {
            panel_few_tokens(c, p.out, p.m, shared);
        } else {
            panel_one_token(c, p.out, p.m);
        }
    }
}

#define ROW(type)                                                                                  \
    {                                                                                              \
        .op = &rb_matmul_op, .isa = RB_ISA_ID, .dtype = type, .n_phase = 2, .units = units,        \
        .run = run, .shared_bytes = shared_bytes, .own_bytes = own_bytes, .decode = {              \
            { W0, rb_w0_elements },                                                                \
            { W1, rb_w1_elements },                                                                \
            { W2, rb_w2_elements }                                                                 \
        }                                                                                          \
    }
static const rb_kernel rows[] = { ROW(RB_F16_P16), ROW(RB_BF16_P16), ROW(RB_Q8_0_P16) };
RB_EXPORT(matmul_packed, rows);
