/* The arithmetic of re-measuring the paper: the formula of its code fault by fault, the peak of its
 * ratio over layers, its tables, Phi in parts. Figures are worked out by hand, or follow
 * from dry runs, which count exactly. Read next: ../bench/paper/paper.h, test_integrate.c. */
#include "../bench/bench.h"
#include "files.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void near(double got, double want, double share)
{
    cr_assert_float_eq(got, want, share * fabs(want), "%.12g is not %.12g", got, want);
}

static const rb_config *preset(const char *name)
{
    const rb_config *c = rb_preset_find(name);
    cr_assert_not_null(c);
    return c;
}

static rb_model *dry_model(const char *name, const char *type)
{
    rb_model *m;
    rb_error err;
    const rb_model_params p = { .dry = true, .mix = rb_mix_by_name(type) };
    cr_assert_eq(rb_model_open(&m, name, &p, &err), RB_OK, "%s", err.text);
    return m;
}

/* The ledger of a prompt of n tokens in an empty cache. */
static rb_ledger *prefill(const rb_model *m, int64_t n, rb_attn attn)
{
    rb_session *s;
    rb_error err;
    rb_session_params p = rb_session_defaults();
    rb_ledger *l = malloc(sizeof *l);
    p.n_ctx = p.n_ubatch = n;
    p.attn = attn;
    p.dry = true;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, NULL, n, false, &err), RB_OK, "%s", err.text);
    *l = *rb_session_ledger(s);
    rb_session_close(s);
    return l;
}

static double flops_of(const rb_model *m, int64_t n)
{
    rb_ledger *l = prefill(m, n, RB_ATTN_OWN);
    const double flops = (double)rb_ledger_phase(l, RB_PREFILL).cost.flops;
    free(l);
    return flops;
}

static double claimed(const char *name, int64_t n_prompt, rb_proxy_faults faults)
{
    const rb_config *c = preset(name);
    const rb_proxy_run run = { .n_layer = c->n_layer, .n_prompt = n_prompt, .n_gen = 64 };
    return rb_proxy_flops(c, &run, faults);
}

static rb_proxy_faults without(rb_proxy_fault f)
{
    return RB_PROXY_PUBLISHED & ~(1u << f);
}

/* ---- the formula ---- */

Test(paper, claims_of_qwen_by_hand)
{
    /* a layer: 2 H^2 + 2 H 128 a token, 2 H a pair, 2 * 128 cached elements */
    const double layer = 128 * (2 * 1536. * 1536 + 2 * 1536 * 128) + 2 * 1536. * 128 * 128 + 32768;
    near(layer, 704675840, 0);
    near(claimed("qwen2.5-1.5b", 128, RB_PROXY_PUBLISHED), 28 * layer, 0);
    near(claimed("qwen2.5-1.5b", 4096, RB_PROXY_PUBLISHED), 2029401407488, 0);
}

Test(paper, each_fault_alone_by_hand)
{
    static const struct {
        rb_proxy_fault fault;
        double flops;
    } off[] = {
        { RB_PROXY_PROMPT_ONLY, 30653349888 },   /* 192 tokens for 128 */
        { RB_PROXY_MAC_IS_ONE, 39460929536 },    /* twice all but the cache */
        { RB_PROXY_NO_FFN, 167705968640 },       /* + 28 * 128 * 3 * 1536 * 8960 */
        { RB_PROXY_NO_HEAD, 19964297216 },       /* + 1536 * 151936 */
        { RB_PROXY_KV_IS_FLOPS, 19730006016 },   /* - 28 * 32768 */
        { RB_PROXY_HALF_KV_HEADS, 21141127168 }, /* + 28 * 128 * (2 * 1536 * 128 + 256) */
        { RB_PROXY_FULL_SQUARE, 19031785472 },   /* - 28 * 2 * 1536 * 127 * 64 */
        { RB_PROXY_HEAD_IS_SHARE, 19730923520 }, /* 1536 / 12 is its head size */
        { RB_PROXY_LATENT, 19730923520 },        /* it has none */
        { RB_PROXY_WHOLE_PROCESS, 19730923520 }, /* of time */
        { RB_PROXY_PEAK_X_TIME, 19730923520 },   /* of bytes */
    };
    cr_assert_eq(sizeof off / sizeof *off, RB_N_PROXY_FAULT);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        cr_assert_eq(claimed("qwen2.5-1.5b", 128, without(off[i].fault)), off[i].flops, "%s",
                     rb_proxy_fault_name[off[i].fault]);
    near(claimed("qwen2.5-1.5b", 128, 0), 536641142784, 0);
}

Test(paper, head_size_and_latent_are_faults_where_they_differ)
{
    /* qwen3-0.6b: 16 heads of 128 are 2048 columns of a hidden size of 1024 */
    const double as_share = claimed("qwen3-0.6b", 128, RB_PROXY_PUBLISHED);
    const double as_is = claimed("qwen3-0.6b", 128, without(RB_PROXY_HEAD_IS_SHARE));
    near(as_is, 2 * as_share, 0);
    /* plm-1.8b: 20054016 multiply-adds a token for 13762560, which is the paper's 1.457 */
    const double linear = 32 * 128 * (20054016. - 13762560);
    near(claimed("plm-1.8b", 128, RB_PROXY_PUBLISHED) -
             claimed("plm-1.8b", 128, without(RB_PROXY_LATENT)),
         linear, 0);
    near(20054016. / 13762560, 1.457, 1e-3);
    near(claimed("plm-1.8b", 1, RB_PROXY_PUBLISHED),
         32 * (20054016 + 16 * (64 + 2 * 128.) + 512 + 64), 0);
}

Test(paper, claims_of_other_attention_by_hand)
{
    /* smollm2-1.7b, MHA: four H^2, and half of its 32 heads in the cache */
    near(claimed("smollm2-1.7b", 1, RB_PROXY_PUBLISHED),
         24 * (4 * 2048. * 2048 + 2 * 2048 + 2 * 16 * 64), 0);
    /* minicpm3-4b: 40 heads of 64 + 32, taken to have a latent of 512 (it is 256) and none for q */
    near(claimed("minicpm3-4b", 1, RB_PROXY_PUBLISHED),
         62 * (2560. * (40 * 96 + 544 + 40 * 128 + 2560) + 40 * 160 + 544), 0);
}

Test(paper, values_and_routers_have_their_own_shapes)
{
    const rb_proxy_run run = { .n_layer = 27, .n_prompt = 2 };
    rb_config plm = *preset("plm-1.8b"), moe = *preset("deepseek-v2-lite");
    const double v_128 = rb_proxy_flops(&plm, &run, 0), e_64 = rb_proxy_flops(&moe, &run, 0);
    plm.d_head_v = 96;
    moe.n_expert = 74;
    /* 16 heads of 32 columns less: out of the latent, of the product, into W_o; three pairs */
    near(v_128 - rb_proxy_flops(&plm, &run, 0), 2 * 27 * 512. * (2 * (512 + 2048) + 3), 0);
    near(rb_proxy_flops(&moe, &run, 0) - e_64, 2 * 26 * 2 * 10 * 2048., 0);
}

Test(paper, exact_over_claimed)
{
    rb_model *m = dry_model("qwen2.5-1.5b", "f16");
    near(flops_of(m, 128) / claimed("qwen2.5-1.5b", 128, RB_PROXY_PUBLISHED), 17.1, 0.003);
    near(flops_of(m, 4096) / claimed("qwen2.5-1.5b", 4096, RB_PROXY_PUBLISHED), 6.0, 0.01);
    rb_model_close(m);
}

/* FLOPs of a ledger's matrix products and of attention's, without biases. */
static double products(const rb_ledger *l, const rb_config *c, int64_t n)
{
    static const rb_op_id ops[] = { RB_OP_MATMUL, RB_OP_MATMUL_HEADS, RB_OP_EXPERTS };
    double sum = (double)(c->n_layer * c->n_head * (c->d_head_k + c->d_head_v) * n * (n + 1));
    for (rb_site s = 0; s < RB_N_SITE; s++)
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
            sum += (double)l->at[RB_PREFILL][s][ops[i]].cost.flops;
    return sum;
}

Test(paper, without_faults_it_counts_products_as_the_ledger_does)
{
    static const struct {
        const char *name;
        rb_attn attn;
    } models[] = {
        { "llama3.2-1b", RB_ATTN_OWN },
        { "smollm2-1.7b", RB_ATTN_OWN },
        { "smollm2-135m", RB_ATTN_OWN },
        { "plm-1.8b", RB_ATTN_MLA_NAIVE_FULL },
        { "minicpm3-4b", RB_ATTN_MLA_NAIVE_FULL },
        { "qwen3-0.6b", RB_ATTN_OWN },
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        rb_model *m = dry_model(models[i].name, "f16");
        rb_ledger *l = prefill(m, 200, models[i].attn);
        const rb_proxy_run run = { .n_layer = m->config.n_layer, .n_prompt = 200 };
        const double got = rb_proxy_flops(&m->config, &run, 0);
        const double all = (double)rb_ledger_phase(l, RB_PREFILL).cost.flops;
        cr_assert_eq(got, products(l, &m->config, 200), "%s: %.0f is not %.0f", models[i].name, got,
                     products(l, &m->config, 200));
        cr_assert(got < all && got > 0.99 * all, "%s: %g of %g", models[i].name, got, all);
        free(l);
        rb_model_close(m);
    }
}

Test(paper, without_faults_experts_are_those_used)
{
    rb_model *m = dry_model("deepseek-v2-lite", "f16");
    rb_ledger *l = prefill(m, 200, RB_ATTN_MLA_NAIVE_FULL);
    const rb_proxy_run run = { .n_layer = m->config.n_layer, .n_prompt = 200 };
    const double all = (double)rb_ledger_phase(l, RB_PREFILL).cost.flops;
    const double got = rb_proxy_flops(&m->config, &run, 0);
    cr_assert(got < all && got > 0.99 * all, "%g of %g", got, all);
    free(l);
    rb_model_close(m);
}

Test(paper, generation_sees_the_prompt_unless_apart)
{
    const rb_config *c = preset("llama3.2-1b");
    rb_proxy_run run = { .n_layer = 1, .n_prompt = 10, .n_gen = 5 };
    const double together = rb_proxy_flops(c, &run, 0);
    run.apart = true;
    /* five tokens do not see ten: 50 pairs of 32 heads and 64 + 64 columns */
    near(together - rb_proxy_flops(c, &run, 0), 2 * 50 * 32 * 128, 0);
}

Test(paper, no_form_for_conversions)
{
    rb_config c = *preset("llama3.2-1b");
    const rb_proxy_run run = { .n_layer = 1, .n_prompt = 1 };
    cr_assert(rb_proxy_knows(&c));
    c.d_value_up = 64;
    cr_assert_not(rb_proxy_knows(&c));
    cr_assert(isnan(rb_proxy_flops(&c, &run, RB_PROXY_PUBLISHED)));
}

Test(paper, published_p_over_oi_is_peak_memory)
{
    const rb_proxy_run run = { .n_layer = 3,
                               .n_prompt = 128,
                               .n_gen = 64,
                               .peak_bytes = 3e9,
                               .runtime_s = 20,
                               .once_s = 2,
                               .bytes = 5e9 };
    const rb_proxy all = rb_proxy_of(preset("plm-1.8b"), &run, RB_PROXY_PUBLISHED);
    const rb_proxy none = rb_proxy_of(preset("plm-1.8b"), &run, 0);
    near(all.gflops * 1e9 / all.oi, 3e9, 1e-12);
    near(all.bytes, 60e9, 0);
    near(all.gflops, all.flops / 20e9, 1e-12);
    near(none.oi, none.flops / 5e9, 1e-12);
    near(none.gflops, none.flops / 2e9, 1e-12);
}

/* ---- over layers ---- */

static int best_of_64(const rb_proxy_law *law)
{
    int64_t depth[64];
    for (int i = 0; i < 64; i++)
        depth[i] = i + 1;
    return rb_proxy_law_best(law, depth, 64) + 1;
}

Test(paper, peak_of_qwen_at_five_layers)
{
    rb_model *m = dry_model("qwen2.5-1.5b", "f16");
    const rb_proxy_sizes s = rb_proxy_sizes_of(m);
    const rb_proxy_rate decode_only = { 1e30, 43 };
    rb_proxy_law law = rb_proxy_law_of_rates(&s, RB_SILO, decode_only, 5, 0);
    near(s.layer, 93605888, 0);
    near(s.around, 466747392, 0);
    near(s.read_around, 466747392, 0);
    near(law.peak, 466747392. / 93605888, 1e-9);
    near(law.peak, 4.99, 1e-3);
    cr_assert_eq(best_of_64(&law), 5);
    law.memory.v0 += 150e6;
    rb_proxy_law_peak(&law, 0);
    cr_assert_eq(best_of_64(&law), 6);
    cr_assert(law.peak > 5 && law.peak < 6);
    rb_model_close(m);
}

Test(paper, untied_heads_are_read_once_and_held_twice)
{
    rb_model *m = dry_model("pythia-160m", "f16");
    const rb_proxy_sizes s = rb_proxy_sizes_of(m);
    near(s.read_around, 2. * 768 * 50304, 0);
    near(s.around, 2 * s.read_around, 0);
    /* q, k, v, out and two of 4 H, in f16; biases and norms in f32 */
    near(s.layer, 2. * 768 * 768 * 12 + 4. * (768 * (3 + 1 + 4 + 1) + 4 * 768), 0);
    rb_model_close(m);
}

Test(paper, fit_finds_what_points_were_made_of)
{
    rb_proxy_point p[5];
    rb_proxy_law law;
    for (int i = 0; i < 5; i++) {
        const double l = 2 + 3 * i;
        p[i] = (rb_proxy_point){ l, 700e6 + 90e6 * l, 3 + 0.4 * l };
    }
    cr_assert_eq(rb_proxy_law_fit(&law, p, 5, NULL), RB_OK);
    near(law.memory.v0, 700e6, 1e-9);
    near(law.memory.v1, 90e6, 1e-9);
    near(law.time.v0, 3, 1e-9);
    near(law.time.v1, 0.4, 1e-9);
    near(law.peak, sqrt(700. / 90 * 3 / 0.4), 1e-9);
    near(law.peak_hi, law.peak_lo, 1e-6);
    near(rb_proxy_law_oi(&law, 1e9, 2), 2e9 / (880e6 * 3.8), 1e-9);
}

Test(paper, standard_errors_by_hand)
{
    /* x = 1 2 3, y = 1 2 6: b = 2.5, a = -2, residuals 0.5 -1 0.5, s^2 = 1.5 */
    const rb_proxy_point p[] = { { 1, 1, 1 }, { 2, 2, 2 }, { 3, 6, 6 } };
    rb_proxy_law law;
    cr_assert_eq(rb_proxy_law_fit(&law, p, 3, NULL), RB_OK);
    near(law.memory.v1, 2.5, 1e-12);
    near(law.memory.v0, -2, 1e-12);
    near(law.memory.se1, sqrt(1.5 / 2), 1e-12);
    near(law.memory.se0, sqrt(1.5 * (1. / 3 + 4. / 2)), 1e-12);
    near(law.memory.cov, -1.5, 1e-12);
    cr_assert(isnan(law.peak)); /* no positive overhead */
}

Test(paper, no_peak_without_four_positive_parts)
{
    for (int i = 0; i < 5; i++) {
        rb_proxy_law law = { { i != 0, i != 1, 0, 0, 0 }, { i != 2, i != 3, 0, 0, 0 }, 0, 0, 0 };
        rb_proxy_law_peak(&law, 9);
        cr_assert_eq(isnan(law.peak), i < 4, "%d: %g", i, law.peak);
    }
}

Test(paper, law_of_rates_by_hand)
{
    /* five prompts and one to warm up: 6 * 128 / 64 s over 4 layers; 5 * 128 + 1 steps of 1/10 s,
     * of which 2 of 10 bytes are read around the layers */
    const rb_proxy_sizes s = { .n_layer = 4, .layer = 2, .read_around = 2, .around = 5 };
    const rb_proxy_rate rate = { 64, 10 };
    const rb_proxy_law law = rb_proxy_law_of_rates(&s, RB_SISO, rate, 5, 100);
    near(law.memory.v0, 105, 0);
    near(law.memory.v1, 2, 0);
    near(law.time.v0, 64.1 / 5, 1e-12);
    near(law.time.v1, 64.1 / 5 + 3, 1e-12);
}

/* Uniform in [-1, 1), of variance 1/3. */
static double noise(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-52 - 1;
}

Test(paper, interval_of_the_peak_holds_it_as_often_as_it_says)
{
    enum { FITS = 2000, POINTS = 8 };
    const double truth = sqrt(700. / 90 * 3 / 0.4);
    uint64_t state = 7;
    int held = 0;
    for (int k = 0; k < FITS; k++) {
        rb_proxy_point p[POINTS];
        rb_proxy_law law;
        for (int i = 0; i < POINTS; i++) {
            const double l = 2 + 4 * i;
            p[i] = (rb_proxy_point){ l, 700e6 + 90e6 * l + 40e6 * noise(&state),
                                     3 + 0.4 * l + 0.2 * noise(&state) };
        }
        cr_assert_eq(rb_proxy_law_fit(&law, p, POINTS, NULL), RB_OK);
        held += law.peak_lo <= truth && truth <= law.peak_hi;
    }
    cr_assert(held > 0.93 * FITS && held < 0.985 * FITS, "%d of %d", held, FITS);
}

Test(paper, fit_refuses_what_is_no_sweep)
{
    const rb_proxy_point same[] = { { 2, 1, 1 }, { 2, 2, 2 }, { 4, 3, 3 }, { 4, 3, 3 } };
    const rb_proxy_point lost[] = { { 2, 1, 1 }, { 4, NAN, 2 }, { 6, 3, 3 } };
    rb_proxy_law law;
    cr_assert_eq(rb_proxy_law_fit(&law, same, 4, NULL), RB_ERR_ARGUMENT);
    cr_assert_eq(rb_proxy_law_fit(&law, same, 0, NULL), RB_ERR_ARGUMENT);
    cr_assert_eq(rb_proxy_law_fit(&law, lost, 3, NULL), RB_ERR_ARGUMENT);
}

/* ---- its tables ---- */

/* What its own rates give through its own formula, at its depths 2, 4 .. 64: inside the ticks 0.005
 * to 0.035 that its figure of SILO has, and one peak near 5 layers each. */
Test(paper, its_rates_through_its_formula)
{
    static const double peaks[RB_N_WORKLOAD] = { 0.754, 42.5, 0.0208, 2.09 };
    static const int64_t at[RB_N_WORKLOAD] = { 6, 4, 6, 6 };
    rb_rates r;
    rb_model *m = dry_model("qwen2.5-1.5b", "f16");
    const rb_proxy_sizes s = rb_proxy_sizes_of(m);
    int64_t depth[32];
    for (int i = 0; i < 32; i++)
        depth[i] = 2 * i + 2;
    cr_assert_eq(rb_rates_read(&r, NULL, NULL), RB_OK);
    cr_assert_str_eq(r.at[0].model, "qwen2.5-1.5b");
    for (rb_workload w = 0; w < RB_N_WORKLOAD; w++) {
        const rb_proxy_run run = { .n_layer = 1, .n_prompt = rb_workload_infos[w].n_prompt };
        const double f = rb_proxy_flops(&m->config, &run, RB_PROXY_PUBLISHED);
        const rb_proxy_law law =
            rb_proxy_law_of_rates(&s, w, r.at[0].rate[w], r.n_reps, r.resident_bytes);
        const int64_t best = depth[rb_proxy_law_best(&law, depth, 32)];
        near(rb_proxy_law_oi(&law, f, (double)best), peaks[w], 0.002);
        cr_assert_eq(best, at[w]);
        cr_assert(law.peak > 3 && law.peak < 7);
        for (int i = 0; i < 32 && w == RB_SILO; i++) {
            const double oi = rb_proxy_law_oi(&law, f, (double)depth[i]);
            cr_assert(oi > 0.005 && oi < 0.035, "%g at %d", oi, (int)depth[i]);
        }
    }
    rb_model_close(m);
}

Test(paper, its_tables)
{
    rb_rates r;
    rb_devices d;
    cr_assert_eq(rb_rates_read(&r, NULL, NULL), RB_OK);
    cr_assert_eq(rb_devices_read(&d, NULL, NULL), RB_OK);
    cr_assert_eq(r.n, 7);
    cr_assert_eq(d.n, 5);
    cr_assert_eq(r.n_reps, 5);
    near(r.resident_bytes, 0.25e9, 0);
    near(r.at[6].rate[RB_SILO].decode, 29, 0);
    near(r.at[6].rate[RB_LISO].prefill, 42, 0);
    cr_assert_str_eq(d.at[4].name, "Raspberry Pi 5");
    near(d.at[4].fp16_gflops[RB_MEASURED], 1.48, 1e-12);
}

/* Its printed ridges are of f32; those of theory follow from its table, the measured ones from
 * rounder figures than it prints. */
Test(paper, ridges_follow_from_its_table)
{
    rb_devices d;
    cr_assert_eq(rb_devices_read(&d, NULL, NULL), RB_OK);
    for (int i = 0; i < d.n; i++)
        for (rb_basis b = 0; b < RB_N_BASIS; b++) {
            rb_device_place p;
            cr_assert(rb_device_place_of(&d.at[i], b, RB_FP32, 1, 1, &p));
            if (d.at[i].ridge[b] > 0)
                near(p.ridge, d.at[i].ridge[b], b == RB_THEORY ? 0.001 : 0.025);
        }
    cr_assert_eq(d.at[0].ridge[RB_MEASURED], 0);
}

Test(paper, exact_counts_under_its_roofs)
{
    rb_devices d;
    rb_device_place p;
    cr_assert_eq(rb_devices_read(&d, NULL, NULL), RB_OK);
    const rb_device *m1 = &d.at[2]; /* Apple M1 Pro */
    cr_assert(rb_device_place_of(m1, RB_MEASURED, RB_FP32, 200, 100, &p));
    near(p.oi, 2, 0);
    near(p.gflops, 240.06, 1e-12);
    near(p.seconds, 200 / 240.06e9, 1e-12);
    cr_assert(p.memory);
    cr_assert(rb_device_place_of(m1, RB_MEASURED, RB_FP32, 43100, 1000, &p));
    near(p.gflops, 4310, 0);
    cr_assert_not(p.memory);
    cr_assert_not(rb_device_place_of(m1, RB_THEORY, RB_FP16, 1, 1, &p)); /* it has no such roof */
    cr_assert_not(rb_device_place_of(m1, RB_THEORY, RB_FP32, 1, 0, &p));
    /* one OI, two sides: the ridge is the device's */
    cr_assert(rb_device_place_of(&d.at[4], RB_THEORY, RB_FP32, 10, 1, &p) && !p.memory);
    cr_assert(rb_device_place_of(&d.at[0], RB_THEORY, RB_FP32, 10, 1, &p) && p.memory);
}

static void refused(const char *json, const char *why)
{
    const dir folder = dir_make();
    char *path = dir_file(&folder, "x.json");
    blob b = { 0 };
    rb_error err = { 0 };
    rb_rates r;
    blob_put(&b, json, strlen(json));
    blob_write(&b, path);
    cr_expect_neq(rb_rates_read(&r, path, &err), RB_OK, "taken: %s", json);
    cr_expect(strstr(err.text, why), "\"%s\" does not say \"%s\"", err.text, why);
    blob_free(&b);
    free(path);
    dir_remove(&folder);
}

#define ROW(model, siso, more)                                                                     \
    "{\"source\":\"me\",\"repetitions\":2,\"resident_bytes\":0,\"rates\":[{\"device\":\"d\","      \
    "\"model\":\"" model "\",\"type\":\"f16\",\"siso\":" siso                                      \
    ",\"liso\":[1,2],\"silo\":[1,2],\"lilo\":[1,2]" more "}]}"

Test(paper, files_of_users)
{
    const dir folder = dir_make();
    char *path = dir_file(&folder, "x.json");
    blob b = { 0 };
    rb_rates r;
    blob_put(&b, ROW("tiny", "[3.5,4]", ""), strlen(ROW("tiny", "[3.5,4]", "")));
    blob_write(&b, path);
    cr_assert_eq(rb_rates_read(&r, path, NULL), RB_OK);
    cr_assert_eq(r.n, 1);
    near(r.at[0].rate[RB_SISO].prefill, 3.5, 0);
    near(r.at[0].rate[RB_LILO].decode, 2, 0);
    blob_free(&b);
    free(path);
    dir_remove(&folder);
    refused(ROW("no-such", "[1,2]", ""), "rates 1: \"model\" is no preset");
    refused(ROW("tiny", "[1]", ""), "rates 1: \"siso\" is no pair");
    refused(ROW("tiny", "[0,1]", ""), "\"siso\" has a number that is not above 0");
    refused(ROW("tiny", "[1,\"2\"]", ""), "\"siso\" has a number");
    refused(ROW("tiny", "[null,1]", ""), "\"siso\" has a number");
    refused(ROW("tiny", "[1,1e300]", ""), "\"siso\" has a number");
    refused(ROW("tiny", "[1,2]", ",\"more\":1"), "\"more\" is not known");
    refused(ROW("tiny", "[1,2]", ",\"siso\":[1,2]"), "not JSON: duplicate");
    refused("{\"source\":\"me\"}", "\"repetitions\" is missing");
    refused("[]", "is no object");
    refused("{", "x.json:1: not JSON");
    rb_error err;
    cr_assert_eq(rb_rates_read(&r, "/no/such/file", &err), RB_ERR_IO);
    cr_assert_neq(rb_rates_read(&r, "/", &err), RB_OK);
}

/* ---- Phi ---- */

/* The paper's ridge of the M1 Pro, pi = 5 TFLOP/s: A at 1 FLOP/byte, B at 30. */
static rb_phi phi_in(double unit, double oi, double tflops)
{
    return rb_phi_of(oi, tflops * 1e12 / unit, 5e12 / unit, 5e12 / unit / 35.83);
}

Test(paper, mixed_units_turn_the_order)
{
    near(phi_in(1e12, 1, 0.10).mixed, 35.17, 1e-4);
    near(phi_in(1e12, 30, 0.05).mixed, 7.65, 1e-3);
    near(phi_in(1e9, 1, 0.10).mixed, 4900.12, 1e-6);
    near(phi_in(1e9, 30, 0.05).mixed, 4950, 1e-6);
    near(phi_in(1, 1, 0.10).mixed, 4.9e12, 1e-15);
    near(phi_in(1e12, 1, 0.10).log, 2.3026, 3e-5);
    near(phi_in(1, 30, 0.05).log, 2.0015, 1e-5);
    near(phi_in(1, 1, 0.10).log, phi_in(1e12, 1, 0.10).log, 1e-12);
}

Test(paper, structure_and_execution_add_up)
{
    for (double oi = 0.01; oi < 1e4; oi *= 1.7)
        for (double p = 1e-3; p < 1e4; p *= 3.1) {
            const rb_phi f = rb_phi_of(oi, p, 500, 20);
            cr_assert_float_eq(f.a + f.e, log10(500 / p), 1e-12);
            cr_assert_float_eq(f.log, hypot(f.a, f.a + f.e), 1e-12);
            cr_assert_float_eq(f.a, oi < 25 ? log10(25 / oi) : 0, 1e-12);
        }
    near(rb_phi_of(2, 40, 500, 20).e + 1, 1, 1e-12); /* on the roof */
    near(rb_phi_of(100, 50, 500, 20).e, 1, 1e-12);   /* a tenth of it, right of the ridge */
    near(rb_phi_of(100, 50, 500, 20).mixed, 450, 1e-12);
    cr_assert(isnan(rb_phi_of(1, 1, 0, 20).mixed));
    cr_assert(isnan(rb_phi_of(1, 1, 10, 0).log));
    cr_assert(isnan(rb_phi_of(0, 1, 10, 1).log));
}

Test(paper, phi_of_a_result)
{
    rb_machine m = { .n_threads = 1 };
    rb_result *r = calloc(1, sizeof *r);
    m.roof[RB_ROOF_READ_DRAM].value = 20;
    m.roof[RB_ROOF_FMA_F32].value = 500;
    cr_assert(isnan(rb_result_phi_log(r)));
    r->machine = &m;
    r->total.cost.flops = 4000;
    r->total.cost.rd[RB_WEIGHT] = 2000;
    r->ns.median = 1000; /* 4 GFLOP/s of 40 that the roof allows at 2 FLOP/byte */
    const rb_phi f = rb_result_phi_parts(r);
    near(f.a, log10(12.5), 1e-12);
    near(f.e, 1, 1e-12);
    near(rb_result_phi_log(r), hypot(log10(12.5), log10(125)), 1e-12);
    near(rb_result_phi(r), hypot(23, 496), 1e-12);
    free(r);
}

Test(paper, rank_disagreement)
{
    const double x[] = { 1, 2, 3, 4 }, y[] = { 10, 30, 20, 20 };
    const rb_rank_pairs p = rb_rank_pairs_of(x, y, 4);
    cr_assert_eq(p.agree, 3);
    cr_assert_eq(p.disagree, 2);
    cr_assert_eq(p.tied, 1);
    /* the example: TFLOP/s and GFLOP/s order A and B differently */
    const double t[] = { phi_in(1e12, 1, 0.10).mixed, phi_in(1e12, 30, 0.05).mixed };
    const double g[] = { phi_in(1e9, 1, 0.10).mixed, phi_in(1e9, 30, 0.05).mixed };
    cr_assert_eq(rb_rank_pairs_of(t, g, 2).disagree, 1);
}
