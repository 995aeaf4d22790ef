/* Drawing tokens: what is cut off, how often the rest comes, and that a seed means one sequence.
 * Frequencies are held against a double reference within what chance allows.
 * Read next: ../engine/sampler.c. */
#include "../engine/engine.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

enum { N = 64 };

static void fill(float *logits, int n)
{
    for (int i = 0; i < n; i++)
        logits[i] = (float)((i * 37) % n) * 0.11f - 2;
}

static rb_sampler *sampler(int64_t n_vocab, rb_sampling how)
{
    rb_sampler *s = NULL;
    rb_error err;
    cr_assert_eq(rb_sampler_open(&s, n_vocab, &how, &err), RB_OK, "%s", err.text);
    return s;
}

static int by_logit(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* What sampling promises, the slow way: sorted, cut to k, cut to p, warmed. */
static void reference(const float *logits, int n, const rb_sampling *how, double *p)
{
    float sorted[N];
    double sum = 0, all = 0, part = 0;
    for (int i = 0; i < n; i++)
        sorted[i] = logits[i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_logit);
    const int k = how->top_k && how->top_k < n ? (int)how->top_k : n;
    for (int i = 0; i < k; i++)
        all += exp((double)sorted[i]);
    int kept = 0;
    while (kept < k && (kept == 0 || part < how->top_p * all))
        part += exp((double)sorted[kept++]);
    for (int i = 0; i < n; i++) {
        p[i] = logits[i] >= sorted[kept - 1] ? exp((double)logits[i] / how->temp) : 0;
        sum += p[i];
    }
    for (int i = 0; i < n; i++)
        p[i] /= sum;
}

static void compare(rb_sampling how)
{
    enum { DRAWS = 200000 };
    float logits[N];
    double p[N];
    int64_t seen[N] = { 0 };
    fill(logits, N);
    reference(logits, N, &how, p);
    rb_sampler *s = sampler(N, how);
    for (int i = 0; i < DRAWS; i++)
        seen[rb_sampler_next(s, logits)]++;
    for (int i = 0; i < N; i++) {
        const double spread = 5 * sqrt(DRAWS * p[i] * (1 - p[i]));
        cr_expect(fabs((double)seen[i] - DRAWS * p[i]) <= spread,
                  "temp %g k %d p %g: %d: %d for %g", how.temp, (int)how.top_k, how.top_p, i,
                  (int)seen[i], DRAWS * p[i]);
    }
    rb_sampler_close(s);
}

Test(sampler, frequencies_are_those_of_the_cut_softmax)
{
    compare((rb_sampling){ .temp = 1, .top_k = 0, .top_p = 1, .seed = 3 });
    compare((rb_sampling){ .temp = 0.7, .top_k = 0, .top_p = 1, .seed = 4 });
    compare((rb_sampling){ .temp = 1, .top_k = 7, .top_p = 1, .seed = 5 });
    compare((rb_sampling){ .temp = 1.5, .top_k = 0, .top_p = 0.6, .seed = 6 });
    compare((rb_sampling){ .temp = 0.8, .top_k = 20, .top_p = 0.5, .seed = 7 });
    compare((rb_sampling){ .temp = 2, .top_k = 1000, .top_p = 0.99, .seed = 8 });
}

Test(sampler, the_best_where_nothing_is_drawn)
{
    float logits[N];
    fill(logits, N);
    const int32_t best = rb_argmax(logits, N);
    const rb_sampling greedy[] = { { .temp = 0, .top_p = 1 },
                                   { .temp = 1, .top_k = 1, .top_p = 1 },
                                   { .temp = 1, .top_p = 1e-9 } };
    for (size_t i = 0; i < sizeof greedy / sizeof *greedy; i++) {
        rb_sampler *s = sampler(N, greedy[i]);
        for (int k = 0; k < 50; k++)
            cr_assert_eq(rb_sampler_next(s, logits), best, "way %zu", i);
        rb_sampler_close(s);
    }
}

Test(sampler, of_equals_the_lower_ids_stay)
{
    const float logits[6] = { 1, 2, 2, 2, 2, 0 };
    rb_sampler *s = sampler(6, (rb_sampling){ .temp = 1, .top_k = 2, .top_p = 1 });
    for (int i = 0; i < 200; i++) {
        const int32_t id = rb_sampler_next(s, logits);
        cr_assert(id == 1 || id == 2, "%d", (int)id);
    }
    rb_sampler_close(s);
}

Test(sampler, a_seed_is_a_sequence)
{
    float logits[N];
    int n_other = 0;
    fill(logits, N);
    const rb_sampling how = { .temp = 1, .top_k = 40, .top_p = 0.95, .seed = 11 };
    rb_sampling elsewhere = how;
    elsewhere.seed = 12;
    rb_sampler *a = sampler(N, how), *b = sampler(N, how), *c = sampler(N, elsewhere);
    for (int i = 0; i < 100; i++) {
        const int32_t id = rb_sampler_next(a, logits);
        cr_assert_eq(rb_sampler_next(b, logits), id);
        n_other += rb_sampler_next(c, logits) != id;
    }
    cr_expect_gt(n_other, 50);
    rb_sampler_close(a);
    rb_sampler_close(b);
    rb_sampler_close(c);
}

Test(sampler, impossible_logits_are_never_drawn)
{
    float logits[N];
    for (int i = 0; i < N; i++)
        logits[i] = i == 9 || i == 30 ? 1.0f : -INFINITY;
    rb_sampler *s = sampler(N, (rb_sampling){ .temp = 1, .top_k = 0, .top_p = 1, .seed = 2 });
    for (int i = 0; i < 500; i++) {
        const int32_t id = rb_sampler_next(s, logits);
        cr_assert(id == 9 || id == 30, "%d", (int)id);
    }
    rb_sampler_close(s);
}

Test(sampler, nonsense_is_refused)
{
    rb_error err;
    rb_sampler *s;
    const rb_sampling wrong[] = { { .temp = -1, .top_p = 1 },
                                  { .temp = NAN, .top_p = 1 },
                                  { .temp = 1, .top_p = 0 },
                                  { .temp = 1, .top_p = 1.5 },
                                  { .temp = 1, .top_k = -1, .top_p = 1 } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_expect_eq(rb_sampler_open(&s, N, &wrong[i], &err), RB_ERR_ARGUMENT);
        cr_expect_null(s);
    }
    const rb_sampling how = rb_sampling_defaults();
    cr_expect_eq(rb_sampler_open(&s, 0, &how, &err), RB_ERR_ARGUMENT);
}
