/* add: x += y, the residual stream. Work unit: up to CHUNK columns of one row, so that a single
 * token still feeds every thread. Refuses heads and more than one sequence axis: reshape them away.
 * Read next: attend.c. */
#include "rows.h"

enum { X, Y };
enum { TOKENS, H };
enum { CHUNK = 512 };

static const char *check(const rb_call *c)
{
    for (int i = 0; i < 4; i++)
        if (c->t[X].n[i] != c->t[Y].n[i])
            return "x and y differ in shape";
    return c->t[X].n[0] == 1 && c->t[X].n[2] == 1 ? NULL : "one sequence axis, one head are wanted";
}

static int64_t chunks(const rb_call *c)
{
    return (c->t[X].n[3] + CHUNK - 1) / CHUNK;
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return c->t[X].n[1] * chunks(c);
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared, (void)own;
    for (int64_t u = first; u < last; u++) {
        const int64_t t = u / chunks(c), from = u % chunks(c) * CHUNK;
        const int64_t to = from + CHUNK < c->t[X].n[3] ? from + CHUNK : c->t[X].n[3];
        f32 *x = (f32 *)rb_at(&c->t[X], 0, t, 0);
        const f32 *y = (const f32 *)rb_at(&c->t[Y], 0, t, 0);
        int64_t i = from;
        for (; i + V_LANES <= to; i += V_LANES)
            v_store(x + i, v_add(v_load(x + i), v_load(y + i)));
        if (i < to)
            v_store_n(x + i, v_add(v_load_n(x + i, to - i), v_load_n(y + i, to - i)), to - i);
    }
}

static const rb_term flops[] = { { 1, { TOKENS, H, -1 } }, { 0 } };
static const rb_term nothing[] = { { 0 } };

static const rb_op op = {
    .id = RB_OP_ADD,
    .name = "add",
    .arg = { { "x", 'u', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "y", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 } },
    .token_arg = X,
    .key_arg = { X, -1, -1 },
    .dim = { { "T", X, 1, NULL }, { "H", X, 3, NULL } },
    .flops = flops,
    .special = nothing,
    .check = check,
};

static const rb_kernel rows[] = { { RB_ROW(RB_F32) } };
RB_EXPORT(elt, rows);
