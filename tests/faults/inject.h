/* Calls of the product that a fault can meet: memory, files, clocks and kernels, of our objects
 * alone, since the linker gives these its --wrap. What libraries call among themselves is theirs.
 * Read next: inject.c, child.h. */
#ifndef INJECT_H
#define INJECT_H

#include <stdbool.h>
#include <stdint.h>

/* Kinds of calls; a call may be of more than one. */
enum { CALLS_MEMORY = 1, CALLS_JSON = 2, CALLS_FILE = 4, CALLS_OTHER = 8, CALLS_ALL = 15 };

typedef enum effect {
    FAIL_ONE,  /* the call fails */
    FAIL_FROM, /* it and every later one of its kind */
    SEND,      /* a signal comes before it */
    SEND_TWICE,
    CUT /* a file is cut short before it */
} effect;

typedef struct fault {
    int calls; /* kinds that are counted */
    effect what;
    int64_t at; /* which of them, from 1; 0: none */
    int signal;
    const char *path; /* to cut */
} fault;

/* What a run did, in memory that its parent shares. */
typedef struct traced {
    int64_t n_calls, n_kept; /* counted calls; records that were synced */
    bool hit, caught;        /* the fault came; it came to one who catches signals */
    bool renamed_early;      /* a file that was not synced got its name */
    int n_left_open;         /* files, once main has returned */
    char call[24];           /* where it came */
    long caller;             /* the address after that call, from the program's start */
} traced;

/* From now on calls are counted and f comes when it is due. */
void inject(const fault *f, traced *to);

#endif
