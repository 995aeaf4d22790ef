/* The columns of the main table: which runs want them and what stands in a cell. What cells have
 * that depend on the test alone is known before anything ran: how wide they are, and whether they
 * are all the same. It computes nothing: figures come from result.c. Read next: report.c. */
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

/* Rivals are told by what differs. */
static bool no_rivals(const rb_layout *l)
{
    return !l->rivals;
}

static bool has_rivals(const rb_layout *l)
{
    return l->rivals;
}

static bool measured_alone(const rb_layout *l)
{
    return !l->dry && !l->rivals;
}

static bool measured_rivals(const rb_layout *l)
{
    return !l->dry && l->rivals;
}

static bool is_judged(const rb_layout *l)
{
    return l->judged;
}

/* ---- cells ---- */

static void cell_model(const rb_place_in *p, char *buf)
{
    const rb_model *m = rb_subject_model(p->subject, &p->result->test);
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
    rb_count_text((double)rb_model_file_bytes(rb_subject_model(p->subject, &p->result->test)), buf,
                  RB_CELL - 1);
    strcat(buf, "B");
}

static void cell_params(const rb_place_in *p, char *buf)
{
    rb_count_text((double)rb_subject_model(p->subject, &p->result->test)->n_params, buf, RB_CELL);
}

static void cell_layers(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%lld", (long long)p->result->test.n_layer);
}

static void cell_variant(const rb_place_in *p, char *buf)
{
    rb_subject_attn(p->subject, &p->result->test, buf, RB_CELL);
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

static double per_token(const rb_result *r, double amount)
{
    return amount / (double)rb_test_tokens(&r->test);
}

static void cell_token_cache(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%lld", (long long)p->result->kv_bytes_per_token);
}

static void cell_token_flops(const rb_place_in *p, char *buf)
{
    rb_count_text(per_token(p->result, (double)p->result->total.cost.flops), buf, RB_CELL);
}

static void cell_token_wkv(const rb_place_in *p, char *buf)
{
    const rb_bytes b = rb_cost_bytes(&p->result->total.cost);
    rb_count_text(per_token(p->result, (double)rb_bytes_wkv(&b)), buf, RB_CELL - 1);
    strcat(buf, "B");
}

static void cell_oi_attn(const rb_place_in *p, char *buf)
{
    snprintf(buf, RB_CELL, "%.4g", rb_result_oi_attn(p->result));
}

static const rb_attn_note *note_of(const rb_place_in *p)
{
    return &rb_subject_model(p->subject, &p->result->test)->attn;
}

static void cell_exact(const rb_place_in *p, char *buf)
{
    const rb_attn_note *note = note_of(p);
    snprintf(buf, RB_CELL, "%s",
             note->synthetic                   ? "made up"
             : !note->converted || note->exact ? "yes"
                                               : "no");
}

/* NULL: the model itself, or it was not judged. */
static const rb_judged *judged(const rb_place_in *p)
{
    const int model = p->result->test.model;
    return model && p->subject->formed ? p->subject->formed[model - 1].judged : NULL;
}

static void cell_kl(const rb_place_in *p, char *buf)
{
    const rb_judged *j = judged(p);
    snprintf(buf, RB_CELL, j ? "%.3g" : "-", j ? rb_judged_kl(j) : 0);
}

static void cell_same_top(const rb_place_in *p, char *buf)
{
    const rb_judged *j = judged(p);
    snprintf(buf, RB_CELL, j ? "%.1f %%" : "-", j ? 100 * (double)j->n_same / (double)j->n : 0);
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
    { "model", false, 0, RB_OF_SETTING, NULL, cell_model },
    { "size", true, 0, RB_OF_SETTING, no_rivals, cell_size },
    { "params", true, 0, RB_OF_SETTING, no_rivals, cell_params },
    { "layers", true, 0, RB_OF_SETTING, NULL, cell_layers },
    { "variant", false, 0, RB_OF_SETTING, NULL, cell_variant },
    { "threads", true, 0, RB_OF_SETTING, measured_run, cell_threads },
    { "isa", false, 0, RB_OF_SETTING, NULL, cell_isa },
    { "ubatch", true, 0, RB_OF_SETTING, NULL, cell_ubatch },
    { "cache k v", false, 0, RB_OF_SETTING, NULL, cell_cache },
    { "test", false, 0, RB_OF_TEST, NULL, cell_test },
    { "engine", false, 0, RB_OF_SETTING, of_peers, cell_peer },
    { "time", true, 9, RB_OF_RESULT, of_peers, cell_time },
    { "roofs allow", true, 9, RB_OF_RESULT, peers_and_roofs, cell_roof_time },
    { "tok/s", true, 18, RB_OF_RESULT, measured_run, cell_tps },
    { "cache B/token", true, 7, RB_OF_RESULT, has_rivals, cell_token_cache },
    { "FLOPs/token", true, 8, RB_OF_RESULT, measured_rivals, cell_token_flops },
    { "W+KV/token", true, 9, RB_OF_RESULT, measured_rivals, cell_token_wkv },
    { "OI attn", true, 7, RB_OF_RESULT, has_rivals, cell_oi_attn },
    { "FLOPs", true, 16, RB_OF_RESULT, dry_run, cell_flops },
    { "W+KV bytes", true, 14, RB_OF_RESULT, dry_run, cell_wkv },
    { "act. bytes", true, 14, RB_OF_RESULT, dry_run, cell_act },
    { "OI W+KV", true, 8, RB_OF_RESULT, NULL, cell_oi },
    { NULL, true, 12, RB_OF_RESULT, in_sweep, cell_difference },
    { "OI DRAM", true, 8, RB_OF_RESULT, NULL, cell_oi_dram },
    { "GFLOP/s", true, 8, RB_OF_RESULT, measured_alone, cell_gflops },
    { "GB/s", true, 6, RB_OF_RESULT, measured_alone, cell_gbps },
    { "of roof", true, 7, RB_OF_RESULT, has_roofs, cell_share },
    { "bound", false, 8, RB_OF_RESULT, has_roofs, cell_bound },
    { "weights", true, 9, RB_OF_RESULT, dry_run, cell_weights },
    { "cache", true, 9, RB_OF_RESULT, dry_run, cell_kv },
    { "scratch", true, 9, RB_OF_RESULT, dry_run, cell_scratch },
};

const int rb_n_columns = sizeof rb_columns / sizeof *rb_columns;

const rb_column rb_form_columns[] = {
    { "variant", false, 0, RB_OF_TEST, NULL, cell_variant },
    { "size", true, 0, RB_OF_TEST, NULL, cell_size },
    { "params", true, 0, RB_OF_TEST, NULL, cell_params },
    { "exact", false, 0, RB_OF_TEST, NULL, cell_exact },
    { "KL, nats", true, 0, RB_OF_TEST, is_judged, cell_kl },
    { "same top", true, 0, RB_OF_TEST, is_judged, cell_same_top },
};

const int rb_n_form_columns = sizeof rb_form_columns / sizeof *rb_form_columns;
