/* Experts of a folder's config: how many, in which layers, and how they are chosen.
 * Refuses routings that are not done here, and those that files of the architecture cannot say.
 * Read next: metadata.c, which reads the same out of GGUF files. */
#include "hf_keys.h"

#include <string.h>

static void read_routing(rb_keys *r, rb_config *c)
{
    const bool v2 = rb_keys_is_type(r, "deepseek_v2"), v3 = rb_keys_is_type(r, "deepseek_v3");
    const char *const gating = v3 ? "sigmoid" : "softmax";
    const bool renorm = rb_keys_flag(r, r->root, "norm_topk_prob", v3);
    const char *const method = rb_keys_text(r, r->root, "topk_method",
                                            v2   ? "greedy"
                                            : v3 ? "noaux_tc"
                                                 : "");
    c->gating = v3 ? RB_GATING_SIGMOID : RB_GATING_SOFTMAX;
    c->expert_bias = v3;
    if (v3)
        c->expert_renorm = renorm;
    else if (!rb_keys_is_type(r, "mixtral"))
        rb_keys_refuse_if(
            r, renorm != c->expert_renorm,
            "shares of experts that do or do not sum to 1 (norm_topk_prob) otherwise than "
            "in the published models of this architecture are not supported");
    if (!v2 && !v3)
        return;
    c->expert_scale = (float)rb_keys_real(r, r->root, "routed_scaling_factor", v3 ? 2.5 : 1);
    rb_keys_refuse_if(r, strcmp(rb_keys_text(r, r->root, "scoring_func", gating), gating) != 0,
                      "its scoring_func is not supported; softmax (V2) and sigmoid (V3) are");
    rb_keys_refuse_if(
        r,
        v2 ? strcmp(method, "greedy") != 0 && strcmp(method, "group_limited_greedy") != 0
           : strcmp(method, "noaux_tc") != 0,
        "its topk_method is not supported; greedy, group_limited_greedy (V2) and noaux_tc "
        "(V3) are");
    const int64_t groups = rb_keys_integer(r, "n_group", v3 ? 8 : 1);
    const int64_t used = rb_keys_integer(r, "topk_group", v3 ? 4 : 0);
    if (r->status == RB_OK && strcmp(method, "greedy") != 0)
        r->status = rb_refuse_groups(r->label, groups, used, r->err);
}

/* Which layers have experts: all, or all but the first. */
static void read_placement(rb_keys *r, rb_config *c)
{
    const json_t *only = rb_keys_find(r, r->root, "mlp_only_layers");
    rb_keys_refuse_if(r,
                      json_array_size(only) > 0 ||
                          rb_keys_integer(r, "decoder_sparse_step", 1) != 1 ||
                          rb_keys_integer(r, "moe_layer_freq", 1) != 1,
                      "experts in some layers only (mlp_only_layers, decoder_sparse_step, "
                      "moe_layer_freq) are not supported; the first layers may do without");
    if (c->arch != RB_ARCH_DEEPSEEK2)
        return;
    c->n_dense_lead =
        rb_keys_integer(r, "first_k_dense_replace", rb_keys_is_type(r, "deepseek_v3") ? 3 : 0);
    if (c->n_dense_lead >= c->n_layer)
        c->n_expert = 0;
}

void rb_hf_read_experts(rb_keys *r, rb_config *c)
{
    const bool own = c->arch == RB_ARCH_DEEPSEEK2;
    if (!own && !rb_keys_is_type(r, "mixtral") && c->arch != RB_ARCH_QWEN2MOE &&
        c->arch != RB_ARCH_QWEN3MOE) {
        c->expert_renorm = false;
        return;
    }
    const char *const count = own                                             ? "n_routed_experts"
                              : rb_keys_find(r, r->root, "num_local_experts") ? "num_local_experts"
                                                                              : "num_experts";
    const char *const width =
        rb_keys_is_type(r, "mixtral") ? "intermediate_size" : "moe_intermediate_size";
    if (!own)
        rb_keys_require(r, r->root, count);
    c->n_expert = rb_keys_integer(r, count, 0);
    read_placement(r, c);
    if (c->n_expert == 0) {
        c->n_dense_lead = 0;
        return;
    }
    RB_KEYS_REQUIRE(r, width, "num_experts_per_tok");
    c->n_ff_expert = rb_keys_integer(r, width, 0);
    c->n_expert_used = rb_keys_integer(r, "num_experts_per_tok", 0);
    if (own) {
        const int64_t n = rb_keys_integer(r, "n_shared_experts", 0);
        if (n > 4096)
            rb_keys_refuse(r, "its number of shared experts makes no sense");
        else
            c->n_ff_shared = n * c->n_ff_expert;
    } else if (c->arch == RB_ARCH_QWEN2MOE) {
        rb_keys_require(r, r->root, "shared_expert_intermediate_size");
        c->n_ff_shared = rb_keys_integer(r, "shared_expert_intermediate_size", 0);
    }
    read_routing(r, c);
}
