/* The proxy over layers: lines of memory and time by least squares, where the ratio of them has its
 * one maximum and how sure that is, and both lines from rates alone.
 * Refuses to fit what does not determine a line; a line that has no positive overhead has no peak.
 * Read next: proxy.h, data.h (the paper's rates). */
#include "../bench.h"

#include <math.h>

static const double z_95 = 1.959963984540054;

const rb_workload_info rb_workload_infos[RB_N_WORKLOAD] = {
    [RB_SISO] = { "siso", 128, 128 },
    [RB_LISO] = { "liso", 4096, 128 },
    [RB_SILO] = { "silo", 128, 4096 },
    [RB_LILO] = { "lilo", 4096, 4096 },
};

/* ---- lines ---- */

typedef double value_fn(const rb_proxy_point *p);
static double memory_of(const rb_proxy_point *p)
{
    return p->peak_bytes;
}
static double time_of(const rb_proxy_point *p)
{
    return p->runtime_s;
}

static rb_proxy_line line_of(const rb_proxy_point *p, int n, value_fn *value)
{
    double x = 0, y = 0, xx = 0, xy = 0, rest = 0;
    for (int i = 0; i < n; i++) {
        x += p[i].n_layer / n;
        y += value(&p[i]) / n;
    }
    for (int i = 0; i < n; i++) {
        xx += (p[i].n_layer - x) * (p[i].n_layer - x);
        xy += (p[i].n_layer - x) * (value(&p[i]) - y);
    }
    rb_proxy_line l = { .v0 = y - xy / xx * x, .v1 = xy / xx };
    for (int i = 0; i < n; i++) {
        const double off = value(&p[i]) - l.v0 - l.v1 * p[i].n_layer;
        rest += off * off / (n - 2);
    }
    l.se1 = sqrt(rest / xx);
    l.se0 = sqrt(rest * (1.0 / n + x * x / xx));
    l.cov = -rest * x / xx;
    return l;
}

static int n_depths(const rb_proxy_point *p, int n)
{
    int different = 0;
    for (int i = 0; i < n; i++) {
        bool again = false;
        for (int k = 0; k < i; k++)
            again |= p[k].n_layer == p[i].n_layer;
        different += !again;
    }
    return different;
}

rb_status rb_proxy_law_fit(rb_proxy_law *law, const rb_proxy_point *p, int n, rb_error *err)
{
    const int different = n_depths(p, n);
    if (different < 3)
        return rb_fail(err, RB_ERR_ARGUMENT, "a law over layers needs 3 depths, here are %d",
                       different);
    for (int i = 0; i < n; i++)
        if (!isfinite(p[i].n_layer) || !isfinite(p[i].peak_bytes) || !isfinite(p[i].runtime_s))
            return rb_fail(err, RB_ERR_ARGUMENT, "point %d of a law over layers is no number", i);
    *law = (rb_proxy_law){ .memory = line_of(p, n, memory_of), .time = line_of(p, n, time_of) };
    rb_proxy_law_peak(law, n);
    return RB_OK;
}

/* ---- the peak ---- */

/* Of the logarithm of v0 / v1. */
static double variance(const rb_proxy_line *l)
{
    const double r0 = l->se0 / l->v0, r1 = l->se1 / l->v1;
    return fmax(0, r0 * r0 + r1 * r1 - 2 * l->cov / (l->v0 * l->v1));
}

void rb_proxy_law_peak(rb_proxy_law *law, int n_points)
{
    const rb_proxy_line *m = &law->memory, *t = &law->time;
    law->peak = law->peak_lo = law->peak_hi = NAN;
    if (!(m->v0 > 0 && m->v1 > 0 && t->v0 > 0 && t->v1 > 0))
        return;
    const double se = sqrt(variance(m) + variance(t)) / 2;
    const double far = n_points > 2 ? rb_t_quantile(z_95, n_points - 2) * se : 0;
    law->peak = sqrt(m->v0 / m->v1 * (t->v0 / t->v1));
    law->peak_lo = law->peak * exp(-far);
    law->peak_hi = law->peak * exp(far);
}

double rb_proxy_law_oi(const rb_proxy_law *law, double flops, double n_layer)
{
    const rb_proxy_line *m = &law->memory, *t = &law->time;
    return flops * n_layer / ((m->v0 + n_layer * m->v1) * (t->v0 + n_layer * t->v1));
}

int rb_proxy_law_best(const rb_proxy_law *law, const int64_t *n_layer, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (rb_proxy_law_oi(law, 1, (double)n_layer[i]) >
            rb_proxy_law_oi(law, 1, (double)n_layer[best]))
            best = i;
    return best;
}

/* ---- of rates ---- */

static double bytes_of(const rb_view *v)
{
    const int64_t n = v->n[0] * v->n[1] * v->n[2] * v->n[3];
    return v->buffer ? (double)rb_row_bytes(v->dtype, n) : 0;
}

rb_proxy_sizes rb_proxy_sizes_of(const rb_model *m)
{
    const double embedding = bytes_of(&m->tok_embd);
    const double head = m->config.tied ? embedding : bytes_of(&m->output);
    const double around = embedding + (m->config.tied ? 0 : head);
    const double others =
        bytes_of(&m->out_norm) + bytes_of(&m->out_norm_b) + bytes_of(&m->rope_freqs);
    double all = 0;
    for (int d = 0; d < RB_N_DTYPE; d++)
        all += (double)m->bytes_of[d];
    return (rb_proxy_sizes){ .n_layer = m->config.n_layer,
                             .layer = (all - around - others) / (double)m->config.n_layer,
                             .read_around = head,
                             .around = around };
}

rb_proxy_law rb_proxy_law_of_rates(const rb_proxy_sizes *s, rb_workload w, rb_proxy_rate rate,
                                   int n_reps, double resident_bytes)
{
    const rb_workload_info *info = &rb_workload_infos[w];
    const double step = 1 / rate.decode, n_steps = n_reps * (double)info->n_gen + 1;
    const double prompt = (double)info->n_prompt / rate.prefill * (n_reps + 1);
    const double read = s->read_around + (double)s->n_layer * s->layer;
    rb_proxy_law law = {
        .memory = { .v0 = resident_bytes + s->around, .v1 = s->layer },
        .time = { .v0 = n_steps * step * s->read_around / read,
                  .v1 = n_steps * step * s->layer / read + prompt / (double)s->n_layer },
    };
    rb_proxy_law_peak(&law, 0);
    return law;
}
