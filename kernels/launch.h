/* The one door: nothing runs a kernel but rb_launch, and running is counting.
 * A team is a set of threads with one parallel region per step; inside a step every thread walks
 * the same sequence of launches (SPMD) and each launch splits its work items over the team. Read
 * next: launch.c. */
#ifndef RB_LAUNCH_H
#define RB_LAUNCH_H

#include "op.h"
#include "prove.h"
#include "register.h"
#include "threads.h"
#include "trace.h"

typedef struct rb_team rb_team;

uint64_t rb_now_ns(void); /* CLOCK_MONOTONIC: the one clock, of launches and of all around them */

typedef struct rb_team_params {
    int n_threads;   /* >= 1 */
    rb_isa isa;      /* highest ISA to use */
    bool capped;     /* true: BLAS rows are excluded */
    bool dry;        /* count only: no memory is touched, one thread */
    bool act_f32;    /* true: rows that quantise activations are excluded */
    int64_t n_layer; /* of which routing is kept; 0: none */
    bool prove;      /* run every launch as the counting ISA and hold it against its row: slow */
    int64_t cache_bytes;   /* of a cache that all launches pass through in a model: DRAM traffic is
                              booked; 0: none */
    const rb_kernel *only; /* NULL, or the one row that this team has, whatever ISA and BLAS say */
    const rb_registry *registry; /* NULL, or rows from outside; borrowed */
} rb_team_params;

/* What one thread holds inside a step. The caller sets phase and site before each launch. */
typedef struct rb_exec {
    rb_team *team;
    int thread;
    rb_phase phase;
    rb_site site;
    int64_t layer; /* for routing and trace; -1: around the layers */
} rb_exec;

/* Fails where n_threads is not possible, this CPU cannot run `only`, or without memory. A dry and a
 * proving team have one thread, whatever n_threads says. */
rb_status rb_team_open(rb_team **team, const rb_team_params *params, rb_error *err);
void rb_team_close(rb_team *team); /* NULL is fine */

/* Runs fn(ex, arg) on every thread of the team, in one parallel region. */
void rb_step(rb_team *team, void (*fn)(rb_exec *ex, void *arg), void *arg);

/* Checks the call, picks the row, runs it over the team, times it, counts it and books it under
 * (ex->phase, ex->site, op). A call that does not fit its op aborts with op and operand named. */
void rb_launch(rb_exec *ex, rb_op_id op, const rb_call *call);

/* Scratch is planned: a dry team records the most that any launch would need ... */
typedef struct rb_scratch {
    int64_t shared_bytes, own_bytes;
} rb_scratch;
rb_scratch rb_team_scratch_needed(const rb_team *team);
/* ... and a real team reserves it once. A launch that needs more aborts. */
rb_status rb_team_reserve(rb_team *team, rb_scratch need, rb_error *err);
rb_scratch rb_team_scratch_reserved(const rb_team *team);

/* What is wrong with a call, NULL if nothing; *arg_name is the operand, NULL if it is not one
 * alone.
 */
const char *rb_call_error(const rb_op *op, const rb_call *call, const char **arg_name);

/* How many different experts the calls of a layer took, and how many they would have taken had each
 * token chosen without regard to the others (E (1 - (1 - k/E)^n)). */
typedef struct rb_routing {
    uint64_t calls, tokens, distinct, least, most; /* least, most: in one call */
    double expected;
} rb_routing;
/* NULL if it is not kept for that layer. */
const rb_routing *rb_team_routing(const rb_team *team, rb_phase phase, int64_t layer);
/* Empties ledger and routing; what a modelled cache holds stays there. */
void rb_team_clear(rb_team *team);

/* Whether the DRAM traffic in the ledger is a model's. */
bool rb_team_models_dram(const rb_team *team);

/* What was booked last at a place. */
const rb_costed *rb_team_last(const rb_team *team, rb_phase phase, rb_site site);

/* Records every launch from the next step on, NULL: no more. The trace is borrowed, and has as many
 * threads as the team. */
void rb_team_trace(rb_team *team, rb_trace *trace);

/* What launches have booked so far; valid while the team is, to be read between steps. */
rb_ledger *rb_team_ledger(rb_team *team);
/* What a proving team saw executed, summed; mismatch holds the first one, empty if all was proven.
 */
const rb_proof *rb_team_proof(const rb_team *team);

/* The row the door would take; NULL if the registry has none. */
const rb_kernel *rb_select(const rb_team *team, rb_op_id op, const rb_call *call);
/* Whether row k has the dtypes of a call of its op, and accepts its shape. */
bool rb_kernel_fits(const rb_kernel *k, const rb_call *call);

#endif
