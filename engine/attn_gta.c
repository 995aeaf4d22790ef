/* Grouped-tied latent attention (Sun et al. 2025, eq. 5-8): maps of grouped heads over values that
 * are short; what a map takes of them is decoded by a matrix of its own (whose part that copies,
 * the identity again and again, lies in the matrix), and let through by a gate of the current
 * token. Cached are K and the short values. Read next: attn_gqa.c, of which all else is. */
#include "session.h"

static void project(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x, rb_attend_in *in)
{
    const rb_config *c = &s->model->config;
    const rb_layer *w = &s->model->layer[layer];
    const rb_view gate = rb_pad_rows(s, &s->pad.attn_gate, c->n_head * c->d_value_up);
    ex->site = RB_SITE_ATTN_GATE;
    rb_op_matmul(ex, x, 1, &(rb_linear){ gate, w->w_attn_gate, w->b_attn_gate });
    rb_attn_gqa.project(s, ex, layer, x, in);
}

static void expose(const rb_session *s, rb_exec *ex, int64_t layer, rb_attend_in *in)
{
    rb_attn_gqa.expose(s, ex, layer, in);
}

static void merge(const rb_session *s, rb_exec *ex, int64_t layer, rb_view o, rb_view y)
{
    const rb_config *c = &s->model->config;
    const rb_view up = rb_pad_heads(s, &s->pad.o_head, c->n_head, c->d_value_up);
    const rb_view rows = rb_pad_rows(s, &s->pad.o_head, c->n_head * c->d_value_up);
    ex->site = RB_SITE_V_UP;
    rb_op_matmul_heads(ex, o, 1, &(rb_head_linear){ up, s->model->layer[layer].wv_b, false });
    ex->site = RB_SITE_ATTN_GATE;
    rb_op_sigmoid_gate(ex, rows, rb_pad_rows(s, &s->pad.attn_gate, rows.n[3]), rows);
    rb_attn_merge_heads(s, ex, layer, up, y);
}

const rb_attn_variant rb_attn_gta = {
    .geom = rb_attn_geom_heads, .project = project, .expose = expose, .merge = merge
};
