/* Feed-forward networks: dense ones, gated (SwiGLU) or not (squared ReLU, GELU), and mixtures of
 * experts: a router, its choice, and the chosen experts with the shared one as a single launch.
 * Refuses to look at which experts were chosen: that is the kernel's and the ledger's business.
 * Read next: forward.c. */
#include "session.h"

/* y = W_down act(W_gate x, W_up x), or of W_up x alone (+ biases). */
static void dense(const rb_session *s, rb_exec *ex, const rb_layer *w, rb_view x, rb_view y)
{
    const rb_config *c = &s->model->config;
    const rb_view up = rb_pad_rows(s, &s->pad.up, c->n_ff);
    const rb_linear out = { up, w->w_up, w->b_up };
    rb_view hidden = up;
    if (c->ffn == RB_FFN_SWIGLU) {
        hidden = rb_pad_rows(s, &s->pad.gate, c->n_ff);
        const rb_linear both[] = { { .y = hidden, .w = w->w_gate }, out };
        rb_linears(s, ex, x, RB_SITE_GATE_UP, 2, both, (rb_site[]){ RB_SITE_GATE, RB_SITE_UP });
    } else {
        rb_linears(s, ex, x, RB_SITE_UP, 1, &out, (rb_site[]){ RB_SITE_UP });
    }
    ex->site = RB_SITE_FFN_ACT;
    if (c->ffn == RB_FFN_SWIGLU)
        rb_op_silu_gate(ex, hidden, hidden, up);
    else if (c->ffn == RB_FFN_RELU2)
        rb_op_relu2(ex, hidden, hidden);
    else
        rb_op_gelu(ex, hidden, hidden, s->params.gelu_erf);
    ex->site = RB_SITE_DOWN;
    rb_op_matmul(ex, hidden, 1, &(rb_linear){ y, w->w_down, w->b_down });
}

/* y = sum of the chosen experts' networks, by their shares, and of the shared expert's. */
static void run_experts(const rb_session *s, rb_exec *ex, rb_experts e, rb_view x, rb_view y)
{
    const rb_experts routed = {
        .gate = e.gate, .up = e.up, .down = e.down, .id = e.id, .share = e.share
    };
    const rb_experts shared = { .shared_gate = e.shared_gate,
                                .shared_up = e.shared_up,
                                .shared_down = e.shared_down,
                                .inp = e.inp };
    ex->site = RB_SITE_EXPERTS;
    if (!s->params.no_fuse || !e.shared_up.buffer) {
        rb_op_experts(ex, y, x, &e);
        return;
    }
    const rb_view apart = rb_pad_rows(s, &s->pad.shared, s->model->config.n_embd);
    rb_op_experts(ex, y, x, &routed);
    ex->site = RB_SITE_SHARED_EXPERT;
    rb_op_experts(ex, apart, x, &shared);
    ex->site = RB_SITE_MOE_ADD;
    rb_op_add(ex, y, apart);
}

static void mixture(const rb_session *s, rb_exec *ex, const rb_layer *w, rb_view x, rb_view y)
{
    const rb_config *c = &s->model->config;
    const int64_t k = c->n_expert_used;
    const rb_view scores = rb_pad_rows(s, &s->pad.router, c->n_expert);
    const rb_view id = rb_view_dense(&s->pad.expert, RB_I32, RB_CTRL, 0, 1, x.n[1], 1, k);
    const rb_view share = rb_pad_rows(s, &s->pad.share, k);
    const rb_experts e = { w->gate_exps,  w->up_exps,  w->down_exps,  id,          share,
                           w->gate_shexp, w->up_shexp, w->down_shexp, w->inp_shexp };
    const rb_route_how how = { c->gating, c->expert_renorm, c->expert_scale };
    ex->site = RB_SITE_ROUTER;
    rb_op_matmul(ex, x, 1, &(rb_linear){ .y = scores, .w = w->router });
    ex->site = RB_SITE_ROUTE;
    rb_op_route(ex, id, share, scores, w->router_bias, how);
    run_experts(s, ex, e, x, y);
}

void rb_feed_forward(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x, rb_view y)
{
    const rb_layer *w = &s->model->layer[layer];
    if (w->router.buffer)
        mixture(s, ex, w, x, y);
    else
        dense(s, ex, w, x, y);
}
