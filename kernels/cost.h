/* What a launch costs, and the ledger it is booked in.
 * Counts are closed forms of shapes; nothing here looks at data. COUNTING conventions: a
 * multiply-add is 2 FLOPs; exp, tanh, div and sqrt are 1 and also 1 special; compares, moves,
 * conversions are 0. Read next: op.h. */
#ifndef RB_COST_H
#define RB_COST_H

#include "types.h"

typedef struct rb_cost {
    uint64_t flops;        /* useful work, the same for every ISA, layout and dtype */
    uint64_t extra, saved; /* executed = flops + extra - saved */
    uint64_t special;      /* exp, tanh, div, sqrt within flops */
    int64_t special_overhead;
    uint64_t int_macs;   /* of the executed multiply-adds, those done in integers */
    uint64_t bf16_macs;  /* ... and those done by dot products of bf16 */
    uint64_t dequant[3]; /* integer, conversion, float operations */
    uint64_t rd[RB_N_STREAM], wr[RB_N_STREAM]; /* compulsory bytes */
    uint64_t issued_rd, issued_wr;             /* see rb_issued */
    uint64_t issued_unknown; /* launches whose row does not say: with any, the level is unknown */
} rb_cost;

/* Bytes that the loads and stores of a kernel move, operands and scratch together: what its loops
 * ask of the first-level cache, whoever answers. */
typedef struct rb_issued {
    uint64_t rd, wr;
} rb_issued;

/* Bytes between DRAM and the last cache, by a model of that cache (reuse.h): fetched by reads,
 * fetched because a store fills a part of a line first, and written back. */
typedef struct rb_dram {
    uint64_t read, allocate, write_back;
} rb_dram;

struct rb_kernel;
typedef struct rb_tally {
    rb_cost cost;
    const struct rb_kernel *kernel; /* the row that was launched last; NULL in sums */
    uint64_t calls;
    rb_dram dram; /* of a team that models it */
    /* Wall clock. The three add up to the time between the start of a step and the end of its last
     * launch. */
    uint64_t ns;         /* of the phases, from their start to the end of the slowest thread */
    uint64_t barrier_ns; /* from there until the first thread went on */
    uint64_t launch_ns;  /* from the end of the launch before: checks, selection, booking */
    bool assumed;        /* some distinct count was assumed, not seen (dry run) */
} rb_tally;

/* Sums field by field; whether two costs are equal to the last digit. */
void rb_cost_add(rb_cost *sum, const rb_cost *c);
void rb_dram_add(rb_dram *sum, const rb_dram *d);
uint64_t rb_dram_bytes(const rb_dram *d); /* all three */
void rb_tally_add(rb_tally *sum, const rb_tally *t);
bool rb_cost_equal(const rb_cost *a, const rb_cost *b);

/* The five byte classes of a record, from a cost. */
typedef struct rb_bytes {
    uint64_t weight, kv_read, kv_write, act_read, act_write;
} rb_bytes;
rb_bytes rb_cost_bytes(const rb_cost *c);
/* W + KV, the traffic of the paper's operational intensity. */
uint64_t rb_bytes_wkv(const rb_bytes *b);
uint64_t rb_bytes_all(const rb_bytes *b);

/* ---- the ledger: [phase][site][op] ---- */

typedef enum { RB_PREFILL, RB_DECODE, RB_N_PHASE } rb_phase;
extern const char *const rb_phase_name[RB_N_PHASE];

/* Where in the model a launch stands. */
typedef enum {
    RB_SITE_EMBED,
    RB_SITE_ATTN_NORM,
    RB_SITE_QKV, /* one launch for several of q, k, v */
    RB_SITE_Q,
    RB_SITE_K,
    RB_SITE_V,
    RB_SITE_Q_A, /* latent attention: q down to its rank, its norm, and up again */
    RB_SITE_Q_A_NORM,
    RB_SITE_Q_B,
    RB_SITE_KV_A, /* K and V down to the latent and the shared rotary key; norm of the latent */
    RB_SITE_KV_A_NORM,
    RB_SITE_QK_NORM,
    RB_SITE_ROPE,
    RB_SITE_KV_B, /* the latent up to K and V of every head */
    RB_SITE_KV_STORE,
    RB_SITE_Q_ABSORB, /* q down into the latent's space instead */
    RB_SITE_ATTN,
    RB_SITE_V_UP,      /* and what attention took of the latent up to V */
    RB_SITE_ATTN_GATE, /* grouped-tied attention: the gate of its output, and what it lets through
                        */
    RB_SITE_O,
    RB_SITE_FFN_NORM,
    RB_SITE_GATE_UP, /* one launch for gate and up */
    RB_SITE_GATE,
    RB_SITE_UP,
    RB_SITE_FFN_ACT,
    RB_SITE_DOWN,
    RB_SITE_ROUTER, /* scores of the experts; which of them, and how much of each */
    RB_SITE_ROUTE,
    RB_SITE_EXPERTS, /* routed and, unless launches are kept apart, shared experts */
    RB_SITE_SHARED_EXPERT,
    RB_SITE_MOE_ADD,
    RB_SITE_RESIDUAL,
    RB_SITE_OUT_NORM,
    RB_SITE_LM_HEAD,
    RB_SITE_ROOF, /* no part of a model */
    RB_N_SITE
} rb_site;
extern const char *const rb_site_name[RB_N_SITE];

enum { RB_N_OWN = 4 };
typedef enum {
    RB_OP_EMBED,
    RB_OP_RMSNORM,
    RB_OP_LAYERNORM,
    RB_OP_MATMUL,
    RB_OP_MATMUL_HEADS,
    RB_OP_ROPE,
    RB_OP_KV_STORE,
    RB_OP_ATTEND,
    RB_OP_SILU_GATE,
    RB_OP_SIGMOID_GATE,
    RB_OP_RELU2,
    RB_OP_GELU,
    RB_OP_GELU_ERF,
    RB_OP_ROUTE,
    RB_OP_EXPERTS,
    RB_OP_ADD,
    RB_OP_ROOF_FMA,
    RB_OP_ROOF_DOT_I8,
    RB_OP_ROOF_DOT_BF16,
    RB_OP_ROOF_EXP,
    RB_OP_ROOF_READ,
    RB_OP_ROOF_COPY,
    RB_OP_ROOF_TRIAD,
    RB_OP_ROOF_LAUNCH,
    RB_OP_OWN, /* the first of RB_N_OWN ids of operations that others bring; names are theirs */
    RB_N_OP = RB_OP_OWN + RB_N_OWN
} rb_op_id;

typedef struct rb_ledger {
    rb_tally at[RB_N_PHASE][RB_N_SITE][RB_N_OP];
} rb_ledger;

/* All zero. */
void rb_ledger_clear(rb_ledger *l);
/* Sum over sites and ops of one phase. */
rb_tally rb_ledger_phase(const rb_ledger *l, rb_phase phase);
rb_tally rb_ledger_site(const rb_ledger *l, rb_phase phase, rb_site site);

#endif
