/* What both fuzzers share: a corpus folder below build/fuzz/ that they fill with seeds themselves.
 * A file to reproduce, or a corpus named on the command line, is left alone.
 * Read next: fuzz_gguf.c. */
#ifndef RB_FUZZ_SEEDS_H
#define RB_FUZZ_SEEDS_H

#include "../models/model.h"

#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Makes build/fuzz/NAME and appends it to the arguments; NULL if the arguments name a corpus or a
 * file of their own. */
static inline const char *fuzz_corpus(int *argc, char ***argv, const char *name)
{
    static char path[128];
    for (int i = 1; i < *argc; i++)
        if ((*argv)[i][0] != '-')
            return NULL;
    snprintf(path, sizeof path, "build/fuzz/%s", name);
    mkdir("build", 0777);
    mkdir("build/fuzz", 0777);
    mkdir(path, 0777);
    char **more = calloc((size_t)*argc + 2, sizeof *more);
    if (!more)
        return NULL;
    for (int i = 0; i < *argc; i++)
        more[i] = (*argv)[i];
    more[(*argc)++] = path;
    *argv = more;
    return path;
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
