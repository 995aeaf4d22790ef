/* Two runs of the same tests: which of their records belong together, how much faster one is than
 * the other and how sure that is, and whether both counted the same. Nothing here measures or reads
 * a file: records come parsed. Included by bench.h. Read next: ranks.c, compare.c. */
#ifndef RB_COMPARE_H
#define RB_COMPARE_H

#include "bench.h"

/* Samples of b over samples of a, higher is better. It is assumed that the two sets differ by a
 * factor, not how they are distributed. */
typedef struct rb_ratio {
    int n_a, n_b; /* samples; 0: nothing else is set */
    double ratio; /* the median of the n_a n_b ratios b / a: Hodges and Lehmann's estimate of it */
    /* The factors that the test below does not reject at 5 %, by their order among these ratios;
     * too few samples (3 and 3, say) reject none and have no interval. */
    bool has_ci;
    double ci_lo, ci_hi;
    double p;   /* two-sided, of a factor of 1: Mann and Whitney's test */
    bool exact; /* p is of the exact distribution, not of its normal approximation */
    /* The factor that such samples would have shown (p < 0.05) in four of five cases, if their own
     * spread is the true one; NaN: none. */
    double least;
} rb_ratio;

/* n_a, n_b <= 1000 samples, all > 0. n_a and n_b of the result are 0 if one set is empty. Without
 * memory the process ends. */
rb_ratio rb_ratio_of(const double *a, int n_a, const double *b, int n_b);

/* Records of one test in both runs. */
typedef struct rb_matched {
    const struct json_t *a, *b;
    double tps_a, tps_b; /* medians */
    rb_ratio raw;        /* of tok/s */
    rb_ratio roof;       /* of shares of roof, each sample's under the roofs around it */
    char counts[96];     /* "flops 12 and 13": the first count that differs; "": none does */
    bool defect;         /* ... though input and choices were the same */
} rb_matched;

enum { RB_SIDE_A, RB_SIDE_B, RB_N_SIDE };

typedef struct rb_comparison {
    rb_matched *row; /* in the order of a */
    int n;
    const struct json_t **only[RB_N_SIDE]; /* tests that the other run lacks */
    int n_only[RB_N_SIDE];
    int n_left_out[RB_N_SIDE]; /* records without samples of a test's time */
    int n_again[RB_N_SIDE];    /* records of a test that a later one is of, too */
    bool any_weights;
} rb_comparison;

/* a, b: arrays of records, borrowed as long as c lives. Tests are the same by what --resume goes
 * by; records of other programs by as much of it as they have. any_weights: whatever weights they
 * ran, so that counts of experts, which these choose, may differ; of one model each. */
rb_status rb_compare(rb_comparison *c, const struct json_t *a, const struct json_t *b,
                     bool any_weights, rb_error *err);
void rb_comparison_free(rb_comparison *c);
/* "tg128 @ d512, 30 layers, llama 134.52 M f16": for messages. Returns buf. */
char *rb_record_name(const struct json_t *record, char *buf, size_t size);

/* All rows together. */
typedef struct rb_ratio_sum {
    int n;         /* rows that have the ratio, */
    int n_ci;      /* ... an interval, */
    int n_covers;  /* ... an interval that holds 1 */
    double factor; /* geometric mean of the ratios; NaN: there are none */
} rb_ratio_sum;
rb_ratio_sum rb_comparison_sum(const rb_comparison *c, bool roof);
/* Whether b is slower by more than pct percent of a's tok/s and p < 0.05. */
bool rb_is_slower(const rb_matched *m, double pct);
int rb_comparison_slower(const rb_comparison *c, double pct);

/* What a report of a comparison says besides. */
typedef struct rb_compare_names {
    const char *a, *b; /* the files */
    double slower_pct; /* rows slower by more are marked; NaN: none */
} rb_compare_names;
/* The table and the closing sentence (md, csv without the sentence), or one JSON object. */
rb_status rb_comparison_write(FILE *out, const rb_comparison *c, rb_format format,
                              const rb_compare_names *names, rb_error *err);
/* The closing sentence. Returns buf. */
char *rb_comparison_text(const rb_comparison *c, char *buf, size_t size);

#endif
