/* Modelled DRAM traffic: a cache of one level, fully associative, least recently used out first,
 * and the sequence of operands that pass through it. What is in it is known by stack distance
 * (Mattson, Gecsei, Slutz and Traiger 1970): bytes are found again if no more than the capacity was
 * used since. It models launches, not loops: what a launch uses again and again it fetches once,
 * however much streams by. Real caches have sets, share their capacity with others, and keep a part
 * of what just does not fit. Read next: reuse.c. */
#ifndef RB_REUSE_H
#define RB_REUSE_H

#include "op.h"

typedef struct rb_reuse rb_reuse;

/* An empty cache of so many bytes (> 0). */
rb_status rb_reuse_open(rb_reuse **r, int64_t cache_bytes, rb_error *err);
void rb_reuse_close(rb_reuse *r); /* NULL is fine */

/* Bytes [from, to) of a buffer are read or written, in order; adds what that moves. Lines are 64
 * bytes, counted from the start of the buffer. */
void rb_reuse_touch(rb_reuse *r, const rb_buffer *b, int64_t from, int64_t to, bool write,
                    rb_dram *sum);

/* Scratch of a launch: [0, shared_bytes) of the buffer, and own_bytes for each thread from
 * own_first on, own_step apart. */
typedef struct rb_reuse_scratch {
    const rb_buffer *buffer;
    int64_t shared_bytes, own_bytes, own_first, own_step;
    int n_threads;
    bool partials; /* shared: written piece by piece as weights and cache stream by (rb_kernel) */
} rb_reuse_scratch;

/* All operands of a launch of op: activations and scratch, which stay in use until its end,
 * weights and cache streaming by, then what is written. Gathered rows whose ids are not known (a
 * dry run) are as many as expected from a random place on. */
void rb_reuse_launch(rb_reuse *r, const rb_op *op, const rb_call *call,
                     const rb_reuse_scratch *scratch, rb_dram *sum);

/* Whether memory ran out: then sums say nothing. */
bool rb_reuse_failed(const rb_reuse *r);

#endif
