/* What attention reads, collected over a text: against rows that are computed by hand or come out
 * of the model's own head, whatever the windows; that ranks chosen by it lose less; what is
 * refused. Read next: ../engine/calibrate.c; test_cli_convert.c for the option. */
#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/engine.h"
#include "converting.h"

TestSuite(calibrate, .init = convert_setup, .fini = convert_teardown);

enum { WIDTH = 48, N_IDS = 21, N_CTX = 8 };

static uint64_t state;

static float draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int64_t)state * 0x1p-63f;
}

/* Small and square, its norms of all sizes. */
static rb_model *model_of(rb_arch arch)
{
    rb_config c = square_config(arch, 3, WIDTH);
    rb_model *m;
    rb_error err;
    if (arch == RB_ARCH_GPTNEOX)
        c.n_head_kv = c.n_head;
    cr_assert_eq(rb_model_synth(&m, &c, RB_F32, 5, false, &err), RB_OK, "%s", err.text);
    state = 11;
    for (int64_t l = 0; l < c.n_layer; l++)
        for (int64_t i = 0; i < WIDTH; i++) {
            ((float *)m->layer[l].attn_norm.buffer->data)[i] = 1 + .9f * draw();
            if (m->layer[l].attn_norm_b.buffer)
                ((float *)m->layer[l].attn_norm_b.buffer->data)[i] = draw();
        }
    return m;
}

static void draw_ids(int32_t *ids, int64_t n, int64_t n_vocab)
{
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)((draw() + 1) / 2 * (float)(n_vocab - 1));
}

static rb_session *open_session(const rb_model *m, rb_session_params p)
{
    rb_session *s;
    rb_error err;
    p.type_k = p.type_v = RB_F32;
    p.act_f32 = true;
    p.n_threads = 2;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    return s;
}

static rb_session *keeping(const rb_model *m, int64_t n_ctx, int64_t n_ubatch)
{
    rb_session_params p = rb_session_defaults();
    p.n_ctx = n_ctx;
    p.n_ubatch = n_ubatch;
    p.keep_inputs = true;
    return open_session(m, p);
}

static rb_calibration *collect(const rb_model *m, const int32_t *ids, int64_t n, int64_t n_ctx,
                               int64_t n_ubatch)
{
    rb_calibration *cal;
    rb_error err;
    rb_session *s = keeping(m, n_ctx, n_ubatch);
    cr_assert_eq(rb_calibrate(&cal, s, ids, n, &(rb_calibrate_params){ 0 }, &err), RB_OK, "%s",
                 err.text);
    rb_session_close(s);
    return cal;
}

/* ---- inputs from elsewhere ---- */

/* Logits of the first `layer` layers, from a head that is the norm of the next one's attention and
 * copies: what that attention reads. [N_IDS][WIDTH] */
static void inputs_by_head(rb_model *m, int64_t layer, const int32_t *ids, double *to)
{
    const rb_layer *next = &m->layer[layer];
    rb_session_params p = rb_session_defaults();
    rb_error err;
    memcpy(m->out_norm.buffer->data, next->attn_norm.buffer->data, next->attn_norm.buffer->bytes);
    if (next->attn_norm_b.buffer)
        memcpy(m->out_norm_b.buffer->data, next->attn_norm_b.buffer->data,
               next->attn_norm_b.buffer->bytes);
    for (int64_t i = 0; i < WIDTH * WIDTH; i++)
        ((float *)m->output.buffer->data)[i] = i % (WIDTH + 1) == 0;
    p.n_ctx = p.n_ubatch = p.n_logits = N_CTX;
    p.n_layer = layer;
    rb_session *s = open_session(m, p);
    for (int64_t at = 0; at < N_IDS; at += N_CTX) {
        const int64_t n = N_IDS - at < N_CTX ? N_IDS - at : N_CTX;
        rb_session_set_past(s, 0);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, ids + at, n, true, &err), RB_OK, "%s", err.text);
        for (int64_t i = 0; i < n * WIDTH; i++)
            to[at * WIDTH + i] = (double)rb_session_logits(s)[i];
    }
    rb_session_close(s);
}

/* Of the first layer: the norm of rows of the embedding. */
static void inputs_by_hand(const rb_model *m, const int32_t *ids, double *to)
{
    const rb_layer *l = &m->layer[0];
    const bool centred = m->config.norm == RB_NORM_LAYER;
    for (int64_t t = 0; t < N_IDS; t++) {
        const float *x = (const float *)m->tok_embd.buffer->data + ids[t] * WIDTH;
        const float *w = l->attn_norm.buffer->data;
        const float *b = centred ? l->attn_norm_b.buffer->data : NULL;
        double mean = 0, square = 0;
        for (int64_t i = 0; centred && i < WIDTH; i++)
            mean += (double)x[i] / WIDTH;
        for (int64_t i = 0; i < WIDTH; i++)
            square += ((double)x[i] - mean) * ((double)x[i] - mean) / WIDTH;
        for (int64_t i = 0; i < WIDTH; i++)
            to[t * WIDTH + i] =
                ((double)x[i] - mean) / sqrt(square + (double)m->config.norm_eps) * (double)w[i] +
                (b ? (double)b[i] : 0);
    }
}

static void expect_means(const char *what, const double *got, const double *x)
{
    double error = 0, size = 0;
    for (int64_t i = 0; i < WIDTH; i++)
        for (int64_t j = 0; j < WIDTH; j++) {
            double want = 0;
            for (int64_t t = 0; t < N_IDS; t++)
                want += x[t * WIDTH + i] * x[t * WIDTH + j] / N_IDS;
            error = fmax(error, fabs(got[i * WIDTH + j] - want));
            size = fmax(size, fabs(want));
        }
    cr_log_info("%s: off by %.1e", what, error / size);
    cr_expect_leq(error, 1e-5 * size, "%s: off by %g of %g", what, error, size);
}

static void expect_inputs(rb_arch arch, bool parallel, int64_t n_ubatch)
{
    rb_model *m = model_of(arch);
    double *x = calloc(N_IDS * WIDTH, sizeof *x);
    int32_t ids[N_IDS];
    char what[64];
    m->config.parallel_residual = parallel;
    draw_ids(ids, N_IDS, WIDTH);
    rb_calibration *cal = collect(m, ids, N_IDS, N_CTX, n_ubatch);
    cr_assert(cal->n_layer == 3 && cal->n_embd == WIDTH && cal->n_token == N_IDS);
    for (int64_t l = 0; l < 3; l++) {
        snprintf(what, sizeof what, "%s%s, passes of %d, layer %d", rb_arch_name[arch],
                 parallel ? " parallel" : "", (int)n_ubatch, (int)l);
        if (l == 0)
            inputs_by_hand(m, ids, x);
        else
            inputs_by_head(m, l, ids, x);
        expect_means(what, cal->xx[l], x);
    }
    rb_calibration_close(cal);
    rb_model_close(m);
    free(x);
}

Test(calibrate, means_are_those_of_what_attention_reads)
{
    expect_inputs(RB_ARCH_LLAMA, false, N_CTX);
    expect_inputs(RB_ARCH_LLAMA, false, 3);
    expect_inputs(RB_ARCH_GPTNEOX, true, N_CTX);
    expect_inputs(RB_ARCH_GPTNEOX, false, 5);
}

/* ---- keeping them changes nothing ---- */

Test(calibrate, keeping_inputs_changes_neither_logits_nor_counts)
{
    rb_model *m = model_of(RB_ARCH_LLAMA);
    int32_t ids[N_IDS];
    float logits[2][WIDTH];
    rb_tally total[2];
    rb_error err;
    draw_ids(ids, N_IDS, WIDTH);
    for (int keep = 0; keep < 2; keep++) {
        rb_session_params p = rb_session_defaults();
        p.n_ctx = 32;
        p.n_ubatch = N_CTX;
        p.keep_inputs = keep;
        rb_session *s = open_session(m, p);
        cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, N_IDS, false, &err), RB_OK, "%s", err.text);
        memcpy(logits[keep], rb_session_logits(s), sizeof logits[keep]);
        total[keep] = rb_ledger_phase(rb_session_ledger(s), RB_PREFILL);
        cr_expect_eq(rb_session_attn_input(s, 0) != NULL, keep);
        rb_session_close(s);
    }
    cr_expect_arr_eq(logits[0], logits[1], sizeof logits[0]);
    cr_expect(rb_cost_equal(&total[0].cost, &total[1].cost));
    rb_model_close(m);
}

/* ---- what ranks are worth then ---- */

enum { N_TEXT = 600, N_JUDGED = 64 };

/* Few directions of the embedding matter, and no coordinate is one of them. */
static void make_uneven(rb_model *m)
{
    float *e = m->tok_embd.buffer->data, basis[WIDTH][WIDTH];
    for (int i = 0; i < WIDTH * WIDTH; i++)
        basis[i / WIDTH][i % WIDTH] = draw();
    for (int64_t t = 0; t < m->config.n_vocab; t++) {
        memset(e + t * WIDTH, 0, WIDTH * sizeof *e);
        for (int d = 0; d < WIDTH; d++) {
            const float size = draw() * expf(-(float)d / 6);
            for (int i = 0; i < WIDTH; i++)
                e[t * WIDTH + i] += size * basis[d][i];
        }
    }
}

static double *logits_of(const rb_model *m, const int32_t *ids)
{
    const int64_t n = N_JUDGED * m->config.n_vocab;
    double *to = calloc((size_t)n, sizeof *to);
    rb_session_params p = rb_session_defaults();
    rb_error err;
    p.n_ctx = p.n_logits = p.n_ubatch = N_JUDGED;
    rb_session *s = open_session(m, p);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, N_JUDGED, true, &err), RB_OK, "%s", err.text);
    for (int64_t i = 0; i < n; i++)
        to[i] = (double)rb_session_logits(s)[i];
    rb_session_close(s);
    return to;
}

/* How far logits of ids are from the model's once it is converted. */
static double loss_of(const rb_model *m, const char *form, const rb_calibration *cal,
                      const int32_t *ids)
{
    rb_attn_form f;
    rb_model *to;
    rb_error err;
    double error = 0, size = 0;
    cr_assert_eq(rb_attn_form_parse(&f, form, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_attn_convert(&to, m, &f, cal, &err), RB_OK, "%s", err.text);
    cr_expect_eq(to->attn.n_calibrated, cal ? N_TEXT : 0);
    double *want = logits_of(m, ids), *got = logits_of(to, ids);
    for (int64_t i = 0; i < N_JUDGED * m->config.n_vocab; i++) {
        error += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
    }
    free(want);
    free(got);
    rb_model_close(to);
    return sqrt(error / size);
}

Test(calibrate, ranks_that_know_their_inputs_lose_less)
{
    static const char *const forms[] = { "lrkv:16", "lrkv:28", "mla:16:12" };
    rb_config c = square_config(RB_ARCH_LLAMA, 2, WIDTH);
    rb_model *m;
    rb_error err;
    int32_t ids[N_TEXT + N_JUDGED];
    c.n_vocab = 500;
    cr_assert_eq(rb_model_synth(&m, &c, RB_F32, 5, false, &err), RB_OK, "%s", err.text);
    make_uneven(m);
    draw_ids(ids, N_TEXT + N_JUDGED, c.n_vocab);
    rb_calibration *cal = collect(m, ids, N_TEXT, 64, 64);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const double blind = loss_of(m, forms[i], NULL, ids + N_TEXT);
        const double seeing = loss_of(m, forms[i], cal, ids + N_TEXT);
        cr_log_info("%s: %.4f, calibrated %.4f", forms[i], blind, seeing);
        cr_expect(seeing < .8 * blind, "%s: %g, calibrated %g", forms[i], blind, seeing);
    }
    rb_calibration_close(cal);
    rb_model_close(m);
}

Test(calibrate, a_file_says_how_many_tokens_chose_its_ranks)
{
    const rb_config c = square_config(RB_ARCH_LLAMA, 3, WIDTH);
    rb_model *m;
    rb_error err;
    rb_attn_form form;
    rb_conversion done;
    int32_t ids[N_IDS];
    static const char *const forms[] = { "lrkv:16", "mla:16:12", "mqa" };
    for (int i = 0; i < 3; i++) {
        write_source(&c, RB_F32);
        cr_assert_eq(rb_model_open(&m, convert_in, NULL, &err), RB_OK, "%s", err.text);
        draw_ids(ids, N_IDS, WIDTH);
        rb_calibration *cal = collect(m, ids, N_IDS, N_CTX, N_CTX);
        rb_model_close(m);
        cr_assert_eq(rb_attn_form_parse(&form, forms[i], &err), RB_OK);
        const rb_convert_params p = { .attn = &form, .cal = cal, .n_threads = 1 };
        cr_assert_eq(rb_gguf_convert(convert_in, convert_out, &p, &done, &err), RB_OK, "%s",
                     err.text);
        cr_assert_eq(rb_model_open(&m, convert_out, NULL, &err), RB_OK, "%s", err.text);
        cr_expect_eq(m->attn.n_calibrated, i < 2 ? N_IDS : 0, "%s", forms[i]);
        cr_expect_eq(done.attn.n_calibrated, m->attn.n_calibrated, "%s", forms[i]);
        rb_model_close(m);
        rb_calibration_close(cal);
    }
}

/* ---- refusals ---- */

static bool stop_at_once(void *arg)
{
    return ++*(int *)arg > 2;
}

static void expect_refused(const rb_model *m, rb_session_params p, const rb_calibrate_params *how,
                           const char *words)
{
    rb_calibration *cal = NULL;
    rb_error err = { 0 };
    int32_t ids[2 * N_IDS] = { 0 };
    rb_session *s = open_session(m, p);
    cr_expect_neq(rb_calibrate(&cal, s, ids, N_IDS, how, &err), RB_OK);
    cr_expect(strstr(err.text, words), "%s: %s", words, err.text);
    cr_expect_null(cal);
    rb_session_close(s);
}

Test(calibrate, refusals_are_one_line)
{
    rb_model *m = model_of(RB_ARCH_LLAMA), *to;
    rb_session_params p = rb_session_defaults();
    rb_error err = { 0 };
    int asked = 0;
    const rb_calibrate_params never = { 0 }, soon = { .stop = stop_at_once, .arg = &asked };
    const rb_attn_form form = { .form = RB_FORM_LRKV, .n = 16 };
    p.n_ctx = N_CTX;
    expect_refused(m, p, &never, "keeps what attention reads");
    p.keep_inputs = true;
    expect_refused(m, p, &soon, "interrupted");
    cr_expect_eq(asked, 3);
    p.n_seq = 2;
    expect_refused(m, p, &never, "one sequence");
    p.n_seq = 1;
    p.n_layer = 2;
    expect_refused(m, p, &never, "all layers");
    p.n_layer = 3;
    ((float *)m->layer[1].wo.buffer->data)[5] = NAN;
    expect_refused(m, p, &never, "layer 2 is not finite");
    const rb_calibration narrow = { .n_layer = 3, .n_embd = WIDTH / 2, .n_token = 1 };
    cr_expect_eq(rb_attn_convert(&to, m, &form, &narrow, &err), RB_ERR_ARGUMENT);
    cr_expect(strstr(err.text, "24 wide"), "%s", err.text);
    rb_model_close(m);
}
