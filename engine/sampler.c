/* Choosing the next token from logits: the one file of engine/ that looks at data.
 * Refuses to be counted: what it does is of the order of the vocabulary, no kernel's work and no
 * part of a benchmark. The same seed and logits give the same tokens on every machine whose exp
 * rounds alike. Read next: engine.h. */
#include "engine.h"

#include <math.h>
#include <stdlib.h>

int32_t rb_argmax(const float *logits, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

/* A candidate, in a heap whose top is the best. */
typedef struct candidate {
    float logit;
    int32_t id;
} candidate;

struct rb_sampler {
    rb_sampling how;
    int64_t n_vocab;
    uint64_t state;     /* of splitmix64 */
    candidate *heap;    /* [n_vocab] */
    candidate *kept;    /* [n_vocab] the best, from the best on */
    double *likelihood; /* [n_vocab] of those, not normalised */
};

rb_sampling rb_sampling_defaults(void)
{
    return (rb_sampling){ .temp = 0.8, .top_k = 40, .top_p = 0.95, .seed = 1 };
}

rb_status rb_sampler_open(rb_sampler **sampler, int64_t n_vocab, const rb_sampling *how,
                          rb_error *err)
{
    rb_sampler *s = *sampler = NULL;
    if (n_vocab < 1 || !(how->temp >= 0) || !isfinite(how->temp) || how->top_k < 0 ||
        !(how->top_p > 0 && how->top_p <= 1))
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "sampling wants a temperature of at least 0, top-k of at least 0 and top-p "
                       "above 0, up to 1");
    s = *sampler = calloc(1, sizeof *s);
    if (s) {
        *s = (rb_sampler){ .how = *how, .n_vocab = n_vocab, .state = how->seed };
        s->heap = malloc((size_t)n_vocab * sizeof *s->heap);
        s->kept = malloc((size_t)n_vocab * sizeof *s->kept);
        s->likelihood = malloc((size_t)n_vocab * sizeof *s->likelihood);
    }
    if (s && s->heap && s->kept && s->likelihood)
        return RB_OK;
    rb_sampler_close(s);
    *sampler = NULL;
    return rb_fail(err, RB_ERR_MEMORY, "no memory for %lld candidates", (long long)n_vocab);
}

void rb_sampler_close(rb_sampler *s)
{
    if (!s)
        return;
    free(s->heap);
    free(s->kept);
    free(s->likelihood);
    free(s);
}

/* In [0, 1): splitmix64's upper 53 bits (Steele et al. 2014). */
static double uniform(rb_sampler *s)
{
    uint64_t z = s->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* Of equals the lower id comes first, so that order is no accident of the heap. */
static bool better(candidate a, candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void sift_down(candidate *heap, int64_t n, int64_t i)
{
    const candidate moved = heap[i];
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        child += child + 1 < n && better(heap[child + 1], heap[child]);
        if (!better(heap[child], moved))
            break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

static candidate take_best(candidate *heap, int64_t n)
{
    const candidate best = heap[0];
    heap[0] = heap[n - 1];
    sift_down(heap, n - 1, 0);
    return best;
}

/* The top k (0: all) in a heap; how many there are. */
static int64_t fill(rb_sampler *s, const float *logits)
{
    for (int64_t i = 0; i < s->n_vocab; i++)
        s->heap[i] = (candidate){ logits[i], (int32_t)i };
    for (int64_t i = s->n_vocab / 2 - 1; i >= 0; i--)
        sift_down(s->heap, s->n_vocab, i);
    return s->how.top_k && s->how.top_k < s->n_vocab ? s->how.top_k : s->n_vocab;
}

/* What top-p is a share of: the likelihoods of the top k, with the best one's as 1. Without k no
 * order is needed for it. */
static double total(rb_sampler *s, const float *logits, int64_t k)
{
    const float best = s->heap[0].logit;
    double sum = 0;
    if (k == s->n_vocab) {
        for (int64_t i = 0; i < k; i++)
            sum += exp((double)logits[i] - (double)best);
        return sum;
    }
    for (int64_t i = 0; i < k; i++) {
        s->kept[i] = take_best(s->heap, s->n_vocab - i);
        sum += exp((double)s->kept[i].logit - (double)best);
    }
    return sum;
}

/* Fewest of the best whose likelihoods make up the share top_p of the top k, at least one, with
 * their likelihoods at the wanted temperature. Returns how many. */
static int64_t keep(rb_sampler *s, const float *logits)
{
    const int64_t k = fill(s, logits);
    const double best = (double)s->heap[0].logit;
    const double enough = s->how.top_p * total(s, logits, k);
    const bool all = s->how.top_p == 1;
    double sum = 0;
    int64_t n = 0;
    for (; n < k && (n == 0 || all || sum < enough); n++) {
        if (k == s->n_vocab) /* else they were taken for the total */
            s->kept[n] = all ? s->heap[n] : take_best(s->heap, s->n_vocab - n);
        const double below = (double)s->kept[n].logit - best;
        sum += exp(below);
        s->likelihood[n] = exp(below / s->how.temp);
    }
    return n;
}

int32_t rb_sampler_next(rb_sampler *s, const float *logits)
{
    if (s->how.temp == 0 || s->how.top_k == 1)
        return rb_argmax(logits, s->n_vocab);
    const int64_t n = keep(s, logits);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += s->likelihood[i];
    double left = uniform(s) * sum;
    int64_t i = 0;
    for (; i < n - 1 && left >= s->likelihood[i]; i++)
        left -= s->likelihood[i];
    return s->kept[i].id;
}
