/* The operation attend: its operands and the irregular bounds that are both the limits of its loops
 * and the dims of its counts, so that the two cannot drift apart. No data is touched here.
 * Read next: attend_op.c (the terms), attend.c (the kernel). */
#ifndef RB_ATTEND_H
#define RB_ATTEND_H

#include "op.h"

enum { O, Q, K, K2, V, Q2 };
enum { TILE = 64, SPLIT = 128, LEAST_ROWS = 32, MOST_UNIT_ROWS = 256, UNITS_WANTED = 128 };

_Static_assert(SPLIT % TILE == 0, "a split is whole tiles: the counts of rescales rest on it");

/* Keys that token t of sequence s may see: causal. */
static inline int64_t keys_seen(const rb_call *c, int64_t s, int64_t t)
{
    return c->past[s] + t + 1;
}

/* Columns of q and of K: in one or two pieces each. */
static inline int64_t columns_qk(const rb_call *c)
{
    return c->t[K].n[3] + (c->t[K2].buffer ? c->t[K2].n[3] : 0);
}

/* V is K, or the first columns of K's rows: what has been decoded for one serves the other. */
static inline bool v_in_k(const rb_call *c)
{
    const rb_view *k = &c->t[K], *v = &c->t[V];
    bool same = v->buffer == k->buffer && v->dtype == k->dtype &&
                v->offset_bytes == k->offset_bytes && v->n[2] == k->n[2] && v->n[3] <= k->n[3];
    for (int a = 0; a < 3; a++)
        same = same && (v->step_bytes[a] == k->step_bytes[a] || v->n[a] == 1);
    return same;
}

/* Groups of heads that read the same K and V: as many as the operand that shares least has heads.
 */
static inline int64_t n_groups(const rb_call *c)
{
    int64_t n = c->t[K].n[2] > c->t[V].n[2] ? c->t[K].n[2] : c->t[V].n[2];
    return c->t[K2].buffer && c->t[K2].n[2] > n ? c->t[K2].n[2] : n;
}

static inline int64_t heads_per_group(const rb_call *c)
{
    return c->t[Q].n[2] / n_groups(c);
}

/* Few query tokens leave threads idle unless keys are split as well. A rule of shape alone. */
static inline bool splits_keys(const rb_call *c)
{
    return c->t[Q].n[1] < RB_FEW_TOKENS;
}

/* Rows of queries: tokens x heads, over all sequences. */
static inline int64_t n_query_rows(const rb_call *c)
{
    return c->t[Q].n[0] * c->t[Q].n[1] * c->t[Q].n[2];
}

/* Tokens of a work unit: the more rows, the less a tile of keys costs each of them; the fewer, the
 * more units for threads. */
static inline int64_t tile_tokens(const rb_call *c)
{
    const int64_t even = n_query_rows(c) / (UNITS_WANTED / 2);
    const int64_t rows = even < LEAST_ROWS       ? LEAST_ROWS
                         : even > MOST_UNIT_ROWS ? MOST_UNIT_ROWS
                                                 : even;
    const int64_t n = rows / heads_per_group(c);
    return n < 1 ? 1 : n < c->t[Q].n[1] ? n : c->t[Q].n[1];
}

static inline int64_t token_tiles(const rb_call *c)
{
    return (c->t[Q].n[1] + tile_tokens(c) - 1) / tile_tokens(c);
}

/* The most keys that a query sees. */
static inline int64_t most_seen(const rb_call *c)
{
    int64_t most = 0;
    for (int64_t s = 0; s < c->t[Q].n[0]; s++)
        if (keys_seen(c, s, c->t[Q].n[1] - 1) > most)
            most = keys_seen(c, s, c->t[Q].n[1] - 1);
    return most;
}

/* Parts of the keys are whole tiles, at least SPLIT keys, and grow with the context once there are
 * units for many threads: what is combined stays little. */
static inline int64_t most_splits(const rb_call *c)
{
    const int64_t n = UNITS_WANTED / (c->t[Q].n[0] * n_groups(c) * token_tiles(c));
    return n > 1 ? n : 1;
}

static inline int64_t split_keys(const rb_call *c)
{
    if (!splits_keys(c))
        return INT64_MAX / 2;
    const int64_t even = (most_seen(c) + most_splits(c) - 1) / most_splits(c);
    return even > SPLIT ? (even + TILE - 1) / TILE * TILE : SPLIT;
}

/* Parts that the keys of token t of sequence s fall into. */
static inline int64_t n_splits(const rb_call *c, int64_t s, int64_t t)
{
    const int64_t keys = split_keys(c);
    return (keys_seen(c, s, t) - 1) / keys + 1;
}

static inline int64_t max_splits(const rb_call *c)
{
    return (most_seen(c) - 1) / split_keys(c) + 1;
}

extern const rb_op rb_attend_op;
/* What the online kernel does beyond the op's FLOPs, what it saves, what it decodes. */
extern const rb_term rb_attend_extra[], rb_attend_saved[], rb_attend_special_overhead[];
extern const rb_term rb_attend_k_elements[], rb_attend_k2_elements[], rb_attend_v_elements[];

#endif
