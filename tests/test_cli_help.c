/* What the program says of itself: examples that parse, manual pages that formatters take without a
 * warning, completion in a shell, a terminal's width. The wording is nobody's here.
 * Read next: program.h, ../tools/help.c, ../tools/man.c, ../tools/complete.c. */
#include "program.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(cli_help, .init = program_setup, .fini = program_teardown);

#define COMMANDS                                                                                   \
    "bench compare convert eval generate kernels paper perplexity place plot predict roofs synth " \
    "tokenize verify"

static void want_quiet(const char *script, const char *output)
{
    outcome o = shell(script);
    cr_assert_eq(o.code, 0, "exit %d: %s%s", o.code, o.out, o.err);
    cr_assert_str_eq(o.out, output);
    cr_assert_str_empty(o.err);
    release(&o);
}

Test(cli_help, names_every_command)
{
    want_quiet("for c in " COMMANDS "; do $RBENCH help | grep -q \" $c  \\|^  rbench MODEL\" &&\n"
               "$RBENCH help $c | grep -q '^options:' || echo $c; done",
               "");
    want_quiet("$RBENCH help | grep -c '^  rbench [a-z]*  '", "15\n");
}

/* Up to --help, which ends parsing, every option and value of an example is right. */
Test(cli_help, examples_parse)
{
    want_quiet("for c in " COMMANDS "; do $RBENCH help $c | sed -n '/^examples:/,/^$/s/^  rbench/"
               "rbench/p' | sed 's/   *.*//'; done > lines\n"
               "[ $(wc -l < lines) -gt 30 ] || echo few\n"
               "while read -r line; do eval \"\\\"\\$RBENCH\\\" ${line#rbench} --help\" > said ||\n"
               "echo \"$line\"; grep -q '^usage' said || echo \"$line: no usage\"; done < lines",
               "");
}

Test(cli_help, fits_a_narrow_terminal)
{
    if (system("command -v script >/dev/null 2>&1"))
        cr_skip_test("script(1) is not installed");
    want_quiet("for c in '' " COMMANDS
               "; do script -qec \"stty cols 80; $RBENCH help $c\" /dev/null"
               " < /dev/null | tr -d '\\r' | awk -v c=$c 'length($0) > 80 { print c \": \" $0 }'; "
               "done",
               "");
}

Test(cli_help, sentences_of_results_fit_a_terminal)
{
    const char *run = "tiny -p 4 -n 0 -r 1 --no-roofs";
    char script[512];
    if (system("command -v script >/dev/null 2>&1"))
        cr_skip_test("script(1) is not installed");
    snprintf(script, sizeof script,
             "$RBENCH %s | sed -n '/^tok.s:/,/^$/p' > all\n"
             "script -qec \"stty cols 40; $RBENCH %s\" /dev/null < /dev/null | tr -d '\\r' |\n"
             "sed -n '/^tok.s:/,/^$/p' > cut\n"
             "[ $(wc -l < all) = 2 ] && awk 'length($0) > 40' cut && xargs < cut > joined\n"
             "xargs < all | diff - joined",
             run, run);
    want_quiet(script, "");
}

Test(cli_help, tables_of_results_fit_a_terminal)
{
    const char *run = "tiny --attn gqa,mha -p 4 -n 2 -r 1 --no-roofs";
    char script[1024];
    if (system("command -v script >/dev/null 2>&1"))
        cr_skip_test("script(1) is not installed");
    snprintf(script, sizeof script,
             "$RBENCH %s > all; script -qec \"stty cols 105; $RBENCH %s 2> /dev/null\" /dev/null"
             " < /dev/null | tr -d '\\r' > cut\n"
             "for head in FLOPs/token calls; do grep -q \" $head \" all || echo no $head; done\n"
             "grep 'Not shown' all; awk 'length($0) > 105 && /^[|] [vs]/' cut; grep '^Not "
             "shown\\|^tg2, ' cut |\n"
             "sed 's/: fastest.*//'\n"
             "script -qec \"stty cols 88; $RBENCH kernels rmsnorm --no-roofs -r 1\" /dev/null 2> "
             "/dev/null"
             " < /dev/null | tr -d '\r' > cut\n"
             "awk 'length($0) > 88 && /^[|] kernel/' cut; grep '^Not shown' cut",
             run, run);
    want_quiet(script, "Not shown, as the terminal is narrow: FLOPs/token\n"
                       "Not shown, as the terminal is narrow: calls, bytes\n"
                       "tg2, 4 layers, cache f16 f16\n"
                       "Not shown, as the terminal is narrow: OI issued, GB/s, GFLOP/s, ±\n");
}

Test(cli_help, never_wider_than_a_page)
{
    want_quiet("for c in '' " COMMANDS "; do $RBENCH help $c |\n"
               "awk -v c=$c 'length($0) > 98 { print c \": \" $0 }'; done",
               "");
}

/* ---- manual pages ---- */

Test(cli_help, manual_pages_have_every_option)
{
    want_quiet(
        "for c in " COMMANDS "; do\n"
        "$RBENCH help --man $c | sed 's/\\\\-/-/g' > page\n"
        "$RBENCH help $c | sed -n 's/^  \\(-.*\\)/\\1/p' | sed 's/[ =[].*//;s/,$//' > names\n"
        "while read -r name; do grep -q -- \"^.fB$name\" page || echo \"$c $name\"; done "
        "< names\n"
        "for s in NAME SYNOPSIS DESCRIPTION OPTIONS EXAMPLES ENVIRONMENT; do\n"
        "grep -q \"^.SH $s\" page || echo \"$c: $s\"; done\n"
        "grep -q '^.SH EXIT STATUS' page || echo \"$c: no exit codes\"; done",
        "");
    want_quiet("$RBENCH help --man | grep -c '^.fBrbench.-[a-z]*.fR(1)'", "14\n");
    want_quiet("SOURCE_DATE_EPOCH=86400 $RBENCH help --man plot | head -n 1",
               ".TH RBENCH\\-PLOT 1 \"1970-01-02\" \"rbench 0.1.0\" \"User Commands\"\n");
    want("help --man nonesuch", 2, "no command 'nonesuch'");
}

static void want_formatted(const char *formatter, const char *command)
{
    char script[512];
    snprintf(script, sizeof script, "command -v %s > /dev/null 2>&1", formatter);
    if (system(script))
        cr_skip_test("%s is not installed", formatter);
    snprintf(script, sizeof script,
             "for c in " COMMANDS "; do SOURCE_DATE_EPOCH=0 $RBENCH help --man $c > page.1\n"
             "%s page.1 2>&1 | sed \"s/^/$c: /\"; done",
             command);
    want_quiet(script, "");
}

Test(cli_help, groff_takes_manual_pages)
{
    want_formatted("groff", "groff -man -Tutf8 -ww -z");
}

Test(cli_help, mandoc_takes_manual_pages)
{
    want_formatted("mandoc", "mandoc -T lint -W warning");
}

/* ---- completion ---- */

/* What bash makes of the line "rbench WORDS", its cursor at the end. */
static void want_completed(const char *words, const char *found)
{
    char script[2048];
    snprintf(
        script, sizeof script,
        "touch model-a.gguf model-b.gguf\n"
        "cat > try.bash <<'E'\n"
        "eval \"$($RBENCH help --completion bash)\"\n"
        "words=$1; [[ $words == *' ' ]] && words+=\"''\"\n"
        "eval \"COMP_WORDS=($(sed 's/[=:]/ & /g' <<< \"$words\"))\"\n"
        "COMP_WORDS=(\"$RBENCH\" \"${COMP_WORDS[@]}\"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        "complete -p rbench > /dev/null && _rbench 2> /dev/null; printf '%%s\n' "
        "\"${COMPREPLY[@]}\" |\n"
        "LC_ALL=C sort | xargs\n"
        "E\nbash try.bash '%s'",
        words);
    want_quiet(script, found);
}

Test(cli_help, completes_commands_and_models)
{
    want_completed("pre", "predict\n");
    want_completed("help pl", "place plot\n");
    want_completed("smollm2-1", "smollm2-1.7b smollm2-135m\n");
    want_completed("generate model-", "model-a.gguf model-b.gguf\n");
    want_completed("kernels att", "attend\n");
    want_completed("roofs ", "\n");
    want_completed("help plot ", "\n");
}

Test(cli_help, completes_options_and_their_values)
{
    want_completed("tiny --dep", "--depth-sweep\n");
    want_completed("plot runs --ki", "--kind\n");
    want_completed("tiny -o ", "csv json jsonl md\n");
    want_completed("tiny --output=js", "json jsonl\n");
    want_completed("tiny --type q4_0,q8", "q4_0,q8_0\n");
    want_completed("tiny --type=q4_0,q8", "q4_0,q8_0\n");
    want_completed("tiny --plot=model-", "model-a.gguf model-b.gguf\n");
    want_completed("perplexity x --base smollm2-1", "smollm2-1.7b smollm2-135m\n");
    want_completed("tiny -t ", "\n");
    want_completed("tiny --no-roofs tin", "tiny\n");
}

Test(cli_help, completes_in_other_shells)
{
    want("help --completion tcsh", 2, "bash, fish or zsh");
    want("help --completion", 2, "bash, fish or zsh");
    want("help --completion zsh", 0, "#compdef rbench\n");
    want_quiet("$RBENCH help --complete predict tiny --lay",
               "--layers\tlayers to run: the first L; "
               "beyond the model's own, copies of the last one in memory of their own (default: "
               "the model's)\n");
    if (!system("command -v zsh >/dev/null 2>&1"))
        want_quiet("$RBENCH help --completion zsh > z; zsh -n z", "");
    if (system("command -v fish >/dev/null 2>&1"))
        return;
    want_quiet("ln -s $RBENCH rbench; PATH=$PWD:$PATH; export PATH; touch model.gguf\n"
               "fish -c 'rbench help --completion fish | source; complete -C \"rbench help pl\";"
               " complete -C \"rbench tiny --plot=mod\"' | sed 's/\t.*//'",
               "place\nplot\n--plot=model.gguf\n");
}
