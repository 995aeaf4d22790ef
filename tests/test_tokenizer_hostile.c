/* Tokenizers of files that are wrong: each refused by one line that says what, none followed; and
 * noise, which may pass or not, but neither crashes nor gives ids that are none. What right files
 * give is test_tokenizer.c's. Read next: tiny_vocab.h. */
#define _GNU_SOURCE /* memmem */
#include "tiny_vocab.h"

#include <criterion/criterion.h>

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

#define MODEL(more) "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}," more "}"
#define MERGED      MODEL("\"merges\":[\"a b\"]")
#define BYTES       "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"

static const struct {
    rb_status status;
    const char *words, *json;
} wrong[] = {
    { RB_ERR_FORMAT, "is no JSON", "{" },
    { RB_ERR_FORMAT, "is no JSON", "" },
    { RB_ERR_FORMAT, "it has no model", "[]" },
    { RB_ERR_FORMAT, "it has no model", "{}" },
    { RB_ERR_UNSUPPORTED, "kind 'Unigram'", "{\"model\":{\"type\":\"Unigram\"}}" },
    { RB_ERR_UNSUPPORTED, "kind 'WordPiece'", "{\"model\":{\"type\":\"WordPiece\"}}" },
    { RB_ERR_UNSUPPORTED, "its model has dropout",
      "{" BYTES MODEL("\"dropout\":0.1,\"merges\":[]") "}" },
    { RB_ERR_UNSUPPORTED, "neither a byte-level tokenizer", "{" MERGED "}" },
    { RB_ERR_FORMAT, "no merges", "{" BYTES MODEL("\"merges\":{}") "}" },
    { RB_ERR_FORMAT, "merge 0 is not two tokens", "{" BYTES MODEL("\"merges\":[7]") "}" },
    { RB_ERR_FORMAT, "merge 0 is not two tokens", "{" BYTES MODEL("\"merges\":[[\"a\"]]") "}" },
    { RB_ERR_FORMAT, "names what is no token", "{" BYTES MODEL("\"merges\":[\"b a\"]") "}" },
    { RB_ERR_FORMAT, "its unk_token is no token",
      "{" BYTES MODEL("\"unk_token\":\"c\",\"merges\":[]") "}" },
    { RB_ERR_FORMAT, "id is no number",
      "{" BYTES "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}" },
    { RB_ERR_FORMAT, "the last of them with the id 16777215",
      "{" BYTES "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":16777215},\"merges\":[]}}" },
    { RB_ERR_FORMAT, "the id 0 is both 'a' and 'b'",
      "{" BYTES "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}" },
    { RB_ERR_FORMAT, "tokens 0 and 5 are both 'a'",
      "{\"added_tokens\":[{\"id\":5,\"content\":\"a\"}]," BYTES MERGED "}" },
    { RB_ERR_FORMAT, "no id from 0 on",
      "{\"added_tokens\":[{\"content\":\"x\"}]," BYTES MERGED "}" },
    { RB_ERR_FORMAT, "its added_tokens are no list",
      "{\"added_tokens\":{\"x\":3}," BYTES MERGED "}" },
    { RB_ERR_UNSUPPORTED, "only found as a single word",
      "{\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"single_word\":true}]," BYTES MERGED "}" },
    { RB_ERR_UNSUPPORTED, "the expression '\\w+'",
      "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w+\"},\"behavior\":"
      "\"Isolated\",\"invert\":false}," MERGED "}" },
    { RB_ERR_UNSUPPORTED, "'Split' has another behavior",
      "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[\\r\\n]\"},\"behavior\":"
      "\"Removed\",\"invert\":false}," MERGED "}" },
    { RB_ERR_UNSUPPORTED, "pre_tokenizer 'Whitespace'",
      "{\"pre_tokenizer\":{\"type\":\"Whitespace\"}," MERGED "}" },
    { RB_ERR_UNSUPPORTED, "pre_tokenizer ''", "{\"pre_tokenizer\":[7]," MERGED "}" },
    { RB_ERR_UNSUPPORTED, "'ByteLevel' adds a blank",
      "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true}," MERGED "}" },
    { RB_ERR_UNSUPPORTED, "normalizer 'Lowercase'",
      "{\"normalizer\":{\"type\":\"Lowercase\"}," BYTES MERGED "}" },
    { RB_ERR_UNSUPPORTED, "post_processor 'BertProcessing'",
      "{\"post_processor\":{\"type\":\"BertProcessing\"}," BYTES MERGED "}" },
    { RB_ERR_FORMAT, "the post_processor has no ids of '<s>'",
      "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
      "\"<s>\"}}]}," BYTES MERGED "}" },
    { RB_ERR_FORMAT, "by an id that is none",
      "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
      "\"a\"}}],\"special_tokens\":{\"a\":{\"ids\":[3]}}}," BYTES MERGED "}" },
    { RB_ERR_FORMAT, "no token <0x00>",
      "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\"}," MODEL(
          "\"byte_fallback\":true,\"merges\":[]") "}" },
};

static rb_status open_json(const char *json, size_t n, rb_tokenizer **t, rb_error *err)
{
    const rb_tokenizer_texts texts = { .label = "tiny.json", .tokenizer = { json, n } };
    return rb_tokenizer_from_json(t, &texts, err);
}

Test(tokenizer_hostile, json_that_is_wrong_or_not_done)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        rb_tokenizer *t;
        rb_error err = { 0 };
        cr_assert_eq(open_json(wrong[i].json, strlen(wrong[i].json), &t, &err), wrong[i].status,
                     "%s: %s", wrong[i].json, err.text);
        cr_assert_null(t);
        cr_assert(strstr(err.text, wrong[i].words) && strstr(err.text, "tiny.json"),
                  "'%s' is not in '%s'", wrong[i].words, err.text);
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
