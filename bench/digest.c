/* What identifies a model: a 128-bit XXH3 digest of its shape and of its own layers' weights, in
 * the order of rb_layer. Not a cryptographic one: it tells models apart, it proves nothing of them.
 * Copied layers, names and the layout of files stay out. Read next: store.c, which compares it. */
#include "bench.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* A layer is nothing but views. */
/* Those after the common ones are of converted attention: where absent, they are nothing. */
enum {
    N_VIEW = sizeof(rb_layer) / sizeof(rb_view),
    N_COMMON = offsetof(rb_layer, bkv_a) / sizeof(rb_view)
};
_Static_assert(N_VIEW * sizeof(rb_view) == sizeof(rb_layer), "rb_layer holds views only");

/* A field that is missing here would let different models pass for one; how a file stacks experts
 * is no difference. */
static void add_config(XXH3_state_t *state, const rb_config *c)
{
    const rb_rope_scaling *r = &c->rope_scaling;
    const long long extent[] = { c->n_layer,     c->n_embd,        c->n_ff,         c->n_vocab,
                                 c->n_head,      c->n_head_kv,     c->d_head_k,     c->d_head_v,
                                 c->d_rot,       c->n_ctx_train,   c->kv_lora_rank, c->q_lora_rank,
                                 c->n_expert,    c->n_expert_used, c->n_ff_expert,  c->n_dense_lead,
                                 c->n_ff_shared, r->n_ctx_train };
    const int choice[] = { (int)c->rope_pairing, (int)r->kind,   (int)c->norm,
                           (int)c->ffn,          c->tied,        c->qkv_bias,
                           c->qk_norm,           c->rope_freqs,  c->linear_bias,
                           c->parallel_residual, c->mla_split,   (int)c->gating,
                           c->expert_renorm,     c->expert_bias, c->shared_gate };
    const float number[] = { c->norm_eps,  c->rope_base, c->expert_scale, r->factor,
                             r->beta_fast, r->beta_slow, r->attn_factor,  r->log_mul };
    XXH3_128bits_update(state, rb_arch_name[c->arch], strlen(rb_arch_name[c->arch]) + 1);
    XXH3_128bits_update(state, extent, sizeof extent);
    XXH3_128bits_update(state, choice, sizeof choice);
    XXH3_128bits_update(state, number, sizeof number);
    /* Younger fields only where they are set: digests of older models stay. */
    if (c->out_bias)
        XXH3_128bits_update(state, "out_bias", 8);
    if (c->gelu_erf)
        XXH3_128bits_update(state, "gelu_erf", 8);
    if (!c->latent_plain && !c->n_head_v && !c->d_value_up && c->attn_scale == 0)
        return;
    /* Conversions alone have these: other models keep the digests that they had. */
    const long long converted[] = { c->late_rope, c->latent_plain, c->n_key_block,
                                    c->d_freq,    c->n_head_v,     c->d_value_up };
    XXH3_128bits_update(state, converted, sizeof converted);
    XXH3_128bits_update(state, &c->attn_scale, sizeof c->attn_scale);
}

/* Row by row, since experts may lie apart. False if the weight has no memory. */
static bool add_view(XXH3_state_t *state, const rb_view *v)
{
    char text[128];
    if (!v->buffer)
        return XXH3_128bits_update(state, "-\n", 2) == XXH_OK;
    if (!v->buffer->data)
        return false;
    int n =
        snprintf(text, sizeof text, "%s %lld %lld %lld %lld\n", rb_dtype_get(v->dtype)->name,
                 (long long)v->n[0], (long long)v->n[1], (long long)v->n[2], (long long)v->n[3]);
    XXH3_128bits_update(state, text, (size_t)n);
    const size_t row = (size_t)rb_row_bytes(v->dtype, v->n[3]);
    for (int64_t m = 0; m < v->n[1]; m++)
        for (int64_t i = 0; i < v->n[2]; i++)
            XXH3_128bits_update(state, rb_at(v, 0, m, i), row);
    return true;
}

bool rb_model_digest(const rb_model *m, char digest[RB_DIGEST])
{
    XXH3_state_t state;
    const rb_view *outer[] = { &m->tok_embd, &m->out_norm, &m->out_norm_b, &m->output,
                               &m->rope_freqs };
    digest[0] = 0;
    XXH3_128bits_reset(&state);
    add_config(&state, &m->config);
    for (int i = 0; i < 5; i++) {
        bool again = outer[i] == &m->output && m->config.tied;
        if (!again && !add_view(&state, outer[i]))
            return false;
    }
    for (int64_t l = 0; l < m->config.n_layer; l++) {
        const rb_view *v = (const rb_view *)&m->layer[l];
        for (int i = 0; i < N_VIEW; i++) {
            if ((i < N_COMMON || v[i].buffer) && !add_view(&state, &v[i]))
                return false;
        }
    }
    XXH128_hash_t h = XXH3_128bits_digest(&state);
    snprintf(digest, RB_DIGEST, "xxh3:%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
    return true;
}
