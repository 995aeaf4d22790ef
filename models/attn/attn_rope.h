/* K heads as components that rotate together (RoRoPE): of each frequency the pairs of columns of
 * all heads are mixed by a unitary matrix, which rotary embedding commutes with; queries follow.
 * For models/ only. Knows matrices of K and q; where they come from is attn_latent.c's. Read next:
 * attn_rope.c. */
#ifndef RB_ATTN_ROPE_H
#define RB_ATTN_ROPE_H

#include "attn_reform.h"

/* One rotated pair of one component: principal component `part` of frequency `pair`. */
typedef struct rb_component {
    int64_t pair, part;
    double harm; /* of its power, what is lost if it stands still */
} rb_component;

typedef struct rb_rotation {
    const rb_config *c;
    double complex *u;  /* [pair][part][KV head]: row `part` is a vector over heads */
    rb_component *kept; /* those that go on rotating, most harmful first; then the others */
    int64_t n_kept, n;  /* n = n_head_kv d_rot / 2 */
    double still_scale; /* what cos and sin of both sides were multiplied by, squared */
} rb_rotation;

/* Components of K (and K S, of which its powers are), of which n_kept go on rotating. */
rb_rotation rb_rotation_find(rb_work *w, const rb_model *m, const rb_matrix *k, const rb_matrix *ks,
                             int64_t n_kept);
/* Rows of the components of K: of those that rotate, as pairs of t's, or of those that do not,
 * followed by columns that never did. */
rb_matrix rb_rotation_keys(rb_work *w, const rb_rotation *r, const rb_config *t, const rb_matrix *k,
                           bool rotating);
/* What of a q head meets the components that rotate: d_rot rows, as pairs of t's. */
rb_matrix rb_rotation_queries(rb_work *w, const rb_rotation *r, const rb_config *t,
                              const rb_matrix *q, int64_t kv_head);
/* A head of K out of the components that stand still: [those rows][d_head_k], transposed. */
rb_matrix rb_rotation_still(rb_work *w, const rb_rotation *r, int64_t kv_head);

#endif
