/* The proof of a kernel's counts: run it as the counting ISA on memory that only primitives can
 * reach, and demand that what was done and touched is what the formulas and views say.
 * Read next: prove.c. */
#ifndef RB_PROVE_H
#define RB_PROVE_H

#include "op.h"

/* What the counting build saw. */
typedef struct rb_proof {
    uint64_t flops, special, int_macs, bf16_macs; /* executed */
    uint64_t dequant[3];
    uint64_t issued_rd, issued_wr; /* bytes moved by loads and stores, scratch included */
    char mismatch[512];            /* empty: proven */
} rb_proof;

/* Runs call through row k, which must be of a counting ISA, splitting work units at random points
 * (seed), and compares with what the formulas of k say about the call. The call's own
 * memory is read and left as the kernel would leave it. Returns whether everything agreed; without
 * memory it ends the process (rb_out_of_memory). */
bool rb_prove(const rb_kernel *k, const rb_call *call, uint64_t seed, rb_proof *proof);

/* The same against a cost that somebody claims instead of what the formulas of k say. */
bool rb_prove_claim(const rb_kernel *k, const rb_call *call, const rb_cost *claim, uint64_t seed,
                    rb_proof *proof);

/* Proves row k, of any ISA, on so many random problems of its op (cases.h), further seeds from seed
 * on: its counting twin is held against what k's formulas and the views say. proof sums what was
 * executed and holds the first mismatch, or why there is no proof: k is unproven, or of an
 * operation from outside, whose problems only a session that proves has. */
bool rb_prove_cases(const rb_kernel *k, int n, uint64_t seed, rb_proof *proof);
/* Adds what b saw to a; a keeps the first mismatch, with the name of k (unless NULL) before it. */
void rb_proof_add(rb_proof *a, const rb_proof *b, const rb_kernel *k);

#endif
