/* Figures of rows: what each type gains over f16 by phase, and ways of attention by the proxy, by
 * exact OI and by rate. A row a subject, a dot a test.
 * Refuses ratios of tests that differ in more than the type. Read next: panel.h, figures.c. */
#include "figures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TOP = 110, STEP = 34, MOST_ROWS = 60 };

static void row_name(rb_draw *d, double y, double x1, const char *text)
{
    rb_plot_text_cut(d, 24, y + 4.7, text, x1 - 34, &(rb_type){ .size = 13, .color = RB_INK });
    rb_draw_line(d, x1, y, x1 - 6, y, &(rb_pen){ .stroke = RB_GREY, .width = 1 });
}

/* The rows of a figure, in the order of their first records; those beyond MOST_ROWS have none. */
typedef struct subjects {
    const rb_paper_row *at[MOST_ROWS];
    int n;
} subjects;

static int row_of(const subjects *s, const rb_paper_row *r)
{
    for (int i = 0; i < s->n; i++)
        if (s->at[i]->part == r->part && rb_same_subject(s->at[i], r))
            return i;
    return -1;
}

static void add_subject(subjects *s, const rb_paper_row *r)
{
    if (row_of(s, r) < 0 && s->n < MOST_ROWS)
        s->at[s->n++] = r;
}

/* ---- types ---- */

static const rb_paper_row *f16_of(const rb_evidence *e, const rb_paper_row *r)
{
    for (const rb_paper_row *b = e->row; b < e->row + e->n; b++)
        if (b->part == r->part && !strcmp(b->type, "f16") && !strcmp(b->model, r->model) &&
            !strcmp(b->attn, r->attn) && rb_same_test(b, r))
            return b;
    return NULL;
}

static bool has_gain(const rb_evidence *e, const rb_paper_row *r)
{
    return r->part == RB_ROW_WORKLOAD && strcmp(r->type, "f16") != 0 && isfinite(r->tps.at) &&
           f16_of(e, r);
}

static void draw_gain(rb_panel *p, const rb_evidence *e, const rb_paper_row *r, int at)
{
    const rb_span gain = rb_row_speedup(f16_of(e, r), r);
    const rb_look look = rb_look_of(r);
    const double y = TOP + STEP * (at + 0.5) + (r->decode ? -5 : 6);
    char tip[500], text[RB_SHEET_CELL];
    rb_row_tip(r, tip, sizeof tip);
    rb_plot_put(tip, sizeof tip, "; %s times f16", rb_span_text(&gain, text, sizeof text));
    rb_panel_dot(p, y, &gain, &look, tip);
}

static void draw_gains(rb_panel *p, const rb_evidence *e, const subjects *s)
{
    char name[96];
    rb_panel_hold(p, 1, 0);
    rb_panel_scale(p, "", "tokens a second over those of f16, same test");
    rb_draw_line(p->d, rb_axis_at(&p->x, 1), p->y.p0, rb_axis_at(&p->x, 1), p->y.p1,
                 &(rb_pen){ .stroke = RB_GREY, .width = 1.2, .dash = 4 });
    for (int i = 0; i < s->n; i++) {
        snprintf(name, sizeof name, "%.48s %.16s", s->at[i]->model, s->at[i]->type);
        row_name(p->d, TOP + STEP * (i + 0.5), p->x.p0, name);
    }
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++) {
        const int at = row_of(s, r);
        if (at >= 0 && has_gain(e, r))
            draw_gain(p, e, r, at);
    }
}

bool rb_figure_types(rb_draw *d, const rb_evidence *e, char *caption, size_t size)
{
    subjects s = { .n = 0 };
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++)
        if (has_gain(e, r))
            add_subject(&s, r);
    rb_panel p = rb_panel_new(d, 240, TOP + STEP * s.n, 940, TOP, false, false);
    rb_legend l = { d, 970, TOP, 210 };
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++) {
        if (!has_gain(e, r))
            continue;
        const rb_span gain = rb_row_speedup(f16_of(e, r), r);
        rb_panel_hold(&p, gain.lo, 0);
        rb_panel_hold(&p, gain.at, 0);
        rb_panel_hold(&p, gain.hi, 0);
    }
    const bool drawn = !rb_panel_empty(&p);
    if (drawn) {
        draw_gains(&p, e, &s);
        rb_legend_looks(&l, e, RB_ROW_WORKLOAD);
        rb_legend_text(&l, "Of each row decode stands above prefill; a dot a test, whiskers 95 %.");
    }
    rb_panel_free(&p);
    snprintf(caption, size,
             "Ratio of rates to f16 in the same test, with 95 %% intervals over all "
             "pairs of samples; dashes: no gain");
    return drawn;
}

/* ---- attention ---- */

enum { BY_PROXY, BY_OI, BY_RATE, N_BY };
static const char *const by_title[N_BY] = { "OI by the paper's code", "exact OI in FLOP/byte",
                                            "tokens a second" };

/* A figure of the trio or of the forms, and where it stands. */
typedef struct entry {
    const rb_paper_row *row; /* the first behind it */
    rb_drawn_out d;
} entry;

static bool entry_of(const rb_evidence *e, const rb_paper_row *r, entry *x)
{
    x->row = r;
    if (r->part == RB_ROW_TRIO)
        return rb_draw_out(e, r, &x->d);
    x->d = (rb_drawn_out){ .first = r,
                           .kind = rb_attn_kind_of(r->attn),
                           .n_layer = r->n_layer,
                           .oi = r->oi,
                           .tps = r->tps,
                           .proxy_oi = r->proxy.oi };
    return r->part == RB_ROW_FORMS;
}

/* Tests of the figure: each has a colour and a shape. */
typedef struct tests {
    const rb_paper_row *at[MOST_ROWS];
    int n;
} tests;

static int test_of(tests *t, const rb_paper_row *r)
{
    for (int i = 0; i < t->n; i++)
        if (t->at[i]->n_prompt == r->n_prompt && t->at[i]->n_gen == r->n_gen &&
            t->at[i]->n_depth == r->n_depth)
            return i;
    if (t->n == MOST_ROWS)
        return MOST_ROWS - 1;
    t->at[t->n] = r;
    return t->n++;
}

static rb_span value_of(const entry *x, int by)
{
    if (by == BY_RATE)
        return x->d.tps;
    return (rb_span){ by == BY_OI ? x->d.oi : x->d.proxy_oi, NAN, NAN };
}

static void draw_by(rb_draw *d, const rb_evidence *e, int by, const subjects *s, tests *t)
{
    const double x0 = 240 + 245 * by;
    rb_panel p = rb_panel_new(d, x0, TOP + STEP * s->n, x0 + 215, TOP, true, false);
    char tip[500], value[RB_SHEET_CELL];
    entry x;
    for (int i = 0; i < e->n; i++) {
        if (!entry_of(e, &e->row[i], &x))
            continue;
        const rb_span v = value_of(&x, by);
        rb_panel_hold(&p, v.lo, 0);
        rb_panel_hold(&p, v.at, 0);
        rb_panel_hold(&p, v.hi, 0);
    }
    if (!rb_panel_empty(&p))
        rb_panel_scale(&p, "", by_title[by]);
    else
        rb_draw_text(d, x0 + 20, TOP + STEP, "no record has the proxy's",
                     &(rb_type){ .size = 13, .color = RB_GREY });
    for (int i = 0; i < e->n && !rb_panel_empty(&p); i++) {
        if (!entry_of(e, &e->row[i], &x) || row_of(s, x.row) < 0)
            continue;
        const int rank = test_of(t, x.row);
        const double apart = 6 * (rank % 5 - 2); /* tests of one row side by side */
        const rb_span v = value_of(&x, by);
        rb_row_tip(x.row, tip, sizeof tip);
        rb_plot_put(tip, sizeof tip, "; at %lld layers: %s %s", (long long)x.d.n_layer,
                    by_title[by], rb_span_text(&v, value, sizeof value));
        rb_panel_dot(&p, TOP + STEP * (row_of(s, x.row) + 0.5) + apart, &v,
                     &(rb_look){ rank, rank, x.row->decode }, tip);
    }
    rb_panel_free(&p);
}

bool rb_figure_attention(rb_draw *d, const rb_evidence *e, char *caption, size_t size)
{
    rb_legend l = { d, 985, TOP, 200 };
    subjects s = { .n = 0 };
    tests t = { .n = 0 };
    char name[128];
    entry x;
    for (int part = RB_ROW_TRIO; part <= RB_ROW_FORMS; part++)
        for (int i = 0; i < e->n; i++)
            if ((int)e->row[i].part == part && entry_of(e, &e->row[i], &x))
                add_subject(&s, x.row);
    if (!s.n)
        return false;
    for (int by = 0; by < N_BY; by++)
        draw_by(d, e, by, &s, &t);
    for (int i = 0; i < s.n; i++) {
        snprintf(name, sizeof name, "%.40s, %.24s%s", s.at[i]->model, s.at[i]->attn,
                 s.at[i]->part == RB_ROW_TRIO ? "" : " (form)");
        row_name(d, TOP + STEP * (i + 0.5), 240, name);
    }
    rb_legend_head(&l, "Tests");
    for (int i = 0; i < t.n; i++)
        rb_legend_entry(&l, rb_row_test(t.at[i], name, sizeof name),
                        &(rb_look){ i, i, t.at[i]->decode });
    rb_legend_text(&l, "Filled: decode. Rows of models are at the paper's sizes: exact OI is "
                       "counted, the rest drawn out by lines in layers; \"form\": one set of "
                       "weights, as it ran.");
    snprintf(caption, size,
             "The paper's three models at its sizes and one set of weights in "
             "several forms, by what its code computes, by exact OI, and by tokens "
             "a second with bounds");
    return true;
}
