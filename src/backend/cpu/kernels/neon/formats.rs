//! The packed formats whose groups have scales in f16, and what all formats have in common.

use std::arch::aarch64::*;

use super::super::Side;
use super::level::{Halves, Level};
use super::unpack::{Halfs, widen};
use super::values::{Eight, Five, Four, Values};

pub(super) type Q8_0 = Offset<Eight, 0>;
pub(super) type Q4_0 = Offset<Four<1>, 8>;
pub(super) type Q5_0 = Offset<Five<1>, 16>;
pub(super) type Q4_1 = Minimum<Four<1>>;
pub(super) type Q5_1 = Minimum<Five<1>>;

/// The activations of a tile's rows that one block of weights meets, as [`Format::SIDE`] says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Activations {
    /// `[groups][R][32]`
    pub(super) q: *const i8,
    /// `[R]`
    pub(super) scales: *const f32,
    /// `[R][words]`
    pub(super) side: *const i32,
}

/// A quantized format as it is packed: a block of a panel, whose groups share a scale of the activations.
///
/// # Safety
/// Any bytes must be a value, without alignment.
pub(super) unsafe trait Format {
    /// Groups of 32 k in a block.
    const GROUPS: usize;
    /// What a block needs beside the activations.
    const SIDE: Side;

    /// Adds a block to the sums of `R` rows, in `Q` quarters of the panel from `quarter` on.
    ///
    /// # Safety
    /// The activations of so many rows exist, and the processor has the level's features.
    unsafe fn add<L: Level, const R: usize, const Q: usize>(
        &self,
        quarter: usize,
        x: Activations,
        sums: &mut [[float32x4_t; Q]; R],
    );
}

/// `d * (q - OFFSET)`.
#[repr(C)]
pub(super) struct Offset<V, const OFFSET: i32> {
    d: Halfs,
    values: V,
}

// SAFETY: arrays of bytes.
unsafe impl<V: Values, const OFFSET: i32> Format for Offset<V, OFFSET> {
    const GROUPS: usize = 1;
    const SIDE: Side = if OFFSET == 0 { Side::None } else { Side::Starts { offset: OFFSET } };

    #[inline(always)]
    unsafe fn add<L: Level, const R: usize, const Q: usize>(
        &self,
        quarter: usize,
        x: Activations,
        sums: &mut [[float32x4_t; Q]; R],
    ) {
        // SAFETY: the caller's promises.
        unsafe {
            let mut dots = [[vdupq_n_s32(0); Q]; R];
            if OFFSET != 0 {
                for r in 0..R {
                    dots[r] = [vdupq_n_s32(*x.side.add(r)); Q];
                }
            }
            L::dots(&self.values, 0, quarter, Halves::Both, x.q, &mut dots);
            for c in 0..Q {
                add_scaled(widen(&self.d[quarter + c]), c, &dots, x.scales, sums);
            }
        }
    }
}

/// `d * q + m`.
#[repr(C)]
pub(super) struct Minimum<V> {
    d: Halfs,
    m: Halfs,
    values: V,
}

// SAFETY: arrays of bytes.
unsafe impl<V: Values> Format for Minimum<V> {
    const GROUPS: usize = 1;
    const SIDE: Side = Side::Scaled;

    #[inline(always)]
    unsafe fn add<L: Level, const R: usize, const Q: usize>(
        &self,
        quarter: usize,
        x: Activations,
        sums: &mut [[float32x4_t; Q]; R],
    ) {
        // SAFETY: the caller's promises.
        unsafe {
            let mut dots = [[vdupq_n_s32(0); Q]; R];
            L::dots(&self.values, 0, quarter, Halves::Both, x.q, &mut dots);
            for c in 0..Q {
                add_scaled(widen(&self.d[quarter + c]), c, &dots, x.scales, sums);
                let minimum = widen(&self.m[quarter + c]);
                for r in 0..R {
                    let scaled_sum = f32::from_bits((*x.side.add(r)).cast_unsigned());
                    sums[r][c] = vfmaq_n_f32(sums[r][c], minimum, scaled_sum);
                }
            }
        }
    }
}

/// `sums + scale * x_scale * dots` in column `c`.
#[inline(always)]
pub(super) unsafe fn add_scaled<const R: usize, const Q: usize>(
    scale: float32x4_t,
    c: usize,
    dots: &[[int32x4_t; Q]; R],
    x_scales: *const f32,
    sums: &mut [[float32x4_t; Q]; R],
) {
    for r in 0..R {
        // SAFETY: the caller has NEON, and `R` scales.
        unsafe {
            let scale = vmulq_n_f32(scale, *x_scales.add(r));
            sums[r][c] = vfmaq_f32(sums[r][c], vcvtq_f32_s32(dots[r][c]), scale);
        }
    }
}
