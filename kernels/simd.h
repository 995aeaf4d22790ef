/* The primitives that kernels are written in, and their only way to data. One header per ISA
 * implements them; the counting ISA implements them with a tally, so that what is counted is what
 * runs. Refuses to show data: a kernel can neither dereference nor do arithmetic by itself.
 * Read next: rows.h, then isa_count.h for the definition of a FLOP. */

/* The dictionary.
 *
 * Types      f32 f16 bf16 u8: elements in memory.  vf, vi: V_LANES of f32, of i32.  sf: one f32.
 * Partial    a suffix _n takes the number of lanes that are valid, 0 < n <= V_LANES; missing lanes
 *            of a load are 0 and of a store untouched. A full load past a row's end is an error.
 * Cost       add sub mul neg(0) max(0) 1 per lane; fma fnma 2; div exp sqrt 1 and 1 special; sums
 *            across lanes (hsum, hsum_rows, join) 0, they are artefacts of having lanes.
 *            dq_* belong to decoding a block and are tallied as conversions and float operations of
 *            dequantisation; integer bit work is free, dq_event states it.
 *
 * vf  v_zero()                      v_set(sf)                v_bcast(f32 *): load one, all lanes
 *     v_load(f32 *)                 v_load_n(f32 *, n)       v_store(f32 *, vf)  v_store_n(.., n)
 *     v_store_groups(f32 *p, step, vf, n, groups): group g of n lanes at p + g step
 *     v_load2_n(f32 *, n, &a, &b): n pairs, split in firsts and seconds; v_store2_n joins them
 *     v_load_f16[_n] v_store_f16[_n] v_load_bf16[_n]  v_load2_bf16(bf16 *, &a, &b): all lanes
 *     v_tanh v_erf: 1 and 1 special
 *     v_add v_sub v_mul v_div v_neg v_exp    v_fma(a, b, c) = a b + c    v_fnma(a, b, c) = c - a b
 *     v_max_n(a, b, n): max in the first n lanes, a elsewhere     v_keep_n(a, n): others become 0
 *     v_prefetch(f32 *), v_prefetch_l2(f32 *): hints, may lie past the end
 *     v_hold(a): a hint, a is loaded once and stays in a register, where a compiler would rather
 *     load it again for each use
 *     v_hsum_rows(const vf a[V_LANES], m): lane j is the sum of a[j], j < m
 *     v_transpose(vf a[V_LANES]): lane i of a[j] becomes lane j of a[i], free
 *     v_join(a, b): sum of two accumulators of one sum, free     v_load_scales(u8 *): of f16, free
 *     v_cvt(vi): free
 *
 * sf  v_hsum(vf)  v_hmax(vf)  s_const(a number of the call)  s_load  s_load_f16(u8 *)  s_store
 *     s_add  s_sub  s_mul  s_div  s_fma  s_sqrt  s_exp  s_max  s_neg
 *     int64_t s_argmax(f32 *, n, void *taken, n_taken): index of the largest of n numbers, of
 * equals the lowest, NaN being less than all, without the indices that ctrl memory lists: free
 *
 * vi  vi_set(int)  vi_load_u8(u8 *)  vi_load_s8(u8 *)  vi_and  vi_or  vi_sub
 *     vi_shl(v, bits)  vi_shr(v, bits)  vi_load_bits(u8 *, first): bit first + j in lane j
 *     vi_load_u16(u8 *)  vi_bcast(u8 *): 4 bytes, all lanes  vi_store4(u8 *, v): 4 bytes of each
 * lane vi_lookup4(v): for each byte, a code below 16, the value of iq4_value
 *
 * dq  vf dq_cvt(vi)  vf dq_mul(vf, vf)  vf dq_fma(a, b, c)
 *     sf dq_load_f16(u8 *)  sf dq_load_s8(u8 *)  sf dq_smul(sf, sf)
 *     sf dq_load_small(low, high, zero): two fields of bytes, less zero: 1 conversion
 *     dq_event(dtype, blocks): these blocks have been decoded
 *     dq_unpacked(dtype, blocks): ... to integers only, the integer part of that work
 *
 * i8  v_abs(vf): free.  v_store_s8(u8 *, vf): rounded to nearest even, within +-127, free.
 *     v8: 8 of f32 whatever V_LANES, for a quant block as 8 groups of 4 bytes
 *     v8_zero()  sf v8_hsum(v8)  v8_join(a, b): as v_join
 *     v8_dot4(v8 acc, u8 *w, u8 *x, sf d): acc + d times the sums of 4 products of signed bytes:
 *     32 integer multiply-adds and 8 fma
 *     vi_load4(u8 *): 4 bytes in each lane     vi_byte(v, j): byte j of each lane, signed
 *     vi_dot4(vi acc, vi w, u8 *x): acc + the sums of 4 products of w's signed bytes and the 4
 *     signed bytes at x, the same in each lane: 4 integer multiply-adds a lane; |x| <= 127.
 *     A sum over the 32 x of a block begins with vi_dot4_begin(u8 *bias), which bias_store(u8
 * *bias, u8 *x) has prepared, 4 bytes: it takes back what an ISA adds to make bytes unsigned
 *
 *     vi_dot4u(vi acc, vi w, u8 *x): the same with w's bytes unsigned, up to 127, and no beginning
 *     sum_store(u8 *sum, u8 *x, n, times): times the sum of n signed bytes, 4 bytes; sf s_sum_s8(u8
 * *x, n): their sum; both free
 *
 * bf16  v_pairs_bf16_n(f32 *, n): n pairs in n lanes, rounded to nearest even, free v_dot2_bf16(vf
 * acc, vi a, vi b): acc + the 2 products of a lane's pairs of bf16, 4 FLOPs a lane; only where the
 * CPU has it (rows with needs_bf16)
 *
 * enc  what rows of a cache are encoded with, as the reference encoders round: free but s_inverse
 *     v_store_bf16_n(bf16 *, vf, n): to nearest even; NaN stays NaN     s_store_f16(u8 *, sf)
 *     sf s_peak(f32 *, n): of n numbers that of largest magnitude, of equals the first
 *     sf s_inverse(sf a): 1 / a, or 0 where a is 0: 1 and 1 special
 *     v_store_q8(u8 *, vf): bytes, rounded half away from zero, within +-127, NaN as 0
 *     v_store_q4(u8 *, vf low, vf high): a byte for each lane of both, cut to integers within 0 and
 *     15, NaN as 0
 *
 * ctrl  int32_t c_load(const void *, i)   c_store(void *, i, int32_t): an index or position; never
 *     traffic. Of an operand in ctrl, or of scratch
 */
#ifndef RB_SIMD_H
#define RB_SIMD_H

#include <math.h>
#include <string.h>

#include "op.h"

typedef struct {
    float bits;
} f32;
typedef struct {
    uint16_t bits;
} f16;
typedef struct {
    uint16_t bits;
} bf16;
typedef struct {
    uint8_t bits;
} u8;
typedef struct {
    float v;
} sf;

/* width bits of a byte from `shift` on; width 0: none. */
typedef struct {
    const u8 *at;
    int shift, width;
} field_of_byte;

/* The values that 4-bit codes of iq4_nl and iq4_xs stand for. */
static const int8_t iq4_value[16]
    __attribute__((unused)) = { -127, -104, -83, -65, -49, -35, -22, -10,
                                1,    13,   25,  38,  53,  69,  89,  113 };

#if defined RB_BUILD_count1 || defined RB_BUILD_count8 || defined RB_BUILD_count16
#define RB_COUNTING 1
#else
#define RB_COUNTING 0
#endif

/* Registers hold what is inlined and unrolled; a tally needs neither, and compiles faster without.
 * One lane has no vectors to hold: there, unrolling would only make the same code a hundredfold.
 * Under ASan, -O1 drops loops before it sees that they were to be unrolled, and warns. */
#if RB_COUNTING
#define RB_INLINE static inline __attribute__((unused))
#define UNROLL
#elif defined RB_BUILD_scalar || defined __SANITIZE_ADDRESS__
#define RB_INLINE static inline __attribute__((always_inline, unused))
#define UNROLL
#else
#define RB_INLINE static inline __attribute__((always_inline, unused))
#define UNROLL    _Pragma("GCC unroll 32")
#endif
/* A function of its own, so that its accumulators are registers of its own. */
#define NOINLINE __attribute__((noinline))

/* What s_argmax is on memory that can be read. */
static inline __attribute__((unused)) int64_t argmax_of(const float *p, int64_t n,
                                                        const int32_t *taken, int64_t n_taken)
{
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++) {
        bool free = best < 0 || p[i] > p[best] || (p[best] != p[best] && p[i] == p[i]);
        for (int64_t j = 0; free && j < n_taken; j++)
            free = taken[j] != i;
        best = free ? i : best;
    }
    return best;
}

/* Whether bytes are made unsigned for vi_dot4, by 16 lanes: a bias is then stored and loaded. Other
 * ISAs have neither, and no tally of them. */
#define V_BIASED (V_LANES == 16)

#if RB_COUNTING
#include "isa_count.h"
#else
#if defined RB_BUILD_scalar
#include "isa_scalar.h"
#elif defined RB_BUILD_avx2
#include "isa_avx2.h"
#elif defined RB_BUILD_avx512
#include "isa_avx512.h"
#elif defined RB_BUILD_neon || defined RB_BUILD_dotprod
#include "isa_neon.h"
#else
#error "kernel files are compiled once per ISA: -DRB_BUILD=<isa> -DRB_BUILD_<isa>=1"
#endif
#include "isa_plain.h"
#endif
#include "isa_encode.h"

#endif
