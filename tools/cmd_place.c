/* rbench place: times of other engines, as llama-bench wrote them, on the exact counts of the same
 * model and under this machine's roofs. The model is counted, never run.
 * Read next: ../bench/peer.c, cmd_predict.c. */
#include "progress.h"
#include "shared.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const rb_option options[] = {
    RB_THREADS_OPTION(RB_OPT_INT, "N",
                      "threads that roofs are measured with (default: those of each result)"),
    { .names = "--isa",
      .kind = RB_OPT_WORD,
      .value = "ISA",
      .choices = RB_ISAS,
      .help = "highest instruction set of roofs and counts (default: the best, or RBENCH_ISA)" },
    { .names = "--no-roofs",
      .kind = RB_OPT_FLAG,
      .help = "do not measure the roofs of this machine: for times that come from elsewhere" },
    { .names = "--plot",
      .kind = RB_OPT_TEXTS,
      .value = "FILE",
      .help = "draw the roofline to FILE, .png or .svg" },
    RB_FORMAT_OPTION("md|json|jsonl|csv", "format of the results"),
};

typedef struct placing {
    const rb_args *args;
    const char *from; /* BENCH.json */
    json_t *records;
    rb_model *model;
    rb_peer *peer; /* [n]: those of the model */
    rb_plan plan;  /* their tests */
    rb_subject subject;
    rb_report *report;
    rb_bench *bench;
    rb_roof_pool roofs;
    rb_result *result;
    rb_told told;
    json_t *drawn; /* records of the figure; NULL: none is wanted */
    bool failed;
} placing;

static rb_status read_file(placing *p, rb_error *err)
{
    int n_torn = 0;
    const rb_status st = rb_records_read(p->from, &p->records, &n_torn, err);
    if (st == RB_OK && n_torn)
        rb_complain("%s: the last line is cut off and was skipped", p->from);
    return st;
}

static rb_status open_model(placing *p, const char *name, rb_error *err)
{
    const rb_model_params how = { .dry = true, .seed = 1 };
    const rb_status st = rb_model_open(&p->model, name, &how, err);
    return st == RB_OK ? rb_model_pack(p->model, err) : st;
}

/* Roofs of threads that take turns on a CPU would be none. */
static rb_status check_threads(const placing *p, int n_threads, rb_error *err)
{
    rb_topology here;
    if (rb_opt_flag(p->args, "--no-roofs") || !rb_host_topology(&here) || n_threads <= here.n_cpu)
        return RB_OK;
    return rb_fail(err, RB_ERR_ARGUMENT,
                   "roofs of %d threads cannot be measured on %d CPUs: name as many by -t, or "
                   "--no-roofs",
                   n_threads, here.n_cpu);
}

/* Keeps the records that are tests of the model; each other one gets its line. */
static rb_status choose(placing *p, rb_error *err)
{
    const size_t n = json_array_size(p->records);
    const int given = (int)rb_opt_int(p->args, "-t");
    rb_test like = { .n_seq = 1, .n_layer = p->model->config.n_layer };
    rb_status st = rb_isa_of(rb_opt_text(p->args, "--isa"), &like.isa, &like.capped, err);
    if (st == RB_OK)
        st = check_threads(p, given, err);
    if (st != RB_OK)
        return st;
    p->peer = calloc(n + 1, sizeof *p->peer);
    p->plan.test = calloc(n + 1, sizeof *p->plan.test);
    if (!p->peer || !p->plan.test)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for %zu records", n);
    for (size_t i = 0; i < n; i++) {
        rb_peer *peer = &p->peer[p->plan.n];
        rb_error why = { 0 };
        if (rb_peer_read(peer, json_array_get(p->records, i), &like, &why) == RB_OK &&
            rb_peer_check(peer, p->model, &why) == RB_OK &&
            (given || check_threads(p, peer->test.n_threads, &why) == RB_OK)) {
            p->plan.test[p->plan.n++] = peer->test;
            continue;
        }
        rb_peer_free(peer);
        if (why.status == RB_ERR_MEMORY) { /* which is no fault of the record's */
            *err = why;
            return RB_ERR_MEMORY;
        }
        rb_complain("%s: record %zu is left out: %s", p->from, i + 1, why.text);
        p->failed = true;
    }
    return RB_OK;
}

/* ---- roofs ---- */

/* Roofs of one machine under times of another are for the user to judge. */
static void warn_of_elsewhere(const placing *p)
{
    for (int i = 0; i < p->plan.n && p->subject.roofs; i++) {
        const rb_peer *peer = &p->peer[i];
        if (!peer->cpu[0] || !strcmp(peer->cpu, p->subject.cpu))
            continue;
        rb_complain("%s: times are of %s, roofs of %s; --no-roofs leaves these out", p->from,
                    peer->cpu, p->subject.cpu);
        return;
    }
}

/* The roofs for a test, measured once for each number of threads; NULL: none are wanted. */
static rb_status machine_for(placing *p, const rb_test *t, const rb_machine **m, rb_error *err)
{
    const int given = (int)rb_opt_int(p->args, "-t"), n_threads = given ? given : t->n_threads;
    rb_progress progress = rb_progress_make(false, false, &p->plan);
    rb_roofs *roofs = NULL;
    *m = NULL;
    if (!p->subject.roofs)
        return RB_OK;
    if (!rb_roof_pool_machine(&p->roofs, n_threads, t->isa))
        rb_progress_tell(&progress, &(rb_progress_at){ .test = -1 });
    const rb_status st =
        rb_roof_pool_get(&p->roofs, n_threads, t->isa, t->capped, rb_stop, NULL, &roofs, err);
    rb_progress_clear(&progress);
    *m = roofs ? rb_roofs_machine(roofs) : NULL;
    return st;
}

/* ---- rows ---- */

static void keep_for_figure(placing *p)
{
    if (p->drawn)
        json_array_append_new(p->drawn, rb_record(&p->subject, p->result, &p->told));
}

static rb_status place_all(placing *p, rb_error *err)
{
    for (int i = 0; i < p->plan.n; i++) {
        const rb_machine *m;
        const rb_status st = machine_for(p, &p->plan.test[i], &m, err);
        if (st != RB_OK)
            return st;
        if (!rb_signal())
            rb_peer_place(p->bench, &p->peer[i], m, p->result);
        if (rb_signal() || p->result->interrupted)
            return RB_OK;
        rb_report_row(p->report, p->result, i);
        keep_for_figure(p);
        if (p->result->error[0]) {
            rb_complain("%s", p->result->error);
            p->failed = true;
        }
    }
    rb_report_text(p->report,
                   p->subject.roofs
                       ? "Times are the engine's, counts what rbench needs for the same test. Of "
                         "roof: roofs measured now, not beside the times."
                       : "Times are the engine's, counts what rbench needs for the same test.");
    return RB_OK;
}

static rb_status place_peers(placing *p, rb_error *err)
{
    const char *format = rb_opt_text(p->args, "-o");
    const rb_bench_params params = { .n_reps = 1, .dry = true, .stop = rb_stop };
    rb_status st = rb_bench_open(&p->bench, p->model, p->model, &params, err);
    if (st == RB_OK)
        st = rb_report_open(&p->report, stdout, rb_format_of(format), err);
    if (st == RB_OK)
        st = rb_report_subject(p->report, &p->subject, &p->plan, 0, false, err);
    if (st == RB_OK)
        st = place_all(p, err);
    const rb_status closed = rb_report_close(p->report, st == RB_OK ? err : NULL);
    return st == RB_OK ? closed : st;
}

static rb_status draw(const placing *p, rb_error *err)
{
    enum { SCALE = 1 };
    const rb_opt_value *to = rb_opt_get(p->args, "--plot");
    const rb_plot_set set = { .records = p->drawn, .name = "" };
    return p->drawn && json_array_size(p->drawn) && !rb_signal()
               ? rb_plot(&set, 1, RB_PLOT_ROOFLINE, SCALE, to->text[to->n - 1], err)
               : RB_OK;
}

static rb_status place(placing *p, rb_error *err)
{
    char cpu[128];
    const char *name = p->args->arg[1];
    rb_status st = read_file(p, err);
    if (st == RB_OK)
        st = open_model(p, name, err);
    if (st == RB_OK)
        st = choose(p, err);
    if (st == RB_OK && !p->plan.n)
        return rb_fail(err, RB_ERR_FORMAT, "%.300s: no result of %.300s", p->from, name);
    p->subject = (rb_subject){ .filename = name,
                               .model = p->model,
                               .cpu = rb_host_cpu(cpu, sizeof cpu),
                               .commit = RB_COMMIT,
                               .roofs = !rb_opt_flag(p->args, "--no-roofs"),
                               .peers = p->peer };
    if (st != RB_OK)
        return st;
    warn_of_elsewhere(p);
    st = place_peers(p, err);
    return st == RB_OK ? draw(p, err) : st;
}

static void clear(placing *p)
{
    for (int i = 0; i < p->plan.n; i++)
        rb_peer_free(&p->peer[i]);
    rb_bench_close(p->bench);
    rb_roof_pool_close(&p->roofs);
    rb_model_close(p->model);
    rb_plan_free(&p->plan);
    free(p->peer);
    free(p->result);
    json_decref(p->records);
    json_decref(p->drawn);
}

/* ---- the command ---- */

static int run_place(const rb_args *args)
{
    const rb_opt_value *to = rb_opt_get(args, "--plot");
    placing p = { .args = args };
    rb_error err = { 0 };
    if (args->n != 2) {
        rb_complain("place wants a BENCH.json of llama-bench and the MODEL it is of");
        return RB_EXIT_USAGE;
    }
    if (to->n && !rb_plot_can_write(to->text[to->n - 1])) {
        rb_complain("--plot %s: figures are .png or .svg", to->text[to->n - 1]);
        return RB_EXIT_USAGE;
    }
    rb_catch_signals();
    p.from = args->arg[0];
    p.result = calloc(1, sizeof *p.result);
    p.drawn = to->n ? json_array() : NULL;
    const rb_status st = p.result && (p.drawn || !to->n)
                             ? place(&p, &err)
                             : rb_fail(&err, RB_ERR_MEMORY, "no memory for a result");
    clear(&p);
    if (st != RB_OK)
        rb_complain("%s", err.text);
    return st == RB_ERR_ARGUMENT     ? RB_EXIT_USAGE
           : st != RB_OK || p.failed ? RB_EXIT_FAILED
                                     : RB_EXIT_OK;
}

const rb_command rb_cmd_place = {
    .name = "place",
    .usage = "BENCH.json MODEL [options]",
    .about = "Puts times that llama-bench wrote ('llama-bench -m MODEL -o json', or jsonl) on the "
             "exact counts of MODEL and under this machine's roofs, without running it. Counts "
             "are those of rbench for the same lengths, micro-batches and cache types.",
    .what = "put llama-bench's times on exact counts and this machine's roofs",
    .example = "bench.json model.gguf\tllama-bench's rows on exact counts and roofs\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_place,
};
