/* The reference: one plain loop nest per op, in double, over decoded operands.
 * Tolerances are c eps sqrt(K) sum |terms|, a statistical bound on rounding with room for order.
 * Read next: test_kernels.c. */
#include "ref_at.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

double ref_at(const rb_view *v, int64_t s, int64_t t, int64_t h, int64_t i)
{
    enum { MOST = 256 };
    if (v->dtype == RB_F32)
        return (double)((const float *)rb_at(v, s, t, h))[i];
    const rb_dtype_info *d = rb_dtype_get(v->dtype);
    float block[MOST];
    rb_decode_row(v->dtype, block, rb_at(v, s, t, h) + i / d->block * d->block_bytes, d->block);
    return (double)block[i % d->block];
}

int32_t ref_index(const rb_view *v, int64_t i)
{
    return ((const int32_t *)rb_at(v, 0, 0, 0))[i];
}

void ref_expect(ref_report *r, double got, double want, double tol, const char *what, int64_t t,
                int64_t i)
{
    if (r->bad || fabs(got - want) <= tol)
        return;
    r->bad = true;
    snprintf(r->buf, r->size, "%s[%lld][%lld] is %.9g, should be %.9g +- %.3g", what, (long long)t,
             (long long)i, got, want, tol);
}

static void check_embed(const rb_call *b, const rb_call *a, ref_report *r)
{
    const rb_view *y = &a->t[0];
    for (int64_t t = 0; t < y->n[1]; t++)
        for (int64_t i = 0; i < y->n[3]; i++)
            ref_expect(r, ref_at(y, 0, t, 0, i), ref_at(&b->t[1], 0, 0, ref_index(&b->t[2], t), i),
                       0, "y", t, i);
}

static void check_rmsnorm(const rb_call *b, const rb_call *a, ref_report *r)
{
    const rb_view *x = &b->t[1];
    const int64_t m = x->n[3];
    for (int64_t s = 0; s < x->n[0]; s++)
        for (int64_t t = 0; t < x->n[1]; t++)
            for (int64_t h = 0; h < x->n[2]; h++) {
                double sum = 0;
                for (int64_t i = 0; i < m; i++)
                    sum += ref_at(x, s, t, h, i) * ref_at(x, s, t, h, i);
                const double inv = 1 / sqrt(sum / (double)m + (double)b->p.eps);
                for (int64_t i = 0; i < m; i++) {
                    const double want = ref_at(x, s, t, h, i) * inv * ref_at(&b->t[2], 0, 0, 0, i);
                    ref_expect(r, ref_at(&a->t[0], s, t, h, i), want,
                               (4 + sqrt((double)m)) * EPS * fabs(want) + TINY, "y", t, i);
                }
            }
}

/* x as an integer row sees it: per block of 32, round(x 127 / max|x|) max|x| / 127, in f32. */
static void quantise(float *x, int64_t n)
{
    for (int64_t b = 0; b < n; b += 32) {
        float top = 1e-30f;
        for (int64_t i = b; i < b + 32; i++)
            top = fmaxf(top, fabsf(x[i]));
        const float by = 127.0f / top, d = top * (float)(1.0 / 127.0);
        for (int64_t i = b; i < b + 32; i++)
            x[i] = nearbyintf(x[i] * by) * d;
    }
}

/* The rows of a matrix, which may be packed in panels, as floats [M][K]. */
static float *weight_rows(const rb_view *w)
{
    const rb_dtype_info *d = rb_dtype_get(w->dtype);
    const int64_t rows = d->panel_rows, n = w->n[3] / rows;
    float *all = malloc((size_t)(w->n[2] * w->n[3]) * sizeof *all);
    float *panel = malloc((size_t)w->n[3] * sizeof *panel);
    for (int64_t p = 0; p < w->n[2]; p++) {
        rb_decode_row(w->dtype, panel, rb_at(w, 0, 0, p), w->n[3]);
        for (int64_t i = 0; i < w->n[3]; i++)
            all[(p * rows + i % rows) * n + i / rows] = panel[i];
    }
    free(panel);
    return all;
}

/* Types whose integer rows sum scale * q * x and min * x apart: each may be far larger than w x. */
static bool has_minimum(rb_dtype t)
{
    static const rb_dtype with[] = { RB_Q4_1, RB_Q5_1, RB_Q2_K, RB_Q4_K, RB_Q5_K };
    for (size_t i = 0; i < sizeof with / sizeof *with; i++)
        if (rb_dtype_get(t)->base == with[i])
            return true;
    return false;
}

static void matmul_row(const rb_call *b, const rb_call *a, int o, int64_t m, const float *row,
                       rb_rounding act, ref_report *r)
{
    const rb_view *x = &b->t[0], *bias = &b->t[3 + 3 * o];
    const int64_t n = x->n[3];
    float *xt = malloc((size_t)n * sizeof *xt);
    double beside = 0; /* the largest minimum there can be */
    for (int64_t k = 0; act == RB_ACT_I8 && has_minimum(b->t[2].dtype) && k < n; k++)
        beside = fmax(beside, 2 * fabs((double)row[k]));
    for (int64_t s = 0; s < x->n[0]; s++)
        for (int64_t t = 0; t < x->n[1]; t++) {
            memcpy(xt, rb_at(x, s, t, 0), (size_t)n * sizeof *xt);
            if (act == RB_ACT_I8)
                quantise(xt, n);
            for (int64_t k = 0; act == RB_ACT_BF16 && k < n; k++)
                xt[k] = rb_bf16_to_f32(rb_f32_to_bf16(xt[k]));
            double sum = bias->buffer ? ref_at(bias, 0, 0, 0, m) : 0, size = fabs(sum);
            double lost = TINY;
            for (int64_t k = 0; k < n; k++) {
                const double w = (double)row[k], v = (double)xt[k];
                sum += w * v;
                size += (fabs(w) + beside) * fabs(v);
                if (act == RB_ACT_BF16) /* the CPU's dot products of bf16 know no denormals */
                    lost += (double)FLT_MIN * (1 + fabs(w) + fabs(v));
            }
            ref_expect(r, ref_at(&a->t[1 + 3 * o], s, t, 0, m), sum,
                       EPS * (4 + 2 * sqrt((double)n)) * size + lost, "y", t, m);
        }
    free(xt);
}

static void check_matmul(const rb_call *b, const rb_call *a, rb_rounding act, ref_report *r)
{
    for (int o = 0; o < 3 && b->t[2 + 3 * o].buffer; o++) {
        float *w = weight_rows(&b->t[2 + 3 * o]);
        for (int64_t m = 0; m < b->t[1 + 3 * o].n[3]; m++)
            matmul_row(b, a, o, m, w + m * b->t[0].n[3], act, r);
        free(w);
    }
}

/* Makes of an operand the same in f32, in memory of its own, to be freed: blocks would else be
 * decoded for each of their elements. */
static void decode_operand(rb_view *v, rb_buffer *b)
{
    *b = (rb_buffer){ NULL, (size_t)rb_view_elements(v) * sizeof(float) };
    if (!v->buffer)
        return;
    float *to = b->data = malloc(b->bytes);
    for (int64_t s = 0; s < v->n[0]; s++)
        for (int64_t t = 0; t < v->n[1]; t++)
            for (int64_t h = 0; h < v->n[2]; h++, to += v->n[3])
                rb_decode_row(v->dtype, to, rb_at(v, s, t, h), v->n[3]);
    *v = rb_view_dense(b, RB_F32, v->stream, 0, v->n[0], v->n[1], v->n[2], v->n[3]);
}

/* One head's matrix as [out][in], decoded row by row. */
static double *head_matrix(const rb_view *w, int64_t h, bool transposed)
{
    float *row = malloc((size_t)w->n[3] * sizeof *row);
    double *m = malloc((size_t)(w->n[2] * w->n[3]) * sizeof *m);
    for (int64_t i = 0; i < w->n[2]; i++) {
        rb_decode_row(w->dtype, row, rb_at(w, 0, h, i), w->n[3]);
        for (int64_t k = 0; k < w->n[3]; k++)
            m[transposed ? k * w->n[2] + i : i * w->n[3] + k] = (double)row[k];
    }
    free(row);
    return m;
}

static void check_head(const rb_call *b, const rb_call *a, int o, int64_t h, ref_report *r)
{
    const rb_view *x = &b->t[0], *y = &a->t[1 + 2 * o];
    double *m = head_matrix(&b->t[2 + 2 * o], h, b->p.transposed >> o & 1);
    for (int64_t u = 0; u < y->n[0] * y->n[1] * y->n[3]; u++) {
        const int64_t i = u % y->n[3], t = u / y->n[3] % y->n[1], s = u / y->n[3] / y->n[1];
        double sum = 0, size = 0;
        for (int64_t k = 0; k < x->n[3]; k++) {
            const double term = m[i * x->n[3] + k] * ref_at(x, s, t, x->n[2] == 1 ? 0 : h, k);
            sum += term;
            size += fabs(term);
        }
        ref_expect(r, ref_at(y, s, t, h, i), sum,
                   EPS * (4 + 2 * sqrt((double)x->n[3])) * size + TINY, "y", t, i);
    }
    free(m);
}

static void check_matmul_heads(const rb_call *b, const rb_call *a, ref_report *r)
{
    rb_call plain = *b;
    rb_buffer memory;
    decode_operand(&plain.t[0], &memory);
    for (int o = 0; o < 2; o++)
        for (int64_t h = 0; b->t[2 + 2 * o].buffer && h < b->t[2 + 2 * o].n[1]; h++)
            check_head(&plain, a, o, h, r);
    free(memory.data);
}

static void check_rope(const rb_call *b, const rb_call *a, ref_report *r)
{
    const int64_t half = b->t[0].n[3] / 2;
    for (int o = 0; o < 2; o++) {
        const rb_view *x = &b->t[o];
        for (int64_t s = 0; x->buffer && s < x->n[0]; s++)
            for (int64_t t = 0; t < x->n[1]; t++)
                for (int64_t h = 0; h < x->n[2]; h++)
                    for (int64_t j = 0; j < half; j++) {
                        const bool neox = b->p.pairing == RB_ROPE_NEOX;
                        const int64_t i0 = neox ? j : 2 * j, i1 = neox ? j + half : 2 * j + 1;
                        const int64_t pos = ref_index(&b->t[3], s * x->n[1] + t);
                        const double co = ref_at(&b->t[2], 0, 0, pos, j);
                        const double si = ref_at(&b->t[2], 0, 0, pos, half + j);
                        const double x0 = ref_at(x, s, t, h, i0), x1 = ref_at(x, s, t, h, i1);
                        const double tol =
                            2 * EPS * (fabs(x0) + fabs(x1)) * (fabs(co) + fabs(si)) + TINY;
                        ref_expect(r, ref_at(&a->t[o], s, t, h, i0), x0 * co - x1 * si, tol, "x", t,
                                   i0);
                        ref_expect(r, ref_at(&a->t[o], s, t, h, i1), x0 * si + x1 * co, tol, "x", t,
                                   i1);
                    }
    }
}

/* Rows of a cache are the bytes that its type's encoder makes. */
static void check_kv_row(const rb_view *to, const char *got, const float *from, int64_t t,
                         ref_report *r)
{
    enum { MOST = 1 << 12 };
    uint8_t want[MOST];
    const int64_t n = rb_row_bytes(to->dtype, to->n[3]);
    if (n > MOST)
        abort();
    rb_encode_row(to->dtype, want, from, to->n[3]);
    for (int64_t i = 0; i < n; i++)
        ref_expect(r, (double)(uint8_t)got[i], (double)want[i], 0, "byte of the cache", t, i);
}

static void check_kv_store(const rb_call *b, const rb_call *a, ref_report *r)
{
    for (int o = 0; o < 6; o += 2) {
        const rb_view *to = &a->t[o], *from = &b->t[o + 1];
        for (int64_t s = 0; from->buffer && s < from->n[0]; s++)
            for (int64_t t = 0; t < from->n[1]; t++)
                for (int64_t h = 0; h < to->n[2]; h++)
                    check_kv_row(to, rb_at(to, s, b->past[s] + t, h),
                                 (const float *)rb_at(from, s, t, from->n[2] == 1 ? 0 : h), t, r);
    }
}

/* One query row: double softmax over the visible keys. */
static void check_attend_row(const rb_call *b, const rb_call *a, int64_t s, int64_t t, int64_t h,
                             ref_report *r)
{
    const rb_view *q = &b->t[1], *k = &b->t[2], *k2 = &b->t[3], *v = &b->t[4], *q2 = &b->t[5];
    const int64_t n = b->past[s] + t + 1, d1 = k->n[3], d = d1 + (k2->buffer ? k2->n[3] : 0);
    double *p = malloc((size_t)n * sizeof *p), best = -INFINITY, sum = 0, shake = 0;
    for (int64_t j = 0; j < n; j++) {
        double dot = 0, size = 0;
        for (int64_t i = 0; i < d; i++) {
            const double kv = i < d1 ? ref_at(k, s, j, h * k->n[2] / q->n[2], i)
                                     : ref_at(k2, s, j, h * k2->n[2] / q->n[2], i - d1);
            const double qi =
                q2->buffer && i >= d1 ? ref_at(q2, s, t, h, i - d1) : ref_at(q, s, t, h, i);
            dot += qi * kv;
            size += fabs(qi * kv);
        }
        p[j] = dot * (double)b->p.scale;
        best = fmax(best, p[j]);
        shake = fmax(shake, size * (double)b->p.scale * EPS * (4 + 2 * sqrt((double)d)));
    }
    for (int64_t j = 0; j < n; j++)
        sum += p[j] = exp(p[j] - best);
    for (int64_t i = 0; i < v->n[3]; i++) {
        double want = 0, size = 0;
        for (int64_t j = 0; j < n; j++) {
            const double term = p[j] / sum * ref_at(v, s, j, h * v->n[2] / q->n[2], i);
            want += term;
            size += fabs(term);
        }
        ref_expect(r, ref_at(&a->t[0], s, t, h, i), want,
                   size * (2 * shake + EPS * (16 + 4 * sqrt((double)n))) + TINY, "o", t, i);
    }
    free(p);
}

static void check_attend(const rb_call *b, const rb_call *a, ref_report *r)
{
    enum { K = 2, V = 4 };
    const rb_view *q = &b->t[1];
    rb_call plain = *b;
    rb_buffer memory[V + 1];
    for (int i = K; i <= V; i++)
        decode_operand(&plain.t[i], &memory[i]);
    for (int64_t s = 0; s < q->n[0]; s++)
        for (int64_t t = 0; t < q->n[1]; t++)
            for (int64_t h = 0; h < q->n[2]; h++)
                check_attend_row(&plain, a, s, t, h, r);
    for (int i = K; i <= V; i++)
        free(memory[i].data);
}

static void check_silu_gate(const rb_call *b, const rb_call *a, ref_report *r)
{
    const rb_view *y = &a->t[0];
    for (int64_t t = 0; t < y->n[1]; t++)
        for (int64_t i = 0; i < y->n[3]; i++) {
            const double g = ref_at(&b->t[1], 0, t, 0, i);
            const double want = g / (1 + exp(-g)) * ref_at(&b->t[2], 0, t, 0, i);
            ref_expect(r, ref_at(y, 0, t, 0, i), want, 8 * EPS * fabs(want) + TINY, "y", t, i);
        }
}

static void check_sigmoid_gate(const rb_call *b, const rb_call *a, ref_report *r)
{
    const rb_view *y = &a->t[0];
    for (int64_t t = 0; t < y->n[1]; t++)
        for (int64_t i = 0; i < y->n[3]; i++) {
            const double g = ref_at(&b->t[1], 0, t, 0, i);
            const double want = ref_at(&b->t[2], 0, t, 0, i) / (1 + exp(-g));
            ref_expect(r, ref_at(y, 0, t, 0, i), want, 8 * EPS * fabs(want) + TINY, "y", t, i);
        }
}

static void check_add(const rb_call *b, const rb_call *a, ref_report *r)
{
    const rb_view *x = &b->t[0];
    for (int64_t t = 0; t < x->n[1]; t++)
        for (int64_t i = 0; i < x->n[3]; i++)
            ref_expect(r, ref_at(&a->t[0], 0, t, 0, i),
                       (double)((float)ref_at(x, 0, t, 0, i) + (float)ref_at(&b->t[1], 0, t, 0, i)),
                       0, "x", t, i);
}

/* y = y / 2 + 3/4 again and again: errors of one step are halved by the next. */
static void check_roof_fma(const rb_call *b, const rb_call *a, ref_report *r)
{
    const rb_view *y = &b->t[0];
    for (int64_t t = 0; t < y->n[1]; t++)
        for (int64_t i = 0; i < y->n[3]; i++) {
            double want = ref_at(y, 0, t, 0, i);
            for (int64_t k = 0; k < b->p.reps; k++)
                want = want / 2 + 0.75;
            ref_expect(r, ref_at(&a->t[0], 0, t, 0, i), want, 4 * EPS * (fabs(want) + 1), "y", t,
                       i);
        }
}

/* y becomes bytes; a column the sum of its lane's four products with the row's first four, of which
 * negative ones are 0. */
static void check_roof_dot_i8(const rb_call *b, const rb_call *a, ref_report *r)
{
    const rb_view *y = &b->t[0];
    const int64_t sums = y->n[3] / 4;
    for (int64_t t = 0; t < y->n[1]; t++)
        for (int64_t i = 0; i < y->n[3]; i++) {
            double sum = 0;
            for (int64_t k = 0; k < 4; k++)
                sum += nearbyint(ref_at(y, 0, t, 0, 4 * (i % sums) + k)) *
                       fmax(0, nearbyint(ref_at(y, 0, t, 0, k)));
            ref_expect(r, ref_at(&a->t[0], 0, t, 0, i), sum * (double)b->p.reps, 0, "y", t, i);
        }
}

/* The instruction takes denormals for zero. */
static void check_roof_dot_bf16(const rb_call *b, const rb_call *a, ref_report *r)
{
    const rb_view *y = &b->t[0];
    for (int64_t t = 0; t < y->n[1]; t++)
        for (int64_t i = 0; i < y->n[3]; i++) {
            const float x = (float)ref_at(y, 0, t, 0, i);
            uint32_t bits;
            memcpy(&bits, &x, sizeof bits);
            const double upper = (double)rb_bf16_to_f32((uint16_t)(bits >> 16));
            const double want = (double)x + (double)b->p.reps * upper / 2;
            ref_expect(r, ref_at(&a->t[0], 0, t, 0, i), want,
                       4 * EPS * fabs(want) + 4 * (double)FLT_MIN, "y", t, i);
        }
}

static void check_roof_exp(const rb_call *b, const rb_call *a, ref_report *r)
{
    const rb_view *y = &b->t[0];
    for (int64_t t = 0; t < y->n[1]; t++)
        for (int64_t i = 0; i < y->n[3]; i++) {
            double want = ref_at(y, 0, t, 0, i), tol = 0;
            for (int64_t k = 0; k < b->p.reps; k++) {
                want = exp(-want); /* an error d of the argument is d exp(-y) of the result */
                tol = want * (tol + 8 * EPS) + TINY;
            }
            ref_expect(r, ref_at(&a->t[0], 0, t, 0, i), want, 2 * tol, "y", t, i);
        }
}

/* Sums of both signs: partial sums grow like the root of the sum of squares. */
static void check_roof_read(const rb_call *b, const rb_call *a, ref_report *r)
{
    const rb_view *x = &b->t[1];
    for (int64_t t = 0; t < x->n[1]; t++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < x->n[3]; i++) {
            sum += ref_at(x, 0, t, 0, i);
            squares += ref_at(x, 0, t, 0, i) * ref_at(x, 0, t, 0, i);
        }
        const double size = fabs(sum) + sqrt(squares), steps = sqrt((double)x->n[3]);
        ref_expect(r, ref_at(&a->t[0], 0, t, 0, 0), sum, EPS * (4 + steps) * size + TINY, "y", t,
                   0);
    }
}

static void check_roof_rows(const rb_call *b, const rb_call *a, ref_report *r)
{
    const rb_view *x = &b->t[1], *z = &b->t[2];
    for (int64_t t = 0; t < x->n[1]; t++)
        for (int64_t i = 0; i < x->n[3]; i++) {
            const double add = z->buffer ? (double)b->p.scale * ref_at(z, 0, t, 0, i) : 0;
            const double want = ref_at(x, 0, t, 0, i) + add;
            ref_expect(r, ref_at(&a->t[0], 0, t, 0, i), want,
                       z->buffer ? 2 * EPS * (fabs(want) + fabs(add)) + TINY : 0, "y", t, i);
        }
}

static void check_roof_launch(const rb_call *b, const rb_call *a, ref_report *r)
{
    for (int64_t t = 0; t < b->t[0].n[1]; t++)
        ref_expect(r, ref_at(&a->t[0], 0, t, 0, 0), 0, 0, "y", t, 0);
}

const char *ref_check(const rb_kernel *k, const rb_call *before, const rb_call *after, char *buf,
                      size_t size)
{
    static void (*const check[RB_N_OP])(const rb_call *, const rb_call *, ref_report *) = {
        [RB_OP_EMBED] = check_embed,
        [RB_OP_RMSNORM] = check_rmsnorm,
        [RB_OP_MATMUL_HEADS] = check_matmul_heads,
        [RB_OP_LAYERNORM] = ref_layernorm,
        [RB_OP_RELU2] = ref_relu2,
        [RB_OP_GELU] = ref_gelu,
        [RB_OP_GELU_ERF] = ref_gelu_erf,
        [RB_OP_ROUTE] = ref_route,
        [RB_OP_EXPERTS] = ref_experts,
        [RB_OP_ROPE] = check_rope,
        [RB_OP_KV_STORE] = check_kv_store,
        [RB_OP_ATTEND] = check_attend,
        [RB_OP_SILU_GATE] = check_silu_gate,
        [RB_OP_SIGMOID_GATE] = check_sigmoid_gate,
        [RB_OP_ADD] = check_add,
        [RB_OP_ROOF_FMA] = check_roof_fma,
        [RB_OP_ROOF_DOT_I8] = check_roof_dot_i8,
        [RB_OP_ROOF_DOT_BF16] = check_roof_dot_bf16,
        [RB_OP_ROOF_EXP] = check_roof_exp,
        [RB_OP_ROOF_READ] = check_roof_read,
        [RB_OP_ROOF_COPY] = check_roof_rows,
        [RB_OP_ROOF_TRIAD] = check_roof_rows,
        [RB_OP_ROOF_LAUNCH] = check_roof_launch,
    };
    ref_report r = { buf, size, false };
    if (k->op->id == RB_OP_MATMUL)
        check_matmul(before, after, k->act, &r);
    else if (check[k->op->id])
        check[k->op->id](before, after, &r);
    else
        return "no reference for this op";
    return r.bad ? buf : NULL;
}
