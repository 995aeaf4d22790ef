/* One kernel alone as a JSON object: what ran, its exact counts, what it took cold and warm and
 * where that is under the roofs. What was not measured is left out.
 * Refuses to compute figures: they are the result's. Read next: kernel_report.c. */
#include "csv.h"
#include "record.h"

#include <math.h>

static void put_number(json_t *o, const char *key, double x)
{
    json_object_set_new(o, key, rb_json_number(x));
}

static void put_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, text ? json_string(text) : json_null());
}

static void put_int(json_t *o, const char *key, int64_t n)
{
    json_object_set_new(o, key, json_integer(n));
}

static void put_bool(json_t *o, const char *key, bool b)
{
    json_object_set_new(o, key, json_boolean(b));
}

static void put_kernel(json_t *o, const rb_kernel_job *job)
{
    char name[128];
    const rb_kernel *k = job->kernel;
    json_t *shape = json_object();
    const rb_extent *e = rb_extents(k->op->id);
    for (int i = 0; e[i].name; i++)
        put_int(shape, e[i].name, job->shape.at[i]);
    put_text(o, "kernel", rb_kernel_name(k, name, sizeof name));
    put_text(o, "op", k->op->name);
    put_text(o, "type", job->type == RB_NO_DTYPE ? NULL : rb_dtype_get(job->type)->name);
    put_text(o, "variant", k->variant);
    put_text(o, "isa", rb_isa_name[k->isa]);
    put_bool(o, "proven", rb_counting_twin(k) != NULL);
    put_text(o, "unproven", k->unproven);
    put_bool(o, "chosen", job->chosen);
    json_object_set_new(o, "shape", shape);
    put_text(o, "shape_text", rb_sizes_text(k->op->id, &job->shape, name, sizeof name));
    put_int(o, "n_threads", job->n_threads);
}

static void put_counts(json_t *o, const rb_kernel_result *r)
{
    const rb_tally one = { .cost = r->cost, .calls = 1 };
    rb_record_cost(o, &r->cost);
    put_number(o, "oi", rb_tally_oi(&one));
    put_number(o, "oi_kernel", rb_tally_oi_kernel(&one));
    put_number(o, "oi_issued", rb_tally_oi_issued(&one));
}

static void put_place(json_t *o, const rb_place *p)
{
    json_object_set_new(o, "roof_pct", p->pct > 0 ? json_real(p->pct) : json_null());
    put_text(o, "bound", rb_bound_name[p->bound]);
    if (p->bound != RB_BOUND_NONE)
        put_text(o, "roof", rb_roof_infos[p->roof].name);
    put_bool(o, "roof_exceeded", p->above);
    put_number(o, "roof_ns", p->roof_ns);
    put_int(o, "roof_pairs", p->n_pairs);
}

static json_t *timing(const rb_kernel_result *r, rb_temper t)
{
    static const char *const level[] = { "l1", "l2", "l3", "dram" };
    const rb_kernel_timing *at = &r->at[t];
    json_t *o = json_object();
    put_number(o, "median_ns", at->ns.median);
    put_number(o, "mad_ns", at->ns.mad);
    json_object_set_new(
        o, "ci95_ns", at->ns.has_ci ? json_pack("[f,f]", at->ns.ci_lo, at->ns.ci_hi) : json_null());
    put_number(o, "min_ns", at->ns.min);
    put_number(o, "all_ns", at->all_ns);
    put_bool(o, "whole", at->whole);
    put_int(o, "n_samples", at->ns.n);
    put_int(o, "n_outlier", at->ns.n_outlier);
    put_number(o, "drift", at->ns.drift);
    put_bool(o, "drifts", at->ns.drifts);
    put_int(o, "launches", at->calls);
    put_int(o, "n_sets", at->n_sets);
    put_number(o, "gflops", rb_kernel_gflops(r, t));
    put_number(o, "gbps", rb_kernel_gbps(r, t));
    if (r->machine) {
        put_text(o, "level", level[at->level]);
        put_place(o, &at->place);
    }
    return o;
}

json_t *rb_kernel_record(const rb_kernel_result *r, const char *commit, rb_told *told)
{
    char cpu[128];
    json_t *o = json_object();
    put_int(o, "schema_version", RB_SCHEMA_VERSION);
    put_text(o, "record", "kernel");
    put_text(o, "build_commit", commit);
    put_text(o, "cpu_info", rb_host_cpu(cpu, sizeof cpu));
    put_kernel(o, &r->job);
    if (r->error[0]) {
        put_text(o, "error", r->error);
        return o;
    }
    put_counts(o, r);
    for (int t = 0; t < RB_N_TEMPER; t++)
        if (r->at[t].ns.n)
            json_object_set_new(o, rb_temper_name[t], timing(r, (rb_temper)t));
    put_bool(o, "lukewarm", r->lukewarm);
    if (r->interrupted)
        put_bool(o, "interrupted", true);
    if (r->machine)
        rb_record_roofs(o, r->machine, told);
    return o;
}

#define TIMING(t)                                                                                  \
    { t ".median_ns", NULL }, { t ".mad_ns", NULL }, { t ".ci95_ns.0", t "_ci95_ns_lo" },          \
        { t ".ci95_ns.1", t "_ci95_ns_hi" }, { t ".min_ns", NULL }, { t ".all_ns", NULL },         \
        { t ".whole", NULL }, { t ".n_samples", NULL }, { t ".launches", NULL },                   \
        { t ".n_sets", NULL }, { t ".gflops", NULL }, { t ".gbps", NULL }, { t ".level", NULL },   \
        { t ".roof_pct", NULL }, { t ".bound", NULL }, { t ".roof", NULL },                        \
        { t ".roof_exceeded", NULL }, { t ".roof_ns", NULL },                                      \
    {                                                                                              \
        t ".roof_pairs", NULL                                                                      \
    }

void rb_kernel_csv(FILE *out, const json_t *record)
{
    static const rb_csv_column columns[] = {
        { "build_commit", NULL },
        { "cpu_info", NULL },
        { "kernel", NULL },
        { "op", NULL },
        { "types.0", "type0" },
        { "types.1", "type1" },
        { "types.2", "type2" },
        { "variant", NULL },
        { "isa", NULL },
        { "proven", NULL },
        { "chosen", NULL },
        { "shape_text", "shape" },
        { "n_threads", NULL },
        { "flops", NULL },
        { "flops_extra", NULL },
        { "flops_saved", NULL },
        { "special", NULL },
        { "special_overhead", NULL },
        { "int_macs", NULL },
        { "dequant_ops.int", "dequant_int" },
        { "dequant_ops.conv", "dequant_conv" },
        { "dequant_ops.float", "dequant_float" },
        { "bytes.weight", NULL },
        { "bytes.kv_read", NULL },
        { "bytes.kv_write", NULL },
        { "bytes.act_read", NULL },
        { "bytes.act_write", NULL },
        { "bytes_issued.read", NULL },
        { "bytes_issued.write", NULL },
        { "oi", NULL },
        { "oi_kernel", NULL },
        { "oi_issued", NULL },
        TIMING("cold"),
        TIMING("warm"),
        { "lukewarm", NULL },
        { "interrupted", NULL },
        { "error", NULL },
    };
    rb_csv_line(out, columns, (int)(sizeof columns / sizeof *columns), record);
}
