/* Figures on rooflines: workloads under this machine's roofs, exact counts under every device's,
 * and the potential Phi in two units beside the one without.
 * Refuses to place what has no roofs. Read next: panel.h, figures.c. */
#include "figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LEFT = 90, RIGHT = 900, TOP = 92, LEGEND = 930, LEGEND_WIDTH = 250 };

static bool in_figure(const rb_paper_row *r)
{
    return r->part == RB_ROW_WORKLOAD;
}

/* ---- this machine ---- */

static void draw_roofs(rb_panel *p, const rb_evidence *e)
{
    const struct {
        const char *name;
        double value;
    } roof[] = { { "f32 FMA", e->fma.at }, { "bf16 dot", e->bf16.at }, { "int8 dot", e->i8.at } };
    char value[32], text[96], dram[96];
    double top = 0;
    snprintf(dram, sizeof dram, "DRAM %s GB/s", rb_figure_text(e->dram.at, value, sizeof value));
    for (int i = 0; i < 3; i++)
        top = roof[i].value > top ? roof[i].value : top;
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%s %s GFLOP/s", roof[i].name,
                 rb_figure_text(roof[i].value, value, sizeof value));
        if (roof[i].value > 0)
            rb_panel_roof(p, e->dram.at, roof[i].value, RB_INK, roof[i].value == top ? dram : NULL,
                          text);
    }
}

bool rb_figure_roofline(rb_draw *d, const rb_evidence *e, char *caption, size_t size)
{
    rb_panel p = rb_panel_new(d, LEFT, 690, RIGHT, TOP, true, true);
    rb_legend l = { d, LEGEND, TOP, LEGEND_WIDTH };
    char tip[400];
    for (int i = 0; i < e->n; i++)
        if (in_figure(&e->row[i]) && isfinite(e->row[i].gflops))
            rb_panel_hold(&p, e->row[i].oi, e->row[i].gflops);
    const bool drawn = !rb_panel_empty(&p);
    if (drawn) {
        const double tops[] = { e->fma.at, e->bf16.at, e->i8.at };
        for (int i = 0; i < 3; i++)
            if (tops[i] > 0)
                rb_panel_hold(&p, tops[i] / e->dram.at, tops[i]);
        rb_panel_axes(&p, "", "exact OI in FLOP/byte of weights and cache", "GFLOP/s", NULL, 0);
        for (int i = 0; i < e->n; i++) {
            const rb_paper_row *r = &e->row[i];
            const rb_look look = rb_look_of(r);
            if (in_figure(r))
                rb_panel_mark(&p, r->oi, &(rb_span){ r->gflops, NAN, NAN }, &look,
                              rb_row_tip(r, tip, sizeof tip));
        }
        draw_roofs(&p, e);
        rb_legend_looks(&l, e, RB_ROW_WORKLOAD);
    }
    snprintf(caption, size,
             "Every test of the workload part, measured rates over exact OI; the roofs of DRAM and "
             "f32 are what 19 of 20 probes around the tests stayed under");
    rb_panel_free(&p);
    return drawn;
}

/* ---- devices ---- */

/* A device and, of a machine with records, those: e itself or one that is laid over it. */
typedef struct placed {
    rb_device device;
    const rb_evidence *ran; /* NULL: the device is the paper's */
} placed;

/* What the machine made of r; NULL: it did not run, or in no time. */
static const rb_paper_row *ran_row(const placed *x, const rb_evidence *e, const rb_paper_row *r)
{
    const rb_paper_row *ran = !x->ran ? NULL : x->ran == e ? r : rb_row_on(x->ran, e, r);
    return ran && isfinite(ran->gflops) ? ran : NULL;
}

/* Where the roofs put r and, by a line from there to a small mark, where the machine had it. */
static void draw_placed(rb_panel *p, const placed *x, const rb_evidence *e, const rb_paper_row *r)
{
    const rb_look look = rb_look_of(r);
    const rb_paper_row *ran = ran_row(x, e, r);
    rb_device_place place;
    char tip[500], value[32];
    if (!rb_device_place_of(&x->device, RB_MEASURED, RB_FP32, r->flops, r->bytes, &place))
        return;
    rb_row_tip(r, tip, sizeof tip);
    rb_plot_put(tip, sizeof tip, "; on %.40s at most %s GFLOP/s, %s-bound", x->device.name,
                rb_figure_text(place.gflops, value, sizeof value),
                place.memory ? "memory" : "compute");
    if (ran) {
        const rb_pen pen = { .stroke = rb_look_color(look.color), .width = 1.2 };
        rb_plot_put(tip, sizeof tip, ", measured %s GFLOP/s",
                    rb_figure_text(ran->gflops, value, sizeof value));
        rb_panel_line(p, r->oi, place.gflops, r->oi, ran->gflops, &pen);
        rb_panel_line(p, r->oi / 1.12, ran->gflops, r->oi * 1.12, ran->gflops, &pen);
    }
    rb_panel_mark(p, r->oi, &(rb_span){ place.gflops, NAN, NAN }, &look, tip);
}

static void draw_device(rb_draw *d, const rb_evidence *e, const placed *x, int at, int n)
{
    const int column = at % 3, row = at / 3;
    const double x0 = 80 + 300 * column, y1 = 96 + 370 * row;
    const double gbps = x->device.gbps[RB_MEASURED], peak = x->device.fp32_gflops[RB_MEASURED];
    const double ridge = peak / gbps;
    rb_panel p = rb_panel_new(d, x0, y1 + 270, x0 + 230, y1, true, true);
    char text[96], value[32];
    rb_panel_hold(&p, 0.5, 0.5 * gbps);
    rb_panel_hold(&p, 3 * ridge, 1.3 * peak);
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++) {
        const rb_paper_row *ran = in_figure(r) ? ran_row(x, e, r) : NULL;
        if (in_figure(r))
            rb_panel_hold(&p, r->oi, peak);
        if (ran)
            rb_panel_hold(&p, r->oi, ran->gflops);
    }
    snprintf(text, sizeof text, "%.26s: ridge %s", x->device.name,
             rb_figure_text(ridge, value, sizeof value));
    rb_panel_axes(&p, text, at + 3 >= n ? "exact OI in FLOP/byte" : "",
                  at % 3 ? "" : "attainable GFLOP/s", NULL, 0);
    rb_panel_roof(&p, gbps, peak, RB_INK, NULL, NULL);
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++)
        if (in_figure(r))
            draw_placed(&p, x, e, r);
    rb_panel_free(&p);
}

enum { PAPERS = 5, MOST_PLACED = PAPERS + RB_PLOT_MAX_SETS + 1 };

/* The paper's devices, machines laid over, this one. */
static int placed_of(const rb_evidence *e, placed at[MOST_PLACED])
{
    int n = 0;
    for (int i = 0; i < e->devices.n && n < PAPERS; i++)
        if (e->devices.at[i].fp32_gflops[RB_MEASURED] > 0)
            at[n++] = (placed){ e->devices.at[i], NULL };
    for (int i = 0; i <= e->n_overlay; i++) {
        at[n].ran = i < e->n_overlay ? &e->overlay[i] : e;
        n += rb_own_device(at[n].ran, &at[n].device);
    }
    return n;
}

double rb_figure_devices_height(const rb_evidence *e)
{
    placed at[MOST_PLACED];
    const int rows = (placed_of(e, at) + 2) / 3;
    return 80 + 370.0 * rows;
}

bool rb_figure_devices(rb_draw *d, const rb_evidence *e, char *caption, size_t size)
{
    rb_legend l = { d, 980, TOP, 200 };
    placed at[MOST_PLACED];
    const int n = placed_of(e, at);
    bool any = false;
    for (int i = 0; i < e->n; i++)
        any = any || in_figure(&e->row[i]);
    for (int i = 0; i < n && any; i++)
        draw_device(d, e, &at[i], i, n);
    if (any) {
        rb_legend_looks(&l, e, RB_ROW_WORKLOAD);
        rb_legend_text(&l, "Marks: at most, by the roofs. Lines: to what was measured, where it "
                           "was.");
    }
    snprintf(caption, size,
             "One set of exact counts under measured f32 roofs, the paper's Table 1 and those of "
             "this machine%s; marks stand at what the roofs allow, lines from them end at what a "
             "machine with records made of the same test",
             e->n_overlay ? " and of those laid over it" : "");
    return any;
}

/* ---- potential ---- */

static double phi_of(const rb_evidence *e, const rb_paper_row *r, double unit, double *no_unit)
{
    const rb_phi phi = rb_phi_of(r->oi, r->gflops / unit, r->pi / unit, e->dram.at / unit);
    *no_unit = phi.log;
    return phi.mixed;
}

/* Phi with rates in unit GFLOP/s against Phi without; adds what both order differently. false:
 * nothing that the axes hold. */
static bool draw_phi(rb_draw *d, const rb_evidence *e, double unit, double x0, char *caption,
                     size_t size)
{
    const char *name = unit > 1 ? "TFLOP/s" : "GFLOP/s";
    rb_panel p = rb_panel_new(d, x0, 540, x0 + 370, TOP + 24, true, false);
    double *phi = calloc((size_t)e->n, 2 * sizeof *phi), *log = phi ? phi + e->n : NULL;
    char tip[500], text[96], value[2][32];
    int n = 0;
    for (int i = 0; phi && i < e->n; i++) {
        if (!in_figure(&e->row[i]))
            continue;
        phi[n] = phi_of(e, &e->row[i], unit, &log[n]);
        rb_panel_hold(&p, phi[n], log[n]);
        n += isfinite(phi[n]) && isfinite(log[n]);
    }
    snprintf(text, sizeof text, "rates in %s", name);
    const bool drawn = !rb_panel_empty(&p);
    rb_panel_axes(&p, text, "Phi as published (FLOP/byte and FLOP/s in one root)",
                  x0 < 200 ? "Phi_log" : "", NULL, 0);
    for (int i = 0; i < e->n; i++) {
        const rb_paper_row *r = &e->row[i];
        const rb_look look = rb_look_of(r);
        double y;
        if (!in_figure(r))
            continue;
        const double x = phi_of(e, r, unit, &y);
        rb_row_tip(r, tip, sizeof tip);
        rb_plot_put(tip, sizeof tip, "; Phi %s in %s, Phi_log %s",
                    rb_figure_text(x, value[0], sizeof *value), name,
                    rb_figure_text(y, value[1], sizeof *value));
        rb_panel_mark(&p, x, &(rb_span){ y, NAN, NAN }, &look, tip);
    }
    const rb_rank_pairs pairs = phi ? rb_rank_pairs_of(phi, log, n) : (rb_rank_pairs){ .agree = 0 };
    rb_plot_put(caption, size, "With rates in %s both order %d of %d pairs of tests differently. ",
                name, pairs.disagree, pairs.agree + pairs.disagree + pairs.tied);
    free(phi);
    rb_panel_free(&p);
    return drawn;
}

bool rb_figure_phi(rb_draw *d, const rb_evidence *e, char *caption, size_t size)
{
    rb_legend l = { d, LEGEND, TOP, LEGEND_WIDTH };
    const bool drawn = draw_phi(d, e, 1, 90, caption, size);
    if (!draw_phi(d, e, 1000, 530, caption, size) && !drawn)
        return false;
    rb_legend_looks(&l, e, RB_ROW_WORKLOAD);
    rb_plot_put(caption, size,
                "Phi adds two units, so its order depends on which; Phi_log has "
                "none. Less is nearer to the ridge");
    return true;
}
