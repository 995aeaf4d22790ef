/* Which variant of attention runs: names, what a model can be asked for, and for latent models the
 * order of each call, by what it would cost: both orders are walked dry, so that the rule cannot
 * drift from what is launched. Refuses other names, with the reason.
 * Read next: attn_gqa.c, attn_mla.c. */
#include "session.h"

#include <string.h>

static const char *const mla_name[RB_N_ATTN] = {
    [RB_ATTN_MLA] = "mla",
    [RB_ATTN_MLA_NAIVE_FULL] = "mla-naive-full",
    [RB_ATTN_MLA_NAIVE_LATENT] = "mla-naive-latent",
    [RB_ATTN_MLA_ABSORBED] = "mla-absorbed",
};

const char *rb_attn_name(const rb_config *c, rb_attn attn)
{
    if (rb_config_is_mla(c))
        return mla_name[attn == RB_ATTN_OWN ? RB_ATTN_MLA : attn];
    if (c->late_rope)
        return "lrkv";
    if (c->d_value_up)
        return "gta";
    if (c->n_head_v)
        return "gha";
    if (c->d_head_v > c->d_head_k && c->d_head_v % c->d_head_k == 0)
        return "gva";
    return c->n_head_kv == c->n_head ? "mha" : c->n_head_kv == 1 ? "mqa" : "gqa";
}

rb_status rb_attn_by_name(const rb_config *c, const char *name, rb_attn *attn, rb_error *err)
{
    const bool mla = rb_config_is_mla(c);
    for (int a = RB_ATTN_OWN; a < (mla ? RB_N_ATTN : RB_ATTN_OWN + 1); a++) {
        *attn = (rb_attn)a;
        if (strcmp(name, rb_attn_name(c, *attn)) == 0)
            return RB_OK;
    }
    return rb_fail(err, RB_ERR_ARGUMENT, "--attn %.32s: attention of %s is %s%s", name,
                   c->name[0] ? c->name : "this model", rb_attn_name(c, RB_ATTN_OWN),
                   mla ? ", in the orders mla-naive-full, mla-naive-latent and mla-absorbed" : "");
}

const rb_attn_variant *rb_attn_variant_of(const rb_session *s, rb_attn attn)
{
    const rb_config *c = &s->model->config;
    static const rb_attn_variant *const variant[RB_N_ATTN] = {
        [RB_ATTN_OWN] = &rb_attn_gqa,
        [RB_ATTN_MLA_NAIVE_FULL] = &rb_attn_mla_naive_full,
        [RB_ATTN_MLA_NAIVE_LATENT] = &rb_attn_mla_naive_latent,
        [RB_ATTN_MLA_ABSORBED] = &rb_attn_mla_absorbed,
    };
    return s->params.variant ? s->params.variant
           : c->late_rope    ? &rb_attn_lrkv
           : c->d_value_up   ? &rb_attn_gta
                             : variant[attn];
}

rb_attn_geom rb_attn_geom_heads(const rb_config *c)
{
    return (rb_attn_geom){ .n_head_k = c->n_head_kv,
                           .d_k = c->d_head_k,
                           .n_head_v = rb_config_n_head_v(c),
                           .d_v = c->d_head_v,
                           .d_out = c->d_head_v };
}

rb_attn_geom rb_attn_geom_latent(const rb_config *c)
{
    return (rb_attn_geom){ .n_head_k = 1,
                           .d_k = c->kv_lora_rank,
                           .n_head_v = 1,
                           .d_v = rb_config_d_shared(c),
                           .d_out = c->d_head_v,
                           .one_type = true };
}

/* Whether calls may take either order of a latent cache. */
static bool has_choice(const rb_session *s)
{
    return !s->params.variant && rb_config_is_mla(&s->model->config) &&
           (s->params.attn == RB_ATTN_OWN || s->params.attn == RB_ATTN_MLA);
}

rb_attn rb_attn_possible(const rb_session *s, int i)
{
    static const rb_attn both[] = { RB_ATTN_MLA_ABSORBED, RB_ATTN_MLA_NAIVE_LATENT, RB_N_ATTN };
    if (has_choice(s))
        return both[i < 2 ? i : 2];
    return i == 0 ? s->params.attn : RB_N_ATTN;
}

void rb_attn_merge_heads(const rb_session *s, rb_exec *ex, int64_t layer, rb_view o, rb_view y)
{
    const rb_layer *w = &s->model->layer[layer];
    ex->site = RB_SITE_O;
    rb_op_matmul(ex, rb_attn_rows(o), 1, &(rb_linear){ .y = y, .w = w->wo, .bias = w->bo });
}

rb_view rb_attn_rows(rb_view heads)
{
    const int64_t *n = heads.n;
    return rb_view_reshape(heads, 1, n[0] * n[1], 1, n[2] * n[3]);
}

/* Least time of a layer's attention under the rule: FLOPs, or seconds. */
static double price(rb_session *s, rb_attn attn)
{
    const rb_mla_rule *rule = &s->params.mla_rule;
    rb_ledger *l = rb_team_ledger(s->planner);
    double sum = 0;
    s->attn = attn;
    rb_ledger_clear(l);
    rb_step(s->planner, rb_forward_attention, s);
    for (rb_site site = 0; site < RB_N_SITE; site++) {
        const rb_tally t = rb_ledger_site(l, s->batch.phase, site);
        const rb_bytes b = rb_cost_bytes(&t.cost);
        const double flops = (double)t.cost.flops;
        const double compute = flops / rule->flops_per_s;
        const double memory = (double)rb_bytes_all(&b) / rule->bytes_per_s;
        sum += rule->flops_per_s <= 0 || rule->bytes_per_s <= 0 ? flops
               : compute > memory                               ? compute
                                                                : memory;
    }
    return sum;
}

rb_attn rb_attn_choose(rb_session *s)
{
    if (!has_choice(s))
        return s->params.attn;
    const double absorbed = price(s, RB_ATTN_MLA_ABSORBED);
    return absorbed <= price(s, RB_ATTN_MLA_NAIVE_LATENT) ? RB_ATTN_MLA_ABSORBED
                                                          : RB_ATTN_MLA_NAIVE_LATENT;
}
