/* Thousands of decode steps from a few: what they take, by the times of steps at some contexts. A
 * step's counts are affine in its context, its time nearly so: counts can be summed the same way.
 * Included by paper.h. Read next: integrate.c. */
#ifndef RB_INTEGRATE_H
#define RB_INTEGRATE_H

#include "../../engine/engine.h"

enum { RB_MOST_CONTEXTS = 5 };

/* Where to measure n_steps steps at contexts first, first + 1 ..: contexts at which tests of n_each
 * steps begin, rising, so that the first test has the first step and the last the last; three of
 * them or, over 1024 steps, five. Writes at most RB_MOST_CONTEXTS and returns how many; 1: that is
 * one test of all n_steps, since sampling saves too little. 0: there are no steps. */
int rb_integrate_at(int64_t first, int64_t n_steps, int64_t n_each, int64_t at[RB_MOST_CONTEXTS]);

/* The time of a step with so many tokens in the cache (of a test of several steps: their mean), and
 * its 95 % interval; lo = hi = ns where it has none. */
typedef struct rb_step_time {
    double context, ns, lo, hi;
} rb_step_time;

typedef struct rb_steps_time {
    double ns;      /* all steps, times in between by lines from sample to sample */
    double lo, hi;  /* all samples at the worse end of their intervals at once: a bound, not 95 % */
    double line_ns; /* by one line through all samples; one sample: ns */
    double bend;    /* |line_ns - ns| / ns: what the samples say of being no line */
} rb_steps_time;
/* Samples rise strictly in context and span the steps but for a tenth of that span at each end. One
 * sample alone has to be the mean context of the steps. */
rb_status rb_integrate_time(const rb_step_time *s, int n, int64_t first, int64_t n_steps,
                            rb_steps_time *sum, rb_error *err);

#endif
