/* What config.json of a folder of the Hugging Face hub means: from the keys of transformers, old
 * and new, to a config. Defaults are those of transformers where files leave keys out.
 * Refuses, by name and with the reason, whatever would change the forward pass and is not done
 * here. Guesses nothing that a file must say. Read next: hf_names.c, metadata.c (the GGUF keys). */
#include "hf.h"

#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MOST_TEXT = 4 << 20 };           /* bytes of a config */
#define MOST_INTEGER ((int64_t)1 << 40) /* of any key; config.c has narrower limits */

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

/* ---- typed access ---- */

/* Like a reader: stays failed once it failed. */
typedef struct reader {
    const json_t *root;
    const family *family;
    const char *label;
    rb_status status;
    rb_error *err;
} reader;

static bool is_type(const reader *r, const char *type)
{
    return strcmp(r->family->type, type) == 0;
}

/* NULL if absent or null, which is the same to transformers. */
static const json_t *find(const reader *r, const json_t *o, const char *key)
{
    const json_t *v = r->status == RB_OK ? json_object_get(o, key) : NULL;
    return json_is_null(v) ? NULL : v;
}

static void wrong_type(reader *r, const char *key, const char *want)
{
    r->status = rb_fail(r->err, RB_ERR_FORMAT, "%s: key '%s' should be %s", r->label, key, want);
}

static int64_t integer(reader *r, const char *key, int64_t absent)
{
    const json_t *v = find(r, r->root, key);
    if (!v)
        return absent;
    const int64_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < 0 || n > MOST_INTEGER) {
        wrong_type(r, key, "a whole number from 0 on");
        return 0;
    }
    return n;
}

static double real(reader *r, const json_t *o, const char *key, double absent)
{
    const json_t *v = find(r, o, key);
    if (v && !json_is_number(v))
        wrong_type(r, key, "a number");
    return v ? json_number_value(v) : absent;
}

static bool flag(reader *r, const json_t *o, const char *key, bool absent)
{
    const json_t *v = find(r, o, key);
    if (v && !json_is_boolean(v))
        wrong_type(r, key, "true or false");
    return v ? json_is_true(v) : absent;
}

static const char *text(reader *r, const json_t *o, const char *key, const char *absent)
{
    const json_t *v = find(r, o, key);
    if (v && !json_is_string(v))
        wrong_type(r, key, "a string");
    return v && json_is_string(v) ? json_string_value(v) : absent;
}

static void require(reader *r, const json_t *o, const char *key)
{
    if (!find(r, o, key) && r->status == RB_OK)
        r->status = rb_fail(r->err, RB_ERR_FORMAT, "%s: key '%s' is missing", r->label, key);
}

static void require_all(reader *r, const char *const *key, size_t n)
{
    for (size_t i = 0; i < n; i++)
        require(r, r->root, key[i]);
}
#define REQUIRE(r, ...)                                                                            \
    require_all(r, (const char *const[]){ __VA_ARGS__ },                                           \
                sizeof(const char *const[]){ __VA_ARGS__ } / sizeof(const char *))

static void refuse(reader *r, const char *what)
{
    if (r->status == RB_OK)
        r->status = rb_fail(r->err, RB_ERR_UNSUPPORTED, "%s: %s", r->label, what);
}

static void refuse_if(reader *r, bool bad, const char *what)
{
    if (bad)
        refuse(r, what);
}

/* ---- which family ---- */

static void find_family(reader *r)
{
    require(r, r->root, "model_type");
    const char *const type = text(r, r->root, "model_type", "");
    const json_t *const list = find(r, r->root, "architectures");
    const char *const name = json_string_value(json_array_get(list, 0));
    int i = 0;
    while (i < N_FAMILY && strcmp(families[i].type, type) != 0)
        i++;
    if (r->status != RB_OK)
        return;
    if (i == N_FAMILY) {
        r->status = rb_fail(r->err, RB_ERR_UNSUPPORTED,
                            "%s: model_type '%.64s' is not supported; llama, mistral, mixtral, "
                            "qwen2, qwen3, qwen2_moe, qwen3_moe, gpt_neox, deepseek_v2, "
                            "deepseek_v3 and plm are",
                            r->label, type);
        return;
    }
    r->family = &families[i];
    if (name && strcmp(name, families[i].name) != 0)
        r->status = rb_fail(r->err, RB_ERR_UNSUPPORTED,
                            "%s: architecture '%.64s' is not supported; model_type '%s' is as '%s'",
                            r->label, name, type, families[i].name);
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

static void refuse_foreign(reader *r)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        const json_t *v = find(r, r->root, foreign[i]);
        if (v && !is_neutral(v))
            r->status = rb_fail(r->err, RB_ERR_UNSUPPORTED, "%s: key '%s' is not supported",
                                r->label, foreign[i]);
    }
    refuse_if(r, find(r, r->root, "quantization_config"),
              "quantised weights (quantization_config) are not supported; f32, f16 and bf16 are, "
              "and GGUF files of other types");
}

static void refuse_windows(reader *r, int64_t n_ctx)
{
    const int flags = r->family->flags;
    const bool mistral = is_type(r, "mistral"); /* whose window is there unless told otherwise */
    const json_t *said = json_object_get(r->root, "sliding_window");
    const int64_t window = integer(r, "sliding_window", mistral && !said ? 4096 : 0);
    const bool used = (flags & WINDOW) ||
                      ((flags & WINDOW_FLAG) && flag(r, r->root, "use_sliding_window", false));
    if (r->status == RB_OK && used)
        r->status = rb_refuse_window(r->label, window, n_ctx, r->err);
    const json_t *kinds = find(r, r->root, "layer_types"), *kind;
    size_t i;
    json_array_foreach(kinds, i, kind)
    {
        const char *const name = json_string_value(kind);
        refuse_if(r, !name || strcmp(name, "full_attention") != 0,
                  "layers of other kinds than full_attention (layer_types) are not supported");
    }
}

/* ---- rotary angles ---- */

/* Where rope parameters stand: a key of their own in files old and new; NULL: nowhere. */
static const json_t *rope_of(reader *r)
{
    static const char *const keys[] = { "rope_scaling", "rope_parameters" };
    for (int i = 0; i < 2; i++) {
        const json_t *o = find(r, r->root, keys[i]);
        if (o && !json_is_object(o))
            wrong_type(r, keys[i], "an object");
        if (json_object_size(o))
            return o;
    }
    return NULL;
}

static void refuse_nested(reader *r, const json_t *rope)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)rope, key, v) refuse_if(
        r, json_is_object(v), "rope parameters for each kind of layer apart are not supported");
}

static double factor_of(reader *r, const json_t *rope)
{
    require(r, rope, "factor");
    return real(r, rope, "factor", 1);
}

/* The context that a factor is of. */
static double trained_context(reader *r, const json_t *rope, const rb_config *c)
{
    const char *const key = "original_max_position_embeddings";
    return real(r, r->root, key, real(r, rope, key, (double)c->n_ctx_train));
}

static void read_llama3(reader *r, const json_t *rope, rb_hf *hf)
{
    require(r, rope, "low_freq_factor");
    require(r, rope, "high_freq_factor");
    hf->freqs.factor = factor_of(r, rope);
    hf->freqs.low = real(r, rope, "low_freq_factor", 0);
    hf->freqs.high = real(r, rope, "high_freq_factor", 0);
    hf->freqs.n_ctx = trained_context(r, rope, &hf->config);
    hf->config.rope_freqs = true;
    if (r->status == RB_OK && !(hf->freqs.factor > 0 && hf->freqs.low > 0 &&
                                hf->freqs.high > hf->freqs.low && hf->freqs.n_ctx > 0))
        r->status = rb_fail(r->err, RB_ERR_FORMAT,
                            "%s: rope scaling 'llama3' wants a factor, a context and 0 < "
                            "low_freq_factor < high_freq_factor",
                            r->label);
}

/* What grows with the logarithm of the factor in YaRN. */
static double yarn_scale(double factor, double mul)
{
    return factor <= 1 ? 1 : 0.1 * mul * log(factor) + 1;
}

static void read_yarn(reader *r, const json_t *rope, rb_config *c)
{
    rb_rope_scaling *s = &c->rope_scaling;
    const double factor = factor_of(r, rope), mul = real(r, rope, "mscale", 0);
    const double all = real(r, rope, "mscale_all_dim", 0);
    const double own = mul != 0 && all != 0 ? yarn_scale(factor, mul) / yarn_scale(factor, all)
                                            : yarn_scale(factor, 1);
    const double magnitude = real(r, rope, "attention_factor", own);
    const double fast = real(r, rope, "beta_fast", 0), slow = real(r, rope, "beta_slow", 0);
    const double n_ctx = trained_context(r, rope, c);
    refuse_if(r, !(factor >= 1), "a YaRN factor below 1 is not supported");
    refuse_if(r, !flag(r, rope, "truncate", true), "YaRN without truncate is not supported");
    refuse_if(r, c->arch == RB_ARCH_PLM, "YaRN is not known of this architecture");
    refuse_if(r, !(n_ctx >= 1 && n_ctx <= (double)MOST_INTEGER),
              "YaRN wants the context that was trained on");
    if (r->status != RB_OK)
        return;
    *s = (rb_rope_scaling){ .kind = RB_SCALING_YARN,
                            .factor = (float)factor,
                            .n_ctx_train = (int64_t)n_ctx,
                            .beta_fast = fast != 0 ? (float)fast : 32,
                            .beta_slow = slow != 0 ? (float)slow : 1,
                            .attn_factor = 1 };
    if (c->arch == RB_ARCH_DEEPSEEK2) {
        s->log_mul = (float)(0.1 * all);
        refuse_if(r, fabs(magnitude - 1) > 1e-6,
                  "YaRN whose mscale and mscale_all_dim differ is not supported");
    } else {
        s->attn_factor = (float)(magnitude / yarn_scale(factor, 1));
    }
}

static void read_rope(reader *r, rb_hf *hf)
{
    rb_config *c = &hf->config;
    const bool neox = c->arch == RB_ARCH_GPTNEOX;
    const json_t *const rope = rope_of(r);
    const double base = real(r, r->root, neox ? "rotary_emb_base" : "rope_theta",
                             is_type(r, "mixtral") ? 1e6 : 1e4);
    const double part =
        real(r, rope, "partial_rotary_factor",
             real(r, r->root, neox ? "rotary_pct" : "partial_rotary_factor", neox ? 0.25 : 1));
    const char *const type = text(r, rope, "rope_type", text(r, rope, "type", "default"));
    c->rope_base = (float)real(r, rope, "rope_theta", base);
    refuse_nested(r, rope);
    refuse_if(r, !(part > 0 && part <= 1) || (!neox && part != 1),
              "heads of which a part is rotated (partial_rotary_factor) are not supported here");
    if (neox && r->status == RB_OK)
        c->d_rot = (int64_t)((double)c->d_head_k * part);
    if (strcmp(type, "linear") == 0)
        c->rope_scaling =
            (rb_rope_scaling){ .kind = RB_SCALING_LINEAR, .factor = (float)factor_of(r, rope) };
    else if (strcmp(type, "yarn") == 0)
        read_yarn(r, rope, c);
    else if (strcmp(type, "llama3") == 0)
        read_llama3(r, rope, hf);
    else if (strcmp(type, "default") != 0 && r->status == RB_OK)
        r->status = rb_refuse_scaling(r->label, type, "default, linear, llama3 and yarn", r->err);
}

double rb_hf_divisor(const rb_hf *hf, int64_t j)
{
    const double angle =
        pow((double)hf->config.rope_base, -2.0 * (double)j / (double)hf->config.d_rot);
    const double turns = hf->freqs.n_ctx * angle / (2 * M_PI); /* within the trained context */
    if (turns > hf->freqs.high)
        return 1;
    if (turns < hf->freqs.low)
        return hf->freqs.factor;
    const double keep = (turns - hf->freqs.low) / (hf->freqs.high - hf->freqs.low);
    return 1 / ((1 - keep) / hf->freqs.factor + keep);
}

/* ---- layers ---- */

static void read_sizes(reader *r, rb_config *c)
{
    const char *const eps = c->norm == RB_NORM_LAYER ? "layer_norm_eps" : "rms_norm_eps";
    REQUIRE(r, "num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size",
            "num_attention_heads", "max_position_embeddings", eps);
    c->n_layer = integer(r, "num_hidden_layers", 0);
    c->n_embd = integer(r, "hidden_size", 0);
    c->n_ff = integer(r, "intermediate_size", 0);
    c->n_vocab = integer(r, "vocab_size", 0);
    c->n_ctx_train = integer(r, "max_position_embeddings", 0);
    c->norm_eps = (float)real(r, r->root, eps, 0);
    c->tied = flag(r, r->root, "tie_word_embeddings", c->arch == RB_ARCH_PLM);
}

static void read_activation(reader *r, rb_config *c)
{
    static const char *const usual[] = {
        [RB_FFN_SWIGLU] = "silu", [RB_FFN_RELU2] = "relu2", [RB_FFN_GELU] = "gelu"
    };
    const char *const act = text(r, r->root, "hidden_act", usual[c->ffn]);
    const bool known = c->ffn == RB_FFN_GELU ? rb_gelu_by_name(act, &c->gelu_erf)
                                             : strcmp(act, usual[c->ffn]) == 0;
    if (!known && r->status == RB_OK)
        r->status = rb_fail(r->err, RB_ERR_UNSUPPORTED,
                            "%s: hidden_act '%.32s' is not supported; of model_type '%s' %s is",
                            r->label, act, r->family->type, usual[c->ffn]);
}

static void read_heads(reader *r, rb_config *c)
{
    c->n_head = integer(r, "num_attention_heads", 0);
    if (r->family->flags & KV_REQUIRED)
        require(r, r->root, "num_key_value_heads");
    c->n_head_kv = integer(r, "num_key_value_heads", c->n_head);
    if (c->arch == RB_ARCH_GPTNEOX)
        c->n_head_kv = c->n_head;
    int64_t d = c->n_head > 0 ? c->n_embd / c->n_head : 0;
    if (c->arch != RB_ARCH_GPTNEOX && c->arch != RB_ARCH_QWEN2)
        d = integer(r, "head_dim", is_type(r, "qwen3") ? 128 : d);
    c->d_head_k = c->d_head_v = c->d_rot = d;
}

static void read_latent(reader *r, rb_config *c)
{
    REQUIRE(r, "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim");
    c->kv_lora_rank = integer(r, "kv_lora_rank", 0);
    c->q_lora_rank = integer(r, "q_lora_rank", 0);
    c->d_rot = integer(r, "qk_rope_head_dim", 0);
    c->d_head_k = integer(r, "qk_nope_head_dim", 0) + c->d_rot;
    c->d_head_v = integer(r, "v_head_dim", 0);
    refuse_if(r, c->n_head_kv != c->n_head,
              "latent attention with fewer num_key_value_heads than heads is not supported");
}

static void read_biases(reader *r, rb_config *c)
{
    const bool neox = c->arch == RB_ARCH_GPTNEOX;
    const bool attention = flag(r, r->root, "attention_bias", neox);
    const bool mlp = flag(r, r->root, "mlp_bias", false);
    if (r->family->flags & BIAS)
        c->qkv_bias = c->out_bias = attention;
    if (neox)
        refuse_if(r, !attention, "attention without biases is not known of this architecture");
    else
        refuse_if(r, mlp && (r->family->flags & (BIAS | NO_BIAS)),
                  "biases of the feed-forward (mlp_bias) are not supported here");
    refuse_if(r, attention && (r->family->flags & NO_BIAS),
              "biases of latent attention (attention_bias) are not supported");
    if (c->arch == RB_ARCH_QWEN2MOE)
        refuse_if(r, !flag(r, r->root, "qkv_bias", true),
                  "no biases of q, k and v (qkv_bias) are not known of this architecture");
}

/* ---- experts ---- */

static void read_routing(reader *r, rb_config *c)
{
    const bool v2 = is_type(r, "deepseek_v2"), v3 = is_type(r, "deepseek_v3");
    const char *const gating = v3 ? "sigmoid" : "softmax";
    const bool renorm = flag(r, r->root, "norm_topk_prob", v3);
    const char *const method = text(r, r->root, "topk_method",
                                    v2   ? "greedy"
                                    : v3 ? "noaux_tc"
                                         : "");
    c->gating = v3 ? RB_GATING_SIGMOID : RB_GATING_SOFTMAX;
    c->expert_bias = v3;
    if (v3)
        c->expert_renorm = renorm;
    else if (!is_type(r, "mixtral"))
        refuse_if(r, renorm != c->expert_renorm,
                  "shares of experts that do or do not sum to 1 (norm_topk_prob) otherwise than "
                  "in the published models of this architecture are not supported");
    if (!v2 && !v3)
        return;
    c->expert_scale = (float)real(r, r->root, "routed_scaling_factor", v3 ? 2.5 : 1);
    refuse_if(r, strcmp(text(r, r->root, "scoring_func", gating), gating) != 0,
              "its scoring_func is not supported; softmax (V2) and sigmoid (V3) are");
    refuse_if(r,
              v2 ? strcmp(method, "greedy") != 0 && strcmp(method, "group_limited_greedy") != 0
                 : strcmp(method, "noaux_tc") != 0,
              "its topk_method is not supported; greedy, group_limited_greedy (V2) and noaux_tc "
              "(V3) are");
    const int64_t groups = integer(r, "n_group", v3 ? 8 : 1);
    const int64_t used = integer(r, "topk_group", v3 ? 4 : 0);
    if (r->status == RB_OK && strcmp(method, "greedy") != 0)
        r->status = rb_refuse_groups(r->label, groups, used, r->err);
}

/* Which layers have experts: all, or all but the first. */
static void read_placement(reader *r, rb_config *c)
{
    const json_t *only = find(r, r->root, "mlp_only_layers");
    refuse_if(r,
              json_array_size(only) > 0 || integer(r, "decoder_sparse_step", 1) != 1 ||
                  integer(r, "moe_layer_freq", 1) != 1,
              "experts in some layers only (mlp_only_layers, decoder_sparse_step, "
              "moe_layer_freq) are not supported; the first layers may do without");
    if (c->arch != RB_ARCH_DEEPSEEK2)
        return;
    c->n_dense_lead = integer(r, "first_k_dense_replace", is_type(r, "deepseek_v3") ? 3 : 0);
    if (c->n_dense_lead >= c->n_layer)
        c->n_expert = 0;
}

static void read_experts(reader *r, rb_config *c)
{
    const bool own = c->arch == RB_ARCH_DEEPSEEK2;
    if (!own && !is_type(r, "mixtral") && c->arch != RB_ARCH_QWEN2MOE &&
        c->arch != RB_ARCH_QWEN3MOE) {
        c->expert_renorm = false;
        return;
    }
    const char *const count = own                                     ? "n_routed_experts"
                              : find(r, r->root, "num_local_experts") ? "num_local_experts"
                                                                      : "num_experts";
    const char *const width = is_type(r, "mixtral") ? "intermediate_size" : "moe_intermediate_size";
    if (!own)
        require(r, r->root, count);
    c->n_expert = integer(r, count, 0);
    read_placement(r, c);
    if (c->n_expert == 0) {
        c->n_dense_lead = 0;
        return;
    }
    REQUIRE(r, width, "num_experts_per_tok");
    c->n_ff_expert = integer(r, width, 0);
    c->n_expert_used = integer(r, "num_experts_per_tok", 0);
    if (own) {
        const int64_t n = integer(r, "n_shared_experts", 0);
        if (n > 4096)
            refuse(r, "its number of shared experts makes no sense");
        else
            c->n_ff_shared = n * c->n_ff_expert;
    } else if (c->arch == RB_ARCH_QWEN2MOE) {
        require(r, r->root, "shared_expert_intermediate_size");
        c->n_ff_shared = integer(r, "shared_expert_intermediate_size", 0);
    }
    read_routing(r, c);
}

/* ---- the config ---- */

static void read_all(reader *r, rb_hf *hf)
{
    rb_config *c = &hf->config;
    rb_config_set_arch(c, r->family->arch);
    hf->names = r->family->names;
    hf->halves = (r->family->flags & HALVES) != 0;
    hf->n_ahead = integer(r, "num_nextn_predict_layers", 0);
    refuse_foreign(r);
    read_sizes(r, c);
    read_activation(r, c);
    read_heads(r, c);
    read_biases(r, c);
    if (rb_arch_get(c->arch)->latent)
        read_latent(r, c);
    if (is_type(r, "deepseek_v3"))
        hf->halves = !flag(r, r->root, "rope_interleave", true);
    read_experts(r, c);
    refuse_windows(r, c->n_ctx_train);
    read_rope(r, hf);
    if (c->arch == RB_ARCH_GPTNEOX)
        c->parallel_residual = flag(r, r->root, "use_parallel_residual", true);
    rb_config_set_defaults(c);
}

rb_status rb_hf_config(rb_hf *hf, const rb_source *source, const char *name, rb_error *err)
{
    *hf = (rb_hf){ 0 };
    json_t *root = rb_json_read(source, 0, source->size, MOST_TEXT, err);
    if (!root)
        return err ? err->status : RB_ERR_FORMAT;
    reader r = { .root = root, .label = source->label, .err = err };
    find_family(&r);
    if (r.status == RB_OK)
        read_all(&r, hf);
    json_decref(root);
    rb_config_set_name(&hf->config, name);
    return r.status == RB_OK ? rb_refuse_config(source->label, &hf->config, err) : r.status;
}
