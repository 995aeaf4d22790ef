/* embed: y[t][H] = w[ids[t]][H], w of any dtype. Work unit: one token.
 * Refuses ids outside the vocabulary only by contract: the session checks them.
 * Read next: rows.h. */
#include "rows.h"

enum { Y, W, IDS };
enum { T, H };

static const char *check(const rb_call *c)
{
    if (c->t[Y].n[0] != 1 || c->t[Y].n[2] != 1 || c->t[W].n[0] != 1 || c->t[W].n[1] != 1)
        return "y and w have one sequence axis, and y one head";
    if (c->t[Y].n[1] != c->t[IDS].n[3] || rb_view_elements(&c->t[IDS]) != c->t[IDS].n[3])
        return "one row of as many ids as y has tokens is wanted";
    return c->t[Y].n[3] == c->t[W].n[3] ? NULL : "y and w differ in columns";
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return c->t[Y].n[1];
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared, (void)own;
    const void *ids = rb_at(&c->t[IDS], 0, 0, 0);
    for (int64_t t = first; t < last; t++)
        decode_row((f32 *)rb_at(&c->t[Y], 0, t, 0), rb_at(&c->t[W], 0, 0, c_load(ids, t)),
                   c->t[W].n[3], c->t[W].dtype);
}

static rb_issued issued(const rb_call *c)
{
    const int64_t n = c->t[W].n[3];
    rb_issued sum = { 0 };
    issue(&sum, units(c, 0), row_loads(c->t[W].dtype, n), f32_bytes(n));
    return sum;
}

static const rb_term nothing[] = { { 0 } };
static const rb_term elements[] = { { 1, { T, H, -1 } }, { 0 } };

static const rb_op op = {
    .id = RB_OP_EMBED,
    .name = "embed",
    .arg = { { "y", 'w', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "w", 'r', RB_ROWS_GATHERED, IDS, RB_IS_WEIGHT, 0 },
             { "ids", 'r', RB_ROWS_ALL, -1, RB_IS_CTRL, 0 } },
    .token_arg = Y,
    .key_arg = W,
    .dim = { { "T", Y, 1, NULL }, { "H", Y, 3, NULL } },
    .flops = nothing,
    .special = nothing,
    .check = check,
};

#define ROW(type) { RB_ROW(type), .decode = { { W, elements } } },
static const rb_kernel rows[] = { RB_FILE_DTYPES(ROW) };
RB_EXPORT(embed, rows);
