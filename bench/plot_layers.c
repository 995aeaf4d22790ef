/* A sweep over layers: exact OI with the ratio that each added layer brings, and below it the speed
 * that was reached. A column per phase, each with its own axes: decode moves in the fourth digit.
 * Directions in the title come from exact integers, never from the drawing.
 * Read next: sweep.c. */
#include "plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEFT = 100, WIDTH = 1060, GAP = 110, OI_TOP = 132, OI_END = 366, SPEED_TOP = 444 };
enum { SPEED_END = 664, MAX_LINES = RB_N_PALETTE };

/* One phase: its lines and the part of the canvas it has. */
typedef struct column {
    const rb_plot_series *line[MAX_LINES];
    int n, n_more;
    double x0, x1;
} column;

static const rb_type aside = { .size = 13, .color = RB_GREY };

static rb_color color_of(const column *c, int line)
{
    return c->n > 1 ? rb_palette[line] : RB_INK;
}

/* The exact counts of a line; NULL if a record has none or there is no memory. */
static rb_trend_point *counts_of(const rb_plot_series *s)
{
    rb_trend_point *p = calloc((size_t)s->n, sizeof *p);
    for (int i = 0; p && i < s->n; i++) {
        const rb_plot_record *r = &s->at[i];
        p[i] = (rb_trend_point){ r->n_layer, r->flops, r->bytes };
        if (!r->flops || !r->bytes || (i && r->n_layer <= r[-1].n_layer)) {
            free(p);
            return NULL;
        }
    }
    return p;
}

/* FLOPs per byte of what lies between two depths, or NaN. */
static double ratio_between(const rb_plot_record *a, const rb_plot_record *b)
{
    if (b->n_layer <= a->n_layer || b->flops <= a->flops || b->bytes <= a->bytes || !a->bytes)
        return NAN;
    double ratio = (double)(b->flops - a->flops) / (double)(b->bytes - a->bytes);
    return ratio < 100 * fmax(a->oi, b->oi) ? ratio : NAN;
}

/* ---- axes ---- */

static rb_axis layer_axis(const column *c)
{
    rb_axis x = { .lo = 1, .hi = 0, .p0 = c->x0, .p1 = c->x1, .log = true };
    for (int l = 0; l < c->n; l++) {
        rb_axis_hold(&x, (double)c->line[l]->at[0].n_layer);
        rb_axis_hold(&x, (double)c->line[l]->at[c->line[l]->n - 1].n_layer);
    }
    double room = pow(x.hi / x.lo, 0.06);
    x.lo /= room;
    x.hi *= room;
    return x;
}

/* Powers of two, or where they are too few the depths themselves. */
static int layer_ticks(const column *c, const rb_axis *x, double tick[RB_MAX_TICKS])
{
    int n = 0;
    for (double v = 1; v <= x->hi && n < RB_MAX_TICKS; v *= 2) {
        if (v >= x->lo)
            tick[n++] = v;
    }
    if (n >= 2)
        return n;
    n = 0;
    for (int i = 0; i < c->line[0]->n && n < 12; i++)
        tick[n++] = (double)c->line[0]->at[i].n_layer;
    return n;
}

static void pad(rb_axis *y, double below, double above)
{
    double span = fmax(y->hi - y->lo, fabs(y->hi) * 1e-6);
    y->lo -= span * below;
    y->hi += span * above;
}

static rb_placer placer_of(const rb_axis *x, const rb_axis *y)
{
    return (rb_placer){ .x0 = x->p0 + 1, .x1 = x->p1 + 24, .y0 = y->p1 - 4, .y1 = y->p0 - 3 };
}

static void block_lines(rb_placer *p, const column *c, const rb_axis *x, const rb_axis *y, bool oi)
{
    for (int l = 0; l < c->n; l++) {
        const rb_plot_series *s = c->line[l];
        double before_x = 0, before_y = 0;
        for (int i = 0; i < s->n; i++) {
            const rb_plot_record *r = &s->at[i];
            double at_x = rb_axis_at(x, (double)r->n_layer);
            double at_y = rb_axis_at(y, oi ? r->oi : r->gflops);
            rb_placer_block(p, (rb_slab){ at_x, at_y, 5, 5, 0, false });
            if (!oi)
                rb_placer_block_line(p, at_x, rb_axis_at(y, r->gflops_lo), at_x,
                                     rb_axis_at(y, r->gflops_hi), 7);
            if (i)
                rb_placer_block_line(p, before_x, before_y, at_x, at_y, 1.5);
            before_x = at_x, before_y = at_y;
        }
    }
}

static void draw_line(rb_draw *d, const column *c, int l, const rb_axis *x, const rb_axis *y,
                      bool oi)
{
    const rb_plot_series *s = c->line[l];
    const rb_pen pen = { .stroke = color_of(c, l), .width = 1.3 };
    for (int i = 0; i + 1 < s->n; i++) {
        const rb_plot_record *a = &s->at[i], *b = a + 1;
        rb_draw_line(d, rb_axis_at(x, (double)a->n_layer), rb_axis_at(y, oi ? a->oi : a->gflops),
                     rb_axis_at(x, (double)b->n_layer), rb_axis_at(y, oi ? b->oi : b->gflops),
                     &pen);
    }
    for (int i = 0; i < s->n; i++) {
        const rb_plot_record *r = &s->at[i];
        rb_plot_mark(d, rb_axis_at(x, (double)r->n_layer), rb_axis_at(y, oi ? r->oi : r->gflops), 4,
                     l, color_of(c, l), r->phase == RB_DECODE_POINT);
    }
}

/* ---- OI ---- */

static void draw_ratios(rb_draw *d, rb_placer *p, const column *c, int l, const rb_axis *x,
                        const rb_axis *y)
{
    const rb_plot_series *s = c->line[l];
    const rb_pen pen = { .stroke = c->n > 1 ? color_of(c, l) : RB_GREY, .width = 1.3, .dash = 5 };
    double first = NAN, least = INFINITY, most = 0;
    char text[96];
    for (int i = 0; i + 1 < s->n; i++) {
        double ratio = ratio_between(&s->at[i], &s->at[i + 1]);
        if (isnan(ratio))
            continue;
        double at_y = rb_axis_at(y, ratio), x0 = rb_axis_at(x, (double)s->at[i].n_layer);
        double x1 = rb_axis_at(x, (double)s->at[i + 1].n_layer);
        rb_draw_line(d, x0, at_y, x1, at_y, &pen);
        rb_placer_block_line(p, x0, at_y, x1, at_y, 1.5);
        first = isnan(first) ? ratio : first;
        least = fmin(least, ratio), most = fmax(most, ratio);
    }
    if (isnan(first) || c->n > 2)
        return;
    bool equal = most - least < 1e-9 * most;
    snprintf(text, sizeof text, equal ? "a layer alone: %.6g" : "added layers alone", first);
    rb_slab slab = rb_label_slab(text, 13, 0, 0, 0);
    double x0 = rb_axis_at(x, (double)s->at[0].n_layer);
    for (int side = -1; side <= 1; side += 2) {
        for (int step = 0; step < 12; step++) {
            slab.x = x0 + slab.half_w + 20 * step;
            slab.y = rb_axis_at(y, first) + side * (slab.half_h + 3);
            if (!rb_placer_take(p, slab))
                continue;
            rb_label_draw(d, text, 13, pen.stroke, &slab);
            return;
        }
    }
}

/* The value of a record, beside its mark. */
static void label_value(rb_draw *d, rb_placer *p, const column *c, int l, const rb_plot_record *r,
                        const rb_axis *x, const rb_axis *y)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", r->oi);
    rb_label_beside(
        d, p, text, color_of(c, l),
        &(rb_mark_spot){ rb_axis_at(x, (double)r->n_layer), rb_axis_at(y, r->oi), 6, 6 }, 30);
}

static bool draw_oi(rb_draw *d, const column *c)
{
    rb_axis x = layer_axis(c), y = { .lo = 1, .hi = 0, .p0 = OI_END, .p1 = OI_TOP };
    double tick[RB_MAX_TICKS];
    for (int l = 0; l < c->n; l++) {
        const rb_plot_series *s = c->line[l];
        for (int i = 0; i < s->n; i++) {
            double ratio = i ? ratio_between(&s->at[i - 1], &s->at[i]) : NAN;
            rb_axis_hold(&y, s->at[i].oi);
            if (!isnan(ratio))
                rb_axis_hold(&y, ratio);
        }
    }
    pad(&y, 0.12, 0.14);
    rb_axis_draw(d, &x, &y, "layers", "OI in FLOP/byte", tick, layer_ticks(c, &x, tick));
    rb_placer p = placer_of(&x, &y);
    block_lines(&p, c, &x, &y, true);
    for (int l = 0; l < c->n; l++)
        draw_ratios(d, &p, c, l, &x, &y);
    for (int l = 0; l < c->n; l++)
        draw_line(d, c, l, &x, &y, true);
    for (int l = 0; l < c->n; l++) {
        label_value(d, &p, c, l, &c->line[l]->at[0], &x, &y);
        label_value(d, &p, c, l, &c->line[l]->at[c->line[l]->n - 1], &x, &y);
    }
    bool failed = p.failed;
    rb_placer_free(&p);
    return !failed;
}

/* ---- speed ---- */

/* The roof at a record's OI, as the percentage implies it, or NaN. */
static double roof_of(const rb_plot_record *r)
{
    return r->roof_pct > 0.1 && r->roof_pct < 1e4 ? r->gflops * 100 / r->roof_pct : NAN;
}

static void draw_whiskers(rb_draw *d, const column *c, int l, const rb_axis *x, const rb_axis *y)
{
    const rb_plot_series *s = c->line[l];
    const rb_pen pen = { .stroke = color_of(c, l), .width = 1.1 };
    for (int i = 0; i < s->n; i++) {
        double at = rb_axis_at(x, (double)s->at[i].n_layer);
        double lo = rb_axis_at(y, s->at[i].gflops_lo), hi = rb_axis_at(y, s->at[i].gflops_hi);
        if (s->at[i].gflops_hi <= s->at[i].gflops_lo)
            continue;
        rb_draw_line(d, at, lo, at, hi, &pen);
        rb_draw_line(d, at - 3.5, lo, at + 3.5, lo, &pen);
        rb_draw_line(d, at - 3.5, hi, at + 3.5, hi, &pen);
    }
}

static void draw_roof(rb_draw *d, rb_placer *p, const column *c, int l, const rb_axis *x,
                      const rb_axis *y)
{
    const rb_plot_series *s = c->line[l];
    const rb_pen pen = { .stroke = c->n > 1 ? color_of(c, l) : RB_GREY, .width = 1.3, .dash = 5 };
    rb_slab slab = rb_label_slab("roof", 13, 0, 0, 0);
    bool labelled = c->n > 2;
    for (int i = 0; i + 1 < s->n; i++) {
        double a = roof_of(&s->at[i]), b = roof_of(&s->at[i + 1]);
        if (isnan(a) || isnan(b) || s->at[i].resident || s->at[i + 1].resident)
            continue;
        double x0 = rb_axis_at(x, (double)s->at[i].n_layer), y0 = rb_axis_at(y, a);
        double x1 = rb_axis_at(x, (double)s->at[i + 1].n_layer), y1 = rb_axis_at(y, b);
        rb_draw_line(d, x0, y0, x1, y1, &pen);
        rb_placer_block_line(p, x0, y0, x1, y1, 1.5);
        slab.x = x0 + slab.half_w;
        slab.y = fmin(y0, y1) - slab.half_h - 3;
        if (!labelled && (labelled = rb_placer_take(p, slab)))
            rb_label_draw(d, "roof", 13, pen.stroke, &slab);
    }
}

/* Percent of the roof at depths that are powers of two and at the ends. A figure above its roof is
 * no percentage: it ran from cache, or the roof is wrong. */
static void label_percent(rb_draw *d, rb_placer *p, const column *c, int l, const rb_axis *x,
                          const rb_axis *y)
{
    const rb_plot_series *s = c->line[l];
    for (int i = 0; i < s->n; i++) {
        const rb_plot_record *r = &s->at[i];
        bool round = (r->n_layer & (r->n_layer - 1)) == 0 || i == 0 || i == s->n - 1;
        double at = rb_axis_at(x, (double)r->n_layer);
        char text[32];
        if (!round || (!r->resident && isnan(roof_of(r))))
            continue;
        if (r->resident || r->roof_pct > 100)
            snprintf(text, sizeof text, r->resident ? "cache" : "over");
        else
            snprintf(text, sizeof text, "%.0f %%", r->roof_pct);
        rb_slab slab = rb_label_slab(text, 13, at, 0, 0);
        for (int side = 1; side >= -1; side -= 2) {
            double edge = rb_axis_at(y, side > 0 ? r->gflops_lo : r->gflops_hi);
            slab.y = edge + side * (slab.half_h + 6);
            if (!rb_placer_take(p, slab))
                continue;
            rb_label_draw(d, text, 13, color_of(c, l), &slab);
            break;
        }
    }
}

static bool draw_speed(rb_draw *d, const column *c)
{
    rb_axis x = layer_axis(c), y = { .lo = 0, .hi = 0, .p0 = SPEED_END, .p1 = SPEED_TOP };
    double tick[RB_MAX_TICKS];
    for (int l = 0; l < c->n; l++) {
        for (int i = 0; i < c->line[l]->n; i++) {
            const rb_plot_record *r = &c->line[l]->at[i];
            rb_axis_hold(&y, r->gflops_hi);
            if (!isnan(roof_of(r)) && !r->resident)
                rb_axis_hold(&y, fmin(roof_of(r), 4 * r->gflops));
        }
    }
    y.hi *= 1.13;
    rb_axis_draw(d, &x, &y, "layers", "GFLOP/s, and % of roof", tick, layer_ticks(c, &x, tick));
    rb_placer p = placer_of(&x, &y);
    block_lines(&p, c, &x, &y, false);
    rb_draw_clip(d, x.p0, y.p1 - 2, x.p1, y.p0 + 2);
    for (int l = 0; l < c->n; l++)
        draw_roof(d, &p, c, l, &x, &y);
    rb_draw_unclip(d);
    for (int l = 0; l < c->n; l++) {
        draw_whiskers(d, c, l, &x, &y);
        draw_line(d, c, l, &x, &y, false);
    }
    for (int l = 0; l < c->n; l++)
        label_percent(d, &p, c, l, &x, &y);
    bool failed = p.failed;
    rb_placer_free(&p);
    return !failed;
}

/* ---- titles ---- */

static void name_line(const rb_plot_data *data, const rb_plot_series *s, char *buf, size_t size)
{
    buf[0] = 0;
    if (data->n_machine > 1)
        rb_plot_put(buf, size, "%s, ", data->machine[s->at->set].name);
    if (data->n_subject > 1)
        rb_plot_put(buf, size, "%s, ", data->subject[s->at->subject]);
    rb_plot_put(buf, size, "%s", s->at->test);
}

static void put_header(rb_draw *d, const rb_plot_data *data, const column *c)
{
    static const char *const phase[] = { "prefill", "decode", "prefill and decode" };
    char text[256];
    double x = c->x0;
    for (int l = 0; l < c->n; l++) {
        const rb_plot_series *s = c->line[l];
        double each = (c->x1 - c->x0) / c->n;
        name_line(data, s, text, sizeof text);
        if (c->n == 1) {
            char whole[300];
            snprintf(whole, sizeof whole, "%s: %s", phase[s->at->phase], text);
            rb_plot_text_cut(d, x, OI_TOP - 14, whole, c->x1 - x,
                             &(rb_type){ .size = 15, .color = RB_INK });
            return;
        }
        rb_plot_mark(d, x + 5, OI_TOP - 19, 4.5, l, color_of(c, l),
                     s->at->phase == RB_DECODE_POINT);
        rb_plot_text_cut(d, x + 16, OI_TOP - 14, text, each - 24,
                         &(rb_type){ .size = 13, .color = RB_INK });
        x += each;
    }
}

static void say_direction(const rb_plot_data *data, const column *c, char *buf, size_t size)
{
    static const char *const verb[] = { "", "stays", "rises", "falls", "turns" };
    for (int l = 0; l < c->n; l++) {
        const rb_plot_series *s = c->line[l];
        rb_trend_point *p = counts_of(s);
        char name[256];
        if (!p)
            continue;
        rb_trend t = rb_trend_of(p, s->n);
        name_line(data, s, name, sizeof name);
        rb_plot_put(buf, size, "%s%s %s", buf[0] ? "; " : "OI over layers: ", name, verb[t.kind]);
        if (t.kind == RB_TREND_FLAT)
            rb_plot_put(buf, size, " at %.6g", s->at[0].oi);
        else if (t.kind != RB_TREND_NONE)
            rb_plot_put(buf, size, ", %.6g to %.6g", s->at[0].oi, s->at[s->n - 1].oi);
        free(p);
    }
}

static void put_titles(rb_draw *d, const rb_plot_data *data, const column *c, int n)
{
    const rb_plot_machine *m = &data->machine[0];
    char text[1024] = "";
    int n_more = 0;
    for (int i = 0; i < n; i++) {
        say_direction(data, &c[i], text, sizeof text);
        n_more += c[i].n_more;
    }
    rb_plot_text_cut(d, LEFT - 16, 38, text[0] ? text : "OI over layers", 1100,
                     &(rb_type){ .size = 21, .color = RB_INK });
    text[0] = 0;
    if (data->n_subject == 1)
        rb_plot_put(text, sizeof text, "%s", data->subject[0]);
    if (data->n_machine == 1)
        rb_plot_put(text, sizeof text, "%s%s", text[0] ? ", " : "", m->cpu);
    if (data->n_machine == 1 && m->n_threads)
        rb_plot_put(text, sizeof text, ", %lld thread%s", (long long)m->n_threads,
                    m->n_threads == 1 ? "" : "s");
    if (data->n_machine == 1 && m->isa[0])
        rb_plot_put(text, sizeof text, ", %s", m->isa);
    rb_plot_text_cut(d, LEFT - 16, 64, text, 1100, &(rb_type){ .size = 14, .color = RB_GREY });
    snprintf(
        text, sizeof text,
        "OI is exact: FLOPs (a multiply-add counts as 2) over bytes of weights and KV cache. "
        "Dashed above: the ratio of what each added layer brings, toward which OI moves. "
        "Whiskers: 95 %% confidence interval of the median. Dashed below: the measured roof at "
        "that OI.");
    if (n_more)
        rb_plot_put(text, sizeof text, " Lines beyond %d a column, not shown: %d.", MAX_LINES,
                    n_more);
    rb_plot_text_wrap(d, LEFT - 16, 743, text, 1090, 17.5, &aside);
}

/* Columns of the phases that have a sweep; returns how many. */
static int columns_of(const rb_plot_data *data, column c[3])
{
    int n = 0;
    for (int phase = 0; phase < 3; phase++) {
        c[n] = (column){ 0 };
        for (int i = 0; i < data->n_series; i++) {
            const rb_plot_series *s = &data->series[i];
            if (s->at->phase != phase || !s->sweep || s->at->n_layer < 1)
                continue;
            if (c[n].n < MAX_LINES)
                c[n].line[c[n].n++] = s;
            else
                c[n].n_more++;
        }
        n += c[n].n > 0;
    }
    for (int i = 0; i < n; i++) {
        double each = (WIDTH - (n - 1) * GAP) / (double)n;
        c[i].x0 = LEFT + i * (each + GAP);
        c[i].x1 = c[i].x0 + each;
    }
    return n;
}

rb_status rb_plot_layers(rb_draw *d, const rb_plot_data *data, rb_error *err)
{
    column c[4];
    int n = columns_of(data, c);
    bool drawn = true;
    if (!n)
        return rb_fail(err, RB_ERR_FORMAT,
                       "nothing to draw: no sweep over layers has times (see --depth-sweep)");
    for (int i = 0; i < n; i++) {
        put_header(d, data, &c[i]);
        drawn = draw_oi(d, &c[i]) && drawn;
        drawn = draw_speed(d, &c[i]) && drawn;
    }
    put_titles(d, data, c, n);
    return drawn ? RB_OK : rb_fail(err, RB_ERR_MEMORY, "out of memory for the figure");
}
