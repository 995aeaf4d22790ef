/* rbench paper: measures RooflineBench again on this machine, within a budget, keeps each record
 * and writes the report. Refuses names it does not know and folders it cannot write to before
 * anything runs. Read next: paper_run.c (the runs), ../bench/paper/grid.h (which tests), report.h.
 */
#include "paper_run.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const rb_option options[] = {
    { .names = "--out",
      .kind = RB_OPT_WORD,
      .value = "DIR",
      .preset = "rbench-paper",
      .help = "folder of records.jsonl and the report; where it has records the run goes on" },
    { .names = "--budget",
      .kind = RB_OPT_TIME,
      .value = "TIME",
      .min = 1,
      .max = 10000000,
      .help = "time for everything, in seconds (or 15m, 2h): first repetitions are cut, then "
              "the longest tests left out, and what was is said (default: 15m; with --full "
              "none)" },
    { .names = "--full",
      .kind = RB_OPT_FLAG,
      .help = "all models of the paper that memory holds, every second depth from 2 to 64" },
    { .names = "--models",
      .kind = RB_OPT_WORDS,
      .value = "MODELS",
      .help = "presets or files by comma, instead of the default ones" },
    { .names = "--types",
      .kind = RB_OPT_WORDS,
      .value = "LIST",
      .choices = RB_MATRIX_TYPES,
      .listed = "convert",
      .help =
          "types of the presets' matrices, those of most bits first (default: f16,q8_0,q4_k_m)" },
    RB_THREADS_OPTION(RB_OPT_INT, "N", RB_THREADS_HELP),
    { .names = "-r, --repetitions",
      .kind = RB_OPT_INT,
      .value = "N",
      .preset = "6",
      .min = 1,
      .max = RB_MAX_REPS,
      .help = "most timed repetitions of a test (of prompts of 4096 tokens: 3); a budget "
              "lowers them to 6 (to 1)" },
    { .names = "--proxy-from",
      .kind = RB_OPT_WORD,
      .value = "FILE",
      .help = "rates to put through the paper's formula, in the form of bench/paper/rates.json "
              "(default: those that the paper printed)" },
    { .names = "--overlay",
      .kind = RB_OPT_WORDS,
      .value = "RECORDS",
      .help = "records.jsonl of the same command on other machines: their roofs and points in "
              "claims 5 and 6; exact counts of a test must be equal on all" },
    { .names = "--no-roofs",
      .kind = RB_OPT_FLAG,
      .help = "do not measure the roofs of this machine: counts and times only" },
    { .names = "--progress",
      .kind = RB_OPT_FLAG,
      .help = "say what runs on stderr (always on a terminal after two seconds)" },
};

static const char *const default_types[] = { "f16", "q8_0", "q4_k_m" };
enum { N_DEFAULT_TYPES = sizeof default_types / sizeof *default_types };

/* ---- what is wanted ---- */

/* A preset by its shape; of a file the shape is read into *config. */
static rb_status add_model(rb_grid_want *w, rb_config *config, const char *name, rb_error *err)
{
    rb_grid_model *m = &w->model[w->n_model];
    rb_model *model = NULL;
    if (w->n_model == RB_GRID_MODELS)
        return rb_fail(err, RB_ERR_ARGUMENT, "--models: at most %d", RB_GRID_MODELS);
    const bool file = access(name, F_OK) == 0;
    const rb_config *preset = rb_preset_find(name);
    if (!file && !preset)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "--models: '%.200s' is no file or preset; see 'rbench "
                       "synth --list'",
                       name);
    const rb_model_params dry = { .dry = true };
    const rb_status st = file ? rb_model_open(&model, name, &dry, err) : RB_OK;
    if (st != RB_OK)
        return st;
    *config = file ? model->config : *preset;
    *m = (rb_grid_model){ .name = name, .config = config, .file = file };
    w->n_model++;
    rb_model_close(model);
    return RB_OK;
}

static rb_status want_of(rb_grid_want *w, rb_config *config, const rb_args *args, rb_error *err)
{
    const rb_opt_value *models = rb_opt_get(args, "--models"), *types = rb_opt_get(args, "--types");
    int n = models->n;
    *w = (rb_grid_want){ .chosen = n > 0,
                         .full = rb_opt_flag(args, "--full"),
                         .n_reps = (int)rb_opt_int(args, "-r") };
    const char *const *name = n ? (const char *const *)models->text : rb_grid_presets(w->full, &n);
    rb_status st = RB_OK;
    for (int i = 0; i < n && st == RB_OK; i++)
        st = add_model(w, &config[i < RB_GRID_MODELS ? i : 0], name[i], err);
    w->n_type = types->n ? types->n : N_DEFAULT_TYPES;
    if (st == RB_OK && w->n_type > RB_GRID_TYPES)
        return rb_fail(err, RB_ERR_ARGUMENT, "--types: at most %d", RB_GRID_TYPES);
    for (int i = 0; i < w->n_type && st == RB_OK; i++)
        w->type[i] = types->n ? types->text[i] : default_types[i];
    return st;
}

/* ---- the folder ---- */

static rb_status open_records(rb_paper_job *j, const char *dir, rb_error *err)
{
    const size_t size = strlen(dir) + sizeof "/records.jsonl";
    if (mkdir(dir, 0777) && errno != EEXIST)
        return rb_fail(err, RB_ERR_IO, "--out %.300s: %s", dir, strerror(errno));
    char *path = malloc(size);
    if (!path)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a path");
    snprintf(path, size, "%s/records.jsonl", dir);
    rb_status st = rb_store_open(&j->store, path, err);
    if (st == RB_OK && rb_store_cut(j->store))
        rb_complain("%s: the last line was not finished and is cut off", path);
    if (st == RB_OK && rb_store_rows(j->store))
        st = rb_records_read(path, &j->records, NULL, err);
    j->path = path;
    if (st == RB_OK && !j->records && !(j->records = json_array()))
        st = rb_fail(err, RB_ERR_MEMORY, "no memory for records");
    return st;
}

/* All of it is read before anything runs. */
static rb_status open_overlay(rb_paper_job *j, const rb_args *args, rb_error *err)
{
    const rb_opt_value *v = rb_opt_get(args, "--overlay");
    if (v->n > RB_PLOT_MAX_SETS)
        return rb_fail(err, RB_ERR_ARGUMENT, "--overlay: at most %d files", RB_PLOT_MAX_SETS);
    rb_status st = RB_OK;
    for (int i = 0; i < v->n && st == RB_OK; i++) {
        st = rb_records_read(v->text[i], &j->laid[i], NULL, err);
        j->overlay[i] = (rb_plot_set){ .records = j->laid[i], .name = v->text[i] };
        if (st == RB_OK)
            st = rb_paper_can_lay_over(&j->overlay[i], err);
        j->n_overlay = i + 1;
    }
    return st;
}

static rb_status open_job(rb_paper_job *j, const rb_args *args, rb_error *err)
{
    rb_grid_want want;
    rb_config config[RB_GRID_MODELS];
    const rb_session_params like = rb_session_defaults();
    j->start_ns = rb_now_ns();
    j->with_roofs = !rb_opt_flag(args, "--no-roofs");
    j->progress_wanted = rb_opt_flag(args, "--progress");
    j->budget_s = (double)rb_opt_int(args, "--budget");
    if (!j->budget_s && !rb_opt_flag(args, "--full"))
        j->budget_s = 15 * 60;
    j->like = (rb_test){ .n_seq = 1,
                         .n_batch = 2048,
                         .n_ubatch = like.n_ubatch,
                         .type_k = like.type_k,
                         .type_v = like.type_v,
                         .n_threads = rb_threads_of(args) };
    rb_status st = rb_isa_of(NULL, &j->like.isa, &j->like.capped, err);
    if (st == RB_OK)
        st = rb_rates_read(&j->rates, rb_opt_text(args, "--proxy-from"), err);
    if (st == RB_OK)
        st = open_overlay(j, args, err);
    if (st == RB_OK)
        st = want_of(&want, config, args, err);
    if (st == RB_OK)
        st = rb_grid_make(&j->grid, &want, err);
    return st == RB_OK ? open_records(j, rb_opt_text(args, "--out"), err) : st;
}

/* ---- the end ---- */

/* The command as it was given, as far as results depend on it. To be freed. */
static char *command_of(const rb_args *args)
{
    static const char *const texts[] = { "--models", "--types", "--proxy-from", "--overlay" };
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    const char *isa = getenv("RBENCH_ISA");
    if (isa && *isa)
        fprintf(f, "RBENCH_ISA=%s ", isa);
    fprintf(f, "rbench paper --out %s", rb_opt_text(args, "--out"));
    if (rb_opt_get(args, "--budget")->given)
        fprintf(f, " --budget %lld", (long long)rb_opt_int(args, "--budget"));
    fputs(rb_opt_flag(args, "--full") ? " --full" : "", f);
    fputs(rb_opt_flag(args, "--no-roofs") ? " --no-roofs" : "", f);
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        const rb_opt_value *v = rb_opt_get(args, texts[k]);
        if (v->n)
            fprintf(f, " %s %s", texts[k], v->text[0]);
        for (int i = 1; i < v->n; i++)
            fprintf(f, ",%s", v->text[i]);
    }
    fprintf(f, " -t %d -r %lld", rb_threads_of(args), (long long)rb_opt_int(args, "-r"));
    fclose(f);
    return text;
}

static void report(rb_paper_job *j, const rb_args *args)
{
    const char *dir = rb_opt_text(args, "--out");
    char *command = command_of(args);
    const double runs_s = rb_paper_elapsed_s(j);
    const rb_paper_told told = { .command = command ? command : "rbench paper",
                                 .commit = RB_COMMIT,
                                 .left_out = (const char *const *)j->left_out,
                                 .n_left_out = j->n_left_out,
                                 .budget_s = j->budget_s,
                                 .took_s = runs_s,
                                 .rates = &j->rates,
                                 .overlay = j->overlay,
                                 .n_overlay = j->n_overlay,
                                 .interrupted = rb_signal() != 0 };
    rb_error err = { 0 };
    int n_differ = 0;
    const rb_status st = rb_paper_report(j->records, &told, dir, &n_differ, &err);
    if (st != RB_OK) {
        if (st != RB_ERR_FORMAT || !j->code) /* why there is nothing has been said */
            rb_complain("%s", err.text);
        rb_paper_failed(j, RB_EXIT_FAILED);
    } else
        printf("%s: report.html, report.md, figures and %zu records, %d of them new\n", dir,
               json_array_size(j->records), j->n_new);
    if (n_differ) {
        rb_complain("exact counts of %d tests differ between machines: see Machine in the report",
                    n_differ);
        rb_paper_failed(j, RB_EXIT_SELFCHECK);
    }
    printf("time: %.0f s: roofs %.0f", rb_paper_elapsed_s(j), j->roofs_s);
    for (int p = 0; p < RB_N_PART; p++)
        printf(", %s %.0f", rb_part_name[p], j->part_s[p]);
    printf(", report %.0f; of all parts opening weights took %.0f\n",
           rb_paper_elapsed_s(j) - runs_s, j->open_s);
    free(command);
}

static int run_paper(const rb_args *args)
{
    rb_paper_job j = { 0 };
    rb_error err = { 0 };
    if (args->n) {
        rb_complain("paper takes no '%s'; models are given by --models", args->arg[0]);
        return RB_EXIT_USAGE;
    }
    rb_status st = open_job(&j, args, &err);
    if (st != RB_OK)
        j.code = rb_refused(&err);
    else {
        rb_catch_signals();
        rb_host_pin_threads();
        rb_paper_run(&j);
        report(&j, args);
        if (fflush(stdout) || ferror(stdout)) {
            rb_complain("cannot write where the report is: %s", strerror(errno));
            rb_paper_failed(&j, RB_EXIT_FAILED);
        }
    }
    const int code = j.code;
    rb_paper_job_close(&j);
    return code;
}

const rb_command rb_cmd_paper = {
    .name = "paper",
    .usage = "[options]",
    .about = "Measures the paper RooflineBench (arXiv 2602.11506) again on this machine, with "
             "exact counts: 1 to 64 layers, its four workloads, attention of one size, forms of "
             "one set of weights. Leaves every record, and a report that holds the paper's claims "
             "against them. Weights of presets are random.",
    .what = "measure the paper RooflineBench again, with a report",
    .example = "\twithin 15 minutes, to rbench-paper/report.md\n"
               "--full --budget 8h\tevery model that memory holds\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_paper,
};
