/* exp, tanh and erf for the vector ISAs, over their raw steps. The counting ISA never sees this
 * file: there each is one special, whatever its polynomial costs; that price is a roof of its own.
 * Error: below 2 ulp on [-87.3, 88.7], denormal below and 0 from -104; clamped above; NaN stays. */
#ifndef RB_ISA_MATH_H
#define RB_ISA_MATH_H

/* x = n ln2 + r, |r| <= ln2 / 2; exp(x) = 2^n exp(r); exp(r) = 1 + r + r^2 q(r), q of degree 4 a
 * minimax fit of relative error 2^-28, its halves evaluated side by side: the chain of dependent
 * steps is what an exp costs. ln2 in two parts so that r is exact to rounding. */
RB_INLINE vf v_exp(vf a)
{
    const vf x = raw_clamp(a, -104.0f, 88.72283f);
    const vf n = raw_round(v_mul(x, raw_const(1.44269504f)));
    const vf r = v_fnma(n, raw_const(-2.12194440e-4f), v_fnma(n, raw_const(0.693359375f), x));
    const vf r2 = v_mul(r, r);
    const vf low = v_fma(raw_const(0.16666521f), r, raw_const(0.49999994f));
    const vf mid = v_fma(raw_const(0.0083687454f), r, raw_const(0.041668388f));
    const vf q = v_fma(v_fma(raw_const(0.001381454f), r2, mid), r2, low);
    return raw_scale2(v_add(v_fma(q, r2, r), raw_const(1.0f)), n);
}

/* 1 - 2 / (exp(2 x) + 1): within 2e-7 of tanh(x), and 1 or -1 where exp is clamped. */
RB_INLINE vf v_tanh(vf a)
{
    const vf e = v_exp(v_add(a, a));
    return v_sub(raw_const(1.0f), v_div(raw_const(2.0f), v_add(e, raw_const(1.0f))));
}

/* erf(x) = sign(x) (1 - t exp(-x^2 + P(t))), t = 1 / (1 + |x| / 2): a Chebyshev fit to erfc whose
 * relative error is below 1.2e-7 (Press et al., Numerical Recipes, sec. 6.2). */
RB_INLINE vf v_erf(vf a)
{
    static const float c[] = { -0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f, -0.18628806f,
                               0.09678418f,  0.37409196f, 1.00002368f,  -1.26551223f };
    const vf x = v_abs(a), one = raw_const(1.0f);
    const vf t = v_div(one, v_fma(x, raw_const(0.5f), one));
    vf p = raw_const(0.17087277f);
    UNROLL
    for (int i = 0; i < 9; i++)
        p = v_fma(p, t, raw_const(c[i]));
    return raw_copysign(v_fnma(t, v_exp(v_fnma(x, x, p)), one), a);
}

#endif
