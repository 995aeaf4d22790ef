/* Grouped-query attention (Ainslie et al. 2023): MHA, GQA and MQA are this one variant and differ
 * in the number of KV heads only. Biases (qwen2) and per-head norms (qwen3) where the model has
 * them. Read next: kv.c, the cache that project writes and expose shows. */
#include "session.h"

static void linear(rb_exec *ex, rb_site site, rb_view x, const rb_linear *out)
{
    ex->site = site;
    rb_op_matmul(ex, x, 1, out);
}

/* q, k, v = W x (+ b): one launch where the weights are of one dtype. */
static void project_qkv(const rb_session *s, rb_exec *ex, const rb_layer *w, rb_view x)
{
    const rb_config *c = &s->model->config;
    const rb_linear out[3] = {
        { rb_pad_rows(s, &s->pad.q, c->n_head * c->d_head_k), w->wq, w->bq },
        { rb_pad_rows(s, &s->pad.k, c->n_head_kv * c->d_head_k), w->wk, w->bk },
        { rb_pad_rows(s, &s->pad.v, c->n_head_kv * c->d_head_v), w->wv, w->bv },
    };
    if (!s->params.no_fuse && w->wq.dtype == w->wk.dtype && w->wq.dtype == w->wv.dtype) {
        ex->site = RB_SITE_QKV;
        rb_op_matmul(ex, x, 3, out);
        return;
    }
    linear(ex, RB_SITE_Q, x, &out[0]);
    linear(ex, RB_SITE_K, x, &out[1]);
    linear(ex, RB_SITE_V, x, &out[2]);
}

static void project(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x, rb_view q)
{
    const rb_config *c = &s->model->config;
    const rb_layer *w = &s->model->layer[layer];
    const rb_view k = rb_pad_heads(s, &s->pad.k, c->n_head_kv, c->d_head_k);
    const rb_view v = rb_pad_heads(s, &s->pad.v, c->n_head_kv, c->d_head_v);
    const rb_view table =
        rb_view_dense(&s->pad.rope_table, RB_F32, RB_ACT, 0, 1, 1, s->params.n_ctx, c->d_rot);
    const rb_view pos = rb_view_dense(&s->pad.pos, RB_I32, RB_CTRL, 0, 1, 1, 1, q.n[0] * q.n[1]);
    project_qkv(s, ex, w, x);
    if (c->qk_norm) {
        ex->site = RB_SITE_QK_NORM;
        rb_op_rmsnorm(ex, q, q, w->q_norm, c->norm_eps);
        rb_op_rmsnorm(ex, k, k, w->k_norm, c->norm_eps);
    }
    ex->site = RB_SITE_ROPE;
    rb_op_rope(ex, rb_view_slice(q, 3, 0, c->d_rot), rb_view_slice(k, 3, 0, c->d_rot), table, pos,
               c->rope_pairing);
    ex->site = RB_SITE_KV_STORE;
    const rb_kv_piece piece[] = { { s->kv[layer].k, k }, { s->kv[layer].v, v } };
    rb_op_kv_store(ex, 2, piece, s->past);
}

static rb_kv_views expose(const rb_session *s, int64_t layer)
{
    return (rb_kv_views){ .k = s->kv[layer].k, .v = s->kv[layer].v };
}

static void merge(const rb_session *s, rb_exec *ex, int64_t layer, rb_view o, rb_view y)
{
    const rb_view rows = rb_view_reshape(o, 1, o.n[0] * o.n[1], 1, o.n[2] * o.n[3]);
    linear(ex, RB_SITE_O, rows, &(rb_linear){ .y = y, .w = s->model->layer[layer].wo });
}

const rb_attn_variant rb_attn_gqa = { project, expose, merge };
