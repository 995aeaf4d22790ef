/* Files for tests: bytes to build and break, GGUF files field by field, temporary folders, vectors.
 * Everything here aborts on its own failures.
 * Read next: test_gguf.c. */
#ifndef RB_TEST_FILES_H
#define RB_TEST_FILES_H

#include "../models/gguf.h"
#include "../models/model.h"

#include <jansson.h>

/* ---- bytes ---- */

typedef struct blob {
    uint8_t *data;
    size_t n, room;
} blob;

/* Appends bytes, or a number, or a text; reads and writes whole files. */
void blob_put(blob *b, const void *data, size_t n);
void blob_uint(blob *b, uint64_t value, int n_bytes); /* little-endian */
void blob_string(blob *b, const char *s);             /* as GGUF: length, then bytes */
void blob_free(blob *b);
blob blob_read(const char *path);
void blob_write(const blob *b, const char *path);

/* ---- folders ---- */

/* A fresh folder; dir_remove deletes it with the files in it. */
typedef struct dir {
    char path[64];
} dir;
dir dir_make(void);
char *dir_file(const dir *d, const char *name); /* path of a file in it, to be freed */
int dir_count(const dir *d);                    /* files in it */
void dir_remove(const dir *d);

/* ---- GGUF files, field by field, valid until a test breaks them ---- */

enum { GGUF_MAX_TENSOR = 32, GGUF_MAX_KV = 48 };

typedef struct gguf_tensor {
    char name[256];
    uint32_t n_dim;
    uint64_t ne[8];
    uint32_t type;
    uint64_t offset;
} gguf_tensor;

typedef struct gguf_file {
    char magic[5];
    uint32_t version;
    uint64_t n_tensor, n_kv;             /* what the header claims */
    int have_tensor, have_kv;            /* what is there */
    blob kv[GGUF_MAX_KV];                /* key, type, value */
    gguf_tensor tensor[GGUF_MAX_TENSOR]; /* offsets are set when added */
    uint64_t data;                       /* bytes of the data section */
    uint64_t alignment;                  /* where the data starts */
} gguf_file;

/* One layer, 32 wide, 2 heads over 1, vocabulary 32, f32 weights. */
gguf_file gguf_make(const char *arch);
void gguf_free(gguf_file *g);
blob gguf_bytes(const gguf_file *g);
void gguf_kv_uint(gguf_file *g, const char *key, uint32_t type, uint64_t value, int n_bytes);
void gguf_kv_u32(gguf_file *g, const char *key, uint32_t value);
void gguf_kv_f32(gguf_file *g, const char *key, float value);
void gguf_kv_string(gguf_file *g, const char *key, const char *value);
void gguf_drop_kv(gguf_file *g, const char *key);
/* ne1 0: a vector. */
void gguf_add_tensor(gguf_file *g, const char *name, uint64_t ne0, uint64_t ne1, uint32_t type);
void gguf_drop_tensor(gguf_file *g, const char *name);
gguf_tensor *gguf_find(gguf_file *g, const char *name);
/* Part no (from 0) of gguf_make's file as three, "m-00001-of-00003.gguf" and so on: the first has
 * all keys and the first 5 tensors. What it says of itself may be wrong. */
void gguf_write_part(const dir *d, int no, int claimed_no, int count, int total);

/* ---- vectors ---- */

/* The JSON in a file, a new reference. */
json_t *json_read(const char *path);
/* tests/vectors/NAME.json, and its config. */
json_t *vector_read(const char *name, rb_config *config);
enum { N_VECTOR = 14 };
extern const char *const vector_name[N_VECTOR];

/* A small valid config of an architecture: 2 layers. */
rb_config small_config(rb_arch arch);

/* Presets, and what tests/vectors/counts_real_models.json calls them. */
enum { N_REAL_MODEL = 7 };
typedef struct real_model {
    const char *preset, *name;
} real_model;
extern const real_model real_models[N_REAL_MODEL];

#endif
