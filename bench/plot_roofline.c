/* The roofline: log-log, a diagonal per memory level, a horizontal per compute roof, the ridge, and
 * on them whole models and kernels. Several machines are laid over each other by colour and letter.
 * Roofs are measured ones only; nothing here computes a peak.
 * Read next: plot_points.c. */
#include "plot_roofline.h"

#include <math.h>
#include <string.h>

enum { LEFT = 84, RIGHT = 884, TOP = 88, BOTTOM = 672 };

/* ---- ranges ---- */

static bool is_main(const rb_plot_roof *r)
{
    return !strcmp(r->name, "read_dram") || !strcmp(r->name, "fma_f32");
}

/* Machines over each other show the two roofs that make the ridge, or there is no end of lines. */
static bool is_drawn(const rb_roofline *f, const rb_plot_machine *m, const rb_plot_roof *r)
{
    const char *main_name = r->compute ? "fma_f32" : "read_dram";
    return f->data->n_machine == 1 || is_main(r) || !rb_plot_roof_named(m, main_name);
}

/* The highest compute roof or the fastest memory that is drawn; 0 if none is. */
static double highest(const rb_roofline *f, const rb_plot_machine *m, bool compute)
{
    double top = 0;
    for (int i = 0; i < m->n_roof; i++) {
        if (m->roof[i].compute == compute && is_drawn(f, m, &m->roof[i]))
            top = fmax(top, m->roof[i].value);
    }
    return top;
}

static double slowest_of(const rb_plot_machine *m)
{
    const rb_plot_roof *dram = rb_plot_roof_named(m, "read_dram");
    double slowest = dram ? dram->value : 0;
    for (int i = 0; i < m->n_roof && !dram; i++) {
        if (!m->roof[i].compute && (slowest == 0 || m->roof[i].value < slowest))
            slowest = m->roof[i].value;
    }
    return slowest;
}

static void hold_roofs(rb_roofline *f, const rb_plot_machine *m)
{
    double top = highest(f, m, true), slowest = slowest_of(m);
    if (top > 0)
        rb_axis_hold(&f->y, top);
    if (top > 0 && slowest > 0) {
        rb_axis_hold(&f->x, top / slowest);
        rb_axis_hold(&f->x, 0.5);
    } else if (slowest > 0) {
        rb_axis_hold(&f->x, 0.1);
        rb_axis_hold(&f->x, 10);
    }
    if (slowest > 0)
        rb_axis_hold(&f->y, slowest * (f->x.lo < 0.5 ? f->x.lo : 0.5));
}

/* At least so many decades, so that a single point does not stand in a void of its own. */
static void widen(rb_axis *a, double below, double above, double decades)
{
    a->lo /= below;
    a->hi *= above;
    double lack = decades - log10(a->hi / a->lo);
    if (lack > 0) {
        a->lo /= pow(10, lack / 2);
        a->hi *= pow(10, lack / 2);
    }
}

static bool choose_ranges(rb_roofline *f)
{
    const rb_plot_data *data = f->data;
    f->x = (rb_axis){ .lo = 1, .hi = 0, .p0 = LEFT, .p1 = RIGHT, .log = true };
    f->y = (rb_axis){ .lo = 1, .hi = 0, .p0 = BOTTOM, .p1 = TOP, .log = true };
    for (int i = 0; i < data->n; i++) {
        rb_axis_hold(&f->x, data->record[i].oi);
        rb_axis_hold(&f->y, data->record[i].gflops);
    }
    for (int i = 0; i < f->n_spot; i++) {
        rb_axis_hold(&f->x, f->spot[i].kernel.oi);
        rb_axis_hold(&f->y, f->spot[i].kernel.gflops);
    }
    for (int i = 0; i < data->n_machine; i++)
        hold_roofs(f, &data->machine[i]);
    if (f->y.lo > f->y.hi || f->x.lo > f->x.hi)
        return false;
    widen(&f->x, 1.9, 1.9, 2);
    widen(&f->y, 2.2, 1.8, 2);
    return true;
}

/* ---- roofs ---- */

typedef struct roof_line {
    rb_point a, b;
} roof_line;

/* The part of a roof that shows, in pixels; false if none does. */
static bool line_of(const rb_roofline *f, const rb_plot_machine *m, const rb_plot_roof *r,
                    roof_line *line)
{
    double top = highest(f, m, true), fastest = highest(f, m, false), from, to;
    if (r->compute) {
        from = fastest > 0 ? fmax(f->x.lo, r->value / fastest) : f->x.lo;
        to = f->x.hi;
    } else {
        from = fmax(f->x.lo, f->y.lo / r->value);
        to = fmin(f->x.hi, (top > 0 ? top : f->y.hi) / r->value);
    }
    if (!(from < to))
        return false;
    line->a.x = rb_axis_at(&f->x, from);
    line->b.x = rb_axis_at(&f->x, to);
    line->a.y = rb_axis_at(&f->y, r->compute ? r->value : r->value * from);
    line->b.y = rb_axis_at(&f->y, r->compute ? r->value : r->value * to);
    return true;
}

static rb_color roof_color(const rb_roofline *f, int machine, const rb_plot_roof *r)
{
    if (f->data->n_machine > 1)
        return rb_palette[machine % RB_N_PALETTE];
    return is_main(r) ? RB_INK : 0x858585ff;
}

/* Beside its own line: from the far end backwards, above it or below. */
static void label_roof(rb_roofline *f, int machine, const rb_plot_roof *r, const roof_line *line)
{
    char text[128];
    double dx = line->b.x - line->a.x, dy = line->b.y - line->a.y, length = hypot(dx, dy);
    double angle = atan2(dy, dx) * 180 / 3.14159265358979323846;
    if (f->data->n_machine > 1)
        snprintf(text, sizeof text, "%c: %s", rb_machine_letter(machine), r->label);
    else
        snprintf(text, sizeof text, "%s", r->label);
    rb_slab slab = rb_label_slab(text, 13, 0, 0, angle);
    for (int step = 0; slab.half_w * 2 + 8 + 12 * step < length; step++) {
        double back = slab.half_w + 8 + 12 * step;
        for (int side = -1; side <= 1; side += 2) {
            double away = side * (slab.half_h + 3.5), at = 1 - back / length;
            slab.x = line->a.x + dx * at - dy / length * away;
            slab.y = line->a.y + dy * at + dx / length * away;
            if (!rb_placer_take(&f->placer, slab))
                continue;
            rb_color color = roof_color(f, machine, r);
            rb_label_draw(f->d, text, 13, color == 0x858585ff ? RB_GREY : color, &slab);
            return;
        }
    }
    f->n_unlabelled++;
}

static void draw_ridge(rb_roofline *f, int machine)
{
    const rb_plot_machine *m = &f->data->machine[machine];
    const rb_plot_roof *dram = rb_plot_roof_named(m, "read_dram");
    const rb_plot_roof *fma = rb_plot_roof_named(m, "fma_f32");
    if (!dram || !fma || dram->compute || !fma->compute)
        return;
    double oi = fma->value / dram->value, x = rb_axis_at(&f->x, oi);
    double y = rb_axis_at(&f->y, fma->value);
    rb_color color = roof_color(f, machine, dram);
    char value[32], text[96];
    if (x <= LEFT || x >= RIGHT)
        return;
    snprintf(text, sizeof text, "ridge %s FLOP/byte", rb_plot_number(oi, value, sizeof value));
    rb_draw_line(f->d, x, y, x, BOTTOM, &(rb_pen){ .stroke = color, .width = 1, .dash = 3 });
    rb_draw_circle(f->d, x, y, 4.5, &(rb_pen){ .fill = 0xffffffff, .stroke = color, .width = 1.8 });
    rb_slab slab = rb_label_slab(text, 13, 0, 0, -90);
    for (int step = 0; slab.half_w * 2 + 6 + 10 * step < BOTTOM - y; step++) {
        double up = slab.half_w + 6 + 10 * step;
        for (int side = 1; side >= -1; side -= 2) {
            slab.x = x + side * (slab.half_h + 3);
            slab.y = BOTTOM - up;
            if (!rb_placer_take(&f->placer, slab))
                continue;
            rb_label_draw(f->d, text, 13, color, &slab);
            return;
        }
    }
}

static void block_ridge(rb_roofline *f, int machine)
{
    const rb_plot_machine *m = &f->data->machine[machine];
    const rb_plot_roof *dram = rb_plot_roof_named(m, "read_dram");
    const rb_plot_roof *fma = rb_plot_roof_named(m, "fma_f32");
    if (!dram || !fma)
        return;
    double x = rb_axis_at(&f->x, fma->value / dram->value), y = rb_axis_at(&f->y, fma->value);
    rb_placer_block_line(&f->placer, x, y, x, BOTTOM, 1);
    rb_placer_block(&f->placer, (rb_slab){ x, y, 6, 6, 0, false });
}

typedef void roof_fn(rb_roofline *f, int machine, const rb_plot_roof *r, const roof_line *line);

static void each_roof(rb_roofline *f, roof_fn *what)
{
    for (int i = 0; i < f->data->n_machine; i++) {
        const rb_plot_machine *m = &f->data->machine[i];
        for (int k = 0; k < m->n_roof; k++) {
            roof_line line;
            if (is_drawn(f, m, &m->roof[k]) && line_of(f, m, &m->roof[k], &line))
                what(f, i, &m->roof[k], &line);
        }
    }
}

static void draw_roof(rb_roofline *f, int machine, const rb_plot_roof *r, const roof_line *line)
{
    const rb_pen pen = { .stroke = roof_color(f, machine, r),
                         .width = is_main(r) && f->data->n_machine == 1 ? 2.2 : 1.4 };
    rb_draw_line(f->d, line->a.x, line->a.y, line->b.x, line->b.y, &pen);
    rb_placer_block_line(&f->placer, line->a.x, line->a.y, line->b.x, line->b.y, 2);
}

rb_status rb_plot_roofline(rb_draw *d, const rb_plot_data *data, rb_error *err)
{
    rb_roofline f = { .d = d, .data = data };
    rb_roofline_choose(&f);
    if (!choose_ranges(&f))
        return rb_fail(err, RB_ERR_FORMAT,
                       "nothing to draw: no record has a time (a dry run has none) and there are "
                       "no roofs");
    f.placer.x0 = LEFT + 1, f.placer.x1 = RIGHT - 1;
    f.placer.y0 = TOP + 1, f.placer.y1 = BOTTOM - 5;
    rb_axis_draw(d, &f.x, &f.y, "operational intensity in FLOP/byte", "GFLOP/s", NULL, 0);
    each_roof(&f, draw_roof);
    for (int i = 0; i < data->n_machine; i++)
        block_ridge(&f, i);
    rb_roofline_block(&f);
    each_roof(&f, label_roof);
    for (int i = 0; i < data->n_machine; i++)
        draw_ridge(&f, i);
    rb_roofline_points(&f);
    rb_roofline_legend(&f);
    rb_roofline_titles(&f);
    bool failed = f.placer.failed;
    rb_placer_free(&f.placer);
    return failed ? rb_fail(err, RB_ERR_MEMORY, "out of memory for the figure") : RB_OK;
}
