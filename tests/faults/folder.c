/* Reading, emptying and filling folders of small files.
 * Nothing is judged here.
 * Read next: judge.c. */
#define _GNU_SOURCE
#include "folder.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static folder *walked; /* nftw hands nothing through */
static size_t root;

static void die(const char *path)
{
    perror(path);
    exit(1);
}

file read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st))
        die(path);
    file to = { .text = calloc(1, (size_t)st.st_size + 1) };
    if (!to.text)
        die(path);
    to.n = fread(to.text, 1, (size_t)st.st_size, f);
    fclose(f);
    return to;
}

void write_file(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(text, 1, n, f) != n || fclose(f))
        die(path);
}

static int take(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st, (void)at;
    if (flag != FTW_F)
        return 0;
    file *grown = realloc(walked->at, ((size_t)walked->n + 1) * sizeof *grown);
    if (!grown)
        die(path);
    walked->at = grown;
    grown[walked->n] = read_file(path);
    grown[walked->n++].name = strdup(path + root);
    return 0;
}

folder read_folder(const char *path)
{
    folder f = { 0 };
    walked = &f;
    root = strlen(path) + 1;
    if (nftw(path, take, 8, FTW_PHYS))
        die(path);
    walked = NULL;
    return f;
}

const file *find_file(const folder *f, const char *name)
{
    for (int i = 0; i < f->n; i++)
        if (!strcmp(f->at[i].name, name))
            return &f->at[i];
    return NULL;
}

void free_folder(folder *f)
{
    for (int i = 0; i < f->n; i++) {
        free(f->at[i].name);
        free(f->at[i].text);
    }
    free(f->at);
    *f = (folder){ 0 };
}

static int drop(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st, (void)flag, (void)at;
    return remove(path);
}

void empty_folder(const char *path)
{
    if (nftw(path, drop, 8, FTW_PHYS | FTW_DEPTH) && errno != ENOENT)
        die(path);
    if (mkdir(path, 0777))
        die(path);
}
