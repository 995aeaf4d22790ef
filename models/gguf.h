/* The directory of a GGUF file: metadata and where its tensors lie, all of it checked.
 * Knows the format and nothing about models; never reads tensor data.
 * Read next: arch.c (metadata to config), gguf_load.c (tensors to weights). */
#ifndef RB_GGUF_H
#define RB_GGUF_H

#include "source.h"

/* What a file may ask for. Far above any real model, low enough that a hostile file fails early. */
enum {
    RB_GGUF_MAX_FILE = 1024,      /* parts of a split model */
    RB_GGUF_MAX_KV = 1 << 16,     /* metadata keys of one file */
    RB_GGUF_MAX_TENSOR = 1 << 16, /* over all parts */
    RB_GGUF_MAX_KEY = 255,        /* bytes of a key */
    RB_GGUF_MAX_NAME = 127,       /* bytes of a tensor's name */
    RB_GGUF_MAX_TEXT = 4096,      /* longer strings are skipped, not kept */
    RB_GGUF_MAX_ALIGNMENT = 1 << 20,
};

typedef enum {
    RB_GGUF_U8,
    RB_GGUF_I8,
    RB_GGUF_U16,
    RB_GGUF_I16,
    RB_GGUF_U32,
    RB_GGUF_I32,
    RB_GGUF_F32,
    RB_GGUF_BOOL,
    RB_GGUF_STRING,
    RB_GGUF_ARRAY,
    RB_GGUF_U64,
    RB_GGUF_I64,
    RB_GGUF_F64,
    RB_GGUF_N_TYPE
} rb_gguf_type;
extern const char *const rb_gguf_type_name[RB_GGUF_N_TYPE];

typedef struct rb_gguf_kv {
    char *key;
    rb_gguf_type type;
    uint64_t n;      /* items of an array, bytes of a string */
    int64_t integer; /* all integer types and bool; a u64 above INT64_MAX becomes INT64_MAX */
    double real;     /* f32 and f64 */
    char *text;      /* a string, unless longer than RB_GGUF_MAX_TEXT */
    uint64_t offset, bytes; /* of key, type and value, in the file */
} rb_gguf_kv;

typedef struct rb_gguf_tensor {
    char *name;
    uint32_t type;  /* ggml type number */
    rb_dtype dtype; /* RB_NO_DTYPE: a type we do not have; its place was then not checked */
    int n_dim;
    int64_t ne[4]; /* ne[0] is contiguous; unused ones are 1 */
    int file;
    uint64_t offset, bytes; /* in the file */
} rb_gguf_tensor;

typedef struct rb_gguf {
    rb_source *file;
    int n_file;
    rb_gguf_kv *kv; /* of the first file, sorted by key */
    int64_t n_kv;
    uint64_t alignment;     /* of the first file's data */
    rb_gguf_tensor *tensor; /* of all files, sorted by name */
    int64_t n_tensor;
} rb_gguf;

/* Reads the directory from first, which g owns from here on, even on failure. If the metadata says
 * so, the other parts of a split model are opened by path; path is NULL for a source in memory. */
rb_status rb_gguf_open(rb_gguf *g, rb_source first, const char *path, rb_error *err);
void rb_gguf_close(rb_gguf *g); /* NULL and half-open are fine */

/* Whether a key holds a whole number, of whatever width. */
bool rb_gguf_is_integer(const rb_gguf_kv *kv);
/* NULL if absent. */
const rb_gguf_kv *rb_gguf_find_kv(const rb_gguf *g, const char *key);
const rb_gguf_tensor *rb_gguf_find_tensor(const rb_gguf *g, const char *name);

/* "q4_K" for 12; types that only have a number come back as "type 77" in buf. */
const char *rb_gguf_dtype_name(uint32_t type, char *buf, size_t size);

#endif
