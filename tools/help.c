/* The text of --help and of `rbench` alone, from the tables alone, as wide as the terminal.
 * No option is named here.
 * Read next: options.c, man.c. */
#include "cmd.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Lines of words: those that follow a break begin at indent. */
typedef struct page {
    FILE *out;
    int at, indent, width;
} page;

enum { LEAST_WIDTH = 60, MOST_WIDTH = 98, NARROW = 90 };

static page page_for(FILE *out)
{
    struct winsize size;
    page p = { out, 0, 0, MOST_WIDTH };
    if (isatty(fileno(out)) && !ioctl(fileno(out), TIOCGWINSZ, &size) && size.ws_col)
        p.width = size.ws_col < LEAST_WIDTH  ? LEAST_WIDTH
                  : size.ws_col < MOST_WIDTH ? size.ws_col
                                             : MOST_WIDTH;
    return p;
}

static void new_line(page *p)
{
    fprintf(p->out, "\n%*s", p->indent, "");
    p->at = p->indent;
}

/* Ends a line; the next begins at column 0. */
static void end_line(page *p)
{
    fputc('\n', p->out);
    p->at = 0;
}

static void put_plain(page *p, const char *text)
{
    p->at += fprintf(p->out, "%s", text);
}

/* To that column, on a line of its own if text reaches it already. */
static void indent_to(page *p, int column)
{
    p->indent = column;
    if (p->at > column - 2)
        new_line(p);
    else
        p->at += fprintf(p->out, "%*s", column - p->at, "");
}

/* Words, and choices between |, as many a line as fit. */
static void put_wrapped(page *p, const char *text)
{
    for (int blank = 0; *text;) {
        size_t n = strcspn(text, " |");
        n += text[n] == '|';
        if (p->at > p->indent && p->at + blank + (int)n > p->width)
            new_line(p);
        else if (blank) {
            fputc(' ', p->out);
            p->at++;
        }
        p->at += fprintf(p->out, "%.*s", (int)n, text);
        text += n;
        blank = *text == ' ';
        text += strspn(text, " ");
    }
    end_line(p);
}

char *rb_option_text(const rb_option *o, char *buf, size_t size)
{
    char elsewhere[64];
    snprintf(elsewhere, sizeof elsewhere, "see 'rbench help %s'", o->listed ? o->listed : "");
    const char *choices = o->listed ? elsewhere : o->choices;
    snprintf(buf, size, "%s%s%s%s%s%s", o->help, choices ? ": " : "", choices ? choices : "",
             o->preset ? " (default " : "", o->preset ? o->preset : "", o->preset ? ")" : "");
    return buf;
}

static void put_option(page *p, const rb_option *o, int column)
{
    char left[128], right[RB_OPTION_TEXT];
    const char *join = o->kind == RB_OPT_SWEEP ? "" : " ";
    snprintf(left, sizeof left, "  %s%s%s", o->names, o->value ? join : "",
             o->value ? o->value : "");
    put_plain(p, left);
    indent_to(p, column);
    put_wrapped(p, rb_option_text(o, right, sizeof right));
}

bool rb_example_at(const rb_command *cmd, int i, rb_example *e)
{
    const char *at = cmd->example;
    for (; i > 0 && *at; i--)
        at += strcspn(at, "\n") + 1;
    const int line = (int)strcspn(at, "\t"), all = (int)strcspn(at, "\n");
    if (!*at)
        return false;
    snprintf(e->line, sizeof e->line, "rbench%s%s%s%.*s", cmd->name[0] ? " " : "", cmd->name,
             line ? " " : "", line, at);
    snprintf(e->what, sizeof e->what, "%.*s", all - line - 1, at + line + 1);
    return true;
}

static void put_examples(page *p, const rb_command *cmd, int column)
{
    rb_example e;
    fputs("\nexamples:\n", p->out);
    for (int i = 0; rb_example_at(cmd, i, &e); i++) {
        put_plain(p, "  ");
        put_plain(p, e.line);
        indent_to(p, column);
        put_wrapped(p, e.what);
    }
}

bool rb_takes_lists(const rb_command *cmd)
{
    for (int o = 0; rb_option_at(cmd, o); o++)
        if (rb_option_at(cmd, o)->value && strstr(rb_option_at(cmd, o)->value, "LIST"))
            return true;
    return false;
}

void rb_command_help(FILE *out, const rb_command *cmd)
{
    page p = page_for(out);
    const int column = p.width < NARROW ? 28 : 34;
    put_plain(&p, "usage: rbench ");
    put_plain(&p, cmd->name);
    put_plain(&p, cmd->name[0] ? " " : "");
    p.indent = p.at;
    put_wrapped(&p, cmd->usage);
    p.indent = 0;
    end_line(&p);
    put_wrapped(&p, cmd->about);
    fputs("\noptions:\n", out);
    for (int o = 0; rb_option_at(cmd, o); o++)
        put_option(&p, rb_option_at(cmd, o), column);
    put_examples(&p, cmd, column);
    p.indent = 0;
    end_line(&p);
    if (rb_takes_lists(cmd))
        put_wrapped(&p, RB_LIST_MEANS);
    put_wrapped(&p,
                "Every option is also an environment variable, RBENCH_ARG_<NAME> (-t, --threads:"
                " RBENCH_ARG_T or RBENCH_ARG_THREADS); flags win.");
}

static void put_command(page *p, const char *name, const char *what)
{
    put_plain(p, "  rbench ");
    put_plain(p, name);
    indent_to(p, 27);
    put_wrapped(p, what);
}

void rb_overview(FILE *out)
{
    page p = page_for(out);
    put_wrapped(&p, RB_SUMMARY);
    end_line(&p);
    put_command(&p, rb_cmd_bench.usage, rb_cmd_bench.what);
    for (int i = 0; rb_command_at(i); i++)
        put_command(&p, rb_command_at(i)->name, rb_command_at(i)->what);
    put_command(&p, "help [COMMAND]", "this text, or the options of a command or of 'bench'");
    put_command(&p, "version", "this program's");
    p.indent = 0;
    end_line(&p);
    put_wrapped(&p, "MODEL is " RB_MODEL_MEANS " To begin:");
    fputs("\n  rbench smollm2-135m --depth-sweep\n  rbench predict llama3.1-70b\n", out);
}
