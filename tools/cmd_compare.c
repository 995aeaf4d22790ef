/* rbench compare: two runs of the same tests, row by row: how much faster the second is, how sure
 * that is, and whether both counted the same. It measures nothing.
 * Read next: ../bench/compare.c, ../bench/ranks.c. */
#include "shared.h"

#include <jansson.h>
#include <math.h>

static const rb_option options[] = {
    { .names = "--fail-above",
      .kind = RB_OPT_INT,
      .value = "PCT",
      .max = 99,
      .help = "exit 4 if B reaches less than (100 - PCT) % of A's tok/s in a row, with p < 0.05" },
    { .names = "--any-weights",
      .kind = RB_OPT_FLAG,
      .help = "tests are the same whatever the weights: a file against 'synth --like' of it" },
    RB_FORMAT_OPTION("md|json|csv", "format of the comparison"),
};

enum { SHOWN = 8 }; /* tests of one file alone that are named; of more it is said how many */

typedef struct two_files {
    const char *path[RB_N_SIDE];
    json_t *records[RB_N_SIDE];
    bool any_weights;
    rb_comparison comparison;
} two_files;

/* Both are tried, so that one run names all that is wrong. */
static rb_status read_both(two_files *f, rb_error *err)
{
    rb_status st = RB_OK;
    for (int s = 0; s < RB_N_SIDE; s++) {
        rb_error why = { 0 };
        int n_torn = 0;
        const rb_status here = rb_records_read(f->path[s], &f->records[s], &n_torn, &why);
        if (here != RB_OK && st != RB_OK)
            rb_complain("%s", err->text);
        if (here != RB_OK)
            st = rb_fail(err, here, "%s", why.text);
        else if (n_torn)
            rb_complain("%s: the last line is cut off and was skipped", f->path[s]);
    }
    return st;
}

/* What of the files is not in the table, and why. */
static void tell_rest(const two_files *f)
{
    const rb_comparison *c = &f->comparison;
    for (int s = 0; s < RB_N_SIDE; s++) {
        char name[200];
        if (c->n_left_out[s])
            rb_complain("%s: %d of its records are left out: no times of a test", f->path[s],
                        c->n_left_out[s]);
        if (c->n_again[s])
            rb_complain("%s: %d of its records are of tests that come again: the last one counts",
                        f->path[s], c->n_again[s]);
        for (int i = 0; i < c->n_only[s] && c->n_only[s] <= SHOWN; i++)
            rb_complain("only in %s: %s", f->path[s],
                        rb_record_name(c->only[s][i], name, sizeof name));
        if (c->n_only[s] > SHOWN)
            rb_complain("only in %s: %d tests", f->path[s], c->n_only[s]);
    }
}

/* The exit code: a defect of counts before anything that times say. */
static int judge(const two_files *f, double slower_pct)
{
    const rb_comparison *c = &f->comparison;
    int n_defect = 0;
    for (int i = 0; i < c->n; i++)
        n_defect += c->row[i].defect;
    const int n_slower = isnan(slower_pct) ? 0 : rb_comparison_slower(c, slower_pct);
    if (n_defect)
        rb_complain("the counts of %d tests differ: of one test they are the same in every run",
                    n_defect);
    if (n_slower)
        rb_complain("%d of %d tests are slower by more than %g %%", n_slower, c->n, slower_pct);
    return n_defect ? RB_EXIT_SELFCHECK : n_slower ? RB_EXIT_REGRESSION : RB_EXIT_OK;
}

static rb_status compare(two_files *f, rb_format format, double slower_pct, rb_error *err)
{
    const rb_compare_names names = { f->path[RB_SIDE_A], f->path[RB_SIDE_B], slower_pct };
    char text[400];
    rb_status st = read_both(f, err);
    if (st == RB_OK)
        st = rb_compare(&f->comparison, f->records[RB_SIDE_A], f->records[RB_SIDE_B],
                        f->any_weights, err);
    if (st != RB_OK)
        return st;
    tell_rest(f);
    if (!f->comparison.n)
        return rb_fail(err, RB_ERR_FORMAT, "%.200s and %.200s have no test in common", names.a,
                       names.b);
    st = rb_comparison_write(stdout, &f->comparison, format, &names, err);
    if (st == RB_OK && format == RB_FORMAT_CSV)
        fprintf(stderr, "%s\n", rb_comparison_text(&f->comparison, text, sizeof text));
    return st;
}

static int run_compare(const rb_args *args)
{
    const rb_opt_value *above = rb_opt_get(args, "--fail-above");
    const double slower_pct = above->n ? (double)above->num[0] : NAN;
    two_files f = { .any_weights = rb_opt_flag(args, "--any-weights") };
    rb_error err = { 0 };
    if (args->n != RB_N_SIDE) {
        rb_complain("compare wants two files of results, A and B");
        return RB_EXIT_USAGE;
    }
    for (int s = 0; s < RB_N_SIDE; s++)
        f.path[s] = args->arg[s];
    int code = RB_EXIT_FAILED;
    if (compare(&f, rb_format_of(rb_opt_text(args, "-o")), slower_pct, &err) == RB_OK)
        code = judge(&f, slower_pct);
    else
        rb_complain("%s", err.text);
    rb_comparison_free(&f.comparison);
    for (int s = 0; s < RB_N_SIDE; s++)
        json_decref(f.records[s]);
    return code;
}

const rb_command rb_cmd_compare = {
    .name = "compare",
    .usage = "A.json B.json [options]",
    .about = "Holds two runs of the same tests (json or jsonl) against each other. B/A is the "
             "median ratio of a sample of B to one of A, with its 95 % interval and p of a rank "
             "test; 'least' is the change that such samples would have shown in 4 of 5 cases; 'of "
             "roof' is the ratio of shares of roof, in which drift of the machine cancels. Counts "
             "have to be identical (exit 3).",
    .what = "compare two runs: ratio, interval, p, the least effect that would show",
    .example = "before.json after.json\twhat changed, and whether it can be told from noise\n"
               "before.json after.json --fail-above 5\tfor CI: exit 4 where it is slower by more "
               "than 5 %\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_compare,
};
