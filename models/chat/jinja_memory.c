/* The arena of one rendering, its bounds, and the one way out of a failure. Memory is given back
 * all at once, so nothing here frees a part. Refuses to go on past the bounds of memory, work and
 * depth: a template is a program, and of unknown intent. Read next: jinja.h. */
#include "jinja.h"

#include <stdarg.h>
#include <stdlib.h>

typedef struct jinja_block {
    struct jinja_block *next;
    size_t used, bytes;
    _Alignas(max_align_t) char data[];
} jinja_block;

enum { BLOCK_BYTES = 64 << 10 };

void rb_jinja_fail(jinja *j, rb_status status, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    /* rb_fail replaces control characters of one byte; those of two are U+0080 to U+009F. */
    for (unsigned char *c = (unsigned char *)text; c[0] && c[1]; c++)
        if (c[0] == 0xc2 && c[1] < 0xa0)
            c[0] = c[1] = '?';
    if (j->line > 0)
        j->status = rb_fail(j->err, status, "chat template, line %d: %s", j->line, text);
    else
        j->status = rb_fail(j->err, status, "%s", text);
    longjmp(j->failed, 1);
}

void rb_jinja_refuse(jinja *j, const char *what, jinja_string name)
{
    const int n = name.n < 60 ? (int)name.n : 60;
    rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "%s '%.*s' is not supported", what, n, name.text);
}

void rb_jinja_work(jinja *j, size_t n)
{
    if (n > (size_t)(JINJA_MAX_WORK - j->work))
        rb_jinja_fail(j, RB_ERR_FORMAT, "the template does not end within %d steps",
                      JINJA_MAX_WORK / JINJA_NODE_WORK);
    j->work += (int64_t)n;
}

void rb_jinja_enter(jinja *j)
{
    if (++j->depth > JINJA_MAX_DEPTH)
        rb_jinja_fail(j, RB_ERR_FORMAT, "nested deeper than %d levels", JINJA_MAX_DEPTH);
}

void *rb_jinja_alloc(jinja *j, size_t bytes)
{
    const size_t align = _Alignof(max_align_t);
    if (bytes > JINJA_MAX_MEMORY - j->bytes)
        rb_jinja_fail(j, RB_ERR_FORMAT, "the template wants more than %d MiB of memory",
                      JINJA_MAX_MEMORY >> 20);
    bytes = (bytes + align - 1) / align * align;
    jinja_block *b = j->block;
    if (!b || b->bytes - b->used < bytes) {
        const size_t room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        b = calloc(1, sizeof *b + room);
        if (!b)
            rb_jinja_fail(j, RB_ERR_MEMORY, "no memory for %zu bytes", room);
        b->bytes = room;
        b->next = j->block;
        j->block = b;
        j->bytes += room < JINJA_MAX_MEMORY - j->bytes ? room : JINJA_MAX_MEMORY - j->bytes;
    }
    void *p = b->data + b->used;
    b->used += bytes;
    return p;
}

void rb_jinja_close(jinja *j)
{
    while (j->block) {
        jinja_block *next = j->block->next;
        free(j->block);
        j->block = next;
    }
}

void *rb_jinja_grow(jinja *j, void *item, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return item;
    *room = n ? 2 * n : 4;
    void *more = rb_jinja_alloc(j, *room * size);
    if (n)
        memcpy(more, item, n * size);
    return more;
}

void rb_jinja_put(jinja *j, jinja_text *t, const char *text, size_t n)
{
    if (n > JINJA_MAX_TEXT - t->n)
        rb_jinja_fail(j, RB_ERR_FORMAT, "the text grows beyond %d MiB", JINJA_MAX_TEXT >> 20);
    rb_jinja_work(j, n);
    if (n > t->room - t->n) {
        t->room = 2 * t->room > t->n + n ? 2 * t->room : t->n + n;
        char *more = rb_jinja_alloc(j, t->room);
        if (t->n)
            memcpy(more, t->text, t->n);
        t->text = more;
    }
    if (n)
        memcpy(t->text + t->n, text, n);
    t->n += n;
}

void rb_jinja_add_node(jinja *j, jinja_nodes *list, jinja_node *node)
{
    list->item = rb_jinja_grow(j, list->item, list->n, &list->room, sizeof(jinja_node *));
    list->item[list->n++] = node;
}
