/* Places work on the roofline: the least time that measured roofs allow for exact counts, what
 * bounds it, and how near the measured time came. A share of a roof is a median over samples whose
 * roofs before and after agree; above 100 % nothing is claimed but that it is above.
 * Refuses to measure: roofs and times are given. Read next: roofs.c. */
#include "bench.h"

#include <math.h>

const char *const rb_bound_name[] = {
    [RB_BOUND_NONE] = "",
    [RB_BOUND_MEMORY] = "memory",
    [RB_BOUND_COMPUTE] = "compute",
    [RB_BOUND_OVERHEAD] = "overhead",
    [RB_BOUND_RESIDENT] = "resident",
};

rb_scale rb_scale_of(const rb_machine *m, const rb_probe *probe)
{
    const double dram = m->roof[RB_ROOF_READ_DRAM].value, fma = m->roof[RB_ROOF_FMA_F32].value;
    return (rb_scale){
        .memory = dram > 0 && probe->read_dram > 0 ? probe->read_dram / dram : 1,
        .clock = fma > 0 && probe->fma_f32 > 0 ? probe->fma_f32 / fma : 1,
    };
}

/* Keeps the largest of several least times, and what it is due to. */
static void at_least(rb_place *p, double ns, rb_bound bound, rb_roof_id roof)
{
    if (ns <= p->roof_ns)
        return;
    p->roof_ns = ns;
    p->bound = bound;
    p->roof = roof;
}

/* ns for an amount of work; 0 without a roof. */
static double time_for(double amount, const rb_machine *m, rb_roof_id roof, double scale)
{
    const double rate = m->roof[roof].value * scale;
    return rate > 0 ? amount / rate : 0;
}

/* The smallest level that holds so many bytes. */
static int level_for(const rb_machine *m, double bytes)
{
    for (int level = RB_L1; level < RB_DRAM; level++)
        if (m->level[level].total && bytes <= (double)m->level[level].total)
            return level;
    return RB_DRAM;
}

static rb_roof_id read_roof(int level)
{
    return RB_ROOF_READ_L1 + (rb_roof_id)level;
}

static double level_scale(int level, rb_scale s)
{
    return level == RB_DRAM ? s.memory : s.clock;
}

/* floats: the roof of what is not done in integers. */
static void place_compute(rb_place *p, const rb_tally *t, const rb_machine *m, rb_scale scale,
                          rb_roof_id floats)
{
    const double flops = (double)t->cost.flops;
    const double in_ints = 2 * (double)t->cost.int_macs, in_bf16 = 2 * (double)t->cost.bf16_macs;
    const double ints = in_ints < flops ? in_ints : flops; /* others are padding */
    const double halves = in_bf16 < flops - ints ? in_bf16 : flops - ints;
    const double i8 = time_for(ints, m, RB_ROOF_DOT_I8, scale.clock);
    const double bf16 = time_for(halves, m, RB_ROOF_DOT_BF16, scale.clock);
    const double others = time_for(flops - ints - halves, m, floats, scale.clock);
    const double most = fmax(i8, fmax(bf16, others));
    at_least(p, i8 + bf16 + others, RB_BOUND_COMPUTE,
             most == i8     ? RB_ROOF_DOT_I8
             : most == bf16 ? RB_ROOF_DOT_BF16
                            : floats);
    at_least(p, time_for((double)t->cost.special, m, RB_ROOF_EXP, scale.clock), RB_BOUND_COMPUTE,
             RB_ROOF_EXP);
}

static void place_memory(rb_place *p, const rb_tally *t, const rb_machine *m, rb_scale scale,
                         int resident)
{
    const rb_bytes b = rb_cost_bytes(&t->cost);
    const double act = (double)(b.act_read + b.act_write);
    const int level = level_for(m, act / (double)(t->calls ? t->calls : 1));
    at_least(
        p, time_for((double)rb_bytes_wkv(&b), m, read_roof(resident), level_scale(resident, scale)),
        resident == RB_DRAM ? RB_BOUND_MEMORY : RB_BOUND_RESIDENT, read_roof(resident));
    at_least(p, time_for(act, m, read_roof(level), level_scale(level, scale)), RB_BOUND_MEMORY,
             read_roof(level));
}

double rb_place_ns(const rb_place *p, const rb_tally *t)
{
    const bool all = p->bound == RB_BOUND_OVERHEAD;
    return (double)(t->ns + (all ? t->barrier_ns + t->launch_ns : 0));
}

static void set_share(rb_place *p, double pct)
{
    p->above = pct > 100;
    p->pct = p->above ? 0 : pct;
    p->over = p->above ? pct : 0;
}

static double share(double roof_ns, double ns)
{
    return ns > 0 ? 100 * roof_ns / ns : 0;
}

rb_place rb_place_tally(const rb_tally *t, const rb_machine *m, rb_scale scale, int resident)
{
    rb_place p = { 0 };
    place_memory(&p, t, m, scale, resident);
    place_compute(&p, t, m, scale, RB_ROOF_FMA_F32);
    at_least(&p, m->roof[RB_ROOF_LAUNCH].value / scale.clock * (double)t->calls, RB_BOUND_OVERHEAD,
             RB_ROOF_LAUNCH);
    set_share(&p, share(p.roof_ns, rb_place_ns(&p, t)));
    return p;
}

int rb_level_holding(const rb_machine *m, uint64_t bytes)
{
    return level_for(m, (double)bytes);
}

rb_place rb_place_launches(const rb_kernel *k, const rb_tally *t, uint64_t moved_bytes,
                           const rb_machine *m, int level)
{
    static const rb_scale now = { 1, 1 };
    rb_place p = { 0 };
    at_least(&p, time_for((double)moved_bytes, m, read_roof(level), 1),
             level == RB_DRAM ? RB_BOUND_MEMORY : RB_BOUND_RESIDENT, read_roof(level));
    place_compute(&p, t, m, now, k->needs_bf16 ? RB_ROOF_DOT_BF16 : RB_ROOF_FMA_F32);
    at_least(&p, m->roof[RB_ROOF_LAUNCH].value * (double)t->calls, RB_BOUND_OVERHEAD,
             RB_ROOF_LAUNCH);
    set_share(&p, share(p.roof_ns, rb_place_ns(&p, t)));
    return p;
}

void rb_place_settle(rb_place *p, const double *pct, int n, double took_ns)
{
    p->n_pairs = n;
    set_share(p, n ? rb_stats_of(pct, n).median : 0);
    if (p->pct > 0)
        p->roof_ns = p->pct / 100 * took_ns;
}

/* Weights and cache that one pass reads. */
static double working_set(const rb_result *r)
{
    const rb_test *t = &r->test;
    const rb_bytes b = rb_cost_bytes(&r->total.cost);
    const int64_t ub = t->n_ubatch > 0 ? t->n_ubatch : 1;
    const int64_t passes = t->n_gen + (t->n_prompt + ub - 1) / ub;
    return (double)(b.weight + b.kv_read) / (double)(passes > 0 ? passes : 1);
}

int rb_resident_level(const rb_result *r, const rb_machine *m)
{
    return level_for(m, working_set(r));
}

rb_sides rb_place_sides(const rb_result *r, const rb_machine *m, rb_scale scale)
{
    const rb_tally *cell = &r->ledger.at[0][0][0];
    const int resident = rb_resident_level(r, m);
    rb_sides sum = { 0 };
    for (int i = 0; i < RB_N_PHASE * RB_N_SITE * RB_N_OP; i++) {
        rb_place memory = { 0 }, compute = { 0 };
        place_memory(&memory, &cell[i], m, scale, resident);
        place_compute(&compute, &cell[i], m, scale, RB_ROOF_FMA_F32);
        sum.memory_ns += memory.roof_ns;
        sum.compute_ns += compute.roof_ns;
    }
    return sum;
}

/* The largest of n figures. */
static int largest(const double *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

/* Sum over kernels of their least times; the bound that most of it is due to, and its main roof. */
static rb_place place_sum(const rb_result *r, rb_scale scale)
{
    const rb_tally *cell = &r->ledger.at[0][0][0];
    const int resident = rb_resident_level(r, r->machine);
    double by_bound[RB_BOUND_RESIDENT + 1] = { 0 };
    double by_roof[RB_BOUND_RESIDENT + 1][RB_N_ROOF] = { { 0 } };
    rb_place sum = { 0 };
    for (int i = 0; i < RB_N_PHASE * RB_N_SITE * RB_N_OP; i++) {
        if (!cell[i].calls)
            continue;
        const rb_place p = rb_place_tally(&cell[i], r->machine, scale, resident);
        sum.roof_ns += p.roof_ns;
        by_bound[p.bound] += p.roof_ns;
        by_roof[p.bound][p.roof] += p.roof_ns;
    }
    sum.bound = (rb_bound)largest(by_bound, RB_BOUND_RESIDENT + 1);
    sum.roof = (rb_roof_id)largest(by_roof[sum.bound], RB_N_ROOF);
    return sum;
}

/* A cache that holds half of it or more is what lets it pass DRAM's roof. */
static void excuse(rb_place *p, const rb_result *r)
{
    if (p->above && p->roof == RB_ROOF_READ_DRAM &&
        working_set(r) < 2 * (double)r->machine->level[RB_L3].total)
        p->bound = RB_BOUND_RESIDENT;
}

/* The median share over samples whose roofs agree; none without such pairs. The least time follows
 * from it and from what the median sample took, so that the three agree. */
static void set_median(rb_place *p, const rb_result *r, const double *pct, double took_ns)
{
    double kept[RB_MAX_REPS];
    int n = 0;
    for (int i = 0; i < r->n_samples; i++)
        if (r->sample[i].paired)
            kept[n++] = pct[i];
    rb_place_settle(p, kept, n, took_ns);
    excuse(p, r);
}

static rb_scale scale_at(const rb_result *r, int sample)
{
    const rb_probe none = { 0 };
    return rb_scale_of(r->machine, r->n_samples ? &r->sample[sample].probe : &none);
}

double rb_sample_roof_ns(const rb_result *r, int i)
{
    return r->machine ? place_sum(r, scale_at(r, i)).roof_ns : 0;
}

rb_place rb_place_result(const rb_result *r)
{
    double pct[RB_MAX_REPS];
    if (!r->machine)
        return (rb_place){ 0 };
    rb_place p = place_sum(r, scale_at(r, r->median));
    for (int i = 0; i < r->n_samples; i++)
        pct[i] = share(rb_sample_roof_ns(r, i), (double)r->sample[i].ns);
    set_median(&p, r, pct, r->n_samples ? (double)r->sample[r->median].ns : 0);
    return p;
}

rb_place rb_place_unpaired(const rb_result *r)
{
    static const rb_scale as_measured = { 1, 1 };
    if (!r->machine)
        return (rb_place){ 0 };
    rb_place p = place_sum(r, as_measured);
    set_share(&p, share(p.roof_ns, r->ns.median));
    excuse(&p, r);
    return p;
}

rb_place rb_place_kernel(const rb_result *r, const rb_tally *counts, const rb_kernel_ns *ns,
                         int step)
{
    double pct[RB_MAX_REPS];
    if (!r->machine)
        return (rb_place){ 0 };
    const int resident = rb_resident_level(r, r->machine);
    rb_tally t = *counts;
    for (int i = 0; i < r->n_samples; i++) {
        const rb_kernel_ns *at = &ns[i * step];
        t.ns = at->work, t.barrier_ns = at->barrier, t.launch_ns = at->launch;
        const rb_place p = rb_place_tally(&t, r->machine, scale_at(r, i), resident);
        pct[i] = share(p.roof_ns, rb_place_ns(&p, &t));
    }
    rb_place p = rb_place_tally(counts, r->machine, scale_at(r, r->median), resident);
    set_median(&p, r, pct, rb_place_ns(&p, counts));
    return p;
}

double rb_result_roof_gflops(const rb_result *r)
{
    if (r->place.pct > 0) /* from the same pairs */
        return 100 * rb_result_gflops(r) / r->place.pct;
    return r->place.roof_ns > 0 ? (double)r->total.cost.flops / r->place.roof_ns : 0;
}
