/* The one door. A launch is: check, select, run phase by phase with a barrier after each, then
 * count and book, by the first thread. Refuses (aborts, naming op and operand): calls that do not
 * fit, scratch that was not planned. Read next: op.h for what is checked, cost.c for what is
 * counted, threads.c. */
#include "launch.h"
#include "matmul.h"
#include "reuse.h"

#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>
#include <sys/syscall.h>

enum { MAX_CANDIDATES = 256, CACHE_LINE = 64 };

/* Whether launches are neither booked nor timed: only in the build that measures what that costs.
 */
#ifdef RB_NOCOUNT
extern bool rb_nocount;
bool rb_nocount;
#else
enum { rb_nocount = 0 };
#endif

struct rb_team {
    rb_team_params params;
    int n_asked; /* threads; a dry or proving team does with one */
    rb_ledger ledger;
    rb_reuse *reuse;     /* NULL: DRAM traffic is not modelled */
    rb_trace *trace;     /* NULL: launches are not recorded */
    rb_routing *routing; /* [RB_N_PHASE][params.n_layer] */
    rb_costed last[RB_N_PHASE][RB_N_SITE];
    rb_scratch reserved, needed;
    rb_buffer scratch; /* shared, then own of each thread */
    int64_t own_step;
    rb_proof proof;
    /* Rows that this team may use, best first. */
    const rb_kernel *candidate[RB_N_OP][MAX_CANDIDATES + 1];
    /* The first thread's alone: end of the last phase of the last launch, or start of the step. */
    _Alignas(CACHE_LINE) uint64_t end_ns;
    _Alignas(CACHE_LINE) atomic_int arrived;
    _Alignas(CACHE_LINE) atomic_uint generation; /* barriers passed; also the futex of sleepers */
    uint64_t done_ns; /* when the last thread came to the last barrier; beside what all wait for */
    atomic_int sleeping;
};

uint64_t rb_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- selection ---- */

static bool usable(const rb_team_params *p, const rb_kernel *k)
{
    if (p->only)
        return k == p->only;
    if (k->isa >= RB_ISA_COUNT1 || (k->act != RB_ACT_F32 && p->act_f32))
        return false;
    if (k->isa == RB_ISA_BLAS)
        return !p->capped;
    return k->isa <= p->isa && rb_kernel_supported(k) && rb_kernel_worth_taking(k);
}

bool rb_kernel_fits(const rb_kernel *k, const rb_call *call)
{
    const int arg = k->op->key_arg;
    if (arg >= 0 && k->dtype != RB_NO_DTYPE && k->dtype != call->t[arg].dtype)
        return false;
    return !k->accepts || k->accepts(call);
}

static rb_status add_candidate(rb_team *team, rb_isa isa, const rb_kernel *k, rb_error *err)
{
    if (k->isa != isa || !usable(&team->params, k))
        return RB_OK;
    const rb_kernel **of = team->candidate[k->op->id];
    int n = 0;
    while (of[n])
        n++;
    if (n == MAX_CANDIDATES)
        return rb_fail(err, RB_ERR_ARGUMENT, "more than %d kernels registered for %s",
                       MAX_CANDIDATES, k->op->name);
    of[n] = k;
    return RB_OK;
}

/* By ISA; of each, rows from outside before those of the build. */
static rb_status list_candidates(rb_team *team, rb_error *err)
{
    rb_status status = RB_OK;
    for (int isa = RB_ISA_BLAS; isa >= RB_ISA_SCALAR; isa--) {
        const rb_kernel *own;
        for (int i = 0; status == RB_OK && (own = rb_registered(team->params.registry, i)); i++)
            status = add_candidate(team, (rb_isa)isa, own, err);
        for (int i = 0; status == RB_OK && i < rb_registry_size(); i++)
            status = add_candidate(team, (rb_isa)isa, rb_registry_row(i), err);
    }
    return status;
}

/* ---- checks: a call that does not fit is a programmer's mistake ---- */

static void die(const rb_op *op, const char *arg, const char *what)
{
    fprintf(stderr, "rbench: %s%s%s: %s\n", op ? op->name : "an operation from outside",
            arg ? ": operand " : "", arg ? arg : "", what);
    abort();
}

static bool has_its_dtype(const rb_op *op, int i, const rb_view *v)
{
    if (op->key_arg == i) /* a row has to have it */
        return true;
    if ((op->arg[i].flags & RB_CACHED) && v->stream == RB_KV)
        return rb_is_cache_dtype(v->dtype);
    return (op->arg[i].flags & RB_ANY_DTYPE) ||
           v->dtype == (v->stream == RB_CTRL ? RB_I32 : RB_F32);
}

static const char *view_error(const rb_op *op, int i, const rb_view *v)
{
    const rb_arg *arg = &op->arg[i];
    if (!has_its_dtype(op, i, v))
        return "it is not of the dtype that this operand has";
    if (!(arg->streams >> v->stream & 1))
        return "its stream is not one that this operand may come from";
    if (v->n[3] % rb_dtype_get(v->dtype)->block != 0)
        return "its columns are no whole number of blocks";
    int64_t last = v->offset_bytes + rb_row_bytes(v->dtype, v->n[3]);
    for (int a = 0; a < 3; a++) {
        if (v->n[a] < 1 || v->step_bytes[a] < 0)
            return "it has an empty extent or a negative step";
        last += (v->n[a] - 1) * v->step_bytes[a];
    }
    if (v->offset_bytes < 0 || last > (int64_t)v->buffer->bytes)
        return "it reaches beyond its buffer";
    return NULL;
}

const char *rb_call_error(const rb_op *op, const rb_call *call, const char **arg_name)
{
    *arg_name = NULL;
    for (int i = 0; i < RB_MAX_ARG && op->arg[i].name; i++) {
        const rb_arg *arg = &op->arg[i];
        *arg_name = arg->name;
        if (!call->t[i].buffer) {
            if (!(arg->flags & RB_OPTIONAL))
                return "it is missing";
            continue;
        }
        const char *wrong = view_error(op, i, &call->t[i]);
        if (wrong)
            return wrong;
    }
    *arg_name = NULL;
    return op->check(call);
}

/* ---- the team ---- */

static void pause_cpu(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

/* Waits for all threads: by spinning, since a launch lasts microseconds; then also offering the
 * core to others, since one of ours may want it where another process took its own; then asleep. */
static void barrier(rb_team *team, uint64_t done_ns)
{
    enum { SPINS = 1 << 8, YIELDS = 1 << 10 };
    const int n = team->params.n_threads;
    if (n == 1) {
        team->done_ns = done_ns;
        return;
    }
    const unsigned generation = atomic_load(&team->generation);
    if (atomic_fetch_add(&team->arrived, 1) == n - 1) {
        atomic_store(&team->arrived, 0);
        team->done_ns = done_ns;
        atomic_store(&team->generation, generation + 1);
        if (atomic_load(&team->sleeping) > 0)
            syscall(SYS_futex, &team->generation, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        return;
    }
    for (int spin = 0; spin < SPINS + YIELDS; spin++) {
        if (atomic_load_explicit(&team->generation, memory_order_acquire) != generation)
            return;
        pause_cpu();
        if (spin >= SPINS)
            sched_yield();
    }
    atomic_fetch_add(&team->sleeping, 1);
    while (atomic_load(&team->generation) == generation)
        syscall(SYS_futex, &team->generation, FUTEX_WAIT_PRIVATE, generation, NULL, NULL, 0);
    atomic_fetch_sub(&team->sleeping, 1);
}

/* Counting rows run in proofs only. */
static bool can_be_alone(const rb_kernel *k)
{
    return k->isa < RB_ISA_COUNT1 && rb_kernel_supported(k);
}

rb_status rb_team_open(rb_team **out, const rb_team_params *params, rb_error *err)
{
    *out = NULL;
    if (params->n_threads < 1 || params->n_threads > 4096)
        return rb_fail(err, RB_ERR_ARGUMENT, "%d threads: between 1 and 4096 are possible",
                       params->n_threads);
    if (params->n_threads > rb_thread_limit())
        return rb_fail(err, RB_ERR_ARGUMENT, "%d threads: OMP_THREAD_LIMIT allows %d",
                       params->n_threads, rb_thread_limit());
    if (params->only && !can_be_alone(params->only))
        return rb_fail(err, RB_ERR_ARGUMENT, "a kernel of %s alone: this machine cannot run it",
                       rb_isa_name[params->only->isa]);
    const bool blas_wanted = params->only ? params->only->isa == RB_ISA_BLAS : !params->capped;
    if (blas_wanted && !params->dry) {
        const rb_status blas = rb_blas_prepare(err);
        if (blas != RB_OK)
            return blas;
    }
    rb_team *team =
        aligned_alloc(CACHE_LINE, (sizeof *team + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (!team)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a team of threads");
    memset(team, 0, sizeof *team);
    team->params = *params;
    team->n_asked = params->n_threads;
    if (params->dry || params->prove)
        team->params.n_threads = 1;
    rb_status status = list_candidates(team, err);
    if (status == RB_OK && params->cache_bytes)
        status = rb_reuse_open(&team->reuse, params->cache_bytes, err);
    if (status == RB_OK && params->n_layer) {
        team->routing = calloc((size_t)(RB_N_PHASE * params->n_layer), sizeof *team->routing);
        if (!team->routing)
            status = rb_fail(err, RB_ERR_MEMORY, "no memory for the routing of %lld layers",
                             (long long)params->n_layer);
    }
    if (status != RB_OK) {
        rb_team_close(team);
        return status;
    }
    *out = team;
    return RB_OK;
}

void rb_team_close(rb_team *team)
{
    if (!team)
        return;
    rb_buffer_free(&team->scratch);
    rb_reuse_close(team->reuse);
    free(team->routing);
    free(team);
}

rb_scratch rb_team_scratch_needed(const rb_team *team)
{
    return team->needed;
}

static int64_t round_up(int64_t n)
{
    return (n + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

rb_status rb_team_reserve(rb_team *team, rb_scratch need, rb_error *err)
{
    rb_buffer_free(&team->scratch);
    team->reserved = need;
    team->own_step = round_up(need.own_bytes) + CACHE_LINE; /* threads never share a line */
    const int64_t bytes = round_up(need.shared_bytes) + team->own_step * team->params.n_threads;
    return rb_buffer_alloc(&team->scratch, (size_t)bytes, team->params.dry, err);
}

rb_scratch rb_team_scratch_reserved(const rb_team *team)
{
    return team->reserved;
}

void rb_team_trace(rb_team *team, rb_trace *trace)
{
    if (trace && trace->n_threads != team->params.n_threads)
        abort(); /* a programmer's mistake */
    team->trace = trace;
}

rb_ledger *rb_team_ledger(rb_team *team)
{
    return &team->ledger;
}

const rb_routing *rb_team_routing(const rb_team *team, rb_phase phase, int64_t layer)
{
    const int64_t n = team->params.n_layer;
    return team->routing && layer >= 0 && layer < n ? &team->routing[phase * n + layer] : NULL;
}

bool rb_team_models_dram(const rb_team *team)
{
    return team->reuse && !rb_reuse_failed(team->reuse);
}

const rb_costed *rb_team_last(const rb_team *team, rb_phase phase, rb_site site)
{
    return &team->last[phase][site];
}

void rb_team_clear(rb_team *team)
{
    rb_ledger_clear(&team->ledger);
    if (team->routing)
        memset(team->routing, 0,
               (size_t)(RB_N_PHASE * team->params.n_layer) * sizeof *team->routing);
}

const rb_proof *rb_team_proof(const rb_team *team)
{
    return &team->proof;
}

/* A step, as each thread of the team runs it. */
typedef struct step {
    rb_team *team;
    void (*fn)(rb_exec *ex, void *arg);
    void *arg;
} step;

static void run_step(int thread, int n_threads, void *arg)
{
    const step *s = arg;
    if (n_threads != s->team->params.n_threads)
        abort(); /* a smaller team would never meet at the barrier */
    rb_exec ex = { .team = s->team, .thread = thread, .layer = -1 };
    rb_trace_span *span = s->team->trace ? rb_trace_step(s->team->trace, thread) : NULL;
    if (thread == 0)
        s->team->end_ns = rb_now_ns();
    s->fn(&ex, s->arg);
    if (span)
        rb_trace_step_end(span, ex.phase);
}

void rb_step(rb_team *team, void (*fn)(rb_exec *ex, void *arg), void *arg)
{
    rb_on_threads(team->params.n_threads, run_step, &(step){ team, fn, arg });
}

/* ---- the launch ---- */

const rb_kernel *rb_select(const rb_team *team, rb_op_id op, const rb_call *call)
{
    for (const rb_kernel *const *k = team->candidate[op]; *k; k++)
        if (rb_kernel_fits(*k, call))
            return *k;
    return NULL;
}

/* The row for a call that fits its op; else the first thread says what is wrong and ends it all. */
static const rb_kernel *checked_row(const rb_exec *ex, rb_op_id id, const rb_call *call)
{
    const rb_kernel *first = ex->team->candidate[id][0];
    const rb_op *op = first ? first->op : rb_op_get(id);
    const char *arg_name = NULL;
    const char *wrong = op ? rb_call_error(op, call, &arg_name) : "no kernel of it is registered";
    const rb_kernel *k = wrong ? NULL : rb_select(ex->team, id, call);
    if (!wrong && !k)
        wrong = "no kernel for these dtypes";
    if (wrong && ex->thread == 0)
        die(op, arg_name, wrong);
    while (wrong)
        pause_cpu();
    return k;
}

static rb_scratch scratch_of(const rb_kernel *k, const rb_call *call)
{
    return (rb_scratch){ k->shared_bytes ? k->shared_bytes(call) : 0,
                         k->own_bytes ? k->own_bytes(call) : 0 };
}

/* Where the wall clock of a launch went: see rb_tally. */
typedef struct launch_times {
    uint64_t work, barrier, launch;
} launch_times;

/* Ids are still those of this launch: the next one that writes them has to pass a barrier, which
 * the first thread has not reached yet. */
static void book_routing(const rb_exec *ex, const rb_op *op, const rb_call *call)
{
    rb_routing *r = (rb_routing *)rb_team_routing(ex->team, ex->phase, ex->layer);
    int a = 0;
    while (a < RB_MAX_ARG && op->arg[a].name && !(op->arg[a].flags & RB_ROUTED))
        a++;
    if (!r || a == RB_MAX_ARG || !op->arg[a].name || !call->t[a].buffer)
        return;
    const rb_view *id = &call->t[op->arg[a].index];
    const int64_t n_rows = call->t[a].n[2], n_tok = id->n[0] * id->n[1] * id->n[2];
    bool assumed = false;
    const uint64_t n = (uint64_t)rb_distinct_rows(id, n_rows, &assumed);
    r->least = r->calls && r->least < n ? r->least : n;
    r->most = r->most > n ? r->most : n;
    r->calls++;
    r->tokens += (uint64_t)n_tok;
    r->distinct += n;
    r->expected += rb_expected_rows(n_rows, id->n[3], n_tok);
}

/* Where scratch lies, for a launch by as many threads as were asked for. */
static void book_dram(const rb_team *team, const rb_kernel *k, const rb_call *call, rb_dram *sum)
{
    const rb_scratch used = scratch_of(k, call);
    const rb_reuse_scratch s = { .buffer = &team->scratch,
                                 .shared_bytes = used.shared_bytes,
                                 .own_bytes = used.own_bytes,
                                 .own_first = round_up(team->reserved.shared_bytes),
                                 .own_step = team->own_step,
                                 .n_threads = team->n_asked,
                                 .partials = k->partials };
    rb_reuse_launch(team->reuse, k->op, call, &s, sum);
}

static void book(const rb_exec *ex, const rb_kernel *k, const rb_call *call, launch_times t)
{
    rb_tally *at = &ex->team->ledger.at[ex->phase][ex->site][k->op->id];
    rb_costed *last = &ex->team->last[ex->phase][ex->site];
    rb_cost_add(&at->cost, rb_cost_again(last, k, call, &at->assumed));
    if (ex->team->reuse)
        book_dram(ex->team, k, call, &at->dram);
    at->kernel = k;
    at->calls++;
    at->ns += t.work;
    at->barrier_ns += t.barrier;
    at->launch_ns += t.launch;
    book_routing(ex, k->op, call);
}

static void launch_dry(const rb_exec *ex, const rb_kernel *k, const rb_call *call)
{
    const rb_scratch s = scratch_of(k, call);
    rb_scratch *need = &ex->team->needed;
    need->shared_bytes = s.shared_bytes > need->shared_bytes ? s.shared_bytes : need->shared_bytes;
    need->own_bytes = s.own_bytes > need->own_bytes ? s.own_bytes : need->own_bytes;
    book(ex, k, call, (launch_times){ 0 });
}

/* The launch is done by the counting twin of the row that would have run, on memory that only
 * primitives can reach; its results are the launch's results. */
static void launch_proven(const rb_exec *ex, const rb_kernel *k, const rb_call *call)
{
    rb_proof *sum = &ex->team->proof, one = { 0 };
    const rb_kernel *twin = rb_counting_twin(k);
    bool assumed = false;
    const rb_cost claim = rb_cost_of(k, call, &assumed);
    if (!twin)
        snprintf(one.mismatch, sizeof one.mismatch, "unproven: %s", k->unproven);
    else
        rb_prove_claim(twin, call, &claim,
                       ex->team->ledger.at[ex->phase][ex->site][k->op->id].calls, &one);
    rb_proof_add(sum, &one, k);
    book(ex, k, call, (launch_times){ 0 });
}

/* All threads are through the barrier of a phase that began at `start`: its time is that of the
 * slowest thread, and what came after is the barrier's. Returns the end. */
static uint64_t phase_end(const rb_team *team, uint64_t start, launch_times *t)
{
    const uint64_t slowest = team->done_ns > start ? team->done_ns : start;
    const uint64_t now = team->params.n_threads > 1 ? rb_now_ns() : slowest;
    const uint64_t end = now > slowest ? now : slowest;
    t->work += slowest - start;
    t->barrier += end - slowest;
    return end;
}

/* A launch has passed its last barrier; the first thread has booked it and says what it was. */
static void trace_launch(const rb_exec *ex, const rb_kernel *k, rb_trace_thread *thread)
{
    if (ex->thread == 0) {
        const rb_cost *cost = &ex->team->last[ex->phase][ex->site].cost;
        const rb_bytes bytes = rb_cost_bytes(cost);
        ex->team->trace->launch[thread->n_launch] = (rb_trace_launch){
            .kernel = k,
            .phase = ex->phase,
            .site = ex->site,
            .layer = ex->layer,
            .flops = cost->flops,
            .bytes = rb_bytes_all(&bytes),
        };
    }
    thread->n_launch++;
}

static void launch_real(const rb_exec *ex, const rb_kernel *k, const rb_call *call)
{
    rb_team *team = ex->team;
    const rb_scratch s = scratch_of(k, call);
    if (s.shared_bytes > team->reserved.shared_bytes || s.own_bytes > team->reserved.own_bytes)
        die(k->op, NULL, "it needs more scratch than was planned");
    char *shared = team->scratch.data;
    char *own = shared + round_up(team->reserved.shared_bytes) + ex->thread * team->own_step;
    const int n = team->params.n_threads, i = ex->thread;
    const bool books = i == 0 && !rb_nocount;
    rb_trace_thread *trace = team->trace ? rb_trace_begin(team->trace, i, k->n_phase) : NULL;
    uint64_t start = books ? rb_now_ns() : 0;
    launch_times times = { .launch = books ? start - team->end_ns : 0 };
    for (int phase = 0; phase < k->n_phase; phase++) {
        const int64_t units = k->units(call, phase);
        if (units == 0)
            continue;
        const int64_t first = units * i / n, last = units * (i + 1) / n;
        const uint64_t begin = trace ? rb_now_ns() : 0;
        if (first < last)
            k->run(call, phase, first, last, shared, own);
        const uint64_t done = rb_nocount ? 0 : rb_now_ns();
        barrier(team, done);
        if (trace)
            rb_trace_phase(trace, phase, first, last, begin, done);
        if (books)
            start = phase_end(team, start, &times);
    }
    if (books) {
        team->end_ns = start;
        book(ex, k, call, times);
    }
    if (trace)
        trace_launch(ex, k, trace);
}

void rb_launch(rb_exec *ex, rb_op_id op, const rb_call *call)
{
    const rb_kernel *k = checked_row(ex, op, call);
    if (ex->team->params.dry)
        launch_dry(ex, k, call);
    else if (ex->team->params.prove)
        launch_proven(ex, k, call);
    else
        launch_real(ex, k, call);
}
