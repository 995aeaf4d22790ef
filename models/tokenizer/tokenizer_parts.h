/* What a tokenizer is made of: for the files that build one (tokenizer_gguf.c, tokenizer_json.c),
 * for those that encode with it, and for tests. Refuses nothing itself; others take tokenizer.h.
 * Read next: tokenizer.c. */
#ifndef RB_TOKENIZER_PARTS_H
#define RB_TOKENIZER_PARTS_H

#include "merge.h"
#include "pretokenize.h"
#include "../source.h"
#include "../tokenizer.h"
#include "vocab.h"

typedef enum {
    RB_TOKENIZER_BYTES,  /* byte-level BPE: any byte is a symbol, merges have ranks */
    RB_TOKENIZER_SCORES, /* SentencePiece BPE as GGUF has it: any text that is a token may be merged
                          */
    RB_TOKENIZER_CHARS,  /* the same as tokenizer.json has it: characters are symbols, merges */
} rb_tokenizer_family;

/* When a text gets a blank before it that was not there. */
typedef enum {
    RB_BLANK_NEVER,
    RB_BLANK_ALWAYS,   /* every text between special tokens */
    RB_BLANK_MISSING,  /* every such text that does not begin with one */
    RB_BLANK_AT_START, /* the same, if it is the first and nothing is before it */
} rb_blank;

/* A token that is found in the text before it is cut. */
typedef struct rb_special {
    rb_text text;
    int32_t id;
} rb_special;

/* Longest first wherever they are, as llama.cpp has it; or leftmost, then longest, as the package
 * tokenizers has it: then items are in the order of their bytes. */
typedef struct rb_specials {
    rb_special *item;
    size_t n;
    bool leftmost;
} rb_specials;

enum { RB_MAX_AFFIX = 8 };

struct rb_tokenizer {
    rb_tokenizer_family family;
    char kind[64];
    rb_vocab vocab;
    rb_text *piece; /* the bytes that tokens stand for */
    char *piece_bytes;
    int32_t byte_id[256]; /* -1: none */
    rb_merge_table merges;
    rb_pretokenizer pre;
    bool ignore_merges; /* a word that is a token is not merged */
    bool repairs;       /* the text is made valid UTF-8 before anything else */
    bool composes;      /* form C */
    bool fuse_unknown;  /* neighbours without a token share one unknown */
    bool spaces_first;  /* of CHARS: U+2581 for blanks before normalized special tokens are looked
                           for */
    bool splits_blanks; /* of CHARS: a word starts at every blank */
    rb_blank blank;
    rb_specials special[2];    /* in the text, then in the normalized text */
    char *special_bytes;       /* of texts that are not the vocabulary's */
    int32_t bos, eos, unknown; /* -1: none */
    int32_t prefix[RB_MAX_AFFIX], suffix[RB_MAX_AFFIX];
    int n_prefix, n_suffix;
    char *chat_template;
};

/* ---- building ---- */

/* From the bytes of a GGUF file, or of a directory's files; config, chat: NULL if there are none.
 * path: to open other parts of a split model; may be NULL. On failure there is no tokenizer. */
rb_status rb_tokenizer_from_gguf(rb_tokenizer **t, rb_source source, const char *path,
                                 rb_error *err);
typedef struct rb_tokenizer_texts {
    const char *label; /* of tokenizer.json, for messages */
    rb_text tokenizer, config, chat_template;
} rb_tokenizer_texts;
/* From the texts of a directory's files: data is NULL where one is absent, of tokenizer.json never.
 */
rb_status rb_tokenizer_from_json(rb_tokenizer **t, const rb_tokenizer_texts *texts, rb_error *err);

/* The same from the files of a directory. */
rb_status rb_tokenizer_from_directory(rb_tokenizer **t, const char *path, rb_error *err);

/* Sets byte_id from the vocabulary. */
void rb_tokenizer_map_bytes(rb_tokenizer *t);
/* The bytes that tokens stand for, once kinds are final. */
rb_status rb_tokenizer_finish(rb_tokenizer *t, const char *label, rb_error *err);
/* Marks tokens that end generation, by their texts and as eos; as control tokens too if asked. */
void rb_tokenizer_mark_ends(rb_tokenizer *t, bool as_control);
void rb_specials_sort(rb_specials *s);
/* The character that stands for a byte in byte-level vocabularies. */
uint32_t rb_byte_char(uint8_t byte);

/* ---- encoding ---- */

/* A part of a text: a token (id), or text to be encoded (-1). */
typedef struct rb_fragment {
    size_t at, n;
    int32_t id;
} rb_fragment;
typedef struct rb_fragments {
    rb_fragment *item;
    size_t n, room;
    bool failed; /* out of memory */
} rb_fragments;
rb_status rb_specials_split(const rb_specials *s, const rb_vocab *v, rb_text text, bool parse,
                            rb_fragments *f, rb_error *err);

/* Ids of a text without special tokens, appended to m. at_start: nothing is before it. */
rb_status rb_encode_text(const rb_tokenizer *t, rb_merger *m, rb_text text, bool at_start,
                         rb_error *err);
/* U+2581 for blanks, and one more in front where t wants it; allocated. */
rb_status rb_escape_blanks(const rb_tokenizer *t, rb_text text, bool at_start, char **out,
                           size_t *n_out, rb_error *err);

#endif
