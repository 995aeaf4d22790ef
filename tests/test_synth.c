/* Synthesis, presets, configs by hand, extending: values against the published vectors.
 * Logits of the vectors are test_vectors.c's.
 * Read next: ../models/synth.c. */
#include "files.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The tensor of a model that a GGUF name means. */
static const rb_view *view_named(const rb_model *m, const char *name, rb_tensor *t)
{
    for (int64_t i = 0; i < rb_tensor_count(&m->config); i++) {
        *t = rb_tensor_at(&m->config, i);
        if (strcmp(t->name, name) == 0)
            return rb_tensor_view_of(m, t);
    }
    return NULL;
}

/* Every tensor of the vector has its shape here, and its first values are these. */
static void check_vector(const rb_model *m, const json_t *vector)
{
    const char *name;
    json_t *value;
    rb_tensor t;
    json_t *tensors = json_object_get(vector, "tensors");
    cr_assert_eq((int64_t)json_object_size(tensors), rb_tensor_count(&m->config));
    json_object_foreach(tensors, name, value)
    {
        cr_assert(view_named(m, name, &t), "%s", name);
        cr_assert_eq(json_integer_value(json_array_get(value, 0)), t.cols, "%s", name);
        if (json_array_size(value) > 1)
            cr_assert_eq(json_integer_value(json_array_get(value, 1)), t.rows, "%s", name);
    }
    json_object_foreach(json_object_get(vector, "weight_check"), name, value)
    {
        float row[64];
        const rb_view *v = view_named(m, name, &t);
        rb_decode_row(v->dtype, row, rb_at(v, 0, 0, 0), t.cols);
        cr_assert_eq(json_array_size(value), 3);
        for (size_t i = 0; i < 3; i++)
            cr_assert_float_eq(row[i], json_number_value(json_array_get(value, i)), 1e-10,
                               "%s[%zu]", name, i);
    }
}

Test(synth, weights_are_those_of_the_vectors)
{
    static const rb_dtype exact[] = { RB_F32, RB_F16 };
    for (size_t i = 0; i < sizeof vector_name / sizeof *vector_name; i++)
        for (int t = 0; t < 2; t++) {
            rb_config c;
            rb_model *m;
            json_t *vector = vector_read(vector_name[i], &c);
            cr_assert_eq(rb_model_synth(&m, &c, exact[t], 1, false, NULL), RB_OK);
            check_vector(m, vector);
            rb_model_close(m);
            json_decref(vector);
        }
}

Test(synth, vectors_of_a_model_have_their_ranges)
{
    rb_config c = small_config(RB_ARCH_QWEN2);
    rb_model *m;
    c.rope_freqs = true;
    cr_assert_eq(rb_model_synth(&m, &c, RB_F16, 3, false, NULL), RB_OK);
    const float *freqs = m->rope_freqs.buffer->data, *bias = m->layer[1].bk.buffer->data;
    const float *norm = m->layer[1].ffn_norm.buffer->data;
    for (int64_t i = 0; i < c.d_rot / 2; i++)
        cr_assert(freqs[i] >= 1 && freqs[i] <= 5);
    for (int64_t i = 0; i < c.n_head_kv * c.d_head_k; i++)
        cr_assert(bias[i] >= -0.25f && bias[i] < 0.25f);
    for (int64_t i = 0; i < c.n_embd; i++)
        cr_assert(norm[i] >= 0.75f && norm[i] < 1.25f);
    rb_model_close(m);
}

static bool same_bytes(const rb_view *a, const rb_view *b)
{
    return a->buffer->bytes == b->buffer->bytes &&
           memcmp(a->buffer->data, b->buffer->data, a->buffer->bytes) == 0;
}

Test(synth, the_seed_decides)
{
    rb_config c = small_config(RB_ARCH_LLAMA);
    rb_model *a, *b, *other;
    cr_assert_eq(rb_model_synth(&a, &c, RB_Q8_0, 5, false, NULL), RB_OK);
    cr_assert_eq(rb_model_synth(&b, &c, RB_Q8_0, 5, false, NULL), RB_OK);
    cr_assert_eq(rb_model_synth(&other, &c, RB_Q8_0, 6, false, NULL), RB_OK);
    cr_assert(same_bytes(&a->layer[1].wk, &b->layer[1].wk));
    cr_assert_not(same_bytes(&a->layer[1].wk, &other->layer[1].wk));
    cr_assert_not(same_bytes(&a->layer[0].wk, &a->layer[1].wk));
    rb_model_close(a);
    rb_model_close(b);
    rb_model_close(other);
}

Test(synth, every_dtype_or_its_fallback)
{
    static const rb_dtype of_narrow[RB_I32] = {
        [RB_Q2_K] = RB_IQ4_NL, [RB_Q3_K] = RB_IQ4_NL, [RB_Q4_K] = RB_Q5_0,
        [RB_Q5_K] = RB_Q5_1,   [RB_Q6_K] = RB_Q8_0,   [RB_IQ4_XS] = RB_IQ4_NL,
    };
    for (int t = 0; t < RB_I32; t++) {
        rb_config c = small_config(RB_ARCH_QWEN3);
        rb_model *m;
        const rb_dtype narrow = of_narrow[t] ? of_narrow[t] : (rb_dtype)t; /* rows of 64 */
        c.n_ff = 256;
        c.n_vocab = 16;
        cr_assert_eq(rb_model_synth(&m, &c, (rb_dtype)t, 1, false, NULL), RB_OK);
        cr_assert_eq(m->layer[0].wq.dtype, narrow);
        cr_assert_eq(m->tok_embd.dtype, narrow);
        cr_assert_eq(m->layer[0].w_down.dtype, (rb_dtype)t); /* rows of 256 */
        cr_assert_eq(m->layer[0].attn_norm.dtype, RB_F32);
        cr_assert_eq(m->layer[1].q_norm.n[3], 16);
        cr_assert_null(m->layer[1].bq.buffer);
        rb_model_close(m);
    }
    cr_assert_eq(rb_dtype_fallback(RB_Q6_K, 512), RB_Q6_K);
    cr_assert_eq(rb_dtype_fallback(RB_Q6_K, 96), RB_Q8_0);
    cr_assert_eq(rb_dtype_fallback(RB_Q6_K, 40), RB_F16);
    cr_assert_eq(rb_dtype_fallback(RB_Q4_1, 40), RB_F16);
    cr_assert_eq(rb_dtype_fallback(RB_F32, 3), RB_F32);
    rb_config c = small_config(RB_ARCH_LLAMA);
    rb_model *m;
    cr_assert_eq(rb_model_synth(&m, &c, RB_I32, 1, false, NULL), RB_ERR_ARGUMENT);
    cr_assert_null(m);
    cr_assert_eq(rb_model_synth(&m, &c, RB_NO_DTYPE, 1, false, NULL), RB_ERR_ARGUMENT);
}

/* Tensor by tensor the types of the other, and otherwise what the seed makes of them. */
Test(synth, like_another_has_its_shape_and_types)
{
    rb_config c = *rb_preset_find("tiny");
    rb_model *like, *same, *copy;
    rb_tensor t;
    c.n_embd = c.n_ff = 256;
    cr_assert_eq(rb_model_synth_mix(&like, &c, rb_mix_by_name("q4_k_m"), 1, true, NULL), RB_OK);
    cr_assert_eq(rb_model_synth_mix(&same, &c, rb_mix_by_name("q4_k_m"), 5, false, NULL), RB_OK);
    cr_assert_eq(rb_model_synth_like(&copy, like, 5, false, NULL), RB_OK);
    cr_expect_eq(copy->n_params, like->n_params);
    cr_expect_arr_eq(copy->bytes_of, like->bytes_of, sizeof copy->bytes_of);
    for (int64_t i = 0; i < rb_tensor_count(&c); i++) {
        t = rb_tensor_at(&c, i);
        const rb_view *a = rb_tensor_view_of(same, &t), *b = rb_tensor_view_of(copy, &t);
        cr_assert_eq(a->dtype, b->dtype, "%s", t.name);
        cr_assert_arr_eq(rb_at(a, 0, 0, 0), rb_at(b, 0, 0, 0),
                         (size_t)(rb_row_bytes(a->dtype, t.cols) * rb_tensor_rows(&t)));
    }
    rb_model_close(like);
    rb_model_close(same);
    rb_model_close(copy);
}

Test(synth, totals)
{
    rb_config c = small_config(RB_ARCH_LLAMA);
    rb_model *m;
    int64_t layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96;
    cr_assert_eq(rb_model_synth(&m, &c, RB_Q4_0, 1, false, NULL), RB_OK);
    cr_assert_eq((int64_t)m->n_params, 2 * 40 * 64 + 64 + 2 * (layer + 2 * 64));
    cr_assert_eq((int64_t)m->bytes_of[RB_Q4_0], (2 * 40 * 64 + 2 * layer) / 32 * 18);
    cr_assert_eq(m->bytes_of[RB_F32], 5 * 64 * 4);
    cr_assert_eq(m->bytes_of[RB_F16], 0);
    cr_assert_eq(rb_model_layer_bytes(m), layer / 32 * 18 + 2 * 64 * 4);
    rb_model_close(m);
}

Test(synth, tied_models_have_one_table)
{
    rb_config c = small_config(RB_ARCH_LLAMA);
    rb_model *m;
    c.tied = true;
    cr_assert_eq(rb_model_synth(&m, &c, RB_F16, 1, false, NULL), RB_OK);
    cr_assert_eq(m->output.buffer, m->tok_embd.buffer);
    cr_assert_eq(m->output.n[2], 40);
    rb_model_close(m);
}

Test(synth, a_dry_70b_costs_nothing)
{
    rb_model *m;
    rb_model_params p = { .dry = true };
    double start = seconds();
    cr_assert_eq(rb_model_open(&m, "llama3.1-70b", &p, NULL), RB_OK);
    cr_assert(seconds() - start < 0.5);
    cr_assert_eq(m->n_params, 70553706560u);
    for (int64_t i = 0; i < m->n_buffer; i++) {
        cr_assert_null(m->buffer[i]->data);
        cr_assert(m->buffer[i]->bytes > 0);
    }
    cr_assert_eq(rb_model_extend(m, 128, NULL), RB_OK);
    cr_assert_eq(m->n_layer_alloc, 128);
    cr_assert_null(m->layer[127].wq.buffer->data);
    cr_assert_eq(m->layer[127].wq.buffer->bytes, (size_t)2 * 8192 * 8192);
    rb_model_close(m);
    rb_model_close(NULL);
}

Test(synth, extending_copies_the_last_layer_into_its_own_memory)
{
    rb_config c = small_config(RB_ARCH_QWEN2);
    rb_model *m;
    rb_error err;
    cr_assert_eq(rb_model_synth(&m, &c, RB_Q5_1, 1, false, NULL), RB_OK);
    uint64_t params = m->n_params;
    cr_assert_eq(rb_model_extend(m, 5, NULL), RB_OK);
    cr_assert_eq(m->n_layer_alloc, 5);
    cr_assert_eq(m->config.n_layer, 2);
    cr_assert_eq(m->n_params, params, "the totals are the file's own");
    for (int i = 2; i < 5; i++) {
        const rb_view *from = (const rb_view *)&m->layer[1], *to = (const rb_view *)&m->layer[i];
        for (size_t v = 0; v < sizeof(rb_layer) / sizeof(rb_view); v++) {
            cr_assert_eq(!from[v].buffer, !to[v].buffer);
            if (!from[v].buffer)
                continue;
            cr_assert_neq(from[v].buffer, to[v].buffer);
            cr_assert_neq(from[v].buffer->data, to[v].buffer->data);
            cr_assert(same_bytes(&from[v], &to[v]));
            cr_assert_arr_eq(from[v].n, to[v].n, sizeof to[v].n);
        }
    }
    cr_assert_eq(rb_model_extend(m, 3, NULL), RB_OK);
    cr_assert_eq(m->n_layer_alloc, 5, "never shrinks");
    cr_assert(same_bytes(&m->layer[4].wq, &m->layer[1].wq));
    cr_assert_eq(rb_model_extend(m, 0, &err), RB_ERR_ARGUMENT);
    cr_assert_eq(rb_model_extend(m, INT64_MAX, &err), RB_ERR_ARGUMENT);
    rb_model_close(m);
}

Test(preset, all_open_and_have_the_published_sizes)
{
    static const struct {
        const char *name;
        double billions;
    } size[] = {
        { "smollm2-135m", 0.1345 }, { "smollm2-360m", 0.3618 }, { "smollm2-1.7b", 1.711 },
        { "fox1-1.6b", 1.967 },     { "llama3.2-1b", 1.236 },   { "llama3.1-8b", 8.03 },
        { "llama3.1-70b", 70.55 },  { "qwen2.5-0.5b", 0.494 },  { "qwen2.5-1.5b", 1.544 },
        { "qwen2.5-7b", 7.616 },    { "qwen3-0.6b", 0.596 },    { "qwen3-8b", 8.19 },
    };
    rb_model_params p = { .dry = true };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        rb_model *m;
        cr_assert_eq(rb_model_open(&m, size[i].name, &p, NULL), RB_OK, "%s", size[i].name);
        cr_assert_str_eq(m->format, "preset");
        cr_assert_float_eq((double)m->n_params / 1e9, size[i].billions, 0.006 * size[i].billions,
                           "%s: %g", size[i].name, (double)m->n_params / 1e9);
        rb_model_close(m);
    }
    for (int i = 0; i < rb_preset_count(); i++) {
        const rb_config *c = rb_preset_get(i);
        cr_assert_eq(rb_preset_find(c->name), c);
        cr_assert_eq(rb_config_check(c, NULL), RB_OK, "%s", c->name);
        cr_assert_eq(c->rope_pairing, rb_arch_get(c->arch)->pairing, "%s", c->name);
        cr_assert_eq(c->qkv_bias, rb_arch_get(c->arch)->qkv_bias, "%s", c->name);
        cr_assert_eq(c->qk_norm, rb_arch_get(c->arch)->qk_norm, "%s", c->name);
    }
    cr_assert_null(rb_preset_find("gpt-5"));
}

Test(preset, types_and_seeds)
{
    rb_model *m, *other;
    rb_model_params p = { .mix = rb_mix_by_name("q4_0"), .seed = 0 };
    cr_assert_eq(rb_model_open(&m, "tiny", &p, NULL), RB_OK);
    cr_assert_eq(m->layer[3].w_up.dtype, RB_Q4_0);
    p.seed = 1;
    cr_assert_eq(rb_model_open(&other, "tiny", &p, NULL), RB_OK);
    cr_assert(same_bytes(&m->layer[3].w_up, &other->layer[3].w_up), "seed 0 means seed 1");
    rb_model_close(other);
    cr_assert_eq(rb_model_open(&other, "tiny", NULL, NULL), RB_OK);
    cr_assert_eq(other->layer[3].w_up.dtype, RB_F16);
    rb_model_close(m);
    rb_model_close(other);
}

Test(config, assignments)
{
    rb_config c = *rb_preset_find("tiny");
    static const char *const good[] = { "n_layer=7",  "n_embd=96",      "n_ff=100",
                                        "n_vocab=9",  "n_head=6",       "n_head_kv=3",
                                        "d_head=10",  "d_rot=4",        "n_ctx=33",
                                        "tied=true",  "rope_base=5e5",  "norm_eps=1e-6",
                                        "arch=qwen3", "rope_freqs=true" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert_eq(rb_config_set(&c, good[i], NULL), RB_OK, "%s", good[i]);
    cr_assert_eq(c.n_layer, 7);
    cr_assert_eq(c.n_embd, 96);
    cr_assert_eq(c.n_ff, 100);
    cr_assert_eq(c.n_vocab, 9);
    cr_assert_eq(c.n_head, 6);
    cr_assert_eq(c.n_head_kv, 3);
    cr_assert_eq(c.d_head_k, 10);
    cr_assert_eq(c.d_head_v, 10);
    cr_assert_eq(c.d_rot, 4);
    cr_assert_eq(c.n_ctx_train, 33);
    cr_assert(c.tied && c.rope_freqs && c.qk_norm && !c.qkv_bias);
    cr_assert_eq(c.rope_base, 5e5f);
    cr_assert_eq(c.norm_eps, 1e-6f);
    cr_assert_eq(c.rope_pairing, RB_ROPE_NEOX);
    cr_assert_eq(rb_config_check(&c, NULL), RB_OK);
}

Test(config, bad_assignments)
{
    static const char *const bad[] = { "",
                                       "n_layer",
                                       "=3",
                                       "n_layer=",
                                       "n_layer=0",
                                       "n_layer=-1",
                                       "n_layer=3x",
                                       "n_layer= 3",
                                       "n_embd=1e3",
                                       "n_ff=99999999999999999999",
                                       "tied=yes",
                                       "rope_base=x",
                                       "norm_eps=nan",
                                       "arch=gpt",
                                       "wheels=4",
                                       "rope_base=inf" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rb_config c = *rb_preset_find("tiny"), before = c;
        rb_error err = { 0 };
        cr_assert_eq(rb_config_set(&c, bad[i], &err), RB_ERR_ARGUMENT, "'%s'", bad[i]);
        cr_assert(strlen(err.text) > 10, "'%s'", bad[i]);
        cr_assert_arr_eq(&c, &before, sizeof c, "'%s'", bad[i]);
    }
}

static void expect_bad(rb_config c, const char *word)
{
    rb_error err = { 0 };
    rb_model *m;
    cr_assert_eq(rb_config_check(&c, &err), RB_ERR_FORMAT, "%s", word);
    cr_assert(strstr(err.text, word), "%s: %s", word, err.text);
    cr_assert_eq(rb_model_synth(&m, &c, RB_F16, 1, true, NULL), RB_ERR_FORMAT);
    cr_assert_null(m);
}

#define EXPECT_BAD(field, value, word)                                                             \
    do {                                                                                           \
        rb_config bad = small_config(RB_ARCH_LLAMA);                                               \
        bad.field = (value);                                                                       \
        expect_bad(bad, word);                                                                     \
    } while (0)

Test(config, checks)
{
    rb_config ok = small_config(RB_ARCH_LLAMA);
    cr_assert_eq(rb_config_check(&ok, NULL), RB_OK);
    EXPECT_BAD(n_layer, 0, "n_layer");
    EXPECT_BAD(n_layer, RB_MAX_LAYER + 1, "n_layer");
    EXPECT_BAD(n_embd, -64, "n_embd");
    EXPECT_BAD(n_embd, INT64_MAX, "n_embd");
    EXPECT_BAD(n_ff, 0, "n_ff");
    EXPECT_BAD(n_vocab, (int64_t)1 << 40, "n_vocab");
    EXPECT_BAD(n_head, 5, "n_head_kv");
    EXPECT_BAD(n_head_kv, 0, "n_head_kv");
    EXPECT_BAD(d_head_v, 0, "d_head_v");
    EXPECT_BAD(d_rot, 3, "d_rot");
    EXPECT_BAD(d_rot, 18, "d_rot");
    EXPECT_BAD(n_ctx_train, 0, "n_ctx");
    EXPECT_BAD(norm_eps, -1, "norm_eps");
    EXPECT_BAD(norm_eps, __builtin_nanf(""), "norm_eps");
    EXPECT_BAD(norm_eps, 1, "norm_eps");
    EXPECT_BAD(rope_base, 0, "rope_base");
    EXPECT_BAD(rope_base, __builtin_inff(), "rope_base");
    EXPECT_BAD(arch, RB_N_ARCH, "architecture");
    EXPECT_BAD(parallel_residual, true, "parallel_residual");
    rb_config many =
        small_config(RB_ARCH_QWEN3MOE); /* every extent is allowed, their product is not */
    many.n_expert = 1 << 12;
    many.n_ff_expert = 1 << 22;
    many.n_embd = 1 << 10;
    expect_bad(many, "the experts of a layer");
    many.n_embd = 1 << 9;
    cr_assert_eq(rb_config_check(&many, NULL), RB_OK);
}

Test(config, names_are_cut_between_characters)
{
    rb_config c;
    char name[80];
    memset(name, 'a', 62);
    strcpy(name + 62, "\xc3\xa9t\xc3\xa9");
    rb_config_set_name(&c, name);
    cr_assert_eq(strlen(c.name), 62);
    rb_config_set_name(&c, "tab\there");
    cr_assert_str_eq(c.name, "tab?here");
}

/* A synthesised model has the types that converting it would give. */
Test(preset, mixes_are_those_of_converted_files)
{
    dir d = dir_make();
    char *from = dir_file(&d, "from"), *to = dir_file(&d, "to");
    for (int moe = 0; moe < 2; moe++) {
        rb_config c = small_config(moe ? RB_ARCH_QWEN3MOE : RB_ARCH_LLAMA);
        const rb_convert_params p = { .mix = rb_mix_by_name("q4_k_m"), .n_threads = 1 };
        rb_conversion done;
        rb_model *m, *plain, *converted;
        c.n_layer = 9;
        c.n_embd = c.n_ff = c.n_ff_expert = 256;
        cr_assert_eq(rb_model_synth_mix(&m, &c, p.mix, 1, true, NULL), RB_OK);
        cr_assert_eq(rb_model_synth(&plain, &c, RB_F16, 1, false, NULL), RB_OK);
        cr_assert_eq(rb_gguf_write(plain, from, NULL, NULL), RB_OK);
        cr_assert_eq(rb_gguf_convert(from, to, &p, &done, NULL), RB_OK);
        cr_assert_eq(rb_model_open(&converted, to, NULL, NULL), RB_OK);
        for (int64_t i = 0; i < rb_tensor_count(&c); i++) {
            const rb_tensor t = rb_tensor_at(&c, i);
            cr_assert_eq(rb_tensor_view_of(m, &t)->dtype, rb_tensor_view_of(converted, &t)->dtype,
                         "%s", t.name);
        }
        cr_assert(m->bytes_of[RB_Q6_K] > 0 && m->bytes_of[RB_Q4_K] > 0);
        rb_model_close(m);
        rb_model_close(plain);
        rb_model_close(converted);
    }
    free(from);
    free(to);
    dir_remove(&d);
}
