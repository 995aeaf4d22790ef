/* What a session is made of, for the files of engine/ alone: cache, pad, batch, attention variant.
 * Refuses to be included from elsewhere; engine.h is the outside.
 * Read next: forward.c (the pass), session.c (opening and running). */
#ifndef RB_SESSION_H
#define RB_SESSION_H

#include "engine.h"

/* One layer's cache. k[n_seq][n_ctx][G][d_k], v[n_seq][n_ctx][G][d_v], each in its own buffer. */
typedef struct rb_kv_layer {
    rb_buffer k_buffer, v_buffer;
    rb_view k, v;
} rb_kv_layer;

/* K as one or two column segments (k2.buffer NULL: one), V: what attend reads. */
typedef struct rb_kv_views {
    rb_view k, k2, v;
} rb_kv_views;

/* Activations, allocated once for the largest micro-batch. All f32, [n_seq * n_ubatch] rows. */
typedef struct rb_scratchpad {
    rb_buffer x, normed, q, k, v, o, y, gate, up, last, logits;
    rb_buffer ids, pos; /* ctrl, i32; real memory even in a dry session */
    rb_buffer rope_table;
} rb_scratchpad;

/* One step: the micro-batch that every thread walks through the layers. */
typedef struct rb_batch {
    rb_phase phase;
    int64_t n_tok;    /* per sequence, in this micro-batch */
    int64_t head_row; /* first row of logits that this micro-batch fills */
    int64_t n_head;   /* rows of each sequence through lm_head: 0, 1 (the last) or n_tok */
    int64_t n_logits; /* rows of logits per sequence in the whole run */
    bool ids_known;
} rb_batch;

struct rb_session;

/* A variant of attention: three hooks made of launches, around the one attention core. */
typedef struct rb_attn_variant {
    /* Normed x to q, and to new cache rows. */
    void (*project)(const struct rb_session *s, rb_exec *ex, int64_t layer, rb_view x, rb_view q);
    /* The cache as K and V. */
    rb_kv_views (*expose)(const struct rb_session *s, int64_t layer);
    /* Attention's output o to y. */
    void (*merge)(const struct rb_session *s, rb_exec *ex, int64_t layer, rb_view o, rb_view y);
} rb_attn_variant;

extern const rb_attn_variant rb_attn_gqa;

struct rb_session {
    const rb_model *model;
    rb_session_params params;
    rb_team *team;
    const rb_attn_variant *attn;
    rb_scratchpad pad;
    rb_buffer no_ids; /* stands for ids that a dry run does not know */
    rb_kv_layer *kv;  /* [params.n_layer] */
    int64_t *past;    /* [n_seq], all equal */
    int64_t n_past;
    int64_t n_layer; /* layers to run, of params.n_layer */
    bool (*stop)(void *arg);
    void *stop_arg;
    rb_batch batch;
};

/* Runs session->batch on every thread of the team: the argument of rb_step. */
void rb_forward(rb_exec *ex, void *session);

/* Views of the pad for the current micro-batch: {1, n_seq * n_tok, 1, columns}. */
rb_view rb_pad_rows(const rb_session *s, const rb_buffer *b, int64_t columns);
/* The same rows as {n_seq, n_tok, heads, d}. */
rb_view rb_pad_heads(const rb_session *s, const rb_buffer *b, int64_t heads, int64_t d);

rb_status rb_kv_open(rb_session *s, rb_error *err);
void rb_kv_close(rb_session *s);

#endif
