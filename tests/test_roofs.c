/* Roofs as they are measured on this machine: what must be there, in which order of magnitude, how
 * it stops, and that loops move the bytes which their bandwidth is computed from. How fast the
 * machine is, is not asked. Read next: ../bench/roofs.c. */
#include "../bench/bench.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 2 };

static rb_isa best_isa(bool *capped)
{
    rb_isa isa;
    cr_assert_eq(rb_isa_detect(&isa, capped, NULL), RB_OK);
    return isa;
}

static rb_roofs *open_roofs(int n_threads, rb_isa isa)
{
    rb_roofs *r;
    rb_error err = { 0 };
    cr_assert_eq(rb_roofs_open(&r, n_threads, isa, true, NULL, &err), RB_OK, "%s", err.text);
    return r;
}

/* ---- what is measured ---- */

/* Within what any computer of the last and next decades could say; units off by 1000 are not. */
static void want_unit(rb_roof_id id, double v)
{
    const char *unit = rb_roof_infos[id].unit;
    const bool time = !strcmp(unit, "ns");
    const double least = time ? 0.5 : 0.01, most = time ? 1e8 : 1e6;
    cr_expect(v > least && v < most, "%s: %g %s", rb_roof_infos[id].name, v, unit);
}

static void want_roof(const rb_machine *m, rb_roof_id id)
{
    const rb_roof *roof = &m->roof[id];
    const char *name = rb_roof_infos[id].name;
    cr_expect(isfinite(roof->value) && roof->value > 0, "%s: %g", name, roof->value);
    cr_expect(isfinite(roof->mad) && roof->mad >= 0, "%s: +- %g", name, roof->mad);
    cr_expect_geq(roof->n, id == RB_ROOF_CLOCK ? 1 : SAMPLES, "%s: %d samples", name, roof->n);
    cr_expect_leq(roof->ci95[0], roof->ci95[1]);
    want_unit(id, roof->value);
}

static void want_levels(const rb_machine *m)
{
    for (int level = RB_L1; level < RB_DRAM; level++) {
        const rb_level *l = &m->level[level];
        cr_expect_leq(l->each, l->total);
        cr_expect_eq(l->each == 0, l->total == 0);
        for (int id = RB_ROOF_READ_L1; id <= RB_ROOF_TRIAD_L1; id += RB_N_LEVEL)
            if (l->each)
                want_roof(m, (rb_roof_id)(id + level));
            else
                cr_expect_eq(m->roof[id + level].value, 0, "a level of unknown size");
    }
}

static void want_machine(const rb_machine *m, int n_threads, rb_isa isa)
{
    static const rb_roof_id always[] = { RB_ROOF_FMA_F32,    RB_ROOF_DOT_I8, RB_ROOF_EXP,
                                         RB_ROOF_READ_DRAM,  RB_ROOF_LAUNCH, RB_ROOF_COPY_DRAM,
                                         RB_ROOF_TRIAD_DRAM, RB_ROOF_CLOCK };
    cr_assert_eq(m->n_threads, n_threads);
    cr_assert_eq(m->isa, isa);
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        want_roof(m, always[i]);
    if (n_threads > 1) /* one waits for nobody */
        want_roof(m, RB_ROOF_BARRIER);
    want_levels(m);
    cr_expect(strstr(m->roof[RB_ROOF_READ_DRAM].note, "stream"), "which loop it was");
    if (m->roof[RB_ROOF_DOT_BF16].value)
        want_roof(m, RB_ROOF_DOT_BF16);
    if (m->level[RB_L1].each) /* by a factor, on any machine: no more than a sign of order */
        cr_expect_gt(2 * m->roof[RB_ROOF_READ_L1].value, m->roof[RB_ROOF_READ_DRAM].value);
}

Test(roofs, are_all_there_with_one_and_two_threads)
{
    bool capped;
    const rb_isa isa = best_isa(&capped);
    for (int n = 1; n <= 2; n++) {
        rb_roofs *r = open_roofs(n, isa);
        cr_assert_eq(rb_roofs_measure(r, SAMPLES, false, NULL, NULL, NULL), RB_OK);
        want_machine(rb_roofs_machine(r), n, isa);
        const rb_probe p = rb_roofs_probe(r);
        want_unit(RB_ROOF_READ_DRAM, p.read_dram);
        want_unit(RB_ROOF_FMA_F32, p.fma_f32);
        for (int id = 0; id < RB_ROOF_CLOCK; id++) /* each alone, where there is one at all */
            if (rb_roofs_machine(r)->roof[id].value > 0)
                want_unit((rb_roof_id)id, rb_roofs_now(r, (rb_roof_id)id));
            else
                cr_expect_eq(rb_roofs_now(r, (rb_roof_id)id), 0);
        rb_roofs_close(r);
    }
}

/* What each ISA computes, without memory and floors. A loop that a compiler sees through gives
 * figures beyond any machine: a dot is at most four times what an FMA is, in registers of a width.
 */
static void want_compute(rb_isa isa)
{
    rb_roofs *r = open_roofs(1, isa);
    cr_assert_eq(rb_roofs_measure(r, SAMPLES, true, NULL, NULL, NULL), RB_OK);
    const rb_machine *m = rb_roofs_machine(r);
    cr_assert_eq(m->isa, isa);
    want_roof(m, RB_ROOF_FMA_F32);
    want_roof(m, RB_ROOF_DOT_I8);
    want_roof(m, RB_ROOF_EXP);
    cr_expect_lt(m->roof[RB_ROOF_DOT_I8].value, 16 * m->roof[RB_ROOF_FMA_F32].value);
    cr_expect_lt(m->roof[RB_ROOF_EXP].value, m->roof[RB_ROOF_FMA_F32].value);
    if (isa != RB_ISA_AVX512)
        cr_assert_eq(m->roof[RB_ROOF_DOT_BF16].value, 0, "no such instruction");
    for (int id = RB_ROOF_READ_L1; id <= RB_ROOF_BARRIER; id++)
        cr_assert_eq(m->roof[id].value, 0, "%s", rb_roof_infos[id].name);
    const rb_probe p = rb_roofs_probe(r);
    cr_assert_eq(p.read_dram, 0);
    cr_assert_gt(p.fma_f32, 0);
    rb_roofs_close(r);
}

Test(roofs, of_a_capped_isa_are_its_own)
{
    for (int isa = RB_ISA_SCALAR; isa <= RB_ISA_AVX512; isa++)
        if (rb_isa_supported((rb_isa)isa))
            want_compute((rb_isa)isa);
}

Test(roofs, before_measuring_there_are_none)
{
    rb_roofs *r = open_roofs(2, RB_ISA_SCALAR);
    for (int id = 0; id < RB_N_ROOF; id++)
        cr_assert_eq(rb_roofs_machine(r)->roof[id].value, 0);
    const rb_probe p = rb_roofs_probe(r);
    cr_assert(p.read_dram == 0 && p.fma_f32 == 0);
    rb_roofs_close(r);
    rb_roofs_close(NULL);
}

Test(roofs, have_names_of_their_own)
{
    for (int i = 0; i < RB_N_ROOF; i++) {
        cr_assert(rb_roof_infos[i].name && rb_roof_infos[i].kind && rb_roof_infos[i].unit);
        for (int k = 0; k < i; k++)
            cr_assert_str_neq(rb_roof_infos[i].name, rb_roof_infos[k].name);
    }
}

/* ---- stopping ---- */

static bool stop_after(void *arg)
{
    int *left = arg;
    return (*left)-- <= 0;
}

/* Whenever it comes: what has samples is finite, the rest is not there. */
Test(roofs, stop_keeps_what_has_samples)
{
    static const int asks[] = { 0, 1, 3, 50, 60 };
    for (size_t k = 0; k < sizeof asks / sizeof *asks; k++) {
        int left = asks[k], n = 0;
        rb_roofs *r = open_roofs(1, RB_ISA_SCALAR);
        cr_assert_eq(rb_roofs_measure(r, 1000000, false, stop_after, &left, NULL), RB_OK);
        const rb_machine *m = rb_roofs_machine(r);
        for (int id = 0; id < RB_ROOF_CLOCK; id++) {
            cr_assert(isfinite(m->roof[id].value) && m->roof[id].value >= 0);
            cr_assert_eq(m->roof[id].value > 0, m->roof[id].n > 0);
            n += m->roof[id].n;
        }
        cr_assert_leq(n, asks[k]);
        const rb_probe p = rb_roofs_probe(r);
        cr_assert(isfinite(p.read_dram) && isfinite(p.fma_f32));
        rb_roofs_close(r);
    }
}

/* ---- the pool ---- */

static rb_roofs *get(rb_roof_pool *pool, int n_threads, rb_isa isa)
{
    int none = 0; /* stopped at once: which roofs these are matters, not what they say */
    rb_roofs *r;
    rb_error err = { 0 };
    cr_assert_eq(rb_roof_pool_get(pool, n_threads, isa, true, stop_after, &none, &r, &err), RB_OK,
                 "%s", err.text);
    return r;
}

Test(roofs, a_pool_measures_each_pair_of_threads_and_isa_once)
{
    bool capped;
    const rb_isa isa = best_isa(&capped);
    rb_roof_pool pool = { 0 };
    cr_assert_not(rb_roof_pool_machine(&pool, 1, isa));
    rb_roofs *one = get(&pool, 1, isa), *two = get(&pool, 2, isa);
    cr_assert_neq(one, two);
    cr_assert(rb_roof_pool_machine(&pool, 1, isa) && rb_roof_pool_machine(&pool, 2, isa));
    cr_assert_not(rb_roof_pool_machine(&pool, 3, isa));
    cr_assert_eq(get(&pool, 1, isa), one);
    cr_assert_eq(get(&pool, 2, isa), two);
    cr_assert_eq(pool.n, 2);
    if (isa != RB_ISA_SCALAR) {
        cr_assert_not(rb_roof_pool_machine(&pool, 1, RB_ISA_SCALAR));
        cr_assert_neq(get(&pool, 1, RB_ISA_SCALAR), one);
        cr_assert_eq(pool.n, 3);
    }
    cr_assert_eq(rb_roofs_machine(one)->n_threads, 1);
    cr_assert_eq(rb_roofs_machine(two)->n_threads, 2);
    rb_roof_pool_close(&pool);
    cr_assert_eq(pool.n, 0);
    rb_roof_pool_close(&pool);
}

/* Full of one and the same, whose memory is large. */
Test(roofs, a_pool_refuses_too_many)
{
    rb_roof_pool pool = { 0 };
    rb_roofs *r, *first = get(&pool, 1, RB_ISA_SCALAR);
    rb_error err = { 0 };
    const int most = (int)(sizeof pool.at / sizeof *pool.at);
    while (pool.n < most)
        pool.at[pool.n++] = first;
    cr_assert_eq(rb_roof_pool_get(&pool, 2, RB_ISA_SCALAR, true, NULL, NULL, &r, &err),
                 RB_ERR_ARGUMENT);
    cr_assert(strstr(err.text, "shorten the lists"), "%s", err.text);
    cr_assert_eq(pool.n, most);
    cr_assert_eq(get(&pool, 1, RB_ISA_SCALAR), first, "those that are there stay");
    pool.n = 1;
    rb_roof_pool_close(&pool);
}

/* ---- bytes that bandwidths are computed from ---- */

enum { ROWS = 3, COLUMNS = 2 * RB_ROOF_COLUMNS };

typedef struct traffic {
    uint64_t read, written;
} traffic;

/* Bytes that the counting build moved, from first to last, in reps repetitions of one launch. */
static traffic issued(rb_op_id op, rb_isa isa, int64_t reps, int streams, bool prefetch)
{
    const rb_kernel *k = NULL;
    rb_buffer b[3];
    rb_proof proof;
    rb_call call = { .p = {
                         .reps = reps, .streams = streams, .prefetch = prefetch, .scale = 0.5f } };
    for (int i = 0; i < rb_registry_size(); i++)
        if (rb_registry_row(i)->op->id == op && rb_registry_row(i)->isa == isa)
            k = rb_registry_row(i);
    cr_assert_not_null(k);
    for (int a = 0; a < 3; a++) {
        const int64_t columns = a == 0 && op == RB_OP_ROOF_READ ? 1 : COLUMNS;
        cr_assert_eq(rb_buffer_alloc(&b[a], sizeof(float) * ROWS * COLUMNS, false, NULL), RB_OK);
        if (k->op->arg[a].name)
            call.t[a] = rb_view_dense(&b[a], RB_F32, RB_ACT, 0, 1, ROWS, 1, columns);
    }
    cr_assert(rb_prove(k, &call, 5, &proof), "%s", proof.mismatch);
    for (int a = 0; a < 3; a++)
        rb_buffer_free(&b[a]);
    return (traffic){ proof.issued_rd, proof.issued_wr };
}

/* Every repetition reads and writes every operand once, whatever the lanes: nothing is hoisted out
 * of the loop, nothing comes twice. */
Test(roofs, loops_move_each_operand_once_a_repetition)
{
    static const rb_isa isas[] = { RB_ISA_COUNT1, RB_ISA_COUNT8, RB_ISA_COUNT16 };
    const uint64_t operand = sizeof(float) * ROWS * COLUMNS, sums = sizeof(float) * ROWS;
    for (int i = 0; i < 3; i++) {
        for (uint64_t reps = 1; reps <= 8; reps *= 2) {
            const int64_t n = (int64_t)reps;
            for (int how = 0; how < 6; how++) {
                const traffic t = issued(RB_OP_ROOF_READ, isas[i], n, 1 << how / 2, how % 2);
                cr_expect_eq(t.read, reps * operand, "read, %d: %zu", how, (size_t)t.read);
                cr_expect_eq(t.written, reps * sums);
            }
            traffic t = issued(RB_OP_ROOF_COPY, isas[i], n, 1, false);
            cr_expect(t.read == reps * operand && t.written == reps * operand, "copy");
            t = issued(RB_OP_ROOF_TRIAD, isas[i], n, 1, false);
            cr_expect(t.read == reps * 2 * operand && t.written == reps * operand, "triad");
        }
    }
}
