/* The environment manifest: what a result was measured on and built with, so that two results can
 * be told apart later. It describes and measures nothing; what the system does not say is null.
 * Read next: host.c (cores, caches, memory), digest.c (the model), record.c. */
#define _GNU_SOURCE
#include "env.h"

#include "pmu.h"

#include <cblas.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#ifndef RB_CFLAGS
#define RB_CFLAGS NULL /* the Makefile passes them */
#endif

/* NULL and text that is not UTF-8 are null. */
static json_t *text(const char *s)
{
    json_t *o = s && s[0] ? json_string(s) : NULL;
    return o ? o : json_null();
}

static void put(json_t *o, const char *key, json_t *value)
{
    json_object_set_new(o, key, value ? value : json_null());
}

static void put_line(json_t *o, const char *key, const char *root, const char *path)
{
    char line[256];
    put(o, key, text(rb_host_line(root, path, line, sizeof line) ? line : NULL));
}

static json_t *bytes(uint64_t n)
{
    return n && n <= INT64_MAX ? json_integer((json_int_t)n) : json_null();
}

/* ---- the machine ---- */

static json_t *caches(void)
{
    rb_cache c[8];
    int n = rb_host_caches(c, 8);
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        json_t *o = json_object();
        put(o, "level", json_integer(c[i].level));
        put(o, "bytes", bytes(c[i].bytes));
        put(o, "instances", json_integer(c[i].n));
        put(o, "cores_sharing", json_integer(c[i].n_sharing));
        put(o, "line_bytes", bytes((uint64_t)c[i].line_bytes));
        json_array_append_new(list, o);
    }
    return list;
}

/* The CPU of thread 0, 1, ...; none if threads are not bound. */
static json_t *bound_cpus(void)
{
    int cpu[1024];
    const int most = (int)(sizeof cpu / sizeof *cpu), n = rb_bound_cpus(cpu, most);
    json_t *list = json_array();
    for (int i = 0; i < n && i < most; i++)
        json_array_append_new(list, json_integer(cpu[i]));
    return list;
}

static json_t *topology(void)
{
    rb_topology t;
    if (!rb_host_topology(&t))
        return json_null();
    json_t *o = json_object();
    put(o, "packages", bytes((uint64_t)t.n_package));
    put(o, "numa_nodes", bytes((uint64_t)t.n_numa));
    put(o, "cores", bytes((uint64_t)t.n_core));
    put(o, "cpus", bytes((uint64_t)t.n_cpu));
    put(o, "caches", caches());
    put(o, "bound_cpus", bound_cpus());
    return o;
}

/* Of "always [madvise] never" the word in brackets. */
static json_t *huge_pages(const char *root)
{
    char line[128];
    if (!rb_host_line(root, "/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof line))
        return json_null();
    char *open = strchr(line, '['), *close = open ? strchr(open, ']') : NULL;
    if (!close)
        return json_null();
    *close = 0;
    return text(open + 1);
}

/* The CPU's own hint to a guest. Only x86 gives one. */
static json_t *hypervisor(const char *root)
{
    char flags[8192];
    if (!rb_host_field(root, "/proc/cpuinfo", "flags", flags, sizeof flags))
        return json_null();
    for (char *rest = flags, *flag; (flag = strsep(&rest, " "));) {
        if (!strcmp(flag, "hypervisor"))
            return json_true();
    }
    return json_false();
}

/* What counts DRAM traffic, or why nothing does. */
static json_t *dram_counters(const char *root)
{
    rb_pmu *p = rb_pmu_open(root, &rb_pmu_kernel);
    json_t *o = text(rb_pmu_text(p));
    rb_pmu_close(p);
    return o;
}

static void put_machine(json_t *o, const char *root)
{
    char line[1024];
    struct utsname u;
    if (!uname(&u))
        snprintf(line, sizeof line, "%s %s %s %s", u.sysname, u.release, u.version, u.machine);
    else
        line[0] = 0;
    put(o, "kernel", text(line));
    put(o, "cpu", text(rb_host_cpu(line, sizeof line)));
    put(o, "topology", topology());
    put(o, "memory_bytes", bytes(rb_host_kib(root, "MemTotal")));
    bool limited = rb_host_line(root, "/sys/fs/cgroup/memory.max", line, sizeof line);
    put(o, "memory_limit_bytes", bytes(limited ? strtoull(line, NULL, 10) : 0)); /* "max": none */
    put(o, "huge_pages", huge_pages(root));
    put_line(o, "cpufreq_driver", root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver");
    put_line(o, "cpufreq_governor", root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    put(o, "hypervisor", hypervisor(root));
    put(o, "dram_counters", dram_counters(root));
    put_line(o, "clock_source", root,
             "/sys/devices/system/clocksource/clocksource0/current_clocksource");
}

/* ---- the program ---- */

/* Of the objects that are loaded, the name of the one that runs OpenMP's threads. */
static int find_openmp(struct dl_phdr_info *info, size_t size, void *arg)
{
    static const char *const known[] = { "libgomp.", "libomp.", "libiomp5." };
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash ? slash + 1 : info->dlpi_name;
    (void)size;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!strncmp(name, known[i], strlen(known[i]))) {
            snprintf(arg, 64, "%s", name);
            return 1;
        }
    }
    return 0;
}

static json_t *openmp(void)
{
    char runtime[64] = "";
    json_t *o = json_object();
    dl_iterate_phdr(find_openmp, runtime);
    put(o, "version", json_integer(_OPENMP));
    put(o, "runtime", text(runtime));
    return o;
}

static json_t *blas(void)
{
    static const char *const flavour[] = { "sequential", "pthreads", "openmp" };
    int parallel = openblas_get_parallel();
    json_t *o = json_object();
    put(o, "config", text(openblas_get_config()));
    put(o, "core", text(openblas_get_corename()));
    put(o, "flavour", text(parallel >= 0 && parallel < 3 ? flavour[parallel] : NULL));
    return o;
}

/* What may have steered libraries and us from outside; only what is set. */
static json_t *variables(void)
{
    static const char *const name[] = {
        "OMP_NUM_THREADS",   "OMP_PROC_BIND",        "OMP_PLACES",       "OMP_WAIT_POLICY",
        "GOMP_SPINCOUNT",    "GOMP_CPU_AFFINITY",    "KMP_BLOCKTIME",    "KMP_AFFINITY",
        "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES",
        "RBENCH_ISA"
    };
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        const char *value = getenv(name[i]);
        if (value)
            put(o, name[i], json_string(value));
    }
    return o;
}

static void put_program(json_t *o)
{
    rb_isa isa;
    bool capped;
#ifdef __clang__
    put(o, "compiler", text("clang " __clang_version__));
#else
    put(o, "compiler", text("gcc " __VERSION__));
#endif
    put(o, "compiler_flags", text(RB_CFLAGS));
#ifdef __GLIBC__
    char libc[64];
    snprintf(libc, sizeof libc, "glibc %s", gnu_get_libc_version());
    put(o, "libc", text(libc));
#else
    put(o, "libc", json_null());
#endif
    put(o, "openmp", openmp());
    put(o, "blas", blas());
    bool known = rb_isa_detect(&isa, &capped, NULL) == RB_OK;
    put(o, "isa", text(known ? rb_isa_name[isa] : NULL));
    put(o, "variables", variables());
}

json_t *rb_env_of(const char *root, const char *digest)
{
    json_t *o = json_object();
    if (!o)
        return NULL;
    put(o, "model_digest", text(digest));
    put_machine(o, root);
    put_program(o);
    return o;
}

json_t *rb_env_manifest(const char *digest)
{
    return rb_env_of("", digest);
}
