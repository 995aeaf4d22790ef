/* Guarded copies of a case's buffers: each ends where an inaccessible page begins and starts after
 * poison, so that a kernel that reads or writes outside is caught.
 * Read next: test_kernels.c. */
#ifndef GUARD_H
#define GUARD_H

#include "../kernels/kernels.h"

typedef struct guarded {
    rb_call call; /* views into the guarded memory */
    int n;
    struct {
        char *map;
        size_t map_bytes;
        rb_buffer buffer;
        char *before; /* the buffer's bytes as they were */
    } region[RB_MAX_ARG];
} guarded;

/* Copies a call's buffers in between pages that cannot be touched: g->call is the call to run.
 * False without memory. */
bool guard_open(guarded *g, const rb_call *call);
void guard_close(guarded *g);
/* NULL, or what was changed that no output view covers. */
const char *guard_damage(const guarded *g, const rb_op *op);

#endif
