/* From a GGUF directory to a model: every tensor is matched with what the config calls for before
 * the first byte of weights is allocated.
 * Refuses missing, misshapen and unknown tensors by name; reads into private memory, maps nothing.
 * Read next: tensors.c (what is called for). */
#include "arch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* "[576, 49152]" */
static const char *shape_text(const int64_t *ne, int n_dim, char *buf, size_t size)
{
    size_t at = 0;
    for (int i = 0; i < n_dim && at < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s%" PRId64, i ? ", " : "[", ne[i]);
    if (at < size)
        snprintf(buf + at, size - at, "]");
    return buf;
}

/* Heads one after the other are the same bytes with and without an axis of their own: some writers
 * leave it out. */
static bool has_shape(const rb_gguf_tensor *t, const rb_tensor *want)
{
    const int64_t stack = want->stack ? want->stack : 1;
    if (t->ne[0] != want->cols || t->ne[3] != 1)
        return false;
    return (t->ne[1] == want->rows && t->ne[2] == stack) ||
           (!want->by_expert && t->ne[1] == want->rows * stack && t->ne[2] == 1);
}

static rb_status check_tensor(const rb_gguf *g, const rb_tensor *want, const rb_gguf_tensor *t,
                              rb_error *err)
{
    const char *label = g->file[0].label;
    char found[96], expected[96], type[32];
    const int64_t ne[3] = { want->cols, want->rows, want->stack };
    if (!t)
        return rb_fail(err, RB_ERR_FORMAT, "%s: tensor '%s' is missing", label, want->name);
    if (!has_shape(t, want))
        return rb_fail(err, RB_ERR_FORMAT, "%s: tensor '%s' has shape %s, expected %s", label,
                       want->name, shape_text(t->ne, t->n_dim, found, sizeof found),
                       shape_text(ne,
                                  want->stack                 ? 3
                                  : rb_tensor_is_matrix(want) ? 2
                                                              : 1,
                                  expected, sizeof expected));
    if (t->dtype == RB_NO_DTYPE || t->dtype == RB_I32)
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "%s: tensor '%s' is %s, which is not supported; f32 f16 bf16 q8_0 q4_0 q4_1"
                       " q5_0 q5_1 q6_K are",
                       label, want->name, rb_gguf_dtype_name(t->type, type, sizeof type));
    if (!rb_tensor_is_matrix(want) && rb_dtype_get(t->dtype)->block > 1)
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "%s: tensor '%s' is a vector of %s; f32, f16 or bf16 is wanted", label,
                       want->name, rb_dtype_get(t->dtype)->name);
    return RB_OK;
}

/* Some files carry W_UK and W_UV in both forms; either is enough. */
static bool is_redundant(const rb_config *c, const char *name)
{
    const char *suffix = strstr(name, ".attn_kv_b.weight");
    return c->mla_split && suffix && suffix[sizeof ".attn_kv_b.weight" - 1] == 0;
}

/* Tensors that nobody asks for would be left out of the forward pass in silence. */
static rb_status check_no_other(const rb_gguf *g, const rb_config *c, const bool *used,
                                rb_error *err)
{
    for (int64_t i = 0; i < g->n_tensor; i++)
        if (!used[i] && !is_redundant(c, g->tensor[i].name))
            return rb_fail(err, RB_ERR_UNSUPPORTED,
                           "%s: tensor '%s' is unknown to architecture %s with %" PRId64 " layers",
                           g->file[0].label, g->tensor[i].name, rb_arch_name[c->arch], c->n_layer);
    return RB_OK;
}

static rb_status check_all(const rb_gguf *g, const rb_config *c, rb_error *err)
{
    rb_status status = RB_OK;
    bool *used = calloc((size_t)g->n_tensor + 1, sizeof *used);
    if (!used)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < rb_tensor_count(c) && status == RB_OK; i++) {
        rb_tensor want = rb_tensor_at(c, i);
        const rb_gguf_tensor *t = rb_gguf_find_tensor(g, want.name);
        status = check_tensor(g, &want, t, err);
        if (t)
            used[t - g->tensor] = true;
    }
    if (status == RB_OK)
        status = check_no_other(g, c, used, err);
    free(used);
    return status;
}

/* Vectors may be stored as halves; the kernels want f32. */
static rb_status read_vector(const rb_gguf *g, const rb_gguf_tensor *t, float *dst, rb_error *err)
{
    void *raw = malloc(t->bytes);
    if (!raw)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    rb_status status = rb_source_read(&g->file[t->file], t->offset, raw, t->bytes, err);
    if (status == RB_OK)
        rb_decode_row(t->dtype, dst, raw, t->ne[0]);
    free(raw);
    return status;
}

/* Numbers of pairs, by which tables are made. */
static rb_status check_pairs(const rb_gguf *g, const rb_config *c, const rb_tensor *t,
                             const rb_view *v, rb_error *err)
{
    const float *x = v->buffer->data, n = (float)c->d_freq / 2;
    for (int64_t i = 0; i < t->cols; i++)
        if (!(x[i] >= 0 && x[i] < n) || x[i] != (float)(int64_t)x[i])
            return rb_fail(err, RB_ERR_FORMAT,
                           "%s: tensor '%s' has %g; numbers from 0 to %" PRId64 " are wanted",
                           g->file[0].label, t->name, (double)x[i], c->d_freq / 2 - 1);
    return RB_OK;
}

static rb_status load_tensor(rb_model *m, const rb_gguf *g, const rb_tensor *want, bool dry,
                             rb_error *err)
{
    const rb_gguf_tensor *t = rb_gguf_find_tensor(g, want->name);
    rb_status status = rb_model_place(m, want, t->dtype, dry, err);
    if (status != RB_OK || dry)
        return status;
    const rb_view *v = rb_tensor_view(m, want);
    status = v->dtype != t->dtype
                 ? read_vector(g, t, v->buffer->data, err)
                 : rb_source_read(&g->file[t->file], t->offset, v->buffer->data, t->bytes, err);
    if (status == RB_OK && want->kind == RB_TENSOR_PAIRS)
        status = check_pairs(g, &m->config, want, v, err);
    return status;
}

rb_status rb_model_from_gguf(rb_model **model, rb_source src, const char *path, bool dry,
                             rb_error *err)
{
    rb_gguf g;
    rb_config c;
    *model = NULL;
    rb_status status = rb_gguf_open(&g, src, path, err);
    if (status == RB_OK)
        status = rb_arch_config(&g, &c, err);
    if (status == RB_OK)
        status = check_all(&g, &c, err);
    if (status == RB_OK)
        status = rb_model_new(model, &c, "gguf", err);
    if (status == RB_OK)
        status = rb_arch_note(&g, &(*model)->attn, err);
    if (status != RB_OK)
        goto fail;
    for (int64_t i = 0; i < rb_tensor_count(&c) && status == RB_OK; i++) {
        rb_tensor want = rb_tensor_at(&c, i);
        status = load_tensor(*model, &g, &want, dry, err);
    }
    if (status != RB_OK)
        goto fail;
    rb_model_finish(*model);
    rb_gguf_close(&g);
    return RB_OK;
fail:
    rb_gguf_close(&g);
    rb_model_close(*model);
    *model = NULL;
    return status;
}
