/* Measures the roofs by launching the roof kernels. Each loop is repeated within a launch until it
 * lasts a millisecond; samples of all loops are taken in rounds, so that drift hits all alike; of
 * several read loops the best median is the roof. Cache levels are timed at half of what a thread
 * has of them. Refuses to guess: a level of unknown size has no roof.
 * Read next: ../kernels/roof.c (the loops), place.c (what is held against them). */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMPUTE   "compute", "GFLOP/s"
#define BANDWIDTH "bandwidth", "GB/s"
#define FLOOR     "floor", "ns"
const rb_roof_info rb_roof_infos[RB_N_ROOF] = {
    [RB_ROOF_FMA_F32] = { "fma_f32", COMPUTE },
    [RB_ROOF_DOT_BF16] = { "dot_bf16", COMPUTE },
    [RB_ROOF_DOT_I8] = { "dot_i8", COMPUTE },
    [RB_ROOF_EXP] = { "exp", "special", "Gop/s" },
    [RB_ROOF_READ_L1] = { "read_l1", BANDWIDTH },
    [RB_ROOF_READ_L2] = { "read_l2", BANDWIDTH },
    [RB_ROOF_READ_L3] = { "read_l3", BANDWIDTH },
    [RB_ROOF_READ_DRAM] = { "read_dram", BANDWIDTH },
    [RB_ROOF_COPY_L1] = { "copy_l1", BANDWIDTH },
    [RB_ROOF_COPY_L2] = { "copy_l2", BANDWIDTH },
    [RB_ROOF_COPY_L3] = { "copy_l3", BANDWIDTH },
    [RB_ROOF_COPY_DRAM] = { "copy_dram", BANDWIDTH },
    [RB_ROOF_TRIAD_L1] = { "triad_l1", BANDWIDTH },
    [RB_ROOF_TRIAD_L2] = { "triad_l2", BANDWIDTH },
    [RB_ROOF_TRIAD_L3] = { "triad_l3", BANDWIDTH },
    [RB_ROOF_TRIAD_DRAM] = { "triad_dram", BANDWIDTH },
    [RB_ROOF_LAUNCH] = { "launch", FLOOR },
    [RB_ROOF_BARRIER] = { "barrier", FLOOR },
    [RB_ROOF_CLOCK] = { "clock", FLOOR },
};

enum {
    N_READ = 6, /* read loops tried: 1, 2, 4 streams, with and without prefetch */
    MAX_LOOP = RB_N_ROOF + RB_N_LEVEL * N_READ,
    FLOOR_LAUNCHES = 64, /* so many that waking the threads of a step is little of it */
    LINE = 64,           /* bytes, or a multiple of them */
    PROBE_READS = 3,     /* of the read loops, the best that a probe runs */
};
static const uint64_t dram_bytes = 256u << 20, least_ns = 1000000;

/* One thing to time. */
typedef struct loop {
    rb_roof_id id;
    rb_op_id op;
    int n_operand; /* 1: y; 2: y, x; 3: y, x, z */
    int64_t rows, columns;
    rb_param p;
    int calls; /* launches in a sample */
    int n;
    double *sample; /* [max_samples] */
} loop;

struct rb_roofs {
    rb_machine machine;
    rb_team *team;
    rb_buffer memory; /* what is read and written */
    bool borrows;     /* it */
    rb_buffer sums;   /* y of read and launch loops */
    loop loop[MAX_LOOP];
    int n_loop, max_samples;
    int fma, floor, read[PROBE_READS]; /* loops of a probe, -1: none; two floors */
};

/* ---- one sample ---- */

typedef struct shot {
    const rb_roofs *r;
    const loop *l;
} shot;

static rb_view rows_at(const rb_buffer *b, int64_t operand, int64_t rows, int64_t columns)
{
    const int64_t bytes = rows * columns * (int64_t)sizeof(float);
    return rb_view_dense(b, RB_F32, RB_ACT, operand * bytes, 1, rows, 1, columns);
}

/* One number a row, each on a cache line of its own. */
static rb_view sums_at(const rb_buffer *b, int64_t rows)
{
    rb_view v = rb_view_dense(b, RB_F32, RB_ACT, 0, 1, rows, 1, 1);
    v.step_bytes[1] = LINE;
    v.step_bytes[0] = rows * LINE;
    return v;
}

static void launch(rb_exec *ex, void *arg)
{
    const shot *s = arg;
    const loop *l = s->l;
    const bool sums = l->op == RB_OP_ROOF_READ || l->op == RB_OP_ROOF_LAUNCH;
    rb_view t[3] = { { 0 } };
    for (int i = 0; i < l->n_operand; i++)
        t[i] = sums && i == 0 ? sums_at(&s->r->sums, l->rows)
                              : rows_at(&s->r->memory, sums ? i - 1 : i, l->rows, l->columns);
    ex->site = RB_SITE_ROOF;
    for (int i = 0; i < l->calls; i++)
        rb_op_roof(ex, l->op, t[0], t[1], t[2], l->p);
}

static rb_tally shoot(const rb_roofs *r, const loop *l)
{
    const shot s = { r, l };
    rb_ledger_clear(rb_team_ledger(r->team));
    rb_step(r->team, launch, (void *)&s);
    return rb_ledger_site(rb_team_ledger(r->team), RB_PREFILL, RB_SITE_ROOF);
}

/* What a sample says, in the roof's unit. */
static double value_of(const loop *l, const rb_tally *t)
{
    const rb_bytes b = rb_cost_bytes(&t->cost);
    const double ns = t->ns ? (double)t->ns : 1;
    switch (l->op) {
    case RB_OP_ROOF_READ:
        return (double)b.act_read * (double)l->p.reps / ns;
    case RB_OP_ROOF_COPY:
    case RB_OP_ROOF_TRIAD:
        return (double)(b.act_read + b.act_write) * (double)l->p.reps / ns;
    case RB_OP_ROOF_LAUNCH:
        return l->id == RB_ROOF_LAUNCH
                   ? (double)(t->ns + t->barrier_ns + t->launch_ns) / (double)t->calls
                   : (double)t->barrier_ns / (double)t->calls / RB_ROOF_PHASES;
    default:
        return (double)t->cost.flops / ns;
    }
}

static void take_sample(rb_roofs *r, loop *l)
{
    const rb_tally t = shoot(r, l);
    if (l->n < r->max_samples)
        l->sample[l->n++] = value_of(l, &t);
}

/* Asked twice: the first launch of a loop may wait for a library's pages, and any for the CPU. */
static bool lasts(const rb_roofs *r, const loop *l)
{
    const bool first = shoot(r, l).ns >= least_ns;
    return first && shoot(r, l).ns >= least_ns;
}

/* Repeats within a launch until it lasts long enough; the first launches warm up as well. */
static void calibrate(const rb_roofs *r, loop *l)
{
    const int64_t most = (int64_t)1 << 30;
    while (l->p.reps < most && !lasts(r, l))
        l->p.reps *= 2;
}

/* ---- which loops ---- */

static loop *add_loop(rb_roofs *r, rb_roof_id id, rb_op_id op, int n_operand, int64_t rows,
                      int64_t columns)
{
    loop *l = &r->loop[r->n_loop++];
    *l = (loop){ .id = id,
                 .op = op,
                 .n_operand = n_operand,
                 .rows = rows,
                 .columns = columns,
                 .p = { .reps = 1, .streams = 1, .scale = 0.5f },
                 .calls = 1 };
    return l;
}

static int64_t whole_columns(uint64_t bytes)
{
    const int64_t columns = (int64_t)(bytes / sizeof(float));
    return columns < RB_ROOF_COLUMNS ? RB_ROOF_COLUMNS
                                     : columns / RB_ROOF_COLUMNS * RB_ROOF_COLUMNS;
}

/* Columns of an operand, of n that share a level: one row a thread. */
static int64_t columns_at(const rb_roofs *r, int level, int n)
{
    const uint64_t memory = r->memory.bytes / (uint64_t)r->machine.n_threads;
    const uint64_t each = level == RB_DRAM ? memory : r->machine.level[level].each / 2;
    return whole_columns(each / (uint64_t)n);
}

static void add_memory_loops(rb_roofs *r)
{
    const int64_t rows = r->machine.n_threads;
    for (int level = 0; level < RB_N_LEVEL; level++) {
        const bool known = level < RB_DRAM ? r->machine.level[level].each > 0
                                           : r->memory.bytes >= 2 * r->machine.level[RB_L3].total;
        if (!known) /* nor DRAM's, where there is too little free to get past the caches */
            continue;
        const rb_roof_id at = (rb_roof_id)level;
        for (int i = 0; i < N_READ; i++) {
            loop *l = add_loop(r, RB_ROOF_READ_L1 + at, RB_OP_ROOF_READ, 2, rows,
                               columns_at(r, level, 1));
            l->p.streams = 1 << i / 2;
            l->p.prefetch = i % 2;
        }
        add_loop(r, RB_ROOF_COPY_L1 + at, RB_OP_ROOF_COPY, 2, rows, columns_at(r, level, 2));
        add_loop(r, RB_ROOF_TRIAD_L1 + at, RB_OP_ROOF_TRIAD, 3, rows, columns_at(r, level, 3));
    }
}

static void add_floors(rb_roofs *r)
{
    r->floor = r->n_loop;
    loop *l = add_loop(r, RB_ROOF_LAUNCH, RB_OP_ROOF_LAUNCH, 1, r->machine.n_threads, 1);
    l->calls = FLOOR_LAUNCHES;
    l = add_loop(r, RB_ROOF_BARRIER, RB_OP_ROOF_LAUNCH, 1, r->machine.n_threads, 1);
    l->calls = FLOOR_LAUNCHES;
    l->p.reps = RB_ROOF_PHASES;
}

/* Whether this team has a row for an op over rows of y alone. */
static bool has_kernel(const rb_roofs *r, rb_op_id op)
{
    const rb_call call = { .t = { rows_at(&r->memory, 0, 1, RB_ROOF_COLUMNS) },
                           .p = { .reps = 1 } };
    return rb_select(r->team, op, &call) != NULL;
}

static void add_compute_loops(rb_roofs *r)
{
    const int64_t n = r->machine.n_threads;
    r->fma = r->n_loop;
    add_loop(r, RB_ROOF_FMA_F32, RB_OP_ROOF_FMA, 1, n, RB_ROOF_COLUMNS);
    add_loop(r, RB_ROOF_DOT_I8, RB_OP_ROOF_DOT_I8, 1, n, RB_ROOF_COLUMNS);
    add_loop(r, RB_ROOF_EXP, RB_OP_ROOF_EXP, 1, n, RB_ROOF_COLUMNS);
    if (has_kernel(r, RB_OP_ROOF_DOT_BF16))
        add_loop(r, RB_ROOF_DOT_BF16, RB_OP_ROOF_DOT_BF16, 1, n, RB_ROOF_COLUMNS);
}

/* ---- opening ---- */

static void find_levels(rb_machine *m)
{
    rb_cache cache[8];
    const int n = rb_host_caches(cache, 8);
    for (int i = 0; i < n; i++) {
        const int level = cache[i].level - 1;
        if (level < RB_L1 || level > RB_L3)
            continue;
        const int sharing = cache[i].n_sharing < 1 ? 1 : cache[i].n_sharing;
        const int users = sharing < m->n_threads ? sharing : m->n_threads;
        int instances = (m->n_threads + users - 1) / users;
        instances = instances < cache[i].n ? instances : cache[i].n;
        m->level[level].each = cache[i].bytes / (uint64_t)users;
        m->level[level].total = cache[i].bytes * (uint64_t)instances;
    }
}

/* Memory that the caches hold no part of from one pass to the next worth speaking of. */
static uint64_t memory_wanted(const rb_machine *m)
{
    const uint64_t available = rb_host_available();
    uint64_t bytes = 4 * m->level[RB_L3].total;
    bytes = bytes < dram_bytes ? dram_bytes : bytes;
    return available && bytes > available / 4 ? available / 4 : bytes;
}

/* Pages belong where the thread that reads them runs: every thread writes its own rows. */
static void touch(rb_exec *ex, void *arg)
{
    const rb_roofs *r = arg;
    const size_t n = (size_t)r->machine.n_threads, i = (size_t)ex->thread;
    const size_t from = r->memory.bytes / n * i;
    const size_t to = i + 1 == n ? r->memory.bytes : r->memory.bytes / n * (i + 1);
    memset((char *)r->memory.data + from, 0, to - from);
}

rb_status rb_roofs_open(rb_roofs **out, int n_threads, rb_isa isa, bool capped,
                        const rb_buffer *memory, rb_error *err)
{
    rb_roofs *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the roofs");
    r->machine.n_threads = n_threads;
    r->machine.isa = isa;
    r->fma = r->floor = -1;
    for (int i = 0; i < PROBE_READS; i++)
        r->read[i] = -1;
    find_levels(&r->machine);
    const rb_team_params team = { .n_threads = n_threads, .isa = isa, .capped = capped };
    rb_status st = rb_team_open(&r->team, &team, err);
    if (st == RB_OK)
        st = rb_team_reserve(r->team, (rb_scratch){ .own_bytes = 2 * RB_ROOF_COLUMNS }, err);
    r->borrows = memory != NULL;
    if (memory)
        r->memory = *memory;
    else if (st == RB_OK)
        st = rb_buffer_alloc(&r->memory, memory_wanted(&r->machine), false, err);
    if (st == RB_OK)
        st = rb_buffer_alloc(&r->sums, LINE * (size_t)n_threads, false, err);
    if (st != RB_OK) {
        rb_roofs_close(r);
        return st;
    }
    rb_step(r->team, touch, r);
    *out = r;
    return RB_OK;
}

void rb_roofs_close(rb_roofs *r)
{
    if (!r)
        return;
    rb_team_close(r->team);
    if (!r->borrows)
        rb_buffer_free(&r->memory);
    rb_buffer_free(&r->sums);
    for (int i = 0; i < r->n_loop; i++)
        free(r->loop[i].sample);
    free(r);
}

/* ---- measuring ---- */

static void note_best(rb_roof *roof, const loop *l)
{
    if (l->op == RB_OP_ROOF_READ)
        snprintf(roof->note, sizeof roof->note, "%d stream%s%s", l->p.streams,
                 l->p.streams > 1 ? "s" : "", l->p.prefetch ? ", prefetch" : "");
    else if (l->op == RB_OP_ROOF_LAUNCH)
        snprintf(roof->note, sizeof roof->note, "least of %d", roof->n);
}

/* The median of each loop; of loops for one roof the best. */
static void settle(rb_roofs *r)
{
    for (int i = 0; i < r->n_loop; i++) {
        const loop *l = &r->loop[i];
        rb_roof *roof = &r->machine.roof[l->id];
        if (!l->n)
            continue;
        const rb_stats s = rb_stats_of(l->sample, l->n);
        const bool floor = l->op == RB_OP_ROOF_LAUNCH; /* the least is what it takes */
        const double value = floor ? s.min : s.median;
        if (roof->value && value <= roof->value)
            continue;
        *roof = (rb_roof){ .value = value, .mad = s.mad, .n = l->n };
        if (!floor && s.has_ci)
            roof->ci95[0] = s.ci_lo, roof->ci95[1] = s.ci_hi;
        note_best(roof, l);
    }
}

/* The loops that a probe runs: the best few that read DRAM. */
static void choose_probe(rb_roofs *r)
{
    bool taken[MAX_LOOP] = { false };
    for (int k = 0; k < PROBE_READS; k++) {
        double best = 0;
        for (int i = 0; i < r->n_loop; i++) {
            const loop *l = &r->loop[i];
            if (l->id != RB_ROOF_READ_DRAM || taken[i] || !l->n)
                continue;
            const double median = rb_stats_of(l->sample, l->n).median;
            if (median > best) {
                best = median;
                r->read[k] = i;
            }
        }
        if (r->read[k] >= 0)
            taken[r->read[k]] = true;
    }
}

rb_status rb_roofs_measure(rb_roofs *r, int n_samples, bool compute_only, bool (*stop)(void *),
                           void *arg, rb_error *err)
{
    if (r->n_loop)
        return rb_fail(err, RB_ERR_ARGUMENT, "roofs are measured once");
    r->max_samples = n_samples;
    add_compute_loops(r);
    if (!compute_only) {
        add_memory_loops(r);
        add_floors(r);
    }
    for (int i = 0; i < r->n_loop; i++) {
        loop *l = &r->loop[i];
        l->sample = calloc((size_t)n_samples, sizeof *l->sample);
        if (!l->sample)
            return rb_fail(err, RB_ERR_MEMORY, "no memory for the samples of the roofs");
        if (l->op != RB_OP_ROOF_LAUNCH && !(stop && stop(arg)))
            calibrate(r, l);
    }
    for (int k = 0; k < n_samples; k++)
        for (int i = 0; i < r->n_loop && !(stop && stop(arg)); i++)
            take_sample(r, &r->loop[i]);
    settle(r);
    choose_probe(r);
    r->machine.roof[RB_ROOF_CLOCK] = rb_clock_roof();
    return RB_OK;
}

const rb_machine *rb_roofs_machine(const rb_roofs *r)
{
    return &r->machine;
}

/* A floor is the least that was ever seen: other processes only add to it. */
static void lower_floors(rb_roofs *r)
{
    for (int i = r->floor; r->floor >= 0 && i < r->floor + 2; i++) {
        rb_roof *roof = &r->machine.roof[r->loop[i].id];
        const rb_tally t = shoot(r, &r->loop[i]);
        const double value = value_of(&r->loop[i], &t);
        roof->value = roof->value > 0 && roof->value < value ? roof->value : value;
        roof->n++;
        note_best(roof, &r->loop[i]);
    }
}

static double read_dram_now(const rb_roofs *r)
{
    double best = 0;
    for (int k = 0; k < PROBE_READS; k++) {
        if (r->read[k] < 0)
            continue;
        const loop *l = &r->loop[r->read[k]];
        const rb_tally t = shoot(r, l);
        const double v = value_of(l, &t);
        best = v > best ? v : best;
    }
    return best;
}

double rb_roofs_now(rb_roofs *r, rb_roof_id id)
{
    enum { SHOTS = 3 };
    const loop *l = NULL;
    double best = 0, median = 0;
    if (id == RB_ROOF_READ_DRAM)
        return read_dram_now(r);
    if (id == RB_ROOF_LAUNCH || id == RB_ROOF_BARRIER) {
        lower_floors(r);
        return r->machine.roof[id].value;
    }
    for (int i = 0; i < r->n_loop; i++) {
        const double m = r->loop[i].id == id && r->loop[i].n
                             ? rb_stats_of(r->loop[i].sample, r->loop[i].n).median
                             : 0;
        l = m > median ? &r->loop[i] : l;
        median = m > median ? m : median;
    }
    for (int k = 0; l && k < SHOTS; k++) {
        const rb_tally t = shoot(r, l);
        const double v = value_of(l, &t);
        best = v > best ? v : best;
    }
    return best;
}

rb_probe rb_roofs_probe(rb_roofs *r)
{
    rb_probe p = { 0 };
    lower_floors(r);
    p.read_dram = read_dram_now(r);
    if (r->fma >= 0 && r->loop[r->fma].n) {
        const rb_tally t = shoot(r, &r->loop[r->fma]);
        p.fma_f32 = value_of(&r->loop[r->fma], &t);
    }
    return p;
}

bool rb_roofs_agree(double a, double z)
{
    return a > 0 && z > 0 && fabs(a - z) <= 0.1 * fmax(a, z);
}

uint64_t rb_last_cache_bytes(int n_threads)
{
    rb_machine m = { .n_threads = n_threads };
    uint64_t most = 0;
    find_levels(&m);
    for (int level = RB_L1; level < RB_DRAM; level++)
        most = m.level[level].total > most ? m.level[level].total : most;
    return most;
}

/* ---- the pool ---- */

static rb_roofs *find(const rb_roof_pool *pool, int n_threads, rb_isa isa)
{
    for (int i = 0; i < pool->n; i++) {
        const rb_machine *m = &pool->at[i]->machine;
        if (m->n_threads == n_threads && m->isa == isa)
            return pool->at[i];
    }
    return NULL;
}

const rb_machine *rb_roof_pool_machine(const rb_roof_pool *pool, int n_threads, rb_isa isa)
{
    const rb_roofs *r = pool ? find(pool, n_threads, isa) : NULL;
    return r ? &r->machine : NULL;
}

rb_status rb_roof_pool_get(rb_roof_pool *pool, int n_threads, rb_isa isa, bool capped,
                           bool (*stop)(void *), void *arg, rb_roofs **roofs, rb_error *err)
{
    enum { SAMPLES = 11 };
    const int most = (int)(sizeof pool->at / sizeof *pool->at);
    *roofs = find(pool, n_threads, isa);
    if (*roofs)
        return RB_OK;
    if (pool->n == most)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "roofs of more than %d pairs of threads and ISA; shorten the lists", most);
    const rb_buffer *memory = pool->n ? &pool->at[0]->memory : NULL; /* the first has it */
    rb_roofs *fresh = NULL;
    const rb_status st = rb_roofs_open(&fresh, n_threads, isa, capped, memory, err);
    if (!fresh)
        return st;
    pool->at[pool->n++] = *roofs = fresh;
    return rb_roofs_measure(fresh, SAMPLES, false, stop, arg, err);
}

void rb_roof_pool_close(rb_roof_pool *pool)
{
    while (pool->n) /* the first last: it has the memory */
        rb_roofs_close(pool->at[--pool->n]);
}
