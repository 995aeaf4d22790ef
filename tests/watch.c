/* What a run of a plan tells, kept. Every repetition, row and test left out ends up in a watch.
 * Nothing is judged here but what no run may ever do.
 * Read next: watch.h, test_schedule.c. */
#include "watch.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static bool is_stopped(void *arg)
{
    watch *w = arg;
    return w->n_step > w->stop_at_step || w->n_ask++ >= w->stop_after_asks;
}

static void note_step(void *arg, const rb_progress_at *at)
{
    watch *w = arg;
    if (at->test < 0) {
        w->n_roofs++;
        return;
    }
    cr_assert(at->test < w->plan.n && w->n_step < MAX_STEP);
    w->step[w->n_step].test = at->test;
    w->step[w->n_step++].rep = at->round;
    w->started[at->test]++;
    w->left_s = at->left_s;
}

static bool is_skipped(void *arg, int i)
{
    return ((watch *)arg)->skipped[i];
}

static void take_row(void *arg, int i, const rb_result *r)
{
    watch *w = arg;
    cr_assert(i >= 0 && i < w->plan.n);
    cr_assert_eq(memcmp(&r->test, &w->plan.test[i], sizeof r->test), 0, "another test's row");
    for (int k = 0; k < w->n_row; k++)
        cr_assert_neq(w->row[k], i, "test %d is told twice", i);
    w->row[w->n_row++] = i;
    w->samples[i] = r->n_samples;
    w->interrupted[i] = r->interrupted;
    w->cost[i] = r->total.cost;
    w->kv_fill[i] = r->kv_fill;
    memcpy(w->error[i], r->error, sizeof r->error);
    if (!r->error[0])
        cr_assert(r->n_samples == r->ns.n && r->when[0]);
}

static void take_left_out(void *arg, int i, double need_s)
{
    watch *w = arg;
    cr_assert_geq(need_s, 0);
    w->left_out[w->n_left_out++] = i;
}

fixture open_typed(rb_bench_params params, const char *type)
{
    fixture f = { .w = calloc(1, sizeof *f.w) };
    rb_model_params how = { .dry = true, .mix = type ? rb_mix_by_name(type) : NULL, .seed = 1 };
    cr_assert_eq(rb_model_open(&f.shape, "tiny", &how, NULL), RB_OK);
    how.dry = params.dry;
    cr_assert_eq(rb_model_open(&f.model, "tiny", &how, NULL), RB_OK);
    params.stop = is_stopped;
    params.progress = note_step;
    params.arg = f.w;
    cr_assert_eq(rb_bench_open(&f.bench, f.model, f.shape, &params, NULL), RB_OK);
    f.w->stop_at_step = f.w->stop_after_asks = NEVER;
    f.w->plan.test = calloc(MAX_TEST, sizeof *f.w->plan.test);
    return f;
}

fixture open_fixture(rb_bench_params params)
{
    return open_typed(params, NULL);
}

void close_fixture(fixture *f)
{
    rb_bench_close(f->bench);
    rb_model_close(f->model);
    rb_model_close(f->shape);
    free(f->w->plan.test);
    free(f->w);
}

rb_test *add(fixture *f, int64_t n_prompt, int64_t n_gen, int64_t n_depth)
{
    cr_assert_lt(f->w->plan.n, MAX_TEST);
    rb_test *t = &f->w->plan.test[f->w->plan.n++];
    *t = (rb_test){ .n_prompt = n_prompt,
                    .n_gen = n_gen,
                    .n_depth = n_depth,
                    .n_seq = 1,
                    .n_layer = 2,
                    .n_batch = 2048,
                    .n_ubatch = 16,
                    .n_threads = 1,
                    .type_k = RB_F16,
                    .type_v = RB_F16 };
    cr_assert_eq(rb_isa_detect(&t->isa, &t->capped, NULL), RB_OK);
    return t;
}

void add_some(fixture *f, int n)
{
    for (int i = 0; i < n; i++)
        add(f, i % 2 ? 0 : 1 + i % 5, i % 2 ? 1 + i % 3 : 0, 0);
}

void run_plan(fixture *f)
{
    rb_error err = { 0 };
    const rb_sink sink = { is_skipped, take_row, take_left_out, f->w };
    cr_assert_eq(rb_bench_run(f->bench, &f->w->plan, &sink, &err), RB_OK, "%s", err.text);
}

void want_all(const fixture *f, int samples)
{
    const watch *w = f->w;
    cr_assert_eq(w->n_row, w->plan.n);
    cr_assert_eq(w->n_left_out, 0);
    for (int i = 0; i < w->n_row; i++) {
        cr_assert_eq(w->row[i], i, "row %d is of test %d", i, w->row[i]);
        cr_assert_str_eq(w->error[i], "");
        cr_assert_eq(w->samples[i], samples, "test %d: %d samples", i, w->samples[i]);
        cr_assert_not(w->interrupted[i]);
    }
}
