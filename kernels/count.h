/* The tally behind the counting ISA: regions of fake memory, what was touched, what was done.
 * A kernel under count gets addresses on pages that nothing can touch; each primitive asks here for
 * the real bytes and leaves a mark. The context is per thread and set only by prove.c.
 * Read next: isa_count.h (the primitives), prove.c (who checks). */
#ifndef RB_COUNT_H
#define RB_COUNT_H

#include "op.h"

enum { RB_MAX_REGION = RB_MAX_ARG + 2 };

typedef struct rb_count_region {
    const char *fake; /* the address that kernels see */
    size_t bytes;
    char *real;
    uint8_t *was_read, *was_written; /* a byte each; NULL for scratch, which is not traffic */
} rb_count_region;

typedef struct rb_count {
    const rb_call *call; /* with views into fake memory */
    const rb_op *op;
    rb_count_region region[RB_MAX_REGION];
    int n_region;
    uint64_t flops, special;      /* flops: float operations */
    uint64_t int_macs, bf16_macs; /* products of integers, which are no flops; of bf16, which are */
    uint64_t dq_conversion, dq_float, dq_blocks[RB_N_DTYPE], dq_unpacked[RB_N_DTYPE];
    uint64_t issued_rd, issued_wr; /* bytes that loads and stores moved, scratch included */
    char error[256];               /* the first forbidden thing a kernel did */
} rb_count;

extern _Thread_local rb_count *rb_counting;

/* Real memory behind [fake, fake + bytes), marked; a forbidden access sets rb_counting->error and
 * yields a dummy. ctrl reads are checked but not marked. */
const void *rb_count_read(const void *fake, size_t bytes);
void *rb_count_write(void *fake, size_t bytes);
const void *rb_count_ctrl(const void *fake, size_t bytes);
void *rb_count_ctrl_write(void *fake, size_t bytes);
void rb_count_forbid(const char *what, const void *where);

#endif
