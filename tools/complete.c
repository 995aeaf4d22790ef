/* Completion of command lines: which words may stand where is answered here, from the tables of
 * options; the scripts in completion/ only ask and show. Files are the shell's to list.
 * Read next: options.h, rbench.c. */
#include "cmd.h"

#include <string.h>

/* A word being typed, and where what may stand for it goes. */
typedef struct typed {
    FILE *out;
    const char *word; /* all of it so far */
    size_t kept;      /* of it as it is: "--type=" or "q8_0," */
} typed;

static void offer(const typed *t, const char *candidate, size_t n, const char *what)
{
    const char *begun = t->word + t->kept;
    if (n < strlen(begun) || strncmp(candidate, begun, strlen(begun)) != 0)
        return;
    fprintf(t->out, "%.*s%.*s\t%s\n", (int)t->kept, t->word, (int)n, candidate, what);
}

static void offer_files(const typed *t)
{
    fputs(":files\n", t->out);
}

static void offer_models(const typed *t)
{
    for (int i = 0; i < rb_preset_count(); i++)
        offer(t, rb_preset_get(i)->name, strlen(rb_preset_get(i)->name), "preset");
    offer_files(t);
}

static void offer_commands(const typed *t, bool also_bench)
{
    for (int i = 0; rb_command_at(i); i++)
        offer(t, rb_command_at(i)->name, strlen(rb_command_at(i)->name), rb_command_at(i)->what);
    if (also_bench)
        offer(t, "bench", 5, rb_cmd_bench.what);
}

static void offer_ops(const typed *t)
{
    for (int id = 0; id < RB_N_OP; id++) {
        const rb_op *op = rb_op_get((rb_op_id)id);
        if (op && rb_extents(op->id))
            offer(t, op->name, strlen(op->name), "op");
    }
}

static void offer_options(const typed *t, const rb_command *cmd)
{
    char name[64];
    for (int o = 0; rb_option_at(cmd, o); o++)
        for (int i = 0; rb_option_name(rb_option_at(cmd, o), i, name, sizeof name); i++)
            offer(t, name, strlen(name), rb_option_at(cmd, o)->help);
}

/* Of a list only its last part is still open. */
static void offer_value(typed *t, const rb_option *o)
{
    const char *comma = strrchr(t->word + t->kept, ',');
    if (o->kind == RB_OPT_WORDS && comma)
        t->kept = (size_t)(comma + 1 - t->word);
    for (const char *c = o->choices ? o->choices : ""; *c; c += strspn(c, "|")) {
        const size_t n = strcspn(c, "|");
        offer(t, c, n,
              o->preset && strlen(o->preset) == n && !strncmp(c, o->preset, n) ? "default" : "");
        c += n;
    }
    if (!strncmp(o->value, "MODEL", 5))
        offer_models(t);
    else if (!strcmp(o->value, "FILE") || !strcmp(o->value, "DIR"))
        offer_files(t);
}

/* What is not an option: by the first words of the usage. */
static void offer_argument(const typed *t, const rb_command *cmd)
{
    if (strstr(cmd->usage, "MODEL") || strstr(cmd->usage, "PRESET"))
        offer_models(t);
    else if (!strncmp(cmd->usage, "[OP", 3))
        offer_ops(t);
    else if (strncmp(cmd->usage, "[options]", 9) != 0)
        offer_files(t);
}

static const rb_option *option_named(const rb_command *cmd, const char *word, size_t n)
{
    char name[64];
    for (int o = 0; rb_option_at(cmd, o); o++)
        for (int i = 0; rb_option_name(rb_option_at(cmd, o), i, name, sizeof name); i++)
            if (strlen(name) == n && !strncmp(name, word, n))
                return rb_option_at(cmd, o);
    return NULL;
}

static bool takes_next_word(const rb_option *o)
{
    return o && o->kind != RB_OPT_FLAG && o->kind != RB_OPT_SWEEP;
}

static void complete_for(typed *t, const rb_command *cmd, const char *before)
{
    const size_t n = strcspn(t->word, "=");
    const rb_option *open = option_named(cmd, before, strlen(before));
    const rb_option *own = t->word[n] ? option_named(cmd, t->word, n) : NULL;
    if (takes_next_word(open))
        offer_value(t, open);
    else if (takes_next_word(own)) {
        t->kept = n + 1;
        offer_value(t, own);
    } else if (t->word[0] == '-')
        offer_options(t, cmd);
    else
        offer_argument(t, cmd);
}

void rb_complete(FILE *out, int n, char **word)
{
    typed t = { out, n ? word[n - 1] : "", 0 };
    const rb_command *cmd = n > 1 ? rb_command_named(word[0]) : NULL;
    if (n > 1 && !strcmp(word[0], "help")) {
        if (n == 2)
            offer_commands(&t, true);
        return;
    }
    if (n <= 1 && t.word[0] != '-') {
        offer_commands(&t, false);
        offer(&t, "help", 4, "the options of a command");
        offer(&t, "version", 7, "this program's");
    }
    complete_for(&t, cmd ? cmd : &rb_cmd_bench, n > 1 ? word[n - 2] : "");
}

/* ---- for shells ---- */

/* From the root of the tree, where the compiler runs; the Makefile knows these files too. */
__asm__(".pushsection .rodata\n"
        ".globl rb_bash_script, rb_fish_script, rb_zsh_script\n"
        "rb_bash_script: .incbin \"tools/completion/rbench.bash\"\n"
        ".byte 0\n"
        "rb_fish_script: .incbin \"tools/completion/rbench.fish\"\n"
        ".byte 0\n"
        "rb_zsh_script: .incbin \"tools/completion/rbench.zsh\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char rb_bash_script[], rb_fish_script[], rb_zsh_script[];

bool rb_completion(FILE *out, const char *shell)
{
    const char *script = !strcmp(shell, "bash")   ? rb_bash_script
                         : !strcmp(shell, "fish") ? rb_fish_script
                         : !strcmp(shell, "zsh")  ? rb_zsh_script
                                                  : NULL;
    if (script)
        fputs(script, out);
    return script != NULL;
}
