/* Panels: ranges from what they hold, marks that tell series apart by colour and shape, labels that
 * collide with nothing. Refuses to show what an axis cannot hold.
 * Read next: panel.h, ../plot_axis.c, ../plot_label.c. */
#include "panel.h"

#include <math.h>

static const double smallest = 1e-9, largest = 1e12;
static const rb_type small = { .size = 13, .color = RB_INK };

rb_panel rb_panel_new(rb_draw *d, double x0, double y0, double x1, double y1, bool log_x,
                      bool log_y)
{
    return (rb_panel){ .d = d,
                       .x = { .lo = 1, .hi = 0, .p0 = x0, .p1 = x1, .log = log_x },
                       .y = { .lo = 1, .hi = 0, .p0 = y0, .p1 = y1, .log = log_y },
                       .placer = { .x0 = x0 + 1, .x1 = x1 - 1, .y0 = y1 + 1, .y1 = y0 - 2 } };
}

void rb_panel_free(rb_panel *p)
{
    rb_placer_free(&p->placer);
}

static bool fits(const rb_axis *a, double v)
{
    return fabs(v) <= largest && (!a->log || v >= smallest);
}

static bool shows(const rb_axis *a, double v)
{
    return fits(a, v) && v >= a->lo && v <= a->hi;
}

void rb_panel_hold(rb_panel *p, double x, double y)
{
    if (!fits(&p->x, x) || !fits(&p->y, y))
        return;
    rb_axis_hold(&p->x, x);
    rb_axis_hold(&p->y, y);
}

void rb_panel_hold_span(rb_panel *p, double x, const rb_span *y)
{
    rb_panel_hold(p, x, y->at);
    rb_panel_hold(p, x, y->lo);
    rb_panel_hold(p, x, y->hi);
}

bool rb_panel_empty(const rb_panel *p)
{
    return p->x.lo > p->x.hi || p->y.lo > p->y.hi;
}

/* Room at the ends, more for one value alone. */
static void widen(rb_axis *a)
{
    if (a->log) {
        const double by = a->hi > a->lo ? pow(a->hi / a->lo, 0.06) : 2;
        a->lo /= fmax(by, 1.05);
        a->hi *= fmax(by, 1.05);
        return;
    }
    const double span = a->hi > a->lo ? a->hi - a->lo : fmax(fabs(a->hi), 1e-6);
    const bool from_zero = a->lo >= 0 && a->lo < span;
    a->lo = from_zero ? 0 : a->lo - 0.08 * span;
    a->hi += 0.08 * span;
}

void rb_panel_axes(rb_panel *p, const char *title, const char *x_title, const char *y_title,
                   const double *ticks, int n_ticks)
{
    if (rb_panel_empty(p))
        return;
    widen(&p->x);
    widen(&p->y);
    rb_axis_draw(p->d, &p->x, &p->y, x_title, y_title, ticks, n_ticks);
    rb_draw_text(p->d, p->x.p0, p->y.p1 - 8, title, &(rb_type){ .size = 14, .color = RB_INK });
}

void rb_panel_line(rb_panel *p, double x0, double y0, double x1, double y1, const rb_pen *pen)
{
    if (!shows(&p->x, x0) || !shows(&p->x, x1) || !shows(&p->y, y0) || !shows(&p->y, y1))
        return;
    const double ax = rb_axis_at(&p->x, x0), ay = rb_axis_at(&p->y, y0);
    const double bx = rb_axis_at(&p->x, x1), by = rb_axis_at(&p->y, y1);
    rb_draw_line(p->d, ax, ay, bx, by, pen);
    rb_placer_block_line(&p->placer, ax, ay, bx, by, 2);
}

/* Beyond the palette its colours come again, darker. */
rb_color rb_look_color(int color)
{
    if (color < 0)
        return RB_INK;
    const rb_color c = rb_palette[color % RB_N_PALETTE];
    return color / RB_N_PALETTE % 2 ? (c >> 1 & 0x7f7f7f00u) | 0xff : c;
}

static void whisker(rb_draw *d, double x0, double y0, double x1, double y1, rb_color color)
{
    const rb_pen pen = { .stroke = color, .width = 1.1 };
    const double across = y0 == y1 ? 0 : 3.5, along = y0 == y1 ? 3.5 : 0;
    if (hypot(x1 - x0, y1 - y0) < 4)
        return;
    rb_draw_line(d, x0, y0, x1, y1, &pen);
    rb_draw_line(d, x0 - across, y0 - along, x0 + across, y0 + along, &pen);
    rb_draw_line(d, x1 - across, y1 - along, x1 + across, y1 + along, &pen);
}

static void mark(rb_panel *p, double x, double y, const rb_look *look, const char *tip)
{
    rb_plot_mark(p->d, x, y, 5, look->shape, rb_look_color(look->color), look->filled);
    rb_draw_tip(p->d, tip);
    rb_placer_block(&p->placer, (rb_slab){ x, y, 6, 6, 0, false });
}

void rb_panel_mark(rb_panel *p, double x, const rb_span *y, const rb_look *look, const char *tip)
{
    if (!shows(&p->x, x) || !shows(&p->y, y->at))
        return;
    const double at = rb_axis_at(&p->x, x);
    if (shows(&p->y, y->lo) && shows(&p->y, y->hi))
        whisker(p->d, at, rb_axis_at(&p->y, y->lo), at, rb_axis_at(&p->y, y->hi),
                rb_look_color(look->color));
    mark(p, at, rb_axis_at(&p->y, y->at), look, tip);
}

void rb_panel_dot(rb_panel *p, double y, const rb_span *x, const rb_look *look, const char *tip)
{
    if (!shows(&p->x, x->at))
        return;
    if (shows(&p->x, x->lo) && shows(&p->x, x->hi))
        whisker(p->d, rb_axis_at(&p->x, x->lo), y, rb_axis_at(&p->x, x->hi), y,
                rb_look_color(look->color));
    mark(p, rb_axis_at(&p->x, x->at), y, look, tip);
}

void rb_panel_scale(rb_panel *p, const char *title, const char *x_title)
{
    const rb_pen rule = { .stroke = RB_RULE, .width = 1 },
                 frame = { .stroke = RB_GREY, .width = 1 };
    const rb_type middle = { .size = 13, .color = RB_INK, .anchor = RB_MIDDLE };
    double tick[RB_MAX_TICKS], free_from = -1e9;
    char text[32];
    widen(&p->x);
    const int n = rb_axis_ticks(&p->x, tick);
    for (int i = 0; i < n; i++) {
        const double at = rb_axis_at(&p->x, tick[i]);
        snprintf(text, sizeof text, "%.10g", fabs(tick[i]) < 1e-12 ? 0 : tick[i]);
        const double half = rb_text_width(text, 13) / 2;
        rb_draw_line(p->d, at, p->y.p0, at, p->y.p1, &rule);
        if (at - half < free_from)
            continue;
        rb_draw_text(p->d, at, p->y.p0 + 19, text, &middle);
        free_from = at + half + 6;
    }
    rb_draw_line(p->d, p->x.p0, p->y.p0, p->x.p1, p->y.p0, &frame);
    rb_draw_text(p->d, (p->x.p0 + p->x.p1) / 2, p->y.p0 + 42, x_title,
                 &(rb_type){ .size = 14, .color = RB_INK, .anchor = RB_MIDDLE });
    rb_draw_text(p->d, p->x.p0, p->y.p1 - 10, title, &(rb_type){ .size = 14, .color = RB_INK });
}

/* ---- labels ---- */

void rb_panel_label(rb_panel *p, double x, double y, const char *text, rb_color color)
{
    if (shows(&p->x, x) && shows(&p->y, y))
        rb_label_beside(p->d, &p->placer, text, color,
                        &(rb_mark_spot){ rb_axis_at(&p->x, x), rb_axis_at(&p->y, y), 6, 6 }, 60);
}

/* Along a line of the canvas, from its far end backwards, above it or below. */
static void label_along(rb_panel *p, rb_point a, rb_point b, const char *text, rb_color color)
{
    const double dx = b.x - a.x, dy = b.y - a.y, length = hypot(dx, dy);
    rb_slab slab = rb_label_slab(text, 13, 0, 0, atan2(dy, dx) * 180 / 3.14159265358979323846);
    const int n = (int)((length - 2 * slab.half_w - 8) / 12) + 1;
    for (int i = 0; i < n; i++) {
        const double back = slab.half_w + 8 + 12 * i;
        for (int side = -1; side <= 1; side += 2) {
            const double away = side * (slab.half_h + 3.5), at = 1 - back / length;
            slab.x = a.x + dx * at - dy / length * away;
            slab.y = a.y + dy * at + dx / length * away;
            if (!rb_placer_take(&p->placer, slab))
                continue;
            rb_label_draw(p->d, text, 13, color, &slab);
            return;
        }
    }
}

void rb_panel_roof(rb_panel *p, double gbps, double gflops, rb_color color, const char *bandwidth,
                   const char *compute)
{
    const rb_pen pen = { .stroke = color, .width = 1.8 };
    const double ridge = gflops / gbps, from = fmax(p->x.lo, p->y.lo / gbps);
    if (!(ridge > from) || !(ridge < p->x.hi) || !shows(&p->y, gflops))
        return;
    const rb_point a = { rb_axis_at(&p->x, from), rb_axis_at(&p->y, from * gbps) };
    const rb_point b = { rb_axis_at(&p->x, ridge), rb_axis_at(&p->y, gflops) };
    const rb_point c = { p->x.p1, b.y };
    rb_draw_line(p->d, a.x, a.y, b.x, b.y, &pen);
    rb_draw_line(p->d, b.x, b.y, c.x, c.y, &pen);
    rb_placer_block_line(&p->placer, a.x, a.y, b.x, b.y, 2);
    rb_placer_block_line(&p->placer, b.x, b.y, c.x, c.y, 2);
    if (bandwidth)
        label_along(p, a, b, bandwidth, color);
    if (compute)
        label_along(p, b, c, compute, color);
}

/* ---- legends ---- */

void rb_legend_head(rb_legend *l, const char *text)
{
    l->y += 10;
    rb_plot_text_cut(l->d, l->x, l->y, text, l->width, &(rb_type){ .size = 14, .color = RB_INK });
    l->y += 22;
}

void rb_legend_entry(rb_legend *l, const char *text, const rb_look *look)
{
    rb_plot_mark(l->d, l->x + 8, l->y - 4.5, 5, look->shape, rb_look_color(look->color),
                 look->filled);
    rb_plot_text_cut(l->d, l->x + 22, l->y, text, l->width - 22, &small);
    l->y += 20;
}

void rb_legend_text(rb_legend *l, const char *text)
{
    l->y = rb_plot_text_wrap(l->d, l->x, l->y + 4, text, l->width, 18,
                             &(rb_type){ .size = 13, .color = RB_GREY });
}

void rb_figure_title(rb_draw *d, const char *title, const char *below)
{
    rb_plot_text_cut(d, 24, 30, title, 1150, &(rb_type){ .size = 18, .color = RB_INK });
    rb_plot_text_cut(d, 24, 52, below, 1150, &(rb_type){ .size = 13, .color = RB_GREY });
}
