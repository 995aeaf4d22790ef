/* Folders that lie, are broken or cannot be run: containers, indexes, tensors and configs. Each is
 * refused in one line that says why, and nothing is left open.
 * Read next: hf_files.h, ../models/hf/safetensors.c. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hf_files.h"

static void check_line(rb_status got, const rb_error *err, rb_status want, const char *word)
{
    cr_assert_eq(got, want, "wanted '%s', got %d: %s", word, got, got == RB_OK ? "" : err->text);
    if (want == RB_OK)
        return;
    cr_assert_eq(err->status, want);
    cr_assert(strstr(err->text, word), "wanted '%s' in: %s", word, err->text);
    cr_assert(!strchr(err->text, '\n') && strchr(err->text, ':'), "%s", err->text);
}

/* ---- containers ---- */

static void open_one(const blob *b, rb_status want, const char *word)
{
    rb_safetensors s;
    rb_error err = { 0 };
    const rb_status got =
        rb_safetensors_open_one(&s, rb_source_memory("x.safetensors", b->data, b->n), &err);
    check_line(got, &err, want, word);
    rb_safetensors_close(&s);
}

#define T(name, dtype, shape, from, to)                                                            \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" from "," to   \
    "]}"

static const struct {
    const char *header;
    size_t data;
    rb_status want;
    const char *word;
} containers[] = {
    { "{" T("a", "F32", "2,3", "0", "24") "}", 24, RB_OK, "" },
    { "{}", 0, RB_OK, "" },
    { "{" T("a", "F32", "2", "0", "8") "," T("b", "BF16", "0,7", "8", "8") "}  ", 8, RB_OK, "" },
    { "{\"__metadata__\":{\"format\":\"pt\"}," T("a", "U8", "3", "0", "3") "}", 3, RB_OK, "" },
    { "{" T("a", "F32", "2,3", "0", "24") "}", 23, RB_ERR_FORMAT, "truncated" },
    { "{" T("a", "F32", "2,3", "0", "24") "}", 25, RB_ERR_FORMAT, "belong to no tensor" },
    { "{}", 1, RB_ERR_FORMAT, "1 bytes of data belong to no tensor" },
    { "{" T("a", "F32", "2", "4", "12") "}", 12, RB_ERR_FORMAT, "hole before its data" },
    { "{" T("a", "F32", "2", "0", "8") "," T("b", "F32", "2", "4", "12") "}", 12, RB_ERR_FORMAT,
      "overlap" },
    { "{" T("a", "F32", "2", "0", "8") "," T("b", "F32", "2", "0", "8") "}", 8, RB_ERR_FORMAT,
      "overlap" },
    { "{" T("a", "F32", "2", "8", "0") "}", 8, RB_ERR_FORMAT, "outside" },
    { "{" T("a", "F32", "2", "-8", "0") "}", 8, RB_ERR_FORMAT, "outside" },
    { "{" T("a", "F32", "2", "0", "9223372036854775807") "}", 8, RB_ERR_FORMAT, "outside" },
    { "{" T("a", "F32", "2", "0", "9223372036854775808") "}", 8, RB_ERR_FORMAT, "line 1" },
    { "{" T("a", "F32", "3", "0", "8") "}", 8, RB_ERR_FORMAT, "call for 12" },
    { "{" T("a", "F16", "2", "0", "8") "}", 8, RB_ERR_FORMAT, "call for 4" },
    { "{" T("a", "F32", "4611686018427387904,4", "0", "0") "}", 0, RB_ERR_FORMAT,
      "can be counted" },
    { "{" T("a", "F32", "4294967296,4294967296", "0", "0") "}", 0, RB_ERR_FORMAT,
      "can be counted" },
    { "{" T("a", "F32", "-1", "0", "8") "}", 8, RB_ERR_FORMAT, "no extent" },
    { "{" T("a", "F32", "2.0", "0", "8") "}", 8, RB_ERR_FORMAT, "no extent" },
    { "{" T("a", "F32", "1,1,1,1,1,1,1,1,2", "0", "8") "}", 8, RB_ERR_FORMAT, "dimensions" },
    { "{" T("a", "F32", "2", "0", "8.0") "}", 8, RB_ERR_FORMAT, "no two numbers" },
    { "{" T("a", "F32", "2", "0", "8,8") "}", 8, RB_ERR_FORMAT, "no two numbers" },
    { "{" T("a", "F32", "2", "0", "NaN") "}", 8, RB_ERR_FORMAT, "line 1" },
    { "{" T("a", "F32", "1e999", "0", "8") "}", 8, RB_ERR_FORMAT, "line 1" },
    { "{" T("a", "Q4_K", "2", "0", "8") "}", 8, RB_ERR_UNSUPPORTED, "'Q4_K' is not known" },
    { "{" T("a", "F32", "2", "0", "8") "," T("a", "F32", "2", "0", "8") "}", 8, RB_ERR_FORMAT,
      "duplicate" },
    { "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
      RB_ERR_FORMAT, "duplicate" },
    { "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, RB_ERR_FORMAT, "dtype is missing" },
    { "{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, RB_ERR_FORMAT, "dtype" },
    { "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, RB_ERR_FORMAT, "shape" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, RB_ERR_FORMAT, "shape" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, RB_ERR_FORMAT, "data_offsets" },
    { "{\"a\":[]}", 0, RB_ERR_FORMAT, "no object" },
    { "{" T("", "F32", "2", "0", "8") "}", 8, RB_ERR_FORMAT, "name has 0 bytes" },
    { "[]", 0, RB_ERR_FORMAT, "no object" },
    { "", 0, RB_ERR_FORMAT, "line" },
    { "{" T("a\\u0000b", "F32", "2", "0", "8") "}", 8, RB_ERR_FORMAT, "line 1" },
    { "{" T("a\\n", "F32", "3", "0", "8") "}", 8, RB_ERR_FORMAT, "call for 12" },
};

Test(safetensors, containers_that_lie)
{
    for (size_t i = 0; i < sizeof containers / sizeof *containers; i++) {
        blob b = st_file(containers[i].header, containers[i].data);
        open_one(&b, containers[i].want, containers[i].word);
        blob_free(&b);
    }
}

Test(safetensors, lengths_that_lie)
{
    static const uint64_t lengths[] = { 3, 1u << 20, (uint64_t)1 << 40, UINT64_MAX,
                                        UINT64_MAX - 7 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        blob b = { 0 };
        blob_uint(&b, lengths[i], 8);
        blob_put(&b, "{}", 2);
        open_one(&b, RB_ERR_FORMAT, "truncated, or no safetensors file");
        blob_free(&b);
    }
    for (size_t n = 0; n < 8; n++) {
        blob b = { 0 };
        blob_put(&b, "\2\0\0\0\0\0\0", n);
        open_one(&b, RB_ERR_FORMAT, "truncated");
        blob_free(&b);
    }
}

Test(safetensors, a_header_has_its_limit)
{
    blob b = { 0 };
    blob_uint(&b, RB_ST_MAX_HEADER + 1, 8);
    b.data = realloc(b.data, 8 + RB_ST_MAX_HEADER + 1);
    memset(b.data + 8, ' ', RB_ST_MAX_HEADER + 1);
    b.n = b.room = 8 + RB_ST_MAX_HEADER + 1;
    open_one(&b, RB_ERR_FORMAT, "are the most");
    blob_free(&b);
}

Test(safetensors, noise)
{
    char path[256];
    uint64_t state = 9;
    blob good = blob_read(hf_path("llama", "model.safetensors", path));
    uint64_t length = 0;
    memcpy(&length, good.data, 8);
    for (int round = 0; round < 3000; round++) {
        blob b = { 0 };
        rb_safetensors s;
        rb_error err = { 0 };
        blob_put(&b, good.data, good.n);
        for (int flips = 0; flips < 1 + round % 4; flips++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            b.data[(state >> 33) % (8 + length)] = (uint8_t)(state >> 24);
        }
        if (rb_safetensors_open_one(&s, rb_source_memory("x", b.data, b.n), &err) != RB_OK)
            cr_assert(strlen(err.text) > 5 && !strchr(err.text, '\n'));
        rb_safetensors_close(&s);
        blob_free(&b);
    }
    blob_free(&good);
}

/* ---- folders ---- */

/* A folder with a vector's config, changed, and these weights. */
static void expect_folder(const char *name, const char *changes, const st_set *weights,
                          rb_status want, const char *word)
{
    dir d = dir_make();
    rb_model *m = NULL;
    rb_error err = { 0 };
    blob config = hf_config_with(name, changes), b = st_bytes(weights);
    char *to = dir_file(&d, "config.json");
    blob_write(&config, to);
    free(to);
    to = dir_file(&d, "model.safetensors");
    blob_write(&b, to);
    free(to);
    for (int dry = 0; dry < 2; dry++) {
        const rb_status got = rb_model_from_hf(&m, d.path, dry, &err);
        check_line(got, &err, want, word);
        cr_assert_eq(got == RB_OK, m != NULL);
        rb_model_close(m);
    }
    blob_free(&config);
    blob_free(&b);
    dir_remove(&d);
}

static st_set *weights_of(const char *name)
{
    char path[256];
    return st_read(hf_path(name, "model.safetensors", path));
}

Test(hf_folder, tensors_missing_misshapen_and_unknown)
{
    st_set *s = weights_of("llama");
    expect_folder("llama", "{}", s, RB_OK, "");
    st_drop(s, "model.layers.1.self_attn.k_proj.weight");
    expect_folder("llama", "{}", s, RB_ERR_FORMAT,
                  "'model.layers.1.self_attn.k_proj.weight' is missing");
    st_add(s, "model.layers.1.self_attn.k_proj.weight", "BF16", 2, (int64_t[]){ 24, 23 });
    expect_folder("llama", "{}", s, RB_ERR_FORMAT, "has shape [24, 23], expected [24, 24]");
    st_drop(s, "model.layers.1.self_attn.k_proj.weight");
    st_add(s, "model.layers.1.self_attn.k_proj.weight", "BF16", 1, (int64_t[]){ 576 });
    expect_folder("llama", "{}", s, RB_ERR_FORMAT, "has shape [576], expected [24, 24]");
    st_drop(s, "model.layers.1.self_attn.k_proj.weight");
    st_add(s, "model.layers.1.self_attn.k_proj.weight", "I32", 2, (int64_t[]){ 24, 24 });
    expect_folder("llama", "{}", s, RB_ERR_UNSUPPORTED, "is I32, which is not supported");
    st_drop(s, "model.layers.1.self_attn.k_proj.weight");
    st_add(s, "model.layers.1.self_attn.k_proj.weight", "F16", 2, (int64_t[]){ 24, 24 });
    expect_folder("llama", "{}", s, RB_OK, "");
    st_add(s, "model.layers.0.self_attn.rotary_emb.inv_freq", "F32", 1, (int64_t[]){ 6 });
    expect_folder("llama", "{}", s, RB_OK, "");
    st_add(s, "model.layers.0.self_attn.q_proj.weight_scale", "F32", 1, (int64_t[]){ 1 });
    expect_folder("llama", "{}", s, RB_ERR_UNSUPPORTED,
                  "'model.layers.0.self_attn.q_proj.weight_scale' is unknown");
    st_free(s);
}

Test(hf_folder, fewer_layers_and_other_heads)
{
    st_set *s = weights_of("llama");
    expect_folder("llama", "{\"num_hidden_layers\":1}", s, RB_ERR_UNSUPPORTED, "is unknown");
    expect_folder("llama", "{\"num_hidden_layers\":3}", s, RB_ERR_FORMAT, "is missing");
    expect_folder("llama", "{\"tie_word_embeddings\":false}", s, RB_ERR_FORMAT,
                  "'lm_head.weight' is missing");
    expect_folder("llama", "{\"num_attention_heads\":2}", s, RB_ERR_FORMAT, "has shape");
    expect_folder("llama", "{\"attention_bias\":true}", s, RB_ERR_FORMAT,
                  "q_proj.bias' is missing");
    expect_folder("llama", "{\"vocab_size\":41}", s, RB_ERR_FORMAT, "embed_tokens");
    expect_folder("llama", "{\"num_hidden_layers\":4096,\"vocab_size\":16777216}", s, RB_ERR_FORMAT,
                  "embed_tokens");
    /* An output matrix beside a tied config is the one that is used. */
    st_add(s, "lm_head.weight", "BF16", 2, (int64_t[]){ 40, 24 });
    expect_folder("llama", "{}", s, RB_OK, "");
    st_free(s);
}

Test(hf_folder, experts)
{
    st_set *s = weights_of("qwen3_moe");
    expect_folder("qwen3_moe", "{\"num_local_experts\":5}", s, RB_ERR_FORMAT, "has shape");
    st_drop(s, "model.layers.1.mlp.experts.3.up_proj.weight");
    expect_folder("qwen3_moe", "{}", s, RB_ERR_FORMAT,
                  "'model.layers.1.mlp.experts.3.up_proj.weight' is missing");
    st_add(s, "model.layers.1.mlp.experts.3.up_proj.weight", "F32", 2, (int64_t[]){ 12, 24 });
    expect_folder("qwen3_moe", "{}", s, RB_ERR_UNSUPPORTED, "of several types");
    st_drop(s, "model.layers.1.mlp.experts.3.up_proj.weight");
    st_add(s, "model.layers.1.mlp.experts.3.up_proj.weight", "BF16", 2, (int64_t[]){ 12, 24 });
    expect_folder("qwen3_moe", "{}", s, RB_OK, "");
    st_add(s, "model.layers.1.mlp.experts.4.up_proj.weight", "BF16", 2, (int64_t[]){ 12, 24 });
    expect_folder("qwen3_moe", "{}", s, RB_ERR_UNSUPPORTED, "is unknown");
    st_free(s);
}

Test(hf_folder, layers_that_predict_further_ahead)
{
    st_set *s = weights_of("deepseek_v3");
    st_add(s, "model.layers.2.eh_proj.weight", "BF16", 2, (int64_t[]){ 24, 48 });
    expect_folder("deepseek_v3", "{\"num_nextn_predict_layers\":1}", s, RB_OK, "");
    expect_folder("deepseek_v3", "{\"num_nextn_predict_layers\":0}", s, RB_ERR_UNSUPPORTED,
                  "'model.layers.2.eh_proj.weight' is unknown");
    st_add(s, "model.layers.3.eh_proj.weight", "BF16", 2, (int64_t[]){ 24, 48 });
    expect_folder("deepseek_v3", "{\"num_nextn_predict_layers\":1}", s, RB_ERR_UNSUPPORTED,
                  "'model.layers.3.eh_proj.weight' is unknown");
    st_free(s);
}

/* ---- indexes ---- */

/* A copy of the sharded vector with a file of its own text in place of one. */
static void expect_sharded(const char *replaced, const char *text, rb_status want, const char *word)
{
    static const char *const files[] = { "config.json", "model.safetensors.index.json",
                                         "model-00001-of-00002.safetensors",
                                         "model-00002-of-00002.safetensors" };
    dir d = dir_make();
    rb_model *m = NULL;
    rb_error err = { 0 };
    char path[256];
    for (int i = 0; i < 4; i++) {
        const bool own = replaced && !strcmp(files[i], replaced);
        char *to = dir_file(&d, files[i]);
        blob b = { 0 };
        if (own && text)
            blob_put(&b, text, strlen(text));
        else
            b = blob_read(hf_path("qwen2", files[i], path));
        if (!own || text)
            blob_write(&b, to);
        blob_free(&b);
        free(to);
    }
    check_line(rb_model_from_hf(&m, d.path, false, &err), &err, want, word);
    rb_model_close(m);
    dir_remove(&d);
}

Test(hf_folder, indexes_that_lie)
{
    static const char index[] = "model.safetensors.index.json";
    static const struct {
        const char *text, *word;
    } of[] = {
        { "{\"weight_map\":{\"a\":\"../model-00001-of-00002.safetensors\"}}", "no plain name" },
        { "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "no plain name" },
        { "{\"weight_map\":{\"a\":\"..\"}}", "no plain name" },
        { "{\"weight_map\":{\"a\":\"\"}}", "no plain name" },
        { "{\"weight_map\":{\"a\":7}}", "no plain name" },
        { "{\"weight_map\":{\"a\":\"config.json\"}}", "truncated, or no safetensors file" },
        { "{\"weight_map\":{}}", "missing, or empty" },
        { "{\"weight_map\":[]}", "missing, or empty" },
        { "{}", "missing, or empty" },
        { "[]", "no object" },
        { "{\"weight_map\":{\"a\":\"b\",\"a\":\"c\"}}", "duplicate" },
        { "{\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\"}}",
          "tensor 'a' is not in 'model-00001-of-00002.safetensors'" },
        { "{\"weight_map\":{\"model.norm.weight\":\"model-00001-of-00002.safetensors\"}}",
          "is not in" },
    };
    expect_sharded(NULL, NULL, RB_OK, "");
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        expect_sharded(index, of[i].text, RB_ERR_FORMAT, of[i].word);
    expect_sharded(index, "{\"weight_map\":{\"a\":\"b\"}}", RB_ERR_IO, "cannot open");
    expect_sharded("model-00002-of-00002.safetensors", NULL, RB_ERR_IO,
                   "model-00002-of-00002.safetensors: cannot open");
    expect_sharded(index, NULL, RB_ERR_FORMAT, "neither model.safetensors nor");
    expect_sharded("config.json", NULL, RB_ERR_IO, "a folder is a model if it has config.json");
}

/* Two parts with a tensor each, under an index of this text. */
static void expect_parts(const char *first, const char *second, const char *text, const char *word)
{
    dir d = dir_make();
    rb_safetensors s;
    rb_error err = { 0 };
    st_set *one = calloc(1, sizeof *one), *two = calloc(1, sizeof *two);
    st_add(one, first, "F32", 1, (int64_t[]){ 2 });
    st_add(two, second, "F32", 1, (int64_t[]){ 2 });
    blob file[] = { st_bytes(one), st_bytes(two), { 0 } };
    blob_put(&file[2], text, strlen(text));
    static const char *const name[] = { "1", "2", "model.safetensors.index.json" };
    for (int i = 0; i < 3; i++) {
        char *to = dir_file(&d, name[i]);
        blob_write(&file[i], to);
        blob_free(&file[i]);
        free(to);
    }
    const rb_status got = rb_safetensors_open(&s, d.path, &err);
    check_line(got, &err, *word ? RB_ERR_FORMAT : RB_OK, word);
    rb_safetensors_close(&s);
    st_free(one);
    st_free(two);
    dir_remove(&d);
}

Test(hf_folder, tensors_that_are_in_another_part)
{
    static const char right[] = "{\"weight_map\":{\"a\":\"1\",\"b\":\"2\"}}";
    expect_parts("a", "b", right, "");
    expect_parts("b", "a", right, "is not in");
    expect_parts("a", "a", right, "in another part too");
}
