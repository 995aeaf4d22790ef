/* A random valid problem for any registry row: what the kernel tests and the proof feed to kernels.
 * Refuses ops it has no maker for.
 * Read next: cases.c. */
#ifndef RB_CASES_H
#define RB_CASES_H

#include "op.h"

/* How values are filled in. */
typedef enum { RB_FILL_RANDOM, RB_FILL_EXTREME, RB_FILL_DENORMAL, RB_N_FILL } rb_fill;

/* A call with the memory behind it. */
typedef struct rb_case {
    rb_call call;
    rb_buffer buffer[RB_MAX_ARG];
    int64_t past[8];
} rb_case;

/* A valid call for row k: odd sizes around lane, tile and block counts, data by fill; everything
 * follows from the seed. Free with rb_case_free. */
rb_status rb_case_make(rb_case *c, const rb_kernel *k, rb_fill fill, uint64_t seed, rb_error *err);
void rb_case_free(rb_case *c);
/* So many seeds in a row bring up every combination of dtypes that row k takes, >= 1. */
int rb_case_combinations(const rb_kernel *k);

/* The generator behind it: a number below n (n >= 1), advancing *state. */
uint64_t rb_random_below(uint64_t *state, uint64_t n);

#endif
