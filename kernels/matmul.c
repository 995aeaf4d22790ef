/* matmul: y[t][M] = x[t][K] . w[M][K]^T, weights of any dtype in the file's own row order.
 * Work unit: PANEL rows of one output. One token: rows are decoded in registers; more: a panel is
 * decoded once into this thread's scratch and multiplied by tiles of tokens. Either way each weight
 * block is read and decoded once a call.
 * Refuses: packed layouts, which are matmul_packed.c's. Read next: rows.h (decoding), matmul_op.c
 * (the contract). */
#include "panels.h"

/* Tokens of a register tile: ROWS x TOKENS accumulators fit the register file. */
enum { TOKENS = V_LANES == 16 ? 6 : V_LANES == 8 ? 3 : 2 };

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return n_panels(c);
}

/* ---- many tokens: f32 rows against tiles of tokens; bounds are constants where it is inlined ----
 */

RB_INLINE void tile(const rb_call *c, int i, int64_t m, int64_t token, const f32 *const w[ROWS],
                    int n_row, int n_tok)
{
    const int64_t n = c->t[X].n[3];
    const f32 *x[TOKENS];
    vf acc[ROWS][TOKENS];
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        x[t] = x_row(c, token + t);
        UNROLL
        for (int r = 0; r < n_row; r++)
            acc[r][t] = v_zero();
    }
    int64_t k = 0;
    for (; k + V_LANES <= n; k += V_LANES) {
        vf wv[ROWS];
        UNROLL
        for (int r = 0; r < n_row; r++)
            wv[r] = v_load(w[r] + k);
        UNROLL
        for (int t = 0; t < n_tok; t++) {
            const vf xv = v_load(x[t] + k);
            UNROLL
            for (int r = 0; r < n_row; r++)
                acc[r][t] = v_fma(wv[r], xv, acc[r][t]);
        }
    }
    UNROLL
    for (int t = 0; t < n_tok; t++) {
        UNROLL
        for (int r = 0; r < n_row; r++) {
            if (k < n)
                acc[r][t] = v_fma(v_load_n(w[r] + k, n - k), v_load_n(x[t] + k, n - k), acc[r][t]);
            put(c, i, token + t, m + r, v_hsum(acc[r][t]));
        }
    }
}

static NOINLINE void tile_full(const rb_call *c, int i, int64_t m, int64_t token,
                               const f32 *const w[ROWS])
{
    tile(c, i, m, token, w, ROWS, TOKENS);
}

static NOINLINE void tile_two(const rb_call *c, int i, int64_t m, int64_t token,
                              const f32 *const w[ROWS])
{
    tile(c, i, m, token, w, ROWS, 2);
}

static NOINLINE void tile_one(const rb_call *c, int i, int64_t m, int64_t token,
                              const f32 *const w[ROWS])
{
    tile(c, i, m, token, w, ROWS, 1);
}

static NOINLINE void tile_row(const rb_call *c, int i, int64_t m, int64_t token, const f32 *w)
{
    const f32 *const row[ROWS] = { w };
    tile(c, i, m, token, row, 1, 1);
}

/* ROWS rows against every token. */
static void rows_many(const rb_call *c, int i, int64_t m, const f32 *const w[ROWS])
{
    const int64_t n_tok = n_tokens(c);
    int64_t t = 0;
    for (; t + TOKENS <= n_tok; t += TOKENS)
        tile_full(c, i, m, t, w);
    for (; t + 2 <= n_tok; t += 2)
        tile_two(c, i, m, t, w);
    if (t < n_tok)
        tile_one(c, i, m, t, w);
}

/* Rows m .. m+n_row-1 of output i, decoded once, against every token. */
static void panel_many(const rb_call *c, int i, int64_t m, int n_row, f32 *scratch)
{
    const rb_view *w = out_w(c, i);
    const int64_t n = w->n[3];
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
    int r = 0;
    for (; r + ROWS <= n_row; r += ROWS)
        rows_many(c, i, m + r, row + r);
    for (; r < n_row; r++)
        for (int64_t t = 0; t < n_tokens(c); t++)
            tile_row(c, i, m + r, t, row[r]);
}

/* ---- one token: rows are decoded in registers, one at a time, as memory is read fastest ---- */

/* Accumulators along a row; they hide the latency of a multiply-add. */
enum { CHAINS = V_LANES == 1 ? 1 : 4 };

/* Block b, whose first vector goes to accumulator from. */
RB_INLINE void dot_block(vf acc[CHAINS], int from, const void *row, const f32 *x, int64_t b,
                         rb_dtype dtype, sf *d)
{
    vf wv[BLOCK_VECS];
    decode32(wv, row, b, dtype, d);
    UNROLL
    for (int j = 0; j < BLOCK_VECS; j++) {
        const int a = (from + j) % CHAINS;
        acc[a] = v_fma(wv[j], v_load(x + b * BLOCK + j * V_LANES), acc[a]);
    }
}

RB_INLINE void dot_blocks(vf acc[CHAINS], const void *row, const f32 *x, int64_t n, rb_dtype dtype)
{
    const int64_t n_block = n / BLOCK;
    sf d = s_const(0.0);
    int64_t b = 0;
    for (; b + 2 <= n_block; b += 2) {
        dot_block(acc, 0, row, x, b, dtype, &d);
        dot_block(acc, BLOCK_VECS, row, x, b + 1, dtype, &d);
    }
    if (b < n_block)
        dot_block(acc, 0, row, x, b, dtype, &d);
}

RB_INLINE void dot_plain(vf acc[CHAINS], const void *row, const f32 *x, int64_t n, rb_dtype dtype)
{
    int64_t k = 0;
    for (; k + CHAINS * V_LANES <= n; k += CHAINS * V_LANES) {
        UNROLL
        for (int a = 0; a < CHAINS; a++)
            acc[a] = v_fma(load_plain(row, k + a * V_LANES, V_LANES, dtype),
                           v_load(x + k + a * V_LANES), acc[a]);
    }
    for (; k + V_LANES <= n; k += V_LANES)
        acc[0] = v_fma(load_plain(row, k, V_LANES, dtype), v_load(x + k), acc[0]);
    if (k < n)
        acc[0] = v_fma(load_plain(row, k, n - k, dtype), v_load_n(x + k, n - k), acc[0]);
}

RB_INLINE void dot_row(const rb_call *c, int i, int64_t m, rb_dtype dtype)
{
    const void *row = rb_at(out_w(c, i), 0, 0, m);
    const int64_t n = c->t[X].n[3];
    vf acc[CHAINS];
    UNROLL
    for (int a = 0; a < CHAINS; a++)
        acc[a] = v_zero();
    if (is_block_type(dtype))
        dot_blocks(acc, row, x_row(c, 0), n, dtype);
    else
        dot_plain(acc, row, x_row(c, 0), n, dtype);
    UNROLL
    for (int a = 1; a < CHAINS; a++)
        acc[0] = v_join(acc[0], acc[a]);
    decoded(dtype, n);
    put(c, i, 0, m, v_hsum(acc[0]));
}

/* A whole panel of one dtype. */
RB_INLINE void panel_one(const rb_call *c, int i, int64_t m, int n_row, rb_dtype dtype)
{
    for (int r = 0; r < n_row; r++)
        dot_row(c, i, m + r, dtype);
}

static void panel_one_token(const rb_call *c, int i, int64_t m, int n_row)
{
    switch (c->t[W0].dtype) {
    case RB_F32:
        panel_one(c, i, m, n_row, RB_F32);
        break;
    case RB_F16:
        panel_one(c, i, m, n_row, RB_F16);
        break;
    case RB_BF16:
        panel_one(c, i, m, n_row, RB_BF16);
        break;
    case RB_Q8_0:
        panel_one(c, i, m, n_row, RB_Q8_0);
        break;
    case RB_Q4_0:
        panel_one(c, i, m, n_row, RB_Q4_0);
        break;
    case RB_Q4_1:
        panel_one(c, i, m, n_row, RB_Q4_1);
        break;
    case RB_Q5_0:
        panel_one(c, i, m, n_row, RB_Q5_0);
        break;
    case RB_Q5_1:
        panel_one(c, i, m, n_row, RB_Q5_1);
        break;
    default:
        panel_one(c, i, m, n_row, RB_Q6_K);
        break;
    }
}

static int64_t own_bytes(const rb_call *c)
{
    const bool decodes = n_tokens(c) > 1 && c->t[W0].dtype != RB_F32;
    return decodes ? PANEL * c->t[X].n[3] * (int64_t)sizeof(f32) : 0;
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

#define ROW(dtype)                                                                                 \
    {                                                                                              \
        .op = &rb_matmul_op, .isa = RB_ISA_ID, .key = { dtype, RB_NO_DTYPE, RB_NO_DTYPE },         \
        .n_phase = 1, .units = units, .run = run, .own_bytes = own_bytes, .decode = {              \
            { W0, rb_w0_elements },                                                                \
            { W1, rb_w1_elements },                                                                \
            { W2, rb_w2_elements }                                                                 \
        }                                                                                          \
    }
static const rb_kernel rows[] = { ROW(RB_F32),  ROW(RB_F16),  ROW(RB_BF16),
                                  ROW(RB_Q8_0), ROW(RB_Q4_0), ROW(RB_Q4_1),
                                  ROW(RB_Q5_0), ROW(RB_Q5_1), ROW(RB_Q6_K) };
RB_EXPORT(matmul, rows);
