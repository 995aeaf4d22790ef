/* What forms of issued bytes are put together from (rb_kernel.issued): how many times so many bytes
 * are loaded and stored. A form stands beside the loop that it tells of and shares its bounds;
 * prove.c holds it against the tally. Refuses to know kernels. Read next: rows.h, elt.c. */
#ifndef RB_ISSUED_H
#define RB_ISSUED_H

#include "op.h"

static inline int64_t f32_bytes(int64_t n)
{
    enum { BYTES = 4 };
    return n * BYTES;
}

/* n times rd bytes loaded and wr stored. */
static inline void issue(rb_issued *sum, int64_t n, int64_t rd, int64_t wr)
{
    sum->rd += (uint64_t)(n * rd);
    sum->wr += (uint64_t)(n * wr);
}

static inline void issue_part(rb_issued *sum, int64_t n, rb_issued part)
{
    issue(sum, n, (int64_t)part.rd, (int64_t)part.wr);
}

#endif
