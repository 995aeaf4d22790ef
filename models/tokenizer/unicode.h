/* Text as characters: UTF-8 that may be broken, and what kind each character is, by utf8proc.
 * Refuses nothing: a byte that is part of no character becomes U+FFFD. Knows no tokenizer.
 * Read next: pretokenize.h. */
#ifndef RB_UNICODE_H
#define RB_UNICODE_H

#include "../../kernels/kernels.h"

typedef struct rb_text {
    const char *data; /* need not end with NUL, may have some within */
    size_t n;
} rb_text;

/* Kinds of characters: bits, of which a character may have several. */
enum {
    RB_CHAR_ANY = 1 << 0,     /* every character */
    RB_CHAR_LETTER = 1 << 1,  /* the general categories L, N, P, S and M */
    RB_CHAR_NUMBER = 1 << 2,  /* */
    RB_CHAR_PUNCT = 1 << 3,   /* */
    RB_CHAR_SYMBOL = 1 << 4,  /* */
    RB_CHAR_MARK = 1 << 5,    /* */
    RB_CHAR_SPACE = 1 << 6,   /* White_Space */
    RB_CHAR_NEWLINE = 1 << 7, /* CR, LF */
    RB_CHAR_BLANK = 1 << 8,   /* U+0020 */
    RB_CHAR_FREE = 1 << 9,    /* this and higher bits are the caller's */
    RB_CHAR_FIRST = 1 << 30,  /* a piece of text starts here: rb_pretokenize */
};
uint32_t rb_char_kind(uint32_t c);

/* The character at *at, which moves past it. Overlong forms and surrogates are taken as they are;
 * what is no sequence, or beyond U+10FFFF, is U+FFFD for one byte. *at is less than n. */
uint32_t rb_utf8_next(const char *s, size_t n, size_t *at);
enum { RB_UTF8_MAX = 4 };
/* Bytes written to dst, RB_UTF8_MAX at most. */
size_t rb_utf8_put(char *dst, uint32_t c);

/* A text taken apart: valid UTF-8 (U+FFFD for what was not), and of each character where it starts
 * in that, and its kind. at has n + 1 items. */
typedef struct rb_chars {
    char *text;
    size_t *at;
    uint32_t *kind;
    size_t n;
} rb_chars;
rb_status rb_chars_make(rb_chars *c, const char *text, size_t n_bytes, rb_error *err);
void rb_chars_free(rb_chars *c);

/* Allocated texts: as valid UTF-8, and in normalization form C. */
rb_status rb_utf8_repair(const char *text, size_t n, char **out, size_t *n_out, rb_error *err);
rb_status rb_utf8_compose(const char *text, size_t n, char **out, size_t *n_out, rb_error *err);

#endif
