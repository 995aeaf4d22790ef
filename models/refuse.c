/* What no reader takes, whatever its format calls it: the refusals that readers have in common.
 * Refuses by name and with the reason; knows no keys.
 * Read next: metadata.c, hf_config.c. */
#include "model.h"

#include <inttypes.h>

rb_status rb_refuse_window(const char *label, int64_t window, int64_t n_ctx, rb_error *err)
{
    if (window <= 0 || window >= n_ctx)
        return RB_OK;
    return rb_fail(err, RB_ERR_UNSUPPORTED,
                   "%s: sliding-window attention (%" PRId64 " of %" PRId64
                   " tokens) is not supported; a window that covers the context is",
                   label, window, n_ctx);
}

rb_status rb_refuse_groups(const char *label, int64_t n_group, int64_t n_used, rb_error *err)
{
    if (n_group <= 1 || n_used >= n_group)
        return RB_OK;
    return rb_fail(err, RB_ERR_UNSUPPORTED,
                   "%s: routing limited to groups of experts is not supported", label);
}

rb_status rb_refuse_scaling(const char *label, const char *type, const char *known, rb_error *err)
{
    return rb_fail(err, RB_ERR_UNSUPPORTED, "%s: rope scaling '%.32s' is not supported; %s are",
                   label, type, known);
}

rb_status rb_refuse_config(const char *label, const rb_config *c, rb_error *err)
{
    rb_error inner;
    const rb_status status = rb_config_check(c, &inner);
    if (status == RB_OK)
        return RB_OK;
    return rb_fail(err, status, "%s: its metadata make no sense: %.300s", label, inner.text);
}
