/* The report from start to end: evidence, verdicts, figures, then one page in two formats, each
 * written beside its name and renamed. Refuses a folder that cannot be made or written, in one
 * line. Read next: report.h, evidence.c, claims.c, figures.c, page.c. */
#include "report.h"

#include "../record.h"
#include "figures.h"
#include "page.h"
#include "tables.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* All that a page is made of. */
typedef struct content {
    const rb_evidence *e;
    const rb_paper_told *told;
    rb_paper_claim claim[RB_N_CLAIM];
    rb_paper_figure figure[RB_N_FIGURE];
    const char *dir;
    bool html;
} content;

/* ---- sections ---- */

static void put_figure(rb_page *p, const content *c, int i)
{
    const rb_paper_figure *f = &c->figure[i];
    if (f->drawn)
        rb_page_figure(p, f->name, f->title, f->caption);
}

typedef void table_fn(rb_sheet *g, const rb_evidence *e);

static void put_table(rb_page *p, const content *c, const char *title, table_fn *table,
                      bool anchors)
{
    rb_sheet g = { .n_cell = 0 };
    table(&g, c->e);
    rb_page_table(p, title, &g, anchors);
    rb_sheet_free(&g);
}

static void put_summary(rb_page *p, const content *c)
{
    rb_sheet g = { .n_cell = 0 };
    char text[600];
    const char *commit = c->told->commit;
    rb_page_head(p, 1, NULL, "RooflineBench, measured again");
    snprintf(text, sizeof text,
             "What the paper RooflineBench (arXiv 2602.11506) claims, held against exact counts of "
             "FLOPs and bytes and against times of this machine. %d records, this run took %.0f "
             "s%s%.60s%s%s",
             c->e->n_all, c->told->took_s, commit ? ", report by rbench " : "",
             commit ? commit : "", ".",
             c->told->interrupted ? " The run was interrupted: what is missing is not testable."
                                  : "");
    rb_page_text(p, text);
    rb_sheet_column(&g, "", true);
    rb_sheet_column(&g, "the paper", false);
    rb_sheet_column(&g, "verdict", false);
    for (int i = 0; i < RB_N_CLAIM; i++) {
        rb_sheet_put(&g, 0, "%d", i + 1);
        rb_sheet_put(&g, 0, "%s", c->claim[i].says);
        rb_sheet_put(&g, 0, "%s", rb_verdict_name[c->claim[i].verdict]);
    }
    rb_page_table(p, "Claims and verdicts", &g, false);
    rb_sheet_free(&g);
}

/* Each machine that is laid over: what it is, and that its counts are the same. */
static void put_overlay(rb_page *p, const rb_evidence *e)
{
    for (int i = 0; i < e->n_overlay; i++) {
        const rb_evidence *o = &e->overlay[i];
        char text[500], machine[200];
        snprintf(text, sizeof text,
                 "Laid over, as %s: %s. %d of %d tests here ran there too, with equal exact "
                 "counts in %d.",
                 o->name, rb_machine_text(o, machine, sizeof machine), o->n_twin, e->n_all,
                 o->n_twin - o->n_differ);
        if (o->n_differ)
            rb_plot_put(text, sizeof text, " In %d they differ, first in record %d: a defect.",
                        o->n_differ, o->differs);
        rb_page_text(p, text);
    }
}

static const char *commit_of(const rb_paper_row *r)
{
    const char *commit = rb_field_text(r->json, "build_commit");
    return commit[0] ? commit : "an unknown commit";
}

/* What measured: a folder that was gone on with may hold records of several builds. */
static void put_commits(rb_page *p, const rb_evidence *e)
{
    char text[600] = "Measured by rbench";
    int kinds = 0;
    for (int i = 0; i < e->n_all; i++) {
        const char *commit = commit_of(&e->row[i]);
        int n = 0;
        bool again = false;
        for (int k = 0; k < e->n_all; k++) {
            const bool same = !strcmp(commit_of(&e->row[k]), commit);
            again |= same && k < i;
            n += same;
        }
        if (again)
            continue;
        rb_plot_put(text, sizeof text, "%s %.60s (%d record%s)", kinds++ ? "," : "", commit, n,
                    n > 1 ? "s" : "");
    }
    if (kinds > 1)
        rb_plot_put(text, sizeof text, ": records of %d builds, those of earlier ones as they were",
                    kinds);
    rb_plot_put(text, sizeof text, ".");
    rb_page_text(p, text);
}

static void put_machine(rb_page *p, const content *c)
{
    char text[200];
    rb_page_head(p, 2, "machine", "Machine");
    rb_page_text(p, rb_machine_text(c->e, text, sizeof text));
    put_commits(p, c->e);
    put_table(p, c, "Roofs as measured before the tests", rb_table_of_roofs, false);
    put_overlay(p, c->e);
    put_table(p, c,
              "This machine beside the paper's (its Table 1; of this machine what 19 of 20 probes "
              "around the tests stayed under, and their range)",
              rb_table_of_devices, false);
    rb_page_text(p, c->e->devices.source);
}

static void put_method(rb_page *p)
{
    static const char *const item[] = {
        "FLOPs are counted exactly, a multiply-add as two; bytes are those that weights and KV "
        "cache have to move once (W+KV). OI is their ratio, in FLOP/byte.",
        "Rates are medians of repetitions; [a, b] is the 95 % interval of a median or, of ratios, "
        "of all pairs of samples. Sums over decode steps and lines over layers have bounds "
        "instead: all intervals at their worse ends at once.",
        "Prefill and decode are apart. A workload's decode steps begin after its prompt; they are "
        "summed from tests at a few contexts, in lines from test to test. Bend: by how much one "
        "line through all of them gives another time.",
        "The proxy is what the paper's public code computes of the same runs: FLOPs of the prompt "
        "by its formula, over peak memory times the runtime of the process.",
        "Verdicts follow from these records by fixed rules. Artefact: exact counts and times never "
        "show the claim, and in some test the proxy alone does (of layers: an OI that peaks and "
        "falls beyond, at whatever depth). Does not hold: they never show it, nor does the proxy "
        "alone.",
        "A figure that is a link leads to its record in the appendix; pointing at a mark in a "
        "figure shows its values.",
    };
    rb_page_head(p, 2, "method", "Method and conventions");
    for (size_t i = 0; i < sizeof item / sizeof *item; i++)
        rb_page_item(p, item[i]);
}

static void put_claim(rb_page *p, const content *c, int i)
{
    static const int figure[RB_N_CLAIM] = {
        [RB_CLAIM_CONTEXT] = RB_FIGURE_CONTEXT, [RB_CLAIM_LAYERS] = RB_FIGURE_LAYERS,
        [RB_CLAIM_TYPES] = RB_FIGURE_TYPES,     [RB_CLAIM_ATTENTION] = RB_FIGURE_ATTENTION,
        [RB_CLAIM_RIDGES] = RB_FIGURE_DEVICES,  [RB_CLAIM_CARRIES] = RB_N_FIGURE,
    };
    const rb_paper_claim *claim = &c->claim[i];
    char id[32], head[300];
    snprintf(id, sizeof id, "claim-%d", i + 1);
    snprintf(head, sizeof head, "Claim %d. %s", i + 1, claim->says);
    rb_page_head(p, 2, id, head);
    rb_page_verdict(p, (int)claim->verdict, rb_verdict_name[claim->verdict], claim->why);
    for (int k = 0; k < claim->n_note; k++)
        rb_page_text(p, claim->note[k]);
    if (figure[i] < RB_N_FIGURE)
        put_figure(p, c, figure[i]);
    for (int k = 0; k < RB_CLAIM_SHEETS; k++)
        rb_page_table(p, claim->title[k], &claim->sheet[k], false);
}

static void put_rates(rb_page *p, const content *c)
{
    rb_sheet g = { .n_cell = 0 };
    rb_page_head(p, 2, "rates", "Rates");
    put_figure(p, c, RB_FIGURE_ROOFLINE);
    rb_table_of_rates(&g, c->e, c->told->rates);
    rb_page_table(p, "Tokens a second by workload", &g, false);
    rb_sheet_free(&g);
    if (c->told->rates)
        rb_page_text(p, c->told->rates->source);
    if (c->figure[RB_FIGURE_PHI].drawn)
        rb_page_head(p, 2, "phi", "Relative inference potential");
    put_figure(p, c, RB_FIGURE_PHI);
}

/* Records that no row of the report is of. Returns whether there are any. */
static bool put_unused(rb_page *p, const rb_evidence *e)
{
    const struct {
        int n;
        const char *what;
    } unused[] = {
        { e->n_out, "records of no part, without counts, or failed" },
        { e->n_other, "records of another CPU, number of threads or ISA than the last finished "
                      "one's, which this report is of" },
        { e->n_again, "records of a test that another stands for: the last that was finished" },
    };
    bool any = false;
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++) {
        char text[200];
        if (!unused[i].n)
            continue;
        snprintf(text, sizeof text, "%d %s", unused[i].n, unused[i].what);
        rb_page_item(p, text);
        any = true;
    }
    return any;
}

static void put_end(rb_page *p, const content *c)
{
    const rb_paper_told *t = c->told;
    char text[200];
    rb_page_head(p, 2, "left-out", "What was left out");
    for (int i = 0; i < t->n_left_out; i++)
        rb_page_item(p, t->left_out[i]);
    const bool unused = put_unused(p, c->e);
    if (t->interrupted)
        rb_page_item(p, "What had not run when the run was interrupted");
    if (!t->n_left_out && !unused && !t->interrupted)
        rb_page_text(p, "Nothing.");
    if (t->budget_s > 0) {
        snprintf(text, sizeof text,
                 "The budget of this run was %.0f s, it took %.0f s; records of earlier "
                 "runs are not in that time.",
                 t->budget_s, t->took_s);
        rb_page_text(p, text);
    }
    if (t->command) {
        rb_page_head(p, 2, "command", "Command");
        rb_page_code(p, t->command);
    }
    rb_page_head(p, 2, "records", "Appendix: records");
    put_table(p, c, "Every record behind this report, exact counts of the whole test",
              rb_table_of_records, true);
}

/* ---- files ---- */

static rb_status put_page(FILE *out, void *arg, rb_error *err)
{
    const content *c = arg;
    rb_page p = { .out = out, .html = c->html, .dir = c->dir };
    rb_page_begin(&p, "RooflineBench, measured again");
    put_summary(&p, c);
    put_machine(&p, c);
    put_method(&p);
    for (int i = 0; i < RB_N_CLAIM; i++)
        put_claim(&p, c, i);
    put_rates(&p, c);
    put_end(&p, c);
    rb_page_end(&p);
    if (p.table_lost)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory for the report");
    if (p.figure_lost)
        return rb_fail(err, RB_ERR_IO, "%.300s/figures: cannot read back a figure", c->dir);
    return RB_OK;
}

static rb_status make_folder(const char *path, rb_error *err)
{
    struct stat st;
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && !stat(path, &st) && S_ISDIR(st.st_mode)))
        return RB_OK;
    return rb_fail(err, RB_ERR_IO, "%.300s: cannot create: %s", path,
                   strerror(errno == EEXIST ? ENOTDIR : errno));
}

static rb_status write_all(content *c, rb_error *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/figures", c->dir) >= (int)sizeof path - 64)
        return rb_fail(err, RB_ERR_IO, "%.300s: too long a name", c->dir);
    rb_status st = make_folder(c->dir, err);
    if (st == RB_OK)
        st = make_folder(path, err);
    if (st == RB_OK)
        st = rb_paper_figures(c->figure, c->e, c->dir, err);
    for (int html = 0; html < 2 && st == RB_OK; html++) {
        c->html = html;
        snprintf(path, sizeof path, "%s/report.%s", c->dir, html ? "html" : "md");
        st = rb_replace_file(path, &(rb_content){ .put = put_page, .arg = c }, err);
    }
    return st;
}

rb_status rb_paper_report(const struct json_t *records, const rb_paper_told *told, const char *dir,
                          int *n_differ, rb_error *err)
{
    rb_evidence e;
    rb_status st = rb_evidence_read(&e, records, err);
    if (st != RB_OK)
        return st;
    content c = { .e = &e, .told = told, .dir = dir };
    st = rb_evidence_lay_over(&e, told->overlay, told->n_overlay, err);
    *n_differ = rb_evidence_n_differ(&e);
    if (st == RB_OK) {
        rb_claims_judge(c.claim, &e, told->rates);
        st = write_all(&c, err);
        rb_claims_free(c.claim);
    }
    rb_evidence_free(&e);
    return st;
}
