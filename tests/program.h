/* The built program, run with a line of words in a scratch folder, and JSON of what it says. The
 * binary is RBENCH_BIN, or the rbench beside this test's folder. Everything asserts; nothing is
 * returned that is not there. Read next: program.c. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <jansson.h>
#include <sys/types.h>

typedef struct outcome {
    int code; /* exit code, or 1000 + signal */
    char *out, *err;
} outcome;

/* Operands and roofs go round caches, those of some machines for minutes: here they are 32 MiB. */
void modest_caches(void);

/* Of a suite: a scratch folder, modest caches, and an environment without roofs. */
void program_setup(void);
void program_teardown(void);

/* Path of a file in the scratch folder. buf has 256 bytes. Returns buf. */
char *path_of(const char *name, char *buf);
char *slurp(const char *name); /* its text, to be freed */

/* Starts rbench with the words of a line (no quoting). */
pid_t start(const char *line);
/* The same, back once stderr has these words; waits half a minute at most. */
pid_t start_until(const char *line, const char *words);
outcome finish(pid_t pid);
outcome run(const char *line);
/* Runs a script in the scratch folder, with $RBENCH as the program. */
outcome shell(const char *script);
void release(outcome *o);
int lines_of(const char *text);
/* Runs a line and wants this code and these words: in stderr for failures, else in stdout. */
void want(const char *line, int code, const char *words);

/* The JSON that text is, a new reference. */
json_t *parse(const char *text);
/* An object with fields of changes ("{...}") in place of its own; null: taken out. */
json_t *parse_with(const char *object, const char *changes);
long long integer(const json_t *o, const char *key);
const char *string(const json_t *o, const char *key);

#endif
