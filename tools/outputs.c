/* The kept file, the figures and the traces of a benchmark. A row is kept before it is shown; with
 * --resume the figure is drawn from all that the file holds, else from this run alone. Refuses
 * nothing itself: see bench/store.c, bench/plot.c, bench/trace.c. Read next: cmd_bench.c. */
#include "outputs.h"

#include "cmd.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *one_text(const rb_args *args, const char *name)
{
    const rb_opt_value *v = rb_opt_get(args, name);
    return v->n ? v->text[v->n - 1] : NULL;
}

static rb_status check_figure(const char *path, rb_error *err)
{
    if (!rb_plot_can_write(path))
        return rb_fail(err, RB_ERR_ARGUMENT, "--plot %.300s: figures are .png or .svg", path);
    return rb_replace_check(path, err);
}

rb_status rb_outputs_open(rb_outputs *o, const rb_args *args, rb_error *err)
{
    *o = (rb_outputs){ .out = one_text(args, "--out"),
                       .plot = one_text(args, "--plot"),
                       .trace = one_text(args, "--trace"),
                       .resume = rb_opt_flag(args, "--resume") };
    if (o->resume && !o->out)
        return rb_fail(err, RB_ERR_ARGUMENT, "--resume wants --out FILE, the file to go on with");
    rb_status st = o->plot ? check_figure(o->plot, err) : RB_OK;
    if (st == RB_OK && o->trace)
        st = rb_traces_check(o->trace, err);
    if (st == RB_OK && o->trace)
        st = rb_traces_open(&o->traces, err);
    if (st == RB_OK && o->out)
        st = rb_store_open(&o->store, o->out, err);
    if (st == RB_OK && o->store && rb_store_cut(o->store))
        rb_complain("%s: the last line was not finished and is cut off", o->out);
    if (st == RB_OK && o->resume && !(o->probe = calloc(1, sizeof *o->probe)))
        st = rb_fail(err, RB_ERR_MEMORY, "no memory to go on with %s", o->out);
    if (st == RB_OK && o->plot && !(o->records = json_array()))
        st = rb_fail(err, RB_ERR_MEMORY, "no memory for the records of a figure");
    return st;
}

bool rb_outputs_has(rb_outputs *o, const rb_subject *subject, const rb_test *t)
{
    if (!o->resume || !o->store)
        return false;
    o->probe->test = *t;
    strcpy(o->probe->error, "a probe");
    json_t *record = rb_record(subject, o->probe, NULL);
    const bool has = record && rb_store_has(o->store, record);
    json_decref(record);
    o->n_skipped += has;
    return has;
}

rb_status rb_outputs_row(rb_outputs *o, const rb_subject *subject, const rb_result *r,
                         rb_error *err)
{
    if (!o->store && !o->records)
        return RB_OK;
    json_t *record = rb_record(subject, r, &o->told);
    if (!record)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a record");
    const rb_status st = o->store ? rb_store_append(o->store, record, err) : RB_OK;
    if (o->records)
        json_array_append(o->records, record);
    json_decref(record);
    return st;
}

/* "a.png" -> "a-layers.png" */
static char *layers_path(const char *path)
{
    const char *dot = strrchr(path, '.');
    const size_t size = strlen(path) + sizeof "-layers";
    char *to = malloc(size);
    if (to)
        snprintf(to, size, "%.*s-layers%s", (int)(dot - path), path, dot);
    return to;
}

static rb_status draw_records(const rb_outputs *o, const json_t *records, bool sweep, rb_error *err)
{
    enum { SCALE = 1 };
    const rb_plot_set set = { .records = records, .name = "" };
    rb_status st = rb_plot(&set, 1, RB_PLOT_ROOFLINE, SCALE, o->plot, err);
    if (st != RB_OK || !sweep)
        return st;
    char *path = layers_path(o->plot);
    if (!path)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a path");
    st = rb_plot(&set, 1, RB_PLOT_LAYERS, SCALE, path, err);
    if (st == RB_OK)
        fprintf(stderr, "drawn: %s, %s\n", o->plot, path);
    free(path);
    return st;
}

rb_status rb_outputs_draw(rb_outputs *o, bool sweep, rb_error *err)
{
    if (!o->plot)
        return RB_OK;
    json_t *all = NULL;
    rb_status st = RB_OK;
    if (o->resume)
        st = rb_records_read(o->out, &all, NULL, err);
    const json_t *records = all ? all : o->records;
    if (st == RB_OK && json_array_size(records))
        st = draw_records(o, records, sweep, err);
    json_decref(all);
    return st;
}

rb_status rb_outputs_trace(rb_outputs *o, bool failed, rb_error *err)
{
    char text[200];
    if (!o->traces)
        return RB_OK;
    if (!rb_traces_n(o->traces)) {
        if (!failed)
            rb_complain("--trace: nothing was traced, %s is not written", o->trace);
        return RB_OK;
    }
    if (rb_traces_text(o->traces, text, sizeof text)[0])
        rb_complain("--trace: %s", text);
    return rb_traces_write(o->traces, o->trace, err);
}

void rb_outputs_close(rb_outputs *o)
{
    rb_store_close(o->store);
    rb_traces_close(o->traces);
    json_decref(o->records);
    free(o->probe);
    *o = (rb_outputs){ 0 };
}
