//! What an instruction level adds: its int8 dot product, and functions compiled for its features.

use std::arch::asm;
use std::arch::x86_64::*;

use super::format::{Format, Weights};
use super::per_channel;
use super::tile::{self, Tile};

/// An instruction level of the int8 kernels.
///
/// [`bytes`](Self::bytes) and [`dot`](Self::dot) are inlined into the other functions, which carry the level's target
/// features; those are called only on a processor that has them.
pub(super) trait Level {
    /// What [`bytes`](Self::bytes) leaves added to weights of eight bits.
    const OFFSET_OF_EIGHT: i32;

    /// Sixteen lanes of four weights as [`dot`](Self::dot) takes them.
    unsafe fn bytes(weights: __m512i, eight: bool) -> __m512i;

    /// Adds to each lane the dot product of its four weights with four activations.
    unsafe fn dot(sums: __m512i, weights: __m512i, x: __m512i, eight: bool) -> __m512i;

    /// Adds to each lane the dot product of its two 16-bit numbers with two others.
    unsafe fn dot_pairs(sums: __m512i, a: __m512i, b: __m512i) -> __m512i;

    /// [`tile::tile`], compiled for this level.
    unsafe fn tile<W: Weights, const R: usize, const P: usize>(tile: &Tile<P>);

    /// [`tile::unpack`], compiled for this level.
    unsafe fn unpack<F: Format>(block: *const u8, groups: usize, to: *mut u8);

    /// [`per_channel::tile`], compiled for this level.
    unsafe fn channel_tile<const R: usize, const P: usize>(tile: &per_channel::Tile<P>);

    /// [`per_channel::outputs`], compiled for this level.
    unsafe fn channel_outputs<const P: usize>(outputs: &per_channel::Outputs<P>);
}

macro_rules! compiled {
    ($features:literal) => {
        #[inline(always)]
        unsafe fn tile<W: Weights, const R: usize, const P: usize>(tile: &Tile<P>) {
            #[target_feature(enable = $features)]
            unsafe fn compiled<L: Level, W: Weights, const R: usize, const P: usize>(tile: &Tile<P>) {
                // SAFETY: the caller's promises are this function's.
                unsafe { tile::tile::<L, W, R, P>(tile) }
            }
            // SAFETY: the caller runs on a processor with these features.
            unsafe { compiled::<Self, W, R, P>(tile) }
        }

        #[inline(always)]
        unsafe fn unpack<F: Format>(block: *const u8, groups: usize, to: *mut u8) {
            #[target_feature(enable = $features)]
            unsafe fn compiled<L: Level, F: Format>(block: *const u8, groups: usize, to: *mut u8) {
                // SAFETY: the caller's promises are this function's.
                unsafe { tile::unpack::<L, F>(block, groups, to) }
            }
            // SAFETY: the caller runs on a processor with these features.
            unsafe { compiled::<Self, F>(block, groups, to) }
        }

        #[inline(always)]
        unsafe fn channel_tile<const R: usize, const P: usize>(tile: &per_channel::Tile<P>) {
            #[target_feature(enable = $features)]
            unsafe fn compiled<L: Level, const R: usize, const P: usize>(tile: &per_channel::Tile<P>) {
                // SAFETY: the caller's promises are this function's.
                unsafe { per_channel::tile::<L, R, P>(tile) }
            }
            // SAFETY: the caller runs on a processor with these features.
            unsafe { compiled::<Self, R, P>(tile) }
        }

        #[inline(always)]
        unsafe fn channel_outputs<const P: usize>(outputs: &per_channel::Outputs<P>) {
            #[target_feature(enable = $features)]
            unsafe fn compiled<const P: usize>(outputs: &per_channel::Outputs<P>) {
                // SAFETY: the caller's promises are this function's.
                unsafe { per_channel::outputs::<P>(outputs) }
            }
            // SAFETY: the caller runs on a processor with these features.
            unsafe { compiled::<P>(outputs) }
        }
    };
}

/// Keeps an operation where it is written. The compiler would rather finish one row's chain of dependent dot products
/// before it begins the next one's, to save registers that are not scarce; the processor then waits for each result.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn in_place(mut sums: __m512i) -> __m512i {
    // SAFETY: no instruction at all, with an order among its kind.
    unsafe { asm!("/* {0} */", inout(zmm_reg) sums, options(nomem, nostack, preserves_flags)) };
    sums
}

/// `vpdpwssd`, which the compiler would take apart into a product and a sum.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn multiply_add_pairs(mut sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: an instruction on registers, which the processor has.
    unsafe {
        asm!("vpdpwssd {0}, {1}, {2}", inout(zmm_reg) sums, in(zmm_reg) a, in(zmm_reg) b,
             options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// `vpdpbusd`: unsigned weights by signed activations, four at a time, without an intermediate that could saturate.
pub(super) struct Vnni;

impl Level for Vnni {
    const OFFSET_OF_EIGHT: i32 = 128;

    #[inline(always)]
    unsafe fn bytes(weights: __m512i, _: bool) -> __m512i {
        weights
    }

    #[inline(always)]
    unsafe fn dot(sums: __m512i, weights: __m512i, x: __m512i, _: bool) -> __m512i {
        // SAFETY: the features are those of the function this is inlined into.
        unsafe { in_place(_mm512_dpbusd_epi32(sums, weights, x)) }
    }

    #[inline(always)]
    unsafe fn dot_pairs(sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { multiply_add_pairs(sums, a, b) }
    }

    compiled!("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni");
}

/// `vpmaddubsw`, whose 16-bit sums of two products saturate: weights of fewer bits are below 64, and those of eight
/// enter as signed ones, by their absolute value of at most 128 with the sign moved to the activation, so that no sum
/// exceeds 2 * 128 * 127.
pub(super) struct Madd;

impl Level for Madd {
    const OFFSET_OF_EIGHT: i32 = 0;

    #[inline(always)]
    unsafe fn bytes(weights: __m512i, eight: bool) -> __m512i {
        if eight {
            // SAFETY: the features are those of the function this is inlined into.
            unsafe { _mm512_xor_si512(weights, _mm512_set1_epi8(-128)) }
        } else {
            weights
        }
    }

    #[inline(always)]
    unsafe fn dot(sums: __m512i, weights: __m512i, x: __m512i, eight: bool) -> __m512i {
        // SAFETY: the features are those of the function this is inlined into.
        unsafe {
            let products = if eight {
                let negative = _mm512_movepi8_mask(weights);
                let x = _mm512_mask_sub_epi8(x, negative, _mm512_setzero_si512(), x);
                _mm512_maddubs_epi16(_mm512_abs_epi8(weights), x)
            } else {
                _mm512_maddubs_epi16(weights, x)
            };
            in_place(_mm512_add_epi32(sums, _mm512_madd_epi16(products, _mm512_set1_epi16(1))))
        }
    }

    #[inline(always)]
    unsafe fn dot_pairs(sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_add_epi32(sums, _mm512_madd_epi16(a, b)) }
    }

    compiled!("avx512f,avx512bw,avx512dq,avx512vl");
}
