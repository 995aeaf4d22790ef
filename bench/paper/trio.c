/* The paper's three models at the sizes at which it compares them: exact counts of a dry run, times
 * and the proxy's parts as lines over the layers that ran, drawn out to those that did not fit.
 * Refuses a model of which fewer than two depths ran, and counts by lines unless they are lines.
 * Read next: claims.h, claim_attention.c. */
#include "claims.h"

#include "../record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const rb_attn_kind_name[RB_N_KIND] = { "MLA", "MHA", "GQA" };

rb_attn_kind rb_attn_kind_of(const char *attn)
{
    return !strncmp(attn, "mla", 3)                               ? RB_KIND_MLA
           : !strncmp(attn, "mha", 3)                             ? RB_KIND_MHA
           : !strncmp(attn, "gqa", 3) || !strncmp(attn, "mqa", 3) ? RB_KIND_GQA
                                                                  : RB_N_KIND;
}

/* Near 1.5 G parameters, by the paper; of another preset its own, else the record's. */
static int64_t layers_of(const rb_paper_row *r)
{
    static const struct {
        const char *model;
        int64_t n;
    } paper[] = { { "qwen2.5-1.5b", 28 }, { "plm-1.8b", 26 }, { "smollm2-1.7b", 21 } };
    for (size_t i = 0; i < sizeof paper / sizeof *paper; i++)
        if (!strcmp(r->model, paper[i].model))
            return paper[i].n;
    const rb_config *preset = rb_preset_find(r->model);
    return preset ? preset->n_layer : rb_field_int(r->json, "n_layer");
}

/* ---- counts ---- */

/* The exact OI of r's test at n_run layers of its preset, which has n_own (0: its number), by a run
 * without weights. *flops: its FLOPs. NaN: it is no preset, or cannot run so. */
static double oi_of_dry_run(const rb_paper_row *r, int64_t n_own, int64_t n_run, uint64_t *flops)
{
    const rb_model_params dry = { .dry = true, .mix = rb_mix_by_name(r->type), .n_layer = n_own };
    const rb_session_params like = rb_session_defaults();
    const rb_test test = { .n_prompt = r->n_prompt,
                           .n_gen = r->n_gen,
                           .n_depth = r->n_depth,
                           .n_seq = 1,
                           .n_layer = n_run,
                           .n_batch = rb_field_int(r->json, "n_batch"),
                           .n_ubatch = rb_field_int(r->json, "n_ubatch"),
                           .n_threads = 1,
                           .type_k = like.type_k,
                           .type_v = like.type_v,
                           .isa = like.isa };
    const rb_bench_params params = { .n_reps = 1, .dry = true, .no_dram = true, .seed = 1 };
    rb_result *result = calloc(1, sizeof *result);
    rb_model *model = NULL;
    rb_bench *bench = NULL;
    rb_error err;
    double oi = NAN;
    if (result && rb_preset_find(r->model) && dry.mix &&
        rb_model_open(&model, r->model, &dry, &err) == RB_OK &&
        rb_bench_open(&bench, model, model, &params, &err) == RB_OK) {
        rb_bench_test(bench, &test, result);
        oi = result->error[0] ? NAN : rb_tally_oi(&result->total);
        *flops = result->total.cost.flops;
    }
    rb_bench_close(bench);
    rb_model_close(model);
    free(result);
    return oi;
}

/* Counted only if the same way to count gives what the record has at its own layers, so that all
 * options are those of the record. */
static double counted_oi(const rb_paper_row *r, int64_t n_layer)
{
    uint64_t flops = 0;
    const double oi = oi_of_dry_run(r, rb_field_int(r->json, "n_layer"), r->n_layer, &flops);
    return flops == r->flops && oi == r->oi ? oi_of_dry_run(r, 0, n_layer, &flops) : NAN;
}

/* ---- lines ---- */

/* What each depth gets of the value of the least-squares line at n_layer. */
static void weights_of(const rb_depths *d, double n_layer, double *weight)
{
    double mean = 0, square = 0;
    for (int i = 0; i < d->n; i++)
        mean += (double)d->at[i]->n_layer / d->n;
    for (int i = 0; i < d->n; i++)
        square += pow((double)d->at[i]->n_layer - mean, 2);
    for (int i = 0; i < d->n; i++)
        weight[i] = 1.0 / d->n + (n_layer - mean) * ((double)d->at[i]->n_layer - mean) / square;
}

static rb_span time_at(const rb_depths *d, double n_layer)
{
    double weight[RB_MOST_DEPTHS];
    rb_span t = { 0, 0, 0 };
    weights_of(d, n_layer, weight);
    for (int i = 0; i < d->n; i++) {
        const rb_span *ns = &d->at[i]->ns;
        t.at += weight[i] * ns->at;
        t.lo += weight[i] * (weight[i] > 0 ? ns->lo : ns->hi);
        t.hi += weight[i] * (weight[i] > 0 ? ns->hi : ns->lo);
    }
    return t;
}

static double misfit_of(const rb_depths *d)
{
    double most = 0;
    for (int i = 0; i < d->n; i++) {
        const double ns = d->at[i]->ns.at;
        most = fmax(most, fabs(time_at(d, (double)d->at[i]->n_layer).at - ns) / ns);
    }
    return most;
}

static void find_ratios(const rb_depths *d, rb_drawn_out *out)
{
    double weight[RB_MOST_DEPTHS], flops = 0, bytes = 0, f = 0, memory = 0, seconds = 0;
    const double counted = counted_oi(d->at[0], out->n_layer);
    weights_of(d, (double)out->n_layer, weight);
    for (int i = 0; i < d->n; i++) {
        flops += weight[i] * (double)d->at[i]->flops;
        bytes += weight[i] * (double)d->at[i]->bytes;
        f += weight[i] * d->at[i]->proxy.flops;
        memory += weight[i] * d->at[i]->proxy.peak_bytes;
        seconds += weight[i] * d->at[i]->proxy.seconds;
    }
    const double oi = f / (memory * seconds);
    out->counted = isfinite(counted);
    out->oi = out->counted ? counted : d->trend.equal_layers ? flops / bytes : NAN;
    out->proxy_oi = memory > 0 && seconds > 0 && f > 0 && isfinite(oi) ? oi : NAN;
}

bool rb_draw_out(const rb_evidence *e, const rb_paper_row *first, rb_drawn_out *out)
{
    rb_depths d;
    *out = (rb_drawn_out){ .kind = rb_attn_kind_of(first->attn), .n_layer = layers_of(first) };
    if (out->kind == RB_N_KIND || out->n_layer < 1 || !rb_depths_of(e, first, &d) || d.n < 2)
        return false;
    const rb_span t = time_at(&d, (double)out->n_layer);
    const double tokens = (double)(first->n_prompt + first->n_gen) * 1e9;
    const bool sure = t.at > 0 && t.lo > 0 && isfinite(t.hi);
    out->first = d.at[0];
    out->tps = (rb_span){ t.at > 0 ? tokens / t.at : NAN, sure ? tokens / t.hi : NAN,
                          sure ? tokens / t.lo : NAN };
    out->misfit = misfit_of(&d);
    find_ratios(&d, out);
    return true;
}
