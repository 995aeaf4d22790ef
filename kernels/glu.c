/* silu_gate: y = silu(gate) * up, silu(g) = g / (1 + exp(-g)) (Shazeer 2020, eq. 6); sigmoid_gate:
 * y = up / (1 + exp(-gate)) (Sun et al. 2025, eq. 8). Work unit: a chunk of columns. Refuses heads:
 * reshape them away.
 * Read next: chunks.h, elt.c. */
#include "chunks.h"

enum { Y, GATE, UP };
enum { TOKENS, F };

static const char *check(const rb_call *c)
{
    const rb_view *y = &c->t[Y];
    if (!rb_view_same_shape(y, &c->t[GATE]) || !rb_view_same_shape(y, &c->t[UP]))
        return "y, gate and up differ in shape";
    return check_chunks(y);
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return n_chunks(&c->t[Y]);
}

RB_INLINE void run_as(const rb_call *c, int64_t first, int64_t last, vf (*f)(vf gate, vf up))
{
    for (int64_t u = first; u < last; u++) {
        const chunk k = chunk_at(&c->t[Y], u);
        f32 *y = (f32 *)rb_at(&c->t[Y], 0, k.token, 0);
        const f32 *gate = (const f32 *)rb_at(&c->t[GATE], 0, k.token, 0);
        const f32 *up = (const f32 *)rb_at(&c->t[UP], 0, k.token, 0);
        int64_t i = k.from;
        for (; i + V_LANES <= k.to; i += V_LANES)
            v_store(y + i, f(v_load(gate + i), v_load(up + i)));
        if (i < k.to)
            v_store_n(y + i, f(v_load_n(gate + i, k.to - i), v_load_n(up + i, k.to - i)), k.to - i);
    }
}

static void run_silu(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                     void *own)
{
    (void)phase, (void)shared, (void)own;
    run_as(c, first, last, silu_gate);
}

static void run_sigmoid(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                        void *own)
{
    (void)phase, (void)shared, (void)own;
    run_as(c, first, last, sigmoid_gate);
}

static rb_issued issued(const rb_call *c)
{
    return chunks_issued(&c->t[Y], 2);
}

static const rb_term flops[] = { { 4, { TOKENS, F, -1 } }, { 0 } };
static const rb_term special[] = { { 2, { TOKENS, F, -1 } }, { 0 } };

#define OP(op_id, op_name)                                                                         \
    {                                                                                              \
        .id = op_id, .name = op_name,                                                              \
        .arg = { { "y", 'w', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },                                      \
                 { "gate", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },                                   \
                 { "up", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 } },                                   \
        .token_arg = Y, .key_arg = GATE, .dim = { { "T", Y, 1, NULL }, { "F", Y, 3, NULL } },      \
        .flops = flops, .special = special, .check = check                                         \
    }
static const rb_op op_silu = OP(RB_OP_SILU_GATE, "silu_gate");
static const rb_op op_sigmoid = OP(RB_OP_SIGMOID_GATE, "sigmoid_gate");

#define ROW(of, run_it)                                                                            \
    {                                                                                              \
        .op = of, .isa = RB_ISA_ID, .dtype = RB_F32, .n_phase = 1, .units = units, .run = run_it,  \
        .issued = issued                                                                           \
    }
static const rb_kernel rows[] = { ROW(&op_silu, run_silu), ROW(&op_sigmoid, run_sigmoid) };
RB_EXPORT(glu, rows);
