/* Attention and whole dense models in double. K and V are made of all tokens at once, in whatever
 * form the model has them; the softmax is the same for all.
 * Read next: test_attn_convert.c. */
#include "ref_attn.h"

#include "ref_at.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double *take(int64_t n)
{
    double *p = calloc((size_t)(n > 0 ? n : 1), sizeof *p);
    if (!p)
        abort();
    return p;
}

double ref_relative(const double *a, const double *b, int64_t n)
{
    double d = 0, s = 0;
    for (int64_t i = 0; i < n; i++) {
        d += (a[i] - b[i]) * (a[i] - b[i]);
        s += b[i] * b[i];
    }
    return sqrt(d / s);
}

/* y[t] = W x[t] + b: the matrix of head h of w, w's rows [first, first + n). x of stride cols. */
static void linear(double *y, int64_t y_step, const double *x, int64_t x_step, int64_t n_tok,
                   const rb_view *w, int64_t h, int64_t first, int64_t n, bool transposed,
                   const rb_view *b)
{
    const int64_t in = transposed ? w->n[2] : w->n[3];
    for (int64_t i = 0; i < n; i++) {
        double *row = take(in);
        for (int64_t k = 0; k < in; k++)
            row[k] = transposed ? ref_at(w, 0, h, k, first + i) : ref_at(w, 0, h, first + i, k);
        for (int64_t t = 0; t < n_tok; t++) {
            double sum = b && b->buffer ? ref_at(b, 0, 0, 0, first + i) : 0;
            for (int64_t k = 0; k < in; k++)
                sum += row[k] * x[t * x_step + k];
            y[t * y_step + i] = sum;
        }
        free(row);
    }
}

static void rms(double *x, int64_t n, const rb_view *w, double eps)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    for (int64_t i = 0; i < n; i++)
        x[i] *= ref_at(w, 0, 0, 0, i) / sqrt(sum / (double)n + eps);
}

double ref_turn(const rb_model *m, int64_t layer, int64_t j)
{
    const rb_config *c = &m->config;
    const double d = (double)(c->d_freq ? c->d_freq : c->d_rot);
    const rb_view *pairs = &m->layer[layer].rope_pairs;
    const int64_t pair = pairs->buffer ? (int64_t)ref_at(pairs, 0, 0, 0, j) : j;
    return pow((double)c->rope_base, -2 * (double)pair / d) / rb_rope_divisor(m, pair);
}

static void rotate(const rb_model *m, int64_t layer, double *x, int64_t pos)
{
    const rb_config *c = &m->config;
    const double by = rb_rope_magnitude(c);
    const bool norm = c->rope_pairing == RB_ROPE_NORM;
    for (int64_t j = 0; j < c->d_rot / 2; j++) {
        double *a = x + (norm ? 2 * j : j), *b = x + (norm ? 2 * j + 1 : j + c->d_rot / 2);
        const double turn = ref_turn(m, layer, j) * (double)pos, p = *a, q = *b;
        *a = by * (p * cos(turn) - q * sin(turn));
        *b = by * (p * sin(turn) + q * cos(turn));
    }
}

/* q, k and v of every head and token, k already repeated for each of n_head. */
typedef struct heads {
    double *q, *k, *v; /* [T][n_head][d] */
} heads;

/* Norm, where heads have one, and rotation of one head. */
static void finish(const rb_model *m, int64_t l, double *x, const rb_view *norm, int64_t d,
                   int64_t t)
{
    if (m->config.qk_norm)
        rms(x, d, norm, (double)m->config.norm_eps);
    rotate(m, l, x, t);
}

static void grouped_heads(const rb_model *m, int64_t l, const double *x, int64_t n_tok, heads *s)
{
    const rb_config *c = &m->config;
    const rb_layer *w = &m->layer[l];
    const int64_t n = c->n_head, d = c->d_head_k, dv = c->d_head_v, h = c->n_embd;
    const int64_t n_v = c->n_head_v ? c->n_head_v : c->n_head_kv;
    const bool fused = w->wqkv.buffer != NULL;
    const rb_view *wk = fused ? &w->wqkv : &w->wk, *bk = fused ? &w->bqkv : &w->bk;
    const rb_view *wv = fused ? &w->wqkv : &w->wv, *bv = fused ? &w->bqkv : &w->bv;
    const int64_t k0 = fused ? n * d : 0, v0 = fused ? (n + c->n_head_kv) * d : 0;
    linear(s->q, n * d, x, h, n_tok, fused ? &w->wqkv : &w->wq, 0, 0, n * d, false,
           fused ? &w->bqkv : &w->bq);
    for (int64_t i = 0; i < n; i++) {
        linear(s->k + i * d, n * d, x, h, n_tok, wk, 0, k0 + i * c->n_head_kv / n * d, d, false,
               bk);
        linear(s->v + i * dv, n * dv, x, h, n_tok, wv, 0, v0 + i * n_v / n * dv, dv, false, bv);
    }
    for (int64_t i = 0; i < n_tok * n; i++) {
        finish(m, l, s->q + i * d, &w->q_norm, d, i / n);
        finish(m, l, s->k + i * d, &w->k_norm, d, i / n);
    }
}

static void late_heads(const rb_model *m, int64_t l, const double *x, int64_t n_tok, heads *s)
{
    const rb_config *c = &m->config;
    const rb_layer *w = &m->layer[l];
    const int64_t n = c->n_head, d = c->d_head_k, dv = c->d_head_v, r = c->kv_lora_rank;
    double *z = take(n_tok * r);
    linear(z, r, x, c->n_embd, n_tok, &w->wkv_a, 0, 0, r, false, &w->bkv_a);
    linear(s->q, n * d, x, c->n_embd, n_tok, &w->wq, 0, 0, n * d, false, &w->bq);
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = i * c->n_head_kv / n * (d + dv);
        linear(s->k + i * d, n * d, z, r, n_tok, &w->wkv_b, 0, row, d, false, NULL);
        linear(s->v + i * dv, n * dv, z, r, n_tok, &w->wkv_b, 0, row + d, dv, false, NULL);
    }
    for (int64_t i = 0; i < n_tok * n; i++) {
        finish(m, l, s->q + i * d, &w->q_norm, d, i / n);
        finish(m, l, s->k + i * d, &w->k_norm, d, i / n);
    }
    free(z);
}

/* A plain latent, W_UK transposed and W_UV by heads; the key that heads share in blocks or one. */
static void latent_heads(const rb_model *m, int64_t l, const double *x, int64_t n_tok, heads *s)
{
    const rb_config *c = &m->config;
    const rb_layer *w = &m->layer[l];
    const int64_t n = c->n_head, d = c->d_head_k, dv = c->d_head_v, r = c->kv_lora_rank;
    const int64_t blocks = c->n_key_block ? c->n_key_block : 1;
    const int64_t shared = c->n_key_block ? d : c->d_rot, nope = d - shared, wide = shared / blocks;
    double *z = take(n_tok * (r + shared));
    linear(z, r + shared, x, c->n_embd, n_tok, &w->wkv_a, 0, 0, r + shared, false, &w->bkv_a);
    linear(s->q, n * d, x, c->n_embd, n_tok, &w->wq, 0, 0, n * d, false, &w->bq);
    for (int64_t t = 0; t < n_tok; t++)
        for (int64_t b = 0; b < blocks; b++) {
            finish(m, l, z + t * (r + shared) + r + b * wide, &w->k_norm, wide, t);
            for (int64_t i = 0; i < n; i++)
                finish(m, l, s->q + (t * n + i) * d + nope + b * wide, &w->q_norm, wide, t);
        }
    for (int64_t i = 0; i < n; i++) {
        if (nope)
            linear(s->k + i * d, n * d, z, r + shared, n_tok, &w->wk_b, i, 0, nope, true, NULL);
        linear(s->v + i * dv, n * dv, z, r + shared, n_tok, &w->wv_b, i, 0, dv, false, NULL);
        for (int64_t t = 0; t < n_tok; t++)
            memcpy(s->k + (t * n + i) * d + nope, z + t * (r + shared) + r,
                   (size_t)shared * sizeof *z);
    }
    free(z);
}

/* Causal softmax over the keys of one head and query, and the sum of values. */
static void attend(const heads *s, const rb_config *c, double scale, int64_t t, int64_t h,
                   double *to)
{
    const int64_t n = c->n_head, d = c->d_head_k, dv = c->d_head_v;
    double *p = take(t + 1), best = -INFINITY, sum = 0;
    for (int64_t j = 0; j <= t; j++) {
        for (int64_t i = 0; i < d; i++)
            p[j] += scale * s->q[(t * n + h) * d + i] * s->k[(j * n + h) * d + i];
        best = fmax(best, p[j]);
    }
    for (int64_t j = 0; j <= t; j++)
        sum += p[j] = exp(p[j] - best);
    for (int64_t j = 0; j <= t; j++)
        for (int64_t i = 0; i < dv; i++)
            to[i] += p[j] / sum * s->v[(j * n + h) * dv + i];
    free(p);
}

/* Values of a map decoded by its own matrix, behind a gate of the token; frees mix. */
static double *decode(const rb_model *m, int64_t layer, const double *x, int64_t n_tok, double *mix)
{
    const rb_config *c = &m->config;
    const rb_layer *w = &m->layer[layer];
    const int64_t n = c->n_head, e = c->d_value_up, dv = c->d_head_v;
    double *up = take(n_tok * n * e), *gate = take(n_tok * n * e);
    for (int64_t h = 0; h < n; h++)
        linear(up + h * e, n * e, mix + h * dv, n * dv, n_tok, &w->wv_b, h, 0, e, false, NULL);
    linear(gate, n * e, x, c->n_embd, n_tok, &w->w_attn_gate, 0, 0, n * e, false, &w->b_attn_gate);
    for (int64_t i = 0; i < n_tok * n * e; i++)
        up[i] /= 1 + exp(-gate[i]);
    free(gate);
    free(mix);
    return up;
}

void ref_attention(const rb_model *m, int64_t layer, const double *x, int64_t n_tok, double *o)
{
    const rb_config *c = &m->config;
    const int64_t n = c->n_head, dv = c->d_head_v;
    heads s = { take(n_tok * n * c->d_head_k), take(n_tok * n * c->d_head_k),
                take(n_tok * n * dv) };
    double *mix = take(n_tok * n * dv);
    const double scale = c->attn_scale > 0 ? (double)c->attn_scale : 1 / sqrt((double)c->d_head_k);
    (c->late_rope      ? late_heads
     : c->kv_lora_rank ? latent_heads
                       : grouped_heads)(m, layer, x, n_tok, &s);
    for (int64_t t = 0; t < n_tok; t++)
        for (int64_t h = 0; h < n; h++)
            attend(&s, c, scale, t, h, mix + (t * n + h) * dv);
    const int64_t out = c->d_value_up ? c->d_value_up : dv;
    if (c->d_value_up)
        mix = decode(m, layer, x, n_tok, mix);
    linear(o, c->n_embd, mix, n * out, n_tok, &m->layer[layer].wo, 0, 0, c->n_embd, false,
           &m->layer[layer].bo);
    free(s.q);
    free(s.k);
    free(s.v);
    free(mix);
}

/* ---- whole models ---- */

static void norm(const rb_config *c, double *y, const double *x, int64_t n_tok, const rb_view *w,
                 const rb_view *b)
{
    const int64_t n = c->n_embd;
    for (int64_t t = 0; t < n_tok; t++, x += n, y += n) {
        double mean = 0, square = 0;
        for (int64_t i = 0; b->buffer && i < n; i++)
            mean += x[i] / (double)n;
        for (int64_t i = 0; i < n; i++)
            square += (x[i] - mean) * (x[i] - mean) / (double)n;
        for (int64_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) / sqrt(square + (double)c->norm_eps) * ref_at(w, 0, 0, 0, i) +
                   (b->buffer ? ref_at(b, 0, 0, 0, i) : 0);
    }
}

static double gelu(double x)
{
    return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static void feed_forward(const rb_config *c, const rb_layer *w, const double *x, int64_t n_tok,
                         double *y)
{
    double *up = take(n_tok * c->n_ff), *gate = take(n_tok * c->n_ff);
    linear(up, c->n_ff, x, c->n_embd, n_tok, &w->w_up, 0, 0, c->n_ff, false, &w->b_up);
    if (w->w_gate.buffer)
        linear(gate, c->n_ff, x, c->n_embd, n_tok, &w->w_gate, 0, 0, c->n_ff, false, NULL);
    for (int64_t i = 0; i < n_tok * c->n_ff; i++)
        up[i] = w->w_gate.buffer ? up[i] * gate[i] / (1 + exp(-gate[i])) : gelu(up[i]);
    linear(y, c->n_embd, up, c->n_ff, n_tok, &w->w_down, 0, 0, c->n_embd, false, &w->b_down);
    free(up);
    free(gate);
}

void ref_forward(const rb_model *m, const int32_t *ids, int64_t n_tok, double *logits)
{
    const rb_config *c = &m->config;
    const int64_t n = n_tok * c->n_embd;
    double *x = take(n), *normed = take(n), *y = take(n), *z = take(n);
    for (int64_t i = 0; i < n; i++)
        x[i] = ref_at(&m->tok_embd, 0, 0, ids[i / c->n_embd], i % c->n_embd);
    for (int64_t l = 0; l < c->n_layer; l++) {
        const rb_layer *w = &m->layer[l];
        norm(c, normed, x, n_tok, &w->attn_norm, &w->attn_norm_b);
        ref_attention(m, l, normed, n_tok, y);
        for (int64_t i = 0; i < n; i++)
            z[i] = x[i] + y[i];
        norm(c, normed, c->parallel_residual ? x : z, n_tok, &w->ffn_norm, &w->ffn_norm_b);
        feed_forward(c, w, normed, n_tok, y);
        for (int64_t i = 0; i < n; i++)
            x[i] = z[i] + y[i];
    }
    norm(c, normed, x, n_tok, &m->out_norm, &m->out_norm_b);
    linear(logits, c->n_vocab, normed, c->n_embd, n_tok, &m->output, 0, 0, c->n_vocab, false, NULL);
    free(x);
    free(normed);
    free(y);
    free(z);
}
