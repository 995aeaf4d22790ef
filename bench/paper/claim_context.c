/* Claim 1, context: prefill and decode apart, each over context, then the one point that the paper
 * makes of both. Ends of contexts are compared, where a subject has two or more.
 * Refuses to call phases one workload. Read next: claims.h, workloads.c. */
#include "claims.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct counted {
    int prefills, prefill_rises;          /* subjects; of them, exact OI rises with the prompt */
    int decodes, decode_slows, undecided; /* rate at the longest context below the shortest */
    int mixed, split;                     /* workloads; their phases on both sides of the ridge */
    double share_least, share_most;       /* of the time, decode's */
} counted;

/* Tests of one phase of a subject at the least and the greatest context. */
typedef struct ends {
    const rb_paper_row *a, *b;
} ends;

static int64_t context_of(const rb_paper_row *r)
{
    return r->n_depth + r->n_prompt;
}

static bool ends_of(const rb_evidence *e, const rb_paper_row *subject, bool decode, ends *ab)
{
    *ab = (ends){ NULL, NULL };
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++) {
        if (r->part != subject->part || !rb_same_subject(r, subject) || r->decode != decode ||
            r->n_layer != subject->n_layer)
            continue;
        if (!ab->a || context_of(r) < context_of(ab->a))
            ab->a = r;
        if (!ab->b || context_of(r) > context_of(ab->b))
            ab->b = r;
    }
    return ab->a && context_of(ab->a) < context_of(ab->b);
}

/* ---- phases ---- */

static void put_ends(rb_sheet *g, const ends *x, const rb_span *ratio)
{
    char test[64];
    rb_sheet_put(g, 0, "%s", x->a->model);
    rb_sheet_put(g, 0, "%s", x->a->type);
    rb_sheet_put(g, x->a->id, "%s", rb_row_test(x->a, test, sizeof test));
    rb_sheet_put(g, x->b->id, "%s", rb_row_test(x->b, test, sizeof test));
    rb_sheet_number(g, x->a->id, x->a->oi);
    rb_sheet_number(g, x->b->id, x->b->oi);
    rb_sheet_span(g, x->a->id, &x->a->tps);
    rb_sheet_span(g, x->b->id, &x->b->tps);
    rb_sheet_span(g, 0, ratio);
}

static void add_phase(rb_sheet *g, counted *c, const rb_evidence *e, const rb_paper_row *subject,
                      bool decode)
{
    ends x;
    if (!ends_of(e, subject, decode, &x))
        return;
    const rb_span ratio = rb_row_speedup(x.a, x.b);
    put_ends(g, &x, &ratio);
    if (!decode) {
        c->prefills++;
        c->prefill_rises += x.b->oi > x.a->oi;
    } else if (isfinite(ratio.lo)) {
        c->decodes++;
        c->decode_slows += ratio.hi < 1;
        c->undecided += ratio.lo <= 1 && ratio.hi >= 1;
    }
}

/* ---- the mixed point ---- */

static void add_mixed(rb_sheet *g, counted *c, const rb_evidence *e, const rb_paper_row *subject,
                      rb_workload w)
{
    const rb_workload_sum s = rb_workload_of(e, subject, w);
    const double ridge = e->fma.at / e->dram.at;
    if (!s.has_prefill || !s.has_decode || !(s.decode_bytes > 0))
        return;
    const double oi[3] = { s.prefill_flops / s.prefill_bytes, s.decode_flops / s.decode_bytes,
                           (s.prefill_flops + s.decode_flops) /
                               (s.prefill_bytes + s.decode_bytes) };
    const double share = s.decode_ns / (s.decode_ns + s.prefill_ns);
    rb_sheet_put(g, 0, "%s", subject->model);
    rb_sheet_put(g, 0, "%s", subject->type);
    rb_sheet_put(g, 0, "%s", rb_workload_infos[w].name);
    rb_sheet_number(g, s.prefill_id, oi[0]);
    rb_sheet_number(g, s.decode_id, oi[1]);
    rb_sheet_number(g, 0, oi[2]);
    rb_sheet_put(g, 0, "%.1f %%", 100 * share);
    rb_sheet_put(g, 0, "%s",
                 !isfinite(ridge)                     ? "no roofs"
                 : (oi[0] < ridge) != (oi[1] < ridge) ? "on both sides"
                 : oi[0] < ridge                      ? "both left"
                                                      : "both right");
    c->share_least = c->mixed ? fmin(c->share_least, share) : share;
    c->share_most = c->mixed ? fmax(c->share_most, share) : share;
    c->mixed++;
    c->split += isfinite(ridge) && (oi[0] < ridge) != (oi[1] < ridge);
}

/* ---- the verdict ---- */

static rb_paper_verdict verdict_of(const counted *c)
{
    if (!c->prefills || !c->decodes)
        return RB_UNTESTED;
    const bool decides = c->prefill_rises == c->prefills && c->decode_slows == c->decodes;
    if (decides && !c->split)
        return RB_HOLDS;
    return c->prefill_rises || c->decode_slows ? RB_IN_PART : RB_FAILS;
}

/* Subjects for which the paper printed one decode rate for both lengths of prompt. */
static void note_rates(rb_paper_claim *claim, const rb_rates *rates)
{
    int same = 0;
    for (int i = 0; rates && i < rates->n; i++) {
        const rb_proxy_rate *r = rates->at[i].rate;
        same += fabs(r[RB_LISO].decode / r[RB_SISO].decode - 1) < 0.02;
    }
    if (same)
        rb_claim_note(
            claim,
            "%s %d of %d decode rates are equal within 2 %% after 128 and after 4096 tokens of "
            "prompt, as if %s generation never saw the prompt.",
            rates->given ? "Of the given rates" : "In the paper's own tables", same, rates->n,
            rates->given ? "that" : "its");
}

static void explain(rb_paper_claim *claim, const counted *c)
{
    if (claim->verdict == RB_UNTESTED) {
        snprintf(claim->why, sizeof claim->why,
                 "This takes prefill of two lengths and decode at two contexts, with intervals; "
                 "here are %d and %d subjects that have them.",
                 c->prefills, c->decodes);
        return;
    }
    snprintf(claim->why, sizeof claim->why,
             "Exact prefill OI rises with the prompt for %d of %d subjects. Decode is slower at "
             "the longest context than at the shortest for %d of %d (%d undecided). In %d of %d "
             "workloads prefill and decode stand on different sides of this machine's ridge.",
             c->prefill_rises, c->prefills, c->decode_slows, c->decodes, c->undecided, c->split,
             c->mixed);
    if (c->split)
        rb_claim_note(claim, "Where the phases stand on both sides of the ridge, their one mixed "
                             "point stands where nothing runs: no kernel has its OI.");
    if (c->mixed)
        rb_claim_note(claim, "Decode takes %.1f to %.1f %% of a workload's time.",
                      100 * c->share_least, 100 * c->share_most);
}

void rb_claim_context(rb_paper_claim *claim, const rb_evidence *e, const rb_rates *rates)
{
    static const char *const head[] = { "model", "type",  "from",
                                        "to",    "OI",    "OI",
                                        "tok/s", "tok/s", "rate, to over from" };
    static const char *const mixed[] = { "model",          "type",
                                         "workload",       "OI prefill",
                                         "OI decode",      "OI mixed",
                                         "time in decode", "phases and ridge" };
    counted c = { 0 };
    claim->title[0] = "Phases apart: exact OI and rate at the least and the greatest context";
    claim->title[1] = "The mixed point of a workload and its two phases (FLOP/byte)";
    for (int i = 0; i < 9; i++)
        rb_sheet_column(&claim->sheet[0], head[i], i > 3);
    for (int i = 0; i < 8; i++)
        rb_sheet_column(&claim->sheet[1], mixed[i], i > 2 && i < 7);
    for (int i = 0; i < e->n; i++) {
        const rb_paper_row *r = &e->row[i];
        if (r->part != RB_ROW_WORKLOAD || !rb_first_of_subject(e, r))
            continue;
        add_phase(&claim->sheet[0], &c, e, r, false);
        add_phase(&claim->sheet[0], &c, e, r, true);
        for (int w = 0; w < RB_N_WORKLOAD; w++)
            add_mixed(&claim->sheet[1], &c, e, r, (rb_workload)w);
    }
    claim->verdict = verdict_of(&c);
    explain(claim, &c);
    note_rates(claim, rates);
}
