/* Umbrella of engine/: the forward pass over a model, its cache and its scratch.
 * Nothing here computes on tensor data: every operation is a launch, hence counted.
 * Start reading at forward.c. */
#ifndef RB_ENGINE_H
#define RB_ENGINE_H

#include "variant.h"

/* How attention is executed. A model's own: MHA, GQA or MQA as its heads are; latent models have
 * three orders of the same result (DeepSeek-AI 2024 (V2), sec. 2.1; ATTENTION in COUNTING's terms).
 * Keys and values of every head cached, expanded; the latent cached, expanded by every call; the
 * latent cached, and attention within it. */
typedef enum {
    RB_ATTN_OWN, /* of latent models: RB_ATTN_MLA */
    RB_ATTN_MLA, /* of the two with a latent cache, call by call, the one that costs less */
    RB_ATTN_MLA_NAIVE_FULL,
    RB_ATTN_MLA_NAIVE_LATENT,
    RB_ATTN_MLA_ABSORBED,
    RB_N_ATTN
} rb_attn;
/* "gqa", "mha", "mqa", "mla", "mla-absorbed" ...: what executing c that way is called. */
const char *rb_attn_name(const rb_config *c, rb_attn attn);
/* By that name; fails, saying why, for what is no way to execute c. */
rb_status rb_attn_by_name(const rb_config *c, const char *name, rb_attn *attn, rb_error *err);

/* What decides the order under RB_ATTN_MLA: FLOPs alone, or the least time that these roofs allow
 * for each launch. */
typedef struct rb_mla_rule {
    double flops_per_s, bytes_per_s; /* 0: FLOPs decide */
} rb_mla_rule;

typedef struct rb_session_params {
    int64_t n_layer;  /* layers to run; 0: the model's own. More need rb_model_extend first */
    int64_t n_seq;    /* parallel sequences, >= 1 */
    int64_t n_ctx;    /* cache rows per sequence */
    int64_t n_ubatch; /* most tokens per sequence in one micro-batch */
    int64_t n_logits; /* most rows through lm_head in one call; 1 unless logits of all rows are
                         wanted */
    rb_dtype type_k, type_v; /* rb_is_cache_dtype; of latents all is of type_k */
    rb_attn attn;
    rb_mla_rule mla_rule;
    const rb_attn_variant *variant; /* of attention, from outside, whatever attn says; borrowed.
                                       NULL: the model's own */
    const rb_registry *registry;    /* of kernels from outside, borrowed; NULL: none */
    int n_threads;
    rb_isa isa;
    bool capped;         /* an ISA cap was set: no BLAS */
    bool act_f32;        /* keep activations f32 even where a row would quantise them */
    bool no_fuse;        /* one launch per matrix: COUNTING's activation bytes */
    bool gelu_erf;       /* GELU exactly, not by tanh; which is a model's own its config says */
    bool keep_inputs;    /* for rb_session_attn_input */
    bool dry;            /* count only; the model may be dry too */
    int64_t cache_bytes; /* of a last cache in whose model DRAM traffic is booked (reuse.h in
                            kernels/); 0: none. It takes time: for dry sessions */
    bool prove;          /* run every launch as the counting ISA, held against its row: slow */
} rb_session_params;

/* Defaults: all layers, 1 sequence, n_ctx 512, n_ubatch 512, f16 cache, 1 thread, detected ISA. */
rb_session_params rb_session_defaults(void);
rb_status rb_session_open(rb_session **s, const rb_model *model, const rb_session_params *params,
                          rb_error *err);
void rb_session_close(rb_session *s);

/* Runs tokens[n_seq][n_tok] (row-major, ids below n_vocab) after what the cache holds, in
 * micro-batches of n_ubatch. all_logits: every row goes through lm_head (n_tok <= n_logits), else
 * only the last row of each sequence. Books everything under phase.
 * tokens may be NULL in a dry session: distinct ids are then assumed to be min(n, V). */
rb_status rb_session_run(rb_session *s, rb_phase phase, const int32_t *tokens, int64_t n_tok,
                         bool all_logits, rb_error *err);

/* Logits of the last run, [n_seq][rows][n_vocab] f32; rows is n_tok (all_logits) or 1.
 * NULL in a dry session. Valid until the next run. */
const float *rb_session_logits(const rb_session *s);

/* What attention of a layer read in the last micro-batch of a run, where params.keep_inputs is set:
 * the output of attn_norm, [n_seq][n_tok][n_embd] f32. NULL in a dry session. Valid until the next
 * run. */
const float *rb_session_attn_input(const rb_session *s, int64_t layer);

/* Tokens in the cache of each sequence. */
int64_t rb_session_n_past(const rb_session *s);
/* Forgets (n_past smaller) or pretends (n_past larger: cache rows hold whatever they hold, zero at
 * first) so that a benchmark can decode at a depth. 0 <= n_past <= n_ctx. */
void rb_session_set_past(rb_session *s, int64_t n_past);

/* Runs the first n_layer layers from now on, 1 <= n_layer <= those it was opened for. Cache rows of
 * further layers stay as they are. */
void rb_session_set_layers(rb_session *s, int64_t n_layer);

/* Asked between the micro-batches of a run: true ends it, and rb_session_n_past tells how far it
 * came. NULL: never. */
void rb_session_set_stop(rb_session *s, bool (*stop)(void *arg), void *arg);

/* Records every launch from the next run on in a trace of as many threads, borrowed; NULL: no more.
 */
void rb_session_trace(rb_session *s, rb_trace *trace);

/* How attention was executed last: what RB_ATTN_MLA decided. */
rb_attn rb_session_attn(const rb_session *s);
/* Experts that calls of a layer took since the ledger was cleared (rb_session_clear): NULL if the
 * layer has none. */
const rb_routing *rb_session_routing(const rb_session *s, rb_phase phase, int64_t layer);
/* Empties the ledger and the routing. */
void rb_session_clear(rb_session *s);

/* Whether the DRAM traffic in the ledger is that of such a model. */
bool rb_session_models_dram(const rb_session *s);
rb_ledger *rb_session_ledger(rb_session *s);
/* The last launch at a place; its row is NULL if there was none. Its operands are the session's. */
const rb_costed *rb_session_last(const rb_session *s, rb_phase phase, rb_site site);
const rb_proof *rb_session_proof(const rb_session *s); /* of a session that proves */
/* Bytes the session owns: cache, scratch. */
int64_t rb_session_kv_bytes(const rb_session *s);
int64_t rb_session_scratch_bytes(const rb_session *s);
/* Cache bytes of one token over the layers that run. */
int64_t rb_session_kv_bytes_per_token(const rb_session *s);

/* E[x x^T] of what attention reads in each layer, over a text of n ids: in windows of the session's
 * context, each from an empty cache. The session has one sequence and keeps inputs; types of its
 * cache and its activations are best f32. Sums are doubles. Closed by rb_calibration_close. Fails
 * with "interrupted" once stop says so, and where inputs are not finite. */
typedef struct rb_calibrate_params {
    bool (*stop)(void *arg);                                  /* before each pass; may be NULL */
    void (*tell)(void *arg, int64_t n_done, int64_t n_token); /* likewise */
    void *arg;
} rb_calibrate_params;
rb_status rb_calibrate(rb_calibration **cal, rb_session *s, const int32_t *ids, int64_t n,
                       const rb_calibrate_params *how, rb_error *err);
void rb_calibration_close(rb_calibration *cal); /* NULL is fine */
/* Bytes of that of a model. */
uint64_t rb_calibration_bytes(const rb_config *c);

/* Index of the largest of n logits (the lowest index of equals). */
int32_t rb_argmax(const float *logits, int64_t n);

/* Draws tokens from logits: of the top_k best (0: of all) the fewest that together have top_p of
 * their likelihood (Holtzman et al. 2020), each as likely as softmax(logit / temp) has it: first
 * cut, then warmed, as llama.cpp does. temp 0: the best. NaN among logits is the caller's to find.
 */
typedef struct rb_sampling {
    double temp;   /* >= 0 */
    int64_t top_k; /* >= 0 */
    double top_p;  /* (0, 1] */
    uint64_t seed;
} rb_sampling;
rb_sampling rb_sampling_defaults(void); /* 0.8, 40, 0.95, 1 */
typedef struct rb_sampler rb_sampler;
rb_status rb_sampler_open(rb_sampler **s, int64_t n_vocab, const rb_sampling *how, rb_error *err);
void rb_sampler_close(rb_sampler *s); /* NULL is fine */
int32_t rb_sampler_next(rb_sampler *s, const float *logits);

#endif
