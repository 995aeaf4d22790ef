/* Where the counting ISA keeps its books: address translation, touch marks, and what is forbidden.
 * Refuses by note, not by abort: the first offence is kept for prove.c to report.
 * Read next: prove.c. */
#include "count.h"

_Thread_local rb_count *rb_counting;

static char nowhere[4096]; /* what forbidden accesses get; never read for a result */

void rb_count_forbid(const char *what, const void *where)
{
    rb_count *c = rb_counting;
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%s (at %p)", what, where);
}

static rb_count_region *find(const char *p, size_t bytes)
{
    rb_count *c = rb_counting;
    for (int i = 0; i < c->n_region; i++) {
        rb_count_region *r = &c->region[i];
        if (p >= r->fake && p + bytes <= r->fake + r->bytes)
            return r;
    }
    return NULL;
}

/* Whether [at, at + bytes) of the buffer lies inside one row of this view. */
static bool inside_row(const rb_view *v, int64_t at, int64_t bytes)
{
    int64_t o = at - v->offset_bytes;
    int axis[3] = { 0, 1, 2 };
    for (int i = 0; i < 2; i++) /* largest step first */
        for (int j = 0; j < 2 - i; j++)
            if (v->step_bytes[axis[j]] < v->step_bytes[axis[j + 1]]) {
                const int t = axis[j];
                axis[j] = axis[j + 1];
                axis[j + 1] = t;
            }
    if (o < 0)
        return false;
    for (int i = 0; i < 3; i++) {
        const int64_t step = v->step_bytes[axis[i]], n = v->n[axis[i]];
        if (step == 0 || n == 1)
            continue;
        const int64_t index = o / step < n ? o / step : n - 1;
        o -= index * step;
    }
    return o + bytes <= rb_row_bytes(v->dtype, v->n[3]);
}

/* Operands of this region that may be read (or written) at a place: any of them will do. */
static bool operand_allows(const rb_count_region *r, int64_t at, int64_t bytes, char forbidden)
{
    const rb_count *c = rb_counting;
    for (int i = 0; i < RB_MAX_ARG && c->op->arg[i].name; i++) {
        const rb_view *v = &c->call->t[i];
        if (v->buffer && (const char *)v->buffer->data == r->fake &&
            c->op->arg[i].mode != forbidden && inside_row(v, at, bytes))
            return true;
    }
    return false;
}

static bool all_written(const rb_count_region *r, int64_t at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (!r->was_written[at + (int64_t)i])
            return false;
    return true;
}

const void *rb_count_read(const void *fake, size_t bytes)
{
    rb_count_region *r = find(fake, bytes);
    rb_counting->issued_rd += bytes;
    if (!r) {
        rb_count_forbid("a read outside operands and scratch", fake);
        return nowhere;
    }
    const int64_t at = (const char *)fake - r->fake;
    if (!r->was_read)
        return r->real + at;
    if (operand_allows(r, at, (int64_t)bytes, 'w')) {
        for (size_t i = 0; i < bytes; i++)
            r->was_read[at + (int64_t)i] = 1;
    } else if (!operand_allows(r, at, (int64_t)bytes, 'r')) {
        rb_count_forbid("a read beyond a row's end or outside the operand's rows", fake);
    } else if (!all_written(r, at, bytes)) {
        rb_count_forbid("an output is read before it was written", fake);
    }
    return r->real + at;
}

void *rb_count_write(void *fake, size_t bytes)
{
    rb_count_region *r = find(fake, bytes);
    rb_counting->issued_wr += bytes;
    if (!r) {
        rb_count_forbid("a write outside operands and scratch", fake);
        return nowhere;
    }
    const int64_t at = (const char *)fake - r->fake;
    if (r->was_written) {
        if (!operand_allows(r, at, (int64_t)bytes, 'r'))
            rb_count_forbid("a write outside the rows of an output", fake);
        for (size_t i = 0; i < bytes; i++)
            r->was_written[at + (int64_t)i] = 1;
    }
    return r->real + at;
}

/* Whether ctrl may be read (or written) at a place: scratch, or an operand of that stream. */
static rb_count_region *ctrl_region(const void *fake, size_t bytes, bool write)
{
    const rb_count *c = rb_counting;
    rb_count_region *r = find(fake, bytes);
    if (!r || !r->was_read)
        return r;
    const int64_t at = (const char *)fake - r->fake;
    for (int i = 0; i < RB_MAX_ARG && c->op->arg[i].name; i++) {
        const rb_view *v = &c->call->t[i];
        if (v->buffer && (const char *)v->buffer->data == r->fake && v->stream == RB_CTRL &&
            (!write || c->op->arg[i].mode != 'r') && inside_row(v, at, (int64_t)bytes))
            return r;
    }
    return NULL;
}

const void *rb_count_ctrl(const void *fake, size_t bytes)
{
    const rb_count_region *r = ctrl_region(fake, bytes, false);
    if (!r) {
        rb_count_forbid("a ctrl read outside ctrl operands and scratch", fake);
        return nowhere;
    }
    return r->real + ((const char *)fake - r->fake);
}

void *rb_count_ctrl_write(void *fake, size_t bytes)
{
    rb_count_region *r = ctrl_region(fake, bytes, true);
    if (!r) {
        rb_count_forbid("a ctrl write outside written ctrl operands and scratch", fake);
        return nowhere;
    }
    return r->real + ((const char *)fake - r->fake);
}
