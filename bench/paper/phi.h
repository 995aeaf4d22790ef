/* Relative inference potential: how far a point is from the ridge of a roofline, as the paper adds
 * it up and without units, taken apart into what the work's shape and what its execution are to
 * blame for. Pure functions; NaN where there is no roof or no work. Included by paper.h.
 * Read next: phi.c. */
#ifndef RB_PHI_H
#define RB_PHI_H

/* Under pi and beta: a compute roof and a bandwidth, whose ridge is pi / beta. */
typedef struct rb_phi {
    double mixed; /* the paper's: sqrt((ridge - OI)^2 + (pi - P)^2) left of the ridge, pi - P right
                     of it; its size and its order depend on the unit of pi and P */
    double log;   /* sqrt(a^2 + (a + e)^2) */
    double a;     /* structure: max(0, log10(ridge / OI)), >= 0 */
    double e;     /* execution: log10(roof / P), roof = min(pi, OI beta); < 0 above the roof.
                     a + e = log10(pi / P) */
} rb_phi;
/* oi in FLOP/byte; p and pi in one unit of FLOP/s; beta in as many bytes/s. */
rb_phi rb_phi_of(double oi, double p, double pi, double beta);

/* How two figures order n points. A pair with equal x or equal y is tied. */
typedef struct rb_rank_pairs {
    int agree, disagree, tied;
} rb_rank_pairs;
rb_rank_pairs rb_rank_pairs_of(const double *x, const double *y, int n);

#endif
