/* The fourth check: relations that hold between the roofs of any machine, and one kernel that no
 * roof may be below: a cold y = W x, which does nothing but stream memory. What drifts is compared
 * within pairs. Refuses relations that are merely usual, such as int8 above f32 without
 * instructions for it. Read next: roofs.h, kernel_run.h. */
#include "verify_parts.h"

#include <math.h>

/* What medians of samples taken in turn may differ by on a machine that others share. */
static const double slack = 1.25;
/* The same within pairs, whose roofs agree within a tenth: see rb_roofs_agree. */
static const double pair_slack = 1.10;

/* Pairs that a share of a roof is worth something from, and how much of a CPU others may take. */
enum { SAMPLES = 11, LEAST_PAIRS = SAMPLES / 2 };
static const double most_disturbed = 0.1;

/* ---- gathering ---- */

/* What is known of a cold launch, if its samples stand between roofs that agree and nobody else
 * was at work: a roof of several threads suffers from that more than one of its launches. */
static void note_gemv(rb_standing *s, const rb_kernel_result *r, const rb_noise *n)
{
    const rb_place *p = &r->at[RB_COLD].place;
    const double others =
        (double)(n->other_ns > 0 ? n->other_ns : 0) + (double)(n->steal_ns > 0 ? n->steal_ns : 0);
    s->gemv_pct = 0;
    if (others > most_disturbed * (double)n->wall_ns)
        snprintf(s->gemv, sizeof s->gemv, "others took %.0f %% of a CPU",
                 100 * others / (double)n->wall_ns);
    else if (r->lukewarm || p->roof != RB_ROOF_READ_DRAM)
        snprintf(s->gemv, sizeof s->gemv, "there is too little memory for a cold one");
    else if (p->n_pairs < LEAST_PAIRS)
        snprintf(s->gemv, sizeof s->gemv, "the roof drifted");
    else {
        rb_kernel_name(r->job.kernel, s->gemv, sizeof s->gemv);
        s->gemv_pct = p->above ? p->over : p->pct;
    }
}

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
    const rb_kernel_params p = { .n_reps = SAMPLES,
                                 .wanted = { [RB_COLD] = true },
                                 .roofs = e->params.roofs,
                                 .stop = e->params.stop,
                                 .arg = e->params.arg };
    rb_kernel_plan plan = { 0 };
    rb_noise_mark mark;
    rb_kernel_result r;
    rb_status status = rb_kernel_plan_add(&plan, &q, err);
    if (status != RB_OK)
        return status;
    rb_noise_begin(&mark);
    rb_kernel_run(&p, &plan.job[0], &r);
    const rb_noise noise = rb_noise_end(&mark);
    rb_kernel_plan_free(&plan);
    if (r.error[0])
        return rb_fail(err, RB_ERR_MEMORY, "%s", r.error);
    note_gemv(&e->standing, &r, &noise);
    return RB_OK;
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

/* Wants roof `small` times `factor` not above roof `big`, where both were measured. */
static void want_order(const rb_machine *m, rb_roof_id small, double factor, rb_roof_id big,
                       const char *why, rb_finding *f)
{
    const double a = m->roof[small].value * factor, b = m->roof[big].value;
    char expected[48], claimed[48];
    if (a <= 0 || b <= 0 || a <= slack * b)
        return;
    snprintf(expected, sizeof expected, "at most %.4g", b / factor);
    snprintf(claimed, sizeof claimed, "%.4g", m->roof[small].value);
    rb_finding_fail(f, rb_roof_infos[small].name, expected, claimed, "%s %s, and %s is %.4g %s: %s",
                    claimed, rb_roof_infos[small].unit, rb_roof_infos[big].name, b,
                    rb_roof_infos[big].unit, why);
}

/* A roof that has samples is a number above zero (but for a barrier that nobody waits at); those of
 * every machine are there. */
static void want_numbers(const rb_machine *m, rb_finding *f)
{
    static const rb_roof_id always[] = { RB_ROOF_FMA_F32, RB_ROOF_DOT_I8, RB_ROOF_EXP,
                                         RB_ROOF_LAUNCH, RB_ROOF_CLOCK };
    char claimed[48];
    for (int i = 0; i < RB_N_ROOF; i++) {
        const double v = m->roof[i].value;
        bool wanted = m->roof[i].n > 0 && !(i == RB_ROOF_BARRIER && m->n_threads == 1);
        for (size_t k = 0; k < sizeof always / sizeof *always; k++)
            wanted |= always[k] == (rb_roof_id)i;
        if (!wanted || (isfinite(v) && v > 0))
            continue;
        snprintf(claimed, sizeof claimed, "%g", v);
        rb_finding_fail(f, rb_roof_infos[i].name, "more than 0", claimed, "%g %s", v,
                        rb_roof_infos[i].unit);
    }
}

/* Levels of unknown size have no roof: the next nearer one counts. */
static void want_levels(const rb_machine *m, rb_finding *f)
{
    int nearer = -1;
    for (int level = RB_L1; level <= RB_DRAM; level++) {
        if (m->roof[RB_ROOF_READ_L1 + level].value <= 0)
            continue;
        if (nearer >= 0)
            want_order(m, (rb_roof_id)(RB_ROOF_READ_L1 + level), 1,
                       (rb_roof_id)(RB_ROOF_READ_L1 + nearer),
                       "what comes from further away passes the nearer level too", f);
        nearer = level;
    }
}

static void want_gemv_below(const rb_standing *s, rb_finding *f)
{
    char claimed[48];
    if (s->gemv_pct <= 100 * pair_slack)
        return;
    snprintf(claimed, sizeof claimed, "%.1f %%", s->gemv_pct);
    rb_finding_fail(f, s->gemv, "at most 100 %", claimed, "it runs cold at %s of read_dram",
                    claimed);
}

void rb_standing_judge(const rb_standing *s, rb_fault fault, rb_finding *found)
{
    char gemv[192], ridge[64] = "";
    rb_machine m = s->machine;
    const double fma = m.roof[RB_ROOF_FMA_F32].value, dram = m.roof[RB_ROOF_READ_DRAM].value;
    rb_fault_machine(fault, &m);
    *found = (rb_finding){ .verdict = RB_PASSED };
    want_numbers(&m, found);
    want_levels(&m, found);
    want_order(&m, RB_ROOF_EXP, 2, RB_ROOF_FMA_F32, "an exp takes more than one FMA of 2 FLOPs",
               found);
    if (m.isa == RB_ISA_AVX512)
        want_order(&m, RB_ROOF_FMA_F32, 1, RB_ROOF_DOT_I8,
                   "VNNI does four times the products of an FMA in one instruction", found);
    want_gemv_below(s, found);
    if (found->verdict != RB_PASSED)
        return;
    if (s->gemv_pct > 0)
        snprintf(gemv, sizeof gemv, "a cold %s runs at %.0f %% of read_dram", s->gemv, s->gemv_pct);
    else
        snprintf(gemv, sizeof gemv, "no kernel was held against them (%s)", s->gemv);
    if (dram > 0)
        snprintf(ridge, sizeof ridge, ", the ridge of fma_f32 is at %.2f FLOP/byte", fma / dram);
    rb_finding_pass(found, "bandwidth falls with distance, compute roofs are in order, %s%s", gemv,
                    ridge);
}
