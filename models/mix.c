/* Which type a tensor gets in a file of a given type. Mixes follow the rules of llama.cpp's
 * quantisation (without an importance matrix), as tables, so that files of one name are alike.
 * Refuses to know values and shapes beyond a row's length; Falcon's own exceptions are not here.
 * Read next: convert.c. */
#include "model.h"

#include <string.h>
#include <strings.h>

/* ---- parts of a model that rules tell apart ---- */

typedef enum { OTHER, EMBD, HEAD, ATTN_V, ATTN_K, ATTN_OUT, FFN_DOWN } part;

/* Whatever holds V counts as attn_v. */
static const struct {
    const char *within;
    part part;
} parts[] = {
    { "attn_qkv.weight", ATTN_V }, { "attn_kv_b.weight", ATTN_V },     { "attn_v.weight", ATTN_V },
    { "attn_k.weight", ATTN_K },   { "attn_output.weight", ATTN_OUT }, { "ffn_down", FFN_DOWN },
};

static part part_of(const char *name)
{
    if (strcmp(name, "output.weight") == 0)
        return HEAD;
    if (strcmp(name, "token_embd.weight") == 0 || strcmp(name, "per_layer_token_embd.weight") == 0)
        return EMBD;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(name, parts[i].within))
            return parts[i].part;
    return OTHER;
}

bool rb_mix_is_attn_v(const char *name)
{
    return part_of(name) == ATTN_V;
}

/* ---- what changes its type at all ---- */

/* Matrices that are small, or that no product reads: they stay as they are. */
static const char *const kept[] = {
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv",
    "indexer.k_proj.weight",
    "attn_rel_b",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w",
    "time_mix_v0.",
    "time_mix_v1.",
    "time_mix_v2.",
    "time_mix_a",
    "time_mix_g1.",
    "time_mix_g2.",
    "time_mix_decay_w1.",
    "time_mix_decay_w2.",
    "time_mix_lerp_fused.",
    "position_embd",
    "token_types.weight",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
};

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

bool rb_mix_takes(const char *name, const int64_t ne[4])
{
    if ((ne[1] == 1 && ne[2] == 1 && ne[3] == 1) || !ends_with(name, "weight"))
        return false;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strstr(name, kept[i]))
            return false;
    return true;
}

/* ---- rules ---- */

/* Of n layers, or of n tensors of the part. */
typedef enum { ALL, FIRST_2, FIRST_4, FIRST_16TH, FIRST_8TH, MORE_BITS, IF_8_EXPERTS } when;

typedef struct rb_mix_rule {
    part part;
    when when;
    rb_dtype type;
} rule;

#define END                                                                                        \
    {                                                                                              \
        OTHER, ALL, RB_NO_DTYPE                                                                    \
    }

/* The first rule that applies decides. Those of all mixes come before their own. */
static const rule common[] = {
    { HEAD, ALL, RB_Q6_K },
    { ATTN_V, IF_8_EXPERTS, RB_Q8_0 },
    { ATTN_K, IF_8_EXPERTS, RB_Q8_0 },
    END,
};
static const rule plain[] = { END };
static const rule q3_k_s[] = { { ATTN_OUT, IF_8_EXPERTS, RB_Q5_K }, END };
static const rule q3_k_m[] = {
    { ATTN_V, FIRST_2, RB_Q5_K },
    { ATTN_V, ALL, RB_Q4_K },
    { FFN_DOWN, FIRST_16TH, RB_Q5_K },
    { FFN_DOWN, ALL, RB_Q4_K },
    { ATTN_OUT, IF_8_EXPERTS, RB_Q5_K },
    { ATTN_OUT, ALL, RB_Q4_K },
    END,
};
static const rule q4_k_s[] = {
    { ATTN_V, FIRST_4, RB_Q5_K },
    { FFN_DOWN, FIRST_8TH, RB_Q5_K },
    { ATTN_OUT, IF_8_EXPERTS, RB_Q5_K },
    END,
};
static const rule q4_k_m[] = {
    { ATTN_V, MORE_BITS, RB_Q6_K },
    { FFN_DOWN, MORE_BITS, RB_Q6_K },
    { ATTN_OUT, IF_8_EXPERTS, RB_Q5_K },
    END,
};
static const rule q5_k_m[] = {
    { ATTN_V, MORE_BITS, RB_Q6_K },
    { FFN_DOWN, MORE_BITS, RB_Q6_K },
    END,
};

static const rb_mix mixes[] = {
    { "f32", 0, RB_F32, NULL },        { "f16", 1, RB_F16, NULL },
    { "bf16", 32, RB_BF16, NULL },     { "q8_0", 7, RB_Q8_0, NULL },
    { "q4_0", 2, RB_Q4_0, NULL },      { "q4_1", 3, RB_Q4_1, NULL },
    { "q5_0", 8, RB_Q5_0, NULL },      { "q5_1", 9, RB_Q5_1, NULL },
    { "q2_K", 10, RB_Q2_K, NULL },     { "q3_K", 11, RB_Q3_K, NULL },
    { "q4_K", 14, RB_Q4_K, NULL },     { "q5_K", 16, RB_Q5_K, NULL },
    { "q6_K", 18, RB_Q6_K, NULL },     { "iq4_nl", 25, RB_IQ4_NL, NULL },
    { "iq4_xs", 30, RB_IQ4_XS, NULL }, { "q3_k_s", 11, RB_Q3_K, q3_k_s },
    { "q3_k_m", 12, RB_Q3_K, q3_k_m }, { "q4_k_s", 14, RB_Q4_K, q4_k_s },
    { "q4_k_m", 15, RB_Q4_K, q4_k_m }, { "q5_k_s", 16, RB_Q5_K, plain },
    { "q5_k_m", 17, RB_Q5_K, q5_k_m },
};

const rb_mix *rb_mix_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++)
        if (strcasecmp(mixes[i].name, name) == 0)
            return &mixes[i];
    return NULL;
}

bool rb_mix_wide_gqa(const char *arch, int64_t n_layer, int64_t n_head, int64_t n_head_kv)
{
    static const struct {
        const char *arch;
        int64_t n_layer;
        bool mha_too;
    } big[] = {
        { "llama", 80, false }, { "qwen2", 80, true }, { "deci", 80, true },
        { "olmo", 80, true },   { "jais2", 68, true },
    };
    for (size_t i = 0; i < sizeof big / sizeof *big; i++)
        if (strcmp(arch, big[i].arch) == 0 && n_layer == big[i].n_layer)
            return big[i].mha_too || n_head != n_head_kv;
    return false;
}

/* i-th of n, both from 0. The first and the last eighth, and every third in between. */
static bool gets_more_bits(int64_t i, int64_t n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static bool applies(when w, int64_t i, int64_t n, int64_t n_expert)
{
    switch (w) {
    case FIRST_2:
        return i < 2;
    case FIRST_4:
        return i < 4;
    case FIRST_16TH:
        return i < n / 16;
    case FIRST_8TH:
        return i < n / 8;
    case MORE_BITS:
        return gets_more_bits(i, n);
    case IF_8_EXPERTS:
        return n_expert == 8;
    case ALL:
        break;
    }
    return true;
}

static const rule *find_rule(const rule *r, part p, int64_t i, int64_t n, int64_t n_expert)
{
    for (; r->part != OTHER; r++)
        if (r->part == p && applies(r->when, i, n, n_expert))
            return r;
    return NULL;
}

rb_dtype rb_dtype_fallback(rb_dtype type, int64_t cols)
{
    static const rb_dtype narrow[RB_FIRST_PACKED] = {
        [RB_Q2_K] = RB_IQ4_NL, [RB_Q3_K] = RB_IQ4_NL, [RB_IQ4_XS] = RB_IQ4_NL,
        [RB_Q4_K] = RB_Q5_0,   [RB_Q5_K] = RB_Q5_1,   [RB_Q6_K] = RB_Q8_0,
    };
    if (narrow[type] && cols % rb_dtype_get(type)->block != 0)
        type = narrow[type];
    return cols % rb_dtype_get(type)->block == 0 ? type : RB_F16;
}

rb_dtype rb_mixer_next(rb_mixer *m, const char *name, int64_t layer, int64_t cols)
{
    const rb_mix_model *of = &m->model;
    part p = part_of(name);
    int64_t i = 0, n = of->n_layer;
    if (p == EMBD && of->tied)
        p = HEAD;
    if (p == ATTN_V) {
        i = m->i_attn_v++;
        n = of->n_attn_v;
    } else if (p == FFN_DOWN) {
        i = m->i_ffn_down++;
        i = of->n_expert > 1 ? layer : i; /* several of a layer are one place */
    }
    rb_dtype type = m->mix->base;
    if (m->mix->rule) {
        const rule *r = find_rule(common, p, i, n, of->n_expert);
        if (!r)
            r = find_rule(m->mix->rule, p, i, n, of->n_expert);
        type = r ? r->type : type;
        if (p == ATTN_V && of->wide_gqa && (type == RB_Q3_K || type == RB_Q4_K))
            type = RB_Q5_K;
    }
    return rb_dtype_fallback(type, cols);
}
