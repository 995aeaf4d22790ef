/* Self-checks of a model on this machine, and faults that they must catch. Evidence is gathered
 * once for each check (ledgers, proofs, logits, roofs); judging it takes no time, so that the same
 * judges can be handed one wrong claim after the other.
 * Refuses to print. Included by bench.h. Read next: verify.c, faults.c. */
#ifndef RB_VERIFY_H
#define RB_VERIFY_H

#include "oracle.h"
#include "outside.h"
#include "roofs.h"

typedef enum {
    RB_CHECK_CLOSED_FORM, /* ledgers are what oracle.c says, to the last digit */
    RB_CHECK_COUNTING,    /* what kernels do and touch is what ledgers say */
    RB_CHECK_VARIANTS,    /* instruction sets, orders of attention and ways to feed tokens agree */
    RB_CHECK_ROOFS,       /* roofs stand to each other as they must */
    RB_CHECK_DRAM,        /* memory controllers count what passes through them */
    RB_N_CHECK
} rb_check;
extern const char *const rb_check_name[RB_N_CHECK];
enum { RB_ALL_CHECKS = (1 << RB_N_CHECK) - 1 };

/* Wrong claims: eight that were published, then four more, so that no check is without one that it
 * alone catches. */
typedef enum {
    RB_FAULT_NONE,
    RB_FAULT_NO_FFN,
    RB_FAULT_MAC_IS_ONE,
    RB_FAULT_HALF_KV_HEADS,
    RB_FAULT_FULL_SQUARE,
    RB_FAULT_HALF_LM_HEAD,
    RB_FAULT_LATENT_IS_HIDDEN,
    RB_FAULT_TWO_OF_THREE,
    RB_FAULT_PEAK_TIMES_TIME,
    RB_FAULT_NO_EXTRA,
    RB_FAULT_LOST_ROW,
    RB_FAULT_ROOF_IN_CACHE,
    RB_FAULT_HALF_CONTROLLERS,
    RB_N_FAULT
} rb_fault;
extern const char *const rb_fault_name[RB_N_FAULT];

typedef struct rb_verify_params {
    int n_threads;
    rb_isa isa;                                    /* the highest to check */
    rb_roof_pool *roofs;                           /* NULL: roofs are not measured. Borrowed */
    const char *no_roofs;                          /* then why, in words */
    bool faults;                                   /* gather what rb_prove_red needs besides */
    bool (*stop)(void *arg);                       /* asked between pieces of work; may be NULL */
    void (*progress)(void *arg, const char *what); /* may be NULL */
    void *arg;
} rb_verify_params;

typedef struct rb_evidence rb_evidence;

/* shape: the model, dry and packed. model: the same with weights, packed, or NULL if they are not
 * at hand: what runs then runs on small copies of its shapes. Both are borrowed. */
rb_status rb_evidence_open(rb_evidence **e, const rb_model *shape, const rb_model *model,
                           const rb_verify_params *params, rb_error *err);
void rb_evidence_close(rb_evidence *e); /* NULL is fine */
/* Once for each check. A stop is RB_ERR_IO, "interrupted". */
rb_status rb_evidence_gather(rb_evidence *e, rb_check check, rb_error *err);
/* Of a check whose evidence was gathered, under a fault (RB_FAULT_NONE: as it is). */
void rb_judge(const rb_evidence *e, rb_check check, rb_fault fault, rb_finding *found);

/* What became of one fault. */
typedef struct rb_red {
    rb_fault fault;
    char on[80]; /* the model whose claim was made wrong */
    /* RB_FAILED: caught; RB_PASSED: it survived; RB_SKIPPED: its evidence was not gathered */
    rb_verdict verdict;
    rb_check by; /* the first check that caught it */
    rb_finding found;
} rb_red;
/* Injects every fault by itself and asks the checks (1 << rb_check each) that were gathered; with
 * faults that this model cannot have, the closed form of a preset that can. red[RB_N_FAULT]: at
 * place 0 is nothing. */
rb_status rb_prove_red(const rb_evidence *e, unsigned checks, rb_red *red, rb_error *err);

/* The findings of all checks, or the faults (NULL: none were injected), as lines or as one JSON
 * object. n_threads and isa as they were. */
typedef struct rb_verified {
    const rb_model *shape;
    const rb_verify_params *params;
    const char *filename, *commit;
    const rb_finding *found; /* [RB_N_CHECK] */
    const rb_red *red;       /* [RB_N_FAULT] */
} rb_verified;
/* One line for people. */
void rb_finding_write(FILE *out, rb_check check, const rb_finding *found);
void rb_red_write(FILE *out, const rb_red *red);
rb_status rb_verified_json(FILE *out, const rb_verified *v, rb_error *err);

#endif
