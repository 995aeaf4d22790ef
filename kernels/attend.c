/* attend: o = softmax(scale q k^T, causal) v over a cache, online softmax over key tiles
 * (Milakov & Gimelshein 2018; Dao et al. 2022). The heads that share a KV head, times a tile of
 * tokens, are the rows of one pass over that head's K and V, so sharing pays by construction.
 * Extents say the variant: MHA, GQA, MQA; K in one or two segments; d_qk != d_v. Few tokens: keys
 * are split too, and a second phase combines the parts. Many rows: K's tiles are laid across.
 * Refuses: masks other than causal. Read next: attend_op.c (contract and counts), attend_tile.h. */
#include "attend_tile.h"

/* One thread's scratch. Rows are (token, head) pairs of the work unit. */
typedef struct work {
    f32 *q;                 /* [row][..] scaled, interleaved by block */
    f32 *k1, *k2, *v;       /* [TILE][..] decoded tile, whole vectors a row */
    f32 *across1, *across2; /* [..][TILE] the same of K, its columns as rows */
    f32 *score;             /* [row of block][TILE] */
    f32 *by;                /* [row] */
    f32 *result; /* of a unit that sees all keys; where keys are split, the shared scratch */
} work;

/* What a unit has summed so far, in scratch or as one part of split keys. */
typedef struct result {
    f32 *acc;   /* [row][acc_step] */
    f32 *m, *l; /* [row] */
} result;

/* A work unit: a KV group, a tile of tokens and a range of keys of one sequence. */
typedef struct unit {
    int64_t seq, group, token, n_token, split, key, key_end;
} unit;

/* Elements of a row of q: whole vectors of each piece. */
static int64_t q_width(const rb_call *c)
{
    return (whole_vectors(c->t[K].n[3]) + whole_vectors(columns_qk(c) - c->t[K].n[3])) * V_LANES;
}

/* The tile is read where it lies if each element is then converted once: all rows of the unit are
 * one block and see the same keys. */
static bool reads_in_place(const rb_call *c)
{
    return tile_tokens(c) == 1 && heads_per_group(c) <= MOST_ROWS && !v_in_k(c) &&
           c->t[K].dtype == RB_F16 && c->t[V].dtype == RB_F16 &&
           (!c->t[K2].buffer || c->t[K2].dtype == RB_F16);
}

static int64_t block_rows(int64_t rows)
{
    enum { FEWER_ROWS = V_LANES > 1 ? 6 : 1 };
    return rows <= MOST_ROWS ? rows : FEWER_ROWS;
}

static int64_t unit_rows(const rb_call *c)
{
    return tile_tokens(c) * heads_per_group(c);
}

/* Whether K's tiles are laid across: then scores need no sums over lanes, which pays from so many
 * rows on. */
static bool lies_across(const rb_call *c)
{
    return V_LANES > 1 && !reads_in_place(c) && !v_in_k(c) && unit_rows(c) > columns_qk(c) / 6;
}

static int64_t whole_lines(int64_t n)
{
    enum { ELEMENTS = LINE / sizeof(f32) };
    return (n + ELEMENTS - 1) / ELEMENTS * ELEMENTS;
}

static int64_t acc_step(const rb_call *c)
{
    return whole_lines(c->t[V].n[3]);
}

static int64_t result_size(const rb_call *c)
{
    return unit_rows(c) * acc_step(c) + whole_lines(2 * unit_rows(c));
}

static result result_at(const rb_call *c, f32 *p)
{
    result r = { .acc = p, .m = p + unit_rows(c) * acc_step(c) };
    r.l = r.m + unit_rows(c);
    return r;
}

/* Elements of each part of a thread's scratch, in the order of work's members. */
enum { N_PART = 9 };
static void part_sizes(const rb_call *c, int64_t n[N_PART])
{
    const int64_t rows = unit_rows(c), d1 = c->t[K].n[3], d2 = columns_qk(c) - d1;
    const int64_t across = lies_across(c) ? TILE : 0;
    const int64_t size[N_PART] = { rows * q_width(c),
                                   TILE * whole_vectors(d1) * V_LANES,
                                   TILE * whole_vectors(d2) * V_LANES,
                                   TILE * whole_vectors(c->t[V].n[3]) * V_LANES,
                                   across * d1,
                                   across * d2,
                                   MOST_ROWS * TILE,
                                   whole_lines(rows),
                                   splits_keys(c) ? 0 : result_size(c) };
    for (int i = 0; i < N_PART; i++)
        n[i] = size[i];
}

static work lay_out(const rb_call *c, f32 *own)
{
    work w;
    int64_t n[N_PART];
    f32 **const part[N_PART] = { &w.q,       &w.k1,    &w.k2, &w.v,     &w.across1,
                                 &w.across2, &w.score, &w.by, &w.result };
    part_sizes(c, n);
    for (int i = 0; i < N_PART; own += n[i++])
        *part[i] = own;
    return w;
}

static int64_t own_bytes(const rb_call *c)
{
    int64_t n[N_PART], sum = 0;
    part_sizes(c, n);
    for (int i = 0; i < N_PART; i++)
        sum += n[i];
    return sum * (int64_t)sizeof(f32);
}

/* As many parts as this or any shorter context has: who plans scratch asks for the longest. */
static int64_t splits_planned(const rb_call *c)
{
    const int64_t n = (most_seen(c) - 1) / SPLIT + 1;
    return at_most(n, most_splits(c));
}

/* Work units of as many parts of the keys. */
static int64_t n_units(const rb_call *c, int64_t splits)
{
    return c->t[Q].n[0] * n_groups(c) * token_tiles(c) * splits;
}

/* Results of split keys: [seq][token tile][group][split]. */
static int64_t shared_bytes(const rb_call *c)
{
    if (!splits_keys(c))
        return 0;
    return n_units(c, splits_planned(c)) * result_size(c) * (int64_t)sizeof(f32);
}

static f32 *part_at(const rb_call *c, void *shared, int64_t seq, int64_t token, int64_t group,
                    int64_t split)
{
    const int64_t tokens = seq * token_tiles(c) + token / tile_tokens(c);
    const int64_t i = (tokens * n_groups(c) + group) * max_splits(c) + split;
    return (f32 *)shared + i * result_size(c);
}

static int64_t units(const rb_call *c, int phase)
{
    if (phase == 1)
        return splits_keys(c) ? n_query_rows(c) : 0;
    return n_units(c, max_splits(c));
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
    const int64_t head = u->group * view->n[2] / n_groups(c), d = view->n[3];
    const int64_t step = whole_vectors(d) * V_LANES;
    if (view->dtype == RB_F32 || reads_in_place(c)) {
        decoded(view->dtype, n * d);
        return (rows_view){ rb_at(view, u->seq, key, head), view->step_bytes[1] };
    }
    for (int64_t j = 0; j < n; j++)
        decode_row(scratch + j * step, rb_at(view, u->seq, key + j, head), d, view->dtype);
    return (rows_view){ (const char *)scratch, step * (int64_t)sizeof(f32) };
}

/* dst[step k ..] = by src[k ..], a vector each. */
static void scale_vectors(f32 *dst, int64_t step, const f32 *src, int64_t n, sf by)
{
    for (int64_t k = 0; k < n; k += V_LANES, dst += step) {
        if (n - k < V_LANES)
            v_store_n(dst, v_mul(v_load_n(src + k, n - k), v_set(by)), n - k);
        else
            v_store(dst, v_mul(v_load(src + k), v_set(by)));
    }
}

static void scale_row(f32 *dst, const f32 *src, int64_t n, sf by)
{
    scale_vectors(dst, V_LANES, src, n, by);
}

/* A query times the scale of the scores, as row r of `rows` interleaved ones. */
static void load_query(const rb_call *c, f32 *q, int64_t r, int64_t rows, const unit *u,
                       int64_t token, int64_t head)
{
    const int64_t d1 = c->t[K].n[3], d2 = columns_qk(c) - d1, step = rows * V_LANES;
    const f32 *first = (const f32 *)rb_at(&c->t[Q], u->seq, token, head);
    const f32 *second =
        c->t[Q2].buffer ? (const f32 *)rb_at(&c->t[Q2], u->seq, token, head) : first + d1;
    const sf by = s_const((double)c->p.scale);
    scale_vectors(q + r * V_LANES, step, first, d1, by);
    scale_vectors(q + whole_vectors(d1) * step + r * V_LANES, step, second, d2, by);
}

/* Queries that see any key of the unit's range. */
static void load_queries(const rb_call *c, const work *w, const unit *u)
{
    const int64_t heads = heads_per_group(c), rows = u->n_token * heads, most = block_rows(rows);
    for (int64_t row = 0; row < rows; row++) {
        const int64_t token = u->token + row / heads, first = row / most * most;
        if (keys_seen(c, u->seq, token) > u->key)
            load_query(c, w->q + first * q_width(c), row - first, at_most(rows - first, most), u,
                       token, u->group * heads + row % heads);
    }
}

/* o = acc / l. */
static void finish(const rb_call *c, const unit *u, const result *r)
{
    const int64_t heads = heads_per_group(c);
    for (int64_t row = 0; row < u->n_token * heads; row++) {
        const char *o =
            rb_at(&c->t[O], u->seq, u->token + row / heads, u->group * heads + row % heads);
        scale_row((f32 *)o, r->acc + row * acc_step(c), c->t[V].n[3],
                  s_div(s_const(1.0), s_load(r->l + row)));
    }
}

/* Decoding a tile of K waits for memory unless it has been asked for: each block of a token's rows
 * asks for its share of the tile at `key` while it sums values. */
static void ask_ahead(const rb_call *c, const unit *u, int64_t key, int64_t row, block *b)
{
    const rb_view *k = &c->t[K];
    const int64_t heads = heads_per_group(c), d_v = c->t[V].n[3];
    if (u->n_token > 1 || reads_in_place(c) || k->step_bytes[1] != rb_row_bytes(k->dtype, k->n[3]))
        return;
    b->ahead_step = TILE * k->step_bytes[1] * b->rows / heads / d_v;
    b->ahead = (const char *)rb_at(k, u->seq, key, u->group * k->n[2] / n_groups(c)) +
               TILE * k->step_bytes[1] * row / heads;
}

/* How many of keys key .. key+n-1 each row of a block sees that begins at row `row` of the unit. */
static void look(const rb_call *c, const unit *u, int64_t row, int64_t key, int64_t n, block *b)
{
    const int64_t heads = heads_per_group(c);
    for (int64_t r = 0; r < b->rows; r++) {
        const int64_t left = keys_seen(c, u->seq, u->token + (row + r) / heads) - key;
        b->seen[r] = left < 0 ? 0 : at_most(left, n);
    }
}

/* Keys key .. key+n-1 for every row of the unit, block by block. */
static void all_rows(const rb_call *c, const work *w, const unit *u, const result *res,
                     const tile *t, int64_t key, int64_t n)
{
    const int64_t heads = heads_per_group(c), rows = u->n_token * heads, most = block_rows(rows);
    for (int64_t row = 0; row < rows; row += most) {
        block b = { .q = w->q + row * q_width(c),
                    .acc = res->acc + row * acc_step(c),
                    .acc_step = acc_step(c),
                    .m = res->m + row,
                    .l = res->l + row,
                    .by = w->by + row,
                    .score = w->score,
                    .rows = at_most(rows - row, most) };
        ask_ahead(c, u, key + TILE, row, &b);
        look(c, u, row, key, n, &b);
        if (b.seen[b.rows - 1] > 0)
            block_tile(t, &b);
    }
}

static tile tile_for(const rb_call *c)
{
    return (tile){ .d1 = c->t[K].n[3],
                   .d2 = columns_qk(c) - c->t[K].n[3],
                   .d_v = c->t[V].n[3],
                   .how = lies_across(c)      ? ACROSS
                          : reads_in_place(c) ? IN_CACHE
                                              : DECODED };
}

static void attend_unit(const rb_call *c, const unit *u, void *shared, void *own)
{
    const work w = lay_out(c, own);
    const result r = result_at(
        c, splits_keys(c) ? part_at(c, shared, u->seq, u->token, u->group, u->split) : w.result);
    load_queries(c, &w, u);
    tile t = tile_for(c);
    t.across1 = w.across1;
    t.across2 = w.across2;
    for (int64_t key = u->key; key < u->key_end; key += TILE) {
        const int64_t n = at_most(u->key_end - key, TILE);
        t.fresh = key == u->key;
        t.k1 = tile_rows(c, K, u, key, n, w.k1);
        t.k2 = t.d2 > 0 ? tile_rows(c, K2, u, key, n, w.k2) : t.k1;
        if (lies_across(c)) {
            lay_tile_across(w.across1, t.k1, n, t.d1);
            lay_tile_across(w.across2, t.k2, n, t.d2);
        }
        t.val = v_in_k(c) ? t.k1 : tile_rows(c, V, u, key, n, w.v);
        all_rows(c, &w, u, &r, &t, key, n);
    }
    if (!splits_keys(c))
        finish(c, u, &r);
}

/* o = sum of exp(m_i - m) acc_i / sum of exp(m_i - m) l_i over the parts i of one row. */
static void combine(const rb_call *c, int64_t u, void *shared, void *own)
{
    const rb_view *q = &c->t[Q];
    const int64_t head = u % q->n[2], token = u / q->n[2] % q->n[1], seq = u / q->n[2] / q->n[1];
    const int64_t heads = heads_per_group(c), parts = n_splits(c, seq, token);
    const int64_t row = token % tile_tokens(c) * heads + head % heads, step = result_size(c);
    const result part = result_at(c, part_at(c, shared, seq, token, head / heads, 0));
    const f32 *part_m = part.m + row, *part_l = part.l + row;
    f32 *factor = own;
    sf m = s_load(part_m), l = s_const(0.0);
    for (int64_t i = 1; i < parts; i++)
        m = s_max(m, s_load(part_m + i * step));
    for (int64_t i = 0; i < parts; i++) {
        const sf by = s_exp(s_sub(s_load(part_m + i * step), m));
        l = s_fma(s_load(part_l + i * step), by, l);
        s_store(factor + i, by);
    }
    f32 *o = (f32 *)rb_at(&c->t[O], seq, token, head);
    const tile t = { .val = { (const char *)(part.acc + row * acc_step(c)),
                              step * (int64_t)sizeof(f32) },
                     .d_v = c->t[V].n[3] };
    const block b = { .acc = o, .score = factor };
    add_values(&t, &b, 0, 0, parts, 1, BEGIN, RB_F32);
    scale_row(o, o, t.d_v, s_div(s_const(1.0), l));
}

static int64_t own_bytes_both(const rb_call *c)
{
    const int64_t combining = splits_planned(c) * (int64_t)sizeof(f32), attending = own_bytes(c);
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

/* ---- issued bytes ---- */

/* As tile_rows of n keys. */
static rb_issued rows_issued(const rb_call *c, int arg, int64_t n)
{
    const rb_view *v = &c->t[arg];
    rb_issued sum = { 0 };
    if (v->buffer && v->dtype != RB_F32 && !reads_in_place(c))
        issue(&sum, n, row_loads(v->dtype, v->n[3]), f32_bytes(v->n[3]));
    return sum;
}

/* Keys key .. key+n-1 decoded, laid across and met by every block of the unit. */
static rb_issued tile_issued(const rb_call *c, const unit *u, const tile *t, int64_t key, int64_t n)
{
    const int64_t rows = u->n_token * heads_per_group(c), most = block_rows(rows);
    rb_issued sum = { 0 };
    issue_part(&sum, 1, rows_issued(c, K, n));
    issue_part(&sum, 1, rows_issued(c, K2, n));
    issue_part(&sum, !v_in_k(c), rows_issued(c, V, n));
    issue(&sum, t->how == ACROSS ? n : 0, f32_bytes(t->d1 + t->d2), f32_bytes(t->d1 + t->d2));
    for (int64_t row = 0; row < rows; row += most) {
        block b = { .rows = at_most(rows - row, most) };
        look(c, u, row, key, n, &b);
        if (b.seen[b.rows - 1] > 0)
            issue_part(&sum, 1, block_issued(t, &b));
    }
    return sum;
}

/* As attend_unit. Tiles that every row sees as a whole are alike but for the first. */
static rb_issued unit_issued(const rb_call *c, const unit *u)
{
    const int64_t heads = heads_per_group(c), d = columns_qk(c), d_v = c->t[V].n[3];
    const int64_t common = at_most(keys_seen(c, u->seq, u->token), u->key_end);
    tile t = tile_for(c);
    rb_issued sum = { 0 };
    for (int64_t i = 0; i < u->n_token; i++)
        if (keys_seen(c, u->seq, u->token + i) > u->key)
            issue(&sum, heads, f32_bytes(d), f32_bytes(d));
    for (int64_t key = u->key, alike; key < u->key_end; key += alike * TILE) {
        const int64_t n = at_most(u->key_end - key, TILE);
        t.fresh = key == u->key;
        alike = t.fresh || common - key < TILE ? 1 : (common - key) / TILE;
        issue_part(&sum, alike, tile_issued(c, u, &t, key, n));
    }
    if (!splits_keys(c))
        issue(&sum, u->n_token * heads, f32_bytes(1 + d_v), f32_bytes(d_v));
    return sum;
}

/* As combine, of a row in so many parts. */
static rb_issued combine_issued(const rb_call *c, int64_t parts)
{
    const tile t = { .d_v = c->t[V].n[3], .how = DECODED };
    rb_issued sum = values_issued(&t, parts, 1, BEGIN);
    issue(&sum, parts, f32_bytes(3), f32_bytes(1));
    issue(&sum, 1, f32_bytes(t.d_v), f32_bytes(t.d_v));
    return sum;
}

/* Groups of heads are alike, and heads: of units those of the first group tell of all. */
static rb_issued issued(const rb_call *c)
{
    const rb_view *q = &c->t[Q];
    const int64_t splits = max_splits(c), of_groups = n_groups(c) * splits, n = units(c, 0);
    rb_issued sum = { 0 };
    for (int64_t i = 0; i < n / n_groups(c); i++) {
        const unit u = unit_at(c, i / splits * of_groups + i % splits);
        if (u.key < u.key_end)
            issue_part(&sum, n_groups(c), unit_issued(c, &u));
    }
    for (int64_t i = 0; splits_keys(c) && i < q->n[0] * q->n[1]; i++)
        issue_part(&sum, q->n[2], combine_issued(c, n_splits(c, i / q->n[1], i % q->n[1])));
    return sum;
}

static const rb_kernel rows[] = { {
    .op = &rb_attend_op,
    .isa = RB_ISA_ID,
    .dtype = RB_NO_DTYPE,
    .n_phase = 2,
    .units = units,
    .run = run,
    .shared_bytes = shared_bytes,
    .partials = true,
    .own_bytes = own_bytes_both,
    .issued = issued,
    .extra = rb_attend_extra,
    .extra_what = "scaling q and o, rescaling sums of online softmax",
    .saved = rb_attend_saved,
    .special_overhead = rb_attend_special_overhead,
    .decode = { { K, rb_attend_k_elements },
                { K2, rb_attend_k2_elements },
                { V, rb_attend_v_elements } },
} };
RB_EXPORT(attend, rows);
