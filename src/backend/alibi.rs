//! The slopes of ALiBi (Press et al., 2022, "Train short, test long").

use std::sync::Arc;

/// The slope of every query head, as MPT has them: `2^(-bias_max * i / n)` for `i` from 1 to `n`, the number of heads.
/// Where that is no power of two, the slopes are those of the next power of two: first every second one, from the
/// second on, then the others, as many as there are heads. `bias_max` is 8 in the paper.
///
/// For [`Attention::alibi`](super::Attention::alibi). Order and values are those of `build_mpt_alibi_tensor` in Hugging
/// Face transformers.
pub fn alibi_slopes(heads: usize, bias_max: f32) -> Arc<[f32]> {
    let count = heads.next_power_of_two();
    let slope = |i: usize| (-f64::from(bias_max) * i as f64 / count as f64).exp2() as f32;
    if count == heads {
        return (1..=heads).map(slope).collect();
    }
    (2..=count).step_by(2).chain((1..=count).step_by(2)).take(heads).map(slope).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_the_geometric_series_of_the_paper() {
        let expected: Vec<f32> = (1..=8).map(|i| 0.5f32.powi(i)).collect();
        assert_eq!(*alibi_slopes(8, 8.0), expected);
        let halves = [1.0, 0.5, 0.25, 0.125].map(|x: f32| x / std::f32::consts::SQRT_2);
        let found = alibi_slopes(16, 8.0);
        for (at, &half) in halves.iter().enumerate() {
            assert!((found[2 * at] - half).abs() < 1e-7);
            assert_eq!(found[2 * at + 1], 0.5f32.powi(at as i32 + 1));
        }
        assert_eq!(*alibi_slopes(1, 8.0), [1.0 / 256.0]);
        assert_eq!(
            *alibi_slopes(4, 16.0),
            [0.5f32.powi(4), 0.5f32.powi(8), 0.5f32.powi(12), 0.5f32.powi(16)]
        );
        assert!(alibi_slopes(0, 8.0).is_empty());
    }

    #[test]
    fn other_counts_take_every_second_slope_first() {
        // Of 2^-2, 2^-4, 2^-6, 2^-8: the second and the fourth, then the first.
        assert_eq!(*alibi_slopes(3, 8.0), [0.0625, 0.003_906_25, 0.25]);
        // Of 2^-1 to 2^-8: the even powers, then 2^-1 and 2^-3.
        let powers = [2, 4, 6, 8, 1, 3].map(|power| 0.5f32.powi(power));
        assert_eq!(*alibi_slopes(6, 8.0), powers);
    }
}
