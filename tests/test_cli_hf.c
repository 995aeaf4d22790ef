/* Folders of config.json and safetensors as users name them: every command that takes a MODEL runs
 * on one, or says in one line why not; convert makes a GGUF file of one.
 * Read next: test_hf.c. */
#include "program.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(cli_hf, .init = program_setup, .fini = program_teardown);

/* A line with, in place of its %s, a vector's folder, then out.gguf in the scratch folder. */
static char *line_of(const char *format, const char *name, char line[1024])
{
    char here[256], folder[512], out[256];
    cr_assert(getcwd(here, sizeof here));
    snprintf(folder, sizeof folder, "%s/tests/vectors/hf/%s", here, name);
    snprintf(line, 1024, format, folder, path_of("out.gguf", out));
    return line;
}

static void want_of(const char *format, const char *name, int code, const char *words)
{
    char line[1024];
    want(line_of(format, name, line), code, words);
}

Test(cli_hf, every_command_takes_a_folder)
{
    want_of("eval %s --tokens 1,2 --force 3", "llama", 0, "{\"pos\":2,\"token\":3,\"logits\":[");
    want_of("eval %s/ --tokens 1", "qwen2", 0, "{\"pos\":0");
    want_of("predict %s -p 8 -n 2", "deepseek_v3", 0, "deepseek_v3");
    want_of("%s -p 8 -n 2 -r 1", "qwen3_moe", 0, "qwen3_moe");
    want_of("verify %s", "llama-bias-linear", 0, "variants: ok");
    want_of("verify %s", "gpt_neox", 0, "counting build: ok");
    want_of("%s --type f16 -p 8 -n 0", "llama", 2, "a type can only be chosen for a preset");

    char folder[256], line[300];
    snprintf(line, sizeof line, "%s -p 8 -n 0", path_of("", folder));
    want(line, 1, "a folder is a model if it has config.json and safetensors");
}

Test(cli_hf, records_know_the_folder)
{
    char line[1024];
    outcome o = run(line_of("%s -p 8 -n 0 -r 1 -o json", "llama", line));
    cr_assert_eq(o.code, 0, "%s", o.err);
    json_t *all = parse(o.out), *r = json_array_get(all, 0);
    cr_assert(strstr(string(r, "model_filename"), "vectors/hf/llama"));
    cr_assert(strstr(string(r, "model_type"), "bf16"));
    cr_assert_gt(integer(r, "model_size"), 20000);
    cr_assert_eq(strncmp(string(json_object_get(r, "env"), "model_digest"), "xxh3:", 5), 0);
    json_decref(all);
    release(&o);
}

/* Logits of a few tokens as the program prints them. */
static outcome logits_of(const char *format, const char *name)
{
    char line[1024];
    outcome o = run(line_of(format, name, line));
    cr_assert_eq(o.code, 0, "%s", o.err);
    return o;
}

Test(cli_hf, convert_makes_a_gguf_file)
{
    want_of("convert %s %s", "gpt_neox", 0, "");
    outcome folder = logits_of("eval %s --tokens 1,2,3", "gpt_neox");
    outcome file = logits_of("eval %2$s --tokens 1,2,3", "gpt_neox");
    outcome tanh = logits_of("eval %s --tokens 1,2,3 --gelu tanh", "gpt_neox");
    cr_assert_str_eq(folder.out, file.out);
    cr_assert_str_neq(folder.out, tanh.out, "the model says that its GELU is exact");
    release(&folder);
    release(&file);
    release(&tanh);
    want_of("convert %s %s --type f32", "qwen2", 0, "| f32");
    folder = logits_of("eval %s --tokens 1,2,3", "qwen2");
    file = logits_of("eval %2$s --tokens 1,2,3", "qwen2");
    cr_assert_eq(strncmp(folder.out, file.out, 40), 0, "%s%s", folder.out, file.out);
    release(&folder);
    release(&file);
    outcome o = shell("ls *.gguf*");
    cr_assert_str_eq(o.out, "out.gguf\n", "nothing stays behind: %s", o.out);
    release(&o);
    want_of("convert %s", "qwen2", 2, "convert wants");
    want_of("convert %s/config.json %s", "qwen2", 2, "convert wants");
    want_of("convert %s /no/such/folder/x.gguf", "qwen2", 1, "cannot create");
}
