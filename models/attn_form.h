/* Forms of attention that one set of weights can be given: what they are called, and which shape a
 * model has in them. Part of models.h.
 * Knows numbers only; weights are attn_convert.h's.
 * Read next: attn_form.c (what is refused, and why), attn_convert.h. */
#ifndef RB_ATTN_FORM_H
#define RB_ATTN_FORM_H

#include "../kernels/kernels.h"

struct rb_config;

typedef enum {
    RB_FORM_MHA,
    RB_FORM_GQA,  /* gqa:G: G heads of K and V (Ainslie et al. 2023) */
    RB_FORM_MQA,  /* gqa:1 (Shazeer 2019) */
    RB_FORM_MLA,  /* mla: all K heads side by side are one rotated key; mla:R[:d_r]: a latent of R
                     columns and a rotated key of d_r (DeepSeek-AI 2024; Meng et al. 2025) */
    RB_FORM_LRKV, /* lrkv:R: K and V from a latent of R columns, rotated after expansion */
    RB_FORM_GVA,  /* gva:G: G attention maps, a value head for each output head (Sun et al. 2025) */
    RB_FORM_GHA,  /* gha:G: G maps and G heads of V, paired so that no pair comes twice */
    RB_FORM_GTA,  /* gta: one map for four heads over one K head and one latent value of twice its
                     width, a gate (Sun et al. 2025): no weights convert to it, they are made up */
    RB_N_FORM
} rb_form;

typedef struct rb_attn_form {
    rb_form form;
    int64_t n;     /* G or R; 0: none was given */
    int64_t d_rot; /* of mla:R:d_r; 0: as many as are rotated of a head */
} rb_attn_form;

/* What became of a model whose attention was converted. */
typedef struct rb_attn_note {
    bool converted, exact; /* exact: nothing is lost, in what is stored neither */
    bool synthetic;        /* weights of attention are random: a shape, not the model */
    rb_attn_form form;
    int64_t n_calibrated; /* tokens of whose inputs ranks were chosen; 0: by the weights alone */
    int64_t n_refit;      /* matrices whose rows are no whole blocks of their type: they are f16 */
    char refit[48];       /* the first of them */
} rb_attn_note;

/* "mha", "gqa:G", "mqa", "mla", "mla:R", "mla:R:d_r", "lrkv:R", "gva:G", "gha:G", "gta". */
rb_status rb_attn_form_parse(rb_attn_form *form, const char *text, rb_error *err);
/* The text that gives the form when it is parsed. */
const char *rb_attn_form_text(const rb_attn_form *form, char *buf, size_t size);
/* The shape of model c in that form; fails, saying why, where weights of c cannot take it. Of gta,
 * by the proportions of its paper's models, n_q maps of d = d_head_k, each of four heads (where 4
 * does not divide n_head, of as many as its least divisor from 3 on), one K head of d, one latent
 * value of 2 d, n_embd / n_q columns that a map decodes of it, biases: 3 d cached a token. */
rb_status rb_attn_form_config(struct rb_config *converted, const struct rb_config *c,
                              const rb_attn_form *form, rb_error *err);
/* Whether it keeps directions of K and V that matter most: mla:R and lrkv:R. */
bool rb_attn_form_has_rank(const rb_attn_form *form);
/* Whether a model of c computes the same function in that form, which it can take. */
bool rb_attn_form_is_exact(const struct rb_config *c, const rb_attn_form *form);

#endif
