//! Weighted sums of rows: what the experts of a row have found.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::super::BackendError;
use super::super::simd::{LANES, Lanes, multiversion};
use super::{Run, fits, split};

/// Vectors of a row that are summed together.
const VECTORS: usize = 4;

/// Rows of sums, each of `terms` rows of `x`.
struct Sums<'a> {
    x: *const f32,
    rows: &'a [u32],
    weights: &'a [f32],
    terms: usize,
    width: usize,
    out: *mut f32,
}

// SAFETY: tasks write different rows.
unsafe impl Sync for Sums<'_> {}

/// `out[i] = weights[i, 0] * x[rows[i, 0]] + weights[i, 1] * x[rows[i, 1]] + ...`, `terms` of them, in this order.
///
/// # Errors
/// Lengths that do not fit, and rows that `x` does not have.
pub(in super::super) fn combine(
    run: Run<'_>,
    x: &[f32],
    width: usize,
    (rows, weights): (&[u32], &[f32]),
    terms: usize,
    out: &mut [f32],
) -> Result<(), BackendError> {
    let count = rows.len().checked_div(terms).unwrap_or(0);
    fits("combine", "terms", rows.len(), count * terms)?;
    fits("combine", "weights", weights.len(), rows.len())?;
    fits("combine", "output", out.len(), count * width)?;
    let len = x.len().checked_div(width).unwrap_or(0);
    if let Some(&row) = rows.iter().find(|&&row| row as usize >= len && width > 0) {
        return Err(BackendError::Index { operation: "combine", index: row as usize, len });
    }
    let sums = Sums { x: x.as_ptr(), rows, weights, terms, width, out: out.as_mut_ptr() };
    let (sums, kernel) = (&sums, summer(run.level));
    split(run, count, width * terms, &|range| {
        for row in range {
            // SAFETY: the row and its terms exist, no other task has it, and the level is the processor's.
            unsafe { kernel(sums, row) }
        }
    });
    Ok(())
}

multiversion! {
    /// One row of [`combine`].
    fn summer(sums: &Sums<'_>, row: usize) = sum_terms;
}

#[inline(always)]
unsafe fn sum_terms<L: Lanes>(sums: &Sums<'_>, row: usize) {
    let (width, first) = (sums.width, row * sums.terms);
    for start in (0..width).step_by(VECTORS * LANES) {
        let vectors = (width - start).div_ceil(LANES).min(VECTORS);
        // SAFETY: the row and its terms exist.
        unsafe {
            let mut parts = [L::splat(0.0); VECTORS];
            for term in first..first + sums.terms {
                let x = sums.x.add(*sums.rows.get_unchecked(term) as usize * width + start);
                let weight = L::splat(*sums.weights.get_unchecked(term));
                for (vector, part) in parts.iter_mut().enumerate().take(vectors) {
                    let (at, count) = (vector * LANES, (width - start - vector * LANES).min(LANES));
                    let x = if count == LANES { L::load(x.add(at)) } else { L::load_part(x.add(at), count) };
                    *part = x.fma(weight, *part);
                }
            }
            for (vector, part) in parts.into_iter().enumerate().take(vectors) {
                let (at, count) = (vector * LANES, (width - start - vector * LANES).min(LANES));
                part.store_part(sums.out.add(row * width + start + at), count);
            }
        }
    }
}
