/* The command line as tables: one rb_option per flag, one rb_command per subcommand. Parsing, the
 * environment, limits, nearest matches and the text of --help all come from the same table.
 * Nothing here knows what an option is for. Read next: options.c. */
#ifndef RB_OPTIONS_H
#define RB_OPTIONS_H

#include "../bench/bench.h"

typedef enum {
    RB_OPT_FLAG,  /* no value */
    RB_OPT_INT,   /* one whole number */
    RB_OPT_INTS,  /* numbers: 1,2 or 1-8 or 1-9+2 or 1-64*2, repeatable */
    RB_OPT_SWEEP, /* as INTS, but the value is optional and only with '=' */
    RB_OPT_TIME,  /* seconds: 90, 90s, 15m or 2h */
    RB_OPT_REAL,  /* one number, with or without a point; checked against min and max */
    RB_OPT_PAIR,  /* P,N; repeatable, two numbers each */
    RB_OPT_WORD,  /* one of the choices (or any text if there are none) */
    RB_OPT_WORDS, /* several of the choices, by comma or repetition */
    RB_OPT_TEXTS, /* any text, by repetition only */
} rb_opt_kind;

typedef struct rb_option {
    const char *names; /* "-p, --n-prompt": all spellings, short ones first */
    rb_opt_kind kind;
    const char *value;  /* how --help calls the value; NULL for flags */
    const char *preset; /* the default, as a user would type it; NULL: none */
    int64_t min, max;
    const char *choices; /* "f32|f16" */
    const char *listed;  /* the command whose help lists the choices; NULL: each has them */
    const char *help;
} rb_option;

typedef struct rb_opt_value {
    bool given; /* by flag or environment, not by default */
    int n;
    int64_t *num; /* of INT, INTS, SWEEP, TIME, PAIR; FLAG: n is 1 if set */
    char **text;  /* of WORD, WORDS, TEXTS, REAL */
} rb_opt_value;

enum { RB_MAX_OPTION = 48, RB_MAX_ARGS = 64, RB_MAX_LIST = 65536 };

struct rb_command;

typedef struct rb_args {
    const struct rb_command *cmd;
    rb_opt_value opt[RB_MAX_OPTION]; /* parallel to rb_option_at */
    const char *arg[RB_MAX_ARGS];    /* what is not an option */
    int n;
    bool help;
} rb_args;

typedef struct rb_command {
    const char *name;    /* "" for the benchmark itself */
    const char *usage;   /* "MODEL [options]" */
    const char *about;   /* one paragraph */
    const char *what;    /* one line for the list of commands */
    const char *example; /* lines "ARGUMENTS\tWHAT FOR\n" */
    const rb_option *option;
    int n_option;
    const rb_option *shared; /* further options, of several commands; may be NULL */
    const int *n_shared;
    int (*run)(const rb_args *args); /* returns the exit code */
} rb_command;

/* The i-th spelling of an option, without the separators; false past the last. */
bool rb_option_name(const rb_option *o, int i, char *buf, size_t size);

/* The o-th option of a command: the shared ones first. NULL past the last. */
const rb_option *rb_option_at(const rb_command *cmd, int o);

/* Parses argv; flags win over RBENCH_ARG_<NAME>, which wins over defaults. On failure err has one
 * line for the user (exit 2). */
rb_status rb_args_parse(rb_args *args, const rb_command *cmd, int argc, char **argv, rb_error *err);
void rb_args_free(rb_args *args);
/* Value of the option that has this spelling ("-p"); aborts if the table has none. */
const rb_opt_value *rb_opt_get(const rb_args *args, const char *name);
int64_t rb_opt_int(const rb_args *args, const char *name);      /* 0 if absent */
double rb_opt_real(const rb_args *args, const char *name);      /* 0 if absent */
const char *rb_opt_text(const rb_args *args, const char *name); /* NULL if absent */
bool rb_opt_flag(const rb_args *args, const char *name);

/* What help says of an option: its text, choices and default. Returns buf. */
enum { RB_OPTION_TEXT = 768 };
char *rb_option_text(const rb_option *o, char *buf, size_t size);

/* The i-th example of a command, as it is typed, and what it is for; false past the last. */
typedef struct rb_example {
    char line[128], what[128];
} rb_example;
bool rb_example_at(const rb_command *cmd, int i, rb_example *e);

#define RB_LIST_MEANS "A LIST is by comma or repetition; ranges are a-b, a-b+step, a-b*factor."
/* Whether an option of the command takes one. */
bool rb_takes_lists(const rb_command *cmd);

/* The text of --help: usage, about, every option of the command's table; as wide as the terminal,
 * up to 98 columns. */
void rb_command_help(FILE *out, const rb_command *cmd);
/* Edits (insert, drop, replace, swap neighbours) from a to b. */
int rb_distance(const char *a, const char *b);
/* Whether a and b are so close that b was probably meant. */
bool rb_is_near(const char *a, const char *b);

/* options_number.c: parses "1,2,5-8" into *num (grown); what: how messages call it. */
rb_status rb_parse_list(const char *text, int64_t min, int64_t max, const char *what, int64_t **num,
                        int *n, rb_error *err);
/* Seconds, or with the suffix m or h minutes or hours. */
rb_status rb_parse_time(const char *text, int64_t min, int64_t max, const char *what,
                        int64_t *value, rb_error *err);
/* A number in decimal notation: 0.8, 1e-3. */
rb_status rb_parse_real(const char *text, int64_t min, int64_t max, const char *what, double *value,
                        rb_error *err);
/* A whole number and nothing else. */
rb_status rb_parse_int(const char *text, int64_t min, int64_t max, const char *what, int64_t *value,
                       rb_error *err);

#endif
