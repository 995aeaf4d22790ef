/* Folders of config.json and safetensors for tests: copies of those in tests/vectors/hf, to be
 * changed, and safetensors files by hand. Everything here asserts.
 * Read next: test_hf.c, test_hf_hostile.c. */
#ifndef RB_TEST_HF_FILES_H
#define RB_TEST_HF_FILES_H

#include "../models/hf/hf.h"
#include "files.h"

enum { N_HF = 13 };
extern const char *const hf_vector[N_HF]; /* folders in tests/vectors/hf */
/* "tests/vectors/hf/NAME/FILE"; buf has 256 bytes. Returns buf. */
char *hf_path(const char *name, const char *file, char *buf);

/* A copy of a vector's config.json with fields of changes ("{...}") in place of its own; null:
 * taken out. */
blob hf_config_with(const char *name, const char *changes);

/* A safetensors file: header as it stands, then n bytes of data. */
blob st_file(const char *header, size_t n);

/* Tensors of a file by name, of f32 or as the file has them, with their bytes. */
typedef struct st_tensor {
    char name[128], type[8];
    int n_dim;
    int64_t shape[3];
    blob data;
} st_tensor;
enum { ST_MOST = 160 };
typedef struct st_set {
    st_tensor of[ST_MOST];
    int n;
} st_set;
st_set *st_read(const char *path);
st_tensor *st_find(st_set *s, const char *name);
void st_drop(st_set *s, const char *name);
/* Zeros. */
void st_add(st_set *s, const char *name, const char *type, int n_dim, const int64_t *shape);
blob st_bytes(const st_set *s);
void st_free(st_set *s);

#endif
