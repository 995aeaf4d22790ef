/* Writing a model as GGUF v3, with llama.cpp's key names, so that other programs load it too.
 * The file appears under its name only when complete: it is written beside, synced and renamed.
 * Refuses weightless (dry) models. Read next: gguf_read.c, the other direction. */
#include "gguf.h"
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALIGNMENT = 32, VERSION = 3 };

/* stdio keeps its errors until they are asked for, once, at the end. */

static void put_uint(FILE *f, uint64_t u, int n)
{
    for (int i = 0; i < n; i++)
        putc((int)(u >> 8 * i & 0xff), f);
}

static void put_string(FILE *f, const char *s)
{
    put_uint(f, strlen(s), 8);
    fputs(s, f);
}

static void put_zeros(FILE *f, uint64_t n)
{
    while (n-- > 0)
        putc(0, f);
}

static uint64_t padding(uint64_t n)
{
    return (ALIGNMENT - n % ALIGNMENT) % ALIGNMENT;
}

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
    put_string(m->f, text);
    put_uint(m->f, type, 4);
    m->n++;
}

static void put_text(meta *m, const char *key, const char *value)
{
    put_key(m, key, RB_GGUF_STRING);
    put_string(m->f, value);
}

static void put_integer(meta *m, const char *key, int64_t value)
{
    /* llama.cpp reads these as u32; a context length may be larger. */
    bool wide = value > UINT32_MAX;
    put_key(m, key, wide ? RB_GGUF_U64 : RB_GGUF_U32);
    put_uint(m->f, (uint64_t)value, wide ? 8 : 4);
}

static void put_real(meta *m, const char *key, float value)
{
    uint32_t u;
    memcpy(&u, &value, sizeof u);
    put_key(m, key, RB_GGUF_F32);
    put_uint(m->f, u, 4);
}

static void put_flag(meta *m, const char *key, bool value)
{
    put_key(m, key, RB_GGUF_BOOL);
    put_uint(m->f, value, 1);
}

/* Sizes of heads: of those in the files of today, where the latent is one head, and beside it. */
static void put_heads(meta *m, const rb_config *c)
{
    const bool latent = rb_config_is_mla(c) && c->mla_split;
    put_integer(m, ".attention.head_count", c->n_head);
    put_integer(m, ".attention.head_count_kv", latent ? 1 : c->n_head_kv);
    put_integer(m, ".attention.key_length", latent ? c->kv_lora_rank + c->d_rot : c->d_head_k);
    put_integer(m, ".attention.value_length", latent ? c->kv_lora_rank : c->d_head_v);
    if (latent) {
        put_integer(m, ".attention.key_length_mla", c->d_head_k);
        put_integer(m, ".attention.value_length_mla", c->d_head_v);
    }
    if (rb_config_is_mla(c))
        put_integer(m, ".attention.kv_lora_rank", c->kv_lora_rank);
    if (c->q_lora_rank)
        put_integer(m, ".attention.q_lora_rank", c->q_lora_rank);
    put_real(m,
             c->norm == RB_NORM_LAYER ? ".attention.layer_norm_epsilon"
                                      : ".attention.layer_norm_rms_epsilon",
             c->norm_eps);
}

static void put_rope(meta *m, const rb_config *c)
{
    const rb_rope_scaling *r = &c->rope_scaling;
    put_integer(m, ".rope.dimension_count", c->d_rot);
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

static void put_metadata(meta *m, const rb_config *c)
{
    put_text(m, "general.architecture", rb_arch_name[c->arch]);
    put_text(m, "general.name", c->name);
    put_integer(m, "general.quantization_version", 2);
    put_integer(m, "general.alignment", ALIGNMENT);
    put_integer(m, ".block_count", c->n_layer);
    put_integer(m, ".context_length", c->n_ctx_train);
    put_integer(m, ".embedding_length", c->n_embd);
    put_integer(m, ".feed_forward_length", c->n_ff);
    put_integer(m, ".vocab_size", c->n_vocab);
    put_heads(m, c);
    put_rope(m, c);
    put_experts(m, c);
    if (c->arch == RB_ARCH_GPTNEOX)
        put_flag(m, ".use_parallel_residual", c->parallel_residual);
    put_text(m, "tokenizer.ggml.model", "no_vocab"); /* loaders insist on the key */
}

/* ---- the file ---- */

static void put_directory(FILE *f, const rb_model *model)
{
    uint64_t offset = 0;
    for (int64_t i = 0; i < rb_tensor_count(&model->config); i++) {
        rb_tensor t = rb_tensor_at(&model->config, i);
        const rb_view *v = rb_tensor_view_of(model, &t);
        put_string(f, t.name);
        const int64_t ne[3] = { t.cols, t.rows, t.stack };
        const int n_dim = t.stack ? 3 : rb_tensor_is_matrix(&t) ? 2 : 1;
        put_uint(f, (uint64_t)n_dim, 4);
        for (int d = 0; d < n_dim; d++)
            put_uint(f, (uint64_t)ne[d], 8);
        put_uint(f, (uint64_t)rb_dtype_get(v->dtype)->gguf_id, 4);
        put_uint(f, offset, 8);
        offset += v->buffer->bytes + padding(v->buffer->bytes);
    }
}

static void put_data(FILE *f, const rb_model *model)
{
    for (int64_t i = 0; i < rb_tensor_count(&model->config) && !ferror(f); i++) {
        rb_tensor t = rb_tensor_at(&model->config, i);
        const rb_buffer *b = rb_tensor_view_of(model, &t)->buffer;
        fwrite(b->data, 1, b->bytes, f);
        put_zeros(f, padding(b->bytes));
    }
}

/* All that stands before the data, as one malloced block. */
static char *make_head(const rb_model *model, size_t *size)
{
    char *kv = NULL, *head = NULL;
    size_t kv_size = 0;
    meta m = { .f = open_memstream(&kv, &kv_size), .arch = rb_arch_name[model->config.arch] };
    FILE *f = open_memstream(&head, size);
    if (m.f)
        put_metadata(&m, &model->config);
    bool ok = m.f && fclose(m.f) == 0 && f;
    if (ok) {
        fputs("GGUF", f);
        put_uint(f, VERSION, 4);
        put_uint(f, (uint64_t)rb_tensor_count(&model->config), 8);
        put_uint(f, m.n, 8);
        fwrite(kv, 1, kv_size, f);
        put_directory(f, model);
        put_zeros(f, padding((uint64_t)ftell(f)));
    }
    ok = f && fclose(f) == 0 && ok;
    free(kv);
    if (!ok) {
        free(head);
        return NULL;
    }
    return head;
}

/* Closes f; the first error of all that was done with it, or 0. */
static int finish(FILE *f, bool sync)
{
    int bad = 0;
    if (ferror(f) || fflush(f) != 0)
        bad = errno ? errno : EIO;
    if (!bad && sync && fsync(fileno(f)) != 0)
        bad = errno;
    if (fclose(f) != 0 && !bad)
        bad = errno;
    return bad;
}

/* path is where to write, name is what messages call it. */
static rb_status write_to(const rb_model *model, const char *path, const char *name, bool sync,
                          rb_error *err)
{
    size_t size = 0;
    char *head = make_head(model, &size);
    if (!head)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    FILE *f = fopen(path, "wb");
    if (!f) {
        free(head);
        return rb_fail(err, RB_ERR_IO, "%.300s: cannot create: %s", name, strerror(errno));
    }
    errno = 0;
    fwrite(head, 1, size, f);
    put_data(f, model);
    free(head);
    int bad = finish(f, sync);
    if (bad)
        return rb_fail(err, RB_ERR_IO, "%.300s: cannot write: %s", name, strerror(bad));
    return RB_OK;
}

static rb_status write_beside(const rb_model *model, const char *path, rb_error *err)
{
    size_t room = strlen(path) + 32;
    char *temp = malloc(room);
    if (!temp)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    snprintf(temp, room, "%s.%ld.tmp", path, (long)getpid());
    rb_status status = write_to(model, temp, path, true, err);
    if (status == RB_OK && rename(temp, path) != 0)
        status = rb_fail(err, RB_ERR_IO, "%.300s: cannot create: %s", path, strerror(errno));
    if (status != RB_OK)
        unlink(temp);
    free(temp);
    return status;
}

rb_status rb_gguf_write(const rb_model *model, const char *path, rb_error *err)
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
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return write_to(model, path, path, false, err); /* a device or pipe must not be replaced */
    char *real = realpath(path, NULL); /* what a link points at is replaced, not the link */
    rb_status status = write_beside(model, real ? real : path, err);
    free(real);
    return status;
}
