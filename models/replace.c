/* Files appear under their name only when complete: written beside, synced, renamed.
 * Refuses to know what is in them.
 * Read next: gguf_file.c, ../bench/draw.c. */
#include "replace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

rb_status rb_ask_stop(bool (*stop)(void *arg), void *arg, rb_error *err)
{
    return stop && stop(arg) ? rb_fail(err, RB_ERR_IO, "interrupted") : RB_OK;
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
static rb_status write_to(const rb_content *c, const char *path, const char *name, bool sync,
                          rb_error *err)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return rb_fail(err, RB_ERR_IO, "%.300s: cannot create: %s", name, strerror(errno));
    errno = 0;
    rb_status status = c->put(f, c->arg, err);
    int bad = finish(f, sync && status == RB_OK);
    if (status == RB_OK && bad)
        status = rb_fail(err, RB_ERR_IO, "%.300s: cannot write: %s", name, strerror(bad));
    return status;
}

static rb_status write_beside(const rb_content *c, const char *path, rb_error *err)
{
    size_t room = strlen(path) + 32;
    char *temp = malloc(room);
    if (!temp)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    snprintf(temp, room, "%s.%ld.tmp", path, (long)getpid());
    rb_status status = write_to(c, temp, path, true, err);
    if (status == RB_OK)
        status = rb_ask_stop(c->stop, c->stop_arg, err);
    if (status == RB_OK && rename(temp, path) != 0)
        status = rb_fail(err, RB_ERR_IO, "%.300s: cannot create: %s", path, strerror(errno));
    if (status != RB_OK)
        unlink(temp);
    free(temp);
    return status;
}

rb_status rb_replace_file(const char *path, const rb_content *c, rb_error *err)
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
