/* What config.json of a folder of the Hugging Face hub means: from the keys of transformers, old
 * and new, to a config. Defaults are those of transformers where files leave keys out.
 * Refuses, by name and with the reason, whatever would change the forward pass and is not done
 * here. Guesses nothing that a file must say. Read next: hf_rope.c, hf_experts.c, hf_names.c. */
#include "hf_keys.h"

#include <string.h>

enum { MOST_TEXT = 4 << 20 }; /* bytes of a config */

/* ---- families ---- */

enum {
    HALVES = 1,       /* rotated pairs stand half a head apart, GGUF's side by side */
    WINDOW = 2,       /* sliding_window is in use if it is there */
    WINDOW_FLAG = 4,  /* sliding_window is in use if use_sliding_window says so */
    BIAS = 8,         /* attention_bias: of q, k, v and of the output */
    NO_BIAS = 16,     /* attention_bias and mlp_bias are of matrices that have none here */
    KV_REQUIRED = 32, /* num_key_value_heads has no default that makes sense */
};

typedef struct family {
    const char *type, *name; /* model_type, and what architectures says */
    rb_arch arch;
    rb_hf_names names;
    int flags;
} family;

static const family families[] = {
    { "llama", "LlamaForCausalLM", RB_ARCH_LLAMA, RB_HF_USUAL, HALVES | BIAS },
    { "mistral", "MistralForCausalLM", RB_ARCH_LLAMA, RB_HF_USUAL, HALVES | WINDOW | KV_REQUIRED },
    { "mixtral", "MixtralForCausalLM", RB_ARCH_LLAMA, RB_HF_MIXTRAL,
      HALVES | WINDOW | KV_REQUIRED },
    { "qwen2", "Qwen2ForCausalLM", RB_ARCH_QWEN2, RB_HF_USUAL, WINDOW_FLAG | KV_REQUIRED },
    { "qwen3", "Qwen3ForCausalLM", RB_ARCH_QWEN3, RB_HF_USUAL, WINDOW_FLAG | KV_REQUIRED | BIAS },
    { "qwen2_moe", "Qwen2MoeForCausalLM", RB_ARCH_QWEN2MOE, RB_HF_QWEN2MOE,
      WINDOW_FLAG | KV_REQUIRED },
    { "qwen3_moe", "Qwen3MoeForCausalLM", RB_ARCH_QWEN3MOE, RB_HF_USUAL,
      WINDOW_FLAG | KV_REQUIRED | BIAS },
    { "gpt_neox", "GPTNeoXForCausalLM", RB_ARCH_GPTNEOX, RB_HF_GPTNEOX, 0 },
    { "deepseek_v2", "DeepseekV2ForCausalLM", RB_ARCH_DEEPSEEK2, RB_HF_USUAL, NO_BIAS },
    { "deepseek_v3", "DeepseekV3ForCausalLM", RB_ARCH_DEEPSEEK2, RB_HF_USUAL, NO_BIAS },
    { "plm", "PLMForCausalLM", RB_ARCH_PLM, RB_HF_USUAL, NO_BIAS },
};
enum { N_FAMILY = sizeof families / sizeof *families };

/* ---- which family ---- */

/* NULL if none. */
static const family *find_family(rb_keys *r)
{
    rb_keys_require(r, r->root, "model_type");
    const char *const type = rb_keys_text(r, r->root, "model_type", "");
    const json_t *const list = rb_keys_find(r, r->root, "architectures");
    const char *const name = json_string_value(json_array_get(list, 0));
    int i = 0;
    while (i < N_FAMILY && strcmp(families[i].type, type) != 0)
        i++;
    if (r->status != RB_OK)
        return NULL;
    if (i == N_FAMILY) {
        r->status = rb_fail(r->err, RB_ERR_UNSUPPORTED,
                            "%s: model_type '%.64s' is not supported; llama, mistral, mixtral, "
                            "qwen2, qwen3, qwen2_moe, qwen3_moe, gpt_neox, deepseek_v2, "
                            "deepseek_v3 and plm are",
                            r->label, type);
        return NULL;
    }
    r->type = families[i].type;
    if (name && strcmp(name, families[i].name) != 0) {
        r->status =
            rb_fail(r->err, RB_ERR_UNSUPPORTED,
                    "%s: architecture '%.64s' is not supported; of model_type '%s' it is '%s'",
                    r->label, name, type, families[i].name);
        return NULL;
    }
    return &families[i];
}

/* ---- what is refused ---- */

/* Keys of relatives of these models that change the forward pass; 1 and 0 do not. */
static const char *const foreign[] = {
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "embedding_multiplier",
    "residual_multiplier",
    "attention_multiplier",
    "logits_scaling",
    "logit_scale",
    "scale_emb",
    "scale_depth",
    "dim_model_base",
    "query_pre_attn_scalar",
    "clip_qkv",
    "use_qk_norm",
    "qk_layernorm",
    "attention_chunk_size",
    "no_rope_layers",
    "compression_config",
};

static bool is_neutral(const json_t *v)
{
    const double n = json_number_value(v);
    return json_is_false(v) || (json_is_number(v) && (n == 0 || n == 1));
}

static void refuse_foreign(rb_keys *r)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        const json_t *v = rb_keys_find(r, r->root, foreign[i]);
        if (v && !is_neutral(v))
            r->status = rb_fail(r->err, RB_ERR_UNSUPPORTED, "%s: key '%s' is not supported",
                                r->label, foreign[i]);
    }
    rb_keys_refuse_if(
        r, rb_keys_find(r, r->root, "quantization_config"),
        "quantised weights (quantization_config) are not supported; f32, f16 and bf16 are, "
        "and GGUF files of other types");
}

static void refuse_windows(rb_keys *r, const family *f, int64_t n_ctx)
{
    const bool mistral =
        rb_keys_is_type(r, "mistral"); /* whose window is there unless told otherwise */
    const json_t *said = json_object_get(r->root, "sliding_window");
    const int64_t window = rb_keys_integer(r, "sliding_window", mistral && !said ? 4096 : 0);
    const bool used =
        (f->flags & WINDOW) ||
        ((f->flags & WINDOW_FLAG) && rb_keys_flag(r, r->root, "use_sliding_window", false));
    if (r->status == RB_OK && used)
        r->status = rb_refuse_window(r->label, window, n_ctx, r->err);
    const json_t *kinds = rb_keys_find(r, r->root, "layer_types"), *kind;
    size_t i;
    json_array_foreach(kinds, i, kind)
    {
        const char *const name = json_string_value(kind);
        rb_keys_refuse_if(
            r, !name || strcmp(name, "full_attention") != 0,
            "layers of other kinds than full_attention (layer_types) are not supported");
    }
}

/* ---- layers ---- */

static void read_sizes(rb_keys *r, rb_config *c)
{
    const char *const eps = c->norm == RB_NORM_LAYER ? "layer_norm_eps" : "rms_norm_eps";
    RB_KEYS_REQUIRE(r, "num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size",
                    "num_attention_heads", "max_position_embeddings", eps);
    c->n_layer = rb_keys_integer(r, "num_hidden_layers", 0);
    c->n_embd = rb_keys_integer(r, "hidden_size", 0);
    c->n_ff = rb_keys_integer(r, "intermediate_size", 0);
    c->n_vocab = rb_keys_integer(r, "vocab_size", 0);
    c->n_ctx_train = rb_keys_integer(r, "max_position_embeddings", 0);
    c->norm_eps = (float)rb_keys_real(r, r->root, eps, 0);
    c->tied = rb_keys_flag(r, r->root, "tie_word_embeddings", c->arch == RB_ARCH_PLM);
}

static void read_activation(rb_keys *r, rb_config *c)
{
    static const char *const usual[] = {
        [RB_FFN_SWIGLU] = "silu", [RB_FFN_RELU2] = "relu2", [RB_FFN_GELU] = "gelu"
    };
    const char *const act = rb_keys_text(r, r->root, "hidden_act", usual[c->ffn]);
    const bool known = c->ffn == RB_FFN_GELU ? rb_gelu_by_name(act, &c->gelu_erf)
                                             : strcmp(act, usual[c->ffn]) == 0;
    if (!known && r->status == RB_OK)
        r->status = rb_fail(r->err, RB_ERR_UNSUPPORTED,
                            "%s: hidden_act '%.32s' is not supported; of model_type '%s' %s is",
                            r->label, act, r->type, usual[c->ffn]);
}

static void read_heads(rb_keys *r, const family *f, rb_config *c)
{
    c->n_head = rb_keys_integer(r, "num_attention_heads", 0);
    if (f->flags & KV_REQUIRED)
        rb_keys_require(r, r->root, "num_key_value_heads");
    c->n_head_kv = rb_keys_integer(r, "num_key_value_heads", c->n_head);
    if (c->arch == RB_ARCH_GPTNEOX)
        c->n_head_kv = c->n_head;
    int64_t d = c->n_head > 0 ? c->n_embd / c->n_head : 0;
    if (c->arch != RB_ARCH_GPTNEOX)
        d = rb_keys_integer(r, "head_dim", rb_keys_is_type(r, "qwen3") ? 128 : d);
    c->d_head_k = c->d_head_v = c->d_rot = d;
}

static void read_latent(rb_keys *r, rb_config *c)
{
    RB_KEYS_REQUIRE(r, "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim");
    c->kv_lora_rank = rb_keys_integer(r, "kv_lora_rank", 0);
    c->q_lora_rank = rb_keys_integer(r, "q_lora_rank", 0);
    c->d_rot = rb_keys_integer(r, "qk_rope_head_dim", 0);
    c->d_head_k = rb_keys_integer(r, "qk_nope_head_dim", 0) + c->d_rot;
    c->d_head_v = rb_keys_integer(r, "v_head_dim", 0);
    rb_keys_refuse_if(
        r, c->n_head_kv != c->n_head,
        "latent attention with fewer num_key_value_heads than heads is not supported");
}

static void read_biases(rb_keys *r, const family *f, rb_config *c)
{
    const bool neox = c->arch == RB_ARCH_GPTNEOX;
    const bool attention = rb_keys_flag(r, r->root, "attention_bias", neox);
    const bool mlp = rb_keys_flag(r, r->root, "mlp_bias", false);
    if (f->flags & BIAS)
        c->qkv_bias = c->out_bias = attention;
    if (neox)
        rb_keys_refuse_if(r, !attention,
                          "attention without biases is not known of this architecture");
    else
        rb_keys_refuse_if(r, mlp && (f->flags & (BIAS | NO_BIAS)),
                          "biases of the feed-forward (mlp_bias) are not supported here");
    rb_keys_refuse_if(r, attention && (f->flags & NO_BIAS),
                      "biases of latent attention (attention_bias) are not supported");
    if (c->arch == RB_ARCH_QWEN2MOE)
        rb_keys_refuse_if(r, !rb_keys_flag(r, r->root, "qkv_bias", true),
                          "no biases of q, k and v (qkv_bias) are not known of this architecture");
}

/* ---- the config ---- */

static void read_all(rb_keys *r, const family *f, rb_hf *hf)
{
    rb_config *c = &hf->config;
    rb_config_set_arch(c, f->arch);
    hf->names = f->names;
    hf->halves = (f->flags & HALVES) != 0;
    hf->n_ahead = rb_keys_integer(r, "num_nextn_predict_layers", 0);
    refuse_foreign(r);
    read_sizes(r, c);
    read_activation(r, c);
    read_heads(r, f, c);
    read_biases(r, f, c);
    if (rb_arch_get(c->arch)->latent)
        read_latent(r, c);
    if (rb_keys_is_type(r, "deepseek_v3"))
        hf->halves = !rb_keys_flag(r, r->root, "rope_interleave", true);
    rb_hf_read_experts(r, c);
    refuse_windows(r, f, c->n_ctx_train);
    rb_hf_read_rope(r, hf);
    if (c->arch == RB_ARCH_GPTNEOX)
        c->parallel_residual = rb_keys_flag(r, r->root, "use_parallel_residual", true);
    rb_config_set_defaults(c);
}

rb_status rb_hf_config(rb_hf *hf, const rb_source *source, const char *name, rb_error *err)
{
    *hf = (rb_hf){ 0 };
    json_t *root = rb_json_read(source, 0, source->size, MOST_TEXT, err);
    if (!root)
        return err ? err->status : RB_ERR_FORMAT;
    rb_keys r = { .root = root, .label = source->label, .err = err };
    const family *const f = find_family(&r);
    if (f)
        read_all(&r, f, hf);
    json_decref(root);
    rb_config_set_name(&hf->config, name);
    return r.status == RB_OK ? rb_refuse_config(source->label, &hf->config, err) : r.status;
}
