/* Records as comma-separated values: llama-bench's columns first, then ours, quoted as RFC 4180 has
 * it. The columns are fixed; what a record lacks is empty. Values are taken from the JSON record
 * and never computed here. Read next: record.c, which makes the records. */
#include "csv.h"

#include <stdlib.h>
#include <string.h>

static const rb_csv_column columns[] = {
    { "build_commit", NULL },
    { "build_number", NULL },
    { "cpu_info", NULL },
    { "gpu_info", NULL },
    { "backends", NULL },
    { "model_filename", NULL },
    { "model_type", NULL },
    { "model_size", NULL },
    { "model_n_params", NULL },
    { "n_batch", NULL },
    { "n_ubatch", NULL },
    { "n_threads", NULL },
    { "cpu_mask", NULL },
    { "cpu_strict", NULL },
    { "poll", NULL },
    { "type_k", NULL },
    { "type_v", NULL },
    { "n_gpu_layers", NULL },
    { "split_mode", NULL },
    { "main_gpu", NULL },
    { "no_kv_offload", NULL },
    { "flash_attn", NULL },
    { "tensor_split", NULL },
    { "use_mmap", NULL },
    { "embeddings", NULL },
    { "n_prompt", NULL },
    { "n_gen", NULL },
    { "n_depth", NULL },
    { "test_time", NULL },
    { "avg_ns", NULL },
    { "stddev_ns", NULL },
    { "avg_ts", NULL },
    { "stddev_ts", NULL },
    { "schema_version", NULL },
    { "phase", NULL },
    { "arch", NULL },
    { "attn_variant", NULL },
    { "attn_exact", NULL },
    { "attn_weights", NULL },
    { "attn_n_judged", NULL },
    { "attn_kl", NULL },
    { "attn_same_top", NULL },
    { "mla_auto", NULL },
    { "ffn_act", NULL },
    { "n_layer", NULL },
    { "n_layer_run", NULL },
    { "n_seq", NULL },
    { "n_draft", NULL },
    { "isa", NULL },
    { "act", NULL },
    { "env.model_digest", "model_digest" },
    { "median_ns", NULL },
    { "mad_ns", NULL },
    { "ci95_ns.0", "ci95_ns_lo" },
    { "ci95_ns.1", "ci95_ns_hi" },
    { "n_outlier", NULL },
    { "drift", NULL },
    { "drifts", NULL },
    { "median_ts", NULL },
    { "seed", NULL },
    { "peer.name", NULL },
    { "peer.build", NULL },
    { "peer.cpu", NULL },
    { "oi", NULL },
    { "oi_kernel", NULL },
    { "oi_issued", NULL },
    { "oi_attn", NULL },
    { "gflops", NULL },
    { "gbps", NULL },
    { "roof_gflops", NULL },
    { "roof_pct", NULL },
    { "bound", NULL },
    { "roof", NULL },
    { "roof_pairs", NULL },
    { "roof_ns", NULL },
    { "roof_launch_ns", NULL },
    { "blas", NULL },
    { "warm", NULL },
    { "roof_exceeded", NULL },
    { "phi", NULL },
    { "phi_log", NULL },
    { "flops", NULL },
    { "flops_extra", NULL },
    { "flops_saved", NULL },
    { "special", NULL },
    { "special_overhead", NULL },
    { "int_macs", NULL },
    { "bf16_macs", NULL },
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
    { "bytes_dram_model.read", NULL },
    { "bytes_dram_model.allocate", NULL },
    { "bytes_dram_model.write_back", NULL },
    { "oi_dram", NULL },
    { "cache_bytes", NULL },
    { "bytes_dram_pmu.read", NULL },
    { "bytes_dram_pmu.write", NULL },
    { "bytes_dram_pmu.total", NULL },
    { "bytes_dram_pmu.counted", NULL },
    { "oi_dram_pmu", NULL },
    { "kv_bytes_per_token", NULL },
    { "kv_fill", NULL },
    { "counts_assumed", NULL },
    { "memory.weights", NULL },
    { "memory.kv", NULL },
    { "memory.scratch", NULL },
    { "memory.total", NULL },
    { "selfcheck", NULL },
    { "interrupted", NULL },
    { "error", NULL },
};
enum { N_COLUMN = sizeof columns / sizeof *columns };

bool rb_csv_shows(const char *field)
{
    for (int i = 0; i < N_COLUMN; i++) {
        if (!strcmp(columns[i].field, field))
            return true;
    }
    return false;
}

static void put_name(FILE *out, const rb_csv_column *c)
{
    for (const char *name = c->name ? c->name : c->field; *name; name++)
        fputc(*name == '.' ? '_' : *name, out);
}

/* By the path of keys, or places in a list. NULL if there is no such field. */
static const json_t *field_of(const json_t *record, const char *path)
{
    const char *dot = strchr(path, '.');
    char key[64];
    if (json_is_array(record))
        return json_array_get(record, strtoul(path, NULL, 10));
    if (!dot)
        return json_object_get(record, path);
    snprintf(key, sizeof key, "%.*s", (int)(dot - path), path);
    return field_of(json_object_get(record, key), dot + 1);
}

static void put_text(FILE *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* Numbers as JSON has them, whatever the locale; booleans as llama-bench's 0 and 1. */
static void put_value(FILE *out, const json_t *v)
{
    char number[64];
    if (json_is_string(v))
        put_text(out, json_string_value(v));
    else if (json_is_boolean(v))
        fputc(json_is_true(v) ? '1' : '0', out);
    else if (json_is_number(v)) {
        size_t n = json_dumpb(v, number, sizeof number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        fwrite(number, 1, n <= sizeof number ? n : 0, out);
    }
}

void rb_csv_line(FILE *out, const rb_csv_column *column, int n, const json_t *record)
{
    for (int i = 0; i < n; i++) {
        if (i)
            fputc(',', out);
        if (record)
            put_value(out, field_of(record, column[i].field));
        else
            put_name(out, &column[i]);
    }
    fputc('\n', out);
}

void rb_csv_head(FILE *out)
{
    rb_csv_line(out, columns, N_COLUMN, NULL);
}

void rb_csv_row(FILE *out, const json_t *record)
{
    rb_csv_line(out, columns, N_COLUMN, record);
}
