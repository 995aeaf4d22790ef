/* matmul: y[t][M] = x[t][K] . w[M][K]^T, weights of any dtype in the file's own row order.
 * Work unit: PANEL rows of one output. One token: rows are decoded in registers; more: a panel is
 * decoded once into this thread's scratch and multiplied by tiles of tokens. Either way each weight
 * block is read and decoded once a call.
 * Refuses: packed layouts, which are matmul_packed.c's. Read next: rows.h (decoding), matmul_op.c
 * (the contract). */
#include "dots.h"
#include "panels.h"

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return n_panels(c);
}

/* ---- many tokens: f32 rows against tiles of tokens ---- */

/* DOT_ROWS rows or one, against every token. */
static void rows_many(const rb_call *c, int i, int64_t m, int n_row, const f32 *const w[DOT_ROWS])
{
    const int64_t n = c->t[X].n[3], n_tok = n_tokens(c);
    for (int64_t t = 0, step; t < n_tok; t += step) {
        const f32 *x[DOT_TOKENS];
        dot_tile sums;
        step = dot_tokens(n_row, n_tok - t);
        for (int j = 0; j < step; j++)
            x[j] = x_row(c, t + j);
        dot_tile_any(&sums, w, x, n, n_row, (int)step);
        for (int j = 0; j < step; j++)
            for (int r = 0; r < n_row; r++)
                put(c, i, t + j, m + r, sums.sum[r][j]);
    }
}

/* Rows m .. m+n_row-1 of output i, decoded once, against every token. */
static void panel_many(const rb_call *c, int i, int64_t m, int n_row, f32 *scratch)
{
    const rb_view *w = out_w(c, i);
    const f32 *row[PANEL];
    rows_as_f32(row, rb_at(w, 0, 0, m), w->step_bytes[2], n_row, w->n[3], w->dtype, scratch);
    int r = 0;
    for (; r + DOT_ROWS <= n_row; r += DOT_ROWS)
        rows_many(c, i, m + r, DOT_ROWS, row + r);
    for (; r < n_row; r++)
        rows_many(c, i, m + r, 1, row + r);
}

/* ---- one token: rows are decoded in registers, one at a time, as memory is read fastest ---- */

static void panel_one_token(const rb_call *c, int i, int64_t m, int n_row)
{
    const rb_view *w = out_w(c, i);
    sf sum[PANEL];
    dot_rows(sum, rb_at(w, 0, 0, m), w->step_bytes[2], n_row, x_row(c, 0), w->n[3], w->dtype);
    for (int r = 0; r < n_row; r++)
        put(c, i, 0, m + r, sum[r]);
}

static int64_t own_bytes(const rb_call *c)
{
    const bool decodes = n_tokens(c) > 1 && c->t[W0].dtype != RB_F32;
    return decodes ? PANEL * c->t[X].n[3] * (int64_t)sizeof(f32) : 0;
}

static rb_issued issued(const rb_call *c)
{
    rb_issued sum = { 0 };
    for (int i = 0; i < N_OUT; i++) {
        const rb_view *w = out_w(c, i);
        if (w->buffer)
            issue_part(&sum, 1, dots_issued(w->dtype, w->n[2], w->n[3], n_tokens(c)));
        issue_part(&sum, 1, put_issued(c, i));
    }
    return sum;
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared;
    for (int64_t u = first; u < last; u++) {
        const panel p = panel_at(c, u);
        if (n_tokens(c) > 1)
            panel_many(c, p.out, p.m, p.n_row, own);
        else
            panel_one_token(c, p.out, p.m, p.n_row);
    }
}

#define ROW(type)                                                                                  \
    { .op = &rb_matmul_op,                                                                         \
      .isa = RB_ISA_ID,                                                                            \
      .dtype = type,                                                                               \
      .n_phase = 1,                                                                                \
      .units = units,                                                                              \
      .run = run,                                                                                  \
      .own_bytes = own_bytes,                                                                      \
      .issued = issued,                                                                            \
      .decode = { { W0, rb_w0_elements }, { W1, rb_w1_elements }, { W2, rb_w2_elements } } },
static const rb_kernel rows[] = { RB_FILE_DTYPES(ROW) };
RB_EXPORT(matmul, rows);
