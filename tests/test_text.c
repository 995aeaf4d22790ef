/* Files as text: all of their bytes, over the growth of the buffer, from pipes too; what is longer
 * than allowed, is no file or cannot be read is refused by a line that names it.
 * Read next: ../models/text.h. */
#include "files.h"

#include "../bench/bench.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file of n bytes, each the low byte of its place; to be freed. */
static char *counted(const dir *d, size_t n)
{
    char *path = dir_file(d, "f");
    blob b = { 0 };
    for (size_t i = 0; i < n; i++)
        blob_uint(&b, i & 0xff, 1);
    blob_write(&b, path);
    blob_free(&b);
    return path;
}

static void expect_counted(const char *text, size_t n, size_t want)
{
    cr_assert_eq(n, want);
    for (size_t i = 0; i < n; i++)
        cr_assert_eq((uint8_t)text[i], i & 0xff, "byte %zu of %zu", i, n);
    cr_assert_eq(text[n], 0);
}

Test(text, all_bytes_up_to_the_most)
{
    static const size_t sizes[] = { 0, 1, 65534, 65535, 65536, 65537, 131071, 131072, 200000 };
    dir d = dir_make();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *path = counted(&d, sizes[i]), *text;
        for (int more = 0; more < 2; more++) {
            size_t n;
            rb_error err = { 0 };
            cr_assert_eq(rb_text_of_file(path, sizes[i] + (size_t)more, &text, &n, &err), RB_OK,
                         "%s", err.text);
            expect_counted(text, n, sizes[i]);
            free(text);
        }
        free(path);
    }
    dir_remove(&d);
}

Test(text, more_than_the_most)
{
    static const size_t sizes[] = { 1, 100, 65535, 65536, 65537, 200000 };
    dir d = dir_make();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *path = counted(&d, sizes[i]), *text, words[64];
        size_t n;
        rb_error err = { 0 };
        snprintf(words, sizeof words, "more than %zu bytes", sizes[i] - 1);
        cr_assert_eq(rb_text_of_file(path, sizes[i] - 1, &text, &n, &err), RB_ERR_FORMAT);
        cr_assert_null(text);
        cr_assert(strstr(err.text, path) && strstr(err.text, words), "%s", err.text);
        free(path);
    }
    dir_remove(&d);
}

Test(text, a_pipe_in_pieces)
{
    int fd[2];
    char *text;
    size_t n;
    cr_assert_eq(pipe(fd), 0);
    cr_assert_eq(write(fd[1], "ab\0", 3), 3);
    cr_assert_eq(write(fd[1], "c", 1), 1);
    close(fd[1]);
    FILE *f = fdopen(fd[0], "rb");
    cr_assert_eq(rb_text_of_stream(f, "pipe", 4, &text, &n, NULL), RB_OK);
    cr_assert(n == 4 && !memcmp(text, "ab\0c", 5));
    free(text);
    fclose(f);
}

Test(text, what_cannot_be_read)
{
    char *text;
    size_t n;
    rb_error err = { 0 };
    cr_assert_eq(rb_text_of_file("/no/such/file", 9, &text, &n, &err), RB_ERR_IO);
    cr_assert(!text && strstr(err.text, "/no/such/file: cannot open"), "%s", err.text);
    cr_assert_eq(rb_text_of_file("/tmp", 9, &text, &n, &err), RB_ERR_IO);
    cr_assert(!text && strstr(err.text, "/tmp: cannot read"), "%s", err.text);
}

/* ---- positioned reads ---- */

Test(text, a_file_that_shrinks_while_it_is_read)
{
    dir d = dir_make();
    char *path = counted(&d, 100), bytes[100];
    rb_source s;
    rb_error err = { 0 };
    cr_assert_eq(rb_source_open(&s, path, &err), RB_OK);
    cr_assert_eq(rb_source_read(&s, 90, bytes, 10, &err), RB_OK);
    cr_assert_eq(truncate(path, 95), 0);
    cr_assert_eq(rb_source_read(&s, 90, bytes, 10, &err), RB_ERR_IO);
    cr_assert(strstr(err.text, "f: the file shrank while it was read"), "%s", err.text);
    rb_source_close(&s);
    rb_source_close(NULL);
    free(path);
    dir_remove(&d);
}

Test(text, labels_are_the_end_of_long_names)
{
    char name[300];
    memset(name, 'a', sizeof name - 1);
    memcpy(name + sizeof name - 5, "/end", 5);
    const rb_source s = rb_source_memory(name, "", 0);
    cr_assert(!strncmp(s.label, "...a", 4) && strlen(s.label) == sizeof s.label - 1);
    cr_assert_str_eq(rb_source_base_name(&s), "end");
}

/* Blanks alone, so that nothing but the length can be wrong. */
Test(text, files_of_rates_are_bounded)
{
    enum { MOST = 4 << 20 };
    static rb_rates r;
    dir d = dir_make();
    char *path = dir_file(&d, "rates.json");
    rb_error err = { 0 };
    const int fd = open(path, O_WRONLY | O_CREAT, 0666);
    cr_assert(fd >= 0 && ftruncate(fd, MOST + 1) == 0);
    close(fd);
    cr_assert_eq(rb_rates_read(&r, path, &err), RB_ERR_FORMAT);
    cr_assert(strstr(err.text, "more than 4194304 bytes"), "%s", err.text);
    free(path);
    dir_remove(&d);
}
