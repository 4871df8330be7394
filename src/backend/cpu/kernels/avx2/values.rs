//! The integers of the formats, by their number of bits, as unsigned (or for 8 bits signed) bytes.

use std::arch::x86_64::*;

use super::unpack::{Bits, Lanes, Line, Nibbles, Pairs, bit, high_pair, line, nibble, or, pair};

/// The integers of some groups of a panel.
///
/// # Safety
/// All methods require the features of this level. The sum of the products of [`FOLD`](Self::FOLD) steps must fit
/// 16 bits.
pub(super) unsafe trait Values {
    /// Steps whose products are summed in 16 bits: a divisor of 8.
    const FOLD: usize;
    /// Rows in a tile, at most 6: what unpacking is shared by, and what sums have registers for.
    const ROWS: usize;

    /// Step `S` of a group.
    unsafe fn step<const S: usize>(&self, group: usize) -> Lanes;

    /// Products of a step's integers and a row's, neighbours added, in 16 bits.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn multiply(weights: __m256i, x: __m256i) -> __m256i {
        _mm256_maddubs_epi16(weights, x)
    }
}

/// 2 bits, in super-blocks.
#[repr(C)]
pub(super) struct Two {
    pairs: [Pairs; 8],
}

// SAFETY: four steps sum up to 4 * 2 * 3 * 127 = 3048; more would mix half groups.
unsafe impl Values for Two {
    const FOLD: usize = 4;
    const ROWS: usize = 6;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn step<const S: usize>(&self, group: usize) -> Lanes {
        pair::<S>(&self.pairs[group])
    }
}

/// 3 bits, in super-blocks.
#[repr(C)]
pub(super) struct Three {
    pairs: [Pairs; 8],
    high: [Bits; 8],
}

// SAFETY: four steps sum up to 4 * 2 * 7 * 127 = 7112; more would mix half groups.
unsafe impl Values for Three {
    const FOLD: usize = 4;
    const ROWS: usize = 6;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn step<const S: usize>(&self, group: usize) -> Lanes {
        or(pair::<S>(&self.pairs[group]), bit::<S, 4>(&self.high[group]))
    }
}

/// 4 bits, `G` groups.
#[repr(C)]
pub(super) struct Four<const G: usize> {
    nibbles: [Nibbles; G],
}

// SAFETY: eight steps sum up to 8 * 2 * 15 * 127 = 30480.
unsafe impl<const G: usize> Values for Four<G> {
    const FOLD: usize = 8;
    const ROWS: usize = 6;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn step<const S: usize>(&self, group: usize) -> Lanes {
        nibble::<S>(&self.nibbles[group])
    }
}

/// 5 bits, `G` groups.
#[repr(C)]
pub(super) struct Five<const G: usize> {
    nibbles: [Nibbles; G],
    high: [Bits; G],
}

// SAFETY: four steps sum up to 4 * 2 * 31 * 127 = 31496.
unsafe impl<const G: usize> Values for Five<G> {
    const FOLD: usize = 4;
    const ROWS: usize = 6;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn step<const S: usize>(&self, group: usize) -> Lanes {
        or(nibble::<S>(&self.nibbles[group]), bit::<S, 16>(&self.high[group]))
    }
}

/// 6 bits, in super-blocks.
#[repr(C)]
pub(super) struct Six {
    nibbles: [Nibbles; 8],
    high: [Pairs; 8],
}

// SAFETY: two steps sum up to 2 * 2 * 63 * 127 = 32004.
unsafe impl Values for Six {
    const FOLD: usize = 2;
    const ROWS: usize = 6;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn step<const S: usize>(&self, group: usize) -> Lanes {
        or(nibble::<S>(&self.nibbles[group]), high_pair::<S>(&self.high[group]))
    }
}

/// 8 bits, one group: stored 128 higher than they are, which is undone here.
#[repr(C)]
pub(super) struct Eight {
    q: [Line; 8],
}

// SAFETY: one step sums up to 2 * 128 * 127 = 32512.
unsafe impl Values for Eight {
    const FOLD: usize = 1;
    const ROWS: usize = 4;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn step<const S: usize>(&self, _group: usize) -> Lanes {
        line(&self.q[S]).map(|q| _mm256_xor_si256(q, _mm256_set1_epi8(-128)))
    }

    /// The weight gives its sign to the activation, which is never -128 and so can be negated; the absolute value of
    /// a weight of -128 is 128 as an unsigned byte.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn multiply(weights: __m256i, x: __m256i) -> __m256i {
        _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(x, weights))
    }
}
