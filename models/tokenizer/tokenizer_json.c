/* A tokenizer from a Hugging Face directory: tokenizer.json, and what tokenizer_config.json adds.
 * Ids are those of the package tokenizers. Refuses models other than BPE, and raw SentencePiece
 * files, by name. Read next: tokenizer_json_steps.c. */
#include "tokenizer_json.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_GAP = 1 << 16 }; /* ids without a token */

const char *rb_json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

bool rb_json_is(const json_t *string, const char *text)
{
    return json_is_string(string) && !strcmp(json_string_value(string), text);
}

static rb_text text_of(const json_t *string)
{
    return (rb_text){ json_string_value(string), json_string_length(string) };
}

static rb_status wrong(rb_json_loading *l, const char *what)
{
    return rb_fail(l->err, RB_ERR_FORMAT, "%s: %s", l->label, what);
}

/* ---- vocabulary ---- */

/* Tokens by id, before they become a vocabulary. */
typedef struct listing {
    rb_text *text;
    uint8_t *kind;
    int64_t n;
} listing;

/* The number of ids: one more than the largest, which may exceed the number of tokens by a little.
 */
static rb_status count_ids(rb_json_loading *l, json_t *vocab, json_t *added, int64_t *n)
{
    const char *key;
    json_t *value;
    size_t i;
    int64_t most = -1;
    const int64_t n_token = (int64_t)(json_object_size(vocab) + json_array_size(added));
    json_object_foreach(vocab, key, value)
    {
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return wrong(l, "its vocab has a token whose id is no number from 0 on");
        most = json_integer_value(value) > most ? json_integer_value(value) : most;
    }
    if (added && !json_is_array(added))
        return wrong(l, "its added_tokens are no list");
    json_array_foreach(added, i, value)
    {
        const json_t *id = json_object_get(value, "id"),
                     *content = json_object_get(value, "content");
        if (!json_is_integer(id) || json_integer_value(id) < 0 || !json_is_string(content) ||
            json_string_length(content) == 0)
            return wrong(l, "one of its added_tokens has no id from 0 on, or no content");
        most = json_integer_value(id) > most ? json_integer_value(id) : most;
    }
    if (most < 0 || most >= RB_MAX_VOCAB || most >= n_token + MAX_GAP)
        return rb_fail(l->err, RB_ERR_FORMAT, "%s: %lld tokens, the last of them with the id %lld",
                       l->label, (long long)n_token, (long long)most);
    *n = most + 1;
    return RB_OK;
}

static rb_status list_token(rb_json_loading *l, listing *list, int64_t id, rb_text text,
                            uint8_t kind)
{
    rb_text *at = &list->text[id];
    if (at->n > 0 && (at->n != text.n || memcmp(at->data, text.data, text.n) != 0))
        return rb_fail(l->err, RB_ERR_FORMAT, "%s: the id %lld is both '%.40s' and '%.40s'",
                       l->label, (long long)id, at->data, text.data);
    *at = text;
    list->kind[id] = kind;
    return RB_OK;
}

static uint8_t kind_of_added(const json_t *token)
{
    static const struct {
        const char *key;
        uint8_t yes, no;
    } flags[] = { { "special", RB_TOKEN_CONTROL, RB_TOKEN_USER },
                  { "lstrip", RB_TOKEN_LSTRIP, 0 },
                  { "rstrip", RB_TOKEN_RSTRIP, 0 } };
    uint8_t kind = 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        kind |= json_is_true(json_object_get(token, flags[i].key)) ? flags[i].yes : flags[i].no;
    return kind;
}

static bool is_byte_name(const char *s)
{
    return !strncmp(s, "<0x", 3) && strlen(s) == 6 && s[5] == '>';
}

static rb_status list_tokens(rb_json_loading *l, json_t *vocab, json_t *added, listing *list)
{
    const bool has_bytes =
        json_is_true(json_object_get(json_object_get(l->root, "model"), "byte_fallback"));
    const char *key;
    json_t *value;
    size_t i;
    rb_status status = RB_OK;
    json_object_foreach(vocab, key, value)
    {
        const uint8_t kind = has_bytes && is_byte_name(key) ? RB_TOKEN_BYTE : RB_TOKEN_NORMAL;
        if (status == RB_OK)
            status =
                list_token(l, list, json_integer_value(value), (rb_text){ key, strlen(key) }, kind);
    }
    json_array_foreach(added, i, value)
    {
        if (json_is_true(json_object_get(value, "single_word")))
            status = rb_fail(l->err, RB_ERR_UNSUPPORTED,
                             "%s: the added token '%.40s' is only found as a single word, which is "
                             "not done here",
                             l->label, rb_json_text(value, "content"));
        if (status == RB_OK)
            status = list_token(l, list, json_integer_value(json_object_get(value, "id")),
                                text_of(json_object_get(value, "content")), kind_of_added(value));
    }
    return status;
}

static rb_status read_vocab(rb_json_loading *l)
{
    json_t *vocab = json_object_get(json_object_get(l->root, "model"), "vocab");
    json_t *added = json_object_get(l->root, "added_tokens");
    listing list = { 0 };
    if (!json_is_object(vocab))
        return wrong(l, "its model has no vocab");
    rb_status status = count_ids(l, vocab, added, &list.n);
    if (status != RB_OK)
        return status;
    list.text = calloc((size_t)list.n + 1, sizeof *list.text);
    list.kind = calloc((size_t)list.n + 1, sizeof *list.kind);
    status = list.text && list.kind ? list_tokens(l, vocab, added, &list)
                                    : rb_fail(l->err, RB_ERR_MEMORY, "%s: out of memory", l->label);
    if (status == RB_OK)
        status = rb_vocab_make(&l->t->vocab, list.text, list.kind, NULL, list.n, l->label, l->err);
    free(list.text);
    free(list.kind);
    return status;
}

/* ---- model ---- */

/* "left right" or ["left", "right"]. */
static bool part_merge(const json_t *merge, rb_text *left, rb_text *right)
{
    if (json_is_array(merge) && json_array_size(merge) == 2) {
        *left = text_of(json_array_get(merge, 0));
        *right = text_of(json_array_get(merge, 1));
        return left->data && right->data;
    }
    const rb_text s = text_of(merge);
    const char *gap = s.n > 1 ? memchr(s.data + 1, ' ', s.n - 1) : NULL;
    if (!gap)
        return false;
    *left = (rb_text){ s.data, (size_t)(gap - s.data) };
    *right = (rb_text){ gap + 1, s.n - left->n - 1 };
    return true;
}

static rb_status read_merges(rb_json_loading *l)
{
    json_t *merges = json_object_get(json_object_get(l->root, "model"), "merges"), *merge;
    size_t i;
    if (!json_is_array(merges) || json_array_size(merges) > RB_MAX_MERGE)
        return wrong(l, "its model has no merges, or too many");
    rb_status status = rb_merge_table_make(&l->t->merges, (int64_t)json_array_size(merges), l->err);
    json_array_foreach(merges, i, merge)
    {
        rb_text left, right;
        if (status == RB_OK && !part_merge(merge, &left, &right))
            status = rb_fail(l->err, RB_ERR_FORMAT, "%s: merge %zu is not two tokens", l->label, i);
        if (status == RB_OK)
            status = rb_merge_table_add(&l->t->merges, &l->t->vocab, left, right, (uint32_t)i,
                                        l->label, l->err);
    }
    return status;
}

static bool is_set(const json_t *model, const char *key)
{
    const json_t *value = json_object_get(model, key);
    return value && !json_is_null(value) && !json_is_false(value) && !rb_json_is(value, "") &&
           !(json_is_number(value) && json_number_value(value) == 0);
}

static rb_status check_model(rb_json_loading *l, const json_t *model)
{
    static const char *const undone[] = { "dropout", "continuing_subword_prefix",
                                          "end_of_word_suffix" };
    const char *type = rb_json_text(model, "type");
    if (!json_is_object(model))
        return wrong(l, "no tokenizer: it has no model");
    if (strcmp(type, "BPE") != 0 && (*type || !json_object_get(model, "merges")))
        return rb_fail(l->err, RB_ERR_UNSUPPORTED,
                       "%s: a tokenizer of the kind '%.32s'; only BPE is done here", l->label,
                       type);
    for (size_t i = 0; i < sizeof undone / sizeof *undone; i++)
        if (is_set(model, undone[i]))
            return rb_fail(l->err, RB_ERR_UNSUPPORTED,
                           "%s: its model has %s, which is not done here", l->label, undone[i]);
    return RB_OK;
}

static rb_status read_unknown(rb_json_loading *l, const json_t *model)
{
    const json_t *name = json_object_get(model, "unk_token");
    if (!json_is_string(name))
        return RB_OK;
    const rb_text s = text_of(name);
    l->t->unknown = rb_vocab_find(&l->t->vocab, s.data, s.n);
    return l->t->unknown >= 0 ? RB_OK : wrong(l, "its unk_token is no token");
}

static rb_status read_bytes(rb_json_loading *l, const json_t *model)
{
    rb_tokenizer *t = l->t;
    const bool fallback = json_is_true(json_object_get(model, "byte_fallback"));
    rb_tokenizer_map_bytes(t);
    for (int b = 0; b < 256 && t->family == RB_TOKENIZER_CHARS; b++)
        if (!fallback)
            t->byte_id[b] = -1;
        else if (t->byte_id[b] < 0)
            return rb_fail(l->err, RB_ERR_FORMAT, "%s: byte_fallback, but no token <0x%02X>",
                           l->label, (unsigned)b);
    return RB_OK;
}

static rb_status read_model(rb_json_loading *l)
{
    const json_t *model = json_object_get(l->root, "model");
    l->t->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    l->t->fuse_unknown = json_is_true(json_object_get(model, "fuse_unk"));
    rb_status status = read_vocab(l);
    if (status == RB_OK)
        status = read_merges(l);
    if (status == RB_OK)
        status = read_unknown(l, model);
    if (status == RB_OK)
        status = read_bytes(l, model);
    return status;
}

/* ---- special tokens ---- */

/* Those that are looked for in the normalized text are normalized themselves. */
static rb_status normalize(rb_json_loading *l, rb_text *text, char **at)
{
    char *changed = NULL;
    size_t n = 0;
    rb_status status = RB_OK;
    if (l->t->composes)
        status = rb_utf8_compose(text->data, text->n, &changed, &n, l->err);
    else if (l->t->spaces_first)
        status = rb_escape_blanks(l->t, *text, true, &changed, &n, l->err);
    if (status != RB_OK || !changed)
        return status;
    memcpy(*at, changed, n);
    *text = (rb_text){ *at, n };
    *at += n;
    free(changed);
    return RB_OK;
}

static rb_status read_specials(rb_json_loading *l)
{
    rb_tokenizer *t = l->t;
    json_t *added = json_object_get(l->root, "added_tokens"), *token;
    const size_t n = json_array_size(added);
    size_t i, n_bytes = 1;
    rb_status status = RB_OK;
    json_array_foreach(added, i, token) n_bytes +=
        3 * (json_string_length(json_object_get(token, "content")) + 1);
    t->special_bytes = malloc(n_bytes);
    for (int k = 0; k < 2; k++) {
        t->special[k] =
            (rb_specials){ .item = malloc((n + 1) * sizeof(rb_special)), .leftmost = true };
        if (!t->special[k].item || !t->special_bytes)
            return rb_fail(l->err, RB_ERR_MEMORY, "%s: out of memory", l->label);
    }
    char *at = t->special_bytes;
    json_array_foreach(added, i, token)
    {
        const int64_t id = json_integer_value(json_object_get(token, "id"));
        const bool normalized = json_is_true(json_object_get(token, "normalized"));
        rb_specials *s = &t->special[normalized];
        rb_text text = t->vocab.token[id];
        if (normalized && status == RB_OK)
            status = normalize(l, &text, &at);
        s->item[s->n++] = (rb_special){ text, (int32_t)id };
    }
    rb_specials_sort(&t->special[0]);
    rb_specials_sort(&t->special[1]);
    return status;
}

/* ---- tokenizer_config.json ---- */

/* The token of a key, which is a text or an object with one; -1: none. */
static int32_t token_of(const rb_json_loading *l, const char *key)
{
    const json_t *value = json_object_get(l->config, key);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    if (!json_is_string(value))
        return -1;
    const rb_text s = text_of(value);
    return rb_vocab_find(&l->t->vocab, s.data, s.n);
}

/* Where the configuration says whether BOS or EOS are added, nothing else is. */
static void read_affixes(rb_json_loading *l)
{
    rb_tokenizer *t = l->t;
    const json_t *bos = json_object_get(l->config, "add_bos_token");
    const json_t *eos = json_object_get(l->config, "add_eos_token");
    t->bos = token_of(l, "bos_token");
    t->eos = token_of(l, "eos_token");
    if (t->bos < 0 && t->n_prefix > 0) /* by the post_processor alone */
        t->bos = t->prefix[0];
    if (!json_is_boolean(bos) && !json_is_boolean(eos))
        return;
    t->n_prefix = json_is_true(bos) && t->bos >= 0;
    t->n_suffix = json_is_true(eos) && t->eos >= 0;
    t->prefix[0] = t->bos;
    t->suffix[0] = t->eos;
}

/* A text, or a list of {name, template} of which the default counts; a file of its own goes before.
 */
static rb_status read_chat_template(rb_json_loading *l, rb_text file)
{
    json_t *value = json_object_get(l->config, "chat_template"), *item;
    rb_text text = file;
    size_t i;
    if (!text.data && json_is_string(value))
        text = text_of(value);
    if (!text.data)
        json_array_foreach(value, i, item) if (rb_json_is(json_object_get(item, "name"), "default"))
            text = text_of(json_object_get(item, "template"));
    if (!text.data)
        return RB_OK;
    l->t->chat_template = malloc(text.n + 1);
    if (!l->t->chat_template)
        return rb_fail(l->err, RB_ERR_MEMORY, "%s: out of memory", l->label);
    memcpy(l->t->chat_template, text.data, text.n);
    l->t->chat_template[text.n] = 0;
    return RB_OK;
}

/* ---- the whole ---- */

static rb_status parse(rb_json_loading *l, rb_text text, const char *what, json_t **root)
{
    json_error_t where;
    *root = json_loadb(text.data ? text.data : "", text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
                       &where);
    if (*root)
        return RB_OK;
    return rb_fail(l->err, RB_ERR_FORMAT, "%s: %s is no JSON: %.200s (line %d)", l->label, what,
                   where.text, where.line);
}

static rb_status load(rb_json_loading *l, const rb_tokenizer_texts *texts)
{
    rb_status status = parse(l, texts->tokenizer, "tokenizer.json", &l->root);
    if (status == RB_OK && texts->config.data)
        status = parse(l, texts->config, "tokenizer_config.json", &l->config);
    if (status == RB_OK)
        status = check_model(l, json_object_get(l->root, "model"));
    if (status == RB_OK)
        status = rb_json_read_normalizer(l);
    if (status == RB_OK)
        status = rb_json_read_pre_tokenizer(l);
    if (status == RB_OK)
        status = read_model(l);
    if (status == RB_OK)
        status = rb_json_read_post_processor(l);
    if (status == RB_OK)
        status = read_specials(l);
    if (status != RB_OK)
        return status;
    read_affixes(l);
    rb_tokenizer_mark_ends(l->t, false);
    snprintf(l->t->kind, sizeof l->t->kind,
             l->t->family == RB_TOKENIZER_BYTES ? "bpe tokenizer.json" : "spm tokenizer.json");
    status = read_chat_template(l, texts->chat_template);
    return status == RB_OK ? rb_tokenizer_finish(l->t, l->label, l->err) : status;
}

rb_status rb_tokenizer_from_json(rb_tokenizer **t, const rb_tokenizer_texts *texts, rb_error *err)
{
    rb_json_loading l = { .t = calloc(1, sizeof *l.t), .label = texts->label, .err = err };
    *t = NULL;
    if (!l.t)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    l.t->bos = l.t->eos = l.t->unknown = -1;
    l.t->repairs = true;
    const rb_status status = load(&l, texts);
    json_decref(l.root);
    json_decref(l.config);
    if (status == RB_OK)
        *t = l.t;
    else
        rb_tokenizer_close(l.t);
    return status;
}
