/* Results of kernels alone as a table for people or as records. Every row is flushed when it comes;
 * after a write that failed nothing more is written. What is above its roof is called that and gets
 * no figure. Nothing is computed here but what a reader compares by eye.
 * Read next: kernel_record.c, kernel_tables.c. */
#include "record.h"
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rb_kernel_report {
    rb_kernel_report_params p;
    rb_table table;
    bool one;   /* all rows are of one problem, which is told above the table */
    bool marks; /* some rows are not what the door takes: those that are get a mark */
    rb_told told;
    long n_json;
    int why; /* errno of the first write that failed; 0: none has */
};

static void flush(rb_kernel_report *rep)
{
    if ((fflush(rep->p.out) != 0 || ferror(rep->p.out)) && !rep->why)
        rep->why = errno ? errno : EIO;
}

/* ---- cells ---- */

void rb_time_text(double ns, char *buf)
{
    static const char *const unit[] = { "ns", "µs", "ms", "s" };
    int u = 0;
    for (; ns >= 999.95 && u < 3; u++)
        ns /= 1000;
    snprintf(buf, RB_CELL, ns < 10 ? "%.2f %s" : "%.1f %s", ns, unit[u]);
}

static int put_job(const rb_kernel_report *rep, const rb_kernel_job *job, rb_cells cells)
{
    int c = 0;
    if (rep->p.threads)
        snprintf(cells[c++], RB_CELL, "%d", job->n_threads);
    rb_kernel_name(job->kernel, cells[c++], RB_CELL);
    if (!rep->one)
        rb_kernel_problem_text(job, cells[c++], RB_CELL);
    return c;
}

static void put_share(const rb_place *p, char *buf)
{
    char share[RB_CELL];
    rb_share_text(p, share);
    if (p->bound == RB_BOUND_NONE)
        snprintf(buf, RB_CELL, "-");
    else
        snprintf(buf, RB_CELL, "%.20s %s", share, rb_roof_infos[p->roof].name);
}

static void put_timing(const rb_kernel_result *r, rb_temper t, char (*cell)[RB_CELL])
{
    const rb_stats *s = &r->at[t].ns;
    if (!s->n) {
        snprintf(cell[0], RB_CELL, "-");
        return;
    }
    rb_time_text(s->median, cell[0]);
    snprintf(cell[1], RB_CELL, "%.1f %%", s->median > 0 ? 100 * s->mad / s->median : 0);
    snprintf(cell[2], RB_CELL, "%.2f", rb_kernel_gflops(r, t));
    snprintf(cell[3], RB_CELL, "%.2f", rb_kernel_gbps(r, t));
    if (r->machine)
        put_share(&r->at[t].place, cell[4]);
}

/* Appends a note after a mark. */
static void note(char *buf, const char *mark, const char *text)
{
    const size_t n = strlen(buf);
    snprintf(buf + n, RB_CELL - n, "%s%s", n ? mark : "", text);
}

static void note_timing(const rb_kernel_report *rep, const rb_kernel_result *r, rb_temper t,
                        char *buf)
{
    enum { WIDE = 5 }; /* per cent */
    char own[RB_CELL] = "", text[64];
    const rb_kernel_timing *at = &r->at[t];
    if (!at->ns.n)
        return;
    if (100 * at->ns.mad > WIDE * at->ns.median)
        note(own, ", ", "spreads");
    if (at->ns.drifts)
        note(own, ", ", "drifts");
    if (at->place.above && at->place.bound == RB_BOUND_RESIDENT &&
        at->place.roof == RB_ROOF_READ_DRAM)
        note(own, ", ", "partly cached");
    if (at->whole)
        note(own, ", ", "with launch");
    if (at->ns.n < rep->p.runs->n_reps) {
        snprintf(text, sizeof text, "%d samples", at->ns.n);
        note(own, ", ", text);
    }
    if (r->machine && 2 * at->place.n_pairs < at->ns.n) {
        snprintf(text, sizeof text, "%d of %d pairs", at->place.n_pairs, at->ns.n);
        note(own, ", ", text);
    }
    if (own[0]) {
        note(buf, "; ", rb_temper_name[t]);
        note(buf, ": ", own);
    }
}

static void put_notes(const rb_kernel_report *rep, const rb_kernel_result *r, char *buf)
{
    if (rep->marks && r->job.chosen)
        note(buf, "; ", "taken");
    if (!rb_counting_twin(r->job.kernel))
        note(buf, "; ", "unproven");
    if (r->lukewarm)
        note(buf, "; ", "too small to be cold");
    for (int t = 0; t < RB_N_TEMPER; t++)
        note_timing(rep, r, (rb_temper)t, buf);
}

/* ---- the table ---- */

static bool is_one_problem(const rb_kernel_plan *plan)
{
    char first[RB_CELL] = "", text[RB_CELL] = "";
    for (int i = 0; i < plan->n; i++) {
        rb_kernel_problem_text(&plan->job[i], i ? text : first, RB_CELL);
        if (i && (strcmp(first, text) != 0 || plan->job[i].kernel->op != plan->job->kernel->op))
            return false;
    }
    return plan->n > 0;
}

static void lay_out(rb_kernel_report *rep)
{
    rb_cells cells = { { 0 } };
    rb_table *t = &rep->table;
    rep->one = is_one_problem(rep->p.plan);
    if (rep->p.threads)
        rb_table_column(t, "threads", true, 0);
    rb_table_column(t, "kernel", false, 0);
    if (!rep->one)
        rb_table_column(t, "shape", false, 0);
    rb_table_column(t, "OI kernel", true, 0);
    rb_table_column(t, "OI issued", true, 0);
    for (int k = 0; k < RB_N_TEMPER; k++) {
        if (!rep->p.runs->wanted[k])
            continue;
        rb_table_column(t, rb_temper_name[k], true, 8);
        rb_table_column(t, "±", true, 6);
        rb_table_column(t, "GFLOP/s", true, 0);
        rb_table_column(t, "GB/s", true, 6);
        if (rep->p.runs->roofs)
            rb_table_column(t, "of roof", true, 16);
    }
    rb_table_column(t, "notes", false, 0);
    for (int i = 0; i < rep->p.plan->n; i++) {
        put_job(rep, &rep->p.plan->job[i], cells);
        rb_table_fit(t, cells);
        rep->marks |= !rep->p.plan->job[i].chosen;
    }
}

static void put_head(rb_kernel_report *rep)
{
    static const char *const spare[] = { "OI issued", "GB/s", "GFLOP/s", "±", "OI kernel", NULL };
    const rb_kernel_job *job = rep->p.plan->job;
    char shape[RB_CELL];
    if (rep->one)
        fprintf(rep->p.out, "%s %s", job->kernel->op->name,
                rb_kernel_problem_text(job, shape, sizeof shape));
    if (rep->one && !rep->p.threads)
        fprintf(rep->p.out, ", %d thread%s", job->n_threads, job->n_threads > 1 ? "s" : "");
    fputs(rep->one ? "\n\n" : "", rep->p.out);
    rb_table_narrow(&rep->table, rep->p.out, spare);
    rb_table_head(rep->p.out, &rep->table);
}

static void put_row(rb_kernel_report *rep, const rb_kernel_result *r)
{
    const rb_tally one = { .cost = r->cost, .calls = 1 };
    rb_cells cells;
    memset(cells, 0, sizeof cells);
    int c = put_job(rep, &r->job, cells);
    char *notes = cells[rep->table.n - 1];
    if (r->error[0]) {
        snprintf(notes, RB_CELL, "error");
    } else {
        snprintf(cells[c++], RB_CELL, "%.3g", rb_tally_oi_kernel(&one));
        rb_issued_text(&one, cells[c++]);
        for (int t = 0; t < RB_N_TEMPER; t++) {
            if (!rep->p.runs->wanted[t])
                continue;
            put_timing(r, (rb_temper)t, &cells[c]);
            c += rep->p.runs->roofs ? 5 : 4;
        }
        put_notes(rep, r, notes);
    }
    rb_table_row(rep->p.out, &rep->table, cells);
}

/* ---- the report ---- */

rb_status rb_kernel_report_open(rb_kernel_report **out, const rb_kernel_report_params *p,
                                rb_error *err)
{
    rb_kernel_report *rep = calloc(1, sizeof *rep);
    *out = rep;
    if (!rep)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a report");
    rep->p = *p;
    errno = 0;
    lay_out(rep);
    if (p->format == RB_FORMAT_MD)
        put_head(rep);
    if (p->format == RB_FORMAT_JSON)
        fputs("[", p->out);
    if (p->format == RB_FORMAT_CSV)
        rb_kernel_csv(p->out, NULL);
    flush(rep);
    return RB_OK;
}

/* A record that there is no memory for counts as a write that failed. */
static void put_record(rb_kernel_report *rep, const rb_kernel_result *r)
{
    json_t *o = rb_kernel_record(r, rep->p.commit, &rep->told);
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (!text)
        rep->why = ENOMEM;
    else if (rep->p.format == RB_FORMAT_CSV)
        rb_kernel_csv(rep->p.out, o);
    else if (rep->p.format == RB_FORMAT_JSONL)
        fprintf(rep->p.out, "%s\n", text);
    else
        fprintf(rep->p.out, "%s\n%s", rep->n_json++ ? "," : "", text);
    free(text);
    json_decref(o);
}

void rb_kernel_report_row(rb_kernel_report *rep, const rb_kernel_result *r)
{
    if (rep->why)
        return;
    errno = 0;
    if (rep->p.format == RB_FORMAT_MD)
        put_row(rep, r);
    else
        put_record(rep, r);
    flush(rep);
}

bool rb_kernel_report_failed(const rb_kernel_report *rep)
{
    return rep && rep->why;
}

rb_status rb_kernel_report_close(rb_kernel_report *rep, rb_error *err)
{
    if (!rep)
        return RB_OK;
    errno = 0;
    if (rep->p.format == RB_FORMAT_JSON)
        fputs("\n]\n", rep->p.out);
    flush(rep);
    const int why = rep->why;
    free(rep);
    return why ? rb_fail(err, RB_ERR_IO, "cannot write the results: %s", strerror(why)) : RB_OK;
}
