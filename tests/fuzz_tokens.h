/* What the fuzzers of tokenizers share: everything that a program does with one it was given.
 * Every id must be one, and what a vocabulary of all bytes makes of a text must spell it.
 * Read next: fuzz_tokenizer.c, fuzz_vocab_gguf.c, fuzz_vocab_json.c. */
#ifndef RB_FUZZ_TOKENS_H
#define RB_FUZZ_TOKENS_H

#include "fuzz_seeds.h"
#include "tiny_vocab.h"

/* Special tokens, blanks, numbers, marks to be composed, what is no UTF-8, runs to be merged. */
static const char fuzz_sentence[] =
    "the  hello's 1234\n\n <s>x>yy <tool><x> \xC3\xA9 e\xCC\x81 \xE4\xBD\xA0"
    "\xE2\x80\x83 a\xFF\xF0\x9F\x98\x80 'LL aaaaabc </s>";

/* Whether the ids of a byte-level vocabulary of all bytes spell the text, repaired: what is no text
 * at all, as "\xF0\x80\x80\x80", is spelt shorter. */
static inline void fuzz_spelt(const rb_tokenizer *t, const int32_t *id, int64_t n, rb_text text)
{
    char *valid;
    size_t n_valid, at = 0;
    if (rb_utf8_repair(text.data, text.n, &valid, &n_valid, NULL) != RB_OK)
        return;
    for (int64_t i = 0; i < n; i++) {
        size_t n_piece;
        const char *piece = rb_tokenizer_piece(t, id[i], true, &n_piece);
        if (n_piece > n_valid - at || memcmp(piece, valid + at, n_piece) != 0)
            abort();
        at += n_piece;
    }
    if (at != n_valid)
        abort();
    free(valid);
}

static inline void fuzz_encode(const rb_tokenizer *t, rb_text text, rb_encode how, bool spells)
{
    int32_t *id;
    int64_t n;
    char *back;
    size_t n_back;
    if (rb_tokenizer_encode(t, text.data, text.n, how, &id, &n, NULL) != RB_OK)
        abort(); /* nothing is refused but what is too long */
    for (int64_t i = 0; i < n; i++) {
        size_t n_piece;
        if (!rb_tokenizer_piece(t, id[i], i & 1, &n_piece))
            abort(); /* no such id */
        (void)rb_tokenizer_is_end(t, id[i]);
    }
    if (rb_tokenizer_decode(t, id, n, &back, &n_back, NULL) != RB_OK)
        abort();
    if (spells && !how.special)
        fuzz_spelt(t, id, n, text);
    free(back);
    free(id);
}

/* What a reader of vocabularies left behind, with a text of all kinds. */
static inline void fuzz_opened(rb_status status, rb_tokenizer *t, const rb_error *err)
{
    if ((status == RB_OK) != (t != NULL) || (status != RB_OK && !err->text[0]))
        abort(); /* a refusal leaves nothing and says why */
    for (int way = 0; way < 4 && t; way++)
        fuzz_encode(t, (rb_text){ fuzz_sentence, sizeof fuzz_sentence - 1 },
                    (rb_encode){ way & 1, way & 2 }, false);
    rb_tokenizer_close(t);
}

#endif
