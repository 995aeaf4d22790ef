/* The per-kernel table of one result: where its time, its FLOPs and its bytes went, site by site,
 * and how near each came to its roof. Its rows add up to the wall clock. Figures for people; the
 * exact integers are in the JSON record. Read next: record.c, place.c. */
#include "record.h"
#include "table.h"

#include <math.h>
#include <string.h>

enum { MAX_ROWS = RB_N_PHASE * RB_N_SITE * RB_N_OP + 4 };

typedef struct kernel_row {
    const char *phase, *site, *op;
    const rb_tally *tally; /* NULL: time only */
    uint64_t ns;
    const rb_place *place;
} kernel_row;

static int collect(const rb_result *r, kernel_row *rows)
{
    int n = 0;
    for (int phase = 0; phase < RB_N_PHASE; phase++) {
        for (int site = 0; site < RB_N_SITE; site++) {
            for (int op = 0; op < RB_N_OP; op++) {
                const rb_tally *t = &r->ledger.at[phase][site][op];
                if (!t->calls)
                    continue;
                const rb_op *known = t->kernel ? t->kernel->op : rb_op_get((rb_op_id)op);
                rows[n++] = (kernel_row){ rb_phase_name[phase],
                                          rb_site_name[site],
                                          known ? known->name : "?",
                                          t,
                                          t->ns,
                                          &r->kernel[phase][site][op] };
            }
        }
    }
    const rb_tally *all = &r->total;
    const uint64_t other = rb_result_other_ns(r);
    if (!r->dry) {
        rows[n++] = (kernel_row){ "", "barrier", "waiting", NULL, all->barrier_ns, NULL };
        rows[n++] = (kernel_row){ "", "launch", "counting", NULL, all->launch_ns, NULL };
        rows[n++] = (kernel_row){ "", "other", "the rest", NULL, other, NULL };
    }
    rows[n++] = (kernel_row){
        "", "total", "", all, all->ns + all->barrier_ns + all->launch_ns + other, &r->place
    };
    return n;
}

static void put_counts(char (*cell)[RB_CELL], const rb_tally *t)
{
    rb_bytes b = rb_cost_bytes(&t->cost);
    rb_count_text((double)t->cost.flops, cell[0], RB_CELL);
    rb_count_text((double)rb_bytes_all(&b), cell[1], RB_CELL);
    snprintf(cell[2], RB_CELL, "%.4g", rb_tally_oi_kernel(t));
    rb_issued_text(t, cell[3]);
}

void rb_issued_text(const rb_tally *t, char *buf)
{
    const double oi = rb_tally_oi_issued(t);
    if (isnan(oi))
        snprintf(buf, RB_CELL, "-");
    else
        snprintf(buf, RB_CELL, "%.3g", oi);
}

void rb_share_text(const rb_place *p, char *buf)
{
    enum { AT = 105 }; /* roofs before and after may differ by twice as much */
    if (p->above)
        snprintf(buf, RB_CELL, p->over <= AT ? "at roof" : "> roof");
    else if (p->pct > 0)
        snprintf(buf, RB_CELL, "%.1f %%", p->pct);
    else if (p->bound != RB_BOUND_NONE && !p->n_pairs)
        snprintf(buf, RB_CELL, "unpaired");
    else
        snprintf(buf, RB_CELL, "-");
}

static void put_place(char (*cell)[RB_CELL], const rb_place *p, bool total)
{
    snprintf(cell[0], RB_CELL, "%.3f", p->roof_ns / 1e6);
    rb_share_text(p, cell[1]);
    snprintf(cell[2], RB_CELL, "%s", rb_bound_name[p->bound]);
    if (!total && p->bound != RB_BOUND_NONE && p->bound != RB_BOUND_OVERHEAD)
        snprintf(cell[2], RB_CELL, "%s: %s", rb_bound_name[p->bound], rb_roof_infos[p->roof].name);
}

/* phase? site op calls [time share] FLOPs bytes OI OI [GFLOP/s GB/s] [roof ms, of roof, bound] */
static void fill(const rb_result *r, const kernel_row *row, double whole_ns, bool mixed,
                 rb_cells cells)
{
    int c = 0;
    memset(cells, 0, sizeof(rb_cells));
    if (mixed)
        snprintf(cells[c++], RB_CELL, "%s", row->phase);
    snprintf(cells[c++], RB_CELL, "%s", row->site);
    snprintf(cells[c++], RB_CELL, "%s", row->op);
    if (row->tally)
        snprintf(cells[c], RB_CELL, "%llu", (unsigned long long)row->tally->calls);
    c++;
    if (!r->dry) {
        snprintf(cells[c++], RB_CELL, "%.3f", (double)row->ns / 1e6);
        snprintf(cells[c++], RB_CELL, "%.1f %%", 100 * (double)row->ns / whole_ns);
    }
    if (row->tally)
        put_counts(&cells[c], row->tally);
    c += 4;
    if (r->dry || !row->tally || !row->ns)
        return;
    rb_bytes b = rb_cost_bytes(&row->tally->cost);
    snprintf(cells[c++], RB_CELL, "%.2f", (double)row->tally->cost.flops / (double)row->ns);
    snprintf(cells[c++], RB_CELL, "%.2f", (double)rb_bytes_all(&b) / (double)row->ns);
    if (r->machine)
        put_place(&cells[c], row->place, row->tally == &r->total);
}

static rb_table columns_for(const rb_result *r, bool mixed)
{
    rb_table t = { 0 };
    if (mixed)
        rb_table_column(&t, "phase", false, 0);
    rb_table_column(&t, "site", false, 0);
    rb_table_column(&t, "op", false, 0);
    rb_table_column(&t, "calls", true, 0);
    if (!r->dry) {
        rb_table_column(&t, "time ms", true, 0);
        rb_table_column(&t, "share", true, 0);
    }
    rb_table_column(&t, "FLOPs", true, 0);
    rb_table_column(&t, "bytes", true, 0);
    rb_table_column(&t, "OI kernel", true, 0);
    rb_table_column(&t, "OI issued", true, 0);
    if (!r->dry) {
        rb_table_column(&t, "GFLOP/s", true, 0);
        rb_table_column(&t, "GB/s", true, 0);
    }
    if (r->machine) {
        rb_table_column(&t, "roof ms", true, 0);
        rb_table_column(&t, "of roof", true, 0);
        rb_table_column(&t, "bound", false, 0);
    }
    return t;
}

void rb_kernel_table(FILE *out, const rb_subject *s, const rb_result *r)
{
    static const char *const spare[] = { "calls", "roof ms", "bytes", "FLOPs", "time ms", NULL };
    kernel_row rows[MAX_ROWS];
    rb_cells cells;
    char name[64], attn[64];
    int n = collect(r, rows);
    bool mixed = r->test.n_prompt && r->test.n_gen;
    double whole = rows[n - 1].ns ? (double)rows[n - 1].ns : 1;
    rb_table t = columns_for(r, mixed);
    for (int i = 0; i < n; i++) {
        fill(r, &rows[i], whole, mixed, cells);
        rb_table_fit(&t, cells);
    }
    fprintf(out,
            "\nKernels of %s, %s, %lld layers (bytes and OI kernel: compulsory, of weights, cache "
            "and activations;\nOI issued: of what loops load and store):\n\n",
            rb_test_name(&r->test, name, sizeof name),
            rb_subject_attn(s, &r->test, attn, sizeof attn), (long long)r->test.n_layer);
    rb_table_narrow(&t, out, spare);
    rb_table_head(out, &t);
    for (int i = 0; i < n; i++) {
        fill(r, &rows[i], whole, mixed, cells);
        rb_table_row(out, &t, cells);
    }
}
