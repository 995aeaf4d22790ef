/* From one GGUF file to another whose weights have other types. Part of models.h.
 * Knows tensors by name and shape alone: a file of an unknown architecture is converted too.
 * Read next: mix.c (which type a tensor gets), convert.c. */
#ifndef RB_CONVERT_H
#define RB_CONVERT_H

#include "attn_form.h"

/* ---- mixes ---- */

/* What the matrices of a file become: one type, or llama.cpp's mix of several under one name. */
typedef struct rb_mix {
    const char *name;   /* "q4_0", "q4_k_m" */
    uint32_t file_type; /* in general.file_type */
    rb_dtype base;
    const struct rb_mix_rule *rule; /* NULL: base throughout */
} rb_mix;

/* In upper or lower case; NULL if unknown. */
const rb_mix *rb_mix_by_name(const char *name);

/* What mixes look at in a model. Zeros are fine where the mix has no rules. */
typedef struct rb_mix_model {
    int64_t n_layer, n_attn_v; /* n_attn_v: tensors of which rb_mix_is_attn_v is true */
    int64_t n_expert;          /* 0: dense */
    bool tied;                 /* the token embedding is the output matrix */
    bool wide_gqa;             /* attn_v is so small beside attn_q that bits for it cost little */
} rb_mix_model;
bool rb_mix_wide_gqa(const char *arch, int64_t n_layer, int64_t n_head, int64_t n_head_kv);
bool rb_mix_is_attn_v(const char *tensor);

/* Whether a tensor is a matrix that changes its type; others (vectors, routers, small ones that are
 * no weights of a product) keep theirs. ne: extents, unused ones 1. */
bool rb_mix_takes(const char *tensor, const int64_t ne[4]);

/* Walks the tensors of a model that are taken, layer by layer (those of no layer first). */
typedef struct rb_mixer {
    const rb_mix *mix;
    rb_mix_model model;
    int64_t i_attn_v, i_ffn_down; /* how many there were; both start at 0 */
} rb_mixer;
/* The type of the next one, whose rows have cols elements: with the fallback if they do not fit. */
rb_dtype rb_mixer_next(rb_mixer *m, const char *tensor, int64_t layer, int64_t cols);

/* ---- conversion ---- */

typedef struct rb_convert_params {
    const rb_mix *mix;                /* NULL: types as they are */
    const struct rb_attn_form *attn;  /* NULL: attention as it is */
    const struct rb_calibration *cal; /* of the model, for attn; may be NULL */
    int n_threads;
    /* Told before each tensor; may be NULL. */
    void (*progress)(void *arg, const char *tensor, int64_t i, int64_t n);
    bool (*stop)(void *arg); /* asked often; true ends it, and nothing is written. May be NULL */
    void *arg;
} rb_convert_params;

/* What became of tensors. Sums are over those that were converted, not copied. */
typedef struct rb_converted {
    int64_t n_tensor, n_copied;
    int64_t n_element;
    uint64_t bytes_before, bytes_after;
    double sum_sq, error_sq; /* of x^2, of (x - x')^2 */
} rb_converted;

typedef struct rb_conversion {
    rb_converted of[RB_FIRST_PACKED]; /* by the type that tensors have now */
    int64_t n_again;                  /* converted tensors that had been quantised before */
    rb_attn_note attn;                /* what became of attention */
} rb_conversion;
/* The sum over all types. */
rb_converted rb_conversion_total(const rb_conversion *c);

/* Reads the GGUF file (of a split set the first) and writes another: all metadata byte for byte but
 * general.file_type, general.quantization_version and, as it is one file, split.*; the same tensors
 * in the same order. Memory does not grow with the model. Refuses to write onto what it reads.
 * With a form of attention its keys and tensors are the converted model's, which is held in memory,
 * and its errors are those of types alone. */
rb_status rb_gguf_convert(const char *from, const char *to, const rb_convert_params *params,
                          rb_conversion *result, rb_error *err);

#endif
