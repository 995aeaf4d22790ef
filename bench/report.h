/* Results as tables and records: what rows have in common, rows as they come, JSON of each.
 * Nothing here measures; output goes to the FILE it is handed. Included by bench.h.
 * Read next: report.c, record.c. */
#ifndef RB_REPORT_H
#define RB_REPORT_H

#include "measure.h"

enum { RB_SCHEMA_VERSION = 1 }; /* of records */

typedef enum {
    RB_FORMAT_NONE,
    RB_FORMAT_MD,
    RB_FORMAT_JSON,
    RB_FORMAT_JSONL,
    RB_FORMAT_CSV
} rb_format;

struct rb_judged;

/* A model whose attention was converted, as tests ran it. */
typedef struct rb_formed {
    const rb_model *model;
    const char *digest;             /* NULL: unknown */
    const struct rb_judged *judged; /* against the subject's own; NULL: it was not */
} rb_formed;

/* What the rows of one model have in common. Borrowed. */
typedef struct rb_subject {
    const char *filename;
    const rb_model *model;
    const rb_formed *formed;   /* of tests whose model is 1, 2 ...; NULL: there are none */
    const rb_outside *outside; /* which tests name, as in rb_bench_params; NULL: none */
    const char *cpu, *commit;
    bool roofs;                  /* results are placed under measured roofs */
    const struct rb_peer *peers; /* whose times the tests of the plan are; NULL: rbench's own */
    uint64_t seed;               /* of input and order */
    struct json_t *env;          /* the manifest, with the model's digest; may be NULL */
} rb_subject;

/* The model that a test runs; what its attention is called: "gqa", "mla:128", "mla, mla-absorbed",
 * the name of a variant from outside, or "gqa + NAME" with kernels from outside alone. Returns buf.
 */
const rb_model *rb_subject_model(const rb_subject *s, const rb_test *t);
const char *rb_subject_attn(const rb_subject *s, const rb_test *t, char *buf, size_t size);
/* Whether that is known to be the model's own attention, however it is executed. */
bool rb_subject_exact(const rb_subject *s, const rb_test *t);

/* Machines whose roofs a stream of records has told already. */
typedef struct rb_told {
    const rb_machine *machine[16];
    int n;
} rb_told;
/* The JSON object of a result, a new reference, NULL when out of memory. Fields that were not
 * measured are left out; roofs that told does not have yet are told (told NULL: never). */
struct json_t *rb_record(const rb_subject *subject, const rb_result *r, rb_told *told);

typedef struct rb_report rb_report;
/* Begins a report that writes to out (borrowed), in one format; fails only without memory. */
rb_status rb_report_open(rb_report **rep, FILE *out, rb_format format, rb_error *err);
/* Announces the rows of one model: widths are computed and the table's head is written.
 * sweep: rows belong to a sweep over layers with n_group tests per depth (0: no sweep). */
rb_status rb_report_subject(rb_report *rep, const rb_subject *subject, const rb_plan *plan,
                            int n_group, bool dry, rb_error *err);
/* Writes and flushes one row. i: its index in the plan. */
void rb_report_row(rb_report *rep, const rb_result *r, int i);
/* md only: the table of kernels of one result; a paragraph. */
void rb_report_kernels(rb_report *rep, const rb_result *r);
void rb_report_text(rb_report *rep, const char *text);
/* Whether a write failed (a full disk, a closed pipe): nothing more is written, and running on is
 * of use only where the results also go elsewhere. rb_report_close says why. NULL is fine. */
bool rb_report_failed(const rb_report *rep);
/* Closes what is open (a JSON array) and tells whether everything was written. NULL is fine. */
rb_status rb_report_close(rb_report *rep, rb_error *err);

#endif
