/* kv_store: appends the new tokens' rows to the cache, encoded in its dtype, in up to three pieces
 * (K; V; or columns of K that all heads share, as latent attention has them). Work unit: one token
 * of one sequence. What quantising costs is beyond the op, whose FLOPs are 0: `extra`. Refuses:
 * types that no cache may hold. Read next: store.h, attend.c, which reads what this wrote. */
#include "store.h"

enum { TO0, FROM0, TO1, FROM1, TO2, FROM2, N_OPERAND };

static const char *check_piece(const rb_call *c, int piece)
{
    const rb_view *to = &c->t[piece], *from = &c->t[piece + 1], *first = &c->t[FROM0];
    if (!to->buffer != !from->buffer)
        return "a cache without its new rows, or rows without a cache";
    if (!to->buffer)
        return NULL;
    if (from->n[0] != first->n[0] || from->n[1] != first->n[1])
        return "pieces differ in sequences or tokens";
    if (to->n[0] != from->n[0] || to->n[3] != from->n[3] ||
        (to->n[2] != from->n[2] && from->n[2] != 1))
        return "cache and new rows differ in sequences, heads or columns";
    for (int64_t s = 0; s < to->n[0]; s++)
        if (c->past[s] < 0 || c->past[s] + from->n[1] > to->n[1])
            return "the cache has no room for the new rows";
    return NULL;
}

static const char *check(const rb_call *c)
{
    const char *wrong = NULL;
    for (int piece = TO0; piece < N_OPERAND && !wrong; piece += 2)
        wrong = check_piece(c, piece);
    return wrong;
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return c->t[FROM0].n[0] * c->t[FROM0].n[1];
}

static void append(const rb_call *c, int piece, int64_t s, int64_t t)
{
    const rb_view *to = &c->t[piece], *from = &c->t[piece + 1];
    if (!to->buffer)
        return;
    for (int64_t h = 0; h < to->n[2]; h++)
        store_row(rb_at(to, s, c->past[s] + t, h),
                  (const f32 *)rb_at(from, s, t, from->n[2] == 1 ? 0 : h), to->n[3], to->dtype);
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared, (void)own;
    const int64_t n_tok = c->t[FROM0].n[1];
    for (int64_t u = first; u < last; u++)
        for (int piece = TO0; piece < N_OPERAND; piece += 2)
            append(c, piece, u / n_tok, u % n_tok);
}

static rb_issued issued(const rb_call *c)
{
    rb_issued sum = { 0 };
    for (int piece = TO0; piece < N_OPERAND; piece += 2) {
        const rb_view *to = &c->t[piece];
        if (to->buffer)
            issue(&sum, units(c, 0) * to->n[2], store_loads(to->dtype, to->n[3]),
                  rb_row_bytes(to->dtype, to->n[3]));
    }
    return sum;
}

/* Blocks of a type that the new rows become: heads that share a row have it encoded each. */
static int64_t blocks_in(const rb_call *c, rb_dtype dtype)
{
    int64_t n = 0;
    for (int piece = TO0; piece < N_OPERAND; piece += 2) {
        const rb_view *to = &c->t[piece];
        if (to->buffer && to->dtype == dtype)
            n += to->n[2] * (to->n[3] / BLOCK);
    }
    return units(c, 0) * n;
}

static int64_t blocks_q8_0(const rb_call *c)
{
    return blocks_in(c, RB_Q8_0);
}

static int64_t blocks_q4_0(const rb_call *c)
{
    return blocks_in(c, RB_Q4_0);
}

enum { DIM_T, DIM_Q8_0, DIM_Q4_0 };
static const rb_term nothing[] = { { 0 } };
static const rb_term extra[] = {
    { Q8_0_FLOPS, { DIM_Q8_0, -1, -1 } },
    { Q4_0_FLOPS, { DIM_Q4_0, -1, -1 } },
    { 0 },
};
static const rb_term special_overhead[] = {
    { Q8_0_SPECIAL, { DIM_Q8_0, -1, -1 } },
    { Q4_0_SPECIAL, { DIM_Q4_0, -1, -1 } },
    { 0 },
};

#define PIECE(to, from, more)                                                                      \
    { to, 'w', RB_ROWS_NEW, -1, RB_IS_KV, (more) | RB_CACHED },                                    \
    {                                                                                              \
        from, 'r', RB_ROWS_ALL, -1, RB_IS_ACT, more                                                \
    }

static const rb_op op = {
    .id = RB_OP_KV_STORE,
    .name = "kv_store",
    .arg = { PIECE("cache0", "new0", 0), PIECE("cache1", "new1", RB_OPTIONAL),
             PIECE("cache2", "new2", RB_OPTIONAL) },
    .token_arg = FROM0,
    .key_arg = -1,
    .dim = { { "T", FROM0, 1, NULL },
             { "blocks of q8_0", FROM0, 0, blocks_q8_0 },
             { "blocks of q4_0", FROM0, 0, blocks_q4_0 } },
    .flops = nothing,
    .special = nothing,
    .check = check,
};

static const rb_kernel rows[] = { { RB_ROW(RB_NO_DTYPE), .extra = extra,
                                    .extra_what = "quantising what is cached",
                                    .special_overhead = special_overhead } };
RB_EXPORT(kv, rows);
