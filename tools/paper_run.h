/* The paper's grid as a job: its sets one after the other, each within its part of the budget,
 * every finished record appended to a file. What stops a set costs that set alone. Read next:
 * paper_run.c, cmd_paper.c. */
#ifndef RB_PAPER_RUN_H
#define RB_PAPER_RUN_H

#include "forms.h"
#include "progress.h"

typedef struct rb_paper_job {
    rb_grid grid;
    rb_test like; /* threads, ISA, cache: what all tests share */
    rb_rates rates;
    bool with_roofs, progress_wanted;
    uint64_t start_ns;
    double budget_s;                       /* of everything; 0: no limit */
    rb_store *store;                       /* of path */
    char *path;                            /* DIR/records.jsonl */
    struct json_t *records;                /* all that it holds, and what is new */
    struct json_t *laid[RB_PLOT_MAX_SETS]; /* of other machines, owned */
    rb_plot_set overlay[RB_PLOT_MAX_SETS];
    int n_overlay;
    char **left_out; /* lines, owned */
    int n_left_out, n_new, code;
    bool told_unwritten;                       /* that a record could not be written: once */
    double roofs_s, open_s, part_s[RB_N_PART]; /* where time went; open_s is in part_s too */
    rb_roof_pool roofs;
    rb_told told;
    /* of the set at hand */
    const rb_grid_set *set;
    rb_forms forms;
    const rb_grid_set *opened; /* whose weights forms holds; NULL: none */
    double forms_s;            /* opening them took */
    char what[160];            /* "workload, smollm2-135m f16" */
    rb_subject subject;
    rb_plan plan;
    rb_bench *bench;
    int n_told; /* tests of the plan that were run, skipped or said to be left out */
    rb_progress progress;
} rb_paper_job;

/* Measures the roofs, then runs all sets. What goes wrong is said and in j->code. */
void rb_paper_run(rb_paper_job *j);
/* Keeps the exit code, but for that of a self-check that failed before. */
void rb_paper_failed(rb_paper_job *j, int code);
/* One more line of what was not measured, said on stderr. */
void rb_paper_leave_out(rb_paper_job *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
double rb_paper_elapsed_s(const rb_paper_job *j);
void rb_paper_job_close(rb_paper_job *j);

#endif
