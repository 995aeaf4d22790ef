/* Constant tables, built once in double and rounded.
 * Refuses to run inside a step: tables are operands, and building them is no run-time work.
 * Read next: rope.c, which reads them. */
#include "tables.h"

#include <math.h>

void rb_rope_table(float *dst, int64_t n_pos, int64_t d_rot, double base, const float *freq)
{
    const int64_t half = d_rot / 2;
    for (int64_t j = 0; j < half; j++) {
        double step = pow(base, -2.0 * (double)j / (double)d_rot);
        if (freq)
            step /= (double)freq[j];
        for (int64_t p = 0; p < n_pos; p++) {
            dst[p * d_rot + j] = (float)cos((double)p * step);
            dst[p * d_rot + half + j] = (float)sin((double)p * step);
        }
    }
}
