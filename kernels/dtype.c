/* The dtype table: the only place that knows how elements become bytes. A file type is one line of
 * it; its packed layout follows from that line. Reference code decodes equal to the GGML formats,
 * bit for bit in f32. Refuses to be fast: kernels bring their own decoders and are tested against
 * these. Read next: blocks32.c and kquants.c (the quantised types), packed.c. */
#include "blocks.h"

#include <assert.h>
#include <strings.h>

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

/* ---- plain types ---- */

static void rb_decode_f32(float *dst, const void *src, int64_t n)
{
    memcpy(dst, src, (size_t)n * sizeof *dst);
}

static void rb_encode_f32(void *dst, const float *src, int64_t n)
{
    memcpy(dst, src, (size_t)n * sizeof *src);
}

static void rb_decode_f16(float *dst, const void *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = get_half((const uint8_t *)src + 2 * i);
}

static void rb_encode_f16(void *dst, const float *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        put16((uint8_t *)dst + 2 * i, rb_f32_to_f16(src[i]));
}

static void rb_decode_bf16(float *dst, const void *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = rb_bf16_to_f32(get16((const uint8_t *)src + 2 * i));
}

static void rb_encode_bf16(void *dst, const float *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        put16((uint8_t *)dst + 2 * i, rb_f32_to_bf16(src[i]));
}

/* ---- the table ---- */

/* type, name, elements and bytes of a block, columns of a packed block, number in GGUF, what
 * decoding a block costs. i32 holds indices, never weights: it has no float form. */
#define FILE_TYPES(X)                                                                              \
    X(RB_F32, f32, "f32", 1, 4, 1, 0, 0, 0, 0)                                                     \
    X(RB_F16, f16, "f16", 1, 2, 1, 1, 0, 1, 0)                                                     \
    X(RB_BF16, bf16, "bf16", 1, 2, 2, 30, 1, 0, 0)                                                 \
    X(RB_Q8_0, q8_0, "q8_0", 32, 34, 32, 8, 0, 33, 32)                                             \
    X(RB_Q4_0, q4_0, "q4_0", 32, 18, 32, 2, 64, 33, 32)                                            \
    X(RB_Q4_1, q4_1, "q4_1", 32, 20, 32, 3, 32, 34, 64)                                            \
    X(RB_Q5_0, q5_0, "q5_0", 32, 22, 32, 6, 176, 33, 32)                                           \
    X(RB_Q5_1, q5_1, "q5_1", 32, 24, 32, 7, 144, 34, 64)                                           \
    X(RB_Q2_K, q2_k, "q2_K", 256, 84, 256, 10, 544, 290, 544)                                      \
    X(RB_Q3_K, q3_k, "q3_K", 256, 110, 256, 11, 1061, 273, 272)                                    \
    X(RB_Q4_K, q4_k, "q4_K", 256, 144, 256, 12, 296, 274, 528)                                     \
    X(RB_Q5_K, q5_k, "q5_K", 256, 176, 256, 13, 808, 274, 528)                                     \
    X(RB_Q6_K, q6_k, "q6_K", 256, 210, 256, 14, 1472, 273, 272)                                    \
    X(RB_IQ4_NL, iq4_nl, "iq4_nl", 32, 18, 32, 20, 32, 33, 32)                                     \
    X(RB_IQ4_XS, iq4_xs, "iq4_xs", 256, 136, 256, 23, 312, 265, 264)

/* Elements of a packed block over those of a file's block, and of the work. */
#define TIMES(block, columns) (PANEL * (columns) / (block))

#define FILE_ROW(t, id, name, block, bytes, columns, gguf, i, c, f)                                \
    [t] = { name, block, bytes, gguf, { i, c, f }, rb_decode_##id, rb_encode_##id, 1, t },
#define PACKED_ROW(t, id, name, block, bytes, columns, gguf, i, c, f)                              \
    [t##_P16] = { name ".p16",                                                                     \
                  PANEL * (columns),                                                               \
                  TIMES(block, columns) * (bytes),                                                 \
                  -1,                                                                              \
                  { TIMES(block, columns) * (i), TIMES(block, columns) * (c),                      \
                    TIMES(block, columns) * (f) },                                                 \
                  NULL,                                                                            \
                  NULL,                                                                            \
                  PANEL,                                                                           \
                  t },
static const rb_dtype_info table[RB_N_DTYPE] = {
    FILE_TYPES(FILE_ROW)
        FILE_TYPES(PACKED_ROW)[RB_I32] = { "i32", 1, 4, 26, { 0, 0, 0 }, NULL, NULL, 1, RB_I32 },
};

const rb_dtype_info *rb_dtype_get(rb_dtype dtype)
{
    assert((unsigned)dtype < RB_N_DTYPE);
    return &table[dtype];
}

rb_dtype rb_dtype_by_name(const char *name)
{
    for (int t = 0; t < RB_FIRST_PACKED; t++)
        if (strcasecmp(table[t].name, name) == 0)
            return (rb_dtype)t;
    return RB_NO_DTYPE;
}

rb_dtype rb_dtype_by_gguf_id(uint32_t id)
{
    for (int t = 0; t < RB_FIRST_PACKED; t++)
        if ((uint32_t)table[t].gguf_id == id)
            return (rb_dtype)t;
    return RB_NO_DTYPE;
}

int64_t rb_row_bytes(rb_dtype dtype, int64_t n)
{
    const rb_dtype_info *info = rb_dtype_get(dtype);
    assert(n % info->block == 0);
    return n / info->block * info->block_bytes;
}

void rb_decode_row(rb_dtype dtype, float *dst, const void *src, int64_t n)
{
    const rb_dtype_info *d = rb_dtype_get(dtype);
    if (d->panel_rows > 1)
        rb_decode_panel(d->base, dst, src, n);
    else
        d->decode(dst, src, n);
}

void rb_encode_row(rb_dtype dtype, void *dst, const float *src, int64_t n)
{
    const rb_dtype_info *d = rb_dtype_get(dtype);
    if (d->panel_rows > 1)
        rb_encode_panel(d->base, dst, src, n);
    else
        d->encode(dst, src, n);
}
