/* Types that mixes give, as literals: what llama.cpp's own program makes of the same models.
 * Values are test_convert.c's.
 * Read next: ../models/mix.c. */
#include "converting.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(mix, .init = convert_setup, .fini = convert_teardown);

/* The types of attn_v and ffn_down layer by layer: "6" is q6_K, "8" q8_0 */
static void expect_layers(const char *suffix, const char *want)
{
    rb_gguf b = open_directory(convert_out);
    for (int64_t l = 0; want[l]; l++) {
        char name[64], digit[2] = { want[l], 0 }, type[32];
        snprintf(name, sizeof name, "blk.%d.%s.weight", (int)l, suffix);
        const rb_gguf_tensor *t = rb_gguf_find_tensor(&b, name);
        cr_assert(t, "%s", name);
        snprintf(type, sizeof type, *digit == '8' ? "q8_0" : "q%s_K", digit);
        cr_assert_str_eq(rb_dtype_get(t->dtype)->name, type, "%s", name);
    }
    rb_gguf_close(&b);
}

typedef struct mix_case {
    const char *type;
    int64_t file_type;
    const char *attn_v, *ffn_down, *attn_output, *others;
    rb_dtype base;
} mix_case;

static void check_mix(const mix_case *m, const char *head)
{
    converted_as(m->type);
    rb_gguf b = open_directory(convert_out);
    cr_assert_eq(rb_gguf_find_kv(&b, "general.file_type")->integer, m->file_type);
    rb_gguf_close(&b);
    expect_layers("attn_v", m->attn_v);
    expect_layers("ffn_down", m->ffn_down);
    expect_layers("attn_output", m->attn_output);
    expect_layers("attn_q", m->others);
    expect_layers("attn_k", m->others);
    expect_layers("ffn_gate", m->others);
    expect_layers("ffn_up", m->others);
    expect_type(head, RB_Q6_K);
    if (strcmp(head, "token_embd.weight") != 0)
        expect_type("token_embd.weight", m->base);
}

/* As llama.cpp's own program has them. */
Test(mix, mixes_spend_bits_where_they_count)
{
    static const mix_case mixes[] = {
        { "q3_k_s", 11, "333333333333", "333333333333", "333333333333", "333333333333", RB_Q3_K },
        { "q3_k_m", 12, "554444444444", "444444444444", "444444444444", "333333333333", RB_Q3_K },
        { "q4_k_s", 14, "555544444444", "544444444444", "444444444444", "444444444444", RB_Q4_K },
        { "Q4_K_M", 15, "644644644666", "644644644666", "444444444444", "444444444444", RB_Q4_K },
        { "q5_k_s", 16, "555555555555", "555555555555", "555555555555", "555555555555", RB_Q5_K },
        { "q5_K_m", 17, "655655655666", "655655655666", "555555555555", "555555555555", RB_Q5_K },
    };
    rb_config c = square_config(RB_ARCH_LLAMA, 12, 256);
    write_source(&c, RB_F16);
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++)
        check_mix(&mixes[i], "output.weight");
    c.tied = true;
    write_source(&c, RB_F16);
    check_mix(&mixes[2], "token_embd.weight");
}

Test(mix, the_first_sixteenth_of_many_layers)
{
    rb_config c = square_config(RB_ARCH_LLAMA, 32, 256);
    c.n_ff = 32;
    write_source(&c, RB_F16);
    converted_as("q3_k_m"); /* rows of ffn_down are too short for q5_K and q4_K, and fall back */
    rb_gguf b = open_directory(convert_out);
    for (int l = 0; l < 32; l++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%d.ffn_down.weight", l);
        cr_assert_eq(rb_gguf_find_tensor(&b, name)->dtype, l < 2 ? RB_Q5_1 : RB_Q5_0, "%s", name);
    }
    rb_gguf_close(&b);
}

Test(mix, eight_experts_have_attention_in_more_bits)
{
    rb_config c = square_config(RB_ARCH_LLAMA, 8, 256);
    static const struct {
        const char *suffix, *of_4, *of_8;
    } want[] = {
        { "attn_v", "64464466", "88888888" },        { "attn_k", "44444444", "88888888" },
        { "attn_q", "44444444", "44444444" },        { "attn_output", "44444444", "55555555" },
        { "ffn_down_exps", "64464466", "64464466" }, { "ffn_up_exps", "44444444", "44444444" },
    };
    c.n_expert_used = 2;
    c.n_ff_expert = 256;
    c.expert_scale = 1;
    for (int n_expert = 4; n_expert <= 8; n_expert += 4) {
        c.n_expert = n_expert;
        write_source(&c, RB_F16);
        converted_as("q4_k_m");
        for (size_t i = 0; i < sizeof want / sizeof *want; i++)
            expect_layers(want[i].suffix, n_expert == 8 ? want[i].of_8 : want[i].of_4);
        expect_type("blk.3.ffn_gate_inp.weight", RB_F32);
    }
}

Test(mix, fused_attention_counts_as_v)
{
    rb_config c = square_config(RB_ARCH_GPTNEOX, 8, 256);
    c.n_head_kv = c.n_head;
    write_source(&c, RB_F16);
    converted_as("q4_k_m");
    expect_layers("attn_qkv", "64464466");
    expect_layers("ffn_down", "64464466");
}

Test(mix, few_heads_of_v_in_a_big_model)
{
    cr_assert(rb_mix_wide_gqa("llama", 80, 64, 8));
    cr_assert_not(rb_mix_wide_gqa("llama", 80, 64, 64));
    cr_assert_not(rb_mix_wide_gqa("llama", 32, 64, 8));
    cr_assert(rb_mix_wide_gqa("qwen2", 80, 64, 64));
    rb_mixer m = { .mix = rb_mix_by_name("q4_k_m"),
                   .model = { .n_layer = 80, .n_attn_v = 80, .wide_gqa = true } };
    for (int l = 0; l < 80; l++) {
        const bool more = l < 10 || l >= 70 || (l - 10) % 3 == 2;
        cr_assert_eq(rb_mixer_next(&m, "blk.0.attn_v.weight", l, 256), more ? RB_Q6_K : RB_Q5_K);
        cr_assert_eq(rb_mixer_next(&m, "blk.0.ffn_down.weight", l, 256), more ? RB_Q6_K : RB_Q4_K);
    }
}
