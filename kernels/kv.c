/* kv_store: appends the new tokens' k and v to the cache, converting to its dtype. Work unit: one
 * token of one sequence. Refuses: caches that are not f32 or f16.
 * Read next: attend.c, which reads what this wrote. */
#include "rows.h"

enum { KC, K, VC, V };

static const char *check_pair(const rb_call *c, int cache, int fresh)
{
    const rb_view *to = &c->t[cache], *from = &c->t[fresh];
    if (!to->buffer != !from->buffer)
        return "a cache without its new rows, or rows without a cache";
    if (!to->buffer)
        return NULL;
    if (to->n[0] != from->n[0] || to->n[2] != from->n[2] || to->n[3] != from->n[3])
        return "cache and new rows differ in sequences, heads or columns";
    for (int64_t s = 0; s < to->n[0]; s++)
        if (c->past[s] < 0 || c->past[s] + from->n[1] > to->n[1])
            return "the cache has no room for the new rows";
    return NULL;
}

static const char *check(const rb_call *c)
{
    const char *wrong = check_pair(c, KC, K);
    if (!wrong && c->t[V].buffer && (c->t[V].n[0] != c->t[K].n[0] || c->t[V].n[1] != c->t[K].n[1]))
        return "k and v differ in sequences or tokens";
    return wrong ? wrong : check_pair(c, VC, V);
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return c->t[K].n[0] * c->t[K].n[1];
}

static void append(const rb_call *c, int cache, int fresh, int64_t s, int64_t t)
{
    const rb_view *to = &c->t[cache], *from = &c->t[fresh];
    if (!to->buffer)
        return;
    for (int64_t h = 0; h < to->n[2]; h++)
        store_row(rb_at(to, s, c->past[s] + t, h), (const f32 *)rb_at(from, s, t, h), to->n[3],
                  to->dtype);
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared, (void)own;
    for (int64_t u = first; u < last; u++) {
        append(c, KC, K, u / c->t[K].n[1], u % c->t[K].n[1]);
        append(c, VC, V, u / c->t[K].n[1], u % c->t[K].n[1]);
    }
}

static const rb_term nothing[] = { { 0 } };

static const rb_op op = {
    .id = RB_OP_KV_STORE,
    .name = "kv_store",
    .arg = { { "k_cache", 'w', RB_ROWS_NEW, -1, RB_IS_KV, 0 },
             { "k", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "v_cache", 'w', RB_ROWS_NEW, -1, RB_IS_KV, RB_OPTIONAL },
             { "v", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, RB_OPTIONAL } },
    .token_arg = K,
    .key_arg = { KC, VC, -1 },
    .dim = { { "T", K, 1, NULL } },
    .flops = nothing,
    .special = nothing,
    .check = check,
};

#define ROW(k, v)                                                                                  \
    {                                                                                              \
        .op = &op, .isa = RB_ISA_ID, .key = { k, v, RB_NO_DTYPE }, .n_phase = 1, .units = units,   \
        .run = run                                                                                 \
    }
static const rb_kernel rows[] = { ROW(RB_F32, RB_F32),      ROW(RB_F16, RB_F16),
                                  ROW(RB_F32, RB_F16),      ROW(RB_F16, RB_F32),
                                  ROW(RB_F32, RB_NO_DTYPE), ROW(RB_F16, RB_NO_DTYPE) };
RB_EXPORT(kv, rows);
