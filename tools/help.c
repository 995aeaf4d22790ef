/* The text of --help, from the tables alone.
 * No option is named here.
 * Read next: options.c. */
#include "options.h"

#include <string.h>

enum { COLUMN = 34, WIDTH = 98 };

/* Words of text from column `at`, wrapped; continued lines start at COLUMN. */
static void put_wrapped(FILE *out, int at, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, " ");
        if (at > COLUMN && at + 1 + (int)n > WIDTH) {
            fprintf(out, "\n%*s", COLUMN, "");
            at = COLUMN;
        } else if (at > COLUMN) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", (int)n, text);
        at += (int)n;
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void put_option(FILE *out, const rb_option *o)
{
    char left[128], right[768];
    const char *join = o->kind == RB_OPT_SWEEP ? "" : " ";
    snprintf(left, sizeof left, "  %s%s%s", o->names, o->value ? join : "",
             o->value ? o->value : "");
    int used = (int)strlen(left);
    fputs(left, out);
    if (used > COLUMN - 2) {
        fputc('\n', out);
        used = 0;
    }
    fprintf(out, "%*s", COLUMN - used, "");
    snprintf(right, sizeof right, "%s%s%s%s%s%s", o->help, o->choices ? ": " : "",
             o->choices ? o->choices : "", o->preset ? " (default " : "",
             o->preset ? o->preset : "", o->preset ? ")" : "");
    put_wrapped(out, COLUMN, right);
}

void rb_command_help(FILE *out, const rb_command *cmd)
{
    fprintf(out, "usage: rbench %s%s%s\n\n%s\n", cmd->name, cmd->name[0] ? " " : "", cmd->usage,
            cmd->about);
    fputs("\noptions:\n", out);
    for (int o = 0; rb_option_at(cmd, o); o++)
        put_option(out, rb_option_at(cmd, o));
    fputs("\nLISTs by comma or repetition; ranges a-b, a-b+step, a-b*factor. Every option also "
          "as "
          "an environment\nvariable RBENCH_ARG_<NAME> (-p: RBENCH_ARG_P or RBENCH_ARG_N_PROMPT); "
          "flags win.\n",
          out);
}
