/* Sessions: cache, activations and scratch planned once at opening, then prefill and decode without
 * an allocation. Refuses contexts that do not fit, ids outside the vocabulary.
 * Read next: forward.c. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

rb_session_params rb_session_defaults(void)
{
    rb_session_params p = { .n_seq = 1,
                            .n_ctx = 512,
                            .n_ubatch = 512,
                            .n_logits = 1,
                            .type_k = RB_F16,
                            .type_v = RB_F16,
                            .n_threads = 1 };
    if (rb_isa_detect(&p.isa, &p.capped, NULL) != RB_OK)
        p.isa = RB_ISA_SCALAR;
    return p;
}

static rb_status check_params(const rb_model *model, rb_session_params *p, rb_error *err)
{
    const int64_t limit = (int64_t)1 << 31;
    if (p->n_layer == 0)
        p->n_layer = model->config.n_layer;
    if (!p->dry && !model->tok_embd.buffer->data)
        return rb_fail(err, RB_ERR_ARGUMENT, "a model without weights can only be counted (dry)");
    const int64_t have = model->n_layer_alloc;
    if (p->n_layer < 1 || p->n_layer > have)
        return rb_fail(err, RB_ERR_ARGUMENT, "%lld layers: the model has %lld",
                       (long long)p->n_layer, (long long)have);
    if (p->n_seq < 1 || p->n_ctx < 1 || p->n_ubatch < 1 || p->n_logits < 1 || p->n_ctx >= limit ||
        p->n_seq > 65536 || p->n_logits > p->n_ctx)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "%lld sequences of %lld tokens, micro-batches of %lld: out of range",
                       (long long)p->n_seq, (long long)p->n_ctx, (long long)p->n_ubatch);
    if (p->n_ubatch > p->n_ctx)
        p->n_ubatch = p->n_ctx;
    const rb_attn_variant *v = p->variant;
    if (v && (!v->name || !v->geom || !v->project || !v->expose || !v->merge))
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "a variant of attention wants name, geom, project, expose and merge");
    if (!rb_is_cache_dtype(p->type_k) || !rb_is_cache_dtype(p->type_v))
        return rb_fail(err, RB_ERR_ARGUMENT, "the cache holds f32, f16, bf16, q8_0 or q4_0");
    if (p->attn < RB_ATTN_OWN || p->attn >= RB_N_ATTN ||
        (p->attn != RB_ATTN_OWN && !rb_config_is_mla(&model->config)))
        return rb_fail(err, RB_ERR_ARGUMENT, "attention of %s has no such order",
                       rb_arch_name[model->config.arch]);
    return RB_OK;
}

static void set_positions(rb_session *s)
{
    const int64_t n_tok = s->batch.n_tok;
    int32_t *pos = s->pad.pos.data;
    for (int64_t q = 0; q < s->params.n_seq; q++) {
        s->past[q] = s->n_past;
        for (int64_t t = 0; t < n_tok; t++)
            pos[q * n_tok + t] = (int32_t)(s->n_past + t);
    }
    const int64_t n_keys = s->n_past + n_tok;
    int32_t *key_pos = s->pad.key_pos.data;
    for (int64_t i = 0; key_pos && i < s->params.n_seq * n_keys; i++)
        key_pos[i] = (int32_t)(i % n_keys);
}

/* Walks the shapes that can need the most scratch on a dry team, and reserves it: each small number
 * of tokens, where kernels choose by shape, then a whole micro-batch; all at the end of the
 * context, with the fewest and the most rows through the head, in every order of attention. */
static rb_status plan_scratch(rb_session *s, rb_team *dry, rb_error *err)
{
    const int64_t ub = s->params.n_ubatch;
    for (int64_t n = 1; n <= ub; n = n < RB_FEW_TOKENS ? n + 1 : n < ub ? ub : ub + 1) {
        const int64_t most = n < s->params.n_logits ? n : s->params.n_logits;
        s->n_past = s->params.n_ctx - n;
        for (int64_t heads = 1; heads <= most; heads += heads < most ? most - heads : 1) {
            s->batch = (rb_batch){ .n_tok = n, .n_head = heads, .n_logits = heads };
            set_positions(s);
            for (int i = 0; (s->attn = rb_attn_possible(s, i)) < RB_N_ATTN; i++)
                rb_step(dry, rb_forward, s);
        }
    }
    s->attn = rb_attn_possible(s, 0);
    s->n_past = 0;
    return rb_team_reserve(s->team, rb_team_scratch_needed(dry), err);
}

static rb_status open_team(rb_session *s, rb_error *err)
{
    const rb_session_params *p = &s->params;
    rb_team_params team = { .registry = p->registry,
                            .n_threads = p->n_threads,
                            .isa = p->isa,
                            .capped = p->capped,
                            .dry = p->dry,
                            .act_f32 = p->act_f32,
                            .prove = p->prove,
                            .cache_bytes = p->cache_bytes,
                            .n_layer = s->model->config.n_expert ? p->n_layer : 0 };
    rb_team *dry = NULL;
    rb_status status = rb_team_open(&s->team, &team, err);
    if (status != RB_OK)
        return status;
    team.dry = true;
    team.prove = false;
    team.cache_bytes = 0;
    status = rb_team_open(&dry, &team, err);
    if (status == RB_OK)
        status = plan_scratch(s, dry, err);
    if (status == RB_OK && rb_attn_possible(s, 1) < RB_N_ATTN)
        s->planner = dry;
    else
        rb_team_close(dry);
    return status;
}

rb_status rb_session_open(rb_session **out, const rb_model *model, const rb_session_params *params,
                          rb_error *err)
{
    *out = NULL;
    rb_session *s = calloc(1, sizeof *s);
    if (!s)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a session");
    s->model = model;
    s->params = *params;
    rb_status status = check_params(model, &s->params, err);
    if (status != RB_OK)
        goto fail;
    s->n_layer = s->params.n_layer;
    s->past = calloc((size_t)s->params.n_seq, sizeof *s->past);
    if (!s->past) {
        status =
            rb_fail(err, RB_ERR_MEMORY, "no memory for %lld sequences", (long long)s->params.n_seq);
        goto fail;
    }
    if ((status = rb_kv_open(s, err)) != RB_OK || (status = rb_pad_open(s, err)) != RB_OK ||
        (status = open_team(s, err)) != RB_OK)
        goto fail;
    rb_rope_fill(s);
    *out = s;
    return RB_OK;
fail:
    rb_session_close(s);
    return status;
}

void rb_session_close(rb_session *s)
{
    if (!s)
        return;
    rb_pad_close(s);
    rb_kv_close(s);
    rb_team_close(s->team);
    rb_team_close(s->planner);
    free(s->past);
    free(s);
}

static rb_status check_run(const rb_session *s, const int32_t *tokens, int64_t n_tok,
                           bool all_logits, rb_error *err)
{
    const rb_session_params *p = &s->params;
    if (n_tok < 1 || n_tok > p->n_ctx - s->n_past)
        return rb_fail(err, RB_ERR_ARGUMENT, "%lld tokens after %lld: the context holds %lld",
                       (long long)n_tok, (long long)s->n_past, (long long)p->n_ctx);
    if (all_logits && n_tok > p->n_logits)
        return rb_fail(err, RB_ERR_ARGUMENT, "logits of %lld rows: the session holds %lld",
                       (long long)n_tok, (long long)p->n_logits);
    if (!tokens)
        return p->dry ? RB_OK : rb_fail(err, RB_ERR_ARGUMENT, "tokens are wanted");
    for (int64_t i = 0; i < p->n_seq * n_tok; i++)
        if (tokens[i] < 0 || tokens[i] >= s->model->config.n_vocab)
            return rb_fail(err, RB_ERR_ARGUMENT, "token %d: the vocabulary has %lld", tokens[i],
                           (long long)s->model->config.n_vocab);
    return RB_OK;
}

static void run_batch(rb_session *s, const int32_t *tokens, int64_t first, int64_t n_tok_all)
{
    const rb_batch *b = &s->batch;
    int32_t *ids = s->pad.ids.data;
    for (int64_t q = 0; tokens && q < s->params.n_seq; q++)
        memcpy(ids + q * b->n_tok, tokens + q * n_tok_all + first, (size_t)b->n_tok * sizeof *ids);
    set_positions(s);
    s->attn = rb_attn_choose(s);
    rb_step(s->team, rb_forward, s);
    s->n_past += b->n_tok;
}

rb_status rb_session_run(rb_session *s, rb_phase phase, const int32_t *tokens, int64_t n_tok,
                         bool all_logits, rb_error *err)
{
    const rb_status status = check_run(s, tokens, n_tok, all_logits, err);
    if (status != RB_OK)
        return status;
    for (int64_t first = 0; first < n_tok; first += s->params.n_ubatch) {
        if (first > 0 && s->stop && s->stop(s->stop_arg))
            return RB_OK;
        const int64_t rest = n_tok - first;
        const int64_t n = rest < s->params.n_ubatch ? rest : s->params.n_ubatch;
        s->batch = (rb_batch){ .phase = phase,
                               .n_tok = n,
                               .head_row = all_logits ? first : 0,
                               .n_head = all_logits ? n : n == rest,
                               .n_logits = all_logits ? n_tok : 1,
                               .ids_known = tokens != NULL };
        run_batch(s, tokens, first, n_tok);
    }
    return RB_OK;
}

const rb_model *rb_session_model(const rb_session *s)
{
    return s->model;
}

rb_view rb_session_cache(const rb_session *s, int64_t layer, int piece)
{
    return piece ? s->kv[layer].v : s->kv[layer].k;
}

const int64_t *rb_session_past(const rb_session *s)
{
    return s->past;
}

rb_view rb_session_pad(const rb_session *s, int i, int64_t n_head, int64_t d)
{
    return rb_pad_heads(s, &s->pad.own[i], n_head, d);
}

rb_view rb_session_rope_table(const rb_session *s, int64_t layer)
{
    return rb_pad_rope_table(s, layer);
}

rb_view rb_session_positions(const rb_session *s)
{
    return rb_pad_positions(s);
}

const float *rb_session_logits(const rb_session *s)
{
    return s->pad.logits.data;
}

const float *rb_session_attn_input(const rb_session *s, int64_t layer)
{
    const float *all = s->pad.attn_in.data;
    const int64_t rows = s->params.n_seq * s->params.n_ubatch;
    return all ? all + layer * rows * s->model->config.n_embd : NULL;
}

int64_t rb_session_n_past(const rb_session *s)
{
    return s->n_past;
}

void rb_session_set_past(rb_session *s, int64_t n_past)
{
    s->n_past = n_past < 0 ? 0 : n_past < s->params.n_ctx ? n_past : s->params.n_ctx;
}

void rb_session_set_layers(rb_session *s, int64_t n_layer)
{
    if (n_layer < 1 || n_layer > s->params.n_layer)
        abort(); /* a programmer's mistake, as in the door */
    s->n_layer = n_layer;
}

void rb_session_set_stop(rb_session *s, bool (*stop)(void *arg), void *arg)
{
    s->stop = stop;
    s->stop_arg = arg;
}

void rb_session_trace(rb_session *s, rb_trace *trace)
{
    rb_team_trace(s->team, trace);
}

rb_attn rb_session_attn(const rb_session *s)
{
    return s->attn;
}

const rb_routing *rb_session_routing(const rb_session *s, rb_phase phase, int64_t layer)
{
    const rb_routing *r = rb_team_routing(s->team, phase, layer);
    return r && r->calls ? r : NULL;
}

void rb_session_clear(rb_session *s)
{
    rb_team_clear(s->team);
}

rb_ledger *rb_session_ledger(rb_session *s)
{
    return rb_team_ledger(s->team);
}

bool rb_session_models_dram(const rb_session *s)
{
    return rb_team_models_dram(s->team);
}

const rb_costed *rb_session_last(const rb_session *s, rb_phase phase, rb_site site)
{
    return rb_team_last(s->team, phase, site);
}

const rb_proof *rb_session_proof(const rb_session *s)
{
    return rb_team_proof(s->team);
}

int64_t rb_session_kv_bytes(const rb_session *s)
{
    int64_t sum = 0;
    for (int64_t l = 0; l < s->n_layer; l++)
        sum += (int64_t)(s->kv[l].k_buffer.bytes + s->kv[l].v_buffer.bytes);
    return sum;
}

int64_t rb_session_kv_bytes_per_token(const rb_session *s)
{
    return rb_session_kv_bytes(s) / (s->params.n_seq * s->params.n_ctx);
}

int64_t rb_session_scratch_bytes(const rb_session *s)
{
    const rb_scratch scratch = rb_team_scratch_reserved(s->team);
    return scratch.shared_bytes + scratch.own_bytes * s->params.n_threads + rb_pad_bytes(s);
}
