/* Claim 4, the order MLA > MHA > GQA: of the paper's three models at its sizes, and of one set of
 * weights in several forms, by the proxy's OI, by exact OI and by tokens a second.
 * Refuses an order of rates whose intervals overlap. Read next: trio.c, claims.h. */
#include "claims.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BY_PROXY, BY_OI, BY_RATE, N_BY };

/* How often three kinds in one test had the claimed order, and how often each claimed pair. */
typedef struct counted {
    int tests[N_BY], claimed[N_BY], undecided;
    int pairs[N_BY][2], pair_holds[N_BY][2]; /* MLA > MHA, MHA > GQA */
} counted;

/* The fastest of each kind in one test; first NULL: there is none. */
typedef struct rivals {
    rb_drawn_out of[RB_N_KIND];
} rivals;

/* 1: a is more, -1: less, 0: it cannot be told; 2: one of them has no such figure. */
static int order_of(const rb_drawn_out *a, const rb_drawn_out *b, int by)
{
    if (!a->first || !b->first)
        return 2;
    if (by == BY_RATE) {
        if (!isfinite(a->tps.lo) || !isfinite(b->tps.lo))
            return 2;
        return !rb_span_apart(&a->tps, &b->tps) ? 0 : a->tps.at > b->tps.at ? 1 : -1;
    }
    const double x = by == BY_OI ? a->oi : a->proxy_oi, y = by == BY_OI ? b->oi : b->proxy_oi;
    return !isfinite(x) || !isfinite(y) ? 2 : (x > y) - (x < y);
}

static void judge(const rivals *r, counted *c)
{
    for (int by = 0; by < N_BY; by++) {
        const int pair[2] = { order_of(&r->of[RB_KIND_MLA], &r->of[RB_KIND_MHA], by),
                              order_of(&r->of[RB_KIND_MHA], &r->of[RB_KIND_GQA], by) };
        for (int i = 0; i < 2; i++) {
            c->pairs[by][i] += pair[i] == 1 || pair[i] == -1;
            c->pair_holds[by][i] += pair[i] == 1;
        }
        if (pair[0] == 2 || pair[1] == 2)
            continue;
        if (!pair[0] || !pair[1])
            c->undecided += by == BY_RATE;
        c->tests[by]++;
        c->claimed[by] += pair[0] == 1 && pair[1] == 1;
    }
}

static void enter(rivals *r, const rb_drawn_out *d)
{
    rb_drawn_out *old = &r->of[d->kind];
    if (!old->first || d->tps.at > old->tps.at)
        *old = *d;
}

/* ---- the trio ---- */

static bool same_lengths(const rb_paper_row *a, const rb_paper_row *b)
{
    return a->part == b->part && a->n_prompt == b->n_prompt && a->n_gen == b->n_gen &&
           a->n_depth == b->n_depth;
}

/* Whether no row before r ran these lengths (and, of forms, this model and depth). */
static bool first_of_test(const rb_evidence *e, const rb_paper_row *r)
{
    for (const rb_paper_row *b = e->row; b < r; b++)
        if (same_lengths(b, r) &&
            (r->part == RB_ROW_TRIO || (!strcmp(b->model, r->model) && b->n_layer == r->n_layer)))
            return false;
    return true;
}

static void put_drawn(rb_sheet *g, const rb_drawn_out *d)
{
    char test[64];
    rb_sheet_put(g, d->first->id, "%s", rb_row_test(d->first, test, sizeof test));
    rb_sheet_put(g, 0, "%s", d->first->model);
    rb_sheet_put(g, 0, "%s", d->first->attn);
    rb_sheet_put(g, 0, "%lld", (long long)d->n_layer);
    rb_sheet_number(g, 0, d->proxy_oi);
    rb_sheet_number(g, 0, d->oi);
    rb_sheet_put(g, 0, "%s", d->counted ? "counted" : isfinite(d->oi) ? "equal layers" : "unknown");
    rb_sheet_span(g, d->first->id, &d->tps);
    rb_sheet_put(g, 0, "%.1f %%", 100 * d->misfit);
}

static void add_trio(rb_paper_claim *claim, counted *c, const rb_evidence *e,
                     const rb_paper_row *test)
{
    rivals r = { .of = { { .first = NULL } } };
    rb_drawn_out d;
    for (int i = 0; i < e->n; i++) {
        if (!same_lengths(&e->row[i], test) || !rb_draw_out(e, &e->row[i], &d))
            continue;
        put_drawn(&claim->sheet[0], &d);
        enter(&r, &d);
    }
    judge(&r, c);
}

/* ---- forms ---- */

static void put_form(rb_sheet *g, const rb_paper_row *r, const rb_paper_row *base)
{
    char test[64];
    const rb_span gain = rb_row_speedup(base, r);
    rb_sheet_put(g, r->id, "%s", rb_row_test(r, test, sizeof test));
    rb_sheet_put(g, 0, "%s", r->model);
    rb_sheet_put(g, 0, "%s", r->attn);
    rb_sheet_put(g, r->id, "%lld", (long long)r->kv_bytes);
    rb_sheet_number(g, r->id, r->proxy.oi);
    rb_sheet_number(g, r->id, r->oi);
    rb_sheet_span(g, r->id, &r->tps);
    rb_sheet_span(g, 0, r == base ? &(rb_span){ 1, NAN, NAN } : &gain);
    if (isfinite(r->kl))
        rb_sheet_number(g, r->id, r->kl);
    else
        rb_sheet_put(g, 0, r->exact ? "exact" : "not exact, not judged");
}

static void add_forms(rb_paper_claim *claim, counted *c, const rb_evidence *e,
                      const rb_paper_row *test)
{
    rivals r = { .of = { { .first = NULL } } };
    for (const rb_paper_row *x = e->row; x < e->row + e->n; x++) {
        if (!same_lengths(x, test) || strcmp(x->model, test->model) != 0 ||
            x->n_layer != test->n_layer)
            continue;
        put_form(&claim->sheet[1], x, test);
        const rb_drawn_out d = { .first = x,
                                 .kind = rb_attn_kind_of(x->attn),
                                 .n_layer = x->n_layer,
                                 .oi = x->oi,
                                 .tps = x->tps,
                                 .proxy_oi = x->proxy.oi };
        if (d.kind != RB_N_KIND)
            enter(&r, &d);
    }
    judge(&r, c);
}

/* ---- the verdict ---- */

static int sum_of(const int n[2])
{
    return n[0] + n[1];
}

static rb_paper_verdict verdict_of(const counted *c)
{
    const int tests = c->tests[BY_OI] + c->tests[BY_RATE];
    const int claimed = c->claimed[BY_OI] + c->claimed[BY_RATE];
    const int pairs = sum_of(c->pair_holds[BY_OI]) + sum_of(c->pair_holds[BY_RATE]);
    if (!c->tests[BY_OI])
        return RB_UNTESTED;
    if (claimed == tests && c->tests[BY_RATE])
        return RB_HOLDS;
    if (claimed)
        return RB_IN_PART;
    return c->claimed[BY_PROXY] ? RB_ARTEFACT : pairs ? RB_IN_PART : RB_FAILS;
}

static void explain(rb_paper_claim *claim, const counted *c)
{
    if (claim->verdict == RB_UNTESTED) {
        snprintf(claim->why, sizeof claim->why, "No test ran in all of MLA, MHA and GQA.");
        return;
    }
    snprintf(claim->why, sizeof claim->why,
             "The order MLA > MHA > GQA is that of exact OI in %d of %d tests and that of tokens a "
             "second, intervals apart, in %d of %d (%d undecided); the proxy's OI has it in %d of "
             "%d.",
             c->claimed[BY_OI], c->tests[BY_OI], c->claimed[BY_RATE], c->tests[BY_RATE],
             c->undecided, c->claimed[BY_PROXY], c->tests[BY_PROXY]);
    rb_claim_note(claim,
                  "Pair by pair, where it can be told: MLA above MHA in %d of %d by exact OI and "
                  "%d of %d by rate; MHA above GQA in %d of %d and %d of %d.",
                  c->pair_holds[BY_OI][0], c->pairs[BY_OI][0], c->pair_holds[BY_RATE][0],
                  c->pairs[BY_RATE][0], c->pair_holds[BY_OI][1], c->pairs[BY_OI][1],
                  c->pair_holds[BY_RATE][1], c->pairs[BY_RATE][1]);
    rb_claim_note(claim, "OI alone orders nothing that a user waits for: rates do. The fastest "
                         "form of each kind stands for it. KL is of the logits of a converted "
                         "form against the model's own; \"exact\": the same function; \"not "
                         "judged\": its logits were not compared, its rate is of another function "
                         "than the model's.");
}

void rb_claim_attention(rb_paper_claim *claim, const rb_evidence *e)
{
    static const char *const trio[] = { "test",     "model", "attention", "layers",      "proxy OI",
                                        "exact OI", "by",    "tok/s",     "off the line" };
    static const char *const form[] = { "test",          "weights of",     "attention",
                                        "cache B/token", "proxy OI",       "exact OI",
                                        "tok/s",         "over the first", "KL" };
    counted c = { 0 };
    claim->title[0] =
        "The paper's three models at its sizes: exact OI counted without weights, times "
        "and the proxy drawn out over layers (OI in FLOP/byte, the proxy's in its "
        "own unit)";
    claim->title[1] = "One set of weights in several forms";
    for (int i = 0; i < 9; i++)
        rb_sheet_column(&claim->sheet[0], trio[i], i > 2 && i != 6);
    for (int i = 0; i < 9; i++)
        rb_sheet_column(&claim->sheet[1], form[i], i > 2);
    for (int i = 0; i < e->n; i++) {
        const rb_paper_row *r = &e->row[i];
        if (r->part == RB_ROW_TRIO && first_of_test(e, r))
            add_trio(claim, &c, e, r);
        if (r->part == RB_ROW_FORMS && first_of_test(e, r))
            add_forms(claim, &c, e, r);
    }
    claim->verdict = verdict_of(&c);
    explain(claim, &c);
}
