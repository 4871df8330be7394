//! What the two levels differ in: their integer dot products, and functions compiled for their features.

use std::arch::aarch64::*;
use std::arch::asm;

use super::formats::Format;
use super::values::Values;
use super::{int8, per_channel};

/// An instruction level of the int8 kernels.
///
/// [`dots`](Self::dots) is inlined into the other functions, which carry the level's target features; those are called
/// only on a processor that has them.
pub(super) trait Level {
    /// The most rows of a tile.
    const ROWS: usize;

    /// Adds to `sums` the dot products of `R` rows, whose groups lie side by side from `q` on, with `Q` quarters of a
    /// panel from `quarter` on.
    ///
    /// # Safety
    /// There are so many rows and quarters, and the processor has the level's features.
    unsafe fn dots<V: Values, const R: usize, const Q: usize>(
        values: &V,
        group: usize,
        quarter: usize,
        halves: Halves,
        q: *const i8,
        sums: &mut [[int32x4_t; Q]; R],
    );

    /// [`int8::tile`] of a height up to [`ROWS`](Self::ROWS), compiled for this level.
    unsafe fn tile<F: Format>(height: usize, tile: &int8::Tile<'_, F>);

    /// [`per_channel::tile`], likewise.
    unsafe fn channel_tile(height: usize, tile: &per_channel::Tile<'_>);
}

/// Which inputs of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halves {
    First,
    Second,
    Both,
}

/// The functions compiled for a level's features, for tiles of some heights: so many rows by so many quarters of a
/// panel at a time. What unpacking takes needs registers too: only weights that hardly need any, those with a scale per
/// channel, have room for whole panels of three and four rows.
macro_rules! compiled {
    ($features:literal: $($rows:literal $quarters:literal),*; channels $($channel_rows:literal $channel_quarters:literal),*) => {
        #[inline(always)]
        unsafe fn tile<F: Format>(height: usize, tile: &int8::Tile<'_, F>) {
            #[target_feature(enable = $features)]
            unsafe fn compiled<L: Level, F: Format, const R: usize, const Q: usize>(tile: &int8::Tile<'_, F>) {
                // SAFETY: the caller's promises are this function's.
                unsafe { int8::tile::<L, F, R, Q>(tile) }
            }
            match height {
                // SAFETY: the caller runs on a processor with these features.
                $($rows => unsafe { compiled::<Self, F, $rows, $quarters>(tile) },)*
                _ => debug_assert!(false, "a tile of {height} rows"),
            }
        }

        #[inline(always)]
        unsafe fn channel_tile(height: usize, tile: &per_channel::Tile<'_>) {
            #[target_feature(enable = $features)]
            unsafe fn compiled<L: Level, const R: usize, const Q: usize>(tile: &per_channel::Tile<'_>) {
                // SAFETY: the caller's promises are this function's.
                unsafe { per_channel::tile::<L, R, Q>(tile) }
            }
            match height {
                // SAFETY: the caller runs on a processor with these features.
                $($channel_rows => unsafe { compiled::<Self, $channel_rows, $channel_quarters>(tile) },)*
                _ => debug_assert!(false, "a tile of {height} rows"),
            }
        }
    };
}

/// `sdot`: four products at a time. Its intrinsic is not stable.
#[target_feature(enable = "neon,dotprod")]
#[inline]
unsafe fn sdot<const STEP: i32>(mut sums: int32x4_t, weights: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: an instruction on registers, which the processor has.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[{3}]", inout(vreg) sums, in(vreg) weights, in(vreg) x,
             const STEP, options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// Dot products: four steps of a row's activations in a register, of which each instruction takes one.
pub(super) struct Dot;

impl Level for Dot {
    const ROWS: usize = 6;

    #[inline(always)]
    unsafe fn dots<V: Values, const R: usize, const Q: usize>(
        values: &V,
        group: usize,
        quarter: usize,
        halves: Halves,
        q: *const i8,
        sums: &mut [[int32x4_t; Q]; R],
    ) {
        // Spelled out, because the steps are constants of the unpacking.
        macro_rules! half {
            ($at:literal: $($step:literal $lane:literal)*) => {
                // SAFETY: every row has 32 bytes for a group; the features are those of the function that this is
                // inlined into.
                unsafe {
                    let mut x = [vdupq_n_s8(0); R];
                    for r in 0..R {
                        x[r] = vld1q_s8(q.add(32 * r + $at));
                    }
                    $(for c in 0..Q {
                        let weights = values.step::<$step>(group, quarter + c);
                        for r in 0..R {
                            sums[r][c] = sdot::<$lane>(sums[r][c], weights, x[r]);
                        }
                    })*
                }
            };
        }
        if halves != Halves::Second {
            half!(0: 0 0 1 1 2 2 3 3);
        }
        if halves != Halves::First {
            half!(16: 4 0 5 1 6 2 7 3);
        }
    }

    compiled!("neon,dotprod": 1 4, 2 4, 3 2, 4 2, 5 2, 6 2; channels 1 4, 2 4, 3 4, 4 4, 5 2, 6 2);
}

/// Products in 16 bits, of as many steps as fit there, and then in 32. Two neighbouring sums belong to a lane until
/// the end.
pub(super) struct Plain;

impl Level for Plain {
    const ROWS: usize = 3;

    #[inline(always)]
    unsafe fn dots<V: Values, const R: usize, const Q: usize>(
        values: &V,
        group: usize,
        quarter: usize,
        halves: Halves,
        q: *const i8,
        sums: &mut [[int32x4_t; Q]; R],
    ) {
        // SAFETY: every row has 32 bytes for a group; the features are those of the function that this is inlined into.
        unsafe {
            let mut low = [[vdupq_n_s32(0); Q]; R];
            let mut high = [[vdupq_n_s32(0); Q]; R];
            macro_rules! fold {
                ($($step:literal)*) => {{
                    let mut weights = [[vdupq_n_s8(0); 4]; Q];
                    for c in 0..Q {
                        $(weights[c][$step % 4] = values.step::<$step>(group, quarter + c);)*
                    }
                    for r in 0..R {
                        let mut x = [vdupq_n_s8(0); 4];
                        $({
                            let four = q.add(32 * r + 4 * $step).cast::<i32>().read_unaligned();
                            x[$step % 4] = opaque(vreinterpretq_s8_s32(vdupq_n_s32(four)));
                        })*
                        for c in 0..Q {
                            let steps = [$($step % 4),*];
                            let products = fold(&weights[c], &x, &steps);
                            low[r][c] = vpadalq_s16(low[r][c], products[0]);
                            high[r][c] = vpadalq_s16(high[r][c], products[1]);
                        }
                    }
                }};
            }
            let short = const {
                assert!(V::FOLD == 2 || V::FOLD == 4);
                V::FOLD == 2
            };
            match (halves != Halves::Second, short) {
                (true, true) => {
                    fold!(0 1);
                    fold!(2 3);
                }
                (true, false) => fold!(0 1 2 3),
                (false, _) => {}
            }
            match (halves != Halves::First, short) {
                (true, true) => {
                    fold!(4 5);
                    fold!(6 7);
                }
                (true, false) => fold!(4 5 6 7),
                (false, _) => {}
            }
            for r in 0..R {
                for c in 0..Q {
                    sums[r][c] = vaddq_s32(sums[r][c], vpaddq_s32(low[r][c], high[r][c]));
                }
            }
        }
    }

    compiled!("neon": 1 4, 2 2, 3 2; channels 1 4, 2 2, 3 2);
}

/// The same register, of whose lanes the compiler does not know that they are equal: it would multiply lower halves of
/// registers only, and move upper halves of weights there first.
#[target_feature(enable = "neon")]
#[inline]
fn opaque(mut x: int8x16_t) -> int8x16_t {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0:v} */", inout(vreg) x, options(pure, nomem, nostack, preserves_flags)) };
    x
}

/// The sums of some steps' products: of lanes 0 and 1, and of lanes 2 and 3.
#[target_feature(enable = "neon")]
#[inline]
fn fold<const N: usize>(weights: &[int8x16_t; 4], x: &[int8x16_t; 4], steps: &[usize; N]) -> [int16x8_t; 2] {
    let first = steps[0];
    let mut low = vmull_s8(vget_low_s8(weights[first]), vget_low_s8(x[first]));
    let mut high = vmull_high_s8(weights[first], x[first]);
    for &step in &steps[1..] {
        low = vmlal_s8(low, vget_low_s8(weights[step]), vget_low_s8(x[step]));
        high = vmlal_high_s8(high, weights[step], x[step]);
    }
    [low, high]
}
