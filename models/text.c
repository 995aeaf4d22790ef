/* Reading to the end in memory that doubles. What is longer than allowed is refused before there is
 * memory for it.
 * Read next: text.h. */
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = 1 << 16 };

/* Doubles the room, to one byte more than most and the NUL's at most. */
static bool grow(char **text, size_t *room, size_t most)
{
    const size_t more = *room ? 2 * *room : FIRST, limit = most + 2;
    char *p = realloc(*text, more < limit ? more : limit);
    if (p) {
        *text = p;
        *room = more < limit ? more : limit;
    }
    return p != NULL;
}

rb_status rb_text_of_stream(FILE *f, const char *name, size_t most, char **text, size_t *n,
                            rb_error *err)
{
    char *buf = NULL;
    size_t room = 0, used = 0, got;
    rb_status status = RB_OK;
    *text = NULL;
    do {
        if (room - used < 2 && !grow(&buf, &room, most)) {
            status = rb_fail(err, RB_ERR_MEMORY,
                             "%.300s: no memory for a text of more than %zu bytes", name, used);
            break;
        }
        got = fread(buf + used, 1, room - used - 1, f);
        used += got;
    } while (got > 0 && used <= most);
    if (status == RB_OK && ferror(f))
        status = rb_fail(err, RB_ERR_IO, "%.300s: cannot read: %s", name, strerror(errno));
    else if (status == RB_OK && used > most)
        status = rb_fail(err, RB_ERR_FORMAT, "%.300s: more than %zu bytes, which are the most",
                         name, most);
    if (status != RB_OK || !buf) {
        free(buf);
        return status;
    }
    buf[used] = 0;
    *text = buf;
    *n = used;
    return RB_OK;
}

rb_status rb_text_of_file(const char *path, size_t most, char **text, size_t *n, rb_error *err)
{
    FILE *f = fopen(path, "rb");
    *text = NULL;
    *n = 0;
    if (!f)
        return rb_fail(err, RB_ERR_IO, "%.300s: cannot open: %s", path, strerror(errno));
    const rb_status status = rb_text_of_stream(f, path, most, text, n, err);
    fclose(f);
    return status;
}
