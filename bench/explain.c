/* --explain: the formulas behind the counts, each with its numbers for one launch of this model.
 * Text and numbers come from the tables that the ledger was booked from; calls are rebuilt here as
 * shapes without memory. Read next: ../kernels/op.h. */
#include "bench.h"

#include <string.h>

enum { LINE = 512 };

/* What shapes a launch: the model's first layer, at the end of the test. */
typedef struct scene {
    const rb_model *model;
    const rb_test *test;
    int64_t n_tok; /* per sequence, in one step */
    const int64_t *past;
    rb_team *team;
} scene;

static const rb_buffer nowhere = { NULL, (size_t)1 << 62 };

static rb_view act(int64_t n0, int64_t n1, int64_t n2, int64_t n3)
{
    return rb_view_dense(&nowhere, RB_F32, RB_ACT, 0, n0, n1, n2, n3);
}

static rb_view rows(const scene *s, int64_t columns)
{
    return act(1, s->test->n_seq * s->n_tok, 1, columns);
}

static rb_view heads(const scene *s, int64_t n, int64_t d)
{
    return act(s->test->n_seq, s->n_tok, n, d);
}

static rb_view cache(const scene *s, rb_dtype type, int64_t d)
{
    int64_t n_ctx = s->test->n_depth + s->test->n_prompt + s->test->n_gen;
    return rb_view_dense(&nowhere, type, RB_KV, 0, s->test->n_seq, n_ctx,
                         s->model->config.n_head_kv, d);
}

/* x times up to three matrices; operands as in rb_op_matmul. */
static rb_call matmul_call(const scene *s, const rb_view *w, const rb_view *bias, int n)
{
    const int panel = rb_dtype_get(w[0].dtype)->panel_rows; /* a packed row is so many of w's */
    rb_call call = { .t = { rows(s, w[0].n[3] / panel) } };
    for (int i = 0; i < n; i++) {
        call.t[1 + 3 * i] = rows(s, w[i].n[2] * panel);
        call.t[2 + 3 * i] = w[i];
        call.t[3 + 3 * i] = bias ? bias[i] : (rb_view){ 0 };
    }
    return call;
}

static rb_call attend_call(const scene *s)
{
    const rb_config *c = &s->model->config;
    return (rb_call){ .t = { heads(s, c->n_head, c->d_head_v),
                             heads(s, c->n_head, c->d_head_k),
                             cache(s, s->test->type_k, c->d_head_k),
                             { 0 },
                             cache(s, s->test->type_v, c->d_head_v) },
                      .past = s->past };
}

static rb_call matmul_at(const scene *s, rb_site site)
{
    const rb_layer *l = &s->model->layer[0];
    const rb_view qkv[] = { l->wq, l->wk, l->wv }, bias[] = { l->bq, l->bk, l->bv };
    const rb_view gate_up[] = { l->w_gate, l->w_up };
    switch (site) {
    case RB_SITE_QKV:
        return matmul_call(s, qkv, bias, 3);
    case RB_SITE_Q:
    case RB_SITE_K:
    case RB_SITE_V:
        return matmul_call(s, &qkv[site - RB_SITE_Q], &bias[site - RB_SITE_Q], 1);
    case RB_SITE_O:
        return matmul_call(s, &l->wo, NULL, 1);
    case RB_SITE_GATE_UP:
        return matmul_call(s, gate_up, NULL, 2);
    case RB_SITE_GATE:
    case RB_SITE_UP:
        return matmul_call(s, &gate_up[site - RB_SITE_GATE], NULL, 1);
    case RB_SITE_DOWN:
        return matmul_call(s, &l->w_down, NULL, 1);
    default: { /* the head: one row of each sequence */
        scene last = *s;
        last.n_tok = 1;
        return matmul_call(&last, &s->model->output, NULL, 1);
    }
    }
}

static rb_call norm_at(const scene *s, rb_site site)
{
    const rb_config *c = &s->model->config;
    const rb_layer *l = &s->model->layer[0];
    rb_view x = rows(s, c->n_embd), w = l->attn_norm;
    if (site == RB_SITE_OUT_NORM) {
        x = act(s->test->n_seq, 1, 1, c->n_embd);
        w = s->model->out_norm;
    } else if (site == RB_SITE_QK_NORM) {
        x = heads(s, c->n_head, c->d_head_k);
        w = l->q_norm;
    }
    return (rb_call){ .t = { x, x, w } };
}

/* A launch of op at site, operands in the order of the op's table. */
static rb_call call_at(const scene *s, rb_site site, rb_op_id op)
{
    const rb_config *c = &s->model->config;
    int64_t n = s->test->n_seq * s->n_tok;
    rb_view ids = rb_view_dense(&nowhere, RB_I32, RB_CTRL, 0, 1, 1, 1, n);
    rb_view ff = rows(s, c->n_ff), x = rows(s, c->n_embd);
    switch (op) {
    case RB_OP_EMBED:
        return (rb_call){ .t = { x, s->model->tok_embd, ids } };
    case RB_OP_RMSNORM:
        return norm_at(s, site);
    case RB_OP_MATMUL:
        return matmul_at(s, site);
    case RB_OP_ROPE:
        return (rb_call){ .t = { heads(s, c->n_head, c->d_rot), heads(s, c->n_head_kv, c->d_rot),
                                 act(1, 1, 1, c->d_rot), ids } };
    case RB_OP_KV_STORE:
        return (rb_call){
            .t = { cache(s, s->test->type_k, c->d_head_k), heads(s, c->n_head_kv, c->d_head_k),
                   cache(s, s->test->type_v, c->d_head_v), heads(s, c->n_head_kv, c->d_head_v) },
            .past = s->past
        };
    case RB_OP_ATTEND:
        return attend_call(s);
    case RB_OP_SILU_GATE:
        return (rb_call){ .t = { ff, ff, ff } };
    default:
        return (rb_call){ .t = { x, x } };
    }
}

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

static void put_launch(FILE *out, const scene *s, rb_site site, rb_op_id op, const rb_tally *sum)
{
    char name[128];
    rb_call call = call_at(s, site, op);
    const rb_kernel *k = rb_select(s->team, op, &call);
    if (!k)
        return;
    fprintf(out, "  %s: %s, %llu launches, %llu FLOPs in the test\n", rb_site_name[site],
            rb_kernel_name(k, name, sizeof name), (unsigned long long)sum->calls,
            (unsigned long long)sum->cost.flops);
    put_terms(out, "      FLOPs    ", k->op, k->op->flops, &call);
    put_terms(out, "      extra    ", k->op, k->extra, &call);
    put_terms(out, "      saved    ", k->op, k->saved, &call);
    put_dims(out, k, &call);
}

static void put_phase(FILE *out, const scene *s, rb_phase phase, const rb_result *r)
{
    fprintf(out,
            "\n%s, one launch of each kind: %lld token%s of %lld sequence%s after %lld in the "
            "cache\n",
            rb_phase_name[phase], (long long)s->n_tok, s->n_tok == 1 ? "" : "s",
            (long long)s->test->n_seq, s->test->n_seq == 1 ? "" : "s", (long long)s->past[0]);
    for (int site = 0; site < RB_N_SITE; site++) {
        for (int op = 0; op < RB_N_OP; op++) {
            const rb_tally *t = &r->ledger.at[phase][site][op];
            if (t->calls)
                put_launch(out, s, (rb_site)site, (rb_op_id)op, t);
        }
    }
}

static void explain_one(FILE *out, const rb_model *model, const rb_result *r)
{
    enum { MAX_SEQ = 4096 };
    const rb_test *t = &r->test;
    int64_t past[MAX_SEQ] = { 0 };
    scene s = { .model = model, .test = t, .past = past };
    const rb_team_params team = {
        .n_threads = 1, .isa = t->isa, .capped = t->capped, .dry = true, .act_f32 = t->act_f32
    };
    if (t->n_seq > MAX_SEQ || rb_team_open(&s.team, &team, NULL) != RB_OK)
        return;
    if (t->n_prompt) { /* the first micro-batch */
        s.n_tok = t->n_prompt < t->n_ubatch ? t->n_prompt : t->n_ubatch;
        for (int64_t i = 0; i < t->n_seq; i++)
            past[i] = t->n_depth;
        put_phase(out, &s, RB_PREFILL, r);
    }
    if (t->n_gen) { /* the last step */
        s.n_tok = 1;
        for (int64_t i = 0; i < t->n_seq; i++)
            past[i] = t->n_depth + t->n_prompt + t->n_gen - 1;
        put_phase(out, &s, RB_DECODE, r);
    }
    rb_team_close(s.team);
}

void rb_explain(FILE *out, const rb_model *model, const rb_result *const *r, int n)
{
    fputs(
        "\nHow it is counted. A multiply-add is 2 FLOPs; exp, tanh, div and sqrt are 1; compares, "
        "moves and\nconversions are 0. FLOPs are useful work, the same for every kernel; a kernel "
        "executes FLOPs + extra\n- saved. Bytes are distinct storage units: each weight block and "
        "cache row once per launch that uses it.\nOI = FLOPs / (weight + cache bytes); OI kernel = "
        "FLOPs / all bytes, activations included.\n",
        out);
    for (int i = 0; i < n; i++)
        explain_one(out, model, r[i]);
    fflush(out);
}
