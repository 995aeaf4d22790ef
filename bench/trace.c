/* Traces of tests and the file made of them, in the JSON object format of Chrome's trace events:
 * complete events ("X") with their times in microseconds, metadata events ("M") that name processes
 * and threads. Within a thread, events nest or follow each other, in order of their start.
 * Refuses to replace a file that is no trace. Read next: ../kernels/trace.h, trial.c. */
#include "trace.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* How every file begins that is written here. */
static const char file_start[] = "{\"traceEvents\":[";

typedef struct traced_test {
    char name[200];
    rb_trace *trace;
} traced_test;

struct rb_traces {
    traced_test *test;
    int n;
    int n_untraced; /* tests that found no room at all */
    int64_t left;   /* spans that the file still takes */
};

rb_status rb_traces_open(rb_traces **out, rb_error *err)
{
    rb_traces *ts = calloc(1, sizeof *ts);
    *out = ts;
    if (!ts)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for traces");
    ts->left = RB_TRACE_FILE;
    return RB_OK;
}

void rb_traces_close(rb_traces *ts)
{
    if (!ts)
        return;
    for (int i = 0; i < ts->n; i++)
        rb_trace_close(ts->test[i].trace);
    free(ts->test);
    free(ts);
}

int rb_traces_n(const rb_traces *ts)
{
    return ts->n;
}

rb_trace *rb_traces_begin(rb_traces *ts, int n_threads)
{
    const int64_t share = ts->left / n_threads;
    const int64_t most = share < RB_TRACE_THREAD ? share : RB_TRACE_THREAD;
    rb_trace *trace = NULL;
    if (most == 0 || rb_trace_open(&trace, n_threads, most, NULL) != RB_OK)
        ts->n_untraced++;
    return trace;
}

void rb_traces_keep(rb_traces *ts, rb_trace *trace, const rb_model *m, const rb_test *t)
{
    char name[64];
    traced_test *grown = realloc(ts->test, (size_t)(ts->n + 1) * sizeof *grown);
    if (!grown) {
        rb_trace_close(trace);
        ts->n_untraced++;
        return;
    }
    ts->test = grown;
    traced_test *to = &ts->test[ts->n++];
    to->trace = trace;
    snprintf(to->name, sizeof to->name, "%s: %s, %lld layers, %s, %d threads, %s", m->config.name,
             rb_test_name(t, name, sizeof name), (long long)t->n_layer,
             rb_attn_name(&m->config, t->attn), t->n_threads, rb_isa_name[t->isa]);
    for (int i = 0; i < trace->n_threads; i++)
        ts->left -= trace->thread[i].n;
}

/* ---- events ---- */

typedef struct writing {
    const rb_traces *ts;
    FILE *out;
    int n_event; /* so far */
} writing;

/* Takes the event over. False: it could not be made, or written. */
static bool put(writing *w, json_t *event)
{
    if (!event)
        return false;
    fputs(w->n_event++ ? ",\n" : "\n", w->out);
    const int bad = json_dumpf(event, w->out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(event);
    return bad == 0;
}

/* A name, or labels, of process pid, or of one of its threads. */
static bool put_meta(writing *w, int pid, int tid, const char *what, const char *key,
                     const char *text)
{
    json_t *s = json_string(text);
    if (!s)
        s = json_string("?"); /* not UTF-8 */
    return put(w, json_pack("{s:s,s:s,s:i,s:i,s:i,s:{s:o}}", "name", what, "ph", "M", "ts", 0,
                            "pid", pid, "tid", tid, "args", key, s));
}

/* A complete event from start_ns to end_ns; args may be NULL. */
static bool put_slice(writing *w, int pid, int tid, const char *name, const char *category,
                      uint64_t start_ns, uint64_t end_ns, json_t *args)
{
    return put(w,
               json_pack("{s:s,s:s,s:s,s:f,s:f,s:i,s:i,s:o*}", "name", name, "cat", category, "ph",
                         "X", "ts", (double)start_ns / 1e3, "dur",
                         (double)(end_ns - start_ns) / 1e3, "pid", pid, "tid", tid, "args", args));
}

static json_t *launch_args(const rb_trace_launch *l, const rb_trace_span *s)
{
    char kernel[96];
    return json_pack(
        "{s:I,s:s,s:s,s:s,s:s,s:o,s:[i,i],s:[I,I],s:I,s:I}", "launch", (json_int_t)s->launch, "op",
        l->kernel->op->name, "kernel", rb_kernel_name(l->kernel, kernel, sizeof kernel), "site",
        rb_site_name[l->site], "phase", rb_phase_name[l->phase], "layer",
        l->layer < 0 ? json_null() : json_integer((json_int_t)l->layer), "part", s->phase,
        l->kernel->n_phase, "units", (json_int_t)s->first, (json_int_t)s->last, "flops",
        (json_int_t)l->flops, "bytes", (json_int_t)l->bytes);
}

/* One thread; Perfetto keeps 0 for its idle thread. */
static bool put_thread(writing *w, int pid, const rb_trace *t, int thread, uint64_t origin_ns)
{
    const rb_trace_thread *of = &t->thread[thread];
    char name[32];
    snprintf(name, sizeof name, "thread %d", thread);
    bool ok = put_meta(w, pid, thread + 1, "thread_name", "name", name);
    for (int64_t i = 0; ok && i < of->n; i++) {
        const rb_trace_span *s = &of->span[i];
        const uint64_t start = s->start_ns - origin_ns, done = s->done_ns - origin_ns;
        const uint64_t end = s->end_ns - origin_ns;
        if (s->launch < 0) {
            ok = put_slice(w, pid, thread + 1, rb_phase_name[s->phase], "step", start, end, NULL);
            continue;
        }
        const rb_trace_launch *l = &t->launch[s->launch];
        if (s->first < s->last)
            ok = put_slice(w, pid, thread + 1, rb_site_name[l->site], "launch", start, done,
                           launch_args(l, s));
        if (ok && t->n_threads > 1)
            ok = put_slice(w, pid, thread + 1, "barrier", "barrier", done, end, NULL);
    }
    return ok;
}

static uint64_t begin_of(const rb_trace *t)
{
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < t->n_threads; i++)
        if (t->thread[i].n && t->thread[i].span[0].start_ns < first)
            first = t->thread[i].span[0].start_ns;
    return first;
}

static bool put_test(writing *w, int pid, const traced_test *t)
{
    const uint64_t origin_ns = begin_of(t->trace);
    const int64_t left_out = t->trace->thread[0].n_left_out;
    char label[64];
    snprintf(label, sizeof label, "%lld launches left out", (long long)left_out);
    bool ok = put_meta(w, pid, 1, "process_name", "name", t->name);
    if (ok && left_out)
        ok = put_meta(w, pid, 1, "process_labels", "labels", label);
    for (int i = 0; ok && i < t->trace->n_threads; i++)
        ok = put_thread(w, pid, t->trace, i, origin_ns);
    return ok;
}

/* ---- the file ---- */

/* What each process holds of its test. */
static json_t *summary(const rb_traces *ts)
{
    json_t *tests = json_array();
    for (int i = 0; i < ts->n; i++) {
        const rb_trace_thread *first = &ts->test[i].trace->thread[0];
        json_array_append_new(tests, json_pack("{s:i,s:I,s:I}", "pid", i + 1, "launches",
                                               (json_int_t)first->n_launch, "launches_left_out",
                                               (json_int_t)first->n_left_out));
    }
    return json_pack("{s:s,s:o,s:i}", "producer", "rbench", "tests", tests, "tests_left_out",
                     ts->n_untraced);
}

static rb_status put_traces(FILE *out, void *arg, rb_error *err)
{
    writing *w = arg;
    w->out = out;
    bool ok = fputs(file_start, out) >= 0;
    for (int i = 0; ok && i < w->ts->n; i++)
        ok = put_test(w, i + 1, &w->ts->test[i]);
    json_t *about = summary(w->ts);
    fputs("\n],\"displayTimeUnit\":\"ns\",\"otherData\":", out);
    ok = ok && json_dumpf(about, out, JSON_COMPACT) == 0;
    fputs("}\n", out);
    json_decref(about);
    if (!ok && !ferror(out))
        return rb_fail(err, RB_ERR_MEMORY, "no memory to write a trace");
    return RB_OK;
}

rb_status rb_traces_write(const rb_traces *ts, const char *path, rb_error *err)
{
    writing w = { .ts = ts };
    return rb_replace_file(path, &(rb_content){ .put = put_traces, .arg = &w }, err);
}

rb_status rb_traces_check(const char *path, rb_error *err)
{
    enum { START = sizeof file_start - 1 };
    char start[START];
    struct stat st;
    FILE *f = !stat(path, &st) && S_ISREG(st.st_mode) && st.st_size ? fopen(path, "rb") : NULL;
    const bool other =
        f && (fread(start, 1, START, f) != START || memcmp(start, file_start, START) != 0);
    if (f)
        fclose(f);
    if (other)
        return rb_fail(err, RB_ERR_FORMAT,
                       "%.300s is no trace and was left as it is; name another file", path);
    return rb_replace_check(path, err);
}

char *rb_traces_text(const rb_traces *ts, char *buf, size_t size)
{
    long long kept = 0, left_out = 0;
    for (int i = 0; i < ts->n; i++) {
        kept += ts->test[i].trace->thread[0].n_launch;
        left_out += ts->test[i].trace->thread[0].n_left_out;
    }
    buf[0] = 0;
    if (ts->n_untraced)
        snprintf(buf, size,
                 "the trace has no room for the last %d tests, and for %lld of %lld "
                 "launches of the others: run fewer, or shorter ones",
                 ts->n_untraced, left_out, kept + left_out);
    else if (left_out)
        snprintf(buf, size,
                 "the trace has no room for %lld of %lld launches: run shorter tests "
                 "(-p, -n), or fewer",
                 left_out, kept + left_out);
    return buf;
}
