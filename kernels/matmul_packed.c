/* matmul in f32 with weights in packed panels of 16 rows: lanes are rows, x is broadcast, and no
 * sum is taken across lanes. Work unit: a panel, or a tile's panels. Few tokens: plain weights (of
 * blocks with one) stream through registers once, which is what memory's speed takes. More: a first
 * phase lays x out tile by tile; then slabs of a group of panels are decoded once into this
 * thread's scratch (f32 stays where it lies) and multiplied by every tile. Refuses: rows that are
 * no panel (views are never padded). Read next: matmul_packed_i8.c. */
#include "quants.h"

/* What tiles.h multiplies: f32. */
enum { ELEMENT_COLUMNS = 1 };
typedef vf element;

RB_INLINE element element_load(const f32 *p)
{
    return v_load(p);
}

RB_INLINE element element_bcast(const f32 *p)
{
    return v_bcast(p);
}

RB_INLINE vf element_mul(element w, element x, vf acc)
{
    return v_fma(w, x, acc);
}

/* n elements of x. */
RB_INLINE void element_store(f32 *to, const f32 *x, int64_t n)
{
    v_store_n(to, n < V_LANES ? v_load_n(x, n) : v_load(x), n);
}

/* ... and how many that moves. */
RB_INLINE int64_t elements_stored(int64_t n)
{
    return n;
}

static void fill_slab(f32 *to, const void *w, int64_t k0, int64_t n, rb_dtype base);

/* Bytes of a row that n elements of a slab take. */
static int64_t slab_loads(rb_dtype base, int64_t n);

/* ---- plain types: the vectors v of 16 rows ---- */

RB_INLINE element one_element(const void *w, int64_t k, int v, rb_dtype base)
{
    return load_plain(w, k * PANEL + v * V_LANES, V_LANES, base);
}

/* Columns k and k + 1; of bf16 they stand side by side, k even, and there is no other way. */
RB_INLINE void two_elements(vf out[2], const void *w, int64_t k, int v, rb_dtype base)
{
    if (base == RB_BF16) {
        v_load2_bf16((const bf16 *)w + k * PANEL + 2 * v * V_LANES, &out[0], &out[1]);
    } else {
        out[0] = one_element(w, k, v, base);
        out[1] = one_element(w, k + 1, v, base);
    }
}

#include "tiles.h"

/* Accumulators of a panel with one token; they hide the latency of a multiply-add. */
enum { CHAINS = V_LANES == 1 ? 2 : 4 };

/* ---- decoding to f32 ---- */

RB_INLINE vf four_byte(vi four, int j, const quant_scales *s, int g, quant_type q)
{
    vi byte = vi_byte(four, j);
    if (q.kind == QUANT_ZERO)
        byte = vi_sub(byte, vi_set(q.zero));
    const vf x = dq_cvt(byte);
    return q.kind == QUANT_MIN ? dq_fma(x, s->scale[g], s->min[g]) : dq_mul(x, s->scale[g]);
}

/* A span of parts from part `part` of a block on, to columns PANEL apart. */
RB_INLINE void decode_span(f32 *to, block_rows rows, const vf d[2], int part, rb_dtype base)
{
    const quant_type q = quant_of(base);
    quant_scales s[4] = { 0 };
    UNROLL
    for (int p = 0; p < q.span; p++)
        s[p] = part_scales(rows, d, part + p, base, true);
    UNROLL
    for (int i = 0; i < q.steps; i++) {
        vi w[4];
        unpack_step(w, rows, part / q.span, i, base);
        UNROLL
        for (int j = 0; j < q.per_step; j++) {
            const int p = part_in_span(q, j), g = four_of(q, i, j);
            UNROLL
            for (int byte = 0; byte < 4; byte++)
                v_store(to + (p * BLOCK + g * 4 + byte) * PANEL,
                        four_byte(w[j], byte, &s[p], g * q.n_group / FOURS, q));
        }
    }
}

/* Columns [k0, k0 + n), whole blocks. */
RB_INLINE void decode_blocks(f32 *dst, const void *w, int64_t k0, int64_t n, rb_dtype base)
{
    const quant_type q = quant_of(base);
    const int parts = q.columns / BLOCK;
    const u8 *block = (const u8 *)w + k0 / q.columns * q.bytes * PANEL;
    for (int64_t k = 0; k < n; k += q.columns, block += q.bytes * PANEL)
        for (int v = 0; v < VECS; v++) {
            const block_rows rows = { block, v * V_LANES };
            vf d[2];
            block_halves(d, rows, base, true);
            UNROLL
            for (int p = 0; p < parts; p += q.span)
                decode_span(dst + (k + p * BLOCK) * PANEL + v * V_LANES, rows, d, p, base);
        }
    dq_event((rb_dtype)(RB_FIRST_PACKED + base), n / q.columns);
}

RB_INLINE void decode_plain(f32 *dst, const void *w, int64_t k0, int64_t n, rb_dtype base)
{
    int64_t k = 0;
    for (; k + 2 <= n; k += 2) {
        UNROLL
        for (int v = 0; v < VECS; v++) {
            vf two[2];
            two_elements(two, w, k0 + k, v, base);
            v_store(dst + k * PANEL + v * V_LANES, two[0]);
            v_store(dst + (k + 1) * PANEL + v * V_LANES, two[1]);
        }
    }
    for (int v = 0; k < n && v < VECS; v++)
        v_store(dst + k * PANEL + v * V_LANES, one_element(w, k0 + k, v, base));
}

/* What is said of n decoded columns of a plain type. */
RB_INLINE void decoded_plain(rb_dtype base, int64_t n)
{
    dq_event((rb_dtype)(RB_FIRST_PACKED + base), base == RB_BF16 ? n / 2 : n);
}

static void fill_slab(f32 *dst, const void *w, int64_t k0, int64_t n, rb_dtype base)
{
    switch (base) {
    case RB_F32:
        decode_plain(dst, w, k0, n, RB_F32);
        break;
    case RB_F16:
        decode_plain(dst, w, k0, n, RB_F16);
        decoded_plain(RB_F16, n);
        break;
    case RB_BF16:
        decode_plain(dst, w, k0, n, RB_BF16);
        decoded_plain(RB_BF16, n);
        break;
#define RB_CASE(t)                                                                                 \
    case t:                                                                                        \
        decode_blocks(dst, w, k0, n, t);                                                           \
        break;
        RB_QUANT_DTYPES(RB_CASE)
#undef RB_CASE
    default:
        __builtin_unreachable();
    }
}

static int64_t slab_loads(rb_dtype base, int64_t n)
{
    return is_block_type(base) ? n / quant_of(base).columns * quant_of(base).loads
                               : rb_row_bytes(base, n);
}

/* ---- one token ---- */

typedef struct one_sum {
    vf acc[CHAINS][VECS];
} one_sum;

/* x is columns k .. of the token, from where w's columns k .. stand: in memory, or in scratch. */
RB_INLINE void dot_columns(one_sum *s, const void *w, const f32 *x, int64_t n, rb_dtype base,
                           bool in_memory)
{
    const int64_t column_bytes = PANEL * (base == RB_F32 ? 4 : 2);
    int64_t k = 0;
    for (; k + CHAINS <= n; k += CHAINS) {
        if (in_memory)
            stream_ahead((const char *)w + k * column_bytes, CHAINS * column_bytes, 0, 1);
        UNROLL
        for (int a = 0; a < CHAINS; a += 2) {
            const vf x0 = v_bcast(x + k + a), x1 = v_bcast(x + k + a + 1);
            UNROLL
            for (int v = 0; v < VECS; v++) {
                vf two[2];
                two_elements(two, w, k + a, v, base);
                s->acc[a][v] = v_fma(two[0], x0, s->acc[a][v]);
                s->acc[a + 1][v] = v_fma(two[1], x1, s->acc[a + 1][v]);
            }
        }
    }
    for (; k + 2 <= n; k += 2) {
        const vf x0 = v_bcast(x + k), x1 = v_bcast(x + k + 1);
        UNROLL
        for (int v = 0; v < VECS; v++) {
            vf two[2];
            two_elements(two, w, k, v, base);
            s->acc[0][v] = v_fma(two[0], x0, s->acc[0][v]);
            s->acc[1][v] = v_fma(two[1], x1, s->acc[1][v]);
        }
    }
    if (base == RB_BF16 || k == n)
        return;
    const vf last = v_bcast(x + k);
    UNROLL
    for (int v = 0; v < VECS; v++)
        s->acc[0][v] = v_fma(one_element(w, k, v, base), last, s->acc[0][v]);
}

RB_INLINE void one_begin(one_sum *s)
{
    UNROLL
    for (int a = 0; a < CHAINS; a++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            s->acc[a][v] = v_zero();
    }
}

RB_INLINE void one_end(const rb_call *c, int i, int64_t m, const one_sum *s)
{
    UNROLL
    for (int v = 0; v < VECS; v++) {
        vf sum = s->acc[0][v];
        UNROLL
        for (int a = 1; a < CHAINS; a++)
            sum = v_join(sum, s->acc[a][v]);
        put_lanes(c, i, 0, m + v * V_LANES, sum);
    }
}

RB_INLINE void panel_one(const rb_call *c, int i, int64_t m, rb_dtype base)
{
    one_sum s;
    one_begin(&s);
    dot_columns(&s, panel_data(c, i, m), x_row(c, 0), c->t[X].n[3], base, true);
    decoded_plain(base, c->t[X].n[3]);
    one_end(c, i, m, &s);
}

/* Quantised weights with f32 x: slab by slab, decoded first. */
static void panel_one_decoded(const rb_call *c, int i, int64_t m, f32 *own)
{
    const int64_t n = c->t[X].n[3];
    one_sum s;
    one_begin(&s);
    for (int64_t k0 = 0; k0 < n; k0 += SLAB) {
        const int64_t part = n - k0 < SLAB ? n - k0 : SLAB;
        fill_slab(own, panel_data(c, i, m), k0, part, base_of(c));
        dot_columns(&s, own, x_row(c, 0) + k0, part, RB_F32, false);
    }
    one_end(c, i, m, &s);
}

static void panel_one_token(const rb_call *c, int i, int64_t m, f32 *own)
{
    switch (base_of(c)) {
    case RB_F32:
        panel_one(c, i, m, RB_F32);
        break;
    case RB_F16:
        panel_one(c, i, m, RB_F16);
        break;
    case RB_BF16:
        panel_one(c, i, m, RB_BF16);
        break;
    default:
        panel_one_decoded(c, i, m, own);
        break;
    }
}

/* ---- few tokens, plain weights ---- */

static void panel_few_tokens(const rb_call *c, int i, int64_t m, const f32 *x)
{
    switch (base_of(c)) {
    case RB_F32:
        panel_few_as(c, i, m, x, RB_F32);
        break;
    case RB_F16:
        panel_few_as(c, i, m, x, RB_F16);
        break;
    default:
        panel_few_as(c, i, m, x, RB_BF16);
        break;
    }
    decoded_plain(base_of(c), c->t[X].n[3]);
}

/* ---- the rows ---- */

/* Whether panels are multiplied by tiles of x, slab by slab. */
static bool by_slabs(const rb_call *c)
{
    return n_tokens(c) > (is_block_type(base_of(c)) ? 1 : FEW);
}

static int64_t units(const rb_call *c, int phase)
{
    if (phase == 0)
        return n_tokens(c) > 1 ? slabs_of(c) : 0;
    return by_slabs(c) ? n_tiles(c) : n_panels(c);
}

static int64_t shared_bytes(const rb_call *c)
{
    return n_tokens(c) > 1 ? n_tokens(c) * n_elements(c) * (int64_t)sizeof(f32) : 0;
}

static int64_t own_bytes(const rb_call *c)
{
    return is_block_type(base_of(c)) || by_slabs(c) ? SLABS_BYTES : n_tokens(c) > 1 ? LAY_BYTES : 0;
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    for (int64_t u = first; u < last;) {
        if (phase == 0) {
            lay_out(c, u++, shared, own);
        } else if (by_slabs(c)) {
            u += run_slabs(c, u, last, shared, own);
        } else {
            const panel p = panel_at(c, u++);
            if (n_tokens(c) > 1)
                panel_few_tokens(c, p.out, p.m, shared);
            else
                panel_one_token(c, p.out, p.m, own);
        }
    }
}

/* Without slabs: a panel once, x once for each; quantised ones by way of scratch. */
static rb_issued panels_issued(const rb_call *c, int i)
{
    const int64_t k = c->t[X].n[3];
    rb_issued sum = { 0 };
    issue(&sum, panels_of(c, i), PANEL * slab_loads(base_of(c), k) + f32_bytes(k * n_tokens(c)), 0);
    if (is_block_type(base_of(c)))
        issue(&sum, panels_of(c, i) * PANEL, f32_bytes(k), f32_bytes(k));
    issue_part(&sum, 1, put_issued(c, i));
    return sum;
}

static rb_issued issued(const rb_call *c)
{
    rb_issued sum = { 0 };
    if (n_tokens(c) > 1)
        issue_part(&sum, 1, lay_out_issued(c));
    for (int i = 0; i < N_OUT; i++)
        issue_part(&sum, 1, by_slabs(c) ? slabs_issued(c, i) : panels_issued(c, i));
    return sum;
}

#define ROW(type)                                                                                  \
    { .op = &rb_matmul_op,                                                                         \
      .isa = RB_ISA_ID,                                                                            \
      .dtype = type##_P16,                                                                         \
      .n_phase = 2,                                                                                \
      .units = units,                                                                              \
      .run = run,                                                                                  \
      .shared_bytes = shared_bytes,                                                                \
      .own_bytes = own_bytes,                                                                      \
      .issued = issued,                                                                            \
      .decode = { { W0, rb_w0_elements }, { W1, rb_w1_elements }, { W2, rb_w2_elements } } },
static const rb_kernel rows[] = { RB_FILE_DTYPES(ROW) };
RB_EXPORT(matmul_packed, rows);
