/* One model in the forms of attention that --attn asks for, in memory beside each other: what a
 * benchmark compares, and what eval, generate and perplexity run.
 * Knows no arithmetic: conversions are ../models/attn_convert.h's, orders ../engine/engine.h's.
 * Read next: forms.c. */
#ifndef RB_FORMS_H
#define RB_FORMS_H

#include "shared.h"

enum { RB_MAX_FORM = 32, RB_JUDGE_WINDOW = 514 /* of which 256 places are judged */ };

typedef struct rb_forms {
    /* The model as it is, then each form that a way wants, once; packed. shape: the same, dry. */
    rb_model *model[RB_MAX_FORM + 1], *shape[RB_MAX_FORM + 1];
    rb_attn_form form[RB_MAX_FORM + 1];
    char digest[RB_MAX_FORM + 1][RB_DIGEST];
    int n;
    rb_way way[RB_MAX_FORM]; /* as --attn lists them; without it the model's own */
    int n_way;
    rb_formed formed[RB_MAX_FORM]; /* model[1] and on, for rb_subject */
    rb_judged judged[RB_MAX_FORM];
} rb_forms;

/* Whether a command runs such a model; shape is dry. Fails with the reason. */
typedef rb_status rb_accept(const rb_args *args, const rb_model *shape, rb_error *err);

typedef struct rb_forms_params {
    const rb_mix *mix;     /* of a preset, or NULL */
    bool dry;              /* no weights: model and shape are one */
    bool digest;           /* tell that of each model */
    bool lean;             /* what no way runs is closed before the rest is packed: NULL */
    rb_accept *accept;     /* of all that ways run, asked before weights are read; NULL: anything */
    const char *calibrate; /* a text that low ranks are chosen by, or NULL */
    int64_t n_layer;       /* of a preset: its first so many layers alone; 0: all */
    const rb_args *args;   /* for accept and calibrate */
    const char *const *word; /* of --attn */
    int n_word, n_threads;
} rb_forms_params;

/* Opens MODEL dry and counts what all forms need of memory before any weight is read; then reads,
 * converts and packs. args has --attn and, unless dry, -t. Close it also after a failure. */
rb_status rb_forms_open(rb_forms *f, const rb_args *args, const char *name,
                        const rb_forms_params *params, rb_error *err);
rb_status rb_forms_open_words(rb_forms *f, const char *name, const rb_forms_params *params,
                              rb_error *err);
void rb_forms_close(rb_forms *f);

/* What forms are judged by. */
typedef struct rb_judge_params {
    const char *text; /* a file, by the tokenizer of MODEL; NULL: synthetic tokens */
    uint64_t seed;    /* of those */
    int n_threads;
} rb_judge_params;

/* How far each form is from the model as it is, in f32: over the second half of a window of
 * RB_JUDGE_WINDOW tokens. What was judged stands in f->formed.
 * *defect: the failure is that a form which claims to be exact is not. */
rb_status rb_forms_judge(rb_forms *f, const char *name, const rb_judge_params *params, bool *defect,
                         rb_error *err);

#endif
