/* Tokenizers: ids as the package tokenizers gives them (vectors/tokenizers), ids of small GGUF
 * vocabularies worked out by hand, every byte there and back, special tokens, long texts.
 * Files that are wrong are test_tokenizer_hostile.c's. Read next: tiny_vocab.h. */
#include "files.h"
#include "tiny_vocab.h"

#include <criterion/criterion.h>
#include <sys/stat.h>

static rb_tokenizer *open_bpe(const char *pre)
{
    static tiny_file f;
    rb_tokenizer *t;
    rb_error err = { 0 };
    tiny_bpe(&f, pre);
    cr_assert_eq(tiny_open(&t, &f, &err), RB_OK, "%s", err.text);
    return t;
}

static rb_tokenizer *open_spm(void)
{
    static tiny_file f;
    rb_tokenizer *t;
    rb_error err = { 0 };
    tiny_spm(&f);
    cr_assert_eq(tiny_open(&t, &f, &err), RB_OK, "%s", err.text);
    return t;
}

/* Wants these ids (ended by -1) of a text of n bytes. */
static void expect_ids(const rb_tokenizer *t, const char *text, size_t n_bytes, rb_encode how,
                       const int32_t *want)
{
    int32_t *id;
    int64_t n, k = 0;
    cr_assert_eq(rb_tokenizer_encode(t, text, n_bytes, how, &id, &n, NULL), RB_OK);
    for (; want[k] >= 0; k++)
        cr_assert(k < n && id[k] == want[k], "'%s': id %d of %d is %d, not %d", text, (int)k,
                  (int)n, k < n ? id[k] : -1, want[k]);
    cr_assert_eq(n, k, "'%s': %d ids, not %d", text, (int)n, (int)k);
    free(id);
}

#define EXPECT(t, text, special, parse, ...)                                                       \
    expect_ids(t, text, strlen(text), (rb_encode){ special, parse }, (int32_t[]){ __VA_ARGS__, -1 })

/* ---- the package's ids ---- */

static void compare_ids(const rb_tokenizer *t, const char *name, const char *way, rb_encode how)
{
    char path[256];
    json_t *texts = json_read("tests/vectors/tokenizers/texts.json");
    snprintf(path, sizeof path, "tests/vectors/tokenizers/%s/ids.json", name);
    json_t *all = json_read(path), *ids = json_object_get(all, way);
    cr_assert(json_array_size(ids) == json_array_size(texts) && json_array_size(texts) > 80);
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_array_get(texts, i), *want = json_array_get(ids, i);
        int32_t *id;
        int64_t n;
        cr_assert_eq(rb_tokenizer_encode(t, json_string_value(text), json_string_length(text), how,
                                         &id, &n, NULL),
                     RB_OK);
        for (int64_t k = 0; k < n && k < (int64_t)json_array_size(want); k++)
            cr_assert_eq(id[k], json_integer_value(json_array_get(want, (size_t)k)),
                         "%s, %s: text %zu, '%s': id %d is %d", name, way, i,
                         json_string_value(text), (int)k, id[k]);
        cr_assert_eq(n, (int64_t)json_array_size(want), "%s, %s: text %zu, '%s': %d ids", name, way,
                     i, json_string_value(text), (int)n);
        free(id);
    }
    json_decref(texts);
    json_decref(all);
}

Test(tokenizer, ids_are_those_of_the_package)
{
    static const char *const names[] = { "gpt2",      "llama3",
                                         "qwen2",     "qwen35",
                                         "smollm",    "prepend",
                                         "metaspace", "metaspace-unknown",
                                         "deepseek3", "deepseek-coder" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        rb_tokenizer *t;
        rb_error err = { 0 };
        snprintf(path, sizeof path, "tests/vectors/tokenizers/%s", names[i]);
        cr_assert_eq(rb_tokenizer_open(&t, path, &err), RB_OK, "%s", err.text);
        compare_ids(t, names[i], "parsed", (rb_encode){ true, true });
        compare_ids(t, names[i], "plain", (rb_encode){ false, false });
        rb_tokenizer_close(t);
    }
}

/* ---- GGUF, by hand ---- */

enum { S = TINY_FIRST_SPECIAL, MERGED = 256 };

Test(tokenizer, merges_go_by_rank)
{
    rb_tokenizer *t = open_bpe("gpt-2");
    cr_assert_str_eq(rb_tokenizer_kind(t), "bpe gpt-2");
    EXPECT(t, "he", false, false, MERGED);
    EXPECT(t, " the", false, false, MERGED + 2);
    EXPECT(t, "the", false, false, 't', MERGED);
    EXPECT(t, "aaaaa", false, false, MERGED + 5, 'a');
    EXPECT(t, "aaaaaa", false, false, MERGED + 5, MERGED + 4);
    EXPECT(t, "it's", false, false, 'i', 't', MERGED + 7);
    EXPECT(t, "", false, false, -1);
    EXPECT(t, "\xC3\xA9", false, false, MERGED + 12);
    EXPECT(t, "\xC3", false, false, MERGED + 14); /* U+FFFD */
    EXPECT(t, "\xE4\xBD", false, false, MERGED + 14, MERGED + 14);
    rb_tokenizer_close(t);
}

Test(tokenizer, pre_tokenizers_cut_numbers_their_ways)
{
    rb_tokenizer *t = open_bpe("llama-bpe");
    EXPECT(t, "1234", false, false, MERGED + 9, '4');
    EXPECT(t, "1234", true, false, S, MERGED + 9,
           '4'); /* adds BOS without being asked by the file */
    EXPECT(t, "\n\n", false, false, MERGED + 11);
    rb_tokenizer_close(t);
    static const char *const single[] = { "qwen2", "smollm", "qwen35", "deepseek-coder" };
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        t = open_bpe(single[i]);
        EXPECT(t, "123", true, false, '1', '2', '3');
        rb_tokenizer_close(t);
    }
    t = open_bpe("deepseek-llm");
    EXPECT(t, "a  1234\r", false, false, 'a', MERGED + 10, MERGED + 9, '4', '\r');
    EXPECT(t, "\n\n", false, false, '\n', '\n');
    rb_tokenizer_close(t);
}

/* Wants the pieces of a text, with a bar between them. */
static void expect_pieces(const rb_pretokenizer *p, const char *text, const char *want)
{
    char got[256];
    size_t n = 0;
    rb_chars c;
    cr_assert_eq(rb_chars_make(&c, text, strlen(text), NULL), RB_OK);
    rb_pretokenize(p, &c);
    for (size_t i = 0; i < c.n; i++) {
        if (i > 0 && (c.kind[i] & RB_CHAR_FIRST))
            got[n++] = '|';
        memcpy(got + n, c.text + c.at[i], c.at[i + 1] - c.at[i]);
        n += c.at[i + 1] - c.at[i];
    }
    got[n] = 0;
    cr_assert_str_eq(got, want);
    rb_chars_free(&c);
}

/* What the expressions say where the vocabularies above would not show it. */
Test(tokenizer, pieces)
{
    static const struct {
        const char *pre, *text, *want;
    } cases[] = {
        { "llama-bpe", "it'ſx I'Mx 1234\r\n x", "it|'ſx| I|'M|x| |123|4|\r\n| x" },
        { "gpt-2", "it's IT'S  \n x 12a", "it|'s| IT|'|S|  \n| x| 12|a" },
        { "qwen35", "e\u0301 \u0301\u0301.", "e\u0301| \u0301\u0301|." },
        { "qwen2", "e\u0301a", "e|\u0301a" },
        { "deepseek-llm", "a b  你好1 \u3000! ", "a| b|  |你好|1| |\u3000!| " },
        { "deepseek-llm", "a乡a乡", "a|乡|a|乡" }, /* U+0061 and U+4E61 */
        { "deepseek-v3", "!ab 12345あア。\n", "!ab| |123|45|あア|。\n" },
        { "falcon", "a.1234", "a|.|123|4" },
        { "default", "a`.1234", "a|`|.|123|4" },
    };
    rb_pre_defaults defaults;
    rb_pretokenizer p;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert(rb_pretokenizer_by_name(&p, cases[i].pre, &defaults));
        expect_pieces(&p, cases[i].text, cases[i].want);
    }
    /* Where tokenizer.json's engine and llama.cpp's differ. */
    p = (rb_pretokenizer){ .rule = { rb_split_rule_of(
                               "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
                               "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
                               "\\s+(?!\\S)|\\s+") },
                           .n_rule = 1 };
    cr_assert_not_null(p.rule[0]);
    expect_pieces(&p, "it'ſx", "it|'ſ|x");
    cr_assert_null(rb_split_rule_of("\\w+"));
}

Test(tokenizer, an_unknown_cut_is_refused_by_name)
{
    static tiny_file f;
    rb_tokenizer *t;
    rb_error err = { 0 };
    tiny_bpe(&f, "tekken");
    cr_assert_eq(tiny_open(&t, &f, &err), RB_ERR_UNSUPPORTED);
    cr_assert_null(t);
    cr_assert(strstr(err.text, "'tekken'") && strstr(err.text, "deepseek-v3") &&
                  strstr(err.text, "default"),
              "%s", err.text);
}

Test(tokenizer, scores_merge_and_bytes_stand_in)
{
    enum {
        PIECE = 259,
        BLANK = PIECE,
        A,
        B,
        C,
        E,
        AB,
        BC,
        BLANK_A,
        AA,
        AAAA,
        BLANKS,
        BLANK_ABC,
        ABC,
        SEP
    };
    rb_tokenizer *t = open_spm();
    cr_assert_str_eq(rb_tokenizer_kind(t), "spm");
    cr_assert(rb_tokenizer_adds_space(t) && rb_tokenizer_adds_bos(t));
    EXPECT(t, "a", true, false, 1, BLANK_A);
    EXPECT(t, "b", false, false, BLANK, B);
    EXPECT(t, "abc", false, false, BLANK_ABC); /* by bc and \u2581a: ab never is */
    EXPECT(t, "bab", false, false, BLANK, B, AB);
    EXPECT(t, " b", false, false, BLANKS, B);
    EXPECT(t, "x\n\xFF", false, false, BLANK, 3 + 'x', 3 + '\n', 3 + 0xFF);
    EXPECT(t, "\xC3\xA9\xC3", false, false, BLANK, E, 3 + 0xC3);
    EXPECT(t, "b<sep>b<s>", false, false, BLANK, B, SEP, BLANK, B, 3 + '<', 3 + 's', 3 + '>');
    EXPECT(t, "<s>b", false, true, 1, BLANK, B);
    size_t n;
    cr_assert(!memcmp(rb_tokenizer_piece(t, BLANK_ABC, false, &n), " abc", 4) && n == 4);
    cr_assert(*rb_tokenizer_piece(t, 3 + 0xFF, false, &n) == '\xFF' && n == 1);
    cr_assert(rb_tokenizer_piece(t, 1, false, &n) && n == 0);
    cr_assert(!strncmp(rb_tokenizer_piece(t, 1, true, &n), "<s>", 3) && n == 3);
    cr_assert_null(rb_tokenizer_piece(t, TINY_N_SPM, true, &n));
    cr_assert_null(rb_tokenizer_piece(t, -1, true, &n));
    rb_tokenizer_close(t);
}

/* ---- special tokens ---- */

Test(tokenizer, control_tokens_are_text_unless_parsed)
{
    rb_tokenizer *t = open_bpe("gpt-2");
    EXPECT(t, "<s>a", false, true, S, 'a');
    EXPECT(t, "<s>a", false, false, '<', 's', '>', 'a');
    EXPECT(t, "a<tool>", false, false, 'a', S + 2);          /* user-defined: always */
    EXPECT(t, "<tool><x>yy", false, false, S + 3, 'y', 'y'); /* the longest first */
    EXPECT(t, "<|im_end|>", false, true, S + 5); /* control by its text, not by its type */
    EXPECT(t, "a<|im_end|", false, true, 'a', '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|');
    cr_assert(rb_tokenizer_is_end(t, S + 5) && rb_tokenizer_is_end(t, S + 1));
    cr_assert(!rb_tokenizer_is_end(t, 'a') && !rb_tokenizer_is_end(t, -1));
    cr_assert_eq(rb_tokenizer_bos(t), S);
    cr_assert(!rb_tokenizer_adds_bos(t) && !rb_tokenizer_adds_space(t));
    rb_tokenizer_close(t);
}

/* Where such tokens overlap, the two orders differ. */
Test(tokenizer, overlapping_special_tokens)
{
    uint8_t kind[3] = { RB_TOKEN_USER, RB_TOKEN_USER, RB_TOKEN_CONTROL };
    const rb_vocab v = { .n = 3, .kind = kind };
    for (int leftmost = 0; leftmost < 2; leftmost++) {
        rb_special item[] = { { { "ab", 2 }, 0 }, { { "bcd", 3 }, 1 }, { { "d", 1 }, 2 } };
        rb_specials s = { item, 3, leftmost };
        rb_fragments f = { 0 };
        rb_specials_sort(&s);
        cr_assert_eq(rb_specials_split(&s, &v, (rb_text){ "xabcdd", 6 }, true, &f, NULL), RB_OK);
        static const int32_t want[2][5] = { { -1, 1, 2 }, { -1, 0, -1, 2, 2 } };
        cr_assert_eq(f.n, leftmost ? 5 : 3);
        for (size_t i = 0; i < f.n; i++)
            cr_assert_eq(f.item[i].id, want[leftmost][i]);
        free(f.item);
    }
}

/* ---- bytes ---- */

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

Test(tokenizer, every_byte_there_and_back)
{
    static const char *const pres[] = { "llama-bpe",      "gpt-2",       "qwen2",
                                        "qwen35",         "smollm",      "deepseek-llm",
                                        "deepseek-coder", "deepseek-v3", "falcon",
                                        "default" };
    uint64_t state = 7;
    for (int round = 0; round < 2000; round++) {
        rb_tokenizer *t = round % 200 == 0 ? open_bpe(pres[round / 200]) : NULL;
        static rb_tokenizer *now;
        if (t) {
            rb_tokenizer_close(now);
            now = t;
        }
        char text[64], *valid;
        size_t n_bytes = next_random(&state) % sizeof text, n_valid, at = 0;
        for (size_t i = 0; i < n_bytes; i++)
            text[i] =
                (char)(next_random(&state) % 3 ? next_random(&state) % 128 : next_random(&state));
        cr_assert_eq(rb_utf8_repair(text, n_bytes, &valid, &n_valid, NULL), RB_OK);
        int32_t *id;
        int64_t n;
        cr_assert_eq(rb_tokenizer_encode(now, text, n_bytes, (rb_encode){ 0 }, &id, &n, NULL),
                     RB_OK);
        for (int64_t i = 0; i < n; i++) {
            size_t n_piece;
            const char *piece = rb_tokenizer_piece(now, id[i], false, &n_piece);
            cr_assert(n_piece <= n_valid - at && !memcmp(piece, valid + at, n_piece));
            at += n_piece;
        }
        cr_assert_eq(at, n_valid);
        free(id);
        free(valid);
    }
}

Test(tokenizer, broken_utf8_is_a_replacement_for_each_byte)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "a\x80z", "a\xEF\xBF\xBDz" },
        { "\xE4\xBDz", "\xEF\xBF\xBD\xEF\xBF\xBDz" },
        { "\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80" },
        { "\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" }, /* beyond */
        { "\xED\xA0\x80", "\xED\xA0\x80" },                                         /* surrogate */
        { "\xC1\xA1", "a" },                                                        /* overlong */
        { "\xFE", "\xEF\xBF\xBD" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out;
        size_t n;
        cr_assert_eq(rb_utf8_repair(cases[i].text, strlen(cases[i].text), &out, &n, NULL), RB_OK);
        cr_assert_str_eq(out, cases[i].want);
        cr_assert_eq(n, strlen(cases[i].want));
        free(out);
    }
}

/* ---- texts of any length ---- */

static void encode_long(const rb_tokenizer *t, const char *unit, size_t n_bytes)
{
    const size_t n_unit = strlen(unit);
    char *text = malloc(n_bytes + n_unit);
    int32_t *id;
    int64_t n;
    rb_error err = { 0 };
    for (size_t at = 0; at < n_bytes; at += n_unit)
        memcpy(text + at, unit, n_unit);
    text[n_bytes - 1] = '\x01';
    cr_assert_eq(rb_tokenizer_encode(t, text, n_bytes, (rb_encode){ true, true }, &id, &n, &err),
                 RB_OK, "%s", err.text);
    cr_assert(n > 0);
    free(id);
    free(text);
}

/* By the square of its length any of these would take hours. */
Test(tokenizer, no_text_takes_the_square_of_its_length, .timeout = 120)
{
    static const char *const units[] = { "a",     " ",    "\n",
                                         "<tool", "x>yy", "\xCC\x81\xCC\xA3",
                                         "'",     "1",    "\xE4\xBD\xA0" };
    static const char *const paths[] = { "tests/vectors/tokenizers/qwen2",
                                         "tests/vectors/tokenizers/prepend" };
    rb_tokenizer *t[6] = { open_bpe("llama-bpe"), open_bpe("deepseek-llm"), open_bpe("deepseek-v3"),
                           open_spm() };
    for (int i = 0; i < 2; i++)
        cr_assert_eq(rb_tokenizer_open(&t[4 + i], paths[i], NULL), RB_OK);
    for (int i = 0; i < 6; i++) {
        for (size_t u = 0; u < sizeof units / sizeof *units; u++)
            encode_long(t[i], units[u], 500000);
        rb_tokenizer_close(t[i]);
    }
}

/* ---- directories ---- */

static void put_file(const dir *d, const char *name, const char *text)
{
    char *path = dir_file(d, name);
    blob b = { 0 };
    blob_put(&b, text, strlen(text));
    blob_write(&b, path);
    blob_free(&b);
    free(path);
}

Test(tokenizer, a_directory_is_its_files)
{
    static const char json[] =
        "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"added_tokens\":["
        "{\"id\":2,\"content\":\"<b>\",\"special\":true},{\"id\":3,\"content\":\"<e>\",\"special\":"
        "true}],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}";
    dir d = dir_make();
    rb_tokenizer *t;
    rb_error err = { 0 };
    cr_assert_eq(rb_tokenizer_open(&t, d.path, &err), RB_ERR_UNSUPPORTED);
    cr_assert(strstr(err.text, "without tokenizer.json"), "%s", err.text);
    put_file(&d, "tokenizer.model", "x");
    cr_assert_eq(rb_tokenizer_open(&t, d.path, &err), RB_ERR_UNSUPPORTED);
    cr_assert(strstr(err.text, "tokenizer.model alone"), "%s", err.text);
    put_file(&d, "tokenizer.json", json);
    cr_assert_eq(rb_tokenizer_open(&t, d.path, &err), RB_OK, "%s", err.text);
    cr_assert(rb_tokenizer_bos(t) == -1 && !rb_tokenizer_chat_template(t));
    EXPECT(t, "ab<b>", true, true, 0, 1, 2);
    rb_tokenizer_close(t);
    put_file(&d, "tokenizer_config.json",
             "{\"bos_token\":{\"content\":\"<b>\"},\"eos_token\":\"<e>\",\"add_bos_token\":true,"
             "\"chat_template\":[{\"name\":\"x\",\"template\":\"X\"},{\"name\":\"default\","
             "\"template\":\"D\"}]}");
    cr_assert_eq(rb_tokenizer_open(&t, d.path, &err), RB_OK, "%s", err.text);
    cr_assert(rb_tokenizer_bos(t) == 2 && rb_tokenizer_eos(t) == 3 && rb_tokenizer_is_end(t, 3));
    cr_assert_str_eq(rb_tokenizer_chat_template(t), "D");
    EXPECT(t, "a", true, true, 2, 0);
    rb_tokenizer_close(t);
    put_file(&d, "chat_template.jinja", "J");
    cr_assert_eq(rb_tokenizer_open(&t, d.path, &err), RB_OK, "%s", err.text);
    cr_assert_str_eq(rb_tokenizer_chat_template(t), "J");
    rb_tokenizer_close(t);
    dir_remove(&d);
    cr_assert_eq(rb_tokenizer_open(&t, "smollm2-135m", &err), RB_ERR_UNSUPPORTED);
    cr_assert(strstr(err.text, "a preset has no tokenizer"), "%s", err.text);
}

Test(tokenizer, a_long_chat_template_is_read)
{
    static tiny_file f;
    static char text[3 * RB_GGUF_MAX_TEXT];
    rb_tokenizer *t;
    tiny_spm(&f);
    f.data[16]++; /* one more key */
    memset(text, '{', sizeof text - 1);
    tiny_key_text(&f, "tokenizer.chat_template", text);
    cr_assert_eq(tiny_open(&t, &f, NULL), RB_OK);
    cr_assert_str_eq(rb_tokenizer_chat_template(t), text);
    rb_tokenizer_close(t);
}

/* ---- ids to text ---- */

Test(tokenizer, decodes_what_is_no_text_too)
{
    const int32_t ids[] = { TINY_FIRST_SPECIAL, 'a', 0xC3, 0xA9, 0xFF, 0xED, 0xA0, 0x80, 0, 'b' };
    rb_tokenizer *t = open_bpe("gpt-2");
    char *text, *path;
    size_t n;
    int32_t *id;
    int64_t n_id;
    rb_error err = { 0 };
    cr_assert_eq(rb_tokenizer_decode(t, ids, sizeof ids / sizeof *ids, &text, &n, &err), RB_OK);
    static const char want[] = "a\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\0b";
    cr_assert(n == sizeof want - 1 && !memcmp(text, want, sizeof want), "%zu: %s", n, text);
    free(text);
    cr_assert_eq(
        rb_tokenizer_encode(t, "", ((size_t)1 << 30) + 1, (rb_encode){ 0 }, &id, &n_id, &err),
        RB_ERR_ARGUMENT);
    cr_assert(strstr(err.text, "at most 1073741824"), "%s", err.text);
    rb_tokenizer_close(t);
    static tiny_file f;
    tiny_spm(&f);
    dir d = dir_make();
    path = dir_file(&d, "m.gguf");
    blob b = { 0 };
    blob_put(&b, f.data, f.n);
    blob_write(&b, path);
    cr_assert_eq(rb_tokenizer_open(&t, path, &err), RB_OK, "%s", err.text);
    cr_assert_str_eq(rb_tokenizer_kind(t), "spm");
    rb_tokenizer_close(t);
    blob_free(&b);
    free(path);
    dir_remove(&d);
}
