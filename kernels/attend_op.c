/* The contract of attend: operands, dims, FLOPs (COUNTING section 2), and the closed forms of what
 * an online softmax over key tiles does beyond them. S counts visible (query, key) pairs of one
 * head. Read next: attend.c. */
#include "attend.h"

static const char *check(const rb_call *c)
{
    const rb_view *q = &c->t[Q], *o = &c->t[O], *k = &c->t[K], *k2 = &c->t[K2], *v = &c->t[V];
    const rb_view *q2 = &c->t[Q2];
    const int64_t groups = n_groups(c);
    if (k->n[0] != q->n[0] || v->n[0] != q->n[0] || (k2->buffer && k2->n[0] != q->n[0]))
        return "q, K and V differ in sequences";
    if (q2->buffer && (!k2->buffer || q2->n[3] != k2->n[3] || q2->n[0] != q->n[0] ||
                       q2->n[1] != q->n[1] || q2->n[2] != q->n[2]))
        return "q2 does not have q's rows and k2's columns";
    if (q->n[3] != (q2->buffer ? k->n[3] : columns_qk(c)))
        return "q is not as wide as K's segments together, or as k where there is q2";
    if (o->n[0] != q->n[0] || o->n[1] != q->n[1] || o->n[2] != q->n[2] || o->n[3] != v->n[3])
        return "o does not have q's rows and v's columns";
    if (q->n[2] % groups || groups % k->n[2] || groups % v->n[2] ||
        (k2->buffer && groups % k2->n[2]))
        return "heads of q, K and V do not divide";
    for (int64_t s = 0; s < q->n[0]; s++) {
        const int64_t seen = keys_seen(c, s, q->n[1] - 1);
        if (c->past[s] < 0 || seen > k->n[1] || seen > v->n[1] || (k2->buffer && seen > k2->n[1]))
            return "the cache is shorter than the keys that the queries see";
    }
    return NULL;
}

/* Sum over query tokens of f(sequence, token). */
static int64_t over_tokens(const rb_call *c, int64_t (*f)(const rb_call *c, int64_t s, int64_t t))
{
    int64_t sum = 0;
    for (int64_t s = 0; s < c->t[Q].n[0]; s++)
        for (int64_t t = 0; t < c->t[Q].n[1]; t++)
            sum += f(c, s, t);
    return sum;
}

/* n keys of every token: n p + n (n + 1) / 2 a sequence. */
static int64_t pairs(const rb_call *c)
{
    const int64_t n = c->t[Q].n[1];
    int64_t sum = 0;
    for (int64_t s = 0; s < c->t[Q].n[0]; s++)
        sum += n * c->past[s] + n * (n + 1) / 2;
    return sum;
}

static int64_t tokens(const rb_call *c)
{
    return c->t[Q].n[0] * c->t[Q].n[1];
}

/* Each tile after the first of its split rescales what came before. */
static int64_t rescales_of(const rb_call *c, int64_t s, int64_t t)
{
    return (keys_seen(c, s, t) + TILE - 1) / TILE - n_splits(c, s, t);
}

static int64_t rescales(const rb_call *c)
{
    return over_tokens(c, rescales_of);
}

static int64_t parts(const rb_call *c)
{
    return over_tokens(c, n_splits);
}

static int64_t combines(const rb_call *c)
{
    return splits_keys(c) ? parts(c) : 0;
}

/* Elements of V that are decoded in their own right: none where K's are the same. */
static int64_t v_columns_decoded(const rb_call *c)
{
    return v_in_k(c) ? 0 : c->t[V].n[3];
}

/* Keys that the work units of one group decode: a tile of tokens goes as far as its last token. */
static int64_t keys_decoded(const rb_call *c)
{
    int64_t sum = 0;
    for (int64_t s = 0; s < c->t[Q].n[0]; s++)
        for (int64_t t = 0; t < c->t[Q].n[1]; t += tile_tokens(c)) {
            const int64_t end = t + tile_tokens(c);
            sum += keys_seen(c, s, (end < c->t[Q].n[1] ? end : c->t[Q].n[1]) - 1);
        }
    return sum;
}

enum { H, D_QK, D_V, S, N, PARTS, RESCALES, COMBINES, GROUPS, KEYS, D_K1, D_K2, D_V1 };

/* 2 d_qk H S, softmax H (5 S + n): scale, -max, exp, sum, times 1/sum; 1/sum once; 2 d_v H S */
static const rb_term flops[] = {
    { 2, { D_QK, H, S } }, { 5, { H, S, -1 } }, { 1, { H, N, -1 } }, { 2, { D_V, H, S } }, { 0 },
};
static const rb_term special[] = { { 1, { H, S, -1 } }, { 1, { H, N, -1 } }, { 0 } };

/* Scale q once a part and normalise o, instead of each score; rescale: -, exp, 2 for l, acc;
 * combine: -, exp, 2 for l, 2 for acc. */
const rb_term rb_attend_extra[] = {
    { 1, { H, PARTS, D_QK } },
    { 1, { H, N, D_V } },
    { 4, { H, RESCALES, -1 } },
    { 1, { H, RESCALES, D_V } },
    { 4, { H, COMBINES, -1 } },
    { 2, { H, COMBINES, D_V } },
    { 0 },
};
const rb_term rb_attend_saved[] = { { 2, { H, S, -1 } }, { 0 } };
const rb_term rb_attend_special_overhead[] = {
    { 1, { H, RESCALES, -1 } },
    { 1, { H, COMBINES, -1 } },
    { 0 },
};
const rb_term rb_attend_k_elements[] = { { 1, { GROUPS, KEYS, D_K1 } }, { 0 } };
const rb_term rb_attend_k2_elements[] = { { 1, { GROUPS, KEYS, D_K2 } }, { 0 } };
const rb_term rb_attend_v_elements[] = { { 1, { GROUPS, KEYS, D_V1 } }, { 0 } };

const rb_op rb_attend_op = {
    .id = RB_OP_ATTEND,
    .name = "attend",
    .arg = { { "o", 'w', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "q", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "k", 'r', RB_ROWS_SEEN, -1, RB_IS_KV | RB_IS_ACT, RB_CACHED },
             { "k2", 'r', RB_ROWS_SEEN, -1, RB_IS_KV | RB_IS_ACT, RB_OPTIONAL | RB_CACHED },
             { "v", 'r', RB_ROWS_SEEN, -1, RB_IS_KV | RB_IS_ACT, RB_CACHED },
             { "q2", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, RB_OPTIONAL } },
    .token_arg = Q,
    .key_arg = -1,
    .dim = { { "H", Q, 2, NULL },
             { "d_qk", Q, 3, columns_qk },
             { "d_v", V, 3, NULL },
             { "S", Q, 0, pairs },
             { "n", Q, 0, tokens },
             { "parts", Q, 0, parts },
             { "rescales", Q, 0, rescales },
             { "combines", Q, 0, combines },
             { "G", Q, 0, n_groups },
             { "keys", Q, 0, keys_decoded },
             { "d_k1", K, 3, NULL },
             { "d_k2", K2, 3, NULL },
             { "d_v1", V, 3, v_columns_decoded } },
    .flops = flops,
    .special = special,
    .check = check,
};
