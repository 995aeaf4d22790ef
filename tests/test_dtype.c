/* The dtype table against the GGML formats: golden blocks made by another program, every half,
 * rounding, error bounds, and garbage. Buffers and views at the end.
 * Read next: ../kernels/dtype.c. */
#include "files.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static uint64_t rng_state = 42;

static uint64_t rng(void)
{
    rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
    return rng_state >> 33;
}

/* Roughly normal. */
static float random_value(void)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += (double)rng() / 2147483648.0 - 0.5;
    return (float)sum;
}

Test(dtype, table_is_that_of_the_format)
{
    static const struct {
        const char *name;
        int block, bytes, id;
        uint32_t dq[3];
    } want[] = {
        { "f32", 1, 4, 0, { 0, 0, 0 } },
        { "f16", 1, 2, 1, { 0, 1, 0 } },
        { "bf16", 1, 2, 30, { 1, 0, 0 } },
        { "q8_0", 32, 34, 8, { 0, 33, 32 } },
        { "q4_0", 32, 18, 2, { 64, 33, 32 } },
        { "q4_1", 32, 20, 3, { 32, 34, 64 } },
        { "q5_0", 32, 22, 6, { 176, 33, 32 } },
        { "q5_1", 32, 24, 7, { 144, 34, 64 } },
        { "q2_K", 256, 84, 10, { 544, 290, 544 } },
        { "q3_K", 256, 110, 11, { 1061, 273, 272 } },
        { "q4_K", 256, 144, 12, { 296, 274, 528 } },
        { "q5_K", 256, 176, 13, { 808, 274, 528 } },
        { "q6_K", 256, 210, 14, { 1472, 273, 272 } },
        { "iq4_nl", 32, 18, 20, { 32, 33, 32 } },
        { "iq4_xs", 256, 136, 23, { 312, 265, 264 } },
        { "i32", 1, 4, 26, { 0, 0, 0 } },
    };
    enum { N_WANT = sizeof want / sizeof *want };
    cr_assert_eq((int)N_WANT, (int)RB_FIRST_PACKED);
    for (int t = 0; t < N_WANT; t++) {
        const rb_dtype_info *info = rb_dtype_get((rb_dtype)t);
        cr_assert_str_eq(info->name, want[t].name);
        cr_assert_eq(info->block, want[t].block, "%s", info->name);
        cr_assert_eq(info->block_bytes, want[t].bytes, "%s", info->name);
        cr_assert_eq(info->gguf_id, want[t].id, "%s", info->name);
        cr_assert_eq(info->dq.integer, want[t].dq[0], "%s", info->name);
        cr_assert_eq(info->dq.conversion, want[t].dq[1], "%s", info->name);
        cr_assert_eq(info->dq.flt, want[t].dq[2], "%s", info->name);
        cr_assert_eq(info->panel_rows, 1);
        cr_assert_eq(rb_dtype_by_name(info->name), (rb_dtype)t);
        cr_assert_eq(rb_dtype_by_gguf_id((uint32_t)info->gguf_id), (rb_dtype)t);
        cr_assert_eq(rb_row_bytes((rb_dtype)t, 512), 512 / want[t].block * want[t].bytes);
    }
    cr_assert_eq(rb_dtype_by_name("Q4_K"), RB_Q4_K, "as other programs spell it");
    cr_assert_eq(rb_dtype_by_name("q9_9"), RB_NO_DTYPE);
    cr_assert_eq(rb_dtype_by_name(""), RB_NO_DTYPE);
    cr_assert_eq(rb_dtype_by_gguf_id(4), RB_NO_DTYPE);
    cr_assert_eq(rb_dtype_by_gguf_id(UINT32_MAX), RB_NO_DTYPE);
}

Test(dtype, packed_layouts_have_their_bytes_and_work)
{
    cr_assert_eq(RB_N_DTYPE - RB_FIRST_PACKED, RB_I32, "one for each type of files");
    for (rb_dtype t = 0; t < RB_I32; t++) {
        const rb_dtype p = (rb_dtype)(RB_FIRST_PACKED + t);
        const rb_dtype_info *info = rb_dtype_get(p), *base = rb_dtype_get(t);
        const int64_t n = info->block / 16 / base->block;
        cr_assert_eq(info->panel_rows, 16, "%s", info->name);
        cr_assert_eq(info->base, t, "%s", info->name);
        cr_assert_eq(rb_row_bytes(p, 16 * 512), 16 * rb_row_bytes(t, 512), "%s", info->name);
        cr_assert_eq(info->dq.integer, 16 * n * base->dq.integer, "%s", info->name);
        cr_assert_eq(info->dq.conversion, 16 * n * base->dq.conversion, "%s", info->name);
        cr_assert_eq(info->dq.flt, 16 * n * base->dq.flt, "%s", info->name);
        cr_assert_eq(rb_dtype_by_name(info->name), RB_NO_DTYPE, "no file holds %s", info->name);
    }
}

/* The value of a half, from its definition. */
static double half_value(uint16_t h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double v = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

Test(dtype, every_half_has_its_value_and_comes_back)
{
    for (uint32_t h = 0; h < 65536; h++) {
        float f = rb_f16_to_f32((uint16_t)h);
        bool nan = (h & 0x7fff) > 0x7c00;
        cr_assert_eq(isnan(f) != 0, nan, "%04x", h);
        if (!nan && (h & 0x7c00) != 0x7c00)
            cr_assert_eq((double)f, half_value((uint16_t)h), "%04x", h);
        if (nan)
            cr_assert((rb_f32_to_f16(f) & 0x7fff) > 0x7c00, "%04x", h);
        else
            cr_assert_eq(rb_f32_to_f16(f), h, "%04x", h);
    }
    cr_assert_eq(rb_f16_to_f32(0x7c00), INFINITY);
    cr_assert_eq(rb_f16_to_f32(0xfc00), -INFINITY);
}

Test(dtype, halves_round_to_nearest_even)
{
    for (uint32_t h = 0; h < 0x7bff; h++) {
        float low = rb_f16_to_f32((uint16_t)h), high = rb_f16_to_f32((uint16_t)(h + 1));
        float middle = low + (high - low) / 2; /* exact: one more bit */
        cr_assert_eq(rb_f32_to_f16(middle), h & 1 ? h + 1 : h, "%04x", h);
        cr_assert_eq(rb_f32_to_f16(nextafterf(middle, 0)), h, "%04x", h);
        cr_assert_eq(rb_f32_to_f16(nextafterf(middle, INFINITY)), h + 1, "%04x", h);
        cr_assert_eq(rb_f32_to_f16(-middle), 0x8000 | (h & 1 ? h + 1 : h), "%04x", h);
    }
    cr_assert_eq(rb_f32_to_f16(65519.996f), 0x7bff);
    cr_assert_eq(rb_f32_to_f16(65520.0f), 0x7c00);
    cr_assert_eq(rb_f32_to_f16(-1e30f), 0xfc00);
    cr_assert_eq(rb_f32_to_f16(1e-30f), 0);
}

Test(dtype, bf16_is_the_upper_half_rounded_to_even)
{
    for (uint32_t h = 0; h < 65536; h++) {
        cr_assert_eq(bits_of(rb_bf16_to_f32((uint16_t)h)), h << 16);
        bool nan = (h & 0x7fff) > 0x7f80;
        if (nan || (h & 0x7f80) == 0x7f80) {
            cr_assert_eq(rb_f32_to_bf16(float_of(h << 16)), nan ? (h | 0x40) : h, "%04x", h);
            continue;
        }
        cr_assert_eq(rb_f32_to_bf16(float_of(h << 16 | 0x7fff)), h, "%04x", h);
        cr_assert_eq(rb_f32_to_bf16(float_of(h << 16 | 0x8000)), h & 1 ? h + 1 : h, "%04x", h);
        cr_assert_eq(rb_f32_to_bf16(float_of(h << 16 | 0x8001)), h + 1, "%04x", h);
    }
    cr_assert_eq(rb_f32_to_bf16(float_of(0x7f800001)), 0x7fc0, "a NaN must not become infinite");
}

/* ---- golden blocks ---- */

static int64_t read_floats(const json_t *array, float *to)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        to[i] = (float)json_number_value(json_array_get(array, i));
    return (int64_t)json_array_size(array);
}

static size_t read_hex(const char *hex, uint8_t *to)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        sscanf(hex + 2 * i, "%2x", &byte);
        to[i] = (uint8_t)byte;
    }
    return n;
}

static void check_golden(rb_dtype t, const json_t *g)
{
    const rb_dtype_info *info = rb_dtype_get(t);
    float x[256], y[256], got[256];
    uint8_t bytes[512], encoded[512];
    int64_t n = read_floats(json_object_get(g, "y"), y);
    size_t size = read_hex(json_string_value(json_object_get(g, "bytes")), bytes);
    cr_assert(n >= 32 && n % info->block == 0);
    cr_assert_eq((int64_t)size, n / info->block * info->block_bytes, "%s", info->name);
    rb_decode_row(t, got, bytes, n);
    cr_assert_arr_eq(got, y, (size_t)n * sizeof *y, "%s decodes differently", info->name);
    if (json_object_get(g, "x")) {
        cr_assert_eq(read_floats(json_object_get(g, "x"), x), n);
        rb_encode_row(t, encoded, x, n);
        cr_assert_arr_eq(encoded, bytes, size, "%s encodes differently", info->name);
    }
}

Test(dtype, blocks_are_those_of_the_gguf_package)
{
    json_t *all = json_read("tests/vectors/quant_blocks.json");
    const char *name;
    json_t *cases;
    int n = 0;
    json_object_foreach(json_object_get(all, "types"), name, cases)
    {
        rb_dtype t = rb_dtype_by_name(name);
        cr_assert_neq(t, RB_NO_DTYPE, "%s", name);
        for (size_t i = 0; i < json_array_size(cases); i++, n++)
            check_golden(t, json_array_get(cases, i));
    }
    cr_assert_eq(n, 7 * 5 + 7 * 2);
    json_decref(all);
}

/* ---- errors of encoding ---- */

/* Largest error over the largest element of a block, for random blocks. */
static float worst_error(rb_dtype t, int blocks)
{
    const rb_dtype_info *info = rb_dtype_get(t);
    float x[256], y[256], worst = 0;
    uint8_t raw[1024];
    for (int b = 0; b < blocks; b++) {
        float max = 0, scale = powf(10, (float)(b % 5) - 1);
        for (int i = 0; i < info->block; i++) {
            x[i] = random_value() * scale;
            if (info->block == 1) /* each is its own scale: keep off the subnormal halves */
                x[i] += copysignf(scale, x[i]);
            max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
        }
        rb_encode_row(t, raw, x, info->block);
        rb_decode_row(t, y, raw, info->block);
        for (int i = 0; i < info->block; i++)
            worst = fmaxf(worst, fabsf(y[i] - x[i]) / max);
    }
    return worst;
}

Test(dtype, encoding_stays_within_its_step)
{
    /* Half a step over the largest element, and a little for rounding d and m to halves. A
     * symmetric type that spends its extra code on the other side is off by a whole step there. */
    static const struct {
        rb_dtype dtype;
        float most, least;
    } bound[] = {
        { RB_F16, 0x1p-11f, 1e-5f },
        { RB_BF16, 0x1p-8f, 1e-4f },
        { RB_Q8_0, 0.5f / 127 + 1e-3f, 2e-3f },
        { RB_Q4_0, 1.0f / 8 + 1e-3f, 0.05f },
        { RB_Q4_1, 1.0f / 15 + 1e-3f, 0.03f },
        { RB_Q5_0, 1.0f / 16 + 1e-3f, 0.02f },
        { RB_Q5_1, 1.0f / 31 + 1e-3f, 0.015f },
        { RB_Q6_K, 1.0f / 24, 5e-3f },
        { RB_Q2_K, 0.45f, 0.1f },
        { RB_Q3_K, 0.4f, 0.1f },
        { RB_Q4_K, 0.14f, 0.03f },
        { RB_Q5_K, 0.07f, 0.015f },
        { RB_IQ4_NL, 0.15f, 0.05f },
        { RB_IQ4_XS, 0.15f, 0.05f },
    };
    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++) {
        const rb_dtype_info *info = rb_dtype_get(bound[i].dtype);
        float worst = worst_error(bound[i].dtype, info->block == 1 ? 5000 : 700);
        cr_assert(worst <= bound[i].most, "%s: %g", info->name, (double)worst);
        cr_assert(worst >= bound[i].least, "%s: %g is too good to be true", info->name,
                  (double)worst);
    }
}

/* Squared error of a q6_K block if each group simply maps its largest element to -32. */
static double plain_q6_error(const float *x)
{
    double sum = 0, step = 0;
    for (int g = 0; g < 16; g++) {
        float max = 0;
        for (int j = 0; j < 16; j++)
            max = fabsf(x[16 * g + j]) > fabsf(max) ? x[16 * g + j] : max;
        step = (double)max / -32;
        for (int j = 0; j < 16; j++) {
            double q = fmin(31, fmax(-32, nearbyint(x[16 * g + j] / step)));
            sum += pow(x[16 * g + j] - q * step, 2);
        }
    }
    return sum;
}

Test(dtype, q6_K_beats_plain_rounding)
{
    const rb_dtype t = RB_Q6_K;
    double ours = 0, plain = 0;
    for (int b = 0; b < 200; b++) {
        float x[256], y[256];
        uint8_t raw[210];
        for (int i = 0; i < 256; i++)
            x[i] = random_value();
        rb_encode_row(t, raw, x, 256);
        rb_decode_row(t, y, raw, 256);
        for (int i = 0; i < 256; i++)
            ours += pow(y[i] - x[i], 2);
        plain += plain_q6_error(x);
    }
    /* Fitting the scale to one choice of quants gets 0.95; trying several of them 0.91. */
    cr_assert(ours < 0.93 * plain, "%g against %g", ours, plain);
}

Test(dtype, garbage_encodes_without_harm)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f, -0.0f, 0 };
    float x[256], y[256];
    uint8_t raw[1024];
    for (rb_dtype t = 0; t < RB_I32; t++) {
        const rb_dtype_info *info = rb_dtype_get(t);
        for (int round = 0; round < 300; round++) {
            for (int i = 0; i < 256; i++)
                x[i] = rng() % 5 ? odd[rng() % 8] : random_value();
            rb_encode_row(t, raw, x, 256);
            rb_decode_row(t, y, raw, 256);
        }
        memset(x, 0, sizeof x);
        rb_encode_row(t, raw, x, 256);
        rb_decode_row(t, y, raw, 256);
        for (int i = 0; i < 256; i++)
            cr_assert_eq(y[i], 0, "%s: zeros must stay zeros", info->name);
    }
}

/* ---- buffers, views, errors ---- */

Test(view, buffers_are_zero_aligned_and_absent_when_dry)
{
    rb_buffer b, dry;
    cr_assert_eq(rb_buffer_alloc(&b, 100001, false, NULL), RB_OK);
    cr_assert_eq((uintptr_t)b.data % 64, 0);
    cr_assert_eq(b.bytes, 100001);
    for (size_t i = 0; i < b.bytes; i++)
        cr_assert_eq(((char *)b.data)[i], 0);
    cr_assert_eq(rb_buffer_alloc(&dry, (size_t)1 << 50, true, NULL), RB_OK);
    cr_assert_null(dry.data);
    cr_assert_eq(dry.bytes, (size_t)1 << 50);
    rb_buffer_free(&b);
    cr_assert_null(b.data);
    rb_buffer_free(&b);
    rb_buffer_free(&dry);
    rb_buffer_free(NULL);
    rb_error err = { 0 };
    cr_assert_eq(rb_buffer_alloc(&b, (size_t)1 << 62, false, &err), RB_ERR_MEMORY);
    cr_assert_eq(err.status, RB_ERR_MEMORY);
    cr_assert_null(b.data);
}

Test(view, slices_and_shapes)
{
    rb_buffer b = { NULL, 1 << 20 };
    rb_view v = rb_view_dense(&b, RB_Q8_0, RB_KV, 68, 2, 3, 4, 64);
    cr_assert_eq(v.step_bytes[2], 68);
    cr_assert_eq(v.step_bytes[1], 4 * 68);
    cr_assert_eq(v.step_bytes[0], 12 * 68);
    cr_assert_eq(rb_view_elements(&v), 2 * 3 * 4 * 64);
    cr_assert(rb_view_is_dense(&v));
    rb_view s = rb_view_slice(v, 1, 1, 2);
    cr_assert_eq(s.offset_bytes, 68 + 4 * 68);
    cr_assert_eq(s.n[1], 2);
    cr_assert_not(rb_view_is_dense(&s));
    s = rb_view_slice(v, 3, 32, 32);
    cr_assert_eq(s.offset_bytes, 68 + 34);
    cr_assert_eq(s.step_bytes[2], 68);
    cr_assert_not(rb_view_is_dense(&s));
    s = rb_view_slice(v, 0, 1, 1);
    cr_assert(rb_view_is_dense(&s));
    s = rb_view_reshape(v, 1, 6, 1, 256);
    cr_assert_eq(s.step_bytes[1], 4 * 68);
    cr_assert_eq(s.offset_bytes, 68);
    cr_assert_eq(rb_view_elements(&s), rb_view_elements(&v));
}

Test(view, an_error_is_one_line)
{
    rb_error err;
    cr_assert_eq(rb_fail(&err, RB_ERR_FORMAT, "bad name '%s'", "a\nb\x1b[1m"), RB_ERR_FORMAT);
    cr_assert_str_eq(err.text, "bad name 'a?b?[1m'");
    cr_assert_eq(rb_fail(NULL, RB_ERR_IO, "x"), RB_ERR_IO);
    char big[2000];
    memset(big, 'x', sizeof big);
    big[1999] = 0;
    rb_fail(&err, RB_ERR_IO, "%s", big);
    cr_assert_eq(strlen(err.text), sizeof err.text - 1);
}
