/* Configs by hand: which values make sense, and "key=value".
 * The ranges keep weights of all layers below 2^60 bytes, so that nobody behind them checks again.
 * Refuses to know what any file calls these things (metadata.c does). Read next: preset.c. */
#include "model.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct int_field {
    const char *key;
    size_t place;
    int64_t min, max;
} int_field;

#define INT(field, min, max)                                                                       \
    {                                                                                              \
#field, offsetof(rb_config, field), min, max                                               \
    }
static const int_field int_fields[] = {
    INT(n_layer, 1, RB_MAX_LAYER),
    INT(n_embd, 1, 1 << 20),
    INT(n_ff, 1, 1 << 22),
    INT(n_vocab, 1, 1 << 24),
    INT(n_head, 1, 1 << 12),
    INT(n_head_kv, 1, 1 << 12),
    INT(d_head_k, 1, 1 << 12),
    INT(d_head_v, 1, 1 << 12),
    INT(d_rot, 1, 1 << 12),
    { "n_ctx", offsetof(rb_config, n_ctx_train), 1, (int64_t)1 << 40 },
    INT(kv_lora_rank, 0, 1 << 16),
    INT(q_lora_rank, 0, 1 << 16),
    INT(n_key_block, 0, 1 << 12),
    INT(d_freq, 0, 1 << 12),
    INT(n_head_v, 0, 1 << 12),
    INT(d_value_up, 0, 1 << 12),
    INT(n_expert, 0, 1 << 12),
    INT(n_expert_used, 0, 1 << 12),
    INT(n_ff_expert, 0, 1 << 22),
    INT(n_ff_shared, 0, 1 << 22),
    INT(n_dense_lead, 0, RB_MAX_LAYER),
    { "rope_n_ctx", offsetof(rb_config, rope_scaling.n_ctx_train), 0, (int64_t)1 << 40 },
};

typedef struct field {
    const char *key;
    size_t place;
} field;

#define PLACE(field)                                                                               \
    {                                                                                              \
#field, offsetof(rb_config, field)                                                         \
    }
static const field float_fields[] = {
    PLACE(norm_eps),
    PLACE(rope_base),
    PLACE(attn_scale),
    PLACE(expert_scale),
    { "rope_factor", offsetof(rb_config, rope_scaling.factor) },
    { "rope_beta_fast", offsetof(rb_config, rope_scaling.beta_fast) },
    { "rope_beta_slow", offsetof(rb_config, rope_scaling.beta_slow) },
    { "rope_attn_factor", offsetof(rb_config, rope_scaling.attn_factor) },
    { "rope_log_mul", offsetof(rb_config, rope_scaling.log_mul) },
};

static const field bool_fields[] = {
    PLACE(tied),          PLACE(rope_freqs),  PLACE(parallel_residual), PLACE(mla_split),
    PLACE(expert_renorm), PLACE(expert_bias), PLACE(shared_gate),       PLACE(experts_fused),
    PLACE(gelu_erf),      PLACE(late_rope),   PLACE(latent_plain),
};

enum {
    N_INT = sizeof int_fields / sizeof *int_fields,
    N_FLOAT = sizeof float_fields / sizeof *float_fields,
    N_BOOL = sizeof bool_fields / sizeof *bool_fields,
};

const char *const rb_scaling_name[RB_N_SCALING] = { "none", "linear", "yarn" };
const char *const rb_gating_name[2] = { "softmax", "sigmoid" };

static void *field_at(rb_config *c, size_t place)
{
    return (char *)c + place;
}

/* ---- what makes sense ---- */

static rb_status check_ranges(rb_config *c, rb_error *err)
{
    for (int i = 0; i < N_INT; i++) {
        const int_field *f = &int_fields[i];
        const int64_t v = *(int64_t *)field_at(c, f->place);
        if (v < f->min || v > f->max)
            return rb_fail(err, RB_ERR_FORMAT,
                           "%s is %" PRId64 "; %" PRId64 " to %" PRId64 " are allowed", f->key, v,
                           f->min, f->max);
    }
    if (!(c->norm_eps >= 0 && c->norm_eps < 1))
        return rb_fail(err, RB_ERR_FORMAT, "norm_eps is %g; at least 0 and below 1 is wanted",
                       (double)c->norm_eps);
    if (!(c->rope_base >= 1 && isfinite(c->rope_base)))
        return rb_fail(err, RB_ERR_FORMAT, "rope_base is %g; a finite number from 1 on is wanted",
                       (double)c->rope_base);
    return RB_OK;
}

/* A latent: that of the architecture, with its norm, or one that attention was converted to. */
static rb_status check_latent(const rb_config *c, rb_error *err)
{
    const bool latent = c->kv_lora_rank > 0, own = rb_arch_get(c->arch)->latent;
    if ((own && (!latent || c->latent_plain)) || (!own && latent && !c->latent_plain) ||
        (c->q_lora_rank && !own))
        return rb_fail(err, RB_ERR_FORMAT,
                       "kv_lora_rank is %" PRId64 " and q_lora_rank %" PRId64
                       ": architecture %s has %s",
                       c->kv_lora_rank, c->q_lora_rank, rb_arch_name[c->arch],
                       own ? "a latent" : "none but plain ones (latent_plain)");
    if (!c->latent_plain)
        return c->late_rope || c->n_key_block || c->d_freq
                   ? rb_fail(err, RB_ERR_FORMAT,
                             "late_rope, n_key_block and d_freq are of latents "
                             "without a norm (latent_plain)")
                   : RB_OK;
    if (!latent || (c->late_rope && (c->n_key_block || c->d_freq || c->mla_split)) ||
        (c->n_key_block && c->d_freq) || c->d_freq % 2 != 0)
        return rb_fail(err, RB_ERR_FORMAT,
                       "a plain latent wants kv_lora_rank, and late_rope, n_key_block or an even "
                       "d_freq alone; late_rope excludes mla_split");
    return RB_OK;
}

/* What heads look like under one latent that all share. */
static rb_status check_latent_heads(const rb_config *c, rb_error *err)
{
    const int64_t blocks = c->n_key_block;
    if (c->n_head_kv != c->n_head || (!c->latent_plain && (c->qkv_bias || c->out_bias)) ||
        (!blocks && c->qk_norm) ||
        (blocks ? c->d_head_k % blocks != 0 || c->d_rot > c->d_head_k / blocks
                : c->d_rot == c->d_head_k))
        return rb_fail(err, RB_ERR_FORMAT,
                       "latent attention wants as many KV heads as heads (n_head_kv %" PRId64
                       "), no biases, and heads (%" PRId64 ") wider than what is rotated (%" PRId64
                       ")",
                       c->n_head_kv, c->d_head_k, c->d_rot);
    return RB_OK;
}

static rb_status check_value_heads(const rb_config *c, rb_error *err)
{
    const int64_t n_v = rb_config_n_head_v(c), most = n_v > c->n_head_kv ? n_v : c->n_head_kv;
    if (c->n_head % most != 0 || most % n_v != 0 || most % c->n_head_kv != 0 ||
        ((c->n_head_v || c->d_value_up) && (c->kv_lora_rank || (c->d_value_up && c->linear_bias))))
        return rb_fail(
            err, RB_ERR_FORMAT,
            "n_head_v is %" PRId64 ": of it, n_head_kv %" PRId64 " and n_head %" PRId64
            " the larger is a multiple of the smaller; of a latent, or decoded (d_value_up) "
            "beside one matrix for q, k and v, there are none",
            c->n_head_v, c->n_head_kv, c->n_head);
    return RB_OK;
}

static rb_status check_heads(const rb_config *c, rb_error *err)
{
    if (c->parallel_residual && c->arch != RB_ARCH_GPTNEOX)
        return rb_fail(err, RB_ERR_FORMAT, "parallel_residual: architecture %s has none",
                       rb_arch_name[c->arch]);
    if (c->gelu_erf && c->ffn != RB_FFN_GELU)
        return rb_fail(err, RB_ERR_FORMAT, "gelu_erf: architecture %s has no GELU",
                       rb_arch_name[c->arch]);
    if (c->n_head % c->n_head_kv != 0)
        return rb_fail(err, RB_ERR_FORMAT,
                       "n_head is %" PRId64 ", which is no multiple of n_head_kv %" PRId64,
                       c->n_head, c->n_head_kv);
    if (c->d_rot % 2 != 0 || c->d_rot > c->d_head_k)
        return rb_fail(err, RB_ERR_FORMAT,
                       "d_rot is %" PRId64 "; an even number up to the head size %" PRId64
                       " is wanted",
                       c->d_rot, c->d_head_k);
    if (!(c->attn_scale >= 0 && c->attn_scale <= 1))
        return rb_fail(err, RB_ERR_FORMAT, "attn_scale is %g; 0 to 1 are allowed",
                       (double)c->attn_scale);
    rb_status status = check_latent(c, err);
    if (status == RB_OK && rb_config_is_mla(c))
        status = check_latent_heads(c, err);
    return status == RB_OK ? check_value_heads(c, err) : status;
}

/* What files of an architecture have no key for: such a model would be another one when read. */
static rb_status check_sayable(const rb_config *c, rb_error *err)
{
    const bool own = c->arch == RB_ARCH_DEEPSEEK2, gate = c->arch == RB_ARCH_QWEN2MOE;
    const bool renorm = own ? c->expert_renorm : rb_arch_get(c->arch)->expert_renorm;
    if (c->n_dense_lead > (own ? c->n_layer : 0))
        return rb_fail(err, RB_ERR_FORMAT,
                       "n_dense_lead is %" PRId64 " of %" PRId64
                       " layers: at most all are, and those of deepseek2 alone",
                       c->n_dense_lead, c->n_layer);
    if (gate ? c->n_ff_shared < 1 : own ? c->n_ff_shared % c->n_ff_expert != 0 : c->n_ff_shared > 0)
        return rb_fail(err, RB_ERR_FORMAT,
                       "n_ff_shared is %" PRId64
                       ": deepseek2 has multiples of n_ff_expert, qwen2moe some, others none",
                       c->n_ff_shared);
    if (c->shared_gate != gate || c->expert_renorm != renorm)
        return rb_fail(err, RB_ERR_FORMAT,
                       "architecture %s has shared_gate=%d and expert_renorm=%d",
                       rb_arch_name[c->arch], gate, renorm);
    return RB_OK;
}

/* Elements of a stack: three of f32 in as many layers as can run fit in 63 bits. */
#define MOST_IN_LAYER ((int64_t)1 << 43)

static rb_status check_experts(const rb_config *c, rb_error *err)
{
    const rb_arch_info *info = rb_arch_get(c->arch);
    if (c->n_expert ? !info->experts : info->experts == RB_EXPERTS_ALWAYS)
        return rb_fail(err, RB_ERR_FORMAT, "n_expert is %" PRId64 ": architecture %s has %s",
                       c->n_expert, rb_arch_name[c->arch],
                       info->experts ? "experts" : "no experts");
    if (!c->n_expert)
        return c->n_expert_used || c->n_ff_shared
                   ? rb_fail(err, RB_ERR_FORMAT, "experts are used, but n_expert is 0")
                   : RB_OK;
    if (c->n_expert_used < 1 || c->n_expert_used > c->n_expert || c->n_ff_expert < 1)
        return rb_fail(err, RB_ERR_FORMAT,
                       "n_expert_used is %" PRId64 " of %" PRId64 " experts, n_ff_expert %" PRId64
                       ": at least one, and not more than there are, are wanted",
                       c->n_expert_used, c->n_expert, c->n_ff_expert);
    if (c->n_expert * c->n_ff_expert > MOST_IN_LAYER / c->n_embd)
        return rb_fail(err, RB_ERR_FORMAT,
                       "the experts of a layer are %" PRId64 " of %" PRId64 " by %" PRId64
                       ": more weights than can be counted",
                       c->n_expert, c->n_embd, c->n_ff_expert);
    if (!(c->expert_scale > 0 && isfinite(c->expert_scale)))
        return rb_fail(err, RB_ERR_FORMAT, "expert_scale is %g; a positive number is wanted",
                       (double)c->expert_scale);
    return check_sayable(c, err);
}

/* The square of what YaRN scales scores with is a float's. */
enum { MOST_SCALE = 10000 };

static rb_status check_scaling(const rb_config *c, rb_error *err)
{
    const rb_rope_scaling *r = &c->rope_scaling;
    if (r->kind == RB_SCALING_NONE)
        return RB_OK;
    if (!(r->factor > 0 && isfinite(r->factor)))
        return rb_fail(err, RB_ERR_FORMAT, "the factor of its rope scaling is no positive number");
    if (r->kind != RB_SCALING_YARN)
        return RB_OK;
    if (r->n_ctx_train < 1)
        return rb_fail(err, RB_ERR_FORMAT, "YaRN wants the context that was trained on");
    if (!(r->beta_fast > 0 && r->beta_slow > 0 && r->attn_factor > 0) || !isfinite(r->beta_fast) ||
        !isfinite(r->beta_slow) || r->attn_factor > MOST_SCALE ||
        !(fabsf(r->log_mul) <= MOST_SCALE))
        return rb_fail(err, RB_ERR_FORMAT,
                       "YaRN wants positive numbers (beta_fast %g, beta_slow %g, attn_factor %g),"
                       " and %d at most of what scales (log_mul %g)",
                       (double)r->beta_fast, (double)r->beta_slow, (double)r->attn_factor,
                       MOST_SCALE, (double)r->log_mul);
    if (c->rope_base <= 1)
        return rb_fail(err, RB_ERR_FORMAT, "rope_base is %g; YaRN wants more than 1",
                       (double)c->rope_base);
    return RB_OK;
}

rb_status rb_config_check(const rb_config *c, rb_error *err)
{
    if ((unsigned)c->arch >= RB_N_ARCH)
        return rb_fail(err, RB_ERR_FORMAT, "the architecture is unknown");
    rb_status status = check_ranges((rb_config *)c, err);
    if (status == RB_OK)
        status = check_heads(c, err);
    if (status == RB_OK)
        status = check_experts(c, err);
    return status == RB_OK ? check_scaling(c, err) : status;
}

void rb_config_set_name(rb_config *c, const char *name)
{
    snprintf(c->name, sizeof c->name, "%s", name);
    size_t n = strlen(c->name);
    /* A cut may have split a UTF-8 character: drop what is left of it. */
    if (n == sizeof c->name - 1 && (unsigned char)name[n] >> 6 == 2) {
        while (n > 0 && (unsigned char)c->name[n - 1] >> 6 == 2)
            n--;
        c->name[n > 0 ? n - 1 : 0] = 0;
    }
    for (char *p = c->name; *p; p++)
        if (iscntrl((unsigned char)*p))
            *p = '?';
}

/* ---- key=value ---- */

static rb_status set_int(int64_t *to, const char *key, const char *value, int64_t min,
                         rb_error *err)
{
    char *end;
    errno = 0;
    long long v = strtoll(value, &end, 10);
    if (end == value || *end != 0 || errno != 0 || isspace((unsigned char)*value) || v < min)
        return rb_fail(err, RB_ERR_ARGUMENT, "%s=%s: a %swhole number is wanted", key, value,
                       min ? "positive " : "");
    *to = v;
    return RB_OK;
}

static rb_status set_float(float *to, const char *key, const char *value, rb_error *err)
{
    char *end;
    float v = strtof(value, &end);
    if (end == value || *end != 0 || isspace((unsigned char)*value) || !isfinite(v))
        return rb_fail(err, RB_ERR_ARGUMENT, "%s=%s: a number is wanted", key, value);
    *to = v;
    return RB_OK;
}

static rb_status set_bool(bool *to, const char *key, const char *value, rb_error *err)
{
    bool yes = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (!yes && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
        return rb_fail(err, RB_ERR_ARGUMENT, "%s=%s: true or false is wanted", key, value);
    *to = yes;
    return RB_OK;
}

static rb_status set_head(rb_config *c, const char *value, rb_error *err)
{
    int64_t d = 0;
    rb_status status = set_int(&d, "d_head", value, 1, err);
    if (status == RB_OK)
        c->d_head_k = c->d_head_v = c->d_rot = d;
    return status;
}

/* The architecture brings its defaults; what was set before and is not of it stays. */
static rb_status set_arch(rb_config *c, const char *value, rb_error *err)
{
    char known[160];
    const rb_arch arch = rb_arch_by_name(value);
    if (arch == RB_N_ARCH)
        return rb_fail(err, RB_ERR_ARGUMENT, "arch=%s: one of %s is wanted", value,
                       rb_arch_list(known, sizeof known));
    rb_config_set_arch(c, arch);
    return RB_OK;
}

/* The index of value among n words. */
static rb_status set_word(int *to, const char *key, const char *value, const char *const *word,
                          int n, rb_error *err)
{
    char known[64] = "";
    for (int i = 0; i < n; i++) {
        if (strcmp(value, word[i]) == 0) {
            *to = i;
            return RB_OK;
        }
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", word[i]);
    }
    return rb_fail(err, RB_ERR_ARGUMENT, "%s=%s: one of %s is wanted", key, value, known);
}

static const field *find_field(const field *of, int n, const char *key)
{
    for (int i = 0; i < n; i++)
        if (strcmp(key, of[i].key) == 0)
            return &of[i];
    return NULL;
}

const char *rb_config_keys(void)
{
    static const char keys[] =
        "arch n_layer n_embd n_ff n_vocab n_head n_head_kv d_head d_head_k d_head_v d_rot n_ctx"
        " norm_eps rope_base tied rope_freqs parallel_residual gelu_erf kv_lora_rank q_lora_rank"
        " mla_split late_rope latent_plain n_key_block d_freq n_head_v d_value_up attn_scale"
        " n_expert n_expert_used n_ff_expert n_ff_shared n_dense_lead gating expert_renorm"
        " expert_bias expert_scale shared_gate experts_fused rope_scaling rope_factor rope_n_ctx"
        " rope_beta_fast rope_beta_slow rope_attn_factor rope_log_mul";
    return keys;
}

static rb_status set_field(rb_config *c, const char *key, const char *value, rb_error *err)
{
    const field *f = find_field(float_fields, N_FLOAT, key);
    for (int i = 0; i < N_INT; i++)
        if (strcmp(key, int_fields[i].key) == 0)
            return set_int(field_at(c, int_fields[i].place), key, value, int_fields[i].min, err);
    if (f)
        return set_float(field_at(c, f->place), key, value, err);
    if ((f = find_field(bool_fields, N_BOOL, key)))
        return set_bool(field_at(c, f->place), key, value, err);
    int word = 0;
    rb_status status = RB_OK;
    if (strcmp(key, "gating") == 0) {
        status = set_word(&word, key, value, rb_gating_name, 2, err);
        c->gating = status == RB_OK ? (rb_gating)word : c->gating;
        return status;
    }
    if (strcmp(key, "rope_scaling") == 0) {
        status = set_word(&word, key, value, rb_scaling_name, RB_N_SCALING, err);
        c->rope_scaling.kind = status == RB_OK ? (rb_scaling_kind)word : c->rope_scaling.kind;
        rb_config_set_defaults(c);
        return status;
    }
    return rb_fail(err, RB_ERR_ARGUMENT, "unknown key '%s'; known: %s", key, rb_config_keys());
}

rb_status rb_config_set(rb_config *c, const char *assignment, rb_error *err)
{
    char key[32];
    const char *equals = strchr(assignment, '='), *value = equals ? equals + 1 : "";
    if (!equals || equals == assignment || (size_t)(equals - assignment) >= sizeof key)
        return rb_fail(err, RB_ERR_ARGUMENT, "'%s': key=value is wanted", assignment);
    snprintf(key, sizeof key, "%.*s", (int)(equals - assignment), assignment);
    if (strcmp(key, "d_head") == 0)
        return set_head(c, value, err);
    if (strcmp(key, "arch") == 0)
        return set_arch(c, value, err);
    return set_field(c, key, value, err);
}
