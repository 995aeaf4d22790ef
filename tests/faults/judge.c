/* Looks at what a run said and left. Figures of time differ from run to run: texts are compared
 * without their numbers, files that are none of time by every byte.
 * Read next: faults.c. */
#define _GNU_SOURCE
#include "judge.h"

#include <ctype.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void defect(verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void defect(verdict *v, const char *fmt, ...)
{
    va_list args;
    if (v->defect[0])
        return; /* the first says it */
    va_start(args, fmt);
    vsnprintf(v->defect, sizeof v->defect, fmt, args);
    va_end(args);
    for (char *at = v->defect; (at = strchr(at, '\n'));)
        *at = '|';
}

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), k = strlen(end);
    return n >= k && !strcmp(name + n - k, end);
}

/* ---- texts without numbers ---- */

/* In place: numbers become '#', what fills columns becomes nothing. */
static void mask(char *text)
{
    char *to = text;
    for (const char *at = text; *at;) {
        if (isdigit((unsigned char)*at)) {
            at += strspn(at, "0123456789.,:eE+-");
            *to++ = '#';
        } else if (strchr(" -+", *at))
            at++;
        else
            *to++ = *at++;
    }
    *to = 0;
}

static bool same_text(const char *a, const char *b)
{
    char *x = strdup(a), *y = strdup(b);
    mask(x);
    mask(y);
    const bool same = !strcmp(x, y);
    free(x);
    free(y);
    return same;
}

/* ---- JSON ---- */

/* What is counted, and so the same whatever befell the run. */
static bool is_count(const char *key)
{
    static const char *const counts[] = { "flops",   "special",  "int_macs", "bf16_macs", "weight",
                                          "kv_read", "kv_write", "act_read", "act_write" };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (!strcmp(key, counts[i]))
            return true;
    return false;
}

/* Whether o says what ref does: the same fields, of which those that could not be found out are
 * null, the same counts, and no time of zero. Returns the field that differs, or NULL. */
static const char *json_differs(const json_t *o, const json_t *ref)
{
    const char *key, *bad = NULL;
    json_t *value;
    size_t i;
    if (json_is_null(o) || json_is_null(ref))
        return NULL;
    if (json_typeof(o) != json_typeof(ref) && !(json_is_number(o) && json_is_number(ref)) &&
        !(json_is_boolean(o) && json_is_boolean(ref)))
        return "type";
    json_object_foreach((json_t *)ref, key, value)
    {
        const json_t *mine = json_object_get(o, key);
        if (!mine || (is_count(key) && !json_equal(mine, value)))
            return key;
        if (!strcmp(key, "median_ns") && json_number_value(mine) <= 0)
            return key;
        if ((bad = json_differs(mine, value)))
            return strcmp(bad, "type") ? bad : key;
    }
    json_array_foreach(ref, i, value)
    {
        const json_t *mine = json_array_get(o, i);
        if (mine && (bad = json_differs(mine, value)))
            return bad;
    }
    return NULL;
}

/* NULL: the texts are one JSON with as many rows, or not JSON but alike. */
static const char *text_differs(const char *text, const char *ref)
{
    json_t *a = json_loads(text, 0, NULL), *b = json_loads(ref, 0, NULL);
    const char *bad =
        b ? (!a || json_array_size(a) != json_array_size(b)) ? "number of rows" : json_differs(a, b)
          : (same_text(text, ref) ? NULL : "text");
    static char kept[64];
    snprintf(kept, sizeof kept, "%s", bad ? bad : "");
    json_decref(a);
    json_decref(b);
    return bad ? kept : NULL;
}

/* Of lines of JSON. */
static const char *lines_differ(const char *text, const char *ref)
{
    const char *bad = NULL;
    while (!bad && (*text || *ref)) {
        const size_t n = strcspn(text, "\n"), k = strcspn(ref, "\n");
        char *a = strndup(text, n), *b = strndup(ref, k);
        bad = text_differs(a, b);
        free(a);
        free(b);
        text += n + (text[n] == '\n');
        ref += k + (ref[k] == '\n');
    }
    return bad;
}

/* ---- files ---- */

/* Records: lines of JSON, each with its version. Returns how many; -1: one is none. */
static int count_records(const char *text, size_t n)
{
    int records = 0;
    for (const char *end, *at = text; at < text + n; at = end + 1) {
        end = memchr(at, '\n', n - (size_t)(at - text));
        json_t *o = end ? json_loadb(at, (size_t)(end - at), 0, NULL) : NULL;
        const bool whole = o && json_integer_value(json_object_get(o, "schema_version")) == 1;
        json_decref(o);
        if (!whole)
            return -1;
        records++;
    }
    return records;
}

static bool is_json(const char *text)
{
    json_t *o = json_loads(text, JSON_ALLOW_NUL, NULL);
    json_decref(o);
    return o != NULL;
}

/* Ends as files of its kind do. */
static bool is_whole(const file *f)
{
    const char *tail = f->n > 16 ? f->text + f->n - 16 : f->text;
    if (ends_with(f->name, ".svg"))
        return ends_with(tail, "</svg>\n");
    if (ends_with(f->name, ".html"))
        return ends_with(tail, "</html>\n");
    if (ends_with(f->name, ".png"))
        return f->n > 16 && !memcmp(tail + 8, "IEND", 4);
    if (ends_with(f->name, ".json"))
        return is_json(f->text);
    return ends_with(f->name, ".jsonl") || (f->n && f->text[f->n - 1] == '\n');
}

static bool same_bytes(const file *a, const file *b)
{
    return a->n == b->n && !memcmp(a->text, b->text, a->n);
}

/* A file is as before, or whole. */
static void judge_file(const reference *ref, const file *f, bool all, verdict *v)
{
    const file *before = find_file(&ref->before, f->name), *after;
    after = find_file(&ref->after, f->name);
    if (!after) {
        v->n_partial++;
        defect(v, "leaves %s", f->name);
    } else if (before && same_bytes(before, f) && !all)
        return;
    else if (ref->same == EVERY_BYTE ? !same_bytes(f, after) : !is_whole(f)) {
        v->n_partial++;
        defect(v, "%s is not whole: %zu bytes of %zu", f->name, f->n, after->n);
    } else if (all && ref->same == BUT_TIMES && ends_with(f->name, "l")) {
        const char *bad = lines_differ(f->text, after->text);
        if (bad)
            defect(v, "%s is not what it is without the fault: %s", f->name, bad);
    }
}

/* Rows of a table in JSON; none where it is not whole. */
static int count_rows(const char *out)
{
    json_t *rows = json_loads(out, 0, NULL);
    const int n = (int)json_array_size(rows);
    json_decref(rows);
    return n;
}

/* Records of the folder: those of before, as they were, as many as were synced, and all that an
 * interrupted run shows. */
static void judge_records(const reference *ref, const folder *left, const outcome *o, verdict *v)
{
    const bool all = o->code == 0, interrupted = o->code >= 128 && o->code < KILLED;
    for (int i = 0; i < ref->after.n; i++) {
        const char *name = ref->after.at[i].name;
        if (!ends_with(name, ".jsonl"))
            continue;
        const file *before = find_file(&ref->before, name), *f = find_file(left, name);
        const int had = before ? count_records(before->text, before->n) : 0;
        const int has = f ? count_records(f->text, f->n) : 0;
        const int kept = (int)o->traced.n_kept, shown = interrupted ? count_rows(o->out) : 0;
        const int wants = all && ref->same != LESS
                              ? count_records(ref->after.at[i].text, ref->after.at[i].n)
                              : had + (kept > shown ? kept : shown);
        if (has < 0)
            defect(v, "%s holds what is no record", name);
        if (before && (!f || f->n < before->n || memcmp(f->text, before->text, before->n) != 0))
            defect(v, "%s: records of before are lost", name);
        v->n_lost += has < wants ? wants - has : 0;
        if (has < wants)
            defect(v, "%s holds %d records of %d", name, has, wants);
        if (all && has > had + kept)
            defect(v, "%s: %d records may not be on the disk", name, has - had - kept);
    }
}

/* ---- what was said ---- */

/* Complaints that a run without the fault does not have. Two that are equal count as many. */
static int count_complaints(const char *err, const char *usual, const char **first)
{
    int n = 0;
    *first = "";
    for (const char *at = err; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        char line[512];
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        if (strncmp(line, "rbench: ", 8) || strstr(usual, line) ||
            !strncmp(line, "rbench: left out: ", 18))
            continue;
        *first = n++ ? *first : at;
        const char *again = strstr(at + 1, line);
        n += again ? 100 : 0;
    }
    return n;
}

static void judge_words(const reference *ref, const outcome *o, const char *word, int lines,
                        verdict *v)
{
    const char *first;
    const int n = count_complaints(o->err, ref->outcome.err, &first);
    if (n < 1 || n > lines)
        defect(v, "says %d lines of why: %.300s", n, first);
    else if (word && !strstr(first, word))
        defect(v, "does not say '%s': %.300s", word, first);
}

/* Whether it says what it left out, and why. */
static bool is_explained(const reference *ref, const outcome *o, const char *word)
{
    const char *at = o->err;
    for (; word && (at = strstr(at, "rbench: left out: ")); at++) {
        char line[512];
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        if (strstr(line, word) && !strstr(ref->outcome.err, line))
            return true;
    }
    return false;
}

/* JSON to stdout is JSON, or nothing. */
static void judge_stdout(const reference *ref, const outcome *o, verdict *v)
{
    if (strchr("[{", ref->outcome.out[0]) && is_json(ref->outcome.out) && o->out[0] &&
        !is_json(o->out))
        defect(v, "stdout is no JSON: %.100s", o->out);
}

static bool is_among(int code, const int *codes)
{
    while (*codes && *codes != code)
        codes++;
    return *codes != 0;
}

static const char *out_differs(const reference *ref, const char *out)
{
    if (ref->same == EVERY_BYTE)
        return strcmp(out, ref->outcome.out) ? "a byte" : NULL;
    return ref->same == BUT_TIMES ? text_differs(out, ref->outcome.out) : NULL;
}

verdict judge(const reference *ref, const outcome *o, const folder *left, const int *codes,
              const char *word, int lines)
{
    verdict v = { .defect = "" };
    const bool all = o->code == 0, killed = o->code >= KILLED;
    if (o->code == HUNG)
        defect(&v, "hangs");
    else if (!all && !is_among(o->code, codes))
        defect(&v, "exits %d%s: %.200s", o->code, killed ? " (killed)" : "", o->err);
    const char *bad = all ? out_differs(ref, o->out) : NULL;
    if (bad)
        defect(&v, "exits 0, but stdout is not what it is without the fault: %s", bad);
    const bool less = ref->same == LESS && is_explained(ref, o, word);
    for (int i = 0; i < ref->after.n && all && !less; i++)
        if (!find_file(left, ref->after.at[i].name))
            defect(&v, "exits 0 without %s", ref->after.at[i].name);
    if (!all && !killed && o->code < 128)
        judge_words(ref, o, word, lines, &v);
    if (!killed)
        judge_stdout(ref, o, &v);
    if (o->traced.n_left_open)
        defect(&v, "leaves %d files open", o->traced.n_left_open);
    if (o->traced.renamed_early)
        defect(&v, "a file has its name before it is on the disk");
    for (int i = 0; i < ref->before.n; i++)
        if (!find_file(left, ref->before.at[i].name))
            defect(&v, "%s of before is gone", ref->before.at[i].name);
    for (int i = 0; i < left->n; i++)
        judge_file(ref, &left->at[i], all, &v);
    judge_records(ref, left, o, &v);
    return v;
}
