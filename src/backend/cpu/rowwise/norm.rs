//! Norms of rows, and sums with the residual before them.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::super::BackendError;
use super::super::simd::{Lanes, multiversion};
use super::reduce::{Map, SquaresAround, Sum, map, sum};
use super::{Run, fits, rows_of, split};

/// Some rows and what is done to them; pointers are to `[rows, width]` and to `[width]`.
#[derive(Clone, Copy)]
struct Rows {
    x: *const f32,
    out: *mut f32,
    /// Null where nothing is added first.
    residual: *mut f32,
    weight: *const f32,
    /// Null for none.
    bias: *const f32,
    width: usize,
    epsilon: f32,
}

// SAFETY: tasks work on different rows.
unsafe impl Sync for Rows {}

/// Runs a kernel that takes the rows and one row's number.
fn run_rows(run: Run<'_>, count: usize, rows: Rows, kernel: unsafe fn(&Rows, usize)) {
    let rows = &rows;
    split(run, count, rows.width, &|range| {
        for row in range {
            // SAFETY: the row exists, no other task has it, and the level is the processor's.
            unsafe { kernel(rows, row) }
        }
    });
}

/// `x / sqrt(mean(x^2) + epsilon) * weight`, row by row (Zhang and Sennrich, 2019).
///
/// # Errors
/// Widths that do not fit.
pub(in super::super) fn rms_norm(
    run: Run<'_>,
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
    out: &mut [f32],
) -> Result<(), BackendError> {
    let width = weight.len();
    let count = rows_of("rms_norm", x.len(), width)?;
    fits("rms_norm", "output", out.len(), x.len())?;
    let (residual, bias) = (std::ptr::null_mut(), std::ptr::null());
    let rows = Rows {
        x: x.as_ptr(),
        out: out.as_mut_ptr(),
        residual,
        weight: weight.as_ptr(),
        bias,
        width,
        epsilon,
    };
    run_rows(run, count, rows, rms_normalizer(run.level));
    Ok(())
}

/// `residual += delta`, then the RMS norm of the sum.
///
/// # Errors
/// Widths that do not fit.
pub(in super::super) fn add_rms_norm(
    run: Run<'_>,
    residual: &mut [f32],
    delta: &[f32],
    weight: &[f32],
    epsilon: f32,
    out: &mut [f32],
) -> Result<(), BackendError> {
    let width = weight.len();
    let count = rows_of("add_rms_norm", residual.len(), width)?;
    fits("add_rms_norm", "delta", delta.len(), residual.len())?;
    fits("add_rms_norm", "output", out.len(), residual.len())?;
    let rows = Rows {
        x: delta.as_ptr(),
        out: out.as_mut_ptr(),
        residual: residual.as_mut_ptr(),
        weight: weight.as_ptr(),
        bias: std::ptr::null(),
        width,
        epsilon,
    };
    run_rows(run, count, rows, rms_normalizer(run.level));
    Ok(())
}

multiversion! {
    /// One row of [`rms_norm`] or [`add_rms_norm`].
    fn rms_normalizer(rows: &Rows, row: usize) = rms_normalize;
}

#[inline(always)]
unsafe fn rms_normalize<L: Lanes>(rows: &Rows, row: usize) {
    let &Rows { weight, width, epsilon, .. } = rows;
    // SAFETY: the row exists in all of them.
    unsafe {
        let (x, out) = (added::<L>(rows, row), rows.out.add(row * width));
        let squares = sum::<L>(x, width, &SquaresAround(0.0));
        let scale = 1.0 / (squares / width as f32 + epsilon).sqrt();
        map::<L>(x, out, width, &Scaled { scale, weight });
    }
}

/// The row that is to be normalized: the residual, after the sum with `x`, where there is one.
#[inline(always)]
unsafe fn added<L: Lanes>(rows: &Rows, row: usize) -> *const f32 {
    let first = row * rows.width;
    // SAFETY: the row exists in both.
    unsafe {
        let x = rows.x.add(first);
        if rows.residual.is_null() {
            return x;
        }
        let residual = rows.residual.add(first);
        map::<L>(residual, residual, rows.width, &Plus(x));
        residual
    }
}

/// `(x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias`, row by row (Ba et al., 2016).
///
/// # Errors
/// Widths that do not fit.
pub(in super::super) fn layer_norm(
    run: Run<'_>,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    epsilon: f32,
    out: &mut [f32],
) -> Result<(), BackendError> {
    let width = weight.len();
    let count = rows_of("layer_norm", x.len(), width)?;
    fits("layer_norm", "bias", bias.map_or(width, <[f32]>::len), width)?;
    fits("layer_norm", "output", out.len(), x.len())?;
    let rows = Rows {
        x: x.as_ptr(),
        out: out.as_mut_ptr(),
        residual: std::ptr::null_mut(),
        weight: weight.as_ptr(),
        bias: bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
        width,
        epsilon,
    };
    run_rows(run, count, rows, layer_normalizer(run.level));
    Ok(())
}

/// `residual += delta`, then the layer norm of the sum.
///
/// # Errors
/// Widths that do not fit.
pub(in super::super) fn add_layer_norm(
    run: Run<'_>,
    residual: &mut [f32],
    delta: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    epsilon: f32,
    out: &mut [f32],
) -> Result<(), BackendError> {
    let width = weight.len();
    let count = rows_of("add_layer_norm", residual.len(), width)?;
    fits("add_layer_norm", "bias", bias.map_or(width, <[f32]>::len), width)?;
    fits("add_layer_norm", "delta", delta.len(), residual.len())?;
    fits("add_layer_norm", "output", out.len(), residual.len())?;
    let rows = Rows {
        x: delta.as_ptr(),
        out: out.as_mut_ptr(),
        residual: residual.as_mut_ptr(),
        weight: weight.as_ptr(),
        bias: bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
        width,
        epsilon,
    };
    run_rows(run, count, rows, layer_normalizer(run.level));
    Ok(())
}

multiversion! {
    /// One row of [`layer_norm`] or [`add_layer_norm`].
    fn layer_normalizer(rows: &Rows, row: usize) = layer_normalize;
}

#[inline(always)]
unsafe fn layer_normalize<L: Lanes>(rows: &Rows, row: usize) {
    let &Rows { weight, bias, width, epsilon, .. } = rows;
    // SAFETY: the row exists in all of them.
    unsafe {
        let (x, out) = (added::<L>(rows, row), rows.out.add(row * width));
        let mean = sum::<L>(x, width, &Sum) / width as f32;
        let squares = sum::<L>(x, width, &SquaresAround(mean));
        let scale = 1.0 / (squares / width as f32 + epsilon).sqrt();
        map::<L>(x, out, width, &Normal { mean, scaled: Scaled { scale, weight }, bias });
    }
}

/// The sum with another row.
struct Plus(*const f32);

impl Map for Plus {
    #[inline(always)]
    unsafe fn of<L: Lanes>(&self, x: L, at: usize, count: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { x.add(L::load_part(self.0.add(at), count)) }
    }
}

/// The product with a number and with weights.
struct Scaled {
    scale: f32,
    weight: *const f32,
}

impl Map for Scaled {
    #[inline(always)]
    unsafe fn of<L: Lanes>(&self, x: L, at: usize, count: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { x.mul(L::splat(self.scale)).mul(L::load_part(self.weight.add(at), count)) }
    }
}

/// The distance from the mean, scaled; then the bias, unless it is null.
struct Normal {
    mean: f32,
    scaled: Scaled,
    bias: *const f32,
}

impl Map for Normal {
    #[inline(always)]
    unsafe fn of<L: Lanes>(&self, x: L, at: usize, count: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe {
            let x = self.scaled.of(x.sub(L::splat(self.mean)), at, count);
            if self.bias.is_null() { x } else { x.add(L::load_part(self.bias.add(at), count)) }
        }
    }
}

/// `a + b`.
///
/// # Errors
/// Lengths that differ.
pub(in super::super) fn add(run: Run<'_>, a: &[f32], b: &[f32], out: &mut [f32]) -> Result<(), BackendError> {
    fits("add", "delta", b.len(), a.len())?;
    fits("add", "output", out.len(), a.len())?;
    // Any cut will do: every sum stands alone.
    let width = super::TASK_VALUES;
    let sums = Sums { a: a.as_ptr(), b: b.as_ptr(), out: out.as_mut_ptr(), len: a.len(), width };
    let (sums, kernel) = (&sums, adder(run.level));
    run.threads.run(a.len().div_ceil(width), &|task| {
        // SAFETY: tasks write different parts, and the level is the processor's.
        unsafe { kernel(sums, task) }
    });
    Ok(())
}

/// Two vectors and their sum, in parts of `width`.
struct Sums {
    a: *const f32,
    b: *const f32,
    out: *mut f32,
    len: usize,
    width: usize,
}

// SAFETY: tasks write different parts.
unsafe impl Sync for Sums {}

multiversion! {
    /// One part of a sum.
    fn adder(sums: &Sums, part: usize) = add_some;
}

#[inline(always)]
unsafe fn add_some<L: Lanes>(sums: &Sums, part: usize) {
    let first = part * sums.width;
    let len = sums.width.min(sums.len - first);
    // SAFETY: the part lies within all three.
    unsafe {
        let (a, b, out) = (sums.a.add(first), sums.b.add(first), sums.out.add(first));
        map::<L>(a, out, len, &Plus(b));
    }
}
