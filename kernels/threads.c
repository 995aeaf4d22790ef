/* The only omp parallel of the project. A thread moves to its CPU at its first work, before it
 * touches memory, and stays there: memory belongs to the node of whoever touches it first, and a
 * thread that wanders leaves its caches behind. Read next: launch.c, models/write.c. */
#define _GNU_SOURCE
#include "threads.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <omp.h>

/* The CPUs of threads 0 to n_pinned - 1: of the process, as threads themselves are. */
static int *pinned;
static int n_pinned;
static _Thread_local int own_cpu = -1; /* to which the calling thread was moved */

void rb_pin_threads(const int *cpu, int n)
{
    pinned = malloc((size_t)n * sizeof *pinned);
    if (!pinned)
        return; /* threads go where the system puts them */
    memcpy(pinned, cpu, (size_t)n * sizeof *pinned);
    n_pinned = n;
}

static void settle(int thread)
{
    if (!n_pinned || own_cpu == pinned[thread % n_pinned])
        return;
    own_cpu = pinned[thread % n_pinned];
    cpu_set_t *set = CPU_ALLOC((size_t)own_cpu + 1);
    const size_t size = CPU_ALLOC_SIZE((size_t)own_cpu + 1);
    if (!set)
        return;
    CPU_ZERO_S(size, set);
    CPU_SET_S((size_t)own_cpu, size, set);
    sched_setaffinity(0, size, set); /* one that was taken from us is left to the system */
    CPU_FREE(set);
}

int rb_bound_cpus(int *cpu, int max)
{
    int ids[1024], n = 0;
    for (; n < n_pinned; n++)
        if (n < max)
            cpu[n] = pinned[n];
    if (n || omp_get_proc_bind() == omp_proc_bind_false)
        return n;
    for (int p = 0; p < omp_get_num_places(); p++) {
        const int in_place = omp_get_place_num_procs(p);
        if (in_place < 1 || in_place > (int)(sizeof ids / sizeof *ids))
            continue;
        omp_get_place_proc_ids(p, ids);
        for (int i = 0; i < in_place; i++, n++)
            if (n < max)
                cpu[n] = ids[i];
    }
    return n;
}

int rb_max_threads(void)
{
    return omp_get_max_threads();
}

int rb_thread_limit(void)
{
    return omp_get_thread_limit();
}

void rb_on_threads(int n_threads, void (*fn)(int thread, int n_threads, void *arg), void *arg)
{
    if (n_threads == 1) {
        settle(0);
        fn(0, 1, arg);
        return;
    }
    omp_set_dynamic(0); /* as many as are asked for */
#pragma omp parallel num_threads(n_threads)
    {
        settle(omp_get_thread_num());
        fn(omp_get_thread_num(), omp_get_num_threads(), arg);
    }
}
