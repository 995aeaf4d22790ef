/* layernorm: y = (x - mean(x)) / sqrt(var(x) + eps) * w + b (Ba, Kiros & Hinton 2016, eq. 4). Work
 * unit: one row of columns; what is left of x after its mean waits in y. Refuses: heads.
 * Read next: norm.c. */
#include "rows.h"

enum { Y, X, W, B };

static const char *check(const rb_call *c)
{
    const rb_view *x = &c->t[X];
    if (!rb_view_same_shape(&c->t[Y], x))
        return "y and x differ in shape";
    if (x->n[2] != 1)
        return "x has heads";
    for (int a = W; a <= B; a++)
        if (c->t[a].n[3] != x->n[3] || rb_view_elements(&c->t[a]) != x->n[3])
            return "w or b is not one row as wide as x";
    return NULL;
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return c->t[X].n[0] * c->t[X].n[1];
}

static sf mean_of(const f32 *x, int64_t m)
{
    vf sum = v_zero();
    for (int64_t i = 0; i < m; i += V_LANES)
        sum = v_add(sum, v_load_n(x + i, lanes_at(i, m)));
    return s_div(v_hsum(sum), s_const((double)m));
}

/* y = x - mean; returns the mean of squares. */
static sf centre(f32 *y, const f32 *x, int64_t m, sf mean)
{
    vf sum = v_zero();
    for (int64_t i = 0; i < m; i += V_LANES) {
        const int64_t n = lanes_at(i, m);
        const vf d = v_keep_n(v_sub(v_load_n(x + i, n), v_set(mean)), n);
        sum = v_fma(d, d, sum);
        v_store_n(y + i, d, n);
    }
    return s_div(v_hsum(sum), s_const((double)m));
}

static void norm_row(f32 *y, const f32 *x, const f32 *w, const f32 *b, int64_t m, sf eps)
{
    const sf var = centre(y, x, m, mean_of(x, m));
    const vf inv = v_set(s_div(s_const(1.0), s_sqrt(s_add(var, eps))));
    for (int64_t i = 0; i < m; i += V_LANES) {
        const int64_t n = lanes_at(i, m);
        const vf d = v_mul(v_load_n(y + i, n), inv);
        v_store_n(y + i, v_add(v_mul(d, v_load_n(w + i, n)), v_load_n(b + i, n)), n);
    }
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared, (void)own;
    const rb_view *x = &c->t[X];
    for (int64_t u = first; u < last; u++)
        norm_row((f32 *)rb_at(&c->t[Y], u / x->n[1], u % x->n[1], 0),
                 (const f32 *)rb_at(x, u / x->n[1], u % x->n[1], 0),
                 (const f32 *)rb_at(&c->t[W], 0, 0, 0), (const f32 *)rb_at(&c->t[B], 0, 0, 0),
                 x->n[3], s_const((double)c->p.eps));
}

static int64_t n_rows(const rb_call *c)
{
    return units(c, 0);
}

/* x for its mean and to be centred in y; then y, w and b. */
static rb_issued issued(const rb_call *c)
{
    rb_issued sum = { 0 };
    issue(&sum, rb_view_elements(&c->t[X]), f32_bytes(5), f32_bytes(2));
    return sum;
}

/* A row: m for the sum, m less the mean, 2 m squares, m m m to scale, weigh and shift; a root, two
 * means, an inverse and eps. */
enum { ROWS, COLUMNS };
static const rb_term flops[] = { { 7, { ROWS, COLUMNS, -1 } }, { 5, { ROWS, -1, -1 } }, { 0 } };
static const rb_term special[] = { { 4, { ROWS, -1, -1 } }, { 0 } };

static const rb_op op = {
    .id = RB_OP_LAYERNORM,
    .name = "layernorm",
    .arg = { { "y", 'w', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "x", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "w", 'r', RB_ROWS_ALL, -1, RB_IS_WEIGHT, 0 },
             { "b", 'r', RB_ROWS_ALL, -1, RB_IS_WEIGHT, 0 } },
    .token_arg = Y,
    .key_arg = W,
    .dim = { { "rows", X, 0, n_rows }, { "m", X, 3, NULL } },
    .flops = flops,
    .special = special,
    .check = check,
};

static const rb_kernel rows[] = { { RB_ROW(RB_F32) } };
RB_EXPORT(layernorm, rows);
