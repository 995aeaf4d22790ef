/* Whether a run kept what is promised, whatever befell it: the exit code, one line that says why,
 * every finished record, and no file that is not whole under its final name.
 * Read next: judge.c, ../README.md ("What survives"). */
#ifndef JUDGE_H
#define JUDGE_H

#include "child.h"
#include "folder.h"

/* A run without a fault, and what its folder of outputs held before it. */
/* How much two runs without a fault say and leave the same: every byte, all but what is timed, or
 * less, where a budget decides what runs. */
typedef enum sameness { EVERY_BYTE, BUT_TIMES, LESS } sameness;

typedef struct reference {
    outcome outcome;
    folder before, after;
    sameness same;
} reference;

typedef struct verdict {
    char defect[512]; /* "": none */
    int n_lost;       /* finished records that are not there */
    int n_partial;    /* files that are not whole, or left over */
} verdict;

/* The run with the fault, and the folder that it left. codes: those that it may have, ended by 0,
 * which is always allowed where everything is as without the fault. word: a part of the line that
 * says why, or NULL. lines: how many may say why, all different. */
verdict judge(const reference *ref, const outcome *o, const folder *left, const int *codes,
              const char *word, int lines);

#endif
