/* The filter tojson, as chat templates are given it: Python's json.dumps, non-ASCII kept unless
 * asked otherwise, on one line or indented.
 * Refuses what JSON has not, and other options. Read next: jinja_filter.c. */
#include "jinja.h"

typedef struct writer {
    jinja *j;
    jinja_text text;
    bool ascii;
    int64_t indent; /* < 0: all on one line */
    int64_t depth;
} writer;

static void put(writer *w, const char *text)
{
    rb_jinja_put(w->j, &w->text, text, strlen(text));
}

static void put_code(writer *w, uint32_t code)
{
    char out[16];
    if (code >= 0x10000)
        snprintf(out, sizeof out, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10),
                 0xdc00 + ((code - 0x10000) & 0x3ff));
    else
        snprintf(out, sizeof out, "\\u%04x", code);
    put(w, out);
}

static void put_string(writer *w, jinja_string s)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    rb_jinja_work(w->j, JINJA_ITEM_WORK * s.n);
    put(w, "\"");
    for (size_t i = 0, n; i < s.n; i += n) {
        const char *p = s.text + i;
        const uint32_t code = rb_jinja_utf8_get(p);
        const char *at = code < 0x80 ? strchr(from, *p) : NULL;
        n = rb_jinja_utf8_next(p);
        if (at)
            put(w, (char[]){ '\\', to[at - from], 0 });
        else if (code < 0x20 || (w->ascii && code > 0x7e))
            put_code(w, code);
        else
            rb_jinja_put(w->j, &w->text, p, n);
    }
    put(w, "\"");
}

static void new_line(writer *w)
{
    if (w->indent < 0)
        return;
    put(w, "\n");
    for (int64_t i = 0; i < w->depth * w->indent; i++)
        put(w, " ");
}

/* What stands before an element: the comma of the one before, the bracket of the first. */
static void before(writer *w, size_t i, const char *open)
{
    if (i == 0) {
        put(w, open);
        w->depth++;
    } else {
        put(w, w->indent < 0 ? ", " : ",");
    }
    new_line(w);
}

static void after(writer *w, size_t n, const char *empty)
{
    if (n == 0) {
        put(w, empty);
        return;
    }
    w->depth--;
    new_line(w);
    put(w, empty + 1);
}

static void put_value(writer *w, jinja_value v);

static void put_dict(writer *w, const jinja_dict *d)
{
    for (size_t i = 0; i < d->n; i++) {
        const jinja_value key = d->pair[i].key;
        before(w, i, "{");
        if (key.kind == JINJA_STRING) {
            put_value(w, key);
        } else {
            put(w, "\"");
            put_value(w, key.kind == JINJA_LIST ? jinja_of(JINJA_UNDEFINED) : key);
            put(w, "\"");
        }
        put(w, ": ");
        put_value(w, d->pair[i].value);
    }
    after(w, d->n, "{}");
}

static void put_value(writer *w, jinja_value v)
{
    rb_jinja_enter(w->j);
    rb_jinja_work(w->j, JINJA_NODE_WORK);
    if (v.kind == JINJA_STRING) {
        put_string(w, v.string);
    } else if (v.kind == JINJA_NONE) {
        put(w, "null");
    } else if (v.kind == JINJA_BOOL) {
        put(w, v.number ? "true" : "false");
    } else if (v.kind == JINJA_INT) {
        const jinja_string s = rb_jinja_to_text(w->j, v);
        rb_jinja_put(w->j, &w->text, s.text, s.n);
    } else if (v.kind == JINJA_DICT) {
        put_dict(w, v.dict);
    } else if (v.kind == JINJA_LIST && v.list->flavour <= JINJA_TUPLE) {
        for (size_t i = 0; i < v.list->n; i++) {
            before(w, i, "[");
            put_value(w, v.list->item[i]);
        }
        after(w, v.list->n, "[]");
    } else {
        rb_jinja_fail(w->j, RB_ERR_FORMAT, "%s has no JSON", rb_jinja_kind(v));
    }
    w->j->depth--;
}

jinja_value rb_jinja_tojson(jinja *j, jinja_value self, const jinja_value *arg)
{
    writer w = { .j = j, .indent = -1 };
    w.ascii = arg[0].kind != JINJA_ABSENT && rb_jinja_truth(arg[0]);
    if (arg[1].kind != JINJA_ABSENT && arg[1].kind != JINJA_NONE)
        w.indent = rb_jinja_to_int(j, arg[1], "the indent");
    if (w.indent < -1 || w.indent > 16 || (arg[1].kind == JINJA_INT && w.indent < 0))
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "an indent of other than 0 to 16 is not supported");
    put_value(&w, self);
    return jinja_text_of(w.text.text, w.text.n);
}
