/* Claim 2, the peak at few layers: exact OI over layers, compared on integers, beside what the
 * proxy says and where the lines of its memory and time put the one maximum that it has.
 * Refuses sweeps of fewer than three depths. Read next: claims.h, proxy.h. */
#include "claims.h"

#include <math.h>
#include <stdio.h>

enum { CLAIMED_FROM = 3, CLAIMED_TO = 5 }; /* layers */

/* Verdicts are on what the claim says, a peak and a fall beyond it. Exact counts show that where
 * the paper has it; that the proxy shows it and exact counts do not is an artefact at whatever
 * depth, since the depth is the machine's: sqrt((M0/M1)(T0/T1)). */

typedef struct counted {
    int sweeps, claimed, inside, equal_inside; /* exact: peaks as claimed; anywhere inside; ... of
                                                  equal layers */
    int proxies, proxy_inside, proxy_claimed;
    int laws, law[RB_N_LAW]; /* peaks of proxies that have one inside, by where the law has it */
    int only_proxy;          /* sweeps in which the proxy peaks inside and exact OI does not */
    double from, to;         /* layers of the proxy's peaks */
    double law_from, law_to; /* L*, and its intervals: */
    double law_lo, law_hi;
} counted;

static const char *trend_word(const rb_trend *t)
{
    static const char *const word[] = { [RB_TREND_NONE] = "one depth",
                                        [RB_TREND_FLAT] = "level",
                                        [RB_TREND_RISES] = "rises",
                                        [RB_TREND_FALLS] = "falls",
                                        [RB_TREND_TURNS] = "turns" };
    return word[t->kind];
}

static void put_exact(rb_sheet *g, const rb_depths *d)
{
    const rb_paper_row *a = d->at[0], *b = d->at[d->n - 1], *best = d->at[d->best];
    rb_sheet_put(g, a->id, "%lld: %.6g", (long long)a->n_layer, a->oi);
    rb_sheet_put(g, b->id, "%lld: %.6g", (long long)b->n_layer, b->oi);
    if (d->trend.kind == RB_TREND_TURNS)
        rb_sheet_put(g, best->id, "turns, most at %lld (%.6g)", (long long)best->n_layer, best->oi);
    else
        rb_sheet_put(g, best->id, "%s%s", d->trend.strict ? "strictly " : "",
                     trend_word(&d->trend));
    rb_sheet_put(g, 0, "%s", d->trend.equal_layers ? "equal" : "unequal");
}

/* "16: 0.285 [0.236, 0.338]", or a dash. */
static void put_proxy_at(rb_sheet *g, const rb_depths *d, int i)
{
    char text[RB_SHEET_CELL];
    if (i < 0)
        rb_sheet_number(g, 0, NAN);
    else
        rb_sheet_put(g, d->at[i]->id, "%lld: %.120s", (long long)d->at[i]->n_layer,
                     rb_span_text(&d->at[i]->proxy.bounds, text, sizeof text));
}

static void put_proxy(rb_sheet *g, const rb_depths *d)
{
    static const char *const match[RB_N_LAW] = { [RB_LAW_NONE] = "\xe2\x80\x93",
                                                 [RB_LAW_NEAR] = "within one depth",
                                                 [RB_LAW_TIED] = "not told apart",
                                                 [RB_LAW_APART] = "apart",
                                                 [RB_LAW_UNSURE] = "further off, no bounds" };
    put_proxy_at(g, d, d->proxy_best);
    rb_sheet_span(g, 0,
                  &(rb_span){ d->has_law ? d->law.peak : NAN, d->law.peak_lo, d->law.peak_hi });
    put_proxy_at(g, d, d->law_best);
    rb_sheet_put(g, 0, "%s", match[rb_depths_match(d)]);
}

/* Whether the proxy of a sweep before is of the same process: a prompt and what came after it. */
static bool counted_before(const rb_evidence *e, const rb_paper_row *first)
{
    for (const rb_paper_row *b = e->row; b < first; b++)
        if (b->part == first->part && rb_same_subject(b, first) && b->decode != first->decode &&
            b->n_layer == first->n_layer && b->proxy.oi == first->proxy.oi)
            return true;
    return false;
}

/* Whether the claimed layers are among those at which the peak may be: from the depth before it to
 * the one after it. */
static bool is_near_claimed(const rb_depths *d, int best)
{
    return d->at[best + 1]->n_layer >= CLAIMED_FROM && d->at[best - 1]->n_layer <= CLAIMED_TO;
}

static void count_law(counted *c, const rb_depths *d)
{
    if (d->law_best < 0)
        return;
    c->laws++;
    c->law[rb_depths_match(d)]++;
    c->law_from = fmin(c->law_from, d->law.peak);
    c->law_to = fmax(c->law_to, d->law.peak);
    c->law_lo = fmin(c->law_lo, d->law.peak_lo);
    c->law_hi = fmax(c->law_hi, d->law.peak_hi);
}

static void count(counted *c, const rb_evidence *e, const rb_depths *d)
{
    const int64_t at = d->at[d->best]->n_layer;
    const bool inside = rb_depths_peak_inside(d, d->best);
    const bool proxy_inside = rb_depths_proxy_inside(d);
    c->sweeps++;
    c->claimed += inside && at >= CLAIMED_FROM && at <= CLAIMED_TO;
    c->inside += inside;
    c->equal_inside += inside && d->trend.equal_layers;
    c->only_proxy += proxy_inside && !inside;
    if (d->proxy_best < 0 || counted_before(e, d->at[0]))
        return;
    c->proxies++;
    if (!proxy_inside)
        return;
    const double layers = (double)d->at[d->proxy_best]->n_layer;
    c->proxy_inside++;
    c->proxy_claimed += is_near_claimed(d, d->proxy_best);
    c->from = fmin(c->from, layers);
    c->to = fmax(c->to, layers);
    count_law(c, d);
}

static rb_paper_verdict verdict_of(const counted *c)
{
    return !c->sweeps                ? RB_UNTESTED
           : c->claimed == c->sweeps ? RB_HOLDS
           : c->claimed              ? RB_IN_PART
           : c->only_proxy           ? RB_ARTEFACT
                                     : RB_FAILS;
}

static void explain_law(rb_paper_claim *claim, const counted *c)
{
    rb_claim_note(
        claim,
        "The proxy is FLOPs of the prompt over peak memory times runtime. Lines of memory "
        "and time over layers put its peak at L* = sqrt((M0/M1)(T0/T1)), here %.3g to "
        "%.3g layers (95 %%: %.3g to %.3g). The depth measured at which these lines have "
        "most is within one depth of the largest of the proxy's OI in %d of %d. In %d it "
        "is further off, but OI there and the largest are not told apart: their bounds, "
        "with all times at the worse ends of their intervals, overlap. In %d they are "
        "apart, in %d there are no bounds. On another machine L* is elsewhere.",
        c->law_from, c->law_to, c->law_lo, c->law_hi, c->law[RB_LAW_NEAR], c->laws,
        c->law[RB_LAW_TIED], c->law[RB_LAW_APART], c->law[RB_LAW_UNSURE]);
}

static void explain(rb_paper_claim *claim, const counted *c)
{
    if (!c->sweeps) {
        snprintf(claim->why, sizeof claim->why, "No test ran at three numbers of layers or more.");
        return;
    }
    snprintf(claim->why, sizeof claim->why,
             "Exact OI peaks at %d to %d layers in %d of %d sweeps, and anywhere between the ends "
             "in %d (%d of them with layers of equal cost).",
             CLAIMED_FROM, CLAIMED_TO, c->claimed, c->sweeps, c->inside, c->equal_inside);
    if (c->proxies)
        rb_plot_put(claim->why, sizeof claim->why,
                    " What the paper's code computes of the same runs peaks inside, apart from "
                    "both ends, in %d of %d sweeps",
                    c->proxy_inside, c->proxies);
    else
        rb_claim_note(claim, "No record says what the paper's code would have computed.");
    if (c->proxy_inside)
        rb_plot_put(claim->why, sizeof claim->why,
                    ", at %g to %g layers on this machine, of these %d at %d to %d or the next "
                    "depth measured; in %d of %d sweeps it has such a peak and exact OI has none",
                    c->from, c->to, c->proxy_claimed, CLAIMED_FROM, CLAIMED_TO, c->only_proxy,
                    c->sweeps);
    if (c->proxies)
        rb_plot_put(claim->why, sizeof claim->why, ".");
    if (c->laws)
        explain_law(claim, c);
    if (c->inside > c->equal_inside)
        rb_claim_note(claim, "Where exact OI turns, layers differ: a file of mixed types has some "
                             "layers of more bytes, and OI follows what each depth adds.");
    if (c->inside < c->sweeps)
        rb_claim_note(claim, "With layers of equal cost OI(L) = (F + L f) / (Q + L q), whose "
                             "slope has one sign for all L: it can have no peak between.");
}

void rb_claim_layers(rb_paper_claim *claim, const rb_evidence *e, const rb_rates *rates)
{
    rb_sheet *g = &claim->sheet[0];
    counted c = { .from = INFINITY, .law_from = INFINITY, .law_lo = INFINITY };
    rb_depths d;
    char test[64];
    static const char *const head[] = { "model",
                                        "type",
                                        "test",
                                        "OI, first",
                                        "OI, last",
                                        "exact OI",
                                        "layers",
                                        "proxy's most, with bounds",
                                        "L* and 95 %",
                                        "proxy where the lines have most",
                                        "of that and most" };
    claim->title[0] = "Exact OI (FLOP/byte of weights and cache) and the proxy's over layers";
    for (int i = 0; i < 11; i++)
        rb_sheet_column(g, head[i], i > 2);
    for (int i = 0; i < e->n; i++) {
        const rb_paper_row *r = &e->row[i];
        if (r->part != RB_ROW_LAYERS || !rb_depths_of(e, r, &d) || d.n < 3)
            continue;
        rb_sheet_put(g, 0, "%s", r->model);
        rb_sheet_put(g, 0, "%s", r->type);
        rb_sheet_put(g, 0, "%s", rb_row_test(r, test, sizeof test));
        put_exact(g, &d);
        put_proxy(g, &d);
        count(&c, e, &d);
    }
    claim->verdict = verdict_of(&c);
    explain(claim, &c);
    claim->title[1] = "The proxy's peak over layers by rates alone, with the weight bytes of each "
                      "model (resident memory and repetitions as told with the rates)";
    if (rates)
        rb_claim_layers_rated(claim, &claim->sheet[1], rates);
}
