/* Records of the paper's parts as plain numbers. Private to bench/paper/: every field is checked
 * once, in evidence.c, and a record that lacks what its row needs is left out and counted.
 * Read next: evidence.c, claims.h. */
#ifndef RB_EVIDENCE_H
#define RB_EVIDENCE_H

#include "../plot.h"
#include "data.h"

typedef enum {
    RB_ROW_LAYERS,
    RB_ROW_WORKLOAD,
    RB_ROW_TRIO,
    RB_ROW_FORMS,
    RB_N_ROW_PART
} rb_row_part;
extern const char *const rb_row_part_name[RB_N_ROW_PART];

/* A figure and its 95 % interval, or bounds; NaN: unknown. */
typedef struct rb_span {
    double at, lo, hi;
} rb_span;

/* What the paper's code would have said; oi NaN: the record has none. */
typedef struct rb_row_proxy {
    double flops, seconds, oi, gflops, peak_bytes;
    rb_span bounds; /* of oi, with all of its times at one end of their intervals */
} rb_row_proxy;

typedef struct rb_paper_row {
    const struct json_t *json;
    int id; /* of the record: its place in the array, from 1 */
    rb_row_part part;
    const char *model, *type, *attn, *bound; /* of the record; never NULL */
    bool decode;                             /* else a prompt; of n and beyond: both */
    int64_t n_prompt, n_gen, n_depth, n_layer, kv_bytes;
    uint64_t flops, bytes;       /* exact; bytes of weights and cache. Both > 0 */
    double oi;                   /* flops / bytes */
    rb_span ns, tps;             /* of the test; tokens a second */
    double gflops, roof_pct, pi; /* pi: the compute roof of its products, GFLOP/s */
    bool exact;                  /* the model, or a form that is the same function */
    double kl;                   /* of a converted form; NaN: it was not judged */
    rb_row_proxy proxy;
    int model_no, type_no; /* how many others come before it in the evidence */
    const double *ts;      /* samples of tokens a second */
    int n_ts;
} rb_paper_row;

typedef struct rb_evidence {
    rb_paper_row *row;
    int n;       /* rows of one phase, in the order of the records; then */
    int n_all;   /* those of a prompt and decode steps after it in one test */
    int n_out;   /* records of no part, failed, or without counts */
    int n_other; /* of another CPU, number of threads or ISA than the last finished one */
    int n_again; /* of a test that a later one, or one that was not interrupted, stands for */
    const struct json_t *machine; /* the last finished record */
    double *ts;
    const struct json_t *roofs; /* of the first record that tells them; NULL: none does */
    rb_span dram, fma;          /* GB/s, GFLOP/s: what 19 of 20 probes stayed under, their range */
    rb_span bf16, i8;           /* GFLOP/s as measured once; NaN: not measured */
    rb_devices devices;
    char name[48];               /* of the machine in tables and figures */
    struct rb_evidence *overlay; /* other machines; see rb_evidence_lay_over */
    int n_overlay;
    const rb_paper_row **twin; /* of one of these: for each row of the first its own, or NULL */
    int n_twin, n_differ;      /* of these, and of these with other exact counts */
    int differs;               /* the first's record of the first of those */
} rb_evidence;

/* RB_ERR_FORMAT: no record is of any part. */
rb_status rb_evidence_read(rb_evidence *e, const struct json_t *records, rb_error *err);
void rb_evidence_free(rb_evidence *e);

/* ---- which records, of several runs; runs.c ---- */

/* Of all rows keeps those of one machine and of one test one; counts the others. */
void rb_evidence_choose(rb_evidence *e);
/* The records of that machine, with no part too; to be released. */
struct json_t *rb_evidence_own(const rb_evidence *e, const struct json_t *records);

/* ---- other machines; overlay.c ---- */

/* Reads their records and finds the tests that are the same: model, weights and options, whatever
 * ISA and threads. e, in which no row may move any more, frees them. */
rb_status rb_evidence_lay_over(rb_evidence *e, const rb_plot_set *set, int n, rb_error *err);
/* The same test on another machine of e; NULL: it did not run there. r: a row of e. */
const rb_paper_row *rb_row_on(const rb_evidence *other, const rb_evidence *e,
                              const rb_paper_row *r);
int rb_evidence_n_differ(const rb_evidence *e); /* of all machines */

/* Rows of one subject have the same model, type and attention. */
bool rb_same_subject(const rb_paper_row *a, const rb_paper_row *b);
/* Whether two rows ran the same lengths, context and layers. */
bool rb_same_test(const rb_paper_row *a, const rb_paper_row *b);
/* Whether no row of that part before it has the same subject (layers aside). */
bool rb_first_of_subject(const rb_evidence *e, const rb_paper_row *r);
/* The tokens that are in the cache on average over a decode test. */
double rb_row_context(const rb_paper_row *r);
/* "pp128", "tg8 @ d128". Returns buf. */
char *rb_row_test(const rb_paper_row *r, char *buf, size_t size);
/* Rate of b over that of a, by all pairs of samples. */
rb_span rb_row_speedup(const rb_paper_row *a, const rb_paper_row *b);
bool rb_span_apart(const rb_span *a, const rb_span *b); /* no value lies in both */
/* The machine as a device, under its measured f32 roofs; false: it has none. */
bool rb_own_device(const rb_evidence *e, rb_device *d);

/* ---- workloads, integrated ---- */

/* A workload of a subject: the prompt's test and the sum over decode steps after it. */
typedef struct rb_workload_sum {
    bool has_prefill, has_decode;
    int prefill_id, decode_id, whole_id; /* a record behind each */
    rb_span prefill, decode; /* tokens a second; bounds of decode hold all intervals at once */
    double prefill_ns, decode_ns;
    double prefill_flops, prefill_bytes, decode_flops, decode_bytes;
    double bend; /* of the decode time; see rb_steps_time */
    rb_span
        whole; /* time of prompt and decode steps in one test over the sum here; NaN: none ran */
} rb_workload_sum;
/* Of the subject that row is of. */
rb_workload_sum rb_workload_of(const rb_evidence *e, const rb_paper_row *subject, rb_workload w);

#endif
