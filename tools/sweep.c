/* The sweep over layers as a job: which depths are run, what is cut and said, the closing sentence.
 * The arithmetic behind it is in bench/sweep.c.
 * Read next: cmd_bench.c. */
#include "job.h"

#include <stdlib.h>
#include <string.h>

static const int64_t default_depths[] = { 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64 };
enum { N_DEFAULT = sizeof default_depths / sizeof *default_depths };

static int rising(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void rb_sort_distinct(int64_t *at, int *n)
{
    int kept = 0;
    if (*n) /* of none there may be no memory */
        qsort(at, (size_t)*n, sizeof *at, rising);
    for (int i = 0; i < *n; i++) {
        if (!kept || at[i] != at[kept - 1])
            at[kept++] = at[i];
    }
    *n = kept;
}

/* What rb_sweep_fit asks with. */
typedef struct asking {
    rb_job *job;
    const rb_swept *swept;
    rb_status status;
    rb_error *err;
} asking;

/* Bytes that the tests at the i-th number still need, each alone: the most of any. */
static uint64_t need(void *arg, int i)
{
    asking *a = arg;
    rb_job *j = a->job;
    uint64_t most = 0;
    for (int k = 0; k < j->plan.n && a->status == RB_OK; k++) {
        const rb_test *t = &j->plan.test[k];
        rb_memory m;
        if (a->swept->of(t) != a->swept->list->at[i])
            continue;
        a->status = rb_bench_memory(j->bench, t, &m, a->err);
        const uint64_t bytes = rb_bench_need(j->bench, t, &m);
        most = a->status == RB_OK && bytes > most ? bytes : most;
    }
    return most;
}

rb_status rb_job_cut(rb_job *j, const rb_swept *s, bool explicit_list, rb_error *err)
{
    asking ask = { .job = j, .swept = s, .err = err };
    const uint64_t available = rb_host_available();
    const int fit = rb_sweep_fit(need, &ask, s->list->n, available);
    if (ask.status != RB_OK || fit == s->list->n)
        return ask.status;
    const double wanted = (double)need(&ask, fit) / 1e9, has = (double)available / 1e9;
    const long long over = s->list->at[fit];
    if (explicit_list || !fit)
        return rb_fail(err, RB_ERR_MEMORY,
                       "%s: %lld %s need %.2f GB more, and of the %.2f GB available a tenth is "
                       "kept free; give a shorter list",
                       s->option, over, s->noun, wanted, has);
    rb_complain("the sweep is cut to %lld %s: %lld need %.2f GB more, and of the %.2f GB available "
                "a tenth is kept free",
                (long long)s->list->at[fit - 1], s->noun, over, wanted, has);
    s->list->n = fit;
    rb_plan_free(&j->plan);
    return rb_plan_make(&j->plan, &j->lists.plan, err);
}

static int64_t layers_of(const rb_test *t)
{
    return t->n_layer;
}

rb_status rb_sweep_plan(rb_job *j, rb_error *err)
{
    const rb_opt_value *v = rb_opt_get(j->args, "--depth-sweep");
    rb_list *layers = &j->lists.plan.layers;
    if (v->n) {
        int n = v->n;
        rb_sort_distinct(v->num, &n);
        *layers = (rb_list){ v->num, n };
    } else
        *layers = (rb_list){ default_depths, N_DEFAULT };
    rb_status st = rb_plan_make(&j->plan, &j->lists.plan, err);
    if (st != RB_OK || !j->plan.n)
        return st;
    st = rb_job_cut(j, &(rb_swept){ "--depth-sweep", "layers", layers, layers_of }, v->n > 0, err);
    if (st != RB_OK)
        return st;
    j->n_group = j->plan.n / layers->n;
    j->points = calloc((size_t)j->plan.n, sizeof *j->points);
    j->n_points = calloc((size_t)j->n_group, sizeof *j->n_points);
    return j->points && j->n_points ? RB_OK : rb_fail(err, RB_ERR_MEMORY, "no memory for a sweep");
}

void rb_sweep_note(rb_job *j, const rb_result *r, int i)
{
    int group = i % j->n_group, depths = j->plan.n / j->n_group;
    rb_bytes b = rb_cost_bytes(&r->total.cost);
    j->points[group * depths + j->n_points[group]++] =
        (rb_trend_point){ r->test.n_layer, r->total.cost.flops, rb_bytes_wkv(&b),
                          rb_tally_oi_dram(&r->total) };
    j->cache_bytes = r->cache_bytes;
}

rb_status rb_job_open_dry(const rb_job *j, const rb_bench_params *params, rb_bench **bench)
{
    rb_status st = rb_bench_open(bench, j->shape, j->shape, params, NULL);
    for (int i = 1; i < j->forms.n && st == RB_OK; i++)
        st = rb_bench_add(*bench, j->forms.shape[i], j->forms.shape[i], NULL);
    return st;
}

void rb_sweep_note_dry(rb_job *j, int i)
{
    const rb_bench_params params = {
        .n_reps = 1,
        .dry = true,
        .seed = j->subject.seed,
        .cache_bytes = (uint64_t)rb_opt_int(j->args, "--last-cache"),
    };
    rb_result *r = calloc(1, sizeof *r);
    rb_bench *bench = NULL;
    if (r && rb_job_open_dry(j, &params, &bench) == RB_OK) {
        rb_bench_test(bench, &j->plan.test[i], r);
        if (!r->error[0])
            rb_sweep_note(j, r, i);
    }
    rb_bench_close(bench);
    free(r);
}

static int by_layers(const void *a, const void *b)
{
    const rb_trend_point *x = a, *y = b;
    return (x->n_layer > y->n_layer) - (x->n_layer < y->n_layer);
}

void rb_job_say(rb_job *j, const char *text)
{
    rb_report_text(j->report, text);
    if (j->format != RB_FORMAT_MD && !j->quiet)
        fprintf(stderr, "%s\n", text);
}

void rb_sweep_close(rb_job *j)
{
    int depths = j->n_group ? j->plan.n / j->n_group : 0;
    for (int g = 0; g < j->n_group; g++) {
        const rb_trend_point *p = &j->points[g * depths];
        const int n = j->n_points[g];
        char name[64], text[1024];
        if (!n)
            continue;
        qsort(&j->points[g * depths], (size_t)n, sizeof *j->points, by_layers);
        rb_test_name(&j->plan.test[g], name, sizeof name);
        rb_job_say(j, rb_trend_text(name, p, n, text, sizeof text));
        if (j->cache_bytes)
            rb_job_say(j, rb_dram_trend_text(name, p, n, j->cache_bytes, text, sizeof text));
    }
}
