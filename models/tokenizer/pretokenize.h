/* How byte-level tokenizers cut a text before merging: the expressions that models were trained
 * with, as tables. No general regular expressions: what is not one of these is refused by its
 * caller. Read next: pretokenize.c, split_rules.c. */
#ifndef RB_PRETOKENIZE_H
#define RB_PRETOKENIZE_H

#include "unicode.h"

/* One expression of alternatives: what it matches becomes pieces, what lies between matches too. */
typedef struct rb_split_rule rb_split_rule;

enum { RB_MAX_SPLIT = 8 };

/* Expressions one after the other, each within the pieces of those before. */
typedef struct rb_pretokenizer {
    const rb_split_rule *rule[RB_MAX_SPLIT];
    int n_rule;
} rb_pretokenizer;

/* What tokenizer.ggml.pre of a GGUF file names; false if it is not known. ignore_merges: a piece
 * that is a token is not merged; adds_bos: unless the file says otherwise. */
typedef struct rb_pre_defaults {
    bool ignore_merges, adds_bos;
} rb_pre_defaults;
bool rb_pretokenizer_by_name(rb_pretokenizer *p, const char *name, rb_pre_defaults *d);
/* All these names, between blanks, into buf. */
void rb_pretokenizer_names(char *buf, size_t size);

/* The rule of a regular expression as tokenizer.json spells it; NULL if it is not known. */
const rb_split_rule *rb_split_rule_of(const char *pattern);

/* Marks where pieces start: RB_CHAR_FIRST in the kinds. */
void rb_pretokenize(const rb_pretokenizer *p, rb_chars *c);

#endif
