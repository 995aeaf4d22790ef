/* Conversions of attention: what is exact leaves the logits of every vector model alone, what is
 * not computes what its new weights say, and everything else of a model is the same.
 * How much is lost is test_attn_loss.c's. Read next: ../models/attn_convert.h, ref_attn.h. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref_attn.h"
#include "vectors.h"

enum { N_TOK = N_VECTOR_PROMPT + 3 };

static rb_attn_form form_of(const char *text)
{
    rb_attn_form f;
    rb_error err;
    cr_assert_eq(rb_attn_form_parse(&f, text, &err), RB_OK, "%s", err.text);
    return f;
}

static rb_model *convert(const rb_model *from, const char *text)
{
    const rb_attn_form f = form_of(text);
    rb_model *m;
    rb_error err;
    cr_assert_eq(rb_attn_convert(&m, from, &f, NULL, &err), RB_OK, "%s: %s", text, err.text);
    return m;
}

static void tokens_of(const json_t *v, int32_t *ids)
{
    vector_tokens(v, "prompt", ids, N_VECTOR_PROMPT);
    vector_tokens(v, "forced_decode_tokens", ids + N_VECTOR_PROMPT, 3);
}

/* Logits of all tokens, fed in chunks. */
static float *logits_of(const rb_model *m, rb_attn attn, const int32_t *ids, int64_t chunk)
{
    const int64_t n_vocab = m->config.n_vocab;
    rb_session *s = vector_session(m, attn, RB_ISA_SCALAR, 1, false);
    float *all = malloc((size_t)(N_TOK * n_vocab) * sizeof *all);
    rb_error err;
    for (int64_t t = 0; t < N_TOK; t += chunk) {
        const int64_t n = chunk < N_TOK - t ? chunk : N_TOK - t;
        cr_assert_eq(rb_session_run(s, RB_PREFILL, ids + t, n, true, &err), RB_OK, "%s", err.text);
        memcpy(all + t * n_vocab, rb_session_logits(s), (size_t)(n * n_vocab) * sizeof *all);
    }
    rb_session_close(s);
    return all;
}

/* ---- exact forms ---- */

static void expect_same_logits(const char *vector, const rb_model *m, const char *form,
                               const int32_t *ids)
{
    rb_model *to = convert(m, form);
    const int64_t n = N_TOK * m->config.n_vocab;
    float *want = logits_of(m, RB_ATTN_OWN, ids, N_TOK);
    rb_attn attn;
    cr_expect(to->attn.converted && to->attn.exact, "%s %s", vector, form);
    for (int o = 0; (attn = vector_order(to, o)) < RB_N_ATTN; o++)
        for (int64_t chunk = 1; chunk <= N_TOK; chunk += 3) {
            float *got = logits_of(to, attn, ids, chunk);
            const double d = vector_off_by(got, want, n);
            cr_expect_leq(d, 1e-5, "%s, %s as %s, chunks of %d: off by %g", vector, form,
                          rb_attn_name(&to->config, attn), (int)chunk, d);
            free(got);
        }
    free(want);
    rb_model_close(to);
}

/* lrkv:R where nothing is lost. */
static const char *late_form(const rb_config *c, char *buf, size_t size)
{
    const int64_t columns = c->n_head_kv * (c->d_head_k + c->d_head_v);
    const int64_t input = c->n_embd + (c->qkv_bias || c->linear_bias);
    snprintf(buf, size, "lrkv:%d", (int)(columns < input ? columns : input));
    return buf;
}

static const char *joint_form(const rb_config *c, char *buf, size_t size)
{
    const int64_t d_rot = c->n_head_kv * c->d_rot, input = c->n_embd + c->qkv_bias + c->linear_bias;
    const int64_t columns = c->n_head_kv * (c->d_head_k + c->d_head_v) - d_rot;
    snprintf(buf, size, "mla:%d:%d", (int)(columns < input ? columns : input), (int)d_rot);
    return buf;
}

Test(attn_convert, exact_forms_leave_logits_alone)
{
    int n = 0;
    for (int i = 0; i < N_VECTOR; i++) {
        json_t *v;
        rb_model *m = vector_model(vector_name[i], &v);
        char text[48];
        int32_t ids[N_TOK];
        tokens_of(v, ids);
        if (!rb_config_is_mla(&m->config)) {
            expect_same_logits(vector_name[i], m, "mha", ids);
            expect_same_logits(vector_name[i], m, "mla", ids);
            expect_same_logits(vector_name[i], m, late_form(&m->config, text, sizeof text), ids);
            if (!m->config.qk_norm)
                expect_same_logits(vector_name[i], m, joint_form(&m->config, text, sizeof text),
                                   ids);
            n++;
        }
        rb_model_close(m);
        json_decref(v);
    }
    cr_expect_eq(n, 10);
}

/* ---- the others compute what their weights say ---- */

/* Dense models, whose whole forward pass is short enough to be written twice. */
static const char *const dense[] = { "gqa_llama",         "gqa_llama3_ropefreqs",
                                     "mha_llama",         "qwen2_bias",
                                     "qwen3_qknorm",      "gptneox_parallel",
                                     "gptneox_sequential" };
enum { N_DENSE = sizeof dense / sizeof *dense };

static void expect_reference(const char *vector, const rb_model *m, const char *form,
                             const int32_t *ids)
{
    const int64_t n = N_TOK * m->config.n_vocab;
    double *want = malloc((size_t)n * sizeof *want), most = 0, size = 0;
    rb_attn attn;
    ref_forward(m, ids, N_TOK, want);
    for (int o = 0; (attn = vector_order(m, o)) < RB_N_ATTN; o++) {
        float *got = logits_of(m, attn, ids, 3);
        for (int64_t i = 0; i < n; i++) {
            most = fmax(most, fabs((double)got[i] - want[i]));
            size = fmax(size, fabs(want[i]));
        }
        free(got);
        cr_expect_leq(most, 1e-5 * size, "%s, %s as %s: off by %g", vector, form,
                      rb_attn_name(&m->config, attn), most);
    }
    free(want);
}

Test(attn_convert, lossy_forms_compute_what_their_weights_say)
{
    static const char *const forms[] = { "mqa",      "gqa:2", "gva:2",  "gva:1",   "gha:2",
                                         "mla:12:4", "mla:8", "lrkv:9", "lrkv:16", "gha:4" };
    int n = 0;
    for (int i = 0; i < N_DENSE; i++) {
        json_t *v;
        rb_model *m = vector_model(dense[i], &v);
        int32_t ids[N_TOK];
        tokens_of(v, ids);
        expect_reference(dense[i], m, "itself", ids);
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
            if (m->config.qk_norm && strncmp(forms[f], "mla:", 4) == 0)
                continue;
            rb_model *to = convert(m, forms[f]);
            expect_reference(dense[i], to, forms[f], ids);
            rb_model_close(to);
            n++;
        }
        rb_model_close(m);
        json_decref(v);
    }
    cr_expect_eq(n, N_DENSE * 10 - 2);
}

/* No weights convert to it: synthetic ones do. */
Test(attn_convert, grouped_tied_attention_computes_what_its_weights_say)
{
    static const int32_t ids[N_TOK] = { 3, 17, 5, 32, 11, 7, 29, 0 };
    static const rb_arch arch[] = { RB_ARCH_LLAMA, RB_ARCH_QWEN2, RB_ARCH_QWEN3 };
    for (int i = 0; i < 3; i++) {
        rb_config c = small_config(arch[i]);
        rb_model *m;
        rb_error err;
        c.n_head_kv = 2;
        c.n_head_v = 1;
        c.d_head_v = 32;
        c.d_value_up = 24;
        cr_assert_eq(rb_model_synth(&m, &c, RB_F32, 1, false, &err), RB_OK, "%s", err.text);
        cr_expect_str_eq(rb_attn_name(&m->config, RB_ATTN_OWN), "gta");
        expect_reference(rb_arch_name[arch[i]], m, "gta", ids);
        rb_model_close(m);
    }
}

/* What is made of a model in that shape computes what its weights say too. */
Test(attn_convert, made_up_weights_are_run_as_any)
{
    static const int32_t ids[N_TOK] = { 3, 17, 5, 32, 11, 7, 29, 0 };
    static const rb_arch arch[] = { RB_ARCH_LLAMA, RB_ARCH_QWEN2, RB_ARCH_QWEN3 };
    for (int i = 0; i < 3; i++) {
        rb_config c = small_config(arch[i]);
        rb_model *m, *to;
        rb_error err;
        c.n_head = 8;
        cr_assert_eq(rb_model_synth(&m, &c, RB_F32, 1, false, &err), RB_OK, "%s", err.text);
        to = convert(m, "gta");
        cr_expect_eq(to->config.n_head, 2);
        expect_reference(rb_arch_name[arch[i]], to, "gta", ids);
        rb_model_close(to);
        rb_model_close(m);
    }
}

/* ---- means of equal heads are these heads ---- */

/* Head i of a matrix becomes its head of(i). */
static void repeat_heads(const rb_view *w, int64_t n_head, int64_t n, bool apart)
{
    const int64_t bytes = (int64_t)w->buffer->bytes / n_head;
    char *at = w->buffer->data;
    for (int64_t i = 0; i < n_head; i++)
        memmove(at + i * bytes, at + (apart ? i % n : i / (n_head / n) * (n_head / n)) * bytes,
                (size_t)bytes);
}

/* A form whose groups of heads are equal in the source loses nothing: groups are where the paper
 * has them, and so are the columns of W_o. */
static void expect_lossless(const char *form, int64_t n, bool maps, bool values, bool apart)
{
    static const int32_t ids[N_TOK] = { 3, 17, 5, 42, 11, 7, 29, 0 };
    rb_config c = small_config(RB_ARCH_LLAMA);
    rb_model *m, *to;
    rb_error err;
    const int64_t n_head = c.n_head = c.n_head_kv = 8;
    c.n_vocab = 48;
    cr_assert_eq(rb_model_synth(&m, &c, RB_F32, 1, false, &err), RB_OK, "%s", err.text);
    for (int64_t l = 0; l < m->config.n_layer; l++) {
        if (maps)
            repeat_heads(&m->layer[l].wq, n_head, n, false);
        repeat_heads(&m->layer[l].wk, n_head, n, false);
        if (values)
            repeat_heads(&m->layer[l].wv, n_head, n, apart);
    }
    to = convert(m, form);
    float *want = logits_of(m, RB_ATTN_OWN, ids, N_TOK), *got = logits_of(to, RB_ATTN_OWN, ids, 3);
    const double d = vector_off_by(got, want, N_TOK * m->config.n_vocab);
    cr_expect_leq(d, 1e-5, "%s: off by %g", form, d);
    free(want);
    free(got);
    rb_model_close(to);
    rb_model_close(m);
}

Test(attn_convert, means_of_equal_heads_are_these_heads)
{
    expect_lossless("gqa:2", 2, false, true, false);
    expect_lossless("mqa", 1, false, true, false);
    expect_lossless("gva:2", 2, true, false, false);
    expect_lossless("gva:1", 1, true, false, false);
    expect_lossless("gha:4", 4, true, true, true);
    expect_lossless("gha:8", 8, true, true, true);
}

/* ---- what is copied, and types ---- */

static bool same_row(const rb_view *a, int64_t i, const rb_view *b, int64_t j)
{
    return a->dtype == b->dtype && a->n[3] == b->n[3] &&
           memcmp(rb_at(a, 0, 0, i), rb_at(b, 0, 0, j), (size_t)rb_row_bytes(a->dtype, a->n[3])) ==
               0;
}

static rb_model *quantised(rb_arch arch, const char *mix, bool dry)
{
    rb_config c = small_config(arch);
    rb_model *m;
    rb_error err;
    c.n_embd = c.n_ff = 256;
    c.d_head_k = c.d_head_v = c.d_rot = 64;
    cr_assert_eq(rb_model_synth_mix(&m, &c, rb_mix_by_name(mix), 1, dry, &err), RB_OK, "%s",
                 err.text);
    return m;
}

Test(attn_convert, rows_of_quantised_heads_are_copied_bit_for_bit)
{
    static const char *const types[] = { "q4_0", "q6_k", "q8_0", "bf16" };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        rb_model *m = quantised(RB_ARCH_QWEN2, types[i], false), *to = convert(m, "mha");
        const rb_layer *a = &m->layer[1], *b = &to->layer[1];
        for (int64_t r = 0; r < 256; r++) {
            cr_assert(same_row(&b->wk, r, &a->wk, r / 128 * 64 + r % 64), "%s k %d", types[i],
                      (int)r);
            cr_assert(same_row(&b->wv, r, &a->wv, r / 128 * 64 + r % 64), "%s v %d", types[i],
                      (int)r);
            cr_assert(same_row(&b->wq, r, &a->wq, r) && same_row(&b->wo, r, &a->wo, r));
            cr_assert(((float *)b->bk.buffer->data)[r] ==
                      ((float *)a->bk.buffer->data)[r / 128 * 64 + r % 64]);
        }
        cr_expect(to->attn.exact && to->attn.n_refit == 0);
        rb_model_close(to);
        to = convert(m, "mla");
        for (int64_t r = 0; r < 128; r++)
            cr_assert(same_row(&to->layer[0].wkv_a, 128 + r, &m->layer[0].wk, r), "%s mla %d",
                      types[i], (int)r);
        cr_expect(to->attn.exact);
        rb_model_close(to);
        rb_model_close(m);
    }
}

/* Rows of 64 and of 96 columns are no blocks of 256: f16, and told. */
Test(attn_convert, rows_that_fit_no_block_become_f16)
{
    rb_model *m = quantised(RB_ARCH_LLAMA, "q4_k", false), *to = convert(m, "lrkv:96");
    cr_expect_eq(m->layer[0].wk.dtype, RB_Q4_K);
    cr_expect_eq(to->layer[0].wkv_a.dtype, RB_Q4_K);
    cr_expect_eq(to->layer[0].wkv_b.dtype, RB_F16);
    cr_expect_eq(to->attn.n_refit, 2);
    cr_expect_str_eq(to->attn.refit, "blk.0.attn_kv_b.weight");
    cr_expect(!to->attn.exact);
    rb_model_close(to);
    to = convert(m, "lrkv:256"); /* nothing is lost: a choice of K and V themselves */
    cr_expect(to->attn.exact);
    cr_expect_eq(to->layer[0].wkv_b.dtype, RB_F16, "zeros and ones");
    rb_model_close(to);
    rb_model_close(m);
}

static uint64_t sum_of(const rb_view *v)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; v->buffer && i < v->buffer->bytes; i++)
        h = (h ^ ((const uint8_t *)v->buffer->data)[i]) * 1099511628211u;
    return h;
}

Test(attn_convert, the_rest_is_the_same_and_lives_on)
{
    json_t *v;
    rb_model *m = vector_model("moe_qwen3moe", &v), *to = convert(m, "mqa");
    const uint64_t embd = sum_of(&m->tok_embd), down = sum_of(&m->layer[1].down_exps);
    const uint64_t norm = sum_of(&m->layer[1].attn_norm), gate = sum_of(&m->layer[1].gate_exps);
    rb_model_close(m);
    cr_expect_eq(sum_of(&to->tok_embd), embd);
    cr_expect_eq(sum_of(&to->layer[1].down_exps), down);
    cr_expect_eq(sum_of(&to->layer[1].attn_norm), norm);
    cr_expect_eq(sum_of(&to->layer[1].gate_exps), gate);
    cr_expect_eq(to->config.n_head_kv, 1);
    rb_model_close(to);
    json_decref(v);
}

/* ---- dry models ---- */

static const char *const all_forms[] = { "mha",       "gqa:2",   "mqa",      "mla",   "mla:32",
                                         "mla:96:16", "lrkv:64", "lrkv:128", "gva:2", "gha:2" };
enum { N_ALL = sizeof all_forms / sizeof *all_forms };

Test(attn_convert, dry_models_get_the_same_shapes)
{
    for (int i = 0; i < N_ALL; i++)
        for (int k = 0; k < 2; k++) {
            const rb_arch arch = k ? RB_ARCH_QWEN2 : RB_ARCH_GPTNEOX;
            rb_model *m = quantised(arch, "q4_k_m", false), *dry = quantised(arch, "q4_k_m", true);
            rb_model *a = convert(m, all_forms[i]), *b = convert(dry, all_forms[i]);
            cr_expect_null(b->tok_embd.buffer->data);
            cr_expect_eq(a->n_params, b->n_params);
            cr_expect_eq(a->attn.exact, b->attn.exact, "%s", all_forms[i]);
            cr_expect_eq(a->attn.n_refit, b->attn.n_refit);
            cr_expect_arr_eq(a->bytes_of, b->bytes_of, sizeof a->bytes_of);
            rb_model_close(a);
            rb_model_close(b);
            rb_model_close(m);
            rb_model_close(dry);
        }
}

/* ---- GTA ---- */

/* A quarter of the heads are maps, or what comes next; one K head, one value of twice its width. */
Test(attn_convert, gta_has_the_proportions_of_its_paper)
{
    static const struct {
        const char *preset;
        int64_t n_map, up;
    } cases[] = { { "llama3.2-1b", 8, 256 },   { "smollm2-1.7b", 8, 256 },
                  { "smollm2-135m", 3, 192 },  { "smollm2-360m", 5, 192 },
                  { "qwen2.5-0.5b", 2, 448 },  { "tiny", 1, 64 },
                  { "llama3.1-70b", 16, 512 }, { "qwen2.5-1.5b", 3, 512 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const rb_config *c = rb_preset_find(cases[i].preset);
        const rb_attn_form f = form_of("gta");
        rb_config to;
        rb_error err;
        cr_assert_eq(rb_attn_form_config(&to, c, &f, &err), RB_OK, "%s", err.text);
        cr_expect_eq(to.n_head, cases[i].n_map, "%s: %d maps", c->name, (int)to.n_head);
        cr_expect_eq(to.d_value_up, cases[i].up, "%s", c->name);
        cr_expect(to.n_head_kv == 1 && to.n_head_v == 1 && to.d_head_k == c->d_head_k);
        cr_expect_eq(to.d_head_v, 2 * c->d_head_k);
        cr_expect(to.n_embd == c->n_embd && to.qkv_bias);
        cr_expect_not(rb_attn_form_is_exact(c, &f));
    }
    rb_config c = small_config(RB_ARCH_LLAMA), to;
    const rb_attn_form f = form_of("gta");
    rb_error err;
    for (c.n_head = c.n_head_kv = 1; c.n_head < 4; c.n_head_kv = ++c.n_head) {
        cr_assert_eq(rb_attn_form_config(&to, &c, &f, &err), RB_OK, "%s", err.text);
        cr_expect_eq(to.n_head, 1, "few heads are one map");
    }
}

static bool has_values(const rb_view *v)
{
    const char *at = v->buffer->data;
    return memcmp(at, at + 1, v->buffer->bytes - 1) != 0;
}

Test(attn_convert, gta_is_made_up_and_all_else_is_the_models)
{
    rb_model *m = quantised(RB_ARCH_QWEN2, "q4_k_m", false), *a = convert(m, "gta");
    rb_model *dry = quantised(RB_ARCH_QWEN2, "q4_k_m", true), *b = convert(dry, "gta");
    rb_model *again = convert(m, "gta");
    cr_expect(a->attn.synthetic && b->attn.synthetic && !a->attn.exact && !b->attn.exact);
    cr_expect_eq(a->n_params, b->n_params);
    cr_expect_arr_eq(a->bytes_of, b->bytes_of, sizeof a->bytes_of);
    for (int64_t l = 0; l < m->config.n_layer; l++) {
        const rb_layer *x = &a->layer[l], *y = &again->layer[l], *z = &m->layer[l];
        cr_expect_eq(sum_of(&x->w_down), sum_of(&z->w_down));
        cr_expect_eq(sum_of(&x->attn_norm), sum_of(&z->attn_norm));
        cr_expect_eq(x->wq.dtype, z->wq.dtype);
        cr_expect(has_values(&x->wq) && has_values(&x->wk) && has_values(&x->wv) &&
                  has_values(&x->wo) && has_values(&x->wv_b) && has_values(&x->w_attn_gate) &&
                  has_values(&x->bq) && has_values(&x->b_attn_gate));
        cr_expect_eq(sum_of(&x->wq), sum_of(&y->wq), "seeded");
        cr_expect_eq(sum_of(&x->w_attn_gate), sum_of(&y->w_attn_gate), "seeded");
        cr_expect_eq(sum_of(&x->b_attn_gate), sum_of(&y->b_attn_gate), "seeded");
    }
    rb_model_close(a);
    rb_model_close(b);
    rb_model_close(again);
    rb_model_close(m);
    rb_model_close(dry);
}

/* ---- refusals ---- */

static void expect_text_refused(const char *text)
{
    rb_attn_form f;
    rb_error err = { 0 };
    cr_expect_eq(rb_attn_form_parse(&f, text, &err), RB_ERR_ARGUMENT, "'%s' passed", text);
    cr_expect(strstr(err.text, "gqa:G"), "%s", err.text);
}

Test(attn_convert, forms_are_spelled_in_one_way)
{
    static const char *const bad[] = {
        "",        "MHA",    "mha:2",   "gqa",    "gqa:",      "gqa:0",  "gqa:-1",
        "gqa:2:3", "gqa: 2", "mla:",    "mla:8:", "mla:8:2:1", "lrkv",   "lrkv:x",
        "gta:1",   "gqa:2x", "mla:8,2", "mlah",   "gva",       "gha:+2", "gqa:99999999999999999999",
        "mqa "
    };
    static const char *const good[] = { "mha",       "gqa:2",  "mqa",   "mla",    "mla:64",
                                        "mla:64:16", "lrkv:7", "gva:1", "gha:12", "gta" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_text_refused(bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[48];
        const rb_attn_form f = form_of(good[i]);
        cr_expect_str_eq(rb_attn_form_text(&f, text, sizeof text), good[i]);
    }
}

Test(attn_convert, forms_that_a_model_cannot_take_are_refused)
{
    static const struct {
        rb_arch arch;
        int n_head;
        const char *form, *why;
    } cases[] = {
        { RB_ARCH_LLAMA, 6, "gqa:3", "2 heads of K and V are neither replicated nor pooled to 3" },
        { RB_ARCH_LLAMA, 0, "gqa:3", "4 heads are no multiple of 3" },
        { RB_ARCH_LLAMA, 0, "gqa:8", "4 heads are no multiple of 8" },
        { RB_ARCH_PLM, 0, "gta", "latent already" },
        { RB_ARCH_GPTNEOX, 0, "gta", "q, k and v are one matrix" },
        { RB_ARCH_LLAMA, 0, "lrkv:65", "the rank is 64 at most" },
        { RB_ARCH_QWEN2, 0, "lrkv:66", "the rank is 64 at most" },
        { RB_ARCH_GPTNEOX, 0, "lrkv:66", "the rank is 65 at most" },
        { RB_ARCH_LLAMA, 0, "mla:57:8", "the rank is 56 at most" },
        { RB_ARCH_LLAMA, 0, "mla:8:34", "d_r is an even number, 32 at most" },
        { RB_ARCH_LLAMA, 0, "mla:8:7", "d_r is an even number" },
        { RB_ARCH_QWEN3, 0, "mla:8", "norm of every K head stands between W_k and the rotation" },
        { RB_ARCH_LLAMA, 0, "gva:3", "4 heads are no multiple of 3" },
        { RB_ARCH_LLAMA, 0, "gha:1", "make no 4 different pairs" },
        { RB_ARCH_PLM, 0, "mha", "mla-naive-full" },
        { RB_ARCH_DEEPSEEK2, 0, "mqa", "mla-absorbed" },
        { RB_ARCH_PLM, 0, "mla:8", "the norm of its latent" },
        { RB_ARCH_PLM, 0, "gqa:2", "the order mla-absorbed runs it as MQA" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rb_config c = small_config(cases[i].arch);
        const rb_attn_form f = form_of(cases[i].form);
        c.n_head = cases[i].n_head ? cases[i].n_head : c.n_head;
        rb_config to;
        rb_error err = { 0 };
        cr_expect_eq(rb_attn_form_config(&to, &c, &f, &err), RB_ERR_UNSUPPORTED, "%s of %s",
                     cases[i].form, rb_arch_name[cases[i].arch]);
        cr_expect(strstr(err.text, cases[i].why), "%s of %s: %s", cases[i].form,
                  rb_arch_name[cases[i].arch], err.text);
        cr_expect_null(strchr(err.text, '\n'));
    }
}

Test(attn_convert, neither_packed_nor_converted_models_nor_wild_weights_are_converted)
{
    const rb_attn_form f = form_of("mqa");
    rb_model *m = quantised(RB_ARCH_LLAMA, "q8_0", false), *to, *again;
    rb_error err = { 0 };
    to = convert(m, "lrkv:64");
    cr_expect_eq(rb_attn_convert(&again, to, &f, NULL, &err), RB_ERR_UNSUPPORTED);
    cr_expect(strstr(err.text, "converted before"), "%s", err.text);
    rb_model_close(to);
    cr_assert_eq(rb_model_pack(m, &err), RB_OK);
    cr_expect_eq(rb_attn_convert(&to, m, &f, NULL, &err), RB_ERR_ARGUMENT);
    cr_expect(strstr(err.text, "packed"), "%s", err.text);
    rb_model_close(m);
    json_t *v;
    m = vector_model("gqa_llama", &v);
    ((float *)m->layer[1].wk.buffer->data)[5] = NAN;
    cr_expect_eq(rb_attn_convert(&to, m, &f, NULL, &err), RB_ERR_FORMAT);
    cr_expect(strstr(err.text, "not finite"), "%s", err.text);
    cr_expect_null(to);
    rb_model_close(m);
    json_decref(v);
}
