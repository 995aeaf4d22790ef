/* Runs a counting row on fake memory and holds its tally against formula and views.
 * Each buffer of the call gets a reserved, inaccessible address range of its size; the primitives
 * translate. After the run: executed FLOPs, specials, integer MACs, decode work and issued bytes
 * equal the formulas; in each buffer the touched storage units are exactly those the views say.
 * Refuses to believe: rows that name a reason in `unproven`. Read next: count.c. */
#include "prove.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cases.h"
#include "count.h"
#include "launch.h"

typedef struct proving {
    const rb_kernel *k;
    rb_call call;                   /* with fake buffers */
    rb_buffer fake[RB_MAX_ARG + 2]; /* operands' buffers, then shared and own scratch */
    rb_count count;
    uint8_t *derived_rd[RB_MAX_ARG], *derived_wr[RB_MAX_ARG]; /* a byte per byte, by region */
} proving;

static void mismatch(rb_proof *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void mismatch(rb_proof *p, const char *fmt, ...)
{
    if (p->mismatch[0] != '\0')
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->mismatch, sizeof p->mismatch, fmt, args);
    va_end(args);
}

/* ---- fake memory ---- */

static bool add_region(proving *v, char *real, size_t bytes, bool traffic)
{
    const int i = v->count.n_region;
    rb_count_region *r = &v->count.region[i];
    const size_t size = bytes ? bytes : 1;
    char *fake = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fake == MAP_FAILED)
        return false;
    *r = (rb_count_region){ .fake = fake, .bytes = bytes, .real = real };
    v->fake[i] = (rb_buffer){ fake, size };
    v->count.n_region++;
    if (!traffic)
        return true;
    r->was_read = calloc(1, size);
    r->was_written = calloc(1, size);
    v->derived_rd[i] = calloc(1, size);
    v->derived_wr[i] = calloc(1, size);
    return r->was_read && r->was_written && v->derived_rd[i] && v->derived_wr[i];
}

static int region_of(const proving *v, const rb_buffer *b)
{
    for (int i = 0; i < v->count.n_region; i++)
        if (v->count.region[i].real == b->data)
            return i;
    return -1;
}

static bool open_regions(proving *v, const rb_call *call, char *shared, size_t shared_bytes,
                         char *own, size_t own_bytes)
{
    v->call = *call;
    for (int a = 0; a < RB_MAX_ARG; a++) {
        const rb_buffer *b = call->t[a].buffer;
        if (!b)
            continue;
        int i = region_of(v, b);
        if (i < 0) {
            i = v->count.n_region;
            if (!add_region(v, b->data, b->bytes, true))
                return false;
        }
        v->call.t[a].buffer = &v->fake[i];
    }
    return add_region(v, shared, shared_bytes, false) && add_region(v, own, own_bytes, false);
}

static void close_regions(proving *v)
{
    for (int i = 0; i < v->count.n_region; i++) {
        munmap((void *)(uintptr_t)v->fake[i].data, v->fake[i].bytes);
        free(v->count.region[i].was_read);
        free(v->count.region[i].was_written);
    }
    for (int i = 0; i < RB_MAX_ARG; i++) {
        free(v->derived_rd[i]);
        free(v->derived_wr[i]);
    }
}

/* ---- running ---- */

/* Work units in random contiguous ranges, one after the other: as many threads would split them. */
static void run_split(proving *v, uint64_t *seed)
{
    void *shared = v->fake[v->count.n_region - 2].data, *own = v->fake[v->count.n_region - 1].data;
    for (int phase = 0; phase < v->k->n_phase; phase++) {
        const int64_t units = v->k->units(&v->call, phase);
        for (int64_t first = 0, last; first < units; first = last) {
            last = first + 1 + (int64_t)rb_random_below(seed, (uint64_t)(units - first));
            v->k->run(&v->call, phase, first, last, shared, own);
        }
    }
}

/* ---- what the views say, independently of cost.c: by marking every row ---- */

/* A byte belongs to the stream of the first operand that covers it, as cost.c books it. */
static void mark_row(uint8_t *map, const rb_view *v, int64_t s, int64_t t, int64_t h)
{
    const int64_t n = rb_row_bytes(v->dtype, v->n[3]);
    uint8_t *at =
        map + v->offset_bytes + s * v->step_bytes[0] + t * v->step_bytes[1] + h * v->step_bytes[2];
    for (int64_t i = 0; i < n; i++)
        if (!at[i])
            at[i] = (uint8_t)(1 + v->stream);
}

static void mark_operand(const proving *v, const rb_call *real, int a, uint8_t *map)
{
    const rb_arg *arg = &v->k->op->arg[a];
    const rb_view *x = &real->t[a];
    if (arg->rows == RB_ROWS_GATHERED) {
        const rb_view *index = &real->t[arg->index];
        for (int64_t i = 0; i < rb_view_elements(index); i++)
            mark_row(map, x, 0, 0, ((const int32_t *)rb_at(index, 0, 0, 0))[i]);
        return;
    }
    const int64_t n_tok = real->t[v->k->op->token_arg].n[1];
    for (int64_t s = 0; s < x->n[0]; s++) {
        const bool part = arg->rows != RB_ROWS_ALL;
        const int64_t from = arg->rows == RB_ROWS_NEW ? real->past[s] : 0;
        const int64_t to = part ? real->past[s] + n_tok : x->n[1];
        for (int64_t t = from; t < to; t++)
            for (int64_t h = 0; h < x->n[2]; h++)
                mark_row(map, x, s, t, h);
    }
}

static void derive_touches(proving *v, const rb_call *real)
{
    for (int a = 0; a < RB_MAX_ARG && v->k->op->arg[a].name; a++) {
        const rb_view *x = &real->t[a];
        if (!x->buffer || x->stream == RB_CTRL)
            continue;
        const int i = region_of(v, x->buffer);
        if (v->k->op->arg[a].mode != 'w')
            mark_operand(v, real, a, v->derived_rd[i]);
        if (v->k->op->arg[a].mode != 'r')
            mark_operand(v, real, a, v->derived_wr[i]);
    }
}

/* A touch of any byte marks its whole block: spreads marks over the blocks of an operand's rows. */
static void spread_to_blocks(const rb_view *x, uint8_t *map)
{
    const int64_t block = rb_dtype_get(x->dtype)->block_bytes;
    const int64_t row = rb_row_bytes(x->dtype, x->n[3]);
    for (int64_t s = 0; s < x->n[0]; s++)
        for (int64_t t = 0; t < x->n[1]; t++)
            for (int64_t h = 0; h < x->n[2]; h++) {
                uint8_t *at = map + x->offset_bytes + s * x->step_bytes[0] + t * x->step_bytes[1] +
                              h * x->step_bytes[2];
                for (int64_t b = 0; b < row; b += block)
                    if (memchr(at + b, 1, (size_t)block))
                        memset(at + b, 1, (size_t)block);
            }
}

static void compare_touches(proving *v, const rb_call *real, rb_proof *p)
{
    for (int a = 0; a < RB_MAX_ARG && v->k->op->arg[a].name; a++) {
        const rb_view *x = &real->t[a];
        if (!x->buffer || x->stream == RB_CTRL)
            continue;
        rb_count_region *r = &v->count.region[region_of(v, x->buffer)];
        spread_to_blocks(x, r->was_read);
        spread_to_blocks(x, r->was_written);
    }
    for (int i = 0; i < v->count.n_region - 2; i++) {
        const rb_count_region *r = &v->count.region[i];
        for (size_t b = 0; b < r->bytes; b++) {
            if (r->was_read[b] != !!v->derived_rd[i][b])
                mismatch(p, "byte %zu of buffer %d: %s", b, i,
                         r->was_read[b] ? "read, but no view says so"
                                        : "a view says it is read, but it was not");
            if (r->was_written[b] != !!v->derived_wr[i][b])
                mismatch(p, "byte %zu of buffer %d: %s", b, i,
                         r->was_written[b] ? "written, but no view says so"
                                           : "a view says it is written, but it was not");
        }
    }
}

/* Bytes by stream from the marks. */
static void compare_bytes(const proving *v, const rb_call *real, const rb_cost *cost, rb_proof *p)
{
    uint64_t rd[1 + RB_N_STREAM] = { 0 }, wr[1 + RB_N_STREAM] = { 0 };
    for (int i = 0; i < v->count.n_region - 2; i++)
        for (size_t b = 0; b < v->count.region[i].bytes; b++) {
            rd[v->derived_rd[i][b]]++;
            wr[v->derived_wr[i][b]]++;
        }
    for (rb_stream s = 0; s < RB_N_STREAM; s++) {
        const bool traffic = s != RB_CTRL;
        if (traffic && (rd[1 + s] != cost->rd[s] || wr[1 + s] != cost->wr[s]))
            mismatch(p,
                     "%s bytes: views cover %" PRIu64 " read, %" PRIu64
                     " written; cost says %" PRIu64 ", %" PRIu64,
                     rb_stream_name[s], rd[1 + s], wr[1 + s], cost->rd[s], cost->wr[s]);
    }
    const char *arg_name;
    const char *wrong = rb_call_error(v->k->op, real, &arg_name);
    if (wrong)
        mismatch(p, "operand %s: %s", arg_name ? arg_name : "-", wrong);
}

static void compare_work(const rb_cost *c, rb_proof *p)
{
    const uint64_t want = c->flops + c->extra - c->saved;
    if (p->flops + 2 * p->int_macs != want)
        mismatch(p,
                 "flops: executed %" PRIu64 " + 2 x %" PRIu64 " int MACs, formula %" PRIu64
                 " + %" PRIu64 " - %" PRIu64,
                 p->flops, p->int_macs, c->flops, c->extra, c->saved);
    if (p->int_macs != c->int_macs)
        mismatch(p, "int MACs: executed %" PRIu64 ", formula %" PRIu64, p->int_macs, c->int_macs);
    if (p->bf16_macs != c->bf16_macs)
        mismatch(p, "bf16 MACs: executed %" PRIu64 ", formula %" PRIu64, p->bf16_macs,
                 c->bf16_macs);
    if ((int64_t)p->special != (int64_t)c->special + c->special_overhead)
        mismatch(p, "special: executed %" PRIu64 ", formula %" PRIu64 " + %" PRId64, p->special,
                 c->special, c->special_overhead);
    for (int i = 0; i < 3; i++)
        if (p->dequant[i] != c->dequant[i])
            mismatch(p, "dequantisation, %s operations: executed %" PRIu64 ", formula %" PRIu64,
                     i == 0   ? "integer"
                     : i == 1 ? "conversion"
                              : "float",
                     p->dequant[i], c->dequant[i]);
}

static void compare_issued(const rb_cost *c, rb_proof *p)
{
    if (!c->issued_unknown && (p->issued_rd != c->issued_rd || p->issued_wr != c->issued_wr))
        mismatch(p,
                 "issued bytes: %" PRIu64 " loaded, %" PRIu64 " stored; formula %" PRIu64
                 ", %" PRIu64,
                 p->issued_rd, p->issued_wr, c->issued_rd, c->issued_wr);
}

/* Conversions and float work are tallied one by one; integer bit work only through its events,
 * which must be as many as the tallied conversions account for. */
static void read_tally(const rb_count *c, rb_proof *p)
{
    p->flops = c->flops;
    p->special = c->special;
    p->int_macs = c->int_macs;
    p->bf16_macs = c->bf16_macs;
    p->issued_rd = c->issued_rd;
    p->issued_wr = c->issued_wr;
    uint64_t stated[3] = { 0 };
    for (rb_dtype t = 0; t < RB_N_DTYPE; t++) {
        const rb_dequant *d = &rb_dtype_get(t)->dq;
        stated[0] += (c->dq_blocks[t] + c->dq_unpacked[t]) * d->integer;
        stated[1] += c->dq_blocks[t] * d->conversion;
        stated[2] += c->dq_blocks[t] * d->flt;
    }
    if (stated[1] != c->dq_conversion || stated[2] != c->dq_float)
        mismatch(p,
                 "dequantisation: events state %" PRIu64 " conversions and %" PRIu64
                 " float operations, executed %" PRIu64 " and %" PRIu64,
                 stated[1], stated[2], c->dq_conversion, c->dq_float);
    memcpy(p->dequant, stated, sizeof stated);
}

bool rb_prove(const rb_kernel *k, const rb_call *call, uint64_t seed, rb_proof *proof)
{
    bool assumed = false;
    const rb_cost cost = rb_cost_of(k, call, &assumed);
    return rb_prove_claim(k, call, &cost, seed, proof);
}

bool rb_prove_claim(const rb_kernel *k, const rb_call *call, const rb_cost *claim, uint64_t seed,
                    rb_proof *proof)
{
    memset(proof, 0, sizeof *proof);
    const size_t shared_bytes = k->shared_bytes ? (size_t)k->shared_bytes(call) : 0;
    const size_t own_bytes = k->own_bytes ? (size_t)k->own_bytes(call) : 0;
    proving *v = calloc(1, sizeof *v);
    char *shared = calloc(1, shared_bytes + 1), *own = calloc(1, own_bytes + 1);
    if (!v || !shared || !own)
        rb_out_of_memory(); /* which is no mismatch */
    v->k = k;
    if (!open_regions(v, call, shared, shared_bytes, own, own_bytes))
        rb_out_of_memory();
    v->count.call = &v->call;
    v->count.op = k->op;
    rb_counting = &v->count;
    run_split(v, &seed);
    rb_counting = NULL;
    if (v->count.error[0] != '\0')
        mismatch(proof, "%s", v->count.error);
    read_tally(&v->count, proof);
    compare_work(claim, proof);
    compare_issued(claim, proof);
    derive_touches(v, call);
    compare_touches(v, call, proof);
    compare_bytes(v, call, claim, proof);
    close_regions(v);
    free(v);
    free(shared);
    free(own);
    return proof->mismatch[0] == '\0';
}

void rb_proof_add(rb_proof *a, const rb_proof *b, const rb_kernel *k)
{
    char name[96];
    a->flops += b->flops;
    a->special += b->special;
    a->int_macs += b->int_macs;
    a->bf16_macs += b->bf16_macs;
    for (int i = 0; i < 3; i++)
        a->dequant[i] += b->dequant[i];
    a->issued_rd += b->issued_rd;
    a->issued_wr += b->issued_wr;
    if (b->mismatch[0] != '\0')
        mismatch(a, "%s%s%.380s", k ? rb_kernel_name(k, name, sizeof name) : "", k ? ": " : "",
                 b->mismatch);
}

/* One problem; what is missing for a proof is a mismatch too. */
static void prove_case(const rb_kernel *k, const rb_kernel *twin, uint64_t seed, rb_proof *proof)
{
    rb_case c;
    rb_error err;
    bool assumed = false;
    memset(proof, 0, sizeof *proof);
    const rb_status made = rb_case_make(&c, k, RB_FILL_RANDOM, seed, &err);
    if (made == RB_ERR_MEMORY)
        rb_out_of_memory();
    if (made != RB_OK) {
        mismatch(proof, "%.380s", err.text);
        return;
    }
    const rb_cost claim = rb_cost_of(k, &c.call, &assumed);
    rb_prove_claim(twin, &c.call, &claim, seed, proof);
    rb_case_free(&c);
}

bool rb_prove_cases(const rb_kernel *k, int n, uint64_t seed, rb_proof *proof)
{
    const rb_kernel *twin = k->isa >= RB_ISA_COUNT1 ? k : rb_counting_twin(k);
    memset(proof, 0, sizeof *proof);
    if (!twin)
        mismatch(proof, "unproven: %.380s", k->unproven ? k->unproven : "it has no counting twin");
    for (int i = 0; twin && i < n; i++) {
        rb_proof one;
        prove_case(k, twin, seed + (uint64_t)i, &one);
        rb_proof_add(proof, &one, NULL);
    }
    return proof->mismatch[0] == '\0';
}
