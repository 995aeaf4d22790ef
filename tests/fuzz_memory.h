/* Files in memory for fuzzers of what is read by name: on a disk inputs would take most of the
 * time. Who includes it defines _GNU_SOURCE. An input takes the place of the one before. Read next:
 * fuzz_records.h, fuzz_parts.c, fuzz_command.c. */
#ifndef RB_FUZZ_MEMORY_H
#define RB_FUZZ_MEMORY_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A new file in memory; path: its name. */
static inline int fuzz_memory(char path[64])
{
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    if (fd < 0)
        abort();
    return fd;
}

/* Makes these bytes all that the file has. */
static inline void fuzz_fill(int fd, const void *data, size_t n)
{
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, n, 0) != (ssize_t)n)
        abort();
}

/* The name of a file in memory that has these bytes until the next call. */
static inline const char *fuzz_file(const void *data, size_t n)
{
    static char path[64];
    static int fd = -1;
    if (fd < 0)
        fd = fuzz_memory(path);
    fuzz_fill(fd, data, n);
    return path;
}

#endif
