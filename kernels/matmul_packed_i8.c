/* matmul with q8_0 weights in packed panels, in integers, for any number of tokens: the first phase
 * quantises x to signed bytes per block of 32 and lays it out tile by tile; the second takes sums
 * of four byte products in lanes that are rows, and scales each block. Work units: a span of blocks
 * of one token; a panel. Refuses: rows that are no panel (views are never padded). Read next:
 * matmul_packed.c. */
#include "quantise.h"

enum { VECS = PANEL / V_LANES };

/* Tokens of a register tile; panels that stay in cache while every token passes. */
enum { TILE_TOKENS = V_LANES == 16 ? 8 : V_LANES == 8 ? 4 : 1, GROUP = 8 };

/* ---- quantised x: per tile [block][token], scales (f32), then biases, then bytes ---- */

enum { BIAS_BYTES = 4 };

static int64_t shared_bytes(const rb_call *c)
{
    return n_tokens(c) * n_blocks(c) * ((int64_t)sizeof(f32) + BIAS_BYTES + BLOCK);
}

/* Number of a block among those of all tokens; first: the tile's first token. */
static int64_t block_at(const rb_call *c, int64_t first, int64_t block, int64_t in_tile)
{
    return first * n_blocks(c) + block * tokens_from(c, first, TILE_TOKENS) + in_tile;
}

static f32 *scales_of(void *shared)
{
    return shared;
}

static u8 *biases_of(const rb_call *c, void *shared)
{
    return (u8 *)(scales_of(shared) + n_tokens(c) * n_blocks(c));
}

static u8 *bytes_of(const rb_call *c, void *shared)
{
    return biases_of(c, shared) + n_tokens(c) * n_blocks(c) * BIAS_BYTES;
}

static void quantise(const rb_call *c, int64_t u, void *shared)
{
    const int64_t token = u / spans(c), from = u % spans(c) * SPAN;
    const int64_t to = from + SPAN < n_blocks(c) ? from + SPAN : n_blocks(c);
    const int64_t in_tile = token % TILE_TOKENS;
    for (int64_t b = from; b < to; b++) {
        const int64_t i = block_at(c, token - in_tile, b, in_tile);
        u8 *q = bytes_of(c, shared) + i * BLOCK;
        quantise_block(q, scales_of(shared) + i, x_row(c, token) + b * BLOCK);
        bias_store(biases_of(c, shared) + i * BIAS_BYTES, q);
    }
}

/* ---- products ---- */

/* Quantised x of some tokens of a tile: block b of token t is number b step + t of each array. */
typedef struct quants {
    const f32 *scale;
    const u8 *bias, *bytes;
    int64_t step;
} quants;

RB_INLINE void tile(const rb_call *c, int i, int64_t m, int64_t token, quants x, int n_tok)
{
    const u8 *w = (const u8 *)rb_at(out_w(c, i), 0, 0, m / PANEL);
    vf acc[TILE_TOKENS][VECS];
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            acc[t][v] = v_zero();
    }
    for (int64_t b = 0; b < n_blocks(c); b++, w += Q8_BYTES) {
        UNROLL
        for (int v = 0; v < VECS; v++) {
            const vf scale = v_load_scales(w + 2 * v * V_LANES);
            vi sum[TILE_TOKENS];
            UNROLL
            for (int t = 0; t < n_tok; t++)
                sum[t] = vi_dot4_begin(x.bias + t * BIAS_BYTES);
            UNROLL
            for (int g = 0; g < Q8_GROUPS; g++) {
                const vi wv = vi_load4(w + Q8_QUANTS + (g * PANEL + v * V_LANES) * 4);
                UNROLL
                for (int t = 0; t < n_tok; t++)
                    sum[t] = vi_dot4(sum[t], wv, x.bytes + t * BLOCK + g * 4);
            }
            UNROLL
            for (int t = 0; t < n_tok; t++)
                acc[t][v] = v_fma(v_cvt(sum[t]), v_mul(scale, v_bcast(x.scale + t)), acc[t][v]);
        }
        x.scale += x.step;
        x.bias += x.step * BIAS_BYTES;
        x.bytes += x.step * BLOCK;
    }
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            put_lanes(c, i, token + t, m + v * V_LANES, acc[t][v]);
    }
}

static NOINLINE void tile_full(const rb_call *c, int i, int64_t m, int64_t token, quants x)
{
    x.step = TILE_TOKENS;
    tile(c, i, m, token, x, TILE_TOKENS);
}

static NOINLINE void tile_two(const rb_call *c, int i, int64_t m, int64_t token, quants x)
{
    tile(c, i, m, token, x, TILE_TOKENS < 2 ? TILE_TOKENS : 2);
}

static NOINLINE void tile_one(const rb_call *c, int i, int64_t m, int64_t token, quants x)
{
    tile(c, i, m, token, x, 1);
}

static quants skip(quants x, int64_t n)
{
    return (quants){ x.scale + n, x.bias + n * BIAS_BYTES, x.bytes + n * BLOCK, x.step };
}

/* One panel against the tile that starts at token. */
static void tile_any(const rb_call *c, int i, int64_t m, int64_t token, void *shared)
{
    const int n_tok = tokens_from(c, token, TILE_TOKENS);
    const quants all = { scales_of(shared), biases_of(c, shared), bytes_of(c, shared), n_tok };
    const quants x = skip(all, block_at(c, token, 0, 0));
    int t = 0;
    for (; t + TILE_TOKENS <= n_tok; t += TILE_TOKENS)
        tile_full(c, i, m, token, x);
    for (; t + 2 <= n_tok; t += 2)
        tile_two(c, i, m, token + t, skip(x, t));
    if (t < n_tok)
        tile_one(c, i, m, token + t, skip(x, t));
}

static int64_t units(const rb_call *c, int phase)
{
    return phase == 0 ? n_tokens(c) * spans(c) : n_panels(c);
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)own;
    for (int64_t u = first; phase == 0 && u < last; u++)
        quantise(c, u, shared);
    for (int64_t from = first, to; phase == 1 && from < last; from = to) {
        to = from + GROUP < last ? from + GROUP : last;
        for (int64_t t = 0; t < n_tokens(c); t += TILE_TOKENS)
            for (int64_t u = from; u < to; u++) {
                const panel p = panel_at(c, u);
                tile_any(c, p.out, p.m, t, shared);
            }
    }
}

/* Scaling: the product of two scales and a multiply-add a block of each row. */
static const rb_term extra[] = {
    QUANTISE_EXTRA,
    { 3, { DIM_T, DIM_M0, DIM_BLOCKS } },
    { 3, { DIM_T, DIM_M1, DIM_BLOCKS } },
    { 3, { DIM_T, DIM_M2, DIM_BLOCKS } },
    { 0 },
};
static const rb_term special_overhead[] = { QUANTISE_SPECIAL, { 0 } };

static const rb_kernel rows[] = { {
    .op = &rb_matmul_op,
    .isa = RB_ISA_ID,
    .dtype = RB_Q8_0_P16,
    .variant = "i8",
    .n_phase = 2,
    .units = units,
    .run = run,
    .shared_bytes = shared_bytes,
    .extra = extra,
    .special_overhead = special_overhead,
    .int_macs = rb_matmul_int_macs,
    .act_i8 = true,
} };
RB_EXPORT(matmul_packed_i8, rows);
