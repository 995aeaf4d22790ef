/* Where results go beside stdout: the file that keeps them (--out, --resume), figures (--plot) and
 * traces (--trace). It decides nothing about what runs but what to skip.
 * Read next: outputs.c. */
#ifndef RB_OUTPUTS_H
#define RB_OUTPUTS_H

#include "options.h"

typedef struct rb_outputs {
    rb_store *store;                /* --out; NULL: none */
    const char *out, *plot, *trace; /* paths; NULL: none */
    bool resume;
    rb_result *probe; /* of --resume: makes the record that a test would have */
    rb_told told;
    struct json_t *records; /* for the figure */
    rb_traces *traces;      /* NULL: none are wanted */
    int n_skipped;
} rb_outputs;

/* Opens what args name; refuses paths that cannot work before anything runs. */
rb_status rb_outputs_open(rb_outputs *o, const rb_args *args, rb_error *err);
/* Whether --resume has the test already. */
bool rb_outputs_has(rb_outputs *o, const rb_subject *subject, const rb_test *t);
rb_status rb_outputs_row(rb_outputs *o, const rb_subject *subject, const rb_result *r,
                         rb_error *err);
/* Draws: the roofline to the path, and after a sweep the layers beside it. */
rb_status rb_outputs_draw(rb_outputs *o, bool sweep, rb_error *err);
/* Writes what was traced, and says on stderr what did not fit, or that nothing was, unless it was
 * told why: the run failed. */
rb_status rb_outputs_trace(rb_outputs *o, bool failed, rb_error *err);
void rb_outputs_close(rb_outputs *o);

#endif
