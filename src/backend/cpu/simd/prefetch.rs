//! Memory that is needed soon.

/// Asks for the cache line that `at` is in, to be brought into the first-level cache. Any address will do.
#[inline(always)]
#[cfg_attr(target_arch = "aarch64", allow(clippy::pointers_in_nomem_asm_block))] // nothing is read through it
pub(in super::super) fn prefetch(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: prefetches may go anywhere.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: prefetches may go anywhere, and change nothing that a program sees.
    unsafe {
        // Its intrinsic is not stable.
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) at, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}
