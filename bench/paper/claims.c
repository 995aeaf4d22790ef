/* What the claims have in common: the paper's words, sweeps over layers, notes.
 * Refuses to judge: that is claim_*.c's, one file a claim.
 * Read next: claims.h. */
#include "claims.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const rb_verdict_name[RB_N_VERDICT] = { "not testable here", "holds", "holds in part",
                                                    "artefact", "does not hold" };

/* In our words. */
static const char *const says[RB_N_CLAIM] = {
    [RB_CLAIM_CONTEXT] = ("Context length decides operational intensity and performance: long "
                          "prompts stand near the ridge, long generations deep in the "
                          "memory-bound region"),
    [RB_CLAIM_LAYERS] = "Operational intensity peaks at three to five layers and falls beyond",
    [RB_CLAIM_TYPES] = "Quantisation helps work that memory bounds most",
    [RB_CLAIM_ATTENTION] = "Ways of attention are ordered MLA > MHA > GQA",
    [RB_CLAIM_RIDGES] = "Ridge points differ across devices: one model cannot suit them all",
    [RB_CLAIM_CARRIES] = "What an architecture gains carries across platforms",
};

void rb_claim_note(rb_paper_claim *c, const char *fmt, ...)
{
    va_list args;
    if (c->n_note == RB_CLAIM_NOTES)
        return;
    va_start(args, fmt);
    vsnprintf(c->note[c->n_note++], sizeof *c->note, fmt, args);
    va_end(args);
}

void rb_claims_judge(rb_paper_claim claim[RB_N_CLAIM], const rb_evidence *e, const rb_rates *rates)
{
    for (int i = 0; i < RB_N_CLAIM; i++)
        claim[i] = (rb_paper_claim){ .says = says[i] };
    rb_claim_context(&claim[RB_CLAIM_CONTEXT], e, rates);
    rb_claim_layers(&claim[RB_CLAIM_LAYERS], e, rates);
    rb_claim_types(&claim[RB_CLAIM_TYPES], e);
    rb_claim_attention(&claim[RB_CLAIM_ATTENTION], e);
    rb_claim_ridges(&claim[RB_CLAIM_RIDGES], e);
    rb_claim_carries(&claim[RB_CLAIM_CARRIES], e);
}

void rb_claims_free(rb_paper_claim claim[RB_N_CLAIM])
{
    for (int i = 0; i < RB_N_CLAIM; i++)
        for (int g = 0; g < RB_CLAIM_SHEETS; g++)
            rb_sheet_free(&claim[i].sheet[g]);
}

/* ---- sweeps ---- */

static bool same_but_layers(const rb_paper_row *a, const rb_paper_row *b)
{
    return a->part == b->part && rb_same_subject(a, b) && a->n_prompt == b->n_prompt &&
           a->n_gen == b->n_gen && a->n_depth == b->n_depth;
}

static void add_depth(rb_depths *d, const rb_paper_row *r)
{
    int to = d->n;
    while (to > 0 && d->at[to - 1]->n_layer >= r->n_layer)
        to--;
    const bool again = to < d->n && d->at[to]->n_layer == r->n_layer;
    if (!again && d->n == RB_MOST_DEPTHS)
        return;
    for (int i = d->n; i > to && !again; i--)
        d->at[i] = d->at[i - 1];
    d->at[to] = r;
    d->n += !again;
}

/* What the proxy's memory and time say of its peak, and where it is among the depths. */
static void find_proxy(rb_depths *d)
{
    rb_proxy_point p[RB_MOST_DEPTHS];
    int64_t layers[RB_MOST_DEPTHS];
    rb_error err;
    d->proxy_best = d->law_best = -1;
    for (int i = 0; i < d->n; i++) {
        const rb_row_proxy *x = &d->at[i]->proxy;
        if (!isfinite(x->oi) || !isfinite(x->peak_bytes) || !isfinite(x->seconds))
            return;
        p[i] = (rb_proxy_point){ (double)d->at[i]->n_layer, x->peak_bytes, x->seconds };
        layers[i] = d->at[i]->n_layer;
    }
    d->proxy_best = 0;
    for (int i = 1; i < d->n; i++)
        if (d->at[i]->proxy.oi > d->at[d->proxy_best]->proxy.oi)
            d->proxy_best = i;
    d->has_law = rb_proxy_law_fit(&d->law, p, d->n, &err) == RB_OK;
    if (d->has_law && isfinite(d->law.peak))
        d->law_best = rb_proxy_law_best(&d->law, layers, d->n);
}

bool rb_depths_of(const rb_evidence *e, const rb_paper_row *first, rb_depths *d)
{
    rb_trend_point p[RB_MOST_DEPTHS];
    *d = (rb_depths){ .n = 0 };
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++) {
        if (!same_but_layers(r, first))
            continue;
        if (r < first)
            return false;
        add_depth(d, r);
    }
    for (int i = 0; i < d->n; i++) {
        p[i] = (rb_trend_point){ d->at[i]->n_layer, d->at[i]->flops, d->at[i]->bytes, 0 };
        if (rb_oi_compare(&p[i], &p[d->best]) > 0)
            d->best = i;
    }
    d->trend = rb_trend_of(p, d->n);
    find_proxy(d);
    return true;
}

bool rb_depths_peak_inside(const rb_depths *d, int best)
{
    return best > 0 && best < d->n - 1;
}

/* Bounds that overlap; of what has none: false. */
static bool tied(const rb_paper_row *a, const rb_paper_row *b)
{
    return a->proxy.bounds.lo <= b->proxy.bounds.hi && a->proxy.bounds.hi >= b->proxy.bounds.lo;
}

bool rb_depths_proxy_inside(const rb_depths *d)
{
    const int best = d->proxy_best;
    return rb_depths_peak_inside(d, best) && !tied(d->at[best], d->at[0]) &&
           !tied(d->at[best], d->at[d->n - 1]);
}

rb_law_match rb_depths_match(const rb_depths *d)
{
    if (d->proxy_best < 0 || d->law_best < 0)
        return RB_LAW_NONE;
    const rb_paper_row *most = d->at[d->proxy_best], *law = d->at[d->law_best];
    return abs(d->law_best - d->proxy_best) <= 1                    ? RB_LAW_NEAR
           : tied(most, law)                                        ? RB_LAW_TIED
           : rb_span_apart(&most->proxy.bounds, &law->proxy.bounds) ? RB_LAW_APART
                                                                    : RB_LAW_UNSURE;
}
