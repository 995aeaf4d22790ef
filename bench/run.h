/* Private to bench/: what running tests is made of. A trial is one test under way; sessions and
 * roofs are kept between trials, as many as memory allows.
 * Nothing here is for users of bench.h. Read next: trial.c, schedule.c. */
#ifndef RB_RUN_H
#define RB_RUN_H

#include "pmu.h"

/* A session and what its cache holds. It runs any number of layers up to its own. */
typedef struct rb_slot {
    rb_session *session;
    int model; /* of the bench's */
    rb_session_params open;
    /* Cache rows [0, filled) of the first filled_layers hold what the synthetic tokens give. */
    int64_t filled, filled_layers;
    uint64_t used; /* when last, by a counter */
} rb_slot;

enum { RB_MAX_SLOT = 8 };

/* The most that tests of a plan ask of a session, so that they can share one. */
typedef struct rb_reach {
    int64_t n_layer, n_ctx, n_logits;
} rb_reach;

/* A model that runs, and the same one dry. */
typedef struct rb_runner {
    rb_model *model, *shape;
} rb_runner;

struct rb_bench {
    rb_runner *runner; /* of tests: by their number of a model */
    int n_runner;
    rb_bench_params params;
    rb_tokens tokens;
    int32_t *ids; /* tokens of one call, n_ids of them fit */
    int64_t n_ids;
    rb_slot slot[RB_MAX_SLOT];
    uint64_t uses;
    rb_reach reach;
    rb_pmu *pmu; /* NULL: a dry run */
};

/* ---- run.c ---- */

/* Roughly, of one layer: its part of all weights that a token meets. For guesses. */
double rb_flops_per_token(const rb_model *m);

/* Whether what m needs beyond what is there can be had now. */
rb_status rb_bench_check_memory(const rb_bench *b, const rb_test *t, const rb_memory *m,
                                rb_error *err);

/* Cache and scratch of a session, asked of a dry one. */
rb_status rb_session_memory(rb_bench *b, int model, const rb_session_params *params, rb_memory *m,
                            rb_error *err);
rb_model *rb_model_for(const rb_bench *b, const rb_test *t);

/* ---- sessions.c ---- */

/* Cache rows that a test needs a sequence: context, prompt and generation. */
int64_t rb_context_of(const rb_test *t);
/* What a session must be to run t alone. */
rb_session_params rb_params_for(const rb_bench *b, const rb_test *t);
/* The slot whose session runs t, opened if there is none, set to t's layers. Closes sessions that
 * were not used for longest when memory or slots run out. */
rb_status rb_slot_for(rb_bench *b, const rb_test *t, rb_slot **slot, rb_error *err);
void rb_slots_close(rb_bench *b);
/* The roofs for t's threads and ISA, measured at the first call; NULL if none are wanted. */
rb_status rb_roofs_for(rb_bench *b, const rb_test *t, rb_roofs **roofs, rb_error *err);

/* ---- guess.c ---- */

/* Of a repetition of t, and of what comes before the first, under the roofs that are known. */
double rb_trial_guess(const rb_bench *b, const rb_test *t);
double rb_warmup_guess(const rb_bench *b, const rb_test *t);

/* ---- trial.c ---- */

typedef struct rb_trial {
    rb_result *result;
    rb_kernel_ns *times; /* [samples][n_cell]; NULL before the first */
    int *cell;           /* [n_cell]: which cells of the ledger were launched */
    int n_cell;
    bool warm;
    double estimate_s; /* of one repetition */
} rb_trial;

/* Checks memory and fills in what is known before anything runs. Errors end up in the result. */
void rb_trial_open(rb_bench *b, rb_trial *trial, const rb_test *t, rb_result *r);
/* Warm-up at the first call, then one timed repetition. False: failed, or stopped (then the result
 * has no error). */
bool rb_trial_repeat(rb_bench *b, rb_trial *trial);
/* Medians, placement. n_wanted: repetitions that were to be; fewer after a stop: interrupted. */
void rb_trial_finish(rb_bench *b, rb_trial *trial, int n_wanted);
void rb_trial_close(rb_trial *trial);

/* Median, rates and statistics of the samples of r. */
void rb_result_medians(rb_result *r);
bool rb_bench_stopped(const rb_bench *b);

#endif
