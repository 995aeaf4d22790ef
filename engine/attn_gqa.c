/* Grouped-query attention (Ainslie et al. 2023): MHA, GQA and MQA are this one variant and differ
 * in the number of KV heads only. Biases (qwen2), per-head norms (qwen3) and one matrix for q, k
 * and v (gptneox) where the model has them. Read next: kv.c, the cache that project writes and
 * expose shows. */
#include "session.h"

/* Heads of q, k and v of the new tokens. */
typedef struct heads {
    rb_view q, k, v;
} heads;

/* Columns [first, first + n d) of the rows that one matrix gave, as n heads. */
static rb_view heads_at(const rb_session *s, int64_t first, int64_t n, int64_t d, int64_t columns)
{
    rb_view v = rb_pad_heads(s, &s->pad.qkv, n, d);
    const int64_t row = columns * (int64_t)sizeof(float);
    v.offset_bytes += first * (int64_t)sizeof(float);
    v.step_bytes[1] = row;
    v.step_bytes[0] = row * v.n[1];
    return v;
}

static heads heads_of(const rb_session *s)
{
    const rb_config *c = &s->model->config;
    const int64_t q = c->n_head * c->d_head_k, k = c->n_head_kv * c->d_head_k;
    const int64_t n_v = rb_config_n_head_v(c), all = q + k + n_v * c->d_head_v;
    if (c->linear_bias)
        return (heads){ heads_at(s, 0, c->n_head, c->d_head_k, all),
                        heads_at(s, q, c->n_head_kv, c->d_head_k, all),
                        heads_at(s, q + k, n_v, c->d_head_v, all) };
    return (heads){ rb_pad_heads(s, &s->pad.q, c->n_head, c->d_head_k),
                    rb_pad_heads(s, &s->pad.k, c->n_head_kv, c->d_head_k),
                    rb_pad_heads(s, &s->pad.v, n_v, c->d_head_v) };
}

/* q, k, v = W x (+ b): one launch where the weights are of one dtype. */
static void project_qkv(const rb_session *s, rb_exec *ex, const rb_layer *w, rb_view x)
{
    const rb_config *c = &s->model->config;
    const int64_t q = c->n_head * c->d_head_k, k = c->n_head_kv * c->d_head_k;
    const int64_t v = rb_config_n_head_v(c) * c->d_head_v;
    if (c->linear_bias) {
        ex->site = RB_SITE_QKV;
        rb_op_matmul(ex, x, 1,
                     &(rb_linear){ rb_pad_rows(s, &s->pad.qkv, q + k + v), w->wqkv, w->bqkv });
        return;
    }
    const rb_linear out[3] = { { rb_pad_rows(s, &s->pad.q, q), w->wq, w->bq },
                               { rb_pad_rows(s, &s->pad.k, k), w->wk, w->bk },
                               { rb_pad_rows(s, &s->pad.v, v), w->wv, w->bv } };
    rb_linears(s, ex, x, RB_SITE_QKV, 3, out, (rb_site[]){ RB_SITE_Q, RB_SITE_K, RB_SITE_V });
}

static void project(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x, rb_attend_in *in)
{
    const rb_config *c = &s->model->config;
    const rb_layer *w = &s->model->layer[layer];
    const heads h = heads_of(s);
    project_qkv(s, ex, w, x);
    if (c->qk_norm) {
        ex->site = RB_SITE_QK_NORM;
        rb_op_rmsnorm(ex, h.q, h.q, w->q_norm, c->norm_eps);
        rb_op_rmsnorm(ex, h.k, h.k, w->k_norm, c->norm_eps);
    }
    ex->site = RB_SITE_ROPE;
    rb_op_rope(ex, rb_view_slice(h.q, 3, 0, c->d_rot), rb_view_slice(h.k, 3, 0, c->d_rot),
               rb_pad_rope_table(s, layer), rb_pad_positions(s), c->rope_pairing);
    ex->site = RB_SITE_KV_STORE;
    const rb_kv_piece piece[] = { { s->kv[layer].k, h.k }, { s->kv[layer].v, h.v } };
    rb_op_kv_store(ex, 2, piece, s->past);
    in->q = h.q;
}

static void expose(const rb_session *s, rb_exec *ex, int64_t layer, rb_attend_in *in)
{
    (void)ex;
    in->k = s->kv[layer].k;
    in->v = s->kv[layer].v;
}

const rb_attn_variant rb_attn_gqa = {
    .geom = rb_attn_geom_heads, .project = project, .expose = expose, .merge = rb_attn_merge_heads
};
