/* `rbench place` as users meet it: results of llama-bench on a model's counts, what of a file is
 * left out and why, hostile files, formats and a figure. Counts and shares are in test_peer.c. Read
 * next: program.h, ../tools/cmd_place.c. */
#include "program.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

TestSuite(cli_place, .init = program_setup, .fini = program_teardown);

/* A record of llama-bench for the model tiny, with another text at its end. */
#define RECORD_OF(params, size, end)                                                               \
    "{\"build_commit\": \"3f2a1bc\", \"build_number\": 4321, \"cpu_info\": \"A CPU\","             \
    " \"model_filename\": \"t.gguf\", \"model_size\": " size ", \"model_n_params\": " params ","   \
    " \"n_batch\": 2048, \"n_ubatch\": 512, \"n_threads\": 1, \"type_k\": \"f16\","                \
    " \"type_v\": \"f16\", \"n_depth\": 4, \"avg_ns\": 2000000," end "}"
#define PROMPT "\"n_prompt\": 20, \"n_gen\": 0, \"samples_ns\": [1000000, 2000000, 3000000]"
#define GEN    "\"n_prompt\": 0, \"n_gen\": 3, \"samples_ns\": [4000000]"

/* What the program says of the model tiny. */
static char params[24], size[24];

/* The path of a file with these records, numbers of the model put in; one of two buffers. */
static const char *put_file(const char *text)
{
    static char path[2][256], full[8192];
    static int turn;
    turn = !turn;
    FILE *f = fopen(path_of(turn ? "a.json" : "b.json", path[turn]), "w");
    cr_assert_not_null(f);
    snprintf(full, sizeof full, "%s", text);
    for (char *at; (at = strchr(full, '@'));) { /* @p: parameters, @s: bytes */
        char rest[8192];
        snprintf(rest, sizeof rest, "%s", at + 2);
        snprintf(at, sizeof full - (size_t)(at - full), "%s%s", at[1] == 'p' ? params : size, rest);
    }
    fputs(full, f);
    fclose(f);
    return path[turn];
}

static void learn_model(void)
{
    outcome o = run("predict tiny -p 20 -n 3 -d 4 -o json");
    json_t *all = parse(o.out);
    snprintf(params, sizeof params, "%lld", integer(json_array_get(all, 0), "model_n_params"));
    snprintf(size, sizeof size, "%lld", integer(json_array_get(all, 0), "model_size"));
    json_decref(all);
    release(&o);
}

static const char both[] = "[" RECORD_OF("@p", "@s", PROMPT) ",\n" RECORD_OF("@p", "@s", GEN) "]";

/* Runs place on a file of this text. */
static outcome place(const char *text, const char *more)
{
    char line[512];
    snprintf(line, sizeof line, "place %s tiny %s", put_file(text), more);
    return run(line);
}

static void want_place(const char *text, int code, const char *words)
{
    outcome o = place(text, "");
    cr_expect_eq(o.code, code, "exit %d: %s", o.code, o.err);
    cr_expect(strstr(code ? o.err : o.out, words), "'%s' is not in: %s", words,
              code ? o.err : o.out);
    cr_expect(!code || !strncmp(o.err, "rbench: ", 8), "%s", o.err);
    release(&o);
}

Test(cli_place, counts_are_predicted_and_times_the_engines)
{
    learn_model();
    outcome o = place(both, "-o json"), dry = run("predict tiny -p 20 -n 3 -d 4 -o json");
    cr_assert_eq(o.code, 0, "%s", o.err);
    json_t *all = parse(o.out), *counted = parse(dry.out);
    cr_assert_eq(json_array_size(all), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *a = json_array_get(all, i), *b = json_array_get(counted, i);
        cr_assert_eq(integer(a, "flops"), integer(b, "flops"));
        cr_assert(json_equal(json_object_get(a, "bytes"), json_object_get(b, "bytes")));
        cr_assert_str_eq(string(json_object_get(a, "peer"), "name"), "llama.cpp");
    }
    cr_assert_eq(integer(json_array_get(all, 0), "avg_ns"), 2000000);
    cr_assert_eq(integer(json_array_get(all, 1), "avg_ns"), 4000000);
    json_decref(all);
    json_decref(counted);
    release(&o);
    release(&dry);
}

Test(cli_place, tables_lines_and_a_figure)
{
    char path[256], more[300];
    learn_model();
    outcome o = place(both, "");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert(strstr(o.out, ", engine llama.cpp 3f2a1bc (4321)\n") &&
              strstr(o.out, "| pp20 @ d4 "));
    cr_assert(strstr(o.out, " 2.00 ms |") && strstr(o.out, "Times are the engine's"));
    release(&o);
    o = place("\xef\xbb\xbf" RECORD_OF("@p", "@s", PROMPT) "\n" RECORD_OF("@p", "@s", GEN) "\n",
              "-o csv");
    cr_assert_eq(lines_of(o.out), 3, "a head and two rows: %s", o.out);
    cr_assert(strstr(o.out, ",llama.cpp,3f2a1bc (4321),A CPU,"));
    release(&o);
    snprintf(more, sizeof more, "--plot %s -o jsonl", path_of("f.svg", path));
    o = place(both, more);
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert_eq(lines_of(o.out), 2);
    char *svg = slurp("f.svg");
    cr_assert(strstr(svg, "by llama.cpp 3f2a1bc (4321)"));
    free(svg);
    release(&o);
}

/* Characters of the line at *text, which goes on to the next. */
static int line_width(const char **text)
{
    int n = 0;
    for (; **text && **text != '\n'; ++*text)
        n += (**text & 0xC0) != 0x80;
    *text += **text == '\n';
    return n;
}

Test(cli_place, rows_align_whatever_a_build_is_called)
{
    learn_model();
    outcome o = place(
        RECORD_OF("@p", "@s", PROMPT)
            RECORD_OF("@p", "@s", GEN ", \"build_commit\": \"0123456789abcdef0123456789abcde\""),
        "");
    cr_assert(strstr(o.out, "| llama.cpp 0123456789abcdef0123456789abcde (4321) |"), "%s", o.out);
    const char *at = strchr(o.out, '|');
    const int width = line_width(&at);
    for (int i = 1; i < 4; i++)
        cr_assert_eq(line_width(&at), width, "line %d of\n%s", i + 1, o.out);
    release(&o);
}

Test(cli_place, roofs_share_and_bound)
{
    learn_model();
    unsetenv("RBENCH_ARG_NO_ROOFS");
    outcome o = place(both, "-o json --isa scalar");
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert(strstr(o.err, "times are of A CPU, roofs of "), "%s", o.err);
    json_t *all = parse(o.out), *r;
    size_t i;
    json_array_foreach(all, i, r)
    {
        const double least = json_number_value(json_object_get(r, "roof_ns"));
        const double took = json_number_value(json_object_get(r, "median_ns"));
        const double pct = json_number_value(json_object_get(r, "roof_pct"));
        cr_assert_gt(least, 0);
        cr_assert(strlen(string(r, "bound")) > 0 && integer(r, "roof_pairs") == 0);
        cr_assert(pct > 0 ? fabs(pct - 100 * least / took) < 1e-6
                          : json_is_true(json_object_get(r, "roof_exceeded")));
    }
    cr_assert_eq(i, 2);
    json_decref(all);
    release(&o);
    o = place(both, "-t 1024");
    cr_assert_eq(o.code, 2);
    cr_assert(strstr(o.err, "roofs of 1024 threads cannot be measured"), "%s", o.err);
    cr_assert_str_eq(o.out, "");
    release(&o);
    o = place(RECORD_OF("@p", "@s", PROMPT ", \"n_threads\": 1024"), "");
    cr_assert_eq(o.code, 1);
    cr_assert(strstr(o.err, "record 1 is left out: roofs of 1024 threads"), "%s", o.err);
    release(&o);
}

Test(cli_place, other_models_are_left_out_with_a_line_each)
{
    learn_model();
    outcome o = place("[" RECORD_OF("7", "@s", PROMPT) "," RECORD_OF("@p", "@s", GEN) "," RECORD_OF(
                          "@p", "8", PROMPT) "]",
                      "-o jsonl");
    cr_assert_eq(o.code, 1);
    cr_assert_eq(lines_of(o.out), 1);
    cr_assert_eq(lines_of(o.err), 2, "%s", o.err);
    cr_assert(strstr(o.err, "record 1 is left out: of another model: 7 parameters"), "%s", o.err);
    cr_assert(strstr(o.err, "record 3 is left out: of another model"), "%s", o.err);
    release(&o);
    want_place(RECORD_OF("7", "8", PROMPT), 1, "no result of tiny");
}

Test(cli_place, hostile_files_get_a_line)
{
    char cut[4096];
    learn_model();
    snprintf(cut, sizeof cut, "%.300s", both);
    want_place(cut, 1, "not JSON");
    want_place("", 1, "empty");
    want_place("[]", 1, "no result of tiny");
    want_place("{}", 1, "record 1 is left out: no \"n_prompt\": not a result of llama-bench");
    want_place(RECORD_OF("@p", "@s", "\"n_prompt\": 1, \"n_gen\": 0, \"samples_ns\": \"1\""), 1,
               "not an array");
    want_place("[1, 2]", 1, "records are JSON objects");
    want_place("\"text\"", 1, "not JSON");
    want_place("| model | size |\n", 1, "not JSON");
    want_place("{\"n_prompt\": {\"a\": []}, \"n_gen\": 1}", 1, "not a whole number");
    want_place(RECORD_OF("@p", "@s", "\"n_prompt\": 99999999999999999999, \"n_gen\": 0"), 1,
               "not JSON");
    want_place(RECORD_OF("@p", "@s", "\"n_prompt\": 1048576, \"n_gen\": 0, \"n_seq\": 1"), 0,
               "pp1048576");
    want("place", 2, "wants a BENCH.json");
    want("place one.json", 2, "wants a BENCH.json");
    want("place ./none.json tiny", 1, "cannot open");
    want("place ./none.json tiny --plot f.txt", 2, "figures are .png or .svg");
    want("place ./none.json tiny -o xml", 2, "not one of md|json|jsonl|csv");
}
