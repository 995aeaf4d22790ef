/* A figure from records, start to end: numbers, drawing, file.
 * A figure that cannot be drawn leaves no file.
 * Read next: plot_roofline.c, plot_layers.c. */
#include "plot.h"

rb_status rb_plot(const rb_plot_set *sets, int n_sets, rb_plot_kind kind, int scale,
                  const char *path, rb_error *err)
{
    rb_plot_data data;
    rb_status status = rb_draw_check_path(path, err);
    if (status == RB_OK && (scale < 1 || scale > 4))
        status = rb_fail(err, RB_ERR_ARGUMENT, "the scale of a figure is 1 to 4");
    if (status == RB_OK)
        status = rb_plot_collect(&data, sets, n_sets, err);
    if (status != RB_OK)
        return status;
    rb_draw *d = rb_draw_new(RB_PLOT_WIDTH, RB_PLOT_HEIGHT);
    if (!d)
        status = rb_fail(err, RB_ERR_MEMORY, "out of memory for the figure");
    else if (kind == RB_PLOT_LAYERS)
        status = rb_plot_layers(d, &data, err);
    else
        status = rb_plot_roofline(d, &data, err);
    if (status == RB_OK)
        status = rb_draw_write(d, path, scale, err);
    rb_draw_free(d);
    rb_plot_data_free(&data);
    return status;
}
