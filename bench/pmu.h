/* Private to bench/: DRAM traffic as the memory controllers themselves count it, where the kernel
 * shows their counters. They count whole sockets: the traffic of every process and device.
 * Refuses to count in part: either every controller is counted or none. Read next: pmu.c, trial.c.
 */
#ifndef RB_PMU_H
#define RB_PMU_H

#include "bench.h"

typedef struct rb_pmu_reading {
    uint64_t value, enabled_ns, running_ns; /* running less than enabled: counters took turns */
} rb_pmu_reading;

/* How counters are had of the kernel; tests bring their own. */
typedef struct rb_pmu_system {
    /* An event of a device (its type, what its config says) on a CPU, of all processes, counting
     * from now on. A descriptor, or -1 and errno. */
    int (*open)(void *arg, uint32_t type, uint64_t config, int cpu);
    bool (*read)(void *arg, int fd, rb_pmu_reading *r);
    void (*close)(void *arg, int fd);
    void *arg;
} rb_pmu_system;

typedef struct rb_pmu rb_pmu;

/* Looks for controllers below root, the directory that holds /proc and /sys ("" but in tests), and
 * opens their counters. NULL only if there is no memory; all functions take that as no counters. */
rb_pmu *rb_pmu_open(const char *root, const rb_pmu_system *system);
void rb_pmu_close(rb_pmu *p);
extern const rb_pmu_system rb_pmu_kernel; /* perf_event_open(2) */

/* "uncore_imc, 8 controllers", or "none: " and why. */
const char *rb_pmu_text(const rb_pmu *p);

/* What passed between the two; unknown where a counter did not run at all. Some microseconds for
 * each counter: outside of timings. */
void rb_pmu_begin(rb_pmu *p);
rb_pmu_bytes rb_pmu_end(const rb_pmu *p);

#endif
