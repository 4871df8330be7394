//! Rows of activations in the types that kernels take.

use half::bf16;

use crate::backend::cpu::pack::GROUP;

/// Groups whose largest magnitude lies below count as zero: 127 divided by it would overflow.
const SMALLEST: f32 = f32::from_bits((127 - 120) << 23);

/// 1.5 * 2^23.
const ROUND: f32 = 12_582_912.0;

/// See [`Kernels::quantize`](super::Kernels::quantize).
pub(super) fn quantize(x: &[f32], shared: usize, q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    let blocks = x.chunks(GROUP * shared).zip(q.chunks_mut(GROUP * shared));
    for ((x, q), scales) in blocks.zip(scales.chunks_mut(shared)) {
        scales.fill(quantize_block(x, q));
    }
    for (sum, q) in sums.iter_mut().zip(q.as_chunks::<{ GROUP / 2 }>().0) {
        *sum = q.iter().map(|&q| i32::from(q)).sum();
    }
}

/// Writes the integers of values that share a scale, and returns it.
fn quantize_block(x: &[f32], q: &mut [i8]) -> f32 {
    // Magnitudes order like their bits, with infinity and then NaN above all numbers.
    let max = x.iter().map(|x| x.abs().to_bits()).max().map_or(0.0, f32::from_bits);
    if !max.is_finite() {
        q.fill(0);
        return f32::NAN;
    }
    if max < SMALLEST {
        q.fill(0);
        return 0.0;
    }
    let inverse = 127.0 / max;
    for (x, q) in x.iter().zip(q) {
        // Rounds to the nearest integer, ties to even, as all numbers of this size are integers: two additions instead
        // of a call on processors without a rounding instruction.
        *q = ((x * inverse + ROUND) - ROUND) as i8;
    }
    max / 127.0
}

/// See [`Kernels::to_bf16`](super::Kernels::to_bf16).
pub(super) fn to_bf16(x: &[f32], out: &mut [u16]) {
    let (values, rest) = out.split_at_mut(x.len().min(out.len()));
    for (x, out) in x.iter().zip(values) {
        *out = bf16::from_f32(*x).to_bits();
    }
    rest.fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(x: [f32; GROUP]) -> (f32, [i8; GROUP], [i32; 2]) {
        let (mut q, mut scale, mut sums) = ([99; GROUP], [9.0], [9; 2]);
        quantize(&x, 1, &mut q, &mut scale, &mut sums);
        (scale[0], q, sums)
    }

    #[test]
    fn ties_go_to_even_and_sums_are_of_halves() {
        let mut x = [0.0; GROUP];
        x[..6].copy_from_slice(&[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]);
        x[16] = -3.2;
        let (scale, q, sums) = group(x);
        assert_eq!(scale, 1.0);
        assert_eq!(q[..6], [127, 0, 2, 2, 0, -2]);
        assert_eq!(sums, [129, -3]);
    }

    #[test]
    fn values_are_kept_to_half_a_step() {
        for size in [f32::MAX, 1.0, 3e-5, 1e-30, 8e-37] {
            let x = std::array::from_fn(|i| size * ((i * 37 % 64) as f32 / 31.5 - 1.0));
            let (scale, q, _) = group(x);
            for (x, q) in x.iter().zip(q) {
                let back = f64::from(scale) * f64::from(q);
                assert!((back - f64::from(*x)).abs() <= f64::from(scale) * 0.50001, "{x} became {back}");
            }
        }
    }

    #[test]
    fn what_has_no_integers() {
        assert_eq!(group([1e-37; GROUP]), (0.0, [0; GROUP], [0; 2]));
        for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = [1.0; GROUP];
            x[5] = special;
            let (scale, q, sums) = group(x);
            assert!(scale.is_nan());
            assert_eq!((q, sums), ([0; GROUP], [0; 2]));
        }
    }
}
