/* What config.json may say, key by key: what is refused and why, what is taken, and what of it ends
 * up where in the config.
 * Read next: hf_files.h, ../models/hf/hf_config.c. */
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "hf_files.h"

static rb_status read_config(const char *name, const char *changes, rb_hf *hf, rb_error *err)
{
    blob b = hf_config_with(name, changes);
    const rb_source text = rb_source_memory("config.json", b.data, b.n);
    const rb_status got = rb_hf_config(hf, &text, "m", err);
    blob_free(&b);
    return got;
}

#define ROPE(text) "{\"rope_parameters\":{\"rope_theta\":10000.0," text "}}"
#define YARN(text)                                                                                 \
    ROPE("\"rope_type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":8" text)

static const struct {
    const char *name, *changes;
    rb_status want;
    const char *word;
} refusals[] = {
    { "llama", "{\"model_type\":null}", RB_ERR_FORMAT, "'model_type' is missing" },
    { "llama", "{\"model_type\":7}", RB_ERR_FORMAT, "should be a string" },
    { "llama", "{\"model_type\":\"gemma\"}", RB_ERR_UNSUPPORTED, "'gemma' is not supported" },
    { "llama", "{\"architectures\":[\"LlamaForSequenceClassification\"]}", RB_ERR_UNSUPPORTED,
      "it is 'LlamaForCausalLM'" },
    { "llama", "{\"num_hidden_layers\":null}", RB_ERR_FORMAT, "'num_hidden_layers' is missing" },
    { "llama", "{\"hidden_size\":null}", RB_ERR_FORMAT, "'hidden_size' is missing" },
    { "llama", "{\"intermediate_size\":null}", RB_ERR_FORMAT, "is missing" },
    { "llama", "{\"vocab_size\":null}", RB_ERR_FORMAT, "is missing" },
    { "llama", "{\"num_attention_heads\":null}", RB_ERR_FORMAT, "is missing" },
    { "llama", "{\"max_position_embeddings\":null}", RB_ERR_FORMAT, "is missing" },
    { "llama", "{\"rms_norm_eps\":null}", RB_ERR_FORMAT, "'rms_norm_eps' is missing" },
    { "gpt_neox", "{\"layer_norm_eps\":null}", RB_ERR_FORMAT, "'layer_norm_eps' is missing" },
    { "qwen2", "{\"num_key_value_heads\":null}", RB_ERR_FORMAT, "is missing" },
    { "llama", "{\"num_hidden_layers\":-1}", RB_ERR_FORMAT, "whole number" },
    { "llama", "{\"num_hidden_layers\":2.0}", RB_ERR_FORMAT, "whole number" },
    { "llama", "{\"num_hidden_layers\":\"2\"}", RB_ERR_FORMAT, "whole number" },
    { "llama", "{\"num_hidden_layers\":1000000000000}", RB_ERR_FORMAT, "n_layer" },
    { "llama", "{\"num_hidden_layers\":9223372036854775807}", RB_ERR_FORMAT, "whole number" },
    { "llama", "{\"num_hidden_layers\":0}", RB_ERR_FORMAT, "n_layer is 0" },
    { "llama", "{\"hidden_size\":1099511627776}", RB_ERR_FORMAT, "n_embd" },
    { "llama", "{\"vocab_size\":1099511627776}", RB_ERR_FORMAT, "n_vocab" },
    { "llama", "{\"num_attention_heads\":0}", RB_ERR_FORMAT, "n_head is 0" },
    { "llama", "{\"num_key_value_heads\":0}", RB_ERR_FORMAT, "n_head_kv is 0" },
    { "llama", "{\"num_key_value_heads\":3}", RB_ERR_FORMAT, "no multiple of n_head_kv" },
    { "llama", "{\"num_key_value_heads\":[2,2]}", RB_ERR_FORMAT, "whole number" },
    { "llama", "{\"head_dim\":11}", RB_ERR_FORMAT, "d_rot is 11" },
    { "llama", "{\"head_dim\":1099511627776}", RB_ERR_FORMAT, "d_head_k" },
    { "llama", "{\"rms_norm_eps\":1e30}", RB_ERR_FORMAT, "norm_eps" },
    { "llama", "{\"hidden_act\":\"gelu\"}", RB_ERR_UNSUPPORTED, "hidden_act 'gelu'" },
    { "gpt_neox", "{\"hidden_act\":\"relu\"}", RB_ERR_UNSUPPORTED, "hidden_act 'relu'" },
    { "llama", "{\"mlp_bias\":true}", RB_ERR_UNSUPPORTED, "mlp_bias" },
    { "llama", "{\"attention_bias\":1}", RB_ERR_FORMAT, "true or false" },
    { "deepseek_v2", "{\"attention_bias\":true}", RB_ERR_UNSUPPORTED, "attention_bias" },
    { "deepseek_v2", "{\"mlp_bias\":true}", RB_ERR_UNSUPPORTED, "mlp_bias" },
    { "gpt_neox", "{\"attention_bias\":false}", RB_ERR_UNSUPPORTED, "without biases" },
    { "qwen2_moe", "{\"qkv_bias\":false}", RB_ERR_UNSUPPORTED, "qkv_bias" },
    { "llama", "{\"quantization_config\":{}}", RB_ERR_UNSUPPORTED, "quantization_config" },
    { "llama", "{\"attn_logit_softcapping\":50.0}", RB_ERR_UNSUPPORTED, "softcapping" },
    { "llama", "{\"embedding_multiplier\":12.0}", RB_ERR_UNSUPPORTED, "embedding_multiplier" },
    { "mistral", "{\"sliding_window\":64}", RB_ERR_UNSUPPORTED, "sliding-window" },
    { "mixtral", "{\"sliding_window\":64}", RB_ERR_UNSUPPORTED, "sliding-window" },
    { "qwen2", "{\"sliding_window\":64,\"use_sliding_window\":true}", RB_ERR_UNSUPPORTED,
      "sliding-window" },
    { "qwen3", "{\"layer_types\":[\"full_attention\",\"sliding_attention\"]}", RB_ERR_UNSUPPORTED,
      "layer_types" },
    { "llama", ROPE("\"rope_type\":\"dynamic\",\"factor\":2.0"), RB_ERR_UNSUPPORTED,
      "'dynamic' is not supported" },
    { "llama", ROPE("\"type\":\"longrope\",\"factor\":2.0"), RB_ERR_UNSUPPORTED,
      "'longrope' is not supported" },
    { "llama", ROPE("\"rope_type\":\"linear\""), RB_ERR_FORMAT, "'factor' is missing" },
    { "llama", ROPE("\"rope_type\":\"linear\",\"factor\":-1.0"), RB_ERR_FORMAT, "factor" },
    { "llama", ROPE("\"rope_type\":\"llama3\",\"factor\":8.0"), RB_ERR_FORMAT,
      "'low_freq_factor' is missing" },
    { "llama",
      ROPE("\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":4.0,"
           "\"high_freq_factor\":4.0"),
      RB_ERR_FORMAT, "low_freq_factor <" },
    { "llama", "{\"rope_parameters\":[1]}", RB_ERR_FORMAT, "should be an object" },
    { "llama", ROPE("\"full_attention\":{\"rope_type\":\"default\"}"), RB_ERR_UNSUPPORTED,
      "each kind of layer" },
    { "llama", ROPE("\"partial_rotary_factor\":0.5"), RB_ERR_UNSUPPORTED, "partial_rotary" },
    { "gpt_neox", ROPE("\"partial_rotary_factor\":1.5"), RB_ERR_UNSUPPORTED, "partial_rotary" },
    { "gpt_neox", ROPE("\"partial_rotary_factor\":0.25"), RB_ERR_FORMAT, "d_rot is 3" },
    { "llama", "{\"rope_parameters\":{\"rope_theta\":0.5}}", RB_ERR_FORMAT, "rope_base" },
    { "llama", "{\"rope_parameters\":{\"rope_theta\":1e300}}", RB_ERR_FORMAT, "rope_base" },
    { "llama", YARN(",\"truncate\":false"), RB_ERR_UNSUPPORTED, "truncate" },
    { "llama", ROPE("\"rope_type\":\"yarn\",\"factor\":0.5"), RB_ERR_UNSUPPORTED, "below 1" },
    { "llama", YARN(",\"beta_fast\":-3"), RB_ERR_FORMAT, "positive numbers" },
    { "deepseek_v2", YARN(""), RB_ERR_UNSUPPORTED, "mscale" },
    { "deepseek_v2", YARN(",\"mscale\":0.707,\"mscale_all_dim\":1.0"), RB_ERR_UNSUPPORTED,
      "mscale" },
    { "qwen2_moe", "{\"norm_topk_prob\":true}", RB_ERR_UNSUPPORTED, "norm_topk_prob" },
    { "qwen3_moe", "{\"norm_topk_prob\":false}", RB_ERR_UNSUPPORTED, "norm_topk_prob" },
    { "qwen3_moe", "{\"norm_topk_prob\":null}", RB_ERR_UNSUPPORTED, "norm_topk_prob" },
    { "deepseek_v2", "{\"norm_topk_prob\":true}", RB_ERR_UNSUPPORTED, "norm_topk_prob" },
    { "qwen2_moe", "{\"decoder_sparse_step\":2}", RB_ERR_UNSUPPORTED, "decoder_sparse_step" },
    { "qwen3_moe", "{\"mlp_only_layers\":[0]}", RB_ERR_UNSUPPORTED, "mlp_only_layers" },
    { "deepseek_v2", "{\"moe_layer_freq\":2}", RB_ERR_UNSUPPORTED, "moe_layer_freq" },
    { "deepseek_v3", "{\"moe_layer_freq\":[0,1]}", RB_ERR_FORMAT, "whole number" },
    { "qwen3_moe", "{\"num_local_experts\":null}", RB_ERR_FORMAT, "'num_experts' is missing" },
    { "qwen3_moe", "{\"num_local_experts\":0}", RB_ERR_FORMAT, "n_expert is 0" },
    { "mixtral", "{\"num_experts_per_tok\":null}", RB_ERR_FORMAT, "is missing" },
    { "mixtral", "{\"num_experts_per_tok\":5}", RB_ERR_FORMAT, "n_expert_used is 5" },
    { "qwen3_moe", "{\"moe_intermediate_size\":null}", RB_ERR_FORMAT, "is missing" },
    { "qwen2_moe", "{\"shared_expert_intermediate_size\":null}", RB_ERR_FORMAT, "is missing" },
    { "deepseek_v2", "{\"n_shared_experts\":1000000}", RB_ERR_UNSUPPORTED, "shared experts" },
    { "deepseek_v2", "{\"scoring_func\":\"sigmoid\"}", RB_ERR_UNSUPPORTED, "scoring_func" },
    { "deepseek_v3", "{\"scoring_func\":\"softmax\"}", RB_ERR_UNSUPPORTED, "scoring_func" },
    { "deepseek_v2", "{\"topk_method\":\"noaux_tc\"}", RB_ERR_UNSUPPORTED, "topk_method" },
    { "deepseek_v3", "{\"topk_method\":\"greedy\"}", RB_ERR_UNSUPPORTED, "topk_method" },
    { "deepseek_v2",
      "{\"topk_method\":\"group_limited_greedy\",\"n_group\":4,"
      "\"topk_group\":2}",
      RB_ERR_UNSUPPORTED, "groups of experts" },
    { "deepseek_v3", "{\"n_group\":4,\"topk_group\":2}", RB_ERR_UNSUPPORTED, "groups of experts" },
    { "deepseek_v3", "{\"n_group\":null,\"topk_group\":null}", RB_ERR_UNSUPPORTED,
      "groups of experts" },
    { "deepseek_v3", "{\"kv_lora_rank\":null}", RB_ERR_FORMAT, "'kv_lora_rank' is missing" },
    { "deepseek_v3", "{\"kv_lora_rank\":0}", RB_ERR_FORMAT, "kv_lora_rank is 0" },
    { "deepseek_v3", "{\"qk_rope_head_dim\":7}", RB_ERR_FORMAT, "d_rot is 7" },
    { "deepseek_v3", "{\"qk_nope_head_dim\":0}", RB_ERR_FORMAT, "wider than what is rotated" },
    { "deepseek_v3", "{\"num_key_value_heads\":2}", RB_ERR_UNSUPPORTED, "num_key_value_heads" },
    { "llama", "{\"max_position_embeddings\":0}", RB_ERR_FORMAT, "n_ctx is 0" },
};

Test(hf_config, refused)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        rb_hf hf;
        rb_error err = { 0 };
        const rb_status got = read_config(refusals[i].name, refusals[i].changes, &hf, &err);
        cr_assert_eq(got, refusals[i].want, "%s %s: wanted '%s', got %d: %s", refusals[i].name,
                     refusals[i].changes, refusals[i].word, got, err.text);
        cr_assert(strstr(err.text, refusals[i].word), "%s %s: wanted '%s' in: %s", refusals[i].name,
                  refusals[i].changes, refusals[i].word, err.text);
        cr_assert(!strncmp(err.text, "config.json: ", 13) && !strchr(err.text, '\n'), "%s",
                  err.text);
    }
}

Test(hf_config, taken)
{
    static const struct {
        const char *name, *changes;
    } of[] = {
        { "llama", "{\"architectures\":null}" },
        { "llama", "{\"head_dim\":null}" },
        { "llama", "{\"quantization_config\":null,\"logit_scale\":1.0,\"clip_qkv\":null}" },
        { "llama", "{\"sliding_window\":4}" }, /* a key that llama does not have */
        { "mistral", "{\"sliding_window\":128}" },
        { "qwen2", "{\"sliding_window\":64,\"use_sliding_window\":false}" },
        { "qwen2", "{\"layer_types\":null,\"mlp_bias\":true}" },
        { "qwen3_moe", "{\"num_local_experts\":null,\"num_experts\":4}" },
        { "deepseek_v3", "{\"moe_layer_freq\":1,\"scoring_func\":\"sigmoid\","
                         "\"topk_method\":\"noaux_tc\"}" },
        { "deepseek_v2", "{\"topk_method\":\"group_limited_greedy\",\"n_group\":2,"
                         "\"topk_group\":2}" },
        { "deepseek_v2", "{\"topk_method\":\"greedy\",\"n_group\":4,\"topk_group\":1}" },
        { "deepseek_v2", "{\"n_shared_experts\":null}" },
        { "deepseek_v2", "{\"n_routed_experts\":null}" },
        { "gpt_neox", "{\"num_key_value_heads\":1}" },
        { "llama", "{\"rope_parameters\":null}" },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        rb_hf hf;
        rb_error err = { 0 };
        cr_assert_eq(read_config(of[i].name, of[i].changes, &hf, &err), RB_OK, "%s %s: %s",
                     of[i].name, of[i].changes, err.text);
    }
}

static rb_config config_of(const char *name, const char *changes)
{
    rb_hf hf;
    rb_error err = { 0 };
    cr_assert_eq(read_config(name, changes, &hf, &err), RB_OK, "%s", err.text);
    return hf.config;
}

Test(hf_config, defaults_are_those_of_transformers)
{
    cr_expect_eq(config_of("qwen3", "{\"head_dim\":null}").d_head_k, 128);
    cr_expect_eq(config_of("qwen3_moe", "{\"head_dim\":null}").d_head_k, 6);
    cr_expect_eq(config_of("qwen2", "{\"head_dim\":8}").d_head_k, 8);
    cr_expect_eq(config_of("llama", "{\"num_key_value_heads\":null}").n_head_kv, 4);
    cr_expect_eq(config_of("llama", "{\"rope_parameters\":null}").rope_base, 1e4f);
    cr_expect_eq(config_of("mixtral", "{\"rope_parameters\":null}").rope_base, 1e6f);
    cr_expect_eq(config_of("llama", "{\"rope_parameters\":null,\"rope_theta\":5}").rope_base, 5);
    cr_expect_not(config_of("llama", "{\"tie_word_embeddings\":null}").tied);
    cr_expect_eq(config_of("deepseek_v3", "{\"first_k_dense_replace\":null}").n_expert, 0,
                 "three dense layers lead: all of these");
    cr_expect_eq(config_of("deepseek_v3", "{\"routed_scaling_factor\":null}").expert_scale, 2.5f);
    cr_expect(config_of("deepseek_v3", "{\"norm_topk_prob\":null}").expert_renorm);
    cr_expect_not(config_of("deepseek_v3", "{\"norm_topk_prob\":false}").expert_renorm);
    cr_expect(config_of("gpt_neox", "{\"use_parallel_residual\":null}").parallel_residual);
    cr_expect(config_of("gpt_neox", "{\"hidden_act\":null}").gelu_erf);
    cr_expect_not(config_of("gpt_neox", "{\"hidden_act\":\"gelu_new\"}").gelu_erf);
}

Test(hf_config, a_window_of_mistral_is_there_unless_told_otherwise)
{
    rb_hf hf;
    rb_error err = { 0 };
    cr_expect_eq(read_config("mistral",
                             "{\"sliding_window\":null,\"max_position_embeddings\":32768}", &hf,
                             &err),
                 RB_ERR_UNSUPPORTED, "absent: 4096");
    cr_expect(strstr(err.text, "4096 of 32768"), "%s", err.text);
    blob b = { 0 };
    static const char text[] =
        "{\"model_type\":\"mistral\",\"num_hidden_layers\":1,\"hidden_size\":8,\"vocab_size\":4,"
        "\"intermediate_size\":8,\"num_attention_heads\":1,\"num_key_value_heads\":1,"
        "\"max_position_embeddings\":32768,\"rms_norm_eps\":1e-5,\"sliding_window\":null}";
    blob_put(&b, text, sizeof text - 1);
    const rb_source said = rb_source_memory("config.json", b.data, b.n);
    cr_expect_eq(rb_hf_config(&hf, &said, "m", &err), RB_OK, "%s", err.text);
    blob_free(&b);
}

Test(hf_config, yarn)
{
    rb_config c = config_of("llama", YARN(",\"attention_factor\":1.5"));
    cr_expect_eq(c.rope_scaling.kind, RB_SCALING_YARN);
    cr_expect_float_eq(rb_rope_magnitude(&c), 1.5, 1e-6);
    c = config_of("llama", YARN(",\"mscale\":2.0,\"mscale_all_dim\":1.0"));
    cr_expect_float_eq(rb_rope_magnitude(&c), (1 + 0.2 * log(4)) / (1 + 0.1 * log(4)), 1e-6);
    c = config_of("llama", YARN(""));
    cr_expect_float_eq(rb_rope_magnitude(&c), 1 + 0.1 * log(4), 1e-6);
    c = config_of("llama", "{\"original_max_position_embeddings\":32,\"rope_parameters\":{"
                           "\"type\":\"yarn\",\"factor\":4}}");
    cr_expect_eq(c.rope_scaling.n_ctx_train, 32);
    c = config_of("deepseek_v2", YARN(",\"mscale\":0.5,\"mscale_all_dim\":0.5"));
    cr_expect_eq(rb_rope_magnitude(&c), 1);
    cr_expect_float_eq(rb_score_scale(&c), pow(1 + 0.05 * log(4), 2) / sqrt(14), 1e-6);
}

Test(hf_config, text_that_is_no_config)
{
    static const struct {
        const char *text, *word;
    } of[] = {
        { "", "line 1" },
        { "[]", "no object" },
        { "{\"model_type\":\"llama\"", "line 1" },
        { "{\"model_type\":\"llama\",\"model_type\":\"qwen2\"}", "duplicate" },
        { "{\"model_type\":NaN}", "line 1" },
        { "{}", "'model_type' is missing" },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        rb_hf hf;
        rb_error err = { 0 };
        const rb_source s = rb_source_memory("config.json", of[i].text, strlen(of[i].text));
        cr_assert_eq(rb_hf_config(&hf, &s, "m", &err), RB_ERR_FORMAT, "%s", of[i].text);
        cr_assert(strstr(err.text, of[i].word), "wanted '%s' in: %s", of[i].word, err.text);
        cr_assert_eq(rb_hf_config(&hf, &s, "m", NULL), RB_ERR_FORMAT);
    }
}
