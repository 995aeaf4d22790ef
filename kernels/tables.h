/* Constant tables that kernels read as operands, built once at context creation: not run-time work.
 * Refuses nothing: the caller has the sizes checked.
 * Read next: tables.c. */
#ifndef RB_TABLES_H
#define RB_TABLES_H

#include "types.h"

/* Pair j of rows [cos | sin] for positions 0 .. n_pos-1, n_pos x d_rot f32, into dst (dense):
 * magnitude times cos and sin of p step. In double. */
void rb_rope_pair(float *dst, int64_t n_pos, int64_t d_rot, int64_t j, double step,
                  double magnitude);

#endif
