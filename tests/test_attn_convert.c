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
    rb_session *s = vector_session(m, attn, RB_ISA_SCALAR, 2, false);
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

/* Largest difference over the largest of b. */
static double off_by(const float *a, const float *b, int64_t n)
{
    double most = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        most = d <= most ? most : d;
        size = fmax(size, fabs((double)b[i]));
    }
    return most / size;
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
            const double d = off_by(got, want, n);
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
