/* The sweeps over sequences and over drafted tokens as a job: which are run, what is cut and said,
 * where the roofs cross at the end. The arithmetic behind it is in bench/crossing.c; what it asks
 * of tests that were not run comes from dry ones here. Read next: cmd_bench.c, sweep.c (their twin
 * over layers). */
#include "job.h"

#include <stdlib.h>

static const int64_t default_sequences[] = { 1, 2, 4, 8, 16, 32, 64 };
static const int64_t default_drafts[] = { 1, 2, 3, 4, 6, 8, 12, 16 };

/* What differs between the two. */
typedef struct kind {
    const char *option, *noun;
    const int64_t *preset;
    int n_preset;
    int64_t (*of)(const rb_test *t);
} kind;

static int64_t sequences_of(const rb_test *t)
{
    return t->n_seq;
}

static int64_t drafts_of(const rb_test *t)
{
    return t->n_draft;
}

static const kind kinds[] = {
    [RB_OVER_SEQUENCES] = { "--batch-sweep", "sequences", default_sequences,
                            sizeof default_sequences / sizeof *default_sequences, sequences_of },
    [RB_OVER_DRAFTS] = { "--draft-sweep", "drafted tokens", default_drafts,
                         sizeof default_drafts / sizeof *default_drafts, drafts_of },
};

static rb_list *swept(rb_job *j)
{
    return j->crossings.over == RB_OVER_SEQUENCES ? &j->lists.plan.seq : &j->lists.plan.draft;
}

/* ---- the plan ---- */

/* 512 tokens of context, or as many halves of it as leave room in the model's own. */
static void set_context(rb_job *j)
{
    static const int64_t context[] = { 512, 256, 128, 64, 32, 16, 0 };
    const rb_list *drafts = &j->lists.plan.draft, *gen = &j->lists.plan.gen;
    int64_t most = drafts->at[drafts->n - 1] + 1;
    int i = 0;
    for (int k = 0; k < gen->n; k++)
        most = gen->at[k] > most ? gen->at[k] : most;
    while (context[i] && context[i] + most > j->model->config.n_ctx_train)
        i++;
    j->lists.plan.depth = (rb_list){ &context[i], 1 };
}

rb_status rb_parallel_plan(rb_job *j, rb_error *err)
{
    const kind *k = &kinds[j->crossings.over];
    const rb_opt_value *v = rb_opt_get(j->args, k->option);
    const bool sequences = j->crossings.over == RB_OVER_SEQUENCES;
    int n = v->n;
    rb_sort_distinct(v->num, &n);
    *swept(j) = n ? (rb_list){ v->num, n } : (rb_list){ k->preset, k->n_preset };
    if (!sequences && !rb_opt_get(j->args, "-d")->given)
        set_context(j);
    if (sequences && !j->lists.plan.gen.n && !j->lists.plan.draft.n)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "--batch-sweep wants decode steps or drafts: -n, "
                       "--draft");
    const rb_status st = rb_plan_make(&j->plan, &j->lists.plan, err);
    const rb_swept s = { k->option, k->noun, swept(j), k->of };
    return st == RB_OK ? rb_job_cut(j, &s, v->n > 0, err) : st;
}

/* ---- where roofs cross ---- */

/* Dry tests, of the model's shape. */
typedef struct counter {
    rb_job *job;
    rb_bench *bench;
    rb_result *result;
} counter;

static bool count(void *arg, const rb_test *t, rb_scale scale, rb_demand *d)
{
    counter *c = arg;
    rb_result *r = c->result;
    const rb_machine *m = rb_roof_pool_machine(&c->job->roofs, t->n_threads, t->isa);
    rb_bench_test(c->bench, t, r);
    if (r->error[0] || !r->n_samples)
        return false;
    const double steps = t->n_gen ? (double)t->n_gen : 1;
    const rb_bytes b = rb_cost_bytes(&r->total.cost);
    *d = (rb_demand){ (double)r->total.cost.flops / steps, (double)rb_bytes_wkv(&b) / steps,
                      m ? rb_place_sides(r, m, scale) : (rb_sides){ 0 } };
    return true;
}

void rb_parallel_note(rb_job *j, const rb_test *t, const rb_result *r)
{
    rb_error err = { 0 };
    if (j->crossings.over && rb_crossings_note(&j->crossings, t, r, &err) != RB_OK)
        rb_complain("%s", err.text);
}

void rb_parallel_close(rb_job *j)
{
    const rb_bench_params params = { .n_reps = 1,
                                     .dry = true,
                                     .no_dram = true,
                                     .roofs = &j->roofs, /* those measured: none are */
                                     .seed = j->subject.seed,
                                     .stop = rb_stop };
    counter c = { .job = j };
    if (!j->crossings.n)
        return;
    c.result = calloc(1, sizeof *c.result);
    if (c.result && rb_job_open_dry(j, &params, &c.bench) == RB_OK) {
        char *text = rb_crossings_text(&j->crossings, &j->subject, count, &c);
        if (text)
            rb_job_say(j, text);
        free(text);
    }
    rb_bench_close(c.bench);
    free(c.result);
}
