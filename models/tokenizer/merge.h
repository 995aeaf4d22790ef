/* Merging the symbols of a word, best pair first, in time n log n of its length.
 * Knows neither ranks nor scores: which pairs there are, and which is better, is asked.
 * Read next: merge.c, tokenizer_parts.h. */
#ifndef RB_MERGE_H
#define RB_MERGE_H

#include "../../kernels/kernels.h"

/* Bytes [at, at + n) of a word; n 0: merged into the one before. */
typedef struct rb_symbol {
    uint32_t at, n;
    uint32_t prev, next; /* RB_NO_SYMBOL: none */
    int32_t id;          /* of its token; -1: none */
} rb_symbol;
#define RB_NO_SYMBOL UINT32_MAX

typedef struct rb_candidate {
    double cost; /* lower is merged first, then further left */
    uint32_t left, right;
    uint32_t n; /* bytes of both, as they were */
    int32_t id;
} rb_candidate;

/* A growing list of symbols, the heap of pairs and the ids that came out. Zero to begin with; may
 * be used for any number of words. */
typedef struct rb_merger {
    rb_symbol *symbol;
    size_t n_symbol, symbol_room;
    rb_candidate *heap;
    size_t n_heap, heap_room;
    int32_t *id;
    size_t n_id, id_room;
    bool failed; /* out of memory: to be looked at once, at the end */
} rb_merger;

/* Appends a symbol to the word: it follows the one before. */
void rb_merger_symbol(rb_merger *m, uint32_t at, uint32_t n, int32_t id);
void rb_merger_id(rb_merger *m, int32_t id);
/* Whether two neighbours may become one: its cost, and its token. */
typedef bool rb_pair_fn(const void *arg, const rb_symbol *left, const rb_symbol *right,
                        double *cost, int32_t *id);
void rb_merger_run(rb_merger *m, rb_pair_fn *pair, const void *arg);
void rb_merger_free(rb_merger *m);

#endif
