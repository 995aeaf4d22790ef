/* The wrapped calls: each counts itself, lets the fault come, and fails or does what it is for.
 * It knows nothing of what the product does with that.
 * Read next: judge.c. */
#define _GNU_SOURCE
#include "inject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern const char __executable_start;

static fault due;
static traced *trace;
static atomic_llong n_calls;
static void *(*products)(size_t);
static _Thread_local bool in_json;
static bool synced; /* a file, since the last got its name */

void inject(const fault *f, traced *to)
{
    due = *f;
    trace = to;
}

static void note(const char *call, const void *caller)
{
    if (!trace->hit) {
        strncpy(trace->call, call, sizeof trace->call - 1);
        trace->caller = (long)((const char *)caller - &__executable_start);
    }
    trace->hit = true;
}

/* Counts a call of these kinds; whether it is to fail. */
static bool fails(int kinds, const char *call, const void *caller)
{
    if (!trace || !(due.calls & kinds))
        return false;
    const long long n = atomic_fetch_add(&n_calls, 1) + 1;
    trace->n_calls = n;
    if (!due.at || n < due.at || (n > due.at && due.what != FAIL_FROM))
        return false;
    note(call, caller);
    switch (due.what) {
    case SEND_TWICE:
        raise(due.signal); /* and once more */
        /* fall through */
    case SEND:
        raise(due.signal);
        return false;
    case CUT:
        (void)!truncate(due.path, 4000);
        return false;
    default:
        errno = due.calls & CALLS_FILE ? EIO : ENOMEM;
        return true;
    }
}

#define FAILS(kinds, call) fails(kinds, call, __builtin_return_address(0))

/* ---- memory ---- */

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n)
{
    return FAILS(in_json ? CALLS_JSON : CALLS_MEMORY, "malloc") ? NULL : __real_malloc(n);
}

/* Allocations of the JSON library are the product's, which gives it the function for them. */
static void *json_malloc(size_t n)
{
    in_json = true;
    void *p = products(n);
    in_json = false;
    return p;
}

void __real_json_set_alloc_funcs(void *(*allocate)(size_t), void (*release)(void *));
void __wrap_json_set_alloc_funcs(void *(*allocate)(size_t), void (*release)(void *));
void __wrap_json_set_alloc_funcs(void *(*allocate)(size_t), void (*release)(void *))
{
    products = allocate;
    __real_json_set_alloc_funcs(json_malloc, release);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return FAILS(CALLS_MEMORY, "calloc") ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
    return FAILS(CALLS_MEMORY, "realloc") ? NULL : __real_realloc(p, n);
}

void *__real_aligned_alloc(size_t align, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return FAILS(CALLS_MEMORY, "aligned_alloc") ? NULL : __real_aligned_alloc(align, n);
}

void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    return FAILS(CALLS_MEMORY, "mmap") ? MAP_FAILED : __real_mmap(at, n, prot, flags, fd, offset);
}

char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
    return FAILS(CALLS_MEMORY, "strdup") ? NULL : __real_strdup(s);
}

char *__real_strndup(const char *s, size_t n);
char *__wrap_strndup(const char *s, size_t n);
char *__wrap_strndup(const char *s, size_t n)
{
    return FAILS(CALLS_MEMORY, "strndup") ? NULL : __real_strndup(s, n);
}

FILE *__real_open_memstream(char **text, size_t *n);
FILE *__wrap_open_memstream(char **text, size_t *n);
FILE *__wrap_open_memstream(char **text, size_t *n)
{
    return FAILS(CALLS_MEMORY, "open_memstream") ? NULL : __real_open_memstream(text, n);
}

char *__real_realpath(const char *path, char *to);
char *__wrap_realpath(const char *path, char *to);
char *__wrap_realpath(const char *path, char *to)
{
    return FAILS(CALLS_MEMORY | CALLS_FILE, "realpath") ? NULL : __real_realpath(path, to);
}

/* ---- files ---- */

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
    return FAILS(CALLS_FILE, "fopen") ? NULL : __real_fopen(path, mode);
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
    return FAILS(CALLS_FILE, "opendir") ? NULL : __real_opendir(path);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    return FAILS(CALLS_FILE, "open") ? -1 : __real_open(path, flags, mode);
}

int __real_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    return FAILS(CALLS_FILE, "openat") ? -1 : __real_openat(at, path, flags, mode);
}

ssize_t __real_read(int fd, void *to, size_t n);
ssize_t __wrap_read(int fd, void *to, size_t n);
ssize_t __wrap_read(int fd, void *to, size_t n)
{
    return FAILS(CALLS_FILE, "read") ? -1 : __real_read(fd, to, n);
}

ssize_t __real_pread(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t n, off_t at)
{
    return FAILS(CALLS_FILE, "pread") ? -1 : __real_pread(fd, to, n, at);
}

ssize_t __real_write(int fd, const void *from, size_t n);
ssize_t __wrap_write(int fd, const void *from, size_t n);
ssize_t __wrap_write(int fd, const void *from, size_t n)
{
    return FAILS(CALLS_FILE, "write") ? -1 : __real_write(fd, from, n);
}

/* A stream that fails has no error flag here, and its fclose still closes it. */
int __real_fclose(FILE *f);
int __wrap_fclose(FILE *f);
int __wrap_fclose(FILE *f)
{
    const bool bad = FAILS(CALLS_FILE, "fclose");
    const int r = __real_fclose(f);
    if (bad)
        errno = EIO;
    return bad ? EOF : r;
}

int __real_fflush(FILE *f);
int __wrap_fflush(FILE *f);
int __wrap_fflush(FILE *f)
{
    return FAILS(CALLS_FILE, "fflush") ? EOF : __real_fflush(f);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    const int r = FAILS(CALLS_FILE, "fsync") ? -1 : __real_fsync(fd);
    synced = r == 0;
    return r;
}

/* Only records are synced so: one more is promised to stay. */
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    const int r = FAILS(CALLS_FILE, "fdatasync") ? -1 : __real_fdatasync(fd);
    if (trace && r == 0)
        trace->n_kept++;
    return r;
}

int __real_ftruncate(int fd, off_t n);
int __wrap_ftruncate(int fd, off_t n);
int __wrap_ftruncate(int fd, off_t n)
{
    return FAILS(CALLS_FILE, "ftruncate") ? -1 : __real_ftruncate(fd, n);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    const int r = FAILS(CALLS_FILE, "rename") ? -1 : __real_rename(from, to);
    if (trace && r == 0)
        trace->renamed_early |= !synced;
    synced = false;
    return r;
}

int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
    return FAILS(CALLS_FILE, "mkdir") ? -1 : __real_mkdir(path, mode);
}

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st)
{
    return FAILS(CALLS_FILE, "fstat") ? -1 : __real_fstat(fd, st);
}

int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);
int __wrap_flock(int fd, int how)
{
    return FAILS(CALLS_FILE, "flock") ? -1 : __real_flock(fd, how);
}

/* From now on nothing can be read from it but what it has in its buffer. */
static void deafen(FILE *f)
{
    const int none = __real_open("/dev/null", O_WRONLY);
    dup2(none, fileno(f));
    close(none);
}

size_t __real_fread(void *to, size_t size, size_t n, FILE *f);
size_t __wrap_fread(void *to, size_t size, size_t n, FILE *f);
size_t __wrap_fread(void *to, size_t size, size_t n, FILE *f)
{
    if (FAILS(CALLS_FILE, "fread"))
        deafen(f);
    return __real_fread(to, size, n, f);
}

char *__real_fgets(char *to, int n, FILE *f);
char *__wrap_fgets(char *to, int n, FILE *f);
char *__wrap_fgets(char *to, int n, FILE *f)
{
    if (FAILS(CALLS_FILE, "fgets"))
        deafen(f);
    return __real_fgets(to, n, f);
}

/* ---- what only signals and cuts meet ---- */

int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
    (void)FAILS(CALLS_OTHER, "clock_gettime");
    return __real_clock_gettime(id, t);
}

void __real_GOMP_parallel(void (*run)(void *), void *arg, unsigned n_threads, unsigned flags);
void __wrap_GOMP_parallel(void (*run)(void *), void *arg, unsigned n_threads, unsigned flags);
void __wrap_GOMP_parallel(void (*run)(void *), void *arg, unsigned n_threads, unsigned flags)
{
    (void)FAILS(CALLS_OTHER, "GOMP_parallel");
    __real_GOMP_parallel(run, arg, n_threads, flags);
}

int __real_sigaction(int signal, const struct sigaction *act, struct sigaction *was);
int __wrap_sigaction(int signal, const struct sigaction *act, struct sigaction *was);
int __wrap_sigaction(int signal, const struct sigaction *act, struct sigaction *was)
{
    const int r = __real_sigaction(signal, act, was);
    if (trace && act && signal == SIGTERM && !trace->hit)
        trace->caught = true;
    return r;
}
