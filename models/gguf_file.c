/* Writing a GGUF file: the one place that lays out its directory.
 * Refuses to know what is in it, and how it comes by its name (replace.c).
 * Read next: gguf_read.c, the other direction. */
#include "gguf_file.h"

#include "replace.h"

#include <string.h>

enum { VERSION = 3, HEADER = 4 + 4 + 8 + 8 };

void rb_put_uint(FILE *f, uint64_t u, int n)
{
    for (int i = 0; i < n; i++)
        putc((int)(u >> 8 * i & 0xff), f);
}

void rb_put_string(FILE *f, const char *s)
{
    rb_put_uint(f, strlen(s), 8);
    fputs(s, f);
}

static uint64_t padding(const rb_gguf_content *c, uint64_t n)
{
    return (c->alignment - n % c->alignment) % c->alignment;
}

static void put_padding(FILE *f, const rb_gguf_content *c, uint64_t written)
{
    for (uint64_t n = padding(c, written); n > 0; n--)
        putc(0, f);
}

/* Returns its bytes. */
static uint64_t put_directory(FILE *f, const rb_gguf_content *c)
{
    uint64_t offset = 0, size = 0;
    for (int64_t i = 0; i < c->n_tensor; i++) {
        const rb_gguf_entry e = c->entry(c->arg, i);
        rb_put_string(f, e.name);
        rb_put_uint(f, (uint64_t)e.n_dim, 4);
        for (int d = 0; d < e.n_dim; d++)
            rb_put_uint(f, (uint64_t)e.ne[d], 8);
        rb_put_uint(f, (uint64_t)rb_dtype_get(e.dtype)->gguf_id, 4);
        rb_put_uint(f, offset, 8);
        offset += e.bytes + padding(c, e.bytes);
        size += 8 + strlen(e.name) + 4 + 8 * (uint64_t)e.n_dim + 4 + 8;
    }
    return size;
}

static rb_status put_all(FILE *f, void *arg, rb_error *err)
{
    const rb_gguf_content *c = arg;
    fputs("GGUF", f);
    rb_put_uint(f, VERSION, 4);
    rb_put_uint(f, (uint64_t)c->n_tensor, 8);
    rb_put_uint(f, c->n_kv, 8);
    rb_status status = c->put_kv(f, c->arg, err);
    put_padding(f, c, HEADER + c->kv_bytes + put_directory(f, c));
    for (int64_t i = 0; i < c->n_tensor && status == RB_OK && !ferror(f); i++) {
        status = rb_ask_stop(c->stop, c->stop_arg, err);
        if (status == RB_OK)
            status = c->put_data(f, c->arg, i, err);
        if (!ferror(f))
            put_padding(f, c, c->entry(c->arg, i).bytes);
    }
    return status;
}

rb_status rb_gguf_put(const rb_gguf_content *c, const char *path, rb_error *err)
{
    const rb_content all = {
        .put = put_all, .arg = (void *)c, .stop = c->stop, .stop_arg = c->stop_arg
    };
    return rb_replace_file(path, &all, err);
}
