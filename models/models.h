/* Umbrella of models/: from a file, a preset or a recipe to weights in memory.
 * A model owns its weights; every rb_view in it borrows from its buffers. No arithmetic on
 * activations here. Read next: gguf.h (the format), arch.c (names to layers). */
#ifndef RB_MODELS_H
#define RB_MODELS_H

#include "../kernels/kernels.h"

typedef enum { RB_ARCH_LLAMA, RB_ARCH_QWEN2, RB_ARCH_QWEN3, RB_N_ARCH } rb_arch;
extern const char *const rb_arch_name[RB_N_ARCH]; /* "llama" ...: GGUF's general.architecture */

enum { RB_MAX_LAYER = 4096 };

/* The shape of a model, in the field's terms. All extents in elements. */
typedef struct rb_config {
    rb_arch arch;
    char name[64]; /* preset or general.name or file name; for tables only */
    int64_t n_layer, n_embd, n_ff, n_vocab;
    int64_t n_head, n_head_kv;
    int64_t d_head_k, d_head_v; /* key_length, value_length */
    int64_t d_rot;              /* rotated columns of a head */
    int64_t n_ctx_train;
    float norm_eps, rope_base;
    rb_rope_pairing rope_pairing;
    bool tied;       /* lm_head is the token embedding */
    bool qkv_bias;   /* qwen2 */
    bool qk_norm;    /* qwen3 */
    bool rope_freqs; /* a table of frequency divisors (Llama 3) */
} rb_config;

/* Weights of one layer; an absent weight has buffer NULL. Matrices are n = {1, 1, out, in}. */
typedef struct rb_layer {
    rb_view attn_norm;
    rb_view wq, wk, wv, wo;
    rb_view bq, bk, bv;
    rb_view q_norm, k_norm;
    rb_view ffn_norm;
    rb_view w_gate, w_up, w_down;
} rb_layer;

typedef struct rb_model {
    rb_config config;
    char format[16];  /* "gguf", "llama2.c", "preset", "synth" */
    rb_view tok_embd; /* {1, 1, V, H} */
    rb_view out_norm;
    rb_view output;        /* {1, 1, V, H}; equals tok_embd if tied */
    rb_view rope_freqs;    /* d_rot/2 f32 divisors, or absent */
    rb_layer *layer;       /* n_layer_alloc of them */
    int64_t n_layer_alloc; /* >= config.n_layer once rb_model_extend was called */
    rb_buffer **buffer;    /* owned; one tensor each, their memory in slabs */
    int64_t n_buffer;
    rb_buffer *slab; /* owned: what tensors lie in, one after the other */
    int64_t n_slab, slab_at;
    size_t slab_used;              /* of slab[slab_at] */
    uint64_t n_params;             /* elements of all tensors of the file's own layers */
    uint64_t bytes_of[RB_N_DTYPE]; /* bytes per dtype, same tensors */
} rb_model;

/* Opens MODEL by content: GGUF v2/v3 (split files: name the first), llama2.c v0/v1; if no such file
 * exists, a preset name (f16 matrices unless type is given, weights synthesised from seed 1).
 * dry: metadata and shapes only, buffers without memory.
 * type: RB_NO_DTYPE, or the dtype of a preset's matrices (refused for files). */
typedef struct rb_model_params {
    bool dry;
    rb_dtype type;
    uint64_t seed; /* of a preset's weights; 0: 1 */
} rb_model_params;
rb_status rb_model_open(rb_model **model, const char *name, const rb_model_params *params,
                        rb_error *err);
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

int rb_preset_count(void);
const rb_config *rb_preset_get(int i);
const rb_config *rb_preset_find(const char *name);

/* Applies "key=value" (n_layer, n_embd, n_ff, n_vocab, n_head, n_head_kv, d_head, d_rot, n_ctx,
 * norm_eps, rope_base, tied, rope_freqs, arch) to a config; unknown keys and bad numbers fail. */
rb_status rb_config_set(rb_config *config, const char *assignment, rb_error *err);
/* The one line that is wrong with a config, as RB_ERR_FORMAT; RB_OK if it can be run. */
rb_status rb_config_check(const rb_config *config, rb_error *err);

/* A model with seeded random weights, in memory (dry: none). Element i of a tensor depends only on
 * (seed, tensor name, i): h = FNV1a64(name) ^ seed, splitmix64 output i+1 from state h. */
rb_status rb_model_synth(rb_model **model, const rb_config *config, rb_dtype type, uint64_t seed,
                         bool dry, rb_error *err);
/* Writes a model to a GGUF v3 file (under a temporary name, renamed when complete). */
rb_status rb_gguf_write(const rb_model *model, const char *path, rb_error *err);

#endif
