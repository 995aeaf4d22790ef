/* Fields that the paper's grid adds to records, and finding the records that belong together.
 * Refuses to tell a proxy of one test alone: it is of a prompt and of what is generated after it.
 * Read next: note.h, proxy.h (the formula). */
#include "../record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 128 }; /* that a process generates */

static const json_t *paper(const json_t *record)
{
    return json_object_get(record, "paper");
}

void rb_paper_mark(json_t *record, const rb_grid_set *set, const rb_model *model)
{
    const char *slash = set->type ? NULL : strrchr(set->model, '/');
    json_t *o = json_object();
    json_object_set_new(o, "part", rb_json_name(rb_part_name[set->part]));
    json_object_set_new(o, "model", rb_json_name(slash ? slash + 1 : set->model));
    json_object_set_new(
        o, "type", rb_json_name(set->type ? set->type : rb_dtype_get(rb_main_dtype(model))->name));
    json_object_set_new(record, "paper", o);
}

/* ---- which records belong together ---- */

static bool same_identity(const json_t *a, const json_t *b)
{
    bool whole[2];
    char *id = rb_record_identity(a, &whole[0]), *other = rb_record_identity(b, &whole[1]);
    const bool same = id && other && whole[0] && whole[1] && !strcmp(id, other);
    free(id);
    free(other);
    return same;
}

bool rb_paper_has(const json_t *records, const json_t *record)
{
    const char *part = rb_field_text(paper(record), "part");
    size_t i;
    json_t *r;
    json_array_foreach(records, i, r)
    {
        if (rb_record_finished(r) && !strcmp(rb_field_text(paper(r), "part"), part) &&
            same_identity(r, record))
            return true;
    }
    return false;
}

bool rb_paper_seems_to_have(const json_t *records, const json_t *record)
{
    json_t *probe = json_copy((json_t *)record), *r;
    bool found = false;
    size_t i;
    json_array_foreach(records, i, r)
    {
        if (found || !rb_record_finished(r) || !json_equal(paper(r), paper(record)))
            continue;
        json_object_set(probe, "env", json_object_get(r, "env"));
        found = same_identity(r, probe);
    }
    json_decref(probe);
    return found;
}

/* The tokens of a record's prompt, or before its decode steps; 0: it is no half of a process. */
static int64_t prompt_of(const json_t *r)
{
    const int64_t prompt = rb_field_int(r, "n_prompt"), depth = rb_field_int(r, "n_depth");
    return rb_field_int(r, "n_gen") ? depth : depth ? 0 : prompt;
}

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
    return !strcmp(rb_field_text(a, key), rb_field_text(b, key));
}

static bool same_process(const json_t *a, const json_t *b)
{
    static const char *const number[] = { "n_layer_run", "n_threads", "n_seq" };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        if (rb_field_int(a, number[i]) != rb_field_int(b, number[i]))
            return false;
    return json_equal(paper(a), paper(b)) && prompt_of(a) == prompt_of(b) &&
           same_text(a, b, "attn_variant") && same_text(a, b, "isa") &&
           same_text(json_object_get(a, "env"), json_object_get(b, "env"), "model_digest");
}

/* The last record of the other half of the process; NULL: there is none. */
static const json_t *partner(const json_t *record, const json_t *records)
{
    const bool decodes = rb_field_int(record, "n_gen") > 0;
    const json_t *found = NULL;
    size_t i;
    json_t *r;
    json_array_foreach(records, i, r)
    {
        if (rb_record_finished(r) && (rb_field_int(r, "n_gen") > 0) != decodes &&
            same_process(r, record))
            found = r;
    }
    return found;
}

/* ---- the proxy ---- */

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

/* Seconds of a test: its median, or an end (0, 1) of its interval; NaN: it has none. */
static double seconds(const json_t *r, int end)
{
    const json_t *v = end < 0 ? json_object_get(r, "median_ns")
                              : json_array_get(json_object_get(r, "ci95_ns"), (size_t)end);
    return json_is_number(v) ? json_number_value(v) / 1e9 : NAN;
}

/* A process but for its loading. */
static double runtime_s(const json_t *prefill, const json_t *decode, int end, int n_reps)
{
    const double step = seconds(decode, end) / (double)rb_field_int(decode, "n_gen");
    return (n_reps + 1) * seconds(prefill, end) + (n_reps * STEPS + 1) * step;
}

static double scratch(const json_t *r)
{
    return number(json_object_get(r, "memory"), "scratch");
}

static json_t *proxy_object(const rb_proxy *p, const rb_proxy_run *run, double load_s)
{
    json_t *o = json_object();
    json_object_set_new(o, "n_prompt", json_integer(run->n_prompt));
    json_object_set_new(o, "n_gen", json_integer(run->n_gen));
    json_object_set_new(o, "flops", rb_json_number(p->flops));
    json_object_set_new(o, "bytes", rb_json_number(p->bytes));
    json_object_set_new(o, "seconds", rb_json_number(p->seconds));
    json_object_set_new(o, "oi", rb_json_number(p->oi));
    json_object_set_new(o, "gflops", rb_json_number(p->gflops));
    json_object_set_new(o, "peak_bytes", rb_json_number(run->peak_bytes));
    json_object_set_new(o, "load_s", rb_json_number(load_s));
    return o;
}

void rb_paper_add_proxy(json_t *record, const json_t *records, const rb_model *model,
                        const rb_paper_opened *opened, int n_reps)
{
    const int64_t prompt = prompt_of(record);
    const json_t *other = prompt && rb_record_finished(record) ? partner(record, records) : NULL;
    if (!other || !rb_proxy_knows(&model->config))
        return;
    const bool decodes = rb_field_int(record, "n_gen") > 0;
    const json_t *decode = decodes ? record : other, *prefill = decodes ? other : record;
    const rb_proxy_sizes s = rb_proxy_sizes_of(model);
    const double steps = (double)rb_field_int(decode, "n_gen");
    const double layers = (double)rb_field_int(record, "n_layer_run");
    const double weights = s.around + layers * s.layer;
    const double load_s =
        opened->s / opened->n_form * weights / (s.around + (double)s.n_layer * s.layer);
    const double cached = number(json_object_get(decode, "memory"), "kv");
    const rb_proxy_run run = {
        .n_layer = rb_field_int(record, "n_layer_run"),
        .n_prompt = prompt,
        .n_gen = STEPS,
        .apart = true,
        .peak_bytes = weights + cached * (double)(prompt + STEPS) / ((double)prompt + steps) +
                      fmax(scratch(decode), scratch(prefill)),
        .runtime_s = load_s + runtime_s(prefill, decode, -1, n_reps),
    };
    const rb_proxy p = rb_proxy_of(&model->config, &run, RB_PROXY_PUBLISHED);
    json_t *o = proxy_object(&p, &run, load_s), *bounds = json_array();
    for (int end = 0; end < 2; end++)
        json_array_append_new(bounds,
                              rb_json_number(load_s + runtime_s(prefill, decode, end, n_reps)));
    json_object_set_new(o, "seconds_bounds", bounds);
    json_object_set_new(record, "proxy", o);
}
