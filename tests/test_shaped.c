/* Problems of given extents: every row of the registry gets valid ones, which its counting twin
 * proves; sets of operands differ in nothing but where they lie and which rows they pick; what does
 * not fit together is refused by the names of extents. Read next: ../kernels/shaped.h. */
#include "../kernels/kernels.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { N_SETS = 5 };

/* Small extents that all dtypes can have. */
static rb_sizes small_sizes(rb_op_id op)
{
    rb_sizes s = rb_sizes_preset(op, RB_DECODE);
    const rb_extent *e = rb_extents(op);
    for (int i = 0; e[i].name; i++) {
        const char *name = e[i].name;
        if (s.at[i] > 1)
            s.at[i] = strchr("MKF", name[0]) ? 256 : !strcmp(name, "k") ? 3 : 8;
        if (!strcmp(name, "T"))
            s.at[i] = 3;
        if ((!strcmp(name, "H") && (op == RB_OP_EXPERTS || op == RB_OP_EMBED)) || name[0] == 'D')
            s.at[i] = 256;
        if (!strcmp(name, "DV"))
            s.at[i] = 0;
    }
    return s;
}

/* The dtype and sizes of row k's problem. */
static rb_sizes problem_of(const rb_kernel *k, rb_dtype *type)
{
    rb_sizes s = small_sizes(k->op->id);
    *type = k->dtype;
    if (k->op->id == RB_OP_EXPERTS || k->op->id == RB_OP_KV_STORE)
        *type = RB_Q8_0;
    if (k->op->id == RB_OP_ATTEND) {
        *type = RB_Q4_0;
        s.at[5] = 256; /* R */
    }
    if (k->isa == RB_ISA_BLAS)
        s.at[2] = 32; /* T */
    if (k->act != RB_ACT_F32 && k->op->id == RB_OP_MATMUL)
        s.at[2] = 1;
    return s;
}

static bool is_roof(const rb_kernel *k)
{
    return strncmp(k->op->name, "roof_", 5) == 0;
}

static void make(rb_shaped *p, const rb_kernel *k)
{
    rb_dtype type;
    rb_error err = { 0 };
    char name[128];
    const rb_sizes s = problem_of(k, &type);
    cr_assert_eq(rb_shaped_make(p, k->op->id, type, &s, &err), RB_OK, "%s: %s",
                 rb_kernel_name(k, name, sizeof name), err.text);
    cr_assert(rb_kernel_fits(k, &p->call), "%s", name);
    cr_assert_eq(rb_shaped_alloc(p, N_SETS, &err), RB_OK, "%s", err.text);
    for (int part = 0; part < 3; part++)
        rb_shaped_fill(p, part, 3);
}

/* ---- every row ---- */

Test(shaped, every_row_of_the_registry_has_a_problem_that_its_twin_proves)
{
    int n = 0;
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        if (is_roof(k) || k->isa >= RB_ISA_COUNT1)
            continue;
        rb_shaped p;
        rb_proof proof;
        char name[128];
        make(&p, k);
        rb_call call = p.call;
        rb_shaped_turn(&p, N_SETS - 1, &call);
        if (rb_counting_twin(k))
            cr_expect(rb_prove(rb_counting_twin(k), &call, 7, &proof), "%s: %s",
                      rb_kernel_name(k, name, sizeof name), proof.mismatch);
        n += rb_counting_twin(k) != NULL;
        rb_shaped_free(&p);
    }
    cr_assert_gt(n, 50);
}

/* Values of an operand of a set are numbers, and not all the same. */
static void check_values(const rb_view *v, const char *name)
{
    float row[1 << 16];
    cr_assert_leq(v->n[3], (int64_t)(sizeof row / sizeof *row));
    rb_decode_row(v->dtype, row, rb_at(v, 0, v->n[1] - 1, v->n[2] - 1), v->n[3]);
    bool differ = v->n[3] == 1;
    for (int64_t i = 0; i < v->n[3]; i++) {
        cr_assert(isfinite(row[i]) && fabsf(row[i]) <= 1.5f, "%s: %g", name, (double)row[i]);
        differ |= row[i] != row[0];
    }
    cr_expect(differ, "%s", name);
}

static void check_set(const rb_shaped *p, const rb_kernel *k, int64_t set, rb_cost *cost)
{
    rb_call call = p->call;
    const char *arg;
    bool assumed = false;
    rb_shaped_turn(p, set, &call);
    cr_expect_null(rb_call_error(p->op, &call, &arg));
    for (int a = 0; a < RB_MAX_ARG && p->op->arg[a].name; a++)
        if (call.t[a].buffer && call.t[a].stream != RB_CTRL && p->size[a].bytes)
            check_values(&call.t[a], p->op->arg[a].name);
    *cost = rb_cost_of(k, &call, &assumed);
    cr_expect_not(assumed);
}

Test(shaped, sets_cost_the_same_and_hold_numbers)
{
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        rb_shaped p;
        rb_cost first, other;
        if (is_roof(k) || k->isa != RB_ISA_SCALAR)
            continue;
        make(&p, k);
        check_set(&p, k, 0, &first);
        for (int64_t s = 1; s < N_SETS; s++) {
            check_set(&p, k, s, &other);
            cr_expect(rb_cost_equal(&first, &other), "%s, set %d", k->op->name, (int)s);
        }
        rb_shaped_free(&p);
    }
}

/* Written operands of two sets share no byte, gathered ones are the same. */
Test(shaped, sets_lie_apart)
{
    const rb_sizes s = { { 3, 64, 100 } };
    rb_shaped p;
    cr_assert_eq(rb_shaped_make(&p, RB_OP_EMBED, RB_F16, &s, NULL), RB_OK);
    cr_assert_eq(rb_shaped_alloc(&p, 3, NULL), RB_OK);
    rb_shaped_fill(&p, 0, 1);
    rb_call a = p.call, b = p.call;
    rb_shaped_turn(&p, 0, &a);
    rb_shaped_turn(&p, 2, &b);
    cr_expect_eq(a.t[1].buffer->data, b.t[1].buffer->data);
    cr_expect_geq((char *)b.t[0].buffer->data - (char *)a.t[0].buffer->data,
                  (ptrdiff_t)(2 * 3 * 64 * sizeof(float)));
    const int32_t *x = a.t[2].buffer->data, *y = b.t[2].buffer->data;
    for (int t = 0; t < 3; t++)
        cr_expect_eq(y[t], (x[t] + 2 * 3) % 100, "a rotation");
    cr_expect_leq((char *)b.t[2].buffer->data + b.t[2].buffer->bytes,
                  (char *)p.memory.data + p.memory.bytes);
    rb_shaped_free(&p);
}

Test(shaped, no_token_takes_an_expert_twice)
{
    for (int64_t k = 40; k <= 100; k += 30) { /* drawn, and where most are taken neighbours */
        const rb_sizes s = { { 3, 4, 4, 100, k } };
        rb_shaped p;
        cr_assert_eq(rb_shaped_make(&p, RB_OP_EXPERTS, RB_F32, &s, NULL), RB_OK);
        cr_assert_eq(rb_shaped_alloc(&p, 2, NULL), RB_OK);
        rb_shaped_fill(&p, 0, 1);
        rb_call call = p.call;
        rb_shaped_turn(&p, 1, &call);
        for (int64_t t = 0; t < 3; t++) {
            const int32_t *id = (const int32_t *)rb_at(&call.t[5], 0, t, 0);
            int seen[100] = { 0 };
            for (int64_t j = 0; j < k; j++) {
                cr_assert(id[j] >= 0 && id[j] < 100);
                cr_expect_eq(seen[id[j]]++, 0, "expert %d", id[j]);
            }
        }
        rb_shaped_free(&p);
    }
}

Test(shaped, every_op_but_roofs_has_extents_and_presets)
{
    char text[200];
    for (int id = 0; id < RB_OP_OWN; id++) {
        const rb_op *op = rb_op_get((rb_op_id)id);
        const bool roof = strncmp(op->name, "roof_", 5) == 0;
        cr_assert_eq(rb_extents(op->id) == NULL, roof, "%s", op->name);
        for (int phase = 0; phase < RB_N_PHASE && !roof; phase++) {
            const rb_sizes s = rb_sizes_preset(op->id, (rb_phase)phase);
            const rb_extent *e = rb_extents(op->id);
            for (int i = 0; e[i].name; i++)
                cr_expect_geq(s.at[i], e[i].least);
            cr_expect(strstr(rb_sizes_text(op->id, &s, text, sizeof text),
                             phase == RB_DECODE ? "T=1" : "T=512"),
                      "%s: %s", op->name, text);
        }
    }
}

/* ---- what is refused ---- */

static void refuse(rb_op_id op, rb_dtype d, rb_sizes s, const char *words)
{
    rb_shaped p;
    rb_error err = { 0 };
    cr_expect_eq(rb_shaped_make(&p, op, d, &s, &err), RB_ERR_ARGUMENT);
    cr_expect(strstr(err.text, words), "%s", err.text);
}

Test(shaped, what_does_not_fit_together_is_refused_by_name)
{
    refuse(RB_OP_MATMUL, RB_Q8_0, (rb_sizes){ { 64, 100, 1 } }, "K: blocks of q8_0 are 32");
    refuse(RB_OP_MATMUL, RB_Q8_0_P16, (rb_sizes){ { 64, 100, 1 } }, "K: blocks of q8_0 are 32");
    refuse(RB_OP_MATMUL, RB_F16_P16, (rb_sizes){ { 63, 64, 1 } }, "M: f16.p16 packs 16 rows");
    refuse(RB_OP_MATMUL, RB_F32, (rb_sizes){ { 0, 64, 1 } }, "M is 0");
    refuse(RB_OP_MATMUL, RB_F32, (rb_sizes){ { 1, 1LL << 40, 1 } }, "K is 1099511627776");
    refuse(RB_OP_EXPERTS, RB_F32, (rb_sizes){ { 1, 1 << 30, 1 << 30, 1 << 30, 1 } },
           "larger than any memory");
    refuse(RB_OP_EXPERTS, RB_F32, (rb_sizes){ { 1, 8, 8, 2, 3 } }, "more experts are taken");
    refuse(RB_OP_ROPE, RB_F32, (rb_sizes){ { 1, 2, 1, 7, 0 } }, "D: pairs");
    refuse(RB_OP_ATTEND, RB_F16, (rb_sizes){ { 4, 8, 2, 64, 3, 0, 0 } }, "S: 3 keys are fewer");
    refuse(RB_OP_ATTEND, RB_F16, (rb_sizes){ { 1, 8, 3, 64, 3, 0, 0 } }, "do not divide");
    refuse(RB_OP_ATTEND, RB_Q8_0, (rb_sizes){ { 1, 8, 2, 64, 3, 8, 0 } }, "R: blocks of q8_0");
}

Test(shaped, what_is_too_large_to_address_says_so)
{
    const rb_sizes s = { { INT32_MAX, 1 << 20, 1 } };
    rb_shaped p;
    rb_error err = { 0 };
    cr_assert_eq(rb_shaped_make(&p, RB_OP_MATMUL, RB_F32, &s, &err), RB_OK, "%s", err.text);
    cr_expect_eq(rb_shaped_bytes(&p, INT64_MAX), UINT64_MAX);
    cr_expect_eq(rb_shaped_alloc(&p, 4, &err), RB_ERR_MEMORY);
    rb_shaped_free(&p);
}

/* ---- a team of one row ---- */

Test(shaped, a_team_of_one_row_has_that_row_alone)
{
    const rb_sizes s = { { 64, 64, 40 } };
    rb_shaped p;
    cr_assert_eq(rb_shaped_make(&p, RB_OP_MATMUL, RB_F32, &s, NULL), RB_OK);
    int n = 0;
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        rb_team *team;
        const rb_team_params params = { .n_threads = 1, .dry = true, .only = k };
        if (k->op->id != RB_OP_MATMUL || k->dtype != RB_F32)
            continue;
        const rb_status st = rb_team_open(&team, &params, NULL);
        const bool may = k->isa < RB_ISA_COUNT1 && rb_kernel_supported(k);
        cr_expect_eq(st, may ? RB_OK : RB_ERR_ARGUMENT);
        if (st != RB_OK)
            continue;
        cr_expect_eq(rb_select(team, RB_OP_MATMUL, &p.call), k);
        const rb_call other = { .t = { p.call.t[0], p.call.t[0] } };
        cr_expect_null(rb_select(team, RB_OP_ADD, &other));
        rb_team_close(team);
        n++;
    }
    cr_expect_geq(n, 2, "scalar and BLAS at least");
}

/* ---- which row a team takes ---- */

static const rb_kernel *taken(rb_dtype type, rb_isa isa, bool act_f32)
{
    const rb_sizes s = { { 64, 256, 40 } };
    const rb_team_params params = {
        .n_threads = 1, .dry = true, .isa = isa, .capped = true, .act_f32 = act_f32
    };
    rb_shaped p;
    rb_team *team;
    cr_assert_eq(rb_shaped_make(&p, RB_OP_MATMUL, type, &s, NULL), RB_OK);
    cr_assert_eq(rb_team_open(&team, &params, NULL), RB_OK);
    const rb_kernel *k = rb_select(team, RB_OP_MATMUL, &p.call);
    rb_team_close(team);
    return k;
}

Test(taken, the_dot_products_that_profit)
{
    for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++) {
        if (!rb_isa_supported(isa))
            continue;
        const rb_kernel dots = { .isa = isa, .needs_bf16 = true, .act = RB_ACT_BF16 };
        const bool fast =
            isa == RB_ISA_AVX512 && rb_kernel_supported(&dots) && rb_kernel_worth_taking(&dots);
        cr_expect_eq(taken(RB_BF16_P16, isa, false)->act, fast ? RB_ACT_BF16 : RB_ACT_F32);
        cr_expect_eq(taken(RB_BF16_P16, isa, true)->act, RB_ACT_F32);
        cr_expect_eq(taken(RB_Q4_K_P16, isa, false)->isa, isa);
    }
}
