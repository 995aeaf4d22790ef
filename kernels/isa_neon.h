/* The primitives with eight lanes: pairs of NEON registers on AArch64. One of the few files with
 * intrinsics. Refuses nothing; simd.h says what each primitive means and costs.
 * Read next: isa_math.h for exp. */
#ifndef RB_ISA_NEON_H
#define RB_ISA_NEON_H

#include <arm_neon.h>

enum { V_LANES = 8 };
typedef float32x4x2_t vf;
typedef int32x4x2_t vi;

/* All ones in the first n lanes. */
RB_INLINE uint32x4x2_t mask_n(int64_t n)
{
    static const int32_t lane[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    const int32x4_t end = vdupq_n_s32((int32_t)n);
    return (
        uint32x4x2_t){ { vcltq_s32(vld1q_s32(lane), end), vcltq_s32(vld1q_s32(lane + 4), end) } };
}

RB_INLINE vf pair(float32x4_t lo, float32x4_t hi)
{
    return (vf){ { lo, hi } };
}

RB_INLINE sf s_load_f16(const u8 *p)
{
    __fp16 h;
    memcpy(&h, p, sizeof h);
    return (sf){ (float)h };
}

RB_INLINE vf v_hold(vf a)
{
    __asm__("" : "+w"(a.val[0]), "+w"(a.val[1]));
    return a;
}

RB_INLINE vf v_zero(void)
{
    return pair(vdupq_n_f32(0), vdupq_n_f32(0));
}

RB_INLINE vf v_set(sf a)
{
    return pair(vdupq_n_f32(a.v), vdupq_n_f32(a.v));
}

RB_INLINE vf v_bcast(const f32 *p)
{
    return v_set((sf){ p->bits });
}

RB_INLINE vf v_load(const f32 *p)
{
    return pair(vld1q_f32(&p->bits), vld1q_f32(&p[4].bits));
}

RB_INLINE vf v_load_n(const f32 *p, int64_t n)
{
    f32 t[8] = { 0 };
    memcpy(t, p, (size_t)n * sizeof *t);
    return v_load(t);
}

RB_INLINE void v_store(f32 *p, vf a)
{
    vst1q_f32(&p->bits, a.val[0]);
    vst1q_f32(&p[4].bits, a.val[1]);
}

RB_INLINE void v_store_n(f32 *p, vf a, int64_t n)
{
    f32 t[8];
    v_store(t, a);
    memcpy(p, t, (size_t)n * sizeof *t);
}

RB_INLINE void v_load2_n(const f32 *p, int64_t n, vf *a, vf *b)
{
    f32 t[16] = { 0 };
    memcpy(t, p, (size_t)n * 2 * sizeof *t);
    const float32x4x2_t lo = vld2q_f32(&t->bits), hi = vld2q_f32(&t[8].bits);
    *a = pair(lo.val[0], hi.val[0]);
    *b = pair(lo.val[1], hi.val[1]);
}

RB_INLINE void v_store2_n(f32 *p, int64_t n, vf a, vf b)
{
    f32 t[16];
    vst2q_f32(&t->bits, pair(a.val[0], b.val[0]));
    vst2q_f32(&t[8].bits, pair(a.val[1], b.val[1]));
    memcpy(p, t, (size_t)n * 2 * sizeof *t);
}

RB_INLINE vf v_load_f16(const f16 *p)
{
    const float16x8_t h = vreinterpretq_f16_u16(vld1q_u16(&p->bits));
    return pair(vcvt_f32_f16(vget_low_f16(h)), vcvt_high_f32_f16(h));
}

RB_INLINE vf v_load_f16_n(const f16 *p, int64_t n)
{
    f16 t[8] = { 0 };
    memcpy(t, p, (size_t)n * sizeof *t);
    return v_load_f16(t);
}

RB_INLINE void v_store_f16(f16 *p, vf a)
{
    vst1q_u16(&p->bits, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(a.val[0]), a.val[1])));
}

RB_INLINE void v_store_f16_n(f16 *p, vf a, int64_t n)
{
    f16 t[8];
    v_store_f16(t, a);
    memcpy(p, t, (size_t)n * sizeof *t);
}

RB_INLINE vf v_load_bf16(const bf16 *p)
{
    const uint16x8_t h = vld1q_u16(&p->bits);
    return pair(vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(h), 16)),
                vreinterpretq_f32_u32(vshll_high_n_u16(h, 16)));
}

RB_INLINE vf v_load_bf16_n(const bf16 *p, int64_t n)
{
    bf16 t[8] = { 0 };
    memcpy(t, p, (size_t)n * sizeof *t);
    return v_load_bf16(t);
}

RB_INLINE void v_load2_bf16(const bf16 *p, vf *a, vf *b)
{
    const uint16x8x2_t h = vld2q_u16(&p->bits);
    *a = pair(vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(h.val[0]), 16)),
              vreinterpretq_f32_u32(vshll_high_n_u16(h.val[0], 16)));
    *b = pair(vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(h.val[1]), 16)),
              vreinterpretq_f32_u32(vshll_high_n_u16(h.val[1], 16)));
}

RB_INLINE vf v_add(vf a, vf b)
{
    return pair(vaddq_f32(a.val[0], b.val[0]), vaddq_f32(a.val[1], b.val[1]));
}

RB_INLINE vf v_sub(vf a, vf b)
{
    return pair(vsubq_f32(a.val[0], b.val[0]), vsubq_f32(a.val[1], b.val[1]));
}

RB_INLINE vf v_mul(vf a, vf b)
{
    return pair(vmulq_f32(a.val[0], b.val[0]), vmulq_f32(a.val[1], b.val[1]));
}

RB_INLINE vf v_div(vf a, vf b)
{
    return pair(vdivq_f32(a.val[0], b.val[0]), vdivq_f32(a.val[1], b.val[1]));
}

RB_INLINE vf v_neg(vf a)
{
    return pair(vnegq_f32(a.val[0]), vnegq_f32(a.val[1]));
}

RB_INLINE vf v_fma(vf a, vf b, vf c)
{
    return pair(vfmaq_f32(c.val[0], a.val[0], b.val[0]), vfmaq_f32(c.val[1], a.val[1], b.val[1]));
}

RB_INLINE vf v_fnma(vf a, vf b, vf c)
{
    return pair(vfmsq_f32(c.val[0], a.val[0], b.val[0]), vfmsq_f32(c.val[1], a.val[1], b.val[1]));
}

RB_INLINE vf v_max_n(vf a, vf b, int64_t n)
{
    const uint32x4x2_t m = mask_n(n);
    return pair(vbslq_f32(m.val[0], vmaxq_f32(a.val[0], b.val[0]), a.val[0]),
                vbslq_f32(m.val[1], vmaxq_f32(a.val[1], b.val[1]), a.val[1]));
}

RB_INLINE vf v_keep_n(vf a, int64_t n)
{
    const uint32x4x2_t m = mask_n(n);
    return pair(vbslq_f32(m.val[0], a.val[0], vdupq_n_f32(0)),
                vbslq_f32(m.val[1], a.val[1], vdupq_n_f32(0)));
}

RB_INLINE sf v_hsum(vf a)
{
    return (sf){ vaddvq_f32(vaddq_f32(a.val[0], a.val[1])) };
}

RB_INLINE sf v_hmax(vf a)
{
    return (sf){ vmaxvq_f32(vmaxq_f32(a.val[0], a.val[1])) };
}

RB_INLINE float32x4_t hsum_four(const vf *a)
{
    float32x4_t s[4];
    for (int i = 0; i < 4; i++)
        s[i] = vaddq_f32(a[i].val[0], a[i].val[1]);
    return vpaddq_f32(vpaddq_f32(s[0], s[1]), vpaddq_f32(s[2], s[3]));
}

RB_INLINE vf v_hsum_rows(const vf a[V_LANES], int64_t m)
{
    (void)m; /* rows past m are zero */
    return pair(hsum_four(a), hsum_four(a + 4));
}

RB_INLINE vi ipair(int32x4_t lo, int32x4_t hi)
{
    return (vi){ { lo, hi } };
}

/* Columns 4 h .. of four rows, as four rows. */
RB_INLINE void transpose_four(float32x4_t to[4], const vf *a, int h)
{
    const float32x4x2_t x = vtrnq_f32(a[0].val[h], a[1].val[h]);
    const float32x4x2_t y = vtrnq_f32(a[2].val[h], a[3].val[h]);
    to[0] = vcombine_f32(vget_low_f32(x.val[0]), vget_low_f32(y.val[0]));
    to[1] = vcombine_f32(vget_low_f32(x.val[1]), vget_low_f32(y.val[1]));
    to[2] = vcombine_f32(vget_high_f32(x.val[0]), vget_high_f32(y.val[0]));
    to[3] = vcombine_f32(vget_high_f32(x.val[1]), vget_high_f32(y.val[1]));
}

RB_INLINE void v_transpose(vf a[V_LANES])
{
    float32x4_t low[8], high[8];
    for (int h = 0; h < 2; h++) {
        transpose_four(low + 4 * h, a, h);
        transpose_four(high + 4 * h, a + 4, h);
    }
    for (int i = 0; i < 8; i++)
        a[i] = pair(low[i], high[i]);
}

RB_INLINE vf v_abs(vf a)
{
    return pair(vabsq_f32(a.val[0]), vabsq_f32(a.val[1]));
}

RB_INLINE void v_store_s8(u8 *p, vf a)
{
    const int16x8_t h =
        vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(a.val[0])), vqmovn_s32(vcvtnq_s32_f32(a.val[1])));
    vst1_s8((int8_t *)p, vqmovn_s16(h));
}

typedef vf v8;

RB_INLINE v8 v8_zero(void)
{
    return v_zero();
}

/* sum + four sums of four byte products each. */
RB_INLINE int32x4_t dot16(int32x4_t sum, int8x16_t wv, int8x16_t xv)
{
#if defined __ARM_FEATURE_DOTPROD
    return vdotq_s32(sum, wv, xv);
#else
    const int32x4_t lo = vpaddlq_s16(vmull_s8(vget_low_s8(wv), vget_low_s8(xv)));
    const int32x4_t hi = vpaddlq_s16(vmull_high_s8(wv, xv));
    return vaddq_s32(sum, vpaddq_s32(lo, hi));
#endif
}

RB_INLINE v8 v8_dot4(v8 acc, const u8 *w, const u8 *x, sf d)
{
    const int8_t *wp = (const int8_t *)w, *xp = (const int8_t *)x;
    const int32x4_t none = vdupq_n_s32(0);
    const int32x4_t lo = dot16(none, vld1q_s8(wp), vld1q_s8(xp));
    const int32x4_t hi = dot16(none, vld1q_s8(wp + 16), vld1q_s8(xp + 16));
    return v_fma(pair(vcvtq_f32_s32(lo), vcvtq_f32_s32(hi)), v_set(d), acc);
}

RB_INLINE v8 v8_join(v8 a, v8 b)
{
    return v_add(a, b);
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
    return v_load_f16((const f16 *)p);
}

RB_INLINE vf v_cvt(vi a)
{
    return pair(vcvtq_f32_s32(a.val[0]), vcvtq_f32_s32(a.val[1]));
}

RB_INLINE vi vi_load4(const u8 *p)
{
    return ipair(vreinterpretq_s32_u8(vld1q_u8(&p->bits)),
                 vreinterpretq_s32_u8(vld1q_u8(&p[16].bits)));
}

RB_INLINE vi vi_byte(vi a, int j)
{
    const int32x4_t up = vdupq_n_s32(24 - 8 * j);
    return ipair(vshrq_n_s32(vshlq_s32(a.val[0], up), 24),
                 vshrq_n_s32(vshlq_s32(a.val[1], up), 24));
}

RB_INLINE void bias_store(u8 *bias, const u8 *x)
{
    (void)bias, (void)x; /* bytes are signed here */
}

RB_INLINE vi vi_dot4_begin(const u8 *bias)
{
    (void)bias;
    return ipair(vdupq_n_s32(0), vdupq_n_s32(0));
}

RB_INLINE vi vi_dot4(vi acc, vi w, const u8 *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    const int8x16_t xv = vreinterpretq_s8_s32(vdupq_n_s32(four));
    return ipair(dot16(acc.val[0], vreinterpretq_s8_s32(w.val[0]), xv),
                 dot16(acc.val[1], vreinterpretq_s8_s32(w.val[1]), xv));
}

RB_INLINE vi vi_dot4u(vi acc, vi w, const u8 *x)
{
    return vi_dot4(acc, w, x); /* up to 127 a byte is the same signed and unsigned */
}

RB_INLINE vi vi_bcast(const u8 *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return ipair(vdupq_n_s32(x), vdupq_n_s32(x));
}

RB_INLINE vi vi_load_u16(const u8 *p)
{
    uint16x8_t h;
    memcpy(&h, p, sizeof h);
    return ipair(vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(h))),
                 vreinterpretq_s32_u32(vmovl_high_u16(h)));
}

RB_INLINE void vi_store4(u8 *p, vi a)
{
    vst1q_u8(&p->bits, vreinterpretq_u8_s32(a.val[0]));
    vst1q_u8(&p[16].bits, vreinterpretq_u8_s32(a.val[1]));
}

RB_INLINE int32x4_t lookup16(int32x4_t codes)
{
    return vreinterpretq_s32_s8(vqtbl1q_s8(vld1q_s8(iq4_value), vreinterpretq_u8_s32(codes)));
}

RB_INLINE vi vi_lookup4(vi codes)
{
    return ipair(lookup16(codes.val[0]), lookup16(codes.val[1]));
}

RB_INLINE vi vi_set(int32_t x)
{
    return ipair(vdupq_n_s32(x), vdupq_n_s32(x));
}

RB_INLINE vi vi_load_u8(const u8 *p)
{
    const uint16x8_t h = vmovl_u8(vld1_u8(&p->bits));
    return ipair(vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(h))),
                 vreinterpretq_s32_u32(vmovl_high_u16(h)));
}

RB_INLINE vi vi_load_s8(const u8 *p)
{
    const int16x8_t h = vmovl_s8(vreinterpret_s8_u8(vld1_u8(&p->bits)));
    return ipair(vmovl_s16(vget_low_s16(h)), vmovl_high_s16(h));
}

RB_INLINE vi vi_load_bits(const u8 *p, int first)
{
    static const uint8_t bit[8] = { 1, 2, 4, 8, 16, 32, 64, 128 };
    const uint8x8_t set = vtst_u8(vdup_n_u8(p[first / 8].bits), vld1_u8(bit));
    u8 t[8];
    vst1_u8(&t->bits, vand_u8(set, vdup_n_u8(1)));
    return vi_load_u8(t);
}

RB_INLINE vi vi_and(vi a, vi b)
{
    return ipair(vandq_s32(a.val[0], b.val[0]), vandq_s32(a.val[1], b.val[1]));
}

RB_INLINE vi vi_or(vi a, vi b)
{
    return ipair(vorrq_s32(a.val[0], b.val[0]), vorrq_s32(a.val[1], b.val[1]));
}

RB_INLINE vi vi_sub(vi a, vi b)
{
    return ipair(vsubq_s32(a.val[0], b.val[0]), vsubq_s32(a.val[1], b.val[1]));
}

RB_INLINE vi vi_shl(vi a, int bits)
{
    const int32x4_t by = vdupq_n_s32(bits);
    return ipair(vshlq_s32(a.val[0], by), vshlq_s32(a.val[1], by));
}

RB_INLINE int32x4_t shr_logical(int32x4_t a, int bits)
{
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-bits)));
}

RB_INLINE vi vi_shr(vi a, int bits)
{
    return ipair(shr_logical(a.val[0], bits), shr_logical(a.val[1], bits));
}

RB_INLINE vf dq_cvt(vi a)
{
    return pair(vcvtq_f32_s32(a.val[0]), vcvtq_f32_s32(a.val[1]));
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
    return v_set((sf){ x });
}

RB_INLINE vf raw_clamp(vf x, float lo, float hi)
{
    const float32x4_t l = vdupq_n_f32(lo), h = vdupq_n_f32(hi);
    return pair(vminq_f32(h, vmaxq_f32(l, x.val[0])), vminq_f32(h, vmaxq_f32(l, x.val[1])));
}

RB_INLINE vf raw_copysign(vf magnitude, vf sign)
{
    const uint32x4_t bit = vdupq_n_u32(0x80000000u);
    return pair(vbslq_f32(bit, sign.val[0], magnitude.val[0]),
                vbslq_f32(bit, sign.val[1], magnitude.val[1]));
}

RB_INLINE vf raw_round(vf x)
{
    return pair(vrndnq_f32(x.val[0]), vrndnq_f32(x.val[1]));
}

/* x 2^n for -151 <= n <= 128, in two steps: neither power alone need be a normal float. */
RB_INLINE float32x4_t scale2(float32x4_t x, float32x4_t n)
{
    const int32x4_t k = vcvtnq_s32_f32(n), half = vshrq_n_s32(k, 1), bias = vdupq_n_s32(127);
    const int32x4_t a = vshlq_n_s32(vaddq_s32(half, bias), 23);
    const int32x4_t b = vshlq_n_s32(vaddq_s32(vsubq_s32(k, half), bias), 23);
    return vmulq_f32(vmulq_f32(x, vreinterpretq_f32_s32(a)), vreinterpretq_f32_s32(b));
}

RB_INLINE vf raw_scale2(vf x, vf n)
{
    return pair(scale2(x.val[0], n.val[0]), scale2(x.val[1], n.val[1]));
}

#include "isa_math.h"

#endif
