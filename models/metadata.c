/* What the metadata keys of a GGUF file mean: from "ARCH.suffix" to a config.
 * Refuses, by name and with the reason, whatever would change the forward pass and is not done
 * here: windows, other rope scalings, routing within groups. Guesses nothing that a file must say.
 * Read next: arch.c (the table), gguf_load.c. */
#include "arch.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- typed access to "ARCH.suffix" ---- */

/* Like a reader: stays failed once it failed. */
typedef struct meta {
    const rb_gguf *g;
    const char *arch;
    rb_status status;
    rb_error *err;
    char key[128];
} meta;

static const rb_gguf_kv *find(meta *m, const char *suffix)
{
    snprintf(m->key, sizeof m->key, "%s.%s", m->arch, suffix);
    return m->status == RB_OK ? rb_gguf_find_kv(m->g, m->key) : NULL;
}

static void wrong_type(meta *m, const rb_gguf_kv *kv, const char *want)
{
    const char *what = kv->type == RB_GGUF_ARRAY && strcmp(want, "an integer") == 0
                           ? "an array, which means layers that differ"
                           : rb_gguf_type_name[kv->type];
    m->status =
        rb_fail(m->err, kv->type == RB_GGUF_ARRAY ? RB_ERR_UNSUPPORTED : RB_ERR_FORMAT,
                "%s: key '%s' should be %s, it is %s", m->g->file[0].label, m->key, want, what);
}

static int64_t integer(meta *m, const char *suffix, int64_t absent)
{
    const rb_gguf_kv *kv = find(m, suffix);
    if (!kv)
        return absent;
    if (!rb_gguf_is_integer(kv))
        wrong_type(m, kv, "an integer");
    return kv->integer;
}

static double real(meta *m, const char *suffix, double absent)
{
    const rb_gguf_kv *kv = find(m, suffix);
    if (!kv)
        return absent;
    if (kv->type != RB_GGUF_F32 && kv->type != RB_GGUF_F64)
        wrong_type(m, kv, "a float");
    return kv->real;
}

static bool flag(meta *m, const char *suffix, bool absent)
{
    const rb_gguf_kv *kv = find(m, suffix);
    if (kv && kv->type != RB_GGUF_BOOL && !rb_gguf_is_integer(kv))
        wrong_type(m, kv, "a truth value");
    return kv ? kv->integer != 0 : absent;
}

/* NULL if absent; a string that is too long to be kept is "?". */
static const char *text(meta *m, const char *suffix)
{
    const rb_gguf_kv *kv = find(m, suffix);
    if (kv && kv->type != RB_GGUF_STRING)
        wrong_type(m, kv, "a string");
    return !kv ? NULL : kv->text ? kv->text : "?";
}

static void require(meta *m, const char *suffix)
{
    if (!find(m, suffix) && m->status == RB_OK)
        m->status =
            rb_fail(m->err, RB_ERR_FORMAT, "%s: key '%s' is missing", m->g->file[0].label, m->key);
}

/* ---- what is refused ---- */

static void refuse(meta *m, const char *what)
{
    if (m->status == RB_OK)
        m->status = rb_fail(m->err, RB_ERR_UNSUPPORTED, "%s: %s", m->g->file[0].label, what);
}

static void refuse_window(meta *m, int64_t n_ctx)
{
    const int64_t window = integer(m, "attention.sliding_window", 0);
    if (m->status == RB_OK)
        m->status = rb_refuse_window(m->g->file[0].label, window, n_ctx, m->err);
}

/* Scaling of rotary angles; its factor 1 is none. */
static void read_scaling(meta *m, rb_config *c)
{
    rb_rope_scaling *r = &c->rope_scaling;
    const char *const type = text(m, "rope.scaling.type");
    const double factor = real(m, "rope.scaling.factor", real(m, "rope.scale_linear", 1));
    int kind = 0;
    while (type && kind < RB_N_SCALING && strcmp(type, rb_scaling_name[kind]) != 0)
        kind++;
    if (kind == RB_N_SCALING) {
        if (m->status == RB_OK)
            m->status =
                rb_refuse_scaling(m->g->file[0].label, type, "none, linear and yarn", m->err);
        return;
    }
    r->kind = type ? (rb_scaling_kind)kind : RB_SCALING_LINEAR;
    r->factor = factor == 0 ? 1 : (float)factor;
    if (r->kind == RB_SCALING_LINEAR && r->factor == 1)
        r->kind = RB_SCALING_NONE;
    r->n_ctx_train = integer(m, "rope.scaling.original_context_length", c->n_ctx_train);
    r->attn_factor = (float)real(m, "rope.scaling.attn_factor", (double)r->attn_factor);
    r->log_mul = (float)real(m, "rope.scaling.yarn_log_multiplier", 0);
    r->beta_fast = (float)real(m, "rope.scaling.yarn_beta_fast", (double)r->beta_fast);
    r->beta_slow = (float)real(m, "rope.scaling.yarn_beta_slow", (double)r->beta_slow);
}

/* ---- the config ---- */

static rb_status find_arch(const rb_gguf *g, rb_config *c, rb_error *err)
{
    const rb_gguf_kv *kv = rb_gguf_find_kv(g, "general.architecture");
    if (!kv)
        return rb_fail(err, RB_ERR_FORMAT, "%s: key 'general.architecture' is missing",
                       g->file[0].label);
    if (kv->type != RB_GGUF_STRING || !kv->text)
        return rb_fail(err, RB_ERR_FORMAT, "%s: key 'general.architecture' is no short string",
                       g->file[0].label);
    rb_arch arch = rb_arch_by_name(kv->text);
    char known[160];
    if (arch == RB_N_ARCH)
        return rb_fail(err, RB_ERR_UNSUPPORTED, "%s: architecture '%.64s' is not supported; %s are",
                       g->file[0].label, kv->text, rb_arch_list(known, sizeof known));
    rb_config_set_arch(c, arch);
    return RB_OK;
}

/* llama.cpp's gptneox has GELU by tanh whatever the model had, and its files do not say; those that
 * rb_gguf_write makes do. */
static void read_gelu(meta *m, rb_config *c)
{
    const char *const act = text(m, "hidden_activation");
    if (act && !rb_gelu_by_name(act, &c->gelu_erf))
        refuse(m, "its activation function is not supported; gelu and gelu_pytorch_tanh are");
}

/* Keys that every family has. */
static void read_keys(meta *m, rb_config *c)
{
    const char *const eps = c->norm == RB_NORM_LAYER ? "attention.layer_norm_epsilon"
                                                     : "attention.layer_norm_rms_epsilon";
    const char *const required[] = { "block_count",          "embedding_length",
                                     "feed_forward_length",  "context_length",
                                     "attention.head_count", eps };
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        require(m, required[i]);
    c->n_layer = integer(m, "block_count", 0);
    c->n_embd = integer(m, "embedding_length", 0);
    c->n_ff = integer(m, "feed_forward_length", 0);
    c->n_ctx_train = integer(m, "context_length", 0);
    c->n_head = integer(m, "attention.head_count", 0);
    c->n_head_kv = integer(m, "attention.head_count_kv", c->n_head);
    int64_t d_head = c->n_head > 0 ? c->n_embd / c->n_head : 0;
    c->d_head_k = integer(m, "attention.key_length", d_head);
    c->d_head_v = integer(m, "attention.value_length", d_head);
    c->d_rot = integer(m, "rope.dimension_count", c->d_head_k);
    c->norm_eps = (float)real(m, eps, 0);
    c->rope_base = (float)real(m, "rope.freq_base", 10000);
    if (c->arch == RB_ARCH_GPTNEOX)
        c->parallel_residual = flag(m, "use_parallel_residual", true);
    if (c->ffn == RB_FFN_GELU)
        read_gelu(m, c);
    refuse_window(m, c->n_ctx_train);
}

/* Files that give the sizes of heads apart tell of their cache as of one head. */
static void check_latent_head(meta *m, const rb_config *c)
{
    int64_t key; /* sizes are checked once all are read: until then they may be anything */
    const bool right = !__builtin_add_overflow(c->kv_lora_rank, c->d_rot, &key) &&
                       c->n_head_kv == 1 && integer(m, "attention.key_length", key) == key &&
                       integer(m, "attention.value_length", c->kv_lora_rank) == c->kv_lora_rank;
    if (!right && m->status == RB_OK)
        m->status = rb_fail(m->err, RB_ERR_FORMAT,
                            "%s: key_length_mla is there, but head_count_kv, key_length and "
                            "value_length are not those of one latent head of %" PRId64
                            " + %" PRId64 " columns",
                            m->g->file[0].label, c->kv_lora_rank, c->d_rot);
}

/* Latent attention. key_length means two things: where key_length_mla stands beside it, it is of
 * the latent cache (one head of rank + d_rot), else of the heads. */
static void read_latent(meta *m, rb_config *c)
{
    require(m, "attention.kv_lora_rank");
    require(m, "rope.dimension_count");
    c->kv_lora_rank = integer(m, "attention.kv_lora_rank", 0);
    c->q_lora_rank = integer(m, "attention.q_lora_rank", 0);
    if (c->kv_lora_rank < 1 && m->status == RB_OK)
        m->status = rb_fail(m->err, RB_ERR_FORMAT,
                            "%s: kv_lora_rank is %" PRId64 "; architecture "
                            "%s has a latent",
                            m->g->file[0].label, c->kv_lora_rank, m->arch);
    if (find(m, "attention.key_length_mla")) {
        require(m, "attention.value_length_mla");
        check_latent_head(m, c);
        c->d_head_k = integer(m, "attention.key_length_mla", 0);
        c->d_head_v = integer(m, "attention.value_length_mla", 0);
        c->n_head_kv = c->n_head;
    } else {
        require(m, "attention.key_length");
        require(m, "attention.value_length");
        if (c->n_head_kv == 1 && c->n_head > 1)
            refuse(m, "one KV head, but no key_length_mla: the sizes of its heads are not told");
    }
    /* The tensors tell, never the number of layers. */
    if (!rb_gguf_find_tensor(m->g, "blk.0.attn_q_a.weight"))
        c->q_lora_rank = 0;
    c->mla_split = rb_gguf_find_tensor(m->g, "blk.0.attn_k_b.weight") != NULL;
}

static void read_gating(meta *m, rb_config *c)
{
    const int64_t function = integer(m, "expert_gating_func", 1);
    if (function != 1 && function != 2)
        refuse(m,
               "its function of expert shares is not supported; softmax (1) and sigmoid (2) are");
    c->gating = function == 2 ? RB_GATING_SIGMOID : RB_GATING_SOFTMAX;
    if (c->arch == RB_ARCH_DEEPSEEK2)
        c->expert_renorm = flag(m, "expert_weights_norm", false);
    const double scale = real(m, "expert_weights_scale", 1);
    c->expert_scale = scale == 0 ? 1 : (float)scale;
    const int64_t groups = integer(m, "expert_group_count", 1);
    const int64_t used = integer(m, "expert_group_used_count", 0);
    if (m->status == RB_OK)
        m->status = rb_refuse_groups(m->g->file[0].label, groups, used, m->err);
}

/* A tensor of the last layer: where a file has experts at all, there. */
static bool last_layer_has(const meta *m, const rb_config *c, const char *suffix)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%" PRId64 ".%s", c->n_layer - 1, suffix);
    return rb_gguf_find_tensor(m->g, name) != NULL;
}

static void read_experts(meta *m, rb_config *c)
{
    c->n_expert = integer(m, "expert_count", 0);
    if (c->n_expert == 0) {
        c->expert_renorm = c->shared_gate = false;
        return;
    }
    if (rb_arch_get(c->arch)->experts == RB_EXPERTS_NEVER)
        refuse(m, "a mixture of experts is not known of this architecture");
    require(m, "expert_used_count");
    c->n_expert_used = integer(m, "expert_used_count", 0);
    c->n_ff_expert = integer(m, "expert_feed_forward_length", c->n_ff);
    if (c->arch == RB_ARCH_DEEPSEEK2) {
        const int64_t n = integer(m, "expert_shared_count", 0);
        if (n < 0 || n > 4096)
            refuse(m, "its number of shared experts makes no sense");
        else if (c->n_ff_expert >= 0 && c->n_ff_expert <= 1 << 22)
            c->n_ff_shared = n * c->n_ff_expert;
        c->n_dense_lead = integer(m, "leading_dense_block_count", 0);
    } else if (c->arch == RB_ARCH_QWEN2MOE) {
        require(m, "expert_shared_feed_forward_length");
        c->n_ff_shared = integer(m, "expert_shared_feed_forward_length", 0);
    }
    read_gating(m, c);
    c->expert_bias = last_layer_has(m, c, "exp_probs_b.bias");
    c->experts_fused = last_layer_has(m, c, "ffn_gate_up_exps.weight");
}

/* ---- attention that rbench converted ---- */

static rb_status check_own_keys(const rb_gguf *g, rb_error *err)
{
    static const char *const known[] = { "form",      "exact",           "kv_lora_rank",
                                         "late_rope", "key_block_count", "frequency_length",
                                         "scale",     "head_count_v",    "value_up_length",
                                         "calibrated" };
    static const char prefix[] = "rbench.attention.";
    for (int64_t i = 0; i < g->n_kv; i++) {
        const char *key = g->kv[i].key;
        bool is_known = strncmp(key, "rbench.", 7) != 0;
        for (size_t k = 0; k < sizeof known / sizeof *known && !is_known; k++)
            is_known = strncmp(key, prefix, sizeof prefix - 1) == 0 &&
                       strcmp(key + sizeof prefix - 1, known[k]) == 0;
        if (!is_known)
            return rb_fail(err, RB_ERR_UNSUPPORTED,
                           "%s: key '%s' is not known: a newer rbench wrote the file",
                           g->file[0].label, key);
    }
    return RB_OK;
}

/* Beside the keys of the architecture, which then are of the heads as they are converted. */
static void read_own(meta *of, rb_config *c)
{
    meta m = { .g = of->g, .arch = "rbench", .status = of->status, .err = of->err };
    if (m.status == RB_OK)
        m.status = check_own_keys(m.g, m.err);
    if (find(&m, "attention.kv_lora_rank")) {
        c->kv_lora_rank = integer(&m, "attention.kv_lora_rank", 0);
        c->latent_plain = true;
        c->mla_split = rb_gguf_find_tensor(m.g, "blk.0.attn_v_b.weight") != NULL;
    }
    c->late_rope = flag(&m, "attention.late_rope", false);
    c->n_key_block = integer(&m, "attention.key_block_count", 0);
    c->d_freq = integer(&m, "attention.frequency_length", 0);
    c->n_head_v = integer(&m, "attention.head_count_v", 0);
    c->d_value_up = integer(&m, "attention.value_up_length", 0);
    c->attn_scale = (float)real(&m, "attention.scale", 0);
    of->status = m.status;
}

rb_status rb_arch_note(const rb_gguf *g, rb_attn_note *note, rb_error *err)
{
    meta m = { .g = g, .arch = "rbench", .err = err };
    rb_error inner = { .text = "" };
    const char *form = text(&m, "attention.form");
    *note = (rb_attn_note){ .exact = flag(&m, "attention.exact", false),
                            .n_calibrated = integer(&m, "attention.calibrated", 0) };
    note->converted = form != NULL;
    if (m.status == RB_OK && form && rb_attn_form_parse(&note->form, form, &inner) != RB_OK)
        refuse(&m, inner.text);
    return m.status;
}

/* What only the tensors tell. */
static void read_tensors(meta *m, rb_config *c)
{
    const rb_gguf_tensor *embd = rb_gguf_find_tensor(m->g, "token_embd.weight");
    c->n_vocab = integer(m, "vocab_size", embd ? embd->ne[1] : 0);
    if (!embd && m->status == RB_OK)
        m->status = rb_fail(m->err, RB_ERR_FORMAT, "%s: tensor 'token_embd.weight' is missing",
                            m->g->file[0].label);
    c->tied = !rb_gguf_find_tensor(m->g, "output.weight");
    c->rope_freqs = rb_gguf_find_tensor(m->g, "rope_freqs.weight") != NULL;
    /* Some llama-shaped models have biases too; qwen2 always does. */
    c->qkv_bias |= rb_gguf_find_tensor(m->g, "blk.0.attn_q.bias") != NULL;
    c->out_bias = !c->linear_bias && rb_gguf_find_tensor(m->g, "blk.0.attn_output.bias");
}

rb_status rb_arch_config(const rb_gguf *g, rb_config *c, rb_error *err)
{
    *c = (rb_config){ 0 };
    rb_status status = find_arch(g, c, err);
    if (status != RB_OK)
        return status;
    meta m = { .g = g, .arch = rb_arch_name[c->arch], .err = err };
    const rb_gguf_kv *name = rb_gguf_find_kv(g, "general.name");
    rb_config_set_name(c, name && name->text && *name->text ? name->text
                                                            : rb_source_base_name(&g->file[0]));
    read_keys(&m, c);
    if (rb_arch_get(c->arch)->latent)
        read_latent(&m, c);
    read_own(&m, c);
    read_experts(&m, c);
    read_scaling(&m, c);
    read_tensors(&m, c);
    return m.status == RB_OK ? rb_refuse_config(g->file[0].label, c, err) : m.status;
}
