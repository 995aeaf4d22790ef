/* rbench roofs: measures this machine and prints its roofs, with spread and ridge points. The same
 * loops, clock and threads that every benchmark is held against.
 * Nothing of a model is run here. Read next: ../bench/roofs.c. */
#include "shared.h"

#include <stdlib.h>
#include <string.h>

static const rb_option options[] = {
    RB_THREADS_OPTION(RB_OPT_INTS, "LIST", RB_THREADS_HELP),
    { .names = "-r, --repetitions",
      .kind = RB_OPT_INT,
      .value = "N",
      .preset = "21",
      .min = 1,
      .max = RB_MAX_REPS,
      .help = "samples of each loop; the median is reported" },
    { .names = "--isa",
      .kind = RB_OPT_WORDS,
      .value = "LIST",
      .choices = RB_ISAS,
      .help = "instruction sets (default: the best, and what the lower ones compute)" },
    RB_FORMAT_OPTION("md|json", "format of the results"),
};

enum { MAX_MACHINES = 64 };

typedef struct survey {
    const rb_args *args;
    rb_machine *machine; /* [MAX_MACHINES] */
    int n;
} survey;

static rb_status measure(survey *s, int n_threads, rb_isa isa, bool capped, bool compute_only,
                         rb_error *err)
{
    rb_roofs *roofs = NULL;
    if (s->n == MAX_MACHINES)
        return rb_fail(err, RB_ERR_ARGUMENT, "more than %d pairs of threads and ISA", MAX_MACHINES);
    rb_status st = rb_roofs_open(&roofs, n_threads, isa, capped, NULL, err);
    if (st != RB_OK)
        return st;
    st = rb_roofs_measure(roofs, (int)rb_opt_int(s->args, "-r"), compute_only, rb_stop, NULL, err);
    if (st == RB_OK)
        s->machine[s->n++] = *rb_roofs_machine(roofs);
    rb_roofs_close(roofs);
    return st;
}

/* All roofs of the best ISA, or of those named; of lower ones what they compute. */
static rb_status measure_threads(survey *s, int n_threads, rb_error *err)
{
    const rb_opt_value *named = rb_opt_get(s->args, "--isa");
    rb_isa isa;
    bool capped;
    rb_status st = RB_OK;
    for (int i = 0; i < named->n && st == RB_OK; i++) {
        st = rb_isa_of(named->text[i], &isa, &capped, err);
        if (st == RB_OK)
            st = measure(s, n_threads, isa, true, false, err);
    }
    if (named->n || st != RB_OK)
        return st;
    st = rb_isa_of(NULL, &isa, &capped, err);
    if (st == RB_OK)
        st = measure(s, n_threads, isa, capped, false, err);
    for (int lower = (int)isa - 1; lower >= RB_ISA_SCALAR && st == RB_OK && !rb_signal(); lower--)
        if (rb_isa_supported((rb_isa)lower))
            st = measure(s, n_threads, (rb_isa)lower, true, true, err);
    return st;
}

static rb_status measure_all(survey *s, rb_error *err)
{
    const rb_opt_value *threads = rb_opt_get(s->args, "-t");
    rb_status st = RB_OK;
    if (!threads->n)
        return measure_threads(s, rb_host_threads(), err);
    for (int i = 0; i < threads->n && st == RB_OK && !rb_signal(); i++)
        st = measure_threads(s, (int)threads->num[i], err);
    return st;
}

static int run_roofs(const rb_args *args)
{
    survey s = { .args = args, .machine = calloc(MAX_MACHINES, sizeof *s.machine) };
    rb_error err = { 0 };
    int code = RB_EXIT_OK;
    if (args->n) {
        rb_complain("roofs takes no MODEL: it measures this machine");
        free(s.machine);
        return RB_EXIT_USAGE;
    }
    rb_catch_signals();
    rb_host_pin_threads();
    rb_status st =
        s.machine ? measure_all(&s, &err) : rb_fail(&err, RB_ERR_MEMORY, "no memory for the roofs");
    if (st != RB_OK) {
        rb_complain("%s", err.text);
        code = err.status == RB_ERR_ARGUMENT ? RB_EXIT_USAGE : RB_EXIT_FAILED;
    }
    if (s.n && rb_roofs_write(stdout, s.machine, s.n, !strcmp(rb_opt_text(args, "-o"), "json"),
                              RB_COMMIT, &err) != RB_OK) {
        rb_complain("%s", err.text);
        code = RB_EXIT_FAILED;
    }
    free(s.machine);
    return code;
}

const rb_command rb_cmd_roofs = {
    .name = "roofs",
    .usage = "[options]",
    .about = "Measures the roofs of this machine: what its instruction sets compute, the "
             "bandwidth of each cache level and of DRAM, what a launch and a barrier cost. Of "
             "several loops for one roof the best is taken. Bandwidth counts every array of a "
             "loop once; what a store reads beforehand is not counted.",
    .what = "measure this machine: compute, bandwidth per level, ridge points",
    .example = "\twith all cores\n"
               "-t 1,2,4 -o json\thow roofs scale, for scripts\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_roofs,
};
