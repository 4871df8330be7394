//! The packed super-blocks of 256 inputs: their small scales are integers, and multiply the integer sums of groups or
//! half groups exactly. Only the sum of a whole block is converted and scaled.

use std::arch::aarch64::*;

use super::super::Side;
use super::formats::{Activations, Format, add_scaled};
use super::level::{Halves, Level};
use super::unpack::{Bytes, Halfs, signed, unsigned, widen};
use super::values::{Five, Four, Six, Three, Two, Values};

pub(super) type Q2K = HalfMinima;
pub(super) type Q3K = HalfScales<Three, 4>;
pub(super) type Q4K = Minima<Four<8>>;
pub(super) type Q5K = Minima<Five<8>>;
pub(super) type Q6K = HalfScales<Six, 32>;

/// Groups of a super-block.
const GROUPS: usize = 8;

/// `d * scale * q - dmin * min`, a scale and a minimum per group.
#[repr(C)]
pub(super) struct Minima<V> {
    d: Halfs,
    dmin: Halfs,
    scales: [Bytes; GROUPS],
    minima: [Bytes; GROUPS],
    values: V,
}

// SAFETY: arrays of bytes. Scales have 6 bits: the sums stay below 8 * 63 * 32 * 31 * 127, which is below 2^26, and those
// of the minima below 8 * 255 * 32 * 127, whatever the bytes.
unsafe impl<V: Values> Format for Minima<V> {
    const GROUPS: usize = GROUPS;
    const SIDE: Side = Side::Pairs;

    #[inline(always)]
    unsafe fn add<L: Level, const R: usize, const Q: usize>(
        &self,
        quarter: usize,
        x: Activations,
        sums: &mut [[float32x4_t; Q]; R],
    ) {
        // SAFETY: the caller's promises.
        unsafe {
            let mut total = [[vdupq_n_s32(0); Q]; R];
            for group in 0..GROUPS {
                let mut dots = [[vdupq_n_s32(0); Q]; R];
                let q = x.q.add(group * R * 32);
                L::dots(&self.values, group, quarter, Halves::Both, q, &mut dots);
                weigh::<R, Q>(|half| unsigned(&self.scales[group][half]), quarter, &dots, &mut total);
            }
            for c in 0..Q {
                add_scaled(widen(&self.d[quarter + c]), c, &total, x.scales, sums);
            }
            let minimum = |group: usize, half: usize| unsigned(&self.minima[group][half]);
            let mut total = [[vdupq_n_s32(0); Q]; R];
            weigh_sums::<R, Q>(minimum, quarter, x.side.cast(), 8, &mut total);
            subtract_minima(&self.dmin, quarter, &total, x.scales, sums);
        }
    }
}

/// `d * scale * (q - OFFSET)`, a signed scale per half group.
#[repr(C)]
pub(super) struct HalfScales<V, const OFFSET: i32> {
    d: Halfs,
    scales: [[Bytes; 2]; GROUPS],
    values: V,
}

// SAFETY: arrays of bytes. With 6 bits, the sums stay below 16 * 128 * 16 * 63 * 127, which is below 2^28.
unsafe impl<V: Values, const OFFSET: i32> Format for HalfScales<V, OFFSET> {
    const GROUPS: usize = GROUPS;
    const SIDE: Side = Side::HalfStarts { offset: OFFSET };

    #[inline(always)]
    unsafe fn add<L: Level, const R: usize, const Q: usize>(
        &self,
        quarter: usize,
        x: Activations,
        sums: &mut [[float32x4_t; Q]; R],
    ) {
        // SAFETY: the caller's promises.
        unsafe {
            let mut total = [[vdupq_n_s32(0); Q]; R];
            for group in 0..GROUPS {
                let q = x.q.add(group * R * 32);
                // Twice in full, so that nothing asks in the loop which half it is.
                macro_rules! half {
                    ($at:literal $halves:ident) => {
                        let mut dots = [[vdupq_n_s32(0); Q]; R];
                        for r in 0..R {
                            dots[r] = [vdupq_n_s32(*x.side.add(r * 2 * GROUPS + 2 * group + $at)); Q];
                        }
                        L::dots(&self.values, group, quarter, Halves::$halves, q, &mut dots);
                        weigh::<R, Q>(
                            |half| signed(&self.scales[group][$at][half]),
                            quarter,
                            &dots,
                            &mut total,
                        );
                    };
                }
                half!(0 First);
                half!(1 Second);
            }
            for c in 0..Q {
                add_scaled(widen(&self.d[quarter + c]), c, &total, x.scales, sums);
            }
        }
    }
}

/// `d * scale * q - dmin * min`, a scale and a minimum of 4 bits in one byte per half group: Q2_K.
#[repr(C)]
pub(super) struct HalfMinima {
    d: Halfs,
    dmin: Halfs,
    /// Scale in the low, minimum in the high nibble.
    scales: [[Bytes; 2]; GROUPS],
    values: Two,
}

// SAFETY: arrays of bytes. The sums stay below 16 * 15 * 16 * 3 * 127, and those of the minima below 16 * 15 * 16 * 127.
unsafe impl Format for HalfMinima {
    const GROUPS: usize = GROUPS;
    const SIDE: Side = Side::HalfPairs;

    #[inline(always)]
    unsafe fn add<L: Level, const R: usize, const Q: usize>(
        &self,
        quarter: usize,
        x: Activations,
        sums: &mut [[float32x4_t; Q]; R],
    ) {
        // SAFETY: the caller's promises.
        unsafe {
            let mut total = [[vdupq_n_s32(0); Q]; R];
            for group in 0..GROUPS {
                let q = x.q.add(group * R * 32);
                macro_rules! half {
                    ($at:literal $halves:ident) => {
                        let mut dots = [[vdupq_n_s32(0); Q]; R];
                        L::dots(&self.values, group, quarter, Halves::$halves, q, &mut dots);
                        let scale = |half: usize| {
                            vandq_s16(unsigned(&self.scales[group][$at][half]), vdupq_n_s16(15))
                        };
                        weigh::<R, Q>(scale, quarter, &dots, &mut total);
                    };
                }
                half!(0 First);
                half!(1 Second);
            }
            for c in 0..Q {
                add_scaled(widen(&self.d[quarter + c]), c, &total, x.scales, sums);
            }
            let mut total = [[vdupq_n_s32(0); Q]; R];
            for four in 0..2 {
                let minimum = |at: usize, half: usize| {
                    vshrq_n_s16::<4>(unsigned(&self.scales[4 * four + at / 2][at % 2][half]))
                };
                weigh_sums::<R, Q>(minimum, quarter, x.side.cast::<i16>().add(8 * four), 16, &mut total);
            }
            subtract_minima(&self.dmin, quarter, &total, x.scales, sums);
        }
    }
}

/// Adds `dots` times the scales of their lanes, which `scale` gives for each half of the panel.
#[inline(always)]
unsafe fn weigh<const R: usize, const Q: usize>(
    scale: impl Fn(usize) -> int16x8_t,
    quarter: usize,
    dots: &[[int32x4_t; Q]; R],
    total: &mut [[int32x4_t; Q]; R],
) {
    for c in (0..Q).step_by(2) {
        let scales = scale((quarter + c) / 2);
        // SAFETY: the caller has NEON.
        let (low, high) = unsafe { (vmovl_s16(vget_low_s16(scales)), vmovl_high_s16(scales)) };
        for r in 0..R {
            // SAFETY: as above.
            unsafe {
                total[r][c] = vmlaq_s32(total[r][c], dots[r][c], low);
                total[r][c + 1] = vmlaq_s32(total[r][c + 1], dots[r][c + 1], high);
            }
        }
    }
}

/// Adds eight sums of activations times the weights of their lanes, which `weight` gives for each sum and half of the
/// panel. The rows' sums are `words` apart.
#[inline(always)]
unsafe fn weigh_sums<const R: usize, const Q: usize>(
    weight: impl Fn(usize, usize) -> int16x8_t,
    quarter: usize,
    sums: *const i16,
    words: usize,
    total: &mut [[int32x4_t; Q]; R],
) {
    // SAFETY: the caller has NEON, and eight sums for each row.
    unsafe {
        let mut x = [vdupq_n_s16(0); R];
        for r in 0..R {
            x[r] = vld1q_s16(sums.add(words * r));
        }
        macro_rules! sums {
            ($($at:literal)*) => {$(
                for c in (0..Q).step_by(2) {
                    let weights = weight($at, (quarter + c) / 2);
                    for r in 0..R {
                        let low = vget_low_s16(weights);
                        total[r][c] = vmlal_laneq_s16::<$at>(total[r][c], low, x[r]);
                        total[r][c + 1] = vmlal_high_laneq_s16::<$at>(total[r][c + 1], weights, x[r]);
                    }
                }
            )*};
        }
        sums!(0 1 2 3 4 5 6 7);
    }
}

/// `sums - dmin * x_scale * total`.
#[inline(always)]
unsafe fn subtract_minima<const R: usize, const Q: usize>(
    dmin: &Halfs,
    quarter: usize,
    total: &[[int32x4_t; Q]; R],
    x_scales: *const f32,
    sums: &mut [[float32x4_t; Q]; R],
) {
    // SAFETY: the caller has NEON, and `R` scales.
    unsafe {
        for c in 0..Q {
            add_scaled(vnegq_f32(widen(&dmin[quarter + c])), c, total, x_scales, sums);
        }
    }
}
