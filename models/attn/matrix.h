/* Matrices of doubles, row by row, for conversions of weights: memory that is given back at once,
 * products, eigenvectors, the nearest rotation. For models/ only.
 * Refuses nothing by itself: once memory or LAPACK fails, work->status stays failed, and whoever
 * began the work looks at it. Read next: matrix.c. */
#ifndef RB_MATRIX_H
#define RB_MATRIX_H

#include "../models.h"

#include <complex.h>

typedef struct rb_work {
    void **block; /* all memory that was taken */
    int64_t n;
    rb_status status;
    rb_error *err;
} rb_work;

typedef struct rb_matrix {
    double *at; /* [rows][cols] */
    int64_t rows, cols;
} rb_matrix;

void *rb_work_take(rb_work *w, int64_t n, size_t size); /* zeroed; NULL once the work failed */
void rb_work_free(rb_work *w);                          /* all that it took */
/* Zeroed, and freed with the work; `at` is NULL once that failed. */
rb_matrix rb_matrix_new(rb_work *w, int64_t rows, int64_t cols);
static inline double *rb_row(const rb_matrix *m, int64_t row)
{
    return m->at + row * m->cols;
}
/* Rows [first, first + n) of m, which they share memory with. */
rb_matrix rb_matrix_rows(const rb_matrix *m, int64_t first, int64_t n);

/* A linear map of x as a matrix of [x; 1]: its bias, or zeros, is the last column. */
rb_matrix rb_matrix_read(rb_work *w, const rb_view *weight, const rb_view *bias);
/* Rows of m into those of weight from `first` on and, if it is there, into bias. */
void rb_matrix_write(rb_work *w, const rb_matrix *m, const rb_view *weight, int64_t first,
                     const rb_view *bias);

/* a b, a^T b or a b^T. */
typedef enum { RB_AS_IS, RB_FIRST_TRANSPOSED, RB_SECOND_TRANSPOSED } rb_product;
rb_matrix rb_matrix_product(rb_work *w, const rb_matrix *a, const rb_matrix *b, rb_product how);
double rb_dot(const double *a, const double *b, int64_t n);

/* Of a symmetric matrix: rows become eigenvectors, largest eigenvalue first. */
void rb_matrix_eigen(rb_work *w, rb_matrix *m);
/* Of a Hermitian n x n matrix, likewise: row i is the vector whose product with its conjugate has
 * the eigenvalue value[i]. */
void rb_hermitian_eigen(rb_work *w, double complex *m, int64_t n, double *value);
/* The rotation (or reflection) that is nearest to a square matrix: U V^T of its singular vectors.
 */
void rb_matrix_nearest_rotation(rb_work *w, rb_matrix *m);

#endif
