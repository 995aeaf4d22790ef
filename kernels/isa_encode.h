/* What rows of a cache are encoded with: the primitives that round and pack as the reference
 * encoders of dtype.c do, so that bytes are equal on every ISA. Plain, vector and counting forms
 * stand side by side. Included by simd.h only, after the ISA's own primitives.
 * Refuses nothing: simd.h says what becomes of NaN. Read next: store.h. */
#ifndef RB_ISA_ENCODE_H
#define RB_ISA_ENCODE_H

/* ---- on plain numbers ---- */

/* Half away from zero; the sum is exact in double. */
static inline __attribute__((unused)) int8_t q8_of(float f)
{
    if (!(fabsf(f) < 127.0f))
        return f > 0 ? 127 : f < 0 ? -127 : 0;
    return (int8_t)(f < 0 ? (double)f - 0.5 : (double)f + 0.5);
}

static inline __attribute__((unused)) uint8_t q4_of(float f)
{
    return !(f > 0) ? 0 : f < 15.0f ? (uint8_t)f : 15;
}

static inline __attribute__((unused)) float peak_of(const float *p, int64_t n)
{
    float peak = p[0];
    for (int64_t i = 1; i < n; i++)
        peak = fabsf(p[i]) > fabsf(peak) ? p[i] : peak;
    return peak;
}

static inline __attribute__((unused)) float inverse_of(float x)
{
    return x == 0 ? 0 : 1 / x;
}

#if RB_COUNTING

RB_INLINE sf s_peak(const f32 *p, int64_t n)
{
    return (sf){ peak_of(rb_count_read(p, (size_t)n * sizeof *p), n) };
}

RB_INLINE sf s_inverse(sf a)
{
    return s_flops(inverse_of(a.v), 1, 1);
}

RB_INLINE void s_store_f16(u8 *p, sf a)
{
    const uint16_t h = rb_f32_to_f16(a.v);
    memcpy(rb_count_write(p, sizeof h), &h, sizeof h);
}

RB_INLINE void v_store_bf16_n(bf16 *p, vf a, int64_t n)
{
    must_hold(a, lanes_n(n), p);
    uint16_t *dst = rb_count_write(p, (size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++)
        dst[i] = rb_f32_to_bf16(a.x[i]);
}

RB_INLINE void v_store_q8(u8 *p, vf a)
{
    must_hold(a, V_ALL, p);
    int8_t *dst = rb_count_write(p, V_LANES);
    for (int i = 0; i < V_LANES; i++)
        dst[i] = q8_of(a.x[i]);
}

RB_INLINE void v_store_q4(u8 *p, vf low, vf high)
{
    must_hold(low, V_ALL, p);
    must_hold(high, V_ALL, p);
    uint8_t *dst = rb_count_write(p, V_LANES);
    for (int i = 0; i < V_LANES; i++)
        dst[i] = (uint8_t)(q4_of(low.x[i]) | q4_of(high.x[i]) << 4);
}

#else

RB_INLINE sf s_peak(const f32 *p, int64_t n)
{
    return (sf){ peak_of(&p->bits, n) };
}

RB_INLINE sf s_inverse(sf a)
{
    return (sf){ inverse_of(a.v) };
}

#if defined RB_BUILD_avx2 || defined RB_BUILD_avx512

RB_INLINE void s_store_f16(u8 *p, sf a)
{
    const uint16_t h = _cvtss_sh(a.v, _MM_FROUND_TO_NEAREST_INT);
    memcpy(p, &h, sizeof h);
}

#endif

/* Half away from zero is half less one place towards it, added with x's sign, then cut: sums of
 * less than a half stay below the next integer, a half itself rounds up to it. */
#define LESS_THAN_HALF 0x1.fffffep-2f

#if defined RB_BUILD_scalar

RB_INLINE void s_store_f16(u8 *p, sf a)
{
    const uint16_t h = rb_f32_to_f16(a.v);
    memcpy(p, &h, sizeof h);
}

RB_INLINE void v_store_bf16_n(bf16 *p, vf a, int64_t n)
{
    (void)n;
    p->bits = rb_f32_to_bf16(a.v);
}

RB_INLINE void v_store_q8(u8 *p, vf a)
{
    p->bits = (uint8_t)q8_of(a.v);
}

RB_INLINE void v_store_q4(u8 *p, vf low, vf high)
{
    p->bits = (uint8_t)(q4_of(low.v) | q4_of(high.v) << 4);
}

#elif defined RB_BUILD_avx2

/* To nearest even by adding half a place; NaN is made quiet instead, lest it become infinite. */
RB_INLINE void v_store_bf16_n(bf16 *p, vf a, int64_t n)
{
    const __m256i u = _mm256_castps_si256(a), top = _mm256_srli_epi32(u, 16);
    const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
    const __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    const __m256i near = _mm256_srli_epi32(_mm256_add_epi32(u, half), 16);
    const __m256i nan = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    const __m256i wide = _mm256_blendv_epi8(near, nan, is_nan);
    bf16 h[8];
    _mm_storeu_si128((__m128i *)h, _mm_packus_epi32(_mm256_castsi256_si128(wide),
                                                    _mm256_extracti128_si256(wide, 1)));
    memcpy(p, h, (size_t)n * sizeof *h);
}

RB_INLINE void v_store_q8(u8 *p, vf a)
{
    const vf limit = _mm256_set1_ps(127.0f), is_number = _mm256_cmp_ps(a, a, _CMP_ORD_Q);
    const vf cut = _mm256_min_ps(_mm256_max_ps(a, v_neg(limit)), limit);
    const vf half = raw_copysign(_mm256_set1_ps(LESS_THAN_HALF), a);
    const __m256i k = _mm256_cvttps_epi32(_mm256_and_ps(_mm256_add_ps(cut, half), is_number));
    const __m128i h = _mm_packs_epi32(_mm256_castsi256_si128(k), _mm256_extracti128_si256(k, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(h, h));
}

/* vmaxps returns its second operand where the first is NaN: 0. */
RB_INLINE __m256i q4_lanes(vf a)
{
    const vf cut = _mm256_min_ps(_mm256_max_ps(a, _mm256_setzero_ps()), _mm256_set1_ps(15.0f));
    return _mm256_cvttps_epi32(cut);
}

RB_INLINE void v_store_q4(u8 *p, vf low, vf high)
{
    const __m256i k = _mm256_or_si256(q4_lanes(low), _mm256_slli_epi32(q4_lanes(high), 4));
    const __m128i h = _mm_packus_epi32(_mm256_castsi256_si128(k), _mm256_extracti128_si256(k, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(h, h));
}

#elif defined RB_BUILD_avx512

RB_INLINE void v_store_bf16_n(bf16 *p, vf a, int64_t n)
{
    const __m512i u = _mm512_castps_si512(a), top = _mm512_srli_epi32(u, 16);
    const __m512i odd = _mm512_and_si512(top, _mm512_set1_epi32(1));
    const __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    const __m512i near = _mm512_srli_epi32(_mm512_add_epi32(u, half), 16);
    const __m512i nan = _mm512_or_si512(top, _mm512_set1_epi32(0x40));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    _mm256_mask_storeu_epi16(p, mask_n(n),
                             _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(near, is_nan, nan)));
}

RB_INLINE void v_store_q8(u8 *p, vf a)
{
    const __mmask16 is_number = _mm512_cmp_ps_mask(a, a, _CMP_ORD_Q);
    const vf half = raw_copysign(_mm512_set1_ps(LESS_THAN_HALF), a);
    const vf sum = v_add(raw_clamp(a, -127.0f, 127.0f), half);
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_maskz_cvttps_epi32(is_number, sum)));
}

/* vmaxps returns its second operand where the first is NaN: 0. */
RB_INLINE __m512i q4_lanes(vf a)
{
    const vf cut = _mm512_min_ps(_mm512_max_ps(a, _mm512_setzero_ps()), _mm512_set1_ps(15.0f));
    return _mm512_cvttps_epi32(cut);
}

RB_INLINE void v_store_q4(u8 *p, vf low, vf high)
{
    const __m512i k = _mm512_or_si512(q4_lanes(low), _mm512_slli_epi32(q4_lanes(high), 4));
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(k));
}

#elif defined RB_BUILD_neon || defined RB_BUILD_dotprod

RB_INLINE void s_store_f16(u8 *p, sf a)
{
    const __fp16 h = (__fp16)a.v;
    memcpy(p, &h, sizeof h);
}

RB_INLINE uint16x4_t bf16_lanes(float32x4_t a)
{
    const uint32x4_t u = vreinterpretq_u32_f32(a), top = vshrq_n_u32(u, 16);
    const uint32x4_t odd = vandq_u32(top, vdupq_n_u32(1));
    const uint32x4_t near = vshrq_n_u32(vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16);
    return vmovn_u32(vbslq_u32(vceqq_f32(a, a), near, vorrq_u32(top, vdupq_n_u32(0x40))));
}

RB_INLINE void v_store_bf16_n(bf16 *p, vf a, int64_t n)
{
    bf16 h[8];
    vst1q_u16(&h->bits, vcombine_u16(bf16_lanes(a.val[0]), bf16_lanes(a.val[1])));
    memcpy(p, h, (size_t)n * sizeof *h);
}

/* fcvtas rounds half away from zero and makes 0 of NaN. */
RB_INLINE int16x4_t q8_lanes(float32x4_t a)
{
    const float32x4_t limit = vdupq_n_f32(127.0f);
    return vmovn_s32(vcvtaq_s32_f32(vminq_f32(vmaxq_f32(a, vnegq_f32(limit)), limit)));
}

RB_INLINE void v_store_q8(u8 *p, vf a)
{
    vst1_s8((int8_t *)p, vmovn_s16(vcombine_s16(q8_lanes(a.val[0]), q8_lanes(a.val[1]))));
}

/* fcvtzu makes 0 of NaN and of what is below it. */
RB_INLINE uint16x4_t q4_lanes(float32x4_t a)
{
    return vmovn_u32(vminq_u32(vcvtq_u32_f32(a), vdupq_n_u32(15)));
}

RB_INLINE void v_store_q4(u8 *p, vf low, vf high)
{
    const uint16x8_t lo = vcombine_u16(q4_lanes(low.val[0]), q4_lanes(low.val[1]));
    const uint16x8_t hi = vcombine_u16(q4_lanes(high.val[0]), q4_lanes(high.val[1]));
    vst1_u8(&p->bits, vmovn_u16(vorrq_u16(lo, vshlq_n_u16(hi, 4))));
}

#endif
#endif

#endif
