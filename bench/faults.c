/* Wrong claims, one at a time: what publications and tools of the field have counted, done to a
 * config, a closed form, a cost or a roof, so that checks see what their readers saw.
 * Refuses to touch evidence: ledgers, proofs and logits stay as they were gathered.
 * Read next: verify.h (which they are), verify.c (who asks for them). */
#include "verify_parts.h"

#include <math.h>

const char *const rb_fault_name[RB_N_FAULT] = {
    [RB_FAULT_NONE] = "none",
    [RB_FAULT_NO_FFN] = "FFN left out",
    [RB_FAULT_MAC_IS_ONE] = "multiply-add counted as 1",
    [RB_FAULT_HALF_KV_HEADS] = "KV heads halved",
    [RB_FAULT_FULL_SQUARE] = "full square, not the causal triangle",
    [RB_FAULT_HALF_LM_HEAD] = "lm_head halved",
    [RB_FAULT_LATENT_IS_HIDDEN] = "latent as wide as hidden",
    [RB_FAULT_TWO_OF_THREE] = "two of three streams counted",
    [RB_FAULT_PEAK_TIMES_TIME] = "peak memory x time as traffic",
    [RB_FAULT_NO_EXTRA] = "work beyond need not stated",
    [RB_FAULT_LOST_ROW] = "a cache row lost between chunks",
    [RB_FAULT_ROOF_IN_CACHE] = "DRAM roof measured in a cache",
    [RB_FAULT_HALF_CONTROLLERS] = "half of the memory controllers read",
};

bool rb_fault_applies(rb_fault fault, const rb_config *c)
{
    if (fault == RB_FAULT_HALF_KV_HEADS)
        return !rb_config_is_mla(c) && c->n_head_kv > 1;
    if (fault == RB_FAULT_LATENT_IS_HIDDEN)
        return rb_config_is_mla(c) && c->kv_lora_rank != c->n_embd;
    return true;
}

const char *rb_fault_standin(rb_fault fault)
{
    return fault == RB_FAULT_LATENT_IS_HIDDEN ? "plm-1.8b" : "qwen2.5-1.5b";
}

void rb_fault_config(rb_fault fault, rb_config *c)
{
    if (fault == RB_FAULT_HALF_KV_HEADS)
        c->n_head_kv /= 2;
    if (fault == RB_FAULT_LATENT_IS_HIDDEN)
        c->kv_lora_rank = c->n_embd;
}

/* ---- closed forms ---- */

static bool is_ffn(rb_site site)
{
    return site >= RB_SITE_GATE_UP && site <= RB_SITE_MOE_ADD;
}

static bool is_product(rb_site site)
{
    switch (site) {
    case RB_SITE_QKV:
    case RB_SITE_Q:
    case RB_SITE_K:
    case RB_SITE_V:
    case RB_SITE_Q_A:
    case RB_SITE_Q_B:
    case RB_SITE_KV_A:
    case RB_SITE_KV_B:
    case RB_SITE_Q_ABSORB:
    case RB_SITE_ATTN:
    case RB_SITE_V_UP:
    case RB_SITE_O:
    case RB_SITE_GATE_UP:
    case RB_SITE_GATE:
    case RB_SITE_UP:
    case RB_SITE_DOWN:
    case RB_SITE_ROUTER:
    case RB_SITE_EXPERTS:
    case RB_SITE_SHARED_EXPERT:
    case RB_SITE_LM_HEAD:
        return true;
    default:
        return false;
    }
}

/* All that attention counts is pairs, but for one division a query and head. */
static void count_full_square(const rb_config *c, const rb_oracle_run *r, rb_cost *attn)
{
    const uint64_t n = (uint64_t)r->n, past = (uint64_t)r->p;
    const uint64_t seen = n * past + n * (n + 1) / 2, square = n * (past + n);
    const uint64_t once = (uint64_t)(r->n_layer * r->n_seq * r->n * c->n_head);
    attn->flops = (attn->flops - once) / seen * square + once;
    attn->special = (attn->special - once) / seen * square + once;
}

/* Bytes that lie in memory while the run lasts, times the seconds that it takes a common machine to
 * stream them: byte-seconds, taken for bytes. */
static void claim_peak_times_time(rb_claim *claim)
{
    const double bytes_per_s = 50e9;
    const rb_bytes all = rb_cost_bytes(&claim->total);
    uint64_t pad = 0;
    for (rb_site site = 0; site < RB_N_SITE; site++) {
        const rb_bytes b = rb_cost_bytes(&claim->at[site]);
        pad = b.act_read + b.act_write > pad ? b.act_read + b.act_write : pad;
    }
    const double peak = (double)(all.weight + all.kv_read + pad);
    const double seconds = (double)rb_bytes_wkv(&all) / bytes_per_s;
    claim->total.rd[RB_WEIGHT] = (uint64_t)llround(peak * seconds);
    claim->total.rd[RB_KV] = claim->total.wr[RB_KV] = 0;
}

void rb_fault_claim(rb_fault fault, const rb_config *c, const rb_oracle_run *run, rb_claim *claim)
{
    for (rb_site site = 0; site < RB_N_SITE; site++) {
        if (fault == RB_FAULT_NO_FFN && is_ffn(site))
            claim->at[site] = (rb_cost){ 0 };
        if (fault == RB_FAULT_MAC_IS_ONE && is_product(site))
            claim->at[site].flops /= 2;
    }
    if (fault == RB_FAULT_FULL_SQUARE)
        count_full_square(c, run, &claim->at[RB_SITE_ATTN]);
    if (fault == RB_FAULT_HALF_LM_HEAD)
        claim->at[RB_SITE_LM_HEAD].flops /= 2;
    rb_claim_sum(claim);
    if (fault == RB_FAULT_PEAK_TIMES_TIME)
        claim_peak_times_time(claim);
}

/* ---- launches and roofs ---- */

void rb_fault_cost(rb_fault fault, rb_op_id op, rb_cost *claim)
{
    if (fault == RB_FAULT_NO_EXTRA)
        claim->extra = 0;
    if (fault == RB_FAULT_TWO_OF_THREE && op == RB_OP_ROOF_TRIAD)
        claim->wr[RB_ACT] = 0;
}

/* Of the nearest level that was measured, over half of it: what it gives at best. */
void rb_fault_machine(rb_fault fault, rb_machine *m)
{
    int level = RB_L1;
    while (level < RB_DRAM && m->roof[RB_ROOF_READ_L1 + level].value <= 0)
        level++;
    if (fault == RB_FAULT_ROOF_IN_CACHE)
        m->roof[RB_ROOF_READ_DRAM].value = 2 * m->roof[RB_ROOF_READ_L1 + level].value;
}

void rb_fault_counted(rb_fault fault, rb_pmu_bytes *b)
{
    if (fault != RB_FAULT_HALF_CONTROLLERS)
        return;
    b->read /= 2;
    b->write /= 2;
    b->either /= 2;
}
