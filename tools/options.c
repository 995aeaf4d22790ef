/* Parses a command line against a command's table and prints the table as help. Knows no option by
 * name: what exists is in the tables of cmd_*.c.
 * Read next: options_number.c (numbers and ranges), rbench.c (the commands). */
#include "options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- names ---- */

bool rb_option_name(const rb_option *o, int i, char *buf, size_t size)
{
    const char *s = o->names;
    for (; i > 0; i--) {
        s += strcspn(s, ",");
        if (!*s)
            return false;
        s += strspn(s, ", ");
    }
    snprintf(buf, size, "%.*s", (int)strcspn(s, ","), s);
    return true;
}

const rb_option *rb_option_at(const rb_command *cmd, int o)
{
    int n_shared = cmd->shared ? *cmd->n_shared : 0;
    if (o < n_shared)
        return &cmd->shared[o];
    return o - n_shared < cmd->n_option ? &cmd->option[o - n_shared] : NULL;
}

static int find(const rb_command *cmd, const char *name)
{
    char known[64];
    for (int o = 0; rb_option_at(cmd, o); o++) {
        for (int i = 0; rb_option_name(rb_option_at(cmd, o), i, known, sizeof known); i++) {
            if (!strcmp(known, name))
                return o;
        }
    }
    return -1;
}

int rb_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    int at[MAX + 1][MAX + 1], n = (int)strnlen(a, MAX), m = (int)strnlen(b, MAX);
    for (int i = 0; i <= n; i++)
        at[i][0] = i;
    for (int j = 0; j <= m; j++)
        at[0][j] = j;
    for (int i = 1; i <= n; i++) {
        for (int j = 1; j <= m; j++) {
            int best = at[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = at[i - 1][j] + 1 < best ? at[i - 1][j] + 1 : best;
            best = at[i][j - 1] + 1 < best ? at[i][j - 1] + 1 : best;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            at[i][j] = swapped && at[i - 2][j - 2] + 1 < best ? at[i - 2][j - 2] + 1 : best;
        }
    }
    return at[n][m];
}

bool rb_is_near(const char *a, const char *b)
{
    int longest = (int)(strlen(a) > strlen(b) ? strlen(a) : strlen(b));
    return rb_distance(a, b) <= (longest < 3 ? 0 : longest < 4 ? 1 : longest < 8 ? 2 : 3);
}

static rb_status unknown_option(const rb_command *cmd, const char *name, rb_error *err)
{
    char known[64], best[64] = "";
    int best_distance = 1000;
    for (int o = 0; rb_option_at(cmd, o); o++) {
        for (int i = 0; rb_option_name(rb_option_at(cmd, o), i, known, sizeof known); i++) {
            int d = rb_distance(name, known);
            if (d < best_distance) {
                best_distance = d;
                snprintf(best, sizeof best, "%s", known);
            }
        }
    }
    if (best[0] && rb_is_near(name, best))
        return rb_fail(err, RB_ERR_ARGUMENT, "unknown option '%.60s'; did you mean '%s'?", name,
                       best);
    return rb_fail(err, RB_ERR_ARGUMENT, "unknown option '%.60s'; see 'rbench %s%s--help'", name,
                   cmd->name, cmd->name[0] ? " " : "");
}

/* ---- values ---- */

static void clear(rb_opt_value *v)
{
    for (int i = 0; v->text && i < v->n; i++)
        free(v->text[i]);
    free(v->text);
    free(v->num);
    *v = (rb_opt_value){ 0 };
}

/* The choice that a word is, in upper or lower case, as the table spells it; NULL: none. */
static const char *find_choice(const char *choices, const char *word, size_t length)
{
    for (const char *c = choices; *c; c += strspn(c, "|")) {
        size_t n = strcspn(c, "|");
        if (n == length && !strncasecmp(c, word, n))
            return c;
        c += n;
    }
    return NULL;
}

static rb_status add_word(rb_opt_value *v, const rb_option *o, const char *word, size_t length,
                          const char *what, rb_error *err)
{
    const char *spelt = o->choices ? find_choice(o->choices, word, length) : word;
    if (!spelt)
        return rb_fail(err, RB_ERR_ARGUMENT, "%s: '%.*s' is not one of %s", what,
                       (int)(length < 60 ? length : 60), word, o->choices);
    char **grown = realloc(v->text, (size_t)(v->n + 1) * sizeof *grown);
    if (grown)
        v->text = grown;
    char *copy = grown ? strndup(spelt, length) : NULL;
    if (!copy)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the command line");
    v->text[v->n++] = copy;
    return RB_OK;
}

static rb_status add_words(rb_opt_value *v, const rb_option *o, const char *text, const char *what,
                           rb_error *err)
{
    for (;;) {
        size_t length = strcspn(text, ",");
        rb_status st = add_word(v, o, text, length, what, err);
        if (st != RB_OK || !text[length])
            return st;
        text += length + 1;
    }
}

static rb_status add_flag(rb_opt_value *v, const char *text, const char *what, rb_error *err)
{
    if (find_choice("1|true|yes|on", text, strlen(text)))
        v->n = 1;
    else if (find_choice("0|false|no|off", text, strlen(text)) || !*text)
        v->n = 0;
    else
        return rb_fail(err, RB_ERR_ARGUMENT, "%s: '%.60s' is neither 1 nor 0", what, text);
    return RB_OK;
}

static rb_status add_pair(rb_opt_value *v, const rb_option *o, const char *text, const char *what,
                          rb_error *err)
{
    int before = v->n;
    rb_status st = rb_parse_list(text, o->min, o->max, what, &v->num, &v->n, err);
    if (st == RB_OK && v->n != before + 2)
        return rb_fail(err, RB_ERR_ARGUMENT, "%s: '%.60s' is not a pair; write %s", what, text,
                       o->value);
    return st;
}

/* Kept as it was typed. */
static rb_status add_real(rb_opt_value *v, const rb_option *o, const char *text, const char *what,
                          rb_error *err)
{
    double value;
    const rb_status st = rb_parse_real(text, o->min, o->max, what, &value, err);
    return st == RB_OK ? add_word(v, o, text, strlen(text), what, err) : st;
}

static rb_status add_value(rb_opt_value *v, const rb_option *o, const char *text, const char *what,
                           rb_error *err)
{
    switch (o->kind) {
    case RB_OPT_FLAG:
        return add_flag(v, text, what, err);
    case RB_OPT_TIME:
    case RB_OPT_INT:
        clear(v);
        v->num = malloc(sizeof *v->num);
        if (!v->num)
            return rb_fail(err, RB_ERR_MEMORY, "no memory for the command line");
        v->n = 1;
        return (o->kind == RB_OPT_TIME ? rb_parse_time : rb_parse_int)(text, o->min, o->max, what,
                                                                       v->num, err);
    case RB_OPT_REAL:
        clear(v);
        return add_real(v, o, text, what, err);
    case RB_OPT_INTS:
    case RB_OPT_SWEEP:
        return rb_parse_list(text, o->min, o->max, what, &v->num, &v->n, err);
    case RB_OPT_PAIR:
        return add_pair(v, o, text, what, err);
    case RB_OPT_WORD:
        clear(v);
        return add_word(v, o, text, strlen(text), what, err);
    case RB_OPT_WORDS:
        return add_words(v, o, text, what, err);
    case RB_OPT_TEXTS:
        return add_word(v, o, text, strlen(text), what, err);
    }
    return RB_OK;
}

/* ---- sources: default, environment, flags ---- */

static rb_status take_default(rb_opt_value *v, const rb_option *o, rb_error *err)
{
    return o->preset ? add_value(v, o, o->preset, o->names, err) : RB_OK;
}

/* RBENCH_ARG_<NAME> for every spelling: -p and --n-prompt give P and N_PROMPT. */
static rb_status take_environment(rb_opt_value *v, const rb_option *o, rb_error *err)
{
    char name[64], variable[96];
    for (int i = 0; rb_option_name(o, i, name, sizeof name); i++) {
        const char *s = name + strspn(name, "-");
        size_t n = (size_t)snprintf(variable, sizeof variable, "RBENCH_ARG_%s", s);
        for (size_t c = 0; c < n; c++)
            variable[c] = variable[c] == '-' ? '_' : (char)toupper((unsigned char)variable[c]);
        const char *text = getenv(variable);
        if (!text)
            continue;
        bool off = find_choice("0|false|no|off", text, strlen(text));
        bool on = find_choice("1|true|yes|on", text, strlen(text));
        clear(v);
        rb_status st = RB_OK;
        if (o->kind != RB_OPT_SWEEP || (!on && !off))
            st = add_value(v, o, text, variable, err);
        v->given = o->kind == RB_OPT_FLAG ? v->n > 0 : o->kind != RB_OPT_SWEEP || !off;
        return st;
    }
    return RB_OK;
}

/* A list after a space would be taken for a MODEL. */
static rb_status forgotten_equals(const char *name, const char *next, rb_error *err)
{
    if (!*next || next[strspn(next, "0123456789,-+*")] || *next == '-')
        return RB_OK;
    return rb_fail(err, RB_ERR_ARGUMENT, "%s takes its list with '=': write %s=%.60s", name, name,
                   next);
}

/* One flag at argv[*i]; *i moves past its value. */
static rb_status take_flag(rb_args *args, const rb_command *cmd, bool *fresh, int argc, char **argv,
                           int *i, rb_error *err)
{
    char name[64];
    size_t length = strcspn(argv[*i], "=");
    const char *value = argv[*i][length] ? argv[*i] + length + 1 : NULL;
    snprintf(name, sizeof name, "%.*s", (int)length, argv[*i]);
    int o = length < sizeof name ? find(cmd, name) : -1;
    if (o < 0)
        return unknown_option(cmd, name, err);
    const rb_option *opt = rb_option_at(cmd, o);
    rb_opt_value *v = &args->opt[o];
    if (fresh[o]) /* the first flag replaces environment and default */
        clear(v);
    fresh[o] = false;
    v->given = true;
    (*i)++;
    if (opt->kind == RB_OPT_FLAG && !value)
        value = "1";
    else if (opt->kind == RB_OPT_SWEEP && !value)
        return forgotten_equals(name, *i < argc ? argv[*i] : "", err);
    else if (!value && *i >= argc)
        return rb_fail(err, RB_ERR_ARGUMENT, "%s needs a value: %s %s", name, name, opt->value);
    else if (!value)
        value = argv[(*i)++];
    rb_status st = add_value(v, opt, value, name, err);
    v->given = true; /* single values start from scratch */
    return st;
}

rb_status rb_args_parse(rb_args *args, const rb_command *cmd, int argc, char **argv, rb_error *err)
{
    bool fresh[RB_MAX_OPTION], only_args = false;
    rb_status st = RB_OK;
    *args = (rb_args){ .cmd = cmd };
    for (int o = 0; rb_option_at(cmd, o) && st == RB_OK; o++) {
        fresh[o] = true;
        st = take_default(&args->opt[o], rb_option_at(cmd, o), err);
        if (st == RB_OK)
            st = take_environment(&args->opt[o], rb_option_at(cmd, o), err);
    }
    for (int i = 0; i < argc && st == RB_OK;) {
        const char *a = argv[i];
        if (only_args || a[0] != '-' || !a[1]) {
            if (args->n == RB_MAX_ARGS)
                return rb_fail(err, RB_ERR_ARGUMENT, "more than %d arguments", RB_MAX_ARGS);
            args->arg[args->n++] = a;
            i++;
        } else if (!strcmp(a, "--")) {
            only_args = true;
            i++;
        } else if (!strcmp(a, "-h") || !strcmp(a, "--help")) {
            args->help = true;
            return RB_OK;
        } else
            st = take_flag(args, cmd, fresh, argc, argv, &i, err);
    }
    return st;
}

void rb_args_free(rb_args *args)
{
    for (int o = 0; o < RB_MAX_OPTION; o++)
        clear(&args->opt[o]);
}

/* ---- access ---- */

const rb_opt_value *rb_opt_get(const rb_args *args, const char *name)
{
    int o = find(args->cmd, name);
    if (o < 0) {
        fprintf(stderr, "rbench: the table of '%s' has no option %s\n", args->cmd->name, name);
        abort();
    }
    return &args->opt[o];
}

int64_t rb_opt_int(const rb_args *args, const char *name)
{
    const rb_opt_value *v = rb_opt_get(args, name);
    return v->n ? v->num[0] : 0;
}

double rb_opt_real(const rb_args *args, const char *name)
{
    const char *text = rb_opt_text(args, name);
    return text ? strtod(text, NULL) : 0;
}

const char *rb_opt_text(const rb_args *args, const char *name)
{
    const rb_opt_value *v = rb_opt_get(args, name);
    return v->n ? v->text[0] : NULL;
}

bool rb_opt_flag(const rb_args *args, const char *name)
{
    return rb_opt_get(args, name)->n > 0;
}
