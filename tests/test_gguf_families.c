/* GGUF files of latent attention, experts, gptneox and YaRN that lie, lack something or are odd:
 * what is refused says why in one line, what is accepted gives logits that are numbers.
 * Read next: hostile.h (family_make, the good files that every test breaks), test_gguf_hostile.c.
 */
#include "../engine/engine.h"
#include "hostile.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is accepted ---- */

/* Every order of attention that the model has. */
static void check_logits(const rb_model *m, rb_attn attn)
{
    static const int32_t ids[] = { 1, 5, 7, 2 };
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err = { 0 };
    p.attn = attn;
    p.n_ctx = 8;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, 3, false, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_session_run(s, RB_DECODE, ids + 3, 1, false, &err), RB_OK, "%s", err.text);
    for (int64_t i = 0; i < m->config.n_vocab; i++)
        cr_assert(isfinite(rb_session_logits(s)[i]), "logit %d (%s)", (int)i,
                  rb_attn_name(&m->config, attn));
    rb_session_close(s);
}

/* Frees g; the model is the caller's, or closed. */
static void expect_accepted(gguf_file *g, rb_model **model)
{
    rb_model *m = NULL;
    rb_error err = { 0 };
    blob b = gguf_bytes(g);
    const rb_status status =
        rb_model_from_source(&m, rb_source_memory("test.gguf", b.data, b.n), NULL, false, &err);
    cr_assert_eq(status, RB_OK, "%s", err.text);
    check_logits(m, RB_ATTN_OWN);
    if (rb_config_is_mla(&m->config))
        for (int attn = RB_ATTN_MLA; attn <= RB_ATTN_MLA_ABSORBED; attn++)
            check_logits(m, (rb_attn)attn);
    blob_free(&b);
    gguf_free(g);
    if (model)
        *model = m;
    else
        rb_model_close(m);
}

/* The file after one change. */
static void accept(gguf_file g)
{
    expect_accepted(&g, NULL);
}

Test(families, the_files_that_we_break_are_good)
{
    static const char *const arch[] = { "llama",   "qwen2moe", "qwen3moe",
                                        "gptneox", "plm",      "deepseek2" };
    for (size_t i = 0; i < sizeof arch / sizeof *arch; i++)
        accept(family_make(arch[i]));
    accept(family_make_split("plm"));
    accept(family_make_split("deepseek2"));
}

Test(families, each_missing_and_each_misshapen_tensor)
{
    static const char *const arch[] = { "llama",   "qwen2moe", "qwen3moe",
                                        "gptneox", "plm",      "deepseek2" };
    for (size_t a = 0; a < sizeof arch / sizeof *arch; a++) {
        gguf_file whole = family_make(arch[a]);
        for (int i = 0; i < whole.have_tensor; i++) {
            char word[300];
            const char *name = whole.tensor[i].name;
            gguf_file g = family_make(arch[a]);
            gguf_tensor *t = gguf_find(&g, name);
            t->ne[strcmp(name, "token_embd.weight") ? t->n_dim - 1 : 0] -= 1;
            snprintf(word, sizeof word, "tensor '%s' has shape [", name);
            expect_file_refused(&g, RB_ERR_FORMAT, word);
            if (strcmp(name, "output.weight") == 0)
                continue; /* its absence means a tied head */
            g = family_make(arch[a]);
            gguf_drop_tensor(&g, name);
            snprintf(word, sizeof word, "tensor '%s' is missing", name);
            expect_file_refused(&g, RB_ERR_FORMAT, word);
        }
        gguf_free(&whole);
    }
}

/* ---- latent attention ---- */

#define DS "deepseek2."

/* A key of deepseek2 with a value that is refused. */
static void refuse_u64(gguf_file g, const char *key, uint64_t value, const char *word)
{
    gguf_set_u64(&g, key, value);
    expect_file_refused(&g, RB_ERR_FORMAT, word);
}

static void refuse_without(gguf_file g, const char *key)
{
    char word[128];
    snprintf(word, sizeof word, "key '%s' is missing", key);
    gguf_drop_kv(&g, key);
    expect_file_refused(&g, RB_ERR_FORMAT, word);
}

Test(families, ranks_and_rotated_columns)
{
    static const uint64_t rank[] = { 0, UINT64_MAX, (uint64_t)1 << 63, 1 << 17, (uint64_t)1 << 40 };
    static const uint64_t rot[] = { 0, 3, 12, 14, UINT64_MAX, (uint64_t)1 << 62 };
    for (size_t i = 0; i < sizeof rank / sizeof *rank; i++)
        refuse_u64(family_make("deepseek2"), DS "attention.kv_lora_rank", rank[i],
                   "kv_lora_rank is ");
    for (size_t i = 0; i < sizeof rot / sizeof *rot; i++)
        refuse_u64(family_make("deepseek2"), DS "rope.dimension_count", rot[i],
                   rot[i] == 12 ? "wider than what is rotated (12)" : "d_rot is ");
    refuse_without(family_make("deepseek2"), DS "attention.kv_lora_rank");
    refuse_without(family_make("deepseek2"), DS "rope.dimension_count");
    refuse_without(family_make("plm"), "plm.attention.kv_lora_rank");
    refuse_without(family_make("plm"), "plm.rope.dimension_count");
    refuse_without(family_make("plm"), "plm.attention.key_length");
    refuse_without(family_make("plm"), "plm.attention.value_length");
    refuse_u64(family_make("deepseek2"), DS "attention.kv_lora_rank", 17,
               "'blk.0.attn_kv_a_mqa.weight' has shape [32, 20], expected [32, 21]");
}

Test(families, sizes_of_latent_heads)
{
    refuse_without(family_make_split("deepseek2"), DS "attention.value_length_mla");
    gguf_file g = family_make_split("deepseek2");
    gguf_drop_kv(&g, DS "attention.key_length_mla");
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "one KV head, but no key_length_mla");
    static const uint64_t bad[] = { 0, UINT64_MAX, (uint64_t)1 << 62, 4097 };
    for (size_t i = 0; i < 4; i++) {
        refuse_u64(family_make_split("plm"), "plm.attention.key_length_mla", bad[i], "d_head_k");
        refuse_u64(family_make_split("plm"), "plm.attention.value_length_mla", bad[i], "d_head_v");
    }
    refuse_u64(family_make_split("plm"), "plm.attention.kv_lora_rank", INT64_MAX,
               "not those of one latent head of 9223372036854775807 + ");
}

Test(families, a_rank_of_q)
{
    gguf_file g = family_make("deepseek2");
    gguf_drop_tensor(&g, "blk.0.attn_q.weight");
    gguf_add_tensor(&g, "blk.0.attn_q_a.weight", 32, 8, 0);
    gguf_add_tensor(&g, "blk.0.attn_q_a_norm.weight", 8, 0, 0);
    gguf_add_tensor(&g, "blk.0.attn_q_b.weight", 8, 24, 0);
    gguf_kv_u32(&g, DS "attention.q_lora_rank", 8);
    expect_accepted(&g, NULL);
    g = family_make("deepseek2"); /* the key alone makes none */
    gguf_kv_u32(&g, DS "attention.q_lora_rank", 8);
    expect_accepted(&g, NULL);
}

/* Some writers keep W_UK and W_UV in both forms, or without an axis for the heads. */
Test(families, both_forms_of_the_latent_matrices)
{
    rb_model *m;
    gguf_file g = family_make_split("deepseek2");
    gguf_add_tensor(&g, "blk.0.attn_kv_b.weight", 16, 32, 0);
    expect_accepted(&g, &m);
    cr_assert(m->config.mla_split);
    rb_model_close(m);
    g = family_make_split("deepseek2");
    gguf_tensor *t = gguf_find(&g, "blk.0.attn_k_b.weight");
    t->n_dim = 2;
    t->ne[1] = 32;
    t = gguf_find(&g, "blk.0.attn_v_b.weight");
    t->n_dim = 2;
    t->ne[1] = 16;
    expect_accepted(&g, &m);
    cr_assert_eq(m->layer[0].wk_b.n[1], 2);
    rb_model_close(m);
    g = family_make_split("plm");
    gguf_drop_tensor(&g, "blk.0.attn_v_b.weight");
    expect_file_refused(&g, RB_ERR_FORMAT, "'blk.0.attn_v_b.weight' is missing");
    g = family_make("plm");
    gguf_add_stack(&g, "blk.0.attn_v_b.weight", 16, 8, 2);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "'blk.0.attn_v_b.weight' is unknown");
}

/* ---- experts ---- */

Test(families, numbers_of_experts)
{
    static const char *const arch[] = { "llama", "qwen2moe", "qwen3moe", "deepseek2" };
    static const uint64_t count[] = { UINT64_MAX, (uint64_t)1 << 63, 4097, (uint64_t)1 << 40 };
    static const uint64_t used[] = { 0, 5, 4096, UINT64_MAX, (uint64_t)1 << 62 };
    char key[96];
    for (size_t a = 0; a < 4; a++) {
        for (size_t i = 0; i < 4; i++) {
            snprintf(key, sizeof key, "%s.expert_count", arch[a]);
            refuse_u64(family_make(arch[a]), key, count[i], "n_expert is ");
            snprintf(key, sizeof key, "%s.expert_feed_forward_length", arch[a]);
            refuse_u64(family_make(arch[a]), key, i ? UINT64_MAX / i : 0, "n_ff_expert ");
        }
        for (size_t i = 0; i < 5; i++) {
            snprintf(key, sizeof key, "%s.expert_used_count", arch[a]);
            refuse_u64(family_make(arch[a]), key, used[i], "n_expert_used is ");
        }
        refuse_without(family_make(arch[a]), key);
        snprintf(key, sizeof key, "%s.expert_count", arch[a]);
        refuse_u64(family_make(arch[a]), key, 4096,
                   "'blk.0.ffn_gate_inp.weight' has shape [32, 4], expected [32, 4096]");
    }
    gguf_file g = family_make("qwen3moe");
    gguf_drop_kv(&g, "qwen3moe.expert_count");
    expect_file_refused(&g, RB_ERR_FORMAT, "architecture qwen3moe has experts");
    g = family_make("llama");
    gguf_drop_kv(&g, "llama.expert_count");
    expect_file_refused(&g, RB_ERR_FORMAT, "'blk.0.ffn_gate.weight' is missing");
    g = family_make("gptneox");
    gguf_kv_u32(&g, "gptneox.expert_count", 4);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "a mixture of experts");
    g = family_make("plm");
    gguf_kv_u32(&g, "plm.expert_count", 4);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "a mixture of experts");
}

Test(families, shared_and_leading)
{
    static const uint64_t bad[] = { UINT64_MAX, (uint64_t)1 << 63, 4097, (uint64_t)1 << 40 };
    for (size_t i = 0; i < 4; i++) {
        gguf_file g = family_make("deepseek2");
        gguf_set_u64(&g, DS "expert_shared_count", bad[i]);
        expect_file_refused(&g, RB_ERR_UNSUPPORTED, "number of shared experts");
        refuse_u64(family_make("deepseek2"), DS "leading_dense_block_count", bad[i],
                   "n_dense_lead is ");
        refuse_u64(family_make("qwen2moe"), "qwen2moe.expert_shared_feed_forward_length",
                   i == 2 ? 0 : bad[i], "n_ff_shared is ");
    }
    refuse_u64(family_make("deepseek2"), DS "expert_shared_count", 4096,
               "'blk.0.ffn_gate_shexp.weight' has shape [32, 16], expected [32, 65536]");
    refuse_u64(family_make("deepseek2"), DS "leading_dense_block_count", 2,
               "n_dense_lead is 2 of 1 layers");
    refuse_u64(family_make("deepseek2"), DS "leading_dense_block_count", 1,
               "'blk.0.ffn_gate.weight' is missing");
    refuse_without(family_make("qwen2moe"), "qwen2moe.expert_shared_feed_forward_length");
    gguf_file g = family_make("deepseek2");
    gguf_set_u32(&g, DS "expert_shared_count", 0);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "_shexp.weight' is unknown");
    g = family_make("qwen3moe"); /* no shared expert is known of it */
    gguf_add_tensor(&g, "blk.0.ffn_up_shexp.weight", 32, 16, 0);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "'blk.0.ffn_up_shexp.weight' is unknown");
    g = family_make("deepseek2"); /* its shared expert has no gate */
    gguf_add_tensor(&g, "blk.0.ffn_gate_inp_shexp.weight", 32, 0, 0);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "'blk.0.ffn_gate_inp_shexp.weight' is unknown");
}

Test(families, routing)
{
    static const uint32_t function[] = { 0, 3, 4, UINT32_MAX };
    gguf_file g;
    for (size_t i = 0; i < 4; i++) {
        g = family_make("deepseek2");
        gguf_kv_u32(&g, DS "expert_gating_func", function[i]);
        expect_file_refused(&g, RB_ERR_UNSUPPORTED, "function of expert shares");
    }
    g = family_make("deepseek2");
    gguf_kv_u32(&g, DS "expert_group_count", 2);
    gguf_kv_u32(&g, DS "expert_group_used_count", 1);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "groups of experts");
    g = family_make("deepseek2"); /* how many are used is not told */
    gguf_kv_u32(&g, DS "expert_group_count", 2);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "groups of experts");
    g = family_make("deepseek2");
    gguf_kv_u32(&g, DS "expert_group_count", 2);
    gguf_kv_u32(&g, DS "expert_group_used_count", 2);
    accept(g);
    static const float scale[] = { -1, __builtin_nanf(""), __builtin_inff() };
    for (size_t i = 0; i < 3; i++) {
        g = family_make("deepseek2");
        gguf_kv_f32(&g, DS "expert_weights_scale", scale[i]);
        expect_file_refused(&g, RB_ERR_FORMAT, "expert_scale is ");
    }
    g = family_make("deepseek2");
    gguf_kv_string(&g, DS "expert_weights_norm", "yes");
    expect_file_refused(&g, RB_ERR_FORMAT, "'deepseek2.expert_weights_norm' should be");
    g = family_make("deepseek2");
    gguf_kv_u32(&g, DS "expert_gating_func", 2);
    gguf_kv_uint(&g, DS "expert_weights_norm", RB_GGUF_BOOL, 1, 1);
    gguf_kv_f32(&g, DS "expert_weights_scale", 2.5f);
    gguf_add_tensor(&g, "blk.0.exp_probs_b.bias", 4, 0, 0);
    accept(g);
    for (uint64_t n = 3; n <= 5; n += 2) {
        g = family_make("deepseek2");
        gguf_add_tensor(&g, "blk.0.exp_probs_b.bias", n, 0, 0);
        expect_file_refused(&g, RB_ERR_FORMAT, "'blk.0.exp_probs_b.bias' has shape [");
    }
}

Test(families, shapes_of_stacks)
{
    static const char *const stack[] = { "blk.0.ffn_gate_exps.weight", "blk.0.ffn_up_exps.weight",
                                         "blk.0.ffn_down_exps.weight" };
    for (size_t i = 0; i < 3; i++) {
        char word[96];
        snprintf(word, sizeof word, "tensor '%s' has shape [", stack[i]);
        gguf_file g = family_make("qwen3moe");
        gguf_tensor *t = gguf_find(&g, stack[i]);
        t->n_dim = 2; /* the same bytes, but which rows are an expert's is not told */
        t->ne[1] *= 4;
        expect_file_refused(&g, RB_ERR_FORMAT, word);
        g = family_make("qwen3moe");
        t = gguf_find(&g, stack[i]);
        t->ne[2] = 2;
        t->ne[1] *= 2;
        expect_file_refused(&g, RB_ERR_FORMAT, word);
        g = family_make("qwen3moe");
        t = gguf_find(&g, stack[i]);
        t->n_dim = 4;
        t->ne[2] = 2;
        t->ne[3] = 2;
        expect_file_refused(&g, RB_ERR_FORMAT, word);
        g = family_make("qwen3moe");
        gguf_find(&g, stack[i])->type = 8; /* rows of 16 are no multiple of 32, rows of 32 are */
        if (i == 2)
            expect_file_refused(&g, RB_ERR_FORMAT, "no multiple of the 32 of q8_0");
        else
            accept(g);
    }
}

Test(families, gate_and_up_in_one_stack)
{
    rb_model *m;
    gguf_file g = family_make("qwen3moe");
    gguf_drop_tensor(&g, "blk.0.ffn_gate_exps.weight");
    gguf_drop_tensor(&g, "blk.0.ffn_up_exps.weight");
    gguf_add_stack(&g, "blk.0.ffn_gate_up_exps.weight", 32, 32, 4);
    gguf_file half = family_make("qwen3moe");
    expect_accepted(&g, &m);
    cr_assert(m->config.experts_fused);
    rb_model_close(m);
    gguf_drop_tensor(&half, "blk.0.ffn_gate_exps.weight");
    gguf_drop_tensor(&half, "blk.0.ffn_up_exps.weight");
    gguf_add_stack(&half, "blk.0.ffn_gate_up_exps.weight", 32, 16, 4);
    expect_file_refused(&half, RB_ERR_FORMAT, "has shape [32, 16, 4], expected [32, 32, 4]");
    g = family_make("qwen3moe"); /* both: which one counts? */
    gguf_add_stack(&g, "blk.0.ffn_gate_up_exps.weight", 32, 32, 4);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "is unknown to");
}

/* A router in halves, K of blocks that its rows do not fill. */
Test(families, types)
{
    gguf_file g = family_make("qwen3moe");
    gguf_find(&g, "blk.0.ffn_gate_inp.weight")->type = 1;
    accept(g);
    g = family_make("qwen3moe");
    gguf_find(&g, "blk.0.ffn_gate_inp.weight")->type = 8;
    accept(g);
    g = family_make("qwen3moe");
    gguf_find(&g, "blk.0.ffn_gate_inp.weight")->type = 16;
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "'blk.0.ffn_gate_inp.weight' is iq2_xxs");
    g = family_make_split("plm");
    gguf_find(&g, "blk.0.attn_k_b.weight")->type = 8;
    expect_file_refused(&g, RB_ERR_FORMAT, "rows of 8 elements, no multiple of the 32 of q8_0");
    g = family_make("plm");
    gguf_find(&g, "blk.0.attn_kv_b.weight")->type = 2;
    expect_file_refused(&g, RB_ERR_FORMAT, "rows of 16 elements, no multiple of the 32 of q4_0");
    g = family_make("qwen2moe");
    gguf_find(&g, "blk.0.ffn_gate_inp_shexp.weight")->type = 1;
    accept(g);
    g = family_make("qwen2moe");
    gguf_find(&g, "blk.0.attn_k.bias")->type = 8;
    expect_file_refused(&g, RB_ERR_FORMAT, "blk.0.attn_k.bias");
}

/* ---- gptneox ---- */

Test(families, one_matrix_for_q_k_and_v)
{
    gguf_file g = family_make("gptneox");
    gguf_set_u32(&g, "gptneox.attention.head_count_kv", 1);
    expect_file_refused(&g, RB_ERR_FORMAT, "has shape [32, 96], expected [32, 64]");
    g = family_make("gptneox");
    gguf_find(&g, "blk.0.attn_qkv.weight")->ne[1] = 64;
    expect_file_refused(&g, RB_ERR_FORMAT, "has shape [32, 64], expected [32, 96]");
    g = family_make("gptneox");
    gguf_drop_kv(&g, "gptneox.attention.layer_norm_epsilon");
    expect_file_refused(&g, RB_ERR_FORMAT, "'gptneox.attention.layer_norm_epsilon' is missing");
    g = family_make("gptneox");
    gguf_kv_string(&g, "gptneox.use_parallel_residual", "true");
    expect_file_refused(&g, RB_ERR_FORMAT, "'gptneox.use_parallel_residual' should be");
    g = family_make("gptneox");
    gguf_add_tensor(&g, "blk.0.attn_q.weight", 32, 32, 0);
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "'blk.0.attn_q.weight' is unknown");
    g = family_make("gptneox");
    gguf_kv_uint(&g, "gptneox.use_parallel_residual", RB_GGUF_BOOL, 0, 1);
    accept(g);
}

/* ---- YaRN ---- */

static gguf_file with_yarn(const char *key, float value)
{
    gguf_file g = family_make("deepseek2");
    gguf_kv_string(&g, DS "rope.scaling.type", "yarn");
    gguf_kv_f32(&g, DS "rope.scaling.factor", 4);
    gguf_kv_u32(&g, DS "rope.scaling.original_context_length", 16);
    gguf_set_f32(&g, key, value);
    return g;
}

Test(families, numbers_of_yarn)
{
    static const float none[] = { -1, __builtin_nanf(""), __builtin_inff() };
    gguf_file g;
    for (size_t i = 0; i < 3; i++) {
        g = with_yarn(DS "rope.scaling.factor", none[i]);
        expect_file_refused(&g, RB_ERR_FORMAT, "rope scaling");
        g = with_yarn(DS "rope.scaling.yarn_beta_fast", none[i]);
        expect_file_refused(&g, RB_ERR_FORMAT, "YaRN wants");
        g = with_yarn(DS "rope.scaling.yarn_beta_slow", none[i]);
        expect_file_refused(&g, RB_ERR_FORMAT, "YaRN wants");
        g = with_yarn(DS "rope.scaling.attn_factor", none[i]);
        expect_file_refused(&g, RB_ERR_FORMAT, "YaRN wants");
        if (i == 0)
            continue;
        g = with_yarn(DS "rope.scaling.yarn_log_multiplier", none[i]);
        expect_file_refused(&g, RB_ERR_FORMAT, "YaRN wants");
    }
    g = with_yarn(DS "rope.freq_base", 1);
    expect_file_refused(&g, RB_ERR_FORMAT, "rope_base");
    static const uint64_t original[] = { 0, UINT64_MAX, (uint64_t)1 << 62 };
    for (size_t i = 0; i < 3; i++)
        refuse_u64(with_yarn(DS "rope.freq_base", 10000), DS "rope.scaling.original_context_length",
                   original[i], i ? "rope_n_ctx is" : "trained on");
    accept(with_yarn(DS "rope.scaling.factor", 0)); /* as llama.cpp has it: none */
    accept(with_yarn(DS "rope.scaling.factor", 1));
    accept(with_yarn(DS "rope.scaling.yarn_log_multiplier", 0.0707f));
    g = with_yarn(DS "rope.scaling.factor", 4); /* then it is the model's context */
    gguf_drop_kv(&g, DS "rope.scaling.original_context_length");
    accept(g);
    g = with_yarn(DS "rope.scaling.factor", 4);
    gguf_set_u32(&g, DS "rope.scaling.original_context_length", 1);
    accept(g);
}

/* What a file does not say of YaRN is what Peng et al. 2023 recommend. */
Test(families, defaults_of_yarn)
{
    rb_model *m;
    gguf_file g = with_yarn(DS "rope.scaling.factor", 4);
    expect_accepted(&g, &m);
    const rb_rope_scaling *r = &m->config.rope_scaling;
    cr_assert_eq(r->kind, RB_SCALING_YARN);
    cr_assert_eq(r->beta_fast, 32);
    cr_assert_eq(r->beta_slow, 1);
    cr_assert_eq(r->attn_factor, 1);
    cr_assert_eq(r->log_mul, 0);
    rb_model_close(m);
}

/* Extremes that are numbers, but whose logits could not be. */
Test(families, numbers_of_yarn_at_the_ends)
{
    static const char *const key[] = { DS "rope.scaling.factor",
                                       DS "rope.scaling.attn_factor",
                                       DS "rope.scaling.yarn_log_multiplier",
                                       DS "rope.scaling.yarn_beta_fast",
                                       DS "rope.scaling.yarn_beta_slow",
                                       DS "rope.freq_base" };
    static const float value[] = { 1e-45f, 1e-30f, 1e30f, 3.4e38f };
    for (size_t k = 0; k < sizeof key / sizeof *key; k++)
        for (size_t v = 0; v < sizeof value / sizeof *value; v++) {
            rb_error err = { 0 };
            gguf_file g = with_yarn(key[k], value[v]);
            blob b = gguf_bytes(&g);
            if (open_bytes(&b, &err) == RB_OK)
                expect_accepted(&g, NULL);
            else
                gguf_free(&g);
            blob_free(&b);
        }
}

/* ---- what a config can be, a file can say ---- */

/* Writes the model if there is one, and wants the same one back. */
static void round_trip(const rb_config *c, const char *set, const char *path)
{
    rb_model *m, *back;
    rb_error err = { 0 };
    if (rb_config_check(c, &err) != RB_OK) {
        cr_assert(*err.text && !strchr(err.text, '\n'));
        return;
    }
    cr_assert_eq(rb_model_synth(&m, c, RB_F16, 1, false, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_gguf_write(m, path, NULL, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_model_open(&back, path, NULL, &err), RB_OK, "%s with %s: %s",
                 rb_arch_name[c->arch], set, err.text);
    const rb_config *a = &m->config, *b = &back->config;
    cr_assert(a->parallel_residual == b->parallel_residual && a->n_ff_shared == b->n_ff_shared &&
                  a->n_dense_lead == b->n_dense_lead && a->expert_renorm == b->expert_renorm &&
                  a->shared_gate == b->shared_gate && a->gating == b->gating &&
                  a->expert_bias == b->expert_bias && a->expert_scale == b->expert_scale &&
                  a->experts_fused == b->experts_fused && a->mla_split == b->mla_split &&
                  a->q_lora_rank == b->q_lora_rank && a->n_ff_expert == b->n_ff_expert &&
                  a->rope_freqs == b->rope_freqs && a->d_rot == b->d_rot &&
                  !memcmp(&a->rope_scaling, &b->rope_scaling, sizeof a->rope_scaling),
              "%s with %s is another model when read", rb_arch_name[c->arch], set);
    rb_model_close(m);
    rb_model_close(back);
}

Test(families, what_is_written_is_read)
{
    static const char *const set[] = {
        "parallel_residual=1", "shared_gate=1",   "shared_gate=0",       "expert_renorm=1",
        "expert_renorm=0",     "n_dense_lead=1",  "n_dense_lead=2",      "n_dense_lead=5",
        "n_ff_shared=0",       "n_ff_shared=48",  "n_ff_shared=96",      "q_lora_rank=16",
        "mla_split=1",         "mla_split=0",     "gating=sigmoid",      "expert_bias=1",
        "expert_scale=0.5",    "n_ff_expert=24",  "experts_fused=1",     "rope_freqs=1",
        "rope_scaling=yarn",   "rope_factor=4",   "rope_scaling=linear", "d_rot=4",
        "rope_n_ctx=7",        "kv_lora_rank=48", "n_expert_used=6",     "tied=1"
    };
    dir d = dir_make();
    char *path = dir_file(&d, "model");
    for (int arch = 0; arch < RB_N_ARCH; arch++)
        for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
            rb_config c = small_config((rb_arch)arch);
            cr_assert_eq(rb_config_set(&c, set[i], NULL), RB_OK, "%s", set[i]);
            round_trip(&c, set[i], path);
        }
    free(path);
    dir_remove(&d);
}

/* ---- noise ---- */

Test(families, noise)
{
    static const char *const arch[] = { "deepseek2", "qwen2moe", "gptneox" };
    uint64_t state = 11;
    for (size_t a = 0; a < 3; a++) {
        gguf_file g = a ? family_make(arch[a]) : with_yarn(DS "rope.freq_base", 10000);
        expect_noise_survived(&g, 3000, &state);
    }
}
