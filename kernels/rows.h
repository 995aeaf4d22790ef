/* Rows of any dtype as f32 lanes: the one decoder that all kernels share, written over primitives.
 * A block type is decoded 32 elements at a time. Every decode states itself with dq_event.
 * Included by kernel files only. Read next: matmul.c. */
#ifndef RB_ROWS_H
#define RB_ROWS_H

#include "issued.h"
#include "simd.h"

enum { BLOCK = 32, BLOCK_VECS = BLOCK / V_LANES };
enum { LINE = 64, STREAM_NEAR = 1024, STREAM_FAR = 4096 };

/* Asks for share i of n of the lines of the `bytes` bytes of a stream that begin at p, ahead of its
 * reader: STREAM_FAR for the second-level cache, STREAM_NEAR for the first. What a CPU foresees by
 * itself ends with a page. */
RB_INLINE void stream_ahead(const void *p, int64_t bytes, int i, int n)
{
    const int64_t lines = (bytes + LINE - 1) / LINE;
    UNROLL
    for (int64_t x = lines * i / n; x < lines * (i + 1) / n; x++) {
        v_prefetch((const f32 *)((const char *)p + STREAM_NEAR + x * LINE));
        v_prefetch_l2((const f32 *)((const char *)p + STREAM_FAR + x * LINE));
    }
}

/* 32 nibbles of 16 bytes as integers: low halves are elements 0..15, high halves 16..31. */
RB_INLINE vi nibbles(const u8 *q, int j)
{
    const int element = j * V_LANES;
    const vi bytes = vi_load_u8(q + element % 16);
    return element < 16 ? vi_and(bytes, vi_set(15)) : vi_shr(bytes, 4);
}

RB_INLINE vi fifth_bits(const u8 *qh, int j)
{
    return vi_shl(vi_load_bits(qh, j * V_LANES), 4);
}

RB_INLINE vi iq4_values(vi codes)
{
    return vi_byte(vi_lookup4(codes), 0);
}

/* Scale and minimum (0 where a type has none) of what is being decoded, or of its superblock. */
typedef struct scaling {
    sf d, min;
} scaling;

/* q8_0: f16 d, 32 x i8.  q4_0: f16 d, 16 bytes.  q4_1: f16 d, m, 16 bytes.
 * q5_0: f16 d, 4 bytes of fifth bits, 16 bytes.  q5_1: f16 d, m, 4 bytes, 16 bytes.
 * iq4_nl: f16 d, 16 bytes of codes. */
RB_INLINE void decode_block32(vf out[BLOCK_VECS], const u8 *b, rb_dtype dtype)
{
    const vf d = v_set(dq_load_f16(b));
    vf m = v_zero();
    if (dtype == RB_Q4_1 || dtype == RB_Q5_1)
        m = v_set(dq_load_f16(b + 2));
    UNROLL
    for (int j = 0; j < BLOCK_VECS; j++) {
        switch (dtype) {
        case RB_Q8_0:
            out[j] = dq_mul(dq_cvt(vi_load_s8(b + 2 + j * V_LANES)), d);
            break;
        case RB_Q4_0:
            out[j] = dq_mul(dq_cvt(vi_sub(nibbles(b + 2, j), vi_set(8))), d);
            break;
        case RB_Q4_1:
            out[j] = dq_fma(dq_cvt(nibbles(b + 4, j)), d, m);
            break;
        case RB_Q5_0:
            out[j] = dq_mul(
                dq_cvt(vi_sub(vi_or(nibbles(b + 6, j), fifth_bits(b + 2, j)), vi_set(16))), d);
            break;
        case RB_IQ4_NL:
            out[j] = dq_mul(dq_cvt(iq4_values(nibbles(b + 2, j))), d);
            break;
        default: /* RB_Q5_1 */
            out[j] = dq_fma(dq_cvt(vi_or(nibbles(b + 8, j), fifth_bits(b + 4, j))), d, m);
            break;
        }
    }
}

/* ---- superblocks of 256, eight parts of 32; blocks32.c and kquants.c draw their layouts ---- */

/* Bytes of a superblock, and where its halves d and (if any) dmin stand. */
typedef struct superblock {
    int bytes, d, min;
} superblock;

RB_INLINE superblock superblock_of(rb_dtype dtype)
{
    switch (dtype) {
    case RB_Q2_K:
        return (superblock){ 84, 80, 82 };
    case RB_Q3_K:
        return (superblock){ 110, 108, -1 };
    case RB_Q4_K:
        return (superblock){ 144, 0, 2 };
    case RB_Q5_K:
        return (superblock){ 176, 0, 2 };
    case RB_IQ4_XS:
        return (superblock){ 136, 0, -1 };
    default: /* RB_Q6_K */
        return (superblock){ 210, 208, -1 };
    }
}

RB_INLINE bool is_superblock_type(rb_dtype dtype)
{
    return dtype == RB_Q2_K || dtype == RB_Q3_K || dtype == RB_Q4_K || dtype == RB_Q5_K ||
           dtype == RB_Q6_K || dtype == RB_IQ4_XS;
}

/* q4_K and q5_K: scale (or minimum) g of 8 in 12 bytes. */
RB_INLINE sf six_bits(const u8 *s, int g, bool min)
{
    const field_of_byte none = { s, 0, 0 };
    if (g < 4)
        return dq_load_small((field_of_byte){ s + g + (min ? 4 : 0), 0, 6 }, none, 0);
    return dq_load_small((field_of_byte){ s + g + 4, min ? 4 : 0, 4 },
                         (field_of_byte){ s + g - (min ? 0 : 4), 6, 2 }, 0);
}

/* Scale and minimum of the group of 16 or 32 that element e of a superblock belongs to. */
RB_INLINE scaling group_scaling(const u8 *b, int e, rb_dtype dtype, scaling of)
{
    const int g = e / 16, part = e / 32;
    sf scale, min = s_const(0.0);
    switch (dtype) {
    case RB_Q2_K:
        scale = dq_load_small((field_of_byte){ b + g, 0, 4 }, (field_of_byte){ b, 0, 0 }, 0);
        min = dq_load_small((field_of_byte){ b + g, 4, 4 }, (field_of_byte){ b, 0, 0 }, 0);
        break;
    case RB_Q3_K:
        scale = dq_load_small((field_of_byte){ b + 96 + g % 8, g / 8 * 4, 4 },
                              (field_of_byte){ b + 104 + g % 4, g / 4 * 2, 2 }, 32);
        break;
    case RB_Q4_K:
    case RB_Q5_K:
        scale = six_bits(b + 4, part, false);
        min = six_bits(b + 4, part, true);
        break;
    case RB_IQ4_XS:
        scale = dq_load_small((field_of_byte){ b + 4 + part / 2, part % 2 * 4, 4 },
                              (field_of_byte){ b + 2 + part / 4, part % 4 * 2, 2 }, 32);
        break;
    default: /* RB_Q6_K */
        scale = dq_load_s8(b + 192 + g);
        break;
    }
    if (superblock_of(dtype).min < 0)
        return (scaling){ dq_smul(of.d, scale), min };
    return (scaling){ dq_smul(of.d, scale), s_neg(dq_smul(of.min, min)) };
}

/* V_LANES quants from element e of part `part` on. */
RB_INLINE vi superblock_quants(const u8 *b, int part, int e, rb_dtype dtype)
{
    const int half = part / 4, p = part % 4;
    switch (dtype) {
    case RB_Q2_K:
        return vi_and(vi_shr(vi_load_u8(b + 16 + half * 32 + e), 2 * p), vi_set(3));
    case RB_Q3_K: {
        const vi low = vi_and(vi_shr(vi_load_u8(b + 32 + half * 32 + e), 2 * p), vi_set(3));
        const vi third = vi_and(vi_shr(vi_load_u8(b + e), part), vi_set(1));
        return vi_sub(vi_or(low, vi_shl(third, 2)), vi_set(4));
    }
    case RB_Q4_K:
    case RB_Q5_K: {
        const vi bytes = vi_load_u8(b + (dtype == RB_Q4_K ? 16 : 48) + part / 2 * 32 + e);
        const vi low = part % 2 == 0 ? vi_and(bytes, vi_set(15)) : vi_shr(bytes, 4);
        if (dtype == RB_Q4_K)
            return low;
        return vi_or(low, vi_shl(vi_and(vi_shr(vi_load_u8(b + 16 + e), part), vi_set(1)), 4));
    }
    case RB_IQ4_XS:
        return iq4_values(nibbles(b + 8 + part * 16, e / V_LANES));
    default: { /* RB_Q6_K */
        const vi low = vi_load_u8(b + half * 64 + p % 2 * 32 + e);
        const vi high = vi_load_u8(b + 128 + half * 32 + e);
        const vi lo4 = p < 2 ? vi_and(low, vi_set(15)) : vi_shr(low, 4);
        return vi_sub(vi_or(lo4, vi_shl(vi_and(vi_shr(high, 2 * p), vi_set(3)), 4)), vi_set(32));
    }
    }
}

/* Groups of 16 or of 32 elements: how many a part has. */
RB_INLINE int part_groups(rb_dtype dtype)
{
    return dtype == RB_Q2_K || dtype == RB_Q3_K || dtype == RB_Q6_K ? 2 : 1;
}

RB_INLINE void decode_part(vf out[BLOCK_VECS], const u8 *b, int part, rb_dtype dtype, scaling of)
{
    const int n_group = part_groups(dtype), group = BLOCK / n_group;
    scaling s[2] = { group_scaling(b, part * BLOCK, dtype, of) };
    if (n_group == 2)
        s[1] = group_scaling(b, part * BLOCK + group, dtype, of);
    UNROLL
    for (int j = 0; j < BLOCK_VECS; j++) {
        const scaling at = s[j * V_LANES / group];
        const vf q = dq_cvt(superblock_quants(b, part, j * V_LANES, dtype));
        out[j] = superblock_of(dtype).min < 0 ? dq_mul(q, v_set(at.d))
                                              : dq_fma(q, v_set(at.d), v_set(at.min));
    }
}

/* The size of a step of a row loop: 32 elements of a block type, one vector of a plain type. */
RB_INLINE bool is_block_type(rb_dtype dtype)
{
    return dtype != RB_F32 && dtype != RB_F16 && dtype != RB_BF16;
}

/* Elements [32 i, 32 i + 32) of a row of a block type; i runs upwards from 0, since `of` keeps the
 * halves of a superblock from one part to the next. */
RB_INLINE void decode32(vf out[BLOCK_VECS], const void *row, int64_t i, rb_dtype dtype, scaling *of)
{
    if (is_superblock_type(dtype)) {
        const superblock sb = superblock_of(dtype);
        const u8 *b = (const u8 *)row + i / 8 * sb.bytes;
        if (i % 8 == 0) {
            of->d = dq_load_f16(b + sb.d);
            if (sb.min >= 0)
                of->min = dq_load_f16(b + sb.min);
        }
        decode_part(out, b, (int)(i % 8), dtype, *of);
    } else {
        static const int bytes[] = { [RB_Q8_0] = 34, [RB_Q4_0] = 18, [RB_Q4_1] = 20,
                                     [RB_Q5_0] = 22, [RB_Q5_1] = 24, [RB_IQ4_NL] = 18 };
        decode_block32(out, (const u8 *)row + i * bytes[dtype], dtype);
    }
}

/* Bytes that decoding a block loads: its halves, scales of groups, fifth bits, and a byte for each
 * quant, or two where their bits lie apart. */
static inline int64_t block_loads(rb_dtype dtype)
{
    enum { FIFTH = BLOCK_VECS * ((V_LANES + 7) / 8), PARTS = 8, SUPER = PARTS * BLOCK };
    switch (dtype) {
    case RB_Q4_1:
        return 4 + BLOCK;
    case RB_Q5_0:
        return 2 + FIFTH + BLOCK;
    case RB_Q5_1:
        return 4 + FIFTH + BLOCK;
    case RB_Q2_K:
        return 4 + PARTS * 4 + SUPER;
    case RB_Q3_K:
        return 2 + PARTS * 4 + 2 * SUPER;
    case RB_Q4_K:
        return 4 + PARTS * 3 + SUPER; /* six bits of one byte or of two */
    case RB_Q5_K:
        return 4 + PARTS * 3 + 2 * SUPER;
    case RB_Q6_K:
        return 2 + PARTS * 2 + 2 * SUPER;
    case RB_IQ4_XS:
        return 2 + PARTS * 2 + SUPER;
    default: /* RB_Q8_0, RB_Q4_0, RB_IQ4_NL */
        return 2 + BLOCK;
    }
}

/* ... and n elements of a row, of any dtype of the table. */
static inline int64_t row_loads(rb_dtype dtype, int64_t n)
{
    return is_block_type(dtype) ? n / rb_dtype_get(dtype)->block * block_loads(dtype)
                                : rb_row_bytes(dtype, n);
}

/* V_LANES elements from k of a row of f32, f16 or bf16; n < V_LANES of them if full is false. */
RB_INLINE vf load_plain(const void *row, int64_t k, int64_t n, rb_dtype dtype)
{
    switch (dtype) {
    case RB_F32:
        return n < V_LANES ? v_load_n((const f32 *)row + k, n) : v_load((const f32 *)row + k);
    case RB_F16:
        return n < V_LANES ? v_load_f16_n((const f16 *)row + k, n)
                           : v_load_f16((const f16 *)row + k);
    default: /* RB_BF16 */
        return n < V_LANES ? v_load_bf16_n((const bf16 *)row + k, n)
                           : v_load_bf16((const bf16 *)row + k);
    }
}

/* Says that n elements of a row have been decoded. */
RB_INLINE void decoded(rb_dtype dtype, int64_t n)
{
    dq_event(dtype, is_superblock_type(dtype) ? n / 256 : is_block_type(dtype) ? n / BLOCK : n);
}

RB_INLINE void decode_row_as(f32 *dst, const void *row, int64_t n, rb_dtype dtype)
{
    if (is_block_type(dtype)) {
        scaling of = { s_const(0.0), s_const(0.0) };
        for (int64_t i = 0; i < n / BLOCK; i++) {
            vf v[BLOCK_VECS];
            decode32(v, row, i, dtype, &of);
            for (int j = 0; j < BLOCK_VECS; j++)
                v_store(dst + i * BLOCK + j * V_LANES, v[j]);
        }
    } else {
        int64_t k = 0;
        for (; k + V_LANES <= n; k += V_LANES)
            v_store(dst + k, load_plain(row, k, V_LANES, dtype));
        if (k < n)
            v_store_n(dst + k, load_plain(row, k, n - k, dtype), n - k);
    }
    decoded(dtype, n);
}

/* dst[n] = row[n], any dtype of the table. */
static inline void decode_row(f32 *dst, const void *row, int64_t n, rb_dtype dtype)
{
    switch (dtype) {
#define RB_CASE(t)                                                                                 \
    case t:                                                                                        \
        decode_row_as(dst, row, n, t);                                                             \
        break;
        RB_FILE_DTYPES(RB_CASE)
#undef RB_CASE
    default:
        __builtin_unreachable();
    }
}

/* Valid lanes of the vector at i of n elements. */
static inline int64_t lanes_at(int64_t i, int64_t n)
{
    return n - i < V_LANES ? n - i : V_LANES;
}

/* silu(gate) up, what a gated feed-forward network does between its matrices. 4 FLOPs a lane. */
RB_INLINE vf silu_gate(vf gate, vf up)
{
    const vf one = v_set(s_const(1.0));
    return v_mul(v_div(gate, v_add(v_exp(v_neg(gate)), one)), up);
}

/* sigmoid(gate) up, what gated attention does to its output. 4 FLOPs a lane. */
RB_INLINE vf sigmoid_gate(vf gate, vf up)
{
    const vf one = v_set(s_const(1.0));
    return v_mul(v_div(one, v_add(v_exp(v_neg(gate)), one)), up);
}

#endif
