/* The operation attend: its operands and the irregular bounds that are both the limits of its loops
 * and the dims of its counts, so that the two cannot drift apart. No data is touched here.
 * Read next: attend_op.c (the terms), attend.c (the kernel). */
#ifndef RB_ATTEND_H
#define RB_ATTEND_H

#include "op.h"

enum { O, Q, K, K2, V };
enum { TILE = 64, SPLIT = 128, ROWS_WANTED = 32 };

_Static_assert(SPLIT % TILE == 0, "a split is whole tiles: the counts of rescales rest on it");

/* Keys that token t of sequence s may see: causal. */
static inline int64_t keys_seen(const rb_call *c, int64_t s, int64_t t)
{
    return c->past[s] + t + 1;
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

static inline int64_t tile_tokens(const rb_call *c)
{
    const int64_t n = ROWS_WANTED / heads_per_group(c);
    return n < 1 ? 1 : n < c->t[Q].n[1] ? n : c->t[Q].n[1];
}

static inline int64_t token_tiles(const rb_call *c)
{
    return (c->t[Q].n[1] + tile_tokens(c) - 1) / tile_tokens(c);
}

static inline int64_t split_keys(const rb_call *c)
{
    return splits_keys(c) ? SPLIT : INT64_MAX / 2;
}

/* Parts that the keys of token t of sequence s fall into. */
static inline int64_t n_splits(const rb_call *c, int64_t s, int64_t t)
{
    return splits_keys(c) ? (keys_seen(c, s, t) + SPLIT - 1) / SPLIT : 1;
}

static inline int64_t max_splits(const rb_call *c)
{
    int64_t most = 1;
    for (int64_t s = 0; s < c->t[Q].n[0]; s++)
        if (n_splits(c, s, c->t[Q].n[1] - 1) > most)
            most = n_splits(c, s, c->t[Q].n[1] - 1);
    return most;
}

/* Rows of queries: tokens x heads, over all sequences. */
static inline int64_t n_query_rows(const rb_call *c)
{
    return c->t[Q].n[0] * c->t[Q].n[1] * c->t[Q].n[2];
}

extern const rb_op rb_attend_op;
/* What the online kernel does beyond the op's FLOPs, what it saves, what it decodes. */
extern const rb_term rb_attend_extra[], rb_attend_saved[], rb_attend_special_overhead[];
extern const rb_term rb_attend_k_elements[], rb_attend_k2_elements[], rb_attend_v_elements[];

#endif
