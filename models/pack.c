/* A model's matrices in the packed layouts that fast kernels read.
 * Refuses to change what the model is: counts, totals and lookups stay. Layouts are the business of
 * kernels/packed.c. Read next: model.c. */
#include "model.h"

#include <string.h>

/* Packs one matrix in its own buffer, by way of a copy of it. */
static rb_status pack_in_place(rb_model *m, rb_view *w, rb_error *err)
{
    rb_buffer *own = NULL;
    for (int64_t i = 0; i < m->n_buffer && !own; i++)
        own = m->buffer[i] == w->buffer ? m->buffer[i] : NULL;
    if (!w->buffer || !own || !rb_view_packed(w, own).buffer)
        return RB_OK;
    const rb_view packed = rb_view_packed(w, own);
    if (own->data) {
        rb_buffer copy;
        const rb_status status = rb_buffer_alloc(&copy, own->bytes, false, err);
        if (status != RB_OK)
            return status;
        memcpy(copy.data, own->data, own->bytes);
        rb_view from = *w;
        from.buffer = &copy;
        rb_pack(&packed, &from, 0, packed.n[2]);
        rb_buffer_free(&copy);
    }
    *w = packed;
    return RB_OK;
}

/* The head of a tied model: a packed copy. */
static rb_status pack_tied_head(rb_model *m, rb_error *err)
{
    const rb_buffer *embd = m->tok_embd.buffer;
    if (m->output.buffer != embd || !rb_view_packed(&m->tok_embd, embd).buffer)
        return RB_OK;
    rb_buffer *b = rb_model_buffer(m, embd->bytes, !embd->data, err);
    if (!b)
        return RB_ERR_MEMORY;
    m->output = rb_view_packed(&m->tok_embd, b);
    if (b->data)
        rb_pack(&m->output, &m->tok_embd, 0, m->output.n[2]);
    return RB_OK;
}

rb_status rb_model_pack(rb_model *m, rb_error *err)
{
    for (int64_t l = 0; l < m->n_layer_alloc; l++) {
        rb_layer *at = &m->layer[l];
        /* What is read by heads or by experts stays as files have it. */
        rb_view *const matrix[] = { &at->wq,     &at->wk,   &at->wv,    &at->wo,
                                    &at->wqkv,   &at->wq_a, &at->wq_b,  &at->wkv_a,
                                    &at->w_gate, &at->w_up, &at->w_down };
        for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++) {
            const rb_status status = pack_in_place(m, matrix[i], err);
            if (status != RB_OK)
                return status;
        }
    }
    return m->config.tied ? pack_tied_head(m, err) : pack_in_place(m, &m->output, err);
}
