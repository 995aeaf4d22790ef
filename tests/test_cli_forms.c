/* Forms of attention beside each other, as users of the benchmark and predict meet them: the table,
 * records that tell forms apart, counts against those of a converted file, orders of latent models,
 * refusals. Sentences are in test_rivals.c, arithmetic in test_attn_convert.c. Read next:
 * program.h, ../tools/forms.c. */
#include "program.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(cli_forms, .init = program_setup, .fini = program_teardown);

#define TEXT  "tests/vectors/text/constitution.txt"
#define SHORT " --no-roofs -r 1 --no-warmup "

/* The records of a run. */
static json_t *records(const char *line, int n)
{
    outcome o = run(line);
    json_t *all = parse(o.out);
    cr_assert_eq(o.code, 0, "%s: %s", line, o.err);
    cr_assert_eq(json_array_size(all), (size_t)n, "%s: %zu records", line, json_array_size(all));
    release(&o);
    return all;
}

static double real(const json_t *o, const char *key)
{
    const json_t *x = json_object_get(o, key);
    cr_assert(json_is_number(x), "no number %s", key);
    return json_number_value(x);
}

static const char *digest(const json_t *o)
{
    return string(json_object_get(o, "env"), "model_digest");
}

static void same_counts(const json_t *a, const json_t *b)
{
    static const char *const keys[] = { "flops", "special", "bytes", "kv_bytes_per_token" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        cr_expect(json_equal(json_object_get(a, keys[i]), json_object_get(b, keys[i])),
                  "%s of %s and %s", keys[i], string(a, "attn_variant"), string(b, "attn_variant"));
}

Test(cli_forms, one_table_compares_them)
{
    outcome o = run("tiny --attn gqa,mha,mla:16 -p 0 -n 2 -d 0,8" SHORT);
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_expect(strstr(o.out, "| exact | KL, nats | same top |\n"), "%s", o.out);
    cr_expect(strstr(o.out, "\n\n| variant | test     | "), "%s", o.out);
    cr_expect(strstr(o.out, "| cache B/token | FLOPs/token | W+KV/token | OI attn |"), "%s", o.out);
    cr_expect(strstr(o.out, "model tiny f16, layers 4, threads ") == o.out, "%s", o.out);
    cr_expect_null(strstr(o.out, "threads |"), "what all share is told once");
    const char *forms = strstr(o.out, " | yes   |        - |        - |\n| mha     | ");
    const char *first = strstr(o.out, "\n| gqa     | tg2      | ");
    const char *last = strstr(o.out, "\n| mla:16  | tg2 @ d8 | ");
    cr_expect(forms && first && last && forms < first && first < last, "%s", o.out);
    cr_expect(strstr(o.out, "tg2, 4 layers, cache f16 f16: fastest, as far as intervals tell, is "),
              "%s", o.out);
    cr_expect(strstr(o.out, "Of the exact ones: ") || strstr(o.out, "is gqa") ||
              strstr(o.out, "is mha"));
    release(&o);
}

Test(cli_forms, a_prediction_has_no_distances)
{
    outcome o = run("predict tiny --attn gqa,mha,gta -p 0 -n 2");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_expect(strstr(o.out, "| exact   |\n") && strstr(o.out, " | made up |\n"), "%s", o.out);
    cr_expect_null(strstr(o.out, "KL"));
    release(&o);
}

/* Made-up weights are no form of the model: the others are judged all the same. */
Test(cli_forms, what_is_made_up_is_not_judged)
{
    json_t *all = records("tiny --attn gta,gqa,mqa -p 0 -n 1 -o json" SHORT, 3);
    const json_t *gta = json_array_get(all, 0), *mqa = json_array_get(all, 2);
    cr_expect_str_eq(string(gta, "attn_weights"), "synthetic");
    cr_expect(json_is_false(json_object_get(gta, "attn_exact")));
    cr_expect(!json_object_get(gta, "attn_kl") && real(mqa, "attn_kl") > 0);
    json_decref(all);
}

Test(cli_forms, one_form_alone_is_no_comparison)
{
    outcome o = run("tiny --attn mha -p 0 -n 2" SHORT);
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_expect(strstr(o.out, ", layers 4, variant mha, threads "), "%s", o.out);
    cr_expect_null(strstr(o.out, "fastest"));
    release(&o);
}

Test(cli_forms, records_tell_them_apart)
{
    json_t *all =
        records("tiny --attn gqa,mha,mqa,mla,mla:16,mla-absorbed -p 4 -n 2 -o json" SHORT, 12);
    const json_t *gqa = json_array_get(all, 0), *mha = json_array_get(all, 1);
    const json_t *mqa = json_array_get(all, 2), *mla = json_array_get(all, 3);
    const json_t *low = json_array_get(all, 4), *absorbed = json_array_get(all, 5);
    cr_expect_str_eq(string(gqa, "attn_variant"), "gqa");
    cr_expect_str_eq(string(mqa, "attn_variant"), "mqa");
    cr_expect_str_eq(string(low, "attn_variant"), "mla:16");
    cr_expect_str_eq(string(absorbed, "attn_variant"), "mla, mla-absorbed");
    cr_expect(json_is_true(json_object_get(mha, "attn_exact")));
    cr_expect(json_is_false(json_object_get(mqa, "attn_exact")));
    cr_expect_null(json_object_get(gqa, "attn_kl"));
    cr_expect(real(mha, "attn_kl") < 1e-6 && integer(mha, "attn_n_judged") >= 128);
    cr_expect(real(mqa, "attn_kl") > 1e-5 && real(mqa, "attn_same_top") < 1);
    cr_expect_str_neq(digest(gqa), digest(mha));
    cr_expect_str_neq(digest(mla), digest(low));
    cr_expect_str_eq(digest(mla), digest(absorbed), "two orders of one model");
    cr_expect_eq(integer(mha, "kv_bytes_per_token"), 2 * integer(gqa, "kv_bytes_per_token"));
    cr_expect_eq(integer(mla, "kv_bytes_per_token"), integer(gqa, "kv_bytes_per_token"));
    cr_expect_eq(integer(json_array_get(all, 6), "n_gen"), 2, "rivals are neighbours");
    json_decref(all);
}

/* FLOPs of attention over the cache: each byte of K or V serves heads / KV heads of them. */
Test(cli_forms, oi_of_attention_is_that_of_its_kernels)
{
    json_t *all =
        records("predict tiny --attn gqa,mqa -p 0 -n 1 -d 63 -ctk f32 -ctv f32 -o json", 2);
    const double gqa = real(json_array_get(all, 0), "oi_attn");
    const double mqa = real(json_array_get(all, 1), "oi_attn");
    cr_expect_float_eq(mqa / gqa, 2, 1e-9, "%g and %g", gqa, mqa);
    cr_expect(gqa > 1 && gqa < 1.2, "%g: 2 heads of 4 FLOPs over 8 bytes, and the softmax", gqa);
    json_decref(all);
}

Test(cli_forms, counts_are_those_of_a_converted_file)
{
    static const char *const form[] = {
        "mha", "mqa", "mla", "mla:16", "lrkv:24", "gva:2", "gha:2"
    };
    char from[256], to[256], line[1024];
    snprintf(line, sizeof line, "synth tiny -o %s", path_of("from.gguf", from));
    want(line, 0, "");
    for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
        snprintf(line, sizeof line, "convert %s %s --attn %s", from, path_of("to.gguf", to),
                 form[i]);
        want(line, 0, "");
        snprintf(line, sizeof line, "%s -p 5 -n 2 -d 7 -o json" SHORT, to);
        json_t *file = records(line, 2);
        snprintf(line, sizeof line, "%s --attn %s -p 5 -n 2 -d 7 -o json" SHORT, from, form[i]);
        json_t *here = records(line, 2);
        snprintf(line, sizeof line, "predict %s --attn %s -p 5 -n 2 -d 7 -o json", from, form[i]);
        json_t *told = records(line, 2);
        for (int t = 0; t < 2; t++) {
            same_counts(json_array_get(file, t), json_array_get(here, t));
            same_counts(json_array_get(told, t), json_array_get(here, t));
            cr_expect_str_eq(digest(json_array_get(file, t)), digest(json_array_get(here, t)), "%s",
                             form[i]);
        }
        json_decref(file);
        json_decref(here);
        json_decref(told);
    }
}

Test(cli_forms, resume_knows_each)
{
    char file[256], line[512];
    path_of("kept.jsonl", file);
    snprintf(line, sizeof line, "tiny --attn gqa,mha -p 0 -n 2 --out %s" SHORT, file);
    want(line, 0, "mha");
    snprintf(line, sizeof line, "tiny --attn gqa,mha,mqa -p 0 -n 2 --out %s --resume" SHORT, file);
    outcome o = run(line);
    cr_expect_eq(o.code, 0);
    cr_expect(strstr(o.err, "has 2 of the 3 tests already"), "%s", o.err);
    cr_expect(strstr(o.out, "| mqa     | tg2 ") && !strstr(o.out, "| mha     | tg2 "), "%s", o.out);
    cr_expect_null(strstr(o.out, "fastest"), "two of three are not known: %s", o.out);
    release(&o);
}

Test(cli_forms, a_sweep_over_layers_takes_all)
{
    json_t *all = records("tiny --attn gqa,mla:16 --depth-sweep=2,6 -p 0 -n 2 -o json" SHORT, 4);
    cr_expect_eq(integer(json_array_get(all, 3), "n_layer_run"), 6);
    cr_expect_str_eq(string(json_array_get(all, 3), "attn_variant"), "mla:16");
    json_decref(all);
}

/* A text of the model's own letters chooses other ranks than the weights alone. */
Test(cli_forms, ranks_are_chosen_by_a_text)
{
    static const char *const line[] = {
        "tests/vectors/hf/llama --attn gqa,lrkv:8 -p 0 -n 1 -o json --text " TEXT SHORT,
        "tests/vectors/hf/llama --attn gqa,lrkv:8 -p 0 -n 1 -o json --text " TEXT
        " --calibrate " TEXT SHORT,
    };
    double kl[2];
    for (int i = 0; i < 2; i++) {
        json_t *all = records(line[i], 2);
        kl[i] = real(json_array_get(all, 1), "attn_kl");
        json_decref(all);
    }
    cr_expect(kl[1] > 0 && kl[1] < 0.9 * kl[0], "%g, calibrated %g", kl[0], kl[1]);
}

/* Of latent models MHA and MQA are orders, and exact. */
Test(cli_forms, latent_models_have_orders)
{
    json_t *all =
        records("tests/vectors/hf/deepseek_v2 --attn mha,mqa,mla -p 0 -n 1 -o json" SHORT, 3);
    cr_expect_str_eq(string(json_array_get(all, 0), "attn_variant"), "mla-naive-full");
    cr_expect_str_eq(string(json_array_get(all, 1), "attn_variant"), "mla-absorbed");
    cr_expect_str_eq(string(json_array_get(all, 2), "attn_variant"), "mla");
    cr_expect(json_is_true(json_object_get(json_array_get(all, 1), "attn_exact")));
    json_decref(all);
    want("tests/vectors/hf/deepseek_v2 --attn mla:8" SHORT, 1, "norm of its latent");
}

Test(cli_forms, refusals)
{
    want("tiny --attn gqa:3" SHORT, 1, "4 heads are no multiple of 3");
    want("tiny --attn lrkv:4096" SHORT, 1, "the rank is 64 at most");
    want("qwen3-0.6b --layers 1 --attn mla:64", 1, "norm of every K head");
    want("tiny --attn mha --text none.txt -p 0 -n 1" SHORT, 1, "");
    want("tiny --attn gqa,mha,mla:0" SHORT, 2, "numbers from 1 on");
    want("tiny --attn mha --calibrate none.txt" SHORT, 2, "--calibrate is for --attn mla:R");
    want("tiny --calibrate none.txt" SHORT, 2, "--calibrate is for --attn mla:R");
}
