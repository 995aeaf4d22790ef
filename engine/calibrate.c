/* What inputs of attention look like, E[x x^T] of each layer, over the windows of a text. Computes
 * on what a session hands out, as sampler.c does on logits: no kernel of a forward pass, so that
 * nothing counts it. Refuses sessions that keep no inputs, and inputs that are not finite.
 * Read next: ../models/attn_convert.h, which wants it. */
#include "session.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>

/* One block of memory: the calibration, its pointers, its numbers. */
typedef struct collected {
    rb_calibration cal;
    double *xx[];
} collected;

uint64_t rb_calibration_bytes(const rb_config *c)
{
    const uint64_t layer = (uint64_t)c->n_embd * (uint64_t)c->n_embd * sizeof(double);
    return sizeof(collected) + (uint64_t)c->n_layer * (sizeof(double *) + layer);
}

static collected *collected_new(const rb_config *c, int64_t n_token, rb_error *err)
{
    collected *to = calloc(1, rb_calibration_bytes(c));
    if (!to) {
        rb_fail(err, RB_ERR_MEMORY, "no memory for E[x x^T] of %lld layers, %lld wide",
                (long long)c->n_layer, (long long)c->n_embd);
        return NULL;
    }
    double *at = (double *)(to->xx + c->n_layer);
    for (int64_t l = 0; l < c->n_layer; l++)
        to->xx[l] = at + l * c->n_embd * c->n_embd;
    to->cal = (rb_calibration){ c->n_layer, c->n_embd, n_token, (const double *const *)to->xx };
    return to;
}

void rb_calibration_close(rb_calibration *cal)
{
    free(cal); /* the first member of its block */
}

/* Adds the last micro-batch's x x^T to the upper half. x: room for its rows. */
static void add_inputs(const rb_session *s, int64_t layer, double *x, double *xx)
{
    const int64_t n = s->batch.n_tok, width = s->model->config.n_embd;
    const float *in = rb_session_attn_input(s, layer);
    for (int64_t i = 0; i < n * width; i++)
        x[i] = (double)in[i];
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, (blasint)width, (blasint)n, 1, x,
                (blasint)width, 1, xx, (blasint)width);
}

static rb_status add_all(rb_session *s, const int32_t *ids, collected *to, double *x,
                         const rb_calibrate_params *how, rb_error *err)
{
    const int64_t n = to->cal.n_token;
    rb_status status = RB_OK;
    for (int64_t at = 0, step; at < n && status == RB_OK; at += step) {
        if (rb_session_n_past(s) == s->params.n_ctx || at == 0)
            rb_session_set_past(s, 0);
        step = s->params.n_ctx - rb_session_n_past(s);
        step = step < s->params.n_ubatch ? step : s->params.n_ubatch;
        step = step < n - at ? step : n - at;
        status = rb_ask_stop(how->stop, how->arg, err);
        if (how->tell && status == RB_OK)
            how->tell(how->arg, at, n);
        if (status == RB_OK)
            status = rb_session_run(s, RB_PREFILL, ids + at, step, false, err);
        for (int64_t l = 0; l < s->n_layer && status == RB_OK; l++)
            add_inputs(s, l, x, to->xx[l]);
    }
    return status;
}

/* From sums of half a matrix to means of the whole. */
static rb_status finish(collected *to, rb_error *err)
{
    const int64_t width = to->cal.n_embd;
    for (int64_t l = 0; l < to->cal.n_layer; l++) {
        double *xx = to->xx[l], trace = 0;
        for (int64_t i = 0; i < width; i++)
            for (int64_t j = i; j < width; j++)
                xx[j * width + i] = xx[i * width + j] /= (double)to->cal.n_token;
        for (int64_t i = 0; i < width; i++)
            trace += xx[i * width + i];
        if (!isfinite(trace))
            return rb_fail(err, RB_ERR_FORMAT,
                           "what attention reads in layer %lld is not finite: it tells nothing",
                           (long long)l);
    }
    return RB_OK;
}

rb_status rb_calibrate(rb_calibration **cal, rb_session *s, const int32_t *ids, int64_t n,
                       const rb_calibrate_params *how, rb_error *err)
{
    const rb_config *c = &s->model->config;
    *cal = NULL;
    if (n < 1 || s->params.n_seq != 1 || s->n_layer != c->n_layer || !rb_session_attn_input(s, 0))
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "tokens, and a session of one sequence and all layers that keeps what "
                       "attention reads, are wanted");
    collected *to = collected_new(c, n, err);
    if (!to)
        return RB_ERR_MEMORY;
    double *x = calloc((size_t)(s->params.n_ubatch * c->n_embd), sizeof *x);
    rb_status status =
        x ? add_all(s, ids, to, x, how, err)
          : rb_fail(err, RB_ERR_MEMORY, "no memory for %lld tokens", (long long)s->params.n_ubatch);
    if (status == RB_OK)
        status = finish(to, err);
    free(x);
    if (status == RB_OK)
        *cal = &to->cal;
    else
        free(to);
    return status;
}
