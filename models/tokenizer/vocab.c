/* Hash tables of tokens and of merges: open addressing, at most half full, built once.
 * They only grow by what a file really holds, never by what it claims.
 * Read next: tokenizer_gguf.c, tokenizer_json.c. */
#include "vocab.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* A power of two that n items fill to a half at most. */
static size_t table_size(size_t n)
{
    size_t size = 16;
    while (size < 2 * n)
        size *= 2;
    return size;
}

/* How messages show a text: n of it, 40 bytes at most. */
static int shown(size_t n)
{
    return n < 40 ? (int)n : 40;
}

/* ---- tokens ---- */

static bool is_text(rb_text t, const char *text, size_t n)
{
    return t.n == n && !memcmp(t.data, text, n);
}

/* The slot that holds the text, or would. */
static uint32_t *slot_of(const rb_vocab *v, const char *text, size_t n)
{
    size_t i = XXH3_64bits(text, n) & v->mask;
    while (v->slot[i] && !is_text(v->token[v->slot[i] - 1], text, n))
        i = (i + 1) & v->mask;
    return &v->slot[i];
}

int32_t rb_vocab_find(const rb_vocab *v, const char *text, size_t n)
{
    if (n == 0 || n > v->longest)
        return -1;
    return (int32_t)*slot_of(v, text, n) - 1;
}

int32_t rb_vocab_find_joined(const rb_vocab *v, rb_text a, rb_text b)
{
    char local[256], *text = local;
    if (a.n > v->longest || b.n > v->longest - a.n)
        return -1;
    if (a.n + b.n > sizeof local && !(text = malloc(a.n + b.n)))
        return -1;
    memcpy(text, a.data, a.n);
    memcpy(text + a.n, b.data, b.n);
    const int32_t id = rb_vocab_find(v, text, a.n + b.n);
    if (text != local)
        free(text);
    return id;
}

static rb_status fill(rb_vocab *v, const rb_text *text, const char *label, rb_error *err)
{
    char *p = v->bytes;
    for (int64_t i = 0; i < v->n; i++) {
        const size_t n = text[i].n;
        v->token[i] = (rb_text){ p, n };
        if (n == 0)
            continue;
        memcpy(p, text[i].data, n);
        uint32_t *slot = slot_of(v, p, n);
        if (*slot)
            return rb_fail(err, RB_ERR_FORMAT, "%s: tokens %u and %lld are both '%.*s'", label,
                           *slot - 1, (long long)i, shown(n), p);
        *slot = (uint32_t)i + 1;
        v->longest = n > v->longest ? n : v->longest;
        p += n;
    }
    return RB_OK;
}

rb_status rb_vocab_make(rb_vocab *v, const rb_text *text, const uint8_t *kind, const float *score,
                        int64_t n, const char *label, rb_error *err)
{
    size_t n_bytes = 1;
    *v = (rb_vocab){ 0 };
    if (n < 1 || n > RB_MAX_VOCAB)
        return rb_fail(err, RB_ERR_FORMAT, "%s: a vocabulary of %lld tokens; 1 to %d are allowed",
                       label, (long long)n, RB_MAX_VOCAB);
    for (int64_t i = 0; i < n; i++)
        n_bytes += text[i].n;
    v->n = n;
    v->mask = table_size((size_t)n) - 1;
    v->token = calloc((size_t)n, sizeof *v->token);
    v->kind = malloc((size_t)n);
    v->score = score ? malloc((size_t)n * sizeof *v->score) : NULL;
    v->bytes = malloc(n_bytes);
    v->slot = calloc(v->mask + 1, sizeof *v->slot);
    if (!v->token || !v->kind || (score && !v->score) || !v->bytes || !v->slot) {
        rb_vocab_free(v);
        return rb_fail(err, RB_ERR_MEMORY, "%s: out of memory for %lld tokens", label,
                       (long long)n);
    }
    memcpy(v->kind, kind, (size_t)n);
    if (score)
        memcpy(v->score, score, (size_t)n * sizeof *score);
    const rb_status status = fill(v, text, label, err);
    if (status != RB_OK)
        rb_vocab_free(v);
    return status;
}

void rb_vocab_free(rb_vocab *v)
{
    free(v->token);
    free(v->kind);
    free(v->score);
    free(v->bytes);
    free(v->slot);
    *v = (rb_vocab){ 0 };
}

/* ---- merges ---- */

rb_status rb_merge_table_make(rb_merge_table *t, int64_t n, rb_error *err)
{
    *t = (rb_merge_table){ .mask = table_size((size_t)n) - 1 };
    t->slot = malloc((t->mask + 1) * sizeof *t->slot);
    if (!t->slot)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory for %lld merges", (long long)n);
    for (size_t i = 0; i <= t->mask; i++)
        t->slot[i].left = -1;
    return RB_OK;
}

void rb_merge_table_free(rb_merge_table *t)
{
    free(t->slot);
    *t = (rb_merge_table){ 0 };
}

static rb_merge_rule *rule_of(const rb_merge_table *t, int32_t left, int32_t right)
{
    const uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t i = XXH3_64bits(&key, sizeof key) & t->mask;
    while (t->slot[i].left >= 0 && (t->slot[i].left != left || t->slot[i].right != right))
        i = (i + 1) & t->mask;
    return &t->slot[i];
}

rb_status rb_merge_table_add(rb_merge_table *t, const rb_vocab *v, rb_text left, rb_text right,
                             uint32_t rank, const char *label, rb_error *err)
{
    const rb_merge_rule rule = { rb_vocab_find(v, left.data, left.n),
                                 rb_vocab_find(v, right.data, right.n),
                                 rb_vocab_find_joined(v, left, right), rank };
    if (rule.left < 0 || rule.right < 0 || rule.id < 0)
        return rb_fail(err, RB_ERR_FORMAT,
                       "%s: merge %u, '%.*s' and '%.*s', names what is no token", label, rank,
                       shown(left.n), left.data, shown(right.n), right.data);
    rb_merge_rule *slot = rule_of(t, rule.left, rule.right);
    if (slot->left < 0)
        *slot = rule;
    return RB_OK;
}

const rb_merge_rule *rb_merge_table_find(const rb_merge_table *t, int32_t left, int32_t right)
{
    if (left < 0 || right < 0)
        return NULL;
    const rb_merge_rule *rule = rule_of(t, left, right);
    return rule->left >= 0 ? rule : NULL;
}
