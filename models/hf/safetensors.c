/* Reads the directory of safetensors files: eight bytes of length, that many of JSON, then data
 * that tensors cover without holes and without overlap. Parts of a model are files of its folder.
 * Refuses whatever does not add up, before a byte of weights is read. Read next: hf_load.c. */
#include "safetensors.h"

#include "../json.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *name;
    int bytes;
    rb_dtype dtype;
} types[] = {
    { "F32", 4, RB_F32 },      { "F16", 2, RB_F16 },          { "BF16", 2, RB_BF16 },
    { "F64", 8, RB_NO_DTYPE }, { "F8_E4M3", 1, RB_NO_DTYPE }, { "F8_E5M2", 1, RB_NO_DTYPE },
    { "I64", 8, RB_NO_DTYPE }, { "I32", 4, RB_NO_DTYPE },     { "I16", 2, RB_NO_DTYPE },
    { "I8", 1, RB_NO_DTYPE },  { "U64", 8, RB_NO_DTYPE },     { "U32", 4, RB_NO_DTYPE },
    { "U16", 2, RB_NO_DTYPE }, { "U8", 1, RB_NO_DTYPE },      { "BOOL", 1, RB_NO_DTYPE },
};
enum { N_TYPE = sizeof types / sizeof *types };

/* ---- one tensor of a header ---- */

typedef struct header {
    const rb_source *src;
    uint64_t data, n_data; /* where the data section lies, and its bytes */
    rb_error *err;
} header;

static rb_status wrong(const header *h, const rb_st_tensor *t, const char *what)
{
    return rb_fail(h->err, RB_ERR_FORMAT, "%s: tensor '%s': %s", h->src->label, t->name, what);
}

static rb_status read_type(const header *h, rb_st_tensor *t, const json_t *o, uint64_t *size)
{
    const char *name = json_string_value(json_object_get(o, "dtype"));
    if (!name)
        return wrong(h, t, "its dtype is missing, or no string");
    for (int i = 0; i < N_TYPE; i++)
        if (strcmp(types[i].name, name) == 0) {
            snprintf(t->type, sizeof t->type, "%s", name);
            t->dtype = types[i].dtype;
            *size = (uint64_t)types[i].bytes;
            return RB_OK;
        }
    return rb_fail(h->err, RB_ERR_UNSUPPORTED, "%s: tensor '%s': type '%.32s' is not known",
                   h->src->label, t->name, name);
}

/* Multiplies bytes with every extent. */
static rb_status read_shape(const header *h, rb_st_tensor *t, const json_t *o, uint64_t *bytes)
{
    const json_t *shape = json_object_get(o, "shape");
    if (!json_is_array(shape))
        return wrong(h, t, "its shape is missing, or no list");
    if (json_array_size(shape) > RB_ST_MAX_DIM)
        return wrong(h, t, "its shape has more dimensions than any weight");
    t->n_dim = (int)json_array_size(shape);
    for (int i = 0; i < t->n_dim; i++) {
        const json_t *n = json_array_get(shape, (size_t)i);
        t->shape[i] = json_integer_value(n);
        if (!json_is_integer(n) || t->shape[i] < 0)
            return wrong(h, t, "its shape has what is no extent");
        if (__builtin_mul_overflow(*bytes, (uint64_t)t->shape[i], bytes))
            return wrong(h, t, "its shape has more elements than can be counted");
    }
    return RB_OK;
}

static rb_status read_place(const header *h, rb_st_tensor *t, const json_t *o)
{
    const json_t *at = json_object_get(o, "data_offsets");
    const json_t *begin = json_array_get(at, 0), *end = json_array_get(at, 1);
    if (json_array_size(at) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return wrong(h, t, "its data_offsets are missing, or no two numbers");
    const json_int_t from = json_integer_value(begin), to = json_integer_value(end);
    if (from < 0 || to < from || (uint64_t)to > h->n_data)
        return rb_fail(h->err, RB_ERR_FORMAT,
                       "%s: tensor '%s': data_offsets %lld to %lld are outside the %" PRIu64
                       " bytes of data: truncated?",
                       h->src->label, t->name, (long long)from, (long long)to, h->n_data);
    if ((uint64_t)(to - from) != t->bytes)
        return rb_fail(h->err, RB_ERR_FORMAT,
                       "%s: tensor '%s': data_offsets cover %lld bytes, type and shape call for "
                       "%" PRIu64,
                       h->src->label, t->name, (long long)(to - from), t->bytes);
    t->offset = h->data + (uint64_t)from;
    return RB_OK;
}

static rb_status read_tensor(const header *h, rb_st_tensor *t, const json_t *o)
{
    if (!json_is_object(o))
        return wrong(h, t, "its entry is no object");
    rb_status status = read_type(h, t, o, &t->bytes);
    if (status == RB_OK)
        status = read_shape(h, t, o, &t->bytes);
    return status == RB_OK ? read_place(h, t, o) : status;
}

/* ---- one file ---- */

static int by_offset(const void *a, const void *b)
{
    const rb_st_tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* The data section is covered by its n tensors, one after the other. */
static rb_status check_cover(const header *h, rb_st_tensor *t, int64_t n)
{
    uint64_t at = h->data;
    qsort(t, (size_t)n, sizeof *t, by_offset);
    for (int64_t i = 0; i < n; at += t[i].bytes, i++)
        if (t[i].offset != at)
            return wrong(h, &t[i],
                         t[i].offset < at ? "its data overlap those of another"
                                          : "there is a hole before its data");
    if (at != h->data + h->n_data)
        return rb_fail(h->err, RB_ERR_FORMAT, "%s: %" PRIu64 " bytes of data belong to no tensor",
                       h->src->label, h->data + h->n_data - at);
    return RB_OK;
}

static rb_status add_tensors(rb_safetensors *s, const header *h, json_t *root)
{
    const char *name;
    json_t *o;
    const int64_t first = s->n_tensor, most = first + (int64_t)json_object_size(root);
    if (most > RB_ST_MAX_TENSOR)
        return rb_fail(h->err, RB_ERR_FORMAT, "%s: more than %d tensors", h->src->label,
                       RB_ST_MAX_TENSOR);
    rb_st_tensor *grown = realloc(s->tensor, ((size_t)most + 1) * sizeof *grown);
    if (!grown)
        return rb_fail(h->err, RB_ERR_MEMORY, "out of memory");
    s->tensor = grown;
    json_object_foreach(root, name, o)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        if (!*name || strlen(name) > RB_ST_MAX_NAME)
            return rb_fail(h->err, RB_ERR_FORMAT,
                           "%s: a tensor's name has %zu bytes; 1 to %d are "
                           "allowed",
                           h->src->label, strlen(name), RB_ST_MAX_NAME);
        rb_st_tensor *t = &s->tensor[s->n_tensor];
        *t = (rb_st_tensor){ .name = strdup(name), .file = s->n_file - 1 };
        if (!t->name)
            return rb_fail(h->err, RB_ERR_MEMORY, "out of memory");
        s->n_tensor++;
        const rb_status status = read_tensor(h, t, o);
        if (status != RB_OK)
            return status;
    }
    return check_cover(h, s->tensor + first, s->n_tensor - first);
}

/* Takes the file, which is closed with s. */
static rb_status add_file(rb_safetensors *s, rb_source file, rb_error *err)
{
    rb_source *grown = realloc(s->file, (size_t)(s->n_file + 1) * sizeof *grown);
    if (!grown) {
        rb_source_close(&file);
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    }
    s->file = grown;
    const rb_source *src = &s->file[s->n_file++];
    s->file[s->n_file - 1] = file;
    uint8_t length[8];
    rb_status status = rb_source_read(src, 0, length, sizeof length, err);
    if (status != RB_OK)
        return status;
    header h = { .src = src, .err = err };
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--)
        n = n << 8 | length[i];
    if (n > src->size - sizeof length)
        return rb_fail(err, RB_ERR_FORMAT,
                       "%s: its header should have %" PRIu64 " bytes, the file has %" PRIu64
                       ": truncated, or no safetensors file",
                       src->label, n, src->size);
    h.data = sizeof length + n;
    h.n_data = src->size - h.data;
    json_t *root = rb_json_read(src, sizeof length, n, RB_ST_MAX_HEADER, err);
    if (!root)
        return err ? err->status : RB_ERR_FORMAT;
    status = add_tensors(s, &h, root);
    json_decref(root);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const rb_st_tensor *)a)->name, ((const rb_st_tensor *)b)->name);
}

static rb_status sort_tensors(rb_safetensors *s, rb_error *err)
{
    qsort(s->tensor, (size_t)s->n_tensor, sizeof *s->tensor, by_name);
    for (int64_t i = 1; i < s->n_tensor; i++)
        if (by_name(&s->tensor[i - 1], &s->tensor[i]) == 0)
            return rb_fail(err, RB_ERR_FORMAT, "%s: tensor '%s' is in another part too",
                           s->file[s->tensor[i].file].label, s->tensor[i].name);
    return RB_OK;
}

rb_status rb_safetensors_open_one(rb_safetensors *s, rb_source file, rb_error *err)
{
    *s = (rb_safetensors){ 0 };
    const rb_status status = add_file(s, file, err);
    return status == RB_OK ? sort_tensors(s, err) : status;
}

void rb_safetensors_close(rb_safetensors *s)
{
    if (!s)
        return;
    for (int64_t i = 0; i < s->n_tensor; i++)
        free(s->tensor[i].name);
    for (int i = 0; i < s->n_file; i++)
        rb_source_close(&s->file[i]);
    free(s->tensor);
    free(s->file);
    *s = (rb_safetensors){ 0 };
}

const rb_st_tensor *rb_safetensors_find(const rb_safetensors *s, const char *name)
{
    const rb_st_tensor key = { .name = (char *)name };
    return s->n_tensor ? bsearch(&key, s->tensor, (size_t)s->n_tensor, sizeof key, by_name) : NULL;
}

/* ---- the parts of a model ---- */

static rb_status path_in(char *path, size_t size, const char *dir, const char *name, rb_error *err)
{
    if ((size_t)snprintf(path, size, "%s/%s", dir, name) >= size)
        return rb_fail(err, RB_ERR_IO, "%.300s: the path is too long", dir);
    return RB_OK;
}

static rb_status add_path(rb_safetensors *s, const char *dir, const char *name, rb_error *err)
{
    char path[PATH_MAX];
    rb_source file;
    rb_status status = path_in(path, sizeof path, dir, name, err);
    if (status == RB_OK)
        status = rb_source_open(&file, path, err);
    return status == RB_OK ? add_file(s, file, err) : status;
}

/* The place of a part among those met so far, n of them; n if it is new. */
static int part_of(const char *const *part, int n, const char *name)
{
    int i = 0;
    while (i < n && strcmp(part[i], name) != 0)
        i++;
    return i;
}

/* A name out of the index must not lead out of the folder. */
static bool is_plain_name(const char *name)
{
    return name && *name && strlen(name) <= RB_ST_MAX_NAME && !strchr(name, '/') &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Opens every part that weight_map names; part[i] is the name of file i. */
static rb_status add_parts(rb_safetensors *s, const char *dir, const char *label, json_t *map,
                           const char **part, rb_error *err)
{
    const char *tensor;
    json_t *file;
    json_object_foreach(map, tensor, file)
    {
        const char *name = json_string_value(file);
        if (!is_plain_name(name))
            return rb_fail(err, RB_ERR_FORMAT,
                           "%s: tensor '%.100s' is said to be in '%.100s', which is no plain name "
                           "of a file in the folder",
                           label, tensor, name ? name : "?");
        if (part_of(part, s->n_file, name) < s->n_file)
            continue;
        if (s->n_file == RB_ST_MAX_FILE)
            return rb_fail(err, RB_ERR_FORMAT, "%s: more than %d parts", label, RB_ST_MAX_FILE);
        part[s->n_file] = name;
        const rb_status status = add_path(s, dir, name, err);
        if (status != RB_OK)
            return status;
    }
    return RB_OK;
}

static rb_status check_parts(const rb_safetensors *s, const char *label, json_t *map,
                             const char *const *part, rb_error *err)
{
    const char *tensor;
    json_t *file;
    json_object_foreach(map, tensor, file)
    {
        const rb_st_tensor *t = rb_safetensors_find(s, tensor);
        if (!t || strcmp(part[t->file], json_string_value(file)) != 0)
            return rb_fail(err, RB_ERR_FORMAT, "%s: tensor '%.100s' is not in '%.100s'", label,
                           tensor, json_string_value(file));
    }
    return RB_OK;
}

static rb_status open_parts(rb_safetensors *s, const char *dir, const rb_source *index,
                            rb_error *err)
{
    json_t *root = rb_json_read(index, 0, index->size, RB_ST_MAX_HEADER, err);
    if (!root)
        return err ? err->status : RB_ERR_FORMAT;
    json_t *map = json_object_get(root, "weight_map");
    const char *part[RB_ST_MAX_FILE];
    rb_status status = RB_OK;
    if (!json_object_size(map))
        status = rb_fail(err, RB_ERR_FORMAT, "%s: weight_map is missing, or empty", index->label);
    if (status == RB_OK)
        status = add_parts(s, dir, index->label, map, part, err);
    if (status == RB_OK)
        status = sort_tensors(s, err);
    if (status == RB_OK)
        status = check_parts(s, index->label, map, part, err);
    json_decref(root);
    return status;
}

static bool is_there(const char *dir, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    return path_in(path, sizeof path, dir, name, NULL) == RB_OK && stat(path, &st) == 0;
}

rb_status rb_safetensors_open(rb_safetensors *s, const char *dir, rb_error *err)
{
    static const char whole[] = "model.safetensors", parts[] = "model.safetensors.index.json";
    char path[PATH_MAX];
    rb_source index;
    *s = (rb_safetensors){ 0 };
    if (is_there(dir, whole)) {
        const rb_status status = add_path(s, dir, whole, err);
        return status == RB_OK ? sort_tensors(s, err) : status;
    }
    if (!is_there(dir, parts))
        return rb_fail(err, RB_ERR_FORMAT, "%.300s: neither %s nor %s is in this folder", dir,
                       whole, parts);
    rb_status status = path_in(path, sizeof path, dir, parts, err);
    if (status == RB_OK)
        status = rb_source_open(&index, path, err);
    if (status != RB_OK)
        return status;
    status = open_parts(s, dir, &index, err);
    rb_source_close(&index);
    return status;
}
