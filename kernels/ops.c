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

void rb_op_kv_store(rb_exec *ex, rb_view kc, rb_view k, rb_view vc, rb_view v, const int64_t *past)
{
    const rb_call call = { .t = { kc, k, vc, v }, .past = past };
    rb_launch(ex, RB_OP_KV_STORE, &call);
}

void rb_op_attend(rb_exec *ex, rb_view o, rb_view q, rb_view k, rb_view k2, rb_view v, float scale,
                  const int64_t *past)
{
    const rb_call call = { .t = { o, q, k, k2, v }, .p.scale = scale, .past = past };
    rb_launch(ex, RB_OP_ATTEND, &call);
}

void rb_op_silu_gate(rb_exec *ex, rb_view y, rb_view gate, rb_view up)
{
    const rb_call call = { .t = { y, gate, up } };
    rb_launch(ex, RB_OP_SILU_GATE, &call);
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
