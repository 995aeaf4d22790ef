/* The directory of a whole GGUF model: the first file, the other parts if it is split, lookups.
 * Refuses a set whose parts are missing, misnumbered or misnamed.
 * Read next: gguf_read.c (the bytes), gguf_load.c (what becomes of the tensors). */
#include "gguf_read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *const rb_gguf_type_name[RB_GGUF_N_TYPE] = {
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64",
};

/* ggml types that are not in our dtype table, for messages only. */
static const struct {
    uint32_t type;
    const char *name;
} foreign[] = {
    { 9, "q8_1" },     { 15, "q8_K" },  { 16, "iq2_xxs" }, { 17, "iq2_xs" },
    { 18, "iq3_xxs" }, { 19, "iq1_s" }, { 21, "iq3_s" },   { 22, "iq2_s" },
    { 24, "i8" },      { 25, "i16" },   { 27, "i64" },     { 28, "f64" },
    { 29, "iq1_m" },   { 34, "tq1_0" }, { 35, "tq2_0" },   { 39, "mxfp4" },
};

const char *rb_gguf_dtype_name(uint32_t type, char *buf, size_t size)
{
    rb_dtype ours = rb_dtype_by_gguf_id(type);
    if (ours != RB_NO_DTYPE)
        return rb_dtype_get(ours)->name;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (foreign[i].type == type)
            return foreign[i].name;
    snprintf(buf, size, "type %" PRIu32, type);
    return buf;
}

bool rb_gguf_is_integer(const rb_gguf_kv *kv)
{
    return kv->type <= RB_GGUF_I32 || kv->type == RB_GGUF_U64 || kv->type == RB_GGUF_I64;
}

static int64_t integer_or(const rb_gguf_part *p, const char *key, int64_t otherwise)
{
    const rb_gguf_kv *kv = rb_gguf_part_kv(p, key);
    return kv && rb_gguf_is_integer(kv) ? kv->integer : otherwise;
}

/* ---- split sets: PREFIX-00001-of-00003.gguf and so on ---- */

enum { SUFFIX_LEN = sizeof "-00001-of-00003.gguf" - 1 };

/* Whether path ends as part no of count (both from 1) should. */
static bool ends_as_part(const char *path, int no, int count)
{
    char suffix[64];
    size_t n = strlen(path);
    snprintf(suffix, sizeof suffix, "-%05d-of-%05d.gguf", no, count);
    return n > SUFFIX_LEN && strcmp(path + n - SUFFIX_LEN, suffix) == 0;
}

static rb_status read_next(rb_gguf *g, const char *path, int64_t count, rb_error *err)
{
    int no = g->n_file; /* from 0 */
    rb_gguf_part part = { 0 };
    char *name = malloc(strlen(path) + 64);
    if (!name)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    size_t prefix = strlen(path) - SUFFIX_LEN;
    memcpy(name, path, prefix);
    snprintf(name + prefix, 64, "-%05d-of-%05d.gguf", no + 1, (int)count);
    rb_status status = rb_source_open(&g->file[no], name, err);
    free(name);
    if (status != RB_OK)
        return status;
    g->n_file++;
    status = rb_gguf_read_part(g, no, &part, err);
    if (status == RB_OK &&
        (integer_or(&part, "split.no", -1) != no || integer_or(&part, "split.count", -1) != count))
        status = rb_fail(err, RB_ERR_FORMAT,
                         "%s: its split.no and split.count are not those of part %d of %" PRId64,
                         g->file[no].label, no + 1, count);
    rb_gguf_part_free(&part);
    return status;
}

static rb_status read_others(rb_gguf *g, const rb_gguf_part *first, const char *path, rb_error *err)
{
    int64_t count = integer_or(first, "split.count", 0), no = integer_or(first, "split.no", 0);
    int64_t n_tensor = integer_or(first, "split.tensors.count", -1);
    const char *label = g->file[0].label;
    if (count == 0 || count == 1)
        return RB_OK;
    if (count < 0 || count > RB_GGUF_MAX_FILE)
        return rb_fail(err, RB_ERR_FORMAT,
                       "%s: split.count is %" PRId64 "; at most %d parts are allowed", label, count,
                       RB_GGUF_MAX_FILE);
    if (no != 0)
        return rb_fail(err, RB_ERR_FORMAT,
                       "%s: part %" PRId64 " of %" PRId64 " of a split model; name the first part",
                       label, no + 1, count);
    if (!path)
        return rb_fail(err, RB_ERR_UNSUPPORTED, "%s: a split model can only be opened by file name",
                       label);
    if (!ends_as_part(path, 1, (int)count))
        return rb_fail(err, RB_ERR_FORMAT,
                       "%s: the first of %" PRId64 " parts; its name should end in"
                       " -00001-of-%05" PRId64 ".gguf",
                       label, count, count);
    rb_source *file = realloc(g->file, (size_t)count * sizeof *file);
    if (!file)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    g->file = file;
    while (g->n_file < count) {
        rb_status status = read_next(g, path, count, err);
        if (status != RB_OK)
            return status;
    }
    if (n_tensor >= 0 && n_tensor != g->n_tensor)
        return rb_fail(err, RB_ERR_FORMAT,
                       "%s: split.tensors.count is %" PRId64 ", its parts have %" PRId64 " tensors",
                       g->file[0].label, n_tensor, g->n_tensor);
    return RB_OK;
}

/* ---- the whole ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const rb_gguf_tensor *)a)->name, ((const rb_gguf_tensor *)b)->name);
}

static rb_status sort_names(rb_gguf *g, rb_error *err)
{
    if (g->n_tensor > 0)
        qsort(g->tensor, (size_t)g->n_tensor, sizeof *g->tensor, by_name);
    for (int64_t i = 1; i < g->n_tensor; i++)
        if (by_name(&g->tensor[i - 1], &g->tensor[i]) == 0)
            return rb_fail(err, RB_ERR_FORMAT, "%s: tensor '%s' appears twice", g->file[0].label,
                           g->tensor[i].name);
    return RB_OK;
}

rb_status rb_gguf_open(rb_gguf *g, rb_source first, const char *path, rb_error *err)
{
    rb_gguf_part part = { 0 };
    rb_status status = RB_OK;
    *g = (rb_gguf){ .file = malloc(sizeof *g->file) };
    if (!g->file) {
        rb_source_close(&first);
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    }
    g->file[g->n_file++] = first;
    status = rb_gguf_read_part(g, 0, &part, err);
    if (status == RB_OK)
        status = read_others(g, &part, path, err);
    if (status == RB_OK)
        status = sort_names(g, err);
    g->kv = part.kv;
    g->n_kv = part.n_kv;
    g->alignment = part.alignment;
    return status;
}

void rb_gguf_close(rb_gguf *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->n_file; i++)
        rb_source_close(&g->file[i]);
    for (int64_t i = 0; i < g->n_tensor; i++)
        free(g->tensor[i].name);
    rb_gguf_part_free(&(rb_gguf_part){ .kv = g->kv, .n_kv = g->n_kv });
    free(g->file);
    free(g->tensor);
    *g = (rb_gguf){ 0 };
}

const rb_gguf_kv *rb_gguf_find_kv(const rb_gguf *g, const char *key)
{
    return rb_gguf_part_kv(&(rb_gguf_part){ .kv = g->kv, .n_kv = g->n_kv }, key);
}

const rb_gguf_tensor *rb_gguf_find_tensor(const rb_gguf *g, const char *name)
{
    rb_gguf_tensor want = { .name = (char *)name };
    return g->n_tensor > 0 ? bsearch(&want, g->tensor, (size_t)g->n_tensor, sizeof want, by_name)
                           : NULL;
}
