/* What conversions of attention share: one layer's weights of source and target as q, k and v,
 * however files stack them, and rows that are moved as they are. For models/ only.
 * Knows no form. Read next: attn_convert.c (who calls whom). */
#ifndef RB_ATTN_REFORM_H
#define RB_ATTN_REFORM_H

#include "matrix.h"
#include "../model.h"

typedef struct rb_reform {
    const rb_model *from;
    rb_model *to;
    rb_attn_form form;
    const rb_calibration *cal;
    bool exact; /* the form loses nothing */
    rb_work work;
} rb_reform;

/* Views of a layer's q, k and v, which may be parts of one matrix. */
typedef struct rb_attn_parts {
    rb_view q, k, v, bq, bk, bv;
} rb_attn_parts;
rb_attn_parts rb_attn_parts_of(const rb_config *c, const rb_layer *l);

/* Rows of a matrix and elements of its bias. A row goes where it fits bit for bit. */
typedef struct rb_linear_rows {
    const rb_view *w, *b;
} rb_linear_rows;
/* Copies n rows; zeros and no bias if from.w is NULL. */
void rb_attn_move(rb_work *w, rb_linear_rows to, int64_t to_row, rb_linear_rows from,
                  int64_t from_row, int64_t n);

/* The two columns of a head that are rotated pair j. */
typedef struct rb_pair_columns {
    int64_t a, b;
} rb_pair_columns;
static inline rb_pair_columns rb_pair_of(const rb_config *c, int64_t j)
{
    const bool norm = c->rope_pairing == RB_ROPE_NORM;
    return (rb_pair_columns){ norm ? 2 * j : j, norm ? 2 * j + 1 : j + c->d_rot / 2 };
}

/* Each converts one layer: all memory is there, attention is not written yet. */
void rb_attn_replicate(rb_reform *r, int64_t layer);    /* attn_convert.c: more heads of K and V */
void rb_attn_side_by_side(rb_reform *r, int64_t layer); /* attn_convert.c: all K heads one key */
void rb_attn_pool(rb_reform *r, int64_t layer);         /* attn_pool.c: fewer heads of K and V */
void rb_attn_map(rb_reform *r, int64_t layer);          /* attn_pool.c: fewer maps */
void rb_attn_late(rb_reform *r, int64_t layer);         /* attn_latent.c: lrkv:R */
void rb_attn_joint(rb_reform *r, int64_t layer);        /* attn_latent.c: mla:R */

/* Of lrkv:R at full rank: whether the latent is K and V themselves, or x itself. Then one of its
 * matrices is copied and the other selects. */
typedef enum { RB_BASIS_RANKED, RB_BASIS_HEADS, RB_BASIS_INPUT } rb_basis;
rb_basis rb_attn_late_basis(const rb_reform *r);

/* ---- attn_align.c: what poolings and their tests want ---- */

/* One head's rows of K and of V, and all q heads and columns of W_o that meet it. */
typedef struct rb_head_group {
    const rb_config *c;
    const double *k_norm, *q_norm; /* NULL: K and q are not normed */
    int64_t n;                     /* KV heads that become one */
    int64_t n_q;                   /* q heads of each */
    rb_matrix *k, *v;              /* [n]: d x (H + 1) */
    rb_matrix *q;                  /* [n n_q] */
    rb_matrix *o;                  /* [n n_q]: H x d_v, or NULL */
} rb_head_group;
/* Turns each head so that their mean is largest, and undoes it in q and o: the scores and the
 * output stay what they are. */
void rb_attn_align(rb_work *w, rb_head_group *g);

#endif
