/* Umbrella of bench/: workloads over sessions, statistics, records, tables.
 * Nothing here parses a command line or exits; output goes to the FILE it is handed.
 * Start reading at trial.c (one test), then schedule.c (many), plan.c (which tests), report.c. */
#ifndef RB_BENCH_H
#define RB_BENCH_H

#include "outside.h"
#include "report.h"

/* ---- the sweep over layers ---- */

/* How many of n rising depths fit into available bytes with a tenth kept free. need(arg, i): bytes
 * that depth i needs, rising with i; asked for few of them. available 0: unknown, all fit. */
typedef uint64_t rb_need_fn(void *arg, int i);
int rb_sweep_fit(rb_need_fn *need, void *arg, int n, uint64_t available);

typedef struct rb_trend_point {
    int64_t n_layer;
    uint64_t flops, bytes; /* bytes: W + KV */
    double oi_dram;        /* 0: resident, or not modelled */
} rb_trend_point;

typedef enum {
    RB_TREND_NONE,
    RB_TREND_FLAT,
    RB_TREND_RISES,
    RB_TREND_FALLS,
    RB_TREND_TURNS
} rb_trend_kind;

typedef struct rb_trend {
    rb_trend_kind kind;
    int first_turn, n_turn; /* index of the point where OI first turns; how often it does */
    bool strict;            /* no two neighbouring depths have the same OI */
    bool equal_layers;      /* every layer adds the same FLOPs and bytes */
} rb_trend;

/* -1, 0, 1: OI of a below, equal to, above that of b; exact. */
int rb_oi_compare(const rb_trend_point *a, const rb_trend_point *b);
rb_trend rb_trend_of(const rb_trend_point *p, int n);
/* The closing sentence: what OI did with layers and why. Returns buf. */
char *rb_trend_text(const char *test, const rb_trend_point *p, int n, char *buf, size_t size);
/* The same for modelled DRAM traffic with a last cache of cache_bytes: at which depths the model
 * stays in it, and the OI beyond. */
char *rb_dram_trend_text(const char *test, const rb_trend_point *p, int n, uint64_t cache_bytes,
                         char *buf, size_t size);

/* ---- output of other things ---- */

/* n machines as tables with ridge points, or as one JSON object. */
rb_status rb_roofs_write(FILE *out, const rb_machine *m, int n, bool json, const char *commit,
                         rb_error *err);
/* What a conversion made of the types of a file, as a table or as one JSON object. */
rb_status rb_conversion_write(FILE *out, const rb_conversion *c, const char *type, bool json,
                              rb_error *err);
/* ---- the file that keeps results ---- */

/* A file of JSON lines that only ever grows: whoever kills us, every finished record stays. A
 * record is written by one write(2) and is on the disk (fdatasync) before append returns. */
typedef struct rb_store rb_store;
/* Opens or creates it for this process alone. A file that holds anything but our records is refused
 * and left as it is; a last line that was not finished is cut off. */
rb_status rb_store_open(rb_store **s, const char *path, rb_error *err);
void rb_store_close(rb_store *s);         /* NULL is fine */
int64_t rb_store_rows(const rb_store *s); /* records in it */
int64_t rb_store_cut(const rb_store *s);  /* bytes of the unfinished line; 0: there was none */
/* Whether a finished row (no "error", not "interrupted") is of the same test as probe: model digest
 * (env.model_digest), every option that counts depend on, ISA and threads. A probe that lacks one
 * of them matches nothing. */
bool rb_store_has(const rb_store *s, const struct json_t *probe);
/* Appends an object that has schema_version. If it fails (RB_ERR_IO: the disk is full) the file
 * ends with the record before, and later appends may succeed. */
rb_status rb_store_append(rb_store *s, struct json_t *record, rb_error *err);

/* What calls took of their experts, as a sentence for each phase; "" where there are none. Returns
 * buf. */
char *rb_routing_text(const rb_config *c, const rb_result *r, char *buf, size_t size);

/* The kernels of a result as a markdown table; shares are of its median repetition. */
void rb_kernel_table(FILE *out, const rb_subject *subject, const rb_result *r);
/* The formulas behind the counts of one launch, each with its numbers. */
void rb_explain_launch(FILE *out, const rb_kernel *k, const rb_call *call);
/* The formulas behind the counts of n results, for people. */
void rb_explain(FILE *out, const rb_subject *subject, const rb_result *const *r, int n);

/* ---- figures ---- */

struct json_t;

typedef enum { RB_PLOT_ROOFLINE, RB_PLOT_LAYERS } rb_plot_kind;

typedef struct rb_plot_set {
    const struct json_t *records; /* array of records, as written by report.c. Borrowed */
    const char *name;             /* what legends call it if machine and model do not tell apart */
} rb_plot_set;

enum { RB_PLOT_MAX_SETS = 7 };

/* Reads records: a JSON array, an object, or one object per line; appends to *array (created if
 * NULL, the caller's to decref). n_torn (may be NULL) grows by a last line that was cut off. */
rb_status rb_records_read(const char *path, struct json_t **array, int *n_torn, rb_error *err);
/* Whether figures of that suffix are written: .png and .svg, in either case. */
bool rb_plot_can_write(const char *path);
/* Draws a figure of 1200 x 800 to path, .png (times scale) or .svg. Several sets are laid over each
 * other, one colour each. RB_ERR_FORMAT: there is nothing in the records to draw. */
rb_status rb_plot(const rb_plot_set *sets, int n_sets, rb_plot_kind kind, int scale,
                  const char *path, rb_error *err);

/* ---- kernels alone ---- */

#include "kernel_run.h"

/* ---- traces ---- */

#include "trace.h"

/* ---- other engines ---- */

#include "peer.h"

/* ---- self-checks ---- */

#include "verify.h"

/* ---- decode over contexts ---- */

#include "law.h"

/* ---- ways of attention ---- */

#include "rivals.h"

/* ---- from the memory roof to the compute roof ---- */

#include "crossing.h"

/* ---- two runs ---- */

#include "compare.h"

/* ---- re-measuring the paper ---- */

#include "paper/paper.h"

/* ---- how well a text is foretold ---- */

#include "perplexity.h"

#endif
