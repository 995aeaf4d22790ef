/* Random valid problems, one maker per op. Sizes are drawn around what kernels branch on: lanes,
 * register tiles, panels, key tiles and splits. Rows are sometimes padded and operands offset, so
 * that steps matter. Refuses nothing: every case it makes must run. Read next: prove.c. */
#include "cases.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* splitmix64 (Steele, Lea & Flood 2014) */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

uint64_t rb_random_below(uint64_t *state, uint64_t n)
{
    return next_random(state) % n;
}

typedef struct maker {
    rb_case *c;
    const rb_kernel *k;
    rb_fill fill;
    uint64_t seed, types; /* types: what digit() has left of the seed */
    rb_error *err;
} maker;

static int64_t pick(maker *m, const int64_t *from, size_t n)
{
    return from[rb_random_below(&m->seed, n)];
}
#define PICK(m, ...)                                                                               \
    pick(m, (const int64_t[]){ __VA_ARGS__ }, sizeof(const int64_t[]){ __VA_ARGS__ } / 8)

static bool chance(maker *m, uint64_t one_in)
{
    return rb_random_below(&m->seed, one_in) == 0;
}

/* ---- dtypes of operands that are not the row's key: digits of the seed, so that as many seeds in
 * a row as rb_case_combinations says bring up every combination ---- */

static uint64_t digit(maker *m, uint64_t base)
{
    const uint64_t d = m->types % base;
    m->types /= base;
    return d;
}

static const rb_dtype cached[] = { RB_F32, RB_F16, RB_BF16, RB_Q8_0, RB_Q4_0 };
enum { N_CACHED = sizeof cached / sizeof *cached };

/* Types of the n pieces of a cache, RB_NO_DTYPE for an absent one, which only those may be whose
 * bit of `optional` is set. Half of the seeds have all of one type. */
static void cached_types(maker *m, rb_dtype *type, int n, unsigned optional)
{
    const bool alike = digit(m, 2);
    const rb_dtype all = cached[m->types % N_CACHED];
    for (int i = 0; i < n; i++) {
        const bool may_miss = optional >> i & 1;
        const uint64_t d = digit(m, N_CACHED + may_miss);
        type[i] = d == N_CACHED ? RB_NO_DTYPE : alike ? all : cached[d];
    }
}

int rb_case_combinations(const rb_kernel *k)
{
    switch (k->op->id) {
    case RB_OP_ATTEND:
        return 2 * N_CACHED * (N_CACHED + 1) * N_CACHED;
    case RB_OP_KV_STORE:
        return 2 * N_CACHED * (N_CACHED + 1) * (N_CACHED + 1);
    case RB_OP_MATMUL_HEADS:
        return N_CACHED + 1;
    default:
        return 1;
    }
}

/* ---- makers ---- */

/* A column count that the dtype's blocks divide; of a packed layout, of one row. */
static int64_t columns(maker *m, rb_dtype dtype)
{
    const rb_dtype_info *info = rb_dtype_get(dtype);
    const int64_t block = info->block / info->panel_rows;
    if (block == 256)
        return 256 * PICK(m, 1, 2);
    if (block == 32)
        return 32 * PICK(m, 1, 2, 3, 5);
    return block * PICK(m, 1, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100);
}

static float value(maker *m)
{
    const double u = (double)(next_random(&m->seed) >> 11) * 0x1p-53 * 2.0 - 1.0;
    if (m->fill == RB_FILL_EXTREME) {
        static const float extreme[] = { 0.0f, -0.0f, 1.0f, -1.0f, 30.0f, -30.0f, 1e-3f, -1e-3f };
        return extreme[rb_random_below(&m->seed, 8)];
    }
    if (m->fill == RB_FILL_DENORMAL)
        return (float)u * (chance(m, 2) ? FLT_MIN : 1.0f);
    return (float)u;
}

static void fill_view(maker *m, const rb_view *v)
{
    enum { MOST = 1 << 16 }; /* a packed panel of the widest matrix, an expert of q6_K */
    float row[MOST];
    for (int64_t s = 0; s < v->n[0]; s++)
        for (int64_t t = 0; t < v->n[1]; t++)
            for (int64_t h = 0; h < v->n[2]; h++) {
                for (int64_t i = 0; i < v->n[3]; i++)
                    row[i] = value(m);
                rb_encode_row(v->dtype, rb_at(v, s, t, h), row, v->n[3]);
            }
}

/* Operand a as n0 x n1 x n2 x n3 in a buffer of its own, rows sometimes padded, filled. */
static rb_status operand(maker *m, int a, rb_dtype dtype, rb_stream stream, int64_t n0, int64_t n1,
                         int64_t n2, int64_t n3)
{
    const int64_t unit = rb_dtype_get(dtype)->block_bytes;
    const int64_t row = rb_row_bytes(dtype, n3) + (chance(m, 2) ? unit : 0);
    const int64_t offset = chance(m, 2) ? 3 * unit : 0;
    rb_buffer *b = &m->c->buffer[a];
    rb_buffer_free(b); /* of an operand that is made again */
    const rb_status status =
        rb_buffer_alloc(b, (size_t)(offset + n0 * n1 * n2 * row + unit), false, m->err);
    if (status != RB_OK)
        return status;
    memset(b->data, 0x7f, b->bytes); /* poison: NaN where a kernel should not look */
    rb_view v = rb_view_dense(b, dtype, stream, offset, n0, n1, n2, n3);
    v.step_bytes[2] = row;
    v.step_bytes[1] = row * n2;
    v.step_bytes[0] = row * n2 * n1;
    m->c->call.t[a] = v;
    if (stream != RB_CTRL)
        fill_view(m, &v);
    return RB_OK;
}

static void fill_indices(maker *m, int a, int64_t below)
{
    const rb_view *v = &m->c->call.t[a];
    for (int64_t i = 0; i < v->n[3]; i++)
        ((int32_t *)rb_at(v, 0, 0, 0))[i] = (int32_t)rb_random_below(&m->seed, (uint64_t)below);
}

#define TRY(call)                                                                                  \
    do {                                                                                           \
        const rb_status status_ = (call);                                                          \
        if (status_ != RB_OK)                                                                      \
            return status_;                                                                        \
    } while (0)

static rb_status make_embed(maker *m)
{
    const rb_dtype dtype = m->k->dtype;
    const int64_t n = PICK(m, 1, 2, 5, 40), h = columns(m, dtype), vocab = PICK(m, 1, 7, 100);
    TRY(operand(m, 0, RB_F32, RB_ACT, 1, n, 1, h));
    TRY(operand(m, 1, dtype, RB_WEIGHT, 1, 1, vocab, h));
    TRY(operand(m, 2, RB_I32, RB_CTRL, 1, 1, 1, n));
    fill_indices(m, 2, vocab);
    return RB_OK;
}

static rb_status make_rmsnorm(maker *m)
{
    const int64_t s = PICK(m, 1, 2), t = PICK(m, 1, 3), h = PICK(m, 1, 4), d = columns(m, RB_F32);
    m->c->call.p.eps = 1e-5f;
    TRY(operand(m, 0, RB_F32, RB_ACT, s, t, h, d));
    TRY(operand(m, 1, RB_F32, RB_ACT, s, t, h, d));
    TRY(operand(m, 2, RB_F32, RB_WEIGHT, 1, 1, 1, d));
    if (chance(m, 3))
        m->c->call.t[0] = m->c->call.t[1]; /* in place */
    return RB_OK;
}

static rb_status make_layernorm(maker *m)
{
    const int64_t s = PICK(m, 1, 2), t = PICK(m, 1, 3), d = columns(m, RB_F32);
    m->c->call.p.eps = 1e-5f;
    TRY(operand(m, 0, RB_F32, RB_ACT, s, t, 1, d));
    TRY(operand(m, 1, RB_F32, RB_ACT, s, t, 1, d));
    TRY(operand(m, 2, RB_F32, RB_WEIGHT, 1, 1, 1, d));
    TRY(operand(m, 3, RB_F32, RB_WEIGHT, 1, 1, 1, d));
    if (chance(m, 3))
        m->c->call.t[0] = m->c->call.t[1]; /* in place */
    return RB_OK;
}

static rb_status make_matmul(maker *m)
{
    const rb_dtype dtype = m->k->dtype;
    const bool blas = m->k->isa == RB_ISA_BLAS;
    const int64_t panel = rb_dtype_get(dtype)->panel_rows;
    const int64_t s = blas ? 1 : PICK(m, 1, 2);
    /* integer rows quantise x in spans of 16 blocks */
    const int64_t block = rb_dtype_get(dtype)->block / panel;
    const int64_t k = m->k->act == RB_ACT_I8 && block == 32 ? 32 * PICK(m, 1, 3, 15, 16, 17, 33)
                      : panel > 1 && chance(m, 4)           ? 1024 + block * (block < 32 ? 3 : 1)
                                                            : columns(m, dtype);
    const int64_t t = blas            ? PICK(m, 32, 50)
                      : m->k->accepts ? PICK(m, 1, 2)
                                      : PICK(m, 1, 2, 4, 5, 7, 13, 29);
    const int n_out = (int)PICK(m, 1, 2, 3);
    TRY(operand(m, 0, RB_F32, RB_ACT, s, t, 1, k));
    for (int i = 0; i < n_out; i++) {
        const int64_t rows = blas        ? PICK(m, 32, 33, 64)
                             : panel > 1 ? panel * PICK(m, 1, 1, 2, 3, 9)
                                         : PICK(m, 1, 3, 4, 15, 16, 17, 37);
        TRY(operand(m, 1 + 3 * i, RB_F32, RB_ACT, s, t, 1, rows));
        TRY(operand(m, 2 + 3 * i, dtype, RB_WEIGHT, 1, 1, rows / panel, k * panel));
        if (!blas && chance(m, 2))
            TRY(operand(m, 3 + 3 * i, RB_F32, RB_WEIGHT, 1, 1, 1, rows));
    }
    return RB_OK;
}

/* By heads; two outputs may be parts of one tensor, x of a cache, shared, or columns of wider rows.
 */
static rb_status make_matmul_heads(maker *m)
{
    const rb_dtype dtype = m->k->dtype;
    const int64_t s = PICK(m, 1, 2), t = PICK(m, 1, 1, 2, 5, 7, 13, 29), h = PICK(m, 1, 2, 3);
    const int64_t n_out = PICK(m, 1, 2);
    const uint64_t from = digit(m, N_CACHED + 1); /* a cache of some type, or an activation */
    const rb_dtype x_type = from < N_CACHED ? cached[from] : RB_F32;
    const int64_t block = rb_dtype_get(dtype)->block;
    bool transposed[2], any = false;
    for (int i = 0; i < n_out; i++) {
        transposed[i] = chance(m, 2);
        any |= !transposed[i];
        m->c->call.p.transposed |= (uint32_t)transposed[i] << i;
    }
    /* x is as wide as rows of w are, where any lies [out][in] */
    const int64_t k = any || rb_dtype_get(x_type)->block > 1
                          ? columns(m, block > 1 ? dtype : x_type)
                          : PICK(m, 1, 3, 16, 33);
    TRY(operand(m, 0, x_type, from < N_CACHED ? RB_KV : RB_ACT, s, t, chance(m, 2) ? 1 : h, k));
    for (int i = 0; i < n_out; i++) {
        const int64_t out = transposed[i]
                                ? block > 1 ? block * PICK(m, 1, 2) : PICK(m, 1, 17, 31, 100, 150)
                                : PICK(m, 1, 3, 4, 16, 17, 37);
        TRY(operand(m, 1 + 2 * i, RB_F32, RB_ACT, s, t, h, out));
        TRY(operand(m, 2 + 2 * i, dtype, RB_WEIGHT, 1, h, transposed[i] ? k : out,
                    transposed[i] ? out : k));
    }
    return RB_OK;
}

/* BLAS wants dense tokens: take the padding out again. */
static void make_dense(rb_view *v)
{
    if (v->buffer)
        *v = rb_view_dense(v->buffer, v->dtype, v->stream, v->offset_bytes, v->n[0], v->n[1],
                           v->n[2], v->n[3]);
}

static rb_status make_rope(maker *m)
{
    const int64_t s = PICK(m, 1, 2), t = PICK(m, 1, 2, 5), d = 2 * PICK(m, 1, 2, 4, 6, 9, 16, 33);
    const int64_t rows = PICK(m, 1, 9, 40);
    m->c->call.p.pairing = chance(m, 2) ? RB_ROPE_NORM : RB_ROPE_NEOX;
    TRY(operand(m, 0, RB_F32, RB_ACT, s, t, PICK(m, 1, 3), d));
    if (chance(m, 2))
        TRY(operand(m, 1, RB_F32, RB_ACT, s, t, PICK(m, 1, 2), d));
    TRY(operand(m, 2, RB_F32, RB_ACT, 1, 1, rows, d));
    TRY(operand(m, 3, RB_I32, RB_CTRL, 1, 1, 1, s * t));
    fill_indices(m, 3, rows);
    return RB_OK;
}

static void make_past(maker *m, int64_t n_seq, int64_t most)
{
    for (int64_t s = 0; s < n_seq; s++)
        m->c->past[s] = (int64_t)rb_random_below(&m->seed, (uint64_t)most + 1);
    m->c->call.past = m->c->past;
}

static rb_status make_kv_store(maker *m)
{
    const int64_t s = PICK(m, 1, 3), t = PICK(m, 1, 2, 5), past = PICK(m, 0, 1, 9);
    const int64_t room = past + t + PICK(m, 0, 2);
    rb_dtype type[3];
    cached_types(m, type, 3, 6);
    for (int i = 0; i < 3; i++) {
        if (type[i] == RB_NO_DTYPE)
            continue;
        const int64_t heads = PICK(m, 1, 2, 3), d = columns(m, type[i]);
        TRY(operand(m, 2 * i, type[i], RB_KV, s, room, heads, d));
        TRY(operand(m, 2 * i + 1, RB_F32, RB_ACT, s, t, chance(m, 3) ? 1 : heads, d));
    }
    /* two pieces side by side in the rows of one cache */
    rb_view *to = &m->c->call.t[0], *wide = &m->c->call.t[2];
    const int64_t block = rb_dtype_get(type[0])->block;
    if (type[1] == type[0] && to->n[3] > block && chance(m, 2)) {
        const int64_t left = to->n[3] / block / 2 * block, heads = to->n[2];
        TRY(operand(m, 3, RB_F32, RB_ACT, s, t, 1, to->n[3] - left));
        TRY(operand(m, 1, RB_F32, RB_ACT, s, t, heads, left));
        *wide = rb_view_slice(*to, 3, left, to->n[3] - left);
        *to = rb_view_slice(*to, 3, 0, left);
    }
    make_past(m, s, past);
    return RB_OK;
}

/* Heads and columns of K, K2 and V. */
typedef struct attend_shape {
    rb_dtype k, k2, val;
    int64_t groups, heads, g_k, g_k2, g_v, d1, d2, d_v;
} attend_shape;

static attend_shape make_attend_shape(maker *m)
{
    rb_dtype type[3];
    cached_types(m, type, 3, 2);
    attend_shape a = { .k = type[0], .k2 = type[1], .val = type[2], .groups = PICK(m, 1, 2, 4) };
    a.heads = a.groups * (a.groups == 1 ? PICK(m, 1, 3, 4, 6, 7, 8, 9, 40) : PICK(m, 1, 2, 3, 4));
    a.g_k = chance(m, 3) ? 1 : a.groups;
    a.g_v = a.g_k == a.groups && chance(m, 3) ? 1 : a.groups;
    a.g_k2 = chance(m, 2) ? a.groups : 1;
    a.d1 = columns(m, a.k);
    a.d_v = columns(m, a.val);
    if (a.k2 != RB_NO_DTYPE)
        a.d2 = rb_dtype_get(a.k2)->block > 1 ? 32 * PICK(m, 1, 2) : PICK(m, 1, 4, 16, 20);
    return a;
}

static rb_status make_attend(maker *m)
{
    const int64_t s = PICK(m, 1, 2), t = PICK(m, 1, 1, 2, 5, 15, 16, 17, 35);
    const int64_t past = PICK(m, 0, 1, 9, 70, 127, 128, 300);
    const int64_t room = past + t + PICK(m, 0, 2);
    attend_shape a = make_attend_shape(m);
    const bool same_kv = a.k == a.val, absorbed = same_kv && chance(m, 4);
    if (absorbed) { /* one latent head, which is V as well, and one of positions */
        a.g_k = a.g_k2 = a.g_v = a.groups = 1;
        a.d_v = a.d1;
    }
    const bool two = a.d2 > 0 && chance(m, 2);
    m->c->call.p.scale = 1.0f / sqrtf((float)(a.d1 + a.d2));
    TRY(operand(m, 0, RB_F32, RB_ACT, s, t, a.heads, a.d_v));
    TRY(operand(m, 1, RB_F32, RB_ACT, s, t, a.heads, two ? a.d1 : a.d1 + a.d2));
    if (two)
        TRY(operand(m, 5, RB_F32, RB_ACT, s, t, a.heads, a.d2));
    /* f32 may be what a launch has expanded of a cache */
    const rb_stream stream = a.k == RB_F32 && same_kv && chance(m, 2) ? RB_ACT : RB_KV;
    TRY(operand(m, 2, a.k, stream, s, room, a.g_k, a.d1));
    if (a.d2 > 0)
        TRY(operand(m, 3, a.k2, RB_KV, s, room, a.g_k2, a.d2));
    TRY(operand(m, 4, a.val, stream, s, room, a.g_v, a.d_v));
    /* V inside K's rows, or K itself */
    if (absorbed || (same_kv && a.d_v <= a.d1 && a.g_k == a.g_v && chance(m, 2))) {
        m->c->call.t[4] = m->c->call.t[2];
        m->c->call.t[4].n[3] = a.d_v;
    }
    make_past(m, s, past);
    if (chance(m, 2))
        m->c->past[0] = past; /* the deepest, or depth would be rare */
    return RB_OK;
}

static rb_status make_rows(maker *m, int n_operand)
{
    const int64_t t = PICK(m, 1, 2, 5), d = PICK(m, 1, 7, 16, 33, 511, 512, 513, 1100);
    for (int i = 0; i < n_operand; i++)
        TRY(operand(m, i, RB_F32, RB_ACT, 1, t, 1, d));
    return RB_OK;
}

/* The activations: y may be x. */
static rb_status make_act(maker *m)
{
    TRY(make_rows(m, 2));
    if (chance(m, 3))
        m->c->call.t[0] = m->c->call.t[1];
    return RB_OK;
}

static rb_status make_route(maker *m)
{
    const int64_t n = PICK(m, 1, 2, 5), e = PICK(m, 1, 2, 6, 8, 17, 64),
                  k = 1 + e / PICK(m, 2, 5, 9);
    m->c->call.p = (rb_param){ .gating = chance(m, 2) ? RB_GATING_SOFTMAX : RB_GATING_SIGMOID,
                               .renorm = chance(m, 2),
                               .scale = chance(m, 2) ? 1.0f : 2.5f };
    TRY(operand(m, 0, RB_I32, RB_CTRL, 1, n, 1, k < e ? k : e));
    TRY(operand(m, 1, RB_F32, RB_ACT, 1, n, 1, k < e ? k : e));
    TRY(operand(m, 2, RB_F32, RB_ACT, 1, n, 1, e));
    if (chance(m, 2))
        TRY(operand(m, 3, RB_F32, RB_WEIGHT, 1, 1, 1, e));
    return RB_OK;
}

/* A type of the file's own, whose blocks divide so many columns. */
static rb_dtype file_dtype(maker *m, int64_t cols)
{
    rb_dtype dtype;
    do
        dtype = (rb_dtype)rb_random_below(&m->seed, RB_I32);
    while (cols % rb_dtype_get(dtype)->block);
    return dtype;
}

/* k different experts a token; now and then the same for all, so that others have none. */
static void fill_experts(maker *m, const rb_view *id, int64_t n_expert)
{
    const bool same = chance(m, 3);
    for (int64_t t = 0; t < id->n[1]; t++) {
        int32_t *at = (int32_t *)rb_at(id, 0, t, 0);
        const int64_t first = same ? 0 : (int64_t)rb_random_below(&m->seed, (uint64_t)n_expert);
        for (int64_t j = 0; j < id->n[3]; j++)
            at[j] = (int32_t)((first + j) % n_expert);
    }
}

static rb_status make_routed(maker *m, int64_t n, int64_t h, int64_t f)
{
    const int64_t e = PICK(m, 1, 3, 8), k = e == 1 ? 1 : PICK(m, 1, 2, e);
    const rb_dtype type = file_dtype(m, h);
    rb_view *t = m->c->call.t;
    if (chance(m, 3)) { /* gate and up in one stack */
        TRY(operand(m, 2, type, RB_WEIGHT, 1, 1, e, 2 * f * h));
        t[3] = rb_view_slice(t[2], 3, f * h, f * h);
        t[2] = rb_view_slice(t[2], 3, 0, f * h);
    } else {
        TRY(operand(m, 2, type, RB_WEIGHT, 1, 1, e, f * h));
        TRY(operand(m, 3, file_dtype(m, h), RB_WEIGHT, 1, 1, e, f * h));
    }
    TRY(operand(m, 4, file_dtype(m, f), RB_WEIGHT, 1, 1, e, h * f));
    TRY(operand(m, 6, RB_F32, RB_ACT, 1, n, 1, k));
    TRY(rb_buffer_alloc(&m->c->buffer[5], (size_t)(n * k) * sizeof(int32_t), false, m->err));
    t[5] = rb_view_dense(&m->c->buffer[5], RB_I32, RB_CTRL, 0, 1, n, 1, k);
    fill_experts(m, &t[5], e);
    return RB_OK;
}

/* Matrices of the shared expert lie dense. */
static rb_status matrix(maker *m, int a, rb_dtype dtype, int64_t rows, int64_t cols)
{
    TRY(operand(m, a, dtype, RB_WEIGHT, 1, 1, rows, cols));
    make_dense(&m->c->call.t[a]);
    fill_view(m, &m->c->call.t[a]);
    return RB_OK;
}

static rb_status make_experts(maker *m)
{
    const int64_t n = PICK(m, 1, 1, 2, 5, 40), part = PICK(m, 0, 1, 2); /* routed, shared, both */
    const int64_t h = n > 5 ? PICK(m, 7, 33, 64) : PICK(m, 33, 64, 256);
    const int64_t f = PICK(m, 5, 16, 32, 96);
    const int64_t f_s = PICK(m, 3, 32, 64);
    TRY(operand(m, 0, RB_F32, RB_ACT, 1, n, 1, h));
    TRY(operand(m, 1, RB_F32, RB_ACT, 1, n, 1, h));
    if (part != 1)
        TRY(make_routed(m, n, h, f));
    if (part == 0)
        return RB_OK;
    TRY(matrix(m, 7, file_dtype(m, h), f_s, h));
    TRY(matrix(m, 8, file_dtype(m, h), f_s, h));
    TRY(matrix(m, 9, file_dtype(m, f_s), h, f_s));
    if (chance(m, 2))
        TRY(operand(m, 10, RB_F32, RB_WEIGHT, 1, 1, 1, h));
    return RB_OK;
}

static rb_status make_roof(maker *m, int n_operand, bool scalar_y)
{
    const int64_t t = PICK(m, 1, 2, 3), d = RB_ROOF_COLUMNS * PICK(m, 1, 2, 3);
    const bool phases = m->k->op->id == RB_OP_ROOF_LAUNCH && !m->k->accepts;
    m->c->call.p = (rb_param){ .scale = 0.75f,
                               .reps = phases          ? RB_ROOF_PHASES
                                       : m->k->accepts ? 1
                                                       : PICK(m, 1, 2, 4),
                               .streams = (int)PICK(m, 1, 2, 4),
                               .prefetch = chance(m, 2) };
    for (int i = 0; i < n_operand; i++)
        TRY(operand(m, i, RB_F32, RB_ACT, 1, t, 1, scalar_y && i == 0 ? 1 : d));
    return RB_OK;
}

static rb_status make(maker *m)
{
    switch (m->k->op->id) {
    case RB_OP_EMBED:
        return make_embed(m);
    case RB_OP_RMSNORM:
        return make_rmsnorm(m);
    case RB_OP_MATMUL:
        return make_matmul(m);
    case RB_OP_LAYERNORM:
        return make_layernorm(m);
    case RB_OP_RELU2:
    case RB_OP_GELU:
    case RB_OP_GELU_ERF:
        return make_act(m);
    case RB_OP_ROUTE:
        return make_route(m);
    case RB_OP_EXPERTS:
        return make_experts(m);
    case RB_OP_MATMUL_HEADS:
        return make_matmul_heads(m);
    case RB_OP_ROPE:
        return make_rope(m);
    case RB_OP_KV_STORE:
        return make_kv_store(m);
    case RB_OP_ATTEND:
        return make_attend(m);
    case RB_OP_SILU_GATE:
    case RB_OP_SIGMOID_GATE:
        return make_rows(m, 3);
    case RB_OP_ADD:
        return make_rows(m, 2);
    case RB_OP_ROOF_FMA:
    case RB_OP_ROOF_DOT_I8:
    case RB_OP_ROOF_DOT_BF16:
    case RB_OP_ROOF_EXP:
        return make_roof(m, 1, false);
    case RB_OP_ROOF_READ:
        return make_roof(m, 2, true);
    case RB_OP_ROOF_COPY:
        return make_roof(m, 2, false);
    case RB_OP_ROOF_TRIAD:
        return make_roof(m, 3, false);
    case RB_OP_ROOF_LAUNCH:
        return make_roof(m, 1, true);
    case RB_OP_OWN:
    case RB_N_OP:
        break;
    }
    return rb_fail(m->err, RB_ERR_UNSUPPORTED, "no case maker for op %s", m->k->op->name);
}

rb_status rb_case_make(rb_case *c, const rb_kernel *k, rb_fill fill, uint64_t seed, rb_error *err)
{
    memset(c, 0, sizeof *c);
    maker m = { .c = c, .k = k, .fill = fill, .seed = seed, .types = seed, .err = err };
    const rb_status status = make(&m);
    if (status == RB_OK && k->isa == RB_ISA_BLAS)
        for (int a = 0; a < RB_MAX_ARG; a++)
            make_dense(&c->call.t[a]);
    if (status == RB_OK && k->isa == RB_ISA_BLAS)
        for (int a = 0; a < RB_MAX_ARG; a++)
            if (c->call.t[a].buffer && c->call.t[a].stream != RB_CTRL)
                fill_view(&m, &c->call.t[a]);
    if (status != RB_OK)
        rb_case_free(c);
    return status;
}

void rb_case_free(rb_case *c)
{
    for (int a = 0; a < RB_MAX_ARG; a++)
        rb_buffer_free(&c->buffer[a]);
    memset(c, 0, sizeof *c);
}
