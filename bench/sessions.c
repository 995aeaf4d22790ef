/* Sessions and roofs that trials share. Tests that differ in layers, context and drafts run on one
 * session, the largest that any of them needs; the session that was not used for longest goes when
 * memory or places run out. Nothing is timed here but the roofs, once for each number of threads
 * and ISA. Read next: trial.c. */
#include "run.h"

#include <stdlib.h>

int64_t rb_context_of(const rb_test *t)
{
    return t->n_depth + t->n_prompt + t->n_gen;
}

/* The roofs that attention orders are weighed by, in the units of a rule; none: FLOPs decide. */
static rb_mla_rule rule_of(const rb_bench *b, const rb_test *t)
{
    const rb_machine *m = rb_roof_pool_machine(b->params.roofs, t->n_threads, t->isa);
    return m ? (rb_mla_rule){ 1e9 * m->roof[RB_ROOF_FMA_F32].value,
                              1e9 * m->roof[RB_ROOF_READ_DRAM].value }
             : (rb_mla_rule){ 0 };
}

rb_session_params rb_params_for(const rb_bench *b, const rb_test *t)
{
    rb_session_params p = rb_session_defaults();
    if (t->outside > 0 && t->outside <= b->params.n_outside) {
        p.registry = b->params.outside[t->outside - 1].registry;
        p.variant = b->params.outside[t->outside - 1].variant;
    }
    p.n_layer = t->n_layer;
    p.n_seq = t->n_seq;
    p.n_ctx = rb_context_of(t);
    p.n_ubatch = t->n_ubatch < p.n_ctx ? t->n_ubatch : p.n_ctx;
    p.n_logits = t->n_draft + 1;
    p.type_k = t->type_k;
    p.type_v = t->type_v;
    p.n_threads = b->params.dry ? 1 : t->n_threads;
    p.isa = t->isa;
    p.capped = t->capped;
    p.act_f32 = t->act_f32;
    p.attn = t->attn;
    p.gelu_erf = t->gelu_erf;
    if (t->mla_roof)
        p.mla_rule = rule_of(b, t);
    p.dry = b->params.dry;
    return p;
}

/* ... and to run the other tests that differ from it in layers, context and drafts only. */
static rb_session_params shared_params(const rb_bench *b, const rb_test *t)
{
    rb_session_params p = rb_params_for(b, t);
    if (p.n_ctx < b->reach.n_ctx)
        p.n_ctx = b->reach.n_ctx;
    if (p.n_layer < b->reach.n_layer)
        p.n_layer = b->reach.n_layer;
    if (p.n_layer > rb_model_for(b, t)->n_layer_alloc)
        p.n_layer = rb_model_for(b, t)->n_layer_alloc;
    if (p.n_logits < b->reach.n_logits)
        p.n_logits = b->reach.n_logits;
    p.n_ubatch = t->n_ubatch < p.n_ctx ? t->n_ubatch : p.n_ctx;
    return p;
}

static bool can_run(const rb_slot *s, const rb_session_params *p, const rb_test *t)
{
    const rb_session_params *o = &s->open;
    const int64_t n_ubatch = t->n_ubatch < o->n_ctx ? t->n_ubatch : o->n_ctx;
    return s->session && s->model == t->model && o->n_layer >= p->n_layer && o->n_seq == p->n_seq &&
           o->n_ctx >= p->n_ctx && o->n_logits >= p->n_logits && o->n_ubatch == n_ubatch &&
           o->type_k == p->type_k && o->type_v == p->type_v && o->n_threads == p->n_threads &&
           o->isa == p->isa && o->capped == p->capped && o->act_f32 == p->act_f32 &&
           o->attn == p->attn && o->variant == p->variant && o->registry == p->registry &&
           o->gelu_erf == p->gelu_erf && o->mla_rule.flops_per_s == p->mla_rule.flops_per_s &&
           o->mla_rule.bytes_per_s == p->mla_rule.bytes_per_s;
}

static void close_slot(rb_slot *s)
{
    rb_session_close(s->session);
    *s = (rb_slot){ 0 };
}

void rb_slots_close(rb_bench *b)
{
    for (int i = 0; i < RB_MAX_SLOT; i++)
        close_slot(&b->slot[i]);
}

/* The open session that was not used for longest; NULL: none is open. */
static rb_slot *oldest(rb_bench *b)
{
    rb_slot *s = NULL;
    for (int i = 0; i < RB_MAX_SLOT; i++)
        if (b->slot[i].session && (!s || b->slot[i].used < s->used))
            s = &b->slot[i];
    return s;
}

/* An empty slot, or the oldest. */
static rb_slot *free_slot(rb_bench *b)
{
    for (int i = 0; i < RB_MAX_SLOT; i++)
        if (!b->slot[i].session)
            return &b->slot[i];
    return oldest(b);
}

/* Frees sessions until what p needs fits beside them; false: it never will. */
static bool make_room(rb_bench *b, int model, const rb_session_params *p)
{
    rb_memory m = { 0 };
    uint64_t available = rb_host_available();
    if (!available || b->params.dry)
        return true;
    if (rb_session_memory(b, model, p, &m, NULL) != RB_OK)
        return false;
    for (rb_slot *s; m.kv + m.scratch > available && (s = oldest(b));) {
        available +=
            (uint64_t)(rb_session_kv_bytes(s->session) + rb_session_scratch_bytes(s->session));
        close_slot(s);
    }
    return m.kv + m.scratch <= available;
}

static rb_status open_slot(rb_bench *b, int model, const rb_session_params *p, rb_slot **slot,
                           rb_error *err)
{
    rb_slot *s = free_slot(b);
    close_slot(s);
    const rb_status st = rb_session_open(&s->session, b->runner[model].model, p, err);
    if (st == RB_OK) {
        s->model = model;
        s->open = *p;
        rb_session_set_stop(s->session, b->params.stop, b->params.arg);
    }
    *slot = s;
    return st;
}

/* One session for all tests of its kind if there is room for it, else one for this test alone. */
static rb_status open_for(rb_bench *b, const rb_test *t, rb_slot **slot, rb_error *err)
{
    rb_model *m = rb_model_for(b, t);
    if (t->n_layer > m->n_layer_alloc) {
        rb_slots_close(b); /* sessions borrow the layers that move */
        const rb_status st = rb_model_extend(m, t->n_layer, err);
        if (st != RB_OK)
            return st;
    }
    const rb_session_params shared = shared_params(b, t), own = rb_params_for(b, t);
    if (make_room(b, t->model, &shared) && open_slot(b, t->model, &shared, slot, err) == RB_OK)
        return RB_OK;
    make_room(b, t->model, &own);
    return open_slot(b, t->model, &own, slot, err);
}

rb_status rb_slot_for(rb_bench *b, const rb_test *t, rb_slot **slot, rb_error *err)
{
    const rb_session_params own = rb_params_for(b, t);
    rb_slot *s = NULL;
    for (int i = 0; i < RB_MAX_SLOT && !s; i++)
        s = can_run(&b->slot[i], &own, t) ? &b->slot[i] : NULL;
    const rb_status st = s ? RB_OK : open_for(b, t, &s, err);
    if (st != RB_OK)
        return st;
    rb_session_set_layers(s->session, t->n_layer);
    s->used = ++b->uses;
    *slot = s;
    return RB_OK;
}

/* ---- roofs ---- */

rb_status rb_roofs_for(rb_bench *b, const rb_test *t, rb_roofs **roofs, rb_error *err)
{
    rb_roof_pool *pool = b->params.roofs;
    *roofs = NULL;
    if (!pool || b->params.dry)
        return RB_OK;
    if (b->params.progress && !rb_roof_pool_machine(pool, t->n_threads, t->isa))
        b->params.progress(b->params.arg, &(rb_progress_at){ .test = -1 });
    return rb_roof_pool_get(pool, t->n_threads, t->isa, t->capped, b->params.stop, b->params.arg,
                            roofs, err);
}
