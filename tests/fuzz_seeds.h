/* What fuzzers share: a corpus folder below build/fuzz/ that they fill with seeds themselves, how
 * long inputs are, and a dictionary of the words of seeds. A file to reproduce, or a corpus named
 * on the command line, is left alone. Read next: fuzz_gguf.c. */
#ifndef RB_FUZZ_SEEDS_H
#define RB_FUZZ_SEEDS_H

#include "../models/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What libFuzzer calls: once, and with each input. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Puts a flag of libFuzzer before the others, so that what the user says wins. */
static inline void fuzz_flag(int *argc, char ***argv, const char *flag)
{
    enum { MOST = 64 };
    static char *all[MOST + 1]; /* outlives the call, and so does what it points to */
    char *copy = strdup(flag);
    if (!copy || *argc >= MOST)
        abort();
    memmove(all + 2, *argv + 1, (size_t)(*argc - 1) * sizeof *all);
    all[0] = (*argv)[0];
    all[1] = copy;
    *argv = all;
    ++*argc;
}

/* Makes build/fuzz/NAME and its dictionary and adds them to the arguments; NULL if these name a
 * corpus or a file of their own. most: bytes of an input; 0: as libFuzzer has it. */
static inline const char *fuzz_corpus(int *argc, char ***argv, const char *name, size_t most)
{
    static char path[128];
    char flag[192];
    for (int i = 1; i < *argc; i++)
        if ((*argv)[i][0] != '-')
            return NULL;
    snprintf(path, sizeof path, "build/fuzz/%s", name);
    mkdir("build", 0777);
    mkdir("build/fuzz", 0777);
    mkdir(path, 0777);
    snprintf(flag, sizeof flag, "-dict=%s.dict", path);
    FILE *dict = fopen(flag + strlen("-dict="), "wb");
    if (!dict || fputs("# words of the seeds\n", dict) == EOF || fclose(dict) != 0)
        abort();
    fuzz_flag(argc, argv, path);
    fuzz_flag(argc, argv, flag);
    snprintf(flag, sizeof flag, "-max_len=%zu", most);
    if (most)
        fuzz_flag(argc, argv, flag);
    return path;
}

/* Adds a word to the dictionary, if it can be spelt there as it is. */
static inline void fuzz_word(const char *corpus, const char *quote, const char *word, size_t n)
{
    char path[160];
    snprintf(path, sizeof path, "%s.dict", corpus);
    for (size_t i = 0; i < n; i++)
        if (word[i] < ' ' || word[i] > '~' || word[i] == '"' || word[i] == '\\')
            return;
    FILE *dict = n > 0 && n < 40 ? fopen(path, "ab") : NULL;
    if (dict && (fprintf(dict, "\"%s%.*s%s\"\n", quote, (int)n, word, quote) < 0 || fclose(dict)))
        abort();
}

/* Adds the strings of a JSON text to the dictionary. */
static inline void fuzz_words(const char *corpus, const char *text)
{
    for (const char *at = text; (at = strchr(at, '"'));) {
        const char *const first = ++at;
        while (*at && *at != '"')
            at += at[0] == '\\' && at[1] ? 2 : 1;
        fuzz_word(corpus, "\\\"", first, (size_t)(at - first));
        at += *at == '"';
    }
}

/* A seed of two parts. */
static inline void fuzz_write(const char *corpus, int i, const void *head, size_t n_head,
                              const void *data, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/seed-%d", corpus, i);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(head, 1, n_head, f) != n_head || fwrite(data, 1, n, f) != n || fclose(f) != 0)
        abort();
}

/* A whole file, with a NUL behind it; to be freed. */
static inline char *fuzz_read(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0 || !(text = calloc((size_t)st.st_size + 1, 1)) ||
        fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
        abort();
    fclose(f);
    *n = (size_t)st.st_size;
    return text;
}

/* Everything a program does with a model it was given. */
static inline void fuzz_use(rb_status status, rb_model *m, const rb_error *err)
{
    if (status != RB_OK) {
        if (m || err->status != status || !err->text[0])
            abort(); /* a refusal leaves no model and says why */
        return;
    }
    if (rb_config_check(&m->config, NULL) != RB_OK || rb_model_layer_bytes(m) <= 0)
        abort();
    if (m->config.n_layer < RB_MAX_LAYER &&
        rb_model_extend(m, m->config.n_layer + 1, NULL) != RB_OK)
        abort();
    rb_model_close(m);
}

#endif
