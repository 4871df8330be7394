//! Values kept within a limit.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::simd::{Lanes, multiversion};
use super::reduce::{Map, map};
use super::{Run, TASK_VALUES};

/// Values that are replaced, in parts.
struct Values {
    x: *mut f32,
    len: usize,
    limit: f32,
}

// SAFETY: tasks work on different parts.
unsafe impl Sync for Values {}

/// `min(max(x, -limit), limit)`, in place. NaN stays NaN.
pub(in super::super) fn clip(run: Run<'_>, x: &mut [f32], limit: f32) {
    // Any cut will do: every value stands alone.
    let values = Values { x: x.as_mut_ptr(), len: x.len(), limit };
    let (values, kernel) = (&values, clipper(run.level));
    run.threads.run(x.len().div_ceil(TASK_VALUES), &|part| {
        // SAFETY: the part exists, no other task has it, and the level is the processor's.
        unsafe { kernel(values, part) }
    });
}

multiversion! {
    /// One part of [`clip`].
    fn clipper(values: &Values, part: usize) = clip_some;
}

#[inline(always)]
unsafe fn clip_some<L: Lanes>(values: &Values, part: usize) {
    let first = part * TASK_VALUES;
    // SAFETY: the part exists.
    unsafe {
        let x = values.x.add(first);
        map::<L>(x, x, TASK_VALUES.min(values.len - first), &Within(values.limit));
    }
}

/// The nearest value within a limit. The value stands second, so that NaN passes.
struct Within(f32);

impl Map for Within {
    #[inline(always)]
    unsafe fn of<L: Lanes>(&self, x: L, _: usize, _: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::splat(self.0).min(L::splat(-self.0).max(x)) }
    }
}
