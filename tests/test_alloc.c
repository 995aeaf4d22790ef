/* Running allocates nothing: malloc and its kin are counted in this program alone. Under a
 * sanitizer, which brings its own malloc, there is nothing to count and the test says so. Read
 * next: test_session.c. */
#include <criterion/criterion.h>

#include <stdatomic.h>

#include "vectors.h"

static atomic_int n_alloc;

#if !defined __SANITIZE_ADDRESS__ && defined __GLIBC__
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
    atomic_fetch_add(&n_alloc, 1);
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    atomic_fetch_add(&n_alloc, 1);
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    atomic_fetch_add(&n_alloc, 1);
    return __libc_realloc(p, n);
}
enum { COUNTED = true };
#else
enum { COUNTED = false };
#endif

Test(alloc, running_allocates_nothing)
{
    json_t *v;
    rb_error err;
    rb_session *s;
    int32_t tokens[64];
    rb_model *model = vector_model("qwen2_bias", &v);
    rb_session_params p = rb_session_defaults();
    if (!COUNTED)
        cr_skip_test("malloc is the sanitizer's");
    for (int i = 0; i < 64; i++)
        tokens[i] = (i * 11 + 3) % 48;
    p.n_ctx = 200;
    p.n_ubatch = 24;
    p.n_threads = 2;
    cr_assert_eq(rb_session_open(&s, model, &p, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, tokens, 1, false, &err), RB_OK); /* OpenMP's team */
    rb_trace *trace;
    cr_assert_eq(rb_trace_open(&trace, 2, 1 << 12, &err), RB_OK);
    const int before = atomic_load(&n_alloc);
    rb_session_trace(s, trace);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, tokens, 60, false, &err), RB_OK);
    for (int i = 0; i < 60; i++)
        cr_assert_eq(rb_session_run(s, RB_DECODE, tokens + i, 1, false, &err), RB_OK);
    cr_expect_eq(atomic_load(&n_alloc), before);
    void *volatile one = malloc(1); /* volatile: a compiler may leave an unused one out */
    free(one);
    cr_expect_eq(atomic_load(&n_alloc), before + 1, "the count works");
    rb_session_close(s);
    rb_trace_close(trace);
    rb_model_close(model);
    json_decref(v);
}
