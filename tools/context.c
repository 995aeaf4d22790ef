/* The sweep over contexts as a job: which contexts are run, which test is kept from the law to try
 * it on, what is cut and said, the law at the end. The arithmetic behind it is in bench/law.c.
 * Read next: cmd_bench.c, sweep.c (its twin over layers). */
#include "job.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST = 3, N_DEFAULT = 6, LONGEST = 4096, SHORTEST = 16 };

static bool is_decode(const rb_test *t)
{
    return t->n_gen && !t->n_prompt;
}

/* ---- which contexts ---- */

/* 0 and five that double, up to `longest`. */
static void default_contexts(int64_t *at, int64_t longest)
{
    at[0] = 0;
    for (int i = 1; i < N_DEFAULT; i++)
        at[i] = longest >> (N_DEFAULT - 1 - i);
}

/* The longest default: a power of two, with room for the steps in the model's own context. */
static int64_t longest_of(const rb_job *j)
{
    const int64_t own = j->model->config.n_ctx_train - j->lists.plan.gen.at[0];
    int64_t longest = LONGEST;
    while (longest > SHORTEST && longest > own)
        longest /= 2;
    return longest;
}

/* The contexts that were asked for, rising, and between the last two the one that is kept from the
 * law; j->context is theirs. */
static void set_contexts(rb_job *j, int n)
{
    int64_t *at = j->context;
    j->laws.hold = at[n - 2] + (at[n - 1] - at[n - 2]) / 2;
    at[n] = j->laws.hold;
    j->lists.plan.depth = (rb_list){ at, n + 1 };
}

/* ---- the plan ---- */

/* Twice the sequences of the first, at a context in the middle. */
static rb_status add_sequences(rb_job *j, int64_t context, rb_error *err)
{
    rb_plan *plan = &j->plan;
    const int64_t seq = j->lists.plan.seq.at[0];
    const int n = plan->n;
    rb_test *grown = realloc(plan->test, (2 * (size_t)n + 1) * sizeof *grown);
    if (!grown)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a plan of %d tests", 2 * n);
    plan->test = grown;
    for (int i = 0; i < n; i++) {
        rb_test t = plan->test[i];
        if (!is_decode(&t) || t.n_depth != context || t.n_seq != seq)
            continue;
        t.n_seq = 2 * seq;
        plan->test[plan->n++] = t;
    }
    return RB_OK;
}

/* The plan for the first n of j->context. */
static rb_status plan_for(rb_job *j, int n, rb_error *err)
{
    const int64_t middle = j->context[n / 2];
    set_contexts(j, n);
    rb_plan_free(&j->plan);
    const rb_status st = rb_plan_make(&j->plan, &j->lists.plan, err);
    return st == RB_OK ? add_sequences(j, middle, err) : st;
}

/* Whether all of the plan fits with a tenth kept free; the test that does not. */
static rb_status fits(rb_job *j, const rb_test **over, rb_error *err)
{
    const uint64_t available = rb_host_available();
    *over = NULL;
    for (int i = 0; i < j->plan.n && available && !*over; i++) {
        rb_memory m;
        const rb_status st = rb_bench_memory(j->bench, &j->plan.test[i], &m, err);
        if (st != RB_OK)
            return st;
        if (rb_bench_need(j->bench, &j->plan.test[i], &m) > available - available / 10)
            *over = &j->plan.test[i];
    }
    return RB_OK;
}

static rb_status too_large(const rb_test *t, rb_error *err)
{
    char name[64];
    return rb_fail(err, RB_ERR_MEMORY,
                   "--context-sweep: %s needs more memory than there is, a tenth kept free; give "
                   "a shorter list",
                   rb_test_name(t, name, sizeof name));
}

static rb_status plan_given(rb_job *j, const rb_opt_value *v, rb_error *err)
{
    const rb_test *over = NULL;
    int n = v->n;
    memcpy(j->context, v->num, (size_t)n * sizeof *v->num);
    rb_sort_distinct(j->context, &n);
    if (n < LEAST || j->context[n - 1] - j->context[n - 2] < 2)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "--context-sweep wants %d contexts or more, and room for one between the "
                       "last two",
                       LEAST);
    rb_status st = plan_for(j, n, err);
    if (st == RB_OK)
        st = fits(j, &over, err);
    return st == RB_OK && over ? too_large(over, err) : st;
}

static rb_status plan_default(rb_job *j, rb_error *err)
{
    const int64_t wanted = longest_of(j);
    const rb_test *over = NULL;
    rb_status st = RB_OK;
    for (int64_t longest = wanted; st == RB_OK; longest /= 2) {
        default_contexts(j->context, longest);
        st = plan_for(j, N_DEFAULT, err);
        if (st == RB_OK)
            st = fits(j, &over, err);
        if (st == RB_OK && over && longest == SHORTEST)
            return too_large(over, err);
        if (st != RB_OK || over)
            continue;
        if (longest < wanted)
            rb_complain("the sweep is cut to %lld tokens of context: twice as many need more "
                        "memory than there is, a tenth kept free",
                        (long long)longest);
        return RB_OK;
    }
    return st;
}

rb_status rb_context_plan(rb_job *j, rb_error *err)
{
    const rb_opt_value *v = rb_opt_get(j->args, "--context-sweep");
    if (!j->lists.plan.gen.n)
        return rb_fail(err, RB_ERR_ARGUMENT, "--context-sweep wants decode steps: -n");
    j->context = calloc((size_t)(v->n > N_DEFAULT ? v->n : N_DEFAULT) + 1, sizeof *j->context);
    if (!j->context)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a sweep");
    return v->n ? plan_given(j, v, err) : plan_default(j, err);
}

/* ---- the law ---- */

void rb_context_note(rb_job *j, const rb_result *r)
{
    rb_error err = { 0 };
    if (rb_laws_note(&j->laws, r, &err) != RB_OK)
        rb_complain("%s", err.text);
}

void rb_context_close(rb_job *j)
{
    rb_error err = { 0 };
    if (rb_laws_fit(&j->laws, &err) != RB_OK)
        rb_complain("%s", err.text);
    char *text = rb_laws_text(&j->laws, &j->subject);
    if (text)
        rb_job_say(j, text);
    else if (rb_opt_get(j->args, "--context-sweep")->given)
        rb_complain("no law of context: fewer than %d contexts of a test were run", LEAST);
    free(text);
}
