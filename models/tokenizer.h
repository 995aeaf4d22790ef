/* Text to token ids and back, by the vocabulary that comes with a model.
 * Two families: byte-level BPE (merges, after the text was cut by a pre-tokenizer) and
 * SentencePiece BPE (scores, bytes where no piece fits). Refuses other kinds by name; knows no
 * model and no logits. Read next: tokenizer.c. */
#ifndef RB_TOKENIZER_H
#define RB_TOKENIZER_H

#include "../kernels/kernels.h"

typedef struct rb_tokenizer rb_tokenizer;

/* The tokenizer of MODEL: metadata of a GGUF file, tokenizer.json (with tokenizer_config.json) of a
 * Hugging Face directory. Fails with RB_ERR_UNSUPPORTED, saying why, if it has none or one that is
 * not done here. No weights are read. */
rb_status rb_tokenizer_open(rb_tokenizer **t, const char *model, rb_error *err);
void rb_tokenizer_close(rb_tokenizer *t); /* NULL and half-built are fine */

/* Ids of n_bytes of text, allocated: free(*ids). Any bytes will do, UTF-8 or not; NUL too; 1 GiB at
 * most. As in llama.cpp, byte-level vocabularies see U+FFFD for each byte that is part of no
 * character, those of SentencePiece see the byte. Kinds of characters are those of utf8proc's
 * Unicode: characters that later versions assigned may be cut otherwise than by a peer that knows
 * them. special: what the model wants around a text (BOS, EOS) is added. parse: where the text
 * spells a special token ("<|im_start|>") it becomes that token. */
typedef struct rb_encode {
    bool special, parse;
} rb_encode;
rb_status rb_tokenizer_encode(const rb_tokenizer *t, const char *text, size_t n_bytes,
                              rb_encode how, int32_t **ids, int64_t *n, rb_error *err);

/* The bytes that a token stands for, which may be a part of a UTF-8 character; special (control)
 * tokens stand for nothing, unless named. Borrowed; NULL and 0 for ids out of range. A
 * SentencePiece text starts with a space that was not there: rb_tokenizer_adds_space says so. */
const char *rb_tokenizer_piece(const rb_tokenizer *t, int32_t id, bool named, size_t *n_bytes);
bool rb_tokenizer_adds_space(const rb_tokenizer *t);
/* The text of n tokens but special ones, allocated: free(*text). UTF-8 always: U+FFFD stands for
 * bytes that are none. It may have NULs; one more ends it, which *n_bytes does not count. */
rb_status rb_tokenizer_decode(const rb_tokenizer *t, const int32_t *ids, int64_t n, char **text,
                              size_t *n_bytes, rb_error *err);

/* Ids are from 0 to this - 1. */
int64_t rb_tokenizer_n_vocab(const rb_tokenizer *t);
/* -1 if it has none. */
int32_t rb_tokenizer_bos(const rb_tokenizer *t);
int32_t rb_tokenizer_eos(const rb_tokenizer *t);
/* Whether encoding with special puts BOS first. */
bool rb_tokenizer_adds_bos(const rb_tokenizer *t);
/* Whether generation ends there: EOS, and what ends a turn of a chat. */
bool rb_tokenizer_is_end(const rb_tokenizer *t, int32_t id);
/* "bpe llama-bpe", "spm" ...: for tables. */
const char *rb_tokenizer_kind(const rb_tokenizer *t);
/* The chat template that comes with the model (a text in Jinja), NULL if there is none. Borrowed.
 */
const char *rb_tokenizer_chat_template(const rb_tokenizer *t);

#endif
