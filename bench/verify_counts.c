/* The first check: ledgers of dry passes over the whole model, at several lengths, fused and not,
 * against the closed forms of oracle.c, at every site and in total.
 * Refuses nothing; a dry pass needs no weights. Read next: oracle.c, faults.c. */
#include "verify_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What is counted: one micro-batch each. */
typedef struct point {
    rb_phase phase;
    int64_t n, p;
    bool all; /* logits of every token */
} point;

typedef struct setting {
    bool fused;
    int64_t n_seq;
    rb_dtype type_k, type_v;
    bool gelu_erf;
} setting;

static const point points[] = {
    { RB_PREFILL, 512, 0, false }, { RB_PREFILL, 77, 1000, false }, { RB_PREFILL, 1, 0, false },
    { RB_DECODE, 1, 511, false },  { RB_DECODE, 1, 4095, false },   { RB_DECODE, 1, 0, false },
    { RB_PREFILL, 5, 512, true },
};
static const setting settings[] = {
    { true, 1, RB_F16, RB_F16, false },
    { false, 1, RB_F16, RB_F16, false },
    { true, 3, RB_F32, RB_BF16, true },
};
enum {
    N_POINT = sizeof points / sizeof *points,
    N_SETTING = sizeof settings / sizeof *settings,
    N_CTX = 4096,
    N_LOGITS = 5,
    MOST_ORDERS = 3,
};

rb_attn rb_attn_nth(const rb_config *c, int i)
{
    if (!rb_config_is_mla(c))
        return i == 0 ? RB_ATTN_OWN : RB_N_ATTN;
    return i < MOST_ORDERS ? (rb_attn)(RB_ATTN_MLA_NAIVE_FULL + i) : RB_N_ATTN;
}

/* ---- gathering ---- */

static rb_status count_point(rb_counts *c, rb_session *s, const rb_config *config,
                             const setting *how, rb_attn attn, const point *at, rb_error *err)
{
    const int64_t n_tok = how->n_seq * at->n;
    rb_counted *one = &c->of[c->n];
    rb_session_clear(s);
    rb_session_set_past(s, at->p);
    const rb_status status = rb_session_run(s, at->phase, NULL, at->n, at->all, err);
    if (status != RB_OK)
        return status;
    one->run = (rb_oracle_run){ .phase = at->phase,
                                .attn = attn,
                                .n_layer = config->n_layer,
                                .n_seq = how->n_seq,
                                .n = at->n,
                                .p = at->p,
                                .n_out = at->all ? at->n : 1,
                                .n_ids = n_tok < config->n_vocab ? n_tok : config->n_vocab,
                                .type_k = how->type_k,
                                .type_v = attn == RB_ATTN_OWN || attn == RB_ATTN_MLA_NAIVE_FULL
                                              ? how->type_v
                                              : how->type_k,
                                .fused = how->fused,
                                .gelu_erf = how->gelu_erf };
    for (rb_site site = 0; site < RB_N_SITE; site++)
        one->at[site] = rb_ledger_site(rb_session_ledger(s), at->phase, site).cost;
    c->n++;
    return RB_OK;
}

static rb_status count_setting(rb_counts *c, const rb_model *shape, const setting *how,
                               rb_attn attn, rb_error *err)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    p.n_ctx = N_CTX;
    p.n_logits = N_LOGITS;
    p.n_seq = how->n_seq;
    p.type_k = how->type_k;
    p.type_v = how->type_v;
    p.attn = attn;
    p.no_fuse = !how->fused;
    p.gelu_erf = how->gelu_erf;
    p.dry = true;
    rb_status status = rb_session_open(&s, shape, &p, err);
    for (int i = 0; i < N_POINT && status == RB_OK; i++)
        status = count_point(c, s, &shape->config, how, attn, &points[i], err);
    rb_session_close(s);
    return status;
}

rb_status rb_counts_gather(rb_counts *c, const rb_model *shape, rb_error *err)
{
    rb_status status = RB_OK;
    rb_attn attn;
    c->of = calloc((size_t)MOST_ORDERS * N_SETTING * N_POINT, sizeof *c->of);
    if (!c->of)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the counts of a model");
    for (int o = 0; (attn = rb_attn_nth(&shape->config, o)) < RB_N_ATTN; o++)
        for (int i = 0; i < N_SETTING && status == RB_OK; i++)
            status = count_setting(c, shape, &settings[i], attn, err);
    return status;
}

/* ---- judging ---- */

static const char *const field_name[] = {
    "FLOPs",      "specials",         "weight bytes",       "KV read",
    "KV written", "activations read", "activations written"
};
enum { N_FIELD = sizeof field_name / sizeof *field_name };

static void fields_of(const rb_cost *c, uint64_t out[N_FIELD])
{
    const rb_bytes b = rb_cost_bytes(c);
    const uint64_t all[N_FIELD] = { c->flops,   c->special, b.weight,   b.kv_read,
                                    b.kv_write, b.act_read, b.act_write };
    memcpy(out, all, sizeof all);
}

static void name_run(const rb_oracle_run *r, const rb_config *c, char *buf, size_t size)
{
    char seq[48] = "";
    if (r->n_seq > 1)
        snprintf(seq, sizeof seq, " in each of %lld sequences", (long long)r->n_seq);
    snprintf(buf, size, "%s of %lld after %lld%s, %s%s", rb_phase_name[r->phase], (long long)r->n,
             (long long)r->p, seq, rb_attn_name(c, r->attn), r->fused ? "" : ", not fused");
}

/* Notes the first field that differs. Returns how many do. */
static int compare(const rb_counted *run, const rb_config *c, const char *at, const rb_cost *ledger,
                   const rb_cost *claim, rb_finding *found)
{
    uint64_t want[N_FIELD], got[N_FIELD];
    char name[128], where[192], expected[48], claimed[48];
    int n = 0;
    fields_of(ledger, want);
    fields_of(claim, got);
    for (int i = 0; i < N_FIELD; i++) {
        if (want[i] == got[i])
            continue;
        n++;
        name_run(&run->run, c, name, sizeof name);
        snprintf(where, sizeof where, "%s of %s, %s", field_name[i], at, name);
        snprintf(expected, sizeof expected, "%" PRIu64, want[i]);
        snprintf(claimed, sizeof claimed, "%" PRIu64, got[i]);
        rb_finding_fail(found, where, expected, claimed, "the ledger has %s, the closed form %s",
                        expected, claimed);
    }
    return n;
}

static int judge_run(const rb_counted *run, const rb_model *shape, rb_fault fault,
                     rb_finding *found)
{
    rb_config config = shape->config;
    rb_claim claim;
    rb_cost total = { 0 };
    int n = 0;
    rb_fault_config(fault, &config);
    rb_oracle(&config, shape, &run->run, &claim);
    rb_fault_claim(fault, &shape->config, &run->run, &claim);
    for (rb_site site = 0; site < RB_N_SITE; site++) {
        rb_cost_add(&total, &run->at[site]);
        n += compare(run, &shape->config, rb_site_name[site], &run->at[site], &claim.at[site],
                     found);
    }
    return n + compare(run, &shape->config, "all sites", &total, &claim.total, found);
}

void rb_counts_judge(const rb_counts *c, const rb_model *shape, rb_fault fault, rb_finding *found)
{
    int n = 0;
    *found = (rb_finding){ .verdict = RB_PASSED };
    for (int i = 0; i < c->n; i++)
        n += judge_run(&c->of[i], shape, fault, found);
    const size_t used = strlen(found->text);
    if (found->verdict == RB_FAILED && n > 1)
        snprintf(found->text + used, sizeof found->text - used, " (and %d more)", n - 1);
    if (found->verdict == RB_PASSED)
        rb_finding_pass(found,
                        "%d passes over %lld layer%s, fused and not, prefill and decode up to a "
                        "context of %d: every site's FLOPs, specials and bytes are those of the "
                        "closed forms, to the last digit",
                        c->n, (long long)shape->config.n_layer,
                        shape->config.n_layer > 1 ? "s" : "", N_CTX);
}
