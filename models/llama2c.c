/* The llama2.c checkpoint formats: v0 (seven numbers, then f32 weights) and v1 (with a magic number
 * and a 256-byte header). v0 has nothing to be recognised by, so a file is one exactly if its
 * header makes sense and its size is what the header calls for. Refuses v2 (int8 groups). Read
 * next: tensors.c. */
#include "model.h"

#include <inttypes.h>
#include <string.h>

enum { V0_HEADER = 28, V1_HEADER = 256, N_FIELD = 7 };

/* The order of the weights: all layers of one kind, then the next kind. */
static const char *const order_v0[] = {
    "token_embd.weight",  "attn_norm.weight",
    "attn_q.weight",      "attn_k.weight",
    "attn_v.weight",      "attn_output.weight",
    "ffn_norm.weight",    "ffn_gate.weight",
    "ffn_down.weight",    "ffn_up.weight",
    "output_norm.weight", NULL, /* two tables of rope angles, which we compute */
    "output.weight",
};
static const char *const order_v1[] = {
    "attn_norm.weight", "ffn_norm.weight", "output_norm.weight", "token_embd.weight",
    "attn_q.weight",    "attn_k.weight",   "attn_v.weight",      "attn_output.weight",
    "ffn_gate.weight",  "ffn_down.weight", "ffn_up.weight",      "output.weight",
};

typedef struct layout {
    const char *const *order;
    int n;
    uint64_t header;
    int version;
} layout;

static int32_t get_i32(const uint8_t *p)
{
    return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                     (uint32_t)p[3] << 24);
}

/* f: dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len. */
static rb_status make_config(rb_config *c, const int32_t *f, bool tied, rb_error *err)
{
    *c = (rb_config){ .n_embd = f[0],
                      .n_ff = f[1],
                      .n_layer = f[2],
                      .n_head = f[3],
                      .n_head_kv = f[4],
                      .n_vocab = f[5],
                      .n_ctx_train = f[6],
                      .norm_eps = 1e-5f,
                      .rope_base = 10000,
                      .tied = tied };
    rb_config_set_arch(c, RB_ARCH_LLAMA);
    if (c->n_head < 1 || c->n_embd % c->n_head != 0)
        return rb_fail(err, RB_ERR_FORMAT, "dim %d is no multiple of n_heads %d", f[0], f[3]);
    c->d_head_k = c->d_head_v = c->d_rot = c->n_embd / c->n_head;
    return rb_config_check(c, err);
}

/* Bytes of the rope tables that v0 carries: seq_len x d_head/2, twice. */
static int64_t table_bytes(const rb_config *c)
{
    return c->n_ctx_train * c->d_rot * (int64_t)sizeof(float);
}

/* Layers of a section: 0 where the config has no such tensor. */
static int64_t section(const rb_config *c, const char *suffix, rb_tensor *t)
{
    if (!rb_tensor_find(c, suffix, 0, t))
        return 0;
    return t->layer < 0 ? 1 : c->n_layer;
}

/* What the whole file must have; the ranges of rb_config_check keep it below 2^63. */
static uint64_t file_bytes(const rb_config *c, const layout *l)
{
    int64_t sum = (int64_t)l->header;
    for (int i = 0; i < l->n; i++) {
        rb_tensor t = { 0 };
        if (!l->order[i])
            sum += table_bytes(c);
        else
            sum += section(c, l->order[i], &t) * t.rows * t.cols * (int64_t)sizeof(float);
    }
    return (uint64_t)sum;
}

static rb_status load(rb_model *m, const rb_source *src, const layout *l, bool dry, rb_error *err)
{
    const rb_config *c = &m->config;
    uint64_t at = l->header;
    for (int i = 0; i < l->n; i++) {
        rb_tensor t = { 0 };
        int64_t n = l->order[i] ? section(c, l->order[i], &t) : 0;
        if (!l->order[i])
            at += (uint64_t)table_bytes(c);
        for (int64_t layer = 0; layer < n; layer++) {
            rb_tensor_find(c, l->order[i], layer, &t);
            rb_status status = rb_model_place(m, &t, RB_F32, dry, err);
            const rb_view *v = rb_tensor_view(m, &t);
            if (status == RB_OK && !dry)
                status = rb_source_read(src, at, v->buffer->data, v->buffer->bytes, err);
            if (status != RB_OK)
                return status;
            at += v->buffer->bytes;
        }
    }
    rb_model_finish(m);
    return RB_OK;
}

static rb_status header_v0(const uint8_t *h, rb_config *c, rb_error *err)
{
    int32_t f[N_FIELD];
    for (int i = 0; i < N_FIELD; i++)
        f[i] = get_i32(h + 4 * i);
    bool tied = f[5] > 0;
    if (f[5] < 0 && f[5] != INT32_MIN)
        f[5] = -f[5]; /* how v0 says that the head is not tied */
    return make_config(c, f, tied, err);
}

static rb_status header_v1(const uint8_t *h, rb_config *c, rb_error *err)
{
    int32_t f[N_FIELD], version = get_i32(h + 4);
    uint8_t shared = h[8 + 4 * N_FIELD];
    if (version == 2)
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "llama2.c version 2 (int8 groups) is not supported; export version 0 or 1");
    if (version != 1)
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "llama2.c version %d is not supported; versions 0 and 1 are", version);
    for (int i = 0; i < N_FIELD; i++)
        f[i] = get_i32(h + 8 + 4 * i);
    if (shared > 1)
        return rb_fail(err, RB_ERR_FORMAT, "the shared_classifier byte is %d, not 0 or 1", shared);
    return make_config(c, f, shared, err);
}

static bool is_text(const uint8_t *h, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (h[i] == 0x7f || (h[i] < ' ' && h[i] != '\n' && h[i] != '\r' && h[i] != '\t'))
            return false;
    return true;
}

/* What a file of these first n bytes is instead, and what to name; NULL: no saying. */
static const char *looks_like(const uint8_t *h, uint64_t n)
{
    if (n == 0)
        return "it is empty";
    if (n > 8 && h[8] == '{' && !h[4] && !h[5] && !h[6] && !h[7])
        return "it is a safetensors file; name the folder that holds it and its config.json";
    if (h[0] == '{' && is_text(h, n))
        return "it is JSON; if that is a model's config.json, name the folder that holds it";
    if (is_text(h, n))
        return "it is text; a model is a GGUF or llama2.c file, a folder with config.json and "
               "safetensors, or a preset";
    if (n > 4 && !memcmp(h, "\x89PNG", 4))
        return "it is a PNG image";
    if (n > 4 && !memcmp(h, "PK\3\4", 4))
        return "it is a zip archive; of what PyTorch saves the safetensors of the same model are "
               "wanted, in a folder with config.json";
    return NULL;
}

/* The config and layout of src, whose whole size must fit them. */
static rb_status recognise(const rb_source *src, rb_config *c, layout *l, rb_error *err)
{
    uint8_t h[V1_HEADER] = { 0 };
    rb_error inner;
    const uint64_t n = src->size < sizeof h ? src->size : sizeof h;
    rb_status status = rb_source_read(src, 0, h, n, err);
    if (status != RB_OK)
        return status;
    bool v1 = src->size >= 4 && (uint32_t)get_i32(h) == RB_LLAMA2C_MAGIC;
    *l = v1 ? (layout){ order_v1, sizeof order_v1 / sizeof *order_v1, V1_HEADER, 1 }
            : (layout){ order_v0, sizeof order_v0 / sizeof *order_v0, V0_HEADER, 0 };
    const char *prefix = v1 ? "llama2.c v1: " : "neither GGUF nor llama2.c (as its v0: ";
    const char *end = v1 ? "" : ")";
    const char *other = v1 ? NULL : looks_like(h, n);
    if (other)
        return rb_fail(err, RB_ERR_FORMAT, "%s: neither GGUF nor llama2.c: %s", src->label, other);
    if (src->size < l->header)
        return rb_fail(err, RB_ERR_FORMAT,
                       "%s: %sthe header is truncated after %" PRIu64 " bytes%s", src->label,
                       prefix, src->size, end);
    status = v1 ? header_v1(h, c, &inner) : header_v0(h, c, &inner);
    if (status != RB_OK)
        return rb_fail(err, status, "%s: %s%.300s%s", src->label, prefix, inner.text, end);
    uint64_t need = file_bytes(c, l);
    if (need != src->size)
        return rb_fail(err, RB_ERR_FORMAT,
                       "%s: %sthe header calls for %" PRIu64 " bytes, the file has %" PRIu64 "%s%s",
                       src->label, prefix, need, src->size, need > src->size ? ": truncated?" : "",
                       end);
    return RB_OK;
}

rb_status rb_model_from_llama2c(rb_model **model, rb_source src, bool dry, rb_error *err)
{
    rb_config c;
    layout l;
    *model = NULL;
    rb_status status = recognise(&src, &c, &l, err);
    if (status != RB_OK)
        goto fail;
    rb_config_set_name(&c, rb_source_base_name(&src));
    status = rb_model_new(model, &c, "llama2.c", err);
    if (status == RB_OK)
        status = load(*model, &src, &l, dry, err);
    if (status != RB_OK)
        goto fail;
    rb_source_close(&src);
    return RB_OK;
fail:
    rb_source_close(&src);
    rb_model_close(*model);
    *model = NULL;
    return status;
}
