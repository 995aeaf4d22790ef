/* Texts of tokenizer.json that are refused: the status and words of the message, for the test that
 * wants just these, and for the fuzz target, which starts from them.
 * Read next: test_tokenizer_hostile.c, fuzz_vocab_json.c. */
#ifndef RB_WRONG_VOCABS_H
#define RB_WRONG_VOCABS_H

#include "../kernels/kernels.h"

#define MODEL(more) "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}," more "}"
#define MERGED      MODEL("\"merges\":[\"a b\"]")
#define BYTES       "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"

static const struct {
    rb_status status;
    const char *words, *json;
} wrong_vocabs[] = {
    { RB_ERR_FORMAT, "is no JSON", "{" },
    { RB_ERR_FORMAT, "is no JSON", "" },
    { RB_ERR_FORMAT, "it has no model", "[]" },
    { RB_ERR_FORMAT, "it has no model", "{}" },
    { RB_ERR_UNSUPPORTED, "kind 'Unigram'", "{\"model\":{\"type\":\"Unigram\"}}" },
    { RB_ERR_UNSUPPORTED, "kind 'WordPiece'", "{\"model\":{\"type\":\"WordPiece\"}}" },
    { RB_ERR_UNSUPPORTED, "its model has dropout",
      "{" BYTES MODEL("\"dropout\":0.1,\"merges\":[]") "}" },
    { RB_ERR_UNSUPPORTED, "neither a byte-level tokenizer", "{" MERGED "}" },
    { RB_ERR_FORMAT, "no merges", "{" BYTES MODEL("\"merges\":{}") "}" },
    { RB_ERR_FORMAT, "merge 0 is not two tokens", "{" BYTES MODEL("\"merges\":[7]") "}" },
    { RB_ERR_FORMAT, "merge 0 is not two tokens", "{" BYTES MODEL("\"merges\":[[\"a\"]]") "}" },
    { RB_ERR_FORMAT, "names what is no token", "{" BYTES MODEL("\"merges\":[\"b a\"]") "}" },
    { RB_ERR_FORMAT, "its unk_token is no token",
      "{" BYTES MODEL("\"unk_token\":\"c\",\"merges\":[]") "}" },
    { RB_ERR_FORMAT, "id is no number",
      "{" BYTES "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}" },
    { RB_ERR_FORMAT, "the last of them with the id 16777215",
      "{" BYTES "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":16777215},\"merges\":[]}}" },
    { RB_ERR_FORMAT, "the id 0 is both 'a' and 'b'",
      "{" BYTES "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}" },
    { RB_ERR_FORMAT, "tokens 0 and 5 are both 'a'",
      "{\"added_tokens\":[{\"id\":5,\"content\":\"a\"}]," BYTES MERGED "}" },
    { RB_ERR_FORMAT, "no id from 0 on",
      "{\"added_tokens\":[{\"content\":\"x\"}]," BYTES MERGED "}" },
    { RB_ERR_FORMAT, "its added_tokens are no list",
      "{\"added_tokens\":{\"x\":3}," BYTES MERGED "}" },
    { RB_ERR_UNSUPPORTED, "only found as a single word",
      "{\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"single_word\":true}]," BYTES MERGED "}" },
    { RB_ERR_UNSUPPORTED, "the expression '\\w+'",
      "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w+\"},\"behavior\":"
      "\"Isolated\",\"invert\":false}," MERGED "}" },
    { RB_ERR_UNSUPPORTED, "'Split' has another behavior",
      "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[\\r\\n]\"},\"behavior\":"
      "\"Removed\",\"invert\":false}," MERGED "}" },
    { RB_ERR_UNSUPPORTED, "pre_tokenizer 'Whitespace'",
      "{\"pre_tokenizer\":{\"type\":\"Whitespace\"}," MERGED "}" },
    { RB_ERR_UNSUPPORTED, "pre_tokenizer ''", "{\"pre_tokenizer\":[7]," MERGED "}" },
    { RB_ERR_UNSUPPORTED, "'ByteLevel' adds a blank",
      "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true}," MERGED "}" },
    { RB_ERR_UNSUPPORTED, "normalizer 'Lowercase'",
      "{\"normalizer\":{\"type\":\"Lowercase\"}," BYTES MERGED "}" },
    { RB_ERR_UNSUPPORTED, "post_processor 'BertProcessing'",
      "{\"post_processor\":{\"type\":\"BertProcessing\"}," BYTES MERGED "}" },
    { RB_ERR_FORMAT, "the post_processor has no ids of '<s>'",
      "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
      "\"<s>\"}}]}," BYTES MERGED "}" },
    { RB_ERR_FORMAT, "by an id that is none",
      "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
      "\"a\"}}],\"special_tokens\":{\"a\":{\"ids\":[3]}}}," BYTES MERGED "}" },
    { RB_ERR_FORMAT, "no token <0x00>",
      "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\"}," MODEL(
          "\"byte_fallback\":true,\"merges\":[]") "}" },
};
enum { N_WRONG_VOCAB = sizeof wrong_vocabs / sizeof *wrong_vocabs };

#endif
