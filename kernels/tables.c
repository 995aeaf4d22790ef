/* Constant tables, built once in double and rounded.
 * Refuses to run inside a step: tables are operands, and building them is no run-time work.
 * Read next: rope.c, which reads them. */
#include "tables.h"

#include <math.h>

void rb_rope_pair(float *dst, int64_t n_pos, int64_t d_rot, int64_t j, double step,
                  double magnitude)
{
    for (int64_t p = 0; p < n_pos; p++) {
        dst[p * d_rot + j] = (float)(magnitude * cos((double)p * step));
        dst[p * d_rot + d_rot / 2 + j] = (float)(magnitude * sin((double)p * step));
    }
}
