/* GGUF files that lie, that lack something, or that ask for what is not done here: each must give
 * one line that names the trouble, and no model. Meant to be run under sanitizers as well.
 * Read next: files.h (the good file that every test breaks). */
#include "hostile.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../models/tokenizer/gguf_array.h"

Test(hostile, the_file_that_we_break_is_good)
{
    gguf_file g = gguf_make("llama");
    blob b = gguf_bytes(&g);
    rb_error err = { 0 };
    cr_assert_eq(open_bytes(&b, &err), RB_OK, "%s", err.text);
    blob_free(&b);
    gguf_free(&g);
}

Test(hostile, truncated_at_every_byte_of_the_directory)
{
    gguf_file g = gguf_make("llama");
    blob b = gguf_bytes(&g), part = b;
    size_t data = b.n - g.data;
    for (part.n = 0; part.n < b.n; part.n += part.n < data + 64 ? 1 : 997) {
        uint8_t *exact = malloc(part.n + 1); /* so that a sanitizer sees reads beyond it */
        memcpy(exact, b.data, part.n);
        blob copy = { exact, part.n, part.n };
        expect_refused(&copy, RB_ERR_FORMAT, part.n < 4 ? "neither GGUF" : "truncated");
        free(exact);
    }
    part.n = b.n - 1;
    expect_refused(&part, RB_ERR_FORMAT, "truncated");
    blob_free(&b);
    gguf_free(&g);
}

/* ---- the header ---- */

Test(hostile, counts_in_the_header)
{
    static const uint64_t count[] = { (uint64_t)1 << 60, UINT64_MAX, (uint64_t)1 << 32, 1 << 17,
                                      60000 };
    for (size_t i = 0; i < 5; i++) {
        gguf_file g = gguf_make("llama");
        g.n_tensor = count[i];
        expect_file_refused(&g, RB_ERR_FORMAT, " tensors");
        g = gguf_make("llama");
        g.n_kv = count[i];
        expect_file_refused(&g, RB_ERR_FORMAT, " metadata keys");
    }
    gguf_file g = gguf_make("llama");
    g.n_tensor++;
    expect_file_refused(&g, RB_ERR_FORMAT, "");
    g = gguf_make("llama");
    g.n_kv++;
    expect_file_refused(&g, RB_ERR_FORMAT, "");
    g = gguf_make("llama");
    g.n_kv = 0;
    expect_file_refused(&g, RB_ERR_FORMAT, "");
}

Test(hostile, versions)
{
    static const uint32_t version[] = { 0, 1, 4, 77, UINT32_MAX };
    for (size_t i = 0; i < 5; i++) {
        gguf_file g = gguf_make("llama");
        g.version = version[i];
        expect_file_refused(&g, RB_ERR_UNSUPPORTED, "versions 2 and 3");
    }
    gguf_file g = gguf_make("llama");
    g.version = 0x03000000;
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "big-endian");
    g = gguf_make("llama");
    memcpy(g.magic, "GGUX", 5);
    expect_file_refused(&g, RB_ERR_FORMAT, "neither GGUF");
}

/* ---- metadata ---- */

Test(hostile, keys)
{
    char text[301];
    memset(text, 'k', 300);
    text[300] = 0;
    gguf_file g = gguf_make("llama");
    gguf_kv_u32(&g, text, 1);
    expect_file_refused(&g, RB_ERR_FORMAT, "a name of 300 bytes");
    g = gguf_make("llama");
    gguf_kv_u32(&g, "", 1);
    expect_file_refused(&g, RB_ERR_FORMAT, "a name of 0 bytes");
    g = gguf_make("llama");
    gguf_kv_u32(&g, "abc", 1);
    g.kv[g.have_kv - 1].data[9] = 0;
    expect_file_refused(&g, RB_ERR_FORMAT, "NUL");
    g = gguf_make("llama");
    gguf_kv_u32(&g, "llama.block_count", 1);
    expect_file_refused(&g, RB_ERR_FORMAT, "'llama.block_count' appears twice");
    static const uint64_t length[] = { (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7, 1 << 20 };
    for (size_t i = 0; i < 4; i++) {
        g = gguf_make("llama");
        gguf_kv_u32(&g, "abc", 1);
        memcpy(g.kv[g.have_kv - 1].data, &length[i], 8);
        expect_file_refused(&g, RB_ERR_FORMAT, "a name of ");
    }
}

Test(hostile, values)
{
    static const uint64_t length[] = { (uint64_t)1 << 63, UINT64_MAX, (uint64_t)1 << 40, 1 << 20 };
    gguf_file g;
    for (size_t i = 0; i < 4; i++) {
        g = gguf_make("llama");
        gguf_kv_uint(&g, "x", RB_GGUF_STRING, length[i], 8);
        expect_file_refused(&g, RB_ERR_FORMAT, "truncated");
        for (uint32_t item = 0; item < RB_GGUF_N_TYPE; item++) {
            g = gguf_make("llama");
            gguf_kv_uint(&g, "x", RB_GGUF_ARRAY, item, 4);
            blob_uint(&g.kv[g.have_kv - 1], length[i], 8);
            expect_file_refused(&g, RB_ERR_FORMAT,
                                item == RB_GGUF_ARRAY ? "array of arrays" : "truncated");
        }
    }
    static const uint32_t type[] = { RB_GGUF_N_TYPE, 255, UINT32_MAX };
    for (size_t i = 0; i < 3; i++) {
        g = gguf_make("llama");
        gguf_kv_uint(&g, "x", type[i], 0, 8);
        expect_file_refused(&g, RB_ERR_FORMAT, "unknown value type");
        g = gguf_make("llama");
        gguf_kv_uint(&g, "x", RB_GGUF_ARRAY, type[i], 4);
        blob_uint(&g.kv[g.have_kv - 1], 1, 8);
        expect_file_refused(&g, RB_ERR_FORMAT, "unknown type");
    }
}

Test(hostile, strings_within_an_array)
{
    gguf_file g = gguf_make("llama");
    gguf_kv_uint(&g, "x", RB_GGUF_ARRAY, RB_GGUF_STRING, 4);
    blob *b = &g.kv[g.have_kv - 1];
    blob_uint(b, 3, 8);
    blob_string(b, "fine");
    blob_uint(b, UINT64_MAX - 3, 8);
    expect_file_refused(&g, RB_ERR_FORMAT, "truncated in its metadata");
}

Test(hostile, alignment)
{
    static const uint32_t alignment[] = { 0, 1, 4, 24, 33, 1u << 31, UINT32_MAX };
    for (size_t i = 0; i < 7; i++) {
        gguf_file g = gguf_make("llama");
        gguf_kv_u32(&g, "general.alignment", alignment[i]);
        expect_file_refused(&g, RB_ERR_FORMAT, "general.alignment");
    }
    gguf_file g = gguf_make("llama");
    gguf_kv_string(&g, "general.alignment", "32");
    expect_file_refused(&g, RB_ERR_FORMAT, "general.alignment");
    g = gguf_make("llama");
    gguf_kv_u32(&g, "general.alignment", 256); /* tensors are laid out for 32 */
    expect_file_refused(&g, RB_ERR_FORMAT, "no multiple of the alignment");
}

/* ---- the tensor directory ---- */

Test(hostile, extents)
{
    static const uint64_t extent[] = {
        0, (uint64_t)1 << 63, UINT64_MAX, (uint64_t)1 << 40, (uint64_t)1 << 32, 33
    };
    for (size_t i = 0; i < 6; i++)
        for (int d = 0; d < 4; d++) {
            gguf_file g = gguf_make("llama");
            gguf_tensor *t = gguf_find(&g, "blk.0.attn_q.weight");
            t->n_dim = d < 2 ? 2 : (uint32_t)d + 1;
            for (int j = 2; j < 4; j++)
                t->ne[j] = 1;
            t->ne[d] = extent[i];
            expect_file_refused(&g, RB_ERR_FORMAT,
                                extent[i] ? "blk.0.attn_q.weight"
                                          : "'blk.0.attn_q.weight' has the extent 0");
        }
    gguf_file g = gguf_make("llama");
    gguf_tensor *t = gguf_find(&g, "token_embd.weight");
    *t = (gguf_tensor){ .name = "token_embd.weight",
                        .n_dim = 4,
                        .ne = { 1ull << 32, 1ull << 16, 1ull << 16, 2 } };
    expect_file_refused(&g, RB_ERR_FORMAT, "more elements than 64 bits count");
    g = gguf_make("llama");
    t = gguf_find(&g, "token_embd.weight");
    t->ne[0] = t->ne[1] = 1ull << 31;
    expect_file_refused(&g, RB_ERR_FORMAT, "more bytes than 64 bits count");
    static const uint32_t n_dim[] = { 0, 5, UINT32_MAX };
    for (size_t i = 0; i < 3; i++) {
        g = gguf_make("llama");
        gguf_find(&g, "output.weight")->n_dim = n_dim[i];
        expect_file_refused(&g, RB_ERR_FORMAT, "dimensions");
    }
}

Test(hostile, places)
{
    static const struct {
        uint64_t offset;
        const char *word;
    } bad[] = {
        { 1, "no multiple of the alignment" },
        { 1 << 30, "truncated" },
        { UINT64_MAX - 31, "truncated" },
        { (uint64_t)1 << 63, "truncated" },
        { 0, "overlap" },
        { 4096 + 32, "overlap" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gguf_file g = gguf_make("llama");
        gguf_find(&g, "blk.0.ffn_up.weight")->offset = bad[i].offset;
        expect_file_refused(&g, RB_ERR_FORMAT, bad[i].word);
    }
    gguf_file g = gguf_make("llama");
    g.data -= 32;
    expect_file_refused(&g, RB_ERR_FORMAT, "truncated: tensor 'blk.0.ffn_down.weight'");
    g = gguf_make("llama");
    g.data = 0;
    expect_file_refused(&g, RB_ERR_FORMAT, "truncated");
}

Test(hostile, tensor_names)
{
    gguf_file g = gguf_make("llama");
    gguf_tensor *t = gguf_find(&g, "blk.0.ffn_up.weight");
    memset(t->name, 'n', 200);
    expect_file_refused(&g, RB_ERR_FORMAT, "a name of 200 bytes");
    g = gguf_make("llama");
    *gguf_find(&g, "blk.0.ffn_up.weight")->name = 0;
    expect_file_refused(&g, RB_ERR_FORMAT, "a name of 0 bytes");
    g = gguf_make("llama");
    snprintf(gguf_find(&g, "blk.0.ffn_up.weight")->name, 64, "blk.0.ffn_gate.weight");
    expect_file_refused(&g, RB_ERR_FORMAT, "'blk.0.ffn_gate.weight' appears twice");
    g = gguf_make("llama");
    gguf_add_tensor(&g, "two\nlines\x1b[31m", 32, 0, 0);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "'two?lines?[31m' is unknown");
}

Test(hostile, tensor_types)
{
    gguf_file g = gguf_make("llama");
    gguf_find(&g, "blk.0.attn_q.weight")->type = 16;
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "'blk.0.attn_q.weight' is iq2_xxs");
    g = gguf_make("llama");
    gguf_find(&g, "blk.0.attn_q.weight")->type = 4711;
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "is type 4711");
    g = gguf_make("llama");
    gguf_find(&g, "blk.0.attn_q.weight")->type = 26;
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "is i32");
    g = gguf_make("llama");
    gguf_find(&g, "blk.0.attn_q.weight")->type = 14;
    expect_file_refused(&g, RB_ERR_FORMAT, "rows of 32 elements, no multiple of the 256 of q6_K");
    g = gguf_make("llama");
    gguf_find(&g, "blk.0.attn_norm.weight")->type = 8;
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "a vector of q8_0");
}

/* ---- models that are not what the keys say ---- */

Test(hostile, each_required_key)
{
    static const char *const key[] = { "general.architecture",
                                       "llama.block_count",
                                       "llama.embedding_length",
                                       "llama.feed_forward_length",
                                       "llama.context_length",
                                       "llama.attention.head_count",
                                       "llama.attention.layer_norm_rms_epsilon" };
    for (size_t i = 0; i < 7; i++) {
        char word[96];
        gguf_file g = gguf_make("llama");
        gguf_drop_kv(&g, key[i]);
        snprintf(word, sizeof word, "key '%s' is missing", key[i]);
        expect_file_refused(&g, RB_ERR_FORMAT, word);
        g = gguf_make("llama");
        gguf_drop_kv(&g, key[i]);
        gguf_kv_uint(&g, key[i], RB_GGUF_BOOL, 1, 1);
        expect_file_refused(&g, RB_ERR_FORMAT, key[i]);
    }
    gguf_file g = gguf_make("llama");
    gguf_drop_kv(&g, "llama.feed_forward_length");
    gguf_kv_uint(&g, "llama.feed_forward_length", RB_GGUF_ARRAY, RB_GGUF_U32, 4);
    blob_uint(&g.kv[g.have_kv - 1], 1, 8);
    blob_uint(&g.kv[g.have_kv - 1], 32, 4);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "layers that differ");
}

Test(hostile, each_missing_tensor)
{
    gguf_file whole = gguf_make("llama");
    for (int i = 0; i < whole.have_tensor; i++) {
        char word[300];
        gguf_file g = gguf_make("llama");
        if (strcmp(whole.tensor[i].name, "output.weight") == 0) {
            gguf_free(&g);
            continue; /* its absence means a tied head */
        }
        gguf_drop_tensor(&g, whole.tensor[i].name);
        snprintf(word, sizeof word, "tensor '%s' is missing", whole.tensor[i].name);
        expect_file_refused(&g, RB_ERR_FORMAT, word);
    }
    gguf_free(&whole);
    gguf_file g = gguf_make("qwen2");
    expect_file_refused(&g, RB_ERR_FORMAT, "tensor 'blk.0.attn_q.bias' is missing");
    g = gguf_make("qwen3");
    expect_file_refused(&g, RB_ERR_FORMAT, "tensor 'blk.0.attn_q_norm.weight' is missing");
}

Test(hostile, each_misshapen_tensor)
{
    gguf_file whole = gguf_make("llama");
    for (int i = 0; i < whole.have_tensor; i++) {
        char word[300];
        gguf_file g = gguf_make("llama");
        gguf_tensor *t = &g.tensor[i];
        bool embd = strcmp(t->name, "token_embd.weight") == 0;
        t->ne[embd ? 0 : t->n_dim - 1] -= 1; /* token_embd's rows are the vocabulary */
        snprintf(word, sizeof word, "tensor '%s' has shape [", t->name);
        expect_file_refused(&g, RB_ERR_FORMAT, word);
    }
    gguf_free(&whole);
    gguf_file g = gguf_make("llama");
    gguf_find(&g, "blk.0.attn_k.weight")->ne[1] = 8;
    expect_file_refused(&g, RB_ERR_FORMAT, "has shape [32, 8], expected [32, 16]");
    g = gguf_make("llama");
    gguf_tensor *t = gguf_find(&g, "blk.0.attn_k.weight");
    t->ne[0] = 16; /* transposed: as many elements */
    t->ne[1] = 32;
    expect_file_refused(&g, RB_ERR_FORMAT, "has shape [16, 32], expected [32, 16]");
    g = gguf_make("llama");
    t = gguf_find(&g, "blk.0.attn_k.weight");
    t->n_dim = 3;
    t->ne[2] = 2;
    t->offset = g.data;
    g.data += 4096;
    expect_file_refused(&g, RB_ERR_FORMAT, "has shape [32, 16, 2], expected [32, 16]");
    g = gguf_make("llama");
    gguf_find(&g, "blk.0.attn_norm.weight")->ne[0] = 16;
    expect_file_refused(&g, RB_ERR_FORMAT, "has shape [16], expected [32]");
}

Test(hostile, absurd_numbers)
{
    static const char *const key[] = { "llama.block_count",          "llama.embedding_length",
                                       "llama.feed_forward_length",  "llama.context_length",
                                       "llama.attention.head_count", "llama.vocab_size",
                                       "llama.rope.dimension_count", "llama.attention.key_length" };
    static const uint64_t value[] = { 0, UINT64_MAX, (uint64_t)1 << 62, (uint64_t)1 << 41,
                                      (uint64_t)-1 };
    for (size_t k = 0; k < sizeof key / sizeof *key; k++)
        for (size_t v = 0; v < sizeof value / sizeof *value; v++) {
            gguf_file g = gguf_make("llama");
            if (k < 5)
                gguf_drop_kv(&g, key[k]);
            gguf_kv_uint(&g, key[k], v % 2 ? RB_GGUF_U64 : RB_GGUF_I64, value[v], 8);
            expect_file_refused(&g, RB_ERR_FORMAT, "its metadata make no sense");
        }
    gguf_file g = gguf_make("llama");
    gguf_drop_kv(&g, "llama.block_count");
    gguf_kv_u32(&g, "llama.block_count", RB_MAX_LAYER);
    expect_file_refused(&g, RB_ERR_FORMAT, "tensor 'blk.1.attn_norm.weight' is missing");
    g = gguf_make("llama");
    gguf_kv_u32(&g, "llama.vocab_size", 1 << 24);
    expect_file_refused(&g, RB_ERR_FORMAT, "'token_embd.weight' has shape [32, 32], expected");
}

Test(hostile, floats_that_are_none)
{
    static const float bad[] = { __builtin_nanf(""), __builtin_inff(), -1, 2 };
    for (size_t i = 0; i < 4; i++) {
        gguf_file g = gguf_make("llama");
        gguf_drop_kv(&g, "llama.attention.layer_norm_rms_epsilon");
        gguf_kv_f32(&g, "llama.attention.layer_norm_rms_epsilon", bad[i]);
        expect_file_refused(&g, RB_ERR_FORMAT, "norm_eps");
        if (bad[i] == 2)
            continue;
        g = gguf_make("llama");
        gguf_kv_f32(&g, "llama.rope.freq_base", bad[i]);
        expect_file_refused(&g, RB_ERR_FORMAT, "rope_base");
        g = gguf_make("llama");
        gguf_kv_f32(&g, "llama.rope.scaling.factor", bad[i]);
        expect_file_refused(&g, RB_ERR_FORMAT, "rope scaling");
    }
}

/* ---- what is not done here ---- */

Test(refused, architectures)
{
    gguf_file g = gguf_make("gpt2");
    expect_file_refused(&g, RB_ERR_UNSUPPORTED,
                        "architecture 'gpt2' is not supported; llama, qwen2, qwen3, qwen2moe, "
                        "qwen3moe, gptneox, plm and deepseek2 are");
    g = gguf_make("");
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "architecture '' is not supported");
}

Test(refused, variants_of_the_forward_pass)
{
    gguf_file g = gguf_make("llama");
    gguf_kv_u32(&g, "llama.expert_count", 8);
    expect_file_refused(&g, RB_ERR_FORMAT, "'llama.expert_used_count' is missing");
    g = gguf_make("qwen2");
    gguf_kv_u32(&g, "qwen2.expert_count", 8);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "mixture of experts");
    g = gguf_make("llama");
    gguf_kv_u32(&g, "llama.attention.sliding_window", 63);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "sliding-window attention (63 of 64 tokens)");
    static const char *const scaling[] = { "longrope", "" };
    for (size_t i = 0; i < 2; i++) {
        g = gguf_make("llama");
        gguf_kv_string(&g, "llama.rope.scaling.type", scaling[i]);
        expect_file_refused(&g, RB_ERR_UNSUPPORTED, "none, linear and yarn are");
    }
    g = gguf_make("llama");
    gguf_add_tensor(&g, "blk.0.ffn_up.bias", 48, 0, 0);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "'blk.0.ffn_up.bias' is unknown to");
    g = family_make("gptneox");
    gguf_kv_string(&g, "gptneox.hidden_activation", "relu");
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "gelu and gelu_pytorch_tanh are");
    g = gguf_make("llama");
    gguf_add_tensor(&g, "blk.1.ffn_norm.weight", 32, 0, 0);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "llama with 1 layers");
    g = gguf_make("llama");
    gguf_kv_u32(&g, "split.count", 3);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "only be opened by file name");
}

/* ---- files that change while they are read ---- */

/* The size of a file is that of its opening: its directory is there, then no byte of a value. */
Test(hostile, a_file_cut_short_behind_its_directory)
{
    gguf_file g = gguf_make("llama");
    blob b = gguf_bytes(&g);
    dir d = dir_make();
    char *path = dir_file(&d, "f.gguf");
    for (size_t n = b.n - g.data; n < b.n; n += 97) {
        rb_source s;
        rb_model *m;
        rb_error err = { 0 };
        blob_write(&b, path);
        cr_assert_eq(rb_source_open(&s, path, &err), RB_OK);
        cr_assert_eq(truncate(path, (off_t)n), 0);
        cr_expect_eq(rb_model_from_source(&m, s, path, false, &err), RB_ERR_IO);
        cr_expect_null(m);
        cr_expect(strstr(err.text, "f.gguf: the file shrank while it was read"), "%s", err.text);
    }
    free(path);
    dir_remove(&d);
    blob_free(&b);
    gguf_free(&g);
}

/* The array "x" of a directory as its file has it now. */
static rb_status read_texts(const rb_gguf *g, const blob *now, const char *path, rb_error *err)
{
    rb_gguf_array a;
    rb_text *text = NULL;
    size_t sum = 0;
    blob_write(now, path);
    rb_status status = rb_gguf_array_read(&a, g, rb_gguf_find_kv(g, "x"), RB_GGUF_STRING, 9, err);
    if (status == RB_OK)
        status = rb_gguf_array_texts(&a, "f.gguf", &text, err);
    for (uint64_t i = 0; status == RB_OK && i < a.n; i++)
        for (size_t k = 0; k < text[i].n; k++)
            sum += (unsigned char)text[i].data[k];
    cr_expect(status != RB_OK || sum > 0);
    free(text);
    rb_gguf_array_free(&a);
    return status;
}

/* Lengths of an array that no longer are what the directory was checked by. */
Test(hostile, an_array_that_changes_behind_its_directory)
{
    enum { KEY = 8 + 1 + 4, TYPE = KEY, COUNT = TYPE + 4, FIRST = COUNT + 8, SECOND = FIRST + 12 };
    static const size_t at[] = { TYPE, COUNT, FIRST, SECOND };
    gguf_file f = gguf_make("llama");
    gguf_kv_uint(&f, "x", RB_GGUF_ARRAY, RB_GGUF_STRING, 4);
    blob_uint(&f.kv[f.have_kv - 1], 2, 8);
    blob_string(&f.kv[f.have_kv - 1], "fine");
    blob_string(&f.kv[f.have_kv - 1], "good");
    blob b = gguf_bytes(&f);
    dir d = dir_make();
    char *path = dir_file(&d, "f.gguf");
    rb_source s;
    rb_gguf g;
    rb_error err = { 0 };
    blob_write(&b, path);
    cr_assert_eq(rb_source_open(&s, path, &err), RB_OK);
    cr_assert_eq(rb_gguf_open(&g, s, path, &err), RB_OK, "%s", err.text);
    uint8_t *x = b.data + rb_gguf_find_kv(&g, "x")->offset;
    cr_expect_eq(read_texts(&g, &b, path, &err), RB_OK, "%s", err.text);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        for (int bit = 0; bit < (at[i] == TYPE ? 32 : 64); bit++) {
            if (at[i] >= FIRST && bit < 3)
                continue; /* shorter texts, which are as good */
            x[at[i] + (size_t)bit / 8] ^= (uint8_t)(1 << bit % 8);
            cr_expect_eq(read_texts(&g, &b, path, &err), RB_ERR_FORMAT, "%zu, %d", at[i], bit);
            cr_expect(strstr(err.text, "f.gguf") && !strchr(err.text, '\n'), "%s", err.text);
            x[at[i] + (size_t)bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    rb_gguf_close(&g);
    free(path);
    dir_remove(&d);
    blob_free(&b);
    gguf_free(&f);
}

/* ---- noise ---- */

Test(hostile, noise)
{
    uint64_t state = 7;
    gguf_file g = gguf_make("llama");
    expect_noise_survived(&g, 4000, &state);
}

/* The same of a text. */
Test(hostile, a_text_that_changes_behind_its_directory)
{
    gguf_file f = gguf_make("llama");
    gguf_kv_string(&f, "x", "fine");
    blob b = gguf_bytes(&f);
    dir d = dir_make();
    char *path = dir_file(&d, "f.gguf"), *text = NULL;
    rb_source s;
    rb_gguf g;
    rb_error err = { 0 };
    blob_write(&b, path);
    cr_assert_eq(rb_source_open(&s, path, &err), RB_OK);
    cr_assert_eq(rb_gguf_open(&g, s, path, &err), RB_OK, "%s", err.text);
    const rb_gguf_kv *x = rb_gguf_find_kv(&g, "x");
    cr_assert_eq(rb_gguf_text_read(&text, &g, x, 4, &err), RB_OK, "%s", err.text);
    cr_expect_str_eq(text, "fine");
    free(text);
    cr_expect_eq(rb_gguf_text_read(&text, &g, x, 3, &err), RB_ERR_FORMAT);
    cr_expect(strstr(err.text, "has 4 bytes; at most 3 are allowed"), "%s", err.text);
    b.data[x->offset + 8 + 1 + 4]++; /* its length */
    blob_write(&b, path);
    cr_expect_eq(rb_gguf_text_read(&text, &g, x, 4, &err), RB_ERR_FORMAT);
    cr_expect(strstr(err.text, "f.gguf: key 'x' is not the string that it should be"), "%s",
              err.text);
    cr_expect_null(text);
    rb_gguf_kv cut = *x;
    cut.bytes = 8 + 1 + 4; /* no room for a length */
    cr_expect_eq(rb_gguf_text_read(&text, &g, &cut, 4, &err), RB_ERR_FORMAT);
    cr_expect(strstr(err.text, "key 'x' is not the value that it should be"), "%s", err.text);
    rb_gguf_close(&g);
    free(path);
    dir_remove(&d);
    blob_free(&b);
    gguf_free(&f);
}
