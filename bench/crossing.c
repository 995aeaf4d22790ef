/* The crossing from the memory roof to the compute roof. Predicted: the least times of memory and
 * of compute, each summed over kernels; both grow with n, compute from less. Measured: the time of
 * the smallest step by its bytes against that of the largest by its FLOPs. Times are compared round
 * by round, so that drift hits both alike. It refuses to name a measured crossing where the largest
 * step is not bound by compute. Read next: crossing.h, place.c (rb_place_sides). */
#include "record.h"
#include "table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096 }; /* sequences or tokens that a crossing is looked for among */

/* What a test leaves. */
typedef struct rb_crossing_point {
    rb_test test;
    int64_t n;  /* sequences, or tokens of a pass: a decode step has one */
    int n_took; /* samples; 0: run before */
    double *ns; /* [n_took], of a step */
    double flops, bytes;
    rb_bound bound;
    rb_scale scale; /* roofs beside the median sample */
    bool roofs;
} point;

/* ---- arithmetic ---- */

int64_t rb_crossing_of(rb_sides_fn *sides, void *arg, int64_t most)
{
    int64_t below = 0, at = 1;
    rb_sides s;
    if (most < 1 || !sides(arg, at, &s))
        return most < 1 ? 0 : -1;
    while (s.compute_ns <= s.memory_ns) {
        if (at == most)
            return 0;
        below = at;
        at = at <= most / 2 ? 2 * at : most;
        if (!sides(arg, at, &s))
            return -1;
    }
    while (at - below > 1) {
        const int64_t middle = below + (at - below) / 2;
        if (!sides(arg, middle, &s))
            return -1;
        *(s.compute_ns > s.memory_ns ? &at : &below) = middle;
    }
    return at;
}

static double accepted_at(int64_t n_draft, double chance)
{
    double sum = 0, all = 1;
    for (int64_t i = 0; i < n_draft; i++)
        sum += all *= chance;
    return sum;
}

double rb_accept_chance(int64_t n_draft, double accepted)
{
    double lo = 0, hi = 1;
    if (accepted <= 0)
        return 0;
    if (!(accepted <= (double)n_draft))
        return NAN;
    for (int i = 0; i < 60; i++) {
        const double middle = (lo + hi) / 2;
        *(accepted_at(n_draft, middle) < accepted ? &lo : &hi) = middle;
    }
    return hi;
}

/* Of the rounds that both were in, a over b. */
static rb_stats ratio_of(const point *a, const point *b)
{
    double ratio[RB_MAX_REPS];
    const int n = a->n_took < b->n_took ? a->n_took : b->n_took;
    for (int i = 0; i < n; i++)
        ratio[i] = a->ns[i] / b->ns[i];
    return rb_stats_of(ratio, n);
}

static double median_ns(const point *p)
{
    return rb_stats_of(p->ns, p->n_took).median;
}

/* ---- taking tests in ---- */

static int64_t steps_of(const rb_test *t)
{
    return t->n_draft ? 1 : t->n_gen;
}

static bool take_times(point *p, const rb_result *r)
{
    const double steps = (double)steps_of(&p->test);
    const rb_bytes b = rb_cost_bytes(&r->total.cost);
    p->ns = calloc((size_t)r->n_samples + 1, sizeof *p->ns);
    if (!p->ns)
        return false;
    p->n_took = r->n_samples;
    for (int i = 0; i < p->n_took; i++)
        p->ns[i] = (double)r->sample[i].ns / steps;
    p->flops = (double)r->total.cost.flops / steps;
    p->bytes = (double)rb_bytes_wkv(&b) / steps;
    p->bound = r->place.bound;
    p->roofs = r->machine != NULL;
    if (p->roofs)
        p->scale = rb_scale_of(r->machine, &r->sample[r->median].probe);
    return true;
}

rb_status rb_crossings_note(rb_crossings *c, const rb_test *t, const rb_result *r, rb_error *err)
{
    const bool step = t->n_draft || (t->n_gen && !t->n_prompt);
    const bool drafts = c->over == RB_OVER_DRAFTS;
    point p = { .test = *t, .n = !drafts ? t->n_seq : t->n_draft ? t->n_prompt : 1 };
    if (!step || (r && (r->error[0] || r->dry || !r->n_samples)))
        return RB_OK;
    point *grown = realloc(c->point, ((size_t)c->n + 1) * sizeof *grown);
    if (grown)
        c->point = grown;
    if (!grown || (r && !take_times(&p, r)))
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the crossing of a sweep");
    c->point[c->n++] = p;
    return RB_OK;
}

void rb_crossings_clear(rb_crossings *c)
{
    for (int i = 0; i < c->n; i++)
        free(c->point[i].ns);
    free(c->point);
    *c = (rb_crossings){ .over = c->over };
}

/* ---- which tests belong together ---- */

static bool go_together(const rb_crossings *c, const rb_test *a, const rb_test *b)
{
    rb_test x = *a;
    if (c->over == RB_OVER_SEQUENCES)
        x.n_seq = b->n_seq;
    else
        x.n_draft = b->n_draft, x.n_prompt = b->n_prompt, x.n_gen = b->n_gen;
    return rb_test_equal(&x, b);
}

/* The tests that go with the first of them: the ends of those with times, and the mean of their
 * roofs. */
typedef struct group {
    const rb_crossings *c;
    const point *first, *least, *most; /* least, most: NULL without times */
    const point *step;                 /* drafts: the decode step beside them, or NULL */
    rb_scale scale;
} group;

static bool is_first(const rb_crossings *c, int i)
{
    for (int k = 0; k < i; k++)
        if (go_together(c, &c->point[k].test, &c->point[i].test))
            return false;
    return true;
}

static group group_of(const rb_crossings *c, int first)
{
    group g = { .c = c, .first = &c->point[first] };
    double n = 0;
    for (int i = first; i < c->n; i++) {
        const point *p = &c->point[i];
        if (!p->n_took || !go_together(c, &p->test, &g.first->test))
            continue;
        g.least = !g.least || p->n < g.least->n ? p : g.least;
        g.most = !g.most || p->n > g.most->n ? p : g.most;
        g.step = c->over == RB_OVER_DRAFTS && !p->test.n_draft && !g.step ? p : g.step;
        if (!p->roofs)
            continue;
        n++;
        g.scale.memory += p->scale.memory;
        g.scale.clock += p->scale.clock;
    }
    g.scale = n > 0 ? (rb_scale){ g.scale.memory / n, g.scale.clock / n } : (rb_scale){ 1, 1 };
    return g;
}

/* ---- crossings ---- */

/* What rb_crossing_of asks with. */
typedef struct asking {
    const group *g;
    rb_demand_fn *ask;
    void *arg;
    double ratio; /* of the smallest step's time over the largest's; 0: least times */
    bool no_roofs;
} asking;

static rb_test test_at(const group *g, int64_t n)
{
    rb_test t = g->first->test;
    if (g->c->over == RB_OVER_SEQUENCES)
        t.n_seq = n;
    else {
        t.n_gen = 0;
        t.n_draft = n - 1;
        t.n_prompt = n;
        t.n_ubatch = n > t.n_ubatch ? n : t.n_ubatch;
    }
    return t;
}

static bool sides_at(void *arg, int64_t n, rb_sides *sides)
{
    asking *a = arg;
    rb_demand d;
    const rb_test t = test_at(a->g, n);
    if (!a->ask(a->arg, &t, a->g->scale, &d))
        return false;
    a->no_roofs = d.least.memory_ns + d.least.compute_ns <= 0;
    *sides = d.least;
    if (a->g->least && a->ratio > 0)
        *sides = (rb_sides){ a->ratio * d.bytes / a->g->least->bytes, d.flops / a->g->most->flops };
    return true;
}

static const char *noun_of(const rb_crossings *c)
{
    return c->over == RB_OVER_SEQUENCES ? "sequences" : "tokens a pass";
}

static void say_predicted(FILE *out, asking *a, int64_t most)
{
    const int64_t n = rb_crossing_of(sides_at, a, most);
    if (n < 0 || a->no_roofs)
        return;
    if (n)
        fprintf(out,
                "by exact counts under the measured roofs compute takes longer than memory from "
                "%lld %s on. ",
                (long long)n, noun_of(a->g->c));
    else
        fprintf(out,
                "by exact counts under the measured roofs memory takes longer than compute up to "
                "%lld %s and more. ",
                (long long)most, noun_of(a->g->c));
}

static bool from_memory(const point *p)
{
    return !p->roofs || p->bound == RB_BOUND_MEMORY || p->bound == RB_BOUND_RESIDENT;
}

static void say_measured(FILE *out, asking *a, int64_t most)
{
    const point *p = a->g->least, *q = a->g->most;
    const char *noun = noun_of(a->g->c);
    char name[64];
    if (!p || p->n == q->n) {
        fputs("Measured: less than two steps of different size.", out);
        return;
    }
    if (!from_memory(p) || (q->roofs && q->bound != RB_BOUND_COMPUTE)) {
        const point *at = from_memory(p) ? q : p;
        fprintf(out, "Measured: %s is bound by %s, so that %s.",
                rb_test_name(&at->test, name, sizeof name), rb_bound_name[at->bound],
                at == p ? "no step has the memory roof to leave"
                        : "the compute roof is not reached in this sweep");
        return;
    }
    const rb_stats ratio = ratio_of(p, q);
    a->ratio = ratio.median;
    const int64_t n = rb_crossing_of(sides_at, a, most);
    fprintf(out, "Measured: %.2f GB/s at %lld and %.2f GFLOP/s at %lld %s, two lines that cross ",
            p->bytes / median_ns(p), (long long)p->n, q->flops / median_ns(q), (long long)q->n,
            noun);
    fprintf(out,
            n > 0   ? "at %lld"
            : n < 0 ? "somewhere" /* stopped before counts were asked for */
                    : "nowhere",
            (long long)n);
    if (n > 0 && ratio.has_ci) {
        a->ratio = ratio.ci_lo;
        const int64_t lo = rb_crossing_of(sides_at, a, most);
        a->ratio = ratio.ci_hi;
        const int64_t hi = rb_crossing_of(sides_at, a, most);
        if (lo > 0 && hi >= 0) /* less: stopped meanwhile */
            fprintf(out, hi ? " (95 %%: %lld to %lld)" : " (95 %%: %lld or more)", (long long)lo,
                    (long long)hi);
    }
    fputs(q->roofs ? "." : ", if no other roof binds the last.", out);
}

/* ---- what drafts cost ---- */

static const char *const heads[] = {
    "test",           "a pass", "of a decode step", "95 % CI", "pays from, accepted a pass",
    "chance a token", NULL
};

static void fill(const point *p, const point *step, rb_cells cells)
{
    const rb_stats cost = ratio_of(p, step);
    const double accepted = fmax(0, cost.median - 1);
    const double chance = rb_accept_chance(p->test.n_draft, accepted);
    memset(cells, 0, sizeof(rb_cells));
    rb_test_name(&p->test, cells[0], RB_CELL);
    rb_time_text(median_ns(p), cells[1]);
    snprintf(cells[2], RB_CELL, "%.2f", cost.median);
    snprintf(cells[3], RB_CELL, cost.has_ci ? "%.2f to %.2f" : "-", cost.ci_lo, cost.ci_hi);
    snprintf(cells[4], RB_CELL, isnan(chance) ? "never" : "%.2f", accepted);
    snprintf(cells[5], RB_CELL, isnan(chance) ? "-" : "%.0f %%", 100 * chance);
}

static void say_costs(FILE *out, const group *g)
{
    rb_table t = { 0 };
    rb_cells cells;
    char name[64];
    for (int i = 0; heads[i]; i++)
        rb_table_column(&t, heads[i], i != 0, 0);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            rb_table_head(out, &t);
        for (int i = 0; i < g->c->n; i++) {
            const point *p = &g->c->point[i];
            if (!p->n_took || !p->test.n_draft || !go_together(g->c, &p->test, &g->first->test))
                continue;
            fill(p, g->step, cells);
            pass ? rb_table_row(out, &t, cells) : rb_table_fit(&t, cells);
        }
    }
    const double cost = ratio_of(g->most, g->step).median;
    fprintf(out,
            "\nVerifying %lld drafted tokens takes %.2fx a decode step (%s): it pays from %.2f "
            "accepted tokens a pass on.\nRatios are medians over rounds. Chance: of each token, "
            "the first rejected one ends a pass. Drafting itself is\nnot counted.\n\n",
            (long long)g->most->test.n_draft, cost, rb_test_name(&g->step->test, name, sizeof name),
            fmax(0, cost - 1));
}

/* ---- text ---- */

static int n_groups(const rb_crossings *c)
{
    int n = 0;
    for (int i = 0; i < c->n; i++)
        n += is_first(c, i);
    return n;
}

/* "tg32 @ d512", with what tells it from other groups. */
static void put_name(FILE *out, const group *g, const rb_subject *subject)
{
    char name[64], attn[64];
    rb_test t = g->first->test;
    if (g->c->over == RB_OVER_SEQUENCES)
        t.n_seq = 1;
    else
        t.n_draft = 1, t.n_gen = 0; /* "vf1", cut to the kind */
    rb_test_name(&t, name, sizeof name);
    if (g->c->over == RB_OVER_DRAFTS)
        fprintf(out, "vf%s", name + 3);
    else
        fputs(name, out);
    if (n_groups(g->c) > 1)
        fprintf(out, ", %s, %lld layers, cache %s %s, %d threads",
                rb_subject_attn(subject, &t, attn, sizeof attn), (long long)t.n_layer,
                rb_dtype_get(t.type_k)->name, rb_dtype_get(t.type_v)->name, t.n_threads);
    fputs(": ", out);
}

char *rb_crossings_text(const rb_crossings *c, const rb_subject *subject, rb_demand_fn *ask,
                        void *arg)
{
    const int64_t n_vocab = subject->model->config.n_vocab, most = n_vocab < MOST ? n_vocab : MOST;
    char *text = NULL;
    size_t size;
    FILE *out = c->n ? open_memstream(&text, &size) : NULL;
    if (!out)
        return NULL;
    for (int i = 0; i < c->n; i++) {
        if (!is_first(c, i))
            continue;
        const group g = group_of(c, i);
        asking a = { .g = &g, .ask = ask, .arg = arg };
        fputs(i ? "\n\n" : "", out);
        if (g.step && g.most->test.n_draft)
            say_costs(out, &g);
        put_name(out, &g, subject);
        say_predicted(out, &a, most);
        say_measured(out, &a, most);
    }
    const bool whole = !ferror(out);
    if (fclose(out) || !whole) {
        free(text);
        return NULL;
    }
    return text;
}
