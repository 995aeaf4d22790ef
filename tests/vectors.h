/* Models and sessions of the reference vectors: tiny models whose weights follow from a seed, with
 * logits computed in float64. Everything here fails the test on its own errors.
 * Read next: test_vectors.c. */
#ifndef VECTORS_H
#define VECTORS_H

#include "../engine/engine.h"
#include "files.h"

enum { N_VECTOR_PROMPT = 5 }; /* tokens of every vector */

/* Opens tests/vectors/NAME.json and makes its model, f32 weights from seed 1; fails the test. */
rb_model *vector_model(const char *name, json_t **vector);
/* A session with f32 cache and activations, room for 64 tokens and their logits. */
rb_session *vector_session(const rb_model *model, rb_attn attn, rb_isa isa, int n_threads,
                           bool no_fuse);
/* The i-th order of attention that a model can run in; RB_N_ATTN past the last. */
rb_attn vector_order(const rb_model *model, int i);
/* Largest deviation of n logits from a list; NaN is the worst. */
double vector_worst(const float *got, const json_t *want, int64_t n);
double vector_tolerance(const json_t *vector);
/* The list under key as n tokens. */
void vector_tokens(const json_t *vector, const char *key, int32_t *out, size_t n);

/* Largest difference of n logits over the largest of b; NaN where one is. */
double vector_off_by(const float *a, const float *b, int64_t n);

#endif
