/* Methods of strings and dicts, as Python has them, and filters that are the same.
 * Refuses upper and lower case beyond ASCII, and what would change an object: templates only read.
 * Read next: jinja_utf8.c. */
#include "jinja.h"

static jinja_value as_value(jinja_string s)
{
    return jinja_text_of(s.text, s.n);
}

/* An argument that must be a string. */
static jinja_string text_of(jinja *j, jinja_value v, const char *of)
{
    if (v.kind != JINJA_STRING)
        rb_jinja_fail(j, RB_ERR_FORMAT, "%s of %s, not of a string", of, rb_jinja_kind(v));
    return v.string;
}

/* ---- case ---- */

/* The text with letters [from, to) in upper case, the others in lower. */
static jinja_value in_case(jinja *j, jinja_value self, size_t n_upper)
{
    const jinja_string s = rb_jinja_to_text(j, self);
    jinja_text t = { 0 };
    rb_jinja_work(j, JINJA_ITEM_WORK * s.n);
    rb_jinja_put(j, &t, s.text, s.n);
    for (size_t i = 0; i < t.n; i++) {
        const char c = t.text[i];
        if ((uint8_t)c >= 0x80)
            rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "the case of other than ASCII is not supported");
        if (i < n_upper && c >= 'a' && c <= 'z')
            t.text[i] = (char)(c - 'a' + 'A');
        else if (i >= n_upper && c >= 'A' && c <= 'Z')
            t.text[i] = (char)(c - 'A' + 'a');
    }
    return jinja_text_of(t.text, t.n);
}

jinja_value rb_jinja_upper(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    return in_case(j, self, SIZE_MAX);
}

jinja_value rb_jinja_lower(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    return in_case(j, self, 0);
}

jinja_value rb_jinja_capitalize(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    return in_case(j, self, 1);
}

/* ---- ends ---- */

static jinja_value strip(jinja *j, jinja_value self, const jinja_value *arg, jinja_side side)
{
    const bool set = arg[0].kind != JINJA_ABSENT && arg[0].kind != JINJA_NONE;
    const jinja_string chars = set ? text_of(j, arg[0], "strip") : jinja_name("");
    return as_value(rb_jinja_strip(j, self.string, set ? &chars : NULL, side));
}

static jinja_value strip_both(jinja *j, jinja_value self, const jinja_value *arg)
{
    return strip(j, self, arg, JINJA_BOTH);
}

static jinja_value strip_left(jinja *j, jinja_value self, const jinja_value *arg)
{
    return strip(j, self, arg, JINJA_LEFT);
}

static jinja_value strip_right(jinja *j, jinja_value self, const jinja_value *arg)
{
    return strip(j, self, arg, JINJA_RIGHT);
}

static bool has_end(jinja *j, jinja_string s, jinja_string end, jinja_side side)
{
    rb_jinja_work(j, end.n);
    if (end.n == 0 || end.n > s.n)
        return end.n == 0;
    return memcmp(side == JINJA_LEFT ? s.text : s.text + s.n - end.n, end.text, end.n) == 0;
}

/* Whether the text has an end, or one of a tuple of them. */
static jinja_value with_end(jinja *j, jinja_value self, jinja_value end, jinja_side side)
{
    if (end.kind != JINJA_LIST || end.list->flavour != JINJA_TUPLE)
        return jinja_bool(has_end(j, self.string, text_of(j, end, "startswith, endswith"), side));
    bool found = false;
    for (size_t i = 0; !found && i < end.list->n; i++)
        found =
            has_end(j, self.string, text_of(j, end.list->item[i], "startswith, endswith"), side);
    return jinja_bool(found);
}

static jinja_value starts_with(jinja *j, jinja_value self, const jinja_value *arg)
{
    return with_end(j, self, arg[0], JINJA_LEFT);
}

static jinja_value ends_with(jinja *j, jinja_value self, const jinja_value *arg)
{
    return with_end(j, self, arg[0], JINJA_RIGHT);
}

/* ---- parts ---- */

jinja_value rb_jinja_replace(jinja *j, jinja_value self, const jinja_value *arg)
{
    const jinja_string s = rb_jinja_to_text(j, self), old = text_of(j, arg[0], "replace"),
                       new = text_of(j, arg[1], "replace");
    const bool all = arg[2].kind == JINJA_ABSENT || arg[2].kind == JINJA_NONE;
    int64_t left = all ? -1 : rb_jinja_to_int(j, arg[2], "the count of replace");
    const char *p = s.text, *q;
    jinja_text t = { 0 };
    if (old.n == 0)
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "replacing the empty string is not supported");
    while (left != 0 && (q = rb_jinja_find(j, s, p, old))) {
        rb_jinja_put(j, &t, p, (size_t)(q - p));
        rb_jinja_put(j, &t, new.text, new.n);
        rb_jinja_work(j, JINJA_NODE_WORK);
        p = q + old.n;
        left -= left > 0;
    }
    rb_jinja_put(j, &t, p, (size_t)(s.text + s.n - p));
    return jinja_text_of(t.text, t.n);
}

static void add_part(jinja *j, jinja_value parts, const char *p, const char *q)
{
    rb_jinja_work(j, JINJA_NODE_WORK);
    rb_jinja_add(j, parts, jinja_text_of(p, (size_t)(q - p)));
}

/* At runs of white space, none of it at the ends. */
static void split_words(jinja *j, jinja_value parts, jinja_string s, int64_t left)
{
    s = rb_jinja_strip(j, s, NULL, left < 0 ? JINJA_BOTH : JINJA_LEFT);
    const char *p = s.text, *end = s.text + s.n;
    while (p < end) {
        const char *q = p;
        while (left != 0 && q < end && !rb_jinja_space_at(q, end))
            q += rb_jinja_utf8_next(q);
        q = left == 0 ? end : q;
        add_part(j, parts, p, q);
        for (p = q; p < end && rb_jinja_space_at(p, end);)
            p += rb_jinja_space_at(p, end);
        left -= left > 0;
    }
}

static jinja_value split(jinja *j, jinja_value self, const jinja_value *arg)
{
    const jinja_string s = self.string;
    const bool words = arg[0].kind == JINJA_ABSENT || arg[0].kind == JINJA_NONE;
    const jinja_string by = words ? jinja_name("") : text_of(j, arg[0], "split");
    int64_t left = arg[1].kind == JINJA_ABSENT ? -1 : rb_jinja_to_int(j, arg[1], "maxsplit");
    jinja_value parts = rb_jinja_list(j, JINJA_PLAIN);
    rb_jinja_work(j, JINJA_ITEM_WORK * s.n);
    if (words) {
        split_words(j, parts, s, left);
        return parts;
    }
    if (by.n == 0)
        rb_jinja_fail(j, RB_ERR_FORMAT, "split by the empty string");
    const char *p = s.text, *q;
    while (left != 0 && (q = rb_jinja_find(j, s, p, by))) {
        add_part(j, parts, p, q);
        p = q + by.n;
        left -= left > 0;
    }
    add_part(j, parts, p, s.text + s.n);
    return parts;
}

static jinja_value join(jinja *j, jinja_value self, const jinja_value *arg)
{
    const jinja_list all = rb_jinja_walk(j, arg[0]);
    jinja_text t = { 0 };
    for (size_t i = 0; i < all.n; i++) {
        const jinja_string one = text_of(j, all.item[i], "join");
        if (i > 0)
            rb_jinja_put(j, &t, self.string.text, self.string.n);
        rb_jinja_put(j, &t, one.text, one.n);
        rb_jinja_work(j, JINJA_NODE_WORK);
    }
    return jinja_text_of(t.text, t.n);
}

/* format: "{}" in turn and nothing more of that language. */
static jinja_value format(jinja *j, jinja_value self, const jinja_value *arg)
{
    const jinja_string s = self.string;
    jinja_text t = { 0 };
    size_t next = 0;
    rb_jinja_work(j, JINJA_ITEM_WORK * s.n);
    for (size_t i = 0; i < s.n; i++) {
        const char c = s.text[i];
        if (c != '{' && c != '}') {
            rb_jinja_put(j, &t, &c, 1);
            continue;
        }
        if (c == '}' || i + 1 == s.n || s.text[i + 1] != '}' || next == JINJA_MAX_ARG ||
            arg[next].kind == JINJA_ABSENT || arg[next].kind == JINJA_UNDEFINED)
            rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "format of other than {} is not supported");
        const jinja_string one = rb_jinja_to_text(j, arg[next++]);
        rb_jinja_put(j, &t, one.text, one.n);
        i++;
    }
    return jinja_text_of(t.text, t.n);
}

const jinja_row rb_jinja_string_method[] = {
    { "strip", strip_both, 0, 1, { NULL } },
    { "lstrip", strip_left, 0, 1, { NULL } },
    { "rstrip", strip_right, 0, 1, { NULL } },
    { "startswith", starts_with, 1, 1, { NULL } },
    { "endswith", ends_with, 1, 1, { NULL } },
    { "split", split, 0, 2, { "sep", "maxsplit" } },
    { "replace", rb_jinja_replace, 2, 3, { NULL } },
    { "join", join, 1, 1, { NULL } },
    { "format", format, 0, JINJA_MAX_ARG, { NULL } },
    { "upper", rb_jinja_upper, 0, 0, { NULL } },
    { "lower", rb_jinja_lower, 0, 0, { NULL } },
    { "capitalize", rb_jinja_capitalize, 0, 0, { NULL } },
    { 0 },
};

/* ---- dicts ---- */

static jinja_value get(jinja *j, jinja_value self, const jinja_value *arg)
{
    jinja_value found;
    if (rb_jinja_lookup(j, self.dict, arg[0], &found))
        return found;
    return arg[1].kind == JINJA_ABSENT ? jinja_of(JINJA_NONE) : arg[1];
}

jinja_value rb_jinja_items(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    jinja_value all = rb_jinja_list(j, JINJA_VIEW);
    for (size_t i = 0; i < self.dict->n; i++) {
        jinja_value pair = rb_jinja_list(j, JINJA_TUPLE);
        rb_jinja_work(j, JINJA_NODE_WORK);
        rb_jinja_add(j, pair, self.dict->pair[i].key);
        rb_jinja_add(j, pair, self.dict->pair[i].value);
        rb_jinja_add(j, all, pair);
    }
    return all;
}

static jinja_value keys(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    jinja_value all = rb_jinja_list(j, JINJA_VIEW);
    rb_jinja_work(j, self.dict->n * sizeof(jinja_value));
    for (size_t i = 0; i < self.dict->n; i++)
        rb_jinja_add(j, all, self.dict->pair[i].key);
    return all;
}

static jinja_value values(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    jinja_value all = rb_jinja_list(j, JINJA_VIEW);
    rb_jinja_work(j, self.dict->n * sizeof(jinja_value));
    for (size_t i = 0; i < self.dict->n; i++)
        rb_jinja_add(j, all, self.dict->pair[i].value);
    return all;
}

const jinja_row rb_jinja_dict_method[] = {
    { "get", get, 1, 2, { NULL } },
    { "items", rb_jinja_items, 0, 0, { NULL } },
    { "keys", keys, 0, 0, { NULL } },
    { "values", values, 0, 0, { NULL } },
    { 0 },
};
