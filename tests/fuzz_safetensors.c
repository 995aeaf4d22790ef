/* Fuzzes the way from a safetensors container to a loaded model: libFuzzer, clang, sanitizers. The
 * first byte of an input says of which family's config; build/fuzz/safetensors is the corpus.
 * Read next: fuzz_hf.h, ../models/hf/safetensors.c. */
#define FUZZ_JSON_HEAD 9 /* that byte, and the length of the header */
#include "fuzz_hf.h"
#include "fuzz_json.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *corpus = fuzz_corpus(argc, argv, "safetensors", 0);
    for (int i = 0; corpus && i < N_FUZZ_CONFIG; i++) {
        const fuzz_bytes all = fuzz_container(fuzz_config[i]);
        if (fuzz_folder(fuzz_text(fuzz_config[i]), all.data, all.n) != RB_OK)
            abort(); /* a seed that is refused is no seed */
        fuzz_write(corpus, i, &(char){ (char)i }, 1, all.data, all.n);
        free(all.data);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        fuzz_folder(fuzz_text(fuzz_config[*data % N_FUZZ_CONFIG]), data + 1, size - 1);
    return 0;
}
