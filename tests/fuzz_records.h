/* What the fuzzers of records share: a file in memory, since records are read by name, and one full
 * record that those of an input are changes to: its JSON then is short, and every field is reached.
 * A field that is null is as good as missing. Read next: fuzz_records.c. */
#ifndef RB_FUZZ_RECORDS_H
#define RB_FUZZ_RECORDS_H

#include "../bench/record.h"
#include "fuzz_memory.h"
#include "fuzz_seeds.h"

enum { FUZZ_RECORDS = 64 }; /* of an input at most */

#define FUZZ_RECORD                                                                                \
    "{\"schema_version\":1,\"cpu_info\":\"a CPU\",\"isa\":\"avx2\",\"n_threads\":2,"               \
    "\"model_filename\":\"a/m.gguf\",\"model_type\":\"llama 1 M f16\",\"model_size\":99,"          \
    "\"model_n_params\":44,\"attn_variant\":\"gqa\",\"n_prompt\":0,\"n_gen\":8,\"n_depth\":16,"    \
    "\"n_draft\":0,\"n_seq\":1,\"n_batch\":2048,\"n_ubatch\":512,\"n_layer\":4,"                   \
    "\"n_layer_run\":4,\"type_k\":\"f16\",\"type_v\":\"f16\",\"act\":\"native\",\"blas\":false,"   \
    "\"mla_auto\":\"roof\",\"ffn_act\":\"silu\",\"seed\":1,\"phase\":\"decode\",\"flops\":4000,"   \
    "\"special\":7,\"int_macs\":5,\"bf16_macs\":0,\"bytes\":{\"weight\":900,\"kv_read\":60,"       \
    "\"kv_write\":30,\"act_read\":8,\"act_write\":9},\"bytes_dram_model\":{},\"oi\":4.04,"         \
    "\"oi_dram\":4.5,\"kv_bytes_per_token\":64,\"kv_fill\":\"real\",\"median_ns\":1000,"           \
    "\"avg_ns\":1000,\"gflops\":4,\"ci95_ns\":[900,1100],\"samples_ns\":[900,1000,1100],"          \
    "\"samples_ts\":[8.8e6,8e6,7.2e6],\"samples_roof_ns\":[500,500,500],"                          \
    "\"samples_paired\":[true,true,false],\"samples_read_dram\":[10,11,12],"                       \
    "\"samples_fma_f32\":[99,100],\"roof\":\"read_dram\",\"roof_pct\":60.5,"                       \
    "\"roof_gflops\":44,\"roof_exceeded\":false,\"bound\":\"memory\",\"attn_exact\":true,"         \
    "\"attn_kl\":0.1,\"env\":{\"model_digest\":\"xxh3:0\"},\"build_commit\":\"abc\","              \
    "\"build_number\":3,\"test_time\":\"2024-02-29T00:00:00Z\",\"peer\":{\"name\":\"llama.cpp\","  \
    "\"build\":\"b1\"},\"paper\":{\"part\":\"layers\",\"model\":\"m\",\"type\":\"f16\"},"          \
    "\"proxy\":{\"flops\":1e9,\"seconds\":2,\"oi\":0.5,\"gflops\":0.5,\"peak_bytes\":1e9},"        \
    "\"kernels\":[{\"op\":\"matmul\",\"site\":\"q\",\"ns\":600,\"flops\":3000,\"bytes\":{"         \
    "\"weight\":700}},{\"op\":\"norm\",\"site\":\"a\",\"ns\":400,\"flops\":9,\"bytes\":{}}],"      \
    "\"roofs\":[{\"name\":\"read_dram\",\"kind\":\"bandwidth\",\"value\":10,\"unit\":\"GB/s\","    \
    "\"n_threads\":2,\"isa\":\"avx2\",\"ci95\":[9,11]},{\"name\":\"fma_f32\",\"kind\":"            \
    "\"compute\",\"value\":100,\"n_threads\":2,\"isa\":\"avx2\"},{\"name\":\"dot_i8\",\"kind\":"   \
    "\"compute\",\"value\":200,\"n_threads\":2,\"isa\":\"avx2\"}]}"

/* The full record, read once. */
static inline json_t *fuzz_full(void)
{
    static json_t *full;
    if (!full && !(full = json_loads(FUZZ_RECORD, 0, NULL)))
        abort();
    return full;
}

/* The records of an input, as its bytes are read and then completed; NULL: they are refused. */
static inline json_t *fuzz_records(const uint8_t *data, size_t size, bool complete)
{
    json_t *records = NULL, *o;
    rb_error err = { 0 };
    size_t i;
    const rb_status status = rb_records_read(fuzz_file(data, size), &records, NULL, &err);
    if (status != RB_OK && !err.text[0])
        abort(); /* a refusal says why */
    if (status != RB_OK || json_array_size(records) > FUZZ_RECORDS) {
        json_decref(records);
        return NULL;
    }
    if (!complete)
        return records;
    json_array_foreach(records, i, o) json_object_update_missing(o, fuzz_full());
    return records;
}

/* Seeds: the full record, and lists of changes that make lines, pairs and parts. */
static inline void fuzz_record_seeds(const char *corpus)
{
    static const char *const seeds[] = {
        FUZZ_RECORD "\n" FUZZ_RECORD "\n{\"schema_version\":1,\"n_pro",
        "[{\"n_layer_run\":1,\"oi\":1},{\"n_layer_run\":2,\"oi\":2},{\"n_layer_run\":4,\"oi\":3}]",
        "[{\"n_depth\":1},{\"n_depth\":64},{\"n_depth\":512,\"isa\":\"avx512\"},{\"error\":\"x\"}]",
        "{\"n_gen\":0,\"n_prompt\":512}\n{\"n_gen\":9,\"n_prompt\":9}\n{\"n_seq\":4}{\"n_seq\":8}",
        "{\"n_gen\":0,\"n_prompt\":5,\"n_draft\":4}\n{\"interrupted\":true}\n{\"flops\":9}",
        "[{\"paper\":{\"part\":\"workload\",\"model\":\"m\",\"type\":\"f16\"},\"n_gen\":0,"
        "\"n_prompt\":128},{\"paper\":{\"part\":\"workload\",\"model\":\"m\",\"type\":\"f16\"},"
        "\"n_depth\":128},{\"paper\":{\"part\":\"workload\",\"model\":\"m\",\"type\":\"f16\"},"
        "\"n_depth\":4096},{\"paper\":{\"part\":\"workload\",\"model\":\"m\",\"type\":\"q8_0\"},"
        "\"n_gen\":0,\"n_prompt\":128}]",
        "[{\"paper\":{\"part\":\"trio\",\"model\":\"plm-1.8b\",\"type\":\"f16\"},\"attn_variant\":"
        "\"mla\"},{\"paper\":{\"part\":\"trio\",\"model\":\"smollm2-1.7b\",\"type\":\"f16\"},"
        "\"attn_variant\":\"mha\"},{\"paper\":{\"part\":\"forms\",\"model\":\"one\",\"type\":"
        "\"f16\"},\"attn_variant\":\"mla\",\"n_prompt\":64}]",
        "[{\"phase\":\"verify\"},{\"proxy\":null},{\"samples_ts\":[]},{\"roofs\":[]}]",
    };
    for (int i = 0; corpus && i < (int)(sizeof seeds / sizeof *seeds); i++) {
        fuzz_write(corpus, i, "", 0, seeds[i], strlen(seeds[i]));
        if (i != 1)
            fuzz_words(corpus, seeds[i]);
    }
}

#endif
