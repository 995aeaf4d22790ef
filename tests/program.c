/* The built program, run as users do. Output goes through files, so that nothing blocks.
 * It refuses to look for the program anywhere but in RBENCH_BIN and beside this test's folder.
 * Read next: test_cli.c, test_cli_outputs.c. */
#include "program.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ARGS = 40, TEXT = 1 << 22 };

static char binary[4096], folder[64];

static void find_binary(void)
{
    const char *given = getenv("RBENCH_BIN");
    if (given) {
        snprintf(binary, sizeof binary, "%s", given);
        return;
    }
    ssize_t n = readlink("/proc/self/exe", binary, sizeof binary - 16);
    cr_assert_gt(n, 0);
    binary[n] = 0;
    for (int up = 0; up < 2; up++)
        *strrchr(binary, '/') = 0;
    strcat(binary, "/rbench");
}

void modest_caches(void)
{
    setenv("HWLOC_SYNTHETIC", "pack:1 l3:1(size=33554432) core:2 pu:1", 0);
}

void program_setup(void)
{
    static const char *const shield[] = { "RBENCH_ARG_P", "RBENCH_ARG_N", "RBENCH_ARG_R",
                                          "RBENCH_ARG_O" };
    find_binary();
    for (size_t i = 0; i < sizeof shield / sizeof *shield; i++)
        unsetenv(shield[i]);
    modest_caches();
    setenv("RBENCH_ARG_NO_ROOFS", "1", 1); /* seconds for each of many runs; some tests want them */
    snprintf(folder, sizeof folder, "/tmp/rbench-cli-XXXXXX");
    cr_assert(mkdtemp(folder));
}

void program_teardown(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    cr_assert_eq(system(command), 0);
}

char *path_of(const char *name, char *buf)
{
    snprintf(buf, 256, "%s/%s", folder, name);
    return buf;
}

char *slurp(const char *name)
{
    char path[256], *text = malloc(TEXT);
    FILE *f = fopen(path_of(name, path), "r");
    cr_assert(f && text);
    size_t n = fread(text, 1, TEXT - 1, f);
    text[n] = 0;
    fclose(f);
    return text;
}

/* Starts rbench with the words of a line (no quoting). */
pid_t start(const char *line)
{
    char *word[MAX_ARGS] = { binary }, *copy = strdup(line), *rest = copy, path[256];
    for (int n = 1; n < MAX_ARGS - 1 && (word[n] = strtok_r(n > 1 ? NULL : copy, " ", &rest)); n++)
        continue;
    for (int i = 0; i < 2; i++) { /* empty, not those of the last run */
        FILE *f = fopen(path_of(i ? "out" : "err", path), "w");
        cr_assert(f);
        fclose(f);
    }
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen(path_of("out", path), "w", stdout) ||
            !freopen(path_of("err", path), "w", stderr))
            _exit(99);
        execv(binary, word);
        _exit(98);
    }
    free(copy);
    cr_assert_gt(pid, 0);
    return pid;
}

pid_t start_until(const char *line, const char *words)
{
    const pid_t pid = start(line);
    for (int waited = 0; waited < 3000; waited++) {
        char *err = slurp("err");
        const bool there = strstr(err, words) != NULL;
        free(err);
        if (there)
            break;
        usleep(10000);
    }
    return pid;
}

outcome finish(pid_t pid)
{
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    outcome o = { WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status), slurp("out"),
                  slurp("err") };
    cr_assert_neq(o.code, 98, "%s cannot be run: build it, or set RBENCH_BIN", binary);
    return o;
}

outcome shell(const char *script)
{
    char path[256];
    const pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        if (!freopen(path_of("out", path), "w", stdout) ||
            !freopen(path_of("err", path), "w", stderr) || chdir(folder) ||
            setenv("RBENCH", binary, 1))
            _exit(99);
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(98);
    }
    return finish(pid);
}

outcome run(const char *line)
{
    return finish(start(line));
}

void release(outcome *o)
{
    free(o->out);
    free(o->err);
}

int lines_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* Runs a line and wants this code and these words: in stderr for failures, else in stdout. */
void want(const char *line, int code, const char *words)
{
    outcome o = run(line);
    const char *text = code ? o.err : o.out;
    cr_expect_eq(o.code, code, "'%s' exits %d, not %d: %s", line, o.code, code, o.err);
    cr_expect(strstr(text, words), "'%s' does not say '%s': %s", line, words, text);
    if (code == 2) {
        cr_expect_eq(lines_of(o.err), 1, "'%s' says more than one line: %s", line, o.err);
        cr_expect_str_eq(o.out, "", "'%s' writes to stdout: %s", line, o.out);
    }
    release(&o);
}

json_t *parse(const char *text)
{
    json_error_t e;
    json_t *o = json_loads(text, 0, &e);
    cr_assert(o, "not JSON: %s (%d:%d) in: %.200s", e.text, e.line, e.column, text);
    return o;
}

long long integer(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    cr_assert(json_is_integer(v), "%s is no integer", key);
    return json_integer_value(v);
}

const char *string(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    cr_assert(json_is_string(v), "%s is no string", key);
    return json_string_value(v);
}

json_t *parse_with(const char *object, const char *changes)
{
    json_t *o = json_loads(object, 0, NULL), *to = json_loads(changes, 0, NULL), *value;
    const char *key;
    cr_assert(o && to, "%s", changes);
    json_object_foreach(to, key, value)
    {
        if (json_is_null(value))
            json_object_del(o, key);
        else
            json_object_set(o, key, value);
    }
    json_decref(to);
    return o;
}
