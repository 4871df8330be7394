//! Sixteen `f32` lanes, the unit that attention and the row-wise kernels are written in.
//!
//! A kernel is written once over [`Lanes`] and compiled for each [`Level`](super::Level) by [`multiversion!`]. All
//! implementations perform the same IEEE operations lane by lane, products with sums always fused, and reduce across
//! lanes in the same order: the levels agree bit for bit on everything but NaN payloads.

#![allow(clippy::multiple_unsafe_ops_per_block)] // An implementation is one short intrinsic expression after another.

mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod prefetch;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use math::{exp, gelu_erf, gelu_tanh, sigmoid, silu};
#[cfg(target_arch = "aarch64")]
pub(super) use neon::Quads;
pub(super) use portable::Wide;
pub(super) use prefetch::prefetch;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Ymm, Zmm};

/// Lanes of a vector.
pub(super) const LANES: usize = 16;

/// Sixteen `f32` values.
///
/// # Safety
/// Every function may be called only where the processor has the instructions that the implementation is made of.
/// Pointers must be valid for the sixteen elements that are read or written (the first `count` where one is given),
/// and need no alignment.
pub(super) trait Lanes: Copy {
    /// Rows of a register tile.
    const ROWS: usize;
    /// Vectors of a register tile's row; with [`ROWS`](Self::ROWS) chosen so that all sums stay in registers.
    const VECTORS: usize;

    unsafe fn splat(x: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// The first `count` lanes, at most 16, the others zero.
    unsafe fn load_part(from: *const f32, count: usize) -> Self;
    /// Widens F16.
    unsafe fn load_f16(from: *const u16) -> Self;
    /// Widens BF16.
    unsafe fn load_bf16(from: *const u16) -> Self;
    /// Converts integers.
    unsafe fn load_i8(from: *const i8) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Stores the first `count` lanes, at most 16.
    unsafe fn store_part(self, to: *mut f32, count: usize);
    /// Rounds to F16, to nearest even.
    unsafe fn store_f16(self, to: *mut u16);
    /// Rounds to the nearest integer, ties to even; the values must be within -128..=127.
    unsafe fn store_i8(self, to: *mut i8);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    /// `self * factor + term`, rounded once.
    unsafe fn fma(self, factor: Self, term: Self) -> Self;
    /// `self` where it is greater than `other`, else `other`; so `other` where either is NaN.
    unsafe fn max(self, other: Self) -> Self;
    /// `self` where it is less than `other`, else `other`; so `other` where either is NaN.
    unsafe fn min(self, other: Self) -> Self;
    unsafe fn abs(self) -> Self;
    /// `yes` where `self` is below zero, else `no`.
    unsafe fn if_negative(self, yes: Self, no: Self) -> Self;
    /// `self` in the lanes from `first` up to but without `end`, `other` in the rest.
    unsafe fn in_range_or(self, first: usize, end: usize, other: Self) -> Self;
    /// `self * 2^exponent`, rounded once, for integral exponents from -252 to 254.
    unsafe fn scale_by_power(self, exponent: Self) -> Self;
    /// The sum of all lanes: lanes eight apart first, then four, two, one.
    unsafe fn sum(self) -> f32;
    /// Lane `j` of vector `i` changes places with lane `i` of vector `j`.
    unsafe fn transpose(square: &mut [Self; LANES]);
    /// The greatest lane; any of them where one is NaN.
    unsafe fn highest(self) -> f32;
}

/// Rounds `f32` to BF16, to nearest even; NaN stays NaN.
#[inline(always)]
pub(super) fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

/// Compiles a generic kernel `fn kernel<L: Lanes>(...)` for every level: makes a function that takes a
/// [`Level`](super::Level) and returns the entry point for it.
///
/// The entry point is unsafe: besides what the kernel itself demands, the processor must support the level.
macro_rules! multiversion {
    ($(#[$doc:meta])* $vis:vis fn $name:ident $(<$S:ident: $bound:path>)? ($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? = $kernel:ident;) => {
        $(#[$doc])*
        $vis fn $name $(<$S: $bound>)? (level: $crate::backend::cpu::Level)
            -> unsafe fn($($type),*) $(-> $out)?
        {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            unsafe fn avx512 $(<$S: $bound>)? ($($arg: $type),*) $(-> $out)? {
                // SAFETY: the caller has promised AVX-512, and what the kernel demands.
                unsafe { $kernel::<$crate::backend::cpu::simd::Zmm $(, $S)?>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2 $(<$S: $bound>)? ($($arg: $type),*) $(-> $out)? {
                // SAFETY: the caller has promised AVX2, FMA and F16C, and what the kernel demands.
                unsafe { $kernel::<$crate::backend::cpu::simd::Ymm $(, $S)?>($($arg),*) }
            }
            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon")]
            unsafe fn neon $(<$S: $bound>)? ($($arg: $type),*) $(-> $out)? {
                // SAFETY: the caller has promised NEON, and what the kernel demands.
                unsafe { $kernel::<$crate::backend::cpu::simd::Quads $(, $S)?>($($arg),*) }
            }
            unsafe fn portable $(<$S: $bound>)? ($($arg: $type),*) $(-> $out)? {
                // SAFETY: plain Rust runs anywhere; the caller has promised what the kernel demands.
                unsafe { $kernel::<$crate::backend::cpu::simd::Wide $(, $S)?>($($arg),*) }
            }
            match level {
                #[cfg(target_arch = "x86_64")]
                level if level >= $crate::backend::cpu::Level::Avx512 => avx512 $(::<$S>)?,
                #[cfg(target_arch = "x86_64")]
                $crate::backend::cpu::Level::Avx2 => avx2 $(::<$S>)?,
                #[cfg(target_arch = "aarch64")]
                $crate::backend::cpu::Level::Neon | $crate::backend::cpu::Level::NeonDot => neon $(::<$S>)?,
                _ => portable $(::<$S>)?,
            }
        }
    };
}
pub(super) use multiversion;

#[cfg(test)]
mod tests;
