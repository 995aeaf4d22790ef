/* Sums over decode steps by weights that each sample gets: in a broken line, or in one line.
 * Refuses samples that do not rise, are no times, or lie far from the steps.
 * Read next: integrate.h, workloads.c (who sums). */
#include "../bench.h"

#include <math.h>

int rb_integrate_at(int64_t first, int64_t n_steps, int64_t n_each, int64_t at[RB_MOST_CONTEXTS])
{
    const int64_t span = n_steps - n_each; /* between the middles of the first and the last test */
    const int want = n_steps > 1024 ? 5 : 3;
    int n = 0;
    if (n_steps < 1 || n_each < 1)
        return 0;
    at[n++] = first;
    for (int i = 1; i < want && 5 * (n_each - 1) <= span; i++) { /* see check */
        const int64_t next = first + (span * i + (want - 1) / 2) / (want - 1);
        if (next > at[n - 1])
            at[n++] = next;
    }
    return n;
}

/* ---- times ---- */

/* What sample i gets of the sum: of lines from sample to sample, the outer ones prolonged. */
static void weights_of_pieces(const rb_step_time *s, int n, int64_t first, int64_t n_steps,
                              double *weight)
{
    const double end = (double)(first + n_steps);
    for (int i = 0; i < n; i++)
        weight[i] = n == 1 ? (double)n_steps : 0;
    for (int i = 0; i + 1 < n; i++) {
        const double from = i ? fmax(ceil(s[i].context), (double)first) : (double)first;
        const double to = i + 2 < n ? fmin(ceil(s[i + 1].context), end) : end; /* without it */
        const double k = fmax(0, to - from);
        const double right =
            k * ((from + to - 1) / 2 - s[i].context) / (s[i + 1].context - s[i].context);
        weight[i] += k - right;
        weight[i + 1] += right;
    }
}

static void weights_of_line(const rb_step_time *s, int n, int64_t first, int64_t n_steps,
                            double *weight)
{
    double mean = 0, square = 0;
    for (int i = 0; i < n; i++)
        mean += s[i].context / n;
    for (int i = 0; i < n; i++)
        square += (s[i].context - mean) * (s[i].context - mean);
    const double middle = (double)first + (double)(n_steps - 1) / 2;
    for (int i = 0; i < n; i++) {
        const double tilt = n > 1 ? (middle - mean) * (s[i].context - mean) / square : 0;
        weight[i] = (double)n_steps * (1.0 / n + tilt);
    }
}

static rb_status check(const rb_step_time *s, int n, int64_t first, int64_t n_steps, rb_error *err)
{
    const double last = (double)(first + n_steps - 1), middle = ((double)first + last) / 2;
    if (n < 1 || n > RB_MAX_REPS || first < 0 || n_steps < 1)
        return rb_fail(err, RB_ERR_ARGUMENT, "%d samples for %lld steps", n, (long long)n_steps);
    const double spare = n > 1 ? (s[n - 1].context - s[0].context) / 10 : 0.5;
    for (int i = 0; i < n; i++) {
        const rb_step_time *at = &s[i];
        if (!isfinite(at->context) || !(at->ns > 0) || !isfinite(at->hi) || !(at->lo <= at->ns) ||
            !(at->ns <= at->hi) || !(at->lo >= 0))
            return rb_fail(err, RB_ERR_ARGUMENT, "sample %d of decode steps is no time", i + 1);
        if (i && !(at->context > s[i - 1].context))
            return rb_fail(err, RB_ERR_ARGUMENT, "samples of decode steps do not rise in context");
    }
    if (n == 1 ? fabs(s[0].context - middle) > spare
               : (double)first < s[0].context - spare || last > s[n - 1].context + spare)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "steps at contexts %lld to %.0f are beyond samples at %g to %g",
                       (long long)first, last, s[0].context, s[n - 1].context);
    return RB_OK;
}

rb_status rb_integrate_time(const rb_step_time *s, int n, int64_t first, int64_t n_steps,
                            rb_steps_time *sum, rb_error *err)
{
    double weight[RB_MAX_REPS], line[RB_MAX_REPS];
    const rb_status st = check(s, n, first, n_steps, err);
    if (st != RB_OK)
        return st;
    weights_of_pieces(s, n, first, n_steps, weight);
    weights_of_line(s, n, first, n_steps, line);
    *sum = (rb_steps_time){ 0 };
    for (int i = 0; i < n; i++) {
        const double w = weight[i];
        sum->ns += w * s[i].ns;
        sum->lo += w * (w > 0 ? s[i].lo : s[i].hi);
        sum->hi += w * (w > 0 ? s[i].hi : s[i].lo);
        sum->line_ns += line[i] * s[i].ns;
    }
    sum->bend = fabs(sum->line_ns - sum->ns) / sum->ns;
    return RB_OK;
}
