/* Reading files and memory by position.
 * Refuses everything but regular files: bytes cannot come from a pipe, nor from a folder itself.
 * Read next: gguf.c, llama2c.c, safetensors.c. */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void set_label(rb_source *s, const char *name)
{
    size_t n = strlen(name), room = sizeof s->label - 1;
    if (n <= room)
        memcpy(s->label, name, n + 1);
    else
        snprintf(s->label, sizeof s->label, "...%s", name + n - room + 3);
}

rb_status rb_source_open(rb_source *s, const char *path, rb_error *err)
{
    *s = (rb_source){ .fd = -1 };
    set_label(s, path);
    /* Without O_NONBLOCK opening a pipe would wait for its writer. */
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s->fd < 0)
        return rb_fail(err, RB_ERR_IO, "%s: cannot open: %s", s->label, strerror(errno));
    struct stat st;
    if (fstat(s->fd, &st) != 0) {
        rb_fail(err, RB_ERR_IO, "%s: cannot stat: %s", s->label, strerror(errno));
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        rb_fail(err, RB_ERR_IO,
                "%s: not a regular file; name a GGUF or llama2.c file, or a folder with "
                "config.json and safetensors",
                s->label);
        goto fail;
    }
    s->size = (uint64_t)st.st_size;
    return RB_OK;
fail:
    rb_source_close(s);
    return RB_ERR_IO;
}

rb_source rb_source_memory(const char *label, const void *data, uint64_t size)
{
    rb_source s = { .fd = -1, .data = data, .size = size };
    set_label(&s, label);
    return s;
}

void rb_source_close(rb_source *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->data = NULL;
    s->size = 0;
}

rb_status rb_source_read(const rb_source *s, uint64_t offset, void *dst, uint64_t n, rb_error *err)
{
    if (offset > s->size || n > s->size - offset)
        return rb_fail(err, RB_ERR_FORMAT,
                       "%s: truncated: bytes %llu+%llu wanted, the file has %llu", s->label,
                       (unsigned long long)offset, (unsigned long long)n,
                       (unsigned long long)s->size);
    if (s->fd < 0) {
        if (n > 0)
            memcpy(dst, s->data + offset, n);
        return RB_OK;
    }
    for (char *p = dst; n > 0;) {
        ssize_t got = pread(s->fd, p, n < (1u << 30) ? n : (1u << 30), (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return rb_fail(err, RB_ERR_IO, "%s: cannot read: %s", s->label, strerror(errno));
        if (got == 0)
            return rb_fail(err, RB_ERR_IO, "%s: the file shrank while it was read", s->label);
        p += got;
        offset += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return RB_OK;
}

const char *rb_source_base_name(const rb_source *s)
{
    const char *slash = strrchr(s->label, '/');
    return slash ? slash + 1 : s->label;
}
