/* Rotary angles of a folder's config: where their parameters stand in files old and new, and which
 * scalings are those that this program has.
 * Refuses the others, and angles of a part of the head where only whole ones are known.
 * Read next: scaling.c. */
#include "hf_keys.h"

#include <math.h>
#include <string.h>

/* Where rope parameters stand: a key of their own in files old and new; NULL: nowhere. */
static const json_t *rope_of(rb_keys *r)
{
    static const char *const keys[] = { "rope_scaling", "rope_parameters" };
    for (int i = 0; i < 2; i++) {
        const json_t *o = rb_keys_find(r, r->root, keys[i]);
        if (o && !json_is_object(o))
            rb_keys_wrong(r, keys[i], "an object");
        if (json_object_size(o))
            return o;
    }
    return NULL;
}

static void refuse_nested(rb_keys *r, const json_t *rope)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)rope, key, v)
    {
        rb_keys_refuse_if(r, json_is_object(v),
                          "rope parameters for each kind of layer apart are not supported");
    }
}

static double factor_of(rb_keys *r, const json_t *rope)
{
    rb_keys_require(r, rope, "factor");
    return rb_keys_real(r, rope, "factor", 1);
}

/* The context that a factor is of. */
static double trained_context(rb_keys *r, const json_t *rope, const rb_config *c)
{
    const char *const key = "original_max_position_embeddings";
    return rb_keys_real(r, r->root, key, rb_keys_real(r, rope, key, (double)c->n_ctx_train));
}

static void read_llama3(rb_keys *r, const json_t *rope, rb_hf *hf)
{
    rb_keys_require(r, rope, "low_freq_factor");
    rb_keys_require(r, rope, "high_freq_factor");
    hf->freqs.factor = factor_of(r, rope);
    hf->freqs.low = rb_keys_real(r, rope, "low_freq_factor", 0);
    hf->freqs.high = rb_keys_real(r, rope, "high_freq_factor", 0);
    hf->freqs.n_ctx = trained_context(r, rope, &hf->config);
    hf->config.rope_freqs = true;
    if (r->status == RB_OK && !(hf->freqs.factor > 0 && hf->freqs.low > 0 &&
                                hf->freqs.high > hf->freqs.low && hf->freqs.n_ctx > 0))
        r->status = rb_fail(r->err, RB_ERR_FORMAT,
                            "%s: rope scaling 'llama3' wants a factor, a context and 0 < "
                            "low_freq_factor < high_freq_factor",
                            r->label);
}

/* What grows with the logarithm of the factor in YaRN. */
static double yarn_scale(double factor, double mul)
{
    return factor <= 1 ? 1 : 0.1 * mul * log(factor) + 1;
}

static void read_yarn(rb_keys *r, const json_t *rope, rb_config *c)
{
    rb_rope_scaling *s = &c->rope_scaling;
    const double factor = factor_of(r, rope), mul = rb_keys_real(r, rope, "mscale", 0);
    const double all = rb_keys_real(r, rope, "mscale_all_dim", 0);
    const double own = mul != 0 && all != 0 ? yarn_scale(factor, mul) / yarn_scale(factor, all)
                                            : yarn_scale(factor, 1);
    const double magnitude = rb_keys_real(r, rope, "attention_factor", own);
    const double fast = rb_keys_real(r, rope, "beta_fast", 0),
                 slow = rb_keys_real(r, rope, "beta_slow", 0);
    const double n_ctx = trained_context(r, rope, c);
    rb_keys_refuse_if(r, !(factor >= 1), "a YaRN factor below 1 is not supported");
    rb_keys_refuse_if(r, !rb_keys_flag(r, rope, "truncate", true),
                      "YaRN without truncate is not supported");
    rb_keys_refuse_if(r, c->arch == RB_ARCH_PLM, "YaRN is not known of this architecture");
    rb_keys_refuse_if(r, !(n_ctx >= 1 && n_ctx <= (double)RB_KEYS_MOST),
                      "YaRN wants the context that was trained on");
    if (r->status != RB_OK)
        return;
    *s = (rb_rope_scaling){ .kind = RB_SCALING_YARN,
                            .factor = (float)factor,
                            .n_ctx_train = (int64_t)n_ctx,
                            .beta_fast = fast != 0 ? (float)fast : 32,
                            .beta_slow = slow != 0 ? (float)slow : 1,
                            .attn_factor = 1 };
    if (c->arch == RB_ARCH_DEEPSEEK2) {
        s->log_mul = (float)(0.1 * all);
        rb_keys_refuse_if(r, fabs(magnitude - 1) > 1e-6,
                          "YaRN whose mscale and mscale_all_dim differ is not supported");
    } else {
        s->attn_factor = (float)(magnitude / yarn_scale(factor, 1));
    }
}

void rb_hf_read_rope(rb_keys *r, rb_hf *hf)
{
    rb_config *c = &hf->config;
    const bool neox = c->arch == RB_ARCH_GPTNEOX;
    const json_t *const rope = rope_of(r);
    const double base = rb_keys_real(r, r->root, neox ? "rotary_emb_base" : "rope_theta",
                                     rb_keys_is_type(r, "mixtral") ? 1e6 : 1e4);
    const double part = rb_keys_real(
        r, rope, "partial_rotary_factor",
        rb_keys_real(r, r->root, neox ? "rotary_pct" : "partial_rotary_factor", neox ? 0.25 : 1));
    const char *const type =
        rb_keys_text(r, rope, "rope_type", rb_keys_text(r, rope, "type", "default"));
    c->rope_base = (float)rb_keys_real(r, rope, "rope_theta", base);
    refuse_nested(r, rope);
    rb_keys_refuse_if(
        r, !(part > 0 && part <= 1) || (!neox && part != 1),
        "heads of which a part is rotated (partial_rotary_factor) are not supported here");
    if (neox && r->status == RB_OK)
        c->d_rot = (int64_t)((double)c->d_head_k * part);
    if (strcmp(type, "linear") == 0)
        c->rope_scaling =
            (rb_rope_scaling){ .kind = RB_SCALING_LINEAR, .factor = (float)factor_of(r, rope) };
    else if (strcmp(type, "yarn") == 0)
        read_yarn(r, rope, c);
    else if (strcmp(type, "llama3") == 0)
        read_llama3(r, rope, hf);
    else if (strcmp(type, "default") != 0 && r->status == RB_OK)
        r->status = rb_refuse_scaling(r->label, type, "default, linear, llama3 and yarn", r->err);
}

double rb_hf_divisor(const rb_hf *hf, int64_t j)
{
    const double angle =
        pow((double)hf->config.rope_base, -2.0 * (double)j / (double)hf->config.d_rot);
    const double turns = hf->freqs.n_ctx * angle / (2 * M_PI); /* within the trained context */
    if (turns > hf->freqs.high)
        return 1;
    if (turns < hf->freqs.low)
        return hf->freqs.factor;
    const double keep = (turns - hf->freqs.low) / (hf->freqs.high - hf->freqs.low);
    return 1 / ((1 - keep) / hf->freqs.factor + keep);
}
