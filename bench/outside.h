/* What others bring, held to what rbench's own kernels and variants are held to: rows of a registry
 * by the counting ISA, a variant of attention by that and by its closed form.
 * Refuses to print. Included by bench.h. Read next: outside.c; variant.h in engine/. */
#ifndef RB_OUTSIDE_H
#define RB_OUTSIDE_H

#include "../engine/engine.h"

typedef enum { RB_PASSED, RB_FAILED, RB_SKIPPED } rb_verdict;

typedef struct rb_finding {
    rb_verdict verdict;
    char text[512];                 /* what was checked, what is wrong, or why it was skipped */
    char where[192];                /* of what is wrong: in which run or of which roof */
    char expected[48], claimed[48]; /* the two numbers that differ; "" where there are none */
} rb_finding;

/* Every row of a registry that this machine can run, on n random problems each: what its source
 * does and touches as the counting ISA is what its formulas and the views say. Rows of operations
 * from outside are left to sessions that prove. RB_SKIPPED: there are no others. */
void rb_prove_rows(const rb_registry *r, int n, rb_finding *found);

/* What a session of how (its variant, registry, types, threads) does on m: a prompt and a step of
 * decode whose every launch runs as the counting ISA, where m has many weights on a small copy of
 * its shapes; then, of a variant with a closed form, dry passes at several lengths, whose FLOPs and
 * bytes of weights and cache at the sites of attention have to be the claimed ones, to the last
 * digit. m is not packed. Fails as sessions do; what is wrong with counts is in found. */
rb_status rb_prove_session(const rb_model *m, const rb_session_params *how, rb_finding *found,
                           rb_error *err);

#endif
