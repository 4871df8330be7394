//! The one order in which rows are reduced.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::simd::{LANES, Lanes};

/// Partial results of a reduction.
const PARTS: usize = 4;

/// How a vector goes into a partial result. (No closure: it could not be made to inline, and outside of a function
/// with the level's instructions every operation is a call.)
pub(super) trait Fold {
    /// # Safety
    /// The processor has the instructions of `L`.
    unsafe fn step<L: Lanes>(&self, partial: L, x: L) -> L;
}

/// What becomes of the first `count` lanes of a vector at `at` of a row.
pub(super) trait Map {
    /// # Safety
    /// The processor has the instructions of `L`, and what is read beside the vector is as long as the row.
    unsafe fn of<L: Lanes>(&self, x: L, at: usize, count: usize) -> L;
}

/// The sum.
pub(super) struct Sum;

impl Fold for Sum {
    #[inline(always)]
    unsafe fn step<L: Lanes>(&self, sum: L, x: L) -> L {
        // SAFETY: the caller's promise.
        unsafe { sum.add(x) }
    }
}

/// The sum of squares of distances from a value.
pub(super) struct SquaresAround(pub(super) f32);

impl Fold for SquaresAround {
    #[inline(always)]
    unsafe fn step<L: Lanes>(&self, sum: L, x: L) -> L {
        // SAFETY: the caller's promise.
        unsafe {
            let x = x.sub(L::splat(self.0));
            x.fma(x, sum)
        }
    }
}

/// The greatest. A NaN stands first in `max`, and so gives way to what was found before.
struct Greatest;

impl Fold for Greatest {
    #[inline(always)]
    unsafe fn step<L: Lanes>(&self, greatest: L, x: L) -> L {
        // SAFETY: the caller's promise.
        unsafe { x.max(greatest) }
    }
}

/// Takes the vectors of a row, in order, into four partial results in turn. Lanes beyond the
/// row's end change nothing.
///
/// # Safety
/// `width` values must be readable, and the processor have the instructions of `L`.
#[inline(always)]
pub(super) unsafe fn reduce<L: Lanes>(
    x: *const f32,
    width: usize,
    start: f32,
    fold: &impl Fold,
) -> [L; PARTS] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut parts = [L::splat(start); PARTS];
        let mut at = 0;
        while at + PARTS * LANES <= width {
            for (nth, part) in parts.iter_mut().enumerate() {
                *part = fold.step(*part, L::load(x.add(at + nth * LANES)));
            }
            at += PARTS * LANES;
        }
        for part in &mut parts {
            let count = (width - at).min(LANES);
            if count > 0 {
                *part = fold.step(*part, L::load_part(x.add(at), count)).in_range_or(0, count, *part);
            }
            at += count;
        }
        parts
    }
}

/// What `fold` makes of a row, its partial results added.
///
/// # Safety
/// As for [`reduce`].
#[inline(always)]
pub(super) unsafe fn sum<L: Lanes>(x: *const f32, width: usize, fold: &impl Fold) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let [a, b, c, d] = reduce::<L>(x, width, 0.0, fold);
        a.add(b).add(c.add(d)).sum()
    }
}

/// The greatest value of a row; negative infinity for one of nothing but NaN.
///
/// # Safety
/// As for [`reduce`].
#[inline(always)]
pub(super) unsafe fn greatest<L: Lanes>(x: *const f32, width: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let [a, b, c, d] = reduce::<L>(x, width, f32::NEG_INFINITY, &Greatest);
        a.max(b).max(c.max(d)).highest()
    }
}

/// Writes what becomes of every vector of a row.
///
/// # Safety
/// `width` values must be readable at `x` and writable at `out`, which may be the same, and the processor have the
/// instructions of `L`.
#[inline(always)]
pub(super) unsafe fn map<L: Lanes>(x: *const f32, out: *mut f32, width: usize, map: &impl Map) {
    // SAFETY: the caller's promise.
    unsafe {
        let whole = width / LANES * LANES;
        for at in (0..whole).step_by(LANES) {
            map.of(L::load(x.add(at)), at, LANES).store(out.add(at));
        }
        if whole < width {
            let count = width - whole;
            map.of(L::load_part(x.add(whole), count), whole, count).store_part(out.add(whole), count);
        }
    }
}

/// A quotient.
pub(super) struct DividedBy(pub(super) f32);

impl Map for DividedBy {
    #[inline(always)]
    unsafe fn of<L: Lanes>(&self, x: L, _: usize, _: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { x.div(L::splat(self.0)) }
    }
}
