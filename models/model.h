/* How readers and synthesis build an rb_model: for models/ only.
 * Nothing here is for users of a finished model: they have models.h.
 * Read next: model.c. */
#ifndef RB_MODEL_H
#define RB_MODEL_H

#include "source.h"
#include "tensors.h"

/* A model without weights. config was checked. */
rb_status rb_model_new(rb_model **model, const rb_config *config, const char *format,
                       rb_error *err);
/* Gives the tensor memory (none if dry) and its view: f32 for vectors, dtype for matrices. */
rb_status rb_model_place(rb_model *model, const rb_tensor *tensor, rb_dtype dtype, bool dry,
                         rb_error *err);
/* Writes a placed tensor as rb_model_synth does. */
rb_status rb_model_fill(rb_model *model, const rb_tensor *tensor, uint64_t seed, rb_error *err);
/* Memory of the model's own (none if dry); NULL and err if there is none. */
rb_buffer *rb_model_buffer(rb_model *model, size_t bytes, bool dry, rb_error *err);
/* Matrices that are read by one launch if they are of one type. The groups of a layer are those
 * that packed layouts exist for: what is read by heads or by experts stays as files have it. */
enum { RB_N_GROUP = 8, RB_MOST_GROUP = 3 };
typedef struct rb_group {
    rb_view *w[RB_MOST_GROUP];
    int n;
} rb_group;
rb_group rb_layer_group(rb_layer *layer, int i);
/* Writes to.w[i] as from[i] is, or packs it if it is of the packed type. Every thread writes what
 * it will read, so that it lies in memory of its own node. */
void rb_model_write(const rb_model *model, const rb_group *to, const rb_view *from);
/* After all tensors are placed: the tied head, n_params, bytes_of. */
void rb_model_finish(rb_model *model);

/* The readers; each owns src from the call on, even on failure. path is NULL for memory. */
rb_status rb_model_from_gguf(rb_model **model, rb_source src, const char *path, bool dry,
                             rb_error *err);
rb_status rb_model_from_llama2c(rb_model **model, rb_source src, bool dry, rb_error *err);
/* Picks the reader by the first bytes and the size. */
rb_status rb_model_from_source(rb_model **model, rb_source src, const char *path, bool dry,
                               rb_error *err);
/* A folder as the Hugging Face hub has them: config.json and safetensors. */
rb_status rb_model_from_hf(rb_model **model, const char *dir, bool dry, rb_error *err);
/* What a llama2.c file starts with, if it has a magic number. */
#define RB_LLAMA2C_MAGIC 0x616b3432u

/* The dtype that a matrix with rows of cols elements really gets when type is wanted: llama.cpp's
 * fallbacks where the row is no multiple of the block. */
rb_dtype rb_dtype_fallback(rb_dtype type, int64_t cols);

/* The metadata of a model's attention, as rb_gguf_write has them: how many pairs it wrote. */
uint64_t rb_gguf_put_attention(FILE *f, const rb_model *model);

/* Of arch.c: what follows from the architecture alone. */
typedef enum { RB_EXPERTS_NEVER, RB_EXPERTS_MAYBE, RB_EXPERTS_ALWAYS } rb_has_experts;
typedef struct rb_arch_info {
    rb_rope_pairing pairing;
    rb_norm_kind norm;
    rb_ffn_kind ffn;
    bool qkv_bias, qk_norm;
    bool linear_bias;
    bool latent;
    rb_has_experts experts;
    bool expert_renorm; /* the files do not say */
} rb_arch_info;
const rb_arch_info *rb_arch_get(rb_arch arch);
rb_arch rb_arch_by_name(const char *name); /* RB_N_ARCH if unknown */
/* "llama, qwen2, ... and deepseek2" */
const char *rb_arch_list(char *buf, size_t size);
/* GELU by the names of the transformers library; false if it is another function. */
bool rb_gelu_by_name(const char *name, bool *erf);
extern const char *const rb_scaling_name[RB_N_SCALING]; /* as GGUF has them */
extern const char *const rb_gating_name[2];
/* Sets what follows from the architecture alone; then, where nothing is set, the defaults. */
void rb_config_set_arch(rb_config *config, rb_arch arch);
void rb_config_set_defaults(rb_config *config);
/* What a model has no use for gets one value, so that equal models have equal configs. */
void rb_config_clear_unused(rb_config *config);

/* A file name or title as config->name: cut to fit, control characters replaced. */
void rb_config_set_name(rb_config *config, const char *name);

/* Of refuse.c: RB_OK, or why a model cannot be run. label: the file. */
rb_status rb_refuse_window(const char *label, int64_t window, int64_t n_ctx, rb_error *err);
rb_status rb_refuse_groups(const char *label, int64_t n_group, int64_t n_used, rb_error *err);
rb_status rb_refuse_config(const char *label, const rb_config *config, rb_error *err);
/* Always refuses; known: the types that are not refused. */
rb_status rb_refuse_scaling(const char *label, const char *type, const char *known, rb_error *err);

#endif
