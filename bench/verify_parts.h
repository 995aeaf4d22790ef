/* Private to bench/: what evidence is made of, and the parts of verify.c that gather and judge it,
 * one file for each check. Nothing here is for those who only verify.
 * Read next: verify.h, verify.c. */
#ifndef RB_VERIFY_PARTS_H
#define RB_VERIFY_PARTS_H

#include "bench.h"

/* ---- closed form ---- */

/* One pass that was counted dry. */
typedef struct rb_counted {
    rb_oracle_run run;
    rb_cost at[RB_N_SITE];
} rb_counted;

typedef struct rb_counts {
    rb_counted *of;
    int n;
} rb_counts;
/* Each check has such a pair: gather counts or measures once; judge holds that against what must
 * be, with a fault injected into the claim (RB_FAULT_NONE: none). */
rb_status rb_counts_gather(rb_counts *c, const rb_model *shape, rb_error *err);
void rb_counts_judge(const rb_counts *c, const rb_model *shape, rb_fault fault, rb_finding *found);

/* ---- counting build ---- */

enum { RB_MOST_PROVEN = 192, RB_SCALED_TEXT = 240 };

/* A prompt and a step of decode, all of whose launches ran as the counting ISA. */
typedef struct rb_proven {
    rb_dtype type;
    rb_isa isa;
    rb_attn attn;
    rb_cost cost;
    rb_proof proof;
} rb_proven;

typedef struct rb_proofs {
    rb_proven of[RB_MOST_PROVEN];
    int n;
    char scaled[RB_SCALED_TEXT]; /* what was made smaller; "": nothing */
} rb_proofs;
/* The pair of this check. */
rb_status rb_proofs_gather(rb_evidence *e, rb_error *err);
void rb_proofs_judge(const rb_evidence *e, rb_fault fault, rb_finding *found);

/* ---- variants ---- */

typedef enum { RB_FEED_WHOLE, RB_FEED_CHUNKS, RB_FEED_STEPS, RB_FEED_LOSES_A_ROW } rb_feed;

enum { RB_MOST_VARIANTS = 32 };

/* One way to run the same tokens: its largest deviation from the first, over the largest logit. */
typedef struct rb_variant {
    rb_isa isa;
    rb_attn attn;
    rb_feed feed;
    double deviation;
} rb_variant;

typedef struct rb_variants {
    rb_variant of[RB_MOST_VARIANTS];
    int n;
    double tolerance;
    char scaled[RB_SCALED_TEXT];
} rb_variants;
/* The pair of this check. */
rb_status rb_variants_gather(rb_evidence *e, rb_error *err);
void rb_variants_judge(const rb_evidence *e, rb_fault fault, rb_finding *found);

/* ---- roofs ---- */

typedef struct rb_standing {
    rb_machine machine;
    double gemv_pct; /* of the read roof of DRAM, of a cold y = W x; 0: nothing is known */
    char gemv[96];   /* its kernel, or why nothing is known */
} rb_standing;
/* The pair of this check. */
rb_status rb_standing_gather(rb_evidence *e, rb_error *err);
void rb_standing_judge(const rb_standing *s, rb_fault fault, rb_finding *found);

/* ---- counters of memory controllers ---- */

typedef struct rb_controllers {
    rb_pmu_bytes counted; /* counted 0: there are no counters */
    uint64_t passed;      /* bytes that were read meanwhile, from no cache */
    uint64_t sum;         /* of what was read, so that it had to be */
    char text[192];       /* which controllers, or why none */
} rb_controllers;
/* The pair of this check. */
rb_status rb_controllers_gather(rb_evidence *e, rb_error *err);
void rb_controllers_judge(const rb_controllers *c, rb_fault fault, rb_finding *found);

/* ---- all of it ---- */

struct rb_evidence {
    const rb_model *shape, *model;
    rb_verify_params params;
    unsigned gathered; /* 1 << rb_check */
    rb_counts counts;
    rb_proofs proofs;
    rb_variants variants;
    rb_standing standing;
    rb_controllers controllers;
};
/* Tells, and asks whether to go on: RB_ERR_IO, "interrupted". */
rb_status rb_evidence_step(const rb_evidence *e, rb_error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The i-th order of attention that a model can be run in, RB_N_ATTN past the last. */
rb_attn rb_attn_nth(const rb_config *c, int i);
/* Fails a finding that has not failed yet: the first failure is told. */
void rb_finding_fail(rb_finding *f, const char *where, const char *expected, const char *claimed,
                     const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void rb_finding_pass(rb_finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- faults.c: what each does to claims ---- */

/* Whether a model can have it; if not, the preset that can. */
bool rb_fault_applies(rb_fault fault, const rb_config *c);
const char *rb_fault_standin(rb_fault fault);
/* To the config that the closed form is asked for. */
void rb_fault_config(rb_fault fault, rb_config *c);
/* To the closed form of a run. */
void rb_fault_claim(rb_fault fault, const rb_config *c, const rb_oracle_run *run, rb_claim *claim);
/* To what a launch, or a sum of launches (op RB_N_OP), is said to cost. */
void rb_fault_cost(rb_fault fault, rb_op_id op, rb_cost *claim);
/* To the roofs. */
void rb_fault_machine(rb_fault fault, rb_machine *m);
/* To what memory controllers counted. */
void rb_fault_counted(rb_fault fault, rb_pmu_bytes *b);

/* ---- scaled.c: smaller models of the same kind ---- */

/* The types of a model's matrices, but for routers. Returns how many, at most max. */
int rb_matrix_types(const rb_model *m, rb_dtype type[], int max);
/* c with two layers, narrower, of fewer heads, experts and words; heads and what decides which
 * blocks and panels fit stay as they are. what: in words, what differs. */
rb_config rb_config_scaled(const rb_config *c, char *what, size_t size);

#endif
