/* What the operating system says about this machine: cores, memory, the CPU's name. Figures it does
 * not give are left unknown, never guessed. Nothing is measured here.
 * Read next: run.c. */
#define _GNU_SOURCE
#include "bench.h"

#include <ctype.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* First line of a file, without its newline; false if there is none. */
static bool first_line(const char *path, char *buf, size_t size)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    bool ok = fgets(buf, (int)size, f) != NULL;
    fclose(f);
    if (ok)
        buf[strcspn(buf, "\n")] = 0;
    return ok;
}

static bool topology(int cpu, const char *what, int *value)
{
    char path[128], line[32];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, what);
    if (!first_line(path, line, sizeof line))
        return false;
    *value = atoi(line);
    return true;
}

/* Distinct (package, core) pairs among the CPUs we may run on. */
static int physical_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    int seen[CPU_SETSIZE][2], n = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &set))
            continue;
        int package = 0, core = 0, i = 0;
        if (!topology(cpu, "physical_package_id", &package) || !topology(cpu, "core_id", &core))
            return CPU_COUNT(&set);
        while (i < n && (seen[i][0] != package || seen[i][1] != core))
            i++;
        if (i == n) {
            seen[n][0] = package;
            seen[n++][1] = core;
        }
    }
    return n ? n : 1;
}

int rb_host_threads(void)
{
    const char *omp = getenv("OMP_NUM_THREADS");
    if (omp && atoi(omp) > 0 && atoi(omp) <= 1024)
        return atoi(omp);
    int n = physical_cores();
    char line[64];
    long long quota, period;
    if (first_line("/sys/fs/cgroup/cpu.max", line, sizeof line) &&
        sscanf(line, "%lld %lld", &quota, &period) == 2 && period > 0) {
        long long whole = (quota + period - 1) / period;
        if (whole >= 1 && whole < n)
            n = (int)whole;
    }
    return n;
}

/* What a container may still take, if it has a limit. */
static bool container_left(uint64_t *left)
{
    char line[64];
    unsigned long long limit, used;
    if (!first_line("/sys/fs/cgroup/memory.max", line, sizeof line) ||
        sscanf(line, "%llu", &limit) != 1 ||
        !first_line("/sys/fs/cgroup/memory.current", line, sizeof line) ||
        sscanf(line, "%llu", &used) != 1)
        return false;
    *left = limit > used ? limit - used : 0;
    return true;
}

uint64_t rb_host_available(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[128];
    unsigned long long kib = 0;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    }
    if (f)
        fclose(f);
    uint64_t available = kib * 1024, left;
    if (container_left(&left) && (!available || left < available))
        available = left;
    return available;
}

char *rb_host_cpu(char *buf, size_t size)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    buf[0] = 0;
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (colon && !strncmp(line, "model name", 10)) {
            colon += strspn(colon, ": \t");
            colon[strcspn(colon, "\n")] = 0;
            snprintf(buf, size, "%s", colon);
            break;
        }
    }
    if (f)
        fclose(f);
    struct utsname u;
    if (!buf[0] && !first_line("/sys/firmware/devicetree/base/model", buf, size) && !uname(&u))
        snprintf(buf, size, "%s", u.machine);
    return buf;
}
