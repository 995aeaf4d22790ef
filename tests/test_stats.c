/* Statistics of repeated timings on data whose answers are known by hand.
 * No real timing is judged here: machines are noisy.
 * Read next: ../bench/stats.c. */
#include "../bench/bench.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

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

/* ---- the interval of the median ---- */

/* The usual table of ranks for 95 %, from binomial tables. */
Test(stats, ci_ranks_are_those_of_the_tables)
{
    static const int known[][2] = { { 0, 0 },  { 1, 0 },  { 5, 0 },   { 6, 1 },   { 8, 1 },
                                    { 9, 2 },  { 11, 2 }, { 12, 3 },  { 15, 4 },  { 17, 5 },
                                    { 20, 6 }, { 25, 8 }, { 30, 10 }, { 50, 18 }, { 100, 40 } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        cr_assert_eq(rb_median_ci_rank(known[i][0]), known[i][1], "n = %d gives %d, not %d",
                     known[i][0], rb_median_ci_rank(known[i][0]), known[i][1]);
    /* far beyond where 2^-n is a double: k is near n/2 - 1.96 sqrt(n)/2 */
    cr_assert_eq(rb_median_ci_rank(10000), 4902);
}

Test(stats, six_samples_have_their_range_as_interval)
{
    const double x[] = { 3, 1, 9, 4, 7, 5 };
    rb_stats s = rb_stats_of(x, 6);
    cr_assert(s.has_ci);
    near(s.ci_lo, 1);
    near(s.ci_hi, 9);
    cr_assert_not(rb_stats_of(x, 5).has_ci, "five have none");
}

Test(stats, interval_of_many_and_of_ties)
{
    double x[20];
    for (int i = 0; i < 20; i++)
        x[i] = (i * 7) % 20 + 1; /* 1 ... 20 */
    rb_stats s = rb_stats_of(x, 20);
    near(s.ci_lo, 6);
    near(s.ci_hi, 15);
    for (int i = 0; i < 20; i++)
        x[i] = i < 15 ? 2 : 3;
    s = rb_stats_of(x, 20);
    near(s.ci_lo, 2);
    near(s.ci_hi, 2);
}

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0;
}

/* Of a skew distribution, whose median is ln 2. Coverage is 0.95 at least and, but for the coarse
 * steps of few samples, not much more. */
Test(stats, interval_covers_as_often_as_it_says)
{
    static const struct {
        int n;
        double most;
    } size[] = { { 6, 0.98 }, { 9, 0.97 }, { 20, 0.97 }, { 101, 0.97 } };
    enum { TRIALS = 10000 };
    uint64_t state = 1;
    double x[101];
    for (int k = 0; k < 4; k++) {
        int inside = 0;
        for (int t = 0; t < TRIALS; t++) {
            for (int i = 0; i < size[k].n; i++)
                x[i] = -log(1 - uniform(&state));
            rb_stats s = rb_stats_of(x, size[k].n);
            inside += s.ci_lo <= M_LN2 && M_LN2 <= s.ci_hi;
        }
        double share = (double)inside / TRIALS;
        cr_assert_gt(share, 0.946, "n = %d covers %g", size[k].n, share); /* 3 sigma below 0.95 */
        cr_assert_lt(share, size[k].most, "n = %d covers %g", size[k].n, share);
    }
}

/* ---- drift ---- */

Test(stats, drift_is_spearmans_coefficient)
{
    const double x[] = { 106, 100, 86, 101, 99, 103, 97, 113, 112, 110 };
    /* ranks 7 4 1 5 3 6 2 10 9 8 against 1 ... 10: sum d^2 = 82 */
    near(rb_stats_of(x, 10).drift, 1 - 6.0 * 82 / 990);
    const double ties[] = { 1, 2, 2, 3 }; /* ranks 1 2.5 2.5 4: 4.5 / sqrt(4.5 * 5) */
    near(rb_stats_of(ties, 4).drift, 4.5 / sqrt(22.5));
    const double falls[] = { 9, 5, 1 };
    near(rb_stats_of(falls, 3).drift, -1);
}

Test(stats, drift_is_unknown_where_it_is_undefined)
{
    const double x[] = { 1, 2, 2, 2 };
    cr_assert(isnan(rb_stats_of(x, 2).drift));
    cr_assert(isnan(rb_stats_of(x + 1, 3).drift), "equal samples have no ranks to correlate");
    cr_assert_not(rb_stats_of(x + 1, 3).drifts);
}

/* Critical values at 1 %, two-sided: 1 at n = 6, 0.929 at 7, 0.881 at 8, 0.833 at 9 (Zar 1972). */
Test(stats, few_samples_drift_by_the_exact_distribution)
{
    const double five[] = { 1, 2, 3, 4, 5 };
    cr_assert_not(rb_stats_of(five, 5).drifts, "2 of 120 orders are as extreme: 1.7 %%");
    const double six[] = { 6, 5, 4, 3, 2, 1 }, almost[] = { 1, 2, 3, 4, 6, 5 };
    cr_assert(rb_stats_of(six, 6).drifts);
    cr_assert_not(rb_stats_of(almost, 6).drifts, "0.943: t alone would call it a drift");
    const double over[] = { 2, 1, 3, 4, 5, 7, 6 }, under[] = { 2, 3, 1, 4, 5, 6, 7 };
    near(rb_stats_of(over, 7).drift, 1 - 6.0 * 4 / 336); /* 0.9286 */
    cr_assert(rb_stats_of(over, 7).drifts);
    near(rb_stats_of(under, 7).drift, 1 - 6.0 * 6 / 336); /* 0.8929 */
    cr_assert_not(rb_stats_of(under, 7).drifts);
    const double nine[] = { 3, 1, 2, 5, 4, 6, 9, 8, 7 }; /* sum d^2 = 16: 0.867 */
    const double less[] = { 4, 1, 3, 2, 5, 6, 9, 8, 7 }; /* 9+1+0+4+0+0+4+0+4 = 22: 0.817 */
    cr_assert(rb_stats_of(nine, 9).drifts);
    cr_assert_not(rb_stats_of(less, 9).drifts);
}

/* Nothing but chance, at the sizes either side of where the approximation takes over. */
Test(stats, chance_drifts_in_one_percent_of_cases)
{
    enum { TRIALS = 10000 };
    static const int size[] = { 7, 9, 10, 30 };
    uint64_t state = 7;
    double x[30];
    for (int k = 0; k < 4; k++) {
        int n_drift = 0;
        for (int t = 0; t < TRIALS; t++) {
            for (int i = 0; i < size[k]; i++)
                x[i] = uniform(&state);
            n_drift += rb_stats_of(x, size[k]).drifts;
        }
        double share = (double)n_drift / TRIALS;
        cr_assert(share > 0.004 && share < 0.0165, "n = %d drifts in %g", size[k], share);
    }
    for (int i = 0; i < 30; i++)
        x[i] = i + 10 * uniform(&state);
    cr_assert(rb_stats_of(x, 30).drifts);
}

/* ---- outliers ---- */

Test(stats, outliers_are_marked_and_kept)
{
    const double x[] = { 10, 11, 12, 13, 14, 12 + 5 * 1.4826, 12 + 5 * 1.4826 + 0.01, 9, 15 };
    rb_stats s = rb_stats_of(x, 9);
    near(s.median, 12.0 + 1);
    near(s.mad, 2);
    near(s.outlier_at, 5 * 1.4826 * 2);
    cr_assert_eq(s.n_outlier, 0);
    const double wild[] = { 10, 11, 12, 13, 14, 1000, 10, 11, -500 };
    s = rb_stats_of(wild, 9);
    cr_assert_eq(s.n_outlier, 2);
    cr_assert_eq(s.n, 9);
    near(s.max, 1000);
    cr_assert(rb_stats_outlier(&s, wild[5]));
    cr_assert(rb_stats_outlier(&s, wild[8]));
    cr_assert_not(rb_stats_outlier(&s, wild[0]));
}

Test(stats, a_coarse_clock_makes_no_outliers)
{
    double x[] = { 100, 100, 100, 100, 100, 100, 100, 101, 101, 99 };
    rb_stats s = rb_stats_of(x, 10);
    near(s.mad, 0);
    cr_assert_eq(s.n_outlier, 0);
    x[9] = 500;
    cr_assert_eq(rb_stats_of(x, 10).n_outlier, 1);
    for (int i = 0; i < 10; i++)
        x[i] = 7;
    cr_assert_eq(rb_stats_of(x, 10).n_outlier, 0);
}

Test(stats, as_many_samples_as_a_test_can_have)
{
    enum { MANY = RB_MAX_REPS };
    double x[MANY];
    for (int i = 0; i < MANY; i++)
        x[i] = (double)((i * 7919) % MANY);
    rb_stats s = rb_stats_of(x, MANY);
    cr_assert_eq(s.n, MANY);
    near(s.median, (MANY - 1) / 2.0);
    cr_assert(s.ci_lo < s.median && s.median < s.ci_hi);
    cr_assert_eq(rb_stats_of(NULL, 0).n, 0);
}
