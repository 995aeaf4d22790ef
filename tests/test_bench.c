/* Workloads: token streams, plans, runs, what OI does with layers. Numbers are constructed by hand;
 * runs use a tiny model and look at counts, never at speed.
 * Read next: ../bench/run.c, ../bench/sweep.c. */
#include "../bench/bench.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* ---- tokens ---- */

enum { VOCAB = 1000 };

static rb_tokens open_tokens(int64_t n_vocab, uint64_t seed)
{
    rb_tokens t;
    cr_assert_eq(rb_tokens_open(&t, n_vocab, seed, NULL), RB_OK);
    return t;
}

Test(tokens, are_a_permutation_of_the_vocabulary)
{
    rb_tokens t = open_tokens(VOCAB, 1);
    int32_t ids[VOCAB];
    bool seen[VOCAB] = { 0 };
    int at_home = 0;
    rb_tokens_fill(&t, ids, 1, 0, VOCAB);
    for (int i = 0; i < VOCAB; i++) {
        cr_assert(ids[i] >= 0 && ids[i] < VOCAB && !seen[ids[i]], "id %d comes twice", ids[i]);
        seen[ids[i]] = true;
        at_home += ids[i] == i;
    }
    cr_assert_lt(at_home, 20, "%d of %d ids are where they were", at_home, VOCAB);
    rb_tokens_close(&t);
}

Test(tokens, depend_on_seed_and_position_alone)
{
    rb_tokens a = open_tokens(VOCAB, 1), b = open_tokens(VOCAB, 1), c = open_tokens(VOCAB, 2);
    int32_t whole[64], part[16], other[64];
    rb_tokens_fill(&a, whole, 1, 0, 64);
    rb_tokens_fill(&b, part, 1, 40, 16);
    rb_tokens_fill(&c, other, 1, 0, 64);
    cr_assert_arr_eq(part, whole + 40, sizeof part);
    cr_assert_neq(memcmp(whole, other, sizeof whole), 0);
    rb_tokens_fill(&a, part, 1, VOCAB + 40, 16); /* cycled */
    cr_assert_arr_eq(part, whole + 40, sizeof part);
    rb_tokens_close(&a);
    rb_tokens_close(&b);
    rb_tokens_close(&c);
}

Test(tokens, of_parallel_sequences_are_disjoint)
{
    enum { N_SEQ = 7, N_TOK = 500 }; /* longer than a share: 142 ids */
    rb_tokens t = open_tokens(VOCAB, 3);
    int32_t *ids = malloc(sizeof *ids * N_SEQ * N_TOK);
    int owner[VOCAB];
    memset(owner, -1, sizeof owner);
    rb_tokens_fill(&t, ids, N_SEQ, 11, N_TOK);
    for (int s = 0; s < N_SEQ; s++) {
        for (int i = 0; i < N_TOK; i++) {
            int32_t id = ids[s * N_TOK + i];
            cr_assert(owner[id] == -1 || owner[id] == s, "id %d is in two sequences", id);
            owner[id] = s;
        }
    }
    free(ids);
    rb_tokens_close(&t);
}

Test(tokens, need_a_vocabulary)
{
    rb_tokens t;
    rb_error err;
    cr_assert_eq(rb_tokens_open(&t, 0, 1, &err), RB_ERR_ARGUMENT);
}

/* ---- what OI does with layers ---- */

/* Depths 1, 2, 3 ... from a part around the layers and what each layer adds. */
static void build(rb_trend_point *p, int n, uint64_t f0, uint64_t q0, const uint64_t (*layer)[2])
{
    for (int i = 0; i < n; i++) {
        f0 += layer[i][0];
        q0 += layer[i][1];
        p[i] = (rb_trend_point){ i + 1, f0, q0, 0 };
    }
}

static void check_text(const rb_trend_point *p, int n, const char *want)
{
    char text[1024];
    rb_trend_text("tg32", p, n, text, sizeof text);
    cr_assert(strstr(text, want), "no '%s' in: %s", want, text);
    cr_assert_eq(strncmp(text, "tg32: ", 6), 0, "%s", text);
}

Test(trend, rises_when_layers_bring_more_than_the_rest)
{
    const uint64_t layer[4][2] = { { 200, 100 }, { 200, 100 }, { 200, 100 }, { 200, 100 } };
    rb_trend_point p[4];
    build(p, 4, 100, 100, layer);
    rb_trend t = rb_trend_of(p, 4);
    cr_assert_eq(t.kind, RB_TREND_RISES);
    cr_assert(t.strict && t.equal_layers && !t.n_turn);
    check_text(p, 4, "OI W+KV rises strictly with layers, from 1.5 at 1 to 1.8 at 4");
    check_text(p, 4, "the same 200 FLOPs and 100 bytes (2 FLOP/byte), more");
}

Test(trend, falls_when_they_bring_less)
{
    const uint64_t layer[4][2] = { { 100, 100 }, { 100, 100 }, { 100, 100 }, { 100, 100 } };
    rb_trend_point p[4];
    build(p, 4, 200, 100, layer);
    cr_assert_eq(rb_trend_of(p, 4).kind, RB_TREND_FALLS);
    check_text(p, 4, "OI W+KV falls strictly with layers, from 1.5 at 1 to 1.2 at 4");
    check_text(p, 4, "(1 FLOP/byte), less");
}

Test(trend, is_flat_when_they_bring_the_same_ratio)
{
    const uint64_t layer[3][2] = { { 30, 20 }, { 60, 40 }, { 3, 2 } };
    rb_trend_point p[3];
    build(p, 3, 300, 200, layer);
    rb_trend t = rb_trend_of(p, 3);
    cr_assert_eq(t.kind, RB_TREND_FLAT);
    cr_assert_not(t.strict);
    check_text(p, 3, "OI W+KV is the same, 1.5, from 1 to 3 layers");
}

/* A file that mixes dtypes: later layers are heavier per FLOP. */
Test(trend, turns_where_the_layers_change)
{
    const uint64_t layer[5][2] = {
        { 300, 100 }, { 300, 100 }, { 300, 100 }, { 100, 100 }, { 100, 100 }
    };
    rb_trend_point p[5];
    build(p, 5, 100, 100, layer);
    rb_trend t = rb_trend_of(p, 5);
    cr_assert_eq(t.kind, RB_TREND_TURNS);
    cr_assert_eq(t.n_turn, 1);
    cr_assert_eq(p[t.first_turn].n_layer, 3);
    cr_assert_not(t.equal_layers);
    check_text(p, 5, "OI W+KV is 2 at 1 layers, rises to 2.5 at 3, turns there and is 2 at 5");
    check_text(p, 5, "3 FLOP/byte for the layers up to that depth and 1 for those after it");
}

static void check_dram_text(const rb_trend_point *p, int n, const char *want)
{
    char text[1024];
    rb_dram_trend_text("tg32", p, n, 32000000, text, sizeof text);
    cr_assert(strstr(text, want), "no '%s' in: %s", want, text);
    cr_assert(strstr(text, "32 MB"), "%s", text);
}

Test(trend, of_modelled_traffic_bends_where_the_model_leaves_the_cache)
{
    const rb_trend_point p[] = { { 1, 0, 0, 0 }, { 2, 0, 0, 0 }, { 4, 0, 0, 2.5 }, { 8, 0, 0, 3 } };
    check_dram_text(p, 4, "1 to 2 layers stay in it (resident");
    check_dram_text(p, 4, "OI DRAM is 2.5 at 4 and 3 at 8.");
    check_dram_text(p, 3, "OI DRAM is 2.5 at 4.");
    check_dram_text(p, 2, "all depths stay in");
    check_dram_text(p + 2, 2, "no bend: OI DRAM is 2.5 at 4 and 3 at 8.");
}

Test(trend, turns_twice)
{
    const uint64_t layer[4][2] = { { 300, 100 }, { 100, 100 }, { 900, 100 }, { 10, 100 } };
    rb_trend_point p[4];
    build(p, 4, 100, 100, layer);
    rb_trend t = rb_trend_of(p, 4);
    cr_assert_eq(t.kind, RB_TREND_TURNS);
    cr_assert_eq(t.n_turn, 2);
    check_text(p, 4, "turns there (and again later)");
}

Test(trend, unequal_layers_may_still_be_monotone)
{
    const uint64_t layer[3][2] = { { 200, 100 }, { 300, 100 }, { 400, 100 } };
    rb_trend_point p[3];
    build(p, 3, 100, 100, layer);
    rb_trend t = rb_trend_of(p, 3);
    cr_assert_eq(t.kind, RB_TREND_RISES);
    cr_assert_not(t.equal_layers);
    check_text(p, 3, "Layers differ, and OI moves toward each added layer's own ratio");
}

/* Both ratios round to the same double; only the cross product knows. */
Test(trend, is_exact_beyond_double_precision)
{
    const uint64_t big = (uint64_t)1 << 62;
    const rb_trend_point p[] = { { 1, big, big - 1, 0 }, { 2, big + 1, big, 0 } };
    cr_assert_eq((double)p[0].flops / (double)p[0].bytes, (double)p[1].flops / (double)p[1].bytes);
    cr_assert_eq(rb_oi_compare(&p[0], &p[1]), 1);
    cr_assert_eq(rb_oi_compare(&p[1], &p[0]), -1);
    cr_assert_eq(rb_oi_compare(&p[0], &p[0]), 0);
    cr_assert_eq(rb_trend_of(p, 2).kind, RB_TREND_FALLS);
}

/* Published integers: Qwen2.5-1.5B in f16, decode at 128 tokens. */
Test(trend, of_a_real_model)
{
    static const int64_t depth[] = { 2, 28, 64 };
    rb_trend_point p[3];
    for (int i = 0; i < 3; i++)
        p[i] = (rb_trend_point){ depth[i], 466753540 + (uint64_t)depth[i] * 94444368,
                                 466756608 + (uint64_t)depth[i] * 93739008, 0 };
    rb_trend t = rb_trend_of(p, 3);
    cr_assert_eq(t.kind, RB_TREND_RISES);
    cr_assert(t.equal_layers); /* although the steps are 26 and 36 layers */
    check_text(p, 3, "from 1.00215 at 2 to 1.00698 at 64");
    check_text(p, 3, "94444368 FLOPs and 93739008 bytes");
}

Test(trend, needs_two_depths)
{
    const rb_trend_point p = { 1, 10, 10, 0 };
    cr_assert_eq(rb_trend_of(&p, 1).kind, RB_TREND_NONE);
    check_text(&p, 1, "one depth only");
}

static uint64_t need_of(void *arg, int i)
{
    return ((const uint64_t *)arg)[i];
}

Test(sweep, is_cut_to_memory_with_a_tenth_kept_free)
{
    uint64_t need[] = { 100, 200, 900, 901, 5000 };
    cr_assert_eq(rb_sweep_fit(need_of, need, 5, 1000), 3);
    cr_assert_eq(rb_sweep_fit(need_of, need, 5, 1002), 4);
    cr_assert_eq(rb_sweep_fit(need_of, need, 5, 100000), 5);
    cr_assert_eq(rb_sweep_fit(need_of, need, 5, 200), 1);
    cr_assert_eq(rb_sweep_fit(need_of, need, 5, 100), 0);
    cr_assert_eq(rb_sweep_fit(need_of, need, 5, 0), 5, "unknown memory cuts nothing");
}

/* ---- plans ---- */

static rb_plan_lists small_lists(void)
{
    static const int64_t one[] = { 1 }, layers[] = { 2, 4 }, batch[] = { 64 }, ub[] = { 32, 128 };
    static const int64_t type[] = { RB_F16 }, depth[] = { 0, 8 }, isa[] = { RB_ISA_SCALAR };
    static const int64_t prompt[] = { 16, 0 }, gen[] = { 4 }, pair[] = { 5, 6, 7, 8 };
    static const rb_way own = { .attn = RB_ATTN_OWN };
    return (rb_plan_lists){ .layers = { layers, 2 },
                            .batch = { batch, 1 },
                            .ubatch = { ub, 2 },
                            .type_k = { type, 1 },
                            .type_v = { type, 1 },
                            .threads = { one, 1 },
                            .isa = { isa, 1 },
                            .seq = { one, 1 },
                            .way = &own,
                            .n_way = 1,
                            .depth = { depth, 2 },
                            .prompt = { prompt, 2 },
                            .gen = { gen, 1 },
                            .pair = { pair, 4 } };
}

Test(plan, is_the_cross_product_in_order)
{
    rb_plan_lists l = small_lists();
    rb_plan plan;
    char name[64];
    cr_assert_eq(rb_plan_make(&plan, &l, NULL), RB_OK);
    cr_assert_eq(plan.n, 2 * 2 * 2 * 4); /* layers, ubatch, depth; pp16 tg4 and two pairs */
    cr_assert_str_eq(rb_test_name(&plan.test[0], name, sizeof name), "pp16");
    cr_assert_str_eq(rb_test_name(&plan.test[1], name, sizeof name), "tg4");
    cr_assert_str_eq(rb_test_name(&plan.test[2], name, sizeof name), "pp5+tg6");
    cr_assert_str_eq(rb_test_name(&plan.test[7], name, sizeof name), "pp7+tg8 @ d8");
    cr_assert_str_eq(rb_test_phase(&plan.test[0]), "prefill");
    cr_assert_str_eq(rb_test_phase(&plan.test[1]), "decode");
    cr_assert_str_eq(rb_test_phase(&plan.test[2]), "mixed");
    for (int i = 0; i < plan.n; i++) {
        cr_assert_eq(plan.test[i].n_layer, i < 16 ? 2 : 4);
        cr_assert_leq(plan.test[i].n_ubatch, 64, "-b caps -ub");
    }
    rb_plan_free(&plan);
}

Test(plan, drafts_are_verified_in_one_pass)
{
    static const int64_t one[] = { 1 }, ub[] = { 8 }, seq[] = { 2 }, depth[] = { 512 },
                         draft[] = { 0, 4, 7, 8 };
    static const rb_way own = { .attn = RB_ATTN_OWN };
    rb_plan_lists l = { .layers = { one, 1 },
                        .way = &own,
                        .n_way = 1,
                        .batch = { ub, 1 },
                        .ubatch = { ub, 1 },
                        .type_k = { one, 1 },
                        .type_v = { one, 1 },
                        .threads = { one, 1 },
                        .isa = { one, 1 },
                        .seq = { seq, 1 },
                        .depth = { depth, 1 },
                        .draft = { draft, 3 } };
    rb_plan plan;
    char name[64];
    cr_assert_eq(rb_plan_make(&plan, &l, NULL), RB_OK);
    cr_assert_eq(plan.n, 2, "0: none");
    const rb_test *t = &plan.test[0];
    cr_assert(t->n_draft == 4 && t->n_prompt == 5 && t->n_gen == 0);
    cr_assert_str_eq(rb_test_name(t, name, sizeof name), "vf4 x 2 @ d512");
    cr_assert_str_eq(rb_test_phase(t), "verify");
    cr_assert_eq(rb_test_tokens(t), 10);
    rb_test prompt = *t, form = *t;
    prompt.n_draft = 0;
    form.model = 1;
    cr_assert(rb_test_equal(t, t) && !rb_test_equal(t, &prompt) && !rb_test_equal(t, &form));
    rb_plan_free(&plan);
    l.draft.n = 4;
    cr_assert_eq(rb_plan_make(&plan, &l, NULL), RB_ERR_ARGUMENT, "nine in a pass of eight");
    rb_plan_free(&plan);
}

Test(plan, refuses_to_explode)
{
    rb_plan_lists l = small_lists();
    int64_t *many = calloc(50000, sizeof *many);
    rb_plan plan;
    rb_error err;
    l.depth = (rb_list){ many, 50000 };
    cr_assert_eq(rb_plan_make(&plan, &l, &err), RB_ERR_ARGUMENT);
    free(many);
}

/* ---- figures ---- */

Test(figures, of_a_result)
{
    rb_result *r = calloc(1, sizeof *r);
    r->test.n_gen = 4;
    r->test.n_seq = 2;
    r->ns.median = 2e9;
    r->total.cost.flops = 6000;
    r->total.cost.rd[RB_WEIGHT] = 1000;
    r->total.cost.rd[RB_KV] = 400;
    r->total.cost.wr[RB_KV] = 100;
    r->total.cost.rd[RB_ACT] = 300;
    r->total.cost.wr[RB_ACT] = 200;
    r->total.cost.rd[RB_CTRL] = 12345; /* never traffic */
    cr_assert_eq(rb_tally_oi(&r->total), 4.0);
    cr_assert_eq(rb_tally_oi_kernel(&r->total), 3.0);
    cr_assert_eq(rb_result_tps(r), 4.0);
    cr_assert_eq(rb_result_gflops(r), 3e-6);
    cr_assert_eq(rb_result_gbps(r), 0.75e-6);
    memset(&r->total, 0, sizeof r->total);
    cr_assert_eq(rb_tally_oi(&r->total), 0.0);
    free(r);
}

/* ---- runs ---- */

typedef struct fixture {
    rb_model *model, *shape;
    rb_bench *bench;
    rb_result *r;
} fixture;

static fixture open_fixture(rb_bench_params params)
{
    fixture f = { .r = calloc(1, sizeof *f.r) };
    rb_model_params how = { .dry = true, .seed = 1 };
    cr_assert_eq(rb_model_open(&f.shape, "tiny", &how, NULL), RB_OK);
    how.dry = params.dry;
    cr_assert_eq(rb_model_open(&f.model, "tiny", &how, NULL), RB_OK);
    cr_assert_eq(rb_bench_open(&f.bench, f.model, f.shape, &params, NULL), RB_OK);
    return f;
}

static void close_fixture(fixture *f)
{
    rb_bench_close(f->bench);
    rb_model_close(f->model);
    rb_model_close(f->shape);
    free(f->r);
}

static rb_test small_test(int64_t n_prompt, int64_t n_gen, int64_t n_depth)
{
    rb_test t = { .n_prompt = n_prompt,
                  .n_gen = n_gen,
                  .n_depth = n_depth,
                  .n_seq = 1,
                  .n_layer = 4,
                  .n_batch = 2048,
                  .n_ubatch = 16,
                  .n_threads = 2,
                  .type_k = RB_F16,
                  .type_v = RB_F16 };
    cr_assert_eq(rb_isa_detect(&t.isa, &t.capped, NULL), RB_OK);
    return t;
}

static const rb_bench_params three = { .n_reps = 3, .warmup = true, .seed = 1 };
static const rb_bench_params dry = { .n_reps = 1, .dry = true, .seed = 1 };

/* One session after the other, and none without room for the logits of all. */
Test(run, drafts_have_logits_of_every_token)
{
    fixture f = open_fixture(three);
    rb_test step = small_test(0, 8, 8), draft = small_test(5, 0, 8);
    draft.n_draft = 4;
    rb_bench_test(f.bench, &step, f.r);
    cr_assert_str_eq(f.r->error, "");
    rb_bench_test(f.bench, &draft, f.r);
    cr_assert_str_eq(f.r->error, "");
    cr_assert_eq(f.r->ledger.at[RB_PREFILL][RB_SITE_LM_HEAD][RB_OP_MATMUL].cost.flops,
                 (uint64_t)(2 * 5 * f.model->config.n_embd * f.model->config.n_vocab));
    close_fixture(&f);
}

Test(run, ledger_is_of_one_repetition)
{
    fixture f = open_fixture(three);
    rb_test t = small_test(40, 0, 0);
    rb_bench_test(f.bench, &t, f.r);
    cr_assert_str_eq(f.r->error, "");
    cr_assert_eq(f.r->n_samples, 3);
    cr_assert_eq(f.r->ns.n, 3);
    /* three micro-batches of 16, 16 and 8: four layers each, the head in the last only */
    cr_assert_eq(f.r->ledger.at[RB_PREFILL][RB_SITE_ATTN][RB_OP_ATTEND].calls, 12);
    cr_assert_eq(f.r->ledger.at[RB_PREFILL][RB_SITE_LM_HEAD][RB_OP_MATMUL].calls, 1);
    cr_assert_eq(f.r->ledger.at[RB_PREFILL][RB_SITE_EMBED][RB_OP_EMBED].calls, 3);
    cr_assert_eq(rb_ledger_phase(&f.r->ledger, RB_DECODE).calls, 0);
    cr_assert_gt(f.r->total.ns, 0);
    /* kernels, barriers, launches and the rest are the wall clock of the median repetition */
    const rb_tally *all = &f.r->total;
    cr_assert_eq(all->ns + all->barrier_ns + all->launch_ns + rb_result_other_ns(f.r),
                 f.r->sample[f.r->median].ns);
    cr_assert_eq((double)f.r->sample[f.r->median].ns, f.r->ns.median);
    close_fixture(&f);
}

Test(run, mixed_books_both_phases)
{
    fixture f = open_fixture(three);
    rb_test t = small_test(8, 5, 0);
    rb_bench_test(f.bench, &t, f.r);
    cr_assert_str_eq(f.r->error, "");
    cr_assert_eq(f.r->ledger.at[RB_PREFILL][RB_SITE_LM_HEAD][RB_OP_MATMUL].calls, 1);
    cr_assert_eq(f.r->ledger.at[RB_DECODE][RB_SITE_LM_HEAD][RB_OP_MATMUL].calls, 5);
    close_fixture(&f);
}

/* The same counts dry and real, at a depth, with several sequences, whatever ran before. */
Test(run, dry_counts_are_the_real_ones)
{
    const rb_test tests[] = { small_test(40, 0, 0), small_test(0, 6, 0), small_test(0, 6, 30),
                              small_test(20, 3, 7), small_test(0, 2, 0) };
    fixture real = open_fixture(three), count = open_fixture(dry);
    for (int i = 0; i < 10; i++) {
        rb_test t = tests[i % 5];
        t.n_seq = i < 5 ? 1 : 3;
        t.n_layer = i % 2 ? 4 : 6; /* 6: two copies */
        rb_bench_test(real.bench, &t, real.r);
        rb_bench_test(count.bench, &t, count.r);
        cr_assert_str_eq(real.r->error, "");
        cr_assert_str_eq(count.r->error, "");
        cr_assert(rb_cost_equal(&real.r->total.cost, &count.r->total.cost), "test %d", i);
        cr_assert_eq(real.r->memory.kv, count.r->memory.kv);
        cr_assert_eq(real.r->memory.weights, count.r->memory.weights);
        cr_assert_str_eq(real.r->kv_fill, "real");
    }
    close_fixture(&real);
    close_fixture(&count);
}

/* What one test leaves in the cache is the context of the next, of as many layers at most. */
Test(run, a_context_that_was_not_computed_is_called_synthetic)
{
    rb_bench_params params = three;
    params.max_fill_flops = 1;
    fixture f = open_fixture(params);
    rb_test t = small_test(16, 0, 0);
    rb_bench_test(f.bench, &t, f.r);
    cr_assert_str_eq(f.r->kv_fill, "real");
    t = small_test(0, 0, 8);
    t.n_prompt = 2;
    rb_bench_test(f.bench, &t, f.r);
    cr_assert_str_eq(f.r->kv_fill, "real");
    t.n_layer = 3;
    rb_bench_test(f.bench, &t, f.r);
    cr_assert_str_eq(f.r->kv_fill, "real");
    t.n_layer = 5;
    rb_bench_test(f.bench, &t, f.r);
    cr_assert_str_eq(f.r->error, "");
    cr_assert_str_eq(f.r->kv_fill, "synthetic");
    close_fixture(&f);
}

/* n decode steps at depth d see d + 1 ... d + n keys. */
Test(run, decode_reads_the_cache_at_its_depth)
{
    fixture f = open_fixture(dry);
    const uint64_t row = 4 * 2 * 2 * 16 * 2; /* layers, k and v, heads, columns, bytes */
    rb_test t = small_test(0, 3, 10);
    rb_bench_test(f.bench, &t, f.r);
    rb_bytes b = rb_cost_bytes(&f.r->total.cost);
    cr_assert_eq(b.kv_read, row * (11 + 12 + 13));
    cr_assert_eq(b.kv_write, row * 3);
    cr_assert_eq((uint64_t)f.r->kv_bytes_per_token, row);
    close_fixture(&f);
}

Test(run, layers_beyond_the_model_are_copies_in_memory_of_their_own)
{
    fixture f = open_fixture(three);
    rb_test t = small_test(4, 0, 0);
    rb_bench_test(f.bench, &t, f.r);
    uint64_t own = f.r->memory.weights;
    t.n_layer = 7;
    rb_bench_test(f.bench, &t, f.r);
    cr_assert_str_eq(f.r->error, "");
    cr_assert_eq(f.r->memory.weights, own + 3 * (uint64_t)rb_model_layer_bytes(f.model));
    cr_assert_eq(rb_model_bytes(f.model), f.r->memory.weights);
    close_fixture(&f);
}

Test(run, what_cannot_run_is_a_row_with_an_error)
{
    fixture f = open_fixture(three);
    rb_test t = small_test(4, 0, 0);
    t.n_seq = 257; /* a vocabulary of 256 */
    rb_bench_test(f.bench, &t, f.r);
    cr_assert(strstr(f.r->error, "disjoint"), "%s", f.r->error);
    t = small_test(1 << 24, 0, 0);
    t.n_seq = 256;
    rb_bench_test(f.bench, &t, f.r);
    cr_assert(strstr(f.r->error, "63 bits"), "%s", f.r->error);
    t = small_test(0, 1, 1 << 24);
    t.n_layer = 600; /* terabytes of cache */
    rb_bench_test(f.bench, &t, f.r);
    cr_assert(strstr(f.r->error, "out of memory"), "%s", f.r->error);
    t = small_test(4, 0, 0);
    rb_bench_test(f.bench, &t, f.r);
    cr_assert_str_eq(f.r->error, "", "the next test still runs");
    close_fixture(&f);
}

static bool stop_after(void *arg)
{
    int *left = arg;
    return (*left)-- <= 0;
}

Test(run, stops_between_steps)
{
    int left = 20;
    rb_bench_params params = three;
    params.stop = stop_after;
    params.arg = &left;
    fixture f = open_fixture(params);
    rb_test t = small_test(0, 100, 0);
    rb_bench_test(f.bench, &t, f.r);
    cr_assert(f.r->interrupted);
    cr_assert_str_eq(f.r->error, "");
    cr_assert_eq(f.r->n_samples, 0);
    close_fixture(&f);
}
