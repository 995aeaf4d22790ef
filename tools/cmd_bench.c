/* rbench MODEL: runs the tests of a plan and reports each as it ends. A test that fails costs its
 * row, not the others. Nothing is timed or counted here.
 * Read next: shared.h (the options), ../bench/schedule.c (how tests take turns). */
#include "calibrate.h"
#include "job.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A sweep runs many depths: shorter tests by default. */
#define SWEEP_PROMPT "128"
#define SWEEP_GEN    "32"

static const rb_option options[] = {
    { .names = "-m, --model",
      .kind = RB_OPT_TEXTS,
      .value = "MODEL",
      .help = "model file or preset; as the first argument, repeatable" },
    RB_THREADS_OPTION(RB_OPT_INTS, "LIST", RB_THREADS_HELP),
    { .names = "-r, --repetitions",
      .kind = RB_OPT_INT,
      .value = "N",
      .preset = "6",
      .min = 1,
      .max = RB_MAX_REPS,
      .help = "timed repetitions of each test; the median is reported, from 6 on with its 95 % "
              "confidence interval" },
    { .names = "--budget",
      .kind = RB_OPT_TIME,
      .value = "TIME",
      .min = 1,
      .max = 10000000,
      .help = "time for all tests of a model, in seconds (or 15m, 2h): first repetitions are "
              "cut to 6, then the longest tests left out, and what was is said" },
    { .names = "--sequential",
      .kind = RB_OPT_FLAG,
      .help = "finish one test before the next (default: each round runs every test once, in "
              "random order, so that drift of the machine hits all alike)" },
    { .names = "--no-roofs",
      .kind = RB_OPT_FLAG,
      .help = "do not measure the roofs of this machine: counts and times only" },
    { .names = "--mla-auto",
      .kind = RB_OPT_WORD,
      .value = "RULE",
      .preset = "flops",
      .choices = "flops|roof",
      .help = "what chooses the order of each call under --attn mla: fewer FLOPs, or the "
              "least time under measured roofs" },
    { .names = "--depth-sweep, --layer-sweep",
      .kind = RB_OPT_SWEEP,
      .value = "[=LIST]",
      .min = 1,
      .max = RB_MAX_LAYER,
      .help = "run each number of layers in LIST (default 1-8,12,16,24,32,48,64, cut to the memory "
              "available) and say what OI did; with -p " SWEEP_PROMPT " -n " SWEEP_GEN
              " unless given" },
    { .names = "--context-sweep",
      .kind = RB_OPT_SWEEP,
      .value = "[=LIST]",
      .max = RB_MAX_TOKENS,
      .help = "decode at each context in LIST (default 0,256,512,1024,2048,4096, less where the "
              "model's own or the memory is), fit a law a + b d and try it on a context between "
              "and on twice the sequences; with -p 0 -n " SWEEP_GEN " unless given" },
    { .names = "--batch-sweep",
      .kind = RB_OPT_SWEEP,
      .value = "[=LIST]",
      .min = 1,
      .max = RB_MAX_SEQ,
      .help = "decode with each number of sequences in LIST (default 1-64*2, cut to the memory "
              "available) and say where steps leave the memory roof for the compute roof; with "
              "-p 0 -n " SWEEP_GEN " unless given" },
    { .names = "--draft-sweep",
      .kind = RB_OPT_SWEEP,
      .value = "[=LIST]",
      .min = 1,
      .max = RB_MAX_TOKENS,
      .help = "verify each number of drafted tokens in LIST (default 1-4,6,8,12,16) and say the "
              "same, and what it costs beside a decode step; with -p 0 -n " SWEEP_GEN
              " -d 512 (less where the model's own context is) unless given" },
    RB_FORMAT_OPTION("md|json|jsonl|csv", "format of the results on stdout"),
    { .names = "-oe, --output-err",
      .kind = RB_OPT_WORD,
      .value = "FORMAT",
      .choices = "md|json|jsonl|csv",
      .help = "the results again on stderr, in this format" },
    { .names = "--out",
      .kind = RB_OPT_TEXTS,
      .value = "FILE",
      .help = "append a JSON record a line to FILE as each test ends (all in the last round, "
              "or one by one with --sequential); an interrupt keeps what has samples" },
    { .names = "--resume",
      .kind = RB_OPT_FLAG,
      .help = "skip tests that --out FILE holds already (same model, counts, ISA, threads)" },
    { .names = "--plot",
      .kind = RB_OPT_TEXTS,
      .value = "FILE",
      .help = "draw the roofline to FILE, .png or .svg; after a sweep also FILE-layers" },
    RB_CALIBRATE_OPTION,
    { .names = "--text",
      .kind = RB_OPT_WORD,
      .value = "FILE",
      .help = "with several forms of --attn: measure how far each is from the model on this "
              "text (default: on synthetic tokens)" },
    { .names = "--trace",
      .kind = RB_OPT_TEXTS,
      .value = "FILE",
      .help = "repeat each test once more, untimed, and write every launch to FILE, thread "
              "by thread, as Chrome trace events (JSON, for Perfetto)" },
    { .names = "--explain",
      .kind = RB_OPT_FLAG,
      .help = "print the formulas behind the counts, with this model's numbers" },
    { .names = "--no-warmup",
      .kind = RB_OPT_FLAG,
      .help = "skip the untimed run before each test" },
    { .names = "--progress",
      .kind = RB_OPT_FLAG,
      .help = "say what runs on stderr (always on a terminal after two seconds)" },
};

/* ---- one model ---- */

static rb_status make_lists(rb_job *j, bool sweep, bool decodes, rb_error *err)
{
    static const int64_t prompt[] = { 128 }, gen[] = { 32 }; /* SWEEP_PROMPT, SWEEP_GEN */
    rb_status st = rb_lists_of(&j->lists, j->args, j->model, j->forms.way, j->forms.n_way, err);
    const rb_opt_value *threads = rb_opt_get(j->args, "-t");
    j->lists.plan.mla_roof = !strcmp(rb_opt_text(j->args, "--mla-auto"), "roof");
    if (threads->n)
        j->lists.plan.threads = (rb_list){ threads->num, threads->n };
    if (sweep && !rb_opt_get(j->args, "-p")->given)
        j->lists.plan.prompt = (rb_list){ prompt, 1 };
    if (decodes && !rb_opt_get(j->args, "-p")->given)
        j->lists.plan.prompt.n = 0;
    if ((sweep || decodes) && !rb_opt_get(j->args, "-n")->given)
        j->lists.plan.gen = (rb_list){ gen, 1 };
    rb_lists_drop_presets(&j->lists, j->args);
    return st;
}

/* An interrupt, or nobody who would get the results. */
static bool should_stop(void *arg)
{
    rb_job *j = arg;
    return rb_signal() || (rb_report_failed(j->report) && !j->outputs.store);
}

static void tell_progress(void *arg, const rb_progress_at *at)
{
    rb_job *j = arg;
    rb_progress_tell(&j->progress, at);
}

/* A self-check that failed is what is told, whatever else did. */
static void set_code(rb_job *j, int code)
{
    j->code = j->code == RB_EXIT_SELFCHECK ? j->code : code;
}

/* Forms of attention beside the model; what goes wrong costs their columns alone, unless what is
 * exact turns out not to be. */
static void judge_forms(rb_job *j, const char *name)
{
    rb_error err = { 0 };
    if (j->forms.n == 1)
        return;
    rb_progress_text(&j->progress, "measuring how far forms of attention are from the model");
    const rb_judge_params params = { .text = rb_opt_text(j->args, "--text"),
                                     .seed = (uint64_t)rb_opt_int(j->args, "--seed"),
                                     .n_threads = rb_host_threads() };
    bool defect;
    const rb_status st = rb_forms_judge(&j->forms, name, &params, &defect, &err);
    rb_progress_clear(&j->progress);
    if (st == RB_OK)
        return;
    rb_complain("%s", err.text);
    set_code(j, defect ? RB_EXIT_SELFCHECK : RB_EXIT_FAILED);
}

/* Before a sweep is cut to memory and a budget begins: both want to know what is left. */
static rb_status measure_first_roofs(rb_job *j, rb_error *err)
{
    const rb_plan_lists *l = &j->lists.plan;
    rb_roofs *roofs;
    const int n_threads = (int)l->threads.at[0];
    const rb_isa isa = (rb_isa)l->isa.at[0];
    if (!rb_roof_pool_machine(&j->roofs, n_threads, isa))
        tell_progress(j, &(rb_progress_at){ .test = -1 });
    const rb_status st =
        rb_roof_pool_get(&j->roofs, n_threads, isa, l->capped, should_stop, j, &roofs, err);
    rb_progress_clear(&j->progress);
    return st;
}

static rb_status prepare(rb_job *j, const char *name, const rb_mix *mix, rb_error *err)
{
    const bool sweep = rb_opt_get(j->args, "--depth-sweep")->given;
    const bool contexts = rb_opt_get(j->args, "--context-sweep")->given;
    const bool parallel = j->crossings.over != RB_OVER_NONE;
    rb_bench_params params = {
        .n_reps = (int)rb_opt_int(j->args, "-r"),
        .warmup = !rb_opt_flag(j->args, "--no-warmup"),
        .roofs = rb_opt_flag(j->args, "--no-roofs") ? NULL : &j->roofs,
        .sequential = rb_opt_flag(j->args, "--sequential"),
        .seed = (uint64_t)rb_opt_int(j->args, "--seed"),
        .budget_s = (double)rb_opt_int(j->args, "--budget"),
        .cache_bytes = (uint64_t)rb_opt_int(j->args, "--last-cache"),
        .traces = j->outputs.traces,
        .stop = should_stop,
        .progress = tell_progress,
        .arg = j,
    };
    j->progress = rb_progress_make(rb_opt_flag(j->args, "--progress"), j->quiet, &j->plan);
    rb_status st = rb_forms_open(
        &j->forms, j->args, name,
        &(rb_forms_params){
            .mix = mix, .digest = true, .calibrate = rb_opt_text(j->args, "--calibrate") },
        err);
    j->model = j->forms.model[0];
    j->shape = j->forms.shape[0];
    if (st == RB_OK)
        st = make_lists(j, sweep, contexts || parallel, err);
    if (st == RB_OK)
        st = rb_bench_open(&j->bench, j->model, j->shape, &params, err);
    for (int i = 1; i < j->forms.n && st == RB_OK; i++)
        st = rb_bench_add(j->bench, j->forms.model[i], j->forms.shape[i], err);
    if (st == RB_OK && params.roofs)
        st = measure_first_roofs(j, err);
    if (st == RB_OK)
        st = sweep      ? rb_sweep_plan(j, err)
             : contexts ? rb_context_plan(j, err)
             : parallel ? rb_parallel_plan(j, err)
                        : rb_plan_make(&j->plan, &j->lists.plan, err);
    if (st == RB_OK && !j->plan.n)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "nothing to run: -p, -n, -pg and --draft are all zero");
    if (st == RB_OK)
        judge_forms(j, name);
    return st;
}

/* ---- what rb_bench_run tells ---- */

static bool is_there(void *arg, int i)
{
    rb_job *j = arg;
    const bool has = rb_outputs_has(&j->outputs, &j->subject, &j->plan.test[i]);
    if (has && j->n_group)
        rb_sweep_note_dry(j, i);
    if (has)
        rb_parallel_note(j, &j->plan.test[i], NULL);
    return has;
}

static void fail(rb_job *j, const rb_error *err)
{
    rb_complain("%s", err->text);
    set_code(j, err->status == RB_ERR_ARGUMENT ? RB_EXIT_USAGE : RB_EXIT_FAILED);
}

static void note_disturbance(rb_disturbance *d, const rb_result *r)
{
    d->noise = d->n_rows ? rb_noise_add(&d->noise, &r->noise) : r->noise;
    d->n_rows++;
    d->n_drift += r->ns.drifts;
    d->n_samples += r->n_samples;
    d->n_outlier += r->ns.n_outlier;
}

static void take_row(void *arg, int i, const rb_result *r)
{
    rb_job *j = arg;
    rb_error err = { 0 };
    rb_progress_clear(&j->progress);
    if (rb_outputs_row(&j->outputs, &j->subject, r, &err) != RB_OK) {
        if (!j->lost) /* of a full disk one line is enough */
            rb_complain("%s", err.text);
        j->lost = true;
        set_code(j, RB_EXIT_FAILED);
    }
    rb_report_row(j->report, r, i);
    if (j->second)
        rb_report_row(j->second, r, i);
    if (r->error[0]) {
        set_code(j, r->counts_differ ? RB_EXIT_SELFCHECK : j->code ? j->code : RB_EXIT_FAILED);
        rb_complain("%s", r->error);
        return;
    }
    note_disturbance(&j->disturbance, r);
    rb_kept_add(&j->kept, r);
    rb_context_note(j, r);
    if (rb_rivals_note(&j->rivals, &j->subject, r, &err) != RB_OK)
        fail(j, &err);
    rb_parallel_note(j, &r->test, r);
    if (j->n_group)
        rb_sweep_note(j, r, i);
}

static void take_left_out(void *arg, int i, double need_s)
{
    rb_job *j = arg;
    char name[64], attn[64];
    const rb_test *t = &j->plan.test[i];
    rb_progress_clear(&j->progress);
    rb_complain("--budget: %s of %s at %lld layers is left out, it needs about %.0f s",
                rb_test_name(t, name, sizeof name),
                rb_subject_attn(&j->subject, t, attn, sizeof attn), (long long)t->n_layer, need_s);
}

static void run_tests(rb_job *j)
{
    const rb_sink sink = { is_there, take_row, take_left_out, j };
    rb_error err = { 0 };
    j->outputs.n_skipped = 0;
    if (rb_bench_run(j->bench, &j->plan, &sink, &err) != RB_OK)
        fail(j, &err);
    rb_progress_clear(&j->progress);
    if (j->outputs.n_skipped)
        fprintf(stderr, "%s has %d of the %d tests already\n", j->outputs.out, j->outputs.n_skipped,
                j->plan.n);
}

/* ", other processes took 3.1 % of a CPU": nothing where the system does not say. */
static void put_share(char *text, size_t size, const char *what, int64_t ns, int64_t wall_ns)
{
    const size_t used = strlen(text);
    if (ns >= 0 && wall_ns > 0)
        snprintf(text + used, size - used, "%s %.1f %% of a CPU", what,
                 100 * (double)ns / (double)wall_ns);
}

/* Whether others had a tenth of a CPU or more. */
static bool is_disturbed(const rb_noise *n)
{
    return n->wall_ns > 0 && (n->other_ns > n->wall_ns / 10 || n->steal_ns > n->wall_ns / 10);
}

static void show_disturbance(rb_job *j)
{
    const rb_disturbance *d = &j->disturbance;
    char text[400];
    if (!d->n_rows)
        return;
    snprintf(text, sizeof text, "Of %d samples %d are outliers; %d of %d tests drift with time",
             d->n_samples, d->n_outlier, d->n_drift, d->n_rows);
    put_share(text, sizeof text, "; other processes took", d->noise.other_ns, d->noise.wall_ns);
    put_share(text, sizeof text, ", the hypervisor", d->noise.steal_ns, d->noise.wall_ns);
    strcat(text, ".");
    if (is_disturbed(&d->noise))
        strcat(text, " Times are not this program's alone: measure again on a quiet machine.");
    rb_report_text(j->report, text);
}

static void finish(rb_job *j)
{
    char note[300];
    snprintf(note, sizeof note, "tok/s: median ± MAD%s; order and input by --seed %llu.%s",
             rb_opt_flag(j->args, "--sequential") ? "" : " of interleaved rounds",
             (unsigned long long)j->subject.seed,
             j->subject.roofs ? " Of roof: median over samples whose roofs, measured just before "
                                "and after, agree (unpaired: none's do)."
                              : "");
    if (j->disturbance.n_rows)
        rb_report_text(j->report, note);
    show_disturbance(j);
    rb_kept_show(&j->kept, j->report, false);
    if (j->second)
        rb_kept_show(&j->kept, j->second, false);
    if (rb_opt_flag(j->args, "--explain"))
        rb_kept_explain(&j->kept, j->format == RB_FORMAT_MD ? stdout : stderr, &j->subject);
    rb_sweep_close(j);
    rb_context_close(j);
    rb_parallel_close(j);
    const bool all = j->forms.n_way > 1 && !j->outputs.n_skipped; /* else who wins is not known */
    char *rivals = all ? rb_rivals_text(&j->rivals) : NULL;
    if (rivals)
        rb_job_say(j, rivals);
    free(rivals);
}

static void clear_model(rb_job *j)
{
    rb_bench_close(j->bench);
    rb_plan_free(&j->plan);
    rb_lists_free(&j->lists);
    rb_forms_close(&j->forms);
    rb_laws_clear(&j->laws);
    rb_rivals_clear(&j->rivals);
    rb_crossings_clear(&j->crossings);
    free(j->context);
    free(j->points);
    free(j->n_points);
    j->bench = NULL;
    j->model = j->shape = NULL;
    j->points = NULL;
    j->n_points = NULL;
    j->context = NULL;
    j->n_group = 0;
    j->disturbance = (rb_disturbance){ 0 };
    j->kept.has[0] = j->kept.has[1] = false;
}

static rb_status announce(rb_job *j, rb_error *err)
{
    rb_status st = rb_report_subject(j->report, &j->subject, &j->plan, j->n_group, false, err);
    if (st == RB_OK && j->second)
        st = rb_report_subject(j->second, &j->subject, &j->plan, j->n_group, false, err);
    return st;
}

static void run_model(rb_job *j, const char *name, const rb_mix *mix)
{
    char cpu[128];
    rb_error err = { 0 };
    rb_status st = prepare(j, name, mix, &err);
    j->subject = (rb_subject){ .filename = name,
                               .model = j->model,
                               .formed = j->forms.formed,
                               .cpu = rb_host_cpu(cpu, sizeof cpu),
                               .commit = RB_COMMIT,
                               .roofs = !rb_opt_flag(j->args, "--no-roofs"),
                               .seed = (uint64_t)rb_opt_int(j->args, "--seed"),
                               .env = rb_env_manifest(j->forms.digest[0]) };
    if (st == RB_OK)
        st = announce(j, &err);
    if (st == RB_OK) {
        run_tests(j);
        finish(j);
    } else
        fail(j, &err);
    json_decref(j->subject.env);
    clear_model(j);
}

/* ---- the command ---- */

/* Options that exclude each other, and what to write instead of the second. */
static const char *exclusion(const rb_args *args)
{
    static const char *const pairs[][3] = {
        { "--depth-sweep", "--layers",
          "--depth-sweep and --layers exclude each other; write "
          "--depth-sweep=LIST" },
        { "--context-sweep", "--depth-sweep",
          "--context-sweep and --depth-sweep exclude each other" },
        { "--context-sweep", "-d",
          "--context-sweep and -d exclude each other; write --context-sweep=LIST" },
        { "--batch-sweep", "--depth-sweep", "--batch-sweep and --depth-sweep exclude each other" },
        { "--batch-sweep", "--context-sweep",
          "--batch-sweep and --context-sweep exclude each other" },
        { "--batch-sweep", "-npl",
          "--batch-sweep and -npl exclude each other; write --batch-sweep=LIST" },
        { "--draft-sweep", "--depth-sweep", "--draft-sweep and --depth-sweep exclude each other" },
        { "--draft-sweep", "--context-sweep",
          "--draft-sweep and --context-sweep exclude each other" },
        { "--draft-sweep", "--batch-sweep", "--draft-sweep and --batch-sweep exclude each other" },
        { "--draft-sweep", "--draft",
          "--draft-sweep and --draft exclude each other; write --draft-sweep=LIST" },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (rb_opt_get(args, pairs[i][0])->given && rb_opt_get(args, pairs[i][1])->given)
            return pairs[i][2];
    return NULL;
}

/* What no table of options can express; the line to print, or NULL. */
static const char *conflict(const rb_args *args)
{
    if (!args->n && !rb_opt_get(args, "-m")->n)
        return "no MODEL given: name a GGUF or llama2.c file, a Hugging Face folder, or a preset "
               "('rbench synth --list')";
    if (!strcmp(rb_opt_text(args, "--mla-auto"), "roof") && rb_opt_flag(args, "--no-roofs"))
        return "--mla-auto roof wants roofs; leave out --no-roofs";
    return exclusion(args);
}

static rb_status open_reports(rb_job *j, rb_error *err)
{
    rb_format second = rb_format_of(rb_opt_text(j->args, "-oe"));
    j->format = rb_format_of(rb_opt_text(j->args, "-o"));
    j->quiet = second != RB_FORMAT_NONE;
    rb_status st = rb_kept_open(&j->kept, err);
    if (st == RB_OK)
        st = rb_report_open(&j->report, stdout, j->format, err);
    if (st == RB_OK && j->quiet)
        st = rb_report_open(&j->second, stderr, second, err);
    return st == RB_OK ? rb_outputs_open(&j->outputs, j->args, err) : st;
}

static void run_models(rb_job *j)
{
    const rb_opt_value *more = rb_opt_get(j->args, "-m");
    for (int m = 0; m < j->args->n + more->n; m++) {
        const char *name = m < j->args->n ? j->args->arg[m] : more->text[m - j->args->n];
        for (int t = 0; t < rb_n_types(j->args) && !rb_signal(); t++)
            run_model(j, name, rb_type_at(j->args, t));
    }
}

static int run_bench(const rb_args *args)
{
    rb_job j = { .args = args, .laws = { .hold = -1 } };
    rb_error err = { 0 };
    const char *wrong = conflict(args);
    if (wrong) {
        rb_complain("%s", wrong);
        return RB_EXIT_USAGE;
    }
    j.crossings.over = rb_opt_get(args, "--batch-sweep")->given   ? RB_OVER_SEQUENCES
                       : rb_opt_get(args, "--draft-sweep")->given ? RB_OVER_DRAFTS
                                                                  : RB_OVER_NONE;
    rb_catch_signals();
    rb_host_pin_threads();
    rb_status st = open_reports(&j, &err);
    if (st == RB_OK) {
        run_models(&j);
        if (rb_outputs_trace(&j.outputs, j.code != RB_EXIT_OK, &err) != RB_OK)
            fail(&j, &err);
        st = rb_outputs_draw(&j.outputs, rb_opt_get(args, "--depth-sweep")->given, &err);
    }
    if (st != RB_OK)
        fail(&j, &err);
    rb_outputs_close(&j.outputs);
    rb_roof_pool_close(&j.roofs);
    if (rb_report_close(j.report, &err) != RB_OK)
        fail(&j, &err);
    if (rb_report_close(j.second, &err) != RB_OK)
        fail(&j, &err);
    rb_kept_close(&j.kept);
    return j.code;
}

const rb_command rb_cmd_bench = {
    .name = "",
    .usage = "MODEL [options]",
    .about = "Benchmarks MODEL: prompt processing (pp) and token generation (tg) with exact "
             "counts of FLOPs and bytes. 'Context' (-d) is tokens in the cache; 'layers' "
             "(--depth-sweep) is how deep the model is. tok/s is the median and its median "
             "absolute deviation, GB/s are of weights and KV cache. OI W+KV is FLOPs per byte of "
             "weights and KV cache (compulsory bytes); OI DRAM per byte that a model of the last "
             "cache moves.",
    .what = "benchmark MODEL: tok/s, exact FLOPs and bytes, OI",
    .example =
        "smollm2-135m --depth-sweep\tthe sweep over layers, of a shape with random weights\n"
        "model.gguf -p 512 -n 128 -o json\tas llama-bench would, one record a test\n"
        "model.gguf --depth-sweep --plot roofline.png\tand draw it under this machine's roofs\n"
        "model.gguf --attn gqa,mla,mqa -d 0,4096 -p 0\tthe same weights in three forms of "
        "attention\n"
        "model.gguf --out runs.jsonl --resume\tkeep each record, go on where a run stopped\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .shared = rb_test_options,
    .n_shared = &rb_n_test_options,
    .run = run_bench,
};
