/* How far forms of attention are from the model they were made of: both run one window of a text
 * or of synthetic tokens, with f32 caches and activations, so that nothing but the form differs.
 * A form that claims to be exact and is not is refused. Read next: ../bench/perplexity.c. */
#include "forms.h"
#include "session_options.h"

#include <stdlib.h>

static const double exact_within = 1e-4;

/* ---- tokens ---- */

static rb_status synthetic_ids(int64_t n_vocab, uint64_t seed, int32_t **ids, int64_t n,
                               rb_error *err)
{
    rb_tokens tokens;
    *ids = calloc((size_t)n, sizeof **ids);
    if (!*ids)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for tokens");
    const rb_status st = rb_tokens_open(&tokens, n_vocab, seed, err);
    if (st == RB_OK)
        rb_tokens_fill(&tokens, *ids, 1, 0, n);
    rb_tokens_close(&tokens);
    return st;
}

/* ---- one form ---- */

static rb_status open_one(const rb_forms *f, int i, const rb_session_params *params, rb_session **s,
                          rb_error *err)
{
    rb_session_params p = *params;
    p.gelu_erf = f->model[i]->config.gelu_erf;
    const rb_status st = rb_open_session(s, f->model[i], f->shape[i], &p, err);
    if (st == RB_OK)
        rb_session_set_stop(*s, rb_stop, NULL);
    return st;
}

static rb_status check_exact(const rb_forms *f, int i, bool *defect, rb_error *err)
{
    const rb_judged *j = &f->judged[i - 1];
    char form[48];
    if (!f->model[i]->attn.exact || j->dlogit_max <= exact_within * j->logit_max)
        return RB_OK;
    *defect = true;
    return rb_fail(err, RB_ERR_UNSUPPORTED,
                   "attention in the form %s should be exact, but logits are off by %.1e of the "
                   "largest: a defect of rbench, please report it",
                   rb_attn_form_text(&f->form[i], form, sizeof form), j->dlogit_max / j->logit_max);
}

/* The model itself runs again beside each form, so that no more than two are held. */
static rb_status judge_one(rb_forms *f, int i, const rb_session_params *params, const int32_t *ids,
                           bool *defect, rb_error *err)
{
    const rb_perplexity_params p = { .n_ctx = params->n_ctx, .n_window = 1, .bos = -1 };
    rb_session *s[2] = { NULL, NULL };
    rb_judged judged[2];
    rb_status st = open_one(f, 0, params, &s[0], err);
    if (st == RB_OK)
        st = open_one(f, i, params, &s[1], err);
    if (st == RB_OK)
        st = rb_perplexity(s, 2, f->model[0]->config.n_vocab, ids, params->n_ctx, &p, judged, err);
    if (st == RB_OK && judged[1].n) {
        f->judged[i - 1] = judged[1];
        f->formed[i - 1].judged = &f->judged[i - 1];
        st = check_exact(f, i, defect, err);
    }
    rb_session_close(s[0]);
    rb_session_close(s[1]);
    return st;
}

rb_status rb_forms_judge(rb_forms *f, const char *name, const rb_judge_params *params, bool *defect,
                         rb_error *err)
{
    rb_session_params p = rb_session_defaults();
    int32_t *ids = NULL;
    int64_t n = RB_JUDGE_WINDOW;
    *defect = false;
    p.n_ctx = p.n_ubatch = RB_JUDGE_WINDOW;
    p.n_logits = rb_perplexity_rows(RB_JUDGE_WINDOW);
    p.type_k = p.type_v = RB_F32;
    p.act_f32 = true;
    p.n_threads = params->n_threads;
    rb_status st = rb_isa_of(NULL, &p.isa, &p.capped, err);
    if (st == RB_OK)
        st = params->text ? rb_ids_of_file(name, params->text, &ids, &n, NULL, err)
                          : synthetic_ids(f->model[0]->config.n_vocab, params->seed, &ids, n, err);
    if (st == RB_OK)
        st = rb_perplexity_check(n, RB_JUDGE_WINDOW, err);
    for (int i = 1; i < f->n && st == RB_OK && !rb_signal(); i++)
        if (!f->model[i]->attn.synthetic)
            st = judge_one(f, i, &p, ids, defect, err);
    free(ids);
    return st;
}
