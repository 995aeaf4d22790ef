/* UTF-8 and kinds of characters.
 * Decodes as llama.cpp does, so that broken text gives the same tokens; the tables are utf8proc's,
 * and their version of Unicode is the library's. Read next: pretokenize.c. */
#include "unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { REPLACEMENT = 0xFFFD, LAST = 0x10FFFF };

/* ---- UTF-8 ---- */

uint32_t rb_utf8_next(const char *s, size_t n, size_t *at)
{
    static const uint8_t lead_bits[] = { 0, 0, 0x1F, 0x0F, 0x07 };
    const uint8_t *p = (const uint8_t *)s + *at;
    const size_t left = n - *at;
    const size_t length = *p < 0x80   ? 1
                          : *p < 0xC0 ? 0
                          : *p < 0xE0 ? 2
                          : *p < 0xF0 ? 3
                          : *p < 0xF8 ? 4
                                      : 0;
    ++*at;
    if (length == 1)
        return *p;
    if (length == 0 || length > left)
        return REPLACEMENT;
    uint32_t c = *p & lead_bits[length];
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return REPLACEMENT;
        c = c << 6 | (p[i] & 0x3F);
    }
    if (c > LAST)
        return REPLACEMENT;
    *at += length - 1;
    return c;
}

size_t rb_utf8_put(char *dst, uint32_t c)
{
    if (c < 0x80) {
        dst[0] = (char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        dst[i] = (char)(0x80 | (c & 0x3F));
    dst[0] = (char)(0xF00 >> n | c);
    return n;
}

/* Characters of a text, and the bytes that they have as valid UTF-8. */
static size_t count(const char *text, size_t n, size_t *n_bytes)
{
    char buf[RB_UTF8_MAX];
    size_t n_char = 0;
    *n_bytes = 0;
    for (size_t at = 0; at < n; n_char++)
        *n_bytes += rb_utf8_put(buf, rb_utf8_next(text, n, &at));
    return n_char;
}

rb_status rb_utf8_repair(const char *text, size_t n, char **out, size_t *n_out, rb_error *err)
{
    char *p;
    count(text, n, n_out);
    *out = p = malloc(*n_out + 1);
    if (!p)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory for a text of %zu bytes", n);
    for (size_t at = 0; at < n;)
        p += rb_utf8_put(p, rb_utf8_next(text, n, &at));
    *p = 0;
    return RB_OK;
}

/* ---- kinds ---- */

uint32_t rb_char_kind(uint32_t c)
{
    static const uint32_t of_category[UTF8PROC_CATEGORY_CO + 1] = {
        [UTF8PROC_CATEGORY_LU] = RB_CHAR_LETTER, [UTF8PROC_CATEGORY_LL] = RB_CHAR_LETTER,
        [UTF8PROC_CATEGORY_LT] = RB_CHAR_LETTER, [UTF8PROC_CATEGORY_LM] = RB_CHAR_LETTER,
        [UTF8PROC_CATEGORY_LO] = RB_CHAR_LETTER, [UTF8PROC_CATEGORY_MN] = RB_CHAR_MARK,
        [UTF8PROC_CATEGORY_MC] = RB_CHAR_MARK,   [UTF8PROC_CATEGORY_ME] = RB_CHAR_MARK,
        [UTF8PROC_CATEGORY_ND] = RB_CHAR_NUMBER, [UTF8PROC_CATEGORY_NL] = RB_CHAR_NUMBER,
        [UTF8PROC_CATEGORY_NO] = RB_CHAR_NUMBER, [UTF8PROC_CATEGORY_PC] = RB_CHAR_PUNCT,
        [UTF8PROC_CATEGORY_PD] = RB_CHAR_PUNCT,  [UTF8PROC_CATEGORY_PS] = RB_CHAR_PUNCT,
        [UTF8PROC_CATEGORY_PE] = RB_CHAR_PUNCT,  [UTF8PROC_CATEGORY_PI] = RB_CHAR_PUNCT,
        [UTF8PROC_CATEGORY_PF] = RB_CHAR_PUNCT,  [UTF8PROC_CATEGORY_PO] = RB_CHAR_PUNCT,
        [UTF8PROC_CATEGORY_SM] = RB_CHAR_SYMBOL, [UTF8PROC_CATEGORY_SC] = RB_CHAR_SYMBOL,
        [UTF8PROC_CATEGORY_SK] = RB_CHAR_SYMBOL, [UTF8PROC_CATEGORY_SO] = RB_CHAR_SYMBOL,
        [UTF8PROC_CATEGORY_ZS] = RB_CHAR_SPACE,  [UTF8PROC_CATEGORY_ZL] = RB_CHAR_SPACE,
        [UTF8PROC_CATEGORY_ZP] = RB_CHAR_SPACE,
    };
    const uint32_t kind = of_category[utf8proc_category((utf8proc_int32_t)c)] | RB_CHAR_ANY;
    if (c == ' ')
        return kind | RB_CHAR_BLANK;
    if (c == '\r' || c == '\n')
        return kind | RB_CHAR_SPACE | RB_CHAR_NEWLINE;
    if ((c >= '\t' && c <= '\f') || c == 0x85) /* the white space among controls */
        return kind | RB_CHAR_SPACE;
    return kind;
}

rb_status rb_chars_make(rb_chars *c, const char *text, size_t n_bytes, rb_error *err)
{
    size_t valid;
    *c = (rb_chars){ .n = count(text, n_bytes, &valid) };
    c->text = malloc(valid + 1);
    c->at = malloc((c->n + 1) * sizeof *c->at);
    c->kind = malloc((c->n + 1) * sizeof *c->kind);
    if (!c->text || !c->at || !c->kind) {
        rb_chars_free(c);
        return rb_fail(err, RB_ERR_MEMORY, "out of memory for a text of %zu bytes", n_bytes);
    }
    size_t from = 0, to = 0;
    for (size_t i = 0; i < c->n; i++) {
        const uint32_t ch = rb_utf8_next(text, n_bytes, &from);
        c->at[i] = to;
        c->kind[i] = rb_char_kind(ch);
        to += rb_utf8_put(c->text + to, ch);
    }
    c->at[c->n] = to;
    c->kind[c->n] = 0;
    return RB_OK;
}

void rb_chars_free(rb_chars *c)
{
    free(c->text);
    free(c->at);
    free(c->kind);
    *c = (rb_chars){ 0 };
}

/* ---- normalization ---- */

/* Canonical order of combining marks in time n log n, whatever their order was: utf8proc's own
 * takes the square of the length of a run. */
typedef struct mark {
    uint32_t class;
    uint32_t c;
    size_t at;
} mark;

static int by_class(const void *a, const void *b)
{
    const mark *x = a, *y = b;
    if (x->class != y->class)
        return x->class < y->class ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static bool order_marks(utf8proc_int32_t *c, size_t n)
{
    mark *run = malloc((n + 1) * sizeof *run);
    if (!run)
        return false;
    for (size_t i = 0; i < n;) {
        size_t length = 0;
        for (; i + length < n; length++) {
            const utf8proc_property_t *p = utf8proc_get_property(c[i + length]);
            if (p->combining_class == 0)
                break;
            run[length] = (mark){ (uint32_t)p->combining_class, (uint32_t)c[i + length], length };
        }
        if (length > 1)
            qsort(run, length, sizeof *run, by_class);
        for (size_t k = 0; k < length; k++)
            c[i + k] = (utf8proc_int32_t)run[k].c;
        i += length + 1;
    }
    free(run);
    return true;
}

/* Decomposes into *out (allocated), or only counts if *out is NULL. */
static size_t decompose(const char *text, size_t n, utf8proc_int32_t *out, size_t room)
{
    size_t length = 0;
    for (size_t at = 0; at < n;) {
        int boundary = 0;
        utf8proc_int32_t none[1], *dst = out ? out + length : none;
        const size_t left = out ? room - length : 0;
        const utf8proc_int32_t c = (utf8proc_int32_t)rb_utf8_next(text, n, &at);
        const utf8proc_ssize_t got = utf8proc_decompose_char(
            c, dst, (utf8proc_ssize_t)left, UTF8PROC_COMPOSE | UTF8PROC_STABLE, &boundary);
        length += got > 0 ? (size_t)got : 0;
    }
    return length;
}

rb_status rb_utf8_compose(const char *text, size_t n, char **out, size_t *n_out, rb_error *err)
{
    const utf8proc_option_t options = UTF8PROC_COMPOSE | UTF8PROC_STABLE;
    size_t length = decompose(text, n, NULL, 0);
    utf8proc_int32_t *c = malloc((length + 1) * sizeof *c);
    char *p = malloc(length * RB_UTF8_MAX + 1);
    if (!c || !p)
        goto fail;
    decompose(text, n, c, length);
    if (!order_marks(c, length))
        goto fail;
    const utf8proc_ssize_t composed =
        utf8proc_normalize_utf32(c, (utf8proc_ssize_t)length, options);
    *out = p;
    for (utf8proc_ssize_t i = 0; i < composed; i++)
        p += rb_utf8_put(p, (uint32_t)c[i]);
    *p = 0;
    *n_out = (size_t)(p - *out);
    free(c);
    return RB_OK;
fail:
    free(c);
    free(p);
    return rb_fail(err, RB_ERR_MEMORY, "out of memory for a text of %zu bytes", n);
}
