/* Title, legend and caption of the roofline: everything a reader needs who sees the figure alone -
 * which bytes, what a FLOP is, which machine, and what was left out.
 * Read next: plot_layers.c, the other figure. */
#include "plot_roofline.h"

#include <math.h>
#include <string.h>

enum { LEFT = 84, LEGEND = 912, LEGEND_END = 1176, ROW = 20 };

static const rb_type heading = { .size = 14, .color = RB_INK };
static const rb_type entry = { .size = 13, .color = RB_INK };
static const rb_type aside = { .size = 13, .color = RB_GREY };

char rb_machine_letter(int machine)
{
    return (char)('A' + machine);
}

/* ---- legend ---- */

static double put_heading(rb_roofline *f, double y, const char *title, const char *bytes)
{
    rb_draw_text(f->d, LEGEND, y, title, &heading);
    rb_draw_text(f->d, LEGEND, y + 18, bytes, &aside);
    return y + 18 + ROW + 2;
}

static double put_row(rb_roofline *f, double y, int shape, rb_color color, bool filled,
                      const char *text)
{
    rb_plot_mark(f->d, LEGEND + 8, y - 4.7, 5, shape, color, filled);
    rb_plot_text_cut(f->d, LEGEND + 24, y, text, LEGEND_END - LEGEND - 24, &entry);
    return y + ROW;
}

/* One model on one machine: a row per test says it all. */
static double put_tests(rb_roofline *f, double y)
{
    char name[160], text[192];
    for (int i = 0; i < f->data->n_series; i++) {
        const rb_plot_series *s = &f->data->series[i];
        static const char *const phase[] = { "prefill", "decode", "both", "verify" };
        snprintf(text, sizeof text, "%s: %s", phase[s->at->phase],
                 rb_series_name(s, name, sizeof name));
        y = put_row(f, y, rb_series_shape(f, s), RB_INK, s->at->phase == RB_DECODE_POINT, text);
    }
    return y;
}

/* "AMD EPYC, 2 threads, avx512" */
static void describe(const rb_plot_machine *m, bool cpu, char *buf, size_t size)
{
    if (cpu)
        rb_plot_put(buf, size, "%s", m->cpu[0] ? m->cpu : m->name);
    if (m->n_threads)
        rb_plot_put(buf, size, "%s%lld thread%s", buf[0] ? ", " : "", (long long)m->n_threads,
                    m->n_threads == 1 ? "" : "s");
    if (m->isa[0])
        rb_plot_put(buf, size, "%s%s", buf[0] ? ", " : "", m->isa);
}

/* What tells this machine from the others, over what else is known of it. */
static void name_series(const rb_roofline *f, const rb_plot_series *s, char *top, char *below,
                        size_t size)
{
    const rb_plot_machine *m = &f->data->machine[s->at->set];
    const char *subject = f->data->subject[s->at->subject];
    top[0] = below[0] = 0;
    if (f->data->n_machine == 1) {
        rb_plot_put(top, size, "%s", subject);
        return;
    }
    rb_plot_put(top, size, "%c: %s", rb_machine_letter(s->at->set), m->cpu[0] ? m->cpu : m->name);
    describe(m, false, below, size);
    if (f->data->n_subject > 1)
        snprintf(below, size, "%s", subject);
    else if (m->cpu[0])
        rb_plot_put(below, size, "%s%s", below[0] ? ", " : "", m->name);
}

/* A row per machine and model. */
static double put_subjects(rb_roofline *f, double y)
{
    char top[192], below[192];
    for (int i = 0; i < f->data->n_series && y < 560; i++) {
        const rb_plot_series *s = &f->data->series[i];
        if (i && s->at->set == s[-1].at->set && s->at->subject == s[-1].at->subject)
            continue;
        name_series(f, s, top, below, sizeof top);
        y = put_row(f, y, rb_series_shape(f, s), rb_series_color(f, s), true, top);
        rb_plot_text_cut(f->d, LEGEND + 24, y - 3, below, LEGEND_END - LEGEND - 24, &aside);
        y += below[0] ? ROW : 0;
    }
    return y;
}

static bool verifies(const rb_plot_data *data)
{
    for (int i = 0; i < data->n; i++)
        if (data->record[i].phase == RB_VERIFY_POINT)
            return true;
    return false;
}

static double put_models(rb_roofline *f, double y)
{
    bool one = f->data->n_machine == 1 && f->data->n_subject == 1;
    if (!f->data->n_series)
        return y;
    y = put_heading(f, y, "Whole models", "bytes of weights + KV cache");
    if (one && f->data->n_series <= RB_FEW_SERIES)
        y = put_tests(f, y);
    else {
        if (!one)
            y = put_subjects(f, y);
        y = put_row(f, y, 0, RB_GREY, false,
                    verifies(f->data) ? "hollow: prefill, verify" : "hollow: prefill");
        y = put_row(f, y, 0, RB_GREY, true, "filled: decode");
    }
    for (int i = 0; i < f->n_tag; i++) {
        char number[32];
        if (y > 680 && i + 1 < f->n_tag) {
            snprintf(number, sizeof number, "and %d more", f->n_tag - i);
            rb_draw_text(f->d, LEGEND + 28, y, number, &aside);
            break;
        }
        snprintf(number, sizeof number, "%d", i + 1);
        rb_draw_text(f->d, LEGEND + 12, y, number,
                     &(rb_type){ .size = 13, .color = RB_INK, .anchor = RB_MIDDLE });
        rb_plot_text_cut(f->d, LEGEND + 28, y, f->tag[i]->at->test, LEGEND_END - LEGEND - 28,
                         &entry);
        y += 18;
    }
    return y + 14;
}

/* The kernel of the same site in the given phase, or NULL. */
static const rb_spot *spot_of(const rb_roofline *f, int color, bool decode)
{
    for (int i = 0; i < f->n_spot; i++) {
        if (f->spot[i].color == color && f->spot[i].decode == decode)
            return &f->spot[i];
    }
    return NULL;
}

static void put_share(rb_roofline *f, double x, double y, const rb_spot *s)
{
    char text[32] = "\xe2\x80\x93"; /* a dash: under a hundredth */
    if (s)
        snprintf(text, sizeof text, "%.0f %%", 100 * s->kernel.share);
    rb_draw_text(f->d, x, y, text, &(rb_type){ .size = 13, .color = RB_INK, .anchor = RB_END });
}

static double put_spot_row(rb_roofline *f, double y, const rb_spot *s)
{
    rb_color color = rb_spot_color(s);
    char text[96];
    snprintf(text, sizeof text, "%s%s%s", s->kernel.op,
             s->kernel.site[0] && strcmp(s->kernel.op, s->kernel.site) != 0 ? " " : "",
             strcmp(s->kernel.op, s->kernel.site) != 0 ? s->kernel.site : "");
    rb_draw_circle(f->d, LEGEND + 8, y - 4.7, 6,
                   &(rb_pen){ .fill = (color & 0xffffff00u) | 0xb0, .stroke = color, .width = 1 });
    rb_plot_text_cut(f->d, LEGEND + 24, y, text, 118, &entry);
    if (f->shown[0])
        put_share(f, LEGEND + 188, y, spot_of(f, s->color, false));
    if (f->shown[1])
        put_share(f, LEGEND + 262, y, spot_of(f, s->color, true));
    return y + ROW;
}

static double put_areas(rb_roofline *f, double y)
{
    static const double share[] = { 0.05, 0.2, 0.5 };
    double x = LEGEND;
    rb_draw_text(f->d, x, y + 5, "area:", &aside);
    x += 44;
    for (int i = 0; i < 3; i++) {
        double r = rb_spot_radius(share[i]);
        char text[16];
        snprintf(text, sizeof text, "%.0f %%", 100 * share[i]);
        rb_draw_circle(f->d, x + r, y, r, &(rb_pen){ .stroke = RB_GREY, .width = 1 });
        rb_draw_text(f->d, x + 2 * r + 4, y + 5, text, &aside);
        x += 2 * r + 4 + rb_text_width(text, 13) + 10;
    }
    return y + ROW;
}

static double put_kernels(rb_roofline *f, double y)
{
    const rb_type column = { .size = 13, .color = RB_GREY, .anchor = RB_END };
    int colors = 0, row = 0;
    if (!f->n_spot)
        return y;
    y = put_heading(f, y, "Kernels, by share of time", "all compulsory bytes");
    if (f->shown[0])
        rb_draw_text(f->d, LEGEND + 188, y, "prefill \xe2\x97\x8b", &column);
    if (f->shown[1])
        rb_draw_text(f->d, LEGEND + 262, y, "decode \xe2\x97\x8f", &column);
    y += ROW;
    for (int i = 0; i < f->n_spot; i++)
        colors = f->spot[i].color >= colors ? f->spot[i].color + 1 : colors;
    for (; row < colors && y < 600; row++) {
        const rb_spot *decode = spot_of(f, row, true);
        y = put_spot_row(f, y, decode ? decode : spot_of(f, row, false));
    }
    if (row < colors)
        rb_draw_text(f->d, LEGEND + 24, y - 4, "\xe2\x80\xa6", &entry);
    return put_areas(f, y + 12);
}

/* A machine without tests: its roofs are what the figure is about. */
static void put_roofs(rb_roofline *f, double y)
{
    const bool several = f->data->n_machine > 1;
    if (f->data->n_series)
        return;
    y = put_heading(f, y, "Roofs", "as measured");
    for (int i = 0; i < f->data->n_machine; i++) {
        const rb_plot_machine *m = &f->data->machine[i];
        for (int k = 0; k < m->n_roof && y < 680; k++, y += ROW) {
            char text[128] = "";
            if (several)
                rb_plot_put(text, sizeof text, "%c: ", rb_machine_letter(i));
            rb_plot_put(text, sizeof text, "%s", m->roof[k].label);
            rb_plot_text_cut(f->d, LEGEND, y, text, LEGEND_END - LEGEND, &entry);
        }
    }
}

void rb_roofline_legend(rb_roofline *f)
{
    put_roofs(f, 100);
    put_kernels(f, put_models(f, 100));
}

/* ---- title and caption ---- */

static void put_kernel_note(const rb_roofline *f, char *buf, size_t size)
{
    const char *join = " Kernels of ";
    for (int i = 1; i >= 0; i--) {
        const rb_plot_record *r = f->shown[i];
        if (!r)
            continue;
        rb_plot_put(buf, size, "%s%s at %lld layer%s", join, r->test, (long long)r->n_layer,
                    r->n_layer == 1 ? "" : "s");
        join = " and ";
    }
    if (!f->shown[0] && !f->shown[1])
        return;
    rb_plot_put(buf, size, "; those under 1 %% of the time, barriers and launches are left out (");
    if (f->shown[1])
        rb_plot_put(buf, size, "%.1f %% of decode", 100 * f->share_out[1]);
    if (f->shown[0])
        rb_plot_put(buf, size, "%s%.1f %% of prefill", f->shown[1] ? ", " : "",
                    100 * f->share_out[0]);
    rb_plot_put(buf, size, ").");
}

/* A file may hold the roofs of several teams or ISAs, and only one of each name is a line. */
static void put_whose_roofs(const rb_roofline *f, char *buf, size_t size)
{
    for (int i = 0; i < f->data->n_machine; i++) {
        const rb_plot_machine *m = &f->data->machine[i];
        const rb_plot_roof *first = m->roof;
        bool same = true;
        if (!m->roofs_differ)
            continue;
        for (int k = 1; k < m->n_roof; k++)
            same = same && m->roof[k].n_threads == first->n_threads &&
                   !strcmp(m->roof[k].isa, first->isa);
        rb_plot_put(buf, size, " ");
        if (f->data->n_machine > 1)
            rb_plot_put(buf, size, "%c: ", rb_machine_letter(i));
        if (same)
            rb_plot_put(buf, size, "Drawn are those of %lld thread%s%s%s.",
                        (long long)first->n_threads, first->n_threads == 1 ? "" : "s",
                        first->isa[0] ? ", " : "", first->isa);
        else
            rb_plot_put(buf, size, "Not all are of the same threads and ISA.");
    }
}

static void put_above(const rb_plot_data *d, char *buf, size_t size)
{
    const char *roof = NULL;
    bool same = true;
    int n = 0;
    for (int i = 0; i < d->n; i++) {
        const rb_plot_record *r = &d->record[i];
        if (!r->above || r->resident)
            continue;
        same = same && (!roof || !strcmp(roof, r->roof));
        roof = r->roof;
        n++;
    }
    if (!n)
        return;
    if (same && roof[0])
        rb_plot_put(buf, size, " Above the %s roof: ", rb_plot_roof_title(roof));
    else
        rb_plot_put(buf, size, " Above their roof: ");
    rb_plot_put(buf, size, "%d point%s, %sa roof that drifted.", n, n > 1 ? "s" : "",
                same && strncmp(roof, "read_", 5) != 0 && roof[0] ? ""
                                                                  : "data that a cache kept or ");
}

static void put_left_out(const rb_roofline *f, char *buf, size_t size)
{
    const rb_plot_data *d = f->data;
    int n_resident = 0;
    put_above(d, buf, size);
    for (int i = 0; i < d->n; i++)
        n_resident += d->record[i].resident;
    if (n_resident)
        rb_plot_put(buf, size, " From cache (resident), not bound by the DRAM roof: %d point%s.",
                    n_resident, n_resident > 1 ? "s" : "");
    if (d->n_untimed)
        rb_plot_put(buf, size, " Without a time, not shown: %d.", d->n_untimed);
    if (d->n_failed)
        rb_plot_put(buf, size, " Failed, not shown: %d.", d->n_failed);
    if (d->n_more)
        rb_plot_put(buf, size, " Beyond the first %d records, not shown: %d.", d->n, d->n_more);
    if (f->n_unlabelled)
        rb_plot_put(buf, size, " Without room for a label: %d.", f->n_unlabelled);
}

void rb_roofline_titles(rb_roofline *f)
{
    const rb_plot_data *d = f->data;
    char text[1024] = "", machine[512] = "";
    if (!d->n_subject)
        snprintf(text, sizeof text, "Roofline of this machine");
    else if (d->n_subject == 1)
        snprintf(text, sizeof text, "Roofline of %s", d->subject[0]);
    else
        snprintf(text, sizeof text, "Roofline of %d models", d->n_subject);
    rb_plot_text_cut(f->d, LEFT, 38, text, 1090, &(rb_type){ .size = 21, .color = RB_INK });
    if (d->n_machine == 1)
        describe(&d->machine[0], true, machine, sizeof machine);
    else
        snprintf(machine, sizeof machine, "%d results laid over each other", d->n_machine);
    rb_plot_text_cut(f->d, LEFT, 64, machine, 1090, &(rb_type){ .size = 14, .color = RB_GREY });
    bool roofs = false, probes = false; /* none beside times of other engines */
    for (int i = 0; i < d->n_machine; i++) {
        const rb_plot_roof *dram = rb_plot_roof_named(&d->machine[i], "read_dram");
        roofs = roofs || d->machine[i].n_roof;
        probes = probes || (dram && dram->high > 0);
    }
    snprintf(text, sizeof text, "A FLOP is useful work, a multiply-add counts as 2. %s%s%s",
             d->n ? "Whole models stand at FLOP per byte of weights and KV cache" : "",
             f->n_spot ? ", kernels at FLOP per compulsory byte, activations included. "
             : d->n    ? ". "
                       : "",
             probes  ? "Measured roofs; DRAM, FMA: 95 % of probes are below."
             : roofs ? "Measured roofs."
                     : "No roofs were recorded.");
    put_whose_roofs(f, text, sizeof text);
    put_kernel_note(f, text, sizeof text);
    put_left_out(f, text, sizeof text);
    rb_plot_text_wrap(f->d, LEFT, 743, text, 1090, 17.5, &aside);
}
