/* Special tokens in a text: what is one of them is cut out before anything else is looked at.
 * Two orders, since llama.cpp and the package tokenizers differ where such tokens overlap. Knows no
 * merges. Read next: encode.c. */
#define _GNU_SOURCE /* memmem */
#include "tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

static void add(rb_fragments *f, size_t at, size_t n, int32_t id)
{
    if (n == 0 || f->failed)
        return;
    if (f->n == f->room) {
        const size_t room = f->room ? 2 * f->room : 16;
        void *p = realloc(f->item, room * sizeof *f->item);
        if (!p) {
            f->failed = true;
            return;
        }
        f->item = p;
        f->room = room;
    }
    f->item[f->n++] = (rb_fragment){ at, n, id };
}

/* ---- the longest first, each wherever it is left ---- */

/* Which pairs of bytes a text has: a token that has others is not in it. */
typedef struct pair_set {
    uint8_t bits[1 << 13];
} pair_set;

static unsigned pair_at(const char *s)
{
    return (unsigned)(uint8_t)s[0] << 8 | (uint8_t)s[1];
}

static void collect_pairs(pair_set *set, rb_text text)
{
    memset(set, 0, sizeof *set);
    for (size_t i = 0; i + 1 < text.n; i++) {
        const unsigned pair = pair_at(text.data + i);
        set->bits[pair >> 3] |= (uint8_t)(1u << (pair & 7));
    }
}

static bool may_be_in(const pair_set *set, rb_text text, rb_text token)
{
    if (token.n > text.n)
        return false;
    const unsigned pair = token.n > 1 ? pair_at(token.data) : 0;
    return token.n == 1 || (set->bits[pair >> 3] >> (pair & 7) & 1);
}

static bool is_ascii_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Cuts one token out of the text [at, at + n), into f. */
static void cut_out(rb_text text, size_t at, size_t n, const rb_special *s, uint8_t kind,
                    rb_fragments *f)
{
    const size_t end = at + n;
    const char *found;
    while (at < end && (found = memmem(text.data + at, end - at, s->text.data, s->text.n))) {
        const size_t match = (size_t)(found - text.data);
        size_t left = match;
        while ((kind & RB_TOKEN_LSTRIP) && left > at && is_ascii_space(text.data[left - 1]))
            left--;
        add(f, at, left - at, -1);
        add(f, match, s->text.n, s->id);
        at = match + s->text.n;
        while ((kind & RB_TOKEN_RSTRIP) && at < end && is_ascii_space(text.data[at]))
            at++;
    }
    add(f, at, end - at, -1);
}

static void split_longest_first(const rb_specials *s, const rb_vocab *v, rb_text text, bool parse,
                                rb_fragments *f)
{
    pair_set pairs;
    rb_fragments next = { 0 };
    collect_pairs(&pairs, text);
    add(f, 0, text.n, -1);
    for (size_t i = 0; i < s->n && !f->failed; i++) {
        const rb_special *special = &s->item[i];
        const uint8_t kind = v->kind[special->id];
        if ((!parse && (kind & (RB_TOKEN_CONTROL | RB_TOKEN_UNKNOWN))) ||
            !may_be_in(&pairs, text, special->text) ||
            !memmem(text.data, text.n, special->text.data, special->text.n))
            continue;
        next.n = 0;
        for (size_t k = 0; k < f->n; k++)
            if (f->item[k].id >= 0)
                add(&next, f->item[k].at, f->item[k].n, f->item[k].id);
            else
                cut_out(text, f->item[k].at, f->item[k].n, special, kind, &next);
        const rb_fragments old = *f;
        *f = next;
        next = old;
    }
    free(next.item);
}

/* ---- leftmost, then longest ---- */

/* Of the items [*first, *last), which agree in `depth` bytes: those whose next byte is c. */
static void narrow(const rb_specials *s, size_t *first, size_t *last, size_t depth, uint8_t c)
{
    for (int upper = 0; upper < 2; upper++) {
        size_t low = *first, high = *last;
        while (low < high) {
            const size_t mid = low + (high - low) / 2;
            const rb_text item = s->item[mid].text;
            const int next = depth < item.n ? (uint8_t)item.data[depth] : -1;
            if (next < c + upper)
                low = mid + 1;
            else
                high = mid;
        }
        *(upper ? last : first) = low;
    }
}

/* The longest item at the start of a text; NULL: none. */
static const rb_special *longest_at(const rb_specials *s, rb_text text)
{
    const rb_special *best = NULL;
    size_t first = 0, last = s->n;
    for (size_t depth = 0; depth < text.n && first < last; depth++) {
        narrow(s, &first, &last, depth, (uint8_t)text.data[depth]);
        if (first < last && s->item[first].text.n == depth + 1)
            best = &s->item[first];
    }
    return best;
}

static bool is_space_at(rb_text text, size_t at)
{
    return rb_char_kind(rb_utf8_next(text.data, text.n, &at)) & RB_CHAR_SPACE;
}

/* The text is valid UTF-8. */
static size_t before_spaces(rb_text text, size_t start, size_t at)
{
    while (at > start) {
        size_t before = at - 1;
        while (before > start && ((uint8_t)text.data[before] & 0xC0) == 0x80)
            before--;
        if (!is_space_at(text, before))
            break;
        at = before;
    }
    return at;
}

static size_t behind_spaces(rb_text text, size_t at)
{
    while (at < text.n && is_space_at(text, at))
        rb_utf8_next(text.data, text.n, &at);
    return at;
}

static void split_leftmost(const rb_specials *s, const rb_vocab *v, rb_text text, bool parse,
                           rb_fragments *f)
{
    size_t start = 0; /* of what is not yet in f */
    for (size_t at = 0; at < text.n && s->n > 0;) {
        const rb_special *found = longest_at(s, (rb_text){ text.data + at, text.n - at });
        if (!found) {
            at++;
            continue;
        }
        const uint8_t kind = v->kind[found->id];
        const size_t match = at;
        at += found->text.n;
        if (!parse && (kind & RB_TOKEN_CONTROL))
            continue;
        const size_t left = kind & RB_TOKEN_LSTRIP ? before_spaces(text, start, match) : match;
        add(f, start, left - start, -1);
        add(f, match, found->text.n, found->id);
        if (kind & RB_TOKEN_RSTRIP)
            at = behind_spaces(text, at);
        start = at;
    }
    add(f, start, text.n - start, -1);
}

rb_status rb_specials_split(const rb_specials *s, const rb_vocab *v, rb_text text, bool parse,
                            rb_fragments *f, rb_error *err)
{
    if (s->leftmost)
        split_leftmost(s, v, text, parse, f);
    else
        split_longest_first(s, v, text, parse, f);
    return f->failed ? rb_fail(err, RB_ERR_MEMORY, "out of memory for a text of %zu bytes", text.n)
                     : RB_OK;
}

/* ---- their order ---- */

static int by_bytes(const void *a, const void *b)
{
    const rb_special *x = a, *y = b;
    const size_t n = x->text.n < y->text.n ? x->text.n : y->text.n;
    const int order = memcmp(x->text.data, y->text.data, n);
    return order ? order : (x->text.n > y->text.n) - (x->text.n < y->text.n);
}

static int by_length(const void *a, const void *b)
{
    const rb_special *x = a, *y = b;
    if (x->text.n != y->text.n)
        return x->text.n > y->text.n ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

void rb_specials_sort(rb_specials *s)
{
    if (s->n > 0)
        qsort(s->item, s->n, sizeof *s->item, s->leftmost ? by_bytes : by_length);
}
