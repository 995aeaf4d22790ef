/* A model's matrices in the packed layouts that fast kernels read.
 * Refuses to change what the model is: counts, totals and lookups stay. Layouts are the business of
 * kernels/packed.c. Read next: model.c. */
#include "model.h"

#include <string.h>

/* The buffer that all of a matrix lies in, if it can be packed there. */
static rb_buffer *own_buffer(const rb_model *m, const rb_view *w)
{
    for (int64_t i = 0; i < m->n_buffer; i++)
        if (m->buffer[i] == w->buffer)
            return rb_view_packed(w, m->buffer[i]).buffer ? m->buffer[i] : NULL;
    return NULL;
}

/* A copy of a matrix, whose own memory is then free to be written. */
static rb_status move_out(rb_view *copy, rb_buffer *memory, rb_buffer *own, rb_error *err)
{
    const rb_status status = rb_buffer_alloc(memory, own->bytes, false, err);
    if (status != RB_OK)
        return status;
    memcpy(memory->data, own->data, own->bytes);
    rb_buffer_forget(own);
    copy->buffer = memory;
    return RB_OK;
}

/* Packs matrices in their own buffers, by way of copies of them. */
static rb_status pack_in_place(rb_model *m, const rb_group *all, rb_error *err)
{
    rb_buffer copy[RB_MOST_GROUP] = { { 0 } };
    rb_view from[RB_MOST_GROUP];
    rb_group group = { .n = 0 };
    rb_status status = RB_OK;
    for (int i = 0; i < all->n && status == RB_OK; i++) {
        rb_view *w = all->w[i];
        rb_buffer *own = own_buffer(m, w);
        if (!own)
            continue;
        if (own->data) {
            from[group.n] = *w;
            status = move_out(&from[group.n], &copy[group.n], own, err);
            group.w[group.n++] = w;
        }
        if (status == RB_OK)
            *w = rb_view_packed(w, own);
    }
    if (status == RB_OK)
        rb_model_write(m, &group, from);
    for (int i = 0; i < RB_MOST_GROUP; i++)
        rb_buffer_free(&copy[i]);
    return status;
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
        rb_model_write(m, &(rb_group){ { &m->output }, 1 }, &m->tok_embd);
    return RB_OK;
}

rb_status rb_model_pack(rb_model *m, rb_error *err)
{
    for (int64_t l = 0; l < m->n_layer_alloc; l++)
        for (int i = 0; i < RB_N_GROUP; i++) {
            const rb_group group = rb_layer_group(&m->layer[l], i);
            const rb_status status = pack_in_place(m, &group, err);
            if (status != RB_OK)
                return status;
        }
    return m->config.tied ? pack_tied_head(m, err)
                          : pack_in_place(m, &(rb_group){ { &m->output }, 1 }, err);
}
