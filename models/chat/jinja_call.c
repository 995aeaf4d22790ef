/* Calls: arguments to parameters, the functions that templates have, and their macros.
 * Refuses clocks: the date is the caller's, and a template that is told none sees no strftime_now.
 * Read next: jinja_filter.c, jinja_text.c. */
#include "jinja.h"

const jinja_row *rb_jinja_row(const jinja_row *rows, jinja_string name)
{
    for (; rows->name; rows++)
        if (jinja_is(name, rows->name))
            return rows;
    return NULL;
}

_Noreturn static void bad_argument(jinja *j, const char *of, const char *what, jinja_string name)
{
    rb_jinja_fail(j, RB_ERR_FORMAT, "%s: %s%.*s", of, what, name.n < 60 ? (int)name.n : 60,
                  name.n ? name.text : "");
}

/* The parameter of a row by name, or where it takes all names. */
static size_t parameter_of(jinja *j, const jinja_row *row, jinja_string name)
{
    for (size_t i = 0; i < JINJA_MAX_ARG; i++)
        if (row->parameter[i] &&
            (jinja_is(name, row->parameter[i]) || strcmp(row->parameter[i], "**") == 0))
            return i;
    bad_argument(j, row->name, "no argument ", name);
}

static jinja_value call_row(jinja *j, const jinja_row *row, jinja_value self,
                            const jinja_value *arg, size_t n)
{
    for (size_t i = 0; i < row->n_required; i++)
        if (arg[i].kind == JINJA_ABSENT)
            bad_argument(j, row->name, "too few arguments", (jinja_string){ 0 });
    if (n > row->n_most)
        bad_argument(j, row->name, "too many arguments", (jinja_string){ 0 });
    return row->call(j, self, arg);
}

jinja_value rb_jinja_apply(jinja *j, const jinja_row *row, jinja_value self, const jinja_value *arg,
                           size_t n)
{
    jinja_value all[JINJA_MAX_ARG] = { 0 };
    rb_jinja_work(j, JINJA_NODE_WORK);
    for (size_t i = 0; i < n && i < JINJA_MAX_ARG; i++)
        all[i] = arg[i];
    return call_row(j, row, self, all, n);
}

jinja_value rb_jinja_call(jinja *j, const jinja_row *row, jinja_value self, const jinja_node *node)
{
    jinja_value arg[JINJA_MAX_ARG] = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < node->list.n; i++) {
        const jinja_node *one = node->list.item[i];
        const bool named = one->kind == JINJA_ARGUMENT;
        const jinja_value value = rb_jinja_eval(j, named ? one->a : one);
        j->line = node->line;
        if (!named && n >= JINJA_MAX_ARG)
            bad_argument(j, row->name, "too many arguments", (jinja_string){ 0 });
        const size_t at = named ? parameter_of(j, row, one->name) : n++;
        if (row->parameter[at] && strcmp(row->parameter[at], "**") == 0) {
            if (arg[at].kind == JINJA_ABSENT)
                arg[at] = rb_jinja_dict(j);
            rb_jinja_store(j, arg[at].dict, jinja_text_of(one->name.text, one->name.n), value);
        } else if (arg[at].kind != JINJA_ABSENT) {
            bad_argument(j, row->name, "twice the argument ", one->name);
        } else {
            arg[at] = value;
        }
    }
    j->line = node->line;
    return call_row(j, row, self, arg, n);
}

/* ---- macros ---- */

/* Arguments by position, by name, then defaults, which may use the parameters before them. */
static void bind(jinja *j, const jinja_node *macro, const jinja_node *call, jinja_scope *scope)
{
    const jinja_nodes *parameter = &macro->list;
    jinja_value *arg = rb_jinja_alloc(j, (parameter->n + 1) * sizeof *arg);
    for (size_t i = 0; i < call->list.n; i++) {
        const jinja_node *one = call->list.item[i];
        const bool named = one->kind == JINJA_ARGUMENT;
        size_t at = i;
        if (named)
            for (at = 0; at < parameter->n && !jinja_same(parameter->item[at]->name, one->name);)
                at++;
        const jinja_value value = rb_jinja_eval(j, named ? one->a : one);
        j->line = call->line;
        if (at >= parameter->n || arg[at].kind != JINJA_ABSENT)
            bad_argument(j, "a macro", "an argument that it has not or twice, in ", macro->name);
        arg[at] = value;
    }
    j->scope = scope;
    for (size_t i = 0; i < parameter->n; i++) {
        const jinja_node *p = parameter->item[i];
        if (arg[i].kind == JINJA_ABSENT)
            arg[i] = p->a ? rb_jinja_eval(j, p->a) : jinja_of(JINJA_UNDEFINED);
        rb_jinja_set(j, p->name, arg[i]);
    }
}

jinja_value rb_jinja_call_macro(jinja *j, const jinja_macro *m, const jinja_node *call)
{
    jinja_text text = { 0 }, *out = j->out;
    jinja_scope *caller = j->scope, *scope = rb_jinja_alloc(j, sizeof *scope);
    *scope = (jinja_scope){ .outer = m->scope };
    bind(j, m->node, call, scope);
    j->out = &text;
    rb_jinja_run(j, m->node->more);
    j->out = out;
    j->scope = caller;
    return jinja_text_of(text.text, text.n);
}

/* ---- functions ---- */

static jinja_value raise_exception(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)self;
    const jinja_string text = rb_jinja_to_text(j, arg[0]);
    j->line = 0;
    rb_jinja_fail(j, RB_ERR_FORMAT, "the chat template says: %.*s",
                  text.n < 300 ? (int)text.n : 300, text.n ? text.text : "");
}

/* namespace(dict, name=value ...), dict(the same) */
static jinja_value make_dict(jinja *j, jinja_value self, const jinja_value *arg)
{
    jinja_value all = rb_jinja_dict(j);
    for (int i = 0; i < 2; i++) {
        if (arg[i].kind == JINJA_ABSENT)
            continue;
        if (arg[i].kind != JINJA_DICT)
            rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "a dict made of %s is not supported",
                          rb_jinja_kind(arg[i]));
        for (size_t k = 0; k < arg[i].dict->n; k++)
            rb_jinja_store(j, all.dict, arg[i].dict->pair[k].key, arg[i].dict->pair[k].value);
    }
    if (strcmp(self.function->name, "namespace") == 0)
        all.kind = JINJA_NAMESPACE;
    return all;
}

static jinja_value range(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)self;
    int64_t bound[3] = { 0, 0, 1 };
    const bool one = arg[1].kind == JINJA_ABSENT;
    for (int i = 0; i < 3; i++)
        if (arg[i].kind != JINJA_ABSENT)
            bound[one ? 1 : i] = rb_jinja_to_int(j, arg[i], "the bound of a range");
    const int64_t step = bound[2], most = (int64_t)1 << 60;
    if (step == 0)
        rb_jinja_fail(j, RB_ERR_FORMAT, "the step of a range is 0");
    for (int i = 0; i < 3; i++)
        if (bound[i] > most || bound[i] < -most)
            rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "the bounds of a range are too far");
    int64_t n = step > 0 ? (bound[1] - bound[0] + step - 1) / step
                         : (bound[0] - bound[1] - step - 1) / -step;
    n = n < 0 ? 0 : n;
    if (n > JINJA_MAX_RANGE)
        rb_jinja_fail(j, RB_ERR_FORMAT, "a range of %lld, at most %d", (long long)n,
                      JINJA_MAX_RANGE);
    jinja_value list = rb_jinja_list(j, JINJA_RANGE);
    rb_jinja_work(j, (size_t)n * sizeof(jinja_value));
    for (int64_t i = 0; i < n; i++)
        rb_jinja_add(j, list, jinja_int(bound[0] + i * step));
    return list;
}

/* Days since a Sunday, by the proleptic Gregorian calendar. */
static int weekday(const rb_chat_date *d)
{
    static const int shift[] = { 0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4 };
    const int y = d->year - (d->month < 3);
    return (y + y / 4 - y / 100 + y / 400 + shift[d->month - 1] + d->day) % 7;
}

/* One field of strftime in English; false if it is none of a date. */
static bool field(const rb_chat_date *d, char c, bool pad, char *out, size_t room)
{
    static const char *const month[] = { "January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December" };
    static const char *const day[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday" };
    const int width = pad ? 2 : 1;
    if (c == 'd')
        snprintf(out, room, "%0*d", width, d->day);
    else if (c == 'm')
        snprintf(out, room, "%0*d", width, d->month);
    else if (c == 'y')
        snprintf(out, room, "%0*d", width, d->year % 100);
    else if (c == 'Y')
        snprintf(out, room, "%d", d->year);
    else if (c == 'B')
        snprintf(out, room, "%s", month[d->month - 1]);
    else if (c == 'b')
        snprintf(out, room, "%.3s", month[d->month - 1]);
    else if (c == 'A')
        snprintf(out, room, "%s", day[weekday(d)]);
    else if (c == 'a')
        snprintf(out, room, "%.3s", day[weekday(d)]);
    else if (c == '%')
        snprintf(out, room, "%%");
    else
        return false;
    return true;
}

static jinja_value strftime_now(jinja *j, jinja_value self, const jinja_value *arg)
{
    (void)self;
    if (arg[0].kind != JINJA_STRING)
        rb_jinja_fail(j, RB_ERR_FORMAT, "the format of a date is %s", rb_jinja_kind(arg[0]));
    const jinja_string format = arg[0].string;
    jinja_text t = { 0 };
    for (size_t i = 0; i < format.n; i++) {
        char one[16] = { format.text[i] };
        if (format.text[i] == '%') {
            const bool bare = format.n - i > 2 && format.text[i + 1] == '-';
            const char *at = format.text + (i += bare ? 2 : 1);
            if (i >= format.n || !field(&j->chat->date, *at, !bare, one, sizeof one))
                rb_jinja_refuse(j, "the field of a date", (jinja_string){ at, i < format.n });
        }
        rb_jinja_put(j, &t, one, strlen(one));
    }
    return jinja_text_of(t.text, t.n);
}

const jinja_row rb_jinja_function[] = {
    { "raise_exception", raise_exception, 1, 1, { "message" } },
    { "namespace", make_dict, 0, 1, { NULL, "**" } },
    { "dict", make_dict, 0, 1, { NULL, "**" } },
    { "range", range, 1, 3, { NULL } },
    { "strftime_now", strftime_now, 1, 1, { "format" } },
    { 0 },
};
