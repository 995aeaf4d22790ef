/* A bench over the tiny model and a sink that keeps everything it is told, to look at how plans
 * run. It refuses rows that are told twice or of another test.
 * Read next: test_schedule.c. */
#ifndef WATCH_H
#define WATCH_H

#include "../bench/run.h"

enum { MAX_TEST = 400, MAX_STEP = 4000, NEVER = 1 << 30 };

/* Everything that a run tells, and when it is stopped. */
typedef struct watch {
    rb_plan plan;
    struct {
        int test, rep;
    } step[MAX_STEP]; /* repetitions begun, in order */
    int n_step, started[MAX_TEST];
    int stop_at_step, stop_after_asks, n_ask; /* a repetition that does not end; questions */
    int row[MAX_TEST], n_row, left_out[MAX_TEST], n_left_out, n_roofs;
    int samples[MAX_TEST];
    bool interrupted[MAX_TEST], skipped[MAX_TEST];
    char error[MAX_TEST][sizeof((rb_result *)0)->error];
    rb_cost cost[MAX_TEST];
    const char *kv_fill[MAX_TEST];
    rb_isa isa[MAX_TEST];
    double left_s;
} watch;

typedef struct fixture {
    rb_model *model, *shape;
    rb_bench *bench;
    watch *w;
} fixture;

/* A bench over a small model, watched; close_fixture ends all of it. */
fixture open_typed(rb_bench_params params, const char *type); /* NULL: the preset's own */
fixture open_fixture(rb_bench_params params);
void close_fixture(fixture *f);
/* Appends a test of two layers, one sequence, one thread to the plan. Returns it. */
rb_test *add(fixture *f, int64_t n_prompt, int64_t n_gen, int64_t n_depth);
void add_some(fixture *f, int n); /* short ones */
void run_plan(fixture *f);
/* All rows, in order, each with so many samples. */
void want_all(const fixture *f, int samples);

#endif
