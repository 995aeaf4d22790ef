/* The closed forms of COUNTING, section 2, one line each, summed over the sites of a whole model.
 * Nothing is derived here and nothing is shared with kernels: sizes of blocks, extents of matrices
 * and what is fused with what are written down again, so that one mistake cannot hide in both.
 * Read next: ../kernels/cost.h (the sites), verify_counts.c (who compares). */
#include "oracle.h"

#include <math.h>
#include <string.h>

/* One launch or several: FLOPs and specials; bytes of weights and cache; activations that are read
 * and written, in elements of f32. */
typedef struct line {
    int64_t flops, special, weight, kv_read, kv_write, act_read, act_write;
    rb_dtype type; /* of the matrix, where there is one */
} line;

/* A run, and what all its lines need. */
typedef struct form {
    const rb_config *c;
    const rb_layer *w; /* types of the layer at hand */
    const rb_oracle_run *r;
    rb_claim *claim;
    int64_t n;     /* new tokens of all sequences */
    int64_t keys;  /* T of all sequences */
    int64_t pairs; /* S of all sequences */
} form;

enum { F32 = 4 };

static void book(form *f, rb_site site, line l)
{
    rb_cost *at = &f->claim->at[site];
    at->flops += (uint64_t)l.flops;
    at->special += (uint64_t)l.special;
    at->rd[RB_WEIGHT] += (uint64_t)l.weight;
    at->rd[RB_KV] += (uint64_t)l.kv_read;
    at->wr[RB_KV] += (uint64_t)l.kv_write;
    at->rd[RB_ACT] += (uint64_t)(F32 * l.act_read);
    at->wr[RB_ACT] += (uint64_t)(F32 * l.act_write);
}

/* ---- bytes of rows ---- */

/* Rows of so many columns, in blocks. */
static int64_t bytes_of(rb_dtype type, int64_t rows, int64_t columns)
{
    static const struct {
        int elements, bytes;
    } block[RB_FIRST_PACKED] = {
        [RB_F32] = { 1, 4 },      [RB_F16] = { 1, 2 },      [RB_BF16] = { 1, 2 },
        [RB_Q8_0] = { 32, 34 },   [RB_Q4_0] = { 32, 18 },   [RB_Q4_1] = { 32, 20 },
        [RB_Q5_0] = { 32, 22 },   [RB_Q5_1] = { 32, 24 },   [RB_Q2_K] = { 256, 84 },
        [RB_Q3_K] = { 256, 110 }, [RB_Q4_K] = { 256, 144 }, [RB_Q5_K] = { 256, 176 },
        [RB_Q6_K] = { 256, 210 }, [RB_IQ4_NL] = { 32, 18 }, [RB_IQ4_XS] = { 256, 136 },
        [RB_I32] = { 1, 4 },
    };
    const rb_dtype file = rb_dtype_get(type)->base; /* packing moves bytes, it adds none */
    return rows * (columns / block[file].elements) * block[file].bytes;
}

/* x elements of a row of the cache. */
static int64_t kv(rb_dtype type, int64_t x)
{
    return bytes_of(type, 1, x);
}

/* ---- lines that come up again ---- */

static line linear(int64_t n, int64_t in, int64_t out, rb_dtype type, bool bias)
{
    return (line){ .flops = 2 * n * in * out + (bias ? n * out : 0),
                   .weight = bytes_of(type, out, in) + (bias ? F32 * out : 0),
                   .act_read = n * in,
                   .act_write = n * out,
                   .type = type };
}

/* Linears of one x: it is read once where all are one launch, which those of one type are. */
static void linears(form *f, rb_site site, int n, const line *l, const rb_site *each)
{
    bool one = f->r->fused;
    for (int i = 1; i < n; i++)
        one &= l[i].type == l[0].type;
    for (int i = 0; i < n; i++) {
        line own = l[i];
        own.act_read = one && i > 0 ? 0 : own.act_read;
        book(f, one ? site : each[i], own);
    }
}

static line rmsnorm(int64_t rows, int64_t m)
{
    return (line){ .flops = rows * (4 * m + 4),
                   .special = 3 * rows,
                   .weight = F32 * m,
                   .act_read = rows * m,
                   .act_write = rows * m };
}

static line layernorm(int64_t rows, int64_t m)
{
    return (line){ .flops = rows * (7 * m + 5),
                   .special = 4 * rows,
                   .weight = F32 * 2 * m,
                   .act_read = rows * m,
                   .act_write = rows * m };
}

/* Of the residual stream. */
static void norm(form *f, rb_site site, int64_t rows)
{
    const int64_t m = f->c->n_embd;
    book(f, site, f->c->norm == RB_NORM_LAYER ? layernorm(rows, m) : rmsnorm(rows, m));
}

/* Heads of tokens at so many positions: sequences stand at the same ones, whose angles are read
 * once. */
static void rope(form *f, int64_t heads, int64_t positions)
{
    const int64_t d = f->c->d_rot;
    book(f, RB_SITE_ROPE,
         (line){ .flops = 3 * heads * d,
                 .act_read = heads * d + positions * d,
                 .act_write = heads * d });
}

/* The core: scores of d_k, softmax, values of d_v. K and V come as kv_read bytes of the cache and
 * as expanded elements of the pad. */
static void attend(form *f, int64_t d_k, int64_t d_v, int64_t kv_read, int64_t expanded)
{
    const int64_t h = f->c->n_head, s = f->pairs;
    book(f, RB_SITE_ATTN,
         (line){ .flops = 2 * d_k * h * s + h * (5 * s + f->n) + 2 * d_v * h * s,
                 .special = h * (s + f->n),
                 .kv_read = kv_read,
                 .act_read = f->n * h * d_k + expanded,
                 .act_write = f->n * h * d_v });
}

static void project_out(form *f)
{
    const rb_config *c = f->c;
    const int64_t d = c->d_value_up ? c->d_value_up : c->d_head_v;
    book(f, RB_SITE_O,
         linear(f->n, c->n_head * d, c->n_embd, f->w->wo.dtype, c->linear_bias || c->out_bias));
}

/* ---- attention with cached heads ---- */

/* What grouped-tied attention does beside: its gate, and its values decoded and let through. */
static void decode_values(form *f)
{
    const rb_config *c = f->c;
    const int64_t n = f->n, m = c->n_head * c->d_value_up, d = c->d_head_v;
    if (!m)
        return;
    book(f, RB_SITE_ATTN_GATE, linear(n, c->n_embd, m, f->w->w_attn_gate.dtype, c->qkv_bias));
    book(f, RB_SITE_V_UP,
         (line){ .flops = 2 * n * d * m,
                 .weight = bytes_of(f->w->wv_b.dtype, m, d),
                 .act_read = n * c->n_head * d,
                 .act_write = n * m });
    book(f, RB_SITE_ATTN_GATE,
         (line){
             .flops = 4 * n * m, .special = 2 * n * m, .act_read = 2 * n * m, .act_write = n * m });
}

static void grouped_attention(form *f)
{
    const rb_config *c = f->c;
    const rb_layer *w = f->w;
    const int64_t n = f->n, h = c->n_embd, heads = c->n_head + c->n_head_kv;
    const int64_t n_v = c->n_head_v ? c->n_head_v : c->n_head_kv, v = n_v * c->d_head_v;
    const int64_t q = c->n_head * c->d_head_k, k = c->n_head_kv * c->d_head_k;
    const int64_t row =
        c->n_head_kv * kv(f->r->type_k, c->d_head_k) + n_v * kv(f->r->type_v, c->d_head_v);
    if (c->linear_bias) {
        book(f, RB_SITE_QKV, linear(n, h, q + k + v, w->wqkv.dtype, true));
    } else {
        const line l[] = { linear(n, h, q, w->wq.dtype, c->qkv_bias),
                           linear(n, h, k, w->wk.dtype, c->qkv_bias),
                           linear(n, h, v, w->wv.dtype, c->qkv_bias) };
        linears(f, RB_SITE_QKV, 3, l, (rb_site[]){ RB_SITE_Q, RB_SITE_K, RB_SITE_V });
    }
    if (c->qk_norm) {
        book(f, RB_SITE_QK_NORM, rmsnorm(n * c->n_head, c->d_head_k));
        book(f, RB_SITE_QK_NORM, rmsnorm(n * c->n_head_kv, c->d_head_k));
    }
    rope(f, n * heads, f->r->n);
    book(f, RB_SITE_KV_STORE, (line){ .kv_write = n * row, .act_read = n * (k + v) });
    attend(f, c->d_head_k, c->d_head_v, f->keys * row, 0);
    decode_values(f);
    project_out(f);
}

/* ---- K and V of low rank, rotated late ---- */

static void late_attention(form *f)
{
    const rb_config *c = f->c;
    const rb_layer *w = f->w;
    const int64_t n = f->n, h = c->n_embd, r = c->kv_lora_rank, keys = f->keys;
    const int64_t columns = c->n_head_kv * (c->d_head_k + c->d_head_v);
    const line l[] = { linear(n, h, c->n_head * c->d_head_k, w->wq.dtype, c->qkv_bias),
                       linear(n, h, r, w->wkv_a.dtype, c->qkv_bias) };
    linears(f, RB_SITE_QKV, 2, l, (rb_site[]){ RB_SITE_Q, RB_SITE_KV_A });
    if (c->qk_norm) {
        book(f, RB_SITE_QK_NORM, rmsnorm(n * c->n_head, c->d_head_k));
        book(f, RB_SITE_QK_NORM, rmsnorm(keys * c->n_head_kv, c->d_head_k));
    }
    rope(f, n * c->n_head, f->r->n);
    book(f, RB_SITE_KV_STORE, (line){ .kv_write = n * kv(f->r->type_k, r), .act_read = n * r });
    book(f, RB_SITE_KV_B,
         (line){ .flops = 2 * keys * r * columns,
                 .weight = bytes_of(w->wkv_b.dtype, columns, r),
                 .kv_read = keys * kv(f->r->type_k, r),
                 .act_write = keys * columns });
    rope(f, keys * c->n_head_kv, f->r->p + f->r->n);
    attend(f, c->d_head_k, c->d_head_v, 0, keys * columns);
    project_out(f);
}

/* ---- latent attention ---- */

/* Columns of K that heads share, the latent's expansion aside: one rotated key, or all of K. */
static int64_t shared_key(const form *f)
{
    return f->c->n_key_block ? f->c->d_head_k : f->c->d_rot;
}

static void latent_projections(form *f)
{
    const rb_config *c = f->c;
    const rb_layer *w = f->w;
    const int64_t n = f->n, h = c->n_embd, q = c->n_head * c->d_head_k, r_q = c->q_lora_rank;
    const int64_t blocks = c->n_key_block ? c->n_key_block : 1;
    const line kv_a = linear(n, h, c->kv_lora_rank + shared_key(f), w->wkv_a.dtype, c->qkv_bias);
    if (r_q) {
        const line l[] = { linear(n, h, r_q, w->wq_a.dtype, false), kv_a };
        linears(f, RB_SITE_QKV, 2, l, (rb_site[]){ RB_SITE_Q_A, RB_SITE_KV_A });
        book(f, RB_SITE_Q_A_NORM, rmsnorm(n, r_q));
        book(f, RB_SITE_Q_B, linear(n, r_q, q, w->wq_b.dtype, false));
    } else {
        const line l[] = { linear(n, h, q, w->wq.dtype, c->qkv_bias), kv_a };
        linears(f, RB_SITE_QKV, 2, l, (rb_site[]){ RB_SITE_Q, RB_SITE_KV_A });
    }
    if (!c->latent_plain)
        book(f, RB_SITE_KV_A_NORM, rmsnorm(n, c->kv_lora_rank));
    if (c->qk_norm) {
        book(f, RB_SITE_QK_NORM, rmsnorm(n * c->n_head * blocks, c->d_head_k / blocks));
        book(f, RB_SITE_QK_NORM, rmsnorm(n * blocks, c->d_head_k / blocks));
    }
    rope(f, n * (c->n_head + 1) * blocks, f->r->n);
}

/* Bytes of W_UK and of W_UV, in either form of the file. */
static int64_t bytes_uk(const form *f)
{
    const rb_config *c = f->c;
    const int64_t d_n = c->d_head_k - shared_key(f);
    return c->mla_split && d_n == 0 ? 0
           : c->mla_split           ? bytes_of(f->w->wk_b.dtype, c->n_head * c->kv_lora_rank, d_n)
                                    : bytes_of(f->w->wkv_b.dtype, c->n_head * d_n, c->kv_lora_rank);
}

static int64_t bytes_uv(const form *f)
{
    const rb_dtype type = f->c->mla_split ? f->w->wv_b.dtype : f->w->wkv_b.dtype;
    return bytes_of(type, f->c->n_head * f->c->d_head_v, f->c->kv_lora_rank);
}

/* K and V of all heads out of the latents of some tokens, which come from the cache or from the
 * pad. Halves of two types are two launches, and latents are read by each. */
static void expand(form *f, int64_t tokens, bool cached)
{
    const rb_config *c = f->c;
    const int64_t r = c->kv_lora_rank,
                  columns = c->n_head * (c->d_head_k - shared_key(f) + c->d_head_v);
    const int64_t times =
        c->mla_split && c->d_head_k > shared_key(f) && f->w->wk_b.dtype != f->w->wv_b.dtype ? 2 : 1;
    book(f, RB_SITE_KV_B,
         (line){ .flops = 2 * tokens * r * columns,
                 .weight = bytes_uk(f) + bytes_uv(f),
                 .kv_read = cached ? times * tokens * kv(f->r->type_k, r) : 0,
                 .act_read = cached ? 0 : times * tokens * r,
                 .act_write = tokens * columns });
}

static void naive_full(form *f)
{
    const rb_config *c = f->c;
    const int64_t d_r = shared_key(f), h = c->n_head, d_n = c->d_head_k - d_r, d_v = c->d_head_v;
    const int64_t row = h * (kv(f->r->type_k, d_n) + kv(f->r->type_k, d_r) + kv(f->r->type_v, d_v));
    expand(f, f->n, false);
    book(f, RB_SITE_KV_STORE,
         (line){ .kv_write = f->n * row, .act_read = f->n * (h * (d_n + d_v) + d_r) });
    attend(f, c->d_head_k, d_v, f->keys * row, 0);
}

static void store_latents(form *f)
{
    const int64_t r = f->c->kv_lora_rank, d_r = shared_key(f);
    book(f, RB_SITE_KV_STORE,
         (line){ .kv_write = f->n * (kv(f->r->type_k, r) + kv(f->r->type_k, d_r)),
                 .act_read = f->n * (r + d_r) });
}

static void naive_latent(form *f)
{
    const rb_config *c = f->c;
    const int64_t d_r = shared_key(f);
    const int64_t expanded = f->keys * c->n_head * (c->d_head_k - d_r + c->d_head_v);
    store_latents(f);
    expand(f, f->keys, true);
    attend(f, c->d_head_k, c->d_head_v, f->keys * kv(f->r->type_k, d_r), expanded);
}

static void absorbed(form *f)
{
    const rb_config *c = f->c;
    const int64_t n = f->n, h = c->n_head, r = c->kv_lora_rank, d_r = shared_key(f);
    const int64_t d_n = c->d_head_k - d_r, row = kv(f->r->type_k, r) + kv(f->r->type_k, d_r);
    store_latents(f);
    if (d_n > 0)
        book(f, RB_SITE_Q_ABSORB,
             (line){ .flops = 2 * n * h * d_n * r,
                     .weight = bytes_uk(f),
                     .act_read = n * h * d_n,
                     .act_write = n * h * r });
    attend(f, d_n > 0 ? r + d_r : d_r, r, f->keys * row, 0);
    book(f, RB_SITE_V_UP,
         (line){ .flops = 2 * n * h * r * c->d_head_v,
                 .weight = bytes_uv(f),
                 .act_read = n * h * r,
                 .act_write = n * h * c->d_head_v });
}

static void latent_attention(form *f)
{
    latent_projections(f);
    if (f->r->attn == RB_ATTN_MLA_NAIVE_FULL)
        naive_full(f);
    else if (f->r->attn == RB_ATTN_MLA_NAIVE_LATENT)
        naive_latent(f);
    else
        absorbed(f);
    project_out(f);
}

/* ---- feed-forward ---- */

static void dense(form *f)
{
    const rb_config *c = f->c;
    const rb_layer *w = f->w;
    const int64_t n = f->n, h = c->n_embd, m = n * c->n_ff;
    const line up = linear(n, h, c->n_ff, w->w_up.dtype, c->linear_bias);
    line act = { .act_read = m, .act_write = m };
    if (c->ffn == RB_FFN_SWIGLU) {
        const line l[] = { linear(n, h, c->n_ff, w->w_gate.dtype, false), up };
        linears(f, RB_SITE_GATE_UP, 2, l, (rb_site[]){ RB_SITE_GATE, RB_SITE_UP });
        act.flops = 4 * m;
        act.special = 2 * m;
        act.act_read = 2 * m;
    } else {
        book(f, RB_SITE_UP, up);
        const bool gelu = c->ffn == RB_FFN_GELU;
        act.flops = gelu ? (f->r->gelu_erf ? 5 : 9) * m : m;
        act.special = gelu ? m : 0;
    }
    book(f, RB_SITE_FFN_ACT, act);
    book(f, RB_SITE_DOWN, linear(n, c->n_ff, h, w->w_down.dtype, c->linear_bias));
}

static void route(form *f)
{
    const rb_config *c = f->c;
    const int64_t n = f->n, e = c->n_expert, k = c->n_expert_used;
    const bool soft = c->gating == RB_GATING_SOFTMAX;
    book(f, RB_SITE_ROUTER, linear(n, c->n_embd, e, f->w->router.dtype, false));
    book(f, RB_SITE_ROUTE,
         (line){ .flops = (soft ? n * (4 * e + 1) : 3 * n * e) + (c->expert_bias ? n * e : 0) +
                          (c->expert_renorm ? 2 * n * k : 0) + (c->expert_scale != 1 ? n * k : 0),
                 .special = (soft ? n * (e + 1) : 2 * n * e) + (c->expert_renorm ? n * k : 0),
                 .weight = c->expert_bias ? F32 * e : 0,
                 .act_read = n * e,
                 .act_write = n * k });
}

/* The expert that every token takes, without what it reads and writes. */
static line shared_expert(const form *f)
{
    const rb_config *c = f->c;
    const rb_layer *w = f->w;
    const int64_t n = f->n, h = c->n_embd, m = c->n_ff_shared;
    line l = { .flops = n * (6 * h * m + 4 * m),
               .special = 2 * n * m,
               .weight = bytes_of(w->gate_shexp.dtype, m, h) + bytes_of(w->up_shexp.dtype, m, h) +
                         bytes_of(w->down_shexp.dtype, h, m) };
    if (c->shared_gate) {
        l.flops += n * (3 * h + 3);
        l.special += 2 * n;
        l.weight += bytes_of(w->inp_shexp.dtype, 1, h);
    }
    return l;
}

static void mixture(form *f, int64_t taken)
{
    const rb_config *c = f->c;
    const rb_layer *w = f->w;
    const int64_t n = f->n, h = c->n_embd, m = c->n_ff_expert, k = c->n_expert_used;
    const int64_t one = bytes_of(w->gate_exps.dtype, m, h) + bytes_of(w->up_exps.dtype, m, h) +
                        bytes_of(w->down_exps.dtype, h, m);
    route(f);
    book(f, RB_SITE_EXPERTS,
         (line){ .flops = n * k * (6 * h * m + 4 * m + 2 * h),
                 .special = 2 * n * k * m,
                 .weight = taken * one,
                 .act_read = n * (h + k),
                 .act_write = n * h });
    if (!c->n_ff_shared)
        return;
    line shared = shared_expert(f);
    if (f->r->fused) { /* both read one x and write one y */
        shared.flops += n * h;
        book(f, RB_SITE_EXPERTS, shared);
        return;
    }
    shared.act_read = shared.act_write = n * h;
    book(f, RB_SITE_SHARED_EXPERT, shared);
    book(f, RB_SITE_MOE_ADD, (line){ .flops = n * h, .act_read = 2 * n * h, .act_write = n * h });
}

/* ---- the whole ---- */

/* How many different experts n tokens take, each k of E without regard to the others. */
static int64_t taken_by(const form *f)
{
    const double e = (double)f->c->n_expert, k = (double)f->c->n_expert_used;
    return llround(e * (1 - pow(1 - k / e, (double)f->n)));
}

static void layer(form *f, int64_t l)
{
    const rb_config *c = f->c;
    const int64_t m = f->n * c->n_embd;
    norm(f, RB_SITE_ATTN_NORM, f->n);
    if (c->late_rope)
        late_attention(f);
    else if (c->kv_lora_rank)
        latent_attention(f);
    else
        grouped_attention(f);
    norm(f, RB_SITE_FFN_NORM, f->n);
    /* layers beyond the model's own are copies of its last */
    if (c->n_expert && (l < c->n_layer ? l : c->n_layer - 1) >= c->n_dense_lead)
        mixture(f, f->r->n_taken ? f->r->n_taken[l] : taken_by(f));
    else
        dense(f);
    book(f, RB_SITE_RESIDUAL, (line){ .flops = 2 * m, .act_read = 4 * m, .act_write = 2 * m });
}

void rb_claim_sum(rb_claim *claim)
{
    memset(&claim->total, 0, sizeof claim->total);
    for (rb_site site = 0; site < RB_N_SITE; site++)
        rb_cost_add(&claim->total, &claim->at[site]);
}

void rb_oracle(const rb_config *c, const rb_model *types, const rb_oracle_run *run, rb_claim *claim)
{
    const int64_t n = run->n, p = run->p, out = run->n_seq * run->n_out;
    form f = { .c = c,
               .r = run,
               .claim = claim,
               .n = run->n_seq * n,
               .keys = run->n_seq * (p + n),
               .pairs = run->n_seq * (n * p + n * (n + 1) / 2) };
    memset(claim, 0, sizeof *claim);
    book(&f, RB_SITE_EMBED,
         (line){ .weight = bytes_of(types->tok_embd.dtype, run->n_ids, c->n_embd),
                 .act_write = f.n * c->n_embd });
    for (int64_t l = 0; l < run->n_layer; l++) {
        f.w = &types->layer[l];
        layer(&f, l);
    }
    if (out > 0) {
        norm(&f, RB_SITE_OUT_NORM, out);
        book(&f, RB_SITE_LM_HEAD, linear(out, c->n_embd, c->n_vocab, types->output.dtype, false));
    }
    rb_claim_sum(claim);
}
