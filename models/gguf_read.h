/* Between gguf_read.c (one file) and gguf.c (a whole set): not for others.
 * A part is what one file says of itself; only gguf.c puts parts together.
 * Read next: gguf.h. */
#ifndef RB_GGUF_READ_H
#define RB_GGUF_READ_H

#include "gguf.h"

/* What one file says of itself. */
typedef struct rb_gguf_part {
    rb_gguf_kv *kv; /* sorted by key */
    int64_t n_kv;
    uint64_t n_tensor, alignment;
} rb_gguf_part;

/* Reads g->file[file]: appends its tensors to g (owned by g even on failure), hands its metadata
 * over in p (to be freed even on failure). */
rb_status rb_gguf_read_part(rb_gguf *g, int file, rb_gguf_part *p, rb_error *err);
const rb_gguf_kv *rb_gguf_part_kv(const rb_gguf_part *p, const char *key);
void rb_gguf_part_free(rb_gguf_part *p);

#endif
