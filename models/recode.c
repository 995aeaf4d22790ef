/* Streaming and encoding of weights. Rows are whole blocks of both types, so that a tensor is one
 * long row, cut anywhere between superblocks: memory depends on neither its size nor its shape.
 * Refuses to choose types (mix.c). Read next: convert.c. */
#include "recode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* In elements: every block divides UNIT, a chunk is read at once, a piece decoded at once. */
enum { UNIT = 256, PIECE = 16 * UNIT, CHUNK = 1 << 20, CHUNK_BYTES = CHUNK * (int)sizeof(float) };

static void nothing(int thread, int n_threads, void *arg)
{
    (void)thread, (void)n_threads, (void)arg;
}

rb_status rb_recoder_open(rb_recoder *r, const rb_convert_params *params, rb_error *err)
{
    *r = (rb_recoder){ .params = params,
                       .src = malloc(CHUNK_BYTES),
                       .dst = malloc(CHUNK_BYTES),
                       .sum = malloc((size_t)params->n_threads * 2 * sizeof *r->sum) };
    if (!r->src || !r->dst || !r->sum)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    /* OpenMP ends the program if it cannot make threads: better before there is a file. */
    rb_on_threads(params->n_threads, nothing, NULL);
    return RB_OK;
}

void rb_recoder_close(rb_recoder *r)
{
    free(r->src);
    free(r->dst);
    free(r->sum);
    *r = (rb_recoder){ 0 };
}

static rb_status read_chunk(const rb_recoder *r, const rb_source *from, uint64_t offset,
                            uint64_t bytes, rb_error *err)
{
    const rb_status status = rb_ask_stop(r->params->stop, r->params->arg, err);
    return status == RB_OK ? rb_source_read(from, offset, r->src, bytes, err) : status;
}

rb_status rb_recode_copy(rb_recoder *r, FILE *f, const rb_source *from, uint64_t offset,
                         uint64_t bytes, rb_error *err)
{
    for (uint64_t at = 0; at < bytes && !ferror(f);) {
        const uint64_t left = bytes - at, n = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        rb_status status = read_chunk(r, from, offset + at, n, err);
        if (status != RB_OK)
            return status;
        fwrite(r->src, 1, n, f);
        at += n;
    }
    return RB_OK;
}

/* ---- one chunk, by all threads ---- */

typedef struct chunk {
    const rb_recoder *r;
    rb_dtype from, to;
    int64_t n;
} chunk;

/* More than f16 scales times quants can be; what encoders of blocks make of larger values is no
 * error that they see. */
static const float beyond_blocks = 1e12f;

static void recode_piece(const chunk *c, int64_t first, int64_t n, double sum[2])
{
    float x[PIECE], back[PIECE];
    void *dst = c->r->dst + rb_row_bytes(c->to, first);
    rb_decode_row(c->from, x, c->r->src + rb_row_bytes(c->from, first), n);
    rb_encode_row(c->to, dst, x, n);
    rb_decode_row(c->to, back, dst, n);
    for (int64_t i = 0; i < n; i++) {
        if (fabsf(x[i]) > beyond_blocks && rb_dtype_get(c->to)->block > 1)
            sum[1] = INFINITY;
        const double error = (double)x[i] - (double)back[i];
        sum[0] += (double)x[i] * (double)x[i];
        sum[1] += error * error;
    }
}

static void recode_share(int thread, int n_threads, void *arg)
{
    const chunk *c = arg;
    const int64_t units = (c->n + UNIT - 1) / UNIT, end = units * (thread + 1) / n_threads * UNIT;
    const int64_t last = end < c->n ? end : c->n;
    double *sum = c->r->sum + 2 * thread;
    for (int64_t i = units * thread / n_threads * UNIT; i < last; i += PIECE)
        recode_piece(c, i, last - i < PIECE ? last - i : PIECE, sum);
}

rb_status rb_recode(rb_recoder *r, FILE *f, const rb_source *from, const rb_gguf_tensor *t,
                    rb_dtype to, rb_converted *what, rb_error *err)
{
    const int64_t n = t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    double sum[2] = { 0, 0 };
    for (int64_t i = 0; i < n && !ferror(f); i += CHUNK) {
        chunk c = { r, t->dtype, to, n - i < CHUNK ? n - i : CHUNK };
        rb_status status = read_chunk(r, from, t->offset + (uint64_t)rb_row_bytes(t->dtype, i),
                                      (uint64_t)rb_row_bytes(t->dtype, c.n), err);
        if (status != RB_OK)
            return status;
        /* OpenMP may give fewer threads. */
        memset(r->sum, 0, (size_t)r->params->n_threads * 2 * sizeof *r->sum);
        rb_on_threads(r->params->n_threads, recode_share, &c);
        for (int j = 0; j < 2 * r->params->n_threads; j++)
            sum[j % 2] += r->sum[j];
        if (!isfinite(sum[1]))
            return rb_fail(err, RB_ERR_FORMAT, "%s: tensor '%s' has values that are %s",
                           from->label, t->name,
                           isfinite(sum[0]) ? "too large for its new type" : "not finite");
        fwrite(r->dst, 1, (size_t)rb_row_bytes(to, c.n), f);
    }
    what->sum_sq += sum[0];
    what->error_sq += sum[1];
    return RB_OK;
}
