/* A bench: a model, its dry twin, and what tests of it need beforehand. It refuses to start what
 * would not fit in memory, or could not be counted in 63 bits.
 * Read next: trial.c (one test), schedule.c (many), sessions.c (what they share). */
#include "run.h"

#include <stdlib.h>
#include <string.h>

double rb_flops_per_token(const rb_model *m)
{
    const rb_config *c = &m->config;
    const double per_expert = 3.0 * (double)c->n_embd * (double)c->n_ff_expert;
    const double moe = c->n_expert ? (double)(c->n_layer - c->n_dense_lead) : 0;
    const double idle = moe * (double)(c->n_expert - c->n_expert_used) * per_expert;
    return 2 * ((double)m->n_params - idle) / (double)c->n_layer;
}

uint64_t rb_model_bytes(const rb_model *m)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < m->n_buffer; i++)
        sum += m->buffer[i]->bytes;
    return sum;
}

uint64_t rb_memory_total(const rb_memory *m)
{
    return m->weights + m->kv + m->scratch;
}

rb_status rb_bench_open(rb_bench **b, rb_model *model, rb_model *shape,
                        const rb_bench_params *params, rb_error *err)
{
    *b = NULL;
    if (params->cache_bytes && params->cache_bytes < 64)
        return rb_fail(err, RB_ERR_ARGUMENT, "a last cache of %llu bytes: less than a line",
                       (unsigned long long)params->cache_bytes);
    *b = calloc(1, sizeof **b);
    if (!*b)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a benchmark");
    (*b)->params = *params;
    (*b)->pmu = params->dry ? NULL : rb_pmu_open("", &rb_pmu_kernel);
    rb_status st = rb_bench_add(*b, model, shape, err);
    if (st == RB_OK)
        st = rb_tokens_open(&(*b)->tokens, model->config.n_vocab, params->seed, err);
    if (st != RB_OK) {
        rb_bench_close(*b);
        *b = NULL;
    }
    return st;
}

rb_status rb_bench_add(rb_bench *b, rb_model *model, rb_model *shape, rb_error *err)
{
    rb_runner *grown = realloc(b->runner, (size_t)(b->n_runner + 1) * sizeof *grown);
    if (!grown)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a benchmark");
    b->runner = grown;
    b->runner[b->n_runner++] = (rb_runner){ model, shape };
    return RB_OK;
}

rb_model *rb_model_for(const rb_bench *b, const rb_test *t)
{
    return b->runner[t->model].model;
}

void rb_bench_close(rb_bench *b)
{
    if (!b)
        return;
    rb_slots_close(b);
    rb_pmu_close(b->pmu);
    rb_tokens_close(&b->tokens);
    free(b->ids);
    free(b->runner);
    free(b);
}

/* ---- memory ---- */

/* Counts are exact as long as they fit: an upper bound in floating point, before any is taken. */
static rb_status check_countable(const rb_model *m, const rb_test *t, rb_error *err)
{
    const rb_config *c = &m->config;
    double tokens = (double)(t->n_prompt + t->n_gen) * (double)t->n_seq;
    double layers = (double)(t->n_layer > c->n_layer ? t->n_layer : c->n_layer);
    double per_token = 2.0 * (double)m->n_params / (double)c->n_layer * layers +
                       4.0 * (double)c->n_vocab * (double)c->n_embd;
    double per_pair = layers * (double)c->n_head * (double)(2 * c->d_head_k + 2 * c->d_head_v + 8);
    if (c->kv_lora_rank) /* the latent may be expanded for every pair */
        per_pair += layers * (double)c->n_head * 2 * (double)c->kv_lora_rank *
                    (double)(c->d_head_k + c->d_head_v);
    double sum = tokens * (per_token + per_pair * (double)rb_context_of(t));
    if (rb_context_of(t) > INT32_MAX || 8 * sum > 9e18)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "the counts of this test would not fit in 63 bits; use fewer tokens");
    if (t->n_seq > c->n_vocab)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "%lld sequences cannot draw disjoint ids from a vocabulary of %lld",
                       (long long)t->n_seq, (long long)c->n_vocab);
    return RB_OK;
}

/* Weights that are in memory once the model has the layers that a test asks for. */
static uint64_t weights_for(const rb_model *m, int64_t n_layer)
{
    int64_t more = n_layer > m->n_layer_alloc ? n_layer - m->n_layer_alloc : 0;
    return rb_model_bytes(m) + (uint64_t)more * (uint64_t)rb_model_layer_bytes(m);
}

rb_status rb_session_memory(rb_bench *b, int model, const rb_session_params *params, rb_memory *m,
                            rb_error *err)
{
    const rb_runner *r = &b->runner[model];
    rb_session_params p = *params;
    rb_session *s = NULL;
    rb_status st = RB_OK;
    p.dry = true;
    p.n_threads = 1;
    if (p.n_layer > r->shape->n_layer_alloc) {
        if (r->shape == r->model) /* a dry run: its session borrows the layers that move */
            rb_slots_close(b);
        st = rb_model_extend(r->shape, p.n_layer, err);
    }
    if (st == RB_OK)
        st = rb_session_open(&s, r->shape, &p, err);
    if (st == RB_OK) {
        m->kv = (uint64_t)rb_session_kv_bytes(s);
        m->scratch = (uint64_t)rb_session_scratch_bytes(s);
    }
    rb_session_close(s);
    return st;
}

rb_status rb_bench_memory(rb_bench *b, const rb_test *t, rb_memory *m, rb_error *err)
{
    *m = (rb_memory){ 0 };
    if (t->outside < 0 || t->outside > b->params.n_outside)
        return rb_fail(err, RB_ERR_ARGUMENT, "test.outside is %d: the benchmark has %d", t->outside,
                       b->params.n_outside);
    const rb_status st = check_countable(rb_model_for(b, t), t, err);
    if (st != RB_OK)
        return st;
    m->weights = weights_for(rb_model_for(b, t), t->n_layer);
    const rb_session_params p = rb_params_for(b, t);
    return rb_session_memory(b, t->model, &p, m, err);
}

uint64_t rb_bench_need(const rb_bench *b, const rb_test *t, const rb_memory *m)
{
    return rb_memory_total(m) - rb_model_bytes(rb_model_for(b, t));
}

rb_status rb_bench_check_memory(const rb_bench *b, const rb_test *t, const rb_memory *m,
                                rb_error *err)
{
    const uint64_t available = rb_host_available(), need = rb_bench_need(b, t, m);
    const uint64_t copies = need - m->kv - m->scratch;
    if (b->params.dry || !available || need <= available)
        return RB_OK;
    return rb_fail(err, RB_ERR_MEMORY,
                   "out of memory: needs %.2f GB more (copied layers %.2f, cache %.2f, scratch "
                   "%.2f) but %.2f GB are available; use fewer layers, tokens or sequences",
                   (double)need / 1e9, (double)copies / 1e9, (double)m->kv / 1e9,
                   (double)m->scratch / 1e9, (double)available / 1e9);
}
