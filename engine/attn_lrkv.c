/* Low-rank K and V, rotated late: one latent c of each token is cached, of K before its norm and
 * its rotation and of V; every call expands all of it to heads, norms and rotates the keys by where
 * they stand, and attends as ever. The cache is of rank columns, the price is paid in FLOPs. Not
 * absorbable: rotation stands between W_UK and the scores. Read next: attn_mla.c, whose expansion
 * this is. */
#include "session.h"

static void project(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x, rb_attend_in *in)
{
    const rb_config *c = &s->model->config;
    const rb_layer *w = &s->model->layer[layer];
    const rb_view q = rb_pad_heads(s, &s->pad.q, c->n_head, c->d_head_k);
    const rb_linear out[] = {
        { rb_pad_rows(s, &s->pad.q, c->n_head * c->d_head_k), w->wq, w->bq },
        { rb_pad_rows(s, &s->pad.kv_a, c->kv_lora_rank), w->wkv_a, w->bkv_a },
    };
    rb_linears(s, ex, x, RB_SITE_QKV, 2, out, (rb_site[]){ RB_SITE_Q, RB_SITE_KV_A });
    if (c->qk_norm) {
        ex->site = RB_SITE_QK_NORM;
        rb_op_rmsnorm(ex, q, q, w->q_norm, c->norm_eps);
    }
    ex->site = RB_SITE_ROPE;
    rb_op_rope(ex, rb_view_slice(q, 3, 0, c->d_rot), (rb_view){ 0 }, rb_pad_rope_table(s, layer),
               rb_pad_positions(s), c->rope_pairing);
    ex->site = RB_SITE_KV_STORE;
    const rb_kv_piece piece = { s->kv[layer].k, rb_pad_heads(s, &s->pad.kv_a, 1, c->kv_lora_rank) };
    rb_op_kv_store(ex, 1, &piece, s->past);
    in->q = q;
}

static void expose(const rb_session *s, rb_exec *ex, int64_t layer, rb_attend_in *in)
{
    const rb_config *c = &s->model->config;
    const rb_layer *w = &s->model->layer[layer];
    const int64_t n_keys = s->n_past + s->batch.n_tok;
    const rb_view kv = rb_view_dense(&s->pad.kv, RB_F32, RB_ACT, 0, s->params.n_seq, n_keys,
                                     c->n_head_kv, c->d_head_k + c->d_head_v);
    in->k = rb_view_slice(kv, 3, 0, c->d_head_k);
    in->v = rb_view_slice(kv, 3, c->d_head_k, c->d_head_v);
    rb_attn_expand(s, ex, w, rb_view_slice(s->kv[layer].k, 1, 0, n_keys), kv);
    if (c->qk_norm) {
        ex->site = RB_SITE_QK_NORM;
        rb_op_rmsnorm(ex, in->k, in->k, w->k_norm, c->norm_eps);
    }
    ex->site = RB_SITE_ROPE;
    rb_op_rope(ex, rb_view_slice(in->k, 3, 0, c->d_rot), (rb_view){ 0 },
               rb_pad_rope_table(s, layer), rb_pad_key_positions(s), c->rope_pairing);
}

const rb_attn_variant rb_attn_lrkv = {
    .geom = rb_attn_geom_latent, .project = project, .expose = expose, .merge = rb_attn_merge_heads
};
