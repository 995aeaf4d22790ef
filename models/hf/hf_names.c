/* What the tensors of the hub's files are called, and in which order their rows stand.
 * Knows names and orders; no shapes (tensors.c has them) and no values.
 * Read next: hf_load.c. */
#include "hf.h"

#include <inttypes.h>
#include <string.h>

/* In transformers' own form stacks of experts are one tensor; published files have them apart. */
static const rb_hf_name usual[] = {
    { "token_embd.weight", "model.embed_tokens.weight", RB_HF_AS_IS },
    { "output_norm.weight", "model.norm.weight", RB_HF_AS_IS },
    { "output.weight", "lm_head.weight", RB_HF_AS_IS },
    { "attn_norm.weight", "input_layernorm.weight", RB_HF_AS_IS },
    { "attn_q.weight", "self_attn.q_proj.weight", RB_HF_HEADS },
    { "attn_q.bias", "self_attn.q_proj.bias", RB_HF_HEADS },
    { "attn_k.weight", "self_attn.k_proj.weight", RB_HF_HEADS },
    { "attn_k.bias", "self_attn.k_proj.bias", RB_HF_HEADS },
    { "attn_v.weight", "self_attn.v_proj.weight", RB_HF_AS_IS },
    { "attn_v.bias", "self_attn.v_proj.bias", RB_HF_AS_IS },
    { "attn_q_norm.weight", "self_attn.q_norm.weight", RB_HF_AS_IS },
    { "attn_k_norm.weight", "self_attn.k_norm.weight", RB_HF_AS_IS },
    { "attn_q_a.weight", "self_attn.q_a_proj.weight", RB_HF_AS_IS },
    { "attn_q_a_norm.weight", "self_attn.q_a_layernorm.weight", RB_HF_AS_IS },
    { "attn_q_b.weight", "self_attn.q_b_proj.weight", RB_HF_HEADS },
    { "attn_kv_a_mqa.weight", "self_attn.kv_a_proj_with_mqa.weight", RB_HF_LATENT },
    { "attn_kv_a_norm.weight", "self_attn.kv_a_layernorm.weight", RB_HF_AS_IS },
    { "attn_kv_b.weight", "self_attn.kv_b_proj.weight", RB_HF_AS_IS },
    { "attn_output.weight", "self_attn.o_proj.weight", RB_HF_AS_IS },
    { "attn_output.bias", "self_attn.o_proj.bias", RB_HF_AS_IS },
    { "ffn_norm.weight", "post_attention_layernorm.weight", RB_HF_AS_IS },
    { "ffn_gate.weight", "mlp.gate_proj.weight", RB_HF_AS_IS },
    { "ffn_up.weight", "mlp.up_proj.weight", RB_HF_AS_IS },
    { "ffn_down.weight", "mlp.down_proj.weight", RB_HF_AS_IS },
    { "ffn_gate_inp.weight", "mlp.gate.weight", RB_HF_AS_IS },
    { "exp_probs_b.bias", "mlp.gate.e_score_correction_bias", RB_HF_AS_IS },
    { "ffn_gate_exps.weight", "mlp.experts.#.gate_proj.weight", RB_HF_EXPERTS },
    { "ffn_up_exps.weight", "mlp.experts.#.up_proj.weight", RB_HF_EXPERTS },
    { "ffn_down_exps.weight", "mlp.experts.#.down_proj.weight", RB_HF_EXPERTS },
    { "ffn_gate_up_exps.weight", "mlp.experts.gate_up_proj", RB_HF_AS_IS },
    { "ffn_down_exps.weight", "mlp.experts.down_proj", RB_HF_AS_IS },
    { "ffn_gate_shexp.weight", "mlp.shared_experts.gate_proj.weight", RB_HF_AS_IS },
    { "ffn_up_shexp.weight", "mlp.shared_experts.up_proj.weight", RB_HF_AS_IS },
    { "ffn_down_shexp.weight", "mlp.shared_experts.down_proj.weight", RB_HF_AS_IS },
};

static const rb_hf_name mixtral[] = {
    { "ffn_gate_inp.weight", "block_sparse_moe.gate.weight", RB_HF_AS_IS },
    { "ffn_gate_exps.weight", "block_sparse_moe.experts.#.w1.weight", RB_HF_EXPERTS },
    { "ffn_up_exps.weight", "block_sparse_moe.experts.#.w3.weight", RB_HF_EXPERTS },
    { "ffn_down_exps.weight", "block_sparse_moe.experts.#.w2.weight", RB_HF_EXPERTS },
};

static const rb_hf_name qwen2moe[] = {
    { "ffn_gate_inp_shexp.weight", "mlp.shared_expert_gate.weight", RB_HF_AS_IS },
    { "ffn_gate_shexp.weight", "mlp.shared_expert.gate_proj.weight", RB_HF_AS_IS },
    { "ffn_up_shexp.weight", "mlp.shared_expert.up_proj.weight", RB_HF_AS_IS },
    { "ffn_down_shexp.weight", "mlp.shared_expert.down_proj.weight", RB_HF_AS_IS },
};

static const rb_hf_name gptneox[] = {
    { "token_embd.weight", "gpt_neox.embed_in.weight", RB_HF_AS_IS },
    { "output_norm.weight", "gpt_neox.final_layer_norm.weight", RB_HF_AS_IS },
    { "output_norm.bias", "gpt_neox.final_layer_norm.bias", RB_HF_AS_IS },
    { "output.weight", "embed_out.weight", RB_HF_AS_IS },
    { "attn_norm.weight", "input_layernorm.weight", RB_HF_AS_IS },
    { "attn_norm.bias", "input_layernorm.bias", RB_HF_AS_IS },
    { "attn_qkv.weight", "attention.query_key_value.weight", RB_HF_QKV },
    { "attn_qkv.bias", "attention.query_key_value.bias", RB_HF_QKV },
    { "attn_output.weight", "attention.dense.weight", RB_HF_AS_IS },
    { "attn_output.bias", "attention.dense.bias", RB_HF_AS_IS },
    { "ffn_norm.weight", "post_attention_layernorm.weight", RB_HF_AS_IS },
    { "ffn_norm.bias", "post_attention_layernorm.bias", RB_HF_AS_IS },
    { "ffn_up.weight", "mlp.dense_h_to_4h.weight", RB_HF_AS_IS },
    { "ffn_up.bias", "mlp.dense_h_to_4h.bias", RB_HF_AS_IS },
    { "ffn_down.weight", "mlp.dense_4h_to_h.weight", RB_HF_AS_IS },
    { "ffn_down.bias", "mlp.dense_4h_to_h.bias", RB_HF_AS_IS },
};

typedef struct table {
    const rb_hf_name *row;
    int n;
} table;

#define ROWS(of)                                                                                   \
    {                                                                                              \
        of, sizeof of / sizeof *of                                                                 \
    }
static const table own[RB_HF_N_NAMES] = { [RB_HF_USUAL] = { NULL, 0 },
                                          [RB_HF_MIXTRAL] = ROWS(mixtral),
                                          [RB_HF_QWEN2MOE] = ROWS(qwen2moe),
                                          [RB_HF_GPTNEOX] = ROWS(gptneox) };
static const table common = ROWS(usual);

static const rb_hf_name *nth(const table *t, const char *suffix, int *i)
{
    for (int j = 0; j < t->n; j++)
        if (strcmp(t->row[j].suffix, suffix) == 0 && (*i)-- == 0)
            return &t->row[j];
    return NULL;
}

const rb_hf_name *rb_hf_name_of(rb_hf_names names, const char *suffix, int i)
{
    const rb_hf_name *found = nth(&own[names], suffix, &i);
    return found ? found : nth(&common, suffix, &i);
}

const char *rb_hf_name_text(rb_hf_names names, const rb_hf_name *name, int64_t layer,
                            int64_t expert, char buf[RB_HF_NAME])
{
    const char *const of = names == RB_HF_GPTNEOX ? "gpt_neox" : "model";
    const char *const hash = strchr(name->name, '#');
    const int head = hash ? (int)(hash - name->name) : (int)strlen(name->name);
    char number[24] = "", within[32] = "";
    if (hash)
        snprintf(number, sizeof number, "%" PRId64, expert);
    if (layer >= 0)
        snprintf(within, sizeof within, "%s.layers.%d.", of, (int)layer);
    snprintf(buf, RB_HF_NAME, "%s%.*s%s%s", within, head, name->name, number, hash ? hash + 1 : "");
    return buf;
}

/* Row 2j + t of what is rotated is the file's row t rot/2 + j; the first rows of a block stay. */
static int64_t paired(int64_t r, int64_t block, int64_t rot)
{
    const int64_t first = r - r % block + block - rot, j = r - first;
    return j < 0 ? r : first + j % 2 * (rot / 2) + j / 2;
}

/* Row r of q, then k, then v, by heads within each. */
static int64_t of_qkv(int64_t r, int64_t n_head, int64_t d)
{
    const int64_t part = r / (n_head * d), head = r / d % n_head;
    return (3 * head + part) * d + r % d;
}

int64_t rb_hf_row(const rb_hf *hf, rb_hf_rows rows, int64_t r)
{
    const rb_config *c = &hf->config;
    if (rows == RB_HF_QKV)
        return of_qkv(r, c->n_head, c->d_head_k);
    if (rows == RB_HF_HEADS && hf->halves)
        return paired(r, c->d_head_k, c->d_rot);
    if (rows == RB_HF_LATENT && hf->halves)
        return paired(r, c->kv_lora_rank + c->d_rot, c->d_rot);
    return r;
}

bool rb_hf_is_buffer(const char *name)
{
    static const char *const end[] = { ".rotary_emb.inv_freq", ".attention.bias",
                                       ".attention.masked_bias" };
    const size_t n = strlen(name);
    for (size_t i = 0; i < sizeof end / sizeof *end; i++)
        if (n > strlen(end[i]) && strcmp(name + n - strlen(end[i]), end[i]) == 0)
            return true;
    return false;
}
