/* Claim 3, quantisation: what each type gains over f16 in prefill and in decode, with intervals,
 * and the exact OI of decode that each leaves. The longest prompt that has an interval stands for
 * prefill, the shortest such context for decode. Refuses to decide where intervals overlap.
 * Read next: claims.h. */
#include "claims.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct counted {
    int pairs, most, least, undecided; /* decode gains most; least; intervals overlap */
    int memory, decodes;               /* decode tests that memory bounds */
} counted;

/* The row of f16 that ran the same test as r, and whose type alone differs. */
static const rb_paper_row *base_of(const rb_evidence *e, const rb_paper_row *r)
{
    for (const rb_paper_row *b = e->row; b < e->row + e->n; b++)
        if (b->part == r->part && !strcmp(b->type, "f16") && !strcmp(b->model, r->model) &&
            !strcmp(b->attn, r->attn) && rb_same_test(b, r))
            return b;
    return NULL;
}

/* Whether a stands for its phase rather than b: by an interval, then by the longest prompt or the
 * shortest context. */
static bool stands_before(const rb_evidence *e, const rb_paper_row *a, const rb_paper_row *b)
{
    if (!b)
        return true;
    const bool sure_a = isfinite(rb_row_speedup(base_of(e, a), a).lo);
    const bool sure_b = isfinite(rb_row_speedup(base_of(e, b), b).lo);
    if (sure_a != sure_b)
        return sure_a;
    return a->decode ? a->n_depth < b->n_depth : a->n_prompt > b->n_prompt;
}

/* Of a subject's phase, the test that stands for it: it has a base. */
static const rb_paper_row *row_of(const rb_evidence *e, const rb_paper_row *subject, bool decode)
{
    const rb_paper_row *best = NULL;
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++)
        if (r->part == subject->part && rb_same_subject(r, subject) && r->decode == decode &&
            base_of(e, r) && isfinite(r->ns.at) && stands_before(e, r, best))
            best = r;
    return best;
}

static void put_row(rb_sheet *g, const rb_paper_row *r, const rb_paper_row *base,
                    const rb_span *gain)
{
    char test[64];
    rb_sheet_put(g, 0, "%s", r->model);
    rb_sheet_put(g, 0, "%s", r->type);
    rb_sheet_put(g, r->id, "%s", rb_row_test(r, test, sizeof test));
    rb_sheet_span(g, base->id, &base->tps);
    rb_sheet_span(g, r->id, &r->tps);
    rb_sheet_span(g, 0, gain);
    rb_sheet_number(g, base->id, base->oi);
    rb_sheet_number(g, r->id, r->oi);
    rb_sheet_put(g, r->id, "%s", r->bound[0] ? r->bound : "unknown");
}

static void add_subject(rb_paper_claim *claim, counted *c, const rb_evidence *e,
                        const rb_paper_row *subject)
{
    const rb_paper_row *row[2] = { row_of(e, subject, false), row_of(e, subject, true) };
    rb_span gain[2] = { { NAN, NAN, NAN }, { NAN, NAN, NAN } };
    for (int decode = 0; decode < 2; decode++) {
        if (!row[decode])
            continue;
        const rb_paper_row *base = base_of(e, row[decode]);
        gain[decode] = rb_row_speedup(base, row[decode]);
        put_row(&claim->sheet[0], row[decode], base, &gain[decode]);
    }
    if (!row[0] || !row[1])
        return;
    c->pairs++;
    c->decodes++;
    c->memory += !strcmp(row[1]->bound, "memory");
    c->most += gain[1].lo > gain[0].hi;
    c->least += gain[1].hi < gain[0].lo;
    c->undecided += !rb_span_apart(&gain[0], &gain[1]);
}

static rb_paper_verdict verdict_of(const counted *c)
{
    return !c->pairs || c->undecided == c->pairs ? RB_UNTESTED
           : c->most == c->pairs                 ? RB_HOLDS
           : c->most                             ? RB_IN_PART
                                                 : RB_FAILS;
}

/* Of a product of a matrix and one vector. */
static double oi_of(rb_dtype type)
{
    return 2 * 256.0 / (double)rb_row_bytes(type, 256);
}

void rb_claim_types(rb_paper_claim *claim, const rb_evidence *e)
{
    static const char *const head[] = { "model",   "type",      "test", "f16 tok/s", "tok/s",
                                        "speedup", "OI of f16", "OI",   "bound" };
    counted c = { 0 };
    claim->title[0] = "Speedup over f16 (ratio of samples, 95 %) and exact OI (FLOP/byte)";
    for (int i = 0; i < 9; i++)
        rb_sheet_column(&claim->sheet[0], head[i], i > 2 && i < 8);
    for (int i = 0; i < e->n; i++) {
        const rb_paper_row *r = &e->row[i];
        if (r->part == RB_ROW_WORKLOAD && strcmp(r->type, "f16") != 0 && rb_first_of_subject(e, r))
            add_subject(claim, &c, e, r);
    }
    claim->verdict = verdict_of(&c);
    if (!c.pairs)
        snprintf(claim->why, sizeof claim->why,
                 "No model ran both phases in f16 and in another type.");
    else
        snprintf(
            claim->why, sizeof claim->why,
            "Decode gains more than prefill, intervals apart, in %d of %d pairs of a model and a "
            "type; less in %d; intervals overlap or are none in %d. Memory bounds decode in %d of "
            "%d.",
            c.most, c.pairs, c.least, c.undecided, c.memory, c.decodes);
    if (c.pairs)
        rb_claim_note(claim,
                      "Decode's OI follows from the type: two operations a weight over its bytes, "
                      "%.2f in f16, %.2f in q8_0, %.2f in q4_K, and what the cache brings. FLOPs "
                      "stay, bytes fall.",
                      oi_of(RB_F16), oi_of(RB_Q8_0), oi_of(RB_Q4_K));
}
