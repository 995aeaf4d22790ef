/* How kernels read packed panels of quantised types: 32 columns of some rows at a time, as bytes in
 * lanes (four columns each), with the scale and the minimum of each of their groups. packed.c says
 * where fields lie; all offsets here are per row, in that order. A value is scale * q (signed),
 * scale * (q - zero), or scale * q + min. Included by kernel files only.
 * Read next: matmul_packed_i8.c, matmul_packed.c. */
#ifndef RB_QUANTS_H
#define RB_QUANTS_H

#include "panels.h"

enum { VECS = PANEL / V_LANES };
/* Groups of four columns in a part of 32. */
enum { FOURS = BLOCK / 4 };

typedef enum { QUANT_SIGNED, QUANT_ZERO, QUANT_MIN } quant_kind;

/* A type: bytes of a row's block and its columns, groups of a part, what its values are; how it is
 * unpacked, so that memory streams by: spans of so many parts, each in so many steps, a step
 * yielding so many vectors; and bytes of a row's block that are loaded for that, pieces that hold
 * scales or high bits of several parts once for each of them. */
typedef struct quant_type {
    int bytes, columns, n_group;
    quant_kind kind;
    int zero;
    int span, steps, per_step;
    int loads;
} quant_type;

/* dtype: the file's type. */
RB_INLINE quant_type quant_of(rb_dtype dtype)
{
    switch (dtype) {
    case RB_Q8_0:
        return (quant_type){ 34, 32, 1, QUANT_SIGNED, 0, 1, 8, 1, 34 };
    case RB_Q4_0:
        return (quant_type){ 18, 32, 1, QUANT_ZERO, 8, 1, 4, 2, 18 };
    case RB_Q4_1:
        return (quant_type){ 20, 32, 1, QUANT_MIN, 0, 1, 4, 2, 20 };
    case RB_Q5_0:
        return (quant_type){ 22, 32, 1, QUANT_ZERO, 16, 1, 4, 2, 34 };
    case RB_Q5_1:
        return (quant_type){ 24, 32, 1, QUANT_MIN, 0, 1, 4, 2, 36 };
    case RB_Q2_K:
        return (quant_type){ 84, 256, 2, QUANT_MIN, 0, 4, 8, 4, 196 };
    case RB_Q3_K:
        return (quant_type){ 110, 256, 2, QUANT_ZERO, 4, 4, 8, 4, 258 };
    case RB_Q4_K:
        return (quant_type){ 144, 256, 1, QUANT_MIN, 0, 2, 8, 2, 228 };
    case RB_Q5_K:
        return (quant_type){ 176, 256, 1, QUANT_MIN, 0, 2, 8, 2, 356 };
    case RB_Q6_K:
        return (quant_type){ 210, 256, 2, QUANT_ZERO, 32, 4, 8, 4, 258 };
    case RB_IQ4_NL:
        return (quant_type){ 18, 32, 1, QUANT_SIGNED, 0, 1, 4, 2, 18 };
    case RB_IQ4_XS:
        return (quant_type){ 136, 256, 1, QUANT_SIGNED, 0, 1, 4, 2, 178 };
    default:
        __builtin_unreachable();
    }
}

/* Rows v V_LANES .. of a packed block. */
typedef struct block_rows {
    const u8 *at;
    int first;
} block_rows;

/* Piece i, four bytes of each row, of what starts at `from`. */
RB_INLINE vi piece(block_rows b, int from, int i)
{
    return vi_load4(b.at + PANEL * from + (i * PANEL + b.first) * 4);
}

RB_INLINE vi bits_of_bytes(vi bytes, int shift, int32_t mask)
{
    const vi moved = shift ? vi_shr(bytes, shift) : bytes;
    return vi_and(moved, vi_set(mask * 0x01010101));
}

/* low, with bits of other bytes above them. */
RB_INLINE vi with_high(vi low, vi high_bytes, int shift, int32_t mask, int up)
{
    return vi_or(low, vi_shl(bits_of_bytes(high_bytes, shift, mask), up));
}

/* The low and the high nibbles. */
RB_INLINE void two_nibbles(vi out[2], vi bytes)
{
    out[0] = bits_of_bytes(bytes, 0, 15);
    out[1] = bits_of_bytes(bytes, 4, 15);
}

/* Which part of its span, and which four columns of it, vector j of step i is. */
RB_INLINE int part_in_span(quant_type q, int j)
{
    return q.span == 1 ? 0 : j;
}

RB_INLINE int four_of(quant_type q, int i, int j)
{
    return q.span == 1 ? i + j * q.steps : i;
}

RB_INLINE void unpack_k_step(vi out[4], block_rows b, int s, int i, rb_dtype dtype)
{
    switch (dtype) {
    case RB_Q2_K: {
        const vi pairs = piece(b, 20 + 32 * s, i);
        UNROLL
        for (int p = 0; p < 4; p++)
            out[p] = bits_of_bytes(pairs, 2 * p, 3);
        break;
    }
    case RB_Q3_K: {
        const vi third = piece(b, 14, 2 * i);
        const vi pairs = s == 0 ? piece(b, 14, 2 * i + 1) : piece(b, 78, i);
        UNROLL
        for (int p = 0; p < 4; p++)
            out[p] = with_high(bits_of_bytes(pairs, 2 * p, 3), third, 4 * s + p, 1, 2);
        break;
    }
    case RB_Q4_K:
        two_nibbles(out, piece(b, 16 + 32 * s, i));
        break;
    case RB_Q5_K: {
        const vi fifth = piece(b, 16, 2 * i);
        two_nibbles(out, s == 0 ? piece(b, 16, 2 * i + 1) : piece(b, 48 + 32 * s, i));
        out[0] = with_high(out[0], fifth, 2 * s, 1, 4);
        out[1] = with_high(out[1], fifth, 2 * s + 1, 1, 4);
        break;
    }
    case RB_Q6_K: {
        const vi low = piece(b, 18 + 96 * s, 3 * i), next = piece(b, 18 + 96 * s, 3 * i + 1);
        const vi high = piece(b, 18 + 96 * s, 3 * i + 2);
        out[0] = with_high(bits_of_bytes(low, 0, 15), high, 0, 3, 4);
        out[1] = with_high(bits_of_bytes(next, 0, 15), high, 2, 3, 4);
        out[2] = with_high(bits_of_bytes(low, 4, 15), high, 4, 3, 4);
        out[3] = with_high(bits_of_bytes(next, 4, 15), high, 6, 3, 4);
        break;
    }
    default:
        __builtin_unreachable();
    }
}

/* Step i of span s of a block. */
RB_INLINE void unpack_step(vi out[4], block_rows b, int s, int i, rb_dtype dtype)
{
    switch (dtype) {
    case RB_Q8_0:
        out[0] = piece(b, 2, i);
        break;
    case RB_Q4_0:
        two_nibbles(out, piece(b, 2, i));
        break;
    case RB_Q4_1:
        two_nibbles(out, piece(b, 4, i));
        break;
    case RB_Q5_0:
    case RB_Q5_1: {
        const int from = dtype == RB_Q5_0 ? 2 : 4;
        const vi fifth = piece(b, from, 0);
        two_nibbles(out, piece(b, from + 4, i));
        out[0] = with_high(out[0], fifth, i, 1, 4);
        out[1] = with_high(out[1], fifth, i + 4, 1, 4);
        break;
    }
    case RB_IQ4_NL:
    case RB_IQ4_XS:
        two_nibbles(out, piece(b, dtype == RB_IQ4_NL ? 2 : 8 + 16 * s, i));
        out[0] = vi_lookup4(out[0]);
        out[1] = vi_lookup4(out[1]);
        break;
    default:
        unpack_k_step(out, b, s, i, dtype);
    }
}

/* ---- scales: as a part of dequantising, which is tallied apart, or of an integer row ---- */

typedef struct quant_scales {
    vf scale[2], min[2];
} quant_scales;

RB_INLINE vf half_of(block_rows b, int from, bool dequantises)
{
    const u8 *p = b.at + PANEL * from + 2 * b.first;
    return dequantises ? v_load_f16((const f16 *)p) : v_load_scales(p);
}

RB_INLINE vf times_small(vf d, vi small, bool dequantises)
{
    return dequantises ? dq_mul(d, dq_cvt(small)) : v_mul(d, v_cvt(small));
}

RB_INLINE vi field_of(vi lanes, int shift, int width)
{
    return vi_and(vi_shr(lanes, shift), vi_set((1 << width) - 1));
}

/* Scale (or minimum) `part` of q4_K and q5_K: six bits of twelve bytes. */
RB_INLINE vi six_of(block_rows b, int part, bool min)
{
    const int at = 8 * (part % 4);
    if (part < 4)
        return field_of(piece(b, 4, min), at, 6);
    return vi_or(field_of(piece(b, 4, 2), at + (min ? 4 : 0), 4),
                 vi_shl(field_of(piece(b, 4, min), at + 6, 2), 4));
}

/* Scale g of 16 of q3_K. */
RB_INLINE vi q3_scale(block_rows b, int g)
{
    const vi low = field_of(piece(b, 2, g % 8 / 4), 8 * (g % 4) + g / 8 * 4, 4);
    const vi high = field_of(piece(b, 2, 2), 8 * (g % 4) + g / 4 * 2, 2);
    return vi_sub(vi_or(low, vi_shl(high, 4)), vi_set(32));
}

RB_INLINE vi xs_scale(block_rows b, int part)
{
    const vi low = field_of(piece(b, 4, 0), 4 * part, 4);
    const vi high = field_of(vi_load_u16(b.at + PANEL * 2 + 2 * b.first), 2 * part, 2);
    return vi_sub(vi_or(low, vi_shl(high, 4)), vi_set(32));
}

/* d: the halves of the block, scale and minimum, loaded once a block. */
RB_INLINE quant_scales part_scales(block_rows b, const vf d[2], int part, rb_dtype dtype,
                                   bool dequantises)
{
    quant_scales s = { { d[0], d[0] }, { d[1], d[1] } };
    for (int i = 0; i < 2; i++) {
        const int g = 2 * part + i;
        switch (dtype) {
        case RB_Q2_K:
            s.scale[i] =
                times_small(d[0], field_of(piece(b, 4, g / 4), 8 * (g % 4), 4), dequantises);
            s.min[i] = v_neg(
                times_small(d[1], field_of(piece(b, 4, g / 4), 8 * (g % 4) + 4, 4), dequantises));
            break;
        case RB_Q3_K:
            s.scale[i] = times_small(d[0], q3_scale(b, g), dequantises);
            break;
        case RB_Q6_K:
            s.scale[i] = times_small(d[0], vi_byte(piece(b, 2, g / 4), g % 4), dequantises);
            break;
        case RB_Q4_K:
        case RB_Q5_K:
            if (i > 0)
                break;
            s.scale[0] = times_small(d[0], six_of(b, part, false), dequantises);
            s.min[0] = v_neg(times_small(d[1], six_of(b, part, true), dequantises));
            break;
        case RB_IQ4_XS:
            if (i == 0)
                s.scale[0] = times_small(d[0], xs_scale(b, part), dequantises);
            break;
        default:
            break;
        }
    }
    return s;
}

/* The halves of a block. */
RB_INLINE void block_halves(vf d[2], block_rows b, rb_dtype dtype, bool dequantises)
{
    d[0] = half_of(b, 0, dequantises);
    d[1] = quant_of(dtype).kind == QUANT_MIN ? half_of(b, 2, dequantises) : v_zero();
}

#endif
