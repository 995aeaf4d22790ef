/* The contract of experts: operands, dims, FLOPs (COUNTING section 2). FLOPs do not depend on the
 * routing; bytes and decoded blocks do, by the number of different experts that were taken.
 * Read next: experts.c. */
#include "experts.h"

static bool is_packed(const rb_view *v)
{
    return v->buffer && rb_dtype_get(v->dtype)->panel_rows > 1;
}

/* One expert a row, of as many elements in each of the three stacks. */
static const char *check_routed(const rb_call *c)
{
    const rb_view *gate = &c->t[GATE], *id = &c->t[ID], *share = &c->t[SHARE];
    if (!gate->buffer != !id->buffer || !gate->buffer != !share->buffer)
        return "routed experts want gate, up, down, ids and shares";
    for (int a = UP; a <= DOWN; a++)
        if (!c->t[a].buffer != !gate->buffer)
            return "routed experts want gate, up, down, ids and shares";
    if (!gate->buffer)
        return NULL;
    for (int a = GATE; a <= DOWN; a++)
        if (c->t[a].n[0] != 1 || c->t[a].n[1] != 1 || c->t[a].n[2] != gate->n[2] ||
            c->t[a].n[3] != gate->n[3] || is_packed(&c->t[a]))
            return "stacks are not of as many, equally large, unpacked experts";
    const int64_t f = d_expert(c), h = c->t[X].n[3];
    if (f < 1 || f * h != gate->n[3] || h % rb_dtype_get(gate->dtype)->block ||
        h % rb_dtype_get(c->t[UP].dtype)->block || f % rb_dtype_get(c->t[DOWN].dtype)->block)
        return "rows of experts are not whole blocks as wide as x";
    if (!rb_view_same_shape(id, share))
        return "ids and shares differ in shape";
    if (id->n[0] != 1 || id->n[1] != n_tokens(c) || id->n[2] != 1 || !rb_view_is_dense(id))
        return "ids are not one row a token";
    return id->n[3] <= gate->n[2] ? NULL : "more experts are taken than there are";
}

static const char *check_shared(const rb_call *c)
{
    const int64_t f = d_shared(c), h = c->t[X].n[3];
    const rb_view *inp = &c->t[INP];
    for (int a = SHARED_UP; a <= SHARED_DOWN; a++)
        if (!c->t[a].buffer != !c->t[SHARED_GATE].buffer)
            return "the shared expert wants gate, up and down";
    if (inp->buffer && (!f || inp->n[3] != h || rb_view_elements(inp) != h))
        return "the shared expert's own gate is not one row as wide as x, or there is no such "
               "expert";
    for (int a = SHARED_GATE; f && a <= SHARED_DOWN; a++) {
        const rb_view *w = &c->t[a];
        const bool down = a == SHARED_DOWN;
        if (w->n[0] != 1 || w->n[1] != 1 || w->n[2] != (down ? h : f) ||
            w->n[3] != (down ? f : h) || is_packed(w) || !rb_view_is_dense(w))
            return "the shared expert's matrices do not fit together";
    }
    return NULL;
}

static const char *check(const rb_call *c)
{
    const rb_view *x = &c->t[X], *y = &c->t[Y];
    if (!rb_view_same_shape(y, x))
        return "y and x differ in shape";
    if (x->n[0] != 1 || x->n[2] != 1)
        return "one sequence axis, one head are wanted";
    if (!c->t[GATE].buffer && !c->t[SHARED_GATE].buffer)
        return "there is no expert";
    const char *wrong = check_routed(c);
    return wrong ? wrong : check_shared(c);
}

/* ---- dims ---- */

static int64_t taken(const rb_call *c)
{
    bool assumed = false;
    return c->t[GATE].buffer ? rb_distinct_rows(&c->t[ID], n_experts(c), &assumed) : 0;
}

/* Tokens whose shared part is added to the routed one; whose shared part has a gate. */
static int64_t added(const rb_call *c)
{
    return c->t[GATE].buffer && c->t[SHARED_GATE].buffer ? n_tokens(c) : 0;
}

static int64_t gated(const rb_call *c)
{
    return c->t[INP].buffer ? n_tokens(c) : 0;
}

enum { N, PAIRS, U, H, F, F_S, ADDED, GATED };

/* 2 H F twice, silu gate 4 F, 2 F H; by share and added 2 H. The shared gate: its dot, exp + /, and
 * H products. */
static const rb_term flops[] = {
    { 6, { PAIRS, H, F } },  { 4, { PAIRS, F, -1 } },  { 2, { PAIRS, H, -1 } },
    { 6, { N, H, F_S } },    { 4, { N, F_S, -1 } },    { 1, { ADDED, H, -1 } },
    { 3, { GATED, H, -1 } }, { 3, { GATED, -1, -1 } }, { 0 },
};
static const rb_term special[] = {
    { 2, { PAIRS, F, -1 } },
    { 2, { N, F_S, -1 } },
    { 2, { GATED, -1, -1 } },
    { 0 },
};
const rb_term rb_experts_matrix[] = { { 1, { U, F, H } }, { 0 } };
const rb_term rb_experts_shared[] = { { 1, { F_S, H, -1 } }, { 0 } };

#define STACK(name, more)                                                                          \
    {                                                                                              \
        name, 'r', RB_ROWS_GATHERED, ID, RB_IS_WEIGHT, RB_OPTIONAL | RB_ANY_DTYPE | (more)         \
    }
#define MATRIX(name)                                                                               \
    {                                                                                              \
        name, 'r', RB_ROWS_ALL, -1, RB_IS_WEIGHT, RB_OPTIONAL | RB_ANY_DTYPE                       \
    }

const rb_op rb_experts_op = {
    .id = RB_OP_EXPERTS,
    .name = "experts",
    .arg = { { "y", 'w', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             { "x", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 },
             STACK("gate", RB_ROUTED),
             STACK("up", 0),
             STACK("down", 0),
             { "id", 'r', RB_ROWS_ALL, -1, RB_IS_CTRL, RB_OPTIONAL },
             { "share", 'r', RB_ROWS_ALL, -1, RB_IS_ACT, RB_OPTIONAL },
             MATRIX("shared_gate"),
             MATRIX("shared_up"),
             MATRIX("shared_down"),
             { "inp", 'r', RB_ROWS_ALL, -1, RB_IS_WEIGHT, RB_OPTIONAL } },
    .token_arg = X,
    .key_arg = -1,
    .dim = { { "n", X, 1, NULL },
             { "n k", X, 0, n_pairs },
             { "U", X, 0, taken },
             { "H", X, 3, NULL },
             { "F", X, 0, d_expert },
             { "F_s", X, 0, d_shared },
             { "n added", X, 0, added },
             { "n gated", X, 0, gated } },
    .flops = flops,
    .special = special,
    .check = check,
};
