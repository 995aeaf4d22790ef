/* The counting proof over the whole registry: executed work and touched units equal formula and
 * views, for every row, at every lane width, however the work is split. And the checker is checked:
 * each kind of lie that PROOF names turns it red. Read next: kernels/prove.c. */
#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <signal.h>
#include <string.h>

#include "../kernels/count.h"
#include "../kernels/kernels.h"
#include "ref.h"

enum { CASES = 8 };

/* Every combination of dtypes comes up, and no row has few cases. */
static int n_cases(const rb_kernel *k)
{
    const int n = rb_case_combinations(k);
    return n > CASES ? n : CASES;
}

static bool prove_case(const rb_kernel *k, uint64_t seed, rb_proof *proof)
{
    rb_case c;
    rb_error err;
    if (rb_case_make(&c, k, RB_FILL_RANDOM, seed, &err) != RB_OK)
        cr_assert(false, "%s", err.text);
    const bool ok = rb_prove(k, &c.call, seed * 7 + 1, proof);
    rb_case_free(&c);
    return ok;
}

/* A row and its counting twin claim the same of the same call. */
static void expect_same_claims(const rb_kernel *k, const rb_kernel *twin, const char *name)
{
    for (uint64_t seed = 1; seed <= (uint64_t)n_cases(k); seed++) {
        rb_case c;
        bool assumed = false;
        cr_assert_eq(rb_case_make(&c, k, RB_FILL_RANDOM, seed, NULL), RB_OK);
        const rb_cost a = rb_cost_of(k, &c.call, &assumed), b = rb_cost_of(twin, &c.call, &assumed);
        cr_expect(rb_cost_equal(&a, &b), "%s claims other counts than its twin", name);
        rb_case_free(&c);
    }
}

/* Counts are right, and so is the result: lanes that this machine has not are computed with too. */
static void expect_proven(const rb_kernel *k, const char *name)
{
    for (uint64_t seed = 1; seed <= (uint64_t)n_cases(k); seed++) {
        rb_proof proof;
        rb_case before, c;
        char buf[256];
        cr_assert_eq(rb_case_make(&before, k, RB_FILL_RANDOM, seed, NULL), RB_OK);
        cr_assert_eq(rb_case_make(&c, k, RB_FILL_RANDOM, seed, NULL), RB_OK);
        cr_expect(rb_prove(k, &c.call, seed * 7 + 1, &proof), "%s, case %d: %s", name, (int)seed,
                  proof.mismatch);
        const char *wrong = ref_check(k, &before.call, &c.call, buf, sizeof buf);
        cr_expect_null(wrong, "%s, case %d: %s", name, (int)seed, wrong);
        rb_case_free(&before);
        rb_case_free(&c);
    }
}

Test(proof, every_row_is_proven_or_says_why_not)
{
    int proven = 0, unproven = 0, cases = 0;
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i), *twin = rb_counting_twin(k);
        char name[96];
        rb_kernel_name(k, name, sizeof name);
        cr_expect_eq(!k->issued, k->unproven != NULL, "%s: who is proven says what it issues",
                     name);
        if (k->unproven) {
            cr_expect_eq(k->isa, RB_ISA_BLAS, "%s: only BLAS may be unproven", name);
            unproven++;
            continue;
        }
        cr_assert_not_null(twin, "%s has no counting twin", name);
        if (k->isa < RB_ISA_COUNT1) {
            if (rb_isa_supported(k->isa))
                expect_same_claims(k, twin, name); /* the twin is a row and proven as such */
            continue;
        }
        expect_proven(k, name);
        proven++;
        cases += n_cases(k);
    }
    cr_log_info("%d counting rows proven, %d cases; %d unproven\n", proven, cases, unproven);
    cr_assert_geq(proven, 3 * 30);
    cr_assert_eq(unproven, 1);
}

/* However the work is split, the same is done, and loads and stores move at least what is needed.
 */
Test(proof, the_split_does_not_change_the_tally)
{
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        rb_case c;
        rb_proof seen[4];
        bool assumed = false;
        if (k->isa < RB_ISA_COUNT1)
            continue;
        cr_assert_eq(rb_case_make(&c, k, RB_FILL_RANDOM, 5, NULL), RB_OK);
        const rb_cost cost = rb_cost_of(k, &c.call, &assumed);
        rb_case_free(&c);
        for (uint64_t split = 0; split < 4; split++) {
            cr_assert_eq(rb_case_make(&c, k, RB_FILL_RANDOM, 5, NULL), RB_OK);
            cr_expect(rb_prove(k, &c.call, 1 + 1000 * split, &seen[split]), "%s",
                      seen[split].mismatch);
            rb_case_free(&c);
            cr_expect_arr_eq(&seen[0], &seen[split], sizeof seen[0]);
        }
        const rb_bytes b = rb_cost_bytes(&cost);
        cr_expect_geq(seen[0].issued_rd, b.weight + b.kv_read + b.act_read);
        cr_expect_geq(seen[0].issued_wr, b.kv_write + b.act_write);
    }
}

/* ---- mutants ---- */

static const rb_kernel *row(rb_op_id op, rb_dtype key)
{
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        if (k->op->id == op && k->isa == RB_ISA_COUNT8 && k->dtype == key && !k->variant)
            return k;
    }
    cr_assert(false, "no counting row");
    return NULL;
}

static const rb_kernel *integer_row(void)
{
    for (int i = 0; i < rb_registry_size(); i++)
        if (rb_registry_row(i)->act == RB_ACT_I8 && rb_registry_row(i)->isa == RB_ISA_COUNT16)
            return rb_registry_row(i);
    cr_assert(false, "no integer row");
    return NULL;
}

/* Cases (of CASES) in which the mutant is refused; the text of the last refusal in *proof. */
static int refused(const rb_kernel *mutant, rb_proof *proof)
{
    int n = 0;
    for (uint64_t seed = 1; seed <= CASES; seed++)
        n += !prove_case(mutant, seed, proof);
    return n;
}

static void expect_red(const rb_kernel *mutant, const char *what)
{
    rb_proof proof;
    cr_expect_eq(refused(mutant, &proof), CASES, "%s was not seen", what);
}

/* Red in each case that it concerns, which are most, green in the others. */
static void expect_red_where(const rb_kernel *mutant, bool (*concerned)(const rb_call *),
                             const char *what)
{
    rb_proof proof;
    int n = 0;
    for (uint64_t seed = 1; seed <= (uint64_t)n_cases(mutant); seed++) {
        rb_case c;
        cr_assert_eq(rb_case_make(&c, mutant, RB_FILL_RANDOM, seed, NULL), RB_OK);
        const bool red = concerned(&c.call);
        rb_case_free(&c);
        n += red;
        cr_expect_eq(prove_case(mutant, seed, &proof), !red, "%s, case %d", what, (int)seed);
    }
    cr_expect_gt(2 * n, n_cases(mutant), "%s", what);
}

/* Whether attend has to decode what it reads. */
static bool decodes(const rb_call *c)
{
    bool any = false;
    for (int a = 2; a <= 4; a++)
        any |= c->t[a].buffer && c->t[a].dtype != RB_F32;
    return any;
}

Test(mutants, the_unmutated_rows_are_green)
{
    rb_proof proof;
    cr_expect_eq(refused(row(RB_OP_MATMUL, RB_F32), &proof), 0, "%s", proof.mismatch);
    cr_expect_eq(refused(row(RB_OP_ATTEND, RB_NO_DTYPE), &proof), 0, "%s", proof.mismatch);
}

Test(mutants, wrong_formulas)
{
    static const rb_term as_macs[] = { { 1, { 0, 2, 1 } },
                                       { 1, { 0, 3, 1 } },
                                       { 1, { 0, 4, 1 } },
                                       { 1, { 0, 5, -1 } },
                                       { 1, { 0, 6, -1 } },
                                       { 1, { 0, 7, -1 } },
                                       { 0 } };
    static const rb_term nothing[] = { { 0 } };
    rb_kernel k = *row(RB_OP_MATMUL, RB_F32);
    rb_op op = *k.op;
    op.flops = as_macs;
    k.op = &op;
    expect_red(&k, "multiply-add as 1");

    k = *row(RB_OP_RMSNORM, RB_F32);
    op = *k.op;
    op.special = nothing;
    k.op = &op;
    expect_red(&k, "specials left out");

    k = *row(RB_OP_ATTEND, RB_NO_DTYPE);
    k.extra = NULL;
    expect_red(&k, "rescaling and scaling of q not stated");
    k = *row(RB_OP_ATTEND, RB_NO_DTYPE);
    k.saved = NULL;
    expect_red(&k, "the folded scale not stated");
    k = *row(RB_OP_ATTEND, RB_NO_DTYPE);
    memset(k.decode, 0, sizeof k.decode);
    expect_red_where(&k, decodes, "decoding not stated");

    k = *integer_row();
    k.int_macs = NULL;
    expect_red(&k, "integer multiply-adds not stated");
    k = *integer_row();
    k.special_overhead = NULL;
    expect_red(&k, "the divisions of quantising not stated");
}

/* ---- issued bytes ---- */

static const rb_kernel *said;

static rb_issued issued_beside(const rb_call *c, int64_t rd, int64_t wr)
{
    const rb_issued right = said->issued(c);
    return (rb_issued){ right.rd + (uint64_t)rd, right.wr + (uint64_t)wr };
}

static rb_issued a_load_less(const rb_call *c)
{
    return issued_beside(c, -1, 0);
}

static rb_issued a_store_more(const rb_call *c)
{
    return issued_beside(c, 0, 1);
}

static rb_issued a_load_as_a_store(const rb_call *c)
{
    return issued_beside(c, -4, 4);
}

/* What x, y and w hold: each byte once. */
static rb_issued compulsory(const rb_call *c)
{
    const uint64_t x = 4 * (uint64_t)rb_view_elements(&c->t[1]);
    return (rb_issued){ x + 4 * (uint64_t)c->t[1].n[3], x };
}

Test(mutants, wrong_issued_bytes)
{
    static const struct {
        rb_op_id op;
        rb_dtype key;
    } of[] = { { RB_OP_MATMUL, RB_Q8_0 },
               { RB_OP_ATTEND, RB_NO_DTYPE },
               { RB_OP_EXPERTS, RB_NO_DTYPE } };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        rb_kernel k = *row(of[i].op, of[i].key);
        said = row(of[i].op, of[i].key);
        k.issued = a_load_less;
        expect_red(&k, "a byte less loaded");
        k.issued = a_store_more;
        expect_red(&k, "a byte more stored");
        k.issued = a_load_as_a_store;
        expect_red(&k, "a load as a store");
    }
    rb_kernel k = *row(RB_OP_RMSNORM, RB_F32);
    k.issued = compulsory;
    expect_red(&k, "compulsory bytes as issued ones");
}

/* The form of 8 lanes is not that of 16: the two have other tiles and tails. */
Test(mutants, issued_bytes_of_other_lanes)
{
    rb_kernel k = *integer_row();
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *other = rb_registry_row(i);
        if (other->isa == RB_ISA_COUNT8 && other->op == k.op && other->dtype == k.dtype &&
            other->act == k.act)
            k.issued = other->issued;
    }
    expect_red(&k, "issued bytes of 8 lanes");
}

/* A row that does not say is believed nothing, and leaves no total. */
Test(mutants, unknown_issued_bytes)
{
    rb_proof proof;
    rb_case c;
    bool assumed = false;
    rb_kernel k = *row(RB_OP_ADD, RB_F32);
    cr_assert_eq(rb_case_make(&c, &k, RB_FILL_RANDOM, 1, NULL), RB_OK);
    rb_cost sum = rb_cost_of(&k, &c.call, &assumed);
    cr_expect(sum.issued_unknown == 0 && sum.issued_rd == 2 * sum.issued_wr && sum.issued_wr > 0);
    k.issued = NULL;
    const rb_cost silent = rb_cost_of(&k, &c.call, &assumed);
    cr_expect(silent.issued_unknown == 1 && silent.issued_rd == 0 && silent.issued_wr == 0);
    cr_expect(rb_prove(&k, &c.call, 1, &proof), "%s", proof.mismatch);
    rb_cost_add(&sum, &silent);
    cr_expect_eq(sum.issued_unknown, 1, "of two launches, one does not say");
    rb_case_free(&c);
}

static const rb_kernel *inner;

static void run_twice(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                      void *own)
{
    inner->run(c, phase, first, last, shared, own);
    inner->run(c, phase, first, last, shared, own);
}

Test(mutants, an_op_done_twice)
{
    inner = row(RB_OP_MATMUL, RB_Q8_0);
    rb_kernel k = *inner;
    k.run = run_twice;
    expect_red(&k, "an op done twice");
}

/* Claims one row (or column block) less than the kernel uses, or one more. */
static void run_wider(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                      void *own)
{
    rb_call wide = *c;
    wide.t[0].n[3] += 1;
    wide.t[1].n[3] += 1;
    inner->run(&wide, phase, first, last, shared, own);
}

static void run_narrower(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                         void *own)
{
    rb_call narrow = *c;
    narrow.t[0].n[3] -= 1;
    narrow.t[1].n[3] -= 1;
    if (narrow.t[0].n[3] > 0)
        inner->run(&narrow, phase, first, last, shared, own);
}

/* Work done twice for K of f16 beside V of f32 alone. */
static bool is_mixed(const rb_call *c)
{
    return c->t[2].dtype == RB_F16 && c->t[4].dtype == RB_F32;
}

static void run_mixed_twice(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                            void *own)
{
    inner->run(c, phase, first, last, shared, own);
    if (is_mixed(c))
        inner->run(c, phase, first, last, shared, own);
}

Test(mutants, one_combination_of_dtypes)
{
    rb_proof proof;
    inner = row(RB_OP_ATTEND, RB_NO_DTYPE);
    rb_kernel k = *inner;
    int n = 0;
    k.run = run_mixed_twice;
    for (uint64_t seed = 1; seed <= (uint64_t)n_cases(&k); seed++)
        n += !prove_case(&k, seed, &proof);
    cr_expect(n > 0 && n < n_cases(&k), "%d of %d cases", n, n_cases(&k));
}

Test(mutants, a_byte_outside_and_a_byte_left_out)
{
    inner = row(RB_OP_ADD, RB_F32);
    rb_kernel k = *inner;
    k.run = run_wider;
    expect_red(&k, "a byte outside");
    k.run = run_narrower;
    expect_red(&k, "a byte left out");
}

/* Reads f16 weights as if they were f32 of half as many columns. */
static void run_wrong_width(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                            void *own)
{
    rb_call wrong = *c;
    wrong.t[1].dtype = RB_F32;
    inner->run(&wrong, phase, first, last, shared, own);
}

Test(mutants, a_wrong_width)
{
    inner = row(RB_OP_EMBED, RB_F16);
    rb_kernel k = *inner;
    k.run = run_wrong_width;
    expect_red(&k, "f16 rows read as f32");
}

Test(mutants, a_swapped_stream)
{
    const rb_kernel *k = row(RB_OP_MATMUL, RB_F32);
    rb_case c;
    rb_proof proof;
    cr_assert_eq(rb_case_make(&c, k, RB_FILL_RANDOM, 3, NULL), RB_OK);
    cr_expect(rb_prove(k, &c.call, 1, &proof), "%s", proof.mismatch);
    c.call.t[2].stream = RB_ACT;
    cr_expect_not(rb_prove(k, &c.call, 1, &proof), "weights booked as activations");
    c.call.t[2].stream = RB_WEIGHT;
    c.call.t[0].stream = RB_KV;
    cr_expect_not(rb_prove(k, &c.call, 1, &proof), "activations booked as cache");
    rb_case_free(&c);
}

/* A cost that books the right sum under the wrong stream or direction. */
Test(mutants, a_claim_of_other_bytes)
{
    const rb_kernel *k = row(RB_OP_MATMUL, RB_Q8_0);
    rb_case c;
    rb_proof proof;
    bool assumed = false;
    cr_assert_eq(rb_case_make(&c, k, RB_FILL_RANDOM, 3, NULL), RB_OK);
    const rb_cost right = rb_cost_of(k, &c.call, &assumed);
    cr_expect(rb_prove_claim(k, &c.call, &right, 1, &proof), "%s", proof.mismatch);
    rb_cost wrong = right;
    wrong.rd[RB_WEIGHT] = right.rd[RB_ACT];
    wrong.rd[RB_ACT] = right.rd[RB_WEIGHT];
    cr_expect_not(rb_prove_claim(k, &c.call, &wrong, 1, &proof), "weights and activations swapped");
    wrong = right;
    wrong.wr[RB_ACT] = right.rd[RB_ACT];
    wrong.rd[RB_ACT] = right.wr[RB_ACT];
    cr_expect_not(rb_prove_claim(k, &c.call, &wrong, 1, &proof), "read and written swapped");
    wrong = right;
    wrong.rd[RB_WEIGHT] -= 1;
    cr_expect_not(rb_prove_claim(k, &c.call, &wrong, 1, &proof), "a byte less");
    wrong = right;
    wrong.issued_rd += 1;
    cr_expect_not(rb_prove_claim(k, &c.call, &wrong, 1, &proof), "a byte more issued");
    rb_case_free(&c);
}

static void run_bare_read(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                          void *own)
{
    volatile float x = *(const float *)rb_at(&c->t[1], 0, 0, 0);
    (void)x;
    inner->run(c, phase, first, last, shared, own);
}

Test(mutants, data_cannot_be_reached_without_primitives, .signal = SIGSEGV)
{
    inner = row(RB_OP_ADD, RB_F32);
    rb_kernel k = *inner;
    rb_proof proof;
    k.run = run_bare_read;
    prove_case(&k, 1, &proof);
}

static void run_reads_output(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                             void *own)
{
    const rb_view *y = &c->t[0];
    rb_count_read(rb_at(y, 0, 0, 0), sizeof(float));
    inner->run(c, phase, first, last, shared, own);
}

Test(mutants, an_output_read_before_it_is_written)
{
    inner = row(RB_OP_SILU_GATE, RB_F32);
    rb_kernel k = *inner;
    k.run = run_reads_output;
    expect_red(&k, "read before write");
}

/* ---- the door refuses calls that do not fit ---- */

static rb_dtype some_key(rb_op_id op)
{
    return rb_op_get(op)->key_arg < 0 ? RB_NO_DTYPE : RB_F32;
}

static const char *refusal(rb_op_id op, int arg, void (*spoil)(rb_view *))
{
    rb_case c;
    const char *name = NULL;
    cr_assert_eq(rb_case_make(&c, row(op, some_key(op)), RB_FILL_RANDOM, 3, NULL), RB_OK);
    cr_assert_null(rb_call_error(rb_op_get(op), &c.call, &name));
    spoil(&c.call.t[arg]);
    const char *wrong = rb_call_error(rb_op_get(op), &c.call, &name);
    rb_case_free(&c);
    return wrong;
}

static void make_half(rb_view *v)
{
    v->dtype = RB_F16;
}

static void make_half_of_act(rb_view *v)
{
    v->dtype = RB_F16;
    v->stream = RB_ACT;
}

/* In whole blocks and within the buffer: it is the type that is refused. */
static void make_q4_1(rb_view *v)
{
    v->dtype = RB_Q4_1;
    v->n[3] = 32;
    v->n[0] = v->n[1] = v->n[2] = 1;
}

static void move_beyond(rb_view *v)
{
    v->offset_bytes += (int64_t)v->buffer->bytes;
}

static void make_empty(rb_view *v)
{
    v->n[1] = 0;
}

static void drop(rb_view *v)
{
    v->buffer = NULL;
}

Test(door, refuses_calls_that_do_not_fit)
{
    for (rb_op_id op = 0; op < RB_OP_OWN; op++) {
        cr_expect_not_null(refusal(op, 0, move_beyond), "op %d", (int)op);
        cr_expect_not_null(refusal(op, 0, make_empty), "op %d", (int)op);
        cr_expect_not_null(refusal(op, 0, drop), "op %d", (int)op);
    }
    cr_expect_not_null(refusal(RB_OP_MATMUL, 0, make_half), "x of f16");
    cr_expect_not_null(refusal(RB_OP_MATMUL, 1, make_half), "y of f16");
    cr_expect_not_null(refusal(RB_OP_RMSNORM, 1, make_half), "x of f16");
    cr_expect_not_null(refusal(RB_OP_ATTEND, 1, make_half), "q of f16");
    cr_expect_not_null(refusal(RB_OP_EMBED, 2, make_half), "ids of f16");
    cr_expect_not_null(refusal(RB_OP_ATTEND, 2, make_q4_1), "K of q4_1");
    cr_expect_not_null(refusal(RB_OP_ATTEND, 4, make_half_of_act), "expanded V of f16");
    cr_expect_not_null(refusal(RB_OP_KV_STORE, 0, make_q4_1), "a cache of q4_1");
    cr_expect_not_null(refusal(RB_OP_MATMUL_HEADS, 0, make_half_of_act), "x of f16");
}
