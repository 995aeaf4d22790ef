/* Criterion's tests and assertions, as far as the suites use them, for programs that run under an
 * emulator: Criterion starts each test by executing the program again, which an emulator of one
 * program does not follow. Here a test is a fork. Refuses options but --tap=FILE.
 * Read next: ../../run.sh. */
#ifndef CROSS_CRITERION_H
#define CROSS_CRITERION_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct cross_test {
    const char *suite, *name;
    void (*run)(void);
    void (*init)(void), (*fini)(void);
    int signal;     /* that the test ends by; 0: none */
    double timeout; /* not kept: emulators take their time */
} cross_test;

/* Tells of a failed check, and ends the test if that is fatal. The message may be empty. */
void cross_fail(bool fatal, const char *file, int line, const char *text, ...);

/* The linker puts a program's tests side by side. */
#define Test(suite_, name_, ...)                                                                   \
    static void suite_##_##name_##_run(void);                                                      \
    static const cross_test suite_##_##name_ = {                                                   \
        .suite = #suite_, .name = #name_, .run = suite_##_##name_##_run, ##__VA_ARGS__             \
    };                                                                                             \
    static const cross_test *const suite_##_##name_##_at                                           \
        __attribute__((used, section("cross_tests"))) = &suite_##_##name_;                         \
    static void suite_##_##name_##_run(void)

/* text is followed by the message's format and arguments, or by nothing: then by "". */
#define CROSS(fatal, ok, text, ...)                                                                \
    ((ok) ? (void)0 : cross_fail(fatal, __FILE__, __LINE__, text, ##__VA_ARGS__, ""))

#define cr_assert_fail(...)        CROSS(true, false, "fails", ##__VA_ARGS__)
#define cr_assert(ok, ...)         CROSS(true, ok, #ok, ##__VA_ARGS__)
#define cr_expect(ok, ...)         CROSS(false, ok, #ok, ##__VA_ARGS__)
#define cr_assert_not(ok, ...)     CROSS(true, !(ok), "not " #ok, ##__VA_ARGS__)
#define cr_expect_not(ok, ...)     CROSS(false, !(ok), "not " #ok, ##__VA_ARGS__)
#define cr_assert_eq(a, b, ...)    CROSS(true, (a) == (b), #a " == " #b, ##__VA_ARGS__)
#define cr_expect_eq(a, b, ...)    CROSS(false, (a) == (b), #a " == " #b, ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...)   CROSS(true, (a) != (b), #a " != " #b, ##__VA_ARGS__)
#define cr_expect_neq(a, b, ...)   CROSS(false, (a) != (b), #a " != " #b, ##__VA_ARGS__)
#define cr_assert_lt(a, b, ...)    CROSS(true, (a) < (b), #a " < " #b, ##__VA_ARGS__)
#define cr_expect_lt(a, b, ...)    CROSS(false, (a) < (b), #a " < " #b, ##__VA_ARGS__)
#define cr_assert_leq(a, b, ...)   CROSS(true, (a) <= (b), #a " <= " #b, ##__VA_ARGS__)
#define cr_expect_leq(a, b, ...)   CROSS(false, (a) <= (b), #a " <= " #b, ##__VA_ARGS__)
#define cr_assert_gt(a, b, ...)    CROSS(true, (a) > (b), #a " > " #b, ##__VA_ARGS__)
#define cr_expect_gt(a, b, ...)    CROSS(false, (a) > (b), #a " > " #b, ##__VA_ARGS__)
#define cr_assert_geq(a, b, ...)   CROSS(true, (a) >= (b), #a " >= " #b, ##__VA_ARGS__)
#define cr_expect_geq(a, b, ...)   CROSS(false, (a) >= (b), #a " >= " #b, ##__VA_ARGS__)
#define cr_assert_null(p, ...)     CROSS(true, !(p), #p " is NULL", ##__VA_ARGS__)
#define cr_expect_null(p, ...)     CROSS(false, !(p), #p " is NULL", ##__VA_ARGS__)
#define cr_assert_not_null(p, ...) CROSS(true, (p) != NULL, #p " is not NULL", ##__VA_ARGS__)
#define cr_expect_not_null(p, ...) CROSS(false, (p) != NULL, #p " is not NULL", ##__VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)                                                                \
    CROSS(true, strcmp(a, b) == 0, #a " is the text " #b, ##__VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)                                                                \
    CROSS(false, strcmp(a, b) == 0, #a " is the text " #b, ##__VA_ARGS__)
#define cr_expect_str_neq(a, b, ...)                                                               \
    CROSS(false, strcmp(a, b) != 0, #a " is not the text " #b, ##__VA_ARGS__)
#define cr_expect_str_empty(a, ...) CROSS(false, (a)[0] == '\0', #a " is empty", ##__VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...)                                                             \
    CROSS(true, memcmp(a, b, n) == 0, #a " has the bytes of " #b, ##__VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...)                                                             \
    CROSS(false, memcmp(a, b, n) == 0, #a " has the bytes of " #b, ##__VA_ARGS__)
#define cr_assert_arr_neq(a, b, n, ...)                                                            \
    CROSS(true, memcmp(a, b, n) != 0, #a " has not the bytes of " #b, ##__VA_ARGS__)
#define cr_expect_arr_neq(a, b, n, ...)                                                            \
    CROSS(false, memcmp(a, b, n) != 0, #a " has not the bytes of " #b, ##__VA_ARGS__)
#define cr_assert_float_eq(a, b, by, ...)                                                          \
    CROSS(true, fabs((double)(a) - (double)(b)) <= (by), #a " is about " #b, ##__VA_ARGS__)
#define cr_expect_float_eq(a, b, by, ...)                                                          \
    CROSS(false, fabs((double)(a) - (double)(b)) <= (by), #a " is about " #b, ##__VA_ARGS__)

#endif
