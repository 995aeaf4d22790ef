/* The embedded figures of the paper and files of the same form, by jansson: every field is asked
 * for, no other is taken, every number has a range. Which models are known is models' to say.
 * Refuses to fill in what a file lacks. Read next: data.h, devices.json, rates.json. */
#include "../bench.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* From the root of the tree, where the compiler runs; the Makefile knows both. */
__asm__(".pushsection .rodata\n"
        ".globl rb_paper_devices, rb_paper_rates\n"
        "rb_paper_devices: .incbin \"bench/paper/devices.json\"\n"
        ".byte 0\n"
        "rb_paper_rates: .incbin \"bench/paper/rates.json\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char rb_paper_devices[], rb_paper_rates[];

/* ---- fields ---- */

/* Where a reader is, for messages. */
typedef struct at {
    const char *file, *list;
    int i; /* of the list; < 0: at the top */
    rb_error *err;
} at;

static rb_status wrong(const at *a, const char *key, const char *what)
{
    if (a->i < 0)
        return rb_fail(a->err, RB_ERR_FORMAT, "%.200s: \"%.40s\" %s", a->file, key, what);
    return rb_fail(a->err, RB_ERR_FORMAT, "%.200s: %s %d: \"%.40s\" %s", a->file, a->list, a->i + 1,
                   key, what);
}

/* Whether o has just these n keys. */
static rb_status check_keys(const at *a, json_t *o, const char *const *keys, int n)
{
    const char *key;
    json_t *value;
    if (!json_is_object(o))
        return wrong(a, a->i < 0 ? "" : a->list, "is no object");
    for (int i = 0; i < n; i++)
        if (!json_object_get(o, keys[i]))
            return wrong(a, keys[i], "is missing");
    json_object_foreach(o, key, value)
    {
        bool known = false;
        for (int i = 0; i < n; i++)
            known |= strcmp(key, keys[i]) == 0;
        if (!known)
            return wrong(a, key, "is not known");
    }
    return RB_OK;
}

/* What can be printed on a line. */
static rb_status read_text(const at *a, json_t *o, const char *key, char *to, size_t size)
{
    const char *from = json_string_value(json_object_get(o, key));
    if (!from || !from[0])
        return wrong(a, key, "is no text");
    if (strlen(from) >= size)
        return wrong(a, key, "is too long");
    for (const char *c = from; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return wrong(a, key, "has a character that cannot be printed");
    memcpy(to, from, strlen(from) + 1);
    return RB_OK;
}

/* In (least, most], times scale. */
static bool number_of(const json_t *v, double least, double most, double *to)
{
    *to = json_number_value(v);
    return json_is_number(v) && isfinite(*to) && *to > least && *to <= most;
}

/* Two numbers; null, where it may be: 0. */
static rb_status read_pair(const at *a, json_t *o, const char *key, double scale, bool may_lack,
                           double *first, double *second)
{
    const double most = 1e9;
    json_t *pair = json_object_get(o, key);
    double *to[2] = { first, second };
    if (json_array_size(pair) != 2)
        return wrong(a, key, "is no pair");
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_array_get(pair, i);
        *to[i] = 0;
        if (json_is_null(v) && may_lack)
            continue;
        if (!number_of(v, 0, most, to[i]))
            return wrong(a, key, "has a number that is not above 0 and at most 1e9");
        *to[i] *= scale;
    }
    return RB_OK;
}

/* ---- files ---- */

enum { MAX_FILE = 4 << 20 }; /* bytes */

/* From a file, or from text where path is NULL; to be released. */
static rb_status load(const at *a, const char *path, const char *text, json_t **o)
{
    json_error_t why;
    char *read = NULL;
    size_t n = path ? 0 : strlen(text);
    *o = NULL;
    const rb_status st = path ? rb_text_of_file(path, MAX_FILE, &read, &n, a->err) : RB_OK;
    if (st != RB_OK)
        return st;
    *o = json_loadb(path ? read : text, n, JSON_REJECT_DUPLICATES, &why);
    free(read);
    return *o ? RB_OK
              : rb_fail(a->err, RB_ERR_FORMAT, "%.200s:%d: not JSON: %.150s", a->file, why.line,
                        why.text);
}

typedef rb_status entry_fn(const at *a, json_t *o, void *to, int i);

/* Each of a list's entries, 1 to most of them. */
static rb_status read_list(at a, json_t *o, int most, entry_fn *entry, void *to, int *n)
{
    json_t *list = json_object_get(o, a.list);
    const size_t size = json_array_size(list);
    rb_status st = RB_OK;
    if (!size || size > (size_t)most)
        return wrong(&a, a.list, "is no list, or an empty one, or too long");
    for (*n = 0; *n < (int)size && st == RB_OK; *n += st == RB_OK) {
        a.i = *n;
        st = entry(&a, json_array_get(list, (size_t)*n), to, *n);
    }
    return st;
}

/* ---- devices ---- */

static rb_status read_device(const at *a, json_t *o, void *to, int i)
{
    static const char *const keys[] = { "name", "gbps", "fp16_tflops", "fp32_tflops", "ridge" };
    rb_device *d = &((rb_devices *)to)->at[i];
    const struct {
        const char *key;
        double scale, *to;
        bool may_lack;
    } pairs[] = { { "gbps", 1, d->gbps, false },
                  { "fp16_tflops", 1000, d->fp16_gflops, true },
                  { "fp32_tflops", 1000, d->fp32_gflops, true },
                  { "ridge", 1, d->ridge, true } };
    rb_status st = check_keys(a, o, keys, 5);
    if (st == RB_OK)
        st = read_text(a, o, "name", d->name, sizeof d->name);
    for (size_t k = 0; k < sizeof pairs / sizeof *pairs && st == RB_OK; k++)
        st = read_pair(a, o, pairs[k].key, pairs[k].scale, pairs[k].may_lack,
                       &pairs[k].to[RB_THEORY], &pairs[k].to[RB_MEASURED]);
    return st;
}

rb_status rb_devices_read(rb_devices *d, const char *path, rb_error *err)
{
    static const char *const keys[] = { "source", "devices" };
    const at a = { path ? path : "devices.json", "devices", -1, err };
    json_t *o;
    rb_status st = load(&a, path, rb_paper_devices, &o);
    if (st == RB_OK)
        st = check_keys(&a, o, keys, 2);
    if (st == RB_OK)
        st = read_text(&a, o, "source", d->source, sizeof d->source);
    if (st == RB_OK)
        st = read_list(a, o, RB_MOST_DEVICES, read_device, d, &d->n);
    json_decref(o);
    return st;
}

/* ---- rates ---- */

static rb_status read_rated(const at *a, json_t *o, void *to, int i)
{
    static const char *const keys[] = { "device", "model", "type", "siso", "liso", "silo", "lilo" };
    rb_rated *r = &((rb_rates *)to)->at[i];
    rb_status st = check_keys(a, o, keys, 7);
    if (st == RB_OK)
        st = read_text(a, o, "device", r->device, sizeof r->device);
    if (st == RB_OK)
        st = read_text(a, o, "model", r->model, sizeof r->model);
    if (st == RB_OK)
        st = read_text(a, o, "type", r->type, sizeof r->type);
    if (st == RB_OK && !rb_preset_find(r->model))
        return wrong(a, "model", "is no preset");
    if (st == RB_OK && !rb_mix_by_name(r->type))
        return wrong(a, "type", "is no type of a file");
    for (int w = 0; w < RB_N_WORKLOAD && st == RB_OK; w++)
        st = read_pair(a, o, rb_workload_infos[w].name, 1, false, &r->rate[w].prefill,
                       &r->rate[w].decode);
    return st;
}

rb_status rb_rates_read(rb_rates *r, const char *path, rb_error *err)
{
    static const char *const keys[] = { "source", "repetitions", "resident_bytes", "rates" };
    const at a = { path ? path : "rates.json", "rates", -1, err };
    json_t *o;
    double reps;
    rb_status st = load(&a, path, rb_paper_rates, &o);
    if (st == RB_OK)
        st = check_keys(&a, o, keys, 4);
    if (st == RB_OK)
        st = read_text(&a, o, "source", r->source, sizeof r->source);
    if (st == RB_OK && (!number_of(json_object_get(o, "repetitions"), 0, RB_MAX_REPS, &reps) ||
                        reps != floor(reps)))
        st = wrong(&a, "repetitions", "is no whole number from 1 to 1000");
    if (st == RB_OK &&
        !number_of(json_object_get(o, "resident_bytes"), -1, 1e15, &r->resident_bytes))
        st = wrong(&a, "resident_bytes", "is no number of bytes");
    if (st == RB_OK) {
        r->n_reps = (int)reps;
        r->given = path != NULL;
        st = read_list(a, o, RB_MOST_RATES, read_rated, r, &r->n);
    }
    json_decref(o);
    return st;
}

/* ---- roofs ---- */

bool rb_device_place_of(const rb_device *d, rb_basis basis, rb_precision precision, uint64_t flops,
                        uint64_t bytes, rb_device_place *place)
{
    const double bandwidth = d->gbps[basis];
    const double peak = (precision == RB_FP16 ? d->fp16_gflops : d->fp32_gflops)[basis];
    if (!(bandwidth > 0) || !(peak > 0) || !flops || !bytes)
        return false;
    *place = (rb_device_place){ .ridge = peak / bandwidth, .oi = (double)flops / (double)bytes };
    place->memory = place->oi < place->ridge;
    place->gflops = place->memory ? place->oi * bandwidth : peak;
    place->seconds = (double)flops / place->gflops / 1e9;
    return true;
}
