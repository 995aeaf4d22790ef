/* Times one row of the registry through the one door, by a team that has this row alone. A sample
 * is as many launches as last four milliseconds, first cold ones, then warm ones, each between two
 * measurements of the roofs that could bound it; the later one is the next sample's earlier one.
 * Refuses a ledger that is not launches x cost. Read next: ../kernels/shaped.h, place.c. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

const char *const rb_temper_name[RB_N_TEMPER] = { "cold", "warm" };

enum {
    MOST_CALLS = 1 << 13,
    MOST_SETS = 1 << 18,
    /* Where a cache of C bytes replaces lines at random, of operands of 4 C that come in turns a
     * share of 2 % is found there again, of 2 C a fifth: h = exp(-(1 - h) n). */
    COLD_CACHES = 4,
    LUKEWARM_CACHES = 2,
    /* Untimed launches before a sample are booked apart from it. */
    UNTIMED = RB_PREFILL,
    TIMED = RB_DECODE,
};
static const uint64_t least_ns = 4000000, brief_ns = 5000000, long_ns = 50000000;
static const double short_ns = 20000; /* longer ones had to wait for another process */
static const uint64_t least_cold_bytes = 64u << 20, unknown_cold_bytes = 256u << 20;

/* The roofs that could bound a kernel: of a level, of floats, of integers, of exp, of launches. */
enum { MAX_PROBED = 5 };
typedef struct probe {
    double at[MAX_PROBED];
} probe;

/* One sample: sums over its launches. */
typedef struct shot {
    rb_kernel_ns ns;
    probe before, after;
} shot;

typedef struct run {
    const rb_kernel_params *p;
    const rb_kernel_job *job;
    rb_kernel_result *r;
    rb_shaped shaped;
    rb_team *team;
    rb_roofs *roofs;
    shot *shot[RB_N_TEMPER];
    int n[RB_N_TEMPER];
    uint64_t launch_ns[RB_N_TEMPER]; /* about */
    /* of the step at hand */
    rb_temper temper;
    int64_t untimed, calls, set;
    rb_roof_id probed[MAX_PROBED];
    int n_probed;
} run;

static bool stopped(const run *x)
{
    return x->p->stop && x->p->stop(x->p->arg);
}

/* ---- launches ---- */

static void fill(rb_exec *ex, void *arg)
{
    const run *x = arg;
    rb_shaped_fill(&x->shaped, ex->thread, x->job->n_threads);
}

static void launches(rb_exec *ex, void *arg)
{
    const run *x = arg;
    rb_call call = x->shaped.call;
    int64_t set = x->temper == RB_COLD ? x->set : 0;
    ex->site = RB_SITE_ROOF;
    for (int64_t i = -x->untimed; i < x->calls; i++) {
        ex->phase = (rb_phase)(i < 0 ? UNTIMED : TIMED);
        rb_shaped_turn(&x->shaped, set, &call);
        rb_launch(ex, x->job->kernel->op->id, &call);
        if (x->temper == RB_COLD)
            set = set + 1 < x->shaped.n_sets ? set + 1 : 0;
    }
}

/* What a long launch itself brings into caches is all the same to it. */
static int64_t untimed_for(const run *x, rb_temper t)
{
    const uint64_t ns = x->launch_ns[t];
    return ns > long_ns ? 0 : t == RB_WARM && ns < brief_ns ? 2 : 1;
}

static rb_tally shoot(run *x, rb_temper t, int64_t untimed, int64_t calls)
{
    rb_team_clear(x->team);
    x->temper = t;
    x->untimed = untimed;
    x->calls = calls;
    rb_step(x->team, launches, x);
    x->set = (x->set + untimed + calls) % x->shaped.n_sets;
    return rb_ledger_site(rb_team_ledger(x->team), (rb_phase)TIMED, RB_SITE_ROOF);
}

static uint64_t all_ns(const rb_tally *t)
{
    return t->ns + t->barrier_ns + t->launch_ns;
}

/* How many launches last long enough. */
static void calibrate(run *x, rb_temper t)
{
    int64_t calls = 1;
    rb_tally sum = shoot(x, t, 0, calls);
    while (all_ns(&sum) < least_ns && calls < MOST_CALLS && !stopped(x)) {
        calls *= 2;
        sum = shoot(x, t, 0, calls);
    }
    x->launch_ns[t] = all_ns(&sum) / (uint64_t)calls;
    x->r->at[t].calls = calls;
}

/* ---- operands ---- */

static uint64_t cold_bytes(int n_threads)
{
    const uint64_t cache = rb_last_cache_bytes(n_threads);
    const uint64_t bytes = COLD_CACHES * cache;
    return !cache ? unknown_cold_bytes : bytes < least_cold_bytes ? least_cold_bytes : bytes;
}

static rb_status check_memory(const run *x, rb_error *err)
{
    const uint64_t available = rb_host_available(), one = rb_shaped_bytes(&x->shaped, 1);
    if (!available || one <= available)
        return RB_OK;
    return rb_fail(err, RB_ERR_MEMORY,
                   "out of memory: its operands need %.2f GB but %.2f GB are available",
                   (double)one / 1e9, (double)available / 1e9);
}

/* So many sets that launches which take turns find none of their bytes cached, within half of the
 * memory that is free. */
static int64_t choose_sets(run *x)
{
    const uint64_t touched = x->r->moved_bytes ? x->r->moved_bytes : 1;
    const uint64_t available = rb_host_available(), one = rb_shaped_bytes(&x->shaped, 1);
    const uint64_t each = rb_shaped_bytes(&x->shaped, 2) - one;
    const uint64_t wanted = (cold_bytes(x->job->n_threads) + touched - 1) / touched;
    uint64_t n = x->p->wanted[RB_COLD] && wanted > 1 ? wanted : 1;
    n = n < MOST_SETS ? n : MOST_SETS;
    if (available && each && n > 1 && rb_shaped_bytes(&x->shaped, (int64_t)n) > available / 2)
        n = one < available / 2 ? 1 + (available / 2 - one) / each : 1;
    x->r->lukewarm = x->p->wanted[RB_COLD] &&
                     n * touched < LUKEWARM_CACHES * rb_last_cache_bytes(x->job->n_threads);
    return (int64_t)n;
}

/* What is updated in place leaves a cache on its own time, after it was read: lines are counted
 * once. */
static uint64_t moved_bytes(const run *x)
{
    const rb_op *op = x->shaped.op;
    const rb_bytes b = rb_cost_bytes(&x->r->cost);
    uint64_t sum = rb_bytes_all(&b);
    for (int a = 0; a < RB_MAX_ARG && op->arg[a].name; a++)
        if (op->arg[a].mode == 'u')
            sum -= x->shaped.size[a].bytes;
    return sum;
}

/* Scratch and, of operands that are there or not, the cost of a launch. */
static rb_status dry_launch(run *x, const rb_call *call, rb_scratch *need, rb_error *err)
{
    const rb_team_params params = { .n_threads = 1, .dry = true, .only = x->job->kernel };
    rb_team *team = NULL;
    bool assumed = false;
    const rb_status st = rb_team_open(&team, &params, err);
    if (st != RB_OK)
        return st;
    rb_exec ex = { .team = team, .site = RB_SITE_ROOF };
    rb_launch(&ex, x->job->kernel->op->id, call);
    *need = rb_team_scratch_needed(team);
    x->r->cost = rb_cost_of(x->job->kernel, call, &assumed);
    x->r->moved_bytes = moved_bytes(x);
    rb_team_close(team);
    return RB_OK;
}

/* ---- one job ---- */

static rb_status open_roofs(run *x, rb_error *err)
{
    bool capped;
    rb_isa isa = x->job->kernel->isa;
    rb_status st = RB_OK;
    if (!x->p->roofs)
        return RB_OK;
    if (isa == RB_ISA_BLAS) /* whatever OpenBLAS uses */
        st = rb_isa_detect(&isa, &capped, err);
    if (st == RB_OK)
        st = rb_roof_pool_get(x->p->roofs, x->job->n_threads, isa, true, x->p->stop, x->p->arg,
                              &x->roofs, err);
    x->r->machine = st == RB_OK ? rb_roofs_machine(x->roofs) : NULL;
    return st;
}

static rb_status open_run(run *x, rb_error *err)
{
    const rb_kernel_job *job = x->job;
    const rb_team_params params = { .n_threads = job->n_threads, .only = job->kernel };
    rb_scratch need;
    rb_call call;
    rb_status st = rb_shaped_make(&x->shaped, job->kernel->op->id, job->type, &job->shape, err);
    if (st == RB_OK)
        st = check_memory(x, err);
    if (st == RB_OK)
        st = dry_launch(x, &x->shaped.call, &need, err);
    if (st == RB_OK) /* before operands take the memory that they are measured on */
        st = open_roofs(x, err);
    if (st == RB_OK)
        st = rb_shaped_alloc(&x->shaped, choose_sets(x), err);
    if (st == RB_OK)
        st = rb_team_open(&x->team, &params, err);
    if (st != RB_OK)
        return st;
    rb_step(x->team, fill, x);
    call = x->shaped.call;
    rb_shaped_turn(&x->shaped, 0, &call);
    st = dry_launch(x, &call, &need, err); /* what depends on ids is known now */
    if (st == RB_OK)
        st = rb_team_reserve(x->team, need, err);
    for (int t = 0; t < RB_N_TEMPER && st == RB_OK; t++) {
        x->shot[t] = calloc((size_t)x->p->n_reps, sizeof *x->shot[t]);
        if (!x->shot[t])
            st = rb_fail(err, RB_ERR_MEMORY, "no memory for the samples of a kernel");
    }
    return st;
}

static void close_run(run *x)
{
    rb_team_close(x->team);
    rb_shaped_free(&x->shaped);
    for (int t = 0; t < RB_N_TEMPER; t++)
        free(x->shot[t]);
}

/* ---- roofs around samples ---- */

static void choose_probed(run *x, rb_temper t)
{
    const rb_cost *c = &x->r->cost;
    x->n_probed = 0;
    x->probed[x->n_probed++] = (rb_roof_id)(RB_ROOF_READ_L1 + x->r->at[t].level);
    x->probed[x->n_probed++] = RB_ROOF_LAUNCH;
    if (c->flops > 2 * c->int_macs)
        x->probed[x->n_probed++] = x->job->kernel->needs_bf16 ? RB_ROOF_DOT_BF16 : RB_ROOF_FMA_F32;
    if (c->int_macs)
        x->probed[x->n_probed++] = RB_ROOF_DOT_I8;
    if (c->special)
        x->probed[x->n_probed++] = RB_ROOF_EXP;
}

static probe probe_now(const run *x)
{
    probe p = { { 0 } };
    for (int i = 0; x->roofs && i < x->n_probed; i++)
        p.at[i] = rb_roofs_now(x->roofs, x->probed[i]);
    return p;
}

/* ---- what samples say ---- */

static rb_tally tally_of(const run *x, rb_temper t, int i)
{
    const rb_kernel_ns *ns = &x->shot[t][i].ns;
    rb_tally sum = { .calls = (uint64_t)x->r->at[t].calls,
                     .ns = ns->work,
                     .barrier_ns = ns->barrier,
                     .launch_ns = ns->launch };
    for (uint64_t k = 0; k < sum.calls; k++)
        rb_cost_add(&sum.cost, &x->r->cost);
    return sum;
}

/* Places sample i under the roofs that were measured around it. */
static rb_place place_sample(const run *x, rb_temper t, int i, double *ns)
{
    const shot *s = &x->shot[t][i];
    const rb_tally sum = tally_of(x, t, i);
    rb_machine m = *x->r->machine;
    for (int k = 0; k < x->n_probed; k++)
        m.roof[x->probed[k]].value = (s->before.at[k] + s->after.at[k]) / 2;
    const rb_place p = rb_place_launches(x->job->kernel, &sum, sum.calls * x->r->moved_bytes, &m,
                                         x->r->at[t].level);
    *ns = rb_place_ns(&p, &sum);
    return p;
}

/* Whether the roof that bounds the median sample was the same before and after sample i. */
static bool is_paired(const run *x, rb_temper t, int i, rb_roof_id roof)
{
    const shot *s = &x->shot[t][i];
    for (int k = 0; k < x->n_probed; k++)
        if (x->probed[k] == roof)
            return rb_roofs_agree(s->before.at[k], s->after.at[k]);
    return false;
}

/* The median share over pairs. */
static void place(run *x, rb_temper t, int median)
{
    double pct[RB_MAX_REPS], took, ns;
    int n = 0;
    rb_kernel_timing *at = &x->r->at[t];
    rb_place p = place_sample(x, t, median, &took);
    for (int i = 0; i < x->n[t]; i++) {
        const rb_place one = place_sample(x, t, i, &ns);
        if (is_paired(x, t, i, p.roof))
            pct[n++] = one.above ? one.over : one.pct;
    }
    rb_place_settle(&p, pct, n, took);
    p.roof_ns /= (double)at->calls;
    /* a cache that holds half of it or more is what lets it pass DRAM's roof */
    if (p.above && t == RB_WARM && p.roof == RB_ROOF_READ_DRAM &&
        x->r->moved_bytes < 2 * rb_last_cache_bytes(x->job->n_threads))
        p.bound = RB_BOUND_RESIDENT;
    at->place = p;
}

static void settle(run *x, rb_temper t)
{
    double work_ns[RB_MAX_REPS], all[RB_MAX_REPS];
    uint64_t work[RB_MAX_REPS];
    rb_kernel_timing *at = &x->r->at[t];
    if (!x->n[t])
        return;
    for (int i = 0; i < x->n[t]; i++) {
        const rb_kernel_ns *ns = &x->shot[t][i].ns;
        work[i] = ns->work;
        work_ns[i] = (double)ns->work / (double)at->calls;
        all[i] = (double)(ns->work + ns->barrier + ns->launch) / (double)at->calls;
    }
    const int median = rb_median_index(work, x->n[t]);
    at->ns = rb_stats_of(work_ns, x->n[t]);
    at->all_ns = all[median];
    /* a thread may be done before the first has opened the clock of so short a launch */
    at->whole = at->all_ns < short_ns && 2 * at->ns.median < at->all_ns;
    if (at->whole)
        at->ns = rb_stats_of(all, x->n[t]);
    at->n_sets = t == RB_COLD ? x->shaped.n_sets : 1;
    if (x->r->machine)
        place(x, t, median);
}

/* ---- samples ---- */

static bool counts_agree(const rb_kernel_result *r, const rb_tally *t)
{
    rb_cost sum = { 0 };
    for (uint64_t i = 0; i < t->calls; i++)
        rb_cost_add(&sum, &r->cost);
    return rb_cost_equal(&sum, &t->cost);
}

static rb_status sample(run *x, rb_temper t, probe *last, rb_error *err)
{
    shot *s = &x->shot[t][x->n[t]];
    const rb_tally sum = shoot(x, t, untimed_for(x, t), x->r->at[t].calls);
    if (!counts_agree(x->r, &sum)) {
        x->r->counts_differ = true;
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "what the ledger has booked is not launches times cost: a defect of "
                       "rbench, please report it");
    }
    s->ns = (rb_kernel_ns){ sum.ns, sum.barrier_ns, sum.launch_ns };
    s->before = *last;
    s->after = *last = probe_now(x);
    x->n[t]++;
    return RB_OK;
}

/* n_reps samples, or fewer within so many seconds. */
static rb_status measure(run *x, rb_temper t, double budget_s, rb_error *err)
{
    rb_status st = RB_OK;
    const uint64_t start = rb_now_ns();
    if (stopped(x))
        return RB_OK;
    x->r->at[t].level = t == RB_WARM && x->r->machine
                            ? rb_level_holding(x->r->machine, x->r->moved_bytes)
                            : RB_DRAM;
    choose_probed(x, t);
    calibrate(x, t);
    probe last = probe_now(x);
    for (int i = 0; i < x->p->n_reps && st == RB_OK && !stopped(x); i++) {
        const double s = (double)(rb_now_ns() - start) / 1e9;
        if (i && budget_s > 0 && s + s / i > budget_s)
            break; /* the next would end too late */
        st = sample(x, t, &last, err);
    }
    if (st == RB_OK)
        settle(x, t);
    return st;
}

static rb_status measure_all(run *x, rb_error *err)
{
    const bool *wanted = x->p->wanted;
    const double each = x->p->budget_s / (wanted[RB_COLD] + wanted[RB_WARM]);
    rb_status st = RB_OK;
    for (int t = 0; t < RB_N_TEMPER && st == RB_OK; t++)
        if (wanted[t])
            st = measure(x, (rb_temper)t, each, err);
    x->r->interrupted = stopped(x) && (x->n[RB_COLD] < x->p->n_reps * wanted[RB_COLD] ||
                                       x->n[RB_WARM] < x->p->n_reps * wanted[RB_WARM]);
    return st;
}

void rb_kernel_run(const rb_kernel_params *p, const rb_kernel_job *job, rb_kernel_result *r)
{
    run x = { .p = p, .job = job, .r = r };
    rb_error err = { 0 };
    *r = (rb_kernel_result){ .job = *job };
    rb_status st = open_run(&x, &err);
    if (st == RB_OK && !stopped(&x))
        st = measure_all(&x, &err);
    if (st != RB_OK)
        snprintf(r->error, sizeof r->error, "%s", err.text[0] ? err.text : "failed");
    close_run(&x);
}

char *rb_kernel_problem_text(const rb_kernel_job *job, char *buf, size_t size)
{
    const rb_op *op = job->kernel->op;
    rb_sizes_text(op->id, &job->shape, buf, size);
    const size_t n = strlen(buf);
    if (op->key_arg < 0 && job->type != RB_NO_DTYPE) /* no name of a kernel says it */
        snprintf(buf + n, size - n, " %s", rb_dtype_get(job->type)->name);
    return buf;
}

double rb_kernel_gflops(const rb_kernel_result *r, rb_temper t)
{
    const double ns = r->at[t].ns.median;
    return ns > 0 ? (double)r->cost.flops / ns : 0;
}

double rb_kernel_gbps(const rb_kernel_result *r, rb_temper t)
{
    const double ns = r->at[t].ns.median;
    const rb_bytes b = rb_cost_bytes(&r->cost);
    return ns > 0 ? (double)rb_bytes_all(&b) / ns : 0;
}
