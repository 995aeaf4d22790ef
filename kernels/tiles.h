/* Packed panels times tokens, in elements of 4 bytes: f32, or pairs of bf16. Of few tokens weights
 * are multiplied as they stream by; of more a first phase lays x out tile by tile, and slabs of a
 * group of panels are copied or decoded once into this thread's scratch, where they stay while all
 * tiles pass. The includer says what an element is (ELEMENT_COLUMNS, element, element_load, _bcast,
 * _mul, _store, elements_stored, one_element, two_elements) and defines fill_slab and slab_loads.
 * Refuses to be a file of its own. Read next: matmul_packed.c, matmul_packed_bf16.c. */
#ifndef RB_TILES_H
#define RB_TILES_H

#include "quants.h"

/* A register tile, and what of the weights is decoded at a time: GROUP x SLAB x PANEL f32 stay in
 * the second-level cache while every token passes. */
enum {
    TILE_PANELS = V_LANES == 16 ? 2 : 1,
    TILE_TOKENS = V_LANES == 16  ? 12
                  : V_LANES == 8 ? 6
                                 : 1,
    GROUP = 16,
    SLAB = 256,
};

/* Up to so many tokens, weights that need no decoding to scratch are multiplied as they stream by.
 */
enum { FEW = V_LANES == 16 ? 8 : V_LANES == 8 ? 6 : 1 };
_Static_assert((int)FEW <= (int)TILE_TOKENS && (int)FEW <= (int)RB_FEW_TOKENS, "one tile, planned");

enum { SLABS_BYTES = GROUP * SLAB * PANEL * 4, LAY_BYTES = TILE_TOKENS * V_LANES * 4 };

static int64_t n_elements(const rb_call *c)
{
    return c->t[X].n[3] / ELEMENT_COLUMNS;
}

static int64_t slabs_of(const rb_call *c)
{
    return (n_elements(c) + SLAB - 1) / SLAB;
}

static const void *panel_data(const rb_call *c, int i, int64_t m)
{
    return rb_at(out_w(c, i), 0, 0, m / PANEL);
}

static rb_dtype base_of(const rb_call *c)
{
    return rb_dtype_get(c->t[W0].dtype)->base;
}

/* Unit u of the first phase lays out elements [u SLAB, (u + 1) SLAB) of x, each tile as [k][token],
 * by way of this thread's scratch. */
static void lay_out(const rb_call *c, int64_t u, f32 *shared, f32 *own)
{
    const int64_t n = n_elements(c), end = (u + 1) * SLAB < n ? (u + 1) * SLAB : n;
    for (int64_t t = 0; t < n_tokens(c); t += TILE_TOKENS) {
        const int n_tok = tokens_from(c, t, TILE_TOKENS);
        for (int64_t k = u * SLAB; k < end; k += V_LANES) {
            const int64_t lanes = lanes_at(k, end);
            f32 *to = shared + t * n + k * n_tok;
            for (int j = 0; j < n_tok; j++)
                element_store(own + j * V_LANES, x_row(c, t + j) + k * ELEMENT_COLUMNS, lanes);
            for (int64_t i = 0; i < lanes; i++)
                for (int j = 0; j < n_tok; j++)
                    s_store(to + i * n_tok + j, s_load(own + j * V_LANES + i));
        }
    }
}

/* Issued bytes: x once, by way of scratch, where vectors may be stored whole. */
static rb_issued lay_out_issued(const rb_call *c)
{
    const int64_t n = n_elements(c);
    rb_issued sum = { 0 };
    issue(&sum, n_tokens(c), f32_bytes(n * ELEMENT_COLUMNS + n), f32_bytes(elements_stored(n) + n));
    return sum;
}

/* Elements [k0, k0 + n) of some panels of one output, which stand as [panel][SLAB][PANEL]. */
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
        element wv[TILE_PANELS * VECS];
        UNROLL
        for (int i = 0; i < n_panel * VECS; i++)
            wv[i] = element_load(w + i / VECS * SLAB * PANEL + k * PANEL + i % VECS * V_LANES);
        UNROLL
        for (int t = 0; t < n_tok; t++) {
            const element xv = element_bcast(x + k * step + t);
            UNROLL
            for (int i = 0; i < n_panel * VECS; i++)
                acc[t][i] = element_mul(wv[i], xv, acc[t][i]);
        }
    }
    const bool last = s->k0 + s->n == n_elements(s->c);
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

/* How many register tiles either has. */
static int tiles_in(int n_tok, bool one_panel)
{
    if (one_panel)
        return n_tok / 4 + n_tok % 4;
    return n_tok == TILE_TOKENS ? 1 : n_tok / 4 + n_tok % 4 / 2 + n_tok % 2;
}

/* n_panel panels from row m of output i against every token: the slab stays, the tiles pass. */
static void group_many(const rb_call *c, int i, int64_t m, int n_panel, const f32 *shared, f32 *own)
{
    const int64_t n = n_elements(c), n_tok = n_tokens(c);
    for (int64_t k0 = 0; k0 < n; k0 += SLAB) {
        const slab s = { c, i, k0, n - k0 < SLAB ? n - k0 : SLAB };
        for (int p = 0; p < n_panel; p++)
            fill_slab(own + p * SLAB * PANEL, panel_data(c, i, m + p * PANEL), k0, s.n, base_of(c));
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

/* ---- few tokens: elements are multiplied as they stream by, without scratch ---- */

/* The sums of a token; those that hide the latency of a multiply-add where tokens are too few. */
enum { SUMS = 2, MOST_SUMS = 8 };

typedef struct few_sum {
    vf acc[FEW][SUMS][VECS];
} few_sum;

RB_INLINE void few_add(few_sum *s, int sum, const element w[VECS], const f32 *x, int n_tok)
{
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        const element xv = element_bcast(x + t);
        UNROLL
        for (int v = 0; v < VECS; v++)
            s->acc[t][sum][v] = element_mul(w[v], xv, s->acc[t][sum][v]);
    }
}

RB_INLINE void few_begin(few_sum *s, int n_tok)
{
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            s->acc[t][0][v] = s->acc[t][1][v] = v_zero();
    }
}

RB_INLINE void few_end(const rb_call *c, int i, int64_t m, const few_sum *s, int n_sum, int n_tok)
{
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int v = 0; v < VECS; v++) {
            const vf *sum = &s->acc[t][0][v], other = s->acc[t][1][v];
            put_lanes(c, i, t, m + v * V_LANES, n_sum == 1 ? *sum : v_join(*sum, other));
        }
    }
}

/* One panel, all n_tok tokens; x is one tile [k][token]. */
RB_INLINE void panel_few(const rb_call *c, int i, int64_t m, const f32 *x, rb_dtype base, int n_tok)
{
    const int n_sum = n_tok * VECS * SUMS <= MOST_SUMS ? SUMS : 1;
    const int64_t n = n_elements(c);
    const void *w = panel_data(c, i, m);
    few_sum s;
    element first[VECS], second[VECS];
    few_begin(&s, n_tok);
    int64_t k = 0;
    for (; k + 2 <= n; k += 2, x += 2 * n_tok) {
        UNROLL
        for (int v = 0; v < VECS; v++) {
            element two[2];
            two_elements(two, w, k, v, base);
            first[v] = two[0];
            second[v] = two[1];
        }
        few_add(&s, 0, first, x, n_tok);
        few_add(&s, n_sum - 1, second, x + n_tok, n_tok);
    }
    if (k < n) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            first[v] = one_element(w, k, v, base);
        few_add(&s, 0, first, x, n_tok);
    }
    few_end(c, i, m, &s, n_sum, n_tok);
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

/* A work unit is as many panels as a register tile has, so that no split of the work parts
 * them. */
static int64_t tiles_of(const rb_call *c, int i)
{
    return (panels_of(c, i) + TILE_PANELS - 1) / TILE_PANELS;
}

static int64_t n_tiles(const rb_call *c)
{
    return tiles_of(c, 0) + tiles_of(c, 1) + tiles_of(c, 2);
}

/* Units of one output of [first, last), as many as stay decoded together; returns how many. */
static int64_t run_slabs(const rb_call *c, int64_t first, int64_t last, void *shared, void *own)
{
    int out = 0;
    int64_t u = first;
    while (u >= tiles_of(c, out))
        u -= tiles_of(c, out++);
    int64_t n = tiles_of(c, out) - u;
    n = n < last - first ? n : last - first;
    n = n < GROUP / TILE_PANELS ? n : GROUP / TILE_PANELS;
    const int64_t at = u * TILE_PANELS, rest = panels_of(c, out) - at;
    group_many(c, out, at * PANEL, (int)(n * TILE_PANELS < rest ? n * TILE_PANELS : rest), shared,
               own);
    return n;
}

/* ---- issued bytes ---- */

/* Output i: slabs filled; of each, weights once a register tile, x once for the panels of one; sums
 * so far are loaded and stored with each slab, but for what put does. */
static rb_issued slabs_issued(const rb_call *c, int i)
{
    const int64_t n = n_elements(c), n_tok = n_tokens(c), panels = panels_of(c, i);
    const int64_t alone = panels % TILE_PANELS, paired = panels - alone;
    rb_issued sum = { 0 };
    issue(&sum, panels * PANEL, slab_loads(base_of(c), n), f32_bytes(n));
    for (int64_t t = 0; t < n_tok; t += TILE_TOKENS) {
        const int tokens = tokens_from(c, t, TILE_TOKENS);
        const int64_t passes = paired * tiles_in(tokens, false) + alone * tiles_in(tokens, true);
        issue(&sum, n, f32_bytes(passes * PANEL + tiles_of(c, i) * tokens), 0);
    }
    issue(&sum, (slabs_of(c) - 1) * panels * n_tok, f32_bytes(PANEL), f32_bytes(PANEL));
    issue_part(&sum, 1, put_issued(c, i));
    return sum;
}

#endif
