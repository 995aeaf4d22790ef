/* Heads turned towards each other before they are pooled, without a change to what they compute.
 * Scores do not see a phase that a rotated pair of K and of the q heads that meet it have in common
 * (rotary embedding commutes with it); outputs do not see a rotation of V that W_o undoes. Where K
 * is normed by column weights a pair may be turned by any angle only if both its columns have one
 * weight, else by half a turn.
 * Refuses to know where heads come from. Read next: attn_pool.c. */
#include "attn_reform.h"

#include <math.h>

enum { ROUNDS = 8 };

/* Rows a + i b times a number. */
static void turn(double *a, double *b, int64_t n, double complex by)
{
    const double re = creal(by), im = cimag(by);
    for (int64_t i = 0; i < n; i++) {
        const double x = a[i], y = b[i];
        a[i] = re * x - im * y;
        b[i] = re * y + im * x;
    }
}

/* sum of conj(x) y, x and y the pairs of rows of two heads. */
static double complex pair_dot(const rb_matrix *x, const rb_matrix *y, rb_pair_columns p)
{
    const int64_t n = x->cols;
    const double *xa = rb_row(x, p.a), *xb = rb_row(x, p.b);
    const double *ya = rb_row(y, p.a), *yb = rb_row(y, p.b);
    return rb_dot(xa, ya, n) + rb_dot(xb, yb, n) +
           (rb_dot(xa, yb, n) - rb_dot(xb, ya, n)) * (double complex)I;
}

static bool may_turn(const rb_head_group *g, rb_pair_columns p)
{
    return !g->k_norm || (g->k_norm[p.a] == g->k_norm[p.b] && g->q_norm[p.a] == g->q_norm[p.b]);
}

/* ---- phases of rotated pairs ---- */

/* phase[i] of each head such that their sum is longest: each in turn towards the sum of the others,
 * which never makes it shorter. dot[i][j] = <head i, head j>. */
static void choose_phases(double complex *phase, const double complex *dot, int64_t n, bool any)
{
    for (int64_t i = 0; i < n; i++)
        phase[i] = 1;
    for (int round = 0; round < ROUNDS; round++)
        for (int64_t i = 0; i < n; i++) {
            double complex with_rest = 0; /* <sum of the others, head i> */
            for (int64_t j = 0; j < n; j++)
                with_rest += j == i ? 0 : conj(phase[j]) * dot[j * n + i];
            if (!any)
                phase[i] = creal(with_rest) < 0 ? -1 : 1;
            else if (cabs(with_rest) > 0)
                phase[i] = conj(with_rest) / cabs(with_rest);
        }
}

static void align_pair(rb_head_group *g, rb_pair_columns p, double complex *phase,
                       double complex *dot)
{
    for (int64_t i = 0; i < g->n; i++)
        for (int64_t j = 0; j < g->n; j++)
            dot[i * g->n + j] = pair_dot(&g->k[i], &g->k[j], p);
    choose_phases(phase, dot, g->n, may_turn(g, p));
    for (int64_t i = 0; i < g->n; i++) {
        turn(rb_row(&g->k[i], p.a), rb_row(&g->k[i], p.b), g->k[i].cols, phase[i]);
        for (int64_t h = i * g->n_q; h < (i + 1) * g->n_q; h++)
            turn(rb_row(&g->q[h], p.a), rb_row(&g->q[h], p.b), g->q[h].cols, phase[i]);
    }
}

/* ---- rotations of V, and of columns of K that are not rotated ---- */

/* a += b */
static void add(const rb_matrix *a, const rb_matrix *b)
{
    for (int64_t i = 0; i < a->rows * a->cols; i++)
        a->at[i] += b->at[i];
}

static void set_identity(const rb_matrix *m)
{
    for (int64_t i = 0; i < m->rows; i++)
        rb_row(m, i)[i] = 1;
}

static void put_back(const rb_matrix *to, const rb_matrix *from)
{
    for (int64_t i = 0; i < to->rows * to->cols; i++)
        to->at[i] = from->at[i];
}

/* Turns x[i], d x n each, by rotations turn[i] so that their sum is longest: each in turn by the
 * rotation that is nearest to what its rows have in common with the sum of the others. */
static void align_rows(rb_work *w, rb_matrix *x, rb_matrix *by, int64_t n)
{
    const int64_t d = x[0].rows;
    for (int64_t i = 0; i < n; i++) {
        by[i] = rb_matrix_new(w, d, d);
        if (w->status == RB_OK)
            set_identity(&by[i]);
    }
    for (int round = 0; round < ROUNDS && n > 1 && d > 0; round++)
        for (int64_t i = 0; i < n && w->status == RB_OK; i++) {
            rb_work own = { .err = w->err };
            rb_matrix sum = rb_matrix_new(&own, d, x[0].cols);
            for (int64_t j = 0; j < n && own.status == RB_OK; j++)
                if (j != i)
                    add(&sum, &x[j]);
            rb_matrix best = rb_matrix_product(&own, &sum, &x[i], RB_SECOND_TRANSPOSED);
            rb_matrix_nearest_rotation(&own, &best);
            const rb_matrix turned = rb_matrix_product(&own, &best, &x[i], RB_AS_IS);
            const rb_matrix all = rb_matrix_product(&own, &best, &by[i], RB_AS_IS);
            if (own.status == RB_OK) {
                put_back(&x[i], &turned);
                put_back(&by[i], &all);
            }
            rb_work_free(&own);
            w->status = own.status;
        }
}

static void align_values(rb_work *w, rb_head_group *g)
{
    rb_matrix *by = rb_work_take(w, g->n, sizeof *by);
    if (!by)
        return;
    align_rows(w, g->v, by, g->n);
    for (int64_t h = 0; w->status == RB_OK && h < g->n * g->n_q; h++) {
        const rb_matrix undone =
            rb_matrix_product(w, &g->o[h], &by[h / g->n_q], RB_SECOND_TRANSPOSED);
        if (w->status == RB_OK)
            put_back(&g->o[h], &undone);
    }
}

/* What of K is not rotated and not normed is free to turn like V: q turns along. */
static void align_still_keys(rb_work *w, rb_head_group *g)
{
    const int64_t first = g->c->d_rot, n = g->c->d_head_k - first;
    rb_matrix *part = rb_work_take(w, g->n, sizeof *part);
    rb_matrix *by = rb_work_take(w, g->n, sizeof *by);
    if (!by || n == 0 || g->k_norm)
        return;
    for (int64_t i = 0; i < g->n; i++)
        part[i] = rb_matrix_rows(&g->k[i], first, n);
    align_rows(w, part, by, g->n);
    for (int64_t h = 0; w->status == RB_OK && h < g->n * g->n_q; h++) {
        const rb_matrix q = rb_matrix_rows(&g->q[h], first, n);
        const rb_matrix turned = rb_matrix_product(w, &by[h / g->n_q], &q, RB_AS_IS);
        if (w->status == RB_OK)
            put_back(&q, &turned);
    }
}

void rb_attn_align(rb_work *w, rb_head_group *g)
{
    double complex *phase = rb_work_take(w, g->n, sizeof *phase);
    double complex *dot = rb_work_take(w, g->n * g->n, sizeof *dot);
    for (int64_t j = 0; w->status == RB_OK && j < g->c->d_rot / 2; j++)
        align_pair(g, rb_pair_of(g->c, j), phase, dot);
    align_still_keys(w, g);
    align_values(w, g);
}
