/* Closed forms of whole models from the numbers of a config alone: what a ledger has to say,
 * written a second time, apart from the kernels' tables of terms, their views and the forward pass.
 * Refuses to look at shapes of tensors: of a model it takes the types of its matrices only.
 * Included by bench.h. Read next: oracle.c, verify.h. */
#ifndef RB_ORACLE_H
#define RB_ORACLE_H

#include "../engine/engine.h"

/* One pass over the layers, in COUNTING's letters: n new tokens after p in each sequence's cache.
 */
typedef struct rb_oracle_run {
    rb_phase phase; /* where a ledger books it: no count depends on it */
    rb_attn attn;   /* of latent models one of the three orders, else RB_ATTN_OWN */
    int64_t n_layer, n_seq, n, p;
    int64_t n_out; /* rows of each sequence through lm_head */
    int64_t n_ids; /* different tokens among the new ones of all sequences */
    /* [n_layer] different experts that each layer takes; NULL: as many as independent choices do,
     * to the nearest whole, as dry runs assume. */
    const int64_t *n_taken;
    rb_dtype type_k, type_v; /* of the cache; latents are all of type_k */
    bool fused;              /* matrices of one type that share x are one launch */
    bool gelu_erf;
} rb_oracle_run;

/* What somebody says that a run costs: FLOPs, specials and bytes, nothing else of rb_cost. */
typedef struct rb_claim {
    rb_cost at[RB_N_SITE];
    rb_cost total;
} rb_claim;

/* types: a model whose matrices have the types to count with, packed or not. */
void rb_oracle(const rb_config *c, const rb_model *types, const rb_oracle_run *run,
               rb_claim *claim);
/* Sums the sites. */
void rb_claim_sum(rb_claim *claim);

#endif
