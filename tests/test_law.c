/* The law of context on results whose truth is known: lines and slopes of roofs, drift, outliers
 * and noise, what is foretold of contexts and of more sequences, and the sweep as users meet it.
 * Times are made up but in the last tests. Read next: ../bench/law.c, ../tools/context.c. */
#include "../bench/bench.h"
#include "program.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 3, ROUNDS = 7 };

static const int64_t contexts[] = { 0, 256, 512, 1024, 2048, 4096 };
enum { N_CONTEXT = sizeof contexts / sizeof *contexts };

static const double a_ns = 1e6, b_ns = 25, weight_bytes = 8e6, kv_bytes = 200; /* of a step */

/* 20 GB/s: the weights of a step take 400 us, a token of context 10 ns. */
static rb_machine machine(void)
{
    rb_machine m = { .n_threads = 1 };
    m.roof[RB_ROOF_READ_DRAM].value = 20;
    m.roof[RB_ROOF_FMA_F32].value = 1000;
    return m;
}

static void near(double got, double want, double share)
{
    cr_assert_float_eq(got, want, share * fabs(want), "%.12g is not %.12g", got, want);
}

/* Tokens in the cache before a step of a test at d, on average. */
static double mean_context(int64_t d)
{
    return (double)d + (STEPS - 1) / 2.0;
}

static double step_ns(int64_t d)
{
    return a_ns + b_ns * mean_context(d);
}

/* A decode test: steps of ns[i] in round i under a share memory[i] of the bandwidth (NULL: all).
 * Matrices read the weights once and take 0.6 ms of a step, attention reads each sequence's cache
 * and takes 15 ns a token of it. */
static rb_result *result(const rb_machine *m, int64_t d, int64_t n_seq, const double *ns,
                         const double *memory)
{
    rb_result *r = calloc(1, sizeof *r);
    rb_tally *weights = &r->ledger.at[RB_DECODE][RB_SITE_QKV][RB_OP_MATMUL];
    rb_tally *core = &r->ledger.at[RB_DECODE][RB_SITE_ATTN][RB_OP_ATTEND];
    cr_assert_not_null(r);
    r->test =
        (rb_test){ .n_gen = STEPS, .n_depth = d, .n_seq = n_seq, .n_layer = 2, .type_k = RB_F16 };
    r->machine = m;
    r->n_samples = ROUNDS;
    for (int i = 0; i < ROUNDS; i++) {
        r->sample[i].ns = (uint64_t)llround(STEPS * ns[i]);
        r->sample[i].probe = (rb_probe){ 20 * (memory ? memory[i] : 1), 1000 };
    }
    const double kv = STEPS * (double)n_seq * kv_bytes * mean_context(d);
    *weights = (rb_tally){ .calls = STEPS, .ns = (uint64_t)(STEPS * 0.6e6) };
    weights->cost.rd[RB_WEIGHT] = (uint64_t)(STEPS * weight_bytes);
    *core = (rb_tally){ .calls = STEPS, .ns = (uint64_t)(STEPS * 15 * mean_context(d)) };
    core->cost.rd[RB_KV] = (uint64_t)kv;
    rb_tally_add(&r->total, weights);
    rb_tally_add(&r->total, core);
    return r;
}

static void note(rb_laws *l, rb_result *r)
{
    cr_assert_eq(rb_laws_note(l, r, NULL), RB_OK);
    free(r);
}

/* The same time in every round, times a factor of the round (NULL: 1). */
static void note_steady(rb_laws *l, const rb_machine *m, int64_t d, int64_t n_seq, double step,
                        const double *factor, const double *memory)
{
    double ns[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        ns[i] = step * (factor ? factor[i] : 1);
    note(l, result(m, d, n_seq, ns, memory));
}

static rb_laws laws_of_steady(const rb_machine *m, const double *factor, const double *memory)
{
    rb_laws l = { .hold = -1 };
    for (int i = 0; i < N_CONTEXT; i++)
        note_steady(&l, m, contexts[i], 1, step_ns(contexts[i]), factor, memory);
    cr_assert_eq(rb_laws_fit(&l, NULL), RB_OK);
    cr_assert_eq(l.n_law, 1);
    return l;
}

/* ---- lines ---- */

Test(law, a_line_is_found)
{
    rb_laws l = laws_of_steady(NULL, NULL, NULL);
    const rb_law *law = &l.law[0];
    near(law->a.median, a_ns, 1e-6);
    near(law->b.median, b_ns, 1e-4); /* whole nanoseconds */
    cr_assert(law->n_context == N_CONTEXT && law->b.n == ROUNDS && law->b.has_ci);
    cr_assert_lt(law->misfit, 1e-5);
    cr_assert(isnan(law->roof_ns) && l.n_foretold == 0, "no roofs");
    rb_laws_clear(&l);
}

/* Rounds that are slower as a whole move a and b of their round, the median stays. */
Test(law, drift_and_outliers_move_few_rounds)
{
    static const double drift[] = { 1, 1, 1.5, 1, 0.8, 1, 2 };
    rb_laws l = laws_of_steady(NULL, drift, NULL);
    near(l.law[0].b.median, b_ns, 1e-4);
    near(l.law[0].b.max, 2 * b_ns, 1e-4);
    rb_laws_clear(&l);
    l.hold = -1;
    for (int i = 0; i < N_CONTEXT; i++) {
        double ns[ROUNDS];
        for (int k = 0; k < ROUNDS; k++) /* one wild time in each of the first three rounds */
            ns[k] = step_ns(contexts[i]) * (k < 3 && i == 2 * k ? 30 : 1);
        note(&l, result(NULL, contexts[i], 1, ns, NULL));
    }
    cr_assert_eq(rb_laws_fit(&l, NULL), RB_OK);
    near(l.law[0].b.median, b_ns, 1e-4);
    cr_assert_lt(l.law[0].misfit, 1e-5, "medians are where they were");
    rb_laws_clear(&l);
}

Test(law, a_bend_is_a_misfit)
{
    rb_laws l = { .hold = -1 };
    for (int i = 0; i < N_CONTEXT; i++)
        note_steady(&l, NULL, contexts[i], 1, step_ns(contexts[i]) * (contexts[i] == 512 ? 1.2 : 1),
                    NULL, NULL);
    cr_assert_eq(rb_laws_fit(&l, NULL), RB_OK);
    cr_assert(l.law[0].misfit > 0.1 && l.law[0].misfit < 0.2, "%g", l.law[0].misfit);
    rb_laws_clear(&l);
}

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(*state >> 11) + 0.5) / 9007199254740992.0;
}

/* Each round is noisy as a whole and each time by itself: 3 % and 1 %. */
Test(law, the_interval_of_b_holds_it)
{
    enum { TRIALS = 1500 };
    uint64_t state = 5;
    int holds = 0;
    double width = 0;
    for (int t = 0; t < TRIALS; t++) {
        rb_laws l = { .hold = -1 };
        double round[ROUNDS];
        for (int k = 0; k < ROUNDS; k++)
            round[k] = 1 + 0.06 * (uniform(&state) - 0.5);
        for (int i = 0; i < N_CONTEXT; i++) {
            double ns[ROUNDS];
            for (int k = 0; k < ROUNDS; k++)
                ns[k] = step_ns(contexts[i]) * round[k] * (1 + 0.02 * (uniform(&state) - 0.5));
            note(&l, result(NULL, contexts[i], 1, ns, NULL));
        }
        cr_assert_eq(rb_laws_fit(&l, NULL), RB_OK);
        holds += l.law[0].b.ci_lo <= b_ns && b_ns <= l.law[0].b.ci_hi;
        width += (l.law[0].b.ci_hi - l.law[0].b.ci_lo) / b_ns / TRIALS;
        rb_laws_clear(&l);
    }
    const double share = (double)holds / TRIALS;
    cr_assert(share > 0.95 && share < 0.997, "%g: of 7 rounds the range, 98.4 %%", share);
    cr_assert(width > 0.02 && width < 0.4, "%g", width);
}

/* ---- roofs ---- */

Test(law, roofs_ask_for_the_bytes_of_a_token)
{
    static const double half[] = { 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5 };
    static const double drift[] = { 1, 1, 0.5, 1, 2, 1, 1 };
    const rb_machine m = machine();
    rb_laws l = laws_of_steady(&m, NULL, NULL);
    near(l.law[0].roof_ns, kv_bytes / 20, 1e-6);
    rb_laws_clear(&l);
    l = laws_of_steady(&m, NULL, half);
    near(l.law[0].roof_ns, kv_bytes / 10, 1e-6);
    rb_laws_clear(&l);
    l = laws_of_steady(&m, NULL, drift);
    near(l.law[0].roof_ns, kv_bytes / 20, 1e-6);
    rb_laws_clear(&l);
}

/* ---- which tests ---- */

Test(law, only_tests_that_differ_in_context_alone_share_one)
{
    rb_laws l = { .hold = -1 };
    const double ns[ROUNDS] = { 5, 5, 5, 5, 5, 5, 5 };
    for (int i = 0; i < 3; i++)
        for (int kind = 0; kind < 6; kind++) {
            rb_result *r = result(NULL, kind == 5 ? i / 2 : i, 1, ns, NULL);
            r->test.n_layer += kind == 1;
            r->test.type_k = kind == 2 ? RB_Q8_0 : RB_F16;
            r->test.n_threads = kind == 3;
            r->test.n_seq = 1 + (kind == 4);
            r->test.n_gen = kind == 5 ? 1 : STEPS; /* two contexts, one of them twice */
            note(&l, r);
        }
    cr_assert_eq(rb_laws_fit(&l, NULL), RB_OK);
    cr_assert_eq(l.n_law, 5, "%d", l.n_law);
    cr_assert_eq(l.n_foretold, 0);
    rb_laws_clear(&l);
}

Test(law, what_did_not_decode_is_no_part_of_it)
{
    rb_laws l = { .hold = -1 };
    const double ns[ROUNDS] = { 5, 5, 5, 5, 5, 5, 5 };
    for (int kind = 0; kind < 4; kind++) {
        rb_result *r = result(NULL, 10, 1, ns, NULL);
        r->test.n_prompt = kind == 0;
        r->dry = kind == 1;
        r->n_samples = kind == 2 ? 0 : ROUNDS;
        strcpy(r->error, kind == 3 ? "failed" : "");
        note(&l, r);
    }
    cr_assert_eq(l.n_point, 0);
    cr_assert_eq(rb_laws_fit(&l, NULL), RB_OK);
    cr_assert_null(rb_laws_text(&l, &(rb_subject){ 0 }));
    rb_laws_clear(&l);
}

/* ---- foretelling ---- */

Test(law, a_context_on_hold_is_foretold_and_never_fitted)
{
    rb_laws l = { .hold = 3072 };
    for (int i = 0; i < N_CONTEXT; i++)
        note_steady(&l, NULL, contexts[i], 1, step_ns(contexts[i]), NULL, NULL);
    note_steady(&l, NULL, 3072, 1, 2 * step_ns(3072), NULL, NULL); /* twice what the law says */
    cr_assert_eq(rb_laws_fit(&l, NULL), RB_OK);
    cr_assert(l.n_law == 1 && l.law[0].n_context == N_CONTEXT && l.n_foretold == 1);
    near(l.law[0].b.median, b_ns, 1e-4);
    cr_assert_eq(l.foretold[0].test.n_depth, 3072);
    near(l.foretold[0].said_ns, step_ns(3072), 1e-5);
    near(l.foretold[0].took_ns, 2 * step_ns(3072), 1e-5);
    rb_laws_clear(&l);
}

/* Matrices read their weights once for both, attention reads two caches: of a step only attention's
 * 15 ns a token come again. */
Test(law, more_sequences_are_foretold_kernel_by_kernel)
{
    const rb_machine m = machine();
    rb_laws l = { .hold = -1 };
    for (int i = 0; i < N_CONTEXT; i++)
        note_steady(&l, &m, contexts[i], 1, step_ns(contexts[i]), NULL, NULL);
    note_steady(&l, &m, 1024, 2, 7e6, NULL, NULL);
    note_steady(&l, &m, 1025, 2, 7e6, NULL, NULL); /* no law was fitted there */
    cr_assert_eq(rb_laws_fit(&l, NULL), RB_OK);
    cr_assert(l.n_law == 1 && l.n_foretold == 1, "%d", l.n_foretold);
    near(l.foretold[0].said_ns, step_ns(1024) + 15 * mean_context(1024), 1e-4);
    near(l.foretold[0].took_ns, 7e6, 1e-6);
    rb_laws_clear(&l);
}

Test(law, tables_show_laws_and_what_they_foretold)
{
    const rb_machine m = machine();
    const rb_model model = { .config = { .n_head = 4, .n_head_kv = 2 } };
    const rb_subject subject = { .model = &model };
    rb_laws l = { .hold = 3072 };
    for (int i = 0; i < N_CONTEXT; i++)
        note_steady(&l, &m, contexts[i], 1, step_ns(contexts[i]), NULL, NULL);
    note_steady(&l, &m, 3072, 1, step_ns(3072) / 0.9, NULL, NULL);
    cr_assert_eq(rb_laws_fit(&l, NULL), RB_OK);
    char *text = rb_laws_text(&l, &subject);
    cr_assert_not_null(text);
    cr_assert(strstr(text, "| gqa "), "%s", text);
    cr_assert(
        strstr(text, "|        6 | 1.00 ms |          25.0 | 25.0 to 25.0 |      10.0 | 40.0 % |"),
        "%s", text);
    cr_assert(strstr(text, "| tg3 @ d3072 | ") && strstr(text, "| -10.0 % |"), "%s", text);
    cr_assert_neq(text[strlen(text) - 1], '\n');
    free(text);
    l.law[0].roof_ns = 30;
    text = rb_laws_text(&l, &subject);
    cr_assert(strstr(text, "| > roof |"), "never above 100 %%: %s", text);
    free(text);
    rb_laws_clear(&l);
}

/* ---- the sweep ---- */

TestSuite(cli_context, .init = program_setup, .fini = program_teardown);

Test(cli_context, the_sweep_runs_contexts_and_two_tests_of_the_law)
{
    outcome o = run("tiny --context-sweep=32,0,16,16 -n 2 -r 6 -o jsonl");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert_eq(lines_of(o.out), 5, "three contexts, one between, two sequences: %s", o.out);
    cr_assert(strstr(o.out, "\"n_depth\":24,") && strstr(o.out, "\"n_seq\":2,"), "%s", o.out);
    cr_assert(strstr(o.err, "| contexts |") && strstr(o.err, "| tg2 @ d24 "), "%s", o.err);
    release(&o);
    o = run("tiny --context-sweep -n 2 -r 1");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert(strstr(o.out, "A decode step with d tokens in the cache takes a + b d"), "%s", o.out);
    cr_assert_null(strstr(o.out, "pp512"), "no prompts unless asked for");
    release(&o);
    want("tiny -p 0 -n 2 -r 1 -d 0,8,16 -t 1", 0, "misfit");
    o = run("tiny -p 0 -n 2 -r 1 -d 0,8 -t 1");
    cr_assert(o.code == 0 && !strstr(o.out, "misfit") && !o.err[0], "two are no law: %s", o.err);
    release(&o);
}

Test(cli_context, two_sequences_are_foretold_under_roofs)
{
    unsetenv("RBENCH_ARG_NO_ROOFS");
    want("tiny --context-sweep=0,16,32 -n 2 -r 6 -t 1", 0, "| tg2 x 2 @ d16 ");
}

Test(cli_context, mistakes)
{
    want("tiny --context-sweep --depth-sweep", 2, "exclude each other");
    want("tiny --context-sweep -d 7", 2, "write --context-sweep=LIST");
    want("tiny --context-sweep=0,8", 2, "wants 3 contexts or more");
    want("tiny --context-sweep=0,8,9", 2, "room for one between the last two");
    want("tiny --context-sweep -pg 4,4", 2, "decode steps");
    want("tiny --context-sweep -n 0", 2, "nothing to run");
    want("tiny --context-sweep=x", 2, "--context-sweep");
}
