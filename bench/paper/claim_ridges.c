/* Claims 5 and 6, other machines: exact counts of the workloads under the roofs of each device, on
 * which side of its ridge they stand, and what a variant gains under each in the least time that
 * its roofs allow. Refuses to mix bases: measured f32 roofs throughout. Read next: claims.h. */
#include "claims.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = RB_MOST_DEVICES + 1 + RB_PLOT_MAX_SETS };
static const double differs = 1.1, gain_is = 1.01; /* factors from which on something is */

/* The paper's devices, those laid over, and this machine last. */
static int devices_of(const rb_evidence *e, rb_device at[MOST])
{
    int n = 0;
    for (int i = 0; i < e->devices.n; i++)
        if (e->devices.at[i].fp32_gflops[RB_MEASURED] > 0)
            at[n++] = e->devices.at[i];
    for (int i = 0; i < e->n_overlay; i++)
        n += rb_own_device(&e->overlay[i], &at[n]);
    return n + rb_own_device(e, &at[n]);
}

static bool place_of(const rb_device *d, const rb_paper_row *r, rb_device_place *p)
{
    return rb_device_place_of(d, RB_MEASURED, RB_FP32, r->flops, r->bytes, p);
}

/* ---- ridges ---- */

static void put_devices(rb_sheet *g, const rb_evidence *e, const rb_device *device, int n)
{
    for (int i = 0; i < n; i++) {
        const rb_device *d = &device[i];
        int memory = 0, all = 0;
        rb_device_place p;
        for (int k = 0; k < e->n; k++) {
            const bool placed = e->row[k].part == RB_ROW_WORKLOAD && place_of(d, &e->row[k], &p);
            all += placed;
            memory += placed && p.memory;
        }
        rb_sheet_put(g, 0, "%s", d->name);
        rb_sheet_number(g, 0, d->gbps[RB_MEASURED]);
        rb_sheet_number(g, 0, d->fp32_gflops[RB_MEASURED]);
        rb_sheet_number(g, 0, d->fp32_gflops[RB_MEASURED] / d->gbps[RB_MEASURED]);
        rb_sheet_put(g, 0, "%d of %d", memory, all);
    }
}

/* Adds the row where its side depends on the device, and returns whether it does. */
static bool put_changing(rb_sheet *g, const rb_paper_row *r, const rb_device *device, int n)
{
    char left[RB_SHEET_CELL] = "", right[RB_SHEET_CELL] = "", test[64];
    rb_device_place p;
    for (int i = 0; i < n; i++) {
        if (!place_of(&device[i], r, &p))
            continue;
        char *list = p.memory ? left : right;
        rb_plot_put(list, RB_SHEET_CELL, "%s%s", list[0] ? ", " : "", device[i].name);
    }
    if (!left[0] || !right[0])
        return false;
    rb_sheet_put(g, 0, "%s", r->model);
    rb_sheet_put(g, 0, "%s", r->type);
    rb_sheet_put(g, r->id, "%s", rb_row_test(r, test, sizeof test));
    rb_sheet_number(g, r->id, r->oi);
    rb_sheet_put(g, 0, "%s", left);
    rb_sheet_put(g, 0, "%s", right);
    return true;
}

/* A test as one machine ran it. */
static void put_ran(rb_sheet *g, const rb_evidence *e, const rb_paper_row *r, int id)
{
    char test[64];
    rb_sheet_put(g, 0, "%s", r->model);
    rb_sheet_put(g, 0, "%s", r->type);
    rb_sheet_put(g, id, "%s", rb_row_test(r, test, sizeof test));
    rb_sheet_number(g, id, r->oi);
    rb_sheet_put(g, 0, "%s", e->name);
    rb_sheet_number(g, 0, r->pi / e->dram.at);
    rb_sheet_number(g, id, r->gflops);
    rb_sheet_span(g, id, &r->tps);
    rb_sheet_put(g, 0, "%s", r->bound);
}

/* Workload tests that ran on other machines too, as each machine ran them; bound by its own roofs
 * of the products it counts. */
static void put_measured(rb_paper_claim *claim, const rb_evidence *e)
{
    rb_sheet *g = &claim->sheet[2];
    int tests = 0, unlike = 0;
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++) {
        bool any = false, differ = false;
        for (int i = 0; i < e->n_overlay && r->part == RB_ROW_WORKLOAD; i++) {
            const rb_paper_row *o = rb_row_on(&e->overlay[i], e, r);
            if (!o)
                continue;
            if (!any)
                put_ran(g, e, r, r->id);
            put_ran(g, &e->overlay[i], o, 0);
            any = true;
            differ |= strcmp(o->bound, r->bound) != 0;
        }
        tests += any;
        unlike += differ;
    }
    if (e->n_overlay)
        rb_claim_note(claim,
                      "%d tests were measured on more than one machine; in %d of them machines "
                      "differ in what bounds them, each by its own roofs of the products that the "
                      "test counts.",
                      tests, unlike);
}

void rb_claim_ridges(rb_paper_claim *claim, const rb_evidence *e)
{
    static const char *const ran[] = { "model",     "type",    "test",  "OI",   "machine",
                                       "its ridge", "GFLOP/s", "tok/s", "bound" };
    static const char *const head[] = { "device", "GB/s", "f32 GFLOP/s", "ridge FLOP/byte",
                                        "memory-bound tests" };
    static const char *const change[] = {
        "model", "type", "test", "OI", "memory-bound on", "compute-bound on"
    };
    rb_device device[MOST];
    const int n = devices_of(e, device);
    double least = INFINITY, most = 0;
    int rows = 0, changing = 0;
    claim->title[0] = "Exact counts of the workloads under each device's measured roofs";
    claim->title[1] = "Tests whose side of the ridge depends on the device";
    for (int i = 0; i < 5; i++)
        rb_sheet_column(&claim->sheet[0], head[i], i > 0);
    claim->title[2] = "The same tests as measured on each machine";
    for (int i = 0; i < 6; i++)
        rb_sheet_column(&claim->sheet[1], change[i], i == 3);
    for (int i = 0; i < 9; i++)
        rb_sheet_column(&claim->sheet[2], ran[i], i > 2 && i != 4 && i != 8);
    for (int i = 0; i < n; i++) {
        const double ridge = device[i].fp32_gflops[RB_MEASURED] / device[i].gbps[RB_MEASURED];
        least = fmin(least, ridge);
        most = fmax(most, ridge);
    }
    for (int i = 0; i < e->n; i++) {
        if (e->row[i].part != RB_ROW_WORKLOAD)
            continue;
        rows++;
        changing += put_changing(&claim->sheet[1], &e->row[i], device, n);
    }
    if (!rows) {
        snprintf(claim->why, sizeof claim->why, "No workload ran.");
        return;
    }
    put_devices(&claim->sheet[0], e, device, n);
    put_measured(claim, e);
    claim->verdict = most / least < differs ? RB_FAILS
                     : 2 * changing > rows  ? RB_HOLDS
                                            : RB_IN_PART;
    snprintf(claim->why, sizeof claim->why,
             "Ridges run from %.1f to %.1f FLOP/byte, and %d of %d tests change sides between "
             "devices.",
             least, most, changing, rows);
    rb_claim_note(claim, "That ridges differ is their definition, compute over bandwidth. What it "
                         "does to a model is in the counts: a test changes sides only if its OI "
                         "lies between two ridges. The claim holds where most tests do.");
}

/* ---- gains ---- */

typedef struct counted {
    int pairs, carry, direction, lost,
        none; /* by same factor; same side; not everywhere; nowhere */
    int ran, ran_carry, ran_direction, ran_lost; /* as measured on several machines, likewise */
    int identities, identical;                   /* proxies; of them P = M x OI within rounding */
} counted;

/* 1: faster, -1: slower, by the interval; 0: it cannot be told. */
static int side_of(const rb_span *s)
{
    return s->lo > 1 ? 1 : s->hi < 1 ? -1 : 0;
}

/* What r gains over base on other machines, where both ran there; counted where all of them, and
 * this one, can tell whether it gains or loses. */
static void add_measured(rb_sheet *g, counted *c, const rb_evidence *e, const rb_paper_row *base,
                         const rb_paper_row *r, const rb_span *here)
{
    char text[RB_SHEET_CELL] = "", span[96];
    double least = here->at, most = least;
    bool told = side_of(here) != 0, turns = false;
    for (int i = 0; i < e->n_overlay; i++) {
        const rb_evidence *o = &e->overlay[i];
        const rb_paper_row *a = rb_row_on(o, e, base), *b = rb_row_on(o, e, r);
        if (!a || !b)
            continue;
        const rb_span there = rb_row_speedup(a, b);
        rb_plot_put(text, sizeof text, "%s%s: %s", text[0] ? "; " : "", o->name,
                    rb_span_text(&there, span, sizeof span));
        told &= side_of(&there) != 0;
        turns |= side_of(&there) != side_of(here);
        least = fmin(least, there.at);
        most = fmax(most, there.at);
    }
    if (e->n_overlay)
        rb_sheet_put(g, 0, "%s", text[0] ? text : "\xe2\x80\x93");
    if (!text[0] || !told)
        return;
    const bool alike = most / least <= differs;
    c->ran++;
    c->ran_lost += turns;
    c->ran_carry += !turns && alike;
    c->ran_direction += !turns && !alike;
}

static void add_pair(rb_sheet *g, counted *c, const rb_evidence *e, const rb_paper_row *base,
                     const rb_paper_row *r, const rb_device *device, int n)
{
    double least = INFINITY, most = 0;
    char name[RB_SHEET_CELL], test[64];
    for (int i = 0; i < n; i++) {
        rb_device_place a, b;
        if (!place_of(&device[i], base, &a) || !place_of(&device[i], r, &b))
            continue;
        least = fmin(least, a.seconds / b.seconds);
        most = fmax(most, a.seconds / b.seconds);
    }
    const bool up = most > gain_is, down = least < 1 / gain_is;
    const bool one_side = up ? least > gain_is : most < 1 / gain_is;
    const char *what = !up && !down              ? "none anywhere"
                       : !one_side               ? up && down ? "turns" : "not everywhere"
                       : most / least <= differs ? "carries"
                                                 : "carries, other factor";
    const rb_span here = rb_row_speedup(base, r);
    c->pairs++;
    c->none += !up && !down;
    c->carry += one_side && most / least <= differs;
    c->direction += one_side && most / least > differs;
    c->lost += (up || down) && !one_side;
    snprintf(name, sizeof name, "%s over %s", r->part == RB_ROW_FORMS ? r->attn : r->type,
             r->part == RB_ROW_FORMS ? base->attn : base->type);
    rb_sheet_put(g, 0, "%s", r->model);
    rb_sheet_put(g, 0, "%s", name);
    rb_sheet_put(g, r->id, "%s", rb_row_test(r, test, sizeof test));
    rb_sheet_number(g, 0, least);
    rb_sheet_number(g, 0, most);
    rb_sheet_put(g, 0, "%s", what);
    rb_sheet_span(g, r->id, &here);
    add_measured(g, c, e, base, r, &here);
}

/* What a variant is held against: the same test in f16, or in the first form of these weights. */
static const rb_paper_row *base_of(const rb_evidence *e, const rb_paper_row *r)
{
    for (const rb_paper_row *b = e->row; b < r; b++) {
        if (b->part != r->part || strcmp(b->model, r->model) != 0 || !rb_same_test(b, r))
            continue;
        if (r->part == RB_ROW_FORMS ? strcmp(b->attn, r->attn) != 0
                                    : !strcmp(b->attn, r->attn) && !strcmp(b->type, "f16") &&
                                          strcmp(r->type, "f16") != 0)
            return b;
    }
    return NULL;
}

static void count_identity(counted *c, const rb_row_proxy *p)
{
    const double peak = p->gflops * 1e9 / p->oi;
    if (!isfinite(peak) || !isfinite(p->peak_bytes))
        return;
    c->identities++;
    c->identical += fabs(peak / p->peak_bytes - 1) < 1e-6;
}

static void explain(rb_paper_claim *claim, const counted *c)
{
    const int gains = c->pairs - c->none;
    if (!c->pairs)
        snprintf(claim->why, sizeof claim->why, "No model ran in two variants.");
    else
        snprintf(claim->why, sizeof claim->why,
                 "Of %d pairs of variants %d gain or lose somewhere under the devices' roofs: %d "
                 "of these by one factor on all (within %.0f %%), %d on the same side by other "
                 "factors, %d not on every device or with another sign.",
                 c->pairs, gains, c->carry, 100 * (differs - 1), c->direction, c->lost);
    if (c->ran)
        rb_plot_put(claim->why, sizeof claim->why,
                    " As measured on several machines %d pairs gain or lose on each: %d by one "
                    "factor, %d on the same side by other factors, %d with another sign.",
                    c->ran, c->ran_carry, c->ran_direction, c->ran_lost);
    if (c->identities)
        rb_claim_note(claim,
                      "In the paper's plots performance over OI is the peak memory of the process, "
                      "P = M x OI: so in %d of %d proxies here, to a millionth. A gain in such an "
                      "OI is a gain in P by definition, on any platform: it decides nothing here.",
                      c->identical, c->identities);
    if (c->pairs)
        rb_claim_note(claim, "Left of every ridge the gain is the ratio of bytes, right of every "
                             "ridge that of FLOPs: both carry. What lies between ridges does not. "
                             "Devices have f32 roofs here: what integer products gain shows in "
                             "what was measured alone.");
}

void rb_claim_carries(rb_paper_claim *claim, const rb_evidence *e)
{
    static const char *const head[] = { "model",     "variant",        "test",         "least gain",
                                        "most gain", "across devices", "measured here" };
    rb_device device[MOST];
    counted c = { 0 };
    const int n = devices_of(e, device);
    claim->title[0] = "Gains in the least time that each device's roofs allow, and as measured";
    for (int i = 0; i < 7; i++)
        rb_sheet_column(&claim->sheet[0], head[i], i > 2 && i != 5);
    if (e->n_overlay)
        rb_sheet_column(&claim->sheet[0], "measured on other machines", false);
    for (int i = 0; i < e->n; i++) {
        const rb_paper_row *r = &e->row[i];
        const rb_paper_row *base =
            r->part == RB_ROW_WORKLOAD || r->part == RB_ROW_FORMS ? base_of(e, r) : NULL;
        count_identity(&c, &r->proxy);
        if (base)
            add_pair(&claim->sheet[0], &c, e, base, r, device, n);
    }
    const int gains = c.pairs - c.none + c.ran, lost = c.lost + c.ran_lost;
    claim->verdict = !gains                           ? RB_UNTESTED
                     : c.carry + c.ran_carry == gains ? RB_HOLDS
                     : 2 * lost > gains               ? RB_FAILS
                                                      : RB_IN_PART;
    explain(claim, &c);
}
