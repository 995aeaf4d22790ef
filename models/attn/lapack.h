/* The LAPACK routines that OpenBLAS exports under Fortran's names: their C headers are a package of
 * its own, and three prototypes are less than that. Column-major; every argument is a pointer.
 * Nothing else of LAPACK is used. Read next: matrix.c, the only caller. */
#ifndef RB_LAPACK_H
#define RB_LAPACK_H

#include <complex.h>

typedef int rb_lapack_int;

/* Singular values and vectors, A = U diag(s) Vt. */
void dgesvd_(const char *job_u, const char *job_vt, const rb_lapack_int *m, const rb_lapack_int *n,
             double *a, const rb_lapack_int *lda, double *s, double *u, const rb_lapack_int *ldu,
             double *vt, const rb_lapack_int *ldvt, double *work, const rb_lapack_int *n_work,
             rb_lapack_int *info);
/* Eigenvalues, ascending, and eigenvectors of a symmetric and of a Hermitian matrix. */
void dsyevd_(const char *job, const char *uplo, const rb_lapack_int *n, double *a,
             const rb_lapack_int *lda, double *w, double *work, const rb_lapack_int *n_work,
             rb_lapack_int *iwork, const rb_lapack_int *n_iwork, rb_lapack_int *info);
void zheevd_(const char *job, const char *uplo, const rb_lapack_int *n, double complex *a,
             const rb_lapack_int *lda, double *w, double complex *work, const rb_lapack_int *n_work,
             double *rwork, const rb_lapack_int *n_rwork, rb_lapack_int *iwork,
             const rb_lapack_int *n_iwork, rb_lapack_int *info);

#endif
