/* Invented machines: a scratch folder that stands for /, with files of /proc and /sys in it.
 * Everything asserts; nothing outside the folder is touched.
 * Read next: machine.c, test_env.c, test_pmu.c. */
#ifndef MACHINE_H
#define MACHINE_H

typedef struct machine {
    char root[64];
} machine;

/* An empty root folder to build a machine's /proc and /sys in. */
machine make_machine(void);
/* A file with that content, and the folders that it needs. */
void add_file(const machine *m, const char *path, const char *content);
void remove_machine(const machine *m);

#endif
