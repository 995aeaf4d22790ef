/* What the report's figures are made of: panels with axes, marks with whiskers and tips, rows of
 * dots, legends. Private to bench/paper/; draws on ../draw.h with ../plot.h's looks.
 * Knows nothing of claims. Read next: panel.c, figures.c. */
#ifndef RB_PANEL_H
#define RB_PANEL_H

#include "evidence.h"

/* Colour, shape and fill of a mark. */
typedef struct rb_look {
    int color, shape; /* of the palette; of rb_plot_mark */
    bool filled;
} rb_look;

rb_color rb_look_color(int color); /* < 0: ink */

typedef struct rb_panel {
    rb_draw *d;
    rb_axis x, y;
    rb_placer placer;
} rb_panel;

/* Of a canvas rectangle whose lower left corner is (x0, y0), above and right of which is (x1, y1).
 * Values are held next, then rb_panel_axes is called once. */
rb_panel rb_panel_new(rb_draw *d, double x0, double y0, double x1, double y1, bool log_x,
                      bool log_y);
void rb_panel_free(rb_panel *p);
/* Widens the ranges; what the axis cannot show (no number, or not above 0 on a log axis) is not
 * held, and not drawn later. */
void rb_panel_hold(rb_panel *p, double x, double y);
void rb_panel_hold_span(rb_panel *p, double x, const rb_span *y);
bool rb_panel_empty(const rb_panel *p);
/* Ranges with room at their ends, grid, numbers and titles; ticks: of x, NULL: its own. Nothing of
 * a panel that is empty. */
void rb_panel_axes(rb_panel *p, const char *title, const char *x_title, const char *y_title,
                   const double *ticks, int n_ticks);
void rb_panel_line(rb_panel *p, double x0, double y0, double x1, double y1, const rb_pen *pen);
/* With a whisker where y has an interval; tip: see rb_draw_tip. */
void rb_panel_mark(rb_panel *p, double x, const rb_span *y, const rb_look *look, const char *tip);
/* A text beside a point where there is room. */
void rb_panel_label(rb_panel *p, double x, double y, const char *text, rb_color color);
/* A bandwidth (GB/s) and a compute roof (GFLOP/s); names: NULL or their labels. */
void rb_panel_roof(rb_panel *p, double gbps, double gflops, rb_color color, const char *bandwidth,
                   const char *compute);

/* ---- rows of dots ---- */

/* A row's figure on the x axis of p, with a whisker; y: of the canvas. */
void rb_panel_dot(rb_panel *p, double y, const rb_span *x, const rb_look *look, const char *tip);
/* The x axis alone, with its grid over the height of p. */
void rb_panel_scale(rb_panel *p, const char *title, const char *x_title);

/* ---- legends and titles ---- */

typedef struct rb_legend {
    rb_draw *d;
    double x, y, width;
} rb_legend;
/* One line each, cut to the legend's width: a heading, a mark and what it stands for. */
void rb_legend_head(rb_legend *l, const char *text);
void rb_legend_entry(rb_legend *l, const char *text, const rb_look *look);
void rb_legend_text(rb_legend *l, const char *text); /* wrapped, grey */
/* The title of a figure, and the line below it. */
void rb_figure_title(rb_draw *d, const char *title, const char *below);

#endif
