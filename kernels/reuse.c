/* The stack of a cache that throws out what was used least recently, as a list of segments of
 * memory, the most recent first. A segment was used in rising order, so its end is more recent than
 * its start. Only what is within the capacity is kept; the tail leaves, and if it was written costs
 * its way back. Refuses to know about sets, ways and threads. Read next: reuse.h for what that
 * means. */
#include "reuse.h"

#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "operand.h"

enum { LINE = 64, NONE = -1 };

typedef struct segment {
    int64_t from, to; /* whole lines */
    int buffer, newer, older;
    bool dirty;
} segment;

/* A part of what is touched that is in the stack. */
typedef struct piece {
    int64_t from, to;
    int64_t depth; /* bytes that are more recent than its first byte, that one included */
    bool dirty;
} piece;

struct rb_reuse {
    int64_t capacity, held;
    segment *seg;
    int n_seg, most_seg, unused; /* unused: a chain of entries by `older` */
    int newest, oldest;
    const rb_buffer **buffer; /* by a hash of the address; their places are their numbers */
    int *live;                /* segments of each */
    int n_buffer, most_buffer;
    piece *piece;
    int n_piece, most_piece;
    uint64_t seed;
    bool failed;
};

rb_status rb_reuse_open(rb_reuse **out, int64_t cache_bytes, rb_error *err)
{
    *out = NULL;
    if (cache_bytes < LINE)
        return rb_fail(err, RB_ERR_ARGUMENT, "a cache of %lld bytes: less than a line",
                       (long long)cache_bytes);
    rb_reuse *r = calloc(1, sizeof *r);
    if (!r)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a model of a cache");
    *r = (rb_reuse){
        .capacity = cache_bytes, .unused = NONE, .newest = NONE, .oldest = NONE, .seed = 1
    };
    *out = r;
    return RB_OK;
}

void rb_reuse_close(rb_reuse *r)
{
    if (!r)
        return;
    free(r->seg);
    free(r->buffer);
    free(r->live);
    free(r->piece);
    free(r);
}

bool rb_reuse_failed(const rb_reuse *r)
{
    return r->failed;
}

/* Room for one more of n things of a size; false: there is no memory, and the model is void. */
static bool room(rb_reuse *r, void **array, int n, int *most, size_t size)
{
    if (n < *most)
        return true;
    const int more = *most ? 2 * *most : 64;
    void *grown = realloc(*array, (size_t)more * size);
    r->failed |= !grown;
    if (!grown)
        return false;
    *array = grown;
    *most = more;
    return true;
}

/* ---- buffers ---- */

static int slot_of(const rb_reuse *r, const rb_buffer *b)
{
    const int mask = r->most_buffer - 1;
    int i = (int)(((uintptr_t)b * UINT64_C(0x9E3779B97F4A7C15)) >> 40) & mask;
    while (r->buffer[i] && r->buffer[i] != b)
        i = (i + 1) & mask;
    return i;
}

/* A table of twice the size; segments keep to their buffers. */
static bool grow_buffers(rb_reuse *r)
{
    const rb_reuse old = *r;
    const int most = old.most_buffer ? 2 * old.most_buffer : 256;
    r->buffer = calloc((size_t)most, sizeof *r->buffer);
    r->live = calloc((size_t)most, sizeof *r->live);
    if (!r->buffer || !r->live) {
        free(r->buffer);
        free(r->live);
        r->buffer = old.buffer, r->live = old.live;
        r->failed = true;
        return false;
    }
    r->most_buffer = most;
    for (int i = 0; i < old.most_buffer; i++)
        if (old.buffer[i])
            r->buffer[slot_of(r, old.buffer[i])] = old.buffer[i];
    for (int i = r->newest; i != NONE; i = r->seg[i].older) {
        r->seg[i].buffer = slot_of(r, old.buffer[r->seg[i].buffer]);
        r->live[r->seg[i].buffer]++;
    }
    free(old.buffer);
    free(old.live);
    return true;
}

/* The number of a buffer; NONE: no memory. */
static int number_of(rb_reuse *r, const rb_buffer *b)
{
    if (2 * r->n_buffer >= r->most_buffer && !grow_buffers(r))
        return NONE;
    const int i = slot_of(r, b);
    r->n_buffer += !r->buffer[i];
    r->buffer[i] = b;
    return i;
}

/* ---- the stack ---- */

static void unlink_segment(rb_reuse *r, int i)
{
    segment *s = &r->seg[i];
    *(s->newer == NONE ? &r->newest : &r->seg[s->newer].older) = s->older;
    *(s->older == NONE ? &r->oldest : &r->seg[s->older].newer) = s->newer;
    r->held -= s->to - s->from;
    r->live[s->buffer]--;
    s->older = r->unused;
    r->unused = i;
}

/* A segment just newer than `below`, or at the tail if that is NONE. */
static void insert_segment(rb_reuse *r, segment s, int below)
{
    int i = r->unused;
    if (i != NONE) {
        r->unused = r->seg[i].older;
    } else if (room(r, (void **)&r->seg, r->n_seg, &r->most_seg, sizeof *r->seg)) {
        i = r->n_seg++;
    } else {
        return;
    }
    s.older = below;
    s.newer = below == NONE ? r->oldest : r->seg[below].newer;
    r->seg[i] = s;
    *(s.newer == NONE ? &r->newest : &r->seg[s.newer].older) = i;
    *(below == NONE ? &r->oldest : &r->seg[below].newer) = i;
    r->held += s.to - s.from;
    r->live[s.buffer]++;
}

/* Takes [from, to) out of segment i; what is left keeps its place. */
static void cut(rb_reuse *r, int i, int64_t from, int64_t to)
{
    const segment s = r->seg[i];
    segment *left = &r->seg[i];
    if (from <= s.from && to >= s.to) {
        unlink_segment(r, i);
    } else if (from <= s.from) {
        left->from = to;
        r->held -= to - s.from;
    } else {
        left->to = from;
        r->held -= s.to - from;
        if (to < s.to)
            insert_segment(r, (segment){ to, s.to, s.buffer, NONE, NONE, s.dirty }, i);
    }
}

/* What lies wholly beyond the capacity leaves. */
static void let_go(rb_reuse *r, rb_dram *sum)
{
    while (r->oldest != NONE) {
        const segment *s = &r->seg[r->oldest];
        if (r->held - (s->to - s->from) < r->capacity)
            return;
        sum->write_back += s->dirty ? (uint64_t)(s->to - s->from) : 0;
        unlink_segment(r, r->oldest);
    }
}

/* ---- touching ---- */

static int by_address(const void *x, const void *y)
{
    const int64_t a = ((const piece *)x)->from, b = ((const piece *)y)->from;
    return (a > b) - (a < b);
}

/* Takes all parts of [from, to) out of the stack into r->piece, by rising address. Using the bytes
 * of the range before a piece makes those of them recent that were not more recent already. */
static void take(rb_reuse *r, int buffer, int64_t from, int64_t to)
{
    int64_t above = 0;
    r->n_piece = 0;
    for (int i = r->newest, older, left = r->live[buffer]; left > 0; i = older) {
        const segment s = r->seg[i];
        older = s.older;
        left -= s.buffer == buffer;
        if (s.buffer == buffer && s.from < to && from < s.to &&
            room(r, (void **)&r->piece, r->n_piece, &r->most_piece, sizeof *r->piece)) {
            piece p = { .from = s.from > from ? s.from : from, .to = s.to < to ? s.to : to };
            p.dirty = s.dirty;
            p.depth = above + s.to - p.from + p.from - from;
            for (int k = 0; k < r->n_piece; k++)
                if (r->piece[k].to <= p.from)
                    p.depth -= r->piece[k].to - r->piece[k].from;
            r->piece[r->n_piece++] = p;
            cut(r, i, p.from, p.to);
        }
        above += s.to - s.from;
    }
    if (r->n_piece)
        qsort(r->piece, (size_t)r->n_piece, sizeof *r->piece, by_address);
}

/* Bytes [from, to), all found or none: found and dirty, or not. Joins what was put before them. */
static void put(rb_reuse *r, int buffer, int64_t from, int64_t to, bool dirty)
{
    segment *last = r->newest == NONE ? NULL : &r->seg[r->newest];
    if (last && last->buffer == buffer && last->to == from && last->dirty == dirty) {
        last->to = to;
        r->held += to - from;
    } else if (from < to) {
        insert_segment(r, (segment){ from, to, buffer, NONE, NONE, dirty }, r->newest);
    }
}

static void touch_lines(rb_reuse *r, int buffer, int64_t from, int64_t to, bool write, rb_dram *sum)
{
    uint64_t *const fetched = write ? &sum->allocate : &sum->read;
    int64_t at = from;
    take(r, buffer, from, to);
    for (int k = 0; k < r->n_piece; k++) {
        const piece *p = &r->piece[k];
        const bool found = p->depth <= r->capacity;
        if (at < p->from) {
            *fetched += (uint64_t)(p->from - at);
            put(r, buffer, at, p->from, write);
        }
        if (!found) {
            *fetched += (uint64_t)(p->to - p->from);
            sum->write_back += p->dirty ? (uint64_t)(p->to - p->from) : 0;
        }
        put(r, buffer, p->from, p->to, write || (found && p->dirty));
        at = p->to;
    }
    if (at < to) {
        *fetched += (uint64_t)(to - at);
        put(r, buffer, at, to, write);
    }
    let_go(r, sum);
}

void rb_reuse_touch(rb_reuse *r, const rb_buffer *b, int64_t from, int64_t to, bool write,
                    rb_dram *sum)
{
    const int buffer = from < to && !r->failed ? number_of(r, b) : NONE;
    if (buffer != NONE)
        touch_lines(r, buffer, from / LINE * LINE, (to + LINE - 1) / LINE * LINE, write, sum);
}

/* ---- a launch ---- */

/* One launch under way. */
typedef struct launch {
    rb_reuse *r;
    const rb_op *op;
    const rb_call *call;
    const rb_reuse_scratch *scratch;
    rb_dram *sum;
    int64_t to_stream, streamed; /* bytes of weights and cache */
    int64_t written;             /* of partial results in shared scratch */
} launch;

static void hold(launch *l);

/* Runs of more pieces than this are taken as all that lies between their ends. */
enum { MOST_RUNS = 256 };

/* Partial results, as far as the stream has come. */
static void write_partials(launch *l)
{
    const rb_reuse_scratch *s = l->scratch;
    if (!s || !s->partials || !l->to_stream)
        return;
    const double part = (double)l->streamed / (double)l->to_stream;
    const int64_t to = part >= 1 ? s->shared_bytes : (int64_t)(part * (double)s->shared_bytes);
    rb_reuse_touch(l->r, s->buffer, l->written, to, true, l->sum);
    l->written = to;
}

/* Bytes of a stream, a part at a time, between which the launch uses all that it goes on using. */
static void touch_stream(launch *l, const rb_buffer *b, int64_t from, int64_t to)
{
    const int64_t step = l->r->capacity / 8 > LINE ? l->r->capacity / 8 / LINE * LINE : LINE;
    for (int64_t at = from; at < to;) {
        const int64_t end = to - at > step ? at + step : to;
        rb_reuse_touch(l->r, b, at, end, false, l->sum);
        l->streamed += end - at;
        write_partials(l);
        at = end;
        if (at < to)
            hold(l);
    }
}

static bool streams(const rb_view *v)
{
    return v->stream == RB_WEIGHT || v->stream == RB_KV;
}

static void touch_run(launch *l, const rb_view *v, int64_t from, int64_t to, bool write)
{
    if (streams(v) && !write)
        touch_stream(l, v->buffer, from, to);
    else
        rb_reuse_touch(l->r, v->buffer, from, to, write, l->sum);
}

static void touch_runs(launch *l, const rb_view *v, rb_runs runs, bool write)
{
    if (runs.n[0] * runs.n[1] * runs.n[2] > MOST_RUNS) {
        for (int a = 0; a < 3; a++)
            runs.bytes += (runs.n[a] - 1) * runs.step[a];
        runs.n[0] = runs.n[1] = runs.n[2] = 1;
    }
    for (int64_t k = 0; k < runs.n[2]; k++)
        for (int64_t j = 0; j < runs.n[1]; j++)
            for (int64_t i = 0; i < runs.n[0]; i++) {
                const int64_t at =
                    runs.first + i * runs.step[0] + j * runs.step[1] + k * runs.step[2];
                touch_run(l, v, at, at + runs.bytes, write);
            }
}

/* Rows that an index names; without its memory as many as expected, from a random one on. */
static void touch_gathered(launch *l, const rb_view *v, const rb_view *index)
{
    const int64_t bytes = rb_row_bytes(v->dtype, v->n[3]), step = v->step_bytes[2];
    bool assumed = false;
    if (index->buffer->data) {
        const int32_t *id = (const int32_t *)rb_at(index, 0, 0, 0);
        for (int64_t i = 0; i < rb_view_elements(index); i++)
            touch_run(l, v, v->offset_bytes + id[i] * step, v->offset_bytes + id[i] * step + bytes,
                      false);
        return;
    }
    const int64_t n = rb_distinct_rows(index, v->n[2], &assumed);
    const int64_t first = (int64_t)rb_random_below(&l->r->seed, (uint64_t)v->n[2]);
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = v->offset_bytes + (first + i) % v->n[2] * step;
        touch_run(l, v, at, at + bytes, false);
    }
}

static void touch_operand(launch *l, int i, bool write)
{
    const rb_arg *arg = &l->op->arg[i];
    const rb_view *v = &l->call->t[i];
    if (arg->rows == RB_ROWS_GATHERED) {
        touch_gathered(l, v, &l->call->t[arg->index]);
        return;
    }
    for (int64_t s = 0; s < v->n[0]; s++)
        touch_runs(l, v, rb_operand_runs(l->op, l->call, i, s), write);
}

static bool present(const launch *l, int i)
{
    return l->call->t[i].buffer && l->call->t[i].stream != RB_CTRL;
}

/* Activations that are read, and scratch: in use from the start to the end. */
static void hold(launch *l)
{
    const rb_reuse_scratch *s = l->scratch;
    for (int i = 0; i < RB_MAX_ARG && l->op->arg[i].name; i++)
        if (present(l, i) && l->call->t[i].stream == RB_ACT && rb_arg_goes(&l->op->arg[i], false))
            touch_operand(l, i, false);
    if (!s)
        return;
    rb_reuse_touch(l->r, s->buffer, 0, s->partials ? 0 : s->shared_bytes, true, l->sum);
    for (int t = 0; t < s->n_threads; t++) {
        const int64_t at = s->own_first + t * s->own_step;
        rb_reuse_touch(l->r, s->buffer, at, at + s->own_bytes, true, l->sum);
    }
}

/* Bytes of weights and cache that operand i reads. */
static int64_t stream_bytes(const launch *l, int i)
{
    const rb_view *v = &l->call->t[i];
    int64_t sum = 0;
    if (l->op->arg[i].rows == RB_ROWS_GATHERED || !streams(v))
        return 0;
    for (int64_t s = 0; s < v->n[0]; s++) {
        const rb_runs r = rb_operand_runs(l->op, l->call, i, s);
        sum += r.bytes * r.n[0] * r.n[1] * r.n[2];
    }
    return sum;
}

void rb_reuse_launch(rb_reuse *r, const rb_op *op, const rb_call *call,
                     const rb_reuse_scratch *scratch, rb_dram *sum)
{
    launch l = { .r = r, .op = op, .call = call, .scratch = scratch, .sum = sum };
    for (int i = 0; scratch && scratch->partials && i < RB_MAX_ARG && op->arg[i].name; i++)
        if (present(&l, i) && rb_arg_goes(&op->arg[i], false))
            l.to_stream += stream_bytes(&l, i);
    hold(&l);
    for (int i = 0; i < RB_MAX_ARG && op->arg[i].name; i++)
        if (present(&l, i) && call->t[i].stream != RB_ACT && rb_arg_goes(&op->arg[i], false))
            touch_operand(&l, i, false);
    hold(&l);
    if (scratch && scratch->partials)
        rb_reuse_touch(r, scratch->buffer, 0, scratch->shared_bytes, true, sum);
    for (int i = 0; i < RB_MAX_ARG && op->arg[i].name; i++)
        if (present(&l, i) && rb_arg_goes(&op->arg[i], true))
            touch_operand(&l, i, true);
}
