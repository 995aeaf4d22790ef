/* The primitives with eight lanes: AVX2, FMA and F16C. One of the few files with intrinsics.
 * Refuses nothing; simd.h says what each primitive means and costs.
 * Read next: isa_math.h for exp. */
#ifndef RB_ISA_AVX2_H
#define RB_ISA_AVX2_H

#include <immintrin.h>

enum { V_LANES = 8 };
typedef __m256 vf;
typedef __m256i vi;

/* All ones in the first n lanes. */
RB_INLINE __m256i mask_n(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

RB_INLINE sf s_load_f16(const u8 *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return (sf){ _cvtsh_ss(h) };
}

RB_INLINE vf v_hold(vf a)
{
    __asm__("" : "+x"(a));
    return a;
}

RB_INLINE vf v_zero(void)
{
    return _mm256_setzero_ps();
}

RB_INLINE vf v_set(sf a)
{
    return _mm256_set1_ps(a.v);
}

RB_INLINE vf v_bcast(const f32 *p)
{
    return _mm256_broadcast_ss(&p->bits);
}

RB_INLINE vf v_load(const f32 *p)
{
    return _mm256_loadu_ps(&p->bits);
}

RB_INLINE vf v_load_n(const f32 *p, int64_t n)
{
    return _mm256_maskload_ps(&p->bits, mask_n(n));
}

RB_INLINE void v_store(f32 *p, vf a)
{
    _mm256_storeu_ps(&p->bits, a);
}

RB_INLINE void v_store_n(f32 *p, vf a, int64_t n)
{
    _mm256_maskstore_ps(&p->bits, mask_n(n), a);
}

RB_INLINE void v_load2_n(const f32 *p, int64_t n, vf *a, vf *b)
{
    const __m256 lo = _mm256_maskload_ps(&p->bits, mask_n(2 * n));
    const __m256 hi = 2 * n > 8 ? _mm256_maskload_ps(&p[8].bits, mask_n(2 * n - 8)) : v_zero();
    const __m256 even = _mm256_shuffle_ps(lo, hi, 0x88), odd = _mm256_shuffle_ps(lo, hi, 0xdd);
    *a = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(even), 0xd8));
    *b = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(odd), 0xd8));
}

RB_INLINE void v_store2_n(f32 *p, int64_t n, vf a, vf b)
{
    const __m256 x = _mm256_unpacklo_ps(a, b), y = _mm256_unpackhi_ps(a, b);
    _mm256_maskstore_ps(&p->bits, mask_n(2 * n), _mm256_permute2f128_ps(x, y, 0x20));
    if (2 * n > 8)
        _mm256_maskstore_ps(&p[8].bits, mask_n(2 * n - 8), _mm256_permute2f128_ps(x, y, 0x31));
}

/* The first n (< 8) 16-bit elements at p; AVX2 has no masked load of halves. */
RB_INLINE __m128i load_half_n(const void *p, int64_t n)
{
    uint16_t h[8] = { 0 };
    memcpy(h, p, (size_t)n * sizeof *h);
    return _mm_loadu_si128((const __m128i *)h);
}

RB_INLINE vf v_load_f16(const f16 *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

RB_INLINE vf v_load_f16_n(const f16 *p, int64_t n)
{
    return _mm256_cvtph_ps(load_half_n(p, n));
}

RB_INLINE void v_store_f16(f16 *p, vf a)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}

RB_INLINE void v_store_f16_n(f16 *p, vf a, int64_t n)
{
    f16 h[8];
    v_store_f16(h, a);
    memcpy(p, h, (size_t)n * sizeof *h);
}

RB_INLINE vf bf16_widen(__m128i h)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

RB_INLINE vf v_load_bf16(const bf16 *p)
{
    return bf16_widen(_mm_loadu_si128((const __m128i *)p));
}

RB_INLINE vf v_load_bf16_n(const bf16 *p, int64_t n)
{
    return bf16_widen(load_half_n(p, n));
}

RB_INLINE void v_load2_bf16(const bf16 *p, vf *a, vf *b)
{
    const __m256i pairs = _mm256_loadu_si256((const __m256i *)p);
    *a = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
    *b = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000)));
}

RB_INLINE vf v_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

RB_INLINE vf v_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}

RB_INLINE vf v_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}

RB_INLINE vf v_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}

RB_INLINE vf v_neg(vf a)
{
    return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f));
}

RB_INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

RB_INLINE vf v_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}

/* vmaxps returns its second operand when either is NaN: NaN in b survives, NaN in a must too. */
RB_INLINE vf v_max_n(vf a, vf b, int64_t n)
{
    const __m256 take_b =
        _mm256_andnot_ps(_mm256_cmp_ps(a, a, _CMP_UNORD_Q), _mm256_cmp_ps(a, b, _CMP_NGT_UQ));
    return _mm256_blendv_ps(a, b, _mm256_and_ps(take_b, _mm256_castsi256_ps(mask_n(n))));
}

RB_INLINE vf v_keep_n(vf a, int64_t n)
{
    return _mm256_and_ps(a, _mm256_castsi256_ps(mask_n(n)));
}

RB_INLINE sf v_hsum(vf a)
{
    const __m128 q = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 h = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return (sf){ _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h))) };
}

RB_INLINE sf v_hmax(vf a)
{
    if (_mm256_movemask_ps(_mm256_cmp_ps(a, a, _CMP_UNORD_Q)))
        return (sf){ NAN };
    const __m128 q = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 h = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return (sf){ _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h))) };
}

/* Each step halves what is left to add across lanes: one blend and one shuffle bring the halves of
 * two rows to their places. */
RB_INLINE vf v_hsum_rows(const vf a[V_LANES], int64_t m)
{
    (void)m; /* rows past m are zero */
    vf half[4], pair[2];
    UNROLL
    for (int i = 0; i < 4; i++)
        half[i] = v_add(_mm256_blend_ps(a[i], a[i + 4], 0xf0),
                        _mm256_permute2f128_ps(a[i], a[i + 4], 0x21));
    UNROLL
    for (int i = 0; i < 2; i++)
        pair[i] = v_add(_mm256_blend_ps(half[i], half[i + 2], 0xcc),
                        _mm256_shuffle_ps(half[i], half[i + 2], 0x4e));
    return v_add(_mm256_blend_ps(pair[0], pair[1], 0xaa),
                 _mm256_permute_ps(_mm256_blend_ps(pair[1], pair[0], 0xaa), 0xb1));
}

/* Pairs of rows, then of pairs, then halves change places. */
RB_INLINE void v_transpose(vf a[V_LANES])
{
    vf two[8], four[8];
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        two[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        two[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4) {
        UNROLL
        for (int h = 0; h < 2; h++) {
            four[i + 2 * h] = _mm256_shuffle_ps(two[i + h], two[i + h + 2], 0x44);
            four[i + 2 * h + 1] = _mm256_shuffle_ps(two[i + h], two[i + h + 2], 0xee);
        }
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        a[i] = _mm256_permute2f128_ps(four[i], four[i + 4], 0x20);
        a[i + 4] = _mm256_permute2f128_ps(four[i], four[i + 4], 0x31);
    }
}

RB_INLINE vf v_abs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}

RB_INLINE void v_store_s8(u8 *p, vf a)
{
    const __m256i k = _mm256_cvtps_epi32(a);
    const __m128i h = _mm_packs_epi32(_mm256_castsi256_si128(k), _mm256_extracti128_si256(k, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(h, h));
}

typedef __m256 v8;

RB_INLINE v8 v8_zero(void)
{
    return _mm256_setzero_ps();
}

/* vpmaddubsw takes unsigned by signed bytes: |w| times x with the sign of w. Its sums of two stay
 * within 16 bits, since |x| <= 127. */
RB_INLINE v8 v8_dot4(v8 acc, const u8 *w, const u8 *x, sf d)
{
    const __m256i wv = _mm256_loadu_si256((const __m256i *)w);
    const __m256i xv = _mm256_loadu_si256((const __m256i *)x);
    const __m256i two = _mm256_maddubs_epi16(_mm256_abs_epi8(wv), _mm256_sign_epi8(xv, wv));
    const __m256i sum = _mm256_madd_epi16(two, _mm256_set1_epi16(1));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(d.v), acc);
}

RB_INLINE v8 v8_join(v8 a, v8 b)
{
    return _mm256_add_ps(a, b);
}

RB_INLINE sf v8_hsum(v8 a)
{
    return v_hsum(a);
}

RB_INLINE vf v_join(vf a, vf b)
{
    return v_add(a, b);
}

RB_INLINE vf v_load_scales(const u8 *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

RB_INLINE vf v_cvt(vi a)
{
    return _mm256_cvtepi32_ps(a);
}

RB_INLINE vi vi_load4(const u8 *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

RB_INLINE vi vi_byte(vi a, int j)
{
    return _mm256_srai_epi32(_mm256_slli_epi32(a, 24 - 8 * j), 24);
}

RB_INLINE void bias_store(u8 *bias, const u8 *x)
{
    (void)bias, (void)x; /* bytes are signed here */
}

RB_INLINE vi vi_dot4_begin(const u8 *bias)
{
    (void)bias;
    return _mm256_setzero_si256();
}

/* As in v8_dot4: |w| times x with the sign of w, within 16 bits. */
RB_INLINE vi vi_dot4(vi acc, vi w, const u8 *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    const __m256i xv = _mm256_sign_epi8(_mm256_set1_epi32(four), w);
    const __m256i two = _mm256_maddubs_epi16(_mm256_abs_epi8(w), xv);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(two, _mm256_set1_epi16(1)));
}

RB_INLINE vi vi_dot4u(vi acc, vi w, const u8 *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    const __m256i two = _mm256_maddubs_epi16(w, _mm256_set1_epi32(four));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(two, _mm256_set1_epi16(1)));
}

RB_INLINE vi vi_bcast(const u8 *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return _mm256_set1_epi32(x);
}

RB_INLINE vi vi_load_u16(const u8 *p)
{
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
}

RB_INLINE void vi_store4(u8 *p, vi a)
{
    _mm256_storeu_si256((__m256i *)p, a);
}

RB_INLINE vi vi_lookup4(vi codes)
{
    const __m128i table = _mm_loadu_si128((const __m128i *)iq4_value);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), codes);
}

RB_INLINE vi vi_set(int32_t x)
{
    return _mm256_set1_epi32(x);
}

RB_INLINE vi vi_load_u8(const u8 *p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}

RB_INLINE vi vi_load_s8(const u8 *p)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
}

RB_INLINE vi vi_load_bits(const u8 *p, int first)
{
    const __m256i all = _mm256_set1_epi32(p[first / 8].bits);
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_and_si256(_mm256_srlv_epi32(all, lane), _mm256_set1_epi32(1));
}

RB_INLINE vi vi_and(vi a, vi b)
{
    return _mm256_and_si256(a, b);
}

RB_INLINE vi vi_or(vi a, vi b)
{
    return _mm256_or_si256(a, b);
}

RB_INLINE vi vi_sub(vi a, vi b)
{
    return _mm256_sub_epi32(a, b);
}

RB_INLINE vi vi_shl(vi a, int bits)
{
    return _mm256_slli_epi32(a, bits);
}

RB_INLINE vi vi_shr(vi a, int bits)
{
    return _mm256_srli_epi32(a, bits);
}

RB_INLINE vf dq_cvt(vi a)
{
    return _mm256_cvtepi32_ps(a);
}

RB_INLINE vf dq_mul(vf a, vf b)
{
    return v_mul(a, b);
}

/* Rounds twice, as the reference decoders do: decoded weights are equal to the bit. */
RB_INLINE vf dq_fma(vf a, vf b, vf c)
{
    return v_add(v_mul(a, b), c);
}

/* The raw steps that isa_math.h builds on. */
RB_INLINE vf raw_const(float x)
{
    return _mm256_set1_ps(x);
}

RB_INLINE vf raw_clamp(vf x, float lo, float hi)
{
    return _mm256_min_ps(_mm256_set1_ps(hi), _mm256_max_ps(_mm256_set1_ps(lo), x));
}

RB_INLINE vf raw_copysign(vf magnitude, vf sign)
{
    const vf bit = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(bit, magnitude), _mm256_and_ps(bit, sign));
}

RB_INLINE vf raw_round(vf x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* x 2^n for -151 <= n <= 128, in two steps: neither power alone need be a normal float. */
RB_INLINE vf raw_scale2(vf x, vf n)
{
    const __m256i k = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(k, 1);
    const __m256i rest = _mm256_sub_epi32(k, half), bias = _mm256_set1_epi32(127);
    const vf a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    const vf b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
    return v_mul(v_mul(x, a), b);
}

#include "isa_math.h"

#endif
