/* Invented machines as folders.
 * Refuses to be quiet: whatever cannot be made fails the test.
 * Read next: machine.h. */
#include "machine.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

machine make_machine(void)
{
    machine m = { "/tmp/rbench_machine_XXXXXX" };
    cr_assert(mkdtemp(m.root) != NULL);
    return m;
}

void add_file(const machine *m, const char *path, const char *content)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", m->root, path);
    for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        cr_assert(mkdir(full, 0777) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    cr_assert(f != NULL, "%s", full);
    fputs(content, f);
    fclose(f);
}

void remove_machine(const machine *m)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", m->root);
    cr_assert_eq(system(command), 0);
}
