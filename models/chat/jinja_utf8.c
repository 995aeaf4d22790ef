/* Text by code points: Jinja counts, slices and strips them, not bytes. Everything that comes in is
 * checked to be UTF-8 once (chat.c), so that the rest may trust lead bytes.
 * Refuses surrogates and overlong forms. Read next: jinja_text.c. */
#include "jinja.h"

size_t rb_jinja_utf8_next(const char *p)
{
    const uint8_t c = (uint8_t)*p;
    return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

uint32_t rb_jinja_utf8_get(const char *p)
{
    static const uint8_t lead[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    const size_t n = rb_jinja_utf8_next(p);
    uint32_t code = (uint8_t)*p & lead[n];
    for (size_t i = 1; i < n; i++)
        code = code << 6 | ((uint8_t)p[i] & 0x3f);
    return code;
}

size_t rb_jinja_utf8_make(uint32_t code, char *out)
{
    static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    const size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(lead[n] | code);
    return n;
}

bool rb_jinja_utf8_valid(const char *text, size_t n)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    for (size_t i = 0, size; i < n; i += size) {
        const uint8_t c = (uint8_t)text[i];
        size = rb_jinja_utf8_next(text + i);
        if ((c >= 0x80 && c < 0xc0) || c >= 0xf8 || size > n - i)
            return false;
        for (size_t k = 1; k < size; k++)
            if (((uint8_t)text[i + k] & 0xc0) != 0x80)
                return false;
        const uint32_t code = rb_jinja_utf8_get(text + i);
        if (code < least[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return false;
    }
    return true;
}

size_t rb_jinja_utf8_count(jinja_string s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((uint8_t)s.text[i] & 0xc0) != 0x80;
    return n;
}

jinja_string rb_jinja_utf8_part(jinja_string s, size_t first, size_t n)
{
    const char *p = s.text, *end = s.text + s.n;
    while (p < end && first-- > 0)
        p += rb_jinja_utf8_next(p);
    const char *q = p;
    while (q < end && n-- > 0)
        q += rb_jinja_utf8_next(q);
    return (jinja_string){ p, (size_t)(q - p) };
}

/* White space as Python has it: Unicode's, and four separators of ASCII. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

size_t rb_jinja_space_at(const char *p, const char *end)
{
    return p < end && is_space(rb_jinja_utf8_get(p)) ? rb_jinja_utf8_next(p) : 0;
}

/* The code point that ends at p, which is not begin. */
static const char *previous(const char *begin, const char *p)
{
    do
        p--;
    while (p > begin && ((uint8_t)*p & 0xc0) == 0x80);
    return p;
}

size_t rb_jinja_space_before(const char *begin, const char *p)
{
    if (p == begin)
        return 0;
    const char *q = previous(begin, p);
    return is_space(rb_jinja_utf8_get(q)) ? (size_t)(p - q) : 0;
}

static bool in_set(jinja *j, const char *p, const jinja_string *set)
{
    if (!set)
        return is_space(rb_jinja_utf8_get(p));
    return rb_jinja_find(j, *set, set->text, (jinja_string){ p, rb_jinja_utf8_next(p) }) != NULL;
}

jinja_string rb_jinja_strip(jinja *j, jinja_string s, const jinja_string *set, jinja_side side)
{
    const char *p = s.text, *end = s.text + s.n;
    rb_jinja_work(j, JINJA_ITEM_WORK * s.n);
    while ((side & JINJA_LEFT) && p < end && in_set(j, p, set))
        p += rb_jinja_utf8_next(p);
    while ((side & JINJA_RIGHT) && p < end && in_set(j, previous(p, end), set))
        end = previous(p, end);
    return (jinja_string){ p, (size_t)(end - p) };
}

const char *rb_jinja_find(jinja *j, jinja_string in, const char *from, jinja_string what)
{
    const char *end = in.text + in.n;
    if (what.n == 0)
        return from;
    for (const char *p = from, *q; (size_t)(end - p) >= what.n; p = q + 1) {
        q = memchr(p, what.text[0], (size_t)(end - p) - what.n + 1);
        rb_jinja_work(j, JINJA_ITEM_WORK + what.n + (size_t)((q ? q : end) - p));
        if (!q)
            return NULL;
        if (memcmp(q, what.text, what.n) == 0)
            return q;
    }
    return NULL;
}
