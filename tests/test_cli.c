/* The built program as users meet it: help, mistakes, exit codes, formats, an interrupt. What it
 * keeps in files is in test_cli_outputs.c.
 * Read next: program.h, ../tools/rbench.c, ../tools/options.c. */
#include "program.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(cli, .init = program_setup, .fini = program_teardown);

/* ---- help ---- */

Test(cli, help)
{
    want("", 0, "rbench MODEL [options]");
    want("", 0, "--depth-sweep");
    want("help", 0, "rbench predict");
    want("--help", 0, "rbench synth");
    want("version", 0, "rbench ");
    want("--version", 0, "rbench ");
    want("-V", 0, "rbench ");
    want("help bench", 0, "-p, --n-prompt LIST");
    want("tiny --help", 0, "(default 512)");
    want("help eval", 0, "--force LIST");
    want("help synth", 0, "see 'rbench help convert' (default f16)");
    want("help convert", 0, "|q5_k_m");
    want("kernels --help", 0, "--shape SHAPE");
    want("compare --help", 0, "--fail-above PCT");
    want("place --help", 0, "BENCH.json MODEL");
    want("predict -h", 0, "--layers LIST");
    want("synth --help", 0, "--set KEY=VALUE");
}

/* Every option of the help, given a value that none accepts, is known. */
Test(cli, help_names_no_option_that_does_not_parse)
{
    static const char *const commands[] = { "",      "compare", "eval", "kernels",
                                            "place", "predict", "synth" };
    int n = 0;
    for (int c = 0; c < 7; c++) {
        char line[128], *rest, name[64];
        snprintf(line, sizeof line, "%s --help", c ? commands[c] : "tiny");
        outcome o = run(line);
        for (char *row = strtok_r(o.out, "\n", &rest); row; row = strtok_r(NULL, "\n", &rest)) {
            if (strncmp(row, "  -", 3) || sscanf(row, " %60[-a-z]", name) != 1)
                continue;
            snprintf(line, sizeof line, "%s %s=?,? --no-such-option", commands[c], name);
            outcome one = run(line);
            cr_expect_eq(one.code, 2, "%s", line);
            cr_expect(strstr(one.err, name) || strstr(one.err, "no-such-option"), "%s", one.err);
            cr_expect_null(strstr(one.err, "did you mean"), "%s", one.err);
            release(&one);
            n++;
        }
        release(&o);
    }
    cr_assert_gt(n, 40);
}

/* ---- mistakes ---- */

Test(cli, typos_get_the_nearest_match)
{
    want("tiny --dept-sweep", 2, "did you mean '--depth-sweep'?");
    want("tiny -nlp 3", 2, "did you mean '-npl'?");
    want("predict tiny --lyers 3", 2, "did you mean '--layers'?");
    want("predcit tiny", 2, "did you mean 'predict'?");
    want("smollm-135m", 2, "did you mean 'smollm2-135m'?");
    want("help snyth", 2, "did you mean 'synth'?");
    want("benhc tiny", 2, "did you mean 'bench'?");
    want("tiny -x", 2, "unknown option '-x'; see 'rbench --help'");
    want("tiny --xyzzy-plugh", 2, "see 'rbench --help'");
    want("eval tiny --xyzzy-plugh", 2, "see 'rbench eval --help'");
    want("xyzzyplugh", 2, "see 'rbench help'");
}

Test(cli, bad_numbers)
{
    want("tiny -p x", 2, "-p: 'x' is not a whole number from 0 to");
    want("tiny -p 1.5", 2, "'1.5'");
    want("tiny -p 12abc", 2, "'12abc'");
    want("tiny -p=", 2, "''");
    want("tiny -p 1,,2", 2, "''");
    want("tiny -p -5", 2, "'-5'");
    want("tiny -p 0x10", 2, "'0x10'");
    want("tiny -p 99999999999999999999", 2, "'99999999999999999999'");
    want("tiny -p 1-18446744073709551617", 2, "'1-18446744073709551617'");
    want("tiny -p 16777217", 2, "from 0 to 16777216");
    want("tiny -r 0", 2, "from 1 to 1000");
    want("tiny -r 1,2", 2, "'1,2'");
    want("tiny -t 0", 2, "-t");
    want("tiny -p 8-4", 2, "does not rise");
    want("tiny -p 1-8*1", 2, "does not rise");
    want("tiny -p 0-8*2", 2, "does not rise");
    want("tiny -p 1-8+0", 2, "does not rise");
    want("tiny -p 1-16777216", 2, "more than 65536 numbers");
    want("tiny -pg 5", 2, "not a pair");
    want("tiny -pg 5,6,7", 2, "not a pair");
    want("eval tiny --tokens 3,999", 1, "token 999 is outside the vocabulary");
    want("eval tiny --tokens 3 -ctk q8_0", 1,
         "rbench: a cache of q8_0 holds multiples of 32 columns, a head of K has 16");
    want("predict tiny -p 8 -n 0 -ctv q4_0", 1, "a head of V has 16");
}

Test(cli, bad_words_and_missing_ones)
{
    want("tiny -ctk f64", 2, "not one of f32|f16|bf16|q8_0|q4_0");
    want("tiny -o xml", 2, "not one of md|json|jsonl|csv");
    want("tiny --isa sse9", 2, "not one of");
    want("tiny --act int4", 2, "not one of");
    want("tiny -p", 2, "-p needs a value");
    want("tiny --no-warmup=maybe", 2, "neither 1 nor 0");
    want("--depth-sweep", 2, "no MODEL given");
    want("tiny --depth-sweep 3", 2, "write --depth-sweep=3");
    want("tiny --depth-sweep=2 --layers 3", 2, "exclude each other");
    want("tiny -p 0 -n 0", 2, "nothing to run");
    want("eval tiny", 2, "--tokens");
    want("tiny --attn bogus", 2, "attention 'bogus': mha, gqa:G");
    want("predict tiny --attn gqa:3", 1, "4 heads are no multiple of 3");
    want("eval tiny --tokens 3 --attn bogus", 2, "attention 'bogus': mha, gqa:G");
    want("tiny --no-roofs --mla-auto roof", 2, "leave out --no-roofs");
    want("predict", 2, "wants a MODEL");
    want("synth tiny", 2, "-o FILE");
    want("synth nonesuch -o /dev/null", 2, "no preset");
    want("synth tiny --set n_layer=zero -o /dev/null", 2, "n_layer");
    want("synth tiny --like x.gguf -o /dev/null", 2, "no PRESET");
    want("synth --like x.gguf --type q8_0 -o /dev/null", 2, "no PRESET");
    want("synth --like /no/such.gguf -o /dev/null", 1, "/no/such.gguf");
    want("synth --like tiny", 2, "-o FILE");
    want("synth tiny --set colour=red -o /dev/null", 2, "colour");
}

Test(cli, bad_input_exits_1)
{
    char path[256], line[512];
    FILE *f = fopen(path_of("junk.gguf", path), "w");
    fputs("GGUF, it says, but no more", f);
    fclose(f);
    snprintf(line, sizeof line, "%s -p 8", path);
    want(line, 1, "junk.gguf");
    snprintf(line, sizeof line, "eval %s --tokens 1", path);
    want(line, 1, "junk.gguf");
    want("./no/such/model.gguf", 1, "no such file");
    want("no/such", 1, "'rbench synth --list' has the presets, and nothing is downloaded");
    snprintf(line, sizeof line, "%s", path);
    *strrchr(line, '/') = 0;
    want(line, 1, "name the file in it: ");
    want("predict ./no/such/model.gguf", 1, "no such file");
    want("eval ./no/such/model.gguf --tokens 1", 1, "no such file");
    want("llama3.1-70b --layers 4096 -p 8 -n 0", 1, "out of memory");
    want("synth tiny -o /no/such/folder/file.gguf", 1, "/no/such/folder");
}

/* ---- formats ---- */

/* Wants every field of a list of words to be of a type. */
static void want_fields(const json_t *o, const char *words, json_type type)
{
    char *copy = strdup(words), *rest;
    for (char *key = strtok_r(copy, " ", &rest); key; key = strtok_r(NULL, " ", &rest)) {
        const json_t *v = json_object_get(o, key);
        cr_assert(v && json_typeof(v) == type, "%s is missing or of the wrong type", key);
    }
    free(copy);
}

static bool is_a_sample(const json_t *o, long long ns)
{
    size_t i;
    json_t *sample;
    json_array_foreach(json_object_get(o, "samples_ns"), i, sample)
    {
        if (json_integer_value(sample) == ns)
            return true;
    }
    return false;
}

/* Issued bytes of the kernels add up to those of the test, or one is unknown and so is the sum. */
static void check_issued(const json_t *o)
{
    const json_t *sum = json_object_get(o, "bytes_issued");
    long long rd = 0, wr = 0;
    size_t i, unknown = 0;
    json_t *k;
    json_array_foreach(json_object_get(o, "kernels"), i, k)
    {
        const json_t *bytes = json_object_get(k, "bytes_issued");
        if (!json_object_get(k, "site"))
            continue;
        unknown += json_is_null(bytes);
        if (json_is_object(bytes)) {
            rd += integer(bytes, "read");
            wr += integer(bytes, "write");
        }
    }
    cr_assert_eq(json_is_null(sum), unknown > 0);
    cr_assert_eq(json_is_null(json_object_get(o, "oi_issued")), unknown > 0);
    if (!unknown)
        cr_assert(rd == integer(sum, "read") && wr == integer(sum, "write"));
}

/* What every record of a run has, and that its parts add up. */
static void check_record(const json_t *o)
{
    want_fields(
        o,
        "schema_version model_size model_n_params n_batch n_ubatch n_threads n_prompt n_gen "
        "n_depth avg_ns stddev_ns n_layer n_layer_run n_seq flops flops_extra flops_saved "
        "special special_overhead int_macs kv_bytes_per_token",
        JSON_INTEGER);
    want_fields(o, "avg_ts stddev_ts median_ns mad_ns oi oi_kernel gflops gbps", JSON_REAL);
    want_fields(o,
                "build_commit cpu_info backends model_filename model_type type_k type_v test_time "
                "phase arch isa attn_variant kv_fill",
                JSON_STRING);
    long long flops = 0, weight = 0, ns = 0;
    size_t i;
    json_t *k;
    json_array_foreach(json_object_get(o, "kernels"), i, k)
    {
        ns += integer(k, "ns");
        if (!json_object_get(k, "site"))
            continue; /* barrier, launch, other */
        flops += integer(k, "flops");
        weight += integer(json_object_get(k, "bytes"), "weight");
    }
    cr_assert_eq(flops, integer(o, "flops"), "kernels sum to the test");
    cr_assert_eq(weight, integer(json_object_get(o, "bytes"), "weight"));
    check_issued(o);
    cr_assert(is_a_sample(o, ns), "kernels, barrier, launch and other sum to a repetition");
    cr_assert_null(json_object_get(o, "roof_pct"), "no figure that was not measured");
}

Test(cli, json_is_an_array_of_records)
{
    outcome o = run("tiny -p 16,32 -n 4 -d 0,8 -r 3 -o json");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert_str_eq(o.err, "");
    json_t *all = parse(o.out);
    cr_assert_eq(json_array_size(all), 6);
    for (size_t i = 0; i < 6; i++) {
        const json_t *r = json_array_get(all, i);
        check_record(r);
        cr_assert_eq(json_array_size(json_object_get(r, "samples_ns")), 3);
        cr_assert_eq(json_array_size(json_object_get(r, "samples_ts")), 3);
        cr_assert_eq(integer(r, "n_depth"), i < 3 ? 0 : 8);
        cr_assert_str_eq(string(r, "phase"), i % 3 == 2 ? "decode" : "prefill");
    }
    json_decref(all);
    release(&o);
}

Test(cli, jsonl_is_a_record_a_line)
{
    outcome o = run("tiny -pg 8,2 -pg 4,1 --layers 2,6 -npl 2 -r 1 -o jsonl");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert_eq(lines_of(o.out), 4);
    int n = 0;
    for (char *line = strtok(o.out, "\n"); line; line = strtok(NULL, "\n"), n++) {
        json_t *r = parse(line);
        check_record(r);
        cr_assert_str_eq(string(r, "phase"), "mixed");
        cr_assert_eq(integer(r, "n_prompt"), n % 2 ? 4 : 8);
        cr_assert_eq(integer(r, "n_layer_run"), n < 2 ? 2 : 6);
        cr_assert_eq(integer(r, "n_layer"), 4);
        cr_assert_eq(integer(r, "n_seq"), 2);
        json_decref(r);
    }
    release(&o);
}

Test(cli, md_has_a_row_per_test_and_a_table_of_kernels)
{
    outcome o = run("tiny -p 8-32*2 -n 2-4 -r 1");
    static const char *const rows[] = { "| pp8 ", "| pp16 ", "| pp32 ",    "| tg2 ",
                                        "| tg3 ", "| tg4 ",  "| lm_head ", "| total " };
    cr_assert_eq(o.code, 0, "%s", o.err);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert(strstr(o.out, rows[i]), "no '%s' in %s", rows[i], o.out);
    release(&o);
}

Test(cli, a_second_format_goes_to_stderr)
{
    outcome o = run("tiny -p 8 -n 0 -r 1 -o md -oe json");
    cr_assert_eq(o.code, 0);
    cr_assert(strstr(o.out, "| pp8 "));
    json_t *all = parse(o.err);
    cr_assert_eq(json_array_size(all), 1);
    json_decref(all);
    release(&o);
}

Test(cli, the_sweep_says_what_oi_did)
{
    outcome o = run("tiny --depth-sweep=4,1-3,6 -p 8 -n 2 -r 1");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert(strstr(o.out, "OI - OI(1)"));
    cr_assert(strstr(o.out, "pp8: OI W+KV rises strictly with layers, from "), "%s", o.out);
    cr_assert(strstr(o.out, "tg2: OI W+KV rises strictly with layers, from "), "%s", o.out);
    cr_assert(strstr(o.out, " at 1 to "));
    release(&o);
    o = run("tiny --layer-sweep=1,2 -p 8 -n 0 -r 1 -o jsonl");
    cr_assert_eq(lines_of(o.out), 2);
    cr_assert(strstr(o.err, "pp8: OI W+KV rises"), "%s", o.err);
    release(&o);
    want("tiny --depth-sweep=1-4096 -p 8 -n 0 -d 16777000", 1, "--depth-sweep: ");
}

Test(cli, one_failing_test_does_not_stop_the_others)
{
    outcome o = run("tiny -p 8 -n 0 -npl 1,300,2 -r 1 -o json");
    cr_assert_eq(o.code, 1);
    cr_assert(strstr(o.err, "disjoint"));
    json_t *all = parse(o.out);
    cr_assert_eq(json_array_size(all), 3);
    cr_assert_null(json_object_get(json_array_get(all, 0), "error"));
    string(json_array_get(all, 1), "error");
    cr_assert_null(json_object_get(json_array_get(all, 1), "flops"));
    cr_assert_null(json_object_get(json_array_get(all, 2), "error"));
    json_decref(all);
    release(&o);
}

Test(cli, explain_names_formulas_and_numbers)
{
    outcome o = run("tiny -p 8 -n 2 -r 1 --explain");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert(strstr(o.out, "2 T M0 K = "), "%s", o.out);
    cr_assert(strstr(o.out, "T = 8, K = 64, M0 = 192, M1 = 192"), "packed or not: %s", o.out);
    cr_assert(strstr(o.out, "2 d_qk H S = 4608"), "%s", o.out); /* 2 x 16 x 4 x 36 */
    cr_assert(strstr(o.out, "prefill, one launch of each kind: 8 tokens"));
    cr_assert(strstr(o.out, "decode, one launch of each kind: 1 token of 1 sequence after 1"));
    release(&o);
}

/* ---- environment ---- */

Test(cli, options_from_the_environment)
{
    setenv("RBENCH_ARG_P", "8", 1);
    setenv("RBENCH_ARG_N_GEN", "0", 1);
    setenv("RBENCH_ARG_R", "1", 1);
    setenv("RBENCH_ARG_OUTPUT", "jsonl", 1);
    outcome o = run("tiny");
    cr_assert_eq(lines_of(o.out), 1, "%s", o.out);
    json_t *r = parse(o.out);
    cr_assert_eq(integer(r, "n_prompt"), 8);
    json_decref(r);
    release(&o);
    o = run("tiny -p 4 -p 6"); /* flags win, and add up */
    cr_assert_eq(lines_of(o.out), 2, "%s", o.out);
    cr_assert_null(strstr(o.out, "\"n_prompt\":8"));
    release(&o);
    setenv("RBENCH_ARG_R", "many", 1);
    want("tiny", 2, "RBENCH_ARG_R: 'many'");
}

Test(cli, the_isa_can_be_capped)
{
    outcome o = run("tiny -p 8 -n 0 -r 1 -o jsonl --isa scalar");
    json_t *r = parse(o.out);
    cr_assert_str_eq(string(r, "isa"), "scalar");
    json_decref(r);
    release(&o);
    setenv("RBENCH_ISA", "scalar", 1);
    o = run("tiny -p 8 -n 0 -r 1 -o jsonl");
    r = parse(o.out);
    cr_assert_str_eq(string(r, "isa"), "scalar");
    json_decref(r);
    release(&o);
    setenv("RBENCH_ISA", "sse9", 1);
    want("tiny -p 8", 2, "sse9");
}

/* ---- the other commands ---- */

Test(cli, synth_writes_what_bench_and_eval_read)
{
    char path[256], line[512];
    snprintf(line, sizeof line, "synth tiny --set n_layer=2 --type q8_0 -o %s",
             path_of("m.gguf", path));
    outcome o = run(line);
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert_eq(lines_of(o.err), 1);
    release(&o);
    snprintf(line, sizeof line, "eval %s --tokens 3,17,5 --force 7,29", path);
    o = run(line);
    cr_assert_eq(o.code, 0, "%s", o.err);
    static const int token[] = { 3, 17, 5, 7, 29 };
    int n = 0;
    for (char *row = strtok(o.out, "\n"); row; row = strtok(NULL, "\n"), n++) {
        json_t *r = parse(row);
        cr_assert_eq(integer(r, "pos"), n);
        cr_assert_eq(integer(r, "token"), token[n]);
        cr_assert_eq(json_array_size(json_object_get(r, "logits")), 256);
        json_decref(r);
    }
    cr_assert_eq(n, 5);
    release(&o);
    snprintf(line, sizeof line, "%s -p 8 -n 0 -r 1", path);
    want(line, 0, "q8_0");
    want("synth --list", 0, "smollm2-135m");
    snprintf(line, sizeof line,
             "synth --set n_layer=1 --set n_embd=32 --set n_ff=64 --set n_vocab=40 --set n_head=2 "
             "-o %s",
             path);
    want(line, 0, "");
    snprintf(line, sizeof line, "eval %s --tokens 39", path);
    want(line, 0, "\"token\":39");
}

/* A decode step gives what the same position gives in a prefill. */
Test(cli, eval_agrees_with_itself)
{
    outcome whole = run("eval tiny --tokens 3,17,5,7 -ub 2"),
            steps = run("eval tiny --tokens 3,17,5 --force 7 -t 1");
    json_t *a = parse(strrchr(whole.out, '{')), *b = parse(strrchr(steps.out, '{'));
    for (size_t i = 0; i < 256; i++) {
        double x = json_number_value(json_array_get(json_object_get(a, "logits"), i));
        double y = json_number_value(json_array_get(json_object_get(b, "logits"), i));
        cr_assert_float_eq(x, y, 1e-3, "logit %zu: %g and %g", i, x, y);
    }
    json_decref(a);
    json_decref(b);
    release(&whole);
    release(&steps);
}

/* Published closed forms of SmolLM2-135M in f16; attention and heads unfused there, equal here. */
Test(cli, predict_is_exact_and_loads_nothing)
{
    outcome o = run("predict smollm2-135m -p 512 -n 0 -o json");
    cr_assert_eq(o.code, 0, "%s", o.err);
    json_t *all = parse(o.out), *r = json_array_get(all, 0);
    cr_assert_eq(integer(r, "flops"), 118246165252);
    cr_assert_eq(integer(r, "special"), 82874883);
    cr_assert_eq(integer(json_object_get(r, "bytes"), "kv_read"), 11796480);
    cr_assert_eq(integer(json_object_get(r, "bytes"), "kv_write"), 11796480);
    cr_assert_null(json_object_get(r, "median_ns"), "nothing was timed");
    json_decref(all);
    release(&o);
    o = run("predict smollm2-135m -p 0 -n 1 -d 512 -o json");
    all = parse(o.out);
    r = json_array_get(all, 0);
    cr_assert_eq(integer(r, "flops"), 305539912);
    cr_assert_eq(integer(json_object_get(r, "bytes"), "weight"), 269101440);
    cr_assert_eq(integer(json_object_get(r, "bytes"), "kv_read"), 11819520);
    json_decref(all);
    release(&o);
    want("predict llama3.1-70b", 0, "model llama3.1-70b f16, size ");
}

Test(cli, predict_counts_what_bench_counts)
{
    outcome bench = run("tiny -p 20 -n 3 -d 5 -npl 2 -r 1 -o json"),
            dry = run("predict tiny -p 20 -n 3 -d 5 -npl 2 -o json");
    json_t *a = parse(bench.out), *b = parse(dry.out);
    static const char *const keys[] = { "flops",       "special",      "flops_extra",
                                        "flops_saved", "bytes_issued", "bytes",
                                        "dequant_ops", "int_macs",     "kv_bytes_per_token" };
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            cr_assert(json_equal(json_object_get(json_array_get(a, i), keys[k]),
                                 json_object_get(json_array_get(b, i), keys[k])),
                      "%s", keys[k]);
    }
    json_decref(a);
    json_decref(b);
    release(&bench);
    release(&dry);
}

/* ---- interrupts ---- */

/* Signals a run that would take minutes as soon as its first row is out. */
static outcome interrupt(const char *line, int signal)
{
    pid_t pid = start(line);
    for (int waited = 0; waited < 2000; waited++) {
        char *out = slurp("out");
        bool first = strchr(out, '}') != NULL;
        free(out);
        if (first)
            break;
        usleep(10000);
    }
    kill(pid, signal);
    return finish(pid);
}

Test(cli, an_interrupt_keeps_finished_rows_and_closes_the_json)
{
    const char *line = "tiny -p 16 -n 100000 -d 0-64 -r 20 --sequential -o json";
    const int signals[] = { SIGINT, SIGTERM };
    for (int i = 0; i < 2; i++) {
        outcome o = interrupt(line, signals[i]);
        cr_assert_eq(o.code, 128 + signals[i], "exit %d: %s", o.code, o.err);
        json_t *all = parse(o.out);
        cr_assert_geq(json_array_size(all), 1);
        check_record(json_array_get(all, 0));
        json_decref(all);
        release(&o);
    }
}
