/* Records of the paper's parts, made up so that what they say is known. Aborts on its own failures.
 * Nothing here runs a test.
 * Read next: paper_records.h, test_paper_claims.c. */
#include "paper_records.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static json_t *samples(double at)
{
    json_t *list = json_array();
    for (int i = 0; i < 6; i++)
        json_array_append_new(list, json_real(at * (1 + 0.002 * (i - 2.5))));
    return list;
}

static json_t *proxy_of(const made_test *m)
{
    const double bytes = m->peak_bytes * m->seconds;
    return json_pack("{s:f,s:f,s:f,s:f,s:f,s:f,s:[f,f]}", "flops", m->proxy_flops, "bytes", bytes,
                     "seconds", m->seconds, "oi", m->proxy_flops / bytes, "gflops",
                     m->proxy_flops / m->seconds / 1e9, "peak_bytes", m->peak_bytes,
                     "seconds_bounds", m->seconds * 0.995, m->seconds * 1.005);
}

json_t *made_record(json_t *list, const made_test *m)
{
    const double tokens = (double)(m->n_prompt + m->n_gen);
    json_t *o = json_pack(
        "{s:i,s:s,s:s,s:s,s:i,s:I,s:I,s:I,s:I,s:I,s:{s:I,s:i,s:i},s:f,s:[f,f],s:s,s:i,s:i}",
        "schema_version", 1, "cpu_info", "a CPU", "isa", "scalar", "attn_variant",
        m->attn ? m->attn : "gqa", "n_threads", 2, "n_prompt", m->n_prompt, "n_gen", m->n_gen,
        "n_depth", m->n_depth, "n_layer_run", m->n_layer, "flops", m->flops, "bytes", "weight",
        m->bytes, "kv_read", 0, "kv_write", 0, "median_ns", m->ns, "ci95_ns", m->ns * 0.995,
        m->ns * 1.005, "bound", "memory", "n_layer", 30, "int_macs", 0);
    cr_assert_not_null(o);
    json_object_set_new(o, "samples_ts", samples(tokens * 1e9 / m->ns));
    json_object_set_new(
        o, "paper",
        json_pack("{s:s,s:s,s:s}", "part", m->part, "model", m->model, "type", m->type));
    if (m->peak_bytes > 0)
        json_object_set_new(o, "proxy", proxy_of(m));
    json_array_append_new(list, o);
    return o;
}

void made_roofs(json_t *list)
{
    json_object_set_new(json_array_get(list, 0), "roofs",
                        json_pack("[{s:s,s:s,s:f,s:s,s:i,s:s,s:[f,f]},{s:s,s:s,s:f,s:s,s:i,s:s}]",
                                  "name", "fma_f32", "kind", "compute", "value", 100.0, "unit",
                                  "GFLOP/s", "n_threads", 2, "isa", "scalar", "ci95", 95.0, 105.0,
                                  "name", "read_dram", "kind", "bandwidth", "value", 10.0, "unit",
                                  "GB/s", "n_threads", 2, "isa", "scalar"));
}

void made_sweep(json_t *list, const char *type, int64_t peak_at, double l_star)
{
    static const int64_t depth[] = { 1, 2, 3, 4, 5, 6, 8, 12, 16, 32 };
    for (size_t i = 0; i < sizeof depth / sizeof *depth; i++) {
        const int64_t l = depth[i];
        const double m = 1e9 * (l_star + (double)l), s = 2 * (l_star + (double)l);
        made_record(list, &(made_test){ "layers", "m", type, NULL, 0, 8, 128, l,
                                        peak_at ? 1000000 - 1000 * llabs(l - peak_at) : l * 1000000,
                                        peak_at ? 1000000 : 1000 + l * 1000, 1e6 * (double)l,
                                        l_star > 0 ? 1e9 * (double)l : 0, m, s });
    }
}

void made_workload(json_t *list, const made_subject *s)
{
    static const int64_t context[] = { 128, 4096, 8184 };
    for (int i = 0; i < 2; i++) {
        const int64_t n = i ? 4096 : 128;
        made_record(list,
                    &(made_test){ "workload", s->model, s->type, NULL, n, 0, 0, 30, n * 1000000,
                                  (int64_t)((double)n * 1e6 / s->prefill_oi[i]),
                                  (double)n * 1e9 / s->prefill_tps[i], 1e9 * (double)n, 1e9, 2 });
    }
    for (int i = 0; i < 3; i++) {
        const double tps = i ? s->decode_tps[1] : s->decode_tps[0];
        made_record(list,
                    &(made_test){ "workload", s->model, s->type, NULL, 0, 8, context[i], 30,
                                  8000000, (int64_t)(8e6 / s->decode_oi), 8e9 / tps, 1e9, 1e9, 2 });
    }
}

json_t *made_one_workload(double oi_128, double oi_4096, double decode_oi, double slow)
{
    json_t *list = json_array();
    made_workload(list,
                  &(made_subject){
                      "m", "f16", { oi_128, oi_4096 }, { 100, 90 }, decode_oi, { 50, 50 * slow } });
    return list;
}

json_t *made_two_types(double prefill, double decode)
{
    json_t *list = json_array();
    made_workload(list, &(made_subject){ "m", "f16", { 100, 500 }, { 100, 90 }, 1, { 50, 40 } });
    made_workload(list, &(made_subject){ "m",
                                         "q8_0",
                                         { 190, 900 },
                                         { 100 * prefill, 90 * prefill },
                                         1.9,
                                         { 50 * decode, 40 * decode } });
    return list;
}

void made_ways(json_t *list, const char *part, const made_way *w, int n)
{
    for (int i = 0; i < n; i++)
        for (int64_t l = 2; l <= 8; l *= 2) {
            const bool trio = !strcmp(part, "trio");
            made_record(list, &(made_test){ part, trio ? w[i].model : "one", "f16", w[i].attn, 0, 8,
                                            128, trio ? l : 4, (trio ? l : 4) * 1000000,
                                            (trio ? l : 4) * (int64_t)(1e6 / w[i].oi),
                                            (double)(trio ? l : 4) * 8e9 / w[i].tps / 20,
                                            w[i].proxy * (double)l, 1e9, 1 });
            if (!trio)
                break;
        }
}

json_t *made_everything(void)
{
    json_t *list = made_two_types(1.1, 1.8);
    const made_way w[] = { { "plm-1.8b", "mla", 10, 10, 30 },
                           { "smollm2-1.7b", "mha", 20, 20, 20 },
                           { "qwen2.5-1.5b", "gqa", 30, 30, 10 } };
    made_sweep(list, "f16", 0, 5);
    made_ways(list, "trio", w, 3);
    made_ways(list, "forms", w, 3);
    return list;
}
