/* A GGUF v3 file as it is written: header, metadata, directory, padding and data in their places.
 * Knows nothing of models; what the file holds comes from those who call.
 * Read next: gguf_write.c (a model), convert.c (another file). */
#ifndef RB_GGUF_FILE_H
#define RB_GGUF_FILE_H

#include "gguf.h"

/* Little-endian, n bytes. stdio keeps its errors until they are asked for. */
void rb_put_uint(FILE *f, uint64_t u, int n);
void rb_put_string(FILE *f, const char *s);

typedef struct rb_gguf_entry {
    char name[RB_GGUF_MAX_NAME + 1];
    int n_dim;
    int64_t ne[4];
    rb_dtype dtype;
    uint64_t bytes;
} rb_gguf_entry;

typedef struct rb_gguf_content {
    uint64_t n_kv, kv_bytes; /* pairs, and the bytes that put_kv writes */
    int64_t n_tensor;
    uint64_t alignment; /* as the metadata have it */
    rb_status (*put_kv)(FILE *f, void *arg, rb_error *err);
    rb_gguf_entry (*entry)(const void *arg, int64_t i);
    /* entry(i).bytes of data; what f says of itself is looked at after each tensor. */
    rb_status (*put_data)(FILE *f, void *arg, int64_t i, rb_error *err);
    void *arg;
    bool (*stop)(void *arg); /* NULL: never; asked between tensors, and before the name is given */
    void *stop_arg;
} rb_gguf_content;

/* Complete or not at all: see rb_replace_file. */
rb_status rb_gguf_put(const rb_gguf_content *content, const char *path, rb_error *err);

#endif
