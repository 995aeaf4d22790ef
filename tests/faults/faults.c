/* Every fault that the product should survive, at every moment of small runs of every command (of
 * runs of seconds at some), and what became of each: the table of ../README.md ("What survives").
 * Usage: faults [--tap=FILE] [--case NAME] [--fault NAME] [--at N]; with --tap, as run.sh calls it,
 * a few moments of each.
 * Read next: inject.c (the moments), judge.c (what is wanted), cases.c (the runs). */
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "judge.h"

enum { FEW = 2, SOME = 40, ALL = 1 << 30, MANY = 1 << 30, MAX_CODES = 8 };

/* What can be done to a run but for calls. */
typedef enum kind { CALL, DISK, FULL, DEAF, NOWHERE, THREADS } kind;

typedef struct row {
    const char *name, *what;
    kind kind;
    fault fault;     /* of CALL */
    const char *why; /* a word of the line that says why */
    int code[3];     /* that runs end with, besides 0 */
    bool leaves;     /* a run that is killed may leave a file under a name of its own */
    int most;        /* tries */
    int lines;       /* that may say why: more where each output fails by itself */
} row;

static const row rows[] = {
    { .name = "memory",
      .what = "one allocation fails",
      .fault = { .calls = CALLS_MEMORY, .what = FAIL_ONE },
      .why = "memory",
      .code = { 1 },
      .most = ALL,
      .lines = 1 },
    { .name = "memory-on",
      .what = "an allocation and all later ones fail",
      .fault = { .calls = CALLS_MEMORY, .what = FAIL_FROM },
      .why = "memory",
      .code = { 1 },
      .most = SOME,
      .lines = MANY },
    { .name = "json",
      .what = "one allocation of JSON fails",
      .fault = { .calls = CALLS_JSON, .what = FAIL_ONE },
      .why = "memory",
      .code = { 1 },
      .leaves = true,
      .most = SOME,
      .lines = 1 },
    { .name = "file",
      .what = "one call on a file fails (EIO)",
      .fault = { .calls = CALLS_FILE, .what = FAIL_ONE },
      .code = { 1 },
      .most = ALL,
      .lines = 1 },
    { .name = "int",
      .what = "SIGINT",
      .fault = { .calls = CALLS_ALL, .what = SEND, .signal = SIGINT },
      .code = { 130 },
      .most = SOME },
    { .name = "term",
      .what = "SIGTERM",
      .fault = { .calls = CALLS_ALL, .what = SEND, .signal = SIGTERM },
      .code = { 143 },
      .most = SOME },
    { .name = "twice",
      .what = "SIGINT twice",
      .fault = { .calls = CALLS_ALL, .what = SEND_TWICE, .signal = SIGINT },
      .code = { KILLED + SIGINT },
      .leaves = true,
      .most = SOME },
    { .name = "kill",
      .what = "SIGKILL",
      .fault = { .calls = CALLS_ALL, .what = SEND, .signal = SIGKILL },
      .code = { KILLED + SIGKILL },
      .leaves = true,
      .most = SOME },
    { .name = "cut",
      .what = "the file of weights is cut short",
      .fault = { .calls = CALLS_ALL, .what = CUT },
      .code = { 1 },
      .most = SOME,
      .lines = 1 },
    { .name = "disk",
      .what = "the disk is full after n bytes",
      .kind = DISK,
      .code = { 1 },
      .most = SOME,
      .lines = 3 },
    { .name = "full",
      .what = "stdout is a full disk",
      .kind = FULL,
      .code = { 1 },
      .most = 1,
      .lines = 1 },
    { .name = "deaf",
      .what = "stdout is a pipe that nobody reads",
      .kind = DEAF,
      .code = { 1 },
      .most = 1,
      .lines = 1 },
    { .name = "nowhere",
      .what = "outputs cannot be created",
      .kind = NOWHERE,
      .code = { 1 },
      .most = 1,
      .lines = 1 },
    { .name = "threads", .what = "threads, 1 to 4 times the cores", .kind = THREADS, .most = 4 },
};
enum { N_ROWS = sizeof rows / sizeof *rows };

typedef struct sums {
    int tried, code[MAX_CODES], n_codes, lost, partial, bad;
} sums;

/* What workers share. */
typedef struct board {
    atomic_int next; /* case to be taken */
    sums sum[];      /* [case][row] */
} board;

typedef struct harness {
    char base[64], out[80]; /* a worker's own folder, and that of outputs in it */
    bool few;
    const char *only_case, *only_fault, *tap;
    int64_t only_at;
    board *board;
} harness;

/* ---- one try ---- */

/* out/ as it is before a run. */
static void prepare(const harness *h, const fault_case *c)
{
    char from[160], to[160];
    empty_folder(h->out);
    if (!c->before)
        return;
    const char *less = strchr(c->before, '<');
    snprintf(from, sizeof from, "%s/%s", h->base, less + 1);
    snprintf(to, sizeof to, "%s/%.*s", h->base, (int)(less - c->before), c->before);
    file f = read_file(from);
    write_file(to, f.text, f.n);
    free(f.text);
}

static void note_code(sums *s, int code)
{
    for (int i = 0; i < s->n_codes; i++)
        if (s->code[i] == code)
            return;
    if (s->n_codes < MAX_CODES)
        s->code[s->n_codes++] = code;
}

/* A run that a signal kills before it catches any is as right as one that it ends. */
static void set_codes(const row *r, const outcome *o, int *codes)
{
    int n = 0;
    for (; r->code[n]; n++)
        codes[n] = r->code[n];
    if (r->fault.what == SEND && r->kind == CALL && !o->traced.caught)
        codes[n++] = KILLED + r->fault.signal;
    codes[n] = 0;
}

/* What a killed run may leave: NAME.PID.tmp. */
static void forgive_temporary(folder *left)
{
    for (int i = 0; i < left->n; i++) {
        const size_t n = strlen(left->at[i].name);
        if (n < 5 || strcmp(left->at[i].name + n - 4, ".tmp"))
            continue;
        free(left->at[i].name);
        free(left->at[i].text);
        left->at[i--] = left->at[--left->n];
    }
}

/* The line of a run whose outputs are to be where nothing can be. */
static void move_outputs(char *line, size_t room)
{
    for (char *p; (p = strstr(line, " out"));) {
        char rest[1024];
        snprintf(rest, sizeof rest, "%s", p + 4);
        snprintf(p, room - (size_t)(p - line), " /proc/none%s", rest);
    }
}

/* As many threads as n times the cores. */
static void set_threads(char *line, size_t room, int64_t n)
{
    char rest[1024], *p = strstr(line, "-t 1");
    snprintf(rest, sizeof rest, "%s", p + 4);
    snprintf(p, room - (size_t)(p - line), "-t %ld%s", (long)n * sysconf(_SC_NPROCESSORS_ONLN),
             rest);
}

static outcome run_once(const harness *h, const fault_case *c, const row *r, int64_t at)
{
    char line[1024];
    child run = { .folder = h->base, .line = line, .file_limit = r->kind == DISK ? at : -1 };
    snprintf(line, sizeof line, "%s", c->line);
    if (r->kind == NOWHERE)
        move_outputs(line, sizeof line);
    if (r->kind == THREADS)
        set_threads(line, sizeof line, at);
    run.to = r->kind == FULL ? "/dev/full" : r->kind == DEAF ? "" : NULL;
    run.fault = r->fault;
    run.fault.at = r->kind == CALL ? at : 0;
    run.fault.path = c->model;
    prepare(h, c);
    return run_child(&run);
}

/* One run with its fault at the n-th call or byte, judged. */
static void try(const harness *h, const fault_case *c, const row *r, const reference *ref,
                int64_t at, sums *s)
{
    int codes[4];
    outcome o = run_once(h, c, r, at);
    const bool came = r->kind != CALL || o.traced.hit;
    folder left = read_folder(h->out);
    if (r->leaves)
        forgive_temporary(&left);
    set_codes(r, &o, codes);
    if (r->fault.calls == CALLS_JSON && o.code)
        o.out[0] = 0; /* may end early: there is no memory to close it */
    const verdict v = judge(ref, &o, &left, codes, r->why, r->lines);
    if (v.defect[0]) {
        printf("%s, %s, at %lld (%s from %#lx): %s\n", c->name, r->name, (long long)at,
               o.traced.call, o.traced.caller, v.defect);
        if (h->only_at)
            printf("%s%s", o.out, o.err);
        s->bad++;
    }
    s->tried += came;
    s->lost += v.n_lost;
    s->partial += v.n_partial;
    note_code(s, o.code);
    free_folder(&left);
    release(&o);
}

/* ---- all moments of a run ---- */

/* How many calls of the fault's kind a run has, or bytes its largest file. */
static int64_t moments(const harness *h, const fault_case *c, const row *r, const reference *ref)
{
    int64_t n = 0;
    if (r->kind == DISK) {
        for (int i = 0; i < ref->after.n; i++)
            if ((int64_t)ref->after.at[i].n > n)
                n = (int64_t)ref->after.at[i].n;
        return n;
    }
    if (r->kind == NOWHERE)
        return strstr(c->line, " out") != NULL;
    if (r->kind == THREADS)
        return strstr(c->line, "-t 1") && !strstr(c->line, "--resume") && c->same != LESS ? r->most
                                                                                          : 0;
    if (r->kind != CALL)
        return ref->outcome.out[0] != 0;
    if (r->fault.what == CUT && !c->model)
        return 0;
    outcome o = run_once(h, c, r, 0);
    n = o.traced.n_calls;
    release(&o);
    return n;
}

/* Runs of seconds are not tried at every call, but at calls spread over all of them. */
static int64_t tries_of_slow(const row *r)
{
    return r->most == SOME ? SOME / 4 : r->most < 2 * SOME ? r->most : 2 * SOME;
}

static void run_row(const harness *h, const fault_case *c, const row *r, const reference *ref,
                    sums *s)
{
    const int64_t n = moments(h, c, r, ref), first = r->kind == DISK ? 0 : 1;
    int64_t tries = h->few ? FEW : c->slow ? tries_of_slow(r) : r->most;
    char path[160];
    file model = { 0 };
    snprintf(path, sizeof path, "%s/%s", h->base, c->model ? c->model : "");
    if (r->fault.what == CUT && c->model)
        model = read_file(path);
    if (tries > n)
        tries = n;
    for (int64_t i = 0; i < tries && !(h->only_at && i); i++) {
        try(h, c, r, ref, h->only_at ? h->only_at : first + (2 * i + 1) * n / (2 * tries), s);
        if (model.text)
            write_file(path, model.text, model.n);
    }
    free(model.text);
}

static void run_case(const harness *h, const fault_case *c, sums *s)
{
    const row none = { .kind = CALL, .fault = { CALLS_ALL, FAIL_ONE, 0, 0, NULL } };
    reference ref = { 0 };
    prepare(h, c);
    ref.before = read_folder(h->out);
    ref.outcome = run_once(h, c, &none, 0);
    ref.after = read_folder(h->out);
    ref.same = c->same;
    const verdict v = judge(&ref, &ref.outcome, &ref.after, (int[]){ 0 }, NULL, 0);
    if (ref.outcome.code || v.defect[0]) {
        printf("%s: exit %d without a fault: %s\n%s", c->name, ref.outcome.code, v.defect,
               ref.outcome.err);
        exit(1);
    }
    for (int i = 0; i < N_ROWS; i++)
        if (!h->only_fault || !strcmp(h->only_fault, rows[i].name))
            run_row(h, c, &rows[i], &ref, &s[i]);
    free_folder(&ref.before);
    free_folder(&ref.after);
    release(&ref.outcome);
}

/* ---- all of it ---- */

static bool wants(const harness *h, const fault_case *c)
{
    return (!h->only_case || !strcmp(h->only_case, c->name)) && (!h->few || !c->slow);
}

/* A worker takes cases as long as there are any, in a folder of its own. */
static void work(const harness *of)
{
    harness h = *of;
    bool slow = false; /* whether inputs of slow cases are wanted */
    for (int i = 0; i < n_fault_cases; i++)
        slow |= fault_cases[i].slow && wants(of, &fault_cases[i]);
    snprintf(h.base, sizeof h.base, "/tmp/rbench-faults-XXXXXX");
    if (!mkdtemp(h.base)) {
        perror(h.base);
        exit(1);
    }
    snprintf(h.out, sizeof h.out, "%s/out", h.base);
    make_inputs(h.base, "tests/vectors", slow);
    for (int i; (i = atomic_fetch_add(&h.board->next, 1)) < n_fault_cases;)
        if (wants(&h, &fault_cases[i]))
            run_case(&h, &fault_cases[i], h.board->sum + (size_t)i * N_ROWS);
    empty_folder(h.base);
    rmdir(h.base);
}

static void add(sums *to, const sums *s)
{
    to->tried += s->tried;
    to->lost += s->lost;
    to->partial += s->partial;
    to->bad += s->bad;
    for (int i = 0; i < s->n_codes; i++)
        note_code(to, s->code[i]);
}

static int put_table(const board *b)
{
    int bad = 0;
    puts("| fault | times tried | records lost | files not whole | exit codes | defects |\n"
         "|---|---|---|---|---|---|");
    for (int i = 0; i < N_ROWS; i++) {
        sums all = { 0 };
        for (int c = 0; c < n_fault_cases; c++)
            add(&all, &b->sum[c * N_ROWS + i]);
        printf("| %s | %d | %d | %d |", rows[i].what, all.tried, all.lost, all.partial);
        for (int k = 0; k < all.n_codes; k++)
            printf("%s %s%d", k ? "," : "", all.code[k] >= KILLED ? "signal " : "",
                   all.code[k] % KILLED);
        printf(" | %d |\n", all.bad);
        bad += all.bad;
    }
    return bad;
}

/* One test for each fault of each case, as run.sh reads them. */
static void put_tap(const board *b, const char *path)
{
    FILE *f = fopen(path, "w");
    int n = 0;
    if (!f) {
        perror(path);
        exit(1);
    }
    for (int i = 0; i < n_fault_cases * N_ROWS; i++)
        if (b->sum[i].tried)
            fprintf(f, "%sok %d %s: %s\n", b->sum[i].bad ? "not " : "", ++n,
                    fault_cases[i / N_ROWS].name, rows[i % N_ROWS].what);
    fprintf(f, "1..%d\n", n);
    fclose(f);
}

static void read_options(harness *h, int argc, char **argv)
{
    static const struct option known[] = { { "tap", required_argument, NULL, 't' },
                                           { "case", required_argument, NULL, 'c' },
                                           { "fault", required_argument, NULL, 'f' },
                                           { "at", required_argument, NULL, 'a' },
                                           { NULL, 0, NULL, 0 } };
    for (int o; (o = getopt_long(argc, argv, "j:", known, NULL)) != -1;) {
        if (o == '?')
            exit(2);
        h->tap = o == 't' ? optarg : h->tap;
        h->only_case = o == 'c' ? optarg : h->only_case;
        h->only_fault = o == 'f' ? optarg : h->only_fault;
        h->only_at = o == 'a' ? atoll(optarg) : h->only_at;
    }
    h->few = h->tap != NULL;
}

int __wrap_main(int argc, char **argv);
int __wrap_main(int argc, char **argv)
{
    harness h = { .few = false };
    const size_t size = sizeof *h.board + (size_t)n_fault_cases * N_ROWS * sizeof(sums);
    bool failed = false;
    read_options(&h, argc, argv);
    h.board = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (h.board == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    setenv("OMP_PROC_BIND", "false", 1); /* else runs of all workers stay on the same core */
    setenv("HWLOC_SYNTHETIC", "pack:1 l3:1(size=65536) core:1 pu:1", 1);
    const long n_worker = h.only_case ? 1 : sysconf(_SC_NPROCESSORS_ONLN);
    for (long i = 0; i < n_worker; i++)
        if (fork() == 0) {
            work(&h);
            exit(0);
        }
    for (int status; wait(&status) > 0;)
        failed = failed || status;
    failed = put_table(h.board) || failed;
    if (h.tap)
        put_tap(h.board, h.tap);
    return failed;
}
