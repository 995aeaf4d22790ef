/* The source of a template as tokens, white space between them settled as chat templates are read
 * elsewhere: trim_blocks and lstrip_blocks, one newline at the end dropped, "-" and "+" obeyed.
 * Refuses names beyond ASCII and numbers other than decimal integers (fractions: where they are
 * run). Read next: jinja_parse.c. */
#include "jinja.h"

typedef struct lexer {
    jinja *j;
    const char *begin, *p, *end;
    jinja_token *token;
    size_t n, room;
    int brackets; /* open ones: "}}" inside of them ends nothing */
} lexer;

static void add(lexer *x, jinja_token_kind kind, const char *text, size_t n, int64_t number)
{
    x->token = rb_jinja_grow(x->j, x->token, x->n, &x->room, sizeof *x->token);
    x->token[x->n++] = (jinja_token){ kind, x->j->line, { text, n }, number };
}

/* Moves to q, counting lines. */
static void move(lexer *x, const char *q)
{
    for (; x->p < q; x->p++)
        x->j->line += *x->p == '\n';
}

static bool starts(const lexer *x, const char *text)
{
    const size_t n = strlen(text);
    return (size_t)(x->end - x->p) >= n && memcmp(x->p, text, n) == 0;
}

static void skip_space(lexer *x)
{
    size_t n;
    while ((n = rb_jinja_space_at(x->p, x->end)) > 0)
        move(x, x->p + n);
}

/* Where the text before a tag ends: sign '-' eats all white space, '+' none, and else the indent of
 * a block or comment that is the first thing of its line. */
static const char *text_end(const lexer *x, const char *tag, char kind, char sign)
{
    const char *q = tag;
    size_t n;
    if (sign == '-')
        while ((n = rb_jinja_space_before(x->p, q)) > 0)
            q -= n;
    if (sign == '-' || sign == '+' || kind == '{')
        return q;
    while (q > x->p && q[-1] != '\n' && (n = rb_jinja_space_before(x->p, q)) > 0)
        q -= n;
    return q == x->begin || q[-1] == '\n' ? q : tag;
}

/* After the end of a block or comment: '-' eats white space, '+' none, and else one newline. */
static void trim(lexer *x, char sign)
{
    if (sign == '-')
        skip_space(x);
    else if (sign != '+' && starts(x, "\n"))
        move(x, x->p + 1);
}

static void comment(lexer *x)
{
    const char *begin = x->p;
    while (x->p < x->end && !starts(x, "#}"))
        move(x, x->p + 1);
    if (x->p == x->end)
        rb_jinja_fail(x->j, RB_ERR_FORMAT, "a comment has no end");
    const char sign = x->p > begin ? x->p[-1] : 0;
    x->p += 2;
    trim(x, sign);
}

/* ---- what stands inside of tags ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int hex_digit(char c)
{
    return is_digit(c)            ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : 99;
}

/* Digits of a number in an escape: exactly n of base 16, or up to n of base 8. */
static uint32_t code_of(jinja *j, const char **p, const char *end, size_t n, int base)
{
    uint32_t code = 0;
    size_t i = 0;
    for (; i < n && *p < end && hex_digit(**p) < base; i++)
        code = code * (uint32_t)base + (uint32_t)hex_digit(*(*p)++);
    if (base == 16 && i < n)
        rb_jinja_fail(j, RB_ERR_FORMAT, "an escape of %zu digits has %zu", n, i);
    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "the character U+%04X is not supported", code);
    return code;
}

/* One escape after its backslash, as Python reads it; an unknown one stays as it is. */
static size_t escape(jinja *j, const char **p, const char *end, char *out)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char c = *(*p)++;
    const char *at = strchr(from, c);
    if (c == '\n')
        return 0;
    if (at) {
        *out = to[at - from];
        return 1;
    }
    if (c >= '0' && c <= '7') {
        --*p;
        return rb_jinja_utf8_make(code_of(j, p, end, 3, 8), out);
    }
    if (c == 'x' || c == 'u' || c == 'U')
        return rb_jinja_utf8_make(code_of(j, p, end, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16), out);
    if (c == 'N')
        rb_jinja_refuse(j, "the escape", jinja_name("\\N"));
    out[0] = '\\';
    out[1] = c;
    return 2;
}

static void string(lexer *x)
{
    const char quote = *x->p, *begin = x->p + 1, *p = begin, *end = begin;
    while (end < x->end && *end != quote)
        end += *end == '\\' ? 2 : 1;
    if (end >= x->end)
        rb_jinja_fail(x->j, RB_ERR_FORMAT, "a string has no end");
    char *out = rb_jinja_alloc(x->j, (size_t)(end - begin) + 4);
    size_t n = 0;
    while (p < end)
        if (*p != '\\')
            out[n++] = *p++;
        else {
            p++;
            n += escape(x->j, &p, end, out + n);
        }
    add(x, JINJA_T_STRING, out, n, 0);
    move(x, end + 1);
}

static void number(lexer *x)
{
    const char *begin = x->p;
    int64_t value = 0;
    const bool member = begin[-1] == '.'; /* a.0.1: no fraction */
    if (*begin == '0' && x->end - begin > 1 && strchr("0123456789_bBoOxX", begin[1]))
        rb_jinja_fail(x->j, RB_ERR_UNSUPPORTED, "numbers other than decimal are not supported");
    for (; x->p < x->end && (is_digit(*x->p) || *x->p == '_'); x->p++)
        if (*x->p != '_' && (__builtin_mul_overflow(value, 10, &value) ||
                             __builtin_add_overflow(value, *x->p - '0', &value)))
            rb_jinja_fail(x->j, RB_ERR_UNSUPPORTED, "an integer of more than 63 bits");
    const char *q = x->p;
    if (!member && x->end - q > 1 && ((*q == '.' && is_digit(q[1])) || *q == 'e' || *q == 'E')) {
        for (x->p++; x->p < x->end && (is_digit(*x->p) || is_letter(*x->p)); x->p++)
            continue;
        add(x, JINJA_T_FLOAT, begin, (size_t)(x->p - begin), 0);
        return;
    }
    add(x, JINJA_T_INT, begin, (size_t)(x->p - begin), value);
}

static void operator_(lexer *x)
{
    static const char *const all[] = { "//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                       "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                       ">",  "<",  "=",  ".",  ":",  "|",  "," };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (starts(x, all[i])) {
            const char c = *all[i];
            x->brackets += (c == '(' || c == '[' || c == '{') - (c == ')' || c == ']' || c == '}');
            if (x->brackets < 0)
                rb_jinja_fail(x->j, RB_ERR_FORMAT, "unexpected '%c'", c);
            add(x, JINJA_T_OPERATOR, x->p, strlen(all[i]), 0);
            x->p += strlen(all[i]);
            return;
        }
    if ((uint8_t)*x->p >= 0x80)
        rb_jinja_fail(x->j, RB_ERR_UNSUPPORTED, "names of other than ASCII are not supported");
    rb_jinja_fail(x->j, RB_ERR_FORMAT, "unexpected character '%c'", *x->p);
}

/* The end of the tag if it stands here: its length, and its sign. */
static size_t tag_end(const lexer *x, bool block, char *sign)
{
    const char *end = block ? "%}" : "}}";
    *sign = x->p[0];
    if (x->brackets > 0)
        return 0;
    if (starts(x, end))
        return 2;
    return x->end - x->p > 2 && (*sign == '-' || (*sign == '+' && block)) &&
                   memcmp(x->p + 1, end, 2) == 0
               ? 3
               : 0;
}

static void inside(lexer *x, bool block)
{
    char sign;
    size_t n;
    x->brackets = 0;
    for (skip_space(x); x->p < x->end; skip_space(x)) {
        if ((n = tag_end(x, block, &sign)) > 0) {
            add(x, block ? JINJA_T_BLOCK_END : JINJA_T_OUTPUT_END, x->p, n, 0);
            x->p += n;
            trim(x, block || sign == '-' ? sign : '+');
            return;
        }
        const char *begin = x->p;
        if (*begin == '\'' || *begin == '"') {
            string(x);
        } else if (is_digit(*begin)) {
            number(x);
        } else if (is_letter(*begin)) {
            while (x->p < x->end && (is_letter(*x->p) || is_digit(*x->p)))
                x->p++;
            add(x, JINJA_T_NAME, begin, (size_t)(x->p - begin), 0);
        } else {
            operator_(x);
        }
    }
    rb_jinja_fail(x->j, RB_ERR_FORMAT, "the template ends within a tag");
}

/* Text up to the next tag, then that tag. */
static void outside(lexer *x)
{
    const char *tag = x->p;
    while (tag < x->end && !(x->end - tag > 1 && tag[0] == '{' && strchr("{%#", tag[1])))
        tag++;
    if (tag == x->end) {
        add(x, JINJA_T_TEXT, x->p, (size_t)(tag - x->p), 0);
        x->p = tag;
        return;
    }
    const char kind = tag[1], sign = x->end - tag > 2 ? tag[2] : 0;
    const char *end = text_end(x, tag, kind, sign);
    if (end > x->p)
        add(x, JINJA_T_TEXT, x->p, (size_t)(end - x->p), 0);
    move(x, tag + 2 + (sign == '-' || sign == '+'));
    if (kind == '#') {
        comment(x);
        return;
    }
    add(x, kind == '%' ? JINJA_T_BLOCK : JINJA_T_OUTPUT, tag, 2, 0);
    inside(x, kind == '%');
}

/* The source with every line ended by "\n", the last newline dropped. */
static void normalise(lexer *x, const char *source, size_t n)
{
    char *out = rb_jinja_alloc(x->j, n + 1);
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        if (source[i] != '\r')
            out[used++] = source[i];
        else if (source[i + 1] != '\n')
            out[used++] = '\n';
    if (used > 0 && out[used - 1] == '\n')
        used--;
    x->begin = x->p = out;
    x->end = out + used;
}

const jinja_token *rb_jinja_lex(jinja *j, const char *source)
{
    lexer x = { .j = j };
    j->line = 1;
    normalise(&x, source, strlen(source));
    while (x.p < x.end)
        outside(&x);
    add(&x, JINJA_T_END, x.end, 0, 0);
    return x.token;
}
