//! Rows of a text into one.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use std::ops::Range;

use super::super::super::pooling::check;
use super::super::super::{BackendError, Pooling};
use super::super::simd::{LANES, Lanes, multiversion};
use super::super::threads::SharedMut;
use super::{Run, fits, rows_of};

/// Columns that are summed together: as many vectors as make a memory access worth its line, and few enough that one
/// text alone keeps several threads busy.
const COLUMNS: usize = 4 * LANES;

/// Rows that are summed before their sum joins the others': rounding grows with the summands of one sum.
const CASCADE: usize = 128;

/// One row for each span of rows of `x`, `[spans, width]`.
///
/// # Errors
/// Spans without rows or beyond `x`, widths that do not fit.
pub(in super::super) fn pool(
    run: Run<'_>,
    x: &[f32],
    width: usize,
    spans: &[Range<usize>],
    pooling: Pooling,
    out: &mut [f32],
) -> Result<(), BackendError> {
    check(spans, rows_of("pool", x.len(), width)?)?;
    fits("pool", "output", out.len(), spans.len() * width)?;
    let target = SharedMut::new(out.as_mut_ptr());
    let pieces = width.div_ceil(COLUMNS);
    let kernel = summer(run.level);
    let copy = |row: usize, text: usize| {
        // SAFETY: every task writes the row of its text.
        unsafe { target.slice(text * width, width) }.copy_from_slice(&x[row * width..][..width]);
    };
    match pooling {
        Pooling::First => run.threads.run(spans.len(), &|text| copy(spans[text].start, text)),
        Pooling::Last => run.threads.run(spans.len(), &|text| copy(spans[text].end - 1, text)),
        Pooling::Mean => run.threads.run(spans.len() * pieces, &|task| {
            let (text, first) = (task / pieces, task % pieces * COLUMNS);
            let columns = COLUMNS.min(width - first);
            // SAFETY: every task has its own columns of a text's row.
            let out = unsafe { target.slice(text * width + first, columns) };
            let span = spans[text].clone();
            let mean = Mean { x: &x[span.start * width + first..], stride: width, rows: span.len() };
            // SAFETY: the rows and columns exist, and the level is the processor's.
            unsafe { kernel(&mean, out) }
        }),
    }
    Ok(())
}

/// Some columns of a text's rows, from the first of them on.
struct Mean<'a> {
    x: &'a [f32],
    stride: usize,
    rows: usize,
}

multiversion! {
    /// The means of the columns that there is room for, at most [`COLUMNS`].
    fn summer(mean: &Mean<'_>, out: &mut [f32]) = mean_of_columns;
}

#[inline(always)]
unsafe fn mean_of_columns<L: Lanes>(mean: &Mean<'_>, out: &mut [f32]) {
    let vectors = out.len().div_ceil(LANES);
    // SAFETY: the rows have as many columns as there is room for.
    unsafe {
        let mut total = [L::splat(0.0); COLUMNS / LANES];
        for first in (0..mean.rows).step_by(CASCADE) {
            let mut sum = [L::splat(0.0); COLUMNS / LANES];
            for row in first..mean.rows.min(first + CASCADE) {
                let x = mean.x.as_ptr().add(row * mean.stride);
                for (vector, sum) in sum.iter_mut().enumerate().take(vectors) {
                    let (at, count) = (vector * LANES, (out.len() - vector * LANES).min(LANES));
                    let x = if count == LANES { L::load(x.add(at)) } else { L::load_part(x.add(at), count) };
                    *sum = sum.add(x);
                }
            }
            for (total, sum) in total.iter_mut().zip(sum) {
                *total = total.add(sum);
            }
        }
        let rows = L::splat(mean.rows as f32);
        for (vector, total) in total.into_iter().enumerate().take(vectors) {
            let (at, count) = (vector * LANES, (out.len() - vector * LANES).min(LANES));
            total.div(rows).store_part(out.as_mut_ptr().add(at), count);
        }
    }
}
