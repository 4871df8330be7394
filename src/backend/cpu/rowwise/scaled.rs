//! Multiples of rows added to parts of other rows.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use std::ops::Range;

use super::super::super::BackendError;
use super::super::buffer::Tensor;
use super::super::simd::{Lanes, multiversion};
use super::reduce::{Map, map};
use super::{Run, fits, split};

/// A part of a row, and what is added to it.
struct Sum {
    x: *const f32,
    y: *mut f32,
    width: usize,
    scale: f32,
}

/// `y[rows[i], columns] += scale * x[lines[i]]`, where `x` may be wider than there are columns. The rows ascend.
///
/// # Errors
/// Rows, lines or columns that are not there, or rows that do not ascend.
pub(in super::super) fn add_scaled(
    run: Run<'_>,
    (x, lines): (&Tensor, Range<usize>),
    scale: f32,
    (y, rows, columns): (&mut Tensor, &[u32], Range<usize>),
) -> Result<(), BackendError> {
    let index = |index, len| BackendError::Index { operation: "add_scaled", index, len };
    fits("add_scaled", "rows", rows.len(), lines.len())?;
    if lines.end > x.rows() || columns.len() > x.width() || columns.end > y.width() {
        return Err(index(lines.end.max(columns.end), x.rows().min(y.width())));
    }
    if let Some(pair) = rows.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(index(pair[1] as usize, pair[0] as usize));
    }
    if let Some(&last) = rows.last().filter(|&&last| last as usize >= y.rows()) {
        return Err(index(last as usize, y.rows()));
    }
    let (width, out_width) = (columns.len(), y.width());
    let target = super::super::threads::SharedMut::new(y.as_mut_slice().as_mut_ptr());
    let kernel = adder(run.level);
    split(run, rows.len(), width, &|range| {
        for at in range {
            let first = rows[at] as usize * out_width + columns.start;
            // SAFETY: the part exists, and no other task has it, because the rows ascend.
            let y = unsafe { target.slice(first, width) };
            let x = x.row(lines.start + at).as_ptr();
            let sum = Sum { x, y: y.as_mut_ptr(), width, scale };
            // SAFETY: the line and the part are as long as that, and the level is the processor's.
            unsafe { kernel(&sum) }
        }
    });
    Ok(())
}

multiversion! {
    /// One row of [`add_scaled`].
    fn adder(sum: &Sum) = add_row;
}

#[inline(always)]
unsafe fn add_row<L: Lanes>(sum: &Sum) {
    // SAFETY: the row and what is added to it are as long as that.
    unsafe { map::<L>(sum.y, sum.y, sum.width, &PlusScaled { x: sum.x, scale: sum.scale }) }
}

/// The sum with a multiple of another row, rounded once.
struct PlusScaled {
    x: *const f32,
    scale: f32,
}

impl Map for PlusScaled {
    #[inline(always)]
    unsafe fn of<L: Lanes>(&self, y: L, at: usize, count: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_part(self.x.add(at), count).fma(L::splat(self.scale), y) }
    }
}
