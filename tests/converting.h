/* What tests of conversions share: a folder with a source and a target, small square models to be
 * converted, and looks at what came out. Everything asserts.
 * Read next: test_convert.c, test_mix.c. */
#ifndef RB_TEST_CONVERTING_H
#define RB_TEST_CONVERTING_H

#include "files.h"

/* Of a suite: a folder, and the paths in it (tests may set others, which are freed too). */
extern dir convert_folder;
extern char *convert_in, *convert_out;
void convert_setup(void);
void convert_teardown(void);

/* convert_in to convert_out, in another type. */
rb_status convert_as(const char *type, int n_threads, rb_conversion *done, rb_error *err);
/* By two threads, and it works. */
rb_conversion converted_as(const char *type);
rb_gguf open_directory(const char *path);
/* Every width is the same; 4 heads over 2. */
rb_config square_config(rb_arch arch, int64_t n_layer, int64_t width);
/* Writes it to convert_in. */
void write_source(const rb_config *c, rb_dtype type);
/* The type of a tensor of convert_out. */
void expect_type(const char *name, rb_dtype want);

#endif
