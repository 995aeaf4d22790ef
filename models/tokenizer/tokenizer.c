/* The life of a tokenizer, what it is asked, and the way of a text through it.
 * Looks at what MODEL is, a directory or a file, never at its name; reads no weights.
 * Read next: tokenizer_gguf.c, tokenizer_json.c, encode.c. */
#include "tokenizer_parts.h"

#include "../models.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_TEXT = 1 << 30 }; /* bytes: three times as many still have 32-bit places */

/* ---- life ---- */

rb_status rb_tokenizer_open(rb_tokenizer **t, const char *model, rb_error *err)
{
    struct stat st;
    rb_source source;
    *t = NULL;
    if (stat(model, &st) != 0 && errno == ENOENT && rb_preset_find(model))
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "%s: a preset has no tokenizer; name a GGUF file or a directory that has "
                       "tokenizer.json",
                       model);
    if (stat(model, &st) == 0 && S_ISDIR(st.st_mode))
        return rb_tokenizer_from_directory(t, model, err);
    const rb_status status = rb_source_open(&source, model, err);
    if (status != RB_OK)
        return status;
    char magic[4] = { 0 };
    if (rb_source_read(&source, 0, magic, sizeof magic, NULL) == RB_OK &&
        !memcmp(magic, "GGUF", sizeof magic))
        return rb_tokenizer_from_gguf(t, source, model, err);
    rb_source_close(&source);
    return rb_fail(err, RB_ERR_UNSUPPORTED,
                   "%s: not a GGUF file; no other has a tokenizer, but directories with "
                   "tokenizer.json have",
                   model);
}

void rb_tokenizer_close(rb_tokenizer *t)
{
    if (!t)
        return;
    rb_vocab_free(&t->vocab);
    rb_merge_table_free(&t->merges);
    free(t->piece);
    free(t->piece_bytes);
    for (int i = 0; i < 2; i++)
        free(t->special[i].item);
    free(t->special_bytes);
    free(t->chat_template);
    free(t);
}

/* ---- bytes of tokens, tokens of bytes ---- */

/* For each character of a byte-level vocabulary the byte that it stands for; -1: none. */
enum { N_BYTE_CHAR = 0x144 };
typedef struct byte_chars {
    int16_t of[N_BYTE_CHAR];
} byte_chars;

static byte_chars list_byte_chars(void)
{
    byte_chars bytes;
    for (int c = 0; c < N_BYTE_CHAR; c++)
        bytes.of[c] = -1;
    for (int b = 0; b < 256; b++)
        bytes.of[rb_byte_char((uint8_t)b)] = (int16_t)b;
    return bytes;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte of "<0x0A>"; -1 for other texts. */
static int byte_of_name(rb_text s)
{
    if (s.n != 6 || memcmp(s.data, "<0x", 3) != 0 || s.data[5] != '>')
        return -1;
    const int high = hex_digit(s.data[3]), low = hex_digit(s.data[4]);
    return high >= 0 && low >= 0 ? high << 4 | low : -1;
}

/* Writes the bytes that a text of a byte-level vocabulary spells; false if it spells none. */
static bool spell_bytes(const byte_chars *bytes, rb_text s, char *dst, size_t *n)
{
    *n = 0;
    for (size_t at = 0; at < s.n;) {
        const uint32_t c = rb_utf8_next(s.data, s.n, &at);
        if (c >= N_BYTE_CHAR || bytes->of[c] < 0)
            return false;
        dst[(*n)++] = (char)bytes->of[c];
    }
    return true;
}

static size_t spell_blanks(rb_text s, char *dst)
{
    size_t n = 0;
    for (size_t at = 0; at < s.n;) {
        const size_t from = at;
        if (rb_utf8_next(s.data, s.n, &at) == 0x2581) {
            dst[n++] = ' ';
        } else {
            memcpy(dst + n, s.data + from, at - from);
            n += at - from;
        }
    }
    return n;
}

/* What a token stands for, at dst, which has room for its text. */
static size_t spell(const rb_tokenizer *t, const byte_chars *bytes, int64_t id, char *dst)
{
    const rb_text s = t->vocab.token[id];
    const uint8_t kind = t->vocab.kind[id];
    const int byte = kind & RB_TOKEN_BYTE ? byte_of_name(s) : -1;
    size_t n = s.n;
    if (byte >= 0) {
        *dst = (char)byte;
        return 1;
    }
    if (kind == 0) /* unused, or of a kind that nobody knows */
        return 0;
    if ((kind & RB_TOKEN_NORMAL) && !(kind & (RB_TOKEN_CONTROL | RB_TOKEN_USER))) {
        if (t->family != RB_TOKENIZER_BYTES)
            return spell_blanks(s, dst);
        if (spell_bytes(bytes, s, dst, &n))
            return n;
    }
    if (s.n > 0)
        memcpy(dst, s.data, s.n);
    return s.n;
}

/* Tokens of single bytes: named ones, or the byte as a text; in byte-level vocabularies its
 * spelling. */
static int32_t token_of_byte(const rb_tokenizer *t, int b)
{
    char text[8];
    if (t->family == RB_TOKENIZER_BYTES)
        return rb_vocab_find(&t->vocab, text, rb_utf8_put(text, rb_byte_char((uint8_t)b)));
    snprintf(text, sizeof text, "<0x%02X>", (unsigned)b);
    const int32_t id = rb_vocab_find(&t->vocab, text, 6);
    text[0] = (char)b;
    return id >= 0 || t->family == RB_TOKENIZER_CHARS ? id : rb_vocab_find(&t->vocab, text, 1);
}

rb_status rb_tokenizer_finish(rb_tokenizer *t, const char *label, rb_error *err)
{
    const byte_chars bytes = list_byte_chars();
    size_t n_bytes = 1;
    for (int64_t i = 0; i < t->vocab.n; i++)
        n_bytes += t->vocab.token[i].n;
    t->piece = calloc((size_t)t->vocab.n, sizeof *t->piece);
    t->piece_bytes = malloc(n_bytes);
    if (!t->piece || !t->piece_bytes)
        return rb_fail(err, RB_ERR_MEMORY, "%s: out of memory for its tokens", label);
    char *p = t->piece_bytes;
    for (int64_t i = 0; i < t->vocab.n; i++) {
        t->piece[i] = (rb_text){ p, spell(t, &bytes, i, p) };
        p += t->piece[i].n;
    }
    return RB_OK;
}

void rb_tokenizer_map_bytes(rb_tokenizer *t)
{
    for (int b = 0; b < 256; b++)
        t->byte_id[b] = token_of_byte(t, b);
}

/* ---- encoding ---- */

static void add_ids(rb_merger *m, const int32_t *id, int n)
{
    for (int i = 0; i < n; i++)
        rb_merger_id(m, id[i]);
}

/* Text between the special tokens of the first kind: normalized, then cut at those of the second.
 */
static rb_status encode_normalized(const rb_tokenizer *t, rb_merger *m, rb_text text, bool at_start,
                                   bool parse, rb_error *err)
{
    char *changed = NULL;
    size_t n = 0;
    rb_status status = RB_OK;
    rb_fragments f = { 0 };
    if (t->composes)
        status = rb_utf8_compose(text.data, text.n, &changed, &n, err);
    else if (t->spaces_first)
        status = rb_escape_blanks(t, text, at_start, &changed, &n, err);
    if (changed)
        text = (rb_text){ changed, n };
    if (status == RB_OK)
        status = rb_specials_split(&t->special[1], &t->vocab, text, parse, &f, err);
    for (size_t i = 0; i < f.n && status == RB_OK; i++) {
        const rb_text part = { text.data + f.item[i].at, f.item[i].n };
        if (f.item[i].id >= 0)
            rb_merger_id(m, f.item[i].id);
        else
            status = rb_encode_text(t, m, part, at_start && f.item[i].at == 0, err);
    }
    free(f.item);
    free(changed);
    return status;
}

static rb_status encode(const rb_tokenizer *t, rb_merger *m, rb_text text, bool parse,
                        rb_error *err)
{
    rb_fragments f = { 0 };
    rb_status status = rb_specials_split(&t->special[0], &t->vocab, text, parse, &f, err);
    for (size_t i = 0; i < f.n && status == RB_OK; i++) {
        const rb_text part = { text.data + f.item[i].at, f.item[i].n };
        if (f.item[i].id >= 0)
            rb_merger_id(m, f.item[i].id);
        else
            status = encode_normalized(t, m, part, f.item[i].at == 0, parse, err);
    }
    free(f.item);
    return status;
}

rb_status rb_tokenizer_encode(const rb_tokenizer *t, const char *text, size_t n_bytes,
                              rb_encode how, int32_t **ids, int64_t *n, rb_error *err)
{
    rb_merger m = { 0 };
    char *valid = NULL;
    rb_text s = { text, n_bytes };
    rb_status status = RB_OK;
    *ids = NULL;
    *n = 0;
    if (n_bytes > MAX_TEXT)
        return rb_fail(err, RB_ERR_ARGUMENT, "a text of %zu bytes; at most %d can be encoded",
                       n_bytes, MAX_TEXT);
    if (t->repairs) {
        status = rb_utf8_repair(text, n_bytes, &valid, &s.n, err);
        s.data = valid;
    }
    if (how.special)
        add_ids(&m, t->prefix, t->n_prefix);
    if (status == RB_OK)
        status = encode(t, &m, s, how.parse, err);
    if (how.special)
        add_ids(&m, t->suffix, t->n_suffix);
    free(valid);
    if (status == RB_OK && (m.failed || (!m.id && !(m.id = malloc(sizeof *m.id)))))
        status = rb_fail(err, RB_ERR_MEMORY, "out of memory for a text of %zu bytes", n_bytes);
    if (status == RB_OK) {
        *ids = m.id;
        *n = (int64_t)m.n_id;
        m.id = NULL;
    }
    rb_merger_free(&m);
    return status;
}

/* ---- what it is asked ---- */

const char *rb_tokenizer_piece(const rb_tokenizer *t, int32_t id, bool named, size_t *n_bytes)
{
    *n_bytes = 0;
    if (id < 0 || id >= t->vocab.n)
        return NULL;
    if (!named && (t->vocab.kind[id] & (RB_TOKEN_CONTROL | RB_TOKEN_UNKNOWN)))
        return "";
    *n_bytes = t->piece[id].n;
    return t->piece[id].data;
}

/* The bytes of tokens one after the other; their number where dst is NULL. */
static size_t put_pieces(const rb_tokenizer *t, const int32_t *ids, int64_t n, char *dst)
{
    size_t used = 0, length;
    for (int64_t i = 0; i < n; i++) {
        const char *piece = rb_tokenizer_piece(t, ids[i], false, &length);
        if (dst && length > 0)
            memcpy(dst + used, piece, length);
        used += length;
    }
    return used;
}

rb_status rb_tokenizer_decode(const rb_tokenizer *t, const int32_t *ids, int64_t n, char **text,
                              size_t *n_bytes, rb_error *err)
{
    const size_t n_raw = put_pieces(t, ids, n, NULL);
    char *raw = malloc(n_raw + 1), *p = malloc(3 * n_raw + 1); /* U+FFFD has three bytes */
    *text = p;
    *n_bytes = 0;
    if (!raw || !p) {
        free(raw);
        free(p);
        *text = NULL;
        return rb_fail(err, RB_ERR_MEMORY, "out of memory for the text of %lld tokens",
                       (long long)n);
    }
    put_pieces(t, ids, n, raw);
    for (size_t at = 0; at < n_raw;) {
        const uint32_t c = rb_utf8_next(raw, n_raw, &at);
        p += rb_utf8_put(p, c >= 0xd800 && c <= 0xdfff ? 0xfffd : c);
    }
    *p = 0;
    *n_bytes = (size_t)(p - *text);
    free(raw);
    return RB_OK;
}

bool rb_tokenizer_adds_space(const rb_tokenizer *t)
{
    return t->blank != RB_BLANK_NEVER;
}

int64_t rb_tokenizer_n_vocab(const rb_tokenizer *t)
{
    return t->vocab.n;
}

int32_t rb_tokenizer_bos(const rb_tokenizer *t)
{
    return t->bos;
}

int32_t rb_tokenizer_eos(const rb_tokenizer *t)
{
    return t->eos;
}

bool rb_tokenizer_adds_bos(const rb_tokenizer *t)
{
    return t->n_prefix > 0 && t->prefix[0] == t->bos;
}

bool rb_tokenizer_is_end(const rb_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocab.n && (t->vocab.kind[id] & RB_TOKEN_END);
}

const char *rb_tokenizer_kind(const rb_tokenizer *t)
{
    return t->kind;
}

const char *rb_tokenizer_chat_template(const rb_tokenizer *t)
{
    return t->chat_template;
}
