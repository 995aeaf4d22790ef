/* What a session is made of, for the files of engine/ alone: cache, pad, batch, attention variant.
 * Refuses to be included from elsewhere; engine.h is the outside.
 * Read next: forward.c (the pass), session.c (opening and running). */
#ifndef RB_SESSION_H
#define RB_SESSION_H

#include "engine.h"

/* One layer's cache: two tensors, in memory [n_seq][heads][n_ctx][columns], each in its own buffer.
 * K and V of every head; or the latent (k) and the rotated key that all heads share (v). */
typedef struct rb_kv_layer {
    rb_buffer k_buffer, v_buffer;
    rb_view k, v;
} rb_kv_layer;

/* Activations, allocated once for the largest micro-batch; nothing but buffers. All f32 rows of
 * n_seq * n_ubatch tokens unless it says so. What a model does not need has no bytes. */
typedef struct rb_scratchpad {
    rb_buffer x, normed, y;
    rb_buffer attn_in; /* kept: what attention reads, layer by layer */
    rb_buffer q, k, v, qkv, o;
    rb_buffer q_a, kv_a; /* latent attention: what q comes from, the latent and rotated key */
    rb_buffer kv;        /* ... K and V expanded: of the new tokens, or of the whole context */
    rb_buffer q_latent, o_head; /* ... absorbed: q in the latent's space, and o out of it */
    rb_buffer attn_gate;        /* grouped-tied attention; what it decodes is o_head */
    rb_buffer gate, up;
    rb_buffer own[RB_MAX_PAD];       /* of a variant from outside */
    rb_buffer router, share, shared; /* scores and shares of experts; the shared expert's y */
    rb_buffer expert;                /* ctrl, i32: ids of the chosen experts */
    rb_buffer last, logits;          /* [n_seq * n_logits] rows */
    rb_buffer ids, pos, key_pos;     /* ctrl, i32; real memory even in a dry session */
    rb_buffer rope_table;            /* [n_ctx] rows; of each layer where angles are its own */
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

extern const rb_attn_variant rb_attn_gqa, rb_attn_mla_naive_full, rb_attn_mla_naive_latent,
    rb_attn_mla_absorbed, rb_attn_lrkv, rb_attn_gta;

struct rb_session {
    const rb_model *model;
    rb_session_params params;
    rb_team *team;
    rb_team *planner; /* dry: what orders of attention would cost; NULL where there is no choice */
    rb_attn attn; /* of the current call: never RB_ATTN_OWN of a latent model, nor RB_ATTN_MLA */
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

/* ---- forward.c, ffn.c ---- */

/* Runs session->batch on every thread of the team: the argument of rb_step. */
void rb_forward(rb_exec *ex, void *session);
/* The attention of the first layer alone, for the planner. */
void rb_forward_attention(rb_exec *ex, void *session);

/* y = FFN(x) of one layer, dense or of experts. */
void rb_feed_forward(const rb_session *s, rb_exec *ex, int64_t layer, rb_view x, rb_view y);

/* One launch for n matrices that read x, booked at site; where launches are kept apart, or weights
 * are of several dtypes, one each, booked at each[i]. */
void rb_linears(const rb_session *s, rb_exec *ex, rb_view x, rb_site site, int n,
                const rb_linear *out, const rb_site *each);

/* ---- attn.c ---- */

/* What executes attention in that order. */
const rb_attn_variant *rb_attn_variant_of(const rb_session *s, rb_attn attn);
/* The shape of variants that cache K and V by heads, and of those that cache a latent. */
rb_attn_geom rb_attn_geom_heads(const rb_config *c);
rb_attn_geom rb_attn_geom_latent(const rb_config *c);
/* The order that s->params.attn means for the current batch. */
rb_attn rb_attn_choose(rb_session *s);
/* The i-th order that calls may take, RB_N_ATTN past the last. */
rb_attn rb_attn_possible(const rb_session *s, int i);
/* K (but for its shared columns, which may be all) and V of every head, from latents c. */
void rb_attn_expand(const rb_session *s, rb_exec *ex, const rb_layer *w, rb_view c, rb_view kv);

/* ---- pad.c ---- */

/* Views of the pad for the current micro-batch: {1, n_seq * n_tok, 1, columns}. */
rb_view rb_pad_rows(const rb_session *s, const rb_buffer *b, int64_t columns);
/* What attention of a layer reads: rows of its own where inputs are kept. */
rb_view rb_pad_attn_input(const rb_session *s, int64_t layer);
/* The same rows as {n_seq, n_tok, heads, d}. */
rb_view rb_pad_heads(const rb_session *s, const rb_buffer *b, int64_t heads, int64_t d);
/* Rotary angles of every position, and where the tokens of the micro-batch stand; where K is
 * rotated late, where all keys stand: [n_seq][n_keys]. */
rb_view rb_pad_rope_table(const rb_session *s, int64_t layer);
rb_view rb_pad_positions(const rb_session *s);
rb_view rb_pad_key_positions(const rb_session *s);
rb_status rb_pad_open(rb_session *s, rb_error *err);
void rb_pad_close(rb_session *s);
int64_t rb_pad_bytes(const rb_session *s);
void rb_rope_fill(rb_session *s);

/* ---- kv.c ---- */

/* The cache of every layer, zeroed, in the types of s->params; a dry session gets its shapes
 * only. RB_ERR_UNSUPPORTED where rows are no whole blocks of a type. */
rb_status rb_kv_open(rb_session *s, rb_error *err);
void rb_kv_close(rb_session *s);

#endif
