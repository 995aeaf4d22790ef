/* x
 * y
 * z */
#include "plot.h"
rb_status rb_plot_layers(rb_draw *d, const rb_plot_data *data, rb_error *err)
{
    (void)d;
    (void)data;
    return rb_fail(err, RB_ERR_FORMAT, "later");
}
