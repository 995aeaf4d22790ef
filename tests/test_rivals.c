/* Ways of attention against each other, by hand-made results: who leads where, the depth at which
 * lines cross, measured and by the roofs, and what is not told apart.
 * The program is driven in test_cli_forms.c. Read next: ../bench/rivals.c. */
#include "../bench/rivals.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Three models: as it is, an exact form, a lossy one. */
static rb_model model = { .config = { .n_head = 4, .n_head_kv = 2 } };
static rb_model exact = { .config = { .n_head = 4, .n_head_kv = 4 },
                          .attn = {
                              .converted = true, .exact = true, .form = { .form = RB_FORM_MHA } } };
static rb_model lossy = { .config = { .n_head = 4, .n_head_kv = 1 },
                          .attn = { .converted = true, .form = { .form = RB_FORM_MLA, .n = 16 } } };

static rb_subject subject(void)
{
    static rb_formed formed[2];
    formed[0].model = &exact;
    formed[1].model = &lossy;
    return (rb_subject){ .model = &model, .formed = formed };
}

/* A result of tg1 at a context: its median and half the width of its interval, in ns. */
static void note(rb_rivals *r, int of, int64_t context, double ns, double half, double roof_ns)
{
    rb_result *x = calloc(1, sizeof *x);
    const rb_subject s = subject();
    x->test = (rb_test){ .model = of, .n_gen = 1, .n_depth = context, .n_layer = 2, .n_seq = 1 };
    x->n_samples = 6;
    x->ns =
        (rb_stats){ .n = 6, .median = ns, .has_ci = true, .ci_lo = ns - half, .ci_hi = ns + half };
    x->place = (rb_place){ .roof_ns = roof_ns, .bound = RB_BOUND_MEMORY };
    x->total.cost.flops = (uint64_t)(2000 * (of + 1));
    cr_assert_eq(rb_rivals_note(r, &s, x, NULL), RB_OK);
    free(x);
}

static void expect(rb_rivals *r, const char *want)
{
    char *text = rb_rivals_text(r);
    cr_assert_not_null(text);
    cr_expect(strstr(text, want), "no '%s' in: %s", want, text);
    free(text);
}

Test(rivals, lines_cross_where_they_do)
{
    cr_expect_float_eq(rb_rivals_crossing(0, 10, 20, 100, 40, 10), 25,
                       1e-9); /* 10 before, 30 after */
    cr_expect_float_eq(rb_rivals_crossing(512, 10, 10, 1024, 40, 10), 512, 1e-9);
    cr_expect(isnan(rb_rivals_crossing(0, 10, 20, 100, 10, 40)));
    cr_expect(isnan(rb_rivals_crossing(0, 20, 10, 100, 40, 10)), "it led from the start");
    cr_expect(isnan(rb_rivals_crossing(0, 10, 10, 100, 10, 10)), "they are one");
}

/* The model 100 + d, the lossy form 150 + d / 2: they cross at 100; its roofs 50 + d, 70 + d / 2 do
 * at 40. The exact form is the slowest. */
Test(rivals, a_crossing_is_told_with_that_of_the_roofs)
{
    rb_rivals r = { 0 };
    for (int i = 0; i < 3; i++) {
        const double d = 80.0 * i;
        note(&r, 0, 80 * i, 100 + d, 1, 50 + d);
        note(&r, 1, 80 * i, 300 + d, 1, 200 + d);
        note(&r, 2, 80 * i, 150 + d / 2, 1, 70 + d / 2);
    }
    expect(&r, "tg1, 2 layers, cache f32 f32: fastest, as far as intervals tell, is gqa, from a "
               "context of about "
               "100 on mla:16; by the roofs from 40.");
    expect(&r, "A step at a context of 160: mla:16 0B and 6.00 KFLOP, bound by memory; gqa 0B and "
               "2.00 KFLOP, bound by memory, 1.13x the time.");
    expect(&r, "Of the exact ones: gqa at every context from 0 to 160.");
    rb_rivals_clear(&r);
}

Test(rivals, who_leads_goes_on_until_beaten_beyond_doubt)
{
    rb_rivals r = { 0 };
    note(&r, 0, 0, 100, 5, 0);
    note(&r, 1, 0, 104, 5, 0);
    note(&r, 0, 64, 110, 5, 0);
    note(&r, 1, 64, 106, 5, 0); /* faster, but not beyond doubt */
    expect(&r, "is gqa (at 0 not told apart from mha) at every context from 0 to 64.");
    note(&r, 0, 128, 150, 5, 0);
    note(&r, 1, 128, 120, 5, 0);
    expect(&r, ", between 64, where they are not told apart, and 128 on mha.");
    rb_rivals_clear(&r);
}

Test(rivals, tests_that_differ_in_more_meet_nobody)
{
    rb_rivals r = { 0 };
    note(&r, 0, 0, 100, 1, 0);
    cr_expect_null(rb_rivals_text(&r), "one way has no rival");
    note(&r, 1, 0, 90, 1, 0);
    r.at[1].test.n_layer = 3;
    cr_expect_null(rb_rivals_text(&r));
    r.at[1].test.n_layer = 2;
    r.at[1].test.type_k = RB_Q8_0;
    cr_expect_null(rb_rivals_text(&r));
    r.at[1].test.type_k = r.at[0].test.type_k;
    r.at[1].test.type_v = RB_Q8_0;
    cr_expect_null(rb_rivals_text(&r));
    r.at[1].one_cache = true; /* a latent has no V */
    expect(&r, "is mha.");
    rb_rivals_clear(&r);
}

Test(rivals, what_did_not_run_is_left_out)
{
    rb_rivals r = { 0 };
    const rb_subject s = subject();
    rb_result *x = calloc(1, sizeof *x);
    cr_assert_eq(rb_rivals_note(&r, &s, x, NULL), RB_OK);
    x->n_samples = 1;
    x->dry = true;
    cr_assert_eq(rb_rivals_note(&r, &s, x, NULL), RB_OK);
    x->dry = false;
    strcpy(x->error, "failed");
    cr_assert_eq(rb_rivals_note(&r, &s, x, NULL), RB_OK);
    cr_expect_eq(r.n, 0);
    free(x);
}
