/* The figures of a result: ratios of its exact counts and its median time. Ratios of nothing are 0.
 * Nothing is measured or written here.
 * Read next: run.c, which fills results; record.c, which writes them. */
#include "bench.h"

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
