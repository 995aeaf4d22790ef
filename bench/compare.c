/* Pairs the records of two runs by test and holds their samples against each other: tok/s as they
 * were, and shares of roof, in which a machine that was slower meanwhile cancels. It refuses no
 * file for a record that has no samples, and drops none without counting it. Read next: ranks.c
 * (the statistics), compare_report.c. */
#include "record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double alpha = 0.05;

/* ---- fields ---- */

/* Tokens of all sequences; records of other programs have one sequence and do not say so. */
static double tokens_of(const json_t *o)
{
    const int64_t seq = rb_field_int(o, "n_seq");
    return ((double)rb_field_int(o, "n_prompt") + (double)rb_field_int(o, "n_gen")) *
           (double)(seq > 0 ? seq : 1);
}

/* The ith number of a list; 0: it is none above 0. */
static double item(const json_t *list, size_t i)
{
    const double x = json_number_value(json_array_get(list, i));
    return isfinite(x) && x > 0 ? x : 0;
}

rb_test rb_record_test(const json_t *o)
{
    return (rb_test){ .n_prompt = rb_field_int(o, "n_prompt"),
                      .n_gen = rb_field_int(o, "n_gen"),
                      .n_depth = rb_field_int(o, "n_depth"),
                      .n_draft = rb_field_int(o, "n_draft"),
                      .n_seq = rb_field_int(o, "n_seq") };
}

char *rb_record_name(const json_t *o, char *buf, size_t size)
{
    const rb_test t = rb_record_test(o);
    char test[80], layers[40] = "";
    if (rb_field_int(o, "n_layer_run"))
        snprintf(layers, sizeof layers, ", %lld layers", (long long)rb_field_int(o, "n_layer_run"));
    snprintf(buf, size, "%s%s, %.60s", rb_test_name(&t, test, sizeof test), layers,
             rb_field_text(o, "model_type"));
    return buf;
}

/* ---- samples ---- */

/* Samples of a record: rates, and shares of roof of those whose roofs agree. */
typedef struct samples {
    double tps[RB_MAX_REPS], share[RB_MAX_REPS];
    int n, n_share;
} samples;

/* Whether a record has times of a test, all of them good. */
static bool has_samples(const json_t *o)
{
    const json_t *ns = json_object_get(o, "samples_ns");
    const size_t n = json_array_size(ns);
    bool good = n > 0 && n <= RB_MAX_REPS && tokens_of(o) > 0;
    for (size_t i = 0; i < n && good; i++)
        good = item(ns, i) > 0;
    return good;
}

static void read_samples(samples *s, const json_t *o)
{
    const json_t *ns = json_object_get(o, "samples_ns");
    const json_t *roof = json_object_get(o, "samples_roof_ns");
    const json_t *paired = json_object_get(o, "samples_paired");
    const double tokens = tokens_of(o);
    s->n = (int)json_array_size(ns);
    s->n_share = 0;
    for (int i = 0; i < s->n; i++) {
        const double took = item(ns, (size_t)i), least = item(roof, (size_t)i);
        s->tps[i] = tokens * 1e9 / took;
        if (least > 0 && json_is_true(json_array_get(paired, (size_t)i)))
            s->share[s->n_share++] = least / took;
    }
}

/* ---- counts ---- */

/* What is the same on every machine and in every build. */
static const char *const counts[][2] = {
    { "flops", NULL },        { "special", NULL },     { "bytes", "weight" },
    { "bytes", "kv_read" },   { "bytes", "kv_write" }, { "bytes", "act_read" },
    { "bytes", "act_write" },
};

static const json_t *count_at(const json_t *o, const char *const path[2])
{
    const json_t *v = json_object_get(o, path[0]);
    return path[1] ? json_object_get(v, path[1]) : v;
}

/* Other input routes to other experts, and what decides by measured roofs may decide otherwise. */
static bool may_differ(const json_t *a, const json_t *b, bool any_weights)
{
    return (any_weights && json_object_get(a, "experts")) ||
           rb_field_int(a, "seed") != rb_field_int(b, "seed") ||
           !strcmp(rb_field_text(a, "mla_auto"), "roof");
}

static void check_counts(rb_matched *m, bool any_weights)
{
    for (size_t i = 0; i < sizeof counts / sizeof *counts && !m->counts[0]; i++) {
        const json_t *x = count_at(m->a, counts[i]), *y = count_at(m->b, counts[i]);
        if (json_is_integer(x) && json_is_integer(y) && !json_equal(x, y))
            snprintf(m->counts, sizeof m->counts, "%s%s%s %lld and %lld", counts[i][0],
                     counts[i][1] ? "." : "", counts[i][1] ? counts[i][1] : "",
                     (long long)json_integer_value(x), (long long)json_integer_value(y));
    }
    m->defect = m->counts[0] && !may_differ(m->a, m->b, any_weights);
}

/* ---- matching ---- */

/* What a record is of, weights aside where they may be any. To be freed. */
static char *identity_of(const rb_comparison *c, const json_t *record)
{
    bool whole;
    if (!c->any_weights)
        return rb_record_identity(record, &whole);
    json_t *o = json_copy((json_t *)record);
    json_object_set_new(o, "env", json_pack("{s:s}", "model_digest", "any"));
    char *id = rb_record_identity(o, &whole);
    json_decref(o);
    return id;
}

/* Where in a list the last record of each test is, by what identifies it. */
static json_t *index_of(rb_comparison *c, int side, const json_t *records)
{
    json_t *index = json_object(), *record;
    size_t i;
    json_array_foreach(records, i, record)
    {
        char *id = has_samples(record) ? identity_of(c, record) : NULL;
        c->n_left_out[side] += !id;
        c->n_again[side] += id && json_object_get(index, id);
        if (id)
            json_object_set_new(index, id, json_integer((json_int_t)i));
        free(id);
    }
    return index;
}

static const json_t *record_at(const json_t *records, const json_t *where)
{
    return json_array_get(records, (size_t)json_integer_value(where));
}

static void compare_row(rb_matched *m, bool any_weights, samples *a, samples *b)
{
    read_samples(a, m->a);
    read_samples(b, m->b);
    m->tps_a = rb_stats_of(a->tps, a->n).median;
    m->tps_b = rb_stats_of(b->tps, b->n).median;
    m->raw = rb_ratio_of(a->tps, a->n, b->tps, b->n);
    m->roof = rb_ratio_of(a->share, a->n_share, b->share, b->n_share);
    check_counts(m, any_weights);
}

/* Tests of one side that the other lacks; those of a that it has become rows. */
static void sort_out(rb_comparison *c, int side, const json_t *records, json_t *index,
                     const json_t *other_records, const json_t *other)
{
    const char *id;
    json_t *where;
    json_object_foreach(index, id, where)
    {
        const json_t *record = record_at(records, where), *there = json_object_get(other, id);
        if (!there)
            c->only[side][c->n_only[side]++] = record;
        else if (side == RB_SIDE_A)
            c->row[c->n++] = (rb_matched){ .a = record, .b = record_at(other_records, there) };
    }
}

rb_status rb_compare(rb_comparison *c, const json_t *a, const json_t *b, bool any_weights,
                     rb_error *err)
{
    *c = (rb_comparison){ .any_weights = any_weights };
    const json_t *const side[] = { a, b };
    json_t *index[] = { index_of(c, RB_SIDE_A, a), index_of(c, RB_SIDE_B, b) };
    samples *both = calloc(RB_N_SIDE, sizeof *both);
    c->row = calloc(json_object_size(index[0]) + 1, sizeof *c->row);
    for (int s = 0; s < RB_N_SIDE; s++)
        c->only[s] = calloc(json_object_size(index[s]) + 1, sizeof *c->only[s]);
    const bool good = both && c->row && c->only[0] && c->only[1] && index[0] && index[1];
    for (int s = 0; s < RB_N_SIDE && good; s++)
        sort_out(c, s, side[s], index[s], side[!s], index[!s]);
    for (int i = 0; i < c->n && good; i++)
        compare_row(&c->row[i], any_weights, &both[RB_SIDE_A], &both[RB_SIDE_B]);
    for (int s = 0; s < RB_N_SIDE; s++)
        json_decref(index[s]);
    free(both);
    return good ? RB_OK : rb_fail(err, RB_ERR_MEMORY, "no memory for a comparison");
}

void rb_comparison_free(rb_comparison *c)
{
    for (int s = 0; s < RB_N_SIDE; s++)
        free(c->only[s]);
    free(c->row);
    *c = (rb_comparison){ 0 };
}

/* ---- all rows ---- */

rb_ratio_sum rb_comparison_sum(const rb_comparison *c, bool roof)
{
    rb_ratio_sum sum = { 0 };
    double logs = 0;
    for (int i = 0; i < c->n; i++) {
        const rb_ratio *r = roof ? &c->row[i].roof : &c->row[i].raw;
        if (!r->n_a)
            continue;
        sum.n++;
        sum.n_ci += r->has_ci;
        sum.n_covers += r->has_ci && r->ci_lo <= 1 && r->ci_hi >= 1;
        logs += log(r->ratio);
    }
    sum.factor = sum.n ? exp(logs / sum.n) : NAN;
    return sum;
}

bool rb_is_slower(const rb_matched *m, double pct)
{
    return m->raw.n_a && m->raw.p < alpha && m->raw.ratio < 1 - pct / 100;
}

int rb_comparison_slower(const rb_comparison *c, double pct)
{
    int n = 0;
    for (int i = 0; i < c->n; i++)
        n += rb_is_slower(&c->row[i], pct);
    return n;
}
