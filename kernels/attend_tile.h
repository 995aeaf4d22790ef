/* One block of query rows against one tile of keys: scores, online softmax, sums of values, with
 * all accumulators in registers, so that a key or value that is loaded (and converted, where the
 * tile is the cache itself) serves every row of the block. Scores are sums over lanes, or, where
 * K's tile lies across, lanes are keys. Rows may see different numbers of keys. Refuses to know
 * about caches, heads and splits. Read next: attend.c, which walks blocks. */
#ifndef RB_ATTEND_TILE_H
#define RB_ATTEND_TILE_H

#include "attend.h"
#include "rows.h"

/* Rows of the largest block: what registers hold beside a few keys or vectors of values. */
enum { MOST_ROWS = V_LANES > 1 ? 8 : 1 };

/* Keys, and vectors of values, beside `rows` rows of accumulators: in 16 or 32 registers, and
 * enough of them to hide the latency of an fma. */
enum { MOST_BESIDE = 8 };
RB_INLINE int beside(int rows)
{
    if (V_LANES == 1)
        return 1;
    if (V_LANES == 16)
        return rows > 6 ? 2 : rows > 1 ? 4 : 8;
    return rows > 6 ? 1 : rows > 3 ? 2 : rows > 1 ? 4 : 8;
}

/* Rows of K or V: row j at base + j * step bytes, where they lie or decoded. */
typedef struct rows_view {
    const char *base;
    int64_t step;
} rows_view;

/* Where K and V are: in the cache, as f16; decoded, or f32 as they lie; so too, but K's columns are
 * rows of TILE keys. But for the last, scores are sums over lanes. */
typedef enum { IN_CACHE, DECODED, ACROSS, N_LIE } lie;

/* What a block meets. */
typedef struct tile {
    rows_view k1, k2, val;
    const f32 *across1, *across2;
    int64_t d1, d2, d_v;
    lie how;
    bool fresh; /* the first tile of its range, nothing to rescale */
} tile;

/* Up to MOST_ROWS rows. q is interleaved: vector i of row r at (i * rows + r) * V_LANES, K's
 * columns before K2's, each padded to whole vectors. */
typedef struct block {
    const f32 *q;
    f32 *acc; /* [row][acc_step] */
    int64_t acc_step;
    f32 *m, *l;         /* [row] running maximum, sum of exp */
    f32 *by;            /* [row] what acc is rescaled by */
    f32 *score;         /* [row][TILE] */
    const char *ahead;  /* cache to ask for while values are summed: */
    int64_t ahead_step; /* so many bytes a column of V, or 0 */
    int64_t rows;       /* rising numbers of keys seen: */
    int64_t seen[MOST_ROWS];
} block;

static inline int64_t whole_vectors(int64_t d)
{
    return (d + V_LANES - 1) / V_LANES;
}

static inline int64_t at_most(int64_t n, int64_t most)
{
    return n < most ? n : most;
}

/* ---- scores ---- */

/* Columns i .. i + n of a row of q, or of a key: a vector. */
RB_INLINE vf dot_operand(const f32 *q, rows_view k, int64_t i, int64_t n, bool of_q, int x,
                         rb_dtype dtype)
{
    return v_hold(of_q ? load_plain(q + x * V_LANES, 0, n, RB_F32)
                       : load_plain(k.base + x * k.step, i, n, dtype));
}

/* One vector of columns of `keys` keys for `rows` rows. The fewer of the two are held. */
RB_INLINE void dot_step(vf *a, const f32 *q, rows_view k, int64_t i, int64_t n, int rows, int keys,
                        rb_dtype dtype)
{
    const bool hold_q = rows < keys;
    const int few = hold_q ? rows : keys, many = hold_q ? keys : rows;
    vf held[MOST_BESIDE];
    UNROLL
    for (int x = 0; x < few; x++)
        held[x] = dot_operand(q, k, i, n, hold_q, x, dtype);
    UNROLL
    for (int y = 0; y < many; y++) {
        const vf other = dot_operand(q, k, i, n, !hold_q, y, dtype);
        UNROLL
        for (int x = 0; x < few; x++) {
            vf *sum = a + (hold_q ? x * keys + y : y * keys + x);
            *sum = v_fma(other, held[x], *sum);
        }
    }
}

/* a[row][key] += q . k over d columns; vectors of q are q_step elements apart. */
RB_INLINE void dot_columns(vf *a, const f32 *q, int64_t q_step, rows_view k, int64_t d, int rows,
                           int keys, rb_dtype dtype)
{
    int64_t i = 0;
    for (; i + V_LANES <= d; i += V_LANES, q += q_step) {
        if (dtype == RB_F16) /* as far as rows follow each other without a gap */
            stream_ahead(k.base + i * keys * 2, (int64_t)keys * V_LANES * 2, 0, 1);
        dot_step(a, q, k, i, V_LANES, rows, keys, dtype);
    }
    if (i < d)
        dot_step(a, q, k, i, d - i, rows, keys, dtype);
}

/* a[row * keys + key] for keys j .. j + keys of both segments. q begins at the first of `rows` rows
 * of an interleaved block of q_rows. */
RB_INLINE void dot_keys(vf *a, const tile *t, const f32 *q, int64_t q_rows, int64_t j, int rows,
                        int keys, rb_dtype dtype)
{
    UNROLL
    for (int i = 0; i < rows * keys; i++)
        a[i] = v_zero();
    const int64_t step = q_rows * V_LANES;
    dot_columns(a, q, step, (rows_view){ t->k1.base + j * t->k1.step, t->k1.step }, t->d1, rows,
                keys, dtype);
    if (t->d2 > 0)
        dot_columns(a, q + whole_vectors(t->d1) * step, step,
                    (rows_view){ t->k2.base + j * t->k2.step, t->k2.step }, t->d2, rows, keys,
                    dtype);
}

/* Keys whose scores with `rows` rows are a vector together. */
RB_INLINE int keys_at_once(int rows)
{
    const int keys = V_LANES / (rows > 4 ? 8 : rows > 2 ? 4 : rows);
    return keys > 1 ? keys : 1;
}

/* score[row][j ..] of `keys` keys, of `rows` rows from `first` on. */
RB_INLINE void score_keys(const tile *t, const block *b, int first, int64_t j, int q_rows, int rows,
                          int keys, rb_dtype dtype)
{
    vf a[V_LANES];
    dot_keys(a, t, b->q + first * V_LANES, q_rows, j, rows, keys, dtype);
    UNROLL
    for (int i = rows * keys; i < V_LANES; i++)
        a[i] = v_zero();
    v_store_groups(b->score + first * TILE + j, TILE, v_hsum_rows(a, rows * keys), keys, rows);
}

/* Keys that all rows see together, several at once, then what later rows see beyond them. */
RB_INLINE void score_rows(const tile *t, const block *b, vf *best, int rows, rb_dtype dtype)
{
    const int keys = keys_at_once(rows);
    const int64_t common = b->seen[0];
    int64_t j = 0;
    for (; j + keys <= common; j += keys)
        score_keys(t, b, 0, j, rows, rows, keys, dtype);
    for (; j < common; j++)
        score_keys(t, b, 0, j, rows, rows, 1, dtype);
    for (int r = 0; r < rows; r++) {
        const f32 *score = b->score + r * TILE;
        for (j = common; j < b->seen[r]; j++)
            score_keys(t, b, r, j, rows, 1, 1, dtype);
        for (j = 0; j + V_LANES <= b->seen[r]; j += V_LANES) /* masks are slow */
            best[r] = v_max_n(best[r], v_load(score + j), V_LANES);
        if (j < b->seen[r])
            best[r] = v_max_n(best[r], v_load_n(score + j, b->seen[r] - j), b->seen[r] - j);
    }
}

/* ---- scores of a tile that lies across: lanes are keys ---- */

/* a[row][vector] += q . k over d columns of `vecs` vectors of keys from k on; where rows see
 * different numbers of keys (ragged), of lanes[row] keys of one vector. */
RB_INLINE void dot_across(vf *a, const f32 *q, int64_t q_rows, const f32 *k, int64_t d,
                          const int64_t *lanes, int rows, int vecs, bool ragged)
{
    for (int64_t i = 0; i < d; i += V_LANES, q += q_rows * V_LANES)
        for (int64_t x = 0; x < V_LANES && i + x < d; x++, k += TILE) {
            vf kv[MOST_BESIDE];
            UNROLL
            for (int v = 0; v < vecs; v++)
                kv[v] =
                    vecs == 1 ? load_plain(k, 0, lanes[rows - 1], RB_F32) : v_load(k + v * V_LANES);
            UNROLL
            for (int r = 0; r < rows; r++) {
                if (ragged && lanes[r] == 0)
                    continue;
                const vf all = v_bcast(q + r * V_LANES + x);
                const vf qv = ragged ? v_keep_n(all, lanes[r]) : all;
                UNROLL
                for (int v = 0; v < vecs; v++)
                    a[r * vecs + v] = v_fma(qv, kv[v], a[r * vecs + v]);
            }
        }
}

/* score[row][j ..] of `vecs` vectors of keys, or (vecs is 1) of lanes[row] keys. */
RB_INLINE void score_across(const tile *t, const block *b, vf *best, int64_t j,
                            const int64_t *lanes, int rows, int vecs, bool ragged)
{
    vf a[MOST_ROWS * MOST_BESIDE];
    UNROLL
    for (int i = 0; i < rows * vecs; i++)
        a[i] = v_zero();
    dot_across(a, b->q, rows, t->across1 + j, t->d1, lanes, rows, vecs, ragged);
    if (t->d2 > 0)
        dot_across(a, b->q + whole_vectors(t->d1) * rows * V_LANES, rows, t->across2 + j, t->d2,
                   lanes, rows, vecs, ragged);
    UNROLL
    for (int r = 0; r < rows; r++) {
        f32 *score = b->score + r * TILE + j;
        UNROLL
        for (int v = 0; v < vecs; v++) {
            const int64_t n = vecs == 1 ? lanes[r] : V_LANES;
            if (n == 0)
                continue;
            best[r] = v_max_n(best[r], a[r * vecs + v], n);
            if (n == V_LANES)
                v_store(score + v * V_LANES, a[r * vecs + v]);
            else
                v_store_n(score, a[r], n);
        }
    }
}

RB_INLINE void score_rows_across(const tile *t, const block *b, vf *best, int rows)
{
    const int vecs = beside(rows);
    int64_t lanes[MOST_ROWS], j = 0;
    for (int r = 0; r < rows; r++)
        lanes[r] = V_LANES;
    for (; j + vecs * V_LANES <= b->seen[0]; j += vecs * V_LANES)
        score_across(t, b, best, j, lanes, rows, vecs, false);
    for (; j < b->seen[rows - 1]; j += V_LANES) {
        for (int r = 0; r < rows; r++)
            lanes[r] = b->seen[r] > j ? lanes_at(j, b->seen[r]) : 0;
        if (lanes[0] == lanes[rows - 1])
            score_across(t, b, best, j, lanes, rows, 1, false);
        else
            score_across(t, b, best, j, lanes, rows, 1, true);
    }
}

/* across[column][TILE] = rows[key][column] of keys j .. and columns i .., V_LANES of both if whole.
 */
RB_INLINE void lay_across(f32 *across, rows_view rows, int64_t j, int64_t keys, int64_t i,
                          int64_t columns, bool whole)
{
    vf a[V_LANES];
    UNROLL
    for (int x = 0; x < V_LANES; x++)
        a[x] = whole || x < keys ? load_plain(rows.base + (j + x) * rows.step, i,
                                              whole ? V_LANES : columns, RB_F32)
                                 : v_zero();
    v_transpose(a);
    UNROLL
    for (int x = 0; x < V_LANES; x++) {
        if (whole)
            v_store(across + (i + x) * TILE + j, a[x]);
        else if (x < columns)
            v_store_n(across + (i + x) * TILE + j, a[x], keys);
    }
}

/* n keys of d columns. */
static void lay_tile_across(f32 *across, rows_view rows, int64_t n, int64_t d)
{
    for (int64_t j = 0; j < n; j += V_LANES)
        for (int64_t i = 0; i < d; i += V_LANES) {
            if (j + V_LANES <= n && i + V_LANES <= d)
                lay_across(across, rows, j, V_LANES, i, V_LANES, true);
            else
                lay_across(across, rows, j, lanes_at(j, n), i, lanes_at(i, d), false);
        }
}

/* ---- softmax ---- */

/* score[j] = exp(score[j] - m); the lanes of what is returned add up to their sum. */
static inline vf exponentials(f32 *score, int64_t n, sf m)
{
    vf sum = v_zero();
    int64_t j = 0;
    for (; j + V_LANES <= n; j += V_LANES) {
        const vf p = v_exp(v_sub(v_load(score + j), v_set(m)));
        v_store(score + j, p);
        sum = v_add(sum, p);
    }
    if (j < n) {
        const vf p = v_keep_n(v_exp(v_sub(v_load_n(score + j, n - j), v_set(m))), n - j);
        v_store_n(score + j, p, n - j);
        sum = v_add(sum, p);
    }
    return sum;
}

/* Scores to exponentials; m, l and what the sums of values so far are rescaled by, of the rows that
 * see any key: those after the first few. */
RB_INLINE void softmax_rows(const tile *t, const block *b, const vf *best, int rows)
{
    f32 *most = b->by;
    vf sums[MOST_ROWS + V_LANES];
    int64_t first = 0;
    while (b->seen[first] == 0)
        first++;
    for (int64_t r = first; r < rows; r++)
        s_store(most + r, v_hmax(best[r]));
    for (int64_t r = first; r < rows; r++)
        sums[r] = exponentials(b->score + r * TILE, b->seen[r], s_load(most + r));
    UNROLL
    for (int r = 0; r < V_LANES; r++)
        sums[rows + r] = v_zero();
    for (int64_t r = first; r < rows; r += V_LANES) {
        const int64_t n = lanes_at(r, rows);
        const vf m = v_load_n(most + r, n);
        vf l = v_hsum_rows(sums + r, n);
        if (!t->fresh) {
            const vf by = v_exp(v_sub(v_load_n(b->m + r, n), m));
            l = v_fma(v_load_n(b->l + r, n), by, l);
            v_store_n(b->by + r, by, n);
        }
        v_store_n(b->m + r, m, n);
        v_store_n(b->l + r, l, n);
    }
}

/* ---- values ---- */

typedef enum { BEGIN, RESCALE, GO_ON } from; /* what a sum of values starts from: 0, by acc, acc */

/* acc[row][i ..] of `vecs` vectors (of n lanes, if vecs is 1) over keys [key, key_end). */
RB_INLINE void add_chunk(const tile *t, const block *b, int64_t first, int64_t key, int64_t key_end,
                         int64_t i, int64_t n, int rows, int vecs, from how, rb_dtype dtype)
{
    vf a[MOST_ROWS * MOST_BESIDE];
    UNROLL
    for (int r = 0; r < rows; r++) {
        f32 *acc = b->acc + (first + r) * b->acc_step + i;
        UNROLL
        for (int x = 0; x < vecs; x++) {
            a[r * vecs + x] = how == BEGIN ? v_zero() : load_plain(acc + x * V_LANES, 0, n, RB_F32);
            if (how == RESCALE)
                a[r * vecs + x] = v_mul(a[r * vecs + x], v_bcast(b->by + first + r));
        }
    }
    for (int64_t x = 0; x < vecs * V_LANES * b->ahead_step; x += LINE)
        v_prefetch((const f32 *)(b->ahead + i * b->ahead_step + x));
    const f32 *p = b->score + first * TILE;
    const char *v = t->val.base + key * t->val.step;
    for (int64_t j = key; j < key_end; j++, v += t->val.step) {
        vf vv[MOST_BESIDE];
        if (dtype == RB_F16)
            stream_ahead(v + i * 2, (int64_t)vecs * V_LANES * 2, 0, 1);
        UNROLL
        for (int x = 0; x < vecs; x++)
            vv[x] = load_plain(v, i + x * V_LANES, n, dtype);
        UNROLL
        for (int r = 0; r < rows; r++) {
            const vf pv = v_bcast(p + r * TILE + j);
            UNROLL
            for (int x = 0; x < vecs; x++)
                a[r * vecs + x] = v_fma(pv, vv[x], a[r * vecs + x]);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        f32 *acc = b->acc + (first + r) * b->acc_step + i;
        UNROLL
        for (int x = 0; x < vecs; x++) {
            if (n < V_LANES)
                v_store_n(acc + x * V_LANES, a[r * vecs + x], n);
            else
                v_store(acc + x * V_LANES, a[r * vecs + x]);
        }
    }
}

/* Vectors of columns that are summed together. */
RB_INLINE int chunk_vectors(int rows)
{
    return V_LANES == 1 ? 4 : beside(rows);
}

/* acc[row] = what it starts from + the sum over keys [key, key_end) of p[row][key] v[key], for
 * `rows` rows from `first` on. */
RB_INLINE void add_values(const tile *t, const block *b, int64_t first, int64_t key,
                          int64_t key_end, int rows, from how, rb_dtype dtype)
{
    const int vecs = chunk_vectors(rows);
    int64_t i = 0;
    for (; i + vecs * V_LANES <= t->d_v; i += vecs * V_LANES)
        add_chunk(t, b, first, key, key_end, i, V_LANES, rows, vecs, how, dtype);
    for (; i + V_LANES <= t->d_v; i += V_LANES)
        add_chunk(t, b, first, key, key_end, i, V_LANES, rows, 1, how, dtype);
    if (i < t->d_v)
        add_chunk(t, b, first, key, key_end, i, t->d_v - i, rows, 1, how, dtype);
}

/* Keys that all rows see together, then what later rows see beyond them. */
RB_INLINE void value_rows(const tile *t, const block *b, int rows, rb_dtype dtype)
{
    const int64_t common = b->seen[0];
    from how = t->fresh ? BEGIN : RESCALE;
    if (common > 0) {
        add_values(t, b, 0, 0, common, rows, how, dtype);
        how = GO_ON;
    }
    for (int r = 0; r < rows; r++)
        if (b->seen[r] > common)
            add_values(t, b, r, common, b->seen[r], 1, how, dtype);
}

/* ---- a block of a known number of rows ---- */

RB_INLINE void block_tile_as(const tile *t, const block *b, int rows, lie how)
{
    const rb_dtype dtype = how == IN_CACHE ? RB_F16 : RB_F32;
    vf best[MOST_ROWS];
    for (int r = 0; r < rows; r++)
        best[r] = v_set(t->fresh ? s_const(-INFINITY) : s_load(b->m + r));
    if (how == ACROSS)
        score_rows_across(t, b, best, rows);
    else
        score_rows(t, b, best, rows, dtype);
    softmax_rows(t, b, best, rows);
    value_rows(t, b, rows, dtype);
}

/* Where MOST_ROWS is 1 all are blocks of one row. */
#define BLOCK_OF(rows)                                                                             \
    BLOCK_THAT_LIES(rows, IN_CACHE) BLOCK_THAT_LIES(rows, DECODED) BLOCK_THAT_LIES(rows, ACROSS)
#define BLOCK_THAT_LIES(rows, how)                                                                 \
    NOINLINE static void block_##how##_##rows(const tile *t, const block *b)                       \
    {                                                                                              \
        block_tile_as(t, b, ((rows)-1) % MOST_ROWS + 1, how);                                      \
    }
BLOCK_OF(1)
BLOCK_OF(2)
BLOCK_OF(3)
BLOCK_OF(4)
BLOCK_OF(5)
BLOCK_OF(6)
BLOCK_OF(7)
BLOCK_OF(8)

/* The block's rows against the tile. */
static void block_tile(const tile *t, const block *b)
{
    static void (*const run[N_LIE][8])(const tile *t, const block *b) = {
        [IN_CACHE] = { block_IN_CACHE_1, block_IN_CACHE_2, block_IN_CACHE_3, block_IN_CACHE_4,
                       block_IN_CACHE_5, block_IN_CACHE_6, block_IN_CACHE_7, block_IN_CACHE_8 },
        [DECODED] = { block_DECODED_1, block_DECODED_2, block_DECODED_3, block_DECODED_4,
                      block_DECODED_5, block_DECODED_6, block_DECODED_7, block_DECODED_8 },
        [ACROSS] = { block_ACROSS_1, block_ACROSS_2, block_ACROSS_3, block_ACROSS_4, block_ACROSS_5,
                     block_ACROSS_6, block_ACROSS_7, block_ACROSS_8 },
    };
    run[t->how][b->rows - 1](t, b);
}

/* ---- issued bytes of a block ---- */

/* Bytes of an element of a tile's rows. */
static inline int64_t tile_bytes(const tile *t)
{
    return rb_row_bytes(t->how == IN_CACHE ? RB_F16 : RB_F32, 1);
}

/* As score_rows: q and keys once for each step of keys; scores stored, and loaded for the largest.
 */
static inline rb_issued scores_issued(const tile *t, const block *b)
{
    const int64_t rows = b->rows, d = t->d1 + t->d2, key = d * tile_bytes(t);
    const int64_t common = b->seen[0], keys = keys_at_once((int)rows);
    rb_issued sum = { 0 };
    issue(&sum, common / keys, rows * f32_bytes(d) + keys * key, 0);
    issue(&sum, common % keys, rows * f32_bytes(d) + key, 0);
    for (int64_t r = 0; r < rows; r++) {
        issue(&sum, b->seen[r] - common, f32_bytes(d) + key, 0);
        issue(&sum, b->seen[r], f32_bytes(1), f32_bytes(1));
    }
    return sum;
}

/* As score_rows_across: each key once, q once for each step of keys; scores stored. */
static inline rb_issued scores_across_issued(const tile *t, const block *b)
{
    const int64_t rows = b->rows, d = t->d1 + t->d2, step = beside((int)rows) * V_LANES;
    const int64_t steps = b->seen[0] / step;
    rb_issued sum = { 0 };
    issue(&sum, d, f32_bytes(b->seen[rows - 1] + steps * rows), 0);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t rest = b->seen[r] - steps * step;
        issue(&sum, d, f32_bytes(whole_vectors(rest)), 0);
        issue(&sum, b->seen[r], 0, f32_bytes(1));
    }
    return sum;
}

/* As softmax_rows: a row's scores, largest, m, and unless it is fresh its old m and l. */
static inline rb_issued softmax_issued(const tile *t, int64_t seen)
{
    rb_issued sum = { 0 };
    issue(&sum, seen > 0, f32_bytes(t->fresh ? 2 : 4), f32_bytes(t->fresh ? 3 : 4));
    issue(&sum, seen, f32_bytes(1), f32_bytes(1));
    return sum;
}

/* As add_values: each value once for all rows, each weight once for a chunk of columns; sums. */
static inline rb_issued values_issued(const tile *t, int64_t keys, int rows, from how)
{
    const int64_t step = chunk_vectors(rows) * V_LANES;
    const int64_t chunks = t->d_v / step + whole_vectors(t->d_v % step);
    rb_issued sum = { 0 };
    issue(&sum, keys, t->d_v * tile_bytes(t) + f32_bytes(rows * chunks), 0);
    issue(&sum, rows, f32_bytes(how == BEGIN ? 0 : t->d_v), f32_bytes(t->d_v));
    issue(&sum, rows, f32_bytes(how == RESCALE ? whole_vectors(t->d_v) : 0), 0);
    return sum;
}

/* As block_tile. */
static inline rb_issued block_issued(const tile *t, const block *b)
{
    rb_issued sum = t->how == ACROSS ? scores_across_issued(t, b) : scores_issued(t, b);
    const int64_t common = b->seen[0];
    from how = t->fresh ? BEGIN : RESCALE;
    if (!t->fresh)
        issue(&sum, b->rows, f32_bytes(1), 0);
    for (int64_t r = 0; r < b->rows; r++)
        issue_part(&sum, 1, softmax_issued(t, b->seen[r]));
    if (common > 0) {
        issue_part(&sum, 1, values_issued(t, common, (int)b->rows, how));
        how = GO_ON;
    }
    for (int64_t r = 0; r < b->rows; r++)
        if (b->seen[r] > common)
            issue_part(&sum, 1, values_issued(t, b->seen[r] - common, 1, how));
    return sum;
}

#endif
