/* What the paper's public code (banbu-ai/roofline_bench: utils/cal_flops_utils.py,
 * test_inference/analyze_inference_*.py) reports of a model: FLOPs by its formula, peak memory x
 * runtime as traffic. Each of its faults can be switched off alone, to see what it does.
 * Included by paper.h. Read next: proxy.c, proxy_law.c. */
#ifndef RB_PROXY_H
#define RB_PROXY_H

#include "../../models/models.h"

/* In the order of the formula, then of what it is divided by. Off stands what is right. */
typedef enum {
    RB_PROXY_PROMPT_ONLY,   /* of the prompt alone; off: of the generated tokens too */
    RB_PROXY_MAC_IS_ONE,    /* off: 2 */
    RB_PROXY_NO_FFN,        /* off: feed-forward or router and experts */
    RB_PROXY_NO_HEAD,       /* off: one row for the prompt, one for each generated token */
    RB_PROXY_KV_IS_FLOPS,   /* elements of the cache are added to FLOPs; off: they are not */
    RB_PROXY_HALF_KV_HEADS, /* not of latent models */
    RB_PROXY_HEAD_IS_SHARE, /* a head has hidden / heads columns, W_o hidden^2; off: as in config */
    RB_PROXY_LATENT,        /* the cached latent is 512, what is expanded is as wide as hidden, V as
                               K's part without rotation, q has no latent; off: as in config */
    RB_PROXY_FULL_SQUARE,   /* every token sees every token; off: those before it and itself */
    RB_PROXY_WHOLE_PROCESS, /* the work of one repetition over the time of loading, warm-up and all
                               repetitions; off: over that of one repetition */
    RB_PROXY_PEAK_X_TIME,   /* byte-seconds for bytes; off: bytes */
    RB_N_PROXY_FAULT
} rb_proxy_fault;
extern const char *const rb_proxy_fault_name[RB_N_PROXY_FAULT];

/* 1 << fault: that fault is on. */
typedef unsigned rb_proxy_faults;
enum { RB_PROXY_PUBLISHED = (1 << RB_N_PROXY_FAULT) - 1 };

typedef struct rb_proxy_run {
    int64_t n_layer, n_prompt, n_gen;
    bool apart; /* tokens are generated from an empty cache, as llama-bench's -n does, not after the
                   prompt; seen only where PROMPT_ONLY is off */
    double peak_bytes;    /* of the process */
    double runtime_s;     /* of the process */
    double once_s, bytes; /* of one repetition: its time, its exact bytes */
} rb_proxy_run;

typedef struct rb_proxy {
    double flops, bytes, seconds;
    double oi, gflops; /* with the published faults gflops * 1e9 / oi is peak_bytes, always */
} rb_proxy;

/* Whether the formula has a form for such attention: MHA, GQA, MQA and MLA, not our conversions. */
bool rb_proxy_knows(const rb_config *c);
/* FLOPs by the formula; NaN if it knows none. With every fault off: all matrix products and the
 * products of attention (MLA expanded), without norms, biases, rotation, softmax, activations and
 * residuals, which no switch brings in: under 1 % of a prompt of some hundred tokens. */
double rb_proxy_flops(const rb_config *c, const rb_proxy_run *run, rb_proxy_faults faults);
rb_proxy rb_proxy_of(const rb_config *c, const rb_proxy_run *run, rb_proxy_faults faults);

/* ---- over layers ---- */

/* v0 + v1 L, by least squares. */
typedef struct rb_proxy_line {
    double v0, v1;
    double se0, se1, cov; /* standard errors and covariance of both; 0: the line is given */
} rb_proxy_line;

/* OI(L) = f L / ((M0 + L M1) (T0 + L T1)) has one maximum, at sqrt((M0 / M1) (T0 / T1)). */
typedef struct rb_proxy_law {
    rb_proxy_line memory, time; /* bytes, seconds */
    double peak;                /* layers; NaN: one of the four is not positive, OI has none */
    double peak_lo, peak_hi;    /* 95 %, of the logarithm by the delta method */
} rb_proxy_law;

typedef struct rb_proxy_point {
    double n_layer, peak_bytes, runtime_s;
} rb_proxy_point;

/* From three points or more, of which three have different layers. */
rb_status rb_proxy_law_fit(rb_proxy_law *law, const rb_proxy_point *p, int n, rb_error *err);
/* Of two lines that are known; n_points 0: exactly. Sets the peak. */
void rb_proxy_law_peak(rb_proxy_law *law, int n_points);
/* flops: of a layer. */
double rb_proxy_law_oi(const rb_proxy_law *law, double flops, double n_layer);
/* The index of the depth, of n > 0, with the largest OI. */
int rb_proxy_law_best(const rb_proxy_law *law, const int64_t *n_layer, int n);

/* ---- of rates ---- */

/* The paper's workloads: 128 or 4096 tokens in and out. */
typedef enum { RB_SISO, RB_LISO, RB_SILO, RB_LILO, RB_N_WORKLOAD } rb_workload;
typedef struct rb_workload_info {
    const char *name; /* "siso" */
    int64_t n_prompt, n_gen;
} rb_workload_info;
extern const rb_workload_info rb_workload_infos[RB_N_WORKLOAD];

/* Weight bytes: of a layer (the mean of the model's own), of what a step reads around the layers,
 * of what lies in memory around them. */
typedef struct rb_proxy_sizes {
    int64_t n_layer;
    double layer, read_around, around;
} rb_proxy_sizes;
rb_proxy_sizes rb_proxy_sizes_of(const rb_model *model); /* which may be dry */

/* Tokens a second that were measured at the model's own layers. */
typedef struct rb_proxy_rate {
    double prefill, decode;
} rb_proxy_rate;
/* The law of a process that holds resident bytes and all weights, warms up (the prompt and one
 * token) and repeats: prefill takes time by layers, a step by the weight bytes that it reads. */
rb_proxy_law rb_proxy_law_of_rates(const rb_proxy_sizes *s, rb_workload w, rb_proxy_rate rate,
                                   int n_reps, double resident_bytes);

#endif
