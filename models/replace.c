/* Files appear under their name only when complete: written beside, synced, renamed.
 * Refuses to know what is in them.
 * Read next: gguf_file.c, ../bench/draw.c. */
#include "replace.h"

#include <errno.h>
#include <fcntl.h>
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

static rb_status cannot_create(const char *path, int why, rb_error *err)
{
    return rb_fail(err, RB_ERR_IO, "%.300s: cannot create: %s", path, strerror(why));
}

/* path is where to write, name is what messages call it. */
static rb_status write_to(const rb_content *c, const char *path, const char *name, bool sync,
                          rb_error *err)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return cannot_create(name, errno, err);
    errno = 0;
    rb_status status = c->put(f, c->arg, err);
    int bad = finish(f, sync && status == RB_OK);
    if (status == RB_OK && bad)
        status = rb_fail(err, RB_ERR_IO, "%.300s: cannot write: %s", name, strerror(bad));
    return status;
}

/* The name beside path under which it is written; to be freed. */
static char *temporary_name(const char *path, rb_error *err)
{
    const size_t room = strlen(path) + 32;
    char *temp = malloc(room);
    if (temp)
        snprintf(temp, room, "%s.%ld.tmp", path, (long)getpid());
    else
        rb_fail(err, RB_ERR_MEMORY, "out of memory");
    return temp;
}

static rb_status write_beside(const rb_content *c, const char *path, rb_error *err)
{
    char *temp = temporary_name(path, err);
    if (!temp)
        return RB_ERR_MEMORY;
    rb_status status = write_to(c, temp, path, true, err);
    if (status == RB_OK)
        status = rb_ask_stop(c->stop, c->stop_arg, err);
    if (status == RB_OK && rename(temp, path) != 0)
        status = cannot_create(path, errno, err);
    if (status != RB_OK)
        unlink(temp);
    free(temp);
    return status;
}

/* The file to replace, which is what a link points at; to be freed. NULL: path is a device or a
 * pipe, which must not be replaced. */
static rb_status find_target(const char *path, char **target, rb_error *err)
{
    struct stat st;
    const bool there = stat(path, &st) == 0;
    *target = NULL;
    if (there && S_ISDIR(st.st_mode))
        return cannot_create(path, EISDIR, err);
    if (there && !S_ISREG(st.st_mode))
        return RB_OK;
    *target = realpath(path, NULL);
    const int why = errno;
    if (!*target && (why != ENOENT || lstat(path, &st) == 0))
        return cannot_create(path, why, err);
    if (!*target && !(*target = strdup(path)))
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    return RB_OK;
}

rb_status rb_replace_file(const char *path, const rb_content *c, rb_error *err)
{
    char *target;
    rb_status status = find_target(path, &target, err);
    if (status == RB_OK)
        status = target ? write_beside(c, target, err) : write_to(c, path, path, false, err);
    free(target);
    return status;
}

/* Makes the file beside path and removes it. */
static rb_status try_beside(const char *path, rb_error *err)
{
    char *temp = temporary_name(path, err);
    if (!temp)
        return RB_ERR_MEMORY;
    const int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    const rb_status status = fd < 0 ? cannot_create(path, errno, err) : RB_OK;
    if (fd >= 0) {
        close(fd);
        unlink(temp);
    }
    free(temp);
    return status;
}

rb_status rb_replace_check(const char *path, rb_error *err)
{
    char *target;
    rb_status status = find_target(path, &target, err);
    if (status == RB_OK && target)
        status = try_beside(target, err);
    else if (status == RB_OK && access(path, W_OK) != 0)
        status = cannot_create(path, errno, err);
    free(target);
    return status;
}
