/* Fuzzes models of several files. After a 0 an input is the index of a folder with two safetensors
 * files, after another byte the second part of a split GGUF file. They are found by name in
 * build/fuzz/parts.files, where a link leads to the input in memory; build/fuzz/parts is the
 * corpus. Read next: ../models/hf/safetensors.c, ../models/gguf.c. */
#define _GNU_SOURCE
#include "../models/hf/hf.h"
#include "fuzz_memory.h"
#include "fuzz_seeds.h"
#include "tiny_vocab.h"

enum { MAX_INPUT = 512 };

static const char folder[] = "build/fuzz/parts.files";
static const char *const indices[] = {
    "{\"metadata\":{},\"weight_map\":{\"x\":\"a.safetensors\",\"y\":\"b.safetensors\"}}",
    "{\"weight_map\":{\"x\":\"b.safetensors\"}}",
    "{\"weight_map\":{\"x\":\"../parts.files/a.safetensors\"}}",
    "{\"weight_map\":{\"x\":\"c.safetensors\"}}",
    "{\"weight_map\":{}}",
};
enum { N_INDEX = sizeof indices / sizeof *indices };

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_file(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0)
        abort();
}

/* The input by this name. */
static void link_input(const char *name)
{
    unlink(path_of(name));
    if (symlink(fuzz_file("", 0), path_of(name)) != 0)
        abort();
}

/* A container of one tensor, two halves. */
static void put_tensor(const char *name, char tensor)
{
    char text[128] = { 0 };
    const int n =
        snprintf(text + 8, sizeof text - 8,
                 "{\"%c\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}", tensor);
    text[0] = (char)n;
    put_file(name, text, 8 + (size_t)n + 4);
}

static void make_part(tiny_file *f, uint64_t no)
{
    tiny_begin(f, 3);
    const char *const keys[] = { "split.no", "split.count", "split.tensors.count" };
    const uint64_t values[] = { no, 2, no ? 1 : 0 };
    for (int i = 0; i < 3; i++) {
        tiny_key(f, keys[i], RB_GGUF_U16);
        tiny_uint(f, values[i], 2);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static tiny_file f;
    const char *corpus = fuzz_corpus(argc, argv, "parts", MAX_INPUT);
    mkdir("build", 0777);
    mkdir("build/fuzz", 0777);
    mkdir(folder, 0777);
    put_tensor("a.safetensors", 'x');
    put_tensor("b.safetensors", 'y');
    make_part(&f, 0);
    put_file("m-00001-of-00002.gguf", f.data, f.n);
    link_input("m-00002-of-00002.gguf");
    link_input("model.safetensors.index.json");
    for (int i = 0; corpus && i < N_INDEX; i++) {
        fuzz_write(corpus, i, "\0", 1, indices[i], strlen(indices[i]));
        fuzz_words(corpus, indices[i]);
    }
    for (int no = 0; corpus && no < 2; no++) {
        make_part(&f, (uint64_t)no);
        fuzz_write(corpus, N_INDEX + no, "\1", 1, f.data, f.n);
    }
    return 0;
}

static void check(rb_status status, const rb_error *err)
{
    if (status != RB_OK && (err->status != status || !err->text[0]))
        abort();
}

static void open_index(const uint8_t *data, size_t size)
{
    rb_safetensors s;
    rb_error err = { 0 };
    (void)fuzz_file(data, size);
    check(rb_safetensors_open(&s, folder, &err), &err);
    rb_safetensors_close(&s);
}

static void open_split(const uint8_t *data, size_t size)
{
    rb_gguf g;
    rb_source first;
    rb_error err = { 0 };
    (void)fuzz_file(data, size);
    const char *path = path_of("m-00001-of-00002.gguf");
    if (rb_source_open(&first, path, NULL) != RB_OK)
        abort();
    check(rb_gguf_open(&g, first, path, &err), &err);
    rb_gguf_close(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        (*data ? open_split : open_index)(data + 1, size - 1);
    return 0;
}
