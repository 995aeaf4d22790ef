/* Fuzzes the texts of tokenizer.json and tokenizer_config.json, parted by a zero, and a fixed text
 * with what was read of them. build/fuzz/vocab_json is the corpus, seeded with a small one of each
 * kind; their words are the dictionary. Read next: fuzz_tokens.h,
 * ../models/tokenizer/tokenizer_json.c. */
#include "fuzz_tokens.h"
#include "fuzz_json.h"
#include "wrong_vocabs.h"

enum { MAX_INPUT = 2048 };

#define ADDED                                                                                      \
    "{\"added_tokens\":[{\"id\":4,\"content\":\"<s>\",\"special\":true,\"normalized\":false},"     \
    "{\"id\":5,\"content\":\"ab c\",\"lstrip\":true,\"rstrip\":true,\"normalized\":true,"          \
    "\"single_word\":false}],"
#define VOCAB                                                                                      \
    "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\\u0120\":3,\"\\u2581\":6,\"\\u2581a\":7},"             \
    "\"merges\":[\"a b\",[\"\\u2581\",\"a\"]]}}"
#define SPLIT(pattern)                                                                             \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern                                        \
    "\"},\"behavior\":\"Isolated\",\"invert\":false},"
#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":"

static const char *const seeds[] = {
    ADDED
    "\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"Sequence\","
    "\"pretokenizers\":[" SPLIT("\\\\p{N}{1,3}") SPLIT("[\\r\\n]")
        SPLIT("\\\\s?\\\\p{P}+") "{\"type\":\"Digits\",\"individual_digits\":true}," BYTE_LEVEL
                                 "false}]},\"post_processor\":{\"type\":"
                                 "\"TemplateProcessing\",\"single\":[{"
                                 "\"SpecialToken\":{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":"
                                 "\"A\"}},{\"SpecialToken\":{"
                                 "\"id\":\"<s>\"}}],\"special_tokens\":{\"<s>\":{\"ids\":[4]}"
                                 "}},\"model\":{\"type\":"
                                 "\"BPE\",\"unk_token\":\"a\",\"fuse_unk\":true,\"ignore_"
                                 "merges\":true," VOCAB,
    ADDED "\"pre_tokenizer\":" BYTE_LEVEL
          "true},\"model\":{\"type\":\"BPE\",\"dropout\":null," VOCAB,
    ADDED "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\","
          "\"prepend_scheme\":\"first\",\"split\":true},\"model\":{\"type\":\"BPE\","
          "\"unk_token\":\"a\",\"byte_fallback\":false," VOCAB,
    ADDED "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\","
          "\"prepend\":\"\\u2581\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
          "\"content\":\"\\u2581\"}]},\"post_processor\":{\"type\":\"Sequence\",\"processors\":"
          "[{\"type\":\"ByteLevel\"}]},\"model\":{\"type\":\"BPE\"," VOCAB,
};
static const char config[] =
    "{\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"ab c\"},\"add_bos_token\":true,"
    "\"add_eos_token\":true,\"chat_template\":[{\"name\":\"default\",\"template\":\"x\"}]}";

/* What configs say otherwise, and tokens whose texts say what they are for. */
static const char *const others[] = {
    ADDED "\"pre_tokenizer\":" BYTE_LEVEL
          "false},\"model\":{\"type\":\"BPE\",\"vocab\":{\"</s>\":0,"
          "\"<|im_end|>\":1,\"<fim_suffix>\":2,\"<|fim_pad|>\":3},\"merges\":[]}}\n",
    ADDED "\"model\":{\"type\":\"BPE\",\"vocab\":{\"<0x41>\":0},\"byte_fallback\":true,"
          "\"merges\":[\"a\"]},\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":"
          "\"\\u2581\",\"prepend_scheme\":\"never\",\"add_prefix_space\":true}}",
    "{\"model\":{\"merges\":[\"b a\"],\"vocab\":{\"a\":0,\"b\":1},\"dropout\":0.5}}",
};
static const char *const configs[] = {
    config, "{\"bos_token\":\"a\",\"chat_template\":\"x\"}", "{\"add_eos_token\":false}", "{", "[]",
};

enum {
    N_SEED = sizeof seeds / sizeof *seeds,
    N_OTHER = sizeof others / sizeof *others,
    N_CONFIG = sizeof configs / sizeof *configs
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *corpus = fuzz_corpus(argc, argv, "vocab_json", MAX_INPUT);
    for (int i = 0; corpus && i < N_SEED; i++) {
        rb_tokenizer *t;
        const rb_tokenizer_texts texts = { .label = "seed",
                                           .tokenizer = { seeds[i], strlen(seeds[i]) },
                                           .config = { config, strlen(config) } };
        if (rb_tokenizer_from_json(&t, &texts, NULL) != RB_OK)
            abort(); /* a seed that is refused is no seed */
        rb_tokenizer_close(t);
        fuzz_write(corpus, i, seeds[i], strlen(seeds[i]) + 1, config, strlen(config));
        fuzz_words(corpus, seeds[i]);
    }
    for (int i = 0; corpus && i < N_WRONG_VOCAB + N_OTHER; i++) {
        const char *text = i < N_OTHER ? others[i] : wrong_vocabs[i - N_OTHER].json;
        const char *with = configs[i % N_CONFIG];
        fuzz_write(corpus, N_SEED + i, text, strlen(text) + 1, with, strlen(with));
        fuzz_words(corpus, text);
        fuzz_words(corpus, with);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rb_tokenizer *t = NULL;
    rb_error err = { 0 };
    const char *text = (const char *)data, *end = memchr(text, 0, size);
    const size_t n = end ? (size_t)(end - text) : size;
    const rb_text more = { end ? end + 1 : NULL, end ? size - n - 1 : 0 };
    const rb_tokenizer_texts texts = { .label = "fuzz", .tokenizer = { text, n }, .config = more };
    const rb_status status = rb_tokenizer_from_json(&t, &texts, &err);
    fuzz_opened(status, t, &err);
    return 0;
}
