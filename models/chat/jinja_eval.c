/* Expressions to values, as Python and Jinja have them. Each node costs work and depth, so that
 * every template comes to an end. Refuses fractions (/, **) and formatting by %.
 * Read next: jinja_call.c, jinja_value.c. */
#include "jinja.h"

static jinja_value eval_name(jinja *j, const jinja_node *node)
{
    static const char *const special[] = { "self",   "varargs", "kwargs", "caller",
                                           "lipsum", "cycler",  "joiner" };
    jinja_value found;
    const jinja_value key = jinja_text_of(node->name.text, node->name.n);
    for (const jinja_scope *s = j->scope; s; s = s->outer) {
        rb_jinja_work(j, 1);
        if (rb_jinja_lookup(j, &s->names, key, &found))
            return found;
    }
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (jinja_is(node->name, special[i]))
            rb_jinja_refuse(j, "the name", node->name);
    found = jinja_of(JINJA_FUNCTION);
    found.function = rb_jinja_row(rb_jinja_function, node->name);
    if (!found.function || (jinja_is(node->name, "strftime_now") && !j->chat->date.year))
        return jinja_of(JINJA_UNDEFINED);
    return found;
}

static jinja_value eval_list(jinja *j, const jinja_node *node)
{
    jinja_value list = rb_jinja_list(j, node->flag ? JINJA_TUPLE : JINJA_PLAIN);
    for (size_t i = 0; i < node->list.n; i++)
        rb_jinja_add(j, list, rb_jinja_eval(j, node->list.item[i]));
    return list;
}

static jinja_value eval_dict(jinja *j, const jinja_node *node)
{
    jinja_value dict = rb_jinja_dict(j);
    for (size_t i = 0; i + 1 < node->list.n; i += 2) {
        const jinja_value key = rb_jinja_eval(j, node->list.item[i]);
        rb_jinja_store(j, dict.dict, key, rb_jinja_eval(j, node->list.item[i + 1]));
    }
    return dict;
}

/* ---- operators ---- */

_Noreturn static void no_operator(jinja *j, const jinja_node *node, jinja_value a, jinja_value b)
{
    const char *of = node->name.text;
    const int n = (int)node->name.n;
    if (a.kind == JINJA_STRING && *of == '%')
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "formatting by '%%' is not supported");
    rb_jinja_fail(j, RB_ERR_FORMAT, "'%.*s' of %s and %s", n, of, rb_jinja_kind(a),
                  rb_jinja_kind(b));
}

static jinja_value join(jinja *j, jinja_string a, jinja_string b)
{
    jinja_text t = { 0 };
    if (a.n == 0 || b.n == 0)
        return a.n ? jinja_text_of(a.text, a.n) : jinja_text_of(b.text, b.n);
    t.room = a.n + b.n;
    t.text = rb_jinja_alloc(j, t.room);
    rb_jinja_put(j, &t, a.text, a.n);
    rb_jinja_put(j, &t, b.text, b.n);
    return jinja_text_of(t.text, t.n);
}

static jinja_value join_lists(jinja *j, const jinja_list *a, const jinja_list *b)
{
    jinja_value all = rb_jinja_list(j, a->flavour);
    rb_jinja_work(j, (a->n + b->n) * sizeof(jinja_value));
    for (size_t i = 0; i < a->n; i++)
        rb_jinja_add(j, all, a->item[i]);
    for (size_t i = 0; i < b->n; i++)
        rb_jinja_add(j, all, b->item[i]);
    return all;
}

/* Twice as much with every step; too much ends where text is bounded. */
static jinja_value repeat(jinja *j, jinja_string s, int64_t n)
{
    const size_t most = (size_t)JINJA_MAX_TEXT + 1;
    jinja_text t = { 0 };
    if (s.n == 0 || n <= 0)
        return jinja_text_of(t.text, t.n);
    const size_t want = (uint64_t)n > most / s.n ? most : s.n * (size_t)n;
    for (rb_jinja_put(j, &t, s.text, s.n); t.n < want;)
        rb_jinja_put(j, &t, t.text, t.n < want - t.n ? t.n : want - t.n);
    return jinja_text_of(t.text, t.n);
}

/* Quotient and remainder round down, as Python's. */
static jinja_value divide(jinja *j, jinja_string name, int64_t a, int64_t b)
{
    if (b == 0)
        rb_jinja_fail(j, RB_ERR_FORMAT, "division by zero");
    if (b == -1) {
        if (a == INT64_MIN)
            rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "an integer of more than 63 bits");
        return jinja_int(jinja_is(name, "%") ? 0 : -a);
    }
    const int64_t rest = a % b, down = rest != 0 && (rest < 0) != (b < 0);
    return jinja_int(jinja_is(name, "%") ? rest + (down ? b : 0) : a / b - down);
}

static jinja_value arithmetic(jinja *j, const jinja_node *node, jinja_value a, jinja_value b)
{
    int64_t result = 0;
    bool over;
    if (!jinja_is_number(a) || !jinja_is_number(b))
        no_operator(j, node, a, b);
    if (jinja_is(node->name, "+"))
        over = __builtin_add_overflow(a.number, b.number, &result);
    else if (jinja_is(node->name, "-"))
        over = __builtin_sub_overflow(a.number, b.number, &result);
    else if (jinja_is(node->name, "*"))
        over = __builtin_mul_overflow(a.number, b.number, &result);
    else
        return divide(j, node->name, a.number, b.number);
    if (over)
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "an integer of more than 63 bits");
    return jinja_int(result);
}

static jinja_value eval_binary(jinja *j, const jinja_node *node)
{
    const jinja_string name = node->name;
    jinja_value a = rb_jinja_eval(j, node->a);
    if (jinja_is(name, "and") || jinja_is(name, "or"))
        return rb_jinja_truth(a) == jinja_is(name, "or") ? a : rb_jinja_eval(j, node->b);
    const jinja_value b = rb_jinja_eval(j, node->b);
    j->line = node->line;
    if (jinja_is(name, "~")) {
        const jinja_string left = rb_jinja_to_text(j, a);
        return join(j, left, rb_jinja_to_text(j, b));
    }
    if (jinja_is(name, "/") || jinja_is(name, "**"))
        rb_jinja_refuse(j, "the operator", name);
    if (jinja_is(name, "+") && a.kind == JINJA_STRING && b.kind == JINJA_STRING)
        return join(j, a.string, b.string);
    if (jinja_is(name, "+") && a.kind == JINJA_LIST && b.kind == JINJA_LIST &&
        a.list->flavour == b.list->flavour && a.list->flavour <= JINJA_TUPLE)
        return join_lists(j, a.list, b.list);
    if (jinja_is(name, "*") && a.kind == JINJA_STRING && jinja_is_number(b))
        return repeat(j, a.string, b.number);
    if (jinja_is(name, "*") && b.kind == JINJA_STRING && jinja_is_number(a))
        return repeat(j, b.string, a.number);
    if (jinja_is(name, "*") && (a.kind == JINJA_LIST || b.kind == JINJA_LIST))
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "repeating lists is not supported");
    return arithmetic(j, node, a, b);
}

static jinja_value eval_unary(jinja *j, const jinja_node *node)
{
    const jinja_value a = rb_jinja_eval(j, node->a);
    j->line = node->line;
    if (jinja_is(node->name, "not"))
        return jinja_bool(!rb_jinja_truth(a));
    const int64_t n = rb_jinja_to_int(j, a, "the operand of a sign");
    if (n == INT64_MIN)
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "an integer of more than 63 bits");
    return jinja_int(jinja_is(node->name, "-") ? -n : n);
}

static bool compare(jinja *j, jinja_value a, const jinja_node *operand, jinja_value b)
{
    const jinja_string name = operand->name;
    if (jinja_is(name, "in"))
        return rb_jinja_contains(j, b, a) != operand->flag;
    if (jinja_is(name, "=="))
        return rb_jinja_equal(j, a, b);
    if (jinja_is(name, "!="))
        return !rb_jinja_equal(j, a, b);
    const int order = rb_jinja_order(j, a, b);
    if (name.n == 2 && order == 0)
        return true;
    return *name.text == '<' ? order < 0 : order > 0;
}

static jinja_value eval_compare(jinja *j, const jinja_node *node)
{
    jinja_value a = rb_jinja_eval(j, node->a);
    bool holds = true;
    for (size_t i = 0; holds && i < node->list.n; i++) {
        const jinja_node *operand = node->list.item[i];
        const jinja_value b = rb_jinja_eval(j, operand->a);
        j->line = operand->line;
        holds = compare(j, a, operand, b);
        a = b;
    }
    return jinja_bool(holds);
}

static jinja_value eval_choice(jinja *j, const jinja_node *node)
{
    if (rb_jinja_truth(rb_jinja_eval(j, node->b)))
        return rb_jinja_eval(j, node->a);
    return node->c ? rb_jinja_eval(j, node->c) : jinja_of(JINJA_UNDEFINED);
}

/* ---- elements, calls ---- */

static jinja_value eval_attribute(jinja *j, const jinja_node *node)
{
    const jinja_value a = rb_jinja_eval(j, node->a);
    j->line = node->line;
    return rb_jinja_attribute(j, a, node->name);
}

static jinja_value eval_item(jinja *j, const jinja_node *node)
{
    const jinja_value a = rb_jinja_eval(j, node->a), key = rb_jinja_eval(j, node->b);
    j->line = node->line;
    return rb_jinja_item(j, a, key);
}

static jinja_value eval_slice(jinja *j, const jinja_node *node)
{
    const jinja_node *const part[] = { node->b, node->c, node->d };
    jinja_value bound[3], a = rb_jinja_eval(j, node->a);
    for (int i = 0; i < 3; i++)
        bound[i] = part[i] ? rb_jinja_eval(j, part[i]) : jinja_of(JINJA_NONE);
    j->line = node->line;
    return rb_jinja_slice(j, a, bound);
}

/* The method of an object by a name, if it has one. */
static const jinja_row *method_of(jinja_value object, jinja_string name)
{
    if (object.kind == JINJA_STRING)
        return rb_jinja_row(rb_jinja_string_method, name);
    if (object.kind == JINJA_DICT)
        return rb_jinja_row(rb_jinja_dict_method, name);
    return NULL;
}

static jinja_value eval_call(jinja *j, const jinja_node *node)
{
    const jinja_node *what = node->a;
    jinja_value callee;
    if (what->kind == JINJA_ATTRIBUTE) {
        const jinja_value object = rb_jinja_eval(j, what->a);
        const jinja_row *method = method_of(object, what->name);
        if (method)
            return rb_jinja_call(j, method, object, node);
        j->line = what->line;
        callee = rb_jinja_attribute(j, object, what->name);
    } else {
        callee = rb_jinja_eval(j, what);
    }
    if (callee.kind == JINJA_FUNCTION)
        return rb_jinja_call(j, callee.function, callee, node);
    if (callee.kind == JINJA_MACRO)
        return rb_jinja_call_macro(j, callee.macro, node);
    j->line = node->line;
    if (callee.kind != JINJA_UNDEFINED || !what->name.n)
        rb_jinja_fail(j, RB_ERR_FORMAT, "%s cannot be called", rb_jinja_kind(callee));
    if (jinja_is(what->name, "strftime_now"))
        rb_jinja_fail(j, RB_ERR_ARGUMENT, "the template asks for the date: give one");
    rb_jinja_refuse(j, what->kind == JINJA_ATTRIBUTE ? "the method" : "the function", what->name);
}

static jinja_value eval_named(jinja *j, const jinja_node *node)
{
    const bool filter = node->kind == JINJA_FILTER;
    const jinja_row *row = rb_jinja_row(filter ? rb_jinja_filter : rb_jinja_test, node->name);
    if (!row)
        rb_jinja_refuse(j, filter ? "the filter" : "the test", node->name);
    return rb_jinja_call(j, row, node->a ? rb_jinja_eval(j, node->a) : j->captured, node);
}

static jinja_value eval_literal(jinja *j, const jinja_node *node)
{
    (void)j;
    return node->value;
}

static jinja_value eval_unsupported(jinja *j, const jinja_node *node)
{
    rb_jinja_refuse(j, "the number", node->name);
}

jinja_value rb_jinja_eval(jinja *j, const jinja_node *node)
{
    static jinja_value (*const eval[])(jinja * j, const jinja_node *node) = {
        [JINJA_LITERAL] = eval_literal,
        [JINJA_NAME] = eval_name,
        [JINJA_LIST_OF] = eval_list,
        [JINJA_DICT_OF] = eval_dict,
        [JINJA_UNARY] = eval_unary,
        [JINJA_BINARY] = eval_binary,
        [JINJA_COMPARE] = eval_compare,
        [JINJA_CHOICE] = eval_choice,
        [JINJA_ATTRIBUTE] = eval_attribute,
        [JINJA_ITEM] = eval_item,
        [JINJA_SLICE] = eval_slice,
        [JINJA_CALL] = eval_call,
        [JINJA_FILTER] = eval_named,
        [JINJA_TEST] = eval_named,
        [JINJA_UNSUPPORTED] = eval_unsupported,
    };
    rb_jinja_enter(j);
    rb_jinja_work(j, JINJA_NODE_WORK);
    j->line = node->line;
    const jinja_value v = eval[node->kind](j, node);
    j->depth--;
    return v;
}
