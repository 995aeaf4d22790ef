/* Statistics of repeated timings on data whose answers are known by hand.
 * No real timing is judged here: machines are noisy.
 * Read next: ../bench/stats.c. */
#include "../bench/bench.h"

#include <criterion/criterion.h>

static void near(double got, double want)
{
    cr_assert_float_eq(got, want, 1e-12, "%g is not %g", got, want);
}

Test(stats, odd_count)
{
    const double x[] = { 7, 1, 100, 3, 5 };
    rb_stats s = rb_stats_of(x, 5);
    cr_assert_eq(s.n, 5);
    near(s.median, 5);
    near(s.mad, 2); /* 2 4 95 2 0 */
    near(s.mean, 23.2);
    near(s.min, 1);
    near(s.max, 100);
    cr_assert_float_eq(s.stddev, 42.990697, 1e-5); /* n - 1 */
    near(x[0], 7);                                 /* the input is not sorted in place */
}

Test(stats, even_count_takes_the_middle_of_two)
{
    const double x[] = { 4, 1, 3, 10 };
    rb_stats s = rb_stats_of(x, 4);
    near(s.median, 3.5);
    near(s.mad, 1.5); /* 0.5 2.5 0.5 6.5 */
}

Test(stats, one_sample_has_no_spread)
{
    const double x[] = { 42 };
    rb_stats s = rb_stats_of(x, 1);
    near(s.median, 42);
    near(s.mad, 0);
    near(s.stddev, 0);
}

Test(stats, an_outlier_moves_neither_median_nor_mad)
{
    double x[] = { 10, 11, 12, 13, 14 };
    rb_stats calm = rb_stats_of(x, 5);
    x[4] = 1e9;
    rb_stats wild = rb_stats_of(x, 5);
    near(wild.median, calm.median);
    near(wild.mad, calm.mad);
    cr_assert_gt(wild.stddev, 1000 * calm.stddev);
}

Test(stats, median_index_names_a_sample)
{
    const uint64_t odd[] = { 50, 10, 30, 20, 40 }, even[] = { 4, 1, 3, 2 }, equal[] = { 7, 7, 7 };
    cr_assert_eq(rb_median_index(odd, 5), 2);
    cr_assert_eq(rb_median_index(even, 4), 3); /* the lower of 2 and 3 */
    cr_assert_eq(rb_median_index(equal, 3), 0);
    cr_assert_eq(rb_median_index(odd, 1), 0);
}

Test(stats, the_clock_does_not_go_back)
{
    uint64_t last = rb_now_ns();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = rb_now_ns();
        cr_assert_geq(now, last);
        last = now;
    }
}
