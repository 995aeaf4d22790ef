/* Criterion's log, as far as the suites use it: lines on stdout.
 * Refuses levels.
 * Read next: criterion.h. */
#ifndef CROSS_LOGGING_H
#define CROSS_LOGGING_H

#include <stdio.h>

#define cr_log_info(...) printf(__VA_ARGS__)

#endif
