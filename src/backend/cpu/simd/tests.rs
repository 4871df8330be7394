//! The levels do the same to every lane, and functions keep their error bounds.

use super::*;
use crate::backend::cpu::Level;

/// Inputs and outputs of one vector through everything that a vector can do.
struct Everything {
    a: [f32; LANES],
    b: [f32; LANES],
    f16: [u16; LANES],
    i8: [i8; LANES],
}

multiversion! {
    /// Every operation on one pair of vectors; the results one after the other.
    fn everything(with: &Everything, out: &mut Vec<u32>) = all;
}

#[inline(always)]
unsafe fn all<L: Lanes>(with: &Everything, out: &mut Vec<u32>) {
    // SAFETY: arrays of sixteen.
    unsafe {
        let (a, b) = (L::load(with.a.as_ptr()), L::load(with.b.as_ptr()));
        let mut results = vec![
            a,
            a.add(b),
            a.sub(b),
            a.mul(b),
            a.div(b),
            a.fma(b, a),
            a.max(b),
            a.min(b),
            a.abs(),
            a.if_negative(b, L::splat(3.0)),
            a.in_range_or(3, 11, b),
            a.in_range_or(0, 16, b),
            a.in_range_or(9, 9, b),
            L::load_f16(with.f16.as_ptr()),
            L::load_bf16(with.f16.as_ptr()),
            L::load_i8(with.i8.as_ptr()),
            exp(a),
            silu(a),
            sigmoid(a),
            gelu_tanh(a),
            gelu_erf(a),
            L::splat(a.sum()),
        ];
        results.extend((0..=LANES).map(|count| L::load_part(with.b.as_ptr(), count)));
        let mut square: [L; LANES] = std::array::from_fn(|at| L::splat(at as f32).fma(b, a));
        L::transpose(&mut square);
        results.extend(square);
        let numbers = |x: &[f32; LANES]| x.map(|x| if x.is_nan() { u32::MAX } else { x.to_bits() });
        for result in results {
            let mut values = [0.0; LANES];
            result.store(values.as_mut_ptr());
            out.extend(numbers(&values));
        }
        for count in 0..=LANES {
            let mut values = [7.0; LANES];
            a.store_part(values.as_mut_ptr(), count);
            out.extend(numbers(&values));
        }
        let (mut halves, mut bytes) = ([0u16; LANES], [0i8; LANES]);
        L::splat(60000.0).min(L::splat(-60000.0).max(a)).store_f16(halves.as_mut_ptr());
        L::splat(127.0).min(L::splat(-127.0).max(b)).store_i8(bytes.as_mut_ptr());
        // What a NaN becomes is open.
        out.extend(halves.iter().zip(with.a).map(|(&x, a)| if a.is_nan() { 0 } else { u32::from(x) }));
        out.extend(bytes.iter().zip(with.b).map(|(&x, b)| if b.is_nan() { 0 } else { x as u32 }));
        if !with.a.iter().any(|a| a.is_nan()) {
            out.push(a.highest().to_bits());
        }
    }
}

#[test]
fn the_levels_do_the_same() {
    let edges = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -1.5,
        2.5,
        88.7,
        -87.4,
        -103.9,
        1e-40,
        -1e30,
        6e-8,
        3.4e38,
        -0.3,
        17.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MIN,
        f32::MAX,
        1e-45,
        127.5,
        -126.5,
    ];
    let mut state = 1u32;
    for round in 0..400 {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if round % 2 == 0 {
                edges[(state >> 8) as usize % edges.len()]
            } else {
                (state >> 8) as f32 / 2e5 - 40.0
            }
        };
        let with = Everything {
            a: std::array::from_fn(|_| next()),
            b: std::array::from_fn(|_| next()),
            // No signalling NaN: whether widening quiets it is open.
            f16: std::array::from_fn(|lane| (round * 161 + lane as u16 * 7) & 0x7bff),
            i8: std::array::from_fn(|lane| (round * 16 + lane as u16) as i8),
        };
        let mut results = Level::supported().map(|level| {
            let mut out = Vec::new();
            // SAFETY: the level is supported.
            unsafe { everything(level)(&with, &mut out) };
            out
        });
        let portable = results.next();
        for other in results {
            assert_eq!(Some(other), portable, "{:?} {:?}", with.a, with.b);
        }
    }
}

multiversion! {
    /// The functions of one vector, each in its place.
    fn functions(x: &[f32; LANES], out: &mut [[f32; LANES]; 4]) = apply;
}

#[inline(always)]
unsafe fn apply<L: Lanes>(x: &[f32; LANES], out: &mut [[f32; LANES]; 4]) {
    // SAFETY: arrays of sixteen.
    unsafe {
        let x = L::load(x.as_ptr());
        for (result, out) in [exp(x), silu(x), gelu_tanh(x), gelu_erf(x)].into_iter().zip(out) {
            result.store(out.as_mut_ptr());
        }
    }
}

/// `erfc` from its series and, further out, its continued fraction.
fn erfc(z: f64) -> f64 {
    if z < 0.0 {
        return 2.0 - erfc(-z);
    }
    if z < 2.5 {
        let (mut term, mut sum) = (z, z);
        for n in 1..100 {
            term *= -z * z / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return 1.0 - sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let fraction = (1..200).rev().fold(z, |below, n| z + f64::from(n) / 2.0 / below);
    (-z * z).exp() / fraction / std::f64::consts::PI.sqrt()
}

#[test]
fn functions_keep_their_error_bounds() {
    let ulp = |x: f64| f64::from(f32::from_bits((x.abs() as f32).to_bits() + 1)) - f64::from(x.abs() as f32);
    let mut worst = [0.0f64; 4];
    for step in -104_000..88_700 {
        let x = step as f32 * 1e-3;
        let mut out = [[0.0; LANES]; 4];
        if step % 16 != 0 {
            continue;
        }
        let xs = std::array::from_fn(|lane| x + lane as f32 * 1e-3);
        // SAFETY: the level is the processor's.
        unsafe { functions(Level::native())(&xs, &mut out) };
        for (lane, &x) in xs.iter().enumerate() {
            let x = f64::from(x);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            let exact = [
                x.exp(),
                x / (1.0 + (-x).exp()),
                x / (1.0 + (-2.0 * inner).exp()),
                x / 2.0 * erfc(-x / std::f64::consts::SQRT_2),
            ];
            for (function, exact) in exact.into_iter().enumerate() {
                let found = f64::from(out[function][lane]);
                if function > 0 && exact.abs() < 1e-36 {
                    // The exponential in the denominator may have overflowed.
                    assert!((found - exact).abs() < 1e-36, "{x}: {found} {exact}");
                    continue;
                }
                let error = (found - exact).abs() / ulp(exact);
                // What is rounded before the exponential counts by the magnitude of the exponent.
                let magnitude = [0.0, x.min(0.0), 2.0 * inner.min(0.0), (x * x / 2.0) * f64::from(x < 0.0)];
                let allowed = error / (1.0 + magnitude[function].abs());
                worst[function] = worst[function].max(allowed);
            }
        }
    }
    let bounds = [2.0, 4.0, 4.0, 6.0];
    assert!(worst.iter().zip(bounds).all(|(&worst, bound)| worst < bound), "{worst:?}");
}
