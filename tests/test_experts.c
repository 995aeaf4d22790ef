/* Mixtures of experts in whole models: FLOPs are the same whatever the routing, bytes follow the
 * experts that were really taken, recounted from their ids; threads change nothing.
 * Read next: test_counts.c, ../kernels/experts.c. */
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "../engine/session.h" /* the ids of the last call are the session's own */
#include "vectors.h"

enum { VOCAB = 40, MOST = 64 };

static rb_config moe_config(rb_arch arch)
{
    rb_config c = small_config(arch);
    c.n_layer = 1; /* ids of the last layer are those of every layer */
    c.n_dense_lead = 0;
    c.n_expert = 16;
    c.n_expert_used = 3;
    return c;
}

static rb_model *make(const rb_config *c, rb_dtype type, uint64_t seed)
{
    rb_model *m;
    rb_error err;
    cr_assert_eq(rb_model_synth(&m, c, type, seed, false, &err), RB_OK, "%s", err.text);
    return m;
}

static rb_session *open_with(const rb_model *m, int n_threads, int64_t n_seq, bool no_fuse)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    p.n_ctx = p.n_ubatch = MOST;
    p.n_seq = n_seq;
    p.n_threads = n_threads;
    p.no_fuse = no_fuse;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    return s;
}

/* Different ids among the choices of n tokens. */
static int64_t recount(const rb_session *s, int64_t n)
{
    const rb_config *c = &s->model->config;
    const int32_t *id = s->pad.expert.data;
    bool seen[256] = { false };
    int64_t count = 0;
    for (int64_t i = 0; i < n * c->n_expert_used; i++) {
        cr_assert(id[i] >= 0 && id[i] < c->n_expert);
        count += !seen[id[i]];
        seen[id[i]] = true;
    }
    return count;
}

static void fill(int32_t *ids, int64_t n, int64_t salt)
{
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)((i * 7 + salt * 13) % VOCAB);
}

static void check_calls(rb_arch arch, rb_dtype type, int64_t n_seq)
{
    const rb_config c = moe_config(arch);
    rb_model *m = make(&c, type, 5);
    rb_session *s = open_with(m, 2, n_seq, true);
    const rb_layer *l = &m->layer[0];
    const uint64_t per_expert =
        (l->gate_exps.buffer->bytes + l->up_exps.buffer->bytes + l->down_exps.buffer->bytes) /
        (uint64_t)c.n_expert;
    static const int64_t lengths[] = { 1, 2, 5, 17, 60 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const int64_t n = lengths[i], rows = n * n_seq, k = c.n_expert_used;
        int32_t ids[2 * MOST];
        fill(ids, rows, (int64_t)i);
        rb_session_set_past(s, 0);
        rb_session_clear(s);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, n, false, NULL), RB_OK);
        const uint64_t taken = (uint64_t)recount(s, rows);
        const rb_cost at = rb_ledger_site(rb_session_ledger(s), RB_PREFILL, RB_SITE_EXPERTS).cost;
        const rb_routing *r = rb_session_routing(s, RB_PREFILL, 0);
        cr_expect_eq(at.rd[RB_WEIGHT], taken * per_expert, "%s: %d rows", rb_arch_name[arch],
                     (int)rows);
        cr_assert_not_null(r);
        cr_expect_eq(r->distinct, taken);
        cr_expect_eq(r->tokens, (uint64_t)rows);
        cr_expect_float_eq(r->expected, 16 * (1 - pow(1 - 3.0 / 16, (double)rows)), 1e-9);
        cr_expect_eq(at.flops,
                     (uint64_t)(rows * k *
                                (6 * c.n_embd * c.n_ff_expert + 4 * c.n_ff_expert + 2 * c.n_embd)));
    }
    rb_session_close(s);
    rb_model_close(m);
}

Test(experts, bytes_follow_a_recount_of_the_ids)
{
    check_calls(RB_ARCH_QWEN3MOE, RB_F32, 1);
    check_calls(RB_ARCH_QWEN3MOE, RB_Q8_0, 2);
    check_calls(RB_ARCH_QWEN2MOE, RB_F16, 1);
    check_calls(RB_ARCH_DEEPSEEK2, RB_Q4_0, 2);
}

/* One launch for routed and shared experts does what three do: the same sums, without the bytes of
 * the vectors between them. */
Test(experts, shared_experts_in_the_same_launch)
{
    static float logits[2][VOCAB];
    rb_cost cost[2];
    const rb_config c = moe_config(RB_ARCH_QWEN2MOE);
    rb_model *m = make(&c, RB_F32, 7);
    enum { N = 9 };
    int32_t ids[N];
    fill(ids, N, 3);
    for (int apart = 0; apart < 2; apart++) {
        rb_session *s = open_with(m, 1, 1, apart);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, N, false, NULL), RB_OK);
        memcpy(logits[apart], rb_session_logits(s), sizeof logits[apart]);
        cost[apart] = (rb_cost){ 0 };
        for (rb_site site = RB_SITE_EXPERTS; site <= RB_SITE_MOE_ADD; site++) {
            const rb_tally t = rb_ledger_site(rb_session_ledger(s), RB_PREFILL, site);
            rb_cost_add(&cost[apart], &t.cost);
        }
        rb_session_close(s);
    }
    for (int i = 0; i < VOCAB; i++) /* a product and a sum at once round once */
        cr_expect_float_eq(logits[0][i], logits[1][i], 1e-5);
    cr_expect_eq(cost[0].flops, cost[1].flops);
    cr_expect_eq(cost[0].special, cost[1].special);
    cr_expect_eq(cost[0].rd[RB_WEIGHT], cost[1].rd[RB_WEIGHT]);
    const uint64_t rows = (uint64_t)(4 * N * c.n_embd);
    cr_expect_eq(cost[1].rd[RB_ACT] - cost[0].rd[RB_ACT], 3 * rows, "x again, and both sums");
    cr_expect_eq(cost[1].wr[RB_ACT] - cost[0].wr[RB_ACT], 2 * rows);
    rb_model_close(m);
}

Test(experts, threads_change_nothing)
{
    static float want[VOCAB], got[VOCAB];
    for (rb_arch arch = RB_ARCH_QWEN2MOE; arch <= RB_ARCH_QWEN3MOE; arch++) {
        const rb_config c = moe_config(arch);
        rb_model *m = make(&c, RB_Q8_0, 9);
        rb_cost first = { 0 };
        int32_t ids[21];
        fill(ids, 21, 1);
        for (int threads = 1; threads < 5; threads++) {
            rb_session *s = open_with(m, threads, 1, false);
            cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, 20, false, NULL), RB_OK);
            cr_assert_eq(rb_session_run(s, RB_DECODE, ids + 20, 1, false, NULL), RB_OK);
            const rb_cost c1 = rb_ledger_phase(rb_session_ledger(s), RB_PREFILL).cost;
            memcpy(threads == 1 ? want : got, rb_session_logits(s), sizeof want);
            if (threads == 1) {
                first = c1;
                memcpy(got, want, sizeof got);
            }
            cr_expect_arr_eq(got, want, sizeof want, "%d threads", threads);
            cr_expect(rb_cost_equal(&first, &c1), "%d threads", threads);
            rb_session_close(s);
        }
        rb_model_close(m);
    }
}

/* Gate and up in one stack are the same model, with the same counts. */
Test(experts, fused_stacks_are_the_same_model)
{
    rb_config c = moe_config(RB_ARCH_QWEN3MOE);
    rb_model *apart = make(&c, RB_F16, 4);
    c.experts_fused = true;
    rb_model *fused = make(&c, RB_F16, 4);
    const rb_layer *from = &apart->layer[0], *to = &fused->layer[0];
    for (int64_t e = 0; e < c.n_expert; e++) {
        const size_t one = (size_t)rb_row_bytes(RB_F16, from->gate_exps.n[3]);
        memcpy(rb_at(&to->gate_exps, 0, 0, e), rb_at(&from->gate_exps, 0, 0, e), one);
        memcpy(rb_at(&to->up_exps, 0, 0, e), rb_at(&from->up_exps, 0, 0, e), one);
    }
    float logits[2][VOCAB];
    rb_cost cost[2];
    int32_t ids[11];
    fill(ids, 11, 2);
    for (int i = 0; i < 2; i++) {
        rb_session *s = open_with(i ? fused : apart, 2, 1, false);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, 11, false, NULL), RB_OK);
        memcpy(logits[i], rb_session_logits(s), sizeof logits[i]);
        cost[i] = rb_ledger_phase(rb_session_ledger(s), RB_PREFILL).cost;
        rb_session_close(s);
    }
    cr_expect_arr_eq(logits[0], logits[1], sizeof logits[0]);
    cr_expect(rb_cost_equal(&cost[0], &cost[1]));
    /* copies of the last layer keep gate and up in one stack of their own */
    const int64_t before = fused->n_buffer, bytes = rb_model_layer_bytes(fused);
    cr_assert_eq(rb_model_extend(fused, 2, NULL), RB_OK);
    int64_t sum = 0;
    for (int64_t i = before; i < fused->n_buffer; i++)
        sum += (int64_t)fused->buffer[i]->bytes;
    cr_expect_eq(sum, bytes);
    cr_expect_eq(bytes, rb_model_layer_bytes(apart));
    cr_expect_eq(fused->layer[1].gate_exps.buffer, fused->layer[1].up_exps.buffer);
    rb_model_close(apart);
    rb_model_close(fused);
}

/* Without ids the number of experts is what uniform routing gives, and is said to be assumed. */
Test(experts, dry_runs_assume_uniform_routing)
{
    rb_config c = moe_config(RB_ARCH_QWEN3MOE);
    rb_model *m;
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    c.n_expert = 64;
    c.n_expert_used = 6;
    cr_assert_eq(rb_model_synth(&m, &c, RB_F16, 1, true, NULL), RB_OK);
    p.dry = true;
    cr_assert_eq(rb_session_open(&s, m, &p, NULL), RB_OK);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, NULL, 8, false, NULL), RB_OK);
    const rb_routing *r = rb_session_routing(s, RB_PREFILL, 0);
    cr_assert_not_null(r);
    cr_expect_eq(r->distinct, 35, "E[U] = 34.88");
    cr_expect_float_eq(r->expected, 34.88, 5e-3);
    const rb_tally t = rb_ledger_site(rb_session_ledger(s), RB_PREFILL, RB_SITE_EXPERTS);
    cr_expect(t.assumed);
    cr_expect_eq(t.cost.rd[RB_WEIGHT], 35u * 3 * 2 * (uint64_t)(c.n_embd * c.n_ff_expert));
    rb_session_close(s);
    rb_model_close(m);
}
