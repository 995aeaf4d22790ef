/* The table of tensors of all families.
 * Knows names, shapes and when a tensor is there; no formats and no values.
 * Read next: gguf_load.c, synth.c. */
#include "tensors.h"

#include <assert.h>
#include <string.h>

/* Extents, as functions of the config. */
typedef enum {
    D_1,
    D_EMBD,
    D_FF,
    D_VOCAB,
    D_Q,
    D_K,
    D_V,
    D_O,
    D_QKV,
    D_HEAD,
    D_FREQS,
    D_PAIRS,
    D_Q_RANK,
    D_RANK,
    D_RANK_KEY, /* the latent and the key that heads share */
    D_NOPE_V,   /* K and V of all heads but for what they share */
    D_NOPE,
    D_HEAD_V,
    D_VALUE_UP,
    D_N_HEAD,
    D_EXPERTS,
    D_FF_EXPERT,
    D_FF_GATE_UP,
    D_FF_SHARED,
} dim;

/* When the tensor is there. Attention is plain (its matrices apart), fused or latent; a layer's
 * feed-forward is dense or of experts. */
typedef enum {
    ALWAYS,
    IF_UNTIED,
    IF_FREQS,
    IF_BIAS,
    IF_PLAIN_BIAS,
    IF_LATENT_BIAS,
    IF_QK_NORM,
    IF_LAYERNORM,
    IF_OUT_BIAS,
    IF_PLAIN,
    IF_PLAIN_Q, /* plain, or latent without a rank for q */
    IF_FUSED,
    IF_LATENT,
    IF_LATENT_NORM,
    IF_PAIRS,
    IF_Q_RANK,
    IF_KV_B,
    IF_SPLIT,
    IF_SPLIT_K,
    IF_ATTN_GATE,
    IF_GATE_BIAS,
    IF_DENSE,
    IF_GATED,
    IF_DENSE_BIAS,
    IF_MOE,
    IF_APART, /* gate and up experts in stacks of their own */
    IF_ONE_STACK,
    IF_EXPERT_BIAS,
    IF_SHARED,
    IF_SHARED_GATE,
} presence;

typedef struct row {
    const char *suffix;
    rb_tensor_kind kind;
    dim rows, cols;
    size_t place;
    presence when;
    dim stack; /* D_1: none */
} row;

#define IN_MODEL(field) offsetof(rb_model, field)
#define IN_LAYER(field) offsetof(rb_layer, field)
#define NORM(name, n, place, when)                                                                 \
    {                                                                                              \
        name, RB_TENSOR_NORM, D_1, n, place, when, D_1                                             \
    }
#define BIAS(name, n, place, when)                                                                 \
    {                                                                                              \
        name, RB_TENSOR_BIAS, D_1, n, place, when, D_1                                             \
    }
#define MATRIX(name, rows, cols, place, when)                                                      \
    {                                                                                              \
        name, RB_TENSOR_MATRIX, rows, cols, place, when, D_1                                       \
    }
#define STACK(name, rows, cols, place, when, n)                                                    \
    {                                                                                              \
        name, RB_TENSOR_MATRIX, rows, cols, place, when, n                                         \
    }

static const row global[] = {
    { "token_embd.weight", RB_TENSOR_EMBD, D_VOCAB, D_EMBD, IN_MODEL(tok_embd), ALWAYS, D_1 },
    NORM("output_norm.weight", D_EMBD, IN_MODEL(out_norm), ALWAYS),
    BIAS("output_norm.bias", D_EMBD, IN_MODEL(out_norm_b), IF_LAYERNORM),
    MATRIX("output.weight", D_VOCAB, D_EMBD, IN_MODEL(output), IF_UNTIED),
    { "rope_freqs.weight", RB_TENSOR_FREQS, D_1, D_FREQS, IN_MODEL(rope_freqs), IF_FREQS, D_1 },
};

static const row layered[] = {
    NORM("attn_norm.weight", D_EMBD, IN_LAYER(attn_norm), ALWAYS),
    BIAS("attn_norm.bias", D_EMBD, IN_LAYER(attn_norm_b), IF_LAYERNORM),
    MATRIX("attn_q.weight", D_Q, D_EMBD, IN_LAYER(wq), IF_PLAIN_Q),
    BIAS("attn_q.bias", D_Q, IN_LAYER(bq), IF_BIAS),
    MATRIX("attn_k.weight", D_K, D_EMBD, IN_LAYER(wk), IF_PLAIN),
    BIAS("attn_k.bias", D_K, IN_LAYER(bk), IF_PLAIN_BIAS),
    MATRIX("attn_v.weight", D_V, D_EMBD, IN_LAYER(wv), IF_PLAIN),
    BIAS("attn_v.bias", D_V, IN_LAYER(bv), IF_PLAIN_BIAS),
    MATRIX("attn_qkv.weight", D_QKV, D_EMBD, IN_LAYER(wqkv), IF_FUSED),
    BIAS("attn_qkv.bias", D_QKV, IN_LAYER(bqkv), IF_FUSED),
    NORM("attn_q_norm.weight", D_HEAD, IN_LAYER(q_norm), IF_QK_NORM),
    NORM("attn_k_norm.weight", D_HEAD, IN_LAYER(k_norm), IF_QK_NORM),
    MATRIX("attn_q_a.weight", D_Q_RANK, D_EMBD, IN_LAYER(wq_a), IF_Q_RANK),
    NORM("attn_q_a_norm.weight", D_Q_RANK, IN_LAYER(q_a_norm), IF_Q_RANK),
    MATRIX("attn_q_b.weight", D_Q, D_Q_RANK, IN_LAYER(wq_b), IF_Q_RANK),
    MATRIX("attn_kv_a_mqa.weight", D_RANK_KEY, D_EMBD, IN_LAYER(wkv_a), IF_LATENT),
    BIAS("attn_kv_a_mqa.bias", D_RANK_KEY, IN_LAYER(bkv_a), IF_LATENT_BIAS),
    NORM("attn_kv_a_norm.weight", D_RANK, IN_LAYER(kv_a_norm), IF_LATENT_NORM),
    { "rope_pairs.weight", RB_TENSOR_PAIRS, D_1, D_PAIRS, IN_LAYER(rope_pairs), IF_PAIRS, D_1 },
    MATRIX("attn_kv_b.weight", D_NOPE_V, D_RANK, IN_LAYER(wkv_b), IF_KV_B),
    STACK("attn_k_b.weight", D_RANK, D_NOPE, IN_LAYER(wk_b), IF_SPLIT_K, D_N_HEAD),
    STACK("attn_v_b.weight", D_HEAD_V, D_RANK, IN_LAYER(wv_b), IF_SPLIT, D_N_HEAD),
    STACK("attn_v_b.weight", D_VALUE_UP, D_HEAD_V, IN_LAYER(wv_b), IF_ATTN_GATE, D_N_HEAD),
    MATRIX("attn_gate.weight", D_O, D_EMBD, IN_LAYER(w_attn_gate), IF_ATTN_GATE),
    BIAS("attn_gate.bias", D_O, IN_LAYER(b_attn_gate), IF_GATE_BIAS),
    MATRIX("attn_output.weight", D_EMBD, D_O, IN_LAYER(wo), ALWAYS),
    BIAS("attn_output.bias", D_EMBD, IN_LAYER(bo), IF_OUT_BIAS),
    NORM("ffn_norm.weight", D_EMBD, IN_LAYER(ffn_norm), ALWAYS),
    BIAS("ffn_norm.bias", D_EMBD, IN_LAYER(ffn_norm_b), IF_LAYERNORM),
    MATRIX("ffn_gate.weight", D_FF, D_EMBD, IN_LAYER(w_gate), IF_GATED),
    MATRIX("ffn_up.weight", D_FF, D_EMBD, IN_LAYER(w_up), IF_DENSE),
    BIAS("ffn_up.bias", D_FF, IN_LAYER(b_up), IF_DENSE_BIAS),
    MATRIX("ffn_down.weight", D_EMBD, D_FF, IN_LAYER(w_down), IF_DENSE),
    BIAS("ffn_down.bias", D_EMBD, IN_LAYER(b_down), IF_DENSE_BIAS),
    { "ffn_gate_inp.weight", RB_TENSOR_ROUTER, D_EXPERTS, D_EMBD, IN_LAYER(router), IF_MOE, D_1 },
    BIAS("exp_probs_b.bias", D_EXPERTS, IN_LAYER(router_bias), IF_EXPERT_BIAS),
    STACK("ffn_gate_exps.weight", D_FF_EXPERT, D_EMBD, IN_LAYER(gate_exps), IF_APART, D_EXPERTS),
    STACK("ffn_up_exps.weight", D_FF_EXPERT, D_EMBD, IN_LAYER(up_exps), IF_APART, D_EXPERTS),
    STACK("ffn_gate_up_exps.weight", D_FF_GATE_UP, D_EMBD, IN_LAYER(gate_exps), IF_ONE_STACK,
          D_EXPERTS),
    STACK("ffn_down_exps.weight", D_EMBD, D_FF_EXPERT, IN_LAYER(down_exps), IF_MOE, D_EXPERTS),
    { "ffn_gate_inp_shexp.weight", RB_TENSOR_VECTOR, D_1, D_EMBD, IN_LAYER(inp_shexp),
      IF_SHARED_GATE, D_1 },
    MATRIX("ffn_gate_shexp.weight", D_FF_SHARED, D_EMBD, IN_LAYER(gate_shexp), IF_SHARED),
    MATRIX("ffn_up_shexp.weight", D_FF_SHARED, D_EMBD, IN_LAYER(up_shexp), IF_SHARED),
    MATRIX("ffn_down_shexp.weight", D_EMBD, D_FF_SHARED, IN_LAYER(down_shexp), IF_SHARED),
};

enum { N_GLOBAL = sizeof global / sizeof *global, N_LAYERED = sizeof layered / sizeof *layered };

static int64_t extent(const rb_config *c, dim d)
{
    const int64_t nope = rb_config_d_nope(c);
    const int64_t of[] = {
        [D_1] = 1,
        [D_EMBD] = c->n_embd,
        [D_FF] = c->n_ff,
        [D_VOCAB] = c->n_vocab,
        [D_Q] = c->n_head * c->d_head_k,
        [D_K] = c->n_head_kv * c->d_head_k,
        [D_V] = rb_config_n_head_v(c) * c->d_head_v,
        [D_O] = c->n_head * rb_config_d_out(c),
        [D_QKV] = (c->n_head + c->n_head_kv) * c->d_head_k + rb_config_n_head_v(c) * c->d_head_v,
        [D_HEAD] = c->d_head_k / (c->n_key_block ? c->n_key_block : 1),
        [D_FREQS] = rb_config_d_freq(c) / 2,
        [D_PAIRS] = c->d_rot / 2,
        [D_Q_RANK] = c->q_lora_rank,
        [D_RANK] = c->kv_lora_rank,
        [D_RANK_KEY] = c->kv_lora_rank + rb_config_d_shared(c),
        [D_NOPE_V] = c->n_head_kv * (nope + c->d_head_v),
        [D_NOPE] = nope,
        [D_HEAD_V] = c->d_head_v,
        [D_VALUE_UP] = c->d_value_up,
        [D_N_HEAD] = c->n_head,
        [D_EXPERTS] = c->n_expert,
        [D_FF_EXPERT] = c->n_ff_expert,
        [D_FF_GATE_UP] = 2 * c->n_ff_expert,
        [D_FF_SHARED] = c->n_ff_shared,
    };
    return of[d];
}

/* Of attention: of x in q, k and v, fused in one matrix, or of a latent. */
static bool present_in_attention(const rb_config *c, presence when)
{
    const bool latent = c->kv_lora_rank > 0, fused = c->linear_bias && !latent;
    switch (when) {
    case IF_BIAS:
        return c->qkv_bias;
    case IF_PLAIN_BIAS:
        return c->qkv_bias && !latent;
    case IF_LATENT_BIAS:
        return c->qkv_bias && latent;
    case IF_PLAIN:
        return !latent && !fused;
    case IF_PLAIN_Q:
        return !c->q_lora_rank && !fused;
    case IF_FUSED:
        return fused;
    case IF_LATENT:
        return latent;
    case IF_LATENT_NORM:
        return latent && !c->latent_plain;
    case IF_PAIRS:
        return c->d_freq > 0;
    case IF_Q_RANK:
        return c->q_lora_rank > 0;
    case IF_KV_B:
        return latent && !c->mla_split;
    case IF_SPLIT:
        return latent && c->mla_split;
    case IF_SPLIT_K:
        return latent && c->mla_split && rb_config_d_nope(c) > 0;
    case IF_ATTN_GATE:
        return c->d_value_up > 0;
    case IF_GATE_BIAS:
        return c->d_value_up > 0 && c->qkv_bias;
    default:
        break;
    }
    return true;
}

/* Layers of one kind of feed-forward follow each other: the dense ones lead. */
static bool present(const rb_config *c, presence when, bool moe)
{
    switch (when) {
    case IF_UNTIED:
        return !c->tied;
    case IF_FREQS:
        return c->rope_freqs;
    case IF_QK_NORM:
        return c->qk_norm;
    case IF_LAYERNORM:
        return c->norm == RB_NORM_LAYER;
    case IF_OUT_BIAS:
        return c->linear_bias || c->out_bias;
    case IF_DENSE:
        return !moe;
    case IF_GATED:
        return !moe && c->ffn == RB_FFN_SWIGLU;
    case IF_DENSE_BIAS:
        return !moe && c->linear_bias;
    case IF_MOE:
        return moe;
    case IF_APART:
        return moe && !c->experts_fused;
    case IF_ONE_STACK:
        return moe && c->experts_fused;
    case IF_EXPERT_BIAS:
        return moe && c->expert_bias;
    case IF_SHARED:
        return moe && c->n_ff_shared > 0;
    case IF_SHARED_GATE:
        return moe && c->n_ff_shared > 0 && c->shared_gate;
    default:
        return present_in_attention(c, when);
    }
}

static int64_t count(const rb_config *c, const row *table, int n, bool moe)
{
    int64_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += present(c, table[i].when, moe);
    return sum;
}

/* Layers whose feed-forward is dense. */
static int64_t n_dense(const rb_config *c)
{
    return !c->n_expert ? c->n_layer : c->n_dense_lead < c->n_layer ? c->n_dense_lead : c->n_layer;
}

int64_t rb_tensor_count(const rb_config *c)
{
    return count(c, global, N_GLOBAL, false) + n_dense(c) * count(c, layered, N_LAYERED, false) +
           (c->n_layer - n_dense(c)) * count(c, layered, N_LAYERED, true);
}

static rb_tensor make(const rb_config *c, const row *r, int64_t layer)
{
    rb_tensor t = { .suffix = r->suffix,
                    .kind = r->kind,
                    .rows = extent(c, r->rows),
                    .cols = extent(c, r->cols),
                    .stack = r->stack == D_1 ? 0 : extent(c, r->stack),
                    .by_expert = r->stack == D_EXPERTS,
                    .layer = layer,
                    .place = r->place };
    if (layer < 0)
        snprintf(t.name, sizeof t.name, "%s", r->suffix);
    else
        snprintf(t.name, sizeof t.name, "blk.%d.%s", (int)layer, r->suffix);
    return t;
}

/* The i-th present row of a table. */
static const row *nth(const rb_config *c, const row *table, int n, bool moe, int64_t i)
{
    for (int j = 0; j < n; j++)
        if (present(c, table[j].when, moe) && i-- == 0)
            return &table[j];
    assert(!"tensor number out of range");
    return table;
}

rb_tensor rb_tensor_at(const rb_config *c, int64_t i)
{
    const int64_t n_global = count(c, global, N_GLOBAL, false);
    if (i < n_global)
        return make(c, nth(c, global, N_GLOBAL, false, i), -1);
    i -= n_global;
    int64_t layer = 0, per_layer = count(c, layered, N_LAYERED, false);
    const bool moe = i >= n_dense(c) * per_layer;
    if (moe) {
        i -= n_dense(c) * per_layer;
        layer = n_dense(c);
        per_layer = count(c, layered, N_LAYERED, true);
    }
    return make(c, nth(c, layered, N_LAYERED, moe, i % per_layer), layer + i / per_layer);
}

bool rb_tensor_find(const rb_config *c, const char *suffix, int64_t layer, rb_tensor *tensor)
{
    for (int i = 0; i < N_GLOBAL + N_LAYERED; i++) {
        const row *r = i < N_GLOBAL ? &global[i] : &layered[i - N_GLOBAL];
        const bool moe = i >= N_GLOBAL && rb_config_is_moe(c, layer);
        if (strcmp(r->suffix, suffix) == 0 && present(c, r->when, moe)) {
            *tensor = make(c, r, i < N_GLOBAL ? -1 : layer);
            return true;
        }
    }
    return false;
}

int64_t rb_tensor_bytes(const rb_tensor *t, rb_dtype dtype)
{
    return rb_tensor_rows(t) * rb_row_bytes(dtype, t->cols);
}

rb_view rb_tensor_in(const rb_tensor *t, const rb_buffer *b, rb_dtype dtype)
{
    if (t->by_expert)
        return rb_view_dense(b, dtype, RB_WEIGHT, 0, 1, 1, t->stack, t->rows * t->cols);
    return rb_view_dense(b, dtype, RB_WEIGHT, 0, 1, t->stack ? t->stack : 1, t->rows, t->cols);
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
