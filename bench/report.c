/* Writes results in one of four formats: a markdown table, a JSON array, JSON lines, CSV. Every row
 * is flushed when it comes; a JSON array is closed by rb_report_close, also after an interrupt.
 * After a write that failed nothing more is written. Text for people only goes into md. Read next:
 * record.c (the JSON), csv.c, table.c (the table). */
#include "columns.h"
#include "csv.h"
#include "waste.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rb_report {
    FILE *out;
    rb_format format;
    const rb_subject *subject;
    rb_layout layout;
    int n_group;         /* tests per depth of a sweep; 0: no sweep */
    double *first_oi;    /* of each test of a group, at the first depth */
    char difference[40]; /* head of the column of differences */
    rb_table table;
    const rb_column *column[RB_MAX_COLUMN];
    rb_told told; /* json, jsonl */
    long n_json;  /* json: objects written */
    int n_tables; /* md: tables written */
    int why;      /* errno of the first write that failed; 0: none has */
};

/* Between these two stands whatever writes: false if it is of no use any more, ... */
static bool can_write(const rb_report *rep)
{
    errno = 0;
    return !rep->why;
}

/* ... and the end of one piece, which a reader can rely on from here. */
static void flush(rb_report *rep)
{
    if ((fflush(rep->out) != 0 || ferror(rep->out)) && !rep->why)
        rep->why = errno ? errno : EIO;
}

rb_status rb_report_open(rb_report **rep, FILE *out, rb_format format, rb_error *err)
{
    *rep = calloc(1, sizeof **rep);
    if (!*rep)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a report");
    (*rep)->out = out;
    (*rep)->format = format;
    errno = 0;
    if (format == RB_FORMAT_JSON)
        fputs("[", out);
    if (format == RB_FORMAT_CSV)
        rb_csv_head(out);
    flush(*rep);
    return RB_OK;
}

/* Picks the columns and their widths, from the tests that will run. */
static void lay_out(rb_report *rep, rb_result *probe)
{
    const rb_place_in place = { rep->subject, probe, 0 };
    const rb_plan *plan = rep->layout.plan;
    rb_cells cells;
    rep->table = (rb_table){ 0 };
    for (int c = 0; c < rb_n_columns && rep->table.n < RB_MAX_COLUMN; c++) {
        const rb_column *col = &rb_columns[c];
        if (col->wanted && !col->wanted(&rep->layout))
            continue;
        rep->column[rep->table.n] = col;
        rb_table_column(&rep->table, col->head ? col->head : rep->difference, col->right,
                        col->width);
    }
    for (int i = 0; i < plan->n; i++) {
        probe->test = plan->test[i];
        probe->peer = rep->subject->peers ? &rep->subject->peers[i] : NULL;
        for (int c = 0; c < rep->table.n; c++) {
            cells[c][0] = 0;
            if (!rep->column[c]->measured)
                rep->column[c]->cell(&place, cells[c]);
        }
        rb_table_fit(&rep->table, cells);
    }
}

rb_status rb_report_subject(rb_report *rep, const rb_subject *subject, const rb_plan *plan,
                            int n_group, bool dry, rb_error *err)
{
    rep->subject = subject;
    rep->layout = (rb_layout){ plan, dry, n_group > 0, subject->roofs, subject->peers != NULL };
    rep->n_group = n_group;
    free(rep->first_oi);
    rep->first_oi = calloc((size_t)n_group + 1, sizeof *rep->first_oi);
    rb_result *probe = calloc(1, sizeof *probe);
    if (!rep->first_oi || !probe) {
        free(probe);
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a report");
    }
    if (plan->n)
        snprintf(rep->difference, sizeof rep->difference, "OI - OI(%lld)",
                 (long long)plan->test[0].n_layer);
    if (rep->format == RB_FORMAT_MD && can_write(rep)) {
        lay_out(rep, probe);
        fputs(rep->n_tables++ ? "\n" : "", rep->out);
        rb_table_head(rep->out, &rep->table);
        flush(rep);
    }
    free(probe);
    return RB_OK;
}

static void put_md_row(rb_report *rep, const rb_result *r, int i)
{
    const rb_place_in place = { rep->subject, r,
                                rep->n_group ? rep->first_oi[i % rep->n_group] : 0 };
    rb_cells cells;
    bool first = true;
    for (int c = 0; c < rep->table.n; c++) {
        const rb_column *col = rep->column[c];
        if (!r->error[0] || !col->measured)
            col->cell(&place, cells[c]);
        else
            snprintf(cells[c], RB_CELL, "%s", first ? "error" : "-");
        first = first && !col->measured;
    }
    rb_table_row(rep->out, &rep->table, cells);
}

/* A record that there is no memory for counts as a write that failed. */
static void put_record(rb_report *rep, const rb_result *r)
{
    const bool csv = rep->format == RB_FORMAT_CSV;
    json_t *o = rb_record(rep->subject, r, &rep->told);
    char *text = o && !csv ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    if (!o || (!csv && !text))
        rep->why = ENOMEM;
    else if (csv)
        rb_csv_row(rep->out, o);
    else if (rep->format == RB_FORMAT_JSONL)
        fprintf(rep->out, "%s\n", text);
    else if (rep->format == RB_FORMAT_JSON)
        fprintf(rep->out, "%s\n%s", rep->n_json++ ? "," : "", text);
    free(text);
    json_decref(o);
}

void rb_report_row(rb_report *rep, const rb_result *r, int i)
{
    if (rep->n_group > 0 && i < rep->n_group && !r->error[0])
        rep->first_oi[i] = rb_tally_oi(&r->total);
    if (!can_write(rep))
        return;
    if (rep->format == RB_FORMAT_MD)
        put_md_row(rep, r, i);
    else
        put_record(rep, r);
    flush(rep);
}

void rb_report_text(rb_report *rep, const char *text)
{
    if (rep->format != RB_FORMAT_MD || !can_write(rep))
        return;
    fprintf(rep->out, "\n%s\n", text);
    flush(rep);
}

void rb_report_kernels(rb_report *rep, const rb_result *r)
{
    if (rep->format != RB_FORMAT_MD || !can_write(rep))
        return;
    char text[600];
    rb_kernel_table(rep->out, &rep->subject->model->config, r);
    rb_waste_table(rep->out, r);
    rb_routing_text(&rep->subject->model->config, r, text, sizeof text);
    if (text[0])
        fprintf(rep->out, "\n%s\n", text);
    flush(rep);
}

bool rb_report_failed(const rb_report *rep)
{
    return rep && rep->why;
}

rb_status rb_report_close(rb_report *rep, rb_error *err)
{
    if (!rep)
        return RB_OK;
    errno = 0;
    if (rep->format == RB_FORMAT_JSON)
        fputs("\n]\n", rep->out);
    flush(rep);
    int why = rep->why;
    free(rep->first_oi);
    free(rep);
    return why ? rb_fail(err, RB_ERR_IO, "cannot write the results: %s", strerror(why)) : RB_OK;
}
