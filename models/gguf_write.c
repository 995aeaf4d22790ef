/* A model as a GGUF file, with llama.cpp's key names, so that other programs load it too.
 * Refuses weightless (dry) and packed models.
 * Read next: gguf_file.c (the format), metadata.c, the other direction. */
#include "gguf_file.h"
#include "model.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 32 };

/* ---- metadata ---- */

/* Collected in memory, since their number stands before them. */
typedef struct meta {
    FILE *f;
    const char *arch; /* prefix of keys that start with a dot */
    uint64_t n;
} meta;

static void put_key(meta *m, const char *key, rb_gguf_type type)
{
    char text[96];
    snprintf(text, sizeof text, "%s%s", *key == '.' ? m->arch : "", key);
    rb_put_string(m->f, text);
    rb_put_uint(m->f, type, 4);
    m->n++;
}

static void put_text(meta *m, const char *key, const char *value)
{
    put_key(m, key, RB_GGUF_STRING);
    rb_put_string(m->f, value);
}

static void put_integer(meta *m, const char *key, int64_t value)
{
    /* llama.cpp reads these as u32; a context length may be larger. */
    bool wide = value > UINT32_MAX;
    put_key(m, key, wide ? RB_GGUF_U64 : RB_GGUF_U32);
    rb_put_uint(m->f, (uint64_t)value, wide ? 8 : 4);
}

static void put_real(meta *m, const char *key, float value)
{
    uint32_t u;
    memcpy(&u, &value, sizeof u);
    put_key(m, key, RB_GGUF_F32);
    rb_put_uint(m->f, u, 4);
}

static void put_flag(meta *m, const char *key, bool value)
{
    put_key(m, key, RB_GGUF_BOOL);
    rb_put_uint(m->f, value, 1);
}

/* Sizes of heads: of those in the files of today, where the latent is one head, and beside it. */
static void put_heads(meta *m, const rb_config *c)
{
    const bool mla = rb_config_is_mla(c) && !c->latent_plain, latent = mla && c->mla_split;
    put_integer(m, ".attention.head_count", c->n_head);
    put_integer(m, ".attention.head_count_kv", latent ? 1 : c->n_head_kv);
    put_integer(m, ".attention.key_length", latent ? c->kv_lora_rank + c->d_rot : c->d_head_k);
    put_integer(m, ".attention.value_length", latent ? c->kv_lora_rank : c->d_head_v);
    if (latent) {
        put_integer(m, ".attention.key_length_mla", c->d_head_k);
        put_integer(m, ".attention.value_length_mla", c->d_head_v);
    }
    if (mla)
        put_integer(m, ".attention.kv_lora_rank", c->kv_lora_rank);
    if (c->q_lora_rank)
        put_integer(m, ".attention.q_lora_rank", c->q_lora_rank);
    put_integer(m, ".rope.dimension_count", c->d_rot);
}

/* What no other program has keys for, nor tensors: it refuses such a file, by what is missing. */
static void put_own(meta *m, const rb_model *model)
{
    const rb_config *c = &model->config;
    char form[48];
    if (model->attn.converted) {
        put_text(m, "rbench.attention.form",
                 rb_attn_form_text(&model->attn.form, form, sizeof form));
        put_flag(m, "rbench.attention.exact", model->attn.exact);
        if (model->attn.n_calibrated)
            put_integer(m, "rbench.attention.calibrated", model->attn.n_calibrated);
    }
    if (c->latent_plain)
        put_integer(m, "rbench.attention.kv_lora_rank", c->kv_lora_rank);
    if (c->late_rope)
        put_flag(m, "rbench.attention.late_rope", true);
    if (c->n_key_block)
        put_integer(m, "rbench.attention.key_block_count", c->n_key_block);
    if (c->d_freq)
        put_integer(m, "rbench.attention.frequency_length", c->d_freq);
    if (c->n_head_v)
        put_integer(m, "rbench.attention.head_count_v", c->n_head_v);
    if (c->d_value_up)
        put_integer(m, "rbench.attention.value_up_length", c->d_value_up);
    if (c->attn_scale > 0)
        put_real(m, "rbench.attention.scale", c->attn_scale);
}

uint64_t rb_gguf_put_attention(FILE *f, const rb_model *model)
{
    meta m = { .f = f, .arch = rb_arch_name[model->config.arch] };
    put_heads(&m, &model->config);
    put_own(&m, model);
    return m.n;
}

static void put_rope(meta *m, const rb_config *c)
{
    const rb_rope_scaling *r = &c->rope_scaling;
    put_real(m, ".rope.freq_base", c->rope_base);
    if (r->kind == RB_SCALING_NONE)
        return;
    put_text(m, ".rope.scaling.type", rb_scaling_name[r->kind]);
    put_real(m, ".rope.scaling.factor", r->factor);
    if (r->kind != RB_SCALING_YARN)
        return;
    put_integer(m, ".rope.scaling.original_context_length", r->n_ctx_train);
    put_real(m, ".rope.scaling.attn_factor", r->attn_factor);
    put_real(m, ".rope.scaling.yarn_log_multiplier", r->log_mul);
    put_real(m, ".rope.scaling.yarn_beta_fast", r->beta_fast);
    put_real(m, ".rope.scaling.yarn_beta_slow", r->beta_slow);
}

/* What the architecture says by itself is written where llama.cpp reads it. */
static void put_experts(meta *m, const rb_config *c)
{
    if (c->arch == RB_ARCH_DEEPSEEK2)
        put_integer(m, ".leading_dense_block_count", c->n_expert ? c->n_dense_lead : c->n_layer);
    if (!c->n_expert)
        return;
    put_integer(m, ".expert_count", c->n_expert);
    put_integer(m, ".expert_used_count", c->n_expert_used);
    put_integer(m, ".expert_feed_forward_length", c->n_ff_expert);
    if (c->arch == RB_ARCH_QWEN2MOE)
        put_integer(m, ".expert_shared_feed_forward_length", c->n_ff_shared);
    if (c->arch == RB_ARCH_DEEPSEEK2) {
        put_integer(m, ".expert_shared_count", c->n_ff_shared / c->n_ff_expert);
        put_flag(m, ".expert_weights_norm", c->expert_renorm);
    }
    put_real(m, ".expert_weights_scale", c->expert_scale);
    put_integer(m, ".expert_gating_func", c->gating == RB_GATING_SIGMOID ? 2 : 1);
}

static void put_metadata(meta *m, const rb_model *model)
{
    const rb_config *c = &model->config;
    put_text(m, "general.architecture", rb_arch_name[c->arch]);
    put_text(m, "general.name", c->name);
    put_integer(m, "general.quantization_version", 2);
    put_integer(m, "general.alignment", ALIGNMENT);
    put_integer(m, ".block_count", c->n_layer);
    put_integer(m, ".context_length", c->n_ctx_train);
    put_integer(m, ".embedding_length", c->n_embd);
    put_integer(m, ".feed_forward_length", c->n_ff);
    put_integer(m, ".vocab_size", c->n_vocab);
    m->n += rb_gguf_put_attention(m->f, model);
    put_real(m,
             c->norm == RB_NORM_LAYER ? ".attention.layer_norm_epsilon"
                                      : ".attention.layer_norm_rms_epsilon",
             c->norm_eps);
    put_rope(m, c);
    put_experts(m, c);
    if (c->arch == RB_ARCH_GPTNEOX)
        put_flag(m, ".use_parallel_residual", c->parallel_residual);
    if (c->gelu_erf)
        put_text(m, ".hidden_activation", "gelu");
    put_text(m, "tokenizer.ggml.model", "no_vocab"); /* loaders insist on the key */
}

/* ---- the file ---- */

typedef struct writing {
    const rb_model *model;
    char *kv; /* malloced */
    size_t kv_bytes;
} writing;

static rb_status put_kv(FILE *f, void *arg, rb_error *err)
{
    const writing *w = arg;
    (void)err;
    fwrite(w->kv, 1, w->kv_bytes, f);
    return RB_OK;
}

static rb_gguf_entry entry(const void *arg, int64_t i)
{
    const writing *w = arg;
    const rb_tensor t = rb_tensor_at(&w->model->config, i);
    const rb_view *v = rb_tensor_view_of(w->model, &t);
    rb_gguf_entry e = { .n_dim = t.stack                   ? 3
                                 : rb_tensor_is_matrix(&t) ? 2
                                                           : 1,
                        .ne = { t.cols, t.rows, t.stack, 1 },
                        .dtype = v->dtype,
                        .bytes = v->buffer->bytes };
    snprintf(e.name, sizeof e.name, "%s", t.name);
    return e;
}

static rb_status put_data(FILE *f, void *arg, int64_t i, rb_error *err)
{
    const writing *w = arg;
    const rb_tensor t = rb_tensor_at(&w->model->config, i);
    const rb_buffer *b = rb_tensor_view_of(w->model, &t)->buffer;
    (void)err;
    fwrite(b->data, 1, b->bytes, f);
    return RB_OK;
}

static rb_status check_writable(const rb_model *model, const char *path, rb_error *err)
{
    if (!model->tok_embd.buffer->data)
        return rb_fail(err, RB_ERR_ARGUMENT, "%.300s: a dry model has no weights to write", path);
    for (int64_t i = 0; i < rb_tensor_count(&model->config); i++) {
        const rb_tensor t = rb_tensor_at(&model->config, i);
        if (rb_dtype_get(rb_tensor_view_of(model, &t)->dtype)->panel_rows > 1)
            return rb_fail(err, RB_ERR_ARGUMENT,
                           "%.300s: a packed model is no file's layout: write it before packing",
                           path);
    }
    return RB_OK;
}

rb_status rb_gguf_write(const rb_model *model, const char *path, bool (*stop)(void *arg),
                        rb_error *err)
{
    writing w = { .model = model };
    rb_status status = check_writable(model, path, err);
    if (status != RB_OK)
        return status;
    meta m = { .f = open_memstream(&w.kv, &w.kv_bytes), .arch = rb_arch_name[model->config.arch] };
    if (m.f)
        put_metadata(&m, model);
    if (m.f && fclose(m.f) == 0)
        status = rb_gguf_put(&(rb_gguf_content){ .n_kv = m.n,
                                                 .kv_bytes = w.kv_bytes,
                                                 .n_tensor = rb_tensor_count(&model->config),
                                                 .alignment = ALIGNMENT,
                                                 .put_kv = put_kv,
                                                 .entry = entry,
                                                 .put_data = put_data,
                                                 .arg = &w,
                                                 .stop = stop },
                             path, err);
    else
        status = rb_fail(err, RB_ERR_MEMORY, "out of memory");
    free(w.kv);
    return status;
}
