/* Rows of f32 as rows of a cache, in each type that a cache may hold (rb_is_cache_dtype): the bytes
 * are those of the reference encoders in dtype.c. What quantising costs stands beside its code.
 * Included by kernel files only. Read next: kv.c, isa_encode.h. */
#ifndef RB_STORE_H
#define RB_STORE_H

#include "rows.h"

/* FLOPs of a block: two divisions and 32 products; two products, a division, 32 products, 32 sums.
 * Divisions are specials as well. */
enum { Q8_0_FLOPS = 34, Q8_0_SPECIAL = 2, Q4_0_FLOPS = 66, Q4_0_SPECIAL = 1 };

/* d = max|x| / 127, in f16; q = x / d by the inverse of the d that was not rounded. */
static inline void encode_q8_0(u8 *b, const f32 *x)
{
    vf most = v_abs(v_load(x));
    for (int j = 1; j < BLOCK_VECS; j++)
        most = v_max_n(most, v_abs(v_load(x + j * V_LANES)), V_LANES);
    const sf d = s_div(v_hmax(most), s_const(127.0));
    const vf by = v_set(s_inverse(d));
    s_store_f16(b, d);
    for (int j = 0; j < BLOCK_VECS; j++)
        v_store_q8(b + 2 + j * V_LANES, v_mul(v_load(x + j * V_LANES), by));
}

/* d makes -8 of the element of largest magnitude; q = x / d + 8, to nearest by adding a half more
 * and cutting. Rounded after the product and after the sum, as the reference does. */
static inline void encode_q4_0(u8 *b, const f32 *x)
{
    enum { HALF = BLOCK / 2 };
    const sf d = s_mul(s_peak(x, BLOCK), s_const(-1.0 / 8.0));
    const vf by = v_set(s_inverse(d)), up = v_set(s_const(8.5));
    s_store_f16(b, d);
    for (int j = 0; j < HALF; j += V_LANES)
        v_store_q4(b + 2 + j, v_add(v_mul(v_load(x + j), by), up),
                   v_add(v_mul(v_load(x + HALF + j), by), up));
}

/* A row of a type without blocks. */
static inline void store_plain(void *dst, const f32 *src, int64_t n, rb_dtype dtype)
{
    for (int64_t k = 0; k < n; k += V_LANES) {
        const int64_t m = lanes_at(k, n);
        const vf v = m < V_LANES ? v_load_n(src + k, m) : v_load(src + k);
        if (dtype == RB_F32)
            v_store_n((f32 *)dst + k, v, m);
        else if (dtype == RB_F16)
            v_store_f16_n((f16 *)dst + k, v, m);
        else
            v_store_bf16_n((bf16 *)dst + k, v, m);
    }
}

/* Bytes that storing n elements loads: blocks are scanned for their largest element first. */
static inline int64_t store_loads(rb_dtype dtype, int64_t n)
{
    return f32_bytes(is_block_type(dtype) ? 2 * n : n);
}

/* dst[n] = src[n] in a type of caches. */
static inline void store_row(char *dst, const f32 *src, int64_t n, rb_dtype dtype)
{
    if (dtype == RB_Q8_0)
        for (int64_t k = 0; k < n; k += BLOCK)
            encode_q8_0((u8 *)dst + rb_row_bytes(RB_Q8_0, k), src + k);
    else if (dtype == RB_Q4_0)
        for (int64_t k = 0; k < n; k += BLOCK)
            encode_q4_0((u8 *)dst + rb_row_bytes(RB_Q4_0, k), src + k);
    else
        store_plain(dst, src, n, dtype);
}

#endif
