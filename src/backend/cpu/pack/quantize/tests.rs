//! How much quantizing loses.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::weights::dequantize;

/// Normally distributed (Box and Muller, 1958), from a fixed sequence.
fn gaussian(len: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f64 + 0.5) / (1u64 << 24) as f64
    };
    (0..len)
        .map(|_| {
            let (u, v) = (uniform(), uniform());
            ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
        })
        .collect()
}

fn round_trip(dtype: DType, x: &[f32]) -> Vec<f32> {
    let mut bytes = vec![0; dtype.bytes_for(x.len() as u64).unwrap() as usize];
    quantize_row(dtype, x, &mut bytes);
    let mut back = vec![f32::NAN; x.len()];
    dequantize(dtype, &bytes, &mut back).unwrap();
    back
}

/// Root mean square of the error, relative to that of the values.
fn relative_error(x: &[f32], back: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let error: f64 = x.iter().zip(back).map(|(x, back)| square(x - back)).sum();
    (error / x.iter().map(|x| square(*x)).sum::<f64>()).sqrt()
}

/// Symmetric quantization to `-levels..=levels` by the largest magnitude, scales unrounded.
fn plain_symmetric(x: &[f32], part: usize, levels: f32) -> Vec<f32> {
    let mut back = Vec::new();
    for x in x.chunks(part) {
        let step = x.iter().fold(0.0f32, |max, x| max.max(x.abs())) / levels;
        back.extend(x.iter().map(|x| if step > 0.0 { (x / step).round() * step } else { 0.0 }));
    }
    back
}

/// Quantization of the range from the least to the largest value, scales unrounded.
fn plain_range(x: &[f32], part: usize, levels: f32) -> Vec<f32> {
    let mut back = Vec::new();
    for x in x.chunks(part) {
        let low = x.iter().copied().fold(f32::INFINITY, f32::min);
        let high = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let step = (high - low) / levels;
        back.extend(x.iter().map(|x| if step > 0.0 { ((x - low) / step).round() * step + low } else { low }));
    }
    back
}

fn check(scale: f32, heavy: bool) {
    let x: Vec<f32> =
        gaussian(256 * 400).iter().map(|x| scale * if heavy { x * x * x } else { *x }).collect();
    let error = |dtype| relative_error(&x, &round_trip(dtype, &x));
    let (q8, q6, q4) = (error(DType::Q8_0), error(DType::Q6K), error(DType::Q4K));
    let plain8 = relative_error(&x, &plain_symmetric(&x, 32, 127.0));
    let plain6 = relative_error(&x, &plain_symmetric(&x, 16, 31.0));
    let plain4 = relative_error(&x, &plain_range(&x, 32, 15.0));
    // The plain one of 8 bits has a scale that is not rounded to f16: the same but for some thousandths.
    assert!(q8 <= 1.005 * plain8, "Q8_0 {q8} against {plain8}");
    assert!(q6 <= plain6, "Q6_K {q6} against {plain6}");
    assert!(q4 <= plain4, "Q4_K {q4} against {plain4}");
    if !heavy {
        assert!(q8 < 0.0055, "Q8_0 {q8}");
        assert!(q6 < 0.017, "Q6_K {q6}");
        assert!(q4 < 0.073, "Q4_K {q4}");
    }
}

#[test]
fn losses_on_gaussian_weights_are_those_of_the_formats() {
    check(1.0, false);
    check(0.02, false);
}

#[test]
fn losses_on_weights_with_heavy_tails_are_below_those_of_plain_ranges() {
    check(0.02, true);
}

#[test]
fn what_a_format_can_say_is_kept() {
    for dtype in Quantize::FORMATS {
        assert!(round_trip(dtype, &[0.0; 256]).iter().all(|x| *x == 0.0), "{dtype}");
        for value in [1.0, -1.0, 0.25, -300.0] {
            for back in round_trip(dtype, &[value; 256]) {
                assert!((back - value).abs() <= value.abs() * 1e-3, "{dtype}: {value} became {back}");
            }
        }
    }
    let steps: [f32; 256] = std::array::from_fn(|i| (i % 16) as f32 - 4.0);
    assert!(relative_error(&steps, &round_trip(DType::Q4K, &steps)) < 0.01);
}

#[test]
fn targets() {
    let to = |format, stored, cols| Quantize::To(format).target(stored, cols);
    assert_eq!(Quantize::None.target(DType::BF16, 7), Ok(DType::BF16));
    assert_eq!(to(DType::Q4K, DType::BF16, 512), Ok(DType::Q4K));
    assert_eq!(to(DType::Q6K, DType::F16, 96), Ok(DType::Q8_0));
    assert_eq!(to(DType::Q4K, DType::Q5_0, 96), Ok(DType::Q5_0));
    let narrow = to(DType::Q4K, DType::F32, 172).unwrap_err();
    assert_eq!(narrow, "its rows of 172 elements cannot be quantized to Q4_K; a multiple of 32 is needed");
    assert!(to(DType::Q3K, DType::F32, 256).unwrap_err().contains("Q8_0, Q6_K and Q4_K"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_row_becomes_finite_numbers(bits in prop::collection::vec(any::<u32>(), 256), format in 0..3usize) {
        let x: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        prop_assert!(round_trip(Quantize::FORMATS[format], &x).iter().all(|x| x.is_finite()));
    }

    /// No value is further off than the coarsest step of its block allows.
    #[test]
    fn no_value_is_far_off(
        x in prop::collection::vec(-1f32..1.0, 256),
        exponent in -8i32..8,
        format in 0..3usize,
    ) {
        let x: Vec<f32> = x.iter().map(|x| x * 2f32.powi(exponent)).collect();
        let max = x.iter().fold(0.0f32, |max, x| max.max(x.abs()));
        let allowed = max * [0.005, 0.05, 0.2][format];
        for (x, back) in x.iter().zip(round_trip(Quantize::FORMATS[format], &x)) {
            prop_assert!((x - back).abs() <= allowed, "{} became {}", x, back);
        }
    }
}
