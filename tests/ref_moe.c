/* The references of what came with GPT-NeoX and with mixtures of experts, from their formulas.
 * Tolerances as in ref.c. Refuses routes whose order rounding could decide: ids must be a valid
 * choice, not one certain one. Read next: ref.c. */
#include "ref_at.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

void ref_layernorm(const rb_call *b, const rb_call *a, ref_report *r)
{
    const rb_view *x = &b->t[1];
    const double m = (double)x->n[3];
    for (int64_t u = 0; u < x->n[0] * x->n[1]; u++) {
        const int64_t s = u / x->n[1], t = u % x->n[1];
        double mean = 0, var = 0, most = 0;
        for (int64_t i = 0; i < x->n[3]; i++) {
            mean += ref_at(x, s, t, 0, i) / m;
            most = fmax(most, fabs(ref_at(x, s, t, 0, i)));
        }
        for (int64_t i = 0; i < x->n[3]; i++)
            var += pow(ref_at(x, s, t, 0, i) - mean, 2) / m;
        const double inv = 1 / sqrt(var + (double)b->p.eps);
        for (int64_t i = 0; i < x->n[3]; i++) {
            const double w = ref_at(&b->t[2], 0, 0, 0, i), bias = ref_at(&b->t[3], 0, 0, 0, i);
            const double d = (ref_at(x, s, t, 0, i) - mean) * inv * w;
            /* an error of the mean is one of every difference */
            const double tol = (4 + sqrt(m)) * EPS * (fabs(d) + most * inv * fabs(w) + fabs(bias));
            ref_expect(r, ref_at(&a->t[0], s, t, 0, i), d + bias, tol + TINY, "y", t, i);
        }
    }
}

static void check_act(const rb_call *b, const rb_call *a, double (*f)(double), double eps,
                      ref_report *r)
{
    const rb_view *x = &b->t[1];
    for (int64_t t = 0; t < x->n[1]; t++)
        for (int64_t i = 0; i < x->n[3]; i++) {
            const double v = ref_at(x, 0, t, 0, i), want = f(v);
            ref_expect(r, ref_at(&a->t[0], 0, t, 0, i), want, eps * (fabs(want) + fabs(v)) + TINY,
                       "y", t, i);
        }
}

static double relu2(double x)
{
    return x > 0 ? x * x : 0;
}

static double gelu(double x)
{
    return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double gelu_erf(double x)
{
    return x / 2 * (1 + erf(x / M_SQRT2));
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

void ref_relu2(const rb_call *b, const rb_call *a, ref_report *r)
{
    check_act(b, a, relu2, EPS, r);
}

void ref_gelu(const rb_call *b, const rb_call *a, ref_report *r)
{
    check_act(b, a, gelu, 6 * EPS, r);
}

void ref_gelu_erf(const rb_call *b, const rb_call *a, ref_report *r)
{
    check_act(b, a, gelu_erf, 6 * EPS, r);
}

/* ---- routing ---- */

static void shares_of(const rb_call *b, int64_t t, double *p)
{
    const rb_view *x = &b->t[2];
    double most = -INFINITY, sum = 0;
    for (int64_t e = 0; e < x->n[3]; e++)
        most = fmax(most, ref_at(x, 0, t, 0, e));
    for (int64_t e = 0; e < x->n[3]; e++)
        sum += exp(ref_at(x, 0, t, 0, e) - most);
    for (int64_t e = 0; e < x->n[3]; e++) {
        const double v = ref_at(x, 0, t, 0, e);
        p[e] = b->p.gating == RB_GATING_SIGMOID ? 1 / (1 + exp(-v)) : exp(v - most) / sum;
    }
}

static double chosen_by(const rb_call *b, const double *p, int64_t e)
{
    return p[e] + (b->t[3].buffer ? ref_at(&b->t[3], 0, 0, 0, e) : 0);
}

/* The j-th choice is the best of those that are left, within rounding; the lowest of true equals.
 */
static void check_choice(const rb_call *b, const int32_t *id, int64_t t, int64_t j, const double *p,
                         ref_report *r)
{
    const int64_t n = b->t[2].n[3];
    const double mine = chosen_by(b, p, id[j]);
    for (int64_t e = 0; e < n; e++) {
        bool taken = false;
        for (int64_t i = 0; i < j; i++)
            taken |= id[i] == e;
        const double tol = 16 * EPS * (1 + fabs(mine));
        const bool same =
            ref_at(&b->t[2], 0, t, 0, e) == ref_at(&b->t[2], 0, t, 0, id[j]) && !b->t[3].buffer;
        if (!taken && e != id[j] && (chosen_by(b, p, e) > mine + tol || (same && e < id[j])))
            ref_expect(r, (double)id[j], (double)e, 0, "id", t, j);
    }
}

void ref_route(const rb_call *b, const rb_call *a, ref_report *r)
{
    const int64_t n = b->t[2].n[3], k = b->t[0].n[3];
    double *p = calloc((size_t)n, sizeof *p);
    for (int64_t t = 0; t < b->t[0].n[1]; t++) {
        const int32_t *id = (const int32_t *)rb_at(&a->t[0], 0, t, 0);
        double sum = 0;
        shares_of(b, t, p);
        for (int64_t j = 0; j < k; j++) {
            ref_expect(r, id[j] >= 0 && id[j] < n, 1, 0, "valid id", t, j);
            for (int64_t i = 0; i < j; i++)
                ref_expect(r, id[i] == id[j], 0, 0, "id again", t, j);
            if (r->bad)
                break;
            check_choice(b, id, t, j, p, r);
            sum += p[id[j]];
        }
        for (int64_t j = 0; !r->bad && j < k; j++) {
            const double want = p[id[j]] / (b->p.renorm ? sum : 1) * (double)b->p.scale;
            ref_expect(r, ref_at(&a->t[1], 0, t, 0, j), want, 32 * EPS * want + TINY, "share", t,
                       j);
        }
    }
    free(p);
}

/* ---- experts ---- */

/* One network on one token; z[h] and how far rounding may move it. */
typedef struct network {
    const rb_view *gate, *up, *down;
    int64_t expert; /* row of the stacks; -1: matrices with rows of their own */
    int64_t f, h;
} network;

/* Row `row` of a matrix of the network, cols wide. */
static void weight_row(float *dst, const rb_view *v, const network *n, int64_t row, int64_t cols)
{
    const char *base = rb_at(v, 0, 0, n->expert < 0 ? row : n->expert);
    rb_decode_row(v->dtype, dst, base + (n->expert < 0 ? 0 : row * rb_row_bytes(v->dtype, cols)),
                  cols);
}

/* What rounding does to a sum of n terms whose squares have that sum: partial sums grow like its
 * root, and their errors add up like steps of either sign. */
static double dot_error(double squares, int64_t n)
{
    return 4 * EPS * (4 + sqrt((double)n)) * sqrt(squares);
}

static void run_network(const network *n, const double *x, double *z, double *error)
{
    double *hidden = calloc((size_t)n->f * 2, sizeof *hidden), *shake = hidden + n->f;
    float *row = calloc((size_t)(2 * (n->h + n->f)), sizeof *row), *other = row + n->h + n->f;
    for (int64_t i = 0; i < n->f; i++) {
        double g = 0, u = 0, gs = 0, us = 0;
        weight_row(row, n->gate, n, i, n->h);
        weight_row(other, n->up, n, i, n->h);
        for (int64_t k = 0; k < n->h; k++) {
            const double gw = (double)row[k] * x[k], uw = (double)other[k] * x[k];
            g += gw, gs += gw * gw, u += uw, us += uw * uw;
        }
        hidden[i] = silu(g) * u;
        shake[i] = 1.1 * dot_error(gs, n->h) * fabs(u) + fabs(silu(g)) * dot_error(us, n->h) +
                   8 * EPS * fabs(hidden[i]); /* silu' is at most 1.1 */
    }
    for (int64_t m = 0; m < n->h; m++) {
        double squares = 0, shaken = 0;
        z[m] = 0;
        weight_row(row, n->down, n, m, n->f);
        for (int64_t i = 0; i < n->f; i++) {
            const double w = (double)row[i];
            z[m] += w * hidden[i];
            squares += w * w * hidden[i] * hidden[i];
            shaken += w * w * shake[i] * shake[i];
        }
        error[m] = dot_error(squares, n->f) + 3 * sqrt(shaken);
    }
    free(hidden);
    free(row);
}

static void check_token(const rb_call *b, const rb_call *a, int64_t t, double *x, ref_report *r)
{
    const rb_view *v = b->t;
    const int64_t h = v[1].n[3], k = v[2].buffer ? v[5].n[3] : 0;
    double *z = x + h, *error = z + h, *y = error + h, *tol = y + h;
    double dot = 0, squares = 0;
    for (int64_t i = 0; i < h; i++) {
        x[i] = ref_at(&v[1], 0, t, 0, i);
        const double product = v[10].buffer ? x[i] * ref_at(&v[10], 0, 0, 0, i) : 0;
        dot += product, squares += product * product;
        y[i] = tol[i] = 0;
    }
    const double gate = v[10].buffer ? 1 / (1 + exp(-dot)) : 1;
    /* of the sum, of the exponential, and where the exponential overflows */
    const double gate_error = gate * dot_error(squares, h) + FLT_MIN;
    for (int64_t j = 0; j <= k; j++) {
        const bool routed = j < k;
        if (!routed && !v[7].buffer)
            break;
        const int64_t f = routed ? v[2].n[3] / h : v[7].n[2];
        const network n = { &v[routed ? 2 : 7],
                            &v[routed ? 3 : 8],
                            &v[routed ? 4 : 9],
                            routed ? ref_index(&v[5], t * k + j) : -1,
                            f,
                            h };
        const double by = routed ? ref_at(&v[6], 0, t, 0, j) : gate;
        run_network(&n, x, z, error);
        for (int64_t i = 0; i < h; i++) {
            y[i] += by * z[i];
            tol[i] += fabs(by) * (error[i] + 16 * EPS * fabs(z[i])) + 4 * EPS * fabs(y[i]);
            tol[i] += routed ? 0 : gate_error * fabs(z[i]);
        }
    }
    for (int64_t i = 0; i < h; i++)
        ref_expect(r, ref_at(&a->t[0], 0, t, 0, i), y[i], tol[i] + TINY, "y", t, i);
}

void ref_experts(const rb_call *b, const rb_call *a, ref_report *r)
{
    double *room = calloc((size_t)b->t[1].n[3] * 5, sizeof *room);
    for (int64_t t = 0; t < b->t[1].n[1]; t++)
        check_token(b, a, t, room, r);
    free(room);
}
