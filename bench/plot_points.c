/* What stands on the roofline: whole models, each at its OI of weights and cache, joined where they
 * are a sweep; and the kernels of one decode and one prefill test, each at the OI of
 * all its compulsory bytes, its area the share of time. Nothing is left out silently. Read next:
 * plot_legend.c. */
#include "plot_roofline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double least_share = 0.01;

/* ---- which ---- */

double rb_spot_radius(double share)
{
    return 30 * sqrt(share);
}

static int by_share(const void *x, const void *y)
{
    const rb_spot *a = x, *b = y;
    return (a->kernel.share < b->kernel.share) - (a->kernel.share > b->kernel.share);
}

static void add_spots(rb_roofline *f, const rb_plot_record *r, bool decode)
{
    rb_plot_kernel kernel[RB_PLOT_MAX_KERNELS];
    int n = rb_plot_kernels(r, kernel);
    double in = 0;
    for (int i = 0; i < n; i++) {
        if (kernel[i].share < least_share || kernel[i].oi <= 0)
            continue;
        f->spot[f->n_spot++] = (rb_spot){ .kernel = kernel[i], .decode = decode };
        in += kernel[i].share;
    }
    f->share_out[decode] = 1 - in;
}

static const char *name_of(const rb_plot_kernel *k)
{
    return k->site[0] ? k->site : k->op;
}

/* Colours go to the largest shares; what is left is grey and has its label. */
rb_color rb_spot_color(const rb_spot *s)
{
    return s->color < RB_N_PALETTE ? rb_palette[s->color] : 0x8c8c8cff;
}

/* One colour a site, so that a kernel has the same in both phases. */
static void color_spots(rb_roofline *f)
{
    int used = 0;
    for (int i = 0; i < f->n_spot; i++) {
        int same = 0;
        while (same < i && strcmp(name_of(&f->spot[same].kernel), name_of(&f->spot[i].kernel)) != 0)
            same++;
        f->spot[i].color = same < i ? f->spot[same].color : used++;
    }
}

/* The deepest test of each phase that has kernels; of several the last. Among many tests the
 * kernels of two of them would only be in the way. */
void rb_roofline_choose(rb_roofline *f)
{
    const rb_plot_data *data = f->data;
    rb_plot_kernel kernel[RB_PLOT_MAX_KERNELS];
    if (data->n_machine > 1 || data->n_subject > 1 || data->n_series > RB_FEW_SERIES)
        return;
    for (int i = 0; i < data->n; i++) {
        const rb_plot_record *r = &data->record[i];
        if ((r->phase != RB_PREFILL_POINT && r->phase != RB_DECODE_POINT) ||
            rb_plot_kernels(r, kernel) < 2)
            continue;
        const rb_plot_record **shown = &f->shown[r->phase == RB_DECODE_POINT];
        if (!*shown || r->n_layer >= (*shown)->n_layer)
            *shown = r;
    }
    for (int decode = 0; decode < 2; decode++) {
        if (f->shown[decode])
            add_spots(f, f->shown[decode], decode);
    }
    qsort(f->spot, (size_t)f->n_spot, sizeof *f->spot, by_share);
    color_spots(f);
}

/* ---- looks of a series ---- */

rb_color rb_series_color(const rb_roofline *f, const rb_plot_series *s)
{
    if (f->data->n_machine > 1)
        return rb_palette[s->at->set % RB_N_PALETTE];
    return f->data->n_subject > 1 ? rb_palette[s->at->subject % RB_N_PALETTE] : RB_INK;
}

int rb_series_shape(const rb_roofline *f, const rb_plot_series *s)
{
    return f->data->n_subject > 1 ? s->at->subject : s->at->set;
}

/* ---- drawing ---- */

static rb_point place(const rb_roofline *f, double oi, double gflops)
{
    return (rb_point){ rb_axis_at(&f->x, oi), rb_axis_at(&f->y, gflops) };
}

static rb_point place_record(const rb_roofline *f, const rb_plot_record *r)
{
    return place(f, r->oi, r->gflops);
}

void rb_roofline_block(rb_roofline *f)
{
    for (int i = 0; i < f->n_spot; i++) {
        const rb_plot_kernel *k = &f->spot[i].kernel;
        rb_point p = place(f, k->oi, k->gflops);
        double r = rb_spot_radius(k->share) * 0.9;
        rb_placer_block(&f->placer, (rb_slab){ p.x, p.y, r, r, 0, false });
    }
    for (int s = 0; s < f->data->n_series; s++) {
        const rb_plot_series *series = &f->data->series[s];
        rb_point before = { 0, 0 };
        for (int i = 0; i < series->n; i++) {
            rb_point p = place_record(f, &series->at[i]);
            rb_placer_block(&f->placer, (rb_slab){ p.x, p.y, 6.5, 6.5, 0, false });
            if (i && series->axis != RB_NO_AXIS)
                rb_placer_block_line(&f->placer, before.x, before.y, p.x, p.y, 1);
            before = p;
        }
    }
}

static rb_color with_alpha(rb_color c, unsigned alpha)
{
    return (c & 0xffffff00u) | alpha;
}

/* Large ones first, so that none hides another. */
static void draw_spots(rb_roofline *f)
{
    for (int i = 0; i < f->n_spot; i++) {
        const rb_spot *s = &f->spot[i];
        rb_color c = rb_spot_color(s);
        rb_point p = place(f, s->kernel.oi, s->kernel.gflops);
        rb_pen pen = { .fill = with_alpha(s->decode ? c : 0xffffffff, s->decode ? 0xb0 : 0x70),
                       .stroke = s->decode ? 0xffffffff : c,
                       .width = s->decode ? 1 : 2 };
        rb_draw_circle(f->d, p.x, p.y, rb_spot_radius(s->kernel.share), &pen);
    }
}

static void label_spots(rb_roofline *f)
{
    for (int i = 0; i < f->n_spot; i++) {
        const rb_spot *s = &f->spot[i];
        rb_point p = place(f, s->kernel.oi, s->kernel.gflops);
        char text[96];
        snprintf(text, sizeof text, "%s %.0f %%", name_of(&s->kernel), 100 * s->kernel.share);
        double r = rb_spot_radius(s->kernel.share);
        if (!rb_label_beside(f->d, &f->placer, text, RB_INK, &(rb_mark_spot){ p.x, p.y, r, r }, 90))
            f->n_unlabelled++;
    }
}

static double mark_radius(const rb_plot_series *s)
{
    return s->axis != RB_NO_AXIS && s->n > 4 ? 3.6 : 4.8;
}

static void draw_series(rb_roofline *f, const rb_plot_series *s)
{
    rb_color color = rb_series_color(f, s);
    for (int i = 0; i + 1 < s->n && s->axis != RB_NO_AXIS; i++) {
        rb_point a = place_record(f, &s->at[i]), b = place_record(f, &s->at[i + 1]);
        rb_draw_line(f->d, a.x, a.y, b.x, b.y, &(rb_pen){ .stroke = color, .width = 1 });
    }
    for (int i = 0; i < s->n; i++) {
        rb_point p = place_record(f, &s->at[i]);
        rb_plot_mark(f->d, p.x, p.y, mark_radius(s), rb_series_shape(f, s), color,
                     s->at->phase == RB_DECODE_POINT);
    }
}

/* Both ends of a sweep, or one label where the whole sweep is a spot. */
static bool label_sweep(rb_roofline *f, const rb_plot_series *s)
{
    rb_point lo = place_record(f, s->at), hi = lo;
    rb_point first = lo, last = place_record(f, &s->at[s->n - 1]);
    rb_color color = rb_series_color(f, s);
    char text[160];
    for (int i = 0; i < s->n; i++) {
        rb_point p = place_record(f, &s->at[i]);
        lo = (rb_point){ fmin(lo.x, p.x), fmin(lo.y, p.y) };
        hi = (rb_point){ fmax(hi.x, p.x), fmax(hi.y, p.y) };
    }
    if (fmax(hi.x - lo.x, hi.y - lo.y) < 70)
        return rb_label_beside(f->d, &f->placer, rb_series_name(s, text, sizeof text), color,
                               &(rb_mark_spot){ (lo.x + hi.x) / 2, (lo.y + hi.y) / 2,
                                                (hi.x - lo.x) / 2 + 7, (hi.x - lo.x) / 2 + 7 },
                               160);
    const rb_mark_spot begin = { first.x, first.y, 6, 6 }, end = { last.x, last.y, 6, 6 };
    const bool placed = rb_label_beside(
        f->d, &f->placer, rb_series_end(s, false, text, sizeof text), color, &begin, 60);
    return rb_label_beside(f->d, &f->placer, rb_series_end(s, true, text, sizeof text), color, &end,
                           60) &&
           placed;
}

/* The test's name, or where there is no room a number that the legend explains. */
static void label_point(rb_roofline *f, const rb_plot_series *s, bool crowded)
{
    rb_color color = rb_series_color(f, s);
    rb_point p = place_record(f, s->at);
    char text[16];
    const rb_mark_spot mark = { p.x, p.y, 6, 6 };
    if (!crowded && rb_label_beside(f->d, &f->placer, s->at->test, color, &mark, 40))
        return;
    snprintf(text, sizeof text, "%d", f->n_tag + 1);
    if (f->n_tag < RB_MAX_TAGS && rb_label_beside(f->d, &f->placer, text, color, &mark, 110))
        f->tag[f->n_tag++] = s;
    else
        f->n_unlabelled++;
}

void rb_roofline_points(rb_roofline *f)
{
    int n_single = 0;
    draw_spots(f);
    for (int i = 0; i < f->data->n_series; i++) {
        draw_series(f, &f->data->series[i]);
        n_single += f->data->series[i].axis == RB_NO_AXIS;
    }
    for (int i = 0; i < f->data->n_series; i++) {
        const rb_plot_series *s = &f->data->series[i];
        if (s->axis != RB_NO_AXIS && !label_sweep(f, s))
            f->n_unlabelled++;
        else if (s->axis == RB_NO_AXIS)
            label_point(f, s, n_single > 10);
    }
    label_spots(f);
}
