/* The law of context: what a decode step takes as the cache fills, a + b d, from tests that differ
 * in context alone; b beside what the roofs ask, and what the law says of tests it was not made
 * from. Nothing here runs a test. Included by bench.h. Read next: law.c. */
#ifndef RB_LAW_H
#define RB_LAW_H

#include "bench.h"

typedef struct rb_law {
    rb_test test;   /* all but its context */
    int n_context;  /* different ones, three at least */
    rb_stats a, b;  /* over rounds: ns of a step on an empty cache; ns per token of context */
    double misfit;  /* the largest share by which the median of a context is off the law */
    double roof_ns; /* b of the least times that the roofs allow; NaN: no roofs */
} rb_law;

/* A test that no law was made from. */
typedef struct rb_foretold {
    rb_test test;
    double said_ns, took_ns; /* of a step; the median that was measured */
} rb_foretold;

struct rb_law_point;

typedef struct rb_laws {
    int64_t hold; /* tests at this context are foretold, not fitted; < 0: none */
    struct rb_law_point *point;
    int n_point;
    /* of rb_laws_fit */
    rb_law *law;
    int n_law;
    rb_foretold *foretold;
    int n_foretold;
} rb_laws;

/* Copies what it needs of a decode test that ran, but for the machine; of others nothing. */
rb_status rb_laws_note(rb_laws *l, const rb_result *r, rb_error *err);
/* A law for each set of tests that differ in context alone and have three. Foretold are tests at
 * the context on hold, and tests that have no law but for another number of sequences. */
rb_status rb_laws_fit(rb_laws *l, rb_error *err);
/* Both as tables, and what they mean; to be freed. NULL: there is no law, or no memory. */
char *rb_laws_text(const rb_laws *l, const rb_subject *subject);
void rb_laws_clear(rb_laws *l);

#endif
