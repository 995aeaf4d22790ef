/* Writing a file that is complete or not there at all. Part of models.h.
 * Knows no format: those who call say what is written.
 * Read next: replace.c. */
#ifndef RB_REPLACE_H
#define RB_REPLACE_H

#include "../kernels/kernels.h"

typedef struct rb_content {
    rb_status (*put)(FILE *f, void *arg, rb_error *err); /* need not look at ferror(f) */
    void *arg;
    bool (*stop)(void *arg); /* NULL: never; asked before the file gets its name */
    void *stop_arg;
} rb_content;

/* Writes beside path, syncs and renames. What a link points at is replaced, not the link, which
 * must not point at nothing; a device or a pipe is written to as it is. On failure what was at path
 * is still there and nothing else: put's error, or RB_ERR_IO with a line that names path. */
rb_status rb_replace_file(const char *path, const rb_content *content, rb_error *err);

/* Whether that can work, as far as shows before there is content: makes the file beside path and
 * removes it again. RB_ERR_IO with the line that rb_replace_file would give. */
rb_status rb_replace_check(const char *path, rb_error *err);

/* RB_ERR_IO, "interrupted", if stop(arg) is true. stop may be NULL. */
rb_status rb_ask_stop(bool (*stop)(void *arg), void *arg, rb_error *err);

#endif
