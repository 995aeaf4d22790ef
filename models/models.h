/* Umbrella of models/: from a file, a preset or a recipe to weights in memory.
 * A model owns its weights; every rb_view in it borrows from its buffers. No arithmetic on
 * activations here. Read next: gguf.h (the format), arch.c (names to layers). */
#ifndef RB_MODELS_H
#define RB_MODELS_H

#include "../kernels/kernels.h"

#include "attn_form.h"

typedef enum {
    RB_ARCH_LLAMA,
    RB_ARCH_QWEN2,
    RB_ARCH_QWEN3,
    RB_ARCH_QWEN2MOE,
    RB_ARCH_QWEN3MOE,
    RB_ARCH_GPTNEOX,
    RB_ARCH_PLM,
    RB_ARCH_DEEPSEEK2,
    RB_N_ARCH
} rb_arch;
extern const char *const rb_arch_name[RB_N_ARCH]; /* "llama" ...: GGUF's general.architecture */

enum { RB_MAX_LAYER = 4096 };

typedef enum { RB_NORM_RMS, RB_NORM_LAYER } rb_norm_kind;              /* LayerNorm has biases */
typedef enum { RB_FFN_SWIGLU, RB_FFN_RELU2, RB_FFN_GELU } rb_ffn_kind; /* the last two ungated */

/* How rotary angles are stretched beyond the context that was trained on. */
typedef enum { RB_SCALING_NONE, RB_SCALING_LINEAR, RB_SCALING_YARN, RB_N_SCALING } rb_scaling_kind;
typedef struct rb_rope_scaling {
    rb_scaling_kind kind;
    float factor;        /* > 0 */
    int64_t n_ctx_train; /* YaRN: the context that factor is of */
    float beta_fast, beta_slow, attn_factor;
    float log_mul; /* deepseek2: of ln(factor), in the scale of scores */
} rb_rope_scaling;

/* The shape of a model, in the field's terms. All extents in elements. */
typedef struct rb_config {
    rb_arch arch;
    char name[64]; /* preset or general.name or file name; for tables only */
    int64_t n_layer, n_embd, n_ff, n_vocab;
    int64_t n_head, n_head_kv;
    int64_t d_head_k, d_head_v; /* key_length, value_length */
    int64_t d_rot;              /* rotated columns of a head; latent attention: its last ones */
    int64_t n_ctx_train;
    float norm_eps, rope_base;
    rb_rope_pairing rope_pairing;
    rb_rope_scaling rope_scaling;
    rb_norm_kind norm;
    rb_ffn_kind ffn;
    bool tied;              /* lm_head is the token embedding */
    bool qkv_bias;          /* qwen2 */
    bool out_bias;          /* of attention's output, where not every linear layer has one */
    bool qk_norm;           /* qwen3 */
    bool rope_freqs;        /* a table of frequency divisors (Llama 3) */
    bool linear_bias;       /* gptneox: every linear layer has a bias, and q, k, v are one matrix */
    bool parallel_residual; /* gptneox: attention and feed-forward read the same x */
    bool gelu_erf;          /* gptneox: GELU exactly; false: by tanh, or the file does not say */
    /* Multi-head latent attention (DeepSeek-V2): K and V of n_head heads come from one latent of
     * kv_lora_rank columns, but for d_rot columns of K that all heads share. 0: none. */
    int64_t kv_lora_rank, q_lora_rank; /* q_lora_rank 0: q is one matrix */
    bool mla_split;                    /* the file has k_b (transposed) and v_b, not kv_b */
    /* What no file but ours has: conversions of attention (attn_convert.h). */
    bool late_rope;      /* the latent is of whole heads: K is expanded, normed and then rotated */
    bool latent_plain;   /* the latent has no norm */
    int64_t n_key_block; /* the key that heads share is so many keys side by side, each normed and
                            rotated as a head; all of K is shared. 0: one key of d_rot columns */
    int64_t d_freq;      /* columns that angles are of, where every layer tells which of them its
                            d_rot are (rope_pairs). 0: they are d_rot */
    int64_t n_head_v;    /* heads of V; 0: n_head_kv */
    int64_t d_value_up;  /* GTA: columns that a head's d_head_v of V are decoded to after attention,
                            then gated. 0: none */
    float attn_scale;    /* what scores are multiplied by; 0: 1/sqrt(d_head_k) */
    /* Mixture of experts in the layers from n_dense_lead on. n_expert 0: none. */
    int64_t n_expert, n_expert_used, n_ff_expert, n_dense_lead;
    int64_t n_ff_shared; /* of the expert that every token takes; 0: none */
    rb_gating gating;
    bool expert_renorm, expert_bias; /* shares sum to 1; selection has a bias (DeepSeek-V3) */
    bool shared_gate;                /* qwen2moe: the shared expert has a gate of its own */
    bool experts_fused;              /* the file has gate and up in one stack */
    float expert_scale;
} rb_config;

static inline bool rb_config_is_mla(const rb_config *c)
{
    return c->kv_lora_rank > 0 && !c->late_rope;
}

/* Columns of K that all heads of a latent share, and those that each expands for itself. */
static inline int64_t rb_config_d_shared(const rb_config *c)
{
    return c->late_rope ? 0 : c->n_key_block ? c->d_head_k : c->d_rot;
}
static inline int64_t rb_config_d_nope(const rb_config *c)
{
    return c->d_head_k - rb_config_d_shared(c);
}

static inline int64_t rb_config_n_head_v(const rb_config *c)
{
    return c->n_head_v ? c->n_head_v : c->n_head_kv;
}

/* Columns of a head that W_o reads. */
static inline int64_t rb_config_d_out(const rb_config *c)
{
    return c->d_value_up ? c->d_value_up : c->d_head_v;
}

/* Columns that angles are of: pair j turns by base^(-2j / d_freq) a position. */
static inline int64_t rb_config_d_freq(const rb_config *c)
{
    return c->d_freq ? c->d_freq : c->d_rot;
}

/* Copies beyond the model's own layers are of its last. */
static inline bool rb_config_is_moe(const rb_config *c, int64_t layer)
{
    return c->n_expert > 0 && (layer < c->n_layer ? layer : c->n_layer - 1) >= c->n_dense_lead;
}

/* Weights of one layer; an absent weight has buffer NULL. Matrices are n = {1, 1, out, in}, those
 * by heads {1, n_head, out, in}, stacks of experts {1, 1, n_expert, out in}: one expert a row. */
typedef struct rb_layer {
    rb_view attn_norm, attn_norm_b;
    rb_view wq, wk, wv, wo;
    rb_view bq, bk, bv, bo;
    rb_view wqkv, bqkv; /* gptneox: rows of q, then of k, then of v */
    rb_view q_norm, k_norm;
    rb_view wq_a, q_a_norm, wq_b;
    rb_view wkv_a, kv_a_norm; /* rows of the latent, then of the rotated key */
    rb_view wkv_b;            /* per head rows of W_UK [d_nope][rank], then of W_UV [d_v][rank] */
    rb_view wk_b, wv_b;       /* or apart: W_UK transposed [rank][d_nope], W_UV [d_v][rank] */
    rb_view ffn_norm, ffn_norm_b;
    rb_view w_gate, w_up, w_down;
    rb_view b_up, b_down;
    rb_view router, router_bias;
    rb_view gate_exps, up_exps, down_exps;
    rb_view gate_shexp, up_shexp, down_shexp, inp_shexp;
    rb_view bkv_a;
    rb_view rope_pairs;               /* f32: which pair of d_freq / 2 each of d_rot / 2 is */
    rb_view w_attn_gate, b_attn_gate; /* GTA; its decoders are wv_b */
} rb_layer;

typedef struct rb_model {
    rb_config config;
    char format[16];  /* "gguf", "llama2.c", "safetensors", "preset", "synth" */
    rb_view tok_embd; /* {1, 1, V, H} */
    rb_view out_norm, out_norm_b;
    rb_view output;        /* {1, 1, V, H}; equals tok_embd if tied */
    rb_view rope_freqs;    /* d_freq/2 f32 divisors, or absent */
    rb_layer *layer;       /* n_layer_alloc of them */
    int64_t n_layer_alloc; /* >= config.n_layer once rb_model_extend was called */
    rb_buffer **buffer;    /* owned; one tensor each, their memory in slabs */
    int64_t n_buffer;
    rb_buffer *slab; /* owned: what tensors lie in, one after the other */
    int64_t n_slab, slab_at;
    size_t slab_used;              /* of slab[slab_at] */
    int n_threads;                 /* that will read the weights */
    rb_attn_note attn;             /* zeros, but for a model that rb_attn_convert made */
    uint64_t n_params;             /* elements of all tensors of the file's own layers */
    uint64_t bytes_of[RB_N_DTYPE]; /* bytes per dtype, same tensors */
} rb_model;

/* Opens MODEL by content: GGUF v2/v3 (split files: name the first), llama2.c v0/v1, a folder with
 * config.json and safetensors; if there is no such thing, a preset name (f16 matrices unless mix is
 * given, weights synthesised from seed 1). dry: metadata and shapes only, buffers without memory.
 * mix: NULL, or the types of a preset's matrices; n_layer: a preset's first so many layers, all
 * that there is then (0: its own number). Both are refused for files. */
typedef struct rb_model_params {
    bool dry;
    const struct rb_mix *mix;
    int64_t n_layer;
    uint64_t seed; /* of a preset's weights; 0: 1 */
    int n_threads; /* that will read the weights, each on its own node of memory; 0: one */
} rb_model_params;
rb_status rb_model_open(rb_model **model, const char *name, const rb_model_params *params,
                        rb_error *err);
/* Whether MODEL is a folder, so that it can only be one with config.json and safetensors. */
bool rb_model_is_folder(const char *name);
void rb_model_close(rb_model *model); /* NULL and half-built are fine */

/* Grows the model to n_layer layers: layers beyond its own are copies of its last layer, each in
 * memory of its own (weightless in a dry model). Never shrinks. */
rb_status rb_model_extend(rb_model *model, int64_t n_layer, rb_error *err);
/* Bytes of one copy of the last layer. */
int64_t rb_model_layer_bytes(const rb_model *model);

/* Replaces the matrices of every layer, and the output head, by their packed layouts where they
 * have one, for speed: the same bytes in another order, one matrix of memory more at a time. A tied
 * head becomes a packed copy of its own, since lookups read rows of the embedding. What is told of
 * the file (n_params, bytes_of) stays; a dry model changes its views only. May be called again, as
 * after rb_model_extend of a model that was not packed. A packed model cannot be written to a file.
 */
rb_status rb_model_pack(rb_model *model, rb_error *err);

/* ---- presets and synthesis ---- */

/* Known shapes, in the order of the list; by name, NULL if there is none. */
int rb_preset_count(void);
const rb_config *rb_preset_get(int i);
const rb_config *rb_preset_find(const char *name);

/* Applies "key=value" to a config: every extent and flag of rb_config by its name, and d_head,
 * arch, gating, rope_scaling, rope_factor ...; unknown keys and bad numbers fail. */
rb_status rb_config_set(rb_config *config, const char *assignment, rb_error *err);
/* The keys that rb_config_set knows, between spaces. */
const char *rb_config_keys(void);
/* The one line that is wrong with a config, as RB_ERR_FORMAT; RB_OK if it can be run. */
rb_status rb_config_check(const rb_config *config, rb_error *err);

/* What the angle of pair j (of d_freq / 2) is divided by: the model's own divisors and its
 * scaling (linear; YaRN: Peng et al. 2023, eq. 22-23). */
double rb_rope_divisor(const rb_model *model, int64_t j);
/* By how much rotated pair j (of d_rot / 2) of a layer turns each position. */
double rb_rope_step(const rb_model *model, int64_t layer, int64_t j);
/* What cos and sin of the angles are multiplied by: YaRN's attention factor, else 1. */
double rb_rope_magnitude(const rb_config *config);
/* What scores q . k are multiplied by: attn_scale or 1/sqrt(d_head_k), and YaRN's factor where it
 * stands here. */
float rb_score_scale(const rb_config *config);

/* A model with seeded random weights, in memory (dry: none). Element i of a tensor depends only on
 * (seed, tensor name, i): h = FNV1a64(name) ^ seed, splitmix64 output i+1 from state h. */
rb_status rb_model_synth(rb_model **model, const rb_config *config, rb_dtype type, uint64_t seed,
                         bool dry, rb_error *err);
/* The same with matrices of the types that a file of the mix has. */
rb_status rb_model_synth_mix(rb_model **model, const rb_config *config, const struct rb_mix *mix,
                             uint64_t seed, bool dry, rb_error *err);
/* The same with the shape of a model that was read (dry will do; not packed), each tensor in its
 * type: a file whose counts and speed are those of another's, without its weights. */
rb_status rb_model_synth_like(rb_model **model, const rb_model *like, uint64_t seed, bool dry,
                              rb_error *err);
/* Writes a model to a GGUF v3 file (under a temporary name, renamed when complete). stop(NULL) is
 * asked now and then; NULL: never stops. */
rb_status rb_gguf_write(const rb_model *model, const char *path, bool (*stop)(void *arg),
                        rb_error *err);

#include "attn_convert.h"
#include "chat.h"
#include "convert.h"
#include "replace.h"
#include "text.h"
#include "tokenizer.h"

#endif
