/* The product run in a process of its own, with a fault. It is forked, not started anew: nothing
 * of it has run before in the parent, which has one thread.
 * Read next: child.c. */
#ifndef CHILD_H
#define CHILD_H

#include "inject.h"

enum { KILLED = 1000, HUNG = 2000 }; /* codes: killed by a signal, plus its number; ended by us */

typedef struct child {
    const char *folder; /* where it runs */
    const char *line;   /* its words, parted by blanks */
    const char *to;     /* stdout; NULL: it is read, "": a pipe that nobody reads */
    int64_t file_limit; /* bytes that files can have; < 0: no limit */
    fault fault;
} child;

typedef struct outcome {
    int code;
    char *out, *err; /* to be freed */
    traced traced;
} outcome;

/* Runs it to its end, or ends it after a while (HUNG). To be released. */
outcome run_child(const child *c);
void release(outcome *o); /* what it printed */

#endif
