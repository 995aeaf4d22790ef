/* The llama2.c reader: v0, v1, the real file, and files that lie; then rb_model_open on what is no
 * model. Every section and layer has values of its own, so that a wrong order shows.
 * Read next: ../models/llama2c.c. */
#include "files.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* What a version 0 or 1 header says. */
typedef struct header {
    int32_t dim, hidden, layers, heads, kv_heads, vocab, seq;
} header;

static const header good = { 16, 24, 2, 4, 2, 10, 7 };

static void put_header(blob *b, const header *h)
{
    const int32_t f[] = { h->dim, h->hidden, h->layers, h->heads, h->kv_heads, h->vocab, h->seq };
    for (int i = 0; i < 7; i++)
        blob_uint(b, (uint32_t)f[i], 4);
}

/* n floats: tag, tag + 1, ... so that each section and layer is known by its first value. */
static void put_floats(blob *b, float tag, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float x = tag + (float)i;
        blob_put(b, &x, sizeof x);
    }
}

/* Per-layer sections: layer l starts with tag + 10000 l. */
static void put_layers(blob *b, float tag, int64_t layers, int64_t n)
{
    for (int64_t l = 0; l < layers; l++)
        put_floats(b, tag + 10000 * (float)l, n);
}

enum {
    EMBD = 1000000,
    ATTN_NORM = 1100000,
    WQ = 1200000,
    WK = 1300000,
    WV = 1400000,
    WO = 1500000
};
enum {
    FFN_NORM = 1600000,
    W1 = 1700000,
    W2 = 1800000,
    W3 = 1900000,
    NORM = 2000000,
    CLS = 2100000
};

static blob make_v0(const header *h, bool tied)
{
    blob b = { 0 };
    header signed_vocab = *h;
    int64_t kv = h->dim / h->heads * h->kv_heads, l = h->layers;
    signed_vocab.vocab = tied ? h->vocab : -h->vocab;
    put_header(&b, &signed_vocab);
    put_floats(&b, EMBD, (int64_t)h->vocab * h->dim);
    put_layers(&b, ATTN_NORM, l, h->dim);
    put_layers(&b, WQ, l, h->dim * h->dim);
    put_layers(&b, WK, l, h->dim * kv);
    put_layers(&b, WV, l, h->dim * kv);
    put_layers(&b, WO, l, h->dim * h->dim);
    put_layers(&b, FFN_NORM, l, h->dim);
    put_layers(&b, W1, l, h->dim * h->hidden);
    put_layers(&b, W2, l, h->dim * h->hidden);
    put_layers(&b, W3, l, h->dim * h->hidden);
    put_floats(&b, NORM, h->dim);
    put_floats(&b, -1, (int64_t)h->seq * (h->dim / h->heads));
    if (!tied)
        put_floats(&b, CLS, (int64_t)h->vocab * h->dim);
    return b;
}

static blob make_v1(const header *h, bool tied)
{
    blob b = { 0 };
    int64_t kv = h->dim / h->heads * h->kv_heads, l = h->layers;
    blob_uint(&b, RB_LLAMA2C_MAGIC, 4);
    blob_uint(&b, 1, 4);
    put_header(&b, h);
    blob_uint(&b, tied, 1);
    while (b.n < 256)
        blob_uint(&b, 0, 1);
    put_layers(&b, ATTN_NORM, l, h->dim);
    put_layers(&b, FFN_NORM, l, h->dim);
    put_floats(&b, NORM, h->dim);
    put_floats(&b, EMBD, (int64_t)h->vocab * h->dim);
    put_layers(&b, WQ, l, h->dim * h->dim);
    put_layers(&b, WK, l, h->dim * kv);
    put_layers(&b, WV, l, h->dim * kv);
    put_layers(&b, WO, l, h->dim * h->dim);
    put_layers(&b, W1, l, h->dim * h->hidden);
    put_layers(&b, W2, l, h->dim * h->hidden);
    put_layers(&b, W3, l, h->dim * h->hidden);
    if (!tied)
        put_floats(&b, CLS, (int64_t)h->vocab * h->dim);
    return b;
}

static rb_status open_blob(rb_model **m, const blob *b, rb_error *err)
{
    return rb_model_from_source(m, rb_source_memory("test.bin", b->data, b->n), NULL, false, err);
}

static void check_section(const rb_view *v, int64_t rows, int64_t cols, float tag)
{
    const float *x = v->buffer->data;
    cr_assert_eq(v->dtype, RB_F32);
    cr_assert_eq(v->n[2], rows);
    cr_assert_eq(v->n[3], cols);
    cr_assert_eq(x[0], tag, "%g, not %g", (double)x[0], (double)tag);
    cr_assert_eq(x[rows * cols - 1], tag + (float)(rows * cols - 1));
}

static void check_weights(const rb_model *m, bool tied)
{
    check_section(&m->tok_embd, 10, 16, EMBD);
    check_section(&m->out_norm, 1, 16, NORM);
    check_section(&m->output, 10, 16, tied ? EMBD : CLS);
    cr_assert_eq(m->output.buffer == m->tok_embd.buffer, tied);
    for (int l = 0; l < 2; l++) {
        const rb_layer *y = &m->layer[l];
        float at = 10000 * (float)l;
        check_section(&y->attn_norm, 1, 16, ATTN_NORM + at);
        check_section(&y->wq, 16, 16, WQ + at);
        check_section(&y->wk, 8, 16, WK + at);
        check_section(&y->wv, 8, 16, WV + at);
        check_section(&y->wo, 16, 16, WO + at);
        check_section(&y->ffn_norm, 1, 16, FFN_NORM + at);
        check_section(&y->w_gate, 24, 16, W1 + at);
        check_section(&y->w_down, 16, 24, W2 + at);
        check_section(&y->w_up, 24, 16, W3 + at);
        cr_assert_null(y->bq.buffer);
        cr_assert_null(y->q_norm.buffer);
    }
}

Test(llama2c, both_versions_tied_and_not)
{
    for (int v = 0; v < 2; v++)
        for (int tied = 0; tied < 2; tied++) {
            rb_model *m;
            rb_error err;
            blob b = v ? make_v1(&good, tied) : make_v0(&good, tied);
            cr_assert_eq(open_blob(&m, &b, &err), RB_OK, "%s", err.text);
            cr_assert_str_eq(m->format, "llama2.c");
            cr_assert_eq(m->config.tied, tied);
            cr_assert_eq(m->config.n_ctx_train, 7);
            cr_assert_eq(m->config.d_rot, 4);
            cr_assert_eq(m->config.rope_pairing, RB_ROPE_NORM);
            check_weights(m, tied);
            rb_model_close(m);
            blob_free(&b);
        }
}

Test(llama2c, the_real_file)
{
    rb_model *m;
    rb_error err;
    json_t *expected = json_read("tests/vectors/stories260K.expected.json");
    json_t *c = json_object_get(expected, "config");
    cr_assert_eq(rb_model_open(&m, "tests/vectors/stories260K.bin", NULL, &err), RB_OK, "%s",
                 err.text);
    cr_assert_eq(m->config.n_embd, json_integer_value(json_object_get(c, "dim")));
    cr_assert_eq(m->config.n_ff, json_integer_value(json_object_get(c, "hidden_dim")));
    cr_assert_eq(m->config.n_layer, json_integer_value(json_object_get(c, "n_layers")));
    cr_assert_eq(m->config.n_head, json_integer_value(json_object_get(c, "n_heads")));
    cr_assert_eq(m->config.n_head_kv, json_integer_value(json_object_get(c, "n_kv_heads")));
    cr_assert_eq(m->config.n_vocab, json_integer_value(json_object_get(c, "vocab_size")));
    cr_assert_eq(m->config.n_ctx_train, json_integer_value(json_object_get(c, "seq_len")));
    cr_assert(m->config.tied);
    cr_assert_eq(m->n_params, 260032);
    cr_assert_str_eq(m->config.name, "stories260K.bin");
    rb_model_close(m);
    json_decref(expected);
}

Test(llama2c, a_gguf_copy_holds_the_same_weights)
{
    rb_model *m, *copy;
    rb_error err;
    dir d = dir_make();
    char *path = dir_file(&d, "copy.bin"); /* content decides, not the name */
    cr_assert_eq(rb_model_open(&m, "tests/vectors/stories260K.bin", NULL, &err), RB_OK);
    cr_assert_eq(rb_gguf_write(m, path, NULL, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_model_open(&copy, path, NULL, &err), RB_OK, "%s", err.text);
    cr_assert_str_eq(copy->format, "gguf");
    for (int64_t i = 0; i < rb_tensor_count(&m->config); i++) {
        rb_tensor t = rb_tensor_at(&m->config, i);
        const rb_buffer *a = rb_tensor_view(m, &t)->buffer, *b = rb_tensor_view(copy, &t)->buffer;
        cr_assert_eq(a->bytes, b->bytes);
        cr_assert_arr_eq(a->data, b->data, a->bytes, "%s", t.name);
    }
    rb_model_close(m);
    rb_model_close(copy);
    free(path);
    dir_remove(&d);
}

/* ---- files that lie ---- */

static void expect_refused(const blob *b, rb_status status, const char *word)
{
    rb_model *m = NULL;
    rb_error err = { 0 };
    cr_assert_eq(open_blob(&m, b, &err), status, "%s: %s", word, err.text);
    cr_assert_null(m);
    cr_assert_eq(err.status, status);
    cr_assert(strstr(err.text, word), "wanted '%s' in: %s", word, err.text);
    cr_assert(strstr(err.text, "test.bin"), "%s", err.text);
    cr_assert_null(strchr(err.text, '\n'));
}

Test(llama2c, truncated_everywhere)
{
    for (int v = 0; v < 2; v++) {
        blob b = v ? make_v1(&good, false) : make_v0(&good, false), whole = b;
        for (b.n = 0; b.n < whole.n; b.n += b.n < 300 ? 1 : 97)
            expect_refused(&b, RB_ERR_FORMAT, "");
        b.n = whole.n - 1;
        expect_refused(&b, RB_ERR_FORMAT, "truncated");
        b.n = whole.n;
        blob_uint(&b, 0, 1);
        expect_refused(&b, RB_ERR_FORMAT, "calls for");
        blob_free(&b);
    }
}

/* A file of the good size whose header says something else. */
static void expect_header_refused(int version, int field, int32_t value)
{
    blob b = version ? make_v1(&good, true) : make_v0(&good, true);
    memcpy(b.data + (version ? 8 : 0) + 4 * field, &value, sizeof value);
    expect_refused(&b, RB_ERR_FORMAT, "");
    blob_free(&b);
}

Test(llama2c, absurd_headers)
{
    static const int32_t bad[] = { 0, -1, INT32_MIN, INT32_MAX, 1 << 30, 3, 65535 };
    for (int version = 0; version < 2; version++)
        for (int field = 0; field < 7; field++)
            for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                if (version == 1 && field == 6 && bad[i] > 0)
                    continue; /* v1 stores nothing of that length */
                expect_header_refused(version, field, bad[i]);
            }
}

Test(llama2c, heads_divide_the_width)
{
    /* 18 wide, 4 heads of 18/4 = 4: a size that fits, were it not for the remainder. */
    header h = { 18, 24, 1, 4, 2, 10, 7 };
    blob b = { 0 };
    blob_uint(&b, RB_LLAMA2C_MAGIC, 4);
    blob_uint(&b, 1, 4);
    put_header(&b, &h);
    blob_uint(&b, 1, 1);
    while (b.n < 256)
        blob_uint(&b, 0, 1);
    put_floats(&b, 0, 3 * 18 + 10 * 18 + (16 + 8 + 8 + 16) * 18 + 3 * 24 * 18);
    expect_refused(&b, RB_ERR_FORMAT, "dim 18 is no multiple of n_heads 4");
    blob_free(&b);
}

Test(llama2c, other_versions)
{
    blob b = make_v1(&good, true);
    b.data[4] = 2;
    expect_refused(&b, RB_ERR_UNSUPPORTED, "version 2 (int8 groups) is not supported");
    b.data[4] = 77;
    expect_refused(&b, RB_ERR_UNSUPPORTED, "version 77");
    b.data[4] = 1;
    b.data[36] = 9;
    expect_refused(&b, RB_ERR_FORMAT, "shared_classifier");
    blob_free(&b);
}

Test(llama2c, something_else)
{
    blob b = { 0 };
    expect_refused(&b, RB_ERR_FORMAT, "neither GGUF nor llama2.c: it is empty");
    blob_put(&b, "This is a letter to my aunt, and no model of anything.", 54);
    expect_refused(&b, RB_ERR_FORMAT, "neither GGUF nor llama2.c: it is text; a model is");
    blob_free(&b);
}

/* What is known by its first bytes is named, and what to name instead. */
Test(llama2c, something_else_known)
{
    static const struct {
        const char bytes[16], *words;
    } known[] = {
        { "{\"model_type\": 1", "name the folder that holds it" },
        { "\x89PNG\r\n\x1a\n\0\0\0\rIHD", "it is a PNG image" },
        { "PK\3\4\0\0\x08\x08\0\0\0\0\0\0\0", "it is a zip archive" },
        { "\x10\2\0\0\0\0\0\0{\"a.wei", "it is a safetensors file; name the folder" },
        { "\1\2\3\4\1\2\3\4\1\2\3\4\1\2\3", "(as its v0: the header is truncated" },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        blob b = { 0 };
        blob_put(&b, known[i].bytes, sizeof known[i].bytes);
        expect_refused(&b, RB_ERR_FORMAT, known[i].words);
        blob_free(&b);
    }
}

/* ---- rb_model_open ---- */

static void expect_not_opened(const char *name, const char *type, const char *word)
{
    rb_model *m = NULL;
    rb_error err = { 0 };
    rb_model_params p = { .mix = type ? rb_mix_by_name(type) : NULL };
    cr_assert_neq(rb_model_open(&m, name, &p, &err), RB_OK, "%s", name);
    cr_assert_null(m);
    cr_assert(strstr(err.text, word), "wanted '%s' in: %s", word, err.text);
    cr_assert_null(strchr(err.text, '\n'));
}

Test(open, what_is_no_model)
{
    expect_not_opened("no/such/file", NULL, "no such file, and no preset");
    expect_not_opened("", NULL, "no such file, and no preset");
    expect_not_opened("tests", NULL, "not a regular file");
    expect_not_opened("/dev/null", NULL, "not a regular file");
    expect_not_opened("tests/vectors/stories260K.bin", "f16", "a type can only be chosen");
    expect_not_opened("tests/files.c", NULL, "neither GGUF nor llama2.c: it is text");
}
