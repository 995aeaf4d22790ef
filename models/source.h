/* Bytes to read a model from: a regular file, or memory (tests and fuzzers).
 * Positioned reads only; nothing is mapped, so weights end up in private memory.
 * Read next: gguf.h. */
#ifndef RB_SOURCE_H
#define RB_SOURCE_H

#include "../kernels/kernels.h"

typedef struct rb_source {
    char label[128];     /* what messages call it: the path, or its end if long */
    int fd;              /* -1: memory */
    const uint8_t *data; /* borrowed */
    uint64_t size;
} rb_source;

/* A file for positioned reads, or memory that outlives the source. Fails with RB_ERR_IO. */
rb_status rb_source_open(rb_source *s, const char *path, rb_error *err);
rb_source rb_source_memory(const char *label, const void *data, uint64_t size);
void rb_source_close(rb_source *s); /* NULL is fine */

/* Bytes [offset, offset + n); a range beyond the end fails with RB_ERR_FORMAT. */
rb_status rb_source_read(const rb_source *s, uint64_t offset, void *dst, uint64_t n, rb_error *err);

/* The file name within the label, without folders. */
const char *rb_source_base_name(const rb_source *s);

#endif
