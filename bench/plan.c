/* Which tests to run: the cross product of the lists a user gave, in a stable order that lets
 * neighbouring tests share a session. Nothing is run here.
 * Read next: trial.c. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

const char *rb_test_phase(const rb_test *t)
{
    return !t->n_gen ? "prefill" : !t->n_prompt ? "decode" : "mixed";
}

char *rb_test_name(const rb_test *t, char *buf, size_t size)
{
    char seq[32] = "", depth[32] = "", gen[32] = "", prompt[32] = "";
    if (t->n_prompt)
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

enum { LAYERS, ATTN, BATCH, UBATCH, TYPE_K, TYPE_V, THREADS, ISA, SEQ, DEPTH, N_AXIS };

static void add(rb_plan *plan, rb_test t, int64_t n_prompt, int64_t n_gen)
{
    t.n_prompt = n_prompt;
    t.n_gen = n_gen;
    if (n_prompt || n_gen)
        plan->test[plan->n++] = t;
}

/* Whether another type of V gives the same tests again. */
static bool is_repeated(const rb_plan_lists *l, const int64_t *at)
{
    return l->latent && at[ATTN] != RB_ATTN_MLA_NAIVE_FULL && at[TYPE_V] != l->type_v.at[0];
}

/* All tests at one point of the axes. */
static void add_point(rb_plan *plan, const rb_plan_lists *l, const int64_t *at)
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
        .attn = (rb_attn)at[ATTN],
        .capped = l->capped,
        .act_f32 = l->act_f32,
        .gelu_erf = l->gelu_erf,
        .mla_roof = l->mla_roof,
    };
    if (is_repeated(l, at))
        return;
    if (l->latent && t.attn != RB_ATTN_MLA_NAIVE_FULL)
        t.type_v = t.type_k;
    for (int i = 0; i < l->prompt.n; i++)
        add(plan, t, l->prompt.at[i], 0);
    for (int i = 0; i < l->gen.n; i++)
        add(plan, t, 0, l->gen.at[i]);
    for (int i = 0; i + 1 < l->pair.n; i += 2)
        add(plan, t, l->pair.at[i], l->pair.at[i + 1]);
}

rb_status rb_plan_make(rb_plan *plan, const rb_plan_lists *l, rb_error *err)
{
    const rb_list *axis[N_AXIS] = { &l->layers, &l->attn,    &l->batch, &l->ubatch, &l->type_k,
                                    &l->type_v, &l->threads, &l->isa,   &l->seq,    &l->depth };
    int per_point = l->prompt.n + l->gen.n + l->pair.n / 2;
    int64_t n = per_point;
    *plan = (rb_plan){ 0 };
    for (int a = 0; a < N_AXIS; a++) {
        if (__builtin_mul_overflow(n, axis[a]->n, &n) || n > 100000)
            return rb_fail(err, RB_ERR_ARGUMENT,
                           "the lists multiply to more than 100000 tests; shorten one of them");
    }
    plan->test = calloc((size_t)n + 1, sizeof *plan->test);
    if (!plan->test)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a plan of %lld tests", (long long)n);
    for (int64_t point = 0; point < n / (per_point ? per_point : 1); point++) {
        int64_t rest = point, at[N_AXIS];
        for (int a = N_AXIS - 1; a >= 0; a--) { /* the last axis runs fastest */
            at[a] = axis[a]->at[rest % axis[a]->n];
            rest /= axis[a]->n;
        }
        add_point(plan, l, at);
    }
    return RB_OK;
}

void rb_plan_free(rb_plan *plan)
{
    free(plan->test);
    *plan = (rb_plan){ 0 };
}
