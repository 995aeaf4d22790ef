/* Claim 2 by rates alone: where the paper's formula has its peak over layers if a process runs at
 * the rates that were printed, or at a user's, for each workload. Judges nothing: rates are of
 * other machines. Refuses to guess sizes: they are those of the preset in its type. Read next:
 * proxy.h. */
#include "claims.h"

#include <math.h>

enum { N_DEPTH = 32 }; /* 2, 4 .. 64, as in the paper's figure */

/* Layers at which the paper's text has peaks, and what L* may be off by to lie there. */
static const double stated_from = 3, stated_to = 5, off = 0.1;

typedef struct peaks {
    int n, inside;       /* of rows and workloads; of them, with a peak L* */
    int stated;          /* ... where the paper states it, within 10 % */
    double from, to;     /* L* */
    int64_t least, most; /* the depth with most */
} peaks;

static bool sizes_of(const rb_rated *r, rb_proxy_sizes *sizes)
{
    const rb_model_params dry = { .dry = true, .mix = rb_mix_by_name(r->type) };
    rb_model *model = NULL;
    rb_error err;
    const bool opened = rb_model_open(&model, r->model, &dry, &err) == RB_OK;
    if (opened)
        *sizes = rb_proxy_sizes_of(model);
    rb_model_close(model);
    return opened;
}

static void put_workload(rb_sheet *g, peaks *p, const rb_rates *rates, const rb_rated *r,
                         const rb_proxy_sizes *sizes, rb_workload w)
{
    const rb_proxy_law law =
        rb_proxy_law_of_rates(sizes, w, r->rate[w], rates->n_reps, rates->resident_bytes);
    int64_t depth[N_DEPTH];
    for (int i = 0; i < N_DEPTH; i++)
        depth[i] = 2 * i + 2;
    const int64_t best = depth[rb_proxy_law_best(&law, depth, N_DEPTH)];
    const bool stated = law.peak >= stated_from * (1 - off) && law.peak <= stated_to * (1 + off);
    rb_sheet_put(g, 0, "%s", r->device);
    rb_sheet_put(g, 0, "%s", r->model);
    rb_sheet_put(g, 0, "%s", r->type);
    rb_sheet_put(g, 0, "%s", rb_workload_infos[w].name);
    rb_sheet_put(g, 0, "%g / %g", r->rate[w].prefill, r->rate[w].decode);
    rb_sheet_number(g, 0, law.peak);
    rb_sheet_put(g, 0, "%lld", (long long)best);
    if (isfinite(law.peak))
        rb_sheet_put(g, 0, stated ? "yes" : law.peak < stated_from ? "below" : "above");
    else
        rb_sheet_number(g, 0, NAN);
    p->stated += stated;
    p->least = p->n && p->least < best ? p->least : best;
    p->most = p->n && p->most > best ? p->most : best;
    p->n++;
    p->inside += isfinite(law.peak);
    p->from = fmin(p->from, law.peak);
    p->to = fmax(p->to, law.peak);
}

void rb_claim_layers_rated(rb_paper_claim *claim, rb_sheet *g, const rb_rates *rates)
{
    static const char *const head[] = { "device", "model", "type", "workload" };
    peaks p = { .from = INFINITY, .to = -INFINITY };
    for (int i = 0; i < 4; i++)
        rb_sheet_column(g, head[i], false);
    rb_sheet_column(g,
                    rates->given ? "tok/s as given, prefill / decode"
                                 : "the paper's tok/s, prefill / decode",
                    true);
    rb_sheet_column(g, "L*", true);
    rb_sheet_column(g, "most at, of 2, 4 .. 64", true);
    rb_sheet_column(g, "L* in 3 to 5 within 10 %", false);
    for (const rb_rated *r = rates->at; r < rates->at + rates->n; r++) {
        rb_proxy_sizes sizes;
        const bool known = sizes_of(r, &sizes);
        for (int w = 0; known && w < RB_N_WORKLOAD; w++)
            put_workload(g, &p, rates, r, &sizes, (rb_workload)w);
    }
    if (p.inside)
        rb_claim_note(
            claim,
            "%s rates alone, through the paper's formula with the weight bytes of the models, "
            "give a peak in %d of %d cases, at L* = %.3g to %.3g layers; of 2, 4 .. 64 "
            "layers most is at %lld to %lld. The paper states %g to %g layers: in %d of %d L* lies "
            "there within %.0f %% (%.3g to %.3g).",
            rates->given ? "The given" : "The paper's own", p.inside, p.n, p.from, p.to,
            (long long)p.least, (long long)p.most, stated_from, stated_to, p.stated, p.inside,
            100 * off, stated_from * (1 - off), stated_to * (1 + off));
}
