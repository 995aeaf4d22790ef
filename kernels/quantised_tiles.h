/* x of integer matmul over packed panels, quantised to signed bytes per block of 32 and laid out
 * tile by tile of tokens, each [block][token]: scales (f32), then what a group's products need of
 * the sum of its x, then bytes. The first phase writes it, a work unit a span of blocks of one
 * token. Included by kernel files only. Read next: matmul_packed_i8.c, quantise.h. */
#ifndef RB_QUANTISED_TILES_H
#define RB_QUANTISED_TILES_H

#include "quantise.h"
#include "quants.h"

/* Tokens of a register tile. */
enum { TILE_TOKENS = V_LANES == 16 ? 8 : V_LANES == 8 ? 4 : 1 };
_Static_assert((int)TILE_TOKENS <= (int)RB_FEW_TOKENS, "planners must see both ways");

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

#endif
