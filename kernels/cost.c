/* Costs: term tables evaluated, bytes of operands summed, and sums of both.
 * Bytes are the distinct storage units that a launch's operands cover (operand.c). Nothing here
 * looks at data. Read next: launch.c, the only caller that books. */
#include "operand.h"

#include <string.h>

const char *const rb_phase_name[RB_N_PHASE] = { "prefill", "decode" };
const char *const rb_site_name[RB_N_SITE] = {
    [RB_SITE_EMBED] = "embed",
    [RB_SITE_ATTN_NORM] = "attn_norm",
    [RB_SITE_QKV] = "qkv",
    [RB_SITE_Q] = "q",
    [RB_SITE_K] = "k",
    [RB_SITE_V] = "v",
    [RB_SITE_Q_A] = "q_a",
    [RB_SITE_Q_A_NORM] = "q_a_norm",
    [RB_SITE_Q_B] = "q_b",
    [RB_SITE_KV_A] = "kv_a",
    [RB_SITE_KV_A_NORM] = "kv_a_norm",
    [RB_SITE_QK_NORM] = "qk_norm",
    [RB_SITE_ROPE] = "rope",
    [RB_SITE_KV_B] = "kv_b",
    [RB_SITE_KV_STORE] = "kv_store",
    [RB_SITE_Q_ABSORB] = "q_absorb",
    [RB_SITE_ATTN] = "attn",
    [RB_SITE_V_UP] = "v_up",
    [RB_SITE_ATTN_GATE] = "attn_gate",
    [RB_SITE_O] = "o",
    [RB_SITE_FFN_NORM] = "ffn_norm",
    [RB_SITE_GATE_UP] = "gate_up",
    [RB_SITE_GATE] = "gate",
    [RB_SITE_UP] = "up",
    [RB_SITE_FFN_ACT] = "ffn_act",
    [RB_SITE_DOWN] = "down",
    [RB_SITE_ROUTER] = "router",
    [RB_SITE_ROUTE] = "route",
    [RB_SITE_EXPERTS] = "experts",
    [RB_SITE_SHARED_EXPERT] = "shared_expert",
    [RB_SITE_MOE_ADD] = "moe_add",
    [RB_SITE_RESIDUAL] = "residual",
    [RB_SITE_OUT_NORM] = "out_norm",
    [RB_SITE_LM_HEAD] = "lm_head",
    [RB_SITE_ROOF] = "roof",
};

/* ---- sums ---- */

void rb_cost_add(rb_cost *sum, const rb_cost *c)
{
    sum->flops += c->flops;
    sum->extra += c->extra;
    sum->saved += c->saved;
    sum->special += c->special;
    sum->special_overhead += c->special_overhead;
    sum->int_macs += c->int_macs;
    sum->bf16_macs += c->bf16_macs;
    for (int i = 0; i < 3; i++)
        sum->dequant[i] += c->dequant[i];
    for (int s = 0; s < RB_N_STREAM; s++) {
        sum->rd[s] += c->rd[s];
        sum->wr[s] += c->wr[s];
    }
    sum->issued_rd += c->issued_rd;
    sum->issued_wr += c->issued_wr;
    sum->issued_unknown += c->issued_unknown;
}

void rb_dram_add(rb_dram *sum, const rb_dram *d)
{
    sum->read += d->read;
    sum->allocate += d->allocate;
    sum->write_back += d->write_back;
}

uint64_t rb_dram_bytes(const rb_dram *d)
{
    return d->read + d->allocate + d->write_back;
}

void rb_tally_add(rb_tally *sum, const rb_tally *t)
{
    rb_cost_add(&sum->cost, &t->cost);
    sum->calls += t->calls;
    sum->ns += t->ns;
    sum->barrier_ns += t->barrier_ns;
    sum->launch_ns += t->launch_ns;
    rb_dram_add(&sum->dram, &t->dram);
    sum->assumed |= t->assumed;
}

bool rb_cost_equal(const rb_cost *a, const rb_cost *b)
{
    return memcmp(a, b, sizeof *a) == 0; /* 8-byte fields only: no padding */
}

rb_bytes rb_cost_bytes(const rb_cost *c)
{
    return (rb_bytes){ .weight = c->rd[RB_WEIGHT] + c->wr[RB_WEIGHT],
                       .kv_read = c->rd[RB_KV],
                       .kv_write = c->wr[RB_KV],
                       .act_read = c->rd[RB_ACT],
                       .act_write = c->wr[RB_ACT] };
}

uint64_t rb_bytes_wkv(const rb_bytes *b)
{
    return b->weight + b->kv_read + b->kv_write;
}

uint64_t rb_bytes_all(const rb_bytes *b)
{
    return rb_bytes_wkv(b) + b->act_read + b->act_write;
}

void rb_ledger_clear(rb_ledger *l)
{
    memset(l, 0, sizeof *l);
}

rb_tally rb_ledger_site(const rb_ledger *l, rb_phase phase, rb_site site)
{
    rb_tally sum = { 0 };
    for (int op = 0; op < RB_N_OP; op++)
        rb_tally_add(&sum, &l->at[phase][site][op]);
    return sum;
}

rb_tally rb_ledger_phase(const rb_ledger *l, rb_phase phase)
{
    rb_tally sum = { 0 };
    for (rb_site site = 0; site < RB_N_SITE; site++) {
        const rb_tally at = rb_ledger_site(l, phase, site);
        rb_tally_add(&sum, &at);
    }
    return sum;
}

/* ---- terms ---- */

static int64_t dim_value(const rb_op *op, int dim, const rb_call *call)
{
    if (dim < 0)
        return 1;
    const rb_dim *d = &op->dim[dim];
    if (d->fn)
        return d->fn(call);
    return call->t[d->arg].buffer ? call->t[d->arg].n[d->axis] : 0;
}

uint64_t rb_terms_eval(const rb_op *op, const rb_term *terms, const rb_call *call)
{
    uint64_t sum = 0;
    for (const rb_term *t = terms; t && t->coef; t++) {
        uint64_t product = (uint64_t)t->coef;
        for (int i = 0; i < 3 && product; i++)
            product *= (uint64_t)dim_value(op, t->dim[i], call);
        sum += product;
    }
    return sum;
}

char *rb_terms_text(const rb_op *op, const rb_term *terms, char *buf, size_t size)
{
    size_t n = 0;
    buf[0] = '\0';
    for (const rb_term *t = terms; t && t->coef; t++) {
        n += (size_t)snprintf(buf + n, size - n, "%s%lld", t == terms ? "" : " + ",
                              (long long)t->coef);
        for (int i = 0; i < 3 && n < size; i++)
            if (t->dim[i] >= 0)
                n += (size_t)snprintf(buf + n, size - n, " %s", op->dim[t->dim[i]].name);
        if (n >= size)
            return buf; /* cut off, terminated by snprintf */
    }
    if (n == 0)
        snprintf(buf, size, "0");
    return buf;
}

/* ---- the cost of a call ---- */

static void add_bytes(rb_cost *cost, const rb_op *op, const rb_call *call, bool *assumed)
{
    for (int j = 0; j < RB_MAX_ARG && op->arg[j].name; j++) {
        const rb_view *v = &call->t[j];
        for (int write = 0; v->buffer && write < 2; write++) {
            if (!rb_arg_goes(&op->arg[j], write))
                continue;
            const int64_t bytes = rb_operand_fresh(op, call, j, write, assumed);
            (write ? cost->wr : cost->rd)[v->stream] += (uint64_t)bytes;
        }
    }
}

rb_cost rb_cost_of(const rb_kernel *k, const rb_call *call, bool *assumed)
{
    const rb_op *op = k->op;
    rb_cost cost = {
        .flops = rb_terms_eval(op, op->flops, call),
        .special = rb_terms_eval(op, op->special, call),
        .extra = rb_terms_eval(op, k->extra, call),
        .saved = rb_terms_eval(op, k->saved, call),
        .special_overhead = (int64_t)rb_terms_eval(op, k->special_overhead, call),
        .int_macs = rb_terms_eval(op, k->int_macs, call),
        .bf16_macs = rb_terms_eval(op, k->bf16_macs, call),
    };
    for (int i = 0; i < RB_MAX_DECODE && k->decode[i].elements; i++) {
        const rb_view *v = &call->t[k->decode[i].arg];
        if (!v->buffer)
            continue;
        const rb_dtype_info *d = rb_dtype_get(v->dtype);
        const uint64_t blocks = rb_terms_eval(op, k->decode[i].elements, call) / (uint64_t)d->block;
        cost.dequant[0] += blocks * d->dq.integer;
        if (k->unpacks)
            continue;
        cost.dequant[1] += blocks * d->dq.conversion;
        cost.dequant[2] += blocks * d->dq.flt;
    }
    add_bytes(&cost, op, call, assumed);
    const rb_issued issued = k->issued ? k->issued(call) : (rb_issued){ 0 };
    cost.issued_rd = issued.rd;
    cost.issued_wr = issued.wr;
    cost.issued_unknown = !k->issued;
    return cost;
}
