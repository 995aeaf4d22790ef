/* rbench predict: a dry run. Exact counts and the memory needed, without weights; the same tests
 * and the same forward pass as the benchmark, so its numbers are the benchmark's. Read next:
 * cmd_bench.c. */
#include "shared.h"

#include <stdlib.h>
#include <string.h>

static const rb_option options[] = {
    RB_FORMAT_OPTION("md|json|jsonl", "format of the results"),
    { .names = "--explain",
      .kind = RB_OPT_FLAG,
      .help = "print the formulas behind the counts, with this model's numbers" },
};

typedef struct prediction {
    const rb_args *args;
    rb_report *report;
    bool md;
    rb_result *result;
    rb_kept kept;
    int code;
} prediction;

static void run_plan(prediction *p, rb_bench *bench, const rb_model *model, const rb_plan *plan)
{
    for (int i = 0; i < plan->n && !rb_signal(); i++) {
        rb_bench_test(bench, &plan->test[i], p->result);
        if (p->result->interrupted)
            return;
        rb_report_row(p->report, p->result, i);
        if (p->result->error[0]) {
            rb_complain("%s", p->result->error);
            p->code = RB_EXIT_FAILED;
        } else
            rb_kept_add(&p->kept, p->result);
    }
    rb_kept_show(&p->kept, p->report, true);
    if (rb_opt_flag(p->args, "--explain"))
        rb_kept_explain(&p->kept, p->md ? stdout : stderr, model);
    p->kept.has[0] = p->kept.has[1] = false;
}

static rb_status predict_model(prediction *p, const char *name, const rb_mix *mix, rb_error *err)
{
    char cpu[128];
    rb_model_params how = { .dry = true, .mix = mix, .seed = 1 };
    rb_bench_params params = { .n_reps = 1,
                               .dry = true,
                               .stop = rb_stop,
                               .seed = (uint64_t)rb_opt_int(p->args, "--seed"),
                               .cache_bytes = (uint64_t)rb_opt_int(p->args, "--last-cache") };
    rb_model *model = NULL;
    rb_lists lists = { 0 };
    rb_plan plan = { 0 };
    rb_bench *bench = NULL;
    rb_status st = rb_model_open(&model, name, &how, err);
    if (st == RB_OK)
        st = rb_model_pack(model, err);
    if (st == RB_OK)
        st = rb_lists_of(&lists, p->args, model, err);
    if (st == RB_OK)
        st = rb_plan_make(&plan, &lists.plan, err);
    if (st == RB_OK && !plan.n)
        st = rb_fail(err, RB_ERR_ARGUMENT, "nothing to count: -p, -n and -pg are all zero");
    if (st == RB_OK)
        st = rb_bench_open(&bench, model, model, &params, err);
    const rb_subject subject = {
        .filename = name, .model = model, .cpu = rb_host_cpu(cpu, sizeof cpu), .commit = RB_COMMIT
    };
    if (st == RB_OK)
        st = rb_report_subject(p->report, &subject, &plan, 0, true, err);
    if (st == RB_OK)
        run_plan(p, bench, model, &plan);
    rb_bench_close(bench);
    rb_plan_free(&plan);
    rb_lists_free(&lists);
    rb_model_close(model);
    return st;
}

static void predict_all(prediction *p)
{
    for (int m = 0; m < p->args->n; m++) {
        for (int t = 0; t < rb_n_types(p->args) && !rb_signal(); t++) {
            rb_error err = { 0 };
            if (predict_model(p, p->args->arg[m], rb_type_at(p->args, t), &err) == RB_OK)
                continue;
            rb_complain("%s", err.text);
            p->code = err.status == RB_ERR_ARGUMENT ? RB_EXIT_USAGE : RB_EXIT_FAILED;
        }
    }
}

static int run_predict(const rb_args *args)
{
    const char *format = rb_opt_text(args, "-o");
    prediction p = { .args = args, .md = !strcmp(format, "md") };
    rb_error err = { 0 };
    if (!args->n) {
        rb_complain("predict wants a MODEL or a preset ('rbench synth --list')");
        return RB_EXIT_USAGE;
    }
    rb_catch_signals();
    p.result = calloc(1, sizeof *p.result);
    rb_status st = p.result ? RB_OK : rb_fail(&err, RB_ERR_MEMORY, "no memory for a result");
    if (st == RB_OK)
        st = rb_kept_open(&p.kept, &err);
    if (st == RB_OK)
        st = rb_report_open(&p.report, stdout, rb_format_of(format), &err);
    if (st == RB_OK)
        predict_all(&p);
    if (st == RB_OK)
        st = rb_report_close(p.report, &err);
    rb_kept_close(&p.kept);
    free(p.result);
    if (st != RB_OK)
        rb_complain("%s", err.text);
    return st != RB_OK ? RB_EXIT_FAILED : p.code;
}

const rb_command rb_cmd_predict = {
    .name = "predict",
    .usage = "MODEL [options]",
    .about = "Counts what a benchmark of MODEL would do, without loading weights: exact FLOPs and "
             "bytes,\noperational intensity (OI), memory needed, and a table per kernel.",
    .what = "exact counts and memory of a test, without running it",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .shared = rb_test_options,
    .n_shared = &rb_n_test_options,
    .run = run_predict,
};
