/* Runs a plan: rounds of one repetition of every test, in random order, within a budget of time.
 * Tests are taken in windows that share rounds, so that a plan of any length needs memory for a
 * window only. Rows are told in the order of the plan. Refuses to lose what was measured: when
 * stopped, tests with samples are still told. Read next: trial.c. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW = 64, LEAST_REPS = 6 }; /* fewer have no confidence interval */

typedef struct schedule {
    rb_bench *b;
    const rb_plan *plan;
    const rb_sink *sink;
    bool *wanted; /* of the plan's tests */
    uint64_t start_ns, random;
    int n_reps; /* within the budget */
    bool any;   /* something was measured */
    /* the window at hand: tests [first, first + n) of the plan */
    int first, n;
    rb_trial trial[WINDOW];
    rb_result *result; /* [WINDOW] */
    bool over[WINDOW]; /* finished, failed or left out */
    int told;          /* of the window */
} schedule;

static double elapsed_s(const schedule *s)
{
    return (double)(rb_now_ns() - s->start_ns) / 1e9;
}

/* ---- the budget ---- */

typedef struct bid {
    int test;
    double guess, warmup;
} bid;

/* A test's part of the time that a plan takes. */
static double need_s(const bid *b, int n_reps)
{
    return b->warmup + b->guess * n_reps;
}

static double sum_s(const bid *b, int n, int n_reps)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += need_s(&b[i], n_reps);
    return sum;
}

static int costlier_first(const void *a, const void *b)
{
    const bid *x = a, *y = b;
    return x->guess != y->guess ? (x->guess < y->guess) - (x->guess > y->guess)
                                : (x->test > y->test) - (x->test < y->test);
}

/* Chooses repetitions, then tests, so that guesses fit the budget: fewer repetitions first, then
 * without the costliest tests. The last one may still try. */
static rb_status fit_budget(schedule *s, rb_error *err)
{
    const double limit = s->b->params.budget_s - elapsed_s(s);
    const int least = s->b->params.least_reps ? s->b->params.least_reps : LEAST_REPS;
    int n = 0, first = 0;
    s->n_reps = s->b->params.n_reps;
    if (!s->b->params.budget_s)
        return RB_OK;
    bid *bids = calloc((size_t)s->plan->n + 1, sizeof *bids);
    if (!bids)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a plan of %d tests", s->plan->n);
    for (int i = 0; i < s->plan->n; i++)
        if (s->wanted[i])
            bids[n++] = (bid){ i, rb_trial_guess(s->b, &s->plan->test[i]),
                               rb_warmup_guess(s->b, &s->plan->test[i]) };
    while (s->n_reps > least && sum_s(bids, n, s->n_reps) > limit)
        s->n_reps--;
    qsort(bids, (size_t)n, sizeof *bids, costlier_first);
    for (; first + 1 < n && sum_s(bids + first, n - first, s->n_reps) > limit; first++) {
        s->wanted[bids[first].test] = false;
        if (s->sink->left_out)
            s->sink->left_out(s->sink->arg, bids[first].test, need_s(&bids[first], s->n_reps));
    }
    free(bids);
    return RB_OK;
}

/* Whether another repetition, and one that is traced, would end after the budget does. The first of
 * all is never too late, so that every run gets further. */
static bool too_late(const schedule *s, const rb_trial *t)
{
    const double limit = s->b->params.budget_s;
    const double need = t->estimate_s * (s->b->params.traces ? 2 : 1);
    return limit > 0 && s->any && elapsed_s(s) + need > limit;
}

/* ---- rounds ---- */

static bool is_wanted(const schedule *s, int k)
{
    return s->wanted[s->first + k];
}

/* Tells the rows that are over, up to the first that is not. */
static void tell_rows(schedule *s)
{
    for (; s->told < s->n && s->over[s->told]; s->told++) {
        const rb_result *r = s->trial[s->told].result;
        if (is_wanted(s, s->told) && (r->error[0] || r->n_samples))
            s->sink->row(s->sink->arg, s->first + s->told, r);
    }
}

static void end_trial(schedule *s, int k)
{
    rb_trial *t = &s->trial[k];
    if (s->over[k])
        return;
    s->over[k] = true;
    rb_trial_finish(s->b, t, s->n_reps);
    rb_trial_close(t);
    if (!t->result->error[0] && !t->result->n_samples && !rb_bench_stopped(s->b) &&
        s->sink->left_out)
        s->sink->left_out(s->sink->arg, s->first + k, t->estimate_s);
}

/* What the tests of this window still take by their last repetition, and later ones by guess. */
static double left_s(const schedule *s)
{
    double sum = 0;
    for (int k = 0; k < s->n; k++)
        if (!s->over[k])
            sum += s->trial[k].estimate_s * (s->n_reps - s->trial[k].result->n_samples);
    for (int i = s->first + s->n; i < s->plan->n; i++)
        if (s->wanted[i])
            sum += rb_trial_guess(s->b, &s->plan->test[i]) * s->n_reps +
                   rb_warmup_guess(s->b, &s->plan->test[i]);
    const double limit = s->b->params.budget_s, until = limit - elapsed_s(s);
    return limit > 0 && sum > until ? until : sum;
}

static void run_rep(schedule *s, int k, int round)
{
    rb_trial *t = &s->trial[k];
    const rb_bench_params *p = &s->b->params;
    if (s->over[k])
        return;
    if (p->progress)
        p->progress(p->arg, &(rb_progress_at){ s->first + k, round + 1, s->n_reps, left_s(s) });
    if (too_late(s, t)) {
        end_trial(s, k);
        return;
    }
    const bool ok = rb_trial_repeat(s->b, t);
    s->any = s->any || ok;
    if (!rb_bench_stopped(s->b) && (!ok || round + 1 == s->n_reps))
        end_trial(s, k);
}

static void shuffle(schedule *s, int *order, int n)
{
    for (int i = n - 1; i > 0; i--) {
        const int j = (int)rb_random_below(&s->random, (uint64_t)i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

/* From the cheapest to the costliest, by guess. */
static void sort_by_cost(const schedule *s, int *order)
{
    for (int i = 0; i < s->n; i++) {
        int k = i;
        for (; k > 0 && s->trial[order[k - 1]].estimate_s > s->trial[i].estimate_s; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
}

static void run_rounds(schedule *s)
{
    int order[WINDOW];
    if (s->b->params.sequential) {
        for (int k = 0; k < s->n; k++)
            for (int round = 0; round < s->n_reps && !rb_bench_stopped(s->b); round++) {
                run_rep(s, k, round);
                tell_rows(s);
            }
        return;
    }
    sort_by_cost(s, order);
    for (int round = 0; round < s->n_reps; round++) {
        if (round)
            shuffle(s, order, s->n);
        for (int i = 0; i < s->n && !rb_bench_stopped(s->b); i++) {
            run_rep(s, order[i], round);
            tell_rows(s);
        }
    }
}

/* Opens the trials of a window and learns what session serves them all. */
static void open_window(schedule *s)
{
    s->b->reach = (rb_reach){ 0 };
    s->told = 0;
    for (int k = 0; k < s->n; k++) {
        rb_reach *reach = &s->b->reach;
        const rb_test *t = &s->plan->test[s->first + k];
        s->over[k] = !is_wanted(s, k);
        s->trial[k] = (rb_trial){ .result = &s->result[k] };
        if (s->over[k])
            continue;
        rb_trial_open(s->b, &s->trial[k], t, &s->result[k]);
        if (s->result[k].error[0]) {
            s->over[k] = true;
            continue;
        }
        const int64_t n_ctx = rb_context_of(t);
        reach->n_layer = t->n_layer > reach->n_layer ? t->n_layer : reach->n_layer;
        reach->n_ctx = n_ctx > reach->n_ctx ? n_ctx : reach->n_ctx;
        reach->n_logits = t->n_draft + 1 > reach->n_logits ? t->n_draft + 1 : reach->n_logits;
    }
}

/* The deepest first: copies of layers move what sessions borrow, so each model's are made once. */
static void extend_first(schedule *s)
{
    const int64_t most = s->b->reach.n_layer;
    rb_slot *slot;
    rb_roofs *roofs;
    for (int k = 0; k < s->n; k++) {
        const rb_test *t = &s->plan->test[s->first + k];
        if (s->over[k] || t->n_layer != most || most <= rb_model_for(s->b, t)->n_layer_alloc)
            continue;
        if (rb_roofs_for(s->b, t, &roofs, NULL) == RB_OK) /* sessions may want to know them */
            (void)rb_slot_for(s->b, t, &slot, NULL);
    }
}

rb_status rb_bench_run(rb_bench *b, const rb_plan *plan, const rb_sink *sink, rb_error *err)
{
    schedule *s = calloc(1, sizeof *s);
    rb_result *result = calloc(WINDOW, sizeof *result);
    bool *wanted = calloc((size_t)plan->n + 1, sizeof *wanted);
    rb_status st = RB_OK;
    if (!s || !result || !wanted) {
        st = rb_fail(err, RB_ERR_MEMORY, "no memory for the results of a plan");
        goto end;
    }
    *s = (schedule){ .b = b,
                     .plan = plan,
                     .sink = sink,
                     .wanted = wanted,
                     .result = result,
                     .start_ns = rb_now_ns(),
                     .random = b->params.seed };
    for (int i = 0; i < plan->n; i++)
        wanted[i] = !sink->skip || !sink->skip(sink->arg, i);
    rb_roofs *roofs;
    for (int i = 0; i < plan->n && st == RB_OK; i++) {
        if (wanted[i]) { /* guesses want to know the machine */
            st = rb_roofs_for(b, &plan->test[i], &roofs, err);
            break;
        }
    }
    if (st == RB_OK)
        st = fit_budget(s, err);
    if (st != RB_OK)
        goto end;
    for (s->first = 0; s->first < plan->n && !rb_bench_stopped(b); s->first += WINDOW) {
        s->n = plan->n - s->first < WINDOW ? plan->n - s->first : WINDOW;
        open_window(s);
        extend_first(s);
        run_rounds(s);
        for (int k = 0; k < s->n; k++)
            end_trial(s, k);
        tell_rows(s);
    }
end:
    free(s);
    free(result);
    free(wanted);
    return st;
}
