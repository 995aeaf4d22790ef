/* Which bytes an operand covers: ranges of storage units derived from its view, and how many of
 * them no other operand of the launch has covered already: ranges of operands that share a buffer
 * and a direction are merged before they are summed. Nothing here reads tensor data but the index
 * operands of gathered rows. Read next: cost.c, which sums them; reuse.c, which asks where they
 * were last. */
#include "operand.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- ids ---- */

/* Distinct row numbers among n ids below n_rows. */
static int64_t distinct(const int32_t *id, int64_t n, int64_t n_rows)
{
    enum { WORDS = 8192, SMALL = 16 };
    int64_t count = 1, i = 1;
    while (i < n && id[i] > id[i - 1])
        i++;
    if (i >= n)
        return n; /* rising: all differ */
    if (n <= SMALL) {
        for (i = 1; i < n; i++) {
            int64_t j = 0;
            while (j < i && id[j] != id[i])
                j++;
            count += j == i;
        }
        return count;
    }
    uint64_t small[WORDS], *seen = small;
    const int64_t words = (n_rows + 63) / 64;
    if (words > WORDS) {
        seen = malloc((size_t)words * sizeof *seen);
        if (!seen)
            rb_out_of_memory(); /* a vocabulary beyond half a million rows, one bit each */
    }
    memset(seen, 0, (size_t)words * sizeof *seen);
    count = 0;
    for (i = 0; i < n; i++) {
        const uint64_t bit = 1ull << (id[i] & 63);
        count += !(seen[id[i] >> 6] & bit);
        seen[id[i] >> 6] |= bit;
    }
    if (seen != small)
        free(seen);
    return count;
}

double rb_expected_rows(int64_t n_rows, int64_t k, int64_t n_draws)
{
    const double n = (double)n_rows, missed = 1 - (k < n_rows ? (double)k / n : 1);
    return n * (1 - pow(missed, (double)n_draws));
}

int64_t rb_distinct_rows(const rb_view *index, int64_t n_rows, bool *assumed)
{
    const int64_t n_draws = index->n[0] * index->n[1] * index->n[2], k = index->n[3];
    if (index->buffer->data)
        return distinct((const int32_t *)rb_at(index, 0, 0, 0), n_draws * k, n_rows);
    *assumed = true;
    return llround(rb_expected_rows(n_rows, k, n_draws));
}

/* ---- runs ---- */

/* Rows of axis 1 that sequence s uses: [from, to). */
static void token_rows(const rb_op *op, const rb_arg *arg, const rb_view *v, const rb_call *call,
                       int64_t s, int64_t *from, int64_t *to)
{
    *from = 0;
    *to = v->n[1];
    if (arg->rows == RB_ROWS_SEEN || arg->rows == RB_ROWS_NEW) {
        *from = arg->rows == RB_ROWS_NEW ? call->past[s] : 0;
        *to = call->past[s] + call->t[op->token_arg].n[1];
    }
}

/* Merges axes that continue each other, the smallest step first, and drops those of extent 1 or
 * shared. */
static rb_runs runs_of(const rb_view *v, int64_t from, int64_t to, int64_t n_seq)
{
    rb_runs r = { .first = v->offset_bytes + from * v->step_bytes[1],
                  .bytes = rb_row_bytes(v->dtype, v->n[3]),
                  .n = { 1, 1, 1 } };
    const int64_t n[3] = { n_seq, to - from, v->n[2] };
    int k = 0;
    for (int a = 2; a >= 0; a--) {
        int64_t count = n[a], step = v->step_bytes[a];
        if (count == 1 || step == 0)
            continue;
        for (int i = 0; i < k; i++) /* axes of larger steps come after */
            if (r.step[i] > step) {
                const int64_t c = r.n[i], s = r.step[i];
                r.n[i] = count, r.step[i] = step;
                count = c, step = s;
            }
        r.n[k] = count;
        r.step[k++] = step;
    }
    while (k > 0 && r.step[0] == r.bytes) {
        r.bytes *= r.n[0];
        r.n[0] = r.n[1], r.step[0] = r.step[1];
        r.n[1] = r.n[2], r.step[1] = r.step[2];
        r.n[2] = 1, r.step[2] = 0;
        k--;
    }
    return r;
}

rb_runs rb_operand_runs(const rb_op *op, const rb_call *call, int i, int64_t s)
{
    const rb_view *v = &call->t[i];
    int64_t from, to;
    token_rows(op, &op->arg[i], v, call, s, &from, &to);
    rb_runs r = runs_of(v, from, to, 1);
    r.first += s * v->step_bytes[0];
    return r;
}

static int64_t runs_bytes(const rb_runs *r)
{
    return r->bytes * r->n[0] * r->n[1] * r->n[2];
}

static int64_t runs_last(const rb_runs *r)
{
    int64_t last = r->first + r->bytes;
    for (int a = 0; a < 3; a++)
        last += (r->n[a] - 1) * r->step[a];
    return last;
}

/* Distinct bytes of operand i alone. */
static int64_t operand_bytes(const rb_op *op, const rb_call *call, int i, bool *assumed)
{
    const rb_arg *arg = &op->arg[i];
    const rb_view *v = &call->t[i];
    if (arg->rows == RB_ROWS_GATHERED)
        return rb_distinct_rows(&call->t[arg->index], v->n[2], assumed) *
               rb_row_bytes(v->dtype, v->n[3]);
    int64_t sum = 0, from, to;
    if (arg->rows == RB_ROWS_ALL) {
        const rb_runs r = runs_of(v, 0, v->n[1], v->n[0]);
        return runs_bytes(&r);
    }
    for (int64_t s = 0; s < v->n[0]; s++) {
        token_rows(op, arg, v, call, s, &from, &to);
        const rb_runs r = runs_of(v, from, to, 1);
        sum += runs_bytes(&r);
    }
    return sum;
}

static void bounds_of(const rb_op *op, const rb_call *call, int i, int64_t *first, int64_t *last)
{
    const rb_view *v = &call->t[i];
    *first = INT64_MAX;
    *last = INT64_MIN;
    for (int64_t s = 0; s < v->n[0]; s++) {
        const rb_runs r = rb_operand_runs(op, call, i, s);
        *first = r.first < *first ? r.first : *first;
        *last = runs_last(&r) > *last ? runs_last(&r) : *last;
    }
}

/* Whether operands i and j may share bytes in a direction. */
static bool may_share(const rb_op *op, const rb_call *call, int i, int j, bool write)
{
    int64_t fi, li, fj, lj;
    if (call->t[i].buffer != call->t[j].buffer || !rb_arg_goes(&op->arg[i], write))
        return false;
    bounds_of(op, call, i, &fi, &li);
    bounds_of(op, call, j, &fj, &lj);
    return fi < lj && fj < li;
}

/* Whether an earlier operand of the same direction may cover bytes of operand j. */
static bool may_overlap(const rb_op *op, const rb_call *call, int j, bool write)
{
    for (int i = 0; i < j; i++)
        if (may_share(op, call, i, j, write))
            return true;
    return false;
}

/* ---- operands that overlap in the columns of the same rows ---- */

typedef struct interval {
    int64_t from, to;
} interval;

/* Whether a has b's rows, but for their columns. */
static bool aligned(const rb_view *a, const rb_view *b)
{
    for (int x = 0; x < 3; x++)
        if (a->n[x] != b->n[x] || (a->n[x] > 1 && a->step_bytes[x] != b->step_bytes[x]))
            return false;
    return true;
}

/* Rows that follow each other as one (parts of a tensor that differ in their number: W_UK and
 * W_UV).
 */
static rb_view merged(const rb_arg *arg, rb_view v)
{
    if (arg->rows != RB_ROWS_GATHERED && v.step_bytes[2] == rb_row_bytes(v.dtype, v.n[3])) {
        v.n[3] *= v.n[2];
        v.n[2] = 1;
    }
    return v;
}

/* Whether all heads of a lie beside all heads of b, token by token: parts of one wide row (q and k
 * of one matrix). */
static bool beside(const rb_view *a, const rb_view *b)
{
    const int64_t x = rb_row_bytes(a->dtype, a->n[3]), y = rb_row_bytes(b->dtype, b->n[3]);
    const int64_t span = (b->n[2] - 1) * b->step_bytes[2] + (x > y ? x : y);
    const int64_t apart = a->offset_bytes > b->offset_bytes ? a->offset_bytes - b->offset_bytes
                                                            : b->offset_bytes - a->offset_bytes;
    return apart >= span && (b->n[1] == 1 || apart + span <= b->step_bytes[1]) &&
           (b->n[0] == 1 || apart + span + (b->n[1] - 1) * b->step_bytes[1] <= b->step_bytes[0]);
}

/* Whether rows of a view stay apart if each is as wide as the hull of all that lies in it. */
static bool rows_apart(const rb_view *v, int64_t hull)
{
    bool done[3] = { false };
    if ((v->n[0] > 1 && v->step_bytes[0] == 0) || (v->n[1] > 1 && v->step_bytes[1] == 0))
        return false; /* sequences that share rows see different numbers of them */
    for (int64_t reach = hull;;) {
        int next = -1; /* the axis of the next larger step */
        for (int x = 0; x < 3; x++)
            if (!done[x] && v->n[x] > 1 && v->step_bytes[x] != 0 &&
                (next < 0 || v->step_bytes[x] < v->step_bytes[next]))
                next = x;
        if (next < 0)
            return true;
        if (v->step_bytes[next] < reach)
            return false;
        reach += (v->n[next] - 1) * v->step_bytes[next];
        done[next] = true;
    }
}

/* Length of [0, width) that none of n intervals covers; sorts them. */
static int64_t uncovered(int64_t width, interval *in, int n)
{
    for (int i = 1; i < n; i++)
        for (int k = i; k > 0 && in[k].from < in[k - 1].from; k--) {
            const interval t = in[k];
            in[k] = in[k - 1];
            in[k - 1] = t;
        }
    int64_t free_bytes = 0, at = 0;
    for (int i = 0; i < n && at < width; i++) {
        if (in[i].from > at)
            free_bytes += (in[i].from < width ? in[i].from : width) - at;
        at = in[i].to > at ? in[i].to : at;
    }
    return at < width ? free_bytes + width - at : free_bytes;
}

static int64_t count_rows(const rb_op *op, const rb_call *call, int j, const rb_view *v,
                          bool *assumed)
{
    const rb_arg *arg = &op->arg[j];
    if (arg->rows == RB_ROWS_GATHERED)
        return rb_distinct_rows(&call->t[arg->index], v->n[2], assumed);
    int64_t rows = 0;
    for (int64_t s = 0; s < v->n[0]; s++) {
        int64_t from, to;
        token_rows(op, arg, v, call, s, &from, &to);
        rows += (to - from) * (v->step_bytes[2] == 0 ? 1 : v->n[2]);
    }
    return rows;
}

static int64_t fresh_by_rows(const rb_op *op, const rb_call *call, int j, bool write, bool merge,
                             bool *assumed)
{
    const rb_arg *arg = &op->arg[j];
    const rb_view v = merge ? merged(arg, call->t[j]) : call->t[j];
    const int64_t width = rb_row_bytes(v.dtype, v.n[3]);
    interval in[RB_MAX_ARG], hull = { 0, width };
    int n = 0;
    for (int i = 0; i < j; i++) {
        if (!may_share(op, call, i, j, write))
            continue;
        const rb_view a = merge ? merged(&op->arg[i], call->t[i]) : call->t[i];
        if (op->arg[i].rows != arg->rows || op->arg[i].index != arg->index || !aligned(&a, &v))
            return -1;
        if (beside(&a, &v))
            continue;
        const int64_t from = a.offset_bytes - v.offset_bytes;
        in[n] = (interval){ from, from + rb_row_bytes(a.dtype, a.n[3]) };
        hull.from = in[n].from < hull.from ? in[n].from : hull.from;
        hull.to = in[n].to > hull.to ? in[n].to : hull.to;
        n++;
    }
    if (!rows_apart(&v, hull.to - hull.from))
        return -1;
    return count_rows(op, call, j, &v, assumed) * uncovered(width, in, n);
}

int64_t rb_fresh_by_rows(const rb_op *op, const rb_call *call, int j, bool write, bool *assumed)
{
    const int64_t fresh = fresh_by_rows(op, call, j, write, false, assumed);
    return fresh >= 0 ? fresh : fresh_by_rows(op, call, j, write, true, assumed);
}

/* ---- operands that overlap in any way ---- */

static void mark_row(const rb_view *v, int64_t s, int64_t t, int64_t h, uint8_t *map)
{
    memset(map + v->offset_bytes + s * v->step_bytes[0] + t * v->step_bytes[1] +
               h * v->step_bytes[2],
           1, (size_t)rb_row_bytes(v->dtype, v->n[3]));
}

static void mark_operand(const rb_op *op, const rb_call *call, int i, uint8_t *map)
{
    const rb_view *v = &call->t[i];
    const rb_view *index = op->arg[i].rows == RB_ROWS_GATHERED ? &call->t[op->arg[i].index] : NULL;
    if (index && index->buffer->data) {
        for (int64_t k = 0; k < rb_view_elements(index); k++)
            mark_row(v, 0, 0, ((const int32_t *)rb_at(index, 0, 0, 0))[k], map);
        return;
    }
    for (int64_t s = 0; s < v->n[0]; s++) {
        int64_t from, to;
        token_rows(op, &op->arg[i], v, call, s, &from, &to);
        for (int64_t t = from; t < to; t++)
            for (int64_t h = 0; h < v->n[2]; h++)
                mark_row(v, s, t, h, map);
    }
}

int64_t rb_fresh_by_map(const rb_op *op, const rb_call *call, int j, bool write)
{
    const size_t size = call->t[j].buffer->bytes;
    uint8_t *before = calloc(2, size);
    if (!before)
        rb_out_of_memory(); /* as large as one cache layer */
    uint8_t *mine = before + size;
    for (int i = 0; i < j; i++)
        if (call->t[i].buffer == call->t[j].buffer && rb_arg_goes(&op->arg[i], write))
            mark_operand(op, call, i, before);
    mark_operand(op, call, j, mine);
    int64_t fresh = 0;
    for (size_t b = 0; b < size; b++)
        fresh += mine[b] & !before[b];
    free(before);
    return fresh;
}

int64_t rb_operand_fresh(const rb_op *op, const rb_call *call, int j, bool write, bool *assumed)
{
    if (!may_overlap(op, call, j, write))
        return operand_bytes(op, call, j, assumed);
    const int64_t fresh = rb_fresh_by_rows(op, call, j, write, assumed);
    return fresh >= 0 ? fresh : rb_fresh_by_map(op, call, j, write);
}
