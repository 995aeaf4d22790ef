/* Placing work on the roofline: hand-made machines and tallies, so that each least time, each bound
 * and each share is known beforehand. Nothing is measured here.
 * Read next: ../bench/place.c. */
#include "../bench/bench.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KIB = 1 << 10, MIB = 1 << 20 };

static const rb_scale same = { 1, 1 };

/* 100 GFLOP/s, 400 in 8-bit integers, 10 Gop/s of exp; 1000, 500, 200 and 20 GB/s; 1 us a launch */
static rb_machine machine(void)
{
    rb_machine m = { .n_threads = 1,
                     .level = { { 64 * KIB, 64 * KIB }, { 2 * MIB, 2 * MIB }, { 32 * MIB, MIB } } };
    m.roof[RB_ROOF_FMA_F32].value = 100;
    m.roof[RB_ROOF_DOT_I8].value = 400;
    m.roof[RB_ROOF_EXP].value = 10;
    m.roof[RB_ROOF_READ_L1].value = 1000;
    m.roof[RB_ROOF_READ_L2].value = 500;
    m.roof[RB_ROOF_READ_L3].value = 200;
    m.roof[RB_ROOF_READ_DRAM].value = 20;
    m.roof[RB_ROOF_LAUNCH].value = 1000;
    return m;
}

/* One launch that took a hundred times what the tests below expect at most. */
static rb_tally work(uint64_t flops, uint64_t weight, uint64_t act)
{
    rb_tally t = { .calls = 1, .ns = 100000000 };
    t.cost.flops = flops;
    t.cost.rd[RB_WEIGHT] = weight;
    t.cost.rd[RB_ACT] = act;
    return t;
}

static void want(const rb_place *p, double ns, rb_bound bound, rb_roof_id roof, const char *what)
{
    cr_expect_float_eq(p->roof_ns, ns, 1e-6 * ns + 1e-9, "%s: %g ns, not %g", what, p->roof_ns, ns);
    cr_expect_eq(p->bound, bound, "%s: bound by '%s'", what, rb_bound_name[p->bound]);
    cr_expect_eq(p->roof, roof, "%s: under %s", what, rb_roof_infos[p->roof].name);
}

static rb_place place(const rb_tally *t, const rb_machine *m)
{
    return rb_place_tally(t, m, same, RB_DRAM);
}

Test(place, memory_is_weights_and_cache_over_dram)
{
    const rb_machine m = machine();
    rb_tally t = work(1000, 1000000, 0);
    t.cost.rd[RB_KV] = 600000;
    t.cost.wr[RB_KV] = 400000;
    t.cost.rd[RB_CTRL] = 1u << 30; /* never traffic */
    rb_place p = place(&t, &m);
    want(&p, 100000, RB_BOUND_MEMORY, RB_ROOF_READ_DRAM, "weights and cache");
    cr_assert_float_eq(p.pct, 0.1, 1e-12);
    cr_assert_not(p.above);
}

/* What a launch reads and writes decides the level, not what all launches do. */
Test(place, activations_are_held_against_their_cache_level)
{
    static const struct {
        uint64_t act, calls;
        double ns;
        rb_roof_id roof;
    } at[] = {
        { 64 * KIB, 1, 64 * KIB / 1000.0, RB_ROOF_READ_L1 },
        { 64 * KIB + 1, 1, (64 * KIB + 1) / 500.0, RB_ROOF_READ_L2 },
        { 10 * MIB, 160, 10 * MIB / 1000.0, RB_ROOF_READ_L1 },
        { 10 * MIB, 1, 10 * MIB / 200.0, RB_ROOF_READ_L3 },
        { 32 * MIB + 1, 1, (32 * MIB + 1) / 20.0, RB_ROOF_READ_DRAM },
    };
    rb_machine m = machine();
    m.roof[RB_ROOF_LAUNCH].value = 0;
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        rb_tally t = work(10, 10, at[i].act / 2);
        t.cost.wr[RB_ACT] = at[i].act - at[i].act / 2;
        t.calls = at[i].calls;
        rb_place p = place(&t, &m);
        want(&p, at[i].ns, RB_BOUND_MEMORY, at[i].roof, "activations");
    }
}

Test(place, compute_is_fma_then_integer_dots_by_int_macs)
{
    const rb_machine m = machine();
    rb_tally t = work(100000000, 1000, 1000);
    rb_place p = place(&t, &m);
    want(&p, 1e6, RB_BOUND_COMPUTE, RB_ROOF_FMA_F32, "float");
    t.cost.int_macs = 50000000;
    p = place(&t, &m);
    want(&p, 1e6 / 4, RB_BOUND_COMPUTE, RB_ROOF_DOT_I8, "all integer");
    t.cost.int_macs = 45000000; /* 0.225 ms of dots, 0.1 ms of floats */
    p = place(&t, &m);
    want(&p, 325000, RB_BOUND_COMPUTE, RB_ROOF_DOT_I8, "mostly integer");
    t.cost.int_macs = 10000000; /* 0.05 and 0.8 ms */
    p = place(&t, &m);
    want(&p, 850000, RB_BOUND_COMPUTE, RB_ROOF_FMA_F32, "mostly float");
    t.cost.int_macs = 500000000; /* padding is no useful work */
    p = place(&t, &m);
    want(&p, 1e6 / 4, RB_BOUND_COMPUTE, RB_ROOF_DOT_I8, "padded");
}

Test(place, compute_is_exp_where_specials_take_longest)
{
    const rb_machine m = machine();
    rb_tally t = work(2000000, 1000, 1000);
    t.cost.special = 1000000;
    rb_place p = place(&t, &m);
    want(&p, 100000, RB_BOUND_COMPUTE, RB_ROOF_EXP, "exp");
}

/* The floor is held against all that launches take, a roof against the work itself. */
Test(place, overhead_is_the_floor_of_launches)
{
    const rb_machine m = machine();
    rb_tally t = work(10, 10, 10);
    t.calls = 7;
    t.ns = 4000;
    t.barrier_ns = 6000;
    t.launch_ns = 18000;
    rb_place p = place(&t, &m);
    want(&p, 7000, RB_BOUND_OVERHEAD, RB_ROOF_LAUNCH, "nothing but launches");
    cr_assert_float_eq(p.pct, 25, 1e-9);
    t.cost.flops = 800000; /* 8 us of work */
    t.ns = 10000;
    p = place(&t, &m);
    want(&p, 8000, RB_BOUND_COMPUTE, RB_ROOF_FMA_F32, "more work than launches");
    cr_assert_float_eq(p.pct, 80, 1e-9, "barriers are no part of the work: %g", p.pct);
}

Test(place, resident_work_has_no_dram_roof)
{
    rb_machine m = machine();
    const rb_tally t = work(1000, 1000000, 0);
    static const double ns[] = { 1000, 2000, 5000 };
    m.roof[RB_ROOF_LAUNCH].value = 0;
    for (int level = RB_L1; level <= RB_L3; level++) {
        const rb_place p = rb_place_tally(&t, &m, same, level);
        want(&p, ns[level], RB_BOUND_RESIDENT, RB_ROOF_READ_L1 + (rb_roof_id)level, "resident");
    }
}

/* DRAM goes with the bandwidth of the moment, all else with the clock of the moment. */
Test(place, roofs_of_the_moment)
{
    const rb_machine m = machine();
    const rb_scale slow = { 0.5, 0.25 };
    rb_tally t = work(1000, 1000000, 0);
    rb_place p = rb_place_tally(&t, &m, slow, RB_DRAM);
    want(&p, 100000, RB_BOUND_MEMORY, RB_ROOF_READ_DRAM, "memory");
    p = rb_place_tally(&t, &m, slow, RB_L3);
    want(&p, 20000, RB_BOUND_RESIDENT, RB_ROOF_READ_L3, "resident");
    t = work(1000000, 0, 0);
    p = rb_place_tally(&t, &m, slow, RB_DRAM);
    want(&p, 40000, RB_BOUND_COMPUTE, RB_ROOF_FMA_F32, "compute");
    t = work(1, 0, 0);
    p = rb_place_tally(&t, &m, slow, RB_DRAM);
    want(&p, 4000, RB_BOUND_OVERHEAD, RB_ROOF_LAUNCH, "launch");
    t = work(0, 0, 2 * MIB);
    p = rb_place_tally(&t, &m, slow, RB_DRAM);
    want(&p, 2 * MIB / 125.0, RB_BOUND_MEMORY, RB_ROOF_READ_L2, "activations");
}

Test(place, the_moment_is_what_probes_say_or_the_machine)
{
    rb_machine m = machine();
    rb_scale s = rb_scale_of(&m, &(rb_probe){ 10, 110 });
    cr_assert_float_eq(s.memory, 0.5, 1e-12);
    cr_assert_float_eq(s.clock, 1.1, 1e-12);
    s = rb_scale_of(&m, &(rb_probe){ 0, 0 });
    cr_assert(s.memory == 1 && s.clock == 1, "no probe: as measured");
    m = (rb_machine){ 0 };
    s = rb_scale_of(&m, &(rb_probe){ 10, 110 });
    cr_assert(s.memory == 1 && s.clock == 1, "no roofs: nothing to divide by");
}

Test(place, above_the_roof_is_never_a_percentage)
{
    const rb_machine m = machine();
    rb_tally t = work(1000, 2000000, 0); /* 100 us */
    t.ns = 100000;
    rb_place p = place(&t, &m);
    cr_assert_float_eq(p.pct, 100, 1e-9);
    cr_assert_not(p.above);
    t.ns = 99999;
    p = place(&t, &m);
    cr_assert_eq(p.pct, 0);
    cr_assert(p.above);
    t.ns = 0; /* a clock that stood still says nothing */
    p = place(&t, &m);
    cr_assert_eq(p.pct, 0);
    cr_assert_not(p.above);
}

static bool sane(double x)
{
    return isfinite(x) && x >= 0;
}

/* Each roof alone, each roof missing, and none: no division by what is not there. */
Test(place, missing_roofs_limit_nothing)
{
    const rb_machine all = machine();
    rb_tally t = work(1000000, 1000000, 1000000);
    t.cost.special = 1000;
    t.cost.int_macs = 1000;
    for (int with = 0; with < 2; with++) {
        for (int i = 0; i < RB_N_ROOF; i++) {
            rb_machine m = with ? (rb_machine){ 0 } : all;
            m.roof[i].value = with ? all.roof[i].value : 0;
            for (int level = RB_L1; level <= RB_DRAM; level++) {
                const rb_place p = rb_place_tally(&t, &m, same, level);
                cr_expect(sane(p.roof_ns) && sane(p.pct), "roof %d, level %d: %g ns, %g %%", i,
                          level, p.roof_ns, p.pct);
                cr_expect_eq(p.bound == RB_BOUND_NONE, p.roof_ns == 0);
                if (p.bound != RB_BOUND_NONE)
                    cr_expect_gt(m.roof[p.roof].value, 0, "bound by a roof that is missing");
            }
        }
    }
    const rb_machine none = { 0 };
    const rb_place p = place(&t, &none);
    cr_assert(p.bound == RB_BOUND_NONE && p.roof_ns == 0 && p.pct == 0 && !p.above);
    const rb_tally nothing = { 0 };
    const rb_place q = place(&nothing, &all);
    cr_assert(q.bound == RB_BOUND_NONE && q.roof_ns == 0 && q.pct == 0 && !q.above);
}

/* ---- whole results ---- */

static rb_result *result(const rb_machine *m)
{
    rb_result *r = calloc(1, sizeof *r);
    r->machine = m;
    r->test = (rb_test){ .n_gen = 4, .n_seq = 1, .n_layer = 1, .n_batch = 512, .n_ubatch = 512 };
    return r;
}

static void book(rb_result *r, rb_site site, rb_op_id op, rb_tally t)
{
    r->ledger.at[RB_DECODE][site][op] = t;
    rb_tally_add(&r->total, &t);
}

static void sample(rb_result *r, uint64_t ns, double dram, bool paired)
{
    r->sample[r->n_samples++] =
        (rb_sample){ .ns = ns, .probe = { .read_dram = dram, .fma_f32 = 100 }, .paired = paired };
}

Test(place, what_all_steps_reread_is_resident_if_a_cache_holds_it)
{
    rb_machine m = machine();
    rb_result *r = result(&m);
    r->total.cost.rd[RB_WEIGHT] = 4 * 64 * KIB; /* of four steps */
    cr_assert_eq(rb_resident_level(r, &m), RB_L1);
    r->total.cost.rd[RB_KV] = 4;
    cr_assert_eq(rb_resident_level(r, &m), RB_L2);
    r->total.cost.rd[RB_WEIGHT] = 4 * 32 * MIB - 4;
    cr_assert_eq(rb_resident_level(r, &m), RB_L3);
    r->total.cost.rd[RB_WEIGHT] += 4;
    cr_assert_eq(rb_resident_level(r, &m), RB_DRAM);
    r->test.n_gen = 0; /* a prompt of three micro-batches */
    r->test.n_prompt = 1025;
    r->total.cost.rd[RB_KV] = 0;
    r->total.cost.rd[RB_WEIGHT] = 3 * 2 * MIB;
    cr_assert_eq(rb_resident_level(r, &m), RB_L2);
    r->test.n_prompt = 1024; /* of two */
    cr_assert_eq(rb_resident_level(r, &m), RB_L3);
    r->test.n_ubatch = 0;
    r->test.n_prompt = 0;
    cr_assert_eq(rb_resident_level(r, &m), RB_L3, "no division by no passes");
    memset(m.level, 0, sizeof m.level);
    r->total.cost.rd[RB_WEIGHT] = 1;
    cr_assert_eq(rb_resident_level(r, &m), RB_DRAM, "caches of unknown size hold nothing");
    free(r);
}

/* 1 ms of weights under DRAM and 0.4 ms of FLOPs, in two kernels: the sum is the roof. */
static rb_result *two_kernels(const rb_machine *m)
{
    rb_result *r = result(m);
    book(r, RB_SITE_ATTN, RB_OP_MATMUL, work(1000, 800 * MIB, 0));
    book(r, RB_SITE_FFN_ACT, RB_OP_SILU_GATE, work(40000000, 0, 0));
    return r;
}

static const double memory_ns = 800.0 * MIB / 20, compute_ns = 400000;

Test(place, a_test_is_the_sum_of_its_kernels)
{
    const rb_machine m = machine();
    rb_result *r = two_kernels(&m);
    sample(r, 100000000, 20, true);
    r->ns.median = 100000000;
    r->place = rb_place_result(r);
    want(&r->place, memory_ns + compute_ns, RB_BOUND_MEMORY, RB_ROOF_READ_DRAM, "sum");
    cr_assert_float_eq(r->place.pct, (memory_ns + compute_ns) / 1e6, 1e-6);
    cr_assert_eq(r->place.n_pairs, 1);
    cr_assert_float_eq(rb_result_roof_gflops(r), 40001000 / (memory_ns + compute_ns), 1e-9);
    rb_tally t = r->ledger.at[RB_DECODE][RB_SITE_FFN_ACT][RB_OP_SILU_GATE];
    t.ns = 2 * (uint64_t)compute_ns; /* of the median sample, the only one */
    const rb_kernel_ns took = { t.ns, 5, 7 };
    const rb_place k = rb_place_kernel(r, &t, &took, 1);
    cr_assert_float_eq(k.pct, 50, 1e-6, "barrier and launch are not held against a roof");
    want(&k, compute_ns, RB_BOUND_COMPUTE, RB_ROOF_FMA_F32, "kernel");
    free(r);
}

Test(place, shares_are_medians_over_paired_samples_alone)
{
    const rb_machine m = machine();
    const double roof = memory_ns + compute_ns;
    rb_result *r = two_kernels(&m);
    sample(r, (uint64_t)(roof * 10), 20, false); /* 10 % */
    sample(r, (uint64_t)(roof * 2), 20, true);   /* 50 % */
    sample(r, (uint64_t)(roof * 20), 20, false); /* 5 % */
    sample(r, (uint64_t)(roof * 4), 20, true);   /* 25 % */
    sample(r, (uint64_t)(roof * 5), 20, true);   /* 20 % */
    sample(r, (uint64_t)(roof * 20), 20, false);
    rb_place p = rb_place_result(r);
    cr_assert_float_eq(p.pct, 25, 1e-3, "%g", p.pct);
    cr_assert_eq(p.n_pairs, 3);
    for (int i = 0; i < r->n_samples; i++)
        r->sample[i].paired = false;
    p = rb_place_result(r);
    cr_assert_eq(p.pct, 0, "nothing is claimed without a pair");
    cr_assert(p.n_pairs == 0 && !p.above && p.roof_ns > 0);
    free(r);
}

/* Half the bandwidth meanwhile: twice the least time, and the share of that sample doubles. */
Test(place, every_sample_is_held_against_its_own_roofs)
{
    const rb_machine m = machine();
    rb_result *r = result(&m);
    book(r, RB_SITE_ATTN, RB_OP_MATMUL, work(1000, 800 * MIB, 0));
    sample(r, (uint64_t)(memory_ns * 4), 20, true); /* 25 % */
    sample(r, (uint64_t)(memory_ns * 4), 10, true); /* 50 % */
    sample(r, (uint64_t)(memory_ns * 4), 5, true);  /* 100 % */
    r->median = 1;
    const rb_place p = rb_place_result(r);
    cr_assert_float_eq(p.pct, 50, 1e-3, "%g", p.pct);
    cr_assert_float_eq(p.roof_ns, 2 * memory_ns, 1, "that of the median sample");
    for (int i = 0; i < 3; i++)
        cr_assert_float_eq(rb_sample_roof_ns(r, i), (1 << i) * memory_ns, 1e-6 * memory_ns);
    r->machine = NULL;
    cr_assert_eq(rb_sample_roof_ns(r, 0), 0);
    free(r);
}

Test(place, a_kernel_is_placed_by_the_median_of_its_paired_samples)
{
    const rb_machine m = machine();
    rb_result *r = two_kernels(&m);
    /* two kernels a sample; those of the second one: 100, 25, 10, 50 % */
    rb_kernel_ns ns[8] = { { 0 } };
    const uint64_t times[] = { 1, 4, 10, 2 };
    for (int i = 0; i < 4; i++) {
        sample(r, 100000000, 20, i != 2);
        ns[2 * i + 1].work = times[i] * (uint64_t)compute_ns;
    }
    const rb_tally *t = &r->ledger.at[RB_DECODE][RB_SITE_FFN_ACT][RB_OP_SILU_GATE];
    const rb_place p = rb_place_kernel(r, t, &ns[1], 2);
    cr_assert_float_eq(p.pct, 50, 1e-6, "%g", p.pct);
    cr_assert_eq(p.n_pairs, 3);
    free(r);
}

Test(place, a_result_above_its_roof_is_said_to_be)
{
    const rb_machine m = machine();
    rb_result *r = two_kernels(&m);
    sample(r, 1000, 20, true);
    sample(r, 1000, 20, true);
    rb_place p = rb_place_result(r);
    cr_assert_eq(p.pct, 0);
    cr_assert(p.above);
    cr_assert_gt(p.roof_ns, 0);
    r->n_samples = 0; /* nothing ran: no share, but a roof */
    p = rb_place_result(r);
    cr_assert(p.pct == 0 && !p.above && p.roof_ns > 0);
    sample(r, 0, 20, true);
    p = rb_place_result(r);
    cr_assert(sane(p.pct) && p.pct == 0 && !p.above);
    free(r);
}

Test(place, without_roofs_nothing_is_claimed)
{
    rb_result *r = two_kernels(NULL);
    sample(r, 100000, 20, true);
    r->place = rb_place_result(r);
    cr_assert(r->place.bound == RB_BOUND_NONE && r->place.pct == 0 && r->place.roof_ns == 0);
    cr_assert_eq(rb_result_roof_gflops(r), 0);
    const rb_kernel_ns took = { 1, 1, 1 };
    const rb_place k = rb_place_kernel(r, &r->total, &took, 1);
    cr_assert(k.bound == RB_BOUND_NONE && k.pct == 0);
    const rb_machine blank = { .n_threads = 1 }; /* measuring was interrupted */
    r->machine = &blank;
    r->place = rb_place_result(r);
    cr_assert(r->place.bound == RB_BOUND_NONE && r->place.pct == 0 && !r->place.above);
    cr_assert_eq(rb_result_roof_gflops(r), 0);
    free(r);
}

/* A kernel that no roof limits says nothing about what bounds the others. */
Test(place, kernels_without_a_roof_do_not_hide_the_bound)
{
    rb_machine m = { .n_threads = 1 };
    m.roof[RB_ROOF_FMA_F32].value = 100;
    rb_result *r = result(&m);
    book(r, RB_SITE_ATTN, RB_OP_MATMUL, work(40000000, 1000, 0));
    book(r, RB_SITE_RESIDUAL, RB_OP_ADD, work(0, 1000, 1000));
    sample(r, 100000000, 0, false);
    const rb_place p = rb_place_result(r);
    want(&p, compute_ns, RB_BOUND_COMPUTE, RB_ROOF_FMA_F32, "FMA alone");
    free(r);
}
