/* Where roofs cross: searches and chances with known answers, sentences on results made by hand,
 * the counts of drafts against closed forms, and both sweeps as users meet them. Times are made up
 * but in the last tests. Read next: ../bench/crossing.c, ../tools/parallel.c. */
#include "../bench/bench.h"
#include "../bench/oracle.h"
#include "program.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7 };

/* ---- arithmetic ---- */

/* Weights take 1000, a sequence 2 more of memory and so much of compute. */
static bool sides(void *arg, int64_t n, rb_sides *s)
{
    const double compute = *(const double *)arg;
    *s = (rb_sides){ 1000 + 2 * (double)n, compute * (double)n };
    return n < 3000;
}

static int64_t crossing(double compute, int64_t most)
{
    return rb_crossing_of(sides, &compute, most);
}

Test(crossing, is_the_first_that_takes_longer)
{
    cr_assert_eq(crossing(12, 4096), 101, "1000 + 2 n = 12 n at 100, which is no longer");
    cr_assert_eq(crossing(12, 101), 101);
    cr_assert_eq(crossing(12, 100), 0);
    cr_assert_eq(crossing(2000, 4096), 1);
    cr_assert_eq(crossing(502.1, 4096), 2);
    cr_assert_eq(crossing(335.2, 4096), 4, "335.2 n > 1000 + 2 n from 3.0012 on");
    cr_assert_eq(crossing(2, 2000), 0, "never");
    cr_assert_eq(crossing(2, 4096), -1, "cannot be asked");
    cr_assert_eq(crossing(2000, 0), 0);
}

Test(crossing, chances_of_accepted_tokens)
{
    cr_assert_float_eq(rb_accept_chance(1, 0.25), 0.25, 1e-9);
    cr_assert_float_eq(rb_accept_chance(2, 0.75), 0.5, 1e-9, "1/2 + 1/4");
    cr_assert_float_eq(rb_accept_chance(4, 0.9375), 0.5, 1e-9);
    cr_assert_float_eq(rb_accept_chance(3, 3), 1, 1e-9);
    cr_assert_eq(rb_accept_chance(3, 0), 0);
    cr_assert(isnan(rb_accept_chance(3, 3.01)) && isnan(rb_accept_chance(3, NAN)));
}

static rb_machine machine(void)
{
    rb_machine m = { .n_threads = 1 };
    m.roof[RB_ROOF_READ_DRAM].value = 20;
    m.roof[RB_ROOF_FMA_F32].value = 100;
    m.roof[RB_ROOF_EXP].value = 1;
    return m;
}

/* One kernel is bound by memory, the other by compute: each side sums both. */
Test(crossing, sides_sum_kernels_whatever_bounds_them)
{
    const rb_machine m = machine();
    rb_result *r = calloc(1, sizeof *r);
    r->test = (rb_test){ .n_gen = 1, .n_ubatch = 1 };
    rb_tally *a = &r->ledger.at[RB_DECODE][RB_SITE_QKV][RB_OP_MATMUL];
    rb_tally *b = &r->ledger.at[RB_DECODE][RB_SITE_ATTN][RB_OP_ATTEND];
    a->calls = b->calls = 1;
    a->cost.rd[RB_WEIGHT] = 20000, a->cost.flops = 10000;                   /* 1000 ns; 100 ns */
    b->cost.rd[RB_KV] = 2000, b->cost.flops = 30000, b->cost.special = 500; /* 100; 300, exp 500 */
    rb_sides s = rb_place_sides(r, &m, (rb_scale){ 1, 1 });
    cr_assert_float_eq(s.memory_ns, 1100, 1e-9);
    cr_assert_float_eq(s.compute_ns, 600, 1e-9);
    s = rb_place_sides(r, &m, (rb_scale){ 0.5, 2 });
    cr_assert_float_eq(s.memory_ns, 2200, 1e-9);
    cr_assert_float_eq(s.compute_ns, 300, 1e-9);
    free(r);
}

/* ---- sentences ---- */

/* A step: 1000 bytes of weights and 10 a sequence or token, 100 FLOPs each. */
static double bytes_of(int64_t n)
{
    return 1000 + 10 * (double)n;
}

static bool count(void *arg, const rb_test *t, rb_scale scale, rb_demand *d)
{
    const rb_machine *m = arg;
    const int64_t n = t->n_draft || t->n_prompt ? t->n_prompt : t->n_seq;
    cr_assert(!t->n_draft || (t->n_prompt == t->n_draft + 1 && t->n_ubatch >= t->n_prompt));
    *d = (rb_demand){ 100 * (double)n, bytes_of(n), { 0, 0 } };
    if (m)
        d->least = (rb_sides){ d->bytes / (20 * scale.memory), d->flops / (100 * scale.clock) };
    return true;
}

typedef struct made {
    rb_test test;
    double ns[ROUNDS];
    rb_bound bound;
} made;

static void note(rb_crossings *c, const rb_machine *m, const made *x)
{
    rb_result *r = calloc(1, sizeof *r);
    const int64_t n = x->test.n_draft ? x->test.n_prompt : x->test.n_seq;
    const int64_t steps = x->test.n_gen ? x->test.n_gen : 1;
    r->test = x->test;
    r->machine = m;
    r->place.bound = m ? x->bound : RB_BOUND_NONE;
    r->n_samples = ROUNDS;
    for (int i = 0; i < ROUNDS; i++)
        r->sample[i] = (rb_sample){ .ns = (uint64_t)(x->ns[i] * (double)steps) };
    r->total.cost.flops = (uint64_t)(100 * n * steps);
    r->total.cost.rd[RB_WEIGHT] = (uint64_t)(bytes_of(n) * (double)steps);
    cr_assert_eq(rb_crossings_note(c, &r->test, r, NULL), RB_OK);
    free(r);
}

static made step_of(int64_t n_seq, double ns, rb_bound bound)
{
    made x = { .test = { .n_gen = 2, .n_seq = n_seq, .n_ubatch = 8 }, .bound = bound };
    for (int i = 0; i < ROUNDS; i++)
        x.ns[i] = ns;
    return x;
}

static made draft_of(int64_t k, double ns)
{
    made x = step_of(1, ns, RB_BOUND_COMPUTE);
    x.test.n_gen = 0;
    x.test.n_draft = k;
    x.test.n_prompt = k + 1;
    return x;
}

static const rb_model model = { .config = { .n_vocab = 5000, .n_head = 1, .n_head_kv = 1 } };
static const rb_subject subject = { .model = &model };

static void want_text(const rb_crossings *c, const rb_machine *m, const char *words)
{
    char *text = rb_crossings_text(c, &subject, count, (void *)m);
    cr_assert(text && strstr(text, words), "no '%s' in: %s", words, text);
    free(text);
}

/* Roofs: (1000 + 10 n) / 20 = n at 100. Measured: 101 ns at 1, 128 at 64, so (1000 + 10 n) / 10 =
 * 2 n at 100 too; a tenth slower at the end and they cross at 84. */
Test(crossing, predicted_and_measured)
{
    const rb_machine m = machine();
    rb_crossings c = { .over = RB_OVER_SEQUENCES };
    made last = step_of(64, 128, RB_BOUND_COMPUTE), mid = step_of(8, 500, RB_BOUND_MEMORY);
    const made first = step_of(1, 101, RB_BOUND_MEMORY);
    note(&c, &m, &last);
    note(&c, &m, &mid);
    note(&c, &m, &first);
    want_text(&c, &m,
              "tg2: by exact counts under the measured roofs compute takes longer than "
              "memory from 101 sequences on. Measured: 10.00 GB/s at 1 and 50.00 GFLOP/s "
              "at 64 sequences, two lines that cross at 101 (95 %: 101 to 101).");
    rb_crossings_clear(&c);
    for (int i = 0; i < ROUNDS; i++)
        last.ns[i] = i == 0 ? 140.8 : i == 1 ? 117 : 128;
    note(&c, NULL, &first);
    note(&c, NULL, &last);
    want_text(&c, NULL, "tg2: Measured: 10.00 GB/s");
    want_text(&c, NULL, "cross at 101 (95 %: 84 to 121), if no other roof binds the last.");
    rb_crossings_clear(&c);
}

Test(crossing, is_not_said_where_a_roof_was_not_reached)
{
    const rb_machine m = machine();
    rb_crossings c = { .over = RB_OVER_SEQUENCES };
    const made first = step_of(1, 101, RB_BOUND_OVERHEAD), last = step_of(64, 128, RB_BOUND_MEMORY);
    note(&c, &m, &last);
    want_text(&c, &m, "less than two steps");
    note(&c, &m, &first);
    want_text(&c, &m, "tg2 is bound by overhead, so that no step has the memory roof to leave.");
    rb_crossings_clear(&c);
    made resident = first;
    resident.bound = RB_BOUND_RESIDENT;
    note(&c, &m, &resident);
    note(&c, &m, &last);
    want_text(&c, &m, "tg2 x 64 is bound by memory, so that the compute roof is not reached in");
    rb_crossings_clear(&c);
    const rb_test before = first.test;
    cr_assert_eq(rb_crossings_note(&c, &before, NULL, NULL), RB_OK);
    want_text(&c, &m, "from 101 sequences on. Measured: less than two steps");
    rb_crossings_clear(&c);
}

Test(crossing, each_set_of_tests_has_its_own)
{
    rb_crossings c = { .over = RB_OVER_SEQUENCES };
    for (int i = 0; i < 2; i++)
        for (int64_t n = 1; n <= 4; n *= 4) {
            made x = step_of(n, 100, RB_BOUND_MEMORY);
            x.test.n_depth = 512 * i;
            note(&c, NULL, &x);
        }
    want_text(&c, NULL, "tg2, mha, 0 layers, cache f32 f32, 0 threads: Measured");
    want_text(&c, NULL, "tg2 @ d512, ");
    made prompt = step_of(1, 100, RB_BOUND_MEMORY);
    prompt.test.n_prompt = 4;
    const int n = c.n;
    note(&c, NULL, &prompt);
    cr_assert_eq(c.n, n, "prompts are no steps");
    rb_crossings_clear(&c);
}

/* Of each round its ratio: drift of whole rounds cancels. */
Test(crossing, what_drafts_cost_beside_a_decode_step)
{
    rb_crossings c = { .over = RB_OVER_DRAFTS };
    made step = step_of(1, 101, RB_BOUND_MEMORY), one = draft_of(1, 303), four = draft_of(4, 151.5);
    for (int i = 0; i < ROUNDS; i++) {
        step.ns[i] *= 1 + i;
        four.ns[i] *= 1 + i;
        one.ns[i] *= 1 + i;
    }
    note(&c, NULL, &one);
    note(&c, NULL, &four);
    note(&c, NULL, &step);
    want_text(&c, NULL,
              "Verifying 4 drafted tokens takes 1.50x a decode step (tg2): it pays from "
              "0.50 accepted tokens a pass on.");
    want_text(&c, NULL, " 3.00 to 3.00 |                      never |");
    want_text(&c, NULL, " 1.50 to 1.50 |                       0.50 |           34 % |");
    want_text(&c, NULL, "\nvf: Measured: ");
    rb_crossings_clear(&c);
}

/* ---- counts ---- */

Test(crossing, counts_of_a_draft_are_those_of_closed_forms)
{
    static const char *const presets[] = { "tiny", "plm-1.8b", "deepseek-v2-lite" };
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        rb_model_params how = { .dry = true, .seed = 1 };
        rb_bench_params params = { .n_reps = 1, .dry = true, .no_dram = true, .seed = 1 };
        rb_model *m = NULL;
        rb_bench *b = NULL;
        rb_result *r = calloc(1, sizeof *r);
        cr_assert_eq(rb_model_open(&m, presets[i], &how, NULL), RB_OK, "%s", presets[i]);
        cr_assert_eq(rb_bench_open(&b, m, m, &params, NULL), RB_OK);
        const bool latent = rb_config_is_mla(&m->config);
        const rb_test t = { .n_prompt = 5,
                            .n_draft = 4,
                            .n_depth = 16,
                            .n_seq = 2,
                            .n_layer = m->config.n_layer,
                            .n_batch = 512,
                            .n_ubatch = 512,
                            .n_threads = 1,
                            .type_k = RB_F16,
                            .type_v = RB_F16,
                            .attn = latent ? RB_ATTN_MLA_ABSORBED : RB_ATTN_OWN };
        rb_bench_test(b, &t, r);
        cr_assert_eq(r->error[0], 0, "%s", r->error);
        cr_assert_eq(r->memory.scratch > 0, 1);
        const rb_oracle_run run = { .phase = RB_PREFILL,
                                    .attn = t.attn,
                                    .n_layer = t.n_layer,
                                    .n_seq = 2,
                                    .n = 5,
                                    .p = 16,
                                    .n_out = 5,
                                    .n_ids = 10,
                                    .type_k = RB_F16,
                                    .type_v = RB_F16,
                                    .fused = true };
        rb_claim claim;
        rb_oracle(&m->config, m, &run, &claim);
        cr_assert_eq(r->total.cost.flops, claim.total.flops, "%s", presets[i]);
        const rb_bytes got = rb_cost_bytes(&r->total.cost), said = rb_cost_bytes(&claim.total);
        cr_assert_eq(memcmp(&got, &said, sizeof got), 0, "%s", presets[i]);
        const rb_cost head = rb_ledger_site(&r->ledger, RB_PREFILL, RB_SITE_LM_HEAD).cost;
        cr_assert_eq(head.flops, (uint64_t)(2 * 10 * m->config.n_embd * m->config.n_vocab),
                     "10 rows");
        rb_bench_close(b);
        rb_model_close(m);
        free(r);
    }
}

/* ---- the sweeps ---- */

TestSuite(cli_parallel, .init = program_setup, .fini = program_teardown);

Test(cli_parallel, the_sweep_over_sequences)
{
    char path[256], line[400];
    path_of("a.jsonl", path);
    snprintf(line, sizeof line,
             "tiny --batch-sweep=4,1,2,2 -n 2 -r 6 -t 1 -d 0,8 -o jsonl --out %s", path);
    outcome o = run(line);
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert_eq(lines_of(o.out), 6, "%s", o.out);
    cr_assert(strstr(o.err, "tg2, gqa, 4 layers") && strstr(o.err, "tg2 @ d8, "), "%s", o.err);
    cr_assert(strstr(o.err, "at 1 and ") && strstr(o.err, " at 4 sequences"), "%s", o.err);
    release(&o);
    snprintf(line, sizeof line,
             "tiny --batch-sweep=4,1,2 -n 2 -r 6 -t 1 -o jsonl --out %s --resume", path);
    o = run(line);
    cr_assert(o.code == 0 && !o.out[0], "%s", o.out);
    cr_assert(strstr(o.err, "tg2: Measured: less than two steps"), "%s", o.err);
    release(&o);
    want("tiny --batch-sweep -n 2 -r 1 -t 1", 0, "| tg2 x 64 ");
    want("tiny --batch-sweep=1,2 --draft 4 -r 1 -t 1", 0, "| vf4 x 2 ");
}

Test(cli_parallel, the_sweep_over_drafts)
{
    outcome o = run("tiny --draft-sweep -n 2 -r 6 -t 1");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert(strstr(o.out, "| vf16 @ d256 ") && strstr(o.out, "| tg2 @ d256 "), "%s", o.out);
    cr_assert(strstr(o.out, "Verifying 16 drafted tokens takes "), "%s", o.out);
    cr_assert_null(strstr(o.out, "pp"), "no prompts");
    release(&o);
    want("tiny --draft-sweep=2 -d 8 -n 0 -r 1 -t 1", 0, "vf @ d8: Measured: less than two");
}

Test(cli_parallel, predicted_under_roofs)
{
    unsetenv("RBENCH_ARG_NO_ROOFS");
    want("tiny --batch-sweep=1,2 -n 2 -r 1 -t 1", 0,
         "tg2: by exact counts under the measured roofs ");
}

/* Drafts are told as such, and counted as predicted. */
Test(cli_parallel, records_of_drafts)
{
    outcome o = run("tiny --draft 3,0 -npl 2 -d 8 -r 2 -t 1 -o json");
    cr_assert_eq(o.code, 0, "%s", o.err);
    json_t *all = parse(o.out), *r = json_array_get(all, 0);
    cr_assert_eq(json_array_size(all), 1, "0: none");
    cr_assert(integer(r, "n_draft") == 3 && integer(r, "n_prompt") == 4 && !integer(r, "n_gen"));
    cr_assert_str_eq(string(r, "phase"), "verify");
    const double ns =
        (double)json_integer_value(json_array_get(json_object_get(r, "samples_ns"), 0));
    const double ts = json_number_value(json_array_get(json_object_get(r, "samples_ts"), 0));
    cr_assert_float_eq(ts * ns / 1e9, 8, 1e-6, "tokens verified");
    outcome p = run("predict tiny --draft 3 -npl 2 -d 8 -o json");
    json_t *said = parse(p.out), *q = json_array_get(said, 0);
    cr_assert_eq(json_array_size(said), 1);
    cr_assert_eq(integer(q, "flops"), integer(r, "flops"));
    cr_assert(json_equal(json_object_get(q, "bytes"), json_object_get(r, "bytes")));
    cr_assert(json_equal(json_object_get(q, "memory"), json_object_get(r, "memory")));
    json_decref(all);
    json_decref(said);
    release(&o);
    release(&p);
    want("predict tiny --draft 3 --explain", 0, "4 tokens of 1 sequence after 0 in the cache");
}

Test(cli_parallel, mistakes)
{
    want("tiny --batch-sweep --depth-sweep", 2, "exclude each other");
    want("tiny --batch-sweep --context-sweep", 2, "exclude each other");
    want("tiny --batch-sweep -npl 2", 2, "write --batch-sweep=LIST");
    want("tiny --draft-sweep --batch-sweep", 2, "exclude each other");
    want("tiny --draft-sweep --depth-sweep", 2, "exclude each other");
    want("tiny --draft-sweep --context-sweep", 2, "exclude each other");
    want("tiny --draft-sweep --draft 3", 2, "write --draft-sweep=LIST");
    want("tiny --batch-sweep -pg 4,4", 2, "wants decode steps");
    want("tiny --batch-sweep=0", 2, "--batch-sweep");
    want("tiny --draft 8 -ub 8", 2, "-ub and -b must be 9 or more");
    want("tiny --draft x", 2, "--draft");
}
