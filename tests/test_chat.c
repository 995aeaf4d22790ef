/* Chat templates: cases whose texts another implementation made, what is refused and how, and
 * templates that would nest, grow or run without end. RBENCH_CHAT_CASES names a file of more cases.
 * Read next: vectors/chat/make.py, chat_package.py. */
#include "files.h"

#include "../models/chat/jinja.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const rb_chat_message talk[] = {
    { "system", "Be brief." },
    { "user", "Hello" },
    { "assistant", "Hi" },
    { "user", "a\nb" },
};
static const rb_chat chat = { talk, 4, "<s>", "</s>", true, { 0 } };

/* Applies a template to the talk above; the text, to be freed, or NULL with the error. */
static char *apply(const char *source, rb_status *status, rb_error *err)
{
    char *text = NULL;
    *err = (rb_error){ 0 };
    *status = rb_chat_apply(source, &chat, &text, err);
    cr_assert_eq(text != NULL, *status == RB_OK, "%.200s", source);
    cr_assert_eq(err->status, *status, "%.200s", source);
    return text;
}

/* ---- cases of a file ---- */

static const char *field(const json_t *in, const char *key)
{
    return json_string_value(json_object_get(in, key));
}

static rb_chat chat_of(const json_t *c, rb_chat_message *message)
{
    const json_t *all = json_object_get(c, "messages"), *date = json_object_get(c, "date");
    const size_t n = json_array_size(all);
    cr_assert_leq(n, 8);
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(all, i);
        message[i] = (rb_chat_message){ field(m, "role"), field(m, "content") };
    }
    rb_chat x = { message,
                  (int)n,
                  field(c, "bos"),
                  field(c, "eos"),
                  json_is_true(json_object_get(c, "add_generation_prompt")),
                  { 0 } };
    if (date) {
        x.date.year = (int)json_integer_value(json_array_get(date, 0));
        x.date.month = (int)json_integer_value(json_array_get(date, 1));
        x.date.day = (int)json_integer_value(json_array_get(date, 2));
    }
    return x;
}

/* A case of ours must give the text to the byte. One that was found (ours false) may be refused as
 * unsupported; one that does late what we do at once may fail. */
static bool check_case(const json_t *c, bool ours)
{
    rb_chat_message message[8];
    const rb_chat x = chat_of(c, message);
    const char *want = field(c, "text");
    char *text;
    rb_error err = { 0 };
    const rb_status status = rb_chat_apply(field(c, "template"), &x, &text, &err);
    bool good = want ? status == RB_OK && strcmp(text, want) == 0 : status != RB_OK;
    if (want && !ours)
        good |= status == RB_ERR_UNSUPPORTED ||
                (json_is_true(json_object_get(c, "lazy")) && status == RB_ERR_FORMAT);
    if (!good)
        fprintf(stderr, "%s\n--- template\n%s\n--- wanted\n%s\n--- got\n%s\n", field(c, "name"),
                field(c, "template"), want ? want : field(c, "fails"),
                status == RB_OK ? text : err.text);
    free(text);
    return good;
}

static void check_cases(const char *path, bool ours)
{
    json_t *all = json_read(path);
    int n_bad = 0;
    for (size_t i = 0; i < json_array_size(all); i++)
        n_bad += !check_case(json_array_get(all, i), ours);
    cr_assert_eq(n_bad, 0, "%s: %d of %zu cases differ", path, n_bad, json_array_size(all));
    cr_assert_gt(json_array_size(all), 0);
    json_decref(all);
}

Test(chat, cases)
{
    const char *more = getenv("RBENCH_CHAT_CASES");
    check_cases("tests/vectors/chat/cases.json", true);
    if (more)
        check_cases(more, false);
}

/* ---- refusals ---- */

typedef struct refusal {
    const char *source;
    rb_status status;
    const char *text; /* the whole line, or its beginning */
} refusal;

static void check_refusals(const refusal *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        rb_status status;
        rb_error err;
        char *text = apply(all[i].source, &status, &err);
        cr_expect_eq(status, all[i].status, "%s: %s", all[i].source, text ? text : err.text);
        cr_expect_eq(strncmp(err.text, all[i].text, strlen(all[i].text)), 0, "%s: %s",
                     all[i].source, err.text);
        free(text);
    }
}

#define LINE1 "chat template, line 1: "

Test(chat, refuses_by_name_and_line)
{
    static const refusal all[] = {
        { "a\n\n{{ 'a'|foo }}", RB_ERR_UNSUPPORTED,
          "chat template, line 3: the filter 'foo' is not supported" },
        { "{{ 1 is foo }}", RB_ERR_UNSUPPORTED, LINE1 "the test 'foo' is not supported" },
        { "{{ foo(1) }}", RB_ERR_UNSUPPORTED, LINE1 "the function 'foo' is not supported" },
        { "{{ messages[0].foo(1) }}", RB_ERR_UNSUPPORTED,
          LINE1 "the method 'foo' is not supported" },
        { "{{ messages.append(1) }}", RB_ERR_UNSUPPORTED,
          LINE1 "'append' of a list is not supported" },
        { "{{ 'a'.casefold() }}", RB_ERR_UNSUPPORTED,
          LINE1 "'casefold' of a string is not supported" },
        { "{{ messages[0].items }}", RB_ERR_UNSUPPORTED,
          LINE1 "'items' of a dict is not supported" },
        { "{{ ''.__class__ }}", RB_ERR_UNSUPPORTED, LINE1 "'__class__' of a string" },
        { "{{ messages[0]['__class__'] }}", RB_ERR_UNSUPPORTED, LINE1 "'__class__' of a dict" },
        { "{% include 'x' %}", RB_ERR_UNSUPPORTED,
          LINE1 "the statement 'include' is not supported" },
        { "{% raw %}{% endraw %}", RB_ERR_UNSUPPORTED,
          LINE1 "the statement 'raw' is not supported" },
        { "{% for x in y recursive %}{% endfor %}", RB_ERR_UNSUPPORTED,
          LINE1 "the loop modifier 'recursive' is not supported" },
        { "{{ cycler }}", RB_ERR_UNSUPPORTED, LINE1 "the name 'cycler' is not supported" },
        { "{{ f(*x) }}", RB_ERR_UNSUPPORTED, LINE1 "the argument '*' is not supported" },
        { "{{ x[1, 2] }}", RB_ERR_UNSUPPORTED, LINE1 "the subscript ',' is not supported" },
        { "{{ 1.5 }}", RB_ERR_UNSUPPORTED, LINE1 "the number '1.5' is not supported" },
        { "{{ 0x10 }}", RB_ERR_UNSUPPORTED, LINE1 "numbers other than decimal" },
        { "{{ 3 / 2 }}", RB_ERR_UNSUPPORTED, LINE1 "the operator '/' is not supported" },
        { "{{ 3 ** 2 }}", RB_ERR_UNSUPPORTED, LINE1 "the operator '**' is not supported" },
        { "{{ '%s' % 1 }}", RB_ERR_UNSUPPORTED, LINE1 "formatting by '%' is not supported" },
        { "{{ '{:d}'.format(1) }}", RB_ERR_UNSUPPORTED, LINE1 "format of other than {}" },
        { "{{ messages }}", RB_ERR_UNSUPPORTED, LINE1 "a list as text is not supported" },
        { "{{ 'é'|upper }}", RB_ERR_UNSUPPORTED, LINE1 "the case of other than ASCII" },
        { "{{ é }}", RB_ERR_UNSUPPORTED, LINE1 "names of other than ASCII" },
        { "{{ '\\N{DASH}' }}", RB_ERR_UNSUPPORTED, LINE1 "the escape '\\N' is not supported" },
        { "{{ '\\0' }}", RB_ERR_UNSUPPORTED, LINE1 "the character U+0000 is not supported" },
        { "{{ '\\ud800' }}", RB_ERR_UNSUPPORTED, LINE1 "the character U+D800 is not supported" },
        { "{{ 'a'|tojson(sort_keys=true) }}", RB_ERR_FORMAT,
          LINE1 "tojson: no argument sort_keys" },
        { "{% set loop = 1 %}", RB_ERR_UNSUPPORTED, LINE1 "setting 'loop' is not supported" },
        { "{% set n = namespace(a=1) %}{% for x in [1] if n.a %}{% endfor %}", RB_ERR_UNSUPPORTED,
          LINE1 "a namespace in the condition of a loop" },
        { "{% for x in [1] %}{% set a %}{% break %}{% endset %}{% endfor %}", RB_ERR_UNSUPPORTED,
          LINE1 "leaving a loop out of a block" },
    };
    check_refusals(all, sizeof all / sizeof *all);
}

Test(chat, refuses_values_by_name)
{
    static const refusal all[] = {
        { "{{ 9223372036854775807 + 1 }}", RB_ERR_UNSUPPORTED, LINE1 "an integer of more than" },
        { "{{ 9223372036854775808 }}", RB_ERR_UNSUPPORTED, LINE1 "an integer of more than" },
        { "{{ 9223372036854775807 * 2 }}", RB_ERR_UNSUPPORTED, LINE1 "an integer of more than" },
        { "{{ (-9223372036854775807 - 1) // -1 }}", RB_ERR_UNSUPPORTED, LINE1 "an integer of" },
        { "{{ -(-9223372036854775807 - 1) }}", RB_ERR_UNSUPPORTED, LINE1 "an integer of more" },
        { "{{ '99999999999999999999'|int }}", RB_ERR_UNSUPPORTED, LINE1 "an integer of more" },
        { "{{ range(9223372036854775807) }}", RB_ERR_UNSUPPORTED, LINE1 "the bounds of a range" },
        { "{{ '1.5'|int }}", RB_ERR_UNSUPPORTED, LINE1 "'int' of other than decimal digits" },
        { "{{ messages[0]|items|first }}", RB_ERR_UNSUPPORTED, LINE1 "'first' of an iterator" },
        { "{{ 'a'|items|list }}", RB_ERR_UNSUPPORTED, LINE1 "items of a string" },
        { "{{ messages|map(attribute='a.b')|list }}", RB_ERR_UNSUPPORTED, LINE1 "the path 'a.b'" },
        { "{{ messages|select('foo')|list }}", RB_ERR_UNSUPPORTED, LINE1 "the test 'foo'" },
        { "{{ messages|map('foo')|list }}", RB_ERR_UNSUPPORTED, LINE1 "the filter 'foo'" },
        { "{{ [1] < [2] }}", RB_ERR_UNSUPPORTED, LINE1 "the order of lists is not supported" },
        { "{{ 1 in (messages[0]|items) }}", RB_ERR_UNSUPPORTED, LINE1 "'in' of an iterator" },
        { "{{ (messages[0]|items) == (messages[0]|items) }}", RB_ERR_UNSUPPORTED,
          LINE1 "comparing views or iterators" },
        { "{% for x in [1] %}{{ loop.foo }}{% endfor %}", RB_ERR_UNSUPPORTED,
          LINE1 "the loop's attribute 'foo'" },
    };
    check_refusals(all, sizeof all / sizeof *all);
}

Test(chat, says_what_is_wrong)
{
    static const refusal all[] = {
        { "{{ raise_exception('no \x1b[31m' ~ messages[3].content ~ '\\u009b!') }}", RB_ERR_FORMAT,
          "the chat template says: no ?[31ma?b?\?!" },
        { "{{ messages[0]['a' }}", RB_ERR_FORMAT, LINE1 "unexpected '}'" },
        { "{{ a b }}", RB_ERR_FORMAT, LINE1 "unexpected 'b'" },
        { "\n{% if a %}", RB_ERR_FORMAT, "chat template, line 2: the template ends too early" },
        { "{{ 'a' + 1 }}", RB_ERR_FORMAT, LINE1 "'+' of a string and an integer" },
        { "{{ x.y.z }}", RB_ERR_FORMAT, LINE1 "an undefined value has no 'y'" },
        { "{{ 1 % 0 }}", RB_ERR_FORMAT, LINE1 "division by zero" },
        { "{% break %}", RB_ERR_FORMAT, LINE1 "break or continue outside of a loop" },
        { "{{ strftime_now('%Y') }}", RB_ERR_ARGUMENT,
          LINE1 "the template asks for the date: give one" },
        { "{{ messages|trim(1) }}", RB_ERR_FORMAT, LINE1 "trim of" },
        { "{{ messages[0]|items|last }}", RB_ERR_FORMAT, LINE1 "an iterator has no last item" },
        { "{{ 'a'|dictsort }}", RB_ERR_FORMAT, LINE1 "dictsort of a string" },
        { "{{ x|int }}", RB_ERR_FORMAT, LINE1 "an undefined value is no number" },
        { "{{ messages|select(1)|list }}", RB_ERR_FORMAT, LINE1 "an integer is no name of a test" },
        { "{{ messages|map|list }}", RB_ERR_FORMAT, LINE1 "map wants a filter or an attribute" },
        { "{{ 1 < 'a' }}", RB_ERR_FORMAT, LINE1 "an integer and a string have no order" },
        { "{{ 'a' is odd }}", RB_ERR_FORMAT, LINE1 "what may be odd is a string" },
        { "{{ x[0] }}", RB_ERR_FORMAT, LINE1 "an undefined value has no elements" },
        { "{{ messages[0][:2] }}", RB_ERR_FORMAT, LINE1 "a dict cannot be sliced" },
        { "a \xff", RB_ERR_FORMAT, "the chat template is not UTF-8" },
        { "\xc0\xaf", RB_ERR_FORMAT, "the chat template is not UTF-8" },
        { "\xed\xa0\x80", RB_ERR_FORMAT, "the chat template is not UTF-8" },
        { "\xe2\x82", RB_ERR_FORMAT, "the chat template is not UTF-8" },
    };
    check_refusals(all, sizeof all / sizeof *all);
}

Test(chat, refuses_bad_arguments)
{
    static const rb_chat_message bad[] = {
        { "user", NULL }, { NULL, "x" }, { "user", "\x80" }, { "\xff", "x" }
    };
    char *text;
    rb_error err;
    for (int i = 0; i < 4; i++) {
        const rb_chat x = { bad + i, 1, "", "", true, { 0 } };
        const rb_status want = i < 2 ? RB_ERR_ARGUMENT : RB_ERR_FORMAT;
        cr_expect_eq(rb_chat_apply("x", &x, &text, &err), want, "%s", err.text);
        cr_expect_null(text);
    }
    rb_chat x = { talk, 4, "\xff", "", true, { 0 } };
    cr_expect_eq(rb_chat_apply("x", &x, &text, &err), RB_ERR_FORMAT);
    x = (rb_chat){ talk, -1, "", "", true, { 0 } };
    cr_expect_eq(rb_chat_apply("x", &x, &text, &err), RB_ERR_ARGUMENT);
    x = (rb_chat){ talk, 4, NULL, "", true, { 0 } };
    cr_expect_eq(rb_chat_apply("x", &x, &text, &err), RB_ERR_ARGUMENT);
    x = (rb_chat){ talk, 4, "", "", true, { 2024, 13, 1 } };
    cr_expect_eq(rb_chat_apply("x", &x, &text, NULL), RB_ERR_ARGUMENT);
    x = (rb_chat){ NULL, 0, "", "", true, { 0 } };
    cr_expect_eq(rb_chat_apply("x{{ messages|length }}", &x, &text, &err), RB_OK);
    cr_expect_str_eq(text, "x0");
    free(text);
}

/* Of values that templates seldom compare or count. */
Test(chat, compares_values_of_all_kinds)
{
    static const char *const cases[][2] = {
        { "{{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 2 is le 1 }} {{ 2 is ge 2 }}",
          "True True False True" },
        { "{{ messages is sequence }} {{ (messages[0]|items) is sequence }}", "True False" },
        { "{{ messages[0]|length }}{% if messages[0] %}d{% endif %}", "2d" },
        { "{{ none|int(7) }} {{ x|items|list|length }}", "7 0" },
        { "{% set n = namespace() %}{% set m = n %}{{ n == m }} {{ n == namespace() }}",
          "True False" },
        { "{% macro f() %}{% endmacro %}{{ f == f }} {{ range == range }}", "True True" },
        { "{% for a in [1] %}{{ loop == loop }}{% if loop %}l{% endif %}{% endfor %}", "Truel" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rb_status status;
        rb_error err;
        char *text = apply(cases[i][0], &status, &err);
        cr_expect_eq(status, RB_OK, "%s: %s", cases[i][0], err.text);
        cr_expect(text && !strcmp(text, cases[i][1]), "%s: '%s'", cases[i][0], text ? text : "");
        free(text);
    }
}

/* What a branch that is not taken has is no matter, as long as it can be read. */
Test(chat, runs_past_what_it_lacks)
{
    static const char *const source =
        "{% if tools %}{{ x|foo(1.5, k=2 ** 3 / 4)|bar is baz }}{{ a.b.append(1) }}{% endif %}ok";
    rb_status status;
    rb_error err;
    char *text = apply(source, &status, &err);
    cr_assert_eq(status, RB_OK, "%s", err.text);
    cr_expect_str_eq(text, "ok");
    free(text);
}

/* Names of attributes have no blanks: neither one nor two names with one between are found. */
Test(chat, blanks_name_no_attribute)
{
    rb_status status;
    rb_error err;
    char *text = apply("{{ messages | selectattr(' ') | list | length }}"
                       "{{ messages | selectattr('clear copy') | list | length }}",
                       &status, &err);
    cr_assert_eq(status, RB_OK, "%s", err.text);
    cr_expect_str_eq(text, "00");
    free(text);
}

/* ---- bounds ---- */

/* begin, n times open, middle, n times close, end */
static char *repeated(const char *begin, const char *open, const char *middle, const char *close,
                      const char *end, size_t n)
{
    blob b = { 0 };
    blob_put(&b, begin, strlen(begin));
    for (size_t i = 0; i < n; i++)
        blob_put(&b, open, strlen(open));
    blob_put(&b, middle, strlen(middle));
    for (size_t i = 0; i < n; i++)
        blob_put(&b, close, strlen(close));
    blob_put(&b, end, strlen(end) + 1);
    return (char *)b.data;
}

/* It fails, for the reason given, within a second (builds with sanitizers, or without optimisation,
 * get more). */
static void check_bound(char *source, const char *reason)
{
#if defined __SANITIZE_ADDRESS__ || !defined __OPTIMIZE__
    const double most = 30;
#else
    const double most = 1;
#endif
    rb_status status;
    rb_error err;
    const clock_t start = clock();
    char *text = apply(source, &status, &err);
    const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    cr_expect_eq(status, RB_ERR_FORMAT, "%.80s: %s", source, text ? "it runs" : err.text);
    cr_expect(strstr(err.text, reason), "%.80s: %s", source, err.text);
    cr_expect_lt(seconds, most, "%.80s: %g s", source, seconds);
    free(text);
    free(source);
}

Test(chat, bounds_of_nesting)
{
    static const char *const deep[][5] = {
        { "{{ ", "(", "1", ")", " }}" },
        { "{{ ", "[", "", "]", " }}" },
        { "{{ ", "{'a':", "1", "}", " }}" },
        { "{{ ", "not ", "1", "", " }}" },
        { "{{ ", "-", "1", "", " }}" },
        { "{{ ", "a[", "1", "]", " }}" },
        { "{{ ", "a[1:", "1", "]", " }}" },
        { "{{ ", "f(", "1", ")", " }}" },
        { "{{ ", "f(a=", "1", ")", " }}" },
        { "{{ ", "a|f(", "1", ")", " }}" },
        { "{{ ", "a is b(", "1", ")", " }}" },
        { "{{ ", "a is b [", "1", "]", " }}" },
        { "{{ ", "1 if a else ", "c", "", " }}" },
        { "{% set ", "(", "a", ")", " = 1 %}" },
        { "{% set a", "|f(1", "", ")", " %}{% endset %}" },
        { "{% macro f(a=", "(", "1", ")", ") %}{% endmacro %}" },
        { "", "{% if a %}", "", "{% endif %}", "" },
        { "", "{% for a in b %}", "", "{% endfor %}", "" },
        { "", "{% macro a() %}", "", "{% endmacro %}", "" },
        { "", "{% set a %}", "", "{% endset %}", "" },
        { "", "{% filter trim %}", "", "{% endfilter %}", "" },
        { "", "{% generation %}", "", "{% endgeneration %}", "" },
    };
    static const char *const chain[][3] = {
        { "{{ 1", " + 1", " }}" },        { "{{ 'a'", "|trim", " }}" },
        { "{{ messages", "[0:]", " }}" }, { "{{ 'a'", ".strip()", " }}" },
        { "{{ 1", " or 0", " }}" },
    };
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++)
        check_bound(repeated(deep[i][0], deep[i][1], deep[i][2], deep[i][3], deep[i][4], 20000),
                    "nested deeper than 100");
    for (size_t i = 0; i < sizeof chain / sizeof *chain; i++)
        check_bound(repeated(chain[i][0], chain[i][1], chain[i][2], "", "", 60000),
                    "nested deeper than 400");
}

#define GROWING(body)                                                                              \
    "{% set n = namespace(a='aaaaaaaa', b=[]) %}{% for x in range(99999) %}" body "{% endfor %}"

Test(chat, bounds_of_work_and_memory)
{
    static const char *const all[][2] = {
        { "{% set r = range(99999) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
          "does not end within" },
        { "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested deeper" },
        { "{% macro f(n) %}{{ f(n + 1) ~ f(n) }}{% endmacro %}{{ f(0) }}", "nested deeper" },
        { GROWING("{% set n.a = n.a ~ n.a %}"), "the text grows" },
        { GROWING("{% set n.a = n.a + 'b' %}"), "memory" },
        { GROWING("{% set n.b = n.b + [n.b] %}"), "" },
        { GROWING("{% set n.b = n.b + n.b + [1] %}"), "memory" },
        { GROWING("{% set n.b = [n.b] %}") "{{ n.b == [n.b] }}{{ n.b|tojson }}", "nested deeper" },
        { GROWING("{% set n.b = {'a': n.b, 'b': n.b} %}") "{{ n.b|tojson }}", "nested deeper" },
        { "{{ 'aaaa' * 9223372036854775807 }}", "the text grows" },
        { "{% for x in range(99999) %}{{ 'a' * 1000 }}{% endfor %}", "the text grows" },
        { "{% set a = 'a' * 999999 %}{{ a|replace('a', 'b' * 99) }}", "the text grows" },
        { "{% set a = 'a' * 9999999 %}{{ a|list|join('bbbb') }}", "" },
        { "{% set a = 'a' * 9999999 %}{% for x in range(999) %}{{ a.split('a')|length }}{% endfor "
          "%}",
          "" },
        { "{% set a = 'a' * 999999 %}{% for x in range(9999) %}{{ (a ~ x)|trim('a')|length }}"
          "{% endfor %}",
          "" },
        { "{% set a = ' ' * 999999 %}{% for x in range(9999) %}{{ a|trim }}{% endfor %}",
          "does not end" },
        { "{% set a = 'é' * 999999 %}{% for x in range(9999) %}{{ a[-1] }}{% endfor %}",
          "does not end" },
        { "{% set a = 'é' * 999999 %}{% for x in range(9999) %}{{ a|length }}{% endfor %}",
          "does not end" },
        { "{% set a = 'a' * 999999 %}{% for x in range(9999) %}{{ ('a' * 200 ~ 'b') in a }}"
          "{% endfor %}",
          "does not end" },
        { "{% set a = 'a' * 999999 %}{% for x in range(9999) %}{{ a|tojson|length }}{% endfor %}",
          "" },
        { "{% set a = 'a' * 999999 %}{% for x in range(9999) %}{{ a|upper|length }}{% endfor %}",
          "" },
        { "{% set a = 'a' * 999999 %}{% set b = 'a' * 999999 %}{% for x in range(9999) %}"
          "{{ a == b }}{% endfor %}",
          "does not end" },
        { "{% set a = range(99999)|list %}{% for x in range(9999) %}{{ 100000 in a }}{% endfor %}",
          "does not end" },
        { "{% set a = range(99999) %}{% for x in a %}{% if loop.last in a[::-1] %}{% endif %}"
          "{% endfor %}",
          "" },
        { "{{ range(900000000000000000) }}", "a range of" },
        { "{{ range(-1000000000000000000, 1000000000000000000)|length }}", "a range of" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_bound(repeated(all[i][0], "", "", "", "", 0), all[i][1]);
}

/* As many names and keys as a template can hold. */
Test(chat, bounds_of_names)
{
    blob set = { 0 }, dict = { 0 };
    char one[64];
    blob_put(&dict, "{% set d = {", 12);
    for (int i = 0; i < 45000; i++) {
        blob_put(&set, one, (size_t)snprintf(one, sizeof one, "{%% set a%d=1 %%}", i));
        blob_put(&dict, one, (size_t)snprintf(one, sizeof one, "'k%d':1,", i));
    }
    blob_put(&set, "", 1);
    blob_put(&dict, "} %}", 5);
    check_bound(repeated((const char *)set.data, "", "", "", "", 0), "does not end within");
    check_bound(repeated((const char *)dict.data, "", "", "", "", 0), "does not end within");
    check_bound(repeated("", "a", "", "", "", JINJA_MAX_TEMPLATE + 1),
                "a chat template of 1048577 bytes");
    blob_free(&set);
    blob_free(&dict);
}

/* Which repeats are made by doubling must not show. */
Test(chat, repeats_text_as_often_as_asked)
{
    for (int n = -1; n < 40; n++) {
        char source[64];
        rb_status status;
        rb_error err;
        snprintf(source, sizeof source, "{{ '\xc3\xa9,' * (%d) }}", n);
        char *text = apply(source, &status, &err);
        char *wanted = repeated("", "\xc3\xa9,", "", "", "", n > 0 ? (size_t)n : 0);
        cr_assert(text && !strcmp(text, wanted), "%s gives %s", source, text);
        free(wanted);
        free(text);
    }
}

/* What real conversations need is far within the bounds. */
Test(chat, long_conversations_render)
{
    enum { N = 2000 };
    static rb_chat_message many[N];
    char *words = repeated("", "word ", "", "", "", 1000), *text;
    for (int i = 0; i < N; i++)
        many[i] = (rb_chat_message){ i % 2 ? "assistant" : "user", words };
    const rb_chat x = { many, N, "<s>", "</s>", true, { 0 } };
    rb_error err;
    cr_assert_eq(rb_chat_apply("{% for m in messages %}{% if m.role == 'user' %}"
                               "{{ '[' + m['content'] | trim + ']' }}{% else %}"
                               "{{ m.content.strip() + eos_token }}{% endif %}{% endfor %}",
                               &x, &text, &err),
                 RB_OK, "%s", err.text);
    cr_expect_eq(strlen(text), (size_t)N / 2 * (2 * 4999 + 2 + 4));
    free(text);
    free(words);
}
