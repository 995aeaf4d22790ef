/* Models with seeded random weights: element i of a tensor depends on (seed, name, i) alone, and
 * every value is exact in f16, so that f16 and f32 models are the same model.
 * Refuses nothing but configs that make no sense; a dry model costs no memory and no time.
 * Read next: tensors.c; gguf_write.c to keep one. */
#include "model.h"

#include <stdlib.h>

/* splitmix64 over FNV-1a of the tensor's name. */
static uint64_t first_state(const char *name, uint64_t seed)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *p = name; *p; p++)
        h = (h ^ (uint8_t)*p) * 0x100000001b3u;
    return h ^ seed;
}

#define STEP 0x9e3779b97f4a7c15u

/* The next of 2048 values in [-1, 1). */
static float next_value(uint64_t *state)
{
    uint64_t z = *state += STEP;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (float)((int)(z >> 53) - 1024) * (1.0f / 1024);
}

/* value = add + scale * x, or of |x|. Matrices shrink with the square root of their width, so that
 * activations keep their size. */
typedef struct recipe {
    float add, scale;
    bool magnitude;
} recipe;

static recipe recipe_of(const rb_tensor *t)
{
    int half_log = (63 - __builtin_clzll((uint64_t)t->cols)) / 2;
    switch (t->kind) {
    case RB_TENSOR_NORM:
        return (recipe){ 1, 0.25f, false };
    case RB_TENSOR_BIAS:
        return (recipe){ 0, 0.25f, false };
    case RB_TENSOR_FREQS:
        return (recipe){ 1, 4, true };
    case RB_TENSOR_PAIRS: /* are numbers: fill_rows counts them */
    case RB_TENSOR_EMBD:
        return (recipe){ 0, 1, false };
    case RB_TENSOR_VECTOR:
    case RB_TENSOR_MATRIX:
    case RB_TENSOR_ROUTER:
        break;
    }
    return (recipe){ 0, 1.0f / (float)(1 << half_log), false };
}

typedef struct filling {
    const rb_view *v;
    const rb_tensor *t;
    uint64_t seed;
    float *row; /* [threads][cols] */
} filling;

/* Rows of one thread: the state of any row is known, as the generator counts in equal steps. */
static void fill_rows(int thread, int n_threads, void *arg)
{
    const filling *f = arg;
    const rb_tensor *t = f->t;
    const int64_t rows = rb_tensor_rows(t), bytes = rb_row_bytes(f->v->dtype, t->cols);
    const int64_t first = rows * thread / n_threads, last = rows * (thread + 1) / n_threads;
    const recipe r = recipe_of(t);
    uint64_t state = first_state(t->name, f->seed) + STEP * (uint64_t)(first * t->cols);
    float *row = f->row + thread * t->cols;
    for (int64_t i = first; i < last; i++) {
        for (int64_t j = 0; j < t->cols; j++) {
            float x = next_value(&state);
            row[j] = t->kind == RB_TENSOR_PAIRS ? (float)j
                                                : r.add + r.scale * (r.magnitude && x < 0 ? -x : x);
        }
        rb_encode_row(f->v->dtype, (char *)rb_at(f->v, 0, 0, 0) + i * bytes, row, t->cols);
    }
}

static rb_mix_model model_of(const rb_config *c)
{
    rb_mix_model m = { .n_layer = c->n_layer,
                       .n_expert = c->n_expert,
                       .tied = c->tied,
                       .wide_gqa = rb_mix_wide_gqa(rb_arch_name[c->arch], c->n_layer, c->n_head,
                                                   c->n_head_kv) };
    for (int64_t i = 0; i < rb_tensor_count(c); i++)
        m.n_attn_v += rb_mix_is_attn_v(rb_tensor_at(c, i).name);
    return m;
}

rb_status rb_model_fill(rb_model *m, const rb_tensor *t, uint64_t seed, rb_error *err)
{
    const int n_threads = rb_tensor_is_matrix(t) ? rb_max_threads() : 1;
    float *row = malloc((size_t)n_threads * (size_t)t->cols * sizeof *row);
    if (!row)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    rb_on_threads(n_threads, fill_rows, &(filling){ rb_tensor_view(m, t), t, seed, row });
    free(row);
    return RB_OK;
}

/* Which types tensors get: those of a mix, or those of a model that there is. */
typedef struct typing {
    rb_mixer mixer;
    const rb_model *like; /* NULL: of the mix */
} typing;

/* Vectors are f32 whatever is asked for, and so are routers of a mix, as files have them. */
static rb_dtype next_type(typing *types, const rb_tensor *t)
{
    if (types->like)
        return rb_tensor_view_of(types->like, t)->dtype;
    const bool taken = rb_tensor_is_matrix(t) && t->kind != RB_TENSOR_ROUTER;
    return taken ? rb_mixer_next(&types->mixer, t->name, t->layer, t->cols) : RB_F32;
}

static rb_status synth_tensors(rb_model **model, const rb_config *config, typing *types,
                               uint64_t seed, bool dry, rb_error *err)
{
    *model = NULL;
    rb_status status = rb_model_new(model, config, "synth", err);
    for (int64_t i = 0; status == RB_OK && i < rb_tensor_count(config); i++) {
        const rb_tensor t = rb_tensor_at(config, i);
        status = rb_model_place(*model, &t, next_type(types, &t), dry, err);
        if (status == RB_OK && !dry)
            status = rb_model_fill(*model, &t, seed, err);
    }
    if (status != RB_OK) {
        rb_model_close(*model);
        *model = NULL;
        return status;
    }
    rb_model_finish(*model);
    return RB_OK;
}

rb_status rb_model_synth_mix(rb_model **model, const rb_config *config, const rb_mix *mix,
                             uint64_t seed, bool dry, rb_error *err)
{
    *model = NULL;
    const rb_status status = rb_config_check(config, err);
    if (status != RB_OK)
        return status;
    typing types = { .mixer = { .mix = mix, .model = model_of(config) } };
    return synth_tensors(model, config, &types, seed, dry, err);
}

rb_status rb_model_synth_like(rb_model **model, const rb_model *like, uint64_t seed, bool dry,
                              rb_error *err)
{
    return synth_tensors(model, &like->config, &(typing){ .like = like }, seed, dry, err);
}

rb_status rb_model_synth(rb_model **model, const rb_config *config, rb_dtype type, uint64_t seed,
                         bool dry, rb_error *err)
{
    *model = NULL;
    if ((unsigned)type >= RB_N_DTYPE || type == RB_I32 || rb_dtype_get(type)->panel_rows > 1)
        return rb_fail(err, RB_ERR_ARGUMENT, "no type for weights was given");
    return rb_model_synth_mix(model, config, &(rb_mix){ .base = type }, seed, dry, err);
}
