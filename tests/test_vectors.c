/* Whole models against float64: logits of the reference vectors on every ISA, however the tokens
 * are fed, and stories260K against its expected text; and the ledgers of the same runs against the
 * brute-force counts, to the last digit. Read next: vectors.h. */
#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <math.h>
#include <string.h>

#include "vectors.h"

enum { N_PROMPT = 5, N_FORCED = 3 };

static double worst(const float *got, const json_t *want, int64_t n)
{
    double most = 0;
    cr_assert_eq((int64_t)json_array_size(want), n);
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - json_number_value(json_array_get(want, (size_t)i)));
        most = d <= most ? most : d; /* NaN becomes the worst */
    }
    return most;
}

/* Largest deviation over the prompt, fed in chunks, and the forced tokens, one by one. */
static double deviation(const json_t *v, const rb_model *model, rb_isa isa, int n_threads,
                        int64_t chunk)
{
    rb_session *s = vector_session(model, isa, n_threads, false);
    int32_t prompt[N_PROMPT], forced[N_FORCED];
    const int64_t n_vocab = model->config.n_vocab;
    rb_error err;
    double most = 0;
    vector_tokens(v, "prompt", prompt, N_PROMPT);
    vector_tokens(v, "forced_decode_tokens", forced, N_FORCED);
    for (int64_t p = 0; p < N_PROMPT; p += chunk) {
        const int64_t n = chunk < N_PROMPT - p ? chunk : N_PROMPT - p;
        cr_assert_eq(rb_session_run(s, RB_PREFILL, prompt + p, n, true, &err), RB_OK, "%s",
                     err.text);
        for (int64_t i = 0; i < n; i++)
            most = fmax(most,
                        worst(rb_session_logits(s) + i * n_vocab,
                              json_array_get(json_object_get(v, "logits_prefill"), (size_t)(p + i)),
                              n_vocab));
    }
    for (size_t i = 0; i < N_FORCED; i++) {
        cr_assert_eq(rb_session_run(s, RB_DECODE, forced + i, 1, false, &err), RB_OK);
        most = fmax(most, worst(rb_session_logits(s),
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
        for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++)
            for (int64_t chunk = N_PROMPT; rb_isa_supported(isa) && chunk > 0; chunk -= 2)
                for (int n_threads = 1; n_threads <= 3; n_threads++) {
                    const double d = deviation(v, model, isa, n_threads, chunk);
                    cr_expect(d <= vector_tolerance(v),
                              "%s, %s, chunks of %d, %d threads: off by %g", vector_name[i],
                              rb_isa_name[isa], (int)chunk, n_threads, d);
                }
        rb_model_close(model);
        json_decref(v);
    }
}

Test(vectors, a_wrong_weight_is_seen)
{
    json_t *v;
    rb_model *model = vector_model("gqa_llama", &v);
    ((float *)rb_at(&model->layer[1].w_up, 0, 0, 7))[3] += 0.01f;
    cr_expect_gt(deviation(v, model, RB_ISA_SCALAR, 1, N_PROMPT), vector_tolerance(v));
    rb_model_close(model);
    json_decref(v);
}

/* ---- parallel sequences are independent ---- */

Test(vectors, parallel_sequences_do_not_see_each_other)
{
    json_t *v;
    rb_model *model = vector_model("qwen3_qknorm", &v);
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    int32_t prompt[N_PROMPT], both[2 * N_PROMPT];
    vector_tokens(v, "prompt", prompt, N_PROMPT);
    memcpy(both, prompt, sizeof prompt);
    for (int i = 0; i < N_PROMPT; i++)
        both[N_PROMPT + i] = (prompt[i] * 7 + 1) % 48;
    p.n_seq = 2;
    p.n_ctx = p.n_logits = 16;
    p.n_ubatch = 2;
    p.type_k = p.type_v = RB_F32;
    p.n_threads = 2;
    for (int order = 0; order < 2; order++) {
        cr_assert_eq(rb_session_open(&s, model, &p, &err), RB_OK, "%s", err.text);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, both, N_PROMPT, true, &err), RB_OK);
        const float *own = rb_session_logits(s) + order * N_PROMPT * model->config.n_vocab;
        for (size_t i = 0; i < N_PROMPT; i++)
            cr_expect_leq(worst(own + (int64_t)i * model->config.n_vocab,
                                json_array_get(json_object_get(v, "logits_prefill"), i),
                                model->config.n_vocab),
                          vector_tolerance(v));
        rb_session_close(s);
        memmove(both + N_PROMPT, prompt, sizeof prompt); /* second order: the vector comes last */
        for (int i = 0; i < N_PROMPT; i++)
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
            most = fmax(most, worst(rb_session_logits(s),
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
    const rb_model_params how = { .type = RB_NO_DTYPE };
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

/* ---- counts: the ledger equals brute force, to the last digit ---- */

static rb_cost ledger_cost(const rb_session *s, rb_phase phase)
{
    return rb_ledger_phase(rb_session_ledger((rb_session *)(uintptr_t)s), phase).cost;
}

/* flops, spc, W, KVr, KVw, Ar, Aw as the file lists them */
static void expect_counts(const rb_cost *c, const json_t *want, const char *what, uint64_t times)
{
    const rb_bytes b = rb_cost_bytes(c);
    const uint64_t got[7] = { c->flops,   c->special, b.weight,   b.kv_read,
                              b.kv_write, b.act_read, b.act_write };
    static const char *const field[7] = { "flops", "spc", "W", "KVr", "KVw", "Ar", "Aw" };
    for (size_t i = 0; i < 7; i++) {
        const uint64_t w = (uint64_t)json_integer_value(json_array_get(want, i)) * times;
        cr_expect_eq(got[i], w, "%s: %s is %llu, brute force %llu", what, field[i],
                     (unsigned long long)got[i], (unsigned long long)w);
    }
}

static bool counts_match(const rb_ledger *ledger, rb_phase phase, const json_t *want)
{
    const rb_cost c = rb_ledger_phase(ledger, phase).cost;
    const rb_bytes b = rb_cost_bytes(&c);
    const uint64_t got[7] = { c.flops,    c.special,  b.weight,   b.kv_read,
                              b.kv_write, b.act_read, b.act_write };
    for (size_t i = 0; i < 7; i++)
        if (got[i] != (uint64_t)json_integer_value(json_array_get(want, i)))
            return false;
    return true;
}

static void expect_phase(const rb_session *s, rb_phase phase, const json_t *want, const char *name,
                         uint64_t n_layer)
{
    static const struct {
        const char *key;
        rb_site site;
    } per_layer[] = {
        { "attn_norm", RB_SITE_ATTN_NORM },
        { "q", RB_SITE_Q },
        { "k", RB_SITE_K },
        { "v", RB_SITE_V },
        { "qk_norm", RB_SITE_QK_NORM },
        { "rope", RB_SITE_ROPE },
        { "kv_store", RB_SITE_KV_STORE },
        { "attn", RB_SITE_ATTN },
        { "o", RB_SITE_O },
        { "ffn_norm", RB_SITE_FFN_NORM },
        { "gate_proj", RB_SITE_GATE },
        { "up", RB_SITE_UP },
        { "act", RB_SITE_FFN_ACT },
        { "down", RB_SITE_DOWN },
        { "resid", RB_SITE_RESIDUAL },
    };
    char what[96];
    const rb_cost total = ledger_cost(s, phase);
    snprintf(what, sizeof what, "%s %s total", name, rb_phase_name[phase]);
    expect_counts(&total, json_object_get(want, "total"), what, 1);
    for (size_t i = 0; i < sizeof per_layer / sizeof *per_layer; i++) {
        const json_t *layer =
            json_object_get(json_object_get(want, "last_layer"), per_layer[i].key);
        const rb_tally at =
            rb_ledger_site(rb_session_ledger((rb_session *)(uintptr_t)s), phase, per_layer[i].site);
        if (!layer) {
            cr_expect_eq(at.calls, 0, "%s: brute force has no %s", name, per_layer[i].key);
            continue;
        }
        snprintf(what, sizeof what, "%s %s %s", name, rb_phase_name[phase], per_layer[i].key);
        expect_counts(&at.cost, layer, what, n_layer);
    }
}

Test(counts, ledgers_equal_brute_force)
{
    json_t *counts = json_read("tests/vectors/counts_bruteforce_verified.json");
    for (int i = 0; i < N_VECTOR; i++) {
        json_t *v;
        rb_model *model = vector_model(vector_name[i], &v);
        rb_session *s = vector_session(model, RB_ISA_SCALAR, 2, true);
        const json_t *runs = json_object_get(json_object_get(counts, "runs"), vector_name[i]);
        const int32_t prompt[3] = { 3, 17, 5 }, next = 7;
        const uint64_t n_layer = (uint64_t)model->config.n_layer;
        cr_assert_eq(rb_session_run(s, RB_PREFILL, prompt, 3, true, NULL), RB_OK);
        cr_assert_eq(rb_session_run(s, RB_DECODE, &next, 1, false, NULL), RB_OK);
        expect_phase(s, RB_PREFILL, json_object_get(runs, "prefill"), vector_name[i], n_layer);
        expect_phase(s, RB_DECODE, json_object_get(runs, "decode0"), vector_name[i], n_layer);
        rb_session_close(s);
        rb_model_close(model);
        json_decref(v);
    }
    json_decref(counts);
}

/* A launch that was not booked leaves the totals short: whichever is taken out, it is seen. */
Test(counts, an_uncounted_launch_is_seen)
{
    json_t *counts = json_read("tests/vectors/counts_bruteforce_verified.json"), *v;
    rb_model *model = vector_model("qwen3_qknorm", &v);
    rb_session *s = vector_session(model, RB_ISA_SCALAR, 1, true);
    const int32_t prompt[3] = { 3, 17, 5 };
    const json_t *total = json_object_get(
        json_object_get(json_object_get(json_object_get(counts, "runs"), "qwen3_qknorm"),
                        "prefill"),
        "total");
    int booked = 0;
    cr_assert_eq(rb_session_run(s, RB_PREFILL, prompt, 3, true, NULL), RB_OK);
    rb_ledger *ledger = rb_session_ledger(s);
    cr_assert(counts_match(ledger, RB_PREFILL, total));
    for (rb_site site = 0; site < RB_N_SITE; site++)
        for (rb_op_id op = 0; op < RB_N_OP; op++) {
            const rb_tally kept = ledger->at[RB_PREFILL][site][op];
            if (kept.calls == 0)
                continue;
            booked++;
            memset(&ledger->at[RB_PREFILL][site][op], 0, sizeof kept);
            cr_expect_not(counts_match(ledger, RB_PREFILL, total), "%s", rb_site_name[site]);
            ledger->at[RB_PREFILL][site][op] = kept;
        }
    cr_expect_eq(booked, 18, "launches at %d sites", booked);
    rb_session_close(s);
    rb_model_close(model);
    json_decref(v);
    json_decref(counts);
}

/* The whole forward pass as the counting ISA: each launch of the model itself is proven, the
 * executed work sums to the ledger's, and the logits are right. */
static void expect_proven(const char *name, rb_isa isa)
{
    json_t *v;
    int32_t prompt[N_PROMPT];
    rb_model *model = vector_model(name, &v);
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    p.n_ctx = p.n_logits = 16;
    p.type_k = p.type_v = RB_F32;
    p.isa = isa;
    p.capped = p.prove = true;
    cr_assert_eq(rb_session_open(&s, model, &p, NULL), RB_OK);
    vector_tokens(v, "prompt", prompt, N_PROMPT);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, prompt, N_PROMPT, true, NULL), RB_OK);
    const rb_proof *proof = rb_session_proof(s);
    const rb_cost c = ledger_cost(s, RB_PREFILL);
    cr_expect_str_eq(proof->mismatch, "", "%s: %s", name, proof->mismatch);
    cr_expect_eq(proof->flops + 2 * proof->int_macs, c.flops + c.extra - c.saved);
    cr_expect_eq((int64_t)proof->special, (int64_t)c.special + c.special_overhead);
    cr_expect_arr_eq(proof->dequant, c.dequant, sizeof c.dequant);
    cr_expect_leq(worst(rb_session_logits(s),
                        json_array_get(json_object_get(v, "logits_prefill"), 0),
                        model->config.n_vocab),
                  vector_tolerance(v));
    rb_session_close(s);
    rb_model_close(model);
    json_decref(v);
}

Test(counts, whole_model_runs_are_proven)
{
    for (int i = 0; i < N_VECTOR; i++)
        for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++)
            if (rb_isa_supported(isa))
                expect_proven(vector_name[i], isa);
}

/* Quantised weights, f16 cache, quantised activations, two sequences, prefill and decode. */
Test(counts, quantised_runs_are_proven)
{
    static const rb_dtype types[] = { RB_Q8_0, RB_Q4_1, RB_Q6_K, RB_BF16 };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        rb_config config = small_config(RB_ARCH_QWEN2);
        rb_session_params p = rb_session_defaults();
        const int32_t ids[12] = { 3, 17, 5, 9, 1, 30, 7, 12, 0, 2, 4, 6 };
        rb_model *model;
        rb_session *s;
        rb_error err;
        config.n_embd = config.n_ff = 256; /* rows of whole q6_K blocks everywhere */
        config.d_head_k = config.d_head_v = config.d_rot = 64;
        cr_assert_eq(rb_model_synth(&model, &config, types[i], 1, false, &err), RB_OK, "%s",
                     err.text);
        p.n_seq = 2;
        p.n_ctx = 16;
        p.capped = p.prove = true;
        cr_assert_eq(rb_session_open(&s, model, &p, &err), RB_OK, "%s", err.text);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, 5, false, &err), RB_OK, "%s", err.text);
        cr_assert_eq(rb_session_run(s, RB_DECODE, ids, 1, false, &err), RB_OK, "%s", err.text);
        const rb_proof *proof = rb_session_proof(s);
        rb_cost c = ledger_cost(s, RB_PREFILL), d = ledger_cost(s, RB_DECODE);
        rb_cost_add(&c, &d);
        cr_expect_str_eq(proof->mismatch, "", "%s", proof->mismatch);
        cr_expect_eq(proof->flops + 2 * proof->int_macs, c.flops + c.extra - c.saved);
        cr_expect_eq(proof->int_macs, c.int_macs);
        cr_expect_eq(c.int_macs > 0, types[i] == RB_Q8_0, "decode with q8_0 is in integers");
        cr_expect_arr_eq(proof->dequant, c.dequant, sizeof c.dequant);
        rb_session_close(s);
        rb_model_close(model);
    }
}

/* One launch for m outputs reads x once instead of m times: 4 n H (m - 1) bytes saved, no more. */
Test(counts, fusing_saves_exactly_the_second_reads_of_x)
{
    json_t *v;
    rb_model *model = vector_model("gqa_llama", &v);
    const int32_t prompt[3] = { 3, 17, 5 };
    rb_cost cost[2];
    for (int no_fuse = 0; no_fuse < 2; no_fuse++) {
        rb_session *s = vector_session(model, RB_ISA_SCALAR, 1, no_fuse);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, prompt, 3, false, NULL), RB_OK);
        cost[no_fuse] = ledger_cost(s, RB_PREFILL);
        rb_session_close(s);
    }
    const rb_config *c = &model->config;
    cost[0].rd[RB_ACT] += (uint64_t)(c->n_layer * 4 * 3 * c->n_embd * ((3 - 1) + (2 - 1)));
    cr_expect(rb_cost_equal(&cost[0], &cost[1]));
    rb_model_close(model);
    json_decref(v);
}

/* Identity of what is counted: ISAs and threads may differ in extra and saved only. */
Test(counts, do_not_depend_on_isa_or_threads)
{
    json_t *v;
    rb_model *model = vector_model("qwen2_bias", &v);
    const int32_t prompt[3] = { 3, 17, 5 };
    rb_cost first = { 0 };
    int n = 0;
    for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++)
        for (int threads = 1; rb_isa_supported(isa) && threads < 5; threads++) {
            rb_session *s = vector_session(model, isa, threads, false);
            cr_assert_eq(rb_session_run(s, RB_PREFILL, prompt, 3, false, NULL), RB_OK);
            const rb_cost c = ledger_cost(s, RB_PREFILL);
            if (n++ == 0)
                first = c;
            cr_expect(rb_cost_equal(&first, &c), "%s, %d threads", rb_isa_name[isa], threads);
            rb_session_close(s);
        }
    cr_expect_geq(n, 4);
    rb_model_close(model);
    json_decref(v);
}

/* ---- real shapes, dry: closed forms with f16 weights and cache ---- */

static void expect_real(const json_t *want, const char *key, const rb_model *model, rb_phase phase,
                        int64_t n_tok, int64_t n_past)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    p.n_ctx = 1024;
    p.dry = p.no_fuse = true;
    cr_assert_eq(rb_session_open(&s, model, &p, &err), RB_OK, "%s", err.text);
    rb_session_set_past(s, n_past);
    cr_assert_eq(rb_session_run(s, phase, NULL, n_tok, false, &err), RB_OK, "%s", err.text);
    const rb_cost c = ledger_cost(s, phase);
    expect_counts(&c, json_object_get(want, key), key, 1);
    rb_session_close(s);
}

Test(counts, dry_runs_equal_closed_forms_of_real_models)
{
    static const struct {
        const char *preset, *name;
    } real[] = { { "qwen2.5-1.5b", "Qwen2.5-1.5B" },
                 { "qwen2.5-0.5b", "Qwen2.5-0.5B" },
                 { "qwen3-0.6b", "Qwen3-0.6B" },
                 { "smollm2-135m", "SmolLM2-135M" } };
    json_t *file = json_read("tests/vectors/counts_real_models.json");
    const json_t *want = json_object_get(file, "models");
    const rb_model_params how = { .dry = true, .type = RB_F16, .seed = 1 };
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        rb_model *model;
        rb_error err;
        char key[96];
        cr_assert_eq(rb_model_open(&model, real[i].preset, &how, &err), RB_OK, "%s", err.text);
        snprintf(key, sizeof key, "%s|prefill512|naive_full", real[i].name);
        expect_real(want, key, model, RB_PREFILL, 512, 0);
        snprintf(key, sizeof key, "%s|decode@512|naive_full", real[i].name);
        expect_real(want, key, model, RB_DECODE, 1, 512);
        rb_model_close(model);
    }
    json_decref(file);
}
