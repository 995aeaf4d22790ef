/* The life of an rb_model: made empty, given tensors, extended, closed.
 * Owns every buffer that its views borrow. Knows no file format.
 * Read next: gguf_load.c, llama2c.c, synth.c for who fills it. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

/* A layer is nothing but views; parts of one tensor share a buffer. */
enum { N_VIEW = sizeof(rb_layer) / sizeof(rb_view) };
_Static_assert(N_VIEW * sizeof(rb_view) == sizeof(rb_layer), "rb_layer holds views only");

rb_status rb_model_new(rb_model **model, const rb_config *config, const char *format, rb_error *err)
{
    rb_model *m = calloc(1, sizeof *m);
    *model = m;
    if (!m)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    m->config = *config;
    rb_config_clear_unused(&m->config);
    snprintf(m->format, sizeof m->format, "%s", format);
    m->layer = calloc((size_t)config->n_layer, sizeof *m->layer);
    if (!m->layer)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    m->n_layer_alloc = config->n_layer;
    return RB_OK;
}

/* ---- memory ---- */

enum { SLAB = 32 << 20, SLAB_ALIGN = 64 };

static rb_status new_slab(rb_model *m, size_t bytes, rb_error *err)
{
    rb_buffer *grown = realloc(m->slab, (size_t)(m->n_slab + 1) * sizeof *grown);
    if (!grown)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    m->slab = grown;
    const rb_status status = rb_buffer_alloc(&grown[m->n_slab], bytes, false, err);
    m->n_slab += status == RB_OK;
    return status;
}

/* A piece of a slab: matrices that are smaller than a huge page share one, and a launch goes on
 * reading where the one before ended. Large tensors get a slab of their own. */
static rb_status take(rb_model *m, size_t bytes, void **piece, rb_error *err)
{
    const size_t whole = (bytes + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN;
    rb_status status = RB_OK;
    if (whole > SLAB / 4) {
        status = new_slab(m, bytes, err);
        *piece = status == RB_OK ? m->slab[m->n_slab - 1].data : NULL;
        return status;
    }
    if (!m->slab_used || whole > SLAB - m->slab_used) {
        status = new_slab(m, SLAB, err);
        if (status != RB_OK)
            return status;
        m->slab_at = m->n_slab - 1;
        m->slab_used = 0;
    }
    *piece = (char *)m->slab[m->slab_at].data + m->slab_used;
    m->slab_used += whole;
    return RB_OK;
}

/* Each buffer is allocated by itself, since views keep its address. */
rb_buffer *rb_model_buffer(rb_model *m, size_t bytes, bool dry, rb_error *err)
{
    int64_t n = m->n_buffer;
    if ((n & (n - 1)) == 0) {
        rb_buffer **grown = realloc(m->buffer, (size_t)(n ? 2 * n : 1) * sizeof *grown);
        if (!grown)
            goto fail;
        m->buffer = grown;
    }
    rb_buffer *b = calloc(1, sizeof *b);
    if (!b)
        goto fail;
    m->buffer[m->n_buffer++] = b;
    b->bytes = bytes;
    return dry || !bytes || take(m, bytes, &b->data, err) == RB_OK ? b : NULL;
fail:
    rb_fail(err, RB_ERR_MEMORY, "out of memory");
    return NULL;
}

rb_status rb_model_place(rb_model *m, const rb_tensor *t, rb_dtype dtype, bool dry, rb_error *err)
{
    if (!rb_tensor_is_matrix(t))
        dtype = RB_F32;
    rb_buffer *b = rb_model_buffer(m, (size_t)rb_tensor_bytes(t, dtype), dry, err);
    if (!b)
        return RB_ERR_MEMORY;
    *rb_tensor_view(m, t) = rb_tensor_in(t, b, dtype);
    return RB_OK;
}

/* Gate and up of each expert lie in one stack: two views of it, with a step over the other. */
static void part_experts(rb_layer *l)
{
    rb_view both = l->gate_exps;
    if (!both.buffer || l->up_exps.buffer)
        return;
    l->gate_exps = rb_view_slice(both, 3, 0, both.n[3] / 2);
    l->up_exps = rb_view_slice(both, 3, both.n[3] / 2, both.n[3] / 2);
}

void rb_model_finish(rb_model *m)
{
    if (m->config.tied)
        m->output = m->tok_embd;
    m->n_params = 0;
    memset(m->bytes_of, 0, sizeof m->bytes_of);
    for (int64_t i = 0; i < rb_tensor_count(&m->config); i++) {
        rb_tensor t = rb_tensor_at(&m->config, i);
        const rb_view *v = rb_tensor_view(m, &t);
        m->n_params += (uint64_t)(rb_tensor_rows(&t) * t.cols);
        m->bytes_of[v->dtype] += v->buffer->bytes;
    }
    for (int64_t l = 0; m->config.experts_fused && l < m->config.n_layer; l++)
        part_experts(&m->layer[l]);
}

void rb_model_close(rb_model *m)
{
    if (!m)
        return;
    for (int64_t i = 0; i < m->n_buffer; i++)
        free(m->buffer[i]);
    for (int64_t i = 0; i < m->n_slab; i++)
        rb_buffer_free(&m->slab[i]);
    free(m->slab);
    free(m->buffer);
    free(m->layer);
    free(m);
}

/* ---- copies of the last layer ---- */

static rb_view *layer_view(rb_layer *l, int i)
{
    return (rb_view *)l + i;
}

/* The first view of the layer that lies in the same buffer as the i-th: itself, but for parts. */
static int first_in_buffer(rb_layer *l, int i)
{
    int first = 0;
    while (layer_view(l, first)->buffer != layer_view(l, i)->buffer)
        first++;
    return first;
}

int64_t rb_model_layer_bytes(const rb_model *m)
{
    rb_layer *last = &m->layer[m->config.n_layer - 1];
    int64_t sum = 0;
    for (int i = 0; i < N_VIEW; i++) {
        const rb_view *v = layer_view(last, i);
        sum += v->buffer && first_in_buffer(last, i) == i ? (int64_t)v->buffer->bytes : 0;
    }
    return sum;
}

/* Copies what is in the matrices of `from`, by the threads that will read them. */
static void copy_matrices(const rb_model *m, rb_layer *to, rb_layer *from)
{
    for (int i = 0; i < RB_N_GROUP; i++) {
        const rb_group a = rb_layer_group(to, i), b = rb_layer_group(from, i);
        rb_view same[RB_MOST_GROUP];
        for (int j = 0; j < b.n; j++)
            same[j] = *b.w[j];
        if (a.n && a.w[0]->buffer->data)
            rb_model_write(m, &a, same);
    }
}

static bool in_group(rb_layer *l, const rb_view *v)
{
    for (int i = 0; i < RB_N_GROUP; i++) {
        const rb_group g = rb_layer_group(l, i);
        for (int j = 0; j < g.n; j++)
            if (g.w[j] == v)
                return true;
    }
    return false;
}

static rb_status copy_layer(rb_model *m, rb_layer *to, rb_layer *from, rb_error *err)
{
    for (int i = 0; i < N_VIEW; i++) {
        const rb_view *v = layer_view(from, i);
        if (!v->buffer)
            continue;
        const int first = first_in_buffer(from, i);
        *layer_view(to, i) = *v;
        if (first < i) {
            layer_view(to, i)->buffer = layer_view(to, first)->buffer;
            continue;
        }
        bool dry = v->buffer->data == NULL;
        rb_buffer *b = rb_model_buffer(m, v->buffer->bytes, dry, err);
        if (!b)
            return RB_ERR_MEMORY;
        if (!dry && b->data && !in_group(from, v))
            memcpy(b->data, v->buffer->data, b->bytes);
        layer_view(to, i)->buffer = b;
    }
    copy_matrices(m, to, from);
    return RB_OK;
}

rb_status rb_model_extend(rb_model *m, int64_t n_layer, rb_error *err)
{
    if (n_layer < 1 || n_layer > RB_MAX_LAYER)
        return rb_fail(err, RB_ERR_ARGUMENT, "%lld layers wanted; 1 to %d are allowed",
                       (long long)n_layer, RB_MAX_LAYER);
    if (n_layer <= m->n_layer_alloc)
        return RB_OK;
    rb_layer *layer = realloc(m->layer, (size_t)n_layer * sizeof *layer);
    if (!layer)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory for %lld layers", (long long)n_layer);
    m->layer = layer;
    while (m->n_layer_alloc < n_layer) {
        rb_layer *copy = &layer[m->n_layer_alloc];
        memset(copy, 0, sizeof *copy);
        rb_status status = copy_layer(m, copy, &layer[m->config.n_layer - 1], err);
        if (status != RB_OK)
            return status;
        m->n_layer_alloc++;
    }
    return RB_OK;
}
