/* Two sets of samples held against each other by ranks: the test of Mann and Whitney, the interval
 * of Hodges and Lehmann that inverts it, and the least effect that such samples could have shown.
 * No interval is claimed where there are too few. Read next: compare.c, which has the samples. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double alpha = 0.05, z_at_alpha = 1.959963984540054; /* two-sided */
static const double z_at_power = 0.8416212335729143;              /* 0.8 */

enum { EXACT = 50 }; /* samples of a set up to which orders are counted */

/* ---- how U is distributed if nothing differs ---- */

/* U: how many of the n_a n_b pairs (a, b) have a > b, a tie being half of one. */
typedef struct orders {
    int n_a, n_b, top; /* U is at most top */
    double *ways;      /* [top + 1]: orders of the samples that give U; NULL: the normal law */
    double all;        /* sum of ways */
    double sigma;      /* of the normal law, around top / 2 */
} orders;

/* The coefficients of prod (1 - q^(n_b + i)) / (1 - q^i), i = 1 .. n_a (Harding, An Efficient,
 * Unified Method for Generating the Exact Distribution of the Mann-Whitney U, Applied Statistics
 * 33, 1984). */
static void count_orders(orders *o)
{
    o->ways[0] = 1;
    for (int i = 1; i <= o->n_a; i++) {
        for (int u = o->top; u >= o->n_b + i; u--)
            o->ways[u] -= o->ways[u - o->n_b - i];
        for (int u = i; u <= o->top; u++)
            o->ways[u] += o->ways[u - i];
    }
    for (int u = 0; u <= o->top; u++)
        o->all += o->ways[u];
}

/* tied: sum of t^3 - t over groups of t equal samples. */
static orders orders_of(int n_a, int n_b, double tied)
{
    const double n = n_a + n_b;
    orders o = { .n_a = n_a, .n_b = n_b, .top = n_a * n_b };
    o.sigma = sqrt(o.top / 12.0 * (n + 1 - tied / (n * (n - 1))));
    if (tied || n_a > EXACT || n_b > EXACT)
        return o;
    if (!(o.ways = calloc((size_t)o.top + 1, sizeof *o.ways)))
        rb_out_of_memory(); /* the normal law would be another answer */
    count_orders(&o);
    return o;
}

/* P(U <= u); by the normal law with a correction for continuity (Hollander, Wolfe and Chicken,
 * Nonparametric Statistical Methods, section 4.1). */
static double chance_of(const orders *o, double u)
{
    double sum = 0;
    if (!o->ways)
        return o->sigma > 0 ? erfc((o->top / 2.0 - u - 0.5) / o->sigma * M_SQRT1_2) / 2 : 1;
    for (int k = 0; k <= u; k++)
        sum += o->ways[k];
    return sum / o->all;
}

/* The largest k such that 2 P(U <= k - 1) <= alpha; 0: there is none. */
static int critical_of(const orders *o)
{
    int below = 0, above = o->top; /* of the normal law all k are tried as well: it is monotone */
    while (below < above) {
        const int k = below + (above - below + 1) / 2;
        if (2 * chance_of(o, k - 1) <= alpha)
            below = k;
        else
            above = k - 1;
    }
    return below;
}

/* ---- samples ---- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sum of t^3 - t over groups of t equal samples; all is sorted for it. */
static double ties_of(double *all, int n)
{
    double sum = 0;
    qsort(all, (size_t)n, sizeof *all, by_value);
    for (int i = 0, j; i < n; i = j) {
        for (j = i; j < n && all[j] == all[i]; j++)
            ;
        const double t = j - i;
        sum += t * t * t - t;
    }
    return sum;
}

/* Sum of (log x - mean)^2. */
static double spread_of(const double *x, int n)
{
    double mean = 0, sum = 0;
    for (int i = 0; i < n; i++)
        mean += log(x[i]) / n;
    for (int i = 0; i < n; i++)
        sum += (log(x[i]) - mean) * (log(x[i]) - mean);
    return sum;
}

/* exp((t(0.975) + t(0.8)) s sqrt(1/n_a + 1/n_b) sqrt(pi/3)): the effect for which Student's test of
 * logarithms has a power of 0.8 at 0.05, s being their pooled deviation and t quantiles of n_a +
 * n_b
 * - 2 degrees of freedom, widened by the efficiency 3/pi that ranks have where logarithms are
 * normal (Lehmann, Nonparametrics, section 2.4). */
static double least_of(const double *a, int n_a, const double *b, int n_b)
{
    const double freedom = n_a + n_b - 2;
    const double s = sqrt((spread_of(a, n_a) + spread_of(b, n_b)) / freedom);
    const double t = rb_t_quantile(z_at_alpha, freedom) + rb_t_quantile(z_at_power, freedom);
    return exp(t * s * sqrt((1.0 / n_a + 1.0 / n_b) * M_PI / 3));
}

/* ---- both ---- */

static double u_of(const double *a, int n_a, const double *b, int n_b)
{
    double u = 0;
    for (int i = 0; i < n_a; i++)
        for (int k = 0; k < n_b; k++)
            u += a[i] > b[k] ? 1 : a[i] == b[k] ? 0.5 : 0;
    return u;
}

static void find_p(rb_ratio *r, const double *a, const double *b, double *all)
{
    memcpy(all, a, (size_t)r->n_a * sizeof *a);
    memcpy(all + r->n_a, b, (size_t)r->n_b * sizeof *b);
    orders o = orders_of(r->n_a, r->n_b, ties_of(all, r->n_a + r->n_b));
    const double u = u_of(a, r->n_a, b, r->n_b);
    r->p = fmin(1, 2 * chance_of(&o, fmin(u, o.top - u)));
    r->exact = o.ways != NULL;
    free(o.ways);
}

/* The kth smallest and the kth largest of all ratios: the factors by which b divided gives a U that
 * is not rejected (Hodges and Lehmann, Estimates of Location Based on Rank Tests, 1963; Hollander,
 * Wolfe and Chicken, sections 4.2 and 4.3). Of samples without ties, whatever b is divided by. */
static void find_factor(rb_ratio *r, const double *a, const double *b, double *all)
{
    orders o = orders_of(r->n_a, r->n_b, 0);
    const int k = critical_of(&o), n = o.top;
    free(o.ways);
    for (int i = 0; i < n; i++)
        all[i] = b[i % r->n_b] / a[i / r->n_b];
    qsort(all, (size_t)n, sizeof *all, by_value);
    r->ratio = n % 2 ? all[n / 2] : sqrt(all[n / 2 - 1] * all[n / 2]);
    r->has_ci = k > 0;
    r->ci_lo = k ? all[k - 1] : 0;
    r->ci_hi = k ? all[n - k] : 0;
}

rb_ratio rb_ratio_of(const double *a, int n_a, const double *b, int n_b)
{
    rb_ratio r = { .least = NAN };
    if (n_a < 1 || n_b < 1)
        return r;
    double *all = malloc(((size_t)n_a * (size_t)n_b + 1) * sizeof *all); /* at least n_a + n_b */
    if (!all)
        rb_out_of_memory();
    r.n_a = n_a;
    r.n_b = n_b;
    find_p(&r, a, b, all);
    find_factor(&r, a, b, all);
    if (r.has_ci)
        r.least = least_of(a, n_a, b, n_b);
    free(all);
    return r;
}
