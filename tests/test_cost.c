/* Bytes of operands that overlap: what intervals of columns say is what a map of all bytes says,
 * over random views of one buffer; and they do answer where rows are the same.
 * Refuses nothing by itself. Read next: kernels/cost.c. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "../kernels/kernels.h"

enum { IDS = 4, TOKENS = 5, N_IDS = 6 };

/* An op of nothing but operands. */
static rb_op op_of(rb_rows rows)
{
    rb_op op = { .name = "overlap", .token_arg = TOKENS };
    static const char *const name[] = { "a", "b", "c", "d", "ids", "tokens" };
    for (int i = 0; i < IDS; i++)
        op.arg[i] = (rb_arg){ name[i], 'r', rows, rows == RB_ROWS_GATHERED ? IDS : -1, ~0, 0 };
    op.arg[IDS] = (rb_arg){ name[IDS], 'r', RB_ROWS_ALL, -1, RB_IS_CTRL, 0 };
    op.arg[TOKENS] = (rb_arg){ name[TOKENS], 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0 };
    return op;
}

static int64_t below(uint64_t *seed, int64_t n)
{
    return (int64_t)rb_random_below(seed, (uint64_t)n);
}

/* Random columns of the rows of one tensor; some that are not: other rows, steps, or offsets. */
static rb_view columns_of(const rb_view *all, uint64_t *seed, bool stray)
{
    const int64_t first = below(seed, all->n[3]);
    rb_view v = rb_view_slice(*all, 3, first, 1 + below(seed, all->n[3] - first));
    if (stray) {
        const int axis = (int)below(seed, 3);
        v.n[axis] -= v.n[axis] > 1 && below(seed, 2);
        v.offset_bytes += 4 * below(seed, 9);
        v.step_bytes[axis] -= v.step_bytes[axis] > 4 && below(seed, 2) ? 4 : 0;
    }
    return v;
}

static rb_view random_tensor(const rb_buffer *b, uint64_t *seed, rb_rows rows)
{
    const bool gathered = rows == RB_ROWS_GATHERED;
    const int64_t n0 = gathered ? 1 : 1 + below(seed, 3), n1 = gathered ? 1 : 6;
    rb_view v = rb_view_dense(b, RB_F32, RB_ACT, 4 * below(seed, 5), n0, n1, 1 + below(seed, 4),
                              1 + below(seed, 12));
    const int64_t pad = 4 * below(seed, 4);
    v.step_bytes[2] += pad;
    v.step_bytes[1] = v.step_bytes[2] * v.n[2];
    if (!gathered && below(seed, 2)) { /* heads outermost of a sequence */
        v.step_bytes[1] = v.step_bytes[2];
        v.step_bytes[2] = v.step_bytes[1] * v.n[1];
    }
    v.step_bytes[0] = v.n[1] * v.n[2] * (4 * v.n[3] + pad);
    if (below(seed, 5) == 0)
        v.step_bytes[2] = 0;
    return v;
}

static void check_rows(rb_rows rows, bool stray, int *answered, int *asked)
{
    const rb_op op = op_of(rows);
    rb_buffer b;
    cr_assert_eq(rb_buffer_alloc(&b, 1 << 16, false, NULL), RB_OK);
    for (uint64_t round = 0; round < 3000; round++) {
        uint64_t seed = round * 2 + stray;
        int32_t id[N_IDS];
        const rb_buffer ids = { id, sizeof id };
        const rb_view all = random_tensor(&b, &seed, rows);
        for (int i = 0; i < N_IDS; i++)
            id[i] = (int32_t)below(&seed, all.n[2]);
        const int64_t past[3] = { below(&seed, 4), below(&seed, 4), below(&seed, 4) };
        rb_call call = { .past = past };
        for (int i = 0; i < IDS; i++)
            call.t[i] = columns_of(&all, &seed, stray && i % 2);
        if (rows == RB_ROWS_GATHERED)
            for (int i = 0; i < IDS; i++)
                call.t[i].n[2] = all.n[2], call.t[i].step_bytes[2] = all.step_bytes[1];
        call.t[IDS] = rb_view_dense(&ids, RB_I32, RB_CTRL, 0, 1, 1, 1, N_IDS);
        call.t[TOKENS] = rb_view_dense(&ids, RB_F32, RB_ACT, 0, 1, 2, 1, 1);
        for (int j = 0; j < IDS; j++) {
            bool assumed = false;
            const int64_t fast = rb_fresh_by_rows(&op, &call, j, false, &assumed);
            ++*asked;
            if (fast < 0)
                continue;
            ++*answered;
            cr_assert_eq(fast, rb_fresh_by_map(&op, &call, j, false), "round %d, operand %d",
                         (int)round, j);
        }
    }
    rb_buffer_free(&b);
}

Test(cost, intervals_of_columns_are_what_a_map_says)
{
    static const rb_rows rule[] = { RB_ROWS_ALL, RB_ROWS_SEEN, RB_ROWS_NEW, RB_ROWS_GATHERED };
    for (int i = 0; i < 4; i++) {
        int answered = 0, asked = 0;
        check_rows(rule[i], true, &answered, &asked);
        cr_expect_lt(answered, asked, "the same rows where they are not: rule %d", i);
        answered = asked = 0;
        check_rows(rule[i], false, &answered, &asked);
        cr_expect_eq(answered, asked, "%d of %d by rows, rule %d", answered, asked, i);
    }
}

/* Parts of one tensor that differ in their number of rows, as W_UK and W_UV of every head do. */
Test(cost, rows_that_follow_each_other_count_as_one)
{
    enum { HEADS = 3, FIRST = 5, SECOND = 7, COLUMNS = 4 };
    const rb_op op = op_of(RB_ROWS_ALL);
    rb_buffer b;
    cr_assert_eq(rb_buffer_alloc(&b, 1 << 12, false, NULL), RB_OK);
    const rb_view all = rb_view_dense(&b, RB_F32, RB_WEIGHT, 0, 1, HEADS, FIRST + SECOND, COLUMNS);
    const rb_call call = { .t = { rb_view_slice(all, 2, 0, FIRST),
                                  rb_view_slice(all, 2, FIRST, SECOND) } };
    bool assumed = false;
    const int64_t fresh = rb_fresh_by_rows(&op, &call, 1, false, &assumed);
    cr_expect_eq(fresh, HEADS * SECOND * COLUMNS * 4);
    cr_expect_eq(fresh, rb_fresh_by_map(&op, &call, 1, false));
    rb_buffer_free(&b);
}
