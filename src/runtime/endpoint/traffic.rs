//! Which served entity answers a request: shares of the traffic, drawn so that the same seed gives the same split.

/// The entity for the request that is the `number`th of its endpoint: an index into `shares`, which sum to 100.
///
/// SplitMix64 of the seed and the number: no state but a counter, and as even as independent draws.
pub(super) fn draw(shares: impl Iterator<Item = u8>, seed: u64, number: u64) -> usize {
    let point = (mix(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))) % 100) as u32;
    let mut below = 0;
    let mut last = 0;
    for (index, share) in shares.enumerate() {
        below += u32::from(share);
        if point < below {
            return index;
        }
        last = index;
    }
    last
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(shares: &[u8], seed: u64, requests: u64) -> Vec<u64> {
        let mut counts = vec![0; shares.len()];
        for number in 0..requests {
            counts[draw(shares.iter().copied(), seed, number)] += 1;
        }
        counts
    }

    #[test]
    fn shares_are_kept_and_the_same_seed_splits_the_same_way() {
        for seed in [0, 1, 7, u64::MAX] {
            let found = counts(&[70, 0, 25, 5], seed, 100_000);
            assert_eq!(found, counts(&[70, 0, 25, 5], seed, 100_000));
            assert_eq!(found[1], 0, "no share, no request");
            for (found, share) in found.iter().zip([70, 0, 25, 5]) {
                assert!(found.abs_diff(share * 1000) < 700, "{found} of {share} %");
            }
        }
        let first = |seed| (0..64).map(move |number| draw([50, 50].into_iter(), seed, number));
        assert!(first(1).ne(first(2)), "another seed, another split");
        assert!((0..1000).all(|number| draw([100].into_iter(), 3, number) == 0));
    }
}
