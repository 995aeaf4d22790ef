/* Roofs of the machine, measured: what a thread team of an ISA can compute, read, copy and launch.
 * The same door, clock and threads as the kernels that are held against them.
 * Included by bench.h. Read next: roofs.c, place.c. */
#ifndef RB_ROOFS_H
#define RB_ROOFS_H

#include "../engine/engine.h"

typedef enum {
    RB_ROOF_FMA_F32,
    RB_ROOF_DOT_BF16,
    RB_ROOF_DOT_I8, /* a multiply-add is 2 */
    RB_ROOF_EXP,
    RB_ROOF_READ_L1, /* read, copy, triad: four levels each, in this order */
    RB_ROOF_READ_L2,
    RB_ROOF_READ_L3,
    RB_ROOF_READ_DRAM,
    RB_ROOF_COPY_L1,
    RB_ROOF_COPY_L2,
    RB_ROOF_COPY_L3,
    RB_ROOF_COPY_DRAM,
    RB_ROOF_TRIAD_L1,
    RB_ROOF_TRIAD_L2,
    RB_ROOF_TRIAD_L3,
    RB_ROOF_TRIAD_DRAM,
    RB_ROOF_LAUNCH,  /* a launch of nothing: checks, booking, one barrier */
    RB_ROOF_BARRIER, /* from the last thread's arrival until the first goes on */
    RB_ROOF_CLOCK,   /* reading it once */
    RB_N_ROOF
} rb_roof_id;

typedef struct rb_roof_info {
    const char *name; /* "read_dram" */
    const char *kind; /* "compute", "special", "bandwidth", "floor" */
    const char *unit; /* "GFLOP/s", "Gop/s", "GB/s", "ns" */
} rb_roof_info;
extern const rb_roof_info rb_roof_infos[RB_N_ROOF];

typedef struct rb_roof {
    double value;   /* median; 0: this machine or build has no such roof */
    double ci95[2]; /* of the median; 0, 0 if too few samples */
    double mad;
    int n;         /* samples */
    char note[40]; /* "2 streams, prefetch": the best of the loops tried */
} rb_roof;

/* A cache level: capacity that n_thread threads share, one thread's part of it. 0: unknown. */
typedef struct rb_level {
    uint64_t total, each;
} rb_level;

enum { RB_L1, RB_L2, RB_L3, RB_DRAM, RB_N_LEVEL };

typedef struct rb_machine {
    int n_threads;
    rb_isa isa;
    rb_roof roof[RB_N_ROOF];
    rb_level level[RB_DRAM]; /* caches */
} rb_machine;

/* What drifts, measured in milliseconds around a sample: bandwidth and clock. */
typedef struct rb_probe {
    double read_dram, fma_f32; /* GB/s, GFLOP/s */
} rb_probe;

typedef struct rb_roofs rb_roofs;

/* Opens a team of its own over memory that no cache holds: its own, or that of another (borrowed).
 */
rb_status rb_roofs_open(rb_roofs **r, int n_threads, rb_isa isa, bool capped,
                        const rb_buffer *memory, rb_error *err);
void rb_roofs_close(rb_roofs *r); /* NULL is fine */
/* Once: measures every roof n_samples times, in rounds, and keeps medians. stop may be NULL; when
 * it says true, what has samples is kept. compute_only: no memory, no floors. */
rb_status rb_roofs_measure(rb_roofs *r, int n_samples, bool compute_only, bool (*stop)(void *),
                           void *arg, rb_error *err);
const rb_machine *rb_roofs_machine(const rb_roofs *r);
/* Also lowers the floors of the machine, where it now sees less. */
rb_probe rb_roofs_probe(rb_roofs *r);

/* One roof as it is now, by the best of its loops, in a few milliseconds; floors are lowered as by
 * a probe. 0: this machine or build has no such roof. */
double rb_roofs_now(rb_roofs *r, rb_roof_id id);
/* Whether a roof before and after a sample is the same within a tenth: a pair, else it says little.
 */
bool rb_roofs_agree(double before, double after);
/* The largest cache level of so many threads, in bytes; 0: unknown. */
uint64_t rb_last_cache_bytes(int n_threads);

/* Roofs for each pair of threads and ISA, measured when first asked for and kept. */
typedef struct rb_roof_pool {
    rb_roofs *at[64];
    int n;
} rb_roof_pool;
rb_status rb_roof_pool_get(rb_roof_pool *pool, int n_threads, rb_isa isa, bool capped,
                           bool (*stop)(void *), void *arg, rb_roofs **roofs, rb_error *err);
/* What is known already; NULL: the next get with these would measure. pool may be NULL. */
const rb_machine *rb_roof_pool_machine(const rb_roof_pool *pool, int n_threads, rb_isa isa);
void rb_roof_pool_close(rb_roof_pool *pool);

#endif
