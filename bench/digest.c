/* What identifies a model: a 128-bit XXH3 digest of its shape and of its own layers' weights, in
 * the order of rb_layer. Not a cryptographic one: it tells models apart, it proves nothing of them.
 * Copied layers, names and the layout of files stay out. Read next: store.c, which compares it. */
#include "bench.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* A layer is nothing but views. */
enum { N_VIEW = sizeof(rb_layer) / sizeof(rb_view) };
_Static_assert(N_VIEW * sizeof(rb_view) == sizeof(rb_layer), "rb_layer holds views only");

/* A field that is missing here would let different models pass for one. */
static void add_config(XXH3_state_t *state, const rb_config *c)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "%s %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %a %a %d %d %d %d %d\n",
                     rb_arch_name[c->arch], (long long)c->n_layer, (long long)c->n_embd,
                     (long long)c->n_ff, (long long)c->n_vocab, (long long)c->n_head,
                     (long long)c->n_head_kv, (long long)c->d_head_k, (long long)c->d_head_v,
                     (long long)c->d_rot, (long long)c->n_ctx_train, (double)c->norm_eps,
                     (double)c->rope_base, (int)c->rope_pairing, c->tied, c->qkv_bias, c->qk_norm,
                     c->rope_freqs);
    XXH3_128bits_update(state, text, (size_t)n);
}

/* False if the weight has no memory, or is not one piece of it. */
static bool add_view(XXH3_state_t *state, const rb_view *v)
{
    char text[128];
    if (!v->buffer)
        return XXH3_128bits_update(state, "-\n", 2) == XXH_OK;
    if (!v->buffer->data || !rb_view_is_dense(v))
        return false;
    int n =
        snprintf(text, sizeof text, "%s %lld %lld %lld %lld\n", rb_dtype_get(v->dtype)->name,
                 (long long)v->n[0], (long long)v->n[1], (long long)v->n[2], (long long)v->n[3]);
    XXH3_128bits_update(state, text, (size_t)n);
    XXH3_128bits_update(state, rb_at(v, 0, 0, 0),
                        (size_t)rb_row_bytes(v->dtype, rb_view_elements(v)));
    return true;
}

bool rb_model_digest(const rb_model *m, char digest[RB_DIGEST])
{
    XXH3_state_t state;
    const rb_view *outer[] = { &m->tok_embd, &m->out_norm, &m->output, &m->rope_freqs };
    digest[0] = 0;
    XXH3_128bits_reset(&state);
    add_config(&state, &m->config);
    for (int i = 0; i < 4; i++) {
        bool again = outer[i] == &m->output && m->config.tied;
        if (!again && !add_view(&state, outer[i]))
            return false;
    }
    for (int64_t l = 0; l < m->config.n_layer; l++) {
        const rb_view *v = (const rb_view *)&m->layer[l];
        for (int i = 0; i < N_VIEW; i++) {
            if (!add_view(&state, &v[i]))
                return false;
        }
    }
    XXH128_hash_t h = XXH3_128bits_digest(&state);
    snprintf(digest, RB_DIGEST, "xxh3:%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
    return true;
}
