/* The counting ISA: the definition of a FLOP and of a touched byte. 1, 8 or 16 emulated lanes, each
 * valid or not; only valid lanes tally. A lane is invalid when the load that made it left it out;
 * broadcasts are valid everywhere and take the shape of what they meet.
 * Refuses: storing or summing what was never loaded. Read next: count.h, prove.c. */
#ifndef RB_ISA_COUNT_H
#define RB_ISA_COUNT_H

#include "count.h"

#if defined RB_BUILD_count1
enum { V_LANES = 1 };
#elif defined RB_BUILD_count8
enum { V_LANES = 8 };
#else
enum { V_LANES = 16 };
#endif

enum { V_ALL = (1 << V_LANES) - 1 };

typedef struct {
    float x[V_LANES];
    uint32_t valid;
    bool uniform; /* a broadcast: has no shape of its own */
} vf;
typedef struct {
    int32_t x[V_LANES];
} vi;

RB_INLINE uint32_t lanes_n(int64_t n)
{
    if (n < 1 || n > V_LANES)
        rb_count_forbid("a vector of no lanes or too many", NULL);
    return (uint32_t)V_ALL >> (V_LANES - n);
}

RB_INLINE uint64_t lanes(uint32_t valid)
{
    return (uint64_t)__builtin_popcount(valid);
}

/* ---- scalars ---- */

RB_INLINE sf s_const(double x)
{
    return (sf){ (float)x };
}

RB_INLINE sf s_load(const f32 *p)
{
    sf a;
    memcpy(&a, rb_count_read(p, sizeof a), sizeof a);
    return a;
}

RB_INLINE void s_store(f32 *p, sf a)
{
    memcpy(rb_count_write(p, sizeof a), &a, sizeof a);
}

RB_INLINE sf s_flops(float x, unsigned flops, unsigned special)
{
    rb_counting->flops += flops;
    rb_counting->special += special;
    return (sf){ x };
}

RB_INLINE sf s_add(sf a, sf b)
{
    return s_flops(a.v + b.v, 1, 0);
}

RB_INLINE sf s_sub(sf a, sf b)
{
    return s_flops(a.v - b.v, 1, 0);
}

RB_INLINE sf s_mul(sf a, sf b)
{
    return s_flops(a.v * b.v, 1, 0);
}

RB_INLINE sf s_div(sf a, sf b)
{
    return s_flops(a.v / b.v, 1, 1);
}

RB_INLINE sf s_fma(sf a, sf b, sf c)
{
    return s_flops(a.v * b.v + c.v, 2, 0);
}

RB_INLINE sf s_sqrt(sf a)
{
    return s_flops(sqrtf(a.v), 1, 1);
}

RB_INLINE sf s_exp(sf a)
{
    return s_flops(expf(a.v), 1, 1);
}

RB_INLINE sf s_max(sf a, sf b)
{
    return a.v > b.v || a.v != a.v ? a : b;
}

RB_INLINE sf s_neg(sf a)
{
    return (sf){ -a.v };
}

/* ---- vectors: making and moving ---- */

RB_INLINE vf v_set(sf a)
{
    vf r = { .valid = V_ALL, .uniform = true };
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = a.v;
    return r;
}

RB_INLINE vf v_hold(vf a)
{
    return a;
}

RB_INLINE vf v_zero(void)
{
    return v_set((sf){ 0.0f });
}

RB_INLINE vf v_bcast(const f32 *p)
{
    return v_set(s_load(p));
}

RB_INLINE vf v_load_n(const f32 *p, int64_t n)
{
    vf r = { .valid = lanes_n(n) };
    memcpy(r.x, rb_count_read(p, (size_t)n * sizeof *p), (size_t)n * sizeof *p);
    return r;
}

RB_INLINE vf v_load(const f32 *p)
{
    return v_load_n(p, V_LANES);
}

RB_INLINE void must_hold(vf a, uint32_t want, const void *where)
{
    if ((a.valid & want) != want)
        rb_count_forbid("lanes that were never loaded are stored", where);
}

RB_INLINE void v_store_n(f32 *p, vf a, int64_t n)
{
    must_hold(a, lanes_n(n), p);
    memcpy(rb_count_write(p, (size_t)n * sizeof *p), a.x, (size_t)n * sizeof *p);
}

RB_INLINE void v_store(f32 *p, vf a)
{
    v_store_n(p, a, V_LANES);
}

RB_INLINE void v_store_groups(f32 *p, int64_t step, vf a, int n, int groups)
{
    for (int g = 0; g < groups; g++, p += step) {
        must_hold(a, lanes_n(n) << g * n, p);
        memcpy(rb_count_write(p, (size_t)n * sizeof *p), a.x + g * n, (size_t)n * sizeof *p);
    }
}

RB_INLINE void v_load2_n(const f32 *p, int64_t n, vf *a, vf *b)
{
    const float *src = rb_count_read(p, (size_t)n * 2 * sizeof *p);
    *a = *b = (vf){ .valid = lanes_n(n) };
    for (int64_t i = 0; i < n; i++)
        a->x[i] = src[2 * i], b->x[i] = src[2 * i + 1];
}

RB_INLINE void v_store2_n(f32 *p, int64_t n, vf a, vf b)
{
    must_hold(a, lanes_n(n), p);
    must_hold(b, lanes_n(n), p);
    float *dst = rb_count_write(p, (size_t)n * 2 * sizeof *p);
    for (int64_t i = 0; i < n; i++)
        dst[2 * i] = a.x[i], dst[2 * i + 1] = b.x[i];
}

RB_INLINE vf v_load_f16_n(const f16 *p, int64_t n)
{
    const uint16_t *src = rb_count_read(p, (size_t)n * sizeof *p);
    vf r = { .valid = lanes_n(n) };
    for (int64_t i = 0; i < n; i++)
        r.x[i] = rb_f16_to_f32(src[i]);
    rb_counting->dq_conversion += (uint64_t)n;
    return r;
}

RB_INLINE vf v_load_f16(const f16 *p)
{
    return v_load_f16_n(p, V_LANES);
}

RB_INLINE void v_store_f16_n(f16 *p, vf a, int64_t n)
{
    must_hold(a, lanes_n(n), p);
    uint16_t *dst = rb_count_write(p, (size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++)
        dst[i] = rb_f32_to_f16(a.x[i]);
}

RB_INLINE void v_store_f16(f16 *p, vf a)
{
    v_store_f16_n(p, a, V_LANES);
}

RB_INLINE vf v_load_bf16_n(const bf16 *p, int64_t n)
{
    const uint16_t *src = rb_count_read(p, (size_t)n * sizeof *p);
    vf r = { .valid = lanes_n(n) };
    for (int64_t i = 0; i < n; i++)
        r.x[i] = rb_bf16_to_f32(src[i]);
    return r;
}

RB_INLINE vf v_load_bf16(const bf16 *p)
{
    return v_load_bf16_n(p, V_LANES);
}

RB_INLINE void v_load2_bf16(const bf16 *p, vf *a, vf *b)
{
    const uint16_t *src = rb_count_read(p, 2 * V_LANES * sizeof *p);
    *a = *b = (vf){ .valid = V_ALL };
    for (int i = 0; i < V_LANES; i++)
        a->x[i] = rb_bf16_to_f32(src[2 * i]), b->x[i] = rb_bf16_to_f32(src[2 * i + 1]);
}

RB_INLINE vf v_keep_n(vf a, int64_t n)
{
    a.valid &= lanes_n(n);
    a.uniform = false;
    for (int64_t i = n; i < V_LANES; i++)
        a.x[i] = 0.0f;
    return a;
}

/* ---- vectors: arithmetic ---- */

/* Lanes where both operands hold data: there an operation is done and counted. */
RB_INLINE vf both(vf a, vf b, unsigned flops, unsigned special)
{
    vf r = { .valid = a.valid & b.valid, .uniform = a.uniform && b.uniform };
    rb_counting->flops += flops * lanes(r.valid);
    rb_counting->special += special * lanes(r.valid);
    return r;
}

/* A sum keeps the lanes of either side, since a missing lane is 0; a broadcast brings none. */
RB_INLINE uint32_t sum_lanes(vf a, vf b)
{
    return a.uniform ? b.valid : b.uniform ? a.valid : a.valid | b.valid;
}

RB_INLINE vf v_add(vf a, vf b)
{
    vf r = both(a, b, 1, 0);
    r.valid = sum_lanes(a, b);
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = a.x[i] + b.x[i];
    return r;
}

RB_INLINE vf v_sub(vf a, vf b)
{
    vf r = both(a, b, 1, 0);
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = a.x[i] - b.x[i];
    return r;
}

RB_INLINE vf v_mul(vf a, vf b)
{
    vf r = both(a, b, 1, 0);
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = a.x[i] * b.x[i];
    return r;
}

RB_INLINE vf v_div(vf a, vf b)
{
    vf r = both(a, b, 1, 1);
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = a.x[i] / b.x[i];
    return r;
}

RB_INLINE vf v_neg(vf a)
{
    for (int i = 0; i < V_LANES; i++)
        a.x[i] = -a.x[i];
    return a;
}

RB_INLINE vf v_exp(vf a)
{
    vf r = both(a, a, 1, 1);
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = expf(a.x[i]);
    return r;
}

RB_INLINE vf v_tanh(vf a)
{
    vf r = both(a, a, 1, 1);
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = tanhf(a.x[i]);
    return r;
}

RB_INLINE vf v_erf(vf a)
{
    vf r = both(a, a, 1, 1);
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = erff(a.x[i]);
    return r;
}

RB_INLINE vf v_fma(vf a, vf b, vf c)
{
    vf product = both(a, b, 2, 0), r = product;
    r.valid = sum_lanes(product, c);
    r.uniform = product.uniform && c.uniform;
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = a.x[i] * b.x[i] + c.x[i];
    return r;
}

RB_INLINE vf v_fnma(vf a, vf b, vf c)
{
    return v_fma(v_neg(a), b, c);
}

/* A hint moves nothing that a program sees. */
RB_INLINE void v_prefetch(const f32 *p)
{
    (void)p;
}

RB_INLINE void v_prefetch_l2(const f32 *p)
{
    (void)p;
}

RB_INLINE vf v_max_n(vf a, vf b, int64_t n)
{
    must_hold(b, lanes_n(n), NULL);
    for (int64_t i = 0; i < n; i++)
        a.x[i] = a.x[i] > b.x[i] || a.x[i] != a.x[i] ? a.x[i] : b.x[i];
    a.uniform = false;
    return a;
}

RB_INLINE vf v_join(vf a, vf b)
{
    vf r = { .valid = sum_lanes(a, b), .uniform = a.uniform && b.uniform };
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = a.x[i] + b.x[i];
    return r;
}

RB_INLINE sf v_hsum(vf a)
{
    sf r = { 0.0f };
    for (int i = 0; i < V_LANES; i++)
        r.v += a.valid >> i & 1 ? a.x[i] : 0.0f;
    return r;
}

RB_INLINE sf v_hmax(vf a)
{
    sf r = { -INFINITY };
    for (int i = 0; i < V_LANES; i++)
        if (a.valid >> i & 1)
            r = s_max(r, (sf){ a.x[i] });
    return r;
}

RB_INLINE vf v_hsum_rows(const vf a[V_LANES], int64_t m)
{
    vf r = { .valid = lanes_n(m) };
    for (int64_t i = 0; i < m; i++)
        r.x[i] = v_hsum(a[i]).v;
    return r;
}

RB_INLINE void v_transpose(vf a[V_LANES])
{
    vf of[V_LANES];
    for (int i = 0; i < V_LANES; i++) {
        of[i] = (vf){ .valid = 0 };
        for (int j = 0; j < V_LANES; j++) {
            of[i].x[j] = a[j].x[i];
            of[i].valid |= (a[j].valid >> i & 1) << j;
        }
    }
    for (int i = 0; i < V_LANES; i++)
        a[i] = of[i];
}

#include "isa_count_int.h"

/* ---- decoding: tallied apart from FLOPs ---- */

RB_INLINE vf dq_cvt(vi a)
{
    vf r = { .valid = V_ALL };
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = (float)a.x[i];
    rb_counting->dq_conversion += V_LANES;
    return r;
}

RB_INLINE vf dq_mul(vf a, vf b)
{
    vf r = both(a, b, 0, 0);
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = a.x[i] * b.x[i];
    rb_counting->dq_float += lanes(r.valid);
    return r;
}

RB_INLINE vf dq_fma(vf a, vf b, vf c)
{
    vf r = both(a, b, 0, 0);
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = a.x[i] * b.x[i] + c.x[i];
    rb_counting->dq_float += 2 * lanes(r.valid);
    return r;
}

RB_INLINE sf s_load_f16(const u8 *p)
{
    uint16_t h;
    memcpy(&h, rb_count_read(p, sizeof h), sizeof h);
    return (sf){ rb_f16_to_f32(h) };
}

RB_INLINE sf dq_load_f16(const u8 *p)
{
    rb_counting->dq_conversion++;
    return s_load_f16(p);
}

RB_INLINE sf dq_load_s8(const u8 *p)
{
    int8_t x;
    memcpy(&x, rb_count_read(p, sizeof x), sizeof x);
    rb_counting->dq_conversion++;
    return (sf){ (float)x };
}

RB_INLINE int32_t byte_field(field_of_byte f)
{
    return f.width ? *(const uint8_t *)rb_count_read(f.at, 1) >> f.shift & ((1 << f.width) - 1) : 0;
}

RB_INLINE sf dq_load_small(field_of_byte low, field_of_byte high, int zero)
{
    rb_counting->dq_conversion++;
    return (sf){ (float)((byte_field(low) | byte_field(high) << low.width) - zero) };
}

RB_INLINE sf dq_smul(sf a, sf b)
{
    rb_counting->dq_float++;
    return (sf){ a.v * b.v };
}

RB_INLINE void dq_event(rb_dtype dtype, int64_t blocks)
{
    rb_counting->dq_blocks[dtype] += (uint64_t)blocks;
}

RB_INLINE void dq_unpacked(rb_dtype dtype, int64_t blocks)
{
    rb_counting->dq_unpacked[dtype] += (uint64_t)blocks;
}

RB_INLINE int32_t c_load(const void *p, int64_t i)
{
    int32_t x;
    memcpy(&x, rb_count_ctrl((const char *)p + i * (int64_t)sizeof x, sizeof x), sizeof x);
    return x;
}

RB_INLINE void c_store(void *p, int64_t i, int32_t x)
{
    memcpy(rb_count_ctrl_write((char *)p + i * (int64_t)sizeof x, sizeof x), &x, sizeof x);
}

RB_INLINE int64_t s_argmax(const f32 *p, int64_t n, const void *taken, int64_t n_taken)
{
    return argmax_of(rb_count_read(p, (size_t)n * sizeof *p), n,
                     n_taken ? rb_count_ctrl(taken, (size_t)n_taken * sizeof(int32_t)) : NULL,
                     n_taken);
}

#endif
