/* Attention of one layer in double, from the formulas and not from the engine: grouped, latent and
 * late. Written for clarity; allocations abort on failure.
 * Read next: ref_attn.c. */
#ifndef REF_ATTN_H
#define REF_ATTN_H

#include "../models/models.h"

/* Which turn of the rotary embedding pair j of a layer makes at each position, in the test's own
 * words. */
double ref_turn(const rb_model *m, int64_t layer, int64_t j);
/* o[T][H] of inputs x[T][H] at positions 0 .. T-1. */
void ref_attention(const rb_model *m, int64_t layer, const double *x, int64_t n_tok, double *o);
/* Logits [T][V] of a model whose feed-forward is dense: the whole forward pass in double. */
void ref_forward(const rb_model *m, const int32_t *ids, int64_t n_tok, double *logits);
/* ||a - b||_F / ||b||_F */
double ref_relative(const double *a, const double *b, int64_t n);

#endif
