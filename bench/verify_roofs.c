/* The fourth check: relations that hold between the roofs of any machine, and one kernel that no
 * roof may be below: a cold y = W x, which does nothing but stream memory. What drifts is compared
 * within pairs. Refuses relations that are merely usual, such as int8 above f32 without
 * instructions for it. Read next: roofs.h, kernel_run.h. */
#include "verify_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What medians of samples taken in turn may differ by on a machine that others share. */
static const double slack = 1.25;
/* The same within pairs, whose roofs agree within a tenth: see rb_roofs_agree. */
static const double pair_slack = 1.10;

/* ---- gathering ---- */

/* What the door takes for one token, on a matrix of f16 as large as an ffn of llama3.2-1b. */
static rb_status run_gemv(rb_evidence *e, rb_error *err)
{
    static const rb_dtype f16 = RB_F16;
    const rb_sizes shape = rb_sizes_preset(RB_OP_MATMUL, RB_DECODE);
    const rb_kernel_query q = { .op = RB_OP_MATMUL,
                                .shape = &shape,
                                .n_shape = 1,
                                .type = &f16,
                                .n_type = 1,
                                .n_threads = e->params.n_threads,
                                .isa = e->params.isa,
                                .capped = true };
    const rb_kernel_params p = { .n_reps = 7,
                                 .wanted = { [RB_COLD] = true },
                                 .roofs = e->params.roofs,
                                 .stop = e->params.stop,
                                 .arg = e->params.arg };
    rb_kernel_plan plan = { 0 };
    rb_kernel_result *r = calloc(1, sizeof *r);
    rb_status status = r ? rb_kernel_plan_add(&plan, &q, err)
                         : rb_fail(err, RB_ERR_MEMORY, "no memory for a result");
    if (status == RB_OK) {
        rb_kernel_run(&p, &plan.job[0], r);
        if (r->error[0])
            status = rb_fail(err, RB_ERR_MEMORY, "%s", r->error);
    }
    if (status == RB_OK) {
        const rb_place *place = &r->at[RB_COLD].place;
        rb_kernel_name(plan.job[0].kernel, e->standing.gemv, sizeof e->standing.gemv);
        if (place->roof == RB_ROOF_READ_DRAM && place->n_pairs && !r->lukewarm)
            e->standing.gemv_pct = place->above ? place->over : place->pct;
    }
    rb_kernel_plan_free(&plan);
    free(r);
    return status;
}

rb_status rb_standing_gather(rb_evidence *e, rb_error *err)
{
    rb_roofs *roofs;
    rb_status status = rb_evidence_step(e, err, "measuring the roofs of this machine");
    if (status == RB_OK)
        status = rb_roof_pool_get(e->params.roofs, e->params.n_threads, e->params.isa, true,
                                  e->params.stop, e->params.arg, &roofs, err);
    if (status == RB_OK)
        status = rb_evidence_step(e, err, "roofs: a cold matrix times a vector");
    if (status == RB_OK)
        status = run_gemv(e, err);
    if (status == RB_OK) /* with floors as low as they were ever seen */
        e->standing.machine = *rb_roofs_machine(roofs);
    return status == RB_OK ? rb_ask_stop(e->params.stop, e->params.arg, err) : status;
}

/* ---- judging ---- */

static void fail(rb_finding *f, const char *why, rb_roof_id big, double least, rb_roof_id small,
                 double most)
{
    char expected[48], claimed[48];
    snprintf(expected, sizeof expected, "at most %.4g", most);
    snprintf(claimed, sizeof claimed, "%.4g", least);
    rb_finding_fail(f, expected, claimed, "%s is %.4g %s, %s %.4g: %s", rb_roof_infos[small].name,
                    least, rb_roof_infos[small].unit, rb_roof_infos[big].name, most, why);
}

/* Wants roof `small` times `factor` not above roof `big`, where both were measured. */
static void want_order(const rb_machine *m, rb_roof_id small, double factor, rb_roof_id big,
                       const char *why, rb_finding *f)
{
    const double a = m->roof[small].value * factor, b = m->roof[big].value;
    if (f->verdict != RB_FAILED && a > 0 && b > 0 && a > slack * b)
        fail(f, why, big, m->roof[small].value, small, b);
}

/* A roof that has samples is a number above zero (but for a barrier that nobody waits at); those of
 * every machine are there. */
static void want_numbers(const rb_machine *m, rb_finding *f)
{
    static const rb_roof_id always[] = { RB_ROOF_FMA_F32, RB_ROOF_DOT_I8, RB_ROOF_EXP,
                                         RB_ROOF_LAUNCH, RB_ROOF_CLOCK };
    char claimed[48];
    for (int i = 0; i < RB_N_ROOF && f->verdict != RB_FAILED; i++) {
        const double v = m->roof[i].value;
        bool wanted = m->roof[i].n > 0 && !(i == RB_ROOF_BARRIER && m->n_threads == 1);
        for (size_t k = 0; k < sizeof always / sizeof *always; k++)
            wanted |= always[k] == (rb_roof_id)i;
        if (!wanted || (isfinite(v) && v > 0))
            continue;
        snprintf(claimed, sizeof claimed, "%g", v);
        rb_finding_fail(f, "more than 0", claimed, "%s is %g %s", rb_roof_infos[i].name, v,
                        rb_roof_infos[i].unit);
    }
}

/* The highest level below `level` whose bandwidth was measured; -1: none. */
static int faster_level(const rb_machine *m, int level)
{
    int l = level - 1;
    while (l >= RB_L1 && m->roof[RB_ROOF_READ_L1 + l].value <= 0)
        l--;
    return l;
}

static void want_levels(const rb_machine *m, rb_finding *f)
{
    for (int level = RB_L2; level <= RB_DRAM; level++) {
        const int faster = faster_level(m, level);
        if (faster >= RB_L1)
            want_order(m, (rb_roof_id)(RB_ROOF_READ_L1 + level), 1,
                       (rb_roof_id)(RB_ROOF_READ_L1 + faster),
                       "what comes from further away passes the nearer level too", f);
    }
}

static void want_gemv_below(const rb_standing *s, const rb_machine *claim, rb_finding *f)
{
    const double was = s->machine.roof[RB_ROOF_READ_DRAM].value;
    const double now = claim->roof[RB_ROOF_READ_DRAM].value;
    char expected[48], claimed[48];
    if (f->verdict == RB_FAILED || s->gemv_pct <= 0 || was <= 0)
        return;
    const double pct = s->gemv_pct * was / now; /* the roof at its time, as it is claimed */
    if (pct <= 100 * pair_slack)
        return;
    snprintf(expected, sizeof expected, "at most 100 %%");
    snprintf(claimed, sizeof claimed, "%.1f %%", pct);
    rb_finding_fail(f, expected, claimed, "%s, cold, runs at %s of read_dram", s->gemv, claimed);
}

void rb_standing_judge(const rb_standing *s, rb_fault fault, rb_finding *found)
{
    char gemv[128] = "roofs drifted too much for a kernel to be held against them", ridge[64] = "";
    const double dram = s->machine.roof[RB_ROOF_READ_DRAM].value;
    rb_machine m = s->machine;
    rb_fault_machine(fault, &m);
    *found = (rb_finding){ .verdict = RB_PASSED };
    want_numbers(&m, found);
    want_levels(&m, found);
    want_order(&m, RB_ROOF_EXP, 2, RB_ROOF_FMA_F32, "an exp takes more than one FMA of 2 FLOPs",
               found);
    if (m.isa == RB_ISA_AVX512)
        want_order(&m, RB_ROOF_FMA_F32, 1, RB_ROOF_DOT_I8,
                   "VNNI does four times the products of an FMA in one instruction", found);
    want_gemv_below(s, &m, found);
    if (found->verdict != RB_PASSED)
        return;
    if (s->gemv_pct > 0)
        snprintf(gemv, sizeof gemv, "a cold %s runs at %.0f %% of read_dram", s->gemv, s->gemv_pct);
    if (dram > 0)
        snprintf(ridge, sizeof ridge, ", the ridge of fma_f32 is at %.2f FLOP/byte",
                 s->machine.roof[RB_ROOF_FMA_F32].value / dram);
    rb_finding_pass(found, "bandwidth falls with distance, compute roofs are in order, %s%s", gemv,
                    ridge);
}
