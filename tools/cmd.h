/* The subcommands, their exit codes, messages and the interrupt flag.
 * What they do stands in cmd_*.c, one file each.
 * Read next: rbench.c. */
#ifndef RB_CMD_H
#define RB_CMD_H

#include "options.h"

/* Exit codes. */
enum {
    RB_EXIT_OK = 0,
    RB_EXIT_FAILED = 1,
    RB_EXIT_USAGE = 2,
    RB_EXIT_SELFCHECK = 3,
    RB_EXIT_REGRESSION = 4
};

#define RB_VERSION "0.1.0"
#ifndef RB_COMMIT
#define RB_COMMIT "unknown" /* the Makefile may pass the revision */
#endif

extern const rb_command rb_cmd_bench, rb_cmd_compare, rb_cmd_convert, rb_cmd_eval, rb_cmd_generate,
    rb_cmd_kernels, rb_cmd_paper, rb_cmd_perplexity, rb_cmd_place, rb_cmd_plot, rb_cmd_predict,
    rb_cmd_roofs, rb_cmd_synth, rb_cmd_tokenize, rb_cmd_verify;

/* The i-th command besides the benchmark, by name; NULL past the last. */
const rb_command *rb_command_at(int i);
/* "bench" is the benchmark; NULL: there is none of this name. */
const rb_command *rb_command_named(const char *name);

#define RB_SUMMARY                                                                                 \
    "rbench runs a transformer on this CPU and counts every FLOP and byte of the run."
#define RB_MODEL_MEANS                                                                             \
    "a GGUF or llama2.c file, a Hugging Face folder (config.json and safetensors), or a preset "   \
    "('rbench synth --list')."

/* help.c: the text of `rbench` alone. */
void rb_overview(FILE *out);
/* man.c: the manual page of a command, NULL: of the program with its benchmark, for man(7). Its
 * date is SOURCE_DATE_EPOCH's. */
void rb_man(FILE *out, const rb_command *cmd);
/* complete.c: what the last of n words, as typed so far, may become: lines "WORD\tWHAT IT IS", and
 * ":files" where it may be a file. */
void rb_complete(FILE *out, int n, char **word);
/* Prints the completion for bash, fish or zsh, which asks rb_complete; false: no such shell. */
bool rb_completion(FILE *out, const char *shell);

/* One line on stderr: "rbench: ...". */
void rb_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Says why a command ended, and gives its exit code: that of usage for arguments. */
int rb_refused(const rb_error *err);

/* SIGINT and SIGTERM raise a flag (a second one kills); 0 or the signal. */
void rb_catch_signals(void);
int rb_signal(void);
bool rb_stop(void *arg); /* for rb_bench_params.stop */

#endif
