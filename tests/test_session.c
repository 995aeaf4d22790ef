/* Sessions: what they refuse, that a dry one counts what a real one counts, that scratch is planned
 * for every shape, and that runs repeat to the bit. What they compute is test_vectors.c's business.
 * Read next: test_vectors.c. */
#include <criterion/criterion.h>

#include <string.h>

#include "vectors.h"

static rb_session *open_with(const rb_model *model, bool dry, int n_threads, int64_t n_seq)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    p.n_ctx = 200;
    p.n_ubatch = 24;
    p.n_seq = n_seq;
    p.n_threads = n_threads;
    p.dry = dry;
    cr_assert_eq(rb_session_open(&s, model, &p, &err), RB_OK, "%s", err.text);
    return s;
}

static void fill(int32_t *tokens, int n)
{
    for (int i = 0; i < n; i++)
        tokens[i] = (i * 11 + 3) % 48; /* 11 and 48 share no factor: a permutation, cycled */
}

static void run_both_phases(rb_session *s, const int32_t *tokens, int64_t n_seq)
{
    rb_error err;
    cr_assert_eq(rb_session_run(s, RB_PREFILL, tokens, 40, false, &err), RB_OK, "%s", err.text);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(rb_session_run(s, RB_DECODE, tokens + i * n_seq, 1, false, &err), RB_OK, "%s",
                     err.text);
}

Test(session, a_dry_run_counts_what_a_real_run_counts)
{
    json_t *v;
    rb_model *model = vector_model("qwen3_qknorm", &v);
    int32_t tokens[120];
    fill(tokens, 120);
    for (int64_t n_seq = 1; n_seq <= 3; n_seq++) {
        rb_session *real = open_with(model, false, 2, n_seq),
                   *dry = open_with(model, true, 1, n_seq);
        run_both_phases(real, tokens, n_seq);
        run_both_phases(dry, tokens, n_seq);
        for (rb_phase phase = 0; phase < RB_N_PHASE; phase++)
            for (rb_site site = 0; site < RB_N_SITE; site++) {
                const rb_tally a = rb_ledger_site(rb_session_ledger(real), phase, site);
                const rb_tally b = rb_ledger_site(rb_session_ledger(dry), phase, site);
                cr_expect(rb_cost_equal(&a.cost, &b.cost), "%s %s, %d sequences",
                          rb_phase_name[phase], rb_site_name[site], (int)n_seq);
                cr_expect_eq(a.calls, b.calls);
                cr_expect(!b.assumed);
            }
        rb_session_close(real);
        rb_session_close(dry);
    }
    rb_model_close(model);
    json_decref(v);
}

/* Without ids a dry run assumes min(n, V) distinct ones, and says so. */
Test(session, assumed_ids_are_marked)
{
    json_t *v;
    rb_model *model = vector_model("gqa_llama", &v);
    rb_session *dry = open_with(model, true, 1, 1);
    int32_t tokens[120];
    fill(tokens, 120);
    cr_assert_eq(rb_session_run(dry, RB_PREFILL, NULL, 40, false, NULL), RB_OK);
    const rb_tally a = rb_ledger_site(rb_session_ledger(dry), RB_PREFILL, RB_SITE_EMBED);
    cr_expect(a.assumed);
    rb_ledger_clear(rb_session_ledger(dry));
    rb_session_set_past(dry, 0);
    cr_assert_eq(rb_session_run(dry, RB_PREFILL, tokens, 40, false, NULL), RB_OK);
    const rb_tally b = rb_ledger_site(rb_session_ledger(dry), RB_PREFILL, RB_SITE_EMBED);
    cr_expect(!b.assumed);
    cr_expect(rb_cost_equal(&a.cost, &b.cost)); /* 40 of 48 ids, each micro-batch without repeats */
    tokens[1] = tokens[0];
    rb_ledger_clear(rb_session_ledger(dry));
    rb_session_set_past(dry, 0);
    cr_assert_eq(rb_session_run(dry, RB_PREFILL, tokens, 40, false, NULL), RB_OK);
    const rb_tally c = rb_ledger_site(rb_session_ledger(dry), RB_PREFILL, RB_SITE_EMBED);
    cr_expect_eq(c.cost.rd[RB_WEIGHT] + 4 * 32, b.cost.rd[RB_WEIGHT], "a repeated row counts once");
    rb_session_close(dry);
    rb_model_close(model);
    json_decref(v);
}

Test(session, runs_repeat_to_the_bit)
{
    json_t *v;
    rb_model *model = vector_model("mha_llama", &v);
    float first[48];
    int32_t tokens[120];
    fill(tokens, 120);
    for (int n_threads = 1; n_threads <= 4; n_threads++)
        for (int again = 0; again < 2; again++) {
            rb_session *s = open_with(model, false, n_threads, 1);
            run_both_phases(s, tokens, 1);
            if (n_threads == 1 && again == 0)
                memcpy(first, rb_session_logits(s), sizeof first);
            cr_expect_arr_eq(first, rb_session_logits(s), sizeof first, "%d threads", n_threads);
            rb_session_close(s);
        }
    rb_model_close(model);
    json_decref(v);
}

Test(session, refuses_what_does_not_fit)
{
    json_t *v;
    rb_model *model = vector_model("mha_llama", &v);
    rb_session *s = open_with(model, false, 1, 1);
    rb_error err;
    int32_t tokens[400];
    fill(tokens, 400);
    cr_expect_eq(rb_session_run(s, RB_PREFILL, tokens, 201, false, &err), RB_ERR_ARGUMENT);
    cr_expect_eq(rb_session_run(s, RB_PREFILL, tokens, 0, false, &err), RB_ERR_ARGUMENT);
    cr_expect_eq(rb_session_run(s, RB_PREFILL, tokens, 2, true, &err), RB_ERR_ARGUMENT);
    tokens[3] = 48;
    cr_expect_eq(rb_session_run(s, RB_PREFILL, tokens, 8, false, &err), RB_ERR_ARGUMENT);
    cr_expect(strstr(err.text, "48"), "%s", err.text);
    tokens[3] = -1;
    cr_expect_eq(rb_session_run(s, RB_PREFILL, tokens, 8, false, &err), RB_ERR_ARGUMENT);
    tokens[3] = 0;
    cr_expect_eq(rb_session_run(s, RB_PREFILL, tokens, 200, false, &err), RB_OK);
    cr_expect_eq(rb_session_run(s, RB_DECODE, tokens, 1, false, &err), RB_ERR_ARGUMENT);
    cr_expect_eq(rb_session_n_past(s), 200);
    rb_session_close(s);

    rb_session_params p = rb_session_defaults();
    p.n_layer = 3;
    cr_expect_eq(rb_session_open(&s, model, &p, &err), RB_ERR_ARGUMENT);
    p = rb_session_defaults();
    p.type_k = RB_Q4_1;
    cr_expect_eq(rb_session_open(&s, model, &p, &err), RB_ERR_ARGUMENT);
    cr_expect(strstr(err.text, "f32, f16, bf16, q8_0 or q4_0"), "%s", err.text);
    p = rb_session_defaults();
    p.n_threads = 0;
    cr_expect_eq(rb_session_open(&s, model, &p, &err), RB_ERR_ARGUMENT);
    p = rb_session_defaults();
    p.n_seq = 65536;
    p.n_ctx = p.n_ubatch = ((int64_t)1 << 31) - 1;
    cr_expect_eq(rb_session_open(&s, model, &p, &err), RB_ERR_MEMORY, "%s", err.text);
    cr_expect_null(s);
    rb_model_close(model);
    json_decref(v);
}

/* ---- layers beyond the model: copies in memory of their own ---- */

Test(session, repeated_layers_have_memory_and_cache_of_their_own)
{
    json_t *v;
    rb_model *model = vector_model("gqa_llama", &v);
    rb_error err;
    int32_t tokens[8];
    fill(tokens, 8);
    cr_assert_eq(rb_model_extend(model, 5, &err), RB_OK, "%s", err.text);
    const rb_layer *own = &model->layer[1], *copy = &model->layer[4];
    cr_expect_neq(own->w_down.buffer, copy->w_down.buffer);
    cr_expect_arr_eq(rb_at(&own->w_down, 0, 0, 0), rb_at(&copy->w_down, 0, 0, 0), 32 * 48 * 4);
    rb_tally at[6];
    for (int64_t n = 1; n <= 5; n++) {
        rb_session_params p = rb_session_defaults();
        rb_session *s;
        p.n_layer = n;
        p.n_ctx = 16;
        cr_assert_eq(rb_session_open(&s, model, &p, &err), RB_OK, "%s", err.text);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, tokens, 8, false, &err), RB_OK);
        at[n] = rb_ledger_phase(rb_session_ledger(s), RB_PREFILL);
        cr_expect_eq(rb_session_kv_bytes_per_token(s), n * 2 * 2 * 8 * 2);
        rb_session_close(s);
    }
    for (int64_t n = 2; n < 5; n++) {
        cr_expect_eq(at[n + 1].cost.flops - at[n].cost.flops, at[2].cost.flops - at[1].cost.flops);
        cr_expect_eq(at[n + 1].cost.rd[RB_WEIGHT] - at[n].cost.rd[RB_WEIGHT],
                     at[2].cost.rd[RB_WEIGHT] - at[1].cost.rd[RB_WEIGHT]);
    }
    rb_model_close(model);
    json_decref(v);
}

/* The head may need more scratch than the layers: f32 layers, a head of another dtype, all logits.
 */
Test(session, scratch_is_planned_for_every_row_of_the_head)
{
    rb_config config = small_config(RB_ARCH_LLAMA);
    rb_model *f32_model, *q8_model;
    rb_error err;
    int32_t tokens[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    config.n_embd = 1024;
    config.n_head = config.n_head_kv = 4;
    config.d_head_k = config.d_head_v = config.d_rot = 16;
    cr_assert_eq(rb_model_synth(&f32_model, &config, RB_F32, 1, false, &err), RB_OK, "%s",
                 err.text);
    cr_assert_eq(rb_model_synth(&q8_model, &config, RB_Q8_0, 1, false, &err), RB_OK, "%s",
                 err.text);
    rb_model mixed = *f32_model;
    mixed.output = q8_model->output;
    for (int64_t ub = 1; ub <= 8; ub++)
        for (int64_t all = 0; all < 2; all++) {
            rb_session_params p = rb_session_defaults();
            rb_session *s;
            p.n_ctx = p.n_logits = 8;
            p.n_ubatch = ub;
            cr_assert_eq(rb_session_open(&s, &mixed, &p, &err), RB_OK, "%s", err.text);
            cr_expect_eq(rb_session_run(s, RB_PREFILL, tokens, 8, all, &err), RB_OK);
            rb_session_close(s);
        }
    rb_model_close(f32_model);
    rb_model_close(q8_model);
}

Test(session, a_model_without_weights_is_not_run)
{
    rb_config config = small_config(RB_ARCH_LLAMA);
    rb_session_params p = rb_session_defaults();
    rb_model *model;
    rb_session *s;
    rb_error err;
    cr_assert_eq(rb_model_synth(&model, &config, RB_F16, 1, true, &err), RB_OK, "%s", err.text);
    cr_expect_eq(rb_session_open(&s, model, &p, &err), RB_ERR_ARGUMENT);
    rb_model_close(model);
}

/* Chunked prefill at depth goes through split and unsplit attention: both are the same mathematics.
 */
Test(session, chunks_and_single_tokens_agree_at_depth)
{
    json_t *v;
    rb_model *model = vector_model("mqa_llama", &v);
    int32_t tokens[180];
    float whole[48];
    fill(tokens, 180);
    for (int chunk = 1; chunk <= 60; chunk += 59) {
        rb_session_params p = rb_session_defaults();
        rb_session *s;
        rb_error err;
        p.n_ctx = 200;
        p.n_ubatch = chunk == 1 ? 1 : 60;
        p.type_k = p.type_v = RB_F32;
        cr_assert_eq(rb_session_open(&s, model, &p, &err), RB_OK, "%s", err.text);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, tokens, 180, false, &err), RB_OK);
        if (chunk == 1)
            memcpy(whole, rb_session_logits(s), sizeof whole);
        for (int i = 0; i < 48; i++)
            cr_expect_float_eq(rb_session_logits(s)[i], whole[i], 5e-5, "logit %d", i);
        rb_session_close(s);
    }
    rb_model_close(model);
    json_decref(v);
}
