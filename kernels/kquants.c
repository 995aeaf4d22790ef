/* Superblocks of 256 elements: q2_K to q6_K and iq4_xs. Groups of 16 or 32 have integer scales (and
 * minimums) of their own under one half or two. Decoding equals the GGML formats bit for bit;
 * encoding is our own search for the smallest squared error of each group.
 * Refuses to be fast. Read next: packed.c. */
#include "blocks.h"

/* ---- fitting a group ---- */

static float largest(const float *x, int n)
{
    float max = x[0];
    for (int j = 1; j < n; j++)
        max = fabsf(x[j]) > fabsf(max) ? x[j] : max;
    return max;
}

/* Nothing to scale, or nothing that a half could scale. */
static bool beyond_scaling(float max)
{
    return !(fabsf(max) > 1e-30f && fabsf(max) < 1e30f);
}

/* x = s q, q in [-half, half - 1]. For quants q of x, the scale of least squared error is s =
 * sum(x q) / sum(q q), and it removes sum(x q)^2 / sum(q q) from the error: the best of several
 * trial scales by that number. */
static float fit_scale(const float *x, int n, int half)
{
    const float max = largest(x, n);
    if (beyond_scaling(max))
        return 0;
    float best = 0, scale = 0;
    for (int t = -4; t <= 4; t++) {
        const float inv = (-(float)half + 0.125f * (float)t) / max;
        float xq = 0, qq = 0;
        for (int j = 0; j < n; j++) {
            const float q = (float)quant(x[j] * inv, -half, half - 1);
            xq += x[j] * q;
            qq += q * q;
        }
        if (qq > 0 && xq * xq > best * qq) {
            best = xq * xq / qq;
            scale = xq / qq;
        }
    }
    return scale;
}

typedef struct range {
    float scale, min;
} range;

/* The least squares of x = s q - m with m >= 0, for quants that a trial scale gives. */
static range fit_quants(const float *x, int n, int top, float low, float inv, float *error)
{
    double sq = 0, sqq = 0, sx = 0, sxq = 0, sxx = 0;
    for (int j = 0; j < n; j++) {
        const double q = quant((x[j] - low) * inv, 0, top), v = (double)x[j];
        sq += q, sqq += q * q, sx += v, sxq += v * q, sxx += v * v;
    }
    const double det = n * sqq - sq * sq;
    double s = sqq > 0 ? sxq / sqq : 0, m = 0;
    if (det > 0 && (sq * sxq - sqq * sx) / det > 0) {
        s = (n * sxq - sq * sx) / det;
        m = (sq * sxq - sqq * sx) / det;
    }
    *error = (float)(sxx + s * s * sqq + n * m * m - 2 * s * sxq + 2 * m * sx - 2 * s * m * sq);
    return (range){ (float)s, (float)m };
}

/* x = s q - m, q in [0, top], m >= 0. */
static range fit_range(const float *x, int n, int top)
{
    float low = 0, high = x[0], least = INFINITY;
    for (int j = 0; j < n; j++) {
        low = x[j] < low ? x[j] : low;
        high = x[j] > high ? x[j] : high;
    }
    range best = { 0, low < 0 ? -low : 0 };
    if (beyond_scaling(high - low))
        return beyond_scaling(low) ? (range){ 0, 0 } : best;
    for (int t = -6; t <= 12; t++) {
        float error;
        const float inv = ((float)top + 0.1f * (float)t) / (high - low);
        const range r = fit_quants(x, n, top, low, inv, &error);
        if (r.scale >= 0 && error < least) {
            least = error;
            best = r;
        }
    }
    return best;
}

/* The two halves of a superblock whose groups' scales and minimums become integers up to most. */
static void put_range_scales(uint8_t *d, const range *r, int n, int most)
{
    float scale = 0, min = 0;
    for (int g = 0; g < n; g++) {
        scale = r[g].scale > scale ? r[g].scale : scale;
        min = r[g].min > min ? r[g].min : min;
    }
    put16(d, rb_f32_to_f16(scale / (float)most));
    put16(d + 2, rb_f32_to_f16(min / (float)most));
}

/* ---- q4_K, q5_K: [d][dmin][12 bytes: 8 scales and 8 minimums of 6 bits][q5_K: 32 bytes of fifth
 * bits][128 bytes of nibbles: of each 64 elements, the first 32 low and the others high] ---- */

enum {
    N_SUB = QK_K / QK,
    SCALES = 4,
    Q4_QUANTS = 16,
    Q4_BYTES = 144,
    Q5_HIGH = 16,
    Q5_QUANTS = 48,
    Q5_BYTES = 176
};

static void get_scale_min(const uint8_t *s, int j, int *scale, int *min)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
        *min = s[j + 4] >> 4 | s[j] >> 6 << 4;
    }
}

static void put_scale_min(uint8_t *s, int j, int scale, int min)
{
    if (j < 4) {
        s[j] = (uint8_t)scale;
        s[j + 4] = (uint8_t)min;
    } else {
        s[j + 4] = (uint8_t)((scale & 15) | (min & 15) << 4);
        s[j - 4] |= (uint8_t)(scale >> 4 << 6);
        s[j] |= (uint8_t)(min >> 4 << 6);
    }
}

static void decode_q45_k(float *dst, const uint8_t *b, bool fifth)
{
    const float d = get_half(b), dmin = get_half(b + 2);
    const uint8_t *q = b + (fifth ? Q5_QUANTS : Q4_QUANTS);
    for (int g = 0; g < N_SUB; g++) {
        int scale, min;
        get_scale_min(b + SCALES, g, &scale, &min);
        const float s = d * (float)scale, m = dmin * (float)min;
        for (int j = 0; j < QK; j++) {
            int e = q[g / 2 * QK + j] >> g % 2 * 4 & 15;
            if (fifth)
                e |= (b[Q5_HIGH + j] >> g & 1) << 4;
            dst[g * QK + j] = s * (float)e - m;
        }
    }
}

static void encode_q45_k(uint8_t *b, const float *x, bool fifth)
{
    const int top = fifth ? 31 : 15;
    uint8_t *q = b + (fifth ? Q5_QUANTS : Q4_QUANTS);
    range r[N_SUB];
    for (int g = 0; g < N_SUB; g++)
        r[g] = fit_range(x + g * QK, QK, top);
    memset(b, 0, fifth ? Q5_BYTES : Q4_BYTES);
    put_range_scales(b, r, N_SUB, 63);
    const float d = get_half(b), dmin = get_half(b + 2);
    for (int g = 0; g < N_SUB; g++) {
        const int scale = quant(r[g].scale * inverse(d), 0, 63);
        const int min = quant(r[g].min * inverse(dmin), 0, 63);
        const float inv = inverse(d * (float)scale), m = dmin * (float)min;
        put_scale_min(b + SCALES, g, scale, min);
        for (int j = 0; j < QK; j++) {
            const int e = quant((x[g * QK + j] + m) * inv, 0, top);
            q[g / 2 * QK + j] |= (uint8_t)((e & 15) << g % 2 * 4);
            if (fifth)
                b[Q5_HIGH + j] |= (uint8_t)(e >> 4 << g);
        }
    }
}

void rb_decode_q4_k(float *dst, const void *src, int64_t n)
{
    for (int64_t i = 0; i < n / QK_K; i++)
        decode_q45_k(dst + i * QK_K, (const uint8_t *)src + i * Q4_BYTES, false);
}

void rb_encode_q4_k(void *dst, const float *src, int64_t n)
{
    for (int64_t i = 0; i < n / QK_K; i++)
        encode_q45_k((uint8_t *)dst + i * Q4_BYTES, src + i * QK_K, false);
}

void rb_decode_q5_k(float *dst, const void *src, int64_t n)
{
    for (int64_t i = 0; i < n / QK_K; i++)
        decode_q45_k(dst + i * QK_K, (const uint8_t *)src + i * Q5_BYTES, true);
}

void rb_encode_q5_k(void *dst, const float *src, int64_t n)
{
    for (int64_t i = 0; i < n / QK_K; i++)
        encode_q45_k((uint8_t *)dst + i * Q5_BYTES, src + i * QK_K, true);
}

/* ---- types of 16 groups of 16: where the bits of element e stand. Pairs of bits fold 128 elements
 * onto 32 bytes, nibbles onto 64 ---- */

enum { GROUP = 16, N_GROUP = QK_K / GROUP, HALF = QK_K / 2 };

static int pair_byte(int e)
{
    return 32 * (e / HALF) + e % 32;
}

static int pair_shift(int e)
{
    return e % HALF / 32 * 2;
}

/* q2_K: [16 bytes: scale low, minimum high nibble][64 bytes of pairs][d][dmin] */
enum { Q2_QUANTS = 16, Q2_D = 80, Q2_BYTES = 84 };

void rb_decode_q2_k(float *dst, const void *src, int64_t n)
{
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += QK_K, b += Q2_BYTES) {
        const float d = get_half(b + Q2_D), dmin = get_half(b + Q2_D + 2);
        for (int e = 0; e < QK_K; e++) {
            const uint8_t s = b[e / GROUP];
            const int q = b[Q2_QUANTS + pair_byte(e)] >> pair_shift(e) & 3;
            const float scale = d * (float)(s & 15), min = dmin * (float)(s >> 4);
            dst[i + e] = scale * (float)q - min;
        }
    }
}

void rb_encode_q2_k(void *dst, const float *src, int64_t n)
{
    uint8_t *b = dst;
    for (int64_t i = 0; i < n; i += QK_K, b += Q2_BYTES) {
        range r[N_GROUP];
        for (int g = 0; g < N_GROUP; g++)
            r[g] = fit_range(src + i + g * GROUP, GROUP, 3);
        memset(b, 0, Q2_BYTES);
        put_range_scales(b + Q2_D, r, N_GROUP, 15);
        const float d = get_half(b + Q2_D), dmin = get_half(b + Q2_D + 2);
        for (int g = 0; g < N_GROUP; g++)
            b[g] = (uint8_t)(quant(r[g].scale * inverse(d), 0, 15) |
                             quant(r[g].min * inverse(dmin), 0, 15) << 4);
        for (int e = 0; e < QK_K; e++) {
            const float inv = inverse(d * (float)(b[e / GROUP] & 15));
            const float min = dmin * (float)(b[e / GROUP] >> 4);
            const int q = quant((src[i + e] + min) * inv, 0, 3);
            b[Q2_QUANTS + pair_byte(e)] |= (uint8_t)(q << pair_shift(e));
        }
    }
}

/* A superblock without minimums: d such that the largest scale becomes -half; the groups' scales as
 * integers, -half to half - 1. */
static void fit_scales(int *scale, uint8_t *d, const float *x, int half_quant, int half)
{
    float s[N_GROUP];
    for (int g = 0; g < N_GROUP; g++)
        s[g] = fit_scale(x + g * GROUP, GROUP, half_quant);
    put16(d, rb_f32_to_f16(largest(s, N_GROUP) / (float)-half));
    for (int g = 0; g < N_GROUP; g++) {
        const int r = round_to_int(s[g] * inverse(get_half(d)), half);
        scale[g] = r < half ? r : half - 1;
    }
}

/* q3_K: [32 bytes of third bits, set for q >= 0][64 bytes of pairs][12 bytes: 16 scales of 6 bits]
 * [d] */
enum { Q3_QUANTS = 32, Q3_SCALES = 96, Q3_D = 108, Q3_BYTES = 110 };

static int get_q3_scale(const uint8_t *s, int g)
{
    return ((s[g % 8] >> g / 8 * 4 & 15) | (s[8 + g % 4] >> g / 4 * 2 & 3) << 4) - 32;
}

static void put_q3_scale(uint8_t *s, int g, int scale)
{
    const int u = scale + 32;
    s[g % 8] |= (uint8_t)((u & 15) << g / 8 * 4);
    s[8 + g % 4] |= (uint8_t)(u >> 4 << g / 4 * 2);
}

void rb_decode_q3_k(float *dst, const void *src, int64_t n)
{
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += QK_K, b += Q3_BYTES)
        for (int e = 0; e < QK_K; e++) {
            const float scale = get_half(b + Q3_D) * (float)get_q3_scale(b + Q3_SCALES, e / GROUP);
            const int low = b[Q3_QUANTS + pair_byte(e)] >> pair_shift(e) & 3;
            dst[i + e] = scale * (float)(low - (b[e % 32] >> e / 32 & 1 ? 0 : 4));
        }
}

void rb_encode_q3_k(void *dst, const float *src, int64_t n)
{
    uint8_t *b = dst;
    for (int64_t i = 0; i < n; i += QK_K, b += Q3_BYTES) {
        int scale[N_GROUP];
        memset(b, 0, Q3_BYTES);
        fit_scales(scale, b + Q3_D, src + i, 4, 32);
        for (int g = 0; g < N_GROUP; g++)
            put_q3_scale(b + Q3_SCALES, g, scale[g]);
        for (int e = 0; e < QK_K; e++) {
            const int of = scale[e / GROUP];
            const float inv = inverse(get_half(b + Q3_D) * (float)of);
            const int q = quant(src[i + e] * inv, -4, 3) + 4;
            b[Q3_QUANTS + pair_byte(e)] |= (uint8_t)((q & 3) << pair_shift(e));
            b[e % 32] |= (uint8_t)(q >> 2 << e / 32);
        }
    }
}

/* q6_K: [128 bytes of low nibbles][64 bytes of high pairs][16 scales of 8 bits][d] */
enum { Q6_HIGH = 128, Q6_SCALES = 192, Q6_D = 208, Q6_BYTES = 210 };

static int nibble_byte(int e)
{
    return 64 * (e / HALF) + e % 64;
}

static int nibble_shift(int e)
{
    return e % HALF / 64 * 4;
}

void rb_decode_q6_k(float *dst, const void *src, int64_t n)
{
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += QK_K, b += Q6_BYTES)
        for (int e = 0; e < QK_K; e++) {
            const float scale = get_half(b + Q6_D) * (float)(int8_t)b[Q6_SCALES + e / GROUP];
            const int q = (b[nibble_byte(e)] >> nibble_shift(e) & 15) |
                          (b[Q6_HIGH + pair_byte(e)] >> pair_shift(e) & 3) << 4;
            dst[i + e] = scale * (float)(q - 32);
        }
}

void rb_encode_q6_k(void *dst, const float *src, int64_t n)
{
    uint8_t *b = dst;
    for (int64_t i = 0; i < n; i += QK_K, b += Q6_BYTES) {
        int scale[N_GROUP];
        memset(b, 0, Q6_BYTES);
        fit_scales(scale, b + Q6_D, src + i, 32, 128);
        for (int g = 0; g < N_GROUP; g++)
            b[Q6_SCALES + g] = (uint8_t)scale[g];
        for (int e = 0; e < QK_K; e++) {
            const int of = scale[e / GROUP];
            const float inv = inverse(get_half(b + Q6_D) * (float)of);
            const int q = quant(src[i + e] * inv, -32, 31) + 32;
            b[nibble_byte(e)] |= (uint8_t)((q & 15) << nibble_shift(e));
            b[Q6_HIGH + pair_byte(e)] |= (uint8_t)(q >> 4 << pair_shift(e));
        }
    }
}

/* ---- iq4_xs: [d][16 bits: high pairs of 8 scales][4 bytes: their low nibbles][128 bytes of codes,
 * of each 32 elements the first 16 low and the others high] ---- */

enum { XS_HIGH = 2, XS_LOW = 4, XS_QUANTS = 8, XS_BYTES = 136 };

void rb_decode_iq4_xs(float *dst, const void *src, int64_t n)
{
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += QK_K, b += XS_BYTES)
        for (int g = 0; g < N_SUB; g++) {
            const int low = b[XS_LOW + g / 2] >> g % 2 * 4 & 15;
            const int high = get16(b + XS_HIGH) >> 2 * g & 3;
            const float scale = get_half(b) * (float)((low | high << 4) - 32);
            const uint8_t *q = b + XS_QUANTS + g * GROUP;
            float *to = dst + i + g * QK;
            for (int j = 0; j < GROUP; j++) {
                to[j] = scale * rb_iq4_value[q[j] & 15];
                to[j + GROUP] = scale * rb_iq4_value[q[j] >> 4];
            }
        }
}

void rb_encode_iq4_xs(void *dst, const float *src, int64_t n)
{
    uint8_t *b = dst, q[QK];
    for (int64_t i = 0; i < n; i += QK_K, b += XS_BYTES) {
        float scale[N_SUB];
        for (int g = 0; g < N_SUB; g++)
            scale[g] = rb_iq4_fit(q, src + i + g * QK, QK);
        memset(b, 0, XS_BYTES);
        put16(b, rb_f32_to_f16(largest(scale, N_SUB) / -32));
        unsigned high = 0;
        for (int g = 0; g < N_SUB; g++) {
            const int r = round_to_int(scale[g] * inverse(get_half(b)), 32);
            const int s = r < 32 ? r : 31, u = s + 32;
            b[XS_LOW + g / 2] |= (uint8_t)((u & 15) << g % 2 * 4);
            high |= (unsigned)(u >> 4) << 2 * g;
            rb_iq4_codes(q, src + i + g * QK, QK, inverse(get_half(b) * (float)s));
            for (int j = 0; j < GROUP; j++)
                b[XS_QUANTS + g * GROUP + j] = (uint8_t)(q[j] | q[j + GROUP] << 4);
        }
        put16(b + XS_HIGH, (uint16_t)high);
    }
}
