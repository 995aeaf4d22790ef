/* The closed forms of whole models: against brute force on small models and against totals of real
 * ones that were computed elsewhere, then the ledgers of every preset against the closed forms.
 * Read next: ../bench/oracle.c, test_counts.c (ledgers against the same numbers). */
#include <criterion/criterion.h>

#include <stdlib.h>

#include "../bench/verify_parts.h"
#include "files.h"

enum { N_FIELD = 7 };

static void expect_total(const rb_claim *claim, const json_t *want, const char *what)
{
    static const char *const field[N_FIELD] = { "flops", "spc", "W", "KVr", "KVw", "Ar", "Aw" };
    const rb_bytes b = rb_cost_bytes(&claim->total);
    const uint64_t got[N_FIELD] = { claim->total.flops, claim->total.special, b.weight,   b.kv_read,
                                    b.kv_write,         b.act_read,           b.act_write };
    cr_assert_eq(json_array_size(want), N_FIELD, "%s", what);
    for (size_t i = 0; i < N_FIELD; i++) {
        const uint64_t w = (uint64_t)json_integer_value(json_array_get(want, i));
        cr_expect_eq(got[i], w, "%s: %s is %llu, not %llu", what, field[i],
                     (unsigned long long)got[i], (unsigned long long)w);
    }
}

static const char *const order_name[RB_N_ATTN] = { [RB_ATTN_MLA_NAIVE_FULL] = "naive_full",
                                                   [RB_ATTN_MLA_NAIVE_LATENT] = "naive_latent",
                                                   [RB_ATTN_MLA_ABSORBED] = "absorbed" };

static rb_model *shape_of(const rb_config *c, rb_dtype type)
{
    rb_model *m;
    rb_error err;
    cr_assert_eq(rb_model_synth(&m, c, type, 1, true, &err), RB_OK, "%s", err.text);
    return m;
}

/* ---- brute force ---- */

static void expect_brute_force(const json_t *run, const rb_model *m, rb_oracle_run r,
                               const char *what)
{
    int64_t taken[8] = { 0 };
    rb_claim claim;
    const json_t *in_layer = json_object_get(run, "U");
    cr_assert_leq(m->config.n_layer, 8);
    for (int64_t l = m->config.n_dense_lead; m->config.n_expert && l < m->config.n_layer; l++) {
        char key[16];
        snprintf(key, sizeof key, "%d", (int)l);
        taken[l] = json_integer_value(json_object_get(in_layer, key));
    }
    r.n_layer = m->config.n_layer;
    r.n_seq = 1;
    r.n_ids = r.n;
    r.n_taken = taken;
    r.type_k = r.type_v = RB_F32;
    rb_oracle(&m->config, m, &r, &claim);
    expect_total(&claim, json_object_get(run, "total"), what);
}

Test(oracle, equals_brute_force)
{
    json_t *counts = json_read("tests/vectors/counts_bruteforce_verified.json");
    const json_t *runs = json_object_get(counts, "runs");
    size_t n = 0;
    for (int i = 0; i < N_VECTOR; i++) {
        rb_config c;
        json_t *v = vector_read(vector_name[i], &c);
        rb_model *m = shape_of(&c, RB_F32);
        rb_attn attn;
        for (int o = 0; (attn = rb_attn_nth(&c, o)) < RB_N_ATTN; o++, n++) {
            char key[96];
            snprintf(key, sizeof key, "%s%s%s", vector_name[i], order_name[attn] ? "/" : "",
                     order_name[attn] ? order_name[attn] : "");
            const json_t *run = json_object_get(runs, key);
            const rb_oracle_run prompt = { .attn = attn, .n = 3, .n_out = 3 };
            const rb_oracle_run step = { .attn = attn, .n = 1, .p = 3, .n_out = 1 };
            expect_brute_force(json_object_get(run, "prefill"), m, prompt, key);
            expect_brute_force(json_object_get(run, "decode0"), m, step, key);
        }
        rb_model_close(m);
        json_decref(v);
    }
    cr_expect_eq(n, json_object_size(runs), "%zu runs", n);
    json_decref(counts);
}

/* COUNTING, section 3, the last of its worked integers. */
Test(oracle, equals_worked_integers_in_q8_0)
{
    static const int64_t want[2][N_FIELD] = { { 56058, 284, 14596, 136, 136, 7424, 6144 },
                                              { 28428, 145, 14562, 204, 68, 3712, 3072 } };
    rb_config c = small_config(RB_ARCH_LLAMA);
    c.n_layer = 1;
    c.n_embd = c.n_vocab = 32;
    c.n_ff = 64;
    c.n_head = 2;
    c.n_head_kv = 1;
    c.d_head_k = c.d_head_v = c.d_rot = 32;
    rb_model *m = shape_of(&c, RB_Q8_0);
    for (int decode = 0; decode < 2; decode++) {
        const int64_t n = decode ? 1 : 2;
        const rb_oracle_run r = { .attn = RB_ATTN_OWN,
                                  .n_layer = 1,
                                  .n_seq = 1,
                                  .n = n,
                                  .p = decode ? 2 : 0,
                                  .n_out = n,
                                  .n_ids = n,
                                  .type_k = RB_Q8_0,
                                  .type_v = RB_Q8_0 };
        rb_claim claim;
        json_t *list = json_array();
        for (int i = 0; i < N_FIELD; i++)
            json_array_append_new(list, json_integer(want[decode][i]));
        rb_oracle(&c, m, &r, &claim);
        expect_total(&claim, list, decode ? "decode" : "prefill");
        json_decref(list);
    }
    rb_model_close(m);
}

/* ---- real models ---- */

static size_t expect_real(const json_t *want, const char *name, const rb_model *m, rb_attn attn,
                          bool decode)
{
    char key[128];
    rb_claim claim;
    snprintf(key, sizeof key, "%s|%s|%s", name, decode ? "decode@512" : "prefill512",
             order_name[attn == RB_ATTN_OWN ? RB_ATTN_MLA_NAIVE_FULL : attn]);
    if (!json_object_get(want, key))
        return 0;
    const rb_oracle_run r = { .attn = attn,
                              .n_layer = m->config.n_layer,
                              .n_seq = 1,
                              .n = decode ? 1 : 512,
                              .p = decode ? 512 : 0,
                              .n_out = 1,
                              .n_ids = decode ? 1 : 512,
                              .type_k = RB_F16,
                              .type_v = RB_F16 };
    rb_oracle(&m->config, m, &r, &claim);
    expect_total(&claim, json_object_get(want, key), key);
    return 1;
}

Test(oracle, equals_totals_of_real_models)
{
    json_t *file = json_read("tests/vectors/counts_real_models.json");
    const json_t *want = json_object_get(file, "models");
    size_t n = 0;
    for (size_t i = 0; i < N_REAL_MODEL; i++) {
        const rb_config *c = rb_preset_find(real_models[i].preset);
        rb_model *m = shape_of(c, RB_F16);
        rb_attn attn;
        for (int o = 0; (attn = rb_attn_nth(c, o)) < RB_N_ATTN; o++)
            for (int decode = 0; decode < 2; decode++)
                n += expect_real(want, real_models[i].name, m, attn, decode);
        rb_model_close(m);
    }
    cr_expect_eq(n, json_object_size(want), "%zu runs", n);
    json_decref(file);
}

/* ---- ledgers ---- */

/* Closes m. */
static void expect_ledgers_of(rb_model *m, const char *mix)
{
    rb_error err;
    rb_counts counts = { 0 };
    rb_finding found;
    cr_assert_eq(rb_model_pack(m, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_counts_gather(&counts, m, &err), RB_OK, "%s", err.text);
    rb_counts_judge(&counts, m, RB_FAULT_NONE, &found);
    cr_expect_eq(found.verdict, RB_PASSED, "%s, %s in %s: %s", m->config.name,
                 rb_attn_name(&m->config, RB_ATTN_OWN), mix, found.text);
    free(counts.of);
    rb_model_close(m);
}

static void expect_ledgers(const rb_config *c, const char *mix)
{
    rb_model *m;
    rb_error err;
    cr_assert_eq(rb_model_synth_mix(&m, c, rb_mix_by_name(mix), 1, true, &err), RB_OK, "%s",
                 err.text);
    expect_ledgers_of(m, mix);
}

/* Types of one layer differ in a mix, and what differs is not fused. */
Test(oracle, ledgers_of_all_presets_are_what_it_says)
{
    for (int i = 0; i < rb_preset_count(); i++) {
        expect_ledgers(rb_preset_get(i), "f16");
        expect_ledgers(rb_preset_get(i), "q4_k_m");
    }
}

/* What no preset has, one thing at a time. */
Test(oracle, ledgers_of_rare_shapes_are_what_it_says)
{
    static const struct {
        rb_arch arch;
        const char *set[6];
    } rare[] = {
        { RB_ARCH_GPTNEOX, { "parallel_residual=false" } },
        { RB_ARCH_DEEPSEEK2, { "q_lora_rank=48", "mla_split=true" } },
        { RB_ARCH_DEEPSEEK2,
          { "gating=sigmoid", "expert_bias=true", "expert_renorm=true", "expert_scale=2.5" } },
        { RB_ARCH_DEEPSEEK2, { "n_ff_shared=0", "n_dense_lead=0" } },
        { RB_ARCH_QWEN2MOE, { "experts_fused=true" } },
        { RB_ARCH_LLAMA, { "n_head_kv=1", "n_layer=1" } },
        { RB_ARCH_LLAMA, { "d_head_v=24" } },
        { RB_ARCH_QWEN3MOE, { "n_expert=3", "n_expert_used=3" } },
        /* what attention is converted to */
        { RB_ARCH_LLAMA, { "kv_lora_rank=32", "latent_plain=true", "late_rope=true" } },
        { RB_ARCH_QWEN2, { "kv_lora_rank=64", "latent_plain=true", "late_rope=true" } },
        { RB_ARCH_QWEN3MOE, { "kv_lora_rank=32", "latent_plain=true", "late_rope=true" } },
        { RB_ARCH_QWEN2,
          { "kv_lora_rank=32", "latent_plain=true", "n_head_kv=4", "mla_split=true", "d_rot=8",
            "d_freq=16" } },
        { RB_ARCH_GPTNEOX,
          { "kv_lora_rank=32", "latent_plain=true", "mla_split=true", "d_rot=4" } },
        { RB_ARCH_QWEN3,
          { "kv_lora_rank=32", "latent_plain=true", "n_head_kv=4", "mla_split=true",
            "n_key_block=2", "d_rot=8" } },
        { RB_ARCH_LLAMA,
          { "kv_lora_rank=32", "latent_plain=true", "n_head_kv=4", "n_key_block=2", "d_rot=4" } },
        { RB_ARCH_LLAMA, { "n_head_kv=4", "n_head_v=2", "d_head_v=32" } },
        { RB_ARCH_QWEN2, { "n_head_kv=2", "n_head_v=1", "d_head_v=32", "d_value_up=64" } },
        { RB_ARCH_GPTNEOX, { "n_head_kv=2", "d_head_v=32" } },
    };
    for (size_t i = 0; i < sizeof rare / sizeof *rare; i++) {
        rb_config c = small_config(rare[i].arch);
        rb_error err;
        for (int k = 0; k < 6 && rare[i].set[k]; k++)
            cr_assert_eq(rb_config_set(&c, rare[i].set[k], &err), RB_OK, "%s", err.text);
        expect_ledgers(&c, "f32");
        expect_ledgers(&c, "q8_0");
    }
}

/* Weights of one shape in all others: presets with many heads, with biases, norms and partial
 * rotation. */
Test(oracle, ledgers_of_converted_attention_are_what_it_says)
{
    static const char *const preset[] = { "qwen2.5-1.5b", "qwen3-0.6b", "pythia-160m",
                                          "smollm2-135m" };
    static const char *const forms[] = { "mha",   "mqa",   "mla", "mla:128:64", "lrkv:256",
                                         "gva:4", "gha:4", "gta", "gva:3",      "gha:3" };
    for (size_t i = 0; i < sizeof preset / sizeof *preset; i++)
        for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
            rb_model *m, *to;
            rb_attn_form f;
            rb_error err;
            const rb_config *c = rb_preset_find(preset[i]);
            cr_assert_eq(rb_attn_form_parse(&f, forms[k], &err), RB_OK);
            cr_assert_eq(rb_model_synth_mix(&m, c, rb_mix_by_name("q4_k_m"), 1, true, &err), RB_OK);
            const rb_status status = rb_attn_convert(&to, m, &f, NULL, &err);
            cr_expect(status == RB_OK || status == RB_ERR_UNSUPPORTED, "%s", err.text);
            if (status == RB_OK)
                expect_ledgers_of(to, forms[k]);
            rb_model_close(m);
        }
}
