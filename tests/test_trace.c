/* Traces: what threads record against the ledger and against what a barrier is, and the file
 * against the rules of Chrome's trace events, as it is written here and by the built program.
 * No timing is judged. Read next: ../kernels/trace.h, ../bench/trace.c. */
#include <criterion/criterion.h>

#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../bench/bench.h"
#include "program.h"
#include "vectors.h"

/* ---- what threads record ---- */

static rb_session *open_session(const rb_model *model, int n_threads)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    p.n_ctx = 200;
    p.n_ubatch = 24;
    p.n_threads = n_threads;
    cr_assert_eq(rb_session_open(&s, model, &p, &err), RB_OK, "%s", err.text);
    return s;
}

/* 40 tokens in two micro-batches, then three steps: five steps in all. */
enum { STEPS = 5 };

static void run_some(rb_session *s)
{
    int32_t tokens[40];
    for (int i = 0; i < 40; i++)
        tokens[i] = (i * 11 + 3) % 48;
    cr_assert_eq(rb_session_run(s, RB_PREFILL, tokens, 40, false, NULL), RB_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(rb_session_run(s, RB_DECODE, tokens + i, 1, false, NULL), RB_OK);
}

static rb_trace *trace_some(const rb_model *model, int n_threads, int64_t most, rb_ledger *ledger)
{
    rb_session *s = open_session(model, n_threads);
    rb_trace *t;
    cr_assert_eq(rb_trace_open(&t, n_threads, most, NULL), RB_OK);
    rb_session_trace(s, t);
    run_some(s);
    rb_session_trace(s, NULL);
    *ledger = *rb_session_ledger(s);
    run_some(s); /* not recorded */
    rb_session_close(s);
    return t;
}

static rb_tally sum_of(const rb_ledger *l)
{
    rb_tally sum = rb_ledger_phase(l, RB_PREFILL);
    const rb_tally decode = rb_ledger_phase(l, RB_DECODE);
    rb_tally_add(&sum, &decode);
    return sum;
}

static void check_launches(const rb_trace *t, const rb_ledger *ledger)
{
    const rb_tally all = sum_of(ledger);
    const rb_bytes bytes = rb_cost_bytes(&all.cost);
    uint64_t flops = 0, moved = 0;
    int64_t around = 0;
    cr_assert_eq((uint64_t)t->thread[0].n_launch, all.calls);
    for (int64_t i = 0; i < t->thread[0].n_launch; i++) {
        const rb_trace_launch *l = &t->launch[i];
        cr_assert(ledger->at[l->phase][l->site][l->kernel->op->id].calls > 0);
        const bool outside =
            l->site == RB_SITE_EMBED || l->site == RB_SITE_OUT_NORM || l->site == RB_SITE_LM_HEAD;
        cr_assert_eq(l->layer < 0, outside, "%s in layer %lld", rb_site_name[l->site],
                     (long long)l->layer);
        around += outside;
        flops += l->flops;
        moved += l->bytes;
    }
    cr_assert_eq(flops, all.cost.flops);
    cr_assert_eq(moved, rb_bytes_all(&bytes));
    cr_assert_eq(around, 3 * STEPS - 2, "a micro-batch that is not the last has no head");
}

/* Steps hold what is in them; within a step one thing follows the other. */
static void check_thread(const rb_trace_thread *t)
{
    uint64_t now = 0, step_end = 0;
    int64_t launch = -1;
    int steps = 0;
    for (int64_t i = 0; i < t->n; i++) {
        const rb_trace_span *s = &t->span[i];
        cr_assert(s->start_ns >= now && s->done_ns >= s->start_ns && s->end_ns >= s->done_ns);
        if (s->launch < 0) {
            cr_assert_geq(s->start_ns, step_end);
            cr_assert_eq(s->phase, steps < 2 ? RB_PREFILL : RB_DECODE);
            step_end = s->end_ns;
            now = s->start_ns;
            steps++;
            continue;
        }
        cr_assert(s->launch == launch + (s->phase == 0 || s->launch != launch), "launch %lld",
                  (long long)s->launch);
        cr_assert(s->first == s->last || s->done_ns > s->start_ns, "work takes time");
        launch = s->launch;
        now = s->end_ns;
        cr_assert_leq(now, step_end, "a launch outlives its step");
    }
    cr_assert_eq(launch + 1, t->n_launch);
    cr_assert_eq(steps, STEPS);
}

/* All have done their units before anyone goes on, and the units are all there once. */
static void check_barriers(const rb_trace *t)
{
    for (int64_t i = 0; i < t->thread[0].n; i++) {
        uint64_t last_done = 0, first_end = UINT64_MAX;
        int64_t next = 0;
        const rb_trace_span *of = &t->thread[0].span[i];
        for (int k = 0; k < t->n_threads; k++) {
            const rb_trace_span *s = &t->thread[k].span[i];
            cr_assert(s->launch == of->launch && s->phase == of->phase);
            last_done = s->done_ns > last_done ? s->done_ns : last_done;
            first_end = s->end_ns < first_end ? s->end_ns : first_end;
            cr_assert(s->first == next && s->last >= s->first);
            next = s->last;
        }
        if (of->launch < 0)
            continue;
        cr_assert_leq(last_done, first_end);
        cr_assert_gt(next, 0);
    }
}

Test(trace, records_what_the_ledger_books)
{
    json_t *v;
    rb_ledger ledger;
    rb_model *model = vector_model("gqa_llama", &v);
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        rb_trace *t = trace_some(model, n_threads, 1 << 12, &ledger);
        check_launches(t, &ledger);
        check_barriers(t);
        for (int i = 0; i < n_threads; i++) {
            check_thread(&t->thread[i]);
            cr_assert_eq(t->thread[i].n_left_out, 0);
            cr_assert_eq((uintptr_t)&t->thread[i] % 64 + (uintptr_t)t->thread[i].span % 64, 0);
        }
        rb_trace_close(t);
    }
    rb_model_close(model);
    json_decref(v);
}

/* The first launches, whole, however little room there is; all others are counted. */
Test(trace, keeps_to_its_room)
{
    json_t *v;
    rb_ledger ledger;
    rb_model *model = vector_model("gqa_llama", &v);
    rb_trace *all = trace_some(model, 2, 1 << 12, &ledger);
    for (int64_t most = 1; most < 80; most++) {
        rb_trace *t = trace_some(model, 2, most, &ledger);
        for (int i = 0; i < 2; i++) {
            const rb_trace_thread *of = &t->thread[i];
            cr_assert_leq(of->n, most);
            cr_assert_geq(of->n, most - 3);
            cr_assert_eq((uint64_t)(of->n_launch + of->n_left_out), sum_of(&ledger).calls);
            if (of->n_launch == 0)
                continue;
            const rb_trace_span *last = &of->span[of->n - 1];
            cr_assert(last->launch < 0 || last->launch == of->n_launch - 1);
        }
        cr_assert_eq(t->thread[0].n_launch, t->thread[1].n_launch);
        for (int64_t i = 0; i < t->thread[0].n_launch; i++)
            cr_assert(t->launch[i].site == all->launch[i].site &&
                          t->launch[i].layer == all->launch[i].layer,
                      "launch %lld of room for %lld is another", (long long)i, (long long)most);
        rb_trace_close(t);
    }
    rb_trace_close(all);
    rb_model_close(model);
    json_decref(v);
}

/* ---- the rules of the format ---- */

static int64_t ns_of(const json_t *event, const char *key)
{
    const json_t *us = json_object_get(event, key);
    cr_assert(json_is_number(us), "%s is no number", key);
    const double ns = json_number_value(us) * 1e3;
    cr_assert(ns >= 0 && fabs(ns - nearbyint(ns)) < 1e-2, "%s is no whole number of ns", key);
    return llround(ns);
}

/* One thread of the file: ends of the events that are open. */
typedef struct nest {
    int64_t start, end[4];
    int depth;
} nest;

enum { MAX_PID = 8, MAX_TID = 8 };

typedef struct seen {
    bool process[MAX_PID], thread[MAX_PID][MAX_TID];
    nest nest[MAX_PID][MAX_TID];
    int n_step, n_launch, n_barrier; /* slices */
} seen;

static void check_meta(seen *s, const json_t *e, long long pid, long long tid)
{
    const char *name = string(e, "name");
    const json_t *args = json_object_get(e, "args");
    if (!strcmp(name, "process_labels")) {
        cr_assert(strstr(string(args, "labels"), "left out"));
        return;
    }
    cr_assert_neq(string(args, "name")[0], 0);
    if (!strcmp(name, "process_name")) {
        cr_assert_not(s->process[pid], "process %lld has two names", pid);
        s->process[pid] = true;
    } else {
        cr_assert_str_eq(name, "thread_name");
        cr_assert_not(s->thread[pid][tid], "thread %lld has two names", tid);
        s->thread[pid][tid] = true;
    }
}

static void check_args(const json_t *args)
{
    const json_t *units = json_object_get(args, "units"), *part = json_object_get(args, "part");
    const json_t *layer = json_object_get(args, "layer");
    cr_assert(json_is_null(layer) || integer(args, "layer") >= 0);
    cr_assert(layer && json_array_size(units) == 2 && json_array_size(part) == 2);
    cr_assert_lt(json_integer_value(json_array_get(units, 0)),
                 json_integer_value(json_array_get(units, 1)));
    cr_assert_lt(json_integer_value(json_array_get(part, 0)),
                 json_integer_value(json_array_get(part, 1)));
    cr_assert_eq(strncmp(string(args, "kernel"), string(args, "op"), strlen(string(args, "op"))),
                 0);
    cr_assert(integer(args, "flops") >= 0 && integer(args, "bytes") > 0);
    cr_assert(strstr("prefill decode", string(args, "phase")));
}

static void check_slice(seen *s, const json_t *e, nest *in)
{
    const char *category = string(e, "cat");
    const int64_t start = ns_of(e, "ts"), end = start + ns_of(e, "dur");
    cr_assert_geq(start, in->start, "events start in order");
    in->start = start;
    while (in->depth && in->end[in->depth - 1] <= start)
        in->depth--;
    cr_assert(!in->depth || end <= in->end[in->depth - 1], "%s overlaps what it is in", category);
    cr_assert_lt(in->depth, 2, "launches and barriers stand in steps alone");
    in->end[in->depth++] = end;
    if (!strcmp(category, "step"))
        s->n_step++;
    else if (!strcmp(category, "barrier")) {
        cr_assert_str_eq(string(e, "name"), "barrier");
        s->n_barrier++;
    } else {
        const json_t *args = json_object_get(e, "args");
        cr_assert_str_eq(category, "launch");
        cr_assert_str_eq(string(e, "name"), string(args, "site"));
        check_args(args);
        s->n_launch++;
    }
}

static seen check_format(const json_t *file)
{
    seen s = { 0 };
    size_t i;
    json_t *e;
    cr_assert_str_eq(string(file, "displayTimeUnit"), "ns");
    cr_assert(json_is_array(json_object_get(file, "traceEvents")));
    json_array_foreach(json_object_get(file, "traceEvents"), i, e)
    {
        const char *ph = string(e, "ph");
        const long long pid = integer(e, "pid"), tid = integer(e, "tid");
        cr_assert_neq(string(e, "name")[0], 0);
        cr_assert(pid > 0 && pid < MAX_PID && tid > 0 && tid < MAX_TID);
        ns_of(e, "ts");
        if (!strcmp(ph, "M")) {
            check_meta(&s, e, pid, tid);
            continue;
        }
        cr_assert_str_eq(ph, "X");
        cr_assert(s.process[pid] && s.thread[pid][tid], "an event of an unnamed thread");
        check_slice(&s, e, &s.nest[pid][tid]);
    }
    return s;
}

static json_t *load(const char *path)
{
    json_error_t e;
    json_t *o = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
    cr_assert(o, "%s: not JSON: %s (line %d)", path, e.text, e.line);
    return o;
}

/* ---- the file ---- */

static rb_test a_test(int n_threads)
{
    return (rb_test){ .n_prompt = 40, .n_seq = 1, .n_layer = 2, .n_threads = n_threads };
}

Test(trace, a_file_has_an_event_for_all_that_was_recorded)
{
    char path[] = "/tmp/rbench-trace-XXXXXX";
    json_t *v;
    rb_ledger ledger;
    rb_traces *ts;
    int n_launch = 0, n_barrier = 0;
    rb_model *model = vector_model("gqa_llama", &v);
    close(mkstemp(path));
    cr_assert_eq(rb_traces_open(&ts, NULL), RB_OK);
    snprintf(model->config.name, sizeof model->config.name, "a \"name\" \xff"); /* not UTF-8 */
    for (int n_threads = 1; n_threads <= 2; n_threads++) {
        const rb_test test = a_test(n_threads);
        rb_trace *t = trace_some(model, n_threads, 1 << 12, &ledger);
        for (int i = 0; i < n_threads; i++)
            for (int64_t k = 0; k < t->thread[i].n; k++) {
                const rb_trace_span *s = &t->thread[i].span[k];
                n_launch += s->launch >= 0 && s->first < s->last;
                n_barrier += s->launch >= 0 && n_threads > 1;
            }
        rb_traces_keep(ts, t, model, &test);
    }
    cr_assert_eq(rb_traces_n(ts), 2);
    cr_assert_eq(rb_traces_write(ts, path, NULL), RB_OK);
    json_t *file = load(path);
    const seen s = check_format(file);
    cr_assert_eq(s.n_step, 3 * STEPS);
    cr_assert_eq(s.n_launch, n_launch);
    cr_assert_eq(s.n_barrier, n_barrier);
    json_decref(file);
    rb_traces_close(ts);
    rb_model_close(model);
    json_decref(v);
    unlink(path);
}

/* What a file holds is bounded over all tests, and what is missing is said. */
Test(trace, a_file_is_bounded)
{
    char text[300];
    rb_traces *ts;
    rb_ledger ledger;
    json_t *v;
    rb_model *model = vector_model("gqa_llama", &v);
    cr_assert_eq(rb_traces_open(&ts, NULL), RB_OK);
    cr_assert_str_eq(rb_traces_text(ts, text, sizeof text), "");
    const rb_test test = a_test(1);
    rb_traces_keep(ts, trace_some(model, 1, 10, &ledger), model, &test);
    cr_assert(strstr(rb_traces_text(ts, text, sizeof text), "no room for"), "%s", text);
    int64_t left = RB_TRACE_FILE - 10;
    for (int i = 0; left; i++) {
        rb_trace *t = rb_traces_begin(ts, 2);
        cr_assert(t && t->thread[1].most <= RB_TRACE_THREAD);
        t->thread[0].n = t->thread[1].n = t->thread[0].most; /* as if they were full */
        left -= t->thread[0].n + t->thread[1].n;
        rb_traces_keep(ts, t, model, &test);
    }
    cr_assert_null(rb_traces_begin(ts, 1));
    cr_assert(strstr(rb_traces_text(ts, text, sizeof text), "last 1 test"), "%s", text);
    rb_traces_close(ts);
    rb_model_close(model);
    json_decref(v);
}

/* Stops when it has been asked so often. */
typedef struct patience {
    int n_asked, most;
} patience;

static bool ask(void *arg)
{
    patience *p = arg;
    return ++p->n_asked > p->most;
}

/* How often a test asks whether to stop; *n_trace: traces that are kept of it. */
static int run_test(rb_model *model, bool traced, int most, int *n_trace)
{
    patience p = { 0, most };
    rb_bench *b;
    rb_traces *ts;
    rb_result *r = calloc(1, sizeof *r);
    rb_bench_params params = { .n_reps = 1, .stop = ask, .arg = &p };
    const rb_test test = { .n_gen = 20,
                           .n_seq = 1,
                           .n_layer = 2,
                           .n_ubatch = 8,
                           .n_threads = 1,
                           .type_k = RB_F16,
                           .type_v = RB_F16 };
    cr_assert_eq(rb_traces_open(&ts, NULL), RB_OK);
    params.traces = traced ? ts : NULL;
    cr_assert_eq(rb_bench_open(&b, model, model, &params, NULL), RB_OK);
    rb_bench_test(b, &test, r);
    cr_assert(!r->error[0] && r->n_samples == 1, "%s", r->error);
    *n_trace = rb_traces_n(ts);
    rb_bench_close(b);
    rb_traces_close(ts);
    free(r);
    return p.n_asked;
}

Test(trace, a_repetition_that_is_stopped_is_left_out)
{
    const rb_model_params how = { .seed = 1 };
    rb_model *model;
    int n;
    cr_assert_eq(rb_model_open(&model, "tiny", &how, NULL), RB_OK);
    const int without = run_test(model, false, INT_MAX, &n);
    const int with = run_test(model, true, INT_MAX, &n);
    cr_assert(n == 1 && with >= without + 20, "%d asked, %d without", with, without);
    run_test(model, true, without + 10, &n);
    cr_assert_eq(n, 0);
    rb_model_close(model);
}

/* ---- the program ---- */

TestSuite(cli_trace, .init = program_setup, .fini = program_teardown);

static json_t *file_of(const char *name)
{
    char path[256];
    return load(path_of(name, path));
}

/* The process whose name holds some words; 0: there is none. */
static int process_of(const json_t *file, const char *words)
{
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(file, "traceEvents"), i, e)
    {
        if (!strcmp(string(e, "name"), "process_name") &&
            strstr(string(json_object_get(e, "args"), "name"), words))
            return (int)integer(e, "pid");
    }
    return 0;
}

/* Of the launches of a process, each once. */
static long long flops_of(const json_t *file, int pid)
{
    size_t i;
    json_t *e, *launches = json_object();
    long long sum = 0;
    json_array_foreach(json_object_get(file, "traceEvents"), i, e)
    {
        const json_t *args = json_object_get(e, "args");
        char id[32];
        if (integer(e, "pid") != pid || !json_object_get(args, "launch"))
            continue;
        snprintf(id, sizeof id, "%lld", integer(args, "launch"));
        if (!json_object_get(launches, id))
            sum += integer(args, "flops");
        json_object_set_new(launches, id, json_true());
    }
    json_decref(launches);
    return sum;
}

/* A process for each test, with the FLOPs of its record; the timed repetitions stay as many. */
Test(cli_trace, of_every_test)
{
    outcome o = shell("exec $RBENCH tiny -p 8 -n 3 -r 2 -t 2 --trace run.json -o json");
    cr_assert_eq(o.code, 0, "%s", o.err);
    json_t *rows = parse(o.out), *file = file_of("run.json");
    const seen s = check_format(file);
    cr_assert_eq(s.n_step, 2 * (1 + 3), "of each thread");
    cr_assert_gt(s.n_barrier, s.n_launch / 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *row = json_array_get(rows, i);
        const int pid = process_of(file, i ? "tiny: tg3, 4 layers, " : "tiny: pp8, 4 layers, ");
        cr_assert_eq(flops_of(file, pid), integer(row, "flops"));
        cr_assert_eq(json_array_size(json_object_get(row, "samples_ns")), 2);
    }
    json_decref(rows);
    json_decref(file);
    release(&o);
    o = shell("$RBENCH tiny -p 8 -n 0 -r 1 -t 1 --trace run.json && ls");
    cr_assert_eq(o.code, 0, "an older trace may be replaced: %s", o.err);
    cr_assert_null(strstr(o.out, ".tmp"));
    release(&o);
    file = file_of("run.json");
    cr_assert_eq(check_format(file).n_barrier, 0, "one thread waits for nobody");
    json_decref(file);
}

/* Refused before anything runs, and nothing is lost. */
Test(cli_trace, is_no_place_to_lose_files)
{
    outcome o = shell("$RBENCH synth tiny -o m.gguf && cp m.gguf same && mkdir d && echo {} >f");
    cr_assert_eq(o.code, 0);
    release(&o);
    static const char *const at[][2] = {
        { "m.gguf", "no trace" },          { "f", "no trace" },
        { "d", "Is a directory" },         { "no/such/t.json", "No such file" },
        { "m.gguf/t", "Not a directory" },
    };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        char script[256];
        snprintf(script, sizeof script, "exec $RBENCH m.gguf -p 8 --trace %s", at[i][0]);
        o = shell(script);
        cr_assert_eq(o.code, 1, "%s: %d", at[i][0], o.code);
        cr_assert(lines_of(o.err) == 1 && strstr(o.err, at[i][1]), "%s", o.err);
        cr_assert_str_eq(o.out, "", "it ran: %s", o.out);
        release(&o);
    }
    o = shell("exec $RBENCH tiny -p 0 -n 0 --trace t.json");
    cr_assert(o.code == 2 && lines_of(o.err) == 1, "%d: %s", o.code, o.err);
    release(&o);
    o = shell("cmp m.gguf same && grep -qx '{}' f && test $(ls -A | wc -l) = 6");
    cr_assert_eq(o.code, 0, "a file was changed, or left behind");
    release(&o);
}

Test(cli_trace, a_full_disk_costs_the_trace_alone)
{
    if (access("/dev/full", W_OK))
        cr_skip_test("no /dev/full");
    outcome o = shell("exec $RBENCH tiny -p 8 -n 2 -r 2 -o json --trace /dev/full");
    cr_assert_eq(o.code, 1);
    cr_assert(lines_of(o.err) == 1 && strstr(o.err, "/dev/full: cannot write"), "%s", o.err);
    json_t *rows = parse(o.out);
    cr_assert_eq(json_array_size(rows), 2);
    json_decref(rows);
    release(&o);
}

Test(cli_trace, long_tests_are_cut_and_it_is_said)
{
    outcome o = shell("exec $RBENCH tiny -p 0 -n 500 -r 1 -t 2 --trace run.json");
    cr_assert_eq(o.code, 0);
    cr_assert(strstr(o.err, "--trace: the trace has no room for"), "%s", o.err);
    release(&o);
    json_t *file = file_of("run.json");
    const seen s = check_format(file);
    cr_assert(s.n_step > 100 && s.n_step < 1000);
    const json_t *about =
        json_array_get(json_object_get(json_object_get(file, "otherData"), "tests"), 0);
    cr_assert_gt(integer(about, "launches"), 1000);
    cr_assert_gt(integer(about, "launches_left_out"), 1000);
    json_decref(file);
}

/* What was traced before an interrupt is written; what was not finished is not. */
Test(cli_trace, an_interrupt_keeps_what_is_whole)
{
    char line[256], path[256];
    snprintf(line, sizeof line, "tiny -p 16 -n 200000 -r 1 -t 1 --progress --sequential --trace %s",
             path_of("run.json", path));
    const pid_t pid = start_until(line, "tg200000");
    kill(pid, SIGTERM);
    outcome o = finish(pid);
    cr_assert_eq(o.code, 128 + SIGTERM, "exit %d: %s", o.code, o.err);
    release(&o);
    json_t *file = file_of("run.json");
    cr_assert_eq(check_format(file).n_step, 1);
    cr_assert(process_of(file, "pp16") == 1 && !process_of(file, "tg"));
    json_decref(file);
    o = shell("ls -A | grep tmp");
    cr_assert_eq(o.code, 1, "%s", o.out);
    release(&o);
}
