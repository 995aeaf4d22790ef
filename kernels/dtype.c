/* The dtype table: the only place that knows how elements become bytes, with reference code that
 * decodes and encodes rows of them. Decoding equals the GGML formats bit for bit in f32; encoding
 * rounds as their reference quantisers do (q6_K: our own search for the smallest squared error).
 * Refuses to be fast: kernels bring their own decoders and are tested against these.
 * Read next: types.h. */
#include "types.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- 16-bit floats ---- */

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* The exponents of f16 and f32 are biased by 15 and 127. */
#define REBIAS ((uint32_t)(127 - 15) << 23)

float rb_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, mag = h & 0x7fff;
    if (mag >= 0x7c00) /* infinity or NaN: the exponent becomes all ones */
        return float_of(sign | 0x7f800000 | (mag & 0x3ff) << 13);
    if (mag >= 0x0400)
        return float_of(sign | ((mag << 13) + REBIAS));
    return float_of(sign | bits_of((float)mag * 0x1p-24f));
}

uint16_t rb_f32_to_f16(float f)
{
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000, mag = u & 0x7fffffff;
    if (mag > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (mag >> 13 & 0x3ff));
    if (mag >= bits_of(65536.0f))
        return (uint16_t)(sign | 0x7c00);
    if (mag < bits_of(0x1p-14f)) /* subnormal: the addition rounds at 2^-24, the last place there */
        return (uint16_t)(sign | (bits_of(float_of(mag) + 0.5f) - bits_of(0.5f)));
    mag += 0xfff + (mag >> 13 & 1);
    return (uint16_t)(sign | (mag - REBIAS) >> 13);
}

float rb_bf16_to_f32(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}

uint16_t rb_f32_to_bf16(float f)
{
    uint32_t u = bits_of(f);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(u >> 16 | 0x40); /* quiet, so that cutting bits cannot make it infinite */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* Little-endian halves inside blocks, which have no alignment. */
static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static void put16(uint8_t *p, uint16_t h)
{
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

static float get_half(const uint8_t *p)
{
    return rb_f16_to_f32(get16(p));
}

static void decode_f32(float *dst, const void *src, int64_t n)
{
    memcpy(dst, src, (size_t)n * sizeof *dst);
}

static void encode_f32(void *dst, const float *src, int64_t n)
{
    memcpy(dst, src, (size_t)n * sizeof *src);
}

static void decode_f16(float *dst, const void *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = get_half((const uint8_t *)src + 2 * i);
}

static void encode_f16(void *dst, const float *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        put16((uint8_t *)dst + 2 * i, rb_f32_to_f16(src[i]));
}

static void decode_bf16(float *dst, const void *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = rb_bf16_to_f32(get16((const uint8_t *)src + 2 * i));
}

static void encode_bf16(void *dst, const float *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        put16((uint8_t *)dst + 2 * i, rb_f32_to_bf16(src[i]));
}

/* ---- blocks of 32: a scale, perhaps a minimum, then quants ---- */

enum { QK = 32 };

/* f cut to [low, high], then truncated; NaN becomes low. Plain casts of such floats are undefined.
 */
static int to_int(float f, int low, int high)
{
    if (!(f > (float)low))
        return low;
    return f < (float)high ? (int)f : high;
}

/* Half away from zero. The sum is exact in double, so 0.49999997 does not become 1. */
static int round_to_int(float f, int limit)
{
    if (!(fabsf(f) < (float)limit))
        return f > 0 ? limit : f < 0 ? -limit : 0;
    return (int)(f < 0 ? (double)f - 0.5 : (double)f + 0.5);
}

static float inverse(float d)
{
    return d == 0 ? 0 : 1 / d;
}

static void decode_q8_0(float *dst, const void *src, int64_t n)
{
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += QK, b += 2 + QK) {
        float d = get_half(b);
        for (int j = 0; j < QK; j++)
            dst[i + j] = (float)(int8_t)b[2 + j] * d;
    }
}

static void encode_q8_0(void *dst, const float *src, int64_t n)
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

/* Packed q8_0: for each 32 columns 16 scales, then for each 4 of them 4 bytes of each row. Elements
 * of a plain type need no code of their own: a panel is a row of them. */
enum { PANEL = RB_PANEL_ROWS, P16_BYTES = PANEL * (2 + QK) };

static int p16_quant(int row, int j)
{
    return 2 * PANEL + j / 4 * 4 * PANEL + 4 * row + j % 4;
}

static void decode_q8_0_p16(float *dst, const void *src, int64_t n)
{
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += PANEL * QK, b += P16_BYTES)
        for (int r = 0; r < PANEL; r++) {
            float d = get_half(b + 2 * r);
            for (int j = 0; j < QK; j++)
                dst[i + PANEL * j + r] = (float)(int8_t)b[p16_quant(r, j)] * d;
        }
}

/* One block of each of 16 rows, block_step bytes apart, into a packed block. */
static void pack_q8_0_block(uint8_t *dst, const uint8_t *block, int64_t block_step)
{
    for (int r = 0; r < PANEL; r++, block += block_step) {
        memcpy(dst + 2 * r, block, 2);
        for (int j = 0; j < QK; j += 4)
            memcpy(dst + p16_quant(r, j), block + 2 + j, 4);
    }
}

static void encode_q8_0_p16(void *dst, const float *src, int64_t n)
{
    uint8_t *b = dst, rows[P16_BYTES];
    for (int64_t i = 0; i < n; i += PANEL * QK, b += P16_BYTES) {
        for (int r = 0; r < PANEL; r++) {
            float x[QK];
            for (int j = 0; j < QK; j++)
                x[j] = src[i + PANEL * j + r];
            encode_q8_0(rows + r * (2 + QK), x, QK);
        }
        pack_q8_0_block(b, rows, 2 + QK);
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

static void decode_q4_0(float *dst, const void *src, int64_t n)
{
    decode_small(dst, src, n, (small_block){ 4, false });
}

static void encode_q4_0(void *dst, const float *src, int64_t n)
{
    encode_small(dst, src, n, (small_block){ 4, false });
}

static void decode_q4_1(float *dst, const void *src, int64_t n)
{
    decode_small(dst, src, n, (small_block){ 4, true });
}

static void encode_q4_1(void *dst, const float *src, int64_t n)
{
    encode_small(dst, src, n, (small_block){ 4, true });
}

static void decode_q5_0(float *dst, const void *src, int64_t n)
{
    decode_small(dst, src, n, (small_block){ 5, false });
}

static void encode_q5_0(void *dst, const float *src, int64_t n)
{
    encode_small(dst, src, n, (small_block){ 5, false });
}

static void decode_q5_1(float *dst, const void *src, int64_t n)
{
    decode_small(dst, src, n, (small_block){ 5, true });
}

static void encode_q5_1(void *dst, const float *src, int64_t n)
{
    encode_small(dst, src, n, (small_block){ 5, true });
}

/* ---- q6_K: 16 groups of 16, each with an int8 scale, under one half ---- */

enum { QK_K = 256, GROUP = 16, N_GROUP = QK_K / GROUP, HALF = QK_K / 2 };
/* Offsets in the block: low nibbles of both halves, high pairs of bits, scales, d. */
enum { Q6_HIGH = 128, Q6_SCALE = 192, Q6_D = 208, Q6_BYTES = 210 };

/* Where the bits of element e stand: within its half, nibbles fold 128 elements onto 64 bytes and
 * pairs of bits fold them onto 32. */
typedef struct q6_place {
    int low, low_shift, high, high_shift;
} q6_place;

static q6_place q6_at(int e)
{
    int h = e / HALF, r = e % HALF;
    return (q6_place){ 64 * h + r % 64, r / 64 * 4, Q6_HIGH + 32 * h + r % 32, r / 32 * 2 };
}

static void decode_q6_k(float *dst, const void *src, int64_t n)
{
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += QK_K, b += Q6_BYTES) {
        float d = get_half(b + Q6_D);
        for (int e = 0; e < QK_K; e++) {
            q6_place at = q6_at(e);
            int q = (b[at.low] >> at.low_shift & 15) | (b[at.high] >> at.high_shift & 3) << 4;
            float scale = d * (float)(int8_t)b[Q6_SCALE + e / GROUP];
            dst[i + e] = scale * (float)(q - 32);
        }
    }
}

/* Nearest integer of |f| < 2^21, ties to even, without a call: 1.5 * 2^23 has unit steps. */
static float nearest(float f)
{
    return (f + 12582912.0f) - 12582912.0f;
}

static float clamp_q6(float q)
{
    return q < -32 ? -32 : q > 31 ? 31 : q;
}

/* For quants q of x, the scale of least squared error is s = sum(x q) / sum(q q), and it removes
 * sum(x q)^2 / sum(q q) from the error: the better of several trial scales by that number. */
static float group_scale(const float *x)
{
    float max = x[0];
    for (int j = 1; j < GROUP; j++)
        max = fabsf(x[j]) > fabsf(max) ? x[j] : max;
    if (!(fabsf(max) > 1e-30f && fabsf(max) < 1e30f))
        return 0; /* nothing to scale, or nothing that a half could scale */
    float best = 0, scale = 0;
    for (int t = -4; t <= 4; t++) {
        float inv = (-32 + 0.125f * (float)t) / max, xq = 0, qq = 0;
        for (int j = 0; j < GROUP; j++) {
            float q = clamp_q6(nearest(x[j] * inv));
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

static void encode_q6_block(uint8_t *b, const float *x)
{
    float scale[N_GROUP], max = 0;
    for (int g = 0; g < N_GROUP; g++) {
        scale[g] = group_scale(x + g * GROUP);
        max = fabsf(scale[g]) > fabsf(max) ? scale[g] : max;
    }
    put16(b + Q6_D, rb_f32_to_f16(max / -128));
    float d = get_half(b + Q6_D);
    for (int g = 0; g < N_GROUP; g++) {
        int s = round_to_int(scale[g] * inverse(d), 128);
        b[Q6_SCALE + g] = (uint8_t)(s > 127 ? 127 : s);
    }
    memset(b, 0, Q6_SCALE);
    for (int e = 0; e < QK_K; e++) {
        float inv = inverse(d * (float)(int8_t)b[Q6_SCALE + e / GROUP]);
        int q = 32 + to_int(clamp_q6(nearest(x[e] * inv)), -32, 31);
        q6_place at = q6_at(e);
        b[at.low] |= (uint8_t)((q & 15) << at.low_shift);
        b[at.high] |= (uint8_t)((q >> 4) << at.high_shift);
    }
}

static void encode_q6_k(void *dst, const float *src, int64_t n)
{
    uint8_t *b = dst;
    for (int64_t i = 0; i < n; i += QK_K, b += Q6_BYTES)
        encode_q6_block(b, src + i);
}

/* ---- the table ---- */

/* i32 holds indices, never weights: it has no float form. */
static const rb_dtype_info table[RB_N_DTYPE] = {
    [RB_F32] = { "f32", 1, 4, 0, { 0, 0, 0 }, decode_f32, encode_f32, 1, RB_F32 },
    [RB_F16] = { "f16", 1, 2, 1, { 0, 1, 0 }, decode_f16, encode_f16, 1, RB_F16 },
    [RB_BF16] = { "bf16", 1, 2, 30, { 1, 0, 0 }, decode_bf16, encode_bf16, 1, RB_BF16 },
    [RB_Q8_0] = { "q8_0", 32, 34, 8, { 0, 33, 32 }, decode_q8_0, encode_q8_0, 1, RB_Q8_0 },
    [RB_Q4_0] = { "q4_0", 32, 18, 2, { 64, 33, 32 }, decode_q4_0, encode_q4_0, 1, RB_Q4_0 },
    [RB_Q4_1] = { "q4_1", 32, 20, 3, { 32, 34, 64 }, decode_q4_1, encode_q4_1, 1, RB_Q4_1 },
    [RB_Q5_0] = { "q5_0", 32, 22, 6, { 176, 33, 32 }, decode_q5_0, encode_q5_0, 1, RB_Q5_0 },
    [RB_Q5_1] = { "q5_1", 32, 24, 7, { 144, 34, 64 }, decode_q5_1, encode_q5_1, 1, RB_Q5_1 },
    [RB_Q6_K] = { "q6_K", 256, 210, 14, { 1472, 273, 272 }, decode_q6_k, encode_q6_k, 1, RB_Q6_K },
    [RB_I32] = { "i32", 1, 4, 26, { 0, 0, 0 }, NULL, NULL, 1, RB_I32 },
    [RB_F16_P16] = { "f16.p16", 16, 32, -1, { 0, 16, 0 }, decode_f16, encode_f16, PANEL, RB_F16 },
    [RB_BF16_P16] = { "bf16.p16",
                      16,
                      32,
                      -1,
                      { 16, 0, 0 },
                      decode_bf16,
                      encode_bf16,
                      PANEL,
                      RB_BF16 },
    [RB_Q8_0_P16] = { "q8_0.p16",
                      512,
                      544,
                      -1,
                      { 0, 528, 512 },
                      decode_q8_0_p16,
                      encode_q8_0_p16,
                      PANEL,
                      RB_Q8_0 },
};

const rb_dtype_info *rb_dtype_get(rb_dtype dtype)
{
    assert((unsigned)dtype < RB_N_DTYPE);
    return &table[dtype];
}

rb_dtype rb_dtype_by_name(const char *name)
{
    for (int t = 0; t < RB_N_DTYPE; t++)
        if (table[t].panel_rows == 1 && strcmp(table[t].name, name) == 0)
            return (rb_dtype)t;
    return RB_NO_DTYPE;
}

rb_dtype rb_dtype_by_gguf_id(uint32_t id)
{
    for (int t = 0; t < RB_N_DTYPE; t++)
        if (table[t].panel_rows == 1 && (uint32_t)table[t].gguf_id == id)
            return (rb_dtype)t;
    return RB_NO_DTYPE;
}

int64_t rb_row_bytes(rb_dtype dtype, int64_t n)
{
    const rb_dtype_info *info = rb_dtype_get(dtype);
    assert(n % info->block == 0);
    return n / info->block * info->block_bytes;
}

/* ---- packing: base's bytes in another order ---- */

rb_view rb_view_packed(const rb_view *w, const rb_buffer *b)
{
    for (rb_dtype t = 0; t < RB_N_DTYPE; t++) {
        const int rows = table[t].panel_rows;
        if (rows > 1 && table[t].base == w->dtype && w->n[2] % rows == 0)
            return rb_view_dense(b, t, w->stream, 0, 1, 1, w->n[2] / rows, w->n[3] * rows);
    }
    return (rb_view){ .buffer = NULL };
}

static void pack_halves(uint16_t *dst, const char *row, int64_t row_step, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        for (int r = 0; r < PANEL; r++)
            dst[k * PANEL + r] = ((const uint16_t *)(row + r * row_step))[k];
}

void rb_pack(const rb_view *packed, const rb_view *w)
{
    for (int64_t p = 0; p < packed->n[2]; p++) {
        char *to = rb_at(packed, 0, 0, p), *from = rb_at(w, 0, 0, p * PANEL);
        if (w->dtype != RB_Q8_0) {
            pack_halves((uint16_t *)to, from, w->step_bytes[2], w->n[3]);
            continue;
        }
        for (int64_t i = 0; i < w->n[3] / QK; i++)
            pack_q8_0_block((uint8_t *)to + i * P16_BYTES, (uint8_t *)from + i * (2 + QK),
                            w->step_bytes[2]);
    }
}
