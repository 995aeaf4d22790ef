/* The second check: a prompt and a step of decode whose every launch runs as the counting ISA, in
 * each type that the model's matrices have, as each instruction set of this machine, in each order
 * of attention; then the loops that bandwidth is measured with. A large model is checked on small
 * copies of its shapes. Refuses nothing. Read next: ../kernels/prove.h, scaled.c. */
#include "verify_parts.h"

#include <inttypes.h>

enum {
    N_PROMPT = 19, /* more than kernels choose by, and no whole number of tiles */
    MOST_TYPES = 12,
};
/* Weights up to so many are counted one by one as they are. */
static const uint64_t small_params = 1u << 20;

/* ---- gathering ---- */

/* Any ids will do. */
static void make_ids(int32_t *ids, int n, int64_t n_vocab)
{
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)((7 * i + 3) % n_vocab);
}

static rb_status prove_one(rb_evidence *e, const rb_model *m, rb_proven *one, rb_error *err)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    int32_t ids[N_PROMPT + 1];
    make_ids(ids, N_PROMPT + 1, m->config.n_vocab);
    p.n_ctx = N_PROMPT + 1;
    p.attn = one->attn;
    p.isa = one->isa;
    p.capped = p.prove = true;
    rb_status status =
        rb_evidence_step(e, err, "counting build: %s, %s, %s", rb_dtype_get(one->type)->name,
                         rb_isa_name[one->isa], rb_attn_name(&m->config, one->attn));
    if (status != RB_OK)
        return status;
    status = rb_session_open(&s, m, &p, err);
    if (status == RB_OK)
        status = rb_session_run(s, RB_PREFILL, ids, N_PROMPT, false, err);
    if (status == RB_OK)
        status = rb_session_run(s, RB_DECODE, ids + N_PROMPT, 1, false, err);
    if (status == RB_OK) {
        one->proof = *rb_session_proof(s);
        for (rb_phase phase = 0; phase < RB_N_PHASE; phase++) {
            const rb_tally t = rb_ledger_phase(rb_session_ledger(s), phase);
            rb_cost_add(&one->cost, &t.cost);
        }
    }
    rb_session_close(s);
    return status;
}

/* A model in every order of attention as every instruction set. */
static rb_status prove_model(rb_evidence *e, const rb_model *m, rb_dtype type, rb_error *err)
{
    rb_proofs *all = &e->proofs;
    rb_status status = RB_OK;
    rb_attn attn;
    for (int o = 0; (attn = rb_attn_nth(&m->config, o)) < RB_N_ATTN; o++)
        for (rb_isa isa = RB_ISA_SCALAR; isa <= e->params.isa && status == RB_OK; isa++) {
            if (!rb_isa_supported(isa) || all->n == RB_MOST_PROVEN)
                continue;
            rb_proven *one = &all->of[all->n++];
            *one = (rb_proven){ .type = type, .isa = isa, .attn = attn };
            status = prove_one(e, m, one, err);
        }
    return status;
}

static rb_status prove_scaled(rb_evidence *e, rb_dtype type, rb_error *err)
{
    const rb_config small =
        rb_config_scaled(&e->shape->config, e->proofs.scaled, sizeof e->proofs.scaled);
    rb_model *m;
    rb_status status = rb_model_synth(&m, &small, type, 1, false, err);
    if (status == RB_OK)
        status = rb_model_pack(m, err);
    if (status == RB_OK)
        status = prove_model(e, m, type, err);
    rb_model_close(m);
    return status;
}

rb_status rb_proofs_gather(rb_evidence *e, rb_error *err)
{
    rb_dtype type[MOST_TYPES];
    const int n = rb_matrix_types(e->shape, type, MOST_TYPES);
    rb_status status = RB_OK;
    if (e->model && e->model->n_params <= small_params)
        return prove_model(e, e->model, type[0], err);
    for (int i = 0; i < n && status == RB_OK; i++)
        status = prove_scaled(e, type[i], err);
    return status;
}

/* ---- judging ---- */

static void want_same(rb_finding *f, const char *name, const char *what, uint64_t done,
                      uint64_t claim)
{
    char where[192], expected[48], claimed[48];
    if (done == claim)
        return;
    snprintf(where, sizeof where, "%s, %s", what, name);
    snprintf(expected, sizeof expected, "%" PRIu64, done);
    snprintf(claimed, sizeof claimed, "%" PRIu64, claim);
    rb_finding_fail(f, where, expected, claimed, "%s were done, the ledger accounts for %s",
                    expected, claimed);
}

static void judge_one(const rb_proven *one, const rb_config *c, rb_fault fault, rb_finding *f)
{
    static const char *const kind[] = { "integer", "conversion", "float" };
    char name[96], what[64];
    rb_cost claim = one->cost;
    const rb_proof *p = &one->proof;
    rb_fault_cost(fault, RB_N_OP, &claim);
    snprintf(name, sizeof name, "%s, %s, %s", rb_dtype_get(one->type)->name, rb_isa_name[one->isa],
             rb_attn_name(c, one->attn));
    if (p->mismatch[0])
        rb_finding_fail(f, name, "", "", "%s", p->mismatch);
    want_same(f, name, "FLOPs", p->flops + 2 * p->int_macs,
              claim.flops + claim.extra - claim.saved);
    want_same(f, name, "specials", p->special,
              (uint64_t)((int64_t)claim.special + claim.special_overhead));
    want_same(f, name, "int MACs", p->int_macs, claim.int_macs);
    want_same(f, name, "bf16 MACs", p->bf16_macs, claim.bf16_macs);
    for (int i = 0; i < 3; i++) {
        snprintf(what, sizeof what, "%s operations of decoding", kind[i]);
        want_same(f, name, what, p->dequant[i], claim.dequant[i]);
    }
}

/* What a loop moves is what it was said to move, byte by byte. */
static void judge_loop(const rb_kernel *k, rb_fault fault, rb_finding *f)
{
    enum { SEED = 1 };
    char name[96], claimed[48], expected[48];
    const rb_kernel *twin = rb_counting_twin(k);
    rb_error err = { 0 };
    rb_case c;
    rb_proof proof;
    bool assumed = false;
    rb_kernel_name(k, name, sizeof name);
    const rb_status made =
        twin ? rb_case_make(&c, twin, RB_FILL_RANDOM, SEED, &err) : RB_ERR_UNSUPPORTED;
    if (made == RB_ERR_MEMORY)
        rb_out_of_memory(); /* which is no finding */
    if (made != RB_OK) {
        rb_finding_fail(f, name, "", "", "%s", twin ? err.text : "it has no counting twin");
        return;
    }
    const rb_cost right = rb_cost_of(k, &c.call, &assumed);
    rb_cost claim = right;
    rb_fault_cost(fault, k->op->id, &claim);
    if (!rb_prove_claim(twin, &c.call, &claim, SEED, &proof)) {
        const rb_bytes a = rb_cost_bytes(&right), b = rb_cost_bytes(&claim);
        snprintf(expected, sizeof expected, "%" PRIu64 " bytes", rb_bytes_all(&a));
        snprintf(claimed, sizeof claimed, "%" PRIu64 " bytes", rb_bytes_all(&b));
        rb_finding_fail(f, name, expected, claimed, "%s", proof.mismatch);
    }
    rb_case_free(&c);
}

static void judge_loops(rb_isa most, rb_fault fault, rb_finding *f)
{
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        const rb_op_id op = k->op->id;
        if (k->isa <= most && k->isa < RB_ISA_BLAS && rb_isa_supported(k->isa) &&
            (op == RB_OP_ROOF_READ || op == RB_OP_ROOF_COPY || op == RB_OP_ROOF_TRIAD))
            judge_loop(k, fault, f);
    }
}

/* Names the rows that cannot be built as the counting ISA. Returns buf. */
static char *list_unproven(char *buf, size_t size)
{
    char name[96];
    size_t n = 0;
    buf[0] = '\0';
    for (int i = 0; i < rb_registry_size() && n < size; i++)
        if (rb_registry_row(i)->unproven)
            n += (size_t)snprintf(buf + n, size - n, "; not proven: %s",
                                  rb_kernel_name(rb_registry_row(i), name, sizeof name));
    return buf;
}

void rb_proofs_judge(const rb_evidence *e, rb_fault fault, rb_finding *found)
{
    const rb_proofs *all = &e->proofs;
    rb_cost sum = { 0 };
    char unproven[160];
    *found = (rb_finding){ .verdict = RB_PASSED };
    for (int i = 0; i < all->n; i++) {
        judge_one(&all->of[i], &e->shape->config, fault, found);
        rb_cost_add(&sum, &all->of[i].cost);
    }
    judge_loops(e->params.isa, fault, found);
    if (found->verdict == RB_PASSED)
        rb_finding_pass(found,
                        "%d runs of %d tokens and one more, %" PRIu64
                        " FLOPs one by one, and the loops of bandwidth: what was done is what the "
                        "ledger says (%s%s)%s",
                        all->n, N_PROMPT, sum.flops,
                        all->scaled[0] ? "weights made up; " : "the model itself", all->scaled,
                        list_unproven(unproven, sizeof unproven));
}
