/* The other half of a conversion that changes attention: a converted model in memory, as what
 * convert.c reads, a directory whose tensors are the model's. For convert.c alone.
 * Read next: convert_attn.c. */
#ifndef RB_CONVERT_ATTN_H
#define RB_CONVERT_ATTN_H

#include "gguf.h"
#include "models.h"

typedef struct rb_attn_file {
    rb_model *model;
    rb_gguf weights; /* tensors and, one each, sources in memory; no metadata */
    char *kv;        /* n_kv pairs in place of the source's: rb_attn_file_replaces */
    size_t kv_bytes;
    uint64_t n_kv;
} rb_attn_file;

/* Reads the model whole, and converts it. Zeroed first; to be closed even on failure. */
rb_status rb_attn_file_open(rb_attn_file *a, const char *path, const rb_convert_params *params,
                            rb_error *err);
void rb_attn_file_close(rb_attn_file *a); /* zeros are fine */
bool rb_attn_file_replaces(const rb_attn_file *a, const char *key);

#endif
