/* Memory of a trace, all of it touched before a launch writes to it, and the few lines by which
 * threads fill it. Refuses to grow: a launch that does not fit, and all after it, are counted only.
 * Read next: launch.c. */
#include "trace.h"

#include <stdlib.h>
#include <string.h>

#include "launch.h"

enum { CACHE_LINE = 64 };

/* n things of a size on cache lines of their own, in memory that is there; NULL: there is none. */
static void *make(int64_t n, size_t size)
{
    const size_t bytes = ((size_t)n * size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    void *p = aligned_alloc(CACHE_LINE, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

rb_status rb_trace_open(rb_trace **out, int n_threads, int64_t most, rb_error *err)
{
    rb_trace *t = calloc(1, sizeof *t);
    bool ok = t != NULL;
    *out = NULL;
    if (ok) {
        t->n_threads = n_threads;
        t->thread = make(n_threads, sizeof *t->thread);
        t->launch = make(most, sizeof *t->launch);
        ok = t->thread && t->launch;
    }
    for (int i = 0; ok && i < n_threads; i++) {
        t->thread[i] = (rb_trace_thread){ .span = make(most, sizeof(rb_trace_span)), .most = most };
        ok = t->thread[i].span != NULL;
    }
    if (!ok) {
        rb_trace_close(t);
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a trace of %lld spans in %d threads",
                       (long long)most, n_threads);
    }
    *out = t;
    return RB_OK;
}

void rb_trace_close(rb_trace *t)
{
    if (!t)
        return;
    for (int i = 0; t->thread && i < t->n_threads; i++)
        free(t->thread[i].span);
    free(t->thread);
    free(t->launch);
    free(t);
}

rb_trace_span *rb_trace_step(rb_trace *trace, int thread)
{
    rb_trace_thread *t = &trace->thread[thread];
    if (t->n_left_out || t->n == t->most)
        return NULL;
    t->span[t->n] = (rb_trace_span){ .launch = -1, .start_ns = rb_now_ns() };
    return &t->span[t->n++];
}

void rb_trace_step_end(rb_trace_span *s, rb_phase phase)
{
    s->phase = (int)phase;
    s->done_ns = s->end_ns = rb_now_ns();
}

rb_trace_thread *rb_trace_begin(rb_trace *trace, int thread, int n_phase)
{
    rb_trace_thread *t = &trace->thread[thread];
    if (!t->n_left_out && t->n_launch < t->most && t->n + n_phase <= t->most)
        return t;
    t->n_left_out++;
    return NULL;
}

void rb_trace_phase(rb_trace_thread *t, int phase, int64_t first, int64_t last, uint64_t start_ns,
                    uint64_t done_ns)
{
    t->span[t->n++] = (rb_trace_span){ .launch = t->n_launch,
                                       .phase = phase,
                                       .first = first,
                                       .last = last,
                                       .start_ns = start_ns,
                                       .done_ns = done_ns,
                                       .end_ns = rb_now_ns() };
}
