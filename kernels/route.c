/* route: which k of E experts each token takes, and how much of each (Shazeer et al. 2017,
 * sec. 2.1; DeepSeek-AI 2024 (V3), eq. 13-16), in llama.cpp's order. Work unit: one token. Ids are
 * ctrl: what is chosen is no traffic, and choosing no FLOP. Refuses groups of experts. Read next:
 * experts.c, which follows the ids. */
#include "rows.h"

enum { ID, SHARE, LOGITS, BIAS };

static int64_t n_experts(const rb_call *c)
{
    return c->t[LOGITS].n[3];
}

static int64_t n_used(const rb_call *c)
{
    return c->t[ID].n[3];
}

static const char *check(const rb_call *c)
{
    const rb_view *id = &c->t[ID], *share = &c->t[SHARE], *logits = &c->t[LOGITS];
    if (!rb_view_same_shape(id, share))
        return "ids and shares differ in shape";
    if (logits->n[0] != 1 || logits->n[2] != 1 || id->n[0] != 1 || id->n[2] != 1 ||
        logits->n[1] != id->n[1])
        return "rows of logits and of ids are wanted, one a token";
    if (n_used(c) > n_experts(c) || n_experts(c) > INT32_MAX)
        return "more experts are taken than there are";
    if (c->t[BIAS].buffer &&
        (c->t[BIAS].n[3] != n_experts(c) || rb_view_elements(&c->t[BIAS]) != n_experts(c)))
        return "the bias is not one row as long as there are experts";
    return NULL;
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return c->t[ID].n[1];
}

/* Shares of all experts, then what they are chosen by. */
static int64_t own_bytes(const rb_call *c)
{
    return 2 * n_experts(c) * (int64_t)sizeof(f32);
}

static void softmax(f32 *p, const f32 *x, int64_t n)
{
    vf most = v_set(s_const(-INFINITY)), sum = v_zero();
    for (int64_t i = 0; i < n; i += V_LANES)
        most = v_max_n(most, v_load_n(x + i, lanes_at(i, n)), lanes_at(i, n));
    const vf top = v_set(v_hmax(most));
    for (int64_t i = 0; i < n; i += V_LANES) {
        const int64_t m = lanes_at(i, n);
        const vf e = v_keep_n(v_exp(v_sub(v_load_n(x + i, m), top)), m);
        v_store_n(p + i, e, m);
        sum = v_add(sum, e);
    }
    const vf by = v_set(s_div(s_const(1.0), v_hsum(sum)));
    for (int64_t i = 0; i < n; i += V_LANES)
        v_store_n(p + i, v_mul(v_load_n(p + i, lanes_at(i, n)), by), lanes_at(i, n));
}

static void sigmoid(f32 *p, const f32 *x, int64_t n)
{
    const vf one = v_set(s_const(1.0));
    for (int64_t i = 0; i < n; i += V_LANES) {
        const int64_t m = lanes_at(i, n);
        v_store_n(p + i, v_div(one, v_add(v_exp(v_neg(v_load_n(x + i, m))), one)), m);
    }
}

/* by = p + bias; p itself without one. */
static const f32 *add_bias(const rb_call *c, f32 *by, const f32 *p, int64_t n)
{
    if (!c->t[BIAS].buffer)
        return p;
    const f32 *bias = (const f32 *)rb_at(&c->t[BIAS], 0, 0, 0);
    for (int64_t i = 0; i < n; i += V_LANES) {
        const int64_t m = lanes_at(i, n);
        v_store_n(by + i, v_add(v_load_n(p + i, m), v_load_n(bias + i, m)), m);
    }
    return by;
}

static void route(const rb_call *c, int64_t t, f32 *p)
{
    const int64_t n = n_experts(c), k = n_used(c);
    const f32 *x = (const f32 *)rb_at(&c->t[LOGITS], 0, t, 0);
    void *id = rb_at(&c->t[ID], 0, t, 0);
    f32 *share = (f32 *)rb_at(&c->t[SHARE], 0, t, 0);
    if (c->p.gating == RB_GATING_SIGMOID)
        sigmoid(p, x, n);
    else
        softmax(p, x, n);
    const f32 *by = add_bias(c, p + n, p, n);
    sf sum = s_const(0.0);
    for (int64_t j = 0; j < k; j++) {
        const int64_t e = s_argmax(by, n, id, j);
        c_store(id, j, (int32_t)e);
        const sf s = s_load(p + e);
        s_store(share + j, s);
        if (c->p.renorm)
            sum = s_add(sum, s);
    }
    for (int64_t j = 0; j < k; j++) {
        sf s = s_load(share + j);
        if (c->p.renorm)
            s = s_div(s, sum);
        if (c->p.scale != 1)
            s = s_mul(s, s_const((double)c->p.scale));
        s_store(share + j, s);
    }
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared;
    for (int64_t t = first; t < last; t++)
        route(c, t, own);
}

/* Logits to shares: loaded for the largest and for the exponentials, which are scaled where they
 * lie, or at once. The bias; a scan of all for each that is taken; its share, stored and scaled. */
static rb_issued issued(const rb_call *c)
{
    const bool at_once = c->p.gating == RB_GATING_SIGMOID;
    const int64_t t = units(c, 0), n = n_experts(c), k = n_used(c);
    rb_issued sum = { 0 };
    issue(&sum, t, f32_bytes(at_once ? n : 3 * n), f32_bytes(at_once ? n : 2 * n));
    if (c->t[BIAS].buffer)
        issue(&sum, t, f32_bytes(2 * n), f32_bytes(n));
    issue(&sum, t * k, f32_bytes(n + 2), f32_bytes(2));
    return sum;
}

/* Dims that are there or not, by the call's parameters. */
static int64_t by_softmax(const rb_call *c)
{
    return c->p.gating == RB_GATING_SIGMOID ? 0 : c->t[ID].n[1];
}

static int64_t by_sigmoid(const rb_call *c)
{
    return c->p.gating == RB_GATING_SIGMOID ? c->t[ID].n[1] : 0;
}

static int64_t renormed(const rb_call *c)
{
    return c->p.renorm ? c->t[ID].n[1] : 0;
}

static int64_t scaled(const rb_call *c)
{
    return c->p.scale != 1 ? c->t[ID].n[1] : 0;
}

enum { N, E, K, SOFTMAX, SIGMOID, RENORM, SCALED, BIASED };

/* softmax: - max, exp, sum, times 1/sum; sigmoid: exp, +, /; renormed: + and / of the chosen */
static const rb_term flops[] = {
    { 4, { SOFTMAX, E, -1 } },
    { 1, { SOFTMAX, -1, -1 } },
    { 3, { SIGMOID, E, -1 } },
    { 1, { N, BIASED, -1 } },
    { 2, { RENORM, K, -1 } },
    { 1, { SCALED, K, -1 } },
    { 0 },
};
static const rb_term special[] = {
    { 1, { SOFTMAX, E, -1 } },
    { 1, { SOFTMAX, -1, -1 } },
    { 2, { SIGMOID, E, -1 } },
    { 1, { RENORM, K, -1 } },
    { 0 },
};

static const rb_op op = {
    .id = RB_OP_ROUTE,
    .name = "route",
    .arg = { { "id", 'w', RB_ROWS_ALL, -1, RB_IS_CTRL, 0 },
             { "share", 'w', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "logits", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "bias", 'r', RB_ROWS_ALL, -1, RB_IS_WEIGHT, RB_OPTIONAL } },
    .token_arg = LOGITS,
    .key_arg = LOGITS,
    .dim = { { "n", ID, 1, NULL },
             { "E", LOGITS, 3, NULL },
             { "k", ID, 3, NULL },
             { "n softmax", ID, 1, by_softmax },
             { "n sigmoid", ID, 1, by_sigmoid },
             { "n renormed", ID, 1, renormed },
             { "n scaled", ID, 1, scaled },
             { "biases", BIAS, 3, NULL } },
    .flops = flops,
    .special = special,
    .check = check,
};

static const rb_kernel rows[] = { { RB_ROW(RB_F32), .own_bytes = own_bytes } };
RB_EXPORT(route, rows);
