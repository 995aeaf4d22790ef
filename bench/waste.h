/* The waste ledger: what a test did beyond its need, derived from its ledger and never measured
 * apart. FLOPs that kernels add to the useful ones, weights and cache that later micro-batches read
 * again, blocks decoded again, modelled DRAM traffic beyond compulsory bytes; each with the least
 * time that it costs under the roofs. Read next: waste.c. */
#ifndef RB_WASTE_H
#define RB_WASTE_H

#include "bench.h"

typedef struct rb_waste {
    const char *what;
    const char *where; /* site; "" if it is of the whole phase or test */
    uint64_t flops;    /* beyond the useful ones, or of decoding (integer and float operations) */
    uint64_t special;  /* exp and the like among them */
    uint64_t bytes;
    double share; /* of what was needed: FLOPs, operations or bytes */
    double ns;    /* at the roofs of the median sample; 0: hidden by something else, or no roofs */
} rb_waste;

enum { RB_MAX_WASTE = 64 };

/* Fills out and returns how many; what is left out beyond RB_MAX_WASTE is the smallest in bytes and
 * FLOPs. */
int rb_waste_of(const rb_result *r, rb_waste out[RB_MAX_WASTE]);
/* As a markdown table; nothing if there is no waste. */
void rb_waste_table(FILE *out, const rb_result *r);

#endif
