/* What others bring is proven here: rows of a registry on random problems, a session with what it
 * was handed by running every launch as the counting ISA, a variant of attention besides by its
 * closed form against ledgers of dry passes.
 * Refuses to tolerate: counts agree to the last digit. Read next: verify_proof.c, which does the
 * same for what rbench has itself; ../engine/variant.h. */
#include "record.h"
#include "verify_parts.h"

#include <inttypes.h>

enum {
    N_PROMPT = 19, /* more than kernels choose by, and no whole number of tiles */
    SEED = 1,
};
/* Weights up to so many are counted one by one as they are. */
static const uint64_t small_params = 1u << 20;

/* ---- rows ---- */

void rb_prove_rows(const rb_registry *r, int n, rb_finding *found)
{
    char name[96];
    rb_proof sum = { 0 };
    int n_row = 0;
    const rb_kernel *k;
    *found = (rb_finding){ .verdict = RB_SKIPPED };
    snprintf(found->text, sizeof found->text, "no row of the registry can be proven by itself");
    for (int i = 0; (k = rb_registered(r, i)); i++) {
        rb_proof one;
        if (k->isa >= RB_ISA_COUNT1 || k->op->id >= RB_OP_OWN || !rb_kernel_supported(k))
            continue;
        if (!rb_prove_cases(k, n, SEED, &one))
            rb_finding_fail(found, rb_kernel_name(k, name, sizeof name), "", "", "%s",
                            one.mismatch);
        rb_proof_add(&sum, &one, k);
        n_row++;
    }
    if (n_row && found->verdict != RB_FAILED)
        rb_finding_pass(found,
                        "%d rows, %d problems each, %" PRIu64 " float operations and %" PRIu64
                        " bytes loaded and stored one by one: what was done and touched is what "
                        "formulas and views say",
                        n_row, n, sum.flops, sum.issued_rd + sum.issued_wr);
}

/* ---- every launch of a session ---- */

/* Any ids will do. */
static void make_ids(int32_t *ids, int n, int64_t n_vocab)
{
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)((7 * i + 3) % n_vocab);
}

static rb_status count_launches(const rb_model *m, const rb_session_params *how, rb_proof *proof,
                                rb_error *err)
{
    rb_session_params p = *how;
    rb_session *s;
    int32_t ids[N_PROMPT + 1];
    make_ids(ids, N_PROMPT + 1, m->config.n_vocab);
    p.n_layer = 0;
    p.n_seq = 1;
    p.n_ctx = N_PROMPT + 1;
    p.capped = p.prove = true; /* OpenBLAS cannot be */
    p.dry = false;
    rb_status status = rb_session_open(&s, m, &p, err);
    if (status == RB_OK)
        status = rb_session_run(s, RB_PREFILL, ids, N_PROMPT, false, err);
    if (status == RB_OK)
        status = rb_session_run(s, RB_DECODE, ids + N_PROMPT, 1, false, err);
    if (status == RB_OK)
        *proof = *rb_session_proof(s);
    rb_session_close(s);
    return status;
}

/* On m, or on a small copy of it; where: which. */
static rb_status count_some(const rb_model *m, const rb_session_params *how, rb_proof *proof,
                            char *where, size_t size, rb_error *err)
{
    if (m->n_params <= small_params && m->tok_embd.buffer->data) {
        snprintf(where, size, "the model itself");
        return count_launches(m, how, proof, err);
    }
    const rb_config small = rb_config_scaled(&m->config, where, size);
    rb_model *copy;
    rb_status status = rb_model_synth(&copy, &small, rb_main_dtype(m), SEED, false, err);
    if (status == RB_OK)
        status = count_launches(copy, how, proof, err);
    rb_model_close(copy);
    return status;
}

/* ---- a closed form ---- */

static const struct {
    rb_phase phase;
    int64_t n, past;
} points[] = { { RB_PREFILL, 512, 0 },
               { RB_PREFILL, 77, 1000 },
               { RB_PREFILL, 1, 0 },
               { RB_DECODE, 1, 511 },
               { RB_DECODE, 1, 4095 } };
enum { N_POINT = sizeof points / sizeof *points, N_CTX = 4096, N_FIELD = 4 };

/* What the ledger has at the sites of attention. */
static rb_attn_claim booked(rb_session *s, rb_phase phase)
{
    rb_cost sum = { 0 };
    for (rb_site site = RB_SITE_QKV; site <= RB_SITE_O; site++) {
        const rb_tally t = rb_ledger_site(rb_session_ledger(s), phase, site);
        rb_cost_add(&sum, &t.cost);
    }
    const rb_bytes b = rb_cost_bytes(&sum);
    return (rb_attn_claim){ (int64_t)sum.flops, (int64_t)b.weight, (int64_t)b.kv_read,
                            (int64_t)b.kv_write };
}

static rb_attn_claim claimed(const rb_model *m, const rb_session_params *p, int64_t n, int64_t past)
{
    const rb_attn_run run = { p->n_seq, n, past, p->type_k, p->type_v };
    rb_attn_claim sum = { 0 };
    for (int64_t l = 0; l < m->config.n_layer; l++) {
        const rb_attn_claim c = p->variant->claim(&m->config, &m->layer[l], &run);
        sum.flops += c.flops;
        sum.weight += c.weight;
        sum.kv_read += c.kv_read;
        sum.kv_write += c.kv_write;
    }
    return sum;
}

static void compare(const rb_attn_claim *ledger, const rb_attn_claim *claim, const char *run,
                    rb_finding *found)
{
    static const char *const what[N_FIELD] = { "FLOPs", "bytes of weights", "bytes of KV read",
                                               "bytes of KV written" };
    const int64_t want[N_FIELD] = { ledger->flops, ledger->weight, ledger->kv_read,
                                    ledger->kv_write };
    const int64_t got[N_FIELD] = { claim->flops, claim->weight, claim->kv_read, claim->kv_write };
    for (int i = 0; i < N_FIELD; i++) {
        char where[192], expected[48], said[48];
        if (want[i] == got[i])
            continue;
        snprintf(where, sizeof where, "%s of attention, %s", what[i], run);
        snprintf(expected, sizeof expected, "%" PRId64, want[i]);
        snprintf(said, sizeof said, "%" PRId64, got[i]);
        rb_finding_fail(found, where, expected, said, "the ledger has %s, the closed form %s",
                        expected, said);
    }
}

static rb_status compare_points(const rb_model *m, const rb_session_params *how, rb_finding *found,
                                rb_error *err)
{
    rb_session_params p = *how;
    rb_session *s;
    p.n_layer = 0;
    p.n_ctx = N_CTX;
    p.dry = true;
    p.prove = false;
    rb_status status = rb_session_open(&s, m, &p, err);
    for (int i = 0; i < N_POINT && status == RB_OK; i++) {
        char run[96];
        snprintf(run, sizeof run, "%s of %lld after %lld", rb_phase_name[points[i].phase],
                 (long long)points[i].n, (long long)points[i].past);
        rb_session_clear(s);
        rb_session_set_past(s, points[i].past);
        status = rb_session_run(s, points[i].phase, NULL, points[i].n, false, err);
        if (status != RB_OK)
            break;
        const rb_attn_claim ledger = booked(s, points[i].phase);
        const rb_attn_claim claim = claimed(m, &p, points[i].n, points[i].past);
        compare(&ledger, &claim, run, found);
    }
    rb_session_close(s);
    return status;
}

rb_status rb_prove_session(const rb_model *m, const rb_session_params *how, rb_finding *found,
                           rb_error *err)
{
    char where[RB_SCALED_TEXT];
    rb_proof proof = { 0 };
    const bool form = how->variant && how->variant->claim;
    *found = (rb_finding){ .verdict = RB_PASSED };
    rb_status status = count_some(m, how, &proof, where, sizeof where, err);
    if (status == RB_OK && proof.mismatch[0])
        rb_finding_fail(found, "counting build", "", "", "%s", proof.mismatch);
    if (status == RB_OK && form)
        status = compare_points(m, how, found, err);
    if (status == RB_OK && found->verdict == RB_PASSED)
        rb_finding_pass(found,
                        "%d tokens and one more, %" PRIu64 " float operations one by one: what was "
                        "done and touched is what the ledger says (%s)%s",
                        N_PROMPT, proof.flops, where,
                        form ? "; FLOPs and bytes of attention are those of its closed form, at "
                               "contexts up to 4096"
                             : "");
    return status;
}
