/* Runs one test over a session and keeps what it took: samples, the ledger of one repetition,
 * memory. A repetition whose counts differ from the first is a defect of ours and fails the test.
 * It refuses to start what would not fit in memory. Read next: plan.c, record.c. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WARM_STEPS = 8 }; /* decode steps of a warm-up */

static const double default_fill_flops = 4e12; /* half a minute or so */

struct rb_bench {
    rb_model *model, *shape;
    rb_bench_params params;
    rb_tokens tokens;
    int32_t *ids; /* tokens of one call, n_ids of them fit */
    int64_t n_ids;
    rb_session *session; /* of the last test, for the next one that can use it */
    rb_session_params open;
    int64_t filled; /* its cache rows [0, filled) hold what the synthetic tokens give */
};

uint64_t rb_model_bytes(const rb_model *m)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < m->n_buffer; i++)
        sum += m->buffer[i]->bytes;
    return sum;
}

uint64_t rb_memory_total(const rb_memory *m)
{
    return m->weights + m->kv + m->scratch;
}

rb_status rb_bench_open(rb_bench **b, rb_model *model, rb_model *shape,
                        const rb_bench_params *params, rb_error *err)
{
    *b = calloc(1, sizeof **b);
    if (!*b)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a benchmark");
    (*b)->model = model;
    (*b)->shape = shape;
    (*b)->params = *params;
    rb_status st = rb_tokens_open(&(*b)->tokens, model->config.n_vocab, params->seed, err);
    if (st != RB_OK) {
        rb_bench_close(*b);
        *b = NULL;
    }
    return st;
}

void rb_bench_close(rb_bench *b)
{
    if (!b)
        return;
    rb_session_close(b->session);
    rb_tokens_close(&b->tokens);
    free(b->ids);
    free(b);
}

/* ---- memory ---- */

static int64_t context_of(const rb_test *t)
{
    return t->n_depth + t->n_prompt + t->n_gen;
}

static rb_session_params session_params(const rb_test *t, bool dry)
{
    rb_session_params p = rb_session_defaults();
    p.n_layer = t->n_layer;
    p.n_seq = t->n_seq;
    p.n_ctx = context_of(t);
    p.n_ubatch = t->n_ubatch < p.n_ctx ? t->n_ubatch : p.n_ctx;
    p.n_logits = 1;
    p.type_k = t->type_k;
    p.type_v = t->type_v;
    p.n_threads = dry ? 1 : t->n_threads;
    p.isa = t->isa;
    p.capped = t->capped;
    p.act_f32 = t->act_f32;
    p.dry = dry;
    return p;
}

/* Counts are exact as long as they fit: an upper bound in floating point, before any is taken. */
static rb_status check_countable(const rb_model *m, const rb_test *t, rb_error *err)
{
    const rb_config *c = &m->config;
    double tokens = (double)(t->n_prompt + t->n_gen) * (double)t->n_seq;
    double layers = (double)(t->n_layer > c->n_layer ? t->n_layer : c->n_layer);
    double per_token = 2.0 * (double)m->n_params / (double)c->n_layer * layers +
                       4.0 * (double)c->n_vocab * (double)c->n_embd;
    double per_pair = layers * (double)c->n_head * (double)(2 * c->d_head_k + 2 * c->d_head_v + 8);
    double sum = tokens * (per_token + per_pair * (double)context_of(t));
    if (context_of(t) > INT32_MAX || 8 * sum > 9e18)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "the counts of this test would not fit in 63 bits; use fewer tokens");
    if (t->n_seq > c->n_vocab)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "%lld sequences cannot draw disjoint ids from a vocabulary of %lld",
                       (long long)t->n_seq, (long long)c->n_vocab);
    return RB_OK;
}

/* Weights that are in memory once the model has the layers that a test asks for. */
static uint64_t weights_for(const rb_bench *b, int64_t n_layer)
{
    const rb_model *m = b->model;
    int64_t more = n_layer > m->n_layer_alloc ? n_layer - m->n_layer_alloc : 0;
    return rb_model_bytes(m) + (uint64_t)more * (uint64_t)rb_model_layer_bytes(m);
}

rb_status rb_bench_memory(rb_bench *b, const rb_test *t, rb_memory *m, rb_error *err)
{
    *m = (rb_memory){ 0 };
    rb_status st = check_countable(b->model, t, err);
    if (st != RB_OK)
        return st;
    m->weights = weights_for(b, t->n_layer);
    if (t->n_layer > b->shape->n_layer_alloc) {
        if (b->shape == b->model) /* a dry run: its session borrows the layers that move */
            rb_session_close(b->session), b->session = NULL;
        st = rb_model_extend(b->shape, t->n_layer, err);
    }
    rb_session *s = NULL;
    rb_session_params p = session_params(t, true);
    if (st == RB_OK)
        st = rb_session_open(&s, b->shape, &p, err);
    if (st == RB_OK) {
        m->kv = (uint64_t)rb_session_kv_bytes(s);
        m->scratch = (uint64_t)rb_session_scratch_bytes(s);
    }
    rb_session_close(s);
    return st;
}

static rb_status check_memory(const rb_bench *b, const rb_memory *m, rb_error *err)
{
    uint64_t available = rb_host_available();
    uint64_t copies = m->weights - rb_model_bytes(b->model);
    uint64_t need = copies + m->kv + m->scratch;
    if (b->params.dry || !available || need <= available)
        return RB_OK;
    return rb_fail(err, RB_ERR_MEMORY,
                   "out of memory: needs %.2f GB more (copied layers %.2f, cache %.2f, scratch "
                   "%.2f) but %.2f GB are available; use fewer layers, tokens or sequences",
                   (double)need / 1e9, (double)copies / 1e9, (double)m->kv / 1e9,
                   (double)m->scratch / 1e9, (double)available / 1e9);
}

/* ---- session ---- */

/* Whether the open session can run p: everything equal, its context long enough. */
static bool can_reuse(const rb_bench *b, const rb_session_params *p)
{
    const rb_session_params *o = &b->open;
    return b->session && o->n_layer == p->n_layer && o->n_seq == p->n_seq && o->n_ctx >= p->n_ctx &&
           o->n_ubatch >= p->n_ubatch && o->type_k == p->type_k && o->type_v == p->type_v &&
           o->n_threads == p->n_threads && o->isa == p->isa && o->capped == p->capped &&
           o->act_f32 == p->act_f32;
}

static rb_status need_session(rb_bench *b, const rb_test *t, rb_result *r, rb_error *err)
{
    rb_session_params p = session_params(t, b->params.dry);
    if (can_reuse(b, &p) &&
        b->open.n_ubatch == (t->n_ubatch < b->open.n_ctx ? t->n_ubatch : b->open.n_ctx))
        return RB_OK;
    rb_session_close(b->session);
    b->session = NULL;
    rb_status st = check_memory(b, &r->memory, err);
    if (st == RB_OK && t->n_layer > b->model->n_layer_alloc)
        st = rb_model_extend(b->model, t->n_layer, err);
    if (st == RB_OK)
        st = rb_session_open(&b->session, b->model, &p, err);
    if (st == RB_OK)
        b->open = p;
    b->filled = 0;
    return st;
}

/* ---- repetitions ---- */

static bool stopped(const rb_bench *b)
{
    return b->params.stop && b->params.stop(b->params.arg);
}

static void tell(const rb_bench *b, int rep)
{
    if (b->params.progress)
        b->params.progress(b->params.arg, rep, b->params.n_reps);
}

static rb_status need_ids(rb_bench *b, int64_t n, rb_error *err)
{
    if (n <= b->n_ids)
        return RB_OK;
    int32_t *ids = realloc(b->ids, (size_t)n * sizeof *ids);
    if (!ids)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for %lld token ids", (long long)n);
    b->ids = ids;
    b->n_ids = n;
    return RB_OK;
}

/* One call of the session at position `at`. The clock runs only while the model does. */
static rb_status call_session(rb_bench *b, const rb_test *t, rb_phase phase, int64_t at, int64_t n,
                              uint64_t *ns, rb_error *err)
{
    rb_tokens_fill(&b->tokens, b->ids, t->n_seq, at, n);
    uint64_t start = rb_now_ns();
    rb_status st = rb_session_run(b->session, phase, b->ids, n, false, err);
    *ns += rb_now_ns() - start;
    return st;
}

/* Prompt, then at most `steps` decode steps. Returns RB_OK with *done false when stopped. */
static rb_status repeat_once(rb_bench *b, const rb_test *t, int64_t steps, uint64_t *ns, bool *done,
                             rb_error *err)
{
    rb_status st = RB_OK;
    *ns = 0;
    *done = false;
    rb_session_set_past(b->session, t->n_depth);
    if (t->n_prompt)
        st = call_session(b, t, RB_PREFILL, t->n_depth, t->n_prompt, ns, err);
    for (int64_t i = 0; i < steps && st == RB_OK; i++) {
        if (stopped(b))
            return RB_OK;
        st = call_session(b, t, RB_DECODE, t->n_depth + t->n_prompt + i, 1, ns, err);
    }
    *done = !stopped(b);
    return st;
}

/* Computes the context that a test starts from, if that is affordable. Tokens depend on the
 * position alone, so what one test has left in the cache serves the next. */
static rb_status fill_context(rb_bench *b, rb_result *r, bool *done, rb_error *err)
{
    const rb_test *t = &r->test;
    double cost = 2.0 * (double)b->model->n_params / (double)b->model->config.n_layer *
                  (double)(t->n_layer * t->n_seq * (t->n_depth - b->filled));
    double most = b->params.max_fill_flops ? b->params.max_fill_flops : default_fill_flops;
    rb_status st = RB_OK;
    uint64_t ns = 0;
    *done = true;
    if (b->params.dry || cost > most)
        return RB_OK;
    while (b->filled < t->n_depth && st == RB_OK && *done) {
        int64_t left = t->n_depth - b->filled, n = left < t->n_ubatch ? left : t->n_ubatch;
        st = need_ids(b, t->n_seq * n, err);
        if (st != RB_OK)
            return st;
        rb_session_set_past(b->session, b->filled);
        st = call_session(b, t, RB_PREFILL, b->filled, n, &ns, err);
        b->filled += n;
        *done = !stopped(b);
    }
    return st;
}

/* Times of all cells of a ledger, [wall clock, waiting]. */
enum { N_CELL = RB_N_PHASE * RB_N_SITE * RB_N_OP };
typedef struct times {
    uint64_t ns[N_CELL], barrier_ns[N_CELL];
} times;

static bool same_counts(const rb_ledger *a, const rb_ledger *b)
{
    const rb_tally *x = &a->at[0][0][0], *y = &b->at[0][0][0];
    for (int i = 0; i < N_CELL; i++) {
        if (x[i].calls != y[i].calls || !rb_cost_equal(&x[i].cost, &y[i].cost))
            return false;
    }
    return true;
}

static void save_times(times *to, const rb_ledger *l)
{
    const rb_tally *cell = &l->at[0][0][0];
    for (int i = 0; i < N_CELL; i++) {
        to->ns[i] = cell[i].ns;
        to->barrier_ns[i] = cell[i].barrier_ns;
    }
}

static void use_times(rb_ledger *l, const times *from)
{
    rb_tally *cell = &l->at[0][0][0];
    for (int i = 0; i < N_CELL; i++) {
        cell[i].ns = from->ns[i];
        cell[i].barrier_ns = from->barrier_ns[i];
    }
}

/* Keeps what repetition i took; its counts must be those of the first. */
static rb_status keep_rep(rb_bench *b, rb_result *r, int i, uint64_t ns, times *of_rep,
                          rb_error *err)
{
    const rb_ledger *ledger = rb_session_ledger(b->session);
    if (i == 0)
        r->ledger = *ledger;
    else if (!same_counts(&r->ledger, ledger))
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "the counts of repetition %d differ from the first: a defect of rbench, "
                       "please report it",
                       i + 1);
    if (b->filled >= r->test.n_depth && b->filled < context_of(&r->test))
        b->filled = context_of(&r->test);
    save_times(of_rep, ledger);
    r->samples_ns[r->n_samples++] = ns;
    return RB_OK;
}

static rb_status run_reps(rb_bench *b, rb_result *r, times *of_rep, rb_error *err)
{
    const rb_test *t = &r->test;
    int n_reps = b->params.dry ? 1 : b->params.n_reps;
    bool done = true;
    uint64_t ns;
    tell(b, 0);
    rb_status st = fill_context(b, r, &done, err);
    r->kv_fill = b->filled >= t->n_depth ? "real" : "synthetic";
    if (b->params.warmup && !b->params.dry && st == RB_OK && done)
        st = repeat_once(b, t, t->n_gen < WARM_STEPS ? t->n_gen : WARM_STEPS, &ns, &done, err);
    for (int i = 0; i < n_reps && st == RB_OK && done; i++) {
        tell(b, i + 1);
        rb_ledger_clear(rb_session_ledger(b->session));
        st = repeat_once(b, t, t->n_gen, &ns, &done, err);
        if (st == RB_OK && done)
            st = keep_rep(b, r, i, ns, &of_rep[i], err);
    }
    r->interrupted = !done;
    return st;
}

static void summarise(rb_result *r, const times *of_rep)
{
    double ns[RB_MAX_REPS], tps[RB_MAX_REPS];
    use_times(&r->ledger, &of_rep[rb_median_index(r->samples_ns, r->n_samples)]);
    for (int i = 0; i < r->n_samples; i++) {
        ns[i] = (double)r->samples_ns[i];
        tps[i] = ns[i] > 0 ? (double)rb_test_tokens(&r->test) * 1e9 / ns[i] : 0;
    }
    r->ns = rb_stats_of(ns, r->n_samples);
    r->tps = rb_stats_of(tps, r->n_samples);
    for (int phase = 0; phase < RB_N_PHASE; phase++) {
        rb_tally sum = rb_ledger_phase(&r->ledger, (rb_phase)phase);
        rb_tally_add(&r->total, &sum);
    }
}

static rb_status run_test(rb_bench *b, rb_result *r, rb_error *err)
{
    const rb_test *t = &r->test;
    rb_status st = rb_bench_memory(b, t, &r->memory, err);
    if (st == RB_OK)
        st = need_session(b, t, r, err);
    if (st == RB_OK)
        st = need_ids(b, t->n_seq * (t->n_prompt ? t->n_prompt : 1), err);
    if (st != RB_OK)
        return st;
    r->kv_bytes_per_token = rb_session_kv_bytes_per_token(b->session);
    times *of_rep = calloc((size_t)b->params.n_reps, sizeof *of_rep);
    if (!of_rep)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the times of %d repetitions",
                       b->params.n_reps);
    st = run_reps(b, r, of_rep, err);
    if (st == RB_OK && !r->interrupted)
        summarise(r, of_rep);
    free(of_rep);
    return st;
}

void rb_bench_test(rb_bench *b, const rb_test *t, rb_result *r)
{
    rb_error err = { 0 };
    *r = (rb_result){ .test = *t, .dry = b->params.dry };
    time_t now = time(NULL);
    struct tm utc;
    strftime(r->when, sizeof r->when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    if (run_test(b, r, &err) != RB_OK)
        snprintf(r->error, sizeof r->error, "%s", err.text[0] ? err.text : "failed");
}
