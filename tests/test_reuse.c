/* The model of DRAM traffic against a cache that knows every line: random touches of overlapping
 * ranges, to the last byte; launches whose traffic is known; models that fit a cache and models
 * that do not. Read next: kernels/reuse.h. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "../engine/engine.h"
#include "../kernels/cases.h"
#include "../kernels/reuse.h"

enum { LINE = 64, BUFFERS = 3, LINES = 400, ALL = BUFFERS * LINES };

/* ---- a cache that moves one line at a time ---- */

typedef struct slow {
    int capacity, n; /* lines */
    int at[ALL];     /* the most recent first */
    bool dirty[ALL];
    rb_dram sum;
} slow;

static void touch_line(slow *c, int line, bool write)
{
    int i = 0;
    while (i < c->n && c->at[i] != line)
        i++;
    bool dirty = false;
    if (i < c->n) {
        dirty = c->dirty[i];
    } else {
        *(write ? &c->sum.allocate : &c->sum.read) += LINE;
        if (c->n == c->capacity)
            c->sum.write_back += c->dirty[--c->n] ? LINE : 0;
        i = c->n++;
    }
    memmove(&c->at[1], &c->at[0], (size_t)i * sizeof c->at[0]);
    memmove(&c->dirty[1], &c->dirty[0], (size_t)i * sizeof c->dirty[0]);
    c->at[0] = line;
    c->dirty[0] = dirty || write;
}

Test(reuse, equals_a_cache_of_single_lines)
{
    uint64_t seed = 7;
    for (int round = 0; round < 200; round++) {
        const int capacity = 1 + (int)rb_random_below(&seed, 300);
        const rb_buffer buffer[BUFFERS + 1] = { { 0 } };
        slow *c = calloc(1, sizeof *c);
        c->capacity = capacity;
        rb_reuse *r = NULL;
        rb_dram sum = { 0 };
        cr_assert_eq(rb_reuse_open(&r, (int64_t)capacity * LINE, NULL), RB_OK);
        for (int i = 0; i < 150; i++) {
            const int b = (int)rb_random_below(&seed, BUFFERS);
            const int most = rb_random_below(&seed, 3) ? 20 : LINES;
            const int from = (int)rb_random_below(&seed, LINES);
            const int left = LINES - from < most ? LINES - from : most;
            const int n = 1 + (int)rb_random_below(&seed, (uint64_t)left);
            const bool write = rb_random_below(&seed, 3) == 0;
            /* any byte of a line is the line */
            const int64_t first = (int64_t)rb_random_below(&seed, LINE);
            const int64_t last = (n - 1) * LINE + first + 1 +
                                 (int64_t)rb_random_below(&seed, (uint64_t)(LINE - first));
            rb_reuse_touch(r, &buffer[b], from * LINE + first, from * LINE + last, write, &sum);
            for (int k = 0; k < n; k++)
                touch_line(c, b * LINES + from + k, write);
            cr_assert_eq(sum.read, c->sum.read, "round %d, touch %d: %llu read, not %llu", round, i,
                         (unsigned long long)sum.read, (unsigned long long)c->sum.read);
            cr_assert_eq(sum.allocate, c->sum.allocate, "round %d, touch %d", round, i);
        }
        rb_reuse_touch(r, &buffer[BUFFERS], 0, 2 * (int64_t)capacity * LINE, false, &sum);
        for (int i = 0; i < c->n; i++)
            c->sum.write_back += c->dirty[i] ? LINE : 0;
        cr_assert_eq(sum.write_back, c->sum.write_back, "round %d: %llu written back, not %llu",
                     round, (unsigned long long)sum.write_back,
                     (unsigned long long)c->sum.write_back);
        rb_reuse_close(r);
        free(c);
    }
}

Test(reuse, a_stream_that_just_does_not_fit_is_fetched_each_time)
{
    const rb_buffer b = { 0 };
    rb_reuse *r = NULL;
    rb_dram sum = { 0 };
    cr_assert_eq(rb_reuse_open(&r, 1 << 20, NULL), RB_OK);
    for (int i = 0; i < 3; i++)
        rb_reuse_touch(r, &b, 0, 1 << 20, false, &sum);
    cr_expect_eq(sum.read, 1u << 20);
    for (int i = 0; i < 3; i++)
        rb_reuse_touch(r, &b, 0, (1 << 20) + 1, false, &sum);
    cr_expect_eq(sum.read, (1u << 20) + LINE + 2 * ((1u << 20) + LINE));
    rb_reuse_close(r);
}

Test(reuse, many_buffers)
{
    enum { N = 3000 };
    static rb_buffer b[N];
    rb_reuse *r = NULL;
    rb_dram sum = { 0 };
    cr_assert_eq(rb_reuse_open(&r, (int64_t)N * LINE, NULL), RB_OK);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < N; i++)
            rb_reuse_touch(r, &b[i], 0, LINE, false, &sum);
    cr_expect_eq(sum.read, (uint64_t)N * LINE);
    rb_reuse_close(r);
}

Test(reuse, absurd_capacities)
{
    rb_reuse *r = NULL;
    rb_error err = { 0 };
    cr_expect_eq(rb_reuse_open(&r, 63, &err), RB_ERR_ARGUMENT);
    cr_expect_null(r);
    rb_reuse_close(r);
}

/* ---- whole models ---- */

typedef struct traffic {
    rb_dram dram;
    rb_bytes bytes;
} traffic;

/* Of a decode step after as many as it takes to fill the cache. */
static traffic decode(const char *preset, int64_t n_layer, int64_t cache_bytes)
{
    const rb_model_params how = { .dry = true };
    rb_error err = { 0 };
    rb_model *m = NULL;
    rb_session *s = NULL;
    cr_assert_eq(rb_model_open(&m, preset, &how, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_model_extend(m, n_layer, &err), RB_OK, "%s", err.text);
    rb_session_params p = rb_session_defaults();
    p.dry = true;
    p.n_layer = n_layer;
    p.cache_bytes = cache_bytes;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    for (int i = 0; i < 3; i++) {
        const int32_t id = 5;
        rb_session_clear(s);
        cr_assert_eq(rb_session_run(s, RB_DECODE, &id, 1, false, &err), RB_OK, "%s", err.text);
    }
    cr_assert(rb_session_models_dram(s));
    const rb_tally sum = rb_ledger_phase(rb_session_ledger(s), RB_DECODE);
    const traffic t = { sum.dram, rb_cost_bytes(&sum.cost) };
    rb_session_close(s);
    rb_model_close(m);
    return t;
}

Test(reuse, a_model_streams_once_it_leaves_the_cache)
{
    const int64_t cache = 64 << 20;
    for (int64_t layers = 1; layers <= 8; layers++) {
        const traffic t = decode("smollm2-135m", layers, cache);
        const uint64_t moved = rb_dram_bytes(&t.dram), needed = rb_bytes_wkv(&t.bytes);
        /* the embedding's row and a line of each head's cache are new each time */
        if (needed < (uint64_t)cache)
            cr_expect_lt(moved, 64 * 1024, "%lld layers: %llu bytes moved", (long long)layers,
                         (unsigned long long)moved);
        else
            cr_expect(moved >= needed && (double)moved < 1.03 * (double)needed,
                      "%lld layers: %llu bytes moved, %llu needed", (long long)layers,
                      (unsigned long long)moved, (unsigned long long)needed);
    }
}

Test(reuse, without_a_model_nothing_is_booked)
{
    const rb_model_params how = { .dry = true };
    rb_error err = { 0 };
    rb_model *m = NULL;
    rb_session *s = NULL;
    cr_assert_eq(rb_model_open(&m, "smollm2-135m", &how, &err), RB_OK);
    rb_session_params p = rb_session_defaults();
    p.dry = true;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK);
    cr_assert_eq(rb_session_run(s, RB_DECODE, NULL, 1, false, &err), RB_OK);
    const rb_tally sum = rb_ledger_phase(rb_session_ledger(s), RB_DECODE);
    cr_expect_eq(rb_dram_bytes(&sum.dram), 0);
    cr_expect_not(rb_session_models_dram(s));
    rb_session_close(s);
    rb_model_close(m);
}
