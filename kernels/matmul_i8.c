/* matmul for decode with q8_0 weights, in integers: the first phase quantises x to signed bytes per
 * block of 32 (q8_0's own rule, scale kept in f32), the second takes dot products of bytes and
 * scales each block. Work units: a span of blocks of one token; PANEL rows of one output.
 * Refuses: many tokens (matmul.c decodes once and uses f32 tiles). Read next: matmul.c. */
#include "quantise.h"

enum { FEW = 4, QUANT_BYTES = 34, QUANT_OFFSET = 2 };
_Static_assert((int)FEW <= (int)RB_FEW_TOKENS, "planners must see this row chosen");

static int64_t units(const rb_call *c, int phase)
{
    return phase == 0 ? n_tokens(c) * spans(c) : n_panels(c);
}

static bool accepts(const rb_call *c)
{
    return n_tokens(c) <= FEW;
}

/* Shared scratch: each token's scales, then its bytes. */
static int64_t shared_bytes(const rb_call *c)
{
    return n_tokens(c) * n_blocks(c) * ((int64_t)sizeof(f32) + BLOCK);
}

static f32 *scale_at(const rb_call *c, void *shared, int64_t token, int64_t block)
{
    return (f32 *)shared + token * n_blocks(c) + block;
}

static u8 *bytes_at(const rb_call *c, void *shared, int64_t token, int64_t block)
{
    return (u8 *)scale_at(c, shared, n_tokens(c), 0) + (token * n_blocks(c) + block) * BLOCK;
}

static void quantise(const rb_call *c, int64_t u, void *shared)
{
    const int64_t token = u / spans(c), from = u % spans(c) * SPAN;
    const int64_t to = from + SPAN < n_blocks(c) ? from + SPAN : n_blocks(c);
    for (int64_t b = from; b < to; b++)
        quantise_block(bytes_at(c, shared, token, b), scale_at(c, shared, token, b),
                       x_row(c, token) + b * BLOCK);
}

/* acc[r] = w[r] . x over all blocks of one token. */
RB_INLINE void dot_rows(v8 acc[ROWS], const u8 *const w[ROWS], const u8 *x, const f32 *scale,
                        int64_t n, int n_row)
{
    for (int r = 0; r < n_row; r++)
        acc[r] = v8_zero();
    for (int64_t b = 0; b < n; b++) {
        const sf d = s_load(scale + b);
        UNROLL
        for (int r = 0; r < n_row; r++) {
            const u8 *block = w[r] + b * QUANT_BYTES;
            acc[r] =
                v8_dot4(acc[r], block + QUANT_OFFSET, x + b * BLOCK, s_mul(s_load_f16(block), d));
        }
    }
}

static void multiply(const rb_call *c, int i, int64_t m, int n_row, void *shared)
{
    const u8 *w[ROWS];
    v8 acc[ROWS];
    for (int r = 0; r < n_row; r++)
        w[r] = (const u8 *)rb_at(out_w(c, i), 0, 0, m + r);
    for (int64_t t = 0; t < n_tokens(c); t++) {
        const u8 *x = bytes_at(c, shared, t, 0);
        const f32 *scale = scale_at(c, shared, t, 0);
        if (n_row == ROWS)
            dot_rows(acc, w, x, scale, n_blocks(c), ROWS);
        else
            dot_rows(acc, w, x, scale, n_blocks(c), n_row);
        for (int r = 0; r < n_row; r++)
            put(c, i, t, m + r, v8_hsum(acc[r]));
    }
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)own;
    for (int64_t u = first; u < last; u++) {
        if (phase == 0) {
            quantise(c, u, shared);
            continue;
        }
        const panel p = panel_at(c, u);
        for (int r = 0; r < p.n_row; r += ROWS)
            multiply(c, p.out, p.m + r, p.n_row - r < ROWS ? p.n_row - r : ROWS, shared);
    }
}

/* Scaling: the product of two scales and 8 multiply-adds a block of each row. */
static const rb_term extra[] = {
    QUANTISE_EXTRA,
    { 17, { DIM_T, DIM_M0, DIM_BLOCKS } },
    { 17, { DIM_T, DIM_M1, DIM_BLOCKS } },
    { 17, { DIM_T, DIM_M2, DIM_BLOCKS } },
    { 0 },
};
static const rb_term special_overhead[] = { QUANTISE_SPECIAL, { 0 } };
static const rb_term int_macs[] = {
    { 1, { DIM_T, DIM_M0, DIM_K } },
    { 1, { DIM_T, DIM_M1, DIM_K } },
    { 1, { DIM_T, DIM_M2, DIM_K } },
    { 0 },
};

static const rb_kernel rows[] = { {
    .op = &rb_matmul_op,
    .isa = RB_ISA_ID,
    .key = { RB_Q8_0, RB_NO_DTYPE, RB_NO_DTYPE },
    .variant = "i8",
    .n_phase = 2,
    .units = units,
    .run = run,
    .shared_bytes = shared_bytes,
    .extra = extra,
    .special_overhead = special_overhead,
    .int_macs = int_macs,
    .accepts = accepts,
    .act_i8 = true,
} };
RB_EXPORT(matmul_i8, rows);
