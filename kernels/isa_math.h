/* exp for the vector ISAs, over their raw steps. The counting ISA never sees this file: there an
 * exp is one special, whatever its polynomial costs; that price is a roof of its own. Error: below
 * 2 ulp on [-87.3, 88.7], denormal below and 0 from -104; clamped above; NaN stays. */
#ifndef RB_ISA_MATH_H
#define RB_ISA_MATH_H

/* x = n ln2 + r, |r| <= ln2 / 2; exp(x) = 2^n exp(r), exp(r) by its Taylor polynomial to r^7 / 7!,
 * whose remainder is below 2^-26 there; ln2 in two parts so that r is exact to rounding. */
RB_INLINE vf v_exp(vf a)
{
    const vf x = raw_clamp(a, -104.0f, 88.72283f);
    const vf n = raw_round(v_mul(x, raw_const(1.44269504f)));
    const vf r = v_fnma(n, raw_const(-2.12194440e-4f), v_fnma(n, raw_const(0.693359375f), x));
    vf p = raw_const(1.0f / 5040.0f);
    p = v_fma(p, r, raw_const(1.0f / 720.0f));
    p = v_fma(p, r, raw_const(1.0f / 120.0f));
    p = v_fma(p, r, raw_const(1.0f / 24.0f));
    p = v_fma(p, r, raw_const(1.0f / 6.0f));
    p = v_fma(p, r, raw_const(0.5f));
    p = v_fma(p, r, raw_const(1.0f));
    p = v_fma(p, r, raw_const(1.0f));
    return raw_scale2(p, n);
}

#endif
