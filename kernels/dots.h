/* Dot products of weight rows with rows of f32: one row decoded in registers, for one token; and a
 * tile of decoded rows against several tokens. What matmul, matmul_heads and experts share; it
 * knows no operands. Included by kernel files only. Read next: rows.h (decoding), matmul.c. */
#ifndef RB_DOTS_H
#define RB_DOTS_H

#include "rows.h"

/* Accumulators along a row; they hide the latency of a multiply-add. */
enum { DOT_CHAINS = V_LANES == 1 ? 1 : 4 };

/* Block b, whose first vector goes to accumulator from. */
RB_INLINE void dot_block(vf acc[DOT_CHAINS], int from, const void *row, const f32 *x, int64_t b,
                         rb_dtype dtype, scaling *of)
{
    vf wv[BLOCK_VECS];
    decode32(wv, row, b, dtype, of);
    UNROLL
    for (int j = 0; j < BLOCK_VECS; j++) {
        const int a = (from + j) % DOT_CHAINS;
        acc[a] = v_fma(wv[j], v_load(x + b * BLOCK + j * V_LANES), acc[a]);
    }
}

RB_INLINE void dot_blocks(vf acc[DOT_CHAINS], const void *row, const f32 *x, int64_t n,
                          rb_dtype dtype)
{
    const int64_t n_block = n / BLOCK;
    scaling of = { s_const(0.0), s_const(0.0) };
    int64_t b = 0;
    for (; b + 2 <= n_block; b += 2) {
        dot_block(acc, 0, row, x, b, dtype, &of);
        dot_block(acc, BLOCK_VECS, row, x, b + 1, dtype, &of);
    }
    if (b < n_block)
        dot_block(acc, 0, row, x, b, dtype, &of);
}

RB_INLINE void dot_plain(vf acc[DOT_CHAINS], const void *row, const f32 *x, int64_t n,
                         rb_dtype dtype)
{
    int64_t k = 0;
    for (; k + DOT_CHAINS * V_LANES <= n; k += DOT_CHAINS * V_LANES) {
        UNROLL
        for (int a = 0; a < DOT_CHAINS; a++)
            acc[a] = v_fma(load_plain(row, k + a * V_LANES, V_LANES, dtype),
                           v_load(x + k + a * V_LANES), acc[a]);
    }
    for (; k + V_LANES <= n; k += V_LANES)
        acc[0] = v_fma(load_plain(row, k, V_LANES, dtype), v_load(x + k), acc[0]);
    if (k < n)
        acc[0] = v_fma(load_plain(row, k, n - k, dtype), v_load_n(x + k, n - k), acc[0]);
}

/* row . x over n columns, the row of one known dtype. States what it decoded. */
RB_INLINE sf dot_row_as(const void *row, const f32 *x, int64_t n, rb_dtype dtype)
{
    vf acc[DOT_CHAINS];
    UNROLL
    for (int a = 0; a < DOT_CHAINS; a++)
        acc[a] = v_zero();
    if (is_block_type(dtype))
        dot_blocks(acc, row, x, n, dtype);
    else
        dot_plain(acc, row, x, n, dtype);
    UNROLL
    for (int a = 1; a < DOT_CHAINS; a++)
        acc[0] = v_join(acc[0], acc[a]);
    decoded(dtype, n);
    return v_hsum(acc[0]);
}

/* sum[r] = row r . x for n_row rows that lie step bytes apart. */
RB_INLINE void dot_rows_as(sf *sum, const char *row, int64_t step, int n_row, const f32 *x,
                           int64_t n, rb_dtype dtype)
{
    for (int r = 0; r < n_row; r++)
        sum[r] = dot_row_as(row + r * step, x, n, dtype);
}

/* ... of any dtype of the table. */
static inline void dot_rows(sf *sum, const char *row, int64_t step, int n_row, const f32 *x,
                            int64_t n, rb_dtype dtype)
{
    switch (dtype) {
#define RB_CASE(t)                                                                                 \
    case t:                                                                                        \
        dot_rows_as(sum, row, step, n_row, x, n, t);                                               \
        break;
        RB_FILE_DTYPES(RB_CASE)
#undef RB_CASE
    default:
        __builtin_unreachable();
    }
}

/* n_row rows that lie step bytes apart, as f32: where they lie, or decoded to `to`. */
static inline void rows_as_f32(const f32 **row, const char *base, int64_t step, int n_row,
                               int64_t n, rb_dtype dtype, f32 *to)
{
    for (int r = 0; r < n_row; r++) {
        row[r] = (const f32 *)(base + r * step);
        if (dtype == RB_F32)
            continue;
        decode_row(to + r * n, row[r], n, dtype);
        row[r] = to + r * n;
    }
}

/* ---- a register tile: ROWS decoded rows x TOKENS tokens ---- */

enum { DOT_ROWS = 4, DOT_TOKENS = V_LANES == 16 ? 6 : V_LANES == 8 ? 3 : 2 };

typedef struct dot_tile {
    sf sum[DOT_ROWS][DOT_TOKENS];
} dot_tile;

/* Bounds are constants where it is inlined. */
RB_INLINE void dot_tile_as(dot_tile *t, const f32 *const w[DOT_ROWS],
                           const f32 *const x[DOT_TOKENS], int64_t n, int n_row, int n_tok)
{
    vf acc[DOT_ROWS][DOT_TOKENS];
    UNROLL
    for (int i = 0; i < n_tok; i++) {
        UNROLL
        for (int r = 0; r < n_row; r++)
            acc[r][i] = v_zero();
    }
    int64_t k = 0;
    for (; k + V_LANES <= n; k += V_LANES) {
        vf wv[DOT_ROWS];
        UNROLL
        for (int r = 0; r < n_row; r++)
            wv[r] = v_load(w[r] + k);
        UNROLL
        for (int i = 0; i < n_tok; i++) {
            const vf xv = v_load(x[i] + k);
            UNROLL
            for (int r = 0; r < n_row; r++)
                acc[r][i] = v_fma(wv[r], xv, acc[r][i]);
        }
    }
    UNROLL
    for (int i = 0; i < n_tok; i++) {
        UNROLL
        for (int r = 0; r < n_row; r++) {
            if (k < n)
                acc[r][i] = v_fma(v_load_n(w[r] + k, n - k), v_load_n(x[i] + k, n - k), acc[r][i]);
            t->sum[r][i] = v_hsum(acc[r][i]);
        }
    }
}

static NOINLINE void dot_tile_full(dot_tile *t, const f32 *const w[DOT_ROWS],
                                   const f32 *const x[DOT_TOKENS], int64_t n)
{
    dot_tile_as(t, w, x, n, DOT_ROWS, DOT_TOKENS);
}

static NOINLINE void dot_tile_two(dot_tile *t, const f32 *const w[DOT_ROWS],
                                  const f32 *const x[DOT_TOKENS], int64_t n)
{
    dot_tile_as(t, w, x, n, DOT_ROWS, 2);
}

static NOINLINE void dot_tile_token(dot_tile *t, const f32 *const w[DOT_ROWS],
                                    const f32 *const x[DOT_TOKENS], int64_t n)
{
    dot_tile_as(t, w, x, n, DOT_ROWS, 1);
}

static NOINLINE void dot_tile_one(dot_tile *t, const f32 *const w[DOT_ROWS],
                                  const f32 *const x[DOT_TOKENS], int64_t n)
{
    dot_tile_as(t, w, x, n, 1, 1);
}

/* Tokens of the next tile of DOT_ROWS rows or of one, of those that are left. */
static inline int64_t dot_tokens(int n_row, int64_t left)
{
    if (n_row != DOT_ROWS)
        return 1;
    return left >= DOT_TOKENS ? DOT_TOKENS : left >= 2 ? 2 : 1;
}

/* n_row is DOT_ROWS and n_tok what dot_tokens gave, or both are one. */
static inline void dot_tile_any(dot_tile *t, const f32 *const w[DOT_ROWS],
                                const f32 *const x[DOT_TOKENS], int64_t n, int n_row, int n_tok)
{
    if (n_row == 1)
        dot_tile_one(t, w, x, n);
    else if (n_tok == DOT_TOKENS)
        dot_tile_full(t, w, x, n);
    else if (n_tok == 2)
        dot_tile_two(t, w, x, n);
    else
        dot_tile_token(t, w, x, n);
}

/* ---- issued bytes ---- */

/* DOT_ROWS rows of n columns or one against n_tok tokens: whole vectors of both once a tile, what
 * is left of them once for each pair. */
static inline int64_t tiles_load(int n_row, int64_t n, int64_t n_tok)
{
    const int64_t rest = n % V_LANES, whole = n - rest;
    int64_t elements = 0;
    for (int64_t t = 0, step; t < n_tok; t += step) {
        step = dot_tokens(n_row, n_tok - t);
        elements += whole * (n_row + step) + 2 * rest * n_row * step;
    }
    return f32_bytes(elements);
}

/* Rows of a matrix against every token, in panels that DOT_ROWS divides: decoded in registers for
 * one token, else before. What becomes of the sums is the kernel's. */
static inline rb_issued dots_issued(rb_dtype dtype, int64_t n_row, int64_t n, int64_t n_tok)
{
    rb_issued sum = { 0 };
    if (n_tok == 1) {
        issue(&sum, n_row, row_loads(dtype, n) + f32_bytes(n), 0);
        return sum;
    }
    if (dtype != RB_F32)
        issue(&sum, n_row, row_loads(dtype, n), f32_bytes(n));
    issue(&sum, n_row / DOT_ROWS, tiles_load(DOT_ROWS, n, n_tok), 0);
    issue(&sum, n_row % DOT_ROWS, tiles_load(1, n, n_tok), 0);
    return sum;
}

#endif
