/* One test under way: warm-up until blocks agree, then repetitions, each between two probes of the
 * roofs, then medians. A repetition whose counts differ from the first is a defect of ours and
 * fails the test. The clock runs only while the model does. Read next: schedule.c, place.c. */
#include "run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double default_fill_flops = 4e12; /* half a minute or so */

bool rb_bench_stopped(const rb_bench *b)
{
    return b->params.stop && b->params.stop(b->params.arg);
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

/* ---- running the model ---- */

/* One call of the session at position `at`. all: logits of every token. */
static rb_status call_session(rb_bench *b, rb_slot *s, const rb_test *t, rb_phase phase, int64_t at,
                              int64_t n, bool all, uint64_t *ns, rb_error *err)
{
    rb_tokens_fill(&b->tokens, b->ids, t->n_seq, at, n);
    const uint64_t start = rb_now_ns();
    const rb_status st = rb_session_run(s->session, phase, b->ids, n, all, err);
    *ns += rb_now_ns() - start;
    return st;
}

/* The ids of a repetition: those of the prompt, then of each step. */
static rb_status prepare_ids(rb_bench *b, const rb_test *t, rb_error *err)
{
    const int64_t prompt = t->n_seq * t->n_prompt;
    const rb_status st = need_ids(b, rb_test_tokens(t), err);
    if (st != RB_OK)
        return st;
    rb_tokens_fill(&b->tokens, b->ids, t->n_seq, t->n_depth, t->n_prompt);
    for (int64_t i = 0; i < t->n_gen; i++)
        rb_tokens_fill(&b->tokens, b->ids + prompt + i * t->n_seq, t->n_seq,
                       t->n_depth + t->n_prompt + i, 1);
    return RB_OK;
}

/* The prompt, then the decode steps, by one clock. Returns RB_OK with *done false when stopped. */
static rb_status run_once(rb_bench *b, rb_slot *s, const rb_test *t, uint64_t *ns, bool *done,
                          rb_error *err)
{
    rb_status st = prepare_ids(b, t, err);
    const int32_t *ids = b->ids;
    rb_session_set_past(s->session, t->n_depth);
    const uint64_t start = rb_now_ns();
    if (t->n_prompt && st == RB_OK)
        st = rb_session_run(s->session, RB_PREFILL, ids, t->n_prompt, t->n_draft > 0, err);
    ids += t->n_seq * t->n_prompt;
    for (int64_t i = 0; i < t->n_gen && st == RB_OK && !rb_bench_stopped(b); i++)
        st = rb_session_run(s->session, RB_DECODE, ids + i * t->n_seq, 1, false, err);
    *ns = rb_now_ns() - start;
    *done = !rb_bench_stopped(b);
    return st;
}

/* Computes the context that a test starts from, if that is affordable. Tokens depend on the
 * position alone, so what one test has left in the cache serves the next. */
static rb_status fill_context(rb_bench *b, rb_slot *s, rb_result *r, bool *done, rb_error *err)
{
    const rb_test *t = &r->test;
    if (t->n_layer > s->filled_layers)
        s->filled = 0;
    const double cost = rb_flops_per_token(rb_model_for(b, t)) *
                        (double)(t->n_layer * t->n_seq * (t->n_depth - s->filled));
    const double most = b->params.max_fill_flops ? b->params.max_fill_flops : default_fill_flops;
    rb_status st = RB_OK;
    uint64_t ns = 0;
    *done = true;
    if (!b->params.dry && cost <= most) {
        while (s->filled < t->n_depth && st == RB_OK && *done) {
            const int64_t left = t->n_depth - s->filled;
            const int64_t n = left < t->n_ubatch ? left : t->n_ubatch;
            st = need_ids(b, t->n_seq * n, err);
            if (st != RB_OK)
                return st;
            rb_session_set_past(s->session, s->filled);
            st = call_session(b, s, t, RB_PREFILL, s->filled, n, false, &ns, err);
            s->filled += n;
            s->filled_layers = t->n_layer;
            *done = !rb_bench_stopped(b);
        }
    }
    if (s->filled < t->n_depth) /* in one repetition is enough */
        r->kv_fill = "synthetic";
    return st;
}

/* ---- warm-up ---- */

/* A block of a warm-up: a few decode steps, or a piece of the prompt, all of a draft. */
static rb_status run_block(rb_bench *b, rb_slot *s, const rb_test *t, uint64_t *ns, rb_error *err)
{
    enum { STEPS = 4, PIECE = 64 };
    rb_status st = RB_OK;
    *ns = 0;
    if (!t->n_gen) {
        int64_t n = t->n_prompt < PIECE || t->n_draft ? t->n_prompt : PIECE;
        n = n < t->n_ubatch ? n : t->n_ubatch;
        rb_session_set_past(s->session, t->n_depth);
        return call_session(b, s, t, RB_PREFILL, t->n_depth, n, t->n_draft > 0, ns, err);
    }
    for (int64_t i = 0; i < STEPS && st == RB_OK; i++) {
        rb_session_set_past(s->session, t->n_depth);
        st = call_session(b, s, t, RB_DECODE, t->n_depth, 1, false, ns, err);
    }
    return st;
}

/* Blocks until two in a row agree within a twentieth; *agreed: whether they did. */
static rb_status warm_up(rb_bench *b, rb_slot *s, const rb_test *t, bool *agreed, rb_error *err)
{
    enum { MOST_BLOCKS = 10 };
    uint64_t last = 0, ns = 0;
    rb_status st = RB_OK;
    for (int i = 0; i < MOST_BLOCKS && st == RB_OK && !rb_bench_stopped(b); i++) {
        st = run_block(b, s, t, &ns, err);
        *agreed = last && fabs((double)ns - (double)last) <= 0.05 * (double)last;
        if (*agreed)
            break;
        last = ns;
    }
    return st;
}

/* Probes leave nothing of the model in the caches; models that fit there are wanted there. One
 * untimed step brings them back. */
static rb_status touch(rb_bench *b, rb_slot *s, const rb_test *t, rb_error *err)
{
    uint64_t ns = 0;
    rb_session_set_past(s->session, t->n_depth);
    return call_session(b, s, t, RB_DECODE, t->n_depth, 1, false, &ns, err);
}

/* ---- what a repetition leaves ---- */

enum { N_CELL = RB_N_PHASE * RB_N_SITE * RB_N_OP };

static bool same_counts(const rb_ledger *a, const rb_ledger *b)
{
    const rb_tally *x = &a->at[0][0][0], *y = &b->at[0][0][0];
    for (int i = 0; i < N_CELL; i++) {
        if (x[i].calls != y[i].calls || !rb_cost_equal(&x[i].cost, &y[i].cost))
            return false;
    }
    return true;
}

/* Which cells this test books, known after its first repetition. */
static rb_status list_cells(rb_bench *b, rb_trial *trial, rb_error *err)
{
    const rb_tally *cell = &trial->result->ledger.at[0][0][0];
    trial->cell = calloc(N_CELL, sizeof *trial->cell);
    if (!trial->cell)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the times of a test");
    for (int i = 0; i < N_CELL; i++)
        if (cell[i].calls)
            trial->cell[trial->n_cell++] = i;
    const size_t n = (size_t)b->params.n_reps * (size_t)(trial->n_cell ? trial->n_cell : 1);
    trial->times = calloc(n, sizeof *trial->times);
    return trial->times ? RB_OK : rb_fail(err, RB_ERR_MEMORY, "no memory for the times of a test");
}

static void keep_routing(rb_result *r, const rb_session *s)
{
    for (int phase = 0; phase < RB_N_PHASE; phase++)
        for (int64_t l = 0; l < RB_MAX_ROUTED && l < r->test.n_layer; l++) {
            const rb_routing *at = rb_session_routing(s, (rb_phase)phase, l);
            if (at)
                r->routing[phase][l] = *at;
        }
}

static rb_status keep(rb_bench *b, rb_trial *trial, rb_slot *s, const rb_sample *sample,
                      rb_error *err)
{
    rb_result *r = trial->result;
    const rb_ledger *ledger = rb_session_ledger(s->session);
    if (r->n_samples == 0) {
        r->ledger = *ledger;
        keep_routing(r, s->session);
        const rb_status st = list_cells(b, trial, err);
        if (st != RB_OK)
            return st;
    } else if (!same_counts(&r->ledger, ledger)) {
        r->counts_differ = true;
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "the counts of repetition %d differ from the first: a defect of rbench, "
                       "please report it",
                       r->n_samples + 1);
    }
    if (s->filled >= r->test.n_depth && r->test.n_layer >= s->filled_layers) {
        s->filled = rb_context_of(&r->test) > s->filled ? rb_context_of(&r->test) : s->filled;
        s->filled_layers = r->test.n_layer;
    }
    const rb_tally *from = &ledger->at[0][0][0];
    for (int i = 0; i < trial->n_cell; i++) {
        const rb_tally *t = &from[trial->cell[i]];
        trial->times[r->n_samples * trial->n_cell + i] =
            (rb_kernel_ns){ t->ns, t->barrier_ns, t->launch_ns };
    }
    r->sample[r->n_samples++] = *sample;
    return RB_OK;
}

/* ---- modelled traffic ---- */

static void copy_dram(rb_ledger *to, const rb_ledger *from)
{
    rb_tally *x = &to->at[0][0][0];
    const rb_tally *y = &from->at[0][0][0];
    for (int i = 0; i < N_CELL; i++)
        x[i].dram = y[i].dram;
}

/* What a repetition moves between DRAM and the last cache, by a model of that: the same calls of a
 * dry session, after the one step that precedes a repetition. Left unknown when stopped, without
 * memory for it, or where the size of the cache is: what was measured stays. */
static void model_dram(rb_bench *b, rb_result *r)
{
    const rb_test *t = &r->test;
    const uint64_t cache =
        b->params.cache_bytes ? b->params.cache_bytes : rb_last_cache_bytes(t->n_threads);
    rb_session_params params = rb_params_for(b, t);
    rb_slot s = { 0 };
    uint64_t ns = 0;
    bool done = false;
    if (!cache || b->params.no_dram || rb_bench_stopped(b))
        return;
    params.dry = true;
    params.n_threads = t->n_threads;
    params.cache_bytes = (int64_t)cache;
    rb_status st = rb_session_open(&s.session, rb_model_for(b, t), &params, NULL);
    if (st == RB_OK)
        st = need_ids(b, rb_test_tokens(t), NULL);
    if (st == RB_OK)
        st = touch(b, &s, t, NULL);
    if (st == RB_OK) {
        rb_session_clear(s.session);
        st = run_once(b, &s, t, &ns, &done, NULL);
    }
    if (st == RB_OK && done && rb_session_models_dram(s.session)) {
        copy_dram(&r->ledger, rb_session_ledger(s.session));
        r->cache_bytes = cache;
    }
    rb_session_close(s.session);
}

/* ---- a trial ---- */

void rb_trial_open(rb_bench *b, rb_trial *trial, const rb_test *t, rb_result *r)
{
    rb_error err = { 0 };
    struct tm utc;
    const time_t now = time(NULL);
    *trial = (rb_trial){ .result = r };
    *r = (rb_result){ .test = *t, .dry = b->params.dry, .kv_fill = "real" };
    strftime(r->when, sizeof r->when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    rb_status st = rb_bench_memory(b, t, &r->memory, &err);
    if (st == RB_OK)
        st = rb_bench_check_memory(b, t, &r->memory, &err);
    if (st != RB_OK)
        snprintf(r->error, sizeof r->error, "%s", err.text);
    trial->estimate_s = rb_trial_guess(b, t);
}

/* The sample's roofs are those before and after it; a pair whose ends differ says little. */
static void pair(rb_sample *sample, const rb_probe *before, const rb_probe *after)
{
    const double a = before->read_dram, z = after->read_dram;
    const double f = before->fma_f32, g = after->fma_f32;
    sample->probe = (rb_probe){ (a + z) / 2, (f + g) / 2 };
    sample->paired = rb_roofs_agree(a, z) && rb_roofs_agree(f, g);
}

/* Everything a repetition needs: roofs, a session, its context, warm threads and caches. */
static rb_status prepare(rb_bench *b, rb_trial *trial, rb_roofs **roofs, rb_slot **s, rb_error *err)
{
    rb_result *r = trial->result;
    const rb_test *t = &r->test;
    bool filled = true;
    rb_status st = rb_roofs_for(b, t, roofs, err);
    if (st == RB_OK)
        st = rb_slot_for(b, t, s, err);
    if (st == RB_OK)
        st = need_ids(b, rb_test_tokens(t), err);
    if (st == RB_OK)
        st = fill_context(b, *s, r, &filled, err);
    if (st != RB_OK || !filled)
        return st;
    r->machine = *roofs ? rb_roofs_machine(*roofs) : NULL;
    r->kv_bytes_per_token = rb_session_kv_bytes_per_token((*s)->session);
    if (!trial->warm && b->params.warmup && !b->params.dry)
        st = warm_up(b, *s, t, &r->warm, err);
    trial->warm = true;
    return st;
}

static rb_status repeat(rb_bench *b, rb_trial *trial, bool *done, rb_error *err)
{
    const rb_test *t = &trial->result->test;
    rb_slot *s = NULL;
    rb_roofs *roofs = NULL;
    rb_sample sample = { 0 };
    rb_probe before = { 0 }, after = { 0 };
    rb_noise_mark mark;
    *done = false;
    rb_status st = prepare(b, trial, &roofs, &s, err);
    const uint64_t start = rb_now_ns();
    if (st != RB_OK || rb_bench_stopped(b))
        return st;
    if (roofs) {
        before = rb_roofs_probe(roofs);
        st = touch(b, s, t, err);
    }
    if (st != RB_OK || rb_bench_stopped(b))
        return st;
    rb_session_clear(s->session);
    rb_noise_begin(&mark);
    rb_pmu_begin(b->pmu);
    st = run_once(b, s, t, &sample.ns, done, err);
    sample.pmu = rb_pmu_end(b->pmu);
    sample.noise = rb_noise_end(&mark);
    if (st != RB_OK || !*done)
        return st;
    if (roofs)
        after = rb_roofs_probe(roofs);
    pair(&sample, &before, &after);
    trial->estimate_s = (double)(rb_now_ns() - start) / 1e9;
    return keep(b, trial, s, &sample, err);
}

bool rb_trial_repeat(rb_bench *b, rb_trial *trial)
{
    rb_error err = { 0 };
    bool done;
    rb_result *r = trial->result;
    if (repeat(b, trial, &done, &err) != RB_OK)
        snprintf(r->error, sizeof r->error, "%s", err.text[0] ? err.text : "failed");
    return done && !r->error[0];
}

/* One more repetition, after those that are timed, with every launch recorded. */
static rb_status trace_one(rb_bench *b, rb_trial *trial, rb_error *err)
{
    const rb_test *t = &trial->result->test;
    rb_slot *s = NULL;
    rb_roofs *roofs = NULL;
    rb_trace *trace = NULL;
    uint64_t ns = 0;
    bool done = false;
    rb_status st = prepare(b, trial, &roofs, &s, err);
    if (st == RB_OK && !rb_bench_stopped(b))
        st = touch(b, s, t, err);
    if (st == RB_OK && !rb_bench_stopped(b))
        trace = rb_traces_begin(b->params.traces, t->n_threads);
    if (!trace)
        return st;
    rb_session_trace(s->session, trace);
    st = run_once(b, s, t, &ns, &done, err);
    rb_session_trace(s->session, NULL);
    if (st == RB_OK && done)
        rb_traces_keep(b->params.traces, trace, rb_model_for(b, t), t);
    else
        rb_trace_close(trace);
    return st;
}

void rb_result_medians(rb_result *r)
{
    double ns[RB_MAX_REPS], tps[RB_MAX_REPS];
    uint64_t whole[RB_MAX_REPS];
    for (int i = 0; i < r->n_samples; i++) {
        whole[i] = r->sample[i].ns;
        ns[i] = (double)whole[i];
        tps[i] = ns[i] > 0 ? (double)rb_test_tokens(&r->test) * 1e9 / ns[i] : 0;
    }
    r->median = rb_median_index(whole, r->n_samples);
    r->ns = rb_stats_of(ns, r->n_samples);
    r->tps = rb_stats_of(tps, r->n_samples);
}

void rb_trial_finish(rb_bench *b, rb_trial *trial, int n_wanted)
{
    rb_result *r = trial->result;
    r->interrupted = rb_bench_stopped(b) && r->n_samples < n_wanted;
    if (r->error[0] || !r->n_samples)
        return;
    rb_result_medians(r);
    for (int i = 0; i < r->n_samples; i++)
        r->noise = i ? rb_noise_add(&r->noise, &r->sample[i].noise) : r->sample[i].noise;
    rb_tally *cell = &r->ledger.at[0][0][0];
    for (int i = 0; i < trial->n_cell; i++) {
        const rb_kernel_ns *from = &trial->times[r->median * trial->n_cell + i];
        rb_tally *t = &cell[trial->cell[i]];
        t->ns = from->work, t->barrier_ns = from->barrier, t->launch_ns = from->launch;
    }
    rb_error err;
    model_dram(b, r);
    if (b->params.traces && !rb_bench_stopped(b) && trace_one(b, trial, &err) != RB_OK)
        snprintf(r->error, sizeof r->error, "%s", err.text);
    for (int phase = 0; phase < RB_N_PHASE; phase++) {
        const rb_tally sum = rb_ledger_phase(&r->ledger, (rb_phase)phase);
        rb_tally_add(&r->total, &sum);
    }
    for (int i = 0; i < r->n_samples; i++)
        r->sample[i].roof_ns = rb_sample_roof_ns(r, i);
    r->place = rb_place_result(r);
    for (int i = 0; i < trial->n_cell; i++)
        (&r->kernel[0][0][0])[trial->cell[i]] =
            rb_place_kernel(r, &cell[trial->cell[i]], &trial->times[i], trial->n_cell);
}

void rb_trial_close(rb_trial *trial)
{
    free(trial->times);
    free(trial->cell);
    trial->times = NULL;
    trial->cell = NULL;
}

void rb_bench_test(rb_bench *b, const rb_test *t, rb_result *r)
{
    rb_trial trial;
    const int n = b->params.dry ? 1 : b->params.n_reps;
    b->reach = (rb_reach){ 0 };
    rb_trial_open(b, &trial, t, r);
    for (int i = 0; i < n && !r->error[0] && rb_trial_repeat(b, &trial); i++)
        continue;
    rb_trial_finish(b, &trial, n);
    rb_trial_close(&trial);
}
