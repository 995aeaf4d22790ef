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

/* y = (x - mean(x)) / sqrt(var(x) + eps) * w + b over columns; w and b are one row. y may be x.
 * rows (7m + 5) FLOPs. Ba, Kiros & Hinton 2016, eq. 4. */
void rb_op_layernorm(rb_exec *ex, rb_view y, rb_view x, rb_view w, rb_view b, float eps);

/* One output of a matmul: y[t][M] = x[t][K] . w[M][K]^T (+ bias[M]). w is n = {1, 1, M, K}. */
typedef struct rb_linear {
    rb_view y, w, bias; /* bias.buffer NULL: none */
} rb_linear;
enum { RB_MAX_LINEAR = 3 };
/* 1 to 3 outputs that share x; all w of one dtype. 2 T M K (+ T M) FLOPs each. */
void rb_op_matmul(rb_exec *ex, rb_view x, int n_out, const rb_linear *out);

/* One output of a matmul by heads: y[s][t][h][M] = x[s][t][h][K] . w[h][M][K]^T, or where
 * transposed, of w[h][K][M]. x has h heads, or one that all share. */
typedef struct rb_head_linear {
    rb_view y, w; /* w is n = {1, h, rows, columns} */
    bool transposed;
} rb_head_linear;
enum { RB_MAX_HEAD_LINEAR = 2 };
/* 1 or 2 outputs that share x and its heads; all w of one dtype. x is an activation in f32 or rows
 * of a cache in a type that caches may hold. 2 T h M K FLOPs each. */
void rb_op_matmul_heads(rb_exec *ex, rb_view x, int n_out, const rb_head_linear *out);

/* Rotates q and (if present) k in place by their positions: table row p is [cos | sin], d_rot
 * columns; pos[t] i32, ctrl. Views cover just the d_rot rotated columns. 3 heads d_rot FLOPs a
 * token. Su et al. 2021, eq. 34; NORM pairs (2j, 2j+1), NEOX pairs (j, j + d_rot/2). */
void rb_op_rope(rb_exec *ex, rb_view q, rb_view k, rb_view table, rb_view pos,
                rb_rope_pairing pairing);

/* One piece of the cache and the new rows that go there: to[s][n_ctx][G][d], from[s][T][G][d] or,
 * where all G heads get the same, from[s][T][1][d]. */
typedef struct rb_kv_piece {
    rb_view to, from;
} rb_kv_piece;
enum { RB_MAX_KV_PIECE = 3 };
/* Encodes T new tokens as cache rows [past, past + T) of each sequence, 1 to 3 pieces that share
 * sequences and T; each is f32, f16, bf16, q8_0 or q4_0 as its cache is. 0 FLOPs. */
void rb_op_kv_store(rb_exec *ex, int n_piece, const rb_kv_piece *piece, const int64_t *past);

/* Causal attention over a cache: query t of sequence s sees keys [0, past[s] + t + 1).
 * o[s][T][H][d_v], q[s][T][H][d_qk], k[s][n_ctx][G_k][d_k1], k2[s][n_ctx][G_k2][d_qk - d_k1] or
 * absent, v[s][n_ctx][G_v][d_v]; of H, G_k, G_k2, G_v the larger is a multiple of the smaller.
 * With k2, q may come in the same two pieces: q of k's columns, q2 of k2's. v may lie in k's rows.
 * k, k2 and v are each of any type that caches may hold.
 * 2 d_qk H S + H (5 S + n) + 2 d_v H S FLOPs. Vaswani et al. 2017, eq. 1; online softmax after
 * Milakov & Gimelshein 2018. */
typedef struct rb_attend_in {
    rb_view q, q2, k, k2, v;
} rb_attend_in;
void rb_op_attend(rb_exec *ex, rb_view o, const rb_attend_in *in, float scale, const int64_t *past);

/* y = silu(gate) * up, silu(g) = g / (1 + exp(-g)). y may be gate. 4 FLOPs an element.
 * Shazeer 2020, eq. 6. */
void rb_op_silu_gate(rb_exec *ex, rb_view y, rb_view gate, rb_view up);

/* y = sigmoid(gate) * up, sigmoid(g) = 1 / (1 + exp(-g)). y may be up. 4 FLOPs an element. Sun et
 * al. 2025 (GTA), eq. 8. */
void rb_op_sigmoid_gate(rb_exec *ex, rb_view y, rb_view gate, rb_view up);

/* y = max(x, 0)^2. y may be x. 1 FLOP an element. So, Manke et al. 2021 (Primer), sec. 3.1. */
void rb_op_relu2(rb_exec *ex, rb_view y, rb_view x);
/* y = x / 2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), 9 FLOPs, or exactly, x / 2 (1 + erf(x /
 * sqrt(2))), 5 FLOPs an element. y may be x. Hendrycks & Gimpel 2016, sec. 2. */
void rb_op_gelu(rb_exec *ex, rb_view y, rb_view x, bool erf);

/* Which k of E experts each token takes, and how much of each: shares = softmax or sigmoid of
 * logits[n][E]; chosen are the k largest of shares + bias (bias[E] or absent; of equals the lowest
 * index), largest first: id[n][k] i32, ctrl. share[n][k] are the shares without bias, divided by
 * their sum if renorm, times scale unless 1. n (4E + 1) or 3nE FLOPs, + nE with bias, + 2nk, + nk.
 * Shazeer et al. 2017, sec. 2.1; DeepSeek-AI 2024 (V3), eq. 13-16. */
typedef struct rb_route_how {
    rb_gating gating;
    bool renorm;
    float scale;
} rb_route_how;
void rb_op_route(rb_exec *ex, rb_view id, rb_view share, rb_view logits, rb_view bias,
                 rb_route_how how);

/* Feed-forward networks of routed experts, of a shared one, or of both, each W_down (silu(W_gate x)
 * * W_up x). Routed: y[t] = sum over j of share[t][j] of expert id[t][j]; stacks of E experts
 * gate, up {1, 1, E, F H} and down {1, 1, E, H F}: one expert a row. Shared: one expert for every
 * token, shared_gate, shared_up {1, 1, F_s, H}, shared_down {1, 1, H, F_s}; with inp {1, 1, 1, H}
 * times sigmoid(inp . x). Absent parts have buffer NULL. n k (6 H F + 4 F + 2 H) FLOPs, shared
 * n (6 H F_s + 4 F_s), with inp n (3 H + 3) more, both: nH more. Only chosen experts are read. */
typedef struct rb_experts {
    rb_view gate, up, down, id, share;
    rb_view shared_gate, shared_up, shared_down, inp;
} rb_experts;
void rb_op_experts(rb_exec *ex, rb_view y, rb_view x, const rb_experts *e);

/* One of the RB_OP_ROOF_* loops over rows[1][n][1][C], p.reps times: fma y = y / 2 + 3/4 (2 FLOPs
 * an element), dot_i8 (2) and dot_bf16 (4) of y with itself (roof.c, roof_bf16.c), exp y = exp(-y)
 * (1), read y[n][1] = sum of x's row by p.streams and p.prefetch (1), copy y = x (0), triad y = x +
 * p.scale z (2), launch y[n][1] = 0 (0; reps RB_ROOF_PHASES: as many phases). Operands that an op
 * has not are absent (buffer NULL). */
void rb_op_roof(rb_exec *ex, rb_op_id op, rb_view y, rb_view x, rb_view z, rb_param p);

/* x += y. 1 FLOP an element. */
void rb_op_add(rb_exec *ex, rb_view x, rb_view y);

#endif
