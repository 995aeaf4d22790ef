/* Synthetic input: a seeded permutation of the vocabulary. Ids never depend on what the model says,
 * so that counts (distinct embedding rows) are the same on every ISA and machine.
 * Read next: trial.c. */
#include "bench.h"

#include <stdlib.h>

/* splitmix64 (Steele et al. 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

rb_status rb_tokens_open(rb_tokens *t, int64_t n_vocab, uint64_t seed, rb_error *err)
{
    *t = (rb_tokens){ .n_vocab = n_vocab };
    if (n_vocab < 1 || n_vocab > INT32_MAX)
        return rb_fail(err, RB_ERR_ARGUMENT, "a vocabulary of %lld ids cannot be drawn from",
                       (long long)n_vocab);
    t->id = malloc((size_t)n_vocab * sizeof *t->id);
    if (!t->id)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for %lld token ids", (long long)n_vocab);
    for (int64_t i = 0; i < n_vocab; i++)
        t->id[i] = (int32_t)i;
    for (int64_t i = n_vocab - 1; i > 0; i--) { /* Fisher and Yates */
        int64_t j = (int64_t)(next_random(&seed) % (uint64_t)(i + 1));
        int32_t swap = t->id[i];
        t->id[i] = t->id[j];
        t->id[j] = swap;
    }
    return RB_OK;
}

void rb_tokens_close(rb_tokens *t)
{
    free(t->id);
    t->id = NULL;
}

void rb_tokens_fill(const rb_tokens *t, int32_t *dst, int64_t n_seq, int64_t first, int64_t n_tok)
{
    int64_t share = t->n_vocab / n_seq;
    for (int64_t s = 0; s < n_seq; s++) {
        for (int64_t i = 0; i < n_tok; i++)
            dst[s * n_tok + i] = t->id[s * share + (first + i) % share];
    }
}
