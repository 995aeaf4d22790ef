/* Guard pages behind buffers, poison before them, and reports of damage to either or to what lies
 * between the rows of outputs. Knows ops only by their operands' modes.
 * Read next: guard.h. */
#include "guard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { POISON = 0xa5 };

static int find(const guarded *g, const rb_call *call, const rb_buffer *b, int upto)
{
    for (int a = 0; a < upto; a++)
        if (call->t[a].buffer == b)
            for (int i = 0; i < g->n; i++)
                if (g->call.t[a].buffer == &g->region[i].buffer)
                    return i;
    return -1;
}

static bool add(guarded *g, const rb_buffer *b)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t body = (b->bytes + page - 1) / page * page + page;
    char *map = mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *copy = malloc(b->bytes);
    if (map == MAP_FAILED || !copy)
        return false;
    mprotect(map + body, page, PROT_NONE);
    memset(map, POISON, body);
    g->region[g->n].map = map;
    g->region[g->n].map_bytes = body + page;
    g->region[g->n].buffer = (rb_buffer){ map + body - b->bytes, b->bytes };
    memcpy(g->region[g->n].buffer.data, b->data, b->bytes);
    memcpy(copy, b->data, b->bytes);
    g->region[g->n++].before = copy;
    return true;
}

bool guard_open(guarded *g, const rb_call *call)
{
    memset(g, 0, sizeof *g);
    g->call = *call;
    for (int a = 0; a < RB_MAX_ARG; a++) {
        if (!call->t[a].buffer)
            continue;
        int i = find(g, call, call->t[a].buffer, a);
        if (i < 0) {
            i = g->n;
            if (!add(g, call->t[a].buffer))
                return false;
        }
        g->call.t[a].buffer = &g->region[i].buffer;
    }
    return true;
}

void guard_close(guarded *g)
{
    for (int i = 0; i < g->n; i++) {
        munmap(g->region[i].map, g->region[i].map_bytes);
        free(g->region[i].before);
    }
}

/* Rows that the call may write: of a cache the new ones only. */
static void allow(char *may, const rb_op *op, const rb_call *call, int a)
{
    const rb_view *v = &call->t[a];
    const bool fresh = op->arg[a].rows == RB_ROWS_NEW;
    for (int64_t s = 0; s < v->n[0]; s++)
        for (int64_t t = fresh ? call->past[s] : 0;
             t < (fresh ? call->past[s] + call->t[op->token_arg].n[1] : v->n[1]); t++)
            for (int64_t h = 0; h < v->n[2]; h++)
                memset(may + v->offset_bytes + s * v->step_bytes[0] + t * v->step_bytes[1] +
                           h * v->step_bytes[2],
                       1, (size_t)rb_row_bytes(v->dtype, v->n[3]));
}

const char *guard_damage(const guarded *g, const rb_op *op)
{
    for (int i = 0; i < g->n; i++) {
        const rb_buffer *b = &g->region[i].buffer;
        for (const char *p = g->region[i].map; p < (const char *)b->data; p++)
            if ((unsigned char)*p != POISON)
                return "memory before a buffer was written";
        char *may = calloc(1, b->bytes);
        for (int a = 0; a < RB_MAX_ARG && op->arg[a].name; a++)
            if (g->call.t[a].buffer == b && op->arg[a].mode != 'r')
                allow(may, op, &g->call, a);
        bool bad = false;
        for (size_t k = 0; k < b->bytes; k++)
            bad |= !may[k] && ((char *)b->data)[k] != g->region[i].before[k];
        free(may);
        if (bad)
            return "bytes outside the outputs were changed";
    }
    return NULL;
}
