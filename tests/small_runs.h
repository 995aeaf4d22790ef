/* Runs of small models that between them have every family, order of attention, type of weights and
 * of caches, experts, batches and packed panels; and the text of their ledgers, which is kept in
 * tests/vectors/ledger.txt (`make ledger` writes it anew). Everything here aborts on failures.
 * Read next: test_ledger.c, test_determinism.c. */
#ifndef RB_SMALL_RUNS_H
#define RB_SMALL_RUNS_H

#include "../engine/engine.h"

/* A prompt in micro-batches, then tokens one by one. */
enum { SMALL_PROMPT = 3, SMALL_DECODED = 1, SMALL_TOKENS = SMALL_PROMPT + SMALL_DECODED };

typedef struct small_run {
    char name[96];
    rb_model *model;
    rb_session_params params; /* but for what a way of running it says */
} small_run;

/* What must not change a count. */
typedef struct small_way {
    rb_isa isa;
    bool capped;
    int n_threads;
} small_way;

/* Small runs by number; a run that is opened is closed. */
int small_run_count(void);
small_run small_run_open(int i);
void small_run_close(small_run *r);

/* Runs all of it. Logits of each step go to logits (NULL: nowhere), small_run_logits numbers; what
 * was booked to ledger. */
void small_run_all(const small_run *r, small_way way, float *logits, rb_ledger *ledger);
size_t small_run_logits(const small_run *r);

/* "## NAME", then a line for each launch of a phase: phase, site, op, calls, flops, special,
 * weight, kv_read, kv_write, act_read, act_write. To be freed. */
char *small_run_text(const small_run *r, const rb_ledger *ledger);

#endif
