/* Text between special tokens to ids: words to symbols, symbols merged, symbols to ids.
 * Byte-level BPE (merges by rank, bytes spelt as GPT-2's characters) and SentencePiece BPE (by
 * scores, or by rank over characters); a word may be of any length. Read next: merge.c,
 * pretokenize.c. */
#define _GNU_SOURCE /* memmem, mempcpy */
#include "tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

static const char blank[] = "\xE2\x96\x81"; /* U+2581, which SentencePiece has for a blank */
enum { BLANK_BYTES = sizeof blank - 1 };

/* Printable bytes of Latin-1 are themselves, the others follow from U+0100 on. */
uint32_t rb_byte_char(uint8_t byte)
{
    if (byte <= 0x20)
        return 0x100u + byte;
    if (byte < 0x7F)
        return byte;
    if (byte <= 0xA0)
        return 0x121u + (byte - 0x7Fu);
    return byte == 0xAD ? 0x143u : byte;
}

/* ---- symbols ---- */

/* A word, and whose it is. */
typedef struct word {
    const rb_tokenizer *t;
    rb_text text;
} word;

/* A symbol that may be unknown; unknown neighbours become one if the vocabulary wants it. */
static void add_symbol(const rb_tokenizer *t, rb_merger *m, size_t at, size_t n, int32_t id)
{
    if (id >= 0 || t->unknown < 0) {
        rb_merger_symbol(m, (uint32_t)at, (uint32_t)n, id);
        return;
    }
    rb_symbol *last = m->n_symbol > 0 ? &m->symbol[m->n_symbol - 1] : NULL;
    if (t->fuse_unknown && last && last->id == t->unknown)
        last->n += (uint32_t)n;
    else
        rb_merger_symbol(m, (uint32_t)at, (uint32_t)n, t->unknown);
}

static void symbols_of_bytes(const word *w, rb_merger *m)
{
    for (size_t i = 0; i < w->text.n; i++)
        add_symbol(w->t, m, i, 1, w->t->byte_id[(uint8_t)w->text.data[i]]);
}

/* Characters; those without a token are their bytes, if bytes have tokens. */
static void symbols_of_chars(const word *w, rb_merger *m)
{
    const rb_text s = w->text;
    for (size_t at = 0, next; at < s.n; at = next) {
        next = at;
        rb_utf8_next(s.data, s.n, &next);
        const int32_t id = rb_vocab_find(&w->t->vocab, s.data + at, next - at);
        if (id >= 0 || w->t->byte_id[0] < 0)
            add_symbol(w->t, m, at, next - at, id);
        else
            for (size_t i = at; i < next; i++)
                add_symbol(w->t, m, i, 1, w->t->byte_id[(uint8_t)s.data[i]]);
    }
}

/* As many bytes as the first of them says, whatever they are: so does llama.cpp. */
static void symbols_by_lead(const word *w, rb_merger *m)
{
    const rb_text s = w->text;
    for (size_t at = 0; at < s.n;) {
        const uint8_t lead = (uint8_t)s.data[at];
        size_t n = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        n = n < s.n - at ? n : s.n - at;
        rb_merger_symbol(m, (uint32_t)at, (uint32_t)n, rb_vocab_find(&w->t->vocab, s.data + at, n));
        at += n;
    }
}

/* ---- pairs ---- */

static bool by_rank(const void *arg, const rb_symbol *left, const rb_symbol *right, double *cost,
                    int32_t *id)
{
    const word *w = arg;
    const rb_merge_rule *rule = rb_merge_table_find(&w->t->merges, left->id, right->id);
    if (!rule)
        return false;
    *cost = rule->rank;
    *id = rule->id;
    return true;
}

static bool by_score(const void *arg, const rb_symbol *left, const rb_symbol *right, double *cost,
                     int32_t *id)
{
    const word *w = arg;
    *id = rb_vocab_find(&w->t->vocab, w->text.data + left->at, (size_t)left->n + right->n);
    if (*id < 0)
        return false;
    *cost = -(double)w->t->vocab.score[*id];
    return true;
}

/* ---- words ---- */

/* What has no token is its bytes; what these do not have is unknown, or nothing. */
static void collect(const word *w, rb_merger *m)
{
    for (size_t i = 0; i < m->n_symbol; i++) {
        const rb_symbol *s = &m->symbol[i];
        if (s->id >= 0 && s->n > 0)
            rb_merger_id(m, s->id);
        for (size_t k = 0; k < s->n && s->id < 0; k++) {
            const int32_t byte = w->t->byte_id[(uint8_t)w->text.data[s->at + k]];
            if (byte >= 0 || w->t->unknown >= 0)
                rb_merger_id(m, byte >= 0 ? byte : w->t->unknown);
        }
    }
}

static void encode_word(const rb_tokenizer *t, rb_merger *m, rb_text text)
{
    const word w = { t, text };
    m->n_symbol = 0;
    switch (t->family) {
    case RB_TOKENIZER_BYTES:
        symbols_of_bytes(&w, m);
        break;
    case RB_TOKENIZER_CHARS:
        symbols_of_chars(&w, m);
        break;
    case RB_TOKENIZER_SCORES:
        symbols_by_lead(&w, m);
        break;
    }
    rb_merger_run(m, t->family == RB_TOKENIZER_SCORES ? by_score : by_rank, &w);
    collect(&w, m);
}

/* The token that a whole word is, spelt into room for the longest; -1: none. */
static int32_t whole_word(const rb_tokenizer *t, rb_text text, char *room)
{
    size_t n = 0;
    if (text.n > t->vocab.longest)
        return -1;
    if (t->family != RB_TOKENIZER_BYTES)
        return rb_vocab_find(&t->vocab, text.data, text.n);
    for (size_t i = 0; i < text.n; i++)
        n += rb_utf8_put(room + n, rb_byte_char((uint8_t)text.data[i]));
    return rb_vocab_find(&t->vocab, room, n);
}

static rb_status encode_bytes(const rb_tokenizer *t, rb_merger *m, rb_text text, rb_error *err)
{
    rb_chars c;
    rb_status status = rb_chars_make(&c, text.data, text.n, err);
    if (status != RB_OK)
        return status;
    char *room = malloc(2 * t->vocab.longest + 1);
    m->failed |= !room;
    rb_pretokenize(&t->pre, &c);
    for (size_t start = 0, end; start < c.n && !m->failed; start = end) {
        for (end = start + 1; end < c.n && !(c.kind[end] & RB_CHAR_FIRST);)
            end++;
        const rb_text piece = { c.text + c.at[start], c.at[end] - c.at[start] };
        const int32_t id = t->ignore_merges ? whole_word(t, piece, room) : -1;
        if (id >= 0)
            rb_merger_id(m, id);
        else
            encode_word(t, m, piece);
    }
    free(room);
    rb_chars_free(&c);
    return RB_OK;
}

/* Words of CHARS: the whole, or one at each blank. */
static void encode_words(const rb_tokenizer *t, rb_merger *m, rb_text text)
{
    for (size_t start = 0, end; start < text.n && !m->failed; start = end) {
        const char *next = NULL;
        if (t->splits_blanks && start + 1 < text.n)
            next = memmem(text.data + start + 1, text.n - start - 1, blank, BLANK_BYTES);
        end = next ? (size_t)(next - text.data) : text.n;
        const rb_text piece = { text.data + start, end - start };
        const int32_t id = t->ignore_merges ? whole_word(t, piece, NULL) : -1;
        if (id >= 0)
            rb_merger_id(m, id);
        else
            encode_word(t, m, piece);
    }
}

rb_status rb_escape_blanks(const rb_tokenizer *t, rb_text text, bool at_start, char **out,
                           size_t *n_out, rb_error *err)
{
    const bool has =
        text.n > 0 &&
        (text.data[0] == ' ' || (text.n >= BLANK_BYTES && !memcmp(text.data, blank, BLANK_BYTES)));
    const bool wants = t->blank == RB_BLANK_ALWAYS || (t->blank == RB_BLANK_MISSING && !has) ||
                       (t->blank == RB_BLANK_AT_START && !has && at_start);
    char *p = malloc(BLANK_BYTES * (text.n + 1) + 1);
    *out = p;
    if (!p)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory for a text of %zu bytes", text.n);
    if (wants && text.n > 0)
        p = mempcpy(p, blank, BLANK_BYTES);
    for (size_t i = 0; i < text.n; i++) {
        if (text.data[i] == ' ')
            p = mempcpy(p, blank, BLANK_BYTES);
        else
            *p++ = text.data[i];
    }
    *n_out = (size_t)(p - *out);
    return RB_OK;
}

rb_status rb_encode_text(const rb_tokenizer *t, rb_merger *m, rb_text text, bool at_start,
                         rb_error *err)
{
    char *escaped = NULL;
    rb_status status = RB_OK;
    if (t->family == RB_TOKENIZER_BYTES)
        return encode_bytes(t, m, text, err);
    if (!t->spaces_first) {
        size_t n = 0;
        status = rb_escape_blanks(t, text, at_start, &escaped, &n, err);
        text = (rb_text){ escaped, n };
    }
    if (status == RB_OK)
        encode_words(t, m, text);
    free(escaped);
    return status;
}
