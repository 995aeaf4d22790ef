/* Between the files that read tokenizer.json: what is read, and how a value is refused.
 * Not for others; knows nothing of GGUF.
 * Read next: tokenizer_json.c. */
#ifndef RB_TOKENIZER_JSON_H
#define RB_TOKENIZER_JSON_H

#include "tokenizer_parts.h"

#include <jansson.h>

typedef struct rb_json_loading {
    rb_tokenizer *t;
    const char *label; /* of tokenizer.json */
    json_t *root, *config;
    bool replaces_blanks; /* the normalizer has U+2581 for them */
    rb_error *err;
} rb_json_loading;

/* The string of a key; "" if there is none. */
const char *rb_json_text(const json_t *object, const char *key);
/* Whether a string is this text; NULL, and what is no string, are not. */
bool rb_json_is(const json_t *string, const char *text);

/* tokenizer_json_steps.c: normalizer, pre_tokenizer, post_processor; the family follows from them.
 * The vocabulary must stand for the last. */
rb_status rb_json_read_normalizer(rb_json_loading *l);
rb_status rb_json_read_pre_tokenizer(rb_json_loading *l);
rb_status rb_json_read_post_processor(rb_json_loading *l);

#endif
