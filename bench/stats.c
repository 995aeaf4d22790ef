/* The clock and the statistics of repeated timings: median and MAD, as timings have outliers on one
 * side only. No confidence is claimed here.
 * Read next: run.c, which takes the samples. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t rb_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double sorted_median(const double *x, int n)
{
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

rb_stats rb_stats_of(const double *samples, int n)
{
    double x[RB_MAX_REPS];
    n = n < RB_MAX_REPS ? n : RB_MAX_REPS;
    rb_stats s = { .n = n };
    memcpy(x, samples, (size_t)n * sizeof *x);
    qsort(x, (size_t)n, sizeof *x, by_value);
    s.min = x[0];
    s.max = x[n - 1];
    s.median = sorted_median(x, n);
    for (int i = 0; i < n; i++)
        s.mean += x[i] / n;
    double square = 0;
    for (int i = 0; i < n; i++)
        square += (x[i] - s.mean) * (x[i] - s.mean);
    s.stddev = n > 1 ? sqrt(square / (n - 1)) : 0;
    for (int i = 0; i < n; i++)
        x[i] = fabs(x[i] - s.median);
    qsort(x, (size_t)n, sizeof *x, by_value);
    s.mad = sorted_median(x, n);
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
