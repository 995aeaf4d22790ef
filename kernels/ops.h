/* The dictionary of operations: one typed wrapper each, over rb_launch.
 * Shapes are [sequence][token][head][column]; an axis that is not named is 1. All activations are
 * f32. FLOPs are COUNTING's useful work; S is the number of visible (query, key) pairs. */
#ifndef RB_OPS_H
#define RB_OPS_H

#include "launch.h"

/* y[t][H] = w[ids[t]][H]: rows of the embedding. w of any dtype; ids i32, ctrl. 0 FLOPs. */
void rb_op_embed(rb_exec *ex, rb_view y, rb_view w, rb_view ids);

/* y = x / sqrt(mean(x^2) + eps) * w over columns; w is one row. y may be x. rows (4m + 4) FLOPs.
 * Zhang & Sennrich 2019, eq. 4. */
void rb_op_rmsnorm(rb_exec *ex, rb_view y, rb_view x, rb_view w, float eps);

/* One output of a matmul: y[t][M] = x[t][K] . w[M][K]^T (+ bias[M]). w is n = {1, 1, M, K}. */
typedef struct rb_linear {
    rb_view y, w, bias; /* bias.buffer NULL: none */
} rb_linear;
enum { RB_MAX_LINEAR = 3 };
/* 1 to 3 outputs that share x; all w of one dtype. 2 T M K (+ T M) FLOPs each. */
void rb_op_matmul(rb_exec *ex, rb_view x, int n_out, const rb_linear *out);

/* Rotates q and (if present) k in place by their positions: table row p is [cos | sin], d_rot
 * columns; pos[t] i32, ctrl. Views cover just the d_rot rotated columns. 3 heads d_rot FLOPs a
 * token. Su et al. 2021, eq. 34; NORM pairs (2j, 2j+1), NEOX pairs (j, j + d_rot/2). */
void rb_op_rope(rb_exec *ex, rb_view q, rb_view k, rb_view table, rb_view pos,
                rb_rope_pairing pairing);

/* Converts k and v of T new tokens into the cache rows [past, past + T) of each sequence.
 * kc[s][n_ctx][G][d], k[s][T][G][d]; vc and v alike, or both absent. 0 FLOPs. */
void rb_op_kv_store(rb_exec *ex, rb_view kc, rb_view k, rb_view vc, rb_view v, const int64_t *past);

/* Causal attention over a cache: query t of sequence s sees keys [0, past[s] + t + 1).
 * o[s][T][H][d_v], q[s][T][H][d_qk], k[s][n_ctx][G_k][d_k1], k2[s][n_ctx][G_k2][d_qk - d_k1] or
 * absent, v[s][n_ctx][G_v][d_v]; of H, G_k, G_k2, G_v the larger is a multiple of the smaller.
 * 2 d_qk H S + H (5 S + n) + 2 d_v H S FLOPs. Vaswani et al. 2017, eq. 1; online softmax after
 * Milakov & Gimelshein 2018. */
void rb_op_attend(rb_exec *ex, rb_view o, rb_view q, rb_view k, rb_view k2, rb_view v, float scale,
                  const int64_t *past);

/* y = silu(gate) * up, silu(g) = g / (1 + exp(-g)). y may be gate. 4 FLOPs an element.
 * Shazeer 2020, eq. 6. */
void rb_op_silu_gate(rb_exec *ex, rb_view y, rb_view gate, rb_view up);

/* One of the RB_OP_ROOF_* loops over rows[1][n][1][C], p.reps times: fma y = y / 2 + 3/4 (2 FLOPs
 * an element), dot_i8 (2) and dot_bf16 (4) of y with itself (roof.c, roof_bf16.c), exp y = exp(-y)
 * (1), read y[n][1] = sum of x's row by p.streams and p.prefetch (1), copy y = x (0), triad y = x +
 * p.scale z (2), launch y[n][1] = 0 (0; reps RB_ROOF_PHASES: as many phases). Operands that an op
 * has not are absent (buffer NULL). */
void rb_op_roof(rb_exec *ex, rb_op_id op, rb_view y, rb_view x, rb_view z, rb_param p);

/* x += y. 1 FLOP an element. */
void rb_op_add(rb_exec *ex, rb_view x, rb_view y);

#endif
