/* Matrices of doubles over OpenBLAS and LAPACK. Row-major matrices are transposed ones to Fortran,
 * which symmetric ones do not mind.
 * Refuses to go on after a failure: all results are then without memory.
 * Read next: attn_pool.c, attn_latent.c. */
#include "matrix.h"

#include "lapack.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

void *rb_work_take(rb_work *w, int64_t n, size_t size)
{
    if (w->status != RB_OK)
        return NULL;
    void **grown = realloc(w->block, (size_t)(w->n + 1) * sizeof *grown);
    if (grown)
        w->block = grown;
    void *p = grown ? calloc((size_t)(n > 0 ? n : 1), size) : NULL;
    if (p)
        w->block[w->n++] = p;
    else
        w->status = rb_fail(w->err, RB_ERR_MEMORY, "no memory to convert attention in");
    return p;
}

void rb_work_free(rb_work *w)
{
    for (int64_t i = 0; i < w->n; i++)
        free(w->block[i]);
    free(w->block);
    w->block = NULL;
    w->n = 0;
}

rb_matrix rb_matrix_new(rb_work *w, int64_t rows, int64_t cols)
{
    if (cols > 0 && rows > INT64_MAX / 8 / cols)
        w->status = rb_fail(w->err, RB_ERR_MEMORY, "no memory to convert attention in");
    return (rb_matrix){ rb_work_take(w, rows * cols, sizeof(double)), rows, cols };
}

rb_matrix rb_matrix_rows(const rb_matrix *m, int64_t first, int64_t n)
{
    return (rb_matrix){ m->at ? rb_row(m, first) : NULL, n, m->cols };
}

/* ---- weights ---- */

rb_matrix rb_matrix_read(rb_work *w, const rb_view *weight, const rb_view *bias)
{
    const int64_t cols = weight->n[3];
    rb_matrix m = rb_matrix_new(w, weight->n[2], cols + 1);
    float *row = rb_work_take(w, cols, sizeof *row);
    for (int64_t r = 0; w->status == RB_OK && r < m.rows; r++) {
        double *to = rb_row(&m, r);
        rb_decode_row(weight->dtype, row, rb_at(weight, 0, 0, r), cols);
        for (int64_t i = 0; i < cols; i++)
            to[i] = (double)row[i];
        if (bias->buffer)
            to[cols] = (double)((const float *)rb_at(bias, 0, 0, 0))[r];
        if (!isfinite(rb_dot(to, to, cols + 1)))
            w->status = rb_fail(w->err, RB_ERR_FORMAT,
                                "attention has weights that are not finite: they do not convert");
    }
    return m;
}

void rb_matrix_write(rb_work *w, const rb_matrix *m, const rb_view *weight, int64_t first,
                     const rb_view *bias)
{
    const int64_t cols = weight->n[3];
    float *row = rb_work_take(w, cols, sizeof *row);
    for (int64_t r = 0; w->status == RB_OK && r < m->rows; r++) {
        const double *from = rb_row(m, r);
        for (int64_t i = 0; i < cols; i++)
            row[i] = (float)from[i];
        rb_encode_row(weight->dtype, rb_at(weight, 0, 0, first + r), row, cols);
        if (bias->buffer)
            ((float *)rb_at(bias, 0, 0, 0))[first + r] = (float)from[cols];
    }
}

/* ---- products ---- */

rb_matrix rb_matrix_product(rb_work *w, const rb_matrix *a, const rb_matrix *b, rb_product how)
{
    const bool ta = how == RB_FIRST_TRANSPOSED, tb = how == RB_SECOND_TRANSPOSED;
    const int64_t m = ta ? a->cols : a->rows, n = tb ? b->rows : b->cols;
    const int64_t k = ta ? a->rows : a->cols;
    rb_matrix c = rb_matrix_new(w, m, n);
    if (w->status == RB_OK && m && n && k)
        cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
                    (blasint)m, (blasint)n, (blasint)k, 1, a->at, (blasint)a->cols, b->at,
                    (blasint)b->cols, 0, c.at, (blasint)n);
    return c;
}

double rb_dot(const double *a, const double *b, int64_t n)
{
    return cblas_ddot((blasint)n, a, 1, b, 1);
}

/* ---- decompositions ---- */

/* Twice its square is an int to LAPACK. */
enum { MOST_WIDE = 1 << 14 };

static void check_info(rb_work *w, rb_lapack_int info)
{
    if (info != 0 && w->status == RB_OK)
        w->status = rb_fail(w->err, RB_ERR_FORMAT,
                            "its attention has no decomposition: are all weights finite?");
}

/* Rows from last to first. */
static void reverse(char *rows, int64_t n, size_t bytes, char *spare)
{
    for (int64_t i = 0; i < n / 2; i++) {
        char *a = rows + (size_t)i * bytes, *b = rows + (size_t)(n - 1 - i) * bytes;
        memcpy(spare, a, bytes);
        memcpy(a, b, bytes);
        memcpy(b, spare, bytes);
    }
}

void rb_matrix_eigen(rb_work *w, rb_matrix *m)
{
    const rb_lapack_int n = (rb_lapack_int)m->rows, ask = -1;
    double *value = rb_work_take(w, n, sizeof *value), size = 0;
    rb_lapack_int info = 0, n_iwork = 0;
    if (m->rows > MOST_WIDE && w->status == RB_OK)
        w->status = rb_fail(w->err, RB_ERR_UNSUPPORTED,
                            "K and V of all heads are %lld columns; low ranks are found of %d",
                            (long long)m->rows, MOST_WIDE);
    if (w->status != RB_OK || n == 0)
        return;
    dsyevd_("V", "U", &n, m->at, &n, value, &size, &ask, &n_iwork, &ask, &info);
    const rb_lapack_int n_work = (rb_lapack_int)size;
    double *work = rb_work_take(w, n_work + n, sizeof *work);
    rb_lapack_int *iwork = rb_work_take(w, n_iwork, sizeof *iwork);
    if (w->status != RB_OK)
        return;
    dsyevd_("V", "U", &n, m->at, &n, value, work, &n_work, iwork, &n_iwork, &info);
    check_info(w, info);
    reverse((char *)m->at, n, (size_t)n * sizeof *m->at, (char *)work);
}

void rb_hermitian_eigen(rb_work *w, double complex *m, int64_t size, double *value)
{
    const rb_lapack_int n = (rb_lapack_int)size, ask = -1;
    rb_lapack_int info = 0, n_iwork = 0;
    double complex best = 0;
    double n_real = 0;
    if (w->status != RB_OK)
        return;
    /* A row-major Hermitian matrix is its own conjugate to Fortran, and so are its vectors. */
    zheevd_("V", "U", &n, m, &n, value, &best, &ask, &n_real, &ask, &n_iwork, &ask, &info);
    const rb_lapack_int n_work = (rb_lapack_int)creal(best), n_rwork = (rb_lapack_int)n_real;
    double complex *work = rb_work_take(w, n_work + n, sizeof *work);
    double *rwork = rb_work_take(w, n_rwork, sizeof *rwork);
    rb_lapack_int *iwork = rb_work_take(w, n_iwork, sizeof *iwork);
    if (w->status != RB_OK)
        return;
    zheevd_("V", "U", &n, m, &n, value, work, &n_work, rwork, &n_rwork, iwork, &n_iwork, &info);
    check_info(w, info);
    for (int64_t i = 0; i < size * size; i++)
        m[i] = conj(m[i]);
    reverse((char *)m, n, (size_t)n * sizeof *m, (char *)work);
    reverse((char *)value, n, sizeof *value, (char *)work);
}

/* To Fortran m is m^T = U S Vt; the rotation of that is U Vt, its transpose again ours. */
void rb_matrix_nearest_rotation(rb_work *w, rb_matrix *m)
{
    const rb_lapack_int n = (rb_lapack_int)m->rows, ask = -1;
    rb_matrix u = rb_matrix_new(w, n, n), vt = rb_matrix_new(w, n, n);
    double *s = rb_work_take(w, n, sizeof *s), size = 0;
    rb_lapack_int info = 0;
    if (w->status != RB_OK || n == 0)
        return;
    dgesvd_("A", "A", &n, &n, m->at, &n, s, u.at, &n, vt.at, &n, &size, &ask, &info);
    const rb_lapack_int n_work = (rb_lapack_int)size;
    double *work = rb_work_take(w, n_work, sizeof *work);
    if (w->status != RB_OK)
        return;
    dgesvd_("A", "A", &n, &n, m->at, &n, s, u.at, &n, vt.at, &n, work, &n_work, &info);
    check_info(w, info);
    /* row-major: vt.at is Vt^T, u.at is U^T: their product Vt^T U^T is (U Vt)^T */
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, vt.at, n, u.at, n, 0, m->at,
                n);
}
