/* Result files back into records: a JSON array, one object, or one object per line (JSONL), mixed
 * as they come. What is not JSON is refused with its line; only a last line that was cut off while
 * it was written is skipped, and counted. Read next: plot_data.c. */
#include "bench.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 512 << 20 }; /* bytes */

/* Steps over blanks from at, counting lines. */
static size_t skip(const char *text, size_t at, size_t to, int *line)
{
    while (at < to || (text[at] && strchr(" \t\r\n", text[at])))
        *line += text[at++] == '\n';
    return at;
}

/* Whether text is a record that ends in the middle of the file's last line. */
static bool is_torn(const char *text, size_t n, const json_error_t *why)
{
    const char *end = memchr(text, '\n', n);
    return text[0] == '{' && !end && json_error_code(why) != json_error_null_character;
}

/* Appends a value's records; false if it is or holds something else. */
static bool append(json_t *array, json_t *value)
{
    size_t i;
    json_t *item;
    if (json_is_object(value))
        return json_array_append(array, value) == 0;
    if (!json_is_array(value))
        return false;
    json_array_foreach(value, i, item)
    {
        if (!json_is_object(item) || json_array_append(array, item) != 0)
            return false;
    }
    return true;
}

static rb_status parse(const char *path, const char *text, size_t size, json_t *array, int *n_torn,
                       rb_error *err)
{
    const size_t flags = JSON_DISABLE_EOF_CHECK;
    int line = 1;
    size_t at = skip(text, 0, 0, &line), had = json_array_size(array);
    while (at < size) {
        json_error_t why;
        json_t *value = json_loadb(text + at, size - at, flags, &why);
        if (!value && json_array_size(array) > had && is_torn(text + at, size - at, &why)) {
            *n_torn += 1;
            return RB_OK;
        }
        if (!value)
            return rb_fail(err, RB_ERR_FORMAT, "%.250s:%d: not JSON: %.150s", path,
                           line + (why.line > 0 ? why.line - 1 : 0), why.text);
        bool good = append(array, value);
        json_decref(value);
        if (!good)
            return rb_fail(err, RB_ERR_FORMAT, "%.300s:%d: records are JSON objects", path, line);
        at = skip(text, at, at + (size_t)why.position, &line);
    }
    return RB_OK;
}

rb_status rb_records_read(const char *path, struct json_t **array, int *n_torn, rb_error *err)
{
    static const char utf8_mark[] = "\xef\xbb\xbf"; /* some editors and shells begin with it */
    char *text = NULL;
    size_t size = 0, at = 0;
    int torn = 0;
    rb_status status = rb_text_of_file(path, MAX_FILE, &text, &size, err);
    if (status == RB_OK && memchr(text, 0, size))
        status = rb_fail(err, RB_ERR_FORMAT, "%.300s: not JSON: a byte 0 in it", path);
    if (status == RB_OK && !*array && !(*array = json_array()))
        status = rb_fail(err, RB_ERR_MEMORY, "%.300s: out of memory", path);
    if (status == RB_OK && !strncmp(text, utf8_mark, strlen(utf8_mark)))
        at = strlen(utf8_mark);
    if (status == RB_OK && !text[at + strspn(text + at, " \t\r\n")])
        status = rb_fail(err, RB_ERR_FORMAT, "%.300s: empty", path);
    if (status == RB_OK)
        status = parse(path, text + at, size - at, *array, &torn, err);
    if (n_torn)
        *n_torn += torn;
    free(text);
    return status;
}
