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

double rb_result_oi_attn(const rb_result *r)
{
    const rb_tally *cell = &r->ledger.at[0][0][0];
    rb_tally sum = { 0 };
    for (int i = 0; i < RB_N_PHASE * RB_N_SITE * RB_N_OP; i++)
        if (rb_cost_bytes(&cell[i].cost).kv_read)
            rb_tally_add(&sum, &cell[i]);
    return rb_tally_oi(&sum);
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

rb_phi rb_result_phi_parts(const rb_result *r)
{
    const double dram = r->machine ? r->machine->roof[RB_ROOF_READ_DRAM].value : 0;
    return rb_phi_of(rb_tally_oi(&r->total), rb_result_gflops(r), compute_roof(r), dram);
}

double rb_result_phi(const rb_result *r)
{
    return rb_result_phi_parts(r).mixed;
}

double rb_result_phi_log(const rb_result *r)
{
    return rb_result_phi_parts(r).log;
}
