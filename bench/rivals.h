/* Ways of attention against each other, from tests that differ in it alone: which is fastest at
 * which context, where one passes another on this machine and where its roofs would have it, and
 * what each moves and computes. Nothing here runs a test. Included by bench.h.
 * Read next: rivals.c. */
#ifndef RB_RIVALS_H
#define RB_RIVALS_H

#include "bench.h"

/* One test in one way of attention. Times in ns, of the whole test. */
typedef struct rb_rival {
    rb_test test;
    char attn[64];
    bool exact;
    bool one_cache;    /* of latents: it has no type of V */
    double ns, lo, hi; /* median, its interval; without one all are the median */
    double roof_ns;    /* 0: no roofs */
    double bytes, flops;
    rb_bound bound;
} rb_rival;

typedef struct rb_rivals {
    rb_rival *at;
    int n;
} rb_rivals;

/* Copies what it needs of a test that ran; of others nothing. */
rb_status rb_rivals_note(rb_rivals *r, const rb_subject *subject, const rb_result *result,
                         rb_error *err);
/* Where a's time, less at context x0, comes to be more than b's by x1: between two measured
 * contexts all times are lines. NaN: it does not. */
double rb_rivals_crossing(double x0, double a0, double b0, double x1, double a1, double b1);
/* Sentences, one line for each test that several ways ran; to be freed. NULL: there is none, or no
 * memory. */
char *rb_rivals_text(const rb_rivals *r);
void rb_rivals_clear(rb_rivals *r);

#endif
