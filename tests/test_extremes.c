/* Dry runs at the ends of what can be asked: no context, one token and 2^20 of it, one layer, one
 * head, prompts of one token, of every architecture. Whatever a record says there is a finite
 * number or null, whatever a table says is no "nan", and counts grow as exactly as they do between.
 * Nothing is run for real. Read next: ../bench/record.c. */
#include "../bench/record.h"
#include "files.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MILLION = 1 << 20 };

static const int64_t contexts[] = { 0, 1, MILLION };

typedef struct fixture {
    rb_model *model;
    rb_bench *bench;
    rb_result *r;
    rb_subject subject;
} fixture;

/* The smallest of an architecture: one layer, one head. */
static fixture open_fixture(rb_arch arch, bool one_head)
{
    const rb_bench_params params = { .n_reps = 1, .dry = true, .seed = 1 };
    rb_config c = small_config(arch);
    fixture f = { .r = calloc(1, sizeof *f.r) };
    rb_error err = { 0 };
    c.n_layer = 1;
    c.n_dense_lead = 0;
    if (one_head)
        c.n_head = c.n_head_kv = 1;
    cr_assert_eq(rb_model_synth(&f.model, &c, RB_F16, 1, true, &err), RB_OK, "%s: %s",
                 rb_arch_name[arch], err.text);
    cr_assert_eq(rb_bench_open(&f.bench, f.model, f.model, &params, NULL), RB_OK);
    f.subject = (rb_subject){ .filename = "m", .model = f.model, .cpu = "a CPU", .commit = "c" };
    return f;
}

static void close_fixture(fixture *f)
{
    rb_bench_close(f->bench);
    rb_model_close(f->model);
    free(f->r);
}

static rb_test test_of(int64_t n_prompt, int64_t n_gen, int64_t n_depth)
{
    return (rb_test){ .n_prompt = n_prompt,
                      .n_gen = n_gen,
                      .n_depth = n_depth,
                      .n_seq = 1,
                      .n_layer = 1,
                      .n_batch = 2048,
                      .n_ubatch = 512,
                      .n_threads = 1,
                      .type_k = RB_F16,
                      .type_v = RB_F16,
                      .capped = true };
}

/* ---- records ---- */

/* Every number below o is finite and no count is negative. Returns how many there are. */
static int check_numbers(const json_t *o, const char *where)
{
    const char *key;
    json_t *value;
    size_t i;
    int n = 0;
    if (json_is_real(o))
        cr_assert(isfinite(json_real_value(o)), "%s", where);
    if (json_is_integer(o))
        cr_assert(json_integer_value(o) >= 0 || !strcmp(where, "special_overhead"), "%s is %lld",
                  where, (long long)json_integer_value(o));
    json_object_foreach((json_t *)o, key, value) n += check_numbers(value, key);
    json_array_foreach(o, i, value) n += check_numbers(value, where);
    return n + json_is_number(o);
}

/* These are ratios of counts or of times, and never null where something ran. */
static void check_ratios(const json_t *o)
{
    static const char *const key[] = { "oi", "oi_kernel" };
    for (size_t i = 0; i < sizeof key / sizeof *key; i++) {
        const json_t *v = json_object_get(o, key[i]);
        cr_assert(json_is_number(v) && json_number_value(v) > 0, "%s", key[i]);
    }
}

/* What was measured is there, if only as null: JSON has no other infinity, and none is left out. */
static void check_fields(const json_t *o, bool roofs)
{
    static const char *const timed[] = { "avg_ts", "median_ts", "median_ns", "mad_ns",
                                         "drift",  "gflops",    "gbps",      "samples_ts" };
    static const char *const placed[] = { "roof_gflops", "roof_ns", "roof_pct", "phi", "phi_log" };
    for (size_t i = 0; i < sizeof timed / sizeof *timed; i++)
        cr_assert_not_null(json_object_get(o, timed[i]), "no %s", timed[i]);
    for (size_t i = 0; i < sizeof placed / sizeof *placed && roofs; i++)
        cr_assert_not_null(json_object_get(o, placed[i]), "no %s", placed[i]);
    cr_assert_eq(json_array_size(json_object_get(o, "samples_ts")), 1);
}

/* A table that a person would read. */
static void check_table(const fixture *f)
{
    rb_test t = f->r->test;
    const rb_plan plan = { &t, 1 };
    rb_report *rep;
    FILE *out = tmpfile();
    char text[1 << 14];
    cr_assert_eq(rb_report_open(&rep, out, RB_FORMAT_MD, NULL), RB_OK);
    cr_assert_eq(rb_report_subject(rep, &f->subject, &plan, 0, f->r->dry, NULL), RB_OK);
    rb_report_row(rep, f->r, 0);
    rb_report_kernels(rep, f->r);
    cr_assert_eq(rb_report_close(rep, NULL), RB_OK);
    rewind(out);
    text[fread(text, 1, sizeof text - 1, out)] = 0;
    cr_assert_gt(strlen(text), 200);
    cr_assert(!strstr(text, "nan") && !strstr(text, "inf"), "%s", text);
    fclose(out);
}

static void check_record(const fixture *f)
{
    json_t *o = rb_record(&f->subject, f->r, NULL);
    cr_assert_not_null(o);
    cr_assert_gt(check_numbers(o, "record"), 60);
    check_ratios(o);
    if (!f->r->dry)
        check_fields(o, f->r->machine != NULL);
    json_decref(o);
    check_table(f);
}

/* The same result as if it had taken no time, the shortest and a long one, under roofs and none. */
static void check_timed(fixture *f)
{
    static const uint64_t times[] = { 0, 1, UINT64_C(1) << 60 };
    rb_machine m = { .n_threads = 1 };
    for (int roofs = 0; roofs < 3; roofs++) {
        m.roof[RB_ROOF_READ_DRAM].value = roofs ? 20 : 0;
        m.roof[RB_ROOF_FMA_F32].value = roofs ? 100 : 0;
        f->r->dry = false;
        f->r->machine = roofs < 2 ? &m : NULL;
        f->subject.roofs = f->r->machine != NULL;
        for (int i = 0; i < 3; i++) {
            f->r->n_samples = 1;
            f->r->sample[0] = (rb_sample){ .ns = times[i], .paired = true };
            f->r->ns = f->r->tps = (rb_stats){ .n = 1, .median = (double)times[i], .drift = NAN };
            f->r->place = rb_place_result(f->r);
            check_record(f);
        }
    }
    f->r->n_samples = 0;
    f->r->machine = NULL;
    f->subject.roofs = false;
    f->r->dry = true;
}

static void check(fixture *f, int64_t n_prompt, int64_t n_gen, int64_t n_depth, rb_attn attn)
{
    rb_test t = test_of(n_prompt, n_gen, n_depth);
    t.attn = attn;
    rb_bench_test(f->bench, &t, f->r);
    cr_assert_str_eq(f->r->error, "", "pp%lld tg%lld @ d%lld: %s", (long long)n_prompt,
                     (long long)n_gen, (long long)n_depth, f->r->error);
    check_record(f);
    check_timed(f);
}

Test(extremes, every_number_is_finite)
{
    for (int arch = 0; arch < RB_N_ARCH; arch++)
        for (int one_head = 0; one_head < 2; one_head++) {
            fixture f = open_fixture((rb_arch)arch, one_head);
            for (size_t d = 0; d < sizeof contexts / sizeof *contexts; d++) {
                check(&f, 1, 0, contexts[d], RB_ATTN_OWN);
                check(&f, 0, 1, contexts[d], RB_ATTN_OWN);
                check(&f, 1, 1, contexts[d], RB_ATTN_OWN);
            }
            close_fixture(&f);
        }
}

Test(extremes, in_every_order_of_latent_attention)
{
    static const rb_attn orders[] = { RB_ATTN_MLA, RB_ATTN_MLA_NAIVE_FULL, RB_ATTN_MLA_NAIVE_LATENT,
                                      RB_ATTN_MLA_ABSORBED };
    fixture f = open_fixture(RB_ARCH_PLM, true);
    for (size_t k = 0; k < sizeof orders / sizeof *orders; k++)
        for (size_t d = 0; d < sizeof contexts / sizeof *contexts; d++) {
            check(&f, 1, 0, contexts[d], orders[k]);
            check(&f, 0, 1, contexts[d], orders[k]);
        }
    close_fixture(&f);
}

/* ---- counts ---- */

static rb_cost cost_at(fixture *f, int64_t n_depth)
{
    rb_test t = test_of(0, 1, n_depth);
    if (rb_config_is_mla(&f->model->config)) /* not now this order, now that */
        t.attn = RB_ATTN_MLA_ABSORBED;
    rb_bench_test(f->bench, &t, f->r);
    cr_assert_str_eq(f->r->error, "");
    return f->r->total.cost;
}

/* A token of context adds the same whether it is the first or the last of a million: nothing has
 * overflowed on the way. */
Test(extremes, counts_of_a_step_are_linear_in_context)
{
    for (int arch = 0; arch < RB_N_ARCH; arch++) {
        fixture f = open_fixture((rb_arch)arch, false);
        const rb_cost none = cost_at(&f, 0), one = cost_at(&f, 1), all = cost_at(&f, MILLION);
        const rb_cost last = cost_at(&f, MILLION + 1);
        cr_assert_gt(one.flops, none.flops);
        cr_assert_eq(all.flops - none.flops, MILLION * (one.flops - none.flops), "%s",
                     rb_arch_name[arch]);
        cr_assert_eq(last.flops - all.flops, one.flops - none.flops);
        cr_assert_eq(all.special - none.special, MILLION * (one.special - none.special));
        cr_assert_eq(all.rd[RB_KV] - none.rd[RB_KV], MILLION * (one.rd[RB_KV] - none.rd[RB_KV]));
        cr_assert_eq(all.rd[RB_WEIGHT], none.rd[RB_WEIGHT]);
        cr_assert_eq(all.wr[RB_KV], none.wr[RB_KV]);
        close_fixture(&f);
    }
}

/* A real model, and a context that no count of 63 bits would hold. */
Test(extremes, what_cannot_be_counted_is_refused)
{
    const rb_model_params how = { .dry = true, .seed = 1 };
    const rb_bench_params params = { .n_reps = 1, .dry = true };
    rb_model *m;
    rb_bench *b;
    rb_result *r = calloc(1, sizeof *r);
    cr_assert_eq(rb_model_open(&m, "llama3.1-70b", &how, NULL), RB_OK);
    cr_assert_eq(rb_bench_open(&b, m, m, &params, NULL), RB_OK);
    rb_test t = test_of(0, 1, MILLION);
    t.n_layer = m->config.n_layer;
    rb_bench_test(b, &t, r);
    cr_assert_str_eq(r->error, "");
    cr_assert_gt(r->total.cost.rd[RB_KV], (uint64_t)MILLION * 80 * 2 * 8 * 128 * 2);
    t.n_prompt = MILLION * 8;
    t.n_depth = MILLION * 16;
    t.n_seq = 4096;
    rb_bench_test(b, &t, r);
    cr_assert(strstr(r->error, "63 bits"), "%s", r->error);
    rb_bench_close(b);
    rb_model_close(m);
    free(r);
}
