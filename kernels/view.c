/* Buffers, views and the one way to report an error.
 * Refuses to check a view against its buffer: launch.c does that, once per launch.
 * Read next: types.h, launch.c. */
#include "types.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const rb_stream_name[RB_N_STREAM] = { "weight", "activation", "kv", "ctrl" };

void rb_out_of_memory(void)
{
    fputs("rbench: out of memory\n", stderr);
    _exit(1);
}

rb_status rb_fail(rb_error *err, rb_status status, const char *fmt, ...)
{
    if (!err)
        return status;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    /* Names out of hostile files must not break the one line. */
    for (unsigned char *c = (unsigned char *)err->text; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            *c = '?';
    err->status = status;
    return status;
}

/* ---- buffers ---- */

enum { HUGE_PAGE = 2 << 20 };

/* Private zero pages; large ones begin where a huge page may. NULL: there are none. */
static void *map(size_t bytes)
{
    const size_t spare = bytes >= HUGE_PAGE && bytes <= SIZE_MAX - HUGE_PAGE ? HUGE_PAGE : 0;
    char *p = mmap(NULL, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (!spare)
        return p;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t before = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
    const size_t used = (bytes + page - 1) / page * page;
    if (before)
        munmap(p, before);
    if (bytes + spare > before + used)
        munmap(p + before + used, bytes + spare - before - used);
    return p + before;
}

rb_status rb_buffer_alloc(rb_buffer *b, size_t bytes, bool dry, rb_error *err)
{
    *b = (rb_buffer){ NULL, bytes };
    if (dry || bytes == 0)
        return RB_OK;
    b->data = map(bytes);
    if (!b->data) {
        b->bytes = 0;
        return rb_fail(err, RB_ERR_MEMORY, "out of memory: %zu bytes wanted", bytes);
    }
    madvise(b->data, bytes, MADV_HUGEPAGE); /* fewer TLB misses; only a hint */
    return RB_OK;
}

void rb_buffer_free(rb_buffer *b)
{
    if (!b)
        return;
    if (b->data)
        munmap(b->data, b->bytes);
    *b = (rb_buffer){ NULL, 0 };
}

void rb_buffer_forget(rb_buffer *b)
{
    const uintptr_t from = (uintptr_t)b->data, to = from + b->bytes;
    const uintptr_t first = (from + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    const uintptr_t last = to / HUGE_PAGE * HUGE_PAGE;
    if (b->data && first < last)
        madvise((char *)b->data + (first - from), last - first, MADV_DONTNEED);
}

/* ---- views ---- */

/* Steps of dense rows: each axis spans the whole of the next. */
static void set_dense_steps(rb_view *v)
{
    v->step_bytes[2] = rb_row_bytes(v->dtype, v->n[3]);
    v->step_bytes[1] = v->n[2] * v->step_bytes[2];
    v->step_bytes[0] = v->n[1] * v->step_bytes[1];
}

rb_view rb_view_dense(const rb_buffer *b, rb_dtype dtype, rb_stream stream, int64_t offset_bytes,
                      int64_t n0, int64_t n1, int64_t n2, int64_t n3)
{
    rb_view v = { .buffer = b,
                  .dtype = dtype,
                  .stream = stream,
                  .offset_bytes = offset_bytes,
                  .n = { n0, n1, n2, n3 } };
    set_dense_steps(&v);
    return v;
}

rb_view rb_view_slice(rb_view v, int axis, int64_t first, int64_t count)
{
    assert(axis >= 0 && axis < 4);
    assert(first >= 0 && count >= 0 && first + count <= v.n[axis]);
    v.offset_bytes += axis < 3 ? first * v.step_bytes[axis] : rb_row_bytes(v.dtype, first);
    v.n[axis] = count;
    assert(axis < 3 || count % rb_dtype_get(v.dtype)->block == 0);
    return v;
}

rb_view rb_view_reshape(rb_view v, int64_t n0, int64_t n1, int64_t n2, int64_t n3)
{
    assert(rb_view_is_dense(&v) && n0 * n1 * n2 * n3 == rb_view_elements(&v));
    return rb_view_dense(v.buffer, v.dtype, v.stream, v.offset_bytes, n0, n1, n2, n3);
}

bool rb_view_is_dense(const rb_view *v)
{
    rb_view d = *v;
    set_dense_steps(&d);
    for (int a = 0; a < 3; a++)
        if (v->n[a] > 1 && v->step_bytes[a] != d.step_bytes[a])
            return false;
    return true;
}

int64_t rb_view_elements(const rb_view *v)
{
    return v->n[0] * v->n[1] * v->n[2] * v->n[3];
}

bool rb_view_same_shape(const rb_view *a, const rb_view *b)
{
    for (int i = 0; i < 4; i++)
        if (a->n[i] != b->n[i])
            return false;
    return true;
}
