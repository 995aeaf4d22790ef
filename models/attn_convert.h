/* Attention of a model in another form, in memory. Part of models.h.
 * Refuses packed models, and whatever attn_form.h refuses.
 * Read next: attn_convert.c; attn_pool.c and attn_latent.c for the arithmetic. */
#ifndef RB_ATTN_CONVERT_H
#define RB_ATTN_CONVERT_H

#include "attn_form.h"

/* What inputs of attention look like: E[x x^T] of what follows attn_norm, for each layer H x H,
 * symmetric. Ranks then are cut where real inputs lose least. engine/ collects it. */
typedef struct rb_calibration {
    int64_t n_layer, n_embd; /* the model's */
    int64_t n_token;         /* of how many it is the mean */
    const double *const *xx; /* [n_layer] */
} rb_calibration;

/* A new model of its own: everything but attention is copied, matrices of attention are written in
 * the types of the source's, or in f16 where their rows are no whole blocks of it (note.n_refit).
 * What is exact is copied bit for bit. Weights of gta are made up, as a preset's are
 * (note.synthetic): speed and counts are those of its shape, its logits mean nothing. A dry model
 * converts to a dry one.
 * cal: NULL, or what low ranks are chosen by (rb_attn_form_has_rank); pooled heads know the weights
 * alone. Refuses one of another shape. */
rb_status rb_attn_convert(rb_model **converted, const rb_model *from, const rb_attn_form *form,
                          const rb_calibration *cal, rb_error *err);

#endif
