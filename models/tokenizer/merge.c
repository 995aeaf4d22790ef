/* The heap of pairs, and the list of symbols that shrinks.
 * A pair whose symbols have changed since stays in the heap and is passed over when it comes up.
 * Read next: encode.c. */
#include "merge.h"

#include <stdlib.h>

/* Room for one more item; doubles. */
static bool reserve(rb_merger *m, void **array, size_t n, size_t *room, size_t item_bytes)
{
    if (n < *room)
        return true;
    const size_t more = *room ? 2 * *room : 64;
    void *p = m->failed || more > SIZE_MAX / item_bytes ? NULL : realloc(*array, more * item_bytes);
    if (!p) {
        m->failed = true;
        return false;
    }
    *array = p;
    *room = more;
    return true;
}

void rb_merger_symbol(rb_merger *m, uint32_t at, uint32_t n, int32_t id)
{
    const size_t i = m->n_symbol;
    if (!reserve(m, (void **)&m->symbol, i, &m->symbol_room, sizeof *m->symbol))
        return;
    m->symbol[i] = (rb_symbol){ at, n, i > 0 ? (uint32_t)i - 1 : RB_NO_SYMBOL, RB_NO_SYMBOL, id };
    if (i > 0)
        m->symbol[i - 1].next = (uint32_t)i;
    m->n_symbol++;
}

void rb_merger_id(rb_merger *m, int32_t id)
{
    if (reserve(m, (void **)&m->id, m->n_id, &m->id_room, sizeof *m->id))
        m->id[m->n_id++] = id;
}

/* ---- the heap ---- */

static bool is_before(const rb_candidate *a, const rb_candidate *b)
{
    return a->cost != b->cost ? a->cost < b->cost : a->left < b->left;
}

static void push(rb_merger *m, rb_candidate c)
{
    if (!reserve(m, (void **)&m->heap, m->n_heap, &m->heap_room, sizeof *m->heap))
        return;
    size_t i = m->n_heap++;
    for (; i > 0 && is_before(&c, &m->heap[(i - 1) / 2]); i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = c;
}

static rb_candidate pop(rb_merger *m)
{
    const rb_candidate top = m->heap[0], last = m->heap[--m->n_heap];
    size_t i = 0;
    for (size_t child = 1; child < m->n_heap; child = 2 * i + 1) {
        if (child + 1 < m->n_heap && is_before(&m->heap[child + 1], &m->heap[child]))
            child++;
        if (!is_before(&m->heap[child], &last))
            break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    if (m->n_heap > 0)
        m->heap[i] = last;
    return top;
}

/* ---- merging ---- */

static void consider(rb_merger *m, uint32_t left, uint32_t right, rb_pair_fn *pair, const void *arg)
{
    if (left == RB_NO_SYMBOL || right == RB_NO_SYMBOL)
        return;
    const rb_symbol *l = &m->symbol[left], *r = &m->symbol[right];
    rb_candidate c = { .left = left, .right = right, .n = l->n + r->n };
    if (pair(arg, l, r, &c.cost, &c.id))
        push(m, c);
}

void rb_merger_run(rb_merger *m, rb_pair_fn *pair, const void *arg)
{
    m->n_heap = 0;
    for (uint32_t i = 1; i < m->n_symbol; i++)
        consider(m, i - 1, i, pair, arg);
    while (m->n_heap > 0) {
        const rb_candidate c = pop(m);
        rb_symbol *left = &m->symbol[c.left], *right = &m->symbol[c.right];
        if (left->n == 0 || right->n == 0 || left->n + right->n != c.n)
            continue;
        left->n = c.n;
        left->id = c.id;
        right->n = 0;
        left->next = right->next;
        if (right->next != RB_NO_SYMBOL)
            m->symbol[right->next].prev = c.left;
        consider(m, left->prev, c.left, pair, arg);
        consider(m, c.left, left->next, pair, arg);
    }
}

void rb_merger_free(rb_merger *m)
{
    free(m->symbol);
    free(m->heap);
    free(m->id);
    *m = (rb_merger){ 0 };
}
