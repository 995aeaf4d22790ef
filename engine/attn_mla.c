/* Multi-head latent attention (DeepSeek-AI 2024 (V2), sec. 2.1): K and V of all heads come from one
 * latent c of each token, but for a rotated key k_r that heads share. Three orders of one result:
 * naive_full expands new tokens and caches K and V; naive_latent caches [c | k_r] and expands all
 * of it in every call; absorbed caches the same and moves q into the latent's space instead: then
 * it is MQA whose V lies inside K (eq. 9-13). Read next: attn.c (who chooses), forward.c. */
#include "session.h"

/* q, or what it comes from, and [c | k_r]: one launch where weights are of one dtype. */
static void project_x(const rb_session *s, rb_exec *ex, const rb_layer *w, rb_view x)
{
    const rb_config *c = &s->model->config;
    const rb_view q = rb_pad_rows(s, &s->pad.q, c->n_head * c->d_head_k);
    const rb_view kv_a = rb_pad_rows(s, &s->pad.kv_a, c->kv_lora_rank + rb_config_d_shared(c));
    if (!c->q_lora_rank) {
        const rb_linear out[] = { { q, w->wq, w->bq }, { kv_a, w->wkv_a, w->bkv_a } };
        rb_linears(s, ex, x, RB_SITE_QKV, 2, out, (rb_site[]){ RB_SITE_Q, RB_SITE_KV_A });
        return;
    }
    const rb_view q_a = rb_pad_rows(s, &s->pad.q_a, c->q_lora_rank);
    const rb_linear out[] = { { .y = q_a, .w = w->wq_a }, { .y = kv_a, .w = w->wkv_a } };
    rb_linears(s, ex, x, RB_SITE_QKV, 2, out, (rb_site[]){ RB_SITE_Q_A, RB_SITE_KV_A });
    ex->site = RB_SITE_Q_A_NORM;
    rb_op_rmsnorm(ex, q_a, q_a, w->q_a_norm, c->norm_eps);
    ex->site = RB_SITE_Q_B;
    rb_op_matmul(ex, q_a, 1, &(rb_linear){ .y = q, .w = w->wq_b });
}

static rb_view nope_of(const rb_session *s, rb_view heads)
{
    return rb_view_slice(heads, 3, 0, rb_config_d_nope(&s->model->config));
}

/* What follows the first columns of heads, of which there are count. */
static rb_view after_nope(const rb_session *s, rb_view heads, int64_t count)
{
    return rb_view_slice(heads, 3, rb_config_d_nope(&s->model->config), count);
}

/* What every order begins with: q, rotated in its last columns, and the normed c and rotated k_r of
 * the new tokens. */
typedef struct latents {
    rb_view q, c, k_rot;
} latents;

/* Heads as n times as many, each a part of one; n > 1: of all its columns. */
static rb_view parts_of(rb_view v, int64_t n)
{
    if (n == 1)
        return v;
    v.n[2] *= n;
    v.n[3] /= n;
    v.step_bytes[2] = rb_row_bytes(v.dtype, v.n[3]);
    return v;
}

/* Rotates the shared key and what meets it of q: as one key, or block by block as several. */
static void rotate(const rb_session *s, rb_exec *ex, int64_t layer, const latents *l)
{
    const rb_config *c = &s->model->config;
    const rb_layer *w = &s->model->layer[layer];
    const int64_t n = c->n_key_block ? c->n_key_block : 1;
    const rb_view q = parts_of(after_nope(s, l->q, rb_config_d_shared(c)), n);
    const rb_view k = parts_of(l->k_rot, n);
    if (c->qk_norm) {
        ex->site = RB_SITE_QK_NORM;
        rb_op_rmsnorm(ex, q, q, w->q_norm, c->norm_eps);
        rb_op_rmsnorm(ex, k, k, w->k_norm, c->norm_eps);
    }
    ex->site = RB_SITE_ROPE;
    rb_op_rope(ex, rb_view_slice(q, 3, 0, c->d_rot), rb_view_slice(k, 3, 0, c->d_rot),
               rb_pad_rope_table(s, layer), rb_pad_positions(s), c->rope_pairing);
}

static latents project_latents(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x)
{
    const rb_config *c = &s->model->config;
    const rb_layer *w = &s->model->layer[layer];
    const int64_t rank = c->kv_lora_rank, shared = rb_config_d_shared(c);
    const rb_view kv_a = rb_pad_heads(s, &s->pad.kv_a, 1, rank + shared);
    const latents l = { .q = rb_pad_heads(s, &s->pad.q, c->n_head, c->d_head_k),
                        .c = rb_view_slice(kv_a, 3, 0, rank),
                        .k_rot = rb_view_slice(kv_a, 3, rank, shared) };
    project_x(s, ex, w, x);
    if (!c->latent_plain) {
        ex->site = RB_SITE_KV_A_NORM;
        rb_op_rmsnorm(ex, l.c, l.c, w->kv_a_norm, c->norm_eps);
    }
    rotate(s, ex, layer, &l);
    return l;
}

/* Columns of K (but for its rotated ones) and V of a head. */
static int64_t expanded_columns(const rb_session *s)
{
    return rb_config_d_nope(&s->model->config) + s->model->config.d_head_v;
}

static rb_view kv_b_by_heads(const rb_session *s, const rb_layer *w)
{
    const rb_config *c = &s->model->config;
    return rb_view_reshape(w->wkv_b, 1, c->n_head_kv, expanded_columns(s), c->kv_lora_rank);
}

/* W_UK and W_UV by heads, from either form of the file. */
static rb_view w_uk(const rb_session *s, const rb_layer *w)
{
    const rb_config *c = &s->model->config;
    return c->mla_split ? w->wk_b : rb_view_slice(kv_b_by_heads(s, w), 2, 0, rb_config_d_nope(c));
}

static rb_view w_uv(const rb_session *s, const rb_layer *w)
{
    const rb_config *c = &s->model->config;
    return c->mla_split ? w->wv_b
                        : rb_view_slice(kv_b_by_heads(s, w), 2, rb_config_d_nope(c), c->d_head_v);
}

void rb_attn_expand(const rb_session *s, rb_exec *ex, const rb_layer *w, rb_view c, rb_view kv)
{
    const rb_head_linear v = { after_nope(s, kv, s->model->config.d_head_v), w_uv(s, w), false };
    ex->site = RB_SITE_KV_B;
    if (rb_config_d_nope(&s->model->config) == 0) {
        rb_op_matmul_heads(ex, c, 1, &v);
        return;
    }
    const rb_head_linear out[] = {
        { nope_of(s, kv), w_uk(s, w), s->model->config.mla_split }, /* k_b lies transposed */
        v,
    };
    if (out[0].w.dtype == out[1].w.dtype) {
        rb_op_matmul_heads(ex, c, 2, out);
        return;
    }
    rb_op_matmul_heads(ex, c, 1, &out[0]);
    rb_op_matmul_heads(ex, c, 1, &out[1]);
}

/* ---- naive_full ---- */

static void project_full(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x,
                         rb_attend_in *in)
{
    const rb_config *c = &s->model->config;
    const rb_layer *w = &s->model->layer[layer];
    const rb_kv_layer *cache = &s->kv[layer];
    const rb_view kv = rb_pad_heads(s, &s->pad.kv, c->n_head, expanded_columns(s));
    const latents l = project_latents(s, ex, layer, x);
    rb_attn_expand(s, ex, w, l.c, kv);
    const rb_kv_piece piece[] = { { after_nope(s, cache->k, rb_config_d_shared(c)), l.k_rot },
                                  { cache->v, after_nope(s, kv, c->d_head_v) },
                                  { nope_of(s, cache->k), nope_of(s, kv) } };
    ex->site = RB_SITE_KV_STORE;
    rb_op_kv_store(ex, rb_config_d_nope(c) ? 3 : 2, piece, s->past);
    in->q = l.q;
}

static void expose_full(const rb_session *s, rb_exec *ex, int64_t layer, rb_attend_in *in)
{
    (void)ex;
    in->k = s->kv[layer].k;
    in->v = s->kv[layer].v;
}

const rb_attn_variant rb_attn_mla_naive_full = { .geom = rb_attn_geom_heads,
                                                 .project = project_full,
                                                 .expose = expose_full,
                                                 .merge = rb_attn_merge_heads };

/* ---- naive_latent ---- */

static latents store_latents(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x)
{
    const rb_kv_layer *cache = &s->kv[layer];
    const latents l = project_latents(s, ex, layer, x);
    const rb_kv_piece piece[] = { { cache->k, l.c }, { cache->v, l.k_rot } };
    ex->site = RB_SITE_KV_STORE;
    rb_op_kv_store(ex, 2, piece, s->past);
    return l;
}

static void project_latent(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x,
                           rb_attend_in *in)
{
    in->q = store_latents(s, ex, layer, x).q;
}

static void expose_latent(const rb_session *s, rb_exec *ex, int64_t layer, rb_attend_in *in)
{
    const rb_config *c = &s->model->config;
    const int64_t n_keys = s->n_past + s->batch.n_tok;
    const rb_view kv = rb_view_dense(&s->pad.kv, RB_F32, RB_ACT, 0, s->params.n_seq, n_keys,
                                     c->n_head, expanded_columns(s));
    rb_attn_expand(s, ex, &s->model->layer[layer], rb_view_slice(s->kv[layer].k, 1, 0, n_keys), kv);
    in->k = rb_config_d_nope(c) ? nope_of(s, kv) : s->kv[layer].v;
    in->k2 = rb_config_d_nope(c) ? s->kv[layer].v : (rb_view){ 0 };
    in->v = after_nope(s, kv, c->d_head_v);
}

const rb_attn_variant rb_attn_mla_naive_latent = { .geom = rb_attn_geom_latent,
                                                   .project = project_latent,
                                                   .expose = expose_latent,
                                                   .merge = rb_attn_merge_heads };

/* ---- absorbed ---- */

static void project_absorbed(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x,
                             rb_attend_in *in)
{
    const rb_config *c = &s->model->config;
    const latents l = store_latents(s, ex, layer, x);
    in->q = l.q;
    if (!rb_config_d_nope(c)) /* scores are of the shared key alone */
        return;
    in->q = rb_pad_heads(s, &s->pad.q_latent, c->n_head, c->kv_lora_rank);
    in->q2 = after_nope(s, l.q, c->d_rot);
    const rb_head_linear out = { in->q, w_uk(s, &s->model->layer[layer]), !c->mla_split };
    ex->site = RB_SITE_Q_ABSORB;
    rb_op_matmul_heads(ex, nope_of(s, l.q), 1, &out);
}

static void expose_absorbed(const rb_session *s, rb_exec *ex, int64_t layer, rb_attend_in *in)
{
    (void)ex;
    in->k = in->v = s->kv[layer].k;
    in->k2 = s->kv[layer].v;
    if (rb_config_d_nope(&s->model->config))
        return;
    in->k = in->k2;
    in->k2 = (rb_view){ 0 };
}

static void merge_absorbed(const rb_session *s, rb_exec *ex, int64_t layer, rb_view o, rb_view y)
{
    const rb_config *c = &s->model->config;
    const rb_view up = rb_pad_heads(s, &s->pad.o_head, c->n_head, c->d_head_v);
    const rb_head_linear out = { up, w_uv(s, &s->model->layer[layer]), false };
    ex->site = RB_SITE_V_UP;
    rb_op_matmul_heads(ex, o, 1, &out);
    rb_attn_merge_heads(s, ex, layer, up, y);
}

static rb_attn_geom geom_absorbed(const rb_config *c)
{
    rb_attn_geom g = rb_attn_geom_latent(c);
    g.d_out = c->kv_lora_rank;
    return g;
}

const rb_attn_variant rb_attn_mla_absorbed = { .geom = geom_absorbed,
                                               .project = project_absorbed,
                                               .expose = expose_absorbed,
                                               .merge = merge_absorbed };
