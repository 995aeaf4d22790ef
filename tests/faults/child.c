/* Forks, lets the product's main run, reads what it says and how it ends; ends what hangs.
 * Nothing is judged here.
 * Read next: faults.c. */
#define _GNU_SOURCE
#include "child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_WORDS = 48, CHUNK = 4096, CPU_S = 60, PATIENCE_S = 600, MOST_FILES = 256 };

int __real_main(int argc, char **argv); /* the product's */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int count_open(void)
{
    int n = 0;
    for (int fd = 0; fd < MOST_FILES; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* In the child: its words are in memory of the parent's, which it has a copy of. */
static void become(const child *c, const int *out, const int *err, traced *t)
{
    char *word[MAX_WORDS] = { "rbench" }, *copy = strdup(c->line), *rest = copy;
    int n = 1;
    for (; n < MAX_WORDS - 1 && (word[n] = strtok_r(n > 1 ? NULL : copy, " ", &rest)); n++)
        continue;
    if (c->to && c->to[0])
        dup2(open(c->to, O_WRONLY), STDOUT_FILENO);
    else
        dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    for (int i = 0; i < 2; i++) {
        close(out[i]);
        close(err[i]);
    }
    const struct rlimit most = { (rlim_t)c->file_limit, RLIM_INFINITY };
    const struct rlimit no_core = { 0, 0 }, seconds = { CPU_S, CPU_S };
    setrlimit(RLIMIT_CORE, &no_core);
    setrlimit(RLIMIT_CPU, &seconds); /* what turns in circles, however busy the machine is */
    if (c->file_limit >= 0) {
        signal(SIGXFSZ, SIG_IGN); /* as on a full disk, which sends none */
        setrlimit(RLIMIT_FSIZE, &most);
    }
    if (chdir(c->folder))
        _exit(97);
    alarm(PATIENCE_S); /* should the parent be gone */
    const int n_open = count_open();
    inject(&c->fault, t);
    const int code = __real_main(n, word);
    const fault none = { 0 };
    inject(&none, t); /* what follows is the C library's */
    t->n_left_open = count_open() - n_open;
    free(copy);
    exit(code);
}

typedef struct text {
    char *at;
    size_t n;
} text;

/* Reads on; false at the end. */
static bool read_on(int fd, text *t)
{
    char *grown = realloc(t->at, t->n + CHUNK + 1);
    if (!grown)
        die("realloc");
    t->at = grown;
    const ssize_t n = read(fd, t->at + t->n, CHUNK);
    t->n += n > 0 ? (size_t)n : 0;
    t->at[t->n] = 0;
    return n > 0;
}

/* Until both are closed, or nothing has come for too long. */
static bool drain(struct pollfd *from, text *to)
{
    int n_open = 2;
    for (int i = 0; i < 2; i++)
        if (from[i].fd < 0)
            n_open--;
    while (n_open) {
        if (poll(from, 2, PATIENCE_S * 1000 / 2) <= 0)
            return false;
        for (int i = 0; i < 2; i++)
            if (from[i].fd >= 0 && from[i].revents && !read_on(from[i].fd, &to[i])) {
                close(from[i].fd);
                from[i].fd = -1;
                n_open--;
            }
    }
    return true;
}

outcome run_child(const child *c)
{
    int out[2], err[2], status;
    traced *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED || pipe(out) || pipe(err))
        die("pipe");
    fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        become(c, out, err, t);
    close(out[1]);
    close(err[1]);
    const bool deaf = c->to && !c->to[0];
    if (deaf)
        close(out[0]);
    struct pollfd from[2] = { { .fd = deaf ? -1 : out[0], .events = POLLIN },
                              { .fd = err[0], .events = POLLIN } };
    text said[2] = { { calloc(1, 1), 0 }, { calloc(1, 1), 0 } };
    const bool ended = drain(from, said);
    if (!ended)
        kill(pid, SIGKILL);
    if (waitpid(pid, &status, 0) != pid)
        die("waitpid");
    outcome o = { .out = said[0].at, .err = said[1].at, .traced = *t };
    o.code = !ended ? HUNG : WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status);
    munmap(t, sizeof *t);
    return o;
}

void release(outcome *o)
{
    free(o->out);
    free(o->err);
}
