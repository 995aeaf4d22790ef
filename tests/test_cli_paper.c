/* The command that measures the paper again, on the smallest preset: what it leaves behind, that it
 * goes on where it stopped, what an interrupt and a budget leave, what it refuses.
 * Read next: program.h, ../tools/cmd_paper.c, test_grid.c (which tests there are). */
#include "program.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(cli_paper, .init = program_setup, .fini = program_teardown);

/* A script whose $PAPER is the command with these options, in the scratch folder. */
static outcome paper(const char *options)
{
    char script[1024];
    snprintf(script, sizeof script, "$RBENCH paper --out p -t 1 %s", options);
    return shell(script);
}

#define TINY "--models tiny --types f16 -r 1 "

/* The records of a file, as an array. */
static json_t *records_of(const char *name)
{
    char *text = slurp(name), *rest = text, *line;
    json_t *all = json_array();
    while ((line = strtok_r(NULL, "\n", &rest)))
        json_array_append_new(all, parse(line));
    free(text);
    return all;
}

static const char *of_paper(const json_t *r, const char *key)
{
    return string(json_object_get(r, "paper"), key);
}

typedef struct counted {
    int all, prompts, steps, proxies, errors, judged;
} counted;

static counted count(const json_t *all, const char *part)
{
    counted c = { 0 };
    size_t i;
    json_t *r;
    json_array_foreach(all, i, r)
    {
        if (strcmp(of_paper(r, "part"), part) != 0)
            continue;
        c.all++;
        c.errors += json_object_get(r, "error") != NULL;
        c.prompts += !integer(r, "n_gen");
        c.steps += !integer(r, "n_prompt") && integer(r, "n_gen") == 8;
        c.proxies += json_object_get(r, "proxy") != NULL;
        c.judged += json_is_number(json_object_get(r, "attn_kl"));
        cr_expect_str_eq(of_paper(r, "model"), "tiny");
        cr_expect_str_eq(of_paper(r, "type"), "f16");
        cr_expect_gt(integer(r, "flops"), 0);
    }
    return c;
}

static void want_count(const json_t *all, const char *part, counted want)
{
    const counted c = count(all, part);
    cr_expect(c.all == want.all && c.prompts == want.prompts && c.steps == want.steps &&
                  c.proxies == want.proxies && c.judged == want.judged && !c.errors,
              "%s: %d records, %d prompts, %d decode, %d proxies, %d errors, %d judged", part,
              c.all, c.prompts, c.steps, c.proxies, c.errors, c.judged);
}

Test(cli_paper, leaves_records_of_each_part_and_goes_on_where_it_stopped)
{
    outcome o = paper(TINY "--budget 10m");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_expect(strstr(o.out, "66 records, 66 of them new"), "%s", o.out);
    cr_expect(strstr(o.out, "time: "), "%s", o.out);
    cr_expect(strstr(o.err, "left out: trio: "), "%s", o.err);
    cr_expect_eq(lines_of(o.err), 1, "%s", o.err);
    release(&o);
    json_t *all = records_of("p/records.jsonl");
    cr_expect_eq(json_array_size(all), 66);
    want_count(all, "layers", (counted){ 26, 13, 13, 13, 0, 0 });
    want_count(all, "workload", (counted){ 16, 2, 13, 2, 0, 0 });
    want_count(all, "forms", (counted){ 24, 6, 18, 3, 0, 20 });
    want_count(all, "trio", (counted){ 0 });
    json_decref(all);
    char *before = slurp("p/records.jsonl");
    o = paper(TINY "--budget 10m");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_expect(strstr(o.out, "66 records, 0 of them new"), "%s", o.out);
    char *after = slurp("p/records.jsonl");
    cr_expect_str_eq(before, after, "a rerun changes nothing");
    free(before);
    free(after);
    release(&o);
    /* what is there is not left out */
    o = paper(TINY "--budget 1");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_expect_eq(lines_of(o.err), 1, "%s", o.err);
    release(&o);
    o = shell("head -n 64 p/records.jsonl > q && cp q p/records.jsonl");
    release(&o);
    o = paper(TINY "--budget 1");
    cr_expect(strstr(o.err, "left out: forms, tiny f16: ") || strstr(o.out, " 2 of them new"),
              "%s%s", o.err, o.out);
    cr_expect_null(strstr(o.err, "all its"), "%s", o.err);
    release(&o);
}

/* Records of another CPU, whose times are others too: only the report is made again. */
static void lay_over(void)
{
    outcome o = shell("sed 's/\"cpu_info\": *\"[^\"]*\"/\"cpu_info\":\"Other CPU\"/; "
                      "s/\"median_ns\": */&1/' p/records.jsonl > other && grep -q Other other");
    cr_assert_eq(o.code, 0, "%s", o.err);
    release(&o);
    o = paper(TINY "--overlay other");
    cr_expect_eq(o.code, 0, "%s", o.err);
    release(&o);
    char *text = slurp("p/report.md");
    cr_expect(strstr(text, "Laid over, as Other CPU: Other CPU, 1 threads"));
    cr_expect(strstr(text, "66 of 66 tests here ran there too, with equal exact counts in 66."));
    cr_expect(strstr(text, " --overlay other "));
    free(text);
    o = shell("sed -i '5s/\"flops\": */&1/' other");
    release(&o);
    o = paper(TINY "--overlay other");
    cr_expect_eq(o.code, 3, "%d: %s", o.code, o.err);
    cr_expect(strstr(o.err, "exact counts of 1 tests differ between machines"), "%s", o.err);
    release(&o);
    o = paper(TINY "--overlay nothing");
    cr_expect(o.code == 1 && lines_of(o.err) == 1 && strstr(o.err, "nothing"), "%d: %s", o.code,
              o.err);
    release(&o);
    o = shell("echo '{\"schema_version\":1}' > none; $RBENCH paper --out q --overlay none " TINY);
    cr_expect(o.code == 1 && strstr(o.err, "none: no record is of a part of the paper"), "%d: %s",
              o.code, o.err);
    release(&o);
    o = paper(TINY "--overlay other,other,other,other,other,other,other,other");
    cr_expect(o.code == 2 && strstr(o.err, "--overlay: at most 7 files"), "%d: %s", o.code, o.err);
    release(&o);
}

/* The last half is run again, and the proxy of a test finds its other half in the file. */
Test(cli_paper, what_is_missing_is_run)
{
    outcome o = paper(TINY);
    cr_assert_eq(o.code, 0, "%s", o.err);
    release(&o);
    o = shell("head -n 27 p/records.jsonl > q && cp q p/records.jsonl");
    release(&o);
    o = paper(TINY);
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_expect(strstr(o.out, "66 records, 39 of them new"), "%s", o.out);
    release(&o);
    json_t *all = records_of("p/records.jsonl");
    const json_t *first = json_array_get(all, 27);
    cr_expect_eq(integer(first, "n_depth"), 128);
    cr_expect(json_object_get(first, "proxy"));
    json_decref(all);
    lay_over();
}

Test(cli_paper, a_file_is_a_model_too)
{
    outcome o = shell("$RBENCH synth tiny --type q8_0 -o m.gguf && mkdir d && mv m.gguf d");
    cr_assert_eq(o.code, 0, "%s", o.err);
    release(&o);
    o = paper("--models d/m.gguf -r 1");
    cr_assert_eq(o.code, 0, "%s", o.err);
    release(&o);
    json_t *all = records_of("p/records.jsonl");
    cr_assert_eq(json_array_size(all), 66);
    cr_expect_str_eq(of_paper(json_array_get(all, 0), "model"), "m.gguf");
    cr_expect_str_eq(of_paper(json_array_get(all, 0), "type"), "q8_0");
    json_decref(all);
}

Test(cli_paper, the_report_has_what_results_depend_on)
{
    outcome o = shell("RBENCH_ISA=scalar $RBENCH paper --out p -t 1 --no-roofs " TINY);
    cr_assert_eq(o.code, 0, "%s", o.err);
    release(&o);
    char *text = slurp("p/report.md");
    cr_expect(strstr(text, "RBENCH_ISA=scalar rbench paper --out p --no-roofs "
                           "--models tiny --types f16 -t 1 -r 1\n"),
              "%s", strstr(text, "## Command"));
    cr_expect(strstr(text, "this run took "));
    cr_expect(strstr(text, "The budget of this run was 900 s, it took "));
    free(text);
}

/* ---- ends before the end ---- */

Test(cli_paper, an_interrupt_keeps_what_there_is)
{
    static const int signals[] = { SIGINT, SIGTERM };
    char line[512], path[256];
    for (int i = 0; i < 2; i++) {
        outcome o = shell("rm -rf p");
        release(&o);
        snprintf(line, sizeof line, "paper --out %s -t 1 " TINY "-r 1000 --progress",
                 path_of("p", path));
        const pid_t pid = start_until(line, "round 2 of");
        kill(pid, signals[i]);
        o = finish(pid);
        cr_assert_eq(o.code, 128 + signals[i], "exit %d: %s", o.code, o.err);
        cr_expect(strstr(o.out, " records, "), "the report is written: %s", o.out);
        release(&o);
        json_t *all = records_of("p/records.jsonl");
        cr_assert_geq(json_array_size(all), 1);
        cr_expect(json_is_true(json_object_get(json_array_get(all, 0), "interrupted")));
        const int kept = (int)json_array_size(all);
        json_decref(all);
        o = paper(TINY);
        char words[64];
        snprintf(words, sizeof words, "%d records, 66 of them new", kept + 66);
        cr_expect(strstr(o.out, words), "%s", o.out);
        release(&o);
    }
}

Test(cli_paper, what_a_budget_leaves_out_is_said)
{
    outcome o = paper(TINY "--budget 1");
    const bool nothing = strstr(o.err, "nothing to report") != NULL; /* on a slow machine */
    cr_expect(strstr(o.err, "left out: layers, tiny f16: "), "%s", o.err);
    json_t *all = records_of("p/records.jsonl");
    cr_expect_lt(json_array_size(all), 66);
    cr_expect_eq(o.code, nothing ? 1 : 0, "%s", o.err);
    json_decref(all);
    release(&o);
    o = shell("$RBENCH paper --out q -t 1 --budget 1"); /* of all models */
    cr_expect(strstr(o.err, "left out: more than these; a report has all of them\n"), "%s", o.err);
    cr_expect_leq(lines_of(o.err), 14, "%s", o.err);
    release(&o);
}

/* ---- refusals ---- */

static void refuse(const char *options, int code, const char *words)
{
    outcome o = paper(options);
    cr_expect_eq(o.code, code, "%s: %d: %s", options, o.code, o.err);
    cr_expect(strstr(o.err, words), "%s: %s", options, o.err);
    cr_expect_eq(lines_of(o.err), 1, "%s", o.err);
    cr_expect_str_eq(o.out, "");
    release(&o);
}

Test(cli_paper, refuses_before_anything_runs)
{
    refuse("--models tinny", 2, "--models: 'tinny' is no file or preset");
    refuse("--models tiny,no/such.gguf", 2, "no/such.gguf");
    refuse("--types q9", 2, "--types");
    refuse("--budget 0", 2, "--budget");
    refuse("--proxy-from no/such.json", 1, "no/such.json");
    refuse("-r 0", 2, "-r");
    refuse("tiny", 2, "models are given by --models");
    refuse("--out no/such/folder", 1, "--out no/such/folder: No such file");
    refuse("--out /dev/null", 1, "/dev/null/records.jsonl");
    outcome o = shell("ls");
    cr_expect_null(strstr(o.out, "p\n"), "%s", o.out);
    release(&o);
    o = shell("mkdir p && echo hello > p/records.jsonl");
    release(&o);
    refuse("--models tiny", 1, "p/records.jsonl is not a file of results");
    o = shell("cp $RBENCH p/x && head -c 64 p/x > m.gguf");
    release(&o);
    refuse("--models m.gguf", 1, "m.gguf");
}
