/* rbench kernels as users meet it: mistakes, the list of rows, tables, records, an interrupt. What
 * is measured is tested in test_kernel_runs.c; here shapes are small and roofs are measured once.
 * Read next: program.h, ../tools/cmd_kernels.c. */
#include "program.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(cli_kernels, .init = program_setup, .fini = program_teardown);

/* ---- mistakes ---- */

Test(cli_kernels, mistakes_are_one_line)
{
    want("kernels matmull", 2, "did you mean 'matmul'?");
    want("kernels xyzzyplugh", 2, "there are embed, rmsnorm");
    want("kernels roof_read", 2, "see 'rbench roofs'");
    want("kernels --shape 1,2,3,4", 2, "it has M (rows of w), K (columns of w and x), T (tokens)");
    want("kernels attend --shape Q=3", 2, "attend has no 'Q'; it has T (tokens), H");
    want("kernels attend --shape T=1,T=2", 2, "T is given twice");
    want("kernels --shape 1,x", 2, "--shape: K: 'x' is not a whole number");
    want("kernels --shape M=0", 2, "M: '0' is not a whole number from 1");
    want("kernels --shape 99999999999999999999,1,1", 2, "M: '99999999999999999999'");
    want("kernels --shape T=1-5000", 2, "more than 4096 shapes");
    want("kernels add rope --shape T=1", 2, "--shape wants one OP");
    want("kernels --type q9", 2, "no type 'q9'");
    want("kernels --type i32", 2, "no kernel has one of these types");
    want("kernels add --type q8_0", 2, "add: no kernel of q8_0");
    want("kernels --shape M=64,K=100 --type q8_0", 2, "K: blocks of q8_0 are 32 columns");
    want("kernels --shape M=40 --type f16.p16", 2, "M: f16.p16 packs 16 rows");
    want("kernels attend --shape S=4,T=8", 2, "attend: S: 4 keys are fewer than the 8 tokens");
    want("kernels attend --shape H=32,G=7", 2, "rbench: attend: heads of q, K and V");
    want("kernels --cache hot", 2, "both|cold|warm");
}

Test(cli_kernels, what_does_not_fit_costs_its_row_alone)
{
    outcome o = run("kernels --shape 2147483647,1048576,1;16,32,1 --type f32 -r 1 -o jsonl");
    cr_expect_eq(o.code, 1);
    cr_expect_eq(lines_of(o.err), 1, "%s", o.err);
    cr_expect(strstr(o.err, "out of memory: its operands need"), "%s", o.err);
    cr_assert_eq(lines_of(o.out), 2, "%s", o.out);
    char *second = strchr(o.out, '\n') + 1;
    second[-1] = '\0';
    json_t *bad = parse(o.out), *good = parse(second);
    cr_expect(strstr(string(bad, "error"), "out of memory"));
    cr_expect_null(json_object_get(good, "error"));
    json_decref(bad);
    json_decref(good);
    release(&o);
}

/* ---- the list ---- */

Test(cli_kernels, list)
{
    want("kernels --list", 0, "| matmul.q8_0.p16.i8.scalar");
    want("kernels --list matmul", 0, "unproven: OpenBLAS");
    outcome o = run("kernels --list add rope");
    cr_expect(strstr(o.out, "add.f32.scalar") && strstr(o.out, "rope.f32.scalar"));
    cr_expect_null(strstr(o.out, "matmul"));
    cr_expect_null(strstr(o.out, "count8"));
    release(&o);
}

/* ---- tables and records ---- */

Test(cli_kernels, table)
{
    outcome o = run("kernels --shape T=1-4*2,M=16,K=32;32,32,1 --type f32,q8_0 -r 1 --cache warm");
    cr_expect_eq(o.code, 0, "%s", o.err);
    cr_expect_eq(lines_of(o.out), 2 + 2 * 4, "%s", o.out);
    cr_expect(strstr(o.out, "M=16 K=32 T=4 "), "%s", o.out);
    cr_expect_null(strstr(o.out, "cold"), "%s", o.out);
    cr_expect(strstr(o.out, "matmul.q8_0.p16."), "packed as sessions have it: %s", o.out);
    cr_expect_str_eq(o.err, "");
    release(&o);
}

Test(cli_kernels, all_marks_what_the_door_takes)
{
    outcome o = run("kernels --all --shape 16,32,1 --type q8_0 -r 1 --cache warm");
    cr_expect_eq(o.code, 0);
    cr_expect(strstr(o.out, "matmul.q8_0.scalar"), "%s", o.out);
    cr_expect_eq(strncmp(o.out, "matmul M=16 K=32 T=1, ", 22), 0, "told once: %s", o.out);
    cr_expect_null(strstr(o.out, "| shape"), "%s", o.out);
    int taken = 0;
    for (const char *at = o.out; (at = strstr(at, "| taken")); at++)
        taken++;
    cr_expect_eq(taken, 2, "as files have it, and packed: %s", o.out);
    release(&o);
    want("kernels --all --shape 64,64,40 --type f32 -r 1 --cache warm --isa scalar", 0, "scalar");
}

Test(cli_kernels, explain_shows_formulas_with_numbers)
{
    const char *line = "kernels attend --shape T=2,H=8,G=2,S=30 --type f16 -r 1 --explain";
    want(line, 0, "2 d_qk H S = 60416"); /* 29 + 30 keys, 2 x 64 x 8 */
    want("kernels --shape 16,32,1 --type f32 -r 1 --explain", 0, "bytes    2240: weight 2048");
}

static json_t *record_of(const char *line)
{
    outcome o = run(line);
    cr_assert_eq(o.code, 0, "%s", o.err);
    json_t *list = parse(o.out);
    cr_assert_eq(json_array_size(list), 1);
    json_t *r = json_incref(json_array_get(list, 0));
    json_decref(list);
    release(&o);
    return r;
}

Test(cli_kernels, experts_tell_their_type)
{
    const char *line = "kernels experts --shape H=32,F=32,E=4,k=2 --type q8_0 -r 1 --cache warm";
    want(line, 0, "T=1 H=32 F=32 E=4 k=2 q8_0");
}

/* The one test here that measures roofs. */
Test(cli_kernels, a_record_has_counts_times_and_roofs)
{
    json_t *r = record_of("kernels --shape 64,256,2 --type q8_0 -r 6 -o json --no-roofs=0");
    cr_expect_eq(integer(r, "flops"), 2 * 64 * 256 * 2);
    cr_expect_eq(integer(json_object_get(r, "bytes"), "weight"), 64 * 256 / 32 * 34);
    cr_expect_eq(integer(json_object_get(r, "shape"), "K"), 256);
    cr_expect_str_eq(string(r, "record"), "kernel");
    cr_expect_gt(json_array_size(json_object_get(r, "roofs")), 5);
    cr_expect(json_is_true(json_object_get(r, "chosen")));
    static const char *const temper[] = { "cold", "warm" };
    for (int t = 0; t < 2; t++) {
        const json_t *at = json_object_get(r, temper[t]);
        const json_t *pct = json_object_get(at, "roof_pct");
        cr_expect_eq(integer(at, "n_samples"), 6);
        cr_expect_eq(json_array_size(json_object_get(at, "ci95_ns")), 2);
        cr_expect_gt(json_real_value(json_object_get(at, "median_ns")), 0);
        cr_expect(json_is_null(pct) || json_real_value(pct) <= 100, "no share above 100 %%");
        cr_expect_leq(integer(at, "roof_pairs"), 6);
        string(at, "roof");
    }
    cr_expect_gt(integer(json_object_get(r, "cold"), "n_sets"), 100);
    cr_expect_str_eq(string(json_object_get(r, "cold"), "level"), "dram");
    json_decref(r);
}

Test(cli_kernels, csv_has_a_line_each)
{
    outcome o = run("kernels add silu_gate --cache warm -r 1 -o csv");
    cr_expect_eq(o.code, 0, "%s", o.err);
    cr_expect_eq(lines_of(o.out), 1 + 4, "%s", o.out);
    cr_expect(strstr(o.out, ",cold_median_ns,") && strstr(o.out, ",warm_roof_pct,"), "%s", o.out);
    cr_expect(strstr(o.out, "T=512 F=8192"), "%s", o.out);
    release(&o);
}

Test(cli_kernels, threads_sweep_shows_scaling)
{
    outcome o = run("kernels add --threads-sweep -t 3 -r 1 --shape T=6,H=64");
    cr_expect_eq(o.code, 0, "%s", o.err);
    cr_expect(strstr(o.out, "By threads, cold:") && strstr(o.out, "By threads, warm:"), "%s",
              o.out);
    cr_expect(strstr(o.out, " 1 thread ") && strstr(o.out, " 2 threads ") &&
                  strstr(o.out, " 3 threads "),
              "%s", o.out);
    release(&o);
}

Test(cli_kernels, a_budget_says_what_it_left_out)
{
    outcome o = run("kernels --budget 1 -r 1000 -o csv");
    cr_expect_eq(o.code, 0, "%s", o.err);
    cr_expect_gt(lines_of(o.out), 1);
    cr_expect(strstr(o.err, "are left out") || lines_of(o.err) == 0, "%s", o.err);
    release(&o);
}

/* ---- an interrupt ---- */

Test(cli_kernels, an_interrupt_keeps_rows_and_closes_the_json)
{
    pid_t pid = start("kernels add --shape T=1-4096,H=64 -r 5 -o json");
    for (int waited = 0; waited < 2000; waited++) {
        char *out = slurp("out");
        const bool first = strchr(out, '}') != NULL;
        free(out);
        if (first)
            break;
        usleep(10000);
    }
    kill(pid, SIGINT);
    outcome o = finish(pid);
    cr_assert_eq(o.code, 128 + SIGINT, "exit %d: %s", o.code, o.err);
    json_t *all = parse(o.out);
    cr_expect(json_array_size(all) >= 1 && json_array_size(all) < 4096);
    cr_expect(strstr(string(json_array_get(all, 0), "kernel"), "add.f32"));
    json_decref(all);
    release(&o);
}
