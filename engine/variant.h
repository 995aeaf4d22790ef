/* Variants of attention: three hooks made of launches, around the one attention core, and the shape
 * of the cache between them. Those of the engine are attn_*.c; another is handed to a session
 * (rb_session_params.variant). What hooks compute are launches (ops.h in kernels/), hence counted
 * and proven; a closed form beside them says what they should cost. Refuses arithmetic on data.
 * Included by engine.h. Read next: attn_gqa.c. */
#ifndef RB_VARIANT_H
#define RB_VARIANT_H

#include "../models/models.h"

typedef struct rb_session rb_session;

enum { RB_MAX_PAD = 4 };

/* What a variant keeps of a token and layer, for a model of shape c: two pieces of a cache, each in
 * memory [n_seq][heads][n_ctx][columns], and room for activations of the current micro-batch. */
typedef struct rb_attn_geom {
    int64_t n_head_k, d_k; /* K, of params.type_k */
    int64_t n_head_v, d_v; /* V, of params.type_v; no columns: all is in the first piece */
    int64_t d_out;         /* columns of each of n_head heads of attention's output */
    bool one_type;         /* both pieces are of type_k */
    /* f32 columns of a token that rb_session_pad has. The engine's own variants have a pad of their
     * own instead. */
    int64_t pad[RB_MAX_PAD];
} rb_attn_geom;

/* One layer's attention, n new tokens after past in the cache of each of n_seq sequences. */
typedef struct rb_attn_run {
    int64_t n_seq, n, past;
    rb_dtype type_k, type_v;
} rb_attn_run;

/* What somebody says that it costs, from x to y, norms of the residual stream apart: FLOPs as ops.h
 * has them, bytes of weights and of the cache. */
typedef struct rb_attn_claim {
    int64_t flops, weight, kv_read, kv_write;
} rb_attn_claim;

typedef struct rb_attn_variant {
    const char *name; /* for tables; of those of the engine NULL: rb_attn_name */
    rb_attn_geom (*geom)(const rb_config *c);
    /* Normed x, {1, n_seq n_tok, 1, n_embd}, to q (in->q, q2), and to new cache rows. */
    void (*project)(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x, rb_attend_in *in);
    /* The cache as K and V (in->k, k2, v). */
    void (*expose)(const rb_session *s, rb_exec *ex, int64_t layer, rb_attend_in *in);
    /* o of q, K and V, by an operation of one's own (RB_OP_OWN, rb_launch). NULL: the core, causal
     * over all that is cached (rb_op_attend). */
    void (*attend)(const rb_session *s, rb_exec *ex, int64_t layer, const rb_attend_in *in,
                   rb_view o);
    /* Attention's output o, {n_seq, n_tok, n_head, d_out}, to y, of x's shape. rb_attn_merge_heads:
     * y = W_o o. */
    void (*merge)(const rb_session *s, rb_exec *ex, int64_t layer, rb_view o, rb_view y);
    /* The closed form, typed by hand, of a layer with weights w. rb_prove_attn (bench/) holds it
     * against the ledger. NULL: none; of the engine's own variants bench/oracle.c has it. */
    rb_attn_claim (*claim)(const rb_config *c, const rb_layer *w, const rb_attn_run *run);
} rb_attn_variant;

/* ---- what hooks see of a session. Each launch is booked at ex->site, which they set: one of
 * RB_SITE_QKV to RB_SITE_O ---- */

/* What it runs. */
const rb_model *rb_session_model(const rb_session *s);
/* A piece of a layer's cache, {n_seq, n_ctx, heads, columns}: 0 is K, 1 is V. */
rb_view rb_session_cache(const rb_session *s, int64_t layer, int piece);
/* Tokens in the cache of each sequence, before this call: what rb_op_kv_store wants. */
const int64_t *rb_session_past(const rb_session *s);
/* Pad i, as {n_seq, n_tok, n_head, d} of f32: n_head d columns are at most geom.pad[i]. */
rb_view rb_session_pad(const rb_session *s, int i, int64_t n_head, int64_t d);
/* Heads as rows, {1, n_seq n_tok, 1, heads columns}: what a matmul reads and writes. */
rb_view rb_attn_rows(rb_view heads);
/* Rotary angles of a layer and the positions of the new tokens: what rb_op_rope wants. */
rb_view rb_session_rope_table(const rb_session *s, int64_t layer);
rb_view rb_session_positions(const rb_session *s);
/* y = W_o o (+ bias), of heads of V. */
void rb_attn_merge_heads(const rb_session *s, rb_exec *ex, int64_t layer, rb_view o, rb_view y);

#endif
