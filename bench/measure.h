/* Measuring: the machine, statistics, tests of a model and the plans that they come in, running
 * them between probes of the roofs, and where they then stand under them. Nothing here prints.
 * Included by bench.h. Read next: trial.c (one test), schedule.c (many). */
#ifndef RB_MEASURE_H
#define RB_MEASURE_H

#include "roofs.h"

/* ---- clock and statistics ---- */

rb_roof rb_clock_roof(void); /* what reading it costs */

/* Medians, not means: timings have outliers on one side only. Samples are in order of time. */
typedef struct rb_stats {
    int n; /* 0: no samples, or no memory to sort them; then nothing else is set */
    double median, mad, mean, stddev, min,
        max; /* mad: median |x - median|, unscaled; stddev: n-1 */
    /* 95 % confidence interval of the median: two of the samples, by their order. Fewer than six
     * have none, and stationary samples are taken for granted: look at `drifts`. */
    bool has_ci;
    double ci_lo, ci_hi;
    double drift; /* Spearman's rank correlation with time; NaN: n < 3, or all samples equal */
    bool drifts;  /* ... which chance alone would give in 1 % of cases at most */
    int n_outlier;
    double outlier_at; /* samples further than this from the median are outliers; they are kept */
} rb_stats;
/* samples is not changed; n up to RB_MAX_REPS. Needs no memory: it cannot fail. */
rb_stats rb_stats_of(const double *samples, int n);
/* Whether a sample is an outlier among those that s was made of. */
bool rb_stats_outlier(const rb_stats *s, double sample);
/* k of the interval [x(k), x(n + 1 - k)] of sorted samples, from 1, that holds the median of what
 * they are drawn from with a probability of at least 0.95; 0: n is too small for one. */
int rb_median_ci_rank(int n);
/* What Student's t exceeds as often as a normal variable exceeds z: within 2 % from 4 degrees of
 * freedom on, for |z| up to 2.6. */
double rb_t_quantile(double z, double freedom);
/* Index of the sample that is the (lower) median. */
int rb_median_index(const uint64_t *samples, int n);

/* ---- the machine ---- */

/* Physical cores this process may use (affinity and container quota), or OMP_NUM_THREADS if set. */
int rb_host_threads(void);
/* The CPUs this process may use, at most max of them, in such an order that the first few lie far
 * apart: on cores of their own, on every package. Returns how many; 0: that cannot be told. */
int rb_host_cpus(int *cpu, int max);
/* From now on thread i of every team stays on the ith of these CPUs; not where OMP_PROC_BIND,
 * OMP_PLACES or GOMP_CPU_AFFINITY say what the user wants. */
void rb_host_pin_threads(void);
/* What of the machine this process may use: its affinity and its container's set of CPUs, not the
 * quota. False, and all 0, if that cannot be told. */
typedef struct rb_topology {
    int n_package, n_numa, n_core, n_cpu; /* n_cpu: hardware threads */
} rb_topology;
bool rb_host_topology(rb_topology *t);
/* The data caches of those cores, from level 1 up. Where instances of a level differ (performance
 * and efficiency cores), bytes is that of the smallest and n_sharing that of the most shared. */
typedef struct rb_cache {
    int level;
    uint64_t bytes; /* of one instance */
    int n;          /* instances */
    int n_sharing;  /* usable cores that share one */
    int line_bytes; /* 0: unknown */
} rb_cache;
/* Writes at most max levels and returns how many; 0: unknown. */
int rb_host_caches(rb_cache out[], int max);
/* Bytes that can be allocated now without swapping, within the container's limit; 0: unknown. */
uint64_t rb_host_available(void);
/* "AMD EPYC ..." as the kernel names it. Returns buf. */
char *rb_host_cpu(char *buf, size_t size);

/* ---- what else happened ---- */

/* Evidence of disturbance over a stretch of time; where the system says nothing: -1. CPU times come
 * in the kernel's ticks, usually 10 ms, so that short stretches sum to something meaningful only.
 */
typedef struct rb_noise {
    int64_t wall_ns;
    int64_t steal_ns;               /* of all CPUs: taken by the hypervisor for other guests */
    int64_t other_ns;               /* of all CPUs: busy, but not for this process */
    int64_t voluntary, involuntary; /* context switches of this process's threads */
    int64_t migrations;             /* of its living threads, from CPU to CPU */
    double mhz;                     /* mean over (at most eight) CPUs at the end; 0: unknown */
} rb_noise;
typedef struct rb_noise_mark {
    int64_t at_ns, steal_ns, busy_ns, own_ns, voluntary, involuntary, migrations;
} rb_noise_mark;
/* Neither fails. Both read a few small files and one per thread: call them outside of timings. */
void rb_noise_begin(rb_noise_mark *begin);
rb_noise rb_noise_end(const rb_noise_mark *begin);
/* Of both stretches: a figure that one of them does not know is unknown. {0} adds nothing. */
rb_noise rb_noise_add(const rb_noise *a, const rb_noise *b);

/* ---- what it ran on ---- */

enum { RB_DIGEST = 40 }; /* room for "xxh3:", 32 hexadecimal digits and the end */
/* Digest of a model's shape and weights, the layers of its own, whatever file or thread they came
 * from; its name is left out. False, and "", for a dry model. Reads all weights once. */
bool rb_model_digest(const rb_model *m, char digest[RB_DIGEST]);
struct json_t;
/* The manifest: machine, system, libraries, build, as a new JSON object, NULL when out of memory.
 * Unknown fields are null. digest: of the model, NULL or "" if it has none. */
struct json_t *rb_env_manifest(const char *digest);

/* ---- synthetic tokens ---- */

/* A seeded permutation of the vocabulary, cut into one share per sequence: sequence s at position p
 * reads element p (cycled) of share s, so that parallel sequences draw disjoint ids. */
typedef struct rb_tokens {
    int32_t *id;
    int64_t n_vocab;
} rb_tokens;
rb_status rb_tokens_open(rb_tokens *t, int64_t n_vocab, uint64_t seed, rb_error *err);
void rb_tokens_close(rb_tokens *t);
/* Fills dst[n_seq][n_tok] with the tokens of positions first .. first + n_tok - 1. n_seq <= V. */
void rb_tokens_fill(const rb_tokens *t, int32_t *dst, int64_t n_seq, int64_t first, int64_t n_tok);

/* ---- one test ---- */

/* n_prompt tokens of prefill from position n_depth, then n_gen decode steps. Or, with n_draft > 0,
 * one pass over n_prompt = n_draft + 1 tokens with logits of each: the last accepted token and the
 * drafted ones, as speculative decoding verifies them (Leviathan et al. 2023). */
typedef struct rb_test {
    int model;   /* which of the bench's: 0 is the one it was opened with */
    int outside; /* which of rb_bench_params.outside runs it, from 1; 0: rbench as it is */
    int64_t n_prompt, n_gen, n_depth, n_draft;
    int64_t n_seq, n_layer;
    int64_t n_batch, n_ubatch;
    int n_threads;
    rb_dtype type_k, type_v;
    rb_isa isa;
    rb_attn attn;
    bool capped;   /* the ISA was set by the user: no BLAS */
    bool act_f32;  /* activations stay f32 */
    bool gelu_erf; /* GELU exactly, not by tanh */
    bool mla_roof; /* RB_ATTN_MLA decides by this machine's roofs */
} rb_test;

const char *rb_test_phase(const rb_test *t); /* "prefill", "decode", "mixed", "verify" */
/* "pp512", "tg128 @ d512", "pp512+tg128", "vf4" (four drafted tokens); with several sequences
 * "tg128 x 4". Returns buf. */
char *rb_test_name(const rb_test *t, char *buf, size_t size);
int64_t rb_test_tokens(const rb_test *t); /* of all sequences */
bool rb_test_equal(const rb_test *a, const rb_test *b);

enum { RB_MAX_REPS = 1000, RB_MAX_ROUTED = 256 };

typedef struct rb_memory {
    uint64_t weights, kv, scratch;
} rb_memory;
uint64_t rb_memory_total(const rb_memory *m); /* all three, in bytes */

/* What memory controllers counted meanwhile: the traffic of whole sockets, whoever caused it. */
typedef struct rb_pmu_bytes {
    double counted; /* the least share of the time that a counter ran: below 1 they took turns and
                       the rest is inferred; 0: all is unknown */
    uint64_t read, write, either; /* either: by counters that do not tell the two apart */
} rb_pmu_bytes;
uint64_t rb_pmu_total(const rb_pmu_bytes *b);

/* One timed repetition: the roofs around it and what else happened meanwhile. */
typedef struct rb_sample {
    uint64_t ns;
    rb_probe probe; /* mean of before and after; 0: not measured */
    bool paired;    /* before and after differ by a tenth at most */
    double roof_ns; /* least time under its roofs when the test ended: floors may fall later; 0:
                       unknown */
    rb_noise noise;
    rb_pmu_bytes pmu;
} rb_sample;

/* What bounds a kernel or a test, by the roof that takes most of its time. */
typedef enum {
    RB_BOUND_NONE,     /* no roofs */
    RB_BOUND_MEMORY,   /* weights and cache from DRAM, activations from their cache level */
    RB_BOUND_COMPUTE,  /* FMA, integer dot, exp */
    RB_BOUND_OVERHEAD, /* the floor of a launch */
    RB_BOUND_RESIDENT, /* weights and cache fit into the last cache: no DRAM roof */
} rb_bound;
extern const char *const rb_bound_name[];

/* Where a kernel or a test stands under the roofs. */
typedef struct rb_place {
    double roof_ns; /* the least time that the roofs allow; 0: unknown */
    rb_bound bound;
    rb_roof_id roof; /* that gives the bound */
    double pct;      /* of the roof; 0: unknown, or above the roof */
    bool above;      /* faster than its roof: a wrong roof, or data that a cache kept */
    double over;     /* the share where it is above: for telling "at" from "above", not for show */
    int n_pairs;     /* samples that pct is the median of; 0: of roofs measured at another time */
} rb_place;

/* What a kernel took in one sample: see rb_tally. */
typedef struct rb_kernel_ns {
    uint64_t work, barrier, launch;
} rb_kernel_ns;

typedef struct rb_result {
    rb_test test;
    char error[512];    /* empty: it ran */
    bool interrupted;   /* stopped before all repetitions were done */
    bool counts_differ; /* the error is that a repetition had other counts than the first */
    bool warm;          /* blocks of the warm-up came to agree */
    bool dry;           /* counts only */
    char when[32];      /* ISO 8601, UTC */
    rb_ledger ledger;   /* counts of one repetition; times of the median one */
    rb_tally total;     /* sum of it */
    /* What calls of the first layers took of their experts, in the first repetition. */
    rb_routing routing[RB_N_PHASE][RB_MAX_ROUTED];
    uint64_t cache_bytes; /* of the last cache that the ledger's DRAM traffic was modelled with; 0:
                             it was not */
    rb_memory memory;
    int64_t kv_bytes_per_token;
    const char *kv_fill;   /* "real", or "synthetic": the context at the start was never computed */
    int n_samples, median; /* the index of the sample that is the median */
    rb_sample sample[RB_MAX_REPS];
    rb_stats ns, tps;
    rb_noise noise;             /* sum over samples */
    const struct rb_peer *peer; /* whose times these are, with no time of kernels; NULL: ours */
    const rb_machine *machine;  /* its roofs; NULL: none were measured. Of the rb_bench */
    rb_place place;
    rb_place kernel[RB_N_PHASE][RB_N_SITE][RB_N_OP]; /* of each cell of the ledger */
} rb_result;

/* Wall clock of the median repetition outside of launches: entering and leaving steps, the loop
 * around them. */
uint64_t rb_result_other_ns(const rb_result *r);

/* FLOPs over bytes of a level: compulsory of weights and cache, all compulsory ones, issued ones.
 * 0 if there are no bytes; NAN if it is not known what was issued. */
double rb_tally_oi(const rb_tally *t);
double rb_tally_oi_kernel(const rb_tally *t);
double rb_tally_oi_issued(const rb_tally *t);
/* flops / bytes between DRAM and the modelled cache. 0: resident, less than half of W + KV comes
 * from DRAM. */
double rb_tally_oi_dram(const rb_tally *t);
/* FLOPs over weights and cache, of the kernels that read the cache: attention, and what expands
 * latents for it. 0: none does. */
double rb_result_oi_attn(const rb_result *r);
/* At the median. GB/s of W + KV. */
double rb_result_tps(const rb_result *r);
double rb_result_gflops(const rb_result *r);
double rb_result_gbps(const rb_result *r);

/* ---- which tests ---- */

typedef struct rb_list {
    const int64_t *at;
    int n;
} rb_list;

/* A way of attention: a model of the bench, and the order that executes it. */
typedef struct rb_way {
    int model;
    rb_attn attn;
    bool latent; /* its caches are all of type_k, but for RB_ATTN_MLA_NAIVE_FULL */
} rb_way;

/* Every combination of the axes; in each of them first the prompts, then the generations, then the
 * pairs (prompt, generation), then the drafts, each in all ways of attention, so that rivals are
 * neighbours. Zero lengths give no test. Drafted tokens are verified in one pass: RB_ERR_ARGUMENT
 * where a micro-batch does not hold them. */
typedef struct rb_plan_lists {
    rb_list layers, batch, ubatch, type_k, type_v, threads, isa, seq, depth;
    rb_list prompt, gen, pair, draft; /* pair: two numbers per entry, n counts numbers */
    const rb_way *way;
    int n_way;
    bool capped, act_f32, gelu_erf, mla_roof;
} rb_plan_lists;

typedef struct rb_plan {
    rb_test *test;
    int n;
} rb_plan;
/* Every combination of the lists as a test, at most 100,000; free the plan after failures too. */
rb_status rb_plan_make(rb_plan *plan, const rb_plan_lists *lists, rb_error *err);
void rb_plan_free(rb_plan *plan);

/* Relative inference potential (RooflineBench, eq. for Phi): the distance to the ridge, sqrt((OI_r
 * - OI)^2 + (pi - P)^2) left of it and pi - P right of it, OI in FLOP/byte, pi and P in GFLOP/s;
 * mixed units, as published. And without units: sqrt(max(0, log10 OI_r/OI)^2 + log10(pi/P)^2). pi
 * is the f32 FMA roof, or that of int8 dot products where there are any. NaN without roofs. */
double rb_result_phi(const rb_result *r);
double rb_result_phi_log(const rb_result *r);
/* Both, and the parts of the second. */
struct rb_phi rb_result_phi_parts(const rb_result *r);

/* ---- running ---- */

typedef struct rb_bench rb_bench;

/* Told while a plan runs. */
typedef struct rb_progress_at {
    int test;          /* of the plan; -1: roofs are measured */
    int round, n_reps; /* from 1 */
    double left_s;     /* an estimate of the time until the end */
} rb_progress_at;

/* What others bring: kernels, a variant of attention, or both. Borrowed. */
typedef struct rb_outside {
    const char *name;               /* for tables; NULL: the variant's */
    const rb_registry *registry;    /* NULL: none */
    const rb_attn_variant *variant; /* NULL: the model's own attention */
} rb_outside;

typedef struct rb_bench_params {
    int n_reps;
    const rb_outside *outside; /* n_outside of them, which tests name */
    int n_outside;
    bool warmup, dry;
    rb_roof_pool *roofs;   /* pairs every repetition with them; NULL: none. Borrowed */
    bool sequential;       /* one test after the other, not interleaved */
    uint64_t seed;         /* of synthetic tokens and of the order */
    double budget_s;       /* seconds for a whole plan; 0: no limit */
    int least_reps;        /* a budget plans no fewer, but without tests; 0: 6, for an interval */
    uint64_t cache_bytes;  /* of the last cache, for modelled DRAM traffic; 0: the machine's */
    bool no_dram;          /* ... which is not modelled: that takes longer than counting */
    double max_fill_flops; /* a context that costs more to compute is not; 0: 4e12 */
    /* Asked between repetitions and decode steps; true ends the test. May be NULL. */
    bool (*stop)(void *arg);
    void (*progress)(void *arg, const rb_progress_at *at); /* may be NULL */
    void *arg;
    /* Where one more repetition of each test is recorded, launch by launch; NULL: nowhere. */
    struct rb_traces *traces;
} rb_bench_params;

/* model: what runs (grown as tests ask for layers beyond it). shape: the same model, dry, to know
 * memory beforehand; may equal model in a dry run. Both are borrowed. */
rb_status rb_bench_open(rb_bench **b, rb_model *model, rb_model *shape,
                        const rb_bench_params *params, rb_error *err);
/* One more model for tests: test.model is 1 for the first that is added. Of the same vocabulary and
 * number of layers. Borrowed. */
rb_status rb_bench_add(rb_bench *b, rb_model *model, rb_model *shape, rb_error *err);
void rb_bench_close(rb_bench *b);
/* Memory of a test; weights are those of the layers it has to have in memory. */
rb_status rb_bench_memory(rb_bench *b, const rb_test *t, rb_memory *m, rb_error *err);
/* What of it is not there yet: all but the layers that its model has now. */
uint64_t rb_bench_need(const rb_bench *b, const rb_test *t, const rb_memory *m);
/* Runs one test. Whatever goes wrong ends up in r->error. */
void rb_bench_test(rb_bench *b, const rb_test *t, rb_result *r);

/* What becomes of the tests of a plan. */
typedef struct rb_sink {
    bool (*skip)(void *arg,
                 int i); /* true: test i is not wanted (it was run before); may be NULL */
    void (*row)(void *arg, int i, const rb_result *r); /* in the order of the plan */
    void (*left_out)(void *arg, int i, double need_s); /* test i did not fit the budget */
    void *arg;
} rb_sink;
/* Runs the tests of a plan, interleaved: each round takes one repetition of every test, so that
 * drift hits all tests alike, in random order, but for the first round, which goes from cheap to
 * costly so that much is known early. Rows come out in the order of the plan, during the last
 * round. Tests that fail cost their row alone. When stopped, what has samples is still told, as
 * interrupted. */
rb_status rb_bench_run(rb_bench *b, const rb_plan *plan, const rb_sink *sink, rb_error *err);
uint64_t rb_model_bytes(const rb_model *m);
/* A rough and cautious guess of the seconds that a repetition of a test takes, and its warm-up,
 * before any is measured. m: NULL where the roofs of the machine are not known. */
double rb_guess_s(const rb_model *model, const rb_test *t, const rb_machine *m);
double rb_guess_warmup_s(const rb_model *model, const rb_test *t, const rb_machine *m);

/* ---- placing on the roofline ---- */

/* Roofs at the time of a sample: memory and clock relative to when m was measured. */
typedef struct rb_scale {
    double memory, clock;
} rb_scale;
rb_scale rb_scale_of(const rb_machine *m, const rb_probe *probe);
/* The least time for a tally's work: max of FLOPs over the FMA and dot roofs, specials over exp,
 * W + KV over DRAM (resident: over the level that holds them), activations over the level that
 * holds a launch's, launches times their floor. place->pct from the time that the tally took. */
rb_place rb_place_tally(const rb_tally *t, const rb_machine *m, rb_scale scale, int resident);
/* The smallest cache level that holds so many bytes; RB_DRAM: none. */
int rb_level_holding(const rb_machine *m, uint64_t bytes);
/* The same for launches of one kernel alone, under the roofs of m as they are: moved_bytes from and
 * to one level. */
rb_place rb_place_launches(const rb_kernel *k, const rb_tally *t, uint64_t moved_bytes,
                           const rb_machine *m, int level);
/* The time that a place is held against: a floor against all that launches take, a roof against
 * the work itself. */
double rb_place_ns(const rb_place *p, const rb_tally *t);
/* The share of p is the median of n shares of pairs; the least time follows from it and from what
 * the median sample took, so that the three agree. */
void rb_place_settle(rb_place *p, const double *pct, int n, double took_ns);
/* The least time of memory and that of compute, each summed over the kernels of a result, whatever
 * bounds them. */
typedef struct rb_sides {
    double memory_ns, compute_ns;
} rb_sides;
rb_sides rb_place_sides(const rb_result *r, const rb_machine *m, rb_scale scale);
/* The level, RB_L1 to RB_L3, that holds all weights and cache of one pass; RB_DRAM: none. */
int rb_resident_level(const rb_result *r, const rb_machine *m);
/* The least time of sample i under the roofs around it: the sum over kernels; 0: no roofs. */
double rb_sample_roof_ns(const rb_result *r, int i);
/* Places a result under r->machine: sums of its kernels, the median over its pairs. */
rb_place rb_place_result(const rb_result *r);
/* The same for times that no roofs were measured beside: under the roofs of r->machine as they are.
 */
rb_place rb_place_unpaired(const rb_result *r);
/* A kernel of a result, from its times in each sample: those of sample i at ns[i * step]. */
rb_place rb_place_kernel(const rb_result *r, const rb_tally *counts, const rb_kernel_ns *ns,
                         int step);
/* FLOPs over the least time: the roof that the whole test has. 0: unknown. */
double rb_result_roof_gflops(const rb_result *r);

#endif
