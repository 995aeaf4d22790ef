/* The table of architectures, and what their metadata keys mean.
 * Refuses, by name and with the reason, whatever would change the forward pass and is not done
 * here: experts, windows, rope scaling other than linear. Guesses nothing that a file must say.
 * Read next: gguf_load.c. */
#include "arch.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

const char *const rb_arch_name[RB_N_ARCH] = { "llama", "qwen2", "qwen3" };

static const rb_arch_info info[RB_N_ARCH] = {
    [RB_ARCH_LLAMA] = { RB_ROPE_NORM, false, false },
    [RB_ARCH_QWEN2] = { RB_ROPE_NEOX, true, false },
    [RB_ARCH_QWEN3] = { RB_ROPE_NEOX, false, true },
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

void rb_config_set_arch(rb_config *c, rb_arch arch)
{
    c->arch = arch;
    c->rope_pairing = info[arch].pairing;
    c->qkv_bias = info[arch].qkv_bias;
    c->qk_norm = info[arch].qk_norm;
}

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
    int64_t window = integer(m, "attention.sliding_window", 0);
    char text[160];
    snprintf(text, sizeof text,
             "sliding-window attention (%" PRId64 " of %" PRId64 " tokens) is not supported; a"
             " window that covers the context is",
             window, n_ctx);
    if (window > 0 && window < n_ctx)
        refuse(m, text);
}

/* Linear scaling divides positions; its factor 1 is no scaling. */
static float linear_factor(meta *m)
{
    const rb_gguf_kv *type = find(m, "rope.scaling.type");
    double factor = real(m, "rope.scaling.factor", real(m, "rope.scale_linear", 1));
    if (type && (type->type != RB_GGUF_STRING || !type->text ||
                 (strcmp(type->text, "none") != 0 && strcmp(type->text, "linear") != 0))) {
        char text[128];
        snprintf(text, sizeof text, "rope scaling '%.32s' is not supported; none and linear are",
                 type->text ? type->text : "?");
        refuse(m, text);
    }
    if ((type && type->text && strcmp(type->text, "none") == 0) || factor == 0)
        return 1;
    if (!(factor > 0 && isfinite((float)factor)))
        refuse(m, "the factor of its rope scaling is no positive number");
    return (float)factor;
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
    if (arch == RB_N_ARCH)
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "%s: architecture '%.64s' is not supported; llama, qwen2 and qwen3 are",
                       g->file[0].label, kv->text);
    rb_config_set_arch(c, arch);
    return RB_OK;
}

static void read_keys(meta *m, rb_config *c)
{
    static const char *const required[] = {
        "block_count",          "embedding_length", "feed_forward_length",
        "attention.head_count", "context_length",   "attention.layer_norm_rms_epsilon"
    };
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
    c->norm_eps = (float)real(m, "attention.layer_norm_rms_epsilon", 0);
    c->rope_base = (float)real(m, "rope.freq_base", 10000);
    if (integer(m, "expert_count", 0) > 0)
        refuse(m, "a mixture of experts is not supported");
    refuse_window(m, c->n_ctx_train);
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
}

rb_status rb_arch_config(const rb_gguf *g, rb_config *c, float *linear, rb_error *err)
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
    *linear = linear_factor(&m);
    read_tensors(&m, c);
    if (m.status != RB_OK)
        return m.status;
    rb_error inner;
    status = rb_config_check(c, &inner);
    if (status != RB_OK)
        return rb_fail(err, status, "%s: its metadata make no sense: %.300s", g->file[0].label,
                       inner.text);
    return RB_OK;
}
