/* Which way of attention wins where: at each context the fastest, and between two contexts with
 * different winners the depth at which lines through their times cross, measured and by the least
 * times that the roofs allow. Whoever leads goes on until another's interval is below its own.
 * It refuses to name a winner beyond the contexts that were measured. Read next: law.c. */
#include "record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- taking results in ---- */

rb_status rb_rivals_note(rb_rivals *r, const rb_subject *subject, const rb_result *result,
                         rb_error *err)
{
    const rb_model *m = rb_subject_model(subject, &result->test);
    const rb_bytes bytes = rb_cost_bytes(&result->total.cost);
    if (result->error[0] || result->dry || !result->n_samples)
        return RB_OK;
    rb_rival *grown = realloc(r->at, ((size_t)r->n + 1) * sizeof *grown);
    if (!grown)
        return rb_fail(err, RB_ERR_MEMORY, "no memory to compare ways of attention");
    r->at = grown;
    rb_rival *to = &r->at[r->n++];
    const rb_stats *ns = &result->ns;
    *to = (rb_rival){ .test = result->test,
                      .exact = !m->attn.converted || m->attn.exact,
                      .one_cache = rb_config_is_mla(&m->config) &&
                                   result->test.attn != RB_ATTN_MLA_NAIVE_FULL,
                      .ns = ns->median,
                      .lo = ns->has_ci ? ns->ci_lo : ns->median,
                      .hi = ns->has_ci ? ns->ci_hi : ns->median,
                      .roof_ns = result->place.roof_ns,
                      .bytes = (double)rb_bytes_wkv(&bytes),
                      .flops = (double)result->total.cost.flops,
                      .bound = result->place.bound };
    rb_subject_attn(subject, &result->test, to->attn, sizeof to->attn);
    return RB_OK;
}

void rb_rivals_clear(rb_rivals *r)
{
    free(r->at);
    *r = (rb_rivals){ 0 };
}

/* ---- who meets whom ---- */

/* The same test but for attention and context, and the type of V where there is no V. */
static bool same_test(const rb_rival *a, const rb_rival *b)
{
    rb_test x = a->test;
    x.model = b->test.model;
    x.attn = b->test.attn;
    x.n_depth = b->test.n_depth;
    if (a->one_cache || b->one_cache)
        x.type_v = b->test.type_v;
    return rb_test_equal(&x, &b->test);
}

static bool same_way(const rb_test *a, const rb_test *b)
{
    return a->model == b->model && a->attn == b->attn;
}

enum { MOST = 64 };

/* The contexts of one test, rising, and who of some ways leads at each. */
typedef struct race {
    const rb_rivals *all;
    const rb_rival *of;
    bool exact_only;
    int n;
    int64_t context[MOST];
    const rb_rival *best[MOST];
} race;

static bool runs_in(const race *r, const rb_rival *x)
{
    return same_test(r->of, x) && (x->exact || !r->exact_only);
}

static void add_context(race *r, const rb_rival *x)
{
    int at = 0;
    while (at < r->n && r->context[at] < x->test.n_depth)
        at++;
    if (at < r->n && r->context[at] == x->test.n_depth) {
        r->best[at] = x->ns < r->best[at]->ns ? x : r->best[at];
        return;
    }
    if (r->n == MOST)
        return;
    for (int i = r->n; i > at; i--) {
        r->context[i] = r->context[i - 1];
        r->best[i] = r->best[i - 1];
    }
    r->context[at] = x->test.n_depth;
    r->best[at] = x;
    r->n++;
}

/* The way of x at another context; NULL: it was not run there. */
static const rb_rival *at_context(const race *r, const rb_rival *x, int64_t context)
{
    for (int i = 0; i < r->all->n; i++) {
        const rb_rival *y = &r->all->at[i];
        if (runs_in(r, y) && same_way(&x->test, &y->test) && y->test.n_depth == context)
            return y;
    }
    return NULL;
}

/* Who led before leads on where nobody is faster beyond doubt. */
static void keep_leaders(race *r)
{
    for (int i = 1; i < r->n; i++) {
        const rb_rival *before = at_context(r, r->best[i - 1], r->context[i]);
        if (before && r->best[i]->hi >= before->lo)
            r->best[i] = before;
    }
}

static race run(const rb_rivals *all, const rb_rival *of, bool exact_only)
{
    race r = { .all = all, .of = of, .exact_only = exact_only };
    for (int i = 0; i < all->n; i++)
        if (runs_in(&r, &all->at[i]))
            add_context(&r, &all->at[i]);
    keep_leaders(&r);
    return r;
}

/* The fastest of the others. */
static const rb_rival *second(const race *r, const rb_rival *best)
{
    const rb_rival *next = NULL;
    for (int i = 0; i < r->all->n; i++) {
        const rb_rival *y = &r->all->at[i];
        if (runs_in(r, y) && y->test.n_depth == best->test.n_depth &&
            !same_way(&best->test, &y->test) && (!next || y->ns < next->ns))
            next = y;
    }
    return next;
}

/* ---- crossings ---- */

double rb_rivals_crossing(double x0, double a0, double b0, double x1, double a1, double b1)
{
    const double before = b0 - a0, after = a1 - b1;
    if (before < 0 || after < 0 || before + after <= 0)
        return NAN;
    return x0 + (x1 - x0) * before / (before + after);
}

/* Where the roofs have b pass a, between any two contexts; NaN: nowhere, or no roofs. */
static double roofs_crossing(const race *r, const rb_rival *a, const rb_rival *b)
{
    for (int i = 0; i + 1 < r->n; i++) {
        const rb_rival *a0 = at_context(r, a, r->context[i]), *b0 = at_context(r, b, r->context[i]);
        const rb_rival *a1 = at_context(r, a, r->context[i + 1]),
                       *b1 = at_context(r, b, r->context[i + 1]);
        if (!a0 || !b0 || !a1 || !b1 || !(a0->roof_ns > 0) || !(b0->roof_ns > 0))
            continue;
        const double at = rb_rivals_crossing((double)r->context[i], a0->roof_ns, b0->roof_ns,
                                             (double)r->context[i + 1], a1->roof_ns, b1->roof_ns);
        if (!isnan(at))
            return at;
    }
    return NAN;
}

/* ---- sentences ---- */

static void put_crossing(FILE *out, const race *r, int i)
{
    const rb_rival *a = r->best[i], *b = r->best[i + 1];
    const rb_rival *a1 = at_context(r, a, r->context[i + 1]), *b0 = at_context(r, b, r->context[i]);
    const double x0 = (double)r->context[i], x1 = (double)r->context[i + 1];
    if (!a1 || !b0) {
        fprintf(out, ", then %s", b->attn);
        return;
    }
    const double roofs = roofs_crossing(r, a, b);
    const double at = rb_rivals_crossing(x0, a->ns, b0->ns, x1, a1->ns, b->ns);
    if (a->hi < b0->lo && !isnan(at))
        fprintf(out, ", from a context of about %.0f on %s", at, b->attn);
    else
        fprintf(out, ", between %.0f, where they are not told apart, and %.0f on %s", x0, x1,
                b->attn);
    if (!isnan(roofs))
        fprintf(out, "; by the roofs from %.0f", roofs);
    else if (a->roof_ns > 0)
        fprintf(out, "; by the roofs nowhere between");
}

static void put_work(FILE *out, const rb_rival *x)
{
    char bytes[32], flops[32];
    const double passes = x->test.n_prompt || !x->test.n_gen ? 1 : (double)x->test.n_gen;
    rb_count_text(x->bytes / passes, bytes, sizeof bytes);
    rb_count_text(x->flops / passes, flops, sizeof flops);
    fprintf(out, "%s %sB and %sFLOP%s%s", x->attn, bytes, flops,
            x->bound == RB_BOUND_NONE ? "" : ", bound by ",
            x->bound == RB_BOUND_NONE ? "" : rb_bound_name[x->bound]);
}

/* Why: what winner and loser of the last context ask of the machine. */
static void put_reason(FILE *out, const race *r)
{
    const rb_rival *best = r->best[r->n - 1], *first = r->best[0];
    const rb_rival *other = same_way(&first->test, &best->test)
                                ? second(r, best)
                                : at_context(r, first, best->test.n_depth);
    const bool steps = !best->test.n_prompt;
    fprintf(out, " %s at a context of %lld: ", steps ? "A step" : "The test",
            (long long)best->test.n_depth);
    put_work(out, best);
    if (other) {
        fprintf(out, "; ");
        put_work(out, other);
        fprintf(out, ", %.2fx the time%s", other->ns / best->ns,
                other->lo <= best->hi ? ", not told apart" : "");
    }
    fprintf(out, ".");
}

static void put_race(FILE *out, const race *r)
{
    const rb_rival *next = second(r, r->best[0]);
    fprintf(out, "%s", r->best[0]->attn);
    if (next && next->lo <= r->best[0]->hi)
        fprintf(out, " (at %lld not told apart from %s)", (long long)r->context[0], next->attn);
    bool changes = false;
    for (int i = 0; i + 1 < r->n; i++)
        if (!same_way(&r->best[i]->test, &r->best[i + 1]->test)) {
            put_crossing(out, r, i);
            changes = true;
        }
    if (!changes && r->n > 1)
        fprintf(out, " at every context from %lld to %lld", (long long)r->context[0],
                (long long)r->context[r->n - 1]);
    fprintf(out, ".");
}

static bool all_exact(const race *r)
{
    for (int i = 0; i < r->n; i++)
        if (!r->best[i]->exact)
            return false;
    return true;
}

static int n_ways(const race *r)
{
    int n = 0;
    for (int i = 0; i < r->all->n; i++)
        n += runs_in(r, &r->all->at[i]) && r->all->at[i].test.n_depth == r->context[0];
    return n;
}

static void put_test(FILE *out, const rb_rivals *all, const rb_rival *of)
{
    char name[64];
    rb_test bare = of->test;
    const race whole = run(all, of, false), exact = run(all, of, true);
    bare.n_depth = 0;
    if (!whole.n || n_ways(&whole) < 2)
        return;
    fprintf(out, "%s%s, %lld layers, cache %s %s: fastest, as far as intervals tell, is ",
            ftell(out) ? "\n" : "", rb_test_name(&bare, name, sizeof name), (long long)bare.n_layer,
            rb_dtype_get(bare.type_k)->name, rb_dtype_get(bare.type_v)->name);
    put_race(out, &whole);
    put_reason(out, &whole);
    if (!all_exact(&whole) && exact.n && n_ways(&exact) > 1) {
        fprintf(out, " Of the exact ones: ");
        put_race(out, &exact);
    }
}

char *rb_rivals_text(const rb_rivals *r)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = r->n ? open_memstream(&text, &size) : NULL;
    if (!out)
        return NULL;
    for (int i = 0; i < r->n; i++) {
        bool told = false;
        for (int k = 0; k < i && !told; k++)
            told = same_test(&r->at[k], &r->at[i]);
        if (!told)
            put_test(out, r, &r->at[i]);
    }
    const bool whole = !ferror(out);
    if (fclose(out) || !whole || !size) {
        free(text);
        return NULL;
    }
    return text;
}
