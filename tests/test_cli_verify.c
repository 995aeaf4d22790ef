/* rbench verify as users meet it: a line for each check, exit codes, JSON, and faults that are
 * caught. What checks see is tested in test_verify.c; roofs are measured once here.
 * Read next: program.h, ../tools/cmd_verify.c. */
#include "program.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(cli_verify, .init = program_setup, .fini = program_teardown);

Test(cli_verify, mistakes_are_one_line)
{
    want("verify", 2, "verify wants one MODEL");
    want("verify tiny tiny", 2, "verify wants one MODEL");
    want("verify nosuch.gguf", 1, "no such file");
    want("verify tiny --type q9", 2, "--type");
    want("verify tiny -o csv", 2, "md|json");
    want("verify --help", 0, "--prove-red");
}

Test(cli_verify, a_line_for_each_check)
{
    outcome o = run("verify tiny");
    cr_expect_eq(o.code, 0, "%s%s", o.out, o.err);
    cr_expect_eq(lines_of(o.out), 5, "%s", o.out);
    cr_expect(strstr(o.out, "closed form: ok: "), "%s", o.out);
    cr_expect(strstr(o.out, "counting build: ok: "), "%s", o.out);
    cr_expect(strstr(o.out, "variants: ok: "), "%s", o.out);
    cr_expect(strstr(o.out, "roofs: skipped: --no-roofs"), "%s", o.out);
    cr_expect(strstr(o.out, "DRAM counters: "), "%s", o.out);
    cr_expect_str_eq(o.err, "");
    release(&o);
}

Test(cli_verify, copies_of_shapes_are_told)
{
    want("verify llama3.2-1b --type q4_k_m", 0, "layers 2 of 16");
}

Test(cli_verify, faults_are_caught)
{
    outcome o = run("verify tiny --prove-red");
    cr_expect_eq(o.code, 0, "%s%s", o.out, o.err);
    cr_expect_eq(lines_of(o.out), 5 + 1 + 2 + 12 + 2, "%s", o.out);
    cr_expect(strstr(o.out, "| FFN left out "), "%s", o.out);
    cr_expect(strstr(o.out, "| plm-1.8b |"), "%s", o.out);
    cr_expect(strstr(o.out, "| not injected   |"), "%s", o.out);
    cr_expect_null(strstr(o.out, "NOTHING"), "%s", o.out);
    /* one more where memory controllers can be read */
    cr_expect(strstr(o.out, "faults: 10 caught, 0 survived, 2 not injected") ||
                  strstr(o.out, "faults: 11 caught, 0 survived, 1 not injected"),
              "%s", o.out);
    release(&o);
}

Test(cli_verify, json)
{
    outcome o = run("verify tiny --prove-red -o json");
    cr_expect_eq(o.code, 0, "%s", o.err);
    json_t *all = parse(o.out);
    const json_t *faults = json_object_get(all, "faults");
    cr_expect_str_eq(string(all, "selfcheck"), "ok");
    cr_expect_str_eq(string(all, "arch"), "llama");
    cr_expect_eq(json_array_size(json_object_get(all, "checks")), 5);
    cr_expect_eq(json_array_size(faults), 12);
    const json_t *first = json_array_get(faults, 0);
    cr_expect_str_eq(string(first, "fault"), "FFN left out");
    cr_expect(json_is_true(json_object_get(first, "caught")));
    cr_expect_str_eq(string(first, "check"), "closed form");
    cr_expect_str_eq(string(first, "model"), "tiny");
    cr_expect_str_neq(string(first, "expected"), string(first, "claimed"));
    json_decref(all);
    release(&o);
}

/* With roofs: all of it, the last fault too. */
Test(cli_verify, roofs_are_measured_and_their_fault_is_caught)
{
    outcome o = run("verify tiny --prove-red --no-roofs=0 --progress");
    cr_expect(strstr(o.out, "roofs: "), "%s", o.out);
    cr_expect_null(strstr(o.out, "roofs: skipped"), "%s", o.out);
    cr_expect(strstr(o.out, "| DRAM roof measured in a cache        | roofs "), "%s", o.out);
    cr_expect(strstr(o.err, "measuring the roofs"), "%s", o.err);
    release(&o);
}

/* Weights that are no numbers give logits that nothing agrees on. */
Test(cli_verify, a_check_that_fails_exits_3)
{
    static const unsigned char nan[4] = { 0, 0, 0xc0, 0x7f };
    char path[256], line[300];
    snprintf(line, sizeof line, "synth tiny --type f32 -o %s", path_of("m.gguf", path));
    outcome o = run(line);
    cr_assert_eq(o.code, 0, "%s", o.err);
    release(&o);
    FILE *f = fopen(path, "r+b");
    cr_assert(f && !fseek(f, -4, SEEK_END) && fwrite(nan, 1, sizeof nan, f) == sizeof nan);
    cr_assert_eq(fclose(f), 0);
    snprintf(line, sizeof line, "verify %s", path);
    o = run(line);
    cr_expect_eq(o.code, 3, "%s%s", o.out, o.err);
    cr_expect(strstr(o.out, "variants: FAILED: "), "%s", o.out);
    cr_expect(strstr(o.out, "closed form: ok: "), "%s", o.out);
    release(&o);
}
