//! Random numbers as a function of seed and position: there is no state that another request could advance.

/// The increment of SplitMix64: 2^64 divided by the golden ratio, made odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
/// OOPSLA 2014, with Stafford's "Mix13" constants): a bijection in which every input bit reaches every output bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The number of `seed`'s stream at `position`, uniform in `[0, 1)` with 53 bits.
///
/// SplitMix64's n-th output is `mix(start + n * GAMMA)`, so any position is reached at once. The start is the mixed
/// seed, because seeds are small numbers in practice and streams that start near each other must not overlap.
pub(super) fn unit(seed: u64, position: u64) -> f64 {
    let start = mix(seed.wrapping_add(GAMMA));
    let bits = mix(start.wrapping_add(position.wrapping_add(1).wrapping_mul(GAMMA)));
    (bits >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_reproduces_the_published_stream() {
        // The first outputs of SplitMix64 seeded with 1234567, as published with the reference implementation.
        let published = [
            6_457_827_717_110_365_317_u64,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
        ];
        for (n, expected) in (1_u64..).zip(published) {
            assert_eq!(mix(1_234_567_u64.wrapping_add(n.wrapping_mul(GAMMA))), expected);
        }
    }

    #[test]
    fn numbers_fill_the_unit_interval_evenly() {
        for seed in [0, 1, u64::MAX] {
            let mut buckets = [0_u32; 16];
            for position in 0..16_000 {
                let u = unit(seed, position);
                assert!((0.0..1.0).contains(&u));
                buckets[(u * 16.0) as usize] += 1;
            }
            let chi: f64 = buckets.iter().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
            // 15 degrees of freedom: 37.7 is passed by chance once in a thousand.
            assert!(chi < 37.7, "seed {seed}: {chi}");
        }
    }

    #[test]
    fn neighbouring_seeds_are_unrelated() {
        let n = 4000;
        let product: f64 = (0..n).map(|seed| (unit(seed, 0) - 0.5) * (unit(seed + 1, 0) - 0.5)).sum();
        // The mean product of two independent centred uniforms has deviation (1/12)/sqrt(n).
        assert!((product / n as f64).abs() < 4.0 / 12.0 / (n as f64).sqrt());
    }
}
