/* Small tokenizers as GGUF metadata, for the tokenizer's test and its fuzz target: byte-level
 * (every byte, a few merges) and SentencePiece (bytes, a few pieces with scores). Everything is
 * static inline, since fuzz targets link the library alone. Read next: test_tokenizer.c. */
#ifndef RB_TINY_VOCAB_H
#define RB_TINY_VOCAB_H

#include "../models/gguf.h"
#include "../models/tokenizer/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

typedef struct tiny_file {
    uint8_t data[1 << 15];
    size_t n;
} tiny_file;

typedef struct tiny_token {
    const char *text;
    int32_t type; /* ggml's: 1 normal, 2 unknown, 3 control, 4 user-defined, 6 byte */
    float score;
} tiny_token;

static inline void tiny_put(tiny_file *f, const void *data, size_t n)
{
    if (f->n + n > sizeof f->data)
        abort();
    memcpy(f->data + f->n, data, n);
    f->n += n;
}

static inline void tiny_uint(tiny_file *f, uint64_t value, int n_bytes)
{
    tiny_put(f, &value, (size_t)n_bytes);
}

static inline void tiny_text(tiny_file *f, const char *text)
{
    tiny_uint(f, strlen(text), 8);
    tiny_put(f, text, strlen(text));
}

static inline void tiny_key(tiny_file *f, const char *key, rb_gguf_type type)
{
    tiny_text(f, key);
    tiny_uint(f, (uint64_t)type, 4);
}

static inline void tiny_key_text(tiny_file *f, const char *key, const char *text)
{
    tiny_key(f, key, RB_GGUF_STRING);
    tiny_text(f, text);
}

static inline void tiny_key_array(tiny_file *f, const char *key, rb_gguf_type type, uint64_t n)
{
    tiny_key(f, key, RB_GGUF_ARRAY);
    tiny_uint(f, (uint64_t)type, 4);
    tiny_uint(f, n, 8);
}

/* The head of a file of n_kv keys and no tensors. */
static inline void tiny_begin(tiny_file *f, uint64_t n_kv)
{
    f->n = 0;
    tiny_put(f, "GGUF", 4);
    tiny_uint(f, 3, 4);
    tiny_uint(f, 0, 8);
    tiny_uint(f, n_kv, 8);
}

/* Tokens 0 to 255 are the bytes, in the order of their values. */
static inline void tiny_byte_token(tiny_file *f, int byte)
{
    char text[8] = { 0 };
    rb_utf8_put(text, rb_byte_char((uint8_t)byte));
    tiny_text(f, text);
}

static const char *const tiny_merges[] = { "h e",   "Ġ t", "Ġt he", "i n", "a a",
                                           "aa aa", "l l", "' s",   "1 2", "12 3",
                                           "Ġ Ġ",   "Ċ Ċ", "Ã ©",   "ï ¿", "ï¿ ½" };
enum {
    TINY_N_MERGE = sizeof tiny_merges / sizeof *tiny_merges,
    TINY_FIRST_SPECIAL = 256 + TINY_N_MERGE
};
static const tiny_token tiny_specials[] = {
    { "<s>", 3, 0 },       { "</s>", 3, 0 }, { "<tool>", 4, 0 },
    { "<tool><x>", 4, 0 }, { "x>yy", 4, 0 }, { "<|im_end|>", 1, 0 },
};
enum {
    TINY_N_SPECIAL = sizeof tiny_specials / sizeof *tiny_specials,
    TINY_N_BPE = TINY_FIRST_SPECIAL + TINY_N_SPECIAL
};

/* Six keys: model, pre, tokens, token_type, merges, bos_token_id (that of "<s>"). */
static inline void tiny_bpe(tiny_file *f, const char *pre)
{
    tiny_begin(f, 6);
    tiny_key_text(f, "tokenizer.ggml.model", "gpt2");
    tiny_key_text(f, "tokenizer.ggml.pre", pre);
    tiny_key_array(f, "tokenizer.ggml.tokens", RB_GGUF_STRING, TINY_N_BPE);
    for (int b = 0; b < 256; b++)
        tiny_byte_token(f, b);
    for (int i = 0; i < TINY_N_MERGE; i++) {
        const char *gap = strchr(tiny_merges[i], ' ');
        const size_t left = (size_t)(gap - tiny_merges[i]);
        tiny_uint(f, strlen(tiny_merges[i]) - 1, 8);
        tiny_put(f, tiny_merges[i], left);
        tiny_put(f, gap + 1, strlen(gap + 1));
    }
    for (int i = 0; i < TINY_N_SPECIAL; i++)
        tiny_text(f, tiny_specials[i].text);
    tiny_key_array(f, "tokenizer.ggml.token_type", RB_GGUF_I32, TINY_N_BPE);
    for (int i = 0; i < TINY_N_BPE; i++)
        tiny_uint(f,
                  i < TINY_FIRST_SPECIAL ? 1 : (uint64_t)tiny_specials[i - TINY_FIRST_SPECIAL].type,
                  4);
    tiny_key_array(f, "tokenizer.ggml.merges", RB_GGUF_STRING, TINY_N_MERGE);
    for (int i = 0; i < TINY_N_MERGE; i++)
        tiny_text(f, tiny_merges[i]);
    tiny_key(f, "tokenizer.ggml.bos_token_id", RB_GGUF_U32);
    tiny_uint(f, TINY_FIRST_SPECIAL, 4);
}

/* Behind "<unk>", "<s>", "</s>" and 256 bytes. */
static const tiny_token tiny_pieces[] = {
    { "▁", 1, -1 },   { "a", 1, -2 },     { "b", 1, -3 },    { "c", 1, -4 },    { "é", 1, -5 },
    { "ab", 1, -6 },  { "bc", 1, -5.5f }, { "▁a", 1, -7 },   { "aa", 1, -8 },   { "aaaa", 1, -9 },
    { "▁▁", 1, -10 }, { "▁abc", 1, -11 }, { "abc", 1, -12 }, { "<sep>", 4, 0 },
};
enum { TINY_N_PIECE = sizeof tiny_pieces / sizeof *tiny_pieces, TINY_N_SPM = 259 + TINY_N_PIECE };

static inline tiny_token tiny_spm_token(int i, char text[8])
{
    static const tiny_token first[] = { { "<unk>", 2, 0 }, { "<s>", 3, 0 }, { "</s>", 3, 0 } };
    if (i < 3)
        return first[i];
    if (i >= 259)
        return tiny_pieces[i - 259];
    snprintf(text, 8, "<0x%02X>", (unsigned)(i - 3));
    return (tiny_token){ text, 6, 0 };
}

/* Four keys: model, tokens, scores, token_type. */
static inline void tiny_spm(tiny_file *f)
{
    char text[8];
    tiny_begin(f, 4);
    tiny_key_text(f, "tokenizer.ggml.model", "llama");
    tiny_key_array(f, "tokenizer.ggml.tokens", RB_GGUF_STRING, TINY_N_SPM);
    for (int i = 0; i < TINY_N_SPM; i++)
        tiny_text(f, tiny_spm_token(i, text).text);
    tiny_key_array(f, "tokenizer.ggml.scores", RB_GGUF_F32, TINY_N_SPM);
    for (int i = 0; i < TINY_N_SPM; i++) {
        const float score = tiny_spm_token(i, text).score;
        tiny_put(f, &score, sizeof score);
    }
    tiny_key_array(f, "tokenizer.ggml.token_type", RB_GGUF_I32, TINY_N_SPM);
    for (int i = 0; i < TINY_N_SPM; i++)
        tiny_uint(f, (uint64_t)tiny_spm_token(i, text).type, 4);
}

static inline rb_status tiny_open(rb_tokenizer **t, const tiny_file *f, rb_error *err)
{
    return rb_tokenizer_from_gguf(t, rb_source_memory("tiny.gguf", f->data, f->n), NULL, err);
}

#endif
