/* Where steps leave the memory roof for the compute roof as they take more sequences or more
 * drafted tokens: the crossing by exact counts under measured roofs, that of the measured
 * asymptotes, and what verifying drafted tokens costs beside a decode step. Nothing here runs a
 * test: counts of tests that were not run are asked for. Included by bench.h. Read next:
 * crossing.c. */
#ifndef RB_CROSSING_H
#define RB_CROSSING_H

#include "bench.h"

/* The smallest n from 1 to most at which compute takes longer than memory; 0: there is none; -1:
 * sides failed. Taken for granted: once it does, more do not bring memory back. */
typedef bool rb_sides_fn(void *arg, int64_t n, rb_sides *sides);
int64_t rb_crossing_of(rb_sides_fn *sides, void *arg, int64_t most);

/* The chance of each drafted token to be accepted that gives so many of n_draft accepted a pass,
 * where the first that is rejected ends it (Leviathan et al. 2023): the x of x + x^2 + ... =
 * accepted. NaN: more than n_draft. */
double rb_accept_chance(int64_t n_draft, double accepted);

/* What one step of a test asks for. */
typedef struct rb_demand {
    double flops, bytes; /* bytes: W + KV */
    rb_sides least;      /* under the roofs; 0, 0: there are none */
} rb_demand;
/* Counts t without running it; its roofs are those measured, scaled. */
typedef bool rb_demand_fn(void *arg, const rb_test *t, rb_scale scale, rb_demand *d);

typedef enum { RB_OVER_NONE, RB_OVER_SEQUENCES, RB_OVER_DRAFTS } rb_over;

struct rb_crossing_point;

/* The tests of a sweep. */
typedef struct rb_crossings {
    rb_over over;
    struct rb_crossing_point *point;
    int n;
} rb_crossings;

/* Takes in a decode or a verify test, in order of the plan or not; r NULL: it was run before, its
 * times are not known. Of other tests nothing. */
rb_status rb_crossings_note(rb_crossings *c, const rb_test *t, const rb_result *r, rb_error *err);
/* For all tests that differ in nothing but what is swept a paragraph on where they cross, for
 * drafts a table of costs before it; to be freed. NULL: there are none, or no memory. */
char *rb_crossings_text(const rb_crossings *c, const rb_subject *subject, rb_demand_fn *ask,
                        void *arg);
void rb_crossings_clear(rb_crossings *c);

#endif
