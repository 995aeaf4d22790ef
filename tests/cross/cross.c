/* Runs the tests that a program of criterion.h has, each in a fork, and reports them as TAP.
 * Refuses nothing; a test that ends otherwise than it says it would has failed.
 * Read next: include/criterion/criterion.h, ../run.sh (which adds up). */
#include <criterion/criterion.h>

#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Between these the linker puts the section of criterion.h. */
extern const cross_test *const __start_cross_tests[], *const __stop_cross_tests[];

static bool failed; /* in this test's own process */

void cross_fail(bool fatal, const char *file, int line, const char *text, ...)
{
    va_list args;
    failed = true;
    printf("%s:%d: %s: ", file, line, text);
    va_start(args, text);
    vprintf(va_arg(args, const char *), args);
    va_end(args);
    putchar('\n');
    if (fatal) {
        fflush(NULL);
        _exit(1);
    }
}

static bool passes(const cross_test *t)
{
    int status;
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        if (t->init)
            t->init();
        t->run();
        if (t->fini)
            t->fini();
        fflush(NULL);
        _exit(failed);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    return t->signal ? WIFSIGNALED(status) && WTERMSIG(status) == t->signal
                     : WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    FILE *tap = stdout;
    int n_failed = 0;
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--tap=", 6) == 0 && !(tap = fopen(argv[i] + 6, "w")))
            return 2;
    fprintf(tap, "1..%d\n", (int)(__stop_cross_tests - __start_cross_tests));
    for (const cross_test *const *t = __start_cross_tests; t < __stop_cross_tests; t++) {
        const bool ok = passes(*t);
        n_failed += !ok;
        fprintf(tap, "%sok - %s::%s\n", ok ? "" : "not ", (*t)->suite, (*t)->name);
    }
    fclose(tap);
    return n_failed != 0;
}
