/* Rows of any dtype as f32 lanes: the one decoder that all kernels share, written over primitives.
 * A block type is decoded 32 elements at a time. Every decode states itself with dq_event.
 * Included by kernel files only. Read next: matmul.c. */
#ifndef RB_ROWS_H
#define RB_ROWS_H

#include "simd.h"

enum { BLOCK = 32, BLOCK_VECS = BLOCK / V_LANES };

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

/* q8_0: f16 d, 32 x i8.  q4_0: f16 d, 16 bytes.  q4_1: f16 d, m, 16 bytes.
 * q5_0: f16 d, 4 bytes of fifth bits, 16 bytes.  q5_1: f16 d, m, 4 bytes, 16 bytes. */
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
        default: /* RB_Q5_1 */
            out[j] = dq_fma(dq_cvt(vi_or(nibbles(b + 8, j), fifth_bits(b + 4, j))), d, m);
            break;
        }
    }
}

/* q6_K: 128 bytes of low nibbles, 64 of high pairs, 16 x i8 scales, f16 d; 256 elements in two
 * halves of four 32-element parts. Decodes part (half, part). */
RB_INLINE void decode_part_q6_k(vf out[BLOCK_VECS], const u8 *b, int half, int part, sf d)
{
    const u8 *ql = b + half * 64 + part % 2 * 32, *qh = b + 128 + half * 32;
    const u8 *scale = b + 192 + half * 8 + part * 2;
    const vf s[2] = { v_set(dq_smul(d, dq_load_s8(scale))),
                      v_set(dq_smul(d, dq_load_s8(scale + 1))) };
    UNROLL
    for (int j = 0; j < BLOCK_VECS; j++) {
        const int e = j * V_LANES;
        const vi low = vi_load_u8(ql + e), high = vi_load_u8(qh + e);
        const vi lo4 = part < 2 ? vi_and(low, vi_set(15)) : vi_shr(low, 4);
        const vi hi2 = vi_shl(vi_and(vi_shr(high, 2 * part), vi_set(3)), 4);
        out[j] = dq_mul(dq_cvt(vi_sub(vi_or(lo4, hi2), vi_set(32))), s[e / 16]);
    }
}

/* The size of a step of a row loop: 32 elements of a block type, one vector of a plain type. */
RB_INLINE bool is_block_type(rb_dtype dtype)
{
    return dtype != RB_F32 && dtype != RB_F16 && dtype != RB_BF16;
}

/* Elements [32 i, 32 i + 32) of a row of a block type; i runs upwards from 0, since d keeps the
 * scale of q6_K's block from one part to the next. */
RB_INLINE void decode32(vf out[BLOCK_VECS], const void *row, int64_t i, rb_dtype dtype, sf *d)
{
    if (dtype == RB_Q6_K) {
        const u8 *b = (const u8 *)row + i / 8 * 210;
        if (i % 8 == 0)
            *d = dq_load_f16(b + 208);
        decode_part_q6_k(out, b, (int)(i % 8 / 4), (int)(i % 4), *d);
    } else {
        static const int bytes[RB_N_DTYPE] = {
            [RB_Q8_0] = 34, [RB_Q4_0] = 18, [RB_Q4_1] = 20, [RB_Q5_0] = 22, [RB_Q5_1] = 24
        };
        decode_block32(out, (const u8 *)row + i * bytes[dtype], dtype);
    }
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
    dq_event(dtype, dtype == RB_Q6_K ? n / 256 : is_block_type(dtype) ? n / BLOCK : n);
}

RB_INLINE void decode_row_as(f32 *dst, const void *row, int64_t n, rb_dtype dtype)
{
    if (is_block_type(dtype)) {
        sf d = s_const(0.0);
        for (int64_t i = 0; i < n / BLOCK; i++) {
            vf v[BLOCK_VECS];
            decode32(v, row, i, dtype, &d);
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
    case RB_F32:
        decode_row_as(dst, row, n, RB_F32);
        break;
    case RB_F16:
        decode_row_as(dst, row, n, RB_F16);
        break;
    case RB_BF16:
        decode_row_as(dst, row, n, RB_BF16);
        break;
    case RB_Q8_0:
        decode_row_as(dst, row, n, RB_Q8_0);
        break;
    case RB_Q4_0:
        decode_row_as(dst, row, n, RB_Q4_0);
        break;
    case RB_Q4_1:
        decode_row_as(dst, row, n, RB_Q4_1);
        break;
    case RB_Q5_0:
        decode_row_as(dst, row, n, RB_Q5_0);
        break;
    case RB_Q5_1:
        decode_row_as(dst, row, n, RB_Q5_1);
        break;
    default:
        decode_row_as(dst, row, n, RB_Q6_K);
        break;
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

#endif
