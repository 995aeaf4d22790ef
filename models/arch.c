/* The table of architectures: what follows from the name alone.
 * Knows no file; what files say is metadata.c's.
 * Read next: metadata.c. */
#include "model.h"

#include <string.h>

const char *const rb_arch_name[RB_N_ARCH] = {
    [RB_ARCH_LLAMA] = "llama",       [RB_ARCH_QWEN2] = "qwen2",
    [RB_ARCH_QWEN3] = "qwen3",       [RB_ARCH_QWEN2MOE] = "qwen2moe",
    [RB_ARCH_QWEN3MOE] = "qwen3moe", [RB_ARCH_GPTNEOX] = "gptneox",
    [RB_ARCH_PLM] = "plm",           [RB_ARCH_DEEPSEEK2] = "deepseek2",
};

static const rb_arch_info info[RB_N_ARCH] = {
    [RB_ARCH_LLAMA] = { .pairing = RB_ROPE_NORM,
                        .experts = RB_EXPERTS_MAYBE, /* Mixtral */
                        .expert_renorm = true },
    [RB_ARCH_QWEN2] = { .pairing = RB_ROPE_NEOX, .qkv_bias = true },
    [RB_ARCH_QWEN3] = { .pairing = RB_ROPE_NEOX, .qk_norm = true },
    [RB_ARCH_QWEN2MOE] = { .pairing = RB_ROPE_NEOX,
                           .qkv_bias = true,
                           .experts = RB_EXPERTS_ALWAYS },
    [RB_ARCH_QWEN3MOE] = { .pairing = RB_ROPE_NEOX,
                           .qk_norm = true,
                           .experts = RB_EXPERTS_ALWAYS,
                           .expert_renorm = true },
    [RB_ARCH_GPTNEOX] = { .pairing = RB_ROPE_NEOX,
                          .norm = RB_NORM_LAYER,
                          .ffn = RB_FFN_GELU,
                          .linear_bias = true },
    [RB_ARCH_PLM] = { .pairing = RB_ROPE_NORM, .ffn = RB_FFN_RELU2, .latent = true },
    [RB_ARCH_DEEPSEEK2] = { .pairing = RB_ROPE_NORM, .latent = true, .experts = RB_EXPERTS_MAYBE },
};

const rb_arch_info *rb_arch_get(rb_arch arch)
{
    return &info[arch];
}

rb_arch rb_arch_by_name(const char *name)
{
    for (int a = 0; a < RB_N_ARCH; a++)
        if (strcmp(rb_arch_name[a], name) == 0)
            return (rb_arch)a;
    return RB_N_ARCH;
}

bool rb_gelu_by_name(const char *name, bool *erf)
{
    *erf = strcmp(name, "gelu") == 0;
    return *erf || strcmp(name, "gelu_new") == 0 || strcmp(name, "gelu_pytorch_tanh") == 0;
}

const char *rb_arch_list(char *buf, size_t size)
{
    size_t n = 0;
    for (int a = 0; a < RB_N_ARCH && n < size; a++)
        n += (size_t)snprintf(buf + n, size - n, "%s%s",
                              a == 0               ? ""
                              : a == RB_N_ARCH - 1 ? " and "
                                                   : ", ",
                              rb_arch_name[a]);
    return buf;
}

static void set_default(float *to, float value)
{
    *to = *to == 0 ? value : *to;
}

static void set_scaling_defaults(rb_rope_scaling *r)
{
    set_default(&r->factor, 1);
    set_default(&r->beta_fast, 32);
    set_default(&r->beta_slow, 1);
    set_default(&r->attn_factor, 1);
}

void rb_config_set_defaults(rb_config *c)
{
    rb_rope_scaling *r = &c->rope_scaling;
    set_default(&c->expert_scale, 1);
    set_scaling_defaults(r);
    r->n_ctx_train = r->n_ctx_train ? r->n_ctx_train : c->n_ctx_train;
}

void rb_config_clear_unused(rb_config *c)
{
    rb_rope_scaling *r = &c->rope_scaling;
    if (r->kind != RB_SCALING_YARN) {
        const bool linear = r->kind == RB_SCALING_LINEAR && r->factor != 1;
        *r = linear ? (rb_rope_scaling){ .kind = r->kind, .factor = r->factor }
                    : (rb_rope_scaling){ 0 };
        set_scaling_defaults(r);
    }
    if (!c->kv_lora_rank)
        c->mla_split = false;
    if (c->n_head_v == c->n_head_kv)
        c->n_head_v = 0;
    if (c->n_expert)
        return;
    c->n_ff_expert = c->n_dense_lead = 0;
    c->gating = RB_GATING_SOFTMAX;
    c->expert_renorm = c->expert_bias = c->shared_gate = c->experts_fused = false;
    c->expert_scale = 1;
}

void rb_config_set_arch(rb_config *c, rb_arch arch)
{
    const rb_arch_info *a = &info[arch];
    c->arch = arch;
    c->rope_pairing = a->pairing;
    c->norm = a->norm;
    c->ffn = a->ffn;
    c->qkv_bias = a->qkv_bias;
    c->qk_norm = a->qk_norm;
    c->linear_bias = a->linear_bias;
    c->expert_renorm = a->expert_renorm;
    c->shared_gate = arch == RB_ARCH_QWEN2MOE;
    rb_config_set_defaults(c);
}
