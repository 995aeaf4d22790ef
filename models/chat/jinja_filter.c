/* Filters and tests of templates, each a row of a table: what is not there is refused by name where
 * it is run. Rows follow Jinja's own, with text as Python has it.
 * Read next: jinja_text.c, jinja_json.c. */
#include "jinja.h"

/* ---- filters ---- */

static jinja_value trim(jinja *j, jinja_value self, const jinja_value *arg)
{
    const bool set = arg[0].kind != JINJA_ABSENT && arg[0].kind != JINJA_NONE;
    if (set && arg[0].kind != JINJA_STRING)
        rb_jinja_fail(j, RB_ERR_FORMAT, "trim of %s", rb_jinja_kind(arg[0]));
    const jinja_string s =
        rb_jinja_strip(j, rb_jinja_to_text(j, self), set ? &arg[0].string : NULL, JINJA_BOTH);
    return jinja_text_of(s.text, s.n);
}

static jinja_value length(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    return jinja_int(rb_jinja_length(j, self));
}

static jinja_value default_(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)j;
    const bool falsy = arg[1].kind != JINJA_ABSENT && rb_jinja_truth(arg[1]);
    if (self.kind != JINJA_UNDEFINED && !(falsy && !rb_jinja_truth(self)))
        return self;
    return arg[0].kind == JINJA_ABSENT ? jinja_text_of("", 0) : arg[0];
}

static jinja_value join(jinja *j, jinja_value self, const jinja_value *arg)
{
    const jinja_list all = rb_jinja_walk(j, self);
    const jinja_string between =
        arg[0].kind == JINJA_ABSENT ? jinja_name("") : rb_jinja_to_text(j, arg[0]);
    jinja_text t = { 0 };
    for (size_t i = 0; i < all.n; i++) {
        const jinja_string one = rb_jinja_to_text(j, all.item[i]);
        if (i > 0)
            rb_jinja_put(j, &t, between.text, between.n);
        rb_jinja_put(j, &t, one.text, one.n);
        rb_jinja_work(j, JINJA_NODE_WORK);
    }
    return jinja_text_of(t.text, t.n);
}

static jinja_value first(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    if (self.kind == JINJA_LIST && self.list->flavour == JINJA_ITERATOR)
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "'first' of an iterator is not supported");
    const jinja_list all = rb_jinja_walk(j, self);
    return all.n ? all.item[0] : jinja_of(JINJA_UNDEFINED);
}

static jinja_value last(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    if (self.kind == JINJA_LIST && self.list->flavour == JINJA_ITERATOR)
        rb_jinja_fail(j, RB_ERR_FORMAT, "an iterator has no last item");
    const jinja_list all = rb_jinja_walk(j, self);
    return all.n ? all.item[all.n - 1] : jinja_of(JINJA_UNDEFINED);
}

static jinja_value list(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    const jinja_list all = rb_jinja_walk(j, self);
    jinja_value copy = rb_jinja_list(j, JINJA_PLAIN);
    *copy.list = (jinja_list){ .item = all.item, .n = all.n, .room = all.n };
    return copy;
}

static jinja_value items(jinja *j, jinja_value self, const jinja_value *arg)
{
    if (self.kind == JINJA_UNDEFINED)
        return rb_jinja_list(j, JINJA_ITERATOR);
    if (self.kind != JINJA_DICT) /* Jinja fails only where they are walked */
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "items of %s", rb_jinja_kind(self));
    jinja_value all = rb_jinja_items(j, self, arg);
    all.list->flavour = JINJA_ITERATOR;
    return all;
}

/* The items of a dict in the order of their keys, upper and lower case alike. */
static jinja_value dictsort(jinja *j, jinja_value self, const jinja_value *arg)
{
    if (self.kind != JINJA_DICT)
        rb_jinja_fail(j, RB_ERR_FORMAT, "dictsort of %s", rb_jinja_kind(self));
    jinja_value all = rb_jinja_items(j, self, arg), keys = rb_jinja_list(j, JINJA_PLAIN);
    all.list->flavour = JINJA_PLAIN;
    for (size_t i = 0; i < all.list->n; i++) {
        const jinja_value item = all.list->item[i];
        jinja_value key = item.list->item[0];
        size_t at = i;
        if (key.kind == JINJA_STRING)
            key = rb_jinja_lower(j, key, arg);
        rb_jinja_add(j, keys, key);
        for (; at > 0 && rb_jinja_order(j, key, keys.list->item[at - 1]) < 0; at--) {
            rb_jinja_work(j, JINJA_NODE_WORK);
            keys.list->item[at] = keys.list->item[at - 1];
            all.list->item[at] = all.list->item[at - 1];
        }
        keys.list->item[at] = key;
        all.list->item[at] = item;
    }
    return all;
}

static jinja_value string(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    const jinja_string s = rb_jinja_to_text(j, self);
    return jinja_text_of(s.text, s.n);
}

/* A number, or the number that a string of decimal digits says. Other strings with digits in them
 * (fractions, "1_000") are refused, and those without are the default. */
static jinja_value int_(jinja *j, jinja_value self, const jinja_value *arg)
{
    const jinja_value otherwise = arg[0].kind == JINJA_ABSENT ? jinja_int(0) : arg[0];
    if (jinja_is_number(self))
        return jinja_int(self.number);
    if (self.kind == JINJA_UNDEFINED)
        rb_jinja_fail(j, RB_ERR_FORMAT, "an undefined value is no number");
    if (self.kind != JINJA_STRING)
        return otherwise;
    const jinja_string s = rb_jinja_strip(j, self.string, NULL, JINJA_BOTH);
    rb_jinja_work(j, JINJA_ITEM_WORK * s.n);
    const size_t sign = s.n > 0 && (s.text[0] == '-' || s.text[0] == '+');
    int64_t value = 0;
    size_t n_digit = 0, n_other = 0;
    for (size_t i = sign; i < s.n; i++) {
        const char c = s.text[i];
        n_other += c < '0' || c > '9';
        n_digit += (c >= '0' && c <= '9') || (uint8_t)c >= 0x80;
        if (n_other == 0 && (__builtin_mul_overflow(value, 10, &value) ||
                             __builtin_add_overflow(value, c - '0', &value)))
            rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "an integer of more than 63 bits");
    }
    if (n_digit == 0)
        return otherwise;
    if (n_other > 0)
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "'int' of other than decimal digits");
    return jinja_int(s.text[0] == '-' ? -value : value);
}

/* ---- filters that pick: select, reject, selectattr, rejectattr, map ---- */

static jinja_value attribute(jinja *j, jinja_value v, jinja_value name)
{
    if (name.kind == JINJA_STRING && name.string.n > 0 &&
        (memchr(name.string.text, '.', name.string.n) ||
         (name.string.text[0] >= '0' && name.string.text[0] <= '9')))
        rb_jinja_refuse(j, "the path", name.string);
    return rb_jinja_item(j, v, name);
}

/* These filters take whatever is false for nothing to pick from. Here they pick at once, not when
 * they are walked as in Jinja, so that a fault in one may be told too early, never too late. */
static jinja_list walk_some(jinja *j, jinja_value v)
{
    return rb_jinja_truth(v) ? rb_jinja_walk(j, v) : (jinja_list){ 0 };
}

/* Items for which the test of arg[0] holds, or truth if there is none; of their attribute if name
 * is given. */
static jinja_value pick(jinja *j, jinja_value self, const jinja_value *name, const jinja_value *arg,
                        bool wanted)
{
    const jinja_row *row = NULL;
    size_t n = 0;
    if (arg[0].kind == JINJA_STRING) {
        row = rb_jinja_row(rb_jinja_test, arg[0].string);
        if (!row)
            rb_jinja_refuse(j, "the test", arg[0].string);
        n = arg[1].kind != JINJA_ABSENT;
    } else if (arg[0].kind != JINJA_ABSENT) {
        rb_jinja_fail(j, RB_ERR_FORMAT, "%s is no name of a test", rb_jinja_kind(arg[0]));
    }
    const jinja_list all = walk_some(j, self);
    jinja_value some = rb_jinja_list(j, JINJA_ITERATOR);
    for (size_t i = 0; i < all.n; i++) {
        rb_jinja_work(j, JINJA_NODE_WORK);
        jinja_value v = name ? attribute(j, all.item[i], *name) : all.item[i];
        if (row)
            v = rb_jinja_apply(j, row, v, arg + 1, n);
        if (rb_jinja_truth(v) == wanted)
            rb_jinja_add(j, some, all.item[i]);
    }
    return some;
}

static jinja_value select_(jinja *j, jinja_value self, const jinja_value *arg)
{
    return pick(j, self, NULL, arg, true);
}

static jinja_value reject(jinja *j, jinja_value self, const jinja_value *arg)
{
    return pick(j, self, NULL, arg, false);
}

static jinja_value selectattr(jinja *j, jinja_value self, const jinja_value *arg)
{
    return pick(j, self, arg, arg + 1, true);
}

static jinja_value rejectattr(jinja *j, jinja_value self, const jinja_value *arg)
{
    return pick(j, self, arg, arg + 1, false);
}

/* map(attribute=name), map(filter, its arguments) */
static jinja_value map(jinja *j, jinja_value self, const jinja_value *arg)
{
    enum { ATTRIBUTE = JINJA_MAX_ARG - 1 };
    const jinja_row *row = NULL;
    size_t n = 0;
    if ((arg[0].kind == JINJA_STRING) == (arg[ATTRIBUTE].kind != JINJA_ABSENT))
        rb_jinja_fail(j, RB_ERR_FORMAT, "map wants a filter or an attribute");
    if (arg[0].kind == JINJA_STRING) {
        row = rb_jinja_row(rb_jinja_filter, arg[0].string);
        if (!row)
            rb_jinja_refuse(j, "the filter", arg[0].string);
        while (n < ATTRIBUTE - 1 && arg[n + 1].kind != JINJA_ABSENT)
            n++;
    }
    const jinja_list all = walk_some(j, self);
    jinja_value mapped = rb_jinja_list(j, JINJA_ITERATOR);
    for (size_t i = 0; i < all.n; i++) {
        rb_jinja_work(j, JINJA_NODE_WORK);
        rb_jinja_add(j, mapped,
                     row ? rb_jinja_apply(j, row, all.item[i], arg + 1, n)
                         : attribute(j, all.item[i], arg[ATTRIBUTE]));
    }
    return mapped;
}

const jinja_row rb_jinja_filter[] = {
    { "trim", trim, 0, 1, { "chars" } },
    { "length", length, 0, 0, { NULL } },
    { "count", length, 0, 0, { NULL } },
    { "upper", rb_jinja_upper, 0, 0, { NULL } },
    { "lower", rb_jinja_lower, 0, 0, { NULL } },
    { "capitalize", rb_jinja_capitalize, 0, 0, { NULL } },
    { "default", default_, 0, 2, { "default_value", "boolean" } },
    { "d", default_, 0, 2, { "default_value", "boolean" } },
    { "join", join, 0, 1, { "d" } },
    { "first", first, 0, 0, { NULL } },
    { "last", last, 0, 0, { NULL } },
    { "list", list, 0, 0, { NULL } },
    { "items", items, 0, 0, { NULL } },
    { "dictsort", dictsort, 0, 0, { NULL } },
    { "string", string, 0, 0, { NULL } },
    { "int", int_, 0, 1, { "default" } },
    { "replace", rb_jinja_replace, 2, 3, { "old", "new", "count" } },
    { "tojson", rb_jinja_tojson, 0, 2, { "ensure_ascii", "indent" } },
    { "select", select_, 0, 2, { NULL } },
    { "reject", reject, 0, 2, { NULL } },
    { "selectattr", selectattr, 1, 3, { NULL } },
    { "rejectattr", rejectattr, 1, 3, { NULL } },
    { "map", map, 0, 3, { NULL, NULL, NULL, "attribute" } },
    { 0 },
};

/* ---- tests ---- */

static jinja_value defined(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)j, (void)arg;
    return jinja_bool(self.kind != JINJA_UNDEFINED);
}

static jinja_value undefined(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)j, (void)arg;
    return jinja_bool(self.kind == JINJA_UNDEFINED);
}

static jinja_value none(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)j, (void)arg;
    return jinja_bool(self.kind == JINJA_NONE);
}

static jinja_value is_string(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)j, (void)arg;
    return jinja_bool(self.kind == JINJA_STRING);
}

static jinja_value mapping(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)j, (void)arg;
    return jinja_bool(self.kind == JINJA_DICT);
}

static jinja_value iterable(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)j, (void)arg;
    return jinja_bool(self.kind == JINJA_STRING || self.kind == JINJA_LIST ||
                      self.kind == JINJA_DICT || self.kind == JINJA_UNDEFINED ||
                      self.kind == JINJA_LOOP);
}

/* What has a length and elements by number or key. */
static jinja_value sequence(jinja *j, jinja_value self, const jinja_value *arg)
{
    if (self.kind == JINJA_LIST)
        return jinja_bool(self.list->flavour < JINJA_VIEW);
    return jinja_bool(self.kind != JINJA_LOOP && rb_jinja_truth(iterable(j, self, arg)));
}

static jinja_value number(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)j, (void)arg;
    return jinja_bool(jinja_is_number(self));
}

static jinja_value integer(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)j, (void)arg;
    return jinja_bool(self.kind == JINJA_INT);
}

static jinja_value boolean(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)j, (void)arg;
    return jinja_bool(self.kind == JINJA_BOOL);
}

static jinja_value is_true(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)j, (void)arg;
    return jinja_bool(self.kind == JINJA_BOOL && self.number);
}

static jinja_value is_false(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)j, (void)arg;
    return jinja_bool(self.kind == JINJA_BOOL && !self.number);
}

static jinja_value odd(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    return jinja_bool(rb_jinja_to_int(j, self, "what may be odd") % 2 != 0);
}

static jinja_value even(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)arg;
    return jinja_bool(rb_jinja_to_int(j, self, "what may be even") % 2 == 0);
}

static jinja_value in(jinja *j, jinja_value self, const jinja_value *arg)
{
    return jinja_bool(rb_jinja_contains(j, arg[0], self));
}

static jinja_value equal(jinja *j, jinja_value self, const jinja_value *arg)
{
    return jinja_bool(rb_jinja_equal(j, self, arg[0]));
}

static jinja_value unequal(jinja *j, jinja_value self, const jinja_value *arg)
{
    return jinja_bool(!rb_jinja_equal(j, self, arg[0]));
}

static jinja_value less(jinja *j, jinja_value self, const jinja_value *arg)
{
    return jinja_bool(rb_jinja_order(j, self, arg[0]) < 0);
}

static jinja_value at_most(jinja *j, jinja_value self, const jinja_value *arg)
{
    return jinja_bool(rb_jinja_order(j, self, arg[0]) <= 0);
}

static jinja_value greater(jinja *j, jinja_value self, const jinja_value *arg)
{
    return jinja_bool(rb_jinja_order(j, self, arg[0]) > 0);
}

static jinja_value at_least(jinja *j, jinja_value self, const jinja_value *arg)
{
    return jinja_bool(rb_jinja_order(j, self, arg[0]) >= 0);
}

const jinja_row rb_jinja_test[] = {
    { "defined", defined, 0, 0, { NULL } },
    { "undefined", undefined, 0, 0, { NULL } },
    { "none", none, 0, 0, { NULL } },
    { "string", is_string, 0, 0, { NULL } },
    { "mapping", mapping, 0, 0, { NULL } },
    { "iterable", iterable, 0, 0, { NULL } },
    { "sequence", sequence, 0, 0, { NULL } },
    { "number", number, 0, 0, { NULL } },
    { "integer", integer, 0, 0, { NULL } },
    { "boolean", boolean, 0, 0, { NULL } },
    { "true", is_true, 0, 0, { NULL } },
    { "false", is_false, 0, 0, { NULL } },
    { "odd", odd, 0, 0, { NULL } },
    { "even", even, 0, 0, { NULL } },
    { "in", in, 1, 1, { "seq" } },
    { "==", equal, 1, 1, { NULL } },
    { "eq", equal, 1, 1, { NULL } },
    { "equalto", equal, 1, 1, { NULL } },
    { "!=", unequal, 1, 1, { NULL } },
    { "ne", unequal, 1, 1, { NULL } },
    { "<", less, 1, 1, { NULL } },
    { "lt", less, 1, 1, { NULL } },
    { "lessthan", less, 1, 1, { NULL } },
    { "<=", at_most, 1, 1, { NULL } },
    { "le", at_most, 1, 1, { NULL } },
    { ">", greater, 1, 1, { NULL } },
    { "gt", greater, 1, 1, { NULL } },
    { "greaterthan", greater, 1, 1, { NULL } },
    { ">=", at_least, 1, 1, { NULL } },
    { "ge", at_least, 1, 1, { NULL } },
    { 0 },
};
