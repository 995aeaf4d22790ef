/* The bytes of one operand: as runs of memory, and how many of them are its alone.
 * Private to kernels/: costs are sums of these (cost.c), a model of caches asks where runs were
 * last (reuse.c). Never looks at tensor data but ids of gathered rows. Read next: operand.c. */
#ifndef RB_OPERAND_H
#define RB_OPERAND_H

#include "op.h"

/* Runs of bytes of a buffer: at first + sum of i[a] * step[a], i[a] < n[a]; steps rise. */
typedef struct rb_runs {
    int64_t first, bytes, n[3], step[3];
} rb_runs;

/* Whether an operand is read (or written). */
static inline bool rb_arg_goes(const rb_arg *arg, bool write)
{
    return arg->mode != (write ? 'r' : 'w');
}

/* What sequence s of operand i covers, for every kind of rows but gathered ones. */
rb_runs rb_operand_runs(const rb_op *op, const rb_call *call, int i, int64_t s);
/* Bytes of operand j in one direction that no earlier operand of its buffer covers. *assumed: set
 * if a distinct count had to be. */
int64_t rb_operand_fresh(const rb_op *op, const rb_call *call, int j, bool write, bool *assumed);

#endif
