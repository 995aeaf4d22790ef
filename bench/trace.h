/* Traces of tests as one file of Chrome trace events, which Perfetto and chrome://tracing read: a
 * process for each test, a thread for each of its own, a slice for each step, each phase of a
 * launch and each wait at a barrier. Part of bench.h. Refuses to grow without bounds.
 * Read next: trace.c, ../kernels/trace.h. */
#ifndef RB_TRACES_H
#define RB_TRACES_H

#include "bench.h"

/* What a file holds at most: phases of launches and steps of one thread in one test, and of all. */
enum { RB_TRACE_THREAD = 1 << 14, RB_TRACE_FILE = 1 << 18 };

typedef struct rb_traces rb_traces;

/* An empty file of traces, and how many tests it holds. */
rb_status rb_traces_open(rb_traces **ts, rb_error *err);
void rb_traces_close(rb_traces *ts); /* NULL is fine */
int rb_traces_n(const rb_traces *ts);

/* A trace for one repetition of a test, to be kept or closed; NULL: there is no room, which is
 * noted. */
rb_trace *rb_traces_begin(rb_traces *ts, int n_threads);
/* Takes over what was recorded of test t on m. */
void rb_traces_keep(rb_traces *ts, rb_trace *trace, const rb_model *m, const rb_test *t);

/* Whether path can be written to, and holds nothing but maybe an older trace. */
rb_status rb_traces_check(const char *path, rb_error *err);
/* Replaces path: the JSON object format, times in microseconds from the start of each test. */
rb_status rb_traces_write(const rb_traces *ts, const char *path, rb_error *err);
/* What did not fit, as a sentence; "" if all did. Returns buf. */
char *rb_traces_text(const rb_traces *ts, char *buf, size_t size);

#endif
