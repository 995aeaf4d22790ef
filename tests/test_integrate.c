/* Thousands of decode steps from a few: times of laws whose sum is known, with the bound that their
 * intervals give. No real timing here.
 * Read next: ../bench/paper/integrate.h, test_law.c. */
#include "../bench/bench.h"

#include <criterion/criterion.h>
#include <math.h>

static void near(double got, double want, double share)
{
    cr_assert_float_eq(got, want, share * fabs(want), "%.12g is not %.12g", got, want);
}

typedef double law_fn(double context);
static double straight(double d)
{
    return 1000 + 3 * d;
}
static double bent(double d)
{
    return 1000 + 3 * d + (d > 2000 ? 7 * (d - 2000) : 0);
}

static int sample(law_fn *law, int64_t first, int64_t n_steps, int64_t n_each,
                  rb_step_time s[RB_MOST_CONTEXTS])
{
    int64_t at[RB_MOST_CONTEXTS];
    const int n = rb_integrate_at(first, n_steps, n_each, at);
    n_each = n == 1 ? n_steps : n_each;
    for (int i = 0; i < n; i++) {
        const double d = (double)at[i] + (double)(n_each - 1) / 2, t = law(d);
        s[i] = (rb_step_time){ d, t, 0.99 * t, 1.02 * t };
    }
    return n;
}

static double sum_of(law_fn *law, int64_t first, int64_t n_steps)
{
    double sum = 0;
    for (int64_t d = first; d < first + n_steps; d++)
        sum += law((double)d);
    return sum;
}

Test(integrate, straight_lines_exactly)
{
    static const int64_t runs[][3] = { { 128, 128, 1 }, { 128, 4096, 1 },   { 4096, 128, 8 },
                                       { 0, 2, 1 },     { 4096, 4096, 16 }, { 7, 1, 1 },
                                       { 0, 128, 128 }, { 5, 9, 8 },        { 100, 43, 8 },
                                       { 0, 3, 1 } };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        rb_step_time s[RB_MOST_CONTEXTS];
        rb_steps_time sum;
        rb_error err;
        const int64_t first = runs[i][0], n_steps = runs[i][1];
        const int n = sample(straight, first, n_steps, runs[i][2], s);
        cr_assert_eq(rb_integrate_time(s, n, first, n_steps, &sum, &err), RB_OK, "%s", err.text);
        near(sum.ns, sum_of(straight, first, n_steps), 1e-12);
        near(sum.line_ns, sum.ns, 1e-12);
        cr_assert(sum.bend < 1e-12);
    }
}

Test(integrate, broken_lines_exactly)
{
    static const double at[] = { 0, 999.5, 2000, 4000 };
    rb_step_time s[4];
    rb_steps_time sum;
    for (int i = 0; i < 4; i++)
        s[i] = (rb_step_time){ at[i], bent(at[i]), bent(at[i]), bent(at[i]) };
    cr_assert_eq(rb_integrate_time(s, 4, 0, 4001, &sum, NULL), RB_OK);
    near(sum.ns, sum_of(bent, 0, 4001), 1e-12);
    near(sum.lo, sum.ns, 1e-12);
    near(sum.hi, sum.ns, 1e-12);
    cr_assert(sum.bend > 0.01 && sum.bend < 0.5, "%g", sum.bend);
    /* a part of it, from inside a piece to inside another */
    cr_assert_eq(rb_integrate_time(s, 4, 300, 3000, &sum, NULL), RB_OK);
    near(sum.ns, sum_of(bent, 300, 3000), 1e-12);
    cr_assert_eq(rb_integrate_time(s, 4, 2100, 50, &sum, NULL), RB_OK);
    near(sum.ns, sum_of(bent, 2100, 50), 1e-12);
}

Test(integrate, bound_from_intervals)
{
    rb_step_time s[RB_MOST_CONTEXTS];
    rb_steps_time sum;
    const int n = sample(straight, 128, 4096, 1, s);
    cr_assert_eq(rb_integrate_time(s, n, 128, 4096, &sum, NULL), RB_OK);
    /* every weight is positive: the ends move as the samples do */
    near(sum.lo, 0.99 * sum.ns, 1e-12);
    near(sum.hi, 1.02 * sum.ns, 1e-12);
    /* prolonged, a sample may count negatively: the bound only widens */
    const rb_step_time two[] = { { 10, 100, 90, 110 }, { 110, 200, 180, 220 } };
    cr_assert_eq(rb_integrate_time(two, 2, 0, 1, &sum, NULL), RB_OK);
    near(sum.ns, 90, 1e-12);
    near(sum.lo, 1.1 * 90 - 0.1 * 220, 1e-12);
    near(sum.hi, 1.1 * 110 - 0.1 * 180, 1e-12);
}

Test(integrate, where_to_measure)
{
    int64_t at[RB_MOST_CONTEXTS];
    cr_assert_eq(rb_integrate_at(128, 4096, 16, at), 5);
    cr_assert_eq(at[0], 128);
    cr_assert_eq(at[2], 128 + 2040);
    cr_assert_eq(at[4], 128 + 4096 - 16);
    cr_assert_eq(rb_integrate_at(0, 128, 16, at), 3);
    cr_assert_eq(at[1], 56);
    cr_assert_eq(rb_integrate_at(9, 128, 128, at), 1);
    cr_assert_eq(rb_integrate_at(9, 100, 128, at), 1);
    cr_assert_eq(rb_integrate_at(9, 2, 1, at), 2);
    cr_assert_eq(rb_integrate_at(0, 42, 8, at), 1);
    cr_assert_eq(rb_integrate_at(0, 43, 8, at), 3);
    cr_assert_eq(rb_integrate_at(9, 0, 1, at), 0);
}

Test(integrate, refuses_steps_beyond_samples)
{
    const rb_step_time s[] = { { 100, 5, 5, 5 }, { 200, 6, 6, 6 } };
    const rb_step_time back[] = { { 200, 5, 5, 5 }, { 100, 6, 6, 6 } };
    const rb_step_time twice[] = { { 100, 5, 5, 5 }, { 150, 6, 6, 6 }, { 150, 6, 6, 6 } };
    const rb_step_time lost[] = { { 100, NAN, 5, 5 }, { 200, 6, 6, 6 } };
    const rb_step_time odd[] = { { 100, 5, 5.5, 6 }, { 200, 6, 6, 6 } };
    rb_steps_time sum;
    cr_assert_eq(rb_integrate_time(s, 2, 90, 121, &sum, NULL), RB_OK);
    cr_assert_eq(rb_integrate_time(s, 2, 89, 100, &sum, NULL), RB_ERR_ARGUMENT);
    cr_assert_eq(rb_integrate_time(s, 2, 100, 112, &sum, NULL), RB_ERR_ARGUMENT);
    cr_assert_eq(rb_integrate_time(s, 1, 99, 3, &sum, NULL), RB_OK);
    cr_assert_eq(rb_integrate_time(s, 1, 100, 3, &sum, NULL), RB_ERR_ARGUMENT);
    cr_assert_eq(rb_integrate_time(s, 0, 100, 3, &sum, NULL), RB_ERR_ARGUMENT);
    cr_assert_eq(rb_integrate_time(back, 2, 100, 100, &sum, NULL), RB_ERR_ARGUMENT);
    cr_assert_eq(rb_integrate_time(twice, 3, 100, 50, &sum, NULL), RB_ERR_ARGUMENT);
    cr_assert_eq(rb_integrate_time(lost, 2, 100, 100, &sum, NULL), RB_ERR_ARGUMENT);
    cr_assert_eq(rb_integrate_time(odd, 2, 100, 100, &sum, NULL), RB_ERR_ARGUMENT);
}
