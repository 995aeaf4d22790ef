/* Small runs of every command, and the files that they read. One thread each: a signal or a failure
 * comes at the same call every time.
 * Read next: faults.c. */
#define _GNU_SOURCE
#include "cases.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "folder.h"

#define QUICK " -p 8 -n 2 -r 1 -t 1 --no-roofs"
#define TINY                                                                                       \
    " --set arch=qwen3 --set n_layer=2 --set n_embd=64 --set n_ff=96 --set n_vocab=128"            \
    " --set n_head=4 --set n_head_kv=2 --set d_head=16 --set n_ctx=128"
#define FOLDER_OF_WEIGHTS "in/hf/model.safetensors"

const fault_case fault_cases[] = {
    { "bench", "in/f.gguf" QUICK " -o json", NULL, "in/f.gguf", false, BUT_TIMES },
    { "bench --out --plot --trace",
      "in/f.gguf" QUICK " --out out/r.jsonl --plot out/r.png --trace out/t.json -o json", NULL,
      "in/f.gguf", false, BUT_TIMES },
    { "sweep --resume", "in/f.gguf --depth-sweep=1,2 -o json --resume --out out/r.jsonl" QUICK,
      "out/r.jsonl<in/one.jsonl", "in/f.gguf", false, BUT_TIMES },
    { "bench --attn", "in/f.gguf --attn gqa:1,lrkv:24 -o json --out out/r.jsonl" QUICK, NULL,
      "in/f.gguf", false, BUT_TIMES },
    { "predict", "predict tiny -p 8 -n 2 -o json", NULL, NULL, false, BUT_TIMES },
    { "eval", "eval in/f.gguf --tokens 3,17,5 --force 7,29 -t 1", NULL, "in/f.gguf", false,
      EVERY_BYTE },
    { "generate", "generate in/hf -p hi -n 5 --ignore-eos -t 1 -o json", NULL, FOLDER_OF_WEIGHTS,
      false, BUT_TIMES },
    { "generate --chat", "generate in/hf --chat -p hi -n 5 --system be -t 1", NULL,
      FOLDER_OF_WEIGHTS, false, EVERY_BYTE },
    { "perplexity",
      "perplexity in/hf -f in/text.txt -c 32 --chunks 2 -t 1 -o json --attn mha,lrkv:12", NULL,
      FOLDER_OF_WEIGHTS, false, BUT_TIMES },
    { "tokenize", "tokenize in/hf the", NULL, NULL, false, EVERY_BYTE },
    { "convert", "convert in/f.gguf out/m.gguf --type q4_k_m -t 1", "out/m.gguf<in/f.gguf",
      "in/f.gguf", false, EVERY_BYTE },
    { "convert FOLDER", "convert in/hf out/m.gguf --type q8_0 -t 1", NULL, FOLDER_OF_WEIGHTS, false,
      EVERY_BYTE },
    { "convert --attn --calibrate",
      "convert in/hf out/m.gguf --attn lrkv:16 --calibrate in/text.txt -t 1", NULL,
      FOLDER_OF_WEIGHTS, true, EVERY_BYTE },
    { "synth", "synth" TINY " -o out/m.gguf", NULL, NULL, false, EVERY_BYTE },
    { "plot .png", "plot in/sweep.jsonl -o out/p.png", "out/p.png<in/one.jsonl", NULL, false,
      EVERY_BYTE },
    { "plot .svg", "plot in/sweep.jsonl --kind layers -o out/p.svg", NULL, NULL, false,
      EVERY_BYTE },
    { "compare", "compare in/a.json in/a.json -o json", NULL, NULL, false, EVERY_BYTE },
    { "place", "place in/lb.json in/f.gguf --no-roofs -o json", NULL, "in/f.gguf", false,
      BUT_TIMES },
    { "verify", "verify in/f.gguf --no-roofs -t 1 -o json", NULL, "in/f.gguf", false, BUT_TIMES },
    { "kernels", "kernels rmsnorm -r 1 --no-roofs -t 1 --type f32 --cache warm -o json", NULL, NULL,
      false, BUT_TIMES },
    { "roofs", "roofs -r 1 -t 1 -o json", NULL, NULL, true, BUT_TIMES },
    { "paper, new", "paper --models in/f.gguf -r 1 -t 1 --no-roofs --out out", NULL, NULL, true,
      LESS },
    { "paper, gone on with", "paper --models tiny --types f16 -r 1 -t 1 --no-roofs --out out",
      "out/records.jsonl<in/paper.jsonl", NULL, true, LESS },
};
const int n_fault_cases = sizeof fault_cases / sizeof *fault_cases;

enum { ROOM = 1024 };

static void join(char *to, const char *in, const char *name)
{
    if (snprintf(to, ROOM, "%s/%s", in, name) >= ROOM)
        exit(1);
}

/* Runs a line that must work; what it writes goes to a file, or nowhere. */
static void must(const char *base, const char *line, const char *to)
{
    char path[ROOM];
    const child c = { .folder = base, .line = line, .file_limit = -1 };
    outcome o = run_child(&c);
    if (o.code) {
        fprintf(stderr, "rbench %s: exit %d: %s", line, o.code, o.err);
        exit(1);
    }
    join(path, base, to ? to : "");
    if (to)
        write_file(path, o.out, strlen(o.out));
    release(&o);
}

static void copy(const char *from, const char *name, const char *base, const char *to)
{
    char path[ROOM], in[ROOM];
    join(path, from, name);
    file f = read_file(path);
    join(in, base, "in");
    join(path, in, to);
    write_file(path, f.text, f.n);
    free(f.text);
}

/* The first line of a file as a file. */
static void copy_first_line(const char *base, const char *from, const char *to)
{
    char path[ROOM];
    join(path, base, from);
    file f = read_file(path);
    join(path, base, to);
    write_file(path, f.text, strcspn(f.text, "\n") + 1);
    free(f.text);
}

/* What llama-bench would say of the model in in/a.json. */
static void write_measured(const char *base)
{
    char path[ROOM], text[512];
    join(path, base, "in/a.json");
    json_t *all = json_load_file(path, 0, NULL), *row = json_array_get(all, 0);
    const long long size = json_integer_value(json_object_get(row, "model_size"));
    const long long n = json_integer_value(json_object_get(row, "model_n_params"));
    const int length = snprintf(
        text, sizeof text,
        "[{\"model_filename\":\"f.gguf\",\"model_size\":%lld,\"model_n_params\":%lld,"
        "\"n_threads\":1,\"n_prompt\":8,\"n_gen\":0,\"n_batch\":2048,\"n_ubatch\":512,"
        "\"type_k\":\"f16\",\"type_v\":\"f16\",\"avg_ns\":1000000,\"samples_ns\":[1000000]}]",
        size, n);
    join(path, base, "in/lb.json");
    write_file(path, text, (size_t)length);
    json_decref(all);
}

void make_inputs(const char *base, const char *data, bool slow)
{
    static const char *const part[] = { "config.json", "model.safetensors", "tokenizer.json",
                                        "tokenizer_config.json" };
    char path[ROOM], to[64];
    join(path, base, "in");
    empty_folder(path);
    join(path, base, "in/hf");
    empty_folder(path);
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        join(path, data, "hf/llama");
        snprintf(to, sizeof to, "hf/%s", part[i]);
        copy(path, part[i], base, to);
    }
    copy(data, "text/constitution.txt", base, "text.txt");
    must(base, "synth" TINY " --type f32 -o in/f.gguf", NULL);
    must(base, "in/f.gguf -p 8 -n 2 -r 6 -t 1 --no-roofs -o json", "in/a.json");
    must(base, "in/f.gguf --depth-sweep=1,2 --out in/sweep.jsonl" QUICK, NULL);
    write_measured(base);
    copy_first_line(base, "in/sweep.jsonl", "in/one.jsonl");
    if (slow) {
        must(base, "paper --models tiny --types f16 -r 1 -t 1 --no-roofs --out in/paper", NULL);
        join(path, base, "in/paper");
        copy(path, "records.jsonl", base, "paper.jsonl");
    }
}
