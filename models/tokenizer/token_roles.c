/* Tokens whose texts say what they are for: those that end generation, and those of infilling.
 * Files seldom say it by themselves; the texts are those that llama.cpp knows. Knows no format.
 * Read next: tokenizer_gguf.c. */
#include "tokenizer_parts.h"

#include <string.h>

/* Texts between blanks. As a control token it is not looked for in a text that is not parsed. */
static const struct {
    bool ends;
    const char *texts;
} roles[] = {
    { true, "<|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn> "
            "<|endoftext|> </s> <|eom_id|> <EOT> _<EOT> [EOT] [EOS] <|end_of_text|> "
            "<end_of_utterance> <eos> <turn|> <|tool_response> <｜end▁of▁sentence｜> [e~[" },
    { true, "<|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD] <|fim_repo|> <|repo_name|> <fim-repo> "
            "<REPO> <reponame> <|file_sep|>" },
    { false, "<|fim_prefix|> <fim-prefix> <fim_prefix> <｜fim▁begin｜> <PRE> ▁<PRE> "
             "<|code_prefix|> <|prefix|>" },
    { false, "<|fim_suffix|> <fim-suffix> <fim_suffix> <｜fim▁hole｜> <SUF> ▁<SUF> "
             "<|code_suffix|> <|suffix|>" },
    { false, "<|fim_middle|> <fim-middle> <fim_middle> <｜fim▁end｜> <MID> ▁<MID> "
             "<|code_middle|> <|middle|>" },
};

void rb_tokenizer_mark_ends(rb_tokenizer *t, bool as_control)
{
    for (size_t r = 0; r < sizeof roles / sizeof *roles; r++)
        for (const char *s = roles[r].texts; *s; s += strspn(s, " ")) {
            const size_t n = strcspn(s, " ");
            const int32_t id = rb_vocab_find(&t->vocab, s, n);
            if (id >= 0 && roles[r].ends)
                t->vocab.kind[id] |= RB_TOKEN_END;
            if (id >= 0 && as_control)
                t->vocab.kind[id] |= RB_TOKEN_CONTROL;
            s += n;
        }
    if (t->eos >= 0)
        t->vocab.kind[t->eos] |= RB_TOKEN_END;
}
