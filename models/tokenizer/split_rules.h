/* Between split_rules.c (which expressions there are) and pretokenize.c (how they match): what an
 * expression is made of. Not for others; refuses to be a language for all expressions.
 * Read next: split_rules.c. */
#ifndef RB_SPLIT_RULES_H
#define RB_SPLIT_RULES_H

#include "pretokenize.h"

/* Characters with a kind of any and with none of none. */
typedef struct rb_char_set {
    uint32_t any, none;
} rb_char_set;

typedef enum {
    RB_MATCH_END,         /* of a list of alternatives */
    RB_MATCH_RUN,         /* lead? body{least,most} tail*, greedy; lead_needed: lead body... */
    RB_MATCH_CONTRACTION, /* 's|'t|'re|'ve|'m|'ll|'d */
    RB_MATCH_CONTRACTION_ANY_CASE,
    RB_MATCH_CONTRACTION_FOLDED, /* any case, and U+017F is an s */
    RB_MATCH_NEWLINES,           /* \s*[\r\n]+ */
    RB_MATCH_SPACES_BUT_LAST,    /* \s+(?!\S) */
    RB_MATCH_TRAILING_SPACES,    /* \s+$, alone in its rule */
} rb_match;

typedef struct rb_alternative {
    rb_match match;
    rb_char_set lead, body, tail;
    bool lead_needed;
    size_t least, most; /* 0: one and any number */
} rb_alternative;

enum { RB_MAX_ALTERNATIVE = 7 };

struct rb_split_rule {
    const char *pattern; /* as files of tokenizer.json spell it; NULL: they do not */
    rb_alternative alternative[RB_MAX_ALTERNATIVE + 1];
};

/* Kinds of characters that only these expressions know. */
enum {
    RB_CHAR_ALPHA = RB_CHAR_FREE << 0,       /* [A-Za-z] */
    RB_CHAR_DIGIT = RB_CHAR_FREE << 1,       /* [0-9] */
    RB_CHAR_ASCII_PUNCT = RB_CHAR_FREE << 2, /* all that ASCII prints but letters, digits, blank */
    RB_CHAR_MATHS = RB_CHAR_FREE << 3,       /* [$+<=>^~|] */
    RB_CHAR_TICK = RB_CHAR_FREE << 4,        /* [`] */
    RB_CHAR_CASED = RB_CHAR_FREE << 5,       /* deepseek-llm's letters */
    RB_CHAR_MARKS = RB_CHAR_FREE << 6,       /* its punctuation, without white space */
    RB_CHAR_EAST = RB_CHAR_FREE << 7,        /* its CJK from U+0800 on, without white space */
    RB_CHAR_MARKS_SPACE = RB_CHAR_FREE << 8, /* the white space in these two */
    RB_CHAR_EAST_SPACE = RB_CHAR_FREE << 9,
    RB_CHAR_KANA_HAN = RB_CHAR_FREE << 10, /* deepseek-v3's CJK */
};

/* Those of the kinds above that a character has; only what is wanted is looked up. */
uint32_t rb_split_kind(uint32_t c, uint32_t wanted);

#endif
