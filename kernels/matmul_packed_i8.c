/* matmul with quantised weights in packed panels, in integers, for any number of tokens: the first
 * phase quantises x to signed bytes per block of 32 and lays it out tile by tile; the second takes
 * sums of four byte products in lanes that are rows, and scales each group. One token: quants are
 * unpacked in registers as they stream by; more: once into this thread's scratch. Work units: a
 * span of blocks of one token; a panel. Refuses: rows that are no panel (views are never padded).
 * Read next: quants.h, matmul_packed.c. */
#include "quantise.h"
#include "quants.h"

/* Tokens of a register tile. */
enum { TILE_TOKENS = V_LANES == 16 ? 8 : V_LANES == 8 ? 4 : 1 };
/* Unpacked panels that stay in the second-level cache while every token passes. */
enum { GROUP_BYTES = 320 << 10, MOST_PANELS = 8 };

/* ---- quantised x: per tile [block][token], scales (f32), then sums, then bytes ---- */

/* What a group's products need of the sum of its x, 4 bytes: times -zero, or scaled, in f32. */
enum { SUM_BYTES = 4 };

static rb_dtype base_of(const rb_call *c)
{
    return rb_dtype_get(c->t[W0].dtype)->base;
}

static int64_t shared_bytes(const rb_call *c)
{
    return n_tokens(c) * n_blocks(c) *
           ((int64_t)sizeof(f32) + quant_of(base_of(c)).n_group * SUM_BYTES + BLOCK);
}

/* Quantised x of some tokens of a tile: block b of token t is number b step + t of each array. */
typedef struct quants {
    f32 *scale;
    u8 *sum, *bytes;
    int64_t step;
} quants;

RB_INLINE quants skip(quants x, int64_t n, quant_type q)
{
    return (quants){ x.scale + n, x.sum + n * q.n_group * SUM_BYTES, x.bytes + n * BLOCK, x.step };
}

/* Of the tile whose first token is given. */
static quants tile_at(const rb_call *c, void *shared, int64_t first)
{
    const quant_type q = quant_of(base_of(c));
    const int64_t n = n_tokens(c) * n_blocks(c);
    quants x = { .scale = shared, .step = tokens_from(c, first, TILE_TOKENS) };
    x.sum = (u8 *)(x.scale + n);
    x.bytes = x.sum + n * q.n_group * SUM_BYTES;
    return skip(x, first * n_blocks(c), q);
}

static void store_sums(quants x, quant_type q)
{
    const int n = BLOCK / q.n_group;
    if (q.kind == QUANT_SIGNED) {
        bias_store(x.sum, x.bytes);
        return;
    }
    for (int g = 0; g < q.n_group; g++) {
        u8 *sum = x.sum + g * SUM_BYTES;
        if (q.kind == QUANT_ZERO)
            sum_store(sum, x.bytes + g * n, n, -q.zero);
        else
            s_store((f32 *)sum, s_mul(s_sum_s8(x.bytes + g * n, n), s_load(x.scale)));
    }
}

/* Sums of a block that are stored, and loaded with its bytes. */
static int n_sums(quant_type q)
{
    return q.kind == QUANT_SIGNED ? V_BIASED : q.n_group;
}

static void quantise(const rb_call *c, int64_t u, void *shared)
{
    const quant_type q = quant_of(base_of(c));
    const int64_t token = u / spans(c), from = u % spans(c) * SPAN;
    const int64_t to = from + SPAN < n_blocks(c) ? from + SPAN : n_blocks(c);
    const int64_t in_tile = token % TILE_TOKENS;
    const quants tile = tile_at(c, shared, token - in_tile);
    for (int64_t b = from; b < to; b++) {
        const quants x = skip(tile, b * tile.step + in_tile, q);
        quantise_block(x.bytes, x.scale, x_row(c, token) + b * BLOCK);
        store_sums(x, q);
    }
}

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

/* ---- one token: quants are unpacked as they stream by ---- */

/* A span of parts from part `part` of a block on; x: of the first of them. */
RB_INLINE vf add_span(vf acc, block_rows rows, const vf d[2], int part, quants x, rb_dtype dtype)
{
    const quant_type q = quant_of(dtype);
    vi sum[4][2];
    UNROLL
    for (int p = 0; p < q.span; p++) {
        sum[p][0] = dot_begin(skip(x, p, q).sum, q);
        if (q.n_group == 2)
            sum[p][1] = dot_begin(skip(x, p, q).sum + SUM_BYTES, q);
    }
    UNROLL
    for (int i = 0; i < q.steps; i++) {
        vi w[4];
        unpack_step(w, rows, part / q.span, i, dtype);
        UNROLL
        for (int j = 0; j < q.per_step; j++) {
            const int p = part_in_span(q, j), g = four_of(q, i, j), h = g * q.n_group / FOURS;
            sum[p][h] = dot_four(sum[p][h], w[j], x.bytes + p * BLOCK + g * 4, q);
        }
    }
    UNROLL
    for (int p = 0; p < q.span; p++) {
        const quants at = skip(x, p, q);
        const quant_scales s = part_scales(rows, d, part + p, dtype, false);
        acc = add_scaled(acc, sum[p], &s, at.scale, at.sum, q);
    }
    return acc;
}

RB_INLINE void panel_one_as(const rb_call *c, int i, int64_t m, quants x, rb_dtype dtype)
{
    const quant_type q = quant_of(dtype);
    const u8 *w = (const u8 *)rb_at(out_w(c, i), 0, 0, m / PANEL);
    const int parts = q.columns / BLOCK;
    vf acc[VECS];
    UNROLL
    for (int v = 0; v < VECS; v++)
        acc[v] = v_zero();
    for (int64_t b = 0; b < n_blocks(c); b += parts, w += q.bytes * PANEL) {
        UNROLL
        for (int v = 0; v < VECS; v++) {
            const block_rows rows = { w, v * V_LANES };
            vf d[2];
            block_halves(d, rows, dtype, false);
            UNROLL
            for (int p = 0; p < parts; p += q.span) {
                stream_ahead(w, q.bytes * PANEL, (v * parts + p) / q.span, VECS * parts / q.span);
                acc[v] = add_span(acc[v], rows, d, p, skip(x, b + p, q), dtype);
            }
        }
    }
    dq_unpacked((rb_dtype)(RB_FIRST_PACKED + dtype), n_blocks(c) / parts);
    UNROLL
    for (int v = 0; v < VECS; v++)
        put_lanes(c, i, 0, m + v * V_LANES, acc[v]);
}

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

static void panel_one(const rb_call *c, int i, int64_t m, void *shared)
{
    const quants x = tile_at(c, shared, 0);
    switch (base_of(c)) {
#define RB_CASE(t)                                                                                 \
    case t:                                                                                        \
        panel_one_as(c, i, m, x, t);                                                               \
        break;
        RB_QUANT_DTYPES(RB_CASE)
#undef RB_CASE
    default:
        __builtin_unreachable();
    }
}

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
    return n_tokens(c) > 1 ? group_panels(c) * panel_bytes(c) : 0;
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
    if (phase == 0) {
        for (int64_t u = first; u < last; u++)
            quantise(c, u, shared);
        return;
    }
    if (n_tokens(c) == 1) {
        for (int64_t u = first; u < last; u++) {
            const panel p = panel_at(c, u);
            panel_one(c, p.out, p.m, shared);
        }
        return;
    }
    const int64_t step = group_panels(c);
    for (int64_t u = first; u < last; u += step)
        group_many(c, u, u + step < last ? u + step : last, shared, own);
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

/* A panel's blocks once; with more tokens to scratch, and from there once a tile. */
static rb_issued issued(const rb_call *c)
{
    const quant_type q = quant_of(base_of(c));
    const int64_t parts = n_blocks(c), blocks = parts / (q.columns / BLOCK);
    rb_issued sum = quants_issued(c, q);
    for (int i = 0; i < N_OUT; i++) {
        const int64_t n = panels_of(c, i);
        issue(&sum, n * blocks, PANEL * q.loads, 0);
        issue(&sum, n * parts * n_tokens(c), part_loads(q), 0);
        if (n_tokens(c) > 1) {
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
