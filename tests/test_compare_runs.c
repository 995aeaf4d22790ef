/* Two runs held against each other: which records belong together, which samples count, counts that
 * differ, what is slower, and `rbench compare` as users meet it. Statistics are in test_ranks.c.
 * Nothing is measured here but by the last tests. Read next: ../bench/compare.c. */
#include "../bench/record.h"
#include "program.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- records ---- */

static const char whole[] =
    "{\"schema_version\":1,\"model_filename\":\"/a/m.gguf\",\"model_type\":\"llama tiny\","
    "\"model_size\":1000,\"n_prompt\":0,\"n_gen\":4,\"n_depth\":8,\"n_seq\":1,\"n_layer_run\":2,"
    "\"n_batch\":2048,\"n_ubatch\":512,\"type_k\":\"f16\",\"type_v\":\"f16\",\"act\":\"native\","
    "\"isa\":\"avx2\",\"n_threads\":2,\"blas\":true,\"attn_variant\":\"gqa\",\"mla_auto\":"
    "\"flops\","
    "\"ffn_act\":\"silu\",\"seed\":1,\"flops\":12,\"special\":3,"
    "\"bytes\":{\"weight\":5,\"kv_read\":4,\"kv_write\":3,\"act_read\":2,\"act_write\":1},"
    "\"env\":{\"model_digest\":\"xxh3:1\"},"
    "\"samples_ns\":[1000,1010,1020,1030,1040,1050],"
    "\"samples_roof_ns\":[500,505,510,515,520,525],"
    "\"samples_paired\":[true,true,true,true,true,true]}";

/* The record with fields of changes ("{...}") in place of its own; null: taken out. */
static json_t *record_with(const char *changes)
{
    return parse_with(whole, changes);
}

/* A run of one or two records. */
typedef struct two_runs {
    json_t *a, *b;
    rb_comparison c;
} two_runs;

static bool any_weights; /* what is compared next */

static two_runs compare(const char *a1, const char *a2, const char *b1, const char *b2)
{
    two_runs t = { .a = json_array(), .b = json_array() };
    json_array_append_new(t.a, record_with(a1));
    json_array_append_new(t.b, record_with(b1));
    if (a2)
        json_array_append_new(t.a, record_with(a2));
    if (b2)
        json_array_append_new(t.b, record_with(b2));
    cr_assert_eq(rb_compare(&t.c, t.a, t.b, any_weights, NULL), RB_OK);
    return t;
}

static void release_runs(two_runs *t)
{
    rb_comparison_free(&t->c);
    json_decref(t->a);
    json_decref(t->b);
}

/* ---- matching ---- */

/* Of other weights a test is another, unless it is asked for whatever the weights are; then experts
 * may have been others, and all other counts are the same. */
Test(compare, weights_may_be_others_if_asked)
{
    static const char other[] = "{\"env\":{\"model_digest\":\"xxh3:2\"},\"flops\":12}";
    static const char off[] = "{\"env\":{\"model_digest\":\"xxh3:2\"},\"flops\":13}";
    static const char experts[] = "{\"experts\":{}}";
    static const struct {
        bool any;
        const char *a, *b;
        int n, defects;
    } of[] = { { false, "{}", other, 0, 0 },
               { true, "{}", other, 1, 0 },
               { true, "{}", off, 1, 1 },
               { true, experts, off, 1, 0 } };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        any_weights = of[i].any;
        two_runs t = compare(of[i].a, NULL, of[i].b, NULL);
        cr_expect_eq(t.c.n, of[i].n, "%zu", i);
        cr_expect_eq(t.c.n && t.c.row[0].defect, of[i].defects, "%zu", i);
        release_runs(&t);
    }
}

Test(compare, records_of_one_test_belong_together)
{
    two_runs t = compare("{\"n_gen\":4}", "{\"n_gen\":5}", "{\"n_gen\":6}",
                         "{\"n_gen\":4,\"model_filename\":\"elsewhere.gguf\",\"seed\":2}");
    cr_assert(t.c.n == 1 && t.c.n_only[RB_SIDE_A] == 1 && t.c.n_only[RB_SIDE_B] == 1);
    cr_assert(t.c.row[0].a == json_array_get(t.a, 0) && t.c.row[0].b == json_array_get(t.b, 1));
    cr_assert_eq(t.c.only[RB_SIDE_A][0], json_array_get(t.a, 1));
    cr_assert_eq(t.c.only[RB_SIDE_B][0], json_array_get(t.b, 0));
    char name[200];
    cr_assert_str_eq(rb_record_name(t.c.only[RB_SIDE_B][0], name, sizeof name),
                     "tg6 @ d8, 2 layers, llama tiny");
    release_runs(&t);
}

Test(compare, whatever_identifies_a_test_tells_records_apart)
{
    static const char *const other[] = {
        "{\"n_prompt\":1}",
        "{\"n_gen\":5}",
        "{\"n_depth\":9}",
        "{\"n_seq\":2}",
        "{\"n_layer_run\":3}",
        "{\"n_batch\":1}",
        "{\"n_ubatch\":1}",
        "{\"type_k\":\"f32\"}",
        "{\"type_v\":\"f32\"}",
        "{\"act\":\"f32\"}",
        "{\"isa\":\"avx512\"}",
        "{\"n_threads\":1}",
        "{\"blas\":false}",
        "{\"attn_variant\":\"mha\"}",
        "{\"mla_auto\":\"roof\"}",
        "{\"ffn_act\":\"gelu\"}",
        "{\"env\":{\"model_digest\":\"xxh3:2\"}}",
    };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        two_runs t = compare("{}", NULL, other[i], NULL);
        cr_expect(t.c.n == 0 && t.c.n_only[0] == 1 && t.c.n_only[1] == 1, "%s", other[i]);
        release_runs(&t);
    }
}

/* Records of other programs have neither digest nor our options. */
Test(compare, without_a_digest_it_is_the_name_and_size_of_the_file)
{
    static const char peer[] = "{\"env\":null,\"n_seq\":null,\"n_layer_run\":null,\"isa\":null,"
                               "\"flops\":null,\"bytes\":null,\"model_filename\":\"b/m.gguf\"}";
    two_runs t = compare("{\"env\":null}", NULL, "{\"env\":null}", NULL);
    cr_assert_eq(t.c.n, 1);
    release_runs(&t);
    t = compare("{\"env\":null}", NULL, "{\"env\":null,\"model_size\":1001}", NULL);
    cr_assert_eq(t.c.n, 0);
    release_runs(&t);
    t = compare("{\"env\":null}", NULL, "{\"env\":null,\"model_filename\":\"n.gguf\"}", NULL);
    cr_assert_eq(t.c.n, 0);
    release_runs(&t);
    t = compare(peer, NULL, peer, NULL);
    cr_assert(t.c.n == 1 && !t.c.row[0].counts[0]);
    cr_assert_float_eq(t.c.row[0].tps_a, 4 * 1e9 / 1025, 1e-3 * 4e9, "one sequence");
    release_runs(&t);
}

Test(compare, what_cannot_be_compared_is_counted)
{
    static const char *const bad[] = {
        "{\"samples_ns\":null}",
        "{\"samples_ns\":[]}",
        "{\"samples_ns\":[1,0]}",
        "{\"samples_ns\":[1,-5]}",
        "{\"samples_ns\":[1,\"x\"]}",
        "{\"samples_ns\":7}",
        "{\"n_gen\":0}",
        "{\"samples_ns\":null,\"error\":\"out of memory\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        two_runs t = compare(bad[i], "{}", "{}", bad[i]);
        cr_expect(t.c.n == 1 && t.c.n_left_out[0] == 1 && t.c.n_left_out[1] == 1, "%s", bad[i]);
        release_runs(&t);
    }
    two_runs t = compare("{}", "{\"samples_ns\":[2000,2000]}", "{}", NULL);
    cr_assert(t.c.n == 1 && t.c.n_again[RB_SIDE_A] == 1 && t.c.n_again[RB_SIDE_B] == 0);
    cr_assert(t.c.row[0].raw.n_a == 2, "the last one counts");
    release_runs(&t);
    json_t *none = json_array();
    rb_comparison c;
    cr_assert_eq(rb_compare(&c, none, none, false, NULL), RB_OK);
    cr_assert(c.n == 0 && isnan(rb_comparison_sum(&c, false).factor));
    rb_comparison_free(&c);
    json_decref(none);
}

/* ---- samples ---- */

/* Half the speed under half the roofs is the same share of them. */
Test(compare, shares_of_roof_take_the_machine_out)
{
    two_runs t = compare("{}", NULL,
                         "{\"samples_ns\":[2000,2020,2040,2060,2080,2100],"
                         "\"samples_roof_ns\":[1000,1010,1020,1030,1040,1050]}",
                         NULL);
    const rb_matched *m = &t.c.row[0];
    cr_assert_float_eq(m->tps_a, 4e9 / 1025, 2e3);
    cr_assert_float_eq(m->raw.ratio, 0.5, 1e-12, "%g", m->raw.ratio);
    cr_assert(m->raw.p < 0.01 && m->raw.ci_hi < 0.6);
    cr_assert_float_eq(m->roof.ratio, 1, 1e-12, "%g", m->roof.ratio);
    cr_assert(m->roof.ci_lo <= 1 && m->roof.ci_hi >= 1 && m->roof.p > 0.9);
    release_runs(&t);
}

Test(compare, only_samples_between_equal_roofs_have_shares)
{
    two_runs t = compare("{\"samples_paired\":[true,true,false,true,true,false]}", NULL,
                         "{\"samples_roof_ns\":[500,null,510,0,520,-1]}", NULL);
    cr_assert(t.c.row[0].roof.n_a == 4 && t.c.row[0].roof.n_b == 3, "%d %d", t.c.row[0].roof.n_a,
              t.c.row[0].roof.n_b);
    cr_assert(t.c.row[0].raw.n_a == 6 && t.c.row[0].raw.n_b == 6);
    release_runs(&t);
    t = compare("{\"samples_roof_ns\":null}", NULL, "{}", NULL);
    cr_assert(t.c.row[0].roof.n_a == 0 && t.c.row[0].raw.n_a == 6);
    cr_assert_eq(rb_comparison_sum(&t.c, true).n, 0);
    release_runs(&t);
}

/* ---- counts ---- */

Test(compare, counts_of_one_test_are_the_same)
{
    static const char *const other[][2] = {
        { "{\"flops\":13}", "flops 12 and 13" },
        { "{\"special\":4}", "special 3 and 4" },
        { "{\"bytes\":{\"weight\":6,\"kv_read\":4}}", "bytes.weight 5 and 6" },
        { "{\"bytes\":{\"weight\":5,\"kv_read\":7}}", "bytes.kv_read 4 and 7" },
        { "{\"bytes\":{\"kv_write\":9}}", "bytes.kv_write 3 and 9" },
        { "{\"bytes\":{\"act_read\":9}}", "bytes.act_read 2 and 9" },
        { "{\"bytes\":{\"act_write\":9}}", "bytes.act_write 1 and 9" },
    };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        two_runs t = compare("{}", NULL, other[i][0], NULL);
        cr_expect_str_eq(t.c.row[0].counts, other[i][1]);
        cr_expect(t.c.row[0].defect);
        release_runs(&t);
    }
    two_runs t = compare("{}", NULL, "{\"flops_extra\":77}", NULL);
    cr_assert(!t.c.row[0].counts[0] && !t.c.row[0].defect, "kernels of two builds may differ");
    release_runs(&t);
    t = compare("{}", NULL, "{\"seed\":2,\"bytes\":{\"weight\":6}}", NULL);
    cr_assert(t.c.row[0].counts[0] && !t.c.row[0].defect, "another input takes other experts");
    release_runs(&t);
    t = compare("{\"mla_auto\":\"roof\"}", NULL, "{\"mla_auto\":\"roof\",\"flops\":1}", NULL);
    cr_assert(t.c.row[0].counts[0] && !t.c.row[0].defect, "chosen by measured roofs");
    release_runs(&t);
}

/* ---- all rows ---- */

Test(compare, slower_is_by_more_than_so_much_and_significantly)
{
    /* 10 % more time: 90.9 % of the rate */
    two_runs t = compare("{}", NULL, "{\"samples_ns\":[1100,1111,1122,1133,1144,1155]}", NULL);
    cr_assert(rb_is_slower(&t.c.row[0], 9) && !rb_is_slower(&t.c.row[0], 10));
    cr_assert_eq(rb_comparison_slower(&t.c, 0), 1);
    release_runs(&t);
    t = compare("{}", NULL, "{\"samples_ns\":[900,909,918,927,936,945]}", NULL);
    cr_assert_not(rb_is_slower(&t.c.row[0], 0), "faster");
    release_runs(&t);
    t = compare("{\"samples_ns\":[1,2,3]}", NULL, "{\"samples_ns\":[10,11,12]}", NULL);
    cr_assert_not(rb_is_slower(&t.c.row[0], 0), "3 and 3 prove nothing: p = 0.1");
    release_runs(&t);
}

Test(compare, the_sum_counts_intervals_and_takes_the_geometric_mean)
{
    two_runs t = compare("{\"n_gen\":1}", "{\"n_gen\":2}",
                         "{\"n_gen\":1,\"samples_ns\":[4000,4040,4080,4120,4160,4200]}",
                         "{\"n_gen\":2,\"samples_roof_ns\":null}");
    const rb_ratio_sum raw = rb_comparison_sum(&t.c, false), roof = rb_comparison_sum(&t.c, true);
    char text[400];
    cr_assert(raw.n == 2 && raw.n_ci == 2 && raw.n_covers == 1);
    cr_assert_float_eq(raw.factor, 0.5, 1e-9, "the root of 1/4");
    cr_assert(roof.n == 1 && roof.n_ci == 1 && roof.n_covers == 0);
    cr_assert_float_eq(roof.factor, 0.25, 1e-9);
    cr_assert_str_eq(rb_comparison_text(&t.c, text, sizeof text),
                     "2 rows. B/A of tok/s: geometric mean 0.5000, the interval holds 1 in 1 of 2 "
                     "rows; of shares of roof: geometric mean 0.2500, the interval holds 1 in 0 of "
                     "1 row.");
    release_runs(&t);
}

/* ---- the command ---- */

TestSuite(cli_compare, .init = program_setup, .fini = program_teardown);

/* Runs a script in the scratch folder: what it exits with, and words that it says. */
static void want_shell(const char *script, int code, const char *words)
{
    outcome o = shell(script);
    cr_expect_eq(o.code, code, "'%s' exits %d, not %d: %s", script, o.code, code, o.err);
    cr_expect(strstr(o.out, words) || strstr(o.err, words), "'%s' does not say '%s': %s%s", script,
              words, o.out, o.err);
    release(&o);
}

/* A file of some records. */
static void put_records(const char *name, const char *a, const char *b)
{
    char path[256];
    json_t *all = json_array();
    json_array_append_new(all, record_with(a));
    if (b)
        json_array_append_new(all, record_with(b));
    cr_assert_eq(json_dump_file(all, path_of(name, path), 0), 0);
    json_decref(all);
}

Test(cli_compare, two_runs_of_this_machine)
{
    want_shell("$RBENCH tiny -p 8 -n 4 -r 6 -t 1 -o json >a.json", 0, "");
    want_shell("$RBENCH tiny -p 8,9 -n 4 -r 6 -t 1 --out b.jsonl", 0, "");
    want_shell("$RBENCH compare a.json b.jsonl", 0, "2 rows. B/A of tok/s: geometric mean ");
    want_shell("$RBENCH compare a.json b.jsonl", 0, "only in b.jsonl: pp9, 4 layers, llama ");
    outcome o = shell("$RBENCH compare a.json b.jsonl -o json");
    json_t *all = parse(o.out), *rows = json_object_get(all, "rows"), *row;
    size_t i;
    cr_assert(json_array_size(rows) == 2 && integer(all, "only_b") == 1);
    json_array_foreach(rows, i, row)
    {
        const json_t *raw = json_object_get(row, "raw");
        cr_assert_str_eq(string(row, "counts"), "equal");
        cr_assert(integer(raw, "n_a") == 6 && integer(raw, "n_b") == 6);
        cr_assert_gt(json_number_value(json_object_get(raw, "ratio")), 0);
        cr_assert_eq(json_array_size(json_object_get(raw, "ci95")), 2);
        cr_assert(json_is_null(json_object_get(row, "roof")), "no roofs were measured");
        cr_assert_null(json_object_get(row, "slower"), "not asked for");
    }
    json_decref(all);
    release(&o);
    want_shell("$RBENCH compare a.json b.jsonl -o csv", 0,
               "raw_ratio,raw_ci95_lo,raw_ci95_hi,raw_p");
    want_shell("$RBENCH compare a.json b.jsonl -o csv >t; wc -l <t", 0, "3");
}

Test(cli_compare, exit_codes)
{
    put_records("a", "{}", "{\"n_gen\":5}");
    put_records("slow", "{}", "{\"n_gen\":5,\"samples_ns\":[1100,1111,1122,1133,1144,1155]}");
    put_records("odd", "{\"flops\":13}", "{\"n_gen\":5}");
    put_records("other", "{\"n_gen\":9}", NULL);
    want_shell("$RBENCH compare a a --fail-above 0", 0, "holds 1 in 2 of 2 rows");
    want_shell("$RBENCH compare a slow", 0, "0.9091");
    want_shell("$RBENCH compare a slow --fail-above 9", 4,
               "1 of 2 tests are slower by more than 9");
    want_shell("$RBENCH compare a slow --fail-above 9", 4, "SLOWER");
    want_shell("$RBENCH compare a slow --fail-above 10", 0, "");
    want_shell("$RBENCH compare slow a --fail-above 0", 0, "1.1000");
    want_shell("$RBENCH compare a odd", 3, "counts differ: flops 12 and 13");
    want_shell("$RBENCH compare a odd --fail-above 5", 3, "the counts of 1 tests differ");
    want_shell("$RBENCH compare a other", 1, "no test in common");
    want_shell("$RBENCH compare a nonesuch", 1, "nonesuch: cannot open");
    want_shell("echo [7] >bad; $RBENCH compare bad a", 1, "records are JSON objects");
    want_shell("$RBENCH compare a slow >/dev/full", 1, "cannot write the comparison");
    want("compare a", 2, "two files");
    want("compare a b c", 2, "two files");
    want("compare a b --fail-above 100", 2, "--fail-above");
    want("compare a b -o jsonl", 2, "-o");
}

Test(cli_compare, options_have_columns_where_they_vary)
{
    put_records("a", "{\"n_layer_run\":1}", "{\"n_layer_run\":4}");
    put_records("b", "{\"n_threads\":1,\"env\":{\"model_digest\":\"x|3\"},\"model_type\":\"m|n\"}",
                "{}");
    want_shell("$RBENCH compare a a", 0, "| layers | test ");
    want_shell("$RBENCH compare a a | grep ^Both:", 0, ", threads 2, ");
    want_shell("! $RBENCH compare b b | grep 'Both:.* threads'", 0, "");
    want_shell("$RBENCH compare b b", 0, "| model      | threads | test ");
    want_shell("$RBENCH compare b b", 0, "| m?n        |       1 | tg4 @ d8 ");
}

/* A file of mixed types, its types of random weights: the same counts, whatever the times. */
Test(cli_compare, random_weights_count_as_those_of_the_file)
{
    char root[512], script[1536];
    cr_assert(getcwd(root, sizeof root));
    snprintf(script, sizeof script,
             "$RBENCH synth --set n_layer=8 --set n_embd=256 --set n_ff=512 --set n_vocab=64 "
             "--set n_head=4 --set n_head_kv=2 --set tied=true --type q4_k_m --seed 7 -o m.gguf && "
             "RBENCH=$RBENCH sh %s/bench/real_or_random.sh m.gguf -p 16 -n 2 -r 6 -t 1 --no-roofs",
             root);
    outcome o = shell(script);
    cr_expect_eq(o.code, 0, "%d: %s", o.code, o.err);
    cr_expect(strstr(o.out, "pp16") && strstr(o.out, "tg2"), "%s", o.out);
    cr_expect_null(strstr(o.err, "only in"), "%s", o.err);
    release(&o);
    /* a file of another type counts otherwise */
    snprintf(script, sizeof script,
             "cat > fake <<'EOF'\n#!/bin/sh\n"
             "[ \"$1\" != synth ] || exec $REAL convert m.gguf \"$5\" --type q8_0\n"
             "exec $REAL \"$@\"\nEOF\n"
             "chmod +x fake\n"
             "REAL=$RBENCH RBENCH=./fake sh %s/bench/real_or_random.sh m.gguf -p 16 -n 2 -r 6 -t 1 "
             "--no-roofs",
             root);
    o = shell(script);
    cr_expect_eq(o.code, 3, "%d: %s", o.code, o.err);
    cr_expect(strstr(o.err, "the counts of 2 tests differ"), "%s", o.err);
    release(&o);
}
