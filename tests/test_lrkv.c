/* The engine with attention that was converted: low-rank K and V rotated late, and latents without
 * a norm. However tokens are fed, in every type of cache, with neighbours, and dry.
 * What the weights should compute is test_attn_convert.c's, counts are test_oracle.c's.
 * Read next: ../engine/attn_lrkv.c. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vectors.h"

enum { N_TOK = 24, N_SEQ = 3 };

/* Heads of 32, so that every type of cache fits. Some are no conversion. */
static rb_model *converted(rb_arch arch, const char *form, bool dry)
{
    rb_config c = small_config(arch);
    rb_attn_form f;
    rb_model *m, *to;
    rb_error err;
    c.d_head_k = c.d_head_v = c.d_rot = 32;
    if (strcmp(form, "gta") == 0) { /* of synthetic weights alone */
        c.n_head_v = 1;
        c.d_value_up = 48;
        cr_assert_eq(rb_model_synth(&m, &c, RB_F32, 1, dry, &err), RB_OK, "%s", err.text);
        return m;
    }
    cr_assert_eq(rb_attn_form_parse(&f, form, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_model_synth(&m, &c, RB_F32, 1, dry, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_attn_convert(&to, m, &f, NULL, &err), RB_OK, "%s", err.text);
    rb_model_close(m);
    return to;
}

static rb_session *session_of(const rb_model *m, rb_dtype cache, int64_t n_seq, int64_t ubatch,
                              bool dry)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    p.n_seq = n_seq;
    p.n_ctx = 32;
    p.n_logits = N_TOK;
    p.n_ubatch = ubatch;
    p.type_k = p.type_v = cache;
    p.capped = p.act_f32 = true;
    p.dry = dry;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    return s;
}

static int32_t token(int seq, int t)
{
    return (seq * 11 + t * 7 + 3) % 40;
}

/* Logits of all tokens of sequence `which` of n_seq, fed in micro-batches; to be freed. */
static float *logits_of(const rb_model *m, rb_dtype cache, int n_seq, int which, int64_t ubatch)
{
    rb_session *s = session_of(m, cache, n_seq, ubatch, false);
    const int64_t n = N_TOK * m->config.n_vocab;
    float *own = malloc((size_t)n * sizeof *own);
    int32_t ids[N_SEQ * N_TOK];
    rb_error err;
    for (int i = 0; i < n_seq * N_TOK; i++)
        ids[i] = token(n_seq == 1 ? which : i / N_TOK, i % N_TOK);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, N_TOK, true, &err), RB_OK, "%s", err.text);
    memcpy(own, rb_session_logits(s) + (n_seq == 1 ? 0 : which) * n, (size_t)n * sizeof *own);
    rb_session_close(s);
    return own;
}

static const struct {
    rb_arch arch;
    const char *form;
} models[] = {
    { RB_ARCH_QWEN3, "lrkv:64" }, { RB_ARCH_QWEN2, "lrkv:32" },   { RB_ARCH_GPTNEOX, "lrkv:64" },
    { RB_ARCH_QWEN3, "mla" },     { RB_ARCH_QWEN2, "mla:32:32" }, { RB_ARCH_LLAMA, "gha:2" },
    { RB_ARCH_LLAMA, "gva:2" },   { RB_ARCH_QWEN2, "gta" },       { RB_ARCH_GPTNEOX, "mla:32:32" },
};
enum { N_MODEL = sizeof models / sizeof *models };

/* The cache is written row by row, however tokens come; at a tie of rounding the last bit of f32
 * decides, hence the room for narrow types. */
Test(lrkv, chunks_are_token_by_token_in_every_type_of_cache)
{
    static const rb_dtype types[] = { RB_F32, RB_F16, RB_BF16, RB_Q8_0, RB_Q4_0 };
    for (int i = 0; i < N_MODEL; i++) {
        rb_model *m = converted(models[i].arch, models[i].form, false);
        const int64_t n = N_TOK * m->config.n_vocab;
        float *exact = logits_of(m, RB_F32, 1, 0, N_TOK);
        for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
            float *whole = logits_of(m, types[k], 1, 0, N_TOK);
            for (int64_t ubatch = 1; ubatch < N_TOK; ubatch += 6) {
                float *parts = logits_of(m, types[k], 1, 0, ubatch);
                cr_expect_leq(vector_off_by(parts, whole, n), k ? 2e-3 : 2e-5,
                              "%s of %s, %s, by %d: %g", models[i].form,
                              rb_arch_name[models[i].arch], rb_dtype_get(types[k])->name,
                              (int)ubatch, vector_off_by(parts, whole, n));
                free(parts);
            }
            cr_expect_leq(vector_off_by(whole, exact, n), types[k] == RB_Q4_0 ? .4 : .05,
                          "%s of %s, %s: %g", models[i].form, rb_arch_name[models[i].arch],
                          rb_dtype_get(types[k])->name, vector_off_by(whole, exact, n));
            free(whole);
        }
        free(exact);
        rb_model_close(m);
    }
}

Test(lrkv, sequences_do_not_see_each_other)
{
    for (int i = 0; i < N_MODEL; i++) {
        rb_model *m = converted(models[i].arch, models[i].form, false);
        const int64_t n = N_TOK * m->config.n_vocab;
        for (int q = 0; q < N_SEQ; q++) {
            float *alone = logits_of(m, RB_F16, 1, q, 5), *with = logits_of(m, RB_F16, N_SEQ, q, 5);
            cr_expect_leq(vector_off_by(with, alone, n), 2e-5, "%s of %s, sequence %d: %g",
                          models[i].form, rb_arch_name[models[i].arch], q,
                          vector_off_by(with, alone, n));
            free(alone);
            free(with);
        }
        rb_model_close(m);
    }
}

Test(lrkv, dry_sessions_count_the_same_and_know_their_memory)
{
    for (int i = 0; i < N_MODEL; i++) {
        rb_model *m = converted(models[i].arch, models[i].form, false);
        rb_model *light = converted(models[i].arch, models[i].form, true);
        rb_session *s = session_of(m, RB_Q8_0, N_SEQ, 7, false);
        rb_session *dry = session_of(light, RB_Q8_0, N_SEQ, 7, true);
        int32_t ids[N_SEQ * N_TOK];
        rb_error err;
        for (int k = 0; k < N_SEQ * N_TOK; k++)
            ids[k] = token(k / N_TOK, k % N_TOK);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, N_TOK, false, &err), RB_OK);
        cr_assert_eq(rb_session_run(dry, RB_PREFILL, ids, N_TOK, false, &err), RB_OK);
        for (rb_site site = 0; site < RB_N_SITE; site++) {
            const rb_tally a = rb_ledger_site(rb_session_ledger(s), RB_PREFILL, site);
            const rb_tally b = rb_ledger_site(rb_session_ledger(dry), RB_PREFILL, site);
            cr_expect_eq(a.cost.flops, b.cost.flops, "%s: site %d", models[i].form, (int)site);
            cr_expect_arr_eq(a.cost.rd, b.cost.rd, sizeof a.cost.rd);
            cr_expect_arr_eq(a.cost.wr, b.cost.wr, sizeof a.cost.wr);
        }
        cr_expect_eq(rb_session_kv_bytes(s), rb_session_kv_bytes(dry));
        cr_expect_eq(rb_session_scratch_bytes(s), rb_session_scratch_bytes(dry));
        rb_session_close(s);
        rb_session_close(dry);
        rb_model_close(m);
        rb_model_close(light);
    }
}

/* R columns a token and layer, whatever heads there are; of the key beside a latent d_r more. */
Test(lrkv, caches_hold_the_latent_alone)
{
    rb_model *m = converted(RB_ARCH_GPTNEOX, "lrkv:64", true);
    rb_session *s = session_of(m, RB_F16, 1, 4, true);
    cr_expect_eq(rb_session_kv_bytes_per_token(s), 2 * 64 * 2);
    cr_expect_str_eq(rb_attn_name(&m->config, RB_ATTN_OWN), "lrkv");
    rb_session_close(s);
    rb_model_close(m);
    m = converted(RB_ARCH_QWEN2, "mla:32:16", true);
    s = session_of(m, RB_F16, 1, 4, true);
    cr_expect_eq(rb_session_kv_bytes_per_token(s), 2 * (32 + 16) * 2);
    cr_expect_str_eq(rb_attn_name(&m->config, RB_ATTN_OWN), "mla");
    rb_session_close(s);
    rb_model_close(m);
    m = converted(RB_ARCH_LLAMA, "mla", true); /* as much as the heads had */
    s = session_of(m, RB_F16, 1, 4, true);
    cr_expect_eq(rb_session_kv_bytes_per_token(s), 2 * 2 * (32 + 32) * 2);
    rb_session_close(s);
    rb_model_close(m);
}

/* Repeated layers are copies with angles of their own. */
Test(lrkv, layers_beyond_the_models_own_run)
{
    for (int i = 0; i < N_MODEL; i++) {
        rb_model *m = converted(models[i].arch, models[i].form, false);
        rb_session_params p = rb_session_defaults();
        rb_session *s;
        rb_error err;
        const int32_t ids[] = { 1, 2, 3 };
        cr_assert_eq(rb_model_extend(m, 5, &err), RB_OK);
        p.n_layer = 5;
        p.n_ctx = 8;
        cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, 3, false, &err), RB_OK);
        cr_expect(isfinite(rb_session_logits(s)[0]));
        rb_session_close(s);
        rb_model_close(m);
    }
}
