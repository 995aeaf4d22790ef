/* Conversion of GGUF files: metadata byte for byte, every type against its own encoder, and all
 * that must leave nothing behind. Mixes are test_mix.c's, the command itself is
 * test_cli_convert.c's. Read next: ../models/convert.c. */
#include "converting.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(convert, .init = convert_setup, .fini = convert_teardown);

/* Frees g. */
static void write_in(gguf_file *g)
{
    blob b = gguf_bytes(g);
    blob_write(&b, convert_in);
    blob_free(&b);
    gguf_free(g);
}

/* Refused in these words, and nothing is left but n files. */
static void expect_refused(const char *type, rb_status want, const char *words, int n)
{
    rb_conversion done;
    rb_error err = { 0 };
    cr_assert_eq(convert_as(type, 2, &done, &err), want, "%s: %s", words, err.text);
    cr_assert(strstr(err.text, words), "wanted '%s' in: %s", words, err.text);
    cr_assert_eq(dir_count(&convert_folder), n, "%s: left behind", words);
}

/* Bytes of a file of g, to be freed. */
static void *bytes_of(const rb_gguf *g, int file, uint64_t offset, uint64_t n)
{
    void *bytes = malloc(n + 1);
    cr_assert_eq(rb_source_read(&g->file[file], offset, bytes, n, NULL), RB_OK);
    return bytes;
}

static bool same_bytes(const rb_gguf *a, int file_a, uint64_t at_a, const rb_gguf *b, uint64_t at_b,
                       uint64_t n)
{
    void *x = bytes_of(a, file_a, at_a, n), *y = bytes_of(b, 0, at_b, n);
    const bool same = memcmp(x, y, n) == 0;
    free(x);
    free(y);
    return same;
}

/* ---- metadata ---- */

static void add_array(gguf_file *g, const char *key, uint32_t type, uint64_t n)
{
    gguf_kv_uint(g, key, RB_GGUF_ARRAY, type, 4);
    blob_uint(&g->kv[g->have_kv - 1], n, 8);
}

/* Every type of value, keys in no order, and a string longer than readers keep. */
static gguf_file with_odd_metadata(void)
{
    gguf_file g = gguf_make("llama");
    char text[RB_GGUF_MAX_TEXT + 100];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    add_array(&g, "tokenizer.ggml.tokens", RB_GGUF_STRING, 3);
    blob_string(&g.kv[g.have_kv - 1], "<s>");
    blob_string(&g.kv[g.have_kv - 1], "");
    blob_string(&g.kv[g.have_kv - 1], "\xe2\x96\x81the");
    gguf_kv_u32(&g, "general.file_type", 1);
    add_array(&g, "tokenizer.ggml.scores", RB_GGUF_F32, 2);
    blob_uint(&g.kv[g.have_kv - 1], 0x7fc00001c0000000, 8); /* a NaN among them */
    add_array(&g, "tokenizer.ggml.merges", RB_GGUF_STRING, 0);
    gguf_kv_string(&g, "tokenizer.chat_template", text);
    gguf_kv_uint(&g, "a.i8", RB_GGUF_I8, 0x80, 1);
    gguf_kv_uint(&g, "z.u64", RB_GGUF_U64, UINT64_MAX, 8);
    gguf_kv_uint(&g, "m.f64", RB_GGUF_F64, 0x7ff0000000000001, 8);
    gguf_kv_uint(&g, "b.bool", RB_GGUF_BOOL, 1, 1);
    gguf_kv_uint(&g, "b.i16", RB_GGUF_I16, 0xffff, 2);
    return g;
}

static void check_metadata(const rb_gguf *a, const rb_gguf *b)
{
    for (int64_t i = 0; i < a->n_kv; i++) {
        const rb_gguf_kv *x = &a->kv[i], *y = rb_gguf_find_kv(b, x->key);
        if (strcmp(x->key, "general.file_type") == 0)
            continue;
        cr_assert(y, "%s is lost", x->key);
        cr_assert_eq(x->bytes, y->bytes, "%s", x->key);
        cr_assert(same_bytes(a, 0, x->offset, b, y->offset, x->bytes), "%s", x->key);
        for (int64_t j = 0; j < i; j++) {
            const rb_gguf_kv *other = rb_gguf_find_kv(b, a->kv[j].key);
            cr_assert_eq(a->kv[j].offset < x->offset, other->offset < y->offset, "order of %s, %s",
                         a->kv[j].key, x->key);
        }
    }
}

Test(convert, metadata_stays_byte_for_byte)
{
    for (int known = 0; known < 2; known++) {
        gguf_file g = with_odd_metadata();
        if (!known)
            gguf_drop_kv(&g, "general.file_type");
        write_in(&g);
        converted_as("q8_0");
        rb_gguf a = open_directory(convert_in), b = open_directory(convert_out);
        cr_assert_eq(b.n_kv, a.n_kv + (known ? 1 : 2));
        check_metadata(&a, &b);
        const rb_gguf_kv *type = rb_gguf_find_kv(&b, "general.file_type");
        const rb_gguf_kv *version = rb_gguf_find_kv(&b, "general.quantization_version");
        cr_assert(type->type == RB_GGUF_U32 && type->integer == 7);
        cr_assert(version->type == RB_GGUF_U32 && version->integer == 2);
        rb_gguf_close(&a);
        rb_gguf_close(&b);
    }
}

Test(convert, the_alignment_of_the_file_is_kept)
{
    gguf_file g = { .magic = "GGUF", .version = 2, .alignment = 256 };
    gguf_kv_u32(&g, "general.alignment", 256);
    gguf_add_tensor(&g, "z.weight", 32, 3, 0);
    gguf_add_tensor(&g, "a.weight", 32, 5, 0);
    write_in(&g);
    converted_as("q4_0");
    rb_gguf b = open_directory(convert_out);
    const rb_gguf_tensor *a = rb_gguf_find_tensor(&b, "a.weight");
    const rb_gguf_tensor *z = rb_gguf_find_tensor(&b, "z.weight");
    cr_assert_eq(b.alignment, 256);
    cr_assert_eq(z->offset % 256, 0);
    cr_assert_eq(a->offset, z->offset + 256, "order or padding is lost");
    rb_gguf_close(&b);
}

/* ---- weights ---- */

/* A tensor against the encoder: row by row what encoding the decoded source gives, or the source.
 */
static void check_rows(const rb_gguf *a, const rb_gguf_tensor *from, const rb_gguf *b,
                       const rb_gguf_tensor *to)
{
    const int64_t n = from->ne[0], rows = from->ne[1] * from->ne[2];
    const int64_t row_from = rb_row_bytes(from->dtype, n), row_to = rb_row_bytes(to->dtype, n);
    uint8_t *x = bytes_of(a, from->file, from->offset, from->bytes);
    uint8_t *y = bytes_of(b, 0, to->offset, to->bytes), *want = malloc((size_t)row_to);
    float *values = malloc((size_t)n * sizeof *values);
    cr_assert_eq(to->bytes, (uint64_t)(rows * row_to));
    for (int64_t r = 0; r < rows; r++) {
        rb_decode_row(from->dtype, values, x + r * row_from, n);
        rb_encode_row(to->dtype, want, values, n);
        cr_assert(memcmp(from->dtype == to->dtype ? x + r * row_to : want, y + r * row_to,
                         (size_t)row_to) == 0,
                  "%s: row %lld", to->name, (long long)r);
    }
    free(values);
    free(want);
    free(x);
    free(y);
}

static void check_weights(rb_dtype type)
{
    rb_gguf a = open_directory(convert_in), b = open_directory(convert_out);
    cr_assert_eq(a.n_tensor, b.n_tensor);
    for (int64_t i = 0; i < a.n_tensor; i++) {
        const rb_gguf_tensor *x = &a.tensor[i], *y = &b.tensor[i];
        const bool matrix = x->n_dim > 1 && !strstr(x->name, "ffn_gate_inp");
        cr_assert_str_eq(x->name, y->name);
        cr_assert_eq(y->n_dim, x->n_dim);
        cr_assert_arr_eq(y->ne, x->ne, sizeof x->ne);
        cr_assert_eq(y->dtype, matrix ? type : RB_F32, "%s is %s", y->name,
                     rb_dtype_get(y->dtype)->name);
        check_rows(&a, x, &b, y);
    }
    rb_gguf_close(&a);
    rb_gguf_close(&b);
}

Test(convert, every_type_from_and_to)
{
    rb_config c = square_config(RB_ARCH_QWEN3MOE, 1, 256);
    c.n_vocab = 3;
    c.n_expert = 2;
    c.n_expert_used = 1;
    c.n_ff_expert = 256;
    for (int t = 0; t < RB_I32; t++) {
        const rb_dtype type = (rb_dtype)t;
        write_source(&c, RB_F32);
        converted_as(rb_dtype_get(type)->name);
        check_weights(type);
        cr_assert_eq(rename(convert_out, convert_in), 0);
        const rb_conversion done = converted_as("q8_0");
        check_weights(RB_Q8_0);
        cr_assert_eq(done.n_again > 0, type > RB_BF16 && type != RB_Q8_0);
    }
}

/* One row of many chunks, and chunks that split unevenly: the file is the same for all teams. */
Test(convert, threads_change_nothing)
{
    gguf_file g = { .magic = "GGUF", .version = 3, .alignment = 32 };
    gguf_add_tensor(&g, "long.weight", 512 * 1027, 3, 0);
    gguf_add_tensor(&g, "short.weight", 256, 2, 0);
    write_in(&g);
    blob first = { 0 };
    for (int n_threads = 1; n_threads <= 7; n_threads += 3) {
        rb_conversion done;
        cr_assert_eq(convert_as("q4_K", n_threads, &done, NULL), RB_OK);
        check_weights(RB_Q4_K);
        blob b = blob_read(convert_out);
        cr_assert(!first.n || (first.n == b.n && memcmp(first.data, b.data, b.n) == 0));
        blob_free(&first);
        first = b;
    }
    blob_free(&first);
}

Test(convert, what_has_the_type_is_copied)
{
    rb_config c = square_config(RB_ARCH_LLAMA, 2, 64);
    write_source(&c, RB_Q4_0);
    blob a = blob_read(convert_in);
    rb_conversion done = converted_as("Q4_0");
    rb_converted total = rb_conversion_total(&done);
    cr_assert_eq(total.n_copied, total.n_tensor);
    cr_assert_eq(done.n_again, 0);
    rb_gguf x = open_directory(convert_in), y = open_directory(convert_out);
    for (int64_t i = 0; i < x.n_tensor; i++)
        cr_assert(same_bytes(&x, 0, x.tensor[i].offset, &y, y.tensor[i].offset, x.tensor[i].bytes));
    rb_gguf_close(&x);
    rb_gguf_close(&y);
    blob_free(&a);
}

Test(convert, the_report_adds_up)
{
    rb_config c = square_config(RB_ARCH_LLAMA, 1, 32);
    write_source(&c, RB_F32);
    rb_conversion done = converted_as("q8_0");
    rb_gguf a = open_directory(convert_in), b = open_directory(convert_out);
    rb_converted want = { 0 };
    for (int64_t i = 0; i < a.n_tensor; i++) {
        const rb_gguf_tensor *t = &a.tensor[i];
        const int64_t n = t->ne[0] * t->ne[1];
        float x[32 * 128], y[32 * 128];
        if (b.tensor[i].dtype != RB_Q8_0)
            continue;
        void *from = bytes_of(&a, 0, t->offset, t->bytes);
        void *to = bytes_of(&b, 0, b.tensor[i].offset, b.tensor[i].bytes);
        rb_decode_row(RB_F32, x, from, n);
        rb_decode_row(RB_Q8_0, y, to, n);
        for (int64_t j = 0; j < n; j++) {
            want.sum_sq += (double)x[j] * (double)x[j];
            want.error_sq += ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
        }
        want.n_tensor++;
        want.bytes_before += t->bytes;
        want.bytes_after += b.tensor[i].bytes;
        free(from);
        free(to);
    }
    const rb_converted *got = &done.of[RB_Q8_0];
    cr_assert_eq(got->n_tensor, want.n_tensor);
    cr_assert_eq(got->bytes_before, want.bytes_before);
    cr_assert_eq(got->bytes_after, want.bytes_after);
    cr_assert_eq(4 * got->n_element, (int64_t)want.bytes_before);
    cr_assert_float_eq(got->sum_sq, want.sum_sq, 1e-9 * want.sum_sq);
    cr_assert_float_eq(got->error_sq, want.error_sq, 1e-9 * want.error_sq);
    cr_assert(want.error_sq > 0);
    rb_gguf_close(&a);
    rb_gguf_close(&b);
}

Test(convert, narrow_rows_fall_back)
{
    static const struct {
        const char *type;
        int64_t width;
        rb_dtype want;
    } cases[] = {
        { "q4_K", 64, RB_Q5_0 },   { "q5_K", 64, RB_Q5_1 },     { "q6_K", 96, RB_Q8_0 },
        { "q2_K", 96, RB_IQ4_NL }, { "iq4_xs", 32, RB_IQ4_NL }, { "q4_0", 48, RB_F16 },
        { "q4_K", 48, RB_F16 },    { "q8_0", 48, RB_F16 },      { "bf16", 48, RB_BF16 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rb_config c = square_config(RB_ARCH_LLAMA, 1, cases[i].width);
        write_source(&c, RB_F32);
        converted_as(cases[i].type);
        check_weights(cases[i].want);
    }
}

/* ---- files of all kinds ---- */

Test(convert, a_split_set_becomes_one_file)
{
    gguf_file whole = gguf_make("llama");
    const int n_kv = whole.have_kv, n_tensor = whole.have_tensor;
    gguf_free(&whole);
    for (int i = 0; i < 3; i++)
        gguf_write_part(&convert_folder, i, i, 3, n_tensor);
    free(convert_in);
    convert_in = dir_file(&convert_folder, "m-00001-of-00003.gguf");
    converted_as("q8_0");
    rb_gguf a = open_directory(convert_in), b = open_directory(convert_out);
    cr_assert_eq(b.n_file, 1);
    cr_assert_eq(b.n_kv, n_kv + 2);
    cr_assert_null(rb_gguf_find_kv(&b, "split.count"));
    cr_assert_eq(b.n_tensor, n_tensor);
    rb_gguf_close(&a);
    rb_gguf_close(&b);
    check_weights(RB_Q8_0);
    rb_model *m;
    cr_assert_eq(rb_model_open(&m, convert_out, NULL, NULL), RB_OK);
    rb_model_close(m);
    free(convert_out);
    convert_out = dir_file(&convert_folder, "m-00002-of-00003.gguf");
    expect_refused("q8_0", RB_ERR_ARGUMENT, "m-00002-of-00003.gguf: it is the file that is read",
                   4);
}

Test(convert, unknown_architectures_keep_what_is_no_matrix)
{
    gguf_file g = { .magic = "GGUF", .version = 3, .alignment = 32 };
    gguf_kv_string(&g, "general.architecture", "xyzzy");
    gguf_add_tensor(&g, "blk.0.ssm_conv1d.weight", 32, 4, 0);
    gguf_add_tensor(&g, "blk.0.ssm_a", 32, 4, 0);
    gguf_add_tensor(&g, "blk.0.odd.weight", 32, 4, 0);
    gguf_add_tensor(&g, "blk.0.attn_norm.weight", 32, 4, 0);
    gguf_add_tensor(&g, "blk.0.vector.weight", 32, 1, 0);
    gguf_add_tensor(&g, "table.weight", 32, 4, 26);
    write_in(&g);
    converted_as("q8_0");
    expect_type("blk.0.ssm_conv1d.weight", RB_F32);
    expect_type("blk.0.ssm_a", RB_F32);
    expect_type("blk.0.odd.weight", RB_Q8_0);
    expect_type("blk.0.attn_norm.weight", RB_F32);
    expect_type("blk.0.vector.weight", RB_F32);
    expect_type("table.weight", RB_I32);
    expect_refused("q4_k_m", RB_ERR_UNSUPPORTED, "no block_count", 2);
}

Test(convert, files_without_tensors_and_keys)
{
    gguf_file g = { .magic = "GGUF", .version = 3, .alignment = 32 };
    write_in(&g);
    converted_as("q8_0");
    rb_gguf b = open_directory(convert_out);
    cr_assert_eq(b.n_tensor, 0);
    cr_assert_eq(b.n_kv, 2);
    rb_gguf_close(&b);
}

/* ---- what is refused ---- */

Test(convert, the_input_is_not_written_onto)
{
    rb_config c = square_config(RB_ARCH_LLAMA, 1, 32);
    write_source(&c, RB_F32);
    blob before = blob_read(convert_in);
    cr_assert_eq(symlink(convert_in, convert_out), 0);
    expect_refused("q8_0", RB_ERR_ARGUMENT, "it is the file that is read", 2);
    cr_assert_eq(unlink(convert_out), 0);
    cr_assert_eq(link(convert_in, convert_out), 0);
    expect_refused("q8_0", RB_ERR_ARGUMENT, "it is the file that is read", 2);
    blob after = blob_read(convert_in);
    cr_assert(before.n == after.n && memcmp(before.data, after.data, before.n) == 0);
    blob_free(&before);
    blob_free(&after);
}

Test(convert, types_that_cannot_be_decoded)
{
    gguf_file g = gguf_make("llama");
    gguf_add_tensor(&g, "blk.0.extra.weight", 256, 1, 16);
    write_in(&g);
    expect_refused("q8_0", RB_ERR_UNSUPPORTED, "tensor 'blk.0.extra.weight' is iq2_xxs", 1);
}

Test(convert, truncated_files)
{
    gguf_file g = gguf_make("llama");
    blob b = gguf_bytes(&g);
    for (size_t n = 0; n < b.n; n += 1 + b.n / 97) {
        blob cut = { b.data, n, n };
        blob_write(&cut, convert_in);
        rb_conversion done;
        rb_error err = { 0 };
        cr_assert_eq(convert_as("q8_0", 1, &done, &err), RB_ERR_FORMAT, "%zu bytes", n);
        cr_assert(strstr(err.text, "in.gguf"), "%s", err.text);
        cr_assert_eq(dir_count(&convert_folder), 1);
    }
    blob_free(&b);
    gguf_free(&g);
}

/* The file of one f32 matrix whose element i is value. */
static void write_with(int64_t i, float value)
{
    gguf_file g = { .magic = "GGUF", .version = 3, .alignment = 32 };
    gguf_add_tensor(&g, "some.weight", 256, 4096 + 3, 0);
    blob b = gguf_bytes(&g);
    memcpy(b.data + b.n - g.data + (size_t)i * sizeof value, &value, sizeof value);
    blob_write(&b, convert_in);
    blob_free(&b);
    gguf_free(&g);
}

Test(convert, values_that_are_not_finite_or_too_large)
{
    write_with(256 * 4099 - 1, NAN);
    expect_refused("q8_0", RB_ERR_FORMAT, "tensor 'some.weight' has values that are not finite", 1);
    write_with(0, INFINITY);
    expect_refused("q4_K", RB_ERR_FORMAT, "not finite", 1);
    static const char *const blocks[] = { "q8_0", "q4_0", "q2_K",   "q3_K",
                                          "q4_K", "q6_K", "iq4_nl", "iq4_xs" };
    write_with(1000, 3e38f);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        expect_refused(blocks[i], RB_ERR_FORMAT, "too large for its new type", 1);
    write_with(1000, 1e6f);
    expect_refused("f16", RB_ERR_FORMAT, "tensor 'some.weight' has values that are too large", 1);
    converted_as("bf16");
}

Test(convert, a_full_disk_leaves_the_old_file_alone)
{
    static const rlim_t room[] = { 0, 100, 3000, 40000 };
    rb_config c = square_config(RB_ARCH_LLAMA, 2, 96);
    blob old = { 0 };
    write_source(&c, RB_F32);
    blob_put(&old, "old", 3);
    blob_write(&old, convert_out);
    signal(SIGXFSZ, SIG_IGN); /* writes beyond the limit then fail */
    for (size_t i = 0; i < sizeof room / sizeof *room; i++) {
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ room[i], RLIM_INFINITY }), 0);
        expect_refused("q8_0", RB_ERR_IO, "File too large", 2);
        blob now = blob_read(convert_out);
        cr_assert(now.n == 3 && memcmp(now.data, "old", 3) == 0);
        blob_free(&now);
    }
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
    blob_free(&old);
}

static bool stop_at_last(void *arg)
{
    return --*(int *)arg == 0;
}

Test(convert, an_interrupt_leaves_nothing)
{
    rb_config c = square_config(RB_ARCH_LLAMA, 2, 96);
    write_source(&c, RB_F32);
    for (int asked = 1; asked < 30; asked += 7) {
        int left = asked;
        rb_conversion done;
        rb_error err = { 0 };
        const rb_convert_params p = {
            .mix = rb_mix_by_name("q4_0"), .n_threads = 1, .stop = stop_at_last, .arg = &left
        };
        cr_assert_neq(rb_gguf_convert(convert_in, convert_out, &p, &done, &err), RB_OK);
        cr_assert(strstr(err.text, "interrupted"), "%s", err.text);
        cr_assert_eq(dir_count(&convert_folder), 1);
    }
}
