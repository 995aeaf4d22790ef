/* The report of re-measuring the paper: records become claims with verdicts, figures and tables, as
 * one HTML file that needs nothing else and as Markdown. Nothing here runs a test, and no verdict
 * is typed. Included by paper.h. Read next: report.c, claims.h. */
#ifndef RB_PAPER_REPORT_H
#define RB_PAPER_REPORT_H

#include "data.h"

struct json_t;
struct rb_plot_set;

/* What the report says of the run. Borrowed; NULL texts are left out. */
typedef struct rb_paper_told {
    const char *command, *commit;
    const char *const *left_out;
    int n_left_out;
    double budget_s, took_s;
    const rb_rates *rates;             /* beside ours; NULL: none */
    const struct rb_plot_set *overlay; /* records of other machines */
    int n_overlay;
    bool interrupted;
} rb_paper_told;

/* Whether records of another machine are of parts of the paper: RB_ERR_FORMAT names the set. */
rb_status rb_paper_can_lay_over(const struct rb_plot_set *set, rb_error *err);

/* Writes dir/report.html, dir/report.md and dir/figures/, of an array of records that say in
 * "paper" which part they are of. Files appear when complete. RB_ERR_IO names what cannot be
 * written, RB_ERR_FORMAT says that there is nothing to report. *n_differ: tests whose exact counts
 * are others on another machine, which is a defect; the report says which. */
rb_status rb_paper_report(const struct json_t *records, const rb_paper_told *told, const char *dir,
                          int *n_differ, rb_error *err);

#endif
