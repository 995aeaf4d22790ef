/* The primitives with one lane, in plain C: the ISA that every machine has.
 * Defines nothing faster than the language does.
 * Read next: isa_avx2.h for the same primitives with lanes. */
#ifndef RB_ISA_SCALAR_H
#define RB_ISA_SCALAR_H

enum { V_LANES = 1 };
typedef struct {
    float v;
} vf;
typedef struct {
    int32_t v;
} vi;

RB_INLINE sf s_load_f16(const u8 *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return (sf){ rb_f16_to_f32(h) };
}

RB_INLINE vf v_hold(vf a)
{
    return a;
}

RB_INLINE vf v_zero(void)
{
    return (vf){ 0.0f };
}

RB_INLINE vf v_set(sf a)
{
    return (vf){ a.v };
}

RB_INLINE vf v_bcast(const f32 *p)
{
    return (vf){ p->bits };
}

RB_INLINE vf v_load(const f32 *p)
{
    return (vf){ p->bits };
}

RB_INLINE vf v_load_n(const f32 *p, int64_t n)
{
    (void)n;
    return v_load(p);
}

RB_INLINE void v_store(f32 *p, vf a)
{
    p->bits = a.v;
}

RB_INLINE void v_store_n(f32 *p, vf a, int64_t n)
{
    (void)n;
    v_store(p, a);
}

RB_INLINE void v_load2_n(const f32 *p, int64_t n, vf *a, vf *b)
{
    (void)n;
    *a = v_load(p);
    *b = v_load(p + 1);
}

RB_INLINE void v_store2_n(f32 *p, int64_t n, vf a, vf b)
{
    (void)n;
    v_store(p, a);
    v_store(p + 1, b);
}

RB_INLINE vf v_load_f16(const f16 *p)
{
    return (vf){ rb_f16_to_f32(p->bits) };
}

RB_INLINE vf v_load_f16_n(const f16 *p, int64_t n)
{
    (void)n;
    return v_load_f16(p);
}

RB_INLINE void v_store_f16(f16 *p, vf a)
{
    p->bits = rb_f32_to_f16(a.v);
}

RB_INLINE void v_store_f16_n(f16 *p, vf a, int64_t n)
{
    (void)n;
    v_store_f16(p, a);
}

RB_INLINE vf v_load_bf16(const bf16 *p)
{
    return (vf){ rb_bf16_to_f32(p->bits) };
}

RB_INLINE vf v_load_bf16_n(const bf16 *p, int64_t n)
{
    (void)n;
    return v_load_bf16(p);
}

RB_INLINE void v_load2_bf16(const bf16 *p, vf *a, vf *b)
{
    *a = v_load_bf16(p);
    *b = v_load_bf16(p + 1);
}

RB_INLINE vf v_add(vf a, vf b)
{
    return (vf){ a.v + b.v };
}

RB_INLINE vf v_sub(vf a, vf b)
{
    return (vf){ a.v - b.v };
}

RB_INLINE vf v_mul(vf a, vf b)
{
    return (vf){ a.v * b.v };
}

RB_INLINE vf v_div(vf a, vf b)
{
    return (vf){ a.v / b.v };
}

RB_INLINE vf v_neg(vf a)
{
    return (vf){ -a.v };
}

RB_INLINE vf v_exp(vf a)
{
    return (vf){ expf(a.v) };
}

RB_INLINE vf v_tanh(vf a)
{
    return (vf){ tanhf(a.v) };
}

RB_INLINE vf v_erf(vf a)
{
    return (vf){ erff(a.v) };
}

RB_INLINE vf v_fma(vf a, vf b, vf c)
{
    return (vf){ a.v * b.v + c.v };
}

RB_INLINE vf v_fnma(vf a, vf b, vf c)
{
    return (vf){ c.v - a.v * b.v };
}

RB_INLINE vf v_max_n(vf a, vf b, int64_t n)
{
    (void)n;
    return a.v > b.v || a.v != a.v ? a : b;
}

RB_INLINE vf v_keep_n(vf a, int64_t n)
{
    (void)n;
    return a;
}

RB_INLINE sf v_hsum(vf a)
{
    return (sf){ a.v };
}

RB_INLINE sf v_hmax(vf a)
{
    return (sf){ a.v };
}

RB_INLINE vf v_hsum_rows(const vf a[V_LANES], int64_t m)
{
    (void)m;
    return a[0];
}

RB_INLINE void v_transpose(vf a[V_LANES])
{
    (void)a;
}

RB_INLINE vf v_abs(vf a)
{
    return (vf){ fabsf(a.v) };
}

RB_INLINE void v_store_s8(u8 *p, vf a)
{
    p->bits = (uint8_t)(int8_t)lrintf(a.v);
}

typedef struct {
    float v[8];
} v8;

RB_INLINE v8 v8_zero(void)
{
    return (v8){ { 0 } };
}

RB_INLINE v8 v8_dot4(v8 acc, const u8 *w, const u8 *x, sf d)
{
    for (int i = 0; i < 8; i++) {
        int32_t sum = 0;
        for (int j = 4 * i; j < 4 * i + 4; j++)
            sum += (int8_t)w[j].bits * (int8_t)x[j].bits;
        acc.v[i] = (float)sum * d.v + acc.v[i];
    }
    return acc;
}

RB_INLINE v8 v8_join(v8 a, v8 b)
{
    for (int i = 0; i < 8; i++)
        a.v[i] += b.v[i];
    return a;
}

RB_INLINE sf v8_hsum(v8 a)
{
    sf sum = { 0.0f };
    for (int i = 0; i < 8; i++)
        sum.v += a.v[i];
    return sum;
}

RB_INLINE vf v_join(vf a, vf b)
{
    return v_add(a, b);
}

RB_INLINE vf v_load_scales(const u8 *p)
{
    return (vf){ s_load_f16(p).v };
}

RB_INLINE vf v_cvt(vi a)
{
    return (vf){ (float)a.v };
}

RB_INLINE vi vi_load4(const u8 *p)
{
    vi r;
    memcpy(&r.v, p, sizeof r.v);
    return r;
}

RB_INLINE vi vi_byte(vi a, int j)
{
    return (vi){ (int8_t)((uint32_t)a.v >> 8 * j) };
}

RB_INLINE void bias_store(u8 *bias, const u8 *x)
{
    (void)bias, (void)x; /* bytes are signed here */
}

RB_INLINE vi vi_dot4_begin(const u8 *bias)
{
    (void)bias;
    return (vi){ 0 };
}

RB_INLINE vi vi_dot4(vi acc, vi w, const u8 *x)
{
    for (int j = 0; j < 4; j++)
        acc.v += vi_byte(w, j).v * (int8_t)x[j].bits;
    return acc;
}

RB_INLINE vi vi_dot4u(vi acc, vi w, const u8 *x)
{
    for (int j = 0; j < 4; j++)
        acc.v += (int32_t)((uint32_t)w.v >> 8 * j & 255) * (int8_t)x[j].bits;
    return acc;
}

RB_INLINE vi vi_bcast(const u8 *p)
{
    return vi_load4(p);
}

RB_INLINE vi vi_load_u16(const u8 *p)
{
    return (vi){ p[0].bits | p[1].bits << 8 };
}

RB_INLINE void vi_store4(u8 *p, vi a)
{
    memcpy(p, &a.v, sizeof a.v);
}

RB_INLINE vi vi_lookup4(vi codes)
{
    uint32_t x = 0;
    for (int j = 0; j < 4; j++)
        x |= (uint32_t)(uint8_t)iq4_value[(uint32_t)codes.v >> 8 * j & 15] << 8 * j;
    return (vi){ (int32_t)x };
}

RB_INLINE vi vi_set(int32_t x)
{
    return (vi){ x };
}

RB_INLINE vi vi_load_u8(const u8 *p)
{
    return (vi){ p->bits };
}

RB_INLINE vi vi_load_s8(const u8 *p)
{
    return (vi){ (int8_t)p->bits };
}

RB_INLINE vi vi_load_bits(const u8 *p, int first)
{
    return (vi){ p[first / 8].bits >> first % 8 & 1 };
}

RB_INLINE vi vi_and(vi a, vi b)
{
    return (vi){ a.v & b.v };
}

RB_INLINE vi vi_or(vi a, vi b)
{
    return (vi){ a.v | b.v };
}

RB_INLINE vi vi_sub(vi a, vi b)
{
    return (vi){ a.v - b.v };
}

RB_INLINE vi vi_shl(vi a, int bits)
{
    return (vi){ a.v << bits };
}

RB_INLINE vi vi_shr(vi a, int bits)
{
    return (vi){ (int32_t)((uint32_t)a.v >> bits) };
}

RB_INLINE vf dq_cvt(vi a)
{
    return (vf){ (float)a.v };
}

RB_INLINE vf dq_mul(vf a, vf b)
{
    return v_mul(a, b);
}

RB_INLINE vf dq_fma(vf a, vf b, vf c)
{
    return v_fma(a, b, c);
}

#endif
