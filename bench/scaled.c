/* Small models of a model's kind, for what takes too long on the model itself: the same
 * architecture, heads and ranks, and every extent shrunk such that it leaves the same remainder by
 * the largest block, so that the same types, panels and tails come up.
 * Refuses to shrink what would change that. Read next: verify_proof.c. */
#include "verify_parts.h"

#include <string.h>

enum { BLOCK = 256 }; /* the largest of all types, and a multiple of the others and of panels */

int rb_matrix_types(const rb_model *m, rb_dtype type[], int max)
{
    bool has[RB_N_DTYPE] = { false };
    int n = 0;
    has[rb_dtype_get(m->tok_embd.dtype)->base] = true;
    has[rb_dtype_get(m->output.dtype)->base] = true;
    for (int64_t l = 0; l < m->config.n_layer; l++) {
        const rb_view *v = (const rb_view *)&m->layer[l];
        for (size_t i = 0; i < sizeof(rb_layer) / sizeof *v; i++)
            if (v[i].buffer && v[i].n[1] * v[i].n[2] > 1 &&
                v[i].buffer != m->layer[l].router.buffer)
                has[rb_dtype_get(v[i].dtype)->base] = true;
    }
    for (int t = 0; t < RB_FIRST_PACKED && n < max; t++)
        if (has[t])
            type[n++] = (rb_dtype)t;
    return n;
}

/* The fewest, from `least` on, whose elements leave the remainder that all of them leave. */
static int64_t shrunk(int64_t count, int64_t each, int64_t least)
{
    int64_t n = least < count ? least : count;
    while (n < count && (count - n) * each % BLOCK != 0)
        n++;
    return n;
}

static void note(char *what, size_t size, const char *name, int64_t now, int64_t was)
{
    const size_t n = strlen(what);
    if (now != was && n < size)
        snprintf(what + n, size - n, "%s%s %lld of %lld", n ? ", " : "", name, (long long)now,
                 (long long)was);
}

static void shrink_heads(rb_config *c)
{
    const int64_t group = c->n_head / c->n_head_kv;
    if (!c->n_head_v) { /* else heads of V would have to follow */
        c->n_head_kv = shrunk(c->n_head_kv, group * c->d_head_v, 2);
        c->n_head = group * c->n_head_kv;
    }
    if (c->kv_lora_rank)
        c->kv_lora_rank = shrunk(c->kv_lora_rank, 1, BLOCK);
    if (c->q_lora_rank)
        c->q_lora_rank = shrunk(c->q_lora_rank, 1, BLOCK);
}

/* A shared expert is a whole number of routed ones where files say it so. */
static void shrink_experts(rb_config *c)
{
    const int64_t whole =
        c->n_ff_shared % c->n_ff_expert == 0 ? c->n_ff_shared / c->n_ff_expert : 0;
    c->n_expert = shrunk(c->n_expert, BLOCK, 2 * c->n_expert_used);
    c->n_ff_expert = shrunk(c->n_ff_expert, 1, BLOCK);
    c->n_ff_shared = whole ? whole * c->n_ff_expert : shrunk(c->n_ff_shared, 1, BLOCK);
    c->n_dense_lead = c->n_dense_lead ? 1 : 0;
}

rb_config rb_config_scaled(const rb_config *c, char *what, size_t size)
{
    enum { LAYERS = 2 };
    rb_config s = *c;
    s.n_layer = c->n_layer < LAYERS ? c->n_layer : LAYERS;
    s.n_embd = shrunk(c->n_embd, 1, BLOCK);
    s.n_ff = shrunk(c->n_ff, 1, BLOCK);
    s.n_vocab = shrunk(c->n_vocab, 1, BLOCK);
    shrink_heads(&s);
    if (c->n_expert)
        shrink_experts(&s);
    what[0] = '\0';
    note(what, size, "layers", s.n_layer, c->n_layer);
    note(what, size, "hidden", s.n_embd, c->n_embd);
    note(what, size, "ffn", s.n_ff, c->n_ff);
    note(what, size, "vocabulary", s.n_vocab, c->n_vocab);
    note(what, size, "heads", s.n_head, c->n_head);
    note(what, size, "latent", s.kv_lora_rank, c->kv_lora_rank);
    note(what, size, "experts", s.n_expert, c->n_expert);
    note(what, size, "expert ffn", s.n_ff_expert, c->n_ff_expert);
    return s;
}
