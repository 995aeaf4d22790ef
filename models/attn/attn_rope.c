/* Components of K that rotate together, and which of them may stand still. A component loses by
 * standing still what its power is, times how far its rotation is on average from none over the
 * context: fast ones lose all, slow ones next to nothing.
 * Refuses to choose how many rotate. Read next: attn_latent.c. */
#include "attn_rope.h"

#include <math.h>
#include <stdlib.h>

/* |mean of e^(i step D)| over distances D of the context. */
static double stillness(double step, double n)
{
    const double half = sin(step / 2);
    return fabs(half) < 1e-12 ? 1 : fmin(1, fabs(sin(n * step / 2) / (n * half)));
}

static int by_harm(const void *a, const void *b)
{
    const rb_component *x = a, *y = b;
    if (x->harm != y->harm)
        return x->harm < y->harm ? 1 : -1;
    return x->pair != y->pair ? (x->pair < y->pair ? -1 : 1)
                              : (x->part > y->part) - (x->part < y->part);
}

/* E[k_g conj(k_g')] of one frequency, over heads g. */
static void covariance(const rb_config *c, const rb_matrix *k, const rb_matrix *ks, int64_t pair,
                       double complex *to)
{
    const rb_pair_columns p = rb_pair_of(c, pair);
    const int64_t n = c->n_head_kv, d = c->d_head_k, cols = k->cols;
    for (int64_t g = 0; g < n; g++)
        for (int64_t h = 0; h < n; h++) {
            const double *ga = rb_row(ks, g * d + p.a), *gb = rb_row(ks, g * d + p.b);
            const double *ha = rb_row(k, h * d + p.a), *hb = rb_row(k, h * d + p.b);
            to[g * n + h] = rb_dot(ga, ha, cols) + rb_dot(gb, hb, cols) +
                            (rb_dot(gb, ha, cols) - rb_dot(ga, hb, cols)) * (double complex)I;
        }
}

rb_rotation rb_rotation_find(rb_work *w, const rb_model *m, const rb_matrix *k, const rb_matrix *ks,
                             int64_t n_kept)
{
    const rb_config *c = &m->config;
    const int64_t n = c->n_head_kv, pairs = c->d_rot / 2;
    const double magnitude = rb_rope_magnitude(c);
    rb_rotation r = { .c = c,
                      .u = rb_work_take(w, pairs * n * n, sizeof *r.u),
                      .kept = rb_work_take(w, pairs * n, sizeof *r.kept),
                      .n_kept = n_kept,
                      .n = pairs * n,
                      .still_scale = magnitude * magnitude };
    double *power = rb_work_take(w, n, sizeof *power);
    for (int64_t j = 0; w->status == RB_OK && j < pairs; j++) {
        const double lost = 1 - stillness(rb_rope_step(m, 0, j), (double)c->n_ctx_train);
        covariance(c, k, ks, j, r.u + j * n * n);
        rb_hermitian_eigen(w, r.u + j * n * n, n, power);
        for (int64_t i = 0; w->status == RB_OK && i < n; i++)
            r.kept[j * n + i] = (rb_component){ j, i, power[i] * lost };
    }
    if (w->status == RB_OK)
        qsort(r.kept, (size_t)r.n, sizeof *r.kept, by_harm);
    return r;
}

/* Adds (re + i im) times rows a + i b of x to rows a + i b of y. */
static void add_turned(double *ya, double *yb, const double *xa, const double *xb, int64_t n,
                       double complex by)
{
    const double re = creal(by), im = cimag(by);
    for (int64_t i = 0; i < n; i++) {
        ya[i] += re * xa[i] - im * xb[i];
        yb[i] += re * xb[i] + im * xa[i];
    }
}

static const double complex *vector_of(const rb_rotation *r, const rb_component *p)
{
    return r->u + (p->pair * r->c->n_head_kv + p->part) * r->c->n_head_kv;
}

/* Rows of K that stand still, by component: two each, then what never rotated of each head. */
static int64_t still_rows(const rb_rotation *r)
{
    return 2 * (r->n - r->n_kept) + r->c->n_head_kv * (r->c->d_head_k - r->c->d_rot);
}

rb_matrix rb_rotation_keys(rb_work *w, const rb_rotation *r, const rb_config *t, const rb_matrix *k,
                           bool rotating)
{
    const rb_config *c = r->c;
    const int64_t d = c->d_head_k, n = rotating ? r->n_kept : r->n - r->n_kept;
    const rb_component *p = rotating ? r->kept : r->kept + r->n_kept;
    rb_matrix m = rb_matrix_new(w, rotating ? 2 * n : still_rows(r), k->cols);
    for (int64_t i = 0; w->status == RB_OK && i < n; i++, p++) {
        const rb_pair_columns from = rb_pair_of(c, p->pair);
        const rb_pair_columns to =
            rotating ? rb_pair_of(t, i) : (rb_pair_columns){ 2 * i, 2 * i + 1 };
        for (int64_t g = 0; g < c->n_head_kv; g++)
            add_turned(rb_row(&m, to.a), rb_row(&m, to.b), rb_row(k, g * d + from.a),
                       rb_row(k, g * d + from.b), k->cols, conj(vector_of(r, p)[g]));
    }
    for (int64_t g = 0, row = 2 * n; w->status == RB_OK && !rotating && g < c->n_head_kv; g++)
        for (int64_t i = c->d_rot; i < d; i++, row++)
            for (int64_t j = 0; j < k->cols; j++)
                rb_row(&m, row)[j] = rb_row(k, g * d + i)[j];
    return m;
}

rb_matrix rb_rotation_queries(rb_work *w, const rb_rotation *r, const rb_config *t,
                              const rb_matrix *q, int64_t kv_head)
{
    rb_matrix m = rb_matrix_new(w, 2 * r->n_kept, q->cols);
    for (int64_t i = 0; w->status == RB_OK && i < r->n_kept; i++) {
        const rb_component *p = &r->kept[i];
        const rb_pair_columns from = rb_pair_of(r->c, p->pair), to = rb_pair_of(t, i);
        add_turned(rb_row(&m, to.a), rb_row(&m, to.b), rb_row(q, from.a), rb_row(q, from.b),
                   q->cols, conj(vector_of(r, p)[kv_head]));
    }
    return m;
}

rb_matrix rb_rotation_still(rb_work *w, const rb_rotation *r, int64_t kv_head)
{
    const rb_config *c = r->c;
    const int64_t n = r->n - r->n_kept, nope = c->d_head_k - c->d_rot;
    rb_matrix m = rb_matrix_new(w, still_rows(r), c->d_head_k);
    for (int64_t i = 0; w->status == RB_OK && i < n; i++) {
        const rb_component *p = &r->kept[r->n_kept + i];
        const rb_pair_columns to = rb_pair_of(c, p->pair);
        const double complex u = r->still_scale * vector_of(r, p)[kv_head];
        double *re = rb_row(&m, 2 * i), *im = rb_row(&m, 2 * i + 1);
        re[to.a] = im[to.b] = creal(u);
        re[to.b] = cimag(u);
        im[to.a] = -cimag(u);
    }
    for (int64_t i = 0; w->status == RB_OK && i < nope; i++)
        rb_row(&m, 2 * n + kv_head * nope + i)[c->d_rot + i] = 1;
    return m;
}
