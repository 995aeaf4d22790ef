/* --attn as users meet it: words that are forms of the weights and words that are orders give the
 * logits of the model where nothing is lost; what is lost is told, or refused; what is made up has
 * counts and no logits.
 * Read next: program.h, ../tools/forms.c, test_attn_convert.c (the same without the program). */
#include "program.h"
#include "vectors.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(cli_attn, .init = program_setup, .fini = program_teardown);

#define LETTERS "tests/vectors/hf/llama"
#define TEXT    "tests/vectors/text/constitution.txt"

/* The i-th JSON object of several lines, or NULL. */
static json_t *row_of(const char *text, int i)
{
    for (; text && i > 0; i--)
        text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL;
    if (!text || !*text)
        return NULL;
    char *copy = strndup(text, strcspn(text, "\n"));
    json_t *v = parse(copy);
    free(copy);
    return v;
}

/* ---- eval ---- */

static outcome eval(const char *model, const char *attn)
{
    char line[512];
    snprintf(line, sizeof line, "eval %s --tokens 3,17,5,1 --force 7,29%s%s", model,
             attn ? " --attn " : "", attn ? attn : "");
    outcome o = run(line);
    cr_assert_eq(o.code, 0, "%s: %s", line, o.err);
    cr_assert_eq(lines_of(o.out), 6);
    return o;
}

/* Largest difference of logits over the largest of b. */
static double off_by(const outcome *a, const outcome *b)
{
    double most = 0, size = 0;
    for (int i = 0; i < 6; i++) {
        json_t *va = row_of(a->out, i), *vb = row_of(b->out, i);
        const json_t *la = json_object_get(va, "logits"), *lb = json_object_get(vb, "logits");
        cr_assert_eq(json_array_size(la), json_array_size(lb));
        for (size_t k = 0; k < json_array_size(la); k++) {
            const double x = json_number_value(json_array_get(la, k));
            const double y = json_number_value(json_array_get(lb, k));
            most = fmax(most, fabs(x - y));
            size = fmax(size, fabs(y));
        }
        json_decref(va);
        json_decref(vb);
    }
    return most / size;
}

static void expect_words(const char *vector, const char *path, const rb_config *c)
{
    const int64_t columns = c->n_head_kv * (c->d_head_k + c->d_head_v);
    const int64_t input = c->n_embd + (c->qkv_bias || c->linear_bias);
    char late[48];
    snprintf(late, sizeof late, "lrkv:%d", (int)(columns < input ? columns : input));
    const char *const words[] = { "mha",          "mla", "mla-naive-full", "mla-naive-latent",
                                  "mla-absorbed", late };
    outcome own = eval(path, NULL);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        outcome o = eval(path, words[i]);
        const double d = off_by(&o, &own);
        cr_expect_leq(d, 1e-4, "%s --attn %s: off by %g", vector, words[i], d);
        release(&o);
    }
    outcome lossy = eval(path, "lrkv:5");
    cr_expect_gt(off_by(&lossy, &own), 1e-3, "%s: what is lost is seen", vector);
    release(&lossy);
    release(&own);
}

Test(cli_attn, forms_and_orders_that_lose_nothing_give_the_logits_of_the_model)
{
    int n = 0;
    for (int i = 0; i < N_VECTOR; i++) {
        char path[256];
        json_t *v;
        rb_error err;
        rb_model *m = vector_model(vector_name[i], &v);
        if (!rb_config_is_mla(&m->config)) {
            cr_assert_eq(rb_gguf_write(m, path_of("m.gguf", path), NULL, &err), RB_OK);
            expect_words(vector_name[i], path, &m->config);
            n++;
        }
        rb_model_close(m);
        json_decref(v);
    }
    cr_expect_eq(n, 10);
}

/* ---- what words stand for ---- */

static void expect_variant(const char *model, const char *attn, const char *variant)
{
    char line[256];
    snprintf(line, sizeof line, "predict %s -p 8 -n 0 --attn %s -o json", model, attn);
    outcome o = run(line);
    cr_assert_eq(o.code, 0, "%s: %s", line, o.err);
    json_t *all = parse(o.out);
    cr_expect_str_eq(string(json_array_get(all, 0), "attn_variant"), variant);
    json_decref(all);
    release(&o);
}

Test(cli_attn, latent_attention_runs_as_mha_and_as_mqa)
{
    expect_variant("plm-1.8b", "mha", "mla-naive-full");
    expect_variant("plm-1.8b", "mqa", "mla-absorbed");
    expect_variant("plm-1.8b", "mla", "mla");
    expect_variant("tiny", "mqa", "mqa");
    expect_variant("tiny", "mla-absorbed", "mla, mla-absorbed");
    want("eval plm-1.8b --tokens 3 --attn gqa:2", 1, "the order mla-absorbed runs it as MQA");
    want("eval plm-1.8b --tokens 3 --attn mla:8", 1, "-ctk q8_0 or q4_0");
    want("eval plm-1.8b --tokens 3 --attn lrkv:8", 1, "come from one latent already");
    want("eval tiny --tokens 3 --attn gqa:3", 1, "4 heads are no multiple of 3");
}

/* K and V of every head are cached in that order alone, V in a type of its own. */
Test(cli_attn, words_that_are_orders_are_run_in_that_order)
{
    want("eval tiny --tokens 3 --attn mla-naive-full -ctv q8_0", 1, "a head of V has 16");
    want("eval tiny --tokens 3 --attn mla-absorbed -ctv q8_0", 0, "logits");
    want("generate " LETTERS " -p cat -n 2 --attn mla-naive-full -ctv q8_0", 1, "head of V has 12");
    want("generate " LETTERS " -p cat -n 0 --attn mla-absorbed -ctv q8_0", 0, "");
}

Test(cli_attn, perplexity_runs_orders_in_that_order)
{
    char at[512], all[2048];
    cr_assert(getcwd(at, sizeof at));
    for (int full = 0; full < 2; full++) {
        snprintf(all, sizeof all,
                 "mkdir -p mla && cp -r %s/tests/vectors/hf/deepseek_v2/. mla && cp %s/" LETTERS
                 "/tokenizer* mla "
                 "&& $RBENCH perplexity mla -f %s/" TEXT " -c 32 --chunks 1 -ctv q8_0 --attn %s",
                 at, at, at, full ? "mha" : "mqa");
        outcome o = shell(all);
        cr_expect_eq(o.code, full, "%s", o.err);
        cr_expect(strstr(full ? o.err : o.out, full ? "a head of V has" : "mla-absorbed"), "%s %s",
                  o.out, o.err);
        release(&o);
    }
}

/* ---- perplexity ---- */

static double far_of(const json_t *v)
{
    return json_number_value(json_object_get(v, "dlogit_max")) /
           json_number_value(json_object_get(v, "logit_max"));
}

#define JUDGE                                                                                      \
    "perplexity " LETTERS " -f " TEXT " -c 32 --chunks 2 -o json -ctk f32 -ctv f32 --act f32 "

Test(cli_attn, perplexity_judges_forms_against_the_model_as_it_is)
{
    static const struct {
        const char *word, *variant;
        bool exact;
    } way[] = { { "mha", "mha", true },
                { "mla", "mla", true },
                { "mla-absorbed", "mla, mla-absorbed", true },
                { "lrkv:24", "lrkv:24", true },
                { "mqa", "mqa", false },
                { "mla:16:8", "mla:16:8", false },
                { "lrkv:12", "lrkv:12", false } };
    enum { N = sizeof way / sizeof *way };
    char line[512] = JUDGE "--attn mha";
    for (int i = 1; i < N; i++)
        snprintf(line + strlen(line), sizeof line - strlen(line), ",%s", way[i].word);
    outcome o = run(line);
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert_eq(lines_of(o.out), N + 1);
    json_t *own = row_of(o.out, 0);
    cr_expect_str_eq(string(own, "attn_variant"), "gqa");
    for (int i = 0; i < N; i++) {
        json_t *v = row_of(o.out, i + 1);
        const double kl = json_number_value(json_object_get(v, "kl"));
        cr_expect_str_eq(string(v, "attn_variant"), way[i].variant);
        cr_expect_str_eq(string(v, "reference_variant"), "gqa");
        cr_expect_eq(far_of(v) <= 1e-4, way[i].exact, "%s: %g", way[i].word, far_of(v));
        cr_expect_eq(fabs(kl) < 1e-6, way[i].exact, "%s: KL %g", way[i].word, kl);
        json_decref(v);
    }
    json_decref(own);
    release(&o);
}

/* The file of a form and the form in memory are one model, whichever is the reference. */
Test(cli_attn, a_form_in_memory_is_that_of_its_file)
{
    char path[256], line[512];
    rb_model *m, *to;
    rb_attn_form form;
    rb_error err;
    cr_assert_eq(rb_model_open(&m, LETTERS, &(rb_model_params){ 0 }, &err), RB_OK);
    cr_assert_eq(rb_attn_form_parse(&form, "lrkv:12", &err), RB_OK);
    cr_assert_eq(rb_attn_convert(&to, m, &form, NULL, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_gguf_write(to, path_of("lrkv.gguf", path), NULL, &err), RB_OK);
    rb_model_close(m);
    rb_model_close(to);
    snprintf(line, sizeof line, JUDGE "--base %s --attn lrkv:12", path);
    outcome o = run(line);
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert_eq(lines_of(o.out), 3);
    json_t *base = row_of(o.out, 0), *own = row_of(o.out, 1), *late = row_of(o.out, 2);
    cr_expect_str_eq(string(base, "attn_variant"), "lrkv:12");
    cr_expect_str_eq(string(own, "attn_variant"), "gqa");
    cr_expect_str_eq(string(late, "attn_variant"), "lrkv:12");
    cr_expect_gt(far_of(own), 1e-3);
    cr_expect_eq(far_of(late), 0);
    json_decref(base);
    json_decref(own);
    json_decref(late);
    release(&o);
}

/* ---- generate ---- */

Test(cli_attn, text_of_a_form_is_the_models_or_refused)
{
    outcome own = run("generate " LETTERS " -p cat -n 9 --temp 0 --ignore-eos -ctk f32 -ctv f32");
    outcome same = run("generate " LETTERS " -p cat -n 9 --temp 0 --ignore-eos -ctk f32 -ctv f32 "
                       "--attn mla");
    cr_expect_eq(same.code, 0, "%s", same.err);
    cr_expect_str_eq(same.out, own.out);
    release(&same);
    release(&own);
    outcome o = run("generate " LETTERS " -p cat -n 2 --attn lrkv:12");
    cr_expect_eq(o.code, 1);
    cr_expect_str_eq(o.out, "");
    cr_expect(strstr(o.err, "converted to lrkv:12 with losses"), "%s", o.err);
    release(&o);
    o = run("generate " LETTERS " -p cat -n 2 --attn lrkv:12 --approx-ok");
    cr_expect_eq(o.code, 0, "%s", o.err);
    release(&o);
}

/* ---- gta ---- */

Test(cli_attn, what_is_made_up_has_counts_and_no_logits)
{
    want("eval tiny --tokens 3 --attn gta", 1, "would be made up");
    want("generate " LETTERS " -p cat -n 2 --attn gta", 1, "would be made up");
    want("generate " LETTERS " -p cat -n 2 --attn gta --approx-ok", 1, "would be made up");
    want("perplexity " LETTERS " -f " TEXT " --attn mha,gta", 1, "would be made up");
    want("predict plm-1.8b --attn gta", 1, "latent already");
    want("predict pythia-160m --attn gta", 1, "q, k and v are one matrix");
    outcome o = run("tiny --attn gqa,gta -p 8 -n 0 -r 1 --no-roofs -o jsonl");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_expect(strstr(o.err, "gta has weights that are made up"), "%s", o.err);
    cr_assert_eq(lines_of(o.out), 2);
    json_t *gqa = row_of(o.out, 0), *gta = row_of(o.out, 1);
    cr_expect_str_eq(string(gqa, "attn_weights"), "own");
    cr_expect_str_eq(string(gta, "attn_weights"), "synthetic");
    cr_expect_str_eq(string(gta, "attn_variant"), "gta");
    cr_expect(json_is_true(json_object_get(gqa, "attn_exact")));
    cr_expect(json_is_false(json_object_get(gta, "attn_exact")));
    /* 2 K and V heads of 16 in four layers; one K head of 16 and one value of 32: f16 */
    cr_expect_eq(integer(gqa, "kv_bytes_per_token"), 4 * 2 * (2 * 16 + 2 * 16));
    cr_expect_eq(integer(gta, "kv_bytes_per_token"), 4 * 2 * (16 + 32));
    json_decref(gqa);
    json_decref(gta);
    release(&o);
    o = run("predict tiny --attn mha -p 8 -n 0 -o json");
    json_t *all = parse(o.out);
    cr_expect_str_eq(string(json_array_get(all, 0), "attn_weights"), "converted");
    json_decref(all);
    release(&o);
}
