/* Reading arrays and long strings of a GGUF file's metadata.
 * Refuses a value whose type or size is not what is wanted; interprets none.
 * Read next: tokenizer_gguf.c. */
#include "gguf_array.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t uint_at(const uint8_t *p, int n)
{
    uint64_t u = 0;
    for (int i = n - 1; i >= 0; i--)
        u = u << 8 | p[i];
    return u;
}

static rb_status wrong_type(const rb_gguf *g, const rb_gguf_kv *kv, const char *wanted,
                            rb_error *err)
{
    return rb_fail(err, RB_ERR_FORMAT, "%s: key '%s' is not the %s that it should be",
                   g->file[0].label, kv->key, wanted);
}

/* The bytes of key, type and value, allocated; the value is from *offset on and has head bytes at
 * least. NULL if it cannot be had: then *status says why. */
static uint8_t *read_value(const rb_gguf *g, const rb_gguf_kv *kv, uint64_t head, uint64_t *offset,
                           rb_status *status, rb_error *err)
{
    *offset = 8 + strlen(kv->key) + 4;
    if (kv->bytes < *offset + head) {
        *status = wrong_type(g, kv, "value", err);
        return NULL;
    }
    uint8_t *value = malloc(kv->bytes);
    *status = value ? rb_source_read(&g->file[0], kv->offset, value, kv->bytes, err)
                    : rb_fail(err, RB_ERR_MEMORY, "%s: out of memory for key '%s'",
                              g->file[0].label, kv->key);
    if (*status == RB_OK)
        return value;
    free(value);
    return NULL;
}

rb_status rb_gguf_array_read(rb_gguf_array *a, const rb_gguf *g, const rb_gguf_kv *kv,
                             rb_gguf_type type, uint64_t most, rb_error *err)
{
    uint64_t offset = 0;
    *a = (rb_gguf_array){ .n = kv->n };
    if (kv->type != RB_GGUF_ARRAY)
        return wrong_type(g, kv, "array", err);
    if (kv->n > most)
        return rb_fail(err, RB_ERR_FORMAT,
                       "%s: key '%s' has %" PRIu64 " items; at most %" PRIu64 " are allowed",
                       g->file[0].label, kv->key, kv->n, most);
    rb_status status = RB_OK;
    a->value = read_value(g, kv, 4 + 8, &offset, &status, err);
    if (!a->value)
        return status;
    const uint64_t least = type == RB_GGUF_STRING ? 8 : 4; /* i32 and f32 are asked for */
    a->item = a->value + offset + 12;
    a->n_bytes = kv->bytes - offset - 12;
    if (uint_at(a->value + offset, 4) == (uint64_t)type &&
        uint_at(a->value + offset + 4, 8) == a->n && a->n <= a->n_bytes / least)
        return RB_OK;
    rb_gguf_array_free(a);
    return rb_fail(err, RB_ERR_FORMAT, "%s: key '%s' is no array of %s", g->file[0].label, kv->key,
                   rb_gguf_type_name[type]);
}

void rb_gguf_array_free(rb_gguf_array *a)
{
    free(a->value);
    *a = (rb_gguf_array){ 0 };
}

rb_status rb_gguf_array_texts(const rb_gguf_array *a, const char *label, rb_text **text,
                              rb_error *err)
{
    uint64_t pos = 0;
    *text = malloc((a->n + 1) * sizeof **text);
    if (!*text)
        return rb_fail(err, RB_ERR_MEMORY, "%s: out of memory for %" PRIu64 " texts", label, a->n);
    for (uint64_t i = 0; i < a->n; i++) {
        const uint64_t n = a->n_bytes - pos >= 8 ? uint_at(a->item + pos, 8) : UINT64_MAX;
        if (n == UINT64_MAX || n > a->n_bytes - pos - 8) {
            free(*text);
            *text = NULL;
            return rb_fail(err, RB_ERR_FORMAT, "%s: truncated in text %" PRIu64 " of an array",
                           label, i);
        }
        (*text)[i] = (rb_text){ (const char *)a->item + pos + 8, n };
        pos += 8 + n;
    }
    return RB_OK;
}

rb_status rb_gguf_text_read(char **text, const rb_gguf *g, const rb_gguf_kv *kv, uint64_t most,
                            rb_error *err)
{
    uint64_t offset = 0;
    rb_status status = RB_OK;
    *text = NULL;
    if (kv->type != RB_GGUF_STRING)
        return wrong_type(g, kv, "string", err);
    if (kv->n > most)
        return rb_fail(err, RB_ERR_FORMAT,
                       "%s: key '%s' has %" PRIu64 " bytes; at most %" PRIu64 " are allowed",
                       g->file[0].label, kv->key, kv->n, most);
    uint8_t *value = read_value(g, kv, 8, &offset, &status, err);
    if (!value)
        return status;
    if (uint_at(value + offset, 8) != kv->n || kv->bytes - offset - 8 != kv->n) {
        free(value);
        return wrong_type(g, kv, "string", err);
    }
    memmove(value, value + offset + 8, kv->n);
    value[kv->n] = 0; /* the key left room */
    *text = (char *)value;
    return RB_OK;
}
