/* How figures look: palette, marks, numbers, text that is cut or wrapped to a width.
 * Colours are never the only difference: marks differ in shape too.
 * Read next: plot_axis.c. */
#include "plot.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const rb_color rb_palette[RB_N_PALETTE] = {
    0x0072b2ff, /* blue */
    0xd55e00ff, /* vermillion */
    0x009e73ff, /* green */
    0xcc79a7ff, /* purple */
    0xe69f00ff, /* orange */
    0x56b4e9ff, /* sky */
    0x8a7a00ff, /* the palette's yellow, darkened to show on white */
};

void rb_plot_mark(rb_draw *d, double x, double y, double r, int shape, rb_color color, bool filled)
{
    /* corners, turn of the first one from straight up in degrees, size against a disc */
    static const struct {
        int n;
        double turn, size;
    } form[] = { { 4, 45, 1.2 }, { 3, 0, 1.35 }, { 4, 0, 1.3 },  { 3, 180, 1.35 },
                 { 5, 0, 1.15 }, { 6, 0, 1.1 },  { 3, 90, 1.35 } };
    const int n_form = sizeof form / sizeof *form, f = shape % n_form;
    rb_point p[6];
    for (int i = 0; i < form[f].n; i++) {
        double a = (form[f].turn + 360.0 * i / form[f].n) * 3.14159265358979323846 / 180;
        p[i] = (rb_point){ x + r * form[f].size * sin(a), y - r * form[f].size * cos(a) };
    }
    rb_draw_path(d, p, form[f].n, true,
                 &(rb_pen){ .fill = filled ? color : 0xffffffff,
                            .stroke = filled ? 0xffffffff : color,
                            .width = filled ? 0.8 : 1.4 });
}

char *rb_plot_number(double x, char *buf, size_t size)
{
    double m = fabs(x);
    if (m != 0 && (m >= 1e6 || m < 1e-3))
        snprintf(buf, size, "%.3g", x);
    else
        snprintf(buf, size, "%.*f",
                 m >= 99.95 || m == 0 ? 0
                 : m >= 9.995         ? 1
                 : m >= 0.9995        ? 2
                                      : 3,
                 x);
    return buf;
}

void rb_plot_put(char *buf, size_t size, const char *fmt, ...)
{
    size_t used = strlen(buf);
    va_list args;
    va_start(args, fmt);
    vsnprintf(buf + used, size - used, fmt, args);
    va_end(args);
}

void rb_plot_text_cut(rb_draw *d, double x, double y, const char *text, double width,
                      const rb_type *type)
{
    char buf[512];
    snprintf(buf, sizeof buf - 4, "%s", text);
    size_t n = strlen(buf);
    bool cut = false;
    while (n && rb_text_width(buf, type->size) > width) {
        do
            n--;
        while (n && ((unsigned char)buf[n] & 0xc0) == 0x80);
        strcpy(buf + n, "\xe2\x80\xa6");
        cut = n > 0;
    }
    rb_draw_text(d, x, y, cut || n ? buf : text, type);
}

double rb_plot_text_wrap(rb_draw *d, double x, double y, const char *text, double width,
                         double leading, const rb_type *type)
{
    char line[512] = "";
    while (*text) {
        size_t had = strlen(line), n = strcspn(text, " ");
        rb_plot_put(line, sizeof line, "%s%.*s", had ? " " : "", (int)(n < 200 ? n : 200), text);
        if (had && rb_text_width(line, type->size) > width) {
            line[had] = 0;
            rb_draw_text(d, x, y, line, type);
            y += leading;
            line[0] = 0;
            continue;
        }
        text += n;
        text += strspn(text, " ");
    }
    if (line[0]) {
        rb_draw_text(d, x, y, line, type);
        y += leading;
    }
    return y;
}
