/* Rotary angles and score scales beyond the trained context: linear scaling and YaRN (Peng et al.
 * 2023), as numbers of a model; tables are made of them by the engine.
 * Refuses nothing: config.c has checked the numbers. Read next: ../kernels/tables.h. */
#include "models.h"

#include <math.h>

/* The pair whose angle turns so often within the trained context (YaRN, eq. 19 solved for j). */
static double pair_of(const rb_config *c, double turns)
{
    return (double)rb_config_d_freq(c) *
           log((double)c->rope_scaling.n_ctx_train / (turns * 2 * M_PI)) /
           (2 * log((double)c->rope_base));
}

/* Slow pairs are interpolated, fast ones left as they are, those between are blended. */
static double yarn_divisor(const rb_config *c, int64_t j)
{
    const rb_rope_scaling *r = &c->rope_scaling;
    const double lo = fmax(0, floor(pair_of(c, (double)r->beta_fast)));
    const double hi = fmin((double)rb_config_d_freq(c) - 1, ceil(pair_of(c, (double)r->beta_slow)));
    const double at = ((double)j - lo) / fmax(0.001, hi - lo);
    const double keep = 1 - fmin(fmax(at, 0), 1);
    return 1 / ((1 - keep) / (double)r->factor + keep);
}

double rb_rope_divisor(const rb_model *m, int64_t j)
{
    const rb_view *f = &m->rope_freqs;
    const double own = f->buffer ? (double)((const float *)rb_at(f, 0, 0, 0))[j] : 1;
    switch (m->config.rope_scaling.kind) {
    case RB_SCALING_LINEAR:
        return own * (double)m->config.rope_scaling.factor;
    case RB_SCALING_YARN:
        return own * yarn_divisor(&m->config, j);
    default:
        return own;
    }
}

double rb_rope_step(const rb_model *m, int64_t layer, int64_t j)
{
    const rb_config *c = &m->config;
    const int64_t pair =
        c->d_freq ? (int64_t)((const float *)rb_at(&m->layer[layer].rope_pairs, 0, 0, 0))[j] : j;
    return pow((double)c->rope_base, -2.0 * (double)pair / (double)rb_config_d_freq(c)) /
           rb_rope_divisor(m, pair);
}

double rb_rope_magnitude(const rb_config *c)
{
    const rb_rope_scaling *r = &c->rope_scaling;
    if (r->kind != RB_SCALING_YARN || c->arch == RB_ARCH_DEEPSEEK2)
        return 1;
    return (double)r->attn_factor * (1 + 0.1 * log((double)r->factor));
}

/* deepseek2 has YaRN's factor in the scores: its files give 0.1 mscale_all_dim. */
float rb_score_scale(const rb_config *c)
{
    const rb_rope_scaling *r = &c->rope_scaling;
    double m = 1;
    if (r->kind == RB_SCALING_YARN && c->arch == RB_ARCH_DEEPSEEK2)
        m = (double)r->attn_factor * (1 + (double)r->log_mul * log((double)r->factor));
    return c->attn_scale > 0 ? (float)(m * m * (double)c->attn_scale)
                             : (float)(m * m / sqrt((double)c->d_head_k));
}
