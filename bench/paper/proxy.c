/* The formula of the paper's public code, fault by fault, for one point: what it would have said
 * of FLOPs, traffic, OI and GFLOP/s. These are claims, held beside the ledger, never in its place.
 * Refuses attention that the formula has no form for. Read next: proxy_law.c. */
#include "paper.h"

#include <math.h>

const char *const rb_proxy_fault_name[RB_N_PROXY_FAULT] = {
    [RB_PROXY_PROMPT_ONLY] = "generated tokens left out",
    [RB_PROXY_MAC_IS_ONE] = "multiply-add counted as 1",
    [RB_PROXY_NO_FFN] = "FFN left out",
    [RB_PROXY_NO_HEAD] = "lm_head left out",
    [RB_PROXY_KV_IS_FLOPS] = "cache elements added to FLOPs",
    [RB_PROXY_HALF_KV_HEADS] = "KV heads halved",
    [RB_PROXY_HEAD_IS_SHARE] = "head size taken as hidden / heads",
    [RB_PROXY_LATENT] = "latent taken as wide as hidden",
    [RB_PROXY_FULL_SQUARE] = "full square, not the causal triangle",
    [RB_PROXY_WHOLE_PROCESS] = "one repetition's work over the time of the process",
    [RB_PROXY_PEAK_X_TIME] = "peak memory x time as traffic",
};

static bool has(rb_proxy_faults faults, rb_proxy_fault f)
{
    return faults >> f & 1;
}

bool rb_proxy_knows(const rb_config *c)
{
    return !c->late_rope && !c->n_key_block && !c->d_value_up && !c->n_head_v && !c->d_freq;
}

/* What one layer's attention is made of: multiply-adds of its matrices for a token, and of its
 * products for a pair of query and key; elements that a token has in the cache. */
typedef struct shape {
    double linear, pair, cached;
} shape;

static shape grouped(const rb_config *c, rb_proxy_faults f)
{
    const double h = (double)c->n_embd, nq = (double)c->n_head;
    const double d = has(f, RB_PROXY_HEAD_IS_SHARE) ? h / nq : (double)c->d_head_k;
    const double kv = (double)c->n_head_kv / (has(f, RB_PROXY_HALF_KV_HEADS) ? 2 : 1);
    const bool mha = c->n_head_kv == c->n_head; /* whose K and V it takes to be of all heads */
    return (shape){
        .linear = 2 * h * nq * d + 2 * h * (mha ? nq : kv) * d,
        .pair = 2 * nq * d,
        .cached = 2 * kv * d,
    };
}

static shape latent(const rb_config *c, rb_proxy_faults f)
{
    enum { DEFAULT_LATENT = 512 };
    const bool wrong = has(f, RB_PROXY_LATENT);
    const double h = (double)c->n_embd, n = (double)c->n_head, rank = (double)c->kv_lora_rank;
    const double rot = (double)rb_config_d_shared(c), nope = (double)rb_config_d_nope(c);
    const double v = wrong ? nope : (double)c->d_head_v, q_rank = (double)c->q_lora_rank;
    const double q =
        wrong || !c->q_lora_rank ? h * n * (nope + rot) : q_rank * (h + n * (nope + rot));
    const double cached = (wrong ? DEFAULT_LATENT : rank) + rot;
    const double expand = n * (wrong ? h : rank) * (nope + v);
    const double out = h * (has(f, RB_PROXY_HEAD_IS_SHARE) ? h : n * v);
    return (shape){
        .linear = q + h * cached + expand + out,
        .pair = n * (nope + rot + v),
        .cached = cached,
    };
}

/* Multiply-adds of the feed-forward part for a token. */
static double feed_forward(const rb_config *c, int64_t layer)
{
    const double h = (double)c->n_embd, gated = c->ffn == RB_FFN_SWIGLU ? 3 : 2;
    if (!rb_config_is_moe(c, layer))
        return gated * h * (double)c->n_ff;
    const double experts = (double)(c->n_expert_used * c->n_ff_expert + c->n_ff_shared);
    return h * (double)c->n_expert + gated * h * experts + (c->shared_gate ? h : 0);
}

/* Pairs of a query and a key it sees: n tokens after past. */
static double pairs(double n, double past, bool square)
{
    return square ? n * (past + n) : n * past + n * (n + 1) / 2;
}

double rb_proxy_flops(const rb_config *c, const rb_proxy_run *run, rb_proxy_faults f)
{
    if (!rb_proxy_knows(c))
        return NAN;
    const shape s = rb_config_is_mla(c) ? latent(c, f) : grouped(c, f);
    const bool square = has(f, RB_PROXY_FULL_SQUARE);
    const double prompt = (double)run->n_prompt;
    const double gen = has(f, RB_PROXY_PROMPT_ONLY) ? 0 : (double)run->n_gen;
    const double tokens = prompt + gen;
    const double seen =
        run->apart ? pairs(prompt, 0, square) + pairs(gen, 0, square) : pairs(tokens, 0, square);
    double macs = (double)run->n_layer * (s.linear * tokens + s.pair * seen);
    for (int64_t l = 0; l < run->n_layer && !has(f, RB_PROXY_NO_FFN); l++)
        macs += feed_forward(c, l) * tokens;
    if (!has(f, RB_PROXY_NO_HEAD))
        macs += (double)c->n_embd * (double)c->n_vocab * ((prompt > 0) + gen);
    const double cached =
        has(f, RB_PROXY_KV_IS_FLOPS) ? (double)run->n_layer * s.cached * tokens : 0;
    return (has(f, RB_PROXY_MAC_IS_ONE) ? 1 : 2) * macs + cached;
}

rb_proxy rb_proxy_of(const rb_config *c, const rb_proxy_run *run, rb_proxy_faults f)
{
    rb_proxy p = { .flops = rb_proxy_flops(c, run, f) };
    p.seconds = has(f, RB_PROXY_WHOLE_PROCESS) ? run->runtime_s : run->once_s;
    p.bytes = has(f, RB_PROXY_PEAK_X_TIME) ? run->peak_bytes * p.seconds : run->bytes;
    p.oi = p.bytes > 0 ? p.flops / p.bytes : NAN;
    p.gflops = p.seconds > 0 ? p.flops / p.seconds / 1e9 : NAN;
    return p;
}
