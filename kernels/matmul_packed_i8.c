/* matmul with quantised weights in packed panels, in integers, for any number of tokens: the first
 * phase quantises x to signed bytes per block of 32 and lays it out tile by tile; the second takes
 * sums of four byte products in lanes that are rows, and scales each group. Up to a tile of tokens
 * quants are unpacked in registers as they stream by; of more, once into this thread's scratch.
 * Work units: a span of blocks of one token; a panel. Refuses: rows that are no panel (views are
 * never padded). Read next: quantised_tiles.h, quants.h, matmul_packed.c. */
#include "quantised_tiles.h"

/* Unpacked panels that stay in the second-level cache while every token passes. */
enum { GROUP_BYTES = 320 << 10, MOST_PANELS = 8 };

/* ---- a part: 32 columns of some rows, times one token ---- */

RB_INLINE vi dot_begin(const u8 *sum, quant_type q)
{
    return q.kind == QUANT_SIGNED ? vi_dot4_begin(sum)
           : q.kind == QUANT_ZERO ? vi_bcast(sum)
                                  : vi_set(0);
}

RB_INLINE vi dot_four(vi sum, vi w, const u8 *x, quant_type q)
{
    return q.kind == QUANT_SIGNED ? vi_dot4(sum, w, x) : vi_dot4u(sum, w, x);
}

/* Scales the sums of a part's groups, one or two, and adds them. */
RB_INLINE vf add_scaled(vf acc, const vi sum[2], const quant_scales *s, const f32 *x_scale,
                        const u8 *x_sum, quant_type q)
{
    if (q.n_group == 2) {
        const vf first = v_mul(v_cvt(sum[0]), s->scale[0]);
        acc = v_fma(v_fma(v_cvt(sum[1]), s->scale[1], first), v_bcast(x_scale), acc);
    } else {
        acc = v_fma(v_cvt(sum[0]), v_mul(s->scale[0], v_bcast(x_scale)), acc);
    }
    if (q.kind != QUANT_MIN)
        return acc;
    UNROLL
    for (int g = 0; g < q.n_group; g++)
        acc = v_fma(s->min[g], v_bcast((const f32 *)(x_sum + g * SUM_BYTES)), acc);
    return acc;
}

/* ---- few tokens: quants are unpacked as they stream by ---- */

/* A span of parts from part `part` of a block on, times n_tok tokens; x: of the first of both. */
RB_INLINE void add_span(vf acc[][VECS], int v, block_rows rows, const vf d[2], int part, quants x,
                        rb_dtype dtype, int n_tok)
{
    const quant_type q = quant_of(dtype);
    const int steps = q.steps / q.n_group; /* of two groups, a step is of one */
    vi sum[TILE_TOKENS][4][2];
    UNROLL
    for (int g = 0; g < q.n_group; g++) {
        UNROLL
        for (int p = 0; p < q.span; p++) {
            UNROLL
            for (int t = 0; t < n_tok; t++)
                sum[t][p][g] = dot_begin(skip(x, p * n_tok + t, q).sum + g * SUM_BYTES, q);
        }
        UNROLL
        for (int i = g * steps; i < (g + 1) * steps; i++) {
            vi w[4];
            unpack_step(w, rows, part / q.span, i, dtype);
            UNROLL
            for (int j = 0; j < q.per_step; j++) {
                const int p = part_in_span(q, j), four = 4 * four_of(q, i, j);
                UNROLL
                for (int t = 0; t < n_tok; t++)
                    sum[t][p][g] =
                        dot_four(sum[t][p][g], w[j], skip(x, p * n_tok + t, q).bytes + four, q);
            }
        }
    }
    UNROLL
    for (int p = 0; p < q.span; p++) {
        const quant_scales s = part_scales(rows, d, part + p, dtype, false);
        UNROLL
        for (int t = 0; t < n_tok; t++) {
            const quants at = skip(x, p * n_tok + t, q);
            acc[t][v] = add_scaled(acc[t][v], sum[t][p], &s, at.scale, at.sum, q);
        }
    }
}

/* Vector v of the rows of a packed block. */
RB_INLINE void add_block(vf acc[][VECS], int v, const u8 *w, quants x, rb_dtype dtype, int n_tok)
{
    const quant_type q = quant_of(dtype);
    const int parts = q.columns / BLOCK;
    const block_rows rows = { w, v * V_LANES };
    vf d[2];
    block_halves(d, rows, dtype, false);
    UNROLL
    for (int p = 0; p < parts; p += q.span) {
        stream_ahead(w, q.bytes * PANEL, (v * parts + p) / q.span, VECS * parts / q.span);
        add_span(acc, v, rows, d, p, skip(x, p * n_tok, q), dtype, n_tok);
    }
}

/* A panel. Where code is long and registers are few, the sums of all but one vector are in memory.
 */
RB_INLINE void panel_few(const rb_call *c, int i, int64_t m, quants x, rb_dtype dtype, int n_tok)
{
    const quant_type q = quant_of(dtype);
    const u8 *w = (const u8 *)rb_at(out_w(c, i), 0, 0, m / PANEL);
    const int parts = q.columns / BLOCK;
    vf acc[TILE_TOKENS][VECS];
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            acc[t][v] = v_zero();
    }
    for (int64_t b = 0; b < n_blocks(c); b += parts, w += q.bytes * PANEL) {
        const quants at = skip(x, b * n_tok, q);
        if (parts == 1 || n_tok <= 2) {
            UNROLL
            for (int v = 0; v < VECS; v++)
                add_block(acc, v, w, at, dtype, n_tok);
        } else {
            for (int v = 0; v < VECS; v++)
                add_block(acc, v, w, at, dtype, n_tok);
        }
    }
    dq_unpacked((rb_dtype)(RB_FIRST_PACKED + dtype), n_blocks(c) / parts);
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            put_lanes(c, i, t, m + v * V_LANES, acc[t][v]);
    }
}

RB_INLINE void panel_any(const rb_call *c, int i, int64_t m, quants x, int n_tok)
{
    if (n_tok > TILE_TOKENS)
        __builtin_unreachable();
    switch (base_of(c)) {
#define RB_CASE(t)                                                                                 \
    case t:                                                                                        \
        panel_few(c, i, m, x, t, n_tok);                                                           \
        break;
        RB_QUANT_DTYPES(RB_CASE)
#undef RB_CASE
    default:
        __builtin_unreachable();
    }
}

static NOINLINE void panel_one(const rb_call *c, int i, int64_t m, quants x)
{
    panel_any(c, i, m, x, 1);
}

static NOINLINE void panel_two(const rb_call *c, int i, int64_t m, quants x)
{
    panel_any(c, i, m, x, 2);
}

static NOINLINE void panel_three(const rb_call *c, int i, int64_t m, quants x)
{
    panel_any(c, i, m, x, 3);
}

static NOINLINE void panel_four(const rb_call *c, int i, int64_t m, quants x)
{
    panel_any(c, i, m, x, 4);
}

static NOINLINE void panel_five(const rb_call *c, int i, int64_t m, quants x)
{
    panel_any(c, i, m, x, 5);
}

static NOINLINE void panel_six(const rb_call *c, int i, int64_t m, quants x)
{
    panel_any(c, i, m, x, 6);
}

static NOINLINE void panel_seven(const rb_call *c, int i, int64_t m, quants x)
{
    panel_any(c, i, m, x, 7);
}

static NOINLINE void panel_eight(const rb_call *c, int i, int64_t m, quants x)
{
    panel_any(c, i, m, x, 8);
}

static void (*const panel_of_tokens[])(const rb_call *, int, int64_t, quants) = {
    panel_one, panel_two, panel_three, panel_four, panel_five, panel_six, panel_seven, panel_eight
};
_Static_assert(TILE_TOKENS <= sizeof panel_of_tokens / sizeof *panel_of_tokens, "one for each");

/* ---- more tokens: a panel unpacked, per part scales, minimums (f32) and quants ---- */

RB_INLINE int unpacked_scales(quant_type q)
{
    return q.n_group * (q.kind == QUANT_MIN ? 2 : 1);
}

RB_INLINE int64_t unpacked_bytes(quant_type q)
{
    return PANEL * ((int64_t)sizeof(f32) * unpacked_scales(q) + BLOCK);
}

/* Where a part's quants stand. */
RB_INLINE int64_t quants_at(quant_type q)
{
    return unpacked_bytes(q) - BLOCK * PANEL;
}

RB_INLINE void unpack_as(u8 *to, const u8 *w, int64_t n_block, rb_dtype dtype)
{
    const quant_type q = quant_of(dtype);
    const int parts = q.columns / BLOCK;
    for (int64_t b = 0; b < n_block; b += parts, w += q.bytes * PANEL) {
        UNROLL
        for (int v = 0; v < VECS; v++) {
            const block_rows rows = { w, v * V_LANES };
            vf d[2];
            block_halves(d, rows, dtype, false);
            UNROLL
            for (int p = 0; p < parts; p++) {
                f32 *scale = (f32 *)(to + (b + p) * unpacked_bytes(q)) + v * V_LANES;
                const quant_scales s = part_scales(rows, d, p, dtype, false);
                UNROLL
                for (int g = 0; g < q.n_group; g++) {
                    v_store(scale + g * PANEL, s.scale[g]);
                    if (q.kind == QUANT_MIN)
                        v_store(scale + (q.n_group + g) * PANEL, s.min[g]);
                }
            }
            u8 *at = to + b * unpacked_bytes(q) + quants_at(q) + 4 * v * V_LANES;
            UNROLL
            for (int s = 0; s < parts / q.span; s++) {
                UNROLL
                for (int i = 0; i < q.steps; i++) {
                    vi out[4];
                    unpack_step(out, rows, s, i, dtype);
                    UNROLL
                    for (int j = 0; j < q.per_step; j++)
                        vi_store4(at + (s * q.span + part_in_span(q, j)) * unpacked_bytes(q) +
                                      four_of(q, i, j) * 4 * PANEL,
                                  out[j]);
                }
            }
        }
    }
    dq_unpacked((rb_dtype)(RB_FIRST_PACKED + dtype), n_block / parts);
}

/* A register tile: an unpacked panel, n_tok tokens. */
RB_INLINE void tile(const rb_call *c, int i, int64_t m, int64_t token, quants x, const u8 *w,
                    int n_tok, quant_type q)
{
    const int64_t step = unpacked_bytes(q);
    vf acc[TILE_TOKENS][VECS];
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            acc[t][v] = v_zero();
    }
    for (int64_t b = 0; b < n_blocks(c); b++, w += step, x = skip(x, x.step, q)) {
        UNROLL
        for (int v = 0; v < VECS; v++) {
            vi sum[TILE_TOKENS][2];
            UNROLL
            for (int g = 0; g < FOURS; g++) {
                const int half = g * q.n_group / FOURS;
                const vi wv = vi_load4(w + quants_at(q) + (g * PANEL + v * V_LANES) * 4);
                UNROLL
                for (int t = 0; t < n_tok; t++) {
                    if (g % (FOURS / q.n_group) == 0)
                        sum[t][half] = dot_begin(x.sum + (t * q.n_group + half) * SUM_BYTES, q);
                    sum[t][half] = dot_four(sum[t][half], wv, x.bytes + t * BLOCK + g * 4, q);
                }
            }
            quant_scales s;
            const f32 *scale = (const f32 *)w + v * V_LANES;
            UNROLL
            for (int g = 0; g < q.n_group; g++) {
                s.scale[g] = v_load(scale + g * PANEL);
                if (q.kind == QUANT_MIN)
                    s.min[g] = v_load(scale + (q.n_group + g) * PANEL);
            }
            UNROLL
            for (int t = 0; t < n_tok; t++)
                acc[t][v] = add_scaled(acc[t][v], sum[t], &s, x.scale + t,
                                       x.sum + t * q.n_group * SUM_BYTES, q);
        }
    }
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            put_lanes(c, i, token + t, m + v * V_LANES, acc[t][v]);
    }
}

enum { HALF_TILE = TILE_TOKENS < 4 ? TILE_TOKENS : 4 };

/* Tiles of one kind of type: how many tokens are left decides which. */
RB_INLINE void tile_as(const rb_call *c, int i, int64_t m, int64_t token, quants x, const u8 *w,
                       quant_type q)
{
    int t = 0;
    const int n_tok = (int)x.step;
    if (n_tok == TILE_TOKENS) {
        x.step = TILE_TOKENS;
        tile(c, i, m, token, x, w, TILE_TOKENS, q);
        return;
    }
    for (; t + HALF_TILE <= n_tok; t += HALF_TILE)
        tile(c, i, m, token + t, skip(x, t, q), w, HALF_TILE, q);
    for (; t < n_tok; t++)
        tile(c, i, m, token + t, skip(x, t, q), w, 1, q);
}

static NOINLINE void tile_signed(const rb_call *c, int i, int64_t m, int64_t token, quants x,
                                 const u8 *w)
{
    tile_as(c, i, m, token, x, w, (quant_type){ .n_group = 1, .kind = QUANT_SIGNED });
}

static NOINLINE void tile_zero(const rb_call *c, int i, int64_t m, int64_t token, quants x,
                               const u8 *w)
{
    tile_as(c, i, m, token, x, w, (quant_type){ .n_group = 1, .kind = QUANT_ZERO });
}

static NOINLINE void tile_min(const rb_call *c, int i, int64_t m, int64_t token, quants x,
                              const u8 *w)
{
    tile_as(c, i, m, token, x, w, (quant_type){ .n_group = 1, .kind = QUANT_MIN });
}

static NOINLINE void tile_zero_halves(const rb_call *c, int i, int64_t m, int64_t token, quants x,
                                      const u8 *w)
{
    tile_as(c, i, m, token, x, w, (quant_type){ .n_group = 2, .kind = QUANT_ZERO });
}

static NOINLINE void tile_min_halves(const rb_call *c, int i, int64_t m, int64_t token, quants x,
                                     const u8 *w)
{
    tile_as(c, i, m, token, x, w, (quant_type){ .n_group = 2, .kind = QUANT_MIN });
}

/* One unpacked panel against the tile that starts at token. */
static void tile_any(const rb_call *c, int i, int64_t m, int64_t token, void *shared, const u8 *w)
{
    const quant_type q = quant_of(base_of(c));
    const quants x = tile_at(c, shared, token);
    if (q.kind == QUANT_SIGNED)
        tile_signed(c, i, m, token, x, w);
    else if (q.kind == QUANT_ZERO && q.n_group == 1)
        tile_zero(c, i, m, token, x, w);
    else if (q.kind == QUANT_ZERO)
        tile_zero_halves(c, i, m, token, x, w);
    else if (q.n_group == 1)
        tile_min(c, i, m, token, x, w);
    else
        tile_min_halves(c, i, m, token, x, w);
}

/* ---- the rows ---- */

static void unpack(u8 *to, const u8 *w, int64_t n_block, rb_dtype dtype)
{
    switch (dtype) {
#define RB_CASE(t)                                                                                 \
    case t:                                                                                        \
        unpack_as(to, w, n_block, t);                                                              \
        break;
        RB_QUANT_DTYPES(RB_CASE)
#undef RB_CASE
    default:
        __builtin_unreachable();
    }
}

/* Whether panels are unpacked to scratch, where every tile of tokens passes: one tile needs none.
 */
static bool by_groups(const rb_call *c)
{
    return n_tokens(c) > TILE_TOKENS;
}

static int64_t panel_bytes(const rb_call *c)
{
    return n_blocks(c) * unpacked_bytes(quant_of(base_of(c)));
}

/* Panels that are unpacked at a time. */
static int64_t group_panels(const rb_call *c)
{
    const int64_t n = GROUP_BYTES / panel_bytes(c);
    return n < 1 ? 1 : n < MOST_PANELS ? n : MOST_PANELS;
}

static int64_t own_bytes(const rb_call *c)
{
    return by_groups(c) ? group_panels(c) * panel_bytes(c) : 0;
}

static int64_t units(const rb_call *c, int phase)
{
    return phase == 0 ? n_tokens(c) * spans(c) : n_panels(c);
}

static void group_many(const rb_call *c, int64_t first, int64_t last, void *shared, u8 *own)
{
    for (int64_t u = first; u < last; u++) {
        const panel p = panel_at(c, u);
        unpack(own + (u - first) * panel_bytes(c),
               (const u8 *)rb_at(out_w(c, p.out), 0, 0, p.m / PANEL), n_blocks(c), base_of(c));
    }
    for (int64_t t = 0; t < n_tokens(c); t += TILE_TOKENS)
        for (int64_t u = first; u < last; u++) {
            const panel p = panel_at(c, u);
            tile_any(c, p.out, p.m, t, shared, own + (u - first) * panel_bytes(c));
        }
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    const int64_t step = phase == 1 && by_groups(c) ? group_panels(c) : 1;
    for (int64_t u = first; u < last; u += step) {
        if (phase == 0) {
            quantise(c, u, shared);
        } else if (by_groups(c)) {
            group_many(c, u, u + step < last ? u + step : last, shared, own);
        } else {
            const panel p = panel_at(c, u);
            panel_of_tokens[n_tokens(c) - 1](c, p.out, p.m, tile_at(c, shared, 0));
        }
    }
}

/* ---- issued bytes ---- */

/* x quantised; its bytes summed, with minimums times their scales. */
static rb_issued quants_issued(const rb_call *c, quant_type q)
{
    const int64_t n = n_tokens(c) * n_blocks(c);
    rb_issued sum = quantise_issued(c);
    issue(&sum, n * (n_sums(q) > 0), BLOCK, n_sums(q) * SUM_BYTES);
    if (q.kind == QUANT_MIN)
        issue(&sum, n * n_sums(q), f32_bytes(1), 0);
    return sum;
}

/* One token's part: bytes, scale and sums, for each vector of rows. */
static int64_t part_loads(quant_type q)
{
    return VECS * (BLOCK + f32_bytes(1) + n_sums(q) * SUM_BYTES);
}

/* Register tiles of every token. */
static int64_t tiles_of_tokens(const rb_call *c)
{
    int64_t n = 0;
    for (int64_t t = 0; t < n_tokens(c); t += TILE_TOKENS) {
        const int n_tok = tokens_from(c, t, TILE_TOKENS);
        n += n_tok == TILE_TOKENS ? 1 : n_tok / HALF_TILE + n_tok % HALF_TILE;
    }
    return n;
}

/* A panel's blocks once; with more than a tile of tokens to scratch, and from there once a tile. */
static rb_issued issued(const rb_call *c)
{
    const quant_type q = quant_of(base_of(c));
    const int64_t parts = n_blocks(c), blocks = parts / (q.columns / BLOCK);
    rb_issued sum = quants_issued(c, q);
    for (int i = 0; i < N_OUT; i++) {
        const int64_t n = panels_of(c, i);
        issue(&sum, n * blocks, PANEL * q.loads, 0);
        issue(&sum, n * parts * n_tokens(c), part_loads(q), 0);
        if (by_groups(c)) {
            issue(&sum, n * parts, 0, unpacked_bytes(q));
            issue(&sum, n * parts * tiles_of_tokens(c), unpacked_bytes(q), 0);
        }
        issue_part(&sum, 1, put_issued(c, i));
    }
    return sum;
}

/* Beyond the products: quantising x and (with minimums) scaling the sums of its groups; the scales
 * of superblocks' groups; and for each group of each row and token, scaling the sum of products:
 * the product of two scales and a multiply-add, or of halves a product and two multiply-adds, and a
 * multiply-add for a minimum. */
#define EXTRA(of_x, of_group, of_scales)                                                           \
    {                                                                                              \
        { of_x, { DIM_T, DIM_BLOCKS, -1 } }, { of_group, { DIM_T, DIM_M0, DIM_BLOCKS } },          \
            { of_group, { DIM_T, DIM_M1, DIM_BLOCKS } },                                           \
            { of_group, { DIM_T, DIM_M2, DIM_BLOCKS } },                                           \
            { of_scales, { DIM_M0, DIM_BLOCKS, -1 } }, { of_scales, { DIM_M1, DIM_BLOCKS, -1 } },  \
            { of_scales, { DIM_M2, DIM_BLOCKS, -1 } }, { 0 },                                      \
    }
static const rb_term block_extra[] = EXTRA(QUANTISE_FLOPS, 3, 0);
static const rb_term block_min_extra[] = EXTRA(QUANTISE_FLOPS + 1, 5, 0);
static const rb_term part_extra[] = EXTRA(QUANTISE_FLOPS, 3, 1);
static const rb_term part_min_extra[] = EXTRA(QUANTISE_FLOPS + 1, 5, 2);
static const rb_term halves_extra[] = EXTRA(QUANTISE_FLOPS, 5, 2);
static const rb_term halves_min_extra[] = EXTRA(QUANTISE_FLOPS + 2, 9, 4);
static const rb_term special_overhead[] = { QUANTISE_SPECIAL, { 0 } };

#define ROW(type, beyond)                                                                          \
    {                                                                                              \
        .op = &rb_matmul_op, .isa = RB_ISA_ID, .dtype = type##_P16, .variant = "i8", .n_phase = 2, \
        .units = units, .run = run, .shared_bytes = shared_bytes, .own_bytes = own_bytes,          \
        .issued = issued, .extra = beyond,                                                         \
        .extra_what = "quantising activations, scales of blocks",                                  \
        .special_overhead = special_overhead, .int_macs = rb_matmul_macs,                          \
        .decode = { { W0, rb_w0_elements }, { W1, rb_w1_elements }, { W2, rb_w2_elements } },      \
        .unpacks = true, .act = RB_ACT_I8                                                          \
    }
static const rb_kernel rows[] = {
    ROW(RB_Q8_0, block_extra),  ROW(RB_Q4_0, block_extra),     ROW(RB_Q4_1, block_min_extra),
    ROW(RB_Q5_0, block_extra),  ROW(RB_Q5_1, block_min_extra), ROW(RB_Q2_K, halves_min_extra),
    ROW(RB_Q3_K, halves_extra), ROW(RB_Q4_K, part_min_extra),  ROW(RB_Q5_K, part_min_extra),
    ROW(RB_Q6_K, halves_extra), ROW(RB_IQ4_NL, block_extra),   ROW(RB_IQ4_XS, part_extra),
};
RB_EXPORT(matmul_packed_i8, rows);
