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
    rb_status status;
    rb_error *err;
} asking;

/* Bytes that the i-th depth still needs: copies of the last layer, and its largest session. */
static uint64_t need(void *arg, int i)
{
    asking *a = arg;
    rb_job *j = a->job;
    uint64_t loaded = rb_model_bytes(j->model), most = 0;
    int n_group = j->plan.n / j->lists.plan.layers.n;
    for (int t = i * n_group; t < (i + 1) * n_group && a->status == RB_OK; t++) {
        rb_memory m;
        a->status = rb_bench_memory(j->bench, &j->plan.test[t], &m, a->err);
        uint64_t bytes = rb_memory_total(&m) - loaded;
        most = a->status == RB_OK && bytes > most ? bytes : most;
    }
    return most;
}

static rb_status cut(rb_job *j, bool explicit_list, rb_error *err)
{
    rb_list *layers = &j->lists.plan.layers;
    asking ask = { .job = j, .err = err };
    uint64_t available = rb_host_available();
    int fit = rb_sweep_fit(need, &ask, layers->n, available);
    if (ask.status != RB_OK || fit == layers->n)
        return ask.status;
    double wanted = (double)need(&ask, fit) / 1e9, has = (double)available / 1e9;
    long long depth = layers->at[fit];
    if (explicit_list || !fit)
        return rb_fail(err, RB_ERR_MEMORY,
                       "--depth-sweep: %lld layers need %.2f GB more, and of the %.2f GB available "
                       "a tenth is kept free; give a shorter list",
                       depth, wanted, has);
    rb_complain("the sweep is cut to %lld layers: %lld need %.2f GB more, and of the %.2f GB "
                "available a tenth is kept free",
                (long long)layers->at[fit - 1], depth, wanted, has);
    layers->n = fit;
    rb_plan_free(&j->plan);
    return rb_plan_make(&j->plan, &j->lists.plan, err);
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
    st = cut(j, v->n > 0, err);
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
    if (r && rb_bench_open(&bench, j->shape, j->shape, &params, NULL) == RB_OK) {
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
