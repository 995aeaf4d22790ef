/* Blocks of 32 elements: q8_0, the 4- and 5-bit types with and without a minimum, and iq4_nl. They
 * encode as the reference quantisers of GGML round, but for iq4_nl, whose scale is our own search
 * for the smallest squared error. Refuses to be fast. Read next: kquants.c. */
#include "blocks.h"

/* ---- q8_0: a scale, 32 signed bytes ---- */

void rb_decode_q8_0(float *dst, const void *src, int64_t n)
{
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += QK, b += 2 + QK) {
        float d = get_half(b);
        for (int j = 0; j < QK; j++)
            dst[i + j] = (float)(int8_t)b[2 + j] * d;
    }
}

void rb_encode_q8_0(void *dst, const float *src, int64_t n)
{
    uint8_t *b = dst;
    for (int64_t i = 0; i < n; i += QK, b += 2 + QK) {
        float max = 0;
        for (int j = 0; j < QK; j++)
            max = fabsf(src[i + j]) > max ? fabsf(src[i + j]) : max;
        float d = max / 127, id = inverse(d);
        put16(b, rb_f32_to_f16(d));
        for (int j = 0; j < QK; j++)
            b[2 + j] = (uint8_t)round_to_int(src[i + j] * id, 127);
    }
}

/* The 4- and 5-bit types: [d][m if with_min][32 fifth bits if bits is 5][two nibbles per byte:
 * element j low, element j + 16 high]. */
typedef struct small_block {
    int bits;
    bool with_min;
} small_block;

static int small_bytes(small_block s)
{
    return 2 + (s.with_min ? 2 : 0) + (s.bits == 5 ? 4 : 0) + QK / 2;
}

static void decode_small(float *dst, const void *src, int64_t n, small_block s)
{
    const uint8_t *b = src;
    int zero = s.with_min ? 0 : 1 << (s.bits - 1);
    for (int64_t i = 0; i < n; i += QK, b += small_bytes(s)) {
        const uint8_t *high = b + (s.with_min ? 4 : 2), *low = high + (s.bits == 5 ? 4 : 0);
        float d = get_half(b), m = s.with_min ? get_half(b + 2) : 0;
        for (int j = 0; j < QK; j++) {
            int q = j < QK / 2 ? low[j] & 15 : low[j - QK / 2] >> 4;
            if (s.bits == 5)
                q |= (high[j / 8] >> j % 8 & 1) << 4;
            float x = d * (float)(q - zero);
            dst[i + j] = s.with_min ? x + m : x;
        }
    }
}

static void pack_small(uint8_t *b, const int *q, small_block s)
{
    uint8_t *high = b + (s.with_min ? 4 : 2), *low = high + (s.bits == 5 ? 4 : 0);
    memset(high, 0, (size_t)(low - high));
    for (int j = 0; j < QK / 2; j++)
        low[j] = (uint8_t)((q[j] & 15) | (q[j + QK / 2] & 15) << 4);
    for (int j = 0; s.bits == 5 && j < QK; j++)
        high[j / 8] |= (uint8_t)((q[j] >> 4) << j % 8);
}

/* Symmetric: the element of largest magnitude becomes the lowest quant exactly. */
static void encode_symmetric(uint8_t *b, const float *x, small_block s)
{
    int half = 1 << (s.bits - 1), q[QK];
    float max = x[0];
    for (int j = 1; j < QK; j++)
        max = fabsf(x[j]) > fabsf(max) ? x[j] : max;
    float d = max / (float)-half, id = inverse(d);
    put16(b, rb_f32_to_f16(d));
    for (int j = 0; j < QK; j++)
        q[j] = to_int(x[j] * id + ((float)half + 0.5f), 0, 2 * half - 1);
    pack_small(b, q, s);
}

/* With a minimum: both ends of the range are exact up to the rounding of d and m. */
static void encode_range(uint8_t *b, const float *x, small_block s)
{
    int top = (1 << s.bits) - 1, q[QK];
    float min = x[0], max = x[0];
    for (int j = 1; j < QK; j++) {
        min = x[j] < min ? x[j] : min;
        max = x[j] > max ? x[j] : max;
    }
    float d = (max - min) / (float)top, id = inverse(d);
    put16(b, rb_f32_to_f16(d));
    put16(b + 2, rb_f32_to_f16(min));
    for (int j = 0; j < QK; j++)
        q[j] = to_int((x[j] - min) * id + 0.5f, 0, top);
    pack_small(b, q, s);
}

static void encode_small(void *dst, const float *src, int64_t n, small_block s)
{
    uint8_t *b = dst;
    for (int64_t i = 0; i < n; i += QK, b += small_bytes(s)) {
        if (s.with_min)
            encode_range(b, src + i, s);
        else
            encode_symmetric(b, src + i, s);
    }
}

void rb_decode_q4_0(float *dst, const void *src, int64_t n)
{
    decode_small(dst, src, n, (small_block){ 4, false });
}

void rb_encode_q4_0(void *dst, const float *src, int64_t n)
{
    encode_small(dst, src, n, (small_block){ 4, false });
}

void rb_decode_q4_1(float *dst, const void *src, int64_t n)
{
    decode_small(dst, src, n, (small_block){ 4, true });
}

void rb_encode_q4_1(void *dst, const float *src, int64_t n)
{
    encode_small(dst, src, n, (small_block){ 4, true });
}

void rb_decode_q5_0(float *dst, const void *src, int64_t n)
{
    decode_small(dst, src, n, (small_block){ 5, false });
}

void rb_encode_q5_0(void *dst, const float *src, int64_t n)
{
    encode_small(dst, src, n, (small_block){ 5, false });
}

void rb_decode_q5_1(float *dst, const void *src, int64_t n)
{
    decode_small(dst, src, n, (small_block){ 5, true });
}

void rb_encode_q5_1(void *dst, const float *src, int64_t n)
{
    encode_small(dst, src, n, (small_block){ 5, true });
}

/* ---- iq4_nl: a scale, 32 codes of a fixed table ---- */

const int8_t rb_iq4_value[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113 };

static uint8_t nearest_code(float f)
{
    int code = 0;
    while (code < 15 && 2 * f > (float)(rb_iq4_value[code] + rb_iq4_value[code + 1]))
        code++;
    return (uint8_t)code;
}

void rb_iq4_codes(uint8_t *q, const float *x, int n, float inv)
{
    for (int j = 0; j < n; j++)
        q[j] = nearest_code(x[j] * inv);
}

/* For values v of x the scale of least squared error is s = sum(x v) / sum(v v), and it removes
 * sum(x v)^2 / sum(v v) from the error: the best of several trial scales by that number. */
float rb_iq4_fit(uint8_t *q, const float *x, int n)
{
    uint8_t trial[QK];
    float max = x[0], best = 0, scale = 0;
    for (int j = 1; j < n; j++)
        max = fabsf(x[j]) > fabsf(max) ? x[j] : max;
    memset(q, 8, (size_t)n); /* the value nearest to 0 */
    if (!(fabsf(max) > 1e-30f && fabsf(max) < 1e30f))
        return 0; /* nothing to scale, or nothing that a half could scale */
    for (int t = -14; t <= 14; t++) {
        /* the largest element stands near one end of the table or the other */
        const float end = t < 0 ? 113 : -127;
        rb_iq4_codes(trial, x, n, (end + 2.0f * (float)(t < 0 ? t + 7 : t - 7)) / max);
        float xv = 0, vv = 0;
        for (int j = 0; j < n; j++) {
            const float v = rb_iq4_value[trial[j]];
            xv += x[j] * v;
            vv += v * v;
        }
        if (vv > 0 && xv * xv > best * vv) {
            best = xv * xv / vv;
            scale = xv / vv;
            memcpy(q, trial, (size_t)n);
        }
    }
    return scale;
}

void rb_decode_iq4_nl(float *dst, const void *src, int64_t n)
{
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += QK, b += 2 + QK / 2) {
        const float d = get_half(b);
        for (int j = 0; j < QK / 2; j++) {
            dst[i + j] = d * rb_iq4_value[b[2 + j] & 15];
            dst[i + j + QK / 2] = d * rb_iq4_value[b[2 + j] >> 4];
        }
    }
}

void rb_encode_iq4_nl(void *dst, const float *src, int64_t n)
{
    uint8_t *b = dst, q[QK];
    for (int64_t i = 0; i < n; i += QK, b += 2 + QK / 2) {
        put16(b, rb_f32_to_f16(rb_iq4_fit(q, src + i, QK)));
        rb_iq4_codes(q, src + i, QK, inverse(get_half(b)));
        for (int j = 0; j < QK / 2; j++)
            b[2 + j] = (uint8_t)(q[j] | q[j + QK / 2] << 4);
    }
}
