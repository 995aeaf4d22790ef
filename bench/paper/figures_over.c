/* Figures over a length: OI over layers, exact above what the paper's code computes of the same
 * runs, and decode over context. Refuses sweeps of fewer than three depths.
 * Read next: panel.h, figures.c, claim_layers.c. */
#include "figures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TOP = 92, LEGEND = 985, LEGEND_WIDTH = 200 };

/* ---- layers ---- */

typedef double value_fn(const rb_paper_row *r);
static double exact_of(const rb_paper_row *r)
{
    return r->oi;
}
static double proxy_of(const rb_paper_row *r)
{
    return r->proxy.oi;
}

static bool has_sweep(const rb_evidence *e, const rb_paper_row *r, bool decode, rb_depths *s)
{
    return r->part == RB_ROW_LAYERS && r->decode == decode && rb_depths_of(e, r, s) && s->n > 2;
}

static void label_ends(rb_panel *p, const rb_depths *s, rb_color color)
{
    char text[32];
    for (int i = 0; i < 2; i++) {
        const rb_paper_row *r = s->at[i ? s->n - 1 : 0];
        snprintf(text, sizeof text, "%.5g", r->oi);
        rb_panel_label(p, (double)r->n_layer, r->oi, text, color);
    }
}

/* Where the proxy has most, and where its law says. */
static void label_peaks(rb_panel *p, const rb_depths *s, rb_color color)
{
    char text[64];
    if (s->proxy_best >= 0) {
        const rb_paper_row *r = s->at[s->proxy_best];
        snprintf(text, sizeof text, "most at %lld", (long long)r->n_layer);
        rb_panel_label(p, (double)r->n_layer, r->proxy.oi, text, color);
    }
    if (!s->has_law || !isfinite(s->law.peak))
        return;
    snprintf(text, sizeof text, "L* %.3g", s->law.peak);
    rb_panel_label(p, s->law.peak, p->y.lo + (p->y.hi - p->y.lo) * 0.05, text, color);
}

static void label_sweep(rb_panel *p, const rb_depths *s, value_fn *value)
{
    const rb_look look = rb_look_of(s->at[0]);
    const rb_color color = rb_look_color(look.color + look.shape);
    if (value == exact_of)
        label_ends(p, s, color);
    else
        label_peaks(p, s, color);
}

static void draw_sweep(rb_panel *p, const rb_depths *s, value_fn *value)
{
    rb_look look = rb_look_of(s->at[0]);
    char tip[400], number[32];
    look.color += look.shape;
    const rb_color color = rb_look_color(look.color);
    for (int i = 0; i < s->n; i++) {
        const double x = (double)s->at[i]->n_layer, y = value(s->at[i]);
        rb_row_tip(s->at[i], tip, sizeof tip);
        rb_plot_put(tip, sizeof tip, "; proxy's OI %s",
                    rb_figure_text(s->at[i]->proxy.oi, number, sizeof number));
        if (i)
            rb_panel_line(p, (double)s->at[i - 1]->n_layer, value(s->at[i - 1]), x, y,
                          &(rb_pen){ .stroke = color, .width = 1.3 });
        rb_panel_mark(p, x, &(rb_span){ y, NAN, NAN }, &look, tip);
    }
    if (value == proxy_of && s->has_law && isfinite(s->law.peak))
        rb_panel_line(p, s->law.peak, p->y.lo, s->law.peak, p->y.hi,
                      &(rb_pen){ .stroke = color, .width = 1.3, .dash = 4 });
}

/* column: how many panels stand to its left. */
static bool draw_layers(rb_draw *d, const rb_evidence *e, bool decode, value_fn *value, int column)
{
    static const double ticks[] = { 1, 2, 4, 8, 16, 32, 64 };
    const double x0 = column ? 540 : 90, y1 = value == exact_of ? TOP + 20 : TOP + 400;
    rb_panel p = rb_panel_new(d, x0, y1 + 300, x0 + 360, y1, true, false);
    rb_depths s;
    int from = 0, to = 7;
    for (int i = 0; i < e->n; i++)
        if (has_sweep(e, &e->row[i], decode, &s))
            for (int k = 0; k < s.n; k++)
                rb_panel_hold(&p, (double)s.at[k]->n_layer, value(s.at[k]));
    if (rb_panel_empty(&p))
        return false;
    while (from < to && ticks[from] < p.x.lo)
        from++;
    while (to > from && ticks[to - 1] > p.x.hi)
        to--;
    rb_panel_axes(&p, decode ? "decode" : "prefill", "layers",
                  column              ? ""
                  : value == exact_of ? "exact OI in FLOP/byte"
                                      : "OI by the paper's code",
                  ticks + from, to - from);
    for (int i = 0; i < e->n; i++)
        if (has_sweep(e, &e->row[i], decode, &s))
            draw_sweep(&p, &s, value);
    for (int i = 0; i < e->n; i++)
        if (has_sweep(e, &e->row[i], decode, &s))
            label_sweep(&p, &s, value);
    rb_panel_free(&p);
    return true;
}

bool rb_figure_layers(rb_draw *d, const rb_evidence *e, char *caption, size_t size)
{
    rb_legend l = { d, LEGEND, TOP, LEGEND_WIDTH };
    int exact = 0, proxy = 0;
    for (int decode = 0; decode < 2; decode++) {
        exact += draw_layers(d, e, decode, exact_of, exact);
        proxy += draw_layers(d, e, decode, proxy_of, proxy);
    }
    rb_legend_head(&l, "Models and types");
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++) {
        char text[96];
        rb_look look = rb_look_of(r);
        if (r->part != RB_ROW_LAYERS || !rb_first_of_subject(e, r))
            continue;
        look.color += look.shape;
        look.filled = true;
        snprintf(text, sizeof text, "%.48s %.16s", r->model, r->type);
        rb_legend_entry(&l, text, &look);
    }
    rb_legend_text(&l, "Dashes: L*, where lines of the proxy's memory and time over layers put "
                       "its one maximum.");
    snprintf(caption, size,
             "Above exact OI (FLOPs over bytes), below what the paper's code "
             "computes of the same runs (FLOPs of the prompt over peak memory times "
             "runtime, another unit; of a prompt and what is generated after it together), with "
             "the peak L* that its own lines of memory "
             "and time foretell");
    return exact > 0;
}

/* ---- context ---- */

static bool in_context(const rb_paper_row *r)
{
    return r->part == RB_ROW_WORKLOAD && r->decode;
}

/* The next row of the same subject at a longer context; NULL: there is none. */
static const rb_paper_row *next_of(const rb_evidence *e, const rb_paper_row *r)
{
    const rb_paper_row *next = NULL;
    for (const rb_paper_row *b = e->row; b < e->row + e->n; b++)
        if (in_context(b) && rb_same_subject(b, r) && b->n_layer == r->n_layer &&
            b->n_depth > r->n_depth && (!next || b->n_depth < next->n_depth))
            next = b;
    return next;
}

bool rb_figure_context(rb_draw *d, const rb_evidence *e, char *caption, size_t size)
{
    static const double ticks[] = { 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768 };
    rb_panel p = rb_panel_new(d, 90, 590, 950, TOP, true, true);
    rb_legend l = { d, LEGEND, TOP, LEGEND_WIDTH };
    char tip[400];
    int from = 0, to = sizeof ticks / sizeof *ticks;
    for (int i = 0; i < e->n; i++)
        if (in_context(&e->row[i]))
            rb_panel_hold_span(&p, rb_row_context(&e->row[i]), &e->row[i].tps);
    if (rb_panel_empty(&p))
        return false;
    while (from < to && ticks[from] < p.x.lo / 1.06)
        from++;
    while (to > from && ticks[to - 1] > p.x.hi * 1.06)
        to--;
    rb_panel_axes(&p, "", "tokens in the cache", "decoded tokens a second", ticks + from,
                  to - from);
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++) {
        const rb_paper_row *next = in_context(r) ? next_of(e, r) : NULL;
        const rb_pen pen = { .stroke = rb_look_color(rb_look_of(r).color), .width = 1.2 };
        if (next)
            rb_panel_line(&p, rb_row_context(r), r->tps.at, rb_row_context(next), next->tps.at,
                          &pen);
    }
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++) {
        const rb_look look = rb_look_of(r);
        if (in_context(r))
            rb_panel_mark(&p, rb_row_context(r), &r->tps, &look, rb_row_tip(r, tip, sizeof tip));
    }
    rb_legend_looks(&l, e, RB_ROW_WORKLOAD);
    rb_panel_free(&p);
    snprintf(caption, size,
             "Tokens a second (median and 95 %%) of a few decode steps, each after "
             "that many tokens in the cache, which the paper's runs never had");
    return true;
}
