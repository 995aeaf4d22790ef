/* Figures and files: results that are torn or hostile, figures that cannot be written, exit codes.
 * What figures look like is the other suite's matter.
 * Read next: figures.h, test_plot.c. */
#include "figures.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(plot_files, .init = rb_figures_open, .fini = rb_figures_close);

/* ---- reading ---- */

static size_t read_text(const char *text, int *n_torn, rb_status *status, rb_error *err)
{
    json_t *array = NULL;
    rb_figures_spill(rb_figures_path("in.jsonl"), text);
    *n_torn = 0;
    *status = rb_records_read(rb_figures_path("in.jsonl"), &array, n_torn, err);
    size_t n = json_array_size(array);
    json_decref(array);
    return n;
}

Test(plot_files, reader_takes_every_form)
{
    static const struct {
        const char *text;
        size_t n;
        int n_torn;
        const char *fails; /* part of the message */
    } cases[] = {
        { "{\"a\":1}", 1, 0, NULL },
        { "{\"a\":1}\n{\"a\":2}\n", 2, 0, NULL },
        { "[{\"a\":1},{\"a\":2}]\n", 2, 0, NULL },
        { "{\n \"a\": 1\n}\n\n", 1, 0, NULL },
        { "{\"a\":1}\n[{\"a\":2},{\"a\":3}]\n", 3, 0, NULL },
        { "{\"a\":1}\n{\"a\":2,\"b", 1, 1, NULL },
        { "{\"a\":1}\n{\"a\":", 1, 1, NULL },
        { "{\"a\":1}\n{\"a\":2,\"b\n{\"a\":3}\n", 1, 0, "in.jsonl:2:" },
        { "{\"a\":1}\nhello", 1, 0, "in.jsonl:2:" },
        { "{\"a\":", 0, 0, "in.jsonl:1:" },
        { "{\"a\":1}\n\n\n7\n", 1, 0, "in.jsonl:4:" },
        { "[1,2]", 0, 0, "in.jsonl:1:" },
        { "[{\"a\":1}", 0, 0, "in.jsonl:1:" },
        { "\xef\xbb\xbf{\"a\":1}\n[{\"a\":2}]", 2, 0, NULL },
        { "{\"a\":1}\n\xef\xbb\xbf{\"a\":2}\n", 1, 0, "in.jsonl:2:" },
        { "\xef\xbb\xbf\n\n7", 0, 0, "in.jsonl:3:" },
        { "\xef\xbb\xbf\n", 0, 0, "empty" },
        { "\xef\xbb", 0, 0, "not JSON" },
        { " \n", 0, 0, "empty" },
        { "", 0, 0, "empty" },
        { "GGUF\3", 0, 0, "not JSON" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rb_error err = { 0 };
        rb_status status;
        int n_torn;
        size_t n = read_text(cases[i].text, &n_torn, &status, &err);
        cr_expect_eq(status, cases[i].fails ? RB_ERR_FORMAT : RB_OK, "%s: %s", cases[i].text,
                     err.text);
        cr_expect_eq(n, cases[i].n, "%s: %zu", cases[i].text, n);
        cr_expect_eq(n_torn, cases[i].n_torn, "%s", cases[i].text);
        cr_expect(!cases[i].fails || strstr(err.text, cases[i].fails), "%s", err.text);
    }
    json_t *array = NULL;
    cr_expect_eq(rb_records_read(rb_figures_path("none"), &array, NULL, NULL), RB_ERR_IO);
    cr_expect_eq(rb_records_read(rb_figures_folder(), &array, NULL, NULL), RB_ERR_IO);
}

/* ---- hostile records ---- */

#define LONG_TEXT                                                                                  \
    "\"a very long text \\u00e9\\u4e2d\\u6587 a very long text \\u00e9\\u4e2d\\u6587 a very "      \
    "long text \\u00e9\\u4e2d\\u6587 a very long text \\u00e9\\u4e2d\\u6587 a very long text\""

/* A value of some other type or size. */
static json_t *oddity(int i)
{
    static const char *const text[] = {
        "null",
        "true",
        "-1",
        "0",
        "9223372036854775807",
        "1e308",
        "-1e308",
        "1e-300",
        "\"\"",
        "\"\\u0001<&>\\\"\\uffff\"",
        "[]",
        "{}",
        "[[[]]]",
        "{\"name\":[]}",
        "[null,1,{}]",
        LONG_TEXT,
        "[9e99,-4]",
        "-9223372036854775808",
    };
    return json_loads(text[i % (int)(sizeof text / sizeof *text)], JSON_DECODE_ANY, NULL);
}

/* Replaces the n-th value of a tree, counted in order; false if there are fewer. */
static bool replace(json_t *tree, int *n, int odd)
{
    const char *key;
    json_t *value;
    size_t i;
    void *next;
    json_object_foreach_safe(tree, next, key, value)
    {
        if ((*n)-- == 0)
            return json_object_set_new(tree, key, oddity(odd)) == 0;
        if (replace(value, n, odd))
            return true;
    }
    json_array_foreach(tree, i, value)
    {
        if ((*n)-- == 0)
            return json_array_set_new(tree, i, oddity(odd)) == 0;
        if (replace(value, n, odd))
            return true;
    }
    return false;
}

Test(plot_files, odd_fields_never_break_a_figure, .timeout = 240)
{
    json_t *good = json_array();
    int n_drawn = 0, n_refused = 0;
    json_array_append_new(good, rb_figures_record(true, 1, 20));
    json_array_append_new(good, rb_figures_record(true, 64, 21));
    json_object_set_new(json_array_get(good, 0), "roofs", rb_figures_roofs(1, 1));
    for (int i = 0;; i++) {
        json_t *bad = json_deep_copy(good);
        int at = i;
        if (!replace(bad, &at, i * 5 + i / 11))
            break;
        for (int kind = 0; kind < 2; kind++) {
            rb_error err = { 0 };
            rb_status status =
                rb_figures_plot(bad, (rb_plot_kind)kind, rb_figures_path("h.svg"), &err);
            cr_assert(status == RB_OK || status == RB_ERR_FORMAT, "%s", err.text);
            cr_assert(status == RB_OK || (err.text[0] && !strchr(err.text, '\n')));
            n_drawn += status == RB_OK;
            n_refused += status != RB_OK;
        }
        json_decref(bad);
        if (i % 5 == 0 && access(rb_figures_path("h.svg"), R_OK) == 0) {
            char *text = rb_figures_slurp(rb_figures_path("h.svg"));
            rb_figures_check_xml(text);
            free(text);
        }
    }
    cr_assert_gt(n_drawn, 300);
    cr_assert_gt(n_refused, 2);
}

Test(plot_files, records_without_a_place_are_said)
{
    json_t *array = rb_figures_sweep(1, 1);
    json_t *dry = rb_figures_record(true, 30, 20), *failed = rb_figures_record(true, 31, 20);
    json_object_del(dry, "median_ns");
    json_object_del(dry, "gflops");
    json_object_set_new(failed, "error", json_string("out of memory"));
    json_array_append_new(array, dry);
    json_array_append_new(array, failed);
    rb_figures_must_plot(array, RB_PLOT_ROOFLINE, rb_figures_path("a.svg"));
    char *text = rb_figures_slurp(rb_figures_path("a.svg"));
    cr_assert(strstr(text, "Without a time, not shown: 1."));
    cr_assert(strstr(text, "Failed, not shown: 1."));
    json_t *only = json_array();
    json_array_append(only, dry);
    rb_error err = { 0 };
    cr_assert_eq(rb_figures_plot(only, RB_PLOT_ROOFLINE, rb_figures_path("b.svg"), &err),
                 RB_ERR_FORMAT);
    cr_assert_eq(rb_figures_count(), 1);
    cr_assert_eq(rb_figures_plot(array, RB_PLOT_ROOFLINE, rb_figures_path("b.gif"), &err),
                 RB_ERR_ARGUMENT);
    json_t *roofs = json_pack("[{so}]", "roofs", rb_figures_roofs(1, 1));
    rb_figures_must_plot(roofs, RB_PLOT_ROOFLINE, rb_figures_path("c.svg"));
    cr_assert_eq(rb_figures_plot(roofs, RB_PLOT_LAYERS, rb_figures_path("d.svg"), &err),
                 RB_ERR_FORMAT);
}

Test(plot_files, huge_arrays_are_bounded, .timeout = 60)
{
    json_t *array = json_array(), *one = rb_figures_record(true, 3, 20);
    for (int i = 0; i < 20000; i++)
        json_array_append(array, one);
    json_t *kernels = json_object_get(one, "kernels");
    for (int i = 0; i < 20000; i++)
        json_array_append(kernels, json_array_get(kernels, (size_t)i % 8));
    rb_figures_must_plot(array, RB_PLOT_ROOFLINE, rb_figures_path("a.svg"));
    char *text = rb_figures_slurp(rb_figures_path("a.svg"));
    cr_assert(strstr(text, "not shown: 17952."));
}

/* ---- files ---- */

Test(plot_files, what_cannot_be_written_leaves_nothing)
{
    json_t *sweep = rb_figures_sweep(1, 1);
    rb_error err = { 0 };
    cr_assert_eq(rb_figures_plot(sweep, RB_PLOT_ROOFLINE, rb_figures_path("no/such/a.png"), &err),
                 RB_ERR_IO);
    cr_assert(strstr(err.text, "a.png") && !strchr(err.text, '\n'));
    cr_assert_eq(mkdir(rb_figures_path("dir.svg"), 0700), 0);
    cr_assert_eq(rb_figures_plot(sweep, RB_PLOT_ROOFLINE, rb_figures_path("dir.svg"), &err),
                 RB_ERR_IO);
    cr_assert_eq(rb_figures_count(), 1);
    rb_figures_spill(rb_figures_path("old.png"), "what was there");
    signal(SIGXFSZ, SIG_IGN); /* as a full disk: writing ends after 4 KiB */
    const struct rlimit limit = { 4096, 4096 };
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    static const char *const name[] = { "old.png", "new.svg", "new.png" };
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(rb_figures_plot(sweep, RB_PLOT_ROOFLINE, rb_figures_path(name[i]), &err),
                     RB_ERR_IO);
        cr_assert(strstr(err.text, "cannot write"), "%s", err.text);
    }
    cr_assert_eq(rb_figures_count(), 2, "a partial file");
    cr_assert_str_eq(rb_figures_slurp(rb_figures_path("old.png")), "what was there");
}

Test(plot_files, what_a_link_points_at_is_replaced)
{
    json_t *sweep = rb_figures_sweep(1, 1);
    const char *name = rb_figures_path("name.svg"), *target = rb_figures_path("target.svg");
    rb_error err = { 0 };
    struct stat st;
    cr_assert_eq(symlink("target.svg", name), 0);
    cr_assert_eq(rb_figures_plot(sweep, RB_PLOT_ROOFLINE, name, &err), RB_ERR_IO);
    cr_assert(strstr(err.text, "name.svg: cannot create: No such file"), "%s", err.text);
    cr_assert_eq(rb_figures_count(), 1);
    rb_figures_spill(target, "old");
    rb_figures_must_plot(sweep, RB_PLOT_ROOFLINE, name);
    cr_assert(lstat(name, &st) == 0 && S_ISLNK(st.st_mode), "the link was replaced");
    rb_figures_check_xml(rb_figures_slurp(target));
    cr_assert_eq(rb_figures_count(), 2);
}

static int run(const char *args)
{
    char binary[4096], command[8192];
    ssize_t n = readlink("/proc/self/exe", binary, sizeof binary - 16);
    const char *given = getenv("RBENCH_BIN");
    cr_assert_gt(n, 0);
    binary[n] = 0;
    for (int up = 0; up < 2; up++)
        *strrchr(binary, '/') = 0;
    strcat(binary, "/rbench");
    snprintf(command, sizeof command, "cd '%s' && '%s' plot %s >out 2>err", rb_figures_folder(),
             given ? given : binary, args);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(plot_files, command_exits_as_promised)
{
    json_t *sweep = rb_figures_sweep(1, 1);
    cr_assert_eq(json_dump_file(sweep, rb_figures_path("a.json"), 0), 0);
    rb_figures_spill(rb_figures_path("torn.jsonl"),
                     "{\"n_prompt\":1,\"oi\":2,\"gflops\":3,\"median_ns\":4}\n{\"oi");
    rb_figures_spill(rb_figures_path("bad.json"), "[1");
    static const struct {
        const char *args;
        int code;
        const char *says;
    } cases[] = {
        { "a.json -o a.png", 0, "" },
        { "a.json a.json --overlay --kind layers -o a.svg", 0, "" },
        { "torn.jsonl -o t.svg", 0, "cut off" },
        { "a.json", 2, "-o FILE" },
        { "-o a.png", 2, "RESULT" },
        { "a.json -o a.jpg", 2, ".png or .svg" },
        { "a.json -o a.png --kind pie", 2, "pie" },
        { "a.json -o a.png --scale 9", 2, "" },
        { "none.json -o b.png", 1, "none.json" },
        { "bad.json -o b.png", 1, "bad.json:1" },
        { "a.json -o no/b.png", 1, "no/b.png" },
        { "torn.jsonl --kind layers -o b.png", 1, "nothing to draw" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code = run(cases[i].args);
        FILE *f = fopen(rb_figures_path("err"), "r");
        char text[1024] = "";
        cr_assert(f);
        size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = 0;
        fclose(f);
        cr_expect_eq(code, cases[i].code, "%s: exit %d", cases[i].args, code);
        cr_expect(strstr(text, cases[i].says), "%s: %s", cases[i].args, text);
    }
    cr_expect(access(rb_figures_path("b.png"), F_OK) != 0);
}
