/* What a benchmark leaves behind: the file of --out, what --resume makes of it, figures, budgets,
 * and what interrupts, kills and full disks do to all of it. The built program, run as users do.
 * Read next: ../tools/outputs.c, test_store.c (the file alone), test_cli.c. */
#include "../bench/bench.h"
#include "program.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(cli_outputs, .init = program_setup, .fini = program_teardown);

/* Runs "rbench LINE" in the scratch folder and wants a code, and words on stderr. */
static outcome bench(int code, const char *words, const char *line)
{
    char script[1024];
    snprintf(script, sizeof script, "exec $RBENCH %s", line);
    outcome o = shell(script);
    cr_assert_eq(o.code, code, "'%s' exits %d, not %d: %s", line, o.code, code, o.err);
    cr_assert(strstr(o.err, words), "'%s' does not say '%s': %s", line, words, o.err);
    return o;
}

static void bench_only(int code, const char *words, const char *line)
{
    outcome o = bench(code, words, line);
    release(&o);
}

/* ---- records of a file ---- */

static void has(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    cr_assert(v && !json_is_null(v), "a record without %s", key);
}

static void check_finished(const json_t *r)
{
    static const char *const key[] = { "schema_version", "flops",     "bytes",       "oi",
                                       "samples_ns",     "median_ns", "median_ts",   "test_time",
                                       "kernels",        "n_threads", "isa",         "n_layer_run",
                                       "type_k",         "noise",     "build_commit" };
    for (size_t i = 0; i < sizeof key / sizeof *key; i++)
        has(r, key[i]);
    cr_assert_eq(integer(r, "schema_version"), 1);
    cr_assert_eq(strncmp(string(json_object_get(r, "env"), "model_digest"), "xxh3:", 5), 0);
    cr_assert_gt(json_array_size(json_object_get(r, "samples_ns")), 0);
    cr_assert_null(json_object_get(r, "error"));
}

static bool same_test(const json_t *a, const json_t *b)
{
    static const char *const key[] = { "n_prompt", "n_gen", "n_depth", "n_seq", "n_layer_run" };
    bool same = json_equal(json_object_get(json_object_get(a, "env"), "model_digest"),
                           json_object_get(json_object_get(b, "env"), "model_digest"));
    for (size_t i = 0; i < sizeof key / sizeof *key; i++)
        same = same && json_equal(json_object_get(a, key[i]), json_object_get(b, key[i]));
    return same;
}

/* The whole lines of a file, each a finished record unless rows may be interrupted. */
static json_t *records_of(const char *name, bool whole)
{
    char *text = slurp(name), *rest = text;
    json_t *all = json_array();
    for (char *end; (end = strchr(rest, '\n')); rest = end + 1) {
        *end = 0;
        json_t *r = parse(rest);
        if (whole)
            cr_assert_null(json_object_get(r, "interrupted"));
        check_finished(r);
        json_array_append_new(all, r);
    }
    if (whole)
        cr_assert_str_eq(rest, "", "an unfinished line");
    free(text);
    return all;
}

/* n records, none twice. */
static void want_records(const char *name, size_t n)
{
    json_t *all = records_of(name, true);
    cr_assert_eq(json_array_size(all), n, "%zu records, not %zu", json_array_size(all), n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            cr_assert_not(same_test(json_array_get(all, i), json_array_get(all, k)),
                          "records %zu and %zu are of one test", k, i);
    json_decref(all);
}

Test(cli_outputs, out_has_a_record_per_test)
{
    outcome o = bench(0, "", "tiny -p 8,9 -n 2 -r 2 --out f.jsonl -o csv");
    cr_assert_eq(lines_of(o.out), 4, "a head and three rows: %s", o.out);
    release(&o);
    want_records("f.jsonl", 3);
    o = bench(0, "", "tiny -p 10 -n 0 -r 2 --out f.jsonl -o jsonl"); /* appends */
    cr_assert_eq(lines_of(o.out), 1);
    release(&o);
    want_records("f.jsonl", 4);
}

/* The same on stdout, in the file, and in what two formats say. */
Test(cli_outputs, out_holds_what_is_shown)
{
    outcome o = bench(0, "", "tiny -p 8 -n 2 -r 2 --out f.jsonl -o json");
    json_t *shown = parse(o.out), *kept = records_of("f.jsonl", true);
    cr_assert_eq(json_array_size(shown), 2);
    for (size_t i = 0; i < 2; i++) {
        json_t *a = json_array_get(shown, i), *b = json_array_get(kept, i);
        cr_assert(json_equal(json_object_get(a, "samples_ns"), json_object_get(b, "samples_ns")));
        cr_assert(json_equal(json_object_get(a, "bytes"), json_object_get(b, "bytes")));
        cr_assert_eq(json_object_size(a), json_object_size(b));
    }
    json_decref(shown);
    json_decref(kept);
    release(&o);
}

/* ---- roofs ---- */

static void check_share(const json_t *o)
{
    const json_t *pct = json_object_get(o, "roof_pct");
    cr_assert_not_null(pct);
    if (!json_is_null(pct))
        cr_assert(json_number_value(pct) > 0 && json_number_value(pct) <= 100, "%g %%",
                  json_number_value(pct));
}

/* The share of the test is the median over those of its paired samples. */
static void check_samples(const json_t *r)
{
    const json_t *ns = json_object_get(r, "samples_ns"), *pct = json_object_get(r, "roof_pct");
    const json_t *least = json_object_get(r, "samples_roof_ns");
    double share[RB_MAX_REPS];
    int n = 0;
    cr_assert_eq(json_array_size(least), json_array_size(ns));
    for (size_t i = 0; i < json_array_size(ns); i++)
        if (json_is_true(json_array_get(json_object_get(r, "samples_paired"), i)))
            share[n++] = 100 * json_number_value(json_array_get(least, i)) /
                         json_number_value(json_array_get(ns, i));
    cr_assert_eq(n, integer(r, "roof_pairs"));
    if (!json_is_null(pct))
        cr_assert_float_eq(rb_stats_of(share, n).median, json_number_value(pct), 1e-9);
}

static void check_placed(const json_t *r)
{
    static const char *const bounds = "memory compute overhead resident";
    size_t i;
    json_t *k;
    has(r, "roof");
    has(r, "roof_gflops");
    cr_assert(strstr(bounds, string(r, "bound")));
    check_share(r);
    check_samples(r);
    cr_assert_eq(json_is_true(json_object_get(r, "roof_exceeded")) || !integer(r, "roof_pairs"),
                 json_is_null(json_object_get(r, "roof_pct")), "a share, or why there is none");
    cr_assert_leq((size_t)integer(r, "roof_pairs"),
                  json_array_size(json_object_get(r, "samples_ns")));
    json_array_foreach(json_object_get(r, "kernels"), i, k)
    {
        if (json_object_get(k, "site"))
            check_share(k);
    }
    json_array_foreach(json_object_get(r, "samples_read_dram"), i, k)
        cr_assert_gt(json_number_value(k), 0);
    cr_assert_eq(i, json_array_size(json_object_get(r, "samples_ns")));
}

Test(cli_outputs, roofs_are_told_once_and_nothing_is_above_them)
{
    unsetenv("RBENCH_ARG_NO_ROOFS");
    bench_only(0, "", "tiny -p 8,64 -n 4 -r 3 --out f.jsonl -o md -oe json");
    json_t *all = records_of("f.jsonl", true), *r;
    size_t i;
    cr_assert_eq(json_array_size(all), 3);
    json_array_foreach(all, i, r)
    {
        check_placed(r);
        cr_assert_eq(json_object_get(r, "roofs") != NULL, i == 0, "roofs stand in the first");
    }
    const json_t *roofs = json_object_get(json_array_get(all, 0), "roofs");
    cr_assert_geq(json_array_size(roofs), 8);
    json_array_foreach(roofs, i, r)
    {
        has(r, "name");
        has(r, "unit");
        cr_assert_gt(json_number_value(json_object_get(r, "value")), 0);
    }
    json_decref(all);
}

Test(cli_outputs, the_roofs_command)
{
    outcome o = bench(0, "", "roofs -t 1,2 -r 2 --isa scalar -o json");
    json_t *all = parse(o.out);
    cr_assert_eq(integer(all, "schema_version"), 1);
    has(all, "env");
    cr_assert_gt(json_array_size(json_object_get(all, "roofs")), 20); /* of both */
    cr_assert(strstr(o.out, "\"read_dram\"") && strstr(o.out, "\"fma_f32\"") &&
              strstr(o.out, "\"n_threads\":1") && strstr(o.out, "\"n_threads\":2"));
    json_decref(all);
    release(&o);
    o = bench(0, "", "roofs -t 1 -r 2 --isa scalar");
    cr_assert(strstr(o.out, "read_dram") || strstr(o.out, "DRAM"), "%s", o.out);
    release(&o);
    bench_only(2, "no MODEL", "roofs tiny");
    bench_only(2, "-t", "roofs -t 0");
    bench_only(2, "-r", "roofs -r x");
    bench_only(2, "--isa", "roofs --isa sse9");
}

/* ---- going on ---- */

Test(cli_outputs, resume_runs_what_is_missing)
{
    const char *line = "tiny -p 8,9,10 -n 2 -r 2 --out f.jsonl --resume";
    bench_only(0, "", line);
    want_records("f.jsonl", 4);
    bench_only(0, "f.jsonl has 4 of the 4 tests already", line);
    outcome o = shell("sed -i '2d;3d' f.jsonl");
    release(&o);
    want_records("f.jsonl", 2);
    bench_only(0, "f.jsonl has 2 of the 4 tests already", line);
    want_records("f.jsonl", 4);
    bench_only(0, "has 3 of the 4 tests", "tiny -p 8,9,10 -n 3 -r 2 --out f.jsonl --resume");
    want_records("f.jsonl", 5);
}

Test(cli_outputs, resume_knows_models_and_options)
{
    static const char *const others[] = { "tiny -p 8 -n 0 --type q8_0", "tiny -p 8 -n 0 -d 4",
                                          "tiny -p 8 -n 0 -npl 2",      "tiny -p 8 -n 0 -ctk f32",
                                          "tiny -p 8 -n 0 --layers 5",  "tiny -p 8 -n 0 -t 3",
                                          "tiny -p 8 -n 0 --act f32",   "tiny -p 8 -n 0 -ub 4" };
    char line[256];
    bench_only(0, "", "tiny -p 8 -n 0 -t 1 -r 1 --out f.jsonl");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(line, sizeof line, "%s%s -r 1 --out f.jsonl --resume -o jsonl", others[i],
                 strstr(others[i], "-t 3") ? "" : " -t 1");
        outcome o = bench(0, "", line);
        cr_assert_eq(lines_of(o.out), 1, "%s was not run", line);
        cr_assert_null(strstr(o.err, "already"));
        release(&o);
        bench_only(0, "has 1 of the 1 tests already", line);
    }
    /* what counts and threads do not depend on */
    bench_only(0, "has 1 of the 1", "tiny -p 8 -n 0 -t 1 -r 4 --no-warmup --out f.jsonl --resume");
    /* without --resume tests are run again */
    bench_only(0, "", "tiny -p 8 -n 0 -t 1 -r 1 --out f.jsonl");
    json_t *all = records_of("f.jsonl", true);
    cr_assert_eq(json_array_size(all), 2 + sizeof others / sizeof *others);
    json_decref(all);
}

/* Differences are to a depth that is not there: none are shown. */
Test(cli_outputs, a_resumed_sweep_does_not_invent_differences)
{
    bench_only(0, "", "tiny --depth-sweep=1 -p 8 -n 0 -r 1 --out f.jsonl");
    outcome o = bench(0, "", "tiny --depth-sweep=1,2,3 -p 8 -n 0 -r 1 --out f.jsonl --resume");
    cr_assert(strstr(o.out, "OI - OI(1)") && !strstr(o.out, " +"), "%s", o.out);
    release(&o);
}

Test(cli_outputs, a_failed_test_is_tried_again)
{
    bench_only(1, "disjoint", "tiny -p 8 -n 0 -npl 1,300 -r 1 --out f.jsonl");
    bench_only(1, "has 1 of the 2 tests", "tiny -p 8 -n 0 -npl 1,300 -r 1 --out f.jsonl --resume");
}

/* What is refused is refused before anything runs, and nothing is touched. */
Test(cli_outputs, out_is_no_place_to_lose_files)
{
    outcome o = shell("$RBENCH synth tiny -o m.gguf && cp m.gguf same && echo hello > note && "
                      "mkdir d && mkfifo pipe");
    cr_assert_eq(o.code, 0);
    release(&o);
    static const struct {
        const char *out, *words;
        int code;
    } at[] = {
        { "m.gguf", "GGUF model", 1 },
        { "note", "no record", 1 },
        { "d", "directory", 1 },
        { "no/such/f.jsonl", "No such file", 1 },
        { "pipe", "not a regular file", 2 },
        { "/proc/version", "", 1 },
    };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        char line[256];
        snprintf(line, sizeof line, "m.gguf -p 8 -n 0 --plot p.png --out %s", at[i].out);
        o = bench(at[i].code, at[i].words, line);
        cr_assert_eq(lines_of(o.err), 1, "%s", o.err);
        cr_assert_str_eq(o.out, "", "it ran: %s", o.out);
        release(&o);
    }
    o = shell("cmp m.gguf same && grep -qx hello note && test ! -e p.png");
    cr_assert_eq(o.code, 0, "a file was changed");
    release(&o);
    o = bench(2, "--resume wants --out FILE", "tiny -p 8 --resume --plot p.png");
    cr_assert_eq(lines_of(o.err), 1, "%s", o.err);
    release(&o);
}

/* ---- figures ---- */

static void want_file(const char *name, const char *begins)
{
    char *text = slurp(name);
    cr_assert_eq(strncmp(text, begins, strlen(begins)), 0, "%s begins with %.8s", name, text);
    free(text);
}

Test(cli_outputs, figures_are_drawn)
{
    unsetenv("RBENCH_ARG_NO_ROOFS");
    bench_only(0, "", "tiny -p 8 -n 2 -r 2 -t 1 --plot a.svg --out f.jsonl");
    want_file("a.svg", "<");
    bench_only(0, "a-layers.png",
               "tiny --depth-sweep=1,2 -p 8 -n 2 -r 2 -t 1 --plot a.png --resume --out f.jsonl");
    want_file("a.png", "\x89PNG");
    want_file("a-layers.png", "\x89PNG");
    /* from what the file holds, with nothing left to run */
    bench_only(0, "has 2 of the 2", "tiny -p 8 -n 2 -r 2 -t 1 --plot b.SVG --resume --out f.jsonl");
    want_file("b.SVG", "<");
}

Test(cli_outputs, figures_have_a_suffix)
{
    static const char *const bad[] = { "a", "a.jpg", "a.png/b", "a.", "png" };
    char line[256];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(line, sizeof line, "tiny -p 8 --plot %s", bad[i]);
        outcome o = bench(2, ".png or .svg", line);
        cr_assert_str_eq(o.out, "");
        cr_assert_eq(lines_of(o.err), 1);
        release(&o);
    }
}

Test(cli_outputs, a_figure_that_cannot_be_written_is_told_before_anything_runs)
{
    char kept[256];
    outcome o = bench(1, "no/such/a.png: cannot create",
                      "tiny -p 8 -n 0 -r 1 -t 1 --out f.jsonl --plot no/such/a.png");
    cr_expect_str_eq(o.out, "");
    cr_expect_neq(access(path_of("f.jsonl", kept), F_OK), 0);
    release(&o);
}

/* Wherever an interrupt finds it, even while it writes. */
Test(cli_outputs, an_interrupted_plot_leaves_no_part_of_a_figure)
{
    char in[256], out[256], line[600];
    FILE *f = fopen(path_of("r.json", in), "w");
    cr_assert_not_null(f);
    fputs("{\"n_prompt\":1,\"oi\":2,\"gflops\":3,\"median_ns\":4}\n", f);
    fclose(f);
    snprintf(line, sizeof line, "plot %s -o %s --scale 2", in, path_of("a.png", out));
    for (int i = 1; i <= 10; i++) {
        const pid_t pid = start(line);
        usleep(20000 * (unsigned)i);
        kill(pid, SIGTERM);
        outcome o = finish(pid), left = shell("ls -A");
        cr_assert(o.code == 128 + SIGTERM || o.code == 1000 + SIGTERM || o.code == 0, "%d", o.code);
        cr_assert_null(strstr(left.out, ".tmp"), "%s", left.out);
        release(&o);
        release(&left);
    }
    want_file("a.png", "\x89PNG");
}

/* ---- budgets ---- */

Test(cli_outputs, budgets_take_seconds_minutes_and_hours)
{
    static const char *const good[] = { "90", "90s", "15m", "2h", "1", "007", "10000000", "2777h" };
    static const char *const bad[] = {
        "x",
        "0",
        "-5",
        "1d",
        "1.5h",
        "m",
        "99999999h",
        "1 m",
        "",
        "  5",
        "5 ",
        "-0",
        "+5",
        "2.5",
        "1e3",
        "nan",
        "inf",
        "15M",
        "15mm",
        "0x10",
        "0m",
        "m5",
        "2778h",
        "10000001",
        "9223372036854775808",
        "5124095576030432h",
    };
    char line[256];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(line, sizeof line, "tiny -p 8 -n 0 -r 3 -o jsonl --budget %s", good[i]);
        outcome o = bench(0, "", line);
        cr_assert_eq(lines_of(o.out), 1);
        release(&o);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(line, sizeof line, "tiny -p 8 -n 0 --budget '%s'", bad[i]);
        bench_only(2, "--budget", line);
    }
}

Test(cli_outputs, what_a_budget_leaves_out_is_said_and_run_later)
{
    const char *line = "tiny -p 8 -n 2,10000000 -r 3 --budget 2 --out f.jsonl --resume";
    bench_only(0, "--budget: tg10000000 of gqa at 4 layers is left out", line);
    want_records("f.jsonl", 2);
    bench_only(0, "has 2 of the 3", "tiny -p 8 -n 2,3 -r 3 --budget 2 --out f.jsonl --resume");
    want_records("f.jsonl", 3);
}

/* ---- what goes wrong ---- */

/* Signals a run once it is in a test that takes minutes. */
static void interrupt(int signal, bool sequential)
{
    char line[256], path[256];
    snprintf(line, sizeof line, "tiny -p 16 -n 200000 -r 3 -t 1 --progress -o json --out %s%s",
             path_of("f.jsonl", path), sequential ? " --sequential" : "");
    const pid_t pid = start_until(line, "tg200000");
    kill(pid, signal);
    outcome o = finish(pid);
    cr_assert_eq(o.code, 128 + signal, "exit %d: %s", o.code, o.err);
    json_t *shown = parse(o.out); /* the array is closed */
    cr_assert_eq(json_array_size(shown), 1);
    json_decref(shown);
    release(&o);
}

Test(cli_outputs, an_interrupt_keeps_samples_and_is_resumed)
{
    static const int signals[] = { SIGINT, SIGTERM };
    for (int i = 0; i < 4; i++) {
        const bool sequential = i / 2;
        outcome o = shell("rm -f f.jsonl");
        release(&o);
        interrupt(signals[i % 2], sequential);
        json_t *all = records_of("f.jsonl", false), *r = json_array_get(all, 0);
        cr_assert_eq(json_array_size(all), 1);
        cr_assert_eq(json_is_true(json_object_get(r, "interrupted")), !sequential);
        cr_assert_eq(json_array_size(json_object_get(r, "samples_ns")), sequential ? 3 : 1);
        json_decref(all);
        bench_only(0, sequential ? "has 1 of the 1" : "",
                   "tiny -p 16 -n 0 -r 3 -t 1 --out f.jsonl --resume");
        bench_only(0, "has 1 of the 1", "tiny -p 16 -n 0 -r 3 -t 1 --out f.jsonl --resume");
        all = records_of("f.jsonl", false);
        cr_assert_eq(json_array_size(all), sequential ? 1 : 2);
        json_decref(all);
    }
}

/* Killed at any moment: whole lines are whole records, and what is missing is run. */
Test(cli_outputs, kills_lose_unfinished_rows_alone)
{
    enum { KILLS = 50, TESTS = 2 * 2 * 30 };
    char line[512], path[256];
    unsigned random = 12345;
    snprintf(line, sizeof line,
             "tiny --depth-sweep=1-30 -p 4 -n 2 -d 0,3 -r 2 -t 1 --no-warmup --resume --out %s",
             path_of("f.jsonl", path));
    size_t before = 0;
    FILE *f = fopen(path, "w");
    fclose(f);
    for (int i = 0; i < KILLS; i++) {
        int status;
        char this[600];
        snprintf(this, sizeof this, "%s%s", line, i % 4 ? " --sequential" : "");
        const pid_t pid = start(this);
        random = random * 1103515245u + 12345u;
        usleep(1000 + random / 65536u % 70000);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        json_t *all = records_of("f.jsonl", false);
        cr_assert_geq(json_array_size(all), before, "a record was lost");
        before = json_array_size(all);
        json_decref(all);
    }
    outcome o = run(line);
    cr_assert_eq(o.code, 0, "%s", o.err);
    release(&o);
    want_records("f.jsonl", TESTS);
}

Test(cli_outputs, a_torn_line_is_cut_off_and_said)
{
    bench_only(0, "", "tiny -p 8,9 -n 0 -r 1 --out f.jsonl");
    outcome o = shell("truncate -s -20 f.jsonl");
    release(&o);
    bench_only(0, "f.jsonl: the last line was not finished",
               "tiny -p 8,9 -n 0 -r 1 --out f.jsonl --resume");
    want_records("f.jsonl", 2);
}

Test(cli_outputs, a_full_stdout_does_not_stop_the_file)
{
    static const char *const format[] = { "md", "json", "jsonl", "csv" };
    if (access("/dev/full", W_OK))
        return;
    for (size_t i = 0; i < 4; i++) {
        char script[256];
        snprintf(script, sizeof script,
                 "rm -f f.jsonl; $RBENCH tiny -p 8,9 -n 2 -r 2 -o %s --out f.jsonl >/dev/full",
                 format[i]);
        outcome o = shell(script);
        cr_assert_eq(o.code, 1);
        cr_assert_eq(lines_of(o.err), 1, "%s", o.err);
        cr_assert(strstr(o.err, "cannot write the results"), "%s", o.err);
        release(&o);
        want_records("f.jsonl", 3);
    }
}

/* A closed stdout or stderr is not the next file that is opened. */
Test(cli_outputs, closed_files_do_not_end_up_in_out)
{
    static const struct {
        const char *close;
        int code;
    } at[] = { { ">&-", 1 }, { "2>&-", 0 }, { "<&- >&- 2>&-", 1 }, { "<&-", 0 } };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        char script[256];
        snprintf(script, sizeof script,
                 "rm -f f.jsonl; $RBENCH tiny -p 8,9 -n 2 -r 2 --progress --out f.jsonl %s",
                 at[i].close);
        outcome o = shell(script);
        cr_assert_eq(o.code, at[i].code, "%s: %d: %s", at[i].close, o.code, o.err);
        release(&o);
        want_records("f.jsonl", 3);
    }
}

Test(cli_outputs, one_writer_at_a_time)
{
    char line[256], path[256];
    snprintf(line, sizeof line, "tiny -p 8 -n 200000 -t 1 --progress --out %s",
             path_of("f.jsonl", path));
    const pid_t pid = start(line);
    for (int waited = 0; waited < 3000 && access(path, F_OK); waited++)
        usleep(10000);
    usleep(50000);
    char other[512];
    snprintf(other, sizeof other, "exec $RBENCH tiny -p 8 --out f.jsonl >o2 2>e2");
    outcome o = shell(other);
    cr_assert_eq(o.code, 1);
    release(&o);
    kill(pid, SIGKILL);
    int status;
    waitpid(pid, &status, 0);
    char *err = slurp("e2");
    cr_assert(strstr(err, "another process"), "%s", err);
    free(err);
}
