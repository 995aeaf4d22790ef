/* rbench generate and perplexity as users meet them, on a model of forty letters that brings its
 * tokenizer: what is drawn is what eval's logits call for, exit codes, JSON, chats, interrupts.
 * Read next: program.h, ../tools/cmd_generate.c, ../tools/cmd_perplexity.c. */
#include "files.h"
#include "program.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(cli_text, .init = program_setup, .fini = program_teardown);

#define LETTERS "tests/vectors/hf/llama"
#define TEXT    "tests/vectors/text/constitution.txt"

static json_t *json_of(const char *line)
{
    outcome o = run(line);
    cr_assert_eq(o.code, 0, "%s: %s", line, o.err);
    json_t *v = parse(o.out);
    release(&o);
    return v;
}

static void expect_ids(const json_t *ids, int n, const int *want_ids)
{
    cr_assert_eq(json_array_size(ids), (size_t)n);
    for (int i = 0; i < n; i++)
        cr_expect_eq(json_integer_value(json_array_get(ids, (size_t)i)), want_ids[i], "%d", i);
}

/* Runs a script with $MODEL and $TEXT as full paths. */
static outcome script(const char *text)
{
    char at[512], all[2048];
    cr_assert(getcwd(at, sizeof at));
    snprintf(all, sizeof all, "MODEL=%s/" LETTERS "; TEXT=%s/" TEXT "; %s", at, at, text);
    return shell(all);
}

/* The texts that strtod takes and people do not mean are refused, and quoted. */
Test(cli_text, numbers_with_a_point)
{
    static const char *const good[] = { "0",  "-0",   "100",  "2.5",   ".5",
                                        "5.", "1e-3", "1E+2", "1e-400" };
    static const char *const bad[] = { "",    " ",   "  5", "5 ",    "5x",     "nan",     "inf",
                                       "0x1", "1,5", "1e",  "1e309", "-1e309", "-1e-9",   "100.01",
                                       ".",   "--1", "+",   "1.2.3", "1e+",    "infinity" };
    char line[256];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(line, sizeof line, "exec $RBENCH generate $MODEL -p a -n 1 --temp %s", good[i]);
        outcome o = script(line);
        cr_expect_eq(o.code, 0, "'%s': %s", good[i], o.err);
        release(&o);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char words[64];
        snprintf(line, sizeof line, "exec $RBENCH generate $MODEL -p a --temp '%s'", bad[i]);
        snprintf(words, sizeof words, "--temp: '%s' is not a number from 0 to 100\n", bad[i]);
        outcome o = script(line);
        cr_expect_eq(o.code, 2, "'%s' exits %d", bad[i], o.code);
        cr_expect(strstr(o.err, words), "'%s': %s", bad[i], o.err);
        release(&o);
    }
}

Test(cli_text, mistakes_are_one_line)
{
    want("generate", 2, "generate wants one MODEL");
    want("generate " LETTERS " -p a -f b", 2, "-p TEXT or -f FILE");
    want("generate " LETTERS " -p a --temp warm", 2, "not a number from 0 to 100");
    want("generate " LETTERS " -p a --temp -1", 2, "not a number");
    want("generate " LETTERS " -p a --temp nan", 2, "not a number");
    want("generate " LETTERS " -p a --top-p 0", 2, "top-p above 0");
    want("generate " LETTERS " -p a --attn mlb", 2, "attention 'mlb'");
    want("generate " LETTERS " -p a --system b", 2, "give --chat too");
    want("generate tiny -p a", 1, "a preset has no tokenizer");
    want("generate nosuch.gguf -p a", 1, "nosuch.gguf");
    want("generate " LETTERS " -f nosuch.txt", 1, "nosuch.txt: cannot open");
    want("generate tests/vectors/hf/qwen2 -p a", 1, "tokenizer.json");
    want("generate tests/vectors/stories260K.bin -p a", 1, "stories260K.bin");
    want("perplexity " LETTERS, 2, "perplexity wants one MODEL and -f FILE");
    want("perplexity " LETTERS " -f nosuch.txt", 1, "nosuch.txt: cannot open");
    want("perplexity " LETTERS " -f " TEXT " -c 3", 2, "whole number from 4");
    want("perplexity " LETTERS " -f " TEXT " -c 1000000", 1, "one window of 1000000");
    want("perplexity " LETTERS " -f " TEXT " --attn mlb", 2, "attention 'mlb'");
    want("perplexity " LETTERS " -f " TEXT " --base tiny", 1, "cannot be compared");
    want("generate --help", 0, "--top-k");
    want("perplexity --help", 0, "--chunks");
}

/* The ids that are best by eval's logits after these. */
static void expect_best(const json_t *prompt, const json_t *ids)
{
    char line[1024] = "eval " LETTERS " --tokens ";
    const size_t n_prompt = json_array_size(prompt), n = json_array_size(ids);
    for (size_t i = 0; i < n_prompt + n; i++) {
        const json_t *id =
            i < n_prompt ? json_array_get(prompt, i) : json_array_get(ids, i - n_prompt);
        snprintf(line + strlen(line), sizeof line - strlen(line), "%s%lld",
                 i == n_prompt ? " --force "
                 : i           ? ","
                               : "",
                 (long long)json_integer_value(id));
    }
    outcome o = run(line);
    char *rest = o.out;
    for (size_t i = 0; i < n_prompt + n - 1; i++) {
        char *end = strchr(rest, '\n');
        cr_assert(end, "%s", o.err);
        *end = 0;
        json_t *row = parse(rest), *logits = json_object_get(row, "logits");
        rest = end + 1;
        size_t best = 0;
        for (size_t k = 1; k < json_array_size(logits); k++)
            if (json_real_value(json_array_get(logits, k)) >
                json_real_value(json_array_get(logits, best)))
                best = k;
        if (i + 1 >= n_prompt)
            cr_expect_eq((long long)best, json_integer_value(json_array_get(ids, i + 1 - n_prompt)),
                         "%zu", i);
        json_decref(row);
    }
    release(&o);
}

Test(cli_text, the_best_token_is_that_of_eval)
{
    json_t *v = json_of("generate " LETTERS " -p the.cat -n 9 --temp 0 --ignore-eos -o json "
                        "-ctk f32 -ctv f32 --act f32");
    const json_t *ids = json_object_get(v, "ids");
    cr_assert_eq(json_array_size(ids), 9);
    cr_expect_str_eq(string(v, "ended_by"), "length");
    expect_best(json_object_get(v, "prompt_ids"), ids);
    json_decref(v);
}

Test(cli_text, text_is_that_of_the_ids)
{
    json_t *v =
        json_of("generate " LETTERS " -p cat -n 20 --seed 3 --temp 1.5 --ignore-eos -o json");
    outcome o = run("generate " LETTERS " -p cat -n 20 --seed 3 --temp 1.5 --ignore-eos");
    cr_assert_eq(o.code, 0);
    const size_t n = strlen(string(v, "text"));
    cr_expect_gt(n, 5);
    cr_expect_eq(strlen(o.out), n + 1);
    cr_expect(!strncmp(o.out, string(v, "text"), n), "'%s' '%s'", o.out, string(v, "text"));
    cr_expect_eq(o.out[n], '\n');
    cr_expect(strstr(o.err, "5 prompt tokens at "), "%s", o.err);
    cr_expect(strstr(o.err, "20 generated at "), "%s", o.err);
    cr_expect(strstr(o.err, "ended by length"), "%s", o.err);
    release(&o);
    json_decref(v);
}

Test(cli_text, a_seed_is_a_text)
{
    outcome a = run("generate " LETTERS " -p cat -n 30 --seed 3 --temp 2 --top-k 0 --ignore-eos");
    outcome b =
        run("generate " LETTERS " -p cat -n 30 --seed 3 --temp 2 --top-k 0 --ignore-eos -t 1");
    outcome c = run("generate " LETTERS " -p cat -n 30 --seed 4 --temp 2 --top-k 0 --ignore-eos");
    cr_expect_str_eq(a.out, b.out);
    cr_expect_str_neq(a.out, c.out);
    release(&a);
    release(&b);
    release(&c);
}

Test(cli_text, chats_go_through_the_template)
{
    /* <s> <|user|> _ h i <|end|> _ th e _ */
    const int want_ids[] = { 1, 36, 3, 11, 12, 37, 3, 32, 8, 3 };
    json_t *v = json_of("generate " LETTERS " --chat -p hi -n 2 -o json");
    expect_ids(json_object_get(v, "prompt_ids"), 10, want_ids);
    json_decref(v);
    outcome o = script("cp -r $MODEL plain && printf '{}' > plain/tokenizer_config.json && "
                       "$RBENCH generate plain --chat -p hi");
    cr_expect_eq(o.code, 1);
    cr_expect(strstr(o.err, "no chat template"), "%s", o.err);
    release(&o);
    o = script("cp -r $MODEL odd && printf '{\"chat_template\":\"{{ raise_exception(4) }}\"}' > "
               "odd/tokenizer_config.json && $RBENCH generate odd --chat -p hi");
    cr_expect_eq(o.code, 1);
    cr_expect_eq(lines_of(o.err), 1, "%s", o.err);
    release(&o);
    o = script("printf '{\"chat_template\":\"{{ strftime_now(\\\\\"%%Y\\\\\")[0] }}\"}' > "
               "odd/tokenizer_config.json && $RBENCH generate odd --chat -p hi -n 1");
    cr_expect_eq(o.code, 0, "%s", o.err);
    release(&o);
}

Test(cli_text, prompts_from_files_and_stdin)
{
    outcome o =
        script("printf 'the cat' > p; $RBENCH generate $MODEL -f p -n 5 --temp 0 > a && "
               "printf 'the cat' | $RBENCH generate $MODEL -f - -n 5 --temp 0 > b && "
               "$RBENCH generate $MODEL -p 'the cat' -n 5 --temp 0 > c && cmp a b && cmp a c");
    cr_expect_eq(o.code, 0, "%s", o.err);
    release(&o);
    o = script("printf 'a\\000b' > p; $RBENCH generate $MODEL -f p -n 5 --chat");
    cr_expect_eq(o.code, 1);
    cr_expect(strstr(o.err, "NUL"), "%s", o.err);
    release(&o);
}

Test(cli_text, tokens_that_the_model_lacks_are_refused)
{
    outcome o =
        script("cp -r $MODEL wide && sed -i 's/\"q\": 20/\"q\": 40/' wide/tokenizer.json && "
               "$RBENCH generate wide -p q");
    cr_expect_eq(o.code, 1);
    cr_expect(strstr(o.err, "token 40 is outside the vocabulary"), "%s", o.err);
    release(&o);
}

Test(cli_text, nothing_generated_is_no_failure)
{
    json_t *v = json_of("generate " LETTERS " -p cat -n 0 -o json");
    cr_expect_eq(json_array_size(json_object_get(v, "ids")), 0);
    cr_expect_str_eq(string(v, "text"), "");
    json_decref(v);
}

Test(cli_text, a_full_disk_is_told)
{
    outcome o = script("$RBENCH generate $MODEL -p cat -n 5 > /dev/full");
    cr_expect_eq(o.code, 1);
    cr_expect(strstr(o.err, "cannot write the text"), "%s", o.err);
    release(&o);
    o = script("$RBENCH generate $MODEL -p cat -n 5 -o json > /dev/full");
    cr_expect_eq(o.code, 1);
    cr_expect(strstr(o.err, "cannot write the text"), "%s", o.err);
    release(&o);
    o = script("$RBENCH perplexity $MODEL -f $TEXT -c 64 --chunks 2 > /dev/full");
    cr_expect_eq(o.code, 1);
    cr_expect(strstr(o.err, "cannot write the perplexity"), "%s", o.err);
    release(&o);
}

Test(cli_text, an_interrupt_keeps_the_text)
{
    const pid_t pid = start("generate " LETTERS " -p cat -n 200000 --ignore-eos --temp 2");
    for (int waited = 0; waited < 3000; waited++) { /* until there is text */
        char *text = slurp("out");
        const size_t n = strlen(text);
        free(text);
        if (n > 10)
            break;
        usleep(10000);
    }
    kill(pid, SIGINT);
    outcome o = finish(pid);
    cr_expect_eq(o.code, 130, "%s", o.err);
    cr_expect_gt(strlen(o.out), 10);
    cr_expect(strstr(o.err, "ended by interrupt"), "%s", o.err);
    release(&o);
}

/* A rate over tokens that never ran would be no rate. */
Test(cli_text, a_prompt_cut_short_is_told_as_such)
{
    char path[256], line[512];
    FILE *f = fopen(path_of("long", path), "w");
    cr_assert(f);
    for (int i = 0; i < 300000; i++)
        putc('a' + i % 7, f);
    fclose(f);
    snprintf(line, sizeof line, "generate " LETTERS " -f %s -n 1 -ub 1 -o json", path);
    const pid_t pid = start_until(line, "was trained on");
    kill(pid, SIGINT);
    outcome o = finish(pid);
    cr_expect_eq(o.code, 130, "%s", o.err);
    cr_expect(strstr(o.err, " of 300002 prompt tokens at "), "%s", o.err);
    cr_expect(strstr(o.err, "ended by interrupt"), "%s", o.err);
    json_t *v = parse(o.out);
    cr_expect_lt(integer(v, "prompt_run"), 300002);
    json_decref(v);
    release(&o);
}

Test(cli_text, a_failure_is_no_end_by_length)
{
    outcome o = script("$RBENCH generate $MODEL -p cat -n 5 > /dev/full");
    cr_expect(strstr(o.err, "ended by error"), "%s", o.err);
    release(&o);
}

/* A NaN in the row of "q" (20; bf16, 24 columns, the file's first tensor), which is never the best:
 * yet the others' likelihoods hang on it. */
#define WITH_NAN                                                                                   \
    "cp -r $MODEL nan && f=nan/model.safetensors && n=$(od -An -t u8 -N8 $f) && "                  \
    "printf '\\300\\177' | dd of=$f bs=1 seek=$((8 + n + 20 * 48)) conv=notrunc 2> /dev/null && "

Test(cli_text, logits_that_are_no_numbers_fail)
{
    outcome o = script(WITH_NAN "$RBENCH generate nan -p cat -n 3 --temp 0");
    cr_expect_eq(o.code, 1);
    cr_expect(strstr(o.err, "its logits are no finite numbers"), "%s", o.err);
    release(&o);
}

/* All rows are of the same places: none, if the first window of one fails. */
Test(cli_text, no_row_is_of_fewer_places)
{
    outcome o = script(WITH_NAN "$RBENCH perplexity nan -f $TEXT -c 64 --chunks 2 --base $MODEL");
    cr_expect_eq(o.code, 1);
    cr_expect_str_eq(o.out, "");
    cr_expect(strstr(o.err, "no finite numbers"), "%s", o.err);
    release(&o);
}

Test(cli_text, a_configuration_that_cannot_be_opened_is_not_none)
{
    outcome o = script("cp -r $MODEL loop && ln -sf tokenizer_config.json "
                       "loop/tokenizer_config.json && $RBENCH generate loop -p cat");
    cr_expect_eq(o.code, 1);
    cr_expect(strstr(o.err, "tokenizer_config.json: cannot open"), "%s", o.err);
    release(&o);
}

/* The first JSON object of several lines. */
static json_t *line_of(const outcome *o, int i)
{
    const char *at = o->out;
    for (; i > 0; i--)
        at = strchr(at, '\n') + 1;
    char *copy = strndup(at, strcspn(at, "\n"));
    json_t *v = parse(copy);
    free(copy);
    return v;
}

Test(cli_text, perplexity_and_a_reference)
{
    outcome o = run("perplexity " LETTERS " -f " TEXT " -c 64 --chunks 3 -o json --base " LETTERS);
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert_eq(lines_of(o.out), 2);
    json_t *base = line_of(&o, 0), *own = line_of(&o, 1);
    cr_expect_eq(integer(own, "n_scored"), 3 * 31);
    const double ppl = json_real_value(json_object_get(own, "ppl"));
    cr_expect(ppl > 1 && ppl < 1000, "%g", ppl);
    cr_expect_eq(ppl, json_real_value(json_object_get(base, "ppl")));
    cr_expect_eq(json_real_value(json_object_get(own, "kl")), 0);
    cr_expect_eq(json_real_value(json_object_get(own, "same_top")), 1);
    cr_expect_null(json_object_get(base, "kl"));
    json_decref(base);
    json_decref(own);
    release(&o);
    want("perplexity " LETTERS " -f " TEXT " -c 64 --chunks 1", 0, " PPL |");
}

/* A folder whose post_processor adds BOS, and whose configuration does not name it. */
Test(cli_text, bos_begins_windows_however_it_is_told)
{
    outcome o = script("cp -r $MODEL mute && printf '{}' > mute/tokenizer_config.json && "
                       "$RBENCH perplexity $MODEL -f $TEXT -c 64 --chunks 3 -o json > a && "
                       "$RBENCH perplexity mute -f $TEXT -c 64 --chunks 3 -o json > b && "
                       "sed -i 's/.*\"ppl\":\\([^,]*\\),.*/\\1/' a b && test -s a && cmp a b");
    cr_expect_eq(o.code, 0, "%s %s", o.out, o.err);
    release(&o);
}

Test(cli_text, orders_of_latent_attention_agree)
{
    outcome o = script("cp -r $MODEL/../deepseek_v2 mla && cp $MODEL/tokenizer* mla && "
                       "$RBENCH perplexity mla -f $TEXT -c 32 --chunks 2 -o json -ctk f32 -ctv f32 "
                       "--act f32 --attn mla-naive-full,mla-absorbed,mla-naive-latent");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert_eq(lines_of(o.out), 4);
    const char *const variant[] = { "mla", "mla-naive-full", "mla-absorbed", "mla-naive-latent" };
    for (int i = 1; i < 4; i++) {
        json_t *v = line_of(&o, i);
        cr_expect_str_eq(string(v, "attn_variant"), variant[i]);
        cr_expect_str_eq(string(v, "reference_variant"), "mla");
        const double far = json_real_value(json_object_get(v, "dlogit_max")) /
                           json_real_value(json_object_get(v, "logit_max"));
        cr_expect_leq(far, 1e-4, "%s: %g", string(v, "attn_variant"), far);
        json_decref(v);
    }
    release(&o);
}

/* A file of thirty-two letters, whose attention is said to have been converted to MQA. */
static void write_converted(const char *name, bool exact)
{
    char path[256], letter[] = "a";
    gguf_file g = gguf_make("llama");
    gguf_kv_string(&g, "tokenizer.ggml.model", "llama");
    gguf_kv_uint(&g, "tokenizer.ggml.tokens", RB_GGUF_ARRAY, RB_GGUF_STRING, 4);
    blob *tokens = &g.kv[g.have_kv - 1];
    blob_uint(tokens, 32, 8);
    for (int i = 0; i<32; i++, letter[0] += i> 2)
        blob_string(tokens, i == 0 ? "<unk>" : i == 1 ? "<s>" : i == 2 ? "</s>" : letter);
    gguf_kv_uint(&g, "tokenizer.ggml.scores", RB_GGUF_ARRAY, RB_GGUF_F32, 4);
    blob_uint(&g.kv[g.have_kv - 1], 32, 8);
    for (int i = 0; i < 32; i++)
        blob_uint(&g.kv[g.have_kv - 1], 0, 4);
    gguf_kv_string(&g, "rbench.attention.form", "mqa");
    gguf_kv_uint(&g, "rbench.attention.exact", RB_GGUF_BOOL, exact, 1);
    blob all = gguf_bytes(&g);
    blob_write(&all, path_of(name, path));
    blob_free(&all);
    gguf_free(&g);
}

Test(cli_text, what_was_lost_is_no_text_of_the_model)
{
    write_converted("exact.gguf", true);
    write_converted("lossy.gguf", false);
    outcome o = script("$RBENCH generate exact.gguf -p cab -n 2");
    cr_expect_eq(o.code, 0, "%s", o.err);
    release(&o);
    o = script("$RBENCH generate lossy.gguf -p cab -n 2");
    cr_expect_eq(o.code, 1);
    cr_expect_str_eq(o.out, "");
    cr_expect(strstr(o.err, "converted to mqa with losses"), "%s", o.err);
    release(&o);
    o = script("$RBENCH generate lossy.gguf -p cab -n 2 --approx-ok");
    cr_expect_eq(o.code, 0, "%s", o.err);
    release(&o);
}
