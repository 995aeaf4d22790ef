/* Records of the paper's parts, made up so that what they say is known: what a report is tested on.
 * Lists are the caller's to release.
 * Read next: paper_records.c. */
#ifndef RB_TEST_PAPER_RECORDS_H
#define RB_TEST_PAPER_RECORDS_H

#include <jansson.h>
#include <stdint.h>

typedef struct made_test {
    const char *part, *model, *type, *attn;
    int64_t n_prompt, n_gen, n_depth, n_layer, flops, bytes;
    double ns;
    double proxy_flops, peak_bytes, seconds; /* 0: no proxy */
} made_test;
/* Appends it, with six samples within 0.5 % of its time, and bounds of the proxy's. */
json_t *made_record(json_t *list, const made_test *m);
/* Gives the first record roofs of 100 GFLOP/s and 10 GB/s: a ridge at 10 FLOP/byte. */
void made_roofs(json_t *list);

/* Decode at 1 to 32 layers. peak_at 0: exact OI rises strictly; else it is highest there. The
 * proxy's peak is at l_star layers; 0: there is no proxy. */
void made_sweep(json_t *list, const char *type, int64_t peak_at, double l_star);

/* A subject: prompts of 128 and 4096 and decode at three contexts, at given OI and rates. */
typedef struct made_subject {
    const char *model, *type;
    double prefill_oi[2], prefill_tps[2], decode_oi, decode_tps[2];
} made_subject;
void made_workload(json_t *list, const made_subject *s);
/* One model in f16; slow: decode's rate at long contexts over that at a short one. */
json_t *made_one_workload(double oi_128, double oi_4096, double decode_oi, double slow);
/* One model in f16 and, faster by these factors, in q8_0. */
json_t *made_two_types(double prefill, double decode);

typedef struct made_way {
    const char *model, *attn;
    double oi, tps, proxy;
} made_way;
/* The trio at 2, 4 and 8 layers, or forms of one model at 4. */
void made_ways(json_t *list, const char *part, const made_way *w, int n);

/* All four parts. */
json_t *made_everything(void);

#endif
