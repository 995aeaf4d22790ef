/* rbench plot: draws figures from results that were recorded earlier, here or on other machines.
 * It measures nothing.
 * Read next: ../bench/plot.c. */
#include "cmd.h"

#include <jansson.h>
#include <string.h>

static const rb_option options[] = {
    { .names = "-o, --output",
      .kind = RB_OPT_TEXTS,
      .value = "FILE",
      .help = "figure to write, .png or .svg; replaced when complete" },
    { .names = "--kind",
      .kind = RB_OPT_WORD,
      .value = "KIND",
      .preset = "roofline",
      .choices = "roofline|layers",
      .help = "what to draw; layers: OI and speed over a sweep of layers" },
    { .names = "--overlay",
      .kind = RB_OPT_FLAG,
      .help = "lay the files over each other, one colour each, instead of taking them as one" },
    { .names = "--scale",
      .kind = RB_OPT_INT,
      .value = "N",
      .preset = "1",
      .min = 1,
      .max = 4,
      .help = "PNG of N times 1200x800 pixels" },
};

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Reads the files into one set, or each into its own. Every file is tried, so that one run names
 * all that are wrong. */
static bool read_sets(const rb_args *args, bool overlay, json_t *array[], rb_plot_set *set)
{
    bool good = true;
    for (int i = 0; i < args->n; i++) {
        rb_error err = { 0 };
        int n_torn = 0, to = overlay ? i : 0;
        if (rb_records_read(args->arg[i], &array[to], &n_torn, &err) != RB_OK) {
            rb_complain("%s", err.text);
            good = false;
        } else if (n_torn)
            rb_complain("%s: the last line is cut off and was skipped", args->arg[i]);
        set[to] = (rb_plot_set){ .records = array[to], .name = base_of(args->arg[i]) };
    }
    return good;
}

static int draw(const rb_args *args, const char *path)
{
    bool overlay = rb_opt_flag(args, "--overlay");
    bool layers = !strcmp(rb_opt_text(args, "--kind"), "layers");
    json_t *array[RB_PLOT_MAX_SETS] = { NULL };
    rb_plot_set set[RB_PLOT_MAX_SETS];
    rb_error err = { 0 };
    int code = RB_EXIT_FAILED;
    if (read_sets(args, overlay, array, set)) {
        rb_catch_signals(); /* until here nothing would be left behind */
        if (rb_plot(set, overlay ? args->n : 1, layers ? RB_PLOT_LAYERS : RB_PLOT_ROOFLINE,
                    (int)rb_opt_int(args, "--scale"), path, &err) == RB_OK)
            code = RB_EXIT_OK;
        else
            rb_complain("%s", err.text);
    }
    for (int i = 0; i < RB_PLOT_MAX_SETS; i++)
        json_decref(array[i]);
    return code;
}

static int run_plot(const rb_args *args)
{
    const rb_opt_value *out = rb_opt_get(args, "-o");
    if (!args->n || out->n != 1) {
        rb_complain("plot wants RESULT files and one -o FILE; see 'rbench plot --help'");
        return RB_EXIT_USAGE;
    }
    if (rb_opt_flag(args, "--overlay") && args->n > RB_PLOT_MAX_SETS) {
        rb_complain("--overlay: at most %d files, or colours can no longer be told apart",
                    RB_PLOT_MAX_SETS);
        return RB_EXIT_USAGE;
    }
    const char *path = out->text[0];
    if (!rb_plot_can_write(path)) {
        rb_complain("-o %s: figures are .png or .svg", path);
        return RB_EXIT_USAGE;
    }
    return draw(args, path);
}

const rb_command rb_cmd_plot = {
    .name = "plot",
    .usage = "RESULT... -o FILE.png|FILE.svg [options]",
    .about = "Draws recorded results (json or jsonl) on the roofline, or over layers.",
    .what = "draw recorded results: the roofline, or a sweep over layers",
    .example = "runs.jsonl -o roofline.png\tevery test under the roofs\n"
               "runs.jsonl --kind layers -o layers.svg\tOI and speed over layers\n"
               "desk.json laptop.json --overlay -o both.png\ttwo machines in one figure\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_plot,
};
