/* Runs the sets of the paper's grid: opens the weights of one (those of the set before it where
 * they are the same), runs its tests and keeps their records. Sets whose weights do not fit into
 * memory, or that no time is left for, are left out with a line each; so are tests. Read next:
 * ../bench/paper/grid.h (which sets), ../bench/paper/note.h (what records say besides). */
#include "paper_run.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LINES = 12 }; /* of what is left out, on stderr */

/* The report wants time too, and what was guessed may take longer. */
static const double spare = 0.06;

double rb_paper_elapsed_s(const rb_paper_job *j)
{
    return (double)(rb_now_ns() - j->start_ns) / 1e9;
}

static double left_s(const rb_paper_job *j)
{
    return j->budget_s * (1 - spare) - rb_paper_elapsed_s(j);
}

/* An interrupt, or the end of the budget for a test that takes much longer than was guessed. */
static bool is_over(const rb_paper_job *j)
{
    return j->budget_s > 0 && rb_paper_elapsed_s(j) > j->budget_s;
}

static bool should_stop(void *arg)
{
    const rb_paper_job *j = arg;
    return rb_signal() || is_over(j);
}

static void tell_progress(void *arg, const rb_progress_at *at)
{
    rb_paper_job *j = arg;
    rb_progress_tell(&j->progress, at);
}

static void fail(rb_paper_job *j, const rb_error *err)
{
    rb_progress_clear(&j->progress);
    rb_complain("%s", err->text);
    rb_paper_failed(j, RB_EXIT_FAILED);
}

/* A defect of rbench outweighs all else that fails, whatever comes after it. */
void rb_paper_failed(rb_paper_job *j, int code)
{
    if (j->code != RB_EXIT_SELFCHECK)
        j->code = code;
}

void rb_paper_leave_out(rb_paper_job *j, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    rb_progress_clear(&j->progress);
    if (j->n_left_out < MOST_LINES)
        rb_complain("left out: %s", text);
    else if (j->n_left_out == MOST_LINES)
        rb_complain("left out: more than these; a report has all of them");
    char **grown = realloc(j->left_out, (size_t)(j->n_left_out + 1) * sizeof *grown);
    if (!grown)
        return;
    j->left_out = grown;
    if ((j->left_out[j->n_left_out] = strdup(text)))
        j->n_left_out++;
}

/* ---- what a set costs ---- */

/* Seconds of drawing and packing its weights, by how many there are. */
static double guess_open(const rb_model *shape, int n_form)
{
    const double per_weight = 20e-9;
    return per_weight * (double)shape->n_params * n_form;
}

/* Of f's forms beside the model: both run the window, in f32. */
static double guess_judge_s(const rb_paper_job *j, const rb_forms *f)
{
    const rb_test window = { .n_prompt = RB_JUDGE_WINDOW,
                             .n_seq = 1,
                             .n_layer = f->shape[0]->config.n_layer,
                             .n_threads = j->like.n_threads,
                             .act_f32 = true };
    const rb_machine *m = rb_roof_pool_machine(&j->roofs, j->like.n_threads, j->like.isa);
    return 2 * (f->n - 1) * rb_guess_s(f->shape[0], &window, m);
}

static bool same_weights(const rb_grid_set *a, const rb_grid_set *b)
{
    return !strcmp(a->model, b->model) && a->type == b->type && a->n_own == b->n_own &&
           a->n_layer == b->n_layer && a->n_way == 0 && b->n_way == 0;
}

static bool are_open(const rb_paper_job *j, const rb_grid_set *s)
{
    return j->opened && same_weights(j->opened, s);
}

static rb_status open_set(const rb_paper_job *j, const rb_grid_set *s, bool dry, rb_forms *f,
                          rb_error *err)
{
    const char *word[RB_GRID_WAYS];
    for (int i = 0; i < s->n_way; i++)
        word[i] = s->way[i];
    const rb_forms_params p = { .mix = s->type ? rb_mix_by_name(s->type) : NULL,
                                .dry = dry,
                                .digest = true,
                                .n_layer = s->n_own,
                                .word = word,
                                .n_word = s->n_way,
                                .n_threads = dry ? 0 : j->like.n_threads };
    return rb_forms_open_words(f, s->model, &p, err);
}

static rb_status plan_set(const rb_paper_job *j, const rb_grid_set *s, const rb_forms *f,
                          rb_plan *plan, rb_error *err)
{
    const rb_config *c = &f->shape[0]->config;
    rb_test like = j->like;
    like.gelu_erf = c->gelu_erf;
    return rb_grid_plan(plan, s, &like, c->n_layer, f->way, f->n_way, err);
}

/* The record of a result, marked as the set's. */
static json_t *record_of(const rb_subject *subject, const rb_grid_set *s, const rb_result *r,
                         rb_told *told)
{
    json_t *record = rb_record(subject, r, told);
    if (record)
        rb_paper_mark(record, s, rb_subject_model(subject, &r->test));
    return record;
}

typedef bool has_fn(const json_t *records, const json_t *record);

/* Whether the file has the test, as has looks for it. */
static bool is_there(const rb_paper_job *j, const rb_subject *subject, const rb_grid_set *s,
                     const rb_test *t, has_fn *has)
{
    rb_result *probe = calloc(1, sizeof *probe);
    if (!probe)
        return false;
    probe->test = *t;
    strcpy(probe->error, "a probe");
    json_t *record = record_of(subject, s, probe, NULL);
    const bool found = record && has(j->records, record);
    json_decref(record);
    free(probe);
    return found;
}

/* Of the tests that seem to have no record. before: the last set with any, or NULL. */
static rb_status guess_set(const rb_paper_job *j, const rb_grid_set *s, const rb_grid_set *before,
                           rb_grid_cost *cost, rb_error *err)
{
    const rb_machine *m = rb_roof_pool_machine(&j->roofs, j->like.n_threads, j->like.isa);
    rb_plan plan = { 0 };
    rb_forms f;
    rb_status st = open_set(j, s, true, &f, err);
    if (st == RB_OK)
        st = plan_set(j, s, &f, &plan, err);
    const rb_subject dry = { .filename = s->model, .model = f.shape[0], .formed = f.formed };
    for (int k = 0; k < plan.n && st == RB_OK; k++) {
        const rb_test *t = &plan.test[k];
        if (is_there(j, &dry, s, t, rb_paper_seems_to_have))
            continue;
        cost->n_todo++;
        cost->once += rb_guess_s(f.shape[t->model], t, m);
        cost->warmup += rb_guess_warmup_s(f.shape[t->model], t, m);
    }
    cost->n_test = plan.n;
    if (st == RB_OK && !(before && same_weights(s, before)))
        cost->open = guess_open(f.shape[0], f.n) + guess_judge_s(j, &f);
    rb_plan_free(&plan);
    rb_forms_close(&f);
    return st;
}

/* ---- one set ---- */

static void close_forms(rb_paper_job *j)
{
    json_decref(j->subject.env);
    j->subject.env = NULL;
    rb_forms_close(&j->forms);
    j->opened = NULL;
}

/* How far forms are from the model: a failure costs that alone, but a form that should be exact and
 * is not is a defect. */
static void judge_forms(rb_paper_job *j)
{
    const rb_judge_params params = { .seed = 1, .n_threads = j->like.n_threads };
    rb_error err = { 0 };
    bool defect = false;
    if (j->forms.n == 1)
        return;
    rb_progress_text(&j->progress, "measuring how far forms of attention are from the model");
    const rb_status st = rb_forms_judge(&j->forms, j->set->model, &params, &defect, &err);
    rb_progress_clear(&j->progress);
    if (st == RB_OK || rb_signal())
        return;
    rb_complain("%s: %s", j->what, err.text);
    rb_paper_failed(j, defect ? RB_EXIT_SELFCHECK : RB_EXIT_FAILED);
}

/* *ready: its weights are in memory; else it was left out. */
static rb_status open_forms(rb_paper_job *j, bool *ready, rb_error *err)
{
    const rb_grid_set *s = j->set;
    const uint64_t start = rb_now_ns();
    *ready = are_open(j, s);
    if (*ready)
        return RB_OK;
    close_forms(j);
    rb_progress_text(&j->progress, j->what);
    rb_status st = open_set(j, s, false, &j->forms, err);
    rb_progress_clear(&j->progress);
    *ready = st == RB_OK;
    if (st == RB_ERR_MEMORY) {
        rb_paper_leave_out(j, "%s: %s", j->what, err->text);
        st = RB_OK;
    }
    if (*ready)
        j->opened = s;
    else
        rb_forms_close(&j->forms);
    j->forms_s = (double)(rb_now_ns() - start) / 1e9;
    j->open_s += j->forms_s;
    if (*ready)
        judge_forms(j);
    return st;
}

static rb_status open_bench(rb_paper_job *j, double budget_s, rb_error *err)
{
    const rb_grid_set *s = j->set;
    const rb_bench_params params = { .n_reps = s->n_reps,
                                     .least_reps = s->least_reps,
                                     .warmup = true,
                                     .roofs = j->with_roofs ? &j->roofs : NULL,
                                     .seed = 1,
                                     .budget_s = budget_s,
                                     .max_fill_flops = 2e11, /* contents change no dense model */
                                     .stop = should_stop,
                                     .progress = tell_progress,
                                     .arg = j };
    rb_status st = plan_set(j, s, &j->forms, &j->plan, err);
    if (st == RB_OK)
        st = rb_bench_open(&j->bench, j->forms.model[0], j->forms.shape[0], &params, err);
    for (int i = 1; i < j->forms.n && st == RB_OK; i++)
        st = rb_bench_add(j->bench, j->forms.model[i], j->forms.shape[i], err);
    return st;
}

/* Whether a tenth of memory stays free beside test i. */
static bool fits(rb_paper_job *j, int i)
{
    const rb_test *t = &j->plan.test[i];
    const uint64_t available = rb_host_available();
    rb_memory m;
    if (!available || rb_bench_memory(j->bench, t, &m, NULL) != RB_OK)
        return true; /* and if it fails, its row says why */
    const uint64_t loaded = rb_model_bytes(j->forms.model[t->model]);
    if (rb_memory_total(&m) - loaded <= available - available / 10)
        return true;
    char name[64];
    rb_paper_leave_out(j,
                       "%s: %s at %lld layers needs %.2f GB more, %.2f GB are available, a tenth "
                       "of it is kept free",
                       j->what, rb_test_name(t, name, sizeof name), (long long)t->n_layer,
                       (double)(rb_memory_total(&m) - loaded) / 1e9, (double)available / 1e9);
    return false;
}

static bool skip(void *arg, int i)
{
    rb_paper_job *j = arg;
    const bool not_wanted =
        is_there(j, &j->subject, j->set, &j->plan.test[i], rb_paper_has) || !fits(j, i);
    j->n_told += not_wanted;
    return not_wanted;
}

static void take_row(void *arg, int i, const rb_result *r)
{
    rb_paper_job *j = arg;
    rb_error err = { 0 };
    (void)i;
    j->n_told++;
    rb_progress_clear(&j->progress);
    json_t *record = record_of(&j->subject, j->set, r, &j->told);
    if (!record) {
        rb_fail(&err, RB_ERR_MEMORY, "no memory for a record");
        fail(j, &err);
        return;
    }
    rb_paper_add_proxy(record, j->records, rb_subject_model(&j->subject, &r->test),
                       &(rb_paper_opened){ j->forms_s, j->forms.n }, j->rates.n_reps);
    if (rb_store_append(j->store, record, &err) != RB_OK && !j->told_unwritten) {
        fail(j, &err);
        j->told_unwritten = true;
    }
    json_array_append(j->records, record);
    json_decref(record);
    j->n_new++;
    if (!r->error[0])
        return;
    rb_complain("%s: %s", j->what, r->error);
    rb_paper_failed(j, r->counts_differ ? RB_EXIT_SELFCHECK : RB_EXIT_FAILED);
}

static void take_left_out(void *arg, int i, double need_s)
{
    rb_paper_job *j = arg;
    char name[64], attn[64];
    const rb_test *t = &j->plan.test[i];
    j->n_told++;
    rb_paper_leave_out(j, "%s: %s of %s at %lld layers, it needs about %.0f s", j->what,
                       rb_test_name(t, name, sizeof name),
                       rb_subject_attn(&j->subject, t, attn, sizeof attn), (long long)t->n_layer,
                       need_s);
}

static rb_status run_tests(rb_paper_job *j, double budget_s, rb_error *err)
{
    char cpu[128];
    const rb_sink sink = { skip, take_row, take_left_out, j };
    json_t *env = j->subject.env ? j->subject.env : rb_env_manifest(j->forms.digest[0]);
    j->subject = (rb_subject){ .filename = j->set->model,
                               .model = j->forms.model[0],
                               .formed = j->forms.formed,
                               .cpu = rb_host_cpu(cpu, sizeof cpu),
                               .commit = RB_COMMIT,
                               .roofs = j->with_roofs,
                               .seed = 1,
                               .env = env };
    j->n_told = 0;
    j->progress = rb_progress_make(j->progress_wanted, false, &j->plan);
    rb_status st = open_bench(j, budget_s, err);
    if (st == RB_OK)
        st = rb_bench_run(j->bench, &j->plan, &sink, err);
    rb_progress_clear(&j->progress);
    if (st == RB_OK && is_over(j) && !rb_signal() && j->n_told < j->plan.n)
        rb_paper_leave_out(j, "%s: the budget ended before %d of its %d tests", j->what,
                           j->plan.n - j->n_told, j->plan.n);
    rb_bench_close(j->bench);
    rb_plan_free(&j->plan);
    j->bench = NULL;
    return st;
}

static void leave_out_set(rb_paper_job *j, const rb_grid_cost *cost)
{
    rb_paper_leave_out(j, "%s: %s %d test%s, about %.0f s", j->what,
                       cost->n_todo < cost->n_test ? "the other"
                       : cost->n_todo > 1          ? "all its"
                                                   : "its only",
                       cost->n_todo, cost->n_todo > 1 ? "s" : "",
                       cost->open + cost->warmup + cost->once * j->set->least_reps);
}

static void run_set(rb_paper_job *j, int i, const rb_grid_cost *cost, double part_end_s)
{
    const rb_grid_set *s = j->set = &j->grid.set[i];
    const uint64_t start = rb_now_ns();
    const double left = part_end_s - rb_paper_elapsed_s(j);
    const double limit = j->budget_s > 0 ? rb_grid_limit(&j->grid, i, cost, left) : 0;
    bool ready = false;
    rb_error err = { 0 };
    rb_status st = RB_OK;
    snprintf(j->what, sizeof j->what, "%s, %.100s%s%s", rb_part_name[s->part], s->model,
             s->type ? " " : "", s->type ? s->type : "");
    if (j->budget_s > 0 && !limit) {
        if (cost[i].n_todo)
            leave_out_set(j, &cost[i]);
    } else
        st = open_forms(j, &ready, &err);
    const double took = (double)(rb_now_ns() - start) / 1e9;
    if (st == RB_OK && ready && !rb_signal())
        st = run_tests(j, j->budget_s > 0 ? fmax(limit - took, 0.1) : 0, &err);
    if (st != RB_OK && !rb_signal())
        fail(j, &err);
    j->part_s[s->part] += (double)(rb_now_ns() - start) / 1e9;
}

/* ---- all of them ---- */

static rb_status measure_roofs(rb_paper_job *j, rb_error *err)
{
    const rb_test *t = &j->like;
    rb_roofs *roofs;
    if (!j->with_roofs)
        return RB_OK;
    tell_progress(j, &(rb_progress_at){ .test = -1 });
    const rb_status st =
        rb_roof_pool_get(&j->roofs, t->n_threads, t->isa, t->capped, should_stop, j, &roofs, err);
    rb_progress_clear(&j->progress);
    j->roofs_s = rb_paper_elapsed_s(j);
    return st;
}

static void run_sets(rb_paper_job *j, const rb_grid_cost *cost)
{
    double part_end_s = 0;
    for (int i = 0; i < j->grid.n && !rb_signal(); i++) {
        const rb_part part = j->grid.set[i].part;
        if (!i || part != j->grid.set[i - 1].part)
            part_end_s = rb_paper_elapsed_s(j) + rb_grid_share(&j->grid, cost, part, left_s(j));
        if (cost[i].n_todo || !j->grid.set[i].type) /* a file may be another than it was */
            run_set(j, i, cost, part_end_s);
    }
    close_forms(j);
}

void rb_paper_run(rb_paper_job *j)
{
    rb_error err = { 0 };
    rb_grid_cost *cost = calloc((size_t)j->grid.n + 1, sizeof *cost);
    if (!cost) {
        rb_fail(&err, RB_ERR_MEMORY, "no memory for the paper's tests");
        fail(j, &err);
        return;
    }
    j->progress = rb_progress_make(j->progress_wanted, false, NULL);
    rb_status st = measure_roofs(j, &err);
    for (int i = 0; i < j->grid.n_left_out; i++)
        rb_paper_leave_out(j, "%s", j->grid.left_out[i]);
    const rb_grid_set *before = NULL;
    for (int i = 0; i < j->grid.n && st == RB_OK; i++) {
        st = guess_set(j, &j->grid.set[i], before, &cost[i], &err);
        before = cost[i].n_todo ? &j->grid.set[i] : before;
    }
    if (st == RB_OK)
        run_sets(j, cost);
    else
        fail(j, &err);
    free(cost);
}

void rb_paper_job_close(rb_paper_job *j)
{
    rb_store_close(j->store);
    json_decref(j->records);
    for (int i = 0; i < j->n_overlay; i++)
        json_decref(j->laid[i]);
    rb_roof_pool_close(&j->roofs);
    rb_grid_free(&j->grid);
    for (int i = 0; i < j->n_left_out; i++)
        free(j->left_out[i]);
    free(j->left_out);
    free(j->path);
    *j = (rb_paper_job){ 0 };
}
