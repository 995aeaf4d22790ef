/* Fuzzes the whole way from llama2.c bytes to a loaded model: libFuzzer, clang, sanitizers.
 * build/fuzz/llama2c is the corpus, seeded with v0 and v1 files of zeros, tied and not.
 * Read next: fuzz_seeds.h, ../models/llama2c.c. */
#include "fuzz_seeds.h"

#include <string.h>

/* dim 2, hidden 1, 1 layer, 1 head, 1 kv head, vocabulary 1, 1 position. */
enum { DIM = 2, LAYER = 2 * DIM + 4 * DIM * DIM + 3 * DIM };

static void write_seed(const char *corpus, int version, bool tied)
{
    int32_t file[256] = { 0 }, *h = file;
    size_t n = 7 + DIM + LAYER + DIM + 2 + (tied ? 0 : DIM);
    if (version == 1) {
        n = 64 + DIM + LAYER + DIM + (tied ? 0 : DIM);
        *h++ = (int32_t)RB_LLAMA2C_MAGIC;
        *h++ = 1;
        h[7] = tied; /* the byte after the seven numbers */
    }
    memcpy(h, (int32_t[]){ DIM, 1, 1, 1, 1, version == 0 && !tied ? -1 : 1, 1 }, 7 * sizeof *h);
    char path[256];
    snprintf(path, sizeof path, "%s/seed-%d-%d", corpus, version, tied);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(file, sizeof *file, n, f) != n || fclose(f) != 0)
        abort();
    rb_model *m;
    if (rb_model_open(&m, path, NULL, NULL) != RB_OK)
        abort(); /* a seed that is refused is no seed */
    rb_model_close(m);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *corpus = fuzz_corpus(argc, argv, "llama2c", 0);
    for (int i = 0; corpus && i < 4; i++)
        write_seed(corpus, i / 2, i % 2);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rb_model *m = NULL;
    rb_error err = { 0 };
    rb_status status = rb_model_from_llama2c(&m, rb_source_memory("fuzz", data, size), false, &err);
    fuzz_use(status, m, &err);
    return 0;
}
