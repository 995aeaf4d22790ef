/* The line on stderr that says how far a benchmark is and when it may end.
 * Results never pass through here.
 * Read next: progress.c. */
#ifndef RB_PROGRESS_H
#define RB_PROGRESS_H

#include "../bench/bench.h"

typedef struct rb_progress {
    bool line;  /* a terminal: one line, rewritten */
    bool lines; /* --progress elsewhere: a line per repetition */
    const rb_plan *plan;
    const rb_config *config;
    int test; /* index in the plan */
    double work_done, work_all;
    uint64_t start_ns;
    int shown; /* characters on the line */
} rb_progress;

/* wanted: --progress; quiet: stderr carries results. */
rb_progress rb_progress_make(bool wanted, bool quiet, const rb_plan *plan, const rb_config *config);
void rb_progress_tell(void *progress, int rep, int n_reps); /* for rb_bench_params.progress */
void rb_progress_clear(rb_progress *p);                     /* before anything else is printed */
void rb_progress_done(rb_progress *p);                      /* after each test */

#endif
