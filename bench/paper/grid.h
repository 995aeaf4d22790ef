/* Which tests the paper is measured again by: in parts, each a list of sets, a set being the tests
 * of one model in one type; and how a budget is shared among sets. Pure: nothing is opened or run.
 * Included by paper.h. Read next: grid.c, note.h (what their records say besides). */
#ifndef RB_GRID_H
#define RB_GRID_H

#include "../../engine/engine.h"

/* In the order in which they are run: what matters most comes first. */
typedef enum {
    RB_PART_LAYERS,   /* 1 to 64 layers: decode after 128 tokens, and those as a prompt */
    RB_PART_WORKLOAD, /* SISO, SILO, LISO, LILO: prompts, and decode steps to integrate over */
    RB_PART_TRIO,     /* GQA, MLA and MHA of one size at few layers, for a line in layers */
    RB_PART_FORMS,    /* one set of weights in several forms of attention */
    RB_N_PART
} rb_part;
extern const char *const rb_part_name[RB_N_PART];

enum {
    RB_GRID_MODELS = 16,
    RB_GRID_TYPES = 8,
    RB_GRID_LAYERS = 40,
    RB_GRID_POINTS = 24,
    RB_GRID_WAYS = 8,
    RB_GRID_STEPS = 8 /* decode steps of a sample */
};

typedef struct rb_grid_point {
    int64_t n_prompt, n_gen, n_depth;
} rb_grid_point;

typedef struct rb_grid_set {
    rb_part part;
    const char *model, *type;      /* type NULL: a file, which has its own */
    int64_t n_own;                 /* layers there are weights of; 0: the model's number */
    int64_t layer[RB_GRID_LAYERS]; /* numbers of layers to run; none: the model's number */
    int n_layer;
    rb_grid_point point[RB_GRID_POINTS]; /* each of them at each number of layers in each way */
    int n_point;
    char way[RB_GRID_WAYS][32]; /* of attention, as --attn has it; none: the model's own */
    int n_way;
    int n_reps, least_reps;
    int rank; /* where a part's time is short, sets of higher rank go first */
} rb_grid_set;

typedef struct rb_grid {
    rb_grid_set *set; /* owned */
    int n;
    char left_out[8][160]; /* what of the grid these models cannot have, as lines */
    int n_left_out;
} rb_grid;

/* A model of a user's or of the default list. Borrowed. */
typedef struct rb_grid_model {
    const char *name;
    const rb_config *config;
    bool file; /* runs once, in its own types */
} rb_grid_model;

typedef struct rb_grid_want {
    rb_grid_model model[RB_GRID_MODELS];
    int n_model;
    const char *type[RB_GRID_TYPES]; /* names of mixes, those of most bits first */
    int n_type;
    bool chosen; /* the models are a user's: no part takes others */
    bool full;   /* every model in every part, all depths */
    int n_reps;  /* at most */
} rb_grid_want;

/* The presets that are run unless a user chooses; full: all that the paper has. n: how many. */
const char *const *rb_grid_presets(bool full, int *n);
/* RB_ERR_MEMORY; the grid is to be freed then, too. */
rb_status rb_grid_make(rb_grid *g, const rb_grid_want *want, rb_error *err);
void rb_grid_free(rb_grid *g);

struct rb_plan;
struct rb_test;
struct rb_way;
/* The tests of a set: like has what they share; n_layer: the model's. */
rb_status rb_grid_plan(struct rb_plan *plan, const rb_grid_set *set, const struct rb_test *like,
                       int64_t n_layer, const struct rb_way *way, int n_way, rb_error *err);

/* What a set takes, in seconds. */
typedef struct rb_grid_cost {
    double open;         /* its weights; 0: those of the set before it */
    double warmup, once; /* of those to do: before the first repetition; one of them */
    int n_test, n_todo;  /* tests; those of them that have no record yet */
} rb_grid_cost;

/* What of left_s seconds a part may take: its share among the parts from it on that have tests to
 * do. What a part does not use goes to those after it. cost: of all sets. */
double rb_grid_share(const rb_grid *g, const rb_grid_cost *cost, rb_part part, double left_s);
/* What of the left_s seconds of its part set i may take. The sets from i on that fit with their
 * least repetitions, taken by rank, then in their order, get that, and divide the rest by what all
 * of their repetitions would take. Where none fits, i gets
 * all of it if some of its tests fit. 0: set i does not fit. cost: of all sets. */
double rb_grid_limit(const rb_grid *g, int i, const rb_grid_cost *cost, double left_s);

#endif
