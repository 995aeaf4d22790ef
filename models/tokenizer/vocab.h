/* Tokens of a vocabulary by id and by text, and the merges of byte pair encoding by their two
 * parts. Texts are as the file has them. Refuses two tokens of one text, and merges that name no
 * token. Read next: vocab.c, merge.h. */
#ifndef RB_VOCAB_H
#define RB_VOCAB_H

#include "unicode.h"

/* What a file may ask for: far above any real vocabulary. */
enum { RB_MAX_VOCAB = 1 << 24, RB_MAX_MERGE = 1 << 24 };

/* What a token is: bits. */
enum {
    RB_TOKEN_NORMAL = 1 << 0,
    RB_TOKEN_UNKNOWN = 1 << 1, /* stands for what has no token */
    RB_TOKEN_CONTROL = 1 << 2, /* steers the model and has no text of its own */
    RB_TOKEN_USER = 1 << 3,    /* found in a text before all others */
    RB_TOKEN_BYTE = 1 << 4,    /* "<0x0A>" */
    RB_TOKEN_LSTRIP = 1 << 5,  /* takes white space before it, or after it */
    RB_TOKEN_RSTRIP = 1 << 6,
    RB_TOKEN_END = 1 << 7, /* generation ends with it */
};

typedef struct rb_vocab {
    int64_t n;
    rb_text *token; /* in bytes; n 0: an id without a token */
    uint8_t *kind;
    float *score; /* NULL: none */
    size_t longest;
    char *bytes;
    uint32_t *slot; /* hash table of ids + 1 */
    size_t mask;
} rb_vocab;

/* Copies the n texts and kinds, and scores unless NULL. label: what messages call the file. */
rb_status rb_vocab_make(rb_vocab *v, const rb_text *text, const uint8_t *kind, const float *score,
                        int64_t n, const char *label, rb_error *err);
void rb_vocab_free(rb_vocab *v);
int32_t rb_vocab_find(const rb_vocab *v, const char *text, size_t n); /* -1 */
/* Of two texts, one after the other. */
int32_t rb_vocab_find_joined(const rb_vocab *v, rb_text a, rb_text b);

typedef struct rb_merge_rule {
    int32_t left, right, id; /* left -1: none */
    uint32_t rank;
} rb_merge_rule;

typedef struct rb_merge_table {
    rb_merge_rule *slot;
    size_t mask;
} rb_merge_table;

/* For n merges to come. */
rb_status rb_merge_table_make(rb_merge_table *t, int64_t n, rb_error *err);
void rb_merge_table_free(rb_merge_table *t);
/* The merge of two tokens of v; the first of its kind counts. */
rb_status rb_merge_table_add(rb_merge_table *t, const rb_vocab *v, rb_text left, rb_text right,
                             uint32_t rank, const char *label, rb_error *err);
const rb_merge_rule *rb_merge_table_find(const rb_merge_table *t, int32_t left, int32_t right);

#endif
