/* Self-checks: gathers the evidence of each check once, judges it, and proves that the judges can
 * tell: every fault, injected by itself, has to be caught.
 * Knows no check from within: each has a file of its own. Read next: verify_counts.c,
 * verify_proof.c, verify_variants.c, verify_roofs.c, verify_dram.c, faults.c. */
#include "verify_parts.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *const rb_check_name[RB_N_CHECK] = {
    [RB_CHECK_CLOSED_FORM] = "closed form", [RB_CHECK_COUNTING] = "counting build",
    [RB_CHECK_VARIANTS] = "variants",       [RB_CHECK_ROOFS] = "roofs",
    [RB_CHECK_DRAM] = "DRAM counters",
};

/* ---- findings ---- */

void rb_finding_pass(rb_finding *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->text, sizeof f->text, fmt, args);
    va_end(args);
    f->verdict = RB_PASSED;
}

void rb_finding_fail(rb_finding *f, const char *where, const char *expected, const char *claimed,
                     const char *fmt, ...)
{
    va_list args;
    if (f->verdict == RB_FAILED)
        return;
    f->verdict = RB_FAILED;
    snprintf(f->where, sizeof f->where, "%s", where);
    snprintf(f->expected, sizeof f->expected, "%s", expected);
    snprintf(f->claimed, sizeof f->claimed, "%s", claimed);
    const int n = snprintf(f->text, sizeof f->text, "%s: ", f->where);
    va_start(args, fmt);
    vsnprintf(f->text + n, sizeof f->text - (size_t)n, fmt, args);
    va_end(args);
}

/* ---- evidence ---- */

rb_status rb_evidence_open(rb_evidence **out, const rb_model *shape, const rb_model *model,
                           const rb_verify_params *params, rb_error *err)
{
    rb_evidence *e = *out = calloc(1, sizeof *e);
    if (!e)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the evidence of checks");
    e->shape = shape;
    e->model = model;
    e->params = *params;
    return RB_OK;
}

void rb_evidence_close(rb_evidence *e)
{
    if (!e)
        return;
    free(e->counts.of);
    free(e);
}

rb_status rb_evidence_step(const rb_evidence *e, rb_error *err, const char *fmt, ...)
{
    char what[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (e->params.progress)
        e->params.progress(e->params.arg, what);
    return rb_ask_stop(e->params.stop, e->params.arg, err);
}

static rb_status gather(rb_evidence *e, rb_check check, rb_error *err)
{
    switch (check) {
    case RB_CHECK_CLOSED_FORM:
        return rb_counts_gather(&e->counts, e->shape, err);
    case RB_CHECK_COUNTING:
        return rb_proofs_gather(e, err);
    case RB_CHECK_VARIANTS:
        return rb_variants_gather(e, err);
    case RB_CHECK_DRAM:
        return rb_controllers_gather(e, err);
    default:
        return e->params.roofs ? rb_standing_gather(e, err) : RB_OK;
    }
}

rb_status rb_evidence_gather(rb_evidence *e, rb_check check, rb_error *err)
{
    const rb_status status = gather(e, check, err);
    if (status == RB_OK)
        e->gathered |= 1u << check;
    return status;
}

/* ---- judging ---- */

void rb_judge(const rb_evidence *e, rb_check check, rb_fault fault, rb_finding *found)
{
    if (!(e->gathered & 1u << check))
        abort(); /* a programmer's mistake, as in the door */
    if (check == RB_CHECK_CLOSED_FORM)
        rb_counts_judge(&e->counts, e->shape, fault, found);
    else if (check == RB_CHECK_COUNTING)
        rb_proofs_judge(e, fault, found);
    else if (check == RB_CHECK_VARIANTS)
        rb_variants_judge(e, fault, found);
    else if (check == RB_CHECK_DRAM)
        rb_controllers_judge(&e->controllers, fault, found);
    else if (e->params.roofs)
        rb_standing_judge(&e->standing, fault, found);
    else {
        *found = (rb_finding){ .verdict = RB_SKIPPED };
        snprintf(found->text, sizeof found->text, "%s", e->params.no_roofs);
    }
}

/* ---- faults ---- */

/* Why a fault cannot be shown here, which is about what was not measured; NULL: it can. */
static const char *not_shown(const rb_evidence *e, rb_fault fault)
{
    const rb_roof *roof = e->standing.machine.roof;
    if (fault == RB_FAULT_HALF_CONTROLLERS && e->controllers.counted.counted <= 0)
        return e->controllers.text;
    if (fault != RB_FAULT_ROOF_IN_CACHE)
        return NULL;
    if (!e->params.roofs)
        return e->params.no_roofs;
    for (int level = RB_L1; level < RB_DRAM; level++)
        if (roof[RB_ROOF_READ_L1 + level].value > 0)
            return NULL;
    return "the sizes of caches are not known";
}

static void inject(const rb_evidence *e, unsigned checks, rb_red *red)
{
    snprintf(red->on, sizeof red->on, "%s", e->shape->config.name);
    for (int c = 0; c < RB_N_CHECK && red->verdict != RB_FAILED; c++) {
        if (!(checks & e->gathered & 1u << c))
            continue;
        rb_judge(e, (rb_check)c, red->fault, &red->found);
        if (red->found.verdict != RB_FAILED)
            continue;
        red->verdict = RB_FAILED;
        red->by = (rb_check)c;
    }
}

/* On the shape of a preset that can have the fault. */
static rb_status inject_elsewhere(unsigned checks, rb_red *red, rb_error *err)
{
    const rb_model_params dry = { .dry = true };
    const rb_verify_params params = { 0 };
    rb_model *shape = NULL;
    rb_evidence *e = NULL;
    rb_status status = rb_model_open(&shape, rb_fault_standin(red->fault), &dry, err);
    if (status == RB_OK)
        status = rb_model_pack(shape, err);
    if (status == RB_OK)
        status = rb_evidence_open(&e, shape, NULL, &params, err);
    if (status == RB_OK)
        status = rb_evidence_gather(e, RB_CHECK_CLOSED_FORM, err);
    if (status == RB_OK)
        inject(e, checks, red);
    rb_evidence_close(e);
    rb_model_close(shape);
    return status;
}

rb_status rb_prove_red(const rb_evidence *e, unsigned checks, rb_red *red, rb_error *err)
{
    rb_status status = RB_OK;
    memset(red, 0, RB_N_FAULT * sizeof *red);
    for (rb_fault f = RB_FAULT_NONE + 1; f < RB_N_FAULT && status == RB_OK; f++) {
        const char *why_not = not_shown(e, f);
        red[f] = (rb_red){ .fault = f, .verdict = RB_PASSED };
        if (why_not) {
            red[f].verdict = RB_SKIPPED;
            snprintf(red[f].found.text, sizeof red[f].found.text, "%s", why_not);
        } else if (rb_fault_applies(f, &e->shape->config)) {
            inject(e, checks, &red[f]);
        } else {
            status = inject_elsewhere(checks, &red[f], err);
        }
    }
    return status;
}
