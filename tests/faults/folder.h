/* Files of a folder, all of them in memory: those that a run left, those that one leaves without a
 * fault.
 * Read next: judge.h. */
#ifndef FOLDER_H
#define FOLDER_H

#include <stddef.h>

typedef struct file {
    char *name; /* within the folder */
    char *text; /* ends with a byte 0 that is none of the file's */
    size_t n;
} file;

typedef struct folder {
    file *at;
    int n;
} folder;

/* Whatever cannot be done ends the program with a line that says so. */
folder read_folder(const char *path);
const file *find_file(const folder *f, const char *name);
void free_folder(folder *f);
void empty_folder(const char *path); /* which is there afterwards */
file read_file(const char *path);
void write_file(const char *path, const char *text, size_t n);

#endif
