/* The expressions by which models cut text, and the names that GGUF files have for them.
 * A new one is a row here, if it is made of what split_rules.h knows; others are refused by name.
 * Read next: pretokenize.c. */
#include "split_rules.h"

#include <string.h>

/* ---- sets that are lists of ranges, as they stand between brackets ---- */

#define DEEPSEEK_LETTERS                                                                           \
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293"                \
    "\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c"           \
    "\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5"               \
    "\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"               \
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57"               \
    "\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4"                 \
    "\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc"               \
    "\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d"                  \
    "\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b"                 \
    "\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f"                \
    "\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a"               \
    "\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb"                 \
    "\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"                              \
    "\U0001e900-\U0001e943"
#define DEEPSEEK_MARKS "!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002"
#define DEEPSEEK_EAST  "\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff"
#define KANA_HAN       "\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff"

static const struct {
    uint32_t kind, kind_of_space;
    const char *range;
} sets[] = {
    { RB_CHAR_ALPHA, 0, "A-Za-z" },
    { RB_CHAR_DIGIT, 0, "0-9" },
    { RB_CHAR_ASCII_PUNCT, 0, "!-/:-@[-`{-~" },
    { RB_CHAR_MATHS, 0, "$+<->^|~" },
    { RB_CHAR_TICK, 0, "`" },
    { RB_CHAR_CASED, 0, DEEPSEEK_LETTERS },
    { RB_CHAR_MARKS, RB_CHAR_MARKS_SPACE, DEEPSEEK_MARKS },
    { RB_CHAR_EAST, RB_CHAR_EAST_SPACE, DEEPSEEK_EAST },
    { RB_CHAR_KANA_HAN, 0, KANA_HAN },
};

static bool is_in_ranges(const char *range, uint32_t c)
{
    const size_t n = strlen(range);
    for (size_t at = 0; at < n;) {
        const uint32_t first = rb_utf8_next(range, n, &at);
        uint32_t last = first;
        if (at + 1 < n && range[at] == '-') {
            at++;
            last = rb_utf8_next(range, n, &at);
        }
        if (c >= first && c <= last)
            return true;
    }
    return false;
}

uint32_t rb_split_kind(uint32_t c, uint32_t wanted)
{
    const bool is_space = c > 0x7F && (rb_char_kind(c) & RB_CHAR_SPACE);
    uint32_t kind = 0;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if ((wanted & (sets[i].kind | sets[i].kind_of_space)) && is_in_ranges(sets[i].range, c))
            kind |= is_space ? sets[i].kind_of_space : sets[i].kind;
    return kind;
}

/* ---- expressions ---- */

#define L RB_CHAR_LETTER
#define N RB_CHAR_NUMBER
#define P RB_CHAR_PUNCT
#define S RB_CHAR_SYMBOL
#define M RB_CHAR_MARK

#define ONLY(kinds) .any = (kinds)
#define BUT(kinds)  .any = RB_CHAR_ANY, .none = (kinds)
#define RUN(kinds)                                                                                 \
    {                                                                                              \
        .match = RB_MATCH_RUN, .body = { ONLY(kinds) }                                             \
    }
#define LED(first, kinds)                                                                          \
    {                                                                                              \
        .match = RB_MATCH_RUN, .lead = { ONLY(first) }, .body = { ONLY(kinds) }                    \
    }
#define SOME(kinds, at_least, at_most)                                                             \
    {                                                                                              \
        .match = RB_MATCH_RUN, .body = { ONLY(kinds) }, .least = (at_least), .most = (at_most)     \
    }
#define SPACES { .match = RB_MATCH_SPACES_BUT_LAST }, RUN(RB_CHAR_SPACE)
#define NEWLINES                                                                                   \
    {                                                                                              \
        .match = RB_MATCH_NEWLINES                                                                 \
    }

/* Llama 3's expression and its relatives: contractions, words, numbers, what is neither, spaces. */
#define WORDS(contraction, numbers, letters)                                                       \
    { .match = (contraction) },                                                                    \
        { .match = RB_MATCH_RUN,                                                                   \
          .lead = { BUT(RB_CHAR_NEWLINE | L | N) },                                                \
          .body = { ONLY(letters) } },                                                             \
        SOME(N, 1, numbers),                                                                       \
        { .match = RB_MATCH_RUN,                                                                   \
          .lead = { ONLY(RB_CHAR_BLANK) },                                                         \
          .body = { BUT(RB_CHAR_SPACE | N | (letters)) },                                          \
          .tail = { ONLY(RB_CHAR_NEWLINE) } },                                                     \
        NEWLINES, SPACES

#define SPELL_WORDS(numbers)                                                                       \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers                          \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const rb_split_rule gpt2 = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    { { .match = RB_MATCH_CONTRACTION },
      LED(RB_CHAR_BLANK, L),
      LED(RB_CHAR_BLANK, N),
      { .match = RB_MATCH_RUN,
        .lead = { ONLY(RB_CHAR_BLANK) },
        .body = { BUT(RB_CHAR_SPACE | L | N) } },
      SPACES },
};
static const rb_split_rule llama3 = { .alternative = {
                                          WORDS(RB_MATCH_CONTRACTION_ANY_CASE, 3, L) } };
static const rb_split_rule qwen2 = { .alternative = {
                                         WORDS(RB_MATCH_CONTRACTION_ANY_CASE, 1, L) } };
static const rb_split_rule qwen35 = {
    .alternative = { WORDS(RB_MATCH_CONTRACTION_ANY_CASE, 1, L | M) },
};
static const rb_split_rule llama3_folded = {
    SPELL_WORDS("\\p{N}{1,3}"),
    { WORDS(RB_MATCH_CONTRACTION_FOLDED, 3, L) },
};
static const rb_split_rule qwen2_folded = {
    SPELL_WORDS("\\p{N}"),
    { WORDS(RB_MATCH_CONTRACTION_FOLDED, 1, L) },
};
static const rb_split_rule qwen35_folded = {
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
    "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    { WORDS(RB_MATCH_CONTRACTION_FOLDED, 1, L | M) },
};
static const rb_split_rule number = { "\\p{N}", { SOME(N, 1, 1) } };
static const rb_split_rule numbers = { "\\p{N}+", { RUN(N) } };
static const rb_split_rule numbers_3 = { "\\p{N}{1,3}", { SOME(N, 1, 3) } };
static const rb_split_rule digits_3 = { "[0-9][0-9][0-9]", { SOME(RB_CHAR_DIGIT, 3, 3) } };
static const rb_split_rule line_end = { "[\r\n]", { SOME(RB_CHAR_NEWLINE, 1, 1) } };
static const rb_split_rule trailing = { "\\s+$", { { .match = RB_MATCH_TRAILING_SPACES } } };
static const rb_split_rule letters = { "\\s?\\p{L}+", { LED(RB_CHAR_SPACE, L) } };
static const rb_split_rule punctuation = { "\\s?\\p{P}+", { LED(RB_CHAR_SPACE, P) } };
static const rb_split_rule falcon_punctuation = {
    "[\\p{P}\\$\\+<=>\\^~\\|`]+",
    { RUN(P | RB_CHAR_MATHS | RB_CHAR_TICK) },
};
static const rb_split_rule default_punctuation = {
    "[\\p{P}\\$\\+<=>\\^~\\|]+",
    { RUN(P | RB_CHAR_MATHS) },
};
static const rb_split_rule cased = {
    "\\s?[" DEEPSEEK_LETTERS "]+",
    { LED(RB_CHAR_SPACE, RB_CHAR_CASED) },
};
/* For llama.cpp what is white space is not in these two sets; for tokenizer.json it is. */
static const rb_split_rule marks = { .alternative = { LED(RB_CHAR_SPACE, RB_CHAR_MARKS) } };
static const rb_split_rule east = { .alternative = { RUN(RB_CHAR_EAST) } };
static const rb_split_rule marks_spaced = {
    "\\s?[" DEEPSEEK_MARKS "]+",
    { LED(RB_CHAR_SPACE, RB_CHAR_MARKS | RB_CHAR_MARKS_SPACE) },
};
static const rb_split_rule east_spaced = {
    "[" DEEPSEEK_EAST "]+",
    { RUN(RB_CHAR_EAST | RB_CHAR_EAST_SPACE) },
};
static const rb_split_rule kana_han = { "[" KANA_HAN "]+", { RUN(RB_CHAR_KANA_HAN) } };
static const rb_split_rule deepseek3 = {
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?"
    "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    { { .match = RB_MATCH_RUN,
        .lead = { ONLY(RB_CHAR_ASCII_PUNCT) },
        .lead_needed = true,
        .body = { ONLY(RB_CHAR_ALPHA) } },
      { .match = RB_MATCH_RUN,
        .lead = { BUT(RB_CHAR_NEWLINE | L | P | S) },
        .body = { ONLY(L | M) } },
      { .match = RB_MATCH_RUN,
        .lead = { ONLY(RB_CHAR_BLANK) },
        .body = { ONLY(P | S) },
        .tail = { ONLY(RB_CHAR_NEWLINE) } },
      NEWLINES,
      SPACES },
};

static const rb_split_rule *const spelled[] = {
    &gpt2,     &llama3_folded, &qwen2_folded, &qwen35_folded,      &number,
    &numbers,  &numbers_3,     &digits_3,     &line_end,           &trailing,
    &letters,  &punctuation,   &cased,        &falcon_punctuation, &default_punctuation,
    &kana_han, &deepseek3,     &marks_spaced, &east_spaced,
};

const rb_split_rule *rb_split_rule_of(const char *pattern)
{
    for (size_t i = 0; i < sizeof spelled / sizeof *spelled; i++)
        if (!strcmp(spelled[i]->pattern, pattern))
            return spelled[i];
    return NULL;
}

/* ---- names ---- */

/* The names of one sequence of expressions, between blanks; the first is the one that is shown. */
static const struct pre {
    const char *names;
    const rb_split_rule *rule[RB_MAX_SPLIT];
    rb_pre_defaults defaults;
} pres[] = {
    { "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2",
      { &llama3 },
      { true, true } },
    { "smaug-bpe dbrx", { &llama3 }, { false, false } },
    { "gpt-2 olmo mpt phi-2 gigachat a.x-4.0 mellum exaone4 jais trillion granite-docling",
      { &gpt2 },
      { false, false } },
    { "qwen2 deepseek-r1-qwen megrez kormo stablelm2 hunyuan solar-open grok-2",
      { &qwen2 },
      { false, false } },
    { "qwen35", { &qwen35 }, { false, false } },
    { "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
      { &number, &gpt2 },
      { false, false } },
    { "deepseek-llm", { &line_end, &cased, &marks, &trailing, &east, &numbers }, { false, false } },
    { "deepseek-coder", { &line_end, &letters, &punctuation, &east, &number }, { false, false } },
    { "deepseek-v3 joyai-llm hunyuan-dense hy_v4",
      { &numbers_3, &kana_han, &deepseek3 },
      { false, false } },
    { "falcon", { &falcon_punctuation, &gpt2, &digits_3 }, { false, false } },
    { "default", { &default_punctuation, &gpt2, &numbers, &digits_3 }, { false, false } },
};
enum { N_PRE = sizeof pres / sizeof *pres };

/* Whether name is one of names; it has no blank. */
static bool is_among(const char *names, const char *name)
{
    const size_t n = strlen(name);
    for (const char *s = names; *s; s += strcspn(s, " "), s += strspn(s, " "))
        if (strcspn(s, " ") == n && !memcmp(s, name, n))
            return true;
    return false;
}

bool rb_pretokenizer_by_name(rb_pretokenizer *p, const char *name, rb_pre_defaults *d)
{
    for (int i = 0; i < N_PRE; i++)
        if (is_among(pres[i].names, name)) {
            *p = (rb_pretokenizer){ 0 };
            while (p->n_rule < RB_MAX_SPLIT && pres[i].rule[p->n_rule]) {
                p->rule[p->n_rule] = pres[i].rule[p->n_rule];
                p->n_rule++;
            }
            *d = pres[i].defaults;
            return true;
        }
    return false;
}

void rb_pretokenizer_names(char *buf, size_t size)
{
    buf[0] = 0;
    for (int i = 0; i < N_PRE; i++) {
        const size_t used = strlen(buf);
        snprintf(buf + used, size - used, "%s%s", i > 0 ? " " : "", pres[i].names);
    }
}
