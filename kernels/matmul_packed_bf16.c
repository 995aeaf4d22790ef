/* matmul with bf16 weights in packed panels by the CPU's dot products of bf16: x is rounded to bf16
 * pairs in a first phase, a lane is a row, and each step multiplies two columns. Few tokens:
 * weights stream through registers; more: slabs (both in tiles.h). Work unit: a panel, or a tile's
 * panels. Refuses f32 activations, which are matmul_packed.c's. Read next: tiles.h. */
#include "quants.h"

/* What tiles.h multiplies: two columns. */
enum { ELEMENT_COLUMNS = 2 };
typedef vi element;

RB_INLINE element element_load(const f32 *p)
{
    return vi_load4((const u8 *)p);
}

RB_INLINE element element_bcast(const f32 *p)
{
    return vi_bcast((const u8 *)p);
}

RB_INLINE vf element_mul(element w, element x, vf acc)
{
    return v_dot2_bf16(acc, w, x);
}

/* n elements of x. */
RB_INLINE void element_store(f32 *to, const f32 *x, int64_t n)
{
    vi_store4((u8 *)to, v_pairs_bf16_n(x, n));
}

/* ... and how many that moves: whole vectors. */
RB_INLINE int64_t elements_stored(int64_t n)
{
    return (n + V_LANES - 1) / V_LANES * V_LANES;
}

static void fill_slab(f32 *to, const void *w, int64_t k0, int64_t n, rb_dtype base);

/* Bytes of a row that n elements of a slab take. */
static int64_t slab_loads(rb_dtype base, int64_t n)
{
    return rb_row_bytes(base, n * ELEMENT_COLUMNS);
}

/* Element k of vector v of a panel's rows. */
RB_INLINE element one_element(const void *w, int64_t k, int v, rb_dtype base)
{
    (void)base;
    return element_load((const f32 *)w + k * PANEL + v * V_LANES);
}

RB_INLINE void two_elements(element out[2], const void *w, int64_t k, int v, rb_dtype base)
{
    out[0] = one_element(w, k, v, base);
    out[1] = one_element(w, k + 1, v, base);
}

#include "tiles.h"

static void fill_slab(f32 *to, const void *w, int64_t k0, int64_t n, rb_dtype base)
{
    (void)base;
    const u8 *from = (const u8 *)w + k0 * PANEL * 4;
    for (int64_t i = 0; i < n * PANEL; i += V_LANES)
        vi_store4((u8 *)(to + i), vi_load4(from + i * 4));
}

/* ---- one token ---- */

enum { CHAINS = 4 };

static void panel_one(const rb_call *c, int i, int64_t m, const f32 *x)
{
    const int64_t n = n_elements(c);
    const f32 *w = panel_data(c, i, m);
    vf acc[CHAINS][VECS];
    UNROLL
    for (int a = 0; a < CHAINS; a++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            acc[a][v] = v_zero();
    }
    int64_t k = 0;
    for (; k + CHAINS <= n; k += CHAINS) {
        stream_ahead(w + k * PANEL, CHAINS * PANEL * 4, 0, 1);
        UNROLL
        for (int a = 0; a < CHAINS; a++) {
            const element xv = element_bcast(x + k + a);
            UNROLL
            for (int v = 0; v < VECS; v++)
                acc[a][v] =
                    element_mul(element_load(w + (k + a) * PANEL + v * V_LANES), xv, acc[a][v]);
        }
    }
    for (; k < n; k++) {
        const element xv = element_bcast(x + k);
        UNROLL
        for (int v = 0; v < VECS; v++)
            acc[0][v] = element_mul(element_load(w + k * PANEL + v * V_LANES), xv, acc[0][v]);
    }
    UNROLL
    for (int v = 0; v < VECS; v++) {
        vf sum = acc[0][v];
        UNROLL
        for (int a = 1; a < CHAINS; a++)
            sum = v_join(sum, acc[a][v]);
        put_lanes(c, i, 0, m + v * V_LANES, sum);
    }
}

/* ---- the row ---- */

static bool by_slabs(const rb_call *c)
{
    return n_tokens(c) > FEW;
}

static int64_t units(const rb_call *c, int phase)
{
    return phase == 0 ? slabs_of(c) : by_slabs(c) ? n_tiles(c) : n_panels(c);
}

static int64_t shared_bytes(const rb_call *c)
{
    return n_tokens(c) * n_elements(c) * (int64_t)sizeof(f32);
}

static int64_t own_bytes(const rb_call *c)
{
    return by_slabs(c) ? SLABS_BYTES : LAY_BYTES;
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
                panel_few_as(c, p.out, p.m, shared, RB_BF16);
            else
                panel_one(c, p.out, p.m, shared);
        }
    }
}

static rb_issued issued(const rb_call *c)
{
    const int64_t n = n_elements(c);
    rb_issued sum = lay_out_issued(c);
    for (int i = 0; i < N_OUT; i++) {
        if (by_slabs(c)) {
            issue_part(&sum, 1, slabs_issued(c, i));
            continue;
        }
        issue(&sum, panels_of(c, i), PANEL * slab_loads(RB_BF16, n) + f32_bytes(n * n_tokens(c)),
              0);
        issue_part(&sum, 1, put_issued(c, i));
    }
    return sum;
}

static const rb_kernel rows[] = { {
    .op = &rb_matmul_op,
    .isa = RB_ISA_ID,
    .dtype = RB_BF16_P16,
    .variant = "dot",
    .n_phase = 2,
    .units = units,
    .run = run,
    .shared_bytes = shared_bytes,
    .own_bytes = own_bytes,
    .issued = issued,
    .bf16_macs = rb_matmul_macs,
    .act = RB_ACT_BF16,
    .needs_bf16 = true,
} };
RB_EXPORT(matmul_packed_bf16, rows);
