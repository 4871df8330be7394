//! Softmax of rows.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::super::BackendError;
use super::super::simd::{Lanes, exp, multiversion};
use super::reduce::{DividedBy, Map, Sum, greatest, map, sum};
use super::{Run, rows_of, split};

/// Rows that are replaced.
struct Rows {
    x: *mut f32,
    width: usize,
}

// SAFETY: tasks work on different rows.
unsafe impl Sync for Rows {}

/// `exp(x - max(x))` divided by its sum, row by row, in place. A row that holds NaN or positive infinity, or nothing
/// but negative infinity, becomes NaN.
///
/// # Errors
/// A length that is not of whole rows.
pub(in super::super) fn softmax(run: Run<'_>, x: &mut [f32], width: usize) -> Result<(), BackendError> {
    let count = rows_of("softmax", x.len(), width)?;
    let rows = Rows { x: x.as_mut_ptr(), width };
    let (rows, kernel) = (&rows, normalizer(run.level));
    split(run, count, width, &|range| {
        for row in range {
            // SAFETY: the row exists, no other task has it, and the level is the processor's.
            unsafe { kernel(rows, row) }
        }
    });
    Ok(())
}

multiversion! {
    /// One row of [`softmax`].
    fn normalizer(rows: &Rows, row: usize) = normalize;
}

#[inline(always)]
unsafe fn normalize<L: Lanes>(rows: &Rows, row: usize) {
    let width = rows.width;
    // SAFETY: the row exists.
    unsafe {
        let x = rows.x.add(row * width);
        map::<L>(x, x, width, &ExpOfDistance(greatest::<L>(x, width)));
        map::<L>(x, x, width, &DividedBy(sum::<L>(x, width, &Sum)));
    }
}

/// `exp(x - highest)`.
struct ExpOfDistance(f32);

impl Map for ExpOfDistance {
    #[inline(always)]
    unsafe fn of<L: Lanes>(&self, x: L, _: usize, _: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { exp(x.sub(L::splat(self.0))) }
    }
}
