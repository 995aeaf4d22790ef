/* Memory and values of shaped problems, the same for all ops. Sets of operands are laid one after
 * the other; ids differ by set in a rotation, so that every set picks equally many different rows.
 * Refuses nothing: shaped.c has checked the problem. Read next: shaped.h. */
#include "shaped.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "tables.h"

/* ---- memory ---- */

enum { LINE = 64 };

/* Whether an operand is one for all sets, which pick rows of it. */
static bool is_shared(const rb_shaped *p, int a)
{
    return p->op->arg[a].rows == RB_ROWS_GATHERED;
}

/* Bytes of an operand on cache lines of its own. */
static uint64_t room(const rb_shaped *p, int a)
{
    return (p->size[a].bytes + LINE - 1) / LINE * LINE;
}

static uint64_t room_of(const rb_shaped *p, bool shared)
{
    uint64_t sum = 0;
    for (int a = 0; a < RB_MAX_ARG && p->op->arg[a].name; a++)
        if (is_shared(p, a) == shared)
            sum += room(p, a); /* each is below 2^61, and few are large */
    return sum;
}

uint64_t rb_shaped_bytes(const rb_shaped *p, int64_t n_sets)
{
    uint64_t sum;
    if (__builtin_mul_overflow(room_of(p, false), (uint64_t)n_sets, &sum) ||
        __builtin_add_overflow(sum, room_of(p, true), &sum))
        return UINT64_MAX;
    return sum;
}

rb_status rb_shaped_alloc(rb_shaped *p, int64_t n_sets, rb_error *err)
{
    const rb_status st = rb_buffer_alloc(&p->memory, rb_shaped_bytes(p, n_sets), false, err);
    if (st != RB_OK)
        return st;
    p->buffer = calloc((size_t)n_sets, RB_MAX_ARG * sizeof *p->buffer);
    if (!p->buffer)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for %lld sets of operands",
                       (long long)n_sets);
    p->n_sets = n_sets;
    char *at = (char *)p->memory.data + room_of(p, true);
    for (int64_t s = 0; s < n_sets; s++) {
        char *shared = p->memory.data;
        for (int a = 0; a < RB_MAX_ARG && p->op->arg[a].name; a++) {
            char **from = is_shared(p, a) ? &shared : &at;
            p->buffer[s * RB_MAX_ARG + a] = (rb_buffer){ *from, p->size[a].bytes };
            *from += room(p, a);
        }
    }
    return RB_OK;
}

void rb_shaped_free(rb_shaped *p)
{
    rb_buffer_free(&p->memory);
    free(p->buffer);
    p->buffer = NULL;
    p->n_sets = 0;
}

void rb_shaped_turn(const rb_shaped *p, int64_t set, rb_call *call)
{
    for (int a = 0; a < RB_MAX_ARG && p->op->arg[a].name; a++)
        if (call->t[a].buffer)
            call->t[a].buffer = &p->buffer[set * RB_MAX_ARG + p->home[a]];
}

/* ---- values ---- */

enum { STRETCH = 1 << 14 }; /* elements that are drawn; the rest repeats them */

/* Encodes some whole blocks of random values in [-1, 1]; how many bytes there are of them. */
static size_t draw(void *dst, rb_dtype dtype, uint64_t seed)
{
    float x[STRETCH];
    const rb_dtype_info *d = rb_dtype_get(dtype);
    const int64_t n = d->block < STRETCH ? STRETCH / d->block * d->block : STRETCH;
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)rb_random_below(&seed, 1 << 20) * 0x1p-19f - 1.0f;
    rb_encode_row(dtype, dst, x, n);
    return (size_t)rb_row_bytes(dtype, n);
}

/* The same from first to last of a buffer, in whole blocks. */
static void fill_bytes(char *dst, size_t first, size_t last, const char *from, size_t period)
{
    for (size_t n; first < last; first += n) {
        const size_t at = first % period;
        n = period - at < last - first ? period - at : last - first;
        memcpy(dst + first, from + at, n);
    }
}

/* Rows for one token: none twice, unless nearly all are taken; then neighbours. */
static void draw_ids(int32_t *id, int64_t k, int64_t n_rows, uint64_t *seed)
{
    const int64_t first = (int64_t)rb_random_below(seed, (uint64_t)n_rows);
    for (int64_t j = 0; j < k; j++) {
        bool fresh = false;
        id[j] = (int32_t)((first + j) % n_rows);
        while (2 * k <= n_rows && !fresh) {
            id[j] = (int32_t)rb_random_below(seed, (uint64_t)n_rows);
            fresh = true;
            for (int64_t i = 0; i < j && fresh; i++)
                fresh = id[i] != id[j];
        }
    }
}

/* Ids of set s: those of set 0, turned by s turns. */
static void fill_ids(const rb_shaped *p, int a, int64_t n_rows, int64_t s)
{
    const rb_view *v = &p->call.t[a];
    int32_t *id = p->buffer[s * RB_MAX_ARG + a].data;
    const bool rope = p->op->id == RB_OP_ROPE;
    uint64_t seed = 1;
    for (int64_t t = 0; t < v->n[1]; t++, id += v->n[3]) {
        if (v->n[1] > 1 || p->op->id == RB_OP_EXPERTS)
            draw_ids(id, v->n[3], n_rows, &seed);
        else
            for (int64_t j = 0; j < v->n[3]; j++) /* a row of its own for each token */
                id[j] = rope ? (int32_t)(j % n_rows)
                             : (int32_t)rb_random_below(&seed, (uint64_t)n_rows);
        for (int64_t j = 0; j < v->n[3]; j++)
            id[j] = (int32_t)((id[j] + s % n_rows * (p->turn % n_rows)) % n_rows);
    }
}

/* The operand that picks its rows by operand a; -1: none. */
static int picks(const rb_shaped *p, int a)
{
    for (int i = 0; i < RB_MAX_ARG && p->op->arg[i].name; i++)
        if (is_shared(p, i) && p->op->arg[i].index == a && p->call.t[i].buffer)
            return i;
    return -1;
}

/* Rotations, not any numbers: q and k are rotated in place again and again. */
static void fill_rope_table(const rb_shaped *p, int a)
{
    const rb_view *v = &p->call.t[a];
    for (int64_t j = 0; j < v->n[3] / 2; j++)
        rb_rope_pair(p->buffer[a].data, v->n[2], v->n[3], j,
                     pow(10000, -2.0 * (double)j / (double)v->n[3]), 1);
}

static void fill_part(const rb_shaped *p, int a, const char *from, size_t period, int part,
                      int n_parts)
{
    const size_t block = (size_t)rb_dtype_get(p->call.t[a].dtype)->block_bytes;
    const size_t n = p->size[a].bytes / block, parts = (size_t)n_parts, i = (size_t)part;
    const size_t first = n / parts * i, last = i + 1 == parts ? n : n / parts * (i + 1);
    for (int64_t s = 0; s < (is_shared(p, a) ? 1 : p->n_sets); s++)
        fill_bytes(p->buffer[s * RB_MAX_ARG + a].data, first * block, last * block, from, period);
}

void rb_shaped_fill(const rb_shaped *p, int part, int n_parts)
{
    char stretch[STRETCH * sizeof(float)];
    for (int a = 0; a < RB_MAX_ARG && p->op->arg[a].name; a++) {
        const rb_view *v = &p->call.t[a];
        if (!v->buffer || !p->size[a].bytes)
            continue;
        if (v->stream == RB_CTRL) {
            const int of = picks(p, a);
            for (int64_t s = part; of >= 0 && s < p->n_sets; s += n_parts)
                fill_ids(p, a, p->call.t[of].n[2], s);
        } else if (p->op->id == RB_OP_ROPE && is_shared(p, a)) {
            if (part == 0)
                fill_rope_table(p, a);
        } else {
            const size_t period = draw(stretch, v->dtype, (uint64_t)a + 1);
            fill_part(p, a, stretch, period, part, n_parts);
        }
    }
}
