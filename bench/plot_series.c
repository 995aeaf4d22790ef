/* Which records are one line of a figure: those of one file, model and variant that differ in one
 * thing alone - layers, or, from three on, context, sequences or drafted tokens - in rising order.
 * A record is of one line: of layers where it can be, else of the longest. Nothing is drawn here.
 * Read next: plot_points.c. */
#include "plot.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST = 3 }; /* values that make a line of anything but layers */

/* Whether all is the same but what differs along an axis (RB_NO_AXIS: all). */
static bool same_but(const rb_plot_record *a, const rb_plot_record *b, int axis)
{
    if (a->set != b->set || a->subject != b->subject || a->phase != b->phase ||
        strcmp(a->kind, b->kind) != 0)
        return false;
    for (int i = 0; i < RB_N_AXIS; i++)
        if (i != axis && a->at[i] != b->at[i])
            return false;
    return true;
}

static int rising(const void *x, const void *y)
{
    const int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

/* Different values along an axis among the records without a line that go with r there. */
static int n_values(const rb_plot_data *data, const rb_plot_record *r, int axis, int64_t *value)
{
    int n = 0, distinct = 0;
    for (int i = 0; i < data->n; i++) {
        const rb_plot_record *other = &data->record[i];
        if (other->axis == r->axis && same_but(r, other, axis))
            value[n++] = other->at[axis];
    }
    qsort(value, (size_t)n, sizeof *value, rising);
    for (int i = 0; i < n; i++)
        distinct += !i || value[i] != value[i - 1];
    return distinct;
}

/* Lines of an axis that have too few values after all, since others took some, are none. */
static void dissolve(rb_plot_data *data, int64_t *value)
{
    for (int i = 0; i < data->n; i++) {
        rb_plot_record *r = &data->record[i];
        if (r->axis > RB_AXIS_LAYERS && n_values(data, r, r->axis, value) < LEAST)
            r->line = RB_NO_AXIS;
        else
            r->line = r->axis;
    }
    for (int i = 0; i < data->n; i++)
        data->record[i].axis = data->record[i].line;
}

static void choose_axes(rb_plot_data *data, int64_t *value)
{
    for (int i = 0; i < data->n; i++)
        data->record[i].axis = RB_NO_AXIS;
    for (int i = 0; i < data->n; i++) /* line: until all have chosen */
        data->record[i].line = n_values(data, &data->record[i], RB_AXIS_LAYERS, value) > 1
                                   ? RB_AXIS_LAYERS
                                   : RB_NO_AXIS;
    for (int i = 0; i < data->n; i++)
        data->record[i].axis = data->record[i].line;
    for (int i = 0; i < data->n; i++) {
        rb_plot_record *r = &data->record[i];
        int most = LEAST - 1;
        for (int axis = RB_AXIS_LAYERS + 1; axis < RB_N_AXIS && r->axis == RB_NO_AXIS; axis++) {
            const int n = n_values(data, r, axis, value);
            r->line = n > most ? axis : r->line;
            most = n > most ? n : most;
        }
    }
    for (int i = 0; i < data->n; i++)
        data->record[i].axis = data->record[i].line;
    dissolve(data, value);
}

/* line: the first record that each goes with. */
static void number_lines(rb_plot_data *data)
{
    for (int i = 0; i < data->n; i++) {
        rb_plot_record *r = &data->record[i];
        int k = 0;
        while (data->record[k].axis != r->axis || !same_but(&data->record[k], r, r->axis))
            k++;
        r->line = k;
    }
}

static int by_line(const void *x, const void *y)
{
    const rb_plot_record *a = x, *b = y;
    int order = (a->set > b->set) - (a->set < b->set);
    order = order ? order : (a->subject > b->subject) - (a->subject < b->subject);
    order = order ? order : (a->phase > b->phase) - (a->phase < b->phase);
    order = order ? order : (a->line > b->line) - (a->line < b->line);
    if (order || a->axis == RB_NO_AXIS)
        return order;
    return rising(&a->at[a->axis], &b->at[b->axis]);
}

rb_status rb_plot_split(rb_plot_data *data, rb_error *err)
{
    int64_t *value = calloc((size_t)data->n + 1, sizeof *value);
    if (!value)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory for the figure");
    choose_axes(data, value);
    free(value);
    number_lines(data);
    qsort(data->record, (size_t)data->n, sizeof *data->record, by_line);
    for (int i = 0; i < data->n; i++) {
        const rb_plot_record *r = &data->record[i];
        if (!i || r[-1].line != r->line)
            data->series[data->n_series++] = (rb_plot_series){ .at = r, .axis = r->axis };
        data->series[data->n_series - 1].n++;
    }
    return RB_OK;
}

/* ---- names ---- */

/* The test without what its line runs over. */
static void name_rest(const rb_plot_series *s, char *buf, size_t size)
{
    const rb_plot_record *r = s->at;
    buf[0] = 0;
    rb_plot_put(buf, size, "%s", s->axis == RB_AXIS_LAYERS ? r->test : r->kind);
    if (s->axis == RB_AXIS_CONTEXT && r->at[RB_AXIS_SEQUENCES] > 1)
        rb_plot_put(buf, size, " x %lld", (long long)r->at[RB_AXIS_SEQUENCES]);
    if (s->axis == RB_AXIS_SEQUENCES && r->at[RB_AXIS_CONTEXT])
        rb_plot_put(buf, size, " @ d%lld", (long long)r->at[RB_AXIS_CONTEXT]);
}

char *rb_series_name(const rb_plot_series *s, char *buf, size_t size)
{
    static const char *const fmt[RB_N_AXIS] = { "%s, %lld\xe2\x80\x93%lld layers",
                                                "%s, d%lld\xe2\x80\x93%lld",
                                                "%s, x %lld\xe2\x80\x93%lld" };
    char rest[128];
    if (s->axis == RB_NO_AXIS)
        snprintf(buf, size, "%s", s->at->test);
    else if (s->axis == RB_AXIS_DRAFTS)
        snprintf(buf, size, "%s to vf%lld", s->at->test, (long long)s->at[s->n - 1].at[s->axis]);
    else {
        name_rest(s, rest, sizeof rest);
        snprintf(buf, size, fmt[s->axis], rest, (long long)s->at->at[s->axis],
                 (long long)s->at[s->n - 1].at[s->axis]);
    }
    return buf;
}

char *rb_series_end(const rb_plot_series *s, bool last, char *buf, size_t size)
{
    static const char *const fmt[RB_N_AXIS] = { "%lld layer%s", "d%lld", "x %lld", "vf%lld" };
    const long long at = s->at[last ? s->n - 1 : 0].at[s->axis];
    char end[48];
    if (s->axis == RB_AXIS_LAYERS)
        snprintf(end, sizeof end, fmt[s->axis], at, at == 1 ? "" : "s");
    else
        snprintf(end, sizeof end, fmt[s->axis], at);
    if (last || s->axis == RB_AXIS_DRAFTS) {
        snprintf(buf, size, "%s", last ? end : s->at->test);
        return buf;
    }
    name_rest(s, buf, size);
    rb_plot_put(buf, size, ", %s", end);
    return buf;
}
