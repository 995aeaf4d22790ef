/* Axes: where a value stands on the canvas, which values are labelled, grid and frame.
 * Ticks are powers of ten where the axis spans several, else 1, 2 and 5 times them.
 * Read next: plot_label.c. */
#include "plot.h"

#include <math.h>

double rb_axis_at(const rb_axis *a, double value)
{
    double lo = a->log ? log10(a->lo) : a->lo, hi = a->log ? log10(a->hi) : a->hi;
    double v = a->log ? log10(value) : value;
    return a->p0 + (v - lo) / (hi - lo) * (a->p1 - a->p0);
}

void rb_axis_hold(rb_axis *a, double value)
{
    if (a->lo > a->hi)
        a->lo = a->hi = value;
    a->lo = fmin(a->lo, value);
    a->hi = fmax(a->hi, value);
}

static int log_ticks(const rb_axis *a, double tick[RB_MAX_TICKS])
{
    static const double steps[] = { 1, 2, 5 };
    int n = 0, every = log10(a->hi / a->lo) < 2.2 ? 3 : 1;
    for (int e = (int)floor(log10(a->lo)); e <= (int)ceil(log10(a->hi)); e++) {
        for (int s = 0; s < every; s++) {
            double v = steps[s] * pow(10, e);
            if (v >= a->lo * (1 - 1e-9) && v <= a->hi * (1 + 1e-9) && n < RB_MAX_TICKS)
                tick[n++] = v;
        }
    }
    return n;
}

int rb_axis_ticks(const rb_axis *a, double tick[RB_MAX_TICKS])
{
    if (a->log)
        return log_ticks(a, tick);
    static const double nice[] = { 1, 2, 2.5, 5, 10 };
    double span = a->hi - a->lo, ten = pow(10, floor(log10(span / 6))), step = ten;
    int n = 0;
    for (int i = 0; i < 5 && span / step > 6; i++)
        step = nice[i] * ten;
    for (double v = ceil(a->lo / step) * step; v <= a->hi + step * 1e-6 && n < RB_MAX_TICKS;
         v += step)
        tick[n++] = fabs(v) < step * 1e-9 ? 0 : v;
    return n;
}

/* Digits that tell the ticks of a linear axis apart. */
static void tick_text(const rb_axis *a, double v, double step, char *buf, size_t size)
{
    if (a->log)
        snprintf(buf, size, "%.10g", v);
    else {
        int digits = step > 0 && step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
        double scaled = step * pow(10, digits); /* 0.25 wants a digit more than 0.2 */
        if (step > 0 && step < 10 && fabs(scaled - round(scaled)) > 1e-6)
            digits++;
        snprintf(buf, size, "%.*f", digits < 10 ? digits : 10, v);
    }
}

static void draw_minor(rb_draw *d, const rb_axis *a, double at, bool vertical)
{
    const rb_pen pen = { .stroke = RB_GREY, .width = 1 };
    if (!a->log || log10(a->hi / a->lo) > 7)
        return;
    for (int e = (int)floor(log10(a->lo)); e <= (int)ceil(log10(a->hi)); e++) {
        for (int m = 2; m < 10; m++) {
            double v = m * pow(10, e), p = rb_axis_at(a, v);
            if (v < a->lo || v > a->hi)
                continue;
            if (vertical)
                rb_draw_line(d, at, p, at + 3, p, &pen);
            else
                rb_draw_line(d, p, at, p, at - 3, &pen);
        }
    }
}

/* Returns the width of its widest number. */
static double draw_axis(rb_draw *d, const rb_axis *a, const rb_axis *other, const double *tick,
                        int n, bool vertical)
{
    const rb_pen rule = { .stroke = RB_RULE, .width = 1 };
    const rb_type type = { .size = 13, .color = RB_INK, .anchor = vertical ? RB_END : RB_MIDDLE };
    char text[32];
    double step = n > 1 ? tick[1] - tick[0] : 0, free_from = -1e9, widest = 0;
    for (int i = 0; i < n; i++) {
        double p = rb_axis_at(a, tick[i]);
        tick_text(a, tick[i], step, text, sizeof text);
        double half = rb_text_width(text, type.size) / 2;
        widest = fmax(widest, 2 * half);
        if (vertical) {
            rb_draw_line(d, other->p0, p, other->p1, p, &rule);
            rb_draw_text(d, other->p0 - 8, p + 4.7, text, &type);
            continue;
        }
        rb_draw_line(d, p, other->p0, p, other->p1, &rule);
        if (p - half < free_from)
            continue;
        rb_draw_text(d, p, other->p0 + 19, text, &type);
        free_from = p + half + 6;
    }
    return widest;
}

void rb_axis_draw(rb_draw *d, const rb_axis *x, const rb_axis *y, const char *x_title,
                  const char *y_title, const double *x_tick, int n_tick)
{
    const rb_pen frame = { .stroke = RB_GREY, .width = 1 };
    const rb_type title = { .size = 14, .color = RB_INK, .anchor = RB_MIDDLE };
    double tick[RB_MAX_TICKS] = { 0 };
    if (x_tick)
        draw_axis(d, x, y, x_tick, n_tick, false);
    else
        draw_axis(d, x, y, tick, rb_axis_ticks(x, tick), false);
    const double widest = draw_axis(d, y, x, tick, rb_axis_ticks(y, tick), true);
    if (!x_tick)
        draw_minor(d, x, y->p0, false);
    draw_minor(d, y, x->p0, true);
    rb_draw_line(d, x->p0, y->p0, x->p1, y->p0, &frame);
    rb_draw_line(d, x->p0, y->p0, x->p0, y->p1, &frame);
    rb_draw_text(d, (x->p0 + x->p1) / 2, y->p0 + 42, x_title, &title);
    rb_type side = title;
    side.angle = -90;
    rb_draw_text(d, x->p0 - fmax(52, widest + 18), (y->p0 + y->p1) / 2, y_title, &side);
}
