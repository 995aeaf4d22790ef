/* Writing a GGUF file: the one place that lays out its directory, and the one that makes it appear.
 * The file has its name only when complete: it is written beside, synced and renamed.
 * Refuses to know what is in it. Read next: gguf_read.c, the other direction. */
#include "gguf_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static rb_status asked_to_stop(const rb_gguf_content *c, rb_error *err)
{
    return c->stop && c->stop(c->stop_arg) ? rb_fail(err, RB_ERR_IO, "interrupted") : RB_OK;
}

static rb_status put_all(FILE *f, const rb_gguf_content *c, rb_error *err)
{
    fputs("GGUF", f);
    rb_put_uint(f, VERSION, 4);
    rb_put_uint(f, (uint64_t)c->n_tensor, 8);
    rb_put_uint(f, c->n_kv, 8);
    rb_status status = c->put_kv(f, c->arg, err);
    put_padding(f, c, HEADER + c->kv_bytes + put_directory(f, c));
    for (int64_t i = 0; i < c->n_tensor && status == RB_OK && !ferror(f); i++) {
        status = asked_to_stop(c, err);
        if (status == RB_OK)
            status = c->put_data(f, c->arg, i, err);
        if (!ferror(f))
            put_padding(f, c, c->entry(c->arg, i).bytes);
    }
    return status;
}

/* Closes f; the first error of all that was done with it, or 0. */
static int finish(FILE *f, bool sync)
{
    int bad = 0;
    if (ferror(f) || fflush(f) != 0)
        bad = errno ? errno : EIO;
    if (!bad && sync && fsync(fileno(f)) != 0)
        bad = errno;
    if (fclose(f) != 0 && !bad)
        bad = errno;
    return bad;
}

/* path is where to write, name is what messages call it. */
static rb_status write_to(const rb_gguf_content *c, const char *path, const char *name, bool sync,
                          rb_error *err)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return rb_fail(err, RB_ERR_IO, "%.300s: cannot create: %s", name, strerror(errno));
    errno = 0;
    rb_status status = put_all(f, c, err);
    int bad = finish(f, sync && status == RB_OK);
    if (status == RB_OK && bad)
        status = rb_fail(err, RB_ERR_IO, "%.300s: cannot write: %s", name, strerror(bad));
    return status;
}

static rb_status write_beside(const rb_gguf_content *c, const char *path, rb_error *err)
{
    size_t room = strlen(path) + 32;
    char *temp = malloc(room);
    if (!temp)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    snprintf(temp, room, "%s.%ld.tmp", path, (long)getpid());
    rb_status status = write_to(c, temp, path, true, err);
    if (status == RB_OK)
        status = asked_to_stop(c, err);
    if (status == RB_OK && rename(temp, path) != 0)
        status = rb_fail(err, RB_ERR_IO, "%.300s: cannot create: %s", path, strerror(errno));
    if (status != RB_OK)
        unlink(temp);
    free(temp);
    return status;
}

rb_status rb_gguf_put(const rb_gguf_content *c, const char *path, rb_error *err)
{
    struct stat st;
    const bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return rb_fail(err, RB_ERR_IO, "%.300s: cannot create: %s", path, strerror(EISDIR));
    if (there && !S_ISREG(st.st_mode))
        return write_to(c, path, path, false, err); /* a device or pipe must not be replaced */
    char *real = realpath(path, NULL);              /* what a link points at is replaced */
    const int why = errno;
    if (!real && (why != ENOENT || lstat(path, &st) == 0))
        return rb_fail(err, RB_ERR_IO, "%.300s: cannot create: %s", path, strerror(why));
    rb_status status = write_beside(c, real ? real : path, err);
    free(real);
    return status;
}
