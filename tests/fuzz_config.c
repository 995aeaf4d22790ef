/* Fuzzes the text of config.json against fixed tensors, those of a small config of its family:
 * libFuzzer, clang, sanitizers. build/fuzz/config is the corpus.
 * Read next: fuzz_hf.h, ../models/hf/hf_config.c. */
#include "fuzz_hf.h"
#include "fuzz_json.h"

typedef struct fixture {
    fuzz_bytes tensors[N_FUZZ_CONFIG];
    rb_arch arch[N_FUZZ_CONFIG];
} fixture;

/* Made once; the fuzzer has no place of its own for it. */
static const fixture *fixed(void)
{
    static fixture f;
    for (int i = 0; i < N_FUZZ_CONFIG && !f.tensors[i].data; i++) {
        rb_hf hf;
        const rb_source text = fuzz_text(fuzz_config[i]);
        if (rb_hf_config(&hf, &text, "seed", NULL) != RB_OK)
            abort();
        f.arch[i] = hf.config.arch;
        f.tensors[i] = fuzz_container(fuzz_config[i]);
    }
    return &f;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *corpus = fuzz_corpus(argc, argv, "config", 0);
    for (int i = 0; corpus && i < N_FUZZ_CONFIG; i++) {
        fuzz_write(corpus, i, "", 0, fuzz_config[i], strlen(fuzz_config[i]));
        fuzz_words(corpus, fuzz_config[i]);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const fixture *f = fixed();
    const rb_source text = rb_source_memory("config.json", data, size);
    rb_hf hf;
    rb_error err = { 0 };
    const rb_status status = rb_hf_config(&hf, &text, "fuzz", &err);
    if (status != RB_OK)
        fuzz_use(status, NULL, &err);
    for (int i = 0; i < N_FUZZ_CONFIG && status == RB_OK; i++)
        if (f->arch[i] == hf.config.arch)
            fuzz_folder(text, f->tensors[i].data, f->tensors[i].n);
    return 0;
}
