/* Kernels alone: which rows a query gives, what a run leaves, how it ends, and where launches are
 * placed under roofs that are made up. How fast this machine is, is not asked.
 * Read next: ../bench/kernel_run.h, ../bench/kernel_plan.c. */
#include "../bench/bench.h"
#include "program.h"

#include <criterion/criterion.h>
#include <string.h>

/* ---- which rows ---- */

static rb_kernel_query query(rb_op_id op, const rb_sizes *shape)
{
    rb_kernel_query q = { .op = op, .shape = shape, .n_shape = 1, .n_threads = 1 };
    cr_assert_eq(rb_isa_detect(&q.isa, &q.capped, NULL), RB_OK);
    return q;
}

static rb_kernel_plan plan_of(const rb_kernel_query *q)
{
    rb_kernel_plan plan = { 0 };
    rb_error err = { 0 };
    cr_assert_eq(rb_kernel_plan_add(&plan, q, &err), RB_OK, "%s", err.text);
    return plan;
}

static int count(const rb_kernel_plan *plan, rb_dtype d, rb_isa isa)
{
    int n = 0;
    for (int i = 0; i < plan->n; i++)
        n += (d == RB_NO_DTYPE || plan->job[i].type == d) &&
             (isa == RB_N_ISA || plan->job[i].kernel->isa == isa);
    return n;
}

Test(kernel_plan, weights_are_packed_where_sessions_pack_them)
{
    const rb_sizes whole = { { 64, 256, 1 } }, odd = { { 65, 256, 1 } };
    rb_kernel_query q = query(RB_OP_MATMUL, &whole);
    rb_kernel_plan a = plan_of(&q);
    q.shape = &odd;
    rb_kernel_plan b = plan_of(&q);
    cr_expect_eq(a.n, b.n, "each type once");
    cr_expect_eq(count(&a, RB_F16_P16, RB_N_ISA), 1);
    cr_expect_eq(count(&a, RB_F16, RB_N_ISA), 0);
    cr_expect_eq(count(&b, RB_F16_P16, RB_N_ISA), 0);
    cr_expect_eq(count(&b, RB_F16, RB_N_ISA), 1);
    for (int i = 0; i < a.n; i++)
        cr_expect(a.job[i].chosen);
    rb_kernel_plan_free(&a);
    rb_kernel_plan_free(&b);
}

Test(kernel_plan, all_is_every_row_that_accepts)
{
    const rb_sizes s = { { 64, 256, 40 } };
    rb_kernel_query q = query(RB_OP_MATMUL, &s);
    q.all = true;
    q.capped = false;
    rb_kernel_plan plan = plan_of(&q);
    cr_expect_eq(count(&plan, RB_F32, RB_ISA_BLAS), 1);
    cr_expect_eq(count(&plan, RB_F16, RB_ISA_SCALAR), 1);
    cr_expect_eq(count(&plan, RB_F16_P16, RB_ISA_SCALAR), 1);
    int chosen = 0, i8 = 0;
    for (int i = 0; i < plan.n; i++) {
        chosen += plan.job[i].chosen;
        i8 += plan.job[i].kernel->act == RB_ACT_I8;
        cr_expect_lt(plan.job[i].kernel->isa, RB_ISA_COUNT1);
        cr_expect(rb_kernel_supported(plan.job[i].kernel));
    }
    cr_expect_geq(chosen, 10, "one for each storage type");
    cr_expect_gt(i8, 0);
    rb_kernel_plan_free(&plan);
    q.capped = q.act_f32 = true;
    q.isa = RB_ISA_SCALAR;
    plan = plan_of(&q);
    cr_expect_eq(count(&plan, RB_NO_DTYPE, RB_ISA_SCALAR), plan.n);
    for (int i = 0; i < plan.n; i++)
        cr_expect_eq(plan.job[i].kernel->act, RB_ACT_F32);
    rb_kernel_plan_free(&plan);
}

Test(kernel_plan, types_choose)
{
    const rb_sizes s = { { 64, 256, 1 } };
    const rb_dtype base = RB_Q8_0, packed = RB_Q8_0_P16;
    rb_kernel_query q = query(RB_OP_MATMUL, &s);
    q.n_type = 1;
    q.type = &base;
    rb_kernel_plan plan = plan_of(&q);
    cr_expect_eq(plan.n, 1);
    cr_expect_eq(count(&plan, RB_Q8_0_P16, RB_N_ISA), 1, "as sessions have it");
    rb_kernel_plan_free(&plan);
    q.all = true;
    plan = plan_of(&q);
    cr_expect_gt(count(&plan, RB_Q8_0, RB_N_ISA), 1);
    cr_expect_eq(count(&plan, RB_Q8_0, RB_N_ISA) + count(&plan, RB_Q8_0_P16, RB_N_ISA), plan.n);
    rb_kernel_plan_free(&plan);
    q.type = &packed;
    plan = plan_of(&q);
    cr_expect_eq(count(&plan, RB_Q8_0_P16, RB_N_ISA), plan.n);
    rb_kernel_plan_free(&plan);
    cr_expect_eq(rb_storage_by_name("q8_0.p16"), RB_Q8_0_P16);
    cr_expect_eq(rb_storage_by_name("q9"), RB_NO_DTYPE);
}

Test(kernel_plan, caches_are_of_one_type_and_experts_of_each)
{
    const rb_sizes attend = { { 1, 8, 2, 64, 70, 0, 0 } }, latent = { { 1, 8, 1, 64, 70, 16, 0 } };
    const rb_sizes experts = { { 1, 256, 256, 4, 2 } };
    rb_kernel_query q = query(RB_OP_ATTEND, &attend);
    rb_kernel_plan plan = plan_of(&q);
    cr_expect_eq(count(&plan, RB_F16, RB_N_ISA), 1);
    cr_expect_eq(count(&plan, RB_Q4_0, RB_N_ISA), 1);
    cr_expect_eq(plan.n, 5, "a job for each type of caches");
    rb_kernel_plan_free(&plan);
    q.shape = &latent;
    plan = plan_of(&q);
    cr_expect_eq(count(&plan, RB_F16, RB_N_ISA), 1);
    rb_kernel_plan_free(&plan);
    q = query(RB_OP_EXPERTS, &experts);
    plan = plan_of(&q);
    cr_expect_eq(count(&plan, RB_Q6_K, RB_N_ISA), 1);
    cr_expect_eq(count(&plan, RB_Q8_0_P16, RB_N_ISA), 0);
    rb_kernel_plan_free(&plan);
}

static void refuse(rb_kernel_query q, const char *words)
{
    rb_kernel_plan plan = { 0 };
    rb_error err = { 0 };
    cr_expect_eq(rb_kernel_plan_add(&plan, &q, &err), RB_ERR_ARGUMENT);
    cr_expect(strstr(err.text, words), "%s", err.text);
    rb_kernel_plan_free(&plan);
}

Test(kernel_plan, what_no_row_takes_is_refused)
{
    const rb_sizes odd = { { 64, 100, 1 } }, zero = { { 64, 0, 1 } }, add = { { 1, 7 } };
    const rb_dtype q8 = RB_Q8_0;
    rb_kernel_query q = query(RB_OP_MATMUL, &odd);
    rb_kernel_plan plan = plan_of(&q); /* what has no blocks can have 100 columns */
    cr_expect_eq(count(&plan, RB_Q8_0, RB_N_ISA), 0);
    cr_expect_gt(plan.n, 0);
    rb_kernel_plan_free(&plan);
    q.type = &q8;
    q.n_type = 1;
    refuse(q, "blocks of q8_0");
    q.n_type = 0;
    q.shape = &zero;
    refuse(q, "K is 0");
    q = query(RB_OP_ADD, &add);
    q.type = &q8;
    q.n_type = 1;
    refuse(q, "no kernel of q8_0");
}

/* ---- running ---- */

static rb_kernel_params params_for(int n_reps)
{
    return (rb_kernel_params){ .n_reps = n_reps, .wanted = { true, true } };
}

static rb_kernel_job job_of(rb_op_id op, rb_dtype d, const rb_sizes *s)
{
    rb_kernel_query q = query(op, s);
    q.type = &d;
    q.n_type = 1;
    rb_kernel_plan plan = plan_of(&q);
    const rb_kernel_job job = plan.job[0];
    rb_kernel_plan_free(&plan);
    return job;
}

TestSuite(kernel_run, .init = modest_caches);

Test(kernel_run, counts_and_samples)
{
    const rb_sizes s = { { 48, 64, 2 } };
    rb_kernel_job job = job_of(RB_OP_MATMUL, RB_F32, &s);
    const rb_kernel_params p = params_for(3);
    rb_kernel_result r;
    for (job.n_threads = 1; job.n_threads <= 2; job.n_threads++) {
        rb_kernel_run(&p, &job, &r);
        cr_assert_str_eq(r.error, "");
        cr_expect_eq(r.cost.flops, 2u * 48 * 64 * 2);
        cr_expect_eq(r.moved_bytes, 4u * (48 * 64 + 2 * 64 + 2 * 48));
        for (int t = 0; t < RB_N_TEMPER; t++) {
            const rb_kernel_timing *at = &r.at[t];
            cr_expect_eq(at->ns.n, 3);
            cr_expect(at->ns.median > 0 && at->all_ns >= at->ns.min, "%g", at->ns.median);
            cr_expect_eq(at->place.bound, RB_BOUND_NONE, "no roofs");
        }
        cr_expect_gt(r.at[RB_COLD].n_sets * (int64_t)r.moved_bytes, 60 << 20);
        cr_expect_eq(r.at[RB_WARM].n_sets, 1);
        cr_expect_not(r.lukewarm || r.interrupted);
    }
}

/* Operands that are updated move once; ids, gathered rows and scratch of all kinds run. */
Test(kernel_run, every_op_runs)
{
    const rb_kernel_params p = { .n_reps = 1, .wanted = { [RB_WARM] = true } };
    for (int id = 0; id < RB_N_OP; id++) {
        if (!rb_extents((rb_op_id)id))
            continue;
        rb_sizes s = rb_sizes_preset((rb_op_id)id, RB_DECODE);
        const rb_extent *e = rb_extents((rb_op_id)id);
        for (int i = 0; e[i].name; i++)
            s.at[i] = s.at[i] > 256 ? 256 : s.at[i];
        rb_kernel_query q = query((rb_op_id)id, &s);
        rb_kernel_plan plan = plan_of(&q);
        rb_kernel_result r;
        plan.job[0].n_threads = 2;
        rb_kernel_run(&p, &plan.job[0], &r);
        cr_expect_str_eq(r.error, "", "%s: %s", rb_op_get((rb_op_id)id)->name, r.error);
        cr_expect_eq(r.at[RB_WARM].ns.n, 1);
        cr_expect_eq(r.at[RB_COLD].ns.n, 0);
        const rb_bytes b = rb_cost_bytes(&r.cost);
        cr_expect_eq(r.moved_bytes < rb_bytes_all(&b), id == RB_OP_ADD || id == RB_OP_ROPE);
        rb_kernel_plan_free(&plan);
    }
}

/* Of one row of ten numbers hardly anything is work; of two million most is. */
Test(kernel_run, short_launches_are_timed_whole)
{
    const rb_sizes shortest = { { 1, 10 } }, longest = { { 1024, 2048 } };
    const rb_kernel_params p = { .n_reps = 3, .wanted = { [RB_WARM] = true } };
    rb_kernel_result r;
    rb_kernel_job job = job_of(RB_OP_ADD, RB_F32, &shortest);
    rb_kernel_run(&p, &job, &r);
    cr_expect(r.at[RB_WARM].whole);
    cr_expect_geq(r.at[RB_WARM].ns.median, r.at[RB_WARM].ns.min);
    job = job_of(RB_OP_ADD, RB_F32, &longest);
    rb_kernel_run(&p, &job, &r);
    cr_expect_not(r.at[RB_WARM].whole);
}

Test(kernel_run, too_few_bytes_to_be_cold_are_told)
{
    const rb_sizes s = { { 1, 16 } };
    rb_kernel_job job = job_of(RB_OP_RELU2, RB_F32, &s);
    const rb_kernel_params p = { .n_reps = 1, .wanted = { [RB_COLD] = true } };
    rb_kernel_result r;
    rb_kernel_run(&p, &job, &r);
    cr_assert_str_eq(r.error, "");
    cr_expect_eq(r.lukewarm, rb_last_cache_bytes(1) > (64u << 10) * 128 / 2);
}

static bool stop_after(void *arg)
{
    int *left = arg;
    return (*left)-- <= 0;
}

Test(kernel_run, a_stop_keeps_what_has_samples)
{
    const rb_sizes s = { { 48, 64, 2 } };
    const rb_kernel_job job = job_of(RB_OP_MATMUL, RB_F32, &s);
    rb_kernel_params p = params_for(1000);
    int left = 60;
    rb_kernel_result r;
    p.stop = stop_after;
    p.arg = &left;
    rb_kernel_run(&p, &job, &r);
    cr_assert_str_eq(r.error, "");
    cr_expect(r.interrupted);
    cr_expect(r.at[RB_COLD].ns.n > 0 && r.at[RB_COLD].ns.n < 1000, "%d", r.at[RB_COLD].ns.n);
    cr_expect_eq(r.at[RB_WARM].ns.n, 0);
}

Test(kernel_run, a_budget_cuts_samples)
{
    const rb_sizes s = { { 48, 64, 2 } };
    const rb_kernel_job job = job_of(RB_OP_MATMUL, RB_F32, &s);
    rb_kernel_params p = params_for(RB_MAX_REPS);
    rb_kernel_result r;
    p.budget_s = 0.05;
    rb_kernel_run(&p, &job, &r);
    cr_assert_str_eq(r.error, "");
    for (int t = 0; t < RB_N_TEMPER; t++)
        cr_expect(r.at[t].ns.n >= 1 && r.at[t].ns.n < RB_MAX_REPS, "%d", r.at[t].ns.n);
    cr_expect_not(r.interrupted);
}

Test(kernel_run, what_does_not_fit_into_memory_is_an_error_of_the_row)
{
    const rb_sizes s = { { INT32_MAX, 1 << 20, 1 } };
    const rb_kernel_job job = job_of(RB_OP_MATMUL, RB_F32, &s);
    const rb_kernel_params p = params_for(1);
    rb_kernel_result r;
    rb_kernel_run(&p, &job, &r);
    cr_expect(strstr(r.error, "out of memory"), "%s", r.error);
    cr_expect_eq(r.at[RB_COLD].ns.n + r.at[RB_WARM].ns.n, 0);
}

/* ---- placing ---- */

/* Round roofs: 100 GFLOP/s, 400 in integers, 200 in bf16, 10 G exp, 10 GB/s DRAM, 100 in L2. */
static rb_machine made_up(void)
{
    rb_machine m = { .n_threads = 1, .level = { { 1000, 1000 }, { 100000, 100000 }, { 0, 0 } } };
    m.roof[RB_ROOF_FMA_F32].value = 100;
    m.roof[RB_ROOF_DOT_I8].value = 400;
    m.roof[RB_ROOF_DOT_BF16].value = 200;
    m.roof[RB_ROOF_EXP].value = 10;
    m.roof[RB_ROOF_READ_L2].value = 100;
    m.roof[RB_ROOF_READ_DRAM].value = 10;
    m.roof[RB_ROOF_LAUNCH].value = 500;
    return m;
}

static rb_place place(rb_kernel k, rb_tally t, uint64_t moved, int level)
{
    const rb_machine m = made_up();
    return rb_place_launches(&k, &t, moved, &m, level);
}

static void want_place(rb_place p, rb_bound bound, rb_roof_id roof, double pct)
{
    cr_expect_eq(p.bound, bound, "%s", rb_bound_name[p.bound]);
    cr_expect_eq(p.roof, roof, "%s", rb_roof_infos[p.roof].name);
    cr_expect_float_eq(p.pct, pct, 1e-9, "%g %%", p.pct);
}

Test(kernel_place, each_roof_can_bound)
{
    const rb_kernel k = { .needs_bf16 = false }, bf16 = { .needs_bf16 = true };
    const rb_tally read = { .calls = 1, .ns = 20000 };
    want_place(place(k, read, 100000, RB_DRAM), RB_BOUND_MEMORY, RB_ROOF_READ_DRAM, 50);
    want_place(place(k, read, 100000, RB_L2), RB_BOUND_RESIDENT, RB_ROOF_READ_L2, 5);
    const rb_tally flops = { .calls = 1, .ns = 20000, .cost = { .flops = 1000000 } };
    want_place(place(k, flops, 1000, RB_DRAM), RB_BOUND_COMPUTE, RB_ROOF_FMA_F32, 50);
    want_place(place(bf16, flops, 1000, RB_DRAM), RB_BOUND_COMPUTE, RB_ROOF_DOT_BF16, 25);
    const rb_tally ints = { .calls = 1,
                            .ns = 20000,
                            .cost = { .flops = 1000000, .int_macs = 500000 } };
    want_place(place(k, ints, 1000, RB_DRAM), RB_BOUND_COMPUTE, RB_ROOF_DOT_I8, 12.5);
    const rb_tally exps = { .calls = 1, .ns = 20000, .cost = { .special = 100000 } };
    want_place(place(k, exps, 1000, RB_DRAM), RB_BOUND_COMPUTE, RB_ROOF_EXP, 50);
    /* a floor is held against all that launches take */
    const rb_tally two = { .calls = 2, .ns = 1000, .barrier_ns = 500, .launch_ns = 500 };
    want_place(place(k, two, 100, RB_DRAM), RB_BOUND_OVERHEAD, RB_ROOF_LAUNCH, 50);
    /* above its roof: no figure */
    const rb_tally fast = { .calls = 1, .ns = 8000 };
    const rb_place p = place(k, fast, 100000, RB_DRAM);
    cr_expect(p.above && p.pct == 0 && p.over > 124 && p.over < 126);
}

Test(kernel_place, levels_by_bytes)
{
    const rb_machine m = made_up();
    cr_expect_eq(rb_level_holding(&m, 1000), RB_L1);
    cr_expect_eq(rb_level_holding(&m, 1001), RB_L2);
    cr_expect_eq(rb_level_holding(&m, 100001), RB_DRAM, "L3 is unknown");
}

Test(kernel_place, pairs_differ_by_a_tenth_at_most)
{
    cr_expect(rb_roofs_agree(100, 91) && rb_roofs_agree(91, 100));
    cr_expect_not(rb_roofs_agree(100, 89) || rb_roofs_agree(89, 100));
    cr_expect_not(rb_roofs_agree(0, 0));
}
