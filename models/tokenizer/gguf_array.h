/* Values of GGUF metadata that the directory only walked over: arrays, and texts of any length.
 * Read again from where the directory found them; every length is checked anew.
 * Read next: gguf_array.c. */
#ifndef RB_GGUF_ARRAY_H
#define RB_GGUF_ARRAY_H

#include "../gguf.h"
#include "unicode.h"

typedef struct rb_gguf_array {
    uint64_t n;
    uint8_t *value; /* the bytes of key, type and value; owned */
    const uint8_t *item;
    uint64_t n_bytes; /* of all items */
} rb_gguf_array;

/* The array of a key, of this type and at most so many items. */
rb_status rb_gguf_array_read(rb_gguf_array *a, const rb_gguf *g, const rb_gguf_kv *kv,
                             rb_gguf_type type, uint64_t most, rb_error *err);
void rb_gguf_array_free(rb_gguf_array *a);
/* The n texts of an array of strings, allocated: free(*text). They borrow from the array. */
rb_status rb_gguf_array_texts(const rb_gguf_array *a, const char *label, rb_text **text,
                              rb_error *err);
/* A string of any length up to most, allocated, with a NUL at its end. */
rb_status rb_gguf_text_read(char **text, const rb_gguf *g, const rb_gguf_kv *kv, uint64_t most,
                            rb_error *err);

#endif
