/* Fuzzes vocabularies in GGUF metadata, and a fixed text with what was read of them.
 * build/fuzz/vocab_gguf is the corpus, seeded with a small one of each kind: few tokens, so that
 * an input is short. Read next: fuzz_tokens.h, ../models/tokenizer/tokenizer_gguf.c. */
#include "fuzz_tokens.h"

#include <math.h>

enum { MAX_INPUT = 2048 };

static const tiny_token tokens[] = {
    { "<unk>", 2, 0 },       { "<s>", 3, 0 },          { "</s>", 3, 0 },         { "a", 1, -1 },
    { "b", 1, -2 },          { "ab", 1, -3 },          { "Ġ", 1, -4 },           { "▁", 1, -5 },
    { "▁a", 1, -6 },         { "<0x0A>", 6, 0 },       { "<tool>", 4, 0 },       { "aab", 5, 0 },
    { "<|im_end|>", 1, -7 }, { "<|fim_pad|>", 3, -8 }, { "x>yy", 4, -INFINITY },
};
enum { N_TOKEN = sizeof tokens / sizeof *tokens };

static void put_u32(tiny_file *f, const char *key, uint32_t value)
{
    tiny_key(f, key, RB_GGUF_U32);
    tiny_uint(f, value, 4);
}

static void put_bool(tiny_file *f, const char *key, bool value)
{
    tiny_key(f, key, RB_GGUF_BOOL);
    tiny_uint(f, value, 1);
}

/* All keys that are read; merges with bytes, scores with pieces. */
static void put_all(tiny_file *f, const char *pre)
{
    tiny_begin(f, 16);
    tiny_key_text(f, "tokenizer.ggml.model", pre ? "gpt2" : "llama");
    tiny_key_text(f, "tokenizer.ggml.pre", pre ? pre : "");
    tiny_key_array(f, "tokenizer.ggml.tokens", RB_GGUF_STRING, N_TOKEN);
    for (int i = 0; i < N_TOKEN; i++)
        tiny_text(f, tokens[i].text);
    tiny_key_array(f, "tokenizer.ggml.scores", RB_GGUF_F32, N_TOKEN);
    for (int i = 0; i < N_TOKEN; i++)
        tiny_put(f, &tokens[i].score, sizeof tokens[i].score);
    tiny_key_array(f, "tokenizer.ggml.token_type", RB_GGUF_I32, N_TOKEN);
    for (int i = 0; i < N_TOKEN; i++)
        tiny_uint(f, (uint64_t)tokens[i].type, 4);
    tiny_key_array(f, "tokenizer.ggml.merges", RB_GGUF_STRING, 2);
    tiny_text(f, "a b");
    tiny_text(f, "a ab");
    put_u32(f, "tokenizer.ggml.bos_token_id", 1);
    put_u32(f, "tokenizer.ggml.eos_token_id", 2);
    put_u32(f, "tokenizer.ggml.unknown_token_id", 0);
    put_u32(f, "tokenizer.ggml.eot_token_id", 12);
    put_u32(f, "tokenizer.ggml.fim_sep_token_id", 13);
    put_bool(f, "tokenizer.ggml.add_bos_token", true);
    put_bool(f, "tokenizer.ggml.add_eos_token", true);
    put_bool(f, "tokenizer.ggml.add_space_prefix", false);
    tiny_key_text(f, "general.name", "Phi-3");
    tiny_key_text(f, "tokenizer.chat_template", "{{ 1 }}");
}

/* The file without one of its keys, whose names change, and with a value of another type. */
static void write_broken(const char *corpus, int *i, tiny_file *f)
{
    static const char prefix[] = "tokenizer.";
    for (size_t at = 24; at + sizeof prefix < f->n; at++) {
        if (memcmp(f->data + at, prefix, sizeof prefix - 1) != 0)
            continue;
        uint8_t *type = f->data + at + f->data[at - 8], was = *type;
        f->data[at] = 'T';
        fuzz_write(corpus, (*i)++, "", 0, f->data, f->n);
        f->data[at] = 't';
        for (int t = RB_GGUF_U8; t < RB_GGUF_N_TYPE; t += 4) {
            *type = (uint8_t)(t + *i % 4);
            fuzz_write(corpus, (*i)++, "", 0, f->data, f->n);
        }
        *type = was;
        fuzz_write(corpus, (*i)++, "", 0, f->data, at);
    }
}

/* A value of every type, an array of each, and the name of a model without a tokenizer. */
static void put_types(tiny_file *f)
{
    static const int bytes[RB_GGUF_N_TYPE] = { 1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8 };
    char key[] = "a";
    tiny_begin(f, 2 * RB_GGUF_N_TYPE - 1);
    tiny_key_text(f, "tokenizer.ggml.model", "none");
    for (rb_gguf_type type = RB_GGUF_U8; type < RB_GGUF_N_TYPE; type++) {
        if (type == RB_GGUF_ARRAY)
            continue;
        tiny_key(f, key, type);
        tiny_uint(f, 0, bytes[type]);
        ++*key;
        tiny_key_array(f, key, type, 2);
        for (int i = 0; i < 2; i++)
            tiny_uint(f, 0, bytes[type]);
        ++*key;
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char *const pres[] = { NULL, "llama-bpe", "qwen2", "deepseek-llm", "default" };
    static tiny_file f;
    const char *corpus = fuzz_corpus(argc, argv, "vocab_gguf", MAX_INPUT);
    int n = 0;
    for (int i = 0; corpus && i < (int)(sizeof pres / sizeof *pres); i++) {
        rb_tokenizer *t;
        put_all(&f, pres[i]);
        if (tiny_open(&t, &f, NULL) != RB_OK)
            abort(); /* a seed that is refused is no seed */
        rb_tokenizer_close(t);
        fuzz_write(corpus, n++, "", 0, f.data, f.n);
        if (i < 2)
            write_broken(corpus, &n, &f);
    }
    if (corpus) {
        put_types(&f);
        fuzz_write(corpus, n++, "", 0, f.data, f.n);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rb_tokenizer *t = NULL;
    rb_error err = { 0 };
    const rb_status status =
        rb_tokenizer_from_gguf(&t, rb_source_memory("fuzz", data, size), NULL, &err);
    fuzz_opened(status, t, &err);
    return 0;
}
