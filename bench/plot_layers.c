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
    rb_trend trend[MAX_LINES];
    int n, n_more;
    double x0, x1;
} column;

static const rb_type aside = { .size = 13, .color = RB_GREY };

/* Whether two lines have the same counts at the same depths: one model on two machines. */
static bool same_counts(const rb_plot_series *a, const rb_plot_series *b)
{
    for (int i = 0; i < a->n && a->n == b->n; i++) {
        if (a->at[i].n_layer != b->at[i].n_layer || a->at[i].flops != b->at[i].flops ||
            a->at[i].bytes != b->at[i].bytes || !a->at[i].bytes)
            return false;
    }
    return a->n == b->n;
}

/* Whether an earlier line of the column has the same OI; then one of them stands for both. */
static bool is_twin(const column *c, int l)
{
    for (int i = 0; i < l; i++) {
        if (same_counts(c->line[i], c->line[l]))
            return true;
    }
    return false;
}

static int n_apart(const column *c)
{
    int n = 0;
    for (int l = 0; l < c->n; l++)
        n += !is_twin(c, l);
    return n;
}

static rb_color color_of(const column *c, int l, bool oi)
{
    return (oi ? n_apart(c) : c->n) > 1 ? rb_palette[l] : RB_INK;
}

/* What OI does along a line; RB_TREND_NONE too if a record has no exact counts. */
static bool find_trend(const rb_plot_series *s, rb_trend *t)
{
    rb_trend_point *p = calloc((size_t)s->n, sizeof *p);
    const bool had_memory = p != NULL;
    bool counted = had_memory;
    for (int i = 0; counted && i < s->n; i++) {
        const rb_plot_record *r = &s->at[i];
        p[i] = (rb_trend_point){ r->n_layer, r->flops, r->bytes, 0 };
        counted = r->flops && r->bytes && (!i || r->n_layer > r[-1].n_layer);
    }
    *t = counted ? rb_trend_of(p, s->n) : (rb_trend){ .kind = RB_TREND_NONE };
    free(p);
    return had_memory;
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

/* Joined points of a line, in dashes or not. value: NaN breaks it; steps: level from depth to
 * depth, where value belongs to what lies between. Blocks what it draws. */
typedef double value_fn(const rb_plot_record *r);

static void draw_dashed(rb_draw *d, rb_placer *p, const rb_plot_series *s, value_fn *value,
                        bool steps, const rb_axis *x, const rb_axis *y, rb_color color)
{
    rb_point *path = calloc((size_t)s->n, 2 * sizeof *path);
    const rb_pen pen = { .stroke = color, .width = 1.3, .dash = 5 };
    int n = 0;
    p->failed = p->failed || !path;
    for (int i = 0; path && i < s->n; i++) {
        double v = steps && i + 1 == s->n ? NAN : value(&s->at[i]);
        double at = rb_axis_at(x, (double)s->at[i].n_layer);
        if (!isnan(v))
            path[n++] = (rb_point){ at, rb_axis_at(y, v) };
        if (!isnan(v) && steps)
            path[n++] = (rb_point){ rb_axis_at(x, (double)s->at[i + 1].n_layer), rb_axis_at(y, v) };
        if (isnan(v) || i + 1 == s->n) {
            for (int k = 0; k + 1 < n; k++)
                rb_placer_block_line(p, path[k].x, path[k].y, path[k + 1].x, path[k + 1].y, 1.5);
            if (n > 1)
                rb_draw_path(d, path, n, false, &pen);
            n = 0;
        }
    }
    free(path);
}

static void draw_line(rb_draw *d, const column *c, int l, const rb_axis *x, const rb_axis *y,
                      bool oi)
{
    const rb_plot_series *s = c->line[l];
    const rb_pen pen = { .stroke = color_of(c, l, oi), .width = 1.3 };
    for (int i = 0; i + 1 < s->n; i++) {
        const rb_plot_record *a = &s->at[i], *b = a + 1;
        rb_draw_line(d, rb_axis_at(x, (double)a->n_layer), rb_axis_at(y, oi ? a->oi : a->gflops),
                     rb_axis_at(x, (double)b->n_layer), rb_axis_at(y, oi ? b->oi : b->gflops),
                     &pen);
    }
    for (int i = 0; i < s->n; i++) {
        const rb_plot_record *r = &s->at[i];
        rb_plot_mark(d, rb_axis_at(x, (double)r->n_layer), rb_axis_at(y, oi ? r->oi : r->gflops),
                     oi ? 4 : 3.2, l, color_of(c, l, oi), r->phase == RB_DECODE_POINT);
    }
}

/* ---- OI ---- */

/* What the layers up to the next depth bring. */
static double next_ratio(const rb_plot_record *r)
{
    return ratio_between(r, r + 1);
}

static void draw_ratios(rb_draw *d, rb_placer *p, const column *c, int l, const rb_axis *x,
                        const rb_axis *y)
{
    const rb_plot_series *s = c->line[l];
    const rb_color color = n_apart(c) > 1 ? rb_palette[l] : RB_GREY;
    double first = next_ratio(s->at), least = first, most = first;
    char text[96];
    draw_dashed(d, p, s, next_ratio, true, x, y, color);
    for (int i = 0; i + 1 < s->n; i++) {
        least = fmin(least, next_ratio(&s->at[i]));
        most = fmax(most, next_ratio(&s->at[i]));
    }
    if (isnan(first) || n_apart(c) > 2)
        return;
    snprintf(text, sizeof text,
             most - least < 1e-9 * most ? "a layer alone: %.6g" : "added layers alone", first);
    rb_slab slab = rb_label_slab(text, 13, 0, 0, 0);
    for (int step = 0; step < 24; step++) {
        int along = step / 2 * 20;
        slab.x = rb_axis_at(x, (double)s->at[0].n_layer) + slab.half_w + along;
        slab.y = rb_axis_at(y, first) + (step % 2 ? 1 : -1) * (slab.half_h + 3);
        if (!rb_placer_take(p, slab))
            continue;
        rb_label_draw(d, text, 13, color, &slab);
        return;
    }
}

/* The value of a record, beside its mark. */
static void label_value(rb_draw *d, rb_placer *p, const column *c, int l, const rb_plot_record *r,
                        const rb_axis *x, const rb_axis *y)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", r->oi);
    rb_label_beside(
        d, p, text, color_of(c, l, true),
        &(rb_mark_spot){ rb_axis_at(x, (double)r->n_layer), rb_axis_at(y, r->oi), 6, 6 }, 30);
}

static double dram_of(const rb_plot_record *r)
{
    return r->oi_dram;
}

/* OI by modelled DRAM traffic, crosses joined by dashes; where the model is resident there is none,
 * and a bar at the top says so. */
static void draw_dram(rb_draw *d, rb_placer *p, const column *c, int l, const rb_axis *x,
                      const rb_axis *y)
{
    const rb_plot_series *s = c->line[l];
    const rb_color color = n_apart(c) > 1 ? rb_palette[l] : RB_GREY;
    const rb_pen pen = { .stroke = color, .width = 1.3 };
    const double top = y->p1 + 6;
    int last = -1;
    draw_dashed(d, p, s, dram_of, false, x, y, color);
    for (int i = 0; i < s->n; i++) {
        const double at = rb_axis_at(x, (double)s->at[i].n_layer);
        if (s->at[i].in_cache)
            last = i;
        if (isnan(s->at[i].oi_dram))
            continue;
        const double v = rb_axis_at(y, s->at[i].oi_dram);
        rb_draw_line(d, at - 3, v - 3, at + 3, v + 3, &pen);
        rb_draw_line(d, at - 3, v + 3, at + 3, v - 3, &pen);
        if (i == s->n - 1)
            rb_label_beside(d, p, "DRAM", color, &(rb_mark_spot){ at, v, 5, 5 }, 30);
    }
    if (last < 0 || l > 0)
        return;
    const double x0 = rb_axis_at(x, (double)s->at[0].n_layer) - 4;
    const double x1 = rb_axis_at(x, (double)s->at[last].n_layer) + 4;
    rb_draw_line(d, x0, top, x1, top, &pen);
    rb_placer_block_line(p, x0, top, x1, top, 1.5);
    rb_label_beside(d, p, "resident", color, &(rb_mark_spot){ x1, top, 4, 4 }, 120);
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
            if (!isnan(s->at[i].oi_dram))
                rb_axis_hold(&y, s->at[i].oi_dram);
            if (!isnan(ratio))
                rb_axis_hold(&y, ratio);
        }
    }
    pad(&y, 0.12, 0.14);
    rb_axis_draw(d, &x, &y, "layers", "OI W+KV in FLOP/byte", tick, layer_ticks(c, &x, tick));
    rb_placer p = placer_of(&x, &y);
    block_lines(&p, c, &x, &y, true);
    for (int l = 0; l < c->n; l++) {
        if (!is_twin(c, l))
            draw_ratios(d, &p, c, l, &x, &y);
    }
    for (int l = 0; l < c->n; l++) /* caches differ where counts are the same */
        draw_dram(d, &p, c, l, &x, &y);
    for (int l = 0; l < c->n; l++) {
        if (is_twin(c, l))
            continue;
        draw_line(d, c, l, &x, &y, true);
        label_value(d, &p, c, l, &c->line[l]->at[0], &x, &y);
        label_value(d, &p, c, l, &c->line[l]->at[c->line[l]->n - 1], &x, &y);
    }
    bool failed = p.failed;
    rb_placer_free(&p);
    return !failed;
}

/* ---- speed ---- */

/* The roof at a record's OI, as the percentage implies it, or as recorded under a point that is
 * above it and has none; or NaN. */
static double roof_of(const rb_plot_record *r)
{
    if (r->above && isnan(r->roof_pct))
        return r->roof_gflops > 0 && r->roof_gflops < 1e9 ? r->roof_gflops : NAN;
    return r->roof_pct > 0.1 && r->roof_pct < 1e4 ? r->gflops * 100 / r->roof_pct : NAN;
}

static void draw_whiskers(rb_draw *d, const column *c, int l, const rb_axis *x, const rb_axis *y)
{
    const rb_plot_series *s = c->line[l];
    const rb_pen pen = { .stroke = color_of(c, l, false), .width = 1.1 };
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

static double bound_of(const rb_plot_record *r)
{
    return r->resident ? NAN : roof_of(r);
}

static void draw_roof(rb_draw *d, rb_placer *p, const column *c, int l, const rb_axis *x,
                      const rb_axis *y)
{
    const rb_plot_series *s = c->line[l];
    const rb_color color = c->n > 1 ? color_of(c, l, false) : RB_GREY;
    rb_slab slab = rb_label_slab("roof", 13, 0, 0, 0);
    draw_dashed(d, p, s, bound_of, false, x, y, color);
    for (int i = 0; i + 1 < s->n && c->n < 3; i++) {
        double a = bound_of(&s->at[i]), b = bound_of(&s->at[i + 1]);
        if (isnan(a) || isnan(b))
            continue;
        slab.x = rb_axis_at(x, (double)s->at[i].n_layer) + slab.half_w;
        slab.y = rb_axis_at(y, fmax(a, b)) - slab.half_h - 3;
        if (!rb_placer_take(p, slab))
            continue;
        rb_label_draw(d, "roof", 13, color, &slab);
        return;
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
        if (!round || (!r->resident && !r->above && isnan(r->roof_pct)))
            continue;
        if (r->resident || r->above)
            snprintf(text, sizeof text, r->resident ? "cache" : "over");
        else
            snprintf(text, sizeof text, "%.0f %%", r->roof_pct);
        rb_slab slab = rb_label_slab(text, 13, at, 0, 0);
        for (int side = 1; side >= -1; side -= 2) {
            double edge = rb_axis_at(y, side > 0 ? r->gflops_lo : r->gflops_hi);
            slab.y = edge + side * (slab.half_h + 6);
            if (!rb_placer_take(p, slab))
                continue;
            rb_label_draw(d, text, 13, color_of(c, l, false), &slab);
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

static void name_line(const rb_plot_data *data, const rb_plot_series *s, bool machine, char *buf,
                      size_t size)
{
    buf[0] = 0;
    if (machine)
        rb_plot_put(buf, size, "%s, ", data->machine[s->at->set].name);
    if (data->n_subject > 1)
        rb_plot_put(buf, size, "%s, ", data->subject[s->at->subject]);
    rb_plot_put(buf, size, "%s", s->at->test);
}

static void put_header(rb_draw *d, const rb_plot_data *data, const column *c)
{
    static const char *const phase[] = { "prefill", "decode", "prefill and decode", "verify" };
    char text[256];
    double x = c->x0;
    for (int l = 0; l < c->n; l++) {
        const rb_plot_series *s = c->line[l];
        double each = (c->x1 - c->x0) / c->n;
        name_line(data, s, data->n_machine > 1, text, sizeof text);
        if (c->n == 1) {
            char whole[300];
            snprintf(whole, sizeof whole, "%s: %s", phase[s->at->phase], text);
            rb_plot_text_cut(d, x, OI_TOP - 14, whole, c->x1 - x,
                             &(rb_type){ .size = 15, .color = RB_INK });
            return;
        }
        rb_plot_mark(d, x + 5, OI_TOP - 19, 4.5, l, color_of(c, l, false),
                     s->at->phase == RB_DECODE_POINT);
        rb_plot_text_cut(d, x + 16, OI_TOP - 14, text, each - 24,
                         &(rb_type){ .size = 13, .color = RB_INK });
        x += each;
    }
}

static void say_values(const rb_plot_series *s, const rb_trend *t, char *buf, size_t size)
{
    const rb_plot_record *turn = &s->at[t->first_turn];
    rb_plot_put(buf, size, " %.6g to", s->at[0].oi);
    if (t->kind == RB_TREND_TURNS)
        rb_plot_put(buf, size, " %.6g (%lld layers) to", turn->oi, (long long)turn->n_layer);
    rb_plot_put(buf, size, " %.6g", s->at[s->n - 1].oi);
}

/* "OI W+KV rises with layers: pp128 15.4 to 113.6, ...": once where all agree, else each for
 * itself. */
static void say_directions(const rb_plot_data *data, const column *c, int n, char *buf, size_t size)
{
    static const char *const verb[] = { "", "is the same", "rises", "falls", "turns" };
    rb_trend_kind common = c[0].trend[0].kind;
    const char *join = ": ";
    for (int i = 0; i < n; i++) {
        for (int l = 0; l < c[i].n; l++)
            common = c[i].trend[l].kind == common ? common : RB_TREND_NONE;
    }
    rb_plot_put(buf, size, "OI W+KV %s%s layers", common ? verb[common] : "over",
                common == RB_TREND_FLAT ? " at all"
                : common                ? " with"
                                        : "");
    for (int i = 0; i < n; i++) {
        for (int l = 0; l < c[i].n; l++) {
            const rb_plot_series *s = c[i].line[l];
            const rb_trend *t = &c[i].trend[l];
            char name[256];
            if (is_twin(&c[i], l))
                continue;
            name_line(data, s, data->n_machine > 1 && n_apart(&c[i]) > 1, name, sizeof name);
            rb_plot_put(buf, size, "%s%s", join, name);
            if (!common)
                rb_plot_put(buf, size, " %s", verb[t->kind]);
            say_values(s, t, buf, size);
            join = ", ";
        }
    }
}

static void put_titles(rb_draw *d, const rb_plot_data *data, const column *c, int n)
{
    const rb_plot_machine *m = &data->machine[0];
    char text[1024] = "";
    int n_more = 0;
    for (int i = 0; i < n; i++)
        n_more += c[i].n_more;
    say_directions(data, c, n, text, sizeof text);
    rb_plot_text_cut(d, LEFT - 16, 38, text, 1100, &(rb_type){ .size = 21, .color = RB_INK });
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
        "OI W+KV is exact: FLOPs (a multiply-add is 2) over bytes of weights and KV cache. "
        "Dashed above: the ratio of what each added layer brings, toward which OI moves. Crosses: "
        "OI DRAM, the same FLOPs over modelled DRAM traffic; none where the model is resident. "
        "Whiskers: 95 %% confidence interval of the median. Dashed below: the measured roof at "
        "that OI.");
    if (n_more)
        rb_plot_put(text, sizeof text, " Lines beyond %d a column, not shown: %d.", MAX_LINES,
                    n_more);
    rb_plot_text_wrap(d, LEFT - 16, 743, text, 1090, 17.5, &aside);
}

/* Columns of the phases that have a sweep; returns how many. */
static int columns_of(const rb_plot_data *data, column c[RB_N_POINT + 1])
{
    int n = 0;
    for (int phase = 0; phase < RB_N_POINT; phase++) {
        c[n] = (column){ 0 };
        for (int i = 0; i < data->n_series; i++) {
            const rb_plot_series *s = &data->series[i];
            if (s->at->phase != phase || s->axis != RB_AXIS_LAYERS || s->at->n_layer < 1)
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
    column c[RB_N_POINT + 1];
    int n = columns_of(data, c);
    bool drawn = true;
    if (!n)
        return rb_fail(err, RB_ERR_FORMAT,
                       "nothing to draw: no sweep over layers has times (see --depth-sweep)");
    for (int i = 0; i < n; i++) {
        for (int l = 0; l < c[i].n; l++)
            drawn = find_trend(c[i].line[l], &c[i].trend[l]) && drawn;
        put_header(d, data, &c[i]);
        drawn = draw_oi(d, &c[i]) && drawn;
        drawn = draw_speed(d, &c[i]) && drawn;
    }
    put_titles(d, data, c, n);
    return drawn ? RB_OK : rb_fail(err, RB_ERR_MEMORY, "out of memory for the figure");
}
