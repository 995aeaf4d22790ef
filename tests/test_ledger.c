/* Every count of small runs is the one that is kept in tests/vectors/ledger.txt: on each ISA, with
 * 1 to 8 threads, with BLAS and without, packed and not, by whatever compiler. A count
 * that is meant to change is written anew by `make ledger`, and the diff shows which did.
 * Read next: small_runs.h. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "small_runs.h"

enum { MOST_THREADS = 8 };

/* The kept text of a run, and where it ends: at the next one. NULL: there is none. */
static const char *kept_of(const char *file, const char *name, size_t *n)
{
    char head[128];
    snprintf(head, sizeof head, "## %s\n", name);
    const char *at = strstr(file, head), *next = at ? strstr(at + 1, "\n## ") : NULL;
    *n = next ? (size_t)(next + 1 - at) : at ? strlen(at) : 0;
    return at;
}

/* Where text is not what was kept, the first lines that differ are told. */
static void expect_text(const char *file, const small_run *r, const char *text, const char *how)
{
    size_t n;
    const char *kept = kept_of(file, r->name, &n);
    size_t line = 0, i = 0;
    cr_assert_not_null(kept, "%s is not in ledger.txt", r->name);
    for (; i < n && text[i] == kept[i]; i++)
        line = text[i] == '\n' ? i + 1 : line;
    cr_expect(i == n && text[i] == '\0', "%s, %s:\n  is   %.*s\n  kept %.*s", r->name, how,
              (int)strcspn(text + line, "\n"), text + line, (int)strcspn(kept + line, "\n"),
              kept + line);
}

static void run_is_kept(const char *file, const small_run *r, small_way way)
{
    char how[64];
    rb_ledger ledger;
    small_run_all(r, way, NULL, &ledger);
    char *text = small_run_text(r, &ledger);
    snprintf(how, sizeof how, "%s%s, %d threads", rb_isa_name[way.isa],
             way.capped ? "" : " and BLAS", way.n_threads);
    expect_text(file, r, text, how);
    free(text);
}

/* Each ISA with a number of threads that goes round; the best one also with BLAS. */
static void expect_kept(const char *file, const small_run *r, int *turn)
{
    rb_error err;
    rb_isa best;
    bool capped;
    cr_assert_eq(rb_isa_detect(&best, &capped, &err), RB_OK, "%s", err.text);
    for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++)
        if (rb_isa_supported(isa))
            run_is_kept(file, r, (small_way){ isa, true, 1 + (*turn)++ % MOST_THREADS });
    run_is_kept(file, r, (small_way){ best, false, 2 });
}

Test(ledger, is_the_kept_one_on_every_isa_with_any_threads)
{
    blob file = blob_read("tests/vectors/ledger.txt");
    int in_file = 0, turn = 0;
    blob_uint(&file, 0, 1);
    const char *text = (const char *)file.data;
    for (int i = 0; i < small_run_count(); i++) {
        small_run r = small_run_open(i);
        expect_kept(text, &r, &turn);
        small_run_close(&r);
    }
    for (const char *at = text; (at = strstr(at, "\n## ")); at++)
        in_file++;
    cr_expect_eq(in_file, small_run_count(), "ledger.txt has %d runs", in_file);
    blob_free(&file);
}

/* A count, a line more and a line less in the file, and a run that it has not. */
Test(ledger, a_change_is_seen)
{
    small_run r = small_run_open(0);
    rb_ledger ledger;
    size_t n;
    small_run_all(&r, (small_way){ RB_ISA_SCALAR, true, 1 }, NULL, &ledger);
    char *text = small_run_text(&r, &ledger);
    cr_expect_not_null(kept_of(text, r.name, &n));
    cr_expect_eq(n, strlen(text));
    cr_expect_null(kept_of(text, "another", &n));
    for (rb_site site = 0; site < RB_N_SITE; site++)
        for (rb_op_id op = 0; op < RB_N_OP; op++) {
            rb_tally *t = &ledger.at[RB_DECODE][site][op];
            uint64_t *const number[] = { &t->calls, &t->cost.flops, &t->cost.special,
                                         &t->cost.rd[RB_ACT], &t->cost.wr[RB_KV] };
            for (size_t i = 0; t->calls && i < sizeof number / sizeof *number; i++) {
                ++*number[i];
                char *other = small_run_text(&r, &ledger);
                cr_expect_str_neq(other, text, "%s", rb_site_name[site]);
                free(other);
                --*number[i];
            }
        }
    free(text);
    small_run_close(&r);
}
