/* main: finds the command, parses its options, runs it. The first argument is a subcommand or a
 * MODEL. Nothing is benchmarked here.
 * Read next: cmd_bench.c, options.c. */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const rb_command *const commands[] = { &rb_cmd_compare,    &rb_cmd_convert, &rb_cmd_eval,
                                              &rb_cmd_generate,   &rb_cmd_kernels, &rb_cmd_paper,
                                              &rb_cmd_perplexity, &rb_cmd_place,   &rb_cmd_plot,
                                              &rb_cmd_predict,    &rb_cmd_roofs,   &rb_cmd_synth,
                                              &rb_cmd_tokenize,   &rb_cmd_verify };
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static volatile sig_atomic_t caught;

static void on_signal(int signal)
{
    caught = signal;
}

void rb_catch_signals(void)
{
    struct sigaction act = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND }, was;
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    if (sigaction(SIGHUP, NULL, &was) == 0 && was.sa_handler != SIG_IGN) /* as nohup has it */
        sigaction(SIGHUP, &act, NULL);
}

int rb_signal(void)
{
    return caught;
}

bool rb_stop(void *arg)
{
    (void)arg;
    return caught != 0;
}

void rb_complain(const char *fmt, ...)
{
    va_list args;
    fputs("rbench: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

int rb_refused(const rb_error *err)
{
    rb_complain("%s", err->text);
    return err->status == RB_ERR_ARGUMENT ? RB_EXIT_USAGE : RB_EXIT_FAILED;
}

const rb_command *rb_command_at(int i)
{
    return i < N_COMMANDS ? commands[i] : NULL;
}

const rb_command *rb_command_named(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++) {
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    }
    return strcmp(name, "bench") != 0 ? NULL : &rb_cmd_bench;
}

/* The name closest to a mistyped one, or NULL if none is near. */
static const char *nearest(const char *name)
{
    static const char *const others[] = { "help", "version", "bench" };
    enum { N_OTHER = sizeof others / sizeof *others };
    const char *best = NULL;
    int distance = 1000;
    for (int i = 0; i < N_COMMANDS + N_OTHER + rb_preset_count(); i++) {
        const char *known = i < N_COMMANDS ? commands[i]->name
                            : i < N_COMMANDS + N_OTHER
                                ? others[i - N_COMMANDS]
                                : rb_preset_get(i - N_COMMANDS - N_OTHER)->name;
        if (rb_is_near(name, known) && rb_distance(name, known) < distance) {
            distance = rb_distance(name, known);
            best = known;
        }
    }
    return best;
}

/* Whether a first argument that names no command can be a model; else says so. */
static bool may_be_model(const char *name)
{
    struct stat st;
    if (!stat(name, &st) || errno != ENOENT || rb_preset_find(name))
        return true;
    const char *near = strchr(name, '/') ? NULL : nearest(name);
    if (near)
        rb_complain("'%s' is no command, file or preset; did you mean '%s'?", name, near);
    else if (!strpbrk(name, "/."))
        rb_complain("'%s' is no command, file or preset; see 'rbench help'", name);
    else
        return true;
    return false;
}

static int no_command(const char *name)
{
    const char *near = nearest(name);
    if (near)
        rb_complain("no command '%s'; did you mean '%s'?", name, near);
    else
        rb_complain("no command '%s'; see 'rbench help'", name);
    return RB_EXIT_USAGE;
}

/* What packages are made of: manual pages and completions. */
static int help_for_packages(int argc, char **argv)
{
    const char *what = argv[0], *name = argc > 1 ? argv[1] : NULL;
    if (!strcmp(what, "--complete"))
        rb_complete(stdout, argc - 1, argv + 1);
    else if (!strcmp(what, "--man") && (!name || rb_command_named(name)))
        rb_man(stdout, name ? rb_command_named(name) : NULL);
    else if (!strcmp(what, "--man"))
        return no_command(name);
    else if (!name || !rb_completion(stdout, name)) {
        rb_complain("--completion is for bash, fish or zsh");
        return RB_EXIT_USAGE;
    }
    return RB_EXIT_OK;
}

static int help(int argc, char **argv)
{
    const char *name = argc ? argv[0] : NULL;
    if (!name) {
        rb_overview(stdout);
        return RB_EXIT_OK;
    }
    if (!strcmp(name, "--complete") || !strcmp(name, "--completion") || !strcmp(name, "--man"))
        return help_for_packages(argc, argv);
    if (!rb_command_named(name))
        return no_command(name);
    rb_command_help(stdout, rb_command_named(name));
    return RB_EXIT_OK;
}

static int run(const rb_command *cmd, int argc, char **argv)
{
    rb_args args;
    rb_error err = { 0 };
    int code = RB_EXIT_USAGE;
    if (rb_args_parse(&args, cmd, argc, argv, &err) != RB_OK)
        code = rb_refused(&err);
    else if (args.help) {
        rb_command_help(stdout, cmd);
        code = RB_EXIT_OK;
    } else
        code = cmd->run(&args);
    rb_args_free(&args);
    return rb_signal() ? 128 + rb_signal() : code;
}

/* JSON is small and made in hundreds of steps, each of which could fail and leave out a field: the
 * first that does ends the program. Records that were finished are in their file by then. */
static void *allocate_json(size_t n)
{
    void *p = malloc(n);
    if (!p)
        rb_out_of_memory();
    return p;
}

/* Closed by the caller, stdout or stderr would be the next file that is opened: that of --out, or a
 * model. In their place comes what cannot be written to, so that it is noticed. */
static void hold_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    const char *first = argc > 1 ? argv[1] : "";
    hold_standard_files();
    signal(SIGPIPE, SIG_IGN); /* a write that fails says so, and --out goes on */
    signal(SIGXFSZ, SIG_IGN);
    json_set_alloc_funcs(allocate_json, free);
    if (argc < 2 || !strcmp(first, "--help") || !strcmp(first, "-h"))
        return help(0, NULL);
    if (!strcmp(first, "help"))
        return help(argc - 2, argv + 2);
    if (!strcmp(first, "version") || !strcmp(first, "--version") || !strcmp(first, "-V")) {
        printf("rbench %s (%s)\n", RB_VERSION, RB_COMMIT);
        return RB_EXIT_OK;
    }
    const rb_command *cmd = rb_command_named(first);
    if (cmd)
        return run(cmd, argc - 2, argv + 2);
    if (first[0] != '-' && !may_be_model(first))
        return RB_EXIT_USAGE;
    return run(&rb_cmd_bench, argc - 1, argv + 1);
}
