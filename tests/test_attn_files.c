/* Files of converted attention: they load again as they were, say what they are, and what is wrong
 * with keys and tensors of ours is refused in a line.
 * Read next: ../models/metadata.c, ../models/gguf_write.c. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../bench/bench.h"
#include "hostile.h"
#include "vectors.h"

static rb_attn_form form_of(const char *text)
{
    rb_attn_form f;
    rb_error err;
    cr_assert_eq(rb_attn_form_parse(&f, text, &err), RB_OK, "%s", err.text);
    return f;
}

static rb_model *converted(rb_arch arch, const char *text)
{
    const rb_config c = small_config(arch);
    const rb_attn_form f = form_of(text);
    rb_model *m, *to;
    rb_error err;
    cr_assert_eq(rb_model_synth(&m, &c, RB_F16, 1, false, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_attn_convert(&to, m, &f, NULL, &err), RB_OK, "%s: %s", text, err.text);
    rb_model_close(m);
    return to;
}

static const struct {
    rb_arch arch;
    const char *form;
} models[] = {
    { RB_ARCH_LLAMA, "mha" },         { RB_ARCH_QWEN2, "mqa" },
    { RB_ARCH_GPTNEOX, "gqa:2" },     { RB_ARCH_QWEN3, "mla" },
    { RB_ARCH_QWEN2, "mla:32:8" },    { RB_ARCH_GPTNEOX, "mla:32:8" },
    { RB_ARCH_QWEN2MOE, "mla:32:8" }, { RB_ARCH_LLAMA, "lrkv:32" },
    { RB_ARCH_QWEN3MOE, "lrkv:32" },  { RB_ARCH_GPTNEOX, "lrkv:64" },
    { RB_ARCH_LLAMA, "gva:2" },       { RB_ARCH_GPTNEOX, "gva:2" },
    { RB_ARCH_QWEN3, "gha:2" },       { RB_ARCH_GPTNEOX, "gha:2" },
    { RB_ARCH_QWEN2, "mla" },
};

Test(attn_files, grouped_tied_attention_loads_again)
{
    const dir d = dir_make();
    char *path = dir_file(&d, "m.gguf"), a[RB_DIGEST], b[RB_DIGEST];
    rb_config c = small_config(RB_ARCH_QWEN2);
    rb_model *m, *back;
    rb_error err;
    c.n_head_v = 1;
    c.d_value_up = 24;
    cr_assert_eq(rb_model_synth(&m, &c, RB_F16, 1, false, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_gguf_write(m, path, NULL, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_model_open(&back, path, &(rb_model_params){ 0 }, &err), RB_OK, "%s", err.text);
    cr_assert(rb_model_digest(m, a) && rb_model_digest(back, b));
    cr_expect_str_eq(a, b);
    cr_expect_not(back->attn.converted);
    rb_model_close(m);
    rb_model_close(back);
    free(path);
    dir_remove(&d);
}

Test(attn_files, load_again_as_they_were)
{
    const dir d = dir_make();
    char *path = dir_file(&d, "m.gguf");
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        rb_model *m = converted(models[i].arch, models[i].form), *back;
        char a[RB_DIGEST], b[RB_DIGEST], text[48];
        rb_error err;
        cr_assert_eq(rb_gguf_write(m, path, NULL, &err), RB_OK, "%s", err.text);
        cr_assert_eq(rb_model_open(&back, path, &(rb_model_params){ 0 }, &err), RB_OK,
                     "%s of %s: %s", models[i].form, rb_arch_name[models[i].arch], err.text);
        cr_assert(rb_model_digest(m, a) && rb_model_digest(back, b));
        cr_expect_str_eq(a, b, "%s of %s", models[i].form, rb_arch_name[models[i].arch]);
        cr_expect(back->attn.converted);
        cr_expect_eq(back->attn.exact, m->attn.exact);
        cr_expect_str_eq(rb_attn_form_text(&back->attn.form, text, sizeof text), models[i].form);
        cr_expect_str_eq(rb_attn_name(&back->config, RB_ATTN_OWN),
                         rb_attn_name(&m->config, RB_ATTN_OWN));
        rb_model_close(m);
        rb_model_close(back);
    }
    free(path);
    dir_remove(&d);
}

/* ---- keys of ours in files that are broken ---- */

/* gguf_make's llama with one key more is refused in these words. */
static void refuse_key(const char *key, uint32_t value, rb_status want, const char *words)
{
    gguf_file g = gguf_make("llama");
    gguf_kv_u32(&g, key, value);
    expect_file_refused(&g, want, words);
}

Test(attn_files, keys_that_make_no_sense_are_refused)
{
    refuse_key("rbench.attention.windows", 1, RB_ERR_UNSUPPORTED, "newer rbench");
    refuse_key("rbench.x", 1, RB_ERR_UNSUPPORTED, "'rbench.x' is not known");
    refuse_key("rbench.attention.late_rope", 1, RB_ERR_FORMAT, "latent_plain");
    refuse_key("rbench.attention.key_block_count", 2, RB_ERR_FORMAT, "latent_plain");
    refuse_key("rbench.attention.frequency_length", 8, RB_ERR_FORMAT, "latent_plain");
    refuse_key("rbench.attention.head_count_v", 3, RB_ERR_FORMAT, "n_head_v is 3");
    refuse_key("rbench.attention.kv_lora_rank", 1 << 20, RB_ERR_FORMAT, "kv_lora_rank is 1048576");
    refuse_key("rbench.attention.kv_lora_rank", 8, RB_ERR_FORMAT, "latent attention wants");
    gguf_file g = gguf_make("llama");
    gguf_kv_u32(&g, "rbench.attention.kv_lora_rank", 8);
    gguf_kv_u32(&g, "rbench.attention.late_rope", 1);
    expect_file_refused(&g, RB_ERR_FORMAT, "attn_kv_a_mqa.weight' is missing");
    g = gguf_make("llama");
    gguf_kv_f32(&g, "rbench.attention.scale", NAN);
    expect_file_refused(&g, RB_ERR_FORMAT, "attn_scale is");
    g = gguf_make("llama");
    gguf_kv_f32(&g, "rbench.attention.scale", -1);
    expect_file_refused(&g, RB_ERR_FORMAT, "attn_scale is -1");
    g = gguf_make("llama");
    gguf_kv_string(&g, "rbench.attention.form", "mha:7");
    expect_file_refused(&g, RB_ERR_UNSUPPORTED, "attention 'mha:7'");
}

Test(attn_files, pairs_that_are_none_are_refused)
{
    static const float bad[] = { -1, 8, .5f, NAN, INFINITY, 1e30f };
    const dir d = dir_make();
    char *path = dir_file(&d, "m.gguf");
    rb_model *m = converted(RB_ARCH_QWEN2, "mla:32:8"), *back;
    float *pairs = m->layer[1].rope_pairs.buffer->data;
    rb_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pairs[2] = bad[i];
        cr_assert_eq(rb_gguf_write(m, path, NULL, &err), RB_OK, "%s", err.text);
        cr_expect_eq(rb_model_open(&back, path, &(rb_model_params){ 0 }, &err), RB_ERR_FORMAT,
                     "%g passed", (double)bad[i]);
        cr_expect(strstr(err.text, "rope_pairs"), "%s", err.text);
    }
    rb_model_close(m);
    free(path);
    dir_remove(&d);
}

/* ---- files converted from files ---- */

static void expect_no_key_twice(const char *path)
{
    rb_source src;
    rb_gguf g;
    rb_error err;
    cr_assert_eq(rb_source_open(&src, path, &err), RB_OK);
    cr_assert_eq(rb_gguf_open(&g, src, path, &err), RB_OK, "%s", err.text);
    for (int64_t i = 1; i < g.n_kv; i++)
        cr_expect_str_neq(g.kv[i - 1].key, g.kv[i].key);
    rb_gguf_close(&g);
}

static rb_attn_note convert_file(const char *from, const char *to, const char *form)
{
    const rb_attn_form f = form_of(form);
    const rb_convert_params how = { .attn = &f, .n_threads = 1 };
    rb_conversion done;
    rb_error err;
    cr_assert_eq(rb_gguf_convert(from, to, &how, &done, &err), RB_OK, "%s", err.text);
    return done.attn;
}

/* Metadata that has nothing to do with attention stays byte for byte, in its order; no key comes
 * twice; and a second conversion finds the first. */
Test(attn_files, conversion_keeps_the_metadata)
{
    const dir d = dir_make();
    char *in = dir_file(&d, "in.gguf"), *out = dir_file(&d, "out.gguf");
    gguf_file g = gguf_make("llama");
    gguf_kv_string(&g, "tokenizer.chat_template", "{{ x }}");
    gguf_kv_u32(&g, "some.llama.attention.head_count", 7);
    blob b = gguf_bytes(&g);
    rb_source src;
    rb_gguf to;
    rb_error err;
    blob_write(&b, in);
    cr_expect(convert_file(in, out, "mha").exact);
    cr_assert_eq(rb_source_open(&src, out, &err), RB_OK);
    cr_assert_eq(rb_gguf_open(&to, src, out, &err), RB_OK, "%s", err.text);
    cr_expect_str_eq(rb_gguf_find_kv(&to, "tokenizer.chat_template")->text, "{{ x }}");
    cr_expect_eq(rb_gguf_find_kv(&to, "some.llama.attention.head_count")->integer, 7);
    cr_expect_eq(rb_gguf_find_kv(&to, "llama.attention.head_count_kv")->integer, 2);
    cr_expect_str_eq(rb_gguf_find_kv(&to, "rbench.attention.form")->text, "mha");
    rb_gguf_close(&to);
    cr_expect_not(convert_file(out, in, "mqa").exact);
    expect_no_key_twice(in);
    cr_expect_not(convert_file(in, out, "mha").exact, "what was lost stays lost");
    expect_no_key_twice(out);
    blob_free(&b);
    gguf_free(&g);
    free(in);
    free(out);
    dir_remove(&d);
}
