/* With ISA and threads as they are, logits are the same to the bit, run for run: in one process,
 * whatever lies in memory meanwhile, and in two; prefill, decode and batches of every family, type
 * of weights and cache, packed and not, with BLAS and without.
 * Read next: small_runs.h. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "program.h"
#include "small_runs.h"

enum { AGAIN = 2 };

/* Runs differ in where their memory lies, and in what it held. */
static void expect_repeats(const small_run *r, small_way way)
{
    const size_t n = small_run_logits(r);
    float *first = calloc(n, sizeof *first), *again = calloc(n, sizeof *again);
    void *between[AGAIN] = { NULL };
    rb_ledger ledger;
    cr_assert(first && again);
    small_run_all(r, way, first, &ledger);
    for (size_t i = 0; i < AGAIN; i++) {
        between[i] = malloc(4000 * (i + 1) + 16);
        cr_assert_not_null(between[i]);
        memset(between[i], 0xff, 4000 * (i + 1) + 16);
        small_run_all(r, way, again, &ledger);
        cr_expect_arr_eq(first, again, n * sizeof *first, "%s: %s%s, %d threads, run %zu", r->name,
                         rb_isa_name[way.isa], way.capped ? "" : " and BLAS", way.n_threads, i + 2);
    }
    for (size_t i = 0; i < AGAIN; i++)
        free(between[i]);
    free(first);
    free(again);
}

/* Each run on the best ISA with BLAS and, in turn, on one of all without, with 1 to 4 threads. */
Test(determinism, logits_repeat_to_the_bit)
{
    rb_isa have[RB_N_ISA], best;
    rb_error err;
    bool capped;
    int n_isa = 0;
    cr_assert_eq(rb_isa_detect(&best, &capped, &err), RB_OK, "%s", err.text);
    for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++)
        if (rb_isa_supported(isa))
            have[n_isa++] = isa;
    for (int i = 0; i < small_run_count(); i++) {
        small_run r = small_run_open(i);
        expect_repeats(&r, (small_way){ have[i % n_isa], true, 1 + i % 4 });
        expect_repeats(&r, (small_way){ best, false, 2 + i % 3 });
        small_run_close(&r);
    }
}

/* A process has its own addresses, threads and OpenMP. */
Test(determinism, two_processes_print_the_same_logits, .init = program_setup,
     .fini = program_teardown)
{
    static const char *const family[] = { "llama",    "mixtral",     "qwen2_moe",  "qwen3_moe",
                                          "gpt_neox", "deepseek_v2", "deepseek_v3" };
    for (size_t i = 0; i < sizeof family / sizeof *family; i++) {
        char line[256];
        snprintf(line, sizeof line, "eval tests/vectors/hf/%s --tokens 3,17,5,9 --force 7,29 -t 2",
                 family[i]);
        outcome a = run(line), b = run(line);
        cr_expect_eq(a.code, 0, "%s", a.err);
        cr_expect(strlen(a.out) > 1000);
        cr_expect_str_eq(a.out, b.out, "%s", family[i]);
        release(&a);
        release(&b);
    }
}
