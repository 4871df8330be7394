//! Functions of sixteen lanes: the exponential and the activations made of it.

use super::Lanes;

/// Adding and subtracting it rounds to an integer, ties to even, for magnitudes below 2^22.
const ROUNDER: f32 = 12_582_912.0;

/// ln 2 in two parts; products of the first with integers up to 2^9 are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `(exp(r) - 1 - r) / r^2` for `|r| <= ln(2) / 2`, highest power first: least squares with Lawson's weights, relative
/// error 3.3e-9.
const EXP: [f32; 5] = [0.001_381_313_2, 0.008_369_42, 0.041_668_457, 0.166_665_15, 0.499_999_93];

/// `erfc(z) * exp(z^2) / t` in `t = 1 / (1 + 0.3 z)` for `z` from 0 to 10, highest power first: fitted as [`EXP`],
/// relative error 2e-8.
const ERFC: [f32; 9] = [
    -0.129_525_03,
    0.485_573_9,
    -0.512_301,
    0.547_747_4,
    -0.094_670_59,
    0.214_934_99,
    0.148_336_74,
    0.170_715_6,
    0.169_187_98,
];

/// A polynomial, highest power first.
#[inline(always)]
unsafe fn horner<L: Lanes>(x: L, coefficients: &[f32]) -> L {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut sum = L::splat(coefficients[0]);
        for &coefficient in &coefficients[1..] {
            sum = sum.fma(x, L::splat(coefficient));
        }
        sum
    }
}

/// `e^x` within 2 ulp (subnormal results within one of their steps): 1 for 0, 0 for negative infinity, infinity above
/// 88.73, NaN for NaN.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
pub(in super::super) unsafe fn exp<L: Lanes>(x: L) -> L {
    // SAFETY: the caller has the instructions.
    unsafe {
        // The argument stands second, so that NaN passes; beyond these bounds the result is zero or infinity.
        let x = L::splat(-104.0).max(x);
        let x = L::splat(89.0).min(x);
        let rounder = L::splat(ROUNDER);
        let power = x.fma(L::splat(std::f32::consts::LOG2_E), rounder).sub(rounder);
        let rest = power.fma(L::splat(-LN_2_HIGH), x);
        let rest = power.fma(L::splat(-LN_2_LOW), rest);
        let tail = horner(rest, &EXP);
        let fraction = tail.fma(rest.mul(rest), rest).add(L::splat(1.0));
        fraction.scale_by_power(power)
    }
}

/// `x / (1 + e^-x)`, within 4 ulp times `1 + |x|` for negative `x`, as rounding the exponent costs. Results below 1e-36 may be
/// zero, here and in the other activations.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
pub(in super::super) unsafe fn silu<L: Lanes>(x: L) -> L {
    // SAFETY: the caller has the instructions.
    unsafe {
        let one = L::splat(1.0);
        x.div(one.add(exp(L::splat(0.0).sub(x))))
    }
}

/// `1 / (1 + e^-x)`, within 4 ulp times `1 + |x|` for negative `x`.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
pub(in super::super) unsafe fn sigmoid<L: Lanes>(x: L) -> L {
    // SAFETY: the caller has the instructions.
    unsafe {
        let one = L::splat(1.0);
        one.div(one.add(exp(L::splat(0.0).sub(x))))
    }
}

/// GELU with the tanh approximation (Hendrycks and Gimpel, 2016): `x / (1 + e^(-2 sqrt(2 / pi) (x + 0.044715 x^3)))`,
/// which is the same as `x / 2 * (1 + tanh(...))`.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
pub(in super::super) unsafe fn gelu_tanh<L: Lanes>(x: L) -> L {
    // SAFETY: the caller has the instructions.
    unsafe {
        let one = L::splat(1.0);
        let slope = x.mul(x).fma(L::splat(0.044_715), one);
        let argument = x.mul(slope).mul(L::splat(-2.0 * 0.797_884_6));
        x.div(one.add(exp(argument)))
    }
}

/// GELU by the error function: `x / 2 * erfc(-x / sqrt 2)`, within 6 ulp times `1 + x^2 / 2` for negative
/// `x`: the accuracy is relative in both tails.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
pub(in super::super) unsafe fn gelu_erf<L: Lanes>(x: L) -> L {
    // SAFETY: the caller has the instructions.
    unsafe {
        let one = L::splat(1.0);
        let z = x.abs().mul(L::splat(std::f32::consts::FRAC_1_SQRT_2));
        let t = one.div(z.fma(L::splat(0.3), one));
        let decay = exp(L::splat(0.0).sub(z).mul(z));
        let tail = decay.mul(t).mul(horner(t, &ERFC)).mul(L::splat(0.5));
        x.mul(x.if_negative(tail, one.sub(tail)))
    }
}
