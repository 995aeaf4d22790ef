/* What a test may take before it ever ran: weights and attention under half of the roofs. For
 * choosing among tests and for progress, never for results; what is measured replaces it.
 * Refuses nothing. Read next: schedule.c. */
#include "record.h"
#include "run.h"

/* Half of what the machine can do, or cautious figures. */
typedef struct rates {
    double flops, products, bytes; /* a second; products: of weights, as integers where they are */
} rates;

static rates rates_of(const rb_model *model, const rb_test *t, const rb_machine *m)
{
    rates r = { 2e10 * (double)t->n_threads, 2e10 * (double)t->n_threads, 8e9 };
    if (!m || !(m->roof[RB_ROOF_FMA_F32].value > 0) || !(m->roof[RB_ROOF_READ_DRAM].value > 0))
        return r;
    const double dot = 0.5e9 * m->roof[RB_ROOF_DOT_I8].value;
    r.flops = r.products = 0.5e9 * m->roof[RB_ROOF_FMA_F32].value;
    r.bytes = 0.5e9 * m->roof[RB_ROOF_READ_DRAM].value;
    if (rb_dtype_get(rb_main_dtype(model))->block > 1 && !t->act_f32 && dot > r.products)
        r.products = dot;
    return r;
}

/* Of one layer: FLOPs of a pair of query and key, and cached elements of a key. */
static double pair_flops(const rb_config *c)
{
    const double columns = rb_config_is_mla(c) ? 2 * c->kv_lora_rank + rb_config_d_shared(c)
                                               : c->d_head_k + c->d_head_v;
    return 2 * columns * (double)c->n_head;
}

static double cached(const rb_config *c)
{
    const int64_t heads = c->n_head_kv * c->d_head_k + rb_config_n_head_v(c) * c->d_head_v;
    return (double)(rb_config_is_mla(c) ? c->kv_lora_rank + rb_config_d_shared(c) : heads);
}

double rb_guess_s(const rb_model *model, const rb_test *t, const rb_machine *m)
{
    enum { ELEMENT = 2 }; /* bytes of most caches */
    const rates r = rates_of(model, t, m);
    const rb_config *c = &model->config;
    const double embed = (double)c->n_vocab * (double)c->n_embd;
    const double met = rb_flops_per_token(model); /* experts that a token does not take left out */
    const double all = 2 * (double)model->n_params / (double)c->n_layer;
    const double layer = (double)rb_model_layer_bytes(model) * (met / all);
    const double per_layer = met - 2 * embed / (double)c->n_layer;
    const double layers = (double)t->n_layer, seq = (double)t->n_seq;
    const double prompt = (double)t->n_prompt, gen = (double)t->n_gen, past = (double)t->n_depth;
    const double seen = gen * (past + prompt + gen / 2); /* by decode steps, of the cache */
    const double pairs = prompt * (past + prompt / 2) + seen;
    return prompt * seq * per_layer * layers / r.products +
           gen * (layer * layers + 2 * embed) / r.bytes +
           seq * layers * (pairs * pair_flops(c) / r.flops + seen * cached(c) * ELEMENT / r.bytes) +
           0.05;
}

double rb_guess_warmup_s(const rb_model *model, const rb_test *t, const rb_machine *m)
{
    enum { STEPS = 12, TOKENS = 192 }; /* three blocks of trial.c */
    rb_test w = *t;
    w.n_prompt = t->n_gen ? 0 : t->n_prompt < TOKENS ? t->n_prompt : TOKENS;
    w.n_gen = t->n_gen ? STEPS : 0;
    return rb_guess_s(model, &w, m);
}

static const rb_machine *machine_for(const rb_bench *b, const rb_test *t)
{
    return rb_roof_pool_machine(b->params.roofs, t->n_threads, t->isa);
}

double rb_trial_guess(const rb_bench *b, const rb_test *t)
{
    return rb_guess_s(rb_model_for(b, t), t, machine_for(b, t));
}

double rb_warmup_guess(const rb_bench *b, const rb_test *t)
{
    return rb_guess_warmup_s(rb_model_for(b, t), t, machine_for(b, t));
}
