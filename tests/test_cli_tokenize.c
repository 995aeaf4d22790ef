/* rbench tokenize as users run it: ids, lines, special tokens, ids back to text, complaints.
 * Which ids is test_tokenizer.c's.
 * Read next: ../tools/cmd_tokenize.c. */
#include "program.h"

#include <criterion/criterion.h>

TestSuite(cli_tokenize, .init = program_setup, .fini = program_teardown);

/* In the scratch folder: "m", a directory whose tokens are a, b, ab, <s> (0 to 3) and a blank (4).
 */
static const char model[] =
    "mkdir -p m && cat > m/tokenizer.json <<'E'\n"
    "{\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true}],\"pre_tokenizer\":{"
    "\"type\":"
    "\"ByteLevel\",\"add_prefix_space\":false},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,"
    "\"b\":1,\"ab\":2,\"\\u0120\":4},\"merges\":[\"a b\"]}}\nE\n"
    "cat > m/tokenizer_config.json <<'E'\n{\"bos_token\":\"<s>\",\"add_bos_token\":true}\nE\n";

static void expect(const char *command, int code, const char *out, const char *err)
{
    char script[2048];
    snprintf(script, sizeof script, "%s%s", model, command);
    outcome o = shell(script);
    cr_assert_eq(o.code, code, "exit %d: %s", o.code, o.err);
    cr_assert_str_eq(o.out, out);
    cr_assert(strstr(o.err, err), "%s", o.err);
    release(&o);
}

Test(cli_tokenize, texts)
{
    expect("$RBENCH tokenize m 'ab a' '<s>b' ''", 0, "[3,2,4,0]\n[3,1]\n[3]\n", "");
    expect("$RBENCH tokenize m '<s>ab' --parse-special --no-special", 0, "[3,2]\n", "");
    expect("$RBENCH tokenize m ab --no-special", 0, "[2]\n", "");
}

Test(cli_tokenize, files)
{
    expect("mkdir t && $RBENCH tokenize m -f t", 1, "", "rbench: t: cannot read: Is a directory");
    expect("rmdir t", 0, "", "");
    expect("printf 'ab\\nb\\n\\na' > t && $RBENCH tokenize m -f t --lines --no-special", 0,
           "[2]\n[1]\n[]\n[0]\n", "");
    expect("printf 'ab\\nb' | $RBENCH tokenize m -f - --no-special", 0, "[2,1]\n", "");
    expect("$RBENCH tokenize m -f nowhere", 1, "", "nowhere: cannot open");
}

Test(cli_tokenize, ids_back_to_text)
{
    expect("$RBENCH tokenize m --decode '[3,2,4,0]'", 0, "<s>ab a\n", "");
    expect("$RBENCH tokenize m --decode '[5]'", 1, "", "item 0 is no id");
    expect("$RBENCH tokenize m --decode '[-1]'", 1, "", "item 0 is no id");
    expect("$RBENCH tokenize m --decode x", 1, "", "'x' is no array of ids");
}

Test(cli_tokenize, complaints)
{
    expect("$RBENCH tokenize", 2, "", "tokenize wants MODEL");
    expect("$RBENCH tokenize m", 2, "", "tokenize wants MODEL");
    expect("$RBENCH tokenize m a -f t", 2, "", "tokenize wants MODEL");
    expect("$RBENCH tokenize . a", 1, "", "without tokenizer.json");
    expect("$RBENCH tokenize smollm2-135m a", 1, "", "a preset has no tokenizer");
    expect("$RBENCH tokenize m a > /dev/full", 1, "", "stdout: cannot write");
    expect("echo 0 > x && $RBENCH tokenize x a", 1, "", "not a GGUF file; no other has");
}
