/* Umbrella of bench/: workloads over sessions, statistics, records, tables.
 * Nothing here parses a command line or exits; output goes to the FILE it is handed. */
#ifndef RB_BENCH_H
#define RB_BENCH_H

#include "../engine/engine.h"

/* ---- clock and statistics ---- */

uint64_t rb_now_ns(void); /* CLOCK_MONOTONIC */

typedef struct rb_stats {
    int n;
    double median, mad, mean, stddev, min, max;
} rb_stats;
/* samples is not changed; n >= 1. */
rb_stats rb_stats_of(const uint64_t *samples, int n);

/* ---- one test ---- */

/* pp: n_prompt tokens from an empty cache (or depth); tg: n_gen decode steps at depth. */
typedef struct rb_test {
    rb_phase phase;
    int64_t n_prompt, n_gen, n_depth;
    int64_t n_seq, n_layer;
} rb_test;

enum { RB_MAX_REPS = 1000 };

typedef struct rb_result {
    rb_test test;
    char error[512]; /* empty: it ran */
    rb_ledger ledger; /* of one repetition */
    rb_tally total;   /* sum of it */
    int n_samples;
    uint64_t samples_ns[RB_MAX_REPS];
    rb_stats ns;
    int64_t kv_bytes_per_token;
    char kv_fill[16];    /* "synthetic": the cache at depth holds zeros; "real" */
} rb_result;

/* Tokens per second at the median. */
double rb_result_tps(const rb_result *r);
/* flops / (weight + kv) bytes; flops / all bytes. 0 if there are no bytes. */
double rb_result_oi(const rb_result *r);
double rb_result_oi_kernel(const rb_result *r);

#endif
