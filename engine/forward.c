/* The forward pass: embed, layers, norm, head, as in the papers. Pre-norm residual blocks with
 * attention (attn_*.c) and a gated feed-forward network. Every line that computes is a launch.
 * Start reading here; the argument of every step is session->batch. Read next: attn_gqa.c. */
#include "session.h"

#include <math.h>

rb_view rb_pad_rows(const rb_session *s, const rb_buffer *b, int64_t columns)
{
    return rb_view_dense(b, RB_F32, RB_ACT, 0, 1, s->params.n_seq * s->batch.n_tok, 1, columns);
}

rb_view rb_pad_heads(const rb_session *s, const rb_buffer *b, int64_t heads, int64_t d)
{
    return rb_view_dense(b, RB_F32, RB_ACT, 0, s->params.n_seq, s->batch.n_tok, heads, d);
}

static void embed(const rb_session *s, rb_exec *ex, rb_view x)
{
    const rb_buffer *ids = s->batch.ids_known ? &s->pad.ids : &s->no_ids;
    ex->site = RB_SITE_EMBED;
    rb_op_embed(ex, x, s->model->tok_embd, rb_view_dense(ids, RB_I32, RB_CTRL, 0, 1, 1, 1, x.n[1]));
}

static void norm(const rb_session *s, rb_exec *ex, rb_site site, rb_view y, rb_view x, rb_view w)
{
    ex->site = site;
    rb_op_rmsnorm(ex, y, x, w, s->model->config.norm_eps);
}

static void add_residual(rb_exec *ex, rb_view x, rb_view y)
{
    ex->site = RB_SITE_RESIDUAL;
    rb_op_add(ex, x, y);
}

/* y = Attn(x): project, one attention core for every variant, merge. */
static void attention(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x, rb_view y)
{
    const rb_config *c = &s->model->config;
    const rb_view q = rb_pad_heads(s, &s->pad.q, c->n_head, c->d_head_k);
    const rb_view o = rb_pad_heads(s, &s->pad.o, c->n_head, c->d_head_v);
    s->attn->project(s, ex, layer, x, q);
    const rb_kv_views kv = s->attn->expose(s, layer);
    ex->site = RB_SITE_ATTN;
    const rb_attend_in in = { .q = q, .k = kv.k, .k2 = kv.k2, .v = kv.v };
    rb_op_attend(ex, o, &in, 1.0f / sqrtf((float)c->d_head_k), s->past);
    s->attn->merge(s, ex, layer, o, y);
}

/* y = W_down (silu(W_gate x) * W_up x) */
static void feed_forward(const rb_session *s, rb_exec *ex, const rb_layer *w, rb_view x, rb_view y)
{
    const int64_t n_ff = s->model->config.n_ff;
    const rb_view gate = rb_pad_rows(s, &s->pad.gate, n_ff), up = rb_pad_rows(s, &s->pad.up, n_ff);
    const rb_linear both[2] = { { .y = gate, .w = w->w_gate }, { .y = up, .w = w->w_up } };
    if (!s->params.no_fuse && w->w_gate.dtype == w->w_up.dtype) {
        ex->site = RB_SITE_GATE_UP;
        rb_op_matmul(ex, x, 2, both);
    } else {
        ex->site = RB_SITE_GATE;
        rb_op_matmul(ex, x, 1, &both[0]);
        ex->site = RB_SITE_UP;
        rb_op_matmul(ex, x, 1, &both[1]);
    }
    ex->site = RB_SITE_FFN_ACT;
    rb_op_silu_gate(ex, gate, gate, up);
    ex->site = RB_SITE_DOWN;
    rb_op_matmul(ex, gate, 1, &(rb_linear){ .y = y, .w = w->w_down });
}

/* Final norm and lm_head on the rows whose logits are wanted: none, the last, or all. */
static void head(const rb_session *s, rb_exec *ex, rb_view x)
{
    const rb_batch *b = &s->batch;
    const rb_config *c = &s->model->config;
    if (b->n_head == 0)
        return;
    const int64_t n_seq = s->params.n_seq;
    x = rb_view_slice(rb_view_reshape(x, n_seq, b->n_tok, 1, c->n_embd), 1, b->n_tok - b->n_head,
                      b->n_head);
    const rb_view normed =
        rb_view_dense(&s->pad.last, RB_F32, RB_ACT, 0, n_seq, b->n_head, 1, c->n_embd);
    rb_view logits =
        rb_view_dense(&s->pad.logits, RB_F32, RB_ACT, 0, n_seq, b->n_logits, 1, c->n_vocab);
    logits = rb_view_slice(logits, 1, b->head_row, b->n_head);
    norm(s, ex, RB_SITE_OUT_NORM, normed, x, s->model->out_norm);
    ex->site = RB_SITE_LM_HEAD;
    rb_op_matmul(ex, normed, 1, &(rb_linear){ .y = logits, .w = s->model->output });
}

void rb_forward(rb_exec *ex, void *session)
{
    const rb_session *s = session;
    const int64_t n_embd = s->model->config.n_embd;
    const rb_view x = rb_pad_rows(s, &s->pad.x, n_embd), y = rb_pad_rows(s, &s->pad.y, n_embd);
    const rb_view normed = rb_pad_rows(s, &s->pad.normed, n_embd);
    ex->phase = s->batch.phase;
    embed(s, ex, x);
    for (int64_t l = 0; l < s->n_layer; l++) {
        const rb_layer *w = &s->model->layer[l];
        norm(s, ex, RB_SITE_ATTN_NORM, normed, x, w->attn_norm);
        attention(s, ex, l, normed, y);
        add_residual(ex, x, y);
        norm(s, ex, RB_SITE_FFN_NORM, normed, x, w->ffn_norm);
        feed_forward(s, ex, w, normed, y);
        add_residual(ex, x, y);
    }
    head(s, ex, x);
}
