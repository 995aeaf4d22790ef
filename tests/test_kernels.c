/* Every registry row against the double reference: random, extreme and denormal data, odd sizes,
 * guarded buffers, work split at random points. The seed is printed and can be set by
 * RBENCH_TEST_SEED. Read next: test_proof.c, which checks the counts of the same rows. */
#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "ref.h"

#ifdef __SANITIZE_ADDRESS__
enum { CASES = 2 }; /* of the same code, four times slower */
#else
enum { CASES = 8 };
#endif

static uint64_t seed_of_run(void)
{
    const char *set = getenv("RBENCH_TEST_SEED");
    return set ? strtoull(set, NULL, 10) : 20261122;
}

/* As many threads would: random contiguous ranges, each with scratch of its own, NaN-filled. */
static void run_row(const rb_kernel *k, const rb_call *call, uint64_t seed)
{
    const size_t shared_bytes = k->shared_bytes ? (size_t)k->shared_bytes(call) : 0;
    const size_t own_bytes = k->own_bytes ? (size_t)k->own_bytes(call) : 0;
    void *shared = malloc(shared_bytes + 1), *own = malloc(own_bytes + 1);
    memset(shared, 0xff, shared_bytes);
    for (int phase = 0; phase < k->n_phase; phase++) {
        const int64_t units = k->units(call, phase);
        for (int64_t first = 0, last; first < units; first = last) {
            last = first + 1 + (int64_t)rb_random_below(&seed, (uint64_t)(units - first));
            memset(own, 0xff, own_bytes);
            k->run(call, phase, first, last, shared, own);
        }
    }
    free(shared);
    free(own);
}

/* NULL, or what is wrong with one case of a row; the row may be a mutant. */
static const char *try_case(const rb_kernel *k, rb_fill fill, uint64_t seed, char *buf, size_t size)
{
    rb_case c;
    rb_error err;
    guarded g;
    if (rb_case_make(&c, k, fill, seed, &err) != RB_OK)
        cr_assert(false, "%s", err.text);
    cr_assert(guard_open(&g, &c.call));
    const char *arg, *wrong = rb_call_error(k->op, &g.call, &arg);
    if (!wrong) {
        run_row(k, &g.call, seed);
        wrong = guard_damage(&g, k->op);
    }
    if (!wrong)
        wrong = ref_check(k, &c.call, &g.call, buf, size);
    if (wrong && wrong != buf)
        snprintf(buf, size, "%s", wrong);
    guard_close(&g);
    rb_case_free(&c);
    return wrong ? buf : NULL;
}

/* Every combination of dtypes comes up, and no row has few cases. */
static int n_cases(const rb_kernel *k)
{
    const int n = rb_case_combinations(k);
    return n > CASES * RB_N_FILL ? n : CASES * RB_N_FILL;
}

static bool counting(const rb_kernel *k)
{
    return k->isa >= RB_ISA_COUNT1;
}

Test(kernels, every_row_equals_the_reference)
{
    const uint64_t seed = seed_of_run();
    int rows = 0, cases = 0, failed = 0;
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        char name[96], buf[256];
        if (counting(k) || !rb_kernel_supported(k))
            continue;
        rows++;
        rb_kernel_name(k, name, sizeof name);
        for (int n = 0; n < n_cases(k); n++, cases++) {
            const char *wrong =
                try_case(k, (rb_fill)(n % RB_N_FILL), seed + (uint64_t)n, buf, sizeof buf);
            if (wrong && ++failed)
                cr_expect(false, "%s, seed %llu fill %d: %s", name,
                          (unsigned long long)seed + (unsigned)n, n % RB_N_FILL, wrong);
        }
    }
    cr_log_info("%d rows, %d cases, seed %llu\n", rows, cases, (unsigned long long)seed);
    cr_assert(rows > 50 || !rb_isa_supported(RB_ISA_AVX2), "only %d rows", rows);
    cr_assert_eq(failed, 0);
}

/* Operands that go element by element are refused as soon as one axis of one differs. */
Test(kernels, unequal_shapes_are_refused)
{
    static const struct {
        const char *op;
        int arg; /* whose extents are compared with another operand's */
    } of[] = { { "add", 1 },          { "silu_gate", 1 }, { "silu_gate", 2 }, { "sigmoid_gate", 1 },
               { "sigmoid_gate", 2 }, { "relu2", 1 },     { "gelu", 1 },      { "gelu_erf", 1 },
               { "rmsnorm", 0 },      { "layernorm", 0 }, { "route", 1 },     { "experts", 0 },
               { "experts", 6 } };
    for (size_t o = 0; o < sizeof of / sizeof *of; o++) {
        int refused = 0;
        for (int i = 0; i < rb_registry_size(); i++) {
            const rb_kernel *k = rb_registry_row(i);
            if (strcmp(k->op->name, of[o].op) != 0 || k->isa != RB_ISA_SCALAR)
                continue;
            for (uint64_t seed = 1; seed <= 2 * CASES; seed++)
                for (int axis = 0; axis < 4; axis++) {
                    rb_case c;
                    rb_error err;
                    const char *arg;
                    cr_assert_eq(rb_case_make(&c, k, RB_FILL_RANDOM, seed, &err), RB_OK);
                    rb_view *v = &c.call.t[of[o].arg];
                    if (v->buffer && v->n[axis] > 1) {
                        v->n[axis]--;
                        const char *wrong = rb_call_error(k->op, &c.call, &arg);
                        cr_expect(wrong && strstr(wrong, "differ in shape"), "%s, axis %d: %s",
                                  of[o].op, axis, wrong ? wrong : "taken");
                        refused++;
                    }
                    rb_case_free(&c);
                }
        }
        cr_expect(refused > 0, "%s has no case", of[o].op);
    }
}

/* ---- the checker itself: wrong kernels must be seen ---- */

/* The first row of an op that runs here; NULL for one that only other CPUs have. */
static const rb_kernel *victim(rb_op_id op)
{
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        if (k->op->id == op && k->isa < RB_ISA_COUNT1 && rb_kernel_supported(k))
            return k;
    }
    return NULL;
}

static rb_op_id mutated;

static void run_nothing(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                        void *own)
{
    (void)c, (void)phase, (void)first, (void)last, (void)shared, (void)own;
}

/* The first output that is data. */
static int output_of(const rb_op *op)
{
    int a = 0;
    while (op->arg[a].mode == 'r' || op->arg[a].streams == RB_IS_CTRL)
        a++;
    return a;
}

/* The largest element of the first row: others may be small beside what rounding does. */
static void run_off_by_little(const rb_call *c, int phase, int64_t first, int64_t last,
                              void *shared, void *own)
{
    const rb_kernel *k = victim(mutated);
    k->run(c, phase, first, last, shared, own);
    const rb_view *y = &c->t[output_of(k->op)];
    if (phase != k->n_phase - 1 && mutated != RB_OP_ATTEND)
        return;
    float *row = (float *)rb_at(y, 0, mutated == RB_OP_KV_STORE ? c->past[0] : 0, 0);
    if (y->dtype != RB_F32) { /* the last place of the first number of a cache, once */
        *(char *)row ^= first == 0;
        return;
    }
    int64_t most = 0;
    for (int64_t i = 1; i < y->n[3]; i++)
        most = fabsf(row[i]) > fabsf(row[most]) ? i : most;
    row[most] = row[most] * 1.001f + copysignf(1e-4f, row[most]);
}

static void run_beyond_the_row(const rb_call *c, int phase, int64_t first, int64_t last,
                               void *shared, void *own)
{
    const rb_kernel *k = victim(mutated);
    const rb_view *y = &c->t[output_of(k->op)];
    k->run(c, phase, first, last, shared, own);
    /* one element before the view: its own buffer's slack or the poison before it */
    rb_at(y, 0, 0, 0)[-4] = 0x11;
}

static void run_with_nan(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                         void *own)
{
    const rb_kernel *k = victim(mutated);
    k->run(c, phase, first, last, shared, own);
    const rb_view *y = &c->t[output_of(k->op)];
    memset(rb_at(y, 0, mutated == RB_OP_KV_STORE ? c->past[0] : 0, 0), 0xff, 4);
}

/* Overwrites the row before the new ones. */
static void run_on_old_rows(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                            void *own)
{
    const rb_kernel *k = victim(RB_OP_KV_STORE);
    k->run(c, phase, first, last, shared, own);
    if (c->past[0] > 0)
        *rb_at(&c->t[0], 0, c->past[0] - 1, 0) ^= 1;
    else
        *rb_at(&c->t[0], 0, 0, 0) ^= 1;
}

static int caught(rb_op_id op, void (*run)(const rb_call *, int, int64_t, int64_t, void *, void *))
{
    rb_kernel k = *victim(op);
    char buf[256];
    int n = 0;
    mutated = op;
    k.run = run;
    for (uint64_t seed = 1; seed <= CASES; seed++)
        n += try_case(&k, RB_FILL_RANDOM, seed, buf, sizeof buf) != NULL;
    return n;
}

Test(kernels, the_checker_sees_wrong_kernels)
{
    for (rb_op_id op = 0; op < RB_OP_OWN; op++) {
        if (!victim(op)) {
            cr_expect_eq(op, RB_OP_ROOF_DOT_BF16);
            continue;
        }
        cr_expect_eq(caught(op, victim(op)->run), 0, "op %d: a right kernel was refused", (int)op);
        cr_expect_eq(caught(op, run_nothing), CASES, "op %d: doing nothing passed", (int)op);
        cr_expect_eq(caught(op, run_off_by_little), CASES, "op %d: 0.1 %% off passed", (int)op);
        cr_expect_eq(caught(op, run_beyond_the_row), CASES, "op %d: damage passed", (int)op);
        cr_expect_eq(caught(op, run_with_nan), CASES, "op %d: NaN passed", (int)op);
    }
}

/* Routes of other experts, or in another order. */
static void run_swapped_route(const rb_call *c, int phase, int64_t first, int64_t last,
                              void *shared, void *own)
{
    victim(RB_OP_ROUTE)->run(c, phase, first, last, shared, own);
    int32_t *id = (int32_t *)rb_at(&c->t[0], 0, first, 0);
    const int32_t n = (int32_t)c->t[2].n[3], last_id = (int32_t)c->t[0].n[3] - 1;
    if (last_id > 0) {
        const int32_t kept = id[0];
        id[0] = id[last_id];
        id[last_id] = kept;
    } else {
        id[0] = (id[0] + 1) % n;
    }
}

Test(kernels, the_checker_sees_wrong_routes)
{
    rb_kernel k = *victim(RB_OP_ROUTE);
    char buf[256];
    int n = 0, could = 0;
    k.run = run_swapped_route;
    for (uint64_t seed = 1; seed <= CASES; seed++) {
        rb_case c;
        cr_assert_eq(rb_case_make(&c, &k, RB_FILL_RANDOM, seed, NULL), RB_OK);
        could += c.call.t[2].n[3] > 1; /* of one expert there is one route */
        rb_case_free(&c);
        n += try_case(&k, RB_FILL_RANDOM, seed, buf, sizeof buf) != NULL;
    }
    cr_expect_eq(n, could, "%d of %d wrong routes were seen", n, could);
    cr_expect_geq(could, CASES / 2);
}

Test(kernels, the_checker_sees_old_cache_rows_overwritten)
{
    rb_kernel k = *victim(RB_OP_KV_STORE);
    char buf[256];
    k.run = run_on_old_rows;
    cr_expect_not_null(try_case(&k, RB_FILL_RANDOM, 1, buf, sizeof buf));
    cr_expect_not_null(try_case(&k, RB_FILL_RANDOM, 2, buf, sizeof buf));
}

/* ---- and so must one combination of dtypes, where a row takes several ---- */

/* Operands whose dtypes an op's rows take at run time. */
static const struct {
    rb_op_id op;
    int n, arg[3], combinations; /* of five types and, of some, absent; x may be no cache as well */
} mixed[] = { { RB_OP_ATTEND, 3, { 2, 3, 4 }, 5 * 6 * 5 },
              { RB_OP_KV_STORE, 3, { 0, 2, 4 }, 5 * 6 * 6 },
              { RB_OP_MATMUL_HEADS, 1, { 0 }, 6 } };

/* The number of a call's combination, below MOST_COMBINATIONS. */
enum { MOST_COMBINATIONS = 2 * (RB_N_DTYPE + 1) * (RB_N_DTYPE + 1) * (RB_N_DTYPE + 1) };
static int combination(const rb_call *c, size_t op)
{
    int id = 0;
    for (int i = 0; i < mixed[op].n; i++) {
        const rb_view *v = &c->t[mixed[op].arg[i]];
        id = id * (RB_N_DTYPE + 1) + (v->buffer ? (int)v->dtype : RB_N_DTYPE);
    }
    return 2 * id + (mixed[op].op == RB_OP_MATMUL_HEADS && c->t[0].stream == RB_KV);
}

static int broken;

static void run_but_one_combination(const rb_call *c, int phase, int64_t first, int64_t last,
                                    void *shared, void *own)
{
    size_t op = 0;
    while (mixed[op].op != mutated)
        op++;
    if (combination(c, op) != broken)
        victim(mutated)->run(c, phase, first, last, shared, own);
}

Test(kernels, the_checker_sees_one_broken_combination_of_dtypes)
{
    for (size_t op = 0; op < sizeof mixed / sizeof *mixed; op++) {
        rb_kernel k = *victim(mixed[op].op);
        bool seen[MOST_COMBINATIONS] = { false };
        char buf[256];
        int n = 0;
        mutated = mixed[op].op;
        k.run = run_but_one_combination;
        for (uint64_t seed = 1; seed <= (uint64_t)rb_case_combinations(&k); seed++) {
            rb_case c;
            cr_assert_eq(rb_case_make(&c, &k, RB_FILL_RANDOM, seed, NULL), RB_OK);
            broken = combination(&c.call, op);
            rb_case_free(&c);
            if (seen[broken])
                continue;
            seen[broken] = true;
            n++;
            cr_expect_not_null(try_case(&k, RB_FILL_RANDOM, seed, buf, sizeof buf), "%s, seed %d",
                               k.op->name, (int)seed);
        }
        cr_expect_eq(n, mixed[op].combinations, "%s: %d combinations", k.op->name, n);
    }
}

Test(kernels, reading_past_a_buffer_faults, .signal = SIGSEGV)
{
    rb_case c;
    guarded g;
    cr_assert_eq(rb_case_make(&c, victim(RB_OP_ADD), RB_FILL_RANDOM, 1, NULL), RB_OK);
    cr_assert(guard_open(&g, &c.call));
    volatile char *end = (char *)g.region[0].buffer.data + g.region[0].buffer.bytes;
    (void)*end;
}
