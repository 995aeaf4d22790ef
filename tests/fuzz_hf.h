/* What the fuzzers of the hub's folders share: a small config of every family, and a container of
 * zeros with the tensors that it calls for. Sizes are made up, names come from the reader's table.
 * Read next: fuzz_safetensors.c, fuzz_config.c. */
#ifndef RB_FUZZ_HF_H
#define RB_FUZZ_HF_H

#include "../models/hf/hf.h"
#include "fuzz_seeds.h"

#define SIZES(type)                                                                                \
    "{\"model_type\":\"" type "\",\"num_hidden_layers\":2,\"hidden_size\":8,"                      \
    "\"intermediate_size\":8,\"vocab_size\":4,\"num_attention_heads\":2,"                          \
    "\"num_key_value_heads\":2,\"max_position_embeddings\":16,\"rms_norm_eps\":1e-5,"              \
    "\"layer_norm_eps\":1e-5,"
#define EXPERTS                                                                                    \
    "\"num_local_experts\":2,\"num_experts_per_tok\":1,\"moe_intermediate_size\":4,"               \
    "\"shared_expert_intermediate_size\":4,\"mlp_only_layers\":[],\"decoder_sparse_step\":1,"
#define LATENT                                                                                     \
    "\"kv_lora_rank\":4,\"qk_nope_head_dim\":2,\"qk_rope_head_dim\":2,\"v_head_dim\":2,"           \
    "\"n_routed_experts\":2,\"n_shared_experts\":1,\"num_experts_per_tok\":1,"                     \
    "\"moe_intermediate_size\":4,\"first_k_dense_replace\":1,\"n_group\":1,\"topk_group\":1,"

static const char *const fuzz_config[] = {
    SIZES("llama") "\"tie_word_embeddings\":true,\"attention_bias\":true,\"rope_scaling\":{"
                   "\"type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
                   "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8}}",
    SIZES("mistral") "\"sliding_window\":16,\"head_dim\":4,\"torch_dtype\":\"bfloat16\"}",
    SIZES("mixtral") EXPERTS "\"rope_theta\":1e6}",
    SIZES("qwen2") "\"use_sliding_window\":false,\"layer_types\":[\"full_attention\"]}",
    SIZES("qwen3") "\"head_dim\":6,\"rope_parameters\":{\"rope_theta\":1e4,\"rope_type\":\"yarn\","
                   "\"factor\":4.0,\"beta_fast\":32,\"beta_slow\":1,\"attention_factor\":1.2}}",
    SIZES("qwen2_moe") EXPERTS "\"norm_topk_prob\":false,\"qkv_bias\":true}",
    SIZES("qwen3_moe") EXPERTS "\"norm_topk_prob\":true,\"head_dim\":4}",
    SIZES("gpt_neox") "\"rotary_pct\":0.5,\"hidden_act\":\"gelu\",\"use_parallel_residual\":true,"
                      "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2}}",
    SIZES("deepseek_v2") LATENT "\"q_lora_rank\":null,\"topk_method\":\"greedy\","
                                "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":40,"
                                "\"mscale\":0.707,\"mscale_all_dim\":0.707}}",
    SIZES("deepseek_v3") LATENT "\"q_lora_rank\":4,\"rope_interleave\":false,"
                                "\"routed_scaling_factor\":2.5,\"num_nextn_predict_layers\":1}",
    SIZES("plm") LATENT "\"hidden_act\":\"relu2\",\"architectures\":[\"PLMForCausalLM\"]}",
};
enum { N_FUZZ_CONFIG = sizeof fuzz_config / sizeof *fuzz_config };

static inline rb_source fuzz_text(const char *text)
{
    return rb_source_memory("config.json", text, strlen(text));
}

typedef struct fuzz_bytes {
    char *data;
    size_t n;
} fuzz_bytes;

/* Entries of one tensor of the model; *at grows by their bytes. */
static inline void fuzz_entries(FILE *header, const rb_hf *hf, const rb_tensor *t, size_t *at)
{
    char name[RB_HF_NAME];
    const rb_hf_name *of = rb_hf_name_of(hf->names, t->suffix, 0);
    const bool matrix = rb_tensor_is_matrix(t) || t->kind == RB_TENSOR_VECTOR;
    for (int64_t e = 0; e < (t->stack ? t->stack : 1); e++) {
        const size_t bytes = (size_t)(t->rows * t->cols) * 2;
        char shape[64];
        const int n = matrix ? snprintf(shape, sizeof shape, "%lld,", (long long)t->rows) : 0;
        snprintf(shape + n, sizeof shape - (size_t)n, "%lld", (long long)t->cols);
        fprintf(header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                *at ? "," : "{", rb_hf_name_text(hf->names, of, t->layer, e, name),
                t->layer ? "F16" : "BF16", shape, *at, *at + bytes);
        *at += bytes;
    }
}

/* A container of what the config calls for, to be freed. */
static inline fuzz_bytes fuzz_container(const char *text)
{
    rb_hf hf;
    fuzz_bytes header = { 0 }, all = { 0 };
    size_t data = 0;
    const rb_source source = fuzz_text(text);
    FILE *f = open_memstream(&header.data, &header.n);
    if (!f || rb_hf_config(&hf, &source, "seed", NULL) != RB_OK)
        abort(); /* a seed that is refused is no seed */
    for (int64_t i = 0; i < rb_tensor_count(&hf.config); i++) {
        const rb_tensor t = rb_tensor_at(&hf.config, i);
        if (t.kind != RB_TENSOR_FREQS)
            fuzz_entries(f, &hf, &t, &data);
    }
    fputs("}", f);
    fclose(f);
    all.n = 8 + header.n + data;
    all.data = calloc(all.n, 1);
    if (!all.data)
        abort();
    memcpy(all.data, &(uint64_t){ header.n }, 8);
    memcpy(all.data + 8, header.data, header.n);
    free(header.data);
    return all;
}

/* A folder of this text and these bytes, all the way to a model. */
static inline rb_status fuzz_folder(rb_source text, const void *bytes, size_t n)
{
    rb_safetensors tensors;
    rb_model *m = NULL;
    rb_error err = { 0 };
    rb_status status = rb_safetensors_open_one(&tensors, rb_source_memory("fuzz", bytes, n), &err);
    if (status == RB_OK)
        status = rb_hf_load(&m, text, tensors, "fuzz", false, &err);
    else
        rb_safetensors_close(&tensors);
    fuzz_use(status, m, &err);
    return status;
}

#endif
