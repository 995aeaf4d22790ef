/* The naive double-precision reference of every op: what a kernel's output must be, and how far it
 * may be off. Written for clarity, from the formulas, not from the kernels.
 * Read next: ref.c. */
#ifndef REF_H
#define REF_H

#include "../kernels/kernels.h"

/* Compares the outputs in `after` with what k's op gives on the operands in `before` (a pristine
 * copy of the same call; rows that quantise activations are held against the quantised ones). NULL
 * if all agree, else a message in buf. NaN never agrees. */
const char *ref_check(const rb_kernel *k, const rb_call *before, const rb_call *after, char *buf,
                      size_t size);

#endif
