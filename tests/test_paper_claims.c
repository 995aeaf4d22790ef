/* Claims on the paper judged by records that are made up, so that what each verdict has to be is
 * known: it turns when the data turns, and what is missing is not testable.
 * Read next: paper_judge.h, test_paper_layers.c (claim 2), ../bench/paper/claims.h. */
#include "paper_judge.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- claims 1, 3, 5, 6: workloads ---- */

Test(paper_claims, context_decides_each_phase)
{
    expect(made_one_workload(100, 500, 1, 0.5), RB_CLAIM_CONTEXT, RB_IN_PART,
           "In 4 of 4 workloads");
    expect(made_one_workload(2, 5, 1, 0.5), RB_CLAIM_CONTEXT, RB_HOLDS, "In 0 of 4 workloads");
    expect(made_one_workload(5, 2, 1, 1), RB_CLAIM_CONTEXT, RB_FAILS, "(1 undecided)");
    expect(made_one_workload(2, 5, 1, 1), RB_CLAIM_CONTEXT, RB_IN_PART, "for 0 of 1 (1 undecided)");
    expect(made_one_workload(100, 500, 1, 0.5), RB_CLAIM_CONTEXT, RB_IN_PART,
           "7 of 7 decode rates");
}

Test(paper_claims, what_quantisation_gains_decides)
{
    expect(made_two_types(1.1, 1.8), RB_CLAIM_TYPES, RB_HOLDS, "in 1 of 1 pairs");
    expect(made_two_types(2.0, 1.8), RB_CLAIM_TYPES, RB_FAILS, "less in 1");
    expect(made_two_types(1.8, 1.8), RB_CLAIM_TYPES, RB_UNTESTED, "are none in 1");
    json_t *list = made_two_types(1.1, 1.8);
    made_workload(list, &(made_subject){ "n", "f16", { 100, 500 }, { 100, 90 }, 1, { 50, 40 } });
    made_workload(list,
                  &(made_subject){ "n", "q8_0", { 190, 900 }, { 300, 270 }, 1.9, { 60, 50 } });
    expect(list, RB_CLAIM_TYPES, RB_IN_PART, "in 1 of 2 pairs");
    list = made_two_types(1.1, 1.8);
    made_workload(list, &(made_subject){ "n", "f16", { 100, 500 }, { 100, 90 }, 1, { 50, 40 } });
    made_workload(list,
                  &(made_subject){ "n", "q8_0", { 190, 900 }, { 150, 135 }, 1.9, { 75, 60 } });
    expect(list, RB_CLAIM_TYPES, RB_IN_PART, "are none in 1");
    list = json_array(); /* the longest prompt stands for prefill */
    made_workload(list, &(made_subject){ "n", "f16", { 100, 500 }, { 100, 90 }, 1, { 50, 40 } });
    made_workload(list,
                  &(made_subject){ "n", "q8_0", { 190, 900 }, { 110, 270 }, 1.9, { 75, 60 } });
    expect(list, RB_CLAIM_TYPES, RB_FAILS, "less in 1");
    list = json_array();
    made_workload(list, &(made_subject){ "n", "f16", { 100, 500 }, { 100, 90 }, 1, { 50, 40 } });
    made_workload(list, &(made_subject){ "n", "q8_0", { 190, 900 }, { 300, 99 }, 1.9, { 75, 60 } });
    expect(list, RB_CLAIM_TYPES, RB_HOLDS, "in 1 of 1 pairs");
    expect(made_one_workload(100, 500, 1, 0.5), RB_CLAIM_TYPES, RB_UNTESTED, "No model ran both");
    expect(made_two_types(1.1, 1.8), RB_CLAIM_TYPES, RB_HOLDS, "1.00 in f16, 1.88 in q8_0, 3.56");
}

Test(paper_claims, ridges_matter_between_them)
{
    /* the paper's devices have ridges of 19.7 to 43.8, this machine one of 10 */
    expect(made_one_workload(100, 500, 1, 0.5), RB_CLAIM_RIDGES, RB_IN_PART, "0 of 5 tests");
    expect(made_one_workload(100, 500, 25, 0.5), RB_CLAIM_RIDGES, RB_HOLDS, "3 of 5 tests");
    expect(made_one_workload(25, 30, 1, 0.5), RB_CLAIM_RIDGES, RB_IN_PART, "2 of 5 tests");
    expect(made_one_workload(100, 500, 1, 0.5), RB_CLAIM_RIDGES, RB_IN_PART, "from 10.0 to 43.8");
}

Test(paper_claims, gains_carry_left_of_all_ridges)
{
    char says[] = "in 10 of 10 proxies";
    expect(made_two_types(1, 1.8), RB_CLAIM_CARRIES, RB_HOLDS, says);
    json_t *list = made_two_types(1, 1.8);
    /* decode of q8_0 beyond some ridges and left of others: it gains by another factor */
    for (int i = 7; i < 10; i++)
        json_object_set_new(json_object_get(json_array_get(list, (size_t)i), "bytes"), "weight",
                            json_integer(8000000 / 30));
    expect(list, RB_CLAIM_CARRIES, RB_IN_PART, "3 on the same side by other");
    list = made_two_types(1, 1.8);
    for (int i = 0; i < 10; i++) /* both types between ridges: a gain on some devices alone */
        json_object_set_new(json_object_get(json_array_get(list, (size_t)i), "bytes"), "weight",
                            json_integer((i < 2 || (i > 4 && i < 7) ? 1 : 0) ? 1
                                         : i < 5                             ? 8000000 / 30
                                                                             : 8000000 / 60));
    expect(list, RB_CLAIM_CARRIES, RB_FAILS, "3 not on every device");
    list = made_two_types(1, 1.8);
    json_object_set_new(json_object_get(json_array_get(list, 3), "proxy"), "gflops", json_real(9));
    expect(list, RB_CLAIM_CARRIES, RB_HOLDS, "in 9 of 10 proxies");
}

/* ---- other machines ---- */

/* What another machine made of the same tests. */
static json_t *elsewhere(json_t *list)
{
    size_t i;
    json_t *o;
    json_array_foreach(list, i, o)
    {
        json_object_set_new(o, "cpu_info", json_string("Other CPU"));
        json_object_set_new(o, "isa", json_string("neon"));
        json_object_set_new(o, "n_threads", json_integer(8));
    }
    return list;
}

/* Prefill is as fast in both types on each machine, decode 1.8 times as fast in q8_0 here. */
Test(paper_claims, gains_that_were_measured_elsewhere_count)
{
    static const struct {
        double decode;
        rb_paper_verdict want;
        const char *says;
    } of[] = {
        { 1.8, RB_HOLDS, "3 pairs gain or lose on each: 3 by one factor, 0 on" },
        { 1.9, RB_HOLDS, "3 pairs gain or lose on each: 3 by one factor, 0 on" },
        { 3, RB_IN_PART, "3 pairs gain or lose on each: 0 by one factor, 3 on the same side" },
        { 0.5, RB_IN_PART, "0 on the same side by other factors, 3 with another sign" },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        json_t *laid = elsewhere(made_two_types(1, of[i].decode));
        expect_over(made_two_types(1, 1.8), laid, RB_CLAIM_CARRIES, of[i].want, of[i].says);
    }
    char why[4096];
    json_t *laid = elsewhere(made_two_types(1, 1)); /* there it cannot be told */
    judge_over(made_two_types(1, 1.8), laid, RB_CLAIM_CARRIES, why, sizeof why);
    cr_expect_null(strstr(why, "on several machines"), "%s", why);
}

Test(paper_claims, ridges_of_other_machines_count)
{
    json_t *laid = elsewhere(made_one_workload(100, 500, 1, 0.5));
    made_roofs(laid);
    json_t *o = json_array_get(laid, 0);
    json_object_set_new(json_array_get(json_object_get(o, "roofs"), 0), "value", json_real(2000));
    json_object_set_new(o, "bound", json_string("compute"));
    /* a ridge at 200: the prompt of 128, at 100, changes sides */
    expect_over(made_one_workload(100, 500, 1, 0.5), laid, RB_CLAIM_RIDGES, RB_IN_PART,
                "from 10.0 to 200.0 FLOP/byte, and 1 of 5 tests");
    laid = elsewhere(made_one_workload(100, 500, 1, 0.5));
    json_object_set_new(json_array_get(laid, 1), "bound", json_string("compute"));
    expect_over(made_one_workload(100, 500, 1, 0.5), laid, RB_CLAIM_RIDGES, RB_IN_PART,
                "5 tests were measured on more than one machine; in 1 of them");
}

static void lay(rb_evidence *e, const json_t *list, const json_t *a, const json_t *b)
{
    const rb_plot_set over[2] = { { a, "a" }, { b, "b" } };
    rb_error err;
    cr_assert_eq(rb_evidence_read(e, list, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_evidence_lay_over(e, over, b ? 2 : 1, &err), RB_OK, "%s", err.text);
}

/* A machine of the same name has a number; tests are the same whatever ran them. */
Test(paper_claims, tests_are_found_on_other_machines)
{
    json_t *list = made_one_workload(100, 500, 1, 0.5), *b = json_deep_copy(list);
    json_t *a = elsewhere(json_deep_copy(list));
    rb_evidence e;
    json_array_remove(a, 4);
    json_object_set_new(json_array_get(a, 2), "type_k", json_string("q8_0"));
    lay(&e, list, a, b);
    cr_expect_str_eq(e.overlay[0].name, "Other CPU");
    cr_expect_str_eq(e.overlay[1].name, "a CPU #3");
    cr_expect(e.overlay[0].n_twin == 3 && e.overlay[1].n_twin == 5);
    cr_expect_eq(rb_row_on(&e.overlay[0], &e, &e.row[1]), &e.overlay[0].row[1]);
    cr_expect_null(rb_row_on(&e.overlay[0], &e, &e.row[2]), "of another cache");
    cr_expect_null(rb_row_on(&e.overlay[0], &e, &e.row[4]));
    cr_expect_eq(rb_evidence_n_differ(&e), 0);
    rb_evidence_free(&e);
    json_decref(a), json_decref(b), json_decref(list);
}

/* Exact counts are the same on every machine, but for bytes of experts, which rounding chooses. */
Test(paper_claims, counts_that_differ_between_machines_are_found)
{
    static const struct {
        const char *key;
        int differ, of_experts;
    } of[] = { { "flops", 1, 1 }, { "int_macs", 1, 1 }, { "bytes", 1, 0 }, { "median_ns", 0, 0 } };
    for (size_t i = 0; i < 2 * sizeof of / sizeof *of; i++) {
        json_t *list = made_one_workload(100, 500, 1, 0.5);
        if (i % 2)
            json_object_set_new(json_array_get(list, 3), "experts", json_object());
        json_t *a = elsewhere(json_deep_copy(list)), *o = json_array_get(a, 3);
        rb_evidence e;
        if (strcmp(of[i / 2].key, "bytes"))
            json_object_set_new(o, of[i / 2].key, json_integer(77));
        else
            json_object_set_new(json_object_get(o, "bytes"), "weight", json_integer(77));
        lay(&e, list, a, NULL);
        cr_expect_eq(rb_evidence_n_differ(&e), i % 2 ? of[i / 2].of_experts : of[i / 2].differ,
                     "%zu", i);
        cr_expect_eq(e.overlay[0].differs, rb_evidence_n_differ(&e) ? 4 : 0);
        rb_evidence_free(&e);
        json_decref(a), json_decref(list);
    }
}

/* ---- workloads ---- */

/* Decode's steps take 1000 + c ns: the sum of those at 128 to 255 is known. */
Test(paper_claims, workloads_are_summed_after_the_prompt)
{
    json_t *list = json_array();
    rb_evidence e;
    rb_error err;
    for (int64_t c = 128; c <= 8192; c *= 4)
        made_record(list, &(made_test){ "workload", "m", "f16", NULL, 0, 8, c, 30, 8000000 + 8 * c,
                                        4000000, 8 * (1000 + (double)c + 3.5), 0, 0, 0 });
    cr_assert_eq(rb_evidence_read(&e, list, &err), RB_OK, "%s", err.text);
    const rb_workload_sum s = rb_workload_of(&e, &e.row[0], RB_SISO);
    cr_assert(s.has_decode && !s.has_prefill);
    const double ns = 128 * (1000 + (128 + 255) / 2.0);
    cr_assert_float_eq(s.decode_ns, ns, 1e-6 * ns);
    cr_assert_float_eq(s.decode.at, 128e9 / ns, 1e-3);
    cr_assert(s.decode.lo < s.decode.at && s.decode.hi > s.decode.at);
    /* counts of one test are at its mean context: 128.. + 3.5 stands for d */
    cr_assert_float_eq(s.decode_flops, 128 * (1e6 + (128 + 255) / 2.0 - 3.5), 1);
    rb_evidence_free(&e);
    json_decref(list);
}

/* Tests at 128, 188 and 248 suffice for steps 128 to 255, whatever those for others took; and the
 * same work in one test is held against the sum. */
Test(paper_claims, workloads_are_summed_from_their_own_tests)
{
    static const int64_t context[] = { 8184, 248, 188, 128, 4096 };
    json_t *list = json_array();
    rb_evidence e;
    rb_error err;
    made_record(list, &(made_test){ "workload", "m", "f16", NULL, 128, 128, 0, 30, 1, 1, 1.5 * 1e6,
                                    0, 0, 0 });
    made_record(list, &(made_test){ "workload", "m", "f16", NULL, 128, 0, 0, 30, 9000, 3, 744 * 1e3,
                                    0, 0, 0 });
    for (int i = 0; i < 5; i++)
        made_record(list, &(made_test){ "workload", "m", "f16", NULL, 0, 8, context[i], 30, 8000000,
                                        4000000, context[i] < 1000 ? 8 * 2e3 : 1e9, 0, 0, 0 });
    cr_assert_eq(rb_evidence_read(&e, list, &err), RB_OK, "%s", err.text);
    cr_assert(e.n == 6 && e.n_all == 7 && !e.n_out);
    const rb_workload_sum s = rb_workload_of(&e, &e.row[0], RB_SISO);
    cr_assert_float_eq(s.decode_ns, 128 * 2e3, 1e-3);
    cr_assert_lt(s.bend, 1e-9);
    cr_assert_float_eq(s.whole.at, 1.5, 1e-9);
    cr_assert_eq(s.whole_id, 1);
    cr_assert(!isfinite(rb_workload_of(&e, &e.row[0], RB_SILO).whole.at));
    rb_evidence_free(&e);
    json_decref(list);
}

/* Few repetitions of a long prompt have no interval: then the short one stands for prefill. */
Test(paper_claims, phases_are_stood_for_by_what_has_an_interval)
{
    json_t *list = made_two_types(1.1, 1.8);
    for (size_t i = 0; i < 10; i++) {
        json_t *o = json_array_get(list, i);
        if (json_integer_value(json_object_get(o, "n_prompt")) == 4096)
            json_object_set_new(o, "samples_ts", json_pack("[f]", 90.0));
    }
    expect(list, RB_CLAIM_TYPES, RB_HOLDS, "in 1 of 1 pairs");
}

/* A prompt and what is generated after it are one process to the paper's code. */
Test(paper_claims, one_process_has_one_proxy)
{
    json_t *list = json_array();
    made_sweep(list, "f16", 0, 5);
    for (size_t i = 0; i < 10; i++) {
        json_t *o = json_deep_copy(json_array_get(list, i));
        json_object_set_new(o, "n_prompt", json_integer(128));
        json_object_set_new(o, "n_gen", json_integer(0));
        json_object_set_new(o, "n_depth", json_integer(0));
        json_array_append_new(list, o);
    }
    expect(list, RB_CLAIM_LAYERS, RB_ARTEFACT, "both ends, in 1 of 1 sweeps");
}

/* ---- claim 4 ---- */

static json_t *trio_of(const double oi[3], const double tps[3], const double proxy[3])
{
    const made_way w[] = { { "plm-1.8b", "mla", oi[0], tps[0], proxy[0] },
                           { "smollm2-1.7b", "mha", oi[1], tps[1], proxy[1] },
                           { "qwen2.5-1.5b", "gqa", oi[2], tps[2], proxy[2] } };
    json_t *list = json_array();
    made_ways(list, "trio", w, 3);
    return list;
}

static const double in_order[] = { 30, 20, 10 }, backwards[] = { 10, 20, 30 };

Test(paper_claims, an_order_of_the_proxy_alone_is_an_artefact)
{
    expect(trio_of(backwards, backwards, in_order), RB_CLAIM_ATTENTION, RB_ARTEFACT,
           "proxy's OI has it in 1 of 1");
    expect(trio_of(in_order, (const double[]){ 60, 40, 5 }, in_order), RB_CLAIM_ATTENTION, RB_HOLDS,
           "exact OI in 1 of 1");
    expect(trio_of(in_order, backwards, in_order), RB_CLAIM_ATTENTION, RB_IN_PART, "in 1 of 1");
    expect(trio_of(backwards, backwards, backwards), RB_CLAIM_ATTENTION, RB_FAILS, "in 0 of 1");
    expect(trio_of((const double[]){ 30, 10, 20 }, backwards, backwards), RB_CLAIM_ATTENTION,
           RB_IN_PART, "MLA above MHA in 1 of 1 by exact OI");
}

Test(paper_claims, equal_rates_are_no_order)
{
    const double same[] = { 26, 21, 28 }; /* times of a layer, at so many layers */
    expect(trio_of(backwards, same, in_order), RB_CLAIM_ATTENTION, RB_ARTEFACT, "(1 undecided)");
}

/* Rates of one sample have no interval: exact OI alone can refute, but not make a claim hold. */
Test(paper_claims, without_intervals_nothing_holds_by_rate)
{
    json_t *list = trio_of(in_order, in_order, in_order), *o;
    size_t i;
    json_array_foreach(list, i, o) json_object_set_new(o, "ci95_ns", json_null());
    expect(list, RB_CLAIM_ATTENTION, RB_IN_PART, "in 0 of 0 (0 undecided)");
}

Test(paper_claims, forms_of_one_set_of_weights)
{
    const made_way w[] = { { "", "mla-naive-full", 1, 5, 9 },
                           { "", "mla-absorbed", 30, 100, 9 }, /* the faster stands for MLA */
                           { "", "mha", 20, 50, 8 },
                           { "", "gqa:2", 10, 20, 7 },
                           { "", "lrkv:64", 99, 500, 99 } }; /* of no kind */
    json_t *list = json_array();
    made_ways(list, "forms", w, 5);
    expect(list, RB_CLAIM_ATTENTION, RB_HOLDS, "in 1 of 1");
    list = json_array();
    made_ways(list, "forms", w + 2, 2);
    expect(list, RB_CLAIM_ATTENTION, RB_UNTESTED, "No test ran in all of MLA, MHA and GQA");
}

/* A form whose logits were not compared is exact only if its record says so. */
Test(paper_claims, a_form_is_exact_only_if_its_record_says_so)
{
    const made_way w[] = { { "", "mha", 20, 50, 8 },
                           { "", "mqa", 30, 60, 9 },
                           { "", "mla:64", 30, 70, 9 } };
    static const char *const cell[] = { "exact", "not exact, not judged", "0.250" };
    json_t *list = json_array();
    rb_evidence e;
    rb_error err;
    rb_paper_claim claim = { .says = "" };
    made_ways(list, "forms", w, 3);
    json_object_set_new(json_array_get(list, 0), "attn_exact", json_true());
    json_object_set_new(json_array_get(list, 1), "attn_exact", json_false());
    json_object_set_new(json_array_get(list, 2), "attn_kl", json_real(0.25));
    cr_assert_eq(rb_evidence_read(&e, list, &err), RB_OK, "%s", err.text);
    rb_claim_attention(&claim, &e);
    const rb_sheet *g = &claim.sheet[1];
    cr_assert_eq(rb_sheet_rows(g), 3);
    for (int i = 0; i < 3; i++)
        cr_expect_str_eq(g->cell[(i + 1) * g->n_column - 1].text, cell[i]);
    for (int i = 0; i < RB_CLAIM_SHEETS; i++)
        rb_sheet_free(&claim.sheet[i]);
    rb_evidence_free(&e);
    json_decref(list);
}

/* Times and counts 7 + 3 L over 2, 4 and 8 layers are drawn out to the paper's 28. */
Test(paper_claims, models_are_drawn_out_by_lines)
{
    json_t *list = json_array();
    rb_evidence e;
    rb_error err;
    rb_drawn_out d;
    for (int64_t l = 2; l <= 8; l *= 2)
        made_record(list,
                    &(made_test){ "trio", "qwen2.5-1.5b", "f16", "gqa", 128, 0, 0, l,
                                  1000000 * (7 + 3 * l), 1000 * (5 + l), 1e6 * (7 + 3 * (double)l),
                                  1e9 * (double)l, 1e9 * (2 + (double)l), 1 + (double)l });
    cr_assert_eq(rb_evidence_read(&e, list, &err), RB_OK, "%s", err.text);
    cr_assert(rb_draw_out(&e, &e.row[0], &d));
    cr_assert(!rb_draw_out(&e, &e.row[1], &d) && rb_draw_out(&e, &e.row[0], &d));
    cr_assert_eq(d.n_layer, 28);
    cr_assert_float_eq(d.tps.at, 128e9 / (1e6 * (7 + 3 * 28)), 1e-6);
    cr_assert_float_eq(d.oi, 1e6 * (7 + 3 * 28) / (1e3 * (5 + 28)), 1e-6);
    cr_assert_float_eq(d.proxy_oi, 1e9 * 28 / (1e9 * 30 * 29), 1e-9);
    cr_assert_lt(d.misfit, 1e-9);
    /* depths weigh -3, -0.5 and 4.5, and each time is sure within 0.5 % */
    const double off = 0.005 * (3 * 13 + 0.5 * 19 + 4.5 * 31);
    cr_assert_float_eq(d.tps.lo, 128e9 / (1e6 * (91 + off)), 1e-6);
    cr_assert_float_eq(d.tps.hi, 128e9 / (1e6 * (91 - off)), 1e-6);
    rb_evidence_free(&e);
    json_decref(list);
}

/* Eight decode steps after 128 tokens, counted by a session without weights. */
static double counted(const char *type, int64_t n_own, int64_t n_layer, int64_t *flops,
                      int64_t *bytes)
{
    const rb_model_params dry = { .dry = true, .mix = rb_mix_by_name(type), .n_layer = n_own };
    rb_session_params p = rb_session_defaults();
    rb_model *m;
    rb_session *s;
    rb_error err;
    cr_assert_eq(rb_model_open(&m, "qwen2.5-1.5b", &dry, &err), RB_OK, "%s", err.text);
    p.n_ctx = 136;
    p.n_layer = n_layer;
    p.dry = true;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    rb_session_set_past(s, 128);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(rb_session_run(s, RB_DECODE, NULL, 1, false, &err), RB_OK, "%s", err.text);
    const rb_tally t = rb_ledger_phase(rb_session_ledger(s), RB_DECODE);
    const rb_bytes b = rb_cost_bytes(&t.cost);
    *flops = (int64_t)t.cost.flops;
    *bytes = (int64_t)rb_bytes_wkv(&b);
    rb_session_close(s);
    rb_model_close(m);
    return (double)*flops / (double)*bytes;
}

static rb_drawn_out drawn_of(const json_t *list)
{
    rb_evidence e;
    rb_error err;
    rb_drawn_out d;
    cr_assert_eq(rb_evidence_read(&e, list, &err), RB_OK, "%s", err.text);
    cr_assert(rb_draw_out(&e, &e.row[0], &d));
    rb_evidence_free(&e);
    return d;
}

/* In q4_k_m layers differ, by how many there are too: only a count gives what 28 have. Where the
 * record's counts are not those of the preset there is none, and no line in its place. */
Test(paper_claims, full_sizes_are_counted)
{
    static const char *const type[] = { "f16", "q4_k_m" };
    for (int i = 0; i < 2; i++) {
        json_t *list = json_array();
        int64_t flops, bytes;
        for (int64_t l = 2; l <= 8; l *= 2) {
            counted(type[i], 8, l, &flops, &bytes);
            json_t *o =
                made_record(list, &(made_test){ "trio", "qwen2.5-1.5b", type[i], "gqa", 0, 8, 128,
                                                l, flops, bytes, 1e6 * (double)l, 0, 0, 0 });
            json_object_set_new(o, "n_layer", json_integer(8));
            json_object_set_new(o, "n_batch", json_integer(2048));
            json_object_set_new(o, "n_ubatch", json_integer(512));
        }
        rb_drawn_out d = drawn_of(list);
        cr_expect(d.counted && d.n_layer == 28);
        cr_expect_eq(d.oi, counted(type[i], 0, 28, &flops, &bytes));
        json_object_set_new(json_array_get(list, 0), "flops", json_integer(flops));
        d = drawn_of(list);
        cr_expect(!d.counted && !isfinite(d.oi));
        json_decref(list);
    }
}

/* ---- several runs ---- */

/* A prompt at so many threads in so many ns. */
static json_t *ran(json_t *list, const char *model, int64_t threads, double ns, bool whole)
{
    json_t *o = made_record(
        list, &(made_test){ "workload", model, "f16", NULL, 128, 0, 0, 30, 9000, 3, ns, 0, 0, 0 });
    json_object_set_new(o, "n_threads", json_integer(threads));
    if (!whole)
        json_object_set_new(o, "interrupted", json_true());
    return o;
}

/* Rows by record, among those of n that are left. */
static void expect_rows(json_t *list, const int *id, int n, int n_other, int n_again)
{
    rb_evidence e;
    rb_error err;
    cr_assert_eq(rb_evidence_read(&e, list, &err), RB_OK, "%s", err.text);
    cr_assert(e.n == n && e.n_other == n_other && e.n_again == n_again && !e.n_out,
              "%d rows, %d others, %d again, %d out", e.n, e.n_other, e.n_again, e.n_out);
    for (int i = 0; i < n; i++)
        cr_expect_eq(e.row[i].id, id[i]);
    rb_evidence_free(&e);
    json_decref(list);
}

Test(paper_claims, one_row_is_of_one_test)
{
    json_t *list = json_array();
    ran(list, "m", 2, 1e6, true);
    ran(list, "m", 2, 2e6, true); /* the later one */
    ran(list, "m", 2, 3e6, false);
    ran(list, "n", 2, 1e6, false); /* there is no other */
    ran(list, "o", 2, 1e6, false);
    ran(list, "o", 2, 1e6, true);
    expect_rows(list, (const int[]){ 2, 4, 6 }, 3, 0, 3);
}

Test(paper_claims, a_report_is_of_one_machine)
{
    static const char *const text[] = { "isa", "cpu_info" };
    json_t *list = json_array();
    for (int i = 0; i < 2; i++)
        json_object_set_new(ran(list, "m", 2, 1e6, true), text[i], json_string("other"));
    made_roofs(list);
    ran(list, "m", 4, 1e6, true);
    ran(list, "m", 2, 1e6, true); /* the last that was finished */
    ran(list, "m", 8, 1e6, false);
    rb_evidence e;
    rb_error err;
    cr_assert_eq(rb_evidence_read(&e, list, &err), RB_OK, "%s", err.text);
    cr_expect_null(e.roofs);
    rb_evidence_free(&e);
    expect_rows(list, (const int[]){ 4 }, 1, 4, 0);
}

/* One test in two parts is a row of each. */
Test(paper_claims, each_part_has_its_row)
{
    json_t *list = json_array();
    ran(list, "m", 2, 1e6, true);
    json_object_set_new(json_object_get(ran(list, "m", 2, 1e6, true), "paper"), "part",
                        json_string("layers"));
    expect_rows(list, (const int[]){ 1, 2 }, 2, 0, 0);
}

/* ---- what is missing ---- */

static json_t *without(const char *part)
{
    json_t *all = made_everything(), *list = json_array(), *o;
    size_t i;
    json_array_foreach(all, i, o)
    {
        const char *is = json_string_value(json_object_get(json_object_get(o, "paper"), "part"));
        if (strcmp(is, part) != 0)
            json_array_append(list, o);
    }
    json_decref(all);
    return list;
}

Test(paper_claims, what_did_not_run_is_not_testable)
{
    char why[4096];
    for (int i = 0; i < RB_N_CLAIM; i++)
        cr_expect_neq(judge_over(made_everything(), NULL, i, why, sizeof why), RB_UNTESTED,
                      "%d: %s", i, why);
    static const int of_workloads[] = { RB_CLAIM_CONTEXT, RB_CLAIM_TYPES, RB_CLAIM_RIDGES };
    for (int i = 0; i < 3; i++)
        cr_expect_eq(judge_over(without("workload"), NULL, of_workloads[i], why, sizeof why),
                     RB_UNTESTED);
    cr_expect_eq(judge_over(without("layers"), NULL, RB_CLAIM_LAYERS, why, sizeof why),
                 RB_UNTESTED);
    cr_expect_neq(judge_over(without("trio"), NULL, RB_CLAIM_ATTENTION, why, sizeof why),
                  RB_UNTESTED);
    cr_expect_neq(judge_over(without("forms"), NULL, RB_CLAIM_ATTENTION, why, sizeof why),
                  RB_UNTESTED);
    json_t *list = json_array();
    made_sweep(list, "f16", 0, 5);
    expect(list, RB_CLAIM_ATTENTION, RB_UNTESTED, "No test ran");
    list = json_array();
    made_sweep(list, "f16", 0, 5);
    expect(list, RB_CLAIM_CARRIES, RB_UNTESTED, "No model ran in two variants");
}
