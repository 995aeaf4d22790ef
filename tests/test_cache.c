/* Caches of every type, K's and V's apart: rows are the bytes of the reference encoders where
 * rounding is decided, bytes and decoded blocks are closed forms, whole runs are proven, and
 * logits are as near as the type allows. Read next: test_counts.c, ../kernels/store.h. */
#include <criterion/criterion.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "vectors.h"

static const rb_dtype cached[] = { RB_F32, RB_F16, RB_BF16, RB_Q8_0, RB_Q4_0 };
enum { N_CACHED = sizeof cached / sizeof *cached, BLOCK = 32 };

/* ---- rows ---- */

enum { N_ROW = 14 };

/* Where rounding is decided: ties and what is next to them, scales of one, signs of equal peaks,
 * numbers whose scale is no number, or 0, or infinite when it is inverted. */
static void fill_row(float *x, int row)
{
    for (int i = 0; i < BLOCK; i++) {
        const float up = (float)(i - 16), half = up + 0.5f;
        const float of[N_ROW] = {
            half,                                /* ties of q8_0, its scale 1 by what follows */
            nextafterf(half, 0),                 /* just below, just above them */
            nextafterf(half, 2 * half),          /* ... */
            half * 0.5f,                         /* ties of q4_0, its scale 1 */
            nextafterf(half * 0.5f, 0),          /* ... */
            i % 2 ? 3.0f : -3.0f,                /* equal peaks, the first negative */
            i % 2 ? -3.0f : 3.0f,                /* ... positive */
            i % 2 ? -0.0f : 0.0f,                /* no peak */
            up * 1e-44f,                         /* denormals: d is 0 in q8_0 */
            up * 1e-41f,                         /* 1 / d is infinite */
            up * 1e37f,                          /* d is beyond f16 */
            i == 5 ? INFINITY : up,              /* d is infinite */
            expf(up) * (i % 3 ? 1.0f : -1.0f),   /* most far below the peak */
            sinf((float)(i * i)) * 1.0009765625f /* f16's and bf16's places */
        };
        x[i] = of[row];
    }
    if (row < 3)
        x[7] = 127.0f;
    if (row == 3 || row == 4)
        x[9] = -8.0f;
}

/* Every row by kernel k, side by side as the tokens of one call, against the encoder. */
static void expect_encoded(const rb_kernel *k, rb_dtype type)
{
    float x[N_ROW * BLOCK];
    uint8_t got[N_ROW * BLOCK * 4], want[N_ROW * BLOCK * 4];
    const int64_t past = 0, bytes = rb_row_bytes(type, BLOCK);
    rb_buffer from = { x, sizeof x }, to = { got, sizeof got };
    for (int row = 0; row < N_ROW; row++)
        fill_row(x + row * BLOCK, row);
    if (rb_dtype_get(type)->block == 1) { /* cutting its places would make these infinite, or 0 */
        memcpy(x + 3, &(uint32_t){ 0x7f800001 }, 4);
        memcpy(x + 4, &(uint32_t){ 0xffffffff }, 4);
    }
    const rb_call call = { .t = { rb_view_dense(&to, type, RB_KV, 0, 1, N_ROW, 1, BLOCK),
                                  rb_view_dense(&from, RB_F32, RB_ACT, 0, 1, N_ROW, 1, BLOCK) },
                           .past = &past };
    k->run(&call, 0, 0, k->units(&call, 0), NULL, NULL);
    for (int row = 0; row < N_ROW; row++) {
        rb_encode_row(type, want, x + row * BLOCK, BLOCK);
        for (int64_t i = 0; i < bytes; i++)
            cr_expect_eq(got[row * bytes + i], want[i], "%s, %s, row %d: byte %d is %d, not %d",
                         rb_isa_name[k->isa], rb_dtype_get(type)->name, row, (int)i,
                         got[row * bytes + i], want[i]);
    }
}

Test(cache, rows_are_the_encoders_bytes_where_rounding_is_decided)
{
    int rows = 0;
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        if (k->op->id != RB_OP_KV_STORE || k->isa >= RB_ISA_COUNT1 || !rb_kernel_supported(k))
            continue;
        for (int t = 0; t < N_CACHED; t++)
            expect_encoded(k, cached[t]);
        rows++;
    }
    cr_expect_geq(rows, 1);
}

/* ---- counts ---- */

static rb_model *model_of(const rb_config *c, rb_dtype type)
{
    rb_model *m;
    rb_error err;
    cr_assert_eq(rb_model_synth(&m, c, type, 3, false, &err), RB_OK, "%s", err.text);
    return m;
}

static rb_session *session_of(const rb_model *m, rb_session_params p)
{
    rb_session *s;
    rb_error err;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    return s;
}

/* COUNTING's worked example of quantised weights and cache: flops, specials and the five classes
 * of bytes of a prompt of two tokens, then of a decoded one. */
Test(cache, worked_integers_of_q8_0)
{
    static const uint64_t want[2][7] = { { 56058, 284, 14596, 136, 136, 7424, 6144 },
                                         { 28428, 145, 14562, 204, 68, 3712, 3072 } };
    rb_config c = small_config(RB_ARCH_LLAMA);
    const int32_t ids[2] = { 3, 17 };
    c.n_layer = 1, c.n_embd = 32, c.n_ff = 64, c.n_vocab = 32;
    c.n_head = 2, c.n_head_kv = 1;
    c.d_head_k = c.d_head_v = c.d_rot = 32;
    rb_model *m = model_of(&c, RB_Q8_0);
    rb_session_params p = rb_session_defaults();
    p.type_k = p.type_v = RB_Q8_0;
    p.n_ctx = 4;
    p.n_logits = 2;
    p.no_fuse = true;
    rb_session *s = session_of(m, p);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, 2, true, NULL), RB_OK);
    cr_assert_eq(rb_session_run(s, RB_DECODE, ids, 1, false, NULL), RB_OK);
    for (rb_phase phase = RB_PREFILL; phase <= RB_DECODE; phase++) {
        const rb_cost cost = rb_ledger_phase(rb_session_ledger(s), phase).cost;
        const rb_bytes b = rb_cost_bytes(&cost);
        const uint64_t got[7] = { cost.flops, cost.special, b.weight,   b.kv_read,
                                  b.kv_write, b.act_read,   b.act_write };
        for (int i = 0; i < 7; i++)
            cr_expect_eq(got[i], want[phase][i], "%s, field %d: %llu, not %llu",
                         rb_phase_name[phase], i, (unsigned long long)got[i],
                         (unsigned long long)want[phase][i]);
    }
    rb_session_close(s);
    rb_model_close(m);
}

/* What is stored of a token in a layer: `heads` rows of two parts, each quantised by itself. */
typedef struct stored {
    int64_t heads, columns[2];
    rb_dtype type[2];
} stored;

static uint64_t bytes_of(const stored *w)
{
    return (uint64_t)(w->heads * (rb_row_bytes(w->type[0], w->columns[0]) +
                                  rb_row_bytes(w->type[1], w->columns[1])));
}

/* Blocks of a type, those of the second part `readers` times. */
static uint64_t blocks_in(const stored *w, rb_dtype type, int64_t readers)
{
    int64_t n = 0;
    for (int i = 0; i < 2; i++)
        if (w->type[i] == type)
            n += w->heads * w->columns[i] / rb_dtype_get(type)->block * (i == 1 ? readers : 1);
    return (uint64_t)n;
}

/* Two sequences of n new tokens after 9: rows written and read; quantising; blocks decoded by the
 * core, and by what expands the latent for it: then each head reads the rotated part. */
static void expect_cache(const rb_model *m, rb_session_params p, const stored *w, int64_t n)
{
    enum { PAST = 9, N_SEQ = 2 };
    p.n_seq = N_SEQ;
    p.n_ctx = p.n_ubatch = 32;
    p.dry = true;
    rb_session *s = session_of(m, p);
    const uint64_t layers = (uint64_t)m->config.n_layer, sequences = N_SEQ;
    const uint64_t fresh = layers * sequences * (uint64_t)n,
                   keys = layers * sequences * (PAST + (uint64_t)n);
    rb_session_set_past(s, PAST);
    cr_assert_eq(rb_session_run(s, RB_DECODE, NULL, n, false, NULL), RB_OK);
    const rb_ledger *l = rb_session_ledger(s);
    const rb_cost store = rb_ledger_site(l, RB_DECODE, RB_SITE_KV_STORE).cost;
    const rb_cost all = rb_ledger_phase(l, RB_DECODE).cost;
    char what[128];
    snprintf(what, sizeof what, "%s, %s %s, %d tokens", rb_attn_name(&m->config, p.attn),
             rb_dtype_get(w->type[0])->name, rb_dtype_get(w->type[1])->name, (int)n);
    cr_expect_eq(rb_session_kv_bytes_per_token(s), (int64_t)(layers * bytes_of(w)), "%s", what);
    cr_expect_eq(all.wr[RB_KV], fresh * bytes_of(w), "%s", what);
    cr_expect_eq(all.rd[RB_KV], keys * bytes_of(w), "%s", what);
    const uint64_t q8 = blocks_in(w, RB_Q8_0, 1), q4 = blocks_in(w, RB_Q4_0, 1);
    cr_expect_eq(store.flops, 0);
    cr_expect_eq(store.extra, fresh * (34 * q8 + 66 * q4), "%s", what);
    cr_expect_eq((uint64_t)store.special_overhead, fresh * (2 * q8 + q4), "%s", what);
    const bool expands = p.attn == RB_ATTN_MLA_NAIVE_LATENT;
    rb_cost readers = rb_ledger_site(l, RB_DECODE, RB_SITE_ATTN).cost;
    const rb_cost kv_b = rb_ledger_site(l, RB_DECODE, RB_SITE_KV_B).cost; /* weights are f32 */
    rb_cost_add(&readers, &kv_b);
    uint64_t decoded[3] = { 0 };
    for (int i = 0; i < N_CACHED; i++) {
        const rb_dequant *d = &rb_dtype_get(cached[i])->dq;
        const uint64_t n_block = keys * blocks_in(w, cached[i], expands ? m->config.n_head : 1);
        decoded[0] += n_block * d->integer;
        decoded[1] += n_block * d->conversion;
        decoded[2] += n_block * d->flt;
    }
    cr_expect_arr_eq(readers.dequant, decoded, sizeof decoded, "%s: %llu conversions, not %llu",
                     what, (unsigned long long)readers.dequant[1], (unsigned long long)decoded[1]);
    rb_session_close(s);
}

static rb_config gqa_config(void)
{
    rb_config c = small_config(RB_ARCH_LLAMA);
    c.d_head_k = c.d_rot = 64;
    c.d_head_v = 64;
    c.n_vocab = 48;
    return c;
}

static rb_config mla_config(void)
{
    rb_config c = small_config(RB_ARCH_PLM);
    c.kv_lora_rank = 64;
    c.d_rot = 32;
    c.d_head_k = 96;
    c.d_head_v = 32;
    c.n_vocab = 48;
    return c;
}

Test(cache, bytes_and_blocks_are_closed_forms_in_every_pair_of_types)
{
    rb_config gqa = gqa_config(), mla = mla_config();
    rb_model *g = model_of(&gqa, RB_F32), *m = model_of(&mla, RB_F32);
    for (int k = 0; k < N_CACHED; k++)
        for (int v = 0; v < N_CACHED; v++)
            for (int64_t n = 1; n <= 5; n += 4) {
                rb_session_params p = rb_session_defaults();
                p.type_k = cached[k];
                p.type_v = cached[v];
                expect_cache(g, p, &(stored){ 2, { 64, 64 }, { cached[k], cached[v] } }, n);
                p.attn = RB_ATTN_MLA_NAIVE_FULL;
                expect_cache(m, p, &(stored){ 4, { 96, 32 }, { cached[k], cached[v] } }, n);
                for (p.attn = RB_ATTN_MLA_NAIVE_LATENT; p.attn < RB_N_ATTN; p.attn++)
                    expect_cache(m, p, &(stored){ 1, { 64, 32 }, { cached[k], cached[k] } }, n);
            }
    rb_model_close(g);
    rb_model_close(m);
}

/* ---- whole runs ---- */

enum { N_PROMPT = 40, N_STEP = 4, VOCAB = 48 };

/* Logits of the last row of a prompt and of some steps. */
static void run(rb_session *s, float *logits)
{
    int32_t ids[N_PROMPT + N_STEP];
    for (int i = 0; i < N_PROMPT + N_STEP; i++)
        ids[i] = (i * 29 + i / 7) % VOCAB;
    cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, N_PROMPT, false, NULL), RB_OK);
    memcpy(logits, rb_session_logits(s), VOCAB * sizeof *logits);
    for (int i = 0; i < N_STEP; i++) {
        cr_assert_eq(rb_session_run(s, RB_DECODE, ids + N_PROMPT + i, 1, false, NULL), RB_OK);
        memcpy(logits + (1 + i) * VOCAB, rb_session_logits(s), VOCAB * sizeof *logits);
    }
}

static rb_session_params run_params(rb_dtype k, rb_dtype v, rb_attn attn)
{
    rb_session_params p = rb_session_defaults();
    p.n_ctx = p.n_ubatch = N_PROMPT + N_STEP;
    p.type_k = k;
    p.type_v = v;
    p.attn = attn;
    p.act_f32 = true;
    p.n_threads = 2;
    return p;
}

/* Largest difference, relative to the largest logit. */
static double furthest(const float *a, const float *b)
{
    double most = 0, size = 0;
    for (int i = 0; i < (1 + N_STEP) * VOCAB; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        most = d <= most ? most : d;
        size = fmax(size, fabs((double)b[i]));
    }
    return most / size;
}

static void run_with(const rb_model *m, rb_dtype k, rb_dtype v, rb_attn attn, float *logits)
{
    rb_session *s = session_of(m, run_params(k, v, attn));
    run(s, logits);
    rb_session_close(s);
}

/* A type's step, as a part of what it rounds: logits are off by a few of them at most, by some at
 * least, by K's and by V's alone, and less than those of the next coarser type. */
static void expect_near(const rb_model *m, rb_attn attn)
{
    static const double step[N_CACHED] = { 0, 0x1p-11, 0x1p-8, 1.0 / 127, 1.0 / 8 };
    float want[(1 + N_STEP) * VOCAB], got[(1 + N_STEP) * VOCAB];
    run_with(m, RB_F32, RB_F32, attn, want);
    for (int t = 1; t < N_CACHED; t++)
        for (int which = 0; which < 3; which++) {
            if (which > 0 && attn != RB_ATTN_OWN && attn != RB_ATTN_MLA_NAIVE_FULL)
                continue; /* of latents all is of K's type */
            run_with(m, which == 2 ? RB_F32 : cached[t], which == 1 ? RB_F32 : cached[t], attn,
                     got);
            const double off = furthest(got, want);
            cr_expect(off < 4 * step[t] && off > step[t] / 100, "%s, %s, %d: off by %g",
                      rb_attn_name(&m->config, attn), rb_dtype_get(cached[t])->name, which, off);
        }
}

Test(cache, logits_are_as_near_as_the_type_allows)
{
    rb_config gqa = gqa_config(), mla = mla_config();
    rb_model *g = model_of(&gqa, RB_F32), *m = model_of(&mla, RB_F32);
    expect_near(g, RB_ATTN_OWN);
    for (rb_attn attn = RB_ATTN_MLA_NAIVE_FULL; attn < RB_N_ATTN; attn++)
        expect_near(m, attn);
    rb_model_close(g);
    rb_model_close(m);
}

/* Both orders read the same latents, to the bit where one layer's input is the same: they differ by
 * rounding alone, whatever the type, and much less than types do. */
Test(cache, orders_of_latent_attention_agree_in_every_type)
{
    float want[(1 + N_STEP) * VOCAB], got[(1 + N_STEP) * VOCAB];
    rb_config c = mla_config();
    c.n_layer = 1;
    rb_model *m = model_of(&c, RB_F32);
    for (int t = 0; t < N_CACHED; t++) {
        run_with(m, cached[t], cached[t], RB_ATTN_MLA_NAIVE_LATENT, want);
        run_with(m, cached[t], cached[t], RB_ATTN_MLA_ABSORBED, got);
        cr_expect_lt(furthest(got, want), 200 * (double)FLT_EPSILON, "%s: off by %g",
                     rb_dtype_get(cached[t])->name, furthest(got, want));
    }
    rb_model_close(m);
}

/* As the counting ISA: each launch of a run is what its formulas and views say. */
static void expect_proven(const rb_model *m, rb_dtype k, rb_dtype v, rb_attn attn)
{
    const int32_t ids[10] = { 3, 17, 5, 9, 1, 30, 7, 12, 0, 2 };
    rb_session_params p = rb_session_defaults();
    p.type_k = k;
    p.type_v = v;
    p.attn = attn;
    p.n_seq = 2;
    p.n_ctx = 8;
    p.capped = p.prove = true;
    rb_session *s = session_of(m, p);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, ids, 5, false, NULL), RB_OK);
    cr_assert_eq(rb_session_run(s, RB_DECODE, ids, 1, false, NULL), RB_OK);
    const rb_proof *proof = rb_session_proof(s);
    rb_cost c = rb_ledger_phase(rb_session_ledger(s), RB_PREFILL).cost;
    const rb_cost d = rb_ledger_phase(rb_session_ledger(s), RB_DECODE).cost;
    rb_cost_add(&c, &d);
    cr_expect_str_eq(proof->mismatch, "", "%s %s: %s", rb_dtype_get(k)->name, rb_dtype_get(v)->name,
                     proof->mismatch);
    cr_expect_eq(proof->flops + 2 * proof->int_macs, c.flops + c.extra - c.saved);
    cr_expect_eq((int64_t)proof->special, (int64_t)c.special + c.special_overhead);
    cr_expect_arr_eq(proof->dequant, c.dequant, sizeof c.dequant);
    rb_session_close(s);
}

Test(cache, whole_runs_are_proven_in_every_pair_of_types)
{
    rb_config gqa = gqa_config(), mla = mla_config();
    rb_model *g = model_of(&gqa, RB_F32), *m = model_of(&mla, RB_Q8_0);
    for (int k = 0; k < N_CACHED; k++)
        for (int v = 0; v < N_CACHED; v++) {
            expect_proven(g, cached[k], cached[v], RB_ATTN_OWN);
            expect_proven(m, cached[k], cached[v], RB_ATTN_MLA_NAIVE_FULL);
            if (k != v)
                continue;
            expect_proven(m, cached[k], cached[k], RB_ATTN_MLA_NAIVE_LATENT);
            expect_proven(m, cached[k], cached[k], RB_ATTN_MLA_ABSORBED);
        }
    rb_model_close(g);
    rb_model_close(m);
}

/* ---- what is refused ---- */

static void expect_refused(const rb_config *c, rb_dtype k, rb_dtype v, rb_attn attn,
                           const char *why)
{
    rb_session_params p = rb_session_defaults();
    rb_model *m = model_of(c, RB_F32);
    rb_session *s;
    rb_error err = { 0 };
    p.type_k = k;
    p.type_v = v;
    p.attn = attn;
    cr_expect_eq(rb_session_open(&s, m, &p, &err), RB_ERR_UNSUPPORTED, "%s", why);
    cr_expect(strstr(err.text, why), "%s: %s", why, err.text);
    cr_expect_null(s);
    rb_model_close(m);
}

Test(cache, pieces_that_are_no_whole_blocks_are_refused)
{
    rb_config c = gqa_config();
    c.d_head_k = c.d_rot = 48;
    expect_refused(&c, RB_Q8_0, RB_F16, RB_ATTN_OWN,
                   "q8_0 holds multiples of 32 columns, a head of K has 48");
    c = gqa_config();
    c.d_head_v = 16;
    expect_refused(&c, RB_Q8_0, RB_Q4_0, RB_ATTN_OWN,
                   "q4_0 holds multiples of 32 columns, a head of V has 16");
    c = mla_config();
    c.d_rot = 16;
    expect_refused(&c, RB_Q8_0, RB_F16, RB_ATTN_MLA, "the rotated part of K has 16");
    expect_refused(&c, RB_Q4_0, RB_F16, RB_ATTN_MLA_NAIVE_FULL,
                   "what is not rotated of a head of K has 80");
    c = mla_config();
    c.kv_lora_rank = 40;
    expect_refused(&c, RB_Q8_0, RB_F16, RB_ATTN_MLA_ABSORBED, "the latent has 40");
}
