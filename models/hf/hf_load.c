/* From a folder of the Hugging Face hub to a model that equals the GGUF file of the same weights:
 * every tensor is matched with what the config calls for before the first weight is allocated.
 * Refuses missing, misshapen and unknown tensors by name. Read next: hf_names.c, tensors.c. */
#include "hf.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct folder {
    rb_hf hf;
    rb_safetensors st;
    const char *label; /* of the config */
} folder;

/* ---- which tensor ---- */

static const rb_st_tensor *find(const folder *f, const rb_hf_name *name, int64_t layer,
                                int64_t expert)
{
    char text[RB_HF_NAME];
    return rb_safetensors_find(&f->st, rb_hf_name_text(f->hf.names, name, layer, expert, text));
}

/* Of the names that a tensor may have the one that is there, else the first. */
static const rb_hf_name *name_of(const folder *f, const char *suffix, int64_t layer)
{
    const rb_hf_name *name = NULL;
    for (int i = 0; (name = rb_hf_name_of(f->hf.names, suffix, i)); i++)
        if (find(f, name, layer, 0))
            return name;
    return rb_hf_name_of(f->hf.names, suffix, 0);
}

static bool is_there(const folder *f, const char *suffix, int64_t layer)
{
    const rb_hf_name *name = name_of(f, suffix, layer);
    return name && find(f, name, layer, 0);
}

/* How many tensors of the folder make one of the model. */
static int64_t n_piece(const rb_hf_name *name, const rb_tensor *want)
{
    return name->rows == RB_HF_EXPERTS ? want->stack : 1;
}

/* ---- is it as it should be ---- */

static const char *shape_text(const int64_t *shape, int n, char *buf, size_t size)
{
    size_t at = (size_t)snprintf(buf, size, "[");
    for (int i = 0; i < n && at < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s%" PRId64, i ? ", " : "", shape[i]);
    if (at < size)
        snprintf(buf + at, size - at, "]");
    return buf;
}

/* Fills shape with the extents that a piece should have; returns how many. */
static int wanted_shape(const rb_hf_name *name, const rb_tensor *want, int64_t shape[3])
{
    const bool stack = want->stack && name->rows != RB_HF_EXPERTS;
    const bool matrix = rb_tensor_is_matrix(want) || want->kind == RB_TENSOR_VECTOR;
    int n = 0;
    if (stack)
        shape[n++] = want->stack;
    if (matrix)
        shape[n++] = want->rows;
    shape[n++] = want->cols;
    return n;
}

static rb_status check_piece(const folder *f, const rb_hf_name *name, const rb_tensor *want,
                             int64_t expert, const rb_st_tensor *t, rb_error *err)
{
    char text[RB_HF_NAME], found[192], expected[96];
    int64_t shape[3];
    const int n = wanted_shape(name, want, shape);
    rb_hf_name_text(f->hf.names, name, want->layer, expert, text);
    if (!t)
        return rb_fail(err, RB_ERR_FORMAT, "%s: tensor '%s' is missing", f->label, text);
    const char *label = f->st.file[t->file].label;
    if (t->n_dim != n || memcmp(t->shape, shape, (size_t)n * sizeof *shape) != 0)
        return rb_fail(err, RB_ERR_FORMAT, "%s: tensor '%s' has shape %s, expected %s", label, text,
                       shape_text(t->shape, t->n_dim, found, sizeof found),
                       shape_text(shape, n, expected, sizeof expected));
    if (t->dtype == RB_NO_DTYPE)
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "%s: tensor '%s' is %s, which is not supported; F32, F16 and BF16 are",
                       label, text, t->type);
    return RB_OK;
}

static rb_status check_tensor(const folder *f, const rb_tensor *want, bool *used, rb_error *err)
{
    const rb_hf_name *name = name_of(f, want->suffix, want->layer);
    const rb_st_tensor *first = NULL;
    for (int64_t e = 0; name && e < n_piece(name, want); e++) {
        const rb_st_tensor *t = find(f, name, want->layer, e);
        const rb_status status = check_piece(f, name, want, e, t, err);
        if (status != RB_OK)
            return status;
        first = first ? first : t;
        if (t->dtype != first->dtype)
            return rb_fail(err, RB_ERR_UNSUPPORTED,
                           "%s: tensors '%s' and '%s' are of several types; one is wanted",
                           f->label, first->name, t->name);
        used[t - f->st.tensor] = true;
    }
    return name ? RB_OK
                : rb_fail(err, RB_ERR_UNSUPPORTED, "%s: '%s' has no name in such folders", f->label,
                          want->name);
}

/* Layers that only predict further tokens ahead stand behind the model's own. */
static bool is_ahead(const folder *f, const char *name)
{
    int64_t layer = 0;
    char dot = 0;
    return f->hf.config.arch == RB_ARCH_DEEPSEEK2 &&
           sscanf(name, "model.layers.%7" SCNd64 "%c", &layer, &dot) == 2 && dot == '.' &&
           layer >= f->hf.config.n_layer && layer < f->hf.config.n_layer + f->hf.n_ahead;
}

/* Tensors that nobody asks for would be left out of the forward pass in silence. */
static rb_status check_no_other(const folder *f, const bool *used, rb_error *err)
{
    for (int64_t i = 0; i < f->st.n_tensor; i++) {
        const rb_st_tensor *t = &f->st.tensor[i];
        if (!used[i] && !rb_hf_is_buffer(t->name) && !is_ahead(f, t->name))
            return rb_fail(err, RB_ERR_UNSUPPORTED,
                           "%s: tensor '%.100s' is unknown to architecture %s with %" PRId64
                           " layers",
                           f->st.file[t->file].label, t->name, rb_arch_name[f->hf.config.arch],
                           f->hf.config.n_layer);
    }
    return RB_OK;
}

static rb_status check_all(const folder *f, rb_error *err)
{
    const rb_config *c = &f->hf.config;
    rb_status status = RB_OK;
    bool *used = calloc((size_t)f->st.n_tensor + 1, sizeof *used);
    if (!used)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < rb_tensor_count(c) && status == RB_OK; i++) {
        const rb_tensor want = rb_tensor_at(c, i);
        if (want.kind != RB_TENSOR_FREQS)
            status = check_tensor(f, &want, used, err);
    }
    if (status == RB_OK)
        status = check_no_other(f, used, err);
    free(used);
    return status;
}

/* ---- weights ---- */

/* n rows of cols elements from one tensor, in the model's order and type. */
static rb_status read_rows(const folder *f, const rb_st_tensor *t, rb_hf_rows rows, int64_t n,
                           int64_t cols, rb_dtype to, char *dst, rb_error *err)
{
    const rb_source *src = &f->st.file[t->file];
    const size_t from_bytes = (size_t)rb_row_bytes(t->dtype, cols);
    const size_t to_bytes = (size_t)rb_row_bytes(to, cols);
    if (to == t->dtype && (rows == RB_HF_AS_IS || rows == RB_HF_EXPERTS))
        return rb_source_read(src, t->offset, dst, t->bytes, err);
    char *raw = malloc(t->bytes);
    if (!raw)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    const rb_status status = rb_source_read(src, t->offset, raw, t->bytes, err);
    for (int64_t r = 0; r < n && status == RB_OK; r++) {
        const char *row = raw + (size_t)rb_hf_row(&f->hf, rows, r) * from_bytes;
        if (to == t->dtype)
            memcpy(dst + (size_t)r * to_bytes, row, to_bytes);
        else
            rb_decode_row(t->dtype, (float *)(dst + (size_t)r * to_bytes), row, cols);
    }
    free(raw);
    return status;
}

/* Vectors and routers are kept in f32, in GGUF files too. */
static rb_dtype type_of(const rb_tensor *want, const rb_st_tensor *t)
{
    return rb_tensor_is_matrix(want) && want->kind != RB_TENSOR_ROUTER ? t->dtype : RB_F32;
}

static rb_status load_tensor(rb_model *m, const folder *f, const rb_tensor *want, bool dry,
                             rb_error *err)
{
    const rb_hf_name *name = name_of(f, want->suffix, want->layer);
    const rb_dtype to = type_of(want, find(f, name, want->layer, 0));
    rb_status status = rb_model_place(m, want, to, dry, err);
    /* A vector's elements are its rows. */
    const bool vector = !rb_tensor_is_matrix(want);
    const int64_t n = n_piece(name, want), rows = vector ? want->cols : rb_tensor_rows(want) / n;
    const int64_t cols = vector ? 1 : want->cols;
    char *dst = status == RB_OK ? rb_tensor_view(m, want)->buffer->data : NULL;
    for (int64_t e = 0; e < n && status == RB_OK && !dry; e++)
        status = read_rows(f, find(f, name, want->layer, e), name->rows, rows, cols, to,
                           dst + e * rows * rb_row_bytes(to, cols), err);
    return status;
}

static rb_status load_freqs(rb_model *m, const folder *f, const rb_tensor *want, bool dry,
                            rb_error *err)
{
    const rb_status status = rb_model_place(m, want, RB_F32, dry, err);
    float *divisor = status == RB_OK ? rb_tensor_view(m, want)->buffer->data : NULL;
    for (int64_t j = 0; j < want->cols && divisor; j++)
        divisor[j] = (float)rb_hf_divisor(&f->hf, j);
    return status;
}

static rb_status load_all(rb_model **model, const folder *f, bool dry, rb_error *err)
{
    const rb_config *c = &f->hf.config;
    rb_status status = rb_model_new(model, c, "safetensors", err);
    for (int64_t i = 0; i < rb_tensor_count(c) && status == RB_OK; i++) {
        const rb_tensor want = rb_tensor_at(c, i);
        status = want.kind == RB_TENSOR_FREQS ? load_freqs(*model, f, &want, dry, err)
                                              : load_tensor(*model, f, &want, dry, err);
    }
    if (status == RB_OK)
        rb_model_finish(*model);
    return status;
}

rb_status rb_hf_load(rb_model **model, rb_source config, rb_safetensors tensors, const char *name,
                     bool dry, rb_error *err)
{
    folder f = { .st = tensors, .label = config.label };
    rb_config *c = &f.hf.config;
    *model = NULL;
    rb_status status = rb_hf_config(&f.hf, &config, name, err);
    if (status == RB_OK) {
        /* An output matrix beside a tied config is used, as transformers does. */
        c->tied = c->tied && !is_there(&f, "output.weight", -1);
        c->experts_fused = c->n_expert && is_there(&f, "ffn_gate_up_exps.weight", c->n_layer - 1);
        status = check_all(&f, err);
    }
    if (status == RB_OK)
        status = load_all(model, &f, dry, err);
    if (status != RB_OK) {
        rb_model_close(*model);
        *model = NULL;
    }
    rb_safetensors_close(&f.st);
    rb_source_close(&config);
    return status;
}

/* ---- folders ---- */

/* The last part of a path, which may end with slashes; "model" for one without a name. */
static void base_name(const char *dir, char *name, size_t size)
{
    size_t end = strlen(dir);
    while (end > 0 && dir[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && dir[begin - 1] != '/')
        begin--;
    snprintf(name, size, "%.*s", (int)(end - begin), dir + begin);
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        snprintf(name, size, "model");
}

/* The folder has no config.json: says what else to name, a GGUF file in it if there is one. */
static rb_status no_config(const char *dir, rb_error *err)
{
    char gguf[256] = "";
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));) {
        const size_t n = strlen(e->d_name);
        if (n > 5 && n < sizeof gguf && !strcmp(e->d_name + n - 5, ".gguf") &&
            (!gguf[0] || strcmp(e->d_name, gguf) < 0))
            memcpy(gguf, e->d_name, n + 1);
    }
    if (d)
        closedir(d);
    if (gguf[0])
        return rb_fail(err, RB_ERR_IO, "%.200s: not a regular file; name the file in it: %.200s/%s",
                       dir, dir, gguf);
    return rb_fail(
        err, RB_ERR_IO,
        "%.300s: not a regular file; a folder is a model if it has config.json and safetensors",
        dir);
}

rb_status rb_model_from_hf(rb_model **model, const char *dir, bool dry, rb_error *err)
{
    char path[PATH_MAX], name[RB_ST_MAX_NAME + 1];
    rb_source config;
    rb_safetensors tensors;
    *model = NULL;
    if ((size_t)snprintf(path, sizeof path, "%s/config.json", dir) >= sizeof path)
        return rb_fail(err, RB_ERR_IO, "%.300s: the path is too long", dir);
    if (access(path, F_OK) != 0)
        return no_config(dir, err);
    rb_status status = rb_source_open(&config, path, err);
    if (status != RB_OK)
        return status;
    status = rb_safetensors_open(&tensors, dir, err);
    if (status != RB_OK) {
        rb_safetensors_close(&tensors);
        rb_source_close(&config);
        return status;
    }
    base_name(dir, name, sizeof name);
    return rb_hf_load(model, config, tensors, name, dry, err);
}
