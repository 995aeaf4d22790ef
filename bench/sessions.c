/* Sessions and roofs that trials share. Tests that differ in layers and context alone run on one
 * session, the largest that any of them needs; the session that was not used for longest goes when
 * memory or places run out. Nothing is timed here but the roofs, once for each number of threads
 * and ISA. Read next: trial.c. */
#include "run.h"

#include <stdlib.h>

int64_t rb_context_of(const rb_test *t)
{
    return t->n_depth + t->n_prompt + t->n_gen;
}

/* What a session must be to run t alone. */
static rb_session_params own_params(const rb_bench *b, const rb_test *t)
{
    rb_session_params p = rb_session_defaults();
    p.n_layer = t->n_layer;
    p.n_seq = t->n_seq;
    p.n_ctx = rb_context_of(t);
    p.n_ubatch = t->n_ubatch < p.n_ctx ? t->n_ubatch : p.n_ctx;
    p.n_logits = 1;
    p.type_k = t->type_k;
    p.type_v = t->type_v;
    p.n_threads = b->params.dry ? 1 : t->n_threads;
    p.isa = t->isa;
    p.capped = t->capped;
    p.act_f32 = t->act_f32;
    p.dry = b->params.dry;
    return p;
}

/* ... and to run the other tests that differ from it in context only. */
static rb_session_params params_for(const rb_bench *b, const rb_test *t)
{
    rb_session_params p = own_params(b, t);
    if (p.n_ctx < b->reach.n_ctx)
        p.n_ctx = b->reach.n_ctx;
    p.n_ubatch = t->n_ubatch < p.n_ctx ? t->n_ubatch : p.n_ctx;
    return p;
}

static bool can_run(const rb_slot *s, const rb_session_params *p, int64_t n_ubatch)
{
    const rb_session_params *o = &s->open;
    if (n_ubatch > o->n_ctx)
        n_ubatch = o->n_ctx;
    return s->session && o->n_layer >= p->n_layer && o->n_seq == p->n_seq && o->n_ctx >= p->n_ctx &&
           o->n_ubatch == n_ubatch && o->type_k == p->type_k && o->type_v == p->type_v &&
           o->n_threads == p->n_threads && o->isa == p->isa && o->capped == p->capped &&
           o->act_f32 == p->act_f32;
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

/* An empty slot, or the one that was not used for longest. */
static rb_slot *oldest(rb_bench *b)
{
    rb_slot *best = &b->slot[0];
    for (int i = 0; i < RB_MAX_SLOT; i++) {
        if (!b->slot[i].session)
            return &b->slot[i];
        best = b->slot[i].used < best->used ? &b->slot[i] : best;
    }
    return best;
}

/* Frees sessions until what p needs fits beside them. */
static void make_room(rb_bench *b, const rb_session_params *p)
{
    rb_test t = { .n_prompt = p->n_ctx,
                  .n_seq = p->n_seq,
                  .n_layer = p->n_layer,
                  .n_ubatch = p->n_ubatch,
                  .type_k = p->type_k,
                  .type_v = p->type_v,
                  .n_threads = p->n_threads,
                  .isa = p->isa,
                  .capped = p->capped,
                  .act_f32 = p->act_f32 };
    rb_memory m;
    const uint64_t available = rb_host_available();
    if (!available || b->params.dry || rb_bench_memory(b, &t, &m, NULL) != RB_OK)
        return;
    uint64_t freed = 0;
    while (m.kv + m.scratch > available + freed) {
        rb_slot *s = NULL;
        for (int i = 0; i < RB_MAX_SLOT; i++)
            if (b->slot[i].session && (!s || b->slot[i].used < s->used))
                s = &b->slot[i];
        if (!s)
            return;
        freed += (uint64_t)(rb_session_kv_bytes(s->session) + rb_session_scratch_bytes(s->session));
        close_slot(s);
    }
}

static rb_status open_slot(rb_bench *b, rb_slot *s, rb_session_params p, int64_t n_layer,
                           rb_error *err)
{
    close_slot(s);
    p.n_layer = n_layer;
    const rb_status st = rb_session_open(&s->session, b->model, &p, err);
    if (st == RB_OK)
        s->open = p;
    return st;
}

rb_status rb_slot_for(rb_bench *b, const rb_test *t, rb_slot **slot, rb_error *err)
{
    const rb_session_params p = params_for(b, t);
    rb_slot *s = NULL;
    for (int i = 0; i < RB_MAX_SLOT && !s; i++)
        s = can_run(&b->slot[i], &p, t->n_ubatch) ? &b->slot[i] : NULL;
    if (!s) {
        if (t->n_layer > b->model->n_layer_alloc) {
            rb_slots_close(b); /* sessions borrow the layers that move */
            const rb_status st = rb_model_extend(b->model, t->n_layer, err);
            if (st != RB_OK)
                return st;
        }
        int64_t layers = b->reach.n_layer > t->n_layer ? b->reach.n_layer : t->n_layer;
        if (layers > b->model->n_layer_alloc)
            layers = b->model->n_layer_alloc;
        make_room(b, &p);
        s = oldest(b);
        rb_status st = open_slot(b, s, p, layers, err);
        if (st == RB_ERR_MEMORY) /* not for all tests at once, perhaps for this one */
            st = open_slot(b, s, own_params(b, t), t->n_layer, err);
        if (st != RB_OK)
            return st;
    }
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
