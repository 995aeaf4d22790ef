/* The small runs that faults come to, one of each command and of each way to write.
 * None depends on the speed of the machine.
 * Read next: cases.c, faults.c. */
#ifndef CASES_H
#define CASES_H

#include <stdbool.h>

#include "judge.h"

typedef struct fault_case {
    const char *name, *line;
    const char *before; /* a file that is there: "TO<FROM", FROM in in/; NULL: none */
    const char *model;  /* the file of weights, if it has one */
    bool slow;          /* a second or more: fewer tries */
    sameness same;      /* of what two runs say and leave */
} fault_case;

extern const fault_case fault_cases[];
extern const int n_fault_cases;

/* Makes base/in with all that the runs read, by the product itself. data: the folder of vectors;
 * slow: with what only slow runs read. */
void make_inputs(const char *base, const char *data, bool slow);

#endif
