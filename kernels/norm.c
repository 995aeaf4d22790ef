/* rmsnorm: y = x / sqrt(mean(x^2) + eps) * w. Work unit: one row of columns; divides and takes the
 * root once a row (Zhang & Sennrich 2019, eq. 4). Refuses: a weight per head.
 * Read next: rope.c. */
#include "rows.h"

enum { Y, X, W };

static const char *check(const rb_call *c)
{
    if (!rb_view_same_shape(&c->t[Y], &c->t[X]))
        return "y and x differ in shape";
    return c->t[W].n[3] == c->t[X].n[3] && rb_view_elements(&c->t[W]) == c->t[W].n[3]
               ? NULL
               : "w is not one row as wide as x";
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return c->t[X].n[0] * c->t[X].n[1] * c->t[X].n[2];
}

static sf sum_of_squares(const f32 *x, int64_t m)
{
    vf sum = v_zero();
    int64_t i = 0;
    for (; i + V_LANES <= m; i += V_LANES) {
        const vf v = v_load(x + i);
        sum = v_fma(v, v, sum);
    }
    if (i < m) {
        const vf v = v_load_n(x + i, m - i);
        sum = v_fma(v, v, sum);
    }
    return v_hsum(sum);
}

static void norm_row(f32 *y, const f32 *x, const f32 *w, int64_t m, sf eps)
{
    const sf mean = s_div(sum_of_squares(x, m), s_const((double)m));
    const vf inv = v_set(s_div(s_const(1.0), s_sqrt(s_add(mean, eps))));
    int64_t i = 0;
    for (; i + V_LANES <= m; i += V_LANES)
        v_store(y + i, v_mul(v_mul(v_load(x + i), inv), v_load(w + i)));
    if (i < m)
        v_store_n(y + i, v_mul(v_mul(v_load_n(x + i, m - i), inv), v_load_n(w + i, m - i)), m - i);
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared, (void)own;
    const rb_view *x = &c->t[X];
    for (int64_t u = first; u < last; u++) {
        const int64_t h = u % x->n[2], t = u / x->n[2] % x->n[1], s = u / x->n[2] / x->n[1];
        norm_row((f32 *)rb_at(&c->t[Y], s, t, h), (const f32 *)rb_at(x, s, t, h),
                 (const f32 *)rb_at(&c->t[W], 0, 0, 0), x->n[3], s_const((double)c->p.eps));
    }
}

/* rows (4 m + 4), 3 specials a row */
static int64_t n_rows(const rb_call *c)
{
    return units(c, 0);
}

/* x for its squares, then x and w. */
static rb_issued issued(const rb_call *c)
{
    rb_issued sum = { 0 };
    issue(&sum, rb_view_elements(&c->t[X]), f32_bytes(3), f32_bytes(1));
    return sum;
}

enum { ROWS, COLUMNS };
static const rb_term flops[] = { { 4, { ROWS, COLUMNS, -1 } }, { 4, { ROWS, -1, -1 } }, { 0 } };
static const rb_term special[] = { { 3, { ROWS, -1, -1 } }, { 0 } };

static const rb_op op = {
    .id = RB_OP_RMSNORM,
    .name = "rmsnorm",
    .arg = { { "y", 'w', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "x", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "w", 'r', RB_ROWS_ALL, -1, RB_IS_WEIGHT, 0 } },
    .token_arg = Y,
    .key_arg = W,
    .dim = { { "rows", X, 0, n_rows }, { "m", X, 3, NULL } },
    .flops = flops,
    .special = special,
    .check = check,
};

static const rb_kernel rows[] = { { RB_ROW(RB_F32) } };
RB_EXPORT(norm, rows);
