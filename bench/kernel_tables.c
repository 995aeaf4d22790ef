/* What else is told of kernels alone: how time and roofs change with threads, which rows the
 * registry has, the formulas behind the counts of one.
 * Refuses to measure: results are given. Read next: kernel_report.c, explain.c. */
#include "record.h"
#include "table.h"

#include <string.h>

/* ---- scaling ---- */

enum { MOST_THREADS = RB_MAX_COLUMN - 2 };

typedef struct scaling {
    const rb_kernel_result *r;
    int n;
    rb_temper t;
    int threads[MOST_THREADS], n_threads; /* rising: the order of the results */
} scaling;

static bool same_but_threads(const rb_kernel_job *a, const rb_kernel_job *b)
{
    return a->kernel == b->kernel && !memcmp(&a->shape, &b->shape, sizeof a->shape) &&
           a->type == b->type;
}

static bool is_first(const scaling *s, int i)
{
    for (int j = 0; j < i; j++)
        if (same_but_threads(&s->r[j].job, &s->r[i].job))
            return false;
    return true;
}

static void list_threads(scaling *s)
{
    for (int i = 0; i < s->n; i++) {
        bool known = false;
        for (int j = 0; j < s->n_threads; j++)
            known |= s->threads[j] == s->r[i].job.n_threads;
        if (!known && s->n_threads < MOST_THREADS)
            s->threads[s->n_threads++] = s->r[i].job.n_threads;
    }
}

/* "1.23 ms", and by how much faster than the first cell that has a figure. */
static void put_speed(char *cell, double x, double first, bool is_time, const char *unit)
{
    char text[RB_CELL];
    if (is_time)
        rb_time_text(x, text);
    else
        snprintf(text, sizeof text, "%.1f %s", x, unit);
    if (x == first)
        snprintf(cell, RB_CELL, "%.60s", text);
    else
        snprintf(cell, RB_CELL, "%.60s, %.2fx", text, is_time ? first / x : x / first);
}

static void put_kernel(const scaling *s, int i, rb_cells cells)
{
    const rb_kernel_job *job = &s->r[i].job;
    double first = 0;
    rb_kernel_name(job->kernel, cells[0], RB_CELL);
    rb_kernel_problem_text(job, cells[1], RB_CELL);
    for (int c = 0; c < s->n_threads; c++)
        for (int j = i; j < s->n; j++) {
            const double ns = s->r[j].at[s->t].ns.median;
            if (s->r[j].job.n_threads != s->threads[c] || !same_but_threads(&s->r[j].job, job) ||
                !(ns > 0))
                continue;
            first = first > 0 ? first : ns;
            put_speed(cells[2 + c], ns, first, true, "");
        }
}

/* A roof of an ISA, by threads; false: no machine has it. */
static bool put_roof(const scaling *s, rb_isa isa, rb_roof_id roof, rb_cells cells)
{
    double first = 0;
    snprintf(cells[0], RB_CELL, "roof %s.%s", rb_roof_infos[roof].name, rb_isa_name[isa]);
    for (int c = 0; c < s->n_threads; c++)
        for (int j = 0; j < s->n; j++) {
            const rb_machine *m = s->r[j].machine;
            const double x = m ? m->roof[roof].value : 0;
            if (!m || m->isa != isa || m->n_threads != s->threads[c] || !(x > 0))
                continue;
            first = first > 0 ? first : x;
            put_speed(cells[2 + c], x, first, false, rb_roof_infos[roof].unit);
        }
    return first > 0;
}

typedef void put_fn(FILE *out, rb_table *t, rb_cells cells);

static void fit(FILE *out, rb_table *t, rb_cells cells)
{
    (void)out;
    rb_table_fit(t, cells);
}

static void show(FILE *out, rb_table *t, rb_cells cells)
{
    rb_table_row(out, t, cells);
}

static void each_row(const scaling *s, FILE *out, rb_table *t, put_fn *put)
{
    static const rb_roof_id roofs[] = { RB_ROOF_FMA_F32, RB_ROOF_DOT_I8, RB_ROOF_DOT_BF16,
                                        RB_ROOF_READ_DRAM };
    rb_cells cells;
    for (int isa = 0; isa < RB_ISA_BLAS; isa++)
        for (size_t k = 0; k < sizeof roofs / sizeof *roofs; k++) {
            memset(cells, 0, sizeof cells);
            if (put_roof(s, (rb_isa)isa, roofs[k], cells))
                put(out, t, cells);
        }
    for (int i = 0; i < s->n; i++) {
        memset(cells, 0, sizeof cells);
        if (!is_first(s, i) || s->r[i].error[0])
            continue;
        put_kernel(s, i, cells);
        put(out, t, cells);
    }
}

void rb_kernel_scaling(FILE *out, const rb_kernel_result *r, int n, rb_temper t)
{
    scaling s = { .r = r, .n = n, .t = t };
    rb_table table = { 0 };
    char head[MOST_THREADS][32];
    list_threads(&s);
    if (!s.n_threads)
        return;
    rb_table_column(&table, "kernel", false, 0);
    rb_table_column(&table, "shape", false, 0);
    for (int c = 0; c < s.n_threads; c++) {
        snprintf(head[c], sizeof head[c], "%d thread%s", s.threads[c], s.threads[c] > 1 ? "s" : "");
        rb_table_column(&table, head[c], true, 0);
    }
    each_row(&s, out, &table, fit);
    fprintf(out, "\nBy threads, %s:\n\n", rb_temper_name[t]);
    rb_table_head(out, &table);
    each_row(&s, out, &table, show);
    fflush(out);
}

/* ---- the registry ---- */

static bool is_among(rb_op_id op, const rb_op_id *list, int n)
{
    for (int i = 0; i < n; i++)
        if (list[i] == op)
            return true;
    return n == 0;
}

static void put_listed(const rb_kernel *k, rb_cells cells)
{
    memset(cells, 0, sizeof(rb_cells));
    rb_kernel_name(k, cells[0], RB_CELL);
    snprintf(cells[1], RB_CELL, "%s", k->op->name);
    if (k->dtype != RB_NO_DTYPE)
        snprintf(cells[2], RB_CELL, "%s", rb_dtype_get(k->dtype)->name);
    snprintf(cells[3], RB_CELL, "%s", rb_isa_name[k->isa]);
    snprintf(cells[4], RB_CELL, "%s", k->variant ? k->variant : "");
    snprintf(cells[5], RB_CELL, "%s", rb_kernel_supported(k) ? "yes" : "no");
    if (rb_counting_twin(k))
        snprintf(cells[6], RB_CELL, "proven");
    else
        snprintf(cells[6], RB_CELL, "unproven: %.80s", k->unproven ? k->unproven : "no twin");
}

void rb_kernel_list_rows(FILE *out, const rb_op_id *op, int n_op)
{
    static const char *const head[] = { "kernel",  "op",        "type",  "ISA",
                                        "variant", "runs here", "counts" };
    rb_table t = { 0 };
    rb_cells cells;
    for (int c = 0; c < (int)(sizeof head / sizeof *head); c++)
        rb_table_column(&t, head[c], false, 0);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            rb_table_head(out, &t);
        for (int i = 0; i < rb_registry_size(); i++) {
            const rb_kernel *k = rb_registry_row(i);
            if (k->isa >= RB_ISA_COUNT1 || !is_among(k->op->id, op, n_op))
                continue;
            put_listed(k, cells);
            pass ? rb_table_row(out, &t, cells) : rb_table_fit(&t, cells);
        }
    }
    fflush(out);
}

/* ---- formulas ---- */

static void put_bytes(FILE *out, const char *what, uint64_t n)
{
    if (n)
        fprintf(out, "%s %llu", what, (unsigned long long)n);
}

void rb_kernel_explain(FILE *out, const rb_kernel_job *job)
{
    char name[128], shape[160], issued[RB_CELL];
    rb_shaped problem;
    bool assumed = false;
    const rb_kernel *k = job->kernel;
    if (rb_shaped_make(&problem, k->op->id, job->type, &job->shape, NULL) != RB_OK)
        return;
    const rb_cost cost = rb_cost_of(k, &problem.call, &assumed);
    const rb_tally one = { .cost = cost, .calls = 1 };
    const rb_bytes b = rb_cost_bytes(&cost);
    fprintf(out, "\n  %s, %s\n", rb_kernel_name(k, name, sizeof name),
            rb_kernel_problem_text(job, shape, sizeof shape));
    rb_explain_launch(out, k, &problem.call);
    put_bytes(out, "      of them  special", cost.special);
    put_bytes(out, cost.special ? ", integer MACs" : "      of them  integer MACs", cost.int_macs);
    if (cost.special || cost.int_macs)
        fputc('\n', out);
    fprintf(out, "      bytes    %llu:", (unsigned long long)rb_bytes_all(&b));
    put_bytes(out, " weight", b.weight);
    put_bytes(out, " cache read", b.kv_read);
    put_bytes(out, " cache written", b.kv_write);
    put_bytes(out, " activations read", b.act_read);
    put_bytes(out, " activations written", b.act_write);
    rb_issued_text(&one, issued);
    fprintf(out, "%s\n      OI       %.6g FLOP/byte of these, %s of issued ones\n",
            assumed ? " (ids drawn independently are assumed)" : "", rb_tally_oi_kernel(&one),
            issued);
    fflush(out);
}
