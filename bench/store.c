/* The file behind --out: append-only JSON lines, one writer at a time, mended when it was left
 * torn. It never changes a file that is not its own: everything there is checked before the first
 * byte is written. Its lines begin with the schema's version, so that a torn one is known as ours.
 * Read next: record.c, which makes the records. */
#define _GNU_SOURCE
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LINE = 16 << 20, CHUNK = 1 << 16 };

struct rb_store {
    char *path;
    int fd;
    int64_t n_rows;
    json_t *seen;   /* identities of finished rows, as keys */
    int64_t torn;   /* bytes to cut off the end */
    bool lacks_end; /* the last record is whole but for its newline */
};

static const char line_start[] = "{\"schema_version\":1,";
_Static_assert(RB_SCHEMA_VERSION == 1, "line_start names it too");

/* ---- identity ---- */

/* The model: by its digest, or else, and then *whole turns false, by what its file is called and
 * how large it is. */
static void append_model(json_t *id, const json_t *row, bool *whole)
{
    json_t *digest = json_object_get(json_object_get(row, "env"), "model_digest");
    const char *path = json_string_value(json_object_get(row, "model_filename"));
    const char *slash = path ? strrchr(path, '/') : NULL;
    json_t *size = json_object_get(row, "model_size");
    *whole = json_is_string(digest);
    if (*whole)
        json_array_append(id, digest);
    else
        json_array_append_new(id, json_pack("[s?, O?]", slash ? slash + 1 : path, size));
}

char *rb_record_identity(const json_t *row, bool *whole)
{
    static const char *const key[] = { "n_prompt",    "n_gen",        "n_depth",  "n_seq",
                                       "n_layer_run", "n_batch",      "n_ubatch", "type_k",
                                       "type_v",      "act",          "isa",      "n_threads",
                                       "blas",        "attn_variant", "mla_auto", "ffn_act",
                                       NULL };
    json_t *id = json_array();
    append_model(id, row, whole);
    for (int i = 0; key[i]; i++) {
        json_t *value = json_object_get(row, key[i]);
        *whole = *whole && value && !json_is_null(value);
        json_array_append(id, value ? value : json_null());
    }
    json_array_append_new(id, json_integer(rb_field_int(row, "n_draft"))); /* older ones had none */
    char *text = json_dumps(id, JSON_COMPACT);
    json_decref(id);
    return text;
}

bool rb_record_finished(const json_t *record)
{
    return !json_object_get(record, "error") &&
           !json_is_true(json_object_get(record, "interrupted"));
}

/* A row that lacks something is of no known test. */
static char *identity(const json_t *row)
{
    bool whole;
    char *id = rb_record_identity(row, &whole);
    if (whole)
        return id;
    free(id);
    return NULL;
}

static void remember(rb_store *s, const json_t *row)
{
    if (!rb_record_finished(row))
        return;
    char *id = identity(row);
    if (id)
        json_object_set_new(s->seen, id, json_true());
    free(id);
}

bool rb_store_has(const rb_store *s, const json_t *probe)
{
    char *id = identity(probe);
    bool found = id && json_object_get(s->seen, id);
    free(id);
    return found;
}

/* ---- what is in the file ---- */

static rb_status not_ours(const rb_store *s, const char *why, rb_error *err)
{
    return rb_fail(err, RB_ERR_FORMAT,
                   "%s is not a file of results and was left as it is: %s; name another file",
                   s->path, why);
}

static bool is_ours(const json_t *row)
{
    const json_t *version = json_object_get(row, "schema_version");
    return json_is_integer(version) && json_integer_value(version) == RB_SCHEMA_VERSION;
}

/* Takes one line in, without its newline. Blank lines are nobody's. */
static rb_status take_line(rb_store *s, const char *line, size_t n, rb_error *err)
{
    json_error_t where;
    char why[128];
    if (!n || (n == 1 && line[0] == '\r'))
        return RB_OK;
    json_t *row = json_loadb(line, n, 0, &where);
    bool ours = row && is_ours(row);
    if (ours) {
        s->n_rows++;
        remember(s, row);
    }
    json_decref(row);
    snprintf(why, sizeof why, "after %lld records comes a line that is none of version %d",
             (long long)s->n_rows, RB_SCHEMA_VERSION);
    return ours ? RB_OK : not_ours(s, why, err);
}

/* What follows the last newline: a whole record, the beginning of one, or somebody's file. */
static rb_status take_tail(rb_store *s, const char *tail, size_t n, rb_error *err)
{
    size_t known = n < sizeof line_start - 1 ? n : sizeof line_start - 1;
    if (!n)
        return RB_OK;
    if (take_line(s, tail, n, NULL) == RB_OK) {
        s->lacks_end = true;
        return RB_OK;
    }
    if (!s->n_rows && memcmp(tail, line_start, known) != 0)
        return not_ours(s, "it holds no record", err);
    s->torn = (int64_t)n;
    return RB_OK;
}

/* Takes in the whole lines of text[0 .. n) and returns how many bytes these are. */
static size_t take_lines(rb_store *s, const char *text, size_t n, rb_status *st, rb_error *err)
{
    size_t at = 0;
    const char *end;
    while (*st == RB_OK && (end = memchr(text + at, '\n', n - at))) {
        *st = take_line(s, text + at, (size_t)(end - text) - at, err);
        at = (size_t)(end - text) + 1;
    }
    return at;
}

/* What has been read and not yet taken in, from the beginning of a line. */
typedef struct window {
    char *text;
    size_t have, room;
} window;

/* Reads on. *more turns false at the end of the file. */
static rb_status read_more(rb_store *s, window *w, bool *more, rb_error *err)
{
    if (w->have + CHUNK > w->room) {
        char *grown = realloc(w->text, 2 * w->room);
        if (!grown)
            return rb_fail(err, RB_ERR_MEMORY, "no memory to read %s", s->path);
        w->text = grown;
        w->room *= 2;
    }
    ssize_t n;
    do
        n = read(s->fd, w->text + w->have, CHUNK);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return rb_fail(err, RB_ERR_IO, "cannot read %s: %s", s->path, strerror(errno));
    w->have += (size_t)n;
    *more = n > 0;
    return RB_OK;
}

/* Early, so that not much of somebody's large file is read. */
static rb_status check_start(const rb_store *s, const window *w, rb_error *err)
{
    if (s->n_rows || !w->have || memchr("{\n\r", w->text[0], 3))
        return RB_OK;
    bool gguf = w->have >= 4 && !memcmp(w->text, "GGUF", 4);
    return not_ours(s, gguf ? "it is a GGUF model" : "it holds no record", err);
}

/* Takes in all of it, in memory for one line at most. */
static rb_status read_all(rb_store *s, rb_error *err)
{
    window w = { malloc(2 * CHUNK), 0, 2 * CHUNK };
    bool more = true;
    rb_status st = RB_OK;
    if (!w.text)
        return rb_fail(err, RB_ERR_MEMORY, "no memory to read %s", s->path);
    while (st == RB_OK && more) {
        st = read_more(s, &w, &more, err);
        if (st == RB_OK)
            st = check_start(s, &w, err);
        if (st != RB_OK)
            break;
        size_t done = take_lines(s, w.text, w.have, &st, err);
        w.have -= done;
        memmove(w.text, w.text + done, w.have);
        if (st == RB_OK && w.have > MAX_LINE)
            st = not_ours(s, "one of its lines is longer than 16 MiB", err);
    }
    if (st == RB_OK)
        st = take_tail(s, w.text, w.have, err);
    free(w.text);
    return st;
}

/* ---- open, append, close ---- */

static rb_status open_file(rb_store *s, rb_error *err)
{
    struct stat st;
    s->fd = open(s->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
    if (s->fd < 0 || fstat(s->fd, &st))
        return rb_fail(err, RB_ERR_IO, "cannot open %s: %s", s->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return rb_fail(err, RB_ERR_ARGUMENT, "%s is not a regular file; name another one", s->path);
    if (flock(s->fd, LOCK_EX | LOCK_NB) == 0)
        return RB_OK;
    if (errno == EWOULDBLOCK)
        return rb_fail(err, RB_ERR_IO,
                       "another process is writing to %s; wait for it or name another file",
                       s->path);
    return rb_fail(err, RB_ERR_IO, "cannot lock %s: %s", s->path, strerror(errno));
}

/* Writes a whole text at the end or leaves the file as it was. */
static rb_status write_end(rb_store *s, const char *text, size_t n, rb_error *err)
{
    struct stat before;
    size_t done = 0;
    if (fstat(s->fd, &before))
        return rb_fail(err, RB_ERR_IO, "cannot write to %s: %s", s->path, strerror(errno));
    while (done < n) { /* more than once only where the disk is nearly full */
        ssize_t w = write(s->fd, text + done, n - done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            break;
        done += (size_t)w;
    }
    if (done == n)
        return RB_OK;
    int why = errno;
    bool mended = !done || ftruncate(s->fd, before.st_size) == 0;
    return rb_fail(err, RB_ERR_IO, "cannot write to %s: %s; %s", s->path, strerror(why),
                   mended ? "what was there before is whole"
                          : "its last line is not finished and will be cut off when next opened");
}

static rb_status mend(rb_store *s, rb_error *err)
{
    struct stat now;
    if (s->lacks_end)
        return write_end(s, "\n", 1, err);
    if (s->torn && (fstat(s->fd, &now) || ftruncate(s->fd, now.st_size - s->torn)))
        return rb_fail(err, RB_ERR_IO, "cannot mend %s: %s", s->path, strerror(errno));
    return RB_OK;
}

rb_status rb_store_open(rb_store **store, const char *path, rb_error *err)
{
    rb_store *s = calloc(1, sizeof *s);
    rb_status st = RB_ERR_MEMORY;
    *store = NULL;
    if (!s)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for %s", path);
    s->fd = -1;
    s->path = strdup(path);
    s->seen = json_object();
    if (!s->path || !s->seen) {
        rb_fail(err, RB_ERR_MEMORY, "no memory for %s", path);
        goto fail;
    }
    if ((st = open_file(s, err)) != RB_OK || (st = read_all(s, err)) != RB_OK ||
        (st = mend(s, err)) != RB_OK)
        goto fail;
    *store = s;
    return RB_OK;
fail:
    rb_store_close(s);
    return st;
}

void rb_store_close(rb_store *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd); /* and the lock is gone */
    json_decref(s->seen);
    free(s->path);
    free(s);
}

int64_t rb_store_rows(const rb_store *s)
{
    return s->n_rows;
}

int64_t rb_store_cut(const rb_store *s)
{
    return s->torn;
}

/* The record as a line, its version first. NULL: no memory, or not a record. */
static char *line_of(json_t *record, size_t *n)
{
    json_t *o = json_object();
    char *text = NULL, *line = NULL;
    if (!json_object_set(o, "schema_version", json_object_get(record, "schema_version")) &&
        !json_object_update(o, record))
        text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(o);
    *n = text ? strlen(text) + 1 : 0;
    line = text ? realloc(text, *n + 1) : NULL;
    if (!line) {
        free(text);
        return NULL;
    }
    memcpy(line + *n - 1, "\n", 2);
    return line;
}

rb_status rb_store_append(rb_store *s, json_t *record, rb_error *err)
{
    size_t n;
    if (!is_ours(record))
        return rb_fail(err, RB_ERR_ARGUMENT, "a record without schema_version %d for %s",
                       RB_SCHEMA_VERSION, s->path);
    char *line = line_of(record, &n);
    if (!line)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a record of %s", s->path);
    rb_status st = n > MAX_LINE ? rb_fail(err, RB_ERR_ARGUMENT,
                                          "a record of %zu bytes is too long for %s", n, s->path)
                                : write_end(s, line, n, err);
    free(line);
    if (st != RB_OK)
        return st;
    s->n_rows++;
    remember(s, record);
    if (fdatasync(s->fd) && errno != EINVAL && errno != EROFS && errno != ENOTSUP)
        return rb_fail(err, RB_ERR_IO, "%s may not be on the disk: %s", s->path, strerror(errno));
    return RB_OK;
}
