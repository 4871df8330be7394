//! Operations that go row by row: norms, activations, sums, softmax, the greatest value.
//!
//! A row is reduced in vectors of sixteen lanes into four partial sums, which are added in a fixed order: its bits
//! depend on the row alone.

mod activation;
// For sampling without a copy: tested here, called by nobody yet.
#[cfg(test)]
mod argmax;
mod clip;
mod combine;
mod norm;
mod pool;
mod reduce;
pub(super) mod rotary;
mod scaled;
mod softmax;

pub(super) use activation::{activate, gated, sigmoids};
#[cfg(test)]
pub(super) use argmax::argmax;
pub(super) use clip::clip;
pub(super) use combine::combine;
pub(super) use norm::{add, add_layer_norm, add_rms_norm, layer_norm, rms_norm};
pub(super) use pool::pool;
pub use rotary::Rotary;
pub(super) use scaled::add_scaled;
pub(super) use softmax::softmax;

use std::ops::Range;
use std::sync::Arc;

use super::super::BackendError;
use super::buffer::Arena;
use super::{Level, threads::Threads};

/// What operations run with.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) level: Level,
    pub(super) threads: &'a Threads,
    pub(super) arena: &'a Arc<Arena>,
}

/// Values that are worth another task.
const TASK_VALUES: usize = 8192;

/// Runs `some` over all rows, several at a time, on all threads.
pub(super) fn split(run: Run<'_>, rows: usize, width: usize, some: &(dyn Fn(Range<usize>) + Sync)) {
    let step = (TASK_VALUES / width.max(1)).max(1);
    run.threads.run(rows.div_ceil(step), &|task| some(task * step..rows.min((task + 1) * step)));
}

/// An error unless `found` is what is expected.
fn fits(
    operation: &'static str,
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), BackendError> {
    if found == expected { Ok(()) } else { Err(BackendError::Shape { operation, what, found, expected }) }
}

/// The number of rows of `values` values in rows of `width`.
fn rows_of(operation: &'static str, values: usize, width: usize) -> Result<usize, BackendError> {
    let rows = values.checked_div(width).unwrap_or(0);
    fits(operation, "values in whole rows", values, rows * width)?;
    Ok(rows)
}

#[cfg(test)]
mod tests;
