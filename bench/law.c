/* Fits t(d) = a + b d to the decode tests of a plan that differ in context alone. In each round one
 * line by least squares, so that drift of the machine hits all contexts of a line alike; of a and b
 * the median over rounds, with its interval. How far the law is off where it was fitted stands
 * beside it: it refuses no data for being no line. Read next: law.h, law_text.c. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_CONTEXTS = 3, NO_LAW = -1 };

/* What a test leaves. */
typedef struct rb_law_point {
    rb_test test;
    double context;  /* tokens in the cache before a step, the mean over steps */
    int n;           /* samples */
    double *ns;      /* [n], of a step */
    rb_scale *scale; /* [n], its roofs */
    rb_tally *cell;  /* [n_cell]: counts, and times of the median sample */
    int *where;      /* [n_cell]: in the ledger */
    int n_cell, law; /* law: which was made from it */
    double whole_ns; /* the median sample, all steps */
    const rb_machine *machine;
    int resident;
} point;

/* ---- taking results in ---- */

static void free_point(point *p)
{
    free(p->ns);
    free(p->scale);
    free(p->cell);
    free(p->where);
}

static bool alloc_point(point *p, int n, int n_cell)
{
    p->ns = calloc((size_t)n, sizeof *p->ns);
    p->scale = calloc((size_t)n, sizeof *p->scale);
    p->cell = calloc((size_t)n_cell + 1, sizeof *p->cell);
    p->where = calloc((size_t)n_cell + 1, sizeof *p->where);
    return p->ns && p->scale && p->cell && p->where;
}

static void copy_samples(point *p, const rb_result *r)
{
    p->n = r->n_samples;
    for (int i = 0; i < p->n; i++) {
        p->ns[i] = (double)r->sample[i].ns / (double)r->test.n_gen;
        p->scale[i] =
            r->machine ? rb_scale_of(r->machine, &r->sample[i].probe) : (rb_scale){ 1, 1 };
    }
    p->whole_ns = (double)r->sample[r->median].ns;
}

rb_status rb_laws_note(rb_laws *l, const rb_result *r, rb_error *err)
{
    enum { N_CELL = RB_N_PHASE * RB_N_SITE * RB_N_OP };
    const rb_tally *cell = &r->ledger.at[0][0][0];
    const rb_test *t = &r->test;
    int n_cell = 0;
    if (r->error[0] || r->dry || !r->n_samples || t->n_prompt || !t->n_gen)
        return RB_OK;
    for (int i = 0; i < N_CELL; i++)
        n_cell += cell[i].calls > 0;
    point *grown = realloc(l->point, ((size_t)l->n_point + 1) * sizeof *grown);
    l->point = grown ? grown : l->point;
    point p = { .test = *t,
                .context = (double)t->n_depth + (double)(t->n_gen - 1) / 2,
                .law = NO_LAW,
                .machine = r->machine,
                .resident = r->machine ? rb_resident_level(r, r->machine) : RB_DRAM };
    if (!grown || !alloc_point(&p, r->n_samples, n_cell)) {
        free_point(&p);
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the law of context");
    }
    copy_samples(&p, r);
    for (int i = 0; i < N_CELL; i++)
        if (cell[i].calls) {
            p.where[p.n_cell] = i;
            p.cell[p.n_cell++] = cell[i];
        }
    l->point[l->n_point++] = p;
    return RB_OK;
}

void rb_laws_clear(rb_laws *l)
{
    for (int i = 0; i < l->n_point; i++)
        free_point(&l->point[i]);
    free(l->point);
    free(l->law);
    free(l->foretold);
    *l = (rb_laws){ .hold = l->hold };
}

/* ---- which tests belong together ---- */

/* But for context and sequences. */
static bool same_but_for_size(const rb_test *a, const rb_test *b)
{
    rb_test x = *a;
    x.n_depth = b->n_depth;
    x.n_seq = b->n_seq;
    return rb_test_equal(&x, b);
}

static bool is_held(const rb_laws *l, const point *p)
{
    return p->test.n_depth == l->hold;
}

static double median_of(const double *x, int n)
{
    return rb_stats_of(x, n).median;
}

/* ---- lines ---- */

typedef struct line {
    double a, b;
} line;

typedef struct sums {
    double n, x, y, xx, xy;
} sums;

static void add(sums *s, double x, double y)
{
    s->n++;
    s->x += x;
    s->y += y;
    s->xx += x * x;
    s->xy += x * y;
}

/* Of points that do not all have the same x. */
static line line_of(const sums *s)
{
    const double b = (s->n * s->xy - s->x * s->y) / (s->n * s->xx - s->x * s->x);
    return (line){ (s->y - b * s->x) / s->n, b };
}

static line line_of_times(const rb_laws *l, int law, int round)
{
    sums s = { 0 };
    for (int i = 0; i < l->n_point; i++)
        if (l->point[i].law == law)
            add(&s, l->point[i].context, l->point[i].ns[round]);
    return line_of(&s);
}

/* The least time of a step under scaled roofs. */
static double least_of(const point *p, rb_scale scale)
{
    double sum = 0;
    for (int k = 0; k < p->n_cell; k++)
        sum += rb_place_tally(&p->cell[k], p->machine, scale, p->resident).roof_ns;
    return sum / (double)p->test.n_gen;
}

/* The roofs of a round, the same for all its contexts: their mean. */
static rb_scale scale_of_round(const rb_laws *l, int law, int round)
{
    rb_scale sum = { 0 };
    double n = 0;
    for (int i = 0; i < l->n_point; i++) {
        const point *p = &l->point[i];
        if (p->law != law)
            continue;
        n++;
        sum.memory += p->scale[round].memory;
        sum.clock += p->scale[round].clock;
    }
    return (rb_scale){ sum.memory / n, sum.clock / n };
}

static line line_of_roofs(const rb_laws *l, int law, int round)
{
    const rb_scale scale = scale_of_round(l, law, round);
    sums s = { 0 };
    for (int i = 0; i < l->n_point; i++)
        if (l->point[i].law == law)
            add(&s, l->point[i].context, least_of(&l->point[i], scale));
    return line_of(&s);
}

/* ---- laws ---- */

static double law_at(const rb_law *law, double context)
{
    return law->a.median + law->b.median * context;
}

/* Makes the points that go with the first one, and it, those of the next law. Returns how many
 * contexts they have, and the rounds that all of them were in. */
static int gather(rb_laws *l, int first, int *n_round)
{
    const rb_test *like = &l->point[first].test;
    int n = 0;
    *n_round = RB_MAX_REPS;
    for (int i = first; i < l->n_point; i++) {
        point *p = &l->point[i];
        if (is_held(l, p) || p->test.n_seq != like->n_seq || !same_but_for_size(&p->test, like))
            continue;
        bool again = false;
        for (int k = first; k < i; k++)
            again |= l->point[k].law == l->n_law && l->point[k].test.n_depth == p->test.n_depth;
        n += !again;
        p->law = l->n_law;
        *n_round = p->n < *n_round ? p->n : *n_round;
    }
    return n;
}

static double misfit_of(const rb_laws *l, int law)
{
    double most = 0;
    for (int i = 0; i < l->n_point; i++) {
        const point *p = &l->point[i];
        if (p->law != law)
            continue;
        const double took = median_of(p->ns, p->n);
        most = fmax(most, fabs(law_at(&l->law[law], p->context) - took) / took);
    }
    return most;
}

/* The next law, of points that were gathered. */
static void fit(rb_laws *l, const point *first, int n_context, int n_round)
{
    double a[RB_MAX_REPS], b[RB_MAX_REPS], roof[RB_MAX_REPS];
    rb_law *law = &l->law[l->n_law];
    for (int k = 0; k < n_round; k++) {
        const line times = line_of_times(l, l->n_law, k);
        a[k] = times.a;
        b[k] = times.b;
        roof[k] = first->machine ? line_of_roofs(l, l->n_law, k).b : 0;
    }
    *law = (rb_law){ .test = first->test,
                     .n_context = n_context,
                     .a = rb_stats_of(a, n_round),
                     .b = rb_stats_of(b, n_round),
                     .roof_ns = first->machine ? median_of(roof, n_round) : NAN };
    law->misfit = misfit_of(l, l->n_law);
    l->n_law++;
}

static void forget(rb_laws *l)
{
    for (int i = 0; i < l->n_point; i++)
        if (l->point[i].law == l->n_law)
            l->point[i].law = NO_LAW;
}

/* ---- what laws say of other tests ---- */

/* The time of a step of q over that of p, if every kernel came as near to its roofs: the work of
 * each by the ratio of its least times (roofs as first measured), the rest as it is. */
static double ratio_of(const point *p, const point *q)
{
    static const rb_scale as_measured = { 1, 1 };
    double more = 0;
    for (int k = 0; k < p->n_cell; k++)
        for (int i = 0; i < q->n_cell; i++) {
            if (q->where[i] != p->where[k])
                continue;
            const rb_place one = rb_place_tally(&p->cell[k], p->machine, as_measured, p->resident);
            const rb_place all = rb_place_tally(&q->cell[i], p->machine, as_measured, p->resident);
            if (one.roof_ns > 0)
                more += (all.roof_ns / one.roof_ns - 1) * (double)p->cell[k].ns;
        }
    return 1 + more / p->whole_ns;
}

/* By a law of fewer sequences, which was fitted at the same context. */
static bool foretell_sequences(const rb_laws *l, const point *q, double *ns)
{
    for (int i = 0; i < l->n_point; i++) {
        const point *p = &l->point[i];
        if (p->law == NO_LAW || p->test.n_depth != q->test.n_depth || !p->machine ||
            p->test.n_seq >= q->test.n_seq || !same_but_for_size(&p->test, &q->test))
            continue;
        *ns = law_at(&l->law[p->law], p->context) * ratio_of(p, q);
        return true;
    }
    return false;
}

static bool foretell_context(const rb_laws *l, const point *q, double *ns)
{
    for (int i = 0; i < l->n_law; i++) {
        const rb_law *law = &l->law[i];
        if (law->test.n_seq != q->test.n_seq || !same_but_for_size(&law->test, &q->test))
            continue;
        *ns = law_at(law, q->context);
        return true;
    }
    return false;
}

rb_status rb_laws_fit(rb_laws *l, rb_error *err)
{
    const size_t room = (size_t)l->n_point + 1;
    int n_round;
    l->law = calloc(room, sizeof *l->law);
    l->foretold = calloc(room, sizeof *l->foretold);
    if (!l->law || !l->foretold)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the law of context");
    for (int i = 0; i < l->n_point; i++) {
        if (l->point[i].law != NO_LAW || is_held(l, &l->point[i]))
            continue;
        const int n_context = gather(l, i, &n_round);
        if (n_context >= LEAST_CONTEXTS)
            fit(l, &l->point[i], n_context, n_round);
        else
            forget(l);
    }
    for (int i = 0; i < l->n_point; i++) {
        const point *p = &l->point[i];
        rb_foretold f = { .test = p->test, .took_ns = median_of(p->ns, p->n) };
        if (p->law == NO_LAW &&
            (foretell_context(l, p, &f.said_ns) || foretell_sequences(l, p, &f.said_ns)))
            l->foretold[l->n_foretold++] = f;
    }
    return RB_OK;
}
