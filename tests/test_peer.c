/* Times of other engines: what of llama-bench's records is read and what is refused, counts that
 * are those of a prediction, and placement under roofs known beforehand. Nothing is measured here.
 * Read next: ../bench/peer.c. */
#include "../bench/record.h"
#include "program.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A test as llama-bench writes it, but for the model: %s goes before the last brace. */
static const char written[] =
    "{\"build_commit\": \"3f2a1bc\", \"build_number\": 4321, \"cpu_info\": \"A CPU\","
    " \"backends\": \"CPU\", \"model_filename\": \"m.gguf\", \"model_type\": \"llama tiny\","
    " \"model_size\": 1000, \"model_n_params\": 500, \"n_batch\": 2048, \"n_ubatch\": 16,"
    " \"n_threads\": 2, \"type_k\": \"f16\", \"type_v\": \"q8_0\", \"embeddings\": false,"
    " \"n_prompt\": 40, \"n_gen\": 0, \"n_depth\": 5, \"test_time\": \"2025-01-02T03:04:05Z\","
    " \"avg_ns\": 2100000, \"stddev_ns\": 10, \"avg_ts\": 1.5, \"stddev_ts\": 0.1,"
    " \"samples_ns\": [2000000, 3000000, 1000000], \"samples_ts\": [1.0, 2.0, 3.0]}";

static const rb_test like = { .n_seq = 1, .n_layer = 4, .isa = RB_ISA_SCALAR, .capped = true };

/* The record with some fields replaced by those of changes ("{...}"); null: taken out. */
static json_t *record_with(const char *changes)
{
    return parse_with(written, changes);
}

static rb_status read_with(rb_peer *p, const char *changes, rb_error *err)
{
    json_t *o = record_with(changes);
    const rb_status st = rb_peer_read(p, o, &like, err);
    json_decref(o);
    return st;
}

Test(peer, reads_what_llama_bench_wrote)
{
    rb_peer p;
    cr_assert_eq(read_with(&p, "{}", NULL), RB_OK);
    const rb_test *t = &p.test;
    cr_assert(t->n_prompt == 40 && t->n_gen == 0 && t->n_depth == 5 && t->n_seq == 1);
    cr_assert(t->n_batch == 2048 && t->n_ubatch == 16 && t->n_threads == 2);
    cr_assert(t->type_k == RB_F16 && t->type_v == RB_Q8_0);
    cr_assert(t->n_layer == 4 && t->capped, "what a record does not say is the caller's");
    cr_assert(p.n_params == 500 && p.size == 1000);
    cr_assert(p.n == 3 && p.ns[0] == 2000000 && p.ns[1] == 3000000 && p.ns[2] == 1000000);
    cr_assert_str_eq(p.name, "llama.cpp");
    cr_assert_str_eq(p.build, "3f2a1bc (4321)");
    cr_assert_str_eq(p.cpu, "A CPU");
    cr_assert_str_eq(p.when, "2025-01-02T03:04:05Z");
    rb_peer_free(&p);
}

Test(peer, reads_what_older_ones_and_rbench_wrote)
{
    rb_peer p;
    cr_assert_eq(read_with(&p, "{\"n_depth\": null, \"samples_ns\": null}", NULL), RB_OK);
    cr_assert(p.test.n_depth == 0 && p.n == 1 && p.ns[0] == 2100000, "the mean is all there is");
    rb_peer_free(&p);
    cr_assert_eq(read_with(&p, "{\"schema_version\": 1, \"build_number\": 0}", NULL), RB_OK);
    cr_assert_str_eq(p.name, "rbench");
    cr_assert_str_eq(p.build, "3f2a1bc");
    rb_peer_free(&p);
    cr_assert_eq(read_with(&p, "{\"n_batch\": 8}", NULL), RB_OK);
    cr_assert_eq(p.test.n_ubatch, 8, "no micro-batch is larger than its batch");
    rb_peer_free(&p);
    cr_assert_eq(read_with(&p, "{\"cpu_info\": \"a|b\\nc\\u00e9\", \"build_number\": \"x\"}", NULL),
                 RB_OK);
    cr_assert_str_eq(p.cpu, "a?b?c??", "nothing that breaks a table");
    rb_peer_free(&p);
}

Test(peer, refuses_what_it_cannot_count_in_a_line)
{
    static const char *const bad[][2] = {
        { "{\"n_prompt\": null}", "no \"n_prompt\": not a result of llama-bench" },
        { "{\"model_size\": null}", "no \"model_size\"" },
        { "{\"samples_ns\": null, \"avg_ns\": null}", "no \"avg_ns\"" },
        { "{\"type_k\": null}", "no \"type_k\"" },
        { "{\"type_k\": 7}", "no \"type_k\"" },
        { "{\"n_gen\": \"12\"}", "\"n_gen\" is not a whole number" },
        { "{\"n_gen\": 1.5}", "\"n_gen\" is not a whole number" },
        { "{\"n_gen\": -1}", "\"n_gen\" is -1, not from 0 to" },
        { "{\"n_gen\": 9223372036854775807}", "\"n_gen\" is 9223372036854775807" },
        { "{\"n_depth\": 16777217}", "\"n_depth\"" },
        { "{\"n_ubatch\": 0}", "\"n_ubatch\"" },
        { "{\"n_threads\": 0}", "\"n_threads\"" },
        { "{\"n_seq\": 2}", "\"n_seq\"" },
        { "{\"n_prompt\": 0}", "both 0" },
        { "{\"n_batch\": 24}", "no whole number of micro-batches" },
        { "{\"model_n_params\": -5}", "\"model_n_params\"" },
        { "{\"type_v\": \"q5_1\"}", "a cache of q5_1" },
        { "{\"type_v\": \"nonesuch, and a long name of it\"}", "a cache of nonesuch" },
        { "{\"samples_ns\": [1, 0]}", "\"samples_ns\": number 2 is no time" },
        { "{\"samples_ns\": [1.5]}", "number 1 is no time" },
        { "{\"samples_ns\": [9000000000000000000]}", "number 1 is no time" },
        { "{\"samples_ns\": [], \"avg_ns\": 0}", "\"avg_ns\" is 0" },
        { "{\"embeddings\": true}", "embeddings" },
        { "{\"error\": \"out of memory\"}", "failed" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rb_peer p;
        rb_error err = { 0 };
        cr_expect_neq(read_with(&p, bad[i][0], &err), RB_OK, "%s is taken", bad[i][0]);
        cr_expect(strstr(err.text, bad[i][1]), "%s: %s", bad[i][0], err.text);
        cr_expect_null(p.ns);
    }
}

Test(peer, refuses_more_samples_than_a_result_holds)
{
    rb_peer p;
    rb_error err = { 0 };
    json_t *o = record_with("{}"), *many = json_array();
    for (int i = 0; i <= RB_MAX_REPS; i++)
        json_array_append_new(many, json_integer(1));
    json_object_set_new(o, "samples_ns", many);
    cr_assert_neq(rb_peer_read(&p, o, &like, &err), RB_OK);
    cr_assert(strstr(err.text, "more than 1000"), "%s", err.text);
    json_decref(o);
}

/* ---- placing ---- */

typedef struct fixture {
    rb_model *model;
    rb_bench *bench;
    rb_result *r, *counted;
    rb_peer peer;
} fixture;

static void open_fixture(fixture *f, const char *changes)
{
    const rb_model_params how = { .dry = true, .seed = 1 };
    const rb_bench_params params = { .n_reps = 1, .dry = true };
    *f = (fixture){ .r = calloc(1, sizeof *f->r), .counted = calloc(1, sizeof *f->r) };
    cr_assert_eq(rb_model_open(&f->model, "tiny", &how, NULL), RB_OK);
    cr_assert_eq(rb_bench_open(&f->bench, f->model, f->model, &params, NULL), RB_OK);
    cr_assert_eq(read_with(&f->peer, changes, NULL), RB_OK);
}

static void close_fixture(fixture *f)
{
    rb_peer_free(&f->peer);
    rb_bench_close(f->bench);
    rb_model_close(f->model);
    free(f->counted);
    free(f->r);
}

Test(peer, another_model_is_refused)
{
    fixture f;
    rb_error err = { 0 };
    open_fixture(&f, "{}");
    const uint64_t size = rb_model_file_bytes(f.model);
    cr_assert_neq(rb_peer_check(&f.peer, f.model, &err), RB_OK);
    cr_assert(strstr(err.text, "another model: 500 parameters in 1000 bytes (m.gguf)"), "%s",
              err.text);
    f.peer.n_params = f.model->n_params;
    cr_assert_neq(rb_peer_check(&f.peer, f.model, NULL), RB_OK, "of another type");
    f.peer.size = size;
    cr_assert_eq(rb_peer_check(&f.peer, f.model, NULL), RB_OK);
    f.peer.n_params++;
    cr_assert_neq(rb_peer_check(&f.peer, f.model, NULL), RB_OK);
    close_fixture(&f);
}

Test(peer, counts_are_those_of_a_prediction)
{
    static const char *const tests[] = { "{\"type_v\": \"f16\"}",
                                         "{\"type_v\": \"f32\", \"n_prompt\": 0, \"n_gen\": 7}",
                                         "{\"type_v\": \"f16\", \"n_gen\": 3, \"n_ubatch\": 7}" };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        fixture f;
        open_fixture(&f, tests[i]);
        rb_bench_test(f.bench, &f.peer.test, f.counted);
        rb_peer_place(f.bench, &f.peer, NULL, f.r);
        cr_assert_str_eq(f.r->error, "");
        rb_cost counted = f.counted->total.cost;
        cr_assert_gt(counted.issued_rd, 0);
        counted.issued_rd = counted.issued_wr = 0; /* by loops that are not the peer's */
        counted.issued_unknown = f.counted->total.calls;
        cr_assert(rb_cost_equal(&f.r->total.cost, &counted));
        cr_assert_gt(f.r->total.cost.flops, 0);
        cr_assert(f.r->place.bound == RB_BOUND_NONE && f.r->place.pct == 0, "no roofs");
        cr_assert(f.r->n_samples == 3 && f.r->ns.median == 2000000 && !f.r->dry);
        cr_assert_float_eq(rb_result_gflops(f.r), (double)f.r->total.cost.flops / 2e6, 1e-9);
        close_fixture(&f);
    }
}

/* A machine whose only roof is 1 GFLOP/s: the least time in ns is the FLOPs that kernels do. */
Test(peer, the_share_is_the_least_time_over_the_median)
{
    fixture f;
    rb_machine m = { .n_threads = 2, .isa = RB_ISA_SCALAR };
    m.roof[RB_ROOF_FMA_F32].value = 1;
    open_fixture(&f, "{\"type_v\": \"f16\"}");
    rb_bench_test(f.bench, &f.peer.test, f.counted);
    const double flops = (double)f.counted->total.cost.flops;
    for (int i = 0; i < 3; i++)
        f.peer.ns[i] = (uint64_t)((i + 3) * flops);
    rb_peer_place(f.bench, &f.peer, &m, f.r);
    const rb_place *p = &f.r->place;
    cr_assert_float_eq(p->roof_ns, flops, 1e-6 * flops, "%g, not %g", p->roof_ns, flops);
    cr_assert_float_eq(p->pct, 25, 1e-3, "%g", p->pct);
    cr_assert(p->bound == RB_BOUND_COMPUTE && p->roof == RB_ROOF_FMA_F32 && p->n_pairs == 0);
    char share[96];
    rb_share_text(p, share);
    cr_assert_str_eq(share, "25.0 %");
    cr_assert_float_eq(rb_result_roof_gflops(f.r), 1, 1e-3);
    for (int i = 0; i < 3; i++)
        f.peer.ns[i] = (uint64_t)(flops / 2);
    rb_peer_place(f.bench, &f.peer, &m, f.r);
    cr_assert(f.r->place.above && f.r->place.pct == 0, "above is never a percentage");
    close_fixture(&f);
}

Test(peer, a_test_that_cannot_be_counted_says_why)
{
    fixture f;
    open_fixture(&f, "{}"); /* a cache of q8_0, heads of 16 */
    rb_peer_place(f.bench, &f.peer, NULL, f.r);
    cr_assert(strstr(f.r->error, "multiples of 32"), "%s", f.r->error);
    close_fixture(&f);
}

/* Its record tells whose times they are, and claims nothing of a run. */
Test(peer, the_record_names_the_engine)
{
    fixture f;
    open_fixture(&f, "{\"type_v\": \"f16\"}");
    rb_peer_place(f.bench, &f.peer, NULL, f.r);
    const rb_subject subject = {
        .filename = "m.gguf", .model = f.model, .cpu = "here", .commit = "c0ffee", .peers = &f.peer
    };
    json_t *o = rb_record(&subject, f.r, NULL), *kernel;
    static const char *const never[] = { "noise", "warm", "kv_fill", "selfcheck", "flash_attn" };
    size_t i;
    cr_assert_str_eq(json_string_value(json_object_get(json_object_get(o, "peer"), "build")),
                     "3f2a1bc (4321)");
    cr_assert_str_eq(json_string_value(json_object_get(o, "cpu_info")), "A CPU");
    cr_assert_eq(json_integer_value(json_object_get(o, "median_ns")), 0); /* a real */
    cr_assert_float_eq(json_number_value(json_object_get(o, "median_ns")), 2e6, 1e-9);
    for (i = 0; i < sizeof never / sizeof *never; i++)
        cr_expect_null(json_object_get(o, never[i]), "%s", never[i]);
    json_array_foreach(json_object_get(o, "kernels"), i, kernel)
        cr_assert(json_object_get(kernel, "calls") && !json_object_get(kernel, "ns"));
    cr_assert_gt(i, 5);
    json_decref(o);
    close_fixture(&f);
}
