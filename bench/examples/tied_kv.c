/* A variant of attention from outside: grouped-tied attention (Zadouri, Strauss & Dao 2025,
 * "Hardware-Efficient Attention for Fast Decoding"). Of each group one state is cached that is V as
 * it lies and, in its first half, the part of K that is not rotated; the rotated half of K is one
 * for all heads. Half the cache of GQA, and a row read once for K and V. Weights are those of a GQA
 * model whose heads rotate half of their columns (d_rot = d_head / 2): W_v makes the state, the
 * first rows of W_k the shared key. Another model, then: for its cost, not its text. */
#include "own.h"

enum { Q, STATE, KEY }; /* pads */

static rb_attn_geom geom(const rb_config *c)
{
    const int64_t d = c->d_head_v;
    return (rb_attn_geom){ .n_head_k = 1,
                           .d_k = d / 2,
                           .n_head_v = c->n_head_kv,
                           .d_v = d,
                           .d_out = d,
                           .pad = { c->n_head * d, c->n_head_kv * d, d / 2 } };
}

static void project(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x, rb_attend_in *in)
{
    const rb_model *m = rb_session_model(s);
    const rb_config *c = &m->config;
    const rb_layer *w = &m->layer[layer];
    const int64_t d = c->d_head_v, half = d / 2;
    const rb_view q = rb_session_pad(s, Q, c->n_head, d), key = rb_session_pad(s, KEY, 1, half);
    const rb_view state = rb_session_pad(s, STATE, c->n_head_kv, d);
    const rb_linear out[] = { { .y = rb_attn_rows(q), .w = w->wq },
                              { .y = rb_attn_rows(state), .w = w->wv },
                              { .y = rb_attn_rows(key), .w = rb_view_slice(w->wk, 2, 0, half) } };
    ex->site = RB_SITE_QKV;
    rb_op_matmul(ex, x, 3, out);
    ex->site = RB_SITE_ROPE;
    rb_op_rope(ex, rb_view_slice(q, 3, half, half), key, rb_session_rope_table(s, layer),
               rb_session_positions(s), c->rope_pairing);
    ex->site = RB_SITE_KV_STORE;
    const rb_kv_piece piece[] = { { rb_session_cache(s, layer, 0), key },
                                  { rb_session_cache(s, layer, 1), state } };
    rb_op_kv_store(ex, 2, piece, rb_session_past(s));
    in->q = q;
}

static void expose(const rb_session *s, rb_exec *ex, int64_t layer, rb_attend_in *in)
{
    const int64_t half = rb_session_model(s)->config.d_head_v / 2;
    (void)ex;
    in->v = rb_session_cache(s, layer, 1);
    in->k = rb_view_slice(in->v, 3, 0, half); /* K lies in V's rows */
    in->k2 = rb_session_cache(s, layer, 0);
}

/* The paper's arithmetic: S pairs of a query and a key that it sees, T keys. */
static rb_attn_claim claim(const rb_config *c, const rb_layer *w, const rb_attn_run *r)
{
    const int64_t d = c->d_head_v, h = c->n_head, g = c->n_head_kv, e = c->n_embd;
    const int64_t n = r->n_seq * r->n, t = r->n_seq * (r->past + r->n);
    const int64_t s = r->n_seq * (r->n * r->past + r->n * (r->n + 1) / 2);
    const int64_t row = g * rb_row_bytes(r->type_v, d) + rb_row_bytes(r->type_k, d / 2);
    const int64_t made = h * d + g * d + d / 2; /* columns of q, state and key */
    return (rb_attn_claim){
        .flops =
            2 * n * e * (made + h * d) + 3 * n * (h + 1) * d / 2 + 4 * d * h * s + h * (5 * s + n),
        .weight = made * rb_row_bytes(w->wq.dtype, e) + e * rb_row_bytes(w->wo.dtype, h * d),
        .kv_read = t * row,
        .kv_write = n * row,
    };
}

const rb_attn_variant tied_kv = { .name = "tied-kv",
                                  .geom = geom,
                                  .project = project,
                                  .expose = expose,
                                  .merge = rb_attn_merge_heads,
                                  .claim = claim };
