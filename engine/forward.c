/* The forward pass: embed, layers, norm, head, as in the papers. Pre-norm residual blocks of
 * attention (attn_*.c) and a feed-forward network (ffn.c), one after the other or side by side.
 * Every line that computes is a launch. Start reading here; the argument of every step is
 * session->batch. Read next: attn_gqa.c. */
#include "session.h"

void rb_linears(const rb_session *s, rb_exec *ex, rb_view x, rb_site site, int n,
                const rb_linear *out, const rb_site *each)
{
    bool one = !s->params.no_fuse;
    for (int i = 1; i < n; i++)
        one &= out[i].w.dtype == out[0].w.dtype;
    if (one) {
        ex->site = site;
        rb_op_matmul(ex, x, n, out);
        return;
    }
    for (int i = 0; i < n; i++) {
        ex->site = each[i];
        rb_op_matmul(ex, x, 1, &out[i]);
    }
}

static void embed(const rb_session *s, rb_exec *ex, rb_view x)
{
    const rb_buffer *ids = s->batch.ids_known ? &s->pad.ids : &s->no_ids;
    ex->site = RB_SITE_EMBED;
    rb_op_embed(ex, x, s->model->tok_embd, rb_view_dense(ids, RB_I32, RB_CTRL, 0, 1, 1, 1, x.n[1]));
}

/* The model's kind of norm; b is absent from RMSNorm. */
static void norm(const rb_session *s, rb_exec *ex, rb_site site, rb_view y, rb_view x, rb_view w,
                 rb_view b)
{
    const rb_config *c = &s->model->config;
    ex->site = site;
    if (c->norm == RB_NORM_LAYER)
        rb_op_layernorm(ex, y, x, w, b, c->norm_eps);
    else
        rb_op_rmsnorm(ex, y, x, w, c->norm_eps);
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
    const rb_attn_variant *v = rb_attn_variant_of(s, s->attn);
    const rb_view o = rb_pad_heads(s, &s->pad.o, c->n_head, v->geom(c).d_out);
    rb_attend_in in = { 0 };
    v->project(s, ex, layer, x, &in);
    v->expose(s, ex, layer, &in);
    ex->site = RB_SITE_ATTN;
    if (v->attend)
        v->attend(s, ex, layer, &in, o);
    else
        rb_op_attend(ex, o, &in, rb_score_scale(c), s->past);
    v->merge(s, ex, layer, o, y);
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
    norm(s, ex, RB_SITE_OUT_NORM, normed, x, s->model->out_norm, s->model->out_norm_b);
    ex->site = RB_SITE_LM_HEAD;
    rb_op_matmul(ex, normed, 1, &(rb_linear){ .y = logits, .w = s->model->output });
}

static void run_layer(const rb_session *s, rb_exec *ex, int64_t l, rb_view x)
{
    const rb_config *c = &s->model->config;
    const rb_layer *w = &s->model->layer[l];
    const rb_view y = rb_pad_rows(s, &s->pad.y, c->n_embd);
    const rb_view normed = rb_pad_rows(s, &s->pad.normed, c->n_embd);
    const rb_view attn_in = rb_pad_attn_input(s, l);
    ex->layer = l;
    norm(s, ex, RB_SITE_ATTN_NORM, attn_in, x, w->attn_norm, w->attn_norm_b);
    attention(s, ex, l, attn_in, y);
    if (!c->parallel_residual)
        add_residual(ex, x, y);
    norm(s, ex, RB_SITE_FFN_NORM, normed, x, w->ffn_norm, w->ffn_norm_b);
    if (c->parallel_residual) /* now that both norms have read x */
        add_residual(ex, x, y);
    rb_feed_forward(s, ex, l, normed, y);
    add_residual(ex, x, y);
}

void rb_forward(rb_exec *ex, void *session)
{
    const rb_session *s = session;
    const rb_view x = rb_pad_rows(s, &s->pad.x, s->model->config.n_embd);
    ex->phase = s->batch.phase;
    embed(s, ex, x);
    for (int64_t l = 0; l < s->n_layer; l++)
        run_layer(s, ex, l, x);
    ex->layer = -1;
    head(s, ex, x);
}

void rb_forward_attention(rb_exec *ex, void *session)
{
    const rb_session *s = session;
    const rb_view x = rb_pad_rows(s, &s->pad.x, s->model->config.n_embd);
    ex->phase = s->batch.phase;
    attention(s, ex, 0, x, rb_pad_rows(s, &s->pad.y, s->model->config.n_embd));
}
