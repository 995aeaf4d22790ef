/* What the files of reference decoders and encoders share: little-endian halves inside blocks,
 * which have no alignment, casts that cannot overflow, and the names that the table refers to.
 * Included by dtype.c, blocks32.c, kquants.c and packed.c only. Read next: dtype.c. */
#ifndef RB_BLOCKS_H
#define RB_BLOCKS_H

#include <math.h>
#include <string.h>

#include "types.h"

enum { QK = 32, QK_K = 256, PANEL = RB_PANEL_ROWS };

#define RB_DECLARE(t, id)                                                                          \
    void rb_decode_##id(float *dst, const void *src, int64_t n);                                   \
    void rb_encode_##id(void *dst, const float *src, int64_t n);
RB_DECLARE(RB_Q8_0, q8_0)
RB_DECLARE(RB_Q4_0, q4_0)
RB_DECLARE(RB_Q4_1, q4_1)
RB_DECLARE(RB_Q5_0, q5_0)
RB_DECLARE(RB_Q5_1, q5_1)
RB_DECLARE(RB_Q2_K, q2_k)
RB_DECLARE(RB_Q3_K, q3_k)
RB_DECLARE(RB_Q4_K, q4_k)
RB_DECLARE(RB_Q5_K, q5_k)
RB_DECLARE(RB_Q6_K, q6_k)
RB_DECLARE(RB_IQ4_NL, iq4_nl)
RB_DECLARE(RB_IQ4_XS, iq4_xs)
#undef RB_DECLARE

/* n elements of panels of a file type, as rb_decode_row has them. */
void rb_decode_panel(rb_dtype base, float *dst, const void *src, int64_t n);
void rb_encode_panel(rb_dtype base, void *dst, const float *src, int64_t n);

static inline uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline void put16(uint8_t *p, uint16_t h)
{
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

static inline float get_half(const uint8_t *p)
{
    return rb_f16_to_f32(get16(p));
}

/* f cut to [low, high], then truncated; NaN becomes low. Plain casts of such floats are undefined.
 */
static inline int to_int(float f, int low, int high)
{
    if (!(f > (float)low))
        return low;
    return f < (float)high ? (int)f : high;
}

/* Half away from zero. The sum is exact in double, so 0.49999997 does not become 1. */
static inline int round_to_int(float f, int limit)
{
    if (!(fabsf(f) < (float)limit))
        return f > 0 ? limit : f < 0 ? -limit : 0;
    return (int)(f < 0 ? (double)f - 0.5 : (double)f + 0.5);
}

/* Nearest integer of |f| < 2^21, ties to even, without a call: 1.5 * 2^23 has unit steps. */
static inline float nearest(float f)
{
    return (f + 12582912.0f) - 12582912.0f;
}

/* The nearest integer of f in [low, high]; NaN becomes low. */
static inline int quant(float f, int low, int high)
{
    const float cut = f < (float)high ? f : (float)high;
    return cut > (float)low ? (int)nearest(cut) : low;
}

static inline float inverse(float d)
{
    return d == 0 ? 0 : 1 / d;
}

/* The values that iq4_nl and iq4_xs choose among. */
extern const int8_t rb_iq4_value[16];
/* Scale s and codes q of n elements for the least squared error of s value[q]. */
float rb_iq4_fit(uint8_t *q, const float *x, int n);
/* Codes of n elements at a scale whose inverse is given. */
void rb_iq4_codes(uint8_t *q, const float *x, int n, float inv);

#endif
