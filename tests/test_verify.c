/* Self-checks as a library: they pass on small models of all kinds, each injected fault is caught,
 * every check catches one that nothing else does, and damaged evidence turns its judge red.
 * Roofs are made up here: measuring them is test_roofs.c's. Read next: ../bench/verify.h. */
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "../bench/verify_parts.h"
#include "files.h"
#include "program.h"

TestSuite(verify, .init = modest_caches);

/* A machine as they are. */
static rb_standing some_roofs(rb_isa isa)
{
    rb_standing s = { .gemv_pct = 92, .gemv = "matmul.f16.p16.avx2" };
    static const double value[RB_N_ROOF] = {
        [RB_ROOF_FMA_F32] = 200,   [RB_ROOF_DOT_I8] = 700,  [RB_ROOF_EXP] = 10,
        [RB_ROOF_READ_L1] = 400,   [RB_ROOF_READ_L2] = 200, [RB_ROOF_READ_L3] = 90,
        [RB_ROOF_READ_DRAM] = 40,  [RB_ROOF_COPY_L1] = 300, [RB_ROOF_COPY_DRAM] = 30,
        [RB_ROOF_TRIAD_DRAM] = 30, [RB_ROOF_LAUNCH] = 300,  [RB_ROOF_BARRIER] = 100,
        [RB_ROOF_CLOCK] = 24,
    };
    s.machine.n_threads = 2;
    s.machine.isa = isa;
    for (int i = 0; i < RB_N_ROOF; i++)
        s.machine.roof[i] = (rb_roof){ .value = value[i], .n = value[i] > 0 ? 11 : 0 };
    return s;
}

/* Counters that saw a pass over memory and some more. */
static rb_controllers some_controllers(void)
{
    return (rb_controllers){ .counted = { .counted = 1, .read = 1100, .write = 50 },
                             .passed = 1000,
                             .text = "uncore_imc, 2 controllers" };
}

/* Evidence of a small model, and what it is about. */
typedef struct subject {
    rb_model *shape, *model;
    rb_evidence *e;
    rb_roof_pool pool;
} subject;

static void open_subject(subject *s, const rb_config *c, const char *mix, bool weights,
                         unsigned checks)
{
    rb_error err;
    rb_verify_params p = { .n_threads = 2, .roofs = &s->pool, .faults = true };
    bool capped;
    memset(s, 0, sizeof *s);
    const rb_mix *types = rb_mix_by_name(mix);
    cr_assert_eq(rb_isa_detect(&p.isa, &capped, &err), RB_OK, "%s", err.text);
    for (int dry = 1; dry >= (weights ? 0 : 1); dry--) {
        rb_model **m = dry ? &s->shape : &s->model;
        cr_assert_eq(rb_model_synth_mix(m, c, types, 1, dry, &err), RB_OK, "%s", err.text);
        cr_assert_eq(rb_model_pack(*m, &err), RB_OK, "%s", err.text);
    }
    cr_assert_eq(rb_evidence_open(&s->e, s->shape, s->model, &p, &err), RB_OK, "%s", err.text);
    for (int i = 0; i < RB_CHECK_ROOFS; i++)
        if (checks >> i & 1)
            cr_assert_eq(rb_evidence_gather(s->e, (rb_check)i, &err), RB_OK, "%s", err.text);
    s->e->standing = some_roofs(p.isa);
    s->e->controllers = some_controllers();
    s->e->gathered |= 1u << RB_CHECK_ROOFS | 1u << RB_CHECK_DRAM;
}

static void close_subject(subject *s)
{
    rb_evidence_close(s->e);
    rb_model_close(s->model);
    rb_model_close(s->shape);
}

static rb_verdict judge(const subject *s, rb_check check, rb_fault fault, rb_finding *found)
{
    rb_judge(s->e, check, fault, found);
    return found->verdict;
}

/* ---- sound models ---- */

static void expect_sound(const rb_config *c, const char *mix, bool weights)
{
    subject s;
    rb_finding found;
    open_subject(&s, c, mix, weights, RB_ALL_CHECKS);
    for (int i = 0; i < RB_N_CHECK; i++)
        cr_expect_eq(judge(&s, (rb_check)i, RB_FAULT_NONE, &found), RB_PASSED, "%s, %s: %s: %s",
                     rb_arch_name[c->arch], mix, rb_check_name[i], found.text);
    close_subject(&s);
}

Test(verify, small_models_of_all_kinds_pass)
{
    for (int a = 0; a < RB_N_ARCH; a++) {
        const rb_config c = small_config((rb_arch)a);
        expect_sound(&c, "f32", true);
    }
}

/* Without weights, small copies of the shapes are run, in each of their types. */
Test(verify, presets_pass_on_copies_of_their_shapes)
{
    expect_sound(rb_preset_find("smollm2-135m"), "q5_1", false);
    expect_sound(rb_preset_find("plm-1.8b"), "q8_0", false);
}

/* ---- faults ---- */

static const rb_check caught_by[RB_N_FAULT] = {
    [RB_FAULT_NO_FFN] = RB_CHECK_CLOSED_FORM,
    [RB_FAULT_MAC_IS_ONE] = RB_CHECK_CLOSED_FORM,
    [RB_FAULT_HALF_KV_HEADS] = RB_CHECK_CLOSED_FORM,
    [RB_FAULT_FULL_SQUARE] = RB_CHECK_CLOSED_FORM,
    [RB_FAULT_HALF_LM_HEAD] = RB_CHECK_CLOSED_FORM,
    [RB_FAULT_LATENT_IS_HIDDEN] = RB_CHECK_CLOSED_FORM,
    [RB_FAULT_TWO_OF_THREE] = RB_CHECK_COUNTING,
    [RB_FAULT_PEAK_TIMES_TIME] = RB_CHECK_CLOSED_FORM,
    [RB_FAULT_NO_EXTRA] = RB_CHECK_COUNTING,
    [RB_FAULT_LOST_ROW] = RB_CHECK_VARIANTS,
    [RB_FAULT_ROOF_IN_CACHE] = RB_CHECK_ROOFS,
    [RB_FAULT_HALF_CONTROLLERS] = RB_CHECK_DRAM,
};

/* With one check taken away, exactly the faults that it alone catches survive: at least one. */
static void expect_needed(const subject *s, rb_check check)
{
    rb_red red[RB_N_FAULT];
    rb_error err;
    int survived = 0;
    cr_assert_eq(rb_prove_red(s->e, RB_ALL_CHECKS & ~(1u << check), red, &err), RB_OK, "%s",
                 err.text);
    for (int f = RB_FAULT_NONE + 1; f < RB_N_FAULT; f++) {
        cr_expect_eq(red[f].verdict == RB_PASSED, caught_by[f] == check, "without %s: '%s' is %s",
                     rb_check_name[check], rb_fault_name[f],
                     red[f].verdict == RB_PASSED ? "not caught" : red[f].found.text);
        survived += red[f].verdict == RB_PASSED;
    }
    cr_expect_gt(survived, 0, "%s can be taken away", rb_check_name[check]);
}

static void expect_all_caught(rb_arch arch)
{
    subject s;
    rb_red red[RB_N_FAULT];
    rb_error err;
    const rb_config c = small_config(arch);
    open_subject(&s, &c, "q8_0", true, RB_ALL_CHECKS);
    cr_assert_eq(rb_prove_red(s.e, RB_ALL_CHECKS, red, &err), RB_OK, "%s", err.text);
    for (int f = RB_FAULT_NONE + 1; f < RB_N_FAULT; f++) {
        cr_expect_eq(red[f].verdict, RB_FAILED, "%s: '%s' survived", rb_arch_name[arch],
                     rb_fault_name[f]);
        cr_expect_eq(red[f].by, caught_by[f], "'%s' is caught by %s: %s", rb_fault_name[f],
                     rb_check_name[red[f].by], red[f].found.text);
        cr_expect(red[f].found.expected[0] && red[f].found.claimed[0], "'%s': %s", rb_fault_name[f],
                  red[f].found.text);
        cr_expect_str_neq(red[f].found.expected, red[f].found.claimed, "%s", rb_fault_name[f]);
    }
    for (int i = 0; i < RB_N_CHECK; i++)
        expect_needed(&s, (rb_check)i);
    close_subject(&s);
}

Test(verify, every_fault_is_caught_and_no_check_can_be_spared)
{
    expect_all_caught(RB_ARCH_QWEN2);
    expect_all_caught(RB_ARCH_DEEPSEEK2); /* latents and experts */
}

/* A latent as wide as hidden is no fault of a model that has none: a preset that has stands in. */
Test(verify, faults_that_a_model_cannot_have_are_injected_elsewhere)
{
    for (int mla = 0; mla < 2; mla++) {
        const rb_fault other = mla ? RB_FAULT_HALF_KV_HEADS : RB_FAULT_LATENT_IS_HIDDEN;
        const rb_fault own = mla ? RB_FAULT_LATENT_IS_HIDDEN : RB_FAULT_HALF_KV_HEADS;
        subject s;
        rb_red red[RB_N_FAULT];
        const rb_config c = small_config(mla ? RB_ARCH_PLM : RB_ARCH_LLAMA);
        open_subject(&s, &c, "f32", true, 1u << RB_CHECK_CLOSED_FORM);
        cr_assert_eq(rb_prove_red(s.e, RB_ALL_CHECKS, red, NULL), RB_OK);
        cr_expect_str_eq(red[other].on, mla ? "qwen2.5-1.5b" : "plm-1.8b");
        cr_expect_str_eq(red[own].on, "small");
        close_subject(&s);
    }
}

Test(verify, roofs_that_were_not_measured_prove_nothing)
{
    subject s;
    rb_red red[RB_N_FAULT];
    rb_finding found;
    const rb_config c = small_config(RB_ARCH_LLAMA);
    open_subject(&s, &c, "f32", true, 1u << RB_CHECK_CLOSED_FORM);
    s.e->params.roofs = NULL;
    s.e->params.no_roofs = "because";
    cr_expect_eq(judge(&s, RB_CHECK_ROOFS, RB_FAULT_NONE, &found), RB_SKIPPED);
    cr_expect_str_eq(found.text, "because");
    cr_assert_eq(rb_prove_red(s.e, RB_ALL_CHECKS, red, NULL), RB_OK);
    cr_expect_eq(red[RB_FAULT_ROOF_IN_CACHE].verdict, RB_SKIPPED);
    cr_expect_eq(red[RB_FAULT_NO_FFN].verdict, RB_FAILED);
    close_subject(&s);
}

/* ---- damaged evidence ---- */

/* One unit more in any field of any site that has something. */
static int damage_counts(subject *s)
{
    int seen = 0;
    rb_finding found;
    rb_counted *run = &s->e->counts.of[1];
    for (rb_site site = 0; site < RB_N_SITE; site++) {
        rb_cost *at = &run->at[site];
        uint64_t *const field[] = { &at->flops,     &at->special,   &at->rd[RB_WEIGHT],
                                    &at->rd[RB_KV], &at->wr[RB_KV], &at->rd[RB_ACT],
                                    &at->wr[RB_ACT] };
        for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
            (*field[i])++;
            seen += judge(s, RB_CHECK_CLOSED_FORM, RB_FAULT_NONE, &found) == RB_FAILED &&
                    strstr(found.text, rb_site_name[site]);
            (*field[i])--;
        }
    }
    return seen;
}

Test(verify, a_ledger_that_is_off_by_one_is_seen)
{
    subject s;
    rb_finding found;
    const rb_config c = small_config(RB_ARCH_DEEPSEEK2);
    open_subject(&s, &c, "f32", true, 1u << RB_CHECK_CLOSED_FORM);
    cr_expect_eq(damage_counts(&s), 7 * RB_N_SITE);
    cr_expect_eq(judge(&s, RB_CHECK_CLOSED_FORM, RB_FAULT_NONE, &found), RB_PASSED);
    close_subject(&s);
}

Test(verify, work_that_differs_from_the_ledger_is_seen)
{
    subject s;
    rb_finding found;
    const rb_config c = small_config(RB_ARCH_QWEN2);
    open_subject(&s, &c, "q8_0", true, 1u << RB_CHECK_COUNTING);
    rb_proof *p = &s.e->proofs.of[s.e->proofs.n - 1].proof;
    uint64_t *const field[] = { &p->flops,      &p->special,    &p->int_macs,  &p->bf16_macs,
                                &p->dequant[0], &p->dequant[1], &p->dequant[2] };
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        (*field[i])++;
        cr_expect_eq(judge(&s, RB_CHECK_COUNTING, RB_FAULT_NONE, &found), RB_FAILED, "field %zu",
                     i);
        (*field[i])--;
    }
    strcpy(p->mismatch, "a byte outside");
    cr_expect_eq(judge(&s, RB_CHECK_COUNTING, RB_FAULT_NONE, &found), RB_FAILED);
    cr_expect(strstr(found.text, "a byte outside"), "%s", found.text);
    close_subject(&s);
}

Test(verify, logits_that_differ_or_are_none_are_seen)
{
    subject s;
    rb_finding found;
    const rb_config c = small_config(RB_ARCH_LLAMA);
    open_subject(&s, &c, "f32", true, 1u << RB_CHECK_VARIANTS);
    double *d = &s.e->variants.of[1].deviation;
    const double off[] = { 1.001 * s.e->variants.tolerance, INFINITY };
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        *d = off[i];
        cr_expect_eq(judge(&s, RB_CHECK_VARIANTS, RB_FAULT_NONE, &found), RB_FAILED);
    }
    close_subject(&s);
}

/* On every instruction set alike, and beside others that are fine. */
Test(verify, one_logit_that_is_no_number_is_seen)
{
    const rb_config c = small_config(RB_ARCH_LLAMA);
    const rb_verify_params p = { .n_threads = 1, .isa = RB_ISA_SCALAR };
    rb_model *m;
    rb_evidence *e;
    rb_finding found;
    cr_assert_eq(rb_model_synth(&m, &c, RB_F32, 1, false, NULL), RB_OK);
    ((float *)rb_at(&m->output, 0, 0, 3))[0] = NAN;
    cr_assert_eq(rb_evidence_open(&e, m, m, &p, NULL), RB_OK);
    cr_assert_eq(rb_evidence_gather(e, RB_CHECK_VARIANTS, NULL), RB_OK);
    rb_judge(e, RB_CHECK_VARIANTS, RB_FAULT_NONE, &found);
    cr_expect_eq(found.verdict, RB_FAILED, "%s", found.text);
    rb_evidence_close(e);
    rb_model_close(m);
}

/* Rounding is far below what is let pass, and what is let pass far below a rounded cache. */
Test(verify, the_tolerance_of_logits_is_tight)
{
    subject s;
    const rb_config c = small_config(RB_ARCH_QWEN3);
    open_subject(&s, &c, "f32", true, 1u << RB_CHECK_VARIANTS);
    cr_expect_lt(s.e->variants.tolerance, 0x1p-11 / 32, "%g", s.e->variants.tolerance);
    for (int i = 1; i < s.e->variants.n; i++)
        if (s.e->variants.of[i].feed != RB_FEED_LOSES_A_ROW)
            cr_expect_lt(s.e->variants.of[i].deviation, s.e->variants.tolerance / 4, "%g of %g",
                         s.e->variants.of[i].deviation, s.e->variants.tolerance);
    close_subject(&s);
}

static void expect_roof_seen(rb_isa isa, rb_roof_id roof, double value)
{
    rb_finding found;
    rb_standing s = some_roofs(isa);
    rb_standing_judge(&s, RB_FAULT_NONE, &found);
    cr_expect_eq(found.verdict, RB_PASSED, "%s", found.text);
    s.machine.roof[roof].value = value;
    rb_standing_judge(&s, RB_FAULT_NONE, &found);
    cr_expect_eq(found.verdict, RB_FAILED, "%s at %g", rb_roof_infos[roof].name, value);
    cr_expect(strstr(found.text, rb_roof_infos[roof].name), "%s", found.text);
}

Test(verify, roofs_that_cannot_be_are_seen)
{
    expect_roof_seen(RB_ISA_AVX2, RB_ROOF_FMA_F32, 0);
    expect_roof_seen(RB_ISA_AVX2, RB_ROOF_COPY_DRAM, NAN);
    expect_roof_seen(RB_ISA_AVX2, RB_ROOF_TRIAD_DRAM, INFINITY);
    expect_roof_seen(RB_ISA_AVX2, RB_ROOF_READ_L2, 600);
    expect_roof_seen(RB_ISA_AVX2, RB_ROOF_READ_DRAM, 120);
    expect_roof_seen(RB_ISA_AVX2, RB_ROOF_EXP, 150);
    expect_roof_seen(RB_ISA_AVX512, RB_ROOF_DOT_I8, 150);
    rb_finding found;
    rb_standing s = some_roofs(RB_ISA_AVX2);
    s.machine.roof[RB_ROOF_DOT_I8].value = 150; /* without VNNI nothing forbids it */
    rb_standing_judge(&s, RB_FAULT_NONE, &found);
    cr_expect_eq(found.verdict, RB_PASSED, "%s", found.text);
    s.gemv_pct = 129; /* decode that streams more than its roof */
    rb_standing_judge(&s, RB_FAULT_NONE, &found);
    cr_expect_eq(found.verdict, RB_FAILED);
    cr_expect(strstr(found.text, "129"), "%s", found.text);
    s.gemv_pct = 0; /* no pair of roofs agreed */
    rb_standing_judge(&s, RB_FAULT_NONE, &found);
    cr_expect_eq(found.verdict, RB_PASSED);
}

/* ---- small copies ---- */

Test(verify, copies_keep_what_decides_types_and_panels)
{
    char what[240];
    for (int i = 0; i < rb_preset_count(); i++) {
        rb_error err;
        const rb_config *c = rb_preset_get(i), s = rb_config_scaled(c, what, sizeof what);
        cr_expect_eq(rb_config_check(&s, &err), RB_OK, "%s: %s", c->name, err.text);
        cr_expect_eq(s.n_embd % 256, c->n_embd % 256, "%s", c->name);
        cr_expect_eq(s.n_head * s.d_head_v % 256, c->n_head * c->d_head_v % 256, "%s", c->name);
        cr_expect_eq(s.n_ff_expert % 256, c->n_ff_expert % 256, "%s", c->name);
        cr_expect_eq(s.n_head / s.n_head_kv, c->n_head / c->n_head_kv, "%s", c->name);
        cr_expect_leq(s.n_layer, 2);
        cr_expect_leq(s.n_embd * s.n_ff * s.n_layer, 1 << 20, "%s", c->name);
        cr_expect_eq(what[0] != '\0', s.n_layer != c->n_layer, "%s: %s", c->name, what);
    }
}

/* ---- counters of memory controllers ---- */

Test(verify, counters_hold_the_pass_that_was_made)
{
    rb_controllers c = some_controllers();
    rb_finding found;
    rb_controllers_judge(&c, RB_FAULT_NONE, &found);
    cr_expect_eq(found.verdict, RB_PASSED, "%s", found.text);
    c.counted.read = 899;
    rb_controllers_judge(&c, RB_FAULT_NONE, &found);
    cr_expect_eq(found.verdict, RB_FAILED, "%s", found.text);
    c.counted = (rb_pmu_bytes){ .counted = 1, .either = 901 };
    rb_controllers_judge(&c, RB_FAULT_NONE, &found);
    cr_expect_eq(found.verdict, RB_PASSED, "%s", found.text);
    c.counted = (rb_pmu_bytes){ 0 };
    rb_controllers_judge(&c, RB_FAULT_NONE, &found);
    cr_expect_eq(found.verdict, RB_SKIPPED);
    cr_expect_str_eq(found.text, c.text);
}
