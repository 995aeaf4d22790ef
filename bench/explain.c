/* --explain: the formulas behind the counts, each with its numbers for one launch of this model.
 * Text and numbers come from the tables that the ledger was booked from, the calls from a dry
 * session that takes the test's last steps: nothing is restated here. Read next: ../kernels/op.h.
 */
#include "run.h"

#include <string.h>

enum { LINE = 512 };

/* ---- text ---- */

/* Each term that is not zero with its value: "2 T M0 K = 663552 + ...". */
static void put_terms(FILE *out, const char *what, const rb_op *op, const rb_term *terms,
                      const rb_call *call)
{
    char text[LINE];
    bool first = true;
    for (const rb_term *t = terms; t && t->coef; t++) {
        const rb_term one[] = { *t, { 0 } };
        uint64_t value = rb_terms_eval(op, one, call);
        if (!value)
            continue;
        fprintf(out, "%s%s = %llu", first ? what : "\n               + ",
                rb_terms_text(op, one, text, sizeof text), (unsigned long long)value);
        first = false;
    }
    if (!first)
        fputc('\n', out);
}

static bool uses(const rb_term *terms, int dim)
{
    for (const rb_term *t = terms; t && t->coef; t++) {
        if (t->dim[0] == dim || t->dim[1] == dim || t->dim[2] == dim)
            return true;
    }
    return false;
}

static void put_dims(FILE *out, const rb_kernel *k, const rb_call *call)
{
    const char *before = "      where    ";
    for (int d = 0; d < RB_MAX_DIM && k->op->dim[d].name; d++) {
        const rb_term just[] = { { 1, { d, -1, -1 } }, { 0 } };
        uint64_t value = rb_terms_eval(k->op, just, call);
        if (!value || !(uses(k->op->flops, d) || uses(k->extra, d) || uses(k->saved, d)))
            continue;
        fprintf(out, "%s%s = %llu", before, k->op->dim[d].name, (unsigned long long)value);
        before = ", ";
    }
    fputs(before[0] == ',' ? "\n" : "", out);
}

void rb_explain_launch(FILE *out, const rb_kernel *k, const rb_call *call)
{
    put_terms(out, "      FLOPs    ", k->op, k->op->flops, call);
    put_terms(out, "      extra    ", k->op, k->extra, call);
    put_terms(out, "      saved    ", k->op, k->saved, call);
    put_dims(out, k, call);
    if (k->issued) {
        const rb_issued issued = k->issued(call);
        fprintf(out, "      issued   %llu bytes loaded, %llu stored\n",
                (unsigned long long)issued.rd, (unsigned long long)issued.wr);
    }
}

/* The last launch of a dry session at a place. */
static void put_launch(FILE *out, const rb_costed *last, rb_site site, const rb_tally *sum)
{
    char name[128];
    const rb_kernel *k = last->k;
    if (!k) { /* latent attention: calls may take either order */
        fprintf(out, "  %s: %llu launches, %llu FLOPs in the test, in steps of another order\n",
                rb_site_name[site], (unsigned long long)sum->calls,
                (unsigned long long)sum->cost.flops);
        return;
    }
    fprintf(out, "  %s: %s, %llu launches, %llu FLOPs in the test\n", rb_site_name[site],
            rb_kernel_name(k, name, sizeof name), (unsigned long long)sum->calls,
            (unsigned long long)sum->cost.flops);
    rb_explain_launch(out, k, &last->call);
}

/* Takes one step of n_tok tokens after n_past, and explains what it launched. */
static void put_step(FILE *out, rb_session *s, rb_phase phase, int64_t n_past, int64_t n_tok,
                     const rb_result *r)
{
    const int64_t n_seq = r->test.n_seq;
    rb_session_set_past(s, n_past);
    if (rb_session_run(s, phase, NULL, n_tok, r->test.n_draft > 0, NULL) != RB_OK)
        return;
    fprintf(out,
            "\n%s, one launch of each kind: %lld token%s of %lld sequence%s after %lld in the "
            "cache\n",
            rb_phase_name[phase], (long long)n_tok, n_tok == 1 ? "" : "s", (long long)n_seq,
            n_seq == 1 ? "" : "s", (long long)n_past);
    for (int site = 0; site < RB_N_SITE; site++) {
        const rb_tally sum = rb_ledger_site(&r->ledger, phase, (rb_site)site);
        if (sum.calls)
            put_launch(out, rb_session_last(s, phase, (rb_site)site), (rb_site)site, &sum);
    }
}

static void explain_one(FILE *out, const rb_subject *subject, const rb_result *r)
{
    const rb_test *t = &r->test;
    const rb_bench dry = { .params.dry = true };
    const rb_session_params p = rb_params_for(&dry, t);
    rb_session *s = NULL;
    if (rb_session_open(&s, rb_subject_model(subject, t), &p, NULL) != RB_OK)
        return;
    if (t->n_prompt) /* the first micro-batch */
        put_step(out, s, RB_PREFILL, t->n_depth,
                 t->n_prompt < p.n_ubatch ? t->n_prompt : p.n_ubatch, r);
    if (t->n_gen) /* the last step */
        put_step(out, s, RB_DECODE, t->n_depth + t->n_prompt + t->n_gen - 1, 1, r);
    rb_session_close(s);
}

void rb_explain(FILE *out, const rb_subject *subject, const rb_result *const *r, int n)
{
    fputs(
        "\nHow it is counted. A multiply-add is 2 FLOPs; exp, tanh, div and sqrt are 1; compares, "
        "moves and\nconversions are 0. FLOPs are useful work, the same for every kernel; a kernel "
        "executes FLOPs + extra\n- saved. Bytes are compulsory: distinct storage units, each "
        "weight block and cache row once per launch that\nuses it. OI W+KV = FLOPs / (weight + "
        "cache bytes); OI kernel = FLOPs / all bytes, activations included;\nOI issued = FLOPs / "
        "the bytes that loops load and store, scratch included and as often as they do it.\n",
        out);
    for (int i = 0; i < n; i++)
        explain_one(out, subject, r[i]);
    fflush(out);
}
