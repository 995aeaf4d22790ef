/* Times of other engines, as llama-bench writes them, beside the exact counts of the same model.
 * Nothing here runs a model or reads a file: records come parsed, counts from a dry bench.
 * Included by bench.h. Read next: peer.c. */
#ifndef RB_PEER_H
#define RB_PEER_H

#include "bench.h"

/* One record of llama-bench: which test it was, of which model, and how long that took. */
typedef struct rb_peer {
    char name[32], build[64], cpu[128]; /* "llama.cpp", "3f2a1bc (4321)"; of what it ran on */
    char file[256];                     /* the model's, for messages */
    uint64_t n_params, size;            /* of the model; bytes */
    rb_test test;                       /* its layers, ISA and attention are the caller's */
    char when[32];
    int n; /* samples; of an engine that kept none its mean alone */
    uint64_t *ns;
} rb_peer;

/* Reads a record. like: what it does not say of a test. RB_ERR_FORMAT: not llama-bench's, or out of
 * any scale; RB_ERR_UNSUPPORTED: a test that nothing here counts. */
rb_status rb_peer_read(rb_peer *p, const struct json_t *record, const rb_test *like, rb_error *err);
void rb_peer_free(rb_peer *p);
/* Fails with a line for the user if the record is of another model than m. */
rb_status rb_peer_check(const rb_peer *p, const rb_model *m, rb_error *err);
/* Counts the test by a run of b, which is dry, and puts the record's times under the roofs of m
 * (may be NULL). r borrows both; whatever goes wrong ends up in r->error. */
void rb_peer_place(rb_bench *b, const rb_peer *p, const rb_machine *m, rb_result *r);

#endif
