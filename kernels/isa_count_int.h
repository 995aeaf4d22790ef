/* The counting ISA's integers: dot products of bytes, tallied as integer multiply-adds, and bit
 * work, which is free. Included by isa_count.h only, which has the lanes and the scalars. Refuses:
 * activations that some ISA would saturate. Read next: isa_count.h. */
#ifndef RB_ISA_COUNT_INT_H
#define RB_ISA_COUNT_INT_H

/* ---- integer dot products over a quant block: fixed at 8 lanes of 4 bytes ---- */

RB_INLINE vf v_abs(vf a)
{
    for (int i = 0; i < V_LANES; i++)
        a.x[i] = fabsf(a.x[i]);
    return a;
}

RB_INLINE void v_store_s8(u8 *p, vf a)
{
    must_hold(a, V_ALL, p);
    int8_t *dst = rb_count_write(p, V_LANES);
    for (int i = 0; i < V_LANES; i++) {
        if (!(fabsf(a.x[i]) < 127.5f))
            rb_count_forbid("a quantised activation beyond +-127", p);
        dst[i] = (int8_t)lrintf(a.x[i]);
    }
}

typedef struct {
    float x[8];
} v8;

RB_INLINE v8 v8_zero(void)
{
    return (v8){ { 0 } };
}

RB_INLINE v8 v8_dot4(v8 acc, const u8 *w, const u8 *x, sf d)
{
    const int8_t *wv = rb_count_read(w, 32), *xv = rb_count_read(x, 32);
    for (int i = 0; i < 8; i++) {
        int32_t sum = 0;
        for (int j = 4 * i; j < 4 * i + 4; j++)
            sum += wv[j] * xv[j];
        acc.x[i] = (float)sum * d.v + acc.x[i];
    }
    rb_counting->int_macs += 32;
    rb_counting->flops += 16;
    return acc;
}

RB_INLINE v8 v8_join(v8 a, v8 b)
{
    for (int i = 0; i < 8; i++)
        a.x[i] += b.x[i];
    return a;
}

RB_INLINE sf v8_hsum(v8 a)
{
    sf sum = { 0.0f };
    for (int i = 0; i < 8; i++)
        sum.v += a.x[i];
    return sum;
}

RB_INLINE vi vi_load4(const u8 *p)
{
    vi r;
    memcpy(r.x, rb_count_read(p, sizeof r.x), sizeof r.x);
    return r;
}

RB_INLINE vi vi_byte(vi a, int j)
{
    for (int i = 0; i < V_LANES; i++)
        a.x[i] = (int8_t)((uint32_t)a.x[i] >> 8 * j);
    return a;
}

/* The sum itself, so that a product that was left out, or begun without it, shows in the result:
 * for all lanes, but no load and no store where the ISA has none. */
RB_INLINE void bias_store(u8 *bias, const u8 *x)
{
    const int8_t *xv = V_BIASED ? rb_count_read(x, 32) : rb_count_ctrl(x, 32);
    int32_t sum = 0;
    for (int i = 0; i < 32; i++)
        sum -= 128 * xv[i];
    memcpy(V_BIASED ? rb_count_write(bias, sizeof sum) : rb_count_ctrl_write(bias, sizeof sum),
           &sum, sizeof sum);
}

RB_INLINE vi vi_dot4_begin(const u8 *bias)
{
    int32_t sum;
    vi r;
    memcpy(&sum, V_BIASED ? rb_count_read(bias, sizeof sum) : rb_count_ctrl(bias, sizeof sum),
           sizeof sum);
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = sum;
    return r;
}

RB_INLINE vi vi_dot4(vi acc, vi w, const u8 *x)
{
    const int8_t *xv = rb_count_read(x, 4);
    for (int j = 0; j < 4; j++) {
        if (xv[j] == -128)
            rb_count_forbid("a quantised activation of -128", x);
        for (int i = 0; i < V_LANES; i++)
            acc.x[i] += (vi_byte(w, j).x[i] + 128) * xv[j];
    }
    rb_counting->int_macs += 4 * V_LANES;
    return acc;
}

RB_INLINE vi vi_dot4u(vi acc, vi w, const u8 *x)
{
    const int8_t *xv = rb_count_read(x, 4);
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < V_LANES; i++) {
            const int32_t byte = (int32_t)((uint32_t)w.x[i] >> 8 * j & 255);
            if (byte > 127)
                rb_count_forbid("an unsigned weight beyond 127", x);
            acc.x[i] += byte * xv[j];
        }
    rb_counting->int_macs += 4 * V_LANES;
    return acc;
}

RB_INLINE void sum_store(u8 *sum, const u8 *x, int n, int32_t times)
{
    const int8_t *xv = rb_count_read(x, (size_t)n);
    int32_t all = 0;
    for (int i = 0; i < n; i++)
        all += xv[i];
    all *= times;
    memcpy(rb_count_write(sum, sizeof all), &all, sizeof all);
}

RB_INLINE sf s_sum_s8(const u8 *x, int n)
{
    const int8_t *xv = rb_count_read(x, (size_t)n);
    sf sum = { 0.0f };
    for (int i = 0; i < n; i++)
        sum.v += xv[i];
    return sum;
}

RB_INLINE vi vi_bcast(const u8 *p)
{
    int32_t x;
    memcpy(&x, rb_count_read(p, sizeof x), sizeof x);
    vi r;
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = x;
    return r;
}

RB_INLINE vi vi_load_u16(const u8 *p)
{
    const uint16_t *src = rb_count_read(p, V_LANES * sizeof *src);
    vi r;
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = src[i];
    return r;
}

RB_INLINE void vi_store4(u8 *p, vi a)
{
    memcpy(rb_count_write(p, sizeof a.x), a.x, sizeof a.x);
}

RB_INLINE vi vi_lookup4(vi codes)
{
    for (int i = 0; i < V_LANES; i++) {
        uint32_t x = 0;
        for (int j = 0; j < 4; j++)
            x |= (uint32_t)(uint8_t)iq4_value[(uint32_t)codes.x[i] >> 8 * j & 15] << 8 * j;
        codes.x[i] = (int32_t)x;
    }
    return codes;
}

RB_INLINE vi v_pairs_bf16_n(const f32 *p, int64_t n)
{
    const float *x = rb_count_read(p, 2 * (size_t)n * sizeof *p);
    vi r = { { 0 } };
    for (int64_t i = 0; i < n; i++)
        r.x[i] = (int32_t)(rb_f32_to_bf16(x[2 * i]) | (uint32_t)rb_f32_to_bf16(x[2 * i + 1]) << 16);
    return r;
}

RB_INLINE vf v_dot2_bf16(vf acc, vi a, vi b)
{
    for (int i = 0; i < V_LANES; i++) {
        for (int half = 0; half < 2; half++) {
            const uint16_t x = (uint16_t)((uint32_t)a.x[i] >> 16 * half);
            const uint16_t y = (uint16_t)((uint32_t)b.x[i] >> 16 * half);
            acc.x[i] += rb_bf16_to_f32(x) * rb_bf16_to_f32(y);
        }
    }
    rb_counting->flops += 4 * lanes(V_ALL);
    rb_counting->bf16_macs += 2 * lanes(V_ALL);
    return acc;
}

RB_INLINE vf v_cvt(vi a)
{
    vf r = { .valid = V_ALL };
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = (float)a.x[i];
    return r;
}

RB_INLINE vf v_load_scales(const u8 *p)
{
    const uint16_t *src = rb_count_read(p, V_LANES * sizeof *src);
    vf r = { .valid = V_ALL };
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = rb_f16_to_f32(src[i]);
    return r;
}

/* ---- integers: bit work is free, dq_event states it ---- */

RB_INLINE vi vi_set(int32_t x)
{
    vi r;
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = x;
    return r;
}

RB_INLINE vi vi_load_u8(const u8 *p)
{
    const uint8_t *src = rb_count_read(p, V_LANES);
    vi r;
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = src[i];
    return r;
}

RB_INLINE vi vi_load_s8(const u8 *p)
{
    const int8_t *src = rb_count_read(p, V_LANES);
    vi r;
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = src[i];
    return r;
}

RB_INLINE vi vi_load_bits(const u8 *p, int first)
{
    const uint8_t *src = rb_count_read(p + first / 8, (V_LANES + 7) / 8);
    vi r;
    for (int i = 0; i < V_LANES; i++)
        r.x[i] = src[(first % 8 + i) / 8] >> (first + i) % 8 & 1;
    return r;
}

RB_INLINE vi vi_and(vi a, vi b)
{
    for (int i = 0; i < V_LANES; i++)
        a.x[i] &= b.x[i];
    return a;
}

RB_INLINE vi vi_or(vi a, vi b)
{
    for (int i = 0; i < V_LANES; i++)
        a.x[i] |= b.x[i];
    return a;
}

RB_INLINE vi vi_sub(vi a, vi b)
{
    for (int i = 0; i < V_LANES; i++)
        a.x[i] -= b.x[i];
    return a;
}

RB_INLINE vi vi_shl(vi a, int bits)
{
    for (int i = 0; i < V_LANES; i++)
        a.x[i] = (int32_t)((uint32_t)a.x[i] << bits);
    return a;
}

RB_INLINE vi vi_shr(vi a, int bits)
{
    for (int i = 0; i < V_LANES; i++)
        a.x[i] = (int32_t)((uint32_t)a.x[i] >> bits);
    return a;
}

#endif
