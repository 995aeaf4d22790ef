/* The roofline while it is being drawn: what its parts hand to each other.
 * Private to plot_roofline.c, plot_points.c and plot_legend.c.
 * Read next: plot_roofline.c. */
#ifndef RB_PLOT_ROOFLINE_H
#define RB_PLOT_ROOFLINE_H

#include "plot.h"

enum { RB_MAX_SPOTS = 2 * RB_PLOT_MAX_KERNELS, RB_MAX_TAGS = 64, RB_FEW_SERIES = 6 };

/* A kernel in one of the two phases. */
typedef struct rb_spot {
    rb_plot_kernel kernel;
    bool decode;
    int color; /* index of the palette: one a site */
} rb_spot;

typedef struct rb_roofline {
    rb_draw *d;
    const rb_plot_data *data;
    rb_axis x, y;
    rb_placer placer;
    const rb_plot_record *shown[2]; /* whose kernels: a prefill and a decode test, or NULL */
    rb_spot spot[RB_MAX_SPOTS];     /* by falling share */
    int n_spot;
    double share_out[2];                    /* of the time, of kernels that are not shown */
    const rb_plot_series *tag[RB_MAX_TAGS]; /* named in the legend, by number */
    int n_tag, n_unlabelled;
} rb_roofline;

/* plot_points.c. Blocking comes first, so that no label of a roof lands on a point. */
void rb_roofline_choose(rb_roofline *f);
void rb_roofline_block(rb_roofline *f);
void rb_roofline_points(rb_roofline *f);
double rb_spot_radius(double share);
rb_color rb_spot_color(const rb_spot *s);
/* Colour and shape of a series. */
rb_color rb_series_color(const rb_roofline *f, const rb_plot_series *s);
int rb_series_shape(const rb_roofline *f, const rb_plot_series *s);

/* plot_legend.c */
void rb_roofline_legend(rb_roofline *f);
void rb_roofline_titles(rb_roofline *f);
/* "A" for the first of several machines. */
char rb_machine_letter(int machine);

#endif
