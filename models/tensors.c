/* The table of tensors of the plain-attention families.
 * Knows names, shapes and when a tensor is there; no formats and no values.
 * Read next: gguf_load.c, synth.c. */
#include "tensors.h"

#include <assert.h>
#include <string.h>

/* Extents, as functions of the config. */
typedef enum { D_1, D_EMBD, D_FF, D_VOCAB, D_Q, D_K, D_V, D_O, D_HEAD, D_FREQS } dim;

/* When the tensor is there. */
typedef enum { ALWAYS, IF_UNTIED, IF_FREQS, IF_BIAS, IF_QK_NORM } presence;

typedef struct row {
    const char *suffix;
    rb_tensor_kind kind;
    dim rows, cols;
    size_t place;
    presence when;
} row;

#define IN_MODEL(field) offsetof(rb_model, field)
#define IN_LAYER(field) offsetof(rb_layer, field)

static const row global[] = {
    { "token_embd.weight", RB_TENSOR_EMBD, D_VOCAB, D_EMBD, IN_MODEL(tok_embd), ALWAYS },
    { "output_norm.weight", RB_TENSOR_NORM, D_1, D_EMBD, IN_MODEL(out_norm), ALWAYS },
    { "output.weight", RB_TENSOR_MATRIX, D_VOCAB, D_EMBD, IN_MODEL(output), IF_UNTIED },
    { "rope_freqs.weight", RB_TENSOR_FREQS, D_1, D_FREQS, IN_MODEL(rope_freqs), IF_FREQS },
};

static const row layered[] = {
    { "attn_norm.weight", RB_TENSOR_NORM, D_1, D_EMBD, IN_LAYER(attn_norm), ALWAYS },
    { "attn_q.weight", RB_TENSOR_MATRIX, D_Q, D_EMBD, IN_LAYER(wq), ALWAYS },
    { "attn_q.bias", RB_TENSOR_BIAS, D_1, D_Q, IN_LAYER(bq), IF_BIAS },
    { "attn_k.weight", RB_TENSOR_MATRIX, D_K, D_EMBD, IN_LAYER(wk), ALWAYS },
    { "attn_k.bias", RB_TENSOR_BIAS, D_1, D_K, IN_LAYER(bk), IF_BIAS },
    { "attn_v.weight", RB_TENSOR_MATRIX, D_V, D_EMBD, IN_LAYER(wv), ALWAYS },
    { "attn_v.bias", RB_TENSOR_BIAS, D_1, D_V, IN_LAYER(bv), IF_BIAS },
    { "attn_q_norm.weight", RB_TENSOR_NORM, D_1, D_HEAD, IN_LAYER(q_norm), IF_QK_NORM },
    { "attn_k_norm.weight", RB_TENSOR_NORM, D_1, D_HEAD, IN_LAYER(k_norm), IF_QK_NORM },
    { "attn_output.weight", RB_TENSOR_MATRIX, D_EMBD, D_O, IN_LAYER(wo), ALWAYS },
    { "ffn_norm.weight", RB_TENSOR_NORM, D_1, D_EMBD, IN_LAYER(ffn_norm), ALWAYS },
    { "ffn_gate.weight", RB_TENSOR_MATRIX, D_FF, D_EMBD, IN_LAYER(w_gate), ALWAYS },
    { "ffn_up.weight", RB_TENSOR_MATRIX, D_FF, D_EMBD, IN_LAYER(w_up), ALWAYS },
    { "ffn_down.weight", RB_TENSOR_MATRIX, D_EMBD, D_FF, IN_LAYER(w_down), ALWAYS },
};

enum { N_GLOBAL = sizeof global / sizeof *global, N_LAYERED = sizeof layered / sizeof *layered };

static int64_t extent(const rb_config *c, dim d)
{
    switch (d) {
    case D_EMBD:
        return c->n_embd;
    case D_FF:
        return c->n_ff;
    case D_VOCAB:
        return c->n_vocab;
    case D_Q:
        return c->n_head * c->d_head_k;
    case D_K:
        return c->n_head_kv * c->d_head_k;
    case D_V:
        return c->n_head_kv * c->d_head_v;
    case D_O:
        return c->n_head * c->d_head_v;
    case D_HEAD:
        return c->d_head_k;
    case D_FREQS:
        return c->d_rot / 2;
    case D_1:
        break;
    }
    return 1;
}

static bool present(const rb_config *c, presence when)
{
    switch (when) {
    case IF_UNTIED:
        return !c->tied;
    case IF_FREQS:
        return c->rope_freqs;
    case IF_BIAS:
        return c->qkv_bias;
    case IF_QK_NORM:
        return c->qk_norm;
    case ALWAYS:
        break;
    }
    return true;
}

static int64_t count(const rb_config *c, const row *table, int n)
{
    int64_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += present(c, table[i].when);
    return sum;
}

int64_t rb_tensor_count(const rb_config *c)
{
    return count(c, global, N_GLOBAL) + c->n_layer * count(c, layered, N_LAYERED);
}

static rb_tensor make(const rb_config *c, const row *r, int64_t layer)
{
    rb_tensor t = { .suffix = r->suffix,
                    .kind = r->kind,
                    .rows = extent(c, r->rows),
                    .cols = extent(c, r->cols),
                    .layer = layer,
                    .place = r->place };
    if (layer < 0)
        snprintf(t.name, sizeof t.name, "%s", r->suffix);
    else
        snprintf(t.name, sizeof t.name, "blk.%d.%s", (int)layer, r->suffix);
    return t;
}

/* The i-th present row of a table. */
static const row *nth(const rb_config *c, const row *table, int n, int64_t i)
{
    for (int j = 0; j < n; j++)
        if (present(c, table[j].when) && i-- == 0)
            return &table[j];
    assert(!"tensor number out of range");
    return table;
}

rb_tensor rb_tensor_at(const rb_config *c, int64_t i)
{
    int64_t n_global = count(c, global, N_GLOBAL), per_layer = count(c, layered, N_LAYERED);
    if (i < n_global)
        return make(c, nth(c, global, N_GLOBAL, i), -1);
    i -= n_global;
    return make(c, nth(c, layered, N_LAYERED, i % per_layer), i / per_layer);
}

bool rb_tensor_find(const rb_config *c, const char *suffix, int64_t layer, rb_tensor *tensor)
{
    for (int i = 0; i < N_GLOBAL + N_LAYERED; i++) {
        const row *r = i < N_GLOBAL ? &global[i] : &layered[i - N_GLOBAL];
        if (strcmp(r->suffix, suffix) == 0 && present(c, r->when)) {
            *tensor = make(c, r, i < N_GLOBAL ? -1 : layer);
            return true;
        }
    }
    return false;
}

rb_view *rb_tensor_view(rb_model *m, const rb_tensor *t)
{
    char *base = t->layer < 0 ? (char *)m : (char *)&m->layer[t->layer];
    return (rb_view *)(base + t->place);
}

const rb_view *rb_tensor_view_of(const rb_model *m, const rb_tensor *t)
{
    return rb_tensor_view((rb_model *)m, t);
}
