//! The one order in which rows are reduced.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::simd::{LANES, Lanes};

/// Partial results of a reduction.
const PARTS: usize = 4;

/// Takes the vectors of a row, in order, into four partial results in turn: `step(partial, vector)`. Lanes beyond the
/// row's end change nothing.
///
/// # Safety
/// `width` values must be readable, and the processor have the instructions of `L`.
#[inline(always)]
pub(super) unsafe fn reduce<L: Lanes>(
    x: *const f32,
    width: usize,
    start: f32,
    step: impl Fn(L, L) -> L,
) -> [L; PARTS] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut parts = [L::splat(start); PARTS];
        let mut at = 0;
        while at + PARTS * LANES <= width {
            for (nth, part) in parts.iter_mut().enumerate() {
                *part = step(*part, L::load(x.add(at + nth * LANES)));
            }
            at += PARTS * LANES;
        }
        for part in &mut parts {
            let count = (width - at).min(LANES);
            if count > 0 {
                *part = step(*part, L::load_part(x.add(at), count)).in_range_or(0, count, *part);
            }
            at += count;
        }
        parts
    }
}

/// The sum of `term(partial, vector)` over a row, where `term` adds to the partial sum.
///
/// # Safety
/// As for [`reduce`].
#[inline(always)]
pub(super) unsafe fn sum<L: Lanes>(x: *const f32, width: usize, term: impl Fn(L, L) -> L) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let [a, b, c, d] = reduce(x, width, 0.0, term);
        a.add(b).add(c.add(d)).sum()
    }
}

/// The greatest value of a row; negative infinity for one of nothing but NaN.
///
/// # Safety
/// As for [`reduce`].
#[inline(always)]
pub(super) unsafe fn greatest<L: Lanes>(x: *const f32, width: usize) -> f32 {
    // SAFETY: the caller's promise. A NaN stands first in `max`, and so gives way to what was found before.
    unsafe {
        let [a, b, c, d] = reduce(x, width, f32::NEG_INFINITY, |highest: L, x| x.max(highest));
        a.max(b).max(c.max(d)).highest()
    }
}

/// Writes `of(vector, offset, count)` for every vector of a row.
///
/// # Safety
/// `width` values must be readable at `x` and writable at `out`, which may be the same, and the processor have the
/// instructions of `L`.
#[inline(always)]
pub(super) unsafe fn map<L: Lanes>(
    x: *const f32,
    out: *mut f32,
    width: usize,
    of: impl Fn(L, usize, usize) -> L,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let whole = width / LANES * LANES;
        for at in (0..whole).step_by(LANES) {
            of(L::load(x.add(at)), at, LANES).store(out.add(at));
        }
        if whole < width {
            let count = width - whole;
            of(L::load_part(x.add(whole), count), whole, count).store_part(out.add(whole), count);
        }
    }
}
