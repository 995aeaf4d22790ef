/* Folders of config.json and safetensors: logits of those that transformers wrote, the GGUF files
 * that become of them, dry models, plm from its reference vector, and what config.json may say.
 * Read next: hf_files.h, test_hf_hostile.c. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hf_files.h"
#include "vectors.h"

static rb_model *open_model(const char *path, bool dry)
{
    rb_model *m;
    rb_error err = { 0 };
    cr_assert_eq(rb_model_open(&m, path, &(rb_model_params){ .dry = dry }, &err), RB_OK, "%s",
                 err.text);
    return m;
}

/* ---- logits ---- */

enum { N_PROMPT = 12, N_FORCED = 4, N_POS = N_PROMPT + N_FORCED };

/* Logits of all positions, to be freed: the prompt at once, then token by token. */
static float *logits_of(const rb_model *m, const int32_t *ids)
{
    const size_t n_vocab = (size_t)m->config.n_vocab;
    float *all = calloc(N_POS * n_vocab, sizeof *all);
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err = { 0 };
    p.n_ctx = p.n_logits = N_POS;
    p.type_k = p.type_v = RB_F32;
    p.act_f32 = true;
    p.gelu_erf = m->config.gelu_erf;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, N_PROMPT, true, &err), RB_OK);
    memcpy(all, rb_session_logits(s), N_PROMPT * n_vocab * sizeof *all);
    for (int i = N_PROMPT; i < N_POS; i++) {
        cr_assert_eq(rb_session_run(s, RB_DECODE, ids + i, 1, false, &err), RB_OK);
        memcpy(all + (size_t)i * n_vocab, rb_session_logits(s), n_vocab * sizeof *all);
    }
    rb_session_close(s);
    return all;
}

/* The furthest from what transformers says, of its largest. */
static double worst_of(const rb_model *m, const json_t *v)
{
    int32_t ids[N_POS];
    double off = 0, most = 0;
    const json_t *rows = json_object_get(v, "logits");
    vector_tokens(v, "prompt", ids, N_PROMPT);
    vector_tokens(v, "forced", ids + N_PROMPT, N_FORCED);
    float *got = logits_of(m, ids);
    cr_assert_eq(json_array_size(rows), N_POS);
    for (size_t i = 0; i < N_POS; i++) {
        const json_t *row = json_array_get(rows, i);
        const int64_t n = m->config.n_vocab;
        off = fmax(off, vector_worst(got + (int64_t)i * n, row, n));
        for (int64_t j = 0; j < n; j++)
            most = fmax(most, fabs(json_number_value(json_array_get(row, (size_t)j))));
    }
    free(got);
    return off / most;
}

Test(hf, logits_are_those_of_transformers)
{
    char path[256];
    for (int i = 0; i < N_HF; i++) {
        json_t *v = json_read(hf_path(hf_vector[i], "expected.json", path));
        rb_model *m = open_model(hf_path(hf_vector[i], "", path), false);
        const double off = worst_of(m, v);
        cr_expect_lt(off, 1e-5, "%s: off by %g", hf_vector[i], off);
        cr_expect_str_eq(m->config.name, hf_vector[i]);
        cr_expect_str_eq(m->format, "safetensors");
        cr_expect_eq(m->layer[0].wo.dtype, RB_BF16, "matrices stay as they are");
        cr_expect_eq(m->layer[0].attn_norm.dtype, RB_F32);
        if (m->config.n_expert)
            cr_expect_eq(m->layer[1].router.dtype, RB_F32);
        rb_model_close(m);
        json_decref(v);
    }
}

/* ---- the GGUF file of the same weights ---- */

static void check_same(const rb_model *a, const rb_model *b)
{
    cr_assert_eq(rb_tensor_count(&a->config), rb_tensor_count(&b->config));
    cr_assert_eq(a->n_params, b->n_params);
    cr_assert_arr_eq(a->bytes_of, b->bytes_of, sizeof a->bytes_of);
    for (int64_t i = 0; i < rb_tensor_count(&a->config); i++) {
        const rb_tensor t = rb_tensor_at(&a->config, i), u = rb_tensor_at(&b->config, i);
        const rb_view *x = rb_tensor_view_of(a, &t), *y = rb_tensor_view_of(b, &u);
        cr_assert_str_eq(t.name, u.name);
        cr_assert(x->dtype == y->dtype && x->buffer->bytes == y->buffer->bytes &&
                      !memcmp(x->buffer->data, y->buffer->data, x->buffer->bytes),
                  "%s", t.name);
    }
}

Test(hf, a_gguf_file_made_of_it_is_the_same_model)
{
    dir d = dir_make();
    char *gguf = dir_file(&d, "m.gguf"), path[256];
    const int32_t ids[N_POS] = { 1, 7, 39, 4, 4, 20, 11, 30, 2, 0, 17, 5, 9, 33, 1, 12 };
    for (int i = 0; i < N_HF; i++) {
        rb_error err = { 0 };
        rb_model *m = open_model(hf_path(hf_vector[i], "", path), false);
        cr_assert_eq(rb_gguf_write(m, gguf, NULL, &err), RB_OK, "%s", err.text);
        rb_model *back = open_model(gguf, false);
        check_same(m, back);
        /* Names of files are not configs; all else is. */
        cr_expect_eq(m->config.rope_pairing, back->config.rope_pairing);
        float *x = logits_of(m, ids), *y = logits_of(back, ids);
        cr_expect_arr_eq(x, y, (size_t)(N_POS * m->config.n_vocab) * sizeof *x, "%s", hf_vector[i]);
        free(x);
        free(y);
        rb_model_close(m);
        rb_model_close(back);
    }
    free(gguf);
    dir_remove(&d);
}

Test(hf, dry_models_have_no_weights)
{
    char path[256];
    for (int i = 0; i < N_HF; i++) {
        rb_model *m = open_model(hf_path(hf_vector[i], "", path), false);
        rb_model *dry = open_model(path, true);
        for (int64_t b = 0; b < dry->n_buffer; b++)
            cr_assert_null(dry->buffer[b]->data);
        cr_assert_eq(dry->n_slab, 0);
        cr_assert_eq(dry->n_params, m->n_params);
        cr_assert_arr_eq(dry->bytes_of, m->bytes_of, sizeof m->bytes_of);
        rb_model_close(m);
        rb_model_close(dry);
    }
}

Test(hf, a_type_is_for_presets)
{
    rb_model *m;
    rb_error err = { 0 };
    const rb_model_params p = { .mix = rb_mix_by_name("f16") };
    cr_assert_eq(rb_model_open(&m, "tests/vectors/hf/llama", &p, &err), RB_ERR_ARGUMENT);
    cr_assert(strstr(err.text, "a type can only be chosen for a preset"), "%s", err.text);
    cr_assert_null(m);
}

/* ---- what transformers does not have, or no longer ---- */

/* The vector's model as a folder: names from the same list, no row out of its place. */
static void write_plm(const rb_model *m, const dir *d)
{
    static const char config[] =
        "{\"model_type\":\"plm\",\"architectures\":[\"PLMForCausalLM\"],\"hidden_act\":\"relu2\","
        "\"num_hidden_layers\":%d,\"hidden_size\":%d,\"intermediate_size\":%d,\"vocab_size\":%d,"
        "\"num_attention_heads\":%d,\"max_position_embeddings\":%d,\"rms_norm_eps\":%.9g,"
        "\"rope_theta\":%.9g,\"kv_lora_rank\":%d,\"q_lora_rank\":null,\"qk_nope_head_dim\":%d,"
        "\"qk_rope_head_dim\":%d,\"v_head_dim\":%d}";
    const rb_config *c = &m->config;
    st_set *s = calloc(1, sizeof *s);
    char text[1024], name[RB_HF_NAME], *path = dir_file(d, "config.json");
    for (int64_t i = 0; i < rb_tensor_count(c); i++) {
        const rb_tensor t = rb_tensor_at(c, i);
        const rb_buffer *b = rb_tensor_view_of(m, &t)->buffer;
        const rb_hf_name *of = rb_hf_name_of(RB_HF_USUAL, t.suffix, 0);
        const int64_t shape[] = { t.rows, t.cols };
        rb_hf_name_text(RB_HF_USUAL, of, t.layer, 0, name);
        const bool matrix = rb_tensor_is_matrix(&t);
        st_add(s, name, "F32", matrix ? 2 : 1, matrix ? shape : shape + 1);
        memcpy(st_find(s, name)->data.data, b->data, b->bytes);
    }
    blob weights = st_bytes(s), b = { 0 };
    snprintf(text, sizeof text, config, (int)c->n_layer, (int)c->n_embd, (int)c->n_ff,
             (int)c->n_vocab, (int)c->n_head, (int)c->n_ctx_train, (double)c->norm_eps,
             (double)c->rope_base, (int)c->kv_lora_rank, (int)rb_config_d_nope(c), (int)c->d_rot,
             (int)c->d_head_v);
    blob_put(&b, text, strlen(text));
    blob_write(&b, path);
    free(path);
    path = dir_file(d, "model.safetensors");
    blob_write(&weights, path);
    free(path);
    blob_free(&b);
    blob_free(&weights);
    st_free(s);
}

Test(hf, plm_is_that_of_its_vector)
{
    dir d = dir_make();
    json_t *v;
    rb_model *m = vector_model("mla_plm", &v);
    write_plm(m, &d);
    rb_model *back = open_model(d.path, false);
    cr_assert_eq(back->config.arch, RB_ARCH_PLM);
    cr_assert(back->config.tied);
    cr_assert_eq(rb_score_scale(&m->config), rb_score_scale(&back->config));
    check_same(m, back);
    rb_model_close(m);
    rb_model_close(back);
    json_decref(v);
    dir_remove(&d);
}
