/* Perplexity and divergence against sums over the logits of single positions, in double.
 * The windows are llama.cpp's: which tokens are foretold is counted here by hand.
 * Read next: ../bench/perplexity.c. */
#include "../bench/bench.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_CTX = 16, N_IDS = 3 * N_CTX + 5 };

typedef struct setup {
    rb_model *model;
    rb_session *session[2];
    int32_t ids[N_IDS];
    int64_t n_vocab;
} setup;

/* The second session keeps its cache in bf16, and so differs a little. */
static void open_setup(setup *u)
{
    rb_error err;
    const rb_model_params how = { .seed = 5 };
    cr_assert_eq(rb_model_open(&u->model, "tiny", &how, &err), RB_OK, "%s", err.text);
    u->n_vocab = u->model->config.n_vocab;
    for (int i = 0; i < 2; i++) {
        rb_session_params p = rb_session_defaults();
        p.n_ctx = N_CTX;
        p.n_ubatch = 5;
        p.n_logits = rb_perplexity_rows(N_CTX);
        p.act_f32 = true;
        p.type_k = p.type_v = i ? RB_BF16 : RB_F32;
        cr_assert_eq(rb_session_open(&u->session[i], u->model, &p, &err), RB_OK, "%s", err.text);
    }
    for (int i = 0; i < N_IDS; i++)
        u->ids[i] = (int32_t)((i * 7919 + 13) % u->n_vocab);
}

static void close_setup(setup *u)
{
    rb_session_close(u->session[0]);
    rb_session_close(u->session[1]);
    rb_model_close(u->model);
}

static double log_sum(const float *logit, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)logit[i]);
    return log(sum);
}

/* One window token by token: -ln p, KL and equal tops of the tokens that count. */
static void by_hand(setup *u, const int32_t *window, rb_judged *j)
{
    rb_error err;
    const int64_t n = u->n_vocab;
    rb_session_set_past(u->session[0], 0);
    rb_session_set_past(u->session[1], 0);
    for (int i = 0; i < N_CTX - 1; i++) {
        for (int k = 0; k < 2; k++)
            cr_assert_eq(rb_session_run(u->session[k], RB_DECODE, &window[i], 1, false, &err),
                         RB_OK);
        if (i < N_CTX / 2)
            continue;
        const float *p = rb_session_logits(u->session[0]), *q = rb_session_logits(u->session[1]);
        const double of_p = log_sum(p, n), of_q = log_sum(q, n);
        double kl = 0;
        for (int64_t t = 0; t < n; t++)
            kl += exp((double)p[t] - of_p) * ((double)p[t] - of_p - ((double)q[t] - of_q));
        const double nll = of_p - (double)p[window[i + 1]];
        j[0].nll += nll;
        j[0].nll2 += nll * nll;
        j[1].nll += of_q - (double)q[window[i + 1]];
        j[1].kl += kl;
        j[1].n_same += rb_argmax(p, n) == rb_argmax(q, n);
        j[0].n++;
        j[1].n++;
    }
}

static void check(int32_t bos)
{
    setup u;
    rb_judged got[2], want[2] = { { 0 }, { 0 } };
    rb_error err;
    open_setup(&u);
    const rb_perplexity_params p = { .n_ctx = N_CTX, .bos = bos };
    cr_assert_eq(rb_perplexity(u.session, 2, u.n_vocab, u.ids, N_IDS, &p, got, &err), RB_OK);
    for (int w = 0; w < 3; w++) {
        int32_t window[N_CTX];
        memcpy(window, u.ids + w * N_CTX, sizeof window);
        if (bos >= 0)
            window[0] = bos;
        by_hand(&u, window, want);
    }
    cr_expect_eq(want[0].n, 3 * 7);
    for (int k = 0; k < 2; k++) {
        cr_expect_eq(got[k].n, want[k].n);
        cr_expect_float_eq(got[k].nll, want[k].nll, 1e-4 * want[k].nll, "%.9g %.9g", got[k].nll,
                           want[k].nll);
        cr_expect_float_eq(rb_judged_ppl(&got[k]), exp(want[k].nll / 21), 1e-2);
    }
    cr_expect_float_eq(got[0].nll2, want[0].nll2, 1e-4 * want[0].nll2);
    cr_expect_gt(want[1].kl, 1e-6);
    cr_expect_float_eq(got[1].kl, want[1].kl, 2e-2 * want[1].kl, "%.9g %.9g", got[1].kl,
                       want[1].kl);
    cr_expect_eq(got[1].n_same, want[1].n_same);
    close_setup(&u);
}

Test(perplexity, sums_are_those_of_single_steps)
{
    check(-1);
}

Test(perplexity, bos_begins_each_window)
{
    check(1);
}

Test(perplexity, a_way_is_no_distance_from_itself)
{
    setup u;
    rb_judged j[2];
    rb_error err;
    open_setup(&u);
    rb_session *twice[2] = { u.session[1], u.session[1] };
    const rb_perplexity_params p = { .n_ctx = N_CTX, .bos = -1 };
    cr_assert_eq(rb_perplexity(twice, 2, u.n_vocab, u.ids, N_IDS, &p, j, &err), RB_OK);
    cr_expect_eq(j[1].kl, 0);
    cr_expect_eq(j[1].n_same, j[1].n);
    cr_expect_eq(j[1].dlogit_max, 0);
    cr_expect_eq(j[0].nll, j[1].nll);
    close_setup(&u);
}

static void count_told(void *arg, const rb_judged *first, int64_t n_done, int64_t n_window)
{
    cr_expect_eq(n_window, 3);
    cr_expect_eq(first->n, 7 * n_done);
    *(int64_t *)arg = n_done;
}

static bool after_two(void *arg)
{
    return *(int64_t *)arg == 2;
}

Test(perplexity, what_was_judged_before_a_stop_stays)
{
    setup u;
    rb_judged j;
    rb_error err;
    int64_t done = 0;
    open_setup(&u);
    const rb_perplexity_params p = {
        .n_ctx = N_CTX, .bos = -1, .stop = after_two, .tell = count_told, .arg = &done
    };
    cr_expect_eq(rb_perplexity(u.session, 1, u.n_vocab, u.ids, N_IDS, &p, &j, &err), RB_OK);
    cr_expect_eq(j.n, 14);
    close_setup(&u);
}

/* Each window asks twice, once in each half's micro-batches. */
static bool in_second_window(void *arg)
{
    return ++*(int *)arg > 2;
}

Test(perplexity, a_window_cut_short_is_not_judged)
{
    setup u;
    rb_judged j[2];
    rb_error err;
    int asked = 0;
    int64_t done = 0;
    open_setup(&u);
    rb_session_set_stop(u.session[1], in_second_window, &asked);
    const rb_perplexity_params p = { .n_ctx = N_CTX, .bos = -1, .tell = count_told, .arg = &done };
    cr_expect_eq(rb_perplexity(u.session, 2, u.n_vocab, u.ids, N_IDS, &p, j, &err), RB_OK);
    cr_expect_eq(done, 1);
    cr_expect_eq(j[0].n, 7);
    cr_expect_eq(j[1].n, 7);
    cr_expect_eq(j[0].n_run, N_CTX - 1);
    cr_expect_eq(j[1].n_run, N_CTX - 1);
    cr_expect_eq(asked, 3);
    close_setup(&u);
}

Test(perplexity, windows_are_bounded_and_wanted)
{
    setup u;
    rb_judged j;
    rb_error err;
    open_setup(&u);
    rb_perplexity_params p = { .n_ctx = N_CTX, .bos = -1, .n_window = 2 };
    cr_expect_eq(rb_perplexity(u.session, 1, u.n_vocab, u.ids, N_IDS, &p, &j, &err), RB_OK);
    cr_expect_eq(j.n, 14);
    cr_expect_eq(rb_perplexity(u.session, 1, u.n_vocab, u.ids, N_CTX - 1, &p, &j, &err),
                 RB_ERR_FORMAT);
    cr_expect(strstr(err.text, "15 tokens"), "%s", err.text);
    cr_expect(isnan(rb_judged_ppl(&j)));
    close_setup(&u);
}

Test(perplexity, errors_of_means)
{
    const rb_judged j = { .n = 4, .nll = 8, .nll2 = 18 };
    cr_expect_float_eq(rb_judged_ppl(&j), exp(2), 1e-12);
    cr_expect_float_eq(rb_judged_ppl_se(&j), exp(2) * sqrt(0.5 / 3), 1e-12);
}

/* What rounding leaves below zero of a divergence is zero. */
Test(perplexity, no_divergence_has_a_sign)
{
    const rb_judged own = { .n = 4, .nll = 8, .nll2 = 16 }, same = { .n = 4, .kl = -1e-9 };
    const rb_judged_row rows[] = { { "m", "gqa", &own }, { "m", "mla", &same } };
    const rb_perplexity_told told = { .row = rows, .n_row = 2, .text = "t" };
    char *text = NULL;
    size_t n = 0;
    rb_error err;
    FILE *f = open_memstream(&text, &n);
    cr_assert(f);
    cr_assert_eq(rb_perplexity_table(f, &told, &err), RB_OK);
    fclose(f);
    cr_expect(strstr(text, " 0.000000 ") && !strstr(text, "-0.000000"), "%s", text);
    free(text);
}
