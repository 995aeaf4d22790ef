/* matmul: y[t][M] = x[t][K] . w[M][K]^T, weights of any dtype in the file's own row order.
 * Work unit: PANEL rows of one output. Few tokens: rows are decoded in registers, FEW tokens at a
 * time; many tokens: a panel is decoded once into this thread's scratch and multiplied by tiles of
 * tokens. Either way each weight block is read and decoded once a call.
 * Refuses: packed layouts. Read next: rows.h (decoding), matmul_op.c (the contract). */
#include "matmul.h"
#include "rows.h"

enum { PANEL = 16, ROWS = 4, FEW = 4 };
/* Tokens of a register tile: ROWS x TOKENS accumulators fit the register file. */
enum { TOKENS = V_LANES == 16 ? 6 : V_LANES == 8 ? 3 : 2 };

static int64_t panels(const rb_call *c, int i)
{
    return out_w(c, i)->buffer ? (out_w(c, i)->n[2] + PANEL - 1) / PANEL : 0;
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return panels(c, 0) + panels(c, 1) + panels(c, 2);
}

static int64_t n_tokens(const rb_call *c)
{
    return c->t[X].n[0] * c->t[X].n[1];
}

static const f32 *x_row(const rb_call *c, int64_t token)
{
    const rb_view *x = &c->t[X];
    return (const f32 *)rb_at(x, token / x->n[1], token % x->n[1], 0);
}

static void put(const rb_call *c, int i, int64_t token, int64_t m, sf sum)
{
    const rb_view *y = out_y(c, i), *bias = out_bias(c, i);
    if (bias->buffer)
        sum = s_add(sum, s_load((const f32 *)rb_at(bias, 0, 0, 0) + m));
    s_store((f32 *)rb_at(y, token / y->n[1], token % y->n[1], 0) + m, sum);
}

/* acc[r][t] = sum over k of w[r][k] x[t][k], both f32. */
RB_INLINE void dot_tile(vf acc[ROWS][TOKENS], const f32 *const w[ROWS], const f32 *const x[TOKENS],
                        int64_t n, int n_row, int n_tok)
{
    for (int r = 0; r < n_row; r++)
        for (int t = 0; t < n_tok; t++)
            acc[r][t] = v_zero();
    int64_t k = 0;
    for (; k + V_LANES <= n; k += V_LANES) {
        vf wv[ROWS];
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++)
            wv[r] = r < n_row ? v_load(w[r] + k) : v_zero();
#pragma GCC unroll 8
        for (int t = 0; t < n_tok; t++) {
            const vf xv = v_load(x[t] + k);
#pragma GCC unroll 8
            for (int r = 0; r < n_row; r++)
                acc[r][t] = v_fma(wv[r], xv, acc[r][t]);
        }
    }
    if (k == n)
        return;
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < n_row; r++)
            acc[r][t] = v_fma(v_load_n(w[r] + k, n - k), v_load_n(x[t] + k, n - k), acc[r][t]);
}

static void tile(const rb_call *c, int i, int64_t m, int n_row, int64_t token, int n_tok,
                 const f32 *const w[ROWS])
{
    vf acc[ROWS][TOKENS];
    const f32 *x[TOKENS];
    const int64_t n = c->t[X].n[3];
    for (int t = 0; t < n_tok; t++)
        x[t] = x_row(c, token + t);
    if (n_row == ROWS && n_tok == TOKENS)
        dot_tile(acc, w, x, n, ROWS, TOKENS);
    else
        dot_tile(acc, w, x, n, n_row, n_tok);
    for (int r = 0; r < n_row; r++)
        for (int t = 0; t < n_tok; t++)
            put(c, i, token + t, m + r, v_hsum(acc[r][t]));
}

/* Many tokens: rows m .. m+n_row-1 of output i against every token. */
static void panel_many(const rb_call *c, int i, int64_t m, int n_row, f32 *scratch)
{
    const rb_view *w = out_w(c, i);
    const int64_t n = w->n[3], n_tok = n_tokens(c);
    const f32 *row[PANEL];
    for (int r = 0; r < n_row; r++) {
        row[r] = (const f32 *)rb_at(w, 0, 0, m + r);
        if (w->dtype != RB_F32) {
            decode_row(scratch + r * n, row[r], n, w->dtype);
            row[r] = scratch + r * n;
        } else {
            decoded(RB_F32, n);
        }
    }
    for (int64_t t = 0; t < n_tok; t += TOKENS)
        for (int r = 0; r < n_row; r += ROWS)
            tile(c, i, m + r, n_row - r < ROWS ? n_row - r : ROWS, t,
                 (int)(n_tok - t < TOKENS ? n_tok - t : TOKENS), row + r);
}

/* acc[r][t] over a step of a row: decoded in registers, used for every token. */
RB_INLINE void step_block(vf acc[ROWS][FEW], const char *const w[ROWS], const f32 *const x[FEW],
                          int64_t i, int n_row, int n_tok, rb_dtype dtype, sf d[ROWS])
{
#pragma GCC unroll 4
    for (int r = 0; r < n_row; r++) {
        vf wv[BLOCK_VECS];
        decode32(wv, w[r], i, dtype, &d[r]);
#pragma GCC unroll 4
        for (int t = 0; t < n_tok; t++)
#pragma GCC unroll 32
            for (int j = 0; j < BLOCK_VECS; j++)
                acc[r][t] = v_fma(wv[j], v_load(x[t] + i * BLOCK + j * V_LANES), acc[r][t]);
    }
}

RB_INLINE void step_plain(vf acc[ROWS][FEW], const char *const w[ROWS], const f32 *const x[FEW],
                          int64_t k, int64_t n, int n_row, int n_tok, rb_dtype dtype)
{
#pragma GCC unroll 4
    for (int t = 0; t < n_tok; t++) {
        const vf xv = load_plain(x[t], k, n, RB_F32);
#pragma GCC unroll 4
        for (int r = 0; r < n_row; r++)
            acc[r][t] = v_fma(load_plain(w[r], k, n, dtype), xv, acc[r][t]);
    }
}

/* Up to FEW tokens; f16 and bf16 rows are loaded once a token, hence one token at a time there. */
RB_INLINE void dot_few(vf acc[ROWS][FEW], const char *const w[ROWS], const f32 *const x[FEW],
                       int64_t n, int n_row, int n_tok, rb_dtype dtype)
{
    for (int r = 0; r < n_row; r++)
        for (int t = 0; t < n_tok; t++)
            acc[r][t] = v_zero();
    if (is_block_type(dtype)) {
        sf d[ROWS] = { { 0 } };
        for (int64_t i = 0; i < n / BLOCK; i++)
            step_block(acc, w, x, i, n_row, n_tok, dtype, d);
    } else {
        int64_t k = 0;
        for (; k + V_LANES <= n; k += V_LANES)
            step_plain(acc, w, x, k, V_LANES, n_row, n_tok, dtype);
        if (k < n)
            step_plain(acc, w, x, k, n - k, n_row, n_tok, dtype);
    }
    for (int r = 0; r < n_row; r++)
        decoded(dtype, n);
}

/* The same with constant bounds wherever it matters, so that accumulators stay in registers. */
RB_INLINE void dot_few_as(vf acc[ROWS][FEW], const char *const w[ROWS], const f32 *const x[FEW],
                          int64_t n, int n_row, int n_tok, rb_dtype dtype)
{
    if (n_row == ROWS && n_tok == 1)
        dot_few(acc, w, x, n, ROWS, 1, dtype);
    else
        dot_few(acc, w, x, n, n_row, n_tok, dtype);
}

static void panel_few(const rb_call *c, int i, int64_t m, int n_row)
{
    const rb_view *w = out_w(c, i);
    const int n_tok = (int)n_tokens(c);
    const char *row[ROWS];
    const f32 *x[FEW];
    vf acc[ROWS][FEW];
    for (int t = 0; t < n_tok; t++)
        x[t] = x_row(c, t);
    for (int r = 0; r < n_row; r++)
        row[r] = rb_at(w, 0, 0, m + r);
    switch (w->dtype) {
    case RB_F32:
        dot_few_as(acc, row, x, w->n[3], n_row, n_tok, RB_F32);
        break;
    case RB_F16:
        dot_few_as(acc, row, x, w->n[3], n_row, n_tok, RB_F16);
        break;
    case RB_BF16:
        dot_few_as(acc, row, x, w->n[3], n_row, n_tok, RB_BF16);
        break;
    case RB_Q8_0:
        dot_few_as(acc, row, x, w->n[3], n_row, n_tok, RB_Q8_0);
        break;
    case RB_Q4_0:
        dot_few_as(acc, row, x, w->n[3], n_row, n_tok, RB_Q4_0);
        break;
    case RB_Q4_1:
        dot_few_as(acc, row, x, w->n[3], n_row, n_tok, RB_Q4_1);
        break;
    case RB_Q5_0:
        dot_few_as(acc, row, x, w->n[3], n_row, n_tok, RB_Q5_0);
        break;
    case RB_Q5_1:
        dot_few_as(acc, row, x, w->n[3], n_row, n_tok, RB_Q5_1);
        break;
    default:
        dot_few_as(acc, row, x, w->n[3], n_row, n_tok, RB_Q6_K);
        break;
    }
    for (int r = 0; r < n_row; r++)
        for (int t = 0; t < n_tok; t++)
            put(c, i, t, m + r, v_hsum(acc[r][t]));
}

/* A plain type decoded in registers would be converted once a token; only one token may do so. */
static bool few_tokens(const rb_call *c)
{
    const rb_dtype dtype = c->t[W0].dtype;
    const bool free_decode = dtype == RB_F32 || is_block_type(dtype);
    return n_tokens(c) <= (free_decode ? FEW : 1);
}

static int64_t own_bytes(const rb_call *c)
{
    const bool decodes = !few_tokens(c) && c->t[W0].dtype != RB_F32;
    return decodes ? PANEL * c->t[X].n[3] * (int64_t)sizeof(f32) : 0;
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared;
    for (int64_t u = first; u < last; u++) {
        int i = 0;
        int64_t p = u;
        while (p >= panels(c, i))
            p -= panels(c, i++);
        const int64_t m = p * PANEL, rest = out_w(c, i)->n[2] - m;
        const int n_row = rest < PANEL ? (int)rest : PANEL;
        if (!few_tokens(c)) {
            panel_many(c, i, m, n_row, own);
            continue;
        }
        for (int r = 0; r < n_row; r += ROWS)
            panel_few(c, i, m + r, n_row - r < ROWS ? n_row - r : ROWS);
    }
}

static const rb_term w0_elements[] = { { 1, { DIM_M0, DIM_K, -1 } }, { 0 } };
static const rb_term w1_elements[] = { { 1, { DIM_M1, DIM_K, -1 } }, { 0 } };
static const rb_term w2_elements[] = { { 1, { DIM_M2, DIM_K, -1 } }, { 0 } };

#define ROW(dtype)                                                                                 \
    {                                                                                              \
        .op = &rb_matmul_op, .isa = RB_ISA_ID, .key = { dtype, RB_NO_DTYPE, RB_NO_DTYPE },         \
        .n_phase = 1, .units = units, .run = run, .own_bytes = own_bytes, .decode = {              \
            { W0, w0_elements },                                                                   \
            { W1, w1_elements },                                                                   \
            { W2, w2_elements }                                                                    \
        }                                                                                          \
    }
static const rb_kernel rows[] = { ROW(RB_F32),  ROW(RB_F16),  ROW(RB_BF16),
                                  ROW(RB_Q8_0), ROW(RB_Q4_0), ROW(RB_Q4_1),
                                  ROW(RB_Q5_0), ROW(RB_Q5_1), ROW(RB_Q6_K) };
RB_EXPORT(matmul, rows);
