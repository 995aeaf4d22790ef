/* Choosing the next token from logits: the one file of engine/ that looks at data.
 * Refuses to be counted: it compares, which is no FLOP, and it is no part of a benchmark.
 * Read next: engine.h. */
#include "engine.h"

int32_t rb_argmax(const float *logits, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}
