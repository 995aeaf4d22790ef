/* A GGUF file with its attention in another form: the model is read and converted in memory, which
 * takes twice its size for a while, and its tensors are then a directory that convert.c writes.
 * Refuses what rb_model_open and rb_attn_convert refuse: here the architecture has to be known.
 * Read next: convert.c, attn_convert.c. */
#include "convert_attn.h"

#include "model.h"

#include <stdlib.h>
#include <string.h>

bool rb_attn_file_replaces(const rb_attn_file *a, const char *key)
{
    static const char *const keys[] = { "attention.head_count", "attention.head_count_kv",
                                        "attention.key_length", "attention.value_length",
                                        "rope.dimension_count" };
    const char *arch = a->model ? rb_arch_name[a->model->config.arch] : "";
    const size_t n = strlen(arch);
    if (!a->model)
        return false;
    if (strncmp(key, "rbench.", 7) == 0)
        return true;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strncmp(key, arch, n) == 0 && key[n] == '.' && strcmp(key + n + 1, keys[i]) == 0)
            return true;
    return false;
}

static rb_status add_tensor(rb_attn_file *a, int64_t i, rb_error *err)
{
    const rb_tensor t = rb_tensor_at(&a->model->config, i);
    const rb_view *v = rb_tensor_view_of(a->model, &t);
    rb_gguf_tensor *to = &a->weights.tensor[i];
    *to = (rb_gguf_tensor){ .name = strdup(t.name),
                            .type = (uint32_t)rb_dtype_get(v->dtype)->gguf_id,
                            .dtype = v->dtype,
                            .n_dim = t.stack                   ? 3
                                     : rb_tensor_is_matrix(&t) ? 2
                                                               : 1,
                            .ne = { t.cols, t.rows, t.stack ? t.stack : 1, 1 },
                            .file = (int)i,
                            .bytes = v->buffer->bytes };
    a->weights.file[i] = rb_source_memory(t.name, v->buffer->data, v->buffer->bytes);
    return to->name ? RB_OK : rb_fail(err, RB_ERR_MEMORY, "out of memory");
}

static rb_status list_tensors(rb_attn_file *a, rb_error *err)
{
    const int64_t n = rb_tensor_count(&a->model->config);
    a->weights.tensor = calloc((size_t)n, sizeof *a->weights.tensor);
    a->weights.file = calloc((size_t)n, sizeof *a->weights.file);
    if (!a->weights.tensor || !a->weights.file)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    a->weights.n_tensor = n;
    rb_status status = RB_OK;
    for (int64_t i = 0; i < n && status == RB_OK; i++)
        status = add_tensor(a, i, err);
    return status;
}

static rb_status list_keys(rb_attn_file *a, rb_error *err)
{
    FILE *f = open_memstream(&a->kv, &a->kv_bytes);
    if (f)
        a->n_kv = rb_gguf_put_attention(f, a->model);
    if (!f || fclose(f) != 0)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    return RB_OK;
}

rb_status rb_attn_file_open(rb_attn_file *a, const char *path, const rb_convert_params *params,
                            rb_error *err)
{
    rb_model *from = NULL;
    *a = (rb_attn_file){ 0 };
    if (params->attn->form == RB_FORM_GTA) /* a benchmark of its shape is none of the model */
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "%.200s in the form gta: its gate and its latent values are trained, no "
                       "weights convert to it; 'rbench MODEL --attn gta' measures its shape",
                       path);
    rb_status status =
        rb_model_open(&from, path, &(rb_model_params){ .n_threads = params->n_threads }, err);
    if (status == RB_OK)
        status = rb_ask_stop(params->stop, params->arg, err);
    if (status == RB_OK)
        status = rb_attn_convert(&a->model, from, params->attn, params->cal, err);
    rb_model_close(from);
    if (status == RB_OK)
        status = list_tensors(a, err);
    return status == RB_OK ? list_keys(a, err) : status;
}

void rb_attn_file_close(rb_attn_file *a)
{
    for (int64_t i = 0; i < a->weights.n_tensor; i++)
        free(a->weights.tensor[i].name);
    free(a->weights.tensor);
    free(a->weights.file);
    free(a->kv);
    rb_model_close(a->model);
    *a = (rb_attn_file){ 0 };
}
