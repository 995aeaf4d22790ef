/* What others bring: registries and what they refuse, kernels and operations from outside through
 * the door, variants of attention through a session, and what the proofs say of them. The examples
 * themselves are run by test_examples.c. Read next: ../kernels/register.h, ../engine/variant.h. */
#include <criterion/criterion.h>

#include <signal.h>
#include <string.h>

#include "../bench/rbench.h"

/* ---- rows to bring: those of add, as somebody else's ---- */

static const rb_kernel *built_in(rb_op_id op, rb_isa isa)
{
    for (int i = 0; i < rb_registry_size(); i++)
        if (rb_registry_row(i)->op->id == op && rb_registry_row(i)->isa == isa)
            return rb_registry_row(i);
    return NULL;
}

/* A scalar row and its twin, as the builds of one file export them. */
typedef struct builds {
    rb_kernel row[2];
    rb_kernel_list list[2];
    const rb_kernel_list *all[3];
} builds;

static void builds_of(builds *b, rb_op_id op)
{
    const rb_isa isa[] = { RB_ISA_SCALAR, RB_ISA_COUNT1 };
    memset(b, 0, sizeof *b);
    for (int i = 0; i < 2; i++) {
        b->row[i] = *built_in(op, isa[i]);
        b->row[i].of = b->row[i].op->name;
        b->row[i].op = NULL;
        b->row[i].variant = "mine";
        b->list[i] = (rb_kernel_list){ &b->row[i], 1 };
        b->all[i] = &b->list[i];
    }
}

static rb_registry *registry(void)
{
    rb_registry *r;
    cr_assert_eq(rb_registry_open(&r, NULL), RB_OK);
    return r;
}

static rb_team *scalar_team(const rb_registry *r, bool prove)
{
    rb_error err;
    rb_team *team;
    const rb_team_params params = {
        .n_threads = 1, .isa = RB_ISA_SCALAR, .capped = true, .registry = r, .prove = prove
    };
    cr_assert_eq(rb_team_open(&team, &params, &err), RB_OK, "%s", err.text);
    return team;
}

Test(outside, an_added_row_is_preferred_where_its_registry_is)
{
    rb_registry *r = registry();
    builds b, again;
    rb_case c;
    builds_of(&b, RB_OP_ADD);
    builds_of(&again, RB_OP_ADD);
    again.row[0].variant = again.row[1].variant = "later";
    cr_assert_eq(rb_register(r, b.all, NULL), RB_OK);
    cr_assert_eq(rb_case_make(&c, built_in(RB_OP_ADD, RB_ISA_SCALAR), RB_FILL_RANDOM, 1, NULL),
                 RB_OK);
    rb_team *mine = scalar_team(r, false), *plain = scalar_team(NULL, false);
    cr_expect_str_eq(rb_select(mine, RB_OP_ADD, &c.call)->variant, "mine");
    cr_expect_eq(rb_select(plain, RB_OP_ADD, &c.call), built_in(RB_OP_ADD, RB_ISA_SCALAR));
    cr_assert_eq(rb_register(r, again.all, NULL), RB_OK);
    rb_team *later = scalar_team(r, false);
    cr_expect_str_eq(rb_select(later, RB_OP_ADD, &c.call)->variant, "later");
    cr_expect_eq(rb_counting_twin(rb_registered(r, 0)), rb_registered(r, 1));
    cr_expect_null(rb_registered(r, 4));
    cr_expect_null(rb_registered(NULL, 0));
    rb_case_free(&c);
    rb_team_close(mine);
    rb_team_close(later);
    rb_team_close(plain);
    rb_registry_close(r);
}

static void refused(const builds *b, const char *why)
{
    rb_registry *r = registry();
    rb_error err = { 0 };
    cr_expect_eq(rb_register(r, b->all, &err), RB_ERR_ARGUMENT, "taken: %s", why);
    cr_expect(strstr(err.text, why), "'%s', wanted '%s'", err.text, why);
    cr_expect_null(rb_registered(r, 0), "%s: and yet it was added", why);
    rb_registry_close(r);
}

Test(outside, what_is_incomplete_is_refused)
{
    static const rb_term beyond[] = { { 1, { 7, -1, -1 } }, { 0 } };
    static const rb_term none[] = { { 0 } };
    builds b;
    builds_of(&b, RB_OP_ADD);
    b.row[0].run = NULL;
    refused(&b, "it wants isa, n_phase, units and run");
    builds_of(&b, RB_OP_ADD);
    b.row[0].of = NULL;
    refused(&b, "either .of");
    builds_of(&b, RB_OP_ADD);
    b.row[1].of = "nosuch";
    refused(&b, "there is no such op");
    builds_of(&b, RB_OP_ADD);
    b.row[0].extra = beyond;
    refused(&b, "a dim that its op has not");
    builds_of(&b, RB_OP_ADD);
    b.all[1] = NULL;
    refused(&b, "no counting twin");
    builds_of(&b, RB_OP_ADD);
    b.row[1].variant = "other";
    refused(&b, "no counting twin");
    builds_of(&b, RB_OP_ADD);
    b.row[0].of = NULL;
    b.row[0].op = rb_op_get(RB_OP_ADD);
    refused(&b, "an id of its own");
    rb_op own = *rb_op_get(RB_OP_ADD);
    own.id = RB_OP_OWN;
    b.row[0].op = &own;
    refused(&b, "the name of one that is here");
    own.name = "own";
    own.flops = NULL;
    refused(&b, "wants name, flops, special and check");
    own.flops = none;
    own.id = RB_N_OP;
    refused(&b, "an id of its own");
}

/* A row that says why it has no twin is taken, and never proven. */
Test(outside, an_unproven_row_says_so)
{
    rb_registry *r = registry();
    rb_finding f;
    builds b;
    builds_of(&b, RB_OP_ADD);
    b.all[1] = NULL;
    b.row[0].unproven = "written in another language";
    cr_assert_eq(rb_register(r, b.all, NULL), RB_OK);
    rb_prove_rows(r, 3, &f);
    cr_expect_eq(f.verdict, RB_FAILED);
    cr_expect(strstr(f.text, "written in another language"), "%s", f.text);
    rb_registry_close(r);
}

Test(outside, rows_are_proven_by_their_twins)
{
    static const rb_term one[] = { { 1, { 0, 1, -1 } }, { 0 } };
    rb_registry *r = registry();
    rb_finding f;
    builds b;
    rb_prove_rows(r, 3, &f);
    cr_expect_eq(f.verdict, RB_SKIPPED);
    builds_of(&b, RB_OP_ADD);
    cr_assert_eq(rb_register(r, b.all, NULL), RB_OK);
    rb_prove_rows(r, 8, &f);
    cr_expect_eq(f.verdict, RB_PASSED, "%s", f.text);
    b.row[0].extra = one;
    cr_assert_eq(rb_register(r, b.all, NULL), RB_OK);
    rb_prove_rows(r, 8, &f);
    cr_expect_eq(f.verdict, RB_FAILED);
    cr_expect(strstr(f.text, "flops: executed"), "%s", f.text);
    rb_registry_close(r);
}

/* ---- an operation that is not here ---- */

static void launch_own(rb_exec *ex, void *call)
{
    ex->site = RB_SITE_RESIDUAL;
    rb_launch(ex, RB_OP_OWN, call);
}

/* add, as an operation of somebody's own, through the door and through the proof. */
Test(outside, an_operation_is_counted_and_proven)
{
    rb_registry *r = registry();
    rb_case c;
    builds b;
    char name[64];
    rb_op own = *rb_op_get(RB_OP_ADD);
    own.id = RB_OP_OWN;
    own.name = "own_add";
    builds_of(&b, RB_OP_ADD);
    for (int i = 0; i < 2; i++) {
        b.row[i].of = NULL;
        b.row[i].op = &own;
    }
    cr_assert_eq(rb_register(r, b.all, NULL), RB_OK);
    cr_assert_eq(rb_case_make(&c, built_in(RB_OP_ADD, RB_ISA_SCALAR), RB_FILL_RANDOM, 1, NULL),
                 RB_OK);
    for (int prove = 0; prove < 2; prove++) {
        rb_team *team = scalar_team(r, prove);
        rb_step(team, launch_own, &c.call);
        const rb_tally *t = &rb_team_ledger(team)->at[RB_PREFILL][RB_SITE_RESIDUAL][RB_OP_OWN];
        const rb_tally sum = rb_ledger_phase(rb_team_ledger(team), RB_PREFILL);
        cr_expect_eq(t->calls, 1);
        cr_expect_eq(t->cost.flops, (uint64_t)rb_view_elements(&c.call.t[0]));
        cr_expect_eq(sum.cost.flops, t->cost.flops);
        cr_expect_str_eq(rb_kernel_name(t->kernel, name, sizeof name), "own_add.f32.mine.scalar");
        cr_expect_str_eq(rb_team_proof(team)->mismatch, "");
        cr_expect_eq(rb_team_proof(team)->flops, prove ? t->cost.flops : 0);
        rb_team_close(team);
    }
    rb_case_free(&c);
    rb_registry_close(r);
}

Test(outside, an_operation_of_no_registry_aborts, .signal = SIGABRT)
{
    rb_call call = { 0 };
    rb_step(scalar_team(NULL, false), launch_own, &call);
}

/* ---- attention ---- */

enum { Q, K, V, N_TOK = 21 };

static rb_attn_geom geom(const rb_config *c)
{
    return (rb_attn_geom){ .n_head_k = c->n_head_kv,
                           .d_k = c->d_head_k,
                           .n_head_v = c->n_head_kv,
                           .d_v = c->d_head_v,
                           .d_out = c->d_head_v,
                           .pad = { c->n_head * c->d_head_k, c->n_head_kv * c->d_head_k,
                                    c->n_head_kv * c->d_head_v } };
}

static void project(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x, rb_attend_in *in)
{
    const rb_model *m = rb_session_model(s);
    const rb_config *c = &m->config;
    const rb_layer *w = &m->layer[layer];
    const rb_view q = rb_session_pad(s, Q, c->n_head, c->d_head_k);
    const rb_view k = rb_session_pad(s, K, c->n_head_kv, c->d_head_k);
    const rb_view v = rb_session_pad(s, V, c->n_head_kv, c->d_head_v);
    const rb_linear out[] = { { .y = rb_attn_rows(q), .w = w->wq },
                              { .y = rb_attn_rows(k), .w = w->wk },
                              { .y = rb_attn_rows(v), .w = w->wv } };
    const rb_kv_piece piece[] = { { rb_session_cache(s, layer, 0), k },
                                  { rb_session_cache(s, layer, 1), v } };
    ex->site = RB_SITE_QKV;
    rb_op_matmul(ex, x, 3, out);
    ex->site = RB_SITE_ROPE;
    rb_op_rope(ex, q, k, rb_session_rope_table(s, layer), rb_session_positions(s), c->rope_pairing);
    ex->site = RB_SITE_KV_STORE;
    rb_op_kv_store(ex, 2, piece, rb_session_past(s));
    in->q = q;
}

static void expose(const rb_session *s, rb_exec *ex, int64_t layer, rb_attend_in *in)
{
    (void)ex;
    in->k = rb_session_cache(s, layer, 0);
    in->v = rb_session_cache(s, layer, 1);
}

static rb_attn_claim claim(const rb_config *c, const rb_layer *w, const rb_attn_run *r)
{
    const int64_t d = c->d_head_k, h = c->n_head, g = c->n_head_kv, e = c->n_embd;
    const int64_t n = r->n_seq * r->n, t = r->n_seq * (r->past + r->n);
    const int64_t s = r->n_seq * (r->n * r->past + r->n * (r->n + 1) / 2);
    const int64_t row = g * (rb_row_bytes(r->type_k, d) + rb_row_bytes(r->type_v, d));
    return (rb_attn_claim){ .flops = 4 * n * e * (h + g) * d + 3 * n * (h + g) * d + 4 * d * h * s +
                                     h * (5 * s + n),
                            .weight = 2 * (h + g) * d * rb_row_bytes(w->wq.dtype, e),
                            .kv_read = t * row,
                            .kv_write = n * row };
}

/* GQA, as somebody would write it who has the public headers alone. */
static const rb_attn_variant gqa = { .name = "gqa again",
                                     .geom = geom,
                                     .project = project,
                                     .expose = expose,
                                     .merge = rb_attn_merge_heads,
                                     .claim = claim };

static rb_model *tiny(void)
{
    rb_model *m;
    rb_error err;
    const rb_model_params params = { 0 };
    cr_assert_eq(rb_model_open(&m, "tiny", &params, &err), RB_OK, "%s", err.text);
    return m;
}

static rb_session *run_as(const rb_model *m, rb_session_params p)
{
    rb_session *s;
    rb_error err;
    int32_t ids[N_TOK + 1];
    for (int i = 0; i <= N_TOK; i++)
        ids[i] = (i * 11 + 5) % 256;
    p.n_ctx = N_TOK + 1;
    p.n_ubatch = 8;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, N_TOK, false, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_session_run(s, RB_DECODE, ids + N_TOK, 1, false, &err), RB_OK, "%s", err.text);
    return s;
}

static rb_session *run_tokens(const rb_model *m, const rb_attn_variant *variant)
{
    rb_session_params p = rb_session_defaults();
    p.variant = variant;
    return run_as(m, p);
}

/* Logits and every count of a variant from outside are those of the same variant from within. */
Test(outside, a_variant_does_what_the_engine_does)
{
    rb_model *m = tiny();
    rb_session *own = run_tokens(m, &gqa), *plain = run_tokens(m, NULL);
    cr_expect_arr_eq(rb_session_logits(own), rb_session_logits(plain),
                     (size_t)m->config.n_vocab * sizeof(float));
    for (rb_phase phase = 0; phase < RB_N_PHASE; phase++)
        for (rb_site site = 0; site < RB_N_SITE; site++) {
            const rb_tally a = rb_ledger_site(rb_session_ledger(own), phase, site);
            const rb_tally b = rb_ledger_site(rb_session_ledger(plain), phase, site);
            cr_expect(rb_cost_equal(&a.cost, &b.cost), "%s", rb_site_name[site]);
        }
    cr_expect_eq(rb_session_kv_bytes(own), rb_session_kv_bytes(plain));
    rb_session_close(own);
    rb_session_close(plain);
    rb_model_close(m);
}

static void attend_own(const rb_session *s, rb_exec *ex, int64_t layer, const rb_attend_in *in,
                       rb_view o)
{
    (void)layer;
    const rb_call call = { .t = { o, in->q, in->k, in->k2, in->v, in->q2 },
                           .p.scale = rb_score_scale(&rb_session_model(s)->config),
                           .past = rb_session_past(s) };
    rb_launch(ex, RB_OP_OWN, &call);
}

/* A core of its own: an operation from outside within a variant from outside, run and proven. */
Test(outside, a_variant_brings_its_core)
{
    rb_model *m = tiny();
    rb_registry *r = registry();
    rb_session_params p = rb_session_defaults();
    rb_attn_variant v = gqa;
    builds b;
    rb_op own = *rb_op_get(RB_OP_ATTEND);
    own.id = RB_OP_OWN;
    own.name = "own_attend";
    builds_of(&b, RB_OP_ATTEND);
    for (int i = 0; i < 2; i++) {
        b.row[i].of = NULL;
        b.row[i].op = &own;
    }
    cr_assert_eq(rb_register(r, b.all, NULL), RB_OK);
    v.attend = attend_own;
    p.isa = RB_ISA_SCALAR;
    p.capped = true;
    rb_session *plain = run_as(m, p);
    p.registry = r;
    p.variant = &v;
    rb_session *mine = run_as(m, p);
    const rb_tally *t = &rb_session_ledger(mine)->at[RB_DECODE][RB_SITE_ATTN][RB_OP_OWN];
    cr_expect_eq(t->calls, 4, "own core: %d launches", (int)t->calls);
    cr_expect_arr_eq(rb_session_logits(mine), rb_session_logits(plain),
                     (size_t)m->config.n_vocab * sizeof(float));
    rb_session_close(mine);
    rb_session_close(plain);
    p.prove = true;
    mine = run_as(m, p);
    cr_expect_str_eq(rb_session_proof(mine)->mismatch, "");
    rb_session_close(mine);
    rb_registry_close(r);
    rb_model_close(m);
}

static rb_verdict proven(const rb_model *m, const rb_attn_variant *v, rb_finding *f)
{
    rb_session_params p = rb_session_defaults();
    rb_error err;
    p.variant = v;
    cr_assert_eq(rb_prove_session(m, &p, f, &err), RB_OK, "%s", err.text);
    return f->verdict;
}

static rb_attn_claim wrong_claim(const rb_config *c, const rb_layer *w, const rb_attn_run *r)
{
    rb_attn_claim x = claim(c, w, r);
    x.kv_read -= r->past > 1000; /* one byte, at large contexts */
    return x;
}

Test(outside, a_variant_is_proven_by_counting_and_by_its_closed_form)
{
    rb_model *m = tiny();
    rb_finding f;
    rb_attn_variant v = gqa;
    cr_expect_eq(proven(m, &gqa, &f), RB_PASSED, "%s", f.text);
    cr_expect(strstr(f.text, "closed form"), "%s", f.text);
    cr_expect_eq(proven(m, NULL, &f), RB_PASSED, "%s", f.text);
    cr_expect_null(strstr(f.text, "closed form"), "%s", f.text);
    v.claim = wrong_claim;
    cr_expect_eq(proven(m, &v, &f), RB_FAILED);
    cr_expect(strstr(f.text, "bytes of KV read of attention, decode of 1 after 4095"), "%s",
              f.text);
    rb_model_close(m);
}

Test(outside, a_variant_without_its_hooks_is_refused)
{
    rb_model *m = tiny();
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    rb_attn_variant v = gqa;
    v.expose = NULL;
    p.variant = &v;
    cr_expect_eq(rb_session_open(&s, m, &p, &err), RB_ERR_ARGUMENT);
    cr_expect(strstr(err.text, "wants name, geom, project"), "%s", err.text);
    v = gqa;
    p.type_k = RB_Q8_0; /* heads of tiny have 16 columns */
    cr_expect_eq(rb_session_open(&s, m, &p, &err), RB_ERR_UNSUPPORTED);
    cr_expect(strstr(err.text, "a head of K has 16"), "%s", err.text);
    rb_model_close(m);
}

/* ---- a benchmark ---- */

typedef struct seen {
    rb_ledger ledger[2];
    char error[2][128];
} seen;

static void see(void *arg, int i, const rb_result *r)
{
    seen *s = arg;
    s->ledger[i] = r->ledger;
    snprintf(s->error[i], sizeof s->error[i], "%.120s", r->error);
}

static void bench_both(rb_model *m, const rb_outside *own, int n_own, seen *s)
{
    const rb_bench_params params = {
        .n_reps = 1, .dry = true, .no_dram = true, .seed = 1, .outside = own, .n_outside = n_own
    };
    const rb_test test = { .n_prompt = 32,
                           .n_seq = 1,
                           .n_layer = 4,
                           .n_batch = 32,
                           .n_ubatch = 32,
                           .n_threads = 1,
                           .type_k = RB_F16,
                           .type_v = RB_F16 };
    rb_test both[] = { test, test };
    const rb_plan plan = { both, 2 };
    const rb_sink sink = { .row = see, .arg = s };
    rb_bench *b;
    rb_error err;
    both[1].outside = 1;
    cr_expect_not(rb_test_equal(&both[0], &both[1]));
    cr_assert_eq(rb_bench_open(&b, m, m, &params, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_bench_run(b, &plan, &sink, &err), RB_OK, "%s", err.text);
    rb_bench_close(b);
}

Test(outside, tests_of_a_benchmark_name_what_runs_them)
{
    static seen s;
    rb_model *m = tiny();
    rb_registry *r = registry();
    builds b;
    char name[64];
    builds_of(&b, RB_OP_ADD);
    cr_assert_eq(rb_register(r, b.all, NULL), RB_OK);
    const rb_outside own = { .name = "mine", .registry = r, .variant = &gqa };
    bench_both(m, &own, 1, &s);
    cr_expect_str_eq(s.error[0], "");
    cr_expect_str_eq(s.error[1], "");
    for (int i = 0; i < 2; i++) {
        const rb_tally *t = &s.ledger[i].at[RB_PREFILL][RB_SITE_RESIDUAL][RB_OP_ADD];
        rb_kernel_name(t->kernel, name, sizeof name);
        cr_expect_str_eq(name, i ? "add.f32.mine.scalar" : "add.f32.scalar");
    }
    const rb_test t = { .outside = 1 };
    const rb_subject subject = { .model = m, .outside = &own };
    cr_expect_str_eq(rb_subject_attn(&subject, &t, name, sizeof name), "mine");
    const rb_outside kernels = { .name = "mine", .registry = r };
    cr_expect_not(rb_subject_exact(&subject, &t));
    const rb_subject other = { .model = m, .outside = &kernels };
    cr_expect_str_eq(rb_subject_attn(&other, &t, name, sizeof name), "gqa + mine");
    cr_expect(rb_subject_exact(&other, &t));
    bench_both(m, NULL, 0, &s);
    cr_expect_str_eq(s.error[0], "");
    cr_expect(strstr(s.error[1], "test.outside is 1"), "%s", s.error[1]);
    rb_registry_close(r);
    rb_model_close(m);
}
