/* The cost that the door remembers is the cost that it would evaluate: over random calls in any
 * order, calls that repeat, and calls that differ in one thing only.
 * Refuses nothing by itself. Read next: kernels/again.c. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "../kernels/kernels.h"

/* Through the memory and without it. */
static void want_same(rb_costed *last, const rb_kernel *k, const rb_call *call, const char *what)
{
    bool assumed = false, again_assumed = false;
    const rb_cost fresh = rb_cost_of(k, call, &assumed);
    const rb_cost *again = rb_cost_again(last, k, call, &again_assumed);
    char name[96];
    cr_assert(rb_cost_equal(&fresh, again), "%s: %s", rb_kernel_name(k, name, sizeof name), what);
    cr_assert_eq(assumed, again_assumed);
}

Test(again, is_what_would_be_evaluated)
{
    rb_costed last = { 0 };
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        if (!rb_isa_supported(k->isa))
            continue;
        for (uint64_t seed = 1; seed <= 12; seed++) {
            rb_case a, b;
            cr_assert_eq(rb_case_make(&a, k, RB_FILL_RANDOM, seed, NULL), RB_OK);
            cr_assert_eq(rb_case_make(&b, k, RB_FILL_RANDOM, seed, NULL), RB_OK);
            want_same(&last, k, &a.call, "first");
            want_same(&last, k, &a.call, "repeated");
            want_same(&last, k, &b.call, "the same shapes elsewhere");
            rb_case_free(&a);
            rb_case_free(&b);
        }
    }
}

static const rb_kernel *row(rb_op_id op)
{
    for (int i = 0; i < rb_registry_size(); i++)
        if (rb_registry_row(i)->op->id == op && rb_registry_row(i)->isa == RB_ISA_SCALAR)
            return rb_registry_row(i);
    cr_assert(false, "no row");
    return NULL;
}

/* x += y of n rows; where y lies in x's buffer it is read once less. */
Test(again, sees_operands_that_come_to_share_a_buffer)
{
    const rb_buffer one = { NULL, 1 << 20 }, two = { NULL, 1 << 20 };
    const rb_kernel *k = row(RB_OP_ADD);
    rb_costed last = { 0 };
    rb_call call = { .t = { rb_view_dense(&one, RB_F32, RB_ACT, 0, 1, 4, 1, 64),
                            rb_view_dense(&two, RB_F32, RB_ACT, 0, 1, 4, 1, 64) } };
    want_same(&last, k, &call, "apart");
    call.t[1].buffer = &one;
    want_same(&last, k, &call, "one in the other");
    bool assumed = false;
    const uint64_t shared = rb_cost_again(&last, k, &call, &assumed)->rd[RB_ACT];
    call.t[1].buffer = &two;
    want_same(&last, k, &call, "apart again");
    cr_assert_neq(rb_cost_again(&last, k, &call, &assumed)->rd[RB_ACT], shared);
}

/* Each change of one number is a call of its own. */
Test(again, sees_every_extent_step_offset_and_past)
{
    const rb_kernel *k = row(RB_OP_ATTEND);
    rb_case c = { 0 };
    /* V in a buffer of its own: what overlaps and then reaches beyond it cannot be evaluated */
    for (uint64_t seed = 1; c.call.t[2].buffer == c.call.t[4].buffer; seed++) {
        rb_case_free(&c);
        cr_assert_eq(rb_case_make(&c, k, RB_FILL_RANDOM, seed, NULL), RB_OK);
    }
    rb_costed last = { 0 };
    const rb_call call = c.call;
    int64_t past[8];
    memcpy(past, c.past, sizeof past);
    for (int arg = 0; arg < 5; arg++) {
        for (int what = 0; what < 8 && call.t[arg].buffer; what++) {
            rb_call changed = call;
            rb_view *v = &changed.t[arg];
            int64_t *const number[] = { &v->offset_bytes,  &v->n[0],         &v->n[1],
                                        &v->n[2],          &v->n[3],         &v->step_bytes[0],
                                        &v->step_bytes[1], &v->step_bytes[2] };
            *number[what] += what == 0 || what > 4 ? 64 : 1;
            want_same(&last, k, &call, "as it was");
            want_same(&last, k, &changed, "with one number changed");
        }
    }
    rb_call later = call;
    past[0]++;
    later.past = past;
    want_same(&last, k, &call, "as it was");
    want_same(&last, k, &later, "one token later");
    rb_case_free(&c);
}

/* Ids are data: two calls of the same shape read other numbers of distinct rows. */
Test(again, does_not_remember_what_depends_on_data)
{
    const rb_kernel *k = row(RB_OP_EMBED);
    rb_costed last = { 0 };
    for (uint64_t seed = 1; seed < 40; seed++) {
        rb_case c;
        cr_assert_eq(rb_case_make(&c, k, RB_FILL_RANDOM, seed, NULL), RB_OK);
        int32_t *ids = (int32_t *)rb_at(&c.call.t[2], 0, 0, 0);
        const int64_t n = c.call.t[2].n[3];
        want_same(&last, k, &c.call, "ids as drawn");
        for (int64_t i = 0; i < n; i++)
            ids[i] = 0;
        want_same(&last, k, &c.call, "one id");
        rb_case_free(&c);
    }
}
