/* The typed wrappers of ops.h: operands into a call, the call through the door.
 * Refuses to do anything else: a wrapper that computed would not be counted.
 * Read next: launch.c. */
#include "ops.h"

#include <assert.h>

void rb_op_embed(rb_exec *ex, rb_view y, rb_view w, rb_view ids)
{
    const rb_call call = { .t = { y, w, ids } };
    rb_launch(ex, RB_OP_EMBED, &call);
}

void rb_op_rmsnorm(rb_exec *ex, rb_view y, rb_view x, rb_view w, float eps)
{
    const rb_call call = { .t = { y, x, w }, .p.eps = eps };
    rb_launch(ex, RB_OP_RMSNORM, &call);
}

void rb_op_layernorm(rb_exec *ex, rb_view y, rb_view x, rb_view w, rb_view b, float eps)
{
    const rb_call call = { .t = { y, x, w, b }, .p.eps = eps };
    rb_launch(ex, RB_OP_LAYERNORM, &call);
}

void rb_op_matmul(rb_exec *ex, rb_view x, int n_out, const rb_linear *out)
{
    rb_call call = { .t = { x } };
    assert(n_out >= 1 && n_out <= RB_MAX_LINEAR);
    for (int i = 0; i < n_out; i++) {
        call.t[1 + 3 * i] = out[i].y;
        call.t[2 + 3 * i] = out[i].w;
        call.t[3 + 3 * i] = out[i].bias;
    }
    rb_launch(ex, RB_OP_MATMUL, &call);
}

void rb_op_rope(rb_exec *ex, rb_view q, rb_view k, rb_view table, rb_view pos,
                rb_rope_pairing pairing)
{
    const rb_call call = { .t = { q, k, table, pos }, .p.pairing = pairing };
    rb_launch(ex, RB_OP_ROPE, &call);
}

void rb_op_matmul_heads(rb_exec *ex, rb_view x, int n_out, const rb_head_linear *out)
{
    rb_call call = { .t = { x } };
    assert(n_out >= 1 && n_out <= RB_MAX_HEAD_LINEAR);
    for (int i = 0; i < n_out; i++) {
        call.t[1 + 2 * i] = out[i].y;
        call.t[2 + 2 * i] = out[i].w;
        call.p.transposed |= (uint32_t)out[i].transposed << i;
    }
    rb_launch(ex, RB_OP_MATMUL_HEADS, &call);
}

void rb_op_kv_store(rb_exec *ex, int n_piece, const rb_kv_piece *piece, const int64_t *past)
{
    rb_call call = { .past = past };
    assert(n_piece >= 1 && n_piece <= RB_MAX_KV_PIECE);
    for (int i = 0; i < n_piece; i++) {
        call.t[2 * i] = piece[i].to;
        call.t[2 * i + 1] = piece[i].from;
    }
    rb_launch(ex, RB_OP_KV_STORE, &call);
}

void rb_op_attend(rb_exec *ex, rb_view o, const rb_attend_in *in, float scale, const int64_t *past)
{
    const rb_call call = { .t = { o, in->q, in->k, in->k2, in->v, in->q2 },
                           .p.scale = scale,
                           .past = past };
    rb_launch(ex, RB_OP_ATTEND, &call);
}

void rb_op_silu_gate(rb_exec *ex, rb_view y, rb_view gate, rb_view up)
{
    const rb_call call = { .t = { y, gate, up } };
    rb_launch(ex, RB_OP_SILU_GATE, &call);
}

void rb_op_sigmoid_gate(rb_exec *ex, rb_view y, rb_view gate, rb_view up)
{
    const rb_call call = { .t = { y, gate, up } };
    rb_launch(ex, RB_OP_SIGMOID_GATE, &call);
}

void rb_op_relu2(rb_exec *ex, rb_view y, rb_view x)
{
    const rb_call call = { .t = { y, x } };
    rb_launch(ex, RB_OP_RELU2, &call);
}

void rb_op_gelu(rb_exec *ex, rb_view y, rb_view x, bool erf)
{
    const rb_call call = { .t = { y, x } };
    rb_launch(ex, erf ? RB_OP_GELU_ERF : RB_OP_GELU, &call);
}

void rb_op_route(rb_exec *ex, rb_view id, rb_view share, rb_view logits, rb_view bias,
                 rb_route_how how)
{
    const rb_call call = { .t = { id, share, logits, bias },
                           .p = {
                               .gating = how.gating, .renorm = how.renorm, .scale = how.scale } };
    rb_launch(ex, RB_OP_ROUTE, &call);
}

void rb_op_experts(rb_exec *ex, rb_view y, rb_view x, const rb_experts *e)
{
    const rb_call call = { .t = { y, x, e->gate, e->up, e->down, e->id, e->share, e->shared_gate,
                                  e->shared_up, e->shared_down, e->inp } };
    rb_launch(ex, RB_OP_EXPERTS, &call);
}

void rb_op_add(rb_exec *ex, rb_view x, rb_view y)
{
    const rb_call call = { .t = { x, y } };
    rb_launch(ex, RB_OP_ADD, &call);
}

void rb_op_roof(rb_exec *ex, rb_op_id op, rb_view y, rb_view x, rb_view z, rb_param p)
{
    const rb_call call = { .t = { y, x, z }, .p = p };
    rb_launch(ex, op, &call);
}
