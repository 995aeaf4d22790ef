/* The ledgers of whole runs, to the last digit: reference vectors against brute force, kernel by
 * kernel and in every order of attention; real shapes against closed forms; and the same runs as
 * the counting ISA. Read next: vectors.h, test_proof.c (single kernels). */
#include <criterion/criterion.h>

#include <string.h>

#include "vectors.h"

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

/* Which layers have a kernel. */
typedef enum { EVERY, DENSE, MOE } where;

static const struct {
    const char *key;
    rb_site site;
    where layers;
} per_layer[] = {
    { "attn_norm", RB_SITE_ATTN_NORM, EVERY },
    { "qkv", RB_SITE_QKV, EVERY },
    { "q", RB_SITE_Q, EVERY },
    { "k", RB_SITE_K, EVERY },
    { "v", RB_SITE_V, EVERY },
    { "q_a", RB_SITE_Q_A, EVERY },
    { "q_a_norm", RB_SITE_Q_A_NORM, EVERY },
    { "q_b", RB_SITE_Q_B, EVERY },
    { "kv_a", RB_SITE_KV_A, EVERY },
    { "kv_a_norm", RB_SITE_KV_A_NORM, EVERY },
    { "kv_b", RB_SITE_KV_B, EVERY },
    { "q_absorb", RB_SITE_Q_ABSORB, EVERY },
    { "v_up", RB_SITE_V_UP, EVERY },
    { "qk_norm", RB_SITE_QK_NORM, EVERY },
    { "rope", RB_SITE_ROPE, EVERY },
    { "kv_store", RB_SITE_KV_STORE, EVERY },
    { "attn", RB_SITE_ATTN, EVERY },
    { "o", RB_SITE_O, EVERY },
    { "ffn_norm", RB_SITE_FFN_NORM, EVERY },
    { "gate_proj", RB_SITE_GATE, DENSE },
    { "up", RB_SITE_UP, DENSE },
    { "act", RB_SITE_FFN_ACT, DENSE },
    { "down", RB_SITE_DOWN, DENSE },
    { "router", RB_SITE_ROUTER, MOE },
    { "gate", RB_SITE_ROUTE, MOE },
    { "experts", RB_SITE_EXPERTS, MOE },
    { "shexp", RB_SITE_SHARED_EXPERT, MOE },
    { "moe_add", RB_SITE_MOE_ADD, MOE },
    { "resid", RB_SITE_RESIDUAL, EVERY },
};

static uint64_t n_layers(const rb_config *c, where layers)
{
    const int64_t moe = c->n_expert ? c->n_layer - c->n_dense_lead : 0;
    return (uint64_t)(layers == EVERY ? c->n_layer : layers == MOE ? moe : c->n_layer - moe);
}

/* Expert bytes of the last layer, times what all layers touched by what it touched. */
static void expect_experts(const rb_session *s, rb_phase phase, const json_t *want,
                           const rb_config *c, const char *name)
{
    const json_t *in_layer = json_object_get(want, "U");
    const uint64_t last_w = (uint64_t)json_integer_value(
        json_array_get(json_object_get(json_object_get(want, "last_layer"), "experts"), 2));
    uint64_t sum = 0, last = 0;
    for (int64_t l = c->n_dense_lead; l < c->n_layer; l++) {
        char key[16];
        snprintf(key, sizeof key, "%d", (int)l);
        last = (uint64_t)json_integer_value(json_object_get(in_layer, key));
        sum += last;
        const rb_routing *r = rb_session_routing(s, phase, l);
        cr_assert_not_null(r, "%s: no routing of layer %s", name, key);
        cr_expect_eq(r->distinct, last, "%s: layer %s took %d experts", name, key,
                     (int)r->distinct);
    }
    const rb_tally at =
        rb_ledger_site(rb_session_ledger((rb_session *)(uintptr_t)s), phase, RB_SITE_EXPERTS);
    cr_expect_eq(at.cost.rd[RB_WEIGHT], last_w / last * sum, "%s: bytes of experts", name);
}

static void expect_phase(const rb_session *s, rb_phase phase, const json_t *want, const char *name,
                         const rb_config *c)
{
    char what[128];
    const rb_cost total = ledger_cost(s, phase);
    snprintf(what, sizeof what, "%s %s total", name, rb_phase_name[phase]);
    expect_counts(&total, json_object_get(want, "total"), what, 1);
    for (size_t i = 0; i < sizeof per_layer / sizeof *per_layer; i++) {
        const json_t *layer =
            json_object_get(json_object_get(want, "last_layer"), per_layer[i].key);
        const rb_tally at =
            rb_ledger_site(rb_session_ledger((rb_session *)(uintptr_t)s), phase, per_layer[i].site);
        if (per_layer[i].layers == DENSE && c->n_expert)
            continue; /* the last layer is none; the total has them */
        if (!layer) {
            cr_expect_eq(at.calls, 0, "%s: brute force has no %s", name, per_layer[i].key);
            continue;
        }
        if (per_layer[i].site == RB_SITE_EXPERTS) {
            expect_experts(s, phase, want, c, name);
            continue;
        }
        snprintf(what, sizeof what, "%s %s %s", name, rb_phase_name[phase], per_layer[i].key);
        expect_counts(&at.cost, layer, what, n_layers(c, per_layer[i].layers));
    }
}

/* "mla_plm/absorbed": what the file calls an order; the model's name if it has one only. */
static const char *run_name(const rb_model *m, const char *name, rb_attn attn, char *buf,
                            size_t size)
{
    static const char *const order[RB_N_ATTN] = { [RB_ATTN_MLA_NAIVE_FULL] = "naive_full",
                                                  [RB_ATTN_MLA_NAIVE_LATENT] = "naive_latent",
                                                  [RB_ATTN_MLA_ABSORBED] = "absorbed" };
    snprintf(buf, size, "%s%s%s", name, rb_config_is_mla(&m->config) ? "/" : "",
             rb_config_is_mla(&m->config) ? order[attn] : "");
    return buf;
}

static void expect_run(const json_t *counts, const rb_model *model, const char *name, rb_attn attn)
{
    char key[96];
    rb_session *s = vector_session(model, attn, RB_ISA_SCALAR, 2, true);
    const json_t *runs = json_object_get(json_object_get(counts, "runs"),
                                         run_name(model, name, attn, key, sizeof key));
    const int32_t prompt[3] = { 3, 17, 5 }, next = 7;
    cr_assert_not_null(runs, "%s", key);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, prompt, 3, true, NULL), RB_OK);
    cr_assert_eq(rb_session_run(s, RB_DECODE, &next, 1, false, NULL), RB_OK);
    expect_phase(s, RB_PREFILL, json_object_get(runs, "prefill"), key, &model->config);
    expect_phase(s, RB_DECODE, json_object_get(runs, "decode0"), key, &model->config);
    rb_session_close(s);
}

Test(counts, ledgers_equal_brute_force)
{
    json_t *counts = json_read("tests/vectors/counts_bruteforce_verified.json");
    size_t n = 0;
    for (int i = 0; i < N_VECTOR; i++) {
        json_t *v;
        rb_model *model = vector_model(vector_name[i], &v);
        rb_attn attn;
        for (int o = 0; (attn = vector_order(model, o)) < RB_N_ATTN; o++) {
            if (attn == RB_ATTN_MLA)
                continue; /* one of the others, call by call */
            expect_run(counts, model, vector_name[i], attn);
            n++;
        }
        rb_model_close(model);
        json_decref(v);
    }
    cr_expect_eq(n, json_object_size(json_object_get(counts, "runs")), "%zu runs", n);
    json_decref(counts);
}

/* A launch that was not booked leaves the totals short: whichever is taken out, it is seen. */
Test(counts, an_uncounted_launch_is_seen)
{
    json_t *counts = json_read("tests/vectors/counts_bruteforce_verified.json"), *v;
    rb_model *model = vector_model("qwen3_qknorm", &v);
    rb_session *s = vector_session(model, RB_ATTN_OWN, RB_ISA_SCALAR, 1, true);
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
static void expect_proven(const char *name, rb_isa isa, int order)
{
    json_t *v;
    int32_t prompt[N_VECTOR_PROMPT];
    rb_model *model = vector_model(name, &v);
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    p.attn = vector_order(model, order);
    if (p.attn == RB_N_ATTN)
        goto done;
    p.n_ctx = p.n_logits = 16;
    p.type_k = p.type_v = RB_F32;
    p.isa = isa;
    p.capped = p.prove = true;
    cr_assert_eq(rb_session_open(&s, model, &p, NULL), RB_OK);
    vector_tokens(v, "prompt", prompt, N_VECTOR_PROMPT);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, prompt, N_VECTOR_PROMPT, true, NULL), RB_OK);
    const rb_proof *proof = rb_session_proof(s);
    const rb_cost c = ledger_cost(s, RB_PREFILL);
    cr_expect_str_eq(proof->mismatch, "", "%s: %s", name, proof->mismatch);
    cr_expect_eq(proof->flops + 2 * proof->int_macs, c.flops + c.extra - c.saved);
    cr_expect_eq((int64_t)proof->special, (int64_t)c.special + c.special_overhead);
    cr_expect_arr_eq(proof->dequant, c.dequant, sizeof c.dequant);
    cr_expect_leq(vector_worst(rb_session_logits(s),
                               json_array_get(json_object_get(v, "logits_prefill"), 0),
                               model->config.n_vocab),
                  vector_tolerance(v));
    rb_session_close(s);
done:
    rb_model_close(model);
    json_decref(v);
}

Test(counts, whole_model_runs_are_proven)
{
    for (int i = 0; i < N_VECTOR; i++)
        for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++)
            for (int order = 0; rb_isa_supported(isa) && order < RB_N_ATTN; order++)
                expect_proven(vector_name[i], isa, order);
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
        rb_session *s = vector_session(model, RB_ATTN_OWN, RB_ISA_SCALAR, 1, no_fuse);
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

/* Identity of what is counted: ISAs may differ in extra, saved and issued bytes only, threads in
 * nothing. */
Test(counts, do_not_depend_on_isa_or_threads)
{
    json_t *v;
    rb_model *model = vector_model("qwen2_bias", &v);
    const int32_t prompt[3] = { 3, 17, 5 };
    rb_cost first = { 0 };
    int n = 0;
    for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++)
        for (int threads = 1; rb_isa_supported(isa) && threads < 5; threads++) {
            rb_session *s = vector_session(model, RB_ATTN_OWN, isa, threads, false);
            cr_assert_eq(rb_session_run(s, RB_PREFILL, prompt, 3, false, NULL), RB_OK);
            const rb_cost c = ledger_cost(s, RB_PREFILL);
            if (n++ == 0)
                first = c;
            if (threads == 1) {
                first.issued_rd = c.issued_rd;
                first.issued_wr = c.issued_wr;
            }
            cr_expect(rb_cost_equal(&first, &c), "%s, %d threads", rb_isa_name[isa], threads);
            rb_session_close(s);
        }
    cr_expect_geq(n, 4);
    rb_model_close(model);
    json_decref(v);
}

/* ---- real shapes, dry: closed forms with f16 weights and cache ---- */

/* Whether the file has such a run. */
static bool expect_real(const json_t *want, const char *key, const rb_model *model, rb_attn attn,
                        rb_phase phase, int64_t n_tok, int64_t n_past)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    if (!json_object_get(want, key))
        return false;
    p.n_ctx = 1024;
    p.attn = attn;
    p.dry = p.no_fuse = true;
    cr_assert_eq(rb_session_open(&s, model, &p, &err), RB_OK, "%s", err.text);
    rb_session_set_past(s, n_past);
    cr_assert_eq(rb_session_run(s, phase, NULL, n_tok, false, &err), RB_OK, "%s", err.text);
    const rb_cost c = ledger_cost(s, phase);
    expect_counts(&c, json_object_get(want, key), key, 1);
    rb_session_close(s);
    return true;
}

/* Returns how many runs of the file it was held against. */
static size_t expect_preset(const json_t *want, const char *preset, const char *name, bool legacy)
{
    static const struct {
        const char *name;
        rb_attn attn;
    } order[] = { { "naive_full", RB_ATTN_MLA_NAIVE_FULL },
                  { "naive_latent", RB_ATTN_MLA_NAIVE_LATENT },
                  { "absorbed", RB_ATTN_MLA_ABSORBED } };
    rb_config c = *rb_preset_find(preset);
    rb_model *model;
    rb_error err;
    size_t n = 0;
    c.mla_split = c.mla_split && !legacy;
    cr_assert_eq(rb_model_synth(&model, &c, RB_F16, 1, true, &err), RB_OK, "%s", err.text);
    for (int o = 0; o < (rb_config_is_mla(&c) ? 3 : 1); o++) {
        const rb_attn attn = rb_config_is_mla(&c) ? order[o].attn : RB_ATTN_OWN;
        char key[128];
        snprintf(key, sizeof key, "%s|prefill512|%s", name, order[o].name);
        n += expect_real(want, key, model, attn, RB_PREFILL, 512, 0);
        snprintf(key, sizeof key, "%s|decode@512|%s", name, order[o].name);
        n += expect_real(want, key, model, attn, RB_DECODE, 1, 512);
    }
    rb_model_close(model);
    return n;
}

Test(counts, dry_runs_equal_closed_forms_of_real_models)
{
    json_t *file = json_read("tests/vectors/counts_real_models.json");
    const json_t *want = json_object_get(file, "models");
    size_t n = 0;
    for (size_t i = 0; i < N_REAL_MODEL; i++)
        for (int legacy = 0; legacy < 2; legacy++)
            n += expect_preset(want, real_models[i].preset, real_models[i].name, legacy);
    cr_expect_eq(n, 2 * json_object_size(want), "%zu runs", n);
    json_decref(file);
}
