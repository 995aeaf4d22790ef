/* add: x += y, the residual stream. Work unit: a chunk of columns.
 * Refuses heads: reshape them away.
 * Read next: chunks.h, attend.c. */
#include "chunks.h"

enum { X, Y };
enum { TOKENS, H };

static const char *check(const rb_call *c)
{
    if (!rb_view_same_shape(&c->t[X], &c->t[Y]))
        return "x and y differ in shape";
    return check_chunks(&c->t[X]);
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return n_chunks(&c->t[X]);
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared, (void)own;
    for (int64_t u = first; u < last; u++) {
        const chunk k = chunk_at(&c->t[X], u);
        f32 *x = (f32 *)rb_at(&c->t[X], 0, k.token, 0);
        const f32 *y = (const f32 *)rb_at(&c->t[Y], 0, k.token, 0);
        int64_t i = k.from;
        for (; i + V_LANES <= k.to; i += V_LANES)
            v_store(x + i, v_add(v_load(x + i), v_load(y + i)));
        if (i < k.to)
            v_store_n(x + i, v_add(v_load_n(x + i, k.to - i), v_load_n(y + i, k.to - i)), k.to - i);
    }
}

static rb_issued issued(const rb_call *c)
{
    return chunks_issued(&c->t[X], 2);
}

static const rb_term flops[] = { { 1, { TOKENS, H, -1 } }, { 0 } };
static const rb_term nothing[] = { { 0 } };

static const rb_op op = {
    .id = RB_OP_ADD,
    .name = "add",
    .arg = { { "x", 'u', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "y", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 } },
    .token_arg = X,
    .key_arg = X,
    .dim = { { "T", X, 1, NULL }, { "H", X, 3, NULL } },
    .flops = flops,
    .special = nothing,
    .check = check,
};

static const rb_kernel rows[] = { { RB_ROW(RB_F32) } };
RB_EXPORT(elt, rows);
