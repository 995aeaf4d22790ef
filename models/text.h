/* All of a file as text, whose length is bounded: of files that users bring beside models. Part of
 * models.h. Takes pipes too; knows no format.
 * Read next: text.c. */
#ifndef RB_TEXT_H
#define RB_TEXT_H

#include "../kernels/kernels.h"

/* The bytes of a file, allocated: free(*text); one more, NUL, ends them and is not counted in *n.
 * More than most bytes: RB_ERR_FORMAT. On failure *text is NULL and a line names the file. */
rb_status rb_text_of_file(const char *path, size_t most, char **text, size_t *n, rb_error *err);
/* The same of a stream that is open, from where it stands. */
rb_status rb_text_of_stream(FILE *f, const char *name, size_t most, char **text, size_t *n,
                            rb_error *err);

#endif
