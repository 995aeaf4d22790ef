/* Cutting a text into pieces by the tables of split_rules.c, in time linear in its length.
 * Behaves as leftmost matching with ordered alternatives and greedy repetition would; never backs
 * up over more than one character. Read next: split_rules.c. */
#include "split_rules.h"

static bool is_in(const rb_chars *c, size_t i, rb_char_set set)
{
    return (c->kind[i] & set.any) && !(c->kind[i] & set.none);
}

/* Characters of a set from pos on, most at most. */
static size_t run(const rb_chars *c, size_t pos, size_t end, rb_char_set set, size_t most)
{
    size_t n = 0;
    while (pos + n < end && n < most && is_in(c, pos + n, set))
        n++;
    return n;
}

/* ---- alternatives: each returns the length of its match at pos, 0 for none ---- */

static size_t match_run(const rb_alternative *a, const rb_chars *c, size_t pos, size_t end)
{
    size_t lead = 0;
    if (a->lead.any && is_in(c, pos, a->lead))
        lead = a->lead_needed || (pos + 1 < end && is_in(c, pos + 1, a->body));
    if (a->lead_needed && !lead)
        return 0;
    const size_t n = run(c, pos + lead, end, a->body, a->most ? a->most : SIZE_MAX);
    if (n == 0 || n < a->least)
        return 0;
    return lead + n + run(c, pos + lead + n, end, a->tail, SIZE_MAX);
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static size_t match_contraction(const rb_alternative *a, const rb_chars *c, size_t pos, size_t end)
{
    const char *s = c->text + c->at[pos];
    const size_t left = end - pos; /* as many bytes at least */
    const bool fold = a->match != RB_MATCH_CONTRACTION;
    if (*s != '\'' || left < 2)
        return 0;
    if (a->match == RB_MATCH_CONTRACTION_FOLDED && s[1] == '\xC5' && s[2] == '\xBF')
        return 2;
    const char first = fold ? lower(s[1]) : s[1];
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return 2;
    if (left < 3)
        return 0;
    const char second = fold ? lower(s[2]) : s[2];
    return ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l') ? 3
                                                                                                : 0;
}

static const rb_char_set space = { RB_CHAR_SPACE, 0 };

static size_t match_newlines(const rb_chars *c, size_t pos, size_t end)
{
    size_t n = run(c, pos, end, space, SIZE_MAX);
    while (n > 0 && !(c->kind[pos + n - 1] & RB_CHAR_NEWLINE))
        n--;
    return n;
}

static size_t match_spaces_but_last(const rb_chars *c, size_t pos, size_t end)
{
    const size_t n = run(c, pos, end, space, SIZE_MAX);
    return pos + n == end || n == 0 ? n : n - 1;
}

/* Only where it is asked at the right place is this linear: split_piece does. */
static size_t match_trailing(const rb_chars *c, size_t pos, size_t end)
{
    const size_t n = run(c, pos, end, space, SIZE_MAX);
    return pos + n == end ? n : 0;
}

static size_t match(const rb_split_rule *rule, const rb_chars *c, size_t pos, size_t end)
{
    size_t n = 0;
    for (const rb_alternative *a = rule->alternative; a->match && n == 0; a++) {
        switch (a->match) {
        case RB_MATCH_END:
            break;
        case RB_MATCH_RUN:
            n = match_run(a, c, pos, end);
            break;
        case RB_MATCH_CONTRACTION:
        case RB_MATCH_CONTRACTION_ANY_CASE:
        case RB_MATCH_CONTRACTION_FOLDED:
            n = match_contraction(a, c, pos, end);
            break;
        case RB_MATCH_NEWLINES:
            n = match_newlines(c, pos, end);
            break;
        case RB_MATCH_SPACES_BUT_LAST:
            n = match_spaces_but_last(c, pos, end);
            break;
        case RB_MATCH_TRAILING_SPACES:
            n = match_trailing(c, pos, end);
            break;
        }
    }
    return n;
}

/* ---- pieces ---- */

/* Where a search may begin: before that nothing matches. */
static size_t first_chance(const rb_split_rule *rule, const rb_chars *c, size_t start, size_t end)
{
    if (rule->alternative[0].match != RB_MATCH_TRAILING_SPACES)
        return start;
    while (end > start && (c->kind[end - 1] & RB_CHAR_SPACE))
        end--;
    return end;
}

static void split_piece(const rb_split_rule *rule, rb_chars *c, size_t start, size_t end)
{
    for (size_t pos = first_chance(rule, c, start, end); pos < end;) {
        const size_t n = match(rule, c, pos, end);
        if (n > 0) {
            c->kind[pos] |= RB_CHAR_FIRST;
            if (pos + n < end)
                c->kind[pos + n] |= RB_CHAR_FIRST;
        }
        pos += n > 0 ? n : 1;
    }
}

static uint32_t kinds_of(const rb_pretokenizer *p)
{
    uint32_t kinds = 0;
    for (int r = 0; r < p->n_rule; r++)
        for (const rb_alternative *a = p->rule[r]->alternative; a->match; a++)
            kinds |= a->lead.any | a->lead.none | a->body.any | a->body.none | a->tail.any;
    return kinds;
}

/* Ranges are slow to search, and texts have few characters: the last one of each low byte is kept.
 * U+0000, with which all begin, is of no such kind. */
static void add_split_kinds(rb_chars *c, uint32_t wanted)
{
    struct {
        uint32_t c, kind;
    } known[256] = { 0 };
    for (size_t i = 0; i < c->n; i++) {
        size_t at = c->at[i];
        const uint32_t ch = rb_utf8_next(c->text, c->at[c->n], &at);
        const size_t k = ch % 256;
        if (known[k].c != ch) {
            known[k].c = ch;
            known[k].kind = rb_split_kind(ch, wanted);
        }
        c->kind[i] |= known[k].kind;
    }
}

void rb_pretokenize(const rb_pretokenizer *p, rb_chars *c)
{
    const uint32_t wanted = kinds_of(p);
    if (wanted >= RB_CHAR_FREE)
        add_split_kinds(c, wanted);
    if (c->n > 0)
        c->kind[0] |= RB_CHAR_FIRST;
    for (int r = 0; r < p->n_rule; r++)
        for (size_t start = 0, end; start < c->n; start = end) {
            for (end = start + 1; end < c->n && !(c->kind[end] & RB_CHAR_FIRST);)
                end++;
            split_piece(p->rule[r], c, start, end);
        }
}
