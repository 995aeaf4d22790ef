/* Plans as they are run: rounds, their order, what is told and when, stops, budgets, failures. A
 * tiny model and a sink that keeps what it is told; nothing is said about speed.
 * Read next: ../bench/schedule.c, test_bench.c (single tests). */
#include "watch.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const rb_bench_params four = { .n_reps = 4, .seed = 1 };

/* ---- rounds ---- */

/* Each round has one repetition of every test. */
static void want_rounds(const watch *w, int n_reps)
{
    cr_assert_eq(w->n_step, w->plan.n * n_reps);
    for (int round = 0; round < n_reps; round++) {
        bool seen[MAX_TEST] = { false };
        for (int i = 0; i < w->plan.n; i++) {
            const int at = round * w->plan.n + i, test = w->step[at].test;
            cr_assert_eq(w->step[at].rep, round + 1);
            cr_assert_not(seen[test], "test %d comes twice in round %d", test, round + 1);
            seen[test] = true;
        }
    }
}

Test(schedule, gives_every_test_its_samples_and_tells_rows_in_order)
{
    rb_bench_params params = four;
    for (int warmup = 0; warmup < 2; warmup++) {
        params.warmup = warmup;
        fixture f = open_fixture(params);
        add_some(&f, 10);
        run_plan(&f);
        want_all(&f, 4);
        want_rounds(f.w, 4);
        cr_assert_eq(f.w->n_roofs, 0);
        cr_assert_gt(f.w->left_s, 0);
        close_fixture(&f);
    }
}

Test(schedule, first_round_is_cheap_to_costly)
{
    fixture f = open_fixture(four);
    static const int64_t cost[] = { 4000, 20, 900, 1, 250 };
    static const int rank[] = { 3, 1, 4, 2, 0 };
    f.w->stop_at_step = 5; /* the second round is not wanted */
    for (int i = 0; i < 5; i++)
        add(&f, 0, cost[i], 0);
    run_plan(&f);
    cr_assert_eq(f.w->n_step, 6);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(f.w->step[i].test, rank[i], "step %d is test %d", i, f.w->step[i].test);
    close_fixture(&f);
}

/* The order of the rounds between the first and the last. */
static void order_of(uint64_t seed, int order[36])
{
    rb_bench_params params = four;
    params.seed = seed;
    fixture f = open_fixture(params);
    add_some(&f, 18);
    run_plan(&f);
    for (int i = 0; i < 36; i++)
        order[i] = f.w->step[18 + i].test;
    close_fixture(&f);
}

Test(schedule, order_is_random_and_given_by_the_seed)
{
    int a[36], b[36], c[36];
    order_of(1, a);
    order_of(1, b);
    order_of(2, c);
    cr_assert_arr_eq(a, b, sizeof a);
    cr_assert_neq(memcmp(a, c, sizeof a), 0, "another seed, the same order");
    cr_assert_neq(memcmp(a, a + 18, 18 * sizeof *a), 0, "two rounds in one order");
}

Test(schedule, sequential_takes_one_test_after_the_other)
{
    rb_bench_params params = four;
    params.sequential = true;
    fixture f = open_fixture(params);
    add_some(&f, 5);
    run_plan(&f);
    want_all(&f, 4);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(f.w->step[i].test, i / 4);
        cr_assert_eq(f.w->step[i].rep, i % 4 + 1);
    }
    close_fixture(&f);
}

Test(schedule, one_repetition_is_enough)
{
    rb_bench_params params = four;
    params.n_reps = 1;
    fixture f = open_fixture(params);
    add_some(&f, 3);
    run_plan(&f);
    want_all(&f, 1);
    close_fixture(&f);
}

Test(schedule, an_empty_plan_tells_nothing)
{
    fixture f = open_fixture(four);
    run_plan(&f);
    cr_assert(!f.w->n_row && !f.w->n_step && !f.w->n_left_out);
    close_fixture(&f);
}

/* ---- longer than a window ---- */

Test(schedule, plans_of_any_length)
{
    rb_bench_params params = four;
    params.n_reps = 2;
    fixture f = open_fixture(params);
    add_some(&f, 2 * 64 + 7);
    run_plan(&f);
    want_all(&f, 2);
    cr_assert_eq(f.w->n_step, 2 * (2 * 64 + 7));
    close_fixture(&f);
}

/* ---- what is not wanted, what cannot run ---- */

Test(schedule, skips_what_was_run_before)
{
    fixture f = open_fixture(four);
    int at = 0;
    add_some(&f, 70);
    for (int i = 0; i < 70; i++)
        f.w->skipped[i] = i % 3 != 1 || i == 64;
    run_plan(&f);
    for (int i = 0; i < 70; i++) {
        if (!f.w->skipped[i])
            cr_assert_eq(f.w->row[at++], i);
        cr_assert_eq(f.w->started[i], f.w->skipped[i] ? 0 : 4);
    }
    cr_assert_eq(at, f.w->n_row);
    memset(f.w->skipped, true, sizeof f.w->skipped);
    f.w->n_row = f.w->n_step = 0;
    run_plan(&f);
    cr_assert(!f.w->n_row && !f.w->n_step, "nothing is left to run");
    close_fixture(&f);
}

Test(schedule, what_cannot_run_costs_its_row_alone)
{
    fixture f = open_fixture(four);
    add_some(&f, 8);
    f.w->plan.test[0].n_seq = 257;                /* a vocabulary of 256 */
    f.w->plan.test[3].n_depth = (int64_t)1 << 40; /* beyond 63 bits */
    f.w->plan.test[5].n_depth = 1 << 24;          /* terabytes of cache */
    f.w->plan.test[5].n_layer = 600;
    f.w->plan.test[7].n_seq = 300;
    run_plan(&f);
    cr_assert_eq(f.w->n_row, 8);
    for (int i = 0; i < 8; i++) {
        const bool bad = i == 0 || i == 3 || i == 5 || i == 7;
        cr_assert_eq(f.w->row[i], i);
        cr_assert_eq(f.w->error[i][0] != 0, bad, "test %d: %s", i, f.w->error[i]);
        cr_assert_eq(f.w->samples[i], bad ? 0 : 4);
    }
    cr_assert(strstr(f.w->error[0], "disjoint"));
    cr_assert(strstr(f.w->error[3], "63 bits"));
    cr_assert(strstr(f.w->error[5], "out of memory"));
    cr_assert_eq(f.w->n_step, 16);
    close_fixture(&f);
}

/* ---- stops ---- */

/* What has samples is told, once, in order, as interrupted unless it had all. */
static void want_stopped(const fixture *f, int n_reps)
{
    const watch *w = f->w;
    int samples[MAX_TEST] = { 0 }, at = 0;
    for (int i = 0; i + 1 < w->n_step; i++)
        samples[w->step[i].test]++;
    for (int i = 0; i < w->plan.n; i++) {
        if (!samples[i])
            continue;
        cr_assert_lt(at, w->n_row, "test %d has %d samples and is not told", i, samples[i]);
        cr_assert_eq(w->row[at++], i);
        cr_assert_eq(w->samples[i], samples[i]);
        cr_assert_eq(w->interrupted[i], samples[i] < n_reps);
        cr_assert_str_eq(w->error[i], "");
    }
    cr_assert_eq(at, w->n_row);
    cr_assert_eq(w->n_left_out, 0, "an interrupt is no budget");
}

Test(schedule, stopped_plans_tell_what_they_have)
{
    for (int sequential = 0; sequential < 2; sequential++) {
        for (int at = 0; at < 5 * 4; at++) {
            rb_bench_params params = four;
            params.sequential = sequential;
            fixture f = open_fixture(params);
            add_some(&f, 5);
            f.w->stop_at_step = at; /* repetition at + 1 does not end */
            run_plan(&f);
            cr_assert_eq(f.w->n_step, at + 1);
            want_stopped(&f, 4);
            close_fixture(&f);
        }
    }
}

Test(schedule, stops_in_a_later_window)
{
    rb_bench_params params = four;
    params.n_reps = 2;
    fixture f = open_fixture(params);
    add_some(&f, 150);
    f.w->stop_at_step = 2 * 64 + 70;
    run_plan(&f);
    want_stopped(&f, 2);
    cr_assert_eq(f.w->n_row, 128);
    close_fixture(&f);
}

/* Whenever it is asked: in warm-ups, while a context is computed, between decode steps. */
Test(schedule, stops_at_any_question)
{
    bool whole = false;
    for (int asks = 0; !whole; asks += 1 + asks / 6) {
        rb_bench_params params = four;
        params.n_reps = 2;
        params.warmup = true;
        fixture f = open_fixture(params);
        add(&f, 40, 0, 0);
        add(&f, 0, 3, 35);
        add(&f, 8, 2, 0)->n_layer = 5;
        f.w->stop_after_asks = asks;
        run_plan(&f);
        cr_assert_leq(f.w->n_row, 3);
        for (int i = 0; i < f.w->n_row; i++) {
            const int t = f.w->row[i];
            cr_assert_str_eq(f.w->error[t], "");
            cr_assert(f.w->samples[t] >= 1 && f.w->samples[t] <= 2);
            cr_assert_leq(f.w->samples[t], f.w->started[t]);
        }
        whole = f.w->n_ask <= asks;
        if (whole)
            want_all(&f, 2);
        cr_assert_lt(asks, 10000);
        close_fixture(&f);
    }
}

/* ---- budgets ---- */

Test(schedule, a_large_budget_changes_nothing)
{
    rb_bench_params params = four;
    params.budget_s = 1e6;
    fixture f = open_fixture(params);
    add_some(&f, 6);
    run_plan(&f);
    want_all(&f, 4);
    want_rounds(f.w, 4);
    close_fixture(&f);
}

/* Rows and tests that are left out together are the plan. */
static void want_parts(const watch *w)
{
    int told[MAX_TEST] = { 0 };
    for (int i = 0; i < w->n_row; i++)
        told[w->row[i]]++;
    for (int i = 0; i < w->n_left_out; i++)
        told[w->left_out[i]]++;
    for (int i = 0; i < w->plan.n; i++)
        cr_assert_eq(told[i], 1, "test %d is told %d times", i, told[i]);
}

Test(schedule, a_budget_lowers_repetitions_first)
{
    rb_bench_params params = { .n_reps = 1000, .seed = 1, .budget_s = 2 };
    fixture f = open_fixture(params);
    add_some(&f, 3);
    run_plan(&f);
    cr_assert_gt(f.w->n_row, 0);
    want_parts(f.w);
    for (int i = 0; i < f.w->n_row; i++) {
        const int t = f.w->row[i];
        cr_assert(f.w->samples[t] >= 1 && f.w->samples[t] < 1000);
        cr_assert_not(f.w->interrupted[t], "the budget planned it so");
    }
    close_fixture(&f);
}

/* Nine tests of 0.05 s and more each: so many repetitions as fit, and no fewer than are wanted. */
Test(schedule, a_budget_plans_as_few_repetitions_as_are_enough)
{
    rb_bench_params params = { .n_reps = 9, .least_reps = 2, .seed = 1, .budget_s = 2.6 };
    fixture f = open_fixture(params);
    add_some(&f, 9);
    run_plan(&f);
    want_all(&f, 4);
    close_fixture(&f);
    params.budget_s = 1;
    f = open_fixture(params);
    add_some(&f, 9);
    run_plan(&f);
    cr_assert(f.w->n_left_out > 0 && f.w->n_row > 0);
    for (int i = 0; i < f.w->n_row; i++)
        cr_assert_eq(f.w->samples[f.w->row[i]], 2);
    close_fixture(&f);
}

/* Hours of work and seconds of budget: the costliest tests go, and are named. */
Test(schedule, a_budget_leaves_out_the_costliest_tests)
{
    rb_bench_params params = four;
    params.budget_s = 3;
    fixture f = open_fixture(params);
    add_some(&f, 2);
    add(&f, 0, 1 << 24, 0);
    add_some(&f, 1);
    add(&f, 1 << 23, 0, 0);
    run_plan(&f);
    want_parts(f.w);
    cr_assert_eq(f.w->started[2], 0, "16 million steps");
    cr_assert_eq(f.w->started[4], 0, "8 million tokens");
    cr_assert_gt(f.w->n_row, 0);
    close_fixture(&f);
}

/* However little time there is, one test that can run does, so that a rerun gets further. */
Test(schedule, no_budget_is_too_small_for_one_test)
{
    static const double budget[] = { 1e-9, 1e-3, 0.2 };
    for (size_t i = 0; i < sizeof budget / sizeof *budget; i++) {
        rb_bench_params params = four;
        params.budget_s = budget[i];
        fixture f = open_fixture(params);
        add_some(&f, 66);
        f.w->plan.test[0].n_seq = 257; /* fails at once */
        run_plan(&f);
        int ran = 0;
        for (int k = 0; k < f.w->n_row; k++)
            ran += f.w->samples[f.w->row[k]] > 0;
        cr_assert_gt(ran, 0, "%g s: nothing ran", budget[i]);
        want_parts(f.w);
        close_fixture(&f);
    }
}

Test(schedule, a_budget_does_not_tell_of_what_was_skipped)
{
    rb_bench_params params = four;
    params.budget_s = 1e-9;
    fixture f = open_fixture(params);
    add_some(&f, 70);
    for (int i = 0; i < 70; i++)
        f.w->skipped[i] = i % 2;
    run_plan(&f);
    cr_assert_eq(f.w->n_row + f.w->n_left_out, 35);
    for (int i = 0; i < f.w->n_left_out; i++)
        cr_assert_not(f.w->skipped[f.w->left_out[i]]);
    close_fixture(&f);
}

/* ---- sessions are shared, counts are not ---- */

/* Layers, contexts, micro-batches and sequences that share sessions, or have to take turns. */
static void add_mixture(fixture *f)
{
    static const int64_t layer[] = { 4, 1, 6, 2 }, depth[] = { 0, 30, 7 }, seq[] = { 1, 3 };
    for (int l = 0; l < 4; l++)
        for (int d = 0; d < 3; d++)
            for (int s = 0; s < 2; s++) {
                rb_test *t = add(f, s ? 20 : 0, s ? 0 : 3, depth[d]);
                t->n_layer = layer[l];
                t->n_seq = seq[s];
                t->n_ubatch = d == 1 ? 8 : 512;
                t->type_k = l == 1 ? RB_F32 : RB_F16;
            }
}

/* Counts are what a dry run of each test alone gives. */
static void want_counts(const fixture *real, const char *type)
{
    const rb_bench_params params = { .n_reps = 1, .seed = 1, .dry = true };
    fixture dry = open_typed(params, type);
    rb_result *r = calloc(1, sizeof *r);
    for (int i = 0; i < real->w->plan.n; i++) {
        rb_bench_test(dry.bench, &real->w->plan.test[i], r);
        cr_assert_str_eq(r->error, "");
        cr_assert(rb_cost_equal(&r->total.cost, &real->w->cost[i]), "test %d", i);
    }
    free(r);
    close_fixture(&dry);
}

Test(schedule, counts_are_those_of_each_test_alone)
{
    rb_bench_params params = four;
    params.n_reps = 3;
    fixture real = open_fixture(params);
    add_mixture(&real);
    run_plan(&real);
    want_all(&real, 3);
    want_counts(&real, NULL);
    for (int i = 0; i < real.w->plan.n; i++)
        cr_assert_str_eq(real.w->kv_fill[i], "real");
    close_fixture(&real);
}

/* Whatever ran before on the same session: a context that nobody computed is called so. */
Test(schedule, contexts_too_costly_to_compute_are_called_synthetic)
{
    rb_bench_params params = four;
    params.n_reps = 3;
    params.max_fill_flops = 1;
    fixture f = open_fixture(params);
    add(&f, 0, 2, 60);
    add(&f, 0, 2, 40);
    add(&f, 4, 0, 0);
    run_plan(&f);
    want_all(&f, 3);
    cr_assert_str_eq(f.w->kv_fill[0], "synthetic");
    cr_assert_str_eq(f.w->kv_fill[1], "synthetic");
    cr_assert_str_eq(f.w->kv_fill[2], "real");
    close_fixture(&f);
    f = open_fixture(params);
    add(&f, 0, 2, 10); /* unknown in the first round, there from then on */
    add(&f, 200, 0, 0);
    run_plan(&f);
    want_all(&f, 3);
    cr_assert_str_eq(f.w->kv_fill[0], "synthetic");
    cr_assert_str_eq(f.w->kv_fill[1], "real");
    close_fixture(&f);
    params.sequential = true;
    f = open_fixture(params);
    add(&f, 200, 0, 0);
    add(&f, 0, 1, 12);
    add(&f, 0, 1, 12)->n_layer = 3; /* one layer more than there is */
    run_plan(&f);
    want_all(&f, 3);
    cr_assert_str_eq(f.w->kv_fill[1], "real");
    cr_assert_str_eq(f.w->kv_fill[2], "synthetic");
    close_fixture(&f);
}

/* More kinds of sessions than are kept open. */
Test(schedule, threads_and_isas_take_turns)
{
    rb_bench_params params = four;
    params.n_reps = 3;
    fixture f = open_typed(params, "q8_0");
    const rb_isa isas[] = { RB_ISA_SCALAR, add(&f, 4, 0, 0)->isa };
    f.w->plan.n = 0;
    for (int threads = 1; threads <= 3; threads++)
        for (int k = 0; k < 2; k++)
            for (int n = 0; n < 3; n++) {
                rb_test *t = add(&f, n ? 0 : 9, n ? 2 : 0, n == 2 ? 5 : 0);
                t->n_threads = threads;
                t->isa = isas[k];
                t->capped = true;
                t->type_k = n ? RB_F16 : RB_F32;
            }
    run_plan(&f);
    want_all(&f, 3);
    want_counts(&f, "q8_0");
    close_fixture(&f);
}

/* A session is shared by tests that differ in layers and context alone. */
Test(schedule, tests_run_on_a_session_of_their_kind)
{
    fixture f = open_fixture(four);
    for (int i = 0; i < 64; i++) {
        f.w->plan.n = f.w->n_row = f.w->n_step = 0;
        rb_test *t = add(&f, 0, 1, i & 1 ? 5 : 0);
        t->n_threads = i & 2 ? 2 : 1;
        t->isa = i & 4 ? t->isa : RB_ISA_SCALAR;
        t->capped = true;
        t->act_f32 = i & 8;
        t->type_v = i & 16 ? RB_F32 : RB_F16;
        t->n_seq = i & 32 ? 2 : 1;
        run_plan(&f);
        want_all(&f, 4);
        const rb_slot *last = &f.bench->slot[0];
        for (int k = 1; k < RB_MAX_SLOT; k++)
            last = f.bench->slot[k].used > last->used ? &f.bench->slot[k] : last;
        const rb_session_params *p = &last->open;
        cr_assert(p->n_threads == t->n_threads && p->isa == t->isa && p->act_f32 == t->act_f32 &&
                      p->type_v == t->type_v && p->n_seq == t->n_seq && p->capped,
                  "test %d", i);
        cr_assert(p->n_layer >= t->n_layer && p->n_ctx >= 1 + t->n_depth);
    }
    close_fixture(&f);
}

/* ---- one after the other ---- */

Test(schedule, a_bench_runs_plan_after_plan)
{
    fixture f = open_fixture(four);
    for (int i = 0; i < 3; i++) {
        f.w->plan.n = f.w->n_row = f.w->n_step = 0;
        memset(f.w->started, 0, sizeof f.w->started);
        add_some(&f, 3 + i);
        f.w->plan.test[1].n_layer = 2 + 3 * i; /* the model grows */
        f.w->plan.test[0].n_depth = 10 * i;
        run_plan(&f);
        want_all(&f, 4);
    }
    close_fixture(&f);
}
