/* Synthetic attention: numbers of a fixed generator, made orthogonal where spectra are to be known.
 * Refuses to be random: every run has the same figures.
 * Read next: synthetic.h. */
#include "synthetic.h"

#include "ref_attn.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

/* Normal by the sum of twelve uniforms. */
static double normal(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(*state >> 11) * 0x1p-53;
    }
    return sum;
}

/* n orthonormal rows of m columns: Gram-Schmidt, twice. */
static double *orthonormal(int64_t n, int64_t m, uint64_t *state)
{
    double *a = malloc((size_t)(n * m) * sizeof *a);
    for (int64_t i = 0; i < n * m; i++)
        a[i] = normal(state);
    for (int64_t i = 0; i < n; i++)
        for (int pass = 0; pass < 2; pass++) {
            double *x = a + i * m, size = 0;
            for (int64_t j = 0; j < i; j++) {
                double dot = 0;
                for (int64_t k = 0; k < m; k++)
                    dot += x[k] * a[j * m + k];
                for (int64_t k = 0; k < m; k++)
                    x[k] -= dot * a[j * m + k];
            }
            for (int64_t k = 0; k < m; k++)
                size += x[k] * x[k];
            for (int64_t k = 0; k < m; k++)
                x[k] /= sqrt(size);
        }
    return a;
}

/* [W_k; W_v] = U diag(s) V^T; as large as a matrix of normals over sqrt(H). */
static void set_decaying(rb_layer *l, int64_t rows_k, int64_t rows_v, uint64_t seed)
{
    const int64_t m = rows_k + rows_v, n = m < SYN_H ? m : SYN_H;
    double *u = orthonormal(n, m, &seed), *v = orthonormal(n, SYN_H, &seed), power = 0;
    for (int64_t i = 0; i < n; i++)
        power += exp(-(double)i / 8);
    const double by = sqrt((double)m / power);
    for (int64_t r = 0; r < m; r++) {
        float *row =
            (float *)(r < rows_k ? rb_at(&l->wk, 0, 0, r) : rb_at(&l->wv, 0, 0, r - rows_k));
        for (int64_t c = 0; c < SYN_H; c++) {
            double sum = 0;
            for (int64_t i = 0; i < n; i++)
                sum += u[i * m + r] * exp(-(double)i / 16) * v[i * SYN_H + c];
            row[c] = (float)(by * sum);
        }
    }
    free(u);
    free(v);
}

static void set_normal(const rb_view *w, uint64_t seed)
{
    float *x = w->buffer->data;
    for (int64_t i = 0; i < rb_view_elements(w); i++)
        x[i] = (float)(normal(&seed) / sqrt((double)w->n[3]));
}

rb_model *synthetic_model(int64_t n_head_kv, bool decay)
{
    rb_config c = { .name = "synthetic",
                    .arch = RB_ARCH_LLAMA,
                    .n_layer = SYN_LAYERS,
                    .n_embd = SYN_H,
                    .n_ff = 32,
                    .n_vocab = 32,
                    .n_head = SYN_HEADS,
                    .n_head_kv = n_head_kv,
                    .d_head_k = SYN_D,
                    .d_head_v = SYN_D,
                    .d_rot = SYN_D,
                    .n_ctx_train = SYN_TOKENS,
                    .norm_eps = 1e-5f,
                    .rope_base = 1e4f };
    rb_model *m;
    rb_error err;
    cr_assert_eq(rb_model_synth(&m, &c, RB_F32, 1, false, &err), RB_OK, "%s", err.text);
    for (int64_t l = 0; l < SYN_LAYERS; l++) {
        rb_layer *w = &m->layer[l];
        const rb_view *all[] = { &w->wq, &w->wk, &w->wv, &w->wo };
        for (size_t i = 0; i < 4; i++)
            set_normal(all[i], 17 * (uint64_t)l + i + 1);
        if (decay)
            set_decaying(w, n_head_kv * SYN_D, n_head_kv * SYN_D, 99 + (uint64_t)l);
    }
    return m;
}

double *synthetic_inputs(int64_t layer, bool decay)
{
    uint64_t state = 1234567 + (uint64_t)layer;
    double *x = malloc((size_t)(SYN_TOKENS * SYN_H) * sizeof *x);
    for (int64_t t = 0; t < SYN_TOKENS; t++) {
        double square = 0, *row = x + t * SYN_H;
        for (int64_t i = 0; i < SYN_H; i++) {
            row[i] = normal(&state) * (decay ? exp(-(double)i / 64) : 1);
            square += row[i] * row[i] / SYN_H;
        }
        for (int64_t i = 0; i < SYN_H; i++)
            row[i] /= sqrt(square);
    }
    return x;
}

double synthetic_loss(const rb_model *converted, const rb_model *original, bool decay)
{
    const int64_t n = SYN_TOKENS * SYN_H;
    double *a = malloc((size_t)n * sizeof *a), *b = malloc((size_t)n * sizeof *b), sum = 0;
    for (int64_t l = 0; l < SYN_LAYERS; l++) {
        double *x = synthetic_inputs(l, decay);
        ref_attention(converted, l, x, SYN_TOKENS, a);
        ref_attention(original, l, x, SYN_TOKENS, b);
        sum += ref_relative(a, b, n) / SYN_LAYERS;
        free(x);
    }
    free(a);
    free(b);
    return sum;
}
