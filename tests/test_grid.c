/* The paper's grid as data: which tests each part has of which models, what is said of what it
 * cannot have, how a budget is shared, and what records say besides. Nothing is run here but dry.
 * Read next: ../bench/paper/grid.h, test_cli_paper.c (the command). */
#include "../bench/bench.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

static rb_grid_want wanted(const char *const *name, int n)
{
    static const char *const types[] = { "f16", "q8_0", "q4_k_m" };
    rb_grid_want w = { .n_type = 3, .n_reps = 6 };
    memcpy(w.type, types, sizeof types);
    for (int i = 0; i < n; i++)
        w.model[w.n_model++] =
            (rb_grid_model){ .name = name[i], .config = rb_preset_find(name[i]) };
    return w;
}

static rb_grid grid_of(const rb_grid_want *w)
{
    rb_grid g;
    cr_assert_eq(rb_grid_make(&g, w, NULL), RB_OK);
    return g;
}

static rb_grid default_grid(void)
{
    int n;
    const char *const *name = rb_grid_presets(false, &n);
    const rb_grid_want w = wanted(name, n);
    return grid_of(&w);
}

/* The sets of a part; *first: the first of them. */
static int n_sets(const rb_grid *g, rb_part part, const rb_grid_set **first)
{
    int n = 0;
    for (int i = g->n - 1; i >= 0; i--)
        if (g->set[i].part == part) {
            *first = &g->set[i];
            n++;
        }
    return n;
}

static bool has_point(const rb_grid_set *s, int64_t n_prompt, int64_t n_gen, int64_t n_depth)
{
    for (int i = 0; i < s->n_point; i++)
        if (s->point[i].n_prompt == n_prompt && s->point[i].n_gen == n_gen &&
            s->point[i].n_depth == n_depth)
            return true;
    return false;
}

/* ---- sets ---- */

Test(grid, parts_come_in_the_order_of_what_matters)
{
    rb_grid g = default_grid();
    for (int i = 1; i < g.n; i++)
        cr_assert_leq(g.set[i - 1].part, g.set[i].part);
    cr_assert_eq(g.n_left_out, 0);
    rb_grid_free(&g);
}

Test(grid, layers_are_swept_in_the_widest_and_the_narrowest_type)
{
    rb_grid g = default_grid();
    const rb_grid_set *s;
    cr_assert_eq(n_sets(&g, RB_PART_LAYERS, &s), 2);
    cr_assert_str_eq(s[0].model, "qwen2.5-0.5b");
    cr_assert_str_eq(s[0].type, "f16");
    cr_assert_str_eq(s[1].type, "q4_k_m");
    cr_assert_eq(s->n_layer, 13);
    cr_assert(s->layer[0] == 1 && s->layer[12] == 64);
    for (int i = 1; i < s->n_layer; i++)
        cr_assert_lt(s->layer[i - 1], s->layer[i]);
    cr_assert(s->n_point == 2 && has_point(s, 128, 0, 0) && has_point(s, 0, 8, 128));
    cr_assert(s->n_reps == 6 && s->least_reps == 6 && !s->n_own && !s->n_way);
    rb_grid_free(&g);
}

/* Every workload's steps can be integrated over what sets s[0] and s[1] have. */
static void want_samples(const rb_grid_set *s, rb_workload w)
{
    const rb_workload_info *info = &rb_workload_infos[w];
    rb_step_time at[RB_GRID_POINTS];
    rb_steps_time sum;
    int n = 0;
    const int inner = s[1].n_point;
    for (int i = 0; i < inner + 2; i++) { /* between the ends, which come first and last */
        const rb_grid_point *p = i && i <= inner ? &s[1].point[i - 1] : &s->point[i ? 2 : 1];
        if (!p->n_gen || p->n_depth < info->n_prompt ||
            p->n_depth + p->n_gen > info->n_prompt + info->n_gen)
            continue;
        const double c = (double)p->n_depth + ((double)p->n_gen - 1) / 2;
        at[n++] = (rb_step_time){ c, 1000 + c, 1000 + c, 1000 + c };
    }
    cr_assert_geq(n, info->n_gen > 1024 ? 5 : 3, "%s: %d samples", info->name, n);
    cr_assert_eq(rb_integrate_time(at, n, info->n_prompt, info->n_gen, &sum, NULL), RB_OK, "%s",
                 info->name);
}

Test(grid, workloads_have_their_prompts_and_samples_of_their_steps)
{
    rb_grid g = default_grid();
    const rb_grid_set *s;
    cr_assert_eq(n_sets(&g, RB_PART_WORKLOAD, &s), 4 * 4 * 3, "four for each model and type");
    for (int w = 0; w < RB_N_WORKLOAD; w++)
        want_samples(s, w);
    cr_assert(s[0].n_point == 3 && has_point(s, 128, 0, 0) && has_point(s, 0, 8, 128) &&
              has_point(s, 0, 8, 4096 + 4096 - 8));
    cr_assert_eq(s[1].n_point, 13 - 2, "contexts that workloads share are there once");
    for (int i = 1; i < s[1].n_point; i++)
        cr_assert_lt(s[1].point[i - 1].n_depth, s[1].point[i].n_depth);
    cr_assert(s[2].n_point == 1 && has_point(&s[2], 4096, 0, 0));
    cr_assert(s[3].n_point == 1 && has_point(&s[3], 128, 128, 0));
    for (int i = 0; i < 8; i++) {
        static const int rank[] = { 0, 1, 2, 3, 0, 1, 3, 3 };
        cr_assert_eq(s[i].rank, rank[i], "set %d", i);
        cr_assert_eq(s[i].n_reps, i % 4 == 2 ? 3 : 6, "set %d", i);
        cr_assert_eq(s[i].least_reps, i % 4 == 2 ? 1 : 6, "below 6 there is no interval");
        cr_assert_str_eq(s[i].type, i < 4 ? "f16" : "q8_0");
        cr_assert_str_eq(s[i].model, "smollm2-135m", "weights are opened once");
    }
    cr_assert_str_eq(s[12].model, "smollm2-360m");
    rb_grid_free(&g);
}

Test(grid, trio_has_few_layers_and_no_weights_of_others)
{
    static const char *const name[] = { "qwen2.5-1.5b", "plm-1.8b", "smollm2-1.7b" };
    rb_grid g = default_grid();
    const rb_grid_set *s;
    cr_assert_eq(n_sets(&g, RB_PART_TRIO, &s), 3);
    for (int i = 0; i < 3; i++) {
        cr_assert_str_eq(s[i].model, name[i]);
        cr_assert_str_eq(s[i].type, "f16");
        cr_assert(s[i].n_layer == 3 && s[i].layer[0] == 2 && s[i].layer[1] == 4);
        cr_assert(s[i].layer[2] == 8 && s[i].n_own == 8);
        cr_assert(has_point(&s[i], 128, 0, 0) && has_point(&s[i], 0, 8, 128) &&
                  has_point(&s[i], 0, 8, 4096));
    }
    rb_grid_free(&g);
}

Test(grid, forms_are_what_the_weights_can_be_given)
{
    static const char *const way[] = { "gqa", "mha", "mqa", "mla", "mla:96", "lrkv:96" };
    rb_grid g = default_grid();
    const rb_grid_set *s;
    cr_assert_eq(n_sets(&g, RB_PART_FORMS, &s), 1);
    cr_assert_str_eq(s->model, "smollm2-135m");
    cr_assert_eq(s->n_way, 6);
    for (int i = 0; i < 6; i++)
        cr_assert_str_eq(s->way[i], way[i]);
    cr_assert(s->n_point == 4 && has_point(s, 128, 0, 0) && has_point(s, 0, 8, 128) &&
              has_point(s, 0, 8, 1024) && has_point(s, 0, 8, 4096));
    rb_grid_free(&g);
}

/* ---- what a user chooses ---- */

Test(grid, chosen_models_are_the_only_ones)
{
    static const char *const name[] = { "tiny", "plm-1.8b" };
    const rb_grid_set *s;
    rb_grid_want w = wanted(name, 2);
    w.chosen = true;
    w.n_type = 1;
    rb_grid g = grid_of(&w);
    cr_assert_eq(n_sets(&g, RB_PART_LAYERS, &s), 1);
    cr_assert_str_eq(s->model, "tiny");
    cr_assert_eq(n_sets(&g, RB_PART_WORKLOAD, &s), 2 * 4);
    cr_assert_eq(n_sets(&g, RB_PART_TRIO, &s), 1);
    cr_assert_str_eq(s->model, "plm-1.8b");
    cr_assert_eq(g.n_left_out, 1);
    cr_assert(strstr(g.left_out[0], "trio: only those"), "%s", g.left_out[0]);
    rb_grid_free(&g);
}

Test(grid, what_cannot_be_had_is_said)
{
    static const char *const name[] = { "plm-1.8b" };
    const rb_grid_set *s;
    rb_grid_want w = wanted(name, 1);
    w.chosen = true;
    rb_grid g = grid_of(&w);
    cr_assert_eq(n_sets(&g, RB_PART_FORMS, &s), 0);
    cr_assert_eq(g.n_left_out, 2);
    cr_assert(strstr(g.left_out[1], "forms: attention of plm-1.8b"), "%s", g.left_out[1]);
    rb_grid_free(&g);
    w = wanted((const char *const[]){ "smollm2-1.7b" }, 1);
    g = grid_of(&w);
    cr_assert_eq(n_sets(&g, RB_PART_FORMS, &s), 1);
    cr_assert_str_eq(s->way[0], "mha");
    cr_assert_str_eq(s->way[1], "mqa", "its own form comes once");
    rb_grid_free(&g);
}

Test(grid, a_file_runs_once_in_its_own_types)
{
    static const char *const name[] = { "tiny" };
    rb_grid_want w = wanted(name, 1);
    w.chosen = w.model[0].file = true;
    rb_grid g = grid_of(&w);
    cr_assert_eq(g.n, 1 + 4 + 1);
    for (int i = 0; i < g.n; i++)
        cr_assert_null(g.set[i].type);
    rb_grid_free(&g);
}

Test(grid, full_takes_every_model_and_the_papers_depths)
{
    int n;
    const char *const *name = rb_grid_presets(true, &n);
    const rb_grid_set *s;
    rb_grid_want w = wanted(name, n);
    w.full = true;
    rb_grid g = grid_of(&w);
    cr_assert_eq(n, 11);
    cr_assert_eq(n_sets(&g, RB_PART_LAYERS, &s), 2 * 11);
    cr_assert_eq(s->n_layer, 33);
    for (int i = 1; i < 33; i++)
        cr_assert_eq(s->layer[i], 2 * i);
    cr_assert_eq(n_sets(&g, RB_PART_WORKLOAD, &s), 4 * 3 * 11);
    cr_assert_eq(n_sets(&g, RB_PART_FORMS, &s), 10, "all but plm");
    for (int i = 0; i < n; i++)
        cr_assert(rb_preset_find(name[i]), "%s", name[i]);
    rb_grid_free(&g);
}

Test(grid, few_repetitions_stay_few)
{
    rb_grid_want w = wanted((const char *const[]){ "tiny" }, 1);
    w.n_reps = 2;
    rb_grid g = grid_of(&w);
    for (int i = 0; i < g.n; i++)
        cr_assert(g.set[i].n_reps == 2 && g.set[i].least_reps <= 2);
    rb_grid_free(&g);
}

/* ---- plans ---- */

Test(grid, a_plan_has_each_point_at_each_depth_in_each_way)
{
    const rb_grid_set s = {
        .layer = { 1, 5 }, .n_layer = 2, .point = { { 128, 0, 0 }, { 0, 8, 128 } }, .n_point = 2
    };
    const rb_way way[] = { { .model = 0 }, { .model = 3, .attn = RB_ATTN_MLA_ABSORBED } };
    const rb_test like = { .n_seq = 1, .n_threads = 7 };
    rb_plan plan;
    cr_assert_eq(rb_grid_plan(&plan, &s, &like, 24, way, 2, NULL), RB_OK);
    cr_assert_eq(plan.n, 8);
    for (int i = 0; i < 8; i++) {
        const rb_test *t = &plan.test[i];
        cr_assert_eq(t->n_layer, i < 4 ? 1 : 5);
        cr_assert_eq(t->n_prompt, i / 2 % 2 ? 0 : 128);
        cr_assert_eq(t->n_gen, i / 2 % 2 ? 8 : 0);
        cr_assert_eq(t->n_depth, i / 2 % 2 ? 128 : 0);
        cr_assert_eq(t->model, i % 2 ? 3 : 0);
        cr_assert_eq(t->attn, i % 2 ? RB_ATTN_MLA_ABSORBED : RB_ATTN_OWN);
        cr_assert_eq(t->n_threads, 7);
    }
    rb_plan_free(&plan);
}

Test(grid, without_depths_a_plan_runs_the_models_own)
{
    const rb_grid_set s = { .point = { { 128, 0, 0 } }, .n_point = 1 };
    const rb_test like = { .n_seq = 1 };
    rb_plan plan;
    cr_assert_eq(rb_grid_plan(&plan, &s, &like, 24, &(rb_way){ 0 }, 1, NULL), RB_OK);
    cr_assert(plan.n == 1 && plan.test[0].n_layer == 24);
    rb_plan_free(&plan);
}

/* A preset with fewer layers is what its first layers are. */
Test(grid, a_preset_of_few_layers_has_no_others)
{
    const rb_model_params how = { .dry = true, .n_layer = 8 };
    rb_model *few, *all;
    rb_error err;
    cr_assert_eq(rb_model_open(&few, "qwen2.5-1.5b", &how, NULL), RB_OK);
    cr_assert_eq(rb_model_open(&all, "qwen2.5-1.5b", &(rb_model_params){ .dry = true }, NULL),
                 RB_OK);
    cr_assert_eq(few->config.n_layer, 8);
    cr_assert_eq(all->config.n_layer, 28);
    cr_assert_eq(rb_model_bytes(all) - rb_model_bytes(few),
                 20 * (uint64_t)rb_model_layer_bytes(all));
    cr_assert_eq(rb_model_open(&few, "tests/vectors/hf/llama", &how, &err), RB_ERR_ARGUMENT);
    rb_model_close(all);
}

/* ---- budgets ---- */

Test(grid, parts_share_a_budget)
{
    rb_grid_set set[] = { { .part = RB_PART_LAYERS },
                          { .part = RB_PART_LAYERS },
                          { .part = RB_PART_WORKLOAD },
                          { .part = RB_PART_FORMS } };
    rb_grid_cost todo[] = { { .n_todo = 0 }, { .n_todo = 3 }, { .n_todo = 1 }, { .n_todo = 1 } };
    const rb_grid g = { .set = set, .n = 4 };
    /* shares of .24, .5 and .1: the trio's is nobody's */
    cr_assert_float_eq(rb_grid_share(&g, todo, RB_PART_LAYERS, 84), 24, 1e-9);
    cr_assert_float_eq(rb_grid_share(&g, todo, RB_PART_WORKLOAD, 60), 50, 1e-9);
    cr_assert_float_eq(rb_grid_share(&g, todo, RB_PART_TRIO, 60), 0, 1e-9);
    cr_assert_float_eq(rb_grid_share(&g, todo, RB_PART_FORMS, 6), 6, 1e-9);
    /* what has its records wants no time */
    todo[2].n_todo = 0;
    cr_assert_float_eq(rb_grid_share(&g, todo, RB_PART_LAYERS, 68), 48, 1e-9);
    cr_assert_float_eq(rb_grid_share(&g, todo, RB_PART_WORKLOAD, 60), 0, 1e-9);
    todo[2].n_todo = 1;
    /* what is not used goes to all that come later */
    cr_assert_float_eq(rb_grid_share(&g, todo, RB_PART_WORKLOAD, 90), 75, 1e-9);
}

enum { N_COSTED = 4 };

/* Two models of one part, each with what is short and what takes long; a set of another part. */
static void limits_of(double left_s, double limit[N_COSTED])
{
    rb_grid_set set[N_COSTED + 1] = { { .rank = 0 }, { .rank = 1 }, { .rank = 0 }, { .rank = 2 } };
    static const rb_grid_cost cost[N_COSTED + 1] = { { 4, 1, 5, 4, 4 },
                                                     { 0, 1, 9, 1, 1 },
                                                     { 9, 1, 10, 1, 1 },
                                                     { 0, 2, 20, 1, 1 },
                                                     { 1, 1, 1, 1, 1 } };
    const rb_grid g = { .set = set, .n = N_COSTED + 1 };
    for (int i = 0; i < N_COSTED; i++) {
        set[i].part = RB_PART_WORKLOAD;
        set[i].n_reps = set[i].rank ? 3 : 6;
        set[i].least_reps = set[i].rank ? 1 : 3;
    }
    set[N_COSTED].part = RB_PART_TRIO;
    for (int i = 0; i < N_COSTED; i++)
        limit[i] = rb_grid_limit(&g, i, cost, left_s);
}

/* At least 20, 10, 40 and 22; with all repetitions 35, 28, 70 and 62. */
Test(grid, a_part_divides_its_time_among_the_sets_that_fit)
{
    double limit[N_COSTED];
    limits_of(195, limit);
    cr_expect_float_eq(limit[0], 20 + 103 * 35 / 195., 1e-9, "all has room, and to spare");
    limits_of(92, limit);
    cr_expect_float_eq(limit[0], 20, 1e-9, "all of it, at the least");
    limits_of(91, limit); /* without the last, 21 are left over and 133 could be used */
    cr_expect_float_eq(limit[0], 20 + 21 * 35 / 133., 1e-9);
    cr_expect_float_eq(limit[1], 10 + (91 - 72) * 28 / 160., 1e-9, "those before it are over");
    limits_of(65, limit); /* what is short goes before what takes long */
    cr_expect_float_eq(limit[0], 20 + 5 * 35 / 105., 1e-9);
    cr_expect_float_eq(limit[1], 10 + 15 * 28 / 98., 1e-9);
    limits_of(45, limit);
    cr_expect_float_eq(limit[0], 20 + 15 * 35 / 63., 1e-9, "of the small model first");
    cr_expect_eq(limit[1], 0);
    limits_of(19, limit);
    cr_expect_eq(limit[0], 0);
    cr_expect_float_eq(limit[1], 19 * 1., 1e-9);
    cr_expect_eq(limit[2], 0);
    limits_of(9, limit); /* no set: of four tests of the first, 4 s each, some */
    cr_expect_float_eq(limit[0], 9, 1e-9);
    cr_expect_eq(limit[1], 0);
    limits_of(7, limit);
    cr_expect_eq(limit[0], 0);
    limits_of(-1, limit);
    for (int i = 0; i < N_COSTED; i++)
        cr_expect_eq(limit[i], 0);
}

Test(grid, guesses_know_attention_and_integers)
{
    rb_model *f16, *q8;
    const rb_model_params how[] = { { .dry = true },
                                    { .dry = true, .mix = rb_mix_by_name("q8_0") } };
    cr_assert_eq(rb_model_open(&f16, "smollm2-135m", &how[0], NULL), RB_OK);
    cr_assert_eq(rb_model_open(&q8, "smollm2-135m", &how[1], NULL), RB_OK);
    rb_machine m = { .n_threads = 2 };
    m.roof[RB_ROOF_FMA_F32].value = 200;
    m.roof[RB_ROOF_DOT_I8].value = 800;
    m.roof[RB_ROOF_READ_DRAM].value = 40;
    rb_test t = { .n_prompt = 128, .n_seq = 1, .n_layer = 30, .n_threads = 2 };
    const double one = rb_guess_s(f16, &t, &m) - 0.05;
    /* 106 M weights of layers, 30 layers of 9 heads of 64, at 100 GFLOP/s */
    cr_assert_float_eq(one, (2 * 106.2e6 * 128 + 30 * 64 * 128. * 2 * 128 * 9) / 1e11, 0.01 * one);
    cr_assert_lt(rb_guess_s(q8, &t, &m), 0.4 * one + 0.05);
    t.n_prompt = 4096;
    cr_assert_gt(rb_guess_s(f16, &t, &m), 1.4 * 32 * one, "attention is quadratic");
    t = (rb_test){ .n_gen = 8, .n_depth = 128, .n_seq = 1, .n_layer = 30, .n_threads = 2 };
    const double early = rb_guess_s(f16, &t, &m) - 0.05;
    cr_assert_float_eq(early, 8 * 269e6 / 20e9, 0.1 * early);
    t.n_depth = 8192; /* 23040 bytes of cache a token */
    const double late = rb_guess_s(f16, &t, &m) - 0.05;
    cr_assert_gt(late - early, 8 * 23040 * 8000. / 20e9);
    cr_assert_lt(late - early, 3 * 8 * 23040 * 8000. / 20e9);
    rb_model_close(f16);
    rb_model_close(q8);
}

/* ---- what records say besides ---- */

static json_t *test_record(const char *text)
{
    char line[2048], *at = line;
    snprintf(line, sizeof line,
             "{'schema_version':1,'n_batch':2048,'n_ubatch':512,'n_seq':1,'n_layer_run':4,"
             "'type_k':'f16','type_v':'f16','act':'native','isa':'avx2','n_threads':2,'blas':true,"
             "'attn_variant':'gqa','mla_auto':'flops','ffn_act':'silu',"
             "'env':{'model_digest':'d'},%s}",
             text);
    for (; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    json_t *o = json_loads(line, 0, NULL);
    cr_assert(o, "%s", line);
    return o;
}

static const char prompt_text[] = "'n_prompt':128,'n_gen':0,'n_depth':0,'median_ns':5e8,'ci95_ns':["
                                  "4e8,6e8],'memory':{'kv':9000,'scratch':700}";
static const char decode_text[] = "'n_prompt':0,'n_gen':8,'n_depth':128,'median_ns':8e7,'ci95_ns':["
                                  "7.2e7,8.8e7],'memory':{'kv':13600,'scratch':500}";

static const rb_grid_set layers_set = { .part = RB_PART_LAYERS, .model = "tiny", .type = "f16" };

static json_t *marked(const char *text, const rb_grid_set *set)
{
    json_t *o = test_record(text);
    rb_paper_mark(o, set, NULL);
    return o;
}

Test(note, a_record_is_there_if_its_part_has_it)
{
    const rb_grid_set other = { .part = RB_PART_WORKLOAD, .model = "tiny", .type = "f16" };
    json_t *all = json_array(), *a = marked(decode_text, &layers_set);
    json_t *b = marked(decode_text, &other), *c = marked(prompt_text, &layers_set);
    cr_expect_not(rb_paper_has(all, a));
    json_array_append(all, a);
    cr_expect(rb_paper_has(all, a));
    cr_expect_not(rb_paper_has(all, b), "another part");
    cr_expect_not(rb_paper_has(all, c), "another test");
    json_object_set_new(a, "interrupted", json_true());
    cr_expect_not(rb_paper_has(all, c));
    json_t *again = marked(decode_text, &layers_set);
    cr_expect_not(rb_paper_has(all, again), "it was not finished");
    json_object_del(a, "interrupted");
    cr_expect(rb_paper_has(all, again));
    json_object_del(json_object_get(again, "env"), "model_digest");
    cr_expect_not(rb_paper_has(all, again), "of an unknown model");
    json_decref(all), json_decref(a), json_decref(b), json_decref(c), json_decref(again);
}

Test(note, without_weights_a_record_seems_to_be_there)
{
    const rb_grid_set other = { .part = RB_PART_LAYERS, .model = "tiny", .type = "q8_0" };
    static const char *const changed[] = { "n_depth", "n_layer_run", "n_threads", "attn_variant" };
    json_t *a = marked(decode_text, &layers_set), *all = json_pack("[O]", a);
    json_t *b = marked(decode_text, &layers_set), *c = marked(decode_text, &other);
    json_object_del(b, "env"), json_object_del(c, "env");
    cr_expect(rb_paper_seems_to_have(all, b));
    cr_expect_not(rb_paper_has(all, b));
    cr_expect_not(rb_paper_seems_to_have(all, c), "another type");
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        json_t *d = json_copy(b);
        json_object_set_new(d, changed[i], json_integer(77));
        cr_expect_not(rb_paper_seems_to_have(all, d), "%s", changed[i]);
        json_decref(d);
    }
    json_object_set_new(a, "interrupted", json_true());
    cr_expect_not(rb_paper_seems_to_have(all, b), "it was not finished");
    json_decref(all), json_decref(a), json_decref(b), json_decref(c);
}

/* Twelve seconds for six forms. */
static const rb_paper_opened six = { 12, 6 };

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    cr_assert(json_is_number(v), "no number %s", key);
    return json_number_value(v);
}

/* By hand: weights of four layers of tiny in f16, 256 tokens of cache, five repetitions. */
Test(note, the_proxy_is_of_a_prompt_and_its_generation)
{
    rb_model *tiny;
    cr_assert_eq(rb_model_open(&tiny, "tiny", &(rb_model_params){ .dry = true }, NULL), RB_OK);
    const rb_proxy_sizes s = rb_proxy_sizes_of(tiny);
    const double weights = s.around + 4 * s.layer;
    for (int order = 0; order < 2; order++) {
        json_t *first = marked(order ? decode_text : prompt_text, &layers_set);
        json_t *last = marked(order ? prompt_text : decode_text, &layers_set);
        json_t *all = json_array();
        rb_paper_add_proxy(last, all, tiny, &six, 5);
        cr_assert_null(json_object_get(last, "proxy"), "one test alone");
        json_array_append(all, first);
        rb_paper_add_proxy(last, all, tiny, &six, 5);
        const json_t *p = json_object_get(last, "proxy");
        cr_assert(p);
        cr_expect_float_eq(number(p, "load_s"), 2, 1e-12, "of one of six forms");
        cr_expect_float_eq(number(p, "seconds"), 2 + 6 * 0.5 + 641 * 0.01, 1e-9);
        const json_t *bounds = json_object_get(p, "seconds_bounds");
        for (size_t end = 0; end < 2; end++)
            cr_expect_float_eq(json_number_value(json_array_get(bounds, end)),
                               2 + 6 * (end ? 0.6 : 0.4) + 641 * (end ? 0.011 : 0.009), 1e-9);
        cr_expect_float_eq(number(p, "peak_bytes"), weights + 25600 + 700, 1e-3);
        cr_expect_float_eq(number(p, "bytes"), number(p, "seconds") * number(p, "peak_bytes"), 1);
        cr_expect_float_eq(number(p, "oi"), number(p, "flops") / number(p, "bytes"), 1e-9);
        cr_expect_float_eq(number(p, "gflops"), number(p, "flops") / number(p, "seconds") / 1e9,
                           1e-12);
        const rb_proxy_run run = { .n_layer = 4, .n_prompt = 128, .n_gen = 128 };
        cr_expect_float_eq(number(p, "flops"),
                           rb_proxy_flops(&tiny->config, &run, RB_PROXY_PUBLISHED), 1e-3);
        json_decref(first), json_decref(last), json_decref(all);
    }
    rb_model_close(tiny);
}

/* A test of half the layers, another part or another model is no half of the process. */
Test(note, a_proxy_wants_both_tests_of_one_process)
{
    static const struct {
        const char *key, *value;
    } changes[] = { { "n_layer_run", "8" },
                    { "n_depth", "1024" },
                    { "n_threads", "1" },
                    { "attn_variant", "\"mha\"" },
                    { "error", "\"no\"" },
                    { "interrupted", "true" },
                    { "env", "{\"model_digest\":\"e\"}" },
                    { "paper", "{\"part\":\"forms\",\"model\":\"tiny\",\"type\":\"f16\"}" } };
    rb_model *tiny;
    cr_assert_eq(rb_model_open(&tiny, "tiny", &(rb_model_params){ .dry = true }, NULL), RB_OK);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        json_t *prompt = marked(prompt_text, &layers_set), *all = json_array();
        json_t *decode = marked(decode_text, &layers_set);
        json_object_set_new(decode, changes[i].key,
                            json_loads(changes[i].value, JSON_DECODE_ANY, NULL));
        json_array_append(all, decode);
        rb_paper_add_proxy(prompt, all, tiny, &six, 5);
        cr_expect_null(json_object_get(prompt, "proxy"), "%s", changes[i].key);
        json_decref(prompt), json_decref(decode), json_decref(all);
    }
    rb_model_close(tiny);
}
