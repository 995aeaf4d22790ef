/* Values of templates as Python has them: truth, equality, order, membership, elements, attributes,
 * slices, and as text. Lists and dicts are never changed once made, as in Jinja's sandbox.
 * Refuses what would print a list or a dict, and attributes that only Python objects have.
 * Read next: jinja_eval.c. */
#include "jinja.h"

const char *rb_jinja_kind(jinja_value v)
{
    static const char *const name[] = {
        "nothing", "an undefined value", "none",   "a boolean", "an integer", "a string", "a list",
        "a dict",  "a namespace",        "a loop", "a macro",   "a function",
    };
    return name[v.kind];
}

/* ---- lists and dicts ---- */

jinja_value rb_jinja_list(jinja *j, jinja_flavour flavour)
{
    jinja_value v = jinja_of(JINJA_LIST);
    v.list = rb_jinja_alloc(j, sizeof *v.list);
    *v.list = (jinja_list){ .flavour = flavour };
    return v;
}

void rb_jinja_add(jinja *j, jinja_value list, jinja_value item)
{
    jinja_list *l = list.list;
    l->item = rb_jinja_grow(j, l->item, l->n, &l->room, sizeof *l->item);
    l->item[l->n++] = item;
}

jinja_value rb_jinja_dict(jinja *j)
{
    jinja_value v = jinja_of(JINJA_DICT);
    v.dict = rb_jinja_alloc(j, sizeof *v.dict);
    *v.dict = (jinja_dict){ 0 };
    return v;
}

/* What Python takes for no key at all. */
static bool is_mutable(jinja_value v)
{
    return v.kind == JINJA_DICT || (v.kind == JINJA_LIST && v.list->flavour == JINJA_PLAIN);
}

static jinja_pair *find_pair(jinja *j, const jinja_dict *d, jinja_value key)
{
    if (key.kind > JINJA_STRING)
        rb_jinja_fail(j, is_mutable(key) ? RB_ERR_FORMAT : RB_ERR_UNSUPPORTED, "%s as a key",
                      rb_jinja_kind(key));
    rb_jinja_work(j, JINJA_ITEM_WORK * d->n);
    for (size_t i = 0; i < d->n; i++)
        if (rb_jinja_equal(j, d->pair[i].key, key))
            return &d->pair[i];
    return NULL;
}

void rb_jinja_store(jinja *j, jinja_dict *d, jinja_value key, jinja_value value)
{
    jinja_pair *p = find_pair(j, d, key);
    if (p) {
        p->value = value;
        return;
    }
    d->pair = rb_jinja_grow(j, d->pair, d->n, &d->room, sizeof *d->pair);
    d->pair[d->n++] = (jinja_pair){ key, value };
}

bool rb_jinja_lookup(jinja *j, const jinja_dict *d, jinja_value key, jinja_value *value)
{
    const jinja_pair *p = find_pair(j, d, key);
    if (p)
        *value = p->value;
    return p != NULL;
}

/* ---- truth, equality, order ---- */

bool rb_jinja_truth(jinja_value v)
{
    switch (v.kind) {
    case JINJA_ABSENT:
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
    case JINJA_INT:
        return v.number != 0;
    case JINJA_STRING:
        return v.string.n > 0;
    case JINJA_LIST:
        return v.list->n > 0 || v.list->flavour == JINJA_ITERATOR;
    case JINJA_DICT:
        return v.dict->n > 0;
    default:
        return true;
    }
}

static bool equal_lists(jinja *j, const jinja_list *a, const jinja_list *b)
{
    if (a == b)
        return true;
    if (a->flavour >= JINJA_VIEW || b->flavour >= JINJA_VIEW)
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "comparing views or iterators is not supported");
    bool same = a->flavour == b->flavour && a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = rb_jinja_equal(j, a->item[i], b->item[i]);
    return same;
}

static bool equal_dicts(jinja *j, const jinja_dict *a, const jinja_dict *b)
{
    bool same = a == b || a->n == b->n;
    for (size_t i = 0; a != b && same && i < a->n; i++) {
        jinja_value v;
        same = rb_jinja_lookup(j, b, a->pair[i].key, &v) && rb_jinja_equal(j, a->pair[i].value, v);
    }
    return same;
}

bool rb_jinja_equal(jinja *j, jinja_value a, jinja_value b)
{
    if (jinja_is_number(a) && jinja_is_number(b))
        return a.number == b.number;
    if (a.kind != b.kind)
        return false;
    bool same = true;
    rb_jinja_enter(j);
    switch (a.kind) {
    case JINJA_STRING:
        rb_jinja_work(j, a.string.n < b.string.n ? a.string.n : b.string.n);
        same = jinja_same(a.string, b.string);
        break;
    case JINJA_LIST:
        rb_jinja_work(j, JINJA_NODE_WORK);
        same = equal_lists(j, a.list, b.list);
        break;
    case JINJA_DICT:
        rb_jinja_work(j, JINJA_NODE_WORK);
        same = equal_dicts(j, a.dict, b.dict);
        break;
    case JINJA_NAMESPACE:
        same = a.dict == b.dict;
        break;
    case JINJA_LOOP:
        same = a.loop == b.loop;
        break;
    case JINJA_MACRO:
        same = a.macro == b.macro;
        break;
    case JINJA_FUNCTION:
        same = a.function == b.function;
        break;
    default:
        break;
    }
    j->depth--;
    return same;
}

int rb_jinja_order(jinja *j, jinja_value a, jinja_value b)
{
    if (jinja_is_number(a) && jinja_is_number(b))
        return (a.number > b.number) - (a.number < b.number);
    if (a.kind == JINJA_LIST && b.kind == JINJA_LIST)
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "the order of lists is not supported");
    if (a.kind != JINJA_STRING || b.kind != JINJA_STRING)
        rb_jinja_fail(j, RB_ERR_FORMAT, "%s and %s have no order", rb_jinja_kind(a),
                      rb_jinja_kind(b));
    const size_t n = a.string.n < b.string.n ? a.string.n : b.string.n;
    rb_jinja_work(j, n);
    const int order = n ? memcmp(a.string.text, b.string.text, n) : 0;
    return order ? order : (a.string.n > b.string.n) - (a.string.n < b.string.n);
}

bool rb_jinja_contains(jinja *j, jinja_value all, jinja_value one)
{
    jinja_value found;
    if (all.kind == JINJA_UNDEFINED)
        return false;
    if (all.kind == JINJA_DICT)
        return rb_jinja_lookup(j, all.dict, one, &found);
    if (all.kind == JINJA_STRING && one.kind == JINJA_STRING)
        return rb_jinja_find(j, all.string, all.string.text, one.string) != NULL;
    if (all.kind != JINJA_LIST)
        rb_jinja_fail(j, RB_ERR_FORMAT, "%s cannot be in %s", rb_jinja_kind(one),
                      rb_jinja_kind(all));
    if (all.list->flavour == JINJA_ITERATOR)
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "'in' of an iterator is not supported");
    for (size_t i = 0; i < all.list->n; i++) {
        rb_jinja_work(j, JINJA_ITEM_WORK);
        if (rb_jinja_equal(j, all.list->item[i], one))
            return true;
    }
    return false;
}

/* ---- as text, number, length ---- */

jinja_string rb_jinja_to_text(jinja *j, jinja_value v)
{
    if (v.kind == JINJA_STRING)
        return v.string;
    if (v.kind == JINJA_UNDEFINED)
        return jinja_name("");
    if (v.kind == JINJA_NONE)
        return jinja_name("None");
    if (v.kind == JINJA_BOOL)
        return jinja_name(v.number ? "True" : "False");
    if (v.kind != JINJA_INT)
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "%s as text is not supported", rb_jinja_kind(v));
    char *text = rb_jinja_alloc(j, 24);
    return (jinja_string){ text, (size_t)snprintf(text, 24, "%lld", (long long)v.number) };
}

int64_t rb_jinja_to_int(jinja *j, jinja_value v, const char *what)
{
    if (!jinja_is_number(v))
        rb_jinja_fail(j, RB_ERR_FORMAT, "%s is %s, not an integer", what, rb_jinja_kind(v));
    return v.number;
}

int64_t rb_jinja_length(jinja *j, jinja_value v)
{
    if (v.kind == JINJA_UNDEFINED)
        return 0;
    if (v.kind == JINJA_DICT)
        return (int64_t)v.dict->n;
    if (v.kind == JINJA_LIST && v.list->flavour != JINJA_ITERATOR)
        return (int64_t)v.list->n;
    if (v.kind != JINJA_STRING)
        rb_jinja_fail(j, RB_ERR_FORMAT, "%s has no length",
                      v.kind == JINJA_LIST ? "an iterator" : rb_jinja_kind(v));
    rb_jinja_work(j, v.string.n);
    return (int64_t)rb_jinja_utf8_count(v.string);
}

jinja_list rb_jinja_walk(jinja *j, jinja_value v)
{
    jinja_value all = rb_jinja_list(j, JINJA_PLAIN);
    if (v.kind == JINJA_LIST) {
        const jinja_list items = *v.list;
        if (items.flavour == JINJA_ITERATOR)
            v.list->n = 0;
        return items;
    }
    if (v.kind == JINJA_DICT) {
        rb_jinja_work(j, JINJA_ITEM_WORK * v.dict->n);
        for (size_t i = 0; i < v.dict->n; i++)
            rb_jinja_add(j, all, v.dict->pair[i].key);
    } else if (v.kind == JINJA_STRING) {
        rb_jinja_work(j, JINJA_ITEM_WORK * v.string.n);
        for (size_t i = 0, n; i < v.string.n; i += n) {
            n = rb_jinja_utf8_next(v.string.text + i);
            rb_jinja_add(j, all, jinja_text_of(v.string.text + i, n));
        }
    } else if (v.kind != JINJA_UNDEFINED) {
        rb_jinja_fail(j, RB_ERR_FORMAT, "%s cannot be walked", rb_jinja_kind(v));
    }
    return *all.list;
}

/* ---- elements and attributes ---- */

/* Python's objects have these, so that templates which name them mean them. */
static const char *const python_attribute[] = {
    [JINJA_BOOL] = " as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag"
                   " numerator real to_bytes ",
    [JINJA_INT] = " as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag"
                  " is_integer numerator real to_bytes ",
    [JINJA_STRING] =
        " capitalize casefold center count encode endswith expandtabs find format format_map index"
        " isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable"
        " isspace istitle isupper join ljust lower lstrip maketrans partition removeprefix"
        " removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines"
        " startswith strip swapcase title translate upper zfill ",
    [JINJA_LIST] = " append clear copy count extend index insert isdisjoint mapping pop remove"
                   " reverse sort start step stop send throw close ",
    [JINJA_DICT] = " clear copy fromkeys get items keys pop popitem setdefault update values ",
    [JINJA_FUNCTION] = NULL,
};

static bool has_python_attribute(jinja *j, jinja_value v, jinja_string name)
{
    const char *all = python_attribute[v.kind];
    if (name.n > 1 && name.text[0] == '_' && name.text[1] == '_')
        return true;
    if (!all || name.n == 0 || memchr(name.text, ' ', name.n))
        return false;
    const jinja_string list = jinja_name(all);
    const char *at = rb_jinja_find(j, list, all, name);
    while (at && !(at[-1] == ' ' && at[name.n] == ' '))
        at = rb_jinja_find(j, list, at + 1, name);
    return at != NULL;
}

static jinja_value loop_attribute(jinja *j, const jinja_loop *l, jinja_string name)
{
    const int64_t i = (int64_t)l->i, n = (int64_t)l->n;
    if (jinja_is(name, "first"))
        return jinja_bool(i == 0);
    if (jinja_is(name, "last"))
        return jinja_bool(i == n - 1);
    if (jinja_is(name, "previtem"))
        return i > 0 ? l->item[i - 1] : jinja_of(JINJA_UNDEFINED);
    if (jinja_is(name, "nextitem"))
        return i < n - 1 ? l->item[i + 1] : jinja_of(JINJA_UNDEFINED);
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        { "index", i + 1 },         { "index0", i }, { "revindex", n - i }, { "length", n },
        { "revindex0", n - i - 1 }, { "depth", 1 },  { "depth0", 0 },
    };
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        if (jinja_is(name, numbers[k].name))
            return jinja_int(numbers[k].value);
    rb_jinja_refuse(j, "the loop's attribute", name);
}

static jinja_value namespace_attribute(jinja *j, const jinja_dict *d, jinja_string name)
{
    jinja_value found = jinja_of(JINJA_UNDEFINED);
    if (j->in_loop_filter)
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED,
                      "a namespace in the condition of a loop is not supported");
    rb_jinja_lookup(j, d, jinja_text_of(name.text, name.n), &found);
    return found;
}

jinja_value rb_jinja_attribute(jinja *j, jinja_value v, jinja_string name)
{
    jinja_value found = jinja_of(JINJA_UNDEFINED);
    const int n = name.n < 60 ? (int)name.n : 60;
    if (v.kind == JINJA_UNDEFINED)
        rb_jinja_fail(j, RB_ERR_FORMAT, "an undefined value has no '%.*s'", n, name.text);
    if (v.kind == JINJA_NAMESPACE)
        return namespace_attribute(j, v.dict, name);
    if (v.kind == JINJA_LOOP)
        return loop_attribute(j, v.loop, name);
    if (v.kind >= JINJA_MACRO || has_python_attribute(j, v, name))
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "'%.*s' of %s is not supported", n, name.text,
                      rb_jinja_kind(v));
    if (v.kind == JINJA_DICT)
        rb_jinja_lookup(j, v.dict, jinja_text_of(name.text, name.n), &found);
    return found;
}

/* An index from the end if negative; false if there is no such element. */
static bool index_of(int64_t i, int64_t n, size_t *index)
{
    if (i < -n || i >= n)
        return false;
    *index = (size_t)(i < 0 ? i + n : i);
    return true;
}

jinja_value rb_jinja_item(jinja *j, jinja_value v, jinja_value key)
{
    jinja_value found = jinja_of(JINJA_UNDEFINED);
    size_t i;
    if (v.kind == JINJA_UNDEFINED)
        rb_jinja_fail(j, RB_ERR_FORMAT, "an undefined value has no elements");
    if (v.kind == JINJA_DICT && !is_mutable(key) && rb_jinja_lookup(j, v.dict, key, &found))
        return found;
    if (key.kind == JINJA_STRING)
        return rb_jinja_attribute(j, v, key.string);
    if (!jinja_is_number(key))
        return found;
    if (v.kind == JINJA_LIST && v.list->flavour < JINJA_VIEW &&
        index_of(key.number, (int64_t)v.list->n, &i))
        return v.list->item[i];
    if (v.kind == JINJA_STRING && index_of(key.number, rb_jinja_length(j, v), &i)) {
        const jinja_string one = rb_jinja_utf8_part(v.string, i, 1);
        return jinja_text_of(one.text, one.n);
    }
    return found;
}

/* ---- slices, as Python's ---- */

/* A bound of a slice within [least, most], counted from the end if negative. */
static int64_t bound(jinja *j, jinja_value v, int64_t if_none, int64_t n, bool back)
{
    if (v.kind == JINJA_NONE)
        return if_none;
    int64_t i = rb_jinja_to_int(j, v, "the bound of a slice");
    if (i < 0)
        i = i < -n ? -1 : i + n;
    else if (i >= n)
        i = n;
    if (back)
        return i >= n ? n - 1 : i;
    return i < 0 ? 0 : i;
}

jinja_value rb_jinja_slice(jinja *j, jinja_value v, const jinja_value *from_to_step)
{
    const jinja_value *b = from_to_step;
    if (v.kind != JINJA_STRING && !(v.kind == JINJA_LIST && v.list->flavour < JINJA_VIEW))
        rb_jinja_fail(j, RB_ERR_FORMAT, "%s cannot be sliced", rb_jinja_kind(v));
    const int64_t n = rb_jinja_length(j, v);
    int64_t step = b[2].kind == JINJA_NONE ? 1 : rb_jinja_to_int(j, b[2], "the step of a slice");
    if (step == 0)
        rb_jinja_fail(j, RB_ERR_FORMAT, "the step of a slice is 0");
    const bool back = step < 0;
    step = step > n + 1 ? n + 1 : step < -n - 1 ? -n - 1 : step;
    int64_t first = bound(j, b[0], back ? n - 1 : 0, n, back);
    const int64_t last = bound(j, b[1], back ? -1 : n, n, back);
    if (v.kind == JINJA_STRING && step == 1) {
        rb_jinja_work(j, v.string.n);
        const size_t count = last > first ? (size_t)(last - first) : 0;
        const jinja_string part = rb_jinja_utf8_part(v.string, (size_t)first, count);
        return jinja_text_of(part.text, part.n);
    }
    const jinja_list all = rb_jinja_walk(j, v);
    jinja_value part = rb_jinja_list(j, v.kind == JINJA_LIST ? v.list->flavour : JINJA_PLAIN);
    for (; all.item && (back ? first > last : first < last); first += step) {
        rb_jinja_work(j, sizeof(jinja_value));
        rb_jinja_add(j, part, all.item[first]);
    }
    if (v.kind == JINJA_LIST)
        return part;
    jinja_text text = { 0 };
    for (size_t i = 0; i < part.list->n; i++)
        rb_jinja_put(j, &text, part.list->item[i].string.text, part.list->item[i].string.n);
    return jinja_text_of(text.text, text.n);
}
