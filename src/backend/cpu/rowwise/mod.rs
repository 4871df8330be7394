//! Operations that go row by row: norms, activations, sums, softmax, the greatest value.
//!
//! A row is reduced in vectors of sixteen lanes into four partial sums, which are added in a fixed order: its bits
//! depend on the row alone.

// Layer norms, softmax and plain activations are for encoders, MPT and expert routers, argmax for sampling without a
// copy: tested here, called by nobody yet.
#![allow(dead_code, unused_imports)]

mod activation;
mod argmax;
mod norm;
mod reduce;
pub(super) mod rotary;
mod softmax;

pub(super) use activation::{activate, gated};
pub(super) use argmax::argmax;
pub(super) use norm::{add, add_rms_norm, layer_norm, rms_norm};
pub use rotary::Rotary;
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
fn split(run: Run<'_>, rows: usize, width: usize, some: &(dyn Fn(Range<usize>) + Sync)) {
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
