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

/* Sums that one row is taken in: they hide the latency of a multiply-add. */
enum { CHAINS = 4 };

RB_INLINE v8 dot_block(v8 acc, const u8 *w, const u8 *x, const f32 *scale, int64_t b)
{
    const u8 *block = w + b * QUANT_BYTES;
    const sf d = s_mul(s_load_f16(block), s_load(scale + b));
    return v8_dot4(acc, block + QUANT_OFFSET, x + b * BLOCK, d);
}

/* One row after the other, as memory is read fastest: w . x over n blocks of one token. */
RB_INLINE sf dot_row(const u8 *w, const u8 *x, const f32 *scale, int64_t n)
{
    v8 acc[CHAINS];
    UNROLL
    for (int a = 0; a < CHAINS; a++)
        acc[a] = v8_zero();
    int64_t b = 0;
    for (; b + CHAINS <= n; b += CHAINS) {
        UNROLL
        for (int a = 0; a < CHAINS; a++)
            acc[a] = dot_block(acc[a], w, x, scale, b + a);
    }
    for (; b < n; b++)
        acc[0] = dot_block(acc[0], w, x, scale, b);
    UNROLL
    for (int a = 1; a < CHAINS; a++)
        acc[0] = v8_join(acc[0], acc[a]);
    return v8_hsum(acc[0]);
}

static void multiply(const rb_call *c, int i, int64_t m, void *shared)
{
    const u8 *w = (const u8 *)rb_at(out_w(c, i), 0, 0, m);
    for (int64_t t = 0; t < n_tokens(c); t++)
        put(c, i, t, m,
            dot_row(w, bytes_at(c, shared, t, 0), scale_at(c, shared, t, 0), n_blocks(c)));
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
        for (int r = 0; r < p.n_row; r++)
            multiply(c, p.out, p.m + r, shared);
    }
}

/* x quantised; the bytes and scales of both sides for each block of each row and token. */
static rb_issued issued(const rb_call *c)
{
    rb_issued sum = quantise_issued(c);
    for (int i = 0; i < N_OUT; i++) {
        if (out_w(c, i)->buffer)
            issue(&sum, n_tokens(c) * w_rows(out_w(c, i)) * n_blocks(c),
                  QUANT_BYTES + BLOCK + f32_bytes(1), 0);
        issue_part(&sum, 1, put_issued(c, i));
    }
    return sum;
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

static const rb_kernel rows[] = { {
    .op = &rb_matmul_op,
    .isa = RB_ISA_ID,
    .dtype = RB_Q8_0,
    .variant = "i8",
    .n_phase = 2,
    .units = units,
    .run = run,
    .shared_bytes = shared_bytes,
    .issued = issued,
    .extra = extra,
    .extra_what = "quantising activations, scales of blocks",
    .special_overhead = special_overhead,
    .int_macs = rb_matmul_macs,
    .accepts = accepts,
    .act = RB_ACT_I8,
} };
RB_EXPORT(matmul_i8, rows);
