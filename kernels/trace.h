/* A trace: when each thread went through every phase of every launch, and how long it then waited.
 * Each thread writes memory of its own that was made beforehand; once that is full, launches are
 * counted and left out. Refuses to name or print anything.
 * Read next: launch.c, which writes it, ../bench/trace.c, which makes a file of it. */
#ifndef RB_TRACE_H
#define RB_TRACE_H

#include "op.h"

/* A phase of a launch, or a whole step, as one thread went through it. */
typedef struct rb_trace_span {
    int64_t launch;      /* which one of the trace; -1: a step */
    int phase;           /* of the launch, from 0; of a step its rb_phase */
    int64_t first, last; /* the thread's units of the phase, maybe none */
    /* Its units were done, and the barrier let it go on: of a step both are its end. */
    uint64_t start_ns, done_ns, end_ns;
} rb_trace_span;

/* What one thread writes, on cache lines of its own. */
typedef struct rb_trace_thread {
    _Alignas(64) rb_trace_span *span;
    int64_t n, most;    /* spans, in order of their start */
    int64_t n_launch;   /* launches in them, each with all its phases */
    int64_t n_left_out; /* launches after those; as n_launch the same in every thread */
} rb_trace_thread;

typedef struct rb_trace_launch {
    const rb_kernel *kernel;
    rb_phase phase;
    rb_site site;
    int64_t layer; /* -1: around the layers */
    uint64_t flops, bytes;
} rb_trace_launch;

typedef struct rb_trace {
    int n_threads;
    rb_trace_thread *thread;
    rb_trace_launch *launch; /* [thread[0].n_launch], by the first thread */
} rb_trace;

/* Room for so many spans in each thread. */
rb_status rb_trace_open(rb_trace **t, int n_threads, int64_t most, rb_error *err);
void rb_trace_close(rb_trace *t); /* NULL is fine */

/* ---- for launch.c ---- */

/* A step begins: its span, to be ended by rb_trace_step_end. NULL: there is no room. */
rb_trace_span *rb_trace_step(rb_trace *t, int thread);
void rb_trace_step_end(rb_trace_span *s, rb_phase phase);
/* A launch begins: where its phases go. NULL: there is no room, which is counted. */
rb_trace_thread *rb_trace_begin(rb_trace *t, int thread, int n_phase);
/* A phase has passed its barrier. */
void rb_trace_phase(rb_trace_thread *t, int phase, int64_t first, int64_t last, uint64_t start_ns,
                    uint64_t done_ns);

#endif
