/* The directory of safetensors files: names, types, shapes and places of tensors, all checked.
 * Knows the format and nothing about models; never reads tensor data.
 * Read next: hf_load.c (tensors to weights). */
#ifndef RB_SAFETENSORS_H
#define RB_SAFETENSORS_H

#include "../source.h"

/* What files may ask for. Far above any real model, low enough that hostile ones fail early. */
enum {
    RB_ST_MAX_FILE = 1024,
    RB_ST_MAX_TENSOR = 1 << 18,  /* over all files: each expert has three of its own */
    RB_ST_MAX_HEADER = 16 << 20, /* bytes of JSON, of an index too */
    RB_ST_MAX_NAME = 255,        /* bytes of a tensor's name, and of a file's */
    RB_ST_MAX_DIM = 8,
};

typedef struct rb_st_tensor {
    char *name;
    char type[12];  /* as the file spells it: "BF16" */
    rb_dtype dtype; /* RB_NO_DTYPE: a type we do not have */
    int n_dim;
    int64_t shape[RB_ST_MAX_DIM]; /* the last is contiguous */
    int file;
    uint64_t offset, bytes; /* in the file */
} rb_st_tensor;

typedef struct rb_safetensors {
    rb_source *file;
    int n_file;
    rb_st_tensor *tensor; /* of all files, sorted by name */
    int64_t n_tensor;
} rb_safetensors;

/* Reads the directories of a folder's model.safetensors, or of all parts that its
 * model.safetensors.index.json names. */
rb_status rb_safetensors_open(rb_safetensors *s, const char *dir, rb_error *err);
/* One file, which s owns from here on, even on failure. */
rb_status rb_safetensors_open_one(rb_safetensors *s, rb_source file, rb_error *err);
void rb_safetensors_close(rb_safetensors *s); /* NULL and half-open are fine */

/* NULL if absent. */
const rb_st_tensor *rb_safetensors_find(const rb_safetensors *s, const char *name);

#endif
