/* All figures, one after the other: canvas, drawing, two files, caption; and what they share, looks
 * and tips. What is drawn is in figures_*.c.
 * Refuses to write a figure that has no data. Read next: figures.h, panel.h. */
#include "figures.h"

#include "../record.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *title;
    double height;
    rb_figure_fn *draw;
} figures[RB_N_FIGURE] = {
    [RB_FIGURE_ROOFLINE] = { "roofline", "Workloads under this machine's roofs", 760,
                             rb_figure_roofline },
    [RB_FIGURE_LAYERS] = { "layers", "OI over layers: exact, and by the paper's code", 860,
                           rb_figure_layers },
    [RB_FIGURE_CONTEXT] = { "context", "Decode over context", 660, rb_figure_context },
    [RB_FIGURE_TYPES] = { "types", "What quantisation gains over f16", 0, rb_figure_types },
    [RB_FIGURE_ATTENTION] = { "attention", "Ways of attention, by proxy, counts and time", 0,
                              rb_figure_attention },
    [RB_FIGURE_DEVICES] = { "devices", "Exact counts under each device's roofs", 0,
                            rb_figure_devices },
    [RB_FIGURE_PHI] = { "phi", "Potential: Phi as published, and without units", 620,
                        rb_figure_phi },
};

/* ---- looks ---- */

rb_look rb_look_of(const rb_paper_row *r)
{
    return (rb_look){ r->model_no, r->type_no, r->decode };
}

typedef int no_fn(const rb_paper_row *r);
static int model_of(const rb_paper_row *r)
{
    return r->model_no;
}
static int type_of(const rb_paper_row *r)
{
    return r->type_no;
}

static bool first_of(const rb_evidence *e, const rb_paper_row *r, no_fn *no)
{
    for (const rb_paper_row *b = e->row; b < r; b++)
        if (b->part == r->part && no(b) == no(r))
            return false;
    return true;
}

void rb_legend_looks(rb_legend *l, const rb_evidence *e, rb_row_part part)
{
    rb_legend_head(l, "Models by colour");
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++)
        if (r->part == part && first_of(e, r, model_of))
            rb_legend_entry(l, r->model, &(rb_look){ rb_look_of(r).color, 0, true });
    rb_legend_head(l, "Types by shape");
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++)
        if (r->part == part && first_of(e, r, type_of))
            rb_legend_entry(l, r->type, &(rb_look){ -1, rb_look_of(r).shape, true });
    rb_legend_head(l, "Phases");
    rb_legend_entry(l, "decode", &(rb_look){ -1, 0, true });
    rb_legend_entry(l, "prefill", &(rb_look){ -1, 0, false });
}

/* ---- texts ---- */

char *rb_row_tip(const rb_paper_row *r, char *buf, size_t size)
{
    char test[64], oi[32], gflops[32], tps[RB_SHEET_CELL];
    snprintf(buf, size,
             "%.40s %.16s %.24s, %lld layers, %s: OI %s FLOP/byte, %s GFLOP/s, %s tok/s, record %d",
             r->model, r->type, r->attn, (long long)r->n_layer, rb_row_test(r, test, sizeof test),
             rb_figure_text(r->oi, oi, sizeof oi), rb_figure_text(r->gflops, gflops, sizeof gflops),
             rb_span_text(&r->tps, tps, sizeof tps), r->id);
    return buf;
}

char *rb_machine_text(const rb_evidence *e, char *buf, size_t size)
{
    const struct json_t *o = e->row[0].json;
    const char *cpu = rb_field_text(o, "cpu_info");
    snprintf(buf, size, "%.80s, %lld threads, %.16s", cpu[0] ? cpu : "unknown CPU",
             (long long)rb_field_int(o, "n_threads"), rb_field_text(o, "isa"));
    return buf;
}

/* ---- files ---- */

static rb_status write_both(const rb_draw *d, const char *dir, const char *name, rb_error *err)
{
    static const char *const suffix[] = { "svg", "png" };
    char path[4096];
    rb_status st = RB_OK;
    for (int i = 0; i < 2 && st == RB_OK; i++) {
        if (snprintf(path, sizeof path, "%s/figures/%s.%s", dir, name, suffix[i]) >=
            (int)sizeof path)
            return rb_fail(err, RB_ERR_IO, "%.300s: too long a name", dir);
        st = rb_draw_write(d, path, 1, err);
    }
    return st;
}

/* Rows of dots want a canvas as high as they are many. */
static double height_of(int i, const rb_evidence *e)
{
    int rows = 0;
    if (figures[i].height > 0)
        return figures[i].height;
    if (i == RB_FIGURE_DEVICES)
        return rb_figure_devices_height(e);
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++)
        rows += rb_first_of_subject(e, r) &&
                (i == RB_FIGURE_TYPES ? r->part == RB_ROW_WORKLOAD && strcmp(r->type, "f16") != 0
                                      : r->part == RB_ROW_TRIO || r->part == RB_ROW_FORMS);
    return 200 + 34.0 * (rows < 8 ? 8 : rows > 60 ? 60 : rows);
}

rb_status rb_paper_figures(rb_paper_figure figure[RB_N_FIGURE], const rb_evidence *e,
                           const char *dir, rb_error *err)
{
    rb_status st = RB_OK;
    char machine[160], more[600];
    for (int i = 0; i < RB_N_FIGURE && st == RB_OK; i++) {
        rb_draw *d = rb_draw_new(RB_PLOT_WIDTH, height_of(i, e));
        if (!d)
            return rb_fail(err, RB_ERR_MEMORY, "out of memory for the figure");
        more[0] = 0;
        figure[i] = (rb_paper_figure){ .name = figures[i].name, .title = figures[i].title };
        figure[i].drawn = figures[i].draw(d, e, more, sizeof more);
        rb_figure_title(d, figures[i].title, rb_machine_text(e, machine, sizeof machine));
        snprintf(figure[i].caption, sizeof figure[i].caption,
                 "%s. %s. Bytes are those of weights and KV cache, exact; machine: %s.",
                 figures[i].title, more, machine);
        if (figure[i].drawn)
            st = write_both(d, dir, figures[i].name, err);
        rb_draw_free(d);
    }
    return st;
}
