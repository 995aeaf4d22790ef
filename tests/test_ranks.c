/* Two sets of samples by their ranks: p and critical values that stand in tables, all orders
 * counted one by one, and how often intervals, tests and least effects keep what they promise on
 * simulated times. Nothing is measured here. Read next: ../bench/ranks.c. */
#include "../bench/bench.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void near(double got, double want)
{
    cr_assert_float_eq(got, want, 1e-9 * fabs(want) + 1e-12, "%.12g is not %.12g", got, want);
}

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(*state >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(uint64_t *state)
{
    return sqrt(-2 * log(uniform(state))) * cos(2 * M_PI * uniform(state));
}

/* Times of a test: most near each other, some disturbed and longer. */
static double skewed(uint64_t *state)
{
    return 0.02 * -log(uniform(state)) + (uniform(state) < 0.1 ? 0.2 : 0);
}

static void fill(double *x, int n, double log_factor, double (*noise)(uint64_t *), double sigma,
                 uint64_t *state)
{
    for (int i = 0; i < n; i++)
        x[i] = 1e6 * exp(log_factor + sigma * noise(state));
}

/* ---- p ---- */

/* n and n samples, one set wholly below the other: 2 of the (2n)! / n!^2 orders. */
Test(ranks, p_of_sets_that_do_not_overlap)
{
    static const double orders[] = { 0, 2, 6, 20, 70, 252, 924, 3432, 12870 };
    double a[8], b[8];
    for (int n = 1; n <= 8; n++) {
        for (int i = 0; i < n; i++)
            a[i] = i + 1, b[i] = i + 10;
        const rb_ratio r = rb_ratio_of(a, n, b, n);
        near(r.p, fmin(1, 2 / orders[n]));
        cr_assert(r.exact);
        cr_assert_eq(r.has_ci, n >= 4, "3 and 3 never differ at 5 %%");
        cr_assert_eq(isnan(r.least), n < 4);
    }
}

/* Sums of partitions of at most 6 parts of at most 6: 1 1 2 3 5 7 11. */
Test(ranks, p_of_the_two_sides_of_a_critical_value)
{
    const double five[] = { 1, 2, 3, 4, 5, 11 }, above_five[] = { 6, 7, 8, 9, 10, 12 };
    const double six[] = { 1, 2, 3, 4, 5, 12 }, above_six[] = { 6, 7, 8, 9, 10, 11 };
    near(rb_ratio_of(five, 6, above_five, 6).p, 2 * 19 / 924.0);
    near(rb_ratio_of(above_five, 6, five, 6).p, 2 * 19 / 924.0);
    near(rb_ratio_of(six, 6, above_six, 6).p, 2 * 30 / 924.0);
}

/* P of a U at most (above the middle: at least) as far out, by each of the orders. */
static double p_by_orders(const double *a, int n_a, const double *b, int n_b)
{
    const int n = n_a + n_b;
    double x[16];
    int extreme = 0, all = 0, u_of_ours = 0;
    for (int i = 0; i < n_a * n_b; i++)
        u_of_ours += a[i / n_b] > b[i % n_b];
    const int far = u_of_ours < n_a * n_b - u_of_ours ? u_of_ours : n_a * n_b - u_of_ours;
    for (int i = 0; i < n; i++)
        x[i] = i;
    for (unsigned set = 0; set < 1u << n; set++) {
        if (__builtin_popcount(set) != n_a)
            continue;
        int u = 0;
        for (int i = 0; i < n; i++)
            for (int k = 0; k < n; k++)
                u += (set >> i & 1) && !(set >> k & 1) && x[i] > x[k];
        extreme += u <= far;
        all++;
    }
    return fmin(1, 2.0 * extreme / all);
}

Test(ranks, p_is_that_of_all_orders)
{
    uint64_t state = 3;
    double a[7], b[7];
    for (int t = 0; t < 60; t++) {
        const int n_a = 1 + t % 7, n_b = 1 + t / 7 % 7;
        fill(a, n_a, 0, normal, 0.1, &state);
        fill(b, n_b, 0.1 * (t % 3), normal, 0.1, &state);
        const rb_ratio r = rb_ratio_of(a, n_a, b, n_b);
        near(r.p, p_by_orders(a, n_a, b, n_b));
    }
}

/* By hand: U = 2.5 of 16, groups of 3 and 2 equal ones (sum of t^3 - t: 30), sigma^2 = 16/12 (9 -
 * 30/56), z = (2.5 - 8 + 1/2) / 3.35942. */
Test(ranks, ties_have_the_normal_law)
{
    const double a[] = { 1, 2, 2, 3 }, b[] = { 2, 3, 4, 5 }, same[] = { 7, 7, 7, 7, 7, 7 };
    rb_ratio r = rb_ratio_of(a, 4, b, 4);
    cr_assert_not(r.exact);
    near(r.p, erfc(5 / sqrt(16 / 12.0 * (9 - 30 / 56.0)) / sqrt(2)));
    cr_assert_float_eq(r.p, 0.13666, 1e-4, "%g", r.p);
    r = rb_ratio_of(same, 6, same, 6);
    near(r.p, 1);
    near(r.ratio, 1);
    cr_assert(r.has_ci && r.ci_lo == 1 && r.ci_hi == 1 && r.least == 1);
}

static int by_value(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Where orders are no longer counted, the law that takes over says much the same. */
Test(ranks, the_normal_law_takes_over_smoothly)
{
    uint64_t state = 5;
    double a[51], b[50], tied[50];
    for (int t = 0; t < 20; t++) {
        fill(a, 51, 0, normal, 0.1, &state);
        fill(b, 50, 0.04, normal, 0.1, &state);
        const rb_ratio counted = rb_ratio_of(a, 50, b, 50), law = rb_ratio_of(a, 51, b, 50);
        cr_assert(counted.exact && !law.exact);
        cr_assert_float_eq(law.ci_lo, counted.ci_lo, 0.01);
        cr_assert_float_eq(law.ci_hi, counted.ci_hi, 0.01);
        memcpy(tied, a, sizeof tied);
        qsort(tied, 50, sizeof *tied, by_value);
        tied[0] = tied[1]; /* one tie, nearly the same ranks */
        const rb_ratio by_law = rb_ratio_of(tied, 50, b, 50);
        cr_assert(!by_law.exact);
        cr_assert_float_eq(by_law.p, counted.p, 0.02, "%g, %g", by_law.p, counted.p);
    }
}

/* ---- the interval ---- */

/* Critical values of U, two-sided at 5 %, as tables have them: the interval leaves out as many
 * ratios at each end. */
Test(ranks, the_interval_ends_at_critical_values)
{
    static const int known[][3] = { { 4, 4, 0 },    { 5, 5, 2 },     { 6, 6, 5 },    { 7, 7, 8 },
                                    { 8, 8, 13 },   { 9, 9, 17 },    { 10, 10, 23 }, { 12, 12, 37 },
                                    { 15, 15, 64 }, { 20, 20, 127 }, { 2, 8, 0 },    { 3, 8, 2 },
                                    { 5, 8, 6 },    { 6, 10, 11 },   { 10, 20, 55 } };
    uint64_t state = 9;
    double a[20], b[20], all[400];
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        const int n_a = known[k][0], n_b = known[k][1], u = known[k][2], n = n_a * n_b;
        fill(a, n_a, 0, normal, 0.1, &state);
        fill(b, n_b, 0, normal, 0.1, &state);
        for (int i = 0; i < n; i++)
            all[i] = b[i / n_a] / a[i % n_a];
        qsort(all, (size_t)n, sizeof *all, by_value);
        const rb_ratio r = rb_ratio_of(a, n_a, b, n_b);
        cr_assert(r.has_ci);
        near(r.ci_lo, all[u]);
        near(r.ci_hi, all[n - 1 - u]);
        near(r.ratio, n % 2 ? all[n / 2] : sqrt(all[n / 2 - 1] * all[n / 2]));
    }
    cr_assert_not(rb_ratio_of(a, 3, b, 4).has_ci);
    cr_assert_not(rb_ratio_of(a, 2, b, 7).has_ci);
}

/* Exchanged sets give the reciprocal, another unit nothing, and 1 is outside of the interval just
 * where the test rejects it. */
Test(ranks, test_and_interval_agree)
{
    uint64_t state = 11;
    double a[30], b[30];
    int rejected = 0;
    for (int t = 0; t < 500; t++) {
        const int n_a = 1 + t % 30, n_b = 1 + t * 7 % 30;
        fill(a, n_a, 0, t % 2 ? normal : skewed, 0.1, &state);
        fill(b, n_b, 0.05 * (t % 4), t % 2 ? normal : skewed, 0.1, &state);
        const rb_ratio r = rb_ratio_of(a, n_a, b, n_b), turned = rb_ratio_of(b, n_b, a, n_a);
        const bool outside = r.has_ci && (r.ci_lo > 1 || r.ci_hi < 1);
        cr_assert_eq(outside, r.p <= 0.05, "%d and %d: p %g, %g to %g", n_a, n_b, r.p, r.ci_lo,
                     r.ci_hi);
        near(turned.p, r.p);
        near(turned.ratio, 1 / r.ratio);
        if (r.has_ci) {
            cr_assert(r.ci_lo <= r.ratio && r.ratio <= r.ci_hi && r.least >= 1);
            near(turned.ci_lo, 1 / r.ci_hi);
            near(turned.least, r.least);
        }
        rejected += outside;
        for (int i = 0; i < n_a; i++)
            a[i] *= 4; /* exact */
        near(rb_ratio_of(a, n_a, b, n_b).ratio, r.ratio / 4);
    }
    cr_assert(rejected > 100 && rejected < 400, "%d", rejected);
}

/* Both promises at once: 95 % of intervals hold the true factor, 5 % of tests see one where there
 * is none, and neither is much more cautious than whole ranks make it. */
static void check_promises(int n_a, int n_b, double (*noise)(uint64_t *), double sigma)
{
    enum { TRIALS = 4000 };
    const double factor = 1.1;
    double a[30], b[30];
    uint64_t state = 100 + (uint64_t)n_a;
    int holds = 0, seen = 0;
    for (int t = 0; t < TRIALS; t++) {
        fill(a, n_a, 0, noise, sigma, &state);
        fill(b, n_b, log(factor), noise, sigma, &state);
        rb_ratio r = rb_ratio_of(a, n_a, b, n_b);
        holds += r.ci_lo <= factor && factor <= r.ci_hi;
        for (int i = 0; i < n_b; i++)
            b[i] /= factor;
        seen += rb_ratio_of(a, n_a, b, n_b).p < 0.05;
    }
    const double held = (double)holds / TRIALS, false_alarm = (double)seen / TRIALS;
    cr_expect(held > 0.94 && held < 0.975, "%d and %d: %g hold it", n_a, n_b, held);
    cr_expect(false_alarm > 0.025 && false_alarm < 0.06, "%d and %d: %g seen", n_a, n_b,
              false_alarm);
}

Test(ranks, promises_are_kept_by_few_and_by_many)
{
    static const int size[][2] = { { 6, 6 }, { 10, 10 }, { 6, 12 }, { 30, 30 } };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        check_promises(size[i][0], size[i][1], normal, 0.03);
        check_promises(size[i][0], size[i][1], skewed, 1);
    }
}

/* Samples without a difference say which would show; such a one shows in about four of five cases,
 * fewer where so few samples tell of their spread. */
Test(ranks, the_least_effect_is_mostly_seen)
{
    static const int size[][2] = { { 6, 6 }, { 10, 10 }, { 8, 20 }, { 30, 30 } };
    enum { TRIALS = 3000 };
    double a[30], b[30];
    for (size_t k = 0; k < sizeof size / sizeof *size; k++) {
        uint64_t state = 17;
        int seen = 0;
        for (int t = 0; t < TRIALS; t++) {
            fill(a, size[k][0], 0, normal, 0.02, &state);
            fill(b, size[k][1], 0, normal, 0.02, &state);
            const double least = rb_ratio_of(a, size[k][0], b, size[k][1]).least;
            cr_assert_gt(least, 1);
            fill(a, size[k][0], 0, normal, 0.02, &state);
            fill(b, size[k][1], t % 2 ? log(least) : -log(least), normal, 0.02, &state);
            seen += rb_ratio_of(a, size[k][0], b, size[k][1]).p < 0.05;
        }
        const double power = (double)seen / TRIALS;
        cr_expect(power > 0.68 && power < 0.86, "%d and %d: %g", size[k][0], size[k][1], power);
    }
}

/* ---- the ends ---- */

Test(ranks, nothing_is_claimed_of_nothing)
{
    const double x[] = { 3 };
    cr_assert_eq(rb_ratio_of(x, 1, x, 0).n_a, 0);
    cr_assert_eq(rb_ratio_of(x, 0, x, 1).n_b, 0);
    const rb_ratio one = rb_ratio_of(x, 1, x, 1);
    cr_assert(one.n_a == 1 && one.ratio == 1 && one.p == 1 && !one.has_ci && isnan(one.least));
}

Test(ranks, as_many_samples_as_a_record_holds)
{
    uint64_t state = 23;
    double *x = malloc(2 * RB_MAX_REPS * sizeof *x), *y = x + RB_MAX_REPS;
    fill(x, RB_MAX_REPS, 0, normal, 0.1, &state);
    fill(y, RB_MAX_REPS, 0.02, normal, 0.1, &state);
    const rb_ratio r = rb_ratio_of(x, RB_MAX_REPS, y, RB_MAX_REPS);
    cr_assert(r.has_ci && r.ci_lo < exp(0.02) && r.ci_hi > exp(0.02) && r.p < 0.01 && !r.exact);
    cr_assert_float_eq(r.ci_hi / r.ci_lo, exp(2 * 1.96 * 0.1 * sqrt(2.0 / RB_MAX_REPS)), 0.002);
    free(x);
}
