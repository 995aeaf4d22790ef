/* What the operating system says about this machine: cores and caches (by hwloc), memory, the CPU's
 * name. Figures it does not give are left unknown, never guessed. Nothing is measured here.
 * Read next: env.c, which writes them down; trial.c. */
#include "env.h"

#include <hwloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

bool rb_host_line(const char *root, const char *path, char *buf, size_t size)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    FILE *f = fopen(full, "r");
    if (!f)
        return false;
    bool ok = fgets(buf, (int)size, f) != NULL;
    fclose(f);
    if (ok)
        buf[strcspn(buf, "\n")] = 0;
    return ok;
}

bool rb_host_field(const char *root, const char *path, const char *key, char *buf, size_t size)
{
    char full[512], line[8192]; /* cpuinfo's flags are one line of some thousand characters */
    snprintf(full, sizeof full, "%s%s", root, path);
    FILE *f = fopen(full, "r");
    size_t n = strlen(key);
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        const char *value = line + n + strspn(line + (strncmp(line, key, n) ? 0 : n), " \t");
        found = !strncmp(line, key, n) && *value == ':';
        if (found) {
            value += strspn(value, ": \t");
            snprintf(buf, size, "%.*s", (int)strcspn(value, "\n"), value);
        }
    }
    if (f)
        fclose(f);
    return found;
}

uint64_t rb_host_kib(const char *root, const char *key)
{
    char text[64];
    bool known = rb_host_field(root, "/proc/meminfo", key, text, sizeof text);
    return known ? strtoull(text, NULL, 10) * 1024 : 0;
}

/* ---- topology ---- */

enum { MAX_CPU = 4096 };

/* The machine and the CPUs of it that we may run on. */
typedef struct machine {
    hwloc_topology_t topology;
    hwloc_bitmap_t usable;
} machine;

static void close_machine(machine *m)
{
    hwloc_bitmap_free(m->usable);
    if (m->topology)
        hwloc_topology_destroy(m->topology);
}

/* What threads are bound to, if they are: then this thread's own affinity says little. */
static bool bound_cpus(hwloc_bitmap_t usable)
{
    int cpu[MAX_CPU];
    const int n = rb_bound_cpus(cpu, MAX_CPU);
    hwloc_bitmap_zero(usable);
    for (int i = 0; i < n && i < MAX_CPU; i++)
        hwloc_bitmap_set(usable, (unsigned)cpu[i]);
    return n > 0;
}

/* A topology that is not this machine's (hwloc can be given another one) has no affinity. */
static bool open_machine(machine *m)
{
    *m = (machine){ NULL, hwloc_bitmap_alloc() };
    if (!m->usable || hwloc_topology_init(&m->topology) || hwloc_topology_load(m->topology))
        goto fail;
    if (!hwloc_topology_is_thissystem(m->topology) ||
        (!bound_cpus(m->usable) && hwloc_get_cpubind(m->topology, m->usable, HWLOC_CPUBIND_THREAD)))
        hwloc_bitmap_copy(m->usable, hwloc_topology_get_allowed_cpuset(m->topology));
    hwloc_bitmap_and(m->usable, m->usable, hwloc_topology_get_allowed_cpuset(m->topology));
    if (!hwloc_bitmap_iszero(m->usable))
        return true;
fail:
    close_machine(m);
    return false;
}

/* Objects of a type that hold a CPU of both sets. */
static int count_objects(const machine *m, hwloc_obj_type_t type, hwloc_const_bitmap_t within)
{
    int n = 0;
    hwloc_obj_t o = NULL;
    while ((o = hwloc_get_next_obj_by_type(m->topology, type, o)))
        n += hwloc_bitmap_intersects(o->cpuset, within) &&
             hwloc_bitmap_intersects(o->cpuset, m->usable);
    return n;
}

/* Cores; hardware threads where the machine does not say which of them share one. */
static int count_cores(const machine *m, hwloc_const_bitmap_t within)
{
    int n = count_objects(m, HWLOC_OBJ_CORE, within);
    return n ? n : count_objects(m, HWLOC_OBJ_PU, within);
}

bool rb_host_topology(rb_topology *t)
{
    machine m;
    *t = (rb_topology){ 0 };
    if (!open_machine(&m))
        return false;
    t->n_package = count_objects(&m, HWLOC_OBJ_PACKAGE, m.usable);
    t->n_numa = count_objects(&m, HWLOC_OBJ_NUMANODE, m.usable);
    t->n_core = count_cores(&m, m.usable);
    t->n_cpu = count_objects(&m, HWLOC_OBJ_PU, m.usable);
    close_machine(&m);
    return true;
}

/* One level of cache; n stays 0 where there is none or its size is not known. */
static rb_cache look_at_level(const machine *m, hwloc_obj_type_t type)
{
    rb_cache c = { 0 };
    hwloc_obj_t o = NULL;
    while ((o = hwloc_get_next_obj_by_type(m->topology, type, o))) {
        if (!o->attr->cache.size || !hwloc_bitmap_intersects(o->cpuset, m->usable))
            continue;
        int sharing = count_cores(m, o->cpuset);
        c.level = (int)o->attr->cache.depth;
        c.bytes = !c.n || o->attr->cache.size < c.bytes ? o->attr->cache.size : c.bytes;
        c.n_sharing = sharing > c.n_sharing ? sharing : c.n_sharing;
        c.line_bytes = (int)o->attr->cache.linesize;
        c.n++;
    }
    return c;
}

int rb_host_caches(rb_cache out[], int max)
{
    static const hwloc_obj_type_t type[] = { HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE,
                                             HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L4CACHE,
                                             HWLOC_OBJ_L5CACHE };
    machine m;
    int n = 0;
    if (!open_machine(&m))
        return 0;
    for (size_t i = 0; i < sizeof type / sizeof *type && n < max; i++) {
        out[n] = look_at_level(&m, type[i]);
        n += out[n].n > 0;
    }
    close_machine(&m);
    return n;
}

/* By the rank among their siblings, that of hardware threads in their core first, that of packages
 * last: then neighbours in the list lie far apart. */
static int compare_places(const void *x, const void *y)
{
    hwloc_obj_t a = *(const hwloc_obj_t *)x, b = *(const hwloc_obj_t *)y;
    for (; a && b && a != b; a = a->parent, b = b->parent)
        if (a->sibling_rank != b->sibling_rank)
            return a->sibling_rank < b->sibling_rank ? -1 : 1;
    return 0;
}

int rb_host_cpus(int *cpu, int max)
{
    hwloc_obj_t place[MAX_CPU], o = NULL;
    machine m;
    int n = 0;
    if (!open_machine(&m))
        return 0;
    while (n < MAX_CPU && (o = hwloc_get_next_obj_by_type(m.topology, HWLOC_OBJ_PU, o)))
        if (hwloc_bitmap_isset(m.usable, o->os_index))
            place[n++] = o;
    qsort(place, (size_t)n, sizeof *place, compare_places);
    n = n < max ? n : max;
    for (int i = 0; i < n; i++)
        cpu[i] = (int)place[i]->os_index;
    close_machine(&m);
    return n;
}

void rb_host_pin_threads(void)
{
    static const char *const users_own[] = { "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY" };
    int cpu[MAX_CPU];
    for (size_t i = 0; i < sizeof users_own / sizeof *users_own; i++)
        if (getenv(users_own[i]))
            return;
    const int n = rb_host_cpus(cpu, MAX_CPU);
    if (n)
        rb_pin_threads(cpu, n);
}

int rb_host_threads(void)
{
    const char *omp = getenv("OMP_NUM_THREADS");
    if (omp && atoi(omp) > 0 && atoi(omp) <= 1024)
        return atoi(omp);
    rb_topology t;
    int n = rb_host_topology(&t) ? t.n_core : 1;
    char line[64];
    long long quota, period;
    if (rb_host_line("", "/sys/fs/cgroup/cpu.max", line, sizeof line) &&
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
    if (!rb_host_line("", "/sys/fs/cgroup/memory.max", line, sizeof line) ||
        sscanf(line, "%llu", &limit) != 1 ||
        !rb_host_line("", "/sys/fs/cgroup/memory.current", line, sizeof line) ||
        sscanf(line, "%llu", &used) != 1)
        return false;
    *left = limit > used ? limit - used : 0;
    return true;
}

uint64_t rb_host_available(void)
{
    uint64_t available = rb_host_kib("", "MemAvailable"), left;
    if (container_left(&left) && (!available || left < available))
        available = left;
    return available;
}

char *rb_host_cpu(char *buf, size_t size)
{
    struct utsname u;
    buf[0] = 0;
    if (!rb_host_field("", "/proc/cpuinfo", "model name", buf, size) &&
        !rb_host_line("", "/sys/firmware/devicetree/base/model", buf, size) && !uname(&u))
        snprintf(buf, size, "%s", u.machine);
    return buf;
}
