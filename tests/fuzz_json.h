/* Changes JSON as a tree, for fuzzers whose inputs are JSON: bytes alone seldom give an input that
 * still parses. Half of all changes; the others are libFuzzer's. What follows a zero is left, or,
 * behind a head of FUZZ_JSON_HEAD bytes, what follows as many bytes as its last eight say.
 * Defines LLVMFuzzerCustomMutator. Read next: fuzz_vocab_json.c. */
#ifndef RB_FUZZ_JSON_H
#define RB_FUZZ_JSON_H

#include "fuzz_seeds.h"

#include <jansson.h>

#ifndef FUZZ_JSON_HEAD
#define FUZZ_JSON_HEAD 0
#endif

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most); /* libFuzzer's */
/* libFuzzer asks for it by name. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

/* Where a value is: of an object by key, of an array by index. */
typedef struct fuzz_slot {
    json_t *in;
    const char *key;
    size_t index;
} fuzz_slot;
enum { FUZZ_SLOTS = 512 };

static inline void fuzz_list_slots(json_t *in, fuzz_slot *slot, int *n)
{
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach(in, key, value)
    {
        if (*n < FUZZ_SLOTS)
            slot[(*n)++] = (fuzz_slot){ in, key, 0 };
        fuzz_list_slots(value, slot, n);
    }
    json_array_foreach(in, i, value)
    {
        if (*n < FUZZ_SLOTS)
            slot[(*n)++] = (fuzz_slot){ in, NULL, i };
        fuzz_list_slots(value, slot, n);
    }
}

static inline json_t *fuzz_at(const fuzz_slot *s)
{
    return s->key ? json_object_get(s->in, s->key) : json_array_get(s->in, s->index);
}

static inline void fuzz_set(const fuzz_slot *s, json_t *value)
{
    if (s->key)
        json_object_set_new(s->in, s->key, value);
    else
        json_array_set_new(s->in, s->index, value);
}

/* A value beside all expectations, or beside the one that was there. */
static inline json_t *fuzz_other(const json_t *old, unsigned random)
{
    const json_int_t at = json_integer_value(old);
    const unsigned step = random / 16;
    switch (random % 16) {
    case 0:
        return json_null();
    case 1:
        return json_true();
    case 2:
        return json_false();
    case 3:
        return json_array();
    case 4:
        return json_object();
    case 5:
        return json_string(step & 1 ? "" : "\xE2\x96\x81");
    case 6:
        return json_real(step & 1 ? 1e300 : -0.5);
    case 7:
        return json_integer(step & 1 ? INT64_MAX : INT64_MIN);
    case 8:
        return json_integer(step & 1 ? 0 : -1);
    case 9:
        return json_integer((json_int_t)1 << step % 63);
    case 10:
        return json_real(json_number_value(old) * (step & 1 ? 0.5 : 3));
    default:
        return json_integer(llabs(at / 2) < INT32_MAX ? at + (step & 1 ? 1 : -1) : at / 2);
    }
}

static inline void fuzz_change(const fuzz_slot *slot, int n, unsigned random)
{
    const fuzz_slot *to = &slot[random % (unsigned)n];
    const fuzz_slot *from = &slot[random / 8191 % (unsigned)n];
    json_t *copy = json_deep_copy(fuzz_at(from));
    switch (random % 6) {
    case 0:
        fuzz_set(to, copy);
        return;
    case 1:
        if (to->key && from->key)
            json_object_set(to->in, from->key, copy);
        else if (!to->key)
            json_array_insert(to->in, to->index, copy);
        break;
    case 2:
        if (to->key)
            json_object_del(to->in, to->key);
        else
            json_array_remove(to->in, to->index);
        break;
    default:
        fuzz_set(to, fuzz_other(fuzz_at(to), random / 7));
    }
    json_decref(copy);
}

/* Bytes of JSON at the start of n behind the head. */
static inline size_t fuzz_json_bytes(const uint8_t *json, size_t n)
{
    uint64_t told = n;
    const uint8_t *zero = FUZZ_JSON_HEAD ? NULL : memchr(json, 0, n);
    if (FUZZ_JSON_HEAD)
        memcpy(&told, json - sizeof told, sizeof told);
    return zero ? (size_t)(zero - json) : told < n ? (size_t)told : n;
}

/* JSON with one change, to be freed; NULL: it is none. */
static inline char *fuzz_changed(const uint8_t *json, size_t n_json, unsigned random)
{
    static fuzz_slot slot[FUZZ_SLOTS];
    const size_t flags = JSON_DECODE_ANY | JSON_ENCODE_ANY | JSON_COMPACT;
    int n = 0;
    json_t *root = json_loadb((const char *)json, n_json, flags, NULL);
    fuzz_list_slots(root, slot, &n);
    if (n > 0)
        fuzz_change(slot, n, random);
    char *text = n > 0 ? json_dumps(root, flags) : NULL;
    json_decref(root);
    return text;
}

/* libFuzzer asks for it by name. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    const unsigned random = seed * 2654435761u ^ seed >> 15;
    uint8_t *json = data + FUZZ_JSON_HEAD;
    const size_t n_json = size > FUZZ_JSON_HEAD ? fuzz_json_bytes(json, size - FUZZ_JSON_HEAD) : 0;
    const size_t n_rest = size - FUZZ_JSON_HEAD - n_json;
    char *text = n_json && random & 64 ? fuzz_changed(json, n_json, random >> 7) : NULL;
    const uint64_t n_text = text ? strlen(text) : 0;
    if (!text || FUZZ_JSON_HEAD + n_text + n_rest > most) {
        free(text);
        return LLVMFuzzerMutate(data, size, most);
    }
    memmove(json + n_text, json + n_json, n_rest);
    memcpy(json, text, n_text);
    if (FUZZ_JSON_HEAD)
        memcpy(json - sizeof n_text, &n_text, sizeof n_text);
    free(text);
    return FUZZ_JSON_HEAD + n_text + n_rest;
}

#endif
