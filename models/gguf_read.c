/* Reading the directory of one GGUF file, v2 or v3.
 * Every count is checked against the bytes that remain before anything is allocated for it, and
 * arrays grow with what was really read. Refuses v1, big-endian files and nested arrays.
 * Read next: gguf.c (split files, lookups). */
#include "gguf_read.h"

#include <stdlib.h>
#include <string.h>

static const int type_bytes[RB_GGUF_N_TYPE] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

/* A cursor over a source. Once failed it stays failed and reads zeros, so that a record can be
 * read field by field and checked once. */
typedef struct reader {
    const rb_source *src;
    uint64_t pos;
    const char *section; /* for messages */
    rb_status status;
    rb_error *err;
    uint64_t window_pos, window_n;
    uint8_t window[1 << 16];
} reader;

#define FAIL(r, ...) ((r)->status = rb_fail((r)->err, RB_ERR_FORMAT, __VA_ARGS__))

static bool has(reader *r, uint64_t n)
{
    if (r->status == RB_OK && n > r->src->size - r->pos)
        FAIL(r, "%s: truncated in its %s: %llu bytes wanted at byte %llu, the file has %llu",
             r->src->label, r->section, (unsigned long long)n, (unsigned long long)r->pos,
             (unsigned long long)r->src->size);
    return r->status == RB_OK;
}

static void skip(reader *r, uint64_t n)
{
    if (has(r, n))
        r->pos += n;
}

/* n is at most the size of the window. */
static void get(reader *r, void *dst, uint64_t n)
{
    memset(dst, 0, n);
    if (!has(r, n))
        return;
    if (r->pos < r->window_pos || r->pos + n > r->window_pos + r->window_n) {
        uint64_t left = r->src->size - r->pos;
        r->window_pos = r->pos;
        r->window_n = left < sizeof r->window ? left : sizeof r->window;
        r->status = rb_source_read(r->src, r->pos, r->window, r->window_n, r->err);
        if (r->status != RB_OK)
            return;
    }
    memcpy(dst, r->window + (r->pos - r->window_pos), n);
    r->pos += n;
}

/* A little-endian number of n bytes. */
static uint64_t get_uint(reader *r, int n)
{
    uint8_t b[8];
    uint64_t u = 0;
    get(r, b, (uint64_t)n);
    for (int i = n - 1; i >= 0; i--)
        u = u << 8 | b[i];
    return u;
}

static uint32_t get_u32(reader *r)
{
    return (uint32_t)get_uint(r, 4);
}

/* Allocates. A key or a name: no more than max bytes, at least one, and no NUL among them. */
static char *get_name(reader *r, uint64_t max)
{
    uint64_t n = get_uint(r, 8);
    if (r->status == RB_OK && (n == 0 || n > max))
        FAIL(r, "%s: a name of %llu bytes in its %s at byte %llu; 1 to %llu are allowed",
             r->src->label, (unsigned long long)n, r->section, (unsigned long long)r->pos - 8,
             (unsigned long long)max);
    if (!has(r, n))
        return NULL;
    char *s = malloc(n + 1);
    if (!s) {
        r->status = rb_fail(r->err, RB_ERR_MEMORY, "%s: out of memory", r->src->label);
        return NULL;
    }
    get(r, s, n);
    s[n] = 0;
    if (r->status == RB_OK && strlen(s) != n)
        FAIL(r, "%s: a name with a NUL byte in its %s", r->src->label, r->section);
    return s;
}

/* ---- metadata ---- */

static void get_number(reader *r, rb_gguf_kv *kv)
{
    int n = type_bytes[kv->type];
    uint64_t u = get_uint(r, n);
    if (kv->type == RB_GGUF_F32) {
        uint32_t u32 = (uint32_t)u;
        float f;
        memcpy(&f, &u32, sizeof f);
        kv->real = f;
    } else if (kv->type == RB_GGUF_F64) {
        memcpy(&kv->real, &u, sizeof kv->real);
    } else if (kv->type == RB_GGUF_I8) {
        kv->integer = (int8_t)u;
    } else if (kv->type == RB_GGUF_I16) {
        kv->integer = (int16_t)u;
    } else if (kv->type == RB_GGUF_I32) {
        kv->integer = (int32_t)u;
    } else if (kv->type == RB_GGUF_U64 && u > INT64_MAX) {
        kv->integer = INT64_MAX;
    } else {
        kv->integer = (int64_t)u;
    }
}

static void get_string(reader *r, rb_gguf_kv *kv)
{
    kv->n = get_uint(r, 8);
    if (kv->n > RB_GGUF_MAX_TEXT) {
        skip(r, kv->n);
        return;
    }
    if (!has(r, kv->n))
        return;
    kv->text = malloc(kv->n + 1);
    if (!kv->text) {
        r->status = rb_fail(r->err, RB_ERR_MEMORY, "%s: out of memory", r->src->label);
        return;
    }
    get(r, kv->text, kv->n);
    kv->text[kv->n] = 0;
}

/* Arrays (token lists, merges) are walked over; nothing here needs their items. */
static void skip_array(reader *r, rb_gguf_kv *kv)
{
    uint32_t type = get_u32(r);
    kv->n = get_uint(r, 8);
    if (r->status != RB_OK)
        return;
    if (type >= RB_GGUF_N_TYPE || type == RB_GGUF_ARRAY) {
        FAIL(r, "%s: key '%s' is an array of %s, which is not supported", r->src->label, kv->key,
             type == RB_GGUF_ARRAY ? "arrays" : "an unknown type");
        return;
    }
    uint64_t least = type == RB_GGUF_STRING ? 8 : (uint64_t)type_bytes[type];
    if (kv->n > (r->src->size - r->pos) / least) {
        FAIL(r, "%s: truncated: key '%s' is an array of %llu items, %llu bytes remain",
             r->src->label, kv->key, (unsigned long long)kv->n,
             (unsigned long long)(r->src->size - r->pos));
        return;
    }
    if (type != RB_GGUF_STRING)
        skip(r, kv->n * least);
    for (uint64_t i = 0; type == RB_GGUF_STRING && i < kv->n && r->status == RB_OK; i++)
        skip(r, get_uint(r, 8));
}

static void get_kv(reader *r, rb_gguf_kv *kv)
{
    kv->key = get_name(r, RB_GGUF_MAX_KEY);
    uint32_t type = get_u32(r);
    if (r->status != RB_OK)
        return;
    if (type >= RB_GGUF_N_TYPE) {
        FAIL(r, "%s: key '%s' has the unknown value type %u", r->src->label, kv->key, type);
        return;
    }
    kv->type = (rb_gguf_type)type;
    if (kv->type == RB_GGUF_STRING)
        get_string(r, kv);
    else if (kv->type == RB_GGUF_ARRAY)
        skip_array(r, kv);
    else
        get_number(r, kv);
}

/* ---- tensors ---- */

/* Sets bytes from type and extents, or fails. */
static void size_tensor(reader *r, rb_gguf_tensor *t)
{
    int64_t elements = 1, bytes = 0;
    for (int i = 0; i < 4; i++)
        if (__builtin_mul_overflow(elements, t->ne[i], &elements)) {
            FAIL(r, "%s: tensor '%s' has more elements than 64 bits count", r->src->label, t->name);
            return;
        }
    if (t->dtype == RB_NO_DTYPE)
        return;
    const rb_dtype_info *info = rb_dtype_get(t->dtype);
    if (t->ne[0] % info->block != 0) {
        FAIL(r, "%s: tensor '%s' has rows of %lld elements, no multiple of the %d of %s",
             r->src->label, t->name, (long long)t->ne[0], info->block, info->name);
        return;
    }
    if (__builtin_mul_overflow(elements / info->block, (int64_t)info->block_bytes, &bytes)) {
        FAIL(r, "%s: tensor '%s' has more bytes than 64 bits count", r->src->label, t->name);
        return;
    }
    t->bytes = (uint64_t)bytes;
}

/* offset is still relative to the data section, whose place is not known yet. */
static void get_tensor(reader *r, rb_gguf_tensor *t)
{
    t->name = get_name(r, RB_GGUF_MAX_NAME);
    uint32_t n_dim = get_u32(r);
    if (r->status != RB_OK)
        return;
    if (n_dim < 1 || n_dim > 4) {
        FAIL(r, "%s: tensor '%s' has %u dimensions; 1 to 4 are allowed", r->src->label, t->name,
             n_dim);
        return;
    }
    t->n_dim = (int)n_dim;
    for (uint32_t i = 0; i < 4; i++)
        t->ne[i] = i < n_dim ? (int64_t)get_uint(r, 8) : 1;
    t->type = get_u32(r);
    t->offset = get_uint(r, 8);
    if (r->status != RB_OK)
        return;
    for (int i = 0; i < 4; i++)
        if (t->ne[i] < 1) {
            FAIL(r, "%s: tensor '%s' has the extent %llu in dimension %d", r->src->label, t->name,
                 (unsigned long long)t->ne[i], i);
            return;
        }
    t->dtype = rb_dtype_by_gguf_id(t->type);
    size_tensor(r, t);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const rb_gguf_kv *)a)->key, ((const rb_gguf_kv *)b)->key);
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const rb_gguf_tensor *)a)->offset, y = ((const rb_gguf_tensor *)b)->offset;
    return x < y ? -1 : x > y;
}

/* The tensors t[n] of one file: aligned, inside the data section, apart from each other. */
static void place_tensors(reader *r, rb_gguf_tensor *t, int64_t n, uint64_t alignment)
{
    uint64_t size = r->src->size, start = (r->pos + alignment - 1) / alignment * alignment;
    const char *label = r->src->label;
    const rb_gguf_tensor *last = NULL;
    qsort(t, (size_t)n, sizeof *t, by_offset);
    for (int64_t i = 0; i < n; i++) {
        uint64_t offset = t[i].offset;
        if (offset % alignment != 0)
            FAIL(r,
                 "%s: tensor '%s' starts at byte %llu of the data, no multiple of the alignment"
                 " %llu",
                 label, t[i].name, (unsigned long long)offset, (unsigned long long)alignment);
        else if (start > size || offset > size - start || t[i].bytes > size - start - offset)
            FAIL(r,
                 "%s: truncated: tensor '%s' needs %llu bytes at byte %llu of the data, which"
                 " has %llu; is the download complete?",
                 label, t[i].name, (unsigned long long)t[i].bytes, (unsigned long long)offset,
                 (unsigned long long)(start > size ? 0 : size - start));
        else if (last && last->offset + last->bytes > start + offset)
            FAIL(r, "%s: tensors '%s' and '%s' overlap", label, last->name, t[i].name);
        if (r->status != RB_OK)
            return;
        t[i].offset = start + offset;
        if (t[i].bytes > 0)
            last = &t[i];
    }
}

/* ---- one file ---- */

/* Makes room for item n of an array of items; doubles, so that memory follows what was read. */
static void *grow(reader *r, void *array, int64_t n, size_t item_bytes)
{
    if (n & (n - 1))
        return array;
    void *p = realloc(array, (size_t)(n ? 2 * n : 1) * item_bytes);
    if (!p)
        r->status = rb_fail(r->err, RB_ERR_MEMORY, "%s: out of memory", r->src->label);
    return p;
}

static uint64_t get_count(reader *r, const char *what, uint64_t most, uint64_t least_bytes)
{
    uint64_t n = get_uint(r, 8);
    if (r->status == RB_OK && n > most)
        FAIL(r, "%s: it declares %llu %s; at most %llu are allowed", r->src->label,
             (unsigned long long)n, what, (unsigned long long)most);
    else if (r->status == RB_OK && n > (r->src->size - r->pos) / least_bytes)
        FAIL(r,
             "%s: truncated: it declares %llu %s, %llu bytes remain; is the "
             "download complete?",
             r->src->label, (unsigned long long)n, what,
             (unsigned long long)(r->src->size - r->pos));
    return r->status == RB_OK ? n : 0;
}

static void get_header(reader *r, rb_gguf_part *p)
{
    char magic[4];
    r->section = "header";
    get(r, magic, sizeof magic);
    uint32_t version = get_u32(r);
    if (r->status != RB_OK)
        return;
    if (memcmp(magic, "GGUF", 4) != 0)
        FAIL(r, "%s: not a GGUF file", r->src->label);
    else if (version != 0 && (version & 0xffff) == 0)
        r->status =
            rb_fail(r->err, RB_ERR_UNSUPPORTED,
                    "%s: a big-endian GGUF file; convert it to little-endian first", r->src->label);
    else if (version != 2 && version != 3)
        r->status = rb_fail(r->err, RB_ERR_UNSUPPORTED,
                            "%s: GGUF version %u is not supported; versions 2 and 3 are",
                            r->src->label, version);
    p->n_tensor = get_count(r, "tensors", RB_GGUF_MAX_TENSOR, 8 + 1 + 4 + 8 + 4 + 8);
}

static void get_metadata(reader *r, rb_gguf_part *p, uint64_t n)
{
    r->section = "metadata";
    for (uint64_t i = 0; i < n && r->status == RB_OK; i++) {
        rb_gguf_kv *kv = grow(r, p->kv, p->n_kv, sizeof *kv);
        if (!kv)
            return;
        p->kv = kv;
        kv = &p->kv[p->n_kv++];
        *kv = (rb_gguf_kv){ .offset = r->pos };
        get_kv(r, kv);
        kv->bytes = r->pos - kv->offset;
    }
    if (r->status != RB_OK || p->n_kv == 0)
        return;
    qsort(p->kv, (size_t)p->n_kv, sizeof *p->kv, by_key);
    for (int64_t i = 1; i < p->n_kv; i++)
        if (by_key(&p->kv[i - 1], &p->kv[i]) == 0) {
            FAIL(r, "%s: key '%s' appears twice", r->src->label, p->kv[i].key);
            return;
        }
}

/* Appends the tensors of file number file to g. */
static void get_tensors(reader *r, rb_gguf *g, rb_gguf_part *p, int file)
{
    r->section = "tensor directory";
    int64_t first = g->n_tensor;
    if (p->n_tensor > RB_GGUF_MAX_TENSOR - (uint64_t)first)
        FAIL(r, "%s: more than %d tensors", r->src->label, RB_GGUF_MAX_TENSOR);
    for (uint64_t i = 0; i < p->n_tensor && r->status == RB_OK; i++) {
        rb_gguf_tensor *t = grow(r, g->tensor, g->n_tensor, sizeof *t);
        if (!t)
            return;
        g->tensor = t;
        t[g->n_tensor] = (rb_gguf_tensor){ .file = file };
        get_tensor(r, &t[g->n_tensor++]);
    }
    const rb_gguf_kv *kv = rb_gguf_part_kv(p, "general.alignment");
    int64_t alignment = !kv ? 32 : rb_gguf_is_integer(kv) ? kv->integer : 0;
    if (r->status == RB_OK &&
        (alignment < 8 || alignment > RB_GGUF_MAX_ALIGNMENT || (alignment & (alignment - 1)) != 0))
        FAIL(r, "%s: general.alignment is %lld; a power of two from 8 to %d is wanted",
             r->src->label, (long long)alignment, RB_GGUF_MAX_ALIGNMENT);
    p->alignment = (uint64_t)alignment;
    if (r->status == RB_OK && g->n_tensor > first)
        place_tensors(r, g->tensor + first, g->n_tensor - first, p->alignment);
}

rb_status rb_gguf_read_part(rb_gguf *g, int file, rb_gguf_part *p, rb_error *err)
{
    reader *r = calloc(1, sizeof *r);
    if (!r)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    r->src = &g->file[file];
    r->err = err;
    get_header(r, p);
    uint64_t n_kv = get_count(r, "metadata keys", RB_GGUF_MAX_KV, 8 + 1 + 4 + 1);
    get_metadata(r, p, n_kv);
    if (r->status == RB_OK)
        get_tensors(r, g, p, file);
    rb_status status = r->status;
    free(r);
    return status;
}

const rb_gguf_kv *rb_gguf_part_kv(const rb_gguf_part *p, const char *key)
{
    rb_gguf_kv want = { .key = (char *)key };
    return p->n_kv > 0 ? bsearch(&want, p->kv, (size_t)p->n_kv, sizeof want, by_key) : NULL;
}

void rb_gguf_part_free(rb_gguf_part *p)
{
    for (int64_t i = 0; i < p->n_kv; i++) {
        free(p->kv[i].key);
        free(p->kv[i].text);
    }
    free(p->kv);
    *p = (rb_gguf_part){ 0 };
}
