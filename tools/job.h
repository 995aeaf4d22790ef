/* One benchmark of one model: what its steps share.
 * Not for other commands; what they share is in shared.h.
 * Read next: cmd_bench.c, sweep.c, context.c, parallel.c. */
#ifndef RB_JOB_H
#define RB_JOB_H

#include "forms.h"
#include "outputs.h"
#include "progress.h"
#include "shared.h"

/* What the samples of a model's rows say of themselves. */
typedef struct rb_disturbance {
    int n_rows, n_drift, n_samples, n_outlier;
    rb_noise noise;
} rb_disturbance;

typedef struct rb_job {
    const rb_args *args;
    rb_report *report, *second; /* stdout; -oe on stderr, or NULL */
    rb_format format;
    bool quiet; /* stderr carries results */
    int code;   /* the exit code so far */
    bool lost;  /* a record could not be kept, and that was said */
    rb_outputs outputs;
    rb_roof_pool roofs;
    /* of the model at hand */
    rb_forms forms;
    rb_model *model, *shape; /* as it is: forms.model[0] */
    rb_subject subject;
    rb_lists lists;
    rb_plan plan;
    int n_group; /* tests per depth in a sweep; 0: no sweep */
    rb_bench *bench;
    rb_progress progress;
    rb_kept kept;
    rb_disturbance disturbance;
    rb_trend_point *points; /* [n_group][depths] */
    int *n_points;          /* [n_group] */
    uint64_t cache_bytes;   /* that their DRAM traffic was modelled with */
    int64_t *context;       /* of a sweep over contexts */
    rb_laws laws;
    rb_rivals rivals;
    rb_crossings crossings;
} rb_job;

/* sweep.c: numbers sorted and without repetition, in place; a sentence where people read. */
void rb_sort_distinct(int64_t *at, int *n);
void rb_job_say(rb_job *j, const char *text);
/* A bench of the same models that counts only. */
rb_status rb_job_open_dry(const rb_job *j, const rb_bench_params *params, rb_bench **bench);
/* A list of numbers that a sweep goes through, and which of them a test has. */
typedef struct rb_swept {
    const char *option, *noun; /* "--depth-sweep", "layers" */
    rb_list *list;             /* rising, of j->lists.plan */
    int64_t (*of)(const rb_test *t);
} rb_swept;
/* Cuts the list, and the plan, to what fits into memory with a tenth kept free, and says so; a list
 * that the user gave is refused instead. */
rb_status rb_job_cut(rb_job *j, const rb_swept *s, bool explicit_list, rb_error *err);
/* The depths to run, those that fit; replaces the layers of j->lists and the plan. */
rb_status rb_sweep_plan(rb_job *j, rb_error *err);
void rb_sweep_note(rb_job *j, const rb_result *r, int i);
/* The point of a test that is not run, since it was before: its counts are known without running.
 */
void rb_sweep_note_dry(rb_job *j, int i);
/* The closing sentences, where people read. */
void rb_sweep_close(rb_job *j);

/* context.c: decode tests over contexts; replaces those of j->lists and the plan. */
rb_status rb_context_plan(rb_job *j, rb_error *err);
/* The laws of context of all decode tests, asked for or not, and where people read. */
void rb_context_note(rb_job *j, const rb_result *r);
void rb_context_close(rb_job *j);

/* parallel.c: decode over numbers of sequences, or verification over drafted tokens, as
 * j->crossings.over says; replaces those of j->lists and the plan. */
rb_status rb_parallel_plan(rb_job *j, rb_error *err);
/* r NULL: the test was run before. */
void rb_parallel_note(rb_job *j, const rb_test *t, const rb_result *r);
/* Where the roofs cross, where people read. */
void rb_parallel_close(rb_job *j);

#endif
