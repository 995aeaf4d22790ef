/* rbench predict: a dry run. Exact counts and the memory needed, without weights; the same tests
 * and the same forward pass as the benchmark, so its numbers are the benchmark's. Read next:
 * cmd_bench.c. */
#include "forms.h"

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

static void run_plan(prediction *p, rb_bench *bench, const rb_subject *subject, const rb_plan *plan)
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
        rb_kept_explain(&p->kept, p->md ? stdout : stderr, subject);
    p->kept.has[0] = p->kept.has[1] = false;
}

static rb_status predict_model(prediction *p, const char *name, const rb_mix *mix, rb_error *err)
{
    char cpu[128];
    rb_bench_params params = { .n_reps = 1,
                               .dry = true,
                               .stop = rb_stop,
                               .seed = (uint64_t)rb_opt_int(p->args, "--seed"),
                               .cache_bytes = (uint64_t)rb_opt_int(p->args, "--last-cache") };
    rb_forms forms;
    rb_lists lists = { 0 };
    rb_plan plan = { 0 };
    rb_bench *bench = NULL;
    rb_status st =
        rb_forms_open(&forms, p->args, name, &(rb_forms_params){ .mix = mix, .dry = true }, err);
    rb_model *const model = forms.model[0];
    if (st == RB_OK)
        st = rb_lists_of(&lists, p->args, model, forms.way, forms.n_way, err);
    rb_lists_drop_presets(&lists, p->args);
    if (st == RB_OK)
        st = rb_plan_make(&plan, &lists.plan, err);
    if (st == RB_OK && !plan.n)
        st =
            rb_fail(err, RB_ERR_ARGUMENT, "nothing to count: -p, -n, -pg and --draft are all zero");
    if (st == RB_OK)
        st = rb_bench_open(&bench, model, model, &params, err);
    for (int i = 1; i < forms.n && st == RB_OK; i++)
        st = rb_bench_add(bench, forms.model[i], forms.model[i], err);
    const rb_subject subject = { .filename = name,
                                 .model = model,
                                 .formed = forms.formed,
                                 .cpu = rb_host_cpu(cpu, sizeof cpu),
                                 .commit = RB_COMMIT };
    if (st == RB_OK)
        st = rb_report_subject(p->report, &subject, &plan, 0, true, err);
    if (st == RB_OK)
        run_plan(p, bench, &subject, &plan);
    rb_bench_close(bench);
    rb_plan_free(&plan);
    rb_lists_free(&lists);
    rb_forms_close(&forms);
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
             "bytes, operational intensity (OI), memory needed, and a table per kernel.",
    .what = "exact counts and memory of a test, without running it",
    .example = "llama3.1-70b\ta model that need not fit\n"
               "model.gguf -p 0 -n 1 -d 0,4096 --explain\twhere the bytes of a token come from\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .shared = rb_test_options,
    .n_shared = &rb_n_test_options,
    .run = run_predict,
};
