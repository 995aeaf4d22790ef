/* Tokenizers of files that are wrong: each refused by one line that says what, none followed; and
 * noise, which may pass or not, but neither crashes nor gives ids that are none. What right files
 * give is test_tokenizer.c's. Read next: tiny_vocab.h. */
#define _GNU_SOURCE /* memmem */
#include "files.h"
#include "tiny_vocab.h"
#include "wrong_vocabs.h"

#include <criterion/criterion.h>
#include <sys/stat.h>
#include <unistd.h>

static void expect_refused(const tiny_file *f, rb_status want, const char *words)
{
    rb_tokenizer *t;
    rb_error err = { 0 };
    cr_assert_eq(tiny_open(&t, f, &err), want, "%s", err.text);
    cr_assert_null(t);
    cr_assert(strstr(err.text, words) && strstr(err.text, "tiny.gguf"), "'%s' is not in '%s'",
              words, err.text);
}

/* Overwrites what is found at the first place of these bytes, from that place on. */
static void patch(tiny_file *f, const char *at, size_t skip, const void *data, size_t n)
{
    uint8_t *found = memmem(f->data, f->n, at, strlen(at));
    cr_assert_not_null(found);
    memcpy(found + skip, data, n);
}

/* A byte-level file with these tokens, types, merges: at most eight each. */
static tiny_file file_of(const char *const *tokens, const char *const *merges)
{
    tiny_file f;
    uint64_t n_token = 0, n_merge = 0;
    while (tokens[n_token])
        n_token++;
    while (merges[n_merge])
        n_merge++;
    tiny_begin(&f, 4);
    tiny_key_text(&f, "tokenizer.ggml.model", "gpt2");
    tiny_key_text(&f, "tokenizer.ggml.pre", "gpt-2");
    tiny_key_array(&f, "tokenizer.ggml.tokens", RB_GGUF_STRING, n_token);
    for (uint64_t i = 0; i < n_token; i++)
        tiny_text(&f, tokens[i]);
    tiny_key_array(&f, "tokenizer.ggml.merges", RB_GGUF_STRING, n_merge);
    for (uint64_t i = 0; i < n_merge; i++)
        tiny_text(&f, merges[i]);
    return f;
}

#define TEXTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

Test(tokenizer_hostile, vocabularies_that_contradict_themselves)
{
    const char *const none[] = { NULL };
    tiny_file f = file_of(TEXTS("a", "b", "a"), none);
    expect_refused(&f, RB_ERR_FORMAT, "tokens 0 and 2 are both 'a'");
    f = file_of(TEXTS("a", "b"), TEXTS("a b"));
    expect_refused(&f, RB_ERR_FORMAT, "merge 0, 'a' and 'b', names what is no token");
    f = file_of(TEXTS("a", "ac"), TEXTS("a c"));
    expect_refused(&f, RB_ERR_FORMAT, "names what is no token");
    f = file_of(TEXTS("a", "b", "ab"), TEXTS("ab"));
    expect_refused(&f, RB_ERR_FORMAT, "merge 0 is not two tokens");
    f = file_of(TEXTS("a"), TEXTS(" "));
    expect_refused(&f, RB_ERR_FORMAT, "merge 0 is not two tokens");
    f = file_of(none, none);
    expect_refused(&f, RB_ERR_FORMAT, "a vocabulary of 0 tokens");
}

Test(tokenizer_hostile, keys_that_are_wrong)
{
    static tiny_file f;
    const uint32_t types[] = { RB_GGUF_F32, 400, 1u << 31 };
    tiny_bpe(&f, "gpt-2");
    patch(&f, "tokenizer.ggml.token_type", 25 + 4, &types[0], 4);
    expect_refused(&f, RB_ERR_FORMAT, "'tokenizer.ggml.token_type' is no array of i32");
    tiny_bpe(&f, "gpt-2");
    patch(&f, "tokenizer.ggml.merges", 0, "tokenizer.ggml.mergez", 21);
    expect_refused(&f, RB_ERR_FORMAT, "no key 'tokenizer.ggml.merges'");
    tiny_bpe(&f, "gpt-2");
    patch(&f, "gpt2", 0, "bert", 4);
    expect_refused(&f, RB_ERR_UNSUPPORTED, "kind 'bert'");
    tiny_bpe(&f, "gpt-2");
    patch(&f, "gpt2", 0, "none", 4);
    expect_refused(&f, RB_ERR_UNSUPPORTED, "it has no tokenizer");
    tiny_begin(&f, 0);
    expect_refused(&f, RB_ERR_UNSUPPORTED, "it has no tokenizer");
    tiny_spm(&f);
    const float nan = __builtin_nanf("");
    patch(&f, "tokenizer.ggml.scores", 21 + 4 + 4 + 8, &nan, 4);
    expect_refused(&f, RB_ERR_FORMAT, "the score of token 0 is no number");
}

/* A file of one key and an array of n bytes, to be freed; its vocabulary is to be refused. */
static void expect_large_refused(const char *key, rb_gguf_type type, uint64_t n, const char *words)
{
    static tiny_file f;
    rb_tokenizer *t;
    rb_error err = { 0 };
    tiny_begin(&f, 6);
    tiny_key_text(&f, "tokenizer.ggml.model", "gpt2");
    tiny_key_array(&f, "tokenizer.ggml.tokens", RB_GGUF_STRING, 1);
    tiny_text(&f, "a");
    tiny_key_array(&f, "tokenizer.ggml.merges", RB_GGUF_STRING, 0);
    tiny_key(&f, "tokenizer.ggml.add_bos_token", RB_GGUF_BOOL);
    tiny_uint(&f, 0, 1);
    tiny_key_text(&f, "tokenizer.ggml.pre", "gpt-2");
    tiny_key(&f, key, type);
    if (type == RB_GGUF_ARRAY)
        tiny_uint(&f, RB_GGUF_U8, 4);
    tiny_uint(&f, n, 8);
    char *data = calloc(f.n + n, 1);
    cr_assert_not_null(data);
    memcpy(data, f.data, f.n);
    cr_assert_eq(rb_tokenizer_from_gguf(&t, rb_source_memory("large", data, f.n + n), NULL, &err),
                 RB_ERR_FORMAT);
    cr_assert(!t && strstr(err.text, words) && strstr(err.text, key), "%s", err.text);
    free(data);
}

Test(tokenizer_hostile, values_that_are_too_large)
{
    expect_large_refused("tokenizer.ggml.token_type", RB_GGUF_ARRAY, RB_MAX_VOCAB + 1,
                         "has 16777217 items; at most 16777216 are allowed");
    expect_large_refused("tokenizer.chat_template", RB_GGUF_STRING, (4 << 20) + 1,
                         "has 4194305 bytes; at most 4194304 are allowed");
}

Test(tokenizer_hostile, values_of_another_kind)
{
    static tiny_file f;
    tiny_begin(&f, 2);
    tiny_key_text(&f, "tokenizer.ggml.model", "llama");
    tiny_key_text(&f, "tokenizer.ggml.tokens", "a");
    expect_refused(&f, RB_ERR_FORMAT, "'tokenizer.ggml.tokens' is not the array that it should be");
    tiny_bpe(&f, "gpt-2");
    f.data[16]++;
    tiny_key(&f, "tokenizer.chat_template", RB_GGUF_U32);
    tiny_uint(&f, 1, 4);
    expect_refused(&f, RB_ERR_FORMAT, "'tokenizer.chat_template' is not the string");
}

/* An id that is none: the default, as llama.cpp has it; where that is none either, none. */
Test(tokenizer_hostile, ids_out_of_range)
{
    static tiny_file f;
    rb_tokenizer *t;
    const uint32_t ids[] = { TINY_N_BPE, UINT32_MAX, TINY_N_BPE - 1 };
    for (int i = 0; i < 3; i++) {
        tiny_bpe(&f, "gpt-2");
        patch(&f, "tokenizer.ggml.bos_token_id", 27 + 4, &ids[i], 4);
        cr_assert_eq(tiny_open(&t, &f, NULL), RB_OK);
        cr_assert_eq(rb_tokenizer_bos(t), i < 2 ? 11 : TINY_N_BPE - 1);
        rb_tokenizer_close(t);
    }
    f = file_of(TEXTS("a"), TEXTS("a a") + 1);
    f.data[16]++;
    tiny_key(&f, "tokenizer.ggml.add_bos_token", RB_GGUF_BOOL);
    tiny_uint(&f, 1, 1);
    expect_refused(&f, RB_ERR_FORMAT, "a BOS token is wanted, but there is none");
}

Test(tokenizer_hostile, every_truncation_is_refused)
{
    static tiny_file f;
    for (int spm = 0; spm < 2; spm++) {
        spm ? tiny_spm(&f) : tiny_bpe(&f, "llama-bpe");
        for (size_t n = f.n; n-- > 0;) {
            f.n = n;
            rb_tokenizer *t;
            rb_error err = { 0 };
            cr_assert_neq(tiny_open(&t, &f, &err), RB_OK);
            cr_assert(!t && err.text[0]);
        }
    }
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void expect_known_ids(const rb_tokenizer *t)
{
    static const char text[] = "the  hello's 1234\n\n<s>aab<tool>\xC3\xA9\xFF x>yy";
    int32_t *id;
    int64_t n;
    cr_assert_eq(
        rb_tokenizer_encode(t, text, sizeof text, (rb_encode){ true, true }, &id, &n, NULL), RB_OK);
    for (int64_t i = 0; i < n; i++)
        cr_assert(id[i] >= 0 && id[i] < rb_tokenizer_n_vocab(t));
    free(id);
}

Test(tokenizer_hostile, noise)
{
    static tiny_file f;
    uint64_t state = 11;
    int opened = 0;
    for (int round = 0; round < 4000; round++) {
        round % 2 ? tiny_spm(&f) : tiny_bpe(&f, "qwen2");
        for (uint32_t i = 0; i <= next_random(&state) % 4; i++)
            f.data[24 + next_random(&state) % (f.n - 24)] = (uint8_t)next_random(&state);
        rb_tokenizer *t;
        rb_error err = { 0 };
        if (tiny_open(&t, &f, &err) != RB_OK) {
            cr_assert(!t && err.text[0]);
            continue;
        }
        opened++;
        expect_known_ids(t);
        rb_tokenizer_close(t);
    }
    cr_assert(opened > 100 && opened < 4000);
}

/* ---- tokenizer.json ---- */

static rb_status open_json(const char *json, size_t n, rb_tokenizer **t, rb_error *err)
{
    const rb_tokenizer_texts texts = { .label = "tiny.json", .tokenizer = { json, n } };
    return rb_tokenizer_from_json(t, &texts, err);
}

Test(tokenizer_hostile, json_that_is_wrong_or_not_done)
{
    for (size_t i = 0; i < N_WRONG_VOCAB; i++) {
        rb_tokenizer *t;
        rb_error err = { 0 };
        cr_assert_eq(open_json(wrong_vocabs[i].json, strlen(wrong_vocabs[i].json), &t, &err),
                     wrong_vocabs[i].status, "%s: %s", wrong_vocabs[i].json, err.text);
        cr_assert_null(t);
        cr_assert(strstr(err.text, wrong_vocabs[i].words) && strstr(err.text, "tiny.json"),
                  "'%s' is not in '%s'", wrong_vocabs[i].words, err.text);
    }
}

Test(tokenizer_hostile, json_noise)
{
    static const char good[] =
        "{\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true,\"normalized\":true}],"
        "\"normalizer\":{\"type\":\"NFC\"}," BYTES MERGED "}";
    uint64_t state = 13;
    int opened = 0;
    for (int round = 0; round < 4000; round++) {
        char json[sizeof good];
        memcpy(json, good, sizeof good);
        json[next_random(&state) % (sizeof good - 1)] = (char)next_random(&state);
        rb_tokenizer *t;
        rb_error err = { 0 };
        if (open_json(json, sizeof good - 1, &t, &err) != RB_OK) {
            cr_assert(!t && err.text[0]);
            continue;
        }
        opened++;
        expect_known_ids(t);
        rb_tokenizer_close(t);
    }
    cr_assert(opened > 10 && opened < 4000, "%d", opened);
}

/* ---- folders ---- */

Test(tokenizer_hostile, files_of_a_folder_that_cannot_be_read)
{
    dir d = dir_make();
    char *path = dir_file(&d, "tokenizer.json");
    rb_tokenizer *t;
    rb_error err = { 0 };
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_expect_eq(rb_tokenizer_open(&t, d.path, &err), RB_ERR_IO);
    cr_expect(!t && strstr(err.text, "tokenizer.json: not a regular file"), "%s", err.text);
    cr_assert_eq(rmdir(path), 0);
    FILE *f = fopen(path, "w");
    cr_assert(f && ftruncate(fileno(f), (1 << 28) + 1) == 0); /* holes alone */
    fclose(f);
    cr_expect_eq(rb_tokenizer_open(&t, d.path, &err), RB_ERR_FORMAT);
    cr_expect(!t && strstr(err.text, "268435457 bytes; at most 268435456 are read"), "%s",
              err.text);
    free(path);
    dir_remove(&d);
}
