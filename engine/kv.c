/* The KV cache: a buffer of its own for K and for V of each layer that runs, so that repeated
 * layers never share cache lines, and touched once, so that its pages are its own; for latent
 * orders the latent and the rotated key instead, both of K's type. Refuses sizes whose product
 * overflows. Read next: session.c. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

/* One tensor of a layer's cache. */
typedef struct piece {
    int64_t heads, columns;
    rb_dtype dtype;
} piece;

static rb_status open_one(const rb_session *s, rb_buffer *buffer, rb_view *view, piece w,
                          rb_error *err)
{
    const rb_session_params *p = &s->params;
    const int64_t rows = p->n_seq * p->n_ctx * w.heads;
    size_t bytes;
    if (__builtin_mul_overflow((size_t)rows, (size_t)rb_row_bytes(w.dtype, w.columns), &bytes) ||
        bytes > INT64_MAX / (size_t)(2 * p->n_layer))
        return rb_fail(err, RB_ERR_MEMORY, "a cache of %lld sequences of %lld tokens is absurd",
                       (long long)p->n_seq, (long long)p->n_ctx);
    const rb_status status = rb_buffer_alloc(buffer, bytes, p->dry, err);
    /* Pages of its own from the start: a row that is read before it was ever written would else
     * come from the one page of zeros that all untouched memory shares, and cost no traffic. */
    if (status == RB_OK && buffer->data)
        memset(buffer->data, 0, buffer->bytes);
    /* Heads lie outermost: what one work unit of attention reads then streams by in order. */
    *view = rb_view_dense(buffer, w.dtype, RB_KV, 0, p->n_seq, p->n_ctx, w.heads, w.columns);
    view->step_bytes[1] = rb_row_bytes(w.dtype, w.columns);
    view->step_bytes[2] = view->step_bytes[1] * p->n_ctx;
    return status;
}

rb_status rb_kv_open(rb_session *s, rb_error *err)
{
    const rb_config *c = &s->model->config;
    const rb_session_params *p = &s->params;
    const bool latent = rb_attn_variant_of(rb_attn_possible(s, 0))->latent_cache;
    const piece k = { latent ? 1 : c->n_head_kv, latent ? c->kv_lora_rank : c->d_head_k,
                      p->type_k };
    const piece v = { latent ? 1 : c->n_head_kv, latent ? c->d_rot : c->d_head_v,
                      latent ? p->type_k : p->type_v };
    s->kv = calloc((size_t)p->n_layer, sizeof *s->kv);
    if (!s->kv)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the cache of %lld layers",
                       (long long)p->n_layer);
    for (int64_t l = 0; l < p->n_layer; l++) {
        rb_kv_layer *kv = &s->kv[l];
        rb_status status = open_one(s, &kv->k_buffer, &kv->k, k, err);
        if (status == RB_OK)
            status = open_one(s, &kv->v_buffer, &kv->v, v, err);
        if (status != RB_OK)
            return status;
    }
    return RB_OK;
}

void rb_kv_close(rb_session *s)
{
    for (int64_t l = 0; s->kv && l < s->params.n_layer; l++) {
        rb_buffer_free(&s->kv[l].k_buffer);
        rb_buffer_free(&s->kv[l].v_buffer);
    }
    free(s->kv);
    s->kv = NULL;
}
