/* matmul by heads: y_i[t][h] = w_i[h] x[t][h], one matrix for each head, up to two outputs that
 * share x and its heads. It is how latent attention expands its latent, moves q into the latent's
 * space and o out of it. A matrix lies [out][in], or transposed [in][out] (k_b, or kv_b when
 * absorbed): then lanes are outputs and nothing is summed across them. x of a cache that is not f32
 * is decoded once, in a first phase. Work unit: a panel of rows, or a strip of columns, of one head
 * of one output. Refuses packed layouts. Read next: dots.h, matmul.c. */
#include "dots.h"

enum { X, Y0, W0, Y1, W1 };
enum { N_OUT = 2, PER_OUT = 2 };

static const rb_view *out_y(const rb_call *c, int i)
{
    return &c->t[Y0 + i * PER_OUT];
}

static const rb_view *out_w(const rb_call *c, int i)
{
    return &c->t[W0 + i * PER_OUT];
}

static bool is_transposed(const rb_call *c, int i)
{
    return c->p.transposed >> i & 1;
}

/* Outputs of a head of output i, 0 if absent; inputs are x's columns. */
static int64_t width(const rb_call *c, int i)
{
    return out_y(c, i)->buffer ? out_y(c, i)->n[3] : 0;
}

static int64_t n_tokens(const rb_call *c)
{
    return c->t[X].n[0] * c->t[X].n[1];
}

static int64_t n_heads(const rb_call *c)
{
    return out_w(c, 0)->n[1];
}

static const char *check_output(const rb_call *c, int i)
{
    const rb_view *x = &c->t[X], *y = out_y(c, i), *w = out_w(c, i);
    const int axis = is_transposed(c, i) ? 3 : 2;
    if (!y->buffer != !w->buffer)
        return "an output needs y and w";
    if (!w->buffer)
        return NULL;
    if (rb_dtype_get(w->dtype)->panel_rows > 1)
        return "w is packed";
    if (w->n[0] != 1 || w->n[1] != n_heads(c) || w->n[5 - axis] != x->n[3])
        return "w is not one matrix a head, as wide as x";
    if (y->n[0] != x->n[0] || y->n[1] != x->n[1] || y->n[2] != n_heads(c) || y->n[3] != w->n[axis])
        return "y does not have x's tokens, w's heads and w's outputs as columns";
    return w->dtype == out_w(c, 0)->dtype ? NULL : "outputs of one launch have w of one dtype";
}

static const char *check(const rb_call *c)
{
    const rb_view *x = &c->t[X];
    if (x->n[2] != 1 && x->n[2] != n_heads(c))
        return "x has neither w's heads nor one for all";
    for (int i = 0; i < N_OUT; i++) {
        const char *wrong = check_output(c, i);
        if (wrong)
            return wrong;
    }
    return NULL;
}

/* ---- work units ---- */

/* Rows of a panel; columns of a strip, whole blocks of any dtype and a few cache lines of each row.
 */
enum { PANEL = 16, STRIP = 128, WIDE_STRIP = 256 };

static int64_t unit_width(const rb_call *c, int i)
{
    if (!is_transposed(c, i))
        return PANEL;
    return rb_dtype_get(out_w(c, i)->dtype)->block > STRIP ? WIDE_STRIP : STRIP;
}

typedef struct unit {
    int out;
    int64_t head, first;
    int n; /* outputs from first on */
} unit;

static int64_t pieces(const rb_call *c, int i)
{
    return (width(c, i) + unit_width(c, i) - 1) / unit_width(c, i);
}

static unit unit_at(const rb_call *c, int64_t u)
{
    unit r = { 0 };
    if (u >= n_heads(c) * pieces(c, 0)) {
        u -= n_heads(c) * pieces(c, 0);
        r.out = 1;
    }
    const int64_t step = unit_width(c, r.out), n = pieces(c, r.out);
    r.head = n > 0 ? u / n : 0; /* an output that is there has a piece */
    r.first = n > 0 ? u % n * step : 0;
    const int64_t rest = width(c, r.out) - r.first;
    r.n = (int)(rest < step ? rest : step);
    return r;
}

static int64_t rows_of_x(const rb_call *c)
{
    return n_tokens(c) * c->t[X].n[2];
}

static int64_t units(const rb_call *c, int phase)
{
    if (phase == 0)
        return c->t[X].dtype == RB_F32 ? 0 : rows_of_x(c);
    return n_heads(c) * (pieces(c, 0) + pieces(c, 1));
}

/* ---- x and y of a token, counted over all sequences ---- */

static const char *row_at(const rb_view *v, int64_t token, int64_t head)
{
    return rb_at(v, token / v->n[1], token % v->n[1], head);
}

static const f32 *x_row(const rb_call *c, int64_t token, int64_t head, const f32 *converted)
{
    const rb_view *x = &c->t[X];
    head = x->n[2] == 1 ? 0 : head;
    if (x->dtype == RB_F32)
        return (const f32 *)row_at(x, token, head);
    return converted + (token * x->n[2] + head) * x->n[3];
}

static f32 *y_row(const rb_call *c, int i, int64_t token, int64_t head)
{
    return (f32 *)row_at(out_y(c, i), token, head);
}

static void convert_row(const rb_call *c, int64_t u, f32 *converted)
{
    const rb_view *x = &c->t[X];
    decode_row(converted + u * x->n[3], row_at(x, u / x->n[2], u % x->n[2]), x->n[3], x->dtype);
}

/* ---- [out][in]: rows of w are dotted with x ---- */

/* One token: rows are decoded in registers. */
static void panel_token(const rb_call *c, const unit *u, const f32 *converted)
{
    const rb_view *w = out_w(c, u->out);
    sf sum[PANEL];
    dot_rows(sum, rb_at(w, 0, u->head, u->first), w->step_bytes[2], u->n,
             x_row(c, 0, u->head, converted), w->n[3], w->dtype);
    f32 *y = y_row(c, u->out, 0, u->head) + u->first;
    for (int r = 0; r < u->n; r++)
        s_store(y + r, sum[r]);
}

/* DOT_ROWS or one row, against every token. */
static void rows_tokens(const rb_call *c, const unit *u, int r, int n_row,
                        const f32 *const row[PANEL], const f32 *converted)
{
    const int64_t n = c->t[X].n[3], n_tok = n_tokens(c);
    for (int64_t t = 0, step; t < n_tok; t += step) {
        const f32 *x[DOT_TOKENS];
        dot_tile sums;
        step = dot_tokens(n_row, n_tok - t);
        for (int i = 0; i < step; i++)
            x[i] = x_row(c, t + i, u->head, converted);
        dot_tile_any(&sums, row + r, x, n, n_row, (int)step);
        for (int i = 0; i < step; i++)
            for (int j = 0; j < n_row; j++)
                s_store(y_row(c, u->out, t + i, u->head) + u->first + r + j, sums.sum[j][i]);
    }
}

/* Several: rows are decoded once. */
static void panel_tokens(const rb_call *c, const unit *u, const f32 *converted, f32 *own)
{
    const rb_view *w = out_w(c, u->out);
    const f32 *row[PANEL];
    rows_as_f32(row, rb_at(w, 0, u->head, u->first), w->step_bytes[2], u->n, w->n[3], w->dtype,
                own);
    int r = 0;
    for (; r + DOT_ROWS <= u->n; r += DOT_ROWS)
        rows_tokens(c, u, r, DOT_ROWS, row, converted);
    for (; r < u->n; r++)
        rows_tokens(c, u, r, 1, row, converted);
}

/* ---- [in][out]: rows of w are added up, each times an element of x ---- */

/* Vectors and tokens of a register tile. */
enum { VECS = 2, TOKENS = V_LANES == 16 ? 12 : V_LANES == 8 ? 6 : 2 };

/* y[t][..] = sum over k of x[t][k] w[k][..], n_vec vectors, the last of lanes valid lanes. Bounds
 * but n are constants where it is inlined. */
RB_INLINE void sum_rows(f32 *const y[TOKENS], const f32 *const x[TOKENS], const f32 *w,
                        int64_t step, int64_t n, int n_vec, int lanes, int n_tok)
{
    vf acc[TOKENS][VECS];
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int i = 0; i < n_vec; i++)
            acc[t][i] = v_zero();
    }
    for (int64_t k = 0; k < n; k++, w += step) {
        vf wv[VECS];
        UNROLL
        for (int i = 0; i < n_vec; i++)
            wv[i] = lanes < V_LANES ? v_load_n(w, lanes) : v_load(w + i * V_LANES);
        UNROLL
        for (int t = 0; t < n_tok; t++) {
            const vf xv = v_bcast(x[t] + k);
            UNROLL
            for (int i = 0; i < n_vec; i++)
                acc[t][i] = v_fma(wv[i], xv, acc[t][i]);
        }
    }
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int i = 0; i < n_vec; i++)
            v_store_n(y[t] + i * V_LANES, acc[t][i], lanes);
    }
}

static NOINLINE void sum_full(f32 *const y[TOKENS], const f32 *const x[TOKENS], const f32 *w,
                              int64_t step, int64_t n)
{
    sum_rows(y, x, w, step, n, VECS, V_LANES, TOKENS);
}

static NOINLINE void sum_token(f32 *const y[TOKENS], const f32 *const x[TOKENS], const f32 *w,
                               int64_t step, int64_t n)
{
    sum_rows(y, x, w, step, n, VECS, V_LANES, 1);
}

static NOINLINE void sum_rest(f32 *const y[TOKENS], const f32 *const x[TOKENS], const f32 *w,
                              int64_t step, int64_t n, int lanes)
{
    sum_rows(y, x, w, step, n, 1, lanes, 1);
}

/* Columns [first, first + columns) of the unit, at w, against n_tok tokens from token on. */
static void columns_tokens(const rb_call *c, const unit *u, int first, int64_t token, int n_tok,
                           const f32 *w, int64_t step, const f32 *converted)
{
    const int64_t n = c->t[X].n[3];
    const int columns = u->n - first;
    f32 *y[TOKENS];
    const f32 *x[TOKENS];
    for (int t = 0; t < n_tok; t++) {
        y[t] = y_row(c, u->out, token + t, u->head) + u->first + first;
        x[t] = x_row(c, token + t, u->head, converted);
    }
    if (columns < VECS * V_LANES)
        sum_rest(y, x, w + first, step, n, columns < V_LANES ? columns : V_LANES);
    else if (n_tok == 1)
        sum_token(y, x, w + first, step, n);
    else
        sum_full(y, x, w + first, step, n);
}

/* A strip, decoded once, against every token; narrow rests go token by token. */
static void strip_tokens(const rb_call *c, const unit *u, const f32 *converted, f32 *own)
{
    const rb_view *w = out_w(c, u->out);
    const int64_t n_in = w->n[2];
    const char *base = rb_at(w, 0, u->head, 0) + rb_row_bytes(w->dtype, u->first);
    const f32 *rows = (const f32 *)base;
    int64_t step = w->step_bytes[2] / (int64_t)sizeof(f32);
    if (w->dtype != RB_F32) {
        for (int64_t k = 0; k < n_in; k++)
            decode_row(own + k * u->n, base + k * w->step_bytes[2], u->n, w->dtype);
        rows = own;
        step = u->n;
    }
    for (int first = 0, width_here; first < u->n; first += width_here) {
        const int rest = u->n - first;
        width_here = rest >= VECS * V_LANES ? VECS * V_LANES : rest < V_LANES ? rest : V_LANES;
        const bool wide = width_here == VECS * V_LANES;
        for (int64_t t = 0, n; t < n_tokens(c); t += n) {
            n = wide && t + TOKENS <= n_tokens(c) ? TOKENS : 1;
            columns_tokens(c, u, first, t, (int)n, rows, step, converted);
        }
    }
}

/* ---- the rows ---- */

static int64_t shared_bytes(const rb_call *c)
{
    return c->t[X].dtype == RB_F32 ? 0 : rows_of_x(c) * c->t[X].n[3] * (int64_t)sizeof(f32);
}

static int64_t own_bytes(const rb_call *c)
{
    int64_t most = 0;
    for (int i = 0; i < N_OUT; i++) {
        const bool decodes = out_w(c, i)->buffer && out_w(c, i)->dtype != RB_F32 &&
                             (is_transposed(c, i) || n_tokens(c) > 1);
        const int64_t bytes = decodes ? unit_width(c, i) * c->t[X].n[3] * (int64_t)sizeof(f32) : 0;
        most = bytes > most ? bytes : most;
    }
    return most;
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    for (int64_t i = first; i < last; i++) {
        if (phase == 0) {
            convert_row(c, i, shared);
            continue;
        }
        const unit u = unit_at(c, i);
        if (is_transposed(c, u.out))
            strip_tokens(c, &u, shared, own);
        else if (n_tokens(c) == 1)
            panel_token(c, &u, shared);
        else
            panel_tokens(c, &u, shared, own);
    }
}

/* ---- issued bytes ---- */

/* Columns of one head in strips of whole register tiles: vectors of w once a tile, narrow rests
 * once a token; x once a token for each of either. */
static rb_issued strips_issued(const rb_call *c, int i)
{
    const rb_view *w = out_w(c, i);
    const int64_t n_tok = n_tokens(c), tiles = n_tok / TOKENS + n_tok % TOKENS;
    const int64_t rest = width(c, i) % (VECS * V_LANES), wide = width(c, i) - rest;
    const int64_t passes = wide / (VECS * V_LANES) + (rest >= V_LANES) + (rest % V_LANES != 0);
    rb_issued sum = { 0 };
    if (w->dtype != RB_F32)
        issue(&sum, w->n[2], row_loads(w->dtype, w->n[3]), f32_bytes(w->n[3]));
    issue(&sum, w->n[2], f32_bytes(wide * tiles + (rest + passes) * n_tok), 0);
    return sum;
}

static rb_issued issued(const rb_call *c)
{
    const rb_view *x = &c->t[X];
    rb_issued sum = { 0 };
    if (x->dtype != RB_F32)
        issue(&sum, rows_of_x(c), row_loads(x->dtype, x->n[3]), f32_bytes(x->n[3]));
    for (int i = 0; i < N_OUT; i++) {
        const rb_view *w = out_w(c, i);
        if (!w->buffer)
            continue;
        issue_part(&sum, n_heads(c),
                   is_transposed(c, i) ? strips_issued(c, i)
                                       : dots_issued(w->dtype, w->n[2], w->n[3], n_tokens(c)));
        issue(&sum, n_heads(c) * n_tokens(c), 0, f32_bytes(width(c, i)));
    }
    return sum;
}

static int64_t token_heads(const rb_call *c)
{
    return n_tokens(c) * n_heads(c);
}

static int64_t width0(const rb_call *c)
{
    return width(c, 0);
}

static int64_t width1(const rb_call *c)
{
    return width(c, 1);
}

enum { DIM_TH, DIM_K, DIM_M0, DIM_M1, DIM_H, DIM_X };
static const rb_term flops[] = {
    { 2, { DIM_TH, DIM_M0, DIM_K } },
    { 2, { DIM_TH, DIM_M1, DIM_K } },
    { 0 },
};
static const rb_term nothing[] = { { 0 } };
static const rb_term w0_elements[] = { { 1, { DIM_H, DIM_M0, DIM_K } }, { 0 } };
static const rb_term w1_elements[] = { { 1, { DIM_H, DIM_M1, DIM_K } }, { 0 } };
static const rb_term x_elements[] = { { 1, { DIM_X, DIM_K, -1 } }, { 0 } };

static const rb_op op = {
    .id = RB_OP_MATMUL_HEADS,
    .name = "matmul_heads",
    .arg = { { "x", 'r', RB_ROWS_ALL, -1, RB_IS_ACT | RB_IS_KV, RB_CACHED },
             { "y0", 'w', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "w0", 'r', RB_ROWS_ALL, -1, RB_IS_WEIGHT, RB_ANY_DTYPE },
             { "y1", 'w', RB_ROWS_ALL, -1, RB_IS_ACT, RB_OPTIONAL },
             { "w1", 'r', RB_ROWS_ALL, -1, RB_IS_WEIGHT, RB_OPTIONAL | RB_ANY_DTYPE } },
    .token_arg = X,
    .key_arg = W0,
    .dim = { { "T h", X, 0, token_heads },
             { "K", X, 3, NULL },
             { "M0", Y0, 3, width0 },
             { "M1", Y1, 3, width1 },
             { "h", W0, 1, n_heads },
             { "x rows", X, 0, rows_of_x } },
    .flops = flops,
    .special = nothing,
    .check = check,
};

#define ROW(type)                                                                                  \
    { .op = &op,                                                                                   \
      .isa = RB_ISA_ID,                                                                            \
      .dtype = type,                                                                               \
      .n_phase = 2,                                                                                \
      .units = units,                                                                              \
      .run = run,                                                                                  \
      .shared_bytes = shared_bytes,                                                                \
      .own_bytes = own_bytes,                                                                      \
      .issued = issued,                                                                            \
      .decode = { { W0, w0_elements }, { W1, w1_elements }, { X, x_elements } } },
static const rb_kernel rows[] = { RB_FILE_DTYPES(ROW) };
RB_EXPORT(matmul_heads, rows);
