/* What the orders of latent attention are for, beside plain attention: operational intensities of
 * the core as exact rationals, cache per token, memory in use; that orders agree; and that the
 * choice among them is COUNTING's break-even. Read next: test_counts.c, ../engine/attn_mla.c. */
#include <criterion/criterion.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "vectors.h"

/* ---- the core, dry ---- */

static rb_model *dry_preset(const char *name)
{
    const rb_model_params how = { .dry = true };
    rb_model *m;
    rb_error err;
    cr_assert_eq(rb_model_open(&m, name, &how, &err), RB_OK, "%s", err.text);
    return m;
}

static rb_session *dry_session(const rb_model *m, rb_attn attn, int64_t n_ctx)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    p.attn = attn;
    p.n_ctx = n_ctx;
    p.dry = true;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    return s;
}

/* FLOPs of QK and AV over bytes that were read of the cache equal num / den: one decode step. */
static void expect_core_oi(const char *preset, rb_attn attn, uint64_t num, uint64_t den)
{
    enum { KEYS = 1000 };
    rb_model *m = dry_preset(preset);
    const rb_config *c = &m->config;
    rb_session *s = dry_session(m, attn, 4096);
    rb_session_set_past(s, KEYS - 1);
    cr_assert_eq(rb_session_run(s, RB_DECODE, NULL, 1, false, NULL), RB_OK);
    const rb_cost at = rb_ledger_site(rb_session_ledger(s), RB_DECODE, RB_SITE_ATTN).cost;
    const uint64_t softmax = (uint64_t)(c->n_layer * c->n_head * (5 * KEYS + 1));
    cr_expect_gt(at.rd[RB_KV], 0);
    cr_expect_eq((at.flops - softmax) * den, at.rd[RB_KV] * num, "%s %s: %llu / %llu", preset,
                 rb_attn_name(c, attn), (unsigned long long)(at.flops - softmax),
                 (unsigned long long)at.rd[RB_KV]);
    rb_session_close(s);
    rb_model_close(m);
}

Test(attention, intensity_of_the_core_is_an_exact_rational)
{
    expect_core_oi("smollm2-1.7b", RB_ATTN_OWN, 1, 1); /* MHA */
    expect_core_oi("pythia-410m", RB_ATTN_OWN, 1, 1);
    expect_core_oi("qwen2.5-1.5b", RB_ATTN_OWN, 6, 1); /* GQA: heads that share a KV head */
    expect_core_oi("llama3.2-1b", RB_ATTN_OWN, 4, 1);
    expect_core_oi("plm-1.8b", RB_ATTN_MLA_NAIVE_FULL, 1, 1);
    expect_core_oi("plm-1.8b", RB_ATTN_MLA_ABSORBED, 34816, 1152);
    expect_core_oi("deepseek-v2-lite", RB_ATTN_MLA_ABSORBED, 34816, 1152);
}

/* Elements of cache of one token in one layer, in f16. */
static void expect_cache(const char *preset, rb_attn attn, int64_t elements)
{
    rb_model *m = dry_preset(preset);
    rb_session *s = dry_session(m, attn, 256);
    const int64_t n_layer = m->config.n_layer;
    cr_expect_eq(rb_session_kv_bytes_per_token(s), n_layer * elements * 2, "%s %s", preset,
                 rb_attn_name(&m->config, attn));
    rb_session_close(s);
    rb_model_close(m);
}

Test(attention, cache_of_a_token)
{
    expect_cache("plm-1.8b", RB_ATTN_MLA_NAIVE_FULL, 5120);
    expect_cache("plm-1.8b", RB_ATTN_MLA_NAIVE_LATENT, 576);
    expect_cache("plm-1.8b", RB_ATTN_MLA_ABSORBED, 576);
    expect_cache("plm-1.8b", RB_ATTN_MLA, 576);
    expect_cache("deepseek-v2-lite", RB_ATTN_OWN, 576);
    expect_cache("smollm2-1.7b", RB_ATTN_OWN, 4096);
}

/* Resident bytes of this process. */
static int64_t resident(void)
{
    long long pages = 0, all;
    FILE *f = fopen("/proc/self/statm", "r");
    cr_assert(f && fscanf(f, "%lld %lld", &all, &pages) == 2);
    fclose(f);
    return pages * 4096;
}

/* What sessions say of their cache is what the process grows by: contexts are compared, so that
 * all else is the same. */
Test(attention, memory_in_use_agrees)
{
    rb_config c = *rb_preset_find("plm-1.8b");
    rb_model *m;
    rb_error err;
    c.n_layer = 2, c.n_embd = 64, c.n_ff = 64, c.n_vocab = 64;
    cr_assert_eq(rb_model_synth(&m, &c, RB_F16, 1, false, &err), RB_OK, "%s", err.text);
    for (rb_attn attn = RB_ATTN_MLA_NAIVE_FULL; attn < RB_N_ATTN; attn++) {
        if (attn == RB_ATTN_MLA_NAIVE_LATENT)
            continue; /* its expanded K and V grow with the context too */
        int64_t grown[2], said[2];
        for (int big = 0; big < 2; big++) {
            rb_session_params p = rb_session_defaults();
            rb_session *s;
            p.attn = attn;
            p.n_ubatch = 1;
            p.n_ctx = big ? 16384 : 4096;
            const int64_t before = resident();
            cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
            grown[big] = resident() - before;
            said[big] = rb_session_kv_bytes(s) + p.n_ctx * c.d_rot * 4; /* rotary angles */
            rb_session_close(s);
        }
        const double ratio = (double)(grown[1] - grown[0]) / (double)(said[1] - said[0]);
        cr_expect(fabs(ratio - 1) < 0.03, "%s: grew by %lld for %lld bytes of cache",
                  rb_attn_name(&c, attn), (long long)(grown[1] - grown[0]),
                  (long long)(said[1] - said[0]));
    }
    rb_model_close(m);
}

/* ---- orders agree ---- */

enum { LONG = 150, VOCAB = 48, MOST_STEPS = 8 };

static rb_config long_config(rb_arch arch, bool split)
{
    rb_config c = small_config(arch);
    c.n_vocab = VOCAB;
    c.kv_lora_rank = 64;
    c.mla_split = split;
    c.n_ctx_train = 256;
    return c;
}

/* Logits of the last prompt row and of some steps: the prompt in chunks, then one by one. */
static void run_order(const rb_model *m, rb_attn attn, int64_t chunk, float *logits)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    int32_t ids[LONG];
    for (int i = 0; i < LONG; i++)
        ids[i] = (i * 29 + i / 7) % VOCAB;
    p.attn = attn;
    p.n_ctx = p.n_ubatch = LONG;
    p.type_k = p.type_v = RB_F32;
    p.n_threads = 2;
    p.act_f32 = true;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    const int64_t prompt = LONG - MOST_STEPS + 1;
    for (int64_t i = 0; i < prompt; i += chunk)
        cr_assert_eq(rb_session_run(s, RB_PREFILL, ids + i, chunk < prompt - i ? chunk : prompt - i,
                                    false, &err),
                     RB_OK, "%s", err.text);
    for (int64_t i = 0; i < MOST_STEPS; i++) {
        if (i > 0)
            cr_assert_eq(rb_session_run(s, RB_DECODE, ids + prompt + i - 1, 1, false, &err), RB_OK);
        memcpy(logits + i * VOCAB, rb_session_logits(s), VOCAB * sizeof *logits);
    }
    rb_session_close(s);
}

/* Every sum of K terms is off by (4 + 2 sqrt K) eps of its size at most, as the tests of kernels
 * have it; some eight follow each other in a layer, and errors of layers add up. Two orders differ
 * by twice as much. */
static double order_bound(const rb_config *c)
{
    const int64_t widest = c->n_ff > LONG ? c->n_ff : LONG;
    return 2 * 8 * (double)c->n_layer * (4 + 2 * sqrt((double)widest)) * (double)FLT_EPSILON;
}

static double furthest(const float *a, const float *b)
{
    double most = 0, size = 0;
    for (int i = 0; i < MOST_STEPS * VOCAB; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        most = d <= most ? most : d;
        size = fmax(size, fabs((double)b[i]));
    }
    return most / size;
}

static void expect_agreement(const rb_config *c, rb_dtype type)
{
    static float want[MOST_STEPS * VOCAB], got[MOST_STEPS * VOCAB];
    static const int64_t chunks[] = { LONG, 64, 7, 1 };
    rb_model *m;
    rb_error err;
    cr_assert_eq(rb_model_synth(&m, c, type, 3, false, &err), RB_OK, "%s", err.text);
    run_order(m, RB_ATTN_MLA_NAIVE_FULL, LONG, want);
    for (rb_attn attn = RB_ATTN_MLA; attn < RB_N_ATTN; attn++)
        for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
            run_order(m, attn, chunks[i], got);
            cr_expect_lt(furthest(got, want), order_bound(c), "%s, %s, %s, chunks of %d: off by %g",
                         rb_arch_name[c->arch], rb_dtype_get(type)->name, rb_attn_name(c, attn),
                         (int)chunks[i], furthest(got, want));
        }
    /* and the bound is one that a wrong order would miss */
    ((float *)rb_at(&m->layer[0].kv_a_norm, 0, 0, 0))[5] *= 1.01f;
    run_order(m, RB_ATTN_MLA_ABSORBED, LONG, got);
    cr_expect_gt(furthest(got, want), order_bound(c));
    rb_model_close(m);
}

Test(attention, orders_of_mla_agree_however_fed)
{
    static const rb_dtype type[] = { RB_F32, RB_F16, RB_Q8_0, RB_Q4_0 };
    for (size_t t = 0; t < sizeof type / sizeof *type; t++)
        for (int split = 0; split < 2; split++) {
            rb_config plm = long_config(RB_ARCH_PLM, split);
            rb_config v2 = long_config(RB_ARCH_DEEPSEEK2, split);
            v2.n_expert = v2.n_expert_used = v2.n_ff_shared =
                0; /* rounding could route otherwise */
            v2.n_ff_expert = 0;
            v2.q_lora_rank = 64;
            expect_agreement(&plm, type[t]);
            expect_agreement(&v2, type[t]);
        }
}

/* ---- the choice ---- */

/* COUNTING section 4: FLOPs of absorbed less those of naive_latent, over 2 n_h. */
static int64_t break_even(const rb_config *c, int64_t n, int64_t p)
{
    const int64_t r = c->kv_lora_rank, d = rb_config_d_nope(c) + c->d_head_v;
    const int64_t pairs = n * p + n * (n + 1) / 2;
    return (2 * r - d) * pairs - r * d * p;
}

Test(attention, the_choice_is_the_break_even_of_flops)
{
    static const int64_t n[] = { 1, 2, 8, 64, 128, 170, 171, 256, 512 };
    static const int64_t p[] = { 0, 1, 2, 19, 20, 100, 513, 3000 };
    static const char *const preset[] = { "plm-1.8b", "deepseek-v2-lite" };
    for (int k = 0; k < 2; k++) {
        rb_model *m = dry_preset(preset[k]);
        rb_session *s = dry_session(m, RB_ATTN_MLA, 4096);
        int chosen[2] = { 0 };
        for (size_t i = 0; i < sizeof n / sizeof *n; i++)
            for (size_t j = 0; j < sizeof p / sizeof *p; j++) {
                const bool absorbed = break_even(&m->config, n[i], p[j]) <= 0;
                rb_session_set_past(s, p[j]);
                cr_assert_eq(rb_session_run(s, RB_PREFILL, NULL, n[i], false, NULL), RB_OK);
                cr_expect_eq(rb_session_attn(s),
                             absorbed ? RB_ATTN_MLA_ABSORBED : RB_ATTN_MLA_NAIVE_LATENT,
                             "%s: %d tokens after %d", preset[k], (int)n[i], (int)p[j]);
                chosen[absorbed]++;
            }
        cr_expect(chosen[0] > 9 && chosen[1] > 9, "both are chosen");
        rb_session_close(s);
        rb_model_close(m);
    }
}

/* Slow arithmetic chooses as FLOPs do; slow memory chooses what moves less. */
Test(attention, roofs_can_decide_instead)
{
    rb_model *m = dry_preset("plm-1.8b");
    const rb_mla_rule slow_fma = { 1e9, 1e15 }, slow_memory = { 1e18, 1e9 };
    for (int memory = 0; memory < 2; memory++) {
        rb_session_params p = rb_session_defaults();
        rb_session *s;
        p.n_ctx = 4096;
        p.dry = true;
        p.mla_rule = memory ? slow_memory : slow_fma;
        cr_assert_eq(rb_session_open(&s, m, &p, NULL), RB_OK);
        rb_session_set_past(s, 0);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, NULL, 512, false, NULL), RB_OK);
        const rb_attn at_512 = rb_session_attn(s);
        cr_assert_eq(rb_session_run(s, RB_DECODE, NULL, 1, false, NULL), RB_OK);
        cr_expect_eq(rb_session_attn(s), RB_ATTN_MLA_ABSORBED);
        cr_expect_eq(at_512, RB_ATTN_MLA_NAIVE_LATENT, "512 tokens: fewer FLOPs, fewer bytes");
        rb_session_set_past(s, 2000);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, NULL, 300, false, NULL), RB_OK);
        /* FLOPs: 300 is beyond n* = 170.67; bytes: K and V of 2300 tokens against q of 300 */
        cr_expect_eq(rb_session_attn(s), memory ? RB_ATTN_MLA_ABSORBED : RB_ATTN_MLA_NAIVE_LATENT);
        rb_session_close(s);
    }
    rb_model_close(m);
}

Test(attention, orders_that_a_model_has_not)
{
    rb_model *m = dry_preset("tiny");
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_attn attn;
    rb_error err;
    p.dry = true;
    p.attn = RB_ATTN_MLA_ABSORBED;
    cr_expect_eq(rb_session_open(&s, m, &p, &err), RB_ERR_ARGUMENT);
    cr_expect_eq(rb_attn_by_name(&m->config, "mla", &attn, &err), RB_ERR_ARGUMENT);
    cr_expect(strstr(err.text, "attention of tiny is gqa"), "%s", err.text);
    cr_expect_eq(rb_attn_by_name(&m->config, "gqa", &attn, &err), RB_OK);
    cr_expect_eq(attn, RB_ATTN_OWN);
    rb_model_close(m);
}
