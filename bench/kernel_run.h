/* One kernel alone: a row of the registry launched on a problem of given extents, cold and warm,
 * each sample between two probes of the roofs; which rows on which shapes; tables and records.
 * Included by bench.h. Read next: kernel_plan.c (which), kernel_run.c (how), kernel_report.c. */
#ifndef RB_KERNEL_RUN_H
#define RB_KERNEL_RUN_H

#include "bench.h"

/* ---- which rows ---- */

typedef struct rb_kernel_job {
    const rb_kernel *kernel;
    rb_dtype type; /* as rb_shaped_make wants it */
    rb_sizes shape;
    int n_threads;
    bool chosen; /* what the door takes for such a call */
} rb_kernel_job;

typedef struct rb_kernel_plan {
    rb_kernel_job *job;
    int n;
} rb_kernel_plan;

/* What is asked for of one op. Without types: weights of each type as sessions have them, packed
 * where that can be; caches of one type. A type stands for its packed layout as well. */
typedef struct rb_kernel_query {
    rb_op_id op;
    const rb_sizes *shape; /* n_shape of them */
    int n_shape;
    const rb_dtype *type; /* n_type of them; 0: all */
    int n_type;
    int n_threads;
    rb_isa isa;   /* the highest */
    bool capped;  /* no BLAS */
    bool act_f32; /* no rows that quantise activations */
    bool all;     /* every row that accepts the call, not only the one that the door takes */
} rb_kernel_query;

/* Appends the jobs of a query. Fails with RB_ERR_ARGUMENT if there is none for one of the shapes,
 * or of the types: err says why, by the names of extents. */
rb_status rb_kernel_plan_add(rb_kernel_plan *plan, const rb_kernel_query *q, rb_error *err);
void rb_kernel_plan_free(rb_kernel_plan *plan);
/* By the name of a file's type or of a packed layout; RB_NO_DTYPE: there is none. */
rb_dtype rb_storage_by_name(const char *name);

/* ---- running one ---- */

typedef enum {
    RB_COLD, /* launches take turns over so many sets of operands that no cache holds them */
    RB_WARM, /* the same operands again */
    RB_N_TEMPER
} rb_temper;
extern const char *const rb_temper_name[RB_N_TEMPER];

typedef struct rb_kernel_params {
    int n_reps;
    bool wanted[RB_N_TEMPER];
    rb_roof_pool *roofs; /* NULL: none are measured. Borrowed */
    double budget_s;     /* 0: no limit; the first sample of each kind is taken whatever it says */
    bool (*stop)(void *arg); /* asked between samples; may be NULL */
    void *arg;
} rb_kernel_params;

typedef struct rb_kernel_timing {
    rb_stats ns;   /* of one launch, mean over those of a sample: its work, to the slowest thread */
    double all_ns; /* of the median sample, with barriers and the door's own time */
    bool whole;    /* ns is of all that: work is too short to be told from it */
    int64_t calls; /* launches of a sample */
    int64_t n_sets;
    int level;      /* that operands come from, RB_L1 to RB_DRAM */
    rb_place place; /* of a launch */
} rb_kernel_timing;

typedef struct rb_kernel_result {
    rb_kernel_job job;
    rb_cost cost;                     /* of one launch */
    uint64_t moved_bytes;             /* its bytes, those that it updates in place once */
    rb_kernel_timing at[RB_N_TEMPER]; /* ns.n is 0: not measured */
    bool lukewarm;                    /* there is no memory for sets that caches cannot hold */
    bool interrupted;                 /* fewer samples than wanted */
    bool counts_differ;               /* the error is a ledger that is not launches x cost */
    const rb_machine *machine;        /* its roofs; NULL: none. Of the pool */
    char error[512];                  /* empty: it ran */
} rb_kernel_result;

/* Runs one job. Whatever goes wrong ends up in r->error; r->at says what there is. */
void rb_kernel_run(const rb_kernel_params *p, const rb_kernel_job *job, rb_kernel_result *r);

/* "M=8192 K=2048 T=1", and the type of weights where the kernel's name does not say it. Returns
 * buf. */
char *rb_kernel_problem_text(const rb_kernel_job *job, char *buf, size_t size);
/* Of a launch at the median. GB/s are of all its compulsory bytes. */
double rb_kernel_gflops(const rb_kernel_result *r, rb_temper t);
double rb_kernel_gbps(const rb_kernel_result *r, rb_temper t);

/* ---- output ---- */

typedef struct rb_kernel_report rb_kernel_report;

typedef struct rb_kernel_report_params {
    FILE *out;
    rb_format format;
    const rb_kernel_plan *plan;   /* what will come, for widths. Borrowed */
    const rb_kernel_params *runs; /* Borrowed */
    const char *commit;
    bool threads; /* jobs differ in threads: a column for them */
} rb_kernel_report_params;

/* Begins the report of a plan of kernels, in one format; fails only without memory. */
rb_status rb_kernel_report_open(rb_kernel_report **rep, const rb_kernel_report_params *p,
                                rb_error *err);
/* Writes and flushes one row. */
void rb_kernel_report_row(rb_kernel_report *rep, const rb_kernel_result *r);
/* Whether a write failed: nothing more is written. NULL is fine. */
bool rb_kernel_report_failed(const rb_kernel_report *rep);
/* Closes what is open and tells whether everything was written. NULL is fine. */
rb_status rb_kernel_report_close(rb_kernel_report *rep, rb_error *err);

/* How time changes with threads: kernels that ran with several numbers of them, and the roofs. */
void rb_kernel_scaling(FILE *out, const rb_kernel_result *r, int n, rb_temper t);
/* The rows of the registry, proofs apart, that ops (n_op of them, 0: all) have. */
void rb_kernel_list_rows(FILE *out, const rb_op_id *op, int n_op);
/* The formulas behind the counts of one job. */
void rb_kernel_explain(FILE *out, const rb_kernel_job *job);

#endif
