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

/* Writes the cell of test i, which needs no result. */
static void put_setting(rb_report *rep, rb_result *probe, const rb_column *col, int i, char *cell)
{
    const rb_place_in place = { rep->subject, probe, 0 };
    probe->test = rep->layout.plan->test[i];
    probe->peer = rep->subject->peers ? &rep->subject->peers[i] : NULL;
    col->cell(&place, cell);
}

/* Whether every test has the same cell, which is left in cell. */
static bool is_shared(rb_report *rep, rb_result *probe, const rb_column *col, char *cell)
{
    char first[RB_CELL];
    for (int i = 0; i < rep->layout.plan->n; i++) {
        put_setting(rep, probe, col, i, cell);
        if (!i)
            strcpy(first, cell);
        else if (strcmp(first, cell) != 0)
            return false;
    }
    return rep->layout.plan->n > 0;
}

/* Picks the columns from the tests that will run; what these share goes to text instead. */
static void pick(rb_report *rep, rb_result *probe, char *text, size_t size)
{
    char cell[RB_CELL];
    rep->table = (rb_table){ 0 };
    for (int c = 0; c < rb_n_columns && rep->table.n < RB_MAX_COLUMN; c++) {
        const rb_column *col = &rb_columns[c];
        if (col->wanted && !col->wanted(&rep->layout))
            continue;
        if (col->of == RB_OF_SETTING && is_shared(rep, probe, col, cell)) {
            const size_t at = strlen(text);
            snprintf(text + at, size - at, "%s%s %s", at ? ", " : "", col->head, cell);
            continue;
        }
        rep->column[rep->table.n] = col;
        rb_table_column(&rep->table, col->head ? col->head : rep->difference, col->right,
                        col->width);
    }
}

/* Whether a test before it has the same form of attention. */
static bool is_form_again(const rb_plan *plan, int i)
{
    for (int j = 0; j < i; j++)
        if (plan->test[j].model == plan->test[i].model && plan->test[j].attn == plan->test[i].attn)
            return true;
    return false;
}

/* What is so of each form, whatever the test. */
static void put_forms(rb_report *rep, rb_result *probe)
{
    const rb_plan *plan = rep->layout.plan;
    const rb_column *column[RB_MAX_COLUMN];
    rb_table t = { 0 };
    rb_cells cells;
    for (int c = 0; c < rb_n_form_columns; c++) {
        const rb_column *col = &rb_form_columns[c];
        if (col->wanted && !col->wanted(&rep->layout))
            continue;
        column[t.n] = col;
        rb_table_column(&t, col->head, col->right, col->width);
    }
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            rb_table_head(rep->out, &t);
        for (int i = 0; i < plan->n; i++) {
            if (is_form_again(plan, i))
                continue;
            for (int c = 0; c < t.n; c++)
                put_setting(rep, probe, column[c], i, cells[c]);
            pass ? rb_table_row(rep->out, &t, cells) : rb_table_fit(&t, cells);
        }
    }
    fputc('\n', rep->out);
}

/* As wide as what is known before anything ran. */
static void fit(rb_report *rep, rb_result *probe)
{
    rb_cells cells;
    for (int i = 0; i < rep->layout.plan->n; i++) {
        for (int c = 0; c < rep->table.n; c++) {
            cells[c][0] = 0;
            if (rep->column[c]->of != RB_OF_RESULT)
                put_setting(rep, probe, rep->column[c], i, cells[c]);
        }
        rb_table_fit(&rep->table, cells);
    }
}

static bool has_rivals(const rb_plan *plan)
{
    for (int i = 1; i < plan->n; i++) {
        const rb_test *a = &plan->test[0], *b = &plan->test[i];
        if (a->model != b->model || a->attn != b->attn)
            return true;
    }
    return false;
}

static bool is_judged(const rb_plan *plan, const rb_subject *s)
{
    for (int i = 0; i < plan->n; i++)
        if (plan->test[i].model && s->formed && s->formed[plan->test[i].model - 1].judged)
            return true;
    return false;
}

/* On a terminal no word is cut by its edge; elsewhere lines are as the text has them. */
static void put_text(FILE *out, const char *text)
{
    const int room = rb_terminal_width(out);
    for (int at = 0; *text;) {
        const int n = (int)strcspn(text + 1, " \n") + 1; /* a blank and the word after it */
        const int skip = room && at + n > room && *text == ' ';
        fprintf(out, "%s%.*s", skip ? "\n" : "", n - skip, text + skip);
        at = skip || *text == '\n' ? n - 1 : at + n;
        text += n;
    }
    fputc('\n', out);
}

/* What all rows share, what is so of each form, and the head of the table of the rest. */
static void put_md_head(rb_report *rep, rb_result *probe)
{
    char shared[RB_MAX_COLUMN * RB_CELL] = "";
    pick(rep, probe, shared, sizeof shared);
    fit(rep, probe);
    const char *const spare[] = { rep->difference, "FLOPs/token", "W+KV/token", "act. bytes",
                                  "scratch",       "cache",       "weights",    NULL };
    fputs(rep->n_tables++ ? "\n" : "", rep->out);
    if (shared[0])
        put_text(rep->out, shared);
    fputs(shared[0] ? "\n" : "", rep->out);
    if (rep->layout.rivals)
        put_forms(rep, probe);
    rb_table_narrow(&rep->table, rep->out, spare);
    rb_table_head(rep->out, &rep->table);
}

rb_status rb_report_subject(rb_report *rep, const rb_subject *subject, const rb_plan *plan,
                            int n_group, bool dry, rb_error *err)
{
    rep->subject = subject;
    rep->layout = (rb_layout){
        .plan = plan,
        .dry = dry,
        .sweep = n_group > 0,
        .roofs = subject->roofs,
        .peers = subject->peers != NULL,
        .rivals = has_rivals(plan),
        .judged = is_judged(plan, subject),
    };
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
        put_md_head(rep, probe);
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
        if (!r->error[0] || col->of != RB_OF_RESULT)
            col->cell(&place, cells[c]);
        else
            snprintf(cells[c], RB_CELL, "%s", first ? "error" : "-");
        first = first && col->of != RB_OF_RESULT;
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
    fputc('\n', rep->out);
    put_text(rep->out, text);
    flush(rep);
}

void rb_report_kernels(rb_report *rep, const rb_result *r)
{
    if (rep->format != RB_FORMAT_MD || !can_write(rep))
        return;
    char text[600];
    const rb_config *c = &rb_subject_model(rep->subject, &r->test)->config;
    rb_kernel_table(rep->out, rep->subject, r);
    rb_waste_table(rep->out, r);
    rb_routing_text(c, r, text, sizeof text);
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
