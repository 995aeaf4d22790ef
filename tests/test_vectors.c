/* Whole models against float64: logits of the reference vectors on every ISA, in every order of
 * attention, however the tokens are fed, and stories260K against its expected text.
 * Read next: vectors.h, test_counts.c (the ledgers of the same runs). */
#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <math.h>
#include <string.h>

#include "vectors.h"

enum { N_FORCED = 3 };

/* Largest deviation over the prompt, fed in chunks, and the forced tokens, one by one. */
static double deviation(const json_t *v, const rb_model *model, rb_attn attn, rb_isa isa,
                        int n_threads, int64_t chunk)
{
    rb_session *s = vector_session(model, attn, isa, n_threads, false);
    int32_t prompt[N_VECTOR_PROMPT], forced[N_FORCED];
    const int64_t n_vocab = model->config.n_vocab;
    rb_error err;
    double most = 0;
    vector_tokens(v, "prompt", prompt, N_VECTOR_PROMPT);
    vector_tokens(v, "forced_decode_tokens", forced, N_FORCED);
    for (int64_t p = 0; p < N_VECTOR_PROMPT; p += chunk) {
        const int64_t n = chunk < N_VECTOR_PROMPT - p ? chunk : N_VECTOR_PROMPT - p;
        cr_assert_eq(rb_session_run(s, RB_PREFILL, prompt + p, n, true, &err), RB_OK, "%s",
                     err.text);
        for (int64_t i = 0; i < n; i++)
            most = fmax(most, vector_worst(rb_session_logits(s) + i * n_vocab,
                                           json_array_get(json_object_get(v, "logits_prefill"),
                                                          (size_t)(p + i)),
                                           n_vocab));
    }
    for (size_t i = 0; i < N_FORCED; i++) {
        cr_assert_eq(rb_session_run(s, RB_DECODE, forced + i, 1, false, &err), RB_OK);
        most = fmax(most,
                    vector_worst(rb_session_logits(s),
                                 json_array_get(json_object_get(v, "logits_decode"), i), n_vocab));
    }
    rb_session_close(s);
    return most;
}

Test(vectors, logits_on_every_isa_however_fed)
{
    for (int i = 0; i < N_VECTOR; i++) {
        json_t *v;
        rb_model *model = vector_model(vector_name[i], &v);
        rb_attn attn;
        for (int o = 0; (attn = vector_order(model, o)) < RB_N_ATTN; o++)
            for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++)
                for (int64_t chunk = N_VECTOR_PROMPT; rb_isa_supported(isa) && chunk > 0;
                     chunk -= 2)
                    for (int n_threads = 1; n_threads <= 3; n_threads++) {
                        const double d = deviation(v, model, attn, isa, n_threads, chunk);
                        cr_expect(d <= vector_tolerance(v),
                                  "%s, %s, %s, chunks of %d, %d threads: off by %g", vector_name[i],
                                  rb_attn_name(&model->config, attn), rb_isa_name[isa], (int)chunk,
                                  n_threads, d);
                    }
        rb_model_close(model);
        json_decref(v);
    }
}

/* A nudge of one weight of the named view of layer 1. */
static void expect_seen(const char *name, size_t place, rb_attn attn)
{
    json_t *v;
    rb_model *model = vector_model(name, &v);
    const rb_view *w = (const rb_view *)((const char *)&model->layer[1] + place);
    ((float *)rb_at(w, 0, w->n[1] - 1, w->n[2] - 1))[3] +=
        place == offsetof(rb_layer, router_bias) ? -4.0f
                                                 : 0.05f; /* a bias counts by who is chosen */
    cr_expect_gt(deviation(v, model, attn, RB_ISA_SCALAR, 1, N_VECTOR_PROMPT), vector_tolerance(v),
                 "%s, %s: weight %d", name, rb_attn_name(&model->config, attn), (int)place);
    rb_model_close(model);
    json_decref(v);
}

Test(vectors, a_wrong_weight_is_seen)
{
    static const size_t latent[] = { offsetof(rb_layer, wq_a),      offsetof(rb_layer, q_a_norm),
                                     offsetof(rb_layer, wq_b),      offsetof(rb_layer, wkv_a),
                                     offsetof(rb_layer, kv_a_norm), offsetof(rb_layer, wk_b),
                                     offsetof(rb_layer, wv_b) };
    static const size_t expert[] = { offsetof(rb_layer, router), offsetof(rb_layer, router_bias),
                                     offsetof(rb_layer, gate_shexp), offsetof(rb_layer, up_shexp),
                                     offsetof(rb_layer, down_shexp) };
    static const size_t neox[] = {
        offsetof(rb_layer, bqkv),   offsetof(rb_layer, bo),          offsetof(rb_layer, b_up),
        offsetof(rb_layer, b_down), offsetof(rb_layer, attn_norm_b), offsetof(rb_layer, ffn_norm_b)
    };
    expect_seen("gqa_llama", offsetof(rb_layer, w_up), RB_ATTN_OWN);
    for (size_t i = 0; i < sizeof latent / sizeof *latent; i++)
        for (rb_attn a = RB_ATTN_MLA_NAIVE_FULL; a < RB_N_ATTN; a++)
            expect_seen("mla_deepseek2_qlora", latent[i], a);
    for (size_t i = 0; i < sizeof expert / sizeof *expert; i++)
        expect_seen("moe_deepseek3_sigmoid", expert[i], RB_ATTN_OWN);
    for (size_t i = 0; i < sizeof neox / sizeof *neox; i++)
        expect_seen("gptneox_parallel", neox[i], RB_ATTN_OWN);
}

/* ---- parallel sequences are independent ---- */

Test(vectors, parallel_sequences_do_not_see_each_other)
{
    json_t *v;
    rb_model *model = vector_model("qwen3_qknorm", &v);
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    int32_t prompt[N_VECTOR_PROMPT], both[2 * N_VECTOR_PROMPT];
    vector_tokens(v, "prompt", prompt, N_VECTOR_PROMPT);
    memcpy(both, prompt, sizeof prompt);
    for (int i = 0; i < N_VECTOR_PROMPT; i++)
        both[N_VECTOR_PROMPT + i] = (prompt[i] * 7 + 1) % 48;
    p.n_seq = 2;
    p.n_ctx = p.n_logits = 16;
    p.n_ubatch = 2;
    p.type_k = p.type_v = RB_F32;
    p.n_threads = 2;
    for (int order = 0; order < 2; order++) {
        cr_assert_eq(rb_session_open(&s, model, &p, &err), RB_OK, "%s", err.text);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, both, N_VECTOR_PROMPT, true, &err), RB_OK);
        const float *own = rb_session_logits(s) + order * N_VECTOR_PROMPT * model->config.n_vocab;
        for (size_t i = 0; i < N_VECTOR_PROMPT; i++)
            cr_expect_leq(vector_worst(own + (int64_t)i * model->config.n_vocab,
                                       json_array_get(json_object_get(v, "logits_prefill"), i),
                                       model->config.n_vocab),
                          vector_tolerance(v));
        rb_session_close(s);
        memmove(both + N_VECTOR_PROMPT, prompt,
                sizeof prompt); /* second order: the vector comes last */
        for (int i = 0; i < N_VECTOR_PROMPT; i++)
            both[i] = (prompt[i] * 5 + 2) % 48;
    }
    rb_model_close(model);
    json_decref(v);
}

/* ---- stories260K ---- */

enum { N_STORY = 128, N_STORY_LOGITS = 4 };

/* 127 greedy steps; the deviation of the first logits. */
static double tell_story(const rb_model *model, const json_t *want, rb_isa isa, int *n_right)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    int32_t story[N_STORY], token;
    double most = 0;
    vector_tokens(want, "greedy_tokens", story, N_STORY);
    p.n_ctx = N_STORY;
    p.type_k = p.type_v = RB_F32;
    p.isa = isa;
    p.capped = true;
    cr_assert_eq(rb_session_open(&s, model, &p, &err), RB_OK, "%s", err.text);
    *n_right = 0;
    token = story[0];
    for (size_t i = 0; i + 1 < N_STORY; i++) {
        cr_assert_eq(rb_session_run(s, RB_DECODE, &token, 1, false, &err), RB_OK, "%s", err.text);
        if (i < N_STORY_LOGITS)
            most =
                fmax(most, vector_worst(rb_session_logits(s),
                                        json_array_get(json_object_get(want, "logits_first4"), i),
                                        model->config.n_vocab));
        token = rb_argmax(rb_session_logits(s), model->config.n_vocab);
        *n_right += token == story[i + 1];
    }
    rb_session_close(s);
    return most;
}

Test(vectors, stories260k_tells_the_expected_story)
{
    json_t *want = json_read("tests/vectors/stories260K.expected.json");
    const rb_model_params how = { 0 };
    rb_model *model;
    rb_error err;
    cr_assert_eq(rb_model_open(&model, "tests/vectors/stories260K.bin", &how, &err), RB_OK, "%s",
                 err.text);
    cr_expect_str_eq(model->format, "llama2.c");
    for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++) {
        int n_right;
        if (!rb_isa_supported(isa))
            continue;
        const double d = tell_story(model, want, isa, &n_right);
        cr_expect_lt(d, 1e-4, "%s: logits off by %g", rb_isa_name[isa], d);
        cr_expect_eq(n_right, N_STORY - 1, "%s: %d of 127 tokens", rb_isa_name[isa], n_right);
    }
    rb_model_close(model);
    json_decref(want);
}
