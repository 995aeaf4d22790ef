/* Perplexity and divergence over the windows of a text. Computes on logits, never on weights.
 * The sums over a vocabulary are of doubles, their exponentials of floats.
 * Read next: perplexity.h. */
#include "perplexity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what sums say ---- */

static double mean(double sum, int64_t n)
{
    return n > 0 ? sum / (double)n : NAN;
}

static double mean_se(double sum, double squares, int64_t n)
{
    const double m = mean(sum, n), variance = mean(squares, n) - m * m;
    return n > 1 ? sqrt((variance > 0 ? variance : 0) / (double)(n - 1)) : NAN;
}

double rb_judged_ppl(const rb_judged *j)
{
    return exp(mean(j->nll, j->n));
}

double rb_judged_ppl_se(const rb_judged *j)
{
    return mean_se(j->nll, j->nll2, j->n) * rb_judged_ppl(j);
}

double rb_judged_kl(const rb_judged *j)
{
    return mean(j->kl, j->n);
}

double rb_judged_kl_se(const rb_judged *j)
{
    return mean_se(j->kl, j->kl2, j->n);
}

/* ---- one place ---- */

/* Logits of one place as a distribution. */
typedef struct row {
    const float *logit;
    int64_t best;
    double log_sum; /* ln of the sum of exp(logit) */
} row;

/* Four sums, so that additions need not wait for each other. */
static row read_row(const float *logit, int64_t n)
{
    row r = { .logit = logit, .best = rb_argmax(logit, n) };
    const float top = logit[r.best];
    double sum[4] = { 0 };
    for (int64_t i = 0; i < n; i++)
        sum[i & 3] += (double)expf(logit[i] - top);
    r.log_sum = (double)top + log(sum[0] + sum[1] + sum[2] + sum[3]);
    return r;
}

static void add_token(rb_judged *j, const row *r, int32_t token)
{
    const double nll = r->log_sum - (double)r->logit[token];
    j->nll += nll;
    j->nll2 += nll * nll;
    j->n++;
}

/* D_KL(p || q) = sum of p (ln p - ln q). */
static void add_divergence(rb_judged *j, const row *p, const row *q, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double difference = (double)p->logit[i] - (double)q->logit[i];
        sum += exp((double)p->logit[i] - p->log_sum) * difference;
        j->dlogit_max = fmax(j->dlogit_max, fabs(difference));
        j->logit_max = fmax(j->logit_max, fabs((double)p->logit[i]));
    }
    const double kl = sum - (p->log_sum - q->log_sum);
    j->kl += kl;
    j->kl2 += kl * kl;
    j->kl_max = fmax(j->kl_max, kl);
    j->n_same += p->best == q->best;
}

/* ---- windows ---- */

static rb_status run_window(rb_session *s, const int32_t *ids, int64_t n_ctx, rb_judged *j,
                            rb_error *err)
{
    const int64_t half = n_ctx / 2;
    const uint64_t start = rb_now_ns();
    rb_session_set_past(s, 0);
    rb_status st = rb_session_run(s, RB_PREFILL, ids, half, false, err);
    if (st == RB_OK && rb_session_n_past(s) == half)
        st = rb_session_run(s, RB_PREFILL, ids + half, rb_perplexity_rows(n_ctx), true, err);
    j->ns += rb_now_ns() - start;
    j->n_run += n_ctx - 1;
    return st;
}

/* Every session at the i-th place; next: the token that comes there. */
static rb_status judge_place(rb_session *const *s, int n_session, int64_t n_vocab, int64_t i,
                             int32_t next, rb_judged *judged, rb_error *err)
{
    const row first = read_row(rb_session_logits(s[0]) + i * n_vocab, n_vocab);
    for (int k = 0; k < n_session; k++) {
        const row r = k ? read_row(rb_session_logits(s[k]) + i * n_vocab, n_vocab) : first;
        if (!isfinite(r.log_sum) || !isfinite(r.logit[next]))
            return rb_fail(err, RB_ERR_FORMAT, "the model's logits are no finite numbers");
        add_token(&judged[k], &r, next);
        if (k)
            add_divergence(&judged[k], &first, &r, n_vocab);
    }
    return RB_OK;
}

/* whole: whether every session came to its end. */
static rb_status judge_window(rb_session *const *s, int n_session, int64_t n_vocab,
                              const int32_t *ids, int64_t n_ctx, rb_judged *judged, bool *whole,
                              rb_error *err)
{
    const int64_t half = n_ctx / 2;
    rb_status st = RB_OK;
    *whole = true;
    for (int k = 0; k < n_session && st == RB_OK && *whole; k++) {
        st = run_window(s[k], ids, n_ctx, &judged[k], err);
        *whole = rb_session_n_past(s[k]) == n_ctx - 1;
    }
    if (!*whole)
        return st;
    for (int64_t i = 0; i < rb_perplexity_rows(n_ctx) && st == RB_OK; i++)
        st = judge_place(s, n_session, n_vocab, i, ids[half + i + 1], judged, err);
    return st;
}

rb_status rb_perplexity_check(int64_t n_ids, int64_t n_ctx, rb_error *err)
{
    return n_ids >= n_ctx
               ? RB_OK
               : rb_fail(err, RB_ERR_FORMAT,
                         "the text has %lld tokens; one window of %lld at least is wanted",
                         (long long)n_ids, (long long)n_ctx);
}

rb_status rb_perplexity(rb_session *const *session, int n_session, int64_t n_vocab,
                        const int32_t *ids, int64_t n_ids, const rb_perplexity_params *p,
                        rb_judged *judged, rb_error *err)
{
    int64_t n_window = n_ids / p->n_ctx;
    memset(judged, 0, (size_t)n_session * sizeof *judged);
    rb_status st = rb_perplexity_check(n_ids, p->n_ctx, err);
    if (st != RB_OK)
        return st;
    if (p->n_window && p->n_window < n_window)
        n_window = p->n_window;
    int32_t *window = malloc((size_t)p->n_ctx * sizeof *window);
    rb_judged *before = malloc((size_t)n_session * sizeof *before);
    if (!window || !before) {
        free(window);
        free(before);
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a window of tokens");
    }
    bool whole = true;
    for (int64_t w = 0; w < n_window && st == RB_OK && whole && !(p->stop && p->stop(p->arg));
         w++) {
        memcpy(window, ids + w * p->n_ctx, (size_t)p->n_ctx * sizeof *window);
        if (p->bos >= 0)
            window[0] = p->bos;
        memcpy(before, judged, (size_t)n_session * sizeof *before);
        st = judge_window(session, n_session, n_vocab, window, p->n_ctx, judged, &whole, err);
        if (st != RB_OK || !whole) /* rows are of the same places, all of them */
            memcpy(judged, before, (size_t)n_session * sizeof *before);
        else if (p->tell)
            p->tell(p->arg, &judged[0], w + 1, n_window);
    }
    free(before);
    free(window);
    return st;
}
