/* What was done beyond need, from the counts of one repetition. Need is what rb_cost calls flops,
 * and bytes that come once a prompt: every weight, every row of the cache. Each decode step needs
 * them anew. No kernel here pads rows or runs masked tiles: their loops end where the useful work
 * does. Refuses to guess how often gathered rows (embedding, experts) are read again. Read next:
 * place.c, whose roofs price it. */
#include "waste.h"

#include <string.h>

#include "record.h"
#include "table.h"

/* What the list is made from. */
typedef struct waste_list {
    const rb_result *r;
    rb_scale scale;
    rb_waste *out;
    int n;
} waste_list;

static void add(waste_list *l, rb_waste w)
{
    if (w.flops + w.special + w.bytes == 0)
        return;
    if (l->n < RB_MAX_WASTE)
        l->out[l->n++] = w;
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

/* ns at a roof (per ns) as it was beside the median sample; 0 without roofs. */
static double at_roof(const waste_list *l, double amount, rb_roof_id id, double scale)
{
    const double rate = l->r->machine ? l->r->machine->roof[id].value * scale : 0;
    return rate > 0 ? amount / rate : 0;
}

/* ---- FLOPs ---- */

static void add_flops(waste_list *l, const rb_tally *t, rb_site site)
{
    const uint64_t extra = t->cost.extra;
    const uint64_t special = t->cost.special_overhead > 0 ? (uint64_t)t->cost.special_overhead : 0;
    const double fma = at_roof(l, (double)extra, RB_ROOF_FMA_F32, l->scale.clock);
    const double exp = at_roof(l, (double)special, RB_ROOF_EXP, l->scale.clock);
    add(l, (rb_waste){ .what = t->kernel && t->kernel->extra_what ? t->kernel->extra_what
                                                                  : "work beyond the operation",
                       .where = rb_site_name[site],
                       .flops = extra,
                       .special = special,
                       .share = ratio((double)extra, (double)t->cost.flops),
                       .ns = fma > exp ? fma : exp });
}

/* ---- micro-batches ---- */

static bool gathers(const rb_op *op)
{
    for (int i = 0; i < RB_MAX_ARG && op->arg[i].name; i++)
        if (op->arg[i].rows == RB_ROWS_GATHERED)
            return true;
    return false;
}

/* What fewer bytes of weights would spare, under the roofs of its place. */
static double spared(const waste_list *l, const rb_tally *t, uint64_t weight_bytes)
{
    const rb_machine *m = l->r->machine;
    if (!m)
        return 0;
    const int resident = rb_resident_level(l->r, m);
    rb_tally less = *t;
    less.cost.rd[RB_WEIGHT] -= weight_bytes;
    return rb_place_tally(t, m, l->scale, resident).roof_ns -
           rb_place_tally(&less, m, l->scale, resident).roof_ns;
}

/* Launches that come once a micro-batch read the same weights each time. */
static void add_rereads(waste_list *l, const rb_tally *t, rb_site site, uint64_t batches)
{
    const uint64_t weights = t->cost.rd[RB_WEIGHT];
    if (batches < 2 || t->calls % batches || weights % batches || gathers(t->kernel->op))
        return;
    const uint64_t again = weights / batches * (batches - 1);
    add(l, (rb_waste){ .what = "weights read again by later micro-batches",
                       .where = rb_site_name[site],
                       .bytes = again,
                       .share = ratio((double)again, (double)(weights - again)),
                       .ns = spared(l, t, again) });
    const uint64_t ops = t->cost.dequant[0] + t->cost.dequant[1] + t->cost.dequant[2];
    if (!weights || ops % batches)
        return;
    add(l, (rb_waste){ .what = "blocks decoded again by later micro-batches",
                       .where = rb_site_name[site],
                       .flops = ops / batches * (batches - 1),
                       .share = ops ? (double)(batches - 1) : 0 });
}

/* Rows of the cache that more than one micro-batch read. */
static void add_cache(waste_list *l, const rb_tally *prefill)
{
    const rb_test *t = &l->r->test;
    const int64_t rows = t->n_seq * (t->n_depth + t->n_prompt);
    const uint64_t once = (uint64_t)(l->r->kv_bytes_per_token * rows);
    const rb_bytes b = rb_cost_bytes(&prefill->cost);
    if (!once || b.kv_read <= once)
        return;
    const uint64_t again = b.kv_read - once;
    add(l, (rb_waste){ .what = "cache read again by later micro-batches",
                       .where = rb_site_name[RB_SITE_ATTN],
                       .bytes = again,
                       .share = ratio((double)again, (double)once),
                       .ns = at_roof(l, (double)again, RB_ROOF_READ_DRAM, l->scale.memory) });
}

/* ---- DRAM ---- */

static void add_dram(waste_list *l)
{
    const rb_bytes b = rb_cost_bytes(&l->r->total.cost);
    const uint64_t moved = rb_dram_bytes(&l->r->total.dram), needed = rb_bytes_wkv(&b);
    if (!l->r->cache_bytes || moved <= needed)
        return;
    add(l, (rb_waste){
               .what = "DRAM traffic beyond weights and cache (modelled)",
               .where = "",
               .bytes = moved - needed,
               .share = ratio((double)(moved - needed), (double)needed),
               .ns = at_roof(l, (double)(moved - needed), RB_ROOF_READ_DRAM, l->scale.memory) });
}

int rb_waste_of(const rb_result *r, rb_waste out[RB_MAX_WASTE])
{
    const rb_test *t = &r->test;
    const uint64_t batches = (uint64_t)((t->n_prompt + t->n_ubatch - 1) / t->n_ubatch);
    waste_list l = { .r = r, .out = out, .scale = { 1, 1 } };
    if (r->machine && r->n_samples)
        l.scale = rb_scale_of(r->machine, &r->sample[r->median].probe);
    for (int phase = 0; phase < RB_N_PHASE; phase++)
        for (int site = 0; site < RB_N_SITE; site++)
            for (int op = 0; op < RB_N_OP; op++) {
                const rb_tally *at = &r->ledger.at[phase][site][op];
                if (!at->calls)
                    continue;
                add_flops(&l, at, (rb_site)site);
                if (phase == RB_PREFILL)
                    add_rereads(&l, at, (rb_site)site, batches);
            }
    if (batches > 1) {
        const rb_tally prefill = rb_ledger_phase(&r->ledger, RB_PREFILL);
        add_cache(&l, &prefill);
    }
    add_dram(&l);
    return l.n;
}

/* ---- the table ---- */

static void fill(const rb_waste *w, bool roofs, rb_cells cells)
{
    memset(cells, 0, sizeof(rb_cells));
    snprintf(cells[0], RB_CELL, "%s", w->where[0] ? w->where : "all");
    snprintf(cells[1], RB_CELL, "%s", w->what);
    if (w->flops)
        rb_count_text((double)w->flops, cells[2], RB_CELL);
    if (w->bytes)
        rb_count_text((double)w->bytes, cells[3], RB_CELL);
    snprintf(cells[4], RB_CELL, "%.2f %%", 100 * w->share);
    if (roofs)
        snprintf(cells[5], RB_CELL, "%.3f", w->ns / 1e6);
}

void rb_waste_table(FILE *out, const rb_result *r)
{
    rb_waste list[RB_MAX_WASTE];
    const int n = rb_waste_of(r, list);
    rb_table t = { 0 };
    rb_cells cells;
    char name[64];
    if (!n)
        return;
    rb_table_column(&t, "site", false, 0);
    rb_table_column(&t, "beyond need", false, 0);
    rb_table_column(&t, "operations", true, 0);
    rb_table_column(&t, "bytes", true, 0);
    rb_table_column(&t, "of what is needed", true, 0);
    if (r->machine)
        rb_table_column(&t, "roof ms", true, 0);
    for (int i = 0; i < n; i++) {
        fill(&list[i], r->machine != NULL, cells);
        rb_table_fit(&t, cells);
    }
    fprintf(out, "\nBeyond need in %s (roof ms: what that costs at least, 0 where hidden):\n\n",
            rb_test_name(&r->test, name, sizeof name));
    rb_table_head(out, &t);
    for (int i = 0; i < n; i++) {
        fill(&list[i], r->machine != NULL, cells);
        rb_table_row(out, &t, cells);
    }
}
