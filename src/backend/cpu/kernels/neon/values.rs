//! The integers of the formats, by their number of bits: unsigned, or for 8 bits signed. All fit signed bytes.

use std::arch::aarch64::*;

use super::unpack::{Bits, Line, Nibbles, Pairs, load, nibble, pair, with_bit, with_high_pair};

/// The integers of some groups of a panel.
///
/// # Safety
/// Any bytes must be a value, without alignment. [`FOLD`](Self::FOLD) is 2 or 4, and so many integers times 127 fit
/// 16 bits.
pub(super) unsafe trait Values {
    /// Steps whose products are summed in 16 bits, where there are no dot products.
    const FOLD: usize;

    /// Step `S` of a group, one quarter of the panel.
    ///
    /// # Safety
    /// The processor has NEON.
    unsafe fn step<const S: usize>(&self, group: usize, quarter: usize) -> int8x16_t;
}

/// 2 bits, in super-blocks.
#[repr(C)]
pub(super) struct Two {
    pairs: [Pairs; 8],
}

// SAFETY: arrays of bytes; four steps sum up to 4 * 3 * 127 = 1524.
unsafe impl Values for Two {
    const FOLD: usize = 4;

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn step<const S: usize>(&self, group: usize, quarter: usize) -> int8x16_t {
        vreinterpretq_s8_u8(pair::<S>(&self.pairs[group], quarter))
    }
}

/// 3 bits, in super-blocks.
#[repr(C)]
pub(super) struct Three {
    pairs: [Pairs; 8],
    high: [Bits; 8],
}

// SAFETY: arrays of bytes; four steps sum up to 4 * 7 * 127 = 3556.
unsafe impl Values for Three {
    const FOLD: usize = 4;

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn step<const S: usize>(&self, group: usize, quarter: usize) -> int8x16_t {
        let low = pair::<S>(&self.pairs[group], quarter);
        vreinterpretq_s8_u8(with_bit::<S, 4>(low, &self.high[group], quarter))
    }
}

/// 4 bits, `G` groups.
#[repr(C)]
pub(super) struct Four<const G: usize> {
    nibbles: [Nibbles; G],
}

// SAFETY: arrays of bytes; four steps sum up to 4 * 15 * 127 = 7620.
unsafe impl<const G: usize> Values for Four<G> {
    const FOLD: usize = 4;

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn step<const S: usize>(&self, group: usize, quarter: usize) -> int8x16_t {
        vreinterpretq_s8_u8(nibble::<S>(&self.nibbles[group], quarter))
    }
}

/// 5 bits, `G` groups.
#[repr(C)]
pub(super) struct Five<const G: usize> {
    nibbles: [Nibbles; G],
    high: [Bits; G],
}

// SAFETY: arrays of bytes; four steps sum up to 4 * 31 * 127 = 15748.
unsafe impl<const G: usize> Values for Five<G> {
    const FOLD: usize = 4;

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn step<const S: usize>(&self, group: usize, quarter: usize) -> int8x16_t {
        let low = nibble::<S>(&self.nibbles[group], quarter);
        vreinterpretq_s8_u8(with_bit::<S, 16>(low, &self.high[group], quarter))
    }
}

/// 6 bits, in super-blocks.
#[repr(C)]
pub(super) struct Six {
    nibbles: [Nibbles; 8],
    high: [Pairs; 8],
}

// SAFETY: arrays of bytes; four steps sum up to 4 * 63 * 127 = 32004.
unsafe impl Values for Six {
    const FOLD: usize = 4;

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn step<const S: usize>(&self, group: usize, quarter: usize) -> int8x16_t {
        let low = nibble::<S>(&self.nibbles[group], quarter);
        vreinterpretq_s8_u8(with_high_pair::<S>(low, &self.high[group], quarter))
    }
}

/// 8 bits, one group: stored 128 higher than they are, which is undone here.
#[repr(C)]
pub(super) struct Eight {
    q: [Line; 8],
}

// SAFETY: arrays of bytes; two steps sum up to 2 * 128 * 127 = 32512.
unsafe impl Values for Eight {
    const FOLD: usize = 2;

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn step<const S: usize>(&self, _group: usize, quarter: usize) -> int8x16_t {
        vreinterpretq_s8_u8(veorq_u8(load(&self.q[S][quarter]), vdupq_n_u8(128)))
    }
}
