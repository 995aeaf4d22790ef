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
    rb_cmd_kernels, rb_cmd_perplexity, rb_cmd_place, rb_cmd_plot, rb_cmd_predict, rb_cmd_roofs,
    rb_cmd_synth, rb_cmd_tokenize, rb_cmd_verify;

/* One line on stderr: "rbench: ...". */
void rb_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Says why a command ended, and gives its exit code: that of usage for arguments. */
int rb_refused(const rb_error *err);

/* SIGINT and SIGTERM raise a flag (a second one kills); 0 or the signal. */
void rb_catch_signals(void);
int rb_signal(void);
bool rb_stop(void *arg); /* for rb_bench_params.stop */

#endif
