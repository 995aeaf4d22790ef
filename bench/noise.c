/* Evidence of what disturbed a measurement: time stolen by the hypervisor, other processes, context
 * switches, migrations, the clock of the CPUs. It judges nothing and never fails: what the system
 * does not tell is unknown, not zero.
 * Read next: env.h; stats.c, which says whether the samples agree. */
#define _GNU_SOURCE
#include "env.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MAX_CLOCKS = 8 };

/* ---- CPU times ---- */

/* Sums of all CPUs since boot. Sandboxes that answer with zeros know nothing. */
static void read_cpu_times(const char *root, rb_noise_mark *m)
{
    char line[256];
    long long user, nice, sys, idle, wait, irq, soft, steal;
    m->steal_ns = m->busy_ns = -1;
    if (!rb_host_line(root, "/proc/stat", line, sizeof line) ||
        sscanf(line, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &user, &nice, &sys, &idle,
               &wait, &irq, &soft, &steal) != 8 ||
        user + sys + idle == 0)
        return;
    long long tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);
    m->steal_ns = steal * tick_ns;
    m->busy_ns = (user + nice + sys + irq + soft) * tick_ns;
}

static int64_t ns_of(const struct timeval *t)
{
    return (int64_t)t->tv_sec * 1000000000 + (int64_t)t->tv_usec * 1000;
}

static void read_usage(rb_noise_mark *m)
{
    struct rusage u;
    m->own_ns = m->voluntary = m->involuntary = -1;
    if (getrusage(RUSAGE_SELF, &u))
        return;
    m->own_ns = ns_of(&u.ru_utime) + ns_of(&u.ru_stime);
    m->voluntary = u.ru_nvcsw;
    m->involuntary = u.ru_nivcsw;
}

/* ---- migrations ---- */

static int64_t migrations_of_thread(int tasks, const char *thread)
{
    char path[300], text[1024]; /* the figure stands in the first lines */
    snprintf(path, sizeof path, "%s/sched", thread);
    int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return -1;
    text[n] = 0;
    const char *at = strstr(text, "nr_migrations");
    at = at ? strchr(at, ':') : NULL;
    return at ? strtoll(at + 1, NULL, 10) : -1;
}

/* A kernel without scheduler statistics has no such files. */
static int64_t read_migrations(const char *root)
{
    char path[512];
    snprintf(path, sizeof path, "%s/proc/self/task", root);
    DIR *dir = opendir(path);
    int64_t sum = dir ? 0 : -1;
    for (struct dirent *e; dir && sum >= 0 && (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        int64_t n = migrations_of_thread(dirfd(dir), e->d_name);
        sum = n < 0 ? -1 : sum + n;
    }
    if (dir)
        closedir(dir);
    return sum;
}

/* ---- frequency ---- */

static double mean(double sum, int n)
{
    return n ? sum / n : 0;
}

static double mhz_of_cpufreq(const char *root)
{
    cpu_set_t set;
    double sum = 0;
    int n = 0;
    if (sched_getaffinity(0, sizeof set, &set))
        return 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && n < MAX_CLOCKS; cpu++) {
        char path[96], line[32];
        if (!CPU_ISSET(cpu, &set))
            continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", cpu);
        if (!rb_host_line(root, path, line, sizeof line) || atoll(line) <= 0)
            break;
        sum += (double)atoll(line) / 1000;
        n++;
    }
    return mean(sum, n);
}

static double mhz_of_cpuinfo(const char *root)
{
    char path[512], line[256];
    snprintf(path, sizeof path, "%s/proc/cpuinfo", root);
    FILE *f = fopen(path, "r");
    double sum = 0;
    int n = 0;
    while (f && n < MAX_CLOCKS && fgets(line, sizeof line, f)) {
        /* not %lf: the figure has a point in every locale */
        long long whole, part = 0;
        if (sscanf(line, "cpu MHz : %lld.%3lld", &whole, &part) < 1)
            continue;
        sum += (double)whole + (double)part / 1000;
        n++;
    }
    if (f)
        fclose(f);
    return mean(sum, n);
}

double rb_noise_mhz(const char *root)
{
    double mhz = mhz_of_cpufreq(root);
    return mhz > 0 ? mhz : mhz_of_cpuinfo(root);
}

/* ---- a stretch of time ---- */

void rb_noise_read(const char *root, rb_noise_mark *m)
{
    m->at_ns = (int64_t)rb_now_ns();
    read_cpu_times(root, m);
    read_usage(m);
    m->migrations = read_migrations(root);
}

/* A counter that went back (a thread ended) tells nothing. */
static int64_t difference(int64_t begin, int64_t end)
{
    return begin < 0 || end < begin ? -1 : end - begin;
}

rb_noise rb_noise_between(const rb_noise_mark *a, const rb_noise_mark *b)
{
    rb_noise n = {
        .wall_ns = b->at_ns - a->at_ns,
        .steal_ns = difference(a->steal_ns, b->steal_ns),
        .other_ns = difference(a->busy_ns, b->busy_ns),
        .voluntary = difference(a->voluntary, b->voluntary),
        .involuntary = difference(a->involuntary, b->involuntary),
        .migrations = difference(a->migrations, b->migrations),
    };
    int64_t own = difference(a->own_ns, b->own_ns);
    if (n.other_ns >= 0) /* ticks are coarser than our own time: not below zero */
        n.other_ns = own < 0 ? -1 : n.other_ns > own ? n.other_ns - own : 0;
    return n;
}

void rb_noise_begin(rb_noise_mark *begin)
{
    rb_noise_read("", begin);
}

rb_noise rb_noise_end(const rb_noise_mark *begin)
{
    rb_noise_mark end;
    rb_noise_read("", &end);
    rb_noise n = rb_noise_between(begin, &end);
    n.mhz = rb_noise_mhz("");
    return n;
}

static int64_t sum(int64_t a, int64_t b)
{
    return a < 0 || b < 0 ? -1 : a + b;
}

rb_noise rb_noise_add(const rb_noise *a, const rb_noise *b)
{
    rb_noise n = {
        .wall_ns = a->wall_ns + b->wall_ns,
        .steal_ns = sum(a->steal_ns, b->steal_ns),
        .other_ns = sum(a->other_ns, b->other_ns),
        .voluntary = sum(a->voluntary, b->voluntary),
        .involuntary = sum(a->involuntary, b->involuntary),
        .migrations = sum(a->migrations, b->migrations),
    };
    double known = (a->mhz > 0 ? (double)a->wall_ns : 0) + (b->mhz > 0 ? (double)b->wall_ns : 0);
    if (known > 0)
        n.mhz = (a->mhz * (double)a->wall_ns + b->mhz * (double)b->wall_ns) / known;
    return n;
}
