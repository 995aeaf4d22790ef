/* Experts and their routing, beyond what the registry tests see of every op: bytes and decoded
 * blocks follow the experts that were chosen, results do not follow the number of threads, and
 * choices are what they should be where scores tie or are no numbers.
 * Read next: test_proof.c, test_kernels.c. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../kernels/kernels.h"

enum { N = 40, E = 8, K = 3, H = 32, F = 48 };

static rb_buffer buffers[16];
static int n_buffer;

static rb_view make(rb_dtype dtype, rb_stream stream, int64_t n1, int64_t n2, int64_t n3)
{
    rb_buffer *b = &buffers[n_buffer++];
    cr_assert_eq(rb_buffer_alloc(b, (size_t)(n1 * n2 * rb_row_bytes(dtype, n3)), false, NULL),
                 RB_OK);
    return rb_view_dense(b, dtype, stream, 0, 1, n1, n2, n3);
}

static void fill(const rb_view *v, uint64_t seed)
{
    float *row = malloc((size_t)v->n[3] * sizeof *row);
    for (int64_t u = 0; u < v->n[1] * v->n[2]; u++) {
        for (int64_t i = 0; i < v->n[3]; i++)
            row[i] = (float)rb_random_below(&seed, 2001) * 1e-3f - 1.0f;
        rb_encode_row(v->dtype, rb_at(v, 0, u / v->n[2], u % v->n[2]), row, v->n[3]);
    }
    free(row);
}

static rb_view filled(rb_dtype dtype, rb_stream stream, int64_t n1, int64_t n2, int64_t n3)
{
    const rb_view v = make(dtype, stream, n1, n2, n3);
    fill(&v, (uint64_t)n_buffer);
    return v;
}

typedef struct problem {
    rb_view x, y, logits, bias;
    rb_experts e;
    rb_route_how how;
    bool routes;
} problem;

static problem open_problem(void)
{
    problem p = { .x = filled(RB_F32, RB_ACT, N, 1, H),
                  .y = make(RB_F32, RB_ACT, N, 1, H),
                  .logits = filled(RB_F32, RB_ACT, N, 1, E),
                  .how = { RB_GATING_SOFTMAX, true, 1.0f } };
    p.e = (rb_experts){ .gate = filled(RB_Q8_0, RB_WEIGHT, 1, E, F * H),
                        .up = filled(RB_F16, RB_WEIGHT, 1, E, F * H),
                        .down = filled(RB_F16, RB_WEIGHT, 1, E, H * F),
                        .id = make(RB_I32, RB_CTRL, N, 1, K),
                        .share = filled(RB_F32, RB_ACT, N, 1, K),
                        .shared_gate = filled(RB_F16, RB_WEIGHT, 1, F, H),
                        .shared_up = filled(RB_F16, RB_WEIGHT, 1, F, H),
                        .shared_down = filled(RB_F16, RB_WEIGHT, 1, H, F),
                        .inp = filled(RB_F32, RB_WEIGHT, 1, 1, H) };
    return p;
}

static void close_problem(void)
{
    while (n_buffer > 0)
        rb_buffer_free(&buffers[--n_buffer]);
}

static int32_t *ids(const problem *p)
{
    return (int32_t *)rb_at(&p->e.id, 0, 0, 0);
}

static void step(rb_exec *ex, void *arg)
{
    const problem *p = arg;
    ex->phase = RB_PREFILL;
    ex->site = RB_SITE_ROUTE;
    if (p->routes)
        rb_op_route(ex, p->e.id, p->e.share, p->logits, p->bias, p->how);
    ex->site = RB_SITE_EXPERTS;
    rb_op_experts(ex, p->y, p->x, &p->e);
}

/* One step of so many threads; what it cost at the experts. */
static rb_cost run(problem *p, int n_threads, bool dry, bool *assumed)
{
    rb_team *team;
    rb_isa isa;
    bool capped;
    cr_assert_eq(rb_isa_detect(&isa, &capped, NULL), RB_OK);
    rb_team_params params = { .n_threads = n_threads, .isa = isa, .capped = true, .dry = true };
    cr_assert_eq(rb_team_open(&team, &params, NULL), RB_OK);
    rb_step(team, step, p);
    if (!dry) {
        const rb_scratch need = rb_team_scratch_needed(team);
        rb_team_close(team);
        params.dry = false;
        cr_assert_eq(rb_team_open(&team, &params, NULL), RB_OK);
        cr_assert_eq(rb_team_reserve(team, need, NULL), RB_OK);
        rb_step(team, step, p);
    }
    const rb_tally at = rb_ledger_site(rb_team_ledger(team), RB_PREFILL, RB_SITE_EXPERTS);
    *assumed = at.assumed;
    rb_team_close(team);
    return at.cost;
}

static int64_t bytes(const rb_view *v)
{
    return rb_row_bytes(v->dtype, v->n[3]);
}

/* Weight bytes if `used` experts are read, each once. */
static uint64_t weight_bytes(const problem *p, int64_t used)
{
    return (uint64_t)(used * (bytes(&p->e.gate) + bytes(&p->e.up) + bytes(&p->e.down)) +
                      3 * F * H * 2 + 4 * H);
}

static int recount(const problem *p)
{
    bool seen[E] = { false };
    int n = 0;
    for (int i = 0; i < N * K; i++)
        seen[ids(p)[i]] = true;
    for (int i = 0; i < E; i++)
        n += seen[i];
    return n;
}

Test(moe, bytes_and_decoded_blocks_follow_the_experts_used)
{
    problem p = open_problem();
    bool assumed;
    const uint64_t shared = 3 * F * H; /* f16: one conversion an element */
    for (int used = 1; used <= E; used++) {
        for (int i = 0; i < N * K; i++) /* with experts named twice by a token, if few are used */
            ids(&p)[i] = E - 1 - i % used;
        const rb_cost c = run(&p, 2, false, &assumed);
        cr_assert_eq(recount(&p), used);
        cr_expect_not(assumed);
        cr_expect_eq(c.rd[RB_WEIGHT], weight_bytes(&p, used), "%d experts", used);
        /* gate q8_0: 33 conversions a block of 32; up and down f16: one an element */
        cr_expect_eq(c.dequant[1], (uint64_t)used * (F * H / 32 * 33 + 2 * F * H) + shared);
        cr_expect_eq(c.flops, (uint64_t)N * K * (6 * H * F + 4 * F + 2 * H) +
                                  N * (6 * H * F + 4 * F + 2 * H + 3 + H + H));
    }
    close_problem();
}

Test(moe, routed_ids_are_what_is_booked)
{
    problem p = open_problem();
    bool assumed;
    p.routes = true;
    const rb_cost c = run(&p, 2, false, &assumed);
    cr_expect_eq(c.rd[RB_WEIGHT], weight_bytes(&p, recount(&p)));
    close_problem();
}

Test(moe, results_and_counts_do_not_follow_the_threads)
{
    enum { SIZE = N * H * (int)sizeof(float) };
    problem p = open_problem();
    bool assumed;
    p.routes = true;
    char *first = malloc(SIZE);
    const rb_cost one = run(&p, 1, false, &assumed);
    memcpy(first, rb_at(&p.y, 0, 0, 0), SIZE);
    for (int n = 2; n <= 5; n++) {
        memset(rb_at(&p.y, 0, 0, 0), 0xff, SIZE);
        const rb_cost c = run(&p, n, false, &assumed);
        cr_expect(rb_cost_equal(&one, &c), "%d threads", n);
        cr_expect_arr_eq(first, rb_at(&p.y, 0, 0, 0), SIZE);
    }
    free(first);
    close_problem();
}

Test(moe, gate_and_up_in_one_tensor_equal_two)
{
    enum { SIZE = N * H * (int)sizeof(float) };
    problem p = open_problem();
    bool assumed;
    p.routes = true;
    p.e.up = filled(RB_Q8_0, RB_WEIGHT, 1, E, F * H);
    char *first = malloc(SIZE);
    const rb_cost apart = run(&p, 2, false, &assumed);
    memcpy(first, rb_at(&p.y, 0, 0, 0), SIZE);
    const rb_view both = make(RB_Q8_0, RB_WEIGHT, 1, E, 2 * F * H);
    for (int64_t i = 0; i < E; i++) {
        memcpy(rb_at(&both, 0, 0, i), rb_at(&p.e.gate, 0, 0, i), (size_t)bytes(&p.e.gate));
        memcpy(rb_at(&both, 0, 0, i) + bytes(&p.e.gate), rb_at(&p.e.up, 0, 0, i),
               (size_t)bytes(&p.e.up));
    }
    p.e.gate = rb_view_slice(both, 3, 0, F * H);
    p.e.up = rb_view_slice(both, 3, F * H, F * H);
    const rb_cost fused = run(&p, 2, false, &assumed);
    cr_expect(rb_cost_equal(&apart, &fused));
    cr_expect_arr_eq(first, rb_at(&p.y, 0, 0, 0), SIZE);
    free(first);
    close_problem();
}

/* Without memory: E (1 - (1 - k/E)^n) experts, as independent choices give. */
Test(moe, dry_runs_assume_independent_choices)
{
    problem p = open_problem();
    bool assumed;
    problem real = p;
    const rb_buffer nowhere = { NULL, N * K * sizeof(int32_t) };
    for (int n = 1; n <= N; n++) {
        p.x.n[1] = p.y.n[1] = p.e.share.n[1] = n;
        p.e.id = rb_view_dense(&nowhere, RB_I32, RB_CTRL, 0, 1, n, 1, K);
        const rb_cost c = run(&p, 1, true, &assumed);
        const int64_t used = llround(E * (1 - pow(1 - (double)K / E, n)));
        cr_expect(assumed);
        cr_expect_eq(c.rd[RB_WEIGHT], weight_bytes(&p, used), "%d tokens", n);
        cr_expect(n > 1 || used == K);
        for (int i = 0; i < n * K; i++) /* as evenly spread ids do */
            ids(&real)[i] = i % (int)used;
        real.x.n[1] = real.y.n[1] = real.e.share.n[1] = real.e.id.n[1] = n;
        const rb_cost even = run(&real, 1, false, &assumed);
        cr_expect(c.issued_rd == even.issued_rd && c.issued_wr == even.issued_wr, "%d tokens", n);
    }
    close_problem();
}

/* ---- routing ---- */

static void route(const float logits[E], const float *bias, rb_route_how how, int32_t id[K],
                  float share[K])
{
    problem p = open_problem();
    bool assumed;
    p.routes = true;
    p.how = how;
    for (int t = 0; t < N; t++)
        memcpy(rb_at(&p.logits, 0, t, 0), logits, E * sizeof *logits);
    if (bias) {
        p.bias = make(RB_F32, RB_WEIGHT, 1, 1, E);
        memcpy(rb_at(&p.bias, 0, 0, 0), bias, E * sizeof *bias);
    }
    run(&p, 1, false, &assumed);
    memcpy(id, rb_at(&p.e.id, 0, N - 1, 0), K * sizeof *id);
    memcpy(share, rb_at(&p.e.share, 0, N - 1, 0), K * sizeof *share);
    close_problem();
}

static void expect_ids(const int32_t id[K], int a, int b, int c)
{
    cr_expect(id[0] == a && id[1] == b && id[2] == c, "%d %d %d, should be %d %d %d", (int)id[0],
              (int)id[1], (int)id[2], a, b, c);
}

static const rb_route_how softmax = { RB_GATING_SOFTMAX, false, 1.0f };

Test(route, of_equals_the_lowest_index_comes_first)
{
    int32_t id[K];
    float share[K];
    route((float[]){ 1, 1, 1, 1, 1, 1, 1, 1 }, NULL, softmax, id, share);
    expect_ids(id, 0, 1, 2);
    route((float[]){ 0, 2, 1, 2, 1, 0, 2, 1 }, NULL, softmax, id, share);
    expect_ids(id, 1, 3, 6);
    route((float[]){ 0, 2, 1, 0, 1, 0, 3, 1 }, NULL, softmax, id, share);
    expect_ids(id, 6, 1, 2);
}

Test(route, logits_that_are_no_numbers_break_nothing)
{
    int32_t id[K];
    float share[K];
    const float nan = NAN, inf = INFINITY;
    const rb_route_how sigmoid = { RB_GATING_SIGMOID, true, 2.0f };
    route((float[]){ nan, nan, nan, nan, nan, nan, nan, nan }, NULL, softmax, id, share);
    expect_ids(id, 0, 1, 2);
    route((float[]){ nan, 1, nan, 2, nan, nan, nan, nan }, NULL, sigmoid, id, share);
    expect_ids(id, 3, 1, 0);
    route((float[]){ -inf, nan, inf, 0, nan, inf, nan, nan }, NULL, sigmoid, id, share);
    expect_ids(id, 2, 5, 3);
    route((float[]){ 0, inf, -inf, inf, 0, 0, 0, 0 }, NULL, softmax, id, share);
    for (int j = 0; j < K; j++)
        for (int i = 0; i < j; i++)
            cr_expect(id[j] >= 0 && id[j] < E && id[i] != id[j]);
}

/* The bias chooses, the share is without it. */
Test(route, sigmoid_with_bias)
{
    int32_t id[K];
    float share[K];
    const float logits[E] = { 3, 2, 1, 0, -1, -2, -3, -4 };
    const float bias[E] = { 0, 0, 0, 0, 0, 0, 1, 2 };
    route(logits, bias, (rb_route_how){ RB_GATING_SIGMOID, false, 1.0f }, id, share);
    expect_ids(id, 7, 6, 0);
    for (int j = 0; j < K; j++)
        cr_expect_float_eq(share[j], 1 / (1 + expf(-logits[id[j]])), 1e-6f);
    route(logits, bias, (rb_route_how){ RB_GATING_SIGMOID, true, 2.5f }, id, share);
    cr_expect_float_eq(share[0] + share[1] + share[2], 2.5f, 1e-5f);
}
