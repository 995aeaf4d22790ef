/* Prints what tests/vectors/ledger.txt keeps: the counts of every small run, with one thread and as
 * scalar code or as the ISA that is named, which must make no difference. `make ledger` writes the
 * file; its diff shows which counts have changed. Read next: ../small_runs.h. */
#include <stdlib.h>

#include "../small_runs.h"

int main(int argc, char **argv)
{
    rb_isa isa;
    rb_error err;
    if (rb_isa_by_name(argc > 1 ? argv[1] : "scalar", &isa, &err) != RB_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    puts("# Counts of the runs of tests/small_runs.c, written by `make ledger`: phase, site, op, "
         "calls,\n# flops, special, weight, kv_read, kv_write, act_read, act_write.");
    for (int i = 0; i < small_run_count(); i++) {
        small_run r = small_run_open(i);
        rb_ledger ledger;
        small_run_all(&r, (small_way){ isa, true, 1 }, NULL, &ledger);
        char *text = small_run_text(&r, &ledger);
        fputs(text, stdout);
        free(text);
        small_run_close(&r);
    }
    return 0;
}
