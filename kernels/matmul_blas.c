/* matmul by OpenBLAS sgemm: f32 weights and many tokens. Each thread multiplies its own slice of
 * w's rows; inside our parallel region OpenBLAS's OpenMP flavour runs on the calling thread.
 * Refuses: few tokens (a gemv gains nothing), other dtypes. Its loops are not ours, so its counts
 * are the op's closed form and the row says that it is unproven. Read next: matmul.c. */
#include "matmul.h"

#include <cblas.h>

enum { MIN_TOKENS = 32, SLICE = 32 };

rb_status rb_blas_prepare(rb_error *err)
{
    enum { OPENMP = 2 };
    if (openblas_get_parallel() != OPENMP)
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "OpenBLAS is not its OpenMP flavour: its threads would fight ours; link "
                       "libopenblas-openmp, or name an ISA with RBENCH_ISA to do without");
    openblas_set_num_threads(1); /* each of our threads multiplies its own slice */
    return RB_OK;
}

static int64_t slices(const rb_call *c, int i)
{
    return out_w(c, i)->buffer ? (out_w(c, i)->n[2] + SLICE - 1) / SLICE : 0;
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return slices(c, 0) + slices(c, 1) + slices(c, 2);
}

/* A static rule of shape: enough rows on both sides, one dense matrix of tokens, no bias. */
static bool accepts(const rb_call *c)
{
    const rb_view *x = &c->t[X];
    const int64_t tokens = x->n[0] * x->n[1];
    if (tokens < MIN_TOKENS || tokens > INT32_MAX || x->n[3] > INT32_MAX || !rb_view_is_dense(x))
        return false;
    for (int i = 0; i < N_OUT; i++) {
        const rb_view *w = out_w(c, i);
        if (w->buffer && (out_bias(c, i)->buffer || !rb_view_is_dense(out_y(c, i)) ||
                          w->n[2] < SLICE || w->n[2] > INT32_MAX || w->step_bytes[2] > INT32_MAX))
            return false;
    }
    return true;
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    (void)phase, (void)shared, (void)own;
    const rb_view *x = &c->t[X];
    int64_t begin = 0;
    for (int i = 0; i < N_OUT; begin += slices(c, i++)) {
        const int64_t from = first > begin ? first - begin : 0;
        int64_t to = last - begin;
        if (to > slices(c, i))
            to = slices(c, i);
        if (from >= to)
            continue;
        const rb_view *w = out_w(c, i), *y = out_y(c, i);
        const int64_t m0 = from * SLICE, m1 = to * SLICE < w->n[2] ? to * SLICE : w->n[2];
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)(x->n[0] * x->n[1]),
                    (blasint)(m1 - m0), (blasint)x->n[3], 1.0f, (const float *)rb_at(x, 0, 0, 0),
                    (blasint)x->n[3], (const float *)rb_at(w, 0, 0, m0),
                    (blasint)(w->step_bytes[2] / (int64_t)sizeof(float)), 0.0f,
                    (float *)rb_at(y, 0, 0, 0) + m0, (blasint)y->n[3]);
    }
}

static const rb_kernel rows[] = { {
    .op = &rb_matmul_op,
    .isa = RB_ISA_BLAS,
    .dtype = RB_F32,
    .n_phase = 1,
    .units = units,
    .run = run,
    .accepts = accepts,
    .unproven = "OpenBLAS: its loops are not ours to compile as the counting ISA",
} };
#define RB_BUILD blas
RB_EXPORT(matmul, rows);
