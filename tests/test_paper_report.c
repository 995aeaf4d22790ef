/* The pages of the report on the paper: whole, well-formed and escaped whatever records say, with
 * every figure and every link, and one line where a folder cannot be written.
 * Read next: paper_records.h, ../bench/paper/report.c. */
#include "../bench/bench.h"
#include "files.h"
#include "paper_records.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static rb_rates rates;
static bool as_given; /* the rates are told as a user's */

static const char *const left_out[] = { "fox1-1.6b: <no> memory" };

static rb_plot_set laid; /* over it, if it has records */
static int n_differ;     /* of the last report */

static rb_status report(const json_t *list, const char *to, rb_error *err)
{
    cr_assert_eq(rb_rates_read(&rates, NULL, err), RB_OK, "%s", err->text);
    rates.given = as_given;
    const rb_paper_told told = { .command = "rbench paper <&> \"x\"\x01\xff",
                                 .commit = "abc",
                                 .left_out = left_out,
                                 .n_left_out = 1,
                                 .budget_s = 60,
                                 .took_s = 50,
                                 .rates = &rates,
                                 .overlay = &laid,
                                 .n_overlay = laid.records != NULL };
    return rb_paper_report(list, &told, to, &n_differ, err);
}

static char *page_of(const char *in, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", in, name);
    blob b = blob_read(path);
    blob_put(&b, "", 1);
    return (char *)b.data;
}

/* Removes the report and its folders. */
static void clear(const char *in)
{
    static const char *const names[] = { "roofline",  "layers",  "context", "types",
                                         "attention", "devices", "phi" };
    char path[200];
    for (int i = 0; i < 14; i++) {
        snprintf(path, sizeof path, "%s/figures/%s.%s", in, names[i / 2], i % 2 ? "svg" : "png");
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/figures", in);
    rmdir(path);
    snprintf(path, sizeof path, "%s/report.html", in);
    unlink(path);
    snprintf(path, sizeof path, "%s/report.md", in);
    unlink(path);
    rmdir(in);
}

/* Tags nest, every & begins an entity, and text has no bare <. */
static void check_well_formed(const char *text)
{
    char open[64][24];
    int n = 0;
    const char *style = strstr(text, "<style>"), *end = strstr(text, "</style>");
    for (const char *c = text; *c; c++) {
        if (c > style && c < end)
            continue;
        if (*c == '&')
            cr_assert(!strncmp(c, "&lt;", 4) || !strncmp(c, "&gt;", 4) || !strncmp(c, "&amp;", 5) ||
                          !strncmp(c, "&quot;", 6),
                      "a bare & in %.60s", c);
        cr_assert((unsigned char)*c >= 0x20 || *c == '\n', "a control character in %.40s", c);
        if (*c != '<')
            continue;
        const char *close = strchr(c, '>');
        cr_assert(close && !memchr(c + 1, '<', (size_t)(close - c - 1)), "bare <: %.60s", c);
        const char *name = c + 1 + (c[1] == '/');
        const size_t length = strcspn(name, " />\n");
        if (c[1] == '!' || close[-1] == '/')
            continue;
        if (c[1] != '/') {
            cr_assert(n < 64 && length < 24);
            snprintf(open[n++], 24, "%.*s", (int)length, name);
            continue;
        }
        cr_assert(n && strlen(open[n - 1]) == length && !strncmp(open[n - 1], name, length),
                  "%.*s closes %s", (int)length, name, n ? open[n - 1] : "nothing");
        n--;
    }
    cr_assert_eq(n, 0);
}

/* Every link within the page leads to an anchor. */
static void check_links(const char *text)
{
    int n = 0;
    for (const char *c = text; (c = strstr(c, "href=\"#")) != NULL; c += 7, n++) {
        char want[64];
        snprintf(want, sizeof want, "id=\"%.*s\"", (int)strcspn(c + 7, "\""), c + 7);
        cr_assert_not_null(strstr(text, want), "no %s", want);
    }
    cr_assert_gt(n, 20);
}

static void check_numbers(const char *text)
{
    static const char *const bad[] = { "nan", "NaN", "inf ", "-inf", "inf,", ">inf", "(null)" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *at = strstr(text, bad[i]);
        cr_assert_null(at, "%.60s", at ? at - 20 : "");
    }
}

Test(paper_report, pages_are_whole)
{
    dir d = dir_make();
    json_t *list = made_everything();
    rb_error err;
    struct stat st;
    made_roofs(list);
    char *out = dir_file(&d, "out"), *html, *md, path[200];
    cr_assert_eq(report(list, out, &err), RB_OK, "%s", err.text);
    html = page_of(out, "report.html");
    md = page_of(out, "report.md");
    check_well_formed(html);
    check_links(html);
    check_numbers(html);
    check_numbers(md);
    cr_assert_not_null(strstr(md, "| 95.00 to 105.0 |"));
    static const char *const both[] = { "artefact",
                                        "holds in part",
                                        "Apple M1 Pro",
                                        "Claim 6. ",
                                        "fox1-1.6b: &lt;no&gt; memory",
                                        "The budget of this run was",
                                        "id=\"r1\"",
                                        "holds" };
    for (size_t i = 0; i < sizeof both / sizeof *both; i++)
        cr_expect(strstr(html, both[i]) && strstr(md, both[i]), "%s", both[i]);
    cr_assert_not_null(strstr(html, "rbench paper &lt;&amp;&gt; &quot;x&quot;??"));
    cr_assert_not_null(strstr(html, "<title>m f16 gqa, 30 layers, pp128: OI 100.0 FLOP/byte"));
    cr_assert(strstr(html, ">most at 5<") && strstr(html, ">L* 5<"));
    cr_assert(!strstr(html, "http://") || strstr(html, "http://www.w3.org/2000/svg"));
    cr_assert(!strstr(html, "<script") && !strstr(html, "src="));
    static const char *const figure[] = { "roofline",  "layers",  "context", "types",
                                          "attention", "devices", "phi" };
    for (int i = 0; i < 14; i++) {
        snprintf(path, sizeof path, "%s/figures/%s.%s", out, figure[i / 2], i % 2 ? "svg" : "png");
        cr_expect(!stat(path, &st) && st.st_size > 1000, "%s", path);
        snprintf(path, sizeof path, "<figure id=\"figure-%s\"><svg", figure[i / 2]);
        cr_expect(strstr(html, path), "%s", path);
    }
    clear(out);
    json_decref(list);
    dir_remove(&d);
    free(html);
    free(md);
    free(out);
}

Test(paper_report, hostile_records_stay_text)
{
    static const char *const evil[] = { "</td><script>alert(1)</script>", "a|b](x) `c` <!--",
                                        "\"><img src=x onerror=y>", "]]>&amp;&#0;" };
    dir d = dir_make();
    rb_error err;
    json_t *list = made_everything(), *o;
    size_t i;
    made_roofs(list);
    json_array_foreach(list, i, o)
    {
        json_object_set_new(o, "attn_variant", json_string(evil[i % 4]));
        json_object_set_new(o, "cpu_info", json_string(evil[2]));
        json_object_set_new(o, "bound", json_string(evil[0]));
        json_object_set_new(json_object_get(o, "paper"), "model", json_string(evil[i % 3]));
        json_object_set_new(json_object_get(o, "paper"), "type", json_string("\xef\xbf\xbf<t>"));
    }
    char *out = dir_file(&d, "out");
    cr_assert_eq(report(list, out, &err), RB_OK, "%s", err.text);
    char *html = page_of(out, "report.html"), *md = page_of(out, "report.md");
    check_well_formed(html);
    cr_assert(!strstr(html, "<script") && !strstr(html, "<img") && !strstr(html, "\xef\xbf\xbf"));
    cr_assert(!strstr(md, "<script") && !strstr(md, "<img") && !strstr(md, "a|b"));
    clear(out);
    json_decref(list);
    dir_remove(&d);
    free(html);
    free(md);
    free(out);
}

/* What no run makes: wrong types, zeros, numbers out of any scale, no times. */
Test(paper_report, broken_records_cost_their_figures_alone)
{
    static const char *const broken[] = {
        "{\"paper\":7}",
        "[]",
        "null",
        "{\"paper\":{\"part\":\"layers\",\"model\":3}}",
        "{\"paper\":{\"part\":\"workload\",\"model\":\"m\",\"type\":\"f16\"},\"n_prompt\":128,"
        "\"n_layer_run\":1,\"flops\":9223372036854775807,\"bytes\":{\"weight\":9223372036854775807,"
        "\"kv_read\":9223372036854775807,\"kv_write\":9223372036854775807}}",
        "{\"paper\":{\"part\":\"workload\",\"model\":\"m\",\"type\":\"f16\"},\"n_prompt\":128,"
        "\"n_layer_run\":1,\"flops\":9223372036854775807,\"bytes\":{\"weight\":1},"
        "\"median_ns\":1e-300,\"samples_ts\":[\"x\",-1,1e308],\"proxy\":{\"oi\":1e308}}",
        "{\"paper\":{\"part\":\"trio\",\"model\":\"m\",\"type\":\"f16\"},"
        "\"n_layer_run\":2,\"flops\":1,\"bytes\":{\"weight\":1}}",
        "{\"paper\":{\"part\":\"trios\",\"model\":\"m\",\"type\":\"f16\"},\"n_gen\":1,"
        "\"n_layer_run\":2,\"flops\":1,\"bytes\":{\"weight\":1}}",
        "{\"paper\":{\"part\":\"trio\",\"model\":\"m\",\"type\":\"f16\"},\"n_gen\":1,\"n_prompt\":"
        "1,"
        "\"n_layer_run\":2,\"flops\":1,\"bytes\":{\"weight\":1}}",
        "{\"paper\":{\"part\":\"trio\",\"model\":\"m\",\"type\":\"f16\"},\"n_gen\":1,"
        "\"n_layer_run\":2,\"flops\":1,\"bytes\":{\"weight\":1},\"attn_variant\":\"mla\"}",
    };
    dir d = dir_make();
    rb_error err;
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        json_array_append_new(list, json_loads(broken[i], JSON_DECODE_ANY, NULL));
    char *out = dir_file(&d, "out");
    cr_assert_eq(report(list, out, &err), RB_OK, "%s", err.text);
    char *html = page_of(out, "report.html"), *md = page_of(out, "report.md");
    check_well_formed(html);
    check_numbers(html);
    check_numbers(md);
    cr_assert_not_null(strstr(md, "7 records of no part, without counts, or failed"));
    clear(out);
    json_array_clear(list);
    cr_assert_eq(report(list, out, &err), RB_ERR_FORMAT);
    cr_assert_str_eq(err.text, "nothing to report: no record is of a part of the paper");
    cr_assert_neq(access(out, F_OK), 0);
    json_decref(list);
    dir_remove(&d);
    free(html);
    free(md);
    free(out);
}

/* Places that no axis holds: the figures of other things are drawn. */
Test(paper_report, places_beyond_every_axis)
{
    dir d = dir_make();
    rb_error err;
    json_t *list = made_one_workload(100, 100, 100, 1), *o;
    size_t i;
    made_roofs(list);
    json_array_foreach(list, i, o)
    {
        json_object_set_new(o, "flops", json_integer(INT64_MAX));
        json_object_set_new(json_object_get(o, "bytes"), "weight", json_integer(1));
    }
    char *out = dir_file(&d, "out");
    cr_assert_eq(report(list, out, &err), RB_OK, "%s", err.text);
    char *md = page_of(out, "report.md");
    cr_assert(strstr(md, "context.svg") && !strstr(md, "phi.svg") && !strstr(md, "roofline.svg"));
    clear(out);
    json_decref(list);
    dir_remove(&d);
    free(md);
    free(out);
}

/* Records of several runs: the page is of the last machine, with one row a test, and says what it
 * left out. */
Test(paper_report, other_runs_are_left_out_and_said)
{
    dir d = dir_make();
    rb_error err;
    json_t *list = json_array(), *o;
    for (int run = 0; run < 3; run++) { /* at 7 threads, then twice at 2 */
        json_t *one = made_one_workload(100, 500, 1, 0.5);
        size_t i;
        json_array_foreach(one, i, o)
        {
            if (!run)
                json_object_set_new(o, "n_threads", json_integer(7));
        }
        json_array_extend(list, one);
        json_decref(one);
    }
    made_roofs(list); /* of the first run alone: not of this machine */
    char *out = dir_file(&d, "out");
    cr_assert_eq(report(list, out, &err), RB_OK, "%s", err.text);
    char *md = page_of(out, "report.md");
    cr_expect(strstr(md, "a CPU, 2 threads, scalar") && !strstr(md, "7 threads"));
    cr_expect(strstr(md, " 5 records, this run took 50 s"));
    cr_expect(strstr(md, "- 5 records of another CPU, number of threads or ISA"));
    cr_expect(strstr(md, "- 5 records of a test that another stands for"));
    cr_expect(!strstr(md, "95.00 to 105.0"));
    clear(out);
    json_decref(list);
    dir_remove(&d);
    free(md);
    free(out);
}

/* The same records as another machine's: its name and roofs stand beside ours, its points beside
 * our points, and counts that differ are said. */
Test(paper_report, another_machine_is_laid_over)
{
    dir d = dir_make();
    rb_error err;
    json_t *list = made_everything(), *other = made_everything(), *o;
    size_t i;
    json_array_foreach(other, i, o) json_object_set_new(o, "cpu_info", json_string("Other <CPU>"));
    made_roofs(list);
    made_roofs(other);
    json_object_set_new(json_array_get(json_object_get(json_array_get(other, 0), "roofs"), 0),
                        "value", json_real(2000));
    char *out = dir_file(&d, "out");
    laid = (rb_plot_set){ other, "other.jsonl" };
    for (int differ = 0; differ < 2; differ++) {
        cr_assert_eq(report(list, out, &err), RB_OK, "%s", err.text);
        cr_expect_eq(n_differ, differ);
        char *html = page_of(out, "report.html"), *md = page_of(out, "report.md");
        check_well_formed(html);
        check_links(html);
        check_numbers(html);
        cr_expect(strstr(html, ">Other &lt;CPU&gt;: ridge 200.0<"), "a panel of the figure");
        cr_expect(strstr(html, "; on Other &lt;CPU&gt; at most 10.00 GFLOP/s, memory-bound, "
                               "measured 0.05000 GFLOP/s"),
                  "a tip");
        cr_expect(strstr(md, "\n| Other &lt;CPU&gt; | \xe2\x80\x93 | 10.00 | "), "a device");
        cr_expect(strstr(md, "Laid over, as Other &lt;CPU&gt;: Other &lt;CPU&gt;, 2 threads"));
        cr_expect(strstr(md, differ ? "equal exact counts in 31. In 1 they differ, first in record "
                                      "3: a defect."
                                    : "32 of 32 tests here ran there too, with equal exact counts "
                                      "in 32.\n"),
                  "%s", strstr(md, "Laid over"));
        cr_expect(strstr(md, "The same tests as measured on each machine"));
        free(html);
        free(md);
        json_object_set_new(json_object_get(json_array_get(other, 2), "bytes"), "kv_read",
                            json_integer(1));
    }
    laid.records = NULL;
    clear(out);
    json_decref(list);
    json_decref(other);
    dir_remove(&d);
    free(out);
}

Test(paper_report, what_cannot_be_laid_over_is_named)
{
    rb_error err;
    json_t *list = json_array(), *none = json_pack("[{s:i}]", "schema_version", 1);
    made_sweep(list, "f16", 0, 5);
    laid = (rb_plot_set){ none, "x.jsonl" };
    cr_expect_eq(rb_paper_can_lay_over(&laid, &err), RB_ERR_FORMAT);
    cr_expect_str_eq(err.text, "x.jsonl: no record is of a part of the paper");
    laid.records = list;
    cr_expect_eq(rb_paper_can_lay_over(&laid, &err), RB_OK);
    laid.records = NULL;
    json_decref(list);
    json_decref(none);
}

/* A folder that another build went on with says which records are of which. */
Test(paper_report, builds_behind_records_are_said)
{
    static const char *const commit[] = { "aaa1", "bbb2", "aaa1", NULL, "aaa1" };
    static const char *const says[] = {
        "\n\nMeasured by rbench an unknown commit (5 records).\n",
        "\n\nMeasured by rbench aaa1 (3 records), bbb2 (1 record), an unknown commit (1 record): "
        "records of 3 builds, those of earlier ones as they were.\n",
    };
    dir d = dir_make();
    rb_error err;
    json_t *list = made_one_workload(100, 500, 1, 0.5), *o;
    size_t i;
    char *out = dir_file(&d, "out");
    for (int run = 0; run < 2; run++) {
        cr_assert_eq(report(list, out, &err), RB_OK, "%s", err.text);
        char *md = page_of(out, "report.md");
        cr_expect(strstr(md, says[run]), "%s", strstr(md, "Measured by"));
        free(md);
        json_array_foreach(list, i, o)
        {
            if (commit[i])
                json_object_set_new(o, "build_commit", json_string(commit[i]));
        }
    }
    clear(out);
    json_decref(list);
    dir_remove(&d);
    free(out);
}

Test(paper_report, rates_are_called_what_they_are)
{
    static const char *const says[2][4] = {
        { "| the paper, prefill / decode |", "In the paper's own tables 7 of 7 decode rates",
          "| the paper's tok/s, prefill / decode |", "The paper's own rates alone" },
        { "| as given, prefill / decode |", "Of the given rates 7 of 7 decode rates",
          "| tok/s as given, prefill / decode |", "The given rates alone" }
    };
    dir d = dir_make();
    rb_error err;
    json_t *list = made_everything();
    char *out = dir_file(&d, "out");
    for (int i = 0; i < 2; i++) {
        as_given = i;
        cr_assert_eq(report(list, out, &err), RB_OK, "%s", err.text);
        char *md = page_of(out, "report.md");
        for (int k = 0; k < 4; k++)
            cr_expect(strstr(md, says[i][k]) && !strstr(md, says[!i][k]), "%s", says[i][k]);
        free(md);
    }
    clear(out);
    json_decref(list);
    dir_remove(&d);
    free(out);
}

Test(paper_report, a_folder_that_cannot_be_is_one_line)
{
    dir d = dir_make();
    rb_error err;
    json_t *list = made_one_workload(100, 500, 1, 0.5);
    char *file = dir_file(&d, "file"), *below = dir_file(&d, "no/where"), *full;
    blob b = { 0 };
    blob_put(&b, "x", 1);
    blob_write(&b, file);
    cr_assert_eq(report(list, file, &err), RB_ERR_IO);
    cr_assert(strstr(err.text, "file: cannot create: Not a directory"), "%s", err.text);
    cr_assert_eq(report(list, below, &err), RB_ERR_IO);
    cr_assert(strstr(err.text, "no/where: cannot create: No such file"), "%s", err.text);
    full = dir_file(&d, "full");
    mkdir(full, 0777);
    char path[200];
    snprintf(path, sizeof path, "%s/report.html", full);
    mkdir(path, 0777); /* what is in the way of the page */
    cr_assert_eq(report(list, full, &err), RB_ERR_IO);
    cr_assert(strstr(err.text, "report.html: cannot create: Is a directory"), "%s", err.text);
    rmdir(path);
    clear(full);
    blob_free(&b);
    json_decref(list);
    dir_remove(&d);
    free(file);
    free(below);
    free(full);
}
