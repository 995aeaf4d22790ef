/* The figures of a result: ratios of its exact counts and its median time. Ratios of nothing are 0.
 * Nothing is measured or written here.
 * Read next: trial.c, which fills results; record.c, which writes them. */
#include "bench.h"

#include <math.h>

double rb_tally_oi(const rb_tally *t)
{
    rb_bytes bytes = rb_cost_bytes(&t->cost);
    uint64_t wkv = rb_bytes_wkv(&bytes);
    return wkv ? (double)t->cost.flops / (double)wkv : 0;
}

double rb_tally_oi_kernel(const rb_tally *t)
{
    rb_bytes bytes = rb_cost_bytes(&t->cost);
    uint64_t all = rb_bytes_all(&bytes);
    return all ? (double)t->cost.flops / (double)all : 0;
}

double rb_tally_oi_dram(const rb_tally *t)
{
    const rb_bytes needed = rb_cost_bytes(&t->cost);
    const uint64_t moved = rb_dram_bytes(&t->dram);
    const bool resident = moved < rb_bytes_wkv(&needed) / 2;
    return moved && !resident ? (double)t->cost.flops / (double)moved : 0;
}

double rb_tally_oi_issued(const rb_tally *t)
{
    const uint64_t issued = t->cost.issued_rd + t->cost.issued_wr;
    if (t->cost.issued_unknown)
        return NAN;
    return issued ? (double)t->cost.flops / (double)issued : 0;
}

double rb_result_tps(const rb_result *r)
{
    return r->ns.median > 0 ? (double)rb_test_tokens(&r->test) * 1e9 / r->ns.median : 0;
}

double rb_result_gflops(const rb_result *r)
{
    return r->ns.median > 0 ? (double)r->total.cost.flops / r->ns.median : 0;
}

double rb_result_gbps(const rb_result *r)
{
    rb_bytes bytes = rb_cost_bytes(&r->total.cost);
    return r->ns.median > 0 ? (double)rb_bytes_wkv(&bytes) / r->ns.median : 0;
}

uint64_t rb_result_other_ns(const rb_result *r)
{
    const rb_tally *t = &r->total;
    const uint64_t inside = t->ns + t->barrier_ns + t->launch_ns;
    const uint64_t whole = r->n_samples ? r->sample[r->median].ns : 0;
    return whole > inside ? whole - inside : 0;
}

/* The compute roof of a result: that of its dot products of bytes or bf16 if it has any. 0:
 * unknown.
 */
static double compute_roof(const rb_result *r)
{
    if (!r->machine)
        return 0;
    const rb_roof *roof = r->machine->roof;
    return roof[r->total.cost.int_macs    ? RB_ROOF_DOT_I8
                : r->total.cost.bf16_macs ? RB_ROOF_DOT_BF16
                                          : RB_ROOF_FMA_F32]
        .value;
}

static double ridge(const rb_result *r)
{
    const double dram = r->machine ? r->machine->roof[RB_ROOF_READ_DRAM].value : 0;
    return dram > 0 ? compute_roof(r) / dram : 0;
}

double rb_result_phi(const rb_result *r)
{
    const double away = ridge(r) - rb_tally_oi(&r->total);
    const double below = compute_roof(r) - rb_result_gflops(r);
    if (!ridge(r))
        return NAN;
    return away > 0 ? sqrt(away * away + below * below) : below;
}

double rb_result_phi_log(const rb_result *r)
{
    const double oi = rb_tally_oi(&r->total), gflops = rb_result_gflops(r);
    if (!ridge(r) || oi <= 0 || gflops <= 0)
        return NAN;
    const double away = fmax(0, log10(ridge(r) / oi)), below = log10(compute_roof(r) / gflops);
    return sqrt(away * away + below * below);
}
