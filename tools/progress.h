/* The line on stderr that says how far a benchmark is and when it may end.
 * Results never pass through here.
 * Read next: progress.c. */
#ifndef RB_PROGRESS_H
#define RB_PROGRESS_H

#include "../bench/bench.h"

typedef struct rb_progress {
    bool line;           /* a terminal: one line, rewritten */
    bool lines;          /* --progress elsewhere: a line per repetition */
    const rb_plan *plan; /* NULL where texts alone are told */
    uint64_t start_ns;
    int shown; /* characters on the line */
} rb_progress;

/* wanted: --progress; quiet: stderr carries results. */
rb_progress rb_progress_make(bool wanted, bool quiet, const rb_plan *plan);
void rb_progress_tell(rb_progress *p, const rb_progress_at *at);
/* What runs, in words. */
void rb_progress_text(rb_progress *p, const char *text);
void rb_progress_clear(rb_progress *p); /* before anything else is printed, and at the end */

#endif
