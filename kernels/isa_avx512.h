/* The primitives with sixteen lanes: AVX-512 F, BW, DQ, VL and VNNI. One of the few files with
 * intrinsics. Refuses nothing; simd.h says what each primitive means and costs.
 * Read next: isa_math.h for exp. */
#ifndef RB_ISA_AVX512_H
#define RB_ISA_AVX512_H

#include <immintrin.h>

enum { V_LANES = 16 };
typedef __m512 vf;
typedef __m512i vi;

RB_INLINE __mmask16 mask_n(int64_t n)
{
    return (__mmask16)(0xffffu >> (16 - n));
}

RB_INLINE sf s_load_f16(const u8 *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return (sf){ _cvtsh_ss(h) };
}

RB_INLINE vf v_hold(vf a)
{
    __asm__("" : "+v"(a));
    return a;
}

RB_INLINE vf v_zero(void)
{
    return _mm512_setzero_ps();
}

RB_INLINE vf v_set(sf a)
{
    return _mm512_set1_ps(a.v);
}

RB_INLINE vf v_bcast(const f32 *p)
{
    return _mm512_set1_ps(p->bits);
}

RB_INLINE vf v_load(const f32 *p)
{
    return _mm512_loadu_ps(p);
}

RB_INLINE vf v_load_n(const f32 *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(mask_n(n), p);
}

RB_INLINE void v_store(f32 *p, vf a)
{
    _mm512_storeu_ps(p, a);
}

RB_INLINE void v_store_n(f32 *p, vf a, int64_t n)
{
    _mm512_mask_storeu_ps(p, mask_n(n), a);
}

RB_INLINE void v_load2_n(const f32 *p, int64_t n, vf *a, vf *b)
{
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __mmask32 m = (__mmask32)(0xffffffffu >> (32 - 2 * n));
    const __m512 lo = _mm512_maskz_loadu_ps((__mmask16)m, p);
    const __m512 hi = _mm512_maskz_loadu_ps((__mmask16)(m >> 16), p + 16);
    *a = _mm512_permutex2var_ps(lo, even, hi);
    *b = _mm512_permutex2var_ps(lo, _mm512_add_epi32(even, _mm512_set1_epi32(1)), hi);
}

RB_INLINE void v_store2_n(f32 *p, int64_t n, vf a, vf b)
{
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    const __mmask32 m = (__mmask32)(0xffffffffu >> (32 - 2 * n));
    _mm512_mask_storeu_ps(p, (__mmask16)m, _mm512_permutex2var_ps(a, first, b));
    _mm512_mask_storeu_ps(p + 16, (__mmask16)(m >> 16), _mm512_permutex2var_ps(a, second, b));
}

RB_INLINE vf v_load_f16(const f16 *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

RB_INLINE vf v_load_f16_n(const f16 *p, int64_t n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask_n(n), p));
}

RB_INLINE void v_store_f16(f16 *p, vf a)
{
    _mm256_storeu_si256((__m256i *)p,
                        _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

RB_INLINE void v_store_f16_n(f16 *p, vf a, int64_t n)
{
    _mm256_mask_storeu_epi16(p, mask_n(n),
                             _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

RB_INLINE vf bf16_widen(__m256i h)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

RB_INLINE vf v_load_bf16(const bf16 *p)
{
    return bf16_widen(_mm256_loadu_si256((const __m256i *)p));
}

RB_INLINE vf v_load_bf16_n(const bf16 *p, int64_t n)
{
    return bf16_widen(_mm256_maskz_loadu_epi16(mask_n(n), p));
}

RB_INLINE void v_load2_bf16(const bf16 *p, vf *a, vf *b)
{
    const __m512i pairs = _mm512_loadu_si512(p);
    *a = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
    *b = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000)));
}

RB_INLINE vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

RB_INLINE vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

RB_INLINE vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

RB_INLINE vf v_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}

RB_INLINE vf v_neg(vf a)
{
    return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f));
}

RB_INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

RB_INLINE vf v_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

/* vmaxps returns its second operand when either is NaN: NaN in b survives, NaN in a must too. */
RB_INLINE vf v_max_n(vf a, vf b, int64_t n)
{
    const __mmask16 take_b = _mm512_mask_cmp_ps_mask(mask_n(n), a, b, _CMP_NGT_UQ);
    const __mmask16 a_is_nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(a, (__mmask16)(take_b & ~a_is_nan), b);
}

RB_INLINE vf v_keep_n(vf a, int64_t n)
{
    return _mm512_maskz_mov_ps(mask_n(n), a);
}

RB_INLINE sf v_hsum(vf a)
{
    return (sf){ _mm512_reduce_add_ps(a) };
}

RB_INLINE sf v_hmax(vf a)
{
    return (sf){ _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q) ? NAN : _mm512_reduce_max_ps(a) };
}

/* Adds 4 x 4 transposed inside the 128-bit quarters, then across the quarters. */
RB_INLINE vf hsum_four(const vf *a)
{
    const vf t0 = v_add(_mm512_unpacklo_ps(a[0], a[1]), _mm512_unpackhi_ps(a[0], a[1]));
    const vf t1 = v_add(_mm512_unpacklo_ps(a[2], a[3]), _mm512_unpackhi_ps(a[2], a[3]));
    const __m512d d0 = _mm512_castps_pd(t0), d1 = _mm512_castps_pd(t1);
    return v_add(_mm512_castpd_ps(_mm512_unpacklo_pd(d0, d1)),
                 _mm512_castpd_ps(_mm512_unpackhi_pd(d0, d1)));
}

RB_INLINE vf hsum_quarters(vf a, vf b)
{
    return v_add(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

RB_INLINE vf v_hsum_rows(const vf a[V_LANES], int64_t m)
{
    (void)m; /* rows past m are zero */
    return hsum_quarters(hsum_quarters(hsum_four(a), hsum_four(a + 4)),
                         hsum_quarters(hsum_four(a + 8), hsum_four(a + 12)));
}

/* Pairs of rows, then of pairs inside the quarters; then quarters change places. */
RB_INLINE void v_transpose(vf a[V_LANES])
{
    vf two[16], four[16];
    UNROLL
    for (int i = 0; i < 16; i += 2) {
        two[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        two[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 16; i += 4) {
        UNROLL
        for (int h = 0; h < 2; h++) {
            four[i + 2 * h] = _mm512_shuffle_ps(two[i + h], two[i + h + 2], 0x44);
            four[i + 2 * h + 1] = _mm512_shuffle_ps(two[i + h], two[i + h + 2], 0xee);
        }
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        const vf even_low = _mm512_shuffle_f32x4(four[i], four[i + 4], 0x88);
        const vf odd_low = _mm512_shuffle_f32x4(four[i], four[i + 4], 0xdd);
        const vf even_high = _mm512_shuffle_f32x4(four[i + 8], four[i + 12], 0x88);
        const vf odd_high = _mm512_shuffle_f32x4(four[i + 8], four[i + 12], 0xdd);
        a[i] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
        a[i + 8] = _mm512_shuffle_f32x4(even_low, even_high, 0xdd);
        a[i + 4] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
        a[i + 12] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
    }
}

RB_INLINE vf v_abs(vf a)
{
    return _mm512_abs_ps(a);
}

RB_INLINE void v_store_s8(u8 *p, vf a)
{
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a)));
}

typedef __m256 v8;

RB_INLINE v8 v8_zero(void)
{
    return _mm256_setzero_ps();
}

#ifdef __AVX512BF16__
RB_INLINE vi v_pairs_bf16_n(const f32 *p, int64_t n)
{
    const __mmask32 m = (__mmask32)(0xffffffffu >> (32 - 2 * n));
    const __m512 lo = _mm512_maskz_loadu_ps((__mmask16)m, p);
    const __m512 hi = _mm512_maskz_loadu_ps((__mmask16)(m >> 16), p + 16);
    return (__m512i)_mm512_cvtne2ps_pbh(hi, lo);
}

RB_INLINE vf v_dot2_bf16(vf acc, vi a, vi b)
{
    return _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b);
}
#endif

/* vpdpbusd takes unsigned by signed bytes: |w| times x with the sign of w. */
RB_INLINE v8 v8_dot4(v8 acc, const u8 *w, const u8 *x, sf d)
{
    const __m256i wv = _mm256_loadu_si256((const __m256i *)w);
    const __m256i xv = _mm256_loadu_si256((const __m256i *)x);
    const __m256i sum =
        _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_abs_epi8(wv), _mm256_sign_epi8(xv, wv));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(d.v), acc);
}

RB_INLINE v8 v8_join(v8 a, v8 b)
{
    return _mm256_add_ps(a, b);
}

RB_INLINE sf v8_hsum(v8 a)
{
    const __m128 q = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 h = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return (sf){ _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h))) };
}

RB_INLINE vf v_join(vf a, vf b)
{
    return v_add(a, b);
}

RB_INLINE vf v_load_scales(const u8 *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

RB_INLINE vf v_cvt(vi a)
{
    return _mm512_cvtepi32_ps(a);
}

RB_INLINE vi vi_load4(const u8 *p)
{
    return _mm512_loadu_si512(p);
}

RB_INLINE vi vi_byte(vi a, int j)
{
    return _mm512_srai_epi32(_mm512_slli_epi32(a, (unsigned)(24 - 8 * j)), 24);
}

/* -128 sum(x): what makes up for w + 128 in vi_dot4. */
RB_INLINE void bias_store(u8 *bias, const u8 *x)
{
    const __m256i xv = _mm256_loadu_si256((const __m256i *)x);
    const __m256i sums =
        _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8((char)0x80), xv);
    const int32_t sum = -_mm512_reduce_add_epi32(_mm512_zextsi256_si512(sums));
    memcpy(bias, &sum, sizeof sum);
}

RB_INLINE vi vi_dot4_begin(const u8 *bias)
{
    int32_t sum;
    memcpy(&sum, bias, sizeof sum);
    return _mm512_set1_epi32(sum);
}

/* vpdpbusd takes unsigned by signed bytes: w + 128 by flipping its sign bit. */
RB_INLINE vi vi_dot4(vi acc, vi w, const u8 *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return _mm512_dpbusd_epi32(acc, _mm512_xor_si512(w, _mm512_set1_epi8((char)0x80)),
                               _mm512_set1_epi32(four));
}

RB_INLINE vi vi_dot4u(vi acc, vi w, const u8 *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return _mm512_dpbusd_epi32(acc, w, _mm512_set1_epi32(four));
}

RB_INLINE vi vi_bcast(const u8 *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return _mm512_set1_epi32(x);
}

RB_INLINE vi vi_load_u16(const u8 *p)
{
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
}

RB_INLINE void vi_store4(u8 *p, vi a)
{
    _mm512_storeu_si512(p, a);
}

RB_INLINE vi vi_lookup4(vi codes)
{
    const __m128i table = _mm_loadu_si128((const __m128i *)iq4_value);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), codes);
}

RB_INLINE vi vi_set(int32_t x)
{
    return _mm512_set1_epi32(x);
}

RB_INLINE vi vi_load_u8(const u8 *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}

RB_INLINE vi vi_load_s8(const u8 *p)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
}

RB_INLINE vi vi_load_bits(const u8 *p, int first)
{
    uint16_t bits;
    memcpy(&bits, p + first / 8, sizeof bits);
    return _mm512_maskz_set1_epi32(bits, 1);
}

RB_INLINE vi vi_and(vi a, vi b)
{
    return _mm512_and_si512(a, b);
}

RB_INLINE vi vi_or(vi a, vi b)
{
    return _mm512_or_si512(a, b);
}

RB_INLINE vi vi_sub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}

RB_INLINE vi vi_shl(vi a, int bits)
{
    return _mm512_slli_epi32(a, (unsigned)bits);
}

RB_INLINE vi vi_shr(vi a, int bits)
{
    return _mm512_srli_epi32(a, (unsigned)bits);
}

RB_INLINE vf dq_cvt(vi a)
{
    return _mm512_cvtepi32_ps(a);
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
    return _mm512_set1_ps(x);
}

RB_INLINE vf raw_clamp(vf x, float lo, float hi)
{
    return _mm512_min_ps(_mm512_set1_ps(hi), _mm512_max_ps(_mm512_set1_ps(lo), x));
}

RB_INLINE vf raw_copysign(vf magnitude, vf sign)
{
    const vf bit = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(bit, magnitude), _mm512_and_ps(bit, sign));
}

RB_INLINE vf raw_round(vf x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

RB_INLINE vf raw_scale2(vf x, vf n)
{
    return _mm512_scalef_ps(x, n);
}

#include "isa_math.h"

#endif
