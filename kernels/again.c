/* The cost of a call that is like the one before: layers launch the same shapes again and again, so
 * the door compares instead of evaluating. Equal are calls of one row whose operands differ in
 * nothing but which buffers they lie in, as long as the same operands share one.
 * Refuses to remember what depends on data: gathered rows. Read next: cost.c, launch.c. */
#include "op.h"

#include <string.h>

static bool same_but_buffer(const rb_view *a, const rb_view *b)
{
    const size_t from = offsetof(rb_view, dtype);
    return memcmp((const char *)a + from, (const char *)b + from, sizeof *a - from) == 0;
}

/* A parameter that same_param does not compare would be a cost remembered wrongly. The sizes show
 * every new field but one that hides in padding. */
typedef struct compared {
    float eps, scale;
    rb_rope_pairing pairing;
    rb_gating gating;
    bool renorm;
    uint32_t transposed;
    int64_t reps;
    int streams;
    bool prefetch;
} compared;
_Static_assert(sizeof(compared) == sizeof(rb_param), "rb_param has changed: compare it all");

static bool same_param(const rb_param *a, const rb_param *b)
{
    return a->eps == b->eps && a->scale == b->scale && a->pairing == b->pairing &&
           a->gating == b->gating && a->renorm == b->renorm && a->transposed == b->transposed &&
           a->reps == b->reps && a->streams == b->streams && a->prefetch == b->prefetch;
}

static bool same_operands(const rb_call *a, const rb_call *b, int n)
{
    for (int i = 0; i < n; i++) {
        const rb_buffer *x = a->t[i].buffer, *y = b->t[i].buffer;
        if (!x != !y)
            return false;
        if (!x)
            continue;
        if (!same_but_buffer(&a->t[i], &b->t[i]))
            return false;
        for (int j = 0; j < i; j++)
            if ((a->t[j].buffer == x) != (b->t[j].buffer == y))
                return false;
    }
    return true;
}

/* How many sequences have a past that counts; RB_MOST_PAST + 1: too many to remember. */
static int n_past(const rb_op *op, const rb_call *call)
{
    if (!call->past)
        return 0;
    const int64_t n = call->t[op->token_arg].n[0];
    return n <= RB_MOST_PAST ? (int)n : RB_MOST_PAST + 1;
}

static bool same_past(const rb_costed *last, const rb_call *call, int n)
{
    if (n > RB_MOST_PAST || n != last->n_past)
        return false;
    for (int i = 0; i < n; i++)
        if (last->past[i] != call->past[i])
            return false;
    return true;
}

static int n_operands(const rb_op *op, bool *gathers)
{
    int n = 0;
    *gathers = false;
    for (; n < RB_MAX_ARG && op->arg[n].name; n++)
        *gathers |= op->arg[n].rows == RB_ROWS_GATHERED;
    return n;
}

const rb_cost *rb_cost_again(rb_costed *last, const rb_kernel *k, const rb_call *call,
                             bool *assumed)
{
    bool gathers;
    const int n = n_operands(k->op, &gathers), past = n_past(k->op, call);
    if (last->k == k && !gathers && same_past(last, call, past) &&
        same_param(&last->call.p, &call->p) && same_operands(&last->call, call, n)) {
        *assumed |= last->assumed;
        return &last->cost;
    }
    last->k = k;
    last->call = *call;
    last->assumed = false;
    last->n_past = past;
    for (int i = 0; i < past && i < RB_MOST_PAST; i++)
        last->past[i] = call->past[i];
    last->cost = rb_cost_of(k, call, &last->assumed);
    *assumed |= last->assumed;
    return &last->cost;
}
