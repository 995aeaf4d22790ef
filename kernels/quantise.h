/* x as signed bytes per block of 32, for integer rows of matmul: the one quantising rule. Both its
 * terms and its code are here, so that they agree. Included by kernel files only.
 * Read next: matmul_i8.c, matmul_packed_i8.c. */
#ifndef RB_QUANTISE_H
#define RB_QUANTISE_H

#include "panels.h"

/* Blocks of one token that are quantised as one work unit. */
enum { SPAN = 16 };

static inline int64_t n_blocks(const rb_call *c)
{
    return c->t[X].n[3] / BLOCK;
}

static inline int64_t spans(const rb_call *c)
{
    return (n_blocks(c) + SPAN - 1) / SPAN;
}

/* q = round(x 127 / max|x|), d = max|x| / 127; a block of zeros divides by a tiny number instead.
 */
static inline void quantise_block(u8 *q, f32 *scale, const f32 *x)
{
    vf most = v_set(s_const(1e-30));
    for (int j = 0; j < BLOCK_VECS; j++)
        most = v_max_n(most, v_abs(v_load(x + j * V_LANES)), V_LANES);
    const sf top = v_hmax(most);
    const vf by = v_set(s_div(s_const(127.0), top));
    for (int j = 0; j < BLOCK_VECS; j++)
        v_store_s8(q + j * V_LANES, v_mul(v_load(x + j * V_LANES), by));
    s_store(scale, s_mul(top, s_const(1.0 / 127.0)));
}

/* Its issued bytes: x twice; the bytes, the scale. */
static inline rb_issued quantise_issued(const rb_call *c)
{
    rb_issued sum = { 0 };
    issue(&sum, n_tokens(c) * n_blocks(c), f32_bytes(2 * BLOCK), BLOCK + f32_bytes(1));
    return sum;
}

/* A division for the inverse scale, a product for the scale, 32 products a block. */
enum { QUANTISE_FLOPS = 34 };
#define QUANTISE_EXTRA                                                                             \
    {                                                                                              \
        QUANTISE_FLOPS,                                                                            \
        {                                                                                          \
            DIM_T, DIM_BLOCKS, -1                                                                  \
        }                                                                                          \
    }
#define QUANTISE_SPECIAL                                                                           \
    {                                                                                              \
        1,                                                                                         \
        {                                                                                          \
            DIM_T, DIM_BLOCKS, -1                                                                  \
        }                                                                                          \
    }

#endif
