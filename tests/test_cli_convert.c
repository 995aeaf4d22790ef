/* rbench convert as users run it: its table, its complaints, what interrupts leave.
 * What it writes is test_convert.c's.
 * Read next: ../tools/cmd_convert.c. */
#include "program.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(cli_convert, .init = program_setup, .fini = program_teardown);

/* A line with paths of the scratch folder in place of its %s: in.gguf, then out.gguf. */
static const char *line_of(const char *format)
{
    static char line[1024];
    char in[256], out[256];
    snprintf(line, sizeof line, format, path_of("in.gguf", in), path_of("out.gguf", out));
    return line;
}

static void want_of(const char *format, int code, const char *words)
{
    want(line_of(format), code, words);
}

static void make_input(const char *words)
{
    char line[512];
    snprintf(line, sizeof line, "synth tiny %s -o %%s", words);
    want_of(line, 0, "");
}

Test(cli_convert, a_table_says_what_became_of_the_types)
{
    make_input("--type f16");
    want_of("convert %s %s --type q8_0", 0, "| q8_0  |");
    want_of("convert %s %s --type Q4_K_M -t 1", 0, "| q5_0  |"); /* narrow rows */
    want_of("%2$s -p 8 -n 2 -r 1", 0, "q5_0");
    want_of("convert %s %s --type iq4_nl -o json", 0, "\"iq4_nl\":{\"n_tensors\":");
    want("help convert", 0, "q4_k_m");
}

Test(cli_convert, json_adds_up)
{
    make_input("--type f32");
    outcome o = run(line_of("convert %s %s --type q8_0 -o json"));
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_assert_str_eq(o.err, "");
    json_t *r = parse(o.out), *types = json_object_get(r, "types");
    json_t *total = json_object_get(r, "total"), *q8 = json_object_get(types, "q8_0");
    json_t *f32 = json_object_get(types, "f32");
    cr_assert_str_eq(string(r, "type"), "q8_0");
    cr_assert_eq(json_object_size(types), 2);
    cr_assert_eq(integer(q8, "bytes_before") * 34, integer(q8, "bytes_after") * 128);
    cr_assert_eq(integer(total, "bytes_after"),
                 integer(q8, "bytes_after") + integer(f32, "bytes_after"));
    cr_assert_eq(integer(f32, "n_copied"), integer(f32, "n_tensors"));
    cr_assert_float_eq(json_number_value(json_object_get(q8, "bits_per_weight")), 8.5, 1e-12);
    const double error = json_number_value(json_object_get(total, "relative_rmse"));
    cr_assert(error > 1e-3 && error < 1e-2, "%g", error);
    json_decref(r);
    release(&o);
}

Test(cli_convert, quantised_input_is_noted_once)
{
    make_input("--type q4_0");
    outcome o = run(line_of("convert %s %s --type q5_1"));
    cr_assert_eq(o.code, 0);
    cr_assert_eq(lines_of(o.err), 1, "%s", o.err);
    cr_assert(strstr(o.err, "quantised already"), "%s", o.err);
    release(&o);
}

Test(cli_convert, the_table_stays_out_of_a_file_that_is_stdout)
{
    make_input("--type f16");
    outcome o = shell("$RBENCH convert in.gguf plain --type q8_0 >table && "
                      "$RBENCH convert in.gguf /dev/stdout --type q8_0 2>told | cat >piped && "
                      "cmp piped plain && cmp told table && "
                      "$RBENCH convert in.gguf /dev/stdout --type q8_0 2>told >direct && "
                      "cmp direct plain && cmp told table");
    cr_assert_eq(o.code, 0, "%s%s", o.out, o.err);
    release(&o);
}

Test(cli_convert, bad_lines_and_files)
{
    make_input("--type f16");
    want("convert", 2, "IN.gguf, OUT.gguf and --type");
    want_of("convert %s %s", 2, "--type TYPE");
    want_of("convert %s --type q8_0 --threads 2", 2, "OUT.gguf");
    want_of("convert %s %s --type q9_0", 2, "'q9_0' is not one of f32|");
    want_of("convert %1$s %1$s --type q8_0", 2, "it is the file that is read");
    want_of("convert %s /no/such/folder/x --type q8_0", 1, "cannot create: No such file");
    want_of("convert %s /tmp --type q8_0", 1, "cannot create: Is a directory");
    want("convert /no/such/file x --type q8_0", 1, "cannot open");
    want("convert tiny x.gguf --type q8_0", 1, "cannot open");
    if (access("/dev/full", W_OK) == 0)
        want_of("convert %s /dev/full --type q8_0", 1, "/dev/full: cannot write: No space left");
    want_of("convert %s /dev/null --type q8_0", 0, "total");
    outcome o = shell("rm -f out.gguf && ln -s nowhere.gguf out.gguf");
    release(&o);
    want_of("convert %s %s --type q8_0", 1, "cannot create: No such file");
}

/* What threads that OpenMP does not give would have summed is nothing. */
Test(cli_convert, fewer_threads_than_asked)
{
    make_input("--type f32");
    outcome one = run(line_of("convert %s %s --type q8_0 -o json -t 1"));
    setenv("OMP_THREAD_LIMIT", "1", 1);
    setenv("MALLOC_PERTURB_", "90", 1); /* no memory is zero by chance */
    outcome seven = run(line_of("convert %s %s --type q8_0 -o json -t 7"));
    cr_assert_eq(seven.code, 0, "%s", seven.err);
    cr_assert_str_eq(one.out, seven.out);
    release(&one);
    release(&seven);
}

Test(cli_convert, an_interrupt_leaves_no_file)
{
    const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    signal(SIGHUP, SIG_DFL); /* a parent may have ignored it */
    make_input("--set n_layer=20 --set n_embd=512 --set n_ff=2048 --set n_head=8 "
               "--set n_head_kv=8 --set d_head=64 --type f16");
    for (int i = 0; i < 3; i++) {
        pid_t pid = start(line_of("convert %s %s --type q3_K -t 1"));
        usleep(300000);
        kill(pid, signals[i]);
        outcome o = finish(pid), left = shell("ls");
        cr_assert_eq(o.code, 128 + signals[i], "exit %d: %s", o.code, o.err);
        cr_assert(strstr(o.err, "interrupted"), "%s", o.err);
        cr_assert_null(strstr(left.out, "out.gguf"), "%s", left.out);
        release(&o);
        release(&left);
    }
}

/* ---- attention ---- */

Test(cli_convert, attention_takes_another_form)
{
    make_input("--type f32");
    want_of("convert %s %s --attn mha", 0, "| f32   |");
    cr_expect(strstr(run(line_of("convert %s %s --attn mha")).err, "is exact"));
    want_of("%2$s -p 8 -n 2 -r 1", 0, "mha");
    cr_expect(strstr(run(line_of("convert %s %s --attn mqa")).err, "not the model's"));
    want_of("%2$s -p 8 -n 2 -r 1", 0, "mqa");
    want_of("convert %s %s --attn lrkv:32 --type q8_0", 0, "| q8_0  |");
    want_of("%2$s -p 8 -n 2 -r 1", 0, "lrkv");
    want_of("convert %s %s --attn mla:32:16 -o json", 0, "\"type\":\"as it is\"");
    want_of("verify %2$s", 0, "");
    want_of("convert %2$s %1$s --attn mha", 1, "converted before");
}

Test(cli_convert, forms_that_make_no_sense_are_refused)
{
    make_input("--type f16");
    want_of("convert %s %s --attn gqa", 2, "gqa:G");
    want_of("convert %s %s --attn gqa:3", 1, "no multiple of 3");
    want_of("convert %s %s --attn gta", 1, "trained");
    want_of("convert %s %1$s --attn mha", 2, "name another");
    want_of("convert %s %s", 2, "--attn FORM");
}

/* ---- --calibrate ---- */

#define LETTERS "tests/vectors/hf/llama"
#define TEXT    "tests/vectors/text/constitution.txt"

Test(cli_convert, ranks_are_chosen_by_a_text)
{
    char out[256], line[512];
    snprintf(line, sizeof line, "convert " LETTERS " %s --attn lrkv:16 --calibrate " TEXT,
             path_of("out.gguf", out));
    outcome o = run(line);
    cr_assert_eq(o.code, 0, "%s", o.err);
    cr_expect(strstr(o.err, "16384 tokens of the text"), "%s", o.err);
    release(&o);
    want_of("%2$s -p 8 -n 2 -r 1", 0, "lrkv");
    want_of("verify %2$s", 0, "");
}

/* A window of this model is 128 tokens, a letter each; BOS and a space stand before the text, BOS
 * in place of the first token of each further window: the letter there does not matter, the next
 * one does. */
Test(cli_convert, windows_of_a_text_begin_as_texts_do)
{
    outcome made = shell("a=$(printf %126s | tr ' ' a); printf \"${a}aa$a\" >one; "
                         "printf \"${a}ba$a\" >first; printf \"${a}ab$a\" >second");
    static const char *const names[] = { "one", "first", "second" };
    char text[256], out[256], file[16], line[768];
    release(&made);
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s.gguf", names[i]);
        snprintf(line, sizeof line, "convert " LETTERS " %s --attn lrkv:16 --calibrate %s",
                 path_of(file, out), path_of(names[i], text));
        want(line, 0, "");
    }
    outcome o = shell("cmp one.gguf first.gguf && ! cmp -s one.gguf second.gguf");
    cr_expect_eq(o.code, 0, "%s%s", o.out, o.err);
    release(&o);
}

Test(cli_convert, what_cannot_calibrate_is_refused)
{
    static const struct {
        const char *form, *text;
        int code;
        const char *words;
    } bad[] = {
        { "lrkv:16", "none", 1, "none: cannot open" },
        { "lrkv:16", "short", 1, "21 tokens do not calibrate a model that is 24 wide" },
        { "lrkv:16", "empty", 1, "tokens do not calibrate" },
        { "lrkv:16", "junk", 1, "NUL bytes: a text is wanted" },
        { "lrkv:16", ".", 1, "cannot read: Is a directory" },
        { "lrkv:24", "short", 2, "lrkv:24 loses nothing of this model" },
        { "lrkv:25", "short", 1, "the rank is 24 at most" },
        { "mla", "short", 2, "pooled heads know the weights alone" },
        { "mqa", "short", 2, "pooled heads know the weights alone" },
        { "gqa:1", "short", 2, "pooled heads know the weights alone" },
    };
    char at[256], line[768];
    outcome made = shell("printf 'the cat sat on a mat' >short; : >empty; "
                         "{ cat short; head -c 600 /dev/zero; } >junk");
    release(&made);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        outcome gone = shell("rm -f out.gguf");
        release(&gone);
        snprintf(line, sizeof line, "convert " LETTERS " %%2$s --attn %s --calibrate %s",
                 bad[i].form, path_of(bad[i].text, at));
        outcome o = run(line_of(line));
        cr_expect_eq(o.code, bad[i].code, "%s: exit %d: %s", line, o.code, o.err);
        cr_expect(strstr(o.err, bad[i].words), "%s: %s", line, o.err);
        cr_expect_eq(lines_of(o.err), 1, "%s: %s", line, o.err);
        release(&o);
        outcome left = shell("ls");
        cr_expect_null(strstr(left.out, "out.gguf"), "%s: %s", line, left.out);
        release(&left);
    }
    make_input("--type f16"); /* has no tokenizer */
    want_of("convert %s %s --attn lrkv:16 --calibrate " TEXT, 1, "tokenizer");
    want_of("convert %s %s --type q8_0 --calibrate " TEXT, 2, "--calibrate wants --attn");
    want_of("convert " TEXT " %2$s --attn lrkv:16 --calibrate " TEXT, 1, "constitution.txt");
    want("convert --help", 0, "16384");
}
