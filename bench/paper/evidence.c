/* Fields of records, each checked once: numbers are finite and in range, counts are positive, texts
 * are there. What a row lacks is NaN, never 0.
 * Read next: evidence.h, workloads.c, claims.c. */
#include "evidence.h"

#include "../record.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const rb_row_part_name[RB_N_ROW_PART] = { "layers", "workload", "trio", "forms" };

enum { MOST_ROWS = 4096, MOST_SAMPLES = RB_MAX_REPS };
static const rb_span unknown = { NAN, NAN, NAN };

/* ---- fields ---- */

static double number_of(const json_t *v)
{
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static double positive(const json_t *o, const char *key)
{
    const double x = number_of(json_object_get(o, key));
    return x > 0 ? x : NAN;
}

static int64_t length(const json_t *o, const char *key)
{
    const int64_t n = rb_field_int(o, key);
    return n > 0 && n < INT32_MAX ? n : 0;
}

static uint64_t bytes_of(const json_t *o)
{
    static const char *const keys[] = { "weight", "kv_read", "kv_write" };
    const json_t *bytes = json_object_get(o, "bytes");
    uint64_t sum = 0;
    for (int i = 0; i < 3; i++) {
        const int64_t n = rb_field_int(bytes, keys[i]);
        if (__builtin_add_overflow(sum, n > 0 ? (uint64_t)n : 0, &sum))
            return 0;
    }
    return sum;
}

/* The interval of list, if it holds the figure. */
static rb_span span_of(double at, const json_t *list)
{
    const double lo = number_of(json_array_get(list, 0)), hi = number_of(json_array_get(list, 1));
    const bool holds = lo > 0 && lo <= at && hi >= at;
    return (rb_span){ at, holds ? lo : NAN, holds ? hi : NAN };
}

/* ---- rows ---- */

static int part_of(const char *name)
{
    for (int p = 0; p < RB_N_ROW_PART; p++)
        if (!strcmp(name, rb_row_part_name[p]))
            return p;
    return -1;
}

static rb_row_proxy proxy_of(const json_t *o)
{
    const double oi = positive(o, "oi");
    const rb_span s = span_of(positive(o, "seconds"), json_object_get(o, "seconds_bounds"));
    return (rb_row_proxy){ .flops = positive(o, "flops"),
                           .seconds = s.at,
                           .oi = oi,
                           .gflops = positive(o, "gflops"),
                           .peak_bytes = positive(o, "peak_bytes"),
                           .bounds = { oi, oi * s.at / s.hi, oi * s.at / s.lo } };
}

/* Of the kind of products that the record counts, as result.c has it. */
static double compute_roof(const rb_evidence *e, const json_t *o)
{
    return rb_field_int(o, "int_macs") > 0    ? e->i8.at
           : rb_field_int(o, "bf16_macs") > 0 ? e->bf16.at
                                              : e->fma.at;
}

static void read_times(rb_evidence *e, rb_paper_row *r, int *n_ts)
{
    const json_t *list = json_object_get(r->json, "samples_ts");
    const double tokens = (double)(r->n_prompt + r->n_gen) * 1e9;
    r->ns = span_of(positive(r->json, "median_ns"), json_object_get(r->json, "ci95_ns"));
    r->tps = (rb_span){ tokens / r->ns.at, tokens / r->ns.hi, tokens / r->ns.lo };
    r->gflops = (double)r->flops / r->ns.at;
    r->ts = &e->ts[*n_ts];
    for (size_t i = 0; i < json_array_size(list) && i < MOST_SAMPLES; i++) {
        const double x = number_of(json_array_get(list, i));
        if (x > 0)
            e->ts[*n_ts + r->n_ts++] = x;
    }
    *n_ts += r->n_ts;
}

static bool read_row(rb_evidence *e, const json_t *o, int id, int *n_ts)
{
    rb_paper_row *r = &e->row[e->n_all];
    const json_t *paper = json_object_get(o, "paper");
    const int part = part_of(rb_field_text(paper, "part"));
    const int64_t flops = rb_field_int(o, "flops");
    *r = (rb_paper_row){ .json = o,
                         .id = id,
                         .part = (rb_row_part)part,
                         .model = rb_field_text(paper, "model"),
                         .type = rb_field_text(paper, "type"),
                         .attn = rb_field_text(o, "attn_variant"),
                         .bound = rb_field_text(o, "bound"),
                         .n_prompt = length(o, "n_prompt"),
                         .n_gen = length(o, "n_gen"),
                         .n_depth = length(o, "n_depth"),
                         .n_layer = length(o, "n_layer_run"),
                         .kv_bytes = length(o, "kv_bytes_per_token"),
                         .flops = flops > 0 ? (uint64_t)flops : 0,
                         .bytes = bytes_of(o),
                         .roof_pct = positive(o, "roof_pct"),
                         .exact = json_is_true(json_object_get(o, "attn_exact")),
                         .kl = number_of(json_object_get(o, "attn_kl")),
                         .proxy = proxy_of(json_object_get(o, "proxy")) };
    r->decode = r->n_gen > 0;
    if (part < 0 || !r->model[0] || !r->type[0] || !r->flops || !r->bytes || !r->n_layer ||
        (!r->n_prompt && !r->n_gen))
        return false;
    r->oi = (double)r->flops / (double)r->bytes;
    read_times(e, r, n_ts);
    return true;
}

static int phases_of(const rb_paper_row *r)
{
    return !!r->n_prompt + !!r->n_gen;
}

static int by_phases(const void *a, const void *b)
{
    const rb_paper_row *x = a, *y = b;
    return phases_of(x) != phases_of(y) ? phases_of(x) - phases_of(y) : x->id - y->id;
}

static void sort_rows(rb_evidence *e)
{
    qsort(e->row, (size_t)e->n_all, sizeof *e->row, by_phases);
    while (e->n < e->n_all && phases_of(&e->row[e->n]) == 1)
        e->n++;
}

/* Numbers models and types in the order in which they come. */
static void number_rows(rb_evidence *e)
{
    int n_model = 0, n_type = 0;
    for (int i = 0; i < e->n_all; i++) {
        rb_paper_row *r = &e->row[i];
        r->model_no = r->type_no = -1;
        for (const rb_paper_row *b = e->row; b < r && (r->model_no < 0 || r->type_no < 0); b++) {
            if (!strcmp(b->model, r->model))
                r->model_no = b->model_no;
            if (!strcmp(b->type, r->type))
                r->type_no = b->type_no;
        }
        if (r->model_no < 0)
            r->model_no = n_model++;
        if (r->type_no < 0)
            r->type_no = n_type++;
    }
}

/* ---- roofs ---- */

static rb_span roof_of(const json_t *roofs, const char *name)
{
    size_t i;
    json_t *o;
    json_array_foreach(roofs, i, o)
    {
        if (!strcmp(rb_field_text(o, "name"), name))
            return span_of(positive(o, "value"), json_object_get(o, "ci95"));
    }
    return unknown;
}

/* What drifts is taken from the probes around the tests, as figures of rooflines take it: the value
 * that 19 of 20 stayed under, and their range. */
static rb_status follow_probes(rb_evidence *e, const json_t *records, rb_error *err)
{
    rb_plot_data data;
    const rb_status st = rb_plot_collect(&data, &(rb_plot_set){ records, "" }, 1, err);
    if (st != RB_OK)
        return st;
    const struct {
        const char *name;
        rb_span *to;
    } what[] = { { "read_dram", &e->dram }, { "fma_f32", &e->fma } };
    for (int i = 0; i < 2; i++) {
        const rb_plot_roof *roof = rb_plot_roof_named(&data.machine[0], what[i].name);
        if (roof && roof->low > 0)
            *what[i].to = (rb_span){ roof->value, roof->low, roof->high };
    }
    rb_plot_data_free(&data);
    return RB_OK;
}

/* Of the machine's records; then each row has its compute roof. */
static rb_status read_roofs(rb_evidence *e, const json_t *records, rb_error *err)
{
    for (size_t i = 0; i < json_array_size(records) && !e->roofs; i++)
        e->roofs = json_object_get(json_array_get(records, i), "roofs");
    e->dram = roof_of(e->roofs, "read_dram");
    e->fma = roof_of(e->roofs, "fma_f32");
    e->bf16 = roof_of(e->roofs, "dot_bf16");
    e->i8 = roof_of(e->roofs, "dot_i8");
    const rb_status st = follow_probes(e, records, err);
    for (int i = 0; i < e->n_all; i++)
        e->row[i].pi = compute_roof(e, e->row[i].json);
    return st;
}

/* ---- all of it ---- */

static size_t n_samples(const json_t *records)
{
    size_t i, n = 1;
    json_t *o;
    json_array_foreach(records, i, o)
    {
        const size_t size = json_array_size(json_object_get(o, "samples_ts"));
        n += size < MOST_SAMPLES ? size : MOST_SAMPLES;
    }
    return n;
}

rb_status rb_evidence_read(rb_evidence *e, const json_t *records, rb_error *err)
{
    const size_t size = json_array_size(records);
    int n_ts = 0;
    *e = (rb_evidence){ .name = "this machine" };
    if (size > MOST_ROWS)
        return rb_fail(err, RB_ERR_FORMAT, "a report is of %d records at most, here are %zu",
                       MOST_ROWS, size);
    rb_status st = rb_devices_read(&e->devices, NULL, err);
    if (st != RB_OK)
        return st;
    e->row = calloc(size + 1, sizeof *e->row);
    e->ts = calloc(n_samples(records), sizeof *e->ts);
    if (!e->row || !e->ts) {
        rb_evidence_free(e);
        return rb_fail(err, RB_ERR_MEMORY, "out of memory for the report");
    }
    for (size_t i = 0; i < size; i++) {
        const bool good = read_row(e, json_array_get(records, i), (int)i + 1, &n_ts);
        e->n_all += good;
        e->n_out += !good;
    }
    rb_evidence_choose(e);
    json_t *own = rb_evidence_own(e, records);
    st = read_roofs(e, own, err);
    json_decref(own);
    sort_rows(e);
    number_rows(e);
    if (st == RB_OK && e->n)
        return RB_OK;
    rb_evidence_free(e);
    return st != RB_OK ? st
                       : rb_fail(err, RB_ERR_FORMAT,
                                 "nothing to report: no record is of a part of the paper");
}

void rb_evidence_free(rb_evidence *e)
{
    free(e->row);
    free(e->ts);
    free(e->twin);
    for (int i = 0; i < e->n_overlay; i++)
        rb_evidence_free(&e->overlay[i]);
    free(e->overlay);
    *e = (rb_evidence){ .n = 0 };
}

/* ---- of rows ---- */

bool rb_same_subject(const rb_paper_row *a, const rb_paper_row *b)
{
    return !strcmp(a->model, b->model) && !strcmp(a->type, b->type) && !strcmp(a->attn, b->attn);
}

bool rb_same_test(const rb_paper_row *a, const rb_paper_row *b)
{
    return a->n_prompt == b->n_prompt && a->n_gen == b->n_gen && a->n_depth == b->n_depth &&
           a->n_layer == b->n_layer;
}

bool rb_first_of_subject(const rb_evidence *e, const rb_paper_row *r)
{
    for (const rb_paper_row *b = e->row; b < r; b++)
        if (b->part == r->part && rb_same_subject(b, r))
            return false;
    return true;
}

double rb_row_context(const rb_paper_row *r)
{
    return (double)r->n_depth + (double)(r->n_gen - 1) / 2;
}

char *rb_row_test(const rb_paper_row *r, char *buf, size_t size)
{
    const rb_test t = {
        .n_prompt = r->n_prompt, .n_gen = r->n_gen, .n_depth = r->n_depth, .n_seq = 1
    };
    return rb_test_name(&t, buf, size);
}

rb_span rb_row_speedup(const rb_paper_row *a, const rb_paper_row *b)
{
    const rb_ratio r = rb_ratio_of(a->ts, a->n_ts, b->ts, b->n_ts);
    if (!r.n_a)
        return (rb_span){ b->tps.at / a->tps.at, NAN, NAN };
    return (rb_span){ r.ratio, r.has_ci ? r.ci_lo : NAN, r.has_ci ? r.ci_hi : NAN };
}

bool rb_span_apart(const rb_span *a, const rb_span *b)
{
    return a->lo > b->hi || a->hi < b->lo;
}

bool rb_own_device(const rb_evidence *e, rb_device *d)
{
    *d = (rb_device){ .gbps = { 0, e->dram.at },
                      .fp32_gflops = { 0, e->fma.at },
                      .ridge = { 0, e->fma.at / e->dram.at } };
    memcpy(d->name, e->name, sizeof d->name);
    return e->dram.at > 0 && e->fma.at > 0;
}
