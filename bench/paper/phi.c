/* Phi and its parts, and how often two figures order the same points differently.
 * Refuses to choose a unit: the mixed form adds FLOP/byte to whatever the rates are in.
 * Read next: phi.h, ../result.c. */
#include "paper.h"

#include <math.h>

rb_phi rb_phi_of(double oi, double p, double pi, double beta)
{
    rb_phi f = { NAN, NAN, NAN, NAN };
    if (!(pi > 0) || !(beta > 0))
        return f;
    const double away = pi / beta - oi, below = pi - p;
    f.mixed = away > 0 ? sqrt(away * away + below * below) : below;
    if (!(oi > 0) || !(p > 0))
        return f;
    f.a = fmax(0, log10(pi / beta / oi));
    f.e = log10(fmin(pi, oi * beta) / p);
    f.log = sqrt(f.a * f.a + (f.a + f.e) * (f.a + f.e));
    return f;
}

static int order(double x, double y)
{
    return (x > y) - (x < y);
}

rb_rank_pairs rb_rank_pairs_of(const double *x, const double *y, int n)
{
    rb_rank_pairs pairs = { 0 };
    for (int i = 0; i < n; i++)
        for (int k = i + 1; k < n; k++) {
            const int same = order(x[i], x[k]) * order(y[i], y[k]);
            pairs.agree += same > 0;
            pairs.disagree += same < 0;
            pairs.tied += same == 0;
        }
    return pairs;
}
