/* Fuzzes tokenizers: a vocabulary file and a text from the same bytes, or a good vocabulary and any
 * text. The first byte says which, the next two how long the text is; the file is what follows.
 * build/fuzz/tokenizer is the corpus. Read next: tiny_vocab.h, ../models/tokenizer/tokenizer.c. */
#include "fuzz_seeds.h"
#include "tiny_vocab.h"

enum { HEAD = 3, MAX_INPUT = 1 << 16 };

/* One of each family and of each cut, made once. */
static const char *const pres[] = { "llama-bpe", "gpt-2",        "qwen2",          "qwen35",
                                    "smollm",    "deepseek-llm", "deepseek-coder", "deepseek-v3",
                                    "falcon",    "default" };
enum {
    N_PRE = sizeof pres / sizeof *pres,
    N_GOOD = N_PRE + 1,
    GGUF_FILE = N_GOOD,
    JSON_FILE,
    N_WAY
};
static rb_tokenizer *good[N_GOOD];

static const char tiny_json[] =
    "{\"added_tokens\":[{\"id\":4,\"content\":\"<s>\",\"special\":true,\"normalized\":false},"
    "{\"id\":5,\"content\":\"ab c\",\"lstrip\":true,\"rstrip\":true,\"normalized\":true}],"
    "\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{N}{1,3}\"},\"behavior\":\"Isolated\","
    "\"invert\":false},{\"type\":\"Digits\",\"individual_digits\":true},"
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}]},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
    "\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"<s>\":{\"ids\":[4]}}},"
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"a\",\"fuse_unk\":true,\"ignore_merges\":true,"
    "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\\u0120\":3},\"merges\":[\"a b\"]}}";
static const char tiny_json_spm[] =
    "{\"added_tokens\":[],\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\","
    "\"prepend_scheme\":\"first\",\"split\":true},\"model\":{\"type\":\"BPE\",\"unk_token\":\"<u>"
    "\","
    "\"vocab\":{\"<u>\":0,\"\\u2581\":1,\"a\":2,\"\\u2581a\":3},\"merges\":[[\"\\u2581\",\"a\"]]}}";

static void write_seed(const char *corpus, int way, const char *text, const void *file, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/seed-%d-%zu-%zu", corpus, way, strlen(text), n);
    FILE *out = fopen(path, "wb");
    const uint8_t head[HEAD] = { (uint8_t)way, (uint8_t)strlen(text), 0 };
    if (!out || fwrite(head, 1, HEAD, out) != HEAD ||
        fwrite(text, 1, strlen(text), out) != strlen(text) || fwrite(file, 1, n, out) != n ||
        fclose(out) != 0)
        abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static tiny_file f;
    static const char text[] =
        "the  hello's 1234\n\n <s>x>yy <tool><x> \xC3\xA9 e\xCC\x81 \xE4\xBD\xA0"
        "\xE2\x80\x83 a\xFF\xF0\x9F\x98\x80 'LL aaaaabc </s>";
    const char *corpus = fuzz_corpus(argc, argv, "tokenizer");
    for (int i = 0; i < N_GOOD; i++) {
        if (i < N_PRE)
            tiny_bpe(&f, pres[i]);
        else
            tiny_spm(&f);
        if (tiny_open(&good[i], &f, NULL) != RB_OK)
            abort();
        if (corpus)
            write_seed(corpus, i, text, "", 0);
        if (corpus && (i == 0 || i == N_PRE))
            write_seed(corpus, GGUF_FILE, text, f.data, f.n);
    }
    if (corpus) {
        write_seed(corpus, JSON_FILE, text, tiny_json, strlen(tiny_json));
        write_seed(corpus, JSON_FILE, text, tiny_json_spm, strlen(tiny_json_spm));
    }
    return 0;
}

/* Whether the ids of a byte-level vocabulary of all bytes spell the text. */
static void expect_text(const rb_tokenizer *t, const int32_t *id, int64_t n, rb_text text)
{
    char *valid;
    size_t n_valid, at = 0;
    if (rb_utf8_repair(text.data, text.n, &valid, &n_valid, NULL) != RB_OK)
        return;
    for (int64_t i = 0; i < n; i++) {
        size_t n_piece;
        const char *piece = rb_tokenizer_piece(t, id[i], true, &n_piece);
        if (n_piece > n_valid - at || memcmp(piece, valid + at, n_piece) != 0)
            abort();
        at += n_piece;
    }
    if (at != n_valid)
        abort();
    free(valid);
}

static void use(const rb_tokenizer *t, rb_text text, bool has_all_bytes)
{
    for (int way = 0; way < 4; way++) {
        const rb_encode how = { way & 1, way & 2 };
        int32_t *id;
        int64_t n;
        if (rb_tokenizer_encode(t, text.data, text.n, how, &id, &n, NULL) != RB_OK)
            continue;
        for (int64_t i = 0; i < n; i++) {
            size_t n_piece;
            if (!rb_tokenizer_piece(t, id[i], i & 1, &n_piece))
                abort(); /* no such id */
            (void)rb_tokenizer_is_end(t, id[i]);
        }
        /* What is no text at all, as "\xF0\x80\x80\x80", is spelt shorter: repaired is what counts.
         */
        if (has_all_bytes && !how.special)
            expect_text(t, id, n, text);
        free(id);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD || size > MAX_INPUT)
        return 0;
    const int way = data[0] % N_WAY;
    const size_t asked = (size_t)data[1] | (size_t)data[2] << 8, left = size - HEAD;
    const rb_text text = { (const char *)data + HEAD, asked < left ? asked : left };
    const rb_text file = { text.data + text.n, left - text.n };
    rb_tokenizer *t = NULL;
    rb_error err = { 0 };
    rb_status status = RB_OK;
    if (way < N_GOOD) {
        use(good[way], (rb_text){ text.data, left }, way < N_PRE);
        return 0;
    }
    if (way == GGUF_FILE)
        status =
            rb_tokenizer_from_gguf(&t, rb_source_memory("fuzz", file.data, file.n), NULL, &err);
    else
        status =
            rb_tokenizer_from_json(&t, &(rb_tokenizer_texts){ "fuzz", file, file, text }, &err);
    if ((status == RB_OK) != (t != NULL) || (status != RB_OK && !err.text[0]))
        abort(); /* a refusal leaves nothing and says why */
    if (t)
        use(t, text, false);
    rb_tokenizer_close(t);
    return 0;
}
