/* What is said of the machine, of the program and of disturbances: against invented machines (a
 * directory with the files of /proc and /sys, topologies that hwloc is told of), and against this
 * one where another source says the same. No timing is judged. Read next: ../bench/env.h. */
#define _GNU_SOURCE
#include "../bench/env.h"
#include "machine.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* ---- invented machines ---- */

static const char *string_at(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    cr_assert(v != NULL, "no field %s", key);
    return json_is_string(v) ? json_string_value(v) : NULL;
}

static bool null_at(const json_t *o, const char *key)
{
    return json_is_null(json_object_get(o, key));
}

Test(manifest, of_a_machine_that_says_everything)
{
    machine m = make_machine();
    add_file(&m, "/proc/meminfo", "MemTotalish: 7 kB\nMemTotal:       16000 kB\nMemFree: 5 kB\n");
    add_file(&m, "/proc/cpuinfo", "flags_more : hypervisor\nflags\t\t: fpu hypervisor avx2\n");
    add_file(&m, "/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    add_file(&m, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", "acpi-cpufreq\n");
    add_file(&m, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n");
    add_file(&m, "/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
    add_file(&m, "/sys/fs/cgroup/memory.max", "1048576\n");
    json_t *o = rb_env_of(m.root, "xxh3:1234");
    cr_assert_str_eq(string_at(o, "model_digest"), "xxh3:1234");
    cr_assert_eq(json_integer_value(json_object_get(o, "memory_bytes")), 16000 * 1024);
    cr_assert_eq(json_integer_value(json_object_get(o, "memory_limit_bytes")), 1048576);
    cr_assert_str_eq(string_at(o, "huge_pages"), "madvise");
    cr_assert_str_eq(string_at(o, "cpufreq_driver"), "acpi-cpufreq");
    cr_assert_str_eq(string_at(o, "cpufreq_governor"), "performance");
    cr_assert_str_eq(string_at(o, "clock_source"), "tsc");
    cr_assert(json_is_true(json_object_get(o, "hypervisor")));
    json_decref(o);
    add_file(&m, "/proc/cpuinfo", "flags\t\t: fpu hypervisors avx2\n");
    add_file(&m, "/sys/fs/cgroup/memory.max", "max\n");
    o = rb_env_of(m.root, "");
    cr_assert(json_is_false(json_object_get(o, "hypervisor")));
    cr_assert(null_at(o, "memory_limit_bytes"));
    cr_assert(null_at(o, "model_digest"));
    json_decref(o);
    remove_machine(&m);
}

Test(manifest, of_a_machine_that_says_nothing)
{
    machine m = make_machine();
    json_t *o = rb_env_of(m.root, NULL);
    static const char *const key[] = { "model_digest",     "memory_bytes",   "memory_limit_bytes",
                                       "cpufreq_governor", "cpufreq_driver", "huge_pages",
                                       "hypervisor",       "clock_source" };
    for (size_t i = 0; i < sizeof key / sizeof *key; i++)
        cr_assert(null_at(o, key[i]), "%s", key[i]);
    cr_assert(strstr(string_at(o, "dram_counters"), "none: no controller"), "it says why");
    json_decref(o);
    add_file(&m, "/sys/kernel/mm/transparent_hugepage/enabled", "what is this\n");
    o = rb_env_of(m.root, NULL);
    cr_assert(null_at(o, "huge_pages"));
    json_decref(o);
    remove_machine(&m);
}

Test(manifest, of_this_program)
{
    setenv("OMP_PLACES", "cores", 1);
    unsetenv("OMP_PROC_BIND");
    json_t *o = rb_env_manifest(NULL);
    struct utsname u;
    cr_assert_eq(uname(&u), 0);
    cr_assert(strstr(string_at(o, "kernel"), u.release));
    cr_assert(strstr(string_at(o, "compiler"), __VERSION__) || strstr(__VERSION__, "Clang"));
    cr_assert(strstr(string_at(o, "compiler_flags"), "-ffp-contract=off"));
    cr_assert(strstr(string_at(o, "libc"), "glibc "));
    const json_t *omp = json_object_get(o, "openmp"), *blas = json_object_get(o, "blas");
    cr_assert_eq(json_integer_value(json_object_get(omp, "version")), _OPENMP);
    cr_assert(strncmp(string_at(omp, "runtime"), "lib", 3) == 0);
    cr_assert_str_eq(string_at(blas, "flavour"), "openmp");
    cr_assert(strstr(string_at(blas, "config"), "OpenBLAS"));
    cr_assert(string_at(blas, "core"));
    rb_isa isa;
    bool capped;
    cr_assert_eq(rb_isa_detect(&isa, &capped, NULL), RB_OK);
    cr_assert_str_eq(string_at(o, "isa"), rb_isa_name[isa]);
    const json_t *set = json_object_get(o, "variables");
    cr_assert_str_eq(string_at(set, "OMP_PLACES"), "cores");
    cr_assert(json_object_get(set, "OMP_PROC_BIND") == NULL);
    json_decref(o);
}

/* ---- topology ---- */

/* Two packages of one L3 each, four L2 of two cores each, two threads a core. */
static const char *const invented =
    "pack:2 l3:1(size=8388608) l2:2(size=1048576) core:2 l1d:1(size=32768) pu:2";

Test(host, caches_and_who_shares_them)
{
    setenv("HWLOC_SYNTHETIC", invented, 1);
    unsetenv("OMP_NUM_THREADS");
    rb_cache c[8];
    cr_assert_eq(rb_host_caches(c, 8), 3);
    static const rb_cache want[] = { { 1, 32768, 8, 1, 0 },
                                     { 2, 1048576, 4, 2, 0 },
                                     { 3, 8388608, 2, 4, 0 } };
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(c[i].level, want[i].level);
        cr_assert_eq(c[i].bytes, want[i].bytes);
        cr_assert_eq(c[i].n, want[i].n, "L%d: %d", i + 1, c[i].n);
        cr_assert_eq(c[i].n_sharing, want[i].n_sharing, "L%d: %d", i + 1, c[i].n_sharing);
    }
    cr_assert_eq(rb_host_caches(c, 2), 2);
    rb_topology t;
    cr_assert(rb_host_topology(&t));
    cr_assert_eq(t.n_package, 2);
    cr_assert_eq(t.n_core, 8);
    cr_assert_eq(t.n_cpu, 16);
    cr_assert_eq(rb_host_threads(), 8, "a thread per core, not per hardware thread");
    setenv("OMP_NUM_THREADS", "3", 1);
    cr_assert_eq(rb_host_threads(), 3);
}

Test(host, its_cpus_in_turns_of_packages_caches_and_cores)
{
    static const int want[] = { 0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15 };
    int cpu[16];
    setenv("HWLOC_SYNTHETIC", invented, 1);
    cr_assert_eq(rb_host_cpus(cpu, 16), 16);
    for (int i = 0; i < 16; i++)
        cr_expect_eq(cpu[i], want[i], "place %d: CPU %d", i, cpu[i]);
    cr_assert_eq(rb_host_cpus(cpu, 3), 3);
}

static void see_own_cpu(int thread, int n_threads, void *arg)
{
    cpu_set_t set;
    cr_assert(n_threads == 2 && sched_getaffinity(0, sizeof set, &set) == 0);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&set) == 1; i++)
        ((int *)arg)[thread] = CPU_ISSET(i, &set) ? i : ((int *)arg)[thread];
}

/* What the process may use stays known although its first thread may use one CPU only. */
Test(host, threads_stay_on_their_cpus)
{
    static const char *const users_own[] = { "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY" };
    rb_topology before, after;
    int cpu[64], seen[2] = { -1, -1 };
    for (int i = 0; i < 3; i++)
        unsetenv(users_own[i]);
    const int n = rb_host_cpus(cpu, 64);
    cr_assert(n >= 1 && rb_host_topology(&before));
    setenv("OMP_PLACES", "cores", 1);
    rb_host_pin_threads();
    cr_assert_eq(rb_bound_cpus(NULL, 0), 0, "the user has chosen");
    unsetenv("OMP_PLACES");
    rb_host_pin_threads();
    for (int again = 0; again < 2; again++) {
        rb_on_threads(2, see_own_cpu, seen);
        cr_expect_eq(seen[0], cpu[0]);
        cr_expect_eq(seen[1], cpu[1 % n]);
    }
    cr_assert(rb_host_topology(&after));
    cr_assert_eq(memcmp(&before, &after, sizeof before), 0);
}

Test(host, a_machine_without_caches_has_none)
{
    setenv("HWLOC_SYNTHETIC", "pack:1 core:4 pu:1", 1);
    rb_cache c[8];
    cr_assert_eq(rb_host_caches(c, 8), 0);
}

/* As sched_getaffinity and sysfs see it. */
Test(host, keeps_to_its_affinity)
{
    cpu_set_t set, one;
    rb_topology all, t;
    unsetenv("OMP_NUM_THREADS");
    cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
    cr_assert(rb_host_topology(&all));
    cr_assert_eq(all.n_cpu, CPU_COUNT(&set));
    cr_assert(all.n_core >= 1 && all.n_core <= all.n_cpu);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &set))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_assert(rb_host_topology(&t));
    cr_assert_eq(t.n_cpu, 1);
    cr_assert_eq(rb_host_threads(), 1);
    rb_cache c[8];
    int n = rb_host_caches(c, 8);
    for (int i = 0; i < n; i++) {
        cr_assert_eq(c[i].n, 1);
        cr_assert_eq(c[i].n_sharing, 1, "only one core of ours shares it");
    }
}

/* ---- noise ---- */

Test(noise, counts_what_passed_between_two_readings)
{
    machine m = make_machine();
    rb_noise_mark a, b;
    add_file(&m, "/proc/stat", "cpu  1000 10 100 5000 7 1 2 300 50 5\ncpu0 1 1 1 1\n");
    add_file(&m, "/proc/self/task/11/sched",
             "x (11)\n---\nse.exec_start : 1\nse.nr_migrations   :   5\n");
    add_file(&m, "/proc/self/task/12/sched", "x (12)\nse.nr_migrations : 40\n");
    rb_noise_read(m.root, &a);
    add_file(&m, "/proc/stat", "cpu  1100 15 120 5300 9 2 4 307 50 5\ncpu0 1 1 1 1\n");
    add_file(&m, "/proc/self/task/12/sched", "x (12)\nse.nr_migrations : 43\n");
    rb_noise_read(m.root, &b);
    b.own_ns = a.own_ns + 250000000;
    b.at_ns = a.at_ns + 123;
    b.voluntary = a.voluntary + 4;
    b.involuntary = a.involuntary + 6;
    rb_noise n = rb_noise_between(&a, &b);
    int64_t tick = 1000000000 / sysconf(_SC_CLK_TCK);
    cr_assert_eq(n.wall_ns, 123);
    cr_assert_eq(n.steal_ns, 7 * tick);
    cr_assert_eq(n.other_ns, (100 + 5 + 20 + 1 + 2) * tick - 250000000);
    cr_assert_eq(n.voluntary, 4);
    cr_assert_eq(n.involuntary, 6);
    cr_assert_eq(n.migrations, 3);
    b.own_ns = a.own_ns + 900000000000;
    cr_assert_eq(rb_noise_between(&a, &b).other_ns, 0, "ticks are coarse: never below zero");
    remove_machine(&m);
}

Test(noise, what_is_not_told_is_unknown)
{
    machine m = make_machine();
    rb_noise_mark a, b;
    static const char *const silent[] = { "", "cpu  0 0 0 0 0 0 0 0 0 0\n", "cpu 1 2 3 4\n" };
    for (int i = 0; i < 3; i++) {
        if (i)
            add_file(&m, "/proc/stat", silent[i]);
        rb_noise_read(m.root, &a);
        rb_noise_read(m.root, &b);
        rb_noise n = rb_noise_between(&a, &b);
        cr_assert_eq(n.steal_ns, -1);
        cr_assert_eq(n.other_ns, -1);
        cr_assert_eq(n.migrations, -1);
        cr_assert_geq(n.voluntary, 0);
    }
    add_file(&m, "/proc/self/task/11/sched", "a kernel without schedstats\n");
    rb_noise_read(m.root, &a);
    cr_assert_eq(a.migrations, -1);
    a.migrations = 7;
    b.migrations = 3;
    cr_assert_eq(rb_noise_between(&a, &b).migrations, -1, "a thread that ended took its count");
    remove_machine(&m);
}

Test(noise, frequency_is_a_mean_of_cpus)
{
    machine m = make_machine();
    cr_assert_eq(rb_noise_mhz(m.root), 0.0);
    add_file(&m, "/proc/cpuinfo", "cpu MHz\t\t: 2000.500\nbogo : 1\ncpu MHz\t\t: 3000.500\n");
    cr_assert_float_eq(rb_noise_mhz(m.root), 2500.5, 1e-9);
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &set))
        cpu++;
    char path[128];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", cpu);
    add_file(&m, path, "1700000\n");
    cr_assert_float_eq(rb_noise_mhz(m.root), 1700, 1e-9, "cpufreq knows better");
    remove_machine(&m);
}

Test(noise, sums)
{
    const rb_noise zero = { 0 };
    const rb_noise a = { 10, 1, 2, 3, 4, 5, 1000 }, b = { 30, 10, -1, 30, 40, -1, 2000 };
    rb_noise s = rb_noise_add(&a, &b);
    cr_assert_eq(s.wall_ns, 40);
    cr_assert_eq(s.steal_ns, 11);
    cr_assert_eq(s.other_ns, -1, "known plus unknown is unknown");
    cr_assert_eq(s.voluntary, 33);
    cr_assert_eq(s.involuntary, 44);
    cr_assert_eq(s.migrations, -1);
    cr_assert_float_eq(s.mhz, 1750, 1e-9);
    s = rb_noise_add(&zero, &a);
    cr_assert(memcmp(&s, &a, sizeof s) == 0, "zero adds nothing");
}

/* Our own work is not somebody else's: of 300 ms that we spin, others get what is left of the CPUs.
 */
Test(noise, of_this_machine)
{
    rb_noise_mark begin;
    rb_noise_begin(&begin);
    uint64_t start = rb_now_ns();
    while (rb_now_ns() - start < 300000000)
        ;
    rb_noise n = rb_noise_end(&begin);
    int64_t cpus = sysconf(_SC_NPROCESSORS_ONLN);
    cr_assert_geq(n.wall_ns, 300000000);
    cr_assert(n.other_ns >= -1 && n.other_ns <= n.wall_ns * cpus + 100000000);
    cr_assert(n.steal_ns >= -1 && n.steal_ns <= n.wall_ns * cpus + 100000000);
    cr_assert_geq(n.voluntary, 0);
    cr_assert_geq(n.migrations, -1);
    cr_assert_geq(n.mhz, 0);
}

/* ---- digest ---- */

static rb_model *open_model(const char *name, uint64_t seed, bool dry)
{
    rb_model_params how = { .dry = dry, .seed = seed };
    rb_model *m;
    cr_assert_eq(rb_model_open(&m, name, &how, NULL), RB_OK);
    return m;
}

Test(digest, tells_models_apart_and_nothing_else)
{
    char first[RB_DIGEST], other[RB_DIGEST];
    rb_model *m = open_model("tiny", 1, false), *seed = open_model("tiny", 2, false);
    cr_assert(rb_model_digest(m, first));
    cr_assert_eq(strlen(first), 5 + 32);
    cr_assert(strncmp(first, "xxh3:", 5) == 0);
    cr_assert(rb_model_digest(seed, other));
    cr_assert_str_neq(first, other, "other weights");
    snprintf(m->config.name, sizeof m->config.name, "renamed");
    cr_assert_eq(rb_model_extend(m, m->config.n_layer + 3, NULL), RB_OK);
    cr_assert(rb_model_digest(m, other));
    cr_assert_str_eq(first, other, "names and copied layers do not matter");
    m->config.rope_base *= 2;
    cr_assert(rb_model_digest(m, other));
    cr_assert_str_neq(first, other, "a shape that runs otherwise");
    m->config.rope_base /= 2;
    rb_view *last = &m->layer[m->config.n_layer - 1].w_down;
    char *weights = last->buffer->data;
    weights[last->buffer->bytes - 1] ^= 1;
    cr_assert(rb_model_digest(m, other));
    cr_assert_str_neq(first, other, "one bit of the last weight");
    rb_model_close(m);
    rb_model_close(seed);
}

Test(digest, is_the_same_from_a_file)
{
    char path[] = "/tmp/rbench_digest_XXXXXX", here[RB_DIGEST], there[RB_DIGEST];
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    close(fd);
    rb_model *m = open_model("tiny", 1, false);
    cr_assert_eq(rb_gguf_write(m, path, NULL, NULL), RB_OK);
    rb_model *file = open_model(path, 0, false);
    cr_assert(rb_model_digest(m, here));
    cr_assert(rb_model_digest(file, there));
    cr_assert_str_eq(here, there);
    rb_model_close(m);
    rb_model_close(file);
    unlink(path);
}

Test(digest, a_dry_model_has_none)
{
    char digest[RB_DIGEST] = "x";
    rb_model *m = open_model("tiny", 1, true);
    cr_assert_not(rb_model_digest(m, digest));
    cr_assert_str_eq(digest, "");
    rb_model_close(m);
}
