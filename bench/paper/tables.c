/* Tables of the report that judge nothing: machines, roofs, rates, records.
 * Refuses to fill in what was not measured or not printed: a dash stands there.
 * Read next: tables.h, workloads.c. */
#include "tables.h"

#include "../record.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void columns(rb_sheet *g, const char *const *head, int n, int n_left)
{
    for (int i = 0; i < n; i++)
        rb_sheet_column(g, head[i], i >= n_left);
}

/* ---- machines ---- */

static void put_known(rb_sheet *g, double x)
{
    rb_sheet_number(g, 0, x > 0 ? x : NAN);
}

static void put_measured(rb_sheet *g, const rb_evidence *e)
{
    rb_sheet_put(g, 0, "%s", e->name);
    put_known(g, 0);
    rb_sheet_span(g, 0, &e->dram);
    for (int i = 0; i < 3; i++)
        put_known(g, 0);
    rb_sheet_span(g, 0, &(rb_span){ e->fma.at / 1000, e->fma.lo / 1000, e->fma.hi / 1000 });
    put_known(g, 0);
    put_known(g, 0);
    put_known(g, e->fma.at / e->dram.at);
}

void rb_table_of_devices(rb_sheet *g, const rb_evidence *e)
{
    static const char *const head[] = { "device",   "GB/s, theory",
                                        "measured", "FP16 TFLOP/s",
                                        "measured", "FP32 TFLOP/s",
                                        "measured", "ridge as printed",
                                        "measured", "measured FP32 over measured GB/s" };
    columns(g, head, 10, 1);
    for (int i = 0; i < e->devices.n; i++) {
        const rb_device *d = &e->devices.at[i];
        rb_sheet_put(g, 0, "%s", d->name);
        for (int b = 0; b < RB_N_BASIS; b++)
            put_known(g, d->gbps[b]);
        for (int b = 0; b < RB_N_BASIS; b++)
            put_known(g, d->fp16_gflops[b] / 1000);
        for (int b = 0; b < RB_N_BASIS; b++)
            put_known(g, d->fp32_gflops[b] / 1000);
        for (int b = 0; b < RB_N_BASIS; b++)
            put_known(g, d->ridge[b]);
        put_known(g, d->fp32_gflops[RB_MEASURED] / d->gbps[RB_MEASURED]);
    }
    for (int i = 0; i < e->n_overlay; i++)
        put_measured(g, &e->overlay[i]);
    put_measured(g, e);
}

void rb_table_of_roofs(rb_sheet *g, const rb_evidence *e)
{
    static const char *const head[] = { "roof", "kind", "value", "95 %", "unit", "samples" };
    size_t i;
    json_t *o;
    columns(g, head, 6, 2);
    json_array_foreach(e->roofs, i, o)
    {
        const json_t *ci = json_object_get(o, "ci95");
        const double value = json_number_value(json_object_get(o, "value"));
        char lo[32], hi[32];
        if (!json_is_object(o) || i > 64)
            continue;
        rb_sheet_put(g, 0, "%s", rb_field_text(o, "name"));
        rb_sheet_put(g, 0, "%s", rb_field_text(o, "kind"));
        rb_sheet_number(g, 0, value);
        rb_figure_text(json_number_value(json_array_get(ci, 0)), lo, sizeof lo);
        rb_figure_text(json_number_value(json_array_get(ci, 1)), hi, sizeof hi);
        rb_sheet_put(g, 0, json_array_size(ci) == 2 ? "%s to %s" : "%s%s",
                     json_array_size(ci) == 2 ? lo : "", json_array_size(ci) == 2 ? hi : "");
        rb_sheet_put(g, 0, "%s", rb_field_text(o, "unit"));
        rb_sheet_put(g, 0, "%lld", (long long)rb_field_int(o, "n_samples"));
    }
}

/* ---- rates ---- */

/* The rates of the paper, or those given, for the model and type, device by device. */
static void put_rated(rb_sheet *g, const rb_paper_row *r, rb_workload w, const rb_rates *rates)
{
    char text[RB_SHEET_CELL] = "";
    for (int i = 0; rates && i < rates->n; i++) {
        const rb_rated *x = &rates->at[i];
        if (!strcmp(x->model, r->model) && !strcmp(x->type, r->type))
            rb_plot_put(text, sizeof text, "%s%s: %g / %g", text[0] ? ", " : "", x->device,
                        x->rate[w].prefill, x->rate[w].decode);
    }
    if (text[0])
        rb_sheet_put(g, 0, "%s", text);
    else
        rb_sheet_number(g, 0, NAN);
}

void rb_table_of_rates(rb_sheet *g, const rb_evidence *e, const rb_rates *rates)
{
    static const char *const head[] = { "model",         "type",
                                        "workload",      "prompt, generated",
                                        "prefill tok/s", "decode tok/s",
                                        "bend",          "in one test, over the sum" };
    columns(g, head, 8, 3);
    rb_sheet_column(
        g, rates && rates->given ? "as given, prefill / decode" : "the paper, prefill / decode",
        true);
    for (int i = 0; i < e->n; i++) {
        const rb_paper_row *r = &e->row[i];
        if (r->part != RB_ROW_WORKLOAD || !rb_first_of_subject(e, r))
            continue;
        for (int w = 0; w < RB_N_WORKLOAD; w++) {
            const rb_workload_info *info = &rb_workload_infos[w];
            const rb_workload_sum s = rb_workload_of(e, r, (rb_workload)w);
            if (!s.has_prefill && !s.has_decode)
                continue;
            rb_sheet_put(g, 0, "%s", r->model);
            rb_sheet_put(g, 0, "%s", r->type);
            rb_sheet_put(g, 0, "%s", info->name);
            rb_sheet_put(g, 0, "%lld, %lld", (long long)info->n_prompt, (long long)info->n_gen);
            rb_sheet_span(g, s.prefill_id,
                          s.has_prefill ? &s.prefill : &(rb_span){ NAN, NAN, NAN });
            rb_sheet_span(g, s.decode_id, s.has_decode ? &s.decode : &(rb_span){ NAN, NAN, NAN });
            if (s.has_decode)
                rb_sheet_put(g, 0, "%.1f %%", 100 * s.bend);
            else
                rb_sheet_number(g, 0, NAN);
            rb_sheet_span(g, s.whole_id, &s.whole);
            put_rated(g, r, (rb_workload)w, rates);
        }
    }
}

/* ---- records ---- */

void rb_table_of_records(rb_sheet *g, const rb_evidence *e)
{
    static const char *const head[] = { "record", "part",    "model",   "type",  "attention",
                                        "layers", "test",    "tok/s",   "FLOPs", "bytes W+KV",
                                        "OI",     "GFLOP/s", "of roof", "bound" };
    char test[64];
    columns(g, head, 14, 5);
    for (int i = 0; i < e->n_all; i++) {
        const rb_paper_row *r = &e->row[i];
        rb_sheet_put(g, r->id, "%d", r->id);
        rb_sheet_put(g, 0, "%s", rb_row_part_name[r->part]);
        rb_sheet_put(g, 0, "%s", r->model);
        rb_sheet_put(g, 0, "%s", r->type);
        rb_sheet_put(g, 0, "%s", r->attn);
        rb_sheet_put(g, 0, "%lld", (long long)r->n_layer);
        rb_sheet_put(g, 0, "%s", rb_row_test(r, test, sizeof test));
        rb_sheet_span(g, 0, &r->tps);
        rb_sheet_put(g, 0, "%llu", (unsigned long long)r->flops);
        rb_sheet_put(g, 0, "%llu", (unsigned long long)r->bytes);
        rb_sheet_put(g, 0, "%.6g", r->oi);
        rb_sheet_number(g, 0, r->gflops);
        if (isfinite(r->roof_pct))
            rb_sheet_put(g, 0, "%.1f %%", r->roof_pct);
        else
            rb_sheet_number(g, 0, NAN);
        rb_sheet_put(g, 0, "%s", r->bound);
    }
}
