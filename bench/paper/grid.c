/* The paper's tests as sets: which models, types, layers, contexts and forms each part takes, and
 * what of a budget. Refuses nothing; what some models cannot have is said in the grid's lines.
 * Read next: grid.h, integrate.h (why decode is sampled at a few contexts). */
#include "../bench.h"

#include <stdlib.h>
#include <string.h>

const char *const rb_part_name[RB_N_PART] = { "layers", "workload", "trio", "forms" };

/* Of the whole budget. */
static const double part_share[RB_N_PART] = { 0.24, 0.50, 0.16, 0.10 };

/* A median of fewer than six has no 95 % interval. */
enum { SHORT = 128, LONG = 4096, LEAST_REPS = 6, LONG_REPS = 3, MOST_RANK = 3 };

static const char layers_model[] = "qwen2.5-0.5b", forms_model[] = "smollm2-135m";
static const char *const trio_model[] = { "qwen2.5-1.5b", "plm-1.8b", "smollm2-1.7b" };
enum { N_TRIO = sizeof trio_model / sizeof *trio_model };

const char *const *rb_grid_presets(bool full, int *n)
{
    static const char *const few[] = { "smollm2-135m", "smollm2-360m", "qwen2.5-0.5b",
                                       "qwen3-0.6b" };
    static const char *const all[] = { "smollm2-135m", "pythia-160m",  "smollm2-360m",
                                       "pythia-410m",  "qwen2.5-0.5b", "qwen3-0.6b",
                                       "llama3.2-1b",  "qwen2.5-1.5b", "fox1-1.6b",
                                       "smollm2-1.7b", "plm-1.8b" };
    *n = (int)(full ? sizeof all / sizeof *all : sizeof few / sizeof *few);
    return full ? all : few;
}

/* ---- sets ---- */

typedef struct builder {
    rb_grid *g;
    const rb_grid_want *want;
    rb_status st;
    rb_error *err;
} builder;

/* A new set at the end, valid until the next; NULL: no memory. */
static rb_grid_set *add_set(builder *b, rb_part part, const rb_grid_model *m, const char *type)
{
    rb_grid *g = b->g;
    rb_grid_set *grown = realloc(g->set, (size_t)(g->n + 1) * sizeof *grown);
    if (!grown) {
        b->st = rb_fail(b->err, RB_ERR_MEMORY, "no memory for the paper's tests");
        return NULL;
    }
    g->set = grown;
    const int n = b->want->n_reps;
    g->set[g->n] = (rb_grid_set){ .part = part,
                                  .model = m->name,
                                  .type = m->file ? NULL : type,
                                  .n_reps = n,
                                  .least_reps = n < LEAST_REPS ? n : LEAST_REPS };
    return &g->set[g->n++];
}

static void add_point(rb_grid_set *s, int64_t n_prompt, int64_t n_gen, int64_t n_depth)
{
    const rb_grid_point p = { n_prompt, n_gen, n_depth };
    int i = s->n_point;
    for (int k = 0; k < s->n_point; k++)
        if (!memcmp(&s->point[k], &p, sizeof p))
            return;
    for (; i > 0 && s->point[i - 1].n_depth > n_depth; i--) /* rising in context */
        s->point[i] = s->point[i - 1];
    s->point[i] = p;
    s->n_point++;
}

static void say(rb_grid *g, const char *text)
{
    if (g->n_left_out < (int)(sizeof g->left_out / sizeof *g->left_out))
        snprintf(g->left_out[g->n_left_out++], sizeof *g->left_out, "%s", text);
}

/* The model of that name among those wanted, NULL if there is none. */
static const rb_grid_model *among(const rb_grid_want *w, const char *name)
{
    for (int i = 0; i < w->n_model; i++)
        if (!w->model[i].file && !strcmp(w->model[i].name, name))
            return &w->model[i];
    return NULL;
}

/* ---- parts ---- */

static void add_depths(rb_grid_set *s, bool full)
{
    static const int64_t some[] = { 1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64 };
    enum { DEEPEST = 64 };
    for (size_t i = 0; !full && i < sizeof some / sizeof *some; i++)
        s->layer[s->n_layer++] = some[i];
    for (int64_t l = 1; full && l <= DEEPEST; l += l > 1 ? 2 : 1)
        s->layer[s->n_layer++] = l;
}

/* The types of most and of fewest bits: what the layers around and the layers themselves weigh
 * differs between them. */
static void add_layers(builder *b, const rb_grid_model *m)
{
    const rb_grid_want *w = b->want;
    const int n = m->file || w->n_type == 1 ? 1 : 2;
    for (int t = 0; t < n; t++) {
        rb_grid_set *s = add_set(b, RB_PART_LAYERS, m, w->type[t ? w->n_type - 1 : 0]);
        if (!s)
            return;
        add_depths(s, w->full);
        add_point(s, SHORT, 0, 0);
        add_point(s, 0, RB_GRID_STEPS, SHORT);
    }
}

/* Contexts that the decode steps of all four workloads are integrated from: they share some. */
static void add_contexts(rb_grid_set *s)
{
    for (int w = 0; w < RB_N_WORKLOAD; w++) {
        int64_t at[RB_MOST_CONTEXTS];
        const rb_workload_info *info = &rb_workload_infos[w];
        const int n = rb_integrate_at(info->n_prompt, info->n_gen, RB_GRID_STEPS, at);
        for (int i = 0; i < n; i++)
            add_point(s, 0, RB_GRID_STEPS, at[i]);
    }
}

/* The contexts of both ends go to ends, those between them stay. */
static void take_ends(rb_grid_set *s, rb_grid_set *ends)
{
    const rb_grid_point last = s->point[s->n_point - 1];
    add_point(ends, 0, s->point[0].n_gen, s->point[0].n_depth);
    add_point(ends, 0, last.n_gen, last.n_depth);
    s->n_point -= 2;
    memmove(s->point, s->point + 1, (size_t)s->n_point * sizeof *s->point);
}

/* Sets of one model and type, what matters most first: where time is short, those of all models and
 * types go from the last of these kinds on, a long prompt in the first type after the others. */
static void add_workload(builder *b, const rb_grid_model *m, const char *type)
{
    rb_grid_set all = { .n_point = 0 }, *s = add_set(b, RB_PART_WORKLOAD, m, type);
    if (!s)
        return;
    add_contexts(&all);
    add_point(s, SHORT, 0, 0);
    take_ends(&all, s);
    if (!(s = add_set(b, RB_PART_WORKLOAD, m, type)))
        return;
    memcpy(s->point, all.point, sizeof s->point);
    s->n_point = all.n_point;
    s->rank = 1;
    if (!(s = add_set(b, RB_PART_WORKLOAD, m, type)))
        return;
    add_point(s, LONG, 0, 0);
    s->n_reps = s->n_reps < LONG_REPS ? s->n_reps : LONG_REPS;
    s->least_reps = 1;
    s->rank = type == b->want->type[0] ? 2 : 3;
    if (!(s = add_set(b, RB_PART_WORKLOAD, m, type)))
        return;
    add_point(s, SHORT, SHORT, 0);
    s->rank = 3;
}

static void add_workloads(builder *b)
{
    const rb_grid_want *w = b->want;
    for (int m = 0; m < w->n_model; m++)
        for (int t = 0; t < (w->model[m].file ? 1 : w->n_type); t++)
            add_workload(b, &w->model[m], w->type[t]);
}

/* Beyond the last of these layers there are no weights: what all layers take follows from a line.
 */
static void add_trio(builder *b)
{
    static const int64_t depth[] = { 2, 4, 8 };
    enum { N_DEPTH = sizeof depth / sizeof *depth };
    int n = 0;
    for (int i = 0; i < N_TRIO; i++) {
        const rb_grid_model m = { .name = trio_model[i] };
        rb_grid_set *s = NULL;
        if (!b->want->chosen || among(b->want, trio_model[i]))
            s = add_set(b, RB_PART_TRIO, &m, b->want->type[0]);
        if (!s)
            continue;
        n++;
        memcpy(s->layer, depth, sizeof depth);
        s->n_layer = N_DEPTH;
        s->n_own = depth[N_DEPTH - 1];
        add_point(s, SHORT, 0, 0);
        add_point(s, 0, RB_GRID_STEPS, SHORT);
        add_point(s, 0, RB_GRID_STEPS, LONG);
    }
    if (n < N_TRIO)
        say(b->g, n ? "trio: only those of its models that are among --models"
                    : "trio: qwen2.5-1.5b, plm-1.8b and smollm2-1.7b are not among --models");
}

/* The forms that weights of c can be given; beside their own none: no comparison. */
static void add_ways(rb_grid_set *s, const rb_config *c)
{
    const long long rank = c->n_head_kv * (c->d_head_k + c->d_head_v) / 4;
    char word[5][32] = { "mha", "mqa", "mla" };
    snprintf(word[3], sizeof *word, "mla:%lld", rank);
    snprintf(word[4], sizeof *word, "lrkv:%lld", rank);
    snprintf(s->way[s->n_way++], sizeof *s->way, "%s", rb_attn_name(c, RB_ATTN_OWN));
    for (int i = 0; i < 5; i++) {
        rb_attn_form form;
        rb_config to;
        if (strcmp(word[i], s->way[0]) != 0 && rb_attn_form_parse(&form, word[i], NULL) == RB_OK &&
            rb_attn_form_config(&to, c, &form, NULL) == RB_OK)
            snprintf(s->way[s->n_way++], sizeof *s->way, "%s", word[i]);
    }
}

static void add_forms(builder *b, const rb_grid_model *m)
{
    static const int64_t context[] = { 128, 1024, 4096 };
    rb_grid_set *s = add_set(b, RB_PART_FORMS, m, b->want->type[0]);
    char text[160];
    if (!s)
        return;
    add_ways(s, m->config);
    add_point(s, SHORT, 0, 0);
    for (size_t i = 0; i < sizeof context / sizeof *context; i++)
        add_point(s, 0, RB_GRID_STEPS, context[i]);
    if (s->n_way > 1)
        return;
    b->g->n--;
    snprintf(text, sizeof text, "forms: attention of %.80s converts to no other", m->name);
    say(b->g, text);
}

/* One model, or with --full all of them. */
static void add_part(builder *b, const char *name, void (*add)(builder *, const rb_grid_model *))
{
    const rb_grid_want *w = b->want;
    const rb_grid_model *m = among(w, name);
    for (int i = 0; w->full && i < w->n_model; i++)
        add(b, &w->model[i]);
    if (!w->full)
        add(b, m ? m : &w->model[0]);
}

rb_status rb_grid_make(rb_grid *g, const rb_grid_want *want, rb_error *err)
{
    builder b = { g, want, RB_OK, err };
    *g = (rb_grid){ 0 };
    add_part(&b, layers_model, add_layers);
    add_workloads(&b);
    add_trio(&b);
    add_part(&b, forms_model, add_forms);
    return b.st;
}

void rb_grid_free(rb_grid *g)
{
    free(g->set);
    *g = (rb_grid){ 0 };
}

/* ---- plans and budgets ---- */

rb_status rb_grid_plan(rb_plan *plan, const rb_grid_set *s, const rb_test *like, int64_t n_layer,
                       const rb_way *way, int n_way, rb_error *err)
{
    const int n_depth = s->n_layer ? s->n_layer : 1;
    *plan = (rb_plan){ calloc((size_t)(n_depth * s->n_point * n_way) + 1, sizeof *plan->test), 0 };
    if (!plan->test)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a plan");
    for (int l = 0; l < n_depth; l++)
        for (int p = 0; p < s->n_point; p++)
            for (int w = 0; w < n_way; w++) {
                rb_test *t = &plan->test[plan->n++];
                *t = *like;
                t->n_layer = s->n_layer ? s->layer[l] : n_layer;
                t->n_prompt = s->point[p].n_prompt;
                t->n_gen = s->point[p].n_gen;
                t->n_depth = s->point[p].n_depth;
                t->model = way[w].model;
                t->attn = way[w].attn;
            }
    return RB_OK;
}

double rb_grid_share(const rb_grid *g, const rb_grid_cost *cost, rb_part part, double left_s)
{
    bool has[RB_N_PART] = { false };
    double later = 0;
    for (int k = 0; k < g->n; k++)
        has[g->set[k].part] |= cost[k].n_todo > 0;
    for (int p = (int)part; p < RB_N_PART; p++)
        later += has[p] ? part_share[p] : 0;
    return has[part] ? left_s * part_share[part] / later : 0;
}

static double with_reps(const rb_grid_cost *c, int n_reps)
{
    return c->open + c->warmup + c->once * n_reps;
}

/* Room for a test of the mean cost: cheaper ones are run then. */
static bool part_fits(const rb_grid_cost *c, int n_reps, double left_s)
{
    return c->n_todo && c->open + (c->warmup + c->once * n_reps) / c->n_todo < left_s;
}

double rb_grid_limit(const rb_grid *g, int i, const rb_grid_cost *cost, double left_s)
{
    const rb_part part = g->set[i].part;
    double least = 0, most = 0;
    bool fits = false;
    for (int rank = 0; rank <= MOST_RANK; rank++)
        for (int k = i; k < g->n && g->set[k].part == part; k++) {
            const rb_grid_set *s = &g->set[k];
            const double need = with_reps(&cost[k], s->least_reps);
            if (s->rank != rank || least + need > left_s)
                continue;
            least += need;
            most += with_reps(&cost[k], s->n_reps);
            fits = fits || k == i;
        }
    if (!fits)
        return !least && part_fits(&cost[i], g->set[i].least_reps, left_s) ? left_s : 0;
    /* what is guessed too low wants some of the rest, too */
    return with_reps(&cost[i], g->set[i].least_reps) +
           (left_s - least) * with_reps(&cost[i], g->set[i].n_reps) / most;
}
