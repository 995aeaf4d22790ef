/* A comparison of two runs as a table, CSV or JSON, and the sentence that closes it. Options of
 * tests have columns where they vary. Nothing is computed here.
 * Read next: compare.c. */
#include "csv.h"
#include "record.h"
#include "table.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* ---- what tells tests apart ---- */

static const struct {
    const char *key, *head; /* head NULL: not in the table */
    bool right;
} options[] = {
    { "model_filename", "file", false },
    { "model_type", "model", false },
    { "n_layer_run", "layers", true },
    { "attn_variant", "variant", false },
    { "n_threads", "threads", true },
    { "isa", "ISA", false },
    { "act", "act", false },
    { "type_k", "K", false },
    { "type_v", "V", false },
    { "n_ubatch", "ub", true },
    { "n_batch", NULL, true },
    { "n_seq", NULL, true },
    { "n_prompt", NULL, true },
    { "n_gen", NULL, true },
    { "n_depth", NULL, true },
    { "n_draft", NULL, true },
};
enum { N_OPTION = sizeof options / sizeof *options };

/* Which of the options have columns. */
typedef struct layout {
    bool shows[N_OPTION];
} layout;

static bool varies(const rb_comparison *c, const char *key)
{
    const json_t *first = c->n ? json_object_get(c->row[0].a, key) : NULL;
    for (int i = 1; i < c->n; i++) {
        const json_t *here = json_object_get(c->row[i].a, key);
        if (here && first && !json_equal(here, first))
            return true;
    }
    return false;
}

static layout lay_out(const rb_comparison *c)
{
    layout l;
    for (int i = 0; i < N_OPTION; i++)
        l.shows[i] = options[i].head && varies(c, options[i].key);
    return l;
}

/* ---- cells ---- */

static void put_option(const json_t *record, const char *key, char *buf)
{
    const json_t *v = json_object_get(record, key);
    if (json_is_integer(v))
        snprintf(buf, RB_CELL, "%lld", (long long)json_integer_value(v));
    else
        snprintf(buf, RB_CELL, "%.60s", json_is_string(v) ? json_string_value(v) : "-");
    for (char *at = buf; *at; at++) /* nothing that breaks the table */
        *at = (unsigned char)*at < ' ' || *at == '|' ? '?' : *at;
}

static void put_rate(double tps, char *buf)
{
    snprintf(buf, RB_CELL, "%.*f", tps < 1000 ? 2 : 0, tps);
}

static void put_ratio(const rb_ratio *r, char *ratio, char *interval)
{
    snprintf(ratio, RB_CELL, r->n_a ? "%.4f" : "-", r->ratio);
    snprintf(interval, RB_CELL, r->has_ci ? "%.4f to %.4f" : "-", r->ci_lo, r->ci_hi);
}

static void put_p(double p, char *buf)
{
    snprintf(buf, RB_CELL, p < 0.001 ? "< 0.001" : "%.3f", p);
}

static void put_least(const rb_ratio *r, char *buf)
{
    snprintf(buf, RB_CELL, isfinite(r->least) ? "%.1f %%" : "-", 100 * (r->least - 1));
}

static void put_note(const rb_matched *m, double slower_pct, char *buf)
{
    const bool slower = isfinite(slower_pct) && rb_is_slower(m, slower_pct);
    const bool differ = m->counts[0] != 0;
    snprintf(buf, RB_CELL, "%s%s%s%.60s", slower ? "SLOWER" : "", slower && differ ? ", " : "",
             differ ? "counts differ: " : "", m->counts);
}

/* ---- the table ---- */

enum { TEST, TPS_A, TPS_B, RATIO, RATIO_CI, P, LEAST, SHARE, SHARE_CI, NOTE, N_OWN };
static const char *const heads[N_OWN] = { "test", "A tok/s", "B tok/s", "B/A",     "95 % CI",
                                          "p",    "least",   "of roof", "95 % CI", "note" };
_Static_assert(N_OWN + 10 <= RB_MAX_COLUMN, "ten options have columns");

static void fill(const layout *l, const rb_matched *m, double slower_pct, rb_cells cells)
{
    const rb_test t = rb_record_test(m->a);
    int n = 0;
    memset(cells, 0, sizeof(rb_cells));
    for (int i = 0; i < N_OPTION; i++)
        if (l->shows[i])
            put_option(m->a, options[i].key, cells[n++]);
    rb_test_name(&t, cells[n + TEST], RB_CELL);
    put_rate(m->tps_a, cells[n + TPS_A]);
    put_rate(m->tps_b, cells[n + TPS_B]);
    put_ratio(&m->raw, cells[n + RATIO], cells[n + RATIO_CI]);
    put_p(m->raw.p, cells[n + P]);
    put_least(&m->raw, cells[n + LEAST]);
    put_ratio(&m->roof, cells[n + SHARE], cells[n + SHARE_CI]);
    put_note(m, slower_pct, cells[n + NOTE]);
}

/* Whether both runs have one value of an option in all rows. */
static bool is_shared(const rb_comparison *c, const char *key)
{
    const json_t *first = c->n ? json_object_get(c->row[0].a, key) : NULL;
    for (int i = 0; i < c->n && first; i++)
        if (!json_equal(json_object_get(c->row[i].a, key), first) ||
            !json_equal(json_object_get(c->row[i].b, key), first))
            return false;
    return first != NULL;
}

static void put_shared(FILE *out, const rb_comparison *c)
{
    char cell[RB_CELL];
    const char *before = "Both: ";
    for (int i = 0; i < N_OPTION; i++) {
        if (!options[i].head || !is_shared(c, options[i].key))
            continue;
        put_option(c->row[0].a, options[i].key, cell);
        fprintf(out, "%s%s %s", before, options[i].head, cell);
        before = ", ";
    }
    fputs(*before == ',' ? "\n" : "", out);
}

static void put_table(FILE *out, const rb_comparison *c, double slower_pct)
{
    const layout l = lay_out(c);
    rb_table t = { 0 };
    rb_cells cells;
    for (int i = 0; i < N_OPTION; i++)
        if (l.shows[i])
            rb_table_column(&t, options[i].head, options[i].right, 0);
    for (int i = 0; i < N_OWN; i++)
        rb_table_column(&t, heads[i], i != TEST && i != NOTE, 0);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            rb_table_head(out, &t);
        for (int i = 0; i < c->n; i++) {
            fill(&l, &c->row[i], slower_pct, cells);
            pass ? rb_table_row(out, &t, cells) : rb_table_fit(&t, cells);
        }
    }
}

/* "the interval covers 1 in 58 of 60 rows" */
static void put_sum(char *buf, size_t size, const char *what, const rb_ratio_sum *sum)
{
    const size_t used = strlen(buf);
    if (sum->n)
        snprintf(buf + used, size - used,
                 "%s: geometric mean %.4f, the interval holds 1 in %d of %d row%s", what,
                 sum->factor, sum->n_covers, sum->n_ci, sum->n_ci == 1 ? "" : "s");
    else
        snprintf(buf + used, size - used, "%s: unknown", what);
}

char *rb_comparison_text(const rb_comparison *c, char *buf, size_t size)
{
    const rb_ratio_sum raw = rb_comparison_sum(c, false), roof = rb_comparison_sum(c, true);
    snprintf(buf, size, "%d row%s. ", c->n, c->n == 1 ? "" : "s");
    put_sum(buf, size, "B/A of tok/s", &raw);
    put_sum(buf, size, "; of shares of roof", &roof);
    snprintf(buf + strlen(buf), size - strlen(buf), ".");
    return buf;
}

/* ---- JSON and CSV ---- */

static json_t *ratio_object(const rb_ratio *r)
{
    if (!r->n_a)
        return json_null();
    return json_pack("{s:i, s:i, s:o, s:o, s:o, s:b, s:o}", "n_a", r->n_a, "n_b", r->n_b, "ratio",
                     rb_json_number(r->ratio), "ci95",
                     r->has_ci ? json_pack("[f, f]", r->ci_lo, r->ci_hi) : json_null(), "p",
                     rb_json_number(r->p), "p_exact", r->exact, "least", rb_json_number(r->least));
}

static json_t *row_object(const rb_matched *m, double slower_pct)
{
    json_t *o = json_object();
    for (int i = 0; i < N_OPTION; i++)
        json_object_set(o, options[i].key, json_object_get(m->a, options[i].key));
    json_object_set_new(o, "a_median_ts", rb_json_number(m->tps_a));
    json_object_set_new(o, "b_median_ts", rb_json_number(m->tps_b));
    json_object_set_new(o, "raw", ratio_object(&m->raw));
    json_object_set_new(o, "roof", ratio_object(&m->roof));
    json_object_set_new(o, "counts", json_string(m->counts[0] ? m->counts : "equal"));
    if (isfinite(slower_pct))
        json_object_set_new(o, "slower", json_boolean(rb_is_slower(m, slower_pct)));
    return o;
}

static json_t *sum_object(const rb_ratio_sum *s)
{
    return json_pack("{s:i, s:i, s:i, s:o}", "rows", s->n, "intervals", s->n_ci, "hold_1",
                     s->n_covers, "geometric_mean", rb_json_number(s->factor));
}

static rb_status put_json(FILE *out, const rb_comparison *c, const rb_compare_names *names,
                          rb_error *err)
{
    const rb_ratio_sum raw = rb_comparison_sum(c, false), roof = rb_comparison_sum(c, true);
    json_t *rows = json_array();
    for (int i = 0; i < c->n; i++)
        json_array_append_new(rows, row_object(&c->row[i], names->slower_pct));
    json_t *o =
        json_pack("{s:i, s:s, s:s, s:s, s:o, s:i, s:i, s:{s:o, s:o}}", "schema_version",
                  RB_SCHEMA_VERSION, "record", "comparison", "a", names->a, "b", names->b, "rows",
                  rows, "only_a", c->n_only[RB_SIDE_A], "only_b", c->n_only[RB_SIDE_B], "summary",
                  "raw", sum_object(&raw), "roof", sum_object(&roof));
    if (!o)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a comparison");
    json_dumpf(o, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    fputs("\n", out);
    json_decref(o);
    return RB_OK;
}

static void put_csv(FILE *out, const rb_comparison *c, double slower_pct)
{
    static const rb_csv_column columns[] = {
        { "model_filename", NULL },
        { "model_type", NULL },
        { "n_layer_run", NULL },
        { "attn_variant", NULL },
        { "n_threads", NULL },
        { "isa", NULL },
        { "act", NULL },
        { "type_k", NULL },
        { "type_v", NULL },
        { "n_batch", NULL },
        { "n_ubatch", NULL },
        { "n_seq", NULL },
        { "n_prompt", NULL },
        { "n_gen", NULL },
        { "n_depth", NULL },
        { "n_draft", NULL },
        { "a_median_ts", NULL },
        { "b_median_ts", NULL },
        { "raw.n_a", NULL },
        { "raw.n_b", NULL },
        { "raw.ratio", NULL },
        { "raw.ci95.0", "raw_ci95_lo" },
        { "raw.ci95.1", "raw_ci95_hi" },
        { "raw.p", NULL },
        { "raw.p_exact", NULL },
        { "raw.least", NULL },
        { "roof.n_a", NULL },
        { "roof.n_b", NULL },
        { "roof.ratio", NULL },
        { "roof.ci95.0", "roof_ci95_lo" },
        { "roof.ci95.1", "roof_ci95_hi" },
        { "roof.p", NULL },
        { "roof.p_exact", NULL },
        { "roof.least", NULL },
        { "counts", NULL },
        { "slower", NULL },
    };
    const int n = (int)(sizeof columns / sizeof *columns);
    rb_csv_line(out, columns, n, NULL);
    for (int i = 0; i < c->n; i++) {
        json_t *o = row_object(&c->row[i], slower_pct);
        rb_csv_line(out, columns, n, o);
        json_decref(o);
    }
}

rb_status rb_comparison_write(FILE *out, const rb_comparison *c, rb_format format,
                              const rb_compare_names *names, rb_error *err)
{
    char text[400];
    rb_status st = RB_OK;
    errno = 0;
    if (format == RB_FORMAT_JSON)
        st = put_json(out, c, names, err);
    else if (format == RB_FORMAT_CSV)
        put_csv(out, c, names->slower_pct);
    else {
        fprintf(out, "A: %s\nB: %s\n", names->a, names->b);
        put_shared(out, c);
        fputc('\n', out);
        put_table(out, c, names->slower_pct);
        fprintf(out, "\n%s\n", rb_comparison_text(c, text, sizeof text));
    }
    if (st == RB_OK && (fflush(out) || ferror(out)))
        return rb_fail(err, RB_ERR_IO, "cannot write the comparison: %s", strerror(errno));
    return st;
}
