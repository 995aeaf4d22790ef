/* attend: o = softmax(scale q k^T, causal) v over a cache, online softmax over key tiles
 * (Milakov & Gimelshein 2018; Dao et al. 2022). The heads that share a KV head, times a tile of
 * tokens, are the rows of one pass over that head's K and V, so sharing pays by construction.
 * Extents say the variant: MHA, GQA, MQA; K in one or two column segments; d_qk != d_v.
 * Few tokens: keys are split too, and a second phase combines the parts.
 * Refuses: masks other than causal. Read next: attend_op.c (contract and counts). */
#include "attend.h"
#include "rows.h"

/* One thread's scratch. Rows are (token, head) pairs of the work unit. */
typedef struct work {
    f32 *q, *acc;     /* [row][d_qk] scaled, [row][d_v] */
    f32 *m, *l;       /* [row] running maximum, sum of exp */
    f32 *score;       /* [TILE] */
    f32 *k1, *k2, *v; /* [TILE][..] decoded tile */
} work;

/* A work unit: a KV group, a tile of tokens and a range of keys of one sequence. */
typedef struct unit {
    int64_t seq, group, token, n_token, split, key, key_end;
} unit;

/* A tile of K or V rows, decoded or (f32) where it lies. */
typedef struct rows_view {
    const f32 *base;
    int64_t step; /* in elements */
} rows_view;

static work work_at(const rb_call *c, void *own)
{
    const int64_t rows = tile_tokens(c) * heads_per_group(c);
    const int64_t d_qk = c->t[Q].n[3], d_v = c->t[V].n[3], d1 = c->t[K].n[3];
    work w = { .q = own };
    w.acc = w.q + rows * d_qk;
    w.m = w.acc + rows * d_v;
    w.l = w.m + rows;
    w.score = w.l + rows;
    w.k1 = w.score + TILE;
    w.k2 = w.k1 + TILE * d1;
    w.v = w.k2 + TILE * (d_qk - d1);
    return w;
}

static int64_t own_bytes(const rb_call *c)
{
    const int64_t rows = tile_tokens(c) * heads_per_group(c);
    const int64_t d_qk = c->t[Q].n[3], d_v = c->t[V].n[3];
    return (rows * (d_qk + d_v + 2) + TILE * (1 + d_qk + d_v)) * (int64_t)sizeof(f32);
}

/* Partial results of split keys: [row][split][m, l, acc[d_v]]. */
static int64_t shared_bytes(const rb_call *c)
{
    if (!splits_keys(c))
        return 0;
    return n_query_rows(c) * max_splits(c) * (2 + c->t[V].n[3]) * (int64_t)sizeof(f32);
}

static f32 *partial_at(const rb_call *c, void *shared, int64_t seq, int64_t token, int64_t head,
                       int64_t split)
{
    const rb_view *q = &c->t[Q];
    const int64_t row = (seq * q->n[1] + token) * q->n[2] + head;
    return (f32 *)shared + (row * max_splits(c) + split) * (2 + c->t[V].n[3]);
}

static int64_t units(const rb_call *c, int phase)
{
    if (phase == 1)
        return splits_keys(c) ? n_query_rows(c) : 0;
    return c->t[Q].n[0] * n_groups(c) * token_tiles(c) * max_splits(c);
}

/* Token tiles are dealt from both ends in turn: later tokens see more keys, and every thread gets a
 * contiguous range of units. */
static unit unit_at(const rb_call *c, int64_t u)
{
    const int64_t tiles = token_tiles(c), groups = n_groups(c), splits = max_splits(c);
    const int64_t deal = u / splits / groups % tiles;
    unit r = { .split = u % splits, .group = u / splits % groups };
    r.seq = u / splits / groups / tiles;
    r.token = (deal % 2 == 0 ? deal / 2 : tiles - 1 - deal / 2) * tile_tokens(c);
    r.n_token = c->t[Q].n[1] - r.token;
    if (r.n_token > tile_tokens(c))
        r.n_token = tile_tokens(c);
    r.key = r.split * split_keys(c);
    r.key_end = keys_seen(c, r.seq, r.token + r.n_token - 1);
    if (r.key_end > r.key + split_keys(c))
        r.key_end = r.key + split_keys(c);
    return r;
}

/* Rows key .. key+n-1 of the cache operand's head that serves this group. */
static rows_view tile_rows(const rb_call *c, int arg, const unit *u, int64_t key, int64_t n,
                           f32 *scratch)
{
    const rb_view *view = &c->t[arg];
    const int64_t head = u->group * view->n[2] / n_groups(c);
    if (view->dtype == RB_F32) {
        for (int64_t j = 0; j < n; j++)
            decoded(RB_F32, view->n[3]);
        return (rows_view){ (const f32 *)rb_at(view, u->seq, key, head),
                            view->step_bytes[1] / (int64_t)sizeof(f32) };
    }
    for (int64_t j = 0; j < n; j++)
        decode_row(scratch + j * view->n[3], rb_at(view, u->seq, key + j, head), view->n[3],
                   view->dtype);
    return (rows_view){ scratch, view->n[3] };
}

static void scale_row(f32 *dst, const f32 *src, int64_t n, sf by)
{
    for (int64_t k = 0; k < n; k += V_LANES) {
        const int64_t m = n - k < V_LANES ? n - k : V_LANES;
        v_store_n(dst + k, v_mul(v_load_n(src + k, m), v_set(by)), m);
    }
}

RB_INLINE void dot_keys(vf acc[V_LANES], const f32 *q, rows_view k, int64_t d, int64_t n)
{
    int64_t i = 0;
    if (n == V_LANES) {
        for (; i + V_LANES <= d; i += V_LANES) {
            const vf qv = v_load(q + i);
            UNROLL
            for (int j = 0; j < V_LANES; j++)
                acc[j] = v_fma(qv, v_load(k.base + j * k.step + i), acc[j]);
        }
    }
    for (; i < d; i += V_LANES) {
        const int64_t w = d - i < V_LANES ? d - i : V_LANES;
        const vf qv = v_load_n(q + i, w);
        for (int64_t j = 0; j < n; j++)
            acc[j] = v_fma(qv, v_load_n(k.base + j * k.step + i, w), acc[j]);
    }
}

/* score[j] = q . k[j] for n keys; returns the larger of m and the largest score. */
static sf scores(f32 *score, const f32 *q, rows_view k1, int64_t d1, rows_view k2, int64_t d2,
                 int64_t n, sf m)
{
    vf best = v_set(m);
    for (int64_t j = 0; j < n; j += V_LANES) {
        const int64_t lanes = n - j < V_LANES ? n - j : V_LANES;
        vf acc[V_LANES];
        for (int i = 0; i < V_LANES; i++)
            acc[i] = v_zero();
        dot_keys(acc, q, (rows_view){ k1.base + j * k1.step, k1.step }, d1, lanes);
        if (d2 > 0)
            dot_keys(acc, q + d1, (rows_view){ k2.base + j * k2.step, k2.step }, d2, lanes);
        const vf s = v_hsum_rows(acc, lanes);
        best = v_max_n(best, s, lanes);
        v_store_n(score + j, s, lanes);
    }
    return v_hmax(best);
}

/* score[j] = exp(score[j] - m); returns their sum. */
static sf exponentials(f32 *score, int64_t n, sf m)
{
    vf sum = v_zero();
    for (int64_t j = 0; j < n; j += V_LANES) {
        const int64_t lanes = n - j < V_LANES ? n - j : V_LANES;
        const vf p = v_keep_n(v_exp(v_sub(v_load_n(score + j, lanes), v_set(m))), lanes);
        v_store_n(score + j, p, lanes);
        sum = v_add(sum, p);
    }
    return v_hsum(sum);
}

enum { CHUNK = 4 }; /* vectors of acc that stay in registers over a tile of keys */

RB_INLINE void add_chunk(f32 *acc, const f32 *p, rows_view v, int64_t n, bool fresh)
{
    vf a[CHUNK];
    UNROLL
    for (int i = 0; i < CHUNK; i++)
        a[i] = fresh ? v_zero() : v_load(acc + i * V_LANES);
    for (int64_t j = 0; j < n; j++) {
        const vf pv = v_bcast(p + j);
        UNROLL
        for (int i = 0; i < CHUNK; i++)
            a[i] = v_fma(pv, v_load(v.base + j * v.step + i * V_LANES), a[i]);
    }
    UNROLL
    for (int i = 0; i < CHUNK; i++)
        v_store(acc + i * V_LANES, a[i]);
}

/* acc[d] (fresh: 0) += sum over j of p[j] v[j][d] */
static void add_values(f32 *acc, const f32 *p, rows_view v, int64_t d, int64_t n, bool fresh)
{
    int64_t i = 0;
    for (; i + CHUNK * V_LANES <= d; i += CHUNK * V_LANES)
        add_chunk(acc + i, p, (rows_view){ v.base + i, v.step }, n, fresh);
    for (; i < d; i += V_LANES) {
        const int64_t w = d - i < V_LANES ? d - i : V_LANES;
        vf a = fresh ? v_zero() : v_load_n(acc + i, w);
        for (int64_t j = 0; j < n; j++)
            a = v_fma(v_bcast(p + j), v_load_n(v.base + j * v.step + i, w), a);
        v_store_n(acc + i, a, w);
    }
}

/* One row (token, head) against one decoded tile of n keys. */
static void row_tile(const rb_call *c, const work *w, int64_t row, rows_view k1, rows_view k2,
                     rows_view v, int64_t n, bool fresh)
{
    const int64_t d_qk = c->t[Q].n[3], d_v = c->t[V].n[3], d1 = c->t[K].n[3];
    const sf before = fresh ? s_const(-INFINITY) : s_load(w->m + row);
    const sf m = scores(w->score, w->q + row * d_qk, k1, d1, k2, d_qk - d1, n, before);
    sf sum = exponentials(w->score, n, m);
    if (!fresh) {
        const sf by = s_exp(s_sub(before, m));
        sum = s_fma(s_load(w->l + row), by, sum);
        scale_row(w->acc + row * d_v, w->acc + row * d_v, d_v, by);
    }
    s_store(w->m + row, m);
    s_store(w->l + row, sum);
    add_values(w->acc + row * d_v, w->score, v, d_v, n, fresh);
}

/* Queries that see any key of the unit's range, times the scale of the scores. */
static void load_queries(const rb_call *c, const work *w, const unit *u)
{
    const int64_t heads = heads_per_group(c), d = c->t[Q].n[3];
    for (int64_t t = 0; t < u->n_token; t++)
        for (int64_t h = 0; keys_seen(c, u->seq, u->token + t) > u->key && h < heads; h++)
            scale_row(w->q + (t * heads + h) * d,
                      (const f32 *)rb_at(&c->t[Q], u->seq, u->token + t, u->group * heads + h), d,
                      s_const((double)c->p.scale));
}

/* Rows that see any key of the unit's range leave their result in o, or in the partials. */
static void finish(const rb_call *c, const work *w, const unit *u, void *shared)
{
    const int64_t heads = heads_per_group(c), d = c->t[V].n[3];
    for (int64_t t = 0; t < u->n_token; t++) {
        if (keys_seen(c, u->seq, u->token + t) <= u->key)
            continue;
        for (int64_t h = 0; h < heads; h++) {
            const int64_t row = t * heads + h, head = u->group * heads + h;
            if (splits_keys(c)) {
                f32 *part = partial_at(c, shared, u->seq, u->token + t, head, u->split);
                s_store(part, s_load(w->m + row));
                s_store(part + 1, s_load(w->l + row));
                store_row(part + 2, w->acc + row * d, d, RB_F32);
            } else {
                scale_row((f32 *)rb_at(&c->t[O], u->seq, u->token + t, head), w->acc + row * d, d,
                          s_div(s_const(1.0), s_load(w->l + row)));
            }
        }
    }
}

static void attend_unit(const rb_call *c, const unit *u, void *shared, void *own)
{
    const work w = work_at(c, own);
    const int64_t heads = heads_per_group(c);
    load_queries(c, &w, u);
    for (int64_t key = u->key; key < u->key_end; key += TILE) {
        const int64_t n = u->key_end - key < TILE ? u->key_end - key : TILE;
        const rows_view k1 = tile_rows(c, K, u, key, n, w.k1);
        const rows_view k2 = c->t[K2].buffer ? tile_rows(c, K2, u, key, n, w.k2) : k1;
        const rows_view v = tile_rows(c, V, u, key, n, w.v);
        for (int64_t t = 0; t < u->n_token; t++) {
            const int64_t left = keys_seen(c, u->seq, u->token + t) - key;
            if (left <= 0)
                continue;
            for (int64_t h = 0; h < heads; h++)
                row_tile(c, &w, t * heads + h, k1, k2, v, left < n ? left : n, key == u->key);
        }
    }
    finish(c, &w, u, shared);
}

/* o = sum of exp(m_i - m) acc_i / sum of exp(m_i - m) l_i over the parts i of one row. */
static void combine(const rb_call *c, int64_t u, void *shared, void *own)
{
    const rb_view *q = &c->t[Q];
    const int64_t head = u % q->n[2], token = u / q->n[2] % q->n[1], seq = u / q->n[2] / q->n[1];
    const int64_t d = c->t[V].n[3], parts = n_splits(c, seq, token);
    const f32 *part = partial_at(c, shared, seq, token, head, 0);
    const int64_t step = 2 + d;
    f32 *factor = own;
    sf m = s_load(part), l = s_const(0.0);
    for (int64_t i = 1; i < parts; i++)
        m = s_max(m, s_load(part + i * step));
    for (int64_t i = 0; i < parts; i++) {
        const sf by = s_exp(s_sub(s_load(part + i * step), m));
        l = s_fma(s_load(part + i * step + 1), by, l);
        s_store(factor + i, by);
    }
    f32 *o = (f32 *)rb_at(&c->t[O], seq, token, head);
    add_values(o, factor, (rows_view){ part + 2, step }, d, parts, true);
    scale_row(o, o, d, s_div(s_const(1.0), l));
}

static int64_t own_bytes_both(const rb_call *c)
{
    const int64_t combining = max_splits(c) * (int64_t)sizeof(f32), attending = own_bytes(c);
    return attending > combining ? attending : combining;
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    for (int64_t i = first; i < last; i++) {
        if (phase == 1) {
            combine(c, i, shared, own);
            continue;
        }
        const unit u = unit_at(c, i);
        if (u.key < u.key_end)
            attend_unit(c, &u, shared, own);
    }
}

#define ROW(k, k2, v)                                                                              \
    {                                                                                              \
        .op = &rb_attend_op, .isa = RB_ISA_ID, .key = { k, k2, v }, .n_phase = 2, .units = units,  \
        .run = run, .shared_bytes = shared_bytes, .own_bytes = own_bytes_both,                     \
        .extra = rb_attend_extra, .saved = rb_attend_saved,                                        \
        .special_overhead = rb_attend_special_overhead, .decode = {                                \
            { K, rb_attend_k_elements },                                                           \
            { K2, rb_attend_k2_elements },                                                         \
            { V, rb_attend_v_elements }                                                            \
        }                                                                                          \
    }
static const rb_kernel rows[] = {
    ROW(RB_F32, RB_NO_DTYPE, RB_F32), ROW(RB_F16, RB_NO_DTYPE, RB_F16),
    ROW(RB_F32, RB_NO_DTYPE, RB_F16), ROW(RB_F16, RB_NO_DTYPE, RB_F32),
    ROW(RB_F32, RB_F32, RB_F32),      ROW(RB_F16, RB_F16, RB_F16),
    ROW(RB_F32, RB_F16, RB_F32),
};
RB_EXPORT(attend, rows);
