/* The columns of the main table: which runs want them and what stands in a cell. A column whose
 * cells depend on the test alone knows its width before anything ran. It computes nothing: figures
 * come from result.c.
 * Read next: report.c. */
#include "columns.h"

#include <string.h>

/* ---- which columns ---- */

static bool measured_run(const rb_layout *l)
{
    return !l->dry;
}

static bool dry_run(const rb_layout *l)
{
    return l->dry;
}

static bool has_roofs(const rb_layout *l)
{
    return l->roofs;
}

static bool in_sweep(const rb_layout *l)
{
    return l->sweep;
}

static bool of_peers(const rb_layout *l)
{
    return l->peers;
}

static bool peers_and_roofs(const rb_layout *l)
{
    return l->peers && l->roofs;
}

static bool isa_was_chosen(const rb_layout *l)
{
    for (int i = 0; i < l->plan->n; i++) {
        if (l->plan->test[i].capped)
            return true;
    }
    return false;
}

static bool ubatch_varies(const rb_layout *l)
{
    for (int i = 1; i < l->plan->n; i++) {
        if (l->plan->test[i].n_ubatch != l->plan->test[0].n_ubatch)
            return true;
    }
    return false;
}

static bool cache_unusual(const rb_layout *l)
{
    for (int i = 0; i < l->plan->n; i++) {
        if (l->plan->test[i].type_k != RB_F16 || l->plan->test[i].type_v != RB_F16)
            return true;
    }
    return false;
}

/* ---- cells ---- */

static void cell_model(const rb_place_in *p, char *buf)
{
    const rb_model *m = p->subject->model;
    const char *slash = strrchr(p->subject->filename, '/');
    const char *name = m->config.name[0] ? m->config.name
                       : slash           ? slash + 1
                                         : p->subject->filename;
    snprintf(buf, RB_CELL, "%.40s %s", name, rb_dtype_get(rb_main_dtype(m))->name);
    for (char *c = buf; *c; c++) /* names come from files: nothing that breaks the table */
        *c = (unsigned char)*c < ' ' || *c == '|' ? '?' : *c;
}

static void cell_size(const rb_place_in *p, char *buf)
{
    rb_count_text((double)rb_model_file_bytes(p->subject->model), buf, RB_CELL - 1);
    strcat(buf, "B");
}

static void cell_params(const rb_place_in *p, char *buf)
{
    rb_count_text((double)p->subject->model->n_params, buf, RB_CELL);
}

static void cell_layers(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%lld", (long long)p->result->test.n_layer);
}

static void cell_variant(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%s", rb_attn_name(&p->subject->model->config, p->result->test.attn));
}

static void cell_threads(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%d", p->result->test.n_threads);
}

static void cell_isa(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%s", rb_isa_name[p->result->test.isa]);
}

static void cell_ubatch(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%lld", (long long)p->result->test.n_ubatch);
}

static void cell_cache(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%s %s", rb_dtype_get(p->result->test.type_k)->name,
             rb_dtype_get(p->result->test.type_v)->name);
}

static void cell_test(const rb_place_in *p, char *buf)
{
    rb_test_name(&p->result->test, buf, RB_CELL);
}

static void cell_tps(const rb_place_in *p, char *buf)
{
    double tps = rb_result_tps(p->result);
    snprintf(buf, RB_CELL, tps < 10000 ? "%.2f ± %.2f" : "%.0f ± %.0f", tps, p->result->tps.mad);
}

static void cell_peer(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%s %.60s", p->result->peer->name, p->result->peer->build);
}

static void cell_time(const rb_place_in *p, char *buf)
{
    rb_time_text(p->result->ns.median, buf);
}

static void cell_roof_time(const rb_place_in *p, char *buf)
{
    rb_time_text(p->result->place.roof_ns, buf);
}

static void cell_oi(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%#.6g", rb_tally_oi(&p->result->total));
}

static void cell_oi_dram(const rb_place_in *p, char *buf)
{
    const double oi = rb_tally_oi_dram(&p->result->total);
    if (oi > 0)
        snprintf(buf, RB_CELL, "%.4g", oi);
    else
        snprintf(buf, RB_CELL, p->result->cache_bytes ? "resident" : "-");
}

static void cell_difference(const rb_place_in *p, char *buf)
{
    if (p->first_oi > 0)
        snprintf(buf, RB_CELL, "%+.6g", rb_tally_oi(&p->result->total) - p->first_oi);
    else /* the first depth failed, or was run before */
        snprintf(buf, RB_CELL, "-");
}

static void cell_gflops(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%.2f", rb_result_gflops(p->result));
}

static void cell_gbps(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%.2f", rb_result_gbps(p->result));
}

static void cell_share(const rb_place_in *p, char *buf)
{
    rb_share_text(&p->result->place, buf);
}

static void cell_bound(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%s", rb_bound_name[p->result->place.bound]);
}

static void cell_flops(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%llu", (unsigned long long)p->result->total.cost.flops);
}

static void cell_wkv(const rb_place_in *p, char *buf)
{
    rb_bytes b = rb_cost_bytes(&p->result->total.cost);
    snprintf(buf, RB_CELL, "%llu", (unsigned long long)rb_bytes_wkv(&b));
}

static void cell_act(const rb_place_in *p, char *buf)
{
    rb_bytes b = rb_cost_bytes(&p->result->total.cost);
    snprintf(buf, RB_CELL, "%llu", (unsigned long long)(b.act_read + b.act_write));
}

static void put_gb(uint64_t bytes, char *buf)
{
    rb_count_text((double)bytes, buf, RB_CELL - 1);
    strcat(buf, "B");
}

static void cell_weights(const rb_place_in *p, char *buf)
{
    put_gb(p->result->memory.weights, buf);
}

static void cell_kv(const rb_place_in *p, char *buf)
{
    put_gb(p->result->memory.kv, buf);
}

static void cell_scratch(const rb_place_in *p, char *buf)
{
    put_gb(p->result->memory.scratch, buf);
}

const rb_column rb_columns[] = {
    { "model", false, 0, false, NULL, cell_model },
    { "size", true, 0, false, NULL, cell_size },
    { "params", true, 0, false, NULL, cell_params },
    { "layers", true, 0, false, NULL, cell_layers },
    { "variant", false, 0, false, NULL, cell_variant },
    { "threads", true, 0, false, measured_run, cell_threads },
    { "isa", false, 0, false, isa_was_chosen, cell_isa },
    { "ubatch", true, 0, false, ubatch_varies, cell_ubatch },
    { "cache k v", false, 0, false, cache_unusual, cell_cache },
    { "test", false, 0, false, NULL, cell_test },
    { "engine", false, 0, false, of_peers, cell_peer },
    { "time", true, 9, true, of_peers, cell_time },
    { "roofs allow", true, 9, true, peers_and_roofs, cell_roof_time },
    { "tok/s", true, 18, true, measured_run, cell_tps },
    { "FLOPs", true, 16, true, dry_run, cell_flops },
    { "W+KV bytes", true, 14, true, dry_run, cell_wkv },
    { "act. bytes", true, 14, true, dry_run, cell_act },
    { "OI W+KV", true, 8, true, NULL, cell_oi },
    { NULL, true, 12, true, in_sweep, cell_difference },
    { "OI DRAM", true, 8, true, NULL, cell_oi_dram },
    { "GFLOP/s", true, 8, true, measured_run, cell_gflops },
    { "GB/s", true, 6, true, measured_run, cell_gbps },
    { "of roof", true, 7, true, has_roofs, cell_share },
    { "bound", false, 8, true, has_roofs, cell_bound },
    { "weights", true, 9, true, dry_run, cell_weights },
    { "cache", true, 9, true, dry_run, cell_kv },
    { "scratch", true, 9, true, dry_run, cell_scratch },
};

const int rb_n_columns = sizeof rb_columns / sizeof *rb_columns;
