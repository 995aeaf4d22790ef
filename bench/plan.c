/* Which tests to run: the cross product of the lists a user gave, in a stable order that lets
 * neighbouring tests share a session. Nothing is run here.
 * Read next: trial.c. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

const char *rb_test_phase(const rb_test *t)
{
    return t->n_draft ? "verify" : !t->n_gen ? "prefill" : !t->n_prompt ? "decode" : "mixed";
}

char *rb_test_name(const rb_test *t, char *buf, size_t size)
{
    char seq[32] = "", depth[32] = "", gen[32] = "", prompt[32] = "";
    if (t->n_draft)
        snprintf(prompt, sizeof prompt, "vf%lld", (long long)t->n_draft);
    else if (t->n_prompt)
        snprintf(prompt, sizeof prompt, "pp%lld", (long long)t->n_prompt);
    if (t->n_gen)
        snprintf(gen, sizeof gen, "%stg%lld", t->n_prompt ? "+" : "", (long long)t->n_gen);
    if (t->n_seq > 1)
        snprintf(seq, sizeof seq, " x %lld", (long long)t->n_seq);
    if (t->n_depth)
        snprintf(depth, sizeof depth, " @ d%lld", (long long)t->n_depth);
    snprintf(buf, size, "%s%s%s%s", prompt, gen, seq, depth);
    return buf;
}

int64_t rb_test_tokens(const rb_test *t)
{
    return (t->n_prompt + t->n_gen) * t->n_seq;
}

bool rb_test_equal(const rb_test *a, const rb_test *b)
{
    return a->model == b->model && a->outside == b->outside && a->n_prompt == b->n_prompt &&
           a->n_gen == b->n_gen && a->n_depth == b->n_depth && a->n_draft == b->n_draft &&
           a->n_seq == b->n_seq && a->n_layer == b->n_layer && a->n_batch == b->n_batch &&
           a->n_ubatch == b->n_ubatch && a->n_threads == b->n_threads && a->type_k == b->type_k &&
           a->type_v == b->type_v && a->isa == b->isa && a->attn == b->attn &&
           a->capped == b->capped && a->act_f32 == b->act_f32 && a->gelu_erf == b->gelu_erf &&
           a->mla_roof == b->mla_roof;
}

enum { LAYERS, BATCH, UBATCH, TYPE_K, TYPE_V, THREADS, ISA, SEQ, DEPTH, N_AXIS };

/* Whether K and V lie in one cache, of K's type. */
static bool is_one_cache(const rb_way *w)
{
    return w->latent && w->attn != RB_ATTN_MLA_NAIVE_FULL;
}

/* One test in all ways; not again for another type of V where that changes nothing. */
static void add(rb_plan *plan, const rb_plan_lists *l, rb_test t, int64_t n_prompt, int64_t n_gen,
                int64_t n_draft)
{
    t.n_prompt = n_prompt;
    t.n_gen = n_gen;
    t.n_draft = n_draft;
    for (int i = 0; i < l->n_way && (n_prompt || n_gen); i++) {
        const rb_way *w = &l->way[i];
        if (is_one_cache(w) && (int64_t)t.type_v != l->type_v.at[0])
            continue;
        rb_test *to = &plan->test[plan->n++];
        *to = t;
        to->model = w->model;
        to->attn = w->attn;
        to->type_v = is_one_cache(w) ? t.type_k : t.type_v;
    }
}

/* All tests at one point of the axes. */
static rb_status add_point(rb_plan *plan, const rb_plan_lists *l, const int64_t *at, rb_error *err)
{
    rb_test t = {
        .n_layer = at[LAYERS],
        .n_batch = at[BATCH],
        .n_ubatch = at[UBATCH] < at[BATCH] ? at[UBATCH] : at[BATCH],
        .type_k = (rb_dtype)at[TYPE_K],
        .type_v = (rb_dtype)at[TYPE_V],
        .n_threads = (int)at[THREADS],
        .isa = (rb_isa)at[ISA],
        .n_seq = at[SEQ],
        .n_depth = at[DEPTH],
        .capped = l->capped,
        .act_f32 = l->act_f32,
        .gelu_erf = l->gelu_erf,
        .mla_roof = l->mla_roof,
    };
    for (int i = 0; i < l->prompt.n; i++)
        add(plan, l, t, l->prompt.at[i], 0, 0);
    for (int i = 0; i < l->gen.n; i++)
        add(plan, l, t, 0, l->gen.at[i], 0);
    for (int i = 0; i + 1 < l->pair.n; i += 2)
        add(plan, l, t, l->pair.at[i], l->pair.at[i + 1], 0);
    for (int i = 0; i < l->draft.n; i++) {
        const int64_t n = l->draft.at[i];
        if (n >= t.n_ubatch)
            return rb_fail(err, RB_ERR_ARGUMENT,
                           "%lld drafted tokens and the one before are verified in one pass: -ub "
                           "and -b must be %lld or more",
                           (long long)n, (long long)n + 1);
        add(plan, l, t, n ? n + 1 : 0, 0, n);
    }
    return RB_OK;
}

rb_status rb_plan_make(rb_plan *plan, const rb_plan_lists *l, rb_error *err)
{
    const rb_list *axis[N_AXIS] = { &l->layers,  &l->batch, &l->ubatch, &l->type_k, &l->type_v,
                                    &l->threads, &l->isa,   &l->seq,    &l->depth };
    int per_point = (l->prompt.n + l->gen.n + l->pair.n / 2 + l->draft.n) * l->n_way;
    int64_t n = per_point;
    rb_status st = RB_OK;
    *plan = (rb_plan){ 0 };
    for (int a = 0; a < N_AXIS; a++) {
        if (__builtin_mul_overflow(n, axis[a]->n, &n) || n > 100000)
            return rb_fail(err, RB_ERR_ARGUMENT,
                           "the lists multiply to more than 100000 tests; shorten one of them");
    }
    plan->test = calloc((size_t)n + 1, sizeof *plan->test);
    if (!plan->test)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a plan of %lld tests", (long long)n);
    for (int64_t point = 0; point < n / (per_point ? per_point : 1) && st == RB_OK; point++) {
        int64_t rest = point, at[N_AXIS];
        for (int a = N_AXIS - 1; a >= 0; a--) { /* the last axis runs fastest */
            at[a] = axis[a]->at[rest % axis[a]->n];
            rest /= axis[a]->n;
        }
        st = add_point(plan, l, at, err);
    }
    return st;
}

void rb_plan_free(rb_plan *plan)
{
    free(plan->test);
    *plan = (rb_plan){ 0 };
}
