/* See converting.h.
 * Refuses to go on after any failure of its own.
 * Read next: test_convert.c, test_mix.c. */
#include "converting.h"

#include <criterion/criterion.h>
#include <stdlib.h>

dir convert_folder;
char *convert_in, *convert_out;

void convert_setup(void)
{
    convert_folder = dir_make();
    convert_in = dir_file(&convert_folder, "in.gguf");
    convert_out = dir_file(&convert_folder, "out.gguf");
}

void convert_teardown(void)
{
    dir_remove(&convert_folder);
    free(convert_in);
    free(convert_out);
}

rb_status convert_as(const char *type, int n_threads, rb_conversion *done, rb_error *err)
{
    const rb_convert_params p = { .mix = rb_mix_by_name(type), .n_threads = n_threads };
    cr_assert(p.mix, "%s", type);
    return rb_gguf_convert(convert_in, convert_out, &p, done, err);
}

rb_conversion converted_as(const char *type)
{
    rb_conversion done;
    rb_error err = { 0 };
    cr_assert_eq(convert_as(type, 2, &done, &err), RB_OK, "%s", err.text);
    return done;
}

rb_gguf open_directory(const char *path)
{
    rb_gguf g;
    rb_source s;
    rb_error err = { 0 };
    cr_assert_eq(rb_source_open(&s, path, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_gguf_open(&g, s, path, &err), RB_OK, "%s", err.text);
    return g;
}

rb_config square_config(rb_arch arch, int64_t n_layer, int64_t width)
{
    rb_config c = small_config(arch);
    c.n_layer = n_layer;
    c.n_embd = c.n_ff = c.n_vocab = width;
    c.n_head = 4;
    c.n_head_kv = 2;
    c.d_head_k = c.d_head_v = c.d_rot = width / 4;
    return c;
}

void write_source(const rb_config *c, rb_dtype type)
{
    rb_model *m;
    rb_error err = { 0 };
    cr_assert_eq(rb_model_synth(&m, c, type, 1, false, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_gguf_write(m, convert_in, NULL, &err), RB_OK, "%s", err.text);
    rb_model_close(m);
}

void expect_type(const char *name, rb_dtype want)
{
    rb_gguf b = open_directory(convert_out);
    cr_assert_eq(rb_gguf_find_tensor(&b, name)->dtype, want, "%s", name);
    rb_gguf_close(&b);
}
