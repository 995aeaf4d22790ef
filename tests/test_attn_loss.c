/* How much conversions of attention lose, on the synthetic construction that the project measured
 * before it had them: figures of that size, alignment never worse than plain means, what is
 * invariant to 1e-12.
 * Read next: synthetic.h, ../models/attn_reform.h. */
#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../models/attn/attn_rope.h"
#include "ref_attn.h"
#include "synthetic.h"

static rb_model *convert(const rb_model *from, const char *text, const rb_calibration *cal)
{
    rb_attn_form f;
    rb_model *m;
    rb_error err;
    cr_assert_eq(rb_attn_form_parse(&f, text, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_attn_convert(&m, from, &f, cal, &err), RB_OK, "%s: %s", text, err.text);
    return m;
}

static double loss_of(const rb_model *m, const char *text, bool decay, const rb_calibration *cal)
{
    rb_model *to = convert(m, text, cal);
    const double loss = synthetic_loss(to, m, decay);
    cr_expect_not(to->attn.exact && loss > 1e-6, "%s: %g", text, loss);
    rb_model_close(to);
    return loss;
}

/* ---- figures ---- */

/* What was measured, and how far ours may be off: weights and inputs are drawn anew. */
static const struct {
    const char *form;
    int64_t n_head_kv;
    bool decay;
    double want;
} figures[] = {
    { "gqa:4", 8, false, .76 },    { "gqa:4", 8, true, .51 },      { "mqa", 8, true, .68 },
    { "lrkv:32", 8, true, .14 },   { "lrkv:64", 8, true, .021 },   { "lrkv:96", 8, true, .0027 },
    { "lrkv:64", 4, false, .40 },  { "lrkv:96", 4, false, .14 },   { "mla:64:16", 4, false, .53 },
    { "mla:64:16", 4, true, .37 }, { "mla:64:32", 4, false, .30 }, { "mla:64:32", 4, true, .11 },
};

Test(attn_loss, is_of_the_size_that_was_measured)
{
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        rb_model *m = synthetic_model(figures[i].n_head_kv, figures[i].decay);
        const double loss = loss_of(m, figures[i].form, figures[i].decay, NULL);
        cr_log_info("%s%s: %.4f, was %.4f", figures[i].form, figures[i].decay ? " decay" : "", loss,
                    figures[i].want);
        cr_expect(loss < figures[i].want * 1.25 + .02 && loss > figures[i].want / 2,
                  "%s of %s: %g, not near %g", figures[i].form,
                  figures[i].decay ? "decay" : "random", loss, figures[i].want);
        rb_model_close(m);
    }
}

/* ---- alignment ---- */

/* Fewer heads by plain means: W_q and W_o as they are. */
static double plain_loss(const rb_model *m, int64_t n_head_kv, bool decay)
{
    char form[16];
    snprintf(form, sizeof form, "gqa:%d", (int)n_head_kv);
    rb_model *to = convert(m, form, NULL);
    const int64_t n = m->config.n_head_kv / n_head_kv, piece = SYN_D * SYN_H;
    for (int64_t l = 0; l < SYN_LAYERS; l++) {
        rb_layer *a = &to->layer[l];
        const rb_layer *b = &m->layer[l];
        float *mean[] = { a->wk.buffer->data, a->wv.buffer->data };
        const float *of[] = { b->wk.buffer->data, b->wv.buffer->data };
        memcpy(a->wq.buffer->data, b->wq.buffer->data, a->wq.buffer->bytes);
        memcpy(a->wo.buffer->data, b->wo.buffer->data, a->wo.buffer->bytes);
        for (int w = 0; w < 2; w++)
            for (int64_t i = 0; i < n_head_kv * piece; i++) {
                double sum = 0;
                for (int64_t h = 0; h < n; h++)
                    sum += (double)of[w][(i / piece * n + h) * piece + i % piece];
                mean[w][i] = (float)(sum / (double)n);
            }
    }
    const double loss = synthetic_loss(to, m, decay);
    rb_model_close(to);
    return loss;
}

Test(attn_loss, alignment_is_never_worse_than_plain_means)
{
    static const double measured[2][2] = { { .82, .96 }, { .75, .96 } };
    for (int decay = 0; decay < 2; decay++) {
        rb_model *m = synthetic_model(8, decay);
        for (int one = 0; one < 2; one++) {
            const double plain = plain_loss(m, one ? 1 : 4, decay);
            const double aligned = loss_of(m, one ? "mqa" : "gqa:4", decay, NULL);
            cr_log_info("%s 8 -> %d: plain %.3f (was %.2f), aligned %.3f",
                        decay ? "decay" : "random", one ? 1 : 4, plain, measured[decay][one],
                        aligned);
            cr_expect_leq(aligned, plain);
            cr_expect(fabs(plain - measured[decay][one]) < .12, "%g", plain);
        }
        rb_model_close(m);
    }
}

/* ---- what inputs look like ---- */

Test(attn_loss, calibration_lowers_what_decaying_spectra_lose)
{
    rb_model *m = synthetic_model(8, true);
    double *xx[SYN_LAYERS];
    const rb_calibration cal = { SYN_LAYERS, SYN_H, SYN_TOKENS, (const double *const *)xx };
    for (int64_t l = 0; l < SYN_LAYERS; l++) {
        double *x = synthetic_inputs(l, true);
        xx[l] = calloc(SYN_H * SYN_H, sizeof *xx[l]);
        for (int64_t t = 0; t < SYN_TOKENS; t++)
            for (int64_t i = 0; i < SYN_H * SYN_H; i++)
                xx[l][i] += x[t * SYN_H + i / SYN_H] * x[t * SYN_H + i % SYN_H] / SYN_TOKENS;
        free(x);
    }
    const double blind = loss_of(m, "lrkv:32", true, NULL);
    const double seeing = loss_of(m, "lrkv:32", true, &cal);
    const double joint = loss_of(m, "mla:64:32", true, &cal);
    cr_log_info("lrkv:32: %.4f, calibrated %.4f; mla:64:32 %.4f", blind, seeing, joint);
    cr_expect(blind > 1.08 * seeing && blind < 2 * seeing, "%g, calibrated %g", blind, seeing);
    cr_expect_lt(joint, loss_of(m, "mla:64:32", true, NULL) * 1.02);
    for (int64_t l = 0; l < SYN_LAYERS; l++)
        free(xx[l]);
    rb_model_close(m);
}

/* ---- invariances, in double ---- */

enum { D = 12, ROT = 8, DV = 6, IN = 20, N_KV = 4, N_Q = 2 };

static const rb_config small = { .arch = RB_ARCH_LLAMA,
                                 .n_head = N_KV * N_Q,
                                 .n_head_kv = N_KV,
                                 .d_head_k = D,
                                 .d_head_v = DV,
                                 .d_rot = ROT,
                                 .n_ctx_train = 64,
                                 .rope_base = 100 };

static void fill(const rb_matrix *m, uint64_t *state)
{
    for (int64_t i = 0; i < m->rows * m->cols; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        m->at[i] = (double)(int64_t)*state * 0x1p-63;
    }
}

static rb_matrix filled(rb_work *w, int64_t rows, int64_t cols, uint64_t *state)
{
    const rb_matrix m = rb_matrix_new(w, rows, cols);
    fill(&m, state);
    return m;
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* A head of x, normed if it has weights, its pair j turned by turn[j]. */
static void head_at(const rb_config *c, const rb_matrix *w, const double *x, const double *norm,
                    const double *turn, double *to)
{
    for (int64_t i = 0; i < w->rows; i++)
        to[i] = dot(rb_row(w, i), x, w->cols);
    const double size = sqrt(dot(to, to, w->rows) / (double)w->rows);
    for (int64_t i = 0; norm && i < w->rows; i++)
        to[i] *= norm[i] / size;
    for (int64_t j = 0; j < c->d_rot / 2; j++) {
        const rb_pair_columns p = rb_pair_of(c, j);
        const double a = to[p.a], b = to[p.b];
        to[p.a] = a * cos(turn[j]) - b * sin(turn[j]);
        to[p.b] = a * sin(turn[j]) + b * cos(turn[j]);
    }
}

/* Scores and outputs of all heads on a few inputs and angles. */
static void results(const rb_head_group *g, double *to)
{
    uint64_t state = 5;
    double in[2 * IN], turn[ROT / 2], none[ROT / 2] = { 0 }, q[D], k[D], v[DV];
    const rb_matrix inputs = { in, 2, IN }, turns = { turn, 1, ROT / 2 };
    for (int n = 0; n < 5; n++) {
        fill(&inputs, &state);
        fill(&turns, &state);
        for (int h = 0; h < N_KV * N_Q; h++) {
            head_at(g->c, &g->q[h], in, g->q_norm, none, q);
            head_at(g->c, &g->k[h / N_Q], in + IN, g->k_norm, turn, k);
            *to++ = dot(q, k, D);
            for (int i = 0; i < DV; i++)
                v[i] = dot(rb_row(&g->v[h / N_Q], i), in, IN);
            *to++ = dot(rb_row(&g->o[h], 0), v, DV);
            *to++ = dot(rb_row(&g->o[h], 2), v, DV);
        }
    }
}

enum { N_RESULT = 5 * N_KV * N_Q * 3 };

/* The length of the sum of all heads: of K's rotated rows and of V. */
static double length(const rb_head_group *g, bool keys)
{
    double sum = 0;
    for (int64_t i = 0; i < (keys ? ROT * IN : DV * IN); i++) {
        double x = 0;
        for (int h = 0; h < N_KV; h++)
            x += (keys ? g->k : g->v)[h].at[i];
        sum += x * x;
    }
    return sum;
}

static void expect_invariant(rb_rope_pairing pairing, const double *q_norm, const double *k_norm)
{
    rb_config c = small;
    rb_error err;
    rb_work w = { .err = &err };
    rb_matrix q[N_KV * N_Q], o[N_KV * N_Q], k[N_KV], v[N_KV];
    double before[N_RESULT], after[N_RESULT];
    uint64_t state = 77;
    c.rope_pairing = pairing;
    for (int h = 0; h < N_KV * N_Q; h++) {
        q[h] = filled(&w, D, IN, &state);
        o[h] = filled(&w, 3, DV, &state);
    }
    for (int h = 0; h < N_KV; h++) {
        k[h] = filled(&w, D, IN, &state);
        v[h] = filled(&w, DV, IN, &state);
    }
    rb_head_group g = { &c, k_norm, q_norm, N_KV, N_Q, k, v, q, o };
    results(&g, before);
    const double keys = length(&g, true), values = length(&g, false);
    rb_attn_align(&w, &g);
    cr_assert_eq(w.status, RB_OK, "%s", err.text);
    results(&g, after);
    for (int i = 0; i < N_RESULT; i++)
        cr_expect_leq(fabs(after[i] - before[i]), 1e-12, "result %d: %.15g, was %.15g", i, after[i],
                      before[i]);
    cr_expect_gt(length(&g, true), keys * 1.02);
    cr_expect_gt(length(&g, false), values * 1.1);
    rb_work_free(&w);
}

Test(attn_loss, alignment_changes_neither_scores_nor_outputs)
{
    double uneven[D], even[D];
    for (int i = 0; i < D; i++) {
        uneven[i] = 1 + .1 * i;
        even[i] = 2;
    }
    expect_invariant(RB_ROPE_NORM, NULL, NULL);
    expect_invariant(RB_ROPE_NEOX, NULL, NULL);
    expect_invariant(RB_ROPE_NORM, uneven, uneven);
    expect_invariant(RB_ROPE_NORM, uneven, even);
    expect_invariant(RB_ROPE_NORM, even, even);
}

/* Scores of all components that rotate together are those of the heads; so are the components that
 * stand still where there is no distance. */
static void expect_same_scores(rb_rope_pairing pairing, int64_t n_kept, bool distant, bool yarn)
{
    rb_model m = { .config = small };
    rb_config t = small;
    rb_error err;
    rb_work w = { .err = &err };
    uint64_t state = 3;
    double x[2 * IN];
    m.config.rope_pairing = t.rope_pairing = pairing;
    t.d_rot = 2 * n_kept;
    if (yarn) /* cos and sin of q and of k are then larger than 1 */
        m.config.rope_scaling = (rb_rope_scaling){ RB_SCALING_YARN, 4, 16, 32, 1, 1, 0 };
    const double by = rb_rope_magnitude(&m.config) * rb_rope_magnitude(&m.config);
    const rb_matrix inputs = { x, 2, IN }, k = filled(&w, N_KV * D, IN, &state);
    const rb_matrix q = filled(&w, D, IN, &state);
    fill(&inputs, &state);
    const rb_rotation r = rb_rotation_find(&w, &m, &k, &k, n_kept);
    const rb_matrix turning = rb_rotation_keys(&w, &r, &t, &k, true);
    const rb_matrix still = rb_rotation_keys(&w, &r, &t, &k, false);
    cr_assert_eq(w.status, RB_OK, "%s", err.text);
    for (int h = 0; h < N_KV; h++) {
        const rb_matrix q_rot = rb_rotation_queries(&w, &r, &t, &q, h);
        const rb_matrix expand = rb_rotation_still(&w, &r, h);
        double turn[N_KV * ROT / 2], own[ROT / 2], none[N_KV * ROT / 2] = { 0 };
        double a[N_KV * ROT], b[N_KV * ROT], qh[D], kh[D], got = 0;
        for (int j = 0; j < ROT / 2; j++)
            own[j] = distant ? .3 + j : 0;
        for (int64_t i = 0; i < n_kept; i++)
            turn[i] = own[r.kept[i].pair];
        head_at(&t, &q_rot, x, NULL, none, a);
        head_at(&t, &turning, x + IN, NULL, turn, b);
        got = by * dot(a, b, 2 * n_kept);
        head_at(&m.config, &q, x, NULL, none, qh);
        for (int64_t i = 0; i < still.rows; i++)
            got += dot(rb_row(&still, i), x + IN, IN) * dot(rb_row(&expand, i), qh, D);
        const rb_matrix head = rb_matrix_rows(&k, h * D, D);
        head_at(&m.config, &head, x + IN, NULL, own, kh);
        const double want = by * dot(qh, kh, ROT) + dot(qh + ROT, kh + ROT, D - ROT);
        cr_expect_leq(fabs(got - want), 1e-12, "head %d, %d kept: %.15g, not %.15g", h, (int)n_kept,
                      got, want);
    }
    rb_work_free(&w);
}

Test(attn_loss, components_that_rotate_together_give_the_same_scores)
{
    for (int neox = 0; neox < 2; neox++) {
        const rb_rope_pairing pairing = neox ? RB_ROPE_NEOX : RB_ROPE_NORM;
        expect_same_scores(pairing, N_KV * ROT / 2, true, false);
        expect_same_scores(pairing, 5, false, false);
        expect_same_scores(pairing, 5, false, true);
    }
}
