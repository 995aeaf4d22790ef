/* The roof of bf16 dot products, y += reps times (y's upper half times 1/2): two products a lane,
 * of which one is of zeros. A file of its own, since its instruction is one that not every CPU of
 * its ISA has: the row says so. Refuses to be fast anywhere else. Read next: roof.c. */
#include "rows.h"

enum { Y };
enum { ROWS, COLUMNS, REPS };
enum { CHAINS = 12 };

static int64_t reps(const rb_call *c)
{
    return c->p.reps;
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return c->t[Y].n[1];
}

static const char *check(const rb_call *c)
{
    const rb_view *y = &c->t[Y];
    return c->p.reps < 1 || y->n[0] != 1 || y->n[2] != 1 || y->n[3] % RB_ROOF_COLUMNS != 0
               ? "rows of whole steps and a repetition are wanted"
               : NULL;
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared, (void)own;
    const vi upper = vi_set((int32_t)0xFFFF0000), half = vi_set(0x3F000000);
    for (int64_t u = first; u < last; u++) {
        f32 *row = (f32 *)rb_at(&c->t[Y], 0, u, 0);
        for (int64_t i = 0; i < c->t[Y].n[3]; i += CHAINS * V_LANES) {
            vf y[CHAINS];
            vi pair[CHAINS];
            UNROLL
            for (int j = 0; j < CHAINS; j++) {
                y[j] = v_load(row + i + j * V_LANES);
                pair[j] = vi_and(vi_load4((const u8 *)(row + i + j * V_LANES)), upper);
            }
            for (int64_t r = 0; r < c->p.reps; r++) {
                UNROLL
                for (int j = 0; j < CHAINS; j++)
                    y[j] = v_dot2_bf16(y[j], pair[j], half);
            }
            UNROLL
            for (int j = 0; j < CHAINS; j++)
                v_store(row + i + j * V_LANES, y[j]);
        }
    }
}

/* A row as what is summed up and as pairs. */
static rb_issued issued(const rb_call *c)
{
    rb_issued sum = { 0 };
    issue(&sum, rb_view_elements(&c->t[Y]), f32_bytes(2), f32_bytes(1));
    return sum;
}

static const rb_term nothing[] = { { 0 } };
static const rb_term flops[] = { { 4, { ROWS, COLUMNS, REPS } }, { 0 } };
static const rb_term macs[] = { { 2, { ROWS, COLUMNS, REPS } }, { 0 } };

static const rb_op op = {
    .id = RB_OP_ROOF_DOT_BF16,
    .name = "roof_dot_bf16",
    .arg = { { "y", 'u', RB_ROWS_ALL, -1, RB_IS_ACT, 0 } },
    .token_arg = Y,
    .key_arg = Y,
    .dim = { { "rows", Y, 1, NULL }, { "columns", Y, 3, NULL }, { "reps", Y, 0, reps } },
    .flops = flops,
    .special = nothing,
    .check = check,
};

static const rb_kernel rows[] = { { RB_ROW(RB_F32), .bf16_macs = macs, .needs_bf16 = true } };
RB_EXPORT(roof_bf16, rows);
