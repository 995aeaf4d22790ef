/* Manual pages for man(7), from the same tables as --help, so that both say the same. What the
 * tables do not hold stands here: exit codes, environment, files. No option is named here.
 * Read next: help.c. */
#include "cmd.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct term {
    const char *name, *what;
} term;

static const term exit_codes[] = {
    { "0", "Everything ran." },
    { "1", "Bad input, or a test that failed; the others have run." },
    { "2", "The command line is wrong: one line on stderr says what to write instead." },
    { "3", "Counts differ between repetitions or runs, or a self-check failed." },
    { "4", "Slower than rbench compare --fail-above allows." },
    { "130, 143", "Ended by SIGINT or SIGTERM: tests with samples are written too, marked "
                  "interrupted." },
};

static const term environment[] = {
    { "RBENCH_ARG_NAME",
      "The option --NAME of any command, in capitals and with _ for -: RBENCH_ARG_THREADS=4, "
      "RBENCH_ARG_NO_ROOFS=1. Every spelling counts (RBENCH_ARG_T). Flags win." },
    { "RBENCH_ISA", "The highest instruction set to use, as --isa." },
    { "OMP_NUM_THREADS", "Threads where -t does not say; otherwise one for each physical core." },
    { "OMP_PROC_BIND, OMP_PLACES, GOMP_CPU_AFFINITY",
      "Where threads run. Without them each stays on a core of its own; OMP_PROC_BIND=false leaves "
      "that to the system." },
};

static const term files[] = {
    { "rbench-paper/",
      "What rbench paper leaves, in the current folder unless --out says another." },
};

/* Text as it stands: what roff would read otherwise is escaped. Lines may be broken after |. */
static void put_text(FILE *out, const char *text)
{
    static const char special[] = "\\-'\"`^~|";
    static const char *const roff[] = { "\\e",   "\\-",   "\\(aq", "\\(dq",
                                        "\\(ga", "\\(ha", "\\(ti", "|\\:" };
    for (int at = 0; *text; text++) {
        const char *found = strchr(special, *text);
        if (at == 0 && *text == '.')
            fputs("\\&", out);
        if (*text == ' ' && at > 60) {
            fputc('\n', out);
            at = 0;
        } else if (found)
            at += fprintf(out, "%s", roff[found - special]);
        else
            at += fprintf(out, "%c", *text);
    }
}

static void put_line(FILE *out, const char *text)
{
    put_text(out, text);
    fputc('\n', out);
}

static void put_bold(FILE *out, const char *text)
{
    fputs("\\fB", out);
    put_text(out, text);
    fputs("\\fR", out);
}

static void put_term(FILE *out, const char *name, const char *what)
{
    fputs(".TP\n", out);
    put_bold(out, name);
    fputc('\n', out);
    put_line(out, what);
}

static void put_terms(FILE *out, const char *title, const term *t, size_t n)
{
    fprintf(out, ".SH %s\n", title);
    for (size_t i = 0; i < n; i++)
        put_term(out, t[i].name, t[i].what);
}

static void put_options(FILE *out, const rb_command *cmd)
{
    char text[RB_OPTION_TEXT];
    fputs(".SH OPTIONS\n", out);
    for (int i = 0; rb_option_at(cmd, i); i++) {
        const rb_option *o = rb_option_at(cmd, i);
        fputs(".TP\n", out);
        put_bold(out, o->names);
        if (o->value) {
            fputs(o->kind == RB_OPT_SWEEP ? "\\fI" : " \\fI", out);
            put_text(out, o->value);
            fputs("\\fR", out);
        }
        fputc('\n', out);
        put_line(out, rb_option_text(o, text, sizeof text));
    }
    if (rb_takes_lists(cmd)) {
        fputs(".PP\n", out);
        put_line(out, RB_LIST_MEANS);
    }
}

static void put_examples(FILE *out, const rb_command *cmd)
{
    rb_example e;
    fputs(".SH EXAMPLES\n", out);
    for (int i = 0; rb_example_at(cmd, i, &e); i++)
        put_term(out, e.line, e.what);
}

static void put_usage(FILE *out, const rb_command *cmd)
{
    put_bold(out, cmd->name[0] ? "rbench " : "rbench");
    put_bold(out, cmd->name);
    fputc(' ', out);
    put_line(out, cmd->usage);
}

static void put_title(FILE *out, const rb_command *cmd)
{
    char name[64] = "RBENCH", date[16] = "";
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    const time_t at = epoch ? (time_t)strtoll(epoch, NULL, 10) : 0;
    struct tm day;
    if (epoch && gmtime_r(&at, &day))
        strftime(date, sizeof date, "%Y-%m-%d", &day);
    if (cmd)
        snprintf(name, sizeof name, "RBENCH-%s", cmd->name);
    for (char *c = name; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    fputs(".TH ", out);
    put_text(out, name);
    fprintf(out, " 1 \"%s\" \"rbench %s\" \"User Commands\"\n.ad l\n.nh\n", date, RB_VERSION);
}

static void put_commands(FILE *out)
{
    fputs(".SH COMMANDS\nEach has a page of its own.\n", out);
    for (int i = 0; rb_command_at(i); i++) {
        fputs(".TP\n\\fBrbench\\-", out);
        put_text(out, rb_command_at(i)->name);
        fputs("\\fR(1)\n", out);
        put_line(out, rb_command_at(i)->what);
    }
}

static void put_program(FILE *out)
{
    fputs(".SH NAME\nrbench \\- benchmark transformers on the CPU, with exact counts\n"
          ".SH SYNOPSIS\n",
          out);
    put_usage(out, &rb_cmd_bench);
    fputs(".br\n\\fBrbench\\fR \\fICOMMAND\\fR [options]\n.br\n"
          "\\fBrbench help\\fR [\\fICOMMAND\\fR]\n.br\n\\fBrbench version\\fR\n.SH DESCRIPTION\n",
          out);
    put_line(out, RB_SUMMARY);
    fputs(".PP\n", out);
    put_line(out, rb_cmd_bench.about);
    fputs(".PP\n", out);
    put_line(out, "MODEL is " RB_MODEL_MEANS);
    put_commands(out);
}

static void put_command(FILE *out, const rb_command *cmd)
{
    fprintf(out, ".SH NAME\nrbench\\-%s \\- ", cmd->name);
    put_line(out, cmd->what);
    fputs(".SH SYNOPSIS\n", out);
    put_usage(out, cmd);
    fputs(".SH DESCRIPTION\n", out);
    put_line(out, cmd->about);
}

void rb_man(FILE *out, const rb_command *cmd)
{
    const bool whole = !cmd || cmd == &rb_cmd_bench;
    put_title(out, whole ? NULL : cmd);
    if (whole)
        put_program(out);
    else
        put_command(out, cmd);
    put_options(out, whole ? &rb_cmd_bench : cmd);
    put_examples(out, whole ? &rb_cmd_bench : cmd);
    put_terms(out, "EXIT STATUS", exit_codes, sizeof exit_codes / sizeof *exit_codes);
    put_terms(out, "ENVIRONMENT", environment, sizeof environment / sizeof *environment);
    if (whole)
        put_terms(out, "FILES", files, sizeof files / sizeof *files);
    else
        fputs(".SH SEE ALSO\n\\fBrbench\\fR(1)\n", out);
}
