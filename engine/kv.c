/* The KV cache: a buffer of its own for K and for V of each layer that runs, so that repeated
 * layers never share cache lines, and touched once, so that its pages are its own; for latent
 * orders the latent and the rotated key instead, both of K's type. Refuses sizes whose product
 * overflows, and pieces that are no whole blocks of a quantised type. Read next: session.c. */
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

/* What is stored by itself, and so quantised by itself. */
typedef struct part {
    const char *what;
    int64_t columns;
    rb_dtype dtype;
} part;

static rb_status check_blocks(const part *p, size_t n, rb_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const rb_dtype_info *d = rb_dtype_get(p[i].dtype);
        if (p[i].columns % d->block)
            return rb_fail(err, RB_ERR_UNSUPPORTED,
                           "a cache of %s holds multiples of %d columns, %s has %lld: choose f32, "
                           "f16 or bf16",
                           d->name, d->block, p[i].what, (long long)p[i].columns);
    }
    return RB_OK;
}

/* Rows of heads; of latent attention the parts that are rotated and those that are not. */
static rb_status check_parts(const rb_session *s, const rb_attn_geom *g, rb_error *err)
{
    const rb_config *c = &s->model->config;
    const rb_dtype k = s->params.type_k, v = g->one_type ? k : s->params.type_v;
    const part heads[] = { { "a head of K", g->d_k, k }, { "a head of V", g->d_v, v } };
    const part latent[] = { { "the latent", g->d_k, k }, { "the rotated part of K", g->d_v, k } };
    const part expanded[] = { { "what is not rotated of a head of K", rb_config_d_nope(c), k },
                              { "the rotated part of K", rb_config_d_shared(c), k },
                              { "a head of V", g->d_v, v } };
    if (s->params.variant || !c->kv_lora_rank)
        return check_blocks(heads, sizeof heads / sizeof *heads, err);
    return g->one_type ? check_blocks(latent, sizeof latent / sizeof *latent, err)
                       : check_blocks(expanded, sizeof expanded / sizeof *expanded, err);
}

rb_status rb_kv_open(rb_session *s, rb_error *err)
{
    const rb_session_params *p = &s->params;
    const rb_attn_geom g = rb_attn_variant_of(s, rb_attn_possible(s, 0))->geom(&s->model->config);
    const piece k = { g.n_head_k, g.d_k, p->type_k };
    const piece v = { g.n_head_v, g.d_v, g.one_type ? p->type_k : p->type_v };
    const rb_status whole = check_parts(s, &g, err);
    if (whole != RB_OK)
        return whole;
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
