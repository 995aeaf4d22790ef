/* The clock and the statistics of repeated timings: median and MAD, a confidence interval that
 * assumes no distribution, drift over time, outliers. No sample is ever dropped, and no confidence
 * is claimed where there are too few.
 * Read next: trial.c, which takes the samples; noise.c, what disturbed them. */
#define _GNU_SOURCE
#include "bench.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double ci_confidence = 0.95;
static const double drift_alpha = 0.01, z_at_1_percent = 2.5758293035489004; /* two-sided */
static const double outlier_sigmas = 5;

enum { EXACT_DRIFT = 9 }; /* samples up to which all n! orders are looked at */

/* ---- the clock ---- */

rb_roof rb_clock_roof(void)
{
    enum { SAMPLES = 15, READS = 256 };
    double cost[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        const uint64_t start = rb_now_ns();
        for (int k = 1; k < READS; k++)
            rb_now_ns();
        cost[i] = (double)(rb_now_ns() - start) / READS;
    }
    const rb_stats s = rb_stats_of(cost, SAMPLES);
    return (rb_roof){ .value = s.median, .ci95 = { s.ci_lo, s.ci_hi }, .mad = s.mad, .n = SAMPLES };
}

/* ---- order ---- */

typedef struct ranked {
    double x;
    int at; /* its place in time, from 0 */
} ranked;

static int by_value(const void *a, const void *b)
{
    double x = ((const ranked *)a)->x, y = ((const ranked *)b)->x;
    return (x > y) - (x < y);
}

static double sorted_median(const ranked *r, int n)
{
    return n % 2 ? r[n / 2].x : (r[n / 2 - 1].x + r[n / 2].x) / 2;
}

/* ---- the interval of the median ---- */

/* The number of samples below the median is Binomial(n, 1/2), so [x(k), x(n+1-k)] misses it with
 * probability 2 P(B < k), less with ties (David and Nagaraja, Order Statistics, section 7.1). */
int rb_median_ci_rank(int n)
{
    const double allowed = (1 - ci_confidence) / 2;
    double below = 0;
    int k = 0, sign;
    while (k < n / 2) {
        double log_ways =
            lgamma_r(n + 1.0, &sign) - lgamma_r(k + 1.0, &sign) - lgamma_r(n - k + 1.0, &sign);
        below += exp(log_ways - n * M_LN2); /* P(B = k) */
        if (below > allowed)
            break;
        k++;
    }
    return k;
}

/* ---- drift ---- */

/* rank[time] of sorted samples, ties sharing their mean rank; doubled and centred to stay integers
 * that sum to zero. False if all samples are equal. */
static bool centred_ranks(const ranked *r, int n, int64_t *rank)
{
    for (int i = 0, j; i < n; i = j) {
        for (j = i; j < n && r[j].x == r[i].x; j++)
            ;
        for (int k = i; k < j; k++)
            rank[r[k].at] = (int64_t)i + j - n;
    }
    return r[0].x < r[n - 1].x;
}

/* What time i contributes to: its own rank, doubled and centred likewise. */
static int64_t time_rank(int i, int n)
{
    return 2 * (int64_t)i + 1 - n;
}

/* How many orders of rank[first .. n-1] bring |sum of products| to at least `limit`. */
static int64_t as_extreme(int64_t *rank, int first, int n, int64_t sum, int64_t limit)
{
    if (first == n)
        return llabs(sum) >= limit;
    int64_t count = 0;
    for (int i = first; i < n; i++) {
        int64_t chosen = rank[i];
        rank[i] = rank[first];
        rank[first] = chosen;
        count += as_extreme(rank, first + 1, n, sum + chosen * time_rank(first, n), limit);
        rank[first] = rank[i];
        rank[i] = chosen;
    }
    return count;
}

/* Cornish-Fisher, Abramowitz and Stegun 26.7.5. */
double rb_t_quantile(double z, double freedom)
{
    const double z2 = z * z;
    double g1 = z * (z2 + 1) / 4, g2 = z * (z2 * (5 * z2 + 16) + 3) / 96;
    double g3 = z * (z2 * (z2 * (3 * z2 + 19) + 17) - 15) / 384;
    return z + (g1 + (g2 + g3 / freedom) / freedom) / freedom;
}

/* Of few samples the t approximation calls too much a drift (Zar 1972), so there the exact share of
 * all orders, ties included, has to agree. Fewer than six never show one: 2 / 5! > 1 %. */
static bool is_drift(int64_t *rank, int n, double rho, int64_t sum)
{
    double limit = rb_t_quantile(z_at_1_percent, n - 2);
    if (n < 6 || rho * rho * (n - 2) < limit * limit * (1 - rho * rho))
        return false;
    if (n > EXACT_DRIFT)
        return true;
    int64_t orders = 1;
    for (int i = 2; i <= n; i++)
        orders *= i;
    return (double)as_extreme(rank, 0, n, 0, llabs(sum)) <= drift_alpha * (double)orders;
}

/* Spearman's coefficient is Pearson's, of the ranks. */
static void find_drift(rb_stats *s, const ranked *r, int64_t *rank)
{
    int n = s->n;
    s->drift = NAN;
    if (n < 3 || !centred_ranks(r, n, rank))
        return;
    int64_t sum = 0;
    double rank_square = 0, time_square = 0;
    for (int i = 0; i < n; i++) {
        int64_t t = time_rank(i, n);
        sum += t * rank[i];
        rank_square += (double)(rank[i] * rank[i]);
        time_square += (double)(t * t);
    }
    s->drift = (double)sum / sqrt(rank_square * time_square);
    s->drifts = is_drift(rank, n, s->drift, sum);
}

/* ---- outliers ---- */

/* Five standard deviations, estimated from the MAD as of a normal distribution. A MAD of 0 (half of
 * the samples are equal, as with a coarse clock) says nothing of the rest: then from the mean
 * |x - median| (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993). */
static double outlier_distance(double mad, double mean_deviation)
{
    return outlier_sigmas * (mad > 0 ? 1.4826 * mad : 1.253314 * mean_deviation);
}

bool rb_stats_outlier(const rb_stats *s, double sample)
{
    return fabs(sample - s->median) > s->outlier_at;
}

/* ---- all of it ---- */

static void find_moments(rb_stats *s, const double *x)
{
    double square = 0;
    for (int i = 0; i < s->n; i++)
        s->mean += x[i] / s->n;
    for (int i = 0; i < s->n; i++)
        square += (x[i] - s->mean) * (x[i] - s->mean);
    s->stddev = s->n > 1 ? sqrt(square / (s->n - 1)) : 0;
}

rb_stats rb_stats_of(const double *samples, int n)
{
    rb_stats s = { .drift = NAN, .n = n };
    ranked r[RB_MAX_REPS];
    int64_t rank[RB_MAX_REPS];
    assert(n >= 0 && n <= RB_MAX_REPS);
    if (!n)
        return s;
    for (int i = 0; i < n; i++)
        r[i] = (ranked){ samples[i], i };
    qsort(r, (size_t)n, sizeof *r, by_value);
    s.min = r[0].x;
    s.max = r[n - 1].x;
    s.median = sorted_median(r, n);
    find_moments(&s, samples);
    int k = rb_median_ci_rank(n);
    s.has_ci = k > 0;
    s.ci_lo = k ? r[k - 1].x : 0;
    s.ci_hi = k ? r[n - k].x : 0;
    find_drift(&s, r, rank);
    double deviation = 0;
    for (int i = 0; i < n; i++) {
        r[i].x = fabs(samples[i] - s.median);
        deviation += r[i].x / n;
    }
    qsort(r, (size_t)n, sizeof *r, by_value);
    s.mad = sorted_median(r, n);
    s.outlier_at = outlier_distance(s.mad, deviation);
    for (int i = 0; i < n; i++)
        s.n_outlier += rb_stats_outlier(&s, samples[i]);
    return s;
}

int rb_median_index(const uint64_t *samples, int n)
{
    for (int i = 0; i < n; i++) {
        int below = 0, equal = 0;
        for (int j = 0; j < n; j++) {
            below += samples[j] < samples[i];
            equal += samples[j] == samples[i];
        }
        if (below <= (n - 1) / 2 && below + equal > (n - 1) / 2)
            return i;
    }
    return 0;
}
