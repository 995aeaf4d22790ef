/* A tokenizer from the metadata of a GGUF file: tokenizer.ggml.* keys, read as llama.cpp reads
 * them. Reads no tensor. Refuses vocabularies that are neither byte-level BPE nor SentencePiece,
 * and pre-tokenizers that are not in split_rules.c, by name. Read next: gguf_array.c. */
#define _GNU_SOURCE /* strcasestr */
#include "gguf_array.h"
#include "tokenizer_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY(name) "tokenizer.ggml." name

enum { MAX_CHAT_TEMPLATE = 1 << 22 };

/* What is read of the file, while it is read. */
typedef struct loading {
    rb_gguf g;
    const char *label;
    rb_gguf_array tokens, scores, types, merges;
    rb_text *text;
    uint8_t *kind;
    rb_error *err;
} loading;

static rb_status read_array(loading *l, const char *key, rb_gguf_type type, uint64_t most,
                            rb_gguf_array *a)
{
    const rb_gguf_kv *kv = rb_gguf_find_kv(&l->g, key);
    if (!kv)
        return rb_fail(l->err, RB_ERR_FORMAT, "%s: no key '%s', which its tokenizer needs",
                       l->label, key);
    return rb_gguf_array_read(a, &l->g, kv, type, most, l->err);
}

/* ---- single keys ---- */

/* The string of a key; NULL: none. */
static const char *text_of(const loading *l, const char *key)
{
    const rb_gguf_kv *kv = rb_gguf_find_kv(&l->g, key);
    return kv && kv->type == RB_GGUF_STRING ? kv->text : NULL;
}

static bool flag_of(const loading *l, const char *key, bool otherwise)
{
    const rb_gguf_kv *kv = rb_gguf_find_kv(&l->g, key);
    return kv && kv->type == RB_GGUF_BOOL ? kv->integer != 0 : otherwise;
}

/* The token of a key; if it has none that exists: otherwise, if that exists. */
static int32_t id_of(const loading *l, const rb_tokenizer *t, const char *key, int32_t otherwise)
{
    const rb_gguf_kv *kv = rb_gguf_find_kv(&l->g, key);
    if (kv && rb_gguf_is_integer(kv) && kv->integer >= 0 && kv->integer < t->vocab.n)
        return (int32_t)kv->integer;
    return otherwise < t->vocab.n ? otherwise : -1;
}

/* ---- the vocabulary ---- */

/* ggml's numbers of token types. */
static uint8_t kind_of_type(uint32_t type)
{
    static const uint8_t kinds[] = {
        0, RB_TOKEN_NORMAL, RB_TOKEN_UNKNOWN, RB_TOKEN_CONTROL, RB_TOKEN_USER, 0, RB_TOKEN_BYTE
    };
    return type < sizeof kinds ? kinds[type] : 0;
}

static uint32_t u32_at(const rb_gguf_array *a, uint64_t i)
{
    uint32_t u;
    memcpy(&u, a->item + 4 * i, sizeof u);
    return u;
}

static rb_status read_kinds(loading *l, uint64_t n)
{
    l->kind = malloc(n + 1);
    if (!l->kind)
        return rb_fail(l->err, RB_ERR_MEMORY, "%s: out of memory", l->label);
    memset(l->kind, RB_TOKEN_NORMAL, n);
    if (!rb_gguf_find_kv(&l->g, KEY("token_type")))
        return RB_OK;
    rb_status status = read_array(l, KEY("token_type"), RB_GGUF_I32, RB_MAX_VOCAB, &l->types);
    if (status == RB_OK && l->types.n < n)
        status = rb_fail(l->err, RB_ERR_FORMAT,
                         "%s: types of %" PRIu64 " tokens, of which there are %" PRIu64, l->label,
                         l->types.n, n);
    for (uint64_t i = 0; status == RB_OK && i < n; i++)
        l->kind[i] = kind_of_type(u32_at(&l->types, i));
    return status;
}

static rb_status read_scores(loading *l, uint64_t n)
{
    rb_status status = read_array(l, KEY("scores"), RB_GGUF_F32, RB_MAX_VOCAB, &l->scores);
    if (status == RB_OK && l->scores.n < n)
        status = rb_fail(l->err, RB_ERR_FORMAT,
                         "%s: scores of %" PRIu64 " tokens, of which there are %" PRIu64, l->label,
                         l->scores.n, n);
    for (uint64_t i = 0; status == RB_OK && i < n; i++) {
        const uint32_t u = u32_at(&l->scores, i);
        float f;
        memcpy(&f, &u, sizeof f);
        if (isnan(f))
            status = rb_fail(l->err, RB_ERR_FORMAT,
                             "%s: the score of token %" PRIu64 " is no number", l->label, i);
    }
    return status;
}

static rb_status read_vocab(loading *l, rb_tokenizer *t)
{
    const bool scored = t->family == RB_TOKENIZER_SCORES;
    float *score = NULL;
    rb_status status = read_array(l, KEY("tokens"), RB_GGUF_STRING, RB_MAX_VOCAB, &l->tokens);
    const uint64_t n = l->tokens.n;
    if (status == RB_OK)
        status = rb_gguf_array_texts(&l->tokens, l->label, &l->text, l->err);
    if (status == RB_OK)
        status = read_kinds(l, n);
    if (status == RB_OK && scored)
        status = read_scores(l, n);
    if (status == RB_OK && scored) {
        score = malloc((n + 1) * sizeof *score);
        if (!score)
            return rb_fail(l->err, RB_ERR_MEMORY, "%s: out of memory", l->label);
        memcpy(score, l->scores.item, n * sizeof *score);
    }
    if (status == RB_OK)
        status = rb_vocab_make(&t->vocab, l->text, l->kind, score, (int64_t)n, l->label, l->err);
    free(score);
    return status;
}

/* "left right", parted at the first blank behind the first byte. */
static rb_status read_merges(loading *l, rb_tokenizer *t)
{
    rb_text *merge = NULL;
    rb_status status = read_array(l, KEY("merges"), RB_GGUF_STRING, RB_MAX_MERGE, &l->merges);
    if (status == RB_OK)
        status = rb_gguf_array_texts(&l->merges, l->label, &merge, l->err);
    if (status == RB_OK)
        status = rb_merge_table_make(&t->merges, (int64_t)l->merges.n, l->err);
    for (uint64_t i = 0; status == RB_OK && i < l->merges.n; i++) {
        const rb_text s = merge[i];
        const char *gap = s.n > 1 ? memchr(s.data + 1, ' ', s.n - 1) : NULL;
        if (!gap) {
            status = rb_fail(l->err, RB_ERR_FORMAT, "%s: merge %" PRIu64 " is not two tokens",
                             l->label, i);
            break;
        }
        const size_t n = (size_t)(gap - s.data);
        status =
            rb_merge_table_add(&t->merges, &t->vocab, (rb_text){ s.data, n },
                               (rb_text){ gap + 1, s.n - n - 1 }, (uint32_t)i, l->label, l->err);
    }
    free(merge);
    return status;
}

/* ---- special tokens ---- */

/* Phi-3's take the white space behind them; no key says so, only the model's name. */
static void strip_behind(const loading *l, rb_tokenizer *t)
{
    static const char *const not [] = { "<unk>", "<s>", "<|endoftext|>" };
    const char *name = text_of(l, "general.name");
    if (!name || (!strcasestr(name, "phi-3") && !strcasestr(name, "phi3")))
        return;
    const uint8_t special = RB_TOKEN_CONTROL | RB_TOKEN_USER | RB_TOKEN_UNKNOWN;
    const int32_t end = rb_vocab_find(&t->vocab, "</s>", 4);
    for (int64_t i = 0; i < t->vocab.n; i++)
        if ((t->vocab.kind[i] & special) || i == end)
            t->vocab.kind[i] |= RB_TOKEN_RSTRIP;
    for (size_t i = 0; i < sizeof not / sizeof *not ; i++) {
        const int32_t id = rb_vocab_find(&t->vocab, not [i], strlen(not [i]));
        if (id >= 0)
            t->vocab.kind[id] &= (uint8_t)~RB_TOKEN_RSTRIP;
    }
}

static rb_status list_specials(loading *l, rb_tokenizer *t)
{
    const uint8_t special = RB_TOKEN_CONTROL | RB_TOKEN_USER | RB_TOKEN_UNKNOWN;
    rb_specials *s = &t->special[0];
    size_t n = 0;
    for (int64_t i = 0; i < t->vocab.n; i++)
        n += (t->vocab.kind[i] & special) && t->vocab.token[i].n > 0;
    s->item = malloc((n + 1) * sizeof *s->item);
    if (!s->item)
        return rb_fail(l->err, RB_ERR_MEMORY, "%s: out of memory", l->label);
    for (int64_t i = 0; i < t->vocab.n; i++)
        if ((t->vocab.kind[i] & special) && t->vocab.token[i].n > 0)
            s->item[s->n++] = (rb_special){ t->vocab.token[i], (int32_t)i };
    rb_specials_sort(s);
    return RB_OK;
}

/* ids that a key names as what ends generation. */
static void mark_named_ends(const loading *l, rb_tokenizer *t)
{
    static const char *const keys[] = { KEY("eot_token_id"), KEY("eom_token_id"),
                                        KEY("fim_pad_token_id"), KEY("fim_rep_token_id"),
                                        KEY("fim_sep_token_id") };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const int32_t id = id_of(l, t, keys[i], -1);
        if (id >= 0)
            t->vocab.kind[id] |= RB_TOKEN_END;
    }
}

static rb_status set_affixes(loading *l, rb_tokenizer *t, bool adds_bos)
{
    if (flag_of(l, KEY("add_bos_token"), adds_bos)) {
        if (t->bos < 0)
            return rb_fail(l->err, RB_ERR_FORMAT, "%s: a BOS token is wanted, but there is none",
                           l->label);
        t->prefix[t->n_prefix++] = t->bos;
    }
    if (flag_of(l, KEY("add_eos_token"), false)) {
        if (t->eos < 0)
            return rb_fail(l->err, RB_ERR_FORMAT, "%s: an EOS token is wanted, but there is none",
                           l->label);
        t->suffix[t->n_suffix++] = t->eos;
    }
    return RB_OK;
}

/* ---- families ---- */

static rb_status load_bytes(loading *l, rb_tokenizer *t)
{
    const char *pre = text_of(l, KEY("pre"));
    rb_pre_defaults defaults;
    t->family = RB_TOKENIZER_BYTES;
    pre = pre && *pre ? pre : "default";
    if (!rb_pretokenizer_by_name(&t->pre, pre, &defaults)) {
        char names[420];
        rb_pretokenizer_names(names, sizeof names);
        return rb_fail(l->err, RB_ERR_UNSUPPORTED, "%s: the pre-tokenizer '%.24s' is not one of %s",
                       l->label, pre, names);
    }
    snprintf(t->kind, sizeof t->kind, "bpe %.32s", pre);
    t->ignore_merges = defaults.ignore_merges;
    rb_status status = read_vocab(l, t);
    if (status == RB_OK)
        status = read_merges(l, t);
    if (status != RB_OK)
        return status;
    t->bos = id_of(l, t, KEY("bos_token_id"), 11);
    t->eos = id_of(l, t, KEY("eos_token_id"), 11);
    return set_affixes(l, t, defaults.adds_bos);
}

static rb_status load_scores(loading *l, rb_tokenizer *t)
{
    t->family = RB_TOKENIZER_SCORES;
    snprintf(t->kind, sizeof t->kind, "spm");
    rb_status status = read_vocab(l, t);
    if (status != RB_OK)
        return status;
    t->blank = flag_of(l, KEY("add_space_prefix"), true) ? RB_BLANK_ALWAYS : RB_BLANK_NEVER;
    t->bos = id_of(l, t, KEY("bos_token_id"), 1);
    t->eos = id_of(l, t, KEY("eos_token_id"), 2);
    t->unknown = id_of(l, t, KEY("unknown_token_id"), 0);
    return set_affixes(l, t, true);
}

static rb_status load_family(loading *l, rb_tokenizer *t)
{
    const char *model = text_of(l, KEY("model"));
    if (!model || !strcmp(model, "no_vocab") || !strcmp(model, "none"))
        return rb_fail(l->err, RB_ERR_UNSUPPORTED, "%s: it has no tokenizer", l->label);
    if (!strcmp(model, "gpt2"))
        return load_bytes(l, t);
    if (!strcmp(model, "llama"))
        return load_scores(l, t);
    return rb_fail(l->err, RB_ERR_UNSUPPORTED,
                   "%s: a tokenizer of the kind '%.32s'; only 'gpt2' (byte-level BPE) and 'llama' "
                   "(SentencePiece) are done here",
                   l->label, model);
}

static rb_status load(loading *l, rb_tokenizer *t)
{
    rb_status status = load_family(l, t);
    if (status != RB_OK)
        return status;
    mark_named_ends(l, t);
    rb_tokenizer_mark_ends(t, true);
    strip_behind(l, t);
    rb_tokenizer_map_bytes(t);
    status = list_specials(l, t);
    if (status == RB_OK)
        status = rb_tokenizer_finish(t, l->label, l->err);
    const rb_gguf_kv *chat = rb_gguf_find_kv(&l->g, "tokenizer.chat_template");
    if (status == RB_OK && chat)
        status = rb_gguf_text_read(&t->chat_template, &l->g, chat, MAX_CHAT_TEMPLATE, l->err);
    return status;
}

rb_status rb_tokenizer_from_gguf(rb_tokenizer **t, rb_source source, const char *path,
                                 rb_error *err)
{
    loading l = { .err = err };
    *t = NULL;
    rb_status status = rb_gguf_open(&l.g, source, path, err);
    rb_tokenizer *made = status == RB_OK ? calloc(1, sizeof *made) : NULL;
    if (made) {
        made->bos = made->eos = made->unknown = -1;
        l.label = l.g.file[0].label;
        status = load(&l, made);
    } else if (status == RB_OK) {
        status = rb_fail(err, RB_ERR_MEMORY, "out of memory");
    }
    free(l.text);
    free(l.kind);
    rb_gguf_array_free(&l.tokens);
    rb_gguf_array_free(&l.scores);
    rb_gguf_array_free(&l.types);
    rb_gguf_array_free(&l.merges);
    rb_gguf_close(&l.g);
    if (status == RB_OK)
        *t = made;
    else
        rb_tokenizer_close(made);
    return status;
}
