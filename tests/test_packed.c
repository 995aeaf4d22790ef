/* Packed layouts: packing moves bytes and changes none, a packed model computes and counts what it
 * did before, and lookups, dry models and added layers follow. The kernels themselves are checked
 * with every other row in test_kernels.c and test_proof.c. Read next: models/pack.c. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../kernels/prove.h"
#include "../kernels/shaped.h"
#include "vectors.h"

/* Types that the models below have; their rows are too narrow for superblocks. */
static const rb_dtype type[] = { RB_F32, RB_F16, RB_BF16, RB_Q8_0, RB_Q4_0, RB_Q5_1 };
enum { N_TYPE = sizeof type / sizeof *type };

static rb_dtype packed_of(rb_dtype t)
{
    return (rb_dtype)(RB_FIRST_PACKED + t);
}

enum { N_PROMPT = 23, N_DECODE = 3, MOST_VOCAB = 96 };

/* ---- layouts ---- */

static void fill_bytes(rb_buffer *b)
{
    uint64_t seed = 7;
    for (size_t i = 0; i < b->bytes; i++)
        ((uint8_t *)b->data)[i] = (uint8_t)rb_random_below(&seed, 256);
}

typedef struct matrix {
    rb_buffer from, to;
    rb_view w, p;
} matrix;

static void open_matrix(matrix *m, rb_dtype t, int64_t rows, int64_t columns)
{
    const size_t bytes = (size_t)(rows * rb_row_bytes(t, columns));
    cr_assert_eq(rb_buffer_alloc(&m->from, bytes, false, NULL), RB_OK);
    cr_assert_eq(rb_buffer_alloc(&m->to, bytes, false, NULL), RB_OK);
    fill_bytes(&m->from);
    m->w = rb_view_dense(&m->from, t, RB_WEIGHT, 0, 1, 1, rows, columns);
    m->p = rb_view_packed(&m->w, &m->to);
    cr_assert_eq(m->p.dtype, RB_FIRST_PACKED + t);
    cr_assert_eq(m->p.n[2], rows / 16);
    cr_assert_eq(m->p.n[3], 16 * columns);
    cr_assert_eq(rb_row_bytes(m->p.dtype, m->p.n[3]) * m->p.n[2], (int64_t)bytes);
}

static void close_matrix(matrix *m)
{
    rb_buffer_free(&m->from);
    rb_buffer_free(&m->to);
}

/* Where element k of row r stands in a panel, found without the code under test. */
static int64_t place_of(rb_dtype t, int r, int64_t k)
{
    switch (t) {
    case RB_F32:
        return (k * 16 + r) * 4;
    case RB_F16:
        return (k * 16 + r) * 2;
    case RB_BF16: /* pairs of columns */
        return k / 2 * 64 + r * 4 + k % 2 * 2;
    default: /* q8_0: 16 scales, then four columns of each row at a time */
        return k / 32 * 544 + 32 + k % 32 / 4 * 64 + r * 4 + k % 4;
    }
}

Test(packed, packing_moves_every_byte_to_its_place)
{
    enum { ROWS = 48, COLUMNS = 96 };
    static const struct {
        rb_dtype dtype;
        int bytes;
    } element[] = { { RB_F32, 4 }, { RB_F16, 2 }, { RB_BF16, 2 }, { RB_Q8_0, 1 } };
    for (size_t i = 0; i < sizeof element / sizeof *element; i++) {
        const rb_dtype t = element[i].dtype;
        matrix m;
        open_matrix(&m, t, ROWS, COLUMNS);
        rb_pack(&m.p, &m.w, 0, 1); /* in ranges, as threads do */
        rb_pack(&m.p, &m.w, 1, ROWS / 16);
        for (int r = 0; r < ROWS; r++)
            for (int64_t k = 0; k < COLUMNS; k++) {
                const uint8_t *panel = (const uint8_t *)rb_at(&m.p, 0, 0, r / 16);
                const uint8_t *src = (const uint8_t *)rb_at(&m.w, 0, 0, r);
                src += t == RB_Q8_0 ? k / 32 * 34 + 2 + k % 32 : element[i].bytes * k;
                cr_expect_arr_eq(panel + place_of(t, r % 16, k), src, (size_t)element[i].bytes);
                if (t == RB_Q8_0)
                    cr_expect_arr_eq(panel + k / 32 * 544 + 2 * (r % 16), src - 2 - k % 32, 2);
            }
        close_matrix(&m);
    }
}

/* Of every type: packing keeps all bits of random blocks, whose values come back row by row. */
Test(packed, a_panel_decodes_to_its_rows)
{
    enum { COLUMNS = 512 };
    static float back[16 * COLUMNS], row[COLUMNS];
    for (rb_dtype t = 0; t < RB_I32; t++) {
        matrix m;
        open_matrix(&m, t, 32, COLUMNS);
        rb_pack(&m.p, &m.w, 0, 2);
        int64_t ones = 0;
        for (size_t i = 0; i < m.from.bytes; i++)
            ones += __builtin_popcount(((uint8_t *)m.from.data)[i]) -
                    __builtin_popcount(((uint8_t *)m.to.data)[i]);
        cr_expect_eq(ones, 0, "%s", rb_dtype_get(t)->name);
        for (int r = 0; r < 32; r++) {
            rb_decode_row(m.p.dtype, back, rb_at(&m.p, 0, 0, r / 16), 16 * COLUMNS);
            rb_decode_row(t, row, rb_at(&m.w, 0, 0, r), COLUMNS);
            for (int k = 0; k < COLUMNS; k++)
                cr_assert_arr_eq(&back[k * 16 + r % 16], &row[k], sizeof(float), "%s [%d][%d]",
                                 rb_dtype_get(t)->name, r, k);
        }
        close_matrix(&m);
    }
}

/* What the table's encoder makes of interleaved floats is what packing makes of encoded rows. */
Test(packed, encoding_a_panel_is_packing_encoded_rows)
{
    enum { COLUMNS = 256 };
    static float rows[16][COLUMNS], panel[16 * COLUMNS];
    static uint8_t two[16 * COLUMNS * 4];
    for (rb_dtype t = 0; t < RB_I32; t++) {
        matrix m;
        uint64_t seed = 3;
        open_matrix(&m, t, 16, COLUMNS);
        for (int r = 0; r < 16; r++) {
            for (int k = 0; k < COLUMNS; k++)
                rows[r][k] = panel[k * 16 + r] =
                    (float)rb_random_below(&seed, 1000) / 500.0f - 1.0f;
            rb_encode_row(t, rb_at(&m.w, 0, 0, r), rows[r], COLUMNS);
        }
        rb_pack(&m.p, &m.w, 0, 1);
        rb_encode_row(m.p.dtype, two, panel, 16 * COLUMNS);
        cr_expect_arr_eq(m.to.data, two, m.to.bytes, "%s", rb_dtype_get(t)->name);
        close_matrix(&m);
    }
}

Test(packed, what_is_no_whole_number_of_panels_stays)
{
    const rb_buffer b = { NULL, 1 << 20 };
    const rb_view odd = rb_view_dense(&b, RB_F16, RB_WEIGHT, 0, 1, 1, 40, 64);
    const rb_view odd_columns = rb_view_dense(&b, RB_BF16, RB_WEIGHT, 0, 1, 1, 32, 63);
    const rb_view even = rb_view_dense(&b, RB_F16, RB_WEIGHT, 0, 1, 1, 32, 63);
    const rb_view twice = rb_view_packed(&even, &b);
    cr_expect_null(rb_view_packed(&odd, &b).buffer);
    cr_expect_null(rb_view_packed(&odd_columns, &b).buffer);
    cr_expect_not_null(twice.buffer);
    cr_expect_null(rb_view_packed(&twice, &b).buffer, "packed twice");
}

/* ---- integer rows at the ends of their range ---- */

enum { END_ROWS = 16, END_COLUMNS = 64 };

/* Quants of a file may be -128, which no encoder makes; with x at the ends, sums of two products
 * are as far out as 16 bits have to hold. */
static void run_at_the_ends(const rb_kernel *k, int8_t quant)
{
    const size_t w_bytes = (size_t)rb_row_bytes(RB_Q8_0, END_COLUMNS) * END_ROWS;
    float x[END_COLUMNS], y[END_ROWS];
    rb_buffer bx = { x, sizeof x }, by = { y, sizeof y }, from, to;
    cr_assert_eq(rb_buffer_alloc(&from, w_bytes, false, NULL), RB_OK);
    cr_assert_eq(rb_buffer_alloc(&to, w_bytes, false, NULL), RB_OK);
    for (int i = 0; i < END_COLUMNS; i++)
        x[i] = i % 16 < 8 ? 1.0f : -1.0f;
    uint8_t *b = from.data;
    for (int r = 0; r < END_ROWS; r++)
        for (int i = 0; i < END_COLUMNS; i++, b += i % 32 == 0 ? 34 : 0) {
            b[0] = 0x00, b[1] = 0x3c; /* a scale of 1 */
            b[2 + i % 32] = (uint8_t)(i % 16 < 8 ? quant : r % 2 ? -quant - 1 : 1);
        }
    rb_view w = rb_view_dense(&from, RB_Q8_0, RB_WEIGHT, 0, 1, 1, END_ROWS, END_COLUMNS);
    const rb_view packed = rb_view_packed(&w, &to);
    rb_pack(&packed, &w, 0, 1);
    const rb_call call = { .t = { rb_view_dense(&bx, RB_F32, RB_ACT, 0, 1, 1, 1, END_COLUMNS),
                                  rb_view_dense(&by, RB_F32, RB_ACT, 0, 1, 1, 1, END_ROWS),
                                  k->dtype == RB_Q8_0 ? w : packed } };
    char shared[4096];
    cr_assert_leq(k->shared_bytes(&call), (int64_t)sizeof shared);
    for (int phase = 0; phase < k->n_phase; phase++)
        k->run(&call, phase, 0, k->units(&call, phase), shared, NULL);
    for (int r = 0; r < END_ROWS; r++) {
        const double want = 32.0 * quant - 32.0 * (r % 2 ? -quant - 1 : 1);
        cr_expect_float_eq((double)y[r], want, 1e-2, "%s, quant %d, row %d: %g, not %g",
                           rb_isa_name[k->isa], quant, r, (double)y[r], want);
    }
    rb_buffer_free(&from);
    rb_buffer_free(&to);
}

Test(packed, integer_rows_are_right_at_the_ends)
{
    int rows = 0;
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        if (k->act != RB_ACT_I8 || k->isa >= RB_ISA_COUNT1 || !rb_isa_supported(k->isa) ||
            rb_dtype_get(k->dtype)->base != RB_Q8_0)
            continue;
        run_at_the_ends(k, -128);
        run_at_the_ends(k, 127);
        rows++;
    }
    cr_expect_geq(rows, 4);
}

/* ---- few tokens ---- */

enum { FEW_MOST = 20, FEW_ROWS = 32, FEW_COLUMNS = 256 };

/* Tokens of a sequence that k takes without unpacking panels to scratch. */
static int streamed(const rb_kernel *k)
{
    return k->isa == RB_ISA_SCALAR ? 1 : k->isa == RB_ISA_AVX512 ? 8 : 4;
}

static void run_alone(const rb_kernel *k, const rb_call *call)
{
    char *shared = malloc((size_t)k->shared_bytes(call) + 1);
    char *own = malloc((size_t)k->own_bytes(call) + 1);
    for (int phase = 0; phase < k->n_phase; phase++)
        k->run(call, phase, 0, k->units(call, phase), shared, own);
    free(shared);
    free(own);
}

/* n_tok tokens at once and one by one: integer sums are exact and scaled in one order, so results
 * are the same to the bit. Counts are the twin's; up to the cut weights go by without scratch. */
static void check_few(const rb_kernel *k, int n_tok)
{
    const rb_sizes s = { { FEW_ROWS, FEW_COLUMNS, n_tok } };
    rb_shaped p;
    rb_proof proof;
    rb_error err;
    float y[FEW_ROWS * FEW_MOST];
    char name[128];
    rb_kernel_name(k, name, sizeof name);
    cr_assert_eq(rb_shaped_make(&p, k->op->id, k->dtype, &s, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_shaped_alloc(&p, 1, &err), RB_OK, "%s", err.text);
    rb_shaped_fill(&p, 0, 1);
    rb_call call = p.call;
    rb_shaped_turn(&p, 0, &call);
    run_alone(k, &call);
    cr_expect_eq(k->own_bytes(&call) == 0, n_tok <= streamed(k), "%s, %d tokens", name, n_tok);
    const rb_view *to = &call.t[1];
    memcpy(y, rb_at(to, 0, 0, 0), sizeof *y * (size_t)(FEW_ROWS * n_tok));
    for (int t = 0; t < n_tok; t++) {
        rb_call one = call;
        for (int a = 0; a < 2; a++)
            one.t[a] = rb_view_slice(call.t[a], 1, t, 1);
        run_alone(k, &one);
    }
    cr_expect_eq(memcmp(y, rb_at(to, 0, 0, 0), sizeof *y * (size_t)(FEW_ROWS * n_tok)), 0,
                 "%s: %d tokens are not as each alone", name, n_tok);
    cr_expect(rb_prove(rb_counting_twin(k), &call, 7, &proof), "%s, %d tokens: %s", name, n_tok,
              proof.mismatch);
    rb_shaped_free(&p);
}

Test(packed, few_tokens_are_as_each_alone)
{
    int rows = 0;
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        if (k->op->id != RB_OP_MATMUL || k->act != RB_ACT_I8 || k->isa >= RB_ISA_COUNT1 ||
            k->dtype < RB_FIRST_PACKED || !rb_isa_supported(k->isa))
            continue;
        for (int n_tok = 1; n_tok <= FEW_MOST; n_tok += n_tok < 9 ? 1 : 11)
            check_few(k, n_tok);
        rows++;
    }
    cr_expect_geq(rows, 12);
}

/* ---- models ---- */

static rb_config config_of(rb_arch arch, bool tied, int64_t n_vocab)
{
    rb_config c = small_config(arch);
    rb_error err;
    c.n_embd = 64;
    c.n_ff = 160;
    c.n_head = 4;
    if (!rb_config_is_mla(&c)) {
        c.n_head_kv = arch == RB_ARCH_GPTNEOX ? 4 : 2;
        c.d_head_k = c.d_head_v = c.d_rot = 16;
    }
    c.n_vocab = n_vocab;
    c.tied = tied;
    cr_assert_eq(rb_config_check(&c, &err), RB_OK, "%s", err.text);
    return c;
}

static rb_model *make(const rb_config *c, rb_dtype t, bool dry)
{
    rb_model *m;
    rb_error err;
    cr_assert_eq(rb_model_synth(&m, c, t, 1, dry, &err), RB_OK, "%s", err.text);
    return m;
}

static rb_model *make_packed(const rb_config *c, rb_dtype t, bool dry)
{
    rb_model *m = make(c, t, dry);
    rb_error err;
    cr_assert_eq(rb_model_pack(m, &err), RB_OK, "%s", err.text);
    return m;
}

typedef struct how {
    rb_isa isa;
    int n_threads;
    int64_t n_ubatch;
    bool act_f32, dry, prove;
} how;

static rb_session *open_with(const rb_model *m, how h)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    p.isa = h.isa;
    p.capped = true;
    p.n_ctx = N_PROMPT + N_DECODE;
    p.n_logits = N_PROMPT;
    p.n_ubatch = h.n_ubatch;
    p.n_threads = h.n_threads;
    p.type_k = p.type_v = RB_F32;
    p.act_f32 = h.act_f32;
    p.dry = h.dry;
    p.prove = h.prove;
    cr_assert_eq(rb_session_open(&s, m, &p, &err), RB_OK, "%s", err.text);
    return s;
}

/* Logits of every row of a prompt and of a few decoded tokens; NULL: none are wanted. */
static void run(rb_session *s, int64_t n_vocab, float *logits)
{
    int32_t tokens[N_PROMPT + N_DECODE];
    rb_error err;
    for (int i = 0; i < N_PROMPT + N_DECODE; i++)
        tokens[i] = (int32_t)(i * 11 % n_vocab);
    cr_assert_eq(rb_session_run(s, RB_PREFILL, tokens, N_PROMPT, true, &err), RB_OK, "%s",
                 err.text);
    if (logits)
        memcpy(logits, rb_session_logits(s), (size_t)(N_PROMPT * n_vocab) * sizeof *logits);
    for (int i = 0; i < N_DECODE; i++) {
        cr_assert_eq(rb_session_run(s, RB_DECODE, tokens + N_PROMPT + i, 1, false, &err), RB_OK);
        if (logits)
            memcpy(logits + (N_PROMPT + i) * n_vocab, rb_session_logits(s),
                   (size_t)n_vocab * sizeof *logits);
    }
}

/* Largest difference, relative to the largest logit. */
static double difference(const float *a, const float *b, int64_t n)
{
    double most = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        most = d <= most ? most : d; /* NaN becomes the worst */
        size = fmax(size, fabs((double)b[i]));
    }
    cr_assert_gt(size, 0.0);
    return most / size;
}

static void logits_of(const rb_model *m, how h, float *logits)
{
    rb_session *s = open_with(m, h);
    run(s, m->config.n_vocab, logits);
    rb_session_close(s);
}

enum { N_LOGITS = (N_PROMPT + N_DECODE) * MOST_VOCAB };

Test(packed, logits_are_those_of_the_unpacked_model)
{
    static float want[N_LOGITS], got[N_LOGITS];
    for (int i = 0; i < N_TYPE; i++)
        for (rb_arch arch = 0; arch < RB_N_ARCH; arch++) {
            const rb_config c = config_of(arch, arch == RB_ARCH_QWEN2, 80);
            rb_model *plain = make(&c, type[i], false), *packed = make_packed(&c, type[i], false);
            cr_assert_eq(packed->layer[1].wo.dtype, packed_of(type[i]));
            for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++) {
                if (!rb_isa_supported(isa))
                    continue;
                logits_of(plain, (how){ isa, 1, 32, true, false, false }, want);
                for (int64_t chunk = 1; chunk <= 32; chunk += chunk < 9 ? 1 : 23) {
                    const how h = { isa, 1 + (int)chunk % 3, chunk, true, false, false };
                    logits_of(packed, h, got);
                    const double d = difference(got, want, (N_PROMPT + N_DECODE) * c.n_vocab);
                    cr_expect_lt(d, 2e-5, "%s %s %s, chunks of %d: off by %g", rb_arch_name[arch],
                                 rb_dtype_get(type[i])->name, rb_isa_name[isa], (int)chunk, d);
                }
            }
            rb_model_close(plain);
            rb_model_close(packed);
        }
}

/* With quantised activations a packed model agrees with the row-major integer rows, which take a
 * few tokens, and with itself however it is fed. */
Test(packed, integer_logits_agree_however_fed)
{
    static float want[N_LOGITS], got[N_LOGITS];
    const rb_config c = config_of(RB_ARCH_LLAMA, false, 80);
    rb_model *plain = make(&c, RB_Q8_0, false), *packed = make_packed(&c, RB_Q8_0, false);
    for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++) {
        if (!rb_isa_supported(isa))
            continue;
        logits_of(plain, (how){ isa, 1, 1, false, false, false }, want);
        for (int64_t chunk = 1; chunk <= 32; chunk += chunk < 9 ? 1 : 23) {
            logits_of(packed, (how){ isa, 2, chunk, false, false, false }, got);
            const double d = difference(got, want, (N_PROMPT + N_DECODE) * c.n_vocab);
            cr_expect_lt(d, 2e-3, "%s, chunks of %d: off by %g", rb_isa_name[isa], (int)chunk, d);
        }
    }
    rb_model_close(plain);
    rb_model_close(packed);
}

/* ---- counts ---- */

static void expect_same_counts(rb_session *a, rb_session *b, bool layout_too)
{
    for (rb_phase phase = 0; phase < RB_N_PHASE; phase++)
        for (rb_site site = 0; site < RB_N_SITE; site++) {
            const rb_tally x = rb_ledger_site(rb_session_ledger(a), phase, site);
            const rb_tally y = rb_ledger_site(rb_session_ledger(b), phase, site);
            const char *name = rb_site_name[site];
            cr_expect_eq(x.calls, y.calls, "%s: calls", name);
            cr_expect_eq(x.cost.flops, y.cost.flops, "%s: flops", name);
            cr_expect_eq(x.cost.special, y.cost.special, "%s: special", name);
            cr_expect_arr_eq(x.cost.rd, y.cost.rd, sizeof x.cost.rd, "%s: read", name);
            cr_expect_arr_eq(x.cost.wr, y.cost.wr, sizeof x.cost.wr, "%s: written", name);
            if (layout_too)
                cr_expect(rb_cost_equal(&x.cost, &y.cost), "%s", name);
        }
}

Test(packed, counts_are_those_of_the_unpacked_model)
{
    for (int i = 0; i < N_TYPE; i++)
        for (int native = 0; native < 2; native++) {
            const rb_config c = config_of(RB_ARCH_QWEN2, i == 1, 80);
            const how real = { rb_session_defaults().isa, 2, 9, !native, false, false };
            how dry = real;
            dry.dry = true;
            rb_model *plain = make(&c, type[i], false), *packed = make_packed(&c, type[i], false);
            rb_model *shape = make_packed(&c, type[i], true);
            rb_session *a = open_with(plain, real), *b = open_with(packed, real);
            rb_session *d = open_with(shape, dry);
            run(a, c.n_vocab, NULL);
            run(b, c.n_vocab, NULL);
            run(d, c.n_vocab, NULL);
            expect_same_counts(a, b, false);
            expect_same_counts(b, d, true);
            cr_expect_gt(rb_ledger_phase(rb_session_ledger(b), RB_DECODE).cost.flops, 0);
            rb_session_close(a);
            rb_session_close(b);
            rb_session_close(d);
            rb_model_close(plain);
            rb_model_close(packed);
            rb_model_close(shape);
        }
}

Test(packed, every_launch_of_a_packed_model_is_proven)
{
    for (int i = 0; i < N_TYPE; i++)
        for (int native = 0; native < 2; native++) {
            const rb_config c = config_of(RB_ARCH_QWEN2, true, 80);
            rb_model *m = make_packed(&c, type[i], false);
            for (rb_isa isa = RB_ISA_SCALAR; isa < RB_ISA_BLAS; isa++) {
                if (!rb_isa_supported(isa))
                    continue;
                rb_session *s = open_with(m, (how){ isa, 1, 16, !native, false, true });
                run(s, c.n_vocab, NULL);
                cr_expect_str_empty(rb_session_proof(s)->mismatch, "%s %s: %s",
                                    rb_dtype_get(type[i])->name, rb_isa_name[isa],
                                    rb_session_proof(s)->mismatch);
                cr_expect_gt(rb_session_proof(s)->flops + rb_session_proof(s)->int_macs, 0);
                rb_session_close(s);
            }
            rb_model_close(m);
        }
}

/* ---- what packing leaves alone ---- */

Test(packed, totals_and_lookups_are_the_files)
{
    for (int tied = 0; tied < 2; tied++) {
        const rb_config c = config_of(RB_ARCH_LLAMA, tied, 80);
        rb_model *plain = make(&c, RB_Q8_0, false), *packed = make_packed(&c, RB_Q8_0, false);
        cr_expect_eq(packed->n_params, plain->n_params);
        cr_expect_arr_eq(packed->bytes_of, plain->bytes_of, sizeof plain->bytes_of);
        cr_expect_eq(rb_model_layer_bytes(packed), rb_model_layer_bytes(plain));
        cr_expect_eq(packed->tok_embd.dtype, RB_Q8_0);
        cr_expect_arr_eq(rb_at(&packed->tok_embd, 0, 0, 0), rb_at(&plain->tok_embd, 0, 0, 0),
                         plain->tok_embd.buffer->bytes);
        cr_expect_eq(packed->output.dtype, RB_Q8_0_P16);
        cr_expect_neq(packed->output.buffer, packed->tok_embd.buffer);
        cr_expect_eq(packed->layer[0].attn_norm.dtype, RB_F32);
        /* a second time there is nothing to do */
        const rb_layer before = packed->layer[1];
        const rb_view head = packed->output;
        cr_expect_eq(rb_model_pack(packed, NULL), RB_OK);
        cr_expect_arr_eq(&before, &packed->layer[1], sizeof before);
        cr_expect_arr_eq(&head, &packed->output, sizeof head);
        rb_model_close(plain);
        rb_model_close(packed);
    }
}

/* A head that is no whole number of panels, and is the embedding, stays what it is. */
Test(packed, an_odd_vocabulary_keeps_its_head)
{
    static float want[N_LOGITS], got[N_LOGITS];
    const rb_config c = config_of(RB_ARCH_LLAMA, true, 83);
    const how h = { rb_session_defaults().isa, 2, 8, true, false, false };
    rb_model *plain = make(&c, RB_F16, false), *packed = make_packed(&c, RB_F16, false);
    cr_expect_eq(packed->output.buffer, packed->tok_embd.buffer);
    cr_expect_eq(packed->output.dtype, RB_F16);
    cr_expect_eq(packed->layer[0].wq.dtype, RB_F16_P16);
    logits_of(plain, h, want);
    logits_of(packed, h, got);
    cr_expect_lt(difference(got, want, (N_PROMPT + N_DECODE) * c.n_vocab), 2e-5);
    rb_model_close(plain);
    rb_model_close(packed);
}

Test(packed, layers_added_before_or_after_are_packed)
{
    const rb_config c = config_of(RB_ARCH_QWEN3, false, 80);
    for (int i = 0; i < N_TYPE; i++)
        for (int dry = 0; dry < 2; dry++) {
            rb_model *before = make(&c, type[i], dry), *after = make_packed(&c, type[i], dry);
            cr_assert_eq(rb_model_extend(before, 5, NULL), RB_OK);
            cr_assert_eq(rb_model_pack(before, NULL), RB_OK);
            cr_assert_eq(rb_model_extend(after, 5, NULL), RB_OK);
            for (int l = 0; l < 5; l++) {
                const rb_view *x = &before->layer[l].w_up, *y = &after->layer[l].w_up;
                cr_expect_eq(x->dtype, packed_of(type[i]));
                cr_expect_eq(y->dtype, packed_of(type[i]));
                cr_expect_eq(x->n[2], y->n[2]);
                if (dry)
                    cr_expect_null(x->buffer->data);
                else
                    cr_expect_arr_eq(rb_at(x, 0, 0, 0), rb_at(y, 0, 0, 0), x->buffer->bytes);
            }
            rb_model_close(before);
            rb_model_close(after);
        }
}

Test(packed, a_packed_model_is_not_written_and_no_type_to_ask_for)
{
    const rb_config c = config_of(RB_ARCH_LLAMA, false, 80);
    rb_model *m = make_packed(&c, RB_F16, false), *none;
    rb_error err;
    cr_expect_eq(rb_gguf_write(m, "/dev/null", NULL, &err), RB_ERR_ARGUMENT);
    cr_expect_not_null(strstr(err.text, "packed"), "%s", err.text);
    cr_expect_eq(rb_model_synth(&none, &c, RB_F16_P16, 1, true, &err), RB_ERR_ARGUMENT);
    rb_model_close(m);
}
