/* Problems of given extents, one maker per op: a maker says what operands there are and how large,
 * the table what its extents are called. Refuses the ops that measure roofs.
 * Read next: shaped_fill.c (memory and values), cases.c (random problems). */
#include "shaped.h"

#include <math.h>

#include "launch.h"

typedef struct maker {
    rb_shaped *p;
    rb_dtype type;
    const int64_t *e; /* extents */
    rb_status status; /* of the first thing that went wrong */
    rb_error *err;
} maker;

typedef struct shaped_op {
    rb_op_id op;
    rb_extent extent[RB_MAX_EXTENT + 1];
    void (*make)(maker *m);
} shaped_op;

#define REFUSE(m, ...) ((m)->status = rb_fail((m)->err, RB_ERR_ARGUMENT, __VA_ARGS__))

/* ---- operands ---- */

/* Operand a, dense, in a buffer of its own. columns: the extent that its columns come from. */
static void put(maker *m, int a, rb_dtype dtype, rb_stream stream, int64_t n1, int64_t n2,
                int64_t n3, const char *columns)
{
    const rb_dtype_info *d = rb_dtype_get(dtype);
    int64_t rows, bytes;
    if (m->status != RB_OK)
        return;
    if (n3 % d->block) {
        REFUSE(m, "%s: blocks of %s are %d columns, a row of %lld has no whole number of them",
               columns, rb_dtype_get(d->base)->name, d->block / d->panel_rows,
               (long long)(n3 / d->panel_rows));
        return;
    }
    if (__builtin_mul_overflow(n1, n2, &rows) ||
        __builtin_mul_overflow(n3 / d->block, (int64_t)d->block_bytes, &bytes) ||
        __builtin_mul_overflow(rows, bytes, &bytes) || bytes > INT64_MAX / 4) {
        REFUSE(m, "operand %s would be larger than any memory", m->p->op->arg[a].name);
        return;
    }
    m->p->home[a] = a;
    m->p->size[a] = (rb_buffer){ NULL, (size_t)bytes };
    m->p->call.t[a] = rb_view_dense(&m->p->size[a], dtype, stream, 0, 1, n1, n2, n3);
}

static void put_act(maker *m, int a, int64_t n1, int64_t n2, int64_t n3)
{
    put(m, a, RB_F32, RB_ACT, n1, n2, n3, "");
}

/* Ids of rows of operand `of`, k for each of n tokens; sets turn by `turn` rows. */
static void put_ids(maker *m, int a, int64_t n, int64_t k, int64_t turn)
{
    put(m, a, RB_I32, RB_CTRL, n, 1, k, "");
    m->p->turn = turn;
}

/* ---- makers; enums name the extents in the order of the table below ---- */

static void make_matmul(maker *m)
{
    enum { M, K, T };
    const int64_t *e = m->e, panel = rb_dtype_get(m->type)->panel_rows;
    if (e[M] % panel) {
        REFUSE(m, "M: %s packs %lld rows, and %lld is no multiple of that",
               rb_dtype_get(m->type)->name, (long long)panel, (long long)e[M]);
        return;
    }
    put_act(m, 0, e[T], 1, e[K]);
    put_act(m, 1, e[T], 1, e[M]);
    put(m, 2, m->type, RB_WEIGHT, 1, e[M] / panel, e[K] * panel, "K");
}

static void make_matmul_heads(maker *m)
{
    enum { H, M, K, T, TR };
    const int64_t *e = m->e;
    put_act(m, 0, e[T], e[H], e[K]);
    put_act(m, 1, e[T], e[H], e[M]);
    put(m, 2, m->type, RB_WEIGHT, e[H], e[TR] ? e[K] : e[M], e[TR] ? e[M] : e[K],
        e[TR] ? "M" : "K");
    m->p->call.p.transposed = e[TR] != 0;
}

static void make_embed(maker *m)
{
    enum { T, H, V };
    const int64_t *e = m->e;
    put_act(m, 0, e[T], 1, e[H]);
    put(m, 1, m->type, RB_WEIGHT, 1, e[V], e[H], "H");
    put_ids(m, 2, 1, e[T], e[T]);
}

/* rmsnorm, and with b layernorm */
static void make_norm(maker *m)
{
    enum { T, H };
    const int64_t *e = m->e;
    put_act(m, 0, e[T], 1, e[H]);
    put_act(m, 1, e[T], 1, e[H]);
    put(m, 2, RB_F32, RB_WEIGHT, 1, 1, e[H], "H");
    if (m->p->op->arg[3].name)
        put(m, 3, RB_F32, RB_WEIGHT, 1, 1, e[H], "H");
    m->p->call.p.eps = 1e-5f;
}

static void make_rope(maker *m)
{
    enum { T, H, G, D, NEOX };
    const int64_t *e = m->e, context = 4096;
    if (e[D] % 2) {
        REFUSE(m, "D: pairs of columns are rotated, and %lld is odd", (long long)e[D]);
        return;
    }
    put_act(m, 0, e[T], e[H], e[D]);
    if (e[G])
        put_act(m, 1, e[T], e[G], e[D]);
    put_act(m, 2, 1, e[T] > context ? e[T] : context, e[D]);
    put_ids(m, 3, 1, e[T], e[T]);
    m->p->call.p.pairing = e[NEOX] ? RB_ROPE_NEOX : RB_ROPE_NORM;
}

/* Rows of a cache as the engine lays them out: heads outermost, each one's rows side by side. */
static void put_cache(maker *m, int i, int64_t n_rows, int64_t n_head, int64_t n_col,
                      const char *what)
{
    rb_view *v = &m->p->call.t[i];
    put(m, i, m->type, RB_KV, n_rows, n_head, n_col, what);
    v->step_bytes[1] = v->step_bytes[2];
    v->step_bytes[2] *= n_rows;
}

static void make_kv_store(maker *m)
{
    enum { T, G, D, S };
    const int64_t *e = m->e;
    for (int i = 0; i < 2; i++) { /* K and V */
        put_cache(m, 2 * i, e[S] + e[T], e[G], e[D], "D");
        put_act(m, 2 * i + 1, e[T], e[G], e[D]);
    }
    m->p->past = e[S];
}

static void make_attend(maker *m)
{
    enum { T, H, G, D, S, R, DV };
    enum { O, Q, K, K2, V };
    const int64_t *e = m->e, d_v = e[DV] ? e[DV] : e[D];
    rb_shaped *p = m->p;
    if (e[S] < e[T]) {
        REFUSE(m, "S: %lld keys are fewer than the %lld tokens among them", (long long)e[S],
               (long long)e[T]);
        return;
    }
    put_act(m, O, e[T], e[H], d_v);
    put_act(m, Q, e[T], e[H], e[D] + e[R]);
    put_cache(m, K, e[S], e[G], e[D], "D");
    if (e[R])
        put_cache(m, K2, e[S], 1, e[R], "R");
    put_cache(m, V, e[S], e[G], d_v, e[DV] ? "DV" : "D");
    /* latent attention: V lies in K's rows */
    if (m->status == RB_OK && e[R] && e[G] == 1 && d_v <= e[D]) {
        p->call.t[V] = p->call.t[K];
        p->call.t[V].n[3] = d_v;
        p->size[V] = (rb_buffer){ 0 };
        p->home[V] = K;
    }
    p->past = e[S] - e[T];
    p->call.p.scale = 1.0f / sqrtf((float)(e[D] + e[R]));
}

/* Ops over rows of T x n columns: all their operands have the same shape. */
static void make_rows(maker *m)
{
    enum { T, N };
    for (int a = 0; a < RB_MAX_ARG && m->p->op->arg[a].name; a++)
        put_act(m, a, m->e[T], 1, m->e[N]);
}

static void make_route(maker *m)
{
    enum { T, E, K_USED };
    const int64_t *e = m->e;
    put(m, 0, RB_I32, RB_CTRL, e[T], 1, e[K_USED], "");
    put_act(m, 1, e[T], 1, e[K_USED]);
    put_act(m, 2, e[T], 1, e[E]);
    m->p->call.p.scale = 1;
}

static void make_experts(maker *m)
{
    enum { T, H, F, E, K_USED };
    const int64_t *e = m->e;
    int64_t matrix; /* extents are below 2^31: no product of two overflows */
    put(m, 0, RB_F32, RB_ACT, e[T], 1, e[H], "H");
    put(m, 1, RB_F32, RB_ACT, e[T], 1, e[H], "H");
    matrix = e[F] * e[H];
    for (int a = 2; a <= 4; a++)
        put(m, a, m->type, RB_WEIGHT, 1, e[E], matrix, "F");
    put_ids(m, 5, e[T], e[K_USED], e[K_USED]);
    put_act(m, 6, e[T], 1, e[K_USED]);
}

#define TOKENS                                                                                     \
    {                                                                                              \
        "T", "tokens", 1, 1, 512                                                                   \
    }
static const shaped_op ops[] = {
    { RB_OP_MATMUL,
      { { "M", "rows of w", 1, 8192, 2048 }, { "K", "columns of w and x", 1, 2048, 2048 }, TOKENS },
      make_matmul },
    { RB_OP_ATTEND,
      { TOKENS,
        { "H", "heads of q", 1, 32, 32 },
        { "G", "heads of K and V", 1, 8, 8 },
        { "D", "columns of a head", 1, 64, 64 },
        { "S", "keys that the last token sees, its own included", 1, 4096, 512 },
        { "R", "further columns of K that all heads share (latent attention); 0: none", 0, 0, 0 },
        { "DV", "columns of a head of V; 0: as D", 0, 0, 0 } },
      make_attend },
    { RB_OP_RMSNORM, { TOKENS, { "H", "columns", 1, 2048, 2048 } }, make_norm },
    { RB_OP_ROPE,
      { TOKENS,
        { "H", "heads of q", 1, 32, 32 },
        { "G", "heads of k; 0: no k", 0, 8, 8 },
        { "D", "rotated columns of a head", 2, 64, 64 },
        { "NEOX", "1: pairs (j, j + D/2), 0: pairs (2j, 2j + 1)", 0, 0, 0 } },
      make_rope },
    { RB_OP_KV_STORE,
      { TOKENS,
        { "G", "heads", 1, 8, 8 },
        { "D", "columns of a head", 1, 64, 64 },
        { "S", "tokens in the cache before", 0, 0, 0 } },
      make_kv_store },
    { RB_OP_SILU_GATE, { TOKENS, { "F", "columns", 1, 8192, 8192 } }, make_rows },
    { RB_OP_SIGMOID_GATE, { TOKENS, { "F", "columns", 1, 8192, 8192 } }, make_rows },
    { RB_OP_ADD, { TOKENS, { "H", "columns", 1, 2048, 2048 } }, make_rows },
    { RB_OP_EMBED,
      { TOKENS, { "H", "columns", 1, 2048, 2048 }, { "V", "rows of w", 1, 128256, 128256 } },
      make_embed },
    { RB_OP_LAYERNORM, { TOKENS, { "H", "columns", 1, 2048, 2048 } }, make_norm },
    { RB_OP_MATMUL_HEADS,
      { { "H", "heads", 1, 16, 16 },
        { "M", "columns of y", 1, 512, 512 },
        { "K", "columns of x", 1, 128, 128 },
        TOKENS,
        { "TR", "1: w lies [K][M], 0: [M][K]", 0, 1, 1 } },
      make_matmul_heads },
    { RB_OP_RELU2, { TOKENS, { "F", "columns", 1, 8192, 8192 } }, make_rows },
    { RB_OP_GELU, { TOKENS, { "F", "columns", 1, 8192, 8192 } }, make_rows },
    { RB_OP_GELU_ERF, { TOKENS, { "F", "columns", 1, 8192, 8192 } }, make_rows },
    { RB_OP_ROUTE,
      { TOKENS, { "E", "experts", 1, 60, 60 }, { "k", "experts a token takes", 1, 4, 4 } },
      make_route },
    { RB_OP_EXPERTS,
      { TOKENS,
        { "H", "columns of x", 1, 2048, 2048 },
        { "F", "width of an expert", 1, 1408, 1408 },
        { "E", "experts", 1, 60, 60 },
        { "k", "experts a token takes", 1, 4, 4 } },
      make_experts },
};

static const shaped_op *find(rb_op_id op)
{
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (ops[i].op == op)
            return &ops[i];
    return NULL;
}

/* ---- shapes ---- */

const rb_extent *rb_extents(rb_op_id op)
{
    const shaped_op *o = find(op);
    return o ? o->extent : NULL;
}

rb_sizes rb_sizes_preset(rb_op_id op, rb_phase phase)
{
    const rb_extent *e = rb_extents(op);
    rb_sizes s = { { 0 } };
    for (int i = 0; e && e[i].name; i++)
        s.at[i] = phase == RB_DECODE ? e[i].decode : e[i].prefill;
    return s;
}

char *rb_sizes_text(rb_op_id op, const rb_sizes *s, char *buf, size_t size)
{
    const rb_extent *e = rb_extents(op);
    size_t n = 0;
    buf[0] = '\0';
    for (int i = 0; e && e[i].name && n < size; i++)
        if (s->at[i] || e[i].least)
            n += (size_t)snprintf(buf + n, size - n, "%s%s=%lld", n ? " " : "", e[i].name,
                                  (long long)s->at[i]);
    return buf;
}

/* ---- making ---- */

static rb_status check_extents(const shaped_op *o, const rb_sizes *s, rb_error *err)
{
    for (int i = 0; o->extent[i].name; i++) {
        const rb_extent *e = &o->extent[i];
        if (s->at[i] < e->least || s->at[i] > RB_MOST_EXTENT)
            return rb_fail(err, RB_ERR_ARGUMENT, "%s is %lld, and %lld to %lld are possible",
                           e->name, (long long)s->at[i], (long long)e->least,
                           (long long)RB_MOST_EXTENT);
    }
    return RB_OK;
}

rb_status rb_shaped_make(rb_shaped *p, rb_op_id op, rb_dtype type, const rb_sizes *shape,
                         rb_error *err)
{
    const shaped_op *o = find(op);
    const char *arg = NULL;
    *p = (rb_shaped){ .op = rb_op_get(op) };
    if (!o || !p->op)
        return rb_fail(err, RB_ERR_UNSUPPORTED, "no problems are made for this op");
    rb_status st = check_extents(o, shape, err);
    if (st != RB_OK)
        return st;
    maker m = { .p = p, .type = type, .e = shape->at, .err = err };
    p->call.past = &p->past;
    o->make(&m);
    const char *wrong = m.status == RB_OK ? rb_call_error(p->op, &p->call, &arg) : NULL;
    if (wrong)
        REFUSE(&m, "%s%s%s%s", arg ? "operand " : "", arg ? arg : "", arg ? ": " : "", wrong);
    return m.status;
}
