/* Fuzzes texts against good vocabularies of every family and every way to cut: those of
 * tests/vectors/tokenizers and small GGUF ones. The first byte says which, the second how; the text
 * follows. build/fuzz/tokenizer is the corpus, seeded with the texts of the vectors.
 * Read next: fuzz_tokens.h, ../models/tokenizer/tokenizer.c. */
#include "fuzz_tokens.h"

#include <jansson.h>

enum { HEAD = 2, MAX_INPUT = 256 };

static const char *const pres[] = { "llama-bpe", "gpt-2",        "qwen2",          "qwen35",
                                    "smollm",    "deepseek-llm", "deepseek-coder", "deepseek-v3",
                                    "falcon",    "default" };
static const char *const folders[] = { "gpt2",      "llama3",
                                       "qwen2",     "qwen35",
                                       "smollm",    "prepend",
                                       "metaspace", "metaspace-unknown",
                                       "deepseek3", "deepseek-coder" };
enum {
    N_PRE = sizeof pres / sizeof *pres,
    N_FOLDER = sizeof folders / sizeof *folders,
    SPM = N_PRE,
    FIRST_FOLDER,
    N_GOOD = FIRST_FOLDER + N_FOLDER
};
static rb_tokenizer *good[N_GOOD];

static void open_all(void)
{
    static tiny_file f;
    char path[128];
    for (int i = 0; i <= SPM; i++) {
        if (i < N_PRE)
            tiny_bpe(&f, pres[i]);
        else
            tiny_spm(&f);
        if (tiny_open(&good[i], &f, NULL) != RB_OK)
            abort();
    }
    for (int i = 0; i < N_FOLDER; i++) {
        snprintf(path, sizeof path, "tests/vectors/tokenizers/%s", folders[i]);
        if (rb_tokenizer_open(&good[FIRST_FOLDER + i], path, NULL) != RB_OK)
            abort();
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *corpus = fuzz_corpus(argc, argv, "tokenizer", MAX_INPUT);
    json_t *texts = json_load_file("tests/vectors/tokenizers/texts.json", 0, NULL), *text;
    size_t k;
    open_all();
    for (int i = 0; corpus && i < N_GOOD; i++) {
        const char head[HEAD] = { (char)i, 3 };
        fuzz_write(corpus, i, head, HEAD, fuzz_sentence, sizeof fuzz_sentence - 1);
        json_array_foreach(texts, k, text)
            fuzz_write(corpus, i + N_GOOD * (int)(k + 1), head, HEAD, json_string_value(text),
                       json_string_length(text));
    }
    json_decref(texts);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD)
        return 0;
    const int which = data[0] % N_GOOD;
    const rb_text text = { (const char *)data + HEAD, size - HEAD };
    fuzz_encode(good[which], text, (rb_encode){ data[1] & 1, data[1] & 2 }, which < N_PRE);
    return 0;
}
