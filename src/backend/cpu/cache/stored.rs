//! Element types of the cache: how sixteen of them are read and written.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::simd::{LANES, Lanes, to_bf16};

/// An element type of the cache.
pub(in super::super) trait Stored {
    /// One element.
    type Raw: Copy + Default;
    /// Whether a scale per token and head stands beside the elements.
    const SCALED: bool;
    /// Whether widening takes work, so that tiles used by many rows are better widened once.
    const WIDENS: bool;

    /// Sixteen elements as they are, without their scale.
    ///
    /// # Safety
    /// Sixteen elements must be readable, and the processor have the instructions of `L`.
    unsafe fn load<L: Lanes>(from: *const Self::Raw) -> L;

    /// Sixteen elements from values that were divided by their scale.
    ///
    /// # Safety
    /// Sixteen elements must be writable, and the processor have the instructions of `L`.
    unsafe fn store<L: Lanes>(values: L, to: *mut Self::Raw);
}

/// [`CacheType::F32`](super::CacheType::F32).
pub(in super::super) struct F32;

impl Stored for F32 {
    type Raw = f32;
    const SCALED: bool = false;
    const WIDENS: bool = false;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const f32) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load(from) }
    }

    #[inline(always)]
    unsafe fn store<L: Lanes>(values: L, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { values.store(to) }
    }
}

/// [`CacheType::F16`](super::CacheType::F16).
pub(in super::super) struct F16;

impl Stored for F16 {
    type Raw = u16;
    const SCALED: bool = false;
    const WIDENS: bool = true;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u16) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_f16(from) }
    }

    #[inline(always)]
    unsafe fn store<L: Lanes>(values: L, to: *mut u16) {
        // SAFETY: the caller's promise. The bounds stand first, so that NaN passes.
        unsafe {
            let greatest = 65504.0;
            L::splat(greatest).min(L::splat(-greatest).max(values)).store_f16(to);
        }
    }
}

/// [`CacheType::Bf16`](super::CacheType::Bf16).
pub(in super::super) struct Bf16;

impl Stored for Bf16 {
    type Raw = u16;
    const SCALED: bool = false;
    const WIDENS: bool = true;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u16) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_bf16(from) }
    }

    #[inline(always)]
    unsafe fn store<L: Lanes>(values: L, to: *mut u16) {
        let mut lanes = [0.0f32; LANES];
        // SAFETY: the caller's promise.
        unsafe {
            values.store(lanes.as_mut_ptr());
            for (at, &value) in lanes.iter().enumerate() {
                to.add(at).write(to_bf16(value));
            }
        }
    }
}

/// [`CacheType::Q8`](super::CacheType::Q8).
pub(in super::super) struct Q8;

impl Stored for Q8 {
    type Raw = i8;
    const SCALED: bool = true;
    const WIDENS: bool = true;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const i8) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_i8(from) }
    }

    #[inline(always)]
    unsafe fn store<L: Lanes>(values: L, to: *mut i8) {
        // SAFETY: the caller's promise. Quotients by the greatest magnitude over 127 may round to a little more.
        unsafe { values.min(L::splat(127.0)).max(L::splat(-127.0)).store_i8(to) }
    }
}
