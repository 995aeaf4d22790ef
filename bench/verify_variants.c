/* The third check: the same tokens by every instruction set of this machine, in every order of
 * attention, as one prompt, in chunks and token by token, with activations and cache in f32, give
 * the same logits within what rounding can do. Large models run their first layers.
 * Refuses NaN as agreement. Read next: ../engine/engine.h, scaled.c. */
#include "verify_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_PROMPT = 12, CHUNK = 5, N_LOGITS = 2 /* after the prompt, and after one more token */ };
/* All layers run of weights up to so many bytes. */
static const uint64_t small_bytes = 256u << 20;

static const char *const feed_name[] = { "one prompt", "chunks", "token by token",
                                         "chunks that lose a cache row" };

/* ---- how far rounding may go ---- */

/* Sums of K terms of random signs grow as the root of how many there are, and so do the roundings
 * of their parts (Higham & Mary 2019): a product of length K is off by u sqrt(K) of its result.
 * What follows each other adds up in squares. Both sides round, elementwise operations too, and
 * norms may enlarge what they find: four times that. */
static double tolerance_of(const rb_config *c, int64_t n_layer)
{
    const double u = 0x1p-24, h = (double)c->n_embd, o = (double)(c->n_head * c->d_head_v);
    const double ffn = (double)(c->n_ff > c->n_ff_shared ? c->n_ff : c->n_ff_shared);
    const double latent = (double)(c->kv_lora_rank + c->q_lora_rank);
    const double scores = (double)(c->d_head_k + c->kv_lora_rank);
    const double layer = 2 * h + o + ffn + 2 * latent + 2 * scores;
    return 4 * u * sqrt((double)n_layer * layer + h);
}

/* ---- runs ---- */

static rb_status feed_prompt(rb_session *s, const int32_t *ids, rb_feed feed, rb_error *err)
{
    const int64_t step = feed == RB_FEED_WHOLE ? N_PROMPT : feed == RB_FEED_STEPS ? 1 : CHUNK;
    rb_status status = RB_OK;
    for (int64_t at = 0; at < N_PROMPT && status == RB_OK; at += step) {
        const int64_t n = step < N_PROMPT - at ? step : N_PROMPT - at;
        status = rb_session_run(s, step == 1 ? RB_DECODE : RB_PREFILL, ids + at, n, false, err);
        if (feed == RB_FEED_LOSES_A_ROW && at == 0)
            rb_session_set_past(s, step - 1);
    }
    return status;
}

/* logits: [N_LOGITS][n_vocab] */
static rb_status run_one(const rb_model *m, int64_t n_layer, int n_threads, const rb_variant *v,
                         float *logits, rb_error *err)
{
    const int64_t n_vocab = m->config.n_vocab;
    const size_t bytes = (size_t)n_vocab * sizeof *logits;
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    int32_t ids[N_PROMPT + 1];
    for (int i = 0; i <= N_PROMPT; i++)
        ids[i] = (int32_t)((5 * i + 1) % n_vocab);
    p.n_layer = n_layer;
    p.n_ctx = N_PROMPT + 1;
    p.type_k = p.type_v = RB_F32;
    p.attn = v->attn;
    p.isa = v->isa;
    p.n_threads = n_threads;
    p.capped = p.act_f32 = true;
    rb_status status = rb_session_open(&s, m, &p, err);
    if (status == RB_OK)
        status = feed_prompt(s, ids, v->feed, err);
    if (status == RB_OK) {
        memcpy(logits, rb_session_logits(s), bytes);
        status = rb_session_run(s, RB_DECODE, ids + N_PROMPT, 1, false, err);
    }
    if (status == RB_OK)
        memcpy(logits + n_vocab, rb_session_logits(s), bytes);
    rb_session_close(s);
    return status;
}

/* Over the largest of the first's. */
static double deviation_of(const float *got, const float *first, int64_t n)
{
    double most = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - (double)first[i]);
        if (!isfinite(got[i]) || !isfinite(first[i]))
            return INFINITY;
        most = fmax(most, d);
        largest = fmax(largest, fabs((double)first[i]));
    }
    return largest > 0 ? most / largest : INFINITY;
}

/* ---- which runs ---- */

static void add(rb_variants *all, rb_isa isa, rb_attn attn, rb_feed feed)
{
    if (all->n < RB_MOST_VARIANTS)
        all->of[all->n++] = (rb_variant){ .isa = isa, .attn = attn, .feed = feed };
}

/* Of each order: the whole prompt by every instruction set, then, by the highest, the other ways to
 * feed it. The first of all is what the others are held against. Two experts whose scores are
 * closer than rounding may be chosen otherwise, and be seen: that is rare. */
static void list_variants(rb_evidence *e)
{
    rb_attn attn;
    for (int o = 0; (attn = rb_attn_nth(&e->shape->config, o)) < RB_N_ATTN; o++) {
        for (rb_isa isa = RB_ISA_SCALAR; isa <= e->params.isa; isa++)
            if (rb_isa_supported(isa))
                add(&e->variants, isa, attn, RB_FEED_WHOLE);
        add(&e->variants, e->params.isa, attn, RB_FEED_CHUNKS);
        add(&e->variants, e->params.isa, attn, RB_FEED_STEPS);
        if (e->params.faults && o == 0)
            add(&e->variants, e->params.isa, attn, RB_FEED_LOSES_A_ROW);
    }
}

/* ---- gathering ---- */

static rb_status run_all(rb_evidence *e, const rb_model *m, int64_t n_layer, rb_error *err)
{
    rb_variants *all = &e->variants;
    const int64_t n = N_LOGITS * m->config.n_vocab;
    float *first = malloc(2 * (size_t)n * sizeof *first);
    rb_status status = RB_OK;
    if (!first)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for logits");
    list_variants(e);
    all->tolerance = tolerance_of(&m->config, n_layer);
    for (int i = 0; i < all->n && status == RB_OK; i++) {
        rb_variant *v = &all->of[i];
        float *logits = i ? first + n : first;
        status = rb_evidence_step(e, err, "variants: %s, %s, %s", rb_isa_name[v->isa],
                                  rb_attn_name(&m->config, v->attn), feed_name[v->feed]);
        if (status == RB_OK)
            status = run_one(m, n_layer, e->params.n_threads, v, logits, err);
        if (status == RB_OK)
            v->deviation = deviation_of(logits, first, n);
    }
    free(first);
    return status;
}

static rb_status run_scaled(rb_evidence *e, rb_error *err)
{
    rb_dtype type;
    rb_model *m;
    const rb_config small =
        rb_config_scaled(&e->shape->config, e->variants.scaled, sizeof e->variants.scaled);
    rb_matrix_types(e->shape, &type, 1);
    rb_status status = rb_model_synth(&m, &small, type, 1, false, err);
    if (status == RB_OK)
        status = rb_model_pack(m, err);
    if (status == RB_OK)
        status = run_all(e, m, small.n_layer, err);
    rb_model_close(m);
    return status;
}

rb_status rb_variants_gather(rb_evidence *e, rb_error *err)
{
    const rb_config *c = &e->shape->config;
    int64_t n_layer = c->n_expert && c->n_dense_lead > 1 ? c->n_dense_lead + 1 : 2;
    if (!e->model)
        return run_scaled(e, err);
    if (rb_model_bytes(e->model) <= small_bytes || n_layer > c->n_layer)
        n_layer = c->n_layer;
    if (n_layer < c->n_layer)
        snprintf(e->variants.scaled, sizeof e->variants.scaled, "the first %lld of %lld layers",
                 (long long)n_layer, (long long)c->n_layer);
    return run_all(e, e->model, n_layer, err);
}

/* ---- judging ---- */

void rb_variants_judge(const rb_evidence *e, rb_fault fault, rb_finding *found)
{
    const rb_variants *all = &e->variants;
    char where[128], expected[48], claimed[48];
    double most = 0;
    int n = 0;
    *found = (rb_finding){ .verdict = RB_PASSED };
    for (int i = 0; i < all->n; i++) {
        const rb_variant *v = &all->of[i];
        if (v->feed == RB_FEED_LOSES_A_ROW && fault != RB_FAULT_LOST_ROW)
            continue;
        n++;
        most = fmax(most, v->deviation);
        if (v->deviation <= all->tolerance)
            continue;
        snprintf(where, sizeof where, "%s, %s, %s", rb_isa_name[v->isa],
                 rb_attn_name(&e->shape->config, v->attn), feed_name[v->feed]);
        snprintf(expected, sizeof expected, "at most %.2g", all->tolerance);
        snprintf(claimed, sizeof claimed, "%.2g", v->deviation);
        rb_finding_fail(found, where, expected, claimed,
                        "logits differ from those of %s, %s, by %s of the largest; rounding "
                        "explains %s",
                        rb_isa_name[all->of[0].isa], feed_name[all->of[0].feed], claimed, expected);
    }
    if (found->verdict == RB_PASSED)
        rb_finding_pass(found,
                        "%d ways to run %d tokens and one more: logits within %.2g of the largest, "
                        "of %.2g that rounding may do%s%s%s",
                        n, N_PROMPT, most, all->tolerance, all->scaled[0] ? " (" : "", all->scaled,
                        all->scaled[0] ? ")" : "");
}
