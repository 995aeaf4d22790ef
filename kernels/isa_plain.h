/* Primitives on scalars and control data that all plain (not counting) ISAs share, on top of
 * theirs. Refuses intrinsics: what needs one stands in the ISA's own file. Read next: isa_scalar.h,
 * isa_avx512.h. */
#ifndef RB_ISA_PLAIN_H
#define RB_ISA_PLAIN_H

RB_INLINE sf s_const(double x)
{
    return (sf){ (float)x };
}

RB_INLINE sf s_load(const f32 *p)
{
    return (sf){ p->bits };
}

RB_INLINE void s_store(f32 *p, sf a)
{
    p->bits = a.v;
}

RB_INLINE sf s_add(sf a, sf b)
{
    return (sf){ a.v + b.v };
}

RB_INLINE sf s_sub(sf a, sf b)
{
    return (sf){ a.v - b.v };
}

RB_INLINE sf s_mul(sf a, sf b)
{
    return (sf){ a.v * b.v };
}

RB_INLINE sf s_div(sf a, sf b)
{
    return (sf){ a.v / b.v };
}

RB_INLINE sf s_fma(sf a, sf b, sf c)
{
    return (sf){ a.v * b.v + c.v };
}

RB_INLINE sf s_sqrt(sf a)
{
    return (sf){ sqrtf(a.v) };
}

RB_INLINE sf s_exp(sf a)
{
    return (sf){ expf(a.v) };
}

RB_INLINE sf s_max(sf a, sf b)
{
    return a.v > b.v || a.v != a.v ? a : b;
}

RB_INLINE sf s_neg(sf a)
{
    return (sf){ -a.v };
}

RB_INLINE int64_t s_argmax(const f32 *p, int64_t n, const void *taken, int64_t n_taken)
{
    return argmax_of((const float *)p, n, taken, n_taken);
}

RB_INLINE void v_prefetch(const f32 *p)
{
    __builtin_prefetch(p);
}

RB_INLINE void v_prefetch_l2(const f32 *p)
{
    __builtin_prefetch(p, 0, 2);
}

RB_INLINE void v_store_groups(f32 *p, int64_t step, vf a, int n, int groups)
{
    f32 lanes[V_LANES];
    v_store(lanes, a);
    UNROLL
    for (int g = 0; g < groups; g++)
        memcpy(p + g * step, lanes + g * n, (size_t)n * sizeof *p);
}

RB_INLINE sf dq_load_f16(const u8 *p)
{
    return s_load_f16(p);
}

RB_INLINE sf dq_load_s8(const u8 *p)
{
    return (sf){ (float)(int8_t)p->bits };
}

RB_INLINE int32_t byte_field(field_of_byte f)
{
    return f.width ? f.at->bits >> f.shift & ((1 << f.width) - 1) : 0;
}

RB_INLINE sf dq_load_small(field_of_byte low, field_of_byte high, int zero)
{
    return (sf){ (float)((byte_field(low) | byte_field(high) << low.width) - zero) };
}

RB_INLINE sf dq_smul(sf a, sf b)
{
    return s_mul(a, b);
}

RB_INLINE int32_t sum_of_bytes(const u8 *x, int n)
{
    int32_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += (int8_t)x[i].bits;
    return sum;
}

RB_INLINE void sum_store(u8 *sum, const u8 *x, int n, int32_t times)
{
    const int32_t all = times * sum_of_bytes(x, n);
    memcpy(sum, &all, sizeof all);
}

RB_INLINE sf s_sum_s8(const u8 *x, int n)
{
    return (sf){ (float)sum_of_bytes(x, n) };
}

RB_INLINE void dq_event(rb_dtype dtype, int64_t blocks)
{
    (void)dtype, (void)blocks;
}

RB_INLINE void dq_unpacked(rb_dtype dtype, int64_t blocks)
{
    (void)dtype, (void)blocks;
}

RB_INLINE int32_t c_load(const void *p, int64_t i)
{
    return ((const int32_t *)p)[i];
}

RB_INLINE void c_store(void *p, int64_t i, int32_t x)
{
    ((int32_t *)p)[i] = x;
}

#endif
