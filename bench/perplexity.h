/* How well a model foretells a text, and how far other ways of running it are from the first one.
 * Windows are llama.cpp's, so that figures can be laid beside each other: the text is cut into
 * windows of n_ctx tokens, each from an empty cache, and in each the tokens after its first half
 * are foretold. Read next: perplexity.c. */
#ifndef RB_PERPLEXITY_H
#define RB_PERPLEXITY_H

#include "../engine/engine.h"

/* Rows of logits that a session must have room for (n_logits). */
static inline int64_t rb_perplexity_rows(int64_t n_ctx)
{
    return n_ctx - n_ctx / 2 - 1;
}

/* One way of running a model, over the windows so far. The reference is the first. */
typedef struct rb_judged {
    int64_t n;        /* tokens foretold */
    double nll, nll2; /* sums of -ln p(token), and of its square */
    double kl, kl2; /* sums of D_KL(reference || this) over the same places, in nats; its square */
    double kl_max;
    int64_t n_same;               /* places where both have the same best token */
    double dlogit_max, logit_max; /* largest |difference|; largest |logit| of the reference */
    uint64_t ns;                  /* of its runs */
    int64_t n_run;                /* tokens run */
} rb_judged;

/* What the sums say of the tokens that were foretold. */
double
rb_judged_ppl(const rb_judged *j); /* exp of the mean of -ln p; NaN if nothing was foretold */
double rb_judged_ppl_se(const rb_judged *j); /* its standard error, as llama.cpp has it */
double rb_judged_kl(const rb_judged *j);     /* mean */
double rb_judged_kl_se(const rb_judged *j);

typedef struct rb_perplexity_params {
    int64_t n_ctx;           /* tokens of a window, >= 4; the sessions have as many cache rows */
    int64_t n_window;        /* most windows; 0: all */
    int32_t bos;             /* takes the place of a window's first token; -1: nothing does */
    bool (*stop)(void *arg); /* asked between windows; NULL: never. Of a window that a session's
                                own stop cuts short, or that fails, nothing counts */
    void (*tell)(void *arg, const rb_judged *first, int64_t n_done, int64_t n_window); /* or NULL */
    void *arg;
} rb_perplexity_params;

/* Fails for a text of less than one window. */
rb_status rb_perplexity_check(int64_t n_ids, int64_t n_ctx, rb_error *err);

/* Runs n_session sessions of models with one vocabulary over ids[n_ids], of which at least one
 * window is wanted, and fills judged[n_session]. What was judged before a stop or a failure stays.
 * Logits that are no numbers fail. */
rb_status rb_perplexity(rb_session *const *session, int n_session, int64_t n_vocab,
                        const int32_t *ids, int64_t n_ids, const rb_perplexity_params *params,
                        rb_judged *judged, rb_error *err);

/* ---- what is told ---- */

typedef struct rb_judged_row {
    const char *model, *variant; /* file name; "gqa" ... */
    const rb_judged *judged;
} rb_judged_row;

typedef struct rb_perplexity_told {
    const rb_judged_row *row; /* the reference first */
    int n_row;
    const char *text; /* file name */
    const char *commit, *isa, *type_k, *type_v, *act;
    int64_t n_ctx, n_ids;
    int n_threads;
} rb_perplexity_told;

/* A table in markdown, and one JSON object a row; both flush. */
rb_status rb_perplexity_table(FILE *out, const rb_perplexity_told *told, rb_error *err);
rb_status rb_perplexity_json(FILE *out, const rb_perplexity_told *told, rb_error *err);

#endif
