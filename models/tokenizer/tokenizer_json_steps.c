/* What tokenizer.json does to a text before and after its model: recognised step by step.
 * A step that is not one of these, or has an option that is not done here, is refused by name; so
 * are orders of steps that would mean something else. Read next: split_rules.c. */
#include "tokenizer_json.h"

#include <string.h>

static const char blank[] = "\xE2\x96\x81";

enum { MAX_STEP = 16 };

/* Steps in their order, without the sequences that hold them. */
typedef struct steps {
    json_t *step[MAX_STEP];
    int n;
} steps;

/* value: null, a step, or a Sequence, whose steps are under the key. */
static rb_status flatten(rb_json_loading *l, json_t *value, const char *key, steps *s)
{
    json_t *list = value, *step;
    size_t i;
    if (!value || json_is_null(value))
        return RB_OK;
    if (rb_json_is(json_object_get(value, "type"), "Sequence"))
        list = json_object_get(value, key);
    if (!json_is_array(list)) {
        s->step[s->n++] = value;
        return RB_OK;
    }
    json_array_foreach(list, i, step)
    {
        if (s->n == MAX_STEP)
            return rb_fail(l->err, RB_ERR_UNSUPPORTED, "%s: more than %d %s", l->label, MAX_STEP,
                           key);
        s->step[s->n++] = step;
    }
    return RB_OK;
}

static const char *type_of(const json_t *step)
{
    return rb_json_text(step, "type");
}

static rb_status refuse(rb_json_loading *l, const char *what, const json_t *step, const char *why)
{
    return rb_fail(l->err, RB_ERR_UNSUPPORTED, "%s: the %s '%.32s'%s", l->label, what,
                   type_of(step), why);
}

/* ---- normalizer ---- */

static bool is_replace_blank(const json_t *step)
{
    return !strcmp(type_of(step), "Replace") &&
           rb_json_is(json_object_get(json_object_get(step, "pattern"), "String"), " ") &&
           rb_json_is(json_object_get(step, "content"), blank);
}

rb_status rb_json_read_normalizer(rb_json_loading *l)
{
    steps s = { 0 };
    rb_status status = flatten(l, json_object_get(l->root, "normalizer"), "normalizers", &s);
    for (int i = 0; i < s.n && status == RB_OK; i++) {
        const json_t *step = s.step[i];
        if (!strcmp(type_of(step), "NFC") && s.n == 1)
            l->t->composes = true;
        else if (!strcmp(type_of(step), "Prepend") && i == 0 && s.n == 2 &&
                 rb_json_is(json_object_get(step, "prepend"), blank))
            l->t->blank = RB_BLANK_ALWAYS;
        else if (is_replace_blank(step) && i == s.n - 1 && (i == 0 || l->t->blank))
            l->replaces_blanks = l->t->spaces_first = true;
        else
            status = refuse(l, "normalizer", step,
                            " is not done here, or not at its place; NFC is, and what "
                            "SentencePiece models do to blanks");
    }
    if (status == RB_OK && l->t->blank && !l->replaces_blanks)
        status = refuse(l, "normalizer", s.step[0], " is only done here before Replace");
    return status;
}

/* ---- pre_tokenizer ---- */

static rb_status add_rule(rb_json_loading *l, const char *pattern)
{
    rb_pretokenizer *p = &l->t->pre;
    const rb_split_rule *rule = rb_split_rule_of(pattern);
    if (!rule)
        return rb_fail(l->err, RB_ERR_UNSUPPORTED,
                       "%s: the pre_tokenizer splits by the expression '%.160s', which is not one "
                       "of those known here",
                       l->label, pattern);
    if (p->n_rule == RB_MAX_SPLIT)
        return rb_fail(l->err, RB_ERR_UNSUPPORTED, "%s: more than %d splits", l->label,
                       RB_MAX_SPLIT);
    p->rule[p->n_rule++] = rule;
    return RB_OK;
}

static rb_status read_split(rb_json_loading *l, const json_t *step)
{
    const json_t *pattern = json_object_get(step, "pattern");
    if (!json_is_false(json_object_get(step, "invert")))
        return refuse(l, "pre_tokenizer", step, " is inverted, which is not done here");
    if (l->replaces_blanks && rb_json_is(json_object_get(pattern, "String"), " "))
        return RB_OK; /* there are none left */
    if (!rb_json_is(json_object_get(step, "behavior"), "Isolated"))
        return refuse(l, "pre_tokenizer", step, " has another behavior than 'Isolated'");
    return add_rule(l, rb_json_text(pattern, "Regex"));
}

static rb_status read_byte_level(rb_json_loading *l, const json_t *step)
{
    if (json_is_true(json_object_get(step, "add_prefix_space")))
        return refuse(l, "pre_tokenizer", step, " adds a blank, which is not done here");
    l->t->family = RB_TOKENIZER_BYTES;
    if (json_is_false(json_object_get(step, "use_regex")))
        return RB_OK;
    return add_rule(l, "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
                       "|\\s+(?!\\S)|\\s+");
}

static rb_status read_metaspace(rb_json_loading *l, const json_t *step)
{
    const char *scheme = rb_json_text(step, "prepend_scheme");
    const bool adds = json_is_true(json_object_get(step, "add_prefix_space"));
    if (!rb_json_is(json_object_get(step, "replacement"), blank) || l->replaces_blanks)
        return refuse(l, "pre_tokenizer", step, " is only done here with U+2581 for blanks, once");
    if (!strcmp(scheme, "always") || (!*scheme && adds))
        l->t->blank = RB_BLANK_MISSING;
    else if (!strcmp(scheme, "first"))
        l->t->blank = RB_BLANK_AT_START;
    else if (*scheme && strcmp(scheme, "never") != 0)
        return refuse(l, "pre_tokenizer", step, " has an unknown prepend_scheme");
    l->t->splits_blanks = !json_is_false(json_object_get(step, "split"));
    return RB_OK;
}

rb_status rb_json_read_pre_tokenizer(rb_json_loading *l)
{
    steps s = { 0 };
    bool is_metaspace = false;
    l->t->family = RB_TOKENIZER_CHARS;
    rb_status status = flatten(l, json_object_get(l->root, "pre_tokenizer"), "pretokenizers", &s);
    for (int i = 0; i < s.n && status == RB_OK; i++) {
        const json_t *step = s.step[i];
        const char *type = type_of(step);
        if (!strcmp(type, "ByteLevel") && i == s.n - 1) {
            status = read_byte_level(l, step);
        } else if (!strcmp(type, "Metaspace") && s.n == 1) {
            is_metaspace = true;
            status = read_metaspace(l, step);
        } else if (!strcmp(type, "Split")) {
            status = read_split(l, step);
        } else if (!strcmp(type, "Digits")) {
            const bool single = json_is_true(json_object_get(step, "individual_digits"));
            status = add_rule(l, single ? "\\p{N}" : "\\p{N}+");
        } else {
            status = refuse(l, "pre_tokenizer", step, " is not done here, or not at its place");
        }
    }
    if (status != RB_OK)
        return status;
    const bool is_bytes = l->t->family == RB_TOKENIZER_BYTES;
    if (is_bytes ? l->replaces_blanks
                 : l->t->pre.n_rule > 0 || !(l->replaces_blanks || is_metaspace))
        return rb_fail(l->err, RB_ERR_UNSUPPORTED,
                       "%s: neither a byte-level tokenizer (its last pre_tokenizer is ByteLevel) "
                       "nor one of SentencePiece (Replace or Metaspace, and no splits)",
                       l->label);
    return RB_OK;
}

/* ---- post_processor ---- */

static rb_status add_affix(rb_json_loading *l, const json_t *known, const char *name, bool before)
{
    int32_t *affix = before ? l->t->prefix : l->t->suffix;
    int *n = before ? &l->t->n_prefix : &l->t->n_suffix;
    const json_t *ids = json_object_get(json_object_get(known, name), "ids"), *id;
    size_t i;
    if (!json_is_array(ids))
        return rb_fail(l->err, RB_ERR_FORMAT, "%s: the post_processor has no ids of '%.40s'",
                       l->label, name);
    json_array_foreach(ids, i, id)
    {
        const json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= l->t->vocab.n || *n == RB_MAX_AFFIX)
            return rb_fail(l->err, RB_ERR_FORMAT,
                           "%s: the post_processor adds '%.40s' by an id that is none, or more "
                           "than %d tokens",
                           l->label, name, RB_MAX_AFFIX);
        affix[(*n)++] = (int32_t)value;
    }
    return RB_OK;
}

static rb_status read_template(rb_json_loading *l, const json_t *step)
{
    const json_t *known = json_object_get(step, "special_tokens"), *item;
    size_t i;
    bool before = true;
    rb_status status = RB_OK;
    json_array_foreach(json_object_get(step, "single"), i, item)
    {
        const json_t *special = json_object_get(item, "SpecialToken");
        if (json_object_get(item, "Sequence"))
            before = false;
        else if (status == RB_OK)
            status = add_affix(l, known, rb_json_text(special, "id"), before);
    }
    return status;
}

rb_status rb_json_read_post_processor(rb_json_loading *l)
{
    steps s = { 0 };
    rb_status status = flatten(l, json_object_get(l->root, "post_processor"), "processors", &s);
    for (int i = 0; i < s.n && status == RB_OK; i++) {
        if (!strcmp(type_of(s.step[i]), "TemplateProcessing"))
            status = read_template(l, s.step[i]);
        else if (strcmp(type_of(s.step[i]), "ByteLevel") != 0)
            status = refuse(l, "post_processor", s.step[i], " is not done here");
    }
    return status;
}
