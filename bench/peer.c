/* Reads what llama-bench wrote (or rbench, which writes the same fields) and places it: the time is
 * the peer's, the counts those of rbench's algorithm for the same lengths, micro-batches and cache
 * types. It refuses what it cannot count alike. Read next: trial.c, which counts; place.c. */
#include "record.h"
#include "run.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LENGTH = 1 << 24, MAX_THREADS = 1024 };

static const int64_t longest_ns = INT64_C(1000000000000000000); /* thirty years */

/* ---- fields ---- */

/* A whole number within limits; absent: *to stays if it may. */
static rb_status read_int(const json_t *o, const char *key, int64_t least, int64_t most,
                          bool optional, int64_t *to, rb_error *err)
{
    const json_t *v = json_object_get(o, key);
    if (!v && optional)
        return RB_OK;
    if (!v)
        return rb_fail(err, RB_ERR_FORMAT, "no \"%s\": not a result of llama-bench", key);
    if (!json_is_integer(v))
        return rb_fail(err, RB_ERR_FORMAT, "\"%s\" is not a whole number", key);
    *to = json_integer_value(v);
    if (*to < least || *to > most)
        return rb_fail(err, RB_ERR_FORMAT, "\"%s\" is %lld, not from %lld to %lld", key,
                       (long long)*to, (long long)least, (long long)most);
    return RB_OK;
}

/* As much as fits of what can be printed on a line. */
static void read_text(const json_t *o, const char *key, char *to, size_t size)
{
    const char *from = json_string_value(json_object_get(o, key));
    snprintf(to, size, "%s", from ? from : "");
    for (char *c = to; *c; c++)
        *c = (unsigned char)*c < ' ' || *c == '|' || (unsigned char)*c > '~' ? '?' : *c;
}

static rb_status read_dtype(const json_t *o, const char *key, rb_dtype *to, rb_error *err)
{
    const char *name = json_string_value(json_object_get(o, key));
    if (!name)
        return rb_fail(err, RB_ERR_FORMAT, "no \"%s\": not a result of llama-bench", key);
    *to = rb_dtype_by_name(name);
    if (*to == RB_NO_DTYPE || !rb_is_cache_dtype(*to))
        return rb_fail(err, RB_ERR_UNSUPPORTED, "a cache of %.20s is none that rbench counts",
                       name);
    return RB_OK;
}

/* ---- a record ---- */

static rb_status read_test(rb_peer *p, const json_t *o, rb_error *err)
{
    rb_test *t = &p->test;
    int64_t n_threads = 0;
    t->n_depth = t->n_draft = 0;
    const struct {
        const char *key;
        int64_t least, most, *to;
        bool optional;
    } number[] = {
        { "n_prompt", 0, MAX_LENGTH, &t->n_prompt, false },
        { "n_gen", 0, MAX_LENGTH, &t->n_gen, false },
        { "n_depth", 0, MAX_LENGTH, &t->n_depth, true }, /* older ones know none */
        { "n_draft", 0, MAX_LENGTH, &t->n_draft, true }, /* rbench's own */
        { "n_batch", 1, MAX_LENGTH, &t->n_batch, false },
        { "n_ubatch", 1, MAX_LENGTH, &t->n_ubatch, false },
        { "n_seq", 1, 1, &t->n_seq, true },
        { "n_threads", 1, MAX_THREADS, &n_threads, false },
    };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        const rb_status st = read_int(o, number[i].key, number[i].least, number[i].most,
                                      number[i].optional, number[i].to, err);
        if (st != RB_OK)
            return st;
    }
    t->n_threads = (int)n_threads;
    if (!t->n_prompt && !t->n_gen)
        return rb_fail(err, RB_ERR_FORMAT, "\"n_prompt\" and \"n_gen\" are both 0: no test");
    if (t->n_draft && (t->n_prompt != t->n_draft + 1 || t->n_gen || t->n_prompt > t->n_ubatch))
        return rb_fail(err, RB_ERR_FORMAT,
                       "\"n_draft\" wants \"n_prompt\" of one more in one micro-batch, alone");
    if (json_is_true(json_object_get(o, "embeddings")))
        return rb_fail(err, RB_ERR_UNSUPPORTED, "embeddings without logits are not counted");
    if (t->n_prompt > t->n_batch && t->n_batch > t->n_ubatch && t->n_batch % t->n_ubatch)
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "batches of %lld tokens are no whole number of micro-batches of %lld",
                       (long long)t->n_batch, (long long)t->n_ubatch);
    t->n_ubatch = t->n_ubatch < t->n_batch ? t->n_ubatch : t->n_batch;
    const rb_status st = read_dtype(o, "type_k", &t->type_k, err);
    return st == RB_OK ? read_dtype(o, "type_v", &t->type_v, err) : st;
}

static rb_status read_model(rb_peer *p, const json_t *o, rb_error *err)
{
    int64_t n_params = 0, size = 0;
    rb_status st = read_int(o, "model_n_params", 1, INT64_MAX, false, &n_params, err);
    if (st == RB_OK)
        st = read_int(o, "model_size", 1, INT64_MAX, false, &size, err);
    p->n_params = (uint64_t)n_params;
    p->size = (uint64_t)size;
    read_text(o, "model_filename", p->file, sizeof p->file);
    return st;
}

/* Which engine: llama-bench does not say its name, rbench is known by its schema. */
static void read_engine(rb_peer *p, const json_t *o)
{
    char commit[32];
    const int64_t number = json_integer_value(json_object_get(o, "build_number"));
    snprintf(p->name, sizeof p->name,
             json_object_get(o, "schema_version") ? "rbench" : "llama.cpp");
    read_text(o, "build_commit", commit, sizeof commit);
    if (number > 0)
        snprintf(p->build, sizeof p->build, "%s (%lld)", commit, (long long)number);
    else
        snprintf(p->build, sizeof p->build, "%s", commit);
    read_text(o, "cpu_info", p->cpu, sizeof p->cpu);
    read_text(o, "test_time", p->when, sizeof p->when);
}

static rb_status read_times(rb_peer *p, const json_t *o, rb_error *err)
{
    const json_t *samples = json_object_get(o, "samples_ns");
    const size_t n = json_array_size(samples);
    int64_t mean = 0;
    if (samples && !json_is_array(samples))
        return rb_fail(err, RB_ERR_FORMAT, "\"samples_ns\" is not an array");
    if (n > RB_MAX_REPS)
        return rb_fail(err, RB_ERR_FORMAT, "more than %d \"samples_ns\"", RB_MAX_REPS);
    p->ns = calloc(n + 1, sizeof *p->ns);
    if (!p->ns)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the times of a record");
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(samples, i);
        if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > longest_ns)
            return rb_fail(err, RB_ERR_FORMAT, "\"samples_ns\": number %zu is no time", i + 1);
        p->ns[p->n++] = (uint64_t)json_integer_value(v);
    }
    const rb_status st = n ? RB_OK : read_int(o, "avg_ns", 1, longest_ns, false, &mean, err);
    if (!n && st == RB_OK)
        p->ns[p->n++] = (uint64_t)mean;
    return st;
}

rb_status rb_peer_read(rb_peer *p, const json_t *record, const rb_test *like, rb_error *err)
{
    *p = (rb_peer){ .test = *like };
    if (json_object_get(record, "error"))
        return rb_fail(err, RB_ERR_FORMAT, "the test failed");
    rb_status st = read_test(p, record, err);
    if (st == RB_OK)
        st = read_model(p, record, err);
    if (st == RB_OK)
        st = read_times(p, record, err);
    if (st != RB_OK) {
        rb_peer_free(p);
        return st;
    }
    read_engine(p, record);
    return RB_OK;
}

void rb_peer_free(rb_peer *p)
{
    free(p->ns);
    p->ns = NULL;
}

rb_status rb_peer_check(const rb_peer *p, const rb_model *m, rb_error *err)
{
    const uint64_t size = rb_model_file_bytes(m);
    if (p->n_params == m->n_params && p->size == size)
        return RB_OK;
    return rb_fail(err, RB_ERR_FORMAT,
                   "of another model: %llu parameters in %llu bytes (%.200s), not %llu in %llu",
                   (unsigned long long)p->n_params, (unsigned long long)p->size, p->file,
                   (unsigned long long)m->n_params, (unsigned long long)size);
}

/* ---- placing ---- */

/* What the peer's loops load and store is not known. */
static void forget_issued(rb_tally *t)
{
    t->cost.issued_rd = t->cost.issued_wr = 0;
    t->cost.issued_unknown = t->calls;
}

void rb_peer_place(rb_bench *b, const rb_peer *p, const rb_machine *m, rb_result *r)
{
    static const rb_noise unknown = { -1, -1, -1, -1, -1, -1, 0 };
    rb_bench_test(b, &p->test, r);
    r->peer = p;
    if (r->error[0] || r->interrupted)
        return;
    forget_issued(&r->total);
    for (int phase = 0; phase < RB_N_PHASE; phase++)
        for (int site = 0; site < RB_N_SITE; site++)
            for (int op = 0; op < RB_N_OP; op++)
                forget_issued(&r->ledger.at[phase][site][op]);
    r->dry = false;
    r->machine = m;
    r->noise = unknown;
    memcpy(r->when, p->when, sizeof r->when);
    r->n_samples = p->n;
    for (int i = 0; i < p->n; i++)
        r->sample[i] = (rb_sample){ .ns = p->ns[i], .noise = unknown };
    rb_result_medians(r);
    r->place = rb_place_unpaired(r);
}
