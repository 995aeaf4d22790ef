/* rbench kernels: times registered kernels on shapes, cold and warm, under their roofs. A kernel
 * that fails costs its row, not the others. Nothing is timed, counted or placed here.
 * Read next: shapes.c (--shape), ../bench/kernel_plan.c (which rows), ../bench/kernel_run.c. */
#include "progress.h"
#include "shared.h"

#include <stdlib.h>
#include <string.h>

static const rb_option options[] = {
    { .names = "--shape",
      .kind = RB_OPT_TEXTS,
      .value = "SHAPE",
      .help = "extents of the problem: 4096,4096,1 (matmul: M,K,T) or "
              "T=1,H=32,G=8,D=64,S=4096 (attend); several by ';' or repetition; T=1-64*2 "
              "gives every T. What is not named is as in llama3.2-1b's decode (default: "
              "that, and its prefill of 512)" },
    { .names = "--type",
      .kind = RB_OPT_WORDS,
      .value = "LIST",
      .help = "types of weights or cache, as files have them or packed (q8_0, q8_0.p16); default: "
              "every one that there is a kernel for, packed where sessions pack it" },
    { .names = "--all",
      .kind = RB_OPT_FLAG,
      .help = "every kernel of this machine that accepts the shape (ISAs, variants, layouts, "
              "BLAS), not only what a session would run" },
    { .names = "--isa",
      .kind = RB_OPT_WORDS,
      .value = "LIST",
      .choices = RB_ISAS,
      .help = "highest instruction set, without BLAS (default: the best, or RBENCH_ISA)" },
    { .names = "--act",
      .kind = RB_OPT_WORD,
      .value = "TYPE",
      .preset = "native",
      .choices = "native|f32",
      .help = "activations; native quantises them to 8 bits where a kernel is faster so" },
    { .names = "--cache",
      .kind = RB_OPT_WORD,
      .value = "STATE",
      .preset = "both",
      .choices = "both|cold|warm",
      .help = "cold: launches take turns over operands that no cache holds; warm: the same ones "
              "again" },
    RB_THREADS_OPTION(RB_OPT_INTS, "LIST", RB_THREADS_HELP),
    { .names = "--threads-sweep",
      .kind = RB_OPT_FLAG,
      .help = "1, 2, 4 ... threads up to -t, and a table of how kernels and roofs scale" },
    { .names = "-r, --repetitions",
      .kind = RB_OPT_INT,
      .value = "N",
      .preset = "8",
      .min = 1,
      .max = RB_MAX_REPS,
      .help =
          "samples of each kernel, cold and warm; a sample lasts four milliseconds or one launch" },
    { .names = "--budget",
      .kind = RB_OPT_TIME,
      .value = "TIME",
      .min = 1,
      .max = 10000000,
      .help = "time for all kernels, in seconds (or 15m, 2h): first samples are cut, then "
              "the last kernels left out, and what was is said" },
    { .names = "--no-roofs",
      .kind = RB_OPT_FLAG,
      .help = "do not measure the roofs of this machine: counts and times only" },
    RB_FORMAT_OPTION("md|json|jsonl|csv", "format of the results on stdout"),
    { .names = "--explain",
      .kind = RB_OPT_FLAG,
      .help = "print the formulas behind the counts, with the numbers of these shapes" },
    { .names = "--list",
      .kind = RB_OPT_FLAG,
      .help = "list the kernels of OP, or all: types, ISA, variant, whether counts are proven" },
    { .names = "--progress",
      .kind = RB_OPT_FLAG,
      .help = "say what runs on stderr (always on a terminal)" },
};

/* What a token of a dense model launches again and again. */
static const rb_op_id usual_ops[] = { RB_OP_MATMUL,   RB_OP_ATTEND,    RB_OP_RMSNORM, RB_OP_ROPE,
                                      RB_OP_KV_STORE, RB_OP_SILU_GATE, RB_OP_ADD };

typedef struct tour {
    const rb_args *args;
    rb_op_id op[RB_MAX_ARGS];
    int n_op;
    bool named; /* the one op is what was asked for: what it has no kernel for is an error */
    rb_dtype *type;
    rb_sizes *shape; /* of the one op that has shapes of its own */
    int n_shape;
    rb_kernel_plan plan;
    rb_roof_pool roofs;
    rb_kernel_params params;
    rb_kernel_report *report;
    rb_kernel_result *result; /* [plan.n], kept for the table by threads */
    int n_result, n_left_out;
    rb_progress progress;
    int code;
} tour;

static void fail(tour *t, const rb_error *err)
{
    rb_complain("%s", err->text);
    t->code = err->status == RB_ERR_ARGUMENT ? RB_EXIT_USAGE : RB_EXIT_FAILED;
}

/* An interrupt, or nobody who would get the results. */
static bool should_stop(void *arg)
{
    const tour *t = arg;
    return rb_signal() || rb_kernel_report_failed(t->report);
}

/* ---- from options to a plan ---- */

static rb_status unknown_op(const char *name, rb_error *err)
{
    char known[400] = "";
    size_t n = 0;
    const char *near = NULL;
    for (int id = 0; id < RB_N_OP; id++) {
        const rb_op *op = rb_op_get((rb_op_id)id);
        if (!op || !rb_extents(op->id))
            continue;
        if (rb_is_near(name, op->name) &&
            (!near || rb_distance(name, op->name) < rb_distance(name, near)))
            near = op->name;
        if (n < sizeof known)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", op->name);
    }
    if (near)
        return rb_fail(err, RB_ERR_ARGUMENT, "no op '%.60s'; did you mean '%s'?", name, near);
    return rb_fail(err, RB_ERR_ARGUMENT, "no op '%.60s'; there are %s", name, known);
}

static rb_status find_op(const char *name, rb_op_id *id, rb_error *err)
{
    const rb_op *op = rb_op_by_name(name);
    if (!op)
        return unknown_op(name, err);
    if (!rb_extents(op->id))
        return rb_fail(err, RB_ERR_ARGUMENT, "%s measures this machine: see 'rbench roofs'", name);
    *id = op->id;
    return RB_OK;
}

static rb_status list_ops(tour *t, rb_error *err)
{
    rb_status st = RB_OK;
    const bool shaped = rb_opt_get(t->args, "--shape")->n > 0;
    t->named = t->args->n == 1 || shaped;
    for (; t->n_op < t->args->n && st == RB_OK; t->n_op++)
        st = find_op(t->args->arg[t->n_op], &t->op[t->n_op], err);
    if (st == RB_OK && !t->named && !t->n_op) {
        memcpy(t->op, usual_ops, sizeof usual_ops);
        t->n_op = (int)(sizeof usual_ops / sizeof *usual_ops);
    } else if (st == RB_OK && !t->n_op) {
        t->op[t->n_op++] = RB_OP_MATMUL;
    }
    if (st == RB_OK && shaped && t->n_op > 1)
        return rb_fail(err, RB_ERR_ARGUMENT, "--shape wants one OP: extents differ between ops");
    return st;
}

static rb_status list_types(tour *t, rb_error *err)
{
    const rb_opt_value *v = rb_opt_get(t->args, "--type");
    t->type = calloc((size_t)v->n + 1, sizeof *t->type);
    if (!t->type)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the command line");
    for (int i = 0; i < v->n; i++) {
        t->type[i] = rb_storage_by_name(v->text[i]);
        if (t->type[i] == RB_NO_DTYPE)
            return rb_fail(err, RB_ERR_ARGUMENT,
                           "--type: no type '%.60s'; 'rbench kernels --list' shows those of each "
                           "kernel",
                           v->text[i]);
    }
    return RB_OK;
}

static rb_status add_query(tour *t, rb_op_id op, int n_threads, rb_isa isa, bool capped,
                           rb_error *err)
{
    const rb_sizes preset[] = { rb_sizes_preset(op, RB_DECODE), rb_sizes_preset(op, RB_PREFILL) };
    const rb_kernel_query q = {
        .op = op,
        .shape = t->n_shape ? t->shape : preset,
        .n_shape = t->n_shape ? t->n_shape : 2,
        .type = t->type,
        .n_type = rb_opt_get(t->args, "--type")->n,
        .n_threads = n_threads,
        .isa = isa,
        .capped = capped,
        .act_f32 = !strcmp(rb_opt_text(t->args, "--act"), "f32"),
        .all = rb_opt_flag(t->args, "--all"),
    };
    const rb_status st = rb_kernel_plan_add(&t->plan, &q, err);
    return st == RB_ERR_ARGUMENT && !t->named ? RB_OK : st; /* ops without such types */
}

static rb_status plan_threads(tour *t, int n_threads, rb_error *err)
{
    const rb_opt_value *named = rb_opt_get(t->args, "--isa");
    rb_status st = RB_OK;
    for (int i = 0; i < (named->n ? named->n : 1) && st == RB_OK; i++) {
        rb_isa isa;
        bool capped;
        st = rb_isa_of(named->n ? named->text[i] : NULL, &isa, &capped, err);
        for (int o = 0; o < t->n_op && st == RB_OK; o++)
            st = add_query(t, t->op[o], n_threads, isa, capped, err);
    }
    return st;
}

/* The numbers of threads, each once. */
static rb_status plan_all(tour *t, rb_error *err)
{
    const rb_opt_value *threads = rb_opt_get(t->args, "-t");
    rb_status st = RB_OK;
    int64_t most = threads->n ? 0 : rb_host_threads();
    for (int i = 0; i < threads->n; i++)
        most = threads->num[i] > most ? threads->num[i] : most;
    if (rb_opt_flag(t->args, "--threads-sweep")) {
        for (int64_t n = 1; n < most && st == RB_OK; n *= 2)
            st = plan_threads(t, (int)n, err);
        return st == RB_OK ? plan_threads(t, (int)most, err) : st;
    }
    for (int i = 0; i < threads->n && st == RB_OK; i++)
        st = plan_threads(t, (int)threads->num[i], err);
    return threads->n ? st : plan_threads(t, (int)most, err);
}

static rb_status make_plan(tour *t, rb_error *err)
{
    const rb_opt_value *shapes = rb_opt_get(t->args, "--shape");
    rb_status st = list_types(t, err);
    for (int i = 0; i < shapes->n && st == RB_OK; i++)
        st = rb_shapes_parse(shapes->text[i], t->op[0], &t->shape, &t->n_shape, err);
    if (st == RB_OK)
        st = plan_all(t, err);
    if (st == RB_OK && !t->plan.n)
        return rb_fail(err, RB_ERR_ARGUMENT, "no kernel has one of these types");
    return st;
}

/* ---- running ---- */

static bool many_threads(const tour *t)
{
    return t->plan.n && t->plan.job[0].n_threads != t->plan.job[t->plan.n - 1].n_threads;
}

static rb_status open_tour(tour *t, rb_error *err)
{
    const char *cache = rb_opt_text(t->args, "--cache");
    t->params = (rb_kernel_params){
        .n_reps = (int)rb_opt_int(t->args, "-r"),
        .wanted = { [RB_COLD] = strcmp(cache, "warm") != 0,
                    [RB_WARM] = strcmp(cache, "cold") != 0 },
        .roofs = rb_opt_flag(t->args, "--no-roofs") ? NULL : &t->roofs,
        .stop = should_stop,
        .arg = t,
    };
    t->progress = rb_progress_make(rb_opt_flag(t->args, "--progress"), false, NULL);
    t->result = calloc((size_t)t->plan.n + 1, sizeof *t->result);
    if (!t->result)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the results of kernels");
    const rb_kernel_report_params p = { .out = stdout,
                                        .format = rb_format_of(rb_opt_text(t->args, "-o")),
                                        .plan = &t->plan,
                                        .runs = &t->params,
                                        .commit = RB_COMMIT,
                                        .threads = many_threads(t) };
    return rb_kernel_report_open(&t->report, &p, err);
}

static void run_job(tour *t, int i)
{
    char text[200], name[128];
    rb_kernel_result *r = &t->result[t->n_result];
    const rb_kernel_job *job = &t->plan.job[i];
    snprintf(text, sizeof text, "%d of %d: %s", i + 1, t->plan.n,
             rb_kernel_name(job->kernel, name, sizeof name));
    rb_progress_text(&t->progress, text);
    rb_kernel_run(&t->params, job, r);
    rb_progress_clear(&t->progress);
    if (!r->error[0] && !r->at[RB_COLD].ns.n && !r->at[RB_WARM].ns.n)
        return; /* stopped before its first sample */
    t->n_result++;
    rb_kernel_report_row(t->report, r);
    if (!r->error[0])
        return;
    rb_complain("%s: %s", rb_kernel_name(job->kernel, name, sizeof name), r->error);
    t->code = r->counts_differ ? RB_EXIT_SELFCHECK : t->code ? t->code : RB_EXIT_FAILED;
}

static void run_jobs(tour *t)
{
    const double budget = (double)rb_opt_int(t->args, "--budget");
    const uint64_t start = rb_now_ns();
    for (int i = 0; i < t->plan.n && !should_stop(t); i++) {
        const double left = budget - (double)(rb_now_ns() - start) / 1e9;
        if (budget > 0 && i && left <= 0) {
            rb_complain("--budget: the last %d of %d kernels are left out", t->plan.n - i,
                        t->plan.n);
            return;
        }
        t->params.budget_s = budget > 0 ? left / (t->plan.n - i) : 0;
        run_job(t, i);
    }
}

static void explain(const tour *t, FILE *out)
{
    fputs("\nHow it is counted. A multiply-add is 2 FLOPs; exp, tanh, div and sqrt are 1; a kernel "
          "executes FLOPs\n+ extra - saved. Bytes are distinct storage units, each once a "
          "launch.\n",
          out);
    for (int i = 0; i < t->plan.n; i++)
        if (t->plan.job[i].n_threads == t->plan.job[0].n_threads)
            rb_kernel_explain(out, &t->plan.job[i]);
}

/* Rows say where they spread; what else ran says why. */
static void show_disturbance(const rb_noise *n)
{
    if (n->wall_ns <= 0 || n->other_ns < 0)
        return;
    printf("Meanwhile other processes took %.1f %% of a CPU",
           100 * (double)n->other_ns / (double)n->wall_ns);
    if (n->steal_ns >= 0)
        printf(", the hypervisor %.1f %%", 100 * (double)n->steal_ns / (double)n->wall_ns);
    puts(".");
}

static void finish(tour *t, const rb_noise *noise)
{
    const bool md = !strcmp(rb_opt_text(t->args, "-o"), "md");
    if (md && t->params.roofs && t->n_result && !rb_kernel_report_failed(t->report)) {
        puts("\nTimes: median of samples, and its median absolute deviation; of the slowest "
             "thread, or where noted of the\nlaunch with all around it. Of roof: median over "
             "samples whose roofs, measured just before and after for\nthe kernel's own "
             "instruction set, agree. OI kernel and GB/s: all compulsory bytes; OI issued: what\n"
             "loops load and store. Cold: operands from DRAM; warm: from the level that holds "
             "them.");
        show_disturbance(noise);
    }
    for (int temper = 0; temper < RB_N_TEMPER; temper++)
        if (md && many_threads(t) && t->params.wanted[temper])
            rb_kernel_scaling(stdout, t->result, t->n_result, (rb_temper)temper);
    if (rb_opt_flag(t->args, "--explain"))
        explain(t, md ? stdout : stderr);
}

static void run_tour(tour *t)
{
    rb_error err = { 0 };
    rb_noise_mark mark;
    rb_noise_begin(&mark);
    if (open_tour(t, &err) == RB_OK) {
        run_jobs(t);
        const rb_noise noise = rb_noise_end(&mark);
        finish(t, &noise);
    } else
        fail(t, &err);
    rb_progress_clear(&t->progress);
    if (rb_kernel_report_close(t->report, &err) != RB_OK)
        fail(t, &err);
    rb_roof_pool_close(&t->roofs);
}

static int run_kernels(const rb_args *args)
{
    tour t = { .args = args };
    rb_error err = { 0 };
    rb_status st = list_ops(&t, &err);
    if (st == RB_OK && rb_opt_flag(args, "--list")) {
        rb_kernel_list_rows(stdout, t.op, args->n ? t.n_op : 0);
        return RB_EXIT_OK;
    }
    rb_catch_signals();
    rb_host_pin_threads();
    if (st == RB_OK)
        st = make_plan(&t, &err);
    if (st == RB_OK)
        run_tour(&t);
    else
        fail(&t, &err);
    rb_kernel_plan_free(&t.plan);
    free(t.result);
    free(t.shape);
    free(t.type);
    return t.code;
}

const rb_command rb_cmd_kernels = {
    .name = "kernels",
    .usage = "[OP...] [options]",
    .about = "Times kernels alone, launched as models launch them, cold and warm, and holds each "
             "against what bounds it: a compute roof, DRAM, a cache level or the floor of a "
             "launch. Without OP: what a session would launch for one token and for a prompt of "
             "512, at llama3.2-1b's shapes.",
    .what = "time kernels alone, cold and warm, against their roofs",
    .example = "\twhat a model's decode and prefill spend their time on\n"
               "matmul --type q4_0,q8_0 --shape 4096,4096,1\ttwo types of one product\n"
               "attend --threads-sweep\thow attention scales with threads\n"
               "--list\tevery kernel, and whether its counts are proven\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_kernels,
};
